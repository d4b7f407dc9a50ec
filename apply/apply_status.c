/* apply_status.c - see apply_status.h. Metric names: docs/operations.md. */
#include "apply_status.h"

#include "clock.h"
#include "json_text.h"
#include "metric.h"

#include <stdio.h>

enum { CAPTURE_SILENT_US = 20 * 1000000 }; /* capture rewrites its heartbeat every second or source heartbeat */

const char *sub_state_name(enum sub_state s)
{
    switch (s) {
    case SUB_STARTING:
        return "starting";
    case SUB_CATCHUP:
        return "catchup";
    case SUB_STREAMING:
        return "streaming";
    case SUB_RETRYING:
        return "retrying";
    case SUB_STOPPED:
        return "stopped";
    case SUB_ERROR:
        return "error";
    }
    return "unknown";
}

void sub_status_init(struct sub_status *s, const char *name)
{
    memset(s, 0, sizeof *s);
    snprintf(s->name, sizeof s->name, "%s", name);
    pthread_mutex_init(&s->lock, NULL);
}

void sub_status_error(struct sub_status *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    snprintf(s->error, sizeof s->error, "%s", text);
    pthread_mutex_unlock(&s->lock);
}

double sub_status_lag(struct sub_status *s)
{
    int64_t now = clock_wall_us(), heartbeat = atomic_load(&s->heartbeat_us);
    uint64_t applied = atomic_load(&s->applied_lsn), flushed = atomic_load(&s->flushed_lsn);
    int64_t since;
    if (applied >= flushed) /* all that capture has: behind only when capture itself no longer hears the source */
        since = heartbeat != 0 && now - heartbeat > CAPTURE_SILENT_US ? now - heartbeat : 0;
    else
        since = now + atomic_load(&s->clock_offset_us) - atomic_load(&s->applied_commit_us);
    if (atomic_load(&s->applied_commit_us) == 0 && applied < flushed)
        since = 0; /* nothing applied yet: no commit time to measure from; records behind tell */
    return since < 0 ? 0 : (double)since / 1e6;
}

uint64_t sub_status_behind(const struct sub_status *s)
{
    uint64_t applied = atomic_load(&s->applied_lsn), flushed = atomic_load(&s->flushed_lsn);
    return flushed > applied ? flushed - applied : 0;
}

static bool healthy(void *ctx, struct buf *why)
{
    struct apply_status *a = ctx;
    bool ok = true;
    for (size_t i = 0; i < a->n; i++) {
        struct sub_status *s = &a->subs[i];
        int st = atomic_load(&s->state);
        if (st != SUB_ERROR && st != SUB_RETRYING)
            continue;
        ok = false;
        pthread_mutex_lock(&s->lock);
        buf_printf(why, "subscription %s: %s: %s\n", s->name, sub_state_name((enum sub_state)st), s->error);
        pthread_mutex_unlock(&s->lock);
    }
    if (ok)
        buf_str(why, "ok\n");
    return ok;
}

/* One metric family over all subscriptions. */
static void family(struct buf *out, struct apply_status *a, const char *name, const char *type, const char *help,
                   double (*value)(struct sub_status *))
{
    metric_family(out, name, type, help);
    for (size_t i = 0; i < a->n; i++)
        metric_f64(out, name, (const char *const[]){ "subscription", a->subs[i].name, NULL }, value(&a->subs[i]));
}

#define COUNTER(field)                                                                                                 \
    static double get_##field(struct sub_status *s)                                                                    \
    {                                                                                                                  \
        return (double)atomic_load(&s->field);                                                                         \
    }
COUNTER(durable_lsn)
COUNTER(flushed_lsn)
COUNTER(changes)
COUNTER(transactions)
COUNTER(commits)
COUNTER(batches)
COUNTER(fallbacks)
COUNTER(one_by_one)
COUNTER(retries)
COUNTER(skipped)
COUNTER(dead_lettered)
COUNTER(coerced)
COUNTER(script_dropped)
COUNTER(script_emitted)
COUNTER(script_errors)
COUNTER(script_memory)
static double get_active(struct sub_status *s)
{
    int st = atomic_load(&s->state);
    return st != SUB_ERROR && st != SUB_STOPPED;
}
static double get_behind(struct sub_status *s)
{
    return (double)sub_status_behind(s);
}

static void metrics(void *ctx, struct buf *out)
{
    struct apply_status *a = ctx;
    metric_family(out, "rowtide_build_info", "gauge", "Version of this program");
    metric_u64(out, "rowtide_build_info",
               (const char *const[]){ "program", "rowtide-apply", "version", ROWTIDE_VERSION, NULL }, 1);
    metric_family(out, "rowtide_up", "gauge", "1 while the process runs");
    metric_u64(out, "rowtide_up", NULL, 1);
    family(out, a, "rowtide_slot_active", "gauge", "1 while the subscription runs", get_active);
    metric_family(out, "rowtide_slot_state", "gauge", "1 for the state the subscription is in");
    for (size_t i = 0; i < a->n; i++) {
        for (int st = SUB_STARTING; st <= SUB_ERROR; st++)
            metric_u64(out, "rowtide_slot_state",
                       (const char *const[]){ "subscription", a->subs[i].name, "state",
                                              sub_state_name((enum sub_state)st), NULL },
                       atomic_load(&a->subs[i].state) == st);
    }
    family(out, a, "rowtide_slot_lag_seconds", "gauge", "Behind the source's commits", sub_status_lag);
    family(out, a, "rowtide_slot_lag_records", "gauge", "Records between the slot's flushed and the applied LSN",
           get_behind);
    family(out, a, "rowtide_slot_confirmed_lsn", "gauge", "Last commit that is durable at the destination",
           get_durable_lsn);
    family(out, a, "rowtide_slot_flushed_lsn", "gauge", "Last commit that is durable in the slot", get_flushed_lsn);
    family(out, a, "rowtide_apply_changes_total", "counter", "Source changes applied, over all runs", get_changes);
    family(out, a, "rowtide_apply_source_transactions_total", "counter", "Source transactions applied, over all runs",
           get_transactions);
    family(out, a, "rowtide_apply_commits_total", "counter", "Commits at the destination", get_commits);
    family(out, a, "rowtide_apply_batches_total", "counter", "Batches sent", get_batches);
    metric_family(out, "rowtide_apply_rows_total", "counter", "Rows written at the destination");
    for (size_t i = 0; i < a->n; i++) {
        struct sub_status *s = &a->subs[i];
        metric_u64(out, "rowtide_apply_rows_total",
                   (const char *const[]){ "subscription", s->name, "op", "insert", NULL },
                   atomic_load(&s->rows_insert));
        metric_u64(out, "rowtide_apply_rows_total",
                   (const char *const[]){ "subscription", s->name, "op", "update", NULL },
                   atomic_load(&s->rows_update));
        metric_u64(out, "rowtide_apply_rows_total",
                   (const char *const[]){ "subscription", s->name, "op", "delete", NULL },
                   atomic_load(&s->rows_delete));
    }
    metric_family(out, "rowtide_apply_stage_seconds_total", "counter", "Time spent by stage");
    for (size_t i = 0; i < a->n; i++) {
        struct sub_status *s = &a->subs[i];
        uint64_t apply = atomic_load(&s->apply_us), turn = atomic_load(&s->turn_us),
                 commit = atomic_load(&s->commit_us);
        const struct {
            const char *stage;
            uint64_t us;
        } stages[] = { { "read", atomic_load(&s->read_us) },
                       { "decompress", atomic_load(&s->decompress_us) },
                       { "decode", atomic_load(&s->decode_us) },
                       { "transform", atomic_load(&s->transform_us) },
                       { "wait", atomic_load(&s->wait_us) },
                       { "send", apply > turn + commit ? apply - turn - commit : 0 },
                       { "turn", turn },
                       { "commit", commit },
                       { "apply", apply } };
        for (size_t j = 0; j < sizeof stages / sizeof *stages; j++)
            metric_f64(out, "rowtide_apply_stage_seconds_total",
                       (const char *const[]){ "subscription", s->name, "stage", stages[j].stage, NULL },
                       (double)stages[j].us / 1e6);
    }
    family(out, a, "rowtide_apply_fallback_total", "counter", "Batches that went row by row", get_fallbacks);
    family(out, a, "rowtide_apply_one_by_one_total", "counter",
           "Times that the workers' batches were rolled back and done again one after the other", get_one_by_one);
    family(out, a, "rowtide_apply_retries_total", "counter", "Retries after deadlocks and lost connections",
           get_retries);
    family(out, a, "rowtide_apply_skipped_total", "counter", "Rows skipped by policy", get_skipped);
    family(out, a, "rowtide_dead_letter_rows", "counter", "Rows put aside by policy", get_dead_lettered);
    family(out, a, "rowtide_apply_type_coercions_total", "counter",
           "Values changed by a stated policy (zero dates, NUL)", get_coerced);
    family(out, a, "rowtide_script_dropped_total", "counter", "Changes that the script dropped", get_script_dropped);
    family(out, a, "rowtide_script_emitted_total", "counter", "Rows that the script emitted", get_script_emitted);
    family(out, a, "rowtide_script_errors_total", "counter", "Script errors", get_script_errors);
    family(out, a, "rowtide_script_memory_bytes", "gauge", "Memory held by the script", get_script_memory);
}

static void status(void *ctx, struct buf *out)
{
    struct apply_status *a = ctx;
    buf_printf(out, "{\"program\":\"rowtide-apply\",\"version\":\"%s\",\"subscriptions\":[", ROWTIDE_VERSION);
    for (size_t i = 0; i < a->n; i++) {
        struct sub_status *s = &a->subs[i];
        buf_str(out, i == 0 ? "{\"name\":" : ",{\"name\":");
        json_string(out, bytes_str(s->name));
        buf_printf(out,
                   ",\"state\":\"%s\",\"confirmed_lsn\":%llu,\"applied_lsn\":%llu,\"flushed_lsn\":%llu,"
                   "\"behind_records\":%llu,\"lag_seconds\":%.3f",
                   sub_state_name((enum sub_state)atomic_load(&s->state)),
                   (unsigned long long)atomic_load(&s->durable_lsn), (unsigned long long)atomic_load(&s->applied_lsn),
                   (unsigned long long)atomic_load(&s->flushed_lsn), (unsigned long long)sub_status_behind(s),
                   sub_status_lag(s));
        buf_printf(out, ",\"changes\":%llu,\"transactions\":%llu,\"commits\":%llu",
                   (unsigned long long)atomic_load(&s->changes), (unsigned long long)atomic_load(&s->transactions),
                   (unsigned long long)atomic_load(&s->commits));
        pthread_mutex_lock(&s->lock);
        buf_str(out, ",\"destination\":");
        json_string(out, bytes_str(s->destination));
        buf_str(out, ",\"error\":");
        json_string(out, bytes_str(s->error));
        pthread_mutex_unlock(&s->lock);
        buf_str(out, "}");
    }
    buf_str(out, "]}\n");
}

const struct http_status_ops apply_status_ops = { healthy, metrics, status };
