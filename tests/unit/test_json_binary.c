/* test_json_binary.c - MySQL's binary JSON to text. test_row_event compares whole documents with a server's SELECT. */
#include "json_binary.h"

#include "unit.h"

static const struct {
    const char *hex, *want; /* NULL: refused ... */
    const char *why;        /* ... with this in the message */
} cases[] = {
    { "", "null", NULL },
    { "04 00", "null", NULL },
    { "04 01", "true", NULL },
    { "04 02", "false", NULL },
    { "04 03", NULL, "unknown literal" },
    { "04", NULL, "truncated" },
    { "05 ffff", "-1", NULL },
    { "06 ffff", "65535", NULL },
    { "07 00000080", "-2147483648", NULL },
    { "08 ffffffff", "4294967295", NULL },
    { "09 0000000000000080", "-9223372036854775808", NULL },
    { "0a ffffffffffffffff", "18446744073709551615", NULL },
    { "0a ffffffffffffff", NULL, "truncated" },
    { "0b 000000000000f83f", "1.5", NULL },
    { "0b 000000000000f03f", "1.0", NULL },
    { "0b 0000000000000080", "-0.0", NULL },
    { "0b 7dc39425ad49b254", "1e100", NULL },
    { "0b 000000000000f07f", NULL, "not finite" },
    { "0b 000000000000f87f", NULL, "not finite" },
    { "0c 00", "\"\"", NULL },
    { "0c 03 e282ac", "\"\xe2\x82\xac\"", NULL },
    { "0c 08 22 5c 08 09 0a 0c 0d 01", "\"\\\"\\\\\\b\\t\\n\\f\\r\\u0001\"", NULL },
    { "0c 02 1f7f", "\"\\u001f\x7f\"", NULL },
    { "0c 01 ff", NULL, "UTF-8" },
    { "0c 03 eda080", NULL, "UTF-8" },
    { "0c 04 616263", NULL, "truncated" },
    { "0c ffffffff0f", NULL, "truncated" },
    { "0c ffffffffffff", NULL, "more than 5 bytes" },
    { "0d 00", NULL, "unknown value type" },
    { "0f 0f 03 00ff01", "\"base64:type15:AP8B\"", NULL },
    { "0f 10 01 05", "\"base64:type16:BQ==\"", NULL },
    { "0f fd 02 6869", "\"hi\"", NULL },
    { "0f f6 04 0302 8132", "1.50", NULL },
    /* groups with more digits than they have, which took more room than a decimal may: alone, and in an array */
    { "0f f6 27 5101 00000000000000000000000000000000000000000000000000000000000000000000000000", NULL,
      "not a decimal" },
    { "02 0100 3000 0f 0700 f6 27 5101 00000000000000000000000000000000000000000000000000000000000000000000000000",
      NULL, "not a decimal" },
    { "0f f6 03 0302 81", NULL, "not a decimal" },
    { "0f f6 05 0302 8132 00", NULL, "not a decimal" },
    { "0f f6 02 4200", NULL, "not a decimal" },
    { "0f f6 22 4800 80000063 3b9ac9ff 3b9ac9ff 3b9ac9ff 3b9ac9ff 3b9ac9ff 3b9ac9ff 3b9ac9ff",
      "99999999999999999999999999999999999999999999999999999999999999999",
      NULL }, /* DECIMAL(65,0), stated as 72 digits */
    { "0f f6 02 5200", NULL, "not a decimal" },
    { "0f 0a 08 ffffffffffffff7f", NULL, "no date" },
    { "0f 0a 07 00000000000000", NULL, "8 bytes" },
    { "0f 0b 08 0000000000000010", NULL, "no date" },
    { "00 0000 0400", "{}", NULL },
    { "02 0000 0400", "[]", NULL },
    { "02 0000 0500", NULL, "truncated" },
    { "02 0000", NULL, "truncated" },
    { "02 0100 0700 05 0700", "[7]", NULL },
    { "02 0200 0a00 04 0100 05 ffff", "[true, -1]", NULL },
    { "03 01000000 0d000000 07 feffffff", "[-2]", NULL },
    { "00 0100 0c00 0b00 0100 05 0700 61", "{\"a\": 7}", NULL },
    { "01 01000000 14000000 13000000 0100 08 ffffffff 61", "{\"a\": 4294967295}", NULL },
    { "00 0100 0c00 0c00 0100 05 0700 61", NULL, "key lies outside" },
    { "00 0100 0c00 ffff 0100 05 0700 61", NULL, "key lies outside" },
    { "00 ffff 0c00 0b00 0100 05 0700 61", NULL, "more members" },
    { "02 0100 0900 0c 0700 0141", "[\"A\"]", NULL },
    { "02 0100 0900 0c 0900 0141", NULL, "truncated" },
    { "02 0100 0900 0c 0a00 0141", NULL, "outside" },
    { "02 0100 0900 0c 0400 0141", NULL, "outside" },
    { "02 0200 0c00 0c 0a00 0c 0a00 0141", NULL, "overlap" }, /* one string printed twice */
    /* Three levels of arrays whose members are all the same array: 3, 9, 27 ... values from a few bytes each */
    { "02 0300 3400 02 0d00 02 0d00 02 0d00  0300 2700 02 0d00 02 0d00 02 0d00  0300 1a00 02 0d00 02 0d00 02 0d00  "
      "0300 0d00 050100 050100 050100",
      NULL, "overlap" },
};

static void deep(unsigned levels, bool ok)
{
    struct buf b = { 0 }, out = { 0 };
    struct err err = { 0 };
    buf_u8(&b, 2);
    for (unsigned i = 0; i < levels; i++) {
        bool inner = i + 1 == levels;
        buf_le(&b, inner ? 0 : 1, 2);
        buf_le(&b, inner ? 4 : 7 * (uint64_t)(levels - 1 - i) + 4, 2);
        if (!inner) {
            buf_u8(&b, 2);
            buf_le(&b, 7, 2);
        }
    }
    bool got = json_binary_text(buf_view(&b), &out, &err);
    CHECK(got == ok && (ok ? out.n == 2 * (size_t)levels : strstr(err.msg, "100 deep") != NULL), "%u levels: %d %s",
          levels, got, err.msg);
    buf_free(&b);
    buf_free(&out);
}

static void put_quoted(struct buf *out, struct bytes s)
{
    buf_u8(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20)
            buf_printf(out, "\\u%04x", s.p[i]);
        else if (s.p[i] == '"' || s.p[i] == '\\')
            buf_printf(out, "\\%c", s.p[i]);
        else
            buf_u8(out, s.p[i]);
    }
    buf_u8(out, '"');
}

/* {s: s, s: s}, with that many bytes behind it in the document, which nothing refers to. */
static void put_twice(struct buf *out, struct bytes s, size_t behind)
{
    size_t head = 4 + 2 * (4 + 3), pair = 2 * s.n + 1;
    buf_u8(out, 0);
    buf_le(out, 2, 2);
    buf_le(out, head + 2 * pair, 2);
    for (size_t i = 0; i < 2; i++) {
        buf_le(out, head + i * pair, 2);
        buf_le(out, s.n, 2);
    }
    for (size_t i = 0; i < 2; i++) {
        buf_u8(out, 12);
        buf_le(out, head + i * pair + s.n, 2);
    }
    for (size_t i = 0; i < 2; i++) {
        buf_bytes(out, s);
        buf_u8(out, (uint8_t)s.n);
        buf_bytes(out, s);
    }
    for (size_t i = 0; i < behind; i++)
        buf_u8(out, i % 2 == 0 ? 1 : 0xff);
}

/* Strings of every length up to where no short way is left, with each character that is not printed as it is, or is next to
 * one that is not, in each place; with room behind them and without, and with more or less of it in the output. */
static void strings(void)
{
    static const char *const odd[] = { "\x01", "\x1f", " ", "!", "\"", "#", "[", "\\", "]", "\x7f", "\xc3\xa9" };
    enum { MOST = 35, ROOM = 64 };
    size_t room = 0;
    for (size_t n = 0; n <= MOST; n++) {
        for (size_t k = 0; k < n * (sizeof odd / sizeof *odd) + 1; k++, room = (room + 1) % ROOM) {
            char text[MOST + 2];
            const char *one = odd[k % (sizeof odd / sizeof *odd)];
            size_t at = k / (sizeof odd / sizeof *odd);
            memset(text, 'a', sizeof text);
            if (at + strlen(one) <= n)
                memcpy(text + at, one, strlen(one));
            for (size_t behind = 0; behind <= 16; behind += 8) {
                struct buf doc = { 0 }, out = { 0 }, want = { 0 };
                struct err err = { 0 };
                put_twice(&doc, bytes_of(text, n), behind);
                struct bytes exact = bytes_of(memcpy(malloc(doc.n), doc.p, doc.n), doc.n);
                for (size_t i = 0; i < room; i++)
                    buf_u8(&out, '>');
                bool ok = json_binary_text(exact, &out, &err);
                for (unsigned i = 0; i < 2; i++) {
                    buf_str(&want, i == 0 ? "{" : ", ");
                    put_quoted(&want, bytes_of(text, n));
                    buf_str(&want, ": ");
                    put_quoted(&want, bytes_of(text, n));
                }
                buf_str(&want, "}");
                CHECK(ok && bytes_eq(bytes_of(out.p + room, out.n - room), buf_view(&want)), "%zu bytes, %zu: %s: %s",
                      n, k, buf_cstr(&want), ok ? buf_cstr(&out) : err.msg);
                free((void *)(uintptr_t)exact.p);
                buf_free(&doc);
                buf_free(&out);
                buf_free(&want);
            }
        }
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes in = unhex(cases[i].hex);
        struct buf out = { 0 };
        struct err err = { 0 };
        buf_str(&out, ">");
        bool ok = json_binary_text(in, &out, &err);
        if (cases[i].want != NULL)
            CHECK(ok && out.p[0] == '>' && strcmp(buf_cstr(&out) + 1, cases[i].want) == 0, "%s: want %s, got %s %s",
                  cases[i].hex, cases[i].want, buf_cstr(&out), err.msg);
        else
            CHECK(!ok && err.code == ERR_CORRUPT && strstr(err.msg, cases[i].why) != NULL && out.n == 1,
                  "%s: want \"%s\", got %d %s", cases[i].hex, cases[i].why, ok, err.msg);
        for (size_t n = 1; n < in.n && cases[i].want != NULL; n++) {
            uint8_t *cut = malloc(n);
            memcpy(cut, in.p, n);
            buf_reset(&out);
            CHECK(!json_binary_text((struct bytes){ cut, n }, &out, &err), "%s cut at %zu passed", cases[i].hex, n);
            free(cut);
        }
        buf_free(&out);
        free((void *)(uintptr_t)in.p);
    }
    deep(100, true);
    deep(101, false);
    strings();
    return UNIT_END();
}
