/* payload.h - TRANSACTION_PAYLOAD (event 40): a whole transaction compressed into one event. Yields the events inside
 * one at a time.
 *
 * Decompresses as a stream: memory is one inner event, zstd's window (128 MiB at most, as MySQL's highest level needs)
 * and a step. Layout: MySQL source, libs/mysql/binlog/event/codecs/binary.cpp, Transaction_payload; seen on MySQL
 * 9.7. */
#ifndef ROWTIDE_PAYLOAD_H
#define ROWTIDE_PAYLOAD_H

#include "buf.h"

struct payload; /* reusable; not thread-safe */
struct payload *payload_new(uint64_t max_event /* bytes: a larger event inside is ERR_UNSUPPORTED */);
void payload_free(struct payload *p); /* NULL is fine */
/* body: the event's, without header and checksum; must stay until the last event is read. What was open before is
 * forgotten. ERR_UNSUPPORTED for a compression that is not known, ERR_CORRUPT for sizes that contradict the body or an
 * empty payload. */
bool payload_open(struct payload *p, struct bytes body, struct err *err);
/* The next event, whole, with its header and (always) without a checksum; valid until the next call. *last: none
 * follows, so do not call again. ERR_CORRUPT for what does not decompress to whole events of the announced size. */
bool payload_next(struct payload *p, struct bytes *event, bool *last, struct err *err);

#endif
