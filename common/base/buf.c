/* buf.c - the growable output buffer (buf.h). */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The memory stays, so that code which patches earlier bytes stays safe; cap = n makes every later append come here. */
static bool fail(struct buf *b)
{
    b->failed = true;
    b->cap = b->n;
    return false;
}

bool buf_grow(struct buf *b, size_t more)
{
    if (b->failed)
        return fail(b);
    if (more <= b->cap - b->n)
        return true;
    if (more > SIZE_MAX / 4 || b->n > SIZE_MAX / 4)
        return fail(b);
    size_t want = b->n + more, cap = b->cap < 64 ? 64 : b->cap * 2;
    if (cap < want)
        cap = want;
    uint8_t *own = b->lent ? NULL : b->p, *p = realloc(own, cap);
    if (p == NULL && cap > want) { /* doubling a large buffer may fail where the plain need still fits */
        cap = want;
        p = realloc(own, cap);
    }
    if (p == NULL)
        return fail(b);
    if (b->lent && b->n != 0)
        memcpy(p, b->p, b->n);
    b->lent = false;
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_free(struct buf *b)
{
    if (!b->lent)
        free(b->p);
    *b = (struct buf){ 0 };
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    buf_bytes(b, bytes_of(p, n));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    if (!buf_grow(b, 1))
        return;
    for (;;) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf((char *)b->p + b->n, b->cap - b->n, fmt, ap);
        va_end(ap);
        if (n < 0) {
            fail(b);
            return;
        }
        if ((size_t)n < b->cap - b->n) {
            b->n += (size_t)n;
            return;
        }
        if (!buf_grow(b, (size_t)n + 1))
            return;
    }
}

const char *buf_cstr(struct buf *b)
{
    if (b->failed || !buf_grow(b, 1))
        return "";
    b->p[b->n] = '\0';
    return (const char *)b->p;
}

bool buf_ok(const struct buf *b, struct err *err)
{
    return b->failed ? err_nomem(err) : true;
}
