/* schema_source.h - who knows the definitions of tables whose TABLE_MAP has no column names: between binlog_stream and
 * table_defs, which ask, and schema_history, which answers. Tests answer themselves. */
#ifndef ROWTIDE_SCHEMA_SOURCE_H
#define ROWTIDE_SCHEMA_SOURCE_H

#include "ddl.h"

struct schema_column {    /* as information_schema.COLUMNS has it */
    struct bytes name;    /* UTF-8 */
    struct bytes type;    /* COLUMN_TYPE: "int(10) unsigned", "enum('a','b')" */
    struct bytes charset; /* empty: none */
    bool nullable, visible;
    uint64_t octets;  /* CHARACTER_OCTET_LENGTH; UINT64_MAX: none */
    uint16_t key_pos; /* place in the primary key from 1; 0: not in it */
};
struct schema_table {
    unsigned ncols;
    const struct schema_column *cols;
};

struct schema_session { /* what the session of a statement was set to, from its status variables */
    uint64_t sql_mode;
    uint16_t client_collation, connection_collation, server_collation; /* numbers; 0: not said */
    int explicit_timestamp;     /* explicit_defaults_for_timestamp; -1: not said */
    uint16_t utf8mb4_collation; /* default_collation_for_utf8mb4; 0: not said */
};
struct schema_statement { /* a statement of the binlog that may change definitions */
    struct bytes db, sql; /* sql: as it stands in the event, in the session's client character set */
    struct bytes text;    /* the same as UTF-8 */
    const struct ddl *parsed;
    struct schema_session session;
    uint16_t error_code;
    bool temporary; /* the session had temporary tables in use: a name may mean one of them */
    bool captured;  /* it names a captured table */
};

struct schema_source {
    void *ctx;
    /* *changed: cached definitions are void. */
    bool (*statement)(void *ctx, const struct schema_statement *st, bool *changed, struct err *err);
    /* The table as it is here. *out is valid until the next call. ERR_UNSUPPORTED: not known. */
    bool (*table)(void *ctx, struct bytes schema, struct bytes table, const struct schema_table **out, struct err *err);
    /* The transaction that the statements since the last call stood in has ended, or never was. */
    void (*end)(void *ctx, bool committed);
};

#endif
