/* test_dest_postgres.c - the PostgreSQL destination against a real server of its own. Skipped where none is
 * installed. */
#include "batch_fixture.h"
#include "dest.h"
#include "pg_server.h"
#include "slog.h"

static struct pg_server server;
static struct shape_table *shapes;
static struct subscription sub;
static struct dest *dest;
static struct progress progress;
static uint64_t lsn;
static const uint8_t slot[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static void is(const char *sql, const char *want)
{
    const char *got = pg_server_one(&server, sql);
    CHECK(strcmp(got, want) == 0, "%s\n  want %s\n  got  %s", sql, want, got);
}

static void run(const char *sql)
{
    const char *got = pg_server_one(&server, sql);
    CHECK(got[0] == '\0' || strncmp(got, "ERROR", 5) != 0, "%s: %s", sql, got);
}

static void reopen(const char *name, bool create)
{
    struct err err = { 0 };
    dest_postgres_ops.close(dest);
    dest = NULL;
    sub = (struct subscription){ .slot = (char *)"slot",
                                 .name = (char *)(uintptr_t)name,
                                 .to = server.url,
                                 .create = create,
                                 .on_error = ON_ERROR_STOP };
    CHECK(dest_postgres_ops.open(&sub, &dest, &err), "open: %s", err.msg);
    memset(&progress, 0, sizeof progress);
    CHECK(dest_postgres_ops.attach(dest, slot, true, "hash", &progress, &err), "attach: %s", err.msg);
}

static struct batch *start(void)
{
    struct batch *b = batch_new();
    fixture_txn(b, ++lsn);
    return b;
}

static bool try(struct batch *b, enum apply_mode mode, struct err *err)
{
    *err = (struct err){ 0 };
    bool ok = dest_postgres_ops.apply(dest, b, mode, err);
    if (!ok)
        dest_postgres_ops.rollback(dest);
    return ok;
}

static void done(struct batch *b)
{
    struct err err;
    bool ok = try(b, APPLY_BATCH, &err);
    CHECK(ok, "apply: %s", err.msg);
    batch_free(b);
}

/* Fails as a batch and row by row; the message of the latter holds `part`. */
static void refused(struct batch *b, enum err_code code, const char *part)
{
    struct err err, first;
    CHECK(!try(b, APPLY_BATCH, &first), "the batch went through, want: %s", part);
    CHECK(first.code == code, "code of: %s", first.msg);
    err = first;
    if (err.code == ERR_DATA || err.code == ERR_CONFLICT)
        CHECK(!try(b, APPLY_ROWS, &err), "row by row went through after: %s", first.msg);
    CHECK(strstr(err.msg, part) != NULL && err.code == code, "want %s\n  got  %s", part, err.msg);
    batch_free(b);
}

static const struct shape *simple_shape(const char *table)
{
    return SHAPE(shapes, "shop", table, COL("id", INT, .key_pos = 1), COL("name", TEXT, .nullable = true),
                 COL("n", COL_INT, .int_bits = 32, .nullable = true));
}

static void test_basic(void)
{
    reopen("basic", true);
    CHECK(!progress.found && progress.epoch == 1 && progress.lsn == 0, "first attach");
    const struct shape *s = simple_shape("users");
    struct batch *b = start();
    fixture_insert(b, s, ROW(VI(1), VT("one"), VI(10)));
    fixture_insert(b, s, ROW(VI(2), VT("two"), VN));
    fixture_insert(b, s, ROW(VI(3), VT("O'Brien \"x\" \\"), VI(-30)));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.users t",
       "(1,one,10);(2,two,);(3,\"O'Brien \"\"x\"\" \\\\\",-30)");
    is("SELECT format('%s %s %s %s %s %s %s', epoch, lsn, gtid, file, pos, changes, transactions) FROM "
       "rowtide.progress WHERE subscription='basic'",
       "1 1 0-1-1 bin.000001 100 3 1");
    is("SELECT script_hash || ' ' || commit_ts FROM rowtide.progress WHERE subscription='basic'",
       "hash 2023-11-14 22:13:21+00");
    b = start();
    fixture_update(b, s, ROW(VI(1), VT("one"), VI(10)), ROW(VI(1), VT("uno"), VA)); /* one row: a single statement */
    done(b);
    is("SELECT t::text FROM shop.users t WHERE id=1", "(1,uno,10)");
    b = start();
    fixture_update(b, s, ROW(VI(1), VT("uno"), VI(10)), ROW(VI(1), VN, VI(11)));
    fixture_update(b, s, ROW(VI(2), VT("two"), VN), ROW(VI(2), VT("dos"), VI(20)));
    fixture_delete(b, s, ROW(VI(3), VA, VA));
    fixture_insert(b, s, ROW(VI(4), VT("four"), VI(40)));
    fixture_update(b, s, ROW(VI(4), VT("four"), VI(40)), ROW(VI(4), VA, VI(41)));
    fixture_insert(b, s, ROW(VI(5), VT("five"), VI(50)));
    fixture_delete(b, s, ROW(VI(5), VT("five"), VI(50)));
    fixture_txn(b, ++lsn);
    fixture_update(b, s, ROW(VI(2), VT("dos"), VI(20)), ROW(VI(22), VT("dos"), VI(20))); /* the key moves */
    fixture_delete(b, s, ROW(VI(1), VN, VI(11)));
    fixture_insert(b, s, ROW(VI(1), VT("again"), VN));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.users t", "(1,again,);(4,four,41);(22,dos,20)");
    is("SELECT format('%s %s %s', lsn, changes, transactions) FROM rowtide.progress WHERE subscription='basic'",
       "4 14 4");
    b = start();
    fixture_delete(b, s, ROW(VI(1), VA, VA));
    fixture_delete(b, s, ROW(VI(4), VA, VA));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.users t", "(22,dos,20)");
    b = start();
    fixture_add(b, OUT_TRUNCATE, s, NULL, NULL);
    fixture_insert(b, s, ROW(VI(7), VT("seven"), VN));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.users t", "(7,seven,)");
    CHECK(dest->stats.rows_insert == 7 && dest->stats.rows_update == 5 && dest->stats.rows_delete == 5 &&
              dest->stats.commits == 5,
          "stats %llu %llu %llu %llu", (unsigned long long)dest->stats.rows_insert,
          (unsigned long long)dest->stats.rows_update, (unsigned long long)dest->stats.rows_delete,
          (unsigned long long)dest->stats.commits);
    struct batch *empty = start(); /* everything dropped by a script: the LSN moves on */
    done(empty);
    is("SELECT lsn::text FROM rowtide.progress WHERE subscription='basic'", "7");
}

static const struct bytes labels[] = { { (const uint8_t *)"red", 3 },
                                       { (const uint8_t *)"gr\"een", 6 },
                                       { (const uint8_t *)"b,lue", 5 } };

static void test_types(void)
{
    static const char point[] =
        "\xe6\x10\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x40";
    reopen("types", true);
    const struct shape *s = SHAPE(
        shapes, "shop", "types", COL("id", INT, .key_pos = 1), COL("ti", COL_INT, .int_bits = 8, .nullable = true),
        COL("bu", COL_INT, .int_bits = 64, .is_unsigned = true), COL("f", COL_FLOAT, .nullable = true),
        COL("d", COL_DOUBLE), COL("dec", COL_DECIMAL, .precision = 30, .scale = 10),
        COL("da", COL_DATE, .nullable = false), COL("ti2", COL_TIME, .scale = 6), COL("dt", COL_DATETIME, .scale = 6),
        COL("ts", COL_TIMESTAMP, .scale = 3), COL("y", COL_YEAR),
        COL("vc", COL_VARCHAR, .length = 80, .charset = bytes_str("utf8mb4"), .char_bytes = 4),
        COL("bi", COL_BLOB, .length = 65535), COL("bt", COL_BIT, .length = 10),
        COL("e", COL_ENUM, .nlabels = 3, .labels = labels, .charset = bytes_str("utf8mb4")),
        COL("st", COL_SET, .nlabels = 3, .labels = labels, .charset = bytes_str("utf8mb4")),
        COL("js", COL_JSON, .nullable = true), COL("g", COL_GEOMETRY, .nullable = true),
        COL("v", COL_VECTOR, .length = 2, .nullable = true));
    struct civil c = { .year = 2024, .mon = 2, .day = 29, .hour = 10, .min = 11, .sec = 12, .usec = 345678 };
    struct civil day = { .year = 1, .mon = 1, .day = 1 }, partial = { .year = 2024 };
    struct val dec64 = { .kind = VAL_DEC64, .scale = 10, .u.i64 = INT64_C(-12345678901234567) };
    struct val row[] = { VI(1),
                         VI(-128),
                         VU(UINT64_MAX),
                         { .kind = VAL_F32, .u.f32 = 0.1F },
                         { .kind = VAL_F64, .u.f64 = 1.0 / 3 },
                         VS(VAL_DECIMAL, "12345678901234567890.0123400000"),
                         { .kind = VAL_DATE, .u.i64 = civil_pack(day) },
                         { .kind = VAL_TIME, .scale = 6, .u.i64 = INT64_C(-3020399000001) },
                         { .kind = VAL_DATETIME, .scale = 6, .u.i64 = civil_pack(c) },
                         { .kind = VAL_INSTANT, .scale = 3, .u.i64 = INT64_C(1700000000123000) },
                         VI(2155),
                         VT("gr\xc3\xbc\xc3\x9f dich"),
                         VS(VAL_BYTES, "\x00\x01\xff"),
                         { .kind = VAL_BIT, .u.u64 = 0x2a5 },
                         { .kind = VAL_ENUM, .u.u64 = 2 },
                         { .kind = VAL_SET, .u.u64 = 7 },
                         VS(VAL_JSON, "{\"a\": [1, 2.50, \"x\"]}"),
                         VS(VAL_GEOMETRY, point),
                         VS(VAL_VECTOR, "\x00\x00\xc0\x3f\x00\x00\x00\xc0") };
    struct batch *b = start();
    fixture_insert(b, s, row);
    struct val more[sizeof row / sizeof *row];
    for (int i = 2; i < 4; i++) { /* two of them: arrays */
        memcpy(more, row, sizeof row);
        more[0] = VI(i);
        more[1] = VN;
        more[5] = i == 2 ? dec64 : VS(VAL_DECIMAL, "-0.0000000001");
        more[6].u.i64 = civil_pack(partial); /* by policy NULL */
        more[9].u.i64 = 0;
        more[14].u.u64 = 0;
        more[15].u.u64 = i == 2 ? 0 : 5;
        more[16] = VN;
        more[17] = VN;
        more[18] = VN;
        fixture_insert(b, s, more);
    }
    done(b);
    is("SELECT string_agg(format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY "
       "attnum) FROM "
       "pg_attribute WHERE attrelid='shop.types'::regclass AND attnum > 0",
       "bigint!,smallint,numeric(20,0)!,real,double precision!,numeric(30,10)!,date,interval!,timestamp(6) without "
       "time zone,"
       "timestamp(3) with time zone,integer!,character varying(20)!,bytea!,bit(10)!,text!,text[]!,jsonb,bytea,real[]");
    run("SET extra_float_digits=1");
    is("SELECT (t.*)::text FROM (SELECT id,ti,bu,f,d,dec,da,ti2,dt,ts,y,vc,bi,bt,e,st FROM shop.types WHERE id=1) t",
       "(1,-128,18446744073709551615,0.1,0.3333333333333333,12345678901234567890.0123400000,0001-01-01,-838:59:59."
       "000001,"
       "\"2024-02-29 10:11:12.345678\",\"2023-11-14 22:13:20.123+00\",2155,\"gr\xc3\xbc\xc3\x9f "
       "dich\",\"\\\\x0001ff\",1010100101,"
       "\"gr\"\"een\",\"{red,\"\"gr\\\\\"\"een\"\",\"\"b,lue\"\"}\")");
    is("SELECT js::text || ' ' || encode(g,'hex') || ' ' || v::text FROM shop.types WHERE id=1",
       "{\"a\": [1, 2.50, \"x\"]} 0101000020e6100000000000000000f03f0000000000000040 {1.5,-2}");
    is("SELECT string_agg((id,ti,dec,da,ts,e,st,js)::text, ';' ORDER BY id) FROM shop.types WHERE id>1",
       "(2,,-1234567.8901234567,,,\"\",{},);(3,,-0.0000000001,,,\"\",\"{red,\"\"b,lue\"\"}\",)");
    CHECK(dest->stats.coerced == 4, "coerced: %llu", (unsigned long long)dest->stats.coerced);
    sub.zero_date = ZERO_DATE_ERROR;
    reopen("types", true);
    sub.zero_date = ZERO_DATE_ERROR;
}

/* Tables made by hand, with types that need casts, and values of other kinds. */
static void test_casts(void)
{
    reopen("casts", false);
    run("CREATE SCHEMA IF NOT EXISTS shop; CREATE TYPE shop.mood AS ENUM ('red', 'sad'); CREATE DOMAIN shop.pos AS "
        "numeric(6,2) "
        "CHECK (value > 0); CREATE TABLE shop.casts (id int PRIMARY KEY, m shop.mood, ip inet, u uuid, ok bool, t "
        "time(3), tags text, "
        "p shop.pos, gen int GENERATED ALWAYS AS (id * 2) STORED, j json, i2 smallint, vb bit varying(8), f8 double "
        "precision)");
    const struct shape *s = SHAPE(
        shapes, "shop", "casts", COL("id", INT, .key_pos = 1),
        COL("m", COL_ENUM, .nlabels = 3, .labels = labels, .charset = bytes_str("utf8mb4"), .nullable = true),
        COL("ip", TEXT, .nullable = true), COL("u", COL_BINARY, .length = 16, .nullable = true),
        COL("ok", COL_INT, .int_bits = 8, .nullable = true), COL("t", COL_TIME, .nullable = true),
        COL("tags", COL_SET, .nlabels = 3, .labels = labels, .charset = bytes_str("utf8mb4"), .nullable = true),
        COL("p", COL_DECIMAL, .precision = 10, .scale = 4, .nullable = true), COL("gen", INT, .nullable = true),
        COL("j", TEXT, .nullable = true), COL("i2", INT, .nullable = true),
        COL("vb", COL_BIT, .length = 3, .nullable = true), COL("f8", TEXT, .nullable = true));
    struct val row[] = { VI(1),
                         { .kind = VAL_ENUM, .u.u64 = 1 },
                         VT("10.0.0.1"),
                         VS(VAL_BYTES, "0123456789abcdef"),
                         VI(1),
                         { .kind = VAL_TIME, .u.i64 = INT64_C(3661000000) },
                         { .kind = VAL_SET, .u.u64 = 5 },
                         { .kind = VAL_DEC64, .scale = 4, .u.i64 = 123400 },
                         VI(99),
                         VT("{\"a\" : 1}"),
                         VI(7),
                         { .kind = VAL_BIT, .u.u64 = 5 },
                         VT("1.5e3") };
    struct batch *b = start();
    fixture_insert(b, s, row);
    done(b);
    struct batch *two = start();
    for (int i = 2; i < 4; i++) {
        row[0] = VI(i);
        row[3] = i == 2 ? VT("550e8400-e29b-41d4-a716-446655440000") : VN;
        row[10] = i == 2 ? VT("-12") : VI(13); /* a script may mix kinds: the column goes as text then */
        fixture_insert(two, s, row);
    }
    done(two);
    is("SELECT string_agg((t.*)::text, ';' ORDER BY id) FROM shop.casts t",
       "(1,red,10.0.0.1,30313233-3435-3637-3839-616263646566,t,01:01:01,\"red,b,lue\",12.34,2,\"{\"\"a\"\" : "
       "1}\",7,101,1500);"
       "(2,red,10.0.0.1,550e8400-e29b-41d4-a716-446655440000,t,01:01:01,\"red,b,lue\",12.34,4,\"{\"\"a\"\" : "
       "1}\",-12,101,1500);"
       "(3,red,10.0.0.1,,t,01:01:01,\"red,b,lue\",12.34,6,\"{\"\"a\"\" : 1}\",13,101,1500)");
    b = start();
    fixture_update(b, s, row, row);
    done(b);
    static const struct {
        unsigned col;
        struct val v;
        const char *want;
    } bad[] = {
        { 4, { .kind = VAL_I64, .u.i64 = 2 }, "shop.casts (id=9), insert: column ok: 2 is neither 0 nor 1" },
        { 10,
          { .kind = VAL_I64, .u.i64 = 40000 },
          "column i2: 40000 is out of range (the destination's type is smallint)" },
        { 7,
          { .kind = VAL_DEC64, .scale = 4, .u.i64 = 123456 },
          "column p: 4 digits behind the point would be rounded" },
        { 7, { .kind = VAL_DEC64, .scale = 4, .u.i64 = -1 * 10000 }, "violates check constraint" },
        { 5, { .kind = VAL_TIME, .u.i64 = -1000000 }, "use an interval column" },
        { 5, { .kind = VAL_TIME, .scale = 6, .u.i64 = 1 }, "fraction of a second would be rounded" },
        { 1, { .kind = VAL_ENUM, .u.u64 = 3 }, "invalid input value for enum" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct val broken[sizeof row / sizeof *row];
        memcpy(broken, row, sizeof row);
        broken[0] = VI(9);
        broken[bad[i].col] = bad[i].v;
        b = start();
        fixture_insert(b, s, broken);
        refused(b, ERR_DATA, bad[i].want);
    }
    is("SELECT count(*)::text FROM shop.casts", "3");
}

static void test_nul(void)
{
    static const struct {
        enum nul_policy policy;
        const char *text, *json;
    } cases[] = { { NUL_STRIP, "ab", "{\"k\": \"\\\\u0000\"}" },
                  { NUL_REPLACE,
                    "a\xe2\x90\x80"
                    "b",
                    "{\"k\": \"\xe2\x90\x80\\\\u0000\"}" } };
    reopen("nul", true);
    const struct shape *s = SHAPE(shapes, "shop", "nul", COL("id", INT, .key_pos = 1), COL("t", TEXT),
                                  COL("j", COL_JSON));
    for (size_t i = 0; i < 2; i++) {
        reopen("nul", true);
        sub.nul = cases[i].policy;
        dest_postgres_ops.close(dest);
        struct err err = { 0 };
        CHECK(dest_postgres_ops.open(&sub, &dest, &err) &&
                  dest_postgres_ops.attach(dest, slot, true, "", &progress, &err),
              "%s", err.msg);
        struct batch *b = start();
        fixture_insert(b, s, ROW(VI((int64_t)i), VS(VAL_TEXT, "a\0b"), VS(VAL_JSON, "{\"k\": \"\\u0000\\\\u0000\"}")));
        done(b);
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT t FROM shop.nul WHERE id=%zu", i);
        is(sql, cases[i].text);
        snprintf(sql, sizeof sql, "SELECT j::text FROM shop.nul WHERE id=%zu", i);
        is(sql, cases[i].json);
        CHECK(dest->stats.coerced == 2, "coerced");
    }
    reopen("nul", true);
    struct batch *b = start();
    fixture_insert(b, s, ROW(VI(5), VS(VAL_TEXT, "a\0b"), VS(VAL_JSON, "1")));
    refused(b, ERR_DATA, "(id=5), insert: column t: the text holds a NUL byte");
    b = start();
    fixture_insert(b, s, ROW(VI(5), VT("a"), VS(VAL_JSON, "\"\\u0000\"")));
    refused(b, ERR_DATA, "column j: the JSON holds \\u0000");
}

static void test_conflicts(void)
{
    reopen("conflicts", true);
    const struct shape *s = simple_shape("conf");
    struct batch *b = start();
    fixture_insert(b, s, ROW(VI(1), VT("a"), VN));
    fixture_insert(b, s, ROW(VI(2), VT("b"), VN));
    done(b);
    b = start();
    fixture_update(b, s, ROW(VI(1), VA, VA), ROW(VI(1), VT("x"), VN));
    fixture_update(b, s, ROW(VI(7), VA, VA), ROW(VI(7), VT("x"), VN));
    refused(b, ERR_CONFLICT, "shop.conf (id=7), update: 0 rows of the destination match instead of 1");
    b = start();
    fixture_delete(b, s, ROW(VI(8), VA, VA));
    refused(b, ERR_CONFLICT, "shop.conf (id=8), delete: 0 rows");
    b = start();
    fixture_delete(b, s, ROW(VI(1), VA, VA));
    fixture_delete(b, s, ROW(VI(8), VA, VA));
    refused(b, ERR_CONFLICT, "shop.conf (id=8), delete: 0 rows");
    b = start();
    fixture_insert(b, s, ROW(VI(3), VT("c"), VN));
    fixture_insert(b, s, ROW(VI(2), VT("again"), VN));
    refused(b, ERR_CONFLICT, "shop.conf (id=2), insert: PostgreSQL says: duplicate key");
    b = start(); /* insert after insert never merges */
    fixture_insert(b, s, ROW(VI(5), VT("c"), VN));
    fixture_insert(b, s, ROW(VI(5), VT("c"), VN));
    refused(b, ERR_CONFLICT, "shop.conf (id=5), insert");
    b = start();
    fixture_insert(b, s, ROW(VI(6), VA, VN));
    refused(b, ERR_DATA, "column name: the source did not send its value");
    b = start(); /* the zero row stays absent: update of absent columns only touches what was sent */
    fixture_update(b, s, ROW(VI(1), VA, VA), ROW(VA, VA, VI(5)));
    fixture_update(b, s, ROW(VI(2), VA, VA), ROW(VA, VT("bb"), VA));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.conf t", "(1,a,5);(2,bb,)");
    char want[32];
    snprintf(want, sizeof want, "%llu", (unsigned long long)lsn);
    is("SELECT lsn::text FROM rowtide.progress WHERE subscription='conflicts'", want);
}

static void test_policies(void)
{
    struct err err;
    reopen("policies", true);
    sub.on_error = ON_ERROR_DEAD_LETTER;
    const struct shape *s = simple_shape("pol");
    struct batch *b = start();
    for (int i = 0; i < 200; i++) {
        fixture_insert(b, s, ROW(VI(i), VT("x"), VI(i)));
        if (i % 50 == 25) /* three kinds of refusal among good rows */
            fixture_insert(b, s, ROW(VI(i), VT("twice"), VI(i)));
        if (i % 50 == 26)
            fixture_update(b, s, ROW(VI(1000 + i), VA, VA), ROW(VI(1000 + i), VT("gone"), VI(1)));
        if (i % 50 == 27)
            fixture_insert(b, s, ROW(VI(2000 + i), VS(VAL_TEXT, "n\0ul"), VI(i)));
    }
    CHECK(!try(b, APPLY_BATCH, &err), "must fail as a batch");
    CHECK(try(b, APPLY_ROWS, &err), "dead letters: %s", err.msg);
    batch_free(b);
    is("SELECT count(*) || ' ' || sum(n) FROM shop.pol", "200 19900");
    is("SELECT string_agg(op || ' ' || key || coalesce(' ' || sqlstate, ' -'), ';' ORDER BY id) FROM (SELECT * FROM "
       "rowtide.dead_letter WHERE "
       "subscription='policies' ORDER BY id LIMIT 3) d",
       "insert {\"id\": 25} 23505;update {\"id\": 1026} -;insert {\"id\": 2027} -");
    is("SELECT format('%s %s %s %s', schema, \"table\", new, old) FROM rowtide.dead_letter WHERE key='{\"id\":2027}'",
       "shop pol {\"n\": 27, \"id\": 2027, \"name\": \"n\xe2\x90\x80ul\"} ");
    is("SELECT count(*) || ' ' || bool_and(error <> '') || ' ' || count(DISTINCT lsn) FROM rowtide.dead_letter WHERE "
       "subscription='policies'",
       "12 true 12");
    CHECK(dest->stats.dead_lettered == 12 && dest->stats.skipped == 0, "dead %llu",
          (unsigned long long)dest->stats.dead_lettered);
    sub.on_error = ON_ERROR_SKIP;
    b = start();
    fixture_insert(b, s, ROW(VI(1), VT("x"), VI(1)));
    fixture_insert(b, s, ROW(VI(500), VT("x"), VI(1)));
    CHECK(!try(b, APPLY_BATCH, &err) && try(b, APPLY_ROWS, &err), "skip: %s", err.msg);
    batch_free(b);
    is("SELECT count(*)::text FROM shop.pol", "201");
    CHECK(dest->stats.skipped == 1, "skipped");
    b = start(); /* the driver works as before after such a fall */
    fixture_update(b, s, ROW(VI(1), VA, VA), ROW(VI(1), VT("y"), VI(1)));
    done(b);
    b = start(); /* a script's failure goes with the rows */
    struct relation *rel = (struct relation *)(uintptr_t)s->rel;
    (void)rel;
    struct dead_row *d = batch_add_dead(b, &err);
    struct record rec = { .op = REC_TRUNCATE };
    rec.u.ddl.t_schema = bytes_str("shop");
    rec.u.ddl.t_table = bytes_str("pol");
    *d = (struct dead_row){ .lsn = 77, .rec = &rec, .error = "script.lua:3: boom" };
    done(b);
    is("SELECT concat_ws(' ', lsn, op, schema, \"table\", error) FROM rowtide.dead_letter WHERE lsn=77",
       "77 truncate shop pol script.lua:3: boom");
}

static void test_fencing(void)
{
    struct err err = { 0 };
    struct progress other = { 0 };
    struct dest *second = NULL;
    reopen("fence", true);
    const struct shape *s = simple_shape("fence");
    struct batch *b = start();
    fixture_insert(b, s, ROW(VI(1), VT("a"), VN));
    done(b);
    CHECK(dest_postgres_ops.open(&sub, &second, &err) &&
              dest_postgres_ops.attach(second, slot, true, "h2", &other, &err),
          "%s", err.msg);
    CHECK(other.found && other.epoch == 2 && other.lsn == lsn && strcmp(other.script_hash, "hash") == 0 &&
              other.offset == lsn * 100 && other.changes == 1 && other.transactions == 1 &&
              other.commit_us == INT64_C(1700000000000000) + (int64_t)lsn * 1000000,
          "what the second one reads: epoch %llu lsn %llu hash %s us %lld", (unsigned long long)other.epoch,
          (unsigned long long)other.lsn, other.script_hash, (long long)other.commit_us);
    b = start();
    fixture_insert(b, s, ROW(VI(2), VT("b"), VN));
    CHECK(!try(b, APPLY_BATCH, &err) && err.code == ERR_FENCED, "clean rows of a fenced applier: %s", err.msg);
    batch_free(b);
    b = start();
    fixture_insert(b, s, ROW(VI(1), VT("b"), VN));
    CHECK(!try(b, APPLY_BATCH, &err) && err.code == ERR_FENCED, "conflicting rows of a fenced applier: %s", err.msg);
    batch_free(b);
    CHECK(!dest_postgres_ops.attach(dest, slot, false, "", &progress, &err) && err.code == ERR_FENCED, "attach: %s",
          err.msg);
    is("SELECT count(*)::text FROM shop.fence", "1");
    /* the second one loses its connection, comes back, and knows itself by its epoch */
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rowtide apply fence'");
    struct dest *first = dest;
    dest = second;
    b = start();
    fixture_insert(b, s, ROW(VI(3), VT("c"), VN));
    bool ok = try(b, APPLY_BATCH, &err);
    CHECK(!ok && err.transient && err.code == ERR_NET, "lost connection: %d %s", err.code, err.msg);
    CHECK(!dest_postgres_ops.connected(second), "connected");
    dest_postgres_ops.close(second);
    CHECK(dest_postgres_ops.open(&sub, &second, &err) &&
              dest_postgres_ops.attach(second, slot, false, "", &other, &err),
          "%s", err.msg);
    dest = second;
    CHECK(try(b, APPLY_BATCH, &err), "after the reconnect: %s", err.msg);
    b->txns[0].begin_lsn--; /* as of every real one: before its commit */
    CHECK(!try(b, APPLY_BATCH, &err) && err.code == ERR_NET && err.transient &&
              strstr(err.msg, "our own session") != NULL,
          "the same LSN twice: %s", err.msg);
    batch_free(b);
    is("SELECT string_agg(id::text, ',' ORDER BY id) FROM shop.fence", "1,3");
    static const uint8_t anew[16] = { 9 }; /* a slot that was made anew knows nothing of what was applied */
    CHECK(!dest_postgres_ops.attach(dest, anew, true, "", &other, &err) && err.code == ERR_LOST &&
              strstr(err.msg, "DELETE FROM rowtide.progress WHERE slot = '") != NULL,
          "another slot under the same name: %s", err.msg);
    dest_postgres_ops.close(first);
}

/* --- a COMMIT that is left to the batch behind --- */

static const struct batch *behind;
static const struct batch *tell_following(void *unused)
{
    (void)unused;
    return behind;
}

/* Applies b, with another behind it. */
static bool try_before(struct batch *b, const struct batch *next, struct err *err)
{
    behind = next;
    dest->lazy = next != NULL;
    dest->following = tell_following;
    bool ok = try(b, APPLY_BATCH, err);
    dest->following = NULL;
    dest->lazy = false;
    return ok;
}

static struct batch *deletes(const struct shape *s, int from, int to)
{
    struct batch *b = start();
    for (int id = from; id < to; id++)
        fixture_delete(b, s, ROW(VI(id), VA, VA));
    return b;
}

static bool attach_again(struct err *err)
{
    return dest_postgres_ops.attach(dest, slot, false, "", &progress, err);
}

static void test_going_on(void)
{
    struct err err;
    reopen("goon", true);
    run("CREATE TABLE shop.goon (id bigint PRIMARY KEY, name text, n int)");
    run("INSERT INTO shop.goon SELECT i, 'x', i FROM generate_series(1, 100) i");
    const struct shape *s = simple_shape("goon");
    struct batch *b[4];
    for (int i = 0; i < 4; i++)
        b[i] = deletes(s, 1 + i * 10, 11 + i * 10);
    for (int i = 0; i < 4; i++)
        CHECK(try_before(b[i], i < 3 ? b[i + 1] : NULL, &err), "batch %d: %s", i, err.msg);
    is("SELECT min(id) || ' ' || count(*) FROM shop.goon", "41 60");
    CHECK(dest->stats.rows_delete == 40 && dest->stats.commits == 4, "stats %llu %llu",
          (unsigned long long)dest->stats.rows_delete, (unsigned long long)dest->stats.commits);
    CHECK(attach_again(&err) && progress.lsn == lsn && progress.transactions == 4, "LSN %llu: %s",
          (unsigned long long)progress.lsn, err.msg);
    for (int i = 0; i < 4; i++)
        batch_free(b[i]);

    /* a row of the batch behind is refused: that batch alone has failed, and the commit before it counts */
    b[0] = deletes(s, 41, 51);
    b[1] = deletes(s, 91, 111); /* ten of them are not there */
    CHECK(try_before(b[0], b[1], &err), "%s", err.msg);
    CHECK(!try_before(b[1], NULL, &err) && err.code == ERR_CONFLICT && !err.transient, "%d %s", err.code, err.msg);
    is("SELECT min(id) || ' ' || count(*) FROM shop.goon", "51 50");
    CHECK(attach_again(&err) && progress.lsn == b[0]->txns[0].commit_lsn && dest->stats.commits == 5, "LSN %llu: %s",
          (unsigned long long)progress.lsn, err.msg);
    batch_free(b[0]);
    batch_free(b[1]);

    /* nothing comes behind after all */
    b[0] = deletes(s, 51, 61);
    b[1] = deletes(s, 61, 71);
    CHECK(try_before(b[0], b[1], &err), "%s", err.msg);
    CHECK(dest_postgres_ops.settle(dest, &err), "settle: %s", err.msg);
    CHECK(dest->stats.commits == 6, "%llu commits", (unsigned long long)dest->stats.commits);
    CHECK(try_before(b[1], NULL, &err), "%s", err.msg);
    is("SELECT min(id) || ' ' || count(*) FROM shop.goon", "71 30");
    batch_free(b[0]);
    batch_free(b[1]);

    /* the connection is lost while the COMMIT is under way: the destination says how far it came */
    b[0] = deletes(s, 71, 81);
    b[1] = deletes(s, 81, 91);
    CHECK(try_before(b[0], b[1], &err), "%s", err.msg);
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rowtide apply goon'");
    CHECK(!try_before(b[1], NULL, &err) && err.code == ERR_NET && err.transient, "%d %s", err.code, err.msg);
    CHECK(!dest_postgres_ops.settle(dest, &err), "settled without a connection");
    dest_postgres_ops.close(dest);
    dest = NULL;
    CHECK(dest_postgres_ops.open(&sub, &dest, &err) && attach_again(&err), "%s", err.msg);
    is("SELECT count(*)::text FROM shop.goon", progress.lsn == b[0]->txns[0].commit_lsn ? "20" : "30");
    batch_free(b[0]);
    batch_free(b[1]);

    /* the COMMIT fails: nothing of either batch is there, the first is told to be missing, and fails by itself from then on */
    reopen("goon2", true);
    run("CREATE TABLE shop.goon2 (id bigint PRIMARY KEY, name text, n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    run("INSERT INTO shop.goon2 SELECT i, 'x', i FROM generate_series(1, 100) i");
    s = simple_shape("goon2");
    struct batch *first = deletes(s, 1, 11);
    CHECK(try_before(first, NULL, &err), "%s", err.msg);
    b[0] = deletes(s, 11, 21);
    fixture_insert(b[0], s, ROW(VI(200), VT("twice"), VI(50)));
    b[1] = deletes(s, 21, 31);
    CHECK(try_before(b[0], b[1], &err), "the commit is not waited for: %s", err.msg);
    behind = NULL;
    CHECK(!dest_postgres_ops.apply(dest, b[1], APPLY_BATCH, &err) && err.transient &&
              strstr(err.msg, "at COMMIT of the batch before") != NULL,
          "%d %s", err.code, err.msg);
    CHECK(!dest_postgres_ops.settle(dest, &err), "settled what was lost");
    dest_postgres_ops.rollback(dest);
    CHECK(!dest_postgres_ops.settle(dest, &err), "settled what was lost, after the rollback");
    CHECK(attach_again(&err) && progress.lsn == first->txns[0].commit_lsn, "LSN %llu: %s",
          (unsigned long long)progress.lsn, err.msg);
    is("SELECT min(id) || ' ' || count(*) FROM shop.goon2", "11 90");
    CHECK(!try_before(b[0], b[1], &err) && err.code == ERR_CONFLICT && !err.transient, "%d %s", err.code, err.msg);
    CHECK(dest->stats.commits == 1 && dest->stats.rows_delete == 10, "stats %llu %llu",
          (unsigned long long)dest->stats.commits, (unsigned long long)dest->stats.rows_delete);
    CHECK(try_before(b[1], NULL, &err), "%s", err.msg);
    is("SELECT min(id) || ' ' || count(*) FROM shop.goon2", "11 80");
    batch_free(first);
    batch_free(b[0]);
    batch_free(b[1]);
}

/* Secondary unique keys, foreign keys, triggers, keys moved around: the source's order is what makes these work. */
static void test_order(void)
{
    reopen("order", false);
    run("CREATE TABLE shop.uq (id bigint PRIMARY KEY, u text UNIQUE, n int); CREATE TABLE shop.parent (id bigint "
        "PRIMARY KEY, name text, n int);"
        "CREATE TABLE shop.child (id bigint PRIMARY KEY, name text, n int REFERENCES shop.parent);"
        "CREATE TABLE shop.trig (id bigint PRIMARY KEY, name text, n int); CREATE TABLE shop.log (at serial, what "
        "text);"
        "CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.log(what) VALUES "
        "(tg_op || "
        "coalesce(new.id, old.id)); RETURN coalesce(new, old); END $$;"
        "CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON shop.trig FOR EACH ROW EXECUTE FUNCTION shop.note()");
    run("ALTER TABLE shop.parent ALTER COLUMN id TYPE int");
    const struct shape *u = SHAPE(shapes, "shop", "uq", COL("id", INT, .key_pos = 1), COL("u", TEXT, .nullable = true),
                                  COL("n", COL_INT, .int_bits = 32, .nullable = true));
    struct batch *b = start();
    fixture_insert(b, u, ROW(VI(1), VT("a"), VI(1)));
    fixture_insert(b, u, ROW(VI(2), VT("b"), VI(2)));
    fixture_insert(b, u, ROW(VI(3), VT("c"), VI(3)));
    done(b);
    b = start(); /* the value b wanders from one row to another by way of a third value, then a row takes over the place of another */
    fixture_update(b, u, ROW(VI(2), VT("b"), VI(2)), ROW(VI(2), VT("tmp"), VI(2)));
    fixture_update(b, u, ROW(VI(1), VT("a"), VI(1)), ROW(VI(1), VT("b"), VI(1)));
    fixture_update(b, u, ROW(VI(2), VT("tmp"), VI(2)), ROW(VI(2), VT("a"), VI(2)));
    fixture_delete(b, u, ROW(VI(3), VT("c"), VI(3)));
    fixture_insert(b, u, ROW(VI(4), VT("c"), VI(4)));
    fixture_update(b, u, ROW(VI(4), VT("c"), VI(4)), ROW(VI(5), VT("c"), VI(4)));
    fixture_insert(b, u, ROW(VI(4), VT("d"), VI(4)));
    fixture_update(b, u, ROW(VI(4), VT("d"), VI(4)), ROW(VI(4), VT("d"), VI(44)));
    fixture_update(b, u, ROW(VI(5), VT("c"), VI(4)), ROW(VI(5), VT("c"), VI(55)));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.uq t", "(1,b,1);(2,a,2);(4,d,44);(5,c,55)");
    const struct shape *p = simple_shape("parent"), *c = simple_shape("child"), *t = simple_shape("trig");
    b = start();
    for (int i = 1; i < 20; i++) {
        fixture_insert(b, p, ROW(VI(i), VT("p"), VN));
        fixture_insert(b, c, ROW(VI(i), VT("c"), VI(i)));
    }
    fixture_delete(b, c, ROW(VI(3), VA, VA));
    fixture_delete(b, p, ROW(VI(3), VA, VA));
    fixture_update(b, c, ROW(VI(4), VT("c"), VI(4)), ROW(VI(4), VT("c"), VI(5)));
    fixture_delete(b, p, ROW(VI(4), VA, VA));
    done(b);
    is("SELECT count(*) || ' ' || (SELECT count(*) FROM shop.parent) FROM shop.child", "18 17");
    b = start();
    fixture_insert(b, t, ROW(VI(2), VT("x"), VN));
    fixture_insert(b, t, ROW(VI(1), VT("x"), VN));
    fixture_update(b, t, ROW(VI(2), VT("x"), VN), ROW(VI(2), VT("y"), VN));
    fixture_update(b, t, ROW(VI(1), VT("x"), VN), ROW(VI(1), VT("y"), VN));
    fixture_delete(b, t, ROW(VI(2), VA, VA));
    fixture_insert(b, t, ROW(VI(2), VT("z"), VN));
    done(b);
    is("SELECT string_agg(what, ',' ORDER BY at) FROM shop.log", "INSERT2,INSERT1,UPDATE2,UPDATE1,DELETE2,INSERT2");
    b = start(); /* a ring of keys, complete images: DELETE and INSERT */
    const struct shape *s = simple_shape("ring");
    run("CREATE TABLE shop.ring (id bigint PRIMARY KEY, name text, n int)");
    for (int i = 1; i <= 3; i++)
        fixture_insert(b, s, ROW(VI(i), VT(i == 1 ? "one" : i == 2 ? "two" : "three"), VN));
    done(b);
    b = start();
    fixture_update(b, s, ROW(VI(1), VT("one"), VN), ROW(VI(9), VT("one"), VN));
    fixture_update(b, s, ROW(VI(2), VT("two"), VN), ROW(VI(1), VT("two"), VN));
    fixture_update(b, s, ROW(VI(3), VT("three"), VN), ROW(VI(2), VT("three"), VI(3)));
    fixture_update(b, s, ROW(VI(9), VT("one"), VN), ROW(VI(3), VT("one"), VN));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.ring t", "(1,two,);(2,three,3);(3,one,)");
    b = start(); /* incomplete images: the key is set in place, in order */
    fixture_update(b, s, ROW(VI(3), VA, VA), ROW(VI(4), VA, VA));
    fixture_update(b, s, ROW(VI(2), VA, VA), ROW(VI(3), VA, VA));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.ring t", "(1,two,);(3,three,3);(4,one,)");
    run("ALTER TABLE shop.ring ADD COLUMN note text DEFAULT 'mine'"); /* a column that only the destination has survives a moved key */
    run("UPDATE shop.ring SET note = 'kept'");
    reopen("order", false);
    b = start();
    fixture_update(b, s, ROW(VI(1), VT("two"), VN), ROW(VI(11), VT("two"), VN));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY id) FROM shop.ring t", "(3,three,3,kept);(4,one,,kept);(11,two,,kept)");
}

static void test_keyless(void)
{
    reopen("keyless", true);
    const struct shape *s = SHAPE(shapes, "shop", "bag", COL("a", TEXT, .nullable = true),
                                  COL("f", COL_FLOAT, .nullable = true), COL("j", COL_JSON, .nullable = true));
    struct val f = { .kind = VAL_F32, .u.f32 = 0.1F };
    struct batch *b = start();
    for (int i = 0; i < 3; i++)
        fixture_insert(b, s, ROW(VT("x"), f, VS(VAL_JSON, "{\"a\": 1}")));
    for (int i = 0; i < 2; i++)
        fixture_insert(b, s, ROW(VN, VN, VN));
    done(b);
    b = start();
    fixture_delete(b, s, ROW(VT("x"), f, VS(VAL_JSON, "{\"a\": 1}")));
    fixture_update(b, s, ROW(VT("x"), f, VS(VAL_JSON, "{\"a\": 1}")), ROW(VT("y"), f, VN));
    fixture_delete(b, s, ROW(VN, VN, VN));
    done(b);
    is("SELECT string_agg(t::text, ';' ORDER BY a) FROM shop.bag t", "(x,0.1,\"{\"\"a\"\": 1}\");(y,0.1,);(,,)");
    b = start();
    fixture_delete(b, s, ROW(VT("z"), VN, VN));
    refused(b, ERR_CONFLICT, "shop.bag, delete: 0 rows");
    run("CREATE TABLE shop.bagj (a text, f real, j json)");
    const struct shape *j = SHAPE(shapes, "shop", "bagj", COL("a", TEXT, .nullable = true),
                                  COL("f", COL_FLOAT, .nullable = true), COL("j", COL_JSON, .nullable = true));
    b = start();
    fixture_insert(b, j, ROW(VT("x"), f, VS(VAL_JSON, "{\"a\": 1}")));
    fixture_delete(b, j, ROW(VT("x"), f, VS(VAL_JSON, "{\"a\": 1}")));
    done(b);
    is("SELECT count(*)::text FROM shop.bagj", "0");
}

static void test_ddl(void)
{
    struct err err;
    reopen("ddl", true);
    const struct shape *s = simple_shape("d");
    struct batch *b = start();
    fixture_insert(b, s, ROW(VI(1), VT("a"), VN));
    done(b);
    b = start(); /* without --evolve it passes; the first row with the column stops */
    fixture_ddl(b, "shop", "ALTER TABLE d ADD COLUMN c1 INT NOT NULL DEFAULT 5", NULL);
    done(b);
    const struct shape *wider = SHAPE(
        shapes, "shop", "d", COL("id", INT, .key_pos = 1), COL("name", TEXT, .nullable = true),
        COL("n", COL_INT, .int_bits = 32, .nullable = true), COL("c1", COL_INT, .int_bits = 32));
    b = start();
    fixture_insert(b, wider, ROW(VI(2), VT("a"), VN, VI(6)));
    refused(b, ERR_CONFIG,
            "has no column c1 at the destination (--evolve adds columns when the source's ALTER TABLE arrives): ALTER "
            "TABLE "
            "\"shop\".\"d\" ADD COLUMN \"c1\" integer");
    sub.evolve = true;
    b = start();
    fixture_ddl(
        b, "shop",
        "ALTER TABLE d ADD COLUMN c1 INT NOT NULL DEFAULT 5, ADD c2 VARCHAR(20) CHARACTER SET utf8mb4 DEFAULT 'it''s', "
        "ADD c3 "
        "DECIMAL(6,2) NOT NULL, ADD c4 DATETIME(3) NOT NULL DEFAULT '2024-01-02 03:04:05', ADD c5 TEXT, ADD c6 "
        "ENUM('x','y') NOT NULL, ADD c7 SET('p','q') DEFAULT 'q,p', ADD c8 TIME DEFAULT '-10:00:00', ADD c9 BINARY(3) "
        "NOT NULL DEFAULT 'a', ADD c10 DATE NOT NULL, ADD INDEX (n)",
        NULL);
    done(b);
    is("SELECT t::text FROM shop.d t",
       "(1,a,,5,it's,0.00,\"2024-01-02 03:04:05\",,x,\"{p,q}\",-10:00:00,\"\\\\x610000\",)");
    b = start();
    fixture_insert(b, wider, ROW(VI(2), VT("a"), VN, VI(6)));
    done(b); /* a row in the older shape: the new NOT NULL columns have their defaults */
    is("SELECT (c1, c2, c3, c6)::text FROM shop.d t WHERE id=2", "(6,it's,0.00,x)");
    static const struct {
        const char *sql, *want;
    } stops[] = {
        { "ALTER TABLE d ADD COLUMN z1 TIMESTAMP NOT NULL", "not known exactly. Run this at the destination" },
        { "ALTER TABLE d ADD COLUMN z2 DATETIME DEFAULT CURRENT_TIMESTAMP", "not known exactly" },
        { "ALTER TABLE d ADD COLUMN z3 INT NOT NULL AUTO_INCREMENT UNIQUE", "not known exactly" },
        { "ALTER TABLE d ADD COLUMN z4 INT AS (n * 2)", "not known exactly" },
        { "ALTER TABLE d MODIFY n VARCHAR(10)", "changes a column's type" },
        { "ALTER TABLE d CHANGE n m INT", "RENAME COLUMN \"n\" TO \"m\"" },
        { "ALTER TABLE d RENAME TO e", "it renames a table" },
        { "RENAME TABLE d TO e", "it renames a table" },
        { "ALTER TABLE d DROP PARTITION p0", "Answer it in the script's ddl()" },
        { "ALTER TABLE elsewhere EXCHANGE PARTITION p0 WITH TABLE d", "changes or removes rows without row events" },
    };
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        b = start();
        fixture_ddl(b, "shop", stops[i].sql, NULL);
        refused(b, ERR_CONFIG, stops[i].want);
    }
    static const char *const passes[] = { "ALTER TABLE d DROP COLUMN name",
                                          "ALTER TABLE d ADD INDEX x (n)",
                                          "ALTER TABLE d ADD COLUMN c1 INT NOT NULL DEFAULT 5",
                                          "ALTER TABLE d MODIFY n BIGINT",
                                          "CREATE TABLE e (id INT)",
                                          "DROP TABLE d",
                                          "DROP DATABASE shop",
                                          "CREATE USER x",
                                          "ALTER TABLE elsewhere DROP PARTITION p0",
                                          "ALTER TABLE elsewhere EXCHANGE PARTITION p0 WITH TABLE nowhere",
                                          "RENAME TABLE elsewhere TO more" };
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        b = start();
        fixture_ddl(b, "shop", passes[i], NULL);
        bool ok = try(b, APPLY_BATCH, &err);
        CHECK(ok, "%s: %s", passes[i], err.msg);
        batch_free(b);
    }
    is("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid='shop.d'::regclass AND attname='n'",
       "bigint");
    b = start();
    fixture_ddl(b, "shop", "ALTER TABLE d DROP PARTITION p0",
                "DELETE FROM shop.d; INSERT INTO shop.d(id, c10) VALUES (5, '2024-01-01')");
    done(b);
    is("SELECT string_agg(id::text, ',') FROM shop.d", "5");
    b = start();
    fixture_ddl(b, "shop", "DROP DATABASE x", "CREATE TABLE found_by_search_path (a int)");
    fixture_insert(b, simple_shape("after_ddl"), ROW(VI(1), VT("a"), VN));
    done(b);
    is("SELECT count(*) || ' ' || (SELECT count(*) FROM shop.after_ddl) FROM public.found_by_search_path", "0 1");
    b = start();
    fixture_ddl(b, "shop", "ALTER TABLE d DROP PARTITION p0", "SELECT nonsense");
    refused(b, ERR_CONFIG, "the SQL that ddl() answered: PostgreSQL says");
    b = start();
    fixture_ddl(b, "shop", "TRUNCATE TABLE d", NULL);
    done(b);
    is("SELECT count(*)::text FROM shop.d", "0");
    reopen("ddl", false);
    b = start();
    fixture_insert(b, simple_shape("nowhere"), ROW(VI(1), VT("a"), VN));
    refused(b, ERR_CONFIG, "the destination has no table shop.nowhere: run with --create, or: CREATE TABLE");
}

/* Inserts in such numbers that they go by COPY. */
static void test_copy(void)
{
    static const char sum[] =
        "SELECT concat_ws(' ', count(*), sum(id), sum(n), sum(gen), count(*) FILTER (WHERE name IS NULL), "
        "count(DISTINCT mine), sum(f)) FROM shop.copied";
    reopen("copy", false);
    run("CREATE SCHEMA IF NOT EXISTS shop; CREATE DOMAIN shop.small AS int CHECK (value < 5000); CREATE TABLE "
        "shop.copied (id "
        "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(5), n shop.small, f numeric(9,1), gen int "
        "GENERATED "
        "ALWAYS AS (n * 2) STORED, mine text DEFAULT 'x')");
    const struct shape *s = SHAPE(shapes, "shop", "copied", COL("id", INT, .key_pos = 1),
                                  COL("name", TEXT, .nullable = true), COL("n", INT),
                                  COL("f", COL_DECIMAL, .precision = 9, .scale = 1, .nullable = true), COL("gen", INT));
    struct batch *b = start();
    fixture_delete(b, s, ROW(VI(1), VA, VA, VA, VA)); /* not there: what stands before the COPY is looked at, too */
    for (int i = 2; i < 700; i++)
        fixture_insert(b, s, ROW(VI(i), VT("abc"), VI(i), VN, VN));
    refused(b, ERR_CONFLICT, "(id=1), delete");
    is(sum, "0 0 0");
    b = start();
    for (int i = 1; i <= 6000; i++) /* several chunks; from 5500 on n is text, which COPY in binary does not take */
        fixture_insert(b, s,
                       ROW(VI(i), i % 2 == 0 ? VN : VT("abc"), i < 5500 ? VI(i % 100) : VT("7"), VI(i % 10), VI(99)));
    done(b);
    is(sum, "6000 18003000 275757 551514 3000 1 27000.0");
    b = start();
    for (int i = 0; i < 900; i++)
        fixture_insert(b, s, ROW(VI(7000 + i), VT(i == 600 ? "abcdef" : "abc"), VI(1), VN, VN));
    refused(b, ERR_DATA, "(id=7600), insert: column name: a text of 6 characters does not fit");
    b = start();
    for (int i = 0; i < 6000; i++) /* seen when a part is on its way */
        fixture_insert(b, s, ROW(VI(7000 + i), VT(i == 5900 ? "abcdef" : "abc"), VI(1), VN, VN));
    refused(b, ERR_DATA, "(id=12900), insert: column name: a text of 6 characters does not fit");
    b = start();
    for (int i = 0; i < 900; i++)
        fixture_insert(b, s, ROW(VI(7000 + i), VT("abc"), VI(i == 600 ? 5000 : 1), VN, VN));
    refused(b, ERR_DATA, "(id=7600), insert: PostgreSQL says: value for domain shop.small violates");
    b = start();
    for (int i = 0; i < 900; i++)
        fixture_insert(b, s, ROW(VI(i == 600 ? 17 : 7000 + i), VT("abc"), VI(1), VN, VN));
    refused(b, ERR_CONFLICT, "(id=17), insert: PostgreSQL says: duplicate key");
    b = start();
    for (int i = 0; i < 600; i++)
        fixture_insert(b, s, ROW(VI(7000 + i), VT("abc"), VI(1), VN, VN));
    fixture_update(b, s, ROW(VI(1), VA, VA, VA, VA), ROW(VI(1), VN, VA, VA, VA));
    done(b);
    is(sum, "6600 22382700 276357 552714 3001 1 27000.0");
}

/* Updates 40 rows of shop.spare, from n = old to n = new; the name stays. */
static struct batch *spare_updates(const struct shape *s, int old, int new, bool plain, int first)
{
    struct batch *b = start();
    for (int i = first; i < first + 40; i++) {
        fixture_update(b, s, ROW(VI(i), VT("name"), VI(old)), ROW(VI(i), VT("name"), VI(new)));
        b->rows[b->nrows - 1].plain = plain;
    }
    return b;
}

/* Columns that no row of an update changes are not written, unless a script saw the rows: their old image is not what is here. */
static void test_spare(void)
{
    static const char all[] =
        "SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE name = 'name'), sum(n)) FROM shop.spare";
    reopen("spare", true);
    const struct shape *s = simple_shape("spare");
    struct batch *b = start();
    for (int i = 0; i < 40; i++)
        fixture_insert(b, s, ROW(VI(i), VT("name"), VI(1)));
    done(b);
    run("UPDATE shop.spare SET name = 'of here' WHERE id < 10");
    done(spare_updates(s, 1, 2, true, 0));
    is(all, "40 30 80");
    b = spare_updates(s, 2, 3, true, 0); /* merged: the first old image counts, and one row is enough */
    fixture_update(b, s, ROW(VI(39), VT("name"), VI(3)), ROW(VI(39), VT("other"), VI(3)));
    b->rows[b->nrows - 1].plain = true;
    done(b);
    is(all, "40 39 120");
    done(spare_updates(s, 3, 3, true, 0)); /* nothing to write: but the rows must be there */
    run("UPDATE shop.spare SET name = 'of here' WHERE id < 10");
    is(all, "40 29 120");
    refused(spare_updates(s, 3, 3, true, 5), ERR_CONFLICT, "shop.spare (id=40), update: 0 rows");
    done(spare_updates(s, 3, 4, false, 0));
    is(all, "40 40 160");
}

static void test_large(void)
{
    reopen("large", true);
    const struct shape *s = simple_shape("large");
    struct batch *b = start();
    for (int i = 0; i < 20000; i++)
        fixture_insert(b, s, ROW(VI(i), VT("some text of a usual length"), VI(i)));
    done(b);
    is("SELECT count(*) || ' ' || sum(n) FROM shop.large", "20000 199990000");
    b = start();
    for (int i = 0; i < 20000; i++)
        if (i % 2 == 0)
            fixture_update(b, s, ROW(VI(i), VA, VA), ROW(VI(i), i % 4 == 0 ? VA : VT("changed"), VI(0)));
        else
            fixture_delete(b, s, ROW(VI(i), VA, VA));
    done(b);
    is("SELECT count(*) || ' ' || sum(n) || ' ' || count(*) FILTER (WHERE name='changed') FROM shop.large",
       "10000 0 5000");
    size_t size = 300000; /* answers and data cross in both directions, far beyond the socket's buffers */
    char *big = malloc(size + 1);
    memset(big, 'x', size);
    big[size] = '\0';
    b = start();
    for (int i = 0; i < 60; i++)
        fixture_insert(b, s, ROW(VI(100000 + i), VT(big), VI(1)));
    done(b);
    struct err err;
    b = start();
    for (int i = 0; i < 60; i++)
        fixture_update(b, s, ROW(VI(100000 + i), VA, VA), ROW(VI(100000 + i), VT(big), VI(2)));
    CHECK(try(b, APPLY_ROWS, &err), "row by row: %s", err.msg);
    batch_free(b);
    is("SELECT sum(length(name)) || ' ' || sum(n) FROM shop.large WHERE id >= 100000", "18000000 120");
    free(big);
    /* one transaction in three pieces: nobody sees it before the last */
    struct batch *piece[3];
    for (int i = 0; i < 3; i++) {
        piece[i] = batch_new();
        fixture_txn(piece[i], lsn + 1);
        for (int k = 0; k < 100; k++)
            fixture_insert(piece[i], s, ROW(VI(200000 + i * 100 + k), VT("p"), VI(1)));
        piece[i]->starts_inside = i > 0;
        piece[i]->ends_inside = i < 2;
    }
    lsn++;
    done(piece[0]);
    done(piece[1]);
    is("SELECT count(*)::text FROM shop.large WHERE id >= 200000", "0");
    done(piece[2]);
    is("SELECT count(*)::text FROM shop.large WHERE id >= 200000", "300");
    char want[80];
    snprintf(want, sizeof want, "%llu", (unsigned long long)lsn);
    is("SELECT lsn::text FROM rowtide.progress WHERE subscription='large'", want);
}

/* Many random changes: what the destination holds must be what a model of the source holds, for every kind of table. */
static uint32_t seed = 12345;
static unsigned roll(unsigned n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

enum { KEYS = 30 };
static void test_random(const char *table, const char *ddl)
{
    struct {
        bool there;
        int n, version;
    } model[KEYS] = { 0 };
    char sql[300], name[16], before[16];
    reopen(table, false);
    run(ddl);
    const struct shape *s = simple_shape(table);
    for (int round = 0; round < 60; round++) {
        struct batch *b = start();
        for (unsigned i = 0, n = 1 + roll(60); i < n; i++) {
            int k = (int)roll(KEYS), to = (int)roll(KEYS);
            snprintf(before, sizeof before, "v%d.%d", k, model[k].version);
            struct val old[] = { VI(k), VT(before), VI(model[k].n) };
            if (roll(8) == 0)
                fixture_txn(b, ++lsn);
            if (!model[k].there) {
                model[k].there = true;
                model[k].n = (int)roll(1000);
                snprintf(name, sizeof name, "v%d.%d", k, ++model[k].version);
                fixture_insert(b, s, ROW(VI(k), VT(name), VI(model[k].n)));
            } else if (roll(3) == 0) {
                model[k].there = false;
                fixture_delete(b, s, old);
            } else if (roll(4) == 0 && !model[to].there) {
                model[to].there = true;
                model[to].n = model[k].n;
                model[k].there = false;
                snprintf(name, sizeof name, "v%d.%d", to, ++model[to].version);
                fixture_update(b, s, old, ROW(VI(to), VT(name), VI(model[to].n)));
            } else if (roll(2) == 0) {
                model[k].n = (int)roll(1000);
                fixture_update(b, s, old, ROW(VI(k), VA, VI(model[k].n)));
            } else {
                snprintf(name, sizeof name, "v%d.%d", k, ++model[k].version);
                fixture_update(b, s, old, ROW(VI(k), VT(name), VA));
            }
        }
        struct err err;
        bool ok = try(b, roll(4) == 0 ? APPLY_ROWS : APPLY_BATCH, &err);
        CHECK(ok, "%s, round %d: %s", table, round, err.msg);
        batch_free(b);
        struct buf want = { 0 };
        for (int k = 0; k < KEYS; k++)
            if (model[k].there)
                buf_printf(&want, "%d:v%d.%d:%d;", k, k, model[k].version, model[k].n);
        snprintf(sql, sizeof sql,
                 "SELECT coalesce(string_agg(id || ':' || name || ':' || n, ';' ORDER BY id) || ';', '') FROM shop.%s",
                 table);
        is(sql, buf_cstr(&want));
        buf_free(&want);
        if (unit_failures != 0)
            return;
    }
}

static void test_open(void)
{
    static const struct {
        const char *url, *want;
        enum err_code code;
    } cases[] = {
        { "postgresql://u:secret@/postgres?host=/nowhere-at-all", "", ERR_NET },
        { "postgresql://postgres:secret@[half/x", "not one that libpq understands", ERR_CONFIG },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        struct dest *d = NULL;
        struct subscription x = { .name = (char *)"x", .to = (char *)(uintptr_t)cases[i].url };
        bool ok = dest_postgres_ops.open(&x, &d, &err);
        CHECK(!ok && err.code == cases[i].code && strstr(err.msg, cases[i].want) != NULL &&
                  strstr(err.msg, "secret") == NULL,
              "%s: %d %s", cases[i].url, err.code, err.msg);
        CHECK(err.transient == (cases[i].code == ERR_NET), "transient: %s", err.msg);
    }
    struct err err = { 0 };
    CHECK(dest_find("postgres://x", &err) == &dest_postgres_ops &&
              dest_find("postgresql://x", &err) == &dest_postgres_ops,
          "find");
    CHECK(dest_find("mysql://u:secret@h", &err) == NULL && strstr(err.msg, "jsonl:PATH") != NULL &&
              strstr(err.msg, "secret") == NULL,
          "unknown scheme: %s", err.msg);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    if (!pg_server_find(&server)) {
        printf("skipped: no PostgreSQL server is installed (ROWTIDE_TEST_PGBIN names its bin directory)\n");
        return 0;
    }
    bool up = pg_server_start(&server);
    CHECK(up, "the server did not start, see its log");
    shapes = shape_table_new();
    if (up && shapes != NULL) {
        run("SET timezone='UTC'; SET client_min_messages=warning");
        test_open();
        test_basic();
        test_types();
        test_casts();
        test_nul();
        test_conflicts();
        test_policies();
        test_fencing();
        test_going_on();
        test_order();
        test_keyless();
        test_ddl();
        test_copy();
        test_spare();
        test_large();
        test_random("rkey", "CREATE TABLE shop.rkey (id bigint PRIMARY KEY, name text, n int)");
        test_random("runiq", "CREATE TABLE shop.runiq (id bigint PRIMARY KEY, name text UNIQUE, n int)");
        test_random("rextra",
                    "CREATE TABLE shop.rextra (id bigint PRIMARY KEY, name text, n int, mine text DEFAULT 'x')");
        test_random("rexpr", "CREATE TABLE shop.rexpr (id bigint PRIMARY KEY, name text, n int); CREATE UNIQUE INDEX "
                             "ON shop.rexpr (lower(name))");
        test_random("rfk",
                    "CREATE TABLE shop.rfk (id bigint PRIMARY KEY, name text, n int, up bigint REFERENCES shop.rfk)");
        test_random("rpart", "CREATE TABLE shop.rpart (id bigint PRIMARY KEY, name text, n int) PARTITION BY HASH "
                             "(id); CREATE TABLE shop.rpart0 "
                             "PARTITION OF shop.rpart FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE "
                             "shop.rpart1 PARTITION OF shop.rpart "
                             "FOR VALUES WITH (MODULUS 2, REMAINDER 1)");
        test_random("rnokey", "CREATE TABLE shop.rnokey (id bigint, name text, n int)");
    }
    dest_postgres_ops.close(dest);
    shape_table_free(shapes);
    pg_server_stop(&server);
    return UNIT_END();
}
