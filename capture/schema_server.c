/* schema_server.c - see schema_server.h.
 *
 * Statements run without strict mode: what the source accepted is to be accepted here, and without strictness both make
 * the same of it. sql_mode bits: MySQL sql/system_variables.h, MariaDB sql/sql_class.h, MODE_*. */
#include "schema_server.h"

#include "charset.h"
#include "slog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    READ_TIMEOUT_S = 60,
    SINCE_8 = 80000,
    MARIADB_SINCE_SESSION_TIMESTAMP = 100803,
    MARIADB_UCA1400 = 2048, /* the first number of its UCA-14.0 collations */
    SINCE_REQUIRE_KEY = 80013,
    SINCE_GENERATED_KEY = 80030
};

#define MODE_PARSING                                                                                                   \
    (0xfULL | 1ULL << 20 |                                                                                             \
     1ULL << 29) /* what decides how a text is read: REAL_AS_FLOAT, PIPES_AS_CONCAT,            \
                                           ANSI_QUOTES, IGNORE_SPACE, NO_BACKSLASH_ESCAPES, HIGH_NOT_PRECEDENCE */
#define MODE_NO_DIR_IN_CREATE (1ULL << 7) /* the source's directories are not here */
#define MODE_STRICT (3ULL << 21)
#define MODE_ZERO_DATES (3ULL << 23)
#define MODE_TRADITIONAL (1ULL << 27)
#define MODE_NO_ENGINE_SUBSTITUTION (1ULL << 30) /* an engine that is not here: any other will do */

struct schema_server {
    struct binlog_client *c;
    bool mariadb;
    unsigned version;
};

/* The connection takes every server for a source. */
static void name_server(struct err *err)
{
    static const char wrong[] = "the source";
    struct err e = *err;
    if (strncmp(e.msg, wrong, sizeof wrong - 1) != 0)
        return;
    err_set(err, e.code, "the schema server%s", e.msg + sizeof wrong - 1);
    err->sys = e.sys;
    err->transient = e.transient;
}

static bool exec(struct schema_server *s, struct buf *sql, struct err *err)
{
    bool ok = buf_ok(sql, err) && binlog_client_exec(s->c, buf_cstr(sql), err);
    buf_free(sql);
    if (!ok)
        name_server(err);
    return ok;
}

/* How the session is but while a statement of the source runs. */
static bool own_settings(struct schema_server *s, struct err *err)
{
    struct buf sql = { 0 };
    buf_printf(&sql, "SET NAMES utf8mb4");
    buf_printf(&sql, ", SESSION sql_mode = 'NO_DIR_IN_CREATE', collation_server = @@GLOBAL.collation_server");
    return exec(s, &sql, err);
}

static bool session(struct schema_server *s, struct err *err)
{
    static const char *const always[] = { "SET SESSION sql_log_bin = 0, foreign_key_checks = 0, unique_checks = 0, "
                                          "lock_wait_timeout = 60, sql_quote_show_create = 1",
                                          "SET SESSION innodb_strict_mode = 0" };
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!binlog_client_exec(s->c, always[i], err))
            return false;
    if (!s->mariadb && s->version >= SINCE_REQUIRE_KEY &&
        !binlog_client_exec(s->c, "SET SESSION sql_require_primary_key = 0", err))
        return false;
    if (!s->mariadb && s->version >= SINCE_GENERATED_KEY &&
        !binlog_client_exec(
            s->c,
            "SET SESSION sql_generate_invisible_primary_key = 0, show_gipk_in_create_table_and_information_schema = 1",
            err))
        return false;
    return own_settings(s, err);
}

/* --- whose is it? --- */

static bool is_source(struct schema_server *s, struct binlog_client *source, bool *same, struct err *err)
{
    const char *who = s->mariadb ? "SELECT CONCAT_WS('|', @@server_id, @@hostname, @@port, @@datadir)"
                                 : "SELECT @@GLOBAL.server_uuid";
    struct buf a = { 0 }, b = { 0 };
    bool null,
        ok = binlog_client_scalar(s->c, who, &a, &null, err) && binlog_client_scalar(source, who, &b, &null, err);
    *same = ok && bytes_eq(buf_view(&a), buf_view(&b));
    buf_free(&a);
    buf_free(&b);
    return ok;
}

static bool take_possession(struct schema_server *s, const char *slot_uuid, struct err *err)
{
    struct schema_set there = { 0 };
    if (!schema_read_list(s->c, &there, err))
        return false;
    const struct schema_entry *foreign = NULL;
    for (size_t i = 0; i < there.n; i++)
        if (there.v[i]->table.n != 0)
            foreign = there.v[i];
    if (foreign != NULL)
        err_set(
            err, ERR_CONFIG,
            "the schema server has tables that are not this slot's (%.*s.%.*s): it must be a server of its own, with "
            "no databases, since capture drops and makes them there",
            BYTES_FMT(foreign->schema), BYTES_FMT(foreign->table));
    bool ok = foreign == NULL;
    schema_set_clear(&there);
    struct buf sql = { 0 };
    buf_printf(&sql, "INSERT INTO rowtide_schema.owner VALUES ('%s')", slot_uuid);
    return ok && binlog_client_exec(s->c, "CREATE DATABASE IF NOT EXISTS rowtide_schema CHARACTER SET utf8mb4", err) &&
                   binlog_client_exec(
                       s->c, "CREATE TABLE IF NOT EXISTS rowtide_schema.owner (slot CHAR(36) PRIMARY KEY)", err)
               ? exec(s, &sql, err)
               : (buf_free(&sql), false);
}

static bool check_owner(struct schema_server *s, const char *slot_uuid, struct err *err)
{
    enum { NO_SUCH_TABLE = 1146, NO_SUCH_DATABASE = 1049 };
    struct buf owner = { 0 };
    bool none = true;
    if (!binlog_client_scalar(s->c, "SELECT slot FROM rowtide_schema.owner", &owner, &none, err)) {
        none = err->sys == NO_SUCH_TABLE || err->sys == NO_SUCH_DATABASE;
        if (!none)
            return false;
    }
    bool ours = !none && bytes_eq_str(buf_view(&owner), slot_uuid);
    if (!none && !ours)
        err_set(err, ERR_CONFIG,
                "the schema server belongs to the slot %.36s, not to this one (%s): give each slot a schema server of "
                "its own; or, if that slot is gone, DROP DATABASE rowtide_schema and all others there",
                buf_cstr(&owner), slot_uuid);
    buf_free(&owner);
    return ours || (none && take_possession(s, slot_uuid, err));
}

static bool sets_timestamp(const struct schema_server *s)
{
    return s->version >= (s->mariadb ? MARIADB_SINCE_SESSION_TIMESTAMP : SINCE_8);
}

/* What no session can set, and definitions depend on. */
static bool same_setting(struct schema_server *s, struct binlog_client *source, const char *name, struct err *err)
{
    struct buf sql = { 0 }, a = { 0 }, b = { 0 };
    bool null;
    buf_printf(&sql, "SELECT @@GLOBAL.%s", name);
    bool ok = buf_ok(&sql, err) && binlog_client_scalar(s->c, buf_cstr(&sql), &a, &null, err) &&
              binlog_client_scalar(source, buf_cstr(&sql), &b, &null, err);
    if (ok && !bytes_eq(buf_view(&a), buf_view(&b)))
        ok = err_set(err, ERR_CONFIG, "the schema server's %s is %s, the source's is %s: set it alike and restart it",
                     name, buf_cstr(&a), buf_cstr(&b));
    buf_free(&sql);
    buf_free(&a);
    buf_free(&b);
    return ok;
}

static bool compare(struct schema_server *s, struct binlog_client *source, struct err *err)
{
    bool same = false;
    if (s->mariadb != binlog_client_is_mariadb(source))
        return err_set(err, ERR_CONFIG, "the schema server is %s, but the source is %s: their SQL differs",
                       s->mariadb ? "MariaDB" : "MySQL", s->mariadb ? "MySQL" : "MariaDB");
    if (s->version / 100 < binlog_client_version(source) / 100)
        return err_set(err, ERR_CONFIG,
                       "the schema server (%s) is older than the source (%s), and would not understand its statements",
                       binlog_client_version_text(s->c), binlog_client_version_text(source));
    if (!is_source(s, source, &same, err))
        return false;
    if (same)
        return err_set(err, ERR_CONFIG,
                       "the schema server is the source itself: it must be another server, which capture "
                       "may drop everything on");
    return same_setting(s, source, "lower_case_table_names", err) &&
           (sets_timestamp(s) || same_setting(s, source, "explicit_defaults_for_timestamp", err));
}

bool schema_server_connect(const struct source_url *u, const char *slot_uuid, struct binlog_client *source,
                           struct schema_server **out, struct err *err)
{
    struct schema_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err);
    bool ok = binlog_client_connect(u, READ_TIMEOUT_S, &s->c, err);
    if (ok) {
        s->mariadb = binlog_client_is_mariadb(s->c);
        s->version = binlog_client_version(s->c);
        ok = (source == NULL || compare(s, source, err)) && session(s, err) && check_owner(s, slot_uuid, err);
    }
    if (!ok) {
        schema_server_close(s);
        return err_ctx(err, "--schema-server");
    }
    *out = s;
    return true;
}

bool schema_server_check(const struct source_url *u, struct binlog_client *source, struct err *err)
{
    struct schema_server s = { 0 };
    bool ok = binlog_client_connect(u, READ_TIMEOUT_S, &s.c, err);
    if (ok) {
        s.mariadb = binlog_client_is_mariadb(s.c);
        s.version = binlog_client_version(s.c);
        ok = compare(&s, source, err) && session(&s, err);
    }
    binlog_client_close(s.c);
    return ok || err_ctx(err, "--schema-server");
}

void schema_server_close(struct schema_server *s)
{
    if (s == NULL)
        return;
    binlog_client_close(s->c);
    free(s);
}

struct binlog_client *schema_server_client(const struct schema_server *s)
{
    return s->c;
}

/* --- making and dropping --- */

static bool use(struct schema_server *s, struct bytes schema, struct err *err)
{
    struct buf sql = { 0 };
    buf_str(&sql, "USE ");
    schema_quote(schema, &sql);
    return exec(s, &sql, err);
}

bool schema_server_make(struct schema_server *s, const struct schema_entry *e, struct err *err)
{
    struct buf sql = { 0 };
    if (!use(s, e->table.n == 0 ? BYTES_LIT("rowtide_schema") : e->schema, err))
        return false;
    buf_bytes(&sql, e->sql);
    return exec(s, &sql, err);
}

bool schema_server_drop(struct schema_server *s, struct bytes schema, struct bytes table, struct err *err)
{
    struct buf sql = { 0 };
    buf_str(&sql, table.n == 0 ? "DROP DATABASE IF EXISTS " : "DROP TABLE IF EXISTS ");
    schema_quote(schema, &sql);
    if (table.n != 0) {
        buf_u8(&sql, '.');
        schema_quote(table, &sql);
    }
    return exec(s, &sql, err);
}

/* Drops what is not, or not so, in want. All before anything is made: names of foreign keys are unique in a database. */
static bool drop_others(struct schema_server *s, const struct schema_set *there, const struct schema_set *want,
                        struct err *err)
{
    struct buf create = { 0 };
    bool ok = true;
    for (size_t i = 0; ok && i < there->n; i++) {
        const struct schema_entry *e = there->v[i], *w = schema_set_find(want, e->schema, e->table);
        bool same = w != NULL, found = true;
        if (w != NULL && e->table.n != 0) {
            buf_reset(&create);
            ok = schema_read_create(s->c, e->schema, e->table, &create, &found, err);
            same = ok && found && bytes_eq(buf_view(&create), w->sql);
        } else if (w != NULL) {
            same = bytes_eq(e->sql, w->sql);
        }
        if (ok && !same)
            ok = schema_server_drop(s, e->schema, e->table, err);
    }
    buf_free(&create);
    return ok;
}

bool schema_server_sync(struct schema_server *s, const struct schema_set *want, size_t *made, struct err *err)
{
    struct schema_set there = { 0 };
    *made = 0;
    bool ok = schema_read_list(s->c, &there, err) && drop_others(s, &there, want, err);
    schema_set_clear(&there);
    ok = ok && schema_read_list(s->c, &there, err);
    for (size_t i = 0; ok && i < want->n; i++) {
        const struct schema_entry *e = want->v[i];
        if (schema_set_find(&there, e->schema, e->table) != NULL)
            continue;
        ok = schema_server_make(s, e, err) ||
             err_ctx(err, "making %.*s.%.*s on the schema server", BYTES_FMT(e->schema), BYTES_FMT(e->table));
        *made += e->table.n != 0;
    }
    schema_set_clear(&there);
    return ok;
}

/* --- the source's statements --- */

static uint64_t sql_mode(const struct schema_server *s, uint64_t mode)
{
    if (s->mariadb || s->version < SINCE_8) /* the same family, and no bit has left since */
        mode &= ~(MODE_STRICT | MODE_ZERO_DATES | MODE_TRADITIONAL | MODE_NO_ENGINE_SUBSTITUTION);
    else
        mode &= MODE_PARSING;
    return mode | MODE_NO_DIR_IN_CREATE;
}

static bool source_settings(struct schema_server *s, const struct schema_session *from, int explicit_timestamp,
                            struct err *err)
{
    struct buf sql = { 0 };
    int explicit_now = from->explicit_timestamp >= 0 ? from->explicit_timestamp : explicit_timestamp;
    buf_printf(&sql, "SET SESSION sql_mode = %" PRIu64, sql_mode(s, from->sql_mode));
    if (from->client_collation != 0) {
        const struct charset *cs = charset_of_collation(from->client_collation);
        if (from->client_collation >= MARIADB_UCA1400 &&
            cs != NULL) /* MariaDB refuses these numbers here, and only here */
            buf_printf(&sql, ", character_set_client = %s", cs->name);
        else
            buf_printf(&sql, ", character_set_client = %u", from->client_collation);
        buf_printf(&sql, ", collation_connection = %u, collation_server = %u", from->connection_collation,
                   from->server_collation);
    }
    if (sets_timestamp(s))
        buf_printf(&sql, ", explicit_defaults_for_timestamp = %d", explicit_now != 0);
    if (!s->mariadb && s->version >= SINCE_8 && from->utf8mb4_collation != 0)
        buf_printf(&sql, ", default_collation_for_utf8mb4 = %u", from->utf8mb4_collation);
    return exec(s, &sql, err);
}

bool schema_server_replay(struct schema_server *s, const struct schema_statement *st, bool has_db,
                          int explicit_timestamp, struct err *err)
{
    struct buf sql = { 0 };
    struct err undo;
    if (memchr(st->sql.p, '\0', st->sql.n) != NULL)
        return err_set(err, ERR_UNSUPPORTED, "the statement has a NUL inside");
    if (!use(s, has_db ? st->db : BYTES_LIT("rowtide_schema"), err) ||
        !source_settings(s, &st->session, explicit_timestamp, err))
        return false;
    buf_bytes(&sql, st->sql);
    bool ok = exec(s, &sql, err);
    if (own_settings(s, ok ? err : &undo))
        return ok;
    if (!ok)
        *err = undo.code == ERR_NET ? undo : *err;
    return false;
}
