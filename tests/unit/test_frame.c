/* test_frame.c - what goes into a frame comes out of it, for every column type and state; whatever is cut or changed is
 * refused or at least harmless; the rules about transactions hold. */
#include "unit.h"

#include "../../common/format/frame_digits.h"
#include "frame.h"
#include "frame_any_row.h"
#include "frame_coder.h"
#include "frame_part.h"

static struct err err;

static struct relation *make(const char *table, const struct column *cols, unsigned n)
{
    struct relation *r = NULL;
    bool ok = relation_new(BYTES_LIT("shop"), bytes_str(table), cols, n, &r, &err);
    CHECK(ok, "relation %s: %s", table, ok ? "" : err.msg);
    return r;
}

static const struct column two_cols[] = {
    { .name = { (const uint8_t *)"id", 2 }, .type = COL_INT, .int_bits = 32, .visible = true, .key_pos = 1 },
    { .name = { (const uint8_t *)"s", 1 },
      .type = COL_VARCHAR,
      .length = 80,
      .char_bytes = 4,
      .nullable = true,
      .visible = true,
      .charset = { (const uint8_t *)"utf8mb4", 7 } },
};

static struct val i64(int64_t v)
{
    return (struct val){ .kind = VAL_I64, .u.i64 = v };
}
static struct val text(const char *s)
{
    return (struct val){ .kind = VAL_TEXT, .u.str = bytes_str(s) };
}
static const struct val null_val = { .kind = VAL_NULL };

static const struct rec_begin begin1 = { .gtid = { .flavor = GTID_MYSQL, .uuid = { 1, 2, 3 }, .no = 7 },
                                         .commit_us = 1700000000000000,
                                         .resolution_us = 1 };

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        err.msg[0] = 0;                                                                                                \
        bool must_ok = (call);                                                                                         \
        CHECK(must_ok, "%s: %s", #call, err.msg);                                                                      \
    } while (0)

static void add_txn(struct frame_builder *b, const struct relation *r, int64_t id, const char *s)
{
    struct rec_begin bg = begin1;
    bg.gtid.no = (uint64_t)id;
    bg.commit_us += id;
    struct rec_commit c = { .file = BYTES_LIT("bin.000001"), .end_offset = (uint64_t)(1000 + id * 100) };
    struct val row[2] = { i64(id), s == NULL ? null_val : text(s) };
    MUST(frame_add_begin(b, &bg, &err));
    MUST(frame_add_insert(b, r, row, &err));
    MUST(frame_add_commit(b, &c, &err));
}

/* As it is stored: coded. */
static void coded(const struct frame_builder *b, struct buf *payload, struct frame_info *info)
{
    struct frame_coder *c = frame_coder_new();
    struct bytes to = { 0 };
    MUST(frame_coder_code(c, buf_view(payload), frame_builder_relations(b), &to, &info->tail, &err));
    if (to.p != payload->p) {
        buf_reset(payload);
        buf_bytes(payload, to);
    }
    frame_coder_free(c);
}

static struct frame *finish(struct frame_builder *b, struct buf *payload, struct frame_info *info)
{
    struct frame *f = NULL;
    MUST(frame_builder_finish(b, payload, info, &err));
    coded(b, payload, info);
    MUST(frame_decode(buf_view(payload), info, frame_builder_relations(b), &f, &err));
    return f;
}

static bool same_val(const struct val *want, const struct val *got)
{
    return val_eq(want, got) && (val_is_str(want->kind) || want->scale == got->scale);
}

/* Every column type with random values, nulls, absent ones, all three operations or updates only, several relations in turn. */
static void round_trip(unsigned seed, bool updates)
{
    enum { RELS = 3, OPS = 400 };
    struct any_rng rng = { seed * 2654435761u + 1 };
    struct relation *rel[RELS];
    for (unsigned i = 0; i < RELS; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", i);
        rel[i] = any_relation(&rng, name);
    }
    struct frame_builder *b = frame_builder_new();
    struct buf payload = { 0 };
    for (unsigned round = 0; round < 3; round++) { /* memory is reused: nothing may shine through */
        uint64_t first = 100 + round;
        frame_builder_reset(b, first, false);
        buf_reset(&payload);
        struct {
            uint8_t op;
            unsigned rel;
            struct val *old_row, *new_row;
        } log[OPS];
        MUST(frame_add_begin(b, &begin1, &err));
        for (unsigned i = 0; i < OPS; i++) {
            log[i].rel = any_below(&rng, 8) < 5 ? 0 : any_below(&rng, RELS);
            log[i].op = updates ? REC_UPDATE : (uint8_t)(REC_INSERT + any_below(&rng, 3));
            const struct relation *r = rel[log[i].rel];
            log[i].new_row = log[i].op == REC_DELETE ? NULL : any_row(&rng, r, round);
            log[i].old_row = log[i].op == REC_INSERT ? NULL : any_row(&rng, r, round);
            if (log[i].op == REC_UPDATE) /* most columns do not change */
                for (unsigned k = 0; k < r->ncols; k++) {
                    unsigned dice = any_below(&rng, 16);
                    if (dice < 12)
                        any_copy(&log[i].old_row[k], &log[i].new_row[k]);
                    else if (dice < 15)
                        any_edited(&rng, &log[i].old_row[k], &log[i].new_row[k]);
                }
            if (log[i].op == REC_INSERT)
                MUST(frame_add_insert(b, r, log[i].new_row, &err));
            else if (log[i].op == REC_DELETE)
                MUST(frame_add_delete(b, r, log[i].old_row, &err));
            else
                MUST(frame_add_update(b, r, log[i].old_row, log[i].new_row, &err));
        }
        struct rec_commit c = { .file = BYTES_LIT("f"), .end_offset = UINT64_MAX, .consumed = BYTES_LIT("x:1-4") };
        MUST(frame_add_commit(b, &c, &err));
        struct frame_info info;
        struct frame *f = finish(b, &payload, &info);
        if (f == NULL)
            return;
        CHECK(frame_count(f) == OPS + 2 && info.nchanges == OPS && info.ncommits == 1, "counts %u %u", frame_count(f),
              info.nchanges);
        struct val got[ANY_COLS];
        const struct rel_rows *rows_of[sizeof rel / sizeof *rel] = { NULL };
        bool gaps[sizeof rel / sizeof *rel] = { false };
        for (unsigned i = 0; i < OPS; i++) {
            const struct record *rec = frame_record(f, i + 1);
            size_t strings = 0;
            rows_of[log[i].rel] = rec->u.change.rows;
            const struct relation *r = rel_rows_relation(rec->u.change.rows);
            CHECK(rec->op == log[i].op && rec->lsn == first + 1 + i && r->id == rel[log[i].rel]->id, "record %u", i);
            if (log[i].new_row != NULL) {
                rel_rows_new(rec->u.change.rows, rec, got);
                for (unsigned k = 0; k < r->ncols; k++) {
                    struct val one = rel_rows_new_at(rec->u.change.rows, rec, k);
                    CHECK(same_val(&log[i].new_row[k], &got[k]) && same_val(&got[k], &one),
                          "seed %u record %u new column %u: kind %u, got %u", seed, i, k, log[i].new_row[k].kind,
                          got[k].kind);
                    strings += val_is_str(got[k].kind) ? got[k].u.str.n : 0;
                    gaps[log[i].rel] |= got[k].kind == VAL_ABSENT;
                }
                CHECK(rel_rows_new_strings(rec->u.change.rows, rec) == strings, "strings of new row %u", i);
            }
            if (log[i].old_row != NULL) {
                rel_rows_old(rec->u.change.rows, rec, got);
                strings = 0;
                for (unsigned k = 0; k < r->ncols; k++) {
                    struct val one = rel_rows_old_at(rec->u.change.rows, rec, k);
                    CHECK(same_val(&log[i].old_row[k], &got[k]) && same_val(&got[k], &one),
                          "seed %u record %u old column %u: kind %u, got %u", seed, i, k, log[i].old_row[k].kind,
                          got[k].kind);
                    if (log[i].op == REC_UPDATE)
                        CHECK(rel_rows_same_at(rec->u.change.rows, rec, k) ==
                                  val_eq(&log[i].old_row[k], &log[i].new_row[k]),
                              "same-ness of column %u", k);
                    strings += val_is_str(got[k].kind) && !rel_rows_same_at(rec->u.change.rows, rec, k) ? got[k].u.str.n
                                                                                                        : 0;
                }
                CHECK(rel_rows_old_strings(rec->u.change.rows, rec) == strings, "strings of old row %u", i);
            }
            any_row_free(log[i].new_row, r);
            any_row_free(log[i].old_row, r);
        }
        for (size_t i = 0; i < sizeof rel / sizeof *rel; i++)
            CHECK(rows_of[i] == NULL || rel_rows_complete(rows_of[i]) == !gaps[i],
                  "relation %zu: values that are not there", i);
        const struct record *last = frame_record(f, OPS + 1);
        CHECK(last->u.commit.end_offset == UINT64_MAX && bytes_eq_str(last->u.commit.consumed, "x:1-4"), "commit");

        /* A copy of the records is the same payload, byte for byte. */
        struct frame_builder *b2 = frame_builder_new();
        frame_builder_reset(b2, first, false);
        MUST(frame_copy_records(b2, f, 0, frame_count(f), &err));
        struct buf again = { 0 };
        struct frame_info info2;
        MUST(frame_builder_finish(b2, &again, &info2, &err));
        coded(b2, &again, &info2);
        CHECK(bytes_eq(buf_view(&payload), buf_view(&again)), "copied frame differs");
        buf_free(&again);
        frame_builder_free(b2);

        struct change_counts counted = { 0 };
        struct table_counts *counts = NULL;
        uint64_t sum = 0;
        MUST(frame_payload_counts(buf_view(&payload), &counted, &err) && change_counts_sorted(&counted, &counts, &err));
        for (size_t i = 0; i < counted.n; i++) {
            sum += counts[i].inserts + counts[i].updates + counts[i].deletes;
            CHECK(i == 0 || counts[i - 1].relation < counts[i].relation, "counts are sorted");
        }
        CHECK(sum == OPS, "counted %llu changes", (unsigned long long)sum);
        free(counts);
        change_counts_free(&counted);
        frame_unref(f);
    }
    buf_free(&payload);
    frame_builder_free(b);
    for (unsigned i = 0; i < RELS; i++)
        relation_unref(rel[i]);
}

/* Sums of two lists, whatever both have, in any order of arrival: relations that only one has, that both have, none at all. */
static void sums(void)
{
    enum { IDS = 6 };
    struct change_counts counts = { 0 };
    for (unsigned in = 0; in < 1u << (2 * IDS); in++) {
        struct table_counts *v = NULL;
        size_t want = 0, at = 0;
        for (unsigned i = 0; i < IDS; i++)
            if ((in >> i & 1) != 0) {
                struct table_counts one = { .relation = i * 10, .inserts = 1, .updates = i };
                MUST(change_counts_add(&counts, &one, &err));
            }
        for (unsigned k = 0; k < IDS; k++) {
            unsigned i = in % 2 == 0 ? k : IDS - 1 - k;
            struct table_counts one = { .relation = i * 10, .inserts = 2, .deletes = 5 };
            if ((in >> (IDS + i) & 1) != 0)
                MUST(change_counts_add(&counts, &one, &err));
        }
        MUST(change_counts_sorted(&counts, &v, &err));
        for (unsigned i = 0; i < IDS; i++) {
            unsigned a = in >> i & 1, b = in >> (IDS + i) & 1;
            if (a + b == 0)
                continue;
            want++;
            CHECK(at < counts.n && v[at].relation == i * 10 && v[at].inserts == a + 2 * b && v[at].updates == a * i &&
                      v[at].deletes == 5 * b,
                  "sum of relation %u, case %u", i * 10, in);
            at++;
        }
        CHECK(counts.n == want, "%u relations instead of %zu, case %u", counts.n, want, in);
        free(v);
        if (in % 3 == 0)
            change_counts_free(&counts);
        else
            change_counts_reset(&counts);
    }
    change_counts_free(&counts);
    enum { MANY = 3000 }; /* through several sizes of the hash, all on few of its places */
    for (unsigned i = 0; i < 2 * MANY; i++)
        MUST(change_counts_add(&counts, &(struct table_counts){ .relation = (uint64_t)(i % MANY) << 20, .deletes = i },
                               &err));
    CHECK(counts.n == MANY, "%u relations", counts.n);
    for (unsigned i = 0; i < counts.n; i++)
        CHECK(counts.v[i].relation == (uint64_t)i << 20 && counts.v[i].deletes == 2 * i + MANY, "relation %u", i);
    change_counts_free(&counts);
}

/* Begin, commit, DDL and message fields, GTIDs of both flavours and none, in one frame. */
static void fields(void)
{
    struct frame_builder *b = frame_builder_new();
    frame_builder_reset(b, 1, false);
    static const struct gtid gtids[] = {
        { .flavor = GTID_MYSQL, .uuid = { 9 }, .no = 5 },
        { .flavor = GTID_MYSQL, .uuid = { 9 }, .no = 1 },
        { .flavor = GTID_MYSQL, .uuid = { 9 }, .tag = "blue", .tag_len = 4, .no = UINT64_MAX },
        { .flavor = GTID_NONE },
        { .flavor = GTID_MARIADB, .domain = 3, .server = 4, .no = 10 },
        { .flavor = GTID_MARIADB, .domain = 3, .server = 5, .no = 11 },
        { .flavor = GTID_MYSQL, .uuid = { 9 }, .no = 6 },
    };
    enum { N = sizeof gtids / sizeof *gtids };
    static const int64_t times[N] = { 5, -7, INT64_MAX, INT64_MIN, 0, 1, 2 };
    static const char *const files[N] = { "a.1", "a.1", "a.2", "", "a.2", "a.2", "a.1" };
    for (unsigned i = 0; i < N; i++) {
        struct rec_begin bg = { .gtid = gtids[i], .commit_us = times[i], .resolution_us = i == 4 ? 1000000 : 1 };
        struct rec_commit c = { .file = bytes_str(files[i]),
                                .end_offset = UINT64_C(1) << (i * 9),
                                .consumed = bytes_str(i % 2 ? "u:1" : "") };
        struct rec_ddl ddl = { .schema = bytes_str("db"),
                               .sql = bytes_str("DROP TABLE x"),
                               .kind = 3,
                               .sql_flags = 1,
                               .t_schema = bytes_str(""),
                               .t_table = bytes_str("t") };
        struct rec_message m = { .topic = bytes_str("publication"), .body = bytes_str("*.*") };
        MUST(frame_add_begin(b, &bg, &err));
        if (i == 1)
            MUST(frame_add_ddl(b, REC_DDL, &ddl, &err));
        if (i == 2)
            MUST(frame_add_ddl(b, REC_TRUNCATE, &ddl, &err));
        if (i == 3)
            MUST(frame_add_message(b, &m, &err));
        MUST(frame_add_commit(b, &c, &err));
    }
    struct buf payload = { 0 };
    struct frame_info info;
    struct frame *f = finish(b, &payload, &info);
    CHECK(info.min_commit_us == INT64_MIN && info.max_commit_us == INT64_MAX && info.nchanges == 1 &&
              info.ncommits == N,
          "info");
    unsigned at = 0;
    for (unsigned i = 0; i < N && f != NULL; i++) {
        const struct record *r = frame_record(f, at++);
        CHECK(r->op == REC_BEGIN && gtid_eq(&r->u.begin.gtid, &gtids[i]) && r->u.begin.commit_us == times[i] &&
                  r->u.begin.resolution_us == (i == 4 ? 1000000 : 1),
              "begin %u", i);
        if (i == 1 || i == 2) {
            r = frame_record(f, at++);
            CHECK(r->op == (i == 1 ? REC_DDL : REC_TRUNCATE) && bytes_eq_str(r->u.ddl.sql, "DROP TABLE x") &&
                      r->u.ddl.kind == 3 && r->u.ddl.sql_flags == 1 && bytes_eq_str(r->u.ddl.t_table, "t") &&
                      r->u.ddl.t_schema.n == 0,
                  "ddl");
        }
        if (i == 3) {
            r = frame_record(f, at++);
            CHECK(r->op == REC_MESSAGE && bytes_eq_str(r->u.message.body, "*.*"), "message");
        }
        r = frame_record(f, at++);
        CHECK(r->op == REC_COMMIT && bytes_eq_str(r->u.commit.file, files[i]) &&
                  r->u.commit.end_offset == UINT64_C(1) << (i * 9) &&
                  bytes_eq_str(r->u.commit.consumed, i % 2 ? "u:1" : ""),
              "commit %u", i);
    }
    frame_unref(f);
    buf_free(&payload);
    frame_builder_free(b);
}

static void refusals(void)
{
    struct frame_builder *b = frame_builder_new();
    struct relation *r = make("t", two_cols, 2);
    struct rec_commit c = { .file = BYTES_LIT("f") };
    struct buf out = { 0 };
    struct frame_info info;
    struct val good[2] = { i64(1), text("x") }, u64[2] = { { .kind = VAL_U64 }, null_val },
               bin[2] = { i64(1), { .kind = VAL_BYTES } };
    struct val same[2] = { i64(1), { .kind = VAL_SAME } };

    frame_builder_reset(b, 10, false);
    CHECK(!frame_builder_finish(b, &out, &info, &err), "an empty frame");
    CHECK(!frame_add_commit(b, &c, &err), "COMMIT without BEGIN");
    CHECK(!frame_add_insert(b, r, good, &err), "a row outside");
    MUST(frame_add_begin(b, &begin1, &err));
    CHECK(!frame_add_begin(b, &begin1, &err), "BEGIN twice");
    CHECK(!frame_add_insert(b, r, u64, &err) && err.code == ERR_UNSUPPORTED && strstr(err.msg, "shop.t") &&
              strstr(err.msg, "id"),
          "u64 in a signed column: %s", err.msg);
    CHECK(!frame_add_insert(b, r, bin, &err) && strstr(err.msg, "column s"), "bytes in a text column: %s", err.msg);
    CHECK(!frame_add_delete(b, r, same, &err), "SAME in a DELETE");
    CHECK(!frame_add_update(b, r, good, same, &err), "SAME as a new value");
    CHECK(frame_builder_records(b) == 1, "what is refused leaves no record");
    MUST(frame_add_update(b, r, same, good, &err));
    MUST(frame_add_commit(b, &c, &err));
    MUST(frame_add_begin(b, &begin1, &err));
    CHECK(!frame_builder_finish(b, &out, &info, &err), "whole transactions and an open one");

    frame_builder_reset(b, 10, true);
    MUST(frame_add_insert(b, r, good, &err));
    MUST(frame_add_commit(b, &c, &err));
    CHECK(!frame_add_begin(b, &begin1, &err), "BEGIN behind a continued transaction");
    struct frame *f = finish(b, &out, &info);
    CHECK(info.starts_inside && !info.ends_inside && info.last_commit_lsn == 11 && info.min_commit_us == 0,
          "continued");

    struct relation_table none = { 0 };
    struct frame *g;
    CHECK(!frame_decode(buf_view(&out), &info, &none, &g, &err) && err.code == ERR_CORRUPT &&
              strstr(err.msg, "not defined"),
          "unknown relation: %s", err.msg);
    struct frame_info lie = info;
    lie.ncommits = 2;
    CHECK(!frame_decode(buf_view(&out), &lie, frame_builder_relations(b), &g, &err) && strstr(err.msg, "contradicts"),
          "%s", err.msg);
    frame_unref(f);
    buf_free(&out);
    frame_builder_free(b);
    relation_unref(r);
}

static void split(void)
{
    struct frame_builder *b = frame_builder_new();
    struct relation *r = make("t", two_cols, 2), *r2 = make("t2", two_cols, 2);
    struct buf out = { 0 };
    struct frame_info info;
    bool did = true;
    frame_builder_reset(b, 50, false);
    MUST(frame_add_begin(b, &begin1, &err));
    MUST(frame_builder_split(b, &out, &info, &did, &err));
    CHECK(!did && out.n == 0 && frame_builder_records(b) == 1, "nothing to split");
    frame_builder_reset(b, 50, false);
    add_txn(b, r, 1, "one");
    add_txn(b, r2, 2, NULL);
    struct val row[2] = { i64(3), text("three") }, old_row[2] = { i64(2), text("three") };
    MUST(frame_add_begin(b, &begin1, &err));
    MUST(frame_add_update(b, r2, old_row, row, &err));
    struct relation_table rels = { 0 };
    for (unsigned i = 0; i < frame_builder_relations(b)->n; i++)
        MUST(relation_table_add(&rels, frame_builder_relations(b)->rel[i], &err));
    MUST(frame_builder_split(b, &out, &info, &did, &err));
    CHECK(did && info.nrecords == 6 && info.ncommits == 2 && !info.ends_inside && info.first_lsn == 50,
          "the whole ones");
    CHECK(frame_builder_records(b) == 2 && frame_builder_next_lsn(b) == 58 && frame_builder_inside(b) &&
              frame_builder_relations(b)->n == 1,
          "the open one");
    struct frame *f = NULL;
    MUST(frame_decode(buf_view(&out), &info, &rels, &f, &err));
    frame_unref(f);
    buf_reset(&out);
    f = finish(b, &out, &info);
    CHECK(info.first_lsn == 56 && info.ends_inside && info.nrecords == 2 && !info.starts_inside, "the rest");
    const struct record *rec = frame_record(f, 1);
    struct val v = rel_rows_old_at(rec->u.change.rows, rec, 1);
    CHECK(v.kind == VAL_TEXT && bytes_eq_str(v.u.str, "three") && rel_rows_same_at(rec->u.change.rows, rec, 1),
          "kept row");
    frame_unref(f);
    relation_table_clear(&rels);
    buf_free(&out);
    frame_builder_free(b);
    relation_unref(r);
    relation_unref(r2);
}

/* What bounds memory (I1): the builder's size covers what the frame will take, and grows with each value. */
static void size(void)
{
    static const struct column widths[] = {
        { .name = { (const uint8_t *)"f", 1 }, .type = COL_FLOAT, .visible = true },
        { .name = { (const uint8_t *)"d", 1 }, .type = COL_DOUBLE, .visible = true },
        { .name = { (const uint8_t *)"i", 1 }, .type = COL_INT, .int_bits = 64, .visible = true },
    };
    struct frame_builder *b = frame_builder_new();
    struct relation *r = make("t", two_cols, 2);
    struct buf out = { 0 };
    struct frame_info info;
    char s[1000];
    memset(s, 'x', sizeof s - 1);
    s[sizeof s - 1] = '\0';
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &begin1, &err));
    for (int i = 0; i < 100; i++) {
        size_t before = frame_builder_size(b);
        struct val row[2] = { i64((int64_t)i << 40), text(s) }, old_row[2] = { i64(i), text(s + 1) };
        MUST(i % 2 == 0 ? frame_add_insert(b, r, row, &err) : frame_add_update(b, r, old_row, row, &err));
        CHECK(frame_builder_size(b) >= before + (i % 2 == 0 ? 1000 : 2000), "row %d: %zu bytes more", i,
              frame_builder_size(b) - before);
    }
    size_t said = frame_builder_size(b);
    frame_unref(finish(b, &out, &info));
    CHECK(out.n <= said, "%zu bytes, the builder said %zu", out.n, said);
    buf_free(&out);
    relation_unref(r);
    r = make("w", widths, 3);
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &begin1, &err));
    for (unsigned i = 0; i < 3; i++) {
        size_t before = frame_builder_size(b);
        struct val row[3] = { { .kind = VAL_F32, .u.f32 = 1 }, { .kind = VAL_F64, .u.f64 = 1 }, i64(i * 64) };
        MUST(frame_add_insert(b, r, row, &err)); /* an integer is stored by its distance from the one before */
        CHECK(i == 0 || frame_builder_size(b) == before + FRAME_RECORD_SIZE + 4 + 8 + 2, "row %u: %zu bytes more", i,
              frame_builder_size(b) - before);
    }
    frame_builder_free(b);
    relation_unref(r);
}

/* Into two_cols value by value: a new row of 1 and "x", an old one of 9 and NULL. Returns their bytes. */
static size_t put_straight(struct frame_rows *r, bool new_image, bool old_image)
{
    size_t size = 0;
    struct frame_part *p = r->new_parts, *o = r->old_parts;
    if (new_image)
        CHECK(frame_part_int(&p[0], 1, &size) && frame_part_state(&p[0], r->new_row, ST_VALUE) &&
                  frame_part_str(&p[1], (const uint8_t *)"x", 1, 1, &size) &&
                  frame_part_state(&p[1], r->new_row, ST_VALUE),
              "new row %u", r->new_row);
    if (old_image)
        CHECK(frame_part_int(&o[0], 9, &size) && frame_part_state(&o[0], r->old_row, ST_VALUE) &&
                  frame_part_state(&o[1], r->old_row, ST_NULL),
              "old row %u", r->old_row);
    return size;
}

/* Rows that are put value by value make the same frame; one that is taken back, as too large or for want of memory, leaves
 * no trace. */
static void value_by_value(void)
{
    static const uint8_t ops[] = { REC_INSERT, REC_UPDATE, REC_DELETE, REC_INSERT };
    enum { OPS = sizeof ops };
    struct frame_builder *b = frame_builder_new(), *other = frame_builder_new();
    struct relation *r = make("t", two_cols, 2);
    struct buf out = { 0 }, want = { 0 };
    struct frame_info info;
    struct frame_rows rows;
    struct val row[2] = { i64(1), text("x") }, was[2] = { i64(9), null_val };
    volatile size_t too_much = SIZE_MAX / 2; /* not for the compiler to see */
    size_t size = 0;
    struct frame_place place = { 0 };
    CHECK(!frame_rows_open(b, r, &place, &rows), "outside of a transaction");
    for (unsigned round = 0; round < 2; round++) { /* the first one ends for want of memory */
        frame_builder_reset(b, 1, false);
        MUST(frame_add_begin(b, &begin1, &err));
        CHECK(frame_rows_open(b, r, &place, &rows), "open");
        if (round == 0) {
            CHECK(frame_part_int(&rows.new_parts[0], 77, &size) && frame_part_state(&rows.new_parts[0], 0, ST_VALUE) &&
                      !frame_part_str(&rows.new_parts[1], (const uint8_t *)"x", too_much, 1, &size),
                  "a text that no memory holds");
            frame_rows_undo(b, &rows, 1, 0);
            CHECK(!frame_rows_open(b, r, &place, &rows) && !frame_add_insert(b, r, row, &err) && err.code == ERR_NOMEM,
                  "goes on without memory");
        }
    }
    frame_builder_reset(other, 1, false);
    MUST(frame_add_begin(other, &begin1, &err));
    for (unsigned i = 0; i < OPS; i++) {
        bool new_image = ops[i] != REC_DELETE, old_image = ops[i] != REC_INSERT;
        put_straight(&rows, new_image, old_image);
        CHECK(!frame_rows_close(b, ops[i], &rows, FRAME_RAW_MAX - frame_builder_size(b)), "change %u is too large", i);
        CHECK(frame_rows_close(b, ops[i], &rows, put_straight(&rows, new_image, old_image)), "change %u", i);
        MUST(ops[i] == REC_INSERT   ? frame_add_insert(other, r, row, &err)
             : ops[i] == REC_DELETE ? frame_add_delete(other, r, was, &err)
                                    : frame_add_update(other, r, was, row, &err));
    }
    CHECK(frame_builder_size(b) == frame_builder_size(other), "%zu bytes, want %zu", frame_builder_size(b),
          frame_builder_size(other));
    frame_unref(finish(b, &out, &info));
    frame_unref(finish(other, &want, &info));
    CHECK(info.nchanges == OPS && bytes_eq(buf_view(&out), buf_view(&want)), "another frame");
    buf_free(&out);
    buf_free(&want);
    frame_builder_free(b);
    frame_builder_free(other);
    relation_unref(r);
}

enum { REUSED = 40 };

/* One change of two_cols, put whole or value by value. A row of its own may be put and taken back before. */
static void reuse_change(struct frame_builder *b, const struct relation *r, struct frame_place *at, unsigned x,
                         struct bytes s)
{
    struct val row[2] = { i64((int64_t)x * x), null_val }, was[2] = { i64((int64_t)x + 7), null_val };
    struct frame_rows rows;
    if (x % 5 != 0)
        row[1] = (struct val){ .kind = VAL_TEXT, .u.str = s };
    if (x % 3 == 0) {
        CHECK(frame_rows_open(b, r, at, &rows), "open");
        put_straight(&rows, true, x % 2 == 0);
        frame_rows_undo(b, &rows, 2, x % 2 == 0 ? 2 : 0);
    }
    if (x % 7 == 0) {
        CHECK(frame_rows_open(b, r, at, &rows) &&
                  frame_rows_close(b, REC_UPDATE, &rows, put_straight(&rows, true, true)),
              "straight");
        return;
    }
    MUST(x % 4 == 0   ? frame_add_delete(b, r, was, &err)
         : x % 4 == 1 ? frame_add_update(b, r, was, row, &err)
                      : frame_add_insert(b, r, row, &err));
}

/* A builder that was used before makes the frame that a new one makes, whichever relations either frame has, however its earlier frames ended,
 * and whatever memory it gave back meanwhile. What it handed out of them stays. */
static void reuse(void)
{
    enum { FRAMES = 300, HUGE_TEXT = 3 << 20, MANY_LARGE = 500 << 10 };
    struct frame_builder *b = frame_builder_new();
    struct relation *rel[REUSED];
    struct frame_place place[REUSED] = { 0 }, other_place[REUSED];
    struct relation_table lists[8] = { 0 };
    struct any_rng rng = { 5 };
    uint8_t *large = malloc(HUGE_TEXT);
    memset(large, 'x', HUGE_TEXT);
    for (unsigned i = 0; i < REUSED; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%u", i);
        rel[i] = make(name, two_cols, 2);
    }
    for (unsigned f = 0; f < FRAMES; f++) {
        struct frame_builder *fresh = frame_builder_new();
        struct buf got = { 0 }, want = { 0 };
        struct frame_info info;
        unsigned tables = 1 + any_below(&rng, f % 10 == 0 ? REUSED : 3), changes = 1 + any_below(&rng, 60);
        size_t n = f % 50 == 7 ? HUGE_TEXT : f % 50 == 20 ? MANY_LARGE : any_below(&rng, 40);
        memset(other_place, 0, sizeof other_place);
        frame_builder_reset(b, 1, false);
        frame_builder_reset(fresh, 1, false);
        MUST(frame_add_begin(b, &begin1, &err) && frame_add_begin(fresh, &begin1, &err));
        for (unsigned i = 0; i < (n > 40 ? REUSED + 2 : changes); i++) {
            unsigned t = n == MANY_LARGE ? i % REUSED : any_below(&rng, tables), x = any_below(&rng, 1000);
            struct bytes s = { large, n == HUGE_TEXT && i % 20 != 0 ? 5 : n };
            reuse_change(b, rel[t], &place[t], x, s);
            reuse_change(fresh, rel[t], f % 2 == 0 ? &other_place[t] : &place[t], x, s);
        }
        CHECK(frame_builder_size(b) == frame_builder_size(fresh), "frame %u: %zu bytes, want %zu", f,
              frame_builder_size(b), frame_builder_size(fresh));
        if (f % 4 != 3) { /* else it is dropped, as when its connection breaks */
            frame_unref(finish(b, &got, &info));
            frame_unref(finish(fresh, &want, &info));
            CHECK(bytes_eq(buf_view(&got), buf_view(&want)), "frame %u of %u relations is another one", f, tables);
        }
        relation_table_clear(&lists[f % 8]);
        MUST(relation_table_list(&lists[f % 8], frame_builder_relations(b), &err));
        buf_free(&got);
        buf_free(&want);
        frame_builder_free(fresh);
    }
    frame_builder_free(b);
    for (unsigned i = 0; i < REUSED; i++)
        relation_unref(rel[i]); /* the lists have theirs */
    for (unsigned k = 0; k < 8; k++) {
        CHECK(lists[k].n != 0 && bytes_eq(lists[k].rel[lists[k].n - 1]->schema, BYTES_LIT("shop")) &&
                  relation_table_find(&lists[k], lists[k].id[0]) == lists[k].rel[0] &&
                  relation_table_find(&lists[k], 1) == NULL,
              "list %u", k);
        relation_table_clear(&lists[k]);
    }
    free(large);
}

/* Hundreds of relations, announced or not, of a builder that knows them or knew them before it gave their memory back. */
static void announced(void)
{
    enum { MANY = 700, ROUNDS = 4 };
    struct relation *rel[MANY];
    struct frame_place *place = calloc(MANY, sizeof *place);
    struct frame_builder *b = frame_builder_new();
    uint8_t *large = malloc(2 << 20);
    memset(large, 'x', 2 << 20);
    for (unsigned i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        rel[i] = make(name, two_cols, 2);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct frame_builder *fresh = frame_builder_new();
        struct buf got = { 0 }, want = { 0 };
        struct frame_info info;
        struct frame_rows rows;
        struct val row[2] = { i64(1), text("x") };
        frame_builder_reset(b, 1, false);
        frame_builder_reset(fresh, 1, false);
        MUST(frame_add_begin(b, &begin1, &err) && frame_add_begin(fresh, &begin1, &err));
        for (unsigned i = 0; i < 2 * MANY; i++) {
            unsigned t = i * 11 % MANY;
            if (round == 1 && i < 10) { /* so large that all is given back behind this frame */
                row[1] = (struct val){ .kind = VAL_TEXT, .u.str = { large, 2 << 20 } };
                MUST(frame_add_update(b, rel[t], row, row, &err) && frame_add_update(fresh, rel[t], row, row, &err));
                row[1] = text("x");
                continue;
            }
            if (i % 3 != 0)
                frame_rows_expect(b, &place[t], 2);
            CHECK(frame_rows_open(b, rel[t], &place[t], &rows) &&
                      frame_rows_close(b, REC_INSERT, &rows, put_straight(&rows, true, false)),
                  "row %u", i);
            MUST(frame_add_insert(fresh, rel[t], row, &err));
        }
        frame_unref(finish(b, &got, &info));
        frame_unref(finish(fresh, &want, &info));
        CHECK(info.nchanges == 2 * MANY && bytes_eq(buf_view(&got), buf_view(&want)), "round %u is another frame",
              round);
        buf_free(&got);
        buf_free(&want);
        frame_builder_free(fresh);
    }
    frame_builder_free(b);
    for (unsigned i = 0; i < MANY; i++)
        relation_unref(rel[i]);
    free(place);
    free(large);
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* One huge text must not hold its memory for ever, wherever a builder had it (I1). */
static void let_go(void)
{
    enum { HUGE = 16 << 20 };
    if (__sanitizer_get_current_allocated_bytes == NULL)
        return;
    struct frame_builder *b = frame_builder_new();
    struct relation *r = make("t", two_cols, 2);
    struct val o[2] = { i64(1), null_val }, n[2] = { i64(1), null_val };
    char *one = malloc(HUGE), *two = malloc(HUGE);
    memset(one, 'a', HUGE);
    memset(two, 'a', HUGE);
    memset(two + HUGE / 3, 'b', HUGE / 2);
    o[1] = (struct val){ .kind = VAL_TEXT, .u.str = bytes_of(two, HUGE) };
    n[1] = (struct val){ .kind = VAL_TEXT, .u.str = bytes_of(one, HUGE) };
    size_t before = __sanitizer_get_current_allocated_bytes();
    struct buf payload = { 0 };
    struct frame_info info;
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &begin1, &err));
    MUST(frame_add_update(b, r, o, n, &err));
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
    frame_unref(finish(b, &payload, &info));
    CHECK(payload.n < HUGE * 7 / 4, "differences: %zu bytes", payload.n);
    buf_free(&payload);
    struct frame_coder *c = frame_coder_new();
    for (unsigned i = 0; i < 2; i++) { /* what had the huge one in hand gets a small one */
        struct bytes to;
        buf_reset(&payload);
        MUST(frame_builder_finish(b, &payload, &info, &err));
        MUST(frame_coder_code(c, buf_view(&payload), frame_builder_relations(b), &to, &info.tail, &err));
        CHECK(i == 1 || to.n < HUGE * 7 / 4, "coded: %zu bytes", to.n);
        frame_builder_reset(b, 1, false);
        MUST(frame_add_begin(b, &begin1, &err) &&
             frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
    }
    buf_free(&payload);
    size_t held = __sanitizer_get_current_allocated_bytes() - before;
    CHECK(held < HUGE / 4, "%zu bytes are held after a text of %d", held, HUGE);
    frame_coder_free(c);
    frame_builder_free(b);
    relation_unref(r);
    free(one);
    free(two);
}

/* No truncation of a payload decodes, and no changed byte makes more than a wrong value of it. */
static void damaged(bool near)
{
    struct frame_builder *b = frame_builder_new();
    struct any_rng rng = { 99 };
    struct relation *r = any_relation(&rng, "t");
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &begin1, &err));
    for (unsigned i = 0; i < 9; i++) {
        struct val *n = any_row(&rng, r, 1), *o = any_row(&rng, r, 1);
        for (unsigned k = 0; near && k < r->ncols; k++)
            any_edited(&rng, &o[k], &n[k]);
        if (near)
            MUST(frame_add_update(b, r, o, n, &err));
        else if (i % 3 == 0)
            MUST(frame_add_insert(b, r, n, &err));
        else if (i % 3 == 1)
            MUST(frame_add_update(b, r, o, n, &err));
        else
            MUST(frame_add_delete(b, r, o, &err));
        any_row_free(n, r);
        any_row_free(o, r);
    }
    struct rec_ddl ddl = { .sql = BYTES_LIT("TRUNCATE t"), .kind = 5 };
    MUST(frame_add_ddl(b, REC_TRUNCATE, &ddl, &err));
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f"), .consumed = BYTES_LIT("u:1") }, &err));
    struct buf payload = { 0 };
    struct frame_info info;
    frame_unref(finish(b, &payload, &info));
    for (size_t n = 0; n < payload.n; n++) {
        uint8_t *cut = malloc(n + !n);
        memcpy(cut, payload.p, n);
        struct frame *f = NULL;
        CHECK(!frame_decode(bytes_of(cut, n), &info, frame_builder_relations(b), &f, &err) && err.code == ERR_CORRUPT,
              "cut at %zu of %zu decodes", n, payload.n);
        frame_unref(f);
        free(cut);
    }
    struct val row[ANY_COLS];
    for (size_t i = 0; i < payload.n; i++)
        for (unsigned bit = 0; bit < 9; bit++) {
            uint8_t was = payload.p[i];
            payload.p[i] = (uint8_t)(was ^ (bit == 8 ? 0xff : 1 << bit));
            struct frame *f = NULL;
            if (frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err))
                for (unsigned k = 0; k < frame_count(f); k++) {
                    const struct record *rec = frame_record(f, k);
                    struct buf t = { 0 };
                    if (rec->op < REC_INSERT || rec->op > REC_DELETE)
                        continue;
                    rel_rows_new(rec->u.change.rows, rec, row);
                    rel_rows_old(rec->u.change.rows, rec, row);
                    for (unsigned c = 0; c < r->ncols; c++)
                        if (val_is_str(row[c].kind))
                            buf_bytes(&t, row[c].u.str); /* ASan looks on */
                    buf_free(&t);
                }
            frame_unref(f);
            payload.p[i] = was;
        }
    buf_free(&payload);
    frame_builder_free(b);
    relation_unref(r);
}

static void table(void)
{
    struct relation_table t = { 0 };
    struct relation *rel[100];
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        rel[i] = make(name, two_cols, 2);
        MUST(relation_table_add(&t, rel[i], &err));
        MUST(relation_table_add(&t, rel[i], &err));
    }
    CHECK(t.n == 100, "%u relations", t.n);
    struct relation_table list = { 0 }, empty = { 0 }, none = { 0 };
    MUST(relation_table_list(&list, &t, &err) && relation_table_list(&none, &empty, &err));
    CHECK(list.n == 100 && none.n == 0 && relation_table_find(&none, 1) == NULL, "lists");
    for (unsigned i = 0; i < 100; i++) {
        CHECK(relation_table_find(&t, rel[i]->id) == rel[i], "relation %u", i);
        CHECK(relation_table_find(&list, rel[i]->id) == rel[i], "relation %u of the list", i);
    }
    relation_table_reset(&t);
    CHECK(t.n == 0 && relation_table_find(&t, rel[0]->id) == NULL, "emptied");
    for (unsigned i = 0; i < 100; i += 2)
        MUST(relation_table_add(&t, rel[i], &err));
    for (unsigned i = 0; i < 100; i++) {
        CHECK(relation_table_find(&t, rel[i]->id) == (i % 2 == 0 ? rel[i] : NULL), "relation %u, again", i);
        relation_unref(rel[i]);
    }
    CHECK(bytes_eq(list.rel[99]->schema, BYTES_LIT("shop")), "the list has references of its own");
    relation_table_clear(&list);
    CHECK(relation_table_find(&t, 1) == NULL, "unknown id");
    relation_table_clear(&t);
    CHECK(relation_table_find(&t, 1) == NULL, "empty table");
}

/* Each number of bits, as buf_varint writes it. */
static void varints(void)
{
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (int d = -2; d <= 1; d++) {
            uint64_t v = (bits == 64 ? 0 : UINT64_C(1) << bits) + (uint64_t)d;
            struct buf want = { 0 }, got = { 0 };
            size_t size = 0;
            buf_varint(&want, v);
            CHECK(frame_part_varint(&got, v, &size) && size == want.n && bytes_eq(buf_view(&want), buf_view(&got)),
                  "2^%u %d: %zu bytes, want %zu", bits, d, got.n, want.n);
            buf_free(&want);
            buf_free(&got);
        }
    }
}

/* Where memory ran out for what says how long its pieces are, a tail is not written as if there were none. */
static void torn_tail(void)
{
    const struct frame_tail t = { .sizes = { .failed = true } };
    struct buf out = { 0 };
    frame_tail_write(&t, &out);
    CHECK(out.failed, "a tail without its last piece");
    buf_free(&out);
}

int main(void)
{
    varints();
    table();
    fields();
    refusals();
    split();
    size();
    value_by_value();
    reuse();
    announced();
    sums();
    for (unsigned seed = 1; seed <= 20; seed++)
        round_trip(seed, seed % 2 == 0);
    let_go();
    damaged(false);
    damaged(true);
    torn_tail();
    return UNIT_END();
}
