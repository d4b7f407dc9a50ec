/* preflight_tables.c - the captured tables: cascades that the server does not log, keys, engines, sequences.
 *
 * InnoDB carries out ON DELETE / ON UPDATE actions below the layer that writes row events; MySQL logs them from 9.6 on unless
 * innodb_native_foreign_keys is ON, MariaDB never does. MariaDB also hides REFERENTIAL_CONSTRAINTS from an account that may only
 * SELECT (seen on 10.11), so there each table's definition is read. */
#include "preflight_run.h"

#include "arena.h"
#include "schema_read.h"

#include <stdio.h>
#include <stdlib.h>

enum { SINCE_LOGGED_CASCADES = 90600, SINCE_UNLOGGED_GENERATED = 110000, SHOWN_MAX = 20 };

#define NOT_SYSTEM "NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"

static bool captured(const struct preflight_run *r, struct bytes schema, struct bytes table)
{
    return r->o->tables == NULL || pattern_match(r->o->tables, schema, table);
}

struct names { /* a list for a message: the first few, and how many there are */
    char text[220];
    size_t n;
};

static void names_add(struct names *l, struct bytes schema, struct bytes table)
{
    size_t have = strlen(l->text);
    if (l->n < 5)
        snprintf(l->text + have, sizeof l->text - have, "%s%.*s.%.*s", l->n == 0 ? "" : ", ", BYTES_FMT(schema),
                 BYTES_FMT(table));
    else if (l->n == 5)
        snprintf(l->text + have, sizeof l->text - have, ", ...");
    l->n++;
}

/* ---- cascades ---- */

struct cascades {
    struct preflight_run *r;
    size_t n;      /* found */
    size_t hidden; /* tables whose definition the account may not read */
};

static bool add_cascade(struct cascades *k, struct bytes schema, struct bytes table, const char *name,
                        const char *rules)
{
    struct preflight_run *r = k->r;
    if (k->n++ >= SHOWN_MAX)
        return true;
    char mend[400];
    snprintf(mend, sizeof mend,
             "ALTER TABLE `%.*s`.`%.*s` DROP FOREIGN KEY `%s`, and let the application or a trigger do it%s; or start "
             "capture with --accept-unlogged-cascades and compare the tables from time to time",
             BYTES_FMT(schema), BYTES_FMT(table), name,
             r->mariadb                           ? ""
             : r->version < SINCE_LOGGED_CASCADES ? "; or upgrade to MySQL 9.6"
                                                  : "; or innodb_native_foreign_keys = OFF");
    return preflight_add(
        r, r->o->accept_unlogged_cascades ? FIND_WARN : FIND_FAIL, "foreign_keys", mend,
        "%.*s.%.*s: the foreign key %s (%s) changes rows that the source does not write to its binlog%s",
        BYTES_FMT(schema), BYTES_FMT(table), name, rules,
        r->o->accept_unlogged_cascades ? "; accepted by --accept-unlogged-cascades" : "");
}

static bool cascades_of_mysql(struct cascades *k)
{
    struct sql_result res;
    struct err why;
    bool got;
    if (!preflight_ask(
            k->r,
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, CONCAT('ON DELETE ', DELETE_RULE, ' ON UPDATE ', "
            "UPDATE_RULE) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE DELETE_RULE IN ('CASCADE', 'SET NULL', "
            "'SET DEFAULT') OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')",
            &res, &got, &why))
        return false;
    if (!got)
        return preflight_add(k->r, FIND_WARN, "foreign_keys", "", "cascades could not be looked for: %.300s", why.msg);
    bool ok = true;
    for (size_t i = 0; ok && i < res.nrows; i++) {
        const struct bytes *row = res.cells + i * res.ncols;
        if (captured(k->r, row[0], row[1]))
            ok = add_cascade(k, row[0], row[1], (const char *)row[2].p, (const char *)row[3].p);
    }
    sql_result_clear(&res);
    return ok;
}

/* One line of SHOW CREATE TABLE: "  CONSTRAINT `n` FOREIGN KEY (`c`) REFERENCES `p` (`id`) ON DELETE CASCADE ON UPDATE SET NULL,". The
 * actions stand behind the last parenthesis. */
static bool cascade_in_line(struct cascades *k, struct bytes schema, struct bytes table, const char *line, size_t n)
{
    static const char head[] = "CONSTRAINT `", key[] = "` FOREIGN KEY (";
    while (n > 0 && *line == ' ') {
        line++;
        n--;
    }
    if (n < sizeof head || memcmp(line, head, sizeof head - 1) != 0)
        return true;
    const char *name = line + sizeof head - 1, *end = line + n;
    const char *fk = memmem(name, (size_t)(end - name), key, sizeof key - 1);
    const char *close = memrchr(line, ')', n);
    if (fk == NULL || close == NULL || close < fk)
        return true;
    char rules[80], name_text[200];
    size_t rules_n = (size_t)(end - close - 1);
    snprintf(rules, sizeof rules, "%.*s", (int)(rules_n > 70 ? 70 : rules_n), close + 1);
    if (strstr(rules, "CASCADE") == NULL && strstr(rules, "SET NULL") == NULL && strstr(rules, "SET DEFAULT") == NULL)
        return true;
    size_t last = strlen(rules);
    if (last > 0 && rules[last - 1] == ',')
        rules[last - 1] = '\0';
    snprintf(name_text, sizeof name_text, "%.*s", (int)(fk - name > 199 ? 199 : fk - name), name);
    return add_cascade(k, schema, table, name_text, rules[0] == ' ' ? rules + 1 : rules);
}

static bool cascades_of_table(struct cascades *k, struct bytes schema, struct bytes table)
{
    struct sql_result res;
    struct err why;
    struct buf sql = { 0 };
    buf_str(&sql, "SHOW CREATE TABLE ");
    schema_quote(schema, &sql);
    buf_u8(&sql, '.');
    schema_quote(table, &sql);
    bool got, ok = buf_ok(&sql, k->r->err) && preflight_ask(k->r, buf_cstr(&sql), &res, &got, &why);
    buf_free(&sql);
    if (!ok)
        return false;
    if (!got) {
        k->hidden += why.sys != 1146; /* dropped a moment ago */
        return true;
    }
    const char *line = res.nrows == 1 && res.ncols >= 2 ? (const char *)res.cells[1].p : NULL;
    while (ok && line != NULL && *line != '\0') {
        size_t n = strcspn(line, "\n");
        ok = cascade_in_line(k, schema, table, line, n);
        line += n + (line[n] == '\n');
    }
    sql_result_clear(&res);
    return ok;
}

static bool cascades_of_mariadb(struct cascades *k, const struct sql_result *tables)
{
    if (!binlog_client_exec(k->r->c, "SET SESSION sql_quote_show_create = 1", k->r->err))
        return false;
    for (size_t i = 0; i < tables->nrows; i++) {
        const struct bytes *row = tables->cells + i * tables->ncols;
        if (bytes_eq_str(row[2], "InnoDB") && captured(k->r, row[0], row[1]) && !cascades_of_table(k, row[0], row[1]))
            return false;
    }
    return true;
}

static bool check_cascades(struct preflight_run *r, const struct sql_result *tables, size_t seen)
{
    const char *native = preflight_var(r, "innodb_native_foreign_keys");
    if (!r->mariadb && r->version >= SINCE_LOGGED_CASCADES && (native == NULL || strcmp(native, "OFF") == 0))
        return preflight_add(r, FIND_OK, "foreign_keys", "", "this server logs what its foreign keys change");
    struct cascades k = { .r = r };
    if (!(r->mariadb ? cascades_of_mariadb(&k, tables) : cascades_of_mysql(&k)))
        return false;
    if (k.n > SHOWN_MAX && !preflight_add(r, r->o->accept_unlogged_cascades ? FIND_WARN : FIND_FAIL, "foreign_keys", "",
                                          "... and %zu more foreign keys with such actions", k.n - SHOWN_MAX))
        return false;
    if (k.hidden > 0 &&
        !preflight_add(r, FIND_WARN, "foreign_keys", "GRANT SELECT ON the captured tables TO the account;",
                       "the definitions of %zu captured tables may not be read by this account: they may have cascades "
                       "that the source does not log",
                       k.hidden))
        return false;
    return k.n > 0 || k.hidden > 0 || seen == 0 ||
           preflight_add(r, FIND_OK, "foreign_keys", "",
                         "no captured table that this account sees has a foreign key that changes rows");
}

/* ---- keys and engines ---- */

static int by_name(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b; /* schema, table */
    for (int i = 0; i < 2; i++) {
        size_t n = x[i].n < y[i].n ? x[i].n : y[i].n;
        int d = n == 0 ? 0 : memcmp(x[i].p, y[i].p, n);
        if (d != 0 || x[i].n != y[i].n)
            return d != 0 ? d : x[i].n < y[i].n ? -1 : 1;
    }
    return 0;
}

static bool check_keys(struct preflight_run *r, const struct sql_result *tables)
{
    struct sql_result keys;
    struct err why;
    bool got;
    if (!preflight_ask(r,
                       "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.STATISTICS WHERE INDEX_NAME = "
                       "'PRIMARY' AND SEQ_IN_INDEX = 1 AND TABLE_SCHEMA " NOT_SYSTEM,
                       &keys, &got, &why))
        return false;
    if (!got)
        return preflight_add(r, FIND_INFO, "primary_keys", "", "primary keys could not be looked for: %.300s", why.msg);
    if (keys.nrows > 0)
        qsort((void *)keys.cells, keys.nrows, 2 * sizeof *keys.cells, by_name);
    struct names without = { .n = 0 }, other = { .n = 0 };
    for (size_t i = 0; i < tables->nrows; i++) {
        const struct bytes *row = tables->cells + i * tables->ncols;
        if (!captured(r, row[0], row[1]))
            continue;
        if (keys.nrows == 0 || bsearch(row, keys.cells, keys.nrows, 2 * sizeof *keys.cells, by_name) == NULL)
            names_add(&without, row[0], row[1]);
        if (!bytes_eq_str(row[2], "InnoDB"))
            names_add(&other, row[0], row[1]);
    }
    sql_result_clear(&keys);
    if (without.n > 0 &&
        !preflight_add(r, FIND_INFO, "primary_keys", "ALTER TABLE ... ADD PRIMARY KEY, where one can be had.",
                       "%zu captured tables have no primary key (%s): their rows are found by all their columns, which "
                       "is slower and larger",
                       without.n, without.text))
        return false;
    return other.n == 0 || preflight_add(r, FIND_INFO, "engines", "",
                                         "%zu captured tables are not InnoDB (%s): what a failed or rolled back "
                                         "statement changed there stays, there and in the binlog",
                                         other.n, other.text);
}

/* Captured tables with a row for which `condition` (on information_schema's COLUMNS, TABLES ...) holds. */
static bool tables_with(struct preflight_run *r, const char *view, const char *condition, struct names *found)
{
    struct sql_result tables;
    struct err why;
    bool got;
    char sql[400];
    snprintf(sql, sizeof sql,
             "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.%s WHERE %s AND "
             "TABLE_SCHEMA " NOT_SYSTEM,
             view, condition);
    if (!preflight_ask(r, sql, &tables, &got, &why))
        return false;
    for (size_t i = 0; got && i < tables.nrows; i++) {
        const struct bytes *row = tables.cells + i * tables.ncols;
        if (captured(r, row[0], row[1]))
            names_add(found, row[0], row[1]);
    }
    if (got)
        sql_result_clear(&tables);
    return true;
}

/* MariaDB keeps columns of tables from before 10.0, or made under mysql56_temporal_format = OFF, in its own older format.
 * TABLE_MAP has no number of fractional digits for it. COLUMN_TYPE has a comment (seen on 10.11). */
static bool check_old_times(struct preflight_run *r)
{
    struct names old = { .n = 0 };
    if (!r->mariadb)
        return true;
    return tables_with(r, "COLUMNS", "DATETIME_PRECISION > 0 AND COLUMN_TYPE LIKE '%mariadb-5.3%'", &old) &&
           (old.n == 0 ||
            preflight_add(r, FIND_FAIL, "old_times",
                          "SET GLOBAL mysql56_temporal_format = ON; then for each ALTER TABLE ... FORCE;",
                          "%zu captured tables have times with fractions in the format of MariaDB 5.3 (%s): the binlog "
                          "does not say how long their fractions are",
                          old.n, old.text));
}

/* Seen on 11.8.9, whatever the row image; 10.11.19 has them in FULL images. */
static bool check_generated(struct preflight_run *r)
{
    struct names generated = { .n = 0 };
    if (!r->mariadb || r->version < SINCE_UNLOGGED_GENERATED)
        return true;
    return tables_with(r, "COLUMNS", "GENERATION_EXPRESSION NOT IN ('', 'ROW START', 'ROW END')", &generated) &&
           (generated.n == 0 ||
            preflight_add(
                r, FIND_WARN, "generated_columns",
                "generate these columns at the destination as well, or remove them in the transform",
                "%zu captured tables have generated columns (%s): this server writes their values to its binlog "
                "when a row is inserted, not when it is updated",
                generated.n, generated.text));
}

/* MariaDB writes each step of a sequence as an insert into it; capture leaves them out, as PostgreSQL's replication does. */
static bool check_sequences(struct preflight_run *r)
{
    struct names found = { .n = 0 };
    if (!r->mariadb)
        return true;
    if (!tables_with(r, "TABLES", "TABLE_TYPE = 'SEQUENCE'", &found))
        return false;
    return found.n == 0 ||
           preflight_add(r, FIND_INFO, "sequences", "",
                         "%zu sequences are among --tables (%s): their steps are not captured; after a switch-over set "
                         "the destination's own sequences",
                         found.n, found.text);
}

bool preflight_tables(struct preflight_run *r)
{
    struct sql_result tables;
    struct err why;
    bool got;
    if (!preflight_ask(r,
                       "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_TYPE = "
                       "'BASE TABLE' AND TABLE_SCHEMA " NOT_SYSTEM,
                       &tables, &got, &why))
        return false;
    if (!got)
        return preflight_add(r, FIND_WARN, "tables", "", "the source's tables cannot be listed: %.300s", why.msg);
    size_t n = 0;
    for (size_t i = 0; i < tables.nrows; i++)
        n += captured(r, tables.cells[i * tables.ncols], tables.cells[i * tables.ncols + 1]);
    bool ok = n > 0
                  ? preflight_add(r, FIND_OK, "tables", "",
                                  "%zu captured tables are seen by this account; what it may not SELECT is captured "
                                  "too, but not checked here",
                                  n)
                  : preflight_add(r, FIND_WARN, "tables",
                                  "GRANT SELECT ON the captured tables TO the account; or mend --tables",
                                  "this account sees no table that --tables takes: either there is none yet, or it may "
                                  "not SELECT from them, and then foreign keys and primary keys cannot be checked");
    ok = ok && check_cascades(r, &tables, n) && check_keys(r, &tables) && check_old_times(r) && check_generated(r) &&
         check_sequences(r);
    sql_result_clear(&tables);
    return ok;
}
