/* test_frame_fields.c - strings that are alike but for some fields come back from a frame as they were, in less room; those that are not, among them
 * or instead of them, as they were; what is wrong with a field is refused. */
#include "frame_one_text.h"

/* One string of a pattern: %w a word, %n a number, %d a digit, %h a lower-case hexadecimal one, %e nothing or a letter, %p i; all else is itself. */
static size_t written(char *to, const char *pattern, unsigned i)
{
    static const char *const words[] = { "red", "green", "ultramarine", "a", "Zürich", "new", "9to5", "been", "x1" };
    size_t n = 0;
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%') {
            to[n++] = *p;
            continue;
        }
        switch (*++p) {
        case 'w': {
            const char *w = words[any_below(&rng, sizeof words / sizeof *words)];
            memcpy(to + n, w, strlen(w));
            n += strlen(w);
            break;
        }
        case 'n':
            n += (size_t)snprintf(to + n, 24, "%llu", (unsigned long long)(any_next(&rng) >> any_below(&rng, 64)));
            break;
        case 'd':
            to[n++] = (char)('0' + any_below(&rng, 10));
            break;
        case 'h':
            to[n++] = "0123456789abcdef"[any_below(&rng, 16)];
            break;
        case 'e':
            if (any_below(&rng, 2) == 0)
                to[n++] = 'y';
            break;
        default:
            n += (size_t)snprintf(to + n, 24, "%u", i);
            break;
        }
    }
    return n;
}

static struct strings *written_all(const char *pattern, unsigned n)
{
    struct strings *s = calloc(1, sizeof *s);
    for (s->n = 0; s->n < n; s->n++) {
        char one[LONGEST];
        set(s, s->n, one, written(one, pattern, s->n));
    }
    return s;
}

static size_t total(const struct strings *s)
{
    size_t n = 0;
    for (unsigned i = 0; i < s->n; i++)
        n += s->v[i].kind == VAL_TEXT ? s->v[i].u.str.n + 1 : 0;
    return n;
}

/* What a frame of the strings needs besides what it would need of NULLs. */
static size_t room(const struct strings *s, const char *what)
{
    struct strings *none = calloc(1, sizeof *none);
    size_t tail, size;
    for (none->n = 0; none->n < s->n; none->n++)
        none->v[none->n] = (struct val){ .kind = VAL_NULL };
    size = there_and_back(s, INSERTS, what, &tail) - there_and_back(none, INSERTS, what, &tail);
    free(none);
    return size;
}

static void patterns(void)
{
    static const struct {
        const char *pattern;
        unsigned most; /* per cent of the strings' own bytes that they take now; 0: they stand as they are */
    } cases[] = {
        { "customer.%p@example.com", 20 },
        { "customer.%n@example.com", 60 },
        { "{\"id\": %p, \"ok\": %w, \"tags\": [\"%w\", %d], \"price\": %d.%d%d, \"note\": \"checked\"}", 45 },
        { "ref %h%h%h%h%h%h%h%h batch %p", 45 },
        { "%w%h%h is the first, and the last is %w%h", 60 },
        { "%w%e", 0 },
        { "between <%e> and <%e>, nothing or something, here and there %h%h%h", 20 },
        { "%h%h%h%h-%p-%w", 0 },
        { "%n", 0 },
        { "0x%h%h%h%h%h%h%h%h%h%h%h%h%h%h%h%h%h%h", 0 /* a form, not fields */ },
        { "12%d%d%d%d%d%d%d%d%d%d%d%d5 2024-01-%d%d", 0 },
        { "the end of a sentence with a number %n", 70 },
        { "%n bottles of beer on the wall", 70 },
        { "/aaaa/%w/bbbb/%w/cccc/%w/dddd/%w/eeee/%w/ffff/%w/gggg/%w/hhhh/%w/iiii/%w/jjjj/%w/kkkk/%w/llll/%w/mmmm/%w/"
          "nnnn/%w/oooo/%w/pppp/%w/qqqq/%w/rrrr",
          85 },
        { "<a>%p<b>%p<c>%p<d>%p<e>%p<f>%p<g>%p<h>%p<i>%p<j>%p<k>%p<l>%p<m>%p<n>%p<o>%p<p>", 60 },
        { "Stra\xc3\x9f"
          "e %p, \xe6\x9d\xb1\xe4\xba\xac %w",
          60 },
        { "", 0 },
        { "always the same, always the same", 0 /* is repeated as a whole */ },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned variant = 0; variant < SHAPES; variant++) {
            struct strings *s = written_all(cases[i].pattern, ROWS);
            size_t tail, took = room(s, cases[i].pattern), all = total(s);
            if (cases[i].most != 0)
                CHECK(took <= all * cases[i].most / 100, "%s: %zu bytes of %zu", cases[i].pattern, took, all);
            else if (strstr(cases[i].pattern, "%h%h%h%h%h%h") == NULL && strstr(cases[i].pattern, "%d%d%d") == NULL)
                CHECK(took + 10 > all, "%s: %zu bytes of %zu", cases[i].pattern, took, all);
            there_and_back(s, (enum shape)variant, cases[i].pattern, &tail);
            for (unsigned k = 0; k < ROWS; k += 1 + any_below(&rng, 5)) /* and with NULLs */
                s->v[k] = (struct val){ .kind = VAL_NULL };
            there_and_back(s, (enum shape)variant, cases[i].pattern, &tail);
            free(s);
        }
}

/* Some strings are of another sentence: these stand in full. So do all, if there are too many of them. */
static void others(void)
{
    static const char pattern[] = "{\"id\": %p, \"ok\": true, \"tags\": [\"%w\", %d], \"note\": \"nothing to say\"}";
    static const char *const odd[] = {
        "",
        "{",
        "{}",
        "{\"id\": 5",
        "x{\"id\": 5, \"ok\": true, \"tags\": [\"red\", 1], \"note\": \"nothing to say\"}",
        "{\"id\": 5, \"ok\": true, \"tags\": [\"red\", 1], \"note\": \"nothing to say\"}}",
        "{\"id\": 5, \"ok\": false, \"tags\": [\"red\", 1], \"note\": \"nothing to say\"}",
        "{\"id\": , \"ok\": true, \"tags\": [\"\", ], \"note\": \"nothing to say\"}",
        "{\"id\": , \"ok\": true, \"tags\": [\", \"note\": \"nothing to say\"}"
    };
    enum { ODD = sizeof odd / sizeof *odd };
    static const unsigned every[] = { 1, 2, 7, 9, 12, 40, 399 };
    size_t plain = 0;
    for (unsigned e = 0; e < sizeof every / sizeof *every; e++)
        for (unsigned at = 0; at < 3; at++) { /* the first string, by which all are measured; others; the last one */
            struct strings *s = written_all(pattern, ROWS);
            for (unsigned i = at == 0 ? 0 : at == 1 ? 1 : (ROWS - 1) % every[e]; i < ROWS; i += every[e])
                set(s, i, odd[i % ODD], strlen(odd[i % ODD]));
            size_t took = room(s, "others"), all = total(s);
            if (every[e] >= 12 && at != 0 && (ROWS - 1) % every[e] != 0)
                CHECK(took < all / 2, "one of %u, from %u on: %zu bytes of %zu", every[e], at, took, all);
            plain += took > all;
            free(s);
        }
    CHECK(plain >= 3, "%zu stand in full", plain);
}

/* Where the first string cannot tell what the others share, one in the middle does. */
static void another_first(void)
{
    static const char pattern[] = "{\"id\": %p, \"ok\": true, \"tags\": [\"%w\", %d], \"note\": \"nothing to say\"}";
    static char first[2000];
    static const size_t sizes[] = { 0, 1, 300, sizeof first };
    memset(first, 'x', sizeof first);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct strings *s = written_all(pattern, ROWS);
        s->v[0].u.str = bytes_of((const uint8_t *)first, sizes[i]);
        size_t took = room(s, "another first"), all = total(s);
        CHECK(took - sizes[i] < (all - sizes[i]) / 2, "%zu bytes first: %zu bytes of %zu", sizes[i], took, all);
        free(s);
    }
}

/* What a fifth of the strings do not share is left out, though those that are looked at first all have it. */
static void left_out(void)
{
    struct strings *s = written_all("{\"id\": %p, \"tags\": [\"%w\", %d], \"state\": \"open\", \"note\": \"nothing\"}",
                                    ROWS);
    for (unsigned i = 0; i < ROWS; i++)
        if (i % 50 != 0 && i % 50 <= 10) {
            char one[LONGEST];
            set(s, i, one,
                written(one, "{\"id\": %p, \"tags\": [\"%w\", %d], \"state\": \"paid\", \"note\": \"nothing\"}", i));
        }
    size_t took = room(s, "left out");
    CHECK(took < total(s) / 2, "left out: %zu bytes of %zu", took, total(s));
    free(s);
}

/* Strings of up to 1024 bytes are measured, longer ones stand in full. */
static void long_ones(void)
{
    enum { MOST = 1024, MANY = 64 };
    static char all[MANY][MOST + 1];
    for (size_t n = MOST - 1; n <= MOST + 1; n++) {
        struct strings *s = written_all("%p", MANY);
        for (unsigned i = 0; i < MANY; i++) {
            size_t head = (size_t)snprintf(all[i], sizeof all[i], "the %u", i);
            memset(all[i] + head, 'x', n - head);
            s->v[i].u.str = bytes_of((const uint8_t *)all[i], n);
        }
        size_t took = room(s, "long ones");
        CHECK(n <= MOST ? took < total(s) / 8 : took > total(s), "%zu bytes each: %zu of %zu", n, took, total(s));
        free(s);
    }
}

/* A string that is another in one byte of what all share, wherever that is, stays another. */
static void one_byte(void)
{
    struct strings *s = written_all("<in front of the first: %p and between the two: %p, then the end of it>", 100);
    enum { CHANGED = 50 }; /* none of those by which the others are measured */
    size_t tail;
    for (unsigned i = 0; i < s->v[CHANGED].u.str.n; i++) {
        s->bytes[CHANGED][i] ^= 1;
        there_and_back(s, INSERTS, "one byte", &tail);
        s->bytes[CHANGED][i] ^= 1;
    }
    free(s);
}

/* Digits of one length, and others among them: those are coded, these stand in full. */
static void odd_lengths(void)
{
    static const char *const odd[] = { "", "n/a", "0", "00000000-0000", "longer than all of the others are, by far" };
    static const char *const all[] = { "%h%h%h%h%h%h%h%h-%h%h%h%h-%h%h%h%h", "%d%d%d%d%d%d%d%d%d%d%d%d" };
    static const unsigned every[] = { 3, 11, 50, 399 };
    for (unsigned a = 0; a < 2; a++)
        for (unsigned e = 0; e < 4; e++)
            for (unsigned from = 0; from < 3; from++) {
                struct strings *s = written_all(all[a], ROWS);
                for (unsigned i = from; i < ROWS; i += every[e])
                    set(s, i, odd[i % 5], strlen(odd[i % 5]));
                size_t took = room(s, all[a]), sum = total(s);
                CHECK(every[e] < 9 || took < sum * 62 / 100, "%s, one of %u from %u: %zu bytes of %zu", all[a],
                      every[e], from, took, sum);
                free(s);
            }
}

/* Documents that come again and again are found by zstd as a whole. */
static void repeated(void)
{
    struct strings *s = written_all("{\"id\": %p, \"ok\": true, \"tags\": [\"%w\", %d], \"note\": \"nothing\"}", ROWS);
    size_t first = room(s, "once");
    CHECK(first < total(s) / 2, "once: %zu of %zu", first, total(s));
    for (unsigned i = 20; i < ROWS; i++)
        set(s, i, s->bytes[i % 20], s->v[i % 20].u.str.n);
    size_t took = room(s, "repeated");
    CHECK(took > total(s), "repeated: %zu of %zu", took, total(s));
    free(s);
}

/* Numbers as integers: where they come back as they were, and else as text. */
static void numbers(void)
{
    static const char *const odd[] = { "0",
                                       "00",
                                       "01",
                                       "-1",
                                       "+1",
                                       "1.0",
                                       "",
                                       " 1",
                                       "999999999999999999",
                                       "1000000000000000000",
                                       "18446744073709551616",
                                       "12345678",
                                       "123456789",
                                       "1234567a",
                                       "12345678/",
                                       ":",
                                       "99999999999999999a" };
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++)
        for (unsigned at = 0; at < 3; at++) {
            struct strings *s = written_all("number <%p> of them all", 100);
            unsigned k = at == 0 ? 0 : at == 1 ? 50 : 99;
            char one[LONGEST];
            set(s, k, one, (size_t)snprintf(one, sizeof one, "number <%s> of them all", odd[i]));
            room(s, odd[i]);
            free(s);
        }
}

/* Whatever there is: random literals and fields, random strings among them, as they come and with some of them NULL. */
static void anything(void)
{
    static const char kinds[] = "wndhep";
    for (unsigned round = 0; round < 4000; round++) {
        char pattern[80];
        size_t n = 0, tail;
        unsigned pieces = 1 + any_below(&rng, 9);
        for (unsigned i = 0; i < pieces; i++) {
            for (unsigned k = any_below(&rng, 7); k > 0; k--)
                pattern[n++] = "ab 1.,"[any_below(&rng, round % 2 == 0 ? 6 : 2)];
            pattern[n++] = '%';
            pattern[n++] = kinds[any_below(&rng, sizeof kinds - 1)];
        }
        pattern[n] = '\0';
        struct strings *s = written_all(pattern, 30 + any_below(&rng, 90));
        unsigned wrong = any_below(&rng, 4) == 0 ? any_below(&rng, s->n) : any_below(&rng, 5);
        for (; wrong > 0; wrong--) { /* a byte is another, or more or fewer */
            struct val *v = &s->v[any_below(&rng, s->n)];
            char *bytes = (char *)(uintptr_t)v->u.str.p;
            unsigned what = any_below(&rng, 4);
            if (what == 0)
                *v = (struct val){ .kind = VAL_NULL };
            else if (v->kind != VAL_TEXT || v->u.str.n == 0)
                continue;
            else if (what == 1)
                bytes[any_below(&rng, (unsigned)v->u.str.n)] = (char)any_next(&rng);
            else if (what == 2)
                v->u.str.n = any_below(&rng, (unsigned)v->u.str.n);
            else
                bytes[v->u.str.n++] = 'a';
        }
        there_and_back(s, (enum shape)(round % SHAPES), pattern, &tail);
        free(s);
    }
}

/* Two tables whose relations are known in another order than the frame has them; their updates leave no text, or bring it. */
static void two_tables(void)
{
    enum { MANY = 64 };
    const struct column swapped[2] = { cols[1], cols[0] };
    struct relation *r[2] = { table(cols), table(swapped) };
    struct relation_table known = { 0 };
    struct frame_builder *b = frame_builder_new();
    struct frame_coder *c = frame_coder_new();
    struct strings *s = written_all("{\"id\": %p, \"tags\": [\"%w\", %d], \"note\": \"nothing\"}", MANY);
    struct buf payload = { 0 };
    struct bytes coded = { 0 };
    struct frame_info info;
    struct frame *f = NULL;
    const struct val null = { .kind = VAL_NULL };
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
    for (unsigned i = 0; i < MANY; i++) {
        MUST(frame_add_update(b, r[0], (struct val[]){ i64(i), s->v[i] }, (struct val[]){ i64(i), null }, &err));
        MUST(frame_add_update(b, r[1], (struct val[]){ null, i64(i) }, (struct val[]){ s->v[i], i64(i) }, &err));
    }
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
    MUST(frame_builder_finish(b, &payload, &info, &err));
    MUST(relation_table_add(&known, r[1], &err));
    MUST(relation_table_add(&known, r[0], &err));
    MUST(frame_coder_code(c, buf_view(&payload), &known, &coded, &info.tail, &err));
    CHECK(coded.n < payload.n - total(s), "%zu bytes of %zu", coded.n, payload.n); /* of both tables' texts */
    MUST(frame_decode(coded, &info, &known, &f, &err));
    for (unsigned i = 0; f != NULL && i < MANY; i++)
        for (unsigned k = 0; k < 2; k++) {
            const struct record *rec = frame_record(f, 1 + 2 * i + k);
            struct val o = rel_rows_old_at(rec->u.change.rows, rec, 1 - k);
            struct val n = rel_rows_new_at(rec->u.change.rows, rec, 1 - k);
            CHECK(val_eq(k == 0 ? &o : &n, &s->v[i]) && (k == 0 ? n : o).kind == VAL_NULL, "table %u, row %u", k, i);
        }
    frame_unref(f);
    buf_free(&payload);
    free(s);
    frame_coder_free(c);
    frame_builder_free(b);
    relation_table_clear(&known);
    relation_unref(r[0]);
    relation_unref(r[1]);
}

static void refusals(void)
{
#define PART(text) text, sizeof(text) - 1
#define NONE "\0\0\0" /* no other sentences */
    static const struct {
        bool ints;
        const char *part;
        size_t n;
        const char *got; /* the two texts; or */
        const char *why;
    } cases[] = {
        { false, PART("\x20\1\1<\1>" NONE "\0\2\1\2\3abc"), "<a><bc>", NULL },
        { false, PART("\x20\1\0\0" NONE "\0\2\0\0\0"), "", NULL },
        { false, PART("\x20\1\1<\1>" NONE "\1\2\x0a\4"), "<5><7>", NULL },
        { false, PART("\x20\1\1<\1>" NONE "\1\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0"),
          "<9223372036854775808><9223372036854775808>", NULL },
        { false, PART("\x20\1\1<\1>" NONE "\1\3\0\xc8\1"), "<0><100>", NULL },
        { false, PART("\x20\1\1<\1>" NONE "\x10\3\xff\xff\xff\4\1\0\xe7\3"), "<001><999>", NULL },
        { false, PART("\x20\1\1<\1>" NONE "\x10\3\xff\xff\xff\0\1\0\xe7\3"), "<001><999>", NULL },
        { false,
          PART("\x20\2\1<\1|\1>" NONE "\x10\2\xff\xff\0"
               "\x10\2\xfe\xfe\0"
               "\1\xff\2\x0a"),
          "<02|01><10|ff>", NULL },
        { false, PART("\x20\1\1<\1>\1\1\1\2\2xy\0\1\1\1a"), "<a>xy", NULL },
        { false, PART("\x20\1\1<\1>\1\0\1\2\2xy\0\1\1\1a"), "xy<a>", NULL },
        { false, PART("\x20\1\1<\1>\2\0\0\2\1\1\2xy\0\0\0"), "xy", NULL },
        { false, PART("\x24\4\1\1<\1>" NONE "\0\1\1\1a"), "<a>", NULL },
        { false, PART("\x24\5\1\1<\1>" NONE "\0\0\0"), "", NULL },
        { false, PART("\x20\0\0" NONE), NULL, "no or too many fields" },
        { false, PART("\x20\x11\0\0"), NULL, "no or too many fields" },
        { false, PART("\x20\1\1<\1>" NONE "\0\2\1\2\2ab"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>" NONE "\0\2\1\2\4abcd"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>" NONE "\0\1\1\1a"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>" NONE "\0\3\1\1\1\3abc"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>" NONE "\0\2\x81\1\1a"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>" NONE "\1\1\2"), NULL, ": fewer numbers" },
        { false, PART("\x20\1\1<\1>" NONE "\1\3\2\2\2"), NULL, "more or fewer numbers" },
        { false, PART("\x20\1\1<\1>" NONE "\1\2\x82\1"), NULL, "more or fewer numbers" },
        { false, PART("\x20\1\1<\1>" NONE "\x10\3\xff\xff\xff\2\1\0"), NULL, "more or fewer digits" },
        { false, PART("\x20\1\1<\1>" NONE "\x10\3\xff\xff\xff\0\1\0"), NULL, "more or fewer digits" },
        { false, PART("\x20\1\1<\1>" NONE "\x10\3\xff\xff\xff\4\1\0\xe8\3"), NULL, "too many digits" },
        { false,
          PART("\x20\1\1<\1>" NONE "\x10\1"
               "a\0"),
          NULL, "without digits" },
        { false, PART("\x20\1\1<\1>" NONE "\2"), NULL, "unknown kind" },
        { false, PART("\x20\1\1<\1>" NONE "\x14"), NULL, "unknown kind" },
        { false, PART("\x20\1\1<\1>\3\0\0\0\3\1\1\1\3xyz\0\0\0"), NULL, "more strings than rows" },
        { false, PART("\x20\1\1<\1>\1\2\1\2\2xy\0\1\1\1a"), NULL, "a string of no sentence" },
        { false, PART("\x20\1\1<\1>\1\1\1\3\2xy\0\1\1\1a"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>\1\1\1\1\2xy\0\1\1\1a"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>\1\1\0\0\0\1\1\1a"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>\1\x81\1\2\2xy\0\1\1\1a"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>\2\x81\0\1\2\2xy\0\1\1\1a"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>\0\1\2\2xy\0\2\1\1\2ab"), NULL, "more or fewer strings" },
        { false, PART("\x20\1\1<\1>" NONE "\0\2\1\2\3abcd"), NULL, "trailing" },
        { false, PART("\x20\1\1<\1>" NONE "\0\2\1\2\3ab"), NULL, "truncated" },
        { false, PART("\x20\1\1<"), NULL, "truncated" },
        { false, PART("\x20\2\1<\1|"), NULL, "truncated" },
        { false, PART("\x21"), NULL, "unknown mode" },
        { false, PART("\x28"), NULL, "unknown mode" },
        { false, PART("\x30"), NULL, "unknown mode" },
        { false, PART("\x25"), NULL, "unknown mode" },
        { true, PART("\x20\1\1<\1>" NONE "\0\2\1\2\3abc"), NULL, "unknown mode" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf got = { 0 };
        hand_made(i, cases[i].ints, bytes_of(cases[i].part, cases[i].n), cases[i].why, &got);
        CHECK(cases[i].why != NULL || bytes_eq_str(buf_view(&got), cases[i].got), "case %zu: %.*s", i, (int)got.n,
              (char *)got.p);
        buf_free(&got);
    }
#undef NONE
#undef PART
}

/* A small frame must not become more than a frame may hold: by what is shared, nor by numbers. */
static void too_much(void)
{
    enum { MANY = 3 << 20, SHARED = 400 };
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
    MUST(frame_builder_finish(b, &payload, &info, &err));
    size_t before = --payload.n; /* all NULL */
    for (unsigned kind = 0; kind < 2; kind++) {
        payload.n = before;
        buf_u8(&payload, 0x20);
        buf_u8(&payload, 1);
        buf_varint(&payload, SHARED);
        for (unsigned i = 0; i < SHARED; i++)
            buf_u8(&payload, 'x');
        buf_put(&payload, "\0\0\0\0", 4);
        buf_u8(&payload, (uint8_t)kind);
        buf_varint(&payload, MANY);
        for (unsigned i = 0; i < MANY; i++)
            buf_u8(&payload, 0);
        if (kind == 0)
            buf_u8(&payload, 0);
        CHECK(!frame_decode(buf_view(&payload), &info, frame_builder_relations(b), &f, &err) &&
                  err.code == ERR_CORRUPT && strstr(err.msg, "more text than") != NULL,
              "kind %u: %s", kind, err.msg);
        frame_unref(f);
        f = NULL;
    }
    buf_free(&payload);
    frame_builder_free(b);
    relation_unref(r);
}

static void cut_and_changed(void)
{
    struct relation *r = table(cols);
    struct frame_builder *b = frame_builder_new();
    struct strings *s = written_all("number <%p> is %w, and its key %h%h%h%h%h%h%h%h%h%h; then %w>", 33);
    struct buf payload = { 0 };
    struct frame_info info;
    set(s, 7, "another one", 11);
    s->v[9] = (struct val){ .kind = VAL_NULL };
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &(struct rec_begin){ .commit_us = 5, .resolution_us = 1 }, &err));
    for (unsigned i = 0; i < s->n; i++)
        MUST(frame_add_insert(b, r, (struct val[]){ i64(i), s->v[i] }, &err));
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("f") }, &err));
    finish(b, &payload, &info);
    CHECK(info.tail == 31 * 5, "%u bytes behind the columns", info.tail);
    damaged(b, &payload, &info);
    free(s);
    buf_free(&payload);
    frame_builder_free(b);
    relation_unref(r);
}

int main(void)
{
    patterns();
    others();
    another_first();
    left_out();
    long_ones();
    one_byte();
    odd_lengths();
    repeated();
    numbers();
    anything();
    two_tables();
    refusals();
    too_much();
    cut_and_changed();
    return UNIT_END();
}
