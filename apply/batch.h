/* batch.h - transformed rows of whole source transactions (or one piece of a large one), on their way to a destination.
 *
 * Owns an arena and references to the frames that its values point into. Built by the transform stage, handed over
 * whole to the destination stage, freed there. Rows are in source order; compaction is the destination's business. */
#ifndef ROWTIDE_BATCH_H
#define ROWTIDE_BATCH_H

#include "arena.h"
#include "frame.h"
#include "shape.h"

enum out_op { OUT_INSERT, OUT_UPDATE, OUT_DELETE, OUT_TRUNCATE, OUT_DDL };

struct outrow {
    uint8_t op;                /* enum out_op */
    bool emitted;              /* by emit(), not the change itself */
    bool plain;                /* no script saw it: old_row is what the destination has */
    uint32_t seq;              /* among the outputs of one source change, from 0; with LSN the idempotency key (I4) */
    uint64_t lsn;              /* of the source change */
    uint32_t txn;              /* index into batch.txns */
    const struct shape *shape; /* NULL for OUT_DDL */
    /* The change as the source sent it, which no script saw: then its values are read where the frame has them, the rows below are
     * NULL, the shape is the relation's own, and the old image is what the destination has. Else NULL. */
    const struct record *sent;
    struct val *new_row; /* INSERT, UPDATE: shape->ncols values; VAL_ABSENT: do not touch */
    struct val
        *old_row; /* UPDATE, DELETE: what is known of the old image; VAL_ABSENT: unknown. Key columns are never absent
                              where the shape has a key */
    const struct out_ddl *ddl; /* OUT_DDL */
};
/* One value of an image that the row has. */
static inline struct val outrow_new_at(const struct outrow *r, unsigned col)
{
    return r->sent != NULL ? rel_rows_new_at(r->sent->u.change.rows, r->sent, col) : r->new_row[col];
}
static inline struct val outrow_old_at(const struct outrow *r, unsigned col)
{
    return r->sent != NULL ? rel_rows_old_at(r->sent->u.change.rows, r->sent, col) : r->old_row[col];
}
static inline bool outrow_has_new(const struct outrow *r)
{
    return r->sent != NULL ? r->op != OUT_DELETE : r->new_row != NULL;
}
static inline bool outrow_has_old(const struct outrow *r)
{
    return r->sent != NULL ? r->op != OUT_INSERT : r->old_row != NULL;
}
/* UPDATE: the new value is there and is not known to be the old one. */
bool outrow_changes(const struct outrow *r, unsigned col);

struct out_ddl {
    const struct rec_ddl *rec; /* the source's statement */
    struct bytes
        sql; /* what ddl() answered to run instead; empty: the destination's own handling (create, evolve, stop) */
};
struct batch_txn {
    uint64_t begin_lsn, commit_lsn;
    struct gtid gtid;
    int64_t commit_us; /* source's commit time */
    uint32_t resolution_us;
    const char *file; /* in the batch's arena, one for neighbours in the same file; "" before the commit */
    uint64_t end_offset;
    uint32_t changes; /* source changes in this piece, dropped ones included */
};
/* A change that the script failed on, for the destination's dead letter table (on_error = dead_letter). */
struct dead_row {
    uint64_t lsn;
    uint32_t txn;               /* index into batch.txns */
    const struct relation *rel; /* lives as long as the batch; NULL for TRUNCATE */
    const struct record *rec;   /* likewise */
    char error[512];
};
struct batch {
    struct arena *arena;
    struct frame **frames;
    size_t nframes, cap_frames;
    struct outrow *rows;
    size_t nrows, cap_rows;
    struct dead_row *dead; /* must be recorded in the same destination transaction as the rows */
    size_t ndead, cap_dead;
    struct batch_txn *txns;
    size_t ntxns, cap_txns;
    size_t bytes; /* rough size of the values */
    bool starts_inside,
        ends_inside; /* continues / leaves open a transaction: then it holds that one transaction only */
    bool barrier;    /* one DDL transaction */
};
struct batch *batch_new(void);
void batch_free(struct batch *b); /* NULL is fine; drops the frames' references */
bool batch_hold_frame(struct batch *b, struct frame *f, struct err *err); /* once per frame; takes a reference */
struct outrow *batch_add_row(struct batch *b, struct err *err);           /* zeroed */
struct batch_txn *batch_add_txn(struct batch *b, struct err *err);
struct dead_row *batch_add_dead(struct batch *b, struct err *err);
uint64_t batch_last_lsn(const struct batch *b); /* commit LSN of the last whole transaction; 0 none */

#endif
