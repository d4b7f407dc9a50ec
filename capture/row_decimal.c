/* row_decimal.c - DECIMAL as it lies in rows and JSON documents.
 *
 * Groups of nine digits in 4 bytes, big-endian; the digits left over, before the first whole group of the integer
 * part and behind the last of the fraction, in as many bytes as they need. The top bit is flipped, and a negative
 * number has every bit inverted. Source: MySQL, strings/decimal.cc, decimal2bin. */
#include "row_decode.h"

#include <endian.h>

enum { GROUP_DIGITS = 9, GROUP_BYTES = 4, PRECISION_MAX = ROW_DECIMAL_DIGITS_MAX, BYTES_MAX = 40, LOAD = 4 };
static const uint8_t left_over_bytes[GROUP_DIGITS] = { 0, 1, 1, 2, 2, 3, 3, 4, 4 };
static const uint32_t powers[GROUP_DIGITS + 1] = { 1,      10,      100,      1000,      10000,
                                                   100000, 1000000, 10000000, 100000000, 1000000000 };

unsigned row_decimal_bytes(unsigned precision, unsigned scale)
{
    if (precision < 1 || precision > PRECISION_MAX || scale > precision || scale > 38)
        return 0;
    unsigned whole = precision - scale;
    return whole / GROUP_DIGITS * GROUP_BYTES + left_over_bytes[whole % GROUP_DIGITS] +
           scale / GROUP_DIGITS * GROUP_BYTES + left_over_bytes[scale % GROUP_DIGITS];
}

struct groups {               /* the number's bytes, sign taken off */
    uint8_t b[BYTES_MAX + 8]; /* read and written by whole loads, which may go beyond it */
    size_t at;
    bool negative, bad;
};

static inline bool groups_read(struct cur *c, unsigned precision, unsigned scale, struct groups *g)
{
    unsigned n = row_decimal_bytes(precision, scale);
    if (n == 0)
        cur_fail(c, "not a DECIMAL's precision and scale");
    struct bytes in = cur_take(c, n);
    if (c->why != NULL)
        return false;
    g->negative = (in.p[0] & 0x80) == 0;
    uint64_t mask = g->negative ? UINT64_MAX : 0, word;
    size_t i = 0;
    for (; i < n && (size_t)(c->end - in.p) - i >= sizeof word; i += sizeof word) { /* may go beyond the number */
        memcpy(&word, in.p + i, sizeof word);
        word ^= mask;
        memcpy(g->b + i, &word, sizeof word);
    }
    for (; i < n; i++)
        g->b[i] = in.p[i] ^ (uint8_t)mask;
    g->b[0] ^= 0x80;
    g->at = 0;
    g->bad = false;
    return true;
}

static inline uint32_t group(struct groups *g, unsigned digits)
{
    unsigned n = digits == GROUP_DIGITS ? GROUP_BYTES : left_over_bytes[digits];
    uint32_t v;
    memcpy(&v, g->b + g->at, LOAD);
    v = n == 0 ? 0 : be32toh(v) >> (32 - 8 * n);
    g->at += n;
    if (v >= powers[digits])
        g->bad = true;
    return v;
}

bool row_decimal_decode64(struct cur *c, unsigned precision, unsigned scale, int64_t *unscaled)
{
    struct groups g;
    if (!groups_read(c, precision, scale, &g))
        return false;
    unsigned whole = precision - scale;
    uint64_t v = group(&g, whole % GROUP_DIGITS);
    for (unsigned i = 0; i < whole / GROUP_DIGITS; i++)
        v = v * powers[GROUP_DIGITS] + group(&g, GROUP_DIGITS);
    for (unsigned i = 0; i < scale / GROUP_DIGITS; i++)
        v = v * powers[GROUP_DIGITS] + group(&g, GROUP_DIGITS);
    v = v * powers[scale % GROUP_DIGITS] + group(&g, scale % GROUP_DIGITS);
    if (g.bad) {
        cur_fail(c, "not a DECIMAL: too many digits in a group");
        return false;
    }
    *unscaled = g.negative ? -(int64_t)v : (int64_t)v;
    return true;
}

static char *put_group(char *to, uint32_t v, unsigned digits)
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    unsigned i = digits;
    for (; i >= 2; i -= 2, v /= 100)
        memcpy(to + i - 2, pairs + 2 * (size_t)(v % 100), 2);
    if (i == 1)
        to[0] = (char)('0' + v);
    return to + digits;
}

/* Without leading zeros; 0 is one digit. */
static char *put_short_group(char *to, uint32_t v)
{
    unsigned digits = 1;
    while (digits < GROUP_DIGITS && v >= powers[digits])
        digits++;
    return put_group(to, v, digits);
}

size_t row_decimal_decode_text(struct cur *c, unsigned precision, unsigned scale, char out[ROW_DECIMAL_TEXT_MAX])
{
    struct groups g;
    if (!groups_read(c, precision, scale, &g))
        return 0;
    uint32_t v[PRECISION_MAX / GROUP_DIGITS + 2], any = 0;
    unsigned left = (precision - scale) % GROUP_DIGITS, whole = (precision - scale) / GROUP_DIGITS + 1,
             fraction = scale / GROUP_DIGITS, more = scale % GROUP_DIGITS, n = 0;
    v[n++] = group(&g, left); /* 0 when there is no such group */
    while (n < whole + fraction)
        v[n++] = group(&g, GROUP_DIGITS);
    uint32_t last = group(&g, more);
    if (g.bad) {
        cur_fail(c, "not a DECIMAL: too many digits in a group");
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        any |= v[i];
    char *to = out;
    if (g.negative && (any | last) != 0)
        *to++ = '-';
    unsigned i = 0;
    while (i + 1 < whole && v[i] == 0)
        i++;
    to = put_short_group(to, v[i++]);
    while (i < whole)
        to = put_group(to, v[i++], GROUP_DIGITS);
    if (scale != 0)
        *to++ = '.';
    while (i < n)
        to = put_group(to, v[i++], GROUP_DIGITS);
    return (size_t)(put_group(to, last, more) - out);
}
