/* pg_catalog.h - what a destination table looks like: columns, types, unique keys, and whatever fires when a row
 * changes.
 *
 * Read over a pg_link; the structs are plain data, so that what builds on them is pure. Read again after DDL. */
#ifndef ROWTIDE_PG_CATALOG_H
#define ROWTIDE_PG_CATALOG_H

#include "buf.h"

struct pg_column {
    char *name;
    int attnum;
    uint32_t type;   /* oid; a domain's base type */
    int32_t typmod;  /* of that base type; -1 none */
    char *cast;      /* its name, quoted and qualified, without a modifier: pg_catalog.varchar */
    char *text;      /* as declared: character varying(20) */
    bool is_array;   /* any array type */
    bool is_enum;    /* a type made with CREATE TYPE ... AS ENUM */
    bool comparable; /* has = */
    bool not_null;
    bool generated;   /* GENERATED ALWAYS AS (...): cannot be written */
    bool has_default; /* or is an identity column */
    bool guarded;     /* part of a unique key or exclusion constraint that is not the table's first key */
};
struct pg_unique {  /* columns of a plain unique index, or of a foreign key: numbers into cols */
    uint32_t table; /* oid of the table whose key it is: for a foreign key, the other one */
    unsigned n;
    uint16_t col[32];
    int16_t attnum[32]; /* of each at `table`; ascending */
};
struct pg_table {
    uint32_t oid;
    char kind; /* pg_class.relkind: r p v f */
    char *schema, *name;
    unsigned ncols;
    struct pg_column *cols;
    unsigned nunique;  /* plain unique keys */
    unsigned nkey;     /* columns of the first of them (the primary key where there is one) */
    uint16_t key[32];  /* numbers into cols; PostgreSQL's INDEX_MAX_KEYS is 32 */
    bool odd_unique;   /* a unique index over expressions or with a condition, or an exclusion constraint */
    bool triggers;     /* that fire for us */
    bool foreign_keys; /* in or out */
    bool rules;
    bool family;                            /* is a partition, or takes part in inheritance */
    bool row_security;                      /* COPY is refused then */
    bool cascades;                          /* a foreign key elsewhere changes rows there when rows here change */
    struct pg_unique *uniques, *references; /* all plain unique keys; foreign keys of this table */
    unsigned nuniques, nreferences;
};
struct pg_link;
/* *out NULL: there is no such table. schema "" is public. */
bool pg_catalog_table(struct pg_link *l, const char *schema, const char *name, struct pg_table **out, struct err *err);
void pg_table_free(struct pg_table *t);                           /* NULL is fine */
int pg_table_column(const struct pg_table *t, struct bytes name); /* or -1; names compare exactly */
/* Does the type exist in some schema that is on nobody's search path? The quoted, qualified name, or "". (PostGIS,
 * pgvector) */
bool pg_catalog_type(struct pg_link *l, const char *name, struct buf *out, struct err *err);
/* Makes the schema if it is not there. "" is public. */
bool pg_catalog_schema(struct pg_link *l, const char *name, struct err *err);

#endif
