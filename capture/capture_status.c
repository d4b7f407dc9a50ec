/* capture_status.c - see capture_status.h. Metric names: docs/operations.md. */
#include "capture_status.h"

#include "clock.h"
#include "json_text.h"
#include "metric.h"

#include <stdio.h>

enum { SILENT_AFTER_US = 60 * 1000000 }; /* several heartbeats: healthy sources are not that quiet */

void capture_status_init(struct capture_status *s)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
}

void capture_status_text(struct capture_status *s, char *field, size_t cap, const char *text)
{
    pthread_mutex_lock(&s->lock);
    snprintf(field, cap, "%s", text);
    pthread_mutex_unlock(&s->lock);
}

/* Source commit time of what was read last, against now on the source's clock; 0 while the source has nothing newer to say. */
static double lag_seconds(struct capture_status *s)
{
    int64_t commit = atomic_load(&s->commit_us), event = atomic_load(&s->last_event_us);
    if (commit == 0 || event == 0)
        return 0;
    int64_t silent = clock_wall_us() - event;
    return atomic_load(&s->connected) && silent < SILENT_AFTER_US ? 0 : (double)silent / 1e6;
}

static bool healthy(void *ctx, struct buf *why)
{
    struct capture_status *s = ctx;
    int64_t last = atomic_load(&s->last_event_us);
    if (!atomic_load(&s->connected)) {
        pthread_mutex_lock(&s->lock);
        buf_printf(why, "not connected to the source: %s\n", s->error[0] == '\0' ? "connecting" : s->error);
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    if (clock_wall_us() - last > SILENT_AFTER_US) {
        buf_printf(why, "nothing from the source for %lld s\n", (long long)((clock_wall_us() - last) / 1000000));
        return false;
    }
    buf_str(why, "ok\n");
    return true;
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t v)
{
    metric_family(out, name, "counter", help);
    metric_u64(out, name, NULL, v);
}

static void gauge(struct buf *out, const char *name, const char *help, double v)
{
    metric_family(out, name, "gauge", help);
    metric_f64(out, name, NULL, v);
}

static void seconds(struct buf *out, const char *name, const char *stage, uint64_t us)
{
    metric_f64(out, name, (const char *const[]){ "stage", stage, NULL }, (double)us / 1e6);
}

static void metrics(void *ctx, struct buf *out)
{
    struct capture_status *s = ctx;
    metric_family(out, "rowtide_build_info", "gauge", "Version of this program");
    metric_u64(out, "rowtide_build_info",
               (const char *const[]){ "program", "rowtide-capture", "version", ROWTIDE_VERSION, NULL }, 1);
    gauge(out, "rowtide_up", "1 while the process runs", 1);
    gauge(out, "rowtide_capture_connected", "1 while streaming from the source", atomic_load(&s->connected));
    gauge(out, "rowtide_capture_lag_seconds", "Time since the source was heard, while it should be heard",
          lag_seconds(s));
    gauge(out, "rowtide_capture_last_event_timestamp_seconds", "When the last event or heartbeat came",
          (double)atomic_load(&s->last_event_us) / 1e6);
    gauge(out, "rowtide_capture_last_commit_timestamp_seconds", "Source commit time of the last transaction read",
          (double)atomic_load(&s->commit_us) / 1e6);
    gauge(out, "rowtide_capture_clock_offset_seconds", "Source clock minus this host's",
          (double)atomic_load(&s->clock_offset_us) / 1e6);
    gauge(out, "rowtide_capture_flushed_lsn", "Last commit that is durable in the slot",
          (double)atomic_load(&s->flushed_lsn));
    counter(out, "rowtide_capture_events_total", "Binlog events read", atomic_load(&s->events));
    counter(out, "rowtide_capture_received_bytes_total", "Binlog bytes read", atomic_load(&s->received_bytes));
    counter(out, "rowtide_capture_transactions_total", "Source transactions read", atomic_load(&s->transactions));
    counter(out, "rowtide_capture_captured_transactions_total", "Of them, written to the slot",
            atomic_load(&s->captured_transactions));
    metric_family(out, "rowtide_capture_rows_total", "counter", "Row changes written to the slot");
    metric_u64(out, "rowtide_capture_rows_total", (const char *const[]){ "op", "insert", NULL },
               atomic_load(&s->inserts));
    metric_u64(out, "rowtide_capture_rows_total", (const char *const[]){ "op", "update", NULL },
               atomic_load(&s->updates));
    metric_u64(out, "rowtide_capture_rows_total", (const char *const[]){ "op", "delete", NULL },
               atomic_load(&s->deletes));
    counter(out, "rowtide_capture_ddl_total", "DDL statements written to the slot", atomic_load(&s->ddl));
    counter(out, "rowtide_capture_replaced_texts_total",
            "Texts with U+FFFD for bytes that are no character (--invalid-text)", atomic_load(&s->replaced_texts));
    counter(out, "rowtide_capture_renamed_in_total",
            "Tables renamed to a captured name, whose rows from before are not in the slot",
            atomic_load(&s->renamed_in));
    counter(out, "rowtide_capture_reconnects_total", "Connections to the source after the first",
            atomic_load(&s->reconnects));
    counter(out, "rowtide_segment_raw_bytes_total", "Frame payload before compression", atomic_load(&s->raw_bytes));
    counter(out, "rowtide_segment_written_bytes_total", "Bytes written to segments", atomic_load(&s->written_bytes));
    counter(out, "rowtide_segment_frames_total", "Frames written", atomic_load(&s->frames));
    counter(out, "rowtide_segment_fsyncs_total", "Flushes of the slot", atomic_load(&s->fsyncs));
    counter(out, "rowtide_segment_removed_total", "Segments removed by retention", atomic_load(&s->segments_removed));
    metric_family(out, "rowtide_capture_stage_seconds_total", "counter", "Time spent by stage");
    seconds(out, "rowtide_capture_stage_seconds_total", "read", atomic_load(&s->read_us));
    seconds(out, "rowtide_capture_stage_seconds_total", "decode", atomic_load(&s->decode_us));
    seconds(out, "rowtide_capture_stage_seconds_total", "encode", atomic_load(&s->encode_us));
    seconds(out, "rowtide_capture_stage_seconds_total", "compress", atomic_load(&s->compress_us));
    seconds(out, "rowtide_capture_stage_seconds_total", "write", atomic_load(&s->write_us));
    seconds(out, "rowtide_capture_stage_seconds_total", "fsync", atomic_load(&s->fsync_us));
    seconds(out, "rowtide_capture_stage_seconds_total", "seal", atomic_load(&s->seal_us));
}

static void json_member(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, ",\"%s\":", key);
    json_string(out, bytes_str(text));
}

static void status(void *ctx, struct buf *out)
{
    struct capture_status *s = ctx;
    buf_printf(out,
               "{\"program\":\"rowtide-capture\",\"version\":\"%s\",\"connected\":%s,\"flushed_lsn\":%llu,\"lag_"
               "seconds\":%.3f",
               ROWTIDE_VERSION, atomic_load(&s->connected) ? "true" : "false",
               (unsigned long long)atomic_load(&s->flushed_lsn), lag_seconds(s));
    buf_printf(out,
               ",\"transactions\":%llu,\"captured_transactions\":%llu,\"inserts\":%llu,\"updates\":%llu,\"deletes\":%"
               "llu,\"ddl\":%llu",
               (unsigned long long)atomic_load(&s->transactions),
               (unsigned long long)atomic_load(&s->captured_transactions), (unsigned long long)atomic_load(&s->inserts),
               (unsigned long long)atomic_load(&s->updates), (unsigned long long)atomic_load(&s->deletes),
               (unsigned long long)atomic_load(&s->ddl));
    buf_printf(out, ",\"received_bytes\":%llu,\"written_bytes\":%llu,\"reconnects\":%llu",
               (unsigned long long)atomic_load(&s->received_bytes), (unsigned long long)atomic_load(&s->written_bytes),
               (unsigned long long)atomic_load(&s->reconnects));
    char when[32];
    json_member(out, "last_event",
                atomic_load(&s->last_event_us) == 0 ? ""
                                                    : clock_iso(atomic_load(&s->last_event_us), when, sizeof when));
    pthread_mutex_lock(&s->lock);
    json_member(out, "source", s->source);
    json_member(out, "slot", s->slot);
    json_member(out, "position", s->position);
    json_member(out, "error", s->error);
    pthread_mutex_unlock(&s->lock);
    buf_str(out, "}\n");
}

const struct http_status_ops capture_status_ops = { healthy, metrics, status };
