/* table_map.h - private to table_defs: one TABLE_MAP event read into a definition. Pure. */
#ifndef ROWTIDE_TABLE_MAP_H
#define ROWTIDE_TABLE_MAP_H

#include "row_event.h"
#include "schema_source.h"

struct table_map_names { /* the head of a TABLE_MAP: all that is read for a table that nobody captures */
    uint64_t table_id;
    struct bytes schema, table;
    struct bytes definition; /* all that decides what the rows look like: everything behind table id and flags */
};
bool table_map_names(const struct binlog_event *e, const struct binlog_format *fmt, struct table_map_names *out,
                     struct err *err);
/* Columns and relation; *cols is malloc'ed, *rel has one reference. from: asked where there are no column names; NULL:
 * that is ERR_UNSUPPORTED, as is what cannot be decoded. *asked: the definition holds until the next DDL only. */
bool table_map_define(const struct table_map_names *names, bool mariadb, const struct schema_source *from, bool *asked,
                      struct wire_column **cols, struct relation **rel, struct err *err);

/* What a TABLE_MAP leaves out unless binlog_row_metadata is FULL. */
struct table_map_missing {
    bool names; /* and with them labels and the primary key; false: FULL metadata, nothing is missing */
    bool signs, charsets;
};
/* The same definition with placeholders for what is missing, for showing rows, never for capturing them: columns are
 * "@1", "@2" ..., numbers signed, texts bytes; ENUM and SET become the unsigned integers that they travel as. Appends
 * the new definition (as in names) to out; nothing when nothing is missing. *real_types: malloc'ed, the type number of
 * each column as it was. */
bool table_map_fill(const struct table_map_names *names, bool mariadb, struct buf *out,
                    struct table_map_missing *missing, uint8_t **real_types, struct err *err);

#endif
