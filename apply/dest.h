/* dest.h - what a destination driver does. A driver never includes another driver; only the pipeline calls through
 * this table.
 *
 * Protocol: open, attach(take = true), then apply() for batches in order; apply opens a destination transaction when
 * none is open, and commits it together with progress when the batch does not end inside a source transaction. After a
 * false return nobody knows whether the commit reached the server: the caller rolls back (close + open when the
 * connection is gone), attaches with take = false and asks for the LSN before it applies anything again. One thread at
 * a time. With --workers there are several of them for one subscription: one attaches with take = true, the others with
 * take = false; batches that are pieces or barriers are applied while nothing else is under way. */
#ifndef ROWTIDE_DEST_H
#define ROWTIDE_DEST_H

#include "batch.h"
#include "subscription.h"
#include "turns.h"

struct progress {   /* what a destination remembers about (slot, subscription) */
    bool found;     /* false: this subscription never ran here */
    uint64_t epoch; /* fencing: grows with each attach(take) */
    uint64_t lsn;   /* last applied commit, 0 none */
    char gtid[120]; /* of that commit, "" none */
    char file[POSITION_FILE_MAX + 1];
    uint64_t offset;
    int64_t commit_us;
    uint64_t changes, transactions; /* applied, cumulative */
    char script_hash[65];
};
struct
    dest_stats { /* cumulative since open; read by the status thread without locks: atomics inside the pipeline's copy */
    uint64_t rows_insert, rows_update, rows_delete, commits, batches, fallbacks, retries, skipped, dead_lettered,
        coerced;
    uint64_t turn_us, commit_us; /* waiting for it; progress and COMMIT, with what the server still had to do */
};
enum apply_mode {
    APPLY_BATCH, /* compacted and merged */
    APPLY_ROWS   /* row by row in source order, each isolated; on a row's error follow the subscription's on_error */
};
struct dest {
    const struct dest_ops *ops;
    struct dest_stats stats;
    /* Set while other connections apply the batches before and behind this one (ops->concurrent): what apply() does before
     * its turn must keep to them, and all else, progress and COMMIT included, waits for it. sent_back: it failed only
     * because another batch did. */
    struct turns *turns; /* NULL: alone */
    uint64_t ticket;
    bool sent_back;
    /* Set before apply() where ops->settle is there: more is on its way, so the commit need not be on disk when apply()
     * returns. A later commit that is, or settle(), covers all before it. */
    bool lazy;
    /* Set where batches are applied one after the other: the batch behind the one that apply() is at, for apply() to get ready while it
     * waits for the destination; NULL: not there yet. It stays as it is until its own apply(), refresh, rollback or close. */
    const struct batch *(*following)(void *ctx);
    void *following_ctx;
};
struct dest_ops {
    const char *name;   /* "postgresql" */
    bool transactional; /* progress commits with the rows: exactly once */
    bool concurrent;    /* several may be open for one subscription; apply() then keeps to dest.turns in APPLY_BATCH */
    /* sub stays valid while open. place: kind and address without secrets, for status (I10). */
    bool (*open)(const struct subscription *sub, struct dest **out, struct err *err);
    /* take: in one statement bumps the epoch and reads progress; else checks that the epoch is still ours: ERR_FENCED
     * if not. Without take *out must hold what an earlier attach gave: after close and open only out->epoch knows
     * which one is ours. */
    bool (*attach)(struct dest *d, const uint8_t slot[16], bool take, const char *script_hash, struct progress *out,
                   struct err *err);
    /* A row that the destination refuses: ERR_DATA / ERR_CONFLICT (not transient) naming LSN, table, key. Deadlocks,
     * serialization, lost connections: transient. The progress update that finds another epoch: ERR_FENCED. */
    bool (*apply)(struct dest *d, const struct batch *b, enum apply_mode mode, struct err *err);
    bool (*settle)(struct dest *d, struct err *err); /* on disk: all commits so far. NULL: they always are */
    void (*rollback)(struct dest *d);                /* cannot fail; legal any time after open */
    bool (*connected)(struct dest *d);
    void (*refresh)(struct dest *d); /* another connection changed tables; only where concurrent */
    void (*close)(struct dest *d);   /* frees; NULL is fine */
    void (*place)(const struct dest *d, struct buf *out);
};
/* By URL scheme; ERR_CONFIG lists the known ones. After open, d->ops is what counts: a jsonl: path may turn out to be
 * a pipe. */
const struct dest_ops *dest_find(const char *url, struct err *err);
extern const struct dest_ops dest_postgres_ops, dest_jsonl_ops, dest_jsonl_pipe_ops;

#endif
