/* pg_deps.h - which keys of the destination a row touches, so that rows that touch none in common may be written by
 * several connections at once (turns.h). Pure.
 *
 * A row writes its values of every unique key, and reads the keys that its foreign keys name. A key counts only where
 * equal values at PostgreSQL give equal hashes here: integers, exact numbers, text, bytes, uuid, dates. Any other row
 * touches its whole table; where triggers, rules, cascades or foreign keys carry it further, everything. */
#ifndef ROWTIDE_PG_DEPS_H
#define ROWTIDE_PG_DEPS_H

#include "batch.h"
#include "pg_catalog.h"
#include "turns.h"

enum { PG_DEPS_MAX = 30, PG_TOUCHES_MAX = 2 * PG_DEPS_MAX + 1 };
struct pg_deps;
/* dst: per shape column, its column of t or NULL. NULL: out of memory. */
struct pg_deps *pg_deps_new(const struct shape *s, const struct pg_table *t, const struct pg_column *const *dst);
void pg_deps_free(struct pg_deps *d); /* NULL is fine */
/* out has room for PG_TOUCHES_MAX. False: it may touch anything. r is an INSERT, UPDATE or DELETE of the shape. */
bool pg_deps_row(const struct pg_deps *d, const struct outrow *r, struct touch *out, size_t *n);

#endif
