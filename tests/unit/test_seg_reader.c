/* test_seg_reader.c - a reader that follows while the log is appended to, cut, sealed, replaced and removed sees each commit once and
 * whole; waiting; look-ups of one commit. */
#include "slot_fixture.h"

#include "clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

static uint64_t read_all(struct seg_reader *r, struct seen *s, uint64_t *expect)
{
    static uint64_t gno, sum;
    struct frame *f;
    unsigned from;
    enum seg_read got;
    while ((got = seg_reader_next(r, &f, &from, &err)) == SEG_READ_FRAME) {
        CHECK(from < frame_count(f), "a frame with an unread record");
        seen_frame(s, f, from, &gno, &sum, expect);
        frame_unref(f);
    }
    CHECK(got == SEG_READ_END, "%s", err.msg);
    return s->n;
}

/* The same commits from every start, whatever the segments and frames are. */
static void every_start(void)
{
    struct fixture f = fixture_new(&small_segments);
    for (unsigned i = 0; i < 60; i++) {
        fixture_txn(&f, i % 4, 0);
        if (i % 3 == 0)
            fixture_flush(&f);
    }
    fixture_flush(&f);
    struct seen all = seen_after(f.dir, 0);
    CHECK(all.n == 60 && all.end == SEG_READ_END, "%" PRIu64 " commits", all.n);
    for (uint64_t i = 0; i < all.n; i++) {
        struct seen rest = seen_after(f.dir, all.commit[i].lsn);
        CHECK(rest.n == all.n - i - 1 && rest.end == SEG_READ_END, "after commit %" PRIu64 ": %" PRIu64, i, rest.n);
        CHECK(memcmp(rest.commit, &all.commit[i + 1], sizeof rest.commit[0] * rest.n) == 0, "the same commits");
        if (i + 1 < all.n && all.commit[i + 1].lsn - all.commit[i].lsn > 2) {
            rest = seen_after(f.dir, all.commit[i].lsn + 1);
            CHECK(rest.end == SEG_READ_FAIL && err.code == ERR_FENCED, "inside a transaction: %s", err.msg);
        }
    }
    struct seg_reader *r;
    CHECK(!seg_reader_open(f.dir, all.commit[59].lsn + 1, &r, &err) && err.code == ERR_LOST, "beyond the end: %s",
          err.msg);
    fixture_free(&f);
}

static void look_ups(void)
{
    struct fixture f = fixture_new(&small_segments);
    for (unsigned i = 0; i < 40; i++)
        fixture_txn(&f, 3, i % 3);
    fixture_flush(&f);
    f.gno++;
    fixture_begin(f.b, f.gno);
    for (unsigned i = 0; i < 100; i++) {
        fixture_row(f.b, f.rel[0], f.gno, i);
        if (i % 20 == 0)
            fixture_append(&f);
    }
    fixture_commit(f.b, f.gno, 0);
    fixture_append(&f);
    fixture_flush(&f);
    fixture_txn(&f, 1, 2);
    fixture_flush(&f);
    struct seen all = seen_after(f.dir, 0);
    CHECK(all.n == 42, "%" PRIu64 " commits", all.n);
    struct seg_commit c;
    for (uint64_t i = 0; i < all.n; i++) {
        MUST(seg_reader_commit_at(f.dir, all.commit[i].lsn, &c, &err));
        CHECK(c.known && c.gtid.no == all.commit[i].gno && c.end_offset == c.gtid.no * 100 &&
                  c.commit_us == (int64_t)c.gtid.no * 1000000 && strcmp(c.file, "bin.000001") == 0,
              "commit %" PRIu64 ": GTID %" PRIu64, i, c.gtid.no);
        struct source_pos p, want = fixture_pos(all.commit[i].gno);
        MUST(seg_reader_position_at(f.dir, all.commit[i].lsn, &p, &err));
        CHECK(fixture_same_pos(&p, &want), "position at commit %" PRIu64, i);
        source_pos_clear(&p);
        source_pos_clear(&want);
    }
    CHECK(!seg_reader_commit_at(f.dir, all.commit[3].lsn + 1, &c, &err) && err.code == ERR_FENCED, "no commit: %s",
          err.msg);
    CHECK(!seg_reader_commit_at(f.dir, all.commit[41].lsn + 1, &c, &err) && err.code == ERR_LOST, "beyond: %s",
          err.msg);
    MUST(seg_reader_commit_at(f.dir, 0, &c, &err));
    CHECK(!c.known && c.end_offset == 0, "before everything");

    /* Retention took the first segments: their end is still known, what lies before is lost. */
    struct slot_segment *seg;
    size_t n;
    MUST(slot_segments(f.slot, &seg, &n, &err));
    CHECK(n >= 2, "%zu segments", n);
    MUST(file_remove(slot_dirfd(f.slot), seg[0].name, &err));
    uint64_t edge = seg[1].first_lsn - 1;
    MUST(seg_reader_commit_at(f.dir, edge, &c, &err));
    CHECK(!c.known && c.end_offset != 0 && strcmp(c.file, "bin.000001") == 0, "the oldest segment's start");
    CHECK(!seg_reader_commit_at(f.dir, edge - 1, &c, &err) && err.code == ERR_LOST && strstr(err.msg, "no longer"),
          "%s", err.msg);
    struct seg_reader *r;
    MUST(seg_reader_open(f.dir, edge, &r, &err));
    CHECK(seg_reader_first_lsn(r) == edge + 1, "first LSN");
    seg_reader_close(r);
    free(seg);
    fixture_free(&f);
}

/* One reader in step with the writer: parts of transactions are invisible, cut and rewritten LSNs are never seen twice. */
static void in_step(void)
{
    struct fixture f = fixture_new(&small_segments);
    struct seg_reader *r;
    struct seen s = { 0 };
    uint64_t expect = 0, commits = 0;
    MUST(seg_reader_open(f.dir, 0, &r, &err));
    CHECK(read_all(r, &s, &expect) == 0, "an empty slot");
    for (unsigned i = 0; i < 150; i++) {
        fixture_txn(&f, 1 + i % 7, 0);
        CHECK(read_all(r, &s, &expect) == commits, "not flushed, not visible");
        fixture_flush(&f);
        commits++;
        if (i % 5 != 4) /* sometimes it lags over several seals */
            CHECK(read_all(r, &s, &expect) == commits, "flushed: %" PRIu64 " of %" PRIu64, s.n, commits);
        if (i % 10 == 9) { /* a torn transaction */
            uint64_t next;
            fixture_begin(f.b, f.gno + 1);
            fixture_row(f.b, f.rel[i % 3], f.gno + 1, 7);
            fixture_append(&f);
            fixture_flush(&f);
            CHECK(read_all(r, &s, &expect) == commits, "an open transaction is invisible");
            MUST(seg_writer_cut(f.w, &next, &err));
            frame_builder_reset(f.b, next, false);
        }
        if (i == 50) { /* capture restarts */
            struct seg_recovered rec;
            fixture_close(&f);
            MUST(fixture_try_open(&f, &small_segments, &rec));
            source_pos_clear(&rec.pos);
            fixture_start(&f);
        }
    }
    CHECK(read_all(r, &s, &expect) == 150, "%" PRIu64 " commits", s.n);
    struct seen again = seen_after(f.dir, 0);
    CHECK(again.n == 150 && memcmp(again.commit, s.commit, sizeof s.commit[0] * 150) == 0, "the same as read later");
    CHECK(fixture_segments(f.dir) > 4, "%zu segments", fixture_segments(f.dir));

    /* The open segment, without records, is replaced under the reader (position frames rolled it). */
    size_t before = fixture_segments(f.dir);
    for (unsigned i = 0; i < 80; i++) {
        f.gno++;
        struct source_pos p = fixture_pos(f.gno);
        MUST(seg_writer_position(f.w, &p, &err));
        MUST(seg_writer_flush(f.w, &p, &err));
        source_pos_clear(&p);
        CHECK(read_all(r, &s, &expect) == 150, "nothing new");
    }
    CHECK(fixture_segments(f.dir) <= before + 1, "replaced, not added");
    fixture_txn(&f, 2, 0);
    fixture_flush(&f);
    CHECK(read_all(r, &s, &expect) == 151, "behind a replaced segment");
    seg_reader_close(r);
    fixture_free(&f);
}

/* A removed segment stays readable to the reader that has it open; the next one is lost when it is gone, too. */
static void removed(void)
{
    struct fixture f = fixture_new(&small_segments);
    struct seg_reader *r;
    while (fixture_segments(f.dir) < 4) {
        fixture_txn(&f, 10, 0);
        fixture_flush(&f);
    }
    struct slot_segment *seg;
    size_t n;
    MUST(slot_segments(f.slot, &seg, &n, &err));
    MUST(seg_reader_open(f.dir, 0, &r, &err));
    struct frame *fr;
    unsigned from;
    CHECK(seg_reader_next(r, &fr, &from, &err) == SEG_READ_FRAME, "%s", err.msg);
    frame_unref(fr);
    MUST(file_remove(slot_dirfd(f.slot), seg[0].name, &err));
    MUST(file_remove(slot_dirfd(f.slot), seg[1].name, &err));
    uint64_t last = 0;
    enum seg_read got;
    while ((got = seg_reader_next(r, &fr, &from, &err)) == SEG_READ_FRAME) {
        last = frame_info(fr)->last_commit_lsn;
        frame_unref(fr);
    }
    CHECK(last == seg[1].first_lsn - 1 && got == SEG_READ_FAIL && err.code == ERR_LOST, "read to LSN %" PRIu64 ": %s",
          last, err.msg);
    seg_reader_close(r);
    free(seg);
    fixture_free(&f);
}

/* A state that is older than a sealed segment (a power loss): what is sealed is durable. */
static void stale_state(void)
{
    struct fixture f = fixture_new(&small_segments);
    fixture_txn(&f, 5, 0);
    fixture_flush(&f);
    struct buf old = fixture_load(f.dir, "state");
    while (fixture_segments(f.dir) < 2) {
        fixture_txn(&f, 5, 0);
        fixture_flush(&f);
    }
    uint64_t sealed = f.gno;
    fixture_txn(&f, 5, 0);
    fixture_flush(&f);
    fixture_close(&f);
    fixture_store(f.dir, "state", buf_view(&old));
    struct seen s = seen_after(f.dir, 0);
    CHECK(s.end == SEG_READ_END && s.n == sealed, "%" PRIu64 " commits of %" PRIu64 " sealed", s.n, sealed);
    struct seg_recovered rec;
    MUST(fixture_try_open(&f, &small_segments, &rec));
    source_pos_clear(&rec.pos);
    fixture_start(&f);
    s = seen_after(f.dir, 0);
    CHECK(s.n == sealed + 1, "capture makes it right: %" PRIu64, s.n);
    buf_free(&old);
    fixture_free(&f);
}

static void waiting(void)
{
    struct fixture f = fixture_new(&one_segment);
    struct seg_reader *r;
    int wake[2];
    CHECK(pipe(wake) == 0, "pipe");
    MUST(seg_reader_open(f.dir, 0, &r, &err));
    struct frame *fr;
    unsigned from;
    CHECK(seg_reader_next(r, &fr, &from, &err) == SEG_READ_END, "empty");
    int64_t t0 = clock_mono_us();
    MUST(seg_reader_wait(r, 50, wake[0], &err));
    CHECK(clock_mono_us() - t0 >= 45000, "slept %d us", (int)(clock_mono_us() - t0));
    MUST(seg_writer_heartbeat(f.w, 12345, true, -7, &err)); /* no reason to wake up */
    t0 = clock_mono_us();
    MUST(seg_reader_wait(r, 50, wake[0], &err));
    CHECK(clock_mono_us() - t0 >= 45000, "a heartbeat is no news");
    CHECK(seg_reader_state(r)->heartbeat_us == 12345 && seg_reader_state(r)->clock_offset_us == -7 &&
              seg_reader_state(r)->streaming,
          "but it is seen");
    fixture_txn(&f, 1, 0);
    fixture_flush(&f); /* between _next and _wait: not missed */
    t0 = clock_mono_us();
    MUST(seg_reader_wait(r, 5000, -1, &err));
    CHECK(clock_mono_us() - t0 < 2000000 && seg_reader_state(r)->flushed_lsn == 3, "woken by the flush");
    CHECK(seg_reader_state(r)->clock_offset_us == -7, "a flush keeps the offset");
    CHECK(write(wake[1], "x", 1) == 1, "wake");
    t0 = clock_mono_us();
    CHECK(seg_reader_next(r, &fr, &from, &err) == SEG_READ_FRAME, "%s", err.msg);
    frame_unref(fr);
    MUST(seg_reader_wait(r, -1, wake[0], &err));
    CHECK(clock_mono_us() - t0 < 2000000, "woken by the pipe");
    close(wake[0]);
    close(wake[1]);
    seg_reader_close(r);
    fixture_free(&f);
}

/* Readers in threads of their own while the writer runs as fast as it can. */
struct follower {
    pthread_t thread;
    const char *dir;
    atomic_uint *stop;
    uint64_t commits, rows;
    char msg[sizeof err.msg];
};

static void *follow(void *arg)
{
    struct follower *me = arg;
    struct err e;
    struct seg_reader *r;
    uint64_t expect = 1;
    if (!seg_reader_open(me->dir, 0, &r, &e)) {
        memcpy(me->msg, e.msg, sizeof me->msg);
        return NULL;
    }
    for (;;) {
        bool last = atomic_load(me->stop) != 0;
        struct frame *f;
        unsigned from;
        enum seg_read got;
        while ((got = seg_reader_next(r, &f, &from, &e)) == SEG_READ_FRAME) {
            for (unsigned i = from; i < frame_count(f); i++, expect++) {
                const struct record *rec = frame_record(f, i);
                if (rec->lsn != expect)
                    snprintf(me->msg, sizeof me->msg, "LSN %" PRIu64 " instead of %" PRIu64, rec->lsn, expect);
                me->commits += rec->op == REC_COMMIT;
                me->rows += rec->op == REC_INSERT;
            }
            frame_unref(f);
        }
        if (got == SEG_READ_FAIL || (got == SEG_READ_END && last) || !seg_reader_wait(r, 20, -1, &e)) {
            if (got == SEG_READ_FAIL)
                memcpy(me->msg, e.msg, sizeof me->msg);
            break;
        }
    }
    seg_reader_close(r);
    return NULL;
}

static void threads(void)
{
    enum { READERS = 3, TXNS = 600 };
    struct fixture f = fixture_new(&small_segments);
    struct follower me[READERS] = { 0 };
    atomic_uint stop = 0;
    uint64_t rows = 0;
    for (unsigned i = 0; i < READERS; i++) {
        me[i].dir = f.dir;
        me[i].stop = &stop;
        CHECK(pthread_create(&me[i].thread, NULL, follow, &me[i]) == 0, "thread");
    }
    for (unsigned i = 0; i < TXNS; i++) {
        fixture_txn(&f, i % 9, 0);
        rows += i % 9;
        if (i % 4 == 0)
            fixture_flush(&f);
        if (i % 50 == 49) {
            uint64_t next;
            fixture_flush(&f);
            fixture_begin(f.b, f.gno + 1);
            fixture_row(f.b, f.rel[1], f.gno + 1, 7);
            fixture_append(&f);
            MUST(seg_writer_cut(f.w, &next, &err));
            frame_builder_reset(f.b, next, false);
        }
    }
    fixture_flush(&f);
    atomic_store(&stop, 1);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(me[i].thread, NULL);
        CHECK(me[i].msg[0] == '\0' && me[i].commits == TXNS && me[i].rows == rows,
              "reader %u: %" PRIu64 " commits, %" PRIu64 " of %" PRIu64 " rows: %s", i, me[i].commits, me[i].rows, rows,
              me[i].msg);
    }
    fixture_free(&f);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    every_start();
    look_ups();
    in_step();
    removed();
    stale_state();
    waiting();
    threads();
    return UNIT_END();
}
