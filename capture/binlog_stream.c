/* binlog_stream.c - see binlog_stream.h. What each event means: the table in front of dispatch(). What the text of a
 * statement means: binlog_statement.c. Sources: MySQL sql/log_event.cc, sql/binlog.cc and sql/rpl_binlog_sender.cc,
 * MariaDB sql/log.cc, sql/log_event.h and sql/sql_repl.cc; every border of transactions below was seen in binlogs of
 * MySQL 9.7 and MariaDB 10.11 (tests/fixtures/binlogs). Invariants: I1 (only whole transactions), I2, I3. */
#include "binlog_stream_inside.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    EV_APPEND_BLOCK = 9,
    EV_DELETE_FILE = 11,
    EV_LAST_OLD = 22 /* types of MySQL 5.0 and its pre-releases end here */
};

#define APART static __attribute__((noinline)) /* so that dispatch(), which runs for every event, has nothing to save */

bool binlog_stream_new(const struct binlog_stream_options *o, const struct source_pos *from, struct binlog_stream **out,
                       struct err *err)
{
    *out = NULL;
    struct binlog_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err);
    s->o = *o;
    s->defs = table_defs_new();
    s->arena = arena_new(0);
    if (s->defs == NULL || s->arena == NULL) {
        err_nomem(err);
        goto fail;
    }
    table_defs_ask(s->defs, o->schema);
    if (o->replace_invalid_text)
        table_defs_replace_invalid(s->defs, &s->stats.replaced_texts);
    if (!source_pos_copy(from, &s->pos, err))
        goto fail;
    if (from->flavor != GTID_NONE && (s->consumed = gtid_set_new(from->flavor)) == NULL) {
        err_nomem(err);
        goto fail;
    }
    binlog_stream_reconnect(s, from->server, false);
    *out = s;
    return true;
fail:
    binlog_stream_free(s);
    return false;
}

void binlog_stream_free(struct binlog_stream *s)
{
    if (s == NULL)
        return;
    if (s->defs != NULL)
        txn_forget(s);
    payload_free(s->payload);
    table_defs_free(s->defs);
    arena_free(s->arena);
    buf_free(&s->scratch);
    buf_free(&s->renamed_away);
    source_pos_clear(&s->pos);
    gtid_set_free(s->consumed);
    free(s->savepoints);
    free(s->taken_back.v);
    free(s->known_back.v);
    free(s->old_row);
    free(s->new_row);
    free(s);
}

void binlog_stream_reconnect(struct binlog_stream *s, const char *server, bool discard)
{
    txn_forget(s);
    s->payload_open = false;
    memset(&s->fmt, 0, sizeof s->fmt);
    if (strcmp(server, s->pos.server) != 0) {
        s->known_back.n = 0; /* another server may log the transaction otherwise */
        if (s->pos.flavor != GTID_NONE && s->pos.server[0] != '\0') {
            s->pos.file[0] = '\0';
            s->pos.offset = 0;
        }
        snprintf(s->pos.server, sizeof s->pos.server, "%s", server);
    }
    memcpy(s->file, s->pos.file, sizeof s->file);
    s->in_pos_file = true;
    s->offset = s->pos.offset;
    s->fresh = true;
    s->discard = discard;
}

/* --- transactions' ends and begins that are events of their own --- */

static bool check_gtid(const struct binlog_stream *s, const struct ev_gtid *g, struct err *err)
{
    if (g->gtid.flavor == GTID_NONE || s->pos.flavor == GTID_NONE)
        return true;
    if (g->gtid.flavor != s->pos.flavor)
        return err_set(
            err, ERR_LOST,
            "the source writes GTIDs of the other server family than this slot's: it is not the server (or a "
            "successor of it) that the slot was made from; create a new slot");
    if (gtid_set_contains(s->pos.gtids, &g->gtid))
        return err_set(
            err, ERR_LOST,
            "the source sent a transaction that this slot already has: its history is not the one we know (was "
            "it reset, is this another primary with the same GTIDs, or, with MariaDB, do several servers write "
            "into one gtid_domain_id?); start a new slot from a fresh copy of the tables");
    return true;
}

APART enum stream_step on_gtid(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    const struct ev_gtid *g = &s->gtid;
    if (s->state != TXN_NONE)
        return stream_misplaced(s, binlog_event_name(e->type), err);
    if (!binlog_parse_gtid(e, &s->gtid, err) || !check_gtid(s, g, err))
        return stream_fail(s, err);
    if (e->type == EV_MARIADB_GTID)
        s->alter = statement_alter_phase(e);
    s->state = g->begins ? TXN_OPEN : TXN_GTID;
    s->txn_bytes = e->size;
    if (g->xa_prepare && !xa_begin(s, err))
        return stream_fail(s, err);
    return STREAM_INSIDE;
}

/* I3: what the source's earlier files hold, this slot has, or started behind. */
APART enum stream_step on_gtid_list(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    struct gtid_set *before = NULL, *missing = NULL;
    if (s->state != TXN_NONE && !(e->flags & EVF_ARTIFICIAL))
        return stream_misplaced(s, binlog_event_name(e->type), err);
    if (!binlog_parse_gtid_list(e, &before, err))
        return stream_fail(s, err);
    bool ok = true;
    if (s->pos.flavor != GTID_NONE && gtid_set_flavor(before) == s->pos.flavor &&
        !gtid_set_subset(before, s->pos.gtids)) {
        ok = false;
        struct buf t = { 0 };
        if (gtid_set_subtract(before, s->pos.gtids, &missing, err)) {
            gtid_set_text(missing, &t);
            err_set(err, ERR_LOST,
                    "the binlog says that %.300s came before this place, but this slot neither received it nor started "
                    "after it; start a new slot from a fresh copy of the tables",
                    buf_cstr(&t));
        }
        buf_free(&t);
    }
    gtid_set_free(before);
    gtid_set_free(missing);
    if (!ok)
        return stream_fail(s, err);
    return s->state == TXN_NONE ? STREAM_BOUNDARY : STREAM_INSIDE;
}

APART enum stream_step on_xid(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                              struct err *err)
{
    uint64_t xid;
    if (s->state != TXN_OPEN)
        return stream_misplaced(s, "XID", err);
    return binlog_parse_xid(e, &xid, err) ? txn_commit(s, e->when, b, err) : stream_fail(s, err);
}

/* --- files --- */

/* The source's file and the 64-bit offset of this event's end: 32 bits on the wire, which wrap (pitfall 8). */
static bool advance_offset(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    s->event_at = s->offset;
    if (e->flags & EVF_ARTIFICIAL || e->type == EV_HEARTBEAT || e->type == EV_HEARTBEAT_V2)
        return true;
    if (e->type == EV_FORMAT_DESCRIPTION) { /* also sent in front of a later start, where it is not at that place */
        if (e->next_pos != 0 && s->offset + e->size == e->next_pos)
            s->offset = e->next_pos;
        return true;
    }
    uint64_t counted = s->offset + e->size, skipped = 0;
    if (e->next_pos != 0) /* 0: MariaDB 11.4 on does not say inside transactions; or 4 GiB exactly */
        skipped = (uint32_t)(e->next_pos - (uint32_t)counted);
    /* Forward: by GTID the server leaves out what we have; MariaDB leaves out ANNOTATE_ROWS. Backward looks like 4 GiB
     * forward. */
    if (s->pos.flavor == GTID_NONE && skipped > INT32_MAX)
        return err_set(
            err, ERR_CORRUPT,
            "%s of %u bytes says that it ends at %u: it overlaps what came before; start a new slot from a fresh "
            "copy of the tables",
            binlog_event_name(e->type), e->size, e->next_pos);
    s->offset = counted + skipped;
    s->event_at = s->offset - e->size;
    return true;
}

/* By GTID, what the server leaves out is told by heartbeats with 64-bit positions: else more than 4 GiB left out would
 * not be seen. */
APART enum stream_step on_heartbeat(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    struct ev_heartbeat h;
    if (!binlog_parse_heartbeat(e, &h, err))
        return stream_fail(s, err);
    if (e->type == EV_HEARTBEAT_V2 && s->state == TXN_NONE && s->pos.flavor != GTID_NONE &&
        bytes_eq_str(h.file, s->file) && h.pos > s->offset)
        s->offset = h.pos;
    return s->state == TXN_NONE ? STREAM_BOUNDARY : STREAM_INSIDE;
}

/* Does the first ROTATE of a connection begin where we asked? By GTID the server chooses. */
static bool check_start(const struct binlog_stream *s, const struct ev_rotate *r, struct err *err)
{
    if (s->pos.flavor != GTID_NONE || s->pos.file[0] == '\0')
        return true;
    uint64_t want = s->discard || s->pos.offset < 4 ? 4 : s->pos.offset;
    if (bytes_eq_str(r->file, s->pos.file) && r->offset == want)
        return true;
    return err_set(err, ERR_LOST, "asked for %s:%llu, but the source begins at %.*s:%llu", s->pos.file,
                   (unsigned long long)want, BYTES_FMT(r->file), (unsigned long long)r->offset);
}

static enum stream_step on_rotate(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    struct ev_rotate r;
    bool artificial = (e->flags & EVF_ARTIFICIAL) != 0;
    s->event_at = s->offset;
    if (!binlog_parse_rotate(e, &r, err))
        return stream_fail(s, err);
    if (r.file.n > POSITION_FILE_MAX) {
        err_set(err, ERR_CORRUPT, "ROTATE to a file name of %zu bytes", r.file.n);
        return stream_fail(s, err);
    }
    bool same = bytes_eq_str(r.file, s->file);
    if (artificial && same && !s->fresh) /* the announcement of a file after the real ROTATE into it */
        return s->state == TXN_NONE ? STREAM_BOUNDARY : STREAM_INSIDE;
    if (artificial && s->fresh) {
        if (!check_start(s, &r, err))
            return stream_fail(s, err);
    } else {
        if (!artificial && s->state != TXN_NONE) /* a file that was ended properly ends between transactions */
            return stream_misplaced(s, "ROTATE", err);
        if (s->discard && s->offset < s->pos.offset) {
            err_set(
                err, ERR_LOST,
                "%s ends before offset %llu, up to which this slot has it: it is not the same file; start a new slot "
                "from a fresh copy of the tables",
                s->pos.file, (unsigned long long)s->pos.offset);
            return stream_fail(s, err);
        }
        s->discard = false;
        s->file_ended = s->state != TXN_NONE;
    }
    s->fresh = false;
    memcpy(s->file, r.file.p, r.file.n);
    s->file[r.file.n] = '\0';
    s->in_pos_file = strcmp(s->file, s->pos.file) == 0;
    s->offset = r.offset;
    if (!artificial)
        stream_take_position(s, false);
    return s->state == TXN_NONE ? STREAM_BOUNDARY : STREAM_INSIDE;
}

/* Inside a transaction: the source crashed before it had written the end, and rolled it back when it started again
 * (MariaDB; MySQL cuts its file). Its GTID may come again. */
static enum stream_step on_format(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    bool begun = s->begun;
    if (!binlog_parse_format(e, &s->fmt, err))
        return stream_fail(s, err);
    if (s->state != TXN_NONE && !s->file_ended)
        return stream_misplaced(s, "FORMAT_DESCRIPTION", err);
    if (s->state != TXN_NONE)
        s->known_back.n = 0;
    txn_forget(s);
    s->new_file = s->pos.flavor == GTID_NONE;
    s->made = e->when;
    return begun ? STREAM_ABANDONED : STREAM_BOUNDARY;
}

/* --- all events --- */

APART enum stream_step unsupported(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    err_set(err, ERR_UNSUPPORTED,
            "event %s (type %u, %u bytes) cannot be read by this version: what it says is not known, so it must not be "
            "skipped; update Rowtide, or switch off at the source the feature that writes it and start a new slot",
            binlog_event_name(e->type), e->type, e->size);
    return stream_fail(s, err);
}

APART enum stream_step on_incident(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    struct ev_incident inc;
    if (!binlog_parse_incident(e, &inc, err))
        return stream_fail(s, err);
    if (s->state == TXN_NONE && stream_has_event(s)) /* MariaDB sends the file's head without its transactions */
        return STREAM_BOUNDARY;
    err_set(
        err, ERR_LOST,
        "the source reports an INCIDENT (%u: %.*s): changes may be missing from its binlog; compare the tables, then "
        "start a new slot behind this place (--start now)",
        inc.number, BYTES_FMT(inc.message));
    return stream_fail(s, err);
}

APART enum stream_step on_payload(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                                  size_t frame_size, struct err *err);

/* What becomes of each event (I3). "boundary": outside of transactions the position moves behind it. "stop": an error.
 *
 *  FORMAT_DESCRIPTION 15       learnt; in an open transaction: abandoned when a new file came before it, else stop
 *  ROTATE 4                    file and offset; boundary. Real in an open transaction: stop
 *  STOP 3                      boundary; in an open transaction: stop
 *  PREVIOUS_GTIDS 35, GTID_LIST 163   all of it must be in our set, else stop; boundary
 *  GTID 33 42 162, ANONYMOUS_GTID 34  a transaction begins; one that we have, or inside another: stop
 *  QUERY 2, QUERY_COMPRESSED 165      transaction words and DDL by their text; row changes: stop when they may
 *                              touch what is captured
 *  EXECUTE_LOAD_QUERY 18       as a QUERY that changes rows
 *  TABLE_MAP 19                learnt; outside of a transaction: stop
 *  rows 23-25 30-32 166-171    records, or passed over when not captured; outside of a transaction: stop
 *  PARTIAL_UPDATE_ROWS 39      rows; JSON differences are applied to the old row (json_diff.c)
 *  TRANSACTION_PAYLOAD 40      its events, by this same table; only directly behind a GTID
 *  XID 16                      commit; outside of a transaction: stop
 *  XA_PREPARE 38               commit when one-phase, else what came is kept until XA COMMIT or XA ROLLBACK (QUERY)
 *  HEARTBEAT 27 41             offset by GTID; nothing else
 *  INTVAR 5, RAND 13, USER_VAR 14, BEGIN_LOAD_QUERY 17, APPEND_BLOCK 9, DELETE_FILE 11
 *                              passed over: parts of a statement-format change, which the statement
 *                              decides; never a boundary
 *  ROWS_QUERY 29, ANNOTATE_ROWS 160   passed over: comments on rows that follow; never a boundary
 *  BINLOG_CHECKPOINT 161, START_ENCRYPTION 164 (the stream itself is clear), IGNORABLE 28   passed over; boundary
 *  TRANSACTION_CONTEXT 36, VIEW_CHANGE 37   passed over: group replication's own bookkeeping inside transactions
 *  INCIDENT 26                 stop; passed over when the position lies behind it
 *  PARTIAL_ROW_DATA 172, START_V3 1, LOAD 6-8 10 12, rows of pre-releases 20-22   stop, with the ignorable flag too
 *  any other                   passed over with the ignorable flag, else stop */
static enum stream_step dispatch(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                                 size_t frame_size, struct err *err)
{
    bool between = s->state == TXN_NONE;
    if (binlog_event_is_rows(e->type))
        return txn_rows(s, e, b, frame_size, err);
    switch (e->type) {
    case EV_TABLE_MAP:
        return txn_table_map(s, e, b, err);
    case EV_GTID:
    case EV_ANONYMOUS_GTID:
    case EV_GTID_TAGGED:
    case EV_MARIADB_GTID:
        return on_gtid(s, e, err);
    case EV_QUERY:
    case EV_MARIADB_QUERY_COMPRESSED:
        return query_event(s, e, b, frame_size, err);
    case EV_XID:
        return on_xid(s, e, b, err);
    case EV_XA_PREPARE:
        return xa_prepare(s, e, b, frame_size, err);
    case EV_PREVIOUS_GTIDS:
    case EV_MARIADB_GTID_LIST:
        return on_gtid_list(s, e, err);
    case EV_EXECUTE_LOAD_QUERY:
        return query_load(s, e, err);
    case EV_TRANSACTION_PAYLOAD:
        return on_payload(s, e, b, frame_size, err);
    case EV_INCIDENT:
        return on_incident(s, e, err);
    case EV_HEARTBEAT:
    case EV_HEARTBEAT_V2:
        return on_heartbeat(s, e, err);
    case EV_STOP:
        return between ? STREAM_BOUNDARY : stream_misplaced(s, "STOP", err);
    case EV_INTVAR:
    case EV_RAND:
    case EV_USER_VAR:
    case EV_BEGIN_LOAD_QUERY:
    case EV_APPEND_BLOCK:
    case EV_DELETE_FILE:
    case EV_ROWS_QUERY:
    case EV_MARIADB_ANNOTATE_ROWS:
        return STREAM_INSIDE;
    case EV_IGNORABLE:
    case EV_TRANSACTION_CONTEXT:
    case EV_VIEW_CHANGE:
    case EV_MARIADB_BINLOG_CHECKPOINT:
    case EV_MARIADB_START_ENCRYPTION:
        return between ? STREAM_BOUNDARY : STREAM_INSIDE;
    case EV_MARIADB_PARTIAL_ROW_DATA:
        return unsupported(s, e, err);
    default:
        if (e->flags & EVF_IGNORABLE && e->type > EV_LAST_OLD)
            return between ? STREAM_BOUNDARY : STREAM_INSIDE;
        return unsupported(s, e, err);
    }
}

/* --- TRANSACTION_PAYLOAD --- */

static bool fits_payload(uint8_t type)
{
    switch (type) {
    case EV_ROTATE:
    case EV_STOP:
    case EV_FORMAT_DESCRIPTION:
    case EV_PREVIOUS_GTIDS:
    case EV_GTID:
    case EV_ANONYMOUS_GTID:
    case EV_GTID_TAGGED:
    case EV_HEARTBEAT:
    case EV_HEARTBEAT_V2:
    case EV_TRANSACTION_PAYLOAD:
        return false;
    default:
        return type < EV_MARIADB_ANNOTATE_ROWS || type > EV_MARIADB_PARTIAL_ROW_DATA;
    }
}

/* Events inside until the builder is full or the transaction has ended. The offset stays: theirs mean nothing. */
static enum stream_step read_payload(struct binlog_stream *s, struct frame_builder *b, size_t frame_size,
                                     struct err *err)
{
    struct binlog_format inner = s->fmt;
    inner.crc = false;
    for (;;) {
        struct bytes raw;
        struct binlog_event e;
        if (!payload_next(s->payload, &raw, &s->payload_last, err) || !binlog_event_parse(raw, &inner, &e, err))
            return stream_fail(s, err);
        if (!fits_payload(e.type)) {
            err_set(err, ERR_CORRUPT, "%s (type %u) inside a TRANSACTION_PAYLOAD", binlog_event_name(e.type), e.type);
            return stream_fail(s, err);
        }
        enum stream_step r = dispatch(s, &e, b, frame_size, err);
        if (r == STREAM_FAIL || r == STREAM_ROWS_FULL)
            return r;
        if (s->payload_last || s->state == TXN_NONE) {
            s->payload_open = false;
            return s->state == TXN_NONE ? r : stream_misplaced(s, "the end of a TRANSACTION_PAYLOAD", err);
        }
    }
}

APART enum stream_step on_payload(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                                  size_t frame_size, struct err *err)
{
    if (s->state != TXN_GTID || s->payload_open)
        return stream_misplaced(s, "TRANSACTION_PAYLOAD", err);
    if (s->payload == NULL && (s->payload = payload_new(s->o.max_event)) == NULL) {
        err_nomem(err);
        return stream_fail(s, err);
    }
    if (!payload_open(s->payload, e->body, err))
        return stream_fail(s, err);
    s->payload_open = true;
    return read_payload(s, b, frame_size, err);
}

/* --- interface --- */

/* The dump began before our place: what lies up to it is in the log already. *skip: this event is. */
static bool discard_event(struct binlog_stream *s, const struct binlog_event *e, bool *skip, struct err *err)
{
    *skip = s->offset <= s->pos.offset;
    if (*skip)
        return true;
    s->discard = false;
    if (s->event_at >= s->pos.offset)
        return true;
    return err_set(
        err, ERR_LOST,
        "%s at this place goes beyond offset %llu, up to which this slot has the file: it is not the same file; "
        "start a new slot from a fresh copy of the tables",
        binlog_event_name(e->type), (unsigned long long)s->pos.offset);
}

enum stream_step binlog_stream_event(struct binlog_stream *s, struct bytes event, struct frame_builder *b,
                                     size_t frame_size, struct err *err)
{
    struct binlog_event e;
    s->event_at = s->offset;
    if (event.n > s->o.max_event) {
        err_set(err, ERR_UNSUPPORTED, "an event of %zu bytes is larger than --max-event (%llu bytes)", event.n,
                (unsigned long long)s->o.max_event);
        return stream_fail(s, err);
    }
    if (!binlog_event_parse(event, &s->fmt, &e, err))
        return stream_fail(s, err);
    s->stats.events++;
    s->stats.event_bytes += event.n;
    if (e.type == EV_ROTATE)
        return on_rotate(s, &e, err);
    if (!advance_offset(s, &e, err))
        return stream_fail(s, err);
    if (e.type == EV_FORMAT_DESCRIPTION)
        return on_format(s, &e, err);
    bool heartbeat = e.type == EV_HEARTBEAT || e.type == EV_HEARTBEAT_V2;
    if (s->discard && !heartbeat) {
        bool skip = true;
        if (!discard_event(s, &e, &skip, err))
            return stream_fail(s, err);
        if (skip)
            return STREAM_BOUNDARY;
    }
    if (s->state != TXN_NONE && !heartbeat)
        s->txn_bytes += e.size;
    enum stream_step r = dispatch(s, &e, b, frame_size, err);
    if (r == STREAM_BOUNDARY && !heartbeat && !(e.flags & EVF_ARTIFICIAL))
        stream_take_position(s, false);
    return r;
}

enum stream_step binlog_stream_continue(struct binlog_stream *s, struct frame_builder *b, size_t frame_size,
                                        struct err *err)
{
    enum stream_step r = s->xa_rows != NULL ? xa_commit_continue(s, b, frame_size, err)
                                            : txn_rows_continue(s, b, frame_size, err);
    if (r != STREAM_INSIDE)
        s->payload_open = s->payload_open && r == STREAM_ROWS_FULL;
    if (r != STREAM_INSIDE || !s->payload_open)
        return r;
    if (s->payload_last)
        return stream_misplaced(s, "the end of a TRANSACTION_PAYLOAD", err);
    return read_payload(s, b, frame_size, err);
}

const struct source_pos *binlog_stream_position(const struct binlog_stream *s)
{
    return &s->pos;
}

const struct binlog_stream_stats *binlog_stream_stats(const struct binlog_stream *s)
{
    return &s->stats;
}

int64_t binlog_stream_commit_us(const struct binlog_stream *s)
{
    return s->commit_us;
}

uint64_t binlog_stream_filtered(const struct binlog_stream *s)
{
    return s->filtered;
}

bool binlog_stream_moved(const struct binlog_stream *s)
{
    return s->moved;
}

void binlog_stream_position_written(struct binlog_stream *s)
{
    s->filtered = 0;
    s->moved = false;
    if (s->consumed != NULL && !gtid_set_empty(s->consumed)) {
        struct gtid_set *empty = gtid_set_new(s->pos.flavor);
        if (empty == NULL)
            return; /* harmless: the next COMMIT repeats GTIDs that the position frame has */
        gtid_set_free(s->consumed);
        s->consumed = empty;
    }
}

bool binlog_stream_new_file(struct binlog_stream *s, const char **name, uint32_t *made)
{
    bool new_file = s->new_file;
    *name = s->file;
    *made = s->made;
    s->new_file = false;
    return new_file;
}

bool binlog_stream_message(struct binlog_stream *s, const char *topic, struct bytes body, int64_t now_us,
                           struct frame_builder *b, struct err *err)
{
    assert(s->state == TXN_NONE);
    struct rec_begin begin = { .commit_us = now_us, .resolution_us = 1 };
    struct rec_message m = { .topic = bytes_str(topic), .body = body };
    if (!frame_add_begin(b, &begin, err) || !frame_add_message(b, &m, err) ||
        !txn_write_commit(s, s->pos.file, s->pos.offset, b, err))
        return false;
    s->filtered = 0;
    s->moved = false;
    return true;
}
