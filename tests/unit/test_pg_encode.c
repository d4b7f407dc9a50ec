/* test_pg_encode.c - one line per fact. Binary forms: what PostgreSQL 15 itself sends (COPY ... (FORMAT binary)); that
 * it takes them is test_dest_postgres.c's. */
#include "batch_fixture.h"
#include "pg_encode.h"

static struct bytes labels[] = { { (const uint8_t *)"a", 1 }, { (const uint8_t *)"b", 1 } };
#define DEC(s, n)                                                                                                      \
    {                                                                                                                  \
        .kind = VAL_DEC64, .scale = (s), .u.i64 = (n)                                                                  \
    }
#define STR(k, s)                                                                                                      \
    {                                                                                                                  \
        .kind = (k), .u.str = {(const uint8_t *)(s), sizeof(s) - 1 }                                                   \
    }
#define TYPMOD(n) ((n) + 4)
#define NUMERIC(p, s) TYPMOD((p) << 16 | (s))
#define PACK(y, m, d, h, i, s, u)                                                                                      \
    ((int64_t)((((((uint64_t)(y)*13 + (m)) << 5 | (d)) << 17) | (uint64_t)(h) << 12 | (uint64_t)(i) << 6 | (s))        \
                   << 24 |                                                                                             \
               (u)))

static const struct {
    uint32_t type;
    int32_t typmod;
    struct val v;
    const char *want; /* hex; "!part of the error"; "NULL"; "CAST text" */
} cases[] = {
    { PG_BOOL, -1, { .kind = VAL_I64, .u.i64 = 1 }, "01" },
    { PG_BOOL, -1, { .kind = VAL_BIT, .u.u64 = 0 }, "00" },
    { PG_BOOL, -1, { .kind = VAL_I64, .u.i64 = -1 }, "!-1 is neither 0 nor 1" },
    { PG_BOOL, -1, STR(VAL_TEXT, "yes"), "CAST yes" },
    { PG_INT2, -1, { .kind = VAL_I64, .u.i64 = -32768 }, "8000" },
    { PG_INT2, -1, { .kind = VAL_I64, .u.i64 = -32769 }, "!-32769 is out of range" },
    { PG_INT2, -1, { .kind = VAL_U64, .u.u64 = 32767 }, "7fff" },
    { PG_INT2, -1, { .kind = VAL_U64, .u.u64 = 32768 }, "!32768 is out of range" },
    { PG_INT4, -1, { .kind = VAL_I64, .u.i64 = INT32_MIN }, "80000000" },
    { PG_INT4, -1, DEC(2, -500), "fffffffb" },
    { PG_INT4, -1, DEC(2, 501), "CAST 5.01" },
    { PG_INT8, -1, { .kind = VAL_I64, .u.i64 = INT64_MIN }, "8000000000000000" },
    { PG_INT8, -1, { .kind = VAL_U64, .u.u64 = UINT64_MAX }, "!18446744073709551615 is out of range" },
    { PG_INT8, -1, STR(VAL_TEXT, "5"), "CAST 5" },
    { PG_INT8, -1, { .kind = VAL_F64, .u.f64 = 5 }, "CAST 5" },
    { PG_FLOAT8, -1, { .kind = VAL_F64, .u.f64 = -0.0 }, "8000000000000000" },
    { PG_FLOAT8, -1, { .kind = VAL_F32, .u.f32 = 0.5F }, "3fe0000000000000" },
    { PG_FLOAT8, -1, { .kind = VAL_I64, .u.i64 = -3 }, "c008000000000000" },
    { PG_FLOAT8, -1, { .kind = VAL_I64, .u.i64 = INT64_C(9007199254740993) }, "CAST 9007199254740993" },
    { PG_FLOAT4, -1, { .kind = VAL_F32, .u.f32 = 1.5F }, "3fc00000" },
    { PG_FLOAT4, -1, { .kind = VAL_F64, .u.f64 = 0.1 }, "CAST 0.1" },
    { PG_NUMERIC, -1, { .kind = VAL_I64, .u.i64 = 0 }, "0000000000000000" },
    { PG_NUMERIC, -1, { .kind = VAL_I64, .u.i64 = -12345 }, "0002000140000000 0001 0929" },
    { PG_NUMERIC, -1, { .kind = VAL_U64, .u.u64 = UINT64_MAX }, "0005000400000000 0734 1a58 02e1 03bb 064f" },
    { PG_NUMERIC, -1, { .kind = VAL_I64, .u.i64 = 10000 }, "0001000100000000 0001" },
    { PG_NUMERIC, -1, DEC(2, 1), "0001ffff00000002 0064" },
    { PG_NUMERIC, -1, DEC(4, 1), "0001ffff00000004 0001" },
    { PG_NUMERIC, -1, DEC(5, 1), "0001fffe00000005 03e8" },
    { PG_NUMERIC, -1, DEC(2, -123456),
      "0002000040000002 04d2 15e0"
      "" },
    { PG_NUMERIC, -1, DEC(2, 0), "0000000000000002" },
    { PG_NUMERIC, -1, DEC(18, 1), "0001fffb00000012 0064" },
    { PG_NUMERIC, -1, STR(VAL_DECIMAL, "-0.00"), "0000000000000002" },
    { PG_NUMERIC, -1, STR(VAL_DECIMAL, "12345678901234567890.5"), "0006000400000001 04d2 162e 2334 0d80 1ed2 1388" },
    { PG_NUMERIC, -1, STR(VAL_TEXT, "123.45"), "0002000000000002 007b 1194" },
    { PG_NUMERIC, -1, STR(VAL_TEXT, "1e5"), "CAST 1e5" },
    { PG_NUMERIC, NUMERIC(10, 2), DEC(4, 123400), "0002000000000004 000c 0d48" },
    { PG_NUMERIC, NUMERIC(10, 2), DEC(4, 123450), "!3 digits behind the point would be rounded" },
    { PG_NUMERIC, NUMERIC(10, 2), STR(VAL_TEXT, "0.001"), "!3 digits behind the point" },
    { PG_NUMERIC, -1, { .kind = VAL_F64, .u.f64 = 1e30 }, "CAST 1e30" },
    { PG_TEXT, -1, STR(VAL_TEXT, "x"), "78" },
    { PG_TEXT, -1, STR(VAL_TEXT, ""), "" },
    { PG_TEXT, -1, { .kind = VAL_I64, .u.i64 = -5 }, "2d35" },
    { PG_TEXT, -1, { .kind = VAL_ENUM, .u.u64 = 2 }, "62" },
    { PG_TEXT, -1, { .kind = VAL_ENUM, .u.u64 = 0 }, "" },
    { PG_TEXT, -1, { .kind = VAL_ENUM, .u.u64 = 99 }, "" },
    { PG_TEXT, -1, { .kind = VAL_SET, .u.u64 = 3 }, "612c62" },
    { PG_TEXT, -1, { .kind = VAL_BIT, .u.u64 = 5 }, "30303030303031 3031" },
    { PG_TEXT, -1, STR(VAL_TEXT, "a\0b"), "!NUL byte" },
    { PG_TEXT, -1, { .kind = VAL_DATE, .u.i64 = PACK(2024, 0, 0, 0, 0, 0, 0) }, "323032342d30302d3030" },
    { PG_VARCHAR, TYPMOD(2), STR(VAL_TEXT, "\xc3\xa4\xc3\xb6"), "c3a4c3b6" },
    { PG_VARCHAR, TYPMOD(2), STR(VAL_TEXT, "ab "), "!3 characters does not fit" },
    { PG_BPCHAR, TYPMOD(3), STR(VAL_TEXT, "ab"), "6162" },
    { PG_BYTEA, -1, STR(VAL_BYTES, "\0\xff"), "00ff" },
    { PG_BYTEA, -1, { .kind = VAL_I64, .u.i64 = 1 }, "!is no byte string" },
    { PG_BYTEA, -1, STR(VAL_GEOMETRY, "\0\0\0\0\x01\x01\0\0\0xyz"), "010100000078797a" },
    { PG_BYTEA, -1, STR(VAL_GEOMETRY, "\xe6\x10\0\0\0\0\0\0\x01xyz"), "0020000001000010e678797a" },
    { PG_BYTEA, -1, STR(VAL_GEOMETRY, "\0\0\0\0\x01"), "!damaged" },
    { PG_JSON, -1, STR(VAL_JSON, "{\"a\":\"\\u0000\"}"), "7b2261223a225c7530303030227d" },
    { PG_JSONB, -1, STR(VAL_JSON, "1"), "0131" },
    { PG_JSONB, -1, STR(VAL_JSON, "\"\\u0000\""), "!the JSON holds \\u0000" },
    { PG_JSONB, -1, STR(VAL_JSON, "\"\\\\u0000\""), "01225c5c753030303022" },
    { PG_JSONB, -1, { .kind = VAL_I64, .u.i64 = 5 }, "0135" },
    { PG_JSONB, -1, { .kind = VAL_SET, .u.u64 = 3 }, "015b2261222c2262225d" },
    { PG_DATE, -1, { .kind = VAL_DATE, .u.i64 = PACK(2000, 1, 1, 0, 0, 0, 0) }, "00000000" },
    { PG_DATE, -1, { .kind = VAL_DATE, .u.i64 = PACK(1, 1, 1, 0, 0, 0, 0) }, "fff4dbf9" },
    { PG_DATE, -1, { .kind = VAL_DATE, .u.i64 = PACK(9999, 12, 31, 0, 0, 0, 0) }, "002c95d3" },
    { PG_DATE, -1, { .kind = VAL_DATE, .u.i64 = 0 }, "NULL" },
    { PG_DATE, -1, { .kind = VAL_DATE, .u.i64 = PACK(2023, 2, 29, 0, 0, 0, 0) }, "NULL" },
    { PG_DATE, -1, { .kind = VAL_DATETIME, .u.i64 = PACK(2000, 1, 2, 0, 0, 0, 0) }, "00000001" },
    { PG_DATE, -1, { .kind = VAL_DATETIME, .u.i64 = PACK(2000, 1, 2, 0, 0, 1, 0) }, "!time of day would be lost" },
    { PG_TIMESTAMP, -1, { .kind = VAL_DATETIME, .u.i64 = PACK(2000, 1, 1, 0, 0, 1, 1) }, "00000000000f4241" },
    { PG_TIMESTAMP,
      0,
      { .kind = VAL_DATETIME, .u.i64 = PACK(2000, 1, 1, 0, 0, 1, 1) },
      "!fraction of a second would be rounded" },
    { PG_TIMESTAMP, 3, { .kind = VAL_DATETIME, .u.i64 = PACK(2000, 1, 1, 0, 0, 0, 1000) }, "00000000000003e8" },
    { PG_TIMESTAMP,
      -1,
      { .kind = VAL_DATE, .u.i64 = PACK(1999, 12, 31, 0, 0, 0, 0) },
      "ffffffebe228a000"
      "" },
    { PG_TIMESTAMPTZ, -1, { .kind = VAL_INSTANT, .u.i64 = INT64_C(946684800000001) }, "0000000000000001" },
    { PG_TIMESTAMPTZ, -1, { .kind = VAL_INSTANT, .u.i64 = 0 }, "NULL" },
    { PG_TIMESTAMPTZ, -1, STR(VAL_TEXT, "now"), "CAST now" },
    { PG_TIME, -1, { .kind = VAL_TIME, .u.i64 = INT64_C(86400000000) }, "000000141dd76000" },
    { PG_TIME, -1, { .kind = VAL_TIME, .u.i64 = INT64_C(86400000001) }, "!use an interval column" },
    { PG_TIME, -1, { .kind = VAL_TIME, .u.i64 = -1 }, "!use an interval column" },
    { PG_INTERVAL, -1, { .kind = VAL_TIME, .u.i64 = -1 }, "ffffffffffffffff0000000000000000" },
    { PG_INTERVAL, 0x7fff << 16 | 3, { .kind = VAL_TIME, .u.i64 = 1001 }, "!fraction of a second" },
    { PG_BIT, 3, { .kind = VAL_BIT, .u.u64 = 5 }, "00000003a0" },
    { PG_BIT, 12, { .kind = VAL_BIT, .u.u64 = 5 }, "0000000c0050" },
    { PG_BIT, 2, { .kind = VAL_BIT, .u.u64 = 5 }, "!too many digits" },
    { PG_BIT, 100, { .kind = VAL_BIT, .u.u64 = 1 }, "00000064 00000000000000000000000010" },
    { PG_VARBIT, -1, { .kind = VAL_BIT, .u.u64 = 5 }, "000000090280" },
    { PG_UUID, -1, STR(VAL_BYTES, "0123456789abcdef"), "30313233343536373839616263646566" },
    { PG_UUID, -1, STR(VAL_TEXT, "550e8400-e29b-41d4-a716-446655440000"), "550e8400e29b41d4a716446655440000" },
    { PG_UUID, -1, STR(VAL_TEXT, "nonsense"), "CAST nonsense" },
    { 869 /* inet */, -1, STR(VAL_TEXT, "::1"), "CAST ::1" },
    { PG_INT4, -1, { .kind = VAL_NULL }, "NULL" },
    { PG_INT4, -1, { .kind = VAL_ABSENT }, "NULL" },
};

static void hex(struct buf *out, struct bytes b)
{
    for (size_t i = 0; i < b.n; i++)
        buf_printf(out, "%02x", b.p[i]);
}

static void squeeze(char *out, const char *in)
{
    for (; *in != '\0'; in++)
        if (*in != ' ')
            *out++ = *in;
    *out = '\0';
}

static const struct shape_col source = { .type = { .type = COL_BIT, .length = 9, .nlabels = 2, .labels = labels } };

static void test_values(void)
{
    struct pg_policy policy = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pg_column c = { .type = cases[i].type, .typmod = cases[i].typmod, .text = (char *)"T" };
        struct buf out = { 0 }, got = { 0 };
        struct err err = { 0 };
        uint64_t coerced = 0;
        char want[200];
        buf_str(&out, "in front");
        enum pg_form f = pg_encode(&policy, &c, &source, &cases[i].v, false, &out, &coerced, &err);
        struct bytes body = { out.p + 8, out.n - 8 };
        struct buf field = { 0 };
        struct err same;
        uint64_t counted = 0;
        enum pg_form g = pg_encode_field(&policy, &c, &source, &cases[i].v, false, &field, &counted, &same);
        CHECK(g == f && counted == coerced && field.n >= 4 &&
                  (f != PG_DONE || (((size_t)field.p[0] << 24 | (size_t)field.p[1] << 16 | (size_t)field.p[2] << 8 |
                                     field.p[3]) == body.n &&
                                    bytes_eq((struct bytes){ field.p + 4, field.n - 4 }, body))) &&
                  (f != PG_NULL || (field.n == 4 && memcmp(field.p, "\xff\xff\xff\xff", 4) == 0)),
              "case %zu: a field of its own: form %d, %zu bytes", i, (int)g, field.n);
        buf_free(&field);
        if (f == PG_CAST) {
            out.n = 8;
            f = pg_encode(&policy, &c, &source, &cases[i].v, true, &out, &coerced, &err);
            CHECK(f == PG_DONE, "case %zu: as text: form %d", i, (int)f);
            buf_printf(&got, "CAST %.*s", (int)(out.n - 8), (const char *)out.p + 8);
        } else if (f == PG_NULL) {
            buf_str(&got, "NULL");
            CHECK(coerced == (cases[i].v.kind >= VAL_I64), "case %zu: coerced %d", i, (int)coerced);
        } else if (f == PG_BAD) {
            buf_printf(&got, "!%s", err.msg);
            CHECK(out.n == 8 && err.code == ERR_DATA, "case %zu leaves bytes behind", i);
        } else {
            hex(&got, body);
        }
        squeeze(want, cases[i].want);
        if (cases[i].want[0] == '!')
            CHECK(buf_cstr(&got)[0] == '!' && strstr(buf_cstr(&got), cases[i].want + 1) != NULL,
                  "case %zu: want %s, got %s", i, cases[i].want, buf_cstr(&got));
        else
            CHECK(strcmp(buf_cstr(&got), f == PG_DONE && cases[i].want[0] != 'C' ? want : cases[i].want) == 0,
                  "case %zu: want %s, got %s", i, cases[i].want, buf_cstr(&got));
        buf_free(&out);
        buf_free(&got);
    }
}

static void test_policies(void)
{
    static const struct {
        struct pg_policy p;
        uint32_t type;
        bool not_null;
        struct val v;
        const char *want;
    } list[] = {
        { { ZERO_DATE_ERROR, NUL_ERROR }, PG_DATE, false, { .kind = VAL_DATE }, "!zero or partial date" },
        { { ZERO_DATE_NULL, NUL_ERROR }, PG_DATE, true, { .kind = VAL_DATE }, "!the column is NOT NULL" },
        { { ZERO_DATE_NULL, NUL_STRIP }, PG_TEXT, false, STR(VAL_TEXT, "a\0\0b\0"), "6162" },
        { { ZERO_DATE_NULL, NUL_REPLACE }, PG_TEXT, false, STR(VAL_TEXT, "a\0b"), "61e2908062" },
        { { ZERO_DATE_NULL, NUL_STRIP }, PG_JSONB, false, STR(VAL_JSON, "\"x\\u0000y\\u0000\""), "0122787922" },
        { { ZERO_DATE_NULL, NUL_REPLACE }, PG_JSONB, false, STR(VAL_JSON, "\"\\u0000\""), "01225c753234303022" },
        { { ZERO_DATE_NULL, NUL_STRIP },
          PG_JSONB,
          false,
          STR(VAL_TEXT, "\"\0\\u0000\\\\u0000\""),
          "01225c5c753030303022" },
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct pg_column c = { .type = list[i].type, .typmod = -1, .text = (char *)"T", .not_null = list[i].not_null };
        struct buf out = { 0 }, got = { 0 };
        struct err err = { 0 };
        uint64_t coerced = 0;
        enum pg_form f = pg_encode(&list[i].p, &c, &source, &list[i].v, false, &out, &coerced, &err);
        if (f == PG_BAD)
            buf_printf(&got, "!%s", err.msg);
        else
            hex(&got, buf_view(&out));
        CHECK(list[i].want[0] == '!' ? strstr(buf_cstr(&got), list[i].want + 1) != NULL
                                     : strcmp(buf_cstr(&got), list[i].want) == 0,
              "policy %zu: want %s, got %s", i, list[i].want, buf_cstr(&got));
        CHECK(f == PG_BAD || coerced >= 1, "policy %zu is not counted", i);
        buf_free(&out);
        buf_free(&got);
    }
}

static void test_arrays(void)
{
    struct pg_policy policy = { 0 };
    struct err err = { 0 };
    const struct val plain[] = { VI(7), VN }, mixed[] = { VI(7), VN, VT("-1") }, broken[] = { VI(7), VI(70000) };
    struct pg_column c = { .type = PG_INT2, .typmod = -1, .text = (char *)"smallint" };
    struct shape_col col = { .type = { .type = COL_INT } };
    struct buf out = { 0 }, got = { 0 };
    bool text = true;
    uint64_t coerced = 0;
    size_t at = 99;
    CHECK(pg_encode_array(&policy, &c, &col, plain, 2, &out, &text, &coerced, &at, &err) && !text, "%s", err.msg);
    hex(&got, buf_view(&out));
    CHECK(strcmp(buf_cstr(&got), "0000000100000001000000150000000200000001"
                                 "000000020007"
                                 "ffffffff") == 0,
          "array: %s", buf_cstr(&got));
    buf_reset(&out);
    buf_reset(&got);
    CHECK(pg_encode_array(&policy, &c, &col, mixed, 3, &out, &text, &coerced, &at, &err) && text, "%s", err.msg);
    hex(&got, buf_view(&out));
    CHECK(strcmp(buf_cstr(&got), "0000000100000001000000190000000300000001"
                                 "0000000137"
                                 "ffffffff"
                                 "000000022d31") == 0,
          "text array: %s", buf_cstr(&got));
    CHECK(!pg_encode_array(&policy, &c, &col, broken, 2, &out, &text, &coerced, &at, &err) && at == 1 &&
              err.code == ERR_DATA,
          "the row at fault: %zu", at);
    /* array types never go as arrays of arrays */
    const struct val set = { .kind = VAL_SET, .u.u64 = 2 }, sets[] = { set, set };
    const struct val vecs[] = { VS(VAL_VECTOR, "\0\0\x80\x3f\0\0\0\x40") };
    struct pg_column ac = { .type = 1009, .typmod = -1, .text = (char *)"text[]", .is_array = true };
    buf_reset(&out);
    CHECK(pg_encode_array(&policy, &ac, &source, sets, 2, &out, &text, &coerced, &at, &err) && text, "%s", err.msg);
    CHECK(out.n == 20 + 2 * 9 && memcmp(out.p + 24, "{\"b\"}", 5) == 0, "set in text[]");
    buf_reset(&out);
    CHECK(pg_encode_array(&policy, &ac, &source, vecs, 1, &out, &text, &coerced, &at, &err) && out.n == 24 + 5 &&
              memcmp(out.p + 24, "{1,2}", 5) == 0,
          "vector in real[]");
    buf_free(&out);
    buf_free(&got);
}

int main(void)
{
    test_values();
    test_policies();
    test_arrays();
    return UNIT_END();
}
