/* schema_read.c - see schema_read.h. Names of columns: MySQL 5.6 to 9.7 and MariaDB 10.x, information_schema. */
#include "schema_read.h"

#include "arena.h"
#include "schema_statement.h"

#include <stdlib.h>
#include <strings.h>

enum { NO_SUCH_TABLE = 1146, NO_SUCH_DATABASE = 1049 };

void schema_quote(struct bytes name, struct buf *out)
{
    buf_u8(out, '`');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '`')
            buf_u8(out, '`');
        buf_u8(out, name.p[i]);
    }
    buf_u8(out, '`');
}

/* A name is any text that the server gave as one: no NUL inside, but perhaps quotes. */
static void quote_text(struct bytes text, struct buf *out)
{
    struct buf copy = { 0 };
    buf_bytes(&copy, text);
    binlog_client_quote(buf_cstr(&copy), out);
    out->failed = out->failed || copy.failed;
    buf_free(&copy);
}

static bool query(struct binlog_client *c, struct buf *sql, struct sql_result *r, struct err *err)
{
    bool ok = buf_ok(sql, err) && binlog_client_query(c, buf_cstr(sql), r, err);
    buf_free(sql);
    return ok;
}

static bool put_database(struct schema_set *out, const struct bytes *row, struct err *err)
{
    struct buf sql = { 0 };
    buf_str(&sql, "CREATE DATABASE ");
    schema_quote(row[0], &sql);
    buf_printf(&sql, " CHARACTER SET %.*s COLLATE %.*s", BYTES_FMT(row[1]), BYTES_FMT(row[2]));
    bool ok = buf_ok(&sql, err) &&
              schema_set_put(out, &(struct schema_entry){ .schema = row[0], .sql = buf_view(&sql) }, err);
    buf_free(&sql);
    return ok;
}

bool schema_read_list(struct binlog_client *c, struct schema_set *out, struct err *err)
{
    struct sql_result r = { 0 };
    if (!binlog_client_query(c,
                             "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM "
                             "information_schema.SCHEMATA",
                             &r, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < r.nrows; i++) {
        const struct bytes *row = r.cells + 3 * i;
        ok = schema_is_system(row[0]) || put_database(out, row, err);
    }
    sql_result_clear(&r);
    if (!ok || !binlog_client_query(c,
                                    "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE "
                                    "IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')",
                                    &r, err))
        return false;
    for (size_t i = 0; ok && i < r.nrows; i++) {
        const struct bytes *row = r.cells + 2 * i;
        struct schema_entry e = { .schema = row[0], .table = row[1], .sql = BYTES_LIT(" ") };
        ok = schema_is_system(row[0]) || schema_set_put(out, &e, err);
    }
    sql_result_clear(&r);
    return ok;
}

bool schema_read_create(struct binlog_client *c, struct bytes schema, struct bytes table, struct buf *out, bool *there,
                        struct err *err)
{
    struct buf sql = { 0 };
    struct sql_result r = { 0 };
    buf_str(&sql, "SHOW CREATE TABLE ");
    schema_quote(schema, &sql);
    buf_u8(&sql, '.');
    schema_quote(table, &sql);
    *there = false;
    if (!query(c, &sql, &r, err))
        return err->sys == NO_SUCH_TABLE || err->sys == NO_SUCH_DATABASE;
    bool ok = r.nrows == 1 && r.ncols >= 2 && r.cells[1].n != 0 && memchr(r.cells[1].p, '\0', r.cells[1].n) == NULL;
    if (ok) {
        *there = true;
        buf_bytes(out, r.cells[1]);
        ok = buf_ok(out, err);
    } else {
        err_set(err, ERR_UNSUPPORTED, "SHOW CREATE TABLE of %.*s.%.*s does not give a statement", BYTES_FMT(schema),
                BYTES_FMT(table));
    }
    sql_result_clear(&r);
    return ok;
}

/* --- columns --- */

static uint64_t number(struct bytes b, uint64_t none)
{
    return b.p == NULL ? none : strtoull((const char *)b.p, NULL, 10); /* cells are NUL-terminated */
}

static bool contains(struct bytes text, const char *word)
{
    return text.p != NULL && strcasestr((const char *)text.p, word) != NULL;
}

/* SELECT c.NAME, c.TYPE, ... of one table. */
static void select_columns(struct bytes schema, struct bytes table, struct buf *sql)
{
    buf_str(sql, "SELECT COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, EXTRA, CHARACTER_OCTET_LENGTH FROM "
                 "information_schema.COLUMNS WHERE TABLE_SCHEMA = ");
    quote_text(schema, sql);
    buf_str(sql, " AND TABLE_NAME = ");
    quote_text(table, sql);
    buf_str(sql, " ORDER BY ORDINAL_POSITION");
}

static bool take_column(const struct bytes *row, struct arena *a, struct schema_column *col, struct err *err)
{
    *col = (struct schema_column){ .nullable = bytes_eq_str(row[3], "YES"),
                                   .visible = !contains(row[4], "INVISIBLE"),
                                   .octets = number(row[5], UINT64_MAX) };
    if (row[0].p == NULL || row[1].p == NULL)
        return err_set(err, ERR_UNSUPPORTED, "information_schema.COLUMNS has a column without name or type");
    return arena_copy(a, row[0], &col->name, err) && arena_copy(a, row[1], &col->type, err) &&
           arena_copy(a, row[2], &col->charset, err);
}

static bool take_key(struct binlog_client *c, struct bytes schema, struct bytes table, struct schema_column *cols,
                     unsigned n, struct err *err)
{
    struct buf sql = { 0 };
    struct sql_result r = { 0 };
    buf_str(&sql, "SELECT COLUMN_NAME, SEQ_IN_INDEX FROM information_schema.STATISTICS WHERE INDEX_NAME = 'PRIMARY' "
                  "AND TABLE_SCHEMA = ");
    quote_text(schema, &sql);
    buf_str(&sql, " AND TABLE_NAME = ");
    quote_text(table, &sql);
    if (!query(c, &sql, &r, err))
        return false;
    for (size_t k = 0; k < r.nrows; k++)
        for (unsigned i = 0; i < n; i++)
            if (bytes_eq(cols[i].name, r.cells[2 * k]))
                cols[i].key_pos = (uint16_t)number(r.cells[2 * k + 1], 0);
    sql_result_clear(&r);
    return true;
}

/* WITH SYSTEM VERSIONING alone: rows have two columns that information_schema does not show. */
static bool has_hidden_period(const char *create, const struct schema_column *cols, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (bytes_eq_str(cols[i].name, "row_start") || bytes_eq_str(cols[i].name, "row_end"))
            return false;
    return strstr(create, "WITH SYSTEM VERSIONING") != NULL && strstr(create, "PERIOD FOR SYSTEM_TIME") == NULL;
}

bool schema_read_columns(struct binlog_client *c, struct bytes schema, struct bytes table, struct arena *a,
                         struct schema_table *out, struct err *err)
{
    struct buf sql = { 0 }, create = { 0 };
    struct sql_result r = { 0 };
    bool there = false;
    if (!schema_read_create(c, schema, table, &create, &there, err) || !there) {
        buf_free(&create);
        return there || err_set(err, ERR_UNSUPPORTED, "the schema server has no such table");
    }
    select_columns(schema, table, &sql);
    bool ok = query(c, &sql, &r, err);
    unsigned n = (unsigned)r.nrows;
    struct schema_column *cols = ok ? arena_zalloc(a, (n + 2) * sizeof *cols, err) : NULL;
    ok = cols != NULL;
    for (unsigned i = 0; ok && i < n; i++)
        ok = take_column(r.cells + (size_t)6 * i, a, &cols[i], err);
    sql_result_clear(&r);
    ok = ok && take_key(c, schema, table, cols, n, err);
    if (ok && has_hidden_period(buf_cstr(&create), cols, n)) {
        cols[n++] = (struct schema_column){ BYTES_LIT("row_start"), BYTES_LIT("timestamp(6)"), .octets = UINT64_MAX };
        cols[n++] = (struct schema_column){ BYTES_LIT("row_end"), BYTES_LIT("timestamp(6)"), .octets = UINT64_MAX };
    }
    buf_free(&create);
    if (ok)
        *out = (struct schema_table){ n, cols };
    return ok;
}

/* --- comparing --- */

/* The next line that is not a foreign key's; without its comma, since that depends on what follows. */
static bool next_line(struct cur *c, struct bytes *line)
{
    while (cur_left(c) != 0) {
        const uint8_t *end = memchr(c->p, '\n', cur_left(c));
        size_t n = end == NULL ? cur_left(c) : (size_t)(end - c->p);
        *line = cur_take(c, n);
        (void)cur_take(c, end != NULL);
        if (memmem(line->p, line->n, " FOREIGN KEY (", 14) != NULL && line->n > 14 &&
            memmem(line->p, line->n < 16 ? line->n : 16, "CONSTRAINT `", 12) != NULL)
            continue;
        if (line->n != 0 && line->p[line->n - 1] == ',')
            line->n--;
        return true;
    }
    return false;
}

bool schema_same_table(struct bytes sql, struct bytes other)
{
    struct cur a = cur_over(sql), b = cur_over(other);
    struct bytes x, y;
    for (;;) {
        bool more_a = next_line(&a, &x), more_b = next_line(&b, &y);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!bytes_eq(x, y))
            return false;
    }
}
