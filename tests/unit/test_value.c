/* test_value.c - texts of values, the calendar, equality. */
#include "unit.h"

#include "value.h"

#include <float.h>
#include <math.h>

static const char *text_of(const struct val *v)
{
    static struct buf b;
    buf_reset(&b);
    val_text(v, &b);
    return buf_cstr(&b);
}

#define STR(k, s) ((struct val){ .kind = (k), .u.str = BYTES_LIT(s) })
#define I64(k, x, sc) ((struct val){ .kind = (k), .scale = (sc), .u.i64 = (x) })
#define U64(k, x) ((struct val){ .kind = (k), .u.u64 = (x) })

static int64_t at(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s, uint32_t us)
{
    return civil_pack((struct civil){ (uint16_t)y, (uint8_t)mo, (uint8_t)d, (uint8_t)h, (uint8_t)mi, (uint8_t)s, us });
}

static void test_text(void)
{
    const struct {
        struct val v;
        const char *want;
    } cases[] = {
        { { 0 }, "(absent)" },
        { U64(VAL_NULL, 0), "NULL" },
        { I64(VAL_I64, INT64_MIN, 0), "-9223372036854775808" },
        { I64(VAL_I64, 0, 0), "0" },
        { U64(VAL_U64, UINT64_MAX), "18446744073709551615" },
        { I64(VAL_DEC64, 0, 2), "0.00" },
        { I64(VAL_DEC64, -1, 4), "-0.0001" },
        { I64(VAL_DEC64, -123456, 2), "-1234.56" },
        { I64(VAL_DEC64, 42, 0), "42" },
        { I64(VAL_DEC64, 100, 2), "1.00" },
        { I64(VAL_DEC64, INT64_MIN, 18), "-9.223372036854775808" },
        { I64(VAL_DEC64, 7, 25), "0.0000000000000000000000007" },
        { STR(VAL_DECIMAL, "-12.3400"), "-12.3400" },
        { STR(VAL_TEXT, "\xc3\xa9"), "\xc3\xa9" },
        { I64(VAL_DATE, at(2024, 2, 29, 0, 0, 0, 0), 0), "2024-02-29" },
        { I64(VAL_DATE, 0, 0), "0000-00-00" },
        { I64(VAL_DATE, at(2024, 0, 0, 0, 0, 0, 0), 0), "2024-00-00" },
        { I64(VAL_DATETIME, at(2024, 2, 29, 10, 11, 12, 345678), 3), "2024-02-29 10:11:12.345" },
        { I64(VAL_DATETIME, at(9999, 12, 31, 23, 59, 59, 999999), 6), "9999-12-31 23:59:59.999999" },
        { I64(VAL_DATETIME, at(1, 1, 1, 0, 0, 0, 0), 0), "0001-01-01 00:00:00" },
        { I64(VAL_TIME, -3020399000000, 6), "-838:59:59.000000" },
        { I64(VAL_TIME, 0, 0), "00:00:00" },
        { I64(VAL_TIME, -500000, 1), "-00:00:00.5" },
        { I64(VAL_TIME, 3723000001, 6), "01:02:03.000001" },
        { I64(VAL_INSTANT, 0, 0), "0000-00-00 00:00:00" },
        { I64(VAL_INSTANT, 0, 3), "0000-00-00 00:00:00.000" },
        { I64(VAL_INSTANT, 1000000, 0), "1970-01-01 00:00:01" },
        { I64(VAL_INSTANT, 1709201472345000, 3), "2024-02-29 10:11:12.345" },
        { I64(VAL_INSTANT, -1, 6), "1969-12-31 23:59:59.999999" },
        { I64(VAL_INSTANT, 4294967295000000, 0), "2106-02-07 06:28:15" },
        { U64(VAL_BIT, 5), "5" },
        { U64(VAL_ENUM, 2), "2" },
        { U64(VAL_SET, 3), "3" },
        { STR(VAL_JSON, "{\"a\": 1}"), "{\"a\": 1}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = text_of(&cases[i].v);
        CHECK(strcmp(got, cases[i].want) == 0, "case %zu (%s): want %s, got %s", i, val_kind_name(cases[i].v.kind),
              cases[i].want, got);
    }
    for (unsigned k = 0; k < 256; k++) /* any byte of a damaged segment prints something and stays in bounds */
        if (!val_is_str((uint8_t)k)) {
            struct val v = { .kind = (uint8_t)k, .scale = 255, .u.i64 = INT64_MIN };
            CHECK(strlen(text_of(&v)) > 0, "kind %u prints nothing", k);
            v.u.i64 = INT64_MAX;
            CHECK(strlen(text_of(&v)) > 0, "kind %u prints nothing", k);
        }
}

/* Where the number of digits changes. */
static void test_digits(void)
{
    uint64_t power = 1;
    for (unsigned digits = 1; digits <= 20; digits++, power *= 10) {
        for (unsigned k = 0; k < 3; k++) {
            uint64_t v = power - 1 + k;
            char want[24];
            struct buf b = { 0 };
            snprintf(want, sizeof want, "%llu", (unsigned long long)v);
            u64_text(v, &b);
            CHECK(strcmp(buf_cstr(&b), want) == 0, "want %s, got %s", want, buf_cstr(&b));
            buf_free(&b);
        }
    }
}

static void check_f64(double v, const char *want)
{
    struct buf b = { 0 };
    f64_text(v, &b);
    const char *got = buf_cstr(&b);
    double back = strtod(got, NULL);
    CHECK(want == NULL || strcmp(got, want) == 0, "want %s, got %s", want, got);
    CHECK(memcmp(&back, &v, sizeof v) == 0, "%s does not read back as %a", got, v);
    buf_free(&b);
}

static void check_f32(float v, const char *want)
{
    struct buf b = { 0 };
    f32_text(v, &b);
    const char *got = buf_cstr(&b);
    float back = strtof(got, NULL);
    CHECK(want == NULL || strcmp(got, want) == 0, "want %s, got %s", want, got);
    CHECK(memcmp(&back, &v, sizeof v) == 0, "%s does not read back as %a", got, (double)v);
    buf_free(&b);
}

static void test_floats(void)
{
    static const struct {
        double v;
        const char *want;
    } doubles[] = {
        { 0.0, "0" },
        { -0.0, "-0" },
        { 0.1, "0.1" },
        { 100000, "100000" },
        { 1e14, "100000000000000" },
        { 1234567890123456.7, "1234567890123456.8" }, /* MariaDB 10.11 and MySQL 9.7 print it so */
        { 12345678901234567.0, "1.2345678901234568e16" },
        { 1e15, "1e15" },
        { 1e20, "1e20" },
        { -1.5e300, "-1.5e300" },
        { 1.5e-10, "0.00000000015" },
        { 1e-15, "0.000000000000001" },
        { 1.5e-16, "1.5e-16" },
        { 123456789.125, "123456789.125" },
        { 0.30000000000000004, "0.30000000000000004" },
        { 999999999999999.9, "999999999999999.9" },
        { 9007199254740993.0, "9.007199254740992e15" },
        { DBL_MAX, "1.7976931348623157e308" },
        { DBL_MIN, "2.2250738585072014e-308" },
        { 5e-324, "5e-324" },
        { 1.0 / 3, "0.3333333333333333" },
    };
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++)
        check_f64(doubles[i].v, doubles[i].want);
    static const struct {
        float v;
        const char *want;
    } floats[] = {
        { 0.1F, "0.1" },
        { 16777216.0F, "16777216" },
        { 3.4028235e38F, "3.4028235e38" },
        { 1e-45F, "1e-45" },
        { 1.17549435e-38F, "1.1754944e-38" },
        { -2.5F, "-2.5" },
        { 0.33333334F, "0.33333334" },
        { 1e10F, "10000000000" },
        { -0.0F, "-0" },
    };
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++)
        check_f32(floats[i].v, floats[i].want);
    uint64_t x = 88172645463325252U; /* xorshift64: bit patterns of every size */
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        double d;
        float f;
        uint32_t half = (uint32_t)x;
        memcpy(&d, &x, sizeof d);
        memcpy(&f, &half, sizeof f);
        if (isfinite(d))
            check_f64(d, NULL);
        if (isfinite(f))
            check_f32(f, NULL);
    }
    struct val v = { .kind = VAL_F64, .u.f64 = (double)-INFINITY };
    CHECK(strcmp(text_of(&v), "-Infinity") == 0, "got %s", text_of(&v));
    v.u.f64 = (double)NAN;
    CHECK(strcmp(text_of(&v), "NaN") == 0, "got %s", text_of(&v));
}

static void test_calendar(void)
{
    static const struct {
        unsigned y, m, d;
        int64_t days;
    } cases[] = {
        { 1970, 1, 1, 0 },      { 1969, 12, 31, -1 }, { 2000, 2, 29, 11016 },    { 2000, 3, 1, 11017 },
        { 2024, 2, 29, 19782 }, { 1, 1, 1, -719162 }, { 9999, 12, 31, 2932896 }, { 1900, 3, 1, -25508 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t days = civil_to_days(cases[i].y, cases[i].m, cases[i].d);
        CHECK(days == cases[i].days, "case %zu: want %lld, got %lld", i, (long long)cases[i].days, (long long)days);
    }
    int y = 0;
    unsigned m = 0, d = 0;
    for (int64_t day = -800000; day < 3000000; day += 97) {
        civil_from_days(day, &y, &m, &d);
        if (y >= 1)
            CHECK(civil_to_days((unsigned)y, m, d) == day, "day %lld came back from %d-%u-%u", (long long)day, y, m, d);
    }
    static const struct {
        struct civil c;
        bool real;
    } reals[] = {
        { { 2024, 2, 29, 23, 59, 59, 999999 }, true },
        { { 2023, 2, 29, 0, 0, 0, 0 }, false },
        { { 1900, 2, 29, 0, 0, 0, 0 }, false },
        { { 2000, 2, 29, 0, 0, 0, 0 }, true },
        { { 0, 1, 1, 0, 0, 0, 0 }, false },
        { { 2024, 0, 1, 0, 0, 0, 0 }, false },
        { { 2024, 1, 0, 0, 0, 0, 0 }, false },
        { { 2024, 13, 1, 0, 0, 0, 0 }, false },
        { { 2024, 4, 31, 0, 0, 0, 0 }, false },
        { { 10000, 1, 1, 0, 0, 0, 0 }, false },
        { { 2024, 1, 1, 24, 0, 0, 0 }, false },
        { { 2024, 1, 1, 0, 60, 0, 0 }, false },
    };
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        CHECK(civil_is_real(reals[i].c) == reals[i].real, "real case %zu", i);
        struct civil back = civil_unpack(civil_pack(reals[i].c));
        CHECK(reals[i].c.mon > 12 ||
                  (back.year == reals[i].c.year && back.mon == reals[i].c.mon && back.day == reals[i].c.day &&
                   back.hour == reals[i].c.hour && back.min == reals[i].c.min && back.sec == reals[i].c.sec &&
                   back.usec == reals[i].c.usec),
              "pack case %zu does not come back", i);
    }
    CHECK(at(2024, 1, 31, 23, 59, 59, 999999) < at(2024, 2, 1, 0, 0, 0, 0), "packed dates are not ordered");
}

static void test_decimal(void)
{
    static const struct {
        const char *text, *whole, *part;
        bool ok, neg;
    } cases[] = {
        { "0", "", "", true, false },
        { "-0012.3400", "12", "3400", true, true },
        { "0.5", "", "5", true, false },
        { ".5", "", "5", true, false },
        { "5.", "5", "", true, false },
        { "", "", "", false, false },
        { "-", "", "", false, false },
        { ".", "", "", false, false },
        { "1e5", "", "", false, false },
        { "+1", "", "", false, false },
        { "1.2.3", "", "", false, false },
        { " 1", "", "", false, false },
        { "99999999999999999999999999999999999999999999999999999999999999999",
          "99999999999999999999999999999999999999999999999999999999999999999", "", true, false },
        { "999999999999999999999999999999999999999999999999999999999999999999", "", "", false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool neg = false;
        struct bytes whole = { 0 }, part = { 0 };
        bool ok = decimal_parse(bytes_str(cases[i].text), &neg, &whole, &part);
        CHECK(ok == cases[i].ok, "\"%s\": want %d", cases[i].text, cases[i].ok);
        if (ok)
            CHECK(neg == cases[i].neg && bytes_eq_str(whole, cases[i].whole) && bytes_eq_str(part, cases[i].part),
                  "\"%s\": got %.*s . %.*s", cases[i].text, BYTES_FMT(whole), BYTES_FMT(part));
    }
}

static void test_eq(void)
{
    struct val a = STR(VAL_TEXT, "x"), b = STR(VAL_BYTES, "x"), c = STR(VAL_TEXT, "y"), null = U64(VAL_NULL, 0);
    CHECK(val_eq(&a, &a), "text is equal to itself");
    CHECK(!val_eq(&a, &b), "text is not bytes");
    CHECK(!val_eq(&a, &c), "x is not y");
    CHECK(val_eq(&null, &null) && !val_eq(&null, &a), "NULL equals NULL only");
    struct val zero = { .kind = VAL_F64, .u.f64 = 0.0 }, minus = { .kind = VAL_F64, .u.f64 = -0.0 };
    struct val nan = { .kind = VAL_F64, .u.f64 = (double)NAN };
    CHECK(!val_eq(&zero, &minus), "0 and -0 have different bits");
    CHECK(val_eq(&nan, &nan), "the same bits are equal");
    struct val d1 = I64(VAL_DEC64, 10, 1), d2 = I64(VAL_DEC64, 10, 2);
    CHECK(!val_eq(&d1, &d2), "1.0 is not 0.10");
}

int main(void)
{
    test_text();
    test_digits();
    test_floats();
    test_calendar();
    test_decimal();
    test_eq();
    return UNIT_END();
}
