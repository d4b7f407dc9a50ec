/* slot_fixture.h - a slot in a temporary directory, transactions that say their own number, and what a reader sees of them. For the
 * tests of segments, writer and reader. */
#ifndef ROWTIDE_SLOT_FIXTURE_H
#define ROWTIDE_SLOT_FIXTURE_H

#include "unit.h"

#include "file.h"
#include "seg_reader.h"
#include "seg_writer.h"
#include "slog.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        err.msg[0] = '\0';                                                                                             \
        bool must_ok = (call);                                                                                         \
        CHECK(must_ok, "%s: %s", #call, err.msg);                                                                      \
    } while (0)

static const struct seg_writer_options small_segments = { .segment_size = 4000,
                                                          .merge_below = 4096,
                                                          .frame_size = 1500 };
static const struct seg_writer_options one_segment = { .segment_size = UINT64_MAX,
                                                       .merge_below = 4096,
                                                       .frame_size = 1 << 20 };

/* --- directories --- */

static inline char *fixture_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL) /* thousands of fsyncs that prove nothing here: in memory where possible */
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char *dir = malloc(256);
    snprintf(dir, 256, "%s/rowtide-test-XXXXXX", tmp);
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        exit(1);
    }
    return dir;
}

static inline void fixture_empty(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
}

static inline void fixture_remove(char *dir)
{
    fixture_empty(dir);
    rmdir(dir);
    free(dir);
}

static inline struct buf fixture_load(const char *dir, const char *name)
{
    struct buf b = { 0 };
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    if (!file_read(fd, name, 1 << 28, &b, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    close(fd);
    return b;
}

static inline void fixture_store(const char *dir, const char *name, struct bytes body)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    if (fd < 0 || !file_write_all(fd, body, name, &err))
        exit(1);
    close(fd);
}

static inline bool fixture_has(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static inline size_t fixture_segments(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;
    struct dirent *e;
    uint64_t lsn;
    while ((e = readdir(d)) != NULL)
        n += strlen(e->d_name) == 20 && segment_parse_name(e->d_name, &lsn);
    closedir(d);
    return n;
}

/* --- transactions --- */

static const uint8_t fixture_server[16] = { 0xab, 1 };

static inline struct relation *fixture_relation(const char *table)
{
    const struct column cols[] = {
        { .name = bytes_str("id"), .type = COL_INT, .int_bits = 64, .visible = true, .key_pos = 1 },
        { .name = bytes_str("s"),
          .type = COL_VARCHAR,
          .length = 400,
          .char_bytes = 4,
          .nullable = true,
          .visible = true,
          .charset = bytes_str("utf8mb4") },
    };
    struct relation *r = NULL;
    MUST(relation_new(BYTES_LIT("shop"), bytes_str(table), cols, 2, &r, &err));
    return r;
}

static inline struct source_pos fixture_pos(uint64_t gno) /* all GTIDs up to gno, offset gno * 100 */
{
    struct source_pos p = { .flavor = GTID_MYSQL, .offset = gno * 100 };
    p.gtids = gtid_set_new(GTID_MYSQL);
    struct gtid who = { .flavor = GTID_MYSQL };
    memcpy(who.uuid, fixture_server, 16);
    if (gno != 0)
        MUST(gtid_set_add_interval(p.gtids, &who, 1, gno, &err));
    uuid_text(fixture_server, p.server);
    snprintf(p.file, sizeof p.file, "bin.000001");
    return p;
}

static inline bool fixture_same_pos(const struct source_pos *a, const struct source_pos *b)
{
    return a->flavor == b->flavor && (a->gtids == NULL) == (b->gtids == NULL) &&
           (a->gtids == NULL || gtid_set_eq(a->gtids, b->gtids)) && strcmp(a->server, b->server) == 0 &&
           strcmp(a->file, b->file) == 0 && a->offset == b->offset;
}

static inline void fixture_begin(struct frame_builder *b, uint64_t gno)
{
    struct rec_begin bg = { .gtid = { .flavor = GTID_MYSQL, .no = gno },
                            .commit_us = (int64_t)gno * 1000000,
                            .resolution_us = 1 };
    memcpy(bg.gtid.uuid, fixture_server, 16);
    MUST(frame_add_begin(b, &bg, &err));
}

static inline void fixture_row(struct frame_builder *b, const struct relation *r, uint64_t gno, unsigned i)
{
    char text[64];
    snprintf(text, sizeof text, "transaction %llu row %u", (unsigned long long)gno, i);
    struct val row[2] = { { .kind = VAL_I64, .u.i64 = (int64_t)gno * 100 + i },
                          { .kind = VAL_TEXT, .u.str = bytes_str(text) } };
    MUST(frame_add_insert(b, r, row, &err));
}

/* consumed: how many GTIDs before gno were filtered since the last commit or position. */
static inline void fixture_commit(struct frame_builder *b, uint64_t gno, unsigned consumed)
{
    char set[128] = "", uuid[37];
    uuid_text(fixture_server, uuid);
    if (consumed != 0)
        snprintf(set, sizeof set, "%s:%llu-%llu", uuid, (unsigned long long)(gno - consumed),
                 (unsigned long long)gno - 1);
    struct rec_commit c = { .file = BYTES_LIT("bin.000001"), .end_offset = gno * 100, .consumed = bytes_str(set) };
    MUST(frame_add_commit(b, &c, &err));
}

/* --- a slot that is being written --- */

struct fixture {
    char *dir;
    struct slot *slot;
    struct seg_writer *w;
    struct frame_builder *b;
    struct relation *rel[3];
    uint64_t gno; /* of the last transaction */
};

static inline bool fixture_try_open(struct fixture *f, const struct seg_writer_options *o, struct seg_recovered *rec)
{
    if (!slot_open(f->dir, SLOT_CREATE, &f->slot, &err))
        return false;
    if (!seg_writer_recover(f->slot, o, &f->w, rec, &err)) {
        slot_close(f->slot);
        f->slot = NULL;
        return false;
    }
    return true;
}

static inline void fixture_start(struct fixture *f)
{
    char server[37];
    uuid_text(fixture_server, server);
    struct source_pos start = fixture_pos(0);
    MUST(seg_writer_start(f->w, server, "8.4.0", &start, &err));
    source_pos_clear(&start);
}

static inline struct fixture fixture_new(const struct seg_writer_options *o)
{
    struct fixture f = { .dir = fixture_dir(), .b = frame_builder_new() };
    struct seg_recovered rec;
    for (unsigned i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", i);
        f.rel[i] = fixture_relation(name);
    }
    MUST(fixture_try_open(&f, o, &rec));
    CHECK(rec.empty && rec.next_lsn == 1 && rec.flushed_lsn == 0, "a new slot is empty");
    fixture_start(&f);
    frame_builder_reset(f.b, 1, false);
    return f;
}

static inline void fixture_close(struct fixture *f) /* as a crash would: nothing is flushed */
{
    MUST(seg_writer_close(&f->w, &err));
    slot_close(f->slot);
    f->slot = NULL;
}

static inline void fixture_free(struct fixture *f)
{
    struct err e;
    seg_writer_close(&f->w, &e);
    slot_close(f->slot);
    frame_builder_free(f->b);
    for (unsigned i = 0; i < 3; i++)
        relation_unref(f->rel[i]);
    fixture_remove(f->dir);
}

static inline void fixture_append(struct fixture *f)
{
    struct buf payload = { 0 };
    struct frame_info info;
    MUST(frame_builder_finish(f->b, &payload, &info, &err));
    MUST(seg_writer_append(f->w, &info, buf_view(&payload), frame_builder_relations(f->b), &err));
    frame_builder_reset(f->b, info.first_lsn + info.nrecords, info.ends_inside);
    buf_free(&payload);
}

static inline void fixture_flush(struct fixture *f)
{
    struct source_pos p = fixture_pos(f->gno);
    MUST(seg_writer_flush(f->w, &p, &err));
    source_pos_clear(&p);
}

/* One transaction of nrows inserts in its own frame. */
static inline void fixture_txn(struct fixture *f, unsigned nrows, unsigned consumed)
{
    f->gno += 1 + consumed;
    fixture_begin(f->b, f->gno);
    for (unsigned i = 0; i < nrows; i++)
        fixture_row(f->b, f->rel[f->gno % 3], f->gno, i);
    fixture_commit(f->b, f->gno, consumed);
    fixture_append(f);
}

/* --- what a reader sees --- */

struct seen {
    uint64_t n; /* commits */
    struct {
        uint64_t lsn, gno, sum; /* sum: over ids and texts of the rows: what was in it */
    } commit[512];
    enum seg_read end;
};

static inline void seen_frame(struct seen *s, const struct frame *f, unsigned from, uint64_t *gno, uint64_t *sum,
                              uint64_t *expect)
{
    for (unsigned i = from; i < frame_count(f); i++) {
        const struct record *r = frame_record(f, i);
        CHECK(*expect == 0 || r->lsn == *expect, "LSN %llu follows %llu", (unsigned long long)r->lsn,
              (unsigned long long)*expect - 1);
        *expect = r->lsn + 1;
        if (r->op == REC_BEGIN) {
            *gno = r->u.begin.gtid.no;
            *sum = 0;
        } else if (r->op == REC_COMMIT && s->n < sizeof s->commit / sizeof *s->commit) {
            s->commit[s->n].lsn = r->lsn;
            s->commit[s->n].gno = *gno;
            s->commit[s->n++].sum = *sum;
        } else if (r->op == REC_INSERT) {
            struct val row[2];
            rel_rows_new(r->u.change.rows, r, row);
            *sum = *sum * 31 + row[0].u.u64;
            for (size_t k = 0; k < row[1].u.str.n; k++)
                *sum = *sum * 31 + row[1].u.str.p[k];
        }
    }
}

/* Everything after `after`, to the flushed LSN or the first error (left in err). */
static inline struct seen seen_after(const char *dir, uint64_t after)
{
    struct seen s = { .end = SEG_READ_FAIL };
    struct seg_reader *r;
    if (!seg_reader_open(dir, after, &r, &err))
        return s;
    struct frame *f;
    unsigned from;
    uint64_t gno = 0, sum = 0, expect = 0;
    struct seen whole = s;
    while ((s.end = seg_reader_next(r, &f, &from, &err)) == SEG_READ_FRAME) {
        seen_frame(&s, f, from, &gno, &sum, &expect);
        frame_unref(f);
        whole = s;
    }
    whole.end = s.end;
    seg_reader_close(r);
    return whole;
}

#endif
