/* pg_write.h - statement groups of a plan -> prepared statements with binary parameters, sent over a pg_link.
 *
 * Keeps the prepared statements: one per (shape, operation, columns, form of each), named by a counter, the least
 * recently used dropped beyond a limit. They are built against a pg_target; when that changes, pg_writer_forget. */
#ifndef ROWTIDE_PG_WRITE_H
#define ROWTIDE_PG_WRITE_H

#include "compact.h"
#include "pg_deps.h"
#include "pg_encode.h"
#include "pg_link.h"

struct pg_target { /* one shape at its destination table */
    const struct shape *shape;
    struct pg_table *table;       /* owned */
    const struct pg_column **dst; /* per shape column; NULL: generated there, not written */
    bool *guard;                  /* what traits.guard points to */
    struct compact_traits traits;
    struct pg_deps *deps;
};
/* Matches columns by name. False and *missing: the table lacks that column of the shape. Takes table over only on
 * success. */
bool pg_target_new(const struct shape *s, struct pg_table *table, struct pg_target **out, unsigned *missing,
                   struct err *err);
void pg_target_free(struct pg_target *t); /* NULL is fine */

struct pg_writer;
struct pg_writer *pg_writer_new(const struct pg_policy *policy); /* NULL: out of memory */
void pg_writer_free(struct pg_writer *w);                        /* NULL is fine */
/* The server no longer has the statements, or must not use them: the next send begins with DEALLOCATE ALL. */
void pg_writer_forget(struct pg_writer *w);
/* Sends that DEALLOCATE ALL if it is due: before anybody else prepares a statement. */
bool pg_writer_fresh(struct pg_writer *w, struct pg_link *l, struct err *err);
uint64_t pg_writer_coerced(const struct pg_writer *w); /* values that a policy changed, since new */
/* Queues the group; large ones become several statements. *unchecked is set when the number of rows is only known from
 * answers that are still to come. False: connection gone, or a value that does not fit (ERR_DATA names the column;
 * *bad is its row). */
bool pg_write_group(struct pg_writer *w, struct pg_link *l, const struct pg_target *t, const struct plan_group *g,
                    uint64_t tag, bool *unchecked, size_t *bad, struct err *err);

#endif
