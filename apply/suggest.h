/* suggest.h - "did you mean": the nearest of the names on offer, for error messages. Pure. */
#ifndef ROWTIDE_SUGGEST_H
#define ROWTIDE_SUGGEST_H

#include "bytes.h"

struct suggest {
    struct bytes want, best; /* views: must live until suggest_text */
    unsigned distance;
};
static inline struct suggest suggest_for(struct bytes want)
{
    return (struct suggest){ .want = want };
}
void suggest_offer(struct suggest *s, struct bytes name);
/* ` (did you mean "x"?)`, or "" when nothing is near. */
const char *suggest_text(const struct suggest *s, char *out, size_t size);

#endif
