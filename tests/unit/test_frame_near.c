/* test_frame_near.c - old strings of updates come back from a frame as they were, and take little room where they are near the new ones; differences
 * where they may not be, or such that do not fit, are refused. */
#include "frame_one_text.h"

static const struct rec_begin begin1 = { .commit_us = 5, .resolution_us = 1 };
static const struct val null_val = { .kind = VAL_NULL };

static struct val text(const char *s)
{
    return (struct val){ .kind = VAL_TEXT, .u.str = bytes_str(s) };
}

/* Old strings beside new ones from which they differ in one place or another, or wholly; NULL on either side. They come back as they
 * were, and take little room where they are much alike. */
static void near_the_new(void)
{
    enum { LONG = 3000 };
    static char base[LONG + 1];
    for (unsigned i = 0; i < LONG; i++)
        base[i] = (char)('a' + any_below(&rng, 26));
    static const struct {
        const char *old, *now; /* NULL: the long text */
        size_t edit;           /* of the long text: one byte is another; beyond it: one more */
        bool old_null, new_null;
    } cases[] = {
        { NULL, NULL, 0, false, false },
        { NULL, NULL, 1500, false, false },
        { NULL, NULL, LONG - 1, false, false },
        { NULL, NULL, LONG, false, false },
        { NULL, "", 7, false, false },
        { "", NULL, 7, false, false },
        { NULL, "x", 7, false, false },
        { NULL, NULL, 9, true, false },
        { NULL, NULL, 9, false, true },
        { "aaaa", "aaa", 0, false, false },
        { "aaa", "aaaa", 0, false, false },
        { "abcabc", "abc", 0, false, false },
        { "abc", "abcabc", 0, false, false },
        { "12345678", "123456789", 0, false, false },
        { "1234567812345678", "12345678x12345678", 0, false, false },
        { NULL, NULL, 2, false, false },
    };
    enum { CASES = sizeof cases / sizeof *cases };
    struct relation *r = table(cols);
    for (unsigned mixed = 0; mixed < 4;
         mixed++) { /* 1: with an INSERT, 2: with a DELETE, 3: both: then all strings stand there in full */
        struct frame_builder *b = frame_builder_new();
        struct val olds[CASES], news[CASES];
        static char edited[CASES][LONG + 2];
        frame_builder_reset(b, 1, false);
        MUST(frame_add_begin(b, &begin1, &err));
        size_t total = 0;
        for (unsigned i = 0; i < CASES; i++) {
            memcpy(edited[i], base, LONG + 1);
            edited[i][cases[i].edit] = '!';
            olds[i] = cases[i].old_null ? null_val : text(cases[i].old != NULL ? cases[i].old : edited[i]);
            news[i] = cases[i].new_null ? null_val : text(cases[i].now != NULL ? cases[i].now : base);
            total += cases[i].old_null ? 0 : olds[i].u.str.n;
            MUST(frame_add_update(b, r, (struct val[]){ i64(i), olds[i] }, (struct val[]){ i64(i), news[i] }, &err));
        }
        struct val more[] = { i64(99), text("z") };
        if (mixed == 1 || mixed == 3)
            MUST(frame_add_insert(b, r, more, &err));
        if (mixed >= 2)
            MUST(frame_add_delete(b, r, more, &err));
        MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
        struct buf payload = { 0 };
        struct frame_info info;
        struct frame *f = NULL;
        finish(b, &payload, &info);
        MUST(frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err));
        size_t new_total = 0;
        for (unsigned i = 0; i < CASES && f != NULL; i++) {
            const struct record *rec = frame_record(f, i + 1);
            struct val got_old = rel_rows_old_at(rec->u.change.rows, rec, 1),
                       got_new = rel_rows_new_at(rec->u.change.rows, rec, 1);
            CHECK(val_eq(&got_old, &olds[i]) && val_eq(&got_new, &news[i]), "mixed %u, case %u", mixed, i);
            new_total += cases[i].new_null ? 0 : news[i].u.str.n;
        }
        /* Two long old texts are near to nothing: "x" and the empty string are beside them, and one is beside NULL. */
        CHECK(mixed != 0 ? payload.n > total + new_total : payload.n < new_total + 3 * LONG + 500,
              "mixed %u: %zu bytes of %zu and %zu", mixed, payload.n, total, new_total);
        frame_unref(f);
        buf_free(&payload);
        frame_builder_free(b);
    }
    relation_unref(r);
}

/* Differences where they may not be, and such that do not fit: refused, each with its reason. Each frame has one or two changes, and the last
 * part of its payload, of two texts "old" or two integers 1, is taken off for one that is made by hand. */
static void near_where_it_may_not_be(void)
{
#define UPDATES "uu"
    static const struct {
        const char *changes; /* i u d; n: an update to NULL */
        bool ints;           /* the last column has integers */
        const char *part;
        size_t n;
        const char *why; /* NULL: it is valid */
    } cases[] = {
#define PART(text) text, sizeof(text) - 1
        { UPDATES, false, PART("\x08\2\3\0\2\0\0\2\0\0\0"), NULL },
        { UPDATES, false, PART("\x08\2\0\3\2\3\0\2\1\0\1x"), NULL },
        { UPDATES, false, PART("\x0c\x04\1\1\1\2\1\0\0"), NULL },
        { UPDATES, false, PART("\x08\2\4\0\2\0\0\2\0\0\0"), "more of the new one" },
        { UPDATES, false, PART("\x08\2\2\0\2\2\0\2\0\0\0"), "more of the new one" },
        { UPDATES, false, PART("\x08\2\0\0\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\2\0\0\0"),
          "more of the new one" },
        { UPDATES, false, PART("\x08\2\0\0\2\0\0\2\0\2\1x"), "beyond its stream" },
        { UPDATES, false, PART("\x08\2\0\0\2\0\0\2\0\1\2xy"), "more strings" },
        { UPDATES, false, PART("\x08\3\0\0\0\2\0\0\2\0\0\0"), "more strings" },
        { UPDATES, false, PART("\x08\2\0\0\3\0\0\0\2\0\0\0"), "more strings" },
        { UPDATES, false, PART("\x08\2\0\0\2\0\0\3\0\0\0\0"), "more strings" },
        { UPDATES, false, PART("\x08\1\0\2\0\0\2\0\0\0"), "fewer strings" },
        { UPDATES, false, PART("\x08\2\0\0\1\0\2\0\0\0"), "fewer strings" },
        { UPDATES, false, PART("\x08\2\0\0\2\0\0\1\0\0"), "fewer values" },
        { UPDATES, false, PART("\x0c\x04\1\1\1\1\0\0"), "fewer strings" },
        { UPDATES, false, PART("\x0c\x14\1\1\1\2\1\0\0"), "behind the last row" },
        { UPDATES, false, PART("\x09"), "unknown mode" },
        { UPDATES, false, PART("\x0a"), "unknown mode" },
        { UPDATES, false, PART("\x0b"), "unknown mode" },
        { UPDATES, true, PART("\x08\2\0\0\2\0\0\2\0\0\0"), "unknown mode" },
        { UPDATES, true, PART("\x0c\x04\1\0\1\0\1\0\0"), "unknown mode" },
        { "un", false, PART("\x08\2\3\0\2\0\0\2\0\0\0"), NULL },
        { "un", false, PART("\x08\2\3\1\2\0\0\2\0\0\0"), "more of the new one" },
        { "nu", false, PART("\x08\2\0\3\2\1\0\2\0\0\0"), "more of the new one" },
        { "iu", false, PART("\x08\1\0\1\0\1\0\0"), "unknown mode" },
        { "du", false, PART("\x08\2\0\0\2\0\0\2\0\0\0"), "unknown mode" },
        { "ud", false, PART("\x08\2\0\0\2\0\0\2\0\0\0"), "unknown mode" },
        { "ud", false, PART("\x0c\0\2\0\0\2\0\0\2\0\0\0"), "unknown mode" },
        { "dd", false, PART("\x08\2\0\0\2\0\0\2\0\0\0"), "unknown mode" },
        { "ii", false, PART("\x08\2\0\0\2\0\0\2\0\0\0"), "unknown mode" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct column columns[] = { cols[!cases[i].ints], cols[cases[i].ints] };
        const struct val *o = cases[i].ints ? (struct val[]){ text("old"), i64(1) }
                                            : (struct val[]){ i64(1), text("old") },
                         *n = cases[i].ints ? (struct val[]){ text("new"), i64(2) }
                                            : (struct val[]){ i64(1), text("new") };
        struct relation *r = table((struct column[]){ columns[1], columns[0] });
        struct frame_builder *b = frame_builder_new();
        struct buf payload = { 0 };
        struct frame_info info;
        struct frame *f = NULL;
        size_t rows = 0;
        frame_builder_reset(b, 1, false);
        MUST(frame_add_begin(b, &begin1, &err));
        for (const char *c = cases[i].changes; *c != '\0'; c++) {
            MUST(*c == 'i'   ? frame_add_insert(b, r, n, &err)
                 : *c == 'd' ? frame_add_delete(b, r, o, &err)
                             : frame_add_update(b, r, o, *c == 'n' ? (struct val[]){ n[0], null_val } : n, &err));
            rows += cases[i].changes[0] == 'i' && cases[i].changes[1] == 'i' ? 1 : *c != 'i';
        }
        MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
        finish(b, &payload, &info);
        MUST(frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err));
        frame_unref(f);
        f = NULL;
        payload.n -= cases[i].ints ? 2 + rows : 3 + rows + 3 * rows; /* mode, lengths of the streams, the streams */
        buf_put(&payload, cases[i].part, cases[i].n);
        bool ok = frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err);
        CHECK(ok == (cases[i].why == NULL) &&
                  (ok || (err.code == ERR_CORRUPT && strstr(err.msg, cases[i].why) != NULL)),
              "case %zu: %s", i, ok ? "decodes" : err.msg);
        frame_unref(f);
        buf_free(&payload);
        frame_builder_free(b);
        relation_unref(r);
    }
#undef PART
#undef UPDATES
}

int main(void)
{
    near_the_new();
    near_where_it_may_not_be();
    return UNIT_END();
}
