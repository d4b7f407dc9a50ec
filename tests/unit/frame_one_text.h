/* frame_one_text.h - frames of a table with one column of texts, for the tests of what a frame makes of them. */
#ifndef ROWTIDE_FRAME_ONE_TEXT_H
#define ROWTIDE_FRAME_ONE_TEXT_H

#include "unit.h"

#include "frame.h"
#include "frame_any_row.h"
#include "frame_coder.h"

enum { LONGEST = 400, ROWS = 400 };

static struct err err;
static struct any_rng rng = { 11 };

static const struct column cols[] = {
    { .name = { (const uint8_t *)"id", 2 }, .type = COL_INT, .int_bits = 32, .visible = true, .key_pos = 1 },
    { .name = { (const uint8_t *)"s", 1 },
      .type = COL_VARCHAR,
      .length = LONGEST,
      .char_bytes = 4,
      .nullable = true,
      .visible = true,
      .charset = { (const uint8_t *)"utf8mb4", 7 } },
};

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        err.msg[0] = 0;                                                                                                \
        bool must_ok = (call);                                                                                         \
        CHECK(must_ok, "%s: %s", #call, err.msg);                                                                      \
    } while (0)

static inline struct relation *table(const struct column *c)
{
    struct relation *r = NULL;
    MUST(relation_new(BYTES_LIT("shop"), BYTES_LIT("t"), c, 2, &r, &err));
    return r;
}

static inline void finish(struct frame_builder *b, struct buf *payload, struct frame_info *info)
{
    struct frame_coder *c = frame_coder_new();
    struct bytes to = { 0 };
    MUST(frame_builder_finish(b, payload, info, &err));
    MUST(frame_coder_code(c, buf_view(payload), frame_builder_relations(b), &to, &info->tail, &err));
    if (to.p != payload->p) {
        buf_reset(payload);
        buf_bytes(payload, to);
    }
    frame_coder_free(c);
}

static inline struct val i64(int64_t v)
{
    return (struct val){ .kind = VAL_I64, .u.i64 = v };
}

struct strings {
    unsigned n;
    struct val v[ROWS]; /* VAL_NULL or a text in bytes */
    char bytes[ROWS][LONGEST];
};

static inline void set(struct strings *s, unsigned i, const char *bytes, size_t n)
{
    memcpy(s->bytes[i], bytes, n);
    s->v[i] = (struct val){ .kind = VAL_TEXT, .u.str = bytes_of(s->bytes[i], n) };
}

enum shape { INSERTS, DELETES, UPDATES, ALL_THREE, SHAPES };

/* A frame of the strings, their reverse order beside them as the new rows of updates. Checks that they come back; *tail: what stands behind the
 * columns. Returns the payload's size. */
static inline size_t there_and_back(const struct strings *s, enum shape shape, const char *what, size_t *tail)
{
    struct relation *r = table(cols);
    struct frame_builder *b = frame_builder_new();
    struct buf payload = { 0 };
    struct frame_info info = { 0 };
    struct frame *f = NULL;
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
    for (unsigned i = 0; i < s->n; i++) {
        struct val row[2] = { i64(i), s->v[i] }, other[2] = { i64(i), s->v[s->n - 1 - i] };
        enum shape as = shape == ALL_THREE ? (enum shape)(i % 3) : shape;
        MUST(as == INSERTS   ? frame_add_insert(b, r, row, &err)
             : as == DELETES ? frame_add_delete(b, r, row, &err)
                             : frame_add_update(b, r, row, other, &err));
    }
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
    finish(b, &payload, &info);
    MUST(frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err));
    for (unsigned i = 0; f != NULL && i < s->n; i++) {
        const struct record *rec = frame_record(f, i + 1);
        struct val o = rel_rows_old_at(rec->u.change.rows, rec, 1), n = rel_rows_new_at(rec->u.change.rows, rec, 1);
        CHECK(rec->op == REC_INSERT || val_eq(&o, &s->v[i]), "%s, shape %u: old string %u is another", what, shape, i);
        CHECK(rec->op == REC_DELETE || val_eq(&n, &s->v[rec->op == REC_INSERT ? i : s->n - 1 - i]),
              "%s, shape %u: new string %u is another", what, shape, i);
    }
    CHECK(info.size == frame_builder_size(b) && info.tail <= payload.n, "info");
    size_t size = payload.n;
    *tail = info.tail;
    frame_unref(f);
    buf_free(&payload);
    frame_builder_free(b);
    relation_unref(r);
    return size;
}

/* A frame of two rows whose texts (or integers: its last part) are made by hand. why: it is refused so; NULL: decodes, and got is the texts, one behind
 * the other. */
static inline void hand_made(size_t nth, bool ints, struct bytes part, const char *why, struct buf *got)
{
    const struct column swapped[2] = { cols[1], cols[0] };
    struct val row[2] = { i64(1), { .kind = VAL_TEXT, .u.str = BYTES_LIT("abc") } };
    struct relation *r = table(ints ? swapped : cols);
    struct frame_builder *b = frame_builder_new();
    struct buf payload = { 0 };
    struct frame_info info;
    struct frame *f = NULL;
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
    for (unsigned k = 0; k < 2; k++)
        MUST(frame_add_insert(b, r, ints ? (struct val[]){ row[1], row[0] } : row, &err));
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
    MUST(frame_builder_finish(b, &payload, &info, &err));
    payload.n -= ints ? 4 : 1 + 3 + 7; /* mode, streams */
    buf_bytes(&payload, part);
    bool ok = frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err);
    CHECK(ok == (why == NULL) && (ok || (err.code == ERR_CORRUPT && strstr(err.msg, why) != NULL)), "case %zu: %s", nth,
          ok ? "decodes" : err.msg);
    for (unsigned k = 1; ok && !ints && k <= 2; k++) {
        const struct record *rec = frame_record(f, k);
        struct val v = rel_rows_new_at(rec->u.change.rows, rec, 1);
        if (v.kind == VAL_TEXT)
            buf_bytes(got, v.u.str);
    }
    frame_unref(f);
    buf_free(&payload);
    frame_builder_free(b);
    relation_unref(r);
}

/* No truncation of the frame decodes, and no changed byte makes more than a wrong value of it. ASan looks on. */
static inline void damaged(const struct frame_builder *b, const struct buf *payload, const struct frame_info *info)
{
    for (size_t n = 0; n < payload->n; n++) {
        uint8_t *cut = malloc(n + !n);
        memcpy(cut, payload->p, n);
        struct frame *f = NULL;
        CHECK(!frame_decode(bytes_of(cut, n), info, frame_builder_relations(b), &f, &err) && err.code == ERR_CORRUPT,
              "cut at %zu of %zu decodes", n, payload->n);
        frame_unref(f);
        free(cut);
    }
    for (size_t i = 0; i < payload->n; i++)
        for (unsigned bit = 0; bit < 9; bit++) {
            uint8_t *other = malloc(payload->n);
            memcpy(other, payload->p, payload->n);
            other[i] = (uint8_t)(other[i] ^ (bit == 8 ? 0xff : 1 << bit));
            struct frame *f = NULL;
            bool ok = frame_decode(bytes_of(other, payload->n), info, frame_builder_relations(b), &f, &err);
            for (unsigned k = 0; ok && k < frame_count(f); k++) {
                const struct record *rec = frame_record(f, k);
                struct buf t = { 0 };
                if (rec->op < REC_INSERT || rec->op > REC_DELETE)
                    continue;
                struct val o = rel_rows_old_at(rec->u.change.rows, rec, 1),
                           v = rel_rows_new_at(rec->u.change.rows, rec, 1);
                if (o.kind == VAL_TEXT)
                    buf_bytes(&t, o.u.str);
                if (v.kind == VAL_TEXT)
                    buf_bytes(&t, v.u.str);
                buf_free(&t);
            }
            frame_unref(f);
            free(other);
        }
}

#endif
