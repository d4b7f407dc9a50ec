/* binlog_client_lib.h - between binlog_client.c and the one client library that is built in. Nobody else includes it. */
#ifndef ROWTIDE_BINLOG_CLIENT_LIB_H
#define ROWTIDE_BINLOG_CLIENT_LIB_H

#include "binlog_client.h"
#include "packet_stream.h"

#include <mysql.h>
#include <stdatomic.h>

/* The protocol's limit for one packet; both libraries count up to it in an unsigned long. Slack for the header in front. */
enum { CLIENT_MAX_PACKET = (1 << 30) + (1 << 20) };

struct binlog_client {
    MYSQL *my;
    atomic_int fd; /* what binlog_client_abort shuts down; -1 before and after */
    bool mariadb, dumping;
    unsigned version, read_timeout_s;
    char version_text[128];
    char place[320];
    uint64_t connection_id, received, read_us;
    bool own_reads; /* the stream is read from fd by packets, not through the library */
    struct packet_stream packets;
#ifdef ROWTIDE_CLIENT_mysqlclient
    MYSQL_RPL rpl;
    bool rpl_open;
    struct buf file, gtids; /* what rpl points into */
#endif
};

struct dump_command {  /* what goes on the wire, decided in binlog_client.c for both libraries */
    bool gtid_command; /* COM_BINLOG_DUMP_GTID (MySQL only), else COM_BINLOG_DUMP */
    uint16_t flags;
    uint32_t server_id;
    const char *file;
    uint64_t offset; /* fits 32 bits unless gtid_command */
    struct bytes gtids;
};

/* All options that both libraries share: timeouts, packet size, character set, no LOAD DATA LOCAL. */
bool client_common_options(MYSQL *my, const struct source_url *u, unsigned read_timeout_s, struct err *err);
/* As binlog_client_connect, but blocks until it is done. */
bool client_connect_now(const struct source_url *u, unsigned read_timeout_s, struct binlog_client **out,
                        struct err *err);
/* Makes c->my, connected. */
bool client_lib_connect(struct binlog_client *c, const struct source_url *u, struct err *err);
int client_lib_fd(MYSQL *my);
bool client_lib_dump(struct binlog_client *c, const struct dump_command *d, struct err *err);
/* The packet behind its OK byte; on FETCH_FAIL *no and text() are the library's. */
enum fetch_result client_lib_fetch(struct binlog_client *c, struct bytes *event);
bool client_lib_buffered(struct binlog_client *c); /* bytes already taken from the socket, as far as can be seen */
void client_lib_close(struct binlog_client *c);

#endif
