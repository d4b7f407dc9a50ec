/* test_seg_writer.c - appending, rolling, sealing, cutting; what a start after a crash finds and what it refuses (I2). */
#include "slot_fixture.h"

#include <inttypes.h>

static struct seg_recovered restart(struct fixture *f, const struct seg_writer_options *o)
{
    struct seg_recovered rec = { 0 };
    if (f->slot != NULL)
        fixture_close(f);
    MUST(fixture_try_open(f, o, &rec));
    frame_builder_reset(f->b, rec.next_lsn, false);
    return rec;
}

static void check_seen(struct fixture *f, uint64_t commits, const char *what)
{
    struct seen s = seen_after(f->dir, 0);
    CHECK(s.end == SEG_READ_END && s.n == commits, "%s: %" PRIu64 " of %" PRIu64 " commits, end %d %s", what, s.n,
          commits, (int)s.end, s.end == SEG_READ_FAIL ? err.msg : "");
}

static void check_pos(struct source_pos *got, uint64_t gno, const char *what)
{
    struct source_pos want = fixture_pos(gno);
    struct buf t = { 0 };
    source_pos_text(got, &t);
    CHECK(fixture_same_pos(got, &want), "%s: position %s", what, buf_cstr(&t));
    buf_free(&t);
    source_pos_clear(&want);
    source_pos_clear(got);
}

static void rolling(void)
{
    struct fixture f = fixture_new(&small_segments);
    uint64_t changes = 0;
    for (unsigned i = 0; i < 120; i++) {
        fixture_txn(&f, 1 + i % 5, i % 3);
        changes += 1 + i % 5;
        fixture_flush(&f);
    }
    CHECK(fixture_segments(f.dir) > 3, "%zu segments", fixture_segments(f.dir));
    check_seen(&f, 120, "rolled");
    struct seg_recovered rec = restart(&f, &small_segments);
    CHECK(!rec.empty && rec.transactions == 120 && rec.changes == changes && rec.cut_bytes == 0,
          "counts %" PRIu64 " %" PRIu64, rec.changes, rec.transactions);
    check_pos(&rec.pos, f.gno, "recovered");

    /* Sealed segments: merged, complete, their footers tell the truth. */
    struct slot_segment *seg;
    size_t n;
    uint64_t lsn = 1, counted = 0, txns = 0, frames = 0;
    MUST(slot_segments(f.slot, &seg, &n, &err));
    for (size_t i = 0; i + 1 < n; i++) {
        struct segment *g = NULL;
        const struct segment_footer *ft = NULL;
        MUST(segment_open(slot_dirfd(f.slot), seg[i].name, &g, &err));
        MUST(segment_footer(g, &ft, &err));
        CHECK(ft != NULL && segment_header(g)->first_lsn == lsn, "segment %zu follows", i);
        if (ft == NULL)
            break;
        CHECK(segment_header(g)->changes_before == counted && segment_header(g)->transactions_before == txns,
              "counts before");
        uint64_t inserts = 0;
        for (size_t k = 0; k < ft->ncounts; k++) {
            inserts += ft->counts[k].inserts;
            CHECK(ft->counts[k].updates == 0 && ft->counts[k].deletes == 0 &&
                      relation_table_find(&ft->relations, ft->counts[k].relation) != NULL,
                  "counts of a known relation");
        }
        counted += inserts;
        CHECK(counted == ft->changes, "%" PRIu64 " changes, the footer says %" PRIu64, counted, ft->changes);
        txns = ft->transactions;
        lsn = ft->next_lsn;
        frames += ft->nframes;
        segment_close(g);
    }
    CHECK(frames < 60, "%" PRIu64 " frames after merging 120", frames);
    free(seg);

    /* The next run goes on in the same segment. */
    size_t before = fixture_segments(f.dir);
    fixture_start(&f);
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    CHECK(fixture_segments(f.dir) == before, "no new segment");
    check_seen(&f, 121, "goes on");
    fixture_free(&f);
}

/* A transaction in parts, then cut: the LSNs are used again, and its relation is defined again. */
static void cutting(void)
{
    struct fixture f = fixture_new(&one_segment);
    fixture_txn(&f, 1, 0); /* uses t1 */
    fixture_flush(&f);
    uint64_t at = frame_builder_next_lsn(f.b), next = 0;
    for (int round = 0; round < 2; round++) {
        fixture_begin(f.b, f.gno + 1);
        fixture_row(f.b, f.rel[2], f.gno + 1, 0);
        fixture_append(&f);
        CHECK(frame_builder_inside(f.b), "the frame continues");
        fixture_row(f.b, f.rel[0], f.gno + 1, 1);
        fixture_append(&f);
        fixture_flush(&f); /* durable, but not visible */
        check_seen(&f, 1, "a part of a transaction");
        struct source_pos p = fixture_pos(f.gno);
        CHECK(!seg_writer_position(f.w, &p, &err), "a position inside a transaction");
        source_pos_clear(&p);
        if (round == 0) {
            MUST(seg_writer_cut(f.w, &next, &err));
            CHECK(next == at, "cut to LSN %" PRIu64, next);
        } else {
            struct seg_recovered rec = restart(&f, &one_segment);
            CHECK(rec.next_lsn == at && rec.cut_bytes > 0 && rec.flushed_lsn == at - 1, "recovered to %" PRIu64,
                  rec.next_lsn);
            check_pos(&rec.pos, f.gno, "before the part");
            fixture_start(&f);
        }
        frame_builder_reset(f.b, at, false);
    }
    f.gno = 4; /* next is 5: uses t2 again */
    fixture_txn(&f, 2, 0);
    fixture_flush(&f);
    check_seen(&f, 2, "written again");
    MUST(seg_writer_cut(f.w, &next, &err));
    CHECK(next == frame_builder_next_lsn(f.b), "nothing to cut");
    fixture_free(&f);
}

/* A transaction over several frames, in a segment that rolls behind it; small ones before and after. */
static void large_transaction(void)
{
    struct fixture f = fixture_new(&small_segments);
    for (unsigned i = 0; i < 3; i++)
        fixture_txn(&f, 2, 0);
    fixture_flush(&f);
    f.gno++;
    fixture_begin(f.b, f.gno);
    for (unsigned i = 0; i < 2000; i++) {
        fixture_row(f.b, f.rel[i % 3], f.gno, i);
        if (i % 100 == 99)
            fixture_append(&f);
    }
    fixture_commit(f.b, f.gno, 0);
    fixture_append(&f);
    fixture_flush(&f);
    fixture_txn(&f, 2, 0);
    fixture_flush(&f);
    CHECK(fixture_segments(f.dir) == 2, "rolled once: %zu", fixture_segments(f.dir));
    check_seen(&f, 5, "large");
    struct seg_recovered rec = restart(&f, &small_segments);
    CHECK(rec.changes == 2008 && rec.transactions == 5, "counts");
    check_pos(&rec.pos, f.gno, "after the large one");
    fixture_free(&f);
}

static void append_position(struct fixture *f, unsigned filtered)
{
    f->gno += filtered;
    struct source_pos p = fixture_pos(f->gno);
    MUST(seg_writer_position(f->w, &p, &err));
    MUST(seg_writer_flush(f->w, &p, &err));
    source_pos_clear(&p);
}

/* Position frames: recovered, kept between data when sealed, collapsed when they follow each other. */
static void positions(void)
{
    static const struct seg_writer_options positions_options = { .segment_size = 3000,
                                                                 .merge_below = 4096,
                                                                 .frame_size = 100000 };
    struct fixture f = fixture_new(&positions_options);
    append_position(&f, 5);
    append_position(&f, 2);
    struct seg_recovered rec = restart(&f, &positions_options);
    check_pos(&rec.pos, 7, "positions only");
    CHECK(rec.flushed_lsn == 0 && !rec.empty, "no record yet");
    fixture_start(&f);
    fixture_txn(&f, 1, 0); /* 8 */
    fixture_txn(&f, 1, 0);
    append_position(&f, 3); /* 12 */
    append_position(&f, 4); /* 16 */
    fixture_txn(&f, 1, 2);  /* 19: 17 and 18 consumed */
    fixture_txn(&f, 1, 0);  /* 20 */
    append_position(&f, 1); /* 21 */
    uint64_t last = frame_builder_next_lsn(f.b) - 1;
    while (fixture_segments(f.dir) == 1) /* rolls by positions alone */
        append_position(&f, 1);
    struct slot_segment *seg;
    size_t n;
    struct segment *g = NULL;
    const struct segment_footer *ft = NULL;
    MUST(slot_segments(f.slot, &seg, &n, &err));
    MUST(segment_open(slot_dirfd(f.slot), seg[0].name, &g, &err));
    MUST(segment_footer(g, &ft, &err));
    static const uint8_t want[] = { ZB_POSITION, ZB_DATA, ZB_POSITION, ZB_DATA, ZB_POSITION };
    CHECK(ft != NULL && ft->nframes == 5, "%zu frames", ft == NULL ? 0 : ft->nframes);
    for (size_t i = 0; ft != NULL && i < ft->nframes && i < 5; i++)
        CHECK(ft->frames[i].type == want[i], "frame %zu is of type %u", i, ft->frames[i].type);
    CHECK(ft != NULL && ft->next_lsn == last + 1, "next LSN");
    segment_close(g);
    free(seg);
    for (int round = 0; round < 2; round++) {
        struct source_pos p;
        MUST(seg_reader_position_at(f.dir, last, &p, &err));
        check_pos(&p, 20, "position at the last commit");
        MUST(seg_reader_position_at(f.dir, 6, &p, &err));
        check_pos(&p, 9, "position at the second commit");
        MUST(seg_reader_position_at(f.dir, 0, &p, &err));
        check_pos(&p, 0, "position at the start");
        rec = restart(&f, &positions_options);
        check_pos(&rec.pos, f.gno, "at the end");
        fixture_start(&f);
    }
    /* The new segment has no records: when it rolls, its successor takes its place. */
    uint64_t rolls = fixture_segments(f.dir);
    for (unsigned i = 0; i < 40; i++)
        append_position(&f, 1);
    CHECK(rolls == 2 && fixture_segments(f.dir) == 2, "%zu segments", fixture_segments(f.dir));
    check_seen(&f, 4, "after replacements");
    rec = restart(&f, &positions_options);
    check_pos(&rec.pos, f.gno, "after replacements");
    fixture_free(&f);
}

/* Another source: a new segment, so that each segment's offsets belong to one server. */
static void other_source(void)
{
    struct fixture f = fixture_new(&one_segment);
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    struct seg_recovered rec = restart(&f, &one_segment);
    source_pos_clear(&rec.pos);
    MUST(seg_writer_start(f.w, "another", "9.0", NULL, &err));
    CHECK(!seg_writer_start(f.w, "another", "9.0", NULL, &err), "started twice");
    CHECK(fixture_segments(f.dir) == 2, "a new segment");
    fixture_txn(&f, 1, 0);
    rec = restart(&f, &one_segment);
    CHECK(strcmp(rec.pos.server, "another") == 0 && rec.pos.offset == 200 && rec.flushed_lsn == 6, "server %s",
          rec.pos.server);
    source_pos_clear(&rec.pos);
    MUST(seg_writer_start(f.w, "another", "9.1", NULL, &err));
    fixture_close(&f);
    rec = restart(&f, &one_segment);
    source_pos_clear(&rec.pos);
    MUST(seg_writer_start(f.w, "third", "9.1", NULL, &err)); /* the last one is empty: replaced */
    CHECK(fixture_segments(f.dir) == 3, "%zu segments", fixture_segments(f.dir));
    check_seen(&f, 2, "over sources");
    fixture_free(&f);
}

static void refusals(void)
{
    struct fixture f = fixture_new(&one_segment);
    struct frame_info info;
    struct buf payload = { 0 };
    frame_builder_reset(f.b, 7, false);
    fixture_begin(f.b, 1);
    fixture_commit(f.b, 1, 0);
    MUST(frame_builder_finish(f.b, &payload, &info, &err));
    CHECK(!seg_writer_append(f.w, &info, buf_view(&payload), frame_builder_relations(f.b), &err) &&
              strstr(err.msg, "LSN 7"),
          "a gap: %s", err.msg);
    buf_free(&payload);
    struct seg_writer *w2;
    struct seg_recovered rec;
    fixture_close(&f);
    MUST(slot_open(f.dir, SLOT_WRITE, &f.slot, &err));
    MUST(seg_writer_recover(f.slot, &one_segment, &w2, &rec, &err));
    source_pos_clear(&rec.pos);
    CHECK(!seg_writer_flush(w2, &(struct source_pos){ 0 }, &err), "not started");
    MUST(seg_writer_close(&w2, &err));
    fixture_free(&f);
}

static void must_refuse(struct fixture *f, const char *want, const char *what)
{
    struct seg_recovered rec;
    bool ok = fixture_try_open(f, &small_segments, &rec);
    CHECK(!ok && err.code == ERR_CORRUPT && strstr(err.msg, want) != NULL && strstr(err.msg, f->dir) != NULL, "%s: %s",
          what, ok ? "taken" : err.msg);
    if (ok) {
        source_pos_clear(&rec.pos);
        fixture_close(f);
    }
}

/* Segments that are missing, of another slot, older copies; the state and the subscriptions guard what was durable. */
static void missing(void)
{
    struct fixture f = fixture_new(&small_segments);
    struct slot_segment *seg;
    size_t n;
    while (fixture_segments(f.dir) < 4) {
        fixture_txn(&f, 10, 0);
        fixture_flush(&f);
    }
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    MUST(slot_segments(f.slot, &seg, &n, &err));
    fixture_close(&f);
    struct buf last = fixture_load(f.dir, seg[3].name), before = fixture_load(f.dir, seg[2].name),
               state = fixture_load(f.dir, "state");
    char path[512];

    /* The newest is gone: state knows. */
    snprintf(path, sizeof path, "%s/%s", f.dir, seg[3].name);
    unlink(path);
    must_refuse(&f, "is durable", "the newest segment is gone");
    struct seen s = seen_after(f.dir, 0);
    CHECK(s.end == SEG_READ_FAIL && err.code == ERR_CORRUPT && strstr(err.msg, "ends before"), "reader: %s", err.msg);
    /* Torn while it was created: not with a state that knows of its records. */
    fixture_store(f.dir, seg[3].name, bytes_of(last.p, 40));
    must_refuse(&f, "truncated", "a torn header that had records");
    fixture_store(f.dir, seg[3].name, buf_view(&last));
    /* The one before it is gone, or an open file where a sealed one must be, or of another slot. */
    fixture_store(f.dir, seg[2].name, buf_view(&last));
    must_refuse(&f, seg[2].name, "a file under another name");
    struct segment_header h;
    size_t size;
    MUST(segment_header_decode(buf_view(&before), &h, &size, &err));
    h.slot[3] ^= 1;
    struct buf other = { 0 };
    MUST(segment_header_encode(&h, &other, &err));
    buf_bytes(&other, bytes_of(before.p + size, before.n - size));
    fixture_store(f.dir, seg[2].name, buf_view(&other));
    must_refuse(&f, "another slot", "a segment of another slot");
    buf_reset(&other);
    h.slot[3] ^= 1;
    h.sealed = false;
    MUST(segment_header_encode(&h, &other, &err));
    buf_bytes(&other, bytes_of(before.p + size, before.n - size));
    fixture_store(f.dir, seg[2].name, buf_view(&other));
    must_refuse(&f, "not sealed", "an open segment that is not the last");
    segment_header_clear(&h);
    buf_free(&other);
    snprintf(path, sizeof path, "%s/%s", f.dir, seg[2].name);
    unlink(path);
    must_refuse(&f, "begins at LSN", "a segment in the middle is gone");
    fixture_store(f.dir, seg[2].name, buf_view(&before));

    /* An older state (a power loss): a subscription's confirmed LSN guards as well. */
    MUST(slot_open(f.dir, SLOT_WRITE, &f.slot, &err));
    struct slot_state st;
    MUST(slot_state_read(f.slot, &st, &err));
    uint64_t flushed = st.flushed_lsn;
    st.flushed_lsn = 0;
    MUST(slot_state_write(f.slot, &st, &err));
    MUST(slot_state_write(f.slot, &st, &err));
    slot_state_clear(&st);
    struct slot_sub sub = { .name = "crm", .confirmed_lsn = flushed };
    MUST(slot_sub_write(f.slot, &sub, &err));
    slot_close(f.slot);
    f.slot = NULL;
    fixture_store(f.dir, seg[3].name, bytes_of(last.p, last.n - 1));
    must_refuse(&f, "subscription crm", "cut below a confirmed LSN");
    sub.confirmed_lsn = 1;
    MUST(slot_open(f.dir, SLOT_WRITE, &f.slot, &err));
    MUST(slot_sub_write(f.slot, &sub, &err));
    slot_close(f.slot);
    f.slot = NULL;
    struct seg_recovered rec;
    MUST(fixture_try_open(&f, &small_segments, &rec)); /* nobody knows of it: a torn tail */
    CHECK(rec.cut_bytes > 0 && rec.flushed_lsn < flushed, "cut");
    source_pos_clear(&rec.pos);
    fixture_close(&f);

    /* Everything gone. */
    fixture_store(f.dir, "state", buf_view(&state));
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", f.dir, seg[i].name);
        unlink(path);
    }
    must_refuse(&f, "no segments", "all segments are gone");
    buf_free(&last);
    buf_free(&before);
    buf_free(&state);
    free(seg);
    fixture_free(&f);
}

/* Crashes between the steps of sealing: temporary files, a sealed last segment, a torn successor. */
static void crash_while_rolling(void)
{
    struct fixture f = fixture_new(&small_segments);
    while (fixture_segments(f.dir) < 2) {
        fixture_txn(&f, 10, 0);
        fixture_flush(&f);
    }
    uint64_t commits = f.gno;
    struct slot_segment *seg;
    size_t n;
    MUST(slot_segments(f.slot, &seg, &n, &err));
    fixture_close(&f);
    struct buf next = fixture_load(f.dir, seg[1].name);
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f.dir, seg[1].name);
    for (size_t cut = 0; cut <= next.n; cut += 7) {
        if (cut == 0)
            unlink(path);
        else
            fixture_store(f.dir, seg[1].name, bytes_of(next.p, cut > next.n - 7 ? next.n : cut));
        fixture_store(f.dir, "0000000000000001.seg.tmp", BYTES_LIT("rest"));
        fixture_store(f.dir, "crm.sub.tmp", BYTES_LIT("an applier's: it may be writing just now"));
        struct seg_recovered rec = restart(&f, &small_segments);
        CHECK(!fixture_has(f.dir, "0000000000000001.seg.tmp") && fixture_has(f.dir, "crm.sub.tmp"), "temporary files");
        CHECK(rec.next_lsn == seg[1].first_lsn && !rec.empty && rec.transactions == commits,
              "cut at %zu: next LSN %" PRIu64, cut, rec.next_lsn);
        check_pos(&rec.pos, f.gno, "from the footer");
        fixture_start(&f);
        CHECK(fixture_segments(f.dir) == 2, "created");
        check_seen(&f, commits, "after a crash while rolling");
        fixture_close(&f);
    }
    buf_free(&next);
    free(seg);
    struct seg_recovered rec = restart(&f, &small_segments);
    source_pos_clear(&rec.pos);
    fixture_free(&f);
}

static ino_t inode(const char *dir, const char *name)
{
    struct stat st;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(stat(path, &st) == 0, "stat %s", path);
    return st.st_ino;
}

/* Nothing to merge: the footer comes behind the frames, nothing moves, who has the file open goes on. A crash in front of the seal takes
 * the footer off again. */
static void sealed_in_place(void)
{
    static const struct seg_writer_options o = { .segment_size = 4000, .merge_below = 0, .frame_size = 1500 };
    static const char name[] = "0000000000000001.seg";
    struct fixture f = fixture_new(&o);
    fixture_txn(&f, 3, 0);
    fixture_flush(&f);
    ino_t before = inode(f.dir, name);
    struct segment *early = NULL, *g = NULL;
    MUST(segment_open(slot_dirfd(f.slot), name, &early, &err));
    struct buf open_file = { 0 };
    while (fixture_segments(f.dir) < 2) {
        buf_free(&open_file);
        open_file = fixture_load(f.dir, name);
        fixture_txn(&f, 10, 0);
        fixture_flush(&f);
    }
    struct buf sealed = fixture_load(f.dir, name);
    CHECK(inode(f.dir, name) == before && sealed.n > open_file.n &&
              memcmp(sealed.p, open_file.p, SEGMENT_SEAL_AT) == 0 &&
              memcmp(sealed.p + SEGMENT_SEAL_AT + 2, open_file.p + SEGMENT_SEAL_AT + 2,
                     open_file.n - SEGMENT_SEAL_AT - 2) == 0,
          "in place, and nothing but the seal has changed");
    const struct segment_footer *ft = NULL;
    MUST(segment_open(slot_dirfd(f.slot), name, &g, &err));
    MUST(segment_footer(g, &ft, &err));
    uint64_t at = segment_first_offset(early);
    size_t n = 0;
    for (bool end = false; !end;) {
        struct segment_frame fr;
        MUST(segment_frame_at(early, at, &fr, &end, &err));
        if (!end && fr.type == ZB_DATA) {
            CHECK(ft != NULL && n < ft->nframes && ft->frames[n].offset == at, "frame %zu where the index says", n);
            n++;
        }
        at = segment_next_offset(&fr);
    }
    CHECK(ft != NULL && n == ft->nframes && n == f.gno, "%zu frames of %" PRIu64, n, f.gno);
    segment_close(g);
    segment_close(early);
    check_seen(&f, f.gno, "sealed in place");
    struct slot_segment *seg;
    size_t nseg;
    char path[512];
    MUST(slot_segments(f.slot, &seg, &nseg, &err));
    snprintf(path, sizeof path, "%s/%s", f.dir, seg[1].name);
    free(seg);
    fixture_close(&f);

    for (size_t cut = 0; cut < 3; cut++) { /* the whole footer; without its last byte; without the trailer */
        static const size_t less[] = { 0, 1, SEGMENT_TRAILER_SIZE };
        unlink(path);
        memset(sealed.p + SEGMENT_SEAL_AT, 0, 2);
        fixture_store(f.dir, name, bytes_of(sealed.p, sealed.n - less[cut]));
        struct seg_recovered rec = restart(&f, &o);
        CHECK(rec.transactions == f.gno && rec.cut_bytes != 0, "a footer without seal, %zu: cut %" PRIu64, cut,
              rec.cut_bytes);
        check_pos(&rec.pos, f.gno, "a footer without seal");
        fixture_start(&f);
        check_seen(&f, f.gno, "a footer without seal");
        fixture_close(&f);
    }
    struct seg_recovered rec = restart(&f, &o);
    source_pos_clear(&rec.pos);
    fixture_start(&f);
    while (fixture_segments(f.dir) < 2) { /* and is sealed again */
        fixture_txn(&f, 10, 0);
        fixture_flush(&f);
    }
    check_seen(&f, f.gno, "sealed in place again");
    CHECK(inode(f.dir, name) != 0, "there");
    buf_free(&open_file);
    buf_free(&sealed);
    fixture_free(&f);
}

/* Small frames beside large ones: where they take less than an eighth they are left as they are. */
static void merging_must_pay(void)
{
    static const struct seg_writer_options o = { .segment_size = 4000, .merge_below = 2000, .frame_size = 1 << 20 };
    for (unsigned small = 1; small < 40; small += 19) {
        struct fixture f = fixture_new(&o);
        ino_t before = inode(f.dir, "0000000000000001.seg");
        for (unsigned i = 0; i < small; i++)
            fixture_txn(&f, 1, 0);
        while (fixture_segments(f.dir) < 2) {
            fixture_txn(&f, 200, 0);
            fixture_flush(&f);
        }
        bool anew = inode(f.dir, "0000000000000001.seg") != before;
        CHECK(anew == (small > 1), "%u small frames: %s", small, anew ? "written anew" : "in place");
        check_seen(&f, f.gno, "after merging or not");
        fixture_free(&f);
    }
}

/* A transaction of rows that a frame holds in a few bytes each, or, not alike, as they are. older: its header says no size. */
static void wide_txn(struct fixture *f, unsigned nrows, bool alike, bool older)
{
    static uint32_t x = 1;
    f->gno++;
    fixture_begin(f->b, f->gno);
    for (unsigned i = 0; i < nrows; i++) {
        char text[250];
        memset(text, 'x', sizeof text);
        for (unsigned k = 0; k < (alike ? 6 : sizeof text); k++) {
            x = x * 1664525 + 1013904223;
            text[k] = (char)((alike ? '0' : 'A') + (x >> 24) % (alike ? 10 : 60));
        }
        struct val row[2] = { { .kind = VAL_I64, .u.i64 = i },
                              { .kind = VAL_TEXT, .u.str = bytes_of((uint8_t *)text, sizeof text) } };
        MUST(frame_add_insert(f->b, f->rel[0], row, &err));
    }
    fixture_commit(f->b, f->gno, 0);
    struct buf payload = { 0 };
    struct frame_info info;
    MUST(frame_builder_finish(f->b, &payload, &info, &err));
    CHECK(info.size > nrows * sizeof(char[250]), "%u bytes", info.size);
    if (older)
        info.size = 0;
    MUST(seg_writer_append(f->w, &info, buf_view(&payload), frame_builder_relations(f->b), &err));
    frame_builder_reset(f->b, info.first_lsn + info.nrecords, false);
    buf_free(&payload);
    fixture_flush(f);
}

/* Merging goes by what frames hold, not by how few bytes that takes: large ones stay, and those that are merged hold no more than a frame may. */
static void merging_by_content(void)
{
    static const char name[] = "0000000000000001.seg";
    static const struct seg_writer_options few = { .segment_size = 7000, .merge_below = 10000, .frame_size = 20000 },
                                           many = { .segment_size = 150000, .merge_below = 10000, .frame_size = 20000 };
    static const struct {
        unsigned rows;
        bool alike, older, anew;
    } cases[] = {
        { 60, true, false, false }, { 20, true, false, true },  { 60, false, false, false },
        { 20, false, false, true }, { 60, false, true, false }, { 20, false, true, true },
    };
    for (unsigned i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        unsigned k = i / 2, at_once = 20000 / (cases[k].rows * 266);
        const struct seg_writer_options *o = cases[k].alike ? &few : &many;
        struct fixture f = fixture_new(o);
        ino_t before = inode(f.dir, name);
        while (fixture_segments(f.dir) < 2) {
            wide_txn(&f, cases[k].rows, cases[k].alike, cases[k].older);
            if (i % 2 == 1 && f.gno == 3) { /* these are known by their headers */
                struct seg_recovered rec = restart(&f, o);
                source_pos_clear(&rec.pos);
                fixture_start(&f);
            }
        }
        CHECK((inode(f.dir, name) != before) == cases[k].anew, "case %u: %s", i, cases[k].anew ? "in place" : "anew");
        struct segment *g = NULL;
        const struct segment_footer *ft = NULL;
        MUST(segment_open(slot_dirfd(f.slot), name, &g, &err));
        MUST(segment_footer(g, &ft, &err));
        CHECK(ft != NULL && (cases[k].anew ? ft->nframes < f.gno : ft->nframes == f.gno), "case %u: frames", i);
        for (size_t n = 0; cases[k].anew && ft != NULL && n < ft->nframes; n++)
            CHECK(ft->frames[n].info.ncommits <= at_once, "case %u: %u transactions in frame %zu", i,
                  ft->frames[n].info.ncommits, n);
        segment_close(g);
        check_seen(&f, f.gno, "merged by content");
        fixture_free(&f);
    }
}

/* The first segment of all is torn: nothing was ever in it, and the slot starts anew. With a state that is lost, too, nobody knows. */
static void torn_first(void)
{
    struct fixture f = fixture_new(&small_segments);
    fixture_close(&f);
    struct buf whole = fixture_load(f.dir, "0000000000000001.seg");
    fixture_store(f.dir, "0000000000000001.seg", bytes_of(whole.p, whole.n - 3));
    struct seg_recovered rec;
    MUST(fixture_try_open(&f, &small_segments, &rec));
    CHECK(rec.empty && rec.next_lsn == 1, "starts anew");
    fixture_start(&f);
    fixture_close(&f);
    whole.p[70] ^= 4;
    fixture_store(f.dir, "0000000000000001.seg", buf_view(&whole));
    must_refuse(&f, "checksum", "a damaged header");
    buf_free(&whole);
    fixture_free(&f);
}

/* A full disk, simulated by a closed file descriptor: the writer is finished and says so ever after. */
static void failed_write(void)
{
    struct fixture f = fixture_new(&one_segment);
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    struct stat mine, st;
    char path[512];
    snprintf(path, sizeof path, "%s/0000000000000001.seg", f.dir);
    CHECK(stat(path, &mine) == 0, "stat");
    int ro = open(path, O_RDONLY | O_CLOEXEC);
    for (int fd = 3; fd < 64; fd++) /* the writer's descriptor becomes a read-only one */
        if (fd != ro && fstat(fd, &st) == 0 && st.st_ino == mine.st_ino && st.st_dev == mine.st_dev)
            dup2(ro, fd);
    close(ro);
    struct buf payload = { 0 };
    struct frame_info info;
    fixture_begin(f.b, 2);
    fixture_commit(f.b, 2, 0);
    MUST(frame_builder_finish(f.b, &payload, &info, &err));
    struct source_pos p = fixture_pos(2);
    CHECK((!seg_writer_append(f.w, &info, buf_view(&payload), frame_builder_relations(f.b), &err) ||
           !seg_writer_flush(f.w, &p, &err)) &&
              err.code == ERR_IO && strstr(err.msg, "0000000000000001.seg") != NULL,
          "write fails, at the flush at last: %s", err.msg);
    CHECK(!seg_writer_append(f.w, &info, buf_view(&payload), frame_builder_relations(f.b), &err) &&
              err.code == ERR_IO && strstr(err.msg, "earlier"),
          "what follows fails: %s", err.msg);
    CHECK(!seg_writer_flush(f.w, &p, &err) && err.code == ERR_IO && strstr(err.msg, "earlier"),
          "and so does everything after: %s", err.msg);
    source_pos_clear(&p);
    buf_free(&payload);
    check_seen(&f, 1, "what was flushed");
    fixture_free(&f);
}

/* --- the schema history --- */

static void change_schema(struct fixture *f, const char *table)
{
    struct buf change = { 0 };
    schema_change_begin(&change);
    schema_change_put(&change, &(struct schema_entry){ BYTES_LIT("s"), bytes_str(table), BYTES_LIT("CREATE") });
    MUST(seg_writer_schema(f->w, buf_view(&change), &err));
    buf_free(&change);
}

/* A start finds these tables, one letter each. */
static void restart_knows(struct fixture *f, const char *tables, const char *what)
{
    struct seg_recovered rec = restart(f, &small_segments);
    CHECK(rec.schema.n == strlen(tables), "%s: %zu tables", what, rec.schema.n);
    for (size_t i = 0; tables[i] != '\0'; i++)
        CHECK(schema_set_find(&rec.schema, BYTES_LIT("s"), bytes_of(&tables[i], 1)) != NULL, "%s: no %c", what,
              tables[i]);
    schema_set_clear(&rec.schema);
    source_pos_clear(&rec.pos);
    fixture_start(f);
}

/* A change counts from the commit or position behind it on; each segment begins with all that came before. */
static void schema_history(void)
{
    struct fixture f = fixture_new(&small_segments);
    uint64_t next;
    change_schema(&f, "a");
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    change_schema(&f, "x"); /* the connection breaks in front of its commit */
    MUST(seg_writer_cut(f.w, &next, &err));
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    while (fixture_segments(f.dir) < 2) {
        fixture_txn(&f, 10, 0);
        fixture_flush(&f);
    }
    restart_knows(&f, "a", "a change that was cut, in the writer's next segment");
    change_schema(&f, "b");
    append_position(&f, 1);
    change_schema(&f, "x"); /* a crash in front of its commit */
    fixture_flush(&f);
    restart_knows(&f, "ab", "a change that was never committed");
    while (!seg_writer_full(f.w))
        fixture_txn(&f, 1, 0);
    change_schema(&f, "c");
    CHECK(!seg_writer_full(f.w), "full between a change and its commit");
    fixture_flush(&f);
    CHECK(fixture_segments(f.dir) == 2, "rolled between a change and its commit");
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    CHECK(fixture_segments(f.dir) == 3, "rolled behind it");
    struct slot_segment *seg;
    size_t n;
    MUST(slot_segments(f.slot, &seg, &n, &err));
    restart_knows(&f, "abc", "from a segment's head");
    fixture_close(&f);
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f.dir, seg[n - 1].name);
    CHECK(unlink(path) == 0, "unlink %s", path);
    free(seg);
    restart_knows(&f, "abc", "from a sealed segment that none follows");
    restart_knows(&f, "abc", "and from the one that was made then");
    for (int round = 0; round < 2;
         round++) { /* behind a part of its transaction: CREATE TABLE ... SELECT of many rows */
        fixture_begin(f.b, f.gno + 1);
        fixture_row(f.b, f.rel[0], f.gno + 1, 0);
        fixture_append(&f);
        change_schema(&f, "d");
        if (round == 0) {
            restart_knows(&f, "abc", "a crash in front of the COMMIT of a transaction in parts");
            continue;
        }
        f.gno++;
        fixture_row(f.b, f.rel[1], f.gno, 1);
        fixture_commit(f.b, f.gno, 0);
        fixture_append(&f);
        fixture_flush(&f);
        restart_knows(&f, "abcd", "a transaction in parts");
    }
    size_t before = fixture_segments(f.dir);
    while (fixture_segments(f.dir) == before) {
        fixture_txn(&f, 10, 0);
        fixture_flush(&f);
    }
    restart_knows(&f, "abcd", "sealed");
    struct seen s = seen_after(f.dir, 0);
    CHECK(s.end == SEG_READ_END && s.n > 20, "readers pass over the history: %" PRIu64 " %s", s.n, err.msg);
    fixture_free(&f);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    rolling();
    cutting();
    large_transaction();
    positions();
    other_source();
    refusals();
    missing();
    crash_while_rolling();
    sealed_in_place();
    merging_must_pay();
    merging_by_content();
    torn_first();
    failed_write();
    schema_history();
    return UNIT_END();
}
