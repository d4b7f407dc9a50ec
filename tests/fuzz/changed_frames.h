/* changed_frames.h - for fuzzers whose input is a list of changes to a valid file of frames, so that they get past its magic numbers
 * and, where the checksums are made right again, past those. */
#ifndef ROWTIDE_CHANGED_FRAMES_H
#define ROWTIDE_CHANGED_FRAMES_H

#include "buf.h"
#include "crc32c.h"
#include "zblock.h"

static void put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Each change is an offset (u16, modulo the file's size) and the byte to put there. */
static void change_bytes(struct buf *b, struct bytes changes)
{
    for (size_t i = 0; i + 3 <= changes.n; i += 3)
        b->p[(changes.p[i] | (size_t)changes.p[i + 1] << 8) % b->n] = changes.p[i + 2];
}

/* From offset at, as far as the frames' sizes lead. */
static void fix_frame_checksums(struct buf *b, size_t at)
{
    while (b->n - at >= ZB_HEADER_SIZE) {
        uint8_t *h = b->p + at;
        size_t stored = get32(h + 8), left = b->n - at - ZB_HEADER_SIZE;
        if (stored > left)
            break;
        put32(h + 64, crc32c(0, bytes_of(h + ZB_HEADER_SIZE, stored)));
        put32(h + 76, crc32c(0, bytes_of(h, 76)));
        at += ZB_HEADER_SIZE + stored;
    }
}

#endif
