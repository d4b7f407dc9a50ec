/* binlog_txn.c - one transaction of the stream: begin, rows, commit, rollback, and the position behind it. See
 * binlog_stream.h.
 *
 * Invariants: I1 (only whole transactions), I2 (the position is taken at the end of one). */
#include "binlog_stream_inside.h"
#include "row_frame.h"

#include <stdlib.h>

/* "mysql-bin.000003:1234, GTID x" in front of what went wrong. */
enum stream_step stream_fail(struct binlog_stream *s, struct err *err)
{
    struct buf g = { 0 };
    gtid_text(&s->gtid.gtid, &g);
    if (g.n > 0)
        err_ctx(err, "at %s:%llu, GTID %s", s->file, (unsigned long long)s->event_at, buf_cstr(&g));
    else
        err_ctx(err, "at %s:%llu", s->file, (unsigned long long)s->event_at);
    buf_free(&g);
    return STREAM_FAIL;
}

enum stream_step stream_misplaced(struct binlog_stream *s, const char *what, struct err *err)
{
    static const char *const where[] = { [TXN_NONE] = "outside of a transaction",
                                         [TXN_GTID] = "where a transaction's first event is due",
                                         [TXN_OPEN] = "inside a transaction" };
    err_set(
        err, ERR_CORRUPT,
        "%s %s: the binlog is damaged, or the position is not the end of a transaction; start a new slot from a fresh "
        "copy of the tables",
        what, where[s->state]);
    return stream_fail(s, err);
}

static void end_rows(struct binlog_stream *s)
{
    if (s->rows_open)
        row_reader_close(&s->rows);
    s->rows_open = false;
}

void txn_count_from(struct binlog_stream *s, const struct binlog_stream_stats *before)
{
    s->stats.inserts = before->inserts;
    s->stats.updates = before->updates;
    s->stats.deletes = before->deletes;
    s->stats.ddl = before->ddl;
}

static void uncount(struct binlog_stream *s)
{
    if (s->begun)
        txn_count_from(s, &s->stats_before);
}

static void close_transaction(struct binlog_stream *s)
{
    end_rows(s);
    xa_forget(s);
    table_defs_end_statement(s->defs);
    s->state = TXN_NONE;
    s->alter = ALTER_WHOLE;
    s->begun = false;
    s->file_ended = false;
    s->changes = 0;
    s->nsavepoints = 0;
    s->savepoints_unsure = false;
    s->only_looking = false;
    s->rows_events = 0;
    s->taken_back.n = 0;
    s->next_span = 0;
    s->txn_bytes = 0;
    memset(&s->gtid, 0, sizeof s->gtid);
}

static void end_schema(struct binlog_stream *s, bool committed)
{
    if (s->o.schema != NULL)
        s->o.schema->end(s->o.schema->ctx, committed);
}

void txn_forget(struct binlog_stream *s)
{
    uncount(s);
    end_schema(s, false);
    close_transaction(s);
}

/* --- position --- */

/* "mysql-bin.999999" comes before "mysql-bin.1000000". */
static int compare_files(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    return na != nb ? (na < nb ? -1 : 1) : strcmp(a, b);
}

bool stream_has_event(const struct binlog_stream *s)
{
    int order = compare_files(s->file, s->pos.file);
    return s->pos.file[0] != '\0' && (order < 0 || (order == 0 && s->offset <= s->pos.offset));
}

/* A transaction ended, or an event outside of any passed: here one may resume. */
void stream_take_position(struct binlog_stream *s, bool transaction_end)
{
    if (s->in_pos_file && s->offset > s->pos.offset) { /* nearly always */
        s->pos.offset = s->offset;
        s->moved |= s->pos.flavor == GTID_NONE;
        return;
    }
    int order = compare_files(s->file, s->pos.file);
    if (order == 0 && s->offset == s->pos.offset)
        return;
    /* By GTID the server sends the head of a file again whose rest we have, and may begin at an earlier file. */
    if (s->pos.flavor != GTID_NONE && !transaction_end && (order < 0 || (order == 0 && s->offset < s->pos.offset)))
        return;
    memcpy(s->pos.file, s->file, sizeof s->pos.file);
    s->in_pos_file = true;
    s->pos.offset = s->offset;
    if (s->pos.flavor == GTID_NONE) /* else the file may go: nobody will ask for it again */
        s->moved = true;
}

static bool take_gtid(struct binlog_stream *s, struct gtid_set *into, struct err *err)
{
    if (s->gtid.gtid.flavor == GTID_NONE || s->pos.flavor == GTID_NONE)
        return true;
    return gtid_set_add(into, &s->gtid.gtid, err);
}

/* A COMMIT record with the GTIDs that were filtered since the last one. */
bool txn_write_commit(struct binlog_stream *s, const char *file, uint64_t offset, struct frame_builder *b,
                      struct err *err)
{
    struct rec_commit c = { .file = bytes_str(file), .end_offset = offset };
    struct gtid_set *empty = NULL;
    if (s->consumed != NULL && !gtid_set_empty(s->consumed)) {
        if ((empty = gtid_set_new(s->pos.flavor)) == NULL)
            return err_nomem(err);
        buf_reset(&s->scratch);
        gtid_set_text(s->consumed, &s->scratch);
        c.consumed = buf_view(&s->scratch);
    }
    if (!buf_ok(&s->scratch, err) || !frame_add_commit(b, &c, err)) {
        gtid_set_free(empty);
        return false;
    }
    if (empty != NULL) {
        gtid_set_free(s->consumed);
        s->consumed = empty;
    }
    return true;
}

bool txn_end_filtered(struct binlog_stream *s, struct err *err)
{
    if (!take_gtid(s, s->pos.gtids, err) || !take_gtid(s, s->consumed, err))
        return false;
    end_schema(s, true);
    s->filtered += s->txn_bytes;
    s->moved = true;
    s->stats.transactions++;
    s->known_back.n = 0;
    stream_take_position(s, true);
    close_transaction(s);
    return true;
}

static bool is_last_in_payload(struct binlog_stream *s, struct err *err)
{
    return !s->payload_open || s->payload_last ||
           err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD goes on behind the end of its transaction");
}

enum stream_step txn_commit(struct binlog_stream *s, uint32_t when, struct frame_builder *b, struct err *err)
{
    enum stream_step instead;
    if (!is_last_in_payload(s, err))
        return stream_fail(s, err);
    if (s->xa)
        return stream_misplaced(s, "an end other than XA PREPARE of an XA transaction", err);
    if (!savepoint_may_end(s, &instead, err))
        return instead;
    s->commit_us = s->gtid.commit_us != 0 ? s->gtid.commit_us : (int64_t)when * 1000000;
    if (!s->begun)
        return txn_end_filtered(s, err) ? STREAM_BOUNDARY : stream_fail(s, err);
    if (!take_gtid(s, s->pos.gtids, err) || !txn_write_commit(s, s->file, s->offset, b, err))
        return stream_fail(s, err);
    end_schema(s, true);
    stream_take_position(s, true);
    s->filtered = 0;
    s->moved = false;
    s->stats.transactions++;
    s->stats.captured_transactions++;
    s->known_back.n = 0;
    close_transaction(s);
    return STREAM_COMMIT;
}

/* ROLLBACK stands in a binlog when the transaction did something that cannot be rolled back: it created a temporary
 * table, or changed a non-transactional one. But the rows in front of it never hold the latter's: in row format both
 * servers write those as a transaction of their own (MySQL sql/binlog.cc, MariaDB sql/log.cc: use_trans_cache). So all
 * of it goes. */
enum stream_step txn_roll_back(struct binlog_stream *s, struct err *err)
{
    bool begun = s->begun;
    if (!is_last_in_payload(s, err))
        return stream_fail(s, err);
    uncount(s);
    end_schema(s, false);
    return !txn_end_filtered(s, err) ? stream_fail(s, err) : begun ? STREAM_ABANDONED : STREAM_BOUNDARY;
}

bool txn_begin(struct binlog_stream *s, struct frame_builder *b, uint32_t when, struct err *err)
{
    if (s->begun)
        return true;
    if (s->gtid.commit_us == 0) { /* no GTID event (very old servers): the event's own second */
        s->gtid.commit_us = (int64_t)when * 1000000;
        s->gtid.resolution_us = 1000000;
    }
    if (s->pos.flavor != GTID_NONE && s->gtid.gtid.flavor == GTID_NONE)
        return err_set(err, ERR_UNSUPPORTED,
                       "a transaction without a GTID changes a captured table, but this slot resumes by GTID; set "
                       "gtid_mode = ON at the source, then create a new slot");
    struct rec_begin r = { .gtid = s->gtid.gtid,
                           .commit_us = s->gtid.commit_us,
                           .resolution_us = s->gtid.resolution_us };
    if (!frame_add_begin(b, &r, err))
        return false;
    s->stats_before = s->stats;
    s->begun = true;
    return true;
}

/* --- rows --- */

static bool is_captured(void *ctx, struct bytes schema, struct bytes table)
{
    const struct binlog_stream *s = ctx;
    return pattern_match(s->o.tables, schema, table);
}

static bool room_for_row(struct binlog_stream *s, unsigned ncols, struct err *err)
{
    if (ncols <= s->row_cap)
        return true;
    struct val *o = realloc(s->old_row, ncols * sizeof *o);
    if (o != NULL)
        s->old_row = o;
    struct val *n = realloc(s->new_row, ncols * sizeof *n);
    if (n != NULL)
        s->new_row = n;
    if (o == NULL || n == NULL)
        return err_nomem(err);
    s->row_cap = ncols;
    return true;
}

enum { ARENA_PER_ROWS = 256 * 1024 }; /* values of many small rows share one reset */

/* The open event's next row by the long way. */
static bool next_row(struct binlog_stream *s, struct frame_builder *into, bool *more, struct err *err)
{
    const struct relation *rel = s->rows.def->rel;
    if (!row_reader_next(&s->rows, s->arena, s->old_row, s->new_row, more, err))
        return false;
    if (!*more)
        return true;
    switch (s->rows.change) {
    case ROW_INSERT:
        return frame_add_insert(into, rel, s->new_row, err);
    case ROW_UPDATE:
        return frame_add_update(into, rel, s->old_row, s->new_row, err);
    case ROW_DELETE:
        return frame_add_delete(into, rel, s->old_row, err);
    }
    return false;
}

/* Rows of the open rows event until it ends or the builder is full. */
enum stream_step txn_rows_continue(struct binlog_stream *s, struct frame_builder *b, size_t frame_size, struct err *err)
{
    struct frame_builder *into = s->xa ? xa_store_builder(s->o.xa) : b;
    uint64_t *count = s->rows.change == ROW_INSERT   ? &s->stats.inserts
                      : s->rows.change == ROW_UPDATE ? &s->stats.updates
                                                     : &s->stats.deletes;
    for (;;) {
        bool more = true;
        if (s->rows.row != 0 && cur_left(&s->rows.c) == 0)
            break;
        unsigned n = row_frame_rows(&s->rows, into, frame_size, s->arena);
        if (arena_used(s->arena) > ARENA_PER_ROWS)
            arena_reset(s->arena);
        if (n == 0 && !next_row(s, into, &more, err))
            return stream_fail(s, err);
        if (!more)
            break;
        n += n == 0;
        s->changes += n;
        *count += s->xa ? 0 : n; /* else counted when committed */
        if (frame_builder_size(into) < frame_size)
            continue;
        if (!s->xa)
            return STREAM_ROWS_FULL;
        if (!xa_store_spill(s->o.xa, err))
            return stream_fail(s, err);
    }
    bool statement_ends = (s->rows.flags & 1) != 0;
    end_rows(s);
    if (statement_ends)
        table_defs_end_statement(s->defs);
    arena_reset(s->arena);
    return STREAM_INSIDE;
}

enum stream_step txn_rows(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                          size_t frame_size, struct err *err)
{
    if (s->state != TXN_OPEN)
        return stream_misplaced(s, binlog_event_name(e->type), err);
    arena_reset(s->arena);
    if (!row_reader_open(&s->rows, e, &s->fmt, s->defs, err))
        return stream_fail(s, err);
    s->rows_open = true;
    if (s->rows.dummy || !s->rows.def->captured || s->rows.def->sequence || savepoint_skips_rows(s)) {
        bool statement_ends = (s->rows.flags & 1) != 0;
        end_rows(s);
        if (statement_ends)
            table_defs_end_statement(s->defs);
        return STREAM_INSIDE;
    }
    if (!room_for_row(s, s->rows.def->ncols, err) || (!s->xa && !txn_begin(s, b, e->when, err)))
        return stream_fail(s, err);
    return txn_rows_continue(s, b, frame_size, err);
}

enum stream_step txn_table_map(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                               struct err *err)
{
    const struct table_def *def = NULL;
    if (s->state != TXN_OPEN)
        return stream_misplaced(s, "TABLE_MAP", err);
    if (!table_defs_map(s->defs, e, &s->fmt, is_captured, s, &def, err))
        return stream_fail(s, err);
    frame_rows_expect(b, def->place, def->ncols);
    return STREAM_INSIDE;
}
