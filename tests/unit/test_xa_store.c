/* test_xa_store.c - prepared XA transactions: names, the files' bytes (every truncation and every changed byte is noticed),
 * and what a restart makes of them for each position that the log may have. */
#include "unit.h"

#include "file.h"
#include "frame_any_row.h"
#include "segment.h"
#include "slog.h"
#include "xa_store.h"
#include "xid.h"

#include <fcntl.h>
#include <unistd.h>

static const uint8_t uuid[16] = { 7 };
static struct err err;
static char dir[] = "/dev/shm/rowtide-xa-XXXXXX";
static int slotfd;

/* --- names --- */

static void test_xids(void)
{
    static const struct {
        const char *in, *want; /* want NULL: an error */
    } tests[] = {
        { " X'61',X'',1", "X'61',X'',1" },
        { "x'6B' , X'00fF' , 4294967295 ", "X'6b',X'00ff',4294967295" },
        { "X'',X'',-1", "X'',X'',4294967295" },
        { "X'61',X'',4294967297", "X'61',X'',1" }, /* as in the event */
        { "X'61'", "X'61',X'',1" },
        { "X'61',X'62'", "X'61',X'62',1" },
        { "", NULL },
        { "'a'", NULL },
        { "X'6'", NULL },
        { "X'6g'", NULL },
        { "X'61", NULL },
        { "X61'", NULL },
        { "X'61',", NULL },
        { "X'61',X'',", NULL },
        { "X'61',X'',x", NULL },
        { "X'61',X'',99999999999999999999", NULL },
        { "X'61',X'',1 ONE PHASE", NULL },
    };
    char out[XA_XID_MAX + 1];
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        bool ok = xid_parse(bytes_str(tests[i].in), out, &err);
        CHECK(ok == (tests[i].want != NULL) && (!ok || strcmp(out, tests[i].want) == 0), "%s: %s", tests[i].in,
              ok ? out : err.msg);
        CHECK(ok || err.code == ERR_UNSUPPORTED, "%s: code %d", tests[i].in, err.code);
    }
    uint8_t most[XID_PART_MAX];
    memset(most, 0xff, sizeof most);
    struct bytes part = { most, sizeof most };
    xid_text(UINT32_MAX, part, part, out);
    char again[XA_XID_MAX + 1];
    CHECK(strlen(out) > 256 && xid_parse(bytes_str(out), again, &err) && strcmp(out, again) == 0, "longest: %s", again);
    struct buf longer = { 0 };
    buf_printf(&longer, "X'00%s", out + 2);
    CHECK(!xid_parse(buf_view(&longer), again, &err), "65 bytes");
    buf_free(&longer);
}

static void test_event(void)
{
    struct bytes body = unhex("00 01000000 02000000 01000000 6162 63");
    struct ev_xa_prepare p;
    struct binlog_event e = { .type = EV_XA_PREPARE, .body = body };
    CHECK(xid_parse_prepare(&e, &p, &err) && !p.one_phase && strcmp(p.xid, "X'6162',X'63',1") == 0, "%s", err.msg);
    for (size_t n = 0; n < body.n; n++) {
        uint8_t *exact = malloc(n == 0 ? 1 : n);
        memcpy(exact, body.p, n);
        e.body = bytes_of(exact, n);
        CHECK(!xid_parse_prepare(&e, &p, &err) && err.code == ERR_CORRUPT, "XA_PREPARE of %zu bytes", n);
        free(exact);
    }
    free((void *)body.p);
    body = unhex("01 ffffffff 41000000 00000000");
    e.body = body;
    CHECK(!xid_parse_prepare(&e, &p, &err) && strstr(err.msg, "longer than 64") != NULL, "%s", err.msg);
    free((void *)body.p);
}

/* --- the store --- */

static struct xa_place place(uint64_t gno)
{
    struct xa_place p = { .gtid = { .flavor = GTID_MYSQL, .uuid = { 1 }, .no = gno },
                          .file = "f.1",
                          .offset = gno * 100 };
    return p;
}

/* Behind transaction gno; and then without some earlier one, 0: none. */
static struct source_pos position(uint64_t gno, uint64_t without)
{
    struct source_pos p = { .flavor = GTID_MYSQL, .gtids = gtid_set_new(GTID_MYSQL), .server = "s", .file = "f.1" };
    for (uint64_t i = 1; i <= gno; i++) {
        struct gtid g = place(i).gtid;
        CHECK(i == without || gtid_set_add(p.gtids, &g, &err), "%s", err.msg);
    }
    p.offset = gno * 100;
    return p;
}

static struct xa_store *reopen(struct xa_store *x, uint64_t gno)
{
    struct source_pos p = position(gno, 0);
    xa_store_close(x);
    x = NULL;
    CHECK(xa_store_open(slotfd, uuid, &p, &x, &err), "%s", err.msg);
    source_pos_clear(&p);
    return x;
}

/* rows of a table with every column type, a frame each. */
static void prepare(struct xa_store *x, const char *name, unsigned rows, uint64_t gno)
{
    struct any_rng rng = { gno };
    struct relation *r = any_relation(&rng, "t");
    struct xa_place at = place(gno);
    xa_store_begin(x);
    for (unsigned i = 0; i < rows; i++) {
        struct val *row = any_row(&rng, r, 1);
        CHECK(frame_add_insert(xa_store_builder(x), r, row, &err) && xa_store_spill(x, &err), "%s", err.msg);
        any_row_free(row, r);
    }
    CHECK(xa_store_prepare(x, name, &at, 5, &err), "%s", err.msg);
    relation_unref(r);
}

static void end(struct xa_store *x, const char *name, uint64_t gno)
{
    struct xa_place at = place(gno);
    xa_store_end(x, name, &at);
}

/* Records, or -1 and err. */
static int count(struct xa_store *x, const char *name)
{
    struct xa_rows *rows = NULL;
    struct frame *f = NULL;
    int n = 0;
    if (!xa_store_rows(x, name, &rows, &err))
        return -1;
    bool ok = true;
    while (rows != NULL && (ok = xa_rows_next(rows, &f, &err)) && f != NULL) {
        n += (int)frame_count(f);
        frame_unref(f);
    }
    xa_rows_close(rows);
    return ok ? n : -1;
}

static unsigned files(void)
{
    char **names;
    size_t n = 0;
    int fd = openat(slotfd, XA_DIR, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && file_list(fd, XA_ROWS_SUFFIX, &names, &n, &err))
        file_list_free(names, n);
    close(fd);
    return (unsigned)n;
}

static void test_store(void)
{
    struct xa_store *x = reopen(NULL, 0);
    CHECK(access(dir, F_OK) == 0 && files() == 0 && xa_store_sync(x, &err), "%s", err.msg);
    CHECK(faccessat(slotfd, XA_DIR, F_OK, 0) != 0, "a directory for nothing");

    /* Both ends before a position went to the log: nothing stays. */
    prepare(x, "a", 3, 1);
    CHECK(files() == 1 && xa_store_has(x, "a") && count(x, "a") == 3, "%u files, %s", files(), err.msg);
    end(x, "a", 2);
    CHECK(files() == 0 && !xa_store_has(x, "a"), "%u files", files());

    /* Not synced: the log's position cannot have it. */
    prepare(x, "b", 2, 3);
    x = reopen(x, 2);
    CHECK(files() == 0 && !xa_store_has(x, "b"), "%u files", files());

    prepare(x, "b", 2, 3);
    prepare(x, "empty", 0, 4);
    CHECK(xa_store_sync(x, &err), "%s", err.msg);
    xa_store_begin(x); /* open when the crash comes */
    x = reopen(x, 4);
    CHECK(files() == 1 && count(x, "b") == 2 && xa_store_has(x, "empty") && count(x, "empty") == 0, "%s", err.msg);
    struct xa_place at = place(5);
    xa_store_begin(x);
    CHECK(!xa_store_prepare(x, "b", &at, 5, &err) && err.code == ERR_CORRUPT, "prepared twice");
    xa_store_abandon(x);
    /* Synced, but the log does not come so far: it is sent again. */
    prepare(x, "c", 1, 5);
    CHECK(xa_store_sync(x, &err), "%s", err.msg);
    x = reopen(x, 4);
    CHECK(files() == 1 && !xa_store_has(x, "c") && xa_store_has(x, "b"), "%u files", files());

    /* Ended, and the log's position has the end, or not. */
    end(x, "b", 5);
    end(x, "empty", 6);
    CHECK(!xa_store_has(x, "b") && files() == 1 && xa_store_sync(x, &err), "%u files", files());
    x = reopen(x, 4);
    CHECK(count(x, "b") == 2 && xa_store_has(x, "empty"), "its end is lost: it must be there");
    end(x, "b", 5);
    end(x, "empty", 6);
    prepare(x, "b", 4, 7); /* the name may be used again */
    CHECK(count(x, "b") == 4 && xa_store_sync(x, &err), "%s", err.msg);
    x = reopen(x, 7);
    CHECK(count(x, "b") == 4 && files() == 1 && !xa_store_has(x, "empty"), "%u files", files());

    /* Removed while it runs, when the log is durable that far. */
    end(x, "b", 8);
    CHECK(xa_store_sync(x, &err) && xa_store_clean(x, UINT64_MAX, &err) && files() == 1,
          "removed before it was handed on");
    xa_store_handed(x, 10);
    CHECK(xa_store_clean(x, 9, &err) && files() == 1, "removed before it was durable");
    CHECK(xa_store_clean(x, 10, &err) && files() == 0, "%s", err.msg);
    x = reopen(x, 8);
    CHECK(files() == 0, "%u files", files());

    /* Many at once: those that wait for fsync do not hold descriptors without end. */
    char name[20];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "n%u", i);
        prepare(x, name, 1, 9 + i);
    }
    CHECK(xa_store_sync(x, &err) && files() == 200, "%u files", files());
    x = reopen(x, 208);
    CHECK(count(x, "n199") == 1, "%s", err.msg);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "n%u", i);
        end(x, name, 300);
    }
    xa_store_handed(x, 1);
    CHECK(xa_store_sync(x, &err) && xa_store_clean(x, 1, &err) && files() == 0, "%u files", files());
    xa_store_close(x);
}

/* By file and offset; and another slot's. */
static void test_places(void)
{
    struct source_pos p = { .file = "f.10", .offset = 500 };
    static const struct {
        const char *file;
        uint64_t offset;
        bool in;
    } tests[] = { { "f.10", 500, true }, { "f.10", 501, false }, { "f.9", 900, true }, { "f.11", 4, false } };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        struct xa_place at = { .offset = tests[i].offset };
        snprintf(at.file, sizeof at.file, "%s", tests[i].file);
        CHECK(xa_place_in(&at, &p) == tests[i].in, "%s:%llu", at.file, (unsigned long long)at.offset);
    }
    struct source_pos with_gap = position(9, 5);
    struct xa_place missing = place(5), there = place(4);
    CHECK(!xa_place_in(&missing, &with_gap) && xa_place_in(&there, &with_gap), "by GTID");
    struct xa_store *x = NULL;
    static const uint8_t other[16] = { 8 };
    CHECK(!xa_store_open(slotfd, other, &with_gap, &x, &err) && strstr(err.msg, "another slot") != NULL, "%s", err.msg);
    source_pos_clear(&with_gap);
}

/* --- bytes --- */

static void write_file(const char *name, struct bytes b)
{
    int fd = openat(slotfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    CHECK(fd >= 0 && file_write_all(fd, b, name, &err), "%s", err.msg);
    close(fd);
}

static void test_damage(void)
{
    struct buf index = { 0 }, rows = { 0 };
    struct xa_index got;
    struct xa_store *x = reopen(NULL, 400);
    prepare(x, "x", 3, 401);
    prepare(x, "y", 0, 402);
    CHECK(xa_store_sync(x, &err), "%s", err.msg);
    end(x, "y", 403);
    CHECK(xa_store_sync(x, &err) && file_read(slotfd, XA_DIR "/" XA_INDEX, 1 << 20, &index, &err), "%s", err.msg);
    CHECK(xa_index_decode(buf_view(&index), &got, &err) && got.n == 2, "%s", err.msg);
    struct xa_entry e = got.v[0];
    CHECK(e.records == 3 && !e.is_ended && got.v[1].is_ended && e.prepared_us == 5 && e.prepared.gtid.no == 401 &&
              got.v[1].ended.offset == 40300,
          "the index's content");
    struct buf again = { 0 };
    CHECK(xa_index_encode(&got, &again, &err) && bytes_eq(buf_view(&again), buf_view(&index)), "encoded again");
    buf_free(&again);
    xa_index_clear(&got);
    for (size_t i = 0; i < index.n; i++) {
        uint8_t *exact = malloc(i == 0 ? 1 : i);
        memcpy(exact, index.p, i);
        CHECK(!xa_index_decode(bytes_of(exact, i), &got, &err), "an index of %zu bytes", i);
        free(exact);
        index.p[i] ^= 0x41;
        CHECK(!xa_index_decode(buf_view(&index), &got, &err), "byte %zu of an index", i);
        index.p[i] ^= 0x41;
    }
    char name[40];
    char base[XA_ROWS_NAME];
    xa_rows_name(e.number, base);
    snprintf(name, sizeof name, XA_DIR "/%s", base);
    CHECK(file_read(slotfd, name, 1 << 20, &rows, &err) && rows.n == e.bytes, "%s", err.msg);
    for (size_t i = 0; i < rows.n; i++) {
        write_file(name, bytes_of(rows.p, i));
        CHECK(count(x, "x") == -1 && strstr(err.msg, base) != NULL, "rows of %zu bytes: %s", i, err.msg);
        rows.p[i] ^= 0x41;
        write_file(name, buf_view(&rows));
        CHECK(count(x, "x") == -1 && strstr(err.msg, base) != NULL, "byte %zu of rows: %s", i, err.msg);
        rows.p[i] ^= 0x41;
    }
    for (size_t i = 1; i < rows.n; i++) { /* shorter than its frames say, and the index agrees */
        struct xa_entry shorter = e;
        struct xa_rows *r = NULL;
        struct frame *f = NULL;
        bool ok;
        shorter.bytes = i;
        write_file(name, bytes_of(rows.p, i));
        ok = xa_rows_open(openat(slotfd, name, O_RDONLY | O_CLOEXEC), uuid, &shorter, &r, &err);
        while (ok && (ok = xa_rows_next(r, &f, &err)) && f != NULL)
            frame_unref(f);
        if (r != NULL)
            xa_rows_close(r);
        CHECK(!ok && (strstr(err.msg, "truncated") != NULL || strstr(err.msg, "the index says") != NULL),
              "%zu bytes: %s", i, err.msg);
    }
    write_file(name, buf_view(&rows));
    CHECK(count(x, "x") == 3, "%s", err.msg);
    (void)unlinkat(slotfd, name, 0);
    CHECK(count(x, "x") == -1 && err.sys == 2, "%s", err.msg);
    end(x, "x", 404);
    CHECK(xa_store_sync(x, &err), "%s", err.msg);
    xa_store_close(reopen(x, 404));
    buf_free(&index);
    buf_free(&rows);
}

/* A short index of many entries: nothing is allocated for what is not there. */
static void test_counts(void)
{
    static const uint64_t counts[] = { 1, XA_ENTRIES_MAX, XA_ENTRIES_MAX + 1, UINT64_MAX };
    struct frame_info none = { 0 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct buf payload = { 0 }, index = { 0 };
        struct xa_index got;
        for (unsigned k = 0; k < 16; k++)
            buf_u8(&payload, 7);
        buf_varint(&payload, 5);
        buf_varint(&payload, counts[i]);
        CHECK(zblock_write_stored(ZB_XA_INDEX, &none, buf_view(&payload), &index, &err), "%s", err.msg);
        CHECK(!xa_index_decode(buf_view(&index), &got, &err) && strstr(err.msg, "too many entries") != NULL,
              "%llu entries: %s", (unsigned long long)counts[i], err.msg);
        buf_free(&payload);
        buf_free(&index);
    }
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    if (mkdtemp(dir) == NULL || (slotfd = open(dir, O_RDONLY | O_DIRECTORY)) < 0) {
        perror(dir);
        return 1;
    }
    test_xids();
    test_event();
    test_store();
    test_damage();
    test_counts();
    test_places();
    (void)unlinkat(slotfd, XA_DIR "/" XA_INDEX, 0);
    (void)unlinkat(slotfd, XA_DIR, AT_REMOVEDIR);
    CHECK(rmdir(dir) == 0, "files are left in %s", dir);
    close(slotfd);
    return UNIT_END();
}
