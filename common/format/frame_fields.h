/* frame_fields.h - strings that are alike but for some fields, by these (docs/segment-format.md, "Data frame", modes 32 and 36): documents with the same
 * keys, addresses, messages. What they share stands in the frame once, and each field is a column of its own. Private to frame_coder.c and
 * frame.c. */
#ifndef ROWTIDE_FRAME_FIELDS_H
#define ROWTIDE_FRAME_FIELDS_H

#include "frame_digits.h"

#include "arena.h"

enum {
    PART_FIELDS = 32, /* a bit of a part's mode */
    FIELDS_MOST = 16
};

struct fields_bufs {
    struct frame_part fields[FIELDS_MOST];
    struct frame_part others; /* strings that are not alike: a the lengths, b the bytes, */
    struct buf others_at;     /* and where they are, each from the one before */
    struct frame_part number; /* a field as integers */
};
void fields_bufs_keep(struct fields_bufs *b, size_t most); /* frees what is larger than most bytes */
void fields_bufs_free(struct fields_bufs *b);
/* Writes the part when its strings, but for a few, have one length and differ in digits, or share a quarter at least and do not repeat as a whole; false: nothing
 * was written. b: for the function's own use;
 * a failed allocation is left in out. */
bool frame_fields_write(const struct strings *s, struct fields_bufs *b, struct frame_tail *tail, struct buf *out);

/* Reads what lies behind the states: of n rows, those that state says have a value (NULL: all). Memory is a's. False: out of memory; a fault of the
 * input is left in c. */
bool frame_fields_read(struct cur *c, struct arena *a, uint32_t n, const uint8_t *state, struct span **spans,
                       const uint8_t **bytes, struct err *err);

#endif
