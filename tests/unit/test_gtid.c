/* test_gtid.c - GTID sets of both flavours: text, set operations, the server's bytes, ours. */
#include "unit.h"

#include "gtid.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define B "4e11fa47-71ca-11e1-9e33-c80aa9429562"

static char *text_of(const struct gtid_set *s)
{
    struct buf b = { 0 };
    gtid_set_text(s, &b);
    char *copy = strdup(buf_cstr(&b));
    buf_free(&b);
    return copy;
}

static struct gtid_set *parse(enum gtid_flavor f, const char *text)
{
    struct gtid_set *s = NULL;
    struct err e = { 0 };
    CHECK(gtid_set_parse(f, bytes_str(text), &s, &e), "\"%s\": %s", text, e.msg);
    return s;
}

static void check_text(const struct gtid_set *s, const char *want, const char *what)
{
    char *got = text_of(s);
    CHECK(strcmp(got, want) == 0, "%s: want \"%s\", got \"%s\"", what, want, got);
    free(got);
}

static void test_text(void)
{
    static const struct {
        enum gtid_flavor f;
        const char *in, *out; /* out NULL: refused */
    } cases[] = {
        { GTID_MYSQL, "", "" },
        { GTID_MYSQL, " \n,", "" },
        { GTID_MYSQL, A ":1", A ":1" },
        { GTID_MYSQL, "3E11FA4771CA11E19E33C80AA9429562:1-5", A ":1-5" },
        { GTID_MYSQL, A ":5:1-3:4", A ":1-5" },
        { GTID_MYSQL, A ":7-9:1-3:5", A ":1-3:5:7-9" },
        { GTID_MYSQL, B ":1,\n " A " : 2 - 4", A ":2-4," B ":1" },
        { GTID_MYSQL, A ":1," A ":3," A ":2", A ":1-3" },
        { GTID_MYSQL, A ":tag:5-6", A ":tag:5-6" },
        { GTID_MYSQL, A ":1-3:Tag_2:5-6:a:1," B ":_x:9", A ":1-3:a:1:tag_2:5-6," B ":_x:9" },
        { GTID_MYSQL, A ":tag:1:2:4-5", A ":tag:1-2:4-5" },
        { GTID_MYSQL, A ":1-9223372036854775806", A ":1-9223372036854775806" },
        { GTID_MYSQL, A ":1-9223372036854775807", NULL },
        { GTID_MYSQL, A ":0", NULL },
        { GTID_MYSQL, A ":5-3", NULL },
        { GTID_MYSQL, A, NULL },
        { GTID_MYSQL, A ":", NULL },
        { GTID_MYSQL, A ":tag", NULL },
        { GTID_MYSQL, A ":1:tag", NULL },
        { GTID_MYSQL, A ":t1:t2:1", NULL },
        { GTID_MYSQL, A ":1-2-3", NULL },
        { GTID_MYSQL, A ":1x", NULL },
        { GTID_MYSQL, A ":-1", NULL },
        { GTID_MYSQL, A ":a-b:1", NULL },
        { GTID_MYSQL, A ":abcdefghijklmnopqrstuvwxyz0123456:1", NULL },
        { GTID_MYSQL, A ":abcdefghijklmnopqrstuvwxyz012345:1", A ":abcdefghijklmnopqrstuvwxyz012345:1" },
        { GTID_MYSQL, "3e11fa47-71ca-11e1-9e33-c80aa942956g:1", NULL },
        { GTID_MYSQL, "3e11fa47+71ca-11e1-9e33-c80aa9429562:1", NULL },
        { GTID_MYSQL, "0-1-42", NULL },
        { GTID_MARIADB, "1-2-7, 0-1-42", "0-1-42,1-2-7" },
        { GTID_MARIADB, "4294967295-4294967295-18446744073709551615", "4294967295-4294967295-18446744073709551615" },
        { GTID_MARIADB, "4294967296-1-1", NULL },
        { GTID_MARIADB, "0-1-18446744073709551616", NULL },
        { GTID_MARIADB, "0-1-1,0-2-2", NULL },
        { GTID_MARIADB, "0-1", NULL },
        { GTID_MARIADB, "0-1-2-3", NULL },
        { GTID_MARIADB, A ":1", NULL },
        { GTID_NONE, "0-1-1", NULL },
        { GTID_NONE, "", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gtid_set *s = NULL;
        struct err e = { 0 };
        bool ok = gtid_set_parse(cases[i].f, bytes_str(cases[i].in), &s, &e);
        CHECK(ok == (cases[i].out != NULL), "\"%s\": %s", cases[i].in, ok ? "accepted" : e.msg);
        CHECK(ok || (s == NULL && e.code == ERR_CONFIG && e.msg[0] != 0), "\"%s\": bad refusal", cases[i].in);
        if (ok && cases[i].out != NULL)
            check_text(s, cases[i].out, cases[i].in);
        gtid_set_free(s);
    }
}

static void test_single(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { A ":7", A ":7" }, { A ":Mine:7", A ":mine:7" }, { "0-1-42", "0-1-42" }, { "", "" },      { A, NULL },
        { A ":0", NULL },   { A ":1-2", NULL },           { A ":a:b:1", NULL },   { "1-2", NULL }, { A ":tag:", NULL },
        { "x", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gtid g;
        struct err e = { 0 };
        bool ok = gtid_parse(bytes_str(cases[i].in), &g, &e);
        CHECK(ok == (cases[i].out != NULL), "\"%s\": %s", cases[i].in, ok ? "accepted" : e.msg);
        if (!ok || cases[i].out == NULL)
            continue;
        struct buf b = { 0 };
        gtid_text(&g, &b);
        CHECK(strcmp(buf_cstr(&b), cases[i].out) == 0, "\"%s\": got %s", cases[i].in, buf_cstr(&b));
        struct gtid again = g;
        CHECK(gtid_eq(&g, &again), "not equal to itself");
        again.no++;
        CHECK(!gtid_eq(&g, &again), "equal to another number");
        buf_free(&b);
    }
}

static void test_operations(void)
{
    static const struct {
        enum gtid_flavor f;
        const char *a, *b, *sum, *rest; /* a | b, a \ b */
        bool within;                    /* a within b */
    } cases[] = {
        { GTID_MYSQL, A ":1-10", A ":3-4:7", A ":1-10", A ":1-2:5-6:8-10", false },
        { GTID_MYSQL, A ":3-4:7", A ":1-10", A ":1-10", "", true },
        { GTID_MYSQL, A ":1-5", B ":1-5", A ":1-5," B ":1-5", A ":1-5", false },
        { GTID_MYSQL, A ":1-5:t:1-3", A ":1-5:t:2", A ":1-5:t:1-3", A ":t:1:3", false },
        { GTID_MYSQL, "", A ":1", A ":1", "", true },
        { GTID_MYSQL, A ":1", "", A ":1", A ":1", false },
        { GTID_MYSQL, A ":1-3:5-7", A ":2-6", A ":1-7", A ":1:7", false },
        { GTID_MYSQL, A ":2-6", A ":1-3:5-7", A ":1-7", A ":4", false },
        { GTID_MYSQL, A ":1:3:5", A ":2:4", A ":1-5", A ":1:3:5", false },
        { GTID_MARIADB, "0-1-42,1-1-5", "0-2-50", "0-2-50,1-1-5", "1-1-5", false },
        { GTID_MARIADB, "0-1-42", "0-1-42,3-1-1", "0-1-42,3-1-1", "", true },
        { GTID_MARIADB, "0-1-42", "0-1-41", "0-1-42", "0-1-42", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gtid_set *a = parse(cases[i].f, cases[i].a), *b = parse(cases[i].f, cases[i].b), *rest = NULL;
        struct gtid_set *sum = gtid_set_copy(a);
        struct err e = { 0 };
        CHECK(gtid_set_eq(sum, a), "a copy differs");
        CHECK(gtid_set_union(sum, b, &e), "%s", e.msg);
        check_text(sum, cases[i].sum, "union");
        CHECK(gtid_set_subtract(a, b, &rest, &e), "%s", e.msg);
        check_text(rest, cases[i].rest, "rest");
        CHECK(gtid_set_subset(a, b) == cases[i].within, "case %zu: within", i);
        CHECK(gtid_set_subset(a, sum) && gtid_set_subset(b, sum), "case %zu: not within the union", i);
        CHECK(gtid_set_empty(rest) == cases[i].within, "case %zu: rest and within contradict", i);
        if (cases[i].f == GTID_MYSQL)
            CHECK(gtid_set_count(a) - gtid_set_count(rest) ==
                      gtid_set_count(a) + gtid_set_count(b) - gtid_set_count(sum),
                  "case %zu: counts do not add up", i);
        gtid_set_free(a);
        gtid_set_free(b);
        gtid_set_free(sum);
        gtid_set_free(rest);
    }
    struct gtid_set *my = parse(GTID_MYSQL, A ":1-5"), *maria = parse(GTID_MARIADB, "0-1-9"), *out = NULL;
    struct err e = { 0 };
    CHECK(!gtid_set_union(my, maria, &e) && !gtid_set_subtract(my, maria, &out, &e) && !gtid_set_eq(my, maria) &&
              !gtid_set_subset(my, maria),
          "the flavours mix");
    struct gtid g, none = { 0 };
    CHECK(gtid_parse(BYTES_LIT(A ":5"), &g, &e) && gtid_set_contains(my, &g) && !gtid_set_contains(maria, &g),
          "5 is in");
    g.no = 6;
    CHECK(!gtid_set_contains(my, &g), "6 is not in");
    CHECK(!gtid_set_add(my, &none, &e) && !gtid_set_add(maria, &g, &e) && e.msg[0] != 0, "added what does not belong");
    CHECK(gtid_parse(BYTES_LIT("0-7-3"), &g, &e) && gtid_set_contains(maria, &g), "seq 3 is before 9");
    CHECK(gtid_set_add(maria, &g, &e), "%s", e.msg);
    check_text(maria, "0-7-3", "adding replaces the domain");
    CHECK(!gtid_set_add_interval(my, &g, 1, 2, &e), "interval of a MariaDB GTID");
    CHECK(gtid_parse(BYTES_LIT(B ":1"), &g, &e) && !gtid_set_add_interval(my, &g, 3, 2, &e) &&
              !gtid_set_add_interval(my, &g, 0, 2, &e) && !gtid_set_add_interval(my, &g, 1, INT64_MAX, &e),
          "bad intervals");
    check_text(my, A ":1-5", "refused intervals leave no trace");
    gtid_set_free(my);
    gtid_set_free(maria);
}

/* Against a plain array of flags, in random order. */
static void test_model(void)
{
    enum { N = 200 };
    uint32_t seed = 7;
    for (int round = 0; round < 50; round++) {
        bool in[N + 2] = { false };
        struct gtid_set *s = gtid_set_new(GTID_MYSQL);
        struct gtid g;
        struct err e = { 0 };
        CHECK(gtid_parse(BYTES_LIT(A ":1"), &g, &e), "%s", e.msg);
        uint64_t want = 0;
        for (int step = 0; step < 60; step++) {
            seed = seed * 1664525 + 1013904223;
            unsigned first = 1 + (seed >> 8) % N;
            unsigned last = first + (seed >> 20) % 5;
            if (last > N)
                last = N;
            CHECK(gtid_set_add_interval(s, &g, first, last, &e), "%s", e.msg);
            for (unsigned i = first; i <= last; i++)
                in[i] = true;
        }
        for (unsigned i = 1; i <= N; i++) {
            g.no = i;
            want += in[i];
            CHECK(gtid_set_contains(s, &g) == in[i], "round %d: %u", round, i);
        }
        CHECK(gtid_set_count(s) == want, "round %d: count", round);
        char *text = text_of(s);
        struct gtid_set *again = parse(GTID_MYSQL, text);
        CHECK(gtid_set_eq(s, again), "round %d: text does not come back", round);
        free(text);
        gtid_set_free(again);
        gtid_set_free(s);
    }
}

static void check_truncations(struct bytes all, bool packed)
{
    for (size_t n = 0; n < all.n; n++) {
        uint8_t *cut = malloc(n == 0 ? 1 : n);
        struct gtid_set *s = NULL;
        struct err e = { 0 };
        memcpy(cut, all.p, n);
        struct cur c = cur_over((struct bytes){ cut, n });
        bool ok = packed ? gtid_set_unpack(&c, &s, &e) : gtid_set_decode((struct bytes){ cut, n }, &s, &e);
        CHECK(!ok && s == NULL && e.code == ERR_CORRUPT, "accepted %zu of %zu bytes", n, all.n);
        gtid_set_free(s);
        free(cut);
    }
}

static void test_bytes(void)
{
    static const struct {
        const char *text, *hex; /* hex: the server's encoding, tagged where the set has tags */
    } cases[] = {
        { "", "0000000000000000" },
        { A ":1-5:7", "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0200000000000000"
                      "0100000000000000 0600000000000000 0700000000000000 0800000000000000" },
        { A ":1:tag:2-3", "0102000000000001 3e11fa4771ca11e19e33c80aa9429562 00 0100000000000000"
                          "0100000000000000 0200000000000000"
                          "3e11fa4771ca11e19e33c80aa9429562 06 746167 0100000000000000"
                          "0200000000000000 0400000000000000" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gtid_set *s = parse(GTID_MYSQL, cases[i].text), *back = NULL;
        struct bytes want = unhex(cases[i].hex);
        struct buf b = { 0 };
        struct err e = { 0 };
        bool tags = gtid_set_has_tags(s);
        CHECK(gtid_set_encode(s, tags, &b, &e) && bytes_eq(buf_view(&b), want), "case %zu: wrong bytes", i);
        CHECK(gtid_set_decode(want, &back, &e) && gtid_set_eq(s, back), "case %zu: %s", i, e.msg);
        check_truncations(want, false);
        gtid_set_free(back);
        back = NULL;
        buf_reset(&b);
        CHECK(gtid_set_encode(s, true, &b, &e) && gtid_set_decode(buf_view(&b), &back, &e) && gtid_set_eq(s, back),
              "case %zu tagged: %s", i, e.msg);
        CHECK(!tags || !gtid_set_encode(s, false, &b, &e), "case %zu: tags encoded untagged", i);
        gtid_set_free(back);
        free((void *)(uintptr_t)want.p);
        buf_free(&b);
        gtid_set_free(s);
    }
    static const struct {
        const char *hex, *what;
    } bad[] = {
        { "ffffffffffffff00", "a huge number of sources" },
        { "0000000000000002", "format 2" },
        { "0000000000000001", "format bytes differ" },
        { "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 ffffffffffffffff", "a huge number of intervals" },
        { "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0000000000000000 0200000000000000",
          "from 0" },
        { "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0200000000000000 0200000000000000",
          "empty" },
        { "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0100000000000000 0000000000000080",
          "negative" },
        { "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0100000000000000 0200000000000000 00",
          "trailing" },
        { "0101000000000001 3e11fa4771ca11e19e33c80aa9429562 42 0100000000000000 0100000000000000 0200000000000000",
          "tag cut" },
        { "0101000000000001 3e11fa4771ca11e19e33c80aa9429562 02 2d 0100000000000000 0100000000000000 0200000000000000",
          "tag -" },
        { "0200000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0100000000000000 0200000000000000"
          "3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0300000000000000 0400000000000000",
          "a source twice" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bytes in = unhex(bad[i].hex);
        struct gtid_set *s = NULL;
        struct err e = { 0 };
        CHECK(!gtid_set_decode(in, &s, &e) && s == NULL && e.msg[0] != 0, "accepted: %s", bad[i].what);
        free((void *)(uintptr_t)in.p);
    }
    /* sources in another order, and one without intervals: both legal */
    struct bytes mixed = unhex(
        "0300000000000000 4e11fa4771ca11e19e33c80aa9429562 0100000000000000 0100000000000000 0200000000000000"
        "5e11fa4771ca11e19e33c80aa9429562 0000000000000000"
        "3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0100000000000000 0300000000000000");
    struct gtid_set *s = NULL;
    struct err e = { 0 };
    CHECK(gtid_set_decode(mixed, &s, &e), "%s", e.msg);
    if (s != NULL)
        check_text(s, A ":1-2," B ":1", "unsorted");
    gtid_set_free(s);
    free((void *)(uintptr_t)mixed.p);
}

static void test_packed(void)
{
    static const struct {
        enum gtid_flavor f;
        const char *text, *hex;
    } cases[] = {
        { GTID_MYSQL, "", "01 00" },
        { GTID_MYSQL, A ":1-5:7", "01 01 3e11fa4771ca11e19e33c80aa9429562 00 02 01 04 02 00" },
        { GTID_MYSQL, A ":2:tag:300",
          "01 02 3e11fa4771ca11e19e33c80aa9429562 00 01 02 00"
          "3e11fa4771ca11e19e33c80aa9429562 03 746167 01 ac02 00" },
        { GTID_MARIADB, "0-1-42,7-300-1", "02 02 00 01 2a 07 ac02 01" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gtid_set *s = parse(cases[i].f, cases[i].text), *back = NULL;
        struct bytes want = unhex(cases[i].hex);
        struct buf b = { 0 };
        struct err e = { 0 };
        gtid_set_pack(s, &b);
        CHECK(bytes_eq(buf_view(&b), want), "case %zu: wrong bytes", i);
        struct cur c = cur_over(want);
        CHECK(gtid_set_unpack(&c, &back, &e) && cur_left(&c) == 0 && gtid_set_eq(s, back), "case %zu: %s", i, e.msg);
        check_truncations(want, true);
        gtid_set_free(s);
        gtid_set_free(back);
        buf_free(&b);
        free((void *)(uintptr_t)want.p);
    }
    static const char *const bad[] = {
        "03 00",                                                              /* flavour */
        "01 ffffffffffffffff7f",                                              /* count */
        "01 01 3e11fa4771ca11e19e33c80aa9429562 00 00 0000",                  /* no intervals */
        "01 01 3e11fa4771ca11e19e33c80aa9429562 00 01 00 00",                 /* from 0 */
        "01 01 3e11fa4771ca11e19e33c80aa9429562 00 02 01 00 01 00",           /* touching */
        "01 01 3e11fa4771ca11e19e33c80aa9429562 00 01 01 feffffffffffffff7f", /* beyond the last number */
        "01 02 3e11fa4771ca11e19e33c80aa9429562 00 01 01 00 3e11fa4771ca11e19e33c80aa9429562 00 01 01 00", /* twice */
        "02 02 01 01 01 00 01 01", /* domains descend */
        "02 01 8080808010 01 01",  /* domain 2^32 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bytes in = unhex(bad[i]);
        struct gtid_set *s = NULL;
        struct err e = { 0 };
        struct cur c = cur_over(in);
        CHECK(!gtid_set_unpack(&c, &s, &e) && s == NULL && e.code == ERR_CORRUPT, "accepted bad case %zu", i);
        free((void *)(uintptr_t)in.p);
    }
    struct buf b = { 0 };
    gtid_set_pack(NULL, &b);
    struct cur c = cur_over(buf_view(&b));
    struct gtid_set *s = (struct gtid_set *)&b; /* must be overwritten */
    struct err e = { 0 };
    CHECK(gtid_set_unpack(&c, &s, &e) && s == NULL, "no GTIDs");
    buf_free(&b);
}

int main(void)
{
    test_text();
    test_single();
    test_operations();
    test_model();
    test_bytes();
    test_packed();
    return UNIT_END();
}
