/* seg_writer.c - appends to the open segment, makes it durable, rolls (docs/segment-format.md, "Writing"). Recovery at start is
 * seg_recover.c, sealing seg_seal.c.
 *
 * Keeps I2: the commit mark stands behind the last whole transaction or position frame; what lies behind it may be cut, what
 * lies before it never. After a failed write or fsync nothing more is written: what the file holds then is not known. */
#include "seg_writer_inside.h"

#include "clock.h"
#include "fault.h"
#include "file.h"
#include "slog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- book-keeping, also used by recovery --- */

bool seg_writer_note(struct seg_writer *w, const struct segment_frame *f, struct bytes payload, struct err *err)
{
    if (w->now.nframes == w->cap_frames) {
        size_t cap = w->cap_frames == 0 ? 64 : w->cap_frames * 2;
        struct segment_frame *p = realloc(w->frames, cap * sizeof *p);
        if (p == NULL)
            return err_nomem(err);
        w->frames = p;
        w->cap_frames = cap;
    }
    w->frames[w->now.nframes++] = *f;
    w->now.end = segment_next_offset(f);
    if (f->type != ZB_DATA)
        return true;
    const struct frame_info *i = &f->info;
    w->now.next_lsn = i->first_lsn + i->nrecords;
    w->now.changes += i->nchanges;
    w->now.transactions += i->ncommits;
    w->now.inside = i->ends_inside;
    if (!i->starts_inside) /* else it belongs to the transaction that we know */
        w->txn_us = i->max_commit_us;
    if (i->ncommits != 0) {
        w->now.last_commit_lsn = i->last_commit_lsn;
        w->now.commit_us = w->txn_us;
    }
    return frame_payload_counts(payload, &w->pending, err);
}

bool seg_writer_note_relation(struct seg_writer *w, const struct relation *r, uint64_t end, struct err *err)
{
    if (relation_table_find(&w->rels, r->id) != NULL)
        return true;
    if (w->rels.n == w->cap_rel_end) {
        unsigned cap = w->cap_rel_end == 0 ? 16 : w->cap_rel_end * 2;
        uint64_t *p = realloc(w->rel_end, cap * sizeof *p);
        if (p == NULL)
            return err_nomem(err);
        w->rel_end = p;
        w->cap_rel_end = cap;
    }
    w->rel_end[w->rels.n] = end;
    return relation_table_add(&w->rels, r, err);
}

void seg_writer_note_schema(struct seg_writer *w, struct bytes payload)
{
    buf_blob(&w->schema_behind, payload);
}

static bool apply_schema(struct seg_writer *w, struct err *err)
{
    struct cur c = cur_over(buf_view(&w->schema_behind));
    if (!buf_ok(&w->schema_behind, err))
        return false;
    while (cur_left(&c) != 0)
        if (!schema_set_apply(&w->schema, cur_blob(&c), err))
            return false;
    buf_reset(&w->schema_behind);
    return true;
}

bool seg_writer_mark_commit(struct seg_writer *w, struct err *err)
{
    if (!apply_schema(w, err))
        return false;
    for (unsigned i = 0; i < w->pending.n; i++)
        if (!change_counts_add(&w->counts, &w->pending.v[i], err))
            return false;
    change_counts_reset(&w->pending);
    w->commit = w->now;
    return true;
}

bool seg_writer_back_to_commit(struct seg_writer *w, struct err *err)
{
    struct relation_table kept = { 0 }; /* those that were defined behind the cut must be written again */
    for (unsigned i = 0, k = 0; i < w->rels.n; i++)
        if (w->rel_end[i] <= w->commit.end) {
            w->rel_end[k++] = w->rel_end[i];
            if (!relation_table_add(&kept, w->rels.rel[i], err)) {
                relation_table_clear(&kept);
                return false;
            }
        }
    relation_table_clear(&w->rels);
    w->rels = kept;
    change_counts_reset(&w->pending);
    buf_reset(&w->schema_behind);
    w->now = w->commit;
    return true;
}

void seg_writer_forget_segment(struct seg_writer *w)
{
    struct err ignored; /* everything was flushed */
    append_file_close(w->file, &ignored);
    w->file = NULL;
    relation_table_clear(&w->rels);
    change_counts_free(&w->counts);
    change_counts_free(&w->pending);
    w->now.nframes = w->commit.nframes = 0;
}

/* --- segments --- */

/* An error that leaves the file in an unknown state ends the writer. */
static bool broken(struct seg_writer *w)
{
    w->broken = true;
    return false;
}

void seg_writer_give_back(struct seg_writer *w, const struct err *why)
{
    struct err ignored;
    if (why->code == ERR_IO && (why->sys == ENOSPC || why->sys == EDQUOT))
        append_file_cut(w->file, w->durable_end, &ignored);
}

/* The same after a failed write or sync. */
static bool write_failed(struct seg_writer *w, struct err *err)
{
    seg_writer_give_back(w, err);
    err_ctx(err, "slot %s", slot_path(w->slot));
    return broken(w);
}

static bool usable(const struct seg_writer *w, struct err *err)
{
    if (w->broken)
        return err_set(err, ERR_IO, "slot %s: an earlier write failed: nothing more is written", slot_path(w->slot));
    if (!w->started || w->file == NULL)
        return err_set(err, ERR_CONFIG, "slot %s: the writer was not started", slot_path(w->slot));
    return true;
}

/* The complete schema history, the first frame of a new segment: written with its header, or a crash between them would
 * lose it. */
static bool put_history(struct seg_writer *w, struct buf *file, struct err *err)
{
    struct buf payload = { 0 };
    w->schema_dropped = false;
    w->now.nframes = 0;
    if (w->schema.n == 0)
        return true;
    struct segment_frame f = { .offset = file->n, .type = ZB_SCHEMA, .info = { .first_lsn = w->now.next_lsn } };
    schema_set_encode(&w->schema, &payload);
    bool ok = buf_ok(&payload, err) && zblock_write(w->z, ZB_SCHEMA, &f.info, buf_view(&payload), file, err);
    f.stored_size = (uint32_t)(file->n - f.offset - ZB_HEADER_SIZE);
    f.raw_size = (uint32_t)payload.n;
    buf_free(&payload);
    return ok && seg_writer_note(w, &f, (struct bytes){ 0 }, err);
}

/* A new open segment that begins at the present LSN. An empty one of that name is replaced. */
static bool create_segment(struct seg_writer *w, const struct source_pos *start, struct err *err)
{
    seg_writer_forget_segment(w);
    segment_header_clear(&w->header);
    struct segment_header *h = &w->header;
    memcpy(h->slot, slot_uuid(w->slot), sizeof h->slot);
    h->first_lsn = w->now.next_lsn;
    h->created_us = clock_wall_us();
    h->changes_before = w->now.changes;
    h->transactions_before = w->now.transactions;
    snprintf(h->source, sizeof h->source, "%s", w->source);
    snprintf(h->source_version, sizeof h->source_version, "%s", w->source_version);
    segment_name(h->first_lsn, w->name);
    struct buf b = { 0 };
    bool ok = source_pos_copy(start, &h->start, err) && segment_header_encode(h, &b, err) && put_history(w, &b, err) &&
              file_replace(slot_dirfd(w->slot), w->name, buf_view(&b), 0640, err) &&
              append_file_open(slot_dirfd(w->slot), w->name, &w->file, err);
    w->now.end = w->durable_end = b.n;
    buf_free(&b);
    w->commit = w->now;
    if (ok)
        slog(SLOG_INFO, "segment_created", kv_s("slot", slot_path(w->slot)), kv_s("file", w->name),
             kv_u("first_lsn", h->first_lsn));
    return ok ? true : (err_ctx(err, "slot %s: new segment", slot_path(w->slot)), broken(w));
}

/* At a commit: seals the open segment, if it has records, and begins the next one. */
static bool roll(struct seg_writer *w, const struct source_pos *pos, struct err *err)
{
    if (w->now.next_lsn != w->header.first_lsn && !seg_writer_seal(w, pos, err)) {
        err_ctx(err, "slot %s: sealing %s", slot_path(w->slot), w->name);
        return broken(w);
    }
    return create_segment(w, pos, err);
}

static bool write_state(struct seg_writer *w, struct err *err)
{
    struct slot_state *s = &w->state;
    s->flushed_lsn = w->commit.last_commit_lsn;
    s->changes = w->commit.changes;
    s->transactions = w->commit.transactions;
    s->flushed_commit_us = w->commit.commit_us;
    snprintf(s->source, sizeof s->source, "%s", w->source);
    struct slot_state out = *s;
    out.pos = w->pos; /* a view; slot_state_write does not keep it */
    bool ok = slot_state_write(w->slot, &out, err);
    s->run = out.run;
    return ok || broken(w);
}

static bool keep_position(struct seg_writer *w, const struct source_pos *pos, struct err *err)
{
    if (pos == &w->pos)
        return true;
    struct source_pos copy;
    if (!source_pos_copy(pos, &copy, err))
        return broken(w);
    source_pos_clear(&w->pos);
    w->pos = copy;
    return true;
}

bool seg_writer_start(struct seg_writer *w, const char *source, const char *source_version,
                      const struct source_pos *start, struct err *err)
{
    if (w->broken || w->started)
        return err_set(err, ERR_CONFIG, "slot %s: the writer was started already", slot_path(w->slot));
    if (strlen(source) >= sizeof w->source)
        return err_set(err, ERR_CONFIG, "source identity \"%s\" is too long", source);
    snprintf(w->source, sizeof w->source, "%s", source);
    snprintf(w->source_version, sizeof w->source_version, "%.*s", (int)sizeof w->source_version - 1, source_version);
    bool other = strcmp(w->header.source, w->source) != 0 || strcmp(w->header.source_version, w->source_version) != 0 ||
                 w->schema_dropped;
    if (w->file == NULL && w->now.next_lsn == 1) { /* a new slot */
        if (start == NULL)
            return err_set(err, ERR_CONFIG, "slot %s: new, and nobody said where it starts", slot_path(w->slot));
        if (!keep_position(w, start, err) || !create_segment(w, &w->pos, err))
            return false;
    } else if (w->file == NULL ? !create_segment(w, &w->pos, err) : other && !roll(w, &w->pos, err)) {
        return false;
    }
    w->started = true;
    return write_state(w, err);
}

static bool start_schema(struct seg_writer *w, struct bytes payload, struct err *err)
{
    w->schema_dropped = w->schema.n != 0 && payload.n == 0;
    schema_set_clear(&w->schema);
    return payload.n == 0 || schema_set_apply(&w->schema, payload, err);
}

/* --- appending --- */

bool seg_writer_encode(struct seg_writer *w, const struct frame_info *info, struct bytes payload,
                       const struct relation_table *rels, struct buf *out, struct segment_frame *f, struct err *err)
{
    struct bytes coded = payload;
    int64_t began = clock_mono_us();
    f->info = *info;
    if (rels != NULL && !frame_coder_code(w->coder, payload, rels, &coded, &f->info.tail, err))
        return false;
    int64_t compressing = clock_mono_us();
    size_t before = out->n;
    bool ok = zblock_write(w->z, f->type, &f->info, coded, out, err);
    frame_coder_let_go(w->coder);
    if (!ok)
        return false;
    f->stored_size = (uint32_t)(out->n - before - ZB_HEADER_SIZE);
    f->raw_size = (uint32_t)coded.n;
    w->times.encode_us += (uint64_t)(compressing - began);
    w->times.compress_us += (uint64_t)(clock_mono_us() - compressing);
    return true;
}

/* One frame, encoded and written behind the others. rels: those of a DATA frame, else NULL. */
static bool put_frame(struct seg_writer *w, uint8_t type, const struct frame_info *info, struct bytes payload,
                      const struct relation_table *rels, struct err *err)
{
    struct segment_frame f = { .offset = w->now.end, .type = type };
    buf_reset(&w->out);
    if (!seg_writer_encode(w, info, payload, rels, &w->out, &f, err))
        return false;
    int64_t began = clock_mono_us();
    fault_point("capture.frame_before_write");
    if (!append_file_write(w->file, buf_view(&w->out), err))
        return write_failed(w, err);
    fault_point("capture.frame_after_write");
    w->times.write_us += (uint64_t)(clock_mono_us() - began);
    w->written += w->out.n;
    if (w->out.cap > FRAME_SIZE_MAX) /* one huge row must not hold its memory for ever */
        buf_free(&w->out);
    return seg_writer_note(w, &f, payload, err) || broken(w);
}

static bool put_relations(struct seg_writer *w, const struct relation_table *rels, struct err *err)
{
    struct relation **missing = calloc((size_t)rels->n + 1, sizeof(struct relation *));
    if (missing == NULL)
        return err_nomem(err);
    unsigned n = 0;
    for (unsigned i = 0; i < rels->n; i++)
        if (relation_table_find(&w->rels, rels->rel[i]->id) == NULL)
            missing[n++] = rels->rel[i];
    bool ok = true;
    if (n != 0) {
        struct buf payload = { 0 };
        segment_relations_encode(missing, n, &payload);
        ok = buf_ok(&payload, err) && put_frame(w, ZB_RELATIONS, &(struct frame_info){ .first_lsn = w->now.next_lsn },
                                                buf_view(&payload), NULL, err);
        buf_free(&payload);
        fault_point("capture.relation_after_write");
        for (unsigned i = 0; ok && i < n; i++)
            ok = seg_writer_note_relation(w, missing[i], w->now.end, err) || broken(w);
    }
    free(missing);
    return ok;
}

bool seg_writer_append(struct seg_writer *w, const struct frame_info *info, struct bytes payload,
                       const struct relation_table *rels, struct err *err)
{
    if (!usable(w, err))
        return false;
    if (info->nrecords == 0 || info->first_lsn != w->now.next_lsn || info->starts_inside != w->now.inside)
        return err_set(err, ERR_UNSUPPORTED, "slot %s: a frame that begins at LSN %llu%s does not follow LSN %llu%s",
                       slot_path(w->slot), (unsigned long long)info->first_lsn,
                       info->starts_inside ? " inside a transaction" : "", (unsigned long long)w->now.next_lsn - 1,
                       w->now.inside ? " inside a transaction" : "");
    if (!put_relations(w, rels, err) || !put_frame(w, ZB_DATA, info, payload, rels, err))
        return false;
    return w->now.inside || seg_writer_mark_commit(w, err) || broken(w);
}

bool seg_writer_schema(struct seg_writer *w, struct bytes payload, struct err *err)
{
    if (!w->started && !w->broken)
        return start_schema(w, payload, err);
    if (!usable(w, err) ||
        !put_frame(w, ZB_SCHEMA, &(struct frame_info){ .first_lsn = w->now.next_lsn }, payload, NULL, err))
        return false;
    seg_writer_note_schema(w, payload);
    fault_point("capture.schema_after_write");
    return buf_ok(&w->schema_behind, err) || broken(w);
}

bool seg_writer_position(struct seg_writer *w, const struct source_pos *pos, struct err *err)
{
    if (!usable(w, err))
        return false;
    if (w->now.inside)
        return err_set(err, ERR_UNSUPPORTED, "slot %s: a position inside the transaction at LSN %llu",
                       slot_path(w->slot), (unsigned long long)w->now.next_lsn);
    struct buf payload = { 0 };
    source_pos_encode(pos, &payload);
    bool ok = buf_ok(&payload, err) && put_frame(w, ZB_POSITION, &(struct frame_info){ .first_lsn = w->now.next_lsn },
                                                 buf_view(&payload), NULL, err);
    buf_free(&payload);
    return ok && (seg_writer_mark_commit(w, err) || broken(w));
}

bool seg_writer_full(const struct seg_writer *w)
{
    return w->now.end >= w->o.segment_size && !w->now.inside && w->schema_behind.n == 0;
}

bool seg_writer_flush(struct seg_writer *w, const struct source_pos *pos, struct err *err)
{
    if (!usable(w, err) || !keep_position(w, pos, err))
        return false;
    int64_t began = clock_mono_us();
    if (!append_file_flush(w->file, err))
        return write_failed(w, err);
    int64_t written = clock_mono_us();
    w->times.write_us += (uint64_t)(written - began);
    fault_point("capture.frame_before_fsync");
    if (!append_file_sync(w->file, err))
        return write_failed(w, err);
    w->durable_end = w->now.end;
    int64_t synced = clock_mono_us();
    w->times.fsync_us += (uint64_t)(synced - written);
    fault_point(
        "capture.frame_after_fsync"); /* everything up to the commit mark is durable: here a source may be acknowledged */
    w->state.heartbeat_us = clock_wall_us();
    if (!write_state(w, err))
        return false;
    fault_point("capture.state_after_write");
    if (!seg_writer_full(w))
        return true;
    bool ok = roll(w, &w->pos, err);
    w->times.seal_us += (uint64_t)(clock_mono_us() - synced);
    return ok;
}

bool seg_writer_heartbeat(struct seg_writer *w, int64_t heartbeat_us, bool streaming, int64_t clock_offset_us,
                          struct err *err)
{
    if (!usable(w, err))
        return false;
    w->state.heartbeat_us = heartbeat_us;
    w->state.clock_offset_us = clock_offset_us;
    w->state.streaming = streaming;
    struct slot_state out = w->state; /* as last flushed: the commit mark may be ahead of it, and is not durable then */
    out.pos = w->pos;
    return slot_state_write(w->slot, &out, err) || broken(w);
}

bool seg_writer_cut(struct seg_writer *w, uint64_t *next_lsn, struct err *err)
{
    if (!usable(w, err))
        return false;
    if (w->now.end != w->commit.end) {
        if (!append_file_cut(w->file, w->commit.end, err))
            return write_failed(w, err);
        w->durable_end = w->commit.end;
        if (!seg_writer_back_to_commit(w, err))
            return broken(w);
    }
    *next_lsn = w->now.next_lsn;
    return true;
}

const struct seg_writer_times *seg_writer_times(const struct seg_writer *w)
{
    return &w->times;
}

uint64_t seg_writer_bytes(const struct seg_writer *w)
{
    return w->written;
}

bool seg_writer_close(struct seg_writer **w, struct err *err)
{
    if (*w == NULL)
        return true;
    struct seg_writer *x = *w;
    *w = NULL;
    bool ok = append_file_close(x->file, err);
    x->file = NULL;
    seg_writer_forget_segment(x);
    segment_header_clear(&x->header);
    source_pos_clear(&x->pos);
    zcodec_free(x->z);
    frame_coder_free(x->coder);
    buf_free(&x->out);
    schema_set_clear(&x->schema);
    buf_free(&x->schema_behind);
    free(x->frames);
    free(x->rel_end);
    free(x);
    return ok;
}
