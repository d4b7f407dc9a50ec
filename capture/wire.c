/* wire.c - see wire.h. */
#include "wire.h"

#include "inflate.h"

bool wire_uncompress(struct bytes in, struct buf *out, struct err *err)
{
    struct cur c = cur_over(in);
    uint8_t head = cur_u8(&c);
    unsigned len_bytes = head & 7;
    if (c.why == NULL && ((head & 0x80) == 0 || len_bytes < 1 || len_bytes > 4))
        cur_fail(&c, "not the head of compressed data");
    uint64_t n = cur_be(&c, c.why == NULL ? len_bytes : 0);
    if (!cur_ok(&c, "compressed event", err))
        return false;
    if ((head & 0x70) != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "compressed event: algorithm %u is not known (only 0, zlib): SET GLOBAL log_bin_compress = OFF",
                       head >> 4 & 7U);
    struct bytes z = cur_take(&c, cur_left(&c));
    if (!inflate_size_ok(z.n, n, err))
        return false;
    if (!buf_grow(out, (size_t)n + 1)) /* + 1: there is a pointer to inflate to even when n is 0 */
        return err_nomem(err);
    if (!inflate_exact(z, true, out->p + out->n, (size_t)n, err))
        return false;
    out->n += (size_t)n;
    return true;
}
