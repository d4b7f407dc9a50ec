/* binlog_file.c - see binlog_file.h.
 *
 * Sources: MySQL sql/binlog_istream.cc and sql/basic_ostream (magic, encryption header), MariaDB sql/log_event.cc and
 * sql/log_event.h, Start_encryption_log_event (everything behind that event is encrypted on disk, and clear when a
 * server sends it); LOG_EVENT_BINLOG_IN_USE_F of both. */
#include "binlog_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_BYTES = 19, SIZE_AT = 9, FLAGS_AT = 17, TYPE_AT = 4, IN_USE = 1, MAGIC_BYTES = 4, READ_BYTES = 1 << 18 };

struct binlog_file {
    char *path;
    const char *name; /* in path */
    int fd;
    uint64_t max_event, size;
    uint64_t at, end;  /* of the latest event */
    uint64_t torn;     /* bytes of an unfinished event behind the last whole one */
    struct buf window; /* the file's bytes from window_at on */
    uint64_t window_at;
    struct binlog_format fmt;
    bool in_use;
};

/* Makes n bytes from the offset `at` available; fewer at the end of the file. */
static bool look(struct binlog_file *f, uint64_t at, size_t n, struct bytes *out, struct err *err)
{
    struct buf *w = &f->window;
    if (at < f->window_at || at > f->window_at + w->n) {
        w->n = 0;
        f->window_at = at;
    }
    size_t skip = (size_t)(at - f->window_at);
    if (w->n - skip < n && skip > 0) {
        memmove(w->p, w->p + skip, w->n - skip);
        w->n -= skip;
        f->window_at = at;
        skip = 0;
    }
    while (w->n - skip < n) {
        size_t more = n - (w->n - skip) > READ_BYTES ? n - (w->n - skip) : READ_BYTES;
        if (!buf_grow(w, more))
            return err_nomem(err);
        ssize_t got = pread(f->fd, w->p + w->n, more, (off_t)(f->window_at + w->n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "read %s", f->path);
        if (got == 0)
            break;
        w->n += (size_t)got;
    }
    size_t left = w->n - skip;
    *out = bytes_of(w->p + skip, left < n ? left : n);
    return true;
}

static bool check_magic(struct binlog_file *f, struct err *err)
{
    static const uint8_t plain[MAGIC_BYTES] = { 0xfe, 'b', 'i', 'n' }, encrypted[MAGIC_BYTES] = { 0xfd, 'b', 'i', 'n' };
    struct bytes b;
    if (!look(f, 0, MAGIC_BYTES, &b, err))
        return false;
    if (b.n == MAGIC_BYTES && memcmp(b.p, plain, MAGIC_BYTES) == 0)
        return true;
    if (b.n == MAGIC_BYTES && memcmp(b.p, encrypted, MAGIC_BYTES) == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s is encrypted (MySQL's binlog_encryption), and its key is in the server's keyring: read it "
                       "from the server, which sends it in the clear (--source, or mysqlbinlog "
                       "--read-from-remote-server --raw)",
                       f->path);
    return err_set(err, ERR_CORRUPT, "%s is no binlog file: %s", f->path,
                   b.n < MAGIC_BYTES ? "it is shorter than the 4 bytes that begin each"
                                     : "it does not begin with the bytes fe 62 69 6e");
}

static bool check_regular(const char *path, const struct stat *st, struct err *err)
{
    return S_ISREG(st->st_mode) ||
           err_set(err, ERR_CONFIG, "%s is not a regular file; save what comes out of a pipe to one", path);
}

bool binlog_file_open(const char *path, uint64_t max_event, struct binlog_file **out, struct err *err)
{
    struct binlog_file *f = calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(err);
    struct stat st;
    f->max_event = max_event;
    f->at = f->end = BINLOG_FILE_FIRST;
    f->fd = -1;
    f->path = strdup(path);
    bool ok = f->path != NULL || err_nomem(err);
    if (ok) {
        const char *slash = strrchr(f->path, '/');
        f->name = slash == NULL ? f->path : slash + 1;
        ok = stat(path, &st) == 0 || err_sys(err, "open %s", path);
    }
    ok = ok && check_regular(path, &st, err);
    if (ok) { /* a pipe that took its place meanwhile must not make open() wait for a writer */
        f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        ok = (f->fd >= 0 && fstat(f->fd, &st) == 0) || err_sys(err, "open %s", path);
        ok = ok && check_regular(path, &st, err);
    }
    ok = ok && check_magic(f, err);
    if (!ok) {
        binlog_file_close(f);
        return false;
    }
    f->size = (uint64_t)st.st_size;
    *out = f;
    return true;
}

void binlog_file_close(struct binlog_file *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    buf_free(&f->window);
    free(f->path);
    free(f);
}

static void learn_format(struct binlog_file *f, struct bytes event)
{
    struct binlog_event e;
    struct err ignored; /* who decodes the event says what is wrong with it */
    memset(&f->fmt, 0, sizeof f->fmt);
    f->in_use = (event.p[FLAGS_AT] & IN_USE) != 0;
    if (binlog_event_parse(event, &f->fmt, &e, &ignored) && !binlog_parse_format(&e, &f->fmt, &ignored))
        memset(&f->fmt, 0, sizeof f->fmt);
}

static enum binlog_file_step fail_here(const struct binlog_file *f, uint64_t at, struct err *err)
{
    err_ctx(err, "%s:%llu", f->path, (unsigned long long)at);
    return BINLOG_FILE_FAIL;
}

/* `left` bytes of an event of `want` are there. */
static enum binlog_file_step end_inside(struct binlog_file *f, uint64_t left, uint64_t want, struct err *err)
{
    if (f->in_use) {
        f->torn = left;
        return BINLOG_FILE_END;
    }
    err_set(err, ERR_CORRUPT,
            "the file ends inside an event: %llu of its %llu bytes are there, and the file is not marked as in use: it "
            "was cut off; copy it anew",
            (unsigned long long)left, (unsigned long long)want);
    return fail_here(f, f->end, err);
}

/* The next event's header: its size, which lies within the file, and its type. */
static enum binlog_file_step next_head(struct binlog_file *f, uint64_t *size, uint8_t *type, struct err *err)
{
    uint64_t at = f->end, left = at < f->size ? f->size - at : 0;
    struct bytes b;
    if (left == 0)
        return BINLOG_FILE_END;
    if (left < HEADER_BYTES)
        return end_inside(f, left, HEADER_BYTES, err);
    if (!look(f, at, HEADER_BYTES, &b, err))
        return BINLOG_FILE_FAIL;
    struct cur c = cur_over(b);
    (void)cur_take(&c, TYPE_AT);
    *type = cur_u8(&c);
    (void)cur_take(&c, SIZE_AT - TYPE_AT - 1);
    *size = cur_le(&c, 4);
    if (c.why != NULL || *size < HEADER_BYTES) {
        err_set(err, ERR_CORRUPT, "no event begins here: its length would be %llu bytes: the file is damaged",
                (unsigned long long)*size);
        return fail_here(f, at, err);
    }
    if (*size > left)
        return end_inside(f, left, *size, err);
    if (*type == EV_MARIADB_START_ENCRYPTION) {
        err_set(err, ERR_UNSUPPORTED,
                "START_ENCRYPTION: what follows in this file is encrypted (MariaDB's encrypt_binlog), and its key is "
                "the server's: read it from the server, which sends it in the clear (--source, or mariadb-binlog "
                "--read-from-remote-server --raw)");
        return fail_here(f, at, err);
    }
    return BINLOG_FILE_EVENT;
}

/* The next event, when all of it is in the window and nothing about it is particular. */
static inline bool next_at_hand(struct binlog_file *f, struct bytes *event)
{
    size_t skip = (size_t)(f->end - f->window_at), left = f->window.n - skip;
    if (f->end < f->window_at || skip > f->window.n || left < HEADER_BYTES)
        return false;
    const uint8_t *p = f->window.p + skip;
    uint32_t size;
    memcpy(&size, p + SIZE_AT, sizeof size);
    size = le32toh(size);
    if (size < HEADER_BYTES || size > left || size > f->max_event || f->end + size > f->size ||
        p[TYPE_AT] == EV_FORMAT_DESCRIPTION || p[TYPE_AT] == EV_MARIADB_START_ENCRYPTION)
        return false;
    f->at = f->end;
    f->end += size;
    *event = bytes_of(p, size);
    return true;
}

enum binlog_file_step binlog_file_next(struct binlog_file *f, struct bytes *event, struct err *err)
{
    uint64_t at = f->end, size = 0;
    uint8_t type = 0;
    struct bytes b;
    if (next_at_hand(f, event))
        return BINLOG_FILE_EVENT;
    enum binlog_file_step step = next_head(f, &size, &type, err);
    if (step != BINLOG_FILE_EVENT)
        return step;
    if (size > f->max_event) {
        err_set(err, ERR_UNSUPPORTED, "an event of %llu bytes is larger than --max-event (%llu bytes)",
                (unsigned long long)size, (unsigned long long)f->max_event);
        return fail_here(f, at, err);
    }
    if (!look(f, at, (size_t)size, &b, err))
        return BINLOG_FILE_FAIL;
    if (b.n < size) {
        err_set(err, ERR_CORRUPT, "the file became shorter while it was read");
        return fail_here(f, at, err);
    }
    if (type == EV_FORMAT_DESCRIPTION)
        learn_format(f, b);
    f->at = at;
    f->end = at + size;
    *event = b;
    return BINLOG_FILE_EVENT;
}

/* Passes over one event; its body is read only when somebody looks at it. */
static enum binlog_file_step pass(struct binlog_file *f, binlog_file_visit *visit, void *ctx, struct err *err)
{
    uint64_t size = 0;
    uint8_t type = 0;
    struct bytes event;
    enum binlog_file_step step = next_head(f, &size, &type, err);
    if (step != BINLOG_FILE_EVENT)
        return step;
    if (visit == NULL && type != EV_FORMAT_DESCRIPTION) {
        f->at = f->end;
        f->end += size;
        return step;
    }
    step = binlog_file_next(f, &event, err);
    return step != BINLOG_FILE_EVENT || visit == NULL || visit(ctx, event, f->at, err) ? step : BINLOG_FILE_FAIL;
}

bool binlog_file_seek(struct binlog_file *f, uint64_t offset, binlog_file_visit *visit, void *ctx, struct err *err)
{
    f->at = f->end = BINLOG_FILE_FIRST;
    while (f->end < offset) {
        enum binlog_file_step step = pass(f, visit, ctx, err);
        if (step == BINLOG_FILE_FAIL)
            return false;
        if (step == BINLOG_FILE_END)
            return err_set(err, ERR_CONFIG, "%s has no event at %llu: it ends at %llu", f->path,
                           (unsigned long long)offset, (unsigned long long)f->end);
    }
    if (f->end != offset)
        return err_set(err, ERR_CONFIG, "no event of %s begins at %llu; the nearest ones are at %llu and %llu", f->path,
                       (unsigned long long)offset, (unsigned long long)f->at, (unsigned long long)f->end);
    return true;
}

uint64_t binlog_file_at(const struct binlog_file *f)
{
    return f->at;
}
uint64_t binlog_file_end(const struct binlog_file *f)
{
    return f->end;
}
uint64_t binlog_file_torn(const struct binlog_file *f)
{
    return f->torn;
}
const char *binlog_file_name(const struct binlog_file *f)
{
    return f->name;
}
const struct binlog_format *binlog_file_format(const struct binlog_file *f)
{
    return &f->fmt;
}
