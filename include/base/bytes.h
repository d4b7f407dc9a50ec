/* bytes.h - read-only views and a bounds-checked cursor for untrusted input (I9). */
#ifndef ROWTIDE_BYTES_H
#define ROWTIDE_BYTES_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *p;
    size_t n;
}; /* a view: never owns */

#define BYTES_LIT(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })
#define BYTES_FMT(b) (int)((b).n > 4096 ? 4096 : (b).n), (const char *)(b).p /* for "%.*s" */

static inline struct bytes bytes_of(const void *p, size_t n)
{
    return (struct bytes){ p, n };
}
static inline struct bytes bytes_str(const char *s)
{
    return (struct bytes){ (const uint8_t *)s, s == NULL ? 0 : strlen(s) };
}
static inline bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool bytes_eq_str(struct bytes a, const char *s)
{
    return bytes_eq(a, bytes_str(s));
}

/* A cursor. Its errors are sticky: read on, ask once at the end (cur_finish, or c->why). */
struct cur {
    const uint8_t *start, *p, *end;
    const char *why; /* first failure (a literal), NULL while good; later reads yield 0 */
    size_t at;       /* offset of that failure from start, bytes */
};

static inline struct cur cur_over(struct bytes b)
{
    static const uint8_t none;
    const uint8_t *p = b.p == NULL ? &none : b.p;
    return (struct cur){ p, p, p + b.n, NULL, 0 };
}
/* Asks the processor for memory that will be used soon: on whole lines of its cache, at most 16 of them, or others would have to leave. */
static inline void cache_fetch(const void *p, size_t n)
{
    enum { LINE = 64 };
    for (size_t i = 0; i < n && i < 16 * LINE; i += LINE)
        __builtin_prefetch((const uint8_t *)p + i, 1);
}

static inline size_t cur_left(const struct cur *c)
{
    return (size_t)(c->end - c->p);
}
static inline size_t cur_at(const struct cur *c)
{
    return (size_t)(c->p - c->start);
}
static inline void cur_fail(struct cur *c, const char *why)
{
    if (c->why == NULL) {
        c->why = why;
        c->at = cur_at(c);
    }
    c->p = c->end; /* so that `while (cur_left(c))` loops always end */
}
static inline struct bytes cur_take(struct cur *c, size_t n)
{
    if (n > cur_left(c)) /* never `p + n > end`: the sum can overflow */
        cur_fail(c, "truncated");
    if (c->why != NULL)
        return (struct bytes){ NULL, 0 };
    struct bytes v = { c->p, n };
    c->p += n;
    return v;
}
static inline struct bytes cur_take_last(struct cur *c, size_t n) /* from the end of what is left */
{
    if (n > cur_left(c))
        cur_fail(c, "truncated");
    if (c->why != NULL)
        return (struct bytes){ NULL, 0 };
    c->end -= n;
    return (struct bytes){ c->end, n };
}
static inline uint64_t cur_le(struct cur *c, size_t n) /* little-endian, n <= 8 bytes */
{
    uint64_t v = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (n - 1 < 8 && cur_left(c) >= 8) { /* one load; not for the last bytes. After a failure none is left */
        memcpy(&v, c->p, 8);
        c->p += n;
        return v & UINT64_MAX >> (64 - 8 * n);
    }
#endif
    struct bytes b = cur_take(c, n);
    for (size_t i = 0; i < b.n; i++)
        v |= (uint64_t)b.p[i] << (8 * i);
    return v;
}
static inline uint64_t cur_be(struct cur *c, size_t n) /* big-endian, n <= 8 bytes */
{
    uint64_t v = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (n - 1 < 8 && cur_left(c) >= 8) { /* as above */
        memcpy(&v, c->p, 8);
        c->p += n;
        return __builtin_bswap64(v) >> (64 - 8 * n);
    }
#endif
    struct bytes b = cur_take(c, n);
    for (size_t i = 0; i < b.n; i++)
        v = v << 8 | b.p[i];
    return v;
}
static inline uint8_t cur_u8(struct cur *c)
{
    if (c->p == c->end) {
        cur_fail(c, "truncated");
        return 0;
    }
    return *c->p++;
}

/* LEB128: 7 bits a byte, low bits first, at most 10 bytes; an overlong or overflowing one fails. */
uint64_t cur_varint(struct cur *c);
static inline int64_t unzigzag(uint64_t z)
{
    return (int64_t)(z >> 1 ^ (0 - (z & 1)));
}
static inline uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}
static inline int64_t cur_zigzag(struct cur *c)
{
    return unzigzag(cur_varint(c));
}
/* A varint length, then that many bytes. */
struct bytes cur_blob(struct cur *c);

/* True if nothing failed and nothing is left: trailing bytes mean we misread the layout. */
bool cur_finish(struct cur *c, const char *what, struct err *err);
/* True if nothing failed so far; bytes may be left. */
bool cur_ok(const struct cur *c, const char *what, struct err *err);

#endif
