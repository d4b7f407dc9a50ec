/* xid.c - see xid.h. */
#include "xid.h"

#include <stdio.h>

static void hex(struct bytes b, struct buf *out)
{
    buf_str(out, "X'");
    for (size_t i = 0; i < b.n; i++)
        buf_printf(out, "%02x", b.p[i]);
    buf_str(out, "'");
}

void xid_text(uint32_t format, struct bytes gtrid, struct bytes bqual, char out[XA_XID_MAX + 1])
{
    assert(gtrid.n <= XID_PART_MAX && bqual.n <= XID_PART_MAX);
    struct buf b = { 0 };
    hex(gtrid, &b);
    buf_str(&b, ",");
    hex(bqual, &b);
    snprintf(out, XA_XID_MAX + 1, "%s,%u", buf_cstr(&b), format);
    buf_free(&b);
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void blank(struct cur *c)
{
    while (cur_left(c) != 0 && (*c->p == ' ' || (*c->p >= '\t' && *c->p <= '\r')))
        c->p++;
}

static bool is_next(struct cur *c, uint8_t want)
{
    blank(c);
    if (cur_left(c) == 0 || *c->p != want)
        return false;
    c->p++;
    return true;
}

/* X'6162' */
static size_t take_hex(struct cur *c, uint8_t out[XID_PART_MAX])
{
    size_t n = 0;
    if ((!is_next(c, 'X') && !is_next(c, 'x')) || cur_u8(c) != '\'')
        cur_fail(c, "not a hexadecimal string");
    while (c->why == NULL && cur_left(c) != 0 && *c->p != '\'') {
        int high = digit(cur_u8(c)), low = digit(cur_u8(c));
        if (high < 0 || low < 0 || n == XID_PART_MAX)
            cur_fail(c, "not a hexadecimal string of 64 bytes at most");
        else
            out[n++] = (uint8_t)(high << 4 | low);
    }
    (void)cur_u8(c); /* the quote */
    return n;
}

/* XA_PREPARE has 32 bits of it, whatever the statement said. */
static uint32_t take_format(struct cur *c)
{
    uint64_t v = 0;
    bool minus = is_next(c, '-');
    blank(c);
    if (cur_left(c) == 0 || digit(*c->p) < 0 || digit(*c->p) > 9)
        cur_fail(c, "not a number");
    while (cur_left(c) != 0 && *c->p >= '0' && *c->p <= '9') {
        if (v > UINT64_MAX / 10 - 1)
            cur_fail(c, "not a 64-bit number");
        else
            v = v * 10 + (uint64_t)digit(*c->p++);
    }
    return (uint32_t)(minus ? 0 - v : v);
}

bool xid_parse(struct bytes in, char out[XA_XID_MAX + 1], struct err *err)
{
    struct cur c = cur_over(in);
    uint8_t gtrid[XID_PART_MAX], bqual[XID_PART_MAX];
    size_t nbqual = 0;
    uint32_t format = 1;
    size_t ngtrid = take_hex(&c, gtrid);
    if (is_next(&c, ',')) {
        nbqual = take_hex(&c, bqual);
        if (is_next(&c, ','))
            format = take_format(&c);
    }
    blank(&c);
    if (!cur_finish(&c, "xid", err)) {
        err->code = ERR_UNSUPPORTED;
        return false;
    }
    xid_text(format, bytes_of(gtrid, ngtrid), bytes_of(bqual, nbqual), out);
    return true;
}

bool xid_parse_prepare(const struct binlog_event *e, struct ev_xa_prepare *out, struct err *err)
{
    struct cur c = cur_over(e->body);
    bool one_phase = cur_u8(&c) != 0;
    uint32_t format = (uint32_t)cur_le(&c, 4);
    size_t ngtrid = (size_t)cur_le(&c, 4), nbqual = (size_t)cur_le(&c, 4);
    if (c.why == NULL && (ngtrid > XID_PART_MAX || nbqual > XID_PART_MAX))
        cur_fail(&c, "an xid longer than 64 bytes");
    struct bytes gtrid = cur_take(&c, ngtrid), bqual = cur_take(&c, nbqual);
    if (!cur_finish(&c, "XA_PREPARE", err))
        return false;
    out->one_phase = one_phase;
    xid_text(format, gtrid, bqual, out->xid);
    return true;
}
