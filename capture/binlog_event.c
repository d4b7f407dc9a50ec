/* binlog_event.c - header, checksum, names, FORMAT_DESCRIPTION, and the events that are not rows nor GTIDs.
 *
 * Layouts: MySQL source, libs/mysql/binlog/event/binlog_event.h (header), control_events.cpp, statement_events.cpp;
 * MariaDB source, sql/log_event.h and log_event.cc. GTID events are in binlog_gtid.c, TABLE_MAP and rows in
 * table_map.c and row_event.c. */
#include "binlog_event.h"

#include "wire.h"

#include <endian.h>
#include <libdeflate.h>
#include <stdlib.h>

enum { HEADER_BYTES = 19, CRC_BYTES = 4, TYPE_AT = 4, SIZE_AT = 9, FLAGS_AT = 17, SERVER_VERSION_BYTES = 50 };
enum { EVF_BINLOG_IN_USE = 0x1 }; /* set while the file is open for writing, and not in the checksum */
enum { CHECKSUM_OFF = 0, CHECKSUM_CRC32 = 1 };

static inline uint32_t le32_at(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static uint32_t event_crc(struct bytes in)
{
    if ((in.p[FLAGS_AT] & EVF_BINLOG_IN_USE) == 0)
        return libdeflate_crc32(0, in.p, in.n - CRC_BYTES);
    uint8_t head[HEADER_BYTES];
    memcpy(head, in.p, sizeof head);
    head[FLAGS_AT] &= (uint8_t)~EVF_BINLOG_IN_USE;
    uint32_t crc = libdeflate_crc32(0, head, sizeof head);
    return libdeflate_crc32(crc, in.p + HEADER_BYTES, in.n - HEADER_BYTES - CRC_BYTES);
}

static bool crc_matches(struct bytes in)
{
    return in.n >= HEADER_BYTES + CRC_BYTES && le32_at(in.p + in.n - CRC_BYTES) == event_crc(in);
}

/* "9.7.4-2" -> 9 007 004. Suffixes do not count. */
static unsigned version_number(const char *text)
{
    unsigned parts[3] = { 0 };
    for (unsigned i = 0; i < 3; i++) {
        char *end;
        unsigned long v = strtoul(text, &end, 10);
        parts[i] = v > 999 ? 999 : (unsigned)v;
        if (end == text || *end != '.')
            break;
        text = end + 1;
    }
    return parts[0] * 1000000 + parts[1] * 1000 + parts[2];
}

/* From 5.6.1 on (MariaDB: 5.3) FORMAT_DESCRIPTION ends with an algorithm byte and 4 checksum bytes, also with
 * algorithm "off". */
static bool format_has_checksum(const char *server_version)
{
    unsigned v = version_number(server_version);
    return v >= 5006001 || (strstr(server_version, "MariaDB") != NULL && v >= 5003000);
}

static bool read_server_version(struct bytes body, char out[SERVER_VERSION_BYTES + 1])
{
    if (body.n < 2 + SERVER_VERSION_BYTES)
        return false;
    memcpy(out, body.p + 2, SERVER_VERSION_BYTES);
    out[SERVER_VERSION_BYTES] = '\0';
    return true;
}

/* How many bytes of checksum end this event; -1: they are wrong. */
static int checksum_bytes(struct bytes in, uint8_t type, const struct binlog_format *fmt)
{
    if (fmt->crc && type != EV_FORMAT_DESCRIPTION)
        return crc_matches(in) ? CRC_BYTES : -1;
    if (type == EV_FORMAT_DESCRIPTION) {
        char version[SERVER_VERSION_BYTES + 1];
        struct bytes body = { in.p + HEADER_BYTES, in.n - HEADER_BYTES };
        if (!read_server_version(body, version) || !format_has_checksum(version) || body.n < 1 + CRC_BYTES)
            return 0;
        if (in.p[in.n - CRC_BYTES - 1] == CHECKSUM_OFF)
            return CRC_BYTES; /* there, but not computed by every server */
        return crc_matches(in) ? CRC_BYTES : -1;
    }
    /* The artificial ROTATE that opens a stream comes before FORMAT_DESCRIPTION can say whether there are checksums;
     * 4 bytes too many would become part of the file's name. */
    if (type == EV_ROTATE && !fmt->known && crc_matches(in))
        return CRC_BYTES;
    return 0;
}

/* HEADER_BYTES are there. */
static inline void read_header(const uint8_t *p, struct binlog_event *e)
{
    e->when = le32_at(p);
    e->type = p[TYPE_AT];
    e->server_id = le32_at(p + TYPE_AT + 1);
    e->size = le32_at(p + SIZE_AT);
    e->next_pos = le32_at(p + SIZE_AT + 4);
    e->flags = (uint16_t)(p[FLAGS_AT] | p[FLAGS_AT + 1] << 8);
}

struct binlog_event binlog_event_header(struct bytes in)
{
    uint8_t head[HEADER_BYTES] = { 0 };
    struct binlog_event e = { 0 };
    if (in.n != 0)
        memcpy(head, in.p, in.n < sizeof head ? in.n : sizeof head);
    read_header(head, &e);
    return e;
}

static bool wrong_size(const struct binlog_event *e, size_t n, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "binlog event %s (%u): its header says %u bytes, but %zu came",
                   binlog_event_name(e->type), e->type, e->size, n);
}

bool binlog_event_parse(struct bytes in, const struct binlog_format *fmt, struct binlog_event *out, struct err *err)
{
    if (in.n < HEADER_BYTES)
        return err_set(err, ERR_CORRUPT, "binlog event of %zu bytes: the header alone has %d", in.n, HEADER_BYTES);
    read_header(in.p, out);
    if (out->size != in.n)
        return wrong_size(out, in.n, err);
    int tail = checksum_bytes(in, out->type, fmt);
    size_t left = in.n - HEADER_BYTES;
    if (tail < 0 || (size_t)tail > left)
        return err_set(err, ERR_CORRUPT,
                       "binlog event %s (%u) of %u bytes from server %u: wrong checksum: damaged on the source's disk "
                       "or on the way",
                       binlog_event_name(out->type), out->type, out->size, out->server_id);
    out->body = (struct bytes){ in.p + HEADER_BYTES, left - (size_t)tail };
    return true;
}

void binlog_event_make(uint8_t type, struct bytes body, bool crc, struct buf *out)
{
    size_t start = out->n, n = HEADER_BYTES + body.n + (crc ? CRC_BYTES : 0);
    buf_le(out, 0, 4);
    buf_u8(out, type);
    buf_le(out, 0, 4);
    buf_le(out, n, 4);
    buf_le(out, 0, 4);
    buf_le(out, EVF_ARTIFICIAL, 2);
    buf_bytes(out, body);
    if (crc) {
        buf_le(out, 0, CRC_BYTES);
        if (!out->failed) {
            uint32_t sum = event_crc(bytes_of(out->p + start, n));
            out->n -= CRC_BYTES;
            buf_le(out, sum, CRC_BYTES);
        }
    }
}

const char *binlog_event_name(uint8_t type)
{
    static const char *const mysql[] = {
        [1] = "START_V3",
        [EV_QUERY] = "QUERY",
        [EV_STOP] = "STOP",
        [EV_ROTATE] = "ROTATE",
        [EV_INTVAR] = "INTVAR",
        [EV_LOAD] = "LOAD",
        [7] = "SLAVE",
        [8] = "CREATE_FILE",
        [9] = "APPEND_BLOCK",
        [10] = "EXEC_LOAD",
        [11] = "DELETE_FILE",
        [12] = "NEW_LOAD",
        [EV_RAND] = "RAND",
        [EV_USER_VAR] = "USER_VAR",
        [EV_FORMAT_DESCRIPTION] = "FORMAT_DESCRIPTION",
        [EV_XID] = "XID",
        [EV_BEGIN_LOAD_QUERY] = "BEGIN_LOAD_QUERY",
        [EV_EXECUTE_LOAD_QUERY] = "EXECUTE_LOAD_QUERY",
        [EV_TABLE_MAP] = "TABLE_MAP",
        [20] = "PRE_GA_WRITE_ROWS",
        [21] = "PRE_GA_UPDATE_ROWS",
        [22] = "PRE_GA_DELETE_ROWS",
        [EV_WRITE_ROWS_V1] = "WRITE_ROWS_V1",
        [EV_UPDATE_ROWS_V1] = "UPDATE_ROWS_V1",
        [EV_DELETE_ROWS_V1] = "DELETE_ROWS_V1",
        [EV_INCIDENT] = "INCIDENT",
        [EV_HEARTBEAT] = "HEARTBEAT",
        [EV_IGNORABLE] = "IGNORABLE",
        [EV_ROWS_QUERY] = "ROWS_QUERY",
        [EV_WRITE_ROWS] = "WRITE_ROWS",
        [EV_UPDATE_ROWS] = "UPDATE_ROWS",
        [EV_DELETE_ROWS] = "DELETE_ROWS",
        [EV_GTID] = "GTID",
        [EV_ANONYMOUS_GTID] = "ANONYMOUS_GTID",
        [EV_PREVIOUS_GTIDS] = "PREVIOUS_GTIDS",
        [EV_TRANSACTION_CONTEXT] = "TRANSACTION_CONTEXT",
        [EV_VIEW_CHANGE] = "VIEW_CHANGE",
        [EV_XA_PREPARE] = "XA_PREPARE",
        [EV_PARTIAL_UPDATE_ROWS] = "PARTIAL_UPDATE_ROWS",
        [EV_TRANSACTION_PAYLOAD] = "TRANSACTION_PAYLOAD",
        [EV_HEARTBEAT_V2] = "HEARTBEAT_V2",
        [EV_GTID_TAGGED] = "GTID_TAGGED",
    };
    static const char *const mariadb[] = { "ANNOTATE_ROWS",
                                           "BINLOG_CHECKPOINT",
                                           "GTID",
                                           "GTID_LIST",
                                           "START_ENCRYPTION",
                                           "QUERY_COMPRESSED",
                                           "WRITE_ROWS_COMPRESSED_V1",
                                           "UPDATE_ROWS_COMPRESSED_V1",
                                           "DELETE_ROWS_COMPRESSED_V1",
                                           "WRITE_ROWS_COMPRESSED",
                                           "UPDATE_ROWS_COMPRESSED",
                                           "DELETE_ROWS_COMPRESSED",
                                           "PARTIAL_ROW_DATA" };
    if (type < sizeof mysql / sizeof mysql[0] && mysql[type] != NULL)
        return mysql[type];
    if (type >= EV_MARIADB_ANNOTATE_ROWS && type <= EV_MARIADB_PARTIAL_ROW_DATA)
        return mariadb[type - EV_MARIADB_ANNOTATE_ROWS];
    return "UNKNOWN";
}

bool binlog_event_is_rows(uint8_t type)
{
    return (type >= EV_WRITE_ROWS_V1 && type <= EV_DELETE_ROWS_V1) ||
           (type >= EV_WRITE_ROWS && type <= EV_DELETE_ROWS) || type == EV_PARTIAL_UPDATE_ROWS ||
           (type >= EV_MARIADB_WRITE_ROWS_COMPRESSED_V1 && type <= EV_MARIADB_DELETE_ROWS_COMPRESSED);
}

bool binlog_parse_format(const struct binlog_event *e, struct binlog_format *out, struct err *err)
{
    struct binlog_format f = { .known = true };
    struct cur c = cur_over(e->body);
    uint64_t version = cur_le(&c, 2);
    struct bytes server = cur_take(&c, SERVER_VERSION_BYTES);
    (void)cur_take(&c, 4); /* when the file was created */
    uint8_t header = cur_u8(&c);
    if (!cur_ok(&c, "FORMAT_DESCRIPTION", err))
        return false;
    if (version != 4 || header != HEADER_BYTES)
        return err_set(err, ERR_UNSUPPORTED,
                       "FORMAT_DESCRIPTION: binlog version %u with %u-byte headers; only version 4 with %d is read",
                       (unsigned)version, header, HEADER_BYTES);
    memcpy(f.server_version, server.p, server.n);
    struct bytes rest = cur_take(&c, cur_left(&c));
    if (format_has_checksum(f.server_version)) {
        if (rest.n == 0)
            return err_set(err, ERR_CORRUPT, "FORMAT_DESCRIPTION: truncated before the checksum algorithm");
        uint8_t algorithm = rest.p[--rest.n];
        if (algorithm != CHECKSUM_OFF && algorithm != CHECKSUM_CRC32)
            return err_set(err, ERR_UNSUPPORTED,
                           "FORMAT_DESCRIPTION: checksum algorithm %u is not known: SET GLOBAL binlog_checksum = CRC32",
                           algorithm);
        f.crc = algorithm == CHECKSUM_CRC32;
    }
    if (rest.n > sizeof f.post_len)
        return err_set(err, ERR_CORRUPT, "FORMAT_DESCRIPTION: %zu event types", rest.n);
    if (rest.n >= EV_TABLE_MAP && rest.n < EV_WRITE_ROWS_V1)
        return err_set(
            err, ERR_UNSUPPORTED,
            "FORMAT_DESCRIPTION of %.50s: %zu event types, as MySQL 5.1 had before it was released: its rows "
            "are laid out in another way",
            f.server_version, rest.n);
    if (rest.n < EV_ROTATE)
        return err_set(err, ERR_CORRUPT, "FORMAT_DESCRIPTION: truncated: only %zu event types", rest.n);
    f.nposts = (uint8_t)rest.n;
    memcpy(f.post_len, rest.p, rest.n);
    /* A suffix may hide the name, but only MariaDB has events from 160 on. */
    f.mariadb = strstr(f.server_version, "MariaDB") != NULL || rest.n >= EV_MARIADB_GTID;
    *out = f;
    return true;
}

bool binlog_parse_rotate(const struct binlog_event *e, struct ev_rotate *out, struct err *err)
{
    struct cur c = cur_over(e->body);
    uint64_t offset = cur_le(&c, 8);
    struct bytes file = cur_take(&c, cur_left(&c));
    if (c.why == NULL && (file.n == 0 || file.n > 512 || memchr(file.p, '\0', file.n) != NULL))
        cur_fail(&c, "no proper file name");
    if (!cur_ok(&c, "ROTATE", err))
        return false;
    *out = (struct ev_rotate){ file, offset };
    return true;
}

/* Status variables are best effort: codes come in rising order, so that nothing we know stands behind one that we do
 * not. */
static void read_status_vars(struct bytes in, struct ev_query *q)
{
    struct cur c = cur_over(in);
    while (cur_left(&c) != 0) {
        switch (cur_u8(&c)) {
        case 0: /* flags2 */
            (void)cur_take(&c, 4);
            break;
        case 1: {
            uint64_t mode = cur_le(&c, 8);
            if (c.why == NULL)
                q->sql_mode = mode;
            break;
        }
        case 2: /* catalog with a NUL behind it: 5.0.0 to 5.0.3 */
            (void)cur_take(&c, (size_t)cur_u8(&c) + 1);
            break;
        case 3: /* auto_increment_increment, _offset */
            (void)cur_take(&c, 4);
            break;
        case 4: { /* character_set_client, collation_connection, collation_server */
            uint64_t client = cur_le(&c, 2);
            (void)cur_take(&c, 4);
            if (c.why == NULL)
                q->client_collation = (uint16_t)client;
            break;
        }
        case 5: /* time zone */
        case 6: /* catalog */
            (void)cur_take(&c, cur_u8(&c));
            break;
        default:
            return;
        }
    }
}

bool binlog_parse_query(const struct binlog_event *e, const struct binlog_format *fmt, struct buf *scratch,
                        struct ev_query *out, struct err *err)
{
    enum { POST_HEADER = 13 };
    struct ev_query q = { 0 };
    const char *what = binlog_event_name(e->type);
    struct cur c = cur_over(e->body);
    (void)cur_take(&c, 8); /* thread, seconds it took */
    uint8_t schema_n = cur_u8(&c);
    q.error_code = (uint16_t)cur_le(&c, 2);
    size_t vars_n = (size_t)cur_le(&c, 2);
    if (fmt->known && e->type <= fmt->nposts && fmt->post_len[e->type - 1] > POST_HEADER)
        (void)cur_take(&c, (size_t)fmt->post_len[e->type - 1] - POST_HEADER);
    struct bytes vars = cur_take(&c, vars_n);
    q.schema = cur_take(&c, schema_n);
    if (cur_u8(&c) != 0)
        cur_fail(&c, "no NUL behind the schema's name");
    q.sql = cur_take(&c, cur_left(&c));
    if (!cur_ok(&c, what, err))
        return false;
    read_status_vars(vars, &q);
    if (e->type == EV_MARIADB_QUERY_COMPRESSED) {
        buf_reset(scratch);
        if (!wire_uncompress(q.sql, scratch, err))
            return err_ctx(err, "%s", what);
        q.sql = buf_view(scratch);
    }
    *out = q;
    return true;
}

bool binlog_parse_xid(const struct binlog_event *e, uint64_t *xid, struct err *err)
{
    struct cur c = cur_over(e->body);
    *xid = cur_le(&c, 8);
    return (c.why == NULL && c.p == c.end) || cur_finish(&c, "XID", err);
}

bool binlog_parse_heartbeat(const struct binlog_event *e, struct ev_heartbeat *out, struct err *err)
{
    struct ev_heartbeat h = { .file = e->body, .pos = e->next_pos };
    struct cur c = cur_over(e->body);
    if (e->type == EV_HEARTBEAT_V2) { /* type, length, value; 0 ends (MySQL source, codecs/binary.cpp) */
        enum { END = 0, FILE_NAME = 1, POSITION = 2 };
        h = (struct ev_heartbeat){ { NULL, 0 }, 0 };
        for (;;) {
            uint64_t type = wire_lenenc(&c);
            if (c.why != NULL || type == END)
                break;
            struct bytes value = wire_lenenc_str(&c);
            if (type == FILE_NAME) {
                h.file = value;
            } else if (type == POSITION) {
                struct cur v = cur_over(value);
                h.pos = wire_lenenc(&v);
                if (v.why != NULL)
                    cur_fail(&c, v.why);
            }
        }
    }
    if (c.why == NULL && (h.file.n == 0 || h.file.n > 512 || memchr(h.file.p, '\0', h.file.n) != NULL))
        cur_fail(&c, "no proper file name");
    if (!cur_ok(&c, "HEARTBEAT", err))
        return false;
    *out = h;
    return true;
}

bool binlog_parse_incident(const struct binlog_event *e, struct ev_incident *out, struct err *err)
{
    struct cur c = cur_over(e->body);
    uint16_t number = (uint16_t)cur_le(&c, 2);
    struct bytes message = cur_take(&c, cur_u8(&c));
    if (!cur_ok(&c, "INCIDENT", err))
        return false;
    *out = (struct ev_incident){ number, message };
    return true;
}
