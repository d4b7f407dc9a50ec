/* buf.h - a growable output buffer.
 *
 * Errors are sticky: a failed allocation sets `failed` and drops later output, so that an encoder appends freely and
 * its caller asks once (buf_ok). Zero-initialise; buf_free at the end. Not thread-safe. */
#ifndef ROWTIDE_BUF_H
#define ROWTIDE_BUF_H

#include "bytes.h"

struct buf {
    uint8_t *p;
    size_t n, cap;
    bool failed;
    bool lent; /* p is its user's, for a beginning: growing leaves it */
};

bool buf_grow(struct buf *b, size_t more); /* room for more bytes behind n; false once failed */
void buf_free(struct buf *b);              /* and zeroes *b; safe twice */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *buf_cstr(struct buf *b); /* NUL-terminates behind n; "" when failed. Valid until the next append */

static inline void buf_reset(struct buf *b) /* keeps the memory */
{
    b->n = 0;
    b->failed = false;
}
static inline struct bytes buf_view(const struct buf *b)
{
    return (struct bytes){ b->p, b->n };
}
static inline void buf_u8(struct buf *b, uint8_t v)
{
    if (b->n < b->cap || buf_grow(b, 1))
        b->p[b->n++] = v;
}
static inline void buf_bytes(struct buf *b, struct bytes v)
{
    if (v.n <= b->cap - b->n || buf_grow(b, v.n)) {
        if (v.n != 0)
            memcpy(b->p + b->n, v.p, v.n);
        b->n += v.n;
    }
}
static inline void buf_str(struct buf *b, const char *s)
{
    buf_bytes(b, bytes_str(s));
}
static inline void put_le(uint8_t *p, uint64_t v) /* 8 bytes: compilers make one store of it */
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
    p[4] = (uint8_t)(v >> 32);
    p[5] = (uint8_t)(v >> 40);
    p[6] = (uint8_t)(v >> 48);
    p[7] = (uint8_t)(v >> 56);
}
static inline void put_be(uint8_t *p, uint64_t v)
{
    p[0] = (uint8_t)(v >> 56);
    p[1] = (uint8_t)(v >> 48);
    p[2] = (uint8_t)(v >> 40);
    p[3] = (uint8_t)(v >> 32);
    p[4] = (uint8_t)(v >> 24);
    p[5] = (uint8_t)(v >> 16);
    p[6] = (uint8_t)(v >> 8);
    p[7] = (uint8_t)v;
}
/* The low n bytes of v, n <= 8; where there is room for eight all are stored and n of them count. */
static inline void buf_le(struct buf *b, uint64_t v, size_t n)
{
    if (8 <= b->cap - b->n) {
        put_le(b->p + b->n, v);
        b->n += n;
    } else if (n <= b->cap - b->n || buf_grow(b, n)) {
        for (size_t i = 0; i < n; i++)
            b->p[b->n++] = (uint8_t)(v >> (8 * i));
    }
}
static inline void buf_be(struct buf *b, uint64_t v, size_t n)
{
    if (8 <= b->cap - b->n && n != 0) {
        put_be(b->p + b->n, v << (8 * (8 - n)));
        b->n += n;
    } else if (n <= b->cap - b->n || buf_grow(b, n)) {
        for (size_t i = n; i-- > 0;)
            b->p[b->n++] = (uint8_t)(v >> (8 * i));
    }
}
static inline void buf_patch_be32(struct buf *b, size_t at, uint32_t v) /* four bytes that are there already */
{
    if (b->failed)
        return;
    b->p[at] = (uint8_t)(v >> 24);
    b->p[at + 1] = (uint8_t)(v >> 16);
    b->p[at + 2] = (uint8_t)(v >> 8);
    b->p[at + 3] = (uint8_t)v;
}
static inline void buf_varint(struct buf *b, uint64_t v)
{
    if (10 <= b->cap - b->n || buf_grow(b, 10)) {
        while (v >= 0x80) {
            b->p[b->n++] = (uint8_t)(v | 0x80);
            v >>= 7;
        }
        b->p[b->n++] = (uint8_t)v;
    }
}
static inline void buf_zigzag(struct buf *b, int64_t v)
{
    buf_varint(b, zigzag(v));
}
static inline void buf_blob(struct buf *b, struct bytes v) /* varint length, then the bytes */
{
    buf_varint(b, v.n);
    buf_bytes(b, v);
}
bool buf_ok(const struct buf *b, struct err *err); /* false and ERR_NOMEM once failed */

#endif
