/* binlog_client.c - what both client libraries share: session set-up, SQL with small results, the dump's session variables.
 *
 * Rules: MySQL sql/rpl_replica.cc and sql/rpl_binlog_sender.cc, MariaDB sql/slave.cc and sql/sql_repl.cc (which user variables a
 * dump looks at); checked on MySQL 9.7 and MariaDB 10.11. The parts that differ are in binlog_client_mysqlclient.c and
 * binlog_client_mariadb.c. */
#include "binlog_client_lib.h"

#include "arena.h"
#include "clock.h"
#include "source_error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A source that answers a small question with more than this is not answering it. */
enum { RESULT_MAX = 256 << 20, WRITE_TIMEOUT_S = 60, BINLOG_FIRST = 4 };

/* net_write_timeout, how long the server waits for us to take an event: not long. When this host vanishes without a word, MariaDB's old dump
 * thread sits in its write until then, and the new one with the same server_id waits for it. */
#define SESSION_SETUP                                                                                                  \
    "SET SESSION time_zone = '+00:00', sql_mode = '', autocommit = 1, net_write_timeout = 60, wait_timeout = 86400"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_ok;

static void library_start(void)
{
    library_ok = mysql_library_init(0, NULL, NULL) == 0;
}

bool client_common_options(MYSQL *my, const struct source_url *u, unsigned read_timeout_s, struct err *err)
{
    unsigned connect_s = u->connect_timeout_s, write_s = WRITE_TIMEOUT_S, infile = 0;
    unsigned protocol = u->socket[0] != '\0' ? MYSQL_PROTOCOL_SOCKET
                                             : MYSQL_PROTOCOL_TCP; /* else "localhost" means a socket */
    unsigned long packet = CLIENT_MAX_PACKET;
    bool bad = mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s) != 0 ||
               mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &read_timeout_s) != 0 ||
               mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &write_s) != 0 ||
               mysql_options(my, MYSQL_OPT_PROTOCOL, &protocol) != 0 ||
               mysql_options(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet) != 0 ||
               mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0 ||
               /* A hostile server could otherwise ask for any file that we can read. */
               mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &infile) != 0 ||
               mysql_options4(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "rowtide") != 0;
    return !bad || err_set(err, ERR_CONFIG, "the client library refuses a connection option: %s", mysql_error(my));
}

static bool fail_query(struct binlog_client *c, const char *sql, struct err *err)
{
    return source_error_query(err, mysql_errno(c->my), mysql_error(c->my), sql);
}

/* "10.11.19-MariaDB-log", "9.7.4", "5.5.5-10.11.19-MariaDB" -> 101119. */
static void learn_version(struct binlog_client *c, const char *version, const char *comment)
{
    snprintf(c->version_text, sizeof c->version_text, "%s", version);
    c->mariadb = strcasestr(version, "mariadb") != NULL || strcasestr(comment, "mariadb") != NULL;
    if (c->mariadb && strncmp(version, "5.5.5-", 6) == 0) /* MariaDB's disguise for old replicas */
        version += 6;
    unsigned major = 0, minor = 0, patch = 0;
    if (sscanf(version, "%3u.%3u.%3u", &major, &minor, &patch) >= 2)
        c->version = major * 10000 + minor * 100 + (patch > 99 ? 99 : patch);
}

static bool session_setup(struct binlog_client *c, struct err *err)
{
    struct sql_result r = { 0 };
    if (!binlog_client_query(c, "SELECT VERSION(), @@version_comment", &r, err))
        return false;
    bool ok = r.nrows == 1 && r.ncols == 2 && r.cells[0].p != NULL;
    if (ok)
        learn_version(c, (const char *)r.cells[0].p, r.cells[1].p == NULL ? "" : (const char *)r.cells[1].p);
    sql_result_clear(&r);
    if (!ok || c->version == 0)
        return err_set(err, ERR_UNSUPPORTED, "the source %s does not tell its version as MySQL and MariaDB do",
                       c->place);
    /* An administrator's limit for forgotten queries is not meant for a stream. MySQL's only ever stops a SELECT. */
    return binlog_client_exec(c, SESSION_SETUP, err) &&
           (!c->mariadb || binlog_client_exec(c, "SET SESSION max_statement_time = 0", err));
}

bool client_connect_now(const struct source_url *u, unsigned read_timeout_s, struct binlog_client **out,
                        struct err *err)
{
    pthread_once(&library_once, library_start);
    if (!library_ok)
        return err_set(err, ERR_CONFIG, "the client library %s does not start", binlog_client_library());
    struct binlog_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return err_nomem(err);
    atomic_init(&c->fd, -1);
    c->read_timeout_s = read_timeout_s;
    struct buf place = { 0 };
    source_url_place(u, &place);
    snprintf(c->place, sizeof c->place, "%s", buf_cstr(&place));
    buf_free(&place);

    bool ok = client_lib_connect(c, u, err);
    if (ok) {
        if (c->my->passwd != NULL) /* the library keeps a copy for a reconnect that we never ask for */
            explicit_bzero(c->my->passwd, strlen(c->my->passwd));
        c->connection_id = mysql_thread_id(c->my);
        /* Our own descriptor: the library closes its one inside a failing fetch, and the number may then be somebody else's. */
        int fd = fcntl(client_lib_fd(c->my), F_DUPFD_CLOEXEC, 3);
        atomic_store(&c->fd, fd);
        ok = fd >= 0 ? session_setup(c, err)
                     : err_sys(err, "duplicate the descriptor of the connection to %s", c->place);
    }
    if (!ok) {
        binlog_client_close(c);
        return false;
    }
    *out = c;
    return true;
}

void binlog_client_close(struct binlog_client *c)
{
    if (c == NULL)
        return;
    int fd = atomic_exchange(&c->fd, -1);
    client_lib_close(c);
    if (c->my != NULL)
        mysql_close(c->my);
    if (fd >= 0)
        close(fd);
    packet_stream_free(&c->packets);
    free(c);
}

void binlog_client_abort(struct binlog_client *c)
{
    int fd = atomic_load(&c->fd);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

bool binlog_client_is_mariadb(const struct binlog_client *c)
{
    return c->mariadb;
}
unsigned binlog_client_version(const struct binlog_client *c)
{
    return c->version;
}
const char *binlog_client_version_text(const struct binlog_client *c)
{
    return c->version_text;
}
uint64_t binlog_client_connection_id(const struct binlog_client *c)
{
    return c->connection_id;
}
uint64_t binlog_client_received(const struct binlog_client *c)
{
    return c->received;
}
uint64_t binlog_client_read_us(const struct binlog_client *c)
{
    return c->read_us;
}
const char *binlog_client_cipher(const struct binlog_client *c)
{
    const char *cipher = mysql_get_ssl_cipher(c->my);
    return cipher == NULL ? "" : cipher;
}

/* ---- SQL ---- */

void sql_result_clear(struct sql_result *r)
{
    arena_free(r->arena);
    *r = (struct sql_result){ 0 };
}

static bool take_row(MYSQL_RES *res, MYSQL_ROW row, struct sql_result *r, struct buf *cells, struct err *err)
{
    const unsigned long *lengths = mysql_fetch_lengths(res);
    for (unsigned i = 0; i < r->ncols; i++) {
        struct bytes cell = { NULL, 0 };
        if (row[i] != NULL) {
            char *copy = arena_cstr(r->arena, bytes_of(row[i], lengths[i]), err);
            if (copy == NULL)
                return false;
            cell = bytes_of(copy, lengths[i]);
        }
        buf_put(cells, &cell, sizeof cell);
    }
    r->nrows++;
    return buf_ok(cells, err);
}

static bool take_result(struct binlog_client *c, const char *sql, MYSQL_RES *res, struct sql_result *r, struct err *err)
{
    r->ncols = mysql_num_fields(res);
    r->arena = arena_new(RESULT_MAX);
    if (r->arena == NULL)
        return err_nomem(err);
    r->names = arena_zalloc(r->arena, r->ncols * sizeof *r->names, err);
    if (r->names == NULL)
        return false;
    for (unsigned i = 0; i < r->ncols; i++) {
        r->names[i] = arena_cstr(r->arena, bytes_str(mysql_fetch_field_direct(res, i)->name), err);
        if (r->names[i] == NULL)
            return false;
    }
    struct buf cells = { 0 };
    bool ok = true;
    MYSQL_ROW row;
    while (ok && (row = mysql_fetch_row(res)) != NULL)
        ok = take_row(res, row, r, &cells, err);
    if (ok && mysql_errno(c->my) != 0)
        ok = fail_query(c, sql, err);
    if (ok) {
        void *at = arena_alloc(r->arena, cells.n + 1, err);
        ok = at != NULL;
        if (ok) {
            if (cells.n != 0)
                memcpy(at, cells.p, cells.n);
            r->cells = at;
        }
    }
    buf_free(&cells);
    return ok;
}

bool binlog_client_query(struct binlog_client *c, const char *sql, struct sql_result *out, struct err *err)
{
    if (mysql_real_query(c->my, sql, strlen(sql)) != 0)
        return fail_query(c, sql, err);
    MYSQL_RES *res = mysql_use_result(c->my);
    struct sql_result r = { 0 };
    if (res == NULL) {
        if (mysql_errno(c->my) != 0)
            return fail_query(c, sql, err);
        *out = r;
        return true;
    }
    bool ok = take_result(c, sql, res, &r, err);
    mysql_free_result(res);
    if (!ok) {
        sql_result_clear(&r);
        return false;
    }
    *out = r;
    return true;
}

bool binlog_client_exec(struct binlog_client *c, const char *sql, struct err *err)
{
    struct sql_result r = { 0 };
    if (!binlog_client_query(c, sql, &r, err))
        return false;
    sql_result_clear(&r);
    return true;
}

bool binlog_client_scalar(struct binlog_client *c, const char *sql, struct buf *out, bool *null, struct err *err)
{
    struct sql_result r = { 0 };
    if (!binlog_client_query(c, sql, &r, err))
        return false;
    bool none = r.nrows == 0 || r.ncols == 0 || r.cells[0].p == NULL;
    if (!none)
        buf_bytes(out, r.cells[0]);
    sql_result_clear(&r);
    if (!buf_ok(out, err))
        return false;
    *null = none;
    return true;
}

void binlog_client_quote(const char *text, struct buf *out)
{
    buf_u8(out, '\'');
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '\'' || *s == '\\')
            buf_u8(out, (uint8_t)*s);
        buf_u8(out, (uint8_t)*s);
    }
    buf_u8(out, '\'');
}

/* ---- the stream ---- */

/* Old and new names at once: a user variable that a server does not know is a variable nobody reads. */
static bool dump_variables(struct binlog_client *c, const struct dump_request *r, struct err *err)
{
    struct buf sql = { 0 };
    uint64_t ns = r->heartbeat_ms * 1000000;
    buf_printf(&sql,
               "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = "
               "@@GLOBAL.binlog_checksum, @master_heartbeat_period = %" PRIu64 ", @source_heartbeat_period = %" PRIu64,
               ns, ns);
    if (r->replica_uuid[0] != '\0') {
        buf_str(&sql, ", @slave_uuid = ");
        binlog_client_quote(r->replica_uuid, &sql);
        buf_str(&sql, ", @replica_uuid = ");
        binlog_client_quote(r->replica_uuid, &sql);
    }
    if (c->mariadb) {
        buf_str(&sql, ", @mariadb_slave_capability = 4"); /* with less, GTIDs come as dummy events */
        if (r->by_gtid) {
            struct buf set = { 0 };
            if (r->from->gtids != NULL)
                gtid_set_text(r->from->gtids, &set);
            buf_str(&sql, ", @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0, @slave_connect_state = ");
            binlog_client_quote(buf_cstr(&set), &sql);
            sql.failed = sql.failed || set.failed;
            buf_free(&set);
        }
    }
    bool ok = buf_ok(&sql, err) && binlog_client_exec(c, buf_cstr(&sql), err);
    buf_free(&sql);
    return ok;
}

bool binlog_client_dump(struct binlog_client *c, const struct dump_request *r, struct err *err)
{
    enum {
        HEARTBEAT_V2 = 2,
        SINCE_HEARTBEAT_V2 = 80028,
        SINCE_TAGS = 80300
    }; /* the flag bit means another thing to MariaDB */
    struct dump_command d = { .server_id = r->server_id, .offset = BINLOG_FIRST, .file = "" };
    d.flags = !c->mariadb && c->version >= SINCE_HEARTBEAT_V2 ? HEARTBEAT_V2 : 0;
    struct buf set = { 0 };
    if (r->by_gtid && !c->mariadb) {
        bool tagged = r->from->gtids != NULL && gtid_set_has_tags(r->from->gtids);
        if (tagged && c->version < SINCE_TAGS)
            return err_set(err, ERR_UNSUPPORTED,
                           "the position has tagged GTIDs, which the source, MySQL %s, does not know: it was captured "
                           "from a newer server",
                           c->version_text);
        struct gtid_set *empty = r->from->gtids == NULL ? gtid_set_new(GTID_MYSQL) : NULL;
        if (r->from->gtids == NULL && empty == NULL)
            return err_nomem(err);
        bool ok = gtid_set_encode(empty != NULL ? empty : r->from->gtids, tagged, &set, err) && buf_ok(&set, err);
        gtid_set_free(empty);
        if (!ok) {
            buf_free(&set);
            return false;
        }
        d.gtid_command = true;
        d.gtids = buf_view(&set);
    } else if (!r->by_gtid) {
        /* 32 bits on the wire. Beyond them the file is read from its start; who asked discards up to the offset. */
        d.file = r->from->file;
        d.offset = r->from->offset < BINLOG_FIRST || r->from->offset > UINT32_MAX ? BINLOG_FIRST : r->from->offset;
    }
    bool ok = dump_variables(c, r, err) && client_lib_dump(c, &d, err);
    buf_free(&set);
    if (ok) {
        c->dumping = true;
        /* Every answer before this one was read to its end, so the library holds nothing of the stream. */
        c->own_reads = mysql_get_ssl_cipher(c->my) == NULL;
    }
    return ok;
}

/* ---- the stream without TLS: in large reads from the socket. A library takes 16 KiB at a time, and Connector/C twice the CPU for it. ---- */

enum {
    PACKET_OK = 0,
    PACKET_EOF = 0xfe,
    PACKET_ERROR = 0xff,
    EOF_MAX = 8,
    CR_SERVER_LOST_ = 2013,
    CR_MALFORMED = 2027
};

static bool timed_out(const struct binlog_client *c, unsigned no, struct err *err)
{
    err_set(err, ERR_NET, "nothing from the source %s for %u s, not even a heartbeat: the connection is taken for dead",
            c->place, c->read_timeout_s);
    err->sys = (int)no;
    err->transient = true;
    return false;
}

static bool fill(struct binlog_client *c, struct err *err)
{
    uint8_t *p;
    size_t n;
    int fd = atomic_load(&c->fd);
    if (!packet_stream_room(&c->packets, &p, &n, err))
        return false;
    for (;;) {
        ssize_t r = recv(fd, p, n, MSG_DONTWAIT);
        if (r > 0) {
            packet_stream_added(&c->packets, (size_t)r);
            return true;
        }
        if (r == 0)
            return source_error_stream(err, CR_SERVER_LOST_, "the server closed the connection");
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return source_error_stream(err, CR_SERVER_LOST_, strerror(errno));
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        if (poll(&wait, 1, c->read_timeout_s == 0 ? -1 : (int)c->read_timeout_s * 1000) == 0)
            return timed_out(c, CR_SERVER_LOST_, err);
    }
}

/* ERR packet: number, '#' and SQL state, text. Source: MySQL documentation, "ERR_Packet". */
static enum fetch_result server_error(struct bytes packet, struct err *err)
{
    struct cur at = cur_over(packet);
    cur_u8(&at);
    unsigned no = (unsigned)cur_le(&at, 2);
    if (cur_left(&at) >= 6 && packet.p[cur_at(&at)] == '#')
        cur_take(&at, 6);
    struct bytes text = cur_take(&at, cur_left(&at));
    char copy[512];
    size_t n = text.n < sizeof copy ? text.n : sizeof copy - 1;
    if (n != 0)
        memcpy(copy, text.p, n);
    copy[n] = '\0';
    source_error_stream(err, at.why != NULL ? CR_MALFORMED : no, copy);
    return FETCH_FAIL;
}

static bool timed_fill(struct binlog_client *c, struct err *err)
{
    int64_t began = clock_mono_us();
    bool ok = fill(c, err);
    c->read_us += (uint64_t)(clock_mono_us() - began);
    return ok;
}

static enum fetch_result next_packet(struct binlog_client *c, struct bytes *event, struct err *err)
{
    struct bytes packet;
    enum packet_result r;
    while ((r = packet_stream_next(&c->packets, CLIENT_MAX_PACKET, &packet, err)) == PACKET_MORE)
        if (!timed_fill(c, err))
            return FETCH_FAIL;
    if (r == PACKET_BAD)
        return FETCH_FAIL;
    uint8_t first = packet.n == 0 ? 1 : packet.p[0];
    if (first == PACKET_OK) {
        *event = bytes_of(packet.p + 1, packet.n - 1);
        return FETCH_EVENT;
    }
    if (first == PACKET_EOF && packet.n <= EOF_MAX)
        return FETCH_END;
    if (first == PACKET_ERROR)
        return server_error(packet, err);
    char text[80];
    snprintf(text, sizeof text, "a packet of the stream does not begin with 0: %02x", packet.n == 0 ? 0 : first);
    source_error_stream(err, CR_MALFORMED, text);
    return FETCH_FAIL;
}

static enum fetch_result library_fetch(struct binlog_client *c, struct bytes *event, struct err *err)
{
    int64_t began = clock_mono_us();
    enum fetch_result got = client_lib_fetch(c, event);
    uint64_t waited_us = (uint64_t)(clock_mono_us() - began);
    c->read_us += waited_us;
    if (got != FETCH_FAIL)
        return got;
    unsigned no = mysql_errno(c->my);
    source_error_stream(err, no, mysql_error(c->my));
    /* Both libraries report a timeout as a lost connection: only the clock tells them apart. */
    if (err->code == ERR_NET && c->read_timeout_s > 0 && waited_us >= (uint64_t)c->read_timeout_s * 1000000 - 50000)
        timed_out(c, no, err);
    return FETCH_FAIL;
}

bool binlog_client_at_hand(struct binlog_client *c, struct bytes *event)
{
    struct bytes packet;
    if (!c->own_reads || !packet_stream_at_hand(&c->packets, CLIENT_MAX_PACKET, PACKET_OK, &packet))
        return false;
    *event = bytes_of(packet.p + 1, packet.n - 1);
    c->received += event->n;
    return true;
}

enum fetch_result binlog_client_fetch(struct binlog_client *c, struct bytes *event, struct err *err)
{
    enum fetch_result got = c->own_reads ? next_packet(c, event, err) : library_fetch(c, event, err);
    if (got == FETCH_EVENT)
        c->received += event->n;
    return got;
}

bool binlog_client_pending(struct binlog_client *c)
{
    if (c->own_reads ? packet_stream_buffered(&c->packets) : client_lib_buffered(c))
        return true;
    struct pollfd p = { .fd = atomic_load(&c->fd), .events = POLLIN };
    return p.fd >= 0 && poll(&p, 1, 0) > 0;
}

bool binlog_client_wait(struct binlog_client *c, int also, int timeout_ms)
{
    struct pollfd p[] = { { .fd = atomic_load(&c->fd), .events = POLLIN }, { .fd = also, .events = POLLIN } };
    return poll(p, 2, timeout_ms) > 0 && p[0].revents != 0;
}
