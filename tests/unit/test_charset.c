/* test_charset.c - collation numbers and conversion to UTF-8. test_row_event compares more text with what real
 * servers print. */
#include "charset.h"

#include "buf.h"

#include "unit.h"

#include <pthread.h>

static const struct {
    const char *charset, *hex, *want; /* want NULL: not valid */
} cases[] = {
    { "latin1", "80 81 8d 8f 90 9d e9", "\xe2\x82\xac\xc2\x81\xc2\x8d\xc2\x8f\xc2\x90\xc2\x9d\xc3\xa9" },
    { "latin1", "", "" },
    { "latin1", "41 42 43 44 45 46 47 48 49", "ABCDEFGHI" },
    { "latin2", "e8", "\xc4\x8d" },
    { "greek", "e1 a4", "\xce\xb1\xe2\x82\xac" },
    { "greek", "d2", NULL },
    { "hebrew", "e0", "\xd7\x90" },
    { "cp1251", "98", NULL },
    { "cp1251", "e6", "\xd0\xb6" },
    { "cp1256", "c0", "\xdb\x81" },
    { "koi8r", "cb", "\xd0\xba" },
    { "swe7", "5b 7b", "\xc3\x84\xc3\xa4" },
    { "swe7", "80", NULL },
    { "keybcs2", "87", "\xc4\x8d" },
    { "tis620", "a1", "\xe0\xb8\x81" },
    { "ascii", "7f", "\x7f" },
    { "ascii", "80", NULL },
    { "binary", "ff 00", "\xff" },
    { "utf8mb4", "f09f9880", "\xf0\x9f\x98\x80" },
    { "utf8mb3", "e282ac", "\xe2\x82\xac" },
    { "utf8", "c3a9", "\xc3\xa9" },
    { "utf8mb4", "c3", NULL },
    { "utf8mb4", "c080", NULL },
    { "utf8mb4", "c1bf", NULL },
    { "utf8mb4", "e09fbf", NULL },
    { "utf8mb4", "eda080", NULL },
    { "utf8mb4", "f08fbfbf", NULL },
    { "utf8mb4", "f4908080", NULL },
    { "utf8mb4", "f5808080", NULL },
    { "utf8mb4", "80", NULL },
    { "utf8mb4", "e282 41", NULL },
    { "utf8mb4", "61 62 63 64 65 66 67 68 69 ff", NULL },
    { "ucs2", "0041 20ac", "A\xe2\x82\xac" },
    { "ucs2", "d83d", NULL },
    { "ucs2", "00", NULL },
    { "utf16", "0041 d83d de00", "A\xf0\x9f\x98\x80" },
    { "utf16", "d83d 0041", NULL },
    { "utf16", "d83d", NULL },
    { "utf16", "de00", NULL },
    { "utf16le", "4100 3dd8 00de", "A\xf0\x9f\x98\x80" },
    { "utf32", "0001f600", "\xf0\x9f\x98\x80" },
    { "utf32", "00110000", NULL },
    { "utf32", "0000d800", NULL },
    { "utf32", "0001f6", NULL },
    /* where glibc and the servers differ */
    { "sjis", "815f 8160 8161 817c 8191 8192 81ca", "\\\xe3\x80\x9c\xe2\x80\x96\xe2\x88\x92\xc2\xa2\xc2\xa3\xc2\xac" },
    { "cp932", "815f 8160", "\xef\xbc\xbc\xef\xbd\x9e" },
    { "sjis", "41 5c 7e b1 82a0 8740", "A\\~\xef\xbd\xb1\xe3\x81\x82\xe2\x91\xa0" },
    { "sjis", "82", NULL },
    { "sjis", "80", NULL },
    { "sjis", "a0", NULL },
    { "sjis", "fd41", NULL },
    { "ujis", "a1c0 8fa2b7 a4a2 8eb1", "\\~\xe3\x81\x82\xef\xbd\xb1" },
    { "eucjpms", "a1c0", "\xef\xbc\xbc" },
    { "ujis", "8fa2", NULL },
    { "ujis", "80", NULL },
    { "ujis", "9fa2", NULL },
    { "big5", "a145 41 a440",
      "\xe2\x80\xa2"
      "A\xe4\xb8\x80" },
    { "big5", "a1", NULL },
    { "big5", "80", NULL },
    { "euckr", "8141 b0a1", "\xea\xb0\x82\xea\xb0\x80" },
    { "gb2312", "b0a1", "\xe5\x95\x8a" },
    { "gb2312", "8140", NULL },
    { "gbk", "8140", "\xe4\xb8\x82" },
    { "gbk", "80", NULL },
    { "gb18030", "a6d9 81308130 90308130 fe51", "\xee\x9e\x8d\xc2\x80\xf0\x90\x80\x80\xee\xa0\x96" },
    { "gb18030", "813081", NULL },
    { "gb18030", "ff", NULL },
};

static void conversions(void)
{
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct charset *cs = charset_by_name(bytes_str(cases[i].charset));
        CHECK(cs != NULL, "%s is not known", cases[i].charset);
        if (cs == NULL)
            continue;
        struct bytes in = unhex(cases[i].hex), out;
        struct err err = { 0 };
        bool ok = charset_to_utf8(cs, in, a, &out, &err);
        if (cases[i].want == NULL)
            CHECK(!ok && err.code == ERR_CORRUPT && strstr(err.msg, cs->name) != NULL, "%s %s: %d %s", cs->name,
                  cases[i].hex, ok, err.msg);
        else
            CHECK(ok && (cs->binary ? bytes_eq(out, in) : bytes_eq_str(out, cases[i].want)), "%s %s: %.*s %s", cs->name,
                  cases[i].hex, BYTES_FMT(out), err.msg);
        /* a failed conversion must leave no state behind */
        CHECK(cs->binary || strcmp(cs->name, "ucs2") == 0 || strncmp(cs->name, "utf16", 5) == 0 ||
                  strncmp(cs->name, "utf32", 5) == 0 ||
                  (charset_to_utf8(cs, BYTES_LIT("plain"), a, &out, &err) && bytes_eq_str(out, "plain")),
              "%s: plain text afterwards", cs->name);
        free((void *)(uintptr_t)in.p);
    }
    arena_free(a);
}

/* U+FFFD is written ~ here. What is valid beside it stays. */
static void replacing(void)
{
    static const struct {
        const char *charset, *hex, *want;
        unsigned n;
    } t[] = { { "tis620", "61a1ff62", "aก~b", 1 },
              { "tis620", "ffff", "~~", 2 },
              { "ascii", "6180ff62", "a~~b", 2 },
              { "utf8mb4", "c3a9ffc3", "é~~", 2 },
              { "utf8mb4", "eda080f09f9880", "~~~\xf0\x9f\x98\x80", 3 },
              { "utf8mb3", "ff", "~", 1 },
              { "latin1", "61e9", "aé", 0 },
              { "ucs2", "0061d8000062", "a~b", 1 },
              { "utf16", "d8000062dc00", "~b~", 2 },
              { "utf16", "d83dde0000", "\xf0\x9f\x98\x80~", 1 },
              { "utf16le", "6100", "a", 0 },
              { "utf32", "00110000000000610000", "~a~", 2 },
              { "gbk", "61ff814062", "a~丂b", 1 },
              { "gbk", "8140ff", "丂~", 1 },
              { "gbk", "81", "~", 1 },
              { "sjis", "82a0fd82a2", "あ~い", 1 },
              { "ujis", "a4a2ffa4a4", "あ~い", 1 },
              { "euckr", "b0a1ffff", "가~~", 2 },
              { "gb18030", "813081ff", "~", 1 },
              { "big5", "a440ffa440", "一~一", 1 },
              { "utf8mb4", "", "", 0 } };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct bytes in = unhex(t[i].hex), out;
        struct err err = { 0 };
        struct buf want = { 0 };
        unsigned n = 99;
        for (const char *p = t[i].want; *p != '\0'; p++)
            buf_str(&want, *p == '~' ? "\xef\xbf\xbd" : (const char[]){ *p, '\0' });
        bool ok = charset_to_utf8_replacing(charset_by_name(bytes_str(t[i].charset)), in, a, &out, &n, &err);
        CHECK(ok && n == t[i].n && bytes_eq(out, buf_view(&want)), "%s %s: %u, %.*s %s", t[i].charset, t[i].hex, n,
              BYTES_FMT(out), err.msg);
        CHECK(charset_utf8_valid(out) == out.n, "%s %s: not UTF-8", t[i].charset, t[i].hex);
        buf_free(&want);
        free((void *)(uintptr_t)in.p);
    }
    arena_free(a);
}

static void numbers(void)
{
    static const struct {
        unsigned n;
        const char *name;
    } t[] = { { 1, "big5" },       { 8, "latin1" },    { 11, "ascii" },     { 28, "gbk" },       { 33, "utf8mb3" },
              { 45, "utf8mb4" },   { 46, "utf8mb4" },  { 48, "latin1" },    { 54, "utf16" },     { 56, "utf16le" },
              { 60, "utf32" },     { 63, "binary" },   { 76, "utf8mb3" },   { 83, "utf8mb3" },   { 192, "utf8mb3" },
              { 223, "utf8mb3" },  { 224, "utf8mb4" }, { 247, "utf8mb4" },  { 248, "gb18030" },  { 250, "gb18030" },
              { 255, "utf8mb4" },  { 309, "utf8mb4" }, { 323, "utf8mb4" },  { 576, "utf8mb3" },  { 608, "utf8mb4" },
              { 640, "ucs2" },     { 1025, "big5" },   { 1238, "utf8mb3" }, { 2048, "utf8mb3" }, { 2304, "utf8mb4" },
              { 2503, "utf8mb4" }, { 3271, "utf32" } };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        const struct charset *cs = charset_of_collation(t[i].n);
        CHECK(cs != NULL && strcmp(cs->name, t[i].name) == 0, "collation %u: want %s, got %s", t[i].n, t[i].name,
              cs == NULL ? "nothing" : cs->name);
    }
    static const unsigned unknown[] = { 0, 17, 100, 216, 324, 1024, 2216, 3272, 65535, 70000 };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        CHECK(charset_of_collation(unknown[i]) == NULL, "collation %u should not be known", unknown[i]);
    CHECK(charset_by_name(BYTES_LIT("nonsense")) == NULL && charset_by_name(BYTES_LIT("")) == NULL, "unknown names");
    CHECK(charset_by_name(BYTES_LIT("utf8mb4"))->max_bytes == 4 && charset_of_collation(63)->binary, "facts");
}

/* A byte that is none, in each place of strings of every length up to some words. */
static void ascii(void)
{
    enum { MOST = 40 };
    for (size_t n = 0; n <= MOST; n++) {
        uint8_t *p = malloc(n + 1);
        memset(p, 0x7f, n);
        p[n] = 0xff; /* behind it */
        CHECK(charset_ascii(bytes_of(p, n)), "%zu bytes", n);
        for (size_t i = 0; i < n; i++) {
            p[i] = 0x80;
            CHECK(!charset_ascii(bytes_of(p, n)), "byte %zu of %zu", i, n);
            p[i] = 0x7f;
        }
        free(p);
    }
}

/* The length of the valid prefix, by decoding each character. */
static size_t decoded(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        unsigned len = p[i] < 0x80 ? 1 : p[i] < 0xc0 ? 0 : p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : p[i] < 0xf8 ? 4 : 0;
        uint32_t code = len == 1 ? p[i] : len == 0 ? 0 : p[i] & (0x7fU >> len);
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (len == 0 || len > n - i)
            return i;
        for (unsigned k = 1; k < len; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return i;
            code = code << 6 | (p[i + k] & 0x3fU);
        }
        if ((len > 1 && code < least[len]) || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return i;
        i += len;
    }
    return i;
}

/* Texts of valid characters, whole ones and with a byte that is another: of any length, so that characters lie across each border of blocks. */
static void utf8(void)
{
    static const char *const chars[] = { "a",      "~",      "é",          "\u07ff", "\u0800",    "東", "\xed\x9f\xbf",
                                         "\ue000", "\uffff", "\U00010000", "🙂",   "\U0010ffff" };
    static const uint8_t odd[] = { 0,    0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                   0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff };
    unsigned seed = 1;
    for (unsigned round = 0; round < 20000; round++) {
        size_t most = round % 70, n = 0;
        uint8_t text[80];
        for (;;) {
            seed = seed * 1103515245 + 12345;
            const char *c = chars[(round % 3 == 0 ? 0 : seed >> 16) % (sizeof chars / sizeof *chars)];
            if (n + strlen(c) > most)
                break;
            memcpy(text + n, c, strlen(c));
            n += strlen(c);
        }
        uint8_t *exact = malloc(n == 0 ? 1 : n);
        memcpy(exact, text, n);
        CHECK(charset_utf8_valid(bytes_of(exact, n)) == n, "round %u: %zu bytes", round, n);
        for (unsigned k = 0; k < sizeof odd && n != 0; k++) {
            seed = seed * 1103515245 + 12345;
            size_t at = (seed >> 16) % n;
            uint8_t was = exact[at];
            exact[at] = odd[k];
            size_t want = decoded(exact, n), got = charset_utf8_valid(bytes_of(exact, n));
            CHECK(got == want, "round %u: 0x%02x at %zu of %zu: %zu, want %zu", round, odd[k], at, n, got, want);
            exact[at] = was;
        }
        free(exact);
    }
}

static void *in_thread(void *arg) /* its own iconv handle, freed with it */
{
    struct arena *a = arena_new(0);
    struct bytes out;
    struct err err = { 0 };
    *(bool *)arg = true;
    for (unsigned i = 0; i < 1000; i++) {
        *(bool *)arg = *(bool *)arg &&
                       charset_to_utf8(charset_by_name(BYTES_LIT("gbk")), BYTES_LIT("\x81\x40"), a, &out, &err) &&
                       bytes_eq_str(out, "\xe4\xb8\x82");
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

int main(void)
{
    numbers();
    conversions();
    replacing();
    ascii();
    utf8();
    pthread_t t[2];
    bool ok[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, in_thread, &ok[i]);
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        CHECK(ok[i], "thread %d", i);
    }
    CHECK(charset_utf8_valid(BYTES_LIT("ab\xff")) == 2 && charset_utf8_valid(BYTES_LIT("")) == 0, "valid prefix");
    return UNIT_END();
}
