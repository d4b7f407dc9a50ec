/* binlog_xa.c - XA transactions of the stream. See binlog_stream.h.
 *
 * MySQL: GTID, QUERY "XA START", rows, QUERY "XA END", XA_PREPARE; later a GTID of its own and QUERY "XA COMMIT" or "XA
 * ROLLBACK". With ONE PHASE, XA_PREPARE says so and is the commit. MariaDB: a GTID event that says so instead of XA START,
 * and ONE PHASE is a transaction like any other. Both write nothing of one that changed nothing. Seen on MySQL 9.7, there
 * in TRANSACTION_PAYLOAD too, and MariaDB 10.11. */
#include "binlog_stream_inside.h"

#include "fault.h"
#include "xid.h"

#include <stdio.h>

bool xa_begin(struct binlog_stream *s, struct err *err)
{
    if (s->o.xa == NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "an XA transaction, but there is no place to keep it until it is committed");
    xa_store_begin(s->o.xa);
    s->xa = true;
    return true;
}

void xa_forget(struct binlog_stream *s)
{
    if (s->xa)
        xa_store_abandon(s->o.xa);
    s->xa = false;
    xa_rows_close(s->xa_rows);
    frame_unref(s->xa_frame);
    s->xa_rows = NULL;
    s->xa_frame = NULL;
}

static struct xa_place here(const struct binlog_stream *s)
{
    struct xa_place p = { .offset = s->offset };
    if (s->pos.flavor != GTID_NONE)
        p.gtid = s->gtid.gtid;
    snprintf(p.file, sizeof p.file, "%s", s->file);
    return p;
}

/* The next prepared change, or NULL behind the last. */
static bool next_record(struct binlog_stream *s, const struct record **out, struct err *err)
{
    if (s->xa_frame == NULL || s->xa_at == frame_count(s->xa_frame)) {
        frame_unref(s->xa_frame);
        s->xa_frame = NULL;
        s->xa_at = 0;
        if (!xa_rows_next(s->xa_rows, &s->xa_frame, err))
            return false;
    }
    *out = s->xa_frame == NULL ? NULL : frame_record(s->xa_frame, s->xa_at);
    return true;
}

/* Copies the changes into the log, from where the last call stopped. */
enum stream_step xa_commit_continue(struct binlog_stream *s, struct frame_builder *b, size_t frame_size,
                                    struct err *err)
{
    for (;;) {
        const struct record *r = NULL;
        if (!next_record(s, &r, err))
            return stream_fail(s, err);
        if (r == NULL)
            break;
        if (!frame_copy_records(b, s->xa_frame, s->xa_at, s->xa_at + 1, err))
            return stream_fail(s, err);
        s->xa_at++;
        s->stats.inserts += r->op == REC_INSERT;
        s->stats.updates += r->op == REC_UPDATE;
        s->stats.deletes += r->op == REC_DELETE;
        if (frame_builder_size(b) >= frame_size)
            return STREAM_ROWS_FULL;
    }
    fault_point("xa.copied");
    struct xa_place at = here(s);
    xa_store_end(s->o.xa, s->xid, &at);
    return txn_commit(s, 0, b, err); /* txn_begin has set its time */
}

static enum stream_step commit_prepared(struct binlog_stream *s, uint32_t when, struct frame_builder *b,
                                        size_t frame_size, struct err *err)
{
    if (!xa_store_rows(s->o.xa, s->xid, &s->xa_rows, err))
        return stream_fail(s, err);
    if (s->xa_rows == NULL) {
        struct xa_place at = here(s);
        xa_store_end(s->o.xa, s->xid, &at);
        return txn_commit(s, when, b, err);
    }
    return txn_begin(s, b, when, err) ? xa_commit_continue(s, b, frame_size, err) : stream_fail(s, err);
}

enum stream_step xa_prepare(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                            size_t frame_size, struct err *err)
{
    struct ev_xa_prepare p;
    enum stream_step instead;
    if (s->state != TXN_OPEN || !s->xa)
        return stream_misplaced(s, "XA_PREPARE", err);
    if (!xid_parse_prepare(e, &p, err))
        return stream_fail(s, err);
    if (s->payload_open && !s->payload_last) {
        err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD goes on behind XA_PREPARE");
        return stream_fail(s, err);
    }
    if (!savepoint_may_end(s, &instead, err))
        return instead;
    struct xa_place at = here(s);
    int64_t when_us = s->gtid.commit_us != 0 ? s->gtid.commit_us : (int64_t)e->when * 1000000;
    if (!xa_store_prepare(s->o.xa, p.xid, &at, when_us, err))
        return stream_fail(s, err);
    s->xa = false;
    memcpy(s->xid, p.xid, sizeof s->xid);
    if (p.one_phase)
        return commit_prepared(s, e->when, b, frame_size, err);
    s->commit_us = when_us;
    return txn_end_filtered(s, err) ? STREAM_BOUNDARY : stream_fail(s, err);
}

enum stream_step xa_commit(struct binlog_stream *s, uint32_t when, struct bytes xid, struct frame_builder *b,
                           size_t frame_size, struct err *err)
{
    if (s->state == TXN_OPEN)
        return stream_misplaced(s, "XA COMMIT", err);
    if (!xid_parse(xid, s->xid, err)) {
        err_ctx(err, "XA COMMIT");
        return stream_fail(s, err);
    }
    if (s->o.xa != NULL && xa_store_has(s->o.xa, s->xid))
        return commit_prepared(s, when, b, frame_size, err);
    err_set(
        err, ERR_LOST,
        "XA COMMIT %s: it was prepared before this slot began (or with sql_log_bin off, or the slot's directory " XA_DIR
        " was lost), so that its rows, which may be of captured tables, are not known; start a new slot from a fresh "
        "copy of the tables",
        s->xid);
    return stream_fail(s, err);
}

/* Of one that was prepared before the slot began nothing was seen, and nothing is lost. */
enum stream_step xa_roll_back(struct binlog_stream *s, struct bytes xid, struct err *err)
{
    if (s->state == TXN_OPEN)
        return stream_misplaced(s, "XA ROLLBACK", err);
    if (!xid_parse(xid, s->xid, err)) {
        err_ctx(err, "XA ROLLBACK");
        return stream_fail(s, err);
    }
    if (s->o.xa != NULL && xa_store_has(s->o.xa, s->xid)) {
        struct xa_place at = here(s);
        xa_store_end(s->o.xa, s->xid, &at);
    }
    return txn_roll_back(s, err);
}
