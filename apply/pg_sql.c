/* pg_sql.c - see pg_sql.h. Shapes of the statements: design.md, "Apply"; PostgreSQL manual, "INSERT", "UPDATE",
 * "DELETE".
 *
 * Set-returning functions in one select list walk their arrays side by side and in order. They stand in a subselect's list, not in
 * FROM, because a function in FROM first writes all of its rows to a tuplestore of its own: with ten columns that is a seventh of what an
 * update costs the server. Either way the planner assumes 10 rows whatever comes, so one generic plan (index lookups) serves every size. */
#include "pg_sql.h"

void pg_ident(struct buf *out, struct bytes name)
{
    buf_u8(out, '"');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '\0')
            continue;
        if (name.p[i] == '"')
            buf_u8(out, '"');
        buf_u8(out, name.p[i]);
    }
    buf_u8(out, '"');
}

void pg_literal(struct buf *out, struct bytes text)
{
    buf_u8(out, '\'');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\'')
            buf_u8(out, '\'');
        if (text.p[i] != '\0')
            buf_u8(out, text.p[i]);
    }
    buf_u8(out, '\'');
}

void pg_name(struct buf *out, const char *schema, const char *table)
{
    pg_ident(out, bytes_str(schema[0] == '\0' ? "public" : schema));
    buf_u8(out, '.');
    pg_ident(out, bytes_str(table));
}

static void put_table(struct buf *out, const struct pg_table *t)
{
    pg_name(out, t->schema, t->name);
}

/* One value: $n, or the n-th column of u; with its cast. */
static void put_value(struct buf *out, const struct pg_sql_col *c, bool many, unsigned n)
{
    buf_printf(out, many ? "u.c%u" : "$%u", n);
    if (c->as_text) {
        buf_str(out, "::");
        buf_str(out, c->col->cast);
    }
}

/* (SELECT unnest($1) AS c1,unnest($2) AS c2) AS u; the arrays have one length */
static void put_unnest(struct buf *out, unsigned n)
{
    for (unsigned i = 1; i <= n; i++)
        buf_printf(out, i == 1 ? "(SELECT unnest($%u) AS c%u" : ",unnest($%u) AS c%u", i, i);
    buf_str(out, ") AS u");
}

/* alias.a = $3 AND alias.b IS NULL ...; parameters from `at` on. */
static void put_where(struct buf *out, const struct pg_sql_spec *s, const char *alias, unsigned at)
{
    for (unsigned i = 0; i < s->nwhere; i++) {
        const struct pg_sql_col *w = &s->where[i];
        if (i != 0)
            buf_str(out, " AND ");
        buf_str(out, alias);
        buf_u8(out, '.');
        pg_ident(out, bytes_str(w->col->name));
        if (w->null) {
            buf_str(out, " IS NULL");
            continue;
        }
        bool text = !w->col->comparable; /* json, xml, point ...: no =, but one text per value */
        if (text)
            buf_str(out, "::pg_catalog.text");
        buf_str(out, " = "); /* IS NOT DISTINCT FROM would use no index; NULLs come as w->null, never in arrays */
        if (text)
            buf_u8(out, '(');
        put_value(out, w, s->many, at++);
        if (text)
            buf_str(out, ")::pg_catalog.text");
    }
}

static void open_check(struct buf *out, const struct pg_sql_spec *s)
{
    if (!s->many)
        buf_str(out, "WITH w AS (");
}

/* The cast of a text that is no number raises 22P02 with that text in it; it is never evaluated for exactly one row. */
static void close_check(struct buf *out, const struct pg_sql_spec *s)
{
    if (!s->many)
        buf_str(out, " RETURNING 1) SELECT CASE WHEN count(*) = 1 THEN 1 ELSE CAST('" PG_SQL_COUNT
                     "' || count(*) AS pg_catalog.int4) END FROM w");
}

/* t.ctid = (SELECT ...): a Tid Scan; ctid alone names a row of one table, not of a partitioned one. */
static void put_one_of(struct buf *out, const struct pg_sql_spec *s, unsigned at)
{
    bool parts = s->table->kind == 'p';
    buf_str(out, parts ? "(t.tableoid, t.ctid) = (SELECT x.tableoid, x.ctid FROM " : "t.ctid = (SELECT x.ctid FROM ");
    put_table(out, s->table);
    buf_str(out, " AS x WHERE ");
    put_where(out, s, "x", at);
    buf_str(out, " LIMIT 1)");
}

void pg_sql_insert(struct buf *out, const struct pg_sql_spec *s)
{
    buf_str(out, "INSERT INTO ");
    put_table(out, s->table);
    if (s->nset == 0) {
        buf_str(out, " DEFAULT VALUES");
        return;
    }
    buf_str(out, " (");
    for (unsigned i = 0; i < s->nset; i++) {
        if (i != 0)
            buf_u8(out, ',');
        pg_ident(out, bytes_str(s->set[i].col->name));
    }
    buf_str(out, s->many ? ") OVERRIDING SYSTEM VALUE SELECT " : ") OVERRIDING SYSTEM VALUE VALUES (");
    for (unsigned i = 0; i < s->nset; i++) {
        if (i != 0)
            buf_u8(out, ',');
        put_value(out, &s->set[i], s->many, i + 1);
    }
    if (!s->many) {
        buf_u8(out, ')');
        return;
    }
    buf_str(out, " FROM ");
    put_unnest(out, s->nset);
}

void pg_sql_copy(struct buf *out, const struct pg_sql_spec *s)
{
    buf_str(out, "COPY ");
    put_table(out, s->table);
    for (unsigned i = 0; i < s->nset; i++) {
        buf_str(out, i == 0 ? " (" : ",");
        pg_ident(out, bytes_str(s->set[i].col->name));
    }
    buf_str(out, ") FROM STDIN (FORMAT binary)");
}

void pg_sql_update(struct buf *out, const struct pg_sql_spec *s)
{
    open_check(out, s);
    buf_str(out, "UPDATE ");
    put_table(out, s->table);
    buf_str(out, " AS t SET ");
    for (unsigned i = 0; i < s->nset; i++) {
        if (i != 0)
            buf_str(out, ", ");
        pg_ident(out, bytes_str(s->set[i].col->name));
        buf_str(out, " = ");
        put_value(out, &s->set[i], s->many, i + 1);
    }
    if (s->nset == 0) { /* nothing to write, but the row must be there */
        pg_ident(out, bytes_str(s->where[0].col->name));
        buf_str(out, " = t.");
        pg_ident(out, bytes_str(s->where[0].col->name));
    }
    if (s->many) {
        buf_str(out, " FROM ");
        put_unnest(out, s->nset + s->nwhere);
    }
    buf_str(out, " WHERE ");
    if (s->whole_row)
        put_one_of(out, s, s->nset + 1);
    else
        put_where(out, s, "t", s->nset + 1);
    close_check(out, s);
}

void pg_sql_delete(struct buf *out, const struct pg_sql_spec *s)
{
    open_check(out, s);
    buf_str(out, "DELETE FROM ");
    put_table(out, s->table);
    buf_str(out, " AS t ");
    if (s->many && s->nwhere == 1 && s->where[0].col->comparable && !s->where[0].as_text) {
        buf_str(out, "WHERE t.");
        pg_ident(out, bytes_str(s->where[0].col->name));
        buf_str(out, " = ANY($1)");
        return;
    }
    if (s->many) {
        buf_str(out, "USING ");
        put_unnest(out, s->nwhere);
        buf_u8(out, ' ');
    }
    buf_str(out, "WHERE ");
    if (s->whole_row)
        put_one_of(out, s, 1);
    else
        put_where(out, s, "t", 1);
    close_check(out, s);
}

/* fillfactor leaves room for the versions of a row that changes with every commit (HOT updates). */
const char pg_sql_progress[] =
    "CREATE TABLE IF NOT EXISTS rowtide.progress (slot uuid, subscription text, epoch bigint NOT NULL, lsn bigint NOT "
    "NULL, "
    "gtid text NOT NULL, file text NOT NULL, pos bigint NOT NULL, commit_ts timestamptz, changes bigint NOT NULL, "
    "transactions bigint NOT NULL, script_hash text NOT NULL, applied_at timestamptz, PRIMARY KEY (slot, "
    "subscription)) "
    "WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0)";
const char pg_sql_dead_letter[] =
    "CREATE TABLE IF NOT EXISTS rowtide.dead_letter (id bigserial PRIMARY KEY, slot uuid NOT NULL, subscription text "
    "NOT NULL, "
    "lsn bigint NOT NULL, seq integer NOT NULL, op text NOT NULL, schema text NOT NULL, \"table\" text NOT NULL, key "
    "jsonb, "
    "old jsonb, new jsonb, error text NOT NULL, sqlstate text, at timestamptz NOT NULL DEFAULT now())";

#define PROGRESS_COLUMNS                                                                                               \
    "p.epoch, p.lsn, p.gtid, p.file, p.pos, (extract(epoch from p.commit_ts) * 1000000)::pg_catalog.int8, p.changes, " \
    "p.transactions, "
const char pg_sql_other_slot[] =
    "SELECT slot, lsn FROM rowtide.progress o WHERE subscription = $2 AND slot <> $1 AND NOT EXISTS "
    "(SELECT 1 FROM rowtide.progress m WHERE m.slot = $1 AND m.subscription = $2) ORDER BY applied_at DESC LIMIT 1";

const char pg_sql_attach[] =
    "WITH before AS (SELECT script_hash FROM rowtide.progress WHERE slot = $1::pg_catalog.uuid AND subscription = $2) "
    "INSERT INTO rowtide.progress AS p (slot, subscription, epoch, lsn, gtid, file, pos, changes, transactions, "
    "script_hash) "
    "VALUES ($1::pg_catalog.uuid, $2, 1, 0, '', '', 0, 0, 0, $3) ON CONFLICT (slot, subscription) DO UPDATE SET "
    "epoch = p.epoch + 1, script_hash = excluded.script_hash RETURNING " PROGRESS_COLUMNS
    "coalesce((SELECT b.script_hash FROM before AS b), '')";
const char pg_sql_read[] = "SELECT " PROGRESS_COLUMNS "p.script_hash FROM rowtide.progress AS p "
                           "WHERE p.slot = $1::pg_catalog.uuid AND p.subscription = $2";
const char pg_sql_settle[] =
    "UPDATE rowtide.progress AS p SET applied_at = p.applied_at WHERE p.slot = $1::pg_catalog.uuid AND "
    "p.subscription = $2 AND p.epoch = $3::pg_catalog.int8 RETURNING 1";
const char pg_sql_advance[] =
    "WITH w AS (UPDATE rowtide.progress AS p SET lsn = $4::pg_catalog.int8, gtid = $5, file = $6, pos = "
    "$7::pg_catalog.int8, "
    "commit_ts = '1970-01-01 00:00:00+00'::pg_catalog.timestamptz + $8::pg_catalog.int8 * '1 "
    "microsecond'::pg_catalog.interval, "
    "changes = p.changes + $9::pg_catalog.int8, transactions = p.transactions + $10::pg_catalog.int8, "
    "applied_at = pg_catalog.clock_timestamp() WHERE p.slot = $1::pg_catalog.uuid AND p.subscription = $2 AND "
    "p.epoch = $3::pg_catalog.int8 AND p.lsn < $4::pg_catalog.int8 RETURNING 1) SELECT CASE WHEN count(*) = 1 THEN 1 "
    "ELSE "
    "CAST('" PG_SQL_COUNT "' || count(*) AS pg_catalog.int4) END FROM w";
const char pg_sql_dead[] =
    "INSERT INTO rowtide.dead_letter (slot, subscription, lsn, seq, op, schema, \"table\", key, old, new, error, "
    "sqlstate) VALUES "
    "($1::pg_catalog.uuid, $2, $3::pg_catalog.int8, $4::pg_catalog.int4, $5, $6, $7, $8::pg_catalog.jsonb, "
    "$9::pg_catalog.jsonb, $10::pg_catalog.jsonb, $11, $12)";
