/* schema_server.h - the schema server: a MySQL or MariaDB that holds the captured server's tables without their rows, and
 * carries out the DDL of the binlog, since only a server understands all of it (docs/schema-history.md). It belongs to one
 * slot: database `rowtide_schema` says to which; everything else on it but the system's databases is dropped and made as
 * the history wants it. One connection; not thread-safe. Errors: ERR_NET transient when the connection is lost, else the
 * server's refusal with its number in sys. */
#ifndef ROWTIDE_SCHEMA_SERVER_H
#define ROWTIDE_SCHEMA_SERVER_H

#include "schema_read.h"

struct schema_server;
/* Connects, takes possession. source: is compared with it; NULL: it was before. ERR_CONFIG: it is the source, another
 * slot's, of the other family, or has tables that are not ours. */
bool schema_server_connect(const struct source_url *u, const char *slot_uuid, struct binlog_client *source,
                           struct schema_server **out, struct err *err);
/* For `rowtide doctor`: would this one do? Changes nothing there. */
bool schema_server_check(const struct source_url *u, struct binlog_client *source, struct err *err);
void schema_server_close(struct schema_server *s); /* NULL is fine */
struct binlog_client *schema_server_client(const struct schema_server *s);
/* Makes the server hold exactly what the set says: what differs is dropped and made anew. *made: how many tables. */
bool schema_server_sync(struct schema_server *s, const struct schema_set *want, size_t *made, struct err *err);
bool schema_server_make(struct schema_server *s, const struct schema_entry *e, struct err *err);
bool schema_server_drop(struct schema_server *s, struct bytes schema, struct bytes table, struct err *err);
/* Carries out a statement of the binlog under its session's settings. has_db: its default database is there. */
bool schema_server_replay(struct schema_server *s, const struct schema_statement *st, bool has_db,
                          int explicit_timestamp, struct err *err);

#endif
