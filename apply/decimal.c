/* decimal.c - schoolbook arithmetic in base 10^9. See decimal.h. */
#include "decimal.h"

#include <inttypes.h>
#include <stdio.h>

enum { BASE = 1000000000, BASE_DIGITS = 9 };
static const uint32_t pow10_small[BASE_DIGITS] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };

static void trim(struct dec *a)
{
    while (a->n > 0 && a->d[a->n - 1] == 0)
        a->n--;
    if (a->n == 0)
        a->neg = false;
}

void dec_from_u64(uint64_t magnitude, bool neg, unsigned scale, struct dec *out)
{
    *out = (struct dec){ .neg = neg, .scale = (uint16_t)scale };
    for (; magnitude != 0; magnitude /= BASE)
        out->d[out->n++] = (uint32_t)(magnitude % BASE);
    trim(out);
}

void dec_from_i64(int64_t v, unsigned scale, struct dec *out)
{
    dec_from_u64(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, scale, out);
}

unsigned dec_digits(const struct dec *a)
{
    if (a->n == 0)
        return 0;
    unsigned digits = (unsigned)(a->n - 1) * BASE_DIGITS;
    for (uint32_t top = a->d[a->n - 1]; top != 0; top /= 10)
        digits++;
    return digits;
}

/* a = a * m + add, m < 10^9. */
static bool mul_small(struct dec *a, uint32_t m, uint32_t add)
{
    uint64_t carry = add;
    for (unsigned i = 0; i < a->n; i++) {
        carry += (uint64_t)a->d[i] * m;
        a->d[i] = (uint32_t)(carry % BASE);
        carry /= BASE;
    }
    if (carry == 0)
        return true;
    if (a->n == DEC_LIMBS)
        return false;
    a->d[a->n++] = (uint32_t)carry;
    return true;
}

bool dec_parse(struct bytes text, struct dec *out)
{
    struct dec v = { 0 };
    size_t i = 0, digits = 0;
    bool point = false, neg = false;
    if (i < text.n && (text.p[i] == '-' || text.p[i] == '+'))
        neg = text.p[i++] == '-';
    for (; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            return false;
        digits++;
        if (!mul_small(&v, 10, (uint32_t)(c - '0')))
            return false;
        if (point && ++v.scale > DEC_SCALE_MAX)
            return false;
    }
    if (digits == 0 || dec_digits(&v) > DEC_DIGITS)
        return false;
    v.neg = neg;
    trim(&v);
    *out = v;
    return true;
}

void dec_text(const struct dec *a, struct buf *out)
{
    char digits[(DEC_LIMBS + 1) * BASE_DIGITS + DEC_SCALE_MAX + 2];
    size_t n = 0;
    for (unsigned i = a->n; i-- > 0;)
        n += (size_t)snprintf(digits + n, sizeof digits - n, i + 1u == a->n ? "%" PRIu32 : "%09" PRIu32, a->d[i]);
    if (a->neg)
        buf_u8(out, '-');
    if (n <= a->scale) {
        buf_u8(out, '0');
    } else {
        buf_put(out, digits, n - a->scale);
    }
    if (a->scale == 0)
        return;
    buf_u8(out, '.');
    for (size_t zeros = n; zeros < a->scale; zeros++)
        buf_u8(out, '0');
    size_t behind = n < a->scale ? n : a->scale;
    buf_put(out, digits + n - behind, behind);
}

/* a copy, which reads no limb beyond n */
static void copy(const struct dec *a, struct dec *out)
{
    *out = (struct dec){ .neg = a->neg, .scale = a->scale, .n = a->n };
    memcpy(out->d, a->d, a->n * sizeof *a->d);
}

/* The same value with `scale` >= its own digits behind the point. */
static bool widen(const struct dec *a, unsigned scale, struct dec *out)
{
    copy(a, out);
    for (unsigned more = scale - a->scale; more > 0;) {
        unsigned step = more < BASE_DIGITS ? more : BASE_DIGITS - 1;
        if (!mul_small(out, pow10_small[step], 0))
            return false;
        more -= step;
    }
    out->scale = (uint16_t)scale;
    return true;
}

static int cmp_magnitude(const struct dec *a, const struct dec *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (unsigned i = a->n; i-- > 0;)
        if (a->d[i] != b->d[i])
            return a->d[i] < b->d[i] ? -1 : 1;
    return 0;
}

static int sign_of(const struct dec *a)
{
    return a->n == 0 ? 0 : a->neg ? -1 : 1;
}

int dec_cmp(const struct dec *a, const struct dec *b)
{
    int sa = sign_of(a), sb = sign_of(b);
    if (sa != sb)
        return sa < sb ? -1 : 1;
    struct dec x, y;
    unsigned scale = a->scale > b->scale ? a->scale : b->scale;
    /* One that does not fit in the other's scale has more integer digits than any that fits: it is the larger one. */
    if (!widen(a, scale, &x))
        return sa;
    if (!widen(b, scale, &y))
        return -sa;
    return sa * cmp_magnitude(&x, &y);
}

static bool finish(struct dec *v, struct dec *out)
{
    trim(v);
    if (dec_digits(v) > DEC_DIGITS)
        return false;
    *out = *v;
    return true;
}

static bool add_signed(const struct dec *a, const struct dec *b, bool b_neg, struct dec *out)
{
    struct dec x, y, sum = { 0 };
    unsigned scale = a->scale > b->scale ? a->scale : b->scale;
    if (!widen(a, scale, &x) || !widen(b, scale, &y))
        return false;
    sum.scale = (uint16_t)scale;
    if (x.neg == b_neg) {
        uint32_t carry = 0;
        for (unsigned i = 0; i < x.n || i < y.n || carry != 0; i++) {
            if (i == DEC_LIMBS)
                return false;
            uint32_t v = (i < x.n ? x.d[i] : 0) + (i < y.n ? y.d[i] : 0) + carry; /* below 2 * 10^9 + 1: no overflow */
            sum.d[i] = v % BASE;
            carry = v / BASE;
            sum.n = (uint16_t)(i + 1);
        }
        sum.neg = x.neg;
        return finish(&sum, out);
    }
    int order = cmp_magnitude(&x, &y);
    const struct dec *big = order >= 0 ? &x : &y, *small = order >= 0 ? &y : &x;
    int64_t borrow = 0;
    for (unsigned i = 0; i < big->n; i++) {
        int64_t v = (int64_t)big->d[i] - (i < small->n ? small->d[i] : 0) - borrow;
        borrow = v < 0;
        sum.d[i] = (uint32_t)(v < 0 ? v + BASE : v);
    }
    sum.n = big->n;
    sum.neg = order >= 0 ? x.neg : b_neg;
    return finish(&sum, out);
}

bool dec_add(const struct dec *a, const struct dec *b, struct dec *out)
{
    return add_signed(a, b, b->neg, out);
}

bool dec_sub(const struct dec *a, const struct dec *b, struct dec *out)
{
    return add_signed(a, b, !b->neg, out);
}

bool dec_mul(const struct dec *a, const struct dec *b, struct dec *out)
{
    struct dec v = { .neg = a->neg != b->neg, .scale = (uint16_t)(a->scale + b->scale) };
    if (v.scale > DEC_SCALE_MAX || a->n + b->n > DEC_LIMBS)
        return false;
    for (unsigned i = 0; i < a->n; i++) {
        uint64_t carry = 0;
        for (unsigned j = 0; j < b->n || carry != 0; j++) {
            uint64_t t = v.d[i + j] + carry + (j < b->n ? (uint64_t)a->d[i] * b->d[j] : 0);
            v.d[i + j] = (uint32_t)(t % BASE);
            carry = t / BASE;
        }
    }
    v.n = (uint16_t)(a->n + b->n);
    return finish(&v, out);
}

bool dec_round(const struct dec *a, unsigned scale, struct dec *out)
{
    struct dec v;
    if (scale > DEC_SCALE_MAX)
        return false;
    if (scale >= a->scale)
        return widen(a, scale, &v) && finish(&v, out);
    unsigned drop = a->scale - scale;
    copy(a, &v);
    /* add half a unit of the last kept digit to the magnitude, then cut: 5 * 10^(drop-1) */
    const struct dec five = { .n = 1, .d = { 5 } };
    struct dec half, magnitude = v;
    magnitude.neg = false;
    magnitude.scale = 0;
    if (!widen(&five, drop - 1, &half))
        return false;
    half.scale = 0;
    if (!add_signed(&magnitude, &half, false, &magnitude))
        return false;
    for (unsigned left = drop; left > 0;) {
        unsigned step = left < BASE_DIGITS ? left : BASE_DIGITS - 1;
        uint64_t rest = 0;
        for (unsigned i = magnitude.n; i-- > 0;) {
            rest = rest * BASE + magnitude.d[i];
            magnitude.d[i] = (uint32_t)(rest / pow10_small[step]);
            rest %= pow10_small[step];
        }
        left -= step;
    }
    magnitude.neg = a->neg;
    magnitude.scale = (uint16_t)scale;
    return finish(&magnitude, out);
}

static bool magnitude_u64(const struct dec *a, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned i = a->n; i-- > 0;)
        if (__builtin_mul_overflow(v, (uint64_t)BASE, &v) || __builtin_add_overflow(v, (uint64_t)a->d[i], &v))
            return false;
    *out = v;
    return true;
}

bool dec_unscaled_i64(const struct dec *a, int64_t *out)
{
    uint64_t v;
    if (!magnitude_u64(a, &v) || v > (uint64_t)INT64_MAX + (a->neg ? 1 : 0))
        return false;
    *out = a->neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Without digits behind the point, if they are all zero. */
static bool whole(const struct dec *a, struct dec *out)
{
    return dec_round(a, 0, out) && dec_cmp(a, out) == 0;
}

bool dec_to_i64(const struct dec *a, int64_t *out)
{
    struct dec v;
    return whole(a, &v) && dec_unscaled_i64(&v, out);
}

bool dec_to_u64(const struct dec *a, uint64_t *out)
{
    struct dec v;
    return whole(a, &v) && !v.neg && magnitude_u64(&v, out);
}
