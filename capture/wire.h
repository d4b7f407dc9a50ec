/* wire.h - what several binlog decoders read the same way: length-encoded integers and strings, MariaDB's compressed
 * bodies. */
#ifndef ROWTIDE_WIRE_H
#define ROWTIDE_WIRE_H

#include "buf.h"

/* The protocol's length-encoded integer: 1, 3, 4 or 9 bytes (MySQL source, mysys/pack.cc, net_field_length_ll). */
static inline uint64_t wire_lenenc(struct cur *c)
{
    uint8_t first = cur_u8(c);
    if (first < 251)
        return first;
    if (first == 251 || first == 255) {
        cur_fail(c, "not a length-encoded integer");
        return 0;
    }
    return cur_le(c, first == 252 ? 2 : first == 253 ? 3 : 8);
}
static inline struct bytes wire_lenenc_str(struct cur *c)
{
    uint64_t n = wire_lenenc(c);
    if (n > cur_left(c)) {
        cur_fail(c, "truncated");
        return (struct bytes){ NULL, 0 };
    }
    return cur_take(c, (size_t)n);
}

/* The body of MariaDB's compressed events: 0x80 | algorithm << 4 | number of length bytes, the length big-endian, a
 * zlib stream (MariaDB source, sql/log_event.cc, binlog_buf_uncompress). Appends to out. */
bool wire_uncompress(struct bytes in, struct buf *out, struct err *err);

#endif
