/* test_table_map.c - TABLE_MAP to relation: the recorded definitions, the cache, and what must be refused. */
#include "row_event.h"

#include "binlog_fixture.h"

static bool take_all(void *ctx, struct bytes schema, struct bytes table)
{
    (void)schema;
    (void)table;
    return ctx == NULL || *(const bool *)ctx;
}

static void describe(const struct relation *r, struct buf *out)
{
    buf_printf(out, "%.*s.%.*s:", BYTES_FMT(r->schema), BYTES_FMT(r->table));
    for (unsigned i = 0; i < r->ncols; i++) {
        const struct column *c = &r->cols[i];
        buf_printf(out, " %.*s ", BYTES_FMT(c->name));
        column_type_text(c, out);
        if (c->charset.n != 0)
            buf_printf(out, " %.*s", BYTES_FMT(c->charset));
        if (c->char_bytes != 0)
            buf_printf(out, "/%u", c->char_bytes);
        buf_printf(out, "%s%s", c->nullable ? "" : " not null", c->visible ? "" : " invisible");
        if (c->key_pos != 0)
            buf_printf(out, " key %u", c->key_pos);
        buf_str(out, ";");
    }
    buf_str(out, "\n");
}

static void recorded(const char *path, struct buf *log)
{
    struct binlog_file f = binlog_file_open(path);
    struct binlog_format fmt = { 0 };
    struct table_defs *defs = table_defs_new();
    struct bytes event;
    while (binlog_file_next(&f, &event)) {
        struct binlog_event e;
        struct err err = { 0 };
        const struct table_def *def, *again;
        CHECK(binlog_event_parse(event, &fmt, &e, &err), "%s", err.msg);
        if (e.type == EV_FORMAT_DESCRIPTION)
            CHECK(binlog_parse_format(&e, &fmt, &err), "%s", err.msg);
        if (e.type != EV_TABLE_MAP)
            continue;
        CHECK(table_defs_map(defs, &e, &fmt, take_all, NULL, &def, &err), "%s:%zu: %s", path, f.at, err.msg);
        if (err.code != ERR_NONE)
            continue;
        CHECK(table_defs_find(defs, def->table_id) == def, "found by its id");
        CHECK(table_defs_map(defs, &e, &fmt, take_all, NULL, &again, &err) && again->rel == def->rel,
              "the same bytes, another relation");
        table_defs_end_statement(defs);
        CHECK(table_defs_find(defs, def->table_id) == NULL, "an id beyond its statement");
        describe(def->rel, log);
    }
    table_defs_free(defs);
    free((void *)(uintptr_t)f.all.p);
}

static void has(struct buf *log, const char *text)
{
    CHECK(strstr(buf_cstr(log), text) != NULL, "not among the definitions: %s", text);
}

static void mysql(void)
{
    struct buf log = { 0 };
    recorded("fixtures/mysql-9.7.4.binlog", &log);
    has(&log,
        "fx.ints: id int unsigned not null key 1; y0 year; t tinyint; tu tinyint unsigned; s smallint; su smallint "
        "unsigned; m mediumint; "
        "mu mediumint unsigned; i int; iu int unsigned; b bigint; bu bigint unsigned; y year not null; bo tinyint;\n");
    has(&log, "fx.bits: b1 bit(1); b7 bit(7); b8 bit(8); b9 bit(9); b13 bit(13); b63 bit(63); b64 bit(64); id int not "
              "null key 1;\n");
    has(&log, " d8 decimal(65,0) unsigned;");
    has(&log, " t6 time(6); dt0 datetime; dt1 datetime(1);");
    has(&log, "fx.strings: id int not null key 2; c0 char(0) utf8mb4/4; c char(10) utf8mb4/4; cl char(255) utf8mb4/4; "
              "cm char(200) utf8mb3/3; "
              "cb char(100) utf8mb4/4; v varchar(10) utf8mb4/4 not null key 1;");
    has(&log, " b binary(5); b255 binary(255); vb varbinary(255); vb2 varbinary(300); tt tinytext utf8mb4/4; te text "
              "utf8mb4/4; mt mediumtext utf8mb4/4; "
              "lt longtext utf8mb4/4; tb tinyblob; bl blob; mb mediumblob; lb longblob;\n");
    has(&log, " e enum('small','','with,comma','quote''s') utf8mb4; e2 enum('\xc4\x8d"
              "aj','k\xc3\xa1va') latin2; e3 enum('\xce\xb1\xce\xb2\xce\xb3','\xce\xb4') greek;");
    has(&log, "fx.geo: id int not null key 1; v varchar(5) latin2/1; g geometry; w varchar(5) cp1251/1; p point; x "
              "text greek/1; l linestring;\n");
    has(&log, "fx.vectors: id int not null key 1; v vector(3); t text latin1/1; w vector(2048);\n");
    has(&log, "fx.invis: a int not null key 1; b int invisible; c int; d int;\n");
    has(&log, "fx.gipk: my_row_id bigint unsigned not null invisible key 1; a int;\n");
    has(&log, "fx.mvi: id int not null key 1; j json;\n");
    has(&log, "fx.hidden: a int;\n");
    has(&log,
        "fx.chg: id int not null key 1; a varchar(20) utf8mb4/4; b text utf8mb4/4; n int unsigned; extra date;\n");
    has(&log, "fx.\xc3\xbcn\xc3\xaf: \xd0\xba\xd0\xbb\xd1\x8e\xd1\x87 int not null key 1; \xe5\x88\x97 int;\n");
    buf_free(&log);
}

static void mariadb(void)
{
    struct buf log = { 0 };
    recorded("fixtures/mariadb-10.11.19.binlog", &log);
    has(&log, "fx.ints: id int unsigned not null key 1; y0 year; t tinyint; tu tinyint unsigned; s smallint;");
    has(&log, "fx.geo: id int not null key 1; v varchar(5) latin2/1; g geometry; w varchar(5) cp1251/1; p point; x "
              "text greek/1; l linestring;\n");
    has(&log, "fx.strings: id int not null key 2;");
    has(&log, " v varchar(10) utf8mb4/4 not null key 1;");
    has(&log, "fx.packed: id int not null key 1; v varchar(300) latin1/1; t text utf8mb4/4; b blob; tt tinytext "
              "utf8mb4/4; vb varbinary(100);\n");
    has(&log, "fx.uuids: id int not null key 1; u binary(16); i binary(16); i4 binary(4);\n");
    has(&log, "fx.uca: id int not null key 1; t varchar(10) utf8mb4/4; n varchar(10) utf8mb4/4;\n");
    has(&log, "fx.old_times: id int not null key 1; y year; ts timestamp; dt datetime; t time; d date;\n");
    buf_free(&log);
}

/* A TABLE_MAP by hand: table id 0x70, flags, s.t, then what the case says. */
static bool map_hex(struct table_defs *defs, const char *tail_hex, bool is_mariadb, bool *captured,
                    const struct table_def **def, struct err *err)
{
    struct buf b = { 0 };
    struct bytes tail = unhex(tail_hex);
    struct bytes head = unhex("7000000000000100 017300 017400");
    buf_bytes(&b, head);
    buf_bytes(&b, tail);
    uint8_t *exact = malloc(b.n);
    memcpy(exact, b.p, b.n);
    struct binlog_event e = { .type = EV_TABLE_MAP, .size = (uint32_t)b.n + 19, .body = { exact, b.n } };
    struct binlog_format fmt = { .mariadb = is_mariadb };
    *err = (struct err){ 0 };
    bool ok = table_defs_map(defs, &e, &fmt, take_all, captured, def, err);
    free(exact);
    free((void *)(uintptr_t)tail.p);
    free((void *)(uintptr_t)head.p);
    buf_free(&b);
    return ok;
}

static const struct {
    const char *tail, *want; /* want: in the relation's description; NULL: refused ... */
    enum err_code code;
    const char *why; /* ... with this in the message */
} cases[] = {
    { "02 030f 02 1400 02 0101 00 0301 08 0404 01610162 0801 00", "s.t: a int not null key 1; b varchar(20) latin1/1;",
      ERR_NONE, NULL },
    { "02 030f 02 1400 02 0101 00 0201 08 0404 01610162 0902 0100", "b varchar(20) latin1/1 key 1;", ERR_NONE, NULL },
    { "02 030f 02 1400 02 0101 80 0203 3f 00 08 0404 01610162", "a int unsigned not null; b varchar(20) latin1/1;",
      ERR_NONE, NULL },
    { "02 030f 02 1400 02 0101 80 0201 3f 0404 01610162 63 02 ffff", "b varbinary(20);", ERR_NONE,
      NULL }, /* an unknown field is skipped */
    { "01 03 00 00 0101 00", NULL, ERR_UNSUPPORTED,
      "table s.t: no column names in the binlog: SET PERSIST binlog_row_metadata = FULL (MariaDB: SET GLOBAL "
      "binlog_row_metadata = 'FULL')" },
    { "01 03 00 00", NULL, ERR_UNSUPPORTED, "no column names" },
    { "02 030f 02 1400 02 0101 00 0303 fcff7f 0404 01610162", NULL, ERR_UNSUPPORTED,
      "table s.t: column b: collation number 32767 is not known" },
    { "02 030f 02 1400 02 0101 00 0301 11 0404 01610162", NULL, ERR_UNSUPPORTED, "collation number 17" },
    { "01 f4 02 0803 00 0402 0161", NULL, ERR_UNSUPPORTED, "type 244 (TYPED_ARRAY)" },
    { "01 c8 00 00 0402 0161", NULL, ERR_UNSUPPORTED, "type 200 (?)" },
    { "01 00 00 00 0101 00 0402 0161", NULL, ERR_UNSUPPORTED, "table s.t: column a: its type 0 (old DECIMAL)" },
    { "01 06 00 00 0402 0161", NULL, ERR_UNSUPPORTED, "type 6 (NULL)" },
    { "00 00 0402 0161", NULL, ERR_CORRUPT, "1 to 4096 columns" },
    { "fc0110 03", NULL, ERR_CORRUPT, "1 to 4096 columns" },
    { "01 03 01 00 00 0101 00 0402 0161", NULL, ERR_CORRUPT, "column metadata" },
    { "01 0f 01 14 00 0402 0161", NULL, ERR_CORRUPT, "column metadata" },
    { "01 03 00 00 0402 0161", NULL, ERR_CORRUPT, "no signs" },
    { "01 03 00 00 0102 0000 0402 0161", NULL, ERR_CORRUPT, "2 bytes of signs for 1" },
    { "01 0f 02 1400 00 0402 0161", NULL, ERR_CORRUPT, "no character sets" },
    { "01 0f 02 1400 00 0302 0808 0402 0161", NULL, ERR_CORRUPT, "trailing" },
    { "01 0f 02 1400 00 0203 080108 0402 0161", NULL, ERR_CORRUPT, "a column that is not there" },
    { "01 03 00 00 0101 00 0403 0161ff", NULL, ERR_CORRUPT, "trailing" },
    { "01 03 00 00 0101 00 0402 0261", NULL, ERR_CORRUPT, "truncated" },
    { "01 03 00 00 0101 00 0402 01ff", NULL, ERR_CORRUPT, "not a column's name" },
    { "01 03 00 00 0101 00 0401 00", NULL, ERR_CORRUPT, "not a column's name" },
    { "02 0303 00 00 0101 00 0404 01610161", NULL, ERR_CORRUPT, "occurs twice" },
    { "01 03 00 00 0101 00 0402 0161 0402 0161", NULL, ERR_CORRUPT, "comes twice" },
    { "01 03 00 00 0101 00 0402 0161 0801 01", NULL, ERR_CORRUPT, "primary key" },
    { "01 03 00 00 0101 00 0402 0161 0802 0000", NULL, ERR_CORRUPT, "primary key" },
    { "01 03 00 00 0101 00 0402 0161 0801 00 0902 0000", NULL, ERR_CORRUPT, "two primary keys" },
    { "01 03 00 00 0101 00 0402 0161 0c02 0000", NULL, ERR_CORRUPT, "visibility" },
    { "01 fe 02 f701 00 0402 0161 0a01 2d 0604 02016101", NULL, ERR_CORRUPT, "labels" },
    { "01 fe 02 f701 00 0402 0161 0a01 2d 0601 ff", NULL, ERR_CORRUPT, "labels" },
    { "01 fe 02 f701 00 0402 0161 0a01 2d 0603 0101ff", NULL, ERR_CORRUPT, "column a: a label" },
    { "01 fe 02 f701 00 0402 0161 0a01 3f 0603 0101ff", NULL, ERR_UNSUPPORTED, "character set binary" },
    { "01 fe 02 f701 00 0402 0161 0a01 2d 0603 010161", "a enum('a') utf8mb4 not null;", ERR_NONE, NULL },
    { "01 fe 02 f801 00 0402 0161 0a01 2d 0541 40 00", NULL, ERR_CORRUPT, "truncated" },
    { "01 fe 02 f703 00 0402 0161 0a01 2d 0603 010161", NULL, ERR_CORRUPT, "metadata" },
    { "01 fe 02 fd05 00 0402 0161 0301 2d", NULL, ERR_CORRUPT, "metadata" },
    { "01 fe 02 ee54 01 0402 0161 0301 2d", "a char(85) utf8mb4/4;", ERR_NONE, NULL },
    { "01 13 01 07 00 0402 0161", NULL, ERR_CORRUPT, "metadata" },
    { "01 f6 02 4200 00 0101 00 0402 0161", NULL, ERR_CORRUPT, "metadata" },
    { "01 f6 02 4141 00 0101 00 0402 0161", NULL, ERR_CORRUPT, "metadata" },
    { "01 10 02 0900 00 0402 0161", NULL, ERR_CORRUPT, "metadata" },
    { "01 10 02 0000 00 0402 0161", NULL, ERR_CORRUPT, "metadata" },
    { "01 fc 01 05 00 0402 0161 0301 2d", NULL, ERR_CORRUPT, "metadata" },
    { "01 04 01 08 00 0101 00 0402 0161", NULL, ERR_CORRUPT, "metadata" },
};

static void by_hand(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct table_defs *defs = table_defs_new();
        const struct table_def *def;
        struct err err;
        bool ok = map_hex(defs, cases[i].tail, false, NULL, &def, &err);
        if (cases[i].want == NULL) {
            CHECK(!ok && err.code == cases[i].code && strstr(err.msg, cases[i].why) != NULL,
                  "case %zu: want \"%s\", got %d %s", i, cases[i].why, ok, err.msg);
        } else {
            struct buf b = { 0 };
            if (ok)
                describe(def->rel, &b);
            CHECK(ok && strstr(buf_cstr(&b), cases[i].want) != NULL, "case %zu: want %s, got %s %s", i, cases[i].want,
                  buf_cstr(&b), err.msg);
            buf_free(&b);
        }
        table_defs_free(defs);
    }
}

static void cache(void)
{
    static const char one[] = "01 03 00 00 0101 00 0402 0161", two[] = "01 03 00 00 0101 80 0402 0161";
    struct table_defs *defs = table_defs_new();
    const struct table_def *a, *b, *c;
    struct err err;
    bool yes = true, no = false;
    CHECK(map_hex(defs, one, false, &yes, &a, &err), "%s", err.msg);
    const struct relation *first = a->rel;
    table_defs_end_statement(defs);
    CHECK(map_hex(defs, two, false, &yes, &b, &err) && b->rel != first && table_defs_find(defs, 0x70) == b,
          "another definition: %s", err.msg);
    CHECK(map_hex(defs, one, false, &yes, &c, &err) && c->rel == first && table_defs_find(defs, 0x70) == c,
          "and the old one again: %s", err.msg);
    table_defs_end_statement(defs);
    CHECK(table_defs_find(defs, 0x70) == NULL, "statement's end");
    CHECK(map_hex(defs, one, false, &no, &a, &err) && !a->captured && a->rel == NULL, "not captured any more: %s",
          err.msg);
    CHECK(map_hex(defs, "fffefdfc", false, &no, &b, &err) && b == a, "uncaptured: nothing behind the names is read: %s",
          err.msg);
    for (unsigned i = 0; i < 40; i++) { /* no more than a few definitions of one table stay */
        char hex[80];
        snprintf(hex, sizeof hex, "01 03 00 00 0101 00 0403 02 %02x%02x", 0x61 + i % 16, 0x61 + i / 16);
        table_defs_end_statement(defs);
        CHECK(map_hex(defs, hex, false, &yes, &a, &err), "%s", err.msg);
    }
    table_defs_free(defs);
    table_defs_free(NULL);
}

/* INSERT INTO t () VALUES () under MINIMAL on MySQL 9.7: an event with a row in no bytes. */
static void no_columns(void)
{
    struct table_defs *defs = table_defs_new();
    const struct table_def *def;
    struct row_reader r;
    struct err err;
    struct val row[2];
    bool more = false;
    struct bytes body = unhex("7000000000000100 0200 01 00"); /* INSERT INTO t () VALUES () under MINIMAL */
    struct binlog_event e = { .type = EV_WRITE_ROWS, .body = body };
    struct binlog_format fmt = { 0 };
    CHECK(map_hex(defs, "01 03 00 00 0101 00 0402 0161", false, NULL, &def, &err), "%s", err.msg);
    CHECK(row_reader_open(&r, &e, &fmt, defs, &err) && row_reader_next(&r, NULL, NULL, row, &more, &err) && more &&
              row[0].kind == VAL_ABSENT && row_reader_next(&r, NULL, NULL, row, &more, &err) && !more,
          "a row without columns is one row: %s", err.msg);
    row_reader_close(&r);
    free((void *)(uintptr_t)body.p);
    static const struct {
        uint8_t type;
        const char *body, *why;
    } heads[] = { { EV_WRITE_ROWS, "7100000000000100 0200 01 ff", "table id 113" },
                  { EV_WRITE_ROWS, "7000000000000100 0200 02 ff", "2 columns, but TABLE_MAP had 1" },
                  { EV_WRITE_ROWS, "7000000000000100 0100 01 ff", "extra row info" },
                  { EV_WRITE_ROWS, "7000000000000100 0900 01 ff", "truncated" },
                  { EV_WRITE_ROWS, "7000000000000100 0200 fb", "length-encoded" },
                  { EV_WRITE_ROWS_V1, "70000000", "truncated" },
                  { EV_UPDATE_ROWS_V1, "7000000000000100 01 ff", "truncated" },
                  { EV_WRITE_ROWS, "7000000000000100 0200 01 00 00", "without any column" },
                  { EV_DELETE_ROWS, "7000000000000100 0200 01 00", "without any column" },
                  { EV_QUERY, "00", "no rows event" },
                  { EV_PARTIAL_UPDATE_ROWS, "7000000000000100 0200 01 ff", "truncated" } };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        body = unhex(heads[i].body);
        e = (struct binlog_event){ .type = heads[i].type, .body = body };
        CHECK(!row_reader_open(&r, &e, &fmt, defs, &err) && strstr(err.msg, heads[i].why) != NULL,
              "head %zu: want \"%s\", got %s", i, heads[i].why, err.msg);
        free((void *)(uintptr_t)body.p);
    }
    body = unhex("ffffff0000000100 0200 01 ff");
    e = (struct binlog_event){ .type = EV_WRITE_ROWS, .body = body };
    CHECK(row_reader_open(&r, &e, &fmt, defs, &err) && r.dummy && r.flags == 1, "the dummy event: %s", err.msg);
    row_reader_close(&r);
    free((void *)(uintptr_t)body.p);
    table_defs_free(defs);
}

int main(void)
{
    mysql();
    mariadb();
    by_hand();
    cache();
    no_columns();
    return UNIT_END();
}
