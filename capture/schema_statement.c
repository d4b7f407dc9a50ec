/* schema_statement.c - see schema_statement.h. Status variables: MySQL libs/mysql/binlog/event/statement_events.h,
 * Query_event_status_vars; MariaDB sql/log_event.h, Q_HRNOW and on. */
#include "schema_statement.h"

#include <strings.h>

enum {
    VAR_SQL_MODE = 1,
    VAR_CATALOG = 2,
    VAR_CHARSET = 4,
    VAR_TIME_ZONE = 5,
    VAR_CATALOG_NZ = 6,
    VAR_INVOKER = 11,
    VAR_UPDATED_SCHEMAS = 12,
    VAR_EXPLICIT_TIMESTAMP = 16,
    VAR_UTF8MB4_COLLATION = 18,
    SCHEMAS_TOO_MANY = 254 /* then no names follow */
};

/* Bytes behind the code where they are always as many; 0: another form, or not known. */
static unsigned fixed_bytes(uint8_t code, bool mariadb)
{
    static const uint8_t common[] = { [0] = 4, [3] = 4, [7] = 2, [8] = 2, [9] = 8, [10] = 4 };
    static const uint8_t mysql[] = { [13] = 3, [15] = 8, [17] = 8, [19] = 1, [20] = 1 };
    if (code < sizeof common)
        return common[code];
    if (mariadb)
        return code == 128 ? 3 : code == 129 ? 8 : code == 130 ? 2 : 0;
    return code < sizeof mysql ? mysql[code] : 0;
}

static void skip_schemas(struct cur *c)
{
    uint8_t n = cur_u8(c);
    for (unsigned i = 0; n != SCHEMAS_TOO_MANY && i < n && c->why == NULL; i++) {
        const uint8_t *end = cur_left(c) == 0 ? NULL : memchr(c->p, '\0', cur_left(c));
        if (end == NULL)
            cur_fail(c, "no NUL behind a schema's name");
        else
            (void)cur_take(c, (size_t)(end - c->p) + 1);
    }
}

static void read_var(struct cur *c, uint8_t code, bool mariadb, struct schema_session *s)
{
    unsigned fixed = fixed_bytes(code, mariadb);
    struct schema_session got = *s;
    if (fixed != 0) {
        (void)cur_take(c, fixed);
    } else if (code == VAR_SQL_MODE) {
        got.sql_mode = cur_le(c, 8);
    } else if (code == VAR_CATALOG) {
        (void)cur_take(c, (size_t)cur_u8(c) + 1);
    } else if (code == VAR_TIME_ZONE || code == VAR_CATALOG_NZ) {
        (void)cur_take(c, cur_u8(c));
    } else if (code == VAR_CHARSET) {
        got.client_collation = (uint16_t)cur_le(c, 2);
        got.connection_collation = (uint16_t)cur_le(c, 2);
        got.server_collation = (uint16_t)cur_le(c, 2);
    } else if (code == VAR_INVOKER) {
        (void)cur_take(c, cur_u8(c));
        (void)cur_take(c, cur_u8(c));
    } else if (code == VAR_UPDATED_SCHEMAS && !mariadb) {
        skip_schemas(c);
    } else if (code == VAR_EXPLICIT_TIMESTAMP && !mariadb) {
        got.explicit_timestamp = cur_u8(c) != 0;
    } else if (code == VAR_UTF8MB4_COLLATION && !mariadb) {
        got.utf8mb4_collation = (uint16_t)cur_le(c, 2);
    } else {
        cur_fail(c, "not known");
    }
    if (c->why == NULL)
        *s = got;
}

void schema_session_read(struct bytes status_vars, bool mariadb, struct schema_session *out)
{
    struct schema_session s = { .explicit_timestamp = -1 };
    struct cur c = cur_over(status_vars);
    while (cur_left(&c) != 0)
        read_var(&c, cur_u8(&c), mariadb, &s);
    *out = s;
}

bool schema_is_system(struct bytes schema)
{
    static const char *const names[] = { "mysql",   "information_schema", "performance_schema", "sys",
                                         "ndbinfo", "rowtide_schema" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (schema.n == strlen(names[i]) && strncasecmp((const char *)schema.p, names[i], schema.n) == 0)
            return true;
    return false;
}

static bool all_system(const struct ddl *d)
{
    for (unsigned i = 0; i < d->ntables; i++)
        if (!schema_is_system(d->tables[i].schema))
            return false;
    for (unsigned i = 0; i < d->nclauses; i++)
        if (d->clauses[i].to.table.n != 0 && !schema_is_system(d->clauses[i].to.schema))
            return false;
    return d->ntables != 0;
}

static bool is_word_char(uint8_t c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The statement's last word; *text loses it. */
static struct bytes last_word(struct bytes *text)
{
    size_t end = text->n;
    while (end > 0 && (text->p[end - 1] <= ' ' || text->p[end - 1] == ';'))
        end--;
    size_t begin = end;
    while (begin > 0 && is_word_char(text->p[begin - 1]))
        begin--;
    text->n = begin;
    return bytes_of(text->p + begin, end - begin);
}

static bool is_word(struct bytes b, const char *word)
{
    return b.n == strlen(word) && strncasecmp((const char *)b.p, word, b.n) == 0;
}

/* ALTER TABLE ... DISCARD | IMPORT TABLESPACE, SECONDARY_LOAD | SECONDARY_UNLOAD: about files and engines that only the
 * source has. */
static bool is_about_files(struct bytes text)
{
    struct bytes word = last_word(&text);
    if (is_word(word, "SECONDARY_LOAD") || is_word(word, "SECONDARY_UNLOAD"))
        return true;
    if (!is_word(word, "TABLESPACE"))
        return false;
    word = last_word(&text);
    return is_word(word, "DISCARD") || is_word(word, "IMPORT");
}

enum schema_step schema_statement_step(const struct schema_statement *st)
{
    const struct ddl *d = st->parsed;
    switch (d->kind) {
    case DDL_CREATE_TABLE:
    case DDL_ALTER_TABLE:
    case DDL_DROP_TABLE:
    case DDL_RENAME_TABLE:
    case DDL_CREATE_INDEX:
    case DDL_DROP_INDEX:
    case DDL_DROP_DATABASE:
        break;
    case DDL_OTHER:
        if (d->catalog)
            return st->error_code == 0 ? SCHEMA_FOLLOW : SCHEMA_UNKNOWN;
        return SCHEMA_IGNORE;
    default:
        return SCHEMA_IGNORE;
    }
    if (all_system(d) || (d->kind == DDL_ALTER_TABLE && is_about_files(st->text)))
        return SCHEMA_IGNORE;
    /* The servers write the drop of temporary tables apart, as DROP TEMPORARY TABLE, and mark both as the session's. */
    if (d->kind == DDL_DROP_DATABASE || d->kind == DDL_DROP_TABLE)
        return SCHEMA_FOLLOW;
    return st->temporary || st->error_code != 0 ? SCHEMA_UNKNOWN : SCHEMA_FOLLOW;
}
