/* err.c - fills the error value (err.h). Never allocates: an error must be reportable when memory is gone. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { MSG_MAX = sizeof(((struct err *)NULL)->msg) };

/* `len` is what the text wanted to be. A cut one ends in "...", and never inside a UTF-8 sequence: logs and JSON carry
 * it. */
static void mark_cut(char *msg, size_t cap, size_t len)
{
    if (len < cap)
        return;
    size_t at = cap - 4;
    while (at > 0 && ((unsigned char)msg[at] & 0xC0) == 0x80)
        at--;
    memcpy(msg + at, "...", 4);
}

static size_t vformat(char *out, size_t cap, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, cap, fmt, ap);
    if (n < 0) { /* only for an impossible conversion; the format itself still says where we are */
        out[0] = '\0';
        n = snprintf(out, cap, "%s", fmt);
    }
    return n < 0 ? 0 : (size_t)n;
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    char text[MSG_MAX]; /* not straight into e->msg: an argument may be e->msg */
    va_list ap;
    va_start(ap, fmt);
    size_t n = vformat(text, sizeof text, fmt, ap);
    va_end(ap);
    mark_cut(text, sizeof text, n);
    e->code = code;
    e->sys = 0;
    e->transient = false;
    memcpy(e->msg, text, strlen(text) + 1);
    return false;
}

bool err_sys(struct err *e, const char *fmt, ...)
{
    int sys = errno; /* before anything below can change it */
    char text[MSG_MAX], reason[128];
    va_list ap;
    va_start(ap, fmt);
    size_t n = vformat(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *why = strerror_r(sys, reason, sizeof reason);
    size_t have = n < sizeof text ? n : sizeof text - 1, room = strlen(why) + 3;
    if (have + room > sizeof text) { /* the reason matters more than the end of a long name */
        have = sizeof text - room;
        mark_cut(text, have, n);
        have = strlen(text);
    }
    snprintf(text + have, sizeof text - have, ": %s", why);
    e->code = ERR_IO;
    e->sys = sys;
    e->transient = false;
    memcpy(e->msg, text, strlen(text) + 1);
    return false;
}

bool err_ctx(struct err *e, const char *fmt, ...)
{
    char text[MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    size_t n = vformat(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > MSG_MAX / 2) { /* the cause stands behind the context and must survive */
        mark_cut(text, MSG_MAX / 2, n);
        n = strlen(text);
    }
    int more = snprintf(text + n, sizeof text - n, ": %s", e->msg);
    mark_cut(text, sizeof text, n + (more < 0 ? 0 : (size_t)more));
    memcpy(e->msg, text, strlen(text) + 1);
    return false;
}

bool err_nomem(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

const char *err_code_name(enum err_code c)
{
    switch (c) {
    case ERR_NONE:
        return "none";
    case ERR_NOMEM:
        return "nomem";
    case ERR_IO:
        return "io";
    case ERR_NET:
        return "net";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_DATA:
        return "data";
    case ERR_SCRIPT:
        return "script";
    case ERR_CONFIG:
        return "config";
    case ERR_FENCED:
        return "fenced";
    case ERR_LOST:
        return "lost";
    case ERR_STOPPED:
        return "stopped";
    }
    return "unknown";
}

int err_exit_code(const struct err *e)
{
    switch (e->code) {
    case ERR_NONE:
    case ERR_STOPPED:
        return 0;
    case ERR_CONFIG:
        return 2;
    case ERR_NET:
        return 3;
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_UNSUPPORTED:
    case ERR_CONFLICT:
    case ERR_DATA:
    case ERR_SCRIPT:
    case ERR_FENCED:
    case ERR_LOST:
        break;
    }
    return 1;
}
