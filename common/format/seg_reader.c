/* seg_reader.c - follows a slot's log by LSN (docs/segment-format.md, "Reading").
 *
 * Never past the flushed LSN (I1): what lies before it is never cut nor written again, only moved (sealing) or removed
 * (retention). So whatever looks wrong in the file at hand is first looked up again by name: capture may have replaced the file
 * since. What still looks wrong in a file just opened is damage. The open file descriptor keeps a replaced or removed segment
 * readable to its end. */
#include "seg_reader.h"

#include "clock.h"
#include "seg_track.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { LOOKUPS = 5 }; /* of a segment by name, while files come and go */

struct seg_reader {
    struct slot *slot;
    int inotify;
    struct slot_state state;
    uint64_t next_lsn; /* the first unread record */
    bool check_begin;  /* the first record must be a BEGIN */
    struct segment *seg;
    bool fresh;       /* seg was opened for next_lsn: nothing of it was handed out yet */
    uint64_t at;      /* offset of the next frame in seg */
    uint64_t durable; /* LSNs up to here are in a sealed segment: durable whatever a stale state says */
    struct buf payload;
    uint64_t decompress_us, decode_us;
};

/* --- finding a segment --- */

static bool refresh_state(struct seg_reader *r, struct err *err)
{
    struct slot_state st;
    if (!slot_state_read(r->slot, &st, err))
        return false;
    slot_state_clear(&r->state);
    r->state = st;
    return true;
}

/* The index of the last segment that begins at or before lsn; n when there is none. */
static size_t covering(const struct slot_segment *seg, size_t n, uint64_t lsn)
{
    size_t found = n;
    for (size_t i = 0; i < n && seg[i].first_lsn <= lsn; i++)
        found = i;
    return found;
}

static bool no_longer(const struct slot *slot, uint64_t lsn, uint64_t oldest, struct err *err)
{
    return err_set(
        err, ERR_LOST,
        "slot %s: LSN %llu is no longer there: its segments begin at LSN %llu (older ones were removed by retention); "
        "what needs it must begin again: a fresh copy of the tables at the destination, and a new slot",
        slot_path(slot), (unsigned long long)lsn, (unsigned long long)oldest);
}

/* A reader that goes on behind a segment wants the one that begins exactly there: no list of all is needed, which would make
 * reading n segments cost n * n. */
static struct segment *open_named(const struct slot *slot, uint64_t lsn)
{
    struct slot_segment s = { .first_lsn = lsn };
    struct segment *g = NULL;
    struct err ignored; /* what is wrong shows again when it is looked for in the list */
    segment_name(lsn, s.name);
    return segment_open(slot_dirfd(slot), s.name, &g, &ignored) ? g : NULL;
}

static bool is_of(const struct slot *slot, const struct segment *g, struct err *err)
{
    return memcmp(segment_header(g)->slot, slot_uuid(slot), 16) == 0 ||
           err_set(err, ERR_CORRUPT, "slot %s: segment %s belongs to another slot", slot_path(slot), segment_file(g));
}

/* Opens the segment that holds lsn. ERR_LOST when it was removed. */
static bool open_for(const struct slot *slot, uint64_t lsn, struct segment **out, struct err *err)
{
    for (int try = 1;; try++) {
        struct slot_segment *seg;
        struct segment *g = open_named(slot, lsn);
        size_t n;
        if (g != NULL) {
            if (is_of(slot, g, err)) {
                *out = g;
                return true;
            }
            segment_close(g);
            return false;
        }
        if (!slot_segments(slot, &seg, &n, err))
            return false;
        size_t i = covering(seg, n, lsn);
        bool ok = false;
        if (n == 0)
            err_set(err, ERR_LOST, "slot %s: it has no segments, though LSN %llu was written", slot_path(slot),
                    (unsigned long long)lsn);
        else if (i == n)
            no_longer(slot, lsn, seg[0].first_lsn, err);
        else if (segment_open(slot_dirfd(slot), seg[i].name, &g, err))
            ok = true;
        else
            err_ctx(err, "slot %s", slot_path(slot));
        free(seg);
        if (ok && !is_of(slot, g, err)) {
            segment_close(g);
            return false;
        }
        if (ok)
            *out = g;
        bool vanished = !ok && (err->code == ERR_LOST || (err->code == ERR_IO && err->sys == ENOENT));
        if (ok || !vanished || try == LOOKUPS)
            return ok;
        clock_sleep_ms(2); /* a directory that changes while it is listed may show neither the old nor the new name */
    }
}

/* --- walking frames --- */

enum look { LOOK_FOUND, LOOK_NOT_HERE /* the file ends before lsn */, LOOK_FAIL };

/* From offset *at on: the data frame that holds lsn. Relations on the way are loaded. */
static enum look find_frame(struct segment *g, uint64_t lsn, uint64_t *at, struct segment_frame *out, struct err *err)
{
    const struct segment_footer *ft;
    if (!segment_footer(g, &ft, err))
        return LOOK_FAIL;
    if (ft != NULL) { /* sealed: the index knows, and the footer has the relations */
        size_t lo = 0, hi = ft->nframes;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (ft->frames[mid].info.first_lsn + ft->frames[mid].info.nrecords <= lsn)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (lo == ft->nframes || lsn < ft->frames[lo].info.first_lsn)
            return LOOK_NOT_HERE;
        *out = ft->frames[lo];
        *at = segment_next_offset(out);
        return LOOK_FOUND;
    }
    for (;;) {
        struct segment_frame f;
        bool end = false;
        if (!segment_frame_at(g, *at, &f, &end, err))
            return LOOK_FAIL;
        if (end)
            return LOOK_NOT_HERE;
        if (f.type == ZB_RELATIONS && !segment_load_relations(g, &f, err))
            return LOOK_FAIL;
        if (f.type == ZB_DATA && f.info.first_lsn > lsn) {
            err_set(err, ERR_CORRUPT, "segment %s, offset %llu: a frame begins at LSN %llu, but LSN %llu was expected",
                    segment_file(g), (unsigned long long)f.offset, (unsigned long long)f.info.first_lsn,
                    (unsigned long long)lsn);
            return LOOK_FAIL;
        }
        *at = segment_next_offset(&f);
        if (f.type == ZB_DATA && f.info.first_lsn + f.info.nrecords > lsn) {
            *out = f;
            return LOOK_FOUND;
        }
    }
}

static bool load_frame(struct seg_reader *r, const struct segment_frame *f, struct frame **out, struct err *err)
{
    struct segment *g = r->seg;
    struct buf *payload = &r->payload;
    uint64_t before = segment_decompress_us(g);
    buf_reset(payload);
    bool read = segment_read(g, f, payload, err);
    r->decompress_us += segment_decompress_us(g) - before;
    if (!read)
        return false;
    int64_t t0 = clock_mono_us();
    bool ok = frame_decode(buf_view(payload), &f->info, segment_relations(g), out, err) ||
              err_ctx(err, "segment %s, offset %llu", segment_file(g), (unsigned long long)f->offset);
    r->decode_us += (uint64_t)(clock_mono_us() - t0);
    if (payload->cap > FRAME_SIZE_MAX) /* one huge row must not hold its memory for ever */
        buf_free(payload);
    return ok;
}

/* --- the reader --- */

bool seg_reader_open(const char *path, uint64_t after_lsn, struct seg_reader **out, struct err *err)
{
    struct seg_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(err);
    struct slot_segment *seg = NULL;
    size_t n = 0;
    r->inotify = -1;
    r->next_lsn = after_lsn + 1;
    r->check_begin = true;
    if (!slot_open(path, SLOT_READ, &r->slot, err))
        goto fail;
    if (!refresh_state(r, err) || !slot_segments(r->slot, &seg, &n, err))
        goto fail;
    if (after_lsn > r->state.flushed_lsn) {
        err_set(err, ERR_LOST,
                "slot %s: LSN %llu is beyond its flushed LSN %llu: start rowtide-capture first if this host lost "
                "power, else an "
                "older copy of the slot was restored",
                path, (unsigned long long)after_lsn, (unsigned long long)r->state.flushed_lsn);
        goto fail;
    }
    if (n != 0 && r->next_lsn < seg[0].first_lsn) {
        no_longer(r->slot, r->next_lsn, seg[0].first_lsn, err);
        goto fail;
    }
    free(seg);
    *out = r;
    return true;
fail:
    free(seg);
    seg_reader_close(r);
    return false;
}

void seg_reader_close(struct seg_reader *r)
{
    if (r == NULL)
        return;
    if (r->inotify >= 0)
        close(r->inotify);
    segment_close(r->seg);
    slot_state_clear(&r->state);
    slot_close(r->slot);
    buf_free(&r->payload);
    free(r);
}

static bool reopen(struct seg_reader *r, struct err *err)
{
    segment_close(r->seg);
    r->seg = NULL;
    if (!open_for(r->slot, r->next_lsn, &r->seg, err))
        return false;
    r->at = segment_first_offset(r->seg);
    r->fresh = true;
    return true;
}

/* The frame that holds next_lsn, from the file at hand or, when it does not have it, from the one that has the name now. */
static bool fetch(struct seg_reader *r, struct segment_frame *f, struct frame **out, struct err *err)
{
    for (int try = 1;; try++) {
        if (r->seg == NULL && !reopen(r, err))
            return false;
        uint64_t at = r->at;
        enum look look = find_frame(r->seg, r->next_lsn, &at, f, err);
        bool replaced = !segment_is_file(r->seg, slot_dirfd(r->slot));
        if (look == LOOK_FOUND && load_frame(r, f, out, err)) {
            r->at = at;
            r->fresh = false;
            return true;
        }
        if (look == LOOK_NOT_HERE)
            err_set(err, ERR_CORRUPT,
                    "slot %s: segment %s ends before LSN %llu, which is durable by the flushed LSN %llu: it is damaged "
                    "or incomplete",
                    slot_path(r->slot), segment_file(r->seg), (unsigned long long)r->next_lsn,
                    (unsigned long long)r->state.flushed_lsn);
        else if (err->code == ERR_CORRUPT)
            err_ctx(err,
                    "slot %s: damaged before its flushed LSN %llu: restore the segment from a backup or the archive",
                    slot_path(r->slot), (unsigned long long)r->state.flushed_lsn);
        if (err->code != ERR_CORRUPT || (r->fresh && !replaced && try > 1) || try == LOOKUPS)
            return false;
        if (!reopen(r, err))
            return false;
    }
}

/* What a sealed segment holds is durable, even when a power loss left an older state behind. */
static uint64_t limit(const struct seg_reader *r)
{
    return r->state.flushed_lsn > r->durable ? r->state.flushed_lsn : r->durable;
}

enum seg_read seg_reader_next(struct seg_reader *r, struct frame **out, unsigned *from, struct err *err)
{
    if (r->next_lsn > limit(r)) {
        if (!refresh_state(r, err))
            return SEG_READ_FAIL;
        if (r->next_lsn > limit(r))
            return SEG_READ_END;
    }
    struct segment_frame f;
    struct frame *frame;
    if (!fetch(r, &f, &frame, err))
        return SEG_READ_FAIL;
    const struct segment_footer *ft;
    if (segment_footer(r->seg, &ft, err) && ft != NULL && ft->next_lsn - 1 > r->durable)
        r->durable = ft->next_lsn - 1;
    if (f.info.last_commit_lsn > limit(r)) { /* cannot be with a state that is up to date */
        frame_unref(frame);
        if (!refresh_state(r, err))
            return SEG_READ_FAIL;
        segment_close(r->seg); /* the same frame is looked for again */
        r->seg = NULL;
        if (f.info.last_commit_lsn > limit(r))
            return SEG_READ_END;
        return seg_reader_next(r, out, from, err);
    }
    unsigned first = (unsigned)(r->next_lsn - f.info.first_lsn);
    if (r->check_begin && frame_record(frame, first)->op != REC_BEGIN) {
        frame_unref(frame);
        err_set(err, ERR_FENCED,
                "slot %s: LSN %llu is not the start of a transaction: the position that was remembered does not belong "
                "to this slot",
                slot_path(r->slot), (unsigned long long)r->next_lsn);
        return SEG_READ_FAIL;
    }
    r->check_begin = false;
    r->next_lsn = f.info.first_lsn + f.info.nrecords;
    *out = frame;
    *from = first;
    return SEG_READ_FRAME;
}

void seg_reader_times(const struct seg_reader *r, uint64_t *decompress_us, uint64_t *decode_us)
{
    *decompress_us = r->decompress_us;
    *decode_us = r->decode_us;
}

/* --- waiting --- */

/* Takes all events. True when one of them may mean a new state. */
static bool drain_events(int fd)
{
    _Alignas(struct inotify_event) char buf[4096];
    bool state = false;
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n <= 0)
            return state;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)(buf + at);
            state |= e->len == 0 /* overflow, or the directory itself */ || strcmp(e->name, "state") == 0;
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
}

/* At the first wait: closing a watch makes the kernel wait, and readers that never wait need none. What changed before the watch
 * was there is in the state that is read after it. */
static bool arm(struct seg_reader *r, struct err *err)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, slot_path(r->slot),
                                    IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR) < 0) {
        err_sys(err, "watch slot %s (fs.inotify.max_user_instances and max_user_watches limit how many)",
                slot_path(r->slot));
        if (fd >= 0)
            close(fd);
        return false;
    }
    r->inotify = fd;
    return refresh_state(r, err);
}

bool seg_reader_wait(struct seg_reader *r, int timeout_ms, int wake_fd, struct err *err)
{
    uint64_t known = r->state.flushed_lsn;
    if (r->inotify < 0 && !arm(r, err))
        return false;
    if (r->state.flushed_lsn != known)
        return true;
    int64_t deadline = clock_mono_us() + (int64_t)timeout_ms * 1000;
    for (;;) {
        int64_t left = timeout_ms < 0 ? -1 : (deadline - clock_mono_us() + 999) / 1000;
        struct pollfd fds[2] = { { .fd = r->inotify, .events = POLLIN }, { .fd = wake_fd, .events = POLLIN } };
        int n = poll(fds, wake_fd >= 0 ? 2 : 1, left > INT_MAX ? INT_MAX : left < -1 ? 0 : (int)left);
        if (n < 0 && errno != EINTR)
            return err_sys(err, "wait for slot %s", slot_path(r->slot));
        /* The events are taken before the state is read: a write after that is a new event. */
        if (n > 0 && (fds[0].revents != 0 ? drain_events(r->inotify) : false) && !refresh_state(r, err))
            return false;
        bool woken = n > 0 && wake_fd >= 0 && fds[1].revents != 0;
        if (r->state.flushed_lsn != known || woken || n == 0 || r->next_lsn <= limit(r))
            return true;
    }
}

const struct slot_state *seg_reader_state(const struct seg_reader *r)
{
    return &r->state;
}
const struct slot *seg_reader_slot(const struct seg_reader *r)
{
    return r->slot;
}

uint64_t seg_reader_first_lsn(const struct seg_reader *r)
{
    struct slot_segment *seg;
    size_t n;
    struct err err;
    if (!slot_segments(r->slot, &seg, &n, &err))
        return 0;
    uint64_t first = n == 0 ? r->state.flushed_lsn + 1 : seg[0].first_lsn;
    free(seg);
    return first;
}
