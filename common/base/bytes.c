/* bytes.c - the cursor's longer readers (bytes.h). The varint is LEB128 as in Protocol Buffers ("Base 128 Varints" in
 * its encoding guide), but only the shortest form is accepted: one value has one spelling, so that checksums and
 * hashes over encoded text compare. */
#include "bytes.h"

uint64_t cur_varint(struct cur *c)
{
    uint64_t v = 0;
    const uint8_t *p = c->p;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p == c->end) {
            cur_fail(c, "truncated");
            return 0;
        }
        uint8_t b = *p++;
        if (shift == 63 && b > 1) { /* the tenth byte holds bit 63 only */
            cur_fail(c, "varint over 64 bits");
            return 0;
        }
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80) {
            if (b == 0 && shift != 0) {
                cur_fail(c, "overlong varint");
                return 0;
            }
            c->p = p;
            return v;
        }
    }
    cur_fail(c, "varint over 64 bits");
    return 0;
}

struct bytes cur_blob(struct cur *c)
{
    uint64_t n = cur_varint(c);
    if (n > cur_left(c)) /* compared as 64 bits, before a cast could cut it */
        cur_fail(c, "truncated");
    return cur_take(c, (size_t)n);
}

bool cur_finish(struct cur *c, const char *what, struct err *err)
{
    if (c->why == NULL && cur_left(c) != 0)
        cur_fail(c, "trailing bytes");
    return cur_ok(c, what, err);
}

bool cur_ok(const struct cur *c, const char *what, struct err *err)
{
    if (c->why != NULL)
        return err_set(err, ERR_CORRUPT, "%s: %s at byte %zu", what, c->why, c->at);
    return true;
}
