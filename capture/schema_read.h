/* schema_read.h - what a server says of its tables: which there are, the statements that make them, their columns. For
 * the source, when a history begins, and for the schema server. SELECT and SHOW only. Errors are the server's. */
#ifndef ROWTIDE_SCHEMA_READ_H
#define ROWTIDE_SCHEMA_READ_H

#include "binlog_client.h"
#include "schema_set.h"
#include "schema_source.h"

void schema_quote(struct bytes name, struct buf *out); /* `name` */
/* All databases that are not the servers' own, with the statements that make them, and the names of their tables (no
 * views), whose sql is a single space until it is read. out: empty. */
bool schema_read_list(struct binlog_client *c, struct schema_set *out, struct err *err);
/* SHOW CREATE TABLE. *there false: no such table. A statement with a NUL inside is ERR_UNSUPPORTED. */
bool schema_read_create(struct binlog_client *c, struct bytes schema, struct bytes table, struct buf *out, bool *there,
                        struct err *err);
/* The columns in order, in a. A system-versioned table of MariaDB has its hidden row_start and row_end, too. */
bool schema_read_columns(struct binlog_client *c, struct bytes schema, struct bytes table, struct arena *a,
                         struct schema_table *out, struct err *err);
/* The same statement, up to what may differ between two servers with the same tables: foreign keys name others. */
bool schema_same_table(struct bytes sql, struct bytes other);

#endif
