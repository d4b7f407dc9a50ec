/* log_writer.c - see log_writer.h. */
#include "log_writer.h"

#include "clock.h"
#include "queue.h"
#include "slog.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    QUEUE_FRAMES = 8, /* finished frames waiting: bounds memory with QUEUE_BYTES */
    QUEUE_BYTES = 4 << 20,
    SPARES = 3, /* payload buffers that wait for the next frame: new memory costs its page faults each time */
    SPARE_BYTES = 4 << 20,  /* larger ones are given back */
    GROUP_BYTES = 16 << 20, /* written between two fsyncs at most while more comes */
    BULK_BYTES = 256 << 10, /* a frame that large was closed for its size, and not because the source is quiet: */
    BULK_WAIT_MS = 10,      /* for so long the next one is waited for before its commits are flushed */
    RETAIN_EVERY_US = 5 * 1000000, /* retention looks at the subscriptions this often, and at each new segment */
    HEARTBEAT_EVERY_US = 1000000
};

enum item_kind { ITEM_FRAME, ITEM_POSITION, ITEM_SCHEMA, ITEM_HEARTBEAT, ITEM_DRAIN, ITEM_CUT };

struct item {
    enum item_kind kind;
    struct frame_info info;
    struct buf payload;
    struct relation_table rels;
    struct source_pos pos;
    uint64_t number; /* of those handed over */
    bool streaming;
};

struct log_writer {
    struct slot *slot;
    struct seg_writer *seg;
    struct slot_retention retention;
    struct capture_status *status;
    struct queue *queue;
    pthread_t thread;
    bool thread_on;
    uint64_t handed; /* the caller's */
    atomic_ullong durable;
    atomic_uint in_hand; /* items pushed and not yet dealt with */
    int idle_fd;         /* an eventfd: written when none is left */

    pthread_mutex_t lock;
    pthread_cond_t drained;
    uint64_t drains_asked, drains_done, next_lsn;
    bool failed;
    struct err error;
    struct buf spares[SPARES];
    unsigned nspares;

    /* the thread's own */
    struct source_pos pos; /* of the last item that had one */
    bool unflushed;        /* appended since the last flush, a commit among it */
    uint64_t unflushed_bytes;
    uint64_t last_commit_lsn;
    uint64_t last_number; /* of the items dealt with */
    bool streaming;       /* as last told */
    int64_t retained_at, beat_at;
    uint64_t encode_us; /* as last published */
};

static void item_free(void *p)
{
    struct item *it = p;
    if (it == NULL)
        return;
    buf_free(&it->payload);
    relation_table_clear(&it->rels);
    source_pos_clear(&it->pos);
    free(it);
}

static void keep_spare(struct log_writer *w, struct buf *b)
{
    if (b->cap == 0 || b->cap > SPARE_BYTES)
        return;
    pthread_mutex_lock(&w->lock);
    if (w->nspares < SPARES) {
        buf_reset(b);
        w->spares[w->nspares++] = *b;
        *b = (struct buf){ 0 };
    }
    pthread_mutex_unlock(&w->lock);
}

static void take_spare(struct log_writer *w, struct buf *b)
{
    pthread_mutex_lock(&w->lock);
    if (w->nspares != 0)
        *b = w->spares[--w->nspares];
    pthread_mutex_unlock(&w->lock);
}

static bool flush(struct log_writer *w, struct err *err)
{
    if (!seg_writer_flush(w->seg, &w->pos, err))
        return false;
    atomic_fetch_add(&w->status->fsyncs, 1);
    atomic_store(&w->status->flushed_lsn, w->last_commit_lsn);
    atomic_store(&w->status->written_bytes, seg_writer_bytes(w->seg));
    w->unflushed = false;
    w->unflushed_bytes = 0;
    w->beat_at = clock_mono_us();
    return true;
}

static void tell_durable(struct log_writer *w)
{
    if (!w->unflushed)
        atomic_store(&w->durable, w->last_number);
}

/* What was flushed, once more, with the time when the source was heard. */
static bool beat(struct log_writer *w, struct err *err)
{
    int64_t heard = atomic_load(&w->status->last_event_us);
    w->beat_at = clock_mono_us();
    return heard == 0 /* not yet in this run: an earlier one's time stays */ ||
           seg_writer_heartbeat(w->seg, heard, w->streaming, atomic_load(&w->status->clock_offset_us), err);
}

static bool write_item(struct log_writer *w, struct item *it, struct err *err)
{
    switch (it->kind) {
    case ITEM_FRAME: {
        if (!seg_writer_append(w->seg, &it->info, buf_view(&it->payload), &it->rels, err))
            return false;
        atomic_fetch_add(&w->status->raw_bytes, it->payload.n);
        atomic_fetch_add(&w->status->frames, 1);
        w->unflushed_bytes += it->payload.n;
        if (it->info.last_commit_lsn != 0) {
            w->last_commit_lsn = it->info.last_commit_lsn;
            w->unflushed = true;
        }
        break;
    }
    case ITEM_POSITION:
        if (!seg_writer_position(w->seg, &it->pos, err))
            return false;
        w->unflushed = true;
        break;
    case ITEM_SCHEMA:
        if (!seg_writer_schema(w->seg, buf_view(&it->payload), err))
            return false;
        break;
    case ITEM_HEARTBEAT:
        w->streaming = it->streaming;
        if (!beat(w, err))
            return false;
        break;
    case ITEM_DRAIN:
    case ITEM_CUT:
        break;
    }
    if (it->kind == ITEM_FRAME || it->kind == ITEM_POSITION) {
        source_pos_clear(&w->pos);
        w->pos = it->pos;
        memset(&it->pos, 0, sizeof it->pos);
    }
    return true;
}

static bool retain(struct log_writer *w, struct err *err)
{
    int64_t now = clock_mono_us();
    if (now - w->retained_at < RETAIN_EVERY_US)
        return true;
    w->retained_at = now;
    size_t removed = 0;
    if (!slot_retain(w->slot, &w->retention, &removed, err))
        return err_ctx(err, "retention");
    if (removed > 0) {
        atomic_fetch_add(&w->status->segments_removed, removed);
        slog(SLOG_INFO, "segments_removed", kv_u("count", removed));
    }
    return true;
}

/* Everything in one place: append, flush when nothing more is coming or a group or the segment is full, answer drains. */
static bool handle(struct log_writer *w, struct item *it, struct err *err)
{
    if (!write_item(w, it, err))
        return false;
    bool barrier = it->kind == ITEM_DRAIN || it->kind == ITEM_CUT;
    bool full = seg_writer_full(w->seg);
    bool more = queue_len(w->queue) != 0 || (it->kind == ITEM_FRAME && it->payload.n >= BULK_BYTES);
    bool due = full || barrier || !more || w->unflushed_bytes >= GROUP_BYTES;
    if (w->unflushed && due && !flush(w, err))
        return false;
    if (full) /* rolled: look at the disk now, a burst may fill it before the next turn */
        w->retained_at = 0;
    w->last_number = it->number;
    tell_durable(w);
    if (clock_mono_us() - w->beat_at >= HEARTBEAT_EVERY_US && !beat(w, err)) /* a large transaction is no silence */
        return false;
    if (barrier) {
        uint64_t next = 0;
        if (it->kind == ITEM_CUT && !seg_writer_cut(w->seg, &next, err))
            return false;
        pthread_mutex_lock(&w->lock);
        w->drains_done++;
        w->next_lsn = next;
        pthread_cond_broadcast(&w->drained);
        pthread_mutex_unlock(&w->lock);
    }
    return retain(w, err);
}

static void publish_times(struct log_writer *w)
{
    const struct seg_writer_times *t = seg_writer_times(w->seg);
    atomic_fetch_add(&w->status->encode_us, t->encode_us - w->encode_us); /* the other part is the caller's */
    w->encode_us = t->encode_us;
    atomic_store(&w->status->compress_us, t->compress_us);
    atomic_store(&w->status->write_us, t->write_us);
    atomic_store(&w->status->fsync_us, t->fsync_us);
    atomic_store(&w->status->seal_us, t->seal_us);
}

static void tell_idle(struct log_writer *w)
{
    uint64_t one = 1;
    ssize_t n = write(w->idle_fd, &one, sizeof one); /* fails only when it was told often enough */
    (void)n;
}

static void *writer_thread(void *arg)
{
    struct log_writer *w = arg;
    struct err err;
    bool ok = true;
    while (ok) {
        struct item *it = queue_pop(w->queue, w->unflushed ? BULK_WAIT_MS : 1000);
        if (it == NULL) {
            ok = !w->unflushed || flush(w, &err);
            tell_durable(w);
            if (ok && queue_closed(w->queue))
                break;
            ok = ok && retain(w, &err);
            continue;
        }
        ok = handle(w, it, &err);
        keep_spare(w, &it->payload);
        item_free(it);
        publish_times(w);
        if (atomic_fetch_sub(&w->in_hand, 1) == 1)
            tell_idle(w);
    }
    if (!ok) {
        pthread_mutex_lock(&w->lock);
        w->failed = true;
        w->error = err;
        pthread_cond_broadcast(&w->drained);
        pthread_mutex_unlock(&w->lock);
        queue_close(w->queue);
        tell_idle(w);
    }
    return NULL;
}

bool log_writer_start(struct slot *slot, struct seg_writer *seg, const struct slot_retention *retention,
                      struct capture_status *status, struct log_writer **out, struct err *err)
{
    struct log_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return err_nomem(err);
    w->slot = slot;
    w->seg = seg;
    w->retention = *retention;
    w->status = status;
    w->last_commit_lsn = atomic_load(&status->flushed_lsn);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->drained, NULL);
    w->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->queue = queue_new(QUEUE_FRAMES, QUEUE_BYTES);
    if (w->queue == NULL || w->idle_fd < 0) {
        err_sys(err, "start the write stage");
        goto fail;
    }
    if (pthread_create(&w->thread, NULL, writer_thread, w) != 0) {
        err_sys(err, "start the write stage");
        goto fail;
    }
    w->thread_on = true;
    *out = w;
    return true;
fail:
    queue_free(w->queue, NULL);
    if (w->idle_fd >= 0)
        close(w->idle_fd);
    free(w);
    return false;
}

/* Why a push failed. */
static bool failed(struct log_writer *w, struct err *err)
{
    pthread_mutex_lock(&w->lock);
    if (w->failed)
        *err = w->error;
    else
        err_set(err, ERR_STOPPED, "the write stage was stopped");
    pthread_mutex_unlock(&w->lock);
    return false;
}

static bool push(struct log_writer *w, struct item *it, struct err *err)
{
    it->number = ++w->handed;
    atomic_fetch_add(&w->in_hand, 1);
    if (queue_push(w->queue, it, it->payload.n))
        return true;
    atomic_fetch_sub(&w->in_hand, 1);
    item_free(it);
    return failed(w, err);
}

static struct item *item_new(enum item_kind kind, const struct source_pos *pos, struct err *err)
{
    struct item *it = calloc(1, sizeof *it);
    if (it == NULL) {
        err_nomem(err);
        return NULL;
    }
    it->kind = kind;
    if (pos != NULL && !source_pos_copy(pos, &it->pos, err)) {
        item_free(it);
        return NULL;
    }
    return it;
}

/* An item for what the builder holds: its relations, and a buffer for its payload. */
static struct item *frame_item(struct log_writer *w, const struct frame_builder *b, const struct source_pos *pos,
                               struct err *err)
{
    struct item *it = item_new(ITEM_FRAME, pos, err);
    if (it == NULL)
        return NULL;
    if (!relation_table_list(&it->rels, frame_builder_relations(b), err)) {
        item_free(it);
        return NULL;
    }
    take_spare(w, &it->payload);
    return it;
}

bool log_writer_frame(struct log_writer *w, struct frame_builder *b, const struct source_pos *pos, struct err *err)
{
    if (frame_builder_records(b) == 0)
        return true;
    struct item *it = frame_item(w, b, pos, err);
    if (it == NULL)
        return false;
    if (frame_builder_finish(b, &it->payload, &it->info, err))
        return push(w, it, err);
    item_free(it);
    return false;
}

bool log_writer_split(struct log_writer *w, struct frame_builder *b, const struct source_pos *pos, struct err *err)
{
    bool split = false;
    if (frame_builder_commits(b) == 0 || !frame_builder_inside(b))
        return true;
    struct item *it = frame_item(w, b, pos, err);
    if (it == NULL)
        return false;
    bool ok = frame_builder_split(b, &it->payload, &it->info, &split, err);
    if (split)
        return push(w, it, err);
    item_free(it);
    return ok;
}

bool log_writer_idle(struct log_writer *w)
{
    uint64_t told;
    ssize_t n = read(w->idle_fd, &told, sizeof told); /* before the question: what comes behind it, is told again */
    (void)n;
    return atomic_load(&w->in_hand) == 0 || queue_closed(w->queue);
}

int log_writer_idle_fd(const struct log_writer *w)
{
    return w->idle_fd;
}

uint64_t log_writer_wait_us(const struct log_writer *w)
{
    return queue_push_wait_us(w->queue);
}

bool log_writer_position(struct log_writer *w, const struct source_pos *pos, struct err *err)
{
    struct item *it = item_new(ITEM_POSITION, pos, err);
    return it != NULL && push(w, it, err);
}

bool log_writer_schema(struct log_writer *w, struct bytes change, struct err *err)
{
    struct item *it = item_new(ITEM_SCHEMA, NULL, err);
    if (it == NULL)
        return false;
    buf_bytes(&it->payload, change);
    if (buf_ok(&it->payload, err))
        return push(w, it, err);
    item_free(it);
    return false;
}

bool log_writer_heartbeat(struct log_writer *w, bool streaming, struct err *err)
{
    if (queue_closed(w->queue))
        return failed(w, err);
    if (queue_len(w->queue) > 0)
        return true;
    struct item *it = item_new(ITEM_HEARTBEAT, NULL, err);
    if (it == NULL)
        return false;
    it->streaming = streaming;
    return push(w, it, err);
}

bool log_writer_drain(struct log_writer *w, bool cut, uint64_t *next_lsn, struct err *err)
{
    struct item *it = item_new(cut ? ITEM_CUT : ITEM_DRAIN, NULL, err);
    if (it == NULL || !push(w, it, err))
        return false;
    pthread_mutex_lock(&w->lock);
    uint64_t mine = ++w->drains_asked;
    while (w->drains_done < mine && !w->failed)
        pthread_cond_wait(&w->drained, &w->lock);
    bool ok = !w->failed;
    if (ok && cut && next_lsn != NULL)
        *next_lsn = w->next_lsn;
    pthread_mutex_unlock(&w->lock);
    return ok || failed(w, err);
}

uint64_t log_writer_handed(const struct log_writer *w)
{
    return w->handed;
}

uint64_t log_writer_durable(const struct log_writer *w)
{
    return atomic_load(&w->durable);
}

bool log_writer_stop(struct log_writer **wp, struct err *err)
{
    struct log_writer *w = *wp;
    if (w == NULL)
        return true;
    queue_close(w->queue);
    if (w->thread_on)
        pthread_join(w->thread, NULL);
    bool ok = true;
    if (w->failed) {
        *err = w->error;
        ok = false;
    }
    struct err close_err;
    if (!seg_writer_close(&w->seg, ok ? err : &close_err))
        ok = false;
    queue_free(w->queue, item_free);
    while (w->nspares != 0)
        buf_free(&w->spares[--w->nspares]);
    source_pos_clear(&w->pos);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->drained);
    close(w->idle_fd);
    free(w);
    *wp = NULL;
    return ok;
}
