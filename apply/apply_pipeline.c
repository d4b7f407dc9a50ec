/* apply_pipeline.c - see apply_pipeline.h.
 *
 * Positions: the destination's progress row is the only resume point; what the slot is told of it is apply_confirm's. While more is on
 * its way, commits do not wait for the destination's disk (dest.lazy): a crash of it takes back the last of them, rows and progress
 * together, and they are applied again.
 * When a destination transaction that spans several batches (one large source transaction) is lost, the stages are torn down and
 * everything starts again behind the last commit: what was read and transformed of it is gone with the rollback. */
#include "apply_pipeline.h"

#include "apply_confirm.h"
#include "clock.h"
#include "dest.h"
#include "queue.h"
#include "seg_reader.h"
#include "slog.h"
#include "stop.h"
#include "workers.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FRAMES_QUEUED = 4, /* decoded frames between reader and transform */
    FRAME_BYTES_QUEUED = 8 << 20,
    BATCHES_QUEUED = 2,
    REFRESH_EVERY_US = 500000, /* what the status tells of the slot is at most so old */
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MAX_MS = 10000,
    IDLE_WAIT_MS = 500,            /* for a batch */
    BUSY_WAIT_MS = 5,              /* the same while workers are at it, whose end is to be seen */
    WORKER_AGAIN_US = 10 * 1000000 /* a connection that could not be made is tried again after so long */
};

struct frame_item {
    struct frame *frame;
    unsigned from;
};

/* One attempt: the three stages between a start and a restart. */
struct attempt {
    struct pipeline *p;
    uint64_t after_lsn, until_lsn; /* until: --once's end; UINT64_MAX otherwise */
    struct queue *frames, *batches;
    struct seg_reader *reader;
    struct shape_table *shapes;
    struct lua_host *lua;
    struct transform *transform;
    pthread_t reader_thread, transform_thread;
    bool reader_on, transform_on;
    atomic_bool halt; /* the attempt is over: stages leave without finishing */
    struct err reader_err, transform_err;
    bool reader_failed, transform_failed;
};

struct pipeline {
    const struct subscription *sub;
    struct sub_status *status;
    struct slot *slot;
    const struct dest_ops *ops;
    struct dest *dest;                      /* the first worker's, too */
    struct dest *others[APPLY_WORKERS_MAX]; /* of the other workers; [0] is not used */
    struct workers *workers;                /* NULL: one batch at a time */
    int64_t worker_failed_us;               /* when a connection for one could not be made; 0: none lately */
    struct queue *batches;                  /* of the attempt, where they are applied one after the other; else NULL */
    struct progress progress;               /* as of the last attach or commit */
    struct confirm *confirm;                /* what the slot is told of that */
    int64_t refreshed_at_us;
    bool row_by_row;                             /* until the transaction that is open, or comes next, is committed */
    uint64_t open_changes, open_transactions;    /* of pieces that the destination has not committed */
    struct dest_stats latest[APPLY_WORKERS_MAX]; /* of each worker's destination, when it was last idle */
    struct dest_stats base;                      /* of destinations closed before */
    char script_hash[65];
};

enum outcome { RUN_DONE, RUN_RESTART, RUN_FAIL };

/* --- stages --- */

static void publish_slot(struct sub_status *s, const struct slot_state *st)
{
    atomic_store(&s->flushed_lsn, st->flushed_lsn);
    atomic_store(&s->flushed_changes, st->changes);
    atomic_store(&s->heartbeat_us, st->heartbeat_us);
    atomic_store(&s->clock_offset_us, st->clock_offset_us);
    atomic_store(&s->capture_streaming, st->streaming);
}

static void note_state(struct attempt *a)
{
    publish_slot(a->p->status, seg_reader_state(a->reader));
}

static void drop_frame_item(void *p)
{
    struct frame_item *it = p;
    frame_unref(it->frame);
    free(it);
}

static bool push_frame(struct attempt *a, struct frame *f, unsigned from, struct err *err)
{
    struct frame_item *it = malloc(sizeof *it);
    if (it == NULL) {
        frame_unref(f);
        return err_nomem(err);
    }
    *it = (struct frame_item){ f, from };
    if (!queue_push(a->frames, it, frame_memory(f)))
        drop_frame_item(it);
    return true;
}

static enum seg_read timed_next(struct attempt *a, struct frame **f, unsigned *from, struct err *err)
{
    struct sub_status *s = a->p->status;
    uint64_t decompress[2], decode[2];
    int64_t t0 = clock_mono_us();
    seg_reader_times(a->reader, &decompress[0], &decode[0]);
    enum seg_read r = seg_reader_next(a->reader, f, from, err);
    seg_reader_times(a->reader, &decompress[1], &decode[1]);
    uint64_t all = (uint64_t)(clock_mono_us() - t0), inner = decompress[1] - decompress[0] + decode[1] - decode[0];
    atomic_fetch_add(&s->decompress_us, decompress[1] - decompress[0]);
    atomic_fetch_add(&s->decode_us, decode[1] - decode[0]);
    atomic_fetch_add(&s->read_us, all > inner ? all - inner : 0);
    return r;
}

static bool read_frames(struct attempt *a, struct err *err)
{
    uint64_t last = a->after_lsn;
    while (stop_level() == STOP_NO && !atomic_load(&a->halt)) {
        struct frame *f = NULL;
        unsigned from = 0;
        if (last >= a->until_lsn)
            return true;
        enum seg_read r = timed_next(a, &f, &from, err);
        if (r == SEG_READ_FAIL)
            return false;
        if (r == SEG_READ_END) {
            note_state(a);
            if (!seg_reader_wait(a->reader, 1000, stop_fd(), err))
                return false;
            note_state(a);
            continue;
        }
        const struct frame_info *info = frame_info(f);
        last = info->first_lsn + info->nrecords - 1;
        if (!push_frame(a, f, from, err))
            return false;
    }
    return true;
}

static void *reader_stage(void *arg)
{
    struct attempt *a = arg;
    a->reader_failed = !read_frames(a, &a->reader_err);
    queue_close(a->frames);
    return NULL;
}

static void publish_transform(struct attempt *a)
{
    const struct transform_stats *t = transform_stats(a->transform);
    struct sub_status *s = a->p->status;
    atomic_store(&s->script_dropped, t->dropped);
    atomic_store(&s->script_emitted, t->emitted);
    atomic_store(&s->script_errors, t->script_errors);
    if (a->lua != NULL)
        atomic_store(&s->script_memory, lua_host_memory(a->lua));
}

static void drop_batch(void *p)
{
    batch_free(p);
}

/* False: nobody takes batches any more. */
static bool push_batch(struct attempt *a, struct batch *b)
{
    publish_transform(a);
    if (queue_push(a->batches, b, b->bytes))
        return true;
    batch_free(b);
    return false;
}

static bool feed(struct attempt *a, struct frame_item *it, struct err *err)
{
    unsigned from = it->from;
    while (from < frame_count(it->frame) && !atomic_load(&a->halt)) {
        struct batch *b = NULL;
        int64_t t0 = clock_mono_us();
        bool ok = transform_feed(a->transform, it->frame, &from, &b, err);
        atomic_fetch_add(&a->p->status->transform_us, (unsigned long long)(clock_mono_us() - t0));
        if (b != NULL && !push_batch(a, b))
            return true;
        if (!ok)
            return false;
    }
    return true;
}

/* Merges while the destination is busy, hands on at once when it waits. */
static bool transform_frames(struct attempt *a, struct err *err)
{
    bool gathered = false;
    while (!atomic_load(&a->halt)) {
        bool busy = queue_len(a->batches) > 0;
        struct frame_item *it = queue_pop(a->frames, !gathered ? 1000 : busy ? 1 : 0);
        if (it != NULL) {
            bool ok = feed(a, it, err);
            drop_frame_item(it);
            if (!ok) {
                struct batch *rest = transform_take(
                    a->transform); /* what came before the failing change still counts */
                if (rest != NULL)
                    push_batch(a, rest);
                return false;
            }
            gathered = true;
            continue;
        }
        bool closed = queue_closed(a->frames);
        if (gathered && (!busy || closed)) {
            struct batch *b = transform_take(a->transform);
            if (b != NULL && !push_batch(a, b))
                return true;
            gathered = false;
        }
        if (closed && queue_len(a->frames) == 0)
            return true;
    }
    return true;
}

static void *transform_stage(void *arg)
{
    struct attempt *a = arg;
    a->transform_failed = !transform_frames(a, &a->transform_err);
    queue_close(a->frames);
    queue_close(a->batches);
    return NULL;
}

/* --- destination stage: runs on the subscription's own thread --- */

static struct dest **dest_of(struct pipeline *p, unsigned worker)
{
    return worker == 0 ? &p->dest : &p->others[worker];
}

static void add_stats(struct dest_stats *to, const struct dest_stats *d)
{
    to->rows_insert += d->rows_insert;
    to->rows_update += d->rows_update;
    to->rows_delete += d->rows_delete;
    to->commits += d->commits;
    to->batches += d->batches;
    to->skipped += d->skipped;
    to->dead_lettered += d->dead_lettered;
    to->coerced += d->coerced;
    to->turn_us += d->turn_us;
    to->commit_us += d->commit_us;
}

static void publish_dest(struct pipeline *p)
{
    struct dest_stats sum = p->base;
    struct sub_status *s = p->status;
    for (unsigned i = 0; i < p->sub->workers; i++)
        add_stats(&sum, &p->latest[i]);
    atomic_store(&s->rows_insert, sum.rows_insert);
    atomic_store(&s->rows_update, sum.rows_update);
    atomic_store(&s->rows_delete, sum.rows_delete);
    atomic_store(&s->commits, sum.commits);
    atomic_store(&s->batches, sum.batches);
    atomic_store(&s->skipped, sum.skipped);
    atomic_store(&s->dead_lettered, sum.dead_lettered);
    atomic_store(&s->coerced, sum.coerced);
    atomic_store(&s->turn_us, sum.turn_us);
    atomic_store(&s->commit_us, sum.commit_us);
}

/* The reader looks at the slot's state only when it has nothing left to read: while the destination is behind, that is never. */
static void refresh_slot(struct pipeline *p)
{
    struct slot_state st = { 0 };
    struct err ignored;
    int64_t t = clock_mono_us();
    if (t - p->refreshed_at_us < REFRESH_EVERY_US)
        return;
    p->refreshed_at_us = t;
    if (slot_state_read(p->slot, &st, &ignored))
        publish_slot(p->status, &st);
    slot_state_clear(&st);
}

static void close_dest(struct pipeline *p, unsigned worker)
{
    struct dest **d = dest_of(p, worker);
    if (*d == NULL)
        return;
    add_stats(&p->base, &(*d)->stats);
    p->latest[worker] = (struct dest_stats){ 0 };
    (*d)->ops->close(*d);
    *d = NULL;
}

/* Opens if need be, and reads progress; the first time takes the subscription over from whoever had it. */
static bool attach(struct pipeline *p, bool take, struct err *err)
{
    if (p->dest != NULL && !p->dest->ops->connected(p->dest))
        close_dest(p, 0);
    uint64_t epoch = p->progress.epoch;
    if (p->dest == NULL && !p->ops->open(p->sub, &p->dest, err))
        return false;
    p->progress.epoch = epoch;
    if (!p->dest->ops->attach(p->dest, slot_uuid(p->slot), take, p->script_hash, &p->progress, err))
        return false;
    /* Taking it over is a commit of its own, and waits for the disk. */
    if (take || p->progress.lsn < confirm_durable_lsn(p->confirm))
        confirm_set_durable(p->confirm, &p->progress);
    return true;
}

/* Waits and attaches again until it works. False: stop or a fault that will not pass. */
static bool reattach(struct pipeline *p, const struct err *why, struct err *err)
{
    unsigned backoff_ms = BACKOFF_FIRST_MS;
    struct err last = *why;
    atomic_store(&p->status->state, SUB_RETRYING);
    for (;;) {
        atomic_fetch_add(&p->status->retries, 1);
        slog(SLOG_WARN, "retrying", kv_s("subscription", p->sub->name), kv_s("reason", last.msg),
             kv_u("wait_ms", backoff_ms));
        sub_status_error(p->status, last.msg);
        if (!stop_sleep_ms(backoff_ms)) {
            err_set(err, ERR_STOPPED, "stopped");
            return false;
        }
        if (attach(p, false, &last)) {
            sub_status_error(p->status, "");
            return true;
        }
        if (!last.transient) {
            *err = last;
            return false;
        }
        backoff_ms = backoff_ms >= BACKOFF_MAX_MS / 2 ? BACKOFF_MAX_MS : backoff_ms * 2;
    }
}

static bool is_data_fault(const struct err *e)
{
    return e->code == ERR_DATA || e->code == ERR_CONFLICT;
}

static void publish_progress(struct pipeline *p)
{
    struct sub_status *s = p->status;
    atomic_store(&s->applied_lsn, p->progress.lsn);
    atomic_store(&s->applied_commit_us, p->progress.commit_us);
    atomic_store(&s->changes, p->progress.changes);
    atomic_store(&s->transactions, p->progress.transactions);
    bool all = p->progress.lsn == atomic_load(&s->flushed_lsn);
    atomic_store(&s->applied_slot_changes, all ? atomic_load(&s->flushed_changes) : 0);
}

/* What the destination has said of b counts once it is committed; of a piece, with the last one. lazy: it may not be on disk. */
static void took(struct pipeline *p, const struct batch *b, bool lazy)
{
    const struct batch_txn *t = &b->txns[b->ntxns - 1];
    struct buf g = { 0 };
    for (size_t i = 0; i < b->ntxns; i++)
        p->open_changes += b->txns[i].changes;
    p->open_transactions += b->ntxns - (b->ends_inside ? 1 : 0);
    if (b->ends_inside)
        return;
    gtid_text(&t->gtid, &g);
    p->progress.lsn = t->commit_lsn;
    p->progress.commit_us = t->commit_us;
    p->progress.offset = t->end_offset;
    snprintf(p->progress.gtid, sizeof p->progress.gtid, "%s", buf_cstr(&g));
    snprintf(p->progress.file, sizeof p->progress.file, "%s", t->file);
    buf_free(&g);
    p->progress.changes += p->open_changes;
    p->progress.transactions += p->open_transactions;
    p->open_changes = p->open_transactions = 0;
    p->row_by_row = false;
    publish_progress(p);
    if (!lazy)
        confirm_set_durable(p->confirm, &p->progress);
}

static const struct batch *following(void *batches)
{
    return queue_peek(batches);
}

/* The error ladder for one batch: batch, then row by row, then the policy; retries what may pass. */
static enum outcome apply_batch(struct pipeline *p, const struct batch *b, struct err *err)
{
    bool piece = b->starts_inside || b->ends_inside;
    for (;;) {
        enum apply_mode mode = p->row_by_row ? APPLY_ROWS : APPLY_BATCH;
        int64_t t0 = clock_mono_us();
        p->dest->lazy = confirm_may_be_lazy(p->confirm, p->ops, b);
        p->dest->following = p->batches != NULL ? following : NULL;
        p->dest->following_ctx = p->batches;
        bool ok = p->dest->ops->apply(p->dest, b, mode, err);
        atomic_fetch_add(&p->status->apply_us, (unsigned long long)(clock_mono_us() - t0));
        p->latest[0] = p->dest->stats;
        if (ok) {
            took(p, b, p->dest->lazy);
            publish_dest(p);
            return RUN_DONE;
        }
        p->dest->ops->rollback(p->dest);
        if (err->code == ERR_STOPPED)
            return RUN_DONE;
        if (is_data_fault(err) && !err->transient && mode == APPLY_BATCH) {
            atomic_fetch_add(&p->status->fallbacks, 1);
            slog(SLOG_WARN, "row_by_row", kv_s("subscription", p->sub->name), kv_s("reason", err->msg));
            p->row_by_row = true;
            if (piece)
                return RUN_RESTART;
            continue;
        }
        if (!err->transient)
            return RUN_FAIL;
        struct err why = *err;
        uint64_t before = p->progress.lsn;
        if (!reattach(p, &why, err))
            return err->code == ERR_STOPPED ? RUN_DONE : RUN_FAIL;
        if (p->progress.lsn == before && !piece)
            continue;
        if (batch_last_lsn(b) != 0 &&
            p->progress.lsn ==
                batch_last_lsn(b)) { /* the commit had reached the server before the connection was lost */
            p->open_changes = p->open_transactions = 0; /* counted there */
            p->row_by_row = false;
            publish_progress(p);
            return RUN_DONE;
        }
        if (p->progress.lsn <
            before) /* lazy commits, a failover that lost some, a restored backup: what it lacks comes again */
            slog(SLOG_WARN, "destination_went_back", kv_s("subscription", p->sub->name), kv_u("from_lsn", before),
                 kv_u("to_lsn", p->progress.lsn));
        return RUN_RESTART; /* a piece: the earlier ones went with the rollback */
    }
}

/* --- several batches at once --- */

static bool asked_to_stop(const struct err *err)
{
    return stop_level() != STOP_NO && err->code == ERR_STOPPED;
}

/* After a batch: false with err when the subscription must end. */
static bool applied(struct pipeline *p, uint64_t lsn, struct err *err)
{
    bool behind = lsn < atomic_load(&p->status->flushed_lsn);
    atomic_store(&p->status->state, behind ? SUB_CATCHUP : SUB_STREAMING);
    return confirm_tell(p->confirm, behind ? "catchup" : "streaming", err);
}

/* What the destinations know of tables is no longer so, from this worker's on. */
static void refresh(struct pipeline *p, unsigned first)
{
    for (unsigned i = first; i < p->sub->workers; i++) {
        struct dest *d = *dest_of(p, i);
        if (d != NULL && d->ops->refresh != NULL)
            d->ops->refresh(d);
    }
}

static enum outcome apply_alone(struct pipeline *p, struct batch *b, struct err *err)
{
    uint64_t lsn = batch_last_lsn(b);
    bool barrier = b->barrier;
    enum outcome r = apply_batch(p, b, err);
    batch_free(b);
    if (r != RUN_DONE || asked_to_stop(err))
        return r;
    if (barrier)
        refresh(p, 1);
    return applied(p, lsn, err) ? RUN_DONE : RUN_FAIL;
}

static void keep_stats(struct pipeline *p, const struct job *j)
{
    for (unsigned i = 0; i < p->sub->workers; i++)
        if (*dest_of(p, i) == j->dest)
            p->latest[i] = j->stats;
    atomic_fetch_add(&p->status->apply_us, j->us);
}

/* Ends what is under way, and keeps the books of what was committed. Returns the batches that were not. */
static unsigned send_back(struct pipeline *p, struct job *jobs)
{
    struct job j;
    unsigned n = 0;
    workers_abort(p->workers);
    while (workers_take(p->workers, true, &j)) {
        keep_stats(p, &j);
        if (!j.ok) {
            jobs[n++] = j;
            continue;
        }
        took(p, j.batch, j.lazy);
        batch_free(j.batch);
    }
    workers_reset(p->workers);
    return n;
}

/* After reattach: whether the batches can go on behind what the destination has. */
static bool follows(const struct pipeline *p, uint64_t before, const struct job *jobs, unsigned n)
{
    bool ok = p->progress.lsn == before;
    for (unsigned i = 0; i < n; i++)
        ok |= p->progress.lsn == batch_last_lsn(jobs[i].batch);
    return ok;
}

/* The first of jobs failed, or went back because one behind it failed. All are done again, one by one: an error that was not of the
 * workers' own making shows there again, and finds its way. */
static enum outcome one_by_one(struct pipeline *p, struct job *jobs, unsigned n, struct err *err)
{
    enum outcome r = RUN_DONE;
    uint64_t before = p->progress.lsn;
    unsigned at = 0;
    while (at + 1 < n && jobs[at].sent_back)
        at++;
    *err = jobs[at].err;
    if (err->code != ERR_STOPPED) {
        struct err why = *err;
        atomic_fetch_add(&p->status->one_by_one, 1);
        slog(SLOG_WARN, "one_by_one", kv_s("subscription", p->sub->name), kv_u("batches", n), kv_s("reason", why.msg));
        *err = (struct err){ 0 };
        if (why.transient) /* it may be committed all the same */
            r = !reattach(p, &why, err)        ? (err->code == ERR_STOPPED ? RUN_DONE : RUN_FAIL)
                : !follows(p, before, jobs, n) ? RUN_RESTART
                                               : RUN_DONE;
    }
    for (unsigned i = 0; i < n; i++) {
        if (r == RUN_DONE && err->code != ERR_STOPPED && batch_last_lsn(jobs[i].batch) > p->progress.lsn)
            r = apply_alone(p, jobs[i].batch, err);
        else
            batch_free(jobs[i].batch);
    }
    publish_progress(p);
    return r;
}

enum how_many { COLLECT_FINISHED, COLLECT_ONE /* waits for it */, COLLECT_ALL };

/* What the workers have finished, in order. */
static enum outcome collect(struct pipeline *p, enum how_many what, struct err *err)
{
    struct job j, jobs[APPLY_WORKERS_MAX];
    while (p->workers != NULL && workers_take(p->workers, what != COLLECT_FINISHED, &j)) {
        keep_stats(p, &j);
        if (!j.ok) {
            jobs[0] = j;
            return one_by_one(p, jobs, 1 + send_back(p, jobs + 1), err);
        }
        uint64_t lsn = batch_last_lsn(j.batch);
        took(p, j.batch, j.lazy);
        publish_dest(p);
        batch_free(j.batch);
        if (!applied(p, lsn, err))
            return RUN_FAIL;
        if (what == COLLECT_ONE)
            what = COLLECT_FINISHED;
    }
    return RUN_DONE;
}

/* A worker that can take a batch, its connection made; -1: none now. */
static int ready_worker(struct pipeline *p)
{
    struct progress g = p->progress;
    struct err why;
    int i = workers_idle(p->workers);
    if (i <= 0)
        return i == 0 && p->dest->ops->connected(p->dest) ? 0 : -1;
    struct dest **d = &p->others[i];
    if (*d != NULL && !(*d)->ops->connected(*d))
        close_dest(p, (unsigned)i);
    if (*d != NULL)
        return i;
    if (p->worker_failed_us != 0 && clock_mono_us() - p->worker_failed_us < WORKER_AGAIN_US)
        return -1;
    if (p->ops->open(p->sub, d, &why)) {
        if ((*d)->ops->attach(*d, slot_uuid(p->slot), false, p->script_hash, &g, &why))
            return i;
        close_dest(p, (unsigned)i);
    }
    p->worker_failed_us = clock_mono_us();
    slog(SLOG_WARN, "worker_not_connected", kv_s("subscription", p->sub->name), kv_u("worker", (unsigned)i + 1),
         kv_s("reason", why.msg));
    return -1;
}

/* Hands b to a worker, or applies it here: pieces and barriers, what goes row by row, and a batch behind which nothing waits. */
static enum outcome give(struct attempt *a, struct batch *b, struct err *err)
{
    struct pipeline *p = a->p;
    bool serial = p->workers == NULL || b->starts_inside || b->ends_inside || b->barrier || p->row_by_row;
    bool calm = !serial && workers_under_way(p->workers) == 0 && queue_len(a->batches) == 0;
    if (!serial && !calm) {
        int worker = ready_worker(p);
        if (worker >= 0) {
            struct dest *d = *dest_of(p, (unsigned)worker);
            d->lazy = confirm_may_be_lazy(p->confirm, p->ops, b);
            workers_give(p->workers, worker, d, b);
            return RUN_DONE;
        }
    }
    enum outcome r = collect(p, COLLECT_ALL, err);
    if (r == RUN_DONE && !asked_to_stop(err))
        return apply_alone(p, b, err);
    batch_free(b);
    return r;
}

static enum outcome apply_batches(struct attempt *a, struct err *err)
{
    struct pipeline *p = a->p;
    for (;;) {
        enum outcome r = RUN_DONE;
        unsigned under_way = p->workers == NULL ? 0 : workers_under_way(p->workers);
        refresh_slot(p);
        int64_t t0 = clock_mono_us();
        struct batch *b = queue_pop(a->batches, under_way != 0 ? BUSY_WAIT_MS : IDLE_WAIT_MS);
        atomic_fetch_add(&p->status->wait_us, (unsigned long long)(clock_mono_us() - t0));
        bool end = b == NULL && queue_closed(a->batches) && queue_len(a->batches) == 0;
        if (b != NULL)
            r = give(a, b, err);
        else if (under_way == 0 && !end) {
            confirm_settle(p->confirm, p->dest, &p->progress);
            if (!confirm_tell(p->confirm, "streaming", err))
                return RUN_FAIL;
        }
        under_way = p->workers == NULL ? 0 : workers_under_way(p->workers);
        if (r == RUN_DONE && under_way != 0 && !asked_to_stop(err))
            r = collect(p, end ? COLLECT_ALL : under_way == p->sub->workers ? COLLECT_ONE : COLLECT_FINISHED, err);
        if (r != RUN_DONE || end || asked_to_stop(err))
            return r;
    }
}

/* --- start and restart --- */

/* I4: is this the slot that the destination's progress speaks of? */
static bool compare_with_slot(struct pipeline *p, const struct slot_state *st, struct err *err)
{
    const struct progress *g = &p->progress;
    if (!g->found || g->lsn == 0)
        return true;
    if (g->lsn > st->flushed_lsn)
        return err_set(err, ERR_LOST,
                       "the destination has applied LSN %llu, but the slot %s ends at %llu: this is an older copy of "
                       "the slot, or capture started it "
                       "again from a backup. Restore the newer slot, or copy the tables again into a new subscription",
                       (unsigned long long)g->lsn, slot_path(p->slot), (unsigned long long)st->flushed_lsn);
    struct seg_commit c;
    if (!seg_reader_commit_at(slot_path(p->slot), g->lsn, &c, err))
        return false;
    if (!c.known)
        return true;
    struct buf t = { 0 };
    gtid_text(&c.gtid, &t);
    bool same = strcmp(buf_cstr(&t), g->gtid) == 0 && strcmp(c.file, g->file) == 0 && c.end_offset == g->offset;
    if (!same)
        err_set(err, ERR_LOST,
                "LSN %llu is %s at %s:%llu in the slot, but the destination knows it as %s at %s:%llu: the slot's "
                "history is not the one that was "
                "applied (an older copy that capture went on with?). Copy the tables again into a new subscription",
                (unsigned long long)g->lsn, buf_cstr(&t), c.file, (unsigned long long)c.end_offset, g->gtid, g->file,
                (unsigned long long)g->offset);
    buf_free(&t);
    return same;
}

static void end_attempt(struct attempt *a)
{
    atomic_store(&a->halt, true);
    if (a->frames != NULL)
        queue_close(a->frames);
    if (a->batches != NULL)
        queue_close(a->batches);
    if (a->reader_on)
        pthread_join(a->reader_thread, NULL);
    if (a->transform_on)
        pthread_join(a->transform_thread, NULL);
    queue_free(a->frames, drop_frame_item);
    queue_free(a->batches, drop_batch);
    transform_free(a->transform);
    lua_host_close(a->lua);
    shape_table_free(a->shapes);
    seg_reader_close(a->reader);
}

static bool start_attempt(struct attempt *a, struct err *err)
{
    const struct subscription *sub = a->p->sub;
    struct lua_host_options lo = { .memory_limit = sub->script_memory, .step_limit = sub->script_steps };
    struct transform_options to = { .batch_rows = sub->batch_rows,
                                    .batch_bytes = sub->batch_bytes,
                                    .on_error = sub->on_error };
    a->frames = queue_new(FRAMES_QUEUED, FRAME_BYTES_QUEUED);
    a->batches = queue_new(BATCHES_QUEUED, 0);
    a->shapes = shape_table_new();
    if (a->frames == NULL || a->batches == NULL || a->shapes == NULL)
        return err_nomem(err);
    if (sub->script != NULL && !lua_host_open(sub->script, NULL, &lo, a->shapes, &a->lua, err))
        return false;
    if (a->lua != NULL)
        snprintf(a->p->script_hash, sizeof a->p->script_hash, "%s", lua_host_hash(a->lua));
    return transform_new(&to, a->lua, a->shapes, &a->transform, err);
}

static bool start_stages(struct attempt *a, struct err *err)
{
    if (!seg_reader_open(slot_path(a->p->slot), a->after_lsn, &a->reader, err))
        return false;
    note_state(a);
    if (pthread_create(&a->reader_thread, NULL, reader_stage, a) != 0)
        return err_sys(err, "start the reader stage");
    a->reader_on = true;
    if (pthread_create(&a->transform_thread, NULL, transform_stage, a) != 0)
        return err_sys(err, "start the transform stage");
    a->transform_on = true;
    return true;
}

/* The first fault along the way of the data; what the earlier stage says explains what the later one saw. */
static enum outcome stage_fault(struct attempt *a, enum outcome r, struct err *err)
{
    if (r != RUN_DONE)
        return r;
    if (a->reader_failed) {
        *err = a->reader_err;
        return RUN_FAIL;
    }
    if (a->transform_failed) {
        *err = a->transform_err;
        return RUN_FAIL;
    }
    return RUN_DONE;
}

/* A fault that is not the workers' own leaves some under way. */
static void end_workers(struct pipeline *p)
{
    struct job jobs[APPLY_WORKERS_MAX];
    unsigned n = p->workers == NULL ? 0 : send_back(p, jobs);
    for (unsigned i = 0; i < n; i++)
        batch_free(jobs[i].batch);
}

static enum outcome run_attempt(struct pipeline *p, bool first, uint64_t until_lsn, struct err *err)
{
    struct attempt a = { .p = p, .until_lsn = until_lsn };
    enum outcome r = RUN_FAIL;
    if (!start_attempt(&a, err))
        goto out;
    if (first) {
        struct slot_state st = { 0 };
        bool ok = attach(p, true, err) && slot_state_read(p->slot, &st, err) && compare_with_slot(p, &st, err) &&
                  confirm_register(p->confirm, p->dest, &p->progress, err);
        slot_state_clear(&st);
        if (!ok) {
            r = RUN_FAIL;
            goto out;
        }
        slog(SLOG_INFO, "subscription_started", kv_s("subscription", p->sub->name),
             kv_s("destination", confirm_destination(p->confirm)), kv_u("after_lsn", p->progress.lsn),
             kv_u("epoch", p->progress.epoch));
    }
    if (!first && !attach(p, false, err)) {
        struct err why = *err;
        if (!why.transient || !reattach(p, &why, err)) {
            r = err->code == ERR_STOPPED ? RUN_DONE : RUN_FAIL;
            goto out;
        }
    }
    p->open_changes = p->open_transactions = 0; /* of what was rolled back */
    a.after_lsn = p->progress.lsn;
    publish_progress(p);
    if (!start_stages(&a, err))
        goto out;
    p->batches = p->workers == NULL ? a.batches : NULL;
    r = apply_batches(&a, err);
    p->batches = NULL;
out:
    end_workers(p);
    if (p->dest != NULL) /* lost while reconnecting; else pieces of a transaction that will not be completed */
        p->dest->ops->rollback(p->dest);
    refresh(p, 0); /* shapes end with the attempt */
    end_attempt(&a);
    return stage_fault(&a, r, err);
}

static bool once_target(struct pipeline *p, uint64_t *until, struct err *err)
{
    struct slot_state st = { 0 };
    *until = UINT64_MAX;
    if (!p->sub->once)
        return true;
    if (!slot_state_read(p->slot, &st, err))
        return false;
    *until = st.flushed_lsn;
    slot_state_clear(&st);
    return true;
}

static bool run(struct pipeline *p, struct err *err)
{
    uint64_t until;
    bool first = true;
    unsigned backoff_ms = BACKOFF_FIRST_MS;
    if (!once_target(p, &until, err))
        return false;
    for (;;) {
        enum outcome r = run_attempt(p, first, until, err);
        if (r == RUN_DONE)
            return true;
        if (r == RUN_FAIL && err->code == ERR_STOPPED)
            return true;
        if (r == RUN_FAIL && !(err->transient && first && !p->sub->once))
            return false;
        if (r == RUN_FAIL) { /* the destination is not reachable yet */
            slog(SLOG_WARN, "retrying", kv_s("subscription", p->sub->name), kv_s("reason", err->msg),
                 kv_u("wait_ms", backoff_ms));
            sub_status_error(p->status, err->msg);
            atomic_store(&p->status->state, SUB_RETRYING);
            if (!stop_sleep_ms(backoff_ms))
                return true;
            backoff_ms = backoff_ms >= BACKOFF_MAX_MS / 2 ? BACKOFF_MAX_MS : backoff_ms * 2;
            continue;
        }
        first = false;
    }
}

bool apply_run(const struct subscription *sub, struct sub_status *status, struct err *err)
{
    struct pipeline p = { .sub = sub, .status = status };
    bool ok = false;
    p.ops = dest_find(sub->to, err);
    if (p.ops != NULL && sub->workers > 1 && !p.ops->concurrent) {
        err_set(err, ERR_CONFIG, "subscription %s: %s is written by one worker: leave --workers out", sub->name,
                p.ops->name);
    } else if (p.ops != NULL && (sub->workers == 1 || workers_new((unsigned)sub->workers, &p.workers, err)) &&
               slot_open(sub->slot, SLOT_READ, &p.slot, err) &&
               confirm_new(p.slot, sub->name, status, &p.confirm, err)) {
        ok = run(&p, err);
    }
    bool tell = confirm_registered(p.confirm) && (ok || err->code != ERR_FENCED);
    if (tell)
        confirm_settle(p.confirm, p.dest, &p.progress);
    atomic_store(&status->state, ok ? SUB_STOPPED : SUB_ERROR);
    sub_status_error(status, ok ? "" : err->msg);
    struct err why;
    if (tell && !confirm_tell_end(p.confirm, ok ? "stopped" : "error", ok ? "" : err->msg, &why) && ok) {
        *err = why;
        ok = false;
    }
    workers_free(p.workers);
    for (unsigned i = 0; i < sub->workers; i++)
        close_dest(&p, i);
    confirm_free(p.confirm);
    slot_close(p.slot);
    if (ok)
        slog(SLOG_INFO, "subscription_stopped", kv_s("subscription", sub->name), kv_u("applied_lsn", p.progress.lsn),
             kv_u("changes", p.progress.changes));
    return ok;
}
