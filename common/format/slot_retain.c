/* slot_retain.c - which segments may go. Kept until every registered subscription has confirmed them; with none registered,
 * everything; past the disk limits the laggards are marked lost first, durably, and then their segments go (I6). */
#include "slot.h"

#include "file.h"
#include "slog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct retain {
    struct slot *s;
    struct slot_segment *seg;
    size_t nseg, gone; /* gone: removed so far, from the front */
    struct slot_sub *subs;
    size_t nsubs;
    uint64_t *sizes, total;
    uint64_t must_free; /* bytes, to get back within the limits */
};

static bool measure(struct retain *r, const struct slot_retention *limits, struct err *err)
{
    for (size_t i = 0; i < r->nseg; i++) {
        struct stat st;
        if (fstatat(slot_dirfd(r->s), r->seg[i].name, &st, 0) != 0)
            return err_sys(err, "stat %s", r->seg[i].name);
        r->sizes[i] = (uint64_t)st.st_size;
        r->total += r->sizes[i];
    }
    struct statvfs fs;
    if (fstatvfs(slot_dirfd(r->s), &fs) != 0)
        return err_sys(err, "statvfs");
    uint64_t unit = fs.f_frsize, avail = (uint64_t)fs.f_bavail * unit;
    uint64_t reserve = (uint64_t)fs.f_blocks / 100 * (limits->reserve_percent > 100 ? 100 : limits->reserve_percent) *
                       unit;
    if (avail < reserve)
        r->must_free = reserve - avail;
    if (limits->max_bytes != 0 && r->total > limits->max_bytes && r->total - limits->max_bytes > r->must_free)
        r->must_free = r->total - limits->max_bytes;
    return true;
}

static bool remove_first(struct retain *r, const char *why, struct err *err)
{
    const struct slot_segment *g = &r->seg[r->gone];
    if (!file_remove(slot_dirfd(r->s), g->name, err))
        return false;
    uint64_t size = r->sizes[r->gone];
    slog(SLOG_INFO, "segment_removed", kv_s("slot", slot_path(r->s)), kv_s("file", g->name), kv_u("size_bytes", size),
         kv_s("why", why));
    r->must_free -= size < r->must_free ? size : r->must_free;
    r->gone++;
    return true;
}

/* Everybody who still needs a record before lsn loses the slot. */
static bool lose_before(struct retain *r, uint64_t lsn, struct err *err)
{
    for (size_t i = 0; i < r->nsubs; i++) {
        struct slot_sub *sub = &r->subs[i];
        if (sub->lost || sub->confirmed_lsn >= lsn - 1)
            continue;
        char why[200];
        snprintf(
            why, sizeof why,
            "overtaken by retention: confirmed LSN %llu, the segments before LSN %llu were removed to free disk space",
            (unsigned long long)sub->confirmed_lsn, (unsigned long long)lsn);
        if (!slot_sub_mark_lost(r->s, sub->name, why, err))
            return false;
        slog(SLOG_ERROR, "subscription_lost", kv_s("slot", slot_path(r->s)), kv_s("subscription", sub->name),
             kv_u("confirmed_lsn", sub->confirmed_lsn), kv_u("kept_from_lsn", lsn),
             kv_u("must_free_bytes", r->must_free),
             kv_s("hint", "load it anew: drop the subscription and take a snapshot"));
        sub->lost = true;
    }
    return true;
}

static bool retain(struct retain *r, struct err *err)
{
    if (r->nsubs == 0) {
        if (r->must_free != 0)
            slog(SLOG_WARN, "retention_over_limit", kv_s("slot", slot_path(r->s)),
                 kv_u("must_free_bytes", r->must_free),
                 kv_s("hint", "no subscription is registered, so nothing is removed"));
        return true;
    }
    uint64_t confirmed = UINT64_MAX;
    bool any = false;
    for (size_t i = 0; i < r->nsubs; i++)
        if (!r->subs[i].lost) {
            any = true;
            confirmed = r->subs[i].confirmed_lsn < confirmed ? r->subs[i].confirmed_lsn : confirmed;
        }
    /* The next segment's first record is the first that somebody may still need; the last segment is the open one. */
    while (any && r->gone + 1 < r->nseg && r->seg[r->gone + 1].first_lsn - 1 <= confirmed)
        if (!remove_first(r, "confirmed", err))
            return false;
    while (r->must_free != 0 && r->gone + 1 < r->nseg)
        if (!lose_before(r, r->seg[r->gone + 1].first_lsn, err) || !remove_first(r, "disk_limit", err))
            return false;
    if (r->must_free != 0)
        slog(SLOG_WARN, "retention_over_limit", kv_s("slot", slot_path(r->s)), kv_u("must_free_bytes", r->must_free),
             kv_s("hint", "only the open segment is left"));
    return true;
}

bool slot_retain(struct slot *s, const struct slot_retention *limits, size_t *removed, struct err *err)
{
    struct retain r = { .s = s };
    bool ok = slot_subs_list(s, &r.subs, &r.nsubs, err) && slot_segments(s, &r.seg, &r.nseg, err);
    if (ok) {
        r.sizes = calloc(r.nseg + 1, sizeof *r.sizes);
        if (r.sizes == NULL)
            err_nomem(err);
    }
    ok = ok && r.sizes != NULL && measure(&r, limits, err) && retain(&r, err);
    if (r.gone != 0 && ok)
        ok = file_sync_dir(slot_dirfd(s), err);
    if (ok)
        *removed = r.gone;
    else
        err_ctx(err, "retention of slot %s", slot_path(s));
    free(r.subs);
    free(r.seg);
    free(r.sizes);
    return ok;
}
