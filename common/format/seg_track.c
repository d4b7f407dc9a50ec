/* seg_track.c - see seg_track.h. */
#include "seg_track.h"

#include <stdio.h>

bool seg_track_start(struct seg_track *t, const struct segment_header *h, struct err *err)
{
    *t = (struct seg_track){ 0 };
    snprintf(t->source, sizeof t->source, "%s", h->source);
    return source_pos_copy(&h->start, &t->pos, err);
}

static bool take_gtids(struct seg_track *t, const struct rec_commit *c, struct err *err)
{
    struct source_pos *p = &t->pos;
    if (c->consumed.n == 0 && t->gtid.flavor == GTID_NONE)
        return true;
    /* A slot that resumes by file and offset: with gtid_mode between OFF and ON transactions have GTIDs, but those that were filtered
     * or lie before the slot's start are not known, so that a set of them would ask for the others once more. */
    if (p->flavor == GTID_NONE)
        return c->consumed.n == 0 || err_set(err, ERR_CORRUPT, "consumed GTIDs, but the position before has none");
    if (p->gtids == NULL) {
        p->gtids = gtid_set_new(p->flavor);
        if (p->gtids == NULL)
            return err_nomem(err);
    }
    if (t->gtid.flavor != GTID_NONE && t->gtid.flavor != (uint8_t)p->flavor)
        return err_set(err, ERR_CORRUPT, "a transaction's GTID is of another kind than the position before");
    if (c->consumed.n != 0) {
        struct gtid_set *more;
        if (!gtid_set_parse(p->flavor, c->consumed, &more, err))
            return err_ctx(err, "consumed GTIDs");
        bool ok = gtid_set_union(p->gtids, more, err);
        gtid_set_free(more);
        if (!ok)
            return false;
    }
    return t->gtid.flavor == GTID_NONE || gtid_set_add(p->gtids, &t->gtid, err);
}

bool seg_track_frame(struct seg_track *t, const struct frame *f, uint64_t upto, struct err *err)
{
    for (unsigned i = 0; i < frame_count(f); i++) {
        const struct record *r = frame_record(f, i);
        if (r->lsn > upto)
            break;
        if (r->op == REC_BEGIN) {
            t->gtid = r->u.begin.gtid;
            t->commit_us = r->u.begin.commit_us;
        }
        if (r->op != REC_COMMIT)
            continue;
        if (!take_gtids(t, &r->u.commit, err))
            return err_ctx(err, "commit at LSN %llu", (unsigned long long)r->lsn);
        snprintf(t->pos.server, sizeof t->pos.server, "%s", t->source);
        memcpy(t->pos.file, r->u.commit.file.p, r->u.commit.file.n); /* at most POSITION_FILE_MAX: frame_decode */
        t->pos.file[r->u.commit.file.n] = '\0';
        t->pos.offset = r->u.commit.end_offset;
        t->gtid = (struct gtid){ 0 };
        t->flushed_us = t->commit_us;
    }
    return true;
}

bool seg_track_position(struct seg_track *t, struct bytes payload, struct err *err)
{
    struct source_pos p;
    if (!position_frame_decode(payload, &p, err))
        return false;
    source_pos_clear(&t->pos);
    t->pos = p;
    return true;
}

void seg_track_clear(struct seg_track *t)
{
    source_pos_clear(&t->pos);
}
