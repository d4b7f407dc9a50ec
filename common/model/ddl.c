/* ddl.c - statements and the clauses of ALTER TABLE. See ddl.h.
 *
 * Syntax: MySQL 5.6 to 9.x and MariaDB 10.x to 11.x reference manuals, chapters "Data Definition Statements". Of each clause only
 * the first words are read, and the column definition where there is one; the rest is skipped to the next comma outside
 * parentheses. Judgements worth knowing:
 *   - temporary tables never matter: CREATE / DROP TEMPORARY TABLE are DDL_OTHER
 *   - partition operations end the statement (their commas separate partitions, not clauses)
 *   - ALTER IGNORE TABLE ... ADD UNIQUE / PRIMARY KEY deletes rows, ENGINE = BLACKHOLE loses them: DDL_C_ROWS
 *   - SELECT, DO and CALL stand in a binlog only where they ran a function that changed data: DDL_DML without a table
 *   - DML names its table only where a single one is written to for sure; none means "could be any" */
#include "ddl_inside.h"

static void add_table(struct parser *p, struct ddl *d, struct ddl_table t)
{
    d->tables = grow(p, d->tables, d->ntables, sizeof *d->tables);
    if (d->tables == NULL)
        d->ntables = 0;
    else
        d->tables[d->ntables++] = t;
}

static struct ddl_clause *add_clause(struct parser *p, struct ddl *d, enum ddl_clause_kind kind)
{
    d->clauses = grow(p, d->clauses, d->nclauses, sizeof *d->clauses);
    if (d->clauses == NULL) {
        d->nclauses = 0;
        p->spare = (struct ddl_clause){ .kind = kind };
        return &p->spare;
    }
    struct ddl_clause *c = &d->clauses[d->nclauses++];
    *c = (struct ddl_clause){ .kind = kind };
    return c;
}

/* [schema .] table, or ".table" */
static bool take_table(struct parser *p, struct ddl_table *out)
{
    struct ddl_table t = { .schema = { NULL, 0 } };
    bool leading_dot = take_char(p, '.');
    if (!at_name(p))
        return false;
    t.table = take_name(p);
    if (!leading_dot && take_char(p, '.')) {
        t.schema = t.table;
        t.table = take_name(p);
    } else {
        t.schema = keep(p, p->ctx->default_schema);
    }
    *out = t;
    return t.table.n != 0;
}

/* "a, b": tables until there is no comma. */
static void take_tables(struct parser *p, struct ddl *d)
{
    struct ddl_table t;
    while (!p->failed && take_table(p, &t)) {
        add_table(p, d, t);
        if (!take_char(p, ','))
            break;
    }
}

static void skip_wait(struct parser *p) /* MariaDB: WAIT n, NOWAIT */
{
    if (take(p, "WAIT"))
        step(p);
    else
        take(p, "NOWAIT");
}

/* ---- ALTER TABLE ---- */

static const char index_words[] = "INDEX KEY FULLTEXT SPATIAL UNIQUE PRIMARY FOREIGN CONSTRAINT CHECK PERIOD";

static void skip_rest(struct parser *p)
{
    while (p->t.kind != TOK_END)
        step(p);
}

/* One column, or an index between columns in parentheses. */
static void take_added(struct parser *p, struct ddl *d, bool if_not_exists, bool ignore)
{
    bool key = tok_in(p->t, "UNIQUE PRIMARY CONSTRAINT");
    struct tok next = look(p);
    if (tok_in(p->t, index_words) || (at(p, "VECTOR") && tok_in(next, "INDEX KEY"))) {
        bool column = at(p, "PERIOD") && !tok_is(next, "FOR"); /* not reserved: a column may be called so */
        if (!column) {
            add_clause(p, d, key && ignore ? DDL_C_ROWS : DDL_C_HARMLESS);
            skip_item(p);
            return;
        }
    }
    if (!at_name(p)) {
        add_clause(p, d, DDL_C_UNKNOWN);
        skip_item(p);
        return;
    }
    struct ddl_clause *c = add_clause(p, d, DDL_C_ADD_COLUMN);
    c->if_not_exists = if_not_exists;
    c->name = take_name(p);
    c->column.name = c->name;
    parse_column_definition(p, c);
    skip_item(p);
}

static void clause_add(struct parser *p, struct ddl *d, bool ignore)
{
    if (at(p, "PARTITION")) {
        add_clause(p, d, DDL_C_HARMLESS);
        skip_rest(p);
        return;
    }
    if (at(p, "SYSTEM") && tok_is(look(p), "VERSIONING")) {
        add_clause(p, d, DDL_C_UNKNOWN);
        skip_item(p);
        return;
    }
    take(p, "COLUMN");
    bool if_not_exists = take_if_not_exists(p);
    if (!take_char(p, '(')) {
        take_added(p, d, if_not_exists, ignore);
        return;
    }
    do
        take_added(p, d, if_not_exists, ignore);
    while (!p->failed && take_char(p, ','));
    take_char(p, ')');
    skip_item(p);
}

static void clause_drop(struct parser *p, struct ddl *d)
{
    if (at(p, "PARTITION")) {
        add_clause(p, d, DDL_C_ROWS);
        skip_rest(p);
        return;
    }
    struct tok next = look(p);
    if (tok_in(p->t, "INDEX KEY PRIMARY FOREIGN CONSTRAINT CHECK") || (at(p, "PERIOD") && tok_is(next, "FOR"))) {
        add_clause(p, d, DDL_C_HARMLESS);
        skip_item(p);
        return;
    }
    if (at(p, "SYSTEM") && tok_is(next, "VERSIONING")) {
        add_clause(p, d, DDL_C_UNKNOWN);
        skip_item(p);
        return;
    }
    take(p, "COLUMN");
    take_if_exists(p);
    struct ddl_clause *c = add_clause(p, d, at_name(p) ? DDL_C_DROP_COLUMN : DDL_C_UNKNOWN);
    c->name = take_name(p);
    skip_item(p);
}

static void clause_change(struct parser *p, struct ddl *d, bool renames)
{
    take(p, "COLUMN");
    take_if_exists(p);
    struct ddl_clause *c = add_clause(p, d, at_name(p) ? DDL_C_CHANGE_COLUMN : DDL_C_UNKNOWN);
    c->name = take_name(p);
    c->column.name = c->name;
    if (renames) {
        c->new_name = take_name(p);
        c->column.name = c->new_name;
    }
    parse_column_definition(p, c);
    skip_item(p);
}

static void clause_rename(struct parser *p, struct ddl *d)
{
    if (take(p, "COLUMN")) {
        take_if_exists(p);
        struct ddl_clause *c = add_clause(p, d, at_name(p) ? DDL_C_CHANGE_COLUMN : DDL_C_UNKNOWN);
        c->name = take_name(p);
        take(p, "TO");
        c->new_name = take_name(p);
    } else if (at(p, "INDEX") || at(p, "KEY")) {
        add_clause(p, d, DDL_C_HARMLESS);
    } else {
        struct ddl_table to;
        if (!take(p, "TO") && !take(p, "AS"))
            take_char(p, '=');
        bool ok = take_table(p, &to);
        struct ddl_clause *c = add_clause(p, d, ok ? DDL_C_RENAME_TABLE : DDL_C_UNKNOWN);
        if (ok) {
            c->to = to;
            c->new_name = to.table;
        }
    }
    skip_item(p);
}

/* EXCHANGE PARTITION p WITH TABLE t; MariaDB: CONVERT PARTITION p TO TABLE t, CONVERT TABLE t TO PARTITION p. */
static void clause_rows(struct parser *p, struct ddl *d)
{
    struct ddl_clause *c = add_clause(p, d, DDL_C_ROWS);
    while (p->t.kind != TOK_END && !at(p, "TABLE"))
        step(p);
    if (take(p, "TABLE"))
        (void)take_table(p, &c->to);
    skip_rest(p);
}

static void clause_convert(struct parser *p, struct ddl *d)
{
    if (tok_in(p->t, "PARTITION TABLE")) {
        clause_rows(p, d);
        return;
    }
    add_clause(p, d, DDL_C_ROWS);
    skip_item(p);
}

/* ORDER BY a, b DESC: the columns behind the first look like clauses. */
static void clause_order(struct parser *p, struct ddl *d)
{
    add_clause(p, d, DDL_C_HARMLESS);
    skip_item(p);
    while (at_char(p, ',')) {
        struct parser ahead = *p;
        step(&ahead);
        if (!at_name(&ahead))
            return;
        step(&ahead);
        while (at_char(&ahead, '.')) {
            step(&ahead);
            step(&ahead);
        }
        if (tok_in(ahead.t, "ASC DESC"))
            step(&ahead);
        if (ahead.t.kind != TOK_END && !at_char(&ahead, ','))
            return;
        *p = ahead;
    }
}

static const char partition_words[] = "ANALYZE CHECK OPTIMIZE REBUILD REORGANIZE REPAIR COALESCE";
static const char harmless_words[] =
    "ALTER ENABLE DISABLE FORCE ALGORITHM LOCK WITH WITHOUT VALIDATION WAIT NOWAIT REMOVE UPGRADE AUTO_INCREMENT "
    "COMMENT "
    "ROW_FORMAT DEFAULT CHARACTER CHARSET CHAR COLLATE KEY_BLOCK_SIZE MAX_ROWS MIN_ROWS AVG_ROW_LENGTH CHECKSUM "
    "TABLE_CHECKSUM PASSWORD DELAY_KEY_WRITE UNION INSERT_METHOD DATA INDEX STATS_PERSISTENT STATS_AUTO_RECALC "
    "STATS_SAMPLE_PAGES PACK_KEYS COMPRESSION ENCRYPTION CONNECTION TABLESPACE STORAGE SECONDARY_ENGINE "
    "SECONDARY_LOAD SECONDARY_UNLOAD AUTOEXTEND_SIZE ENGINE_ATTRIBUTE SECONDARY_ENGINE_ATTRIBUTE PAGE_COMPRESSED "
    "PAGE_COMPRESSION_LEVEL PAGE_CHECKSUM TRANSACTIONAL ENCRYPTED ENCRYPTION_KEY_ID IETF_QUOTES NODEGROUP";

static void clause_engine(struct parser *p, struct ddl *d)
{
    take_char(p, '=');
    bool loses = at(p, "BLACKHOLE");
    if (p->t.kind == TOK_QUOTED || p->t.kind == TOK_STRING) {
        struct bytes name = p->t.kind == TOK_QUOTED ? take_name(p) : take_string(p);
        loses = tok_is((struct tok){ TOK_WORD, name }, "BLACKHOLE");
    }
    add_clause(p, d, loses ? DDL_C_ROWS : DDL_C_HARMLESS);
    skip_item(p);
}

static void take_clause(struct parser *p, struct ddl *d, bool ignore)
{
    bool partition_next = tok_is(look(p), "PARTITION");
    if (take(p, "ADD")) {
        clause_add(p, d, ignore);
    } else if (take(p, "DROP")) {
        clause_drop(p, d);
    } else if (take(p, "MODIFY")) {
        clause_change(p, d, false);
    } else if (take(p, "CHANGE")) {
        clause_change(p, d, true);
    } else if (take(p, "RENAME")) {
        clause_rename(p, d);
    } else if (take(p, "CONVERT")) {
        clause_convert(p, d);
    } else if (take(p, "ORDER")) {
        clause_order(p, d);
    } else if (take(p, "ENGINE") || take(p, "TYPE")) {
        clause_engine(p, d);
    } else if (tok_in(p->t, "TRUNCATE EXCHANGE DISCARD IMPORT")) {
        clause_rows(p, d);
    } else if (at(p, "PARTITION") || (tok_in(p->t, partition_words) && partition_next)) {
        add_clause(p, d, DDL_C_HARMLESS);
        skip_rest(p);
    } else {
        bool versioning = at(p, "WITH") && tok_is(look(p), "SYSTEM");
        add_clause(p, d, tok_in(p->t, harmless_words) && !versioning ? DDL_C_HARMLESS : DDL_C_UNKNOWN);
        skip_item(p);
    }
}

static const char catalog_words[] = "DATABASE SCHEMA SEQUENCE";

static void alter(struct parser *p, struct ddl *d)
{
    struct ddl_table t;
    d->catalog = tok_in(p->t, catalog_words);
    if (!take(p, "ONLINE"))
        take(p, "OFFLINE");
    bool ignore = take(p, "IGNORE");
    if (!take(p, "TABLE"))
        return;
    d->if_exists = take_if_exists(p);
    if (!take_table(p, &t))
        return;
    d->kind = DDL_ALTER_TABLE;
    add_table(p, d, t);
    skip_wait(p);
    while (p->t.kind != TOK_END && !p->failed) {
        take_clause(p, d, ignore);
        if (!take_char(p, ',') && p->t.kind != TOK_END)
            step(p); /* a parenthesis without partner: not ours to judge, but to get past */
    }
}

/* ---- the other statements ---- */

/* Behind the table's name: is it filled from a query? */
static bool has_select(struct parser *p)
{
    while (p->t.kind != TOK_END) {
        if (at(p, "LIKE"))
            return false;
        if (tok_in(p->t, "SELECT VALUES TABLE"))
            return true;
        if (!at_char(p, '(')) {
            step(p);
            continue;
        }
        struct parser inner = *p; /* "(SELECT ..." or "((SELECT ..." against "(a int ..." */
        while (at_char(&inner, '('))
            step(&inner);
        if (tok_in(inner.t, "SELECT VALUES TABLE WITH"))
            return true;
        if (at(&inner, "LIKE"))
            return false;
        skip_parens(p);
    }
    return false;
}

static void create(struct parser *p, struct ddl *d)
{
    struct ddl_table t;
    bool replaces = take(p, "OR") && take(p, "REPLACE");
    d->catalog = tok_in(p->t, catalog_words);
    if (take(p, "TABLE")) {
        d->replaces = replaces;
        take_if_not_exists(p);
        if (!take_table(p, &t))
            return;
        d->kind = DDL_CREATE_TABLE;
        add_table(p, d, t);
        d->as_select = has_select(p);
        return;
    }
    while (tok_in(p->t, "ONLINE OFFLINE UNIQUE FULLTEXT SPATIAL VECTOR"))
        step(p);
    if (!take(p, "INDEX"))
        return;
    take_if_not_exists(p);
    while (p->t.kind != TOK_END && !at(p, "ON")) /* name, USING BTREE */
        step(p);
    if (take(p, "ON") && take_table(p, &t)) {
        d->kind = DDL_CREATE_INDEX;
        add_table(p, d, t);
    }
}

static void drop(struct parser *p, struct ddl *d)
{
    struct ddl_table t;
    d->catalog = at(p, "SEQUENCE");
    if (take(p, "TABLE") || take(p, "TABLES")) {
        d->if_exists = take_if_exists(p);
        d->kind = DDL_DROP_TABLE;
        take_tables(p, d);
    } else if (take(p, "DATABASE") || take(p, "SCHEMA")) {
        d->if_exists = take_if_exists(p);
        if (!at_name(p))
            return;
        d->kind = DDL_DROP_DATABASE;
        add_table(p, d, (struct ddl_table){ .schema = take_name(p) });
    } else {
        if (!take(p, "ONLINE"))
            take(p, "OFFLINE");
        if (!take(p, "INDEX"))
            return;
        d->if_exists = take_if_exists(p);
        take_name(p);
        if (take(p, "ON") && take_table(p, &t)) {
            d->kind = DDL_DROP_INDEX;
            add_table(p, d, t);
        }
    }
}

static void rename_tables(struct parser *p, struct ddl *d)
{
    struct ddl_table from, to;
    if (!take(p, "TABLE") && !take(p, "TABLES"))
        return;
    d->kind = DDL_RENAME_TABLE;
    d->if_exists = take_if_exists(p);
    do {
        if (!take_table(p, &from))
            return;
        skip_wait(p);
        if (!take(p, "TO") || !take_table(p, &to))
            return;
        add_table(p, d, from);
        add_table(p, d, to);
    } while (!p->failed && take_char(p, ','));
}

static void truncate_table(struct parser *p, struct ddl *d)
{
    struct ddl_table t;
    take(p, "TABLE");
    if (!take_table(p, &t))
        return;
    d->kind = DDL_TRUNCATE;
    add_table(p, d, t);
}

/* [PARTITION (..)] [[AS] alias], then nothing that would join a second table. */
static bool stays_single(struct parser *p)
{
    if (take(p, "PARTITION") && at_char(p, '('))
        skip_parens(p);
    if (take(p, "FOR")) { /* MariaDB: FOR PORTION OF period FROM a TO b */
        while (p->t.kind != TOK_END && !at(p, "SET") && !at(p, "WHERE"))
            step(p);
    }
    bool alias = take(p, "AS");
    if (at_name(p) && (alias || !tok_in(p->t, "SET WHERE ORDER LIMIT RETURNING JOIN INNER CROSS LEFT RIGHT NATURAL "
                                              "STRAIGHT_JOIN USING USE FORCE IGNORE")))
        step(p);
    return p->t.kind == TOK_END || tok_in(p->t, "SET WHERE ORDER LIMIT RETURNING");
}

static const char row_words[] = "INSERT UPDATE DELETE REPLACE LOAD SELECT DO CALL WITH";

static void change_rows(struct parser *p, struct ddl *d)
{
    struct ddl_table t;
    d->kind = DDL_DML;
    bool update = at(p, "UPDATE"), delete = at(p, "DELETE");
    bool load = at(p, "LOAD");
    if (tok_in(p->t, "SELECT DO CALL WITH"))
        return;
    step(p);
    while (load && p->t.kind != TOK_END && !(at(p, "INTO") && tok_is(look(p), "TABLE")))
        step(p);
    while (tok_in(p->t, "LOW_PRIORITY DELAYED HIGH_PRIORITY QUICK IGNORE"))
        step(p);
    if (delete &&!at(p, "FROM"))
        return; /* DELETE a, b FROM ...: several tables */
    take(p, delete ? "FROM" : "INTO");
    if (load)
        take(p, "TABLE");
    if (take_table(p, &t) && ((!update && !delete) || stays_single(p)))
        add_table(p, d, t);
}

static bool is_transaction(const struct parser *p)
{
    if (at(p, "START"))
        return tok_is(look(p), "TRANSACTION");
    if (at(p, "RELEASE"))
        return tok_is(look(p), "SAVEPOINT");
    return tok_in(p->t, "BEGIN COMMIT ROLLBACK SAVEPOINT XA");
}

/* MariaDB: SET STATEMENT a=1, b=2 FOR <statement> */
static void skip_set_statement(struct parser *p)
{
    while (at(p, "SET") && tok_is(look(p), "STATEMENT")) {
        while (p->t.kind != TOK_END && !at(p, "FOR")) {
            if (at_char(p, '('))
                skip_parens(p);
            else
                step(p);
        }
        take(p, "FOR");
    }
}

/* ANALYZE UPDATE ...: MariaDB carries out what it explains. */
static void skip_explain(struct parser *p)
{
    struct parser ahead = *p;
    while (tok_in(ahead.t, "EXPLAIN DESCRIBE DESC ANALYZE"))
        step(&ahead);
    if (take(&ahead, "FORMAT")) {
        take_char(&ahead, '=');
        step(&ahead);
    }
    if (tok_in(ahead.t, row_words))
        *p = ahead;
}

bool ddl_parse(struct bytes sql, const struct ddl_context *ctx, struct arena *a, struct ddl *out, struct err *err)
{
    struct parser p = { .lx = lex_over(sql, ctx), .ctx = ctx, .arena = a, .err = err };
    struct ddl d = { .kind = DDL_OTHER };
    step(&p);
    skip_set_statement(&p);
    skip_explain(&p);
    if (is_transaction(&p))
        d.kind = DDL_TRANSACTION;
    else if (tok_in(p.t, row_words))
        change_rows(&p, &d);
    else if (take(&p, "ALTER"))
        alter(&p, &d);
    else if (take(&p, "CREATE"))
        create(&p, &d);
    else if (take(&p, "DROP"))
        drop(&p, &d);
    else if (take(&p, "RENAME"))
        rename_tables(&p, &d);
    else if (take(&p, "TRUNCATE"))
        truncate_table(&p, &d);
    if (p.failed)
        return false;
    *out = d;
    return true;
}
