/* binlog_event.h - one binlog event's header and checksum, and the events that are not rows. Keeps no state but the
 * format description. Sources: MySQL libs/mysql/binlog/event/, MariaDB sql/log_event.h; shared facts checked on real
 * servers. */
#ifndef ROWTIDE_BINLOG_EVENT_H
#define ROWTIDE_BINLOG_EVENT_H

#include "gtid.h"

enum binlog_event_type {
    EV_QUERY = 2,
    EV_STOP = 3,
    EV_ROTATE = 4,
    EV_INTVAR = 5,
    EV_LOAD = 6,
    EV_RAND = 13,
    EV_USER_VAR = 14,
    EV_FORMAT_DESCRIPTION = 15,
    EV_XID = 16,
    EV_BEGIN_LOAD_QUERY = 17,
    EV_EXECUTE_LOAD_QUERY = 18,
    EV_TABLE_MAP = 19,
    EV_WRITE_ROWS_V1 = 23,
    EV_UPDATE_ROWS_V1 = 24,
    EV_DELETE_ROWS_V1 = 25,
    EV_INCIDENT = 26,
    EV_HEARTBEAT = 27,
    EV_IGNORABLE = 28,
    EV_ROWS_QUERY = 29,
    EV_WRITE_ROWS = 30,
    EV_UPDATE_ROWS = 31,
    EV_DELETE_ROWS = 32,
    EV_GTID = 33,
    EV_ANONYMOUS_GTID = 34,
    EV_PREVIOUS_GTIDS = 35,
    EV_TRANSACTION_CONTEXT = 36,
    EV_VIEW_CHANGE = 37,
    EV_XA_PREPARE = 38,
    EV_PARTIAL_UPDATE_ROWS = 39,
    EV_TRANSACTION_PAYLOAD = 40,
    EV_HEARTBEAT_V2 = 41,
    EV_GTID_TAGGED = 42,
    EV_MARIADB_ANNOTATE_ROWS = 160,
    EV_MARIADB_BINLOG_CHECKPOINT = 161,
    EV_MARIADB_GTID = 162,
    EV_MARIADB_GTID_LIST = 163,
    EV_MARIADB_START_ENCRYPTION = 164,
    EV_MARIADB_QUERY_COMPRESSED = 165,
    EV_MARIADB_WRITE_ROWS_COMPRESSED_V1 = 166,
    EV_MARIADB_UPDATE_ROWS_COMPRESSED_V1 = 167,
    EV_MARIADB_DELETE_ROWS_COMPRESSED_V1 = 168,
    EV_MARIADB_WRITE_ROWS_COMPRESSED = 169,
    EV_MARIADB_UPDATE_ROWS_COMPRESSED = 170,
    EV_MARIADB_DELETE_ROWS_COMPRESSED = 171,
    EV_MARIADB_PARTIAL_ROW_DATA = 172
};
enum { EVF_ARTIFICIAL = 0x20, EVF_IGNORABLE = 0x80 };

struct binlog_event {
    uint32_t when; /* seconds UTC */
    uint8_t type;
    uint32_t server_id;
    uint32_t size;     /* whole event with header and checksum, bytes */
    uint32_t next_pos; /* 32 bits on the wire: wraps beyond 4 GiB, 0 in artificial events; callers count themselves */
    uint16_t flags;
    struct bytes body; /* view: behind the header, without the checksum */
};
struct binlog_format { /* what FORMAT_DESCRIPTION said; zero: assume checksums off */
    bool known, crc, mariadb;
    char server_version[51];
    uint8_t nposts;
    uint8_t post_len[255]; /* post-header length of event type i + 1 */
};
/* The first 19 bytes of an event, as they are; fewer leave zeros. No body. */
struct binlog_event binlog_event_header(struct bytes in);
/* Splits one whole event; checks the CRC-32 (libdeflate) when fmt->crc (FORMAT_DESCRIPTION itself: always when its
 * algorithm says so). ERR_CORRUPT: under 19 bytes, length field is not in.n, checksum mismatch. An unknown type is no
 * error here. */
bool binlog_event_parse(struct bytes in, const struct binlog_format *fmt, struct binlog_event *out, struct err *err);
/* Appends an artificial event, as a server makes them for a stream: it stands in no file. crc: with a checksum. */
void binlog_event_make(uint8_t type, struct bytes body, bool crc, struct buf *out);
const char *binlog_event_name(uint8_t type); /* "WRITE_ROWS" ... or "UNKNOWN" */

bool binlog_parse_format(const struct binlog_event *e, struct binlog_format *out, struct err *err);
struct ev_rotate {
    struct bytes file;
    uint64_t offset;
};
bool binlog_parse_rotate(const struct binlog_event *e, struct ev_rotate *out, struct err *err);
struct ev_gtid {
    struct gtid gtid;             /* none for ANONYMOUS */
    int64_t commit_us;            /* when this source committed it, where sent (us); else the header's seconds */
    uint32_t resolution_us;       /* 1 or 1000000 */
    uint64_t trx_length;          /* whole transaction incl. this event, bytes; 0 unknown */
    bool standalone;              /* MariaDB FL_STANDALONE: no commit event follows (DDL) */
    bool begins;                  /* MariaDB: this event replaces BEGIN */
    bool xa_prepare, xa_complete; /* MariaDB FL_PREPARED_XA / FL_COMPLETED_XA */
};
bool binlog_parse_gtid(const struct binlog_event *e, struct ev_gtid *out, struct err *err); /* 33, 34, 42, 162 */
/* PREVIOUS_GTIDS (35) or MariaDB GTID_LIST (163); the caller frees. */
bool binlog_parse_gtid_list(const struct binlog_event *e, struct gtid_set **out, struct err *err);
struct ev_query {
    struct bytes schema,
        sql; /* sql: bytes in charset `client_collation`'s character set; for QUERY_COMPRESSED inflated into scratch */
    uint16_t error_code;
    uint64_t sql_mode;         /* 0 unknown; MODE_ANSI_QUOTES 4, MODE_NO_BACKSLASH_ESCAPES 1<<20 */
    uint16_t client_collation; /* 0 unknown */
};
bool binlog_parse_query(const struct binlog_event *e, const struct binlog_format *fmt, struct buf *scratch,
                        struct ev_query *out, struct err *err);
bool binlog_parse_xid(const struct binlog_event *e, uint64_t *xid, struct err *err);
struct ev_heartbeat {
    struct bytes file;
    uint64_t pos;
};
bool binlog_parse_heartbeat(const struct binlog_event *e, struct ev_heartbeat *out, struct err *err); /* 27, 41 */
struct ev_incident {
    uint16_t number;
    struct bytes message;
};
bool binlog_parse_incident(const struct binlog_event *e, struct ev_incident *out, struct err *err);
bool binlog_event_is_rows(uint8_t type);

#endif
