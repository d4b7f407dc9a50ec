/* dest_postgres_rows.c - the rows of a batch onto the connection: as compact.h's plan (APPLY_BATCH), or one by one in the
 * source's order, where a row that is refused is isolated by savepoints (APPLY_ROWS; docs/postgresql.md, "Errors"). */
#include "dest_postgres.h"
#include "pg_dead.h"
#include "pg_sql.h"
#include "slog.h"

#include <inttypes.h>
#include <stdio.h>

enum { ROWS_A_SAVEPOINT = 64, KEY_TEXT_MAX = 100 };

/* --- names for messages --- */

static void name_row(const struct outrow *r, struct buf *out)
{
    const struct shape *s = r->shape;
    bool has = r->op == OUT_INSERT ? outrow_has_new(r) : outrow_has_old(r);
    buf_printf(out, "LSN %" PRIu64 ": %s.%s", r->lsn, s->schema, s->table);
    for (unsigned i = 0; has && i < s->nkey; i++) {
        const struct shape_col *c = &s->cols[s->key[i]];
        size_t at = out->n;
        buf_printf(out, i == 0 ? " (%.*s=" : ", %.*s=", BYTES_FMT(c->name));
        struct val v = r->op == OUT_INSERT ? outrow_new_at(r, s->key[i]) : outrow_old_at(r, s->key[i]);
        column_value_text(&c->type, &v, out);
        if (out->n - at > KEY_TEXT_MAX)
            out->n = at + KEY_TEXT_MAX;
    }
    if (has && s->nkey != 0)
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

/* --- what both ways do --- */

static const struct compact_traits *traits_of(void *ctx, const struct shape *s)
{
    const struct postgres *p = ctx;
    return &pg_targets_get(&p->targets, s)->traits;
}

static void count(struct postgres *p, const struct outrow *r)
{
    p->open.rows_insert += r->op == OUT_INSERT;
    p->open.rows_update += r->op == OUT_UPDATE;
    p->open.rows_delete += r->op == OUT_DELETE;
}

static bool truncate(struct postgres *p, const struct outrow *r, uint64_t tag, struct err *err)
{
    struct buf sql = { 0 };
    if (pg_targets_get(&p->targets, r->shape) == NULL)
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
    if (pg_write_group(p->writer, p->link, pg_targets_get(&p->targets, g->shape), g, tag, &p->unchecked, &bad, err))
        return true;
    return err->code == ERR_DATA ? at_row(g->src[bad], err) : false;
}

/* --- by plan --- */

bool postgres_knows_targets(const struct postgres *p, const struct batch *b)
{
    const struct shape *known = NULL;
    for (size_t i = 0; i < b->nrows; i++) {
        const struct outrow *r = &b->rows[i];
        if (r->op > OUT_DELETE || (r->shape != known && pg_targets_get(&p->targets, r->shape) == NULL))
            return false;
        known = r->shape;
    }
    return true;
}

void postgres_plan_ahead(struct postgres *p, const struct batch *b)
{
    struct err err; /* shows again when the batch's own turn comes */
    p->ahead.of = NULL;
    if (!postgres_knows_targets(p, b))
        return;
    arena_reset(p->ahead.arena);
    if (compact_plan(b, 0, b->nrows, traits_of, p, p->ahead.arena, &p->ahead.plan, &err))
        p->ahead.of = b;
}

static bool make_plan(struct postgres *p, const struct batch *b, size_t from, size_t to, struct plan *plan,
                      struct err *err)
{
    if (p->ahead.of == b && from == 0 && to == b->nrows) {
        struct arena *a = p->arena;
        *plan = p->ahead.plan;
        p->arena = p->ahead.arena;
        p->ahead.arena = a;
        p->ahead.of = NULL;
        return true;
    }
    arena_reset(p->arena);
    return compact_plan(b, from, to, traits_of, p, p->arena, plan, err);
}

bool postgres_rows_planned(struct postgres *p, const struct batch *b, size_t from, size_t to, struct err *err)
{
    struct plan plan;
    if (!make_plan(p, b, from, to, &plan, err))
        return false;
    for (size_t i = 0; i < plan.n && !pg_link_failure(p->link)->set; i++)
        if (!send_group(p, plan.groups[i], (uint64_t)(plan.groups[i]->src[0] - b->rows) + 1, err))
            return false;
    for (size_t i = from; i < to; i++)
        count(p, &b->rows[i]);
    return true;
}

/* --- one by one --- */

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
        postgres_failed(p, b, err);
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
    return pg_dead_row(p->link, p->progress.slot, p->sub->name, r, why->msg, sqlstate, err);
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
    postgres_forget_statements(p); /* some were never prepared */
    if (!try_rows(p, b, from, bad, &at, state, &again, err))
        return false;
    if (at != bad) {
        *err = again;
        return false;
    }
    return set_aside(p, &b->rows[bad], sqlstate, why, err);
}

static bool one_by_one(struct postgres *p, const struct batch *b, size_t from, size_t to, struct err *err)
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

bool postgres_rows(struct postgres *p, const struct batch *b, size_t from, size_t to, enum apply_mode mode,
                   struct err *err)
{
    const struct shape *known = NULL;
    for (size_t i = from; i < to; i++) {
        if (b->rows[i].shape == known)
            continue;
        if (!pg_targets_find(&p->targets, p->link, &b->rows[i], err))
            return false;
        known = pg_targets_get(&p->targets, b->rows[i].shape) != NULL ? b->rows[i].shape : NULL;
    }
    return mode == APPLY_BATCH ? postgres_rows_planned(p, b, from, to, err) : one_by_one(p, b, from, to, err);
}
