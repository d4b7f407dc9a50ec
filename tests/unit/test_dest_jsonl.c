/* test_dest_jsonl.c - JSON Lines to a file (exactly once) and to a pipe. */
#include "batch_fixture.h"
#include "buf.h"
#include "dest.h"
#include "file.h"
#include "slog.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], url[128];
static struct shape_table *shapes;
static const struct shape *shape;
static struct subscription sub;
static const uint8_t slot[16] = { 1, 2, 3 };

static struct dest *opened(struct err *err)
{
    struct dest *d = NULL;
    *err = (struct err){ 0 };
    return dest_jsonl_ops.open(&sub, &d, err) ? d : NULL;
}

static struct dest *attached(struct progress *p)
{
    struct err err;
    struct dest *d = opened(&err);
    CHECK(d != NULL, "open: %s", err.msg);
    CHECK(d == NULL || d->ops->attach(d, slot, true, "hash", p, &err), "attach: %s", err.msg);
    return d;
}

static struct batch *rows(uint64_t lsn, int from, int n)
{
    struct batch *b = batch_new();
    fixture_txn(b, lsn);
    for (int i = 0; i < n; i++)
        fixture_insert(b, shape, ROW(VI(from + i), VT("v")));
    return b;
}

static void apply(struct dest *d, struct batch *b)
{
    struct err err;
    bool ok = d->ops->apply(d, b, APPLY_BATCH, &err);
    CHECK(ok, "apply: %s", err.msg);
    batch_free(b);
}

static void read_file(const char *name, struct buf *out)
{
    char path[200];
    struct err err;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    buf_reset(out);
    CHECK(file_read(AT_FDCWD, path, 1 << 24, out, &err), "%s", err.msg);
}

static unsigned lines(void)
{
    struct buf b = { 0 };
    unsigned n = 0;
    read_file("out.jsonl", &b);
    for (size_t i = 0; i < b.n; i++)
        n += b.p[i] == '\n';
    CHECK(b.n == 0 || b.p[b.n - 1] == '\n', "the file ends inside a line");
    buf_free(&b);
    return n;
}

static void test_file(void)
{
    struct progress p = { 0 };
    struct err err;
    struct buf b = { 0 };
    struct dest *d = attached(&p);
    CHECK(!p.found && p.epoch == 1 && p.lsn == 0 && d->ops->transactional, "first attach");
    struct batch *one = batch_new();
    fixture_txn(one, 5);
    fixture_insert(one, shape, ROW(VI(1), VT("a\n\"")));
    fixture_update(one, shape, ROW(VI(1), VT("a")), ROW(VI(1), VN));
    fixture_delete(one, shape, ROW(VI(1), VN));
    fixture_add(one, OUT_TRUNCATE, shape, NULL, NULL);
    one->rows[1].seq = 2;
    apply(d, one);
    read_file("out.jsonl", &b);
    const char *want = "{\"lsn\":5001,\"op\":\"insert\",\"schema\":\"shop\",\"table\":\"t\",\"ts\":\"2023-11-14T22:13:"
                       "25.000000Z\",\"gtid\":\"0-1-5\",\"row\":{\"id\":1,"
                       "\"v\":\"a\\n\\\"\"}}\n"
                       "{\"lsn\":5002,\"seq\":2,\"op\":\"update\",\"schema\":\"shop\",\"table\":\"t\",\"ts\":\"2023-11-"
                       "14T22:13:25.000000Z\",\"gtid\":\"0-1-5\",\"row\":{"
                       "\"id\":1,\"v\":null},\"old\":{\"v\":\"a\"}}\n"
                       "{\"lsn\":5003,\"op\":\"delete\",\"schema\":\"shop\",\"table\":\"t\",\"ts\":\"2023-11-14T22:13:"
                       "25.000000Z\",\"gtid\":\"0-1-5\",\"old\":{\"id\":1,"
                       "\"v\":null}}\n"
                       "{\"lsn\":5004,\"op\":\"truncate\",\"schema\":\"shop\",\"table\":\"t\",\"ts\":\"2023-11-14T22:"
                       "13:25.000000Z\",\"gtid\":\"0-1-5\"}\n";
    CHECK(strcmp(buf_cstr(&b), want) == 0, "lines:\n%s", buf_cstr(&b));
    CHECK(d->stats.rows_insert == 1 && d->stats.rows_update == 1 && d->stats.rows_delete == 1 && d->stats.commits == 1,
          "stats");
    struct dest *second = opened(&err);
    CHECK(second == NULL && err.code == ERR_CONFIG && strstr(err.msg, "locked by pid") != NULL, "a second one: %s",
          err.msg);
    d->ops->close(d);
    d = attached(&p);
    CHECK(p.found && p.epoch == 2 && p.lsn == 5 && p.offset == 500 && strcmp(p.gtid, "0-1-5") == 0 &&
              strcmp(p.file, "bin.000001") == 0 && p.changes == 4 && p.transactions == 1 &&
              strcmp(p.script_hash, "hash") == 0 && p.commit_us == INT64_C(1700000005000000),
          "second attach: epoch %d lsn %d", (int)p.epoch, (int)p.lsn);
    /* a large transaction in pieces, rolled back */
    struct batch *piece = rows(6, 0, 3);
    piece->ends_inside = true;
    apply(d, piece);
    CHECK(lines() == 7, "pieces are written before the commit");
    d->ops->rollback(d);
    CHECK(lines() == 4, "and are cut off again");
    apply(d, rows(6, 0, 2));
    CHECK(lines() == 6, "lines after a rollback");
    CHECK(d->ops->attach(d, slot, false, "hash", &p, &err) && p.epoch == 2 && p.lsn == 6, "attach without take: %s",
          err.msg);
    d->ops->close(d);
    /* a crash left more behind than progress knows */
    char path[200];
    snprintf(path, sizeof path, "%s/out.jsonl", dir);
    int fd = open(path, O_WRONLY | O_APPEND);
    CHECK(write(fd, "{\"half", 6) == 6, "append");
    close(fd);
    d = attached(&p);
    CHECK(lines() == 6 && p.lsn == 6, "cut to what is known");
    apply(d, rows(7, 0, 100000)); /* several writes */
    CHECK(lines() == 100006, "many lines");
    d->ops->close(d);
    buf_free(&b);
}

static void test_refusals(void)
{
    struct progress p = { 0 };
    struct err err;
    char path[200], progress_path[200];
    snprintf(path, sizeof path, "%s/out.jsonl", dir);
    snprintf(progress_path, sizeof progress_path, "%s/out.jsonl.progress", dir);
    struct dest *d = opened(&err);
    const uint8_t other[16] = { 9 };
    CHECK(!d->ops->attach(d, other, true, "", &p, &err) && err.code == ERR_FENCED, "another slot: %s", err.msg);
    sub.name = (char *)"else";
    CHECK(!d->ops->attach(d, slot, true, "", &p, &err) && err.code == ERR_FENCED, "another subscription: %s", err.msg);
    sub.name = (char *)"feed";
    p.epoch = 1;
    CHECK(!d->ops->attach(d, slot, false, "", &p, &err) && err.code == ERR_FENCED, "an old epoch: %s", err.msg);
    CHECK(truncate(path, 10) == 0, "truncate");
    CHECK(!d->ops->attach(d, slot, true, "", &p, &err) && err.code == ERR_LOST &&
              strstr(err.msg, "has 10 bytes") != NULL,
          "shorter: %s", err.msg);
    d->ops->close(d);
    CHECK(unlink(path) == 0, "unlink");
    d = opened(&err);
    CHECK(!d->ops->attach(d, slot, true, "", &p, &err) && err.code == ERR_LOST, "missing: %s", err.msg);
    /* damaged progress: each byte of it matters, and no prefix passes */
    struct buf good = { 0 };
    read_file("out.jsonl.progress", &good);
    for (size_t i = 0; i < good.n; i++) {
        for (int cut = 0; cut < 2; cut++) {
            uint8_t *copy = malloc(good.n);
            memcpy(copy, good.p, good.n);
            copy[i] ^= 1;
            int fd = open(progress_path, O_WRONLY | O_TRUNC);
            size_t n = cut ? i : good.n;
            CHECK(write(fd, copy, n) == (ssize_t)n, "write");
            close(fd);
            free(copy);
            if (d->ops->attach(d, slot, true, "", &p, &err) || err.code != ERR_CORRUPT) {
                CHECK(false, "damage at %zu (cut %d) went unseen: %s", i, cut, err.msg);
                i = good.n;
                break;
            }
        }
    }
    buf_free(&good);
    d->ops->close(d);
    unlink(progress_path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(write(fd, "{}\n", 3) == 3, "write");
    close(fd);
    d = attached(&p); /* what was there before the first start stays */
    apply(d, rows(1, 0, 1));
    CHECK(lines() == 2, "appended");
    d->ops->close(d);
    unlink(progress_path);
    CHECK(truncate(path, 2) == 0, "truncate");
    d = opened(&err);
    CHECK(!d->ops->attach(d, slot, true, "", &p, &err) && err.code == ERR_CONFIG, "half a line of somebody: %s",
          err.msg);
    struct batch *b = rows(1, 0, 1);
    CHECK(!d->ops->apply(d, b, APPLY_BATCH, &err) && err.code == ERR_FENCED, "not attached");
    batch_free(b);
    d->ops->close(d);
    sub.to = (char *)"jsonl:/nowhere/at/all.jsonl";
    CHECK(opened(&err) == NULL && err.code == ERR_IO, "no such directory: %s", err.msg);
    sub.to = (char *)"jsonl:";
    CHECK(opened(&err) == NULL && err.code == ERR_CONFIG, "no path: %s", err.msg);
    sub.to = url;
}

static void test_pipe(void)
{
    struct progress p = { 0 };
    char fifo[128], to[200];
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    snprintf(to, sizeof to, "jsonl:%s", fifo);
    CHECK(mkfifo(fifo, 0600) == 0, "mkfifo");
    int in = open(fifo, O_RDONLY | O_NONBLOCK);
    sub.to = to;
    struct dest *d = attached(&p);
    CHECK(!d->ops->transactional && !p.found, "a pipe is at least once");
    apply(d, rows(3, 7, 1));
    char text[500];
    ssize_t n = read(in, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = '\0';
    CHECK(strncmp(text, "{\"lsn\":3001,\"op\":\"insert\"", 25) == 0 && text[n - 1] == '\n', "from the pipe: %s", text);
    d->ops->rollback(d);
    d->ops->close(d);
    close(in);
    unlink(fifo);
    struct err err;
    CHECK(dest_find("jsonl:-", &err) == &dest_jsonl_pipe_ops && dest_find("jsonl:x", &err) == &dest_jsonl_ops, "find");
    sub.to = url;
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    snprintf(dir, sizeof dir, "/tmp/rowtide-jsonl-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(url, sizeof url, "jsonl:%s/out.jsonl", dir);
    sub = (struct subscription){ .name = (char *)"feed", .to = url };
    shapes = shape_table_new();
    shape = SHAPE(shapes, "shop", "t", COL("id", INT, .key_pos = 1), COL("v", TEXT, .nullable = true));
    test_file();
    test_refusals();
    test_pipe();
    shape_table_free(shapes);
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    if (system(cmd) != 0)
        return 1;
    return UNIT_END();
}
