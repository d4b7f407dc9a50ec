/* test_power_loss.c - a slot whose writer is killed at any write, whose host loses power at any write, again and again: what a flush
 * promised is there, whole, and the log goes on.
 *
 * The C library's functions that change files are replaced by ones that also keep what a disk would hold: a file as it was at its last fsync,
 * and what was written since, of which any 512 bytes may be there or not; the names in the directory as they were at its last fsync, or
 * after any later change of a name. They check what O_DIRECT wants, write less than they are told to, and fail. */
#include "slot_fixture.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>

enum { FILES = 4096, NAMES = 512, LISTS = 64, SECTOR = 512, BLOCK = 4096 };

struct change { /* not synced yet */
    bool cut;   /* the file ends at off; else bytes were written there */
    uint64_t off;
    struct buf bytes;
};
struct disk_file {
    int fd; /* keeps the inode's number taken */
    ino_t ino;
    struct buf now, synced;
    struct change *change;
    size_t n;
};
struct listing { /* names in the directory */
    size_t n;
    struct {
        char name[48];
        ino_t ino;
    } entry[NAMES];
};
static struct disk {
    char dir[PATH_MAX]; /* what lies elsewhere is not kept */
    struct disk_file file[FILES];
    size_t nfiles;
    struct listing list[LISTS]; /* as at the last fsync of the directory, then after each change */
    size_t nlists;
    unsigned long left;  /* writes until all fail */
    int fails_with;      /* an errno */
    bool any_direct_odd; /* O_DIRECT writes sometimes take a part, or fail with EINVAL */
    unsigned long directs, faults;
    bool dark; /* lose_power leaves nothing that was not synced */
} disk;

static uint32_t seed = 1;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

/* --- the disk --- */

static bool on_disk(int fd)
{
    char proc[64], path[PATH_MAX];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ssize_t n = disk.dir[0] == '\0' ? -1 : readlink(proc, path, sizeof path - 1);
    size_t len = strlen(disk.dir);
    path[n < 0 ? 0 : n] = '\0';
    return n >= (ssize_t)len && memcmp(path, disk.dir, len) == 0 && strcmp(path + len, "/lock") != 0;
}

static struct disk_file *disk_file(int fd)
{
    struct stat st;
    if (!on_disk(fd) || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return NULL;
    for (size_t i = 0; i < disk.nfiles; i++)
        if (disk.file[i].ino == st.st_ino)
            return &disk.file[i];
    if (disk.nfiles == FILES)
        abort();
    struct disk_file *f = &disk.file[disk.nfiles++];
    *f = (struct disk_file){ .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .ino = st.st_ino };
    return f;
}

static void put_at(struct buf *b, uint64_t off, struct bytes bytes)
{
    while (b->n < off + bytes.n)
        buf_u8(b, 0);
    if (bytes.n != 0)
        memcpy(b->p + off, bytes.p, bytes.n);
}

static void forget_changes(struct disk_file *f)
{
    for (size_t i = 0; i < f->n; i++)
        buf_free(&f->change[i].bytes);
    free(f->change);
    f->change = NULL;
    f->n = 0;
}

static void changed(struct disk_file *f, bool cut, uint64_t off, struct bytes bytes)
{
    f->change = realloc(f->change, (f->n + 1) * sizeof *f->change);
    struct change *c = &f->change[f->n++];
    *c = (struct change){ .cut = cut, .off = off };
    buf_bytes(&c->bytes, bytes);
    if (cut && off < f->now.n)
        f->now.n = off;
    else
        put_at(&f->now, off, bytes);
}

static void synced(struct disk_file *f)
{
    buf_reset(&f->synced);
    buf_bytes(&f->synced, buf_view(&f->now));
    forget_changes(f);
}

static void list_names(struct listing *l)
{
    DIR *d = opendir(disk.dir);
    struct dirent *e;
    l->n = 0;
    while ((e = readdir(d)) != NULL && l->n < NAMES)
        if (e->d_name[0] != '.') {
            snprintf(l->entry[l->n].name, sizeof l->entry->name, "%.47s", e->d_name);
            l->entry[l->n++].ino = e->d_ino;
        }
    closedir(d);
}

static void names_changed(void)
{
    if (disk.nlists == LISTS)
        abort();
    list_names(&disk.list[disk.nlists++]);
}

static bool is_full(void)
{
    return disk.fails_with == ENOSPC || disk.fails_with == EDQUOT;
}

/* Whether this write must fail. */
static bool fails(void)
{
    if (disk.left != 0) {
        disk.left--;
        return false;
    }
    disk.faults++;
    errno = disk.fails_with;
    return true;
}

/* --- the functions --- */

static ssize_t write_at(int fd, const void *p, size_t n, off_t off)
{
    struct disk_file *f = disk_file(fd);
    int through = fd;
    if (f == NULL)
        return syscall(SYS_pwrite64, fd, p, n, off);
    if (fails()) {
        if (!is_full() || disk.faults != 1 || n < SECTOR)
            return -1;
        n = any((uint32_t)n); /* a full disk takes a part first */
        n = fcntl(fd, F_GETFL) & O_DIRECT ? n / BLOCK * BLOCK : n;
        if (n == 0)
            return -1;
    }
    if (fcntl(fd, F_GETFL) & O_DIRECT) {
        CHECK((uintptr_t)p % BLOCK == 0 && n % BLOCK == 0 && off % BLOCK == 0, "O_DIRECT: %zu bytes at %lld", n,
              (long long)off);
        disk.directs++;
        if (disk.any_direct_odd && any(4) == 0) {
            errno = EINVAL;
            return -1;
        }
        if (disk.any_direct_odd && any(3) == 0)
            n = (1 + any((uint32_t)n / SECTOR)) * SECTOR;
        char path[64]; /* what the filesystem below wants does not matter */
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        through = open(path, O_WRONLY | O_CLOEXEC);
    }
    ssize_t took = syscall(SYS_pwrite64, through, p, n, off);
    if (took > 0)
        changed(f, false, (uint64_t)off, bytes_of(p, (size_t)took));
    if (through != fd)
        close(through);
    return took;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
    return write_at(fd, p, n, off);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (disk_file(fd) == NULL)
        return syscall(SYS_write, fd, p, n);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t took = write_at(fd, p, n, at);
    if (took > 0)
        lseek(fd, at + took, SEEK_SET);
    return took;
}

int ftruncate(int fd, off_t n)
{
    struct disk_file *f = disk_file(fd);
    if (f != NULL && !is_full() && fails())
        return -1;
    int rc = (int)syscall(SYS_ftruncate, fd, n);
    if (f != NULL && rc == 0)
        changed(f, true, (uint64_t)n, (struct bytes){ 0 });
    return rc;
}

static int sync_of(int fd, long number)
{
    struct disk_file *f = disk_file(fd);
    if (!on_disk(fd))
        return (int)syscall(number, fd);
    if (!is_full() && fails())
        return -1;
    if (f != NULL) {
        synced(f);
    } else {
        disk.nlists = 0;
        names_changed();
    }
    return 0;
}

int fdatasync(int fd)
{
    return sync_of(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return sync_of(fd, SYS_fsync);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    if (on_disk(to_dir) && fails())
        return -1;
    int rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
    if (rc == 0 && on_disk(to_dir))
        names_changed();
    return rc;
}

/* The disk as a power loss leaves it becomes what the directory holds. */
static void lose_power(void)
{
    static struct listing after;
    struct buf content[NAMES] = { { 0 } };
    after = disk.list[any((uint32_t)disk.nlists)];
    unsigned how = disk.dark ? 0 : any(4); /* nothing that was not synced; all; some */
    for (size_t i = 0; i < after.n; i++)
        for (size_t k = 0; k < disk.nfiles; k++) {
            struct disk_file *f = &disk.file[k];
            if (f->ino != after.entry[i].ino || strcmp(after.entry[i].name, "lock") == 0)
                continue;
            buf_bytes(&content[i], buf_view(&f->synced));
            for (size_t c = 0; c < f->n && how != 0; c++) {
                struct change *x = &f->change[c];
                if (x->cut && x->off < content[i].n && (how == 1 || any(2)))
                    content[i].n = x->off;
                for (size_t at = 0; at < x->bytes.n;) {
                    size_t n = SECTOR - (x->off + at) % SECTOR;
                    n = n < x->bytes.n - at ? n : x->bytes.n - at;
                    if (how == 1 || any(2))
                        put_at(&content[i], x->off + at, bytes_of(x->bytes.p + at, n));
                    at += n;
                }
            }
        }
    for (size_t k = 0; k < disk.nfiles; k++) {
        forget_changes(&disk.file[k]);
        buf_free(&disk.file[k].now);
        buf_free(&disk.file[k].synced);
        close(disk.file[k].fd);
    }
    disk.nfiles = disk.nlists = 0;
    fixture_empty(disk.dir);
    for (size_t i = 0; i < after.n; i++) {
        if (strcmp(after.entry[i].name, "lock") == 0)
            continue;
        char path[PATH_MAX + 260];
        snprintf(path, sizeof path, "%s/%s", disk.dir, after.entry[i].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
        if (fd < 0 || write(fd, content[i].p, content[i].n) != (ssize_t)content[i].n)
            abort();
        fdatasync(fd);
        close(fd);
        buf_free(&content[i]);
    }
    names_changed();
}

/* On a full disk nothing stays in the segments but what was synced: what appliers confirm needs room. */
static void check_given_back(const char *when)
{
    static struct listing l;
    list_names(&l);
    for (size_t i = 0; i < l.n; i++)
        for (size_t k = 0; k < disk.nfiles; k++)
            if (disk.file[k].ino == l.entry[i].ino && strstr(l.entry[i].name, SEGMENT_SUFFIX) != NULL)
                CHECK(disk.file[k].now.n == disk.file[k].synced.n, "%s: %s has %zu bytes, %zu of them synced", when,
                      l.entry[i].name, disk.file[k].now.n, disk.file[k].synced.n);
}

/* --- the writer --- */

static uint64_t sums[512]; /* by transaction */

static void random_text(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(' ' + any(90));
}

static bool put(struct fixture *f)
{
    struct buf payload = { 0 };
    struct frame_info info;
    MUST(frame_builder_finish(f->b, &payload, &info, &err));
    bool ok = seg_writer_append(f->w, &info, buf_view(&payload), frame_builder_relations(f->b), &err);
    frame_builder_reset(f->b, info.first_lsn + info.nrecords, info.ends_inside);
    buf_free(&payload);
    return ok;
}

/* In one frame or several. */
static bool transaction(struct fixture *f, size_t text, bool ends)
{
    static char s[40000];
    uint64_t gno = ++f->gno, sum = 0;
    bool ok = true;
    fixture_begin(f->b, gno);
    for (unsigned i = 0, rows = 1 + any(12); ok && i < rows; i++) {
        size_t n = any((uint32_t)text);
        random_text(s, n);
        struct val row[2] = { { .kind = VAL_I64, .u.i64 = any(1000) }, { .kind = VAL_TEXT, .u.str = bytes_of(s, n) } };
        MUST(frame_add_insert(f->b, f->rel[any(3)], row, &err));
        sum = sum * 31 + row[0].u.u64;
        for (size_t k = 0; k < n; k++)
            sum = sum * 31 + (uint8_t)s[k];
        if (any(10) == 0)
            ok = put(f);
    }
    sums[gno] = sum;
    if (!ends)
        return ok && (frame_builder_records(f->b) == 0 || put(f));
    fixture_commit(f->b, gno, 0);
    return ok && put(f);
}

static bool flush(struct fixture *f, uint64_t *promised)
{
    struct source_pos p = fixture_pos(f->gno);
    bool ok = seg_writer_flush(f->w, &p, &err);
    source_pos_clear(&p);
    if (ok)
        *promised = f->gno;
    return ok;
}

static bool step(struct fixture *f, size_t text, uint64_t *promised)
{
    uint64_t lsn;
    switch (any(8)) {
    case 0: {
        struct source_pos p = fixture_pos(f->gno);
        bool ok = seg_writer_position(f->w, &p, &err);
        source_pos_clear(&p);
        return ok;
    }
    case 1: /* the stream breaks inside a transaction, of which some was flushed */
        if (!transaction(f, text, false))
            return false;
        f->gno--;
        if ((any(2) && !flush(f, promised)) || !seg_writer_cut(f->w, &lsn, &err))
            return false;
        frame_builder_reset(f->b, lsn, false);
        return true;
    case 2:
    case 3:
    case 4:
        return flush(f, promised);
    default:
        return f->gno >= 500 || transaction(f, text, true);
    }
}

/* What was promised is there, and nothing that is not whole. */
static void check_log(struct fixture *f, const struct seg_recovered *rec, uint64_t promised, const char *when)
{
    CHECK(rec->transactions >= promised, "%s: %llu transactions, %llu were promised", when,
          (unsigned long long)rec->transactions, (unsigned long long)promised);
    struct source_pos want = fixture_pos(rec->transactions);
    CHECK(rec->transactions == 0 || fixture_same_pos(&want, &rec->pos), "%s: position", when);
    source_pos_clear(&want);
    struct seen s = seen_after(f->dir, 0);
    CHECK(s.end == SEG_READ_END && s.n == rec->transactions, "%s: %llu seen of %llu: %s", when, (unsigned long long)s.n,
          (unsigned long long)rec->transactions, s.end == SEG_READ_END ? "" : err.msg);
    for (uint64_t i = 0; i < s.n; i++)
        CHECK(s.commit[i].gno == i + 1 && s.commit[i].sum == sums[i + 1], "%s: transaction %llu", when,
              (unsigned long long)i + 1);
}

static void close_all(struct fixture *f)
{
    struct err ignored;
    seg_writer_close(&f->w, &ignored);
    slot_close(f->slot);
    f->slot = NULL;
}

static bool start(struct fixture *f, const struct seg_writer_options *o, struct seg_recovered *rec)
{
    char server[37];
    if (!fixture_try_open(f, o, rec))
        return false;
    uuid_text(fixture_server, server);
    struct source_pos pos = fixture_pos(0);
    bool ok = seg_writer_start(f->w, server, "8.4.0", &pos, &err);
    source_pos_clear(&pos);
    return ok;
}

static struct fixture new_disk(const struct seg_writer_options *o, unsigned first_seed)
{
    seed = first_seed;
    disk.left = ULONG_MAX;
    struct fixture f = fixture_new(o);
    snprintf(disk.dir, sizeof disk.dir, "%s", f.dir);
    close_all(&f);
    disk.nlists = 0;
    names_changed();
    for (size_t i = 0; i < disk.list[0].n; i++) { /* what was there before: synced */
        char path[PATH_MAX + 260];
        snprintf(path, sizeof path, "%s/%s", f.dir, disk.list[0].entry[i].name);
        struct buf b = fixture_load(f.dir, disk.list[0].entry[i].name);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        struct disk_file *d = disk_file(fd);
        if (d != NULL) {
            buf_bytes(&d->now, buf_view(&b));
            synced(d);
        }
        buf_free(&b);
        close(fd);
    }
    return f;
}

static void free_disk(struct fixture *f)
{
    for (size_t k = 0; k < disk.nfiles; k++) {
        forget_changes(&disk.file[k]);
        buf_free(&disk.file[k].now);
        buf_free(&disk.file[k].synced);
        close(disk.file[k].fd);
    }
    disk.nfiles = disk.nlists = 0;
    disk.dir[0] = '\0';
    fixture_free(f);
}

/* Killed at each write of a run in turn; started again, which finds what the kernel still had; then power is lost with all that was not
 * synced: what the second start built upon must be on the disk. */
static void killed_then_dark(const struct seg_writer_options *o)
{
    bool whole = false;
    size_t most = 0;
    for (unsigned long writes = 0; !whole && writes < 400; writes++) {
        struct fixture f = new_disk(o, 1);
        struct seg_recovered rec = { 0 };
        uint64_t promised = 0;
        char when[64];
        snprintf(when, sizeof when, "killed at write %lu", writes);
        disk.any_direct_odd = false;
        disk.fails_with = EIO;
        disk.faults = 0;
        for (unsigned run = 0; run < 3; run++) {
            bool ok = start(&f, o, &rec);
            CHECK(ok, "%s, start %u: %s", when, run, err.msg);
            if (ok) {
                check_log(&f, &rec, promised, when);
                f.gno = rec.transactions;
                frame_builder_reset(f.b, rec.next_lsn, false);
            }
            disk.left = run == 0 ? writes : ULONG_MAX;
            for (unsigned i = 0; ok && run == 0 && i < 12; i++)
                ok = step(&f, 600, &promised);
            whole |= run == 0 && ok;
            most = fixture_segments(f.dir) > most ? fixture_segments(f.dir) : most;
            source_pos_clear(&rec.pos);
            schema_set_clear(&rec.schema);
            close_all(&f);
            disk.left = ULONG_MAX;
            if (run == 1) {
                disk.dark = true;
                lose_power();
                disk.dark = false;
            }
        }
        free_disk(&f);
    }
    CHECK(whole && most > 1, "%zu segments at most", most);
}

static void again_and_again(const struct seg_writer_options *o, size_t text, unsigned first_seed)
{
    struct fixture f = new_disk(o, first_seed);
    uint64_t promised = 0;
    for (unsigned round = 0; round < 30; round++) {
        char when[64];
        struct seg_recovered rec = { 0 };
        snprintf(when, sizeof when, "seed %u, round %u", first_seed, round);
        disk.any_direct_odd = any(3) == 0;
        disk.fails_with = (const int[]){ EIO, EIO, ENOSPC, EDQUOT }[any(4)];
        disk.faults = 0;
        disk.left = any(3) == 0 ? any(8) : ULONG_MAX; /* recovery is killed, too */
        bool ok = start(&f, o, &rec);
        if (disk.left == ULONG_MAX || disk.faults == 0) {
            CHECK(ok, "%s: %s", when, err.msg);
            if (!ok)
                break;
        }
        if (ok) {
            check_log(&f, &rec, promised, when);
            f.gno = rec.transactions;
            frame_builder_reset(f.b, rec.next_lsn, false);
            disk.left = any(any(3) == 0 ? 3 : 60);
            for (unsigned i = 0; ok && i < 60; i++)
                ok = step(&f, text, &promised);
            CHECK(ok || disk.faults != 0, "%s: %s", when, err.msg);
            if (!ok && is_full())
                check_given_back(when);
        }
        source_pos_clear(&rec.pos);
        schema_set_clear(&rec.schema);
        close_all(&f);
        disk.left = ULONG_MAX;
        if (any(2))
            lose_power();
    }
    free_disk(&f);
}

int main(void)
{
    static const struct seg_writer_options in_place = { .segment_size = 4000, .merge_below = 0, .frame_size = 1500 },
                                           large = { .segment_size = 1 << 20, .merge_below = 0, .frame_size = 1 << 20 };
    char here[PATH_MAX];
    if (getenv("TMPDIR") == NULL && access(".", W_OK) == 0 && getcwd(here, sizeof here) != NULL)
        setenv("TMPDIR", here, 1); /* a disk, most likely: has O_DIRECT */
    slog_threshold = SLOG_ERROR;
    killed_then_dark(&small_segments);
    killed_then_dark(&in_place);
    for (unsigned s = 1; s <= 8; s++) {
        again_and_again(&small_segments, 200, s);
        again_and_again(&in_place, 200, 1000 + s);
    }
    for (unsigned s = 1; s <= 3; s++)
        again_and_again(&large, 40000, 2000 + s);
    CHECK(disk.directs > 20 /* the filesystem has none? Set TMPDIR */, "%lu writes with O_DIRECT", disk.directs);
    return UNIT_END();
}
