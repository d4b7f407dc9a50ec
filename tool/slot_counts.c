/* slot_counts.c - see slot_counts.h. */
#include "slot_counts.h"

#include <stdlib.h>

/* Changes and commits of f's records up to lsn. */
static bool count_part(struct segment *s, const struct segment_frame *sf, uint64_t lsn, uint64_t *changes,
                       uint64_t *transactions, struct err *err)
{
    struct buf payload = { 0 };
    struct frame *f = NULL;
    bool ok = segment_read(s, sf, &payload, err) &&
              frame_decode(buf_view(&payload), &sf->info, segment_relations(s), &f, err);
    for (unsigned i = 0; ok && i < frame_count(f); i++) {
        const struct record *r = frame_record(f, i);
        if (r->lsn > lsn)
            break;
        if (r->op == REC_COMMIT)
            ++*transactions;
        else if (r->op >= REC_INSERT && r->op <= REC_TRUNCATE)
            ++*changes;
    }
    frame_unref(f);
    buf_free(&payload);
    return ok;
}

bool slot_counts_at(const struct slot *slot, uint64_t lsn, uint64_t *changes, uint64_t *transactions, struct err *err)
{
    struct slot_segment *segs = NULL;
    struct segment *s = NULL;
    size_t n = 0, at = 0;
    if (!slot_segments(slot, &segs, &n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (segs[i].first_lsn <= lsn)
            at = i;
    }
    if (n == 0 || segs[at].first_lsn > lsn + 1) {
        free(segs);
        return lsn == 0 ? (*changes = *transactions = 0, true)
                        : err_set(err, ERR_LOST, "LSN %llu is no longer in the slot", (unsigned long long)lsn);
    }
    bool ok = segment_open(slot_dirfd(slot), segs[at].name, &s, err);
    free(segs);
    if (!ok)
        return false;
    *changes = segment_header(s)->changes_before;
    *transactions = segment_header(s)->transactions_before;
    uint64_t off = segment_first_offset(s);
    while (ok) {
        struct segment_frame f;
        bool end = false;
        if (!segment_frame_at(s, off, &f, &end, err)) {
            ok = false;
            break;
        }
        if (end || f.type == ZB_FOOTER || (f.type == ZB_DATA && f.info.first_lsn > lsn))
            break;
        if (f.type == ZB_RELATIONS)
            ok = segment_load_relations(s, &f, err);
        if (f.type == ZB_DATA && f.info.first_lsn + f.info.nrecords - 1 <= lsn) {
            *changes += f.info.nchanges;
            *transactions += f.info.ncommits;
        } else if (f.type == ZB_DATA) {
            ok = count_part(s, &f, lsn, changes, transactions, err);
            break;
        }
        off = segment_next_offset(&f);
    }
    segment_close(s);
    return ok;
}
