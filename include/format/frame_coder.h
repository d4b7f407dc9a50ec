/* frame_coder.h - a data frame's payload in fewer bytes before it is compressed (docs/segment-format.md, "Data frame", modes from 8 on): what
 * takes longer than collecting records may, and happens where frames are written. Not thread-safe. */
#ifndef ROWTIDE_FRAME_CODER_H
#define ROWTIDE_FRAME_CODER_H

#include "frame.h"

struct frame_coder;
struct frame_coder *frame_coder_new(void); /* NULL: out of memory */
void frame_coder_free(struct frame_coder *c);
/* payload: of frame_builder_finish, with the relations that it uses. *coded decodes to the same records: c's, until its next use, or payload itself
 * where there is nothing to gain; *tail: bytes at its end that compressing would not make fewer. */
bool frame_coder_code(struct frame_coder *c, struct bytes payload, const struct relation_table *rels,
                      struct bytes *coded, uint32_t *tail, struct err *err);
/* What was coded is of no use any more: one huge row must not hold its memory until the next frame comes. */
void frame_coder_let_go(struct frame_coder *c);

#endif
