/* seg_writer.h - the one writer of a slot's log: appends frames to the open segment, makes them durable, rolls and seals,
 * cuts a torn tail at start. Owned and called by one thread (capture's write stage), except seg_writer_recover at start.
 *
 * Order at each flush: frames, fdatasync, `state`. Any failed write or fsync is final (ERR_IO): the caller stops. */
#ifndef ROWTIDE_SEG_WRITER_H
#define ROWTIDE_SEG_WRITER_H

#include "schema_set.h"
#include "segment.h"
#include "slot.h"

struct seg_writer;
struct seg_writer_options {
    uint64_t segment_size; /* target bytes; a segment rolls at the first flush at a commit beyond it */
    uint32_t merge_below;  /* sealing merges neighbouring frames whose frame_builder_size is below this; 0: never */
    uint32_t frame_size;   /* raw bytes at most of a merged frame */
};
struct seg_recovered {
    uint64_t next_lsn;              /* the LSN that the next record gets */
    uint64_t flushed_lsn;           /* last commit; 0: none yet */
    struct source_pos pos;          /* where to resume at the source; owned by the caller */
    bool empty;                     /* a new slot: pos is not set, seg_writer_start must be given one */
    uint64_t cut_bytes;             /* of the torn tail that was removed */
    uint64_t changes, transactions; /* cumulative */
    struct schema_set schema;       /* the schema history there; owned by the caller. Empty: none is kept */
};
/* slot: open for writing (holds the lock). Removes temporary files, finds the end of the log, cuts what is behind the last
 * whole commit (fsync), refuses (ERR_CORRUPT) when a frame at or before the state's flushed LSN, or a subscription's confirmed
 * LSN, is invalid or missing (I2), and when the log ends before them. */
bool seg_writer_recover(struct slot *slot, const struct seg_writer_options *o, struct seg_writer **out,
                        struct seg_recovered *rec, struct err *err);
/* The source this run reads; for a new slot also where it starts (else ignored). Must be called once before the first append. Another
 * source or version than the open segment's begins a new segment. Writes `state`. */
bool seg_writer_start(struct seg_writer *w, const char *source, const char *source_version,
                      const struct source_pos *start, struct err *err);
/* A payload of a SCHEMA frame (schema_set.h). Before seg_writer_start: what the history is at the start, a complete one
 * (or, empty, that none is kept from here on). Later: a change, to stand in front of the frame with the COMMIT or the
 * position that it belongs to; a cut takes it back. Each new segment begins with the complete history. */
bool seg_writer_schema(struct seg_writer *w, struct bytes payload, struct err *err);
/* Appends one data frame; payload as frame_builder_finish made it. rels: what it uses; those that the open segment does not
 * have yet are written before it as a RELATIONS frame. Not durable before seg_writer_flush. */
bool seg_writer_append(struct seg_writer *w, const struct frame_info *info, struct bytes payload,
                       const struct relation_table *rels, struct err *err);
/* A position frame: the position moved without a captured transaction. pos is the full position. Not inside a transaction. */
bool seg_writer_position(struct seg_writer *w, const struct source_pos *pos, struct err *err);
/* Durable: fdatasync, then state with the last commit's LSN and pos, heartbeat now. Then, past the target size and at a commit, rolls. */
bool seg_writer_flush(struct seg_writer *w, const struct source_pos *pos, struct err *err);
/* What `state` says of the source besides the log: when it was last heard, whether it streams now, its clock minus ours. Rewrites state
 * at once (no fsync: it is no part of the log). */
bool seg_writer_heartbeat(struct seg_writer *w, int64_t heartbeat_us, bool streaming, int64_t clock_offset_us,
                          struct err *err);
/* Cuts what was appended behind the last whole commit (the stream broke inside a transaction). */
bool seg_writer_cut(struct seg_writer *w, uint64_t *next_lsn, struct err *err);
/* At a commit, with the open segment at its target size: the next flush rolls. */
bool seg_writer_full(const struct seg_writer *w);
uint64_t seg_writer_bytes(const struct seg_writer *w); /* written since start, for metrics */
struct seg_writer_times {                              /* microseconds since start, for metrics */
    uint64_t encode_us, compress_us, write_us, fsync_us, seal_us;
};
const struct seg_writer_times *seg_writer_times(const struct seg_writer *w);
bool seg_writer_close(struct seg_writer **w,
                      struct err *err); /* flushes nothing; the open segment stays open on disk */

#endif
