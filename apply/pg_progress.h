/* pg_progress.h - what the destination remembers of one subscription (I4): its row of rowtide.progress, and the tables
 * that are rowtide's own there.
 *
 * Who attaches makes the epoch grow and fences off whoever had attached before: the update that goes with each commit
 * names epoch and LSN, and finds no row when either is not current. */
#ifndef ROWTIDE_PG_PROGRESS_H
#define ROWTIDE_PG_PROGRESS_H

#include "dest.h"
#include "pg_write.h"

struct pg_progress { /* zeroes but for subscription: not attached */
    const char *subscription;
    char slot[37];  /* UUID as text */
    uint64_t epoch; /* 0: not attached */
    bool prepared;  /* the connection knows the update; cleared by whoever makes the connection forget its statements */
};
/* dest_ops.attach over one connection. */
bool pg_progress_attach(struct pg_progress *g, struct pg_link *l, const uint8_t slot[16], bool take,
                        const char *script_hash, struct progress *out, struct err *err);
/* Writes the row as it is, in a commit that is on disk when this returns: then all before it are. ERR_FENCED: the epoch is
 * no longer ours. */
bool pg_progress_settle(const struct pg_progress *g, struct pg_link *l, struct err *err);
/* As it stands; all zero: there is no row. */
bool pg_progress_read(const struct pg_progress *g, struct pg_link *l, struct progress *out, struct err *err);
/* Queues the update up to the commit `last`, with what the open transaction adds to the counts. A failure with this tag
 * that is `counted`: another epoch or LSN stands there. w: whose DEALLOCATE ALL may be due first. */
bool pg_progress_send(struct pg_progress *g, struct pg_link *l, struct pg_writer *w, const struct batch_txn *last,
                      uint64_t changes, uint64_t transactions, uint64_t tag, struct err *err);

#endif
