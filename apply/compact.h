/* compact.h - from the rows of a batch to an ordered plan of statement groups. Pure: no database, no clock.
 *
 * What may be reordered is the destination's matter: the caller says it per shape (compact_traits). Three orders:
 *   COMPACT_KEYS    one unique key, nothing that fires: changes to one key become one; DELETE, UPDATE, INSERT per table
 *   COMPACT_TABLE   source order within the table (secondary unique keys, no key, ...), free against other tables
 *   COMPACT_GLOBAL  source order among all tables of this kind (triggers, foreign keys)
 * In the last two, neighbours with the same shape, operation and columns share a statement where that cannot change
 * the outcome. Rules: design.md, "Apply". A table whose changes contradict each other (insert after insert, update
 * after delete, a NULL in the key, two shapes for one table) is planned in source order: the destination then says
 * what is wrong. */
#ifndef ROWTIDE_COMPACT_H
#define ROWTIDE_COMPACT_H

#include "batch.h"

enum compact_order { COMPACT_KEYS, COMPACT_TABLE, COMPACT_GLOBAL };
struct compact_traits {
    enum compact_order order;
    uint32_t table; /* equal for shapes that write to the same destination table */
    /* The shape covers every column of the table that can be written: only then may a changed key become DELETE + INSERT,
     * else columns unknown to us would be lost. */
    bool whole;
    bool merge; /* several UPDATEs or DELETEs may share a statement (their order inside it is the destination's) */
    /* Per column of the shape: a secondary unique key holds it, so an update that changes it is a statement of its own.
     * NULL: none. */
    const bool *guard;
    bool guard_all; /* unique keys over expressions, exclusion constraints: any column may matter */
};

struct plan_group { /* becomes one statement, or several when it is large */
    const struct shape *shape;
    uint8_t op;      /* enum out_op; TRUNCATE: n 1, no rows */
    bool key_change; /* UPDATE that sets the key too; n is 1 */
    bool plain;      /* no script saw the rows: columns that are alike in the old and the new image need no writing */
    const uint64_t *present; /* INSERT, UPDATE: bit per column to write; UPDATE without the key unless key_change */
    size_t n;
    const struct outrow **src; /* where each comes from: the last change that went into it */
    const struct val **made;   /* INSERT, UPDATE: the row that several changes made; NULL: it is src's new image */
    const struct outrow *
        *old; /* UPDATE, DELETE: whose old image is the identity; the key is never absent where the shape has one */
    const uint64_t *known; /* UPDATE, DELETE of a shape without a key: bit per column known in old's; n is 1 then */
    size_t cap;            /* private to compact.c */
};
struct plan {
    struct plan_group **groups;
    size_t n, cap;
    size_t merged; /* changes that went into another one */
};
static inline struct val plan_new_at(const struct plan_group *g, size_t row, unsigned col)
{
    return g->made[row] != NULL ? g->made[row][col] : outrow_new_at(g->src[row], col);
}
static inline struct val plan_old_at(const struct plan_group *g, size_t row, unsigned col)
{
    return outrow_old_at(g->old[row], col);
}
static inline bool bit_test(const uint64_t *bits, unsigned i)
{
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}
/* Rows [from, to) of b; none of them may be OUT_DDL. Everything is made in a, row pointers point into b or a. */
bool compact_plan(const struct batch *b, size_t from, size_t to,
                  const struct compact_traits *(*traits)(void *ctx, const struct shape *s), void *ctx, struct arena *a,
                  struct plan *out, struct err *err);
/* One row alone, as it is (APPLY_ROWS). */
bool compact_single(const struct outrow *r, struct arena *a, struct plan_group **out, struct err *err);

#endif
