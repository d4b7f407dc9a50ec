/* ddl.h - what a DDL statement does to which tables: a tokenizer and the first words of each clause, not an SQL parser.
 *
 * What it cannot place is DDL_OTHER / an unknown clause, never an error: DDL on unaffected tables must not stop anything.
 * Understands both servers' quoting (backticks, ANSI_QUOTES), comments of all forms incl. executable ones ((slash-star-bang) and
 * (slash-star-M-bang) are read as code). Pure. Memory: everything in the caller's arena. */
#ifndef ROWTIDE_DDL_H
#define ROWTIDE_DDL_H

#include "arena.h"
#include "relation.h"

enum ddl_kind {                /* numbers are stored in segments */
                DDL_OTHER = 0, /* not about table rows or not understood: users, views, routines, SET ... */
                DDL_CREATE_TABLE = 1,
                DDL_ALTER_TABLE = 2,
                DDL_DROP_TABLE = 3,
                DDL_RENAME_TABLE = 4, /* RENAME TABLE a TO b, c TO d; tables holds pairs */
                DDL_TRUNCATE = 5,
                DDL_CREATE_INDEX = 6,
                DDL_DROP_INDEX = 7,
                DDL_DROP_DATABASE = 8, /* tables[0].schema */
                DDL_TRANSACTION = 9,   /* BEGIN, COMMIT, ROLLBACK, SAVEPOINT, XA ...: not DDL, told apart here */
                DDL_DML = 10           /* INSERT, UPDATE, DELETE, REPLACE, LOAD DATA: statement-format changes (I3) */
};
enum ddl_clause_kind {
    DDL_C_HARMLESS = 1, /* indexes, constraints, comments, engine, auto_increment, default changes: rows stay */
    DDL_C_ADD_COLUMN,
    DDL_C_DROP_COLUMN,
    DDL_C_CHANGE_COLUMN, /* MODIFY, CHANGE, RENAME COLUMN */
    DDL_C_RENAME_TABLE,
    DDL_C_ROWS, /* changes rows without row events: DROP/TRUNCATE/EXCHANGE PARTITION, CONVERT TO, DISCARD TABLESPACE */
    DDL_C_UNKNOWN
};
enum ddl_default {
    DDL_DEF_NONE /* nothing said */,
    DDL_DEF_NULL,
    DDL_DEF_LITERAL,
    DDL_DEF_EXPR /* not known exactly */
};
struct ddl_table {
    struct bytes schema, table; /* schema: the default one where the statement names none. UTF-8, unquoted */
};
struct ddl_clause {
    enum ddl_clause_kind kind;
    struct bytes name;     /* column; CHANGE/RENAME COLUMN: the old name */
    struct bytes new_name; /* CHANGE/RENAME COLUMN; RENAME_TABLE: "schema.table" as ddl_table in to */
    struct ddl_table
        to; /* ROWS: the other table whose rows change (EXCHANGE PARTITION ... WITH TABLE), table "" none */
    struct column column; /* ADD/MODIFY/CHANGE: the declared type; column.type 0 where it was not understood. Without a
                             CHARACTER SET of its own char_bytes is 0 and length counts characters: the table's set decides */
    enum ddl_default def;
    struct bytes def_text; /* DDL_DEF_LITERAL: the value, unquoted and unescaped; numbers as written */
    bool generated;        /* GENERATED ALWAYS AS */
    bool if_not_exists;
};
struct ddl {
    enum ddl_kind kind;
    unsigned ntables; /* DDL_DML: 0 where not a single table is written to for sure. The name may be a view's */
    struct ddl_table *tables;
    unsigned nclauses; /* ALTER TABLE */
    struct ddl_clause *clauses;
    bool if_exists;
    bool as_select; /* CREATE TABLE ... SELECT */
    bool replaces;  /* MariaDB: CREATE OR REPLACE TABLE, which drops one of that name */
    bool catalog;   /* DDL_OTHER that tables' definitions depend on: CREATE and ALTER DATABASE, a sequence's DDL */
};
struct ddl_context {
    struct bytes default_schema;
    bool ansi_quotes, no_backslash_escapes; /* from the event's sql_mode */
};
/* False only when out of memory (the arena's limit). */
bool ddl_parse(struct bytes sql, const struct ddl_context *ctx, struct arena *a, struct ddl *out, struct err *err);

#endif
