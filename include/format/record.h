/* record.h - what the log holds: the records that LSNs number, as capture writes them and readers get them.
 *
 * A transaction is BEGIN, any number of INSERT / UPDATE / DELETE / TRUNCATE / MESSAGE, COMMIT. A DDL statement is a
 * transaction of its own: BEGIN, DDL (or TRUNCATE), COMMIT. Each record has its own LSN, dense from 1. */
#ifndef ROWTIDE_RECORD_H
#define ROWTIDE_RECORD_H

#include "position.h"
#include "relation.h"

enum rec_op { /* stored in segments: never renumber */
              REC_BEGIN = 1,
              REC_COMMIT = 2,
              REC_INSERT = 3,
              REC_UPDATE = 4,
              REC_DELETE = 5,
              REC_TRUNCATE = 6, /* all rows of a table went, without row events */
              REC_DDL = 7,
              REC_MESSAGE = 8 /* from capture to readers: a publication change, ... */
};

struct rec_begin {
    struct gtid gtid;       /* none for anonymous transactions */
    int64_t commit_us;      /* source's commit time, us since 1970 UTC */
    uint32_t resolution_us; /* of commit_us: 1 (MySQL >= 8.0.1), 1000000 (MariaDB 10.11 and older MySQL) */
};
struct rec_commit {
    struct bytes file; /* the source's binlog file and the offset behind the transaction's last event */
    uint64_t end_offset;
    struct bytes consumed; /* gtid_set text: GTIDs taken since the previous commit or position frame, this transaction's
                              own excluded (filtered transactions); empty if none */
};
struct rec_ddl {           /* REC_DDL and REC_TRUNCATE */
    struct bytes schema;   /* the statement's default database, may be empty */
    struct bytes sql;      /* UTF-8, as executed */
    uint8_t kind;          /* enum ddl_kind */
    uint8_t sql_flags;     /* 1: ANSI_QUOTES, 2: NO_BACKSLASH_ESCAPES were on */
    struct bytes t_schema; /* TRUNCATE: the table */
    struct bytes t_table;
};
struct rec_message {
    struct bytes topic; /* "publication" */
    struct bytes body;
};

struct rel_rows; /* frame.h: one relation's column arrays in a frame */

struct record {
    uint64_t lsn;
    uint8_t op; /* enum rec_op */
    union {
        struct rec_begin begin;
        struct rec_commit commit;
        struct rec_ddl ddl;
        struct rec_message message;
        struct { /* INSERT: new_row; DELETE: old_row; UPDATE: both. UINT32_MAX where there is none */
            const struct rel_rows *rows;
            uint32_t new_row, old_row;
        } change;
    } u;
};

#endif
