/* frame_strings.h - a part of strings as it lies in a payload that frame_builder made (docs/segment-format.md, "Data frame", modes 0 and 4), for
 * what codes it in another way. Private to frame_coder.c, frame.c and
 * what they use. */
#ifndef ROWTIDE_FRAME_STRINGS_H
#define ROWTIDE_FRAME_STRINGS_H

#include "frame_part.h"

struct strings {
    uint8_t mode;         /* ST_VALUE or ST_PACKED */
    struct bytes packed;  /* ST_PACKED: the rows' states as they are stored, */
    const uint8_t *state; /* and one byte a row; else NULL */
    uint32_t rows;
    struct bytes len, str; /* the two streams */
    struct bytes before;   /* what stands in front of the part, and is not written yet */
};

/* A string in its part's bytes. Those are at most 1 GiB (old ones near new ones: twice that), so 32 bits do. */
struct span {
    uint32_t off, len;
};

/* Eight bytes, the first one lowest. */
FRAME_PART_HOT uint64_t strings_load(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

FRAME_PART_HOT void strings_store(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

/* Eight digits of base 10 or 16, the first one lowest, as a number. */
FRAME_PART_HOT uint64_t strings_pack8(uint64_t v, uint64_t base)
{
    v = (v * base + (v >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v * (base * base) + (v >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (v * (base * base * base * base) + (v >> 32)) & UINT64_C(0xffffffff);
}

/* The other way round, of a number below base^8. */
FRAME_PART_HOT uint64_t strings_unpack8(uint32_t x, bool decimal)
{
    uint64_t v;
    if (!decimal) {
        v = x >> 16 | (uint64_t)(x & 0xffff) << 32;
        v = (v >> 8 & UINT64_C(0x000000ff000000ff)) | (v & UINT64_C(0x000000ff000000ff)) << 16;
        return (v >> 4 & UINT64_C(0x000f000f000f000f)) | (v & UINT64_C(0x000f000f000f000f)) << 8;
    }
    v = x / 10000 | (uint64_t)(x % 10000)
                        << 32; /* halves, quarters, digits: both, or all four, by one multiplication */
    uint64_t hundreds = (v * 5243 >> 19) & UINT64_C(0x0000007f0000007f);
    v = hundreds | (v - hundreds * 100) << 16;
    uint64_t tens = (v * 103 >> 10) & UINT64_C(0x000f000f000f000f);
    return tens | (v - tens * 10) << 8;
}

struct strings_walk { /* over the two streams, one string after the other */
    const uint8_t *len, *at;
};
FRAME_PART_HOT struct bytes strings_next(struct strings_walk *w)
{
    size_t n = *w->len++;
    for (unsigned shift = 7; n >> shift != 0; shift += 7) /* its last byte said that another follows */
        n = (n & ((UINT64_C(1) << shift) - 1)) | (size_t)*w->len++ << shift;
    struct bytes s = { w->at, n };
    w->at += n;
    return s;
}

/* The beginning of another form of the part. */
static inline void strings_begin(const struct strings *s, uint8_t flag, struct buf *out)
{
    buf_bytes(out, s->before);
    buf_u8(out, s->mode | flag);
    buf_bytes(out, s->packed);
}

#endif
