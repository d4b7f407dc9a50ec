/* value.c - texts and comparisons of single values; the calendar. See value.h.
 *
 * Rules from elsewhere:
 *   packed dates      MySQL source, sql-common/my_time.cc, TIME_to_longlong_datetime_packed
 *   doubles           shape as MySQL source, strings/dtoa.cc, my_gcvt: plain digits while the decimal exponent lies in
 *                     -15 .. 14 (15 where digits stand behind the point), else exponent form without '+' and padding ("1e20"). Digits: the fewest that read back to the
 *                     same bits (the server itself prints FLOAT with 6 digits, which does not read back)
 *   days <-> civil    Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (eras of 400 years from 1 March) */
#include "value.h"

#include "digits.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { US_PER_SECOND = 1000000, DECIMAL_DIGITS = 65 };

int64_t civil_pack(struct civil c)
{
    uint64_t month = (uint64_t)c.year * 13 + c.mon;
    uint64_t ymd = month << 5 | c.day;
    uint64_t hms = (uint64_t)c.hour << 12 | (uint64_t)c.min << 6 | c.sec;
    return (int64_t)((ymd << 17 | hms) << 24 | c.usec);
}

struct civil civil_unpack(int64_t packed)
{
    uint64_t p = packed < 0 ? 0 : (uint64_t)packed; /* no negative one is ever made: damaged input reads as zero date */
    uint64_t whole = p >> 24;
    uint64_t ymd = whole >> 17;
    uint64_t month = ymd >> 5;
    return (struct civil){ .year = (uint16_t)(month / 13),
                           .mon = (uint8_t)(month % 13),
                           .day = (uint8_t)(ymd & 31),
                           .hour = (uint8_t)(whole >> 12 & 31),
                           .min = (uint8_t)(whole >> 6 & 63),
                           .sec = (uint8_t)(whole & 63),
                           .usec = (uint32_t)(p & 0xffffff) };
}

bool civil_is_real(struct civil c)
{
    static const uint8_t days[13] = { 0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (c.year < 1 || c.year > 9999 || c.mon < 1 || c.mon > 12 || c.day < 1)
        return false;
    bool leap = c.year % 4 == 0 && (c.year % 100 != 0 || c.year % 400 == 0);
    if (c.day > days[c.mon] + (c.mon == 2 && leap ? 1 : 0))
        return false;
    return c.hour < 24 && c.min < 60 && c.sec < 60 && c.usec < US_PER_SECOND;
}

int64_t civil_to_days(unsigned y, unsigned m, unsigned d)
{
    int64_t year = (int64_t)y - (m <= 2 ? 1 : 0);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((int64_t)m + (m > 2 ? -3 : 9)) + 2) / 5 + (int64_t)d - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void civil_from_days(int64_t days, int *y, unsigned *m, unsigned *d)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153; /* 0 is March */
    *d = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *m = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);
    *y = (int)(year_of_era + era * 400 + (*m <= 2 ? 1 : 0));
}

bool val_is_str(uint8_t kind)
{
    switch ((enum val_kind)kind) {
    case VAL_DECIMAL:
    case VAL_TEXT:
    case VAL_BYTES:
    case VAL_JSON:
    case VAL_GEOMETRY:
    case VAL_VECTOR:
        return true;
    case VAL_ABSENT:
    case VAL_NULL:
    case VAL_I64:
    case VAL_U64:
    case VAL_F32:
    case VAL_F64:
    case VAL_DEC64:
    case VAL_DATE:
    case VAL_TIME:
    case VAL_DATETIME:
    case VAL_INSTANT:
    case VAL_BIT:
    case VAL_ENUM:
    case VAL_SET:
    case VAL_SAME:
        break;
    }
    return false;
}

bool val_eq(const struct val *a, const struct val *b)
{
    if (a->kind != b->kind)
        return false;
    switch ((enum val_kind)a->kind) {
    case VAL_ABSENT:
    case VAL_NULL:
    case VAL_SAME:
        return true;
    case VAL_F32:
        return memcmp(&a->u.f32, &b->u.f32, sizeof a->u.f32) == 0;
    case VAL_F64:
        return memcmp(&a->u.f64, &b->u.f64, sizeof a->u.f64) == 0;
    case VAL_DEC64: /* 1.0 and 1.00 print differently; the scale of a temporal is its column's, not its content */
        return a->u.i64 == b->u.i64 && a->scale == b->scale;
    case VAL_I64:
    case VAL_DATE:
    case VAL_TIME:
    case VAL_DATETIME:
    case VAL_INSTANT:
        return a->u.i64 == b->u.i64;
    case VAL_U64:
    case VAL_BIT:
    case VAL_ENUM:
    case VAL_SET:
        return a->u.u64 == b->u.u64;
    case VAL_DECIMAL:
    case VAL_TEXT:
    case VAL_BYTES:
    case VAL_JSON:
    case VAL_GEOMETRY:
    case VAL_VECTOR:
        return bytes_eq(a->u.str, b->u.str);
    }
    return false;
}

const char *val_kind_name(uint8_t kind)
{
    static const char *const names[] = {
        [VAL_ABSENT] = "absent",     [VAL_NULL] = "null",       [VAL_I64] = "i64",           [VAL_U64] = "u64",
        [VAL_F32] = "f32",           [VAL_F64] = "f64",         [VAL_DEC64] = "dec64",       [VAL_DECIMAL] = "decimal",
        [VAL_TEXT] = "text",         [VAL_BYTES] = "bytes",     [VAL_DATE] = "date",         [VAL_TIME] = "time",
        [VAL_DATETIME] = "datetime", [VAL_INSTANT] = "instant", [VAL_BIT] = "bit",           [VAL_ENUM] = "enum",
        [VAL_SET] = "set",           [VAL_JSON] = "json",       [VAL_GEOMETRY] = "geometry", [VAL_VECTOR] = "vector",
        [VAL_SAME] = "same",
    };
    return kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

/* At least `width` digits, at most DIGITS_U64, zeros in front. */
static void put_digits(struct buf *out, uint64_t v, unsigned width)
{
    unsigned n = digits_of(v);
    if (n < width)
        n = width;
    if (n > out->cap - out->n && !buf_grow(out, n))
        return;
    digits_put(out->p + out->n, v, n);
    out->n += n;
}

void u64_text(uint64_t v, struct buf *out)
{
    put_digits(out, v, 1);
}

void i64_text(int64_t v, struct buf *out)
{
    if (v < 0)
        buf_u8(out, '-');
    put_digits(out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 1);
}

/* ".345" from 345678 and 3; nothing for 0 digits. */
static void put_fraction(struct buf *out, uint32_t usec, unsigned digits)
{
    if (digits == 0)
        return;
    if (digits > 6)
        digits = 6;
    for (unsigned i = digits; i < 6; i++)
        usec /= 10;
    buf_u8(out, '.');
    put_digits(out, usec, digits);
}

static void put_date(struct buf *out, struct civil c)
{
    put_digits(out, c.year, 4);
    buf_u8(out, '-');
    put_digits(out, c.mon, 2);
    buf_u8(out, '-');
    put_digits(out, c.day, 2);
}

static void put_clock(struct buf *out, struct civil c, unsigned scale)
{
    put_digits(out, c.hour, 2);
    buf_u8(out, ':');
    put_digits(out, c.min, 2);
    buf_u8(out, ':');
    put_digits(out, c.sec, 2);
    put_fraction(out, c.usec, scale);
}

static void put_datetime(struct buf *out, struct civil c, unsigned scale)
{
    put_date(out, c);
    buf_u8(out, ' ');
    put_clock(out, c, scale);
}

static void put_time(struct buf *out, int64_t us, unsigned scale)
{
    uint64_t abs = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    if (us < 0)
        buf_u8(out, '-');
    uint64_t seconds = abs / US_PER_SECOND;
    put_digits(out, seconds / 3600, 2);
    buf_u8(out, ':');
    put_digits(out, seconds / 60 % 60, 2);
    buf_u8(out, ':');
    put_digits(out, seconds % 60, 2);
    put_fraction(out, (uint32_t)(abs % US_PER_SECOND), scale);
}

static void put_instant(struct buf *out, int64_t us, unsigned scale)
{
    if (us == 0) { /* the epoch itself is no TIMESTAMP value: 0 is the zero timestamp */
        put_datetime(out, (struct civil){ 0 }, scale);
        return;
    }
    int64_t seconds = us / US_PER_SECOND - (us % US_PER_SECOND < 0 ? 1 : 0);
    int64_t days = seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0);
    int64_t of_day = seconds - days * 86400;
    int year;
    struct civil c = { 0 };
    unsigned month, day;
    civil_from_days(days, &year, &month, &day);
    if (year < 0) {
        buf_u8(out, '-'); /* not reachable from a server's value; text of damaged input must still be finite */
        year = -year;
    }
    put_digits(out, (uint64_t)year, 4);
    buf_u8(out, '-');
    put_digits(out, month, 2);
    buf_u8(out, '-');
    put_digits(out, day, 2);
    buf_u8(out, ' ');
    c.hour = (uint8_t)(of_day / 3600);
    c.min = (uint8_t)(of_day / 60 % 60);
    c.sec = (uint8_t)(of_day % 60);
    c.usec = (uint32_t)(us % US_PER_SECOND + (us % US_PER_SECOND < 0 ? US_PER_SECOND : 0));
    put_clock(out, c, scale);
}

void dec64_text(int64_t unscaled, unsigned scale, struct buf *out)
{
    uint64_t abs = unscaled < 0 ? 0 - (uint64_t)unscaled : (uint64_t)unscaled;
    if (unscaled < 0)
        buf_u8(out, '-');
    if (scale == 0) {
        put_digits(out, abs, 1);
        return;
    }
    char digits[DIGITS_U64];
    size_t n = 0; /* least significant first */
    for (uint64_t v = abs; v != 0; v /= 10)
        digits[n++] = (char)('0' + v % 10);
    if (n <= scale)
        buf_u8(out, '0');
    for (size_t i = n; i > scale; i--)
        buf_u8(out, (uint8_t)digits[i - 1]);
    buf_u8(out, '.');
    for (size_t i = scale; i > 0; i--)
        buf_u8(out, i > n ? (uint8_t)'0' : (uint8_t)digits[i - 1]);
}

bool decimal_parse(struct bytes text, bool *neg, struct bytes *int_digits, struct bytes *frac_digits)
{
    size_t i = 0;
    bool minus = text.n > 0 && text.p[0] == '-';
    if (minus)
        i++;
    size_t first = i;
    while (i < text.n && text.p[i] >= '0' && text.p[i] <= '9')
        i++;
    struct bytes whole = { text.p + first, i - first };
    struct bytes part = { text.p + i, 0 };
    if (i < text.n && text.p[i] == '.') {
        size_t begin = ++i;
        while (i < text.n && text.p[i] >= '0' && text.p[i] <= '9')
            i++;
        part = (struct bytes){ text.p + begin, i - begin };
    }
    if (i != text.n || whole.n + part.n == 0)
        return false;
    while (whole.n > 0 && whole.p[0] == '0') {
        whole.p++;
        whole.n--;
    }
    if (whole.n + part.n > DECIMAL_DIGITS)
        return false;
    *neg = minus;
    *int_digits = whole;
    *frac_digits = part;
    return true;
}

/* "[-]d[.ddd]e[+-]xx", as %e prints it, in the server's shape. */
static void put_float(struct buf *out, const char *sci)
{
    char digits[24];
    size_t n = 0;
    const char *s = sci;
    if (*s == '-') {
        buf_u8(out, '-');
        s++;
    }
    for (; *s != 'e' && *s != '\0'; s++)
        if (*s >= '0' && *s <= '9' && n < sizeof digits)
            digits[n++] = *s;
    int exponent = *s == 'e' ? (int)strtol(s + 1, NULL, 10) : 0;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (exponent < -15 || (exponent > 14 && !(exponent == 15 && n > 16))) {
        buf_put(out, digits, 1);
        if (n > 1) {
            buf_u8(out, '.');
            buf_put(out, digits + 1, n - 1);
        }
        buf_u8(out, 'e');
        i64_text(exponent, out);
        return;
    }
    if (exponent < 0) {
        buf_str(out, "0.");
        for (int i = -1; i > exponent; i--)
            buf_u8(out, '0');
        buf_put(out, digits, n);
        return;
    }
    size_t whole = (size_t)exponent + 1;
    for (size_t i = 0; i < whole; i++)
        buf_u8(out, i < n ? (uint8_t)digits[i] : (uint8_t)'0');
    if (n > whole) {
        buf_u8(out, '.');
        buf_put(out, digits + whole, n - whole);
    }
}

/* Not MySQL values, but bytes from outside can hold them: a word that strtod and PostgreSQL read. */
static bool put_not_finite(struct buf *out, double v)
{
    if (isfinite(v))
        return false;
    buf_str(out, isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
    return true;
}

void f64_text(double v, struct buf *out)
{
    if (put_not_finite(out, v))
        return;
    if (fabs(v) < 1e15 && v == (double)(int64_t)v && (v != 0 || !signbit(v))) {
        i64_text((int64_t)v, out); /* whole numbers are common, and printf is slow */
        return;
    }
    /* Every decimal of up to 15 digits survives the way through a normal double, so that 15 digits, zeros cut, already
     * are the fewest when they read back. Subnormals have fewer good digits. */
    char sci[40];
    for (int digits = fabs(v) < DBL_MIN ? 1 : DBL_DIG; digits <= 17; digits++) {
        snprintf(sci, sizeof sci, "%.*e", digits - 1, v);
        if (digits == 17 || strtod(sci, NULL) == v)
            break;
    }
    put_float(out, sci);
}

void f32_text(float v, struct buf *out)
{
    if (put_not_finite(out, (double)v))
        return;
    if (fabsf(v) < 1e6F && v == (float)(int32_t)v && (v != 0 || !signbit(v))) {
        i64_text((int32_t)v, out);
        return;
    }
    char sci[40];
    for (int digits = fabsf(v) < FLT_MIN ? 1 : FLT_DIG; digits <= 9; digits++) {
        snprintf(sci, sizeof sci, "%.*e", digits - 1, (double)v);
        if (digits == 9 || strtof(sci, NULL) == v)
            break;
    }
    put_float(out, sci);
}

void val_text(const struct val *v, struct buf *out)
{
    switch ((enum val_kind)v->kind) {
    case VAL_ABSENT:
        buf_str(out, "(absent)");
        return;
    case VAL_SAME:
        buf_str(out, "(same)");
        return;
    case VAL_NULL:
        buf_str(out, "NULL");
        return;
    case VAL_I64:
        i64_text(v->u.i64, out);
        return;
    case VAL_U64:
    case VAL_BIT:
    case VAL_ENUM:
    case VAL_SET:
        u64_text(v->u.u64, out);
        return;
    case VAL_F32:
        f32_text(v->u.f32, out);
        return;
    case VAL_F64:
        f64_text(v->u.f64, out);
        return;
    case VAL_DEC64:
        dec64_text(v->u.i64, v->scale, out);
        return;
    case VAL_DATE:
        put_date(out, civil_unpack(v->u.i64));
        return;
    case VAL_TIME:
        put_time(out, v->u.i64, v->scale);
        return;
    case VAL_DATETIME:
        put_datetime(out, civil_unpack(v->u.i64), v->scale);
        return;
    case VAL_INSTANT:
        put_instant(out, v->u.i64, v->scale);
        return;
    case VAL_DECIMAL:
    case VAL_TEXT:
    case VAL_BYTES:
    case VAL_JSON:
    case VAL_GEOMETRY:
    case VAL_VECTOR:
        buf_bytes(out, v->u.str);
        return;
    }
    buf_str(out, "(unknown kind)");
}
