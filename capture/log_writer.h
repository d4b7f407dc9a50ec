/* log_writer.h - capture's write stage: a thread that takes finished frames, writes and fsyncs them in groups, publishes the flushed LSN,
 * rolls segments, applies retention. The only caller of seg_writer. Acknowledging the source (semisync) would belong behind its fsync.
 *
 * A failed write or fsync ends the stage: pushes fail then, and log_writer_error says why. */
#ifndef ROWTIDE_LOG_WRITER_H
#define ROWTIDE_LOG_WRITER_H

#include "capture_status.h"
#include "seg_writer.h"

struct log_writer;
/* Takes over w and uses slot until log_writer_stop. */
bool log_writer_start(struct slot *slot, struct seg_writer *w, const struct slot_retention *retention,
                      struct capture_status *status, struct log_writer **out, struct err *err);
/* Hands one frame over: finishes b (which the caller then resets). pos: behind its last whole transaction. Waits while the queue is full.
 * False: the stage failed or was stopped. */
bool log_writer_frame(struct log_writer *w, struct frame_builder *b, const struct source_pos *pos, struct err *err);
/* As log_writer_frame, for the complete transactions in front of an open one (frame_builder_split); nothing when there are none. */
bool log_writer_split(struct log_writer *w, struct frame_builder *b, const struct source_pos *pos, struct err *err);
/* Nothing is in hand: what comes now is written at once. Else log_writer_idle_fd can be read when that is so; asking resets it. Also true
 * when the stage failed: the next push says why. */
bool log_writer_idle(struct log_writer *w);
int log_writer_idle_fd(const struct log_writer *w);
uint64_t log_writer_wait_us(const struct log_writer *w); /* time that pushes waited for room in the queue */
bool log_writer_position(struct log_writer *w, const struct source_pos *pos, struct err *err); /* a position frame */
/* A change of the schema history (schema_set.h), in front of the frame or position that it belongs to. */
bool log_writer_schema(struct log_writer *w, struct bytes change, struct err *err);
/* The source's sign of life for `state`. Dropped when the queue is not empty: then the stage gives it itself. False: the stage failed,
 * which an idle source would not show otherwise. */
bool log_writer_heartbeat(struct log_writer *w, bool streaming, struct err *err);
/* Waits until all that was handed over is durable; cut: also removes what lies behind the last whole commit. next_lsn: of the next record. */
bool log_writer_drain(struct log_writer *w, bool cut, uint64_t *next_lsn, struct err *err);
/* Numbers of what was handed over: of the last, and up to which each commit and position is durable. */
uint64_t log_writer_handed(const struct log_writer *w);
uint64_t log_writer_durable(const struct log_writer *w);
bool log_writer_stop(struct log_writer **w, struct err *err); /* drains, joins, closes the seg_writer */

#endif
