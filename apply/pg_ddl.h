/* pg_ddl.h - DDL for PostgreSQL: tables from shapes (--create), and what an ALTER TABLE of the source means there
 * (--evolve). Pure.
 *
 * The type table is docs/postgresql.md, "Types". Nothing is ever dropped. What changes rows at the source without row
 * events, or gives existing rows a value that is not known exactly, stops the subscription, with the statement to run
 * by hand; once that was done, the same DDL passes. */
#ifndef ROWTIDE_PG_DDL_H
#define ROWTIDE_PG_DDL_H

#include "ddl.h"
#include "pg_catalog.h"
#include "shape.h"
#include "subscription.h"

struct pg_ddl_options {
    enum zero_date_policy zero_date; /* NULL: temporal columns outside of the key are nullable */
    const char *geometry;            /* PostGIS' type, quoted and qualified; NULL or "": bytea */
    bool evolve, script;
};
/* As format_type() prints it: "character varying(20)". */
void pg_ddl_type(const struct column *c, const struct pg_ddl_options *o, struct buf *out);
/* CREATE TABLE IF NOT EXISTS. row: the first row that goes there (new or old), or NULL: tells the kind of columns that
 * a script added. */
void pg_ddl_create(const struct shape *s, const struct val *row, const struct pg_ddl_options *o, struct buf *out);
/* "ADD COLUMN ... type" for a column that rows have and the table lacks: for messages. */
void pg_ddl_missing(const struct shape *s, unsigned col, const struct val *row, const struct pg_ddl_options *o,
                    struct buf *out);

enum pg_ddl_answer {
    PG_DDL_PASS,
    PG_DDL_RUN,  /* sql */
    PG_DDL_STOP, /* why: a clause of a sentence; sql: what a person may run, if we know */
};
/* One clause of ALTER TABLE. t: the table at the destination, or NULL. sql_text: the whole source statement. */
enum pg_ddl_answer pg_ddl_clause(const struct pg_table *t, const struct ddl_clause *c, struct bytes sql_text,
                                 const struct pg_ddl_options *o, struct buf *sql, const char **why);

#endif
