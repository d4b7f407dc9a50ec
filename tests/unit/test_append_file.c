/* test_append_file.c - writes of all sizes, flushes, cuts and patches in any order, against an array: what the file holds after each flush, with
 * O_DIRECT where the filesystem has it; writes that fail. */
#include "append_file.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 4 << 20, STAGE = 256 << 10 };

static struct err err;
static uint8_t want[MOST], got[MOST];
static uint32_t seed = 1;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

static int empty_file(const char *dir, char *path, size_t size)
{
    snprintf(path, size, "%s/rowtide-append-XXXXXX", dir);
    int fd = mkstemp(path);
    CHECK(fd >= 0, "%s", path);
    return fd;
}

static void same(struct append_file *f, int fd, size_t n, const char *what)
{
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && (size_t)st.st_size == n && append_file_end(f) == n, "%s: %zu bytes of %zu", what,
          (size_t)st.st_size, n);
    CHECK(n == 0 || append_file_read(f, got, n, 0, &err), "%s: %s", what, err.msg);
    size_t i = 0;
    while (i < n && got[i] == want[i])
        i++;
    CHECK(i == n, "%s: differs at %zu of %zu", what, i, n);
}

/* Small pieces, pieces of about a block, of about a stage. */
static size_t any_size(void)
{
    static const uint32_t about[] = { 1, 100, 4096, 20000, STAGE, 600000 };
    return any(2) == 0 ? any(about[any(6)]) : about[any(6)] - any(2) + any(2);
}

static void against_an_array(const char *dir)
{
    char path[512];
    int fd = empty_file(dir, path, sizeof path);
    struct append_file *f = NULL;
    size_t n = 0, flushed = 0;
    CHECK(append_file_open(AT_FDCWD, path, &f, &err), "%s", err.msg);
    for (unsigned step = 0; f != NULL && step < 4000; step++) {
        uint32_t what = any(100);
        if (what < 80) {
            size_t k = any_size();
            if (k > MOST - n)
                continue;
            for (size_t i = 0; i < k; i++)
                want[n + i] = (uint8_t)any(256);
            CHECK(append_file_write(f, bytes_of(want + n, k), &err), "write: %s", err.msg);
            n += k;
            CHECK(append_file_end(f) == n, "end");
        } else if (what < 90) {
            CHECK(append_file_flush(f, &err), "flush: %s", err.msg);
            flushed = n;
            same(f, fd, n, "flushed");
        } else if (what < 94 || n > MOST / 2) {
            n -= any(2) == 0 ? any((uint32_t)(n < 5000 ? n + 1 : 5000)) : any((uint32_t)n + 1);
            CHECK(append_file_cut(f, n, &err), "cut: %s", err.msg);
            flushed = n;
            same(f, fd, n, "cut");
        } else if (what < 97 && flushed > 2) {
            size_t at = any((uint32_t)flushed - 2);
            want[at] ^= 0x55;
            want[at + 1] ^= 0xaa;
            CHECK(append_file_patch(f, at, bytes_of(want + at, 2), &err), "patch: %s", err.msg);
        } else if (what < 98) {
            CHECK(append_file_sync(f, &err), "sync: %s", err.msg);
        } else {
            CHECK(append_file_close(f, &err), "close: %s", err.msg); /* nothing is lost */
            f = NULL;
            CHECK(append_file_open(AT_FDCWD, path, &f, &err), "open again: %s", err.msg);
            flushed = n;
            if (f != NULL)
                same(f, fd, n, "opened again");
        }
    }
    CHECK(append_file_close(f, &err), "close: %s", err.msg);
    close(fd);
    unlink(path);
}

/* A file that may not grow beyond a limit, as on a full disk: whole stages fail when they are written, the rest at the flush, each with
 * name and offset. */
static void failing(const char *dir, size_t limit, size_t piece)
{
    struct rlimit old, low;
    char path[512];
    struct append_file *f = NULL;
    int fd = empty_file(dir, path, sizeof path);
    CHECK(append_file_open(AT_FDCWD, path, &f, &err), "%s", err.msg);
    getrlimit(RLIMIT_FSIZE, &old);
    low = (struct rlimit){ .rlim_cur = limit, .rlim_max = old.rlim_max };
    CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0, "setrlimit");
    bool ok = true;
    size_t n = 0;
    for (; ok && n <= limit; n += piece)
        ok = append_file_write(f, bytes_of(want, piece), &err);
    ok = ok && append_file_flush(f, &err);
    CHECK(!ok && err.code == ERR_IO && err.sys == EFBIG && strstr(err.msg, path) != NULL, "limit %zu: %s", limit,
          ok ? "taken" : err.msg);
    setrlimit(RLIMIT_FSIZE,
              &old); /* there is room again: yet nothing is written behind a failure, at closing neither */
    append_file_close(f, &err);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && (size_t)st.st_size <= limit, "no more than the limit");
    close(fd);
    unlink(path);
}

static void missing(void)
{
    struct append_file *f = NULL;
    CHECK(!append_file_open(AT_FDCWD, "/nowhere/x.seg", &f, &err) && err.sys == ENOENT && f == NULL,
          "a file that is not there: %s", err.msg);
    CHECK(append_file_close(NULL, &err), "none");
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    static const char *const dirs[] = { ".", "/dev/shm" }; /* a disk, most likely; memory */
    for (unsigned i = 0; i < 2; i++) {
        if (access(dirs[i], W_OK) != 0)
            continue;
        against_an_array(dirs[i]);
        failing(dirs[i], 10000, 77);
        failing(dirs[i], STAGE + 4096, 5000);
        failing(dirs[i], STAGE - 4096, 100000);
    }
    missing();
    return UNIT_END();
}
