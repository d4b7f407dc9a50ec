/* append_file.c - the stage in front of a file that grows (append_file.h). O_DIRECT wants memory, offset and length aligned to what the
 * filesystem calls its block (open(2)): 4096 bytes serve all that are known, and one that wants more, or has no O_DIRECT, says EINVAL. */
#include "append_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096, STAGE = 256 << 10 };

struct append_file {
    int fd;
    int direct; /* the same file with O_DIRECT; -1: not here */
    char name[48];
    uint64_t base;   /* the offset at which stage[0] lies, a multiple of BLOCK */
    size_t from, to; /* of the stage: held back. Before it, bytes that are in the file and not in the stage */
    uint8_t *stage;
    bool failed; /* a write or a sync, since the last cut: nothing more is written */
};

/* The errno-setting result of closing the file. */
static int drop(struct append_file *f)
{
    if (f->direct >= 0)
        close(f->direct);
    int rc = f->fd < 0 ? 0 : close(f->fd);
    free(f->stage);
    free(f);
    return rc;
}

static void set_end(struct append_file *f, uint64_t end)
{
    f->from = f->to = (size_t)(end % BLOCK);
    f->base = end - f->from;
}

bool append_file_open(int dirfd, const char *name, struct append_file **out, struct err *err)
{
    struct append_file *f = calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(err);
    f->direct = -1;
    f->stage = aligned_alloc(BLOCK, STAGE);
    f->fd = openat(dirfd, name, O_RDWR | O_CLOEXEC);
    if (f->stage == NULL || f->fd < 0) {
        if (f->stage == NULL)
            err_nomem(err);
        else
            err_sys(err, "open %s", name);
        drop(f);
        return false;
    }
    uint64_t end;
    if (!file_size(f->fd, &end, name, err)) {
        drop(f);
        return false;
    }
    f->direct = openat(dirfd, name, O_WRONLY | O_DIRECT | O_CLOEXEC);
    snprintf(f->name, sizeof f->name, "%s", name);
    set_end(f, end);
    *out = f;
    return true;
}

uint64_t append_file_end(const struct append_file *f)
{
    return f->base + f->to;
}

bool append_file_close(struct append_file *f, struct err *err)
{
    if (f == NULL)
        return true;
    bool ok = f->failed || append_file_flush(f, err);
    return drop(f) == 0 ? ok : ok && err_sys(err, "close a file that was appended to");
}

static bool put(struct append_file *f, size_t from, size_t to, struct err *err)
{
    bool ok = file_pwrite_all(f->fd, bytes_of(f->stage + from, to - from), f->base + from, f->name, err);
    f->failed |= !ok;
    return ok;
}

/* Whole blocks, from `from` to the stage's end. What O_DIRECT does not take, or takes in part, goes the other way. */
static bool put_direct(struct append_file *f, size_t from, struct err *err)
{
    while (f->direct >= 0 && from < STAGE) {
        ssize_t n = pwrite(f->direct, f->stage + from, STAGE - from, (off_t)(f->base + from));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EINVAL && errno != EOPNOTSUPP) {
            f->failed = true;
            return err_sys(err, "write %s at offset %llu", f->name, (unsigned long long)(f->base + from));
        }
        if (n <= 0 || n % BLOCK != 0) {
            close(f->direct);
            f->direct = -1;
        }
        from += n > 0 ? (size_t)n : 0;
    }
    return from == STAGE || put(f, from, STAGE, err);
}

static bool put_stage(struct append_file *f, struct err *err)
{
    size_t whole = (f->from + BLOCK - 1) / BLOCK *
                   BLOCK; /* a block of which a part is in the file goes through the page cache */
    if ((whole != f->from && !put(f, f->from, whole, err)) || !put_direct(f, whole, err))
        return false;
    f->base += STAGE;
    f->from = f->to = 0;
    return true;
}

bool append_file_write(struct append_file *f, struct bytes b, struct err *err)
{
    while (b.n != 0) {
        size_t n = b.n < STAGE - f->to ? b.n : STAGE - f->to;
        memcpy(f->stage + f->to, b.p, n);
        f->to += n;
        b = bytes_of(b.p + n, b.n - n);
        if (f->to == STAGE && !put_stage(f, err))
            return false;
    }
    return true;
}

bool append_file_flush(struct append_file *f, struct err *err)
{
    if (f->from != f->to && !put(f, f->from, f->to, err))
        return false;
    size_t blocks = f->to / BLOCK * BLOCK;
    f->base += blocks;
    f->from = f->to = f->to - blocks;
    return true;
}

bool append_file_sync(struct append_file *f, struct err *err)
{
    bool ok = file_sync(f->fd, f->name, err);
    f->failed |= !ok;
    return ok;
}

bool append_file_cut(struct append_file *f, uint64_t end, struct err *err)
{
    if (end > f->base + f->from) {
        f->to = (size_t)(end - f->base);
        if (!append_file_flush(f, err))
            return false;
    }
    if (ftruncate(f->fd, (off_t)end) != 0)
        return err_sys(err, "cut %s to %llu bytes", f->name, (unsigned long long)end);
    set_end(f, end);
    f->failed = false;
    return append_file_sync(f, err);
}

bool append_file_patch(struct append_file *f, uint64_t at, struct bytes b, struct err *err)
{
    return file_pwrite_all(f->fd, b, at, f->name, err);
}

bool append_file_read(struct append_file *f, void *p, size_t n, uint64_t off, struct err *err)
{
    return file_pread_all(f->fd, p, n, off, f->name, err);
}
