/* test_row_value.c - single values as they lie in rows: edges that the recorded tables do not have, and what must be
 * refused. */
#include "row_value.h"

#include "charset.h"
#include "unit.h"

struct one {
    uint8_t type;
    uint16_t meta;
    const char *flags; /* u: unsigned; otherwise a character set's name, or "" */
    unsigned nlabels;
    const char *hex;
    uint8_t kind;
    const char *want; /* NULL: refused ... */
    const char *why;  /* ... with this in the message */
};
static const struct one cases[] = {
    { 1, 0, "", 0, "80", VAL_I64, "-128", NULL },
    { 1, 0, "u", 0, "80", VAL_U64, "128", NULL },
    { 2, 0, "", 0, "ff7f", VAL_I64, "32767", NULL },
    { 9, 0, "", 0, "000080", VAL_I64, "-8388608", NULL },
    { 9, 0, "u", 0, "ffffff", VAL_U64, "16777215", NULL },
    { 3, 0, "", 0, "ffffffff", VAL_I64, "-1", NULL },
    { 8, 0, "", 0, "0000000000000080", VAL_I64, "-9223372036854775808", NULL },
    { 8, 0, "u", 0, "ffffffffffffffff", VAL_U64, "18446744073709551615", NULL },
    { 13, 0, "", 0, "00", VAL_I64, "0", NULL },
    { 13, 0, "", 0, "7c", VAL_I64, "2024", NULL },
    { 4, 4, "", 0, "0000c03f", VAL_F32, "1.5", NULL },
    { 5, 8, "", 0, "9a9999999999b93f", VAL_F64, "0.1", NULL },
    /* DECIMAL: precision | scale << 8 */
    { 246, 0x020a, "", 0, "8000000000", VAL_DEC64, "0.00", NULL },
    { 246, 0x020a, "", 0, "7fffffffff", VAL_DEC64, "0.00", NULL }, /* minus zero */
    { 246, 0x020a, "", 0, "7fffffffce", VAL_DEC64, "-0.49", NULL },
    { 246, 0x0201, "", 0, "80", 0, NULL, "metadata" },
    { 246, 0x0004, "", 0, "8001", VAL_DEC64, "1", NULL },
    { 246, 0x0004, "", 0, "a710", 0, NULL, "too many digits" },
    { 246, 0x1212, "", 0, "80000000 00000001", VAL_DEC64, "0.000000000000000001", NULL },
    { 246, 0x0012, "", 0, "bb9ac9ff 3b9ac9ff", VAL_DEC64, "999999999999999999", NULL },
    { 246, 0x0012, "", 0, "bb9ac9ff 3b9aca00", 0, NULL, "too many digits" },
    { 246, 0x0013, "", 0, "81 00000000 00000000", VAL_DECIMAL, "1000000000000000000", NULL },
    { 246, 0x0013, "", 0, "7e ffffffff fffffffe", VAL_DECIMAL, "-1000000000000000001", NULL },
    { 246, 0x0013, "", 0, "7f ffffffff ffffffff", VAL_DECIMAL, "0", NULL },
    { 246, 0x2626, "", 0, "80000000 00000000 00000000 00000000 01", VAL_DECIMAL,
      "0.00000000000000000000000000000000000001", NULL },
    { 246, 0x1e41, "", 0, "80000000 00000000 00000000 00000001 00000000 00000000 00000000 0000", VAL_DECIMAL,
      "1.000000000000000000000000000000", NULL },
    { 246, 0x091b, "", 0, "875bcd15 3ade68b1 00000001", VAL_DECIMAL, "123456789987654321.000000001", NULL },
    { 246, 0x091b, "", 0, "7ffffff5 ffffffff ffffffff", VAL_DECIMAL, "-10000000000.000000000", NULL },
    { 246, 0x091b, "", 0, "80000000 05f5e100 00000000", VAL_DECIMAL, "100000000.000000000", NULL },
    { 246, 0x091b, "", 0, "80000000 05f5e0ff 00000000", VAL_DECIMAL, "99999999.000000000", NULL },
    { 246, 0x1e41, "", 0, "80000000", 0, NULL, "truncated" },
    /* dates and times */
    { 10, 0, "", 0, "5dd00f", VAL_DATE, "2024-02-29", NULL },
    { 10, 0, "", 0, "000000", VAL_DATE, "0000-00-00", NULL },
    { 10, 0, "", 0, "a0d10f", 0, NULL, "no date" }, /* month 13 */
    { 14, 0, "", 0, "ffffff", 0, NULL, "no date" },
    { 19, 0, "", 0, "800000", VAL_TIME, "00:00:00", NULL },
    { 19, 0, "", 0, "7fffff", VAL_TIME, "-00:00:01", NULL },
    { 19, 0, "", 0, "b46efb", VAL_TIME, "838:59:59", NULL },
    { 19, 0, "", 0, "b47000", 0, NULL, "no date" },
    { 19, 0, "", 0, "80003c", 0, NULL, "no date" },
    { 19, 1, "", 0, "7fffff f6", VAL_TIME, "-00:00:00.1", NULL },
    { 19, 2, "", 0, "7ffffe f6", VAL_TIME, "-00:00:01.10", NULL },
    { 19, 4, "", 0, "7fffff d8f1", VAL_TIME, "-00:00:00.9999", NULL },
    { 19, 6, "", 0, "7fffff ffffff", VAL_TIME, "-00:00:00.000001", NULL },
    { 19, 6, "", 0, "800000 0f4240", 0, NULL, "no date" },
    { 19, 7, "", 0, "800000", 0, NULL, "metadata" },
    { 18, 0, "", 0, "8000000000", VAL_DATETIME, "0000-00-00 00:00:00", NULL },
    { 18, 6, "", 0, "99b27b7efa 01e240", VAL_DATETIME, "2024-01-29 23:59:58.123456", NULL },
    { 18, 3, "", 0, "99b27b7efa 04ce", VAL_DATETIME, "2024-01-29 23:59:58.123", NULL },
    { 18, 0, "", 0, "7fffffffff", 0, NULL, "no date" },
    { 18, 0, "", 0, "ffffffffff", 0, NULL, "no date" },
    { 18, 1, "", 0, "8000000000 64", 0, NULL, "no date" },
    { 17, 0, "", 0, "00000000", VAL_INSTANT, "0000-00-00 00:00:00", NULL },
    { 17, 0, "", 0, "7fffffff", VAL_INSTANT, "2038-01-19 03:14:07", NULL },
    { 17, 0, "", 0, "ffffffff", VAL_INSTANT, "2106-02-07 06:28:15", NULL },
    { 17, 2, "", 0, "00000001 63", VAL_INSTANT, "1970-01-01 00:00:01.99", NULL },
    { 17, 6, "", 0, "00000001 0f4240", 0, NULL, "no date" },
    { 7, 0, "", 0, "a55d0d5e", VAL_INSTANT, "2020-01-02 03:04:05", NULL },
    { 11, 0, "", 0, "1e26fe", VAL_TIME, "-12:13:14", NULL },
    { 11, 0, "", 0, "ffff7f", VAL_TIME, "838:86:07", "no date" },
    { 12, 0, "", 0, "fa1af98d61120000", VAL_DATETIME, "2021-02-03 04:05:06", NULL },
    { 12, 0, "", 0, "ffffffffffffffff", 0, NULL, "no date" },
    /* BIT: bits | bytes << 8 */
    { 16, 0x0003, "", 0, "05", VAL_BIT, "5", NULL },
    { 16, 0x0003, "", 0, "0d", 0, NULL, "more bits" },
    { 16, 0x0800, "", 0, "ffffffffffffffff", VAL_BIT, "18446744073709551615", NULL },
    { 16, 0x0801, "", 0, "00", 0, NULL, "metadata" },
    /* ENUM and SET travel as 254 */
    { 254, 0x01f7, "utf8mb4", 3, "03", VAL_ENUM, "3", NULL },
    { 254, 0x01f7, "utf8mb4", 3, "00", VAL_ENUM, "0", NULL },
    { 254, 0x01f7, "utf8mb4", 3, "04", 0, NULL, "beyond the labels" },
    { 254, 0x02f7, "utf8mb4", 300, "2c01", VAL_ENUM, "300", NULL },
    { 254, 0x01f8, "utf8mb4", 3, "07", VAL_SET, "7", NULL },
    { 254, 0x01f8, "utf8mb4", 3, "08", 0, NULL, "beyond the labels" },
    { 254, 0x08f8, "utf8mb4", 64, "ffffffffffffffff", VAL_SET, "18446744073709551615", NULL },
    /* text */
    { 15, 20, "utf8mb4", 0, "03 e282ac", VAL_TEXT, "\xe2\x82\xac", NULL },
    { 15, 300, "latin1", 0, "0100 e9", VAL_TEXT, "\xc3\xa9", NULL },
    { 15, 2, "latin1", 0, "03 414243", 0, NULL, "longer than its column" },
    { 15, 20, "utf8mb4", 0, "01 ff", 0, NULL, "character set utf8mb4" },
    { 15, 20, "binary", 0, "01 ff", VAL_BYTES, "\xff", NULL },
    { 15, 20, "utf8mb4", 0, "03 4142", 0, NULL, "truncated" },
    { 253, 20, "utf8mb4", 0, "00", VAL_TEXT, "", NULL },
    { 254, 0x0afe, "latin1", 0, "02 4142", VAL_TEXT, "AB", NULL },
    { 254, 0x54ee, "utf8mb4", 0, "0200 4142", VAL_TEXT, "AB", NULL }, /* CHAR(85): 340 bytes */
    { 254, 0x04fe, "binary", 0, "02 4142", VAL_BYTES, "AB", NULL },   /* padded to 4, compared below */
    { 254, 0x02fe, "binary", 0, "03 414243", 0, NULL, "longer" },
    { 252, 1, "utf8mb4", 0, "02 4142", VAL_TEXT, "AB", NULL },
    { 252, 4, "binary", 0, "02000000 4142", VAL_BYTES, "AB", NULL },
    { 252, 4, "binary", 0, "ffffffff 4142", 0, NULL, "truncated" },
    { 245, 4, "", 0, "00000000", VAL_JSON, "null", NULL },
    { 245, 4, "", 0, "02000000 0401", VAL_JSON, "true", NULL },
    { 245, 4, "", 0, "02000000 0403", 0, NULL, "JSON document" },
    { 255, 4, "", 0, "02000000 4142", VAL_GEOMETRY, "AB", NULL },
    { 242, 4, "binary", 0, "04000000 30303030", VAL_VECTOR, "0000", NULL },
    { 242, 4, "binary", 0, "03000000 303030", 0, NULL, "VECTOR" },
    /* MariaDB's compressed columns */
    { 141, 301, "latin1", 0, "0000", VAL_TEXT, "", NULL },
    { 141, 301, "latin1", 0, "0300 00 4142", VAL_TEXT, "AB", NULL },
    { 141, 301, "latin1", 0, "0800 89c84b4c4a1c1610", 0, NULL, "inflate" },
    { 141, 301, "latin1", 0, "0300 91 4142", 0, NULL, "method 9" },
    { 141, 301, "latin1", 0, "0300 80 4142", 0, NULL, "proper length" },
    { 141, 301, "latin1", 0, "0300 84 4142", 0, NULL, "truncated" },
    { 140, 2, "utf8mb4", 0, "0f00 81 05 789c737275f7f4030004180166", VAL_TEXT, "BEGIN", NULL },
    { 140, 2, "utf8mb4", 0, "0900 89 05 737275f7f40300", VAL_TEXT, "BEGIN", NULL },
    { 140, 2, "utf8mb4", 0, "0700 84 ffffffff 7372", 0, NULL, "more than 1 GiB" },
    { 140, 2, "utf8mb4", 0, "0700 84 00ffffff 7372", 0, NULL, "cannot become" },
    /* what no version can decode */
    { 0, 0, "", 0, "", 0, NULL, "old DECIMAL" },
    { 244, 0, "", 0, "", 0, NULL, "TYPED_ARRAY" },
    { 200, 0, "", 0, "", 0, NULL, "type 200" },
};

/* What becomes of bytes that are no character: by policy, and never in what tells rows apart. */
static void test_invalid_text(struct arena *a)
{
    uint64_t count = 0;
    const struct {
        uint64_t *replaced;
        bool tells_apart;
        const char *why, *not ; /* the error has the one, and not the other; NULL: replaced */
    } policies[] = { { NULL, false, "--invalid-text", "never replaced" },
                     { NULL, true, "never replaced", "--invalid-text" },
                     { &count, false, NULL, NULL } };
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct column col = { 0 };
        struct wire_column wire = { .charset = charset_by_name(BYTES_LIT("tis620")),
                                    .replaced = policies[i].replaced,
                                    .tells_apart = policies[i].tells_apart };
        struct bytes in = unhex("02 a1ff");
        struct cur c = cur_over(in);
        struct val v;
        struct err err = { 0 };
        bool ok = row_value_define(15, 9, &wire, &col, &err) && row_value_decode(&c, &wire, &col, a, &v, &err);
        if (policies[i].why == NULL)
            CHECK(ok && bytes_eq_str(v.u.str, "\xe0\xb8\x81\xef\xbf\xbd") && count == 1 && err.code == ERR_NONE,
                  "replaced: code %d, %s", err.code, err.msg);
        else
            CHECK(!ok && err.code == ERR_CORRUPT && strstr(err.msg, policies[i].why) != NULL &&
                      strstr(err.msg, policies[i].not ) == NULL,
                  "policy %zu: %s", i, err.msg);
        free((void *)(uintptr_t)in.p);
    }
    CHECK(count == 1, "counted");
    arena_reset(a);
}

int main(void)
{
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct one *t = &cases[i];
        bool fails = t->want == NULL || t->why != NULL;
        struct column col = { .is_unsigned = strcmp(t->flags, "u") == 0, .nlabels = t->nlabels };
        struct wire_column wire = { .charset = t->flags[0] == '\0' || col.is_unsigned
                                                   ? NULL
                                                   : charset_by_name(bytes_str(t->flags)) };
        struct bytes in = unhex(t->hex);
        struct cur c = cur_over(in);
        struct val v;
        struct err err = { 0 };
        bool defined = row_value_define(t->type, t->meta, &wire, &col, &err);
        bool ok = defined && row_value_decode(&c, &wire, &col, a, &v, &err);
        if (fails) {
            CHECK(!ok && strstr(err.msg, t->why) != NULL, "case %zu: want \"%s\", got %d %s", i, t->why, ok, err.msg);
        } else {
            struct buf b = { 0 };
            if (ok)
                val_text(&v, &b);
            CHECK(ok && v.kind == t->kind, "case %zu: want %s, got %s %s", i, val_kind_name(t->kind),
                  ok ? val_kind_name(v.kind) : "a failure", err.msg);
            if (col.type == COL_BINARY)
                CHECK(b.n == 4 && memcmp(b.p, "AB\0\0", 4) == 0, "case %zu: padding", i);
            else
                CHECK(strcmp(buf_cstr(&b), t->want) == 0, "case %zu: want %s, got %s", i, t->want, buf_cstr(&b));
            CHECK(cur_left(&c) == 0, "case %zu: %zu bytes left", i, cur_left(&c));
            buf_free(&b);
            for (size_t n = 0; n < in.n; n++) {
                uint8_t *cut = malloc(n == 0 ? 1 : n);
                memcpy(cut, in.p, n);
                struct cur cc = cur_over((struct bytes){ cut, n });
                CHECK(!row_value_decode(&cc, &wire, &col, a, &v, &err) && err.code == ERR_CORRUPT,
                      "case %zu cut at %zu passed", i, n);
                free(cut);
            }
        }
        free((void *)(uintptr_t)in.p);
        arena_reset(a);
    }
    test_invalid_text(a);
    arena_free(a);
    return UNIT_END();
}
