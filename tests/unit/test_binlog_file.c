/* test_binlog_file.c - binlog files without a server: one file's events, several as a source, and what explain says.
 * Files are cut and glued from recorded ones (tests/fixtures/README.md). */
#include "binlog_explain.h"
#include "binlog_file.h"
#include "binlog_files.h"
#include "unit.h"

#include "file.h"

#include <fcntl.h>
#include <slog.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_EVENT = 1 << 30, HEADER = 19, CRC = 4, EVENTS_MAX = 400 };

static char dir[] = "/tmp/rowtide-binlog-file-XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][300];
    static unsigned n;
    char *p = paths[n++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static const char *put(const char *name, struct bytes body)
{
    struct err err;
    const char *path = path_of(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && file_write_all(fd, body, name, &err), "write %s", path);
    close(fd);
    return path;
}

struct recorded {
    struct buf all;
    size_t n, at[EVENTS_MAX + 1]; /* at[n]: the end of the last event */
};

static struct recorded load(const char *name)
{
    struct recorded r = { 0 };
    struct err err;
    if (!file_read(AT_FDCWD, name, 1 << 20, &r.all, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(2);
    }
    r.at[0] = BINLOG_FILE_FIRST;
    while (r.n < EVENTS_MAX && r.at[r.n] < r.all.n) {
        struct cur c = cur_over(bytes_of(r.all.p + r.at[r.n] + 9, 4));
        r.at[r.n + 1] = r.at[r.n] + (size_t)cur_le(&c, 4);
        r.n++;
    }
    return r;
}

static struct bytes event_of(const struct recorded *r, size_t i)
{
    return bytes_of(r->all.p + r->at[i], r->at[i + 1] - r->at[i]);
}

static uint8_t type_of(const struct recorded *r, size_t i)
{
    return r->all.p[r->at[i] + 4];
}

/* Index of the n-th GTID event (from 0) of either server. */
static size_t gtid_at(const struct recorded *r, unsigned n)
{
    for (size_t i = 0; i < r->n; i++)
        if ((type_of(r, i) == EV_GTID || type_of(r, i) == EV_MARIADB_GTID) && n-- == 0)
            return i;
    return r->n;
}

/* --- one file --- */

static void check_cut(const struct recorded *r, const char *path, size_t n, bool in_use)
{
    struct binlog_file *f = NULL;
    struct err err = { 0 };
    struct bytes event;
    enum binlog_file_step step;
    size_t k = 0;
    CHECK(truncate(path, (off_t)n) == 0, "truncate %s", path);
    bool opened = binlog_file_open(path, MAX_EVENT, &f, &err);
    CHECK(opened == (n >= BINLOG_FILE_FIRST), "cut to %zu: opened %d: %s", n, opened, err.msg);
    if (!opened)
        return;
    while ((step = binlog_file_next(f, &event, &err)) == BINLOG_FILE_EVENT) {
        CHECK(binlog_file_at(f) == r->at[k] && binlog_file_end(f) == r->at[k + 1], "cut to %zu: event %zu is elsewhere",
              n, k);
        k++;
    }
    size_t rest = n - r->at[k];
    bool known = in_use && k > 0; /* the mark is in the first event */
    CHECK(step == (rest == 0 || known ? BINLOG_FILE_END : BINLOG_FILE_FAIL), "cut to %zu: step %d", n, step);
    CHECK(binlog_file_torn(f) == (known ? rest : 0), "cut to %zu: torn %llu, want %zu", n,
          (unsigned long long)binlog_file_torn(f), rest);
    CHECK(step == BINLOG_FILE_END || (err.code == ERR_CORRUPT && strstr(err.msg, "ends inside an event") != NULL),
          "cut to %zu: %s", n, err.msg);
    binlog_file_close(f);
}

static void test_truncation(const struct recorded *r)
{
    size_t n = r->at[gtid_at(r, 3)];
    uint8_t *copy = malloc(n);
    memcpy(copy, r->all.p, n);
    for (int in_use = 0; in_use < 2; in_use++) {
        copy[BINLOG_FILE_FIRST + 17] = (uint8_t)in_use;
        const char *path = put("cut.000001", bytes_of(copy, n));
        for (size_t cut = n + 1; cut-- > 0;)
            check_cut(r, path, cut, in_use != 0);
    }
    free(copy);
}

static void test_refused(const struct recorded *r)
{
    static const struct {
        const char *bytes, *want;
        size_t n;
    } cases[] = {
        { "", "shorter than", 0 },
        { "\xfd"
          "bin",
          "encrypted", 4 },
        { "SQLite format 3", "no binlog file", 15 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct binlog_file *f = NULL;
        struct err err = { 0 };
        const char *path = put("refused", bytes_of(cases[i].bytes, cases[i].n));
        CHECK(!binlog_file_open(path, MAX_EVENT, &f, &err) && strstr(err.msg, cases[i].want) != NULL, "want %s, got %s",
              cases[i].want, err.msg);
    }
    struct binlog_file *f = NULL;
    struct err err = { 0 };
    CHECK(!binlog_file_open(path_of("missing"), MAX_EVENT, &f, &err) && err.code == ERR_IO, "missing: %s", err.msg);
    const char *const irregular[] = { dir, path_of("pipe"), "/dev/null" }; /* the pipe has no writer, and never will */
    CHECK(mkfifo(irregular[1], 0600) == 0, "mkfifo");
    for (size_t i = 0; i < sizeof irregular / sizeof *irregular; i++)
        CHECK(!binlog_file_open(irregular[i], MAX_EVENT, &f, &err) && err.code == ERR_CONFIG &&
                  strstr(err.msg, "not a regular file") != NULL,
              "%s: %s", irregular[i], err.msg);
    unlink(irregular[1]);

    struct bytes event; /* START_ENCRYPTION behind the first event; an event that is too large */
    struct buf b = { 0 };
    buf_bytes(&b, bytes_of(r->all.p, r->at[1]));
    binlog_event_make(EV_MARIADB_START_ENCRYPTION, BYTES_LIT("123456789012345678"), true, &b);
    CHECK(binlog_file_open(put("encrypted", buf_view(&b)), MAX_EVENT, &f, &err), "%s", err.msg);
    CHECK(binlog_file_next(f, &event, &err) == BINLOG_FILE_EVENT, "%s", err.msg);
    CHECK(binlog_file_next(f, &event, &err) == BINLOG_FILE_FAIL && strstr(err.msg, "encrypt_binlog") != NULL, "%s",
          err.msg);
    binlog_file_close(f);
    CHECK(binlog_file_open(put("large", buf_view(&r->all)), 30, &f, &err), "%s", err.msg);
    CHECK(binlog_file_next(f, &event, &err) == BINLOG_FILE_FAIL && strstr(err.msg, "--max-event") != NULL, "%s",
          err.msg);
    binlog_file_close(f);
    buf_free(&b);
}

static void test_seek(const struct recorded *r)
{
    struct binlog_file *f = NULL;
    struct err err = { 0 };
    struct bytes event;
    CHECK(binlog_file_open(put("seek", buf_view(&r->all)), MAX_EVENT, &f, &err), "%s", err.msg);
    for (size_t i = r->n; i-- > 0;) {
        CHECK(binlog_file_seek(f, r->at[i], NULL, NULL, &err) &&
                  binlog_file_next(f, &event, &err) == BINLOG_FILE_EVENT && bytes_eq(event, event_of(r, i)) &&
                  binlog_file_format(f)->known,
              "event %zu: %s", i, err.msg);
    }
    CHECK(binlog_file_seek(f, r->all.n, NULL, NULL, &err), "the end: %s", err.msg);
    CHECK(binlog_file_next(f, &event, &err) == BINLOG_FILE_END, "an event behind the end");
    CHECK(!binlog_file_seek(f, r->at[2] + 1, NULL, NULL, &err) && err.code == ERR_CONFIG, "inside an event: %s",
          err.msg);
    CHECK(!binlog_file_seek(f, r->all.n + 1, NULL, NULL, &err) && err.code == ERR_CONFIG, "behind the end: %s",
          err.msg);
    binlog_file_close(f);
}

/* --- several files --- */

static struct binlog_files *open_files(const char *a, const char *b)
{
    const char *paths[] = { a, b };
    struct binlog_files *f = NULL;
    struct err err = { 0 };
    CHECK(binlog_files_open(paths, b == NULL ? 1 : 2, MAX_EVENT, &f, &err), "%s", err.msg);
    return f;
}

/* The next event's type; 0 at the end, 255 with a failure. */
static uint8_t fetch(struct binlog_files *f, struct bytes *event, struct err *err)
{
    switch (binlog_files_fetch(f, event, err)) {
    case FETCH_EVENT:
        return event->p[4];
    case FETCH_END:
        return 0;
    case FETCH_FAIL:
        break;
    }
    return 255;
}

static bool parse(struct bytes event, bool crc, struct binlog_event *out)
{
    struct err err;
    struct binlog_format fmt = { .known = true, .crc = crc };
    return binlog_event_parse(event, &fmt, out, &err);
}

static bool is_rotate(struct bytes event, bool crc, const char *name, uint64_t offset)
{
    struct err err;
    struct binlog_event e;
    struct ev_rotate r;
    return parse(event, crc, &e) && e.type == EV_ROTATE && (e.flags & EVF_ARTIFICIAL) &&
           binlog_parse_rotate(&e, &r, &err) && bytes_eq_str(r.file, name) && r.offset == offset;
}

/* Both files whole, in order, each announced. */
static void test_earliest(const struct recorded *r)
{
    struct err err = { 0 };
    struct source_pos pos = { 0 };
    struct bytes event = { NULL, 0 };
    const char *a = put("b.000001", buf_view(&r->all)), *b = put("b.000002", bytes_of(r->all.p, r->at[2]));
    struct binlog_files *f = open_files(a, b);
    CHECK(binlog_files_start(f, NULL, &pos, &err) && binlog_files_dump(f, &pos, &err), "%s", err.msg);
    CHECK(strcmp(pos.file, "b.000001") == 0 && pos.offset == 4 && pos.flavor != GTID_NONE && gtid_set_empty(pos.gtids),
          "starts at %s:%llu", pos.file, (unsigned long long)pos.offset);
    CHECK(fetch(f, &event, &err) == EV_ROTATE && is_rotate(event, false, "b.000001", 4), "first announcement");
    for (size_t i = 0; i < r->n; i++)
        CHECK(fetch(f, &event, &err) == type_of(r, i) && bytes_eq(event, event_of(r, i)), "event %zu: %s", i, err.msg);
    CHECK(fetch(f, &event, &err) == EV_ROTATE && is_rotate(event, true, "b.000002", 4), "second announcement");
    for (size_t i = 0; i < 2; i++)
        CHECK(fetch(f, &event, &err) == type_of(r, i), "second file, event %zu: %s", i, err.msg);
    CHECK(fetch(f, &event, &err) == 0, "no end: %s", err.msg);
    source_pos_clear(&pos);
    binlog_files_close(f);
}

/* By GTID: five transactions are left out, a heartbeat says where the sixth begins. */
static void test_by_gtid(const struct recorded *r)
{
    struct err err = { 0 };
    struct source_pos pos = { 0 }, start = { 0 };
    struct bytes event = { NULL, 0 };
    struct binlog_event e;
    struct ev_heartbeat h;
    size_t sixth = gtid_at(r, 5);
    char where[64];
    struct binlog_files *f = open_files(put("b.000001", buf_view(&r->all)), NULL);
    snprintf(where, sizeof where, "file:b.000001:%zu", r->at[sixth]);
    CHECK(binlog_files_start(f, where, &pos, &err), "%s", err.msg);
    CHECK(pos.flavor == GTID_MARIADB || gtid_set_count(pos.gtids) == 5, "not five GTIDs in front");
    struct buf text = { 0 };
    buf_str(&text, "gtid:");
    gtid_set_text(pos.gtids, &text);
    CHECK(binlog_files_start(f, buf_cstr(&text), &start, &err) && gtid_set_eq(start.gtids, pos.gtids), "%s", err.msg);
    CHECK(binlog_files_dump(f, &start, &err), "%s", err.msg);
    CHECK(fetch(f, &event, &err) == EV_ROTATE, "%s", err.msg);
    uint8_t type;
    while ((type = fetch(f, &event, &err)) != EV_HEARTBEAT_V2 && type != 0 && type != 255)
        CHECK(type != EV_GTID && type != EV_MARIADB_GTID && type != EV_QUERY, "%s is not left out",
              binlog_event_name(type));
    CHECK(type == EV_HEARTBEAT_V2 && parse(event, true, &e) && binlog_parse_heartbeat(&e, &h, &err) &&
              bytes_eq_str(h.file, "b.000001") && h.pos == r->at[sixth],
          "no heartbeat at %zu but %u", r->at[sixth], type);
    for (size_t i = sixth; i < r->n; i++)
        CHECK(fetch(f, &event, &err) == type_of(r, i) && bytes_eq(event, event_of(r, i)), "event %zu: %s", i, err.msg);
    CHECK(fetch(f, &event, &err) == 0, "no end: %s", err.msg);
    buf_free(&text);
    source_pos_clear(&pos);
    source_pos_clear(&start);
    binlog_files_close(f);
}

static void test_bad_starts(const struct recorded *r)
{
    static const struct {
        const char *start, *want;
    } cases[] = {
        { "now", "earliest, gtid:SET or file:NAME:POS" },
        { "file:b.000001", "not file:NAME:POS" },
        { "file:b.000001:3", "from 4 on" },
        { "file:b.000001:4x", "not file:NAME:POS" },
        { "file:other:4", "none of the files" },
        { "file:b.000001:5", "nearest" },
        { "file:b.000001:99999999", "it ends at" },
        { "gtid:nonsense", "--start gtid:nonsense" },
    };
    struct err err = { 0 };
    struct source_pos pos = { 0 };
    struct binlog_files *f = open_files(put("b.000001", buf_view(&r->all)), NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(!binlog_files_start(f, cases[i].start, &pos, &err) && err.code == ERR_CONFIG &&
                  strstr(err.msg, cases[i].want) != NULL,
              "--start %s: want %s, got %s", cases[i].start, cases[i].want, err.msg);
    char where[64];
    snprintf(where, sizeof where, "file:b.000001:%zu", r->at[gtid_at(r, 0) + 1]);
    CHECK(!binlog_files_start(f, where, &pos, &err) && strstr(err.msg, "middle of a transaction") != NULL, "%s",
          err.msg);
    pos = (struct source_pos){ .file = "b.000000", .offset = 4 };
    CHECK(!binlog_files_dump(f, &pos, &err) && err.code == ERR_LOST && strstr(err.msg, "b.000000") != NULL, "%s",
          err.msg);
    binlog_files_close(f);
}

/* --- beyond 4 GiB: a sparse file; five events of a GiB, an XID behind them --- */

static void put_header(struct buf *b, uint8_t type, uint64_t size, uint64_t end)
{
    buf_le(b, 1700000000, 4);
    buf_u8(b, type);
    buf_le(b, 7, 4);
    buf_le(b, size, 4);
    buf_le(b, (uint32_t)end, 4);
    buf_le(b, 0, 2);
}

/* The recorded FORMAT_DESCRIPTION, with checksums off. */
static struct buf without_checksums(const struct recorded *r)
{
    struct buf b = { 0 };
    buf_bytes(&b, bytes_of(r->all.p, r->at[1]));
    b.p[b.n - CRC - 1] = 0;
    return b;
}

static void test_beyond_4_gib(const struct recorded *r)
{
    const uint64_t gib = UINT64_C(1) << 30;
    struct err err = { 0 };
    struct bytes event = { NULL, 0 };
    struct buf b = without_checksums(r);
    const char *path = put("big.000001", buf_view(&b));
    int fd = open(path, O_WRONLY);
    uint64_t at = b.n;
    for (int i = 0; i < 5; i++, at += gib) {
        buf_reset(&b);
        put_header(&b, EV_IGNORABLE, gib, at + gib);
        CHECK(file_pwrite_all(fd, buf_view(&b), at, path, &err), "%s", err.msg);
    }
    uint64_t last = at;
    buf_reset(&b);
    put_header(&b, EV_ANONYMOUS_GTID, HEADER + 25, at + HEADER + 25);
    buf_le(&b, 0, 8), buf_le(&b, 0, 8), buf_le(&b, 0, 8), buf_u8(&b, 0);
    CHECK(file_pwrite_all(fd, buf_view(&b), at, path, &err), "%s", err.msg);
    close(fd);
    buf_free(&b);

    struct binlog_file *f = NULL;
    CHECK(binlog_file_open(path, MAX_EVENT, &f, &err) && binlog_file_seek(f, last, NULL, NULL, &err), "%s", err.msg);
    CHECK(binlog_file_next(f, &event, &err) == BINLOG_FILE_EVENT && binlog_file_at(f) == last && last > 5 * gib,
          "the event beyond 5 GiB: %s", err.msg);
    binlog_file_close(f);

    struct source_pos pos = { .offset = last };
    snprintf(pos.file, sizeof pos.file, "big.000001");
    const char *paths[] = { path };
    struct binlog_files *files = NULL;
    CHECK(binlog_files_open(paths, 1, MAX_EVENT, &files, &err) && binlog_files_dump(files, &pos, &err), "%s", err.msg);
    CHECK(fetch(files, &event, &err) == EV_ROTATE && is_rotate(event, false, "big.000001", last), "announcement");
    CHECK(fetch(files, &event, &err) == EV_FORMAT_DESCRIPTION, "%s", err.msg);
    CHECK(fetch(files, &event, &err) == EV_ANONYMOUS_GTID && fetch(files, &event, &err) == 0, "%s", err.msg);
    binlog_files_close(files);
    unlink(path);
}

/* --- explain --- */

static struct binlog_explain *explainer(bool json)
{
    struct binlog_explain_options o = { .json = json, .rows = true, .max_event = 1 << 20 };
    return binlog_explain_new(&o);
}

static uint8_t *without_tail(struct bytes e, size_t n)
{
    uint8_t *copy = malloc(n);
    memcpy(copy, e.p, n);
    for (unsigned k = 0; k < 4; k++)
        copy[9 + k] = (uint8_t)(n >> 8 * k);
    return copy;
}

/* Every truncation of every event: a text, never a read beyond (the copies are as long as they say). */
static void test_explain_cut(const struct recorded *r, bool json)
{
    struct binlog_explain *x = explainer(json);
    struct buf format = without_checksums(r), out = { 0 };
    struct bytes fd = bytes_of(format.p + BINLOG_FILE_FIRST, format.n - BINLOG_FILE_FIRST);
    size_t bad = 0;
    struct bytes map = { NULL, 0 };
    binlog_explain_pass(x, fd);
    for (size_t i = 1; i < r->n && i < 120; i++) {
        struct bytes e = event_of(r, i);
        size_t whole = e.n - CRC;
        for (size_t n = whole > 250 + HEADER ? whole - 250 : HEADER; n <= whole; n++) {
            struct err err = { 0 };
            uint8_t *copy = without_tail(e, n);
            if (binlog_event_is_rows(type_of(r, i))) /* the cut before this one has ended the statement */
                binlog_explain_pass(x, map);
            uint64_t before = binlog_explain_problems(x);
            buf_reset(&out);
            CHECK(binlog_explain_event(x, bytes_of(copy, n), r->at[i], &out, &err), "event %zu cut to %zu: %s", i, n,
                  err.msg);
            bad += binlog_explain_problems(x) != before;
            CHECK(n < whole || binlog_explain_problems(x) == before || strstr(buf_cstr(&out), "not supported") != NULL,
                  "event %zu whole: %s", i, buf_cstr(&out));
            free(copy);
        }
        if (type_of(r, i) == EV_TABLE_MAP) {
            free((void *)(uintptr_t)map.p);
            map = bytes_of(without_tail(e, whole), whole);
        }
    }
    free((void *)(uintptr_t)map.p);
    CHECK(bad > 1000, "only %zu cuts were noticed", bad);
    buf_free(&format);
    buf_free(&out);
    binlog_explain_free(x);
}

static bool says(const char *text, const char *want)
{
    return strstr(text, want) != NULL;
}

static void test_explain_damage(const struct recorded *r)
{
    struct binlog_explain *x = explainer(false);
    struct err err = { 0 };
    struct buf out = { 0 }, damaged = { 0 };
    binlog_explain_pass(x, event_of(r, 0));
    buf_bytes(&damaged, event_of(r, 2));
    damaged.p[damaged.n - CRC - 1] ^= 1;
    CHECK(!binlog_explain_event(x, buf_view(&damaged), 158, &out, &err) && err.code == ERR_CORRUPT &&
              says(buf_cstr(&out), "checksum BAD") && says(buf_cstr(&out), "problem: "),
          "damage: %s", buf_cstr(&out));
    /* A type that nobody knows: hex, and what capture does. */
    static const struct {
        uint16_t flags;
        const char *want;
        uint64_t problems;
    } cases[] = { { 0, "capture: stops", 1 }, { EVF_IGNORABLE, "capture: passes over it", 0 } };
    for (size_t i = 0; i < 2; i++) {
        struct buf made = { 0 }, format = without_checksums(r);
        binlog_explain_pass(x, bytes_of(format.p + BINLOG_FILE_FIRST, format.n - BINLOG_FILE_FIRST));
        binlog_event_make(99, BYTES_LIT("\x01\x02\xff"), false, &made);
        made.p[17] = (uint8_t)cases[i].flags;
        uint64_t before = binlog_explain_problems(x);
        buf_reset(&out);
        CHECK(binlog_explain_event(x, buf_view(&made), 4, &out, &err) && says(buf_cstr(&out), "UNKNOWN (99)") &&
                  says(buf_cstr(&out), "body: 0102ff") && says(buf_cstr(&out), cases[i].want) &&
                  binlog_explain_problems(x) - before == cases[i].problems,
              "want %s, got %s", cases[i].want, buf_cstr(&out));
        buf_free(&made);
        buf_free(&format);
    }
    buf_free(&damaged);
    buf_free(&out);
    binlog_explain_free(x);
}

/* A TABLE_MAP as MySQL 5.7 wrote it: no optional metadata. (a TINYINT, b ENUM of a byte, c SET of two, d VARCHAR(20)) */
static void test_explain_minimal(const struct recorded *r)
{
    static const char map[] = "\x07\0\0\0\0\0\1\0\1d\0\1t\0\4\x01\xfe\xfe\x0f\6\xf7\1\xf8\2\x14\0\x0f";
    static const char row[] = "\x07\0\0\0\0\0\1\0\2\0\4\xff\xf0\xfe\x02\x05\x01\3abc";
    static const char *const want[] = { "metadata: MINIMAL", "@1 tinyint (sign not known)",
                                        "@2 enum (labels not known)", "@3 set (labels not known)",
                                        "@4 varbinary(20) (character set not known)" };
    struct binlog_explain *x = explainer(false);
    struct buf format = without_checksums(r), e = { 0 }, out = { 0 };
    struct err err = { 0 };
    binlog_explain_pass(x, bytes_of(format.p + BINLOG_FILE_FIRST, format.n - BINLOG_FILE_FIRST));
    binlog_event_make(EV_TABLE_MAP, bytes_of(map, sizeof map - 1), false, &e);
    CHECK(binlog_explain_event(x, buf_view(&e), 4, &out, &err) && binlog_explain_problems(x) == 0, "%s",
          buf_cstr(&out));
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK(says(buf_cstr(&out), want[i]), "want %s in %s", want[i], buf_cstr(&out));
    buf_reset(&e);
    buf_reset(&out);
    binlog_event_make(EV_WRITE_ROWS, bytes_of(row, sizeof row - 1), false, &e);
    CHECK(binlog_explain_event(x, buf_view(&e), 4, &out, &err) &&
              says(buf_cstr(&out), "+ @1=-2 (or 254) @2=2 @3=261 @4=\"abc\"\n") && binlog_explain_problems(x) == 0,
          "%s", buf_cstr(&out));
    buf_free(&format);
    buf_free(&e);
    buf_free(&out);
    binlog_explain_free(x);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    if (mkdtemp(dir) == NULL)
        return 2;
    static const char *const names[] = { "fixtures/mysql-9.7.4.binlog", "fixtures/mariadb-10.11.19.binlog" };
    for (size_t i = 0; i < 2; i++) {
        struct recorded r = load(names[i]);
        test_truncation(&r);
        test_refused(&r);
        test_seek(&r);
        test_earliest(&r);
        test_by_gtid(&r);
        test_bad_starts(&r);
        test_explain_cut(&r, false);
        test_explain_cut(&r, true);
        test_explain_damage(&r);
        test_explain_minimal(&r);
        if (i == 0)
            test_beyond_4_gib(&r);
        buf_free(&r.all);
    }
    static const char *const files[] = {
        "cut.000001", "refused", "encrypted", "large", "seek", "b.000001", "b.000002"
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(path_of(files[i]));
    CHECK(rmdir(dir) == 0, "files are left in %s", dir);
    return UNIT_END();
}
