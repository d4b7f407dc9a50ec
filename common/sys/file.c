/* file.c - crash-safe files (file.h).
 *
 * Order of a replacement: write a temporary, fsync it, rename it over the old one, fsync the directory. A failed fsync
 * is final: the kernel may have dropped the dirty pages and marked them clean, so a later fsync that succeeds proves
 * nothing; the caller stops. Sources: PostgreSQL src/backend/storage/file/fd.c durable_rename(); fsync(2); open(2) on
 * O_EXCL. */
#include "file.h"

#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_replace(int dirfd, const char *name, struct bytes body, unsigned mode, struct err *err)
{
    char tmp[NAME_MAX + 1];
    if (snprintf(tmp, sizeof tmp, "%s.tmp", name) >= (int)sizeof tmp)
        return err_set(err, ERR_CONFIG, "file name too long: %s", name);

    /* A leftover of a crash goes first: O_EXCL then also refuses a link that somebody put there. */
    if (unlinkat(dirfd, tmp, 0) != 0 && errno != ENOENT)
        return err_sys(err, "remove the leftover %s", tmp);
    int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return err_sys(err, "create %s", tmp);
    bool ok = file_write_all(fd, body, tmp, err);
    if (ok && fsync(fd) != 0)
        ok = err_sys(err, "fsync %s", tmp);
    if (close(fd) != 0 && ok) /* report the first error, not the last */
        ok = err_sys(err, "close %s", tmp);
    if (ok) {
        fault_point("file.before_rename");
        if (renameat(dirfd, tmp, dirfd, name) != 0)
            ok = err_sys(err, "rename %s to %s", tmp, name);
    }
    if (!ok) {
        unlinkat(dirfd, tmp, 0);
        return false;
    }
    fault_point("file.before_dirsync");
    if (!file_sync_dir(dirfd, err))
        return err_ctx(err, "%s", name);
    return true;
}

bool file_read(int dirfd, const char *name, size_t limit, struct buf *out, struct err *err)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", name);
    size_t start = out->n;
    bool ok = false;
    for (;;) {
        if (!buf_grow(out, 4096)) {
            err_nomem(err);
            err_ctx(err, "read %s", name);
            break;
        }
        ssize_t r = read(fd, out->p + out->n, out->cap - out->n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            err_sys(err, "read %s", name);
            break;
        }
        if (r == 0) {
            ok = true;
            break;
        }
        out->n += (size_t)r;
        if (out->n - start > limit) {
            err_set(err, ERR_CORRUPT, "%s: larger than the %zu bytes that such a file may have", name, limit);
            break;
        }
    }
    close(fd);
    if (!ok)
        out->n = start;
    return ok;
}

bool file_write_all(int fd, struct bytes b, const char *what, struct err *err)
{
    while (b.n > 0) {
        errno = ENOSPC; /* for a short write that sets no errno */
        ssize_t w = write(fd, b.p, b.n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return err_sys(err, "write %s", what);
        b.p += w;
        b.n -= (size_t)w;
    }
    return true;
}

static bool offset_fits(uint64_t off, size_t n, const char *what, struct err *err)
{
    if (off > (uint64_t)INT64_MAX || n > (uint64_t)INT64_MAX - off)
        return err_set(err, ERR_CORRUPT, "%s: offset %llu is beyond what a file can have", what,
                       (unsigned long long)off);
    return true;
}

bool file_pwrite_all(int fd, struct bytes b, uint64_t off, const char *what, struct err *err)
{
    if (!offset_fits(off, b.n, what, err))
        return false;
    while (b.n > 0) {
        errno = ENOSPC;
        ssize_t w = pwrite(fd, b.p, b.n, (off_t)off);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return err_sys(err, "write %s at offset %llu", what, (unsigned long long)off);
        b.p += w;
        b.n -= (size_t)w;
        off += (uint64_t)w;
    }
    return true;
}

bool file_pread_all(int fd, void *p, size_t n, uint64_t off, const char *what, struct err *err)
{
    if (!offset_fits(off, n, what, err))
        return false;
    uint8_t *to = p;
    while (n > 0) {
        ssize_t r = pread(fd, to, n, (off_t)off);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(err, "read %s at offset %llu", what, (unsigned long long)off);
        if (r == 0)
            return err_set(err, ERR_CORRUPT, "%s: truncated: it ends at offset %llu, %zu bytes early", what,
                           (unsigned long long)off, n);
        to += r;
        n -= (size_t)r;
        off += (uint64_t)r;
    }
    return true;
}

bool file_sync(int fd, const char *what, struct err *err)
{
    if (fdatasync(fd) != 0)
        return err_sys(err, "fdatasync %s", what);
    return true;
}

bool file_sync_dir(int dirfd, struct err *err)
{
    int fd = dirfd;
    if (dirfd == AT_FDCWD && (fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return err_sys(err, "open the current directory");
    bool ok = true;
    if (fsync(fd) != 0)
        ok = err_sys(err, "fsync of the directory");
    if (fd != dirfd)
        close(fd);
    return ok;
}

bool file_remove(int dirfd, const char *name, struct err *err)
{
    if (unlinkat(dirfd, name, 0) != 0 && errno != ENOENT)
        return err_sys(err, "remove %s", name);
    return true;
}

bool file_size(int fd, uint64_t *out, const char *what, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, "stat %s", what);
    *out = (uint64_t)st.st_size;
    return true;
}

static long lock_holder(int fd) /* 0: not known, e.g. between its flock and its write */
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    return pid > 0 ? pid : 0;
}

bool file_lock(int dirfd, const char *name, int *out_fd, struct err *err)
{
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_sys(err, "open %s", name);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        long pid = 0;
        if (errno != EWOULDBLOCK)
            err_sys(err, "lock %s", name);
        else if ((pid = lock_holder(fd)) != 0)
            err_set(err, ERR_CONFIG, "%s: locked by pid %ld; stop that process first", name, pid);
        else
            err_set(err, ERR_CONFIG, "%s: locked by another process; stop that one first", name);
        close(fd);
        return false;
    }
    char text[24];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0) {
        err_sys(err, "truncate %s", name);
        close(fd);
        return false;
    }
    if (!file_pwrite_all(fd, bytes_of(text, (size_t)n), 0, name, err)) {
        close(fd);
        return false;
    }
    *out_fd = fd;
    return true;
}

/* A directory entry that only memory knows would take everything in it along in a crash. */
static bool sync_parent(int fd, const char *path, struct err *err)
{
    int up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (up < 0)
        return err_sys(err, "open the parent of %s", path);
    bool ok = file_sync_dir(up, err);
    close(up);
    return ok || err_ctx(err, "parent of %s", path);
}

bool file_open_dir(const char *path, bool create, int *out_fd, struct err *err)
{
    bool made = create && mkdir(path, 0750) == 0;
    if (create && !made && errno != EEXIST)
        return err_sys(err, "create directory %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open directory %s", path);
    if (made && !sync_parent(fd, path, err)) {
        close(fd);
        return false;
    }
    *out_fd = fd;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool add_name(char ***names, size_t *n, size_t *cap, const char *name)
{
    if (*n == *cap) {
        size_t more = *cap == 0 ? 16 : *cap * 2;
        char **grown = realloc(*names, more * sizeof *grown);
        if (grown == NULL)
            return false;
        *names = grown;
        *cap = more;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return false;
    (*names)[(*n)++] = copy;
    return true;
}

bool file_list(int dirfd, const char *suffix, char ***out, size_t *n, struct err *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* closedir closes it, and it has its own offset */
    if (fd < 0)
        return err_sys(err, "open a directory to list *%s", suffix);
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        err_sys(err, "list a directory for *%s", suffix);
        close(fd);
        return false;
    }
    char **names = NULL;
    size_t count = 0, cap = 0;
    bool ok = true;
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (e == NULL) {
            if (errno != 0)
                ok = err_sys(err, "read a directory for *%s", suffix);
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || !ends_with(e->d_name, suffix))
            continue;
        if (!add_name(&names, &count, &cap, e->d_name)) {
            ok = err_nomem(err);
            break;
        }
    }
    closedir(d);
    if (!ok) {
        file_list_free(names, count);
        return false;
    }
    if (count > 1)
        qsort(names, count, sizeof *names, by_name);
    *out = names;
    *n = count;
    return true;
}

void file_list_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}
