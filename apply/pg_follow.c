/* pg_follow.c - see pg_follow.h. */
#include "pg_follow.h"

#include "pg_sql.h"
#include "slog.h"

#include <inttypes.h>

struct follow { /* one statement */
    struct pg_targets *targets;
    struct pg_link *link;
    const struct outrow *r;
    struct arena *arena;
};

static bool table_of(const struct follow *f, const struct ddl_table *t, struct pg_table **out, struct err *err)
{
    char *schema = arena_cstr(f->arena, t->schema, err), *table = arena_cstr(f->arena, t->table, err);
    return schema != NULL && table != NULL && pg_catalog_table(f->link, schema, table, out, err);
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

static bool run_ddl(const struct follow *f, const char *sql, struct err *err)
{
    if (!pg_link_exec(f->link, sql, err))
        return err_ctx(err, "LSN %" PRIu64 ": %s", f->r->lsn, sql);
    slog(SLOG_INFO, "ddl_applied", kv_s("subscription", f->targets->sub->name), kv_u("lsn", f->r->lsn),
         kv_s("sql", sql));
    return true;
}

static bool alter_table(const struct follow *f, const struct ddl *d, struct err *err)
{
    struct pg_table *t = NULL;
    struct buf sql = { 0 };
    struct pg_ddl_options o;
    bool ok = pg_targets_ddl(f->targets, f->link, &o, err);
    for (unsigned i = 0; ok && i < d->nclauses; i++) {
        const char *why = "";
        pg_table_free(t); /* again for each clause: an earlier one may have changed it */
        t = NULL;
        buf_reset(&sql);
        ok = d->ntables == 0 || table_of(f, &d->tables[0], &t, err);
        if (ok && t == NULL && d->clauses[i].kind == DDL_C_ROWS && d->clauses[i].to.table.n != 0)
            ok = table_of(f, &d->clauses[i].to, &t, err);
        if (!ok)
            break;
        enum pg_ddl_answer a = pg_ddl_clause(t, &d->clauses[i], f->r->ddl->rec->sql, &o, &sql, &why);
        ok = buf_ok(&sql, err);
        if (ok && a == PG_DDL_STOP)
            ok = ddl_stops(f->r, why, &sql, err);
        else if (ok && a == PG_DDL_RUN)
            ok = run_ddl(f, buf_cstr(&sql), err);
    }
    pg_table_free(t);
    buf_free(&sql);
    return ok;
}

/* RENAME TABLE a TO b, c TO d: passes where a is not here, or was renamed by hand already. */
static bool rename_tables(const struct follow *f, const struct ddl *d, struct err *err)
{
    struct pg_ddl_options o;
    if (!pg_targets_ddl(f->targets, f->link, &o, err))
        return false;
    for (unsigned i = 0; i + 1 < d->ntables; i += 2) {
        struct ddl_clause c = { .kind = DDL_C_RENAME_TABLE, .to = d->tables[i + 1] };
        struct pg_table *t = NULL;
        struct buf sql = { 0 };
        const char *why = "";
        bool ok = table_of(f, &d->tables[i], &t, err);
        if (ok && pg_ddl_clause(t, &c, f->r->ddl->rec->sql, &o, &sql, &why) == PG_DDL_STOP)
            ok = ddl_stops(f->r, why, &sql, err);
        pg_table_free(t);
        buf_free(&sql);
        if (!ok)
            return false;
    }
    return true;
}

static bool truncate_tables(const struct follow *f, const struct ddl *d, struct err *err)
{
    for (unsigned i = 0; i < d->ntables; i++) {
        struct pg_table *t = NULL;
        struct buf sql = { 0 };
        if (!table_of(f, &d->tables[i], &t, err))
            return false;
        bool ok = true;
        if (t != NULL) {
            buf_str(&sql, "TRUNCATE TABLE ");
            pg_name(&sql, t->schema, t->name);
            ok = run_ddl(f, buf_cstr(&sql), err);
        }
        pg_table_free(t);
        buf_free(&sql);
        if (!ok)
            return false;
    }
    return true;
}

static bool own_ddl(const struct follow *f, struct err *err)
{
    const struct rec_ddl *rec = f->r->ddl->rec;
    struct ddl_context ctx = { .default_schema = rec->schema,
                               .ansi_quotes = (rec->sql_flags & 1) != 0,
                               .no_backslash_escapes = (rec->sql_flags & 2) != 0 };
    struct ddl d;
    if (!ddl_parse(rec->sql, &ctx, f->arena, &d, err))
        return false;
    switch (d.kind) {
    case DDL_ALTER_TABLE:
        return alter_table(f, &d, err);
    case DDL_RENAME_TABLE:
        return rename_tables(f, &d, err);
    case DDL_TRUNCATE:
        return truncate_tables(f, &d, err);
    case DDL_CREATE_TABLE:
        if (!d.replaces)
            return true;
        break;
    case DDL_DROP_TABLE:
    case DDL_DROP_DATABASE:
        break;
    case DDL_OTHER:
    case DDL_CREATE_INDEX:
    case DDL_DROP_INDEX:
    case DDL_TRANSACTION:
    case DDL_DML:
        return true;
    }
    slog(SLOG_INFO, "drop_not_followed", kv_s("subscription", f->targets->sub->name), kv_u("lsn", f->r->lsn),
         kv_s("note", "what the source dropped stays at the destination"));
    return true;
}

bool pg_follow_ddl(struct pg_targets *t, struct pg_link *l, const struct outrow *r, struct arena *scratch,
                   struct err *err)
{
    struct follow f = { t, l, r, scratch };
    arena_reset(scratch);
    if (r->ddl->sql.n == 0)
        return own_ddl(&f, err);
    char *sql = arena_cstr(scratch, r->ddl->sql, err);
    /* a person wrote it: names without a schema mean what they mean to that person */
    if (sql != NULL && pg_link_exec(l, "SET LOCAL search_path TO DEFAULT", err) && pg_link_script(l, sql, err) &&
        (pg_link_in_transaction(l) ||
         err_set(err, ERR_CONFIG,
                 "it ended the transaction (COMMIT, ROLLBACK?): what it did stays, but is not recorded as done. "
                 "Take these statements out of it")) &&
        pg_link_exec(l, "SET LOCAL search_path = ''", err))
        return true;
    err_ctx(err, "LSN %" PRIu64 ": the SQL that ddl() answered", r->lsn);
    if (!err->transient && (err->code == ERR_DATA || err->code == ERR_CONFLICT))
        err->code = ERR_CONFIG; /* going row by row would not help */
    return false;
}
