/* seg_seal.c - turns the open segment into a sealed one (docs/segment-format.md, "Sealing"). Where small frames take much of it:
 * NAME.seg.tmp with neighbouring ones merged, footer and trailer; fsync, rename over NAME.seg, fsync of the directory. LSNs stay, offsets
 * do not. Where they do not: footer and trailer behind the frames, fsync, the seal in the header, fsync; not a byte is written twice.
 *
 * Of position frames that follow each other the last stays. One between two data frames is never dropped nor passed by a merge: the
 * commits behind it say only what was consumed since. Memory: one merged frame and the one being read. */
#include "seg_writer_inside.h"

#include "crc32c.h"
#include "fault.h"
#include "file.h"
#include "slog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WRITE_AT = 1 << 20, /* bytes collected before a write */
    MERGE_PART = 8      /* what merging could gain is an eighth of the file: worth writing the rest again */
};

struct seal {
    struct seg_writer *w;
    int fd;
    char name[32];     /* of the file that is written */
    uint64_t flushed;  /* bytes in it */
    struct buf out;    /* behind them */
    struct buf stored; /* a frame as it was read: header and payload */
    struct buf raw;
    struct frame_builder *b;      /* merged, not yet written */
    struct segment_footer footer; /* frames only; the rest is borrowed from w at the end */
    size_t cap;
};

static uint64_t offset(const struct seal *s)
{
    return s->flushed + s->out.n;
}

static bool flush_out(struct seal *s, struct err *err)
{
    if (!buf_ok(&s->out, err) || !file_pwrite_all(s->fd, buf_view(&s->out), s->flushed, s->name, err))
        return false;
    s->flushed += s->out.n;
    s->w->written += s->out.n;
    if (s->out.cap > FRAME_SIZE_MAX)
        buf_free(&s->out);
    buf_reset(&s->out);
    return true;
}

static bool add_index(struct seal *s, const struct segment_frame *f, struct err *err)
{
    if (s->footer.nframes == s->cap) {
        size_t cap = s->cap == 0 ? 64 : s->cap * 2;
        struct segment_frame *p = realloc(s->footer.frames, cap * sizeof *p);
        if (p == NULL)
            return err_nomem(err);
        s->footer.frames = p;
        s->cap = cap;
    }
    s->footer.frames[s->footer.nframes++] = *f;
    return true;
}

/* The frame as it lies in the open segment, checked: damage must not be copied under a new name. */
static bool read_stored(struct seal *s, const struct segment_frame *f, struct zblock *head, struct err *err)
{
    size_t n = ZB_HEADER_SIZE + (size_t)f->stored_size;
    buf_reset(&s->stored);
    if (!buf_grow(&s->stored, n))
        return err_nomem(err);
    if (!append_file_read(s->w->file, s->stored.p, n, f->offset, err))
        return false;
    s->stored.n = n;
    struct bytes payload = { s->stored.p + ZB_HEADER_SIZE, f->stored_size };
    if (!zblock_parse(buf_view(&s->stored), head, err))
        return err_ctx(err, "%s, offset %llu", s->w->name, (unsigned long long)f->offset);
    if (head->stored_size != f->stored_size || head->type != f->type || crc32c(0, payload) != head->payload_crc)
        return err_set(err, ERR_CORRUPT,
                       "%s, offset %llu: the frame at LSN %llu is not what was written: the disk lost or changed it",
                       s->w->name, (unsigned long long)f->offset, (unsigned long long)f->info.first_lsn);
    return true;
}

static bool copy_frame(struct seal *s, const struct segment_frame *f, struct err *err)
{
    struct zblock head = { 0 };
    if (!read_stored(s, f, &head, err))
        return false;
    struct segment_frame at = *f;
    at.offset = offset(s);
    buf_bytes(&s->out, buf_view(&s->stored));
    if ((f->type == ZB_DATA || f->type == ZB_POSITION) && !add_index(s, &at, err))
        return false;
    return s->out.n < WRITE_AT || flush_out(s, err);
}

/* What the frame's records count in a builder. Of one from before headers said so, or with a header that says less than can be, what its payload
 * tells: else frames of any size would be merged, beyond what one may hold. */
static uint64_t merged_size(const struct segment_frame *f)
{
    uint64_t least = f->raw_size + (uint64_t)f->info.nrecords * FRAME_RECORD_SIZE;
    return f->info.size > least ? f->info.size : least;
}

static bool is_small(const struct seg_writer *w, const struct segment_frame *f)
{
    return f->type == ZB_DATA && merged_size(f) < w->o.merge_below && !f->info.starts_inside && !f->info.ends_inside;
}

static bool put_merged(struct seal *s, struct err *err)
{
    if (frame_builder_records(s->b) == 0)
        return true;
    struct segment_frame f = { .offset = offset(s), .type = ZB_DATA };
    struct frame_info info;
    buf_reset(&s->raw);
    if (!frame_builder_finish(s->b, &s->raw, &info, err) ||
        !seg_writer_encode(s->w, &info, buf_view(&s->raw), frame_builder_relations(s->b), &s->out, &f, err))
        return false;
    frame_builder_reset(s->b, frame_builder_next_lsn(s->b), false);
    return add_index(s, &f, err) && (s->out.n < WRITE_AT || flush_out(s, err));
}

static bool merge(struct seal *s, const struct segment_frame *f, struct err *err)
{
    struct zblock head = { 0 };
    struct frame *frame;
    if (frame_builder_records(s->b) != 0 && frame_builder_size(s->b) + merged_size(f) > s->w->o.frame_size &&
        !put_merged(s, err))
        return false;
    if (frame_builder_records(s->b) == 0)
        frame_builder_reset(s->b, f->info.first_lsn, false);
    buf_reset(&s->raw);
    if (!read_stored(s, f, &head, err) ||
        !zblock_open(s->w->z, &head, bytes_of(s->stored.p + ZB_HEADER_SIZE, head.stored_size), &s->raw, err) ||
        !frame_decode(buf_view(&s->raw), &head.info, &s->w->rels, &frame, err))
        return false;
    bool ok = frame_copy_records(s->b, frame, 0, frame_count(frame), err);
    frame_unref(frame);
    return ok;
}

static bool put_frames(struct seal *s, struct err *err)
{
    const struct seg_writer *w = s->w;
    const struct segment_frame *position = NULL;
    for (size_t i = 0; i < w->commit.nframes; i++) {
        const struct segment_frame *f = &w->frames[i];
        if (f->type == ZB_POSITION) {
            position = f;
            if (!put_merged(s, err))
                return false;
            continue;
        }
        if (f->type == ZB_RELATIONS || f->type == ZB_SCHEMA) { /* may pass merged data: it only defines earlier what is
                                                                  used later, or counts from the segment's end on */
            if (!copy_frame(s, f, err))
                return false;
            continue;
        }
        if (position != NULL && !copy_frame(s, position, err))
            return false;
        position = NULL;
        if (is_small(w, f) ? !merge(s, f, err) : !put_merged(s, err) || !copy_frame(s, f, err))
            return false;
    }
    return put_merged(s, err) && (position == NULL || copy_frame(s, position, err));
}

static bool put_footer(struct seal *s, const struct source_pos *end, struct err *err)
{
    const struct seg_writer *w = s->w;
    struct segment_footer f = s->footer; /* borrows: only s->footer is cleared */
    f.relations = w->rels;
    f.ncounts = w->counts.n;
    f.next_lsn = w->commit.next_lsn;
    f.changes = w->commit.changes;
    f.transactions = w->commit.transactions;
    f.end = *end;
    uint64_t at = offset(s);
    buf_reset(&s->raw);
    bool ok = change_counts_sorted(&w->counts, &f.counts, err);
    ok = ok && segment_footer_encode(&f, &s->raw, err);
    free(f.counts);
    if (!ok || !zblock_write(w->z, ZB_FOOTER, &(struct frame_info){ .first_lsn = f.next_lsn }, buf_view(&s->raw),
                             &s->out, err))
        return false;
    segment_trailer_encode(at, &s->out);
    return buf_ok(&s->out, err);
}

/* --- written anew --- */

static bool write_sealed(struct seal *s, const struct source_pos *end, struct err *err)
{
    struct segment_header h = s->w->header; /* borrows start */
    h.sealed = true;
    if (!segment_header_encode(&h, &s->out, err) || !put_frames(s, err) || !put_footer(s, end, err) ||
        !flush_out(s, err))
        return false;
    return fsync(s->fd) == 0 || err_sys(err, "fsync %s", s->name);
}

static bool seal_anew(struct seal *s, const struct source_pos *end, struct err *err)
{
    int dir = slot_dirfd(s->w->slot);
    const char *sealed = s->w->name;
    snprintf(s->name, sizeof s->name, "%s.tmp", sealed);
    s->fd = openat(dir, s->name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (s->fd < 0)
        return err_sys(err, "create %s", s->name);
    s->b = frame_builder_new();
    bool ok = s->b != NULL || err_nomem(err);
    ok = ok && write_sealed(s, end, err);
    if (close(s->fd) != 0 && ok)
        ok = err_sys(err, "close %s", s->name);
    if (ok) {
        fault_point("capture.seal_before_rename");
        if (renameat(dir, s->name, dir, sealed) != 0)
            ok = err_sys(err, "rename %s to %s", s->name, sealed);
        fault_point("capture.seal_after_rename");
        ok = ok && file_sync_dir(dir, err);
    }
    if (!ok)
        unlinkat(dir, s->name, 0);
    return ok;
}

/* --- in place --- */

/* Whether small frames that have a small neighbour, and position frames that others follow, take an eighth of the file. */
static bool merging_pays(const struct seg_writer *w)
{
    const struct segment_frame *before = NULL;
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->commit.nframes; i++) {
        const struct segment_frame *f = &w->frames[i];
        if (f->type != ZB_DATA && f->type != ZB_POSITION)
            continue;
        if (before != NULL && (f->type == ZB_DATA ? is_small(w, f) && is_small(w, before) : before->type == f->type))
            bytes += ZB_HEADER_SIZE + (uint64_t)f->stored_size;
        before = f;
    }
    return bytes >= w->commit.end / MERGE_PART;
}

/* A crash before the seal leaves an open segment with a footer, which recovery cuts off; behind it, a sealed one. The seal lies within a
 * disk sector, so that it is there or is not. Readers see the same frames at the same offsets all the time. */
static bool seal_in_place(struct seal *s, const struct source_pos *end, struct err *err)
{
    struct seg_writer *w = s->w;
    s->flushed = w->commit.end;
    for (size_t i = 0; i < w->commit.nframes; i++)
        if ((w->frames[i].type == ZB_DATA || w->frames[i].type == ZB_POSITION) && !add_index(s, &w->frames[i], err))
            return false;
    if (!put_footer(s, end, err))
        return false;
    if (!append_file_write(w->file, buf_view(&s->out), err) || !append_file_flush(w->file, err) ||
        !append_file_sync(w->file, err)) {
        seg_writer_give_back(w, err);
        return false;
    }
    s->flushed += s->out.n;
    w->written += s->out.n;
    fault_point("capture.seal_before_mark");
    bool ok = append_file_patch(w->file, SEGMENT_SEAL_AT, segment_seal(), err) && append_file_sync(w->file, err);
    fault_point("capture.seal_after_mark");
    return ok;
}

bool seg_writer_seal(struct seg_writer *w, const struct source_pos *end, struct err *err)
{
    struct seal s = { .w = w };
    bool anew = merging_pays(w) || w->now.end != w->commit.end;
    bool ok = append_file_flush(w->file, err) && (anew ? seal_anew(&s, end, err) : seal_in_place(&s, end, err));
    if (ok)
        slog(SLOG_INFO, "segment_sealed", kv_s("slot", slot_path(w->slot)), kv_s("file", w->name),
             kv_u("size_bytes", s.flushed), kv_u("open_size_bytes", w->commit.end),
             kv_u("first_lsn", w->header.first_lsn), kv_u("next_lsn", w->commit.next_lsn));
    frame_builder_free(s.b);
    free(s.footer.frames);
    buf_free(&s.out);
    buf_free(&s.stored);
    buf_free(&s.raw);
    return ok;
}
