/* decimal.h - exact decimal numbers for scripts: parse, print, add, subtract, multiply, compare, round. Pure.
 *
 * A value is (-1)^neg * sum(d[i] * 10^9^i) / 10^scale. Results beyond DEC_DIGITS digits fail, they are never cut. */
#ifndef ROWTIDE_DECIMAL_H
#define ROWTIDE_DECIMAL_H

#include "value.h"

enum { DEC_LIMBS = 24, DEC_DIGITS = 200, DEC_SCALE_MAX = 100 };
struct dec {
    bool neg;              /* never for zero */
    uint16_t scale;        /* digits behind the point */
    uint16_t n;            /* limbs in use; the highest is not 0; 0 limbs: zero */
    uint32_t d[DEC_LIMBS]; /* only the first n are ever read, so that shorter memory may be handed in */
};

void dec_from_u64(uint64_t magnitude, bool neg, unsigned scale, struct dec *out);
void dec_from_i64(int64_t v, unsigned scale, struct dec *out);
bool dec_parse(struct bytes text, struct dec *out); /* "[-+]digits[.digits]", up to DEC_DIGITS */
void dec_text(const struct dec *a, struct buf *out);
int dec_cmp(const struct dec *a, const struct dec *b); /* by value: 1.0 equals 1.00 */
bool dec_add(const struct dec *a, const struct dec *b, struct dec *out);
bool dec_sub(const struct dec *a, const struct dec *b, struct dec *out);
bool dec_mul(const struct dec *a, const struct dec *b, struct dec *out);
/* Exactly `scale` digits behind the point; half rounds away from zero, as the servers' ROUND() does. */
bool dec_round(const struct dec *a, unsigned scale, struct dec *out);
unsigned dec_digits(const struct dec *a); /* significant digits, of the integer without its point; zero: 0 */
/* The value as an integer, when it is one and fits. */
bool dec_to_i64(const struct dec *a, int64_t *out);
bool dec_to_u64(const struct dec *a, uint64_t *out);
bool dec_unscaled_i64(const struct dec *a, int64_t *out); /* what VAL_DEC64 holds */

#endif
