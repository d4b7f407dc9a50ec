/* row_frame.h - the rows of an event straight into a frame's columns. */
#ifndef ROWTIDE_ROW_FRAME_H
#define ROWTIDE_ROW_FRAME_H

#include "frame.h"
#include "row_event.h"

/* Puts the reader's next rows into b until its size is frame_size, as row_reader_next and frame_add_* would, to the byte;
 * returns how many. Where it stops for another reason, the event has no more rows, or there is something about the next one,
 * perhaps wrong, that only those two can do or tell. arena: its own while it runs. */
unsigned row_frame_rows(struct row_reader *r, struct frame_builder *b, size_t frame_size, struct arena *a);

#endif
