/* frame_part.h - one column's new or old values in a data frame that is being built (docs/segment-format.md, "Data frame"): the streams that
 * they make. Inline, as it runs once per value. Not thread-safe; a failed allocation leaves the part of no use but to be reset. */
#ifndef ROWTIDE_FRAME_PART_H
#define ROWTIDE_FRAME_PART_H

#include "relation.h"
#include "value.h"

#include <endian.h>

enum part_state { /* of one value; and a part's mode, where all values agree. ST_SAME: old values of updates only */
                  ST_VALUE = 0,
                  ST_NULL = 1,
                  ST_ABSENT = 2,
                  ST_SAME = 3,
                  ST_PACKED = 4 /* a mode: two bits a row follow */
};

enum col_phys { PHYS_INT, PHYS_F32, PHYS_F64, PHYS_STR };

/* How a column's values look: the only value kind that its type allows, the scale they carry, their encoding. */
struct col_kind {
    uint8_t kind; /* enum val_kind; VAL_ABSENT: a column type that this version does not know */
    uint8_t scale;
    uint8_t phys; /* enum col_phys */
};
struct col_kind col_kind_of(const struct column *c);

struct frame_part {     /* what nearly every value touches lies together */
    struct buf a;       /* integers, floats, or string lengths */
    uint64_t prev;      /* PHYS_INT: what the next delta refers to */
    uint32_t packed_at; /* ST_PACKED: the first row that disagreed with those before */
    uint8_t mode;
    struct buf b;      /* string bytes */
    struct buf states; /* one byte a row, once the rows disagree */
};

enum { FRAME_PART_SLACK = 64 }; /* short strings are copied in whole steps of up to so many bytes */

void frame_part_free(struct frame_part *p);
/* Empty again. Memory beyond keep bytes a stream goes back. */
void frame_part_reset(struct frame_part *p, size_t keep);
/* Bytes of its streams; *beyond becomes true where one has more than keep. */
size_t frame_part_memory(const struct frame_part *p, size_t keep, bool *beyond);
bool frame_part_state_apart(struct frame_part *p, uint32_t row, uint8_t st);
/* Takes the last row back, which is number row; size: the bytes that its value took are taken off. */
void frame_part_undo(struct frame_part *p, uint8_t phys, uint32_t row, size_t *size);
/* The part as it lies in a frame of nrows such rows. bits: for the function's own use. */
void frame_part_write(const struct frame_part *p, uint8_t phys, uint32_t nrows, struct buf *bits, struct buf *out);

#define FRAME_PART_HOT static inline __attribute__((always_inline))

/* The state of row number row. With ST_VALUE, the value follows by one of the functions below. */
FRAME_PART_HOT bool frame_part_state(struct frame_part *p, uint32_t row, uint8_t st)
{
    if (p->mode == st) /* an empty part's mode is ST_VALUE */
        return true;
    if (p->mode != ST_PACKED || p->states.n == p->states.cap)
        return frame_part_state_apart(p, row, st);
    p->states.p[p->states.n++] = st;
    return true;
}

/* LEB128 at q, where there is room for 10 bytes. Returns how many it takes. */
FRAME_PART_HOT size_t frame_part_leb128(uint8_t *q, uint64_t x)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (x >> 56 == 0) { /* groups of seven bits move apart, all at once; how many there are is hard to foretell */
        if (x >> 28 != 0)
            x += (x & 0xfffffff0000000) * 15;
        x += (x & 0x0fffc0000fffc000) * 3;
        x += x & 0x3f803f803f803f80;
        unsigned top = (63 - (unsigned)__builtin_clzll(x | 1)) & 56; /* in front of the last byte's bits */
        x |= UINT64_C(0x0080808080808080) >> (56 - top);
        memcpy(q, &x, 8);
        return top / 8 + 1;
    }
#endif
    uint8_t *at = q;
    for (; x >= 0x80; x >>= 7)
        *at++ = (uint8_t)(x | 0x80);
    *at++ = (uint8_t)x;
    return (size_t)(at - q);
}

/* The same behind what there is; size: its bytes are added. */
FRAME_PART_HOT bool frame_part_varint(struct buf *to, uint64_t x, size_t *size)
{
    if (to->cap - to->n < 10 && !buf_grow(to, 10))
        return false;
    size_t n = frame_part_leb128(to->p + to->n, x);
    to->n += n;
    *size += n;
    return true;
}

FRAME_PART_HOT bool frame_part_int(struct frame_part *p, uint64_t v, size_t *size)
{
    uint64_t delta = v - p->prev; /* wraps around: exact for all 64-bit values */
    p->prev = v;
    return frame_part_varint(&p->a, zigzag((int64_t)delta), size);
}

FRAME_PART_HOT bool frame_part_float(struct frame_part *p, uint64_t bits, unsigned n, size_t *size)
{
    if (p->a.cap - p->a.n < 8 && !buf_grow(&p->a, 8))
        return false;
    bits = htole64(bits);
    memcpy(p->a.p + p->a.n, &bits, 8);
    p->a.n += n;
    *size += n;
    return true;
}

/* readable: bytes that may be read from s on, at least n. */
FRAME_PART_HOT bool frame_part_str(struct frame_part *p, const uint8_t *s, size_t n, size_t readable, size_t *size)
{
    struct buf *b = &p->b;
    if (b->cap - b->n < n + FRAME_PART_SLACK && !buf_grow(b, n + FRAME_PART_SLACK))
        return false;
    if (n <= FRAME_PART_SLACK / 2 && readable >= FRAME_PART_SLACK / 2)
        memcpy(b->p + b->n, s, FRAME_PART_SLACK / 2);
    else if (n <= FRAME_PART_SLACK && readable >= FRAME_PART_SLACK)
        memcpy(b->p + b->n, s, FRAME_PART_SLACK);
    else if (n != 0)
        memcpy(b->p + b->n, s, n);
    b->n += n;
    *size += n;
    if (n < 0x80 && p->a.n < p->a.cap) { /* nearly always */
        p->a.p[p->a.n++] = (uint8_t)n;
        *size += 1;
        return true;
    }
    return frame_part_varint(&p->a, n, size);
}

static inline uint32_t frame_f32_bits(const struct val *v)
{
    uint32_t w;
    memcpy(&w, &v->u.f32, sizeof w);
    return w;
}

/* Any value of the column's kind. */
static inline bool frame_part_val(struct frame_part *p, uint8_t phys, const struct val *v, size_t *size)
{
    switch ((enum col_phys)phys) {
    case PHYS_INT:
        return frame_part_int(p, v->u.u64, size);
    case PHYS_STR:
        return frame_part_str(p, v->u.str.p, v->u.str.n, v->u.str.n, size);
    case PHYS_F64: {
        uint64_t x;
        memcpy(&x, &v->u.f64, 8);
        return frame_part_float(p, x, 8, size);
    }
    case PHYS_F32:
        return frame_part_float(p, frame_f32_bits(v), 4, size);
    }
    return false;
}

#endif
