/* preflight.h - is this source fit to be captured? Each failure comes with the SQL that mends it. Used by capture at start
 * and by `rowtide doctor`. Also reads where the source stands. One connection, SELECT/SHOW only. */
#ifndef ROWTIDE_PREFLIGHT_H
#define ROWTIDE_PREFLIGHT_H

#include "binlog_client.h"
#include "pattern.h"

enum finding_level { FIND_OK, FIND_INFO, FIND_WARN, FIND_FAIL };
struct finding {
    enum finding_level level;
    const char *check; /* "binlog_format": a literal */
    char text[400];    /* what was found and what it means */
    char mend[400];    /* SQL, or what to do; "" */
};
struct preflight {
    struct finding *v;
    size_t n, failures, warnings;
};
struct preflight_options {
    const struct pattern *tables;
    uint32_t server_id; /* 0: not known yet */
    bool accept_unlogged_cascades;
    bool schema_server; /* there is one: column names need not come from the binlog */
    bool starts_now; /* a new slot is about to begin where the source stands: prepared XA transactions are a failure */
    bool goes_on;    /* an existing slot: it knows those that matter, and they are not looked for */
};
/* Runs every check, also after failures. False only when the connection fails. Checks: log_bin, binlog_format ROW, binlog_row_image FULL
 * (warn otherwise), binlog_row_metadata FULL or a schema server, privileges (REPLICATION SLAVE, REPLICATION CLIENT / BINLOG MONITOR ...), server_id taken
 * by a connected replica, gtid_mode, binlog retention, binlog_row_value_options, binlog_transaction_compression, version, foreign keys with
 * cascades on captured tables that the server does not log, captured tables without primary key (info), clock offset, prepared XA
 * transactions. */
bool preflight_run(struct binlog_client *c, const struct preflight_options *o, struct preflight *out, struct err *err);
void preflight_clear(struct preflight *p);

struct source_status {          /* where the source is now */
    struct source_pos current;  /* owned: executed GTIDs, current file and offset */
    struct source_pos earliest; /* owned: purged GTIDs (all that is gone), first file, offset 4 */
    int64_t clock_offset_us;    /* source minus here, measured over one round trip */
    uint32_t server_id;
};
/* MySQL: @@GLOBAL.gtid_executed, gtid_purged, SHOW BINARY LOG STATUS / SHOW MASTER STATUS; MariaDB: @@gtid_binlog_pos, and the first
 * file's GTID list by BINLOG_GTID_POS. flavor GTID_NONE when gtid_mode is OFF. */
bool source_status_read(struct binlog_client *c, struct source_status *out, struct err *err);
void source_status_clear(struct source_status *s);
bool source_clock_offset(struct binlog_client *c, int64_t *out_us, struct err *err); /* best of three round trips */
/* I3's questions before a resume: is everything behind `from` still there, and does the source have all that we have? ERR_LOST names
 * the missing or surplus GTIDs, or the purged file, and what to do. */
bool source_can_resume(struct binlog_client *c, const struct source_status *now, const struct source_pos *from,
                       struct err *err);
/* --start now|earliest|gtid:SET|file:NAME:POS. ERR_CONFIG when malformed or contradicting the source. */
bool source_start_position(struct binlog_client *c, const struct source_status *now, const char *start,
                           struct source_pos *out, struct err *err);

#endif
