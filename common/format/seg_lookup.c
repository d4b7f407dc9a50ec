/* seg_lookup.c - what the log says about one commit, and the source position there (I4's comparison at start). Reads the one
 * segment that holds it. */
#include "seg_reader.h"

#include "seg_track.h"

#include <stdio.h>
#include <stdlib.h>

struct lookup {
    struct slot *slot;
    struct segment *g;
    bool at_start; /* lsn lies just before the oldest segment */
};

static void lookup_close(struct lookup *l)
{
    segment_close(l->g);
    slot_close(l->slot);
}

/* Opens the segment that holds lsn, or, for the LSN just before the oldest segment, that one. */
static bool lookup_open(const char *path, uint64_t lsn, struct lookup *l, struct err *err)
{
    *l = (struct lookup){ 0 };
    struct slot_state st;
    struct slot_segment *seg = NULL;
    size_t n = 0, i = 0;
    if (!slot_open(path, SLOT_READ, &l->slot, err))
        return false;
    if (!slot_state_read(l->slot, &st, err))
        goto fail;
    uint64_t flushed = st.flushed_lsn;
    slot_state_clear(&st);
    if (!slot_segments(l->slot, &seg, &n, err))
        goto fail;
    if (lsn > flushed || n == 0) {
        err_set(err, ERR_LOST,
                "slot %s: LSN %llu is beyond its flushed LSN %llu (an older copy of the slot was restored?)", path,
                (unsigned long long)lsn, (unsigned long long)flushed);
        goto fail;
    }
    if (lsn + 1 < seg[0].first_lsn) {
        err_set(err, ERR_LOST,
                "slot %s: LSN %llu is no longer there: its segments begin at LSN %llu (older ones were removed by "
                "retention); "
                "what needs it must begin again: a fresh copy of the tables at the destination, and a new slot",
                path, (unsigned long long)lsn, (unsigned long long)seg[0].first_lsn);
        goto fail;
    }
    l->at_start = lsn + 1 == seg[0].first_lsn;
    while (!l->at_start && i + 1 < n && seg[i + 1].first_lsn <= lsn)
        i++;
    if (!segment_open(slot_dirfd(l->slot), seg[i].name, &l->g, err)) {
        err_ctx(err, "slot %s", path);
        goto fail;
    }
    free(seg);
    return true;
fail:
    free(seg);
    lookup_close(l);
    return false;
}

/* Calls visit for each frame up to the one that holds lsn, relations loaded; stops when it returns false. */
struct visitor {
    bool (*visit)(struct visitor *v, const struct segment_frame *f, struct err *err);
};

static bool walk(struct segment *g, uint64_t lsn, struct visitor *v, struct err *err)
{
    const struct segment_footer *ft; /* gives a sealed segment's relations at once */
    if (!segment_footer(g, &ft, err))
        return false;
    for (uint64_t at = segment_first_offset(g);;) {
        struct segment_frame f;
        bool end = false;
        if (!segment_frame_at(g, at, &f, &end, err))
            return false;
        if (end)
            return err_set(err, ERR_CORRUPT, "segment %s ends before LSN %llu, which is durable", segment_file(g),
                           (unsigned long long)lsn);
        if (f.type == ZB_DATA && f.info.first_lsn > lsn)
            return err_set(err, ERR_CORRUPT, "segment %s, offset %llu: LSN %llu is missing", segment_file(g),
                           (unsigned long long)at, (unsigned long long)lsn);
        if (f.type == ZB_RELATIONS && !segment_load_relations(g, &f, err))
            return false;
        if ((f.type == ZB_DATA || f.type == ZB_POSITION) && !v->visit(v, &f, err))
            return false;
        if (f.type == ZB_DATA && f.info.first_lsn + f.info.nrecords > lsn)
            return true;
        at = segment_next_offset(&f);
    }
}

static bool load(struct segment *g, const struct segment_frame *f, struct frame **out, struct err *err)
{
    struct buf payload = { 0 };
    bool ok = segment_read(g, f, &payload, err) &&
              (frame_decode(buf_view(&payload), &f->info, segment_relations(g), out, err) ||
               err_ctx(err, "segment %s, offset %llu", segment_file(g), (unsigned long long)f->offset));
    buf_free(&payload);
    return ok;
}

/* --- one commit --- */

struct commit_visitor {
    struct visitor v;
    struct segment_frame begins, last; /* the frame in which the transaction of `last` began; the one that holds lsn */
};

static bool commit_visit(struct visitor *v, const struct segment_frame *f, struct err *err)
{
    struct commit_visitor *c = (struct commit_visitor *)v;
    (void)err;
    if (f->type == ZB_DATA && !f->info.starts_inside)
        c->begins = *f;
    if (f->type == ZB_DATA)
        c->last = *f;
    return true;
}

/* The last BEGIN of f at or before lsn. */
static bool last_begin(const struct frame *f, uint64_t lsn, struct seg_commit *out)
{
    bool found = false;
    for (unsigned i = 0; i < frame_count(f) && frame_record(f, i)->lsn <= lsn; i++)
        if (frame_record(f, i)->op == REC_BEGIN) {
            out->gtid = frame_record(f, i)->u.begin.gtid;
            out->commit_us = frame_record(f, i)->u.begin.commit_us;
            found = true;
        }
    return found;
}

static bool commit_in(struct segment *g, const struct commit_visitor *c, uint64_t lsn, struct seg_commit *out,
                      struct err *err)
{
    struct frame *f;
    if (!load(g, &c->last, &f, err))
        return false;
    const struct record *r = frame_record(f, (unsigned)(lsn - c->last.info.first_lsn));
    bool ok = r->op == REC_COMMIT ||
              err_set(err, ERR_FENCED,
                      "LSN %llu is no commit: the position that was remembered does not belong to this slot",
                      (unsigned long long)lsn);
    if (ok) {
        memcpy(out->file, r->u.commit.file.p, r->u.commit.file.n);
        out->file[r->u.commit.file.n] = '\0';
        out->end_offset = r->u.commit.end_offset;
        out->known = true;
    }
    if (ok && c->begins.offset != c->last.offset) { /* it began in an earlier frame */
        frame_unref(f);
        f = NULL;
        ok = load(g, &c->begins, &f, err);
    }
    if (ok && !last_begin(f, lsn, out))
        ok = err_set(err, ERR_CORRUPT, "segment %s: the transaction that ends at LSN %llu has no beginning",
                     segment_file(g), (unsigned long long)lsn);
    frame_unref(f);
    return ok;
}

bool seg_reader_commit_at(const char *path, uint64_t lsn, struct seg_commit *out, struct err *err)
{
    struct lookup l;
    struct seg_commit got = { 0 };
    if (!lookup_open(path, lsn, &l, err))
        return false;
    bool ok = true;
    if (l.at_start) {
        const struct segment_header *h = segment_header(l.g);
        snprintf(got.file, sizeof got.file, "%s", h->start.file);
        got.end_offset = h->start.offset;
    } else {
        struct commit_visitor c = { .v = { commit_visit } };
        ok = (walk(l.g, lsn, &c.v, err) && commit_in(l.g, &c, lsn, &got, err)) || err_ctx(err, "slot %s", path);
    }
    lookup_close(&l);
    if (ok)
        *out = got;
    return ok;
}

/* --- the position at a commit --- */

struct position_visitor {
    struct visitor v;
    struct segment *g;
    struct seg_track track;
    uint64_t lsn;
};

static bool position_visit(struct visitor *v, const struct segment_frame *f, struct err *err)
{
    struct position_visitor *p = (struct position_visitor *)v;
    if (f->type == ZB_POSITION) {
        struct buf payload = { 0 };
        bool ok = segment_read(p->g, f, &payload, err) && seg_track_position(&p->track, buf_view(&payload), err);
        buf_free(&payload);
        return ok;
    }
    struct frame *frame;
    if (!load(p->g, f, &frame, err))
        return false;
    bool ok = seg_track_frame(&p->track, frame, p->lsn, err);
    frame_unref(frame);
    return ok;
}

bool seg_reader_position_at(const char *path, uint64_t lsn, struct source_pos *out, struct err *err)
{
    struct lookup l;
    if (!lookup_open(path, lsn, &l, err))
        return false;
    struct position_visitor p = { .v = { position_visit }, .g = l.g, .lsn = lsn };
    bool ok = seg_track_start(&p.track, segment_header(l.g), err) && (l.at_start || walk(l.g, lsn, &p.v, err));
    if (ok) {
        *out = p.track.pos;
        p.track.pos = (struct source_pos){ 0 };
    } else {
        err_ctx(err, "slot %s", path);
    }
    seg_track_clear(&p.track);
    lookup_close(&l);
    return ok;
}
