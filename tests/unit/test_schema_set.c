/* test_schema_set.c - the schema history as a set and as payloads; in segments: rolled, cut, recovered. */
#include "schema_set.h"
#include "slot_fixture.h"

static struct schema_entry entry(const char *schema, const char *table, const char *sql)
{
    return (struct schema_entry){ bytes_str(schema), bytes_str(table), bytes_str(sql) };
}

static void put(struct schema_set *s, const char *schema, const char *table, const char *sql)
{
    struct schema_entry e = entry(schema, table, sql);
    MUST(schema_set_put(s, &e, &err));
}

static void check(const struct schema_set *s, const char *want, const char *what) /* "a:CREATE a.t:..." */
{
    struct buf b = { 0 };
    for (size_t i = 0; i < s->n; i++)
        buf_printf(&b, "%s%.*s%s%.*s=%.*s", i == 0 ? "" : " ", BYTES_FMT(s->v[i]->schema),
                   s->v[i]->table.n == 0 ? "" : ".", BYTES_FMT(s->v[i]->table), BYTES_FMT(s->v[i]->sql));
    CHECK(strcmp(buf_cstr(&b), want) == 0, "%s: %s", what, buf_cstr(&b));
    buf_free(&b);
}

static void sets(void)
{
    struct schema_set s = { 0 }, copy = { 0 };
    put(&s, "b", "t", "1");
    put(&s, "b", "", "2");
    put(&s, "a", "z", "3");
    put(&s, "b", "a", "4");
    put(&s, "bb", "a", "5");
    put(&s, "b", "t", "6");
    check(&s, "a.z=3 b=2 b.a=4 b.t=6 bb.a=5", "sorted, replaced");
    CHECK(schema_set_find(&s, BYTES_LIT("b"), BYTES_LIT("a")) != NULL &&
              schema_set_find(&s, BYTES_LIT("a"), BYTES_LIT("")) == NULL,
          "find");
    MUST(schema_set_copy(&s, &copy, &err));
    CHECK(schema_set_remove(&s, BYTES_LIT("b"), BYTES_LIT("a")) &&
              !schema_set_remove(&s, BYTES_LIT("b"), BYTES_LIT("a")),
          "remove");
    check(&s, "a.z=3 b=2 b.t=6 bb.a=5", "a table removed");
    CHECK(schema_set_remove(&s, BYTES_LIT("b"), BYTES_LIT("")), "remove a database");
    check(&s, "a.z=3 bb.a=5", "a database removed");
    CHECK(schema_set_remove(&s, BYTES_LIT("a"), BYTES_LIT("")), "the tables of a database that is not there itself");
    check(&copy, "a.z=3 b=2 b.a=4 b.t=6 bb.a=5", "a copy");
    schema_set_clear(&s);
    schema_set_clear(&copy);
}

static void payloads(void)
{
    struct schema_set s = { 0 }, t = { 0 };
    struct buf complete = { 0 }, change = { 0 };
    put(&s, "a", "", "d");
    put(&s, "a", "t", "x");
    schema_set_encode(&s, &complete);
    schema_change_begin(&change);
    struct schema_entry e = entry("a", "u", "y");
    schema_change_put(&change, &e);
    schema_change_remove(&change, BYTES_LIT("a"), BYTES_LIT("t"));
    put(&t, "old", "", "gone");
    MUST(schema_set_apply(&t, buf_view(&complete), &err));
    check(&t, "a=d a.t=x", "complete: what was there is void");
    MUST(schema_set_apply(&t, buf_view(&change), &err));
    check(&t, "a=d a.u=y", "change");
    for (size_t n = 0; n < change.n; n++) { /* every truncation fails, but at a border of entries */
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, change.p, n);
        bool ok = schema_set_apply(&t, bytes_of(cut, n), &err);
        CHECK(ok == (n == 1 || n == 8), "cut at %zu: %d", n, ok);
        free(cut);
    }
    static const struct {
        const char *hex, *want;
    } bad[] = { { "", "truncated" },
                { "03", "neither complete nor a change" },
                { "02 03 01 61 00", "not an entry" },
                { "02 01 00 00 01 78", "not an entry" },
                { "02 01 01 61 00 00", "not a statement" },
                { "02 01 01 61 00 02 78 00", "not a statement" },
                { "02 01 ff ff ff ff 0f", "truncated" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes in = unhex(bad[i].hex);
        CHECK(!schema_set_apply(&t, in, &err) && err.code == ERR_CORRUPT && strstr(err.msg, bad[i].want) != NULL,
              "%s: %s", bad[i].hex, err.msg);
        free((void *)in.p);
    }
    schema_set_clear(&s);
    schema_set_clear(&t);
    buf_free(&complete);
    buf_free(&change);
}

/* --- in segments --- */

static void change(struct fixture *f, const char *table, const char *sql)
{
    struct buf b = { 0 };
    struct schema_entry e = entry("a", table, sql);
    schema_change_begin(&b);
    schema_change_put(&b, &e);
    MUST(seg_writer_schema(f->w, buf_view(&b), &err));
    buf_free(&b);
}

static void recovers(struct fixture *f, const struct seg_writer_options *o, const char *want, const char *what)
{
    struct seg_recovered rec = { 0 };
    fixture_close(f);
    MUST(fixture_try_open(f, o, &rec));
    check(&rec.schema, want, what);
    frame_builder_reset(f->b, rec.next_lsn, false);
    source_pos_clear(&rec.pos);
    schema_set_clear(&rec.schema);
}

static struct fixture begin(const struct seg_writer_options *o)
{
    struct fixture f = { .dir = fixture_dir(), .b = frame_builder_new() };
    struct seg_recovered rec;
    struct schema_set s = { 0 };
    struct buf b = { 0 };
    for (unsigned i = 0; i < 3; i++)
        f.rel[i] = fixture_relation("t");
    MUST(fixture_try_open(&f, o, &rec));
    put(&s, "a", "t", "1");
    schema_set_encode(&s, &b);
    MUST(seg_writer_schema(f.w, buf_view(&b), &err));
    fixture_start(&f);
    frame_builder_reset(f.b, 1, false);
    buf_free(&b);
    schema_set_clear(&s);
    return f;
}

static void segments(void)
{
    struct fixture f = begin(&small_segments);
    recovers(&f, &small_segments, "a.t=1", "a new slot, nothing written yet");
    fixture_start(&f);
    change(&f, "u", "2");
    recovers(&f, &small_segments, "a.t=1", "a change without its commit is cut");
    fixture_start(&f);
    change(&f, "u", "3");
    fixture_txn(&f, 2, 0);
    fixture_flush(&f);
    recovers(&f, &small_segments, "a.t=1 a.u=3", "a change with its commit");
    fixture_start(&f);
    change(&f, "u", "4");
    uint64_t next = 0;
    MUST(seg_writer_cut(f.w, &next, &err));
    fixture_txn(&f, 1, 0);
    fixture_flush(&f);
    for (unsigned i = 0; i < 60; i++) {
        char sql[8];
        snprintf(sql, sizeof sql, "%u", i);
        if (i % 7 == 0)
            change(&f, "v", sql);
        fixture_txn(&f, 3, 0);
        fixture_flush(&f);
    }
    size_t n = fixture_segments(f.dir);
    CHECK(n > 3, "%zu segments", n);
    recovers(&f, &small_segments, "a.t=1 a.u=3 a.v=56", "over many segments");
    fixture_start(&f);
    change(&f, "w", "5");
    struct source_pos p = fixture_pos(f.gno);
    MUST(seg_writer_position(f.w, &p, &err));
    source_pos_clear(&p);
    recovers(&f, &small_segments, "a.t=1 a.u=3 a.v=56 a.w=5", "a change with a position");
    MUST(seg_writer_schema(f.w, (struct bytes){ NULL, 0 }, &err));
    fixture_start(&f);
    recovers(&f, &small_segments, "", "given up");
    CHECK(seen_after(f.dir, 0).n == 62, "readers pass the history");
    fixture_free(&f);
}

/* A crash between the sealing of a segment and its successor: the history is in the sealed one. */
static void sealed_last(void)
{
    struct fixture f = begin(&small_segments);
    change(&f, "u", "3");
    for (unsigned i = 0; i < 30 && fixture_segments(f.dir) == 1; i++) {
        fixture_txn(&f, 8, 0);
        fixture_flush(&f);
    }
    struct slot_segment *seg;
    size_t n;
    MUST(slot_segments(f.slot, &seg, &n, &err));
    CHECK(n == 2, "%zu segments", n);
    unlinkat(slot_dirfd(f.slot), seg[n - 1].name, 0);
    free(seg);
    recovers(&f, &small_segments, "a.t=1 a.u=3", "from a sealed segment");
    fixture_start(&f);
    recovers(&f, &small_segments, "a.t=1 a.u=3", "and its successor begins with it");
    fixture_free(&f);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    sets();
    payloads();
    segments();
    sealed_last();
    return UNIT_END();
}
