/* dest_jsonl.c - JSON Lines: one object per row, to a file or to a pipe (docs/json-lines.md).
 *
 * A regular file is exactly once: PATH.progress holds the length up to which the file is valid, with the LSN; it is
 * replaced after the data's fsync, and a start cuts the file to that length. PATH.lock keeps a second applier of this
 * host out; the epoch in PATH.progress fences one that lost the lock with its file. Standard output, FIFOs and devices
 * are at least once: the slot's own registration says where to go on, each line carries lsn and seq. */
#include "clock.h"
#include "crc32c.h"
#include "dest.h"
#include "fault.h"
#include "file.h"
#include "outrow_json.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WRITE_BYTES = 1 << 20,
    PROGRESS_MAX = 16 << 10,
    VALUE_MAX = 512,
    FILE_MODE = 0640,
    PIPE_WAIT_MS = 200,        /* how often a wait for the other end looks whether to stop */
    PIPE_PATIENCE_US = 2000000 /* how long a reader that does not read may hold up a stop */
};
static const char magic[] = "rowtide-jsonl-progress 1";

struct jsonl {
    struct dest base;
    const struct subscription *sub;
    const char *path; /* "-": standard output */
    int dirfd, fd, lockfd;
    char name[NAME_MAX + 1], progress_name[NAME_MAX + 1];
    bool pipe;
    uint8_t slot[16];
    char script_hash[65];
    struct progress done; /* as PATH.progress says; epoch 0: not attached */
    uint64_t length;      /* of the file, up to done */
    uint64_t written;     /* of the file, with the open transaction */
    struct progress open; /* counts of the open transaction */
    struct dest_stats open_stats;
    struct buf lines;
};

static struct jsonl *of(struct dest *d)
{
    return (struct jsonl *)d;
}

/* --- PATH.progress: "key value" lines, the last one a checksum of what stands before it --- */

static void encode_progress(const struct jsonl *j, const struct progress *g, uint64_t length, struct buf *out)
{
    char uuid[37];
    uuid_text(j->slot, uuid);
    buf_printf(out, "%s\nslot %s\nsubscription %s\nepoch %" PRIu64 "\nlength %" PRIu64 "\nlsn %" PRIu64 "\n", magic,
               uuid, j->sub->name, g->epoch, length, g->lsn);
    buf_printf(out, "gtid %s\nfile %s\noffset %" PRIu64 "\ncommit_us %" PRId64 "\n", g->gtid, g->file, g->offset,
               g->commit_us);
    buf_printf(out, "changes %" PRIu64 "\ntransactions %" PRIu64 "\nscript_hash %s\n", g->changes, g->transactions,
               g->script_hash);
    buf_printf(out, "crc32c %08x\n", crc32c(0, buf_view(out)));
}

struct field {
    const char *key;
    char value[VALUE_MAX];
};
enum {
    F_SLOT,
    F_SUB,
    F_EPOCH,
    F_LENGTH,
    F_LSN,
    F_GTID,
    F_FILE,
    F_OFFSET,
    F_US,
    F_CHANGES,
    F_TXNS,
    F_HASH,
    F_CRC,
    F_COUNT
};

/* One line "key value" from c; false when it is another one, too long, or cut. */
static bool take_field(struct cur *c, struct field *f)
{
    size_t left = cur_left(c), nkey = strlen(f->key);
    const uint8_t *end = left == 0 ? NULL : memchr(c->p, '\n', left);
    if (end == NULL)
        return false;
    struct bytes line = cur_take(c, (size_t)(end - c->p) + 1);
    if (line.n < nkey + 2 || memcmp(line.p, f->key, nkey) != 0 || line.p[nkey] != ' ' || line.n - nkey - 2 >= VALUE_MAX)
        return false;
    memcpy(f->value, line.p + nkey + 1, line.n - nkey - 2);
    f->value[line.n - nkey - 2] = '\0';
    return strlen(f->value) == line.n - nkey - 2;
}

static bool take_number(const struct field *f, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(f->value, &end, 10);
    return errno == 0 && f->value[0] >= '0' && f->value[0] <= '9' && *end == '\0';
}

/* *owner: slot and subscription that it belongs to. */
static bool decode_progress(struct bytes text, struct progress *g, uint64_t *length, uint8_t slot[16],
                            char name[VALUE_MAX])
{
    struct field f[F_COUNT] = { { "slot", "" },    { "subscription", "" }, { "epoch", "" },
                                { "length", "" },  { "lsn", "" },          { "gtid", "" },
                                { "file", "" },    { "offset", "" },       { "commit_us", "" },
                                { "changes", "" }, { "transactions", "" }, { "script_hash", "" },
                                { "crc32c", "" } };
    struct cur c = cur_over(text);
    struct bytes head = cur_take(&c, sizeof magic);
    if (head.n != sizeof magic || memcmp(head.p, magic, sizeof magic - 1) != 0 || head.p[sizeof magic - 1] != '\n')
        return false;
    size_t body = 0;
    for (int i = 0; i < F_COUNT; i++) {
        body = cur_at(&c);
        if (!take_field(&c, &f[i]))
            return false;
    }
    uint64_t us;
    *g = (struct progress){ .found = true };
    if (cur_left(&c) != 0 || strtoul(f[F_CRC].value, NULL, 16) != crc32c(0, (struct bytes){ text.p, body }) ||
        !uuid_parse(bytes_str(f[F_SLOT].value), slot) || !take_number(&f[F_EPOCH], &g->epoch) ||
        !take_number(&f[F_LENGTH], length) || !take_number(&f[F_LSN], &g->lsn) ||
        !take_number(&f[F_OFFSET], &g->offset) || !take_number(&f[F_US], &us) ||
        !take_number(&f[F_CHANGES], &g->changes) || !take_number(&f[F_TXNS], &g->transactions) ||
        strlen(f[F_GTID].value) >= sizeof g->gtid || strlen(f[F_FILE].value) >= sizeof g->file ||
        strlen(f[F_HASH].value) >= sizeof g->script_hash)
        return false;
    g->commit_us = (int64_t)us;
    memcpy(g->gtid, f[F_GTID].value, strlen(f[F_GTID].value) + 1);
    memcpy(g->file, f[F_FILE].value, strlen(f[F_FILE].value) + 1);
    memcpy(g->script_hash, f[F_HASH].value, strlen(f[F_HASH].value) + 1);
    memcpy(name, f[F_SUB].value, VALUE_MAX);
    return true;
}

static bool write_progress(struct jsonl *j, const struct progress *g, uint64_t length, struct err *err)
{
    struct buf b = { 0 };
    encode_progress(j, g, length, &b);
    bool ok = buf_ok(&b, err) && file_replace(j->dirfd, j->progress_name, buf_view(&b), FILE_MODE, err);
    buf_free(&b);
    return ok;
}

/* *found false: there is none. */
static bool read_progress(struct jsonl *j, const uint8_t slot[16], struct progress *g, uint64_t *length, bool *found,
                          struct err *err)
{
    struct buf b = { 0 };
    uint8_t owner[16];
    char name[VALUE_MAX];
    *found = false;
    if (!file_read(j->dirfd, j->progress_name, PROGRESS_MAX, &b, err)) {
        buf_free(&b);
        return err->code == ERR_IO && err->sys == ENOENT;
    }
    bool ok = decode_progress(buf_view(&b), g, length, owner, name);
    buf_free(&b);
    if (!ok)
        return err_set(err, ERR_CORRUPT,
                       "%s.progress is damaged: restore it together with %s, or remove both to begin anew", j->path,
                       j->path);
    /* LSN 0: its owner never got as far as a commit, and does not run (we hold the lock) */
    if (g->lsn != 0 && (memcmp(owner, slot, 16) != 0 || strcmp(name, j->sub->name) != 0))
        return err_set(err, ERR_FENCED,
                       "%s belongs to another subscription or another slot (its progress file says: %s)", j->path,
                       name);
    *found = true;
    return true;
}

/* --- open --- */

/* Opening a FIFO waits for its reader: here, a stop ends that. */
static bool open_pipe(struct jsonl *j, struct err *err)
{
    while ((j->fd = open(j->path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0) {
        if (errno != ENXIO)
            return err_sys(err, "open %s", j->path);
        if (!stop_sleep_ms(PIPE_WAIT_MS))
            return err_set(err, ERR_STOPPED, "stopped while nobody had %s open for reading", j->path);
    }
    int flags = fcntl(j->fd, F_GETFL);
    return (flags >= 0 && fcntl(j->fd, F_SETFL, flags & ~O_NONBLOCK) == 0) || err_sys(err, "open %s", j->path);
}

static bool open_file(struct jsonl *j, struct err *err)
{
    const char *slash = strrchr(j->path, '/');
    const char *name = slash == NULL ? j->path : slash + 1;
    char dir[PATH_MAX], lock[NAME_MAX + 1];
    int n = snprintf(dir, sizeof dir, "%.*s",
                     slash == NULL      ? 1
                     : slash == j->path ? 1
                                        : (int)(slash - j->path),
                     slash == NULL ? "." : j->path);
    if (n >= (int)sizeof dir || name[0] == '\0' || strlen(name) + sizeof ".progress.tmp" > NAME_MAX)
        return err_set(err, ERR_CONFIG, "jsonl:%s: the path must name a file, and not too long", j->path);
    snprintf(j->name, sizeof j->name, "%s", name);
    snprintf(j->progress_name, sizeof j->progress_name, "%.*s.progress", (int)(NAME_MAX - sizeof ".progress"), name);
    snprintf(lock, sizeof lock, "%.*s.lock", (int)(NAME_MAX - sizeof ".lock"), name);
    struct stat st;
    if (stat(j->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        j->pipe = true;
        return open_pipe(j, err);
    }
    return file_open_dir(dir, false, &j->dirfd, err) &&
           (file_lock(j->dirfd, lock, &j->lockfd, err) || err_ctx(err, "jsonl:%s", j->path));
}

static void jsonl_close(struct dest *d)
{
    struct jsonl *j = of(d);
    if (j == NULL)
        return;
    if (j->fd > STDERR_FILENO)
        close(j->fd);
    if (j->lockfd >= 0)
        close(j->lockfd);
    if (j->dirfd >= 0)
        close(j->dirfd);
    buf_free(&j->lines);
    free(j);
}

static bool jsonl_open(const struct subscription *sub, struct dest **out, struct err *err)
{
    if (sub->on_error == ON_ERROR_DEAD_LETTER)
        return err_set(err, ERR_CONFIG,
                       "a JSON Lines destination has no table for dead letters: use --on-error stop or skip");
    struct jsonl *j = calloc(1, sizeof *j);
    if (j == NULL)
        return err_nomem(err);
    j->sub = sub;
    j->path = sub->to + strlen("jsonl:");
    j->dirfd = j->fd = j->lockfd = -1;
    if (strcmp(j->path, "-") == 0) {
        j->pipe = true;
        j->fd = STDOUT_FILENO;
    } else if (!open_file(j, err)) {
        jsonl_close(&j->base);
        return false;
    }
    j->base.ops = j->pipe ? &dest_jsonl_pipe_ops : &dest_jsonl_ops;
    *out = &j->base;
    return true;
}

/* The file, cut to what is valid; anew when there is no progress yet: then what is in it stays. */
static bool open_data(struct jsonl *j, bool found, uint64_t *length, struct err *err)
{
    struct stat st;
    if (j->fd < 0)
        j->fd = openat(j->dirfd, j->name, O_RDWR | O_CLOEXEC | O_NOCTTY | (found ? 0 : O_CREAT), FILE_MODE);
    if (j->fd < 0 && found && errno == ENOENT)
        return err_set(err, ERR_LOST,
                       "%s is gone, but %s.progress says that it had %" PRIu64 " bytes: restore it, or remove both",
                       j->path, j->path, *length);
    if (j->fd < 0 || fstat(j->fd, &st) != 0)
        return err_sys(err, "open %s", j->path);
    uint64_t size = (uint64_t)st.st_size;
    if (!found) {
        char last = '\n';
        if (size != 0 && pread(j->fd, &last, 1, st.st_size - 1) != 1)
            return err_sys(err, "read %s", j->path);
        if (last != '\n')
            return err_set(err, ERR_CONFIG,
                           "%s has content that does not end with a line end: it is no JSON Lines file", j->path);
        *length = size;
    } else if (size < *length) {
        return err_set(err, ERR_LOST,
                       "%s has %" PRIu64 " bytes, but its progress file knows of %" PRIu64 ": it was cut or replaced",
                       j->path, size, *length);
    } else if (size > *length && (ftruncate(j->fd, (off_t)*length) != 0 || fdatasync(j->fd) != 0)) {
        return err_sys(err, "truncate %s", j->path);
    }
    return true;
}

static bool attach_pipe(struct jsonl *j, struct progress *out)
{
    j->done.epoch = 1;
    j->done.found = false;
    *out = j->done;
    return true;
}

static bool jsonl_attach(struct dest *d, const uint8_t slot[16], bool take, const char *script_hash,
                         struct progress *out, struct err *err)
{
    struct jsonl *j = of(d);
    struct progress g = { 0 };
    uint64_t length = 0;
    bool found;
    uint64_t ours = j->done.epoch != 0 ? j->done.epoch : out->epoch;
    memcpy(j->slot, slot, sizeof j->slot);
    if (j->pipe)
        return attach_pipe(j, out);
    if (!read_progress(j, slot, &g, &length, &found, err))
        return false;
    if (!take && (!found || g.epoch != ours))
        return err_set(err, ERR_FENCED, "another rowtide-apply has taken %s over", j->path);
    if (!open_data(j, found, &length, err))
        return false;
    struct progress before = g; /* its script hash is the caller's to compare */
    before.found = found;
    if (take) {
        g.epoch++;
        before.epoch = g.epoch;
        snprintf(g.script_hash, sizeof g.script_hash, "%s", script_hash == NULL ? "" : script_hash);
        /* written before any line is, so that what a crash leaves behind `length` is known to be ours */
        if (!write_progress(j, &g, length, err))
            return false;
    }
    snprintf(j->script_hash, sizeof j->script_hash, "%s", g.script_hash);
    j->done = g;
    j->length = j->written = length;
    buf_reset(&j->lines);
    j->open = (struct progress){ 0 };
    j->open_stats = (struct dest_stats){ 0 };
    *out = before;
    return true;
}

/* --- apply --- */

/* A write of at most PIPE_BUF bytes does not block once poll() says so (pipe(7)): a reader that does not read cannot hold up a stop.
 * The descriptor stays blocking: standard output may be shared with others. */
static bool write_pipe(struct jsonl *j, struct bytes b, struct err *err)
{
    int64_t last = clock_mono_us();
    while (b.n > 0) {
        struct pollfd fd = { j->fd, POLLOUT, 0 };
        int ready = poll(&fd, 1, PIPE_WAIT_MS);
        if (ready < 0 && errno != EINTR)
            return err_sys(err, "poll %s", j->path);
        if (ready <= 0) {
            enum stop_level stop = stop_level();
            if (stop == STOP_NOW || (stop != STOP_NO && clock_mono_us() - last > PIPE_PATIENCE_US))
                return err_set(err, ERR_STOPPED, "stopped while nobody read from %s", j->path);
            continue;
        }
        size_t n = b.n < PIPE_BUF ? b.n : PIPE_BUF;
        if (!file_write_all(j->fd, (struct bytes){ b.p, n }, j->path, err))
            return false;
        b.p += n;
        b.n -= n;
        last = clock_mono_us();
    }
    return true;
}

static bool write_lines(struct jsonl *j, struct err *err)
{
    size_t n = j->lines.n;
    if (!buf_ok(&j->lines, err))
        return false;
    bool ok = j->pipe ? write_pipe(j, buf_view(&j->lines), err)
                      : file_pwrite_all(j->fd, buf_view(&j->lines), j->written, j->path, err);
    if (!ok)
        return false;
    j->written += n;
    buf_reset(&j->lines);
    return true;
}

static void count(struct jsonl *j, const struct outrow *r)
{
    j->open_stats.rows_insert += r->op == OUT_INSERT;
    j->open_stats.rows_update += r->op == OUT_UPDATE;
    j->open_stats.rows_delete += r->op == OUT_DELETE;
}

static bool commit(struct jsonl *j, const struct batch *b, struct err *err)
{
    const struct batch_txn *t = &b->txns[b->ntxns - 1];
    struct progress g = j->done;
    struct buf gtid = { 0 };
    int64_t t0 = clock_mono_us();
    gtid_text(&t->gtid, &gtid);
    g.found = true;
    g.lsn = t->commit_lsn;
    snprintf(g.gtid, sizeof g.gtid, "%s", buf_cstr(&gtid));
    snprintf(g.file, sizeof g.file, "%s", t->file);
    buf_free(&gtid);
    g.offset = t->end_offset;
    g.commit_us = t->commit_us;
    g.changes += j->open.changes;
    g.transactions += j->open.transactions;
    if (!j->pipe) {
        if (!file_sync(j->fd, j->path, err))
            return false;
        fault_point("jsonl.after_fsync");
        if (!write_progress(j, &g, j->written, err))
            return false;
        fault_point("jsonl.after_progress");
    }
    j->done = g;
    j->length = j->written;
    j->open = (struct progress){ 0 };
    struct dest_stats *s = &j->base.stats;
    s->rows_insert += j->open_stats.rows_insert;
    s->rows_update += j->open_stats.rows_update;
    s->rows_delete += j->open_stats.rows_delete;
    s->commits++;
    s->commit_us += (uint64_t)(clock_mono_us() - t0);
    j->open_stats = (struct dest_stats){ 0 };
    return true;
}

static bool jsonl_apply(struct dest *d, const struct batch *b, enum apply_mode mode, struct err *err)
{
    struct jsonl *j = of(d);
    (void)mode; /* nothing is refused here that one row less would help */
    if (j->done.epoch == 0)
        return err_set(err, ERR_FENCED, "not attached to subscription %s", j->sub->name);
    for (size_t i = 0; i < b->nrows; i++) {
        outrow_json(&j->lines, b, &b->rows[i]);
        count(j, &b->rows[i]);
        if (j->lines.n >= WRITE_BYTES && !write_lines(j, err))
            return false;
    }
    if (!write_lines(j, err))
        return false;
    fault_point("jsonl.after_write");
    for (size_t i = 0; i < b->ntxns; i++)
        j->open.changes += b->txns[i].changes;
    j->open.transactions += b->ntxns - (b->ends_inside ? 1 : 0);
    j->base.stats.batches++;
    return b->ends_inside || commit(j, b, err);
}

/* What a pipe has taken cannot be taken back: that is what "at least once" means. */
static void jsonl_rollback(struct dest *d)
{
    struct jsonl *j = of(d);
    buf_reset(&j->lines);
    j->open = (struct progress){ 0 };
    j->open_stats = (struct dest_stats){ 0 };
    if (j->pipe || j->fd < 0 || j->done.epoch == 0)
        return;
    if (ftruncate(j->fd, (off_t)j->length) ==
        0) /* if not, the next start does it, and writes go to this offset anyway */
        j->written = j->length;
    j->written = j->length;
}

static bool jsonl_connected(struct dest *d)
{
    return of(d)->fd >= 0 || of(d)->lockfd >= 0;
}

static void jsonl_place(const struct dest *d, struct buf *out)
{
    buf_printf(out, "jsonl:%s", ((const struct jsonl *)d)->path);
}

const struct dest_ops dest_jsonl_ops = {
    .name = "jsonl",
    .transactional = true,
    .open = jsonl_open,
    .attach = jsonl_attach,
    .apply = jsonl_apply,
    .rollback = jsonl_rollback,
    .connected = jsonl_connected,
    .close = jsonl_close,
    .place = jsonl_place,
};
const struct dest_ops dest_jsonl_pipe_ops = {
    .name = "jsonl",
    .transactional = false,
    .open = jsonl_open,
    .attach = jsonl_attach,
    .apply = jsonl_apply,
    .rollback = jsonl_rollback,
    .connected = jsonl_connected,
    .close = jsonl_close,
    .place = jsonl_place,
};
