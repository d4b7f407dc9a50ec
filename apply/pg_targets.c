/* pg_targets.c - see pg_targets.h. */
#include "pg_targets.h"

#include "clock.h"
#include "pg_sql.h"
#include "slog.h"

#include <inttypes.h>
#include <stdlib.h>

static const int64_t max_age_us = 60 * INT64_C(1000000);

struct pg_target *pg_targets_get(const struct pg_targets *t, const struct shape *s)
{
    return s->id < t->n ? t->of[s->id] : NULL;
}

bool pg_targets_old(const struct pg_targets *t)
{
    return t->read_us != 0 && clock_mono_us() - t->read_us > max_age_us;
}

void pg_targets_forget(struct pg_targets *t)
{
    for (size_t i = 0; i < t->n; i++) {
        pg_target_free(t->of[i]);
        t->of[i] = NULL;
    }
    t->read_us = 0;
}

void pg_targets_free(struct pg_targets *t)
{
    pg_targets_forget(t);
    free(t->of);
    free(t->geometry);
}

static bool find_geometry(struct pg_targets *t, struct pg_link *l, struct err *err)
{
    struct buf b = { 0 };
    if (t->geometry != NULL)
        return true;
    if (!pg_catalog_type(l, "geometry", &b, err))
        return false;
    t->geometry = strdup(buf_cstr(&b));
    buf_free(&b);
    return t->geometry != NULL || err_nomem(err);
}

bool pg_targets_ddl(struct pg_targets *t, struct pg_link *l, struct pg_ddl_options *o, struct err *err)
{
    if (!find_geometry(t, l, err))
        return false;
    *o = (struct pg_ddl_options){ .zero_date = t->sub->zero_date,
                                  .geometry = t->geometry,
                                  .evolve = t->sub->evolve,
                                  .script = t->sub->script != NULL };
    return true;
}

static const struct val *any_row(const struct outrow *r)
{
    return r->new_row != NULL ? r->new_row : r->old_row;
}

static bool create_table(struct pg_targets *t, struct pg_link *l, const struct outrow *row, struct err *err)
{
    struct pg_ddl_options o;
    struct buf sql = { 0 };
    if (!pg_targets_ddl(t, l, &o, err) || !pg_catalog_schema(l, row->shape->schema, err))
        return false;
    pg_ddl_create(row->shape, any_row(row), &o, &sql);
    bool ok = buf_ok(&sql, err) && pg_link_exec(l, buf_cstr(&sql), err);
    buf_free(&sql);
    if (ok) {
        slog(SLOG_INFO, "table_created", kv_s("subscription", t->sub->name), kv_s("schema", row->shape->schema),
             kv_s("table", row->shape->table), kv_u("lsn", row->lsn));
        return true;
    }
    if (err->code == ERR_CONFLICT || strstr(err->msg, "SQLSTATE 42P07") != NULL)
        err->transient = true; /* another subscription made it in the same moment */
    return err_ctx(err, "create the table");
}

static bool no_table(struct pg_targets *t, struct pg_link *l, const struct outrow *r, struct err *err)
{
    struct pg_ddl_options o;
    struct buf sql = { 0 };
    if (!pg_targets_ddl(t, l, &o, err))
        return false;
    pg_ddl_create(r->shape, any_row(r), &o, &sql);
    err_set(err, ERR_CONFIG, "LSN %" PRIu64 ": the destination has no table %s.%s: run with --create, or: %s", r->lsn,
            r->shape->schema, r->shape->table, buf_cstr(&sql));
    buf_free(&sql);
    return false;
}

static bool no_column(struct pg_targets *t, struct pg_link *l, const struct outrow *r, unsigned col, struct err *err)
{
    struct pg_ddl_options o;
    struct buf sql = { 0 };
    if (!pg_targets_ddl(t, l, &o, err))
        return false;
    pg_ddl_missing(r->shape, col, any_row(r), &o, &sql);
    err_set(err, ERR_CONFIG,
            "LSN %" PRIu64
            ": %s.%s has no column %.*s at the destination%s: %s (and give existing rows their values), or have "
            "the script remove the column",
            r->lsn, r->shape->schema, r->shape->table, BYTES_FMT(r->shape->cols[col].name),
            t->sub->evolve ? "" : " (--evolve adds columns when the source's ALTER TABLE arrives)", buf_cstr(&sql));
    buf_free(&sql);
    return false;
}

static bool room_for(struct pg_targets *t, uint32_t id, struct err *err)
{
    if (id < t->n)
        return true;
    size_t n = (size_t)id + 16;
    struct pg_target **of = realloc(t->of, n * sizeof(struct pg_target *));
    if (of == NULL)
        return err_nomem(err);
    memset(of + t->n, 0, (n - t->n) * sizeof(struct pg_target *));
    t->of = of;
    t->n = n;
    return true;
}

bool pg_targets_find(struct pg_targets *t, struct pg_link *l, const struct outrow *r, struct err *err)
{
    const struct shape *s = r->shape;
    struct pg_table *table = NULL;
    unsigned missing = s->ncols;
    if (pg_targets_get(t, s) != NULL)
        return true;
    if (!room_for(t, s->id, err) || !pg_catalog_table(l, s->schema, s->table, &table, err))
        return false;
    if (table == NULL && r->op == OUT_TRUNCATE && t->sub->create)
        return true; /* nothing there to empty */
    if (table == NULL && !t->sub->create)
        return no_table(t, l, r, err);
    if (table == NULL && (!create_table(t, l, r, err) || !pg_catalog_table(l, s->schema, s->table, &table, err)))
        return err_ctx(err, "LSN %" PRIu64 ": %s.%s", r->lsn, s->schema, s->table);
    if (table == NULL)
        return err_set(err, ERR_CONFIG, "LSN %" PRIu64 ": %s.%s was created and is not there", r->lsn, s->schema,
                       s->table);
    if (!pg_target_new(s, table, &t->of[s->id], &missing, err)) {
        pg_table_free(table);
        return missing < s->ncols ? no_column(t, l, r, missing, err) : false;
    }
    if (t->read_us == 0)
        t->read_us = clock_mono_us();
    return true;
}
