/* binlog_query.c - statements in the binlog: transaction words, DDL, and row changes in statement format. See
 * binlog_stream.h; what a text means is decided in binlog_statement.c and ddl.c. Both servers' texts were seen on
 * MySQL 9.7 and MariaDB 10.11. */
#include "binlog_stream_inside.h"

#include "charset.h"
#include "schema_statement.h"
#include "slog.h"

/* BEGIN, COMMIT, SAVEPOINT, XA ...: what both servers write around row events. */
static enum stream_step on_word(struct binlog_stream *s, const struct binlog_event *e, struct bytes sql,
                                enum stmt_word word, struct bytes name, struct frame_builder *b, size_t frame_size,
                                struct err *err)
{
    bool open = s->state == TXN_OPEN;
    switch (word) {
    case WORD_BEGIN:
    case WORD_XA_START:
        if (open)
            return stream_misplaced(s, word == WORD_BEGIN ? "BEGIN" : "XA START", err);
        s->state = TXN_OPEN;
        return word == WORD_BEGIN || xa_begin(s, err) ? STREAM_INSIDE : stream_fail(s, err);
    case WORD_COMMIT:
        return s->state == TXN_NONE ? stream_misplaced(s, "COMMIT", err) : txn_commit(s, e->when, b, err);
    case WORD_ROLLBACK:
        return txn_roll_back(s, err);
    case WORD_SAVEPOINT:
        return !open || savepoint_set(s, name, b, err) ? STREAM_INSIDE : stream_fail(s, err);
    case WORD_ROLLBACK_TO:
        return savepoint_go_back(s, sql, name, b, err);
    case WORD_RELEASE:
        return STREAM_INSIDE;
    case WORD_XA_END: /* XA_PREPARE follows */
        return open ? STREAM_INSIDE : stream_misplaced(s, "XA END", err);
    case WORD_XA_COMMIT:
        return xa_commit(s, e->when, name, b, frame_size, err);
    case WORD_XA_ROLLBACK:
        return xa_roll_back(s, name, err);
    case WORD_XA_OTHER:
    case WORD_OTHER:
        break;
    }
    err_set(err, ERR_UNSUPPORTED, "statement \"%.*s\" is not known", (int)(sql.n < 200 ? sql.n : 200),
            (const char *)sql.p);
    return stream_fail(s, err);
}

static bool any_captured(const struct binlog_stream *s, const struct ddl *d)
{
    if (d->kind == DDL_DROP_DATABASE)
        return d->ntables > 0 && pattern_match_schema(s->o.tables, d->tables[0].schema);
    for (unsigned i = 0; i < d->ntables; i++) {
        if (pattern_match(s->o.tables, d->tables[i].schema, d->tables[i].table))
            return true;
    }
    for (unsigned i = 0; i < d->nclauses; i++) {
        const struct ddl_table *to =
            &d->clauses[i].to; /* the new name, or the table that a partition is exchanged with */
        if (to->table.n != 0 && pattern_match(s->o.tables, to->schema, to->table))
            return true;
    }
    return false;
}

/* Statement-format changes: harmless, or the end. */
static bool check_dml(struct binlog_stream *s, const struct stmt_dml *m, struct err *err)
{
    if (!statement_may_touch(m, s->o.tables))
        return true;
    return err_set(
        err, ERR_UNSUPPORTED,
        "a captured table was, or may have been, changed in statement format (binlog_format is settable per "
        "session): \"%.*s\" in schema %.*s. The rows are not in the binlog; set binlog_format = ROW for that "
        "session, then start a new slot from a fresh copy of the tables",
        (int)(m->sql.n < 200 ? m->sql.n : 200), (const char *)m->sql.p, BYTES_FMT(m->schema));
}

/* The text as UTF-8: identifiers are compared with TABLE_MAP's, and records hold UTF-8. What is not valid in its own
 * character set stays as it is (*valid false): in a change of rows that is normal. */
static bool to_utf8(struct binlog_stream *s, const struct ev_query *q, struct bytes *out, bool *valid, struct err *err)
{
    *out = q->sql;
    *valid = true;
    size_t i = 0;
    while (i < q->sql.n && q->sql.p[i] < 0x80) /* no client character set is other than ASCII there */
        i++;
    if (i == q->sql.n)
        return true;
    const struct charset *cs = charset_of_collation(q->client_collation);
    if (cs == NULL || cs->binary) {
        *valid = charset_utf8_valid(q->sql) == q->sql.n;
        return true;
    }
    *valid = charset_to_utf8(cs, q->sql, s->arena, out, err);
    if (*valid)
        return true;
    *out = q->sql;
    return err->code != ERR_NOMEM;
}

static bool add_ddl(struct binlog_stream *s, const struct binlog_event *e, const struct ev_query *q, struct bytes sql,
                    const struct ddl *d, struct frame_builder *b, struct err *err)
{
    struct rec_ddl r = { .schema = q->schema, .sql = sql, .kind = (uint8_t)d->kind };
    r.sql_flags = (uint8_t)((q->sql_mode & 4 ? 1 : 0) | (q->sql_mode & (1u << 20) ? 2 : 0));
    if (!txn_begin(s, b, e->when, err))
        return false;
    s->stats.ddl++;
    s->changes++;
    if (d->kind == DDL_TRUNCATE && d->ntables == 1) {
        r.t_schema = d->tables[0].schema;
        r.t_table = d->tables[0].table;
        return frame_add_ddl(b, REC_TRUNCATE, &r, err);
    }
    return frame_add_ddl(b, REC_DDL, &r, err);
}

/* Why DDL on a captured table cannot be taken, or NULL. */
static const char *ddl_refusal(const struct binlog_stream *s, const struct ev_query *q, const struct ddl *d, bool valid)
{
    if (q->error_code != 0 && d->kind != DDL_DROP_TABLE)
        return "ended with an error at the source and may be half done";
    if (s->state == TXN_OPEN && (s->xa || d->kind != DDL_CREATE_TABLE))
        return "stands inside a transaction, which no server that is supported writes";
    if (!valid)
        return "is not valid text in its session's character set";
    if (d->as_select) /* in row format the source logs the columns, and then the rows as events */
        return "was logged in statement format: the rows that it inserted are not in the binlog";
    return NULL;
}

/* The i-th change of a table's name in d. False: there are no more. */
static bool rename_at(const struct ddl *d, unsigned i, struct ddl_table *from, struct ddl_table *to)
{
    if (d->kind == DDL_RENAME_TABLE && i < d->ntables / 2) {
        *from = d->tables[2 * i];
        *to = d->tables[2 * i + 1];
        return true;
    }
    for (unsigned k = 0; d->kind == DDL_ALTER_TABLE && k < d->nclauses; k++) {
        if (d->clauses[k].kind == DDL_C_RENAME_TABLE && i-- == 0) {
            *from = d->tables[0];
            *to = d->clauses[k].to;
            return true;
        }
    }
    return false;
}

static void full_name(struct ddl_table t, struct buf *out)
{
    buf_reset(out);
    buf_printf(out, "%.*s.%.*s", BYTES_FMT(t.schema), BYTES_FMT(t.table));
}

static void log_renamed_in(struct binlog_stream *s, bool switched, const char *name, const char *was)
{
    static const char lost[] =
        "the rows that it has by now are not in the slot, only what changes from here on: copy them to the "
        "destinations by hand, or begin a new slot from a fresh copy of the tables. Where a table is filled before it "
        "is renamed, capture its first name, too (--tables)";
    static const char same[] = "the table that had this name went away under another one; what only the new one held "
                               "by now is not in the slot: "
                               "nothing, after gh-ost or pt-online-schema-change";
    struct buf gtid = { 0 };
    gtid_text(&s->gtid.gtid, &gtid);
    slog(switched ? SLOG_INFO : SLOG_WARN, switched ? "table_switched" : "renamed_in", kv_s("table", name),
         kv_s("was", was), kv_s("file", s->file), kv_u("offset", s->event_at), kv_s("gtid", buf_cstr(&gtid)),
         kv_s("note", switched ? same : lost));
    buf_free(&gtid);
}

/* A table that comes from a name that is not captured to one that is brings rows that are not in the log, nor will be. Where
 * the captured table made way for it, in this statement or the last one on a captured table, it is a copy of that, as far as anybody can say:
 * so do tools that alter a table online. */
static void note_renames(struct binlog_stream *s, const struct ddl *d)
{
    const struct pattern *tables = s->o.tables;
    struct ddl_table from, to, other, ignored;
    struct buf name = { 0 }, was = { 0 };
    for (unsigned i = 0; rename_at(d, i, &from, &to); i++) {
        if (pattern_match(tables, from.schema, from.table) || !pattern_match(tables, to.schema, to.table))
            continue;
        full_name(to, &name);
        full_name(from, &was);
        bool switched = s->renamed_away.n != 0 && bytes_eq(buf_view(&name), buf_view(&s->renamed_away));
        for (unsigned k = 0; !switched && rename_at(d, k, &other, &ignored); k++)
            switched = bytes_eq(other.schema, to.schema) && bytes_eq(other.table, to.table);
        s->stats.renamed_in += !switched;
        log_renamed_in(s, switched, buf_cstr(&name), buf_cstr(&was));
    }
    buf_reset(&s->renamed_away);
    for (unsigned i = 0; rename_at(d, i, &from, &to); i++) {
        if (pattern_match(tables, from.schema, from.table))
            full_name(from, &s->renamed_away);
    }
    buf_free(&name);
    buf_free(&was);
}

/* Tells the schema history of DDL, on whatever table: what is not captured now may be renamed to what is. */
static bool tell_schema(struct binlog_stream *s, const struct binlog_event *e, const struct ev_query *q,
                        struct bytes text, const struct ddl *d, bool captured, struct err *err)
{
    enum { THREAD_SPECIFIC = 4 }; /* event flag: the session's temporary tables matter */
    const struct schema_source *to = s->o.schema;
    struct schema_statement st = { .db = q->schema,
                                   .sql = q->sql,
                                   .text = text,
                                   .parsed = d,
                                   .error_code = q->error_code,
                                   .temporary = (e->flags & THREAD_SPECIFIC) != 0,
                                   .captured = captured };
    bool changed = false;
    if (to == NULL)
        return true;
    if (d->kind == DDL_CREATE_TABLE) /* rows follow, but not there */
        (void)statement_starts_transaction(&st.sql);
    schema_session_read(statement_status_vars(e), s->fmt.mariadb, &st.session);
    if (!to->statement(to->ctx, &st, &changed, err))
        return false;
    if (changed)
        table_defs_forget_asked(s->defs);
    return true;
}

static enum stream_step on_statement(struct binlog_stream *s, const struct binlog_event *e, const struct ev_query *q,
                                     struct frame_builder *b, struct err *err)
{
    struct ddl_context ctx = { .default_schema = q->schema,
                               .ansi_quotes = (q->sql_mode & 4) != 0,
                               .no_backslash_escapes = (q->sql_mode & (1u << 20)) != 0 };
    struct ddl d;
    struct bytes sql;
    bool valid;
    arena_reset(s->arena);
    if (!to_utf8(s, q, &sql, &valid, err) || !ddl_parse(sql, &ctx, s->arena, &d, err))
        return stream_fail(s, err);
    if (d.kind == DDL_TRANSACTION)
        return on_word(s, e, sql, WORD_OTHER, sql, b, 0, err);
    if (d.kind == DDL_DML) {
        struct stmt_dml m = { .schema = q->schema, .sql = sql, .parsed = &d };
        statement_schemas(statement_status_vars(e), s->fmt.mariadb, &m);
        if (!check_dml(s, &m, err))
            return stream_fail(s, err);
        return s->state == TXN_OPEN ? STREAM_INSIDE : txn_commit(s, e->when, b, err);
    }
    /* CREATE TABLE ... SELECT: MySQL 8.0.21 on writes BEGIN, the statement with these words at its end, rows, XID;
     * MariaDB a GTID that begins a transaction, the statement, rows, XID or COMMIT. The DDL record then stands in one
     * transaction with the rows. */
    if (d.kind == DDL_CREATE_TABLE && statement_starts_transaction(&sql) && s->state != TXN_OPEN)
        s->state = TXN_OPEN;
    bool captured = d.kind != DDL_OTHER && any_captured(s, &d);
    if (captured) {
        const char *why = ddl_refusal(s, q, &d, valid);
        if (why != NULL) {
            err_set(err, ERR_UNSUPPORTED,
                    "DDL on a captured table %s (error %u): \"%.*s\"; compare the table's definition, then start a new "
                    "slot "
                    "from a fresh copy of the tables",
                    why, q->error_code, (int)(sql.n < 200 ? sql.n : 200), (const char *)sql.p);
            return stream_fail(s, err);
        }
    }
    if (!tell_schema(s, e, q, sql, &d, captured, err))
        return stream_fail(s, err);
    if (captured) {
        if (!add_ddl(s, e, q, sql, &d, b, err))
            return stream_fail(s, err);
        note_renames(s, &d);
    }
    return s->state == TXN_OPEN ? STREAM_INSIDE : txn_commit(s, e->when, b, err);
}

/* "BEGIN" and nothing else, as MySQL begins each transaction of rows: its status variables are not looked at. */
static bool is_begin(const struct binlog_event *e, const struct binlog_format *fmt)
{
    enum { SCHEMA_LENGTH_AT = 8, VARS_LENGTH_AT = 11, POST_HEADER = 13, WORD = 5 };
    const uint8_t *p = e->body.p;
    if (e->type != EV_QUERY || e->body.n < POST_HEADER ||
        (fmt->known && (fmt->nposts < EV_QUERY || fmt->post_len[EV_QUERY - 1] != POST_HEADER)))
        return false;
    size_t nul = POST_HEADER + (p[VARS_LENGTH_AT] | (size_t)p[VARS_LENGTH_AT + 1] << 8) + p[SCHEMA_LENGTH_AT];
    return e->body.n == nul + 1 + WORD && p[nul] == 0 && memcmp(p + nul + 1, "BEGIN", WORD) == 0;
}

enum stream_step query_event(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                             size_t frame_size, struct err *err)
{
    struct ev_query q;
    struct bytes name;
    if (s->state != TXN_OPEN && s->alter == ALTER_WHOLE && is_begin(e, &s->fmt)) {
        s->state = TXN_OPEN;
        return STREAM_INSIDE;
    }
    if (!binlog_parse_query(e, &s->fmt, &s->scratch, &q, err))
        return stream_fail(s, err);
    if (s->alter == ALTER_START || s->alter == ALTER_ROLLBACK) /* not done yet, or never: the table is as it was */
        return txn_commit(s, e->when, b, err);
    enum stmt_word word = statement_word(q.sql, &name);
    return word != WORD_OTHER ? on_word(s, e, q.sql, word, name, b, frame_size, err) : on_statement(s, e, &q, b, err);
}

/* LOAD DATA in statement format. */
enum stream_step query_load(struct binlog_stream *s, const struct binlog_event *e, struct err *err)
{
    struct ev_load_query q;
    if (!statement_parse_load(e, &q, err))
        return stream_fail(s, err);
    struct ddl_context ctx = { .default_schema = q.schema };
    struct ddl d;
    arena_reset(s->arena);
    if (!ddl_parse(q.sql, &ctx, s->arena, &d, err))
        return stream_fail(s, err);
    struct stmt_dml m = { .schema = q.schema, .sql = q.sql, .parsed = &d };
    statement_schemas(q.status_vars, s->fmt.mariadb, &m);
    return check_dml(s, &m, err) ? STREAM_INSIDE : stream_fail(s, err);
}
