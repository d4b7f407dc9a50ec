/* test_binlog_stream.c - the transaction state machine against events made here: every state, every refusal, and the
 * position after each event. A case is a script of event_script.h. */
#include "event_script.h"
#include "slog.h"

struct test {
    const char *name;
    enum gtid_flavor flavor;
    const char *script;
    const char *want; /* the steps; then the records, or "!" and a part of the error */
    const char *gtids;
};

static void check_position(const struct test *t, const struct source_pos *was, struct driver *d, char step,
                           const char *file, uint64_t end)
{
    const struct source_pos *p = binlog_stream_position(d->s);
    if (step == 'C')
        CHECK(p->offset == end && strcmp(p->file, file) == 0, "%s: commit at %s:%llu, position %s:%llu", t->name, file,
              (unsigned long long)end, p->file, (unsigned long long)p->offset);
    if (step == 'C')
        CHECK(d->commit_offset == end && strcmp(d->commit_file, file) == 0, "%s: COMMIT says %s:%llu", t->name,
              d->commit_file, (unsigned long long)d->commit_offset);
    if (step == 'I')
        CHECK(p->offset == was->offset && strcmp(p->file, was->file) == 0, "%s: moved inside, to %s:%llu", t->name,
              p->file, (unsigned long long)p->offset);
    if (step != 'F' && step != 'I' && p->offset != was->offset)
        CHECK(p->offset == end && strcmp(p->file, file) == 0, "%s: %c at %s:%llu, position %s:%llu", t->name, step,
              file, (unsigned long long)end, p->file, (unsigned long long)p->offset);
    int order = strcmp(p->file, was->file); /* one-digit names here; the server of another name is another one's */
    CHECK(order > 0 || (order == 0 && p->offset >= was->offset) || p->file[0] == '\0', "%s: back to %s:%llu", t->name,
          p->file, (unsigned long long)p->offset);
}

static void run(const struct test *t, size_t frame_size)
{
    struct script s = { .flavor = t->flavor, .mariadb = t->flavor == GTID_MARIADB, .offset = 4 };
    struct source_pos from = { .flavor = t->flavor, .server = "srv", .file = "f.1", .offset = 4 };
    struct driver d;
    struct err err = { 0 };
    char *copy = strdup(t->script), *save = NULL;
    struct buf steps = { 0 }, gtids = { 0 };
    char file[40] = "f.1", step = 'I';
    if (t->flavor != GTID_NONE)
        from.gtids = gtid_set_new(t->flavor);
    if (strncmp(copy, "from ", 5) == 0)
        from.offset = strtoull(copy + 5, NULL, 10);
    if (strncmp(copy, "dis ", 4) == 0)
        from.offset = strtoull(copy + 4, NULL, 10);
    driver_open(&d, "s.*,!s.skip", &from, MAX_EVENT);
    d.frame_size = frame_size;
    d.brief = true;
    for (char *cmd = strtok_r(copy, ";", &save); cmd != NULL && step != 'F'; cmd = strtok_r(NULL, ";", &save)) {
        struct buf event = { 0 };
        cmd += strspn(cmd, " \n");
        if (strncmp(cmd, "fake ", 5) == 0 || strncmp(cmd, "rotate ", 7) == 0) {
            if (cmd[0] == 'f' && strchr(cmd + 5, ' ') != NULL)
                s.offset = strtoull(strchr(cmd + 5, ' '), NULL, 10);
        }
        if (strcmp(cmd, "pay") == 0) {
            s.in_payload = true;
            continue;
        }
        if (strncmp(cmd, "skip ", 5) == 0) {
            s.offset += strtoull(cmd + 5, NULL, 10);
            continue;
        }
        if (strncmp(cmd, "from ", 5) == 0)
            continue;
        if (strncmp(cmd, "dis ", 4) == 0 || strcmp(cmd, "cut") == 0 || strcmp(cmd, "other") == 0) {
            driver_cut(&d);
            binlog_stream_reconnect(d.s, cmd[0] == 'o' ? "other" : "srv", cmd[0] == 'd');
            s.crc = false;
            if (cmd[0] == 'o')
                CHECK(binlog_stream_position(d.s)->offset == 0, "%s: another server's offset", t->name);
            continue;
        }
        if (strcmp(cmd, "end") == 0) {
            wrap_payload(&s, &event);
        } else {
            char text[200];
            snprintf(text, sizeof text, "%s", cmd);
            if (!make_event(&s, text, s.in_payload ? &s.payload : &event)) {
                CHECK(false, "%s: unknown command %s", t->name, cmd);
                break;
            }
            if (s.in_payload)
                continue;
        }
        struct source_pos was;
        source_pos_copy(binlog_stream_position(d.s), &was, &err);
        uint8_t *exact = malloc(event.n);
        memcpy(exact, event.p, event.n);
        step = driver_feed(&d, bytes_of(exact, event.n), &err);
        free(exact);
        if (strncmp(cmd, "rotate ", 7) == 0 || strncmp(cmd, "fake ", 5) == 0) {
            sscanf(strchr(cmd, ' '), "%39s", file);
            if (cmd[0] == 'r' || strchr(cmd + 5, ' ') == NULL)
                s.offset = 4;
        }
        check_position(t, &was, &d, step, file, s.offset);
        source_pos_clear(&was);
        buf_u8(&steps, (uint8_t)step);
        buf_free(&event);
    }
    if (step == 'F') {
        const char *want = strchr(t->want, '!');
        CHECK(want != NULL && steps.n == (size_t)(want - t->want) && memcmp(steps.p, t->want, steps.n) == 0 &&
                  strstr(err.msg, want + 1) != NULL && strncmp(err.msg, "at f.", 5) == 0,
              "%s: want %s, got %s!%s", t->name, t->want, buf_cstr(&steps), err.msg);
        CHECK(d.open.n == 0, "%s: open", t->name);
    } else {
        if (d.done.n > 0)
            buf_str(&steps, " ");
        buf_bytes(&steps, buf_view(&d.done));
        CHECK(strcmp(buf_cstr(&steps), t->want) == 0, "%s: want %s, got %s", t->name, t->want, buf_cstr(&steps));
    }
    if (t->gtids != NULL) {
        gtid_set_text(binlog_stream_position(d.s)->gtids, &gtids);
        CHECK(strcmp(buf_cstr(&gtids), t->gtids) == 0, "%s: GTIDs %s, want %s", t->name, buf_cstr(&gtids), t->gtids);
    }
    free(copy);
    buf_free(&s.payload);
    buf_free(&steps);
    buf_free(&gtids);
    source_pos_clear(&from);
    driver_close(&d);
}

#define U "00000000-0000-0000-0000-000000000001"
#define N GTID_NONE
#define G GTID_MYSQL
#define M GTID_MARIADB
#define S "fake f.1;fde;"
#define T1 "g 1;begin;map t;ins 1 a;xid;"
#define TWO "anon;begin;map t;ins 1 a;xid;anon;begin;map t;ins 2 b;xid" /* their ends: 351, 575 */
#define GONE "begin;map t;ins 1 a;"
#define XA "q XA START X'78',X'',1;map t;more 1 a 2;upd 2 a b;"
static const struct test tests[] = {
    /* transactions */
    { "by offset", N, S "anon;begin;map t;ins 1 a;xid", "BBIIIIC B0,+t 1|a,C,", NULL },
    { "changes", G, S "prev;g 5;begin;map t;more 1 a 2;ins 3 c;map t;upd 1 a b;map t;del 1 b;xid",
      "BBBIIIIIIIIIC B5,+t 1|a,+t 2|a,+t 3|c,=t 1|a > 1|b,-t 1|b,C,", U ":5" },
    { "table ids end with the statement", G, S "g 5;begin;map t;ins 1 a;upd 1 a b",
      "BBIIIIF!no TABLE_MAP of this statement", "" },
    { "no GTID events", N, S "begin;map t;ins 1 a;commit;begin;map t;ins 2 a;xid",
      "BBIIICIIIC B0,+t 1|a,C,B0,+t 2|a,C,", NULL },
    { "filtered", G, S "g 1;begin;map skip;ins 1 a;xid;g 3;begin;map t;ins 1 a;xid;g 4;qu CREATE TABLE x (a INT)",
      "BBIIIIBIIIICIB B3,+t 1|a,C:1,", U ":1:3-4" },
    { "partly filtered", G, S "g 1;begin;map skip;ins 1 a;map t;ins 2 b;map skip;ins 3 c;xid",
      "BBIIIIIIIIC B1,+t 2|b,C,", U ":1" },
    { "MariaDB", M, S "prev;mg 1 0c;map t;ins 1 a;xid;mg 2 08;map t;del 1 a;commit",
      "BBBIIICIIIC B1,+t 1|a,C,B2,-t 1|a,C,", "0-1-2" },
    { "MariaDB filtered", M, S "mg 1 0c;map skip;ins 1 a;xid;mg 2 29;q FLUSH TABLES;mg 3 0c;map t;ins 1 a;xid",
      "BBIIIBIBIIIC B3,+t 1|a,C0-1-2,", "0-1-3" },
    { "empty", G, S "g 1;begin;commit;g 2;commit", "BBIIBIB", U ":1-2" },
    { "comments and contexts", G, S "g 1;begin;ev 29;map t;ev 29;ins 1 a;ev 36;ev 37;ev 28;xid",
      "BBIIIIIIIIIC B1,+t 1|a,C,", U ":1" },
    /* out of order */
    { "XID alone", G, S "xid", "BBF!XID outside of a transaction", "" },
    { "XID behind GTID", G, S "g 1;xid", "BBIF!XID where a transaction's first event is due", "" },
    { "COMMIT alone", N, S "commit", "BBF!COMMIT outside of a transaction", NULL },
    { "TABLE_MAP behind GTID", G, S "g 1;map t", "BBIF!TABLE_MAP where", "" },
    { "TABLE_MAP alone", N, S "map t", "BBF!TABLE_MAP outside", NULL },
    { "rows alone", N, S "ins 1 a", "BBF!WRITE_ROWS outside", NULL },
    { "two GTIDs", G, S "g 1;g 2", "BBIF!GTID where", "" },
    { "GTID inside", G, S "g 1;" GONE "g 2", "BBIIIIF!GTID inside a transaction", "" },
    { "BEGIN inside", G, S "g 1;begin;begin", "BBIIF!BEGIN inside", "" },
    { "ROTATE inside", G, S "g 1;" GONE "rotate f.2", "BBIIIIF!ROTATE inside", "" },
    { "STOP inside", G, S "g 1;" GONE "stop", "BBIIIIF!STOP inside", "" },
    { "FORMAT_DESCRIPTION inside", G, S "g 1;begin;fde", "BBIIF!FORMAT_DESCRIPTION inside", "" },
    { "PREVIOUS_GTIDS inside", G, S "g 1;begin;prev", "BBIIF!PREVIOUS_GTIDS inside", "" },
    /* GTIDs */
    { "a GTID twice", G, S "g 1;begin;commit;g 1", "BBIIBF!already has", U ":1" },
    { "MariaDB: a number back", M, S "mg 5 29;q FLUSH TABLES;mg 4 29", "BBIBF!already has", "0-1-5" },
    { "gaps are fine", G, S "g 7;begin;commit;g 3;begin;commit", "BBIIBIIB", U ":3:7" },
    { "another family", G, S "mg 1 29", "BBF!other server family", "" },
    { "captured without GTID", G, S "anon;" GONE, "BBIIIF!without a GTID", "" },
    { "filtered without GTID", G, S "anon;begin;map skip;ins 1 a;xid", "BBIIIIB", "" },
    { "before our place, not ours", G, S "prev " U ":1-3", "BBF!" U ":1-3 came before this place", "" },
    { "before our place, ours", G, S T1 "rotate f.2;fde;prev " U ":1", "BBIIIICBBB B1,+t 1|a,C,", U ":1" },
    { "next file holds more", G, S T1 "rotate f.2;fde;prev " U ":1-2", "BBIIIICBBF!" U ":2 came before", U ":1" },
    { "MariaDB: before our place", M, S "prev 0-1-9", "BBF!0-1-9 came before this place", "" },
    { "MariaDB: ours", M, S "mg 9 29;q FLUSH TABLES;rotate f.2;fde;prev 0-1-9", "BBIBBBB", "0-1-9" },
    { "by offset PREVIOUS_GTIDS say nothing", N, S "prev " U ":1-3;" TWO, "BBBIIIICIIIIC B0,+t 1|a,C,B0,+t 2|b,C,",
      NULL },
    /* rollback */
    { "rolled back", G, S "g 1;" GONE "rollback;g 2;" GONE "xid", "BBIIIIAIIIIC B2,+t 1|a,C:1,", U ":1-2" },
    { "rolled back, filtered", G, S "g 1;begin;map skip;ins 1 a;rollback", "BBIIIIB", U ":1" },
    { "savepoint, nothing taken back", G,
      S "g 1;" GONE "q SAVEPOINT `a`;map skip;ins 2 b;q ROLLBACK TO `a`;map t;ins 3 c;xid",
      "BBIIIIIIIIIIC B1,+t 1|a,+t 3|c,C,", U ":1" },
    { "inner savepoint", G,
      S "g 1;begin;q SAVEPOINT `a`;map t;ins 1 a;q SAVEPOINT `b c`;q ROLLBACK WORK TO SAVEPOINT `b c`;xid",
      "BBIIIIIIIC B1,+t 1|a,C,", U ":1" },
    { "savepoint set again", G,
      S "g 1;begin;q SAVEPOINT `a`;map t;ins 1 a;q SAVEPOINT `a`;q ROLLBACK TO `a`;q RELEASE SAVEPOINT `a`;xid",
      "BBIIIIIIIIC B1,+t 1|a,C,", U ":1" },
    { "unknown savepoint", G, S "g 1;" GONE "q ROLLBACK TO `a`", "BBIIIIF!not known", "" },
    { "accents", G, S "g 1;begin;q SAVEPOINT a;map t;ins 1 a;q SAVEPOINT \xc3\xa4;q ROLLBACK TO a",
      "BBIIIIIIF!not known", "" },
    { "savepoints end with their transaction", G, S "g 1;begin;q SAVEPOINT `a`;commit;g 2;" GONE "q ROLLBACK TO `a`",
      "BBIIIBIIIIF!takes back", U ":1" },
    /* DDL */
    { "DDL", G,
      S "g 1;q CREATE TABLE t (id INT);g 2;q ALTER TABLE t ADD x INT;g 3;q TRUNCATE t;g 4;q DROP TABLE u.x, t",
      "BBICICICIC B1,ddl1 CREATE TABLE t (id INT),C,B2,ddl2 ALTER TABLE t ADD x INT,C,B3,trunc t,C,B4,ddl3 DROP TABLE "
      "u.x, t,C,",
      U ":1-4" },
    { "DDL, filtered", G,
      S "g 1;q CREATE TABLE skip (id INT);g 2;qu TRUNCATE t;g 3;q GRANT ALL ON s.* TO x;g 4;qu DROP DATABASE u;g 5;q "
        "RENAME TABLE skip TO u.t",
      "BBIBIBIBIBIB", U ":1-5" },
    { "DDL reaches in by name", G,
      S "g 1;qu RENAME TABLE t TO s.t;g 2;qu ALTER TABLE t RENAME TO s.t;g 3;qu DROP DATABASE s",
      "BBICICIC B1,ddl4 RENAME TABLE t TO s.t,C,B2,ddl2 ALTER TABLE t RENAME TO s.t,C,B3,ddl8 DROP DATABASE s,C,",
      U ":1-3" },
    { "rows change places with those of another table's partition", G,
      S
      "g 1;qu ALTER TABLE x EXCHANGE PARTITION p WITH TABLE s.t;g 2;qu ALTER TABLE x EXCHANGE PARTITION p WITH TABLE y",
      "BBICIB B1,ddl2 ALTER TABLE x EXCHANGE PARTITION p WITH TABLE s.t,C,", U ":1-2" },
    { "CREATE TABLE ... SELECT, whose rows the binlog lacks", G, S "g 1;q CREATE TABLE t AS SELECT * FROM u.x",
      "BBIF!are not in the binlog", "" },
    { "the same of a table that is not captured", G, S "g 1;q CREATE TABLE skip AS SELECT * FROM t", "BBIB", U ":1" },
    { "failed DDL", G, S "g 1;qe ALTER TABLE t ADD x INT", "BBIF!may be half done", "" },
    { "failed DROP", G, S "g 1;qe DROP TABLE t, x", "BBIC B1,ddl3 DROP TABLE t, x,C,", U ":1" },
    { "failed DDL, filtered", G, S "g 1;qe ALTER TABLE skip ADD x INT", "BBIB", U ":1" },
    { "DDL in a transaction", G, S "g 1;begin;q ALTER TABLE t ADD x INT", "BBIIF!inside a transaction", "" },
    { "DDL by offset without GTID event", N, S "q CREATE TABLE t (id INT)", "BBC B0,ddl1 CREATE TABLE t (id INT),C,",
      NULL },
    { "MySQL CREATE SELECT", G, S "g 1;begin;q CREATE TABLE t (id INT) START TRANSACTION;map t;ins 1 a;xid",
      "BBIIIIIC B1,ddl1 CREATE TABLE t (id INT),+t 1|a,C,", U ":1" },
    { "MySQL CREATE SELECT without BEGIN", G, S "g 1;q CREATE TABLE t (id INT) START TRANSACTION;map t;ins 1 a;xid",
      "BBIIIIC B1,ddl1 CREATE TABLE t (id INT),+t 1|a,C,", U ":1" },
    { "MySQL CREATE SELECT, filtered", G,
      S "g 1;begin;q CREATE TABLE skip (id INT) START TRANSACTION;map skip;ins 1 a;xid", "BBIIIIIB", U ":1" },
    { "MySQL CREATE SELECT, abandoned", G, S "g 1;begin;q CREATE TABLE t (id INT) START TRANSACTION;fake f.2;fde",
      "BBIIIIA", "" },
    { "MariaDB CREATE SELECT", M, S "mg 1 28;q CREATE OR REPLACE TABLE `t` (id INT);map t;ins 1 a;commit",
      "BBIIIIC B1,ddl1 CREATE OR REPLACE TABLE `t` (id INT),+t 1|a,C,", "0-1-1" },
    { "MariaDB two-phase ALTER", M,
      S "mg 1 29 02;q ALTER TABLE t ADD x INT;mg 2 29 04;q ALTER TABLE t ADD x INT;mg 3 29 02;q ALTER TABLE t ADD y "
        "INT;mg 4 29 08;qe ALTER TABLE t ADD y INT",
      "BBIBICIBIB B2,ddl2 ALTER TABLE t ADD x INT,C0-1-1,", "0-1-4" },
    /* statement format */
    { "statement", G, S "g 1;begin;ev 5;q INSERT INTO t VALUES (1)", "BBIIIF!in statement format", "" },
    { "statement on u", G, S "g 1;begin;ev 5;ev 13;ev 14;q INSERT INTO u.t VALUES (1);xid", "BBIIIIIIB", U ":1" },
    { "statement on a neighbour, maybe a view", G, S "g 1;begin;q INSERT INTO skip VALUES (1)",
      "BBIIF!in statement format", "" },
    { "statement that is analyzed", G, S "g 1;begin;qu ANALYZE DELETE FROM s.t", "BBIIF!in statement format", "" },
    { "statement on two tables", G, S "g 1;begin;qu UPDATE a, b SET a.x = 1", "BBIIF!in statement format", "" },
    { "statement from another schema", G, S "g 1;begin;qu DELETE FROM s.t", "BBIIF!in statement format", "" },
    { "statement without BEGIN", N, S "ev 5;qu INSERT INTO x VALUES (1)", "BBIB", NULL },
    { "statement, a trigger reaches in", G, S "g 1;begin;qv u,s INSERT INTO x VALUES (1)", "BBIIF!in statement format",
      "" },
    { "statement that only reads ours", G, S "g 1;begin;qv u,s REPLACE INTO x SELECT * FROM `s`.`t`;xid", "BBIIIB",
      U ":1" },
    { "statement, nothing of ours", G, S "g 1;begin;qv u INSERT INTO x VALUES (1);qv u,v UPDATE a, v.b SET a.x = 1;xid",
      "BBIIIIB", U ":1" },
    { "statement on two tables, one may be ours", G, S "g 1;begin;qv u,s UPDATE a, s.b SET a.x = 1",
      "BBIIF!in statement format", "" },
    { "LOAD DATA as a statement", G, S "g 1;begin;ev 17;ev 9;load LOAD DATA INFILE 'x' INTO TABLE t",
      "BBIIIIF!in statement format", "" },
    { "LOAD DATA into u", G, S "g 1;begin;ev 17;ev 11;load LOAD DATA INFILE 'x' INTO TABLE `u`.`t` (v);xid", "BBIIIIIB",
      U ":1" },
    /* XA */
    { "XA PREPARE", G, S "g 1;" XA "xa 0", "BBIIIIIB", U ":1" },
    { "XA COMMIT", G, S "g 1;" XA "xa 0;g 2;" GONE "xid;g 3;q XA COMMIT X'78',X'',1",
      "BBIIIIIBIIIICIC B2,+t 1|a,C:1,B3,+t 1|a,+t 2|a,=t 2|a > 2|b,C,", U ":1-3" },
    { "XA ROLLBACK", G, S "g 1;" XA "xa 0;g 2;q XA ROLLBACK X'78',X'',1;g 3;" GONE "xid",
      "BBIIIIIBIBIIIIC B3,+t 1|a,C:1-2,", U ":1-3" },
    { "two prepared", G,
      S "g 1;" XA
        "xa 0;g 2;q XA START X'79',X'',1;map t;ins 9 y;xa 0 y;g 3;q XA COMMIT X'79';g 4;q XA COMMIT x'78',X'', 1",
      "BBIIIIIBIIIIBICIC B3,+t 9|y,C:1-2,B4,+t 1|a,+t 2|a,=t 2|a > 2|b,C,", U ":1-4" },
    { "XA COMMIT without GTIDs", N, S XA "xa 0;" GONE "xid;q XA COMMIT X'78',X'',1",
      "BBIIIIBIIICC B0,+t 1|a,C,B0,+t 1|a,+t 2|a,=t 2|a > 2|b,C,", NULL },
    { "XA twice by one name", G,
      S "g 1;" XA
        "xa 0;g 2;q XA COMMIT X'78',X'',1;g 3;q XA START X'78',X'',1;map t;ins 5 e;xa 0;g 4;q XA COMMIT X'78',X'',1",
      "BBIIIIIBICIIIIBIC B2,+t 1|a,+t 2|a,=t 2|a > 2|b,C:1,B4,+t 5|e,C:3,", U ":1-4" },
    { "prepared twice", G, S "g 1;" XA "xa 0;g 2;" XA "xa 0", "BBIIIIIBIIIIIF!prepared already", U ":1" },
    { "XA COMMIT of what came before", G, S "g 1;q XA COMMIT X'78',X'',1",
      "BBIF!XA COMMIT X'78',X'',1: it was prepared before", "" },
    { "XA ROLLBACK of what came before", G, S "g 1;q XA ROLLBACK X'78',X'',1", "BBIB", U ":1" },
    { "XA, another format", G, S "g 1;" XA "xa 0;g 2;q XA COMMIT X'78',X'',2", "BBIIIIIBIF!X'78',X'',2: it was",
      U ":1" },
    { "XA COMMIT of no xid", G, S "g 1;q XA COMMIT 'x'", "BBIF!XA COMMIT: xid: not a hex", "" },
    { "XA COMMIT and more", G, S "g 1;q XA COMMIT X'78',X'',1 ONE PHASE", "BBIF!XA COMMIT: xid: trailing", "" },
    { "XA rolled back", G, S "g 1;" XA "rollback;g 2;" GONE "xid", "BBIIIIIBIIIIC B2,+t 1|a,C:1,", U ":1-2" },
    { "XA with another end", G, S "g 1;" XA "xid", "BBIIIIIF!an end other than XA PREPARE", "" },
    { "XA abandoned", G, S "g 1;" XA "fake f.2;fde;g 1;" GONE "xid", "BBIIIIIIBIIIIC B1,+t 1|a,C,", U ":1" },
    { "XA, connection breaks", G, S "g 1;" XA "cut;" S "g 1;" GONE "xid", "BBIIIIIBBIIIIC B1,+t 1|a,C,", U ":1" },
    { "XA, DDL inside", G, S "g 1;" XA "q CREATE TABLE t (a INT)", "BBIIIIIF!inside a transaction", "" },
    { "XA without rows", G, S "g 1;q XA START X'78';xa 0;g 2;q XA COMMIT X'78'", "BBIIBIB", U ":1-2" },
    { "XA one phase, filtered", G, S "g 1;q XA START X'78';map skip;ins 1 a;xa 1", "BBIIIIB", U ":1" },
    { "MariaDB's XA COMMIT", M, S "mg 1 4c;map t;ins 1 a;q XA END X'78',X'',1;xa 0;mg 2 89;q XA COMMIT X'78',X'',1",
      "BBIIIIBIC B2,+t 1|a,C0-1-1,", "0-1-2" },
    { "MariaDB's XA ROLLBACK", M, S "mg 1 4c;map t;ins 1 a;q XA END X'78',X'',1;xa 0;mg 2 89;q XA ROLLBACK X'78',X'',1",
      "BBIIIIBIB", "0-1-2" },
    { "XA one phase", G, S "g 1;q XA START X'78',X'',1;map t;ins 1 a;q XA END X'78',X'',1;xa 1",
      "BBIIIIIC B1,+t 1|a,C,", U ":1" },
    { "XA, filtered", G,
      S "g 1;q XA START X'78',X'',1;map skip;ins 1 a;q XA END X'78',X'',1;xa 0;g 2;q XA COMMIT X'78',X'',1;g 3;q XA "
        "ROLLBACK X'78',X'',1",
      "BBIIIIIBIBIB", U ":1-3" },
    { "XA_PREPARE alone", N, S "xa 0", "BBF!XA_PREPARE outside", NULL },
    { "XA END alone", N, S "q XA END X'78',X'',1", "BBF!XA END outside", NULL },
    { "XA COMMIT inside", N, S "begin;q XA COMMIT X'78',X'',1", "BBIF!XA COMMIT inside", NULL },
    /* other events */
    { "INCIDENT", G, S "incident", "BBF!INCIDENT (1: LOST)", "" },
    { "INCIDENT inside", G, S "g 1;begin;incident", "BBIIF!INCIDENT", "" },
    { "INCIDENT behind what we have", G, S T1 "incident", "BBIIIICF!INCIDENT", U ":1" },
    { "INCIDENT in front of our place, sent again", G, S T1 "cut;fake f.1;fde;incident", "BBIIIICBBB B1,+t 1|a,C,",
      U ":1" },
    { "INCIDENT, our place not known", G, S T1 "other;fake f.1;fde;incident", "BBIIIICBBF!INCIDENT", U ":1" },
    { "unknown", G, S "ev 99", "BBF!type 99", "" },
    { "unknown and ignorable", G, S "ev 99 80;g 1;begin;ev 200 80;map t;ev 99 80;ins 1 a;xid",
      "BBBIIIIIIC B1,+t 1|a,C,", U ":1" },
    { "unknown, MariaDB's number", M, S "ev 173", "BBF!type 173", "" },
    { "PARTIAL_ROW_DATA", M, S "mg 1 0c;ev 172 80", "BBIF!PARTIAL_ROW_DATA", "" },
    { "LOAD of old", N, S "ev 6 80", "BBF!type 6", NULL },
    { "rows of a pre-release", N, S "begin;ev 20 80", "BBIF!type 20", NULL },
    { "parts of a statement are no borders", N, S "ev 5;ev 13;ev 14;ev 17;ev 9;ev 11;ev 29", "BBIIIIIII", NULL },
    { "checkpoint", M, S "ev 161;ev 164 80;mg 1 29;q FLUSH TABLES;ev 161", "BBBBIBB", "0-1-1" },
    { "too large", G, S "big", "BBF!larger than --max-event", "" },
    { "heartbeats", G, S "hb;g 1;hb;begin;map t;hb2 4;ins 1 a;xid;hb", "BBBIIIIIICB B1,+t 1|a,C,", U ":1" },
    /* files and offsets */
    { "files", G, S T1 "rotate f.2;fake f.2;fde;prev " U ":1;stop;fake f.3;fde;prev " U ":1",
      "BBIIIICBBBBBBBB B1,+t 1|a,C,", U ":1" },
    { "abandoned", G, S "g 1;" GONE "fake f.2;fde;prev;g 1;begin;map t;ins 2 b;xid", "BBIIIIIABIIIIC B1,+t 2|b,C,",
      U ":1" },
    { "abandoned, filtered", G, S "g 1;begin;map skip;ins 1 a;fake f.2;fde;prev;g 1;begin;xid", "BBIIIIIBBIIB",
      U ":1" },
    { "abandoned, by offset", N, S TWO ";anon;" GONE "fake f.2;fde;anon;begin;map t;ins 3 c;xid",
      "BBIIIICIIIICIIIIIAIIIIC B0,+t 1|a,C,B0,+t 2|b,C,B0,+t 3|c,C,", NULL },
    { "connection lost inside", G, S T1 "g 2;" GONE "cut;fake f.1;fde;prev;skip 224;g 2;begin;map t;ins 2 b;xid",
      "BBIIIICIIIIBBBIIIIC B1,+t 1|a,C,B2,+t 2|b,C,", U ":1-2" },
    { "the head of a file again", G, S T1 "cut;fake f.1;fde;prev;hb", "BBIIIICBBBB B1,+t 1|a,C,", U ":1" },
    { "an earlier file again", G, S T1 "rotate f.2;fde;prev " U ":1;cut;fake f.1;fde;prev;rotate f.2;fde;prev " U ":1",
      "BBIIIICBBBBBBBBB B1,+t 1|a,C,", U ":1" },
    { "another server", G, S T1 "other;fake f.0;fde;prev;g 2;begin;map t;ins 2 b;xid",
      "BBIIIICBBBIIIIC B1,+t 1|a,C,B2,+t 2|b,C,", U ":1-2" },
    { "from a border", N, "from 351;fake f.1 351;fde;anon;begin;map t;ins 2 b;xid", "BBIIIIC B0,+t 2|b,C,", NULL },
    { "begins elsewhere", N, "from 351;fake f.1 4", "F!asked for f.1:351, but the source begins at f.1:4", NULL },
    { "another file", N, "from 351;fake f.2 351", "F!asked for f.1:351, but the source begins at f.2:351", NULL },
    { "going back", N, "from 351;fake f.1 351;fde;skip -100;anon", "BBF!overlaps what came before", NULL },
    { "4 GiB inside a transaction", N,
      "from 4294967200;fake f.1 4294967200;fde;anon;begin;map t;ins 1 a;xid;anon;begin;map t;ins 2 b;xid",
      "BBIIIICIIIIC B0,+t 1|a,C,B0,+t 2|b,C,", NULL },
    { "4 GiB at a border of events", N, "from 4294967248;fake f.1 4294967248;fde;anon;begin;map t;ins 1 a;xid",
      "BBIIIIC B0,+t 1|a,C,", NULL },
    { "8 GiB", N, "from 8589934500;fake f.1 8589934500;fde;anon;begin;map t;ins 1 a;xid", "BBIIIIC B0,+t 1|a,C,",
      NULL },
    { "more than 4 GiB left out", G, S "prev;skip 5000000000;hb2 5000000158;" T1 "xid", "BBBBIIIICF!XID outside",
      U ":1" },
    { "a little left out", G, S "prev;skip 5000;" T1 "hb", "BBBIIIICB B1,+t 1|a,C,", U ":1" },
    { "discard", N, "dis 351;" S TWO, "BBBBBBBIIIIC B0,+t 2|b,C,", NULL },
    { "discard to the file's end", N, "dis 575;" S TWO ";rotate f.2;fde;" TWO,
      "BBBBBBBBBBBBBBIIIICIIIIC B0,+t 1|a,C,B0,+t 2|b,C,", NULL },
    { "discard into an event", N, "dis 340;" S TWO, "BBBBBBF!goes beyond offset 340", NULL },
    { "discard, file too short", N, "dis 600;" S TWO ";rotate f.2", "BBBBBBBBBBBBF!f.1 ends before offset 600", NULL },
    { "discard, file ended by a crash", N, "dis 600;" S TWO ";fake f.2", "BBBBBBBBBBBBF!f.1 ends before offset 600",
      NULL },
    /* payloads */
    { "payload", G, S "g 1;pay;begin;map t;more 1 a 2;ins 3 c;map skip;ins 4 d;map t;upd 1 a b;xid;end;g 2;" GONE "xid",
      "BBICIIIIC B1,+t 1|a,+t 2|a,+t 3|c,=t 1|a > 1|b,C,B2,+t 1|a,C,", U ":1-2" },
    { "payload, filtered", G, S "g 1;pay;begin;map skip;more 1 a 2;ins 3 c;xid;end;ev 99", "BBIBF!type 99", U ":1" },
    { "payload, XA", G, S "g 1;pay;q XA START X'78',X'',1;map skip;ins 1 a;q XA END X'78',X'',1;xa 0;end", "BBIB",
      U ":1" },
    { "payload, rolled back", G, S "g 1;pay;" GONE "rollback;end;g 2;begin;commit", "BBIAIIB", U ":1-2" },
    { "payload without its end", G, S "g 1;pay;" GONE "end", "BBIF!the end of a TRANSACTION_PAYLOAD inside", "" },
    { "payload without its end, filtered", G, S "g 1;pay;begin;map skip;ins 1 a;end",
      "BBIF!the end of a TRANSACTION_PAYLOAD inside", "" },
    { "payload goes on", G, S "g 1;pay;" GONE "xid;begin;end", "BBIF!goes on behind the end", "" },
    { "payload goes on, filtered", G, S "g 1;pay;begin;commit;begin;end", "BBIF!goes on behind the end", "" },
    { "payload goes on after a rollback", G, S "g 1;pay;" GONE "rollback;xid;end", "BBIF!goes on behind the end", "" },
    { "payload in a payload", G, S "g 1;pay;begin;ev 40;end",
      "BBIF!TRANSACTION_PAYLOAD (type 40) inside a TRANSACTION_PAYLOAD", "" },
    { "GTID in a payload", G, S "g 1;pay;begin;g 2;end", "BBIF!GTID (type 33) inside", "" },
    { "ROTATE in a payload", G, S "g 1;pay;begin;rotate f.2;end", "BBIF!ROTATE (type 4) inside", "" },
    { "unknown in a payload", G, S "g 1;pay;begin;ev 99;end", "BBIF!type 99", "" },
    { "MariaDB's in a payload", G, S "g 1;pay;begin;ev 162;end", "BBIF!GTID (type 162) inside", "" },
    { "payload alone", G, S "pay;begin;xid;end", "BBF!TRANSACTION_PAYLOAD outside", "" },
    { "payload inside", G, S "g 1;begin;pay;begin;xid;end", "BBIIF!TRANSACTION_PAYLOAD inside a transaction", "" },
    { "not a payload", G, S "g 1;ev 40", "BBIF!TRANSACTION_PAYLOAD: its head", "" },
};

/* What stays in the frame is taken out of it. */
static const struct test savepoints[] = {
    { "rows taken back", G,
      S "g 1;" GONE "q SAVEPOINT `a`;map t;more 2 b 3;ins 4 b;q ROLLBACK TO `a`;map t;ins 5 c;xid",
      "BBIIIIIIIIIIIC B1,+t 1|a,+t 5|c,C,", U ":1" },
    { "all taken back", G, S "g 1;begin;q SAVEPOINT a;map t;ins 1 a;q ROLLBACK TO a;xid;g 2;" GONE "xid",
      "BBIIIIIIBIIIIC B2,+t 1|a,C:1,", U ":1-2" },
    { "all taken back, then more", G, S "g 1;begin;q SAVEPOINT a;map t;ins 1 a;q ROLLBACK TO a;map t;ins 2 b;xid",
      "BBIIIIIIIIC B1,+t 2|b,C,", U ":1" },
    { "all taken back, then rolled back", G, S "g 1;begin;q SAVEPOINT a;map t;ins 1 a;q ROLLBACK TO a;rollback",
      "BBIIIIIIB", U ":1" },
    { "twice to one savepoint", G,
      S "g 1;" GONE "q SAVEPOINT A;map t;ins 2 b;q ROLLBACK TO a;map t;ins 3 c;q ROLLBACK TO `a`;map t;ins 4 d;xid",
      "BBIIIIIIIIIIIIIC B1,+t 1|a,+t 4|d,C,", U ":1" },
    { "outer behind inner", G,
      S "g 1;" GONE
        "q SAVEPOINT a;map t;ins 2 b;q SAVEPOINT b;map t;ins 3 c;q ROLLBACK TO b;q ROLLBACK TO a;map t;upd 1 a d;xid",
      "BBIIIIIIIIIIIIIIC B1,+t 1|a,=t 1|a > 1|d,C,", U ":1" },
    { "set anew", G, S "g 1;" GONE "q SAVEPOINT a;map t;ins 2 b;q SAVEPOINT a;map t;ins 3 c;q ROLLBACK TO a;xid",
      "BBIIIIIIIIIIIC B1,+t 1|a,+t 2|b,C,", U ":1" },
    { "behind whole transactions", G, S T1 "g 2;begin;map t;ins 2 b;q SAVEPOINT a;map t;del 1 a;q ROLLBACK TO a;xid",
      "BBIIIICIIIIIIIIC B1,+t 1|a,C,B2,+t 2|b,C,", U ":1-2" },
    { "in XA", G, S "g 1;" XA "q SAVEPOINT a;map t;ins 9 z;q ROLLBACK TO a;map t;ins 4 d;xa 0;g 2;q XA COMMIT X'78'",
      "BBIIIIIIIIIIIBIC B2,+t 1|a,+t 2|a,=t 2|a > 2|b,+t 4|d,C:1,", U ":1-2" },
};
/* What went on (each row, with frames this small) is left out in a second reading. */
#define TWICE(x) S x ";cut;" S x
static const struct test savepoints_spilled[] = {
    { "taken back, but written", G,
      TWICE("g 1;" GONE "q SAVEPOINT `a`;map t;more 2 b 3;ins 4 b;q ROLLBACK TO `a`;map t;ins 5 c;xid"),
      "BBIIIIIIIIIIIR"
      "BBIIIIIIIIIIIC B1,+t 1|a,+t 5|c,C,",
      U ":1" },
    { "all taken back, but written", G,
      TWICE("g 1;begin;q SAVEPOINT a;map t;ins 1 a;q ROLLBACK TO a;xid") ";g 2;" GONE "xid",
      "BBIIIIIIR"
      "BBIIIIIIBIIIIC B2,+t 1|a,C:1,",
      U ":1-2" },
    { "all taken back, then more", G, TWICE("g 1;begin;q SAVEPOINT a;map t;ins 1 a;q ROLLBACK TO a;map t;ins 2 b;xid"),
      "BBIIIIIIIIR"
      "BBIIIIIIIIC B1,+t 2|b,C,",
      U ":1" },
    { "all taken back, then rolled back: once is enough", G,
      S "g 1;begin;q SAVEPOINT a;map t;ins 1 a;q ROLLBACK TO a;map t;ins 2 b;rollback;g 2;" GONE "xid",
      "BBIIIIIIIIAIIIIC B2,+t 1|a,C:1,", U ":1-2" },
    { "twice to one savepoint", G,
      TWICE("g 1;" GONE
            "q SAVEPOINT A;map t;ins 2 b;q ROLLBACK TO a;map t;ins 3 c;q ROLLBACK TO `a`;map t;ins 4 d;xid"),
      "BBIIIIIIIIIIIIIR"
      "BBIIIIIIIIIIIIIC B1,+t 1|a,+t 4|d,C,",
      U ":1" },
    { "outer behind inner", G,
      TWICE("g 1;" GONE "q SAVEPOINT a;map t;ins 2 b;q SAVEPOINT b;map t;ins 3 c;q ROLLBACK TO b;q ROLLBACK TO a;map "
            "t;upd 1 a d;xid"),
      "BBIIIIIIIIIIIIIIR"
      "BBIIIIIIIIIIIIIIC B1,+t 1|a,=t 1|a > 1|d,C,",
      U ":1" },
    { "two of three", G,
      TWICE("g 1;" GONE "q SAVEPOINT a;map t;ins 2 b;q ROLLBACK TO a;map skip;ins 9 s;map t;ins 3 c;q SAVEPOINT b;map "
            "t;ins 4 d;q ROLLBACK TO b;map t;ins 5 e;xid"),
      "BBIIIIIIIIIIIIIIIIIIR"
      "BBIIIIIIIIIIIIIIIIIIC B1,+t 1|a,+t 3|c,+t 5|e,C,",
      U ":1" },
    { "behind whole transactions", G,
      S T1 "g 2;begin;map t;ins 2 b;q SAVEPOINT a;map t;del 1 a;q ROLLBACK TO a;xid;cut;" S
           "skip 224;g 2;begin;map t;ins 2 b;q SAVEPOINT a;map t;del 1 a;q ROLLBACK TO a;xid",
      "BBIIIICIIIIIIIIR"
      "BBIIIIIIIIC B1,+t 1|a,C,B2,+t 2|b,C,",
      U ":1-2" },
    { "in a payload", G, TWICE("g 1;pay;" GONE "q SAVEPOINT a;map t;ins 2 b;q ROLLBACK TO a;xid;end"),
      "BBIRBBIC B1,+t 1|a,C,", U ":1" },
    { "in XA, but written", G,
      TWICE("g 1;" XA "q SAVEPOINT a;map t;ins 9 z;q ROLLBACK TO a;map t;ins 4 d;xa 0") ";g 2;q XA COMMIT X'78'",
      "BBIIIIIIIIIIIR"
      "BBIIIIIIIIIIIBIC B2,+t 1|a,+t 2|a,=t 2|a > 2|b,+t 4|d,C:1,",
      U ":1-2" },
    { "to a savepoint that is not known, while looking", G,
      S "g 1;" GONE "q SAVEPOINT a;map t;ins 2 b;q ROLLBACK TO a;map t;ins 3 c;q ROLLBACK TO x",
      "BBIIIIIIIIIIF!not known", "" },
    { "not the same the second time", G,
      S "g 1;" GONE "q SAVEPOINT a;map t;ins 2 b;q ROLLBACK TO a;xid;cut;" S "g 1;" GONE
        "q SAVEPOINT a;map t;ins 2 b;xid",
      "BBIIIIIIIIR"
      "BBIIIIIIIF!a second time",
      "" },
    { "not the same on another server", G,
      S "g 1;" GONE "q SAVEPOINT a;map t;ins 2 b;q ROLLBACK TO a;xid;other;" S "g 1;" GONE
        "q SAVEPOINT a;map t;ins 2 b;xid",
      "BBIIIIIIIIR"
      "BBIIIIIIIC B1,+t 1|a,+t 2|b,C,",
      U ":1" },
};

/* The counters, and what a caller does beside feeding events. */
static void test_interface(void)
{
    struct script s = { .flavor = GTID_MYSQL, .offset = 4 };
    struct source_pos from = {
        .flavor = GTID_MYSQL, .gtids = gtid_set_new(GTID_MYSQL), .server = "srv", .file = "f.1", .offset = 4
    };
    struct driver d;
    struct err err = { 0 };
    const char *const script[] = { "fake f.1", "fde", "g 1",   "begin", "map skip",   "ins 1 a",
                                   "xid",      "g 2", "begin", "map t", "more 1 a 2", "rollback" };
    driver_open(&d, "s.*,!s.skip", &from, MAX_EVENT);
    d.brief = true;
    for (size_t i = 0; i < sizeof script / sizeof script[0]; i++) {
        struct buf e = { 0 };
        char text[40];
        snprintf(text, sizeof text, "%s", script[i]);
        make_event(&s, text, &e);
        CHECK(driver_feed(&d, buf_view(&e), &err) != 'F', "%s: %s", script[i], err.msg);
        buf_free(&e);
        if (i == 0)
            s.offset = 4;
        if (i == 1)
            CHECK(!binlog_stream_moved(d.s) && binlog_stream_filtered(d.s) == 0, "moved at the start");
    }
    const struct binlog_stream_stats *st = binlog_stream_stats(d.s);
    CHECK(st->events == 12 && st->transactions == 2 && st->captured_transactions == 0 && st->inserts == 0,
          "%llu events, %llu transactions, %llu captured, %llu inserts", (unsigned long long)st->events,
          (unsigned long long)st->transactions, (unsigned long long)st->captured_transactions,
          (unsigned long long)st->inserts);
    CHECK(binlog_stream_moved(d.s), "filtered, but not moved");
    CHECK(binlog_stream_filtered(d.s) == s.offset - 127, "filtered %llu",
          (unsigned long long)binlog_stream_filtered(d.s));
    CHECK(binlog_stream_commit_us(d.s) == 1700000000 * INT64_C(1000000), "commit time");
    bool ok = binlog_stream_message(d.s, "topic", BYTES_LIT("body"), 1, d.b, &err);
    driver_flush(&d);
    CHECK(ok && strcmp(buf_cstr(&d.done), "B0,msg topic body,C:1-2,") == 0, "message: %s", buf_cstr(&d.done));
    CHECK(!binlog_stream_moved(d.s) && binlog_stream_filtered(d.s) == 0, "moved behind a message");
    buf_reset(&d.done);
    ok = binlog_stream_message(d.s, "t", BYTES_LIT("b"), 1, d.b, &err);
    driver_flush(&d);
    CHECK(ok && strcmp(buf_cstr(&d.done), "B0,msg t b,C,") == 0, "message: %s", buf_cstr(&d.done));
    driver_close(&d);
    source_pos_clear(&from);
}

/* Many rows in one event, by frames of every size: each is there once, in order, and counted once, an XA transaction's when it is committed. */
static void test_many_rows(void)
{
    enum { LAST = 50 };
    static const struct {
        const char *script;
        uint64_t inserts;
        bool xa;
    } steps[] = {
        { "fake f.1", 0, false },
        { "fde", 0, false },
        { "g 1", 0, false },
        { "begin", 0, false },
        { "map t", 0, false },
        { "many 1 a 50", LAST, false },
        { "xid", LAST, false },
        { "g 2", LAST, true },
        { "q XA START X'78',X'',1", LAST, true },
        { "map t", LAST, true },
        { "many 1 a 50", LAST, true },
        { "xa 0", LAST, true },
        { "g 3", LAST, true },
        { "q XA COMMIT X'78',X'',1", 2 * LAST, true },
    };
    static const size_t frame_sizes[] = { 1, 300, SIZE_MAX };
    for (size_t k = 0; k < sizeof frame_sizes / sizeof *frame_sizes; k++) {
        struct script s = { .flavor = GTID_MYSQL, .offset = 4 };
        struct source_pos from = {
            .flavor = GTID_MYSQL, .gtids = gtid_set_new(GTID_MYSQL), .server = "srv", .file = "f.1", .offset = 4
        };
        struct driver d;
        struct err err = { 0 };
        struct buf want = { 0 };
        unsigned frames = 0;
        driver_open(&d, "s.*", &from, MAX_EVENT);
        d.frame_size = frame_sizes[k];
        d.brief = true;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct buf e = { 0 };
            char text[40];
            snprintf(text, sizeof text, "%s", steps[i].script);
            make_event(&s, text, &e);
            CHECK(driver_feed(&d, buf_view(&e), &err) != 'F', "%s: %s", steps[i].script, err.msg);
            CHECK(binlog_stream_stats(d.s)->inserts == steps[i].inserts, "%s: %llu inserts", steps[i].script,
                  (unsigned long long)binlog_stream_stats(d.s)->inserts);
            frames = steps[i].xa ? frames : d.frames;
            buf_free(&e);
            if (i == 0)
                s.offset = 4;
        }
        for (unsigned gtid = 1; gtid <= 3; gtid += 2) {
            buf_printf(&want, "B%u,", gtid);
            for (unsigned n = 1; n <= LAST; n++)
                buf_printf(&want, "+t %u|a,", n);
            buf_printf(&want, gtid == 1 ? "C," : "C:2,");
        }
        CHECK(strcmp(buf_cstr(&d.done), buf_cstr(&want)) == 0, "frames of %zu: %s", frame_sizes[k], buf_cstr(&d.done));
        CHECK(frame_sizes[k] == 1     ? frames == LAST
              : frame_sizes[k] == 300 ? frames > 2 && frames < LAST / 2
                                      : frames == 0,
              "%u frames of %zu", frames, frame_sizes[k]);
        buf_free(&want);
        driver_close(&d);
        source_pos_clear(&from);
    }
}

/* By offset, each file is told of once, and again on each connection. */
static void test_new_file(void)
{
    struct script s = { .flavor = GTID_NONE, .offset = 4 };
    struct source_pos from = { .server = "srv", .file = "f.1", .offset = 4 };
    struct driver d;
    struct err err = { 0 };
    const struct {
        const char *script, *file;
    } steps[] = { { "fake f.1", NULL }, { "fde", "f.1" },       { "anon", NULL }, { "begin", NULL },
                  { "xid", NULL },      { "rotate f.2", NULL }, { "fde", "f.2" }, { "prev", NULL } };
    driver_open(&d, "s.*", &from, MAX_EVENT);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct buf e = { 0 };
        char text[40];
        const char *name = NULL;
        uint32_t made = 0;
        snprintf(text, sizeof text, "%s", steps[i].script);
        make_event(&s, text, &e);
        CHECK(driver_feed(&d, buf_view(&e), &err) != 'F', "%s: %s", steps[i].script, err.msg);
        bool told = binlog_stream_new_file(d.s, &name, &made);
        CHECK(told == (steps[i].file != NULL), "%zu: told %d", i, told);
        CHECK(!told || (strcmp(name, steps[i].file) == 0 && made == 1700000000), "%zu: %s %u", i, name, made);
        buf_free(&e);
        if (i == 0)
            s.offset = 4;
    }
    driver_close(&d);
}

/* Any event cut short, its size and checksum right: an error or not, but nothing else. */
static void test_truncations(void)
{
    static const char *const scripts[] = { "fake f.1;fde;prev " U ":1;g 1;begin;map t;more 1 a 2;upd 1 a b;xid",
                                           "fake f.1;fde;g 1;q XA START X'78';map t;del 1 a;xa 1",
                                           "fake f.1;fde;g 1;pay;begin;map t;ins 1 a;xid;end",
                                           "fake f.1;fde;g 1;begin;load LOAD DATA INFILE 'x' INTO TABLE u.t",
                                           "fake f.1;fde;incident",
                                           "fake f.1;fde;hb2 70000;hb",
                                           "fake f.1;fde;g 1;q CREATE TABLE t (a INT) START TRANSACTION" };
    for (size_t k = 0; k < sizeof scripts / sizeof scripts[0]; k++) {
        struct script s = { .flavor = GTID_MYSQL, .offset = 4 };
        struct buf events[12] = { { 0 } };
        unsigned n = 0;
        char *copy = strdup(scripts[k]), *save = NULL;
        for (char *cmd = strtok_r(copy, ";", &save); cmd != NULL; cmd = strtok_r(NULL, ";", &save)) {
            if (strcmp(cmd, "pay") == 0)
                s.in_payload = true;
            else if (strcmp(cmd, "end") == 0)
                wrap_payload(&s, &events[n++]);
            else if (s.in_payload)
                make_event(&s, cmd, &s.payload);
            else
                make_event(&s, cmd, &events[n++]);
        }
        free(copy);
        unsigned failed = 0;
        for (unsigned i = 0; i < n; i++) {
            for (size_t len = 0; len < events[i].n; len++) {
                struct source_pos from = {
                    .flavor = GTID_MYSQL, .gtids = gtid_set_new(GTID_MYSQL), .server = "srv", .file = "f.1", .offset = 4
                };
                struct gtid g = { .flavor = GTID_MYSQL, .uuid = { [15] = 1 }, .no = 1 };
                struct driver d;
                struct err err = { 0 };
                if (i == 2 && k == 0) /* so that PREVIOUS_GTIDS is a subset */
                    gtid_set_add(from.gtids, &g, &err);
                driver_open(&d, "s.*,!s.skip", &from, MAX_EVENT);
                char step = 'I';
                for (unsigned j = 0; j < i && step != 'F'; j++)
                    step = driver_feed(&d, buf_view(&events[j]), &err);
                if (step != 'F') {
                    uint8_t *cut = malloc(len + 1);
                    memcpy(cut, events[i].p, len);
                    if (len >= 19)
                        for (unsigned q = 0; q < 4; q++)
                            cut[9 + q] = (uint8_t)(len >> (8 * q));
                    if (len >= 23) {
                        uint32_t crc = crc32_of(bytes_of(cut, len - 4));
                        for (unsigned q = 0; q < 4; q++)
                            cut[len - 4 + q] = (uint8_t)(crc >> (8 * q));
                    }
                    uint8_t *exact = realloc(cut, len == 0 ? 1 : len);
                    step = driver_feed(&d, bytes_of(exact, len), &err);
                    failed += step == 'F';
                    CHECK(step == 'F' || len >= 23, "%s: event %u of %zu bytes passed", scripts[k], i, len);
                    free(exact);
                }
                driver_close(&d);
                source_pos_clear(&from);
            }
        }
        CHECK(failed > 50, "%s: %u truncations failed", scripts[k], failed);
        for (unsigned i = 0; i < n; i++)
            buf_free(&events[i]);
        buf_free(&s.payload);
    }
}

/* Captured: s.t and s.u. How many tables came with rows that are not in the log. */
static const struct {
    const char *name, *script;
    unsigned renamed_in;
} renames[] = {
    { "another table comes in", "q RENAME TABLE x TO t", 1 },
    { "from another schema", "qu ALTER TABLE t RENAME s.t", 1 },
    { "among other clauses", "q ALTER TABLE x ADD y INT, RENAME TO t", 1 },
    { "two at once", "q RENAME TABLE x TO t, y TO u", 2 },
    { "of two, one", "q RENAME TABLE x TO t, y TO z", 1 },
    { "by way of a third name", "q RENAME TABLE x TO z, z TO t", 1 },
    { "a captured one changes its name", "q RENAME TABLE t TO u;q ALTER TABLE u RENAME t", 0 },
    { "a captured one goes away", "q RENAME TABLE t TO x", 0 },
    { "nothing of ours", "q RENAME TABLE x TO y;qu RENAME TABLE t TO u", 0 },
    { "gh-ost, at once", "q RENAME TABLE `t` TO `_t_del`, `_t_gho` TO `t`", 0 },
    { "gh-ost, in two steps", "q RENAME TABLE t TO _t_del;q RENAME TABLE _t_gho TO t", 0 },
    { "the same by ALTER", "q ALTER TABLE t RENAME _t_old;q ALTER TABLE _t_new RENAME t", 0 },
    { "with a third name", "q RENAME TABLE t TO z, x TO t, z TO x", 0 },
    { "another one went away", "q RENAME TABLE u TO _u_del;q RENAME TABLE x TO t", 1 },
    { "it went away long ago", "q RENAME TABLE t TO z;q ALTER TABLE u ADD y INT;q RENAME TABLE x TO t", 1 },
    { "it went away once", "q RENAME TABLE t TO z;q RENAME TABLE x TO t;q DROP TABLE t;q RENAME TABLE y TO t", 1 },
    { "it was dropped", "q DROP TABLE t;q RENAME TABLE x TO t", 1 },
};

static void test_renames(void)
{
    slog_threshold = SLOG_ERROR;
    for (size_t i = 0; i < sizeof renames / sizeof *renames; i++) {
        struct script s = { .flavor = GTID_NONE, .offset = 4 };
        struct source_pos from = { .flavor = GTID_NONE, .server = "srv", .file = "f.1", .offset = 4 };
        struct driver d;
        struct err err = { 0 };
        struct buf text = { 0 };
        char *save = NULL, step = 'C';
        buf_printf(&text, S "%s", renames[i].script);
        driver_open(&d, "s.t,s.u", &from, MAX_EVENT);
        for (char *cmd = strtok_r((char *)text.p, ";", &save); cmd != NULL; cmd = strtok_r(NULL, ";", &save)) {
            struct buf event = { 0 };
            CHECK(make_event(&s, cmd, &event), "%s: unknown command %s", renames[i].name, cmd);
            step = driver_feed(&d, buf_view(&event), &err);
            CHECK(step != 'F', "%s: %s", renames[i].name, err.msg);
            buf_free(&event);
        }
        CHECK(binlog_stream_stats(d.s)->renamed_in == renames[i].renamed_in, "%s: %llu, want %u", renames[i].name,
              (unsigned long long)binlog_stream_stats(d.s)->renamed_in, renames[i].renamed_in);
        driver_close(&d);
        buf_free(&text);
    }
    slog_threshold = SLOG_INFO;
}

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        run(&tests[i], SIZE_MAX);
        run(&tests[i], 1);
    }
    for (size_t i = 0; i < sizeof savepoints / sizeof *savepoints; i++)
        run(&savepoints[i], SIZE_MAX);
    for (size_t i = 0; i < sizeof savepoints_spilled / sizeof *savepoints_spilled; i++)
        run(&savepoints_spilled[i], 1);
    test_interface();
    test_many_rows();
    test_new_file();
    test_renames();
    test_truncations();
    return UNIT_END();
}
