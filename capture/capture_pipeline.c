/* capture_pipeline.c - see capture_pipeline.h. Two stages: this thread fetches, decodes and encodes; log_writer writes and fsyncs.
 *
 * I2: whenever a connection ends, what lies behind the last whole commit is cut from the log, and the next connection asks for what
 * follows exactly there. */
#include "capture_pipeline.h"

#include "binlog_client.h"
#include "binlog_files.h"
#include "binlog_stream.h"
#include "clock.h"
#include "fault.h"
#include "file.h"
#include "log_writer.h"
#include "preflight.h"
#include "schema_history.h"
#include "slog.h"
#include "source_file.h"
#include "stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 30000,
    STEADY_US = 5000000, /* a connection that lasted this long was a good one */
    TICK_EVERY_EVENTS = 256,
    TICK_EVERY_BYTES = 2 << 20,
    REST_WITHIN_MS = 20, /* what is left of a transaction follows at once: the source sends it from a finished file */
    HEARTBEAT_EVERY_US = 1000000,
    PREFLIGHT_TIMEOUT_S = 120,
    /* Bytes of a frame for each table in it, before it is full: a table costs a frame as much as some rows do. But no more than so many times
     * the size that was asked for, nor than so many bytes. */
    TABLE_SHARE = 1024,
    FRAME_MORE = 4,
    FRAME_MOST = FRAME_SIZE_MAX / 2
};

struct pipeline;
struct event_source { /* where the events come from: a connection to a server, or files */
    bool (*connect)(struct pipeline *p, struct err *err); /* opens the log, too; err->transient: try again */
    /* A new slot's start into *pos, an old one's position checked: can we go on there? */
    bool (*locate)(struct pipeline *p, const struct source_status *now, bool new_slot, struct source_pos *pos,
                   struct err *err);
    bool (*at_hand)(struct pipeline *p, struct bytes *event); /* an event without any waiting; NULL: fetch has it */
    enum fetch_result (*fetch)(struct pipeline *p, struct bytes *event, struct err *err);
    bool (*pending)(struct pipeline *p); /* false: a fetch might block */
    bool (*wait)(struct pipeline *p, int also,
                 int timeout_ms);                  /* as binlog_client_wait; called only when nothing is pending */
    uint64_t (*read_us)(const struct pipeline *p); /* time spent in fetch so far */
    bool ends; /* FETCH_END is the end of all that there is; else the connection's */
};

struct pipeline {
    const struct capture_options *o;
    const struct event_source *events;
    struct binlog_files *files; /* --from-file */
    struct capture_status *status;
    struct source_url url, schema_url;
    struct schema_history *history; /* NULL: TABLE_MAP has the names */
    struct pattern *tables;
    struct slot *slot;
    struct log_writer *writer;
    struct binlog_stream *stream;
    struct xa_store *xa;
    struct frame_builder *frame;
    char replica_uuid[37];
    uint32_t server_id;

    pthread_mutex_t lock; /* client, against the stop watcher */
    struct binlog_client *client;

    bool have_target; /* --once: where the source stood at the start */
    struct source_pos target;
    bool at_boundary; /* the last event ended between transactions */
    bool continues;   /* the frame goes on with a transaction of an earlier one: it ends with that one's commit */
    bool committed;   /* since the last tick: what was committed says the position */
    int64_t position_at_us, heartbeat_at_us;
    size_t size_at_commit; /* of the frame, behind its last commit */
    size_t frame_size;     /* what it may become */
    int64_t metered_at_us; /* up to when the stage times of this thread are accounted for */
    uint64_t read_us, encode_us, wait_us;
    bool preflight_done;
    char version[128];      /* of the server that the log was opened for */
    uint64_t replaced_told; /* of the texts that --invalid-text replaced, as last logged */
};

/* A blocked fetch does not see a signal: this thread does, and breaks the connection. Once: later ones are broken when they are set. */
static void *stop_watcher(void *arg)
{
    struct pipeline *p = arg;
    struct pollfd fd = { .fd = stop_fd(), .events = POLLIN };
    while (poll(&fd, 1, -1) < 0) {
    }
    pthread_mutex_lock(&p->lock);
    if (p->client != NULL)
        binlog_client_abort(p->client);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void set_client(struct pipeline *p, struct binlog_client *c)
{
    pthread_mutex_lock(&p->lock);
    struct binlog_client *old = p->client;
    p->client = c;
    if (c != NULL && stop_level() != STOP_NO) /* the watcher came while there was none */
        binlog_client_abort(c);
    pthread_mutex_unlock(&p->lock);
    if (old != NULL && c == NULL)
        binlog_client_close(old);
}

/* "mysql-bin.000010" comes after "mysql-bin.000009" and before "mysql-bin.1000000". */
static int compare_files(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na != nb)
        return na < nb ? -1 : 1;
    return strcmp(a, b);
}

static bool position_covers(const struct source_pos *pos, const struct source_pos *target)
{
    if (target->flavor != GTID_NONE &&
        pos->flavor != GTID_NONE) /* a slot made without GTIDs goes on by file and offset */
        return gtid_set_subset(target->gtids, pos->gtids);
    int c = compare_files(pos->file, target->file);
    return c > 0 || (c == 0 && pos->offset >= target->offset);
}

static void publish_position(struct pipeline *p)
{
    const struct binlog_stream_stats *st = binlog_stream_stats(p->stream);
    atomic_store(&p->status->events, st->events);
    atomic_store(&p->status->received_bytes, st->event_bytes);
    atomic_store(&p->status->transactions, st->transactions);
    atomic_store(&p->status->captured_transactions, st->captured_transactions);
    atomic_store(&p->status->inserts, st->inserts);
    atomic_store(&p->status->updates, st->updates);
    atomic_store(&p->status->deletes, st->deletes);
    atomic_store(&p->status->ddl, st->ddl);
    if (st->replaced_texts / 2 >= p->replaced_told && st->replaced_texts != 0) { /* not for each */
        slog(SLOG_WARN, "invalid_text_replaced", kv_u("texts", st->replaced_texts));
        p->replaced_told = st->replaced_texts;
    }
    atomic_store(&p->status->replaced_texts, st->replaced_texts);
    atomic_store(&p->status->renamed_in, st->renamed_in);
    atomic_store(&p->status->commit_us, binlog_stream_commit_us(p->stream));
}

/* What was handed on says of each XA transaction that ended that it did, unless the position goes beyond it. */
static void note_handed(struct pipeline *p)
{
    if (!binlog_stream_moved(p->stream))
        xa_store_handed(p->xa, log_writer_handed(p->writer));
}

static void begin_frame(struct pipeline *p, uint64_t first_lsn, bool inside)
{
    p->frame_size = p->o->frame_size;
    p->continues = inside;
    frame_builder_reset(p->frame, first_lsn, inside);
}

/* Hands the gathered records on and begins the next frame behind them. */
static bool close_frame(struct pipeline *p, struct err *err)
{
    if (frame_builder_records(p->frame) == 0)
        return true;
    if (!xa_store_sync(p->xa, err) || !log_writer_frame(p->writer, p->frame, binlog_stream_position(p->stream), err))
        return false;
    note_handed(p);
    p->size_at_commit = 0;
    begin_frame(p, frame_builder_next_lsn(p->frame), frame_builder_inside(p->frame));
    return true;
}

static bool write_position(struct pipeline *p, struct err *err)
{
    if (!close_frame(p, err) || !xa_store_sync(p->xa, err) ||
        !log_writer_position(p->writer, binlog_stream_position(p->stream), err))
        return false;
    binlog_stream_position_written(p->stream);
    note_handed(p);
    p->position_at_us = clock_mono_us();
    return true;
}

/* Complete transactions in front of the open one, on their own. */
static bool split_frame(struct pipeline *p, struct err *err)
{
    if (!xa_store_sync(p->xa, err) || !log_writer_split(p->writer, p->frame, binlog_stream_position(p->stream), err))
        return false;
    note_handed(p);
    return true;
}

/* A frame that thousands of tables share may become larger: else it would have hardly a row of each. */
static bool may_grow(struct pipeline *p)
{
    size_t want = (size_t)frame_builder_relations(p->frame)->n * TABLE_SHARE, most = p->o->frame_size * FRAME_MORE;
    most = most < FRAME_MOST ? most : FRAME_MOST;
    want = want < most ? want : most;
    if (want <= p->frame_size)
        return false;
    p->frame_size = want;
    return true;
}

/* The builder is full inside a transaction: complete ones go first; the open one's part follows when it is still large. */
static bool spill_inside(struct pipeline *p, struct err *err)
{
    if (may_grow(p))
        return true;
    if (!split_frame(p, err))
        return false;
    p->size_at_commit = 0;
    fault_point("capture.mid_transaction");
    return frame_builder_size(p->frame) < p->frame_size || close_frame(p, err);
}

/* Hands the complete transactions on, so that they do not wait for the end of the one that is open. */
static bool hand_on(struct pipeline *p, struct err *err)
{
    p->size_at_commit = 0;
    return frame_builder_inside(p->frame) ? split_frame(p, err) : close_frame(p, err);
}

/* What the transaction that just ended changed in the schema history goes to the log at once, in front of what says that the position
 * is behind it: its COMMIT, which is the last record in the builder, or a position where nothing of it was captured. */
static bool note_schema(struct pipeline *p, bool committed, struct err *err)
{
    struct bytes change = { NULL, 0 };
    if (p->history == NULL)
        return true;
    if (!schema_history_change(p->history, &change, err))
        return false;
    if (change.n == 0)
        return true;
    if ((!committed && !close_frame(p, err)) || !log_writer_schema(p->writer, change, err))
        return false;
    schema_history_written(p->history);
    return committed ? close_frame(p, err) : write_position(p, err);
}

/* Drops the open transaction's records, here and on disk (I2). */
static bool cut_open_transaction(struct pipeline *p, struct err *err)
{
    uint64_t next = 0;
    if (!hand_on(p, err) || !log_writer_drain(p->writer, true, &next, err))
        return false;
    begin_frame(p, next, false);
    return true;
}

/* The end of a connection, whatever the reason: the log holds each whole transaction that came, and nothing else; and the position that
 * filtered ones moved, or runs that end soon (--once) would never note it. */
static bool settle(struct pipeline *p, struct err *err)
{
    if (!cut_open_transaction(p, err))
        return false;
    if (binlog_stream_moved(p->stream) && (!write_position(p, err) || !log_writer_drain(p->writer, false, NULL, err)))
        return false;
    return log_writer_heartbeat(p->writer, false, err);
}

enum pump { PUMP_MORE, PUMP_DONE, PUMP_BROKEN /* the connection: try again */, PUMP_FAIL };

static bool note_file(struct pipeline *p, struct err *err)
{
    const char *name;
    uint32_t made;
    return !binlog_stream_new_file(p->stream, &name, &made) || source_file_note(slot_dirfd(p->slot), name, made, err);
}

/* How large the frame may become inside a transaction. Behind complete ones a short one may finish: a split costs as much as the frame. */
static size_t size_inside(const struct pipeline *p)
{
    return frame_builder_commits(p->frame) > 0 ? p->frame_size + p->frame_size / 4 : p->frame_size;
}

/* Or would be with another transaction like the last. */
static bool full_at_commit(struct pipeline *p)
{
    size_t size = frame_builder_size(p->frame), last = size - p->size_at_commit;
    p->size_at_commit = size;
    return (size >= p->frame_size || size + last > size_inside(p)) && !may_grow(p);
}

static enum pump handle_event(struct pipeline *p, struct bytes event, struct err *err)
{
    enum stream_step step = binlog_stream_event(p->stream, event, p->frame, size_inside(p), err);
    while (step == STREAM_ROWS_FULL) {
        if (!spill_inside(p, err))
            return PUMP_FAIL;
        step = binlog_stream_continue(p->stream, p->frame, size_inside(p), err);
    }
    p->at_boundary = step != STREAM_INSIDE;
    switch (step) {
    case STREAM_FAIL:
        return PUMP_FAIL;
    case STREAM_AGAIN:
        return PUMP_BROKEN;
    case STREAM_ABANDONED: /* rolled back, or the source restarted before its end */
        slog(SLOG_INFO, "transaction_dropped", kv_u("next_lsn", frame_builder_next_lsn(p->frame)));
        if (!cut_open_transaction(p, err))
            return PUMP_FAIL;
        break;
    case STREAM_COMMIT:
        if (!note_schema(p, true, err))
            return PUMP_FAIL;
        if ((p->continues || full_at_commit(p)) && !close_frame(p, err))
            return PUMP_FAIL;
        p->committed = true;
        break;
    case STREAM_BOUNDARY:
        if (!note_file(p, err) || !note_schema(p, false, err))
            return PUMP_FAIL;
        if (binlog_stream_filtered(p->stream) >= (16u << 20) && !write_position(p, err))
            return PUMP_FAIL;
        break;
    case STREAM_INSIDE:
    case STREAM_ROWS_FULL:
        return PUMP_MORE;
    }
    if (p->have_target && position_covers(binlog_stream_position(p->stream), &p->target))
        return PUMP_DONE;
    return PUMP_MORE;
}

static uint64_t since(uint64_t *seen, uint64_t now)
{
    uint64_t d = now - *seen;
    *seen = now;
    return d;
}

static void meter_start(struct pipeline *p, int64_t now)
{
    p->metered_at_us = now;
    p->read_us = p->events->read_us(p);
    p->encode_us = frame_builder_encode_us(p->frame);
    p->wait_us = log_writer_wait_us(p->writer);
}

/* Stage times of this thread. The clock is read by the batch: decoding is what remains of the time. */
static void meter(struct pipeline *p, int64_t now)
{
    uint64_t all = (uint64_t)(now - p->metered_at_us), encode = since(&p->encode_us, frame_builder_encode_us(p->frame));
    uint64_t read = since(&p->read_us, p->events->read_us(p));
    uint64_t others = read + encode + since(&p->wait_us, log_writer_wait_us(p->writer));
    p->metered_at_us = now;
    atomic_fetch_add(&p->status->read_us, read);
    atomic_fetch_add(&p->status->encode_us, encode);
    atomic_fetch_add(&p->status->decode_us, all > others ? all - others : 0);
}

/* What is due by time: a position frame (between transactions), the sign of life in `state`, what /api/v1/status shows. */
static bool tick(struct pipeline *p, struct err *err)
{
    int64_t now = clock_mono_us();
    meter(p, now);
    publish_position(p);
    if (p->committed)
        p->position_at_us = now;
    p->committed = false;
    if (!xa_store_clean(p->xa, log_writer_durable(p->writer), err))
        return false;
    if (p->at_boundary && binlog_stream_moved(p->stream) &&
        now - p->position_at_us >= (int64_t)p->o->position_every_ms * 1000 && !write_position(p, err))
        return false;
    if (now - p->heartbeat_at_us >= HEARTBEAT_EVERY_US) {
        p->heartbeat_at_us = now;
        if (!log_writer_heartbeat(p->writer, true, err))
            return false;
        struct buf t = { 0 };
        source_pos_text(binlog_stream_position(p->stream), &t);
        capture_status_text(p->status, p->status->position, sizeof p->status->position, buf_cstr(&t));
        buf_free(&t);
    }
    return true;
}

/* The source is silent: nothing that could be durable may wait in memory. While the writer is busy it would only wait there, in a small
 * frame: then what comes meanwhile is taken along. */
static bool on_silence(struct pipeline *p, struct err *err)
{
    if (frame_builder_records(p->frame) == 0 || (!p->at_boundary && frame_builder_commits(p->frame) == 0))
        return true;
    if (!p->at_boundary && p->events->wait(p, -1, REST_WITHIN_MS))
        return true;
    while (!log_writer_idle(p->writer))
        if (p->events->wait(p, log_writer_idle_fd(p->writer), -1))
            return true;
    return hand_on(p, err);
}

static enum pump pump(struct pipeline *p, struct err *err)
{
    unsigned since_tick = 0, inside = 0; /* events: since a tick, of the open transaction */
    size_t bytes = 0;                    /* since a tick */
    meter_start(p, clock_mono_us());
    for (;;) {
        struct bytes event;
        bool at_hand = p->events->at_hand != NULL && p->events->at_hand(p, &event);
        bool silent = !at_hand && !p->events->pending(p);
        if (silent && stop_level() == STOP_NO && !on_silence(p, err))
            return PUMP_FAIL;
        /* By the batch: several reads of the clock an event cost a fifth of the time of small transactions. */
        bool due = silent || ++since_tick >= TICK_EVERY_EVENTS || bytes >= TICK_EVERY_BYTES;
        if (due) {
            since_tick = 0;
            bytes = 0;
            if (stop_level() != STOP_NO)
                return PUMP_DONE;
            if (!tick(p, err))
                return PUMP_FAIL;
        }
        inside = p->at_boundary ? 0 : inside + 1;
        if (inside == TICK_EVERY_EVENTS && !hand_on(p, err))
            return PUMP_FAIL;
        enum fetch_result f = at_hand ? FETCH_EVENT : p->events->fetch(p, &event, err);
        if (f == FETCH_FAIL)
            return stop_level() != STOP_NO ? PUMP_DONE : err->transient ? PUMP_BROKEN : PUMP_FAIL;
        if (f == FETCH_END && p->events->ends)
            return PUMP_DONE;
        if (f == FETCH_END) {
            err_set(err, ERR_NET, "the source ended the stream (is it shutting down?)");
            err->transient = true;
            return PUMP_BROKEN;
        }
        bytes += event.n;
        if (due)
            atomic_store(&p->status->last_event_us, clock_wall_us());
        enum pump r = handle_event(p, event, err);
        if (r != PUMP_MORE)
            return r;
    }
}

/* --- connecting --- */

static bool report_preflight(const struct preflight *pf, struct err *err)
{
    const struct finding *first = NULL;
    for (size_t i = 0; i < pf->n; i++) {
        const struct finding *f = &pf->v[i];
        if (f->level == FIND_FAIL && first == NULL)
            first = f;
        if (f->level == FIND_FAIL || f->level == FIND_WARN)
            slog(f->level == FIND_FAIL ? SLOG_ERROR : SLOG_WARN, "preflight", kv_s("check", f->check),
                 kv_s("found", f->text), kv_s("mend", f->mend));
    }
    if (first == NULL)
        return true;
    return err_set(err, ERR_CONFIG,
                   "the source cannot be captured (%zu of %zu checks failed); first: %s; mend it with: %s",
                   pf->failures, pf->n, first->text, first->mend);
}

/* Preflight reads system tables, which takes its time on a server with many: its own connection, not bound to three heartbeats. */
static bool preflight(struct pipeline *p, struct err *err)
{
    struct preflight pf = { 0 };
    struct preflight_options po = { .tables = p->tables,
                                    .server_id = p->server_id,
                                    .schema_server = p->o->schema_server != NULL,
                                    .accept_unlogged_cascades = p->o->accept_unlogged_cascades };
    struct binlog_client *c = NULL;
    struct slot_segment *segments;
    size_t n;
    if (!slot_segments(p->slot, &segments, &n, err))
        return false;
    free(segments);
    po.goes_on = n > 0;
    po.starts_now = n == 0 && (p->o->start == NULL || strcmp(p->o->start, "now") == 0);
    if (!binlog_client_connect(&p->url, PREFLIGHT_TIMEOUT_S, &c, err))
        return false;
    set_client(p, c);
    bool ok = preflight_run(c, &po, &pf, err) && report_preflight(&pf, err);
    preflight_clear(&pf);
    set_client(p, NULL);
    p->preflight_done = ok;
    return ok;
}

static bool check_source(struct pipeline *p, struct source_status *now, struct err *err)
{
    if (!source_status_read(p->client, now, err))
        return false;
    atomic_store(&p->status->clock_offset_us, now->clock_offset_us);
    if (p->o->once && !p->have_target) {
        if (!source_pos_copy(&now->current, &p->target, err))
            return false;
        p->have_target = true;
    }
    return true;
}

static bool start_stream(struct pipeline *p, const struct source_pos *from, struct err *err)
{
    struct binlog_stream_options so = { .tables = p->tables,
                                        .xa = p->xa,
                                        .replace_invalid_text = strcmp(p->o->invalid_text, "replace") == 0,
                                        .max_event = p->o->max_event };
    if (p->history != NULL)
        so.schema = schema_history_source(p->history);
    return binlog_stream_new(&so, from, &p->stream, err);
}

/* A change of the table list is a record in the log, so that a reader of it can tell from where on what was taken. */
static bool note_publication(struct pipeline *p, bool new_slot, struct err *err)
{
    const char *tables = p->o->tables == NULL ? "" : p->o->tables;
    struct buf before = { 0 };
    bool known = file_read(slot_dirfd(p->slot), "publication", 1 << 20, &before, err);
    bool ok = known || err->sys == ENOENT;
    bool same = known && bytes_eq_str(buf_view(&before), tables);
    if (ok && !same) {
        if (!new_slot) {
            slog(SLOG_INFO, "publication_changed", kv_s("tables", tables));
            ok = binlog_stream_message(p->stream, "publication", bytes_str(tables), clock_wall_us(), p->frame, err) &&
                 close_frame(p, err) && log_writer_drain(p->writer, false, NULL, err);
        }
        ok = ok && file_replace(slot_dirfd(p->slot), "publication", bytes_str(tables), 0640, err);
    }
    buf_free(&before);
    return ok;
}

static bool read_position(void *ctx, struct binlog_client *source, struct err *err)
{
    struct source_status *now = ctx;
    source_status_clear(now);
    return source_status_read(source, now, err);
}

/* The schema history at the log's position; of a new slot, it and the position are taken together. */
static bool open_history(struct pipeline *p, struct seg_writer *seg, struct seg_recovered *rec,
                         struct source_status *now, struct err *err)
{
    if (p->o->schema_server == NULL) {
        if (rec->schema.n != 0)
            slog(SLOG_WARN, "schema_history_dropped", kv_s("why", "--schema-server is not given any more"));
        return seg_writer_schema(seg, (struct bytes){ NULL, 0 }, err);
    }
    if (!schema_history_open(&p->schema_url, p->tables, p->replica_uuid, p->client, &p->history, err))
        return false;
    if (!rec->empty && rec->schema.n == 0)
        return err_set(
            err, ERR_CONFIG,
            "the slot has no schema history, and how the tables were at its position cannot be found out now: "
            "start a new slot with --schema-server from a fresh copy of the tables");
    if (!rec->empty)
        return schema_history_resume(p->history, &rec->schema, err);
    struct buf complete = { 0 };
    bool ok = schema_history_begin(p->history, p->client, read_position, now, err) &&
              source_pos_copy(&now->current, &rec->pos, err);
    if (ok)
        schema_history_encode(p->history, &complete);
    ok = ok && buf_ok(&complete, err) && seg_writer_schema(seg, buf_view(&complete), err);
    buf_free(&complete);
    return ok;
}

/* The first connection of this run, or to another server: recovers the log, decides where to go on. */
static bool open_log(struct pipeline *p, struct source_status *now, const char *version, struct err *err)
{
    struct seg_writer_options wo = { .segment_size = p->o->segment_size,
                                     .merge_below = (uint32_t)(p->o->frame_size / 2),
                                     .frame_size = (uint32_t)p->o->frame_size };
    struct seg_writer *seg = NULL;
    struct seg_recovered rec = { 0 };
    struct slot_retention keep = { .reserve_percent = (unsigned)p->o->disk_reserve, .max_bytes = p->o->max_slot_size };
    bool ok = false;
    if (!seg_writer_recover(p->slot, &wo, &seg, &rec, err))
        return false;
    if (!open_history(p, seg, &rec, now, err))
        goto out;
    if (!rec.empty && rec.cut_bytes > 0)
        slog(SLOG_INFO, "torn_tail_cut", kv_u("bytes", rec.cut_bytes), kv_u("flushed_lsn", rec.flushed_lsn));
    if (!p->events->locate(p, now, rec.empty && p->history == NULL, &rec.pos, err) ||
        !xa_store_open(slot_dirfd(p->slot), slot_uuid(p->slot), &rec.pos, &p->xa, err) ||
        !seg_writer_start(seg, now->current.server, version, &rec.pos, err))
        goto out;
    snprintf(p->version, sizeof p->version, "%s", version);
    atomic_store(&p->status->flushed_lsn, rec.flushed_lsn);
    if (!log_writer_start(p->slot, seg, &keep, p->status, &p->writer, err))
        goto out;
    seg = NULL; /* the writer's now */
    begin_frame(p, rec.next_lsn, false);
    ok = start_stream(p, &rec.pos, err) && note_publication(p, rec.empty, err);
out:
    if (seg != NULL) {
        struct err ignored;
        seg_writer_close(&seg, &ignored);
    }
    if (p->writer == NULL) {
        xa_store_close(p->xa);
        p->xa = NULL;
    }
    source_pos_clear(&rec.pos);
    schema_set_clear(&rec.schema);
    if (!ok && p->stream == NULL) { /* else the stream has it */
        schema_history_close(p->history);
        p->history = NULL;
    }
    return ok;
}

/* What was handed on is durable then. */
static bool stop_writer(struct pipeline *p, struct err *err)
{
    binlog_stream_free(p->stream);
    p->stream = NULL;
    schema_history_close(p->history);
    p->history = NULL;
    bool ok = log_writer_stop(&p->writer, err) && xa_store_clean(p->xa, UINT64_MAX, err);
    xa_store_close(p->xa);
    p->xa = NULL;
    return ok;
}

/* A segment says whose offsets it holds: another server (a failover), or a newer version, begins a new one, and is examined anew. */
static bool close_log(struct pipeline *p, const struct source_status *now, struct err *err)
{
    slog(SLOG_INFO, "source_changed", kv_s("from", binlog_stream_position(p->stream)->server),
         kv_s("to", now->current.server), kv_s("version", binlog_client_version_text(p->client)));
    p->preflight_done = false;
    return stop_writer(p, err);
}

static bool is_other_server(const struct pipeline *p, const struct source_status *now)
{
    return strcmp(binlog_stream_position(p->stream)->server, now->current.server) != 0 ||
           strcmp(p->version, binlog_client_version_text(p->client)) != 0;
}

static void log_streaming(const struct pipeline *p, const char *version, const char *client, int64_t clock_offset_us)
{
    struct buf t = { 0 };
    source_pos_text(binlog_stream_position(p->stream), &t);
    slog(SLOG_INFO, "streaming", kv_s("server", version), kv_s("client", client), kv_u("server_id", p->server_id),
         kv_s("from", buf_cstr(&t)), kv_i("clock_offset_us", clock_offset_us),
         kv_u("next_lsn", frame_builder_next_lsn(p->frame)));
    buf_free(&t);
}

static void mark_connected(struct pipeline *p)
{
    p->at_boundary = true;
    atomic_store(&p->status->connected, true);
    atomic_store(&p->status->last_event_us, clock_wall_us());
    p->position_at_us = clock_mono_us();
    capture_status_text(p->status, p->status->error, sizeof p->status->error, "");
}

static bool locate_server(struct pipeline *p, const struct source_status *now, bool new_slot, struct source_pos *pos,
                          struct err *err)
{
    return (!new_slot || source_start_position(p->client, now, p->o->start, pos, err)) &&
           source_can_resume(p->client, now, pos, err);
}

static enum fetch_result fetch_server(struct pipeline *p, struct bytes *event, struct err *err)
{
    return binlog_client_fetch(p->client, event, err);
}

static bool at_hand_server(struct pipeline *p, struct bytes *event)
{
    return binlog_client_at_hand(p->client, event);
}

static bool pending_server(struct pipeline *p)
{
    return binlog_client_pending(p->client);
}

static bool connect_server(struct pipeline *p, struct err *err)
{
    struct source_status now = { 0 };
    struct binlog_client *c = NULL;
    unsigned timeout_s = (unsigned)((3 * p->o->heartbeat_ms + 999) / 1000);
    if (!p->preflight_done && !preflight(p, err))
        return false;
    if (!binlog_client_connect(&p->url, timeout_s < 3 ? 3 : timeout_s, &c, err))
        return false;
    set_client(p, c);
    if (!check_source(p, &now, err))
        goto fail;
    if (p->writer == NULL) {
        if (!open_log(p, &now, binlog_client_version_text(c), err))
            goto fail;
    } else if (!source_can_resume(c, &now, binlog_stream_position(p->stream), err)) {
        goto fail;
    } else if (is_other_server(p, &now)) {
        bool closed = close_log(p, &now, err);
        source_status_clear(&now);
        set_client(p, NULL);
        return closed && connect_server(p, err); /* with no log open, it does not come here again */
    }
    const struct source_pos *from = binlog_stream_position(p->stream);
    bool by_gtid = from->flavor != GTID_NONE;
    struct dump_request r = {
        .server_id = p->server_id, .heartbeat_ms = p->o->heartbeat_ms, .from = from, .by_gtid = by_gtid
    };
    memcpy(r.replica_uuid, p->replica_uuid, sizeof r.replica_uuid);
    if (p->have_target && !by_gtid && p->target.file[0] == '\0') {
        p->have_target = false;
        source_pos_clear(&p->target);
        err_set(err, ERR_NET, "the source writes too fast to tell the offset where it stands, which --once needs here");
        err->transient = true;
        goto fail;
    }
    if (p->have_target && position_covers(from, &p->target)) {
        source_status_clear(&now);
        return true; /* nothing to fetch: the caller sees it */
    }
    if (!binlog_client_dump(c, &r, err))
        goto fail;
    binlog_stream_reconnect(p->stream, now.current.server, !by_gtid && from->offset > UINT32_MAX);
    mark_connected(p);
    log_streaming(p, binlog_client_version_text(c), binlog_client_library(), now.clock_offset_us);
    if (!log_writer_heartbeat(p->writer, true, err))
        goto fail;
    source_status_clear(&now);
    return true;
fail:
    source_status_clear(&now);
    set_client(p, NULL);
    return false;
}

static bool wait_server(struct pipeline *p, int also, int timeout_ms)
{
    return binlog_client_wait(p->client, also, timeout_ms);
}

static uint64_t read_us_server(const struct pipeline *p)
{
    return binlog_client_read_us(p->client);
}

static const struct event_source from_server = { connect_server, locate_server, at_hand_server, fetch_server,
                                                 pending_server, wait_server,   read_us_server, false };

/* --- files --- */

static bool locate_files(struct pipeline *p, const struct source_status *now, bool new_slot, struct source_pos *pos,
                         struct err *err)
{
    (void)now;
    return (!new_slot || binlog_files_start(p->files, p->o->start, pos, err)) && binlog_files_dump(p->files, pos, err);
}

static enum fetch_result fetch_files(struct pipeline *p, struct bytes *event, struct err *err)
{
    enum fetch_result r = binlog_files_fetch(p->files, event, err);
    if (r == FETCH_END && !p->at_boundary)
        slog(SLOG_WARN, "unfinished_transaction",
             kv_s("found", "the last file ends inside a transaction: it is not "
                           "captured yet"));
    return r;
}

static bool pending_files(struct pipeline *p)
{
    (void)p;
    return true;
}

static bool connect_files(struct pipeline *p, struct err *err)
{
    const struct opt_list *a = &p->o->from_file, *b = &p->o->more_files;
    const char **paths = calloc(a->n + b->n, sizeof *paths);
    if (paths == NULL)
        return err_nomem(err);
    memcpy(paths, a->v, a->n * sizeof *paths);
    if (b->n != 0)
        memcpy(paths + a->n, b->v, b->n * sizeof *paths);
    binlog_files_close(p->files);
    p->files = NULL;
    bool ok = binlog_files_open(paths, a->n + b->n, p->o->max_event, &p->files, err);
    free(paths);
    if (!ok)
        return false;
    struct source_status now = { 0 };
    snprintf(now.current.server, sizeof now.current.server, "%s", binlog_files_server(p->files));
    if (p->writer == NULL ? !open_log(p, &now, binlog_files_version(p->files), err)
                          : !binlog_files_dump(p->files, binlog_stream_position(p->stream), err))
        return false;
    binlog_stream_reconnect(p->stream, now.current.server, false);
    mark_connected(p);
    log_streaming(p, binlog_files_version(p->files), "files", 0);
    return log_writer_heartbeat(p->writer, true, err);
}

static bool wait_files(struct pipeline *p, int also, int timeout_ms)
{
    (void)p;
    (void)also;
    (void)timeout_ms;
    return true;
}

static uint64_t read_us_files(const struct pipeline *p)
{
    (void)p;
    return 0; /* read through a large window: counted with decoding */
}

static const struct event_source from_files = { connect_files, locate_files, NULL,          fetch_files,
                                                pending_files, wait_files,   read_us_files, true };

static void disconnect(struct pipeline *p)
{
    set_client(p, NULL);
    atomic_store(&p->status->connected, false);
}

/* Connect, stream, reconnect. True: stopped or done. */
static bool run(struct pipeline *p, struct err *err)
{
    unsigned backoff_ms = BACKOFF_FIRST_MS;
    int64_t unreachable_since = 0;
    for (;;) {
        if (stop_level() != STOP_NO)
            return true;
        enum pump r = PUMP_BROKEN;
        bool reached = p->events->connect(p, err);
        if (reached) {
            int64_t since = clock_mono_us();
            uint64_t had = binlog_stream_stats(p->stream)->transactions;
            unreachable_since = 0;
            r = p->have_target && position_covers(binlog_stream_position(p->stream), &p->target) ? PUMP_DONE
                                                                                                 : pump(p, err);
            /* Damage at the source that may lie behind us at the next attempt, but did not move. */
            if (r == PUMP_BROKEN && err->code == ERR_CORRUPT && binlog_stream_stats(p->stream)->transactions == had)
                r = PUMP_FAIL;
            if (clock_mono_us() - since >= STEADY_US)
                backoff_ms = BACKOFF_FIRST_MS;
        } else if (!err->transient) {
            r = PUMP_FAIL;
        }
        disconnect(p);
        struct err settle_err;
        /* Also when the stream met what it cannot go on with: what was whole before it belongs to the slot. Without memory its state
         * is not known, and after a failed write nothing more goes in. */
        bool settled = p->writer == NULL || (r == PUMP_FAIL && err->code == ERR_NOMEM) || settle(p, &settle_err);
        if (r == PUMP_FAIL)
            return stop_level() != STOP_NO && (err->code == ERR_NET || err->code == ERR_STOPPED) && settled;
        if (!settled) {
            *err = settle_err;
            return false;
        }
        if (r == PUMP_DONE || stop_level() != STOP_NO)
            return true;
        int64_t now = clock_mono_us();
        if (unreachable_since == 0)
            unreachable_since = now;
        capture_status_text(p->status, p->status->error, sizeof p->status->error, err->msg);
        if ((p->o->once && !reached && p->o->retry_for_ms == 0) ||
            (p->o->retry_for_ms != 0 && now - unreachable_since >= (int64_t)p->o->retry_for_ms * 1000))
            return false;
        unsigned wait_ms = backoff_ms / 2 +
                           (unsigned)((uint64_t)clock_wall_us() % (backoff_ms / 2 + 1)); /* jitter: not all at once */
        slog(SLOG_WARN, "reconnecting", kv_s("reason", err->msg), kv_u("wait_ms", wait_ms));
        atomic_fetch_add(&p->status->reconnects, 1);
        stop_sleep_ms(wait_ms);
        backoff_ms = backoff_ms >= BACKOFF_MAX_MS / 2 ? BACKOFF_MAX_MS : backoff_ms * 2;
    }
}

/* Stable for a slot, and its own: two captures with one id would throw each other out. */
static uint32_t derive_server_id(const uint8_t uuid[16])
{
    uint32_t id = 0;
    for (int i = 0; i < 16; i++)
        id = id * 31 + uuid[i];
    return (id & 0x7fffffff) | 0x40000000; /* far from the small numbers that people choose */
}

bool capture_run(const struct capture_options *o, struct capture_status *status, struct err *err)
{
    bool files = o->from_file.n != 0;
    struct pipeline p = { .o = o, .status = status, .events = files ? &from_files : &from_server };
    bool ok = false, watching = false;
    pthread_t watcher;
    pthread_mutex_init(&p.lock, NULL);
    p.frame = frame_builder_new();
    if (p.frame == NULL) {
        err_nomem(err);
        goto out;
    }
    if ((!files && !source_url_parse(o->source, o->password_file, &p.url, err)) ||
        (o->schema_server != NULL &&
         !schema_url_parse(o->schema_server, o->schema_password_file, &p.schema_url, err)) ||
        !pattern_parse(o->tables, &p.tables, err) || !slot_open(o->slot, SLOT_CREATE, &p.slot, err))
        goto out;
    uuid_text(slot_uuid(p.slot), p.replica_uuid);
    p.server_id = o->server_id != 0 ? (uint32_t)o->server_id : derive_server_id(slot_uuid(p.slot));
    struct buf place = { 0 };
    if (files)
        buf_str(&place, o->from_file.v[0]);
    else
        source_url_place(&p.url, &place);
    capture_status_text(status, status->source, sizeof status->source, buf_cstr(&place));
    capture_status_text(status, status->slot, sizeof status->slot, o->slot);
    slog(SLOG_INFO, "started", kv_s("source", buf_cstr(&place)), kv_s("slot", o->slot),
         kv_s("slot_uuid", p.replica_uuid), kv_s("tables", o->tables == NULL ? "*" : o->tables),
         kv_s("version", ROWTIDE_VERSION));
    buf_free(&place);
    if (pthread_create(&watcher, NULL, stop_watcher, &p) != 0) {
        err_sys(err, "start a thread");
        goto out;
    }
    watching = true;
    ok = run(&p, err);
    if (p.writer != NULL) {
        struct err stop_err;
        bool stopped = stop_writer(&p, ok ? err : &stop_err);
        ok = ok && stopped;
    }
    if (ok && (p.have_target || p.events->ends) && stop_level() == STOP_NO)
        slog(SLOG_INFO, "caught_up", kv_u("flushed_lsn", atomic_load(&status->flushed_lsn)));
out:
    if (watching) {
        stop_request(STOP_DRAIN); /* wakes the watcher */
        pthread_join(watcher, NULL);
    }
    set_client(&p, NULL);
    binlog_files_close(p.files);
    schema_history_close(p.history);
    frame_builder_free(p.frame);
    slot_close(p.slot);
    pattern_free(p.tables);
    source_url_clear(&p.url);
    source_url_clear(&p.schema_url);
    source_pos_clear(&p.target);
    pthread_mutex_destroy(&p.lock);
    return ok;
}
