/* binlog_statement.c - see binlog_statement.h. The servers write most of these texts themselves ("SAVEPOINT `a`", "XA
 * END X'78',X'',1"); older ones copy what the client sent. Status variables: MySQL
 * libs/mysql/binlog/event/statement_events.h, Query_event_status_vars; GTID flags: MariaDB sql/log_event.h,
 * Gtid_log_event. Checked on MySQL 9.7 and MariaDB 10.11. */
#include "binlog_statement.h"

#include <strings.h>

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           c >= 0x80;
}

static void skip(struct bytes *in, size_t n)
{
    n = n > in->n ? in->n : n;
    in->p += n;
    in->n -= n;
}

static void skip_blank(struct bytes *in) /* white space and comments */
{
    for (;;) {
        if (in->n > 0 && is_space(in->p[0])) {
            skip(in, 1);
        } else if (in->n >= 2 && in->p[0] == '/' && in->p[1] == '*') {
            const uint8_t *end = memmem(in->p + 2, in->n - 2, "*/", 2);
            skip(in, end == NULL ? in->n : (size_t)(end - in->p) + 2);
        } else if (in->n >= 1 &&
                   (in->p[0] == '#' || (in->n >= 3 && memcmp(in->p, "--", 2) == 0 && is_space(in->p[2])))) {
            const uint8_t *end = memchr(in->p, '\n', in->n);
            skip(in, end == NULL ? in->n : (size_t)(end - in->p) + 1);
        } else {
            return;
        }
    }
}

static bool take_word(struct bytes *in, const char *word)
{
    size_t n = strlen(word);
    struct bytes rest = *in;
    skip_blank(&rest);
    if (rest.n < n || strncasecmp((const char *)rest.p, word, n) != 0 || (rest.n > n && is_word(rest.p[n])))
        return false;
    skip(&rest, n);
    *in = rest;
    return true;
}

static struct bytes rest_as_name(struct bytes in)
{
    skip_blank(&in);
    while (in.n > 0 && (is_space(in.p[in.n - 1]) || in.p[in.n - 1] == ';'))
        in.n--;
    if (in.n >= 2 && in.p[0] == '`' && in.p[in.n - 1] == '`')
        return bytes_of(in.p + 1, in.n - 2);
    return in;
}

enum stmt_word statement_word(struct bytes sql, struct bytes *name)
{
    *name = (struct bytes){ NULL, 0 };
    if (take_word(&sql, "BEGIN"))
        return WORD_BEGIN;
    if (take_word(&sql, "START"))
        return take_word(&sql, "TRANSACTION") ? WORD_BEGIN : WORD_OTHER;
    if (take_word(&sql, "COMMIT"))
        return WORD_COMMIT;
    if (take_word(&sql, "SAVEPOINT")) {
        *name = rest_as_name(sql);
        return WORD_SAVEPOINT;
    }
    if (take_word(&sql, "RELEASE"))
        return take_word(&sql, "SAVEPOINT") ? WORD_RELEASE : WORD_OTHER;
    if (take_word(&sql, "ROLLBACK")) {
        (void)take_word(&sql, "WORK");
        if (!take_word(&sql, "TO"))
            return WORD_ROLLBACK;
        (void)take_word(&sql, "SAVEPOINT");
        *name = rest_as_name(sql);
        return WORD_ROLLBACK_TO;
    }
    if (!take_word(&sql, "XA"))
        return WORD_OTHER;
    if (take_word(&sql, "START") || take_word(&sql, "BEGIN"))
        return WORD_XA_START;
    if (take_word(&sql, "END"))
        return WORD_XA_END;
    if (take_word(&sql, "COMMIT")) {
        *name = sql;
        return WORD_XA_COMMIT;
    }
    if (take_word(&sql, "ROLLBACK")) {
        *name = sql;
        return WORD_XA_ROLLBACK;
    }
    return WORD_XA_OTHER;
}

bool statement_starts_transaction(struct bytes *sql)
{
    static const char tail[] = " START TRANSACTION";
    size_t n = sizeof tail - 1;
    if (sql->n < n || memcmp(sql->p + sql->n - n, tail, n) != 0)
        return false;
    sql->n -= n;
    return true;
}

/* Variables come in rising order; those in front of the one we want have known lengths. */
void statement_schemas(struct bytes status_vars, bool mariadb, struct stmt_dml *out)
{
    enum { INVOKER = 11, UPDATED_SCHEMAS = 12, TOO_MANY = 254 };
    static const uint8_t fixed[] = { [0] = 4, [1] = 8, [3] = 4, [4] = 6, [7] = 2, [8] = 2, [9] = 8, [10] = 4 };
    struct cur c = cur_over(status_vars);
    out->schemas_known = false;
    out->schemas = (struct bytes){ NULL, 0 };
    while (!mariadb && cur_left(&c) != 0) { /* MariaDB gives the number another meaning */
        uint8_t code = cur_u8(&c);
        if (code < sizeof fixed && fixed[code] != 0) {
            (void)cur_take(&c, fixed[code]);
        } else if (code == 2) {
            (void)cur_take(&c, (size_t)cur_u8(&c) + 1);
        } else if (code == 5 || code == 6) {
            (void)cur_take(&c, cur_u8(&c));
        } else if (code == INVOKER) {
            (void)cur_take(&c, cur_u8(&c));
            (void)cur_take(&c, cur_u8(&c));
        } else if (code == UPDATED_SCHEMAS) {
            uint8_t n = cur_u8(&c);
            if (n == TOO_MANY || c.why != NULL)
                return;
            const uint8_t *start = c.p;
            for (unsigned i = 0; i < n; i++) {
                const uint8_t *end = cur_left(&c) == 0 ? NULL : memchr(c.p, '\0', cur_left(&c));
                if (end == NULL)
                    return;
                (void)cur_take(&c, (size_t)(end - c.p) + 1);
            }
            out->schemas = bytes_of(start, (size_t)(c.p - start));
            out->schemas_known = n != 0;
            return;
        } else {
            return;
        }
    }
}

static bool mentions(struct bytes sql, struct bytes word)
{
    if (word.n == 0 || word.p == NULL)
        return false;
    for (size_t i = 0; i + word.n <= sql.n; i++) {
        if (strncasecmp((const char *)sql.p + i, (const char *)word.p, word.n) == 0 &&
            (i == 0 || !is_word(sql.p[i - 1])) && (i + word.n == sql.n || !is_word(sql.p[i + word.n])))
            return true;
    }
    return false;
}

bool statement_may_touch(const struct stmt_dml *s, const struct pattern *tables)
{
    for (unsigned i = 0; i < s->parsed->ntables; i++) { /* its table may be a view, or have triggers */
        const struct ddl_table *t = &s->parsed->tables[i];
        if (pattern_match(tables, t->schema, t->table) || pattern_match_schema(tables, t->schema))
            return true;
    }
    if (!s->schemas_known)
        return s->parsed->ntables == 0;
    struct bytes left = s->schemas;
    while (left.n > 0) {
        struct bytes schema = bytes_str((const char *)left.p); /* statement_schemas checked the NULs */
        left = bytes_of(left.p + schema.n + 1, left.n - schema.n - 1);
        if (!pattern_match_schema(tables, schema))
            continue;
        /* The list has the schemas that were only read, too: pt-table-checksum's REPLACE INTO ... SELECT must not stop
         * anything. */
        if (s->parsed->ntables == 0 || !(mentions(s->sql, schema) || bytes_eq(schema, s->schema)))
            return true;
    }
    return false;
}

bool statement_parse_load(const struct binlog_event *e, struct ev_load_query *out, struct err *err)
{
    struct ev_load_query q;
    struct cur c = cur_over(e->body);
    (void)cur_take(&c, 8); /* thread, seconds */
    size_t schema_n = cur_u8(&c);
    (void)cur_take(&c, 2); /* error */
    size_t vars_n = (size_t)cur_le(&c, 2);
    (void)cur_take(&c, 13); /* file, where its name stands in the text, how duplicates are treated */
    q.status_vars = cur_take(&c, vars_n);
    q.schema = cur_take(&c, schema_n);
    (void)cur_u8(&c);
    q.sql = cur_take(&c, cur_left(&c));
    if (!cur_ok(&c, "EXECUTE_LOAD_QUERY", err))
        return false;
    *out = q;
    return true;
}

struct bytes statement_status_vars(const struct binlog_event *query)
{
    struct cur c = cur_over(query->body);
    (void)cur_take(&c, 11);
    size_t n = (size_t)cur_le(&c, 2);
    return cur_take(&c, n);
}

enum alter_phase statement_alter_phase(const struct binlog_event *mariadb_gtid)
{
    enum { GROUP_COMMIT = 2, XA = 0x40 | 0x80, EXTRA_START = 2, EXTRA_COMMIT = 4, EXTRA_ROLLBACK = 8 };
    struct cur c = cur_over(mariadb_gtid->body);
    (void)cur_take(&c, 12);
    uint8_t flags = cur_u8(&c);
    if (flags & GROUP_COMMIT)
        (void)cur_take(&c, 8);
    if (flags & XA) {
        (void)cur_take(&c, 4);
        size_t n = cur_u8(&c);
        n += cur_u8(&c);
        (void)cur_take(&c, n);
    }
    uint8_t extra = cur_left(&c) == 0 ? 0 : cur_u8(&c);
    return extra & EXTRA_START      ? ALTER_START
           : extra & EXTRA_COMMIT   ? ALTER_COMMIT
           : extra & EXTRA_ROLLBACK ? ALTER_ROLLBACK
                                    : ALTER_WHOLE;
}
