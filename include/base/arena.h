/* arena.h - memory that dies together. Not thread-safe: an arena moves between threads with what lives in it. */
#ifndef ROWTIDE_ARENA_H
#define ROWTIDE_ARENA_H

#include "bytes.h"

struct arena;
struct arena *arena_new(size_t limit_bytes); /* 0: no limit; NULL if out of memory */
void arena_free(struct arena *a);            /* NULL is fine */
void arena_reset(struct arena *a);           /* keeps one chunk, up to 1 MiB */
size_t arena_used(const struct arena *a);    /* bytes handed out since the last reset */
bool arena_refused(const struct arena *a);   /* since the last reset something went past the limit */
/* Not zeroed, 16-aligned. NULL (and err, when given) past the limit or out of memory. */
void *arena_alloc(struct arena *a, size_t n, struct err *err);
void *arena_zalloc(struct arena *a, size_t n, struct err *err);
/* A copy inside the arena. False only when out of memory. */
bool arena_copy(struct arena *a, struct bytes b, struct bytes *out, struct err *err);
char *arena_cstr(struct arena *a, struct bytes b, struct err *err); /* NUL-terminated copy, or NULL */

#endif
