/* binlog_client.h - a connection to the source: SQL with small results, then the replication stream as raw events.
 *
 * Hides which client library is built in: binlog_client_mysqlclient.c (libmysqlclient, mysql_binlog_open/fetch/close) or
 * binlog_client_mariadb.c (MariaDB Connector/C: raw COM_BINLOG_DUMP / COM_BINLOG_DUMP_GTID, raw packets). What both share
 * (URL, session set-up, result sets, the stream of a connection without TLS) is in binlog_client.c. Knows nothing of what an event means. Not thread-safe, but
 * binlog_client_abort may be called from another thread. */
#ifndef ROWTIDE_BINLOG_CLIENT_H
#define ROWTIDE_BINLOG_CLIENT_H

#include "position.h"

struct source_url { /* parsed --source; every string owned, "" when not given */
    char *host, *user, *password, *socket, *ssl_mode, *ssl_ca, *ssl_cert, *ssl_key;
    unsigned port;              /* 3306 by default */
    unsigned connect_timeout_s; /* 10 by default, connect-timeout= */
};
/* mysql://[USER[:PASS]@]HOST[:PORT]/[?ssl-mode=DISABLED|PREFERRED|REQUIRED|VERIFY_CA|VERIFY_IDENTITY&ssl-ca=...&socket=...], percent-decoded;
 * mariadb:// is the same. The password may also come from password_file (first line) or $ROWTIDE_SOURCE_PASSWORD. ERR_CONFIG. */
bool source_url_parse(const char *url, const char *password_file, struct source_url *out, struct err *err);
/* --schema-server: the same form; the password else in $ROWTIDE_SCHEMA_PASSWORD. */
bool schema_url_parse(const char *url, const char *password_file, struct source_url *out, struct err *err);
bool source_url_copy(const struct source_url *u, struct source_url *out, struct err *err); /* ERR_NOMEM */
void source_url_clear(struct source_url *u);                        /* wipes the password (I10) */
void source_url_place(const struct source_url *u, struct buf *out); /* "user@host:port" for messages: no secrets */

struct binlog_client;
/* Connects and sets the session up (utf8mb4, time_zone '+00:00', sql_mode '', long net timeouts). ERR_NET: unreachable (transient);
 * ERR_CONFIG: access denied, TLS refused ... with the server's message. ERR_STOPPED: a stop (stop.h) came first. */
bool binlog_client_connect(const struct source_url *u, unsigned read_timeout_s, struct binlog_client **out,
                           struct err *err);
/* A stop left an attempt to connect behind: its thread may still be inside the client library, so end the process by _exit. exit()
 * would take TLS down under it. */
bool binlog_client_left_attempt(void);
void binlog_client_close(struct binlog_client *c); /* NULL is fine */
void binlog_client_abort(
    struct binlog_client *c);            /* any thread: makes a blocked fetch fail soon (shuts the socket down) */
const char *binlog_client_library(void); /* "libmysqlclient 9.7.0", "MariaDB Connector/C 3.3.20" */
bool binlog_client_is_mariadb(const struct binlog_client *c);  /* the server */
unsigned binlog_client_version(const struct binlog_client *c); /* 101119, 90704 */
const char *binlog_client_version_text(const struct binlog_client *c);
uint64_t binlog_client_connection_id(const struct binlog_client *c);
const char *binlog_client_cipher(const struct binlog_client *c); /* "TLS_AES_256_GCM_SHA384"; "" in clear text */

struct sql_result { /* all text; NULL cells are {NULL,0}. Owned; a cell's text is NUL-terminated */
    unsigned ncols;
    size_t nrows;
    struct bytes *cells; /* row-major */
    char **names;
    struct arena *arena;
};
/* Statements without a result give nrows 0, ncols 0. err->sys holds the server's error number. */
bool binlog_client_query(struct binlog_client *c, const char *sql, struct sql_result *out, struct err *err);
bool binlog_client_exec(struct binlog_client *c, const char *sql, struct err *err);
void sql_result_clear(struct sql_result *r);
/* One cell as text into buf; "" and *null for NULL or no row. */
bool binlog_client_scalar(struct binlog_client *c, const char *sql, struct buf *out, bool *null, struct err *err);
void binlog_client_quote(const char *text, struct buf *out); /* 'text' with quotes doubled and backslashes escaped */

struct dump_request {
    uint32_t server_id;
    char replica_uuid[37];
    uint64_t heartbeat_ms;
    const struct source_pos
        *from; /* GTID flavours: gtids, file ignored; GTID_NONE: file and offset (which must be < 4 GiB) */
    bool by_gtid;
};
/* Sets the session's replication variables (@source_binlog_checksum, heartbeat period, @replica_uuid; MariaDB: capability 4,
 * @slave_connect_state, strict mode) and sends the dump command. After this only fetch, pending, abort, close. */
bool binlog_client_dump(struct binlog_client *c, const struct dump_request *r, struct err *err);
enum fetch_result { FETCH_EVENT, FETCH_END /* the server ended the stream */, FETCH_FAIL };
/* One whole event (packets joined, OK byte removed). The view is valid until the next call. ERR_NET transient for a lost connection or
 * a read timeout ("nothing for N s, not even a heartbeat"); the server's own errors keep its number in sys (1236 ...) and are not transient. */
enum fetch_result binlog_client_fetch(struct binlog_client *c, struct bytes *event, struct err *err);
/* The same, when a whole event was received already; false: nothing is said. */
bool binlog_client_at_hand(struct binlog_client *c, struct bytes *event);
/* True when a fetch would find bytes at once (socket or TLS layer); false means it might block. */
bool binlog_client_pending(struct binlog_client *c);
/* Waits until the source sends, `also` (a descriptor) can be read, or the time is over (-1: never). True: the source. */
bool binlog_client_wait(struct binlog_client *c, int also, int timeout_ms);
uint64_t binlog_client_received(const struct binlog_client *c); /* event bytes fetched */
uint64_t binlog_client_read_us(const struct binlog_client *c); /* time spent reading, waiting for the source included */

#endif
