/* explain_query.c - statements and what belongs to them, for binlog_explain: QUERY with its status variables, INTVAR,
 * RAND, USER_VAR, EXECUTE_LOAD_QUERY.
 *
 * Sources: MySQL libs/mysql/binlog/event/statement_events.h (Query_event, Query_event_status_vars, User_var_event);
 * MariaDB sql/log_event.h (Q_HRNOW and later). Status variables come without lengths: behind one that is not known the
 * rest is shown as hex. */
#include "binlog_explain_inside.h"

#include "binlog_statement.h"
#include "charset.h"

#include <stdio.h>

enum status_var {
    Q_FLAGS2 = 0,
    Q_SQL_MODE = 1,
    Q_CATALOG = 2,
    Q_AUTO_INCREMENT = 3,
    Q_CHARSET = 4,
    Q_TIME_ZONE = 5,
    Q_CATALOG_NZ = 6,
    Q_LC_TIME_NAMES = 7,
    Q_CHARSET_DATABASE = 8,
    Q_TABLE_MAP_FOR_UPDATE = 9,
    Q_MASTER_DATA_WRITTEN = 10,
    Q_INVOKER = 11,
    Q_UPDATED_SCHEMAS = 12,
    Q_MICROSECONDS = 13,
    Q_EXPLICIT_DEFAULTS_TS = 16,
    Q_DDL_XID = 17,
    Q_DEFAULT_COLLATION_UTF8MB4 = 18,
    Q_REQUIRE_PRIMARY_KEY = 19,
    Q_DEFAULT_TABLE_ENCRYPTION = 20,
    Q_MARIADB_HRNOW = 128,
    Q_MARIADB_XID = 129
};

static void collation(struct binlog_explain *x, const char *key, uint64_t number)
{
    char text[80];
    const struct charset *cs = number > UINT16_MAX ? NULL : charset_of_collation((unsigned)number);
    snprintf(text, sizeof text, "%s (collation %llu)", cs == NULL ? "unknown" : cs->name, (unsigned long long)number);
    explain_word(x, key, text);
}

static void hex_number(struct binlog_explain *x, const char *key, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)v);
    explain_word(x, key, text);
}

/* Names of the bits that both servers give the same meaning; their own words, as @@sql_mode shows them. */
static void sql_mode(struct binlog_explain *x, uint64_t v)
{
    static const char *const names[] = {
        [0] = "REAL_AS_FLOAT",
        [1] = "PIPES_AS_CONCAT",
        [2] = "ANSI_QUOTES",
        [3] = "IGNORE_SPACE",
        [5] = "ONLY_FULL_GROUP_BY",
        [6] = "NO_UNSIGNED_SUBTRACTION",
        [7] = "NO_DIR_IN_CREATE",
        [18] = "ANSI",
        [19] = "NO_AUTO_VALUE_ON_ZERO",
        [20] = "NO_BACKSLASH_ESCAPES",
        [21] = "STRICT_TRANS_TABLES",
        [22] = "STRICT_ALL_TABLES",
        [23] = "NO_ZERO_IN_DATE",
        [24] = "NO_ZERO_DATE",
        [25] = "ALLOW_INVALID_DATES",
        [26] = "ERROR_FOR_DIVISION_BY_ZERO",
        [27] = "TRADITIONAL",
        [28] = "NO_AUTO_CREATE_USER",
        [29] = "HIGH_NOT_PRECEDENCE",
        [30] = "NO_ENGINE_SUBSTITUTION",
        [31] = "PAD_CHAR_TO_FULL_LENGTH",
    };
    buf_reset(&x->text);
    buf_printf(&x->text, "0x%llx", (unsigned long long)v);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((v >> i & 1) != 0 && names[i] != NULL)
            buf_printf(&x->text, " %s", names[i]);
    explain_word(x, "sql_mode", buf_cstr(&x->text));
}

static void updated_schemas(struct binlog_explain *x, struct cur *c)
{
    enum { TOO_MANY = 254 };
    uint8_t n = cur_u8(c);
    if (n == TOO_MANY) {
        explain_word(x, "updated_schemas", "too many to name");
        return;
    }
    buf_reset(&x->text);
    for (unsigned i = 0; i < n && c->why == NULL; i++) {
        const uint8_t *end = cur_left(c) == 0 ? NULL : memchr(c->p, '\0', cur_left(c));
        if (end == NULL) {
            cur_fail(c, "a schema's name without its end");
            return;
        }
        struct bytes name = cur_take(c, (size_t)(end - c->p));
        (void)cur_u8(c);
        if (i != 0)
            buf_u8(&x->text, ',');
        buf_bytes(&x->text, name);
    }
    explain_text(x, "updated_schemas", buf_view(&x->text));
}

/* One variable; false: not known, so that its end is not either. */
static bool status_var(struct binlog_explain *x, uint8_t code, struct cur *c)
{
    struct bytes a, b;
    switch (code) {
    case Q_FLAGS2:
        hex_number(x, "flags2", cur_le(c, 4));
        return true;
    case Q_SQL_MODE:
        sql_mode(x, cur_le(c, 8));
        return true;
    case Q_CATALOG:
        a = cur_take(c, cur_u8(c));
        (void)cur_u8(c);
        explain_text(x, "catalog", a);
        return true;
    case Q_AUTO_INCREMENT:
        explain_u64(x, "auto_increment_increment", cur_le(c, 2));
        explain_u64(x, "auto_increment_offset", cur_le(c, 2));
        return true;
    case Q_CHARSET:
        collation(x, "character_set_client", cur_le(c, 2));
        collation(x, "collation_connection", cur_le(c, 2));
        collation(x, "collation_server", cur_le(c, 2));
        return true;
    case Q_TIME_ZONE:
        explain_text(x, "time_zone", cur_take(c, cur_u8(c)));
        return true;
    case Q_CATALOG_NZ:
        explain_text(x, "catalog", cur_take(c, cur_u8(c)));
        return true;
    case Q_LC_TIME_NAMES:
        explain_u64(x, "lc_time_names", cur_le(c, 2));
        return true;
    case Q_CHARSET_DATABASE:
        collation(x, "collation_database", cur_le(c, 2));
        return true;
    case Q_TABLE_MAP_FOR_UPDATE:
        hex_number(x, "table_map_for_update", cur_le(c, 8));
        return true;
    case Q_MASTER_DATA_WRITTEN:
        explain_u64(x, "master_data_written", cur_le(c, 4));
        return true;
    case Q_INVOKER:
        a = cur_take(c, cur_u8(c));
        b = cur_take(c, cur_u8(c));
        explain_text(x, "invoker_user", a);
        explain_text(x, "invoker_host", b);
        return true;
    case Q_UPDATED_SCHEMAS:
        updated_schemas(x, c);
        return true;
    case Q_MICROSECONDS:
    case Q_MARIADB_HRNOW:
        explain_u64(x, "microseconds", cur_le(c, 3));
        return true;
    case Q_EXPLICIT_DEFAULTS_TS:
        explain_u64(x, "explicit_defaults_for_timestamp", cur_u8(c));
        return true;
    case Q_DDL_XID:
    case Q_MARIADB_XID:
        explain_u64(x, "ddl_xid", cur_le(c, 8));
        return true;
    case Q_DEFAULT_COLLATION_UTF8MB4:
        collation(x, "default_collation_for_utf8mb4", cur_le(c, 2));
        return true;
    case Q_REQUIRE_PRIMARY_KEY:
        explain_u64(x, "sql_require_primary_key", cur_u8(c));
        return true;
    case Q_DEFAULT_TABLE_ENCRYPTION:
        explain_u64(x, "default_table_encryption", cur_u8(c));
        return true;
    default:
        return false;
    }
}

static void status_vars(struct binlog_explain *x, struct bytes vars)
{
    struct cur c = cur_over(vars);
    while (cur_left(&c) != 0) {
        struct bytes rest = bytes_of(c.p, cur_left(&c));
        if (!status_var(x, cur_u8(&c), &c)) {
            explain_hex(x, "further_status_vars", rest);
            return;
        }
    }
    if (c.why != NULL)
        explain_problem(x, "status variables: truncated");
}

bool explain_query(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct ev_query q;
    if (!binlog_parse_query(e, &x->fmt, &x->scratch, &q, err))
        return false;
    struct cur c = cur_over(e->body);
    explain_u64(x, "thread_id", cur_le(&c, 4));
    explain_u64(x, "exec_seconds", cur_le(&c, 4));
    if (q.error_code != 0)
        explain_u64(x, "error_code", q.error_code);
    explain_text(x, "schema", q.schema);
    explain_text(x, "sql", q.sql);
    status_vars(x, statement_status_vars(e));
    return true;
}

bool explain_load_query(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct ev_load_query q;
    if (!statement_parse_load(e, &q, err))
        return false;
    explain_text(x, "schema", q.schema);
    explain_text(x, "sql", q.sql);
    status_vars(x, q.status_vars);
    return true;
}

bool explain_intvar(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    enum { LAST_INSERT_ID = 1, INSERT_ID = 2 };
    struct cur c = cur_over(e->body);
    uint8_t which = cur_u8(&c);
    uint64_t v = cur_le(&c, 8);
    if (!cur_ok(&c, "INTVAR", err))
        return false;
    explain_u64(x, which == LAST_INSERT_ID ? "last_insert_id" : which == INSERT_ID ? "insert_id" : "unknown", v);
    return true;
}

bool explain_rand(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct cur c = cur_over(e->body);
    uint64_t one = cur_le(&c, 8), two = cur_le(&c, 8);
    if (!cur_ok(&c, "RAND", err))
        return false;
    explain_u64(x, "rand_seed1", one);
    explain_u64(x, "rand_seed2", two);
    return true;
}

bool explain_user_var(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    static const char *const types[] = { "string", "real", "integer", "row", "decimal" };
    struct cur c = cur_over(e->body);
    struct bytes name = cur_take(&c, (size_t)cur_le(&c, 4));
    bool null = cur_u8(&c) != 0;
    uint8_t type = null ? 0 : cur_u8(&c);
    uint64_t number = null ? 0 : cur_le(&c, 4);
    struct bytes value = null ? (struct bytes){ NULL, 0 } : cur_take(&c, (size_t)cur_le(&c, 4));
    if (!cur_ok(&c, "USER_VAR", err))
        return false;
    explain_text(x, "name", name);
    if (null) {
        explain_word(x, "value", "NULL");
        return true;
    }
    explain_word(x, "value_type", type < sizeof types / sizeof *types ? types[type] : "unknown");
    if (type == 0) {
        collation(x, "value_charset", number);
        explain_text(x, "value", value);
    } else {
        explain_hex(x, "value", value);
    }
    return true;
}
