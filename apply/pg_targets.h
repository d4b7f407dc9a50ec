/* pg_targets.h - where the rows of each shape go: the destination's tables, read or created (--create) at a shape's first
 * row, kept until somebody may have changed them.
 *
 * What is missing at the destination is an error that names the SQL to run. One thread at a time. */
#ifndef ROWTIDE_PG_TARGETS_H
#define ROWTIDE_PG_TARGETS_H

#include "batch.h"
#include "pg_ddl.h"
#include "pg_write.h"

struct pg_targets { /* zeroes but for sub: nothing known yet */
    const struct subscription *sub;
    struct pg_target **of; /* by shape id; owned */
    size_t n;
    int64_t read_us; /* monotonic: when the oldest of them was read; 0: there is none */
    char *geometry;  /* PostGIS' type or ""; NULL: not looked for yet; owned */
};
/* NULL: not known yet, or there is none and nothing but TRUNCATE came for it so far. Valid until forgotten. */
struct pg_target *pg_targets_get(const struct pg_targets *t, const struct shape *s);
/* The same, but reads or creates it. False: ERR_CONFIG where a table or a column is missing, else what l says. */
bool pg_targets_find(struct pg_targets *t, struct pg_link *l, const struct outrow *r, struct err *err);
bool pg_targets_old(const struct pg_targets *t); /* a person may have added an index or a trigger since */
void pg_targets_forget(struct pg_targets *t);
void pg_targets_free(struct pg_targets *t); /* and what it knew; not t itself */
/* What pg_ddl.h wants to know of this destination. o->geometry is t's. */
bool pg_targets_ddl(struct pg_targets *t, struct pg_link *l, struct pg_ddl_options *o, struct err *err);

#endif
