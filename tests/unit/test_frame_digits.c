/* test_frame_digits.c - strings that differ in digits alone come back from a frame as they were, whatever their form, and take the room of their
 * digits; one that is of another form among them changes nothing but that; what is wrong with a form or a number is refused. */
#include "unit.h"

#include "frame_one_text.h"

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
            CHECK(tail == 0, "%s: string %u is shorter", all[a], k);
            s->v[k].u.str.n = 0;
            there_and_back(s, INSERTS, all[a], &tail);
            CHECK(tail == 0, "%s: string %u is empty", all[a], k);
            s->v[k] = was;
        }
        there_and_back(s, INSERTS, all[a], &tail);
        CHECK(tail != 0, "%s: all alike", all[a]);
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

/* Made by hand: the last part of a frame of two texts "abc", or two integers, is taken off for another. */
static void refusals(void)
{
#define PART(text) text, sizeof(text) - 1
    static const struct {
        bool ints;
        const char *part;
        size_t n;
        const char *why; /* NULL: it is valid */
    } cases[] = {
        { false, PART("\x10\3\xff\xff\xff\4\1\0\xe7\3"), NULL },
        { false, PART("\x10\3\xff\xff\xff\0\1\0\xe7\3"), NULL },
        { false,
          PART("\x10\3\xfe"
               "a\xfe\2\1\xff"),
          NULL },
        { false, PART("\x10\3\xfd\xfd\xfd\4\1\0\xff\x0f"), NULL },
        { false, PART("\x14\4\3\xff\xff\xff\2\1\0"), NULL },
        { false, PART("\x14\5\3\xff\xff\xff\0"), NULL },
        { false, PART("\x10\3\xff\xff\xff\4\1\0\xe8\3"), "too many digits" },
        { false, PART("\x10\3\xff\xff\xff\0\xe8\3\1\0"), "too many digits" },
        { false, PART("\x10\3\xfd\xfd\xfd\4\1\0\0\x10"), "too many digits" },
        { false,
          PART("\x10\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x0e\0\0\xc1\x6f\xf2\x86\x23"
               "\0\0\0\0\0\0\0"),
          "too many digits" },
        { false, PART("\x10\3\xff\xff\xff\3\1\0\1"), "fewer digits" },
        { false, PART("\x10\3\xff\xff\xff\5\1\0\1\0\1"), "fewer digits" },
        { false, PART("\x10\3\xff\xff\xff\2\1\0"), "fewer digits" },
        { false, PART("\x10\3\xff\xff\xff\6\1\0\1\0\1\0"), "fewer digits" },
        { false, PART("\x10\3\xff\xff\xff\0\1\0\1"), "fewer digits" },
        { false, PART("\x10\3\xff\xff\xff\0"), "fewer digits" },
        { false, PART("\x10\3\xff\xff\xff\0\1\0\1\0\1"), "trailing" },
        { false, PART("\x10\3\xff\xff\xff"), "truncated" },
        { false, PART("\x10\3\xff\xff"), "truncated" },
        { false, PART("\x10\0\0"), "a form of" },
        { false,
          PART("\x10\3"
               "abc\0"),
          "without digits" },
        { false,
          PART("\x10\3\xff"
               "a\xfe\2\0\0"),
          "two kinds" },
        { false, PART("\x10\2\xfd\xfe\2\0\0"), "two kinds" },
        { false, PART("\x11"), "unknown mode" },
        { false, PART("\x12"), "unknown mode" },
        { false, PART("\x13"), "unknown mode" },
        { false, PART("\x15"), "unknown mode" },
        { false, PART("\x18"), "unknown mode" },
        { false, PART("\x1c"), "unknown mode" },
        { true, PART("\x10\3\xff\xff\xff\4\1\0\xe7\3"), "unknown mode" },
        { true, PART("\x14\4\3\xff\xff\xff\2\1\0"), "unknown mode" },
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
        CHECK(i >= 2 || bytes_eq(buf_view(&got), BYTES_LIT("001999")), "%.*s", (int)got.n, (char *)got.p);
        buf_free(&got);
        buf_free(&part);
    }
#undef PART
}

/* Two small columns would take more than a frame may hold. */
static void too_much(void)
{
    enum { MANY = 5 << 20 };
    struct relation *r = table(cols);
    struct frame_builder *b = frame_builder_new();
    struct buf payload = { 0 };
    struct frame_info info;
    struct frame *f = NULL;
    struct val row[2] = { i64(0), { .kind = VAL_NULL } };
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
    for (unsigned i = 0; i < MANY; i++)
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
    for (unsigned i = 0; i < MANY; i++)
        buf_u8(&payload, 7);
    CHECK(!frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err) && err.code == ERR_CORRUPT &&
              strstr(err.msg, "more text than") != NULL,
          "%s", err.msg);
    frame_unref(f);
    buf_free(&payload);
    frame_builder_free(b);
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
    one_of_another_form();
    order();
    refusals();
    too_much();
    cut_and_changed();
    return UNIT_END();
}
