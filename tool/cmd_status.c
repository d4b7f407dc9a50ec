/* cmd_status.c - rowtide status: what a slot's directory tells of capture and of each subscription. Needs no running daemon. */
#include "tool.h"

#include "clock.h"
#include "json_text.h"
#include "slot_counts.h"
#include "xa_file.h"

#include <stdio.h>
#include <stdlib.h>

struct status_options {
    bool json;
};
static const struct opt options[] = {
    { "json", NULL, NULL, "one JSON object", OPT_FLAG, offsetof(struct status_options, json), NULL },
    { 0 },
};
static const struct opt_program program = {
    .name = "rowtide status",
    .synopsis = "DIR [OPTIONS]",
    .about = "Where capture and each subscription of a slot stand: flushed LSN, confirmed LSNs, lag in changes and in "
             "seconds.",
    .epilog = "Exit codes: 0 ok; 1 a subscription is stopped by an error or lost.",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
};

enum { CAPTURE_SILENT_US = 30 * 1000000 };

struct view { /* of one subscription */
    struct slot_sub *sub;
    uint64_t behind_changes, behind_transactions;
    double lag_s;
    bool known; /* the counts */
};

static void look(const struct slot *slot, const struct slot_state *st, struct view *v)
{
    uint64_t changes = 0, transactions = 0;
    struct err ignored;
    v->known = slot_counts_at(slot, v->sub->confirmed_lsn, &changes, &transactions, &ignored);
    if (v->known && st->changes >= changes) {
        v->behind_changes = st->changes - changes;
        v->behind_transactions = st->transactions - transactions;
    }
    if (v->sub->confirmed_lsn >= st->flushed_lsn)
        return;
    int64_t since = v->sub->confirmed_commit_us == 0
                        ? 0
                        : clock_wall_us() + st->clock_offset_us - v->sub->confirmed_commit_us;
    v->lag_s = since < 0 ? 0 : (double)since / 1e6;
}

struct prepared { /* XA transactions that wait for their end */
    size_t count;
    uint64_t bytes;
    double oldest_s;
};

static bool look_for_prepared(const struct slot *slot, const struct slot_state *st, struct prepared *out,
                              struct err *err)
{
    struct xa_index x;
    int64_t oldest = INT64_MAX, now = clock_wall_us() + st->clock_offset_us;
    if (!xa_index_read(slot_dirfd(slot), slot_uuid(slot), &x, err))
        return false;
    for (size_t i = 0; i < x.n; i++) {
        if (x.v[i].is_ended)
            continue;
        out->count++;
        out->bytes += x.v[i].bytes;
        oldest = x.v[i].prepared_us < oldest ? x.v[i].prepared_us : oldest;
    }
    out->oldest_s = oldest < now ? (double)(now - oldest) / 1e6 : 0;
    xa_index_clear(&x);
    return true;
}

static void print_json(struct buf *o, const struct slot *slot, const struct slot_state *st, const struct prepared *xa,
                       const struct view *v, size_t n)
{
    char id[37], when[32];
    struct buf pos = { 0 };
    uuid_text(slot_uuid(slot), id);
    source_pos_text(&st->pos, &pos);
    buf_printf(o,
               "{\"slot\":\"%s\",\"capture\":{\"streaming\":%s,\"run\":%llu,\"flushed_lsn\":%llu,\"changes\":%llu,"
               "\"transactions\":%llu",
               id, st->streaming ? "true" : "false", (unsigned long long)st->run, (unsigned long long)st->flushed_lsn,
               (unsigned long long)st->changes, (unsigned long long)st->transactions);
    buf_printf(o, ",\"heartbeat\":\"%s\"", st->heartbeat_us == 0 ? "" : clock_iso(st->heartbeat_us, when, sizeof when));
    buf_printf(o, ",\"last_commit\":\"%s\",\"source\":",
               st->flushed_commit_us == 0 ? "" : clock_iso(st->flushed_commit_us, when, sizeof when));
    json_string(o, bytes_str(st->source));
    buf_str(o, ",\"position\":");
    json_string(o, buf_view(&pos));
    buf_printf(o, ",\"prepared\":{\"count\":%zu,\"bytes\":%llu,\"oldest_seconds\":%.3f}", xa->count,
               (unsigned long long)xa->bytes, xa->oldest_s);
    buf_str(o, "},\"subscriptions\":[");
    for (size_t i = 0; i < n; i++) {
        const struct slot_sub *s = v[i].sub;
        buf_str(o, i == 0 ? "{\"name\":" : ",{\"name\":");
        json_string(o, bytes_str(s->name));
        buf_printf(o, ",\"state\":\"%s\",\"confirmed_lsn\":%llu,\"behind_changes\":", s->lost ? "lost" : s->state,
                   (unsigned long long)s->confirmed_lsn);
        if (v[i].known)
            buf_printf(o, "%llu,\"behind_transactions\":%llu", (unsigned long long)v[i].behind_changes,
                       (unsigned long long)v[i].behind_transactions);
        else
            buf_str(o, "null,\"behind_transactions\":null");
        buf_printf(o, ",\"lag_seconds\":%.3f,\"applied_changes\":%llu,\"updated\":\"%s\",\"destination\":", v[i].lag_s,
                   (unsigned long long)s->applied_changes, clock_iso(s->updated_us, when, sizeof when));
        json_string(o, bytes_str(s->destination));
        buf_str(o, ",\"error\":");
        json_string(o, bytes_str(s->error));
        buf_u8(o, '}');
    }
    buf_str(o, "]}\n");
    buf_free(&pos);
}

static void print_text(struct buf *o, const struct slot *slot, const struct slot_state *st, const struct prepared *xa,
                       const struct view *v, size_t n)
{
    struct buf pos = { 0 };
    double silent = st->heartbeat_us == 0 ? 0 : (double)(clock_wall_us() - st->heartbeat_us) / 1e6;
    bool alive = st->streaming && silent * 1e6 < CAPTURE_SILENT_US;
    source_pos_text(&st->pos, &pos);
    buf_printf(o, "CAPTURE  %s  LSN %llu  %llu changes in %llu transactions  source heard %.1f s ago\n",
               alive ? "streaming" : "NOT STREAMING", (unsigned long long)st->flushed_lsn,
               (unsigned long long)st->changes, (unsigned long long)st->transactions, silent);
    buf_printf(o, "         %s  at %s\n", slot_path(slot), buf_cstr(&pos));
    if (xa->count > 0)
        buf_printf(o, "         %zu prepared XA transactions (%llu bytes), the oldest for %.1f s\n", xa->count,
                   (unsigned long long)xa->bytes, xa->oldest_s);
    buf_printf(o, "%-20s %-10s %12s %10s %12s  %s\n", "SUBSCRIPTION", "STATE", "CONFIRMED", "LAG", "BEHIND",
               "DESTINATION");
    for (size_t i = 0; i < n; i++) {
        const struct slot_sub *s = v[i].sub;
        char lag[32], behind[32];
        snprintf(lag, sizeof lag, "%.1f s", v[i].lag_s);
        snprintf(behind, sizeof behind, v[i].known ? "%llu" : "?", (unsigned long long)v[i].behind_changes);
        buf_printf(o, "%-20s %-10s %12llu %10s %12s  %s\n", s->name, s->lost ? "LOST" : s->state,
                   (unsigned long long)s->confirmed_lsn, lag, behind, s->destination);
        if (s->error[0] != '\0')
            buf_printf(o, "    %s\n", s->error);
    }
    if (n == 0)
        buf_str(o, "(none is registered: every segment is kept)\n");
    buf_free(&pos);
}

int cmd_status(int argc, char **argv)
{
    struct status_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    struct slot *slot = NULL;
    struct slot_state st = { 0 };
    struct slot_sub *subs = NULL;
    struct view *views = NULL;
    struct prepared xa = { 0 };
    struct buf out = { 0 };
    size_t n = 0;
    int code = 0;
    if (!tool_parse(&program, argc, argv, &o, &args, &code))
        return code;
    bool ok = slot_open(args.v[0], SLOT_READ, &slot, &err) && slot_state_read(slot, &st, &err) &&
              slot_subs_list(slot, &subs, &n, &err) && look_for_prepared(slot, &st, &xa, &err);
    if (ok) {
        views = calloc(n + 1, sizeof *views);
        ok = views != NULL || err_nomem(&err);
    }
    for (size_t i = 0; ok && i < n; i++) {
        views[i].sub = &subs[i];
        look(slot, &st, &views[i]);
        if (subs[i].lost || strcmp(subs[i].state, "error") == 0)
            code = 1;
    }
    if (ok) {
        if (o.json)
            print_json(&out, slot, &st, &xa, views, n);
        else
            print_text(&out, slot, &st, &xa, views, n);
        ok = tool_flush(&out, &err);
    }
    if (!ok)
        code = tool_fail(&program, &err);
    free(views);
    free(subs);
    slot_state_clear(&st);
    slot_close(slot);
    buf_free(&out);
    opts_free(&program, &o, &args);
    return code;
}
