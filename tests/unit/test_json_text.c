/* test_json_text.c - strings, values and rows as JSON. */
#include "unit.h"

#include "json_text.h"

#include <math.h>

/* BYTES_LIT for static tables: a compound literal is no constant in C11. */
#define LIT(s)                                                                                                         \
    {                                                                                                                  \
        (const uint8_t *)(s), sizeof(s) - 1                                                                            \
    }

static const struct bytes labels[] = { LIT("a"), LIT("b\"c"), LIT("d") };

static void test_strings(void)
{
    static const struct {
        struct bytes in;
        const char *want;
    } cases[] = {
        { LIT(""), "\"\"" },
        { LIT("plain"), "\"plain\"" },
        { LIT("a\"b\\c/"), "\"a\\\"b\\\\c/\"" },
        { LIT("\b\f\n\r\t\x01\x1f\x7f\x00z"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000z\"" },
        { LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { LIT("a\xff z"), "\"a\xef\xbf\xbd z\"" },
        { LIT("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                                 /* overlong NUL */
        { LIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* surrogate */
        { LIT("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* > 10FFFF */
        { LIT("x\xe2\x82"), "\"x\xef\xbf\xbd\xef\xbf\xbd\"" },                               /* cut */
        { LIT("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), "\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"" },
    };
    struct buf b = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *exact = malloc(cases[i].in.n == 0 ? 1 : cases[i].in.n);
        memcpy(exact, cases[i].in.p, cases[i].in.n);
        buf_reset(&b);
        json_string(&b, (struct bytes){ exact, cases[i].in.n });
        CHECK(strcmp(buf_cstr(&b), cases[i].want) == 0, "string %zu: got %s", i, buf_cstr(&b));
        free(exact);
    }
    static const char *const base64[][2] = {
        { "", "\"\"" },        { "f", "\"Zg==\"" },        { "fo", "\"Zm8=\"" },
        { "foo", "\"Zm9v\"" }, { "foob", "\"Zm9vYg==\"" }, { "\xff\xef\xbe", "\"/+++\"" },
    };
    for (size_t i = 0; i < sizeof base64 / sizeof base64[0]; i++) {
        buf_reset(&b);
        json_base64(&b, bytes_str(base64[i][0]));
        CHECK(strcmp(buf_cstr(&b), base64[i][1]) == 0, "base64 %zu: got %s", i, buf_cstr(&b));
    }
    buf_free(&b);
}

static void test_values(void)
{
    static const struct column en = { .type = COL_ENUM, .nlabels = 3, .labels = labels };
    static const struct column se = { .type = COL_SET, .nlabels = 3, .labels = labels };
    const struct {
        const struct column *c;
        struct val v;
        const char *want;
    } cases[] = {
        { NULL, { .kind = VAL_NULL }, "null" },
        { NULL, { .kind = VAL_I64, .u.i64 = INT64_MIN }, "-9223372036854775808" },
        { NULL, { .kind = VAL_U64, .u.u64 = UINT64_MAX }, "18446744073709551615" },
        { NULL, { .kind = VAL_F64, .u.f64 = 0.1 }, "0.1" },
        { NULL, { .kind = VAL_F64, .u.f64 = 1e20 }, "1e20" },
        { NULL, { .kind = VAL_F32, .u.f32 = 0.1F }, "0.1" },
        { NULL, { .kind = VAL_F64, .u.f64 = (double)NAN }, "\"NaN\"" },
        { NULL, { .kind = VAL_F32, .u.f32 = -INFINITY }, "\"-Infinity\"" },
        { NULL, { .kind = VAL_DEC64, .scale = 2, .u.i64 = -1050 }, "\"-10.50\"" },
        { NULL, { .kind = VAL_DECIMAL, .u.str = BYTES_LIT("1.23456789012345678901") }, "\"1.23456789012345678901\"" },
        { NULL, { .kind = VAL_TEXT, .u.str = BYTES_LIT("x\ny") }, "\"x\\ny\"" },
        { NULL, { .kind = VAL_BYTES, .u.str = BYTES_LIT("\x00\xff") }, "\"AP8=\"" },
        { NULL, { .kind = VAL_VECTOR, .u.str = BYTES_LIT("\x00\x00\x80\x3f") }, "\"AACAPw==\"" },
        { NULL, { .kind = VAL_DATE, .u.i64 = 0 }, "\"0000-00-00\"" },
        { NULL, { .kind = VAL_TIME, .scale = 1, .u.i64 = -100000 }, "\"-00:00:00.1\"" },
        { NULL, { .kind = VAL_INSTANT, .scale = 3, .u.i64 = 1709201472345000 }, "\"2024-02-29T10:11:12.345Z\"" },
        { NULL, { .kind = VAL_INSTANT, .u.i64 = 0 }, "\"0000-00-00T00:00:00Z\"" },
        { NULL, { .kind = VAL_BIT, .u.u64 = 255 }, "255" },
        { &en, { .kind = VAL_ENUM, .u.u64 = 2 }, "\"b\\\"c\"" },
        { &en, { .kind = VAL_ENUM, .u.u64 = 0 }, "\"\"" },
        { &en, { .kind = VAL_ENUM, .u.u64 = 4 }, "4" },
        { NULL, { .kind = VAL_ENUM, .u.u64 = 1 }, "1" },
        { &se, { .kind = VAL_SET, .u.u64 = 6 }, "[\"b\\\"c\",\"d\"]" },
        { &se, { .kind = VAL_SET, .u.u64 = 0 }, "[]" },
        { &se, { .kind = VAL_SET, .u.u64 = 9 }, "9" },
        { NULL, { .kind = VAL_SET, .u.u64 = 6 }, "6" },
        { NULL, { .kind = VAL_JSON, .u.str = BYTES_LIT("{\"a\": [1, 2]}") }, "{\"a\": [1, 2]}" },
        { NULL, { .kind = VAL_JSON, .u.str = BYTES_LIT("{\n\"a\":\r\n1}") }, "{ \"a\":  1}" },
        { NULL, { .kind = VAL_JSON }, "null" },
    };
    struct buf b = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_reset(&b);
        json_value(&b, cases[i].c, &cases[i].v);
        CHECK(strcmp(buf_cstr(&b), cases[i].want) == 0, "value %zu: want %s, got %s", i, cases[i].want, buf_cstr(&b));
    }
    buf_free(&b);
}

static void test_row(void)
{
    const struct column cols[] = {
        { .name = BYTES_LIT("id"), .type = COL_INT, .int_bits = 32 },
        { .name = BYTES_LIT("a\"b"), .type = COL_TEXT, .length = 65535 },
        { .name = BYTES_LIT("gone"), .type = COL_YEAR },
        { .name = BYTES_LIT("n"), .type = COL_YEAR },
    };
    struct relation *r = NULL;
    struct err e = { 0 };
    CHECK(relation_new(BYTES_LIT("s"), BYTES_LIT("t"), cols, 4, &r, &e), "%s", e.msg);
    const struct val row[] = { { .kind = VAL_I64, .u.i64 = 7 },
                               { .kind = VAL_TEXT, .u.str = BYTES_LIT("x") },
                               { .kind = VAL_ABSENT },
                               { .kind = VAL_NULL } };
    struct buf b = { 0 };
    json_row(&b, r, row);
    CHECK(strcmp(buf_cstr(&b), "{\"id\":7,\"a\\\"b\":\"x\",\"n\":null}") == 0, "got %s", buf_cstr(&b));
    buf_reset(&b);
    const struct val nothing[4] = { { 0 } };
    json_row(&b, r, nothing);
    CHECK(strcmp(buf_cstr(&b), "{}") == 0, "got %s", buf_cstr(&b));
    buf_free(&b);
    relation_unref(r);
}

int main(void)
{
    test_strings();
    test_values();
    test_row();
    return UNIT_END();
}
