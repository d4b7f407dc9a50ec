/* test_frame_digits.c - strings that differ in digits alone come back from a frame as they were, whatever their form, and take the room of their
 * digits; one that is of another form among them changes nothing but that; what is wrong with a form or a number is refused. */
#include "unit.h"

#include "frame_one_text.h"
#include "zblock.h"

/* n strings of a form: d, h, H are digits, all else stands for itself. The first three have the least digits, the greatest, and the least again. */
static struct strings *made(const char *form, unsigned n, bool nulls)
{
    struct strings *s = calloc(1, sizeof *s);
    for (s->n = 0; s->n < n; s->n++) {
        char one[LONGEST];
        size_t len = 0;
        for (const char *f = form; *f != '\0'; f++, len++) {
            const char *digits = *f == 'd' ? "0123456789" : *f == 'h' ? "0123456789abcdef" : "0123456789ABCDEF";
            size_t kinds = *f == 'd' ? 10 : *f == 'h' || *f == 'H' ? 16 : 0;
            one[len] = kinds == 0  ? *f
                       : s->n == 1 ? digits[kinds - 1]
                       : s->n < 3  ? '0'
                                   : digits[any_below(&rng, (unsigned)kinds)];
        }
        if (nulls && any_below(&rng, 3) == 0)
            s->v[s->n] = (struct val){ .kind = VAL_NULL };
        else
            set(s, s->n, one, len);
    }
    return s;
}

static void forms(void)
{
    static char lengths[][LONGEST] = { "15", "16", "17", "127", "128", "129", "240", "255", "256" };
    static const struct {
        const char *form;
        unsigned bytes; /* of the digits of one; 0: it is not coded */
    } cases[] = {
        { "dddd", 2 },
        { "ddddd", 3 },
        { "a1-dddddddd", 4 },
        { "dddddddddddddddd", 7 },
        { "ddddddddddddddddd", 8 },
        { "ddd dddd dddd dddd dddd", 9 },
        { "ddddddddddd-ddddddddddd-ddddddddddd-ddddddddddd-ddddddddddd-ddddddddddd-ddddddddddd-ddddddddddd-ddddddddddd-"
          "ddddddddddd",
          48 },
        { "hhhhhhhh-hhhh-4hhh-hhhh-hhhhhhhhhhhh", 16 },
        { "{HHHHHHHH-HHHH-4HHH-HHHH-HHHHHHHHHHHH}", 16 },
        { "Stra\xc3\x9f"
          "e dddddd, \xe6\x9d\xb1\xe4\xba\xac",
          3 },
        { "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh", 20 },
        { "hhhhh", 3 },
        { "Abcdef ddddd", 3 },
        { "0x"
          "HHHHHHHHH",
          5 },
        { lengths[0], 7 },
        { lengths[1], 7 },
        { lengths[2], 8 },
        { lengths[3], 56 },
        { lengths[4], 56 },
        { lengths[5], 57 },
        { lengths[6], 105 },
        { lengths[7], 112 },
        { lengths[8], 0 },
        { "ddd", 0 },
        { "hhhhhhHHHHHH", 0 },
        { "dddddd\xff", 0 },
        { "dddddd\xfd", 0 },
        { "dddddd\xfc", 3 },
        { "always the same", 0 },
        { "", 0 },
    };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        memset(lengths[i], 'd', (size_t)atoi(lengths[i]));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned variant = 0; variant < 3 * SHAPES; variant++) {
            static const unsigned counts[] = { 16, 61, ROWS };
            unsigned n = counts[variant % 3];
            enum shape shape = (enum shape)(variant / 3);
            /* So much of it is always the same that an old one is rather told by its new one. */
            bool near = cases[i].form[0] == 'S';
            struct strings *s = made(cases[i].form, shape == ALL_THREE ? ROWS : n, n == 61);
            size_t tail, has = 0, size = there_and_back(s, shape, cases[i].form, &tail);
            for (unsigned k = 0; k < s->n; k++)
                has += s->v[k].kind == VAL_TEXT && (shape != ALL_THREE || k % 3 != 2);
            has *= shape == UPDATES && !near ? 2 : 1;
            if (shape == ALL_THREE)
                for (unsigned k = 2; k < s->n; k += 3)
                    has += (s->v[k].kind == VAL_TEXT ? 1u : 0) + (s->v[s->n - 1 - k].kind == VAL_TEXT ? 1u : 0);
            /* Where a string is beside itself, its old one is "the same". */
            CHECK(cases[i].bytes == 0 ? tail == 0 : has - tail / cases[i].bytes <= 2 && tail % cases[i].bytes == 0,
                  "%s, %u, shape %u: %zu bytes behind the columns for %zu strings", cases[i].form, n, shape, tail, has);
            CHECK(cases[i].bytes == 0 || near || size - tail < 4 * s->n + 2 * LONGEST + 100, "%s: %zu bytes besides",
                  cases[i].form, size - tail);
            free(s);
        }
}

/* One string among many that are alike is not: at each place, each character that might be taken for a digit. */
static void one_of_another_form(void)
{
    static const char *const all[] = { "id-dddddddddddddddddd.", "hhhhhhhhhh-hhhhhhhh-4", "HHHHHHHHHH-HHHHHHHH-4" };
    static const char odd[] = "/0:@AFG`afgz-\x7f\x80\xc1\xfd\xfe\xff";
    static const unsigned places[] = { 3, 16, 38, 39 };
    size_t tail;
    for (unsigned a = 0; a < 3; a++) {
        struct strings *s = made(all[a], 40, false);
        size_t n = strlen(all[a]);
        for (unsigned at = 0; at < n; at++)
            for (unsigned c = 0; c < sizeof odd - 1; c++) {
                unsigned k = places[(at + c) % 4];
                char was = s->bytes[k][at];
                s->bytes[k][at] = odd[c];
                there_and_back(s, INSERTS, all[a], &tail);
                bool fits = strchr(a == 0   ? "0123456789"
                                   : a == 1 ? "0123456789abcdef"
                                            : "0123456789ABCDEF",
                                   odd[c]) != NULL;
                bool digit = strchr("dhH", all[a][at]) != NULL;
                CHECK(tail == 0 || (digit ? fits : odd[c] == was) || k % 2 == 0, "%s: %c at %u of string %u", all[a],
                      odd[c], at, k);
                s->bytes[k][at] = was;
            }
        for (unsigned k = 0; k < 40; k += 13) {
            struct val was = s->v[k];
            s->v[k].u.str.n--;
            there_and_back(s, INSERTS, all[a], &tail);
            CHECK(tail != 0, "%s: string %u is shorter: it alone stands in full", all[a], k);
            s->v[k].u.str.n = 0;
            there_and_back(s, INSERTS, all[a], &tail);
            CHECK(tail != 0, "%s: string %u is empty", all[a], k);
            s->v[k] = was;
        }
        there_and_back(s, INSERTS, all[a], &tail);
        CHECK(tail != 0, "%s: all alike", all[a]);
        free(s);
    }
}

/* Any number of digits, at the end of the longest strings, too: as many bytes as the numbers need, not one more or less. */
static void counts(void)
{
    for (unsigned n = 4; n < 50; n++)
        for (unsigned k = 0; k < 4; k++) {
            char form[LONGEST];
            unsigned base = k % 2 == 0 ? 10 : 16, bytes = n / 16 * (k % 2 == 0 ? 7 : 8), len = k < 2 ? n : 255;
            uint64_t most = 0; /* of the first group */
            for (unsigned i = 0; i < n % 16; i++)
                most = most * base + base - 1;
            for (; most != 0; most >>= 8)
                bytes++;
            memset(form, '.', len);
            memset(form + len - n, base == 10 ? 'd' : 'h', n);
            form[len] = '\0';
            struct strings *s = made(form, ROWS, false);
            size_t tail;
            there_and_back(s, INSERTS, form, &tail);
            CHECK(tail == (size_t)ROWS * bytes, "%u digits of base %u at %u: %zu bytes", n, base, len - n, tail);
            free(s);
        }
}

/* What zstd finds again is left to it: counters and times stand as they are, and what comes often is coded, but in the middle of the payload. */
static void order(void)
{
    struct strings *s = made("dddddddddddd", ROWS, false);
    size_t tail, coded = there_and_back(s, INSERTS, "random", &tail);
    CHECK(tail == (size_t)ROWS * 5, "random: %zu", tail);
    for (unsigned i = 0; i < ROWS; i++) {
        char one[16];
        set(s, i, one, (size_t)snprintf(one, sizeof one, "%012u", 4711000 + i));
    }
    size_t size = there_and_back(s, INSERTS, "counter", &tail);
    CHECK(tail == 0 && size > (size_t)ROWS * 12, "a counter: %zu of %zu", tail, size);
    for (unsigned i = 0; i < ROWS; i++) {
        char one[16];
        set(s, i, one, (size_t)snprintf(one, sizeof one, "%012llu", any_below(&rng, 50) * 20408163265ull));
    }
    size = there_and_back(s, INSERTS, "repeated", &tail);
    CHECK(tail == 0 && size < coded + 10, "repeated: %zu of %zu", tail, size);
    free(s);
}

/* Whatever strings: of any form, with what spoils one, with repeats and counters. */
static void any_string(const char *form, size_t len, unsigned style, unsigned i, struct strings *s)
{
    char one[LONGEST];
    bool odd = style == 1 && any_below(&rng, 40) == 0;
    unsigned kind = any_below(&rng, 16);
    if ((style & 2) != 0 && kind < 5) { /* as one before, or nothing */
        if (kind < 2 || i == 0)
            s->v[i] = (struct val){ .kind = kind == 0 ? VAL_NULL : VAL_ABSENT };
        else
            set(s, i, s->bytes[i - 1], s->v[i - 1].kind == VAL_TEXT ? s->v[i - 1].u.str.n : 0);
        return;
    }
    uint64_t counter = style == 4 ? i * UINT64_C(7) : any_next(&rng);
    for (size_t k = len; k-- > 0;) {
        const char *digits = form[k] == 'd' ? "0123456789" : form[k] == 'h' ? "0123456789abcdef" : "0123456789ABCDEF";
        unsigned kinds = form[k] == 'd' ? 10 : form[k] == 'h' || form[k] == 'H' ? 16 : 0;
        one[k] = kinds == 0 ? form[k] : digits[counter % kinds];
        counter = kinds == 0 ? counter : style == 4 ? counter / kinds : any_next(&rng) >> 20;
    }
    if (odd && len != 0 && kind < 8)
        one[any_below(&rng, (unsigned)len)] ^= (char)(1 << any_below(&rng, 8));
    set(s, i, one, odd && kind >= 8 ? any_below(&rng, (unsigned)len + 1) : len);
}

static void any_strings(struct strings *olds, struct strings *news, unsigned n)
{
    static const char others[] = "dhH--09afAF. \xc3\xa9\xfc\xfd\xfe\xff";
    char form[LONGEST];
    size_t len = any_below(&rng, any_below(&rng, 4) == 0 ? LONGEST + 1 : 40);
    unsigned style = any_below(&rng, 6), literal = 1 + any_below(&rng, 8);
    char digit = "dddhH"[any_below(&rng, 5)];
    for (size_t k = 0; k < len; k++)
        form[k] = any_below(&rng, 9) >= literal ? digit : others[any_below(&rng, any_below(&rng, 20) == 0 ? 19 : 13)];
    for (unsigned i = 0; i < n; i++) {
        any_string(form, len, style, i, news);
        any_string(form, len, style, i, olds);
        if (style == 5 && any_below(&rng, 3) == 0 && news->v[i].kind == VAL_TEXT) /* the same, or near it */
            set(olds, i, news->bytes[i], news->v[i].u.str.n - (news->v[i].u.str.n != 0 && any_below(&rng, 2) == 0));
    }
}

static bool same_val(const struct val *got, const struct val *want)
{
    return want->kind == VAL_ABSENT ? got->kind == VAL_ABSENT : val_eq(got, want);
}

/* Columns of any strings through a builder, with some of it taken back and added again, a compressed frame and a decoder. */
static void whatever(void)
{
    enum { COLUMNS = 3, ROUNDS = 700, MOST = 80 };
    const struct column wide[1 + COLUMNS] = { cols[0], cols[1], cols[1], cols[1] };
    struct column named[1 + COLUMNS];
    struct strings *s[2][COLUMNS];
    struct relation *r = NULL;
    struct zcodec *z = zcodec_new();
    struct frame_builder *b = frame_builder_new();
    unsigned tails = 0;
    for (unsigned c = 0; c <= COLUMNS; c++) {
        named[c] = wide[c];
        named[c].name = bytes_of((const uint8_t *)"abcd" + c, 1);
    }
    MUST(relation_new(BYTES_LIT("shop"), BYTES_LIT("wide"), named, 1 + COLUMNS, &r, &err));
    for (unsigned c = 0; c < 2 * COLUMNS; c++)
        s[c / COLUMNS][c % COLUMNS] = calloc(1, sizeof(struct strings));
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n = 1 + any_below(&rng, MOST), again = any_below(&rng, 4) == 0 ? any_below(&rng, n) : n;
        enum shape shape = (enum shape)any_below(&rng, SHAPES);
        struct buf payload = { 0 }, out = { 0 }, back = { 0 };
        struct frame_info info = { 0 };
        struct zblock head = { 0 };
        struct frame *f = NULL;
        for (unsigned c = 0; c < COLUMNS; c++)
            any_strings(s[0][c], s[1][c], n);
        frame_builder_reset(b, 1, false);
        MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
        for (unsigned i = 0, back_to = again; i < n; i++) {
            struct val row[2][1 + COLUMNS] = { { i64(i) }, { i64(i) } };
            for (unsigned c = 0; c < COLUMNS; c++) {
                row[0][1 + c] = s[0][c]->v[i];
                row[1][1 + c] = s[1][c]->v[i];
            }
            enum shape as = shape == ALL_THREE ? (enum shape)(i % 3) : shape;
            MUST(as == INSERTS   ? frame_add_insert(b, r, row[1], &err)
                 : as == DELETES ? frame_add_delete(b, r, row[0], &err)
                                 : frame_add_update(b, r, row[0], row[1], &err));
            if (i + 1 == n && back_to < n) {
                MUST(frame_builder_rewind(b, 2 + back_to, &err));
                i = back_to - 1;
                back_to = n;
            }
        }
        MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
        finish(b, &payload, &info);
        finish(b, &back, &info);
        CHECK(bytes_eq(buf_view(&payload), buf_view(&back)), "round %u: the second time it is another payload", round);
        buf_reset(&back);
        MUST(zblock_write(z, ZB_DATA, &info, buf_view(&payload), &out, &err));
        MUST(zblock_parse(buf_view(&out), &head, &err));
        MUST(zblock_open(z, &head, bytes_of(out.p + ZB_HEADER_SIZE, head.stored_size), &back, &err));
        MUST(frame_decode(buf_view(&back), &head.info, frame_builder_relations(b), &f, &err));
        tails += head.stored_tail != 0;
        for (unsigned i = 0; f != NULL && i < n; i++)
            for (unsigned c = 0; c < COLUMNS; c++) {
                const struct record *rec = frame_record(f, i + 1);
                struct val o = rel_rows_old_at(rec->u.change.rows, rec, 1 + c),
                           v = rel_rows_new_at(rec->u.change.rows, rec, 1 + c);
                CHECK((rec->op == REC_INSERT || same_val(&o, &s[0][c]->v[i])) &&
                          (rec->op == REC_DELETE || same_val(&v, &s[1][c]->v[i])),
                      "round %u, column %u: string %u of %u is another", round, c, i, n);
            }
        frame_unref(f);
        buf_free(&payload);
        buf_free(&out);
        buf_free(&back);
    }
    CHECK(tails > ROUNDS / 4 && tails < ROUNDS, "%u frames with a tail", tails);
    for (unsigned c = 0; c < 2 * COLUMNS; c++)
        free(s[c / COLUMNS][c % COLUMNS]);
    frame_builder_free(b);
    zcodec_free(z);
    relation_unref(r);
}

/* Made by hand: the last part of a frame of two texts "abc", or two integers, is taken off for another. */
static void refusals(void)
{
#define PART(text) text, sizeof(text) - 1
    static const struct {
        bool ints;
        const char *part;
        size_t n;
        const char *why;  /* NULL: it is valid, */
        const char *want; /* and these are its texts */
    } cases[] = {
        { false, PART("\x10\3\xff\xff\xff\4\1\0\xe7\3"), NULL, "001999" },
        { false, PART("\x10\3\xff\xff\xff\0\1\0\xe7\3"), NULL, "001999" },
        { false,
          PART("\x10\x14\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0"
               "\0\0\0"
               "\xd2\4\xd2\x0a\xcd\x3a\xee\x2c\x14"),
          NULL, "0000000000000000000012345678901234567890" },
        { false,
          PART("\x10\x11\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x12\0\0\0\0\0\0\0\0\0\xf"
               "\xef\xcd\xab\x89\x67\x45\x23\1"),
          NULL, "00000000000000000f0123456789abcdef" },
        { false,
          PART("\x10\3\xfe"
               "a\xfe\2\1\xff"),
          NULL, "0a1faf" },
        { false, PART("\x10\3\xfd\xfd\xfd\4\1\0\xff\x0f"), NULL, "001FFF" },
        { false, PART("\x14\4\3\xff\xff\xff\2\1\0"), NULL, "001" },
        { false, PART("\x14\5\3\xff\xff\xff\0"), NULL, "" },
        { false, PART("\x10\3\xff\xff\xff\4\1\0\xe8\3"), "too many digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\0\xe8\3\1\0"), "too many digits", NULL },
        { false, PART("\x10\3\xfd\xfd\xfd\4\1\0\0\x10"), "too many digits", NULL },
        { false,
          PART("\x10\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x0e\0\0\xc1\x6f\xf2\x86\x23"
               "\0\0\0\0\0\0\0"),
          "too many digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\3\1\0\1"), "fewer digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\5\1\0\1\0\1"), "fewer digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\2\1\0"), "fewer digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\6\1\0\1\0\1\0"), "fewer digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\0\1\0\1"), "fewer digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\0"), "fewer digits", NULL },
        { false, PART("\x10\3\xff\xff\xff\0\1\0\1\0\1"), "trailing", NULL },
        { false, PART("\x10\3\xff\xff\xff"), "truncated", NULL },
        { false, PART("\x10\3\xff\xff"), "truncated", NULL },
        { false, PART("\x10\0\0"), "a form of", NULL },
        { false,
          PART("\x10\3"
               "abc\0"),
          "without digits", NULL },
        { false,
          PART("\x10\3\xff"
               "a\xfe\2\0\0"),
          "two kinds", NULL },
        { false, PART("\x10\2\xfd\xfe\2\0\0"), "two kinds", NULL },
        { false, PART("\x11"), "unknown mode", NULL },
        { false, PART("\x12"), "unknown mode", NULL },
        { false, PART("\x13"), "unknown mode", NULL },
        { false, PART("\x15"), "unknown mode", NULL },
        { false, PART("\x18"), "unknown mode", NULL },
        { false, PART("\x1c"), "unknown mode", NULL },
        { true, PART("\x10\3\xff\xff\xff\4\1\0\xe7\3"), "unknown mode", NULL },
        { true, PART("\x14\4\3\xff\xff\xff\2\1\0"), "unknown mode", NULL },
    };
    for (size_t i = 0; i <= sizeof cases / sizeof *cases; i++) {
        bool ints = i < sizeof cases / sizeof *cases && cases[i].ints;
        const char *why = i < sizeof cases / sizeof *cases ? cases[i].why : "a form of";
        struct buf part = { 0 };
        if (i < sizeof cases / sizeof *cases) {
            buf_put(&part, cases[i].part, cases[i].n);
        } else { /* a form of 257 bytes */
            buf_u8(&part, 0x10);
            buf_varint(&part, 257);
            for (unsigned k = 0; k < 257; k++)
                buf_u8(&part, 0xff);
            buf_u8(&part, 0);
        }
        struct buf got = { 0 };
        hand_made(i, ints, buf_view(&part), why, &got);
        CHECK(why != NULL || bytes_eq_str(buf_view(&got), cases[i].want), "case %zu: %.*s", i, (int)got.n,
              (char *)got.p);
        buf_free(&got);
        buf_free(&part);
    }
#undef PART
}

/* A small payload that says it holds more text than a frame may, or than a reader has memory for. */
static void too_much(void)
{
    static const struct {
        unsigned rows;
        const char *why;
    } cases[] = { { 5 << 20, "more text than" }, { 4 << 20, "takes more than" } };
    struct relation *r = table(cols);
    for (unsigned k = 0; k < 2; k++) {
        struct frame_builder *b = frame_builder_new();
        struct buf payload = { 0 };
        struct frame_info info;
        struct frame *f = NULL;
        struct val row[2] = { i64(0), { .kind = VAL_NULL } };
        frame_builder_reset(b, 1, false);
        MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
        for (unsigned i = 0; i < cases[k].rows; i++)
            if (!frame_add_insert(b, r, row, &err))
                CHECK(false, "%s", err.msg);
        MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
        finish(b, &payload, &info);
        payload.n--; /* all NULL */
        buf_u8(&payload, 0x10);
        buf_varint(&payload, 256);
        for (unsigned i = 0; i < 256; i++)
            buf_u8(&payload, i == 0 ? 0xff : 'x');
        buf_u8(&payload, 0);
        for (unsigned i = 0; i < cases[k].rows; i++)
            buf_u8(&payload, 7);
        CHECK(!frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err) &&
                  err.code == ERR_CORRUPT && strstr(err.msg, cases[k].why) != NULL,
              "%u rows: %s", cases[k].rows, err.msg);
        frame_unref(f);
        buf_free(&payload);
        frame_builder_free(b);
    }
    relation_unref(r);
}

static void cut_and_changed(void)
{
    struct relation *r = table(cols);
    struct frame_builder *b = frame_builder_new();
    struct strings *s = made("hhhh-hhhhhhhh-Z", 18, false), *d = made("dd-dddddddddddddddd", 18, false);
    struct buf payload = { 0 };
    struct frame_info info;
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
    for (unsigned i = 0; i < 18; i++)
        MUST(frame_add_update(b, r, (struct val[]){ i64(i), s->v[i] }, (struct val[]){ i64(i), d->v[i] }, &err));
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
    finish(b, &payload, &info);
    CHECK(info.tail == 18 * (6 + 8), "%u bytes behind the columns", info.tail);
    damaged(b, &payload, &info);
    free(s);
    free(d);
    buf_free(&payload);
    frame_builder_free(b);
    relation_unref(r);
}

int main(void)
{
    forms();
    counts();
    one_of_another_form();
    order();
    whatever();
    refusals();
    too_much();
    cut_and_changed();
    return UNIT_END();
}
