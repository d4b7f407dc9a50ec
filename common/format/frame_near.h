/* frame_near.h - the old strings of updates as what differs from the new ones (docs/segment-format.md, "Data frame", modes 8 and 12): a
 * long text or document of which an update changes a little would else stand in the frame twice. Private to frame_coder.c and frame.c. */
#ifndef ROWTIDE_FRAME_NEAR_H
#define ROWTIDE_FRAME_NEAR_H

#include "frame_strings.h"

enum { PART_NEAR = 8 }; /* a bit of a part's mode */

struct near_bufs {
    struct buf prefix, suffix, len, middle;
};
void near_bufs_keep(struct near_bufs *s, size_t most); /* frees what is larger than most bytes */
void near_bufs_free(struct near_bufs *s);
/* Writes the part of old strings, whose rows are those of news, when that makes it smaller by a quarter at least; false: nothing was written. b: for the
 * function's own use; a failed allocation is left in out. */
bool frame_near_write(const struct strings *news, const struct strings *olds, struct near_bufs *b, struct buf *out);

struct near_in { /* the streams as they lie in a frame; whose values they refer to */
    struct bytes prefix, suffix, len, middle;
    const uint8_t *new_state; /* of each row; NULL: all have new_mode */
    uint8_t new_mode;
    const struct span *new_spans;
    const uint8_t *new_bytes;
};
/* Checks the streams and says where the strings of the rows (those that state says have a value; NULL: all) will lie, one after the other in
 * *size bytes. Returns why not, or NULL. */
const char *frame_near_measure(const struct near_in *in, uint32_t n, const uint8_t *state, struct span *out,
                               size_t *size);
/* After that: the bytes. */
void frame_near_read(const struct near_in *in, uint32_t n, const uint8_t *state, const struct span *spans, uint8_t *to);

#endif
