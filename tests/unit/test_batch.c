/* test_batch.c - a batch grows, holds frames once, and knows its last commit. */
#include "script_unit.h"

#include "batch.h"

int main(void)
{
    struct err err = { 0 };
    struct batch *b = batch_new();
    CHECK(batch_last_lsn(b) == 0, "an empty batch has no commit");
    for (uint64_t i = 0; i < 1000; i++) {
        struct outrow *r = batch_add_row(b, &err);
        CHECK(r != NULL && r->op == 0 && r->new_row == NULL && r->shape == NULL, "row %d is not zeroed", (int)i);
        r->lsn = i;
        struct batch_txn *t = batch_add_txn(b, &err);
        t->commit_lsn = i < 900 ? i + 1 : 0; /* an open one at the end */
        struct dead_row *d = batch_add_dead(b, &err);
        d->lsn = i;
    }
    CHECK(b->nrows == 1000 && b->rows[999].lsn == 999, "rows");
    CHECK(b->ndead == 1000 && b->dead[500].lsn == 500, "dead rows");
    CHECK(batch_last_lsn(b) == 900, "last commit %d", (int)batch_last_lsn(b));

    struct relation *rel = script_relation("s.t v:int");
    struct frame_builder *fb = frame_builder_new();
    frame_builder_reset(fb, 1, true);
    script_add(fb, rel, "+ 1", &err);
    struct frame *f = script_frame(fb, &err), *g = script_frame(fb, &err);
    CHECK(batch_hold_frame(b, f, &err) && batch_hold_frame(b, f, &err) && b->nframes == 1, "once per frame");
    CHECK(batch_hold_frame(b, g, &err) && b->nframes == 2, "two frames");
    frame_unref(f);
    frame_unref(g);
    CHECK(frame_count(b->frames[1]) == 1, "the batch's reference keeps it");
    batch_free(b);
    batch_free(NULL);
    frame_builder_free(fb);
    relation_unref(rel);
    return UNIT_END();
}
