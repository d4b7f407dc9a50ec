/* frame_digits.h - strings of one form that differ in digits alone, as numbers (docs/segment-format.md, "Data frame", modes 16 and 20): UUIDs,
 * hashes, order and telephone numbers. A general compressor takes long over random digits, and finds little. Private to frame_coder.c and
 * frame.c. */
#ifndef ROWTIDE_FRAME_DIGITS_H
#define ROWTIDE_FRAME_DIGITS_H

#include "frame_strings.h"

enum { PART_DIGITS = 16 }; /* a bit of a part's mode */

struct frame_tail { /* what a payload ends with: nothing that a compressor could make smaller */
    struct buf bytes, sizes;
};
void frame_tail_free(struct frame_tail *t);
/* Writes the part, and its numbers to tail, when all of its strings have one length and what differs among them are digits without an order that zstd
 * could use; false: nothing was written. A failed allocation is left in out. */
bool frame_digits_write(const struct strings *s, struct frame_tail *tail, struct buf *out);
/* The tail as it lies in a payload: the last part's bytes first, so that a reader of the parts finds each one's at the end of what is left. */
void frame_tail_write(const struct frame_tail *t, struct buf *out);

struct digits_in {
    struct bytes form, packed;
    size_t values, len; /* strings, bytes of each */
};
/* Form and numbers of so many strings, the numbers from here or from the end of what is left. A fault of the input is left in c. */
void frame_digits_take(struct cur *c, size_t values, struct digits_in *out);
enum { FRAME_DIGITS_SLACK = 32 };
/* After that: the strings, one behind the other; at to there is room for FRAME_DIGITS_SLACK bytes more than they take, which is at most
 * FRAME_RAW_MAX. Digits that are none are left in c. */
void frame_digits_read(const struct digits_in *in, struct cur *c, uint8_t *to);

#endif
