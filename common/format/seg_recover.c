/* seg_recover.c - the start of a writer: finds the end of the log, cuts what is behind the last whole commit, refuses what must
 * not be cut (I2; docs/segment-format.md, "Recovery").
 *
 * Known to be durable are the LSNs that `state` calls flushed and that subscriptions have confirmed: up to there an invalid frame
 * is corruption. Behind it, it is the torn tail of a crash. */
#include "seg_writer_inside.h"

#include "file.h"
#include "seg_track.h"
#include "slog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct guard { /* what is known to be durable */
    uint64_t lsn;
    char who[SLOT_NAME_MAX + 64];
};
struct recovery {
    struct seg_writer *w;
    struct guard guard;
    struct slot_segment *seg;
    size_t nseg;
    struct seg_track track;
    uint64_t file_size;
};

static bool refuse(struct recovery *r, const char *file, uint64_t off, const char *why, struct err *err)
{
    const struct seg_mark *m = &r->w->commit;
    return err_set(err, ERR_CORRUPT,
                   "slot %s: segment %s is damaged or incomplete: whole transactions end at LSN %llu (offset %llu), "
                   "but %s says that "
                   "LSN %llu is durable. At offset %llu: %s. Nothing was changed. Restore the segment from a backup or "
                   "the archive, or "
                   "create a new slot and load its subscriptions anew",
                   slot_path(r->w->slot), file, (unsigned long long)m->last_commit_lsn, (unsigned long long)m->end,
                   r->guard.who, (unsigned long long)r->guard.lsn, (unsigned long long)off, why);
}

/* --- what is there --- */

static bool find_guard(struct recovery *r, struct err *err)
{
    struct slot *slot = r->w->slot;
    struct slot_state st;
    if (!slot_state_read(slot, &st, err))
        return false;
    r->guard.lsn = st.flushed_lsn;
    snprintf(r->guard.who, sizeof r->guard.who, "the state file");
    r->w->state = st;
    r->w->state.run = 0; /* the slot's number of this run */
    r->w->state.streaming = false;
    source_pos_clear(&r->w->state.pos);
    struct slot_sub *subs;
    size_t n;
    if (!slot_subs_list(slot, &subs, &n, err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (subs[i].confirmed_lsn > r->guard.lsn) {
            r->guard.lsn = subs[i].confirmed_lsn;
            snprintf(r->guard.who, sizeof r->guard.who, "subscription %s", subs[i].name);
        }
    free(subs);
    return true;
}

static bool remove_temporary(struct slot *slot, struct err *err)
{
    char **names;
    size_t n;
    if (!file_list(slot_dirfd(slot), SEGMENT_SUFFIX ".tmp", &names, &n, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        ok = file_remove(slot_dirfd(slot), names[i], err);
        slog(SLOG_INFO, "temporary_removed", kv_s("slot", slot_path(slot)), kv_s("file", names[i]));
    }
    file_list_free(names, n);
    return ok;
}

/* The file ends inside its own header: it never held anything. */
static bool header_is_torn(struct slot *slot, const char *name, bool *torn, struct err *err)
{
    uint8_t head[16];
    uint64_t size;
    size_t need;
    int fd = openat(slot_dirfd(slot), name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", name);
    struct err why;
    bool ok = file_size(fd, &size, name, err);
    *torn = ok && size < sizeof head;
    if (ok && !*torn && file_pread_all(fd, head, sizeof head, 0, name, &why) &&
        segment_header_size(bytes_of(head, sizeof head), &need, &why))
        *torn = size < need;
    close(fd);
    return ok;
}

static bool open_segment(struct recovery *r, const char *name, struct segment **out, struct err *err)
{
    struct segment *g;
    if (!segment_open(slot_dirfd(r->w->slot), name, &g, err))
        return err_ctx(err, "slot %s", slot_path(r->w->slot));
    if (memcmp(segment_header(g)->slot, slot_uuid(r->w->slot), 16) == 0) {
        *out = g;
        return true;
    }
    segment_close(g);
    return err_set(err, ERR_CORRUPT, "slot %s: segment %s belongs to another slot", slot_path(r->w->slot), name);
}

/* Sets the marks from a sealed segment's footer. */
static bool take_footer(struct recovery *r, struct segment *g, struct err *err)
{
    const struct segment_footer *f;
    if (!segment_footer(g, &f, err))
        return err_ctx(err, "slot %s", slot_path(r->w->slot));
    if (f == NULL)
        return err_set(err, ERR_CORRUPT, "slot %s: segment %s is not sealed, but another one follows it",
                       slot_path(r->w->slot), segment_file(g));
    struct seg_mark m = { .next_lsn = f->next_lsn,
                          .last_commit_lsn = f->next_lsn - 1,
                          .changes = f->changes,
                          .transactions = f->transactions };
    if (f->nframes != 0)
        m.commit_us = f->frames[f->nframes - 1].info.max_commit_us;
    r->w->now = r->w->commit = m;
    return true;
}

/* --- the open segment --- */

enum step { STEP_ON, STEP_END, STEP_INVALID, STEP_FAIL };

static enum step bad(const struct err *err) /* damage is judged by where it is; anything else ends the start */
{
    return err->code == ERR_CORRUPT ? STEP_INVALID : STEP_FAIL;
}

static enum step scan_data(struct recovery *r, struct segment *g, const struct segment_frame *f, struct buf *payload,
                           struct err *err)
{
    struct seg_writer *w = r->w;
    if (f->info.first_lsn != w->now.next_lsn || f->info.starts_inside != w->now.inside) {
        err_set(err, ERR_CORRUPT, "a frame that begins at LSN %llu, but LSN %llu was expected",
                (unsigned long long)f->info.first_lsn, (unsigned long long)w->now.next_lsn);
        return STEP_INVALID;
    }
    struct frame *frame;
    if (!frame_decode(buf_view(payload), &f->info, segment_relations(g), &frame, err))
        return bad(err);
    bool ok = seg_track_frame(&r->track, frame, UINT64_MAX, err);
    frame_unref(frame);
    if (!ok)
        return bad(err);
    if (!seg_writer_note(w, f, buf_view(payload), err) || (!w->now.inside && !seg_writer_mark_commit(w, err)))
        return STEP_FAIL;
    return STEP_ON;
}

/* Tried on a copy's place: what is not valid is damage here, but nobody's fault at the mark. */
static bool scan_schema(struct recovery *r, const struct segment_frame *f, const struct buf *payload, struct err *err)
{
    struct schema_set tried = { 0 };
    bool ok = schema_set_apply(&tried, buf_view(payload), err) ||
              err_ctx(err, "offset %llu", (unsigned long long)f->offset);
    schema_set_clear(&tried);
    if (ok)
        seg_writer_note_schema(r->w, buf_view(payload));
    return ok;
}

static enum step scan_one(struct recovery *r, struct segment *g, struct buf *payload, struct err *err)
{
    struct seg_writer *w = r->w;
    struct segment_frame f;
    bool end = false;
    if (!segment_frame_at(g, w->now.end, &f, &end, err))
        return bad(err);
    if (end)
        return STEP_END;
    buf_reset(payload);
    if (!segment_read(g, &f, payload, err))
        return bad(err);
    if (f.type == ZB_DATA)
        return scan_data(r, g, &f, payload, err);
    if (f.type == ZB_RELATIONS) {
        unsigned before = segment_relations(g)->n;
        if (!segment_load_relations(g, &f, err))
            return bad(err);
        for (unsigned i = before; i < segment_relations(g)->n; i++)
            if (!seg_writer_note_relation(w, segment_relations(g)->rel[i], segment_next_offset(&f), err))
                return STEP_FAIL;
    }
    if (f.type == ZB_SCHEMA && !scan_schema(r, &f, payload, err))
        return bad(err);
    if (f.type == ZB_POSITION) {
        if (w->now.inside) {
            err_set(err, ERR_CORRUPT, "a position inside a transaction");
            return STEP_INVALID;
        }
        if (!seg_track_position(&r->track, buf_view(payload), err))
            return bad(err);
    }
    if (!seg_writer_note(w, &f, (struct bytes){ 0 }, err))
        return STEP_FAIL;
    bool first = f.type == ZB_SCHEMA && f.offset == segment_first_offset(g); /* written with the header */
    if ((f.type == ZB_POSITION || first) && !seg_writer_mark_commit(w, err))
        return STEP_FAIL;
    return STEP_ON;
}

static bool scan(struct recovery *r, struct segment *g, struct err *err)
{
    struct seg_writer *w = r->w;
    const struct segment_header *h = segment_header(g);
    w->now = (struct seg_mark){ .end = segment_first_offset(g),
                                .next_lsn = h->first_lsn,
                                .last_commit_lsn = h->first_lsn - 1,
                                .changes = h->changes_before,
                                .transactions = h->transactions_before };
    w->commit = w->now;
    if (!seg_track_start(&r->track, h, err))
        return false;
    struct buf payload = { 0 };
    struct err why = { .msg = "the file ends" };
    enum step step;
    do
        step = scan_one(r, g, &payload, &why);
    while (step == STEP_ON);
    buf_free(&payload);
    if (step == STEP_FAIL) {
        *err = why;
        return err_ctx(err, "slot %s", slot_path(w->slot));
    }
    if (w->commit.last_commit_lsn < r->guard.lsn)
        return refuse(r, segment_file(g), w->now.end, why.msg, err);
    if (step == STEP_INVALID)
        slog(SLOG_WARN, "segment_tail_invalid", kv_s("slot", slot_path(w->slot)), kv_s("file", segment_file(g)),
             kv_u("offset", w->now.end), kv_s("why", why.msg));
    return true;
}

/* The position must be the one at the commit mark: a transaction that is cut must not count. The scan only takes a position at
 * COMMIT and from position frames, both of which set the mark: so it already is. */
static bool cut_tail(struct recovery *r, uint64_t *cut, struct err *err)
{
    struct seg_writer *w = r->w;
    *cut = append_file_end(w->file) - w->commit.end;
    if (*cut != 0)
        slog(SLOG_WARN, "segment_tail_cut", kv_s("slot", slot_path(w->slot)), kv_s("file", w->name),
             kv_u("cut_bytes", *cut), kv_u("last_commit_lsn", w->commit.last_commit_lsn));
    /* Syncs also what is kept: it may have been written, but never synced, before the crash. */
    w->durable_end = w->commit.end;
    return append_file_cut(w->file, w->commit.end, err);
}

static bool recover_open(struct recovery *r, struct segment *g, uint64_t *cut, struct err *err)
{
    struct seg_writer *w = r->w;
    const struct segment_header *h = segment_header(g);
    w->header = *h;
    w->header.start = (struct source_pos){ 0 };
    if (!source_pos_copy(&h->start, &w->header.start, err))
        return false;
    snprintf(w->name, sizeof w->name, "%s", segment_file(g));
    if (!scan(r, g, err))
        return false;
    if (!append_file_open(slot_dirfd(w->slot), w->name, &w->file, err))
        return err_ctx(err, "slot %s", slot_path(w->slot));
    if (!cut_tail(r, cut, err) || !seg_writer_back_to_commit(w, err))
        return false;
    w->commit.commit_us = w->now.commit_us = r->track.flushed_us;
    w->pos = r->track.pos;
    r->track.pos = (struct source_pos){ 0 };
    return true;
}

/* The history at a sealed segment's end: only its SCHEMA frames are read. */
static bool sealed_schema(struct recovery *r, struct segment *g, struct err *err)
{
    struct buf payload = { 0 };
    bool end = false, ok = true;
    for (uint64_t at = segment_first_offset(g); ok && !end;) {
        struct segment_frame f;
        ok = segment_frame_at(g, at, &f, &end, err);
        if (ok && !end && f.type == ZB_SCHEMA) {
            buf_reset(&payload);
            ok = segment_read(g, &f, &payload, err) && schema_set_apply(&r->w->schema, buf_view(&payload), err);
        }
        at = ok && !end ? segment_next_offset(&f) : at;
    }
    buf_free(&payload);
    return ok;
}

/* The crash may have come before the seal was synced, or because that failed. It must be on the disk before a successor is: an open
 * segment that another one follows is refused. Written once more, because after a failed sync another one proves nothing. */
static bool settle_seal(struct recovery *r, struct segment *g, struct err *err)
{
    const char *name = segment_file(g);
    uint8_t seal[2];
    int fd = openat(slot_dirfd(r->w->slot), name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "slot %s: open %s", slot_path(r->w->slot), name);
    bool ok = file_pread_all(fd, seal, sizeof seal, SEGMENT_SEAL_AT, name, err) &&
              file_pwrite_all(fd, bytes_of(seal, sizeof seal), SEGMENT_SEAL_AT, name, err) && file_sync(fd, name, err);
    close(fd);
    return ok || err_ctx(err, "slot %s", slot_path(r->w->slot));
}

/* The last segment is sealed: the crash came before its successor was there. seg_writer_start creates it. */
static bool recover_sealed(struct recovery *r, struct segment *g, struct err *err)
{
    const struct segment_footer *f;
    if (!take_footer(r, g, err) || !segment_footer(g, &f, err))
        return false;
    if (r->w->commit.last_commit_lsn < r->guard.lsn)
        return refuse(r, segment_file(g), 0,
                      "the sealed segment ends, and no other one follows (an older copy of the slot?)", err);
    return settle_seal(r, g, err) && sealed_schema(r, g, err) && source_pos_copy(&f->end, &r->w->pos, err);
}

static bool recover_last(struct recovery *r, uint64_t *cut, struct err *err)
{
    struct segment *before = NULL, *g = NULL;
    const char *name = r->seg[r->nseg - 1].name;
    uint64_t first = r->seg[r->nseg - 1].first_lsn;
    bool ok = true;
    if (r->nseg > 1)
        ok = open_segment(r, r->seg[r->nseg - 2].name, &before, err) && take_footer(r, before, err);
    if (ok && before != NULL && r->w->now.next_lsn != first)
        ok = err_set(err, ERR_CORRUPT,
                     "slot %s: segment %s ends before LSN %llu, but the next one, %s, begins at LSN %llu",
                     slot_path(r->w->slot), segment_file(before), (unsigned long long)r->w->now.next_lsn, name,
                     (unsigned long long)first);
    segment_close(before);
    ok = ok && open_segment(r, name, &g, err);
    ok = ok && (segment_header(g)->sealed ? recover_sealed(r, g, err) : recover_open(r, g, cut, err));
    segment_close(g);
    return ok;
}

/* A last segment that is shorter than its header, at the place where the one before it ends, is the rest of a crash. */
static bool drop_torn_last(struct recovery *r, struct err *err)
{
    const struct slot_segment *last = &r->seg[r->nseg - 1];
    bool torn = false;
    if (!header_is_torn(r->w->slot, last->name, &torn, err))
        return false;
    if (!torn || r->guard.lsn >= last->first_lsn ||
        (r->nseg == 1 && (last->first_lsn != 1 || slot_state_lost(r->w->slot))))
        return true; /* opening it says what is wrong */
    slog(SLOG_WARN, "segment_torn_removed", kv_s("slot", slot_path(r->w->slot)), kv_s("file", last->name));
    r->nseg--;
    return file_remove(slot_dirfd(r->w->slot), last->name, err) && file_sync_dir(slot_dirfd(r->w->slot), err);
}

static struct seg_writer *writer_new(struct slot *slot, const struct seg_writer_options *o)
{
    struct seg_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->slot = slot;
    w->o = *o;
    if (w->o.frame_size > FRAME_SIZE_MAX)
        w->o.frame_size = FRAME_SIZE_MAX;
    w->now.next_lsn = w->commit.next_lsn = 1;
    w->z = zcodec_new();
    w->coder = frame_coder_new();
    if (w->z == NULL || w->coder == NULL) {
        zcodec_free(w->z);
        frame_coder_free(w->coder);
        free(w);
        return NULL;
    }
    return w;
}

bool seg_writer_recover(struct slot *slot, const struct seg_writer_options *o, struct seg_writer **out,
                        struct seg_recovered *rec, struct err *err)
{
    struct recovery r = { .w = writer_new(slot, o) };
    struct seg_recovered got = { 0 };
    if (r.w == NULL)
        return err_nomem(err);
    bool ok = remove_temporary(slot, err) && find_guard(&r, err) && slot_segments(slot, &r.seg, &r.nseg, err);
    if (ok && r.nseg != 0)
        ok = drop_torn_last(&r, err);
    if (ok && r.nseg == 0) {
        got.empty = true;
        if (r.guard.lsn != 0)
            ok = err_set(err, ERR_CORRUPT,
                         "slot %s: no segments, but %s says that LSN %llu is durable. Restore the slot from a backup, "
                         "or create a new one "
                         "and load its subscriptions anew",
                         slot_path(slot), r.guard.who, (unsigned long long)r.guard.lsn);
    } else if (ok) {
        ok = recover_last(&r, &got.cut_bytes, err);
    }
    ok = ok &&
         (got.empty || (source_pos_copy(&r.w->pos, &got.pos, err) && schema_set_copy(&r.w->schema, &got.schema, err)));
    seg_track_clear(&r.track);
    free(r.seg);
    if (!ok) {
        struct err ignored;
        seg_writer_close(&r.w, &ignored);
        source_pos_clear(&got.pos);
        return false;
    }
    got.next_lsn = r.w->now.next_lsn;
    got.flushed_lsn = r.w->commit.last_commit_lsn;
    got.changes = r.w->commit.changes;
    got.transactions = r.w->commit.transactions;
    *rec = got;
    *out = r.w;
    return true;
}
