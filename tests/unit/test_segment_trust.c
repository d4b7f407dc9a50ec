/* test_segment_trust.c - a segment that was cut at any byte, or in which any byte changed: recovery and readers then see a prefix of
 * the commits that were written, each as it was, or an error that says "corrupt" and names the file; never anything else. With a state
 * that says what was durable, nothing of that may be missing: recovery refuses. */
#include "slot_fixture.h"

#include <inttypes.h>

static const char first_segment[] = "0000000000000001.seg";
static struct seen want; /* what was written */

static void same_prefix(const struct seen *s, const char *what, size_t at)
{
    CHECK(s->n <= want.n && memcmp(s->commit, want.commit, sizeof s->commit[0] * s->n) == 0,
          "%s %zu: %" PRIu64 " commits that were not written", what, at, s->n);
}

static bool named_corruption(const char *dir)
{
    return err.code == ERR_CORRUPT && strstr(err.msg, dir) != NULL && strstr(err.msg, ".seg") != NULL;
}

/* What a start makes of the directory, and a reader of that. durable: the last LSN that must not get lost, 0 if nobody knows any. */
static void try_slot(const char *dir, const struct seg_writer_options *o, uint64_t durable, bool expect_refusal,
                     const char *what, size_t at)
{
    struct slot *slot = NULL;
    struct seg_writer *w = NULL;
    struct seg_recovered rec = { 0 };
    MUST(slot_open(dir, SLOT_WRITE, &slot, &err));
    bool ok = seg_writer_recover(slot, o, &w, &rec, &err);
    CHECK(ok || named_corruption(dir), "%s %zu: refused, but not as a named corruption: %s", what, at,
          ok ? "" : err.msg);
    CHECK(!expect_refusal || !ok, "%s %zu: taken, though LSN %" PRIu64 " was durable", what, at, durable);
    if (ok) {
        CHECK(rec.flushed_lsn >= durable, "%s %zu: recovered only to LSN %" PRIu64, what, at, rec.flushed_lsn);
        uint64_t commits = 0;
        while (commits < want.n && want.commit[commits].lsn <= rec.flushed_lsn)
            commits++;
        CHECK(rec.transactions == commits && rec.next_lsn == rec.flushed_lsn + 1,
              "%s %zu: %" PRIu64 " transactions up to LSN %" PRIu64, what, at, rec.transactions, rec.flushed_lsn);
        if (!rec.empty) {
            uint64_t gno = commits == 0 ? 0 : want.commit[commits - 1].gno;
            struct source_pos p = fixture_pos(gno),
                              later = fixture_pos(gno + 2); /* a position frame follows some commits */
            CHECK(fixture_same_pos(&rec.pos, &p) || fixture_same_pos(&rec.pos, &later), "%s %zu: position", what, at);
            source_pos_clear(&p);
            source_pos_clear(&later);
        }
        char server[37];
        uuid_text(fixture_server, server);
        struct source_pos start = fixture_pos(0);
        MUST(seg_writer_start(w, server, "8.4.0", &start, &err));
        source_pos_clear(&start);
    }
    source_pos_clear(&rec.pos);
    struct err ignored;
    seg_writer_close(&w, &ignored);
    slot_close(slot);
    struct seen s = seen_after(dir, 0);
    same_prefix(&s, what, at);
    CHECK(s.end == SEG_READ_END || named_corruption(dir), "%s %zu: reader: %s", what, at, err.msg);
    if (ok && s.end == SEG_READ_END)
        CHECK(s.n == 0 || s.commit[s.n - 1].lsn == rec.flushed_lsn, "%s %zu: the reader ends at the flushed LSN", what,
              at);
}

static void set_state(const char *dir, const struct buf *files, uint64_t flushed)
{
    fixture_store(dir, "state", buf_view(files));
    struct slot *slot = NULL;
    struct slot_state st;
    MUST(slot_open(dir, SLOT_WRITE, &slot, &err));
    MUST(slot_state_read(slot, &st, &err));
    st.flushed_lsn = flushed;
    MUST(slot_state_write(slot, &st, &err));
    MUST(slot_state_write(slot, &st, &err));
    slot_state_clear(&st);
    slot_close(slot);
}

/* A transaction in two frames, single ones, a position frame, relations defined on the way. */
static void write_some(struct fixture *f)
{
    fixture_txn(f, 2, 0);
    fixture_txn(f, 1, 1);
    f->gno += 2;
    struct source_pos p = fixture_pos(f->gno);
    MUST(seg_writer_position(f->w, &p, &err));
    source_pos_clear(&p);
    f->gno++;
    fixture_begin(f->b, f->gno);
    fixture_row(f->b, f->rel[0], f->gno, 0);
    fixture_append(f);
    fixture_row(f->b, f->rel[1], f->gno, 1);
    fixture_commit(f->b, f->gno, 0);
    fixture_append(f);
    for (unsigned i = 0; i < 2; i++) { /* two in one frame */
        f->gno++;
        fixture_begin(f->b, f->gno);
        fixture_row(f->b, f->rel[2], f->gno, i);
        fixture_commit(f->b, f->gno, 0);
    }
    fixture_append(f);
    fixture_txn(f, 3, 0);
    fixture_flush(f);
}

/* Which bytes of the open file lie before the end of the last commit: damage to the others costs nothing. */
static void open_segment(void)
{
    struct fixture f = fixture_new(&one_segment);
    write_some(&f);
    want = seen_after(f.dir, 0);
    CHECK(want.n == 6 && want.end == SEG_READ_END, "%" PRIu64 " commits written", want.n);
    uint64_t last = want.commit[want.n - 1].lsn;
    fixture_close(&f);
    struct buf whole = fixture_load(f.dir, first_segment), state = fixture_load(f.dir, "state");

    /* A crash: the file ends anywhere; what it said to be flushed is not known, or is. */
    for (int known = 0; known < 2; known++)
        for (size_t n = 0; n <= whole.n; n++) {
            set_state(f.dir, &state, known ? last : 0);
            fixture_store(f.dir, first_segment, bytes_of(whole.p, n));
            try_slot(f.dir, &one_segment, known ? last : 0, known && n < whole.n, "cut at", n);
        }
    /* In between: flushed up to the third commit. */
    for (size_t n = 0; n <= whole.n; n++) {
        set_state(f.dir, &state, want.commit[2].lsn);
        fixture_store(f.dir, first_segment, bytes_of(whole.p, n));
        try_slot(f.dir, &one_segment, want.commit[2].lsn, false, "half known, cut at", n);
    }
    static const uint8_t patterns[] = { 0xff, 0x01 };
    for (int known = 0; known < 2; known++)
        for (size_t i = 0; i < whole.n; i++)
            for (size_t k = 0; k < sizeof patterns; k++) {
                set_state(f.dir, &state, known ? last : 0);
                whole.p[i] ^= patterns[k];
                fixture_store(f.dir, first_segment, buf_view(&whole));
                whole.p[i] ^= patterns[k];
                /* The reader alone, first: capture may not run. */
                struct seen s = seen_after(f.dir, 0);
                same_prefix(&s, "reader of a file changed at", i);
                CHECK(s.end == SEG_READ_END || named_corruption(f.dir), "changed at %zu: %s", i, err.msg);
                CHECK(!known || s.end == SEG_READ_FAIL || s.n == want.n /* a position frame: no reader looks into it */,
                      "changed at %zu: the reader noticed nothing", i);
                try_slot(f.dir, &one_segment, known ? last : 0, known, "changed at", i);
            }
    /* Garbage and zeros behind the end: the rest of a crash, whatever is known. */
    for (unsigned i = 0; i < 3; i++) {
        struct buf more = { 0 };
        buf_bytes(&more, buf_view(&whole));
        for (unsigned k = 0; k < 200; k++)
            buf_u8(&more, i == 0 ? 0 : i == 1 ? 0xff : whole.p[whole.n - 200 + k]);
        set_state(f.dir, &state, last);
        fixture_store(f.dir, first_segment, buf_view(&more));
        try_slot(f.dir, &one_segment, last, false, "rest behind the end", i);
        struct buf now = fixture_load(f.dir, first_segment);
        CHECK(bytes_eq(buf_view(&now), buf_view(&whole)), "the rest was cut");
        buf_free(&now);
        buf_free(&more);
    }
    buf_free(&whole);
    buf_free(&state);
    fixture_free(&f);
}

/* The same for a sealed one, followed by an open one with another transaction. merge_below 0: it was sealed in place. */
static void sealed_segment(uint32_t merge_below)
{
    struct seg_writer_options o = { .segment_size = 1, .merge_below = merge_below, .frame_size = 100000 };
    struct fixture f = fixture_new(&o);
    write_some(&f);
    CHECK(fixture_segments(f.dir) == 2, "sealed");
    fixture_txn(&f, 1, 0);
    MUST(seg_writer_close(&f.w, &err));
    o.segment_size = UINT64_MAX;
    struct seg_recovered rec;
    MUST(seg_writer_recover(f.slot, &o, &f.w, &rec, &err));
    uint64_t last = rec.flushed_lsn;
    source_pos_clear(&rec.pos);
    fixture_start(&f);
    want = seen_after(f.dir, 0);
    CHECK(want.n == 7 && want.commit[6].lsn == last, "%" PRIu64 " commits written", want.n);
    fixture_close(&f);
    struct buf whole = fixture_load(f.dir, first_segment), state = fixture_load(f.dir, "state");
    for (int known = 0; known < 2; known++) {
        for (size_t n = 0; n < whole.n; n++) {
            set_state(f.dir, &state, known ? last : 0);
            fixture_store(f.dir, first_segment, bytes_of(whole.p, n));
            struct seen s = seen_after(f.dir, 0);
            same_prefix(&s, "reader of a sealed file cut at", n);
            CHECK(!known || s.end == SEG_READ_FAIL, "sealed, cut at %zu: the reader noticed nothing", n);
            try_slot(f.dir, &o, known ? last : 0, true, "sealed, cut at", n);
        }
        static const uint8_t patterns[] = { 0xff, 0x01 };
        for (size_t i = 0; i < whole.n; i++)
            for (size_t k = 0; k < sizeof patterns; k++) {
                set_state(f.dir, &state, known ? last : 0);
                whole.p[i] ^= patterns[k];
                fixture_store(f.dir, first_segment, buf_view(&whole));
                whole.p[i] ^= patterns[k];
                struct seen s = seen_after(f.dir, 0);
                same_prefix(&s, "reader of a sealed file changed at", i);
                CHECK(s.end == SEG_READ_END || named_corruption(f.dir), "sealed, changed at %zu: %s", i, err.msg);
                try_slot(f.dir, &o, known ? last : 0, false, "sealed, changed at", i);
            }
    }
    buf_free(&whole);
    buf_free(&state);
    fixture_free(&f);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    open_segment();
    sealed_segment(4096);
    sealed_segment(0);
    return UNIT_END();
}
