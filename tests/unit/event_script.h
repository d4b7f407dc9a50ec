/* event_script.h - binlog events from one line: commands separated by ';', each makes one event (of schema s, table
 * t (id INT PRIMARY KEY, v VARCHAR)). skip, cut, other, dis and from are for who drives a stream with them.
 *
 *   fake F [N]  rotate F   artificial ROTATE to F:N (4), real ROTATE to F:4
 *   fde  stop  prev SET    FORMAT_DESCRIPTION, STOP, PREVIOUS_GTIDS or GTID_LIST of SET
 *   g N  anon              GTID, ANONYMOUS_GTID
 *   mg N [FLAGS [EXTRA]]   MariaDB's GTID of domain 0
 *   begin commit rollback  and other statements: q TEXT; qe TEXT (with an error); qu TEXT (in schema u);
 *                          qv A,B TEXT (in schema u; the server says that it used A and B); load TEXT
 *   map TABLE              and rows of the table mapped last: ins N V  upd N V W  del N V (then the statement ends)
 *                          more N V M (two rows; it does not end), many N V M (rows N to M)
 *   xid  xa 0|1 [C]  hb  hb2 N  incident  big  ev TYPE [FLAGS]
 *   skip N                 the server leaves out N bytes
 *   cut  other  dis N      a new connection: to the server, to another one, with discard (first in a script: from N)
 *   from N                 the position begins at N
 *   pay ... end            the events between in one TRANSACTION_PAYLOAD, stored (test_payload.c has the rest) */
#ifndef ROWTIDE_EVENT_SCRIPT_H
#define ROWTIDE_EVENT_SCRIPT_H

#include "stream_driver.h"

enum { MAX_EVENT = 4096 };

struct script {
    enum gtid_flavor flavor;
    bool mariadb, crc, in_payload;
    uint64_t offset; /* where the next event begins */
    char table[20];
    struct buf payload;
};

static void finish_event(struct script *s, struct buf *out, uint8_t type, unsigned flags, const struct buf *body)
{
    bool artificial = (flags & EVF_ARTIFICIAL) != 0 || type == EV_HEARTBEAT || type == EV_HEARTBEAT_V2 ||
                      (type == EV_FORMAT_DESCRIPTION && s->offset != 4);
    bool crc = (s->crc && !s->in_payload) || type == EV_FORMAT_DESCRIPTION;
    size_t at = out->n, size = 19 + body->n + (crc ? 4 : 0);
    if (!artificial && !s->in_payload)
        s->offset += size;
    buf_le(out, 1700000000, 4);
    buf_u8(out, type);
    buf_le(out, 1, 4);
    buf_le(out, size, 4);
    buf_le(out, artificial || s->in_payload ? 0 : (uint32_t)s->offset, 4);
    buf_le(out, flags, 2);
    buf_bytes(out, buf_view(body));
    if (crc)
        buf_le(out, crc32_of(bytes_of(out->p + at, out->n - at)), 4);
}

static void put_format(struct script *s, struct buf *b)
{
    char version[50] = "9.7.4";
    if (s->mariadb)
        snprintf(version, sizeof version, "10.11.19-MariaDB");
    buf_le(b, 4, 2);
    buf_put(b, version, 50);
    buf_le(b, 0, 4);
    buf_u8(b, 19);
    for (unsigned type = 1; type <= (s->mariadb ? 171u : 42u); type++) {
        unsigned n = type == EV_QUERY || type == EV_MARIADB_QUERY_COMPRESSED ? 13
                     : type == EV_TABLE_MAP || (type >= 23 && type <= 25)    ? 8
                     : (type >= 30 && type <= 32) || type == 39              ? 10
                                                                             : 0;
        buf_u8(b, (uint8_t)n);
    }
    buf_u8(b, 1); /* CRC-32 */
}

static void put_query(struct buf *b, const char *schema, unsigned error, const char *sql)
{
    buf_le(b, 0, 8);
    buf_u8(b, (uint8_t)strlen(schema));
    buf_le(b, error, 2);
    buf_le(b, 0, 2);
    buf_put(b, schema, strlen(schema) + 1);
    buf_str(b, sql);
}

static void put_map(struct buf *b, const char *table)
{
    buf_le(b, 7, 6);
    buf_le(b, 1, 2);
    buf_put(b, "\001s", 3);
    buf_u8(b, (uint8_t)strlen(table));
    buf_put(b, table, strlen(table) + 1);
    buf_put(b, "\002\003\017\002\050\000\002", 7); /* 2 columns: LONG, VARCHAR(40 bytes); the second is nullable */
    buf_put(b, "\001\001\000", 3);                 /* signed */
    buf_put(b, "\002\001\055", 3);                 /* utf8mb4 */
    buf_put(b, "\004\005\002id\001v", 7);          /* names */
    buf_put(b, "\010\001\000", 3);                 /* key */
}

static void put_row(struct buf *b, const char *id, const char *v)
{
    buf_u8(b, 0);
    buf_le(b, strtoul(id, NULL, 10), 4);
    buf_u8(b, (uint8_t)strlen(v));
    buf_str(b, v);
}

/* One command; false: it is none that makes an event. */
static bool make_event(struct script *s, char *cmd, struct buf *out)
{
    struct buf b = { 0 };
    char *word = strtok(cmd, " "), *rest = strtok(NULL, "");
    uint8_t type = 0;
    unsigned flags = 0;
    char a[80] = "", c[80] = "", d[80] = "";
    if (rest != NULL)
        sscanf(rest, "%79s %79s %79s", a, c, d);
    if (strcmp(word, "fake") == 0 || strcmp(word, "rotate") == 0) {
        type = EV_ROTATE;
        flags = word[0] == 'f' ? EVF_ARTIFICIAL : 0;
        buf_le(&b, c[0] == '\0' ? 4 : strtoull(c, NULL, 10), 8);
        buf_str(&b, a);
    } else if (strcmp(word, "fde") == 0) {
        type = EV_FORMAT_DESCRIPTION;
        put_format(s, &b);
        s->crc = true;
    } else if (strcmp(word, "stop") == 0) {
        type = EV_STOP;
    } else if (strcmp(word, "prev") == 0 && !s->mariadb) {
        struct gtid_set *set = NULL;
        struct err err = { 0 };
        type = EV_PREVIOUS_GTIDS;
        flags = EVF_IGNORABLE;
        CHECK(gtid_set_parse(GTID_MYSQL, bytes_str(a), &set, &err) && gtid_set_encode(set, false, &b, &err), "%s",
              err.msg);
        gtid_set_free(set);
    } else if (strcmp(word, "prev") == 0) {
        unsigned domain, server, no;
        type = EV_MARIADB_GTID_LIST;
        if (sscanf(a, "%u-%u-%u", &domain, &server, &no) == 3) {
            buf_le(&b, 1, 4);
            buf_le(&b, domain, 4);
            buf_le(&b, server, 4);
            buf_le(&b, no, 8);
        } else {
            buf_le(&b, 0, 4);
        }
    } else if (strcmp(word, "g") == 0 || strcmp(word, "anon") == 0) {
        type = word[0] == 'g' ? EV_GTID : EV_ANONYMOUS_GTID;
        buf_put(&b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\001", 17);
        buf_le(&b, strtoull(a, NULL, 10), 8);
    } else if (strcmp(word, "mg") == 0) {
        type = EV_MARIADB_GTID;
        buf_le(&b, strtoull(a, NULL, 10), 8);
        buf_le(&b, 0, 4);
        buf_u8(&b, (uint8_t)strtoul(c, NULL, 16));
        buf_u8(&b, (uint8_t)strtoul(d, NULL, 16));
        buf_le(&b, 0, 5);
    } else if (strcmp(word, "begin") == 0 || strcmp(word, "commit") == 0 || strcmp(word, "rollback") == 0) {
        type = EV_QUERY;
        put_query(&b, "s", 0, word[0] == 'b' ? "BEGIN" : word[0] == 'c' ? "COMMIT" : "ROLLBACK");
    } else if (strcmp(word, "q") == 0 || strcmp(word, "qe") == 0 || strcmp(word, "qu") == 0) {
        type = EV_QUERY;
        put_query(&b, word[1] == 'u' ? "u" : "s", word[1] == 'e', rest);
    } else if (strcmp(word, "qv") == 0) {
        type = EV_QUERY;
        size_t n = strlen(a);
        buf_le(&b, 0, 8);
        buf_le(&b, 1, 3);
        static const char vars[] = "\0\0\0\0\0"              /* flags */
                                   "\1\0\0\40\0\240\105\0\0" /* sql_mode */
                                   "\6\3std"                 /* catalog */
                                   "\3\1\0\1\0"              /* auto_increment */
                                   "\4\41\0\41\0\377\0"      /* character sets */
                                   "\5\3UTC"                 /* time zone */
                                   "\13\1a\2bc";             /* invoker */
        buf_le(&b, sizeof vars - 1 + 2 + n + 1, 2);
        buf_put(&b, vars, sizeof vars - 1);
        buf_u8(&b, 12);
        buf_u8(&b, strchr(a, ',') == NULL ? 1 : 2);
        for (size_t i = 0; i <= n; i++)
            buf_u8(&b, (uint8_t)(a[i] == ',' ? 0 : a[i]));
        buf_put(&b, "u", 2);
        buf_str(&b, strchr(rest, ' ') + 1);
    } else if (strcmp(word, "load") == 0) {
        type = EV_EXECUTE_LOAD_QUERY;
        buf_le(&b, 0, 8);
        buf_u8(&b, 1);
        buf_le(&b, 0, 4); /* error, length of status variables */
        buf_le(&b, 0, 8);
        buf_le(&b, 0, 5);
        buf_put(&b, "s", 2);
        buf_str(&b, rest);
    } else if (strcmp(word, "map") == 0) {
        type = EV_TABLE_MAP;
        put_map(&b, a);
    } else if (strcmp(word, "ins") == 0 || strcmp(word, "more") == 0 || strcmp(word, "upd") == 0 ||
               strcmp(word, "del") == 0) {
        type = word[0] == 'u' ? EV_UPDATE_ROWS : word[0] == 'd' ? EV_DELETE_ROWS : EV_WRITE_ROWS;
        buf_le(&b, 7, 6);
        buf_le(&b, word[0] != 'm', 2);
        buf_le(&b, 2, 2);
        buf_put(&b, "\002\003\003", type == EV_UPDATE_ROWS ? 3 : 2);
        put_row(&b, a, c);
        if (type == EV_UPDATE_ROWS)
            put_row(&b, a, d);
        if (word[0] == 'm') /* two rows */
            put_row(&b, d, c);
    } else if (strcmp(word, "many") == 0) {
        char id[12];
        type = EV_WRITE_ROWS;
        buf_le(&b, 7, 6);
        buf_le(&b, 1, 2);
        buf_le(&b, 2, 2);
        buf_put(&b, "\002\003\003", 2);
        for (unsigned long n = strtoul(a, NULL, 10); n <= strtoul(d, NULL, 10); n++) {
            snprintf(id, sizeof id, "%lu", n);
            put_row(&b, id, c);
        }
    } else if (strcmp(word, "xid") == 0) {
        type = EV_XID;
        buf_le(&b, 5, 8);
    } else if (strcmp(word, "xa") == 0) {
        type = EV_XA_PREPARE;
        buf_u8(&b, (uint8_t)(a[0] - '0'));
        buf_le(&b, 1, 4);
        buf_le(&b, 1, 4);
        buf_le(&b, 0, 4);
        buf_u8(&b, c[0] == '\0' ? 'x' : (uint8_t)c[0]);
    } else if (strcmp(word, "hb") == 0) {
        type = EV_HEARTBEAT;
        buf_str(&b, "f.1");
    } else if (strcmp(word, "hb2") == 0) {
        type = EV_HEARTBEAT_V2;
        buf_put(&b, "\001\003f.1\002\011\376", 8);
        buf_le(&b, strtoull(a, NULL, 10), 8);
        buf_u8(&b, 0);
    } else if (strcmp(word, "incident") == 0) {
        type = EV_INCIDENT;
        buf_put(&b, "\001\000\004LOST", 7);
    } else if (strcmp(word, "ev") == 0) {
        type = (uint8_t)strtoul(a, NULL, 10);
        flags = (unsigned)strtoul(c, NULL, 16);
        buf_le(&b, 0, 8);
    } else if (strcmp(word, "big") == 0) {
        type = EV_IGNORABLE;
        for (int i = 0; i < MAX_EVENT; i++)
            buf_u8(&b, 0);
    } else {
        buf_free(&b);
        return false;
    }
    finish_event(s, out, type, flags, &b);
    buf_free(&b);
    return true;
}

static void wrap_payload(struct script *s, struct buf *out)
{
    struct buf b = { 0 };
    buf_put(&b, "\002\003\374\377\000", 5); /* compression NONE (255, length-encoded) */
    buf_put(&b, "\003\003\374", 3);
    buf_le(&b, s->payload.n, 2);
    buf_put(&b, "\001\003\374", 3);
    buf_le(&b, s->payload.n, 2);
    buf_u8(&b, 0);
    buf_bytes(&b, buf_view(&s->payload));
    s->in_payload = false;
    finish_event(s, out, EV_TRANSACTION_PAYLOAD, 0, &b);
    buf_free(&s->payload);
    buf_free(&b);
}

#endif
