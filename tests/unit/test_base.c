/* test_base.c - err, bytes, buf, arena, slog. Varint spellings: Protocol Buffers encoding guide. */
#include "arena.h"
#include "buf.h"
#include "digits.h"
#include "fault.h"
#include "slog.h"
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_err(void)
{
    struct err e;
    CHECK(!err_set(&e, ERR_CORRUPT, "frame %d", 7), "err_set returns false");
    err_ctx(&e, "segment %s", "42");
    CHECK(e.code == ERR_CORRUPT && strcmp(e.msg, "segment 42: frame 7") == 0, "got %s", e.msg);
    errno = ENOENT;
    err_sys(&e, "open %s", "x");
    CHECK(e.code == ERR_IO && e.sys == ENOENT && strcmp(e.msg, "open x: No such file or directory") == 0, "got %s",
          e.msg);
    err_set(&e, ERR_NET, "again: %s", e.msg); /* an argument inside the target */
    CHECK(e.sys == 0 && !e.transient && strcmp(e.msg, "again: open x: No such file or directory") == 0, "got %s",
          e.msg);

    char longer[3000];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    err_set(&e, ERR_DATA, "%s", longer);
    CHECK(strlen(e.msg) == sizeof e.msg - 1 && strcmp(e.msg + sizeof e.msg - 4, "...") == 0, "long text ends in dots");
    err_ctx(&e, "%s", longer);
    CHECK(strlen(e.msg) < sizeof e.msg && strstr(e.msg, "...: aaa") != NULL, "long context leaves room for the cause");
    errno = EACCES;
    err_sys(&e, "%s", longer);
    CHECK(strstr(e.msg, "...: Permission denied") != NULL, "the reason survives, got %s", e.msg + 980);
    for (size_t i = 0; i + 2 < sizeof longer; i += 2)
        memcpy(longer + i, "\xC3\xA4", 2);
    for (int shift = 0; shift < 2; shift++) {
        err_set(&e, ERR_DATA, "%s%s", shift == 0 ? "" : "x", longer);
        size_t n = strlen(e.msg);
        CHECK((unsigned char)e.msg[n - 4] == 0xA4, "the cut is not inside a character (shift %d)", shift);
    }
    for (int c = ERR_NONE; c <= ERR_STOPPED; c++)
        CHECK(strcmp(err_code_name((enum err_code)c), "unknown") != 0, "code %d has a name", c);
}

static const struct {
    const char *hex;
    uint64_t want;
    const char *why; /* NULL: good */
} varints[] = {
    { "00", 0, NULL },
    { "7f", 127, NULL },
    { "8001", 128, NULL },
    { "ac02", 300, NULL },
    { "ffffffffffffffffff01", UINT64_MAX, NULL },
    { "80808080808080808001", UINT64_C(1) << 63, NULL },
    { "8000", 0, "overlong" },
    { "ff00", 0, "overlong" },
    { "ffffffffffffffffff02", 0, "64 bits" },
    { "ffffffffffffffffff8101", 0, "64 bits" },
};

static void test_varint(void)
{
    for (size_t i = 0; i < sizeof varints / sizeof *varints; i++) {
        struct bytes b = unhex(varints[i].hex);
        struct cur c = cur_over(b);
        uint64_t v = cur_varint(&c);
        if (varints[i].why != NULL) {
            CHECK(c.why != NULL && strstr(c.why, varints[i].why) != NULL && v == 0, "%s must fail", varints[i].hex);
        } else {
            CHECK(c.why == NULL && v == varints[i].want && cur_left(&c) == 0, "%s: got %llu", varints[i].hex,
                  (unsigned long long)v);
            struct buf out = { 0 };
            buf_varint(&out, v);
            CHECK(bytes_eq(buf_view(&out), b), "%s does not come back", varints[i].hex);
            buf_free(&out);
            for (size_t n = 0; n < b.n; n++) {
                uint8_t *cut = malloc(n + !n);
                memcpy(cut, b.p, n);
                struct cur t = cur_over(bytes_of(cut, n));
                cur_varint(&t);
                CHECK(t.why != NULL && strcmp(t.why, "truncated") == 0, "%s cut to %zu must fail", varints[i].hex, n);
                free(cut);
            }
        }
        free((void *)(uintptr_t)b.p);
    }
    static const int64_t signs[] = { 0, -1, 1, -2, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        CHECK(unzigzag(zigzag(signs[i])) == signs[i], "zigzag of %lld", (long long)signs[i]);
    CHECK(zigzag(-1) == 1 && zigzag(1) == 2, "zigzag order");
}

static void test_cursor(void)
{
    struct err e;
    struct bytes b = unhex("0102 030405060708 02 6869 ff");
    struct cur c = cur_over(b);
    CHECK(cur_le(&c, 2) == 0x0201 && cur_be(&c, 6) == 0x030405060708, "integers");
    struct bytes s = cur_blob(&c);
    CHECK(bytes_eq_str(s, "hi") && cur_at(&c) == 11, "blob");
    CHECK(cur_ok(&c, "x", &e), "nothing failed");
    CHECK(!cur_finish(&c, "x", &e) && strcmp(e.msg, "x: trailing bytes at byte 11") == 0, "got %s", e.msg);
    c = cur_over(b);
    cur_take(&c, 12);
    cur_u8(&c);
    cur_take(&c, SIZE_MAX);
    CHECK(!cur_ok(&c, "x", &e) && strcmp(e.msg, "x: truncated at byte 12") == 0, "the first failure counts, got %s",
          e.msg);
    CHECK(cur_le(&c, 8) == 0 && cur_left(&c) == 0, "later reads yield 0");
    free((void *)(uintptr_t)b.p);

    b = unhex("ffffffffffffffffff01 00"); /* a length of 2^64 - 1 */
    c = cur_over(b);
    s = cur_blob(&c);
    CHECK(s.n == 0 && c.why != NULL, "a huge length must fail");
    free((void *)(uintptr_t)b.p);
    c = cur_over((struct bytes){ NULL, 0 });
    CHECK(cur_finish(&c, "nothing", &e), "an empty view is fine");
}

static void test_buf(void)
{
    struct err e;
    struct buf b = { 0 };
    CHECK(strcmp(buf_cstr(&b), "") == 0, "empty");
    buf_printf(&b, "%s-%d", "abc", 5);
    buf_le(&b, 0x4241, 2);
    buf_be(&b, 0x4344, 2);
    buf_blob(&b, BYTES_LIT("x"));
    CHECK(strcmp(buf_cstr(&b), "abc-5ABCD\x01x") == 0, "got %s", buf_cstr(&b));
    buf_reset(&b);
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%09d,", i);
    CHECK(b.n == 100000 && memcmp(b.p + 99990, "000009999,", 10) == 0 && buf_ok(&b, &e), "grows");
    CHECK(!buf_grow(&b, SIZE_MAX) && b.failed, "an impossible size fails");
    buf_str(&b, "more");
    CHECK(b.n == 100000 && !buf_ok(&b, &e) && e.code == ERR_NOMEM && strcmp(buf_cstr(&b), "") == 0,
          "failure is sticky");
    buf_reset(&b);
    buf_str(&b, "again");
    CHECK(buf_ok(&b, &e) && strcmp(buf_cstr(&b), "again") == 0, "reset clears it");
    buf_free(&b);
    buf_free(&b);

    uint8_t lent[8];
    b = (struct buf){ .p = lent, .cap = sizeof lent, .lent = true };
    buf_str(&b, "12345678");
    CHECK(b.p == lent && b.n == 8, "what fits stays in lent memory");
    buf_str(&b, "9");
    CHECK(b.p != lent && !b.lent && strcmp(buf_cstr(&b), "123456789") == 0 && memcmp(lent, "12345678", 8) == 0,
          "and goes on elsewhere");
    buf_free(&b);
    b = (struct buf){ .p = lent, .cap = sizeof lent, .lent = true };
    CHECK(!buf_grow(&b, SIZE_MAX) && b.failed && b.p == lent, "an impossible size fails");
    buf_free(&b);
    CHECK(b.p == NULL && b.cap == 0 && !b.lent, "lent memory is not freed");
}

static void test_arena(void)
{
    struct err e;
    struct arena *a = arena_new(100000);
    CHECK(a != NULL && arena_used(a) == 0, "new");
    for (int round = 0; round < 3; round++) {
        size_t sizes[] = { 0, 1, 15, 16, 17, 4000, 20000, 1 };
        char *got[8];
        for (size_t i = 0; i < 8; i++) {
            got[i] = arena_alloc(a, sizes[i], &e);
            CHECK(got[i] != NULL && (uintptr_t)got[i] % 16 == 0, "size %zu", sizes[i]);
            memset(got[i], (int)i, sizes[i]);
        }
        for (size_t i = 0; i < 8; i++)
            for (size_t k = 0; k < sizes[i]; k++)
                if (got[i][k] != (char)i) {
                    CHECK(false, "block %zu overwritten at %zu", i, k);
                    break;
                }
        CHECK(!arena_refused(a), "nothing was refused yet");
        CHECK(arena_alloc(a, 90000, &e) == NULL && e.code == ERR_NOMEM && strstr(e.msg, "limit of 100000") != NULL &&
                  arena_refused(a),
              "limit");
        CHECK(arena_alloc(a, SIZE_MAX, NULL) == NULL && arena_alloc(a, SIZE_MAX - 8, NULL) == NULL, "absurd sizes");
        char *z = arena_zalloc(a, 100, &e);
        CHECK(z != NULL && z[0] == 0 && z[99] == 0, "zeroed");
        struct bytes copy;
        CHECK(arena_copy(a, BYTES_LIT("row"), &copy, &e) && bytes_eq_str(copy, "row"), "copy");
        CHECK(arena_copy(a, bytes_of(NULL, 0), &copy, &e) && copy.n == 0, "empty copy");
        char *s = arena_cstr(a, BYTES_LIT("text"), &e);
        CHECK(s != NULL && strcmp(s, "text") == 0, "cstr");
        arena_reset(a);
        CHECK(arena_used(a) == 0, "reset");
    }
    arena_free(a);
    arena_free(NULL);
}

/* What a function writes to stderr. */
static const char *captured(void (*fn)(void))
{
    static char text[20000];
    int p[2], old = dup(STDERR_FILENO);
    if (old < 0 || pipe(p) != 0)
        abort();
    dup2(p[1], STDERR_FILENO);
    fn();
    dup2(old, STDERR_FILENO);
    close(p[1]);
    close(old);
    ssize_t n = read(p[0], text, sizeof text - 1);
    close(p[0]);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void log_types(void)
{
    slog(SLOG_INFO, "sealed", kv_s("file", "42.seg"), kv_u("bytes", 131072), kv_i("d", -1), kv_f("r", 0.5),
         kv_s("q", "a \"b\"\n\x1b"), kv_s("none", NULL));
}
static void log_bare(void)
{
    slog(SLOG_WARN, "bare");
}
static void log_debug(void)
{
    slog(SLOG_DEBUG, "hidden");
}
static void log_long(void)
{
    static char text[10000];
    memset(text, '"', sizeof text - 1);
    slog(SLOG_INFO, "long", kv_s("v", text), kv_s("w", "x"));
}
static void log_error(void)
{
    struct err e;
    errno = ENOSPC;
    err_sys(&e, "write x");
    slog_err(SLOG_ERROR, "stopped", &e);
}

static void test_slog(void)
{
    const char *s = captured(log_types);
    CHECK(strncmp(s, "ts=20", 5) == 0 && strlen(s) > 31 && s[29] == 'Z', "time first: %s", s);
    CHECK(
        strcmp(s + 30,
               " level=info event=sealed file=42.seg bytes=131072 d=-1 r=0.5 q=\"a \\\"b\\\"\\n\\x1b\" none=\"\"\n") ==
            0,
        "got %s", s);
    s = captured(log_bare);
    CHECK(strcmp(s + 30, " level=warn event=bare\n") == 0, "got %s", s);
    CHECK(captured(log_debug)[0] == '\0', "below the threshold");
    s = captured(log_long);
    size_t n = strlen(s);
    CHECK(n < 8193 && strcmp(s + n - 17, "\" truncated=true\n") == 0, "a cut line says so: %s", s + n - 40);
    s = captured(log_error);
    CHECK(strstr(s, "event=stopped code=io errno=28 msg=\"write x: No space left on device\"\n") != NULL, "got %s", s);
    enum slog_level lv = SLOG_INFO;
    CHECK(slog_parse_level("debug", &lv) && lv == SLOG_DEBUG && !slog_parse_level("loud", &lv), "level names");
}

static void test_fault(void)
{
#ifdef ROWTIDE_FAULTS
    pid_t pid = fork();
    if (pid == 0) {
        setenv("ROWTIDE_FAULT", "a.b:3", 1);
        fault_point("a");
        fault_point("a.bc");
        fault_point("a.b");
        fault_point("a.b");
        if (write(STDOUT_FILENO, "", 0) != 0)
            _exit(1);
        fault_point("a.b");
        _exit(0);
    }
    int st = 0;
    waitpid(pid, &st, 0);
    CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL, "the third pass kills, status %x", (unsigned)st);
#endif
}

/* Around each power of ten, with zeros in front and without. */
static void test_digits(void)
{
    for (unsigned i = 0; i < DIGITS_U64; i++) {
        uint64_t power = i == 0 ? 1 : digit_powers[i];
        for (int d = -1; d <= 1; d++) {
            uint64_t v = power + (uint64_t)d;
            char want[64];
            uint8_t got[64] = { 0 };
            int n = snprintf(want, sizeof want, "%llu", (unsigned long long)v);
            CHECK((int)digits_of(v) == n, "%s has %u digits", want, digits_of(v));
            uint8_t *end = digits_put(got, v, digits_of(v));
            CHECK(end == got + n && strcmp((char *)got, want) == 0, "want %s, got %s", want, (char *)got);
            snprintf(want, sizeof want, "%025llu", (unsigned long long)v);
            (void)digits_put(got, v, 25);
            CHECK(strcmp((char *)got, want) == 0, "want %s, got %s", want, (char *)got);
        }
    }
}

int main(void)
{
    test_err();
    test_digits();
    test_varint();
    test_cursor();
    test_buf();
    test_arena();
    test_slog();
    test_fault();
    return UNIT_END();
}
