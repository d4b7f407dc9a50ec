/* pg_dead.h - rows that could not be applied, as rows of rowtide.dead_letter. */
#ifndef ROWTIDE_PG_DEAD_H
#define ROWTIDE_PG_DEAD_H

#include "batch.h"
#include "pg_link.h"

/* Queues the INSERT; it commits with everything else. sqlstate may be "". */
bool pg_dead_row(struct pg_link *l, const char *slot, const char *subscription, const struct outrow *r,
                 const char *error, const char *sqlstate, struct err *err);
bool pg_dead_change(struct pg_link *l, const char *slot, const char *subscription, const struct dead_row *d,
                    struct err *err);

#endif
