/* row_decimal.c - DECIMAL as it lies in rows and JSON documents.
 *
 * Groups of nine digits in 4 bytes, big-endian; the digits left over, before the first whole group of the integer
 * part and behind the last of the fraction, in as many bytes as they need. The top bit is flipped, and a negative
 * number has every bit inverted. Source: MySQL, strings/decimal.cc, decimal2bin. */
#include "row_decode.h"

#include "digits.h"

#include <endian.h>

enum { GROUP_DIGITS = 9, GROUP_BYTES = 4, PRECISION_MAX = ROW_DECIMAL_DIGITS_MAX, BYTES_MAX = 40, LOAD = 4 };
static const uint8_t left_over_bytes[GROUP_DIGITS + 1] = { 0, 1, 1, 2, 2, 3, 3, 4, 4, GROUP_BYTES };
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
    unsigned n = left_over_bytes[digits];
    uint32_t v;
    memcpy(&v, g->b + g->at, LOAD);
    v = (uint32_t)((uint64_t)be32toh(v) << (8 * n) >> 32);
    g->at += n;
    g->bad |= v >= powers[digits];
    return v;
}

/* be: at the top the bytes that are left, behind them anything. */
static inline uint32_t take_group(uint64_t *be, unsigned digits, bool *bad)
{
    unsigned n = left_over_bytes[digits];
    uint32_t v = (uint32_t)(*be >> 32);
    v = (uint32_t)((uint64_t)v << (8 * n) >> 32);
    *be <<= 8 * n;
    *bad |= v >= powers[digits];
    return v;
}

bool row_decimal64(uint64_t be, unsigned precision, unsigned scale, int64_t *unscaled)
{
    unsigned whole = precision - scale;
    bool negative = be >> 63 == 0, bad = false;
    be = (negative ? ~be : be) ^ UINT64_C(1) << 63;
    uint64_t v = take_group(&be, whole % GROUP_DIGITS, &bad);
    for (unsigned i = whole / GROUP_DIGITS; i > 0; i--)
        v = v * powers[GROUP_DIGITS] + take_group(&be, GROUP_DIGITS, &bad);
    for (unsigned i = scale / GROUP_DIGITS; i > 0; i--)
        v = v * powers[GROUP_DIGITS] + take_group(&be, GROUP_DIGITS, &bad);
    v = v * powers[scale % GROUP_DIGITS] + take_group(&be, scale % GROUP_DIGITS, &bad);
    *unscaled = negative ? -(int64_t)v : (int64_t)v;
    return !bad;
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

/* Of a number with a sign, what lies in front of the point without leading zeros; 0 is one digit. */
static uint8_t *put_first(uint8_t *to, uint32_t v)
{
    return digits_put(to, v, digits_of(v));
}

static size_t bad_group(struct cur *c)
{
    cur_fail(c, "not a DECIMAL: too many digits in a group");
    return 0;
}

size_t row_decimal_decode_text(struct cur *c, unsigned precision, unsigned scale, char out[ROW_DECIMAL_TEXT_MAX])
{
    struct groups g;
    if (!groups_read(c, precision, scale, &g))
        return 0;
    unsigned left = (precision - scale) % GROUP_DIGITS, whole = (precision - scale) / GROUP_DIGITS,
             fraction = scale / GROUP_DIGITS, more = scale % GROUP_DIGITS;
    uint8_t *to = (uint8_t *)out, *first;
    *to = '-';
    to += g.negative;                      /* taken back when the number is 0 */
    uint32_t v = group(&g, left), any = v; /* 0 when there is no such group */
    first = to;
    for (; whole > 0 && v == 0; whole--)
        any = v = group(&g, GROUP_DIGITS);
    if (g.bad) /* out has room for as many digits as there may be */
        return bad_group(c);
    to = put_first(to, v);
    for (; whole > 0; whole--) {
        v = group(&g, GROUP_DIGITS);
        to = digits_put(to, v, GROUP_DIGITS);
    }
    if (scale != 0)
        *to++ = '.';
    for (; fraction > 0; fraction--) {
        any |= v = group(&g, GROUP_DIGITS);
        to = digits_put(to, v, GROUP_DIGITS);
    }
    any |= v = group(&g, more);
    to = digits_put(to, v, more);
    if (g.bad)
        return bad_group(c);
    size_t n = (size_t)(to - (uint8_t *)out);
    if (g.negative && any == 0) {
        n--;
        memmove(out, first, n);
    }
    return n;
}
