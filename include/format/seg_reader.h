/* seg_reader.h - follows a slot's log from an LSN: whole committed transactions only, never past the flushed LSN (I1). Tails by
 * inotify. One reader per thread; many readers per slot, also while capture writes. */
#ifndef ROWTIDE_SEG_READER_H
#define ROWTIDE_SEG_READER_H

#include "slot.h"

struct seg_reader;
enum seg_read { SEG_READ_FRAME, SEG_READ_END /* caught up with the flushed LSN */, SEG_READ_FAIL };

/* The next record handed out is after_lsn + 1, which must be the start of a transaction (after_lsn: 0 or a commit's LSN; anything
 * else is ERR_FENCED at the first seg_reader_next: whoever remembers it does not mean this slot). ERR_LOST when the slot no longer has
 * it (removed) or does not have it yet (beyond its flushed LSN + 1). */
bool seg_reader_open(const char *path, uint64_t after_lsn, struct seg_reader **out, struct err *err);
void seg_reader_close(struct seg_reader *r); /* NULL is fine */
/* A frame (a new reference) with at least one unread record; *from is the index of the first unread one. An invalid frame at or
 * before the flushed LSN is ERR_CORRUPT, naming file and offset. */
enum seg_read seg_reader_next(struct seg_reader *r, struct frame **out, unsigned *from, struct err *err);
/* Sleeps until the flushed LSN may have moved, timeout_ms, or wake_fd is readable (-1: none). */
bool seg_reader_wait(struct seg_reader *r, int timeout_ms, int wake_fd, struct err *err);
/* The state as last read (refreshed by _next at the end and by _wait). */
const struct slot_state *seg_reader_state(const struct seg_reader *r);
/* Microseconds so far inside seg_reader_next; the rest of its time is reading. */
void seg_reader_times(const struct seg_reader *r, uint64_t *decompress_us, uint64_t *decode_us);
const struct slot *seg_reader_slot(const struct seg_reader *r);
uint64_t seg_reader_first_lsn(const struct seg_reader *r); /* the oldest LSN that the slot still has */
/* What the log says about the commit at lsn (I4's comparison). *known false when lsn lies just before the oldest segment (then out is
 * that segment's start position). ERR_LOST when it lies beyond the flushed LSN or before the oldest segment. */
struct seg_commit {
    struct gtid gtid;
    char file[POSITION_FILE_MAX + 1];
    uint64_t end_offset;
    int64_t commit_us;
    bool known;
};
bool seg_reader_commit_at(const char *path, uint64_t lsn, struct seg_commit *out, struct err *err);
/* Full source position at lsn: the segment's start plus what its commits consumed. */
bool seg_reader_position_at(const char *path, uint64_t lsn, struct source_pos *out, struct err *err);

#endif
