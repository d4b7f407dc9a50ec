/* dest_postgres.c - PostgreSQL: rows and progress in one transaction (I4), a batch is BEGIN; statements; progress;
 * COMMIT.
 *
 * A small batch goes out in one flush and comes back in one round trip: single statements check their row count
 * themselves, and so does the progress update, which finds no row when another applier has taken over or the LSN was
 * applied already. Only when arrays are updated or deleted does COMMIT wait for the counts.
 *
 * APPLY_BATCH reorders as compact.h allows; APPLY_ROWS keeps the source's order, one statement a row, and isolates a
 * row that is refused by savepoints (docs/postgresql.md, "Errors"). Never retries by itself: that is the pipeline's. */
#include "clock.h"
#include "dest.h"
#include "fault.h"
#include "pg_ddl.h"
#include "pg_dead.h"
#include "pg_sql.h"
#include "pg_write.h"
#include "slog.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS_A_SAVEPOINT = 64, CREATE_ATTEMPTS = 3, KEY_TEXT_MAX = 100, ATTACH_COLUMNS = 9 };
#define TAG_PROGRESS UINT64_MAX
#define TAG_COMMIT (UINT64_MAX - 1)
static const int64_t catalog_max_age_us = 60 * INT64_C(1000000); /* a person may have added an index or a trigger */

struct postgres {
    struct dest base;
    const struct subscription *sub;
    struct pg_link *link; /* NULL once it broke */
    struct pg_writer *writer;
    struct pg_target **targets; /* by shape id */
    size_t ntargets;
    int64_t catalog_us;  /* when the oldest of them was read */
    char *geometry;      /* PostGIS' type or "" */
    struct arena *arena; /* plans */
    char slot[37];
    uint64_t epoch; /* 0: not attached */
    bool in_transaction;
    bool unchecked; /* row counts of arrays are still to come */
    bool advance_prepared;
    uint64_t changes, transactions; /* of the open transaction */
    struct dest_stats open;         /* rows of the open transaction */
    uint64_t coerced_before;
};

static struct postgres *of(struct dest *d)
{
    return (struct postgres *)d;
}

/* --- names for messages --- */

static void name_row(const struct outrow *r, struct buf *out)
{
    const struct shape *s = r->shape;
    const struct val *row = r->op == OUT_INSERT ? r->new_row : r->old_row;
    buf_printf(out, "LSN %" PRIu64 ": %s.%s", r->lsn, s->schema, s->table);
    for (unsigned i = 0; row != NULL && i < s->nkey; i++) {
        const struct shape_col *c = &s->cols[s->key[i]];
        size_t at = out->n;
        buf_printf(out, i == 0 ? " (%.*s=" : ", %.*s=", BYTES_FMT(c->name));
        column_value_text(&c->type, &row[s->key[i]], out);
        if (out->n - at > KEY_TEXT_MAX)
            out->n = at + KEY_TEXT_MAX;
    }
    if (row != NULL && s->nkey != 0)
        buf_u8(out, ')');
}

static bool at_row(const struct outrow *r, struct err *err)
{
    static const char *const ops[] = { "insert", "update", "delete", "truncate", "ddl" };
    struct buf b = { 0 };
    name_row(r, &b);
    err_ctx(err, "%s, %s", buf_cstr(&b), ops[r->op]);
    buf_free(&b);
    return false;
}

static bool not_connected(struct err *err)
{
    err_set(err, ERR_NET, "there is no connection to PostgreSQL");
    err->transient = true;
    return false;
}

/* --- catalog --- */

static void forget_catalog(struct postgres *p)
{
    for (size_t i = 0; i < p->ntargets; i++) {
        pg_target_free(p->targets[i]);
        p->targets[i] = NULL;
    }
    p->catalog_us = 0;
    p->advance_prepared = false; /* DEALLOCATE ALL takes it, too */
    pg_writer_forget(p->writer);
}

static struct pg_ddl_options ddl_options(const struct postgres *p)
{
    return (struct pg_ddl_options){ .zero_date = p->sub->zero_date,
                                    .geometry = p->geometry,
                                    .evolve = p->sub->evolve,
                                    .script = p->sub->script != NULL };
}

static bool find_geometry(struct postgres *p, struct err *err)
{
    struct buf b = { 0 };
    if (p->geometry != NULL)
        return true;
    if (!pg_catalog_type(p->link, "geometry", &b, err))
        return false;
    p->geometry = strdup(buf_cstr(&b));
    buf_free(&b);
    return p->geometry != NULL || err_nomem(err);
}

static const struct val *any_row(const struct outrow *r)
{
    return r->new_row != NULL ? r->new_row : r->old_row;
}

/* CREATE SCHEMA IF NOT EXISTS wants the privilege even when the schema is there. */
static bool create_schema(struct postgres *p, const char *name, struct err *err)
{
    const char *param = name[0] == '\0' ? "public" : name;
    PGresult *r;
    if (!pg_link_query(p->link, "SELECT 1 FROM pg_namespace WHERE nspname = $1", &param, 1, &r, err))
        return false;
    bool there = PQntuples(r) != 0;
    PQclear(r);
    if (there)
        return true;
    struct buf sql = { 0 };
    buf_str(&sql, "CREATE SCHEMA IF NOT EXISTS ");
    pg_ident(&sql, bytes_str(param));
    bool ok = pg_link_exec(p->link, buf_cstr(&sql), err);
    buf_free(&sql);
    return ok;
}

static bool create_table(struct postgres *p, const struct outrow *row, struct err *err)
{
    struct buf sql = { 0 };
    if (!find_geometry(p, err) || !create_schema(p, row->shape->schema, err))
        return false;
    struct pg_ddl_options o = ddl_options(p);
    pg_ddl_create(row->shape, any_row(row), &o, &sql);
    bool ok = buf_ok(&sql, err) && pg_link_exec(p->link, buf_cstr(&sql), err);
    buf_free(&sql);
    if (ok) {
        slog(SLOG_INFO, "table_created", kv_s("subscription", p->sub->name), kv_s("schema", row->shape->schema),
             kv_s("table", row->shape->table), kv_u("lsn", row->lsn));
        return true;
    }
    if (err->code == ERR_CONFLICT || strstr(err->msg, "SQLSTATE 42P07") != NULL)
        err->transient = true; /* another subscription made it in the same moment */
    return err_ctx(err, "create the table");
}

static bool no_table(struct postgres *p, const struct outrow *r, struct err *err)
{
    struct buf sql = { 0 };
    struct pg_ddl_options o = ddl_options(p);
    if (!find_geometry(p, err))
        return false;
    pg_ddl_create(r->shape, any_row(r), &o, &sql);
    err_set(err, ERR_CONFIG, "LSN %" PRIu64 ": the destination has no table %s.%s: run with --create, or: %s", r->lsn,
            r->shape->schema, r->shape->table, buf_cstr(&sql));
    buf_free(&sql);
    return false;
}

static bool no_column(struct postgres *p, const struct outrow *r, unsigned col, struct err *err)
{
    struct buf sql = { 0 };
    struct pg_ddl_options o = ddl_options(p);
    if (!find_geometry(p, err))
        return false;
    pg_ddl_missing(r->shape, col, any_row(r), &o, &sql);
    err_set(err, ERR_CONFIG,
            "LSN %" PRIu64
            ": %s.%s has no column %.*s at the destination%s: %s (and give existing rows their values), or have "
            "the script remove the column",
            r->lsn, r->shape->schema, r->shape->table, BYTES_FMT(r->shape->cols[col].name),
            p->sub->evolve ? "" : " (--evolve adds columns when the source's ALTER TABLE arrives)", buf_cstr(&sql));
    buf_free(&sql);
    return false;
}

static bool room_for(struct postgres *p, uint32_t id, struct err *err)
{
    if (id < p->ntargets)
        return true;
    size_t n = (size_t)id + 16;
    struct pg_target **t = realloc(p->targets, n * sizeof(struct pg_target *));
    if (t == NULL)
        return err_nomem(err);
    memset(t + p->ntargets, 0, (n - p->ntargets) * sizeof(struct pg_target *));
    p->targets = t;
    p->ntargets = n;
    return true;
}

/* The destination table of a row's shape: read, or created, at its first row. */
static bool find_target(struct postgres *p, const struct outrow *r, struct err *err)
{
    const struct shape *s = r->shape;
    struct pg_table *t = NULL;
    unsigned missing = s->ncols;
    if (!room_for(p, s->id, err))
        return false;
    if (p->targets[s->id] != NULL)
        return true;
    if (!pg_catalog_table(p->link, s->schema, s->table, &t, err))
        return false;
    if (t == NULL && r->op == OUT_TRUNCATE && p->sub->create)
        return true; /* nothing there to empty */
    if (t == NULL && !p->sub->create)
        return no_table(p, r, err);
    if (t == NULL && (!create_table(p, r, err) || !pg_catalog_table(p->link, s->schema, s->table, &t, err)))
        return err_ctx(err, "LSN %" PRIu64 ": %s.%s", r->lsn, s->schema, s->table);
    if (t == NULL)
        return err_set(err, ERR_CONFIG, "LSN %" PRIu64 ": %s.%s was created and is not there", r->lsn, s->schema,
                       s->table);
    if (!pg_target_new(s, t, &p->targets[s->id], &missing, err)) {
        pg_table_free(t);
        return missing < s->ncols ? no_column(p, r, missing, err) : false;
    }
    if (p->catalog_us == 0)
        p->catalog_us = clock_mono_us();
    return true;
}

static const struct compact_traits *traits_of(void *ctx, const struct shape *s)
{
    struct postgres *p = ctx;
    return &p->targets[s->id]->traits;
}

/* --- transaction --- */

static bool begin(struct postgres *p, struct err *err)
{
    if (p->in_transaction)
        return true;
    if (p->catalog_us != 0 && clock_mono_us() - p->catalog_us > catalog_max_age_us)
        forget_catalog(p);
    fault_point("apply.before_begin");
    p->changes = p->transactions = 0;
    p->open = (struct dest_stats){ 0 };
    p->unchecked = false;
    p->in_transaction = true;
    p->coerced_before = pg_writer_coerced(p->writer);
    return pg_link_send(p->link, NULL, "BEGIN", NULL, 0, -1, 0, err);
}

/* What went wrong, in the words of the pipeline. */
static bool failed(struct postgres *p, const struct batch *b, struct err *err)
{
    const struct pg_failure *f = pg_link_failure(p->link);
    if (f->tag == TAG_PROGRESS && f->counted)
        return err_set(
            err, ERR_FENCED,
            "subscription %s: another rowtide-apply has taken it over, or has applied this LSN already (epoch %" PRIu64
            " is no longer current)",
            p->sub->name, p->epoch);
    pg_link_error(f, err);
    if (f->tag == TAG_COMMIT)
        err_ctx(err, "at COMMIT");
    else if (f->tag > 0 && f->tag <= b->nrows) /* one statement may stand for many rows: this is its first */
        err_ctx(err, "LSN %" PRIu64 " or later: %s.%s", b->rows[f->tag - 1].lsn, b->rows[f->tag - 1].shape->schema,
                b->rows[f->tag - 1].shape->table);
    return false;
}

static bool send_progress(struct postgres *p, const struct batch *b, struct err *err)
{
    const struct batch_txn *t = &b->txns[b->ntxns - 1];
    struct buf gtid = { 0 };
    char epoch[24], lsn[24], pos[24], us[24], changes[24], transactions[24];
    gtid_text(&t->gtid, &gtid);
    snprintf(epoch, sizeof epoch, "%" PRIu64, p->epoch);
    snprintf(lsn, sizeof lsn, "%" PRIu64, t->commit_lsn);
    snprintf(pos, sizeof pos, "%" PRIu64, t->end_offset);
    snprintf(us, sizeof us, "%" PRId64, t->commit_us);
    snprintf(changes, sizeof changes, "%" PRIu64, p->changes);
    snprintf(transactions, sizeof transactions, "%" PRIu64, p->transactions);
    const char *values[] = {
        p->slot, p->sub->name, epoch, lsn, buf_cstr(&gtid), t->file, pos, us, changes, transactions
    };
    struct pg_param params[sizeof values / sizeof *values];
    unsigned n = sizeof values / sizeof *values;
    for (unsigned i = 0; i < n; i++)
        params[i] = (struct pg_param){ .type = PG_TEXT, .value = values[i], .length = (int)strlen(values[i]) };
    bool ok = buf_ok(&gtid, err);
    ok = ok && pg_writer_fresh(p->writer, p->link, err); /* DEALLOCATE ALL may still be due: not behind our statement */
    if (ok && !p->advance_prepared)
        ok = pg_link_prepare(p->link, "advance", pg_sql_advance, params, n, TAG_PROGRESS, err);
    p->advance_prepared = ok;
    ok = ok && pg_link_send(p->link, "advance", NULL, params, n, -1, TAG_PROGRESS, err);
    buf_free(&gtid);
    return ok;
}

static void add_open_stats(struct postgres *p)
{
    struct dest_stats *s = &p->base.stats;
    s->rows_insert += p->open.rows_insert;
    s->rows_update += p->open.rows_update;
    s->rows_delete += p->open.rows_delete;
    s->skipped += p->open.skipped;
    s->dead_lettered += p->open.dead_lettered;
    s->coerced += pg_writer_coerced(p->writer) - p->coerced_before;
    s->commits++;
}

static bool commit(struct postgres *p, const struct batch *b, struct err *err)
{
    int64_t t0 = clock_mono_us();
    if (!send_progress(p, b, err))
        return false;
    if (p->unchecked && !pg_link_drain(p->link, err))
        return false;
    fault_point("apply.before_commit");
    if (!pg_link_send(p->link, NULL, "COMMIT", NULL, 0, -1, TAG_COMMIT, err) || !pg_link_drain(p->link, err))
        return false;
    if (pg_link_failure(p->link)->set)
        return failed(p, b, err);
    fault_point("apply.after_commit");
    p->in_transaction = false;
    add_open_stats(p);
    p->base.stats.commit_us += (uint64_t)(clock_mono_us() - t0);
    return true;
}

/* --- rows --- */

static void count(struct postgres *p, const struct outrow *r)
{
    p->open.rows_insert += r->op == OUT_INSERT;
    p->open.rows_update += r->op == OUT_UPDATE;
    p->open.rows_delete += r->op == OUT_DELETE;
}

static bool truncate(struct postgres *p, const struct outrow *r, uint64_t tag, struct err *err)
{
    struct buf sql = { 0 };
    if (p->targets[r->shape->id] == NULL)
        return true;
    buf_str(&sql, "TRUNCATE TABLE ");
    pg_name(&sql, r->shape->schema, r->shape->table);
    bool ok = buf_ok(&sql, err) && pg_link_send(p->link, NULL, buf_cstr(&sql), NULL, 0, -1, tag, err);
    buf_free(&sql);
    return ok;
}

static bool send_group(struct postgres *p, const struct plan_group *g, uint64_t tag, struct err *err)
{
    size_t bad = 0;
    if (g->op == OUT_TRUNCATE)
        return truncate(p, g->src[0], tag, err);
    if (pg_write_group(p->writer, p->link, p->targets[g->shape->id], g, tag, &p->unchecked, &bad, err))
        return true;
    return err->code == ERR_DATA ? at_row(g->src[bad], err) : false;
}

static bool apply_batched(struct postgres *p, const struct batch *b, size_t from, size_t to, struct err *err)
{
    struct plan plan;
    arena_reset(p->arena);
    if (!compact_plan(b, from, to, traits_of, p, p->arena, &plan, err))
        return false;
    for (size_t i = 0; i < plan.n && !pg_link_failure(p->link)->set; i++)
        if (!send_group(p, plan.groups[i], (uint64_t)(plan.groups[i]->src[0] - b->rows) + 1, err))
            return false;
    for (size_t i = from; i < to; i++)
        count(p, &b->rows[i]);
    return true;
}

static bool send_row(struct postgres *p, const struct batch *b, size_t i, struct err *err)
{
    struct plan_group *g;
    if (b->rows[i].op == OUT_TRUNCATE)
        return truncate(p, &b->rows[i], i + 1, err);
    arena_reset(p->arena);
    return compact_single(&b->rows[i], p->arena, &g, err) && send_group(p, g, i + 1, err);
}

/* Rows [from, to) one by one; *bad: the first that was refused, to if none. False: nothing that could be laid to one
 * row. */
static bool try_rows(struct postgres *p, const struct batch *b, size_t from, size_t to, size_t *bad, char sqlstate[6],
                     struct err *why, struct err *err)
{
    *bad = to;
    sqlstate[0] = '\0';
    for (size_t i = from; i < to && !pg_link_failure(p->link)->set; i++) {
        if (send_row(p, b, i, why))
            continue;
        if (why->code != ERR_DATA) {
            *err = *why;
            return false;
        }
        *bad = i; /* a value of ours that does not fit: was not sent */
        break;
    }
    if (!pg_link_drain(p->link, err))
        return false;
    const struct pg_failure *f = pg_link_failure(p->link);
    if (!f->set)
        return true;
    if (f->tag == 0 || f->tag > to) {
        failed(p, b, err);
        return false;
    }
    *bad = (size_t)f->tag - 1;
    if (!f->counted)
        snprintf(sqlstate, 6, "%s", f->sqlstate);
    pg_link_error(f, why);
    at_row(&b->rows[*bad], why);
    if (!why->transient && (why->code == ERR_DATA || why->code == ERR_CONFLICT) && b->rows[*bad].op != OUT_TRUNCATE)
        return true;
    *err = *why;
    return false;
}

static bool set_aside(struct postgres *p, const struct outrow *r, const char *sqlstate, const struct err *why,
                      struct err *err)
{
    bool dead = p->sub->on_error == ON_ERROR_DEAD_LETTER;
    struct buf name = { 0 };
    name_row(r, &name);
    slog(SLOG_WARN, dead ? "row_dead_lettered" : "row_skipped", kv_s("subscription", p->sub->name), kv_u("lsn", r->lsn),
         kv_s("row", buf_cstr(&name)), kv_s("error", why->msg));
    buf_free(&name);
    if (!dead) {
        p->open.skipped++;
        return true;
    }
    p->open.dead_lettered++;
    return pg_dead_row(p->link, p->slot, p->sub->name, r, why->msg, sqlstate, err);
}

static bool simple(struct postgres *p, const char *sql, struct err *err)
{
    return pg_link_send(p->link, NULL, sql, NULL, 0, -1, 0, err);
}

/* Back to the savepoint: what stood before the refused row goes again, the row itself follows the policy. */
static bool around(struct postgres *p, const struct batch *b, size_t from, size_t bad, const char *sqlstate,
                   const struct err *why, struct err *err)
{
    struct err again;
    char state[6];
    size_t at;
    if (!pg_link_reset(p->link, err) || !simple(p, "ROLLBACK TO SAVEPOINT rowtide", err))
        return false;
    pg_writer_forget(p->writer); /* some were never prepared */
    p->advance_prepared = false;
    if (!try_rows(p, b, from, bad, &at, state, &again, err))
        return false;
    if (at != bad) {
        *err = again;
        return false;
    }
    return set_aside(p, &b->rows[bad], sqlstate, why, err);
}

static bool apply_rows(struct postgres *p, const struct batch *b, size_t from, size_t to, struct err *err)
{
    bool isolate = p->sub->on_error != ON_ERROR_STOP;
    while (from < to) {
        size_t end = to - from > ROWS_A_SAVEPOINT ? from + ROWS_A_SAVEPOINT : to, bad;
        char sqlstate[6];
        struct err why;
        if (isolate && (!simple(p, "SAVEPOINT rowtide", err) || !pg_link_savepoint(p->link, err)))
            return false;
        if (!try_rows(p, b, from, end, &bad, sqlstate, &why, err))
            return false;
        if (bad < end && !isolate) {
            *err = why;
            return false;
        }
        if (bad < end && !around(p, b, from, bad, sqlstate, &why, err))
            return false;
        if (isolate && !simple(p, "RELEASE SAVEPOINT rowtide", err))
            return false;
        for (size_t i = from; i < bad; i++)
            count(p, &b->rows[i]);
        from = bad < end ? bad + 1 : end;
    }
    return true;
}

static bool apply_segment(struct postgres *p, const struct batch *b, size_t from, size_t to, enum apply_mode mode,
                          struct err *err)
{
    for (size_t i = from; i < to; i++)
        if ((b->rows[i].shape->id >= p->ntargets || p->targets[b->rows[i].shape->id] == NULL) &&
            !find_target(p, &b->rows[i], err))
            return false;
    return mode == APPLY_BATCH ? apply_batched(p, b, from, to, err) : apply_rows(p, b, from, to, err);
}

/* --- among other connections --- */

static bool sent_back(struct postgres *p, struct err *err)
{
    p->base.sent_back = true;
    return err_set(err, ERR_STOPPED, "a batch before this one was not applied");
}

static bool knows_all_targets(const struct postgres *p, const struct batch *b)
{
    for (size_t i = 0; i < b->nrows; i++)
        if (b->rows[i].shape == NULL || b->rows[i].shape->id >= p->ntargets ||
            p->targets[b->rows[i].shape->id] == NULL || b->rows[i].op > OUT_DELETE)
            return false;
    return true;
}

/* Says what each row touches; late[i] is set for those that must wait for the turn. Returns their number. */
static size_t find_late(struct postgres *p, const struct batch *b, bool *late)
{
    struct touch touches[PG_TOUCHES_MAX];
    size_t found = 0, n;
    if (!knows_all_targets(p, b)) { /* tables may have to be made, or read while nobody changes them */
        turns_touch_all(p->base.turns, p->base.ticket);
        memset(late, true, b->nrows * sizeof *late);
        return b->nrows;
    }
    for (size_t i = 0; i < b->nrows; i++) {
        const struct outrow *r = &b->rows[i];
        late[i] = true;
        if (pg_deps_row(p->targets[r->shape->id]->deps, r, touches, &n))
            late[i] = turns_touch(p->base.turns, p->base.ticket, touches, n);
        else
            turns_touch_all(p->base.turns, p->base.ticket);
        found += late[i];
    }
    return found;
}

/* The rows of b, early ones first, each kind in the source's order: they have nothing in common that would tell. */
static bool early_first(const struct batch *b, const bool *late, size_t nlate, struct batch *out, struct err *err)
{
    size_t early = 0, behind = b->nrows - nlate;
    *out = *b;
    if (nlate == 0 || nlate == b->nrows)
        return true;
    out->rows = arena_alloc(b->arena, b->nrows * sizeof *out->rows, err);
    if (out->rows == NULL)
        return false;
    for (size_t i = 0; i < b->nrows; i++)
        out->rows[late[i] ? behind++ : early++] = b->rows[i];
    return true;
}

/* Before the turn: begins, and applies the rows that no batch under way has to do with. *ordered is b with those in
 * front, *from the first that is left. */
static bool apply_early(struct postgres *p, const struct batch *b, struct batch *ordered, size_t *from, struct err *err)
{
    struct turns *turns = p->base.turns;
    bool *late = arena_zalloc(b->arena, b->nrows + 1, err);
    if (late == NULL)
        return false;
    if (!turns_enter(turns, p->base.ticket))
        return sent_back(p, err);
    size_t nlate = find_late(p, b, late);
    turns_entered(turns, p->base.ticket);
    *from = b->nrows - nlate;
    if (!early_first(b, late, nlate, ordered, err))
        return false;
    if (*from != 0 && (!apply_batched(p, ordered, 0, *from, err) || !pg_link_drain(p->link, err)))
        return false;
    if (pg_link_failure(p->link)->set)
        return failed(p, ordered, err);
    p->unchecked = false;
    fault_point("apply.before_turn");
    int64_t t0 = clock_mono_us();
    bool ok = turns_wait(turns, p->base.ticket);
    p->base.stats.turn_us += (uint64_t)(clock_mono_us() - t0);
    return ok || sent_back(p, err);
}

/* --- DDL --- */

static bool table_of(struct postgres *p, const struct ddl_table *t, struct pg_table **out, struct err *err)
{
    char *schema = arena_cstr(p->arena, t->schema, err), *table = arena_cstr(p->arena, t->table, err);
    return schema != NULL && table != NULL && pg_catalog_table(p->link, schema, table, out, err);
}

static bool ddl_stops(const struct outrow *r, const char *why, struct buf *sql, struct err *err)
{
    struct bytes text = r->ddl->rec->sql;
    int n = text.n > 200 ? 200 : (int)text.n;
    if (sql->n != 0)
        return err_set(err, ERR_CONFIG,
                       "LSN %" PRIu64
                       ": the source ran \"%.*s\": %s. Run this at the destination, adapted where needed, and start "
                       "again: %s; or answer the statement in the script's ddl()",
                       r->lsn, n, (const char *)text.p, why, buf_cstr(sql));
    return err_set(err, ERR_CONFIG,
                   "LSN %" PRIu64
                   ": the source ran \"%.*s\": %s. Answer it in the script's ddl(): return the SQL to run at the "
                   "destination, or DROP once its rows were brought in line by hand",
                   r->lsn, n, (const char *)text.p, why);
}

static bool run_ddl(struct postgres *p, const struct outrow *r, const char *sql, struct err *err)
{
    if (!pg_link_exec(p->link, sql, err))
        return err_ctx(err, "LSN %" PRIu64 ": %s", r->lsn, sql);
    slog(SLOG_INFO, "ddl_applied", kv_s("subscription", p->sub->name), kv_u("lsn", r->lsn), kv_s("sql", sql));
    return true;
}

static bool alter_table(struct postgres *p, const struct outrow *r, const struct ddl *d, struct err *err)
{
    struct pg_table *t = NULL;
    struct buf sql = { 0 };
    bool ok = find_geometry(p, err);
    struct pg_ddl_options o = ddl_options(p);
    for (unsigned i = 0; ok && i < d->nclauses; i++) {
        const char *why = "";
        pg_table_free(t); /* again for each clause: an earlier one may have changed it */
        t = NULL;
        buf_reset(&sql);
        ok = d->ntables == 0 || table_of(p, &d->tables[0], &t, err);
        if (!ok)
            break;
        enum pg_ddl_answer a = pg_ddl_clause(t, &d->clauses[i], r->ddl->rec->sql, &o, &sql, &why);
        ok = buf_ok(&sql, err);
        if (ok && a == PG_DDL_STOP)
            ok = ddl_stops(r, why, &sql, err);
        else if (ok && a == PG_DDL_RUN)
            ok = run_ddl(p, r, buf_cstr(&sql), err);
    }
    pg_table_free(t);
    buf_free(&sql);
    return ok;
}

/* RENAME TABLE a TO b, c TO d: passes where a is not here, or was renamed by hand already. */
static bool rename_tables(struct postgres *p, const struct outrow *r, const struct ddl *d, struct err *err)
{
    for (unsigned i = 0; i + 1 < d->ntables; i += 2) {
        struct ddl_clause c = { .kind = DDL_C_RENAME_TABLE, .to = d->tables[i + 1] };
        struct pg_ddl_options o = ddl_options(p);
        struct pg_table *t = NULL;
        struct buf sql = { 0 };
        const char *why = "";
        bool ok = table_of(p, &d->tables[i], &t, err);
        if (ok && pg_ddl_clause(t, &c, r->ddl->rec->sql, &o, &sql, &why) == PG_DDL_STOP)
            ok = ddl_stops(r, why, &sql, err);
        pg_table_free(t);
        buf_free(&sql);
        if (!ok)
            return false;
    }
    return true;
}

static bool truncate_tables(struct postgres *p, const struct outrow *r, const struct ddl *d, struct err *err)
{
    for (unsigned i = 0; i < d->ntables; i++) {
        struct pg_table *t = NULL;
        struct buf sql = { 0 };
        if (!table_of(p, &d->tables[i], &t, err))
            return false;
        bool ok = true;
        if (t != NULL) {
            buf_str(&sql, "TRUNCATE TABLE ");
            pg_name(&sql, t->schema, t->name);
            ok = run_ddl(p, r, buf_cstr(&sql), err);
        }
        pg_table_free(t);
        buf_free(&sql);
        if (!ok)
            return false;
    }
    return true;
}

static bool own_ddl(struct postgres *p, const struct outrow *r, struct err *err)
{
    const struct rec_ddl *rec = r->ddl->rec;
    struct ddl_context ctx = { .default_schema = rec->schema,
                               .ansi_quotes = (rec->sql_flags & 1) != 0,
                               .no_backslash_escapes = (rec->sql_flags & 2) != 0 };
    struct ddl d;
    if (!ddl_parse(rec->sql, &ctx, p->arena, &d, err))
        return false;
    switch (d.kind) {
    case DDL_ALTER_TABLE:
        return alter_table(p, r, &d, err);
    case DDL_RENAME_TABLE:
        return rename_tables(p, r, &d, err);
    case DDL_TRUNCATE:
        return truncate_tables(p, r, &d, err);
    case DDL_DROP_TABLE:
    case DDL_DROP_DATABASE:
        slog(SLOG_INFO, "drop_not_followed", kv_s("subscription", p->sub->name), kv_u("lsn", r->lsn),
             kv_s("note", "what the source dropped stays at the destination"));
        return true;
    case DDL_OTHER:
    case DDL_CREATE_TABLE:
    case DDL_CREATE_INDEX:
    case DDL_DROP_INDEX:
    case DDL_TRANSACTION:
    case DDL_DML:
        break;
    }
    return true;
}

static bool apply_ddl(struct postgres *p, const struct outrow *r, struct err *err)
{
    bool ok;
    arena_reset(p->arena);
    if (r->ddl->sql.n != 0) {
        char *sql = arena_cstr(p->arena, r->ddl->sql, err);
        /* a person wrote it: names without a schema mean what they mean to that person */
        ok = sql != NULL && pg_link_exec(p->link, "SET LOCAL search_path TO DEFAULT", err) &&
             pg_link_script(p->link, sql, err) &&
             (pg_link_in_transaction(p->link) ||
              err_set(err, ERR_CONFIG,
                      "it ended the transaction (COMMIT, ROLLBACK?): what it did stays, but is not recorded as done. "
                      "Take these statements out of it")) &&
             pg_link_exec(p->link, "SET LOCAL search_path = ''", err);
        if (!ok) {
            err_ctx(err, "LSN %" PRIu64 ": the SQL that ddl() answered", r->lsn);
            if (!err->transient && (err->code == ERR_DATA || err->code == ERR_CONFLICT))
                err->code = ERR_CONFIG; /* going row by row would not help */
        }
    } else {
        ok = own_ddl(p, r, err);
    }
    forget_catalog(p);
    return ok;
}

/* --- the driver --- */

static bool apply_everything(struct postgres *p, const struct batch *b, enum apply_mode mode, struct err *err)
{
    struct batch ordered;
    size_t from = 0;
    if (!begin(p, err))
        return false;
    if (p->base.turns != NULL) {
        if (!apply_early(p, b, &ordered, &from, err))
            return false;
        b = &ordered;
    }
    for (size_t i = from; i < b->nrows;) {
        if (b->rows[i].op == OUT_DDL) {
            if (!apply_ddl(p, &b->rows[i++], err))
                return false;
            continue;
        }
        size_t to = i;
        while (to < b->nrows && b->rows[to].op != OUT_DDL)
            to++;
        if (!apply_segment(p, b, i, to, mode, err))
            return false;
        i = to;
    }
    for (size_t i = 0; i < b->ndead; i++, p->open.dead_lettered++)
        if (!pg_dead_change(p->link, p->slot, p->sub->name, &b->dead[i], err))
            return false;
    for (size_t i = 0; i < b->ntxns; i++)
        p->changes += b->txns[i].changes;
    p->transactions += b->ntxns - (b->ends_inside ? 1 : 0);
    fault_point("apply.after_rows");
    if (!b->ends_inside)
        return commit(p, b, err);
    if (!pg_link_drain(p->link, err))
        return false;
    p->unchecked = false;
    return !pg_link_failure(p->link)->set || failed(p, b, err);
}

static void postgres_rollback(struct dest *d)
{
    struct postgres *p = of(d);
    struct err err;
    if (p->link == NULL)
        return;
    if (p->in_transaction || pg_link_failure(p->link)->set) {
        bool ok = pg_link_reset(p->link, &err) && pg_link_send(p->link, NULL, "ROLLBACK", NULL, 0, -1, 0, &err) &&
                  pg_link_reset(p->link, &err);
        forget_catalog(p); /* what it said may be why; and statements of an aborted pipeline were never prepared */
        p->in_transaction = false;
        if (!ok) {
            pg_link_close(p->link);
            p->link = NULL;
        }
    }
}

static bool read_progress(struct postgres *p, const char *sql, unsigned n, const char *script_hash,
                          struct progress *out, struct err *err)
{
    const char *params[] = { p->slot, p->sub->name, script_hash };
    PGresult *r;
    if (!pg_link_query(p->link, sql, params, n, &r, err))
        return false;
    struct progress g = { 0 };
    if (PQntuples(r) == 1 && PQnfields(r) == ATTACH_COLUMNS) {
        uint64_t v[ATTACH_COLUMNS];
        for (int i = 0; i < ATTACH_COLUMNS; i++)
            v[i] = strtoull(PQgetvalue(r, 0, i), NULL, 10);
        g.epoch = v[0];
        g.lsn = v[1];
        g.offset = v[4];
        g.commit_us = (int64_t)v[5];
        g.changes = v[6];
        g.transactions = v[7];
        g.found = g.epoch > 1 || g.lsn != 0; /* 1: this statement made the row */
        snprintf(g.gtid, sizeof g.gtid, "%s", PQgetvalue(r, 0, 2));
        snprintf(g.file, sizeof g.file, "%s", PQgetvalue(r, 0, 3));
        snprintf(g.script_hash, sizeof g.script_hash, "%s", PQgetvalue(r, 0, 8));
    }
    PQclear(r);
    *out = g;
    return true;
}

/* Errors that are not about the data: another applier has taken over; or a session of our own, which the server had not given up
 * yet when its client lost the connection, has committed b in the meantime. */
static void look_for_fence(struct postgres *p, const struct batch *b, struct err *err)
{
    struct progress g;
    struct err other;
    if (err->transient || (err->code != ERR_DATA && err->code != ERR_CONFLICT && err->code != ERR_FENCED))
        return;
    postgres_rollback(&p->base);
    if (p->link == NULL || !read_progress(p, pg_sql_read, 2, NULL, &g, &other))
        return;
    if (g.epoch != p->epoch) {
        err_set(err, ERR_FENCED,
                "subscription %s: another rowtide-apply has taken it over (epoch %" PRIu64 ", ours was %" PRIu64 ")",
                p->sub->name, g.epoch, p->epoch);
    } else if (g.lsn > b->txns[0].begin_lsn) {
        err_set(err, ERR_NET, "LSN %" PRIu64 " was committed by our own session, whose connection was lost", g.lsn);
        err->transient = true;
    }
}

static bool postgres_apply(struct dest *d, const struct batch *b, enum apply_mode mode, struct err *err)
{
    struct postgres *p = of(d);
    if (p->link == NULL)
        return not_connected(err);
    if (p->epoch == 0)
        return err_set(err, ERR_FENCED, "not attached to subscription %s", p->sub->name);
    if (!apply_everything(p, b, mode, err)) {
        look_for_fence(p, b, err);
        return false;
    }
    p->base.stats.batches++;
    return true;
}

static bool own_tables(struct postgres *p, bool *there, struct err *err)
{
    PGresult *r;
    if (!pg_link_query(
            p->link,
            "SELECT to_regclass('rowtide.progress') IS NOT NULL AND to_regclass('rowtide.dead_letter') IS NOT NULL",
            NULL, 0, &r, err))
        return false;
    *there = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return true;
}

/* Others may do the same at the same time: IF NOT EXISTS is no lock, so look again before complaining. */
static bool create_own_tables(struct postgres *p, struct err *err)
{
    bool there = false;
    struct err last = { 0 };
    for (int i = 0; i < CREATE_ATTEMPTS; i++) {
        if (!own_tables(p, &there, err))
            return false;
        if (there)
            return true;
        if (create_schema(p, "rowtide", &last) && pg_link_exec(p->link, pg_sql_progress, &last) &&
            pg_link_exec(p->link, pg_sql_dead_letter, &last))
            return true;
    }
    *err = last;
    return err_ctx(err, "create the tables rowtide.progress and rowtide.dead_letter");
}

/* I4: a slot that was made anew has another UUID and knows nothing of what its predecessor's subscription applied here. */
static bool refuse_other_slot(struct postgres *p, struct err *err)
{
    const char *params[] = { p->slot, p->sub->name };
    PGresult *r;
    if (!pg_link_query(p->link, pg_sql_other_slot, params, 2, &r, err))
        return false;
    bool other = PQntuples(r) != 0;
    if (other)
        err_set(err, ERR_LOST,
                "subscription %s at this destination belongs to slot %s (applied up to LSN %s), not to this one (%s): "
                "was the slot made anew? "
                "Another slot needs another --name; to begin again with empty tables: DELETE FROM rowtide.progress "
                "WHERE slot = '%s' AND "
                "subscription = '%s'",
                p->sub->name, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), p->slot, PQgetvalue(r, 0, 0), p->sub->name);
    PQclear(r);
    return !other;
}

static bool postgres_attach(struct dest *d, const uint8_t slot[16], bool take, const char *script_hash,
                            struct progress *out, struct err *err)
{
    struct postgres *p = of(d);
    struct progress g;
    if (p->link == NULL)
        return not_connected(err);
    uint64_t ours = p->epoch != 0 ? p->epoch : out->epoch;
    uuid_text(slot, p->slot);
    if (take) {
        if (!create_own_tables(p, err) || !refuse_other_slot(p, err) ||
            !read_progress(p, pg_sql_attach, 3, script_hash == NULL ? "" : script_hash, &g, err))
            return false;
    } else {
        if (!read_progress(p, pg_sql_read, 2, NULL, &g, err))
            return false;
        if (g.epoch != ours)
            return err_set(err, ERR_FENCED,
                           "subscription %s: another rowtide-apply has taken it over (epoch %" PRIu64
                           ", ours was %" PRIu64 ")",
                           p->sub->name, g.epoch, ours);
        g.found = true;
    }
    p->epoch = g.epoch;
    *out = g;
    return true;
}

static void postgres_refresh(struct dest *d)
{
    forget_catalog(of(d));
}

static bool postgres_connected(struct dest *d)
{
    struct postgres *p = of(d);
    return p->link != NULL && pg_link_alive(p->link);
}

static void postgres_close(struct dest *d)
{
    struct postgres *p = of(d);
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->ntargets; i++)
        pg_target_free(p->targets[i]);
    free(p->targets);
    free(p->geometry);
    pg_writer_free(p->writer);
    pg_link_close(p->link);
    arena_free(p->arena);
    free(p);
}

static void postgres_place(const struct dest *d, struct buf *out)
{
    const struct postgres *p = (const struct postgres *)d;
    if (p->link != NULL)
        pg_link_place(p->link, out);
    else
        buf_str(out, "postgresql:");
}

static bool postgres_open(const struct subscription *sub, struct dest **out, struct err *err)
{
    struct postgres *p = calloc(1, sizeof *p);
    struct pg_policy policy = { .zero_date = sub->zero_date, .nul = sub->nul };
    char name[64];
    if (p == NULL)
        return err_nomem(err);
    p->base.ops = &dest_postgres_ops;
    p->sub = sub;
    p->arena = arena_new(0);
    p->writer = pg_writer_new(&policy);
    snprintf(name, sizeof name, "rowtide apply %s", sub->name);
    bool ok = (p->arena != NULL && p->writer != NULL) || err_nomem(err);
    if (!ok || !pg_link_open(sub->to, name, &p->link, err)) {
        postgres_close(&p->base);
        return false;
    }
    *out = &p->base;
    return true;
}

const struct dest_ops dest_postgres_ops = {
    .name = "postgresql",
    .transactional = true,
    .concurrent = true,
    .open = postgres_open,
    .attach = postgres_attach,
    .apply = postgres_apply,
    .rollback = postgres_rollback,
    .connected = postgres_connected,
    .refresh = postgres_refresh,
    .close = postgres_close,
    .place = postgres_place,
};
