/* digits.h - whole numbers as decimal digits, two at a time. Not printf: it runs for every number of every row. */
#ifndef ROWTIDE_DIGITS_H
#define ROWTIDE_DIGITS_H

#include <stdint.h>
#include <string.h>

enum { DIGITS_U64 = 20 };
extern const char digit_pairs[201];             /* "000102" ... "99" */
extern const uint64_t digit_powers[DIGITS_U64]; /* 10^i; but the first is 0, so that 0 has a digit */

static inline unsigned digits_of(uint64_t v)
{
    unsigned n = (unsigned)(64 - __builtin_clzll(v | 1)) * 1233 >> 12; /* 1233 / 2^12: the decimal logarithm of 2 */
    return n + (v >= digit_powers[n]);
}

/* The last n digits of v, zeros in front. Returns what is behind them. */
static inline __attribute__((always_inline)) uint8_t *digits_put(uint8_t *to, uint64_t v, unsigned n)
{
    unsigned i = n;
    for (; i >= 2; i -= 2, v /= 100)
        memcpy(to + i - 2, digit_pairs + 2 * (v % 100), 2);
    if (i == 1)
        to[0] = (uint8_t)('0' + v % 10);
    return to + n;
}

#endif
