/* transform.c - records to rows, transactions to batches. See transform.h.
 *
 * A batch merges whole transactions while it stays within its limits. Before a transaction that would go beyond them,
 * or that goes on in the next frame, what has gathered is handed out first; so a large transaction always has its
 * batches to itself and can be cut into pieces (I5). DDL and TRUNCATE stand alone in a batch, a barrier. A frame is
 * held only when a row of the batch points into it, and a batch that holds many frames for few rows is due too: memory
 * stays bounded. */
#include "transform.h"

#include "json_text.h"
#include "slog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { HELD_MIN = 64 << 20, HELD_FACTOR = 8, KEY_TEXT_MAX = 120 };

struct transform {
    struct transform_options o;
    struct lua_host *host; /* NULL: none */
    struct shape_table *shapes;
    struct batch *b;
    size_t held_bytes;     /* memory of the frames that b holds */
    bool inside;           /* a transaction is open */
    bool begun;            /* it has its entry in b->txns */
    struct batch_txn open; /* what BEGIN said of it */
    bool continues;        /* a piece of it was handed out already */
    struct transform_stats stats;
    struct { /* the last relation seen: rows come in runs */
        const struct relation *rel;
        const struct shape *shape; /* NULL: rows go through the script */
    } last;
};

bool transform_new(const struct transform_options *o, struct lua_host *h, struct shape_table *shapes,
                   struct transform **out, struct err *err)
{
    struct transform *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_nomem(err);
    t->o = *o;
    t->host = h;
    t->shapes = shapes;
    *out = t;
    return true;
}

void transform_free(struct transform *t)
{
    if (t == NULL)
        return;
    batch_free(t->b);
    free(t);
}

const struct transform_stats *transform_stats(const struct transform *t)
{
    return &t->stats;
}

/* --- batches --- */

static bool ensure_batch(struct transform *t, struct err *err)
{
    if (t->b != NULL)
        return true;
    t->b = batch_new();
    t->held_bytes = 0;
    return t->b != NULL || err_nomem(err);
}

/* The open transaction's entry in the current batch. */
static bool ensure_txn(struct transform *t, struct err *err)
{
    if (t->begun && t->b != NULL)
        return true;
    if (!ensure_batch(t, err))
        return false;
    struct batch_txn *x = batch_add_txn(t->b, err);
    if (x == NULL)
        return false;
    *x = t->open;
    x->changes = 0;
    t->b->starts_inside = t->continues;
    t->begun = true;
    return true;
}

static struct batch *hand_out(struct transform *t)
{
    struct batch *b = t->b;
    if (t->begun) { /* the rest of the transaction follows in the next batch */
        b->ends_inside = true;
        t->continues = true;
        t->begun = false;
    }
    t->b = NULL;
    t->held_bytes = 0;
    return b;
}

static bool full(const struct transform *t, size_t more_rows)
{
    size_t held = t->o.batch_bytes > SIZE_MAX / HELD_FACTOR ? SIZE_MAX : t->o.batch_bytes * HELD_FACTOR;
    return t->b != NULL &&
           (t->b->nrows + t->b->ndead + more_rows >= t->o.batch_rows || t->b->bytes >= t->o.batch_bytes ||
            t->b->ntxns >= t->o.batch_rows || t->held_bytes >= (held < HELD_MIN ? HELD_MIN : held));
}

static bool hold(struct transform *t, struct frame *f, struct err *err)
{
    if (t->b->nframes != 0 && t->b->frames[t->b->nframes - 1] == f)
        return true;
    t->held_bytes += frame_memory(f);
    return batch_hold_frame(t->b, f, err);
}

struct batch *transform_take(struct transform *t)
{
    if (t->b == NULL || t->b->ntxns == 0)
        return NULL;
    if (t->inside && !(t->b->ntxns == 1 && t->begun)) /* cannot cut between: whole ones and a part of the next */
        return NULL;
    if (t->inside && t->b->nrows == 0 && t->b->ndead == 0)
        return NULL;
    return hand_out(t);
}

/* --- errors --- */

static void key_text(const struct relation *r, const struct record *rec, struct buf *out)
{
    for (unsigned i = 0; i < r->nkey; i++) {
        const struct column *c = &r->cols[r->key[i]];
        struct val v = rec->op == REC_INSERT ? rel_rows_new_at(rec->u.change.rows, rec, r->key[i])
                                             : rel_rows_old_at(rec->u.change.rows, rec, r->key[i]);
        buf_str(out, i == 0 ? " key (" : ", ");
        buf_bytes(out, c->name);
        buf_u8(out, '=');
        size_t from = out->n;
        if (v.kind == VAL_BYTES)
            json_base64(out, v.u.str);
        else
            column_value_text(c, &v, out);
        if (out->n > from + KEY_TEXT_MAX) {
            out->n = from + KEY_TEXT_MAX;
            buf_str(out, "...");
        }
    }
    if (r->nkey != 0)
        buf_u8(out, ')');
}

/* "at LSN 42, shop.orders key (id=7): " in front. */
static bool placed(const struct record *rec, struct err *err)
{
    struct buf where = { 0 };
    if (rec->op == REC_TRUNCATE || rec->op == REC_DDL) {
        buf_bytes(&where, rec->u.ddl.t_schema);
        if (rec->op == REC_TRUNCATE)
            buf_u8(&where, '.');
        buf_bytes(&where, rec->u.ddl.t_table);
    } else {
        const struct relation *r = rel_rows_relation(rec->u.change.rows);
        buf_bytes(&where, r->schema);
        buf_u8(&where, '.');
        buf_bytes(&where, r->table);
        key_text(r, rec, &where);
    }
    if (where.n != 0)
        err_ctx(err, "at LSN %" PRIu64 ", %s", rec->lsn, buf_cstr(&where));
    else
        err_ctx(err, "at LSN %" PRIu64, rec->lsn);
    buf_free(&where);
    return false;
}

/* The script failed on this change: what the policy says. False: stop. */
static bool script_failed(struct transform *t, struct frame *f, const struct record *rec, struct err *err)
{
    if (err->code != ERR_SCRIPT)
        return placed(rec, err);
    t->stats.script_errors++;
    placed(rec, err);
    if (t->o.on_error == ON_ERROR_STOP)
        return false;
    t->stats.skipped++;
    slog(SLOG_WARN, "script_error", kv_u("lsn", rec->lsn), kv_s("error", err->msg),
         kv_s("policy", t->o.on_error == ON_ERROR_SKIP ? "skip" : "dead_letter"));
    if (t->o.on_error == ON_ERROR_SKIP)
        return true;
    struct err why = *err;
    if (!hold(t, f, err))
        return false;
    struct dead_row *d = batch_add_dead(t->b, err);
    if (d == NULL)
        return false;
    d->lsn = rec->lsn;
    d->txn = (uint32_t)(t->b->ntxns - 1);
    d->rel = rec->op == REC_TRUNCATE ? NULL : rel_rows_relation(rec->u.change.rows);
    d->rec = rec;
    snprintf(d->error, sizeof d->error, "%.*s", (int)sizeof d->error - 1, why.msg);
    return true;
}

/* --- rows --- */

static bool pass_through(struct transform *t, const struct shape *shape, const struct record *rec, struct err *err)
{
    struct batch *b = t->b;
    struct outrow *row = batch_add_row(b, err);
    if (row == NULL)
        return false;
    row->op = rec->op == REC_INSERT ? OUT_INSERT : rec->op == REC_UPDATE ? OUT_UPDATE : OUT_DELETE;
    row->lsn = rec->lsn;
    row->txn = (uint32_t)(b->ntxns - 1);
    row->shape = shape;
    row->plain = true;
    row->sent = rec;
    if (rec->op != REC_DELETE)
        b->bytes += shape->ncols * sizeof(struct val) + rel_rows_new_strings(rec->u.change.rows, rec);
    if (rec->op != REC_INSERT)
        b->bytes += shape->ncols * sizeof(struct val) + rel_rows_old_strings(rec->u.change.rows, rec);
    return true;
}

static bool through_script(struct transform *t, struct frame *f, const struct record *rec, struct err *err)
{
    struct batch *b = t->b;
    size_t before = b->nrows;
    struct lua_change c = { rec, &b->txns[b->ntxns - 1] };
    if (!lua_host_change(t->host, &c, b, err))
        return script_failed(t, f, rec, err);
    size_t own = 0;
    for (size_t i = before; i < b->nrows; i++)
        own += !b->rows[i].emitted;
    t->stats.emitted += b->nrows - before - own;
    t->stats.dropped += own == 0;
    return b->nrows == before || hold(t, f, err);
}

static bool change(struct transform *t, struct frame *f, const struct record *rec, struct err *err)
{
    const struct relation *r = rel_rows_relation(rec->u.change.rows);
    t->stats.changes++;
    t->b->txns[t->b->ntxns - 1].changes++;
    if (t->last.rel != r) {
        /* f keeps the relation alive while its pointer is compared: transform_feed forgets it with each frame. */
        bool script = t->host != NULL && lua_host_wants(t->host, r);
        const struct shape *own = script ? NULL : shape_of_relation(t->shapes, r, err);
        if (!script && own == NULL)
            return placed(rec, err);
        t->last.rel = r;
        t->last.shape = own;
    }
    if (t->last.shape == NULL)
        return through_script(t, f, rec, err);
    return pass_through(t, t->last.shape, rec, err) && hold(t, f, err);
}

static bool truncate(struct transform *t, struct frame *f, const struct record *rec, struct err *err)
{
    t->b->txns[t->b->ntxns - 1].changes++;
    t->stats.changes++;
    if (t->host != NULL)
        return through_script(t, f, rec, err);
    const struct shape *s = shape_intern(t->shapes, rec->u.ddl.t_schema, rec->u.ddl.t_table, NULL, 0, NULL, 0, NULL,
                                         err);
    struct outrow *row = s == NULL ? NULL : batch_add_row(t->b, err);
    if (row == NULL)
        return placed(rec, err);
    row->op = OUT_TRUNCATE;
    row->lsn = rec->lsn;
    row->txn = (uint32_t)(t->b->ntxns - 1);
    row->shape = s;
    return true;
}

static bool add_ddl(struct transform *t, struct frame *f, const struct record *rec, struct bytes sql, struct err *err)
{
    struct out_ddl *d = arena_zalloc(t->b->arena, sizeof *d, err);
    if (d == NULL || !hold(t, f, err))
        return false;
    d->rec = &rec->u.ddl;
    d->sql = sql;
    struct outrow *row = batch_add_row(t->b, err);
    if (row == NULL)
        return false;
    row->op = OUT_DDL;
    row->lsn = rec->lsn;
    row->txn = (uint32_t)(t->b->ntxns - 1);
    row->ddl = d;
    t->b->bytes += rec->u.ddl.sql.n;
    return true;
}

static bool ddl(struct transform *t, struct frame *f, const struct record *rec, struct err *err)
{
    enum ddl_answer answer = DDL_DEFAULT;
    struct bytes sql = { NULL, 0 };
    if (t->host != NULL && lua_host_has_ddl(t->host)) {
        const struct rec_ddl *r = &rec->u.ddl;
        struct ddl_context ctx = { r->schema, (r->sql_flags & 1) != 0, (r->sql_flags & 2) != 0 };
        struct ddl parsed = { 0 };
        if (!ddl_parse(r->sql, &ctx, t->b->arena, &parsed, err) ||
            !lua_host_ddl(t->host, rec, &parsed, t->b, &answer, &sql, err)) {
            t->stats.script_errors += err->code == ERR_SCRIPT;
            return placed(rec, err); /* no policy skips DDL: what follows would no longer fit */
        }
    }
    switch (answer) {
    case DDL_DROPPED:
        return true;
    case DDL_PAUSE:
        return err_set(err, ERR_CONFIG,
                       "the subscription is paused: ddl() of the script answered PAUSE at LSN %" PRIu64
                       " to \"%.*s\". Prepare the destination, let ddl() answer something else, and start again",
                       rec->lsn, rec->u.ddl.sql.n > 400 ? 400 : (int)rec->u.ddl.sql.n, (const char *)rec->u.ddl.sql.p);
    case DDL_DEFAULT:
    case DDL_SQL:
        break;
    }
    return add_ddl(t, f, rec, sql, err);
}

/* --- records --- */

/* Changes of the transaction that begins at record i; SIZE_MAX: it goes on beyond this frame, or holds a barrier. */
static size_t changes_ahead(const struct frame *f, unsigned i)
{
    size_t n = 0;
    for (unsigned k = i + 1; k < frame_count(f); k++) {
        uint8_t op = frame_record(f, k)->op;
        if (op == REC_COMMIT)
            return n;
        if (op == REC_TRUNCATE || op == REC_DDL)
            return SIZE_MAX;
        n += op != REC_MESSAGE;
    }
    return SIZE_MAX;
}

static void begin(struct transform *t, const struct record *rec)
{
    const struct rec_begin *r = &rec->u.begin;
    t->open = (struct batch_txn){
        .begin_lsn = rec->lsn, .gtid = r->gtid, .commit_us = r->commit_us, .resolution_us = r->resolution_us, .file = ""
    };
    t->inside = true;
    t->begun = t->continues = false;
}

static bool commit(struct transform *t, const struct record *rec, struct err *err)
{
    if (!t->inside)
        return err_set(err, ERR_CORRUPT, "at LSN %" PRIu64 ": a commit without its begin", rec->lsn);
    if (!ensure_txn(t, err))
        return false;
    struct batch_txn *x = &t->b->txns[t->b->ntxns - 1];
    const struct rec_commit *r = &rec->u.commit;
    x->commit_lsn = rec->lsn;
    x->end_offset = r->end_offset;
    const struct batch_txn *before = t->b->ntxns > 1 ? x - 1 : NULL;
    x->file = before != NULL && bytes_eq_str(r->file, before->file) ? before->file
                                                                    : arena_cstr(t->b->arena, r->file, err);
    if (x->file == NULL)
        return false;
    t->inside = t->begun = t->continues = false;
    return true;
}

/* A batch that must go before record i may be taken. */
static bool due_before(const struct transform *t, const struct frame *f, unsigned i)
{
    const struct record *rec = frame_record(f, i);
    switch (rec->op) {
    case REC_BEGIN: {
        if (t->b == NULL || t->b->ntxns == 0)
            return false;
        if (full(t, 0))
            return true;
        size_t ahead = changes_ahead(f, i);
        return ahead == SIZE_MAX || (ahead > 0 && t->b->nrows + ahead > t->o.batch_rows);
    }
    case REC_DDL:
    case REC_TRUNCATE:
        /* rows of its own transaction; those before it went at its BEGIN */
        return t->b != NULL && t->begun && t->b->nrows + t->b->ndead > 0;
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE:
        if (t->b == NULL)
            return false;
        if (t->b->barrier) /* rows behind a truncate in one transaction */
            return true;
        return t->begun && t->b->ntxns == 1 && full(t, 0) && t->b->nrows + t->b->ndead > 0;
    default:
        return false;
    }
}

static bool due_after(const struct transform *t, const struct record *rec)
{
    if (rec->op != REC_COMMIT || t->b == NULL)
        return false;
    return t->b->barrier || t->b->starts_inside || full(t, 0);
}

static bool consume(struct transform *t, struct frame *f, const struct record *rec, struct err *err)
{
    switch ((enum rec_op)rec->op) {
    case REC_BEGIN:
        if (t->inside)
            return err_set(err, ERR_CORRUPT, "at LSN %" PRIu64 ": a transaction begins inside another", rec->lsn);
        begin(t, rec);
        return true;
    case REC_COMMIT:
        return commit(t, rec, err);
    case REC_MESSAGE:
        return true;
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE:
    case REC_TRUNCATE:
    case REC_DDL:
        break;
    }
    if (!t->inside)
        return err_set(err, ERR_CORRUPT, "at LSN %" PRIu64 ": a change outside of any transaction", rec->lsn);
    if (!ensure_txn(t, err))
        return false;
    if (rec->op == REC_TRUNCATE || rec->op == REC_DDL) {
        t->b->barrier = true;
        return rec->op == REC_DDL ? ddl(t, f, rec, err) : truncate(t, f, rec, err);
    }
    return change(t, f, rec, err);
}

/* After an error: the open transaction's rows go, so that transform_take hands out the whole ones before it. */
static void give_up(struct transform *t)
{
    struct batch *b = t->b;
    if (b != NULL && t->begun) {
        uint32_t open = (uint32_t)(b->ntxns - 1);
        while (b->nrows > 0 && b->rows[b->nrows - 1].txn == open)
            b->nrows--;
        while (b->ndead > 0 && b->dead[b->ndead - 1].txn == open)
            b->ndead--;
        b->ntxns--;
        if (b->ntxns == 0) {
            batch_free(b);
            t->b = NULL;
        }
    }
    t->inside = t->begun = t->continues = false;
}

bool transform_feed(struct transform *t, struct frame *f, unsigned *from, struct batch **out, struct err *err)
{
    *out = NULL;
    t->last.rel = NULL;
    while (*from < frame_count(f)) {
        const struct record *rec = frame_record(f, *from);
        if (due_before(t, f, *from)) {
            *out = hand_out(t);
            return true;
        }
        if (!consume(t, f, rec, err)) {
            give_up(t);
            return false;
        }
        ++*from;
        if (due_after(t, rec)) {
            *out = hand_out(t);
            return true;
        }
    }
    return true;
}
