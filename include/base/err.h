/* err.h - one error value, filled where it happens, given context on the way up, logged once.
 *
 * A function that can fail returns bool and takes `struct err *` last. Whoever detects the fault fills it; whoever
 * knows more adds context in front; only a pipeline or main logs it. `assert` is for our own bugs, never for input. */
#ifndef ROWTIDE_ERR_H
#define ROWTIDE_ERR_H

#include <stdbool.h>

#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum err_code {
    ERR_NONE = 0,
    ERR_NOMEM,
    ERR_IO,          /* a file; sys holds errno */
    ERR_NET,         /* a connection; usually transient */
    ERR_CORRUPT,     /* bytes break a documented format rule */
    ERR_UNSUPPORTED, /* legal input that this version cannot handle: stop, never skip (I3) */
    ERR_CONFLICT,    /* the destination's row is not what the change expects */
    ERR_DATA,        /* a value that the destination cannot take, or a constraint that a row breaks */
    ERR_SCRIPT,      /* the user's Lua failed */
    ERR_CONFIG,      /* options, config file, preflight: a person must change something */
    ERR_FENCED,      /* another applier owns the subscription, or the slot is not the one we knew (I4) */
    ERR_LOST,        /* what we need is gone: purged binlog, removed segments, reset source */
    ERR_STOPPED      /* asked to stop; not a fault */
};

struct err {
    enum err_code code;
    int sys;        /* errno or the server's error number of the failed call, 0 if none */
    bool transient; /* the same call may succeed later; only then may a caller retry */
    char msg[1024]; /* fixed size: reporting out-of-memory must not allocate; longer text is cut with "..." */
};

/* All return false, so that a failing function can end `return err_set(...)`. e may not be NULL. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3); /* ERR_IO + errno's text */
bool err_ctx(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3); /* "context: " in front, code kept */
bool err_nomem(struct err *e);
/* Exit codes of all three programs: 0 none or stopped, 2 configuration, 3 unreachable, 1 everything else. */
int err_exit_code(const struct err *e);
const char *err_code_name(enum err_code c); /* "corrupt", "config" ... for logs and JSON */

#endif
