/* capture_status.h - what capture tells about itself: counters shared by its threads, /healthz /metrics /api/v1/status over them.
 * Counters are atomics: written by one stage each, read by the HTTP thread. Text fields are behind the lock. */
#ifndef ROWTIDE_CAPTURE_STATUS_H
#define ROWTIDE_CAPTURE_STATUS_H

#include "http_status.h"

#include <pthread.h>
#include <stdatomic.h>

struct capture_status {
    atomic_bool connected;
    atomic_llong last_event_us; /* wall clock, events and heartbeats alike; 0 never */
    atomic_llong commit_us;     /* source's commit time of the latest transaction read */
    atomic_llong clock_offset_us;
    atomic_ullong events, received_bytes, transactions, captured_transactions, inserts, updates, deletes, ddl,
        replaced_texts, renamed_in;
    atomic_ullong flushed_lsn, raw_bytes, written_bytes, frames, fsyncs, fsync_us, segments_removed, reconnects;
    atomic_ullong read_us, decode_us, encode_us, compress_us, write_us, seal_us; /* stage times, with fsync_us */
    pthread_mutex_t lock;
    char source[256], slot[512], position[512], error[1024]; /* no secrets (I10) */
};
void capture_status_init(struct capture_status *s);
void capture_status_text(struct capture_status *s, char *field, size_t cap, const char *text); /* under the lock */
extern const struct http_status_ops capture_status_ops; /* ctx: struct capture_status */

#endif
