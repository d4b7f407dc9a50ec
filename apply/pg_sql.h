/* pg_sql.h - texts of SQL statements for PostgreSQL: quoting, and INSERT / UPDATE / DELETE for one row or for arrays
 * of rows. Pure.
 *
 * Parameters are numbered in the order of `set`, then of `where` (where[i].null takes none). The session's search_path
 * is empty: names are qualified. Single rows carry their own count check: the statement fails with PG_SQL_COUNT in its
 * message unless exactly one row was there, so that COMMIT can follow in the same round trip. Arrays have none:
 * compare the command tag. */
#ifndef ROWTIDE_PG_SQL_H
#define ROWTIDE_PG_SQL_H

#include "pg_catalog.h"

#define PG_SQL_COUNT "rowtide_rows="

void pg_ident(struct buf *out, struct bytes name);   /* "name", quotes doubled; a NUL is dropped (no name holds one) */
void pg_literal(struct buf *out, struct bytes text); /* 'text', quotes doubled; needs standard_conforming_strings */
void pg_name(struct buf *out, const char *schema, const char *table); /* "schema"."table"; schema "": public */

struct pg_sql_col {
    const struct pg_column *col;
    bool as_text; /* the parameter is text (or text[]), cast to the column's type */
    bool null;    /* where: IS NULL, no parameter */
};
struct pg_sql_spec {
    const struct pg_table *table;
    bool many;      /* parameters are arrays */
    bool whole_row; /* not many: change one of the rows that match, by ctid */
    const struct pg_sql_col *set;
    unsigned nset; /* INSERT: may be 0 (all defaults); UPDATE: may be 0 (the row must be there) */
    const struct pg_sql_col *where;
    unsigned nwhere; /* at least 1 */
};
void pg_sql_insert(struct buf *out, const struct pg_sql_spec *s);
void pg_sql_copy(struct buf *out, const struct pg_sql_spec *s); /* the columns of `set`, binary, from the client */
void pg_sql_update(struct buf *out, const struct pg_sql_spec *s);
void pg_sql_delete(struct buf *out, const struct pg_sql_spec *s);

/* The destination's own tables: docs/postgresql.md, "Progress". */
extern const char pg_sql_progress[], pg_sql_dead_letter[]; /* CREATE ... IF NOT EXISTS */
extern const char
    pg_sql_other_slot[]; /* $1 slot, $2 subscription: a row of another slot under this name, while ours has none */
extern const char pg_sql_attach[]; /* $1 slot $2 subscription $3 script hash; returns progress, old hash */
extern const char pg_sql_read[];   /* $1 slot $2 subscription: the same columns */
extern const char pg_sql_settle[]; /* $1 slot $2 subscription $3 epoch: one row, if the epoch is current */
extern const char pg_sql_advance
    []; /* $1 slot $2 subscription $3 epoch $4 lsn $5 gtid $6 file $7 pos $8 commit us $9 changes $10 transactions */
extern const char pg_sql_dead
    []; /* $1 slot $2 subscription $3 lsn $4 seq $5 op $6 schema $7 table $8 key $9 old $10 new $11 error $12 sqlstate */

#endif
