/* frame_strings.h - a part of strings as it lies in a payload that frame_builder made (docs/segment-format.md, "Data frame", modes 0 and 4), for
 * what codes it in another way. Private to frame_coder.c and what it uses. */
#ifndef ROWTIDE_FRAME_STRINGS_H
#define ROWTIDE_FRAME_STRINGS_H

#include "frame_part.h"

struct strings {
    uint8_t mode;         /* ST_VALUE or ST_PACKED */
    struct bytes packed;  /* ST_PACKED: the rows' states as they are stored, */
    const uint8_t *state; /* and one byte a row; else NULL */
    uint32_t rows;
    struct bytes len, str; /* the two streams */
};

/* What another form of the part begins with. */
static inline void strings_begin(const struct strings *s, uint8_t flag, struct buf *out)
{
    buf_u8(out, s->mode | flag);
    buf_bytes(out, s->packed);
}

#endif
