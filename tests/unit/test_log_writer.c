/* test_log_writer.c - when what was handed over becomes durable: at once behind a small frame, soon behind a full one that nothing
 * follows, and in any case before the stage has stopped. */
#include "log_writer.h"
#include "slot_fixture.h"

enum { SMALL = 3, FULL = 12000, STEP_US = 1000, PATIENCE_STEPS = 20000 };

static struct capture_status status;

static void hand_over(struct fixture *f, struct log_writer *w, unsigned rows)
{
    uint64_t gno = ++f->gno;
    fixture_begin(f->b, gno);
    for (unsigned i = 0; i < rows; i++)
        fixture_row(f->b, f->rel[0], gno, i);
    fixture_commit(f->b, gno, 0);
    uint64_t next = frame_builder_next_lsn(f->b);
    struct source_pos pos = fixture_pos(gno);
    MUST(log_writer_frame(w, f->b, &pos, &err));
    frame_builder_reset(f->b, next, false);
    source_pos_clear(&pos);
}

static void becomes_durable(struct log_writer *w, const struct fixture *f, const char *what)
{
    for (unsigned i = 0; i < PATIENCE_STEPS && log_writer_durable(w) != log_writer_handed(w); i++)
        usleep(STEP_US);
    CHECK(log_writer_durable(w) == log_writer_handed(w), "%s is not durable by itself", what);
    CHECK(atomic_load(&status.flushed_lsn) == frame_builder_next_lsn(f->b) - 1, "%s: readers may go to LSN %llu only",
          what, (unsigned long long)atomic_load(&status.flushed_lsn));
}

int main(void)
{
    struct fixture f = fixture_new(&one_segment);
    struct slot_retention keep = { 0 };
    struct log_writer *w = NULL;
    MUST(log_writer_start(f.slot, f.w, &keep, &status, &w, &err));
    f.w = NULL;
    hand_over(&f, w, SMALL);
    becomes_durable(w, &f, "a small frame");
    hand_over(&f, w, FULL);
    becomes_durable(w, &f, "a full frame");
    hand_over(&f, w, FULL);
    MUST(log_writer_stop(&w, &err));
    uint64_t last = frame_builder_next_lsn(f.b) - 1;
    CHECK(atomic_load(&status.flushed_lsn) == last, "stopped with LSN %llu of %llu flushed",
          (unsigned long long)atomic_load(&status.flushed_lsn), (unsigned long long)last);
    fixture_free(&f);
    return UNIT_END();
}
