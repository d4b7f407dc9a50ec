/* slog.c - writes logfmt lines (slog.h). One write(2) a line keeps lines of several threads and processes apart; the
 * line is built on the stack, because out-of-memory is one of the things to log. */
#include "slog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum slog_level slog_threshold = SLOG_INFO;

static const char *const level_names[] = {
    [SLOG_ERROR] = "error", [SLOG_WARN] = "warn", [SLOG_INFO] = "info", [SLOG_DEBUG] = "debug"
};

enum { LINE_MAX_BYTES = 8192, TAIL_ROOM = 32 /* closing quote, truncated=true, newline */ };

struct line {
    size_t n;
    bool cut;
    char text[LINE_MAX_BYTES];
};

static void put(struct line *l, const char *s, size_t n)
{
    if (l->cut || n > sizeof l->text - TAIL_ROOM - l->n) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->n, s, n);
    l->n += n;
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static bool plain(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7F)
            return false;
    return true;
}

/* Control characters are escaped: text from a server must not be able to forge a line or drive a terminal. */
static void put_value(struct line *l, const char *s)
{
    if (s == NULL)
        s = "";
    if (plain(s)) {
        put_str(l, s);
        return;
    }
    put(l, "\"", 1);
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        char esc[8];
        if (c == '"' || c == '\\')
            snprintf(esc, sizeof esc, "\\%c", c);
        else if (c == '\n')
            snprintf(esc, sizeof esc, "\\n");
        else if (c == '\t')
            snprintf(esc, sizeof esc, "\\t");
        else if (c < ' ' || c == 0x7F)
            snprintf(esc, sizeof esc, "\\x%02x", c);
        else
            snprintf(esc, sizeof esc, "%c", c);
        put_str(l, esc);
    }
    if (l->cut)
        l->text[l->n++] = '"'; /* TAIL_ROOM has place for it */
    else
        put(l, "\"", 1);
}

static void put_time(struct line *l)
{
    struct timespec ts = { 0 };
    struct tm tm = { 0 };
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    char text[96];
    snprintf(text, sizeof text, "ts=%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000);
    put_str(l, text);
}

void slog_emit(enum slog_level lv, const char *event, const struct kv *kv)
{
    int saved = errno; /* a caller may log between a failed call and its use of errno */
    struct line l;
    l.n = 0;
    l.cut = false;
    put_time(&l);
    put_str(&l, " level=");
    put_str(&l, level_names[lv]);
    put_str(&l, " event=");
    put_value(&l, event);
    for (; kv->key != NULL && !l.cut; kv++) {
        char num[32];
        put(&l, " ", 1);
        put_str(&l, kv->key);
        put(&l, "=", 1);
        switch (kv->type) {
        case KV_STR:
            put_value(&l, kv->v.s);
            continue;
        case KV_INT:
            snprintf(num, sizeof num, "%" PRId64, kv->v.i);
            break;
        case KV_UINT:
            snprintf(num, sizeof num, "%" PRIu64, kv->v.u);
            break;
        case KV_FLOAT:
            snprintf(num, sizeof num, "%.6g", kv->v.f);
            break;
        }
        put_str(&l, num);
    }
    if (l.cut) {
        static const char mark[] = " truncated=true";
        memcpy(l.text + l.n, mark, sizeof mark - 1);
        l.n += sizeof mark - 1;
    }
    l.text[l.n++] = '\n';
    size_t done = 0;
    while (done < l.n) { /* nobody can be told that the log itself fails */
        ssize_t w = write(STDERR_FILENO, l.text + done, l.n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            break;
        done += (size_t)w;
    }
    errno = saved;
}

void slog_err(enum slog_level lv, const char *event, const struct err *e)
{
    if (e->sys != 0)
        slog(lv, event, kv_s("code", err_code_name(e->code)), kv_i("errno", e->sys), kv_s("msg", e->msg));
    else
        slog(lv, event, kv_s("code", err_code_name(e->code)), kv_s("msg", e->msg));
}

bool slog_parse_level(const char *name, enum slog_level *out)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum slog_level)i;
            return true;
        }
    return false;
}
