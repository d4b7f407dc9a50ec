/* test_file.c - crash-safe replacement, whole reads and writes, locks, listings. The crash itself is killed at the
 * fault points. */
#include "file.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[] = "/tmp/rowtide-test-file-XXXXXX";

static bool has(int dir, const char *name, const char *want)
{
    struct err e;
    struct buf b = { 0 };
    bool ok = file_read(dir, name, 1 << 20, &b, &e) && bytes_eq_str(buf_view(&b), want);
    buf_free(&b);
    return ok;
}

static void test_replace(int dir)
{
    struct err e;
    struct stat st;
    CHECK(file_replace(dir, "state", BYTES_LIT("one"), 0640, &e) && has(dir, "state", "one"), "new file");
    CHECK(file_replace(dir, "state", BYTES_LIT("two"), 0600, &e) && has(dir, "state", "two"), "replaced");
    CHECK(fstatat(dir, "state", &st, 0) == 0 && (st.st_mode & 0777) == 0600, "mode %o", (unsigned)st.st_mode);
    CHECK(faccessat(dir, "state.tmp", F_OK, 0) != 0, "no temporary stays");

    /* A leftover temporary, even a link to somebody's file, is removed and not written through. */
    CHECK(file_replace(dir, "victim", BYTES_LIT("mine"), 0640, &e) && symlinkat("victim", dir, "state.tmp") == 0,
          "link");
    CHECK(file_replace(dir, "state", BYTES_LIT("three"), 0640, &e) && has(dir, "victim", "mine") &&
              has(dir, "state", "three"),
          "a link in the way");

    char longer[300];
    memset(longer, 'n', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK(!file_replace(dir, longer, BYTES_LIT("x"), 0640, &e) && e.code == ERR_CONFIG, "name too long");
    CHECK(!file_replace(dir, "no/such", BYTES_LIT("x"), 0640, &e) && e.code == ERR_IO && e.sys == ENOENT &&
              strstr(e.msg, "no/such.tmp") != NULL,
          "names the file: %s", e.msg);
#ifdef ROWTIDE_FAULTS
    static const struct {
        const char *point, *want;
    } crashes[] = { { "file.before_rename", "three" }, { "file.before_dirsync", "four" } };
    for (size_t i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            setenv("ROWTIDE_FAULT", crashes[i].point, 1);
            file_replace(dir, "state", BYTES_LIT("four"), 0640, &e);
            _exit(0);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s is passed", crashes[i].point);
        CHECK(has(dir, "state", crashes[i].want), "killed at %s: old or new, never a mixture", crashes[i].point);
    }
#endif
}

/* A write that the system refuses half way (file size limit) must be an error and leave the old content. */
static void test_full(int dir)
{
    static uint8_t big[8192];
    struct err e;
    CHECK(file_replace(dir, "full", BYTES_LIT("old"), 0640, &e), "prepare");
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit r = { 4096, 4096 };
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &r);
        bool ok = file_replace(dir, "full", bytes_of(big, sizeof big), 0640, &e);
        _exit(!ok && e.code == ERR_IO && e.sys == EFBIG && strstr(e.msg, "full.tmp") != NULL ? 0 : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    CHECK(status == 0, "the failed write is reported");
    CHECK(has(dir, "full", "old") && faccessat(dir, "full.tmp", F_OK, 0) != 0, "the old content stays");
}

static void test_read_write(int dir)
{
    struct err e;
    struct buf b = { 0 };
    buf_str(&b, "before ");
    CHECK(!file_read(dir, "missing", 10, &b, &e) && e.code == ERR_IO && e.sys == ENOENT, "missing: %s", e.msg);
    CHECK(!file_read(dir, "state", 3, &b, &e) && e.code == ERR_CORRUPT && b.n == 7, "over the limit: %s", e.msg);
    CHECK(file_replace(dir, "three", BYTES_LIT("abc"), 0640, &e) && file_read(dir, "three", 3, &b, &e), "at the limit");
    CHECK(strcmp(buf_cstr(&b), "before abc") == 0, "appended");
    CHECK(!file_read(dir, ".", 3, &b, &e) && e.sys == EISDIR, "a directory");
    buf_free(&b);

    int fd = openat(dir, "data", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    uint64_t size = 0;
    char got[8] = "";
    CHECK(file_write_all(fd, BYTES_LIT("0123456789"), "data", &e) &&
              file_pwrite_all(fd, BYTES_LIT("xy"), 4, "data", &e),
          "write");
    CHECK(file_sync(fd, "data", &e) && file_sync_dir(dir, &e), "sync");
    CHECK(file_size(fd, &size, "data", &e) && size == 10, "size");
    CHECK(file_pread_all(fd, got, 4, 3, "data", &e) && memcmp(got, "3xy6", 4) == 0, "pread");
    CHECK(!file_pread_all(fd, got, 4, 7, "data", &e) && e.code == ERR_CORRUPT && strstr(e.msg, "truncated") != NULL,
          "short");
    CHECK(!file_pread_all(fd, got, 1, UINT64_MAX, "data", &e) && e.code == ERR_CORRUPT, "absurd offset");
    CHECK(!file_pwrite_all(fd, BYTES_LIT("x"), INT64_MAX, "data", &e), "absurd write offset");
    close(fd);
    CHECK(!file_write_all(fd, BYTES_LIT("x"), "data", &e) && e.sys == EBADF, "closed fd");
    CHECK(file_remove(dir, "data", &e) && file_remove(dir, "data", &e), "removing twice is fine");
    CHECK(!file_remove(dir, ".", &e) && e.code == ERR_IO, "a directory is not removed");
}

static void test_lock(int dir)
{
    struct err e;
    int fd = -1, other = -1;
    CHECK(file_lock(dir, "lock", &fd, &e), "lock");
    char want[64];
    snprintf(want, sizeof want, "%ld\n", (long)getpid());
    CHECK(has(dir, "lock", want), "the pid is in the file");
    CHECK(!file_lock(dir, "lock", &other, &e) && e.code == ERR_CONFIG && other == -1, "held");
    snprintf(want, sizeof want, "locked by pid %ld", (long)getpid());
    CHECK(strstr(e.msg, want) != NULL, "says by whom: %s", e.msg);
    close(fd);
    pid_t pid = fork(); /* a holder with a shorter pid text must not leave digits of a longer one */
    if (pid == 0)
        _exit(file_replace(dir, "lock", BYTES_LIT("99999999999999\n"), 0640, &e) && file_lock(dir, "lock", &fd, &e)
                  ? 0
                  : 1);
    int status = 1;
    waitpid(pid, &status, 0);
    CHECK(status == 0 && file_lock(dir, "lock", &fd, &e), "a dead holder holds nothing");
    snprintf(want, sizeof want, "%ld\n", (long)getpid());
    CHECK(has(dir, "lock", want), "only the new pid");
    close(fd);
}

static void test_dirs(int dir)
{
    struct err e;
    char path[200];
    int fd = -1;
    snprintf(path, sizeof path, "%s/sub", root);
    CHECK(!file_open_dir(path, false, &fd, &e) && e.sys == ENOENT && strstr(e.msg, path) != NULL, "missing: %s", e.msg);
    CHECK(file_open_dir(path, true, &fd, &e), "created");
    close(fd);
    CHECK(file_open_dir(path, true, &fd, &e), "there already");
    char **names = NULL;
    size_t n = 9;
    CHECK(file_list(fd, ".seg", &names, &n, &e) && n == 0, "an empty one");
    file_list_free(names, n);
    static const char *const make[] = { "b.seg", "a.seg", "a.seg.tmp", ".seg", "seg", "c.seg" };
    for (size_t i = 0; i < 6; i++)
        file_replace(fd, make[i], BYTES_LIT(""), 0640, &e);
    for (int twice = 0; twice < 2; twice++) {
        CHECK(file_list(fd, ".seg", &names, &n, &e) && n == 4, "got %zu", n);
        CHECK(n == 4 && strcmp(names[0], ".seg") == 0 && strcmp(names[1], "a.seg") == 0 &&
                  strcmp(names[3], "c.seg") == 0,
              "sorted");
        file_list_free(names, n);
    }
    for (size_t i = 0; i < 6; i++)
        file_remove(fd, make[i], &e);
    close(fd);
    snprintf(path, sizeof path, "%s/state", root);
    CHECK(!file_open_dir(path, true, &fd, &e) && e.sys == ENOTDIR, "a file: %s", e.msg);
    unlinkat(dir, "sub", AT_REMOVEDIR);
}

int main(void)
{
    struct err e;
    int dir = -1;
    if (mkdtemp(root) == NULL || !file_open_dir(root, false, &dir, &e))
        return 1;
    test_replace(dir);
    test_full(dir);
    test_read_write(dir);
    test_lock(dir);
    test_dirs(dir);
    char **names = NULL;
    size_t n = 0;
    if (file_list(dir, "", &names, &n, &e))
        for (size_t i = 0; i < n; i++)
            unlinkat(dir, names[i], 0);
    file_list_free(names, n);
    close(dir);
    CHECK(rmdir(root) == 0, "nothing is left behind");
    return UNIT_END();
}
