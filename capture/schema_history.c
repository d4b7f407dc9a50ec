/* schema_history.c - see schema_history.h.
 *
 * The log's history is a state, not a list of statements: after each statement, what it changed is read back from the
 * schema server. So a crash at any moment leaves nothing half done: the server is compared with the log's state at the
 * next start, and what differs is made anew, before the same statement comes again. */
#include "schema_history.h"

#include "arena.h"
#include "clock.h"
#include "schema_server.h"
#include "schema_statement.h"
#include "slog.h"
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>

enum { UNREACHABLE_US = 60 * 1000000, RETRY_MS = 500, SHOWN = 200, TABLES_ROUNDS = 20 };

struct schema_history {
    const struct source_url *url;
    const struct pattern *tables;
    char slot_uuid[37];
    struct schema_server *server; /* NULL: the connection was lost */
    struct binlog_client *source; /* of the last open or begin: to compare with; only valid there */
    struct schema_source hooks;
    int explicit_timestamp; /* the source's, for events that do not say */

    struct schema_set set;     /* now, what the open transaction did included */
    struct schema_set touched; /* by the open transaction */
    struct buf undo;           /* a payload: takes the open transaction's part out of set */
    struct buf open;           /* entries of the open transaction */
    struct buf change;         /* payload of ended ones */
    bool broken;               /* out of memory between two answers: nothing is true any more */
    bool stale;                /* the server holds something else than set */

    struct arena *arena; /* the last answer */
    struct schema_table table;
};

/* --- the set, with its way back --- */

static bool remember(struct schema_history *h, struct bytes schema, struct bytes table, struct err *err)
{
    struct schema_entry key = { .schema = schema, .table = table };
    const struct schema_entry *old = schema_set_find(&h->set, schema, table);
    if (schema_set_find(&h->touched, schema, table) != NULL)
        return true;
    if (h->undo.n == 0)
        schema_change_begin(&h->undo);
    if (old != NULL)
        schema_change_put(&h->undo, old);
    else
        schema_change_remove(&h->undo, schema, table);
    return buf_ok(&h->undo, err) && schema_set_put(&h->touched, &key, err);
}

static bool set_put(struct schema_history *h, const struct schema_entry *e, struct err *err)
{
    const struct schema_entry *old = schema_set_find(&h->set, e->schema, e->table);
    if (old != NULL && bytes_eq(old->sql, e->sql))
        return true;
    schema_change_put(&h->open, e);
    return remember(h, e->schema, e->table, err) && schema_set_put(&h->set, e, err) && buf_ok(&h->open, err);
}

static bool set_remove(struct schema_history *h, struct bytes schema, struct bytes table, struct err *err)
{
    for (size_t i = 0; table.n == 0 && i < h->set.n; i++) /* of a database, each table on its own */
        if (h->set.v[i]->table.n != 0 && bytes_eq(h->set.v[i]->schema, schema)) {
            struct schema_entry *e = h->set.v[i--];
            if (!set_remove(h, schema, e->table, err))
                return false;
        }
    if (schema_set_find(&h->set, schema, table) == NULL)
        return true;
    if (!remember(h, schema, table, err))
        return false;
    schema_change_remove(&h->open, schema, table);
    (void)schema_set_remove(&h->set, schema, table);
    return buf_ok(&h->open, err);
}

static void end(void *ctx, bool committed)
{
    struct schema_history *h = ctx;
    struct err err;
    if (h->open.n != 0 && committed) {
        if (h->change.n == 0)
            schema_change_begin(&h->change);
        buf_bytes(&h->change, buf_view(&h->open));
    } else if (h->open.n != 0) {
        h->broken = !schema_set_apply(&h->set, buf_view(&h->undo), &err) || h->broken;
        h->stale = true;
    }
    h->broken = h->broken || h->change.failed || h->undo.failed || h->open.failed;
    buf_reset(&h->open);
    buf_reset(&h->undo);
    if (h->touched.n != 0)
        schema_set_clear(&h->touched);
}

bool schema_history_change(const struct schema_history *h, struct bytes *out, struct err *err)
{
    *out = buf_view(&h->change);
    return !h->broken || err_nomem(err);
}

void schema_history_written(struct schema_history *h)
{
    buf_reset(&h->change);
}

void schema_history_encode(const struct schema_history *h, struct buf *out)
{
    schema_set_encode(&h->set, out);
}

/* --- the server --- */

static void lose_server(struct schema_history *h)
{
    schema_server_close(h->server);
    h->server = NULL;
    h->stale = true;
}

static bool connect_server(struct schema_history *h, struct err *err)
{
    return h->server != NULL || schema_server_connect(h->url, h->slot_uuid, h->source, &h->server, err);
}

/* Connected, and holding what the set says. */
static bool ready(struct schema_history *h, struct err *err)
{
    size_t made = 0;
    if (h->broken)
        return err_nomem(err);
    if (!connect_server(h, err))
        return false;
    if (!h->stale)
        return true;
    if (!schema_server_sync(h->server, &h->set, &made, err)) {
        if (err->code == ERR_NET)
            lose_server(h);
        return false;
    }
    h->stale = false;
    slog(SLOG_INFO, "schema_server_ready", kv_s("server", binlog_client_version_text(schema_server_client(h->server))),
         kv_u("entries", h->set.n), kv_u("made", made));
    return true;
}

/* Does it until the server answers, for a minute: it may be restarting. */
static bool insist(struct schema_history *h, bool (*attempt)(struct schema_history *h, void *arg, struct err *err),
                   void *arg, struct err *err)
{
    int64_t since = clock_mono_us();
    for (;;) {
        if (ready(h, err) && attempt(h, arg, err))
            return true;
        if (err->code != ERR_NET)
            return false;
        if (h->server != NULL)
            slog(SLOG_WARN, "schema_server_lost", kv_s("reason", err->msg));
        lose_server(h);
        if (clock_mono_us() - since > UNREACHABLE_US || !stop_sleep_ms(RETRY_MS))
            return err_ctx(err, "the schema server");
    }
}

/* --- following --- */

/* The definition of one table, as the server has it now, into the set. */
static bool take_table(struct schema_history *h, struct bytes schema, struct bytes table, struct err *err)
{
    struct buf sql = { 0 };
    bool there = false;
    bool ok = schema_read_create(schema_server_client(h->server), schema, table, &sql, &there, err);
    if (ok)
        ok = there ? set_put(h, &(struct schema_entry){ schema, table, buf_view(&sql) }, err)
                   : set_remove(h, schema, table, err);
    buf_free(&sql);
    return ok;
}

/* Databases, and which tables there are. all: their definitions, too. */
static bool take_list(struct schema_history *h, bool all, struct err *err)
{
    struct schema_set there = { 0 };
    bool ok = schema_read_list(schema_server_client(h->server), &there, err);
    for (size_t i = 0; ok && i < h->set.n; i++) {
        const struct schema_entry *e = h->set.v[i];
        if (schema_set_find(&there, e->schema, e->table) == NULL) {
            size_t before = h->set.n;
            ok = set_remove(h, e->schema, e->table, err);
            i = before == h->set.n ? i : (size_t)-1; /* the rest has moved */
        }
    }
    for (size_t i = 0; ok && i < there.n; i++) {
        const struct schema_entry *e = there.v[i];
        if (e->table.n == 0)
            ok = set_put(h, e, err);
        else if (all || schema_set_find(&h->set, e->schema, e->table) == NULL)
            ok = take_table(h, e->schema, e->table, err);
    }
    schema_set_clear(&there);
    return ok;
}

static bool names_tables(const struct ddl *d)
{
    return d->ntables != 0 && d->kind != DDL_DROP_DATABASE && d->kind != DDL_OTHER;
}

/* What the statement changed, from the server: the tables that it names, and whatever came or went. */
static bool take_results(struct schema_history *h, const struct ddl *d, struct err *err)
{
    bool all = !names_tables(d) && d->kind != DDL_DROP_DATABASE && !d->catalog, ok = true;
    for (unsigned i = 0; ok && names_tables(d) && i < d->ntables; i++)
        ok = schema_is_system(d->tables[i].schema) || take_table(h, d->tables[i].schema, d->tables[i].table, err);
    return ok && take_list(h, all, err);
}

/* DROP TABLE a, b: what is there goes, although something else is not. */
static bool drop_each(struct schema_history *h, const struct ddl *d, struct err *err)
{
    for (unsigned i = 0; i < d->ntables; i++)
        if (!schema_is_system(d->tables[i].schema) &&
            !schema_server_drop(h->server, d->tables[i].schema,
                                d->kind == DDL_DROP_DATABASE ? (struct bytes){ NULL, 0 } : d->tables[i].table, err))
            return false;
    return true;
}

static bool replay(struct schema_history *h, void *arg, struct err *err)
{
    const struct schema_statement *st = *(const struct schema_statement **)arg;
    bool has_db = schema_set_find(&h->set, st->db, (struct bytes){ NULL, 0 }) != NULL;
    bool drop = st->parsed->kind == DDL_DROP_TABLE || st->parsed->kind == DDL_DROP_DATABASE;
    if (drop ? drop_each(h, st->parsed, err) : schema_server_replay(h->server, st, has_db, h->explicit_timestamp, err))
        return take_results(h, st->parsed, err);
    if (err->code != ERR_NET)
        h->stale = true; /* some of it may be done */
    return false;
}

/* Tables whose definition nobody knows any more; they are in nobody's way until they are captured. */
static bool forget_tables(struct schema_history *h, const struct schema_statement *st, const char *why, struct err *err)
{
    const struct ddl *d = st->parsed;
    slog(SLOG_WARN, "schema_unknown", kv_s("why", why));
    for (unsigned i = 0; i < d->ntables; i++)
        if (!set_remove(h, d->tables[i].schema, d->tables[i].table, err))
            return false;
    for (unsigned i = 0; i < d->nclauses; i++)
        if (d->clauses[i].to.table.n != 0 && !set_remove(h, d->clauses[i].to.schema, d->clauses[i].to.table, err))
            return false;
    h->stale = true;
    return true;
}

static bool refuse(const struct schema_statement *st, const char *why, struct err *err)
{
    int n = (int)(st->text.n < SHOWN ? st->text.n : SHOWN);
    return err_set(
        err, ERR_UNSUPPORTED,
        "the schema server cannot follow \"%.*s\": %.500s. Mend that there (a setting, a plugin, a newer "
        "version) and start capture again: it goes on at this statement; or start a new slot from a fresh copy "
        "of the tables",
        n, (const char *)st->text.p, why);
}

static bool statement(void *ctx, const struct schema_statement *st, bool *changed, struct err *err)
{
    struct schema_history *h = ctx;
    const char *why = "a statement may mean a temporary table of its session, or ended with an error at the source";
    *changed = false;
    switch (schema_statement_step(st)) {
    case SCHEMA_IGNORE:
        return true;
    case SCHEMA_UNKNOWN:
        *changed = true;
        return st->captured || st->parsed->ntables == 0 ? refuse(st, why, err) : forget_tables(h, st, why, err);
    case SCHEMA_FOLLOW:
        break;
    }
    *changed = true; /* also where the text stays: the order of a key's columns, a charset's version */
    if (insist(h, replay, &st, err))
        return true;
    if (err->code != ERR_CONFIG) /* not the server's refusal */
        return false;
    struct err cause = *err;
    return st->captured || st->parsed->ntables == 0 ? refuse(st, cause.msg, err) : forget_tables(h, st, cause.msg, err);
}

/* --- answering --- */

struct question {
    struct bytes schema, table;
    const struct schema_entry *entry;
};

static bool ask(struct schema_history *h, void *arg, struct err *err)
{
    const struct question *q = arg;
    struct buf sql = { 0 };
    bool there = false;
    bool ok = schema_read_create(schema_server_client(h->server), q->schema, q->table, &sql, &there, err);
    if (ok && (!there || !schema_same_table(buf_view(&sql), q->entry->sql))) {
        h->stale = true;
        ok = err_set(
            err, ERR_CORRUPT,
            "the schema server's table is not what the schema history says: somebody else changed it there; start "
            "capture again, which makes it anew");
    }
    buf_free(&sql);
    arena_reset(h->arena);
    return ok && schema_read_columns(schema_server_client(h->server), q->schema, q->table, h->arena, &h->table, err);
}

static bool table(void *ctx, struct bytes schema, struct bytes name, const struct schema_table **out, struct err *err)
{
    struct schema_history *h = ctx;
    struct question q = { schema, name, schema_set_find(&h->set, schema, name) };
    if (q.entry == NULL)
        return err_set(
            err, ERR_UNSUPPORTED,
            "the schema history does not know this table: it was hidden from capture's account when the slot "
            "began, or a statement that could not be followed made or changed it (schema_unknown in the log); "
            "exclude it with --tables, or start a new slot from a fresh copy of the tables");
    if (!insist(h, ask, &q, err))
        return false;
    *out = &h->table;
    return true;
}

/* --- beginning --- */

/* The table was dropped, renamed or altered since it was listed, or DDL on it holds it now. */
static bool is_moving(const struct err *err)
{
    enum {
        NO_SUCH_TABLE = 1146,
        NO_SUCH_DATABASE = 1049,
        LOCK_WAIT = 1205,
        DEADLOCK = 1213,
        DEFINITION_CHANGED = 1412
    };
    return err->sys == NO_SUCH_TABLE || err->sys == NO_SUCH_DATABASE || err->sys == LOCK_WAIT || err->sys == DEADLOCK ||
           err->sys == DEFINITION_CHANGED;
}

/* A transaction that has read a table keeps its definition: DDL on it waits until we are through. */
static bool hold_and_read(struct schema_history *h, struct binlog_client *source, struct schema_set *into, bool *again,
                          struct err *err)
{
    for (size_t i = 0; i < into->n; i++) {
        struct schema_entry e = *into->v[i];
        struct buf sql = { 0 };
        bool there = false;
        if (e.table.n == 0)
            continue;
        buf_str(&sql, "SELECT 1 FROM ");
        schema_quote(e.schema, &sql);
        buf_u8(&sql, '.');
        schema_quote(e.table, &sql);
        buf_str(&sql, " LIMIT 0");
        bool ok = buf_ok(&sql, err) && binlog_client_exec(source, buf_cstr(&sql), err);
        buf_reset(&sql);
        ok = ok && schema_read_create(source, e.schema, e.table, &sql, &there, err);
        if ((!ok && is_moving(err)) || (ok && !there)) {
            buf_free(&sql);
            *again = true;
            return true;
        }
        e.sql = buf_view(&sql);
        struct err why = *err;
        if (!ok && why.code == ERR_CONFIG && !pattern_match(h->tables, e.schema, e.table)) {
            slog(SLOG_WARN, "schema_unknown", kv_s("why", why.msg)); /* a broken table, or one that we may not read */
            ok = true;
            e.sql = BYTES_LIT(" ");
        } else if (!ok) {
            err_ctx(err, "the definition of %.*s.%.*s", BYTES_FMT(e.schema), BYTES_FMT(e.table));
        }
        ok = ok && schema_set_put(into, &e, err);
        buf_free(&sql);
        if (!ok)
            return false;
    }
    return true;
}

static bool same_names(const struct schema_set *a, const struct schema_set *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = bytes_eq(a->v[i]->schema, b->v[i]->schema) && bytes_eq(a->v[i]->table, b->v[i]->table);
    return same;
}

static bool read_source(struct schema_history *h, struct binlog_client *source, struct schema_set *out,
                        bool (*position)(void *, struct binlog_client *, struct err *), void *ctx, struct err *err)
{
    for (int i = 0; i < TABLES_ROUNDS; i++) {
        struct schema_set after = { 0 };
        struct err ignored;
        bool again = false;
        bool ok = binlog_client_exec(source, "SET SESSION lock_wait_timeout = 5, sql_quote_show_create = 1", err) &&
                  binlog_client_exec(source, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", err) &&
                  binlog_client_exec(source, "START TRANSACTION", err) && schema_read_list(source, out, err) &&
                  hold_and_read(h, source, out, &again, err) &&
                  (again || (position(ctx, source, err) && schema_read_list(source, &after, err)));
        (void)binlog_client_exec(source, "ROLLBACK", &ignored);
        bool same = ok && !again && same_names(out, &after);
        schema_set_clear(&after);
        if (same || !ok)
            return ok;
        schema_set_clear(out);
    }
    err_set(err, ERR_NET, "tables are made and dropped at the source all the time: their definitions cannot be read");
    err->transient = true;
    return false;
}

/* One that the schema server cannot make stops only if it is captured. */
static bool make_first(struct schema_history *h, const struct schema_set *from, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < from->n; i++) {
        const struct schema_entry *e = from->v[i];
        bool captured = e->table.n == 0 || pattern_match(h->tables, e->schema, e->table);
        if (!captured && bytes_eq_str(e->sql, " "))
            continue;
        ok = schema_server_make(h->server, e, err);
        if (!ok && err->code == ERR_CONFIG && !captured) {
            slog(SLOG_WARN, "schema_unknown", kv_s("why", err->msg));
            ok = true;
        } else if (!ok) {
            err_ctx(err, "making %.*s.%.*s on the schema server", BYTES_FMT(e->schema), BYTES_FMT(e->table));
        }
    }
    ok = ok && take_list(h, true, err);
    end(h, true);
    buf_reset(&h->change); /* the complete one is the first thing in the log */
    return ok;
}

bool schema_history_begin(struct schema_history *h, struct binlog_client *source,
                          bool (*position)(void *ctx, struct binlog_client *source, struct err *err), void *ctx,
                          struct err *err)
{
    struct schema_set from = { 0 };
    schema_set_clear(&h->set);
    h->stale = true;
    bool ok = read_source(h, source, &from, position, ctx, err) && ready(h, err) && make_first(h, &from, err);
    schema_set_clear(&from);
    if (ok)
        slog(SLOG_INFO, "schema_history_begun", kv_u("entries", h->set.n));
    return ok;
}

bool schema_history_resume(struct schema_history *h, const struct schema_set *from, struct err *err)
{
    schema_set_clear(&h->set);
    h->stale = true;
    return schema_set_copy(from, &h->set, err) && ready(h, err);
}

static bool read_settings(struct schema_history *h, struct binlog_client *source, struct err *err)
{
    struct buf v = { 0 };
    bool null = true;
    if (!binlog_client_scalar(source, "SELECT @@GLOBAL.explicit_defaults_for_timestamp", &v, &null, err))
        return false;
    h->explicit_timestamp = bytes_eq_str(buf_view(&v), "1");
    buf_free(&v);
    return true;
}

bool schema_history_open(const struct source_url *url, const struct pattern *tables, const char *slot_uuid,
                         struct binlog_client *source, struct schema_history **out, struct err *err)
{
    struct schema_history *h = calloc(1, sizeof *h);
    if (h == NULL)
        return err_nomem(err);
    h->url = url;
    h->tables = tables;
    h->hooks = (struct schema_source){ .ctx = h, .statement = statement, .table = table, .end = end };
    snprintf(h->slot_uuid, sizeof h->slot_uuid, "%s", slot_uuid);
    h->source = source;
    h->arena = arena_new(0);
    bool ok = (h->arena != NULL || err_nomem(err)) && read_settings(h, source, err) && connect_server(h, err);
    h->source = NULL;
    if (!ok) {
        schema_history_close(h);
        return false;
    }
    *out = h;
    return true;
}

void schema_history_close(struct schema_history *h)
{
    if (h == NULL)
        return;
    schema_server_close(h->server);
    schema_set_clear(&h->set);
    schema_set_clear(&h->touched);
    buf_free(&h->undo);
    buf_free(&h->open);
    buf_free(&h->change);
    arena_free(h->arena);
    free(h);
}

const struct schema_source *schema_history_source(const struct schema_history *h)
{
    return &h->hooks;
}
