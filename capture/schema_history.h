/* schema_history.h - the definitions of all of a source's tables at the stream's position, for sources whose TABLE_MAP has
 * no column names: begins from the source's information_schema, follows the DDL in the binlog on a schema server, and is
 * kept in the log (docs/schema-history.md; SCHEMA frames in docs/segment-format.md).
 *
 * Belongs to the thread that decodes. Keeps I3: a statement that cannot be followed stops when it may concern captured
 * tables; of other tables it makes the definition unknown, which stops when they become captured. */
#ifndef ROWTIDE_SCHEMA_HISTORY_H
#define ROWTIDE_SCHEMA_HISTORY_H

#include "binlog_client.h"
#include "pattern.h"
#include "schema_set.h"
#include "schema_source.h"

struct schema_history;
/* url, tables: must outlive it. Connects to the schema server; source: a connection to the source, used here only. */
bool schema_history_open(const struct source_url *url, const struct pattern *tables, const char *slot_uuid,
                         struct binlog_client *source, struct schema_history **out, struct err *err);
void schema_history_close(struct schema_history *h); /* NULL is fine */
const struct schema_source *schema_history_source(const struct schema_history *h);

/* A new history: holds the definitions of all tables of the source still (metadata locks: DDL waits, nothing else does),
 * reads them, and asks `position` where the source stands meanwhile; then lets go and makes them on the schema server.
 * ERR_NET transient: tables were made or dropped at the same time; try again. */
bool schema_history_begin(struct schema_history *h, struct binlog_client *source,
                          bool (*position)(void *ctx, struct binlog_client *source, struct err *err), void *ctx,
                          struct err *err);
/* The history as it was read from the log. */
bool schema_history_resume(struct schema_history *h, const struct schema_set *from, struct err *err);
void schema_history_encode(const struct schema_history *h, struct buf *out); /* the complete payload */

/* What ended transactions changed since the last schema_history_written: a change's payload; empty: nothing. It goes to
 * the log in front of the next frame with a COMMIT, or position. */
bool schema_history_change(const struct schema_history *h, struct bytes *out, struct err *err);
void schema_history_written(struct schema_history *h);

#endif
