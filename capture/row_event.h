/* row_event.h - TABLE_MAP events to relations, row events to rows of values.
 *
 * table_defs remembers what TABLE_MAP said per table id until the statement ends; a relation is built from FULL row
 * metadata (binlog_row_metadata=FULL), or from the schema history: without both ERR_UNSUPPORTED with the SQL that mends it. The same
 * definition (same TABLE_MAP bytes) gives the same relation object. Not thread-safe. Values' strings point into the
 * event or into the arena. */
#ifndef ROWTIDE_ROW_EVENT_H
#define ROWTIDE_ROW_EVENT_H

#include "arena.h"
#include "binlog_event.h"
#include "frame.h"
#include "relation.h"

struct wire_column { /* how a column travels; private to the row decoders */
    uint8_t type;    /* MySQL type number, ENUM/SET/CHAR resolved */
    uint8_t way;     /* row_frame.c's */
    uint8_t size;    /* bytes of a value, or of the length in front of it */
    bool prefixed;   /* there is such a length */
    bool limited;    /* which is at most meta */
    uint16_t meta;
    const struct charset *charset; /* of character columns, enum and set; NULL for none */
    uint64_t *replaced; /* counts texts of which U+FFFD stands for bytes that are no character; NULL: those stop */
    bool tells_apart;   /* of a key, or in a table without one: they stop in any case */
};
struct table_def {
    uint64_t table_id;
    struct bytes schema, table; /* as on the wire (utf8) */
    struct relation *rel;       /* NULL when the table is not captured: its rows are skipped without decoding */
    unsigned ncols;
    struct wire_column *cols;
    const struct column *columns; /* rel's */
    struct frame_place *place;    /* row_frame.c's */
    bool captured;
    bool sequence; /* a MariaDB SEQUENCE: each step writes its one row as an insert; not rows of a table */
};
struct table_defs;
struct table_defs *table_defs_new(void);
struct schema_source;
/* Who is asked about TABLE_MAPs without column names; NULL: nobody, they stop. Must outlive t. */
void table_defs_ask(struct table_defs *t, const struct schema_source *from);
/* What in a text is no character of its set becomes U+FFFD, and *count one more, except in columns of a primary key and in
 * tables without one: by those, rows are told apart. Before any table_defs_map. */
void table_defs_replace_invalid(struct table_defs *t, uint64_t *count);
void table_defs_forget_asked(struct table_defs *t); /* DDL: what was answered is void. Between statements */
void table_defs_free(struct table_defs *t);
/* Decides by the callback whether the table is captured before anything else is decoded. *out lives until the first
 * table_defs_map behind the statement's end; who keeps the relation for longer takes a reference. */
bool table_defs_map(struct table_defs *t, const struct binlog_event *e, const struct binlog_format *fmt,
                    bool (*captured)(void *ctx, struct bytes schema, struct bytes table), void *ctx,
                    const struct table_def **out, struct err *err);
const struct table_def *table_defs_find(const struct table_defs *t, uint64_t table_id);
void table_defs_end_statement(struct table_defs *t); /* ids are valid to STMT_END; cached definitions stay for reuse */

enum row_change { ROW_INSERT, ROW_UPDATE, ROW_DELETE };
struct row_reader { /* one rows event */
    enum row_change change;
    uint64_t table_id;
    uint16_t flags; /* 1: STMT_END */
    bool dummy;     /* the dummy event that only ends a statement */
    /* An INSERT that names no column, under MINIMAL images: no bytes, and one row, of which every column is absent. MySQL
     * 9.7 refuses (error 1534) to log a second one in the event, and its replicas insert one. */
    bool bare;
    bool old_times; /* MariaDB's times of before 10.0 */
    const struct table_def *def;
    struct cur c;
    struct bytes present_old, present_new; /* column bitmaps */
    struct buf inflated;                   /* MariaDB compressed rows */
    unsigned row;                          /* number of the row in the event, for messages */
    unsigned columns_from;                 /* row_frame.c: before that row, one by one */
    unsigned by_columns;                   /* of the rows so far, those that came many at once */
    unsigned npresent_old, npresent_new;   /* bits set in them */
    struct bytes *json_old;                /* PARTIAL_UPDATE_ROWS: by column, the row's documents before; else NULL */
};
/* Head of a rows event of any version. ERR_CORRUPT when the table id is unknown or the column count contradicts
 * TABLE_MAP. def->captured false: the caller just skips the event.
 * row_reader_close when done. */
bool row_reader_open(struct row_reader *r, const struct binlog_event *e, const struct binlog_format *fmt,
                     const struct table_defs *t, struct err *err);
/* The next row: old (UPDATE, DELETE) and new (INSERT, UPDATE), rel->ncols values each, absent columns VAL_ABSENT.
 * *more false at the end. Errors name table, column and row. arena: for converted text; the caller resets it after
 * the row (or event) is used. */
bool row_reader_next(struct row_reader *r, struct arena *a, struct val *old_row, struct val *new_row, bool *more,
                     struct err *err);
void row_reader_close(struct row_reader *r);

#endif
