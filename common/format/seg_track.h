/* seg_track.h - the full source position while walking a segment's frames: its start, plus what each commit and position frame
 * says. Private to the format floor. */
#ifndef ROWTIDE_SEG_TRACK_H
#define ROWTIDE_SEG_TRACK_H

#include "segment.h"

struct seg_track {
    struct source_pos pos;
    char source[64];    /* whose offsets the segment's commits carry */
    struct gtid gtid;   /* of the open transaction */
    int64_t commit_us;  /* of the last transaction that began */
    int64_t flushed_us; /* of the last commit */
};
bool seg_track_start(struct seg_track *t, const struct segment_header *h, struct err *err);
/* Takes the frame's commits up to LSN upto. */
bool seg_track_frame(struct seg_track *t, const struct frame *f, uint64_t upto, struct err *err);
bool seg_track_position(struct seg_track *t, struct bytes payload, struct err *err);
void seg_track_clear(struct seg_track *t);

#endif
