/* apply_status.h - what the applier tells about its subscriptions: counters and texts, /healthz /metrics /api/v1/status over them.
 * Counters are atomics, written by one stage each; texts are behind the lock. */
#ifndef ROWTIDE_APPLY_STATUS_H
#define ROWTIDE_APPLY_STATUS_H

#include "http_status.h"
#include "slot.h"

#include <pthread.h>
#include <stdatomic.h>

enum sub_state { SUB_STARTING, SUB_CATCHUP, SUB_STREAMING, SUB_RETRYING, SUB_STOPPED, SUB_ERROR };
const char *sub_state_name(enum sub_state s);

struct sub_status {
    char name[SLOT_NAME_MAX + 1];
    atomic_int state;                           /* enum sub_state */
    atomic_ullong applied_lsn, flushed_lsn;     /* last commit at the destination; the slot's */
    atomic_ullong durable_lsn;                  /* last commit that is on the destination's disk */
    atomic_llong applied_commit_us;             /* source's commit time of applied_lsn */
    atomic_llong heartbeat_us, clock_offset_us; /* from the slot's state */
    atomic_bool capture_streaming;
    atomic_ullong changes, transactions; /* applied, cumulative as the destination counts them */
    atomic_ullong flushed_changes;       /* the slot's cumulative count at flushed_lsn */
    atomic_ullong applied_slot_changes;  /* the slot's cumulative count at applied_lsn, as far as known */
    atomic_ullong rows_insert, rows_update, rows_delete, commits, batches, fallbacks, one_by_one, retries, skipped,
        dead_lettered, coerced;
    atomic_ullong script_dropped, script_emitted, script_errors, script_memory;
    atomic_ullong read_us, decompress_us, decode_us, transform_us, wait_us, apply_us, turn_us, commit_us;
    pthread_mutex_t lock;
    char destination[128], error[1024];
};
void sub_status_init(struct sub_status *s, const char *name);
void sub_status_error(struct sub_status *s, const char *text);
/* Seconds behind the source: 0 when everything that capture has is applied and capture hears the source. */
double sub_status_lag(struct sub_status *s);
uint64_t sub_status_behind(const struct sub_status *s); /* records: LSN difference */

struct apply_status {
    struct sub_status *subs;
    size_t n;
};
extern const struct http_status_ops apply_status_ops; /* ctx: struct apply_status */

#endif
