/* stream_driver.h - drives a binlog_stream as capture's pipeline does, and turns what came out into text. For tests of
 * binlog_stream. */
#ifndef ROWTIDE_STREAM_DRIVER_H
#define ROWTIDE_STREAM_DRIVER_H

#include "binlog_stream.h"
#include "ddl.h"
#include "file.h"
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

struct driver {
    struct pattern *tables;
    struct binlog_stream *s;
    struct xa_store *xa;
    char dir[64]; /* a slot's, for xa/ only */
    int dirfd;
    struct frame_builder *b;
    size_t frame_size;
    uint64_t open_lsn;     /* of the open transaction's first record */
    struct buf done, open; /* text of records: of ended transactions, of the open one */
    bool brief;            /* one line: "B5,+t 1|a,=t 1|a>1|b,-t 1|b,C" */
    char commit_file[40];  /* of the last COMMIT */
    uint64_t commit_offset;
    bool fresh;      /* nothing came on this connection yet */
    unsigned frames; /* handed on inside a transaction */
};

static inline uint32_t crc32_of(struct bytes b) /* as zlib's */
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < b.n; i++) {
        crc ^= b.p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* dir: what an earlier driver left (driver_leave), or NULL. */
static inline void driver_open_in(struct driver *d, const char *dir, const char *tables, const struct source_pos *from,
                                  uint64_t max_event)
{
    static const uint8_t uuid[16];
    struct err err = { 0 };
    memset(d, 0, sizeof *d);
    snprintf(d->dir, sizeof d->dir, "%s", dir != NULL ? dir : "/dev/shm/rowtide-stream-XXXXXX");
    CHECK(dir != NULL || mkdtemp(d->dir) != NULL, "%s", d->dir);
    d->dirfd = open(d->dir, O_RDONLY | O_DIRECTORY);
    CHECK(xa_store_open(d->dirfd, uuid, from, &d->xa, &err), "%s", err.msg);
    CHECK(pattern_parse(tables, &d->tables, &err), "%s", err.msg);
    struct binlog_stream_options o = { .tables = d->tables, .xa = d->xa, .max_event = max_event };
    CHECK(binlog_stream_new(&o, from, &d->s, &err), "%s", err.msg);
    d->b = frame_builder_new();
    d->frame_size = SIZE_MAX;
    d->open_lsn = 1;
    d->fresh = true;
    frame_builder_reset(d->b, 1, false);
}

static inline void driver_open(struct driver *d, const char *tables, const struct source_pos *from, uint64_t max_event)
{
    driver_open_in(d, NULL, tables, from, max_event);
}

/* As a crash would: what is on disk stays for driver_open_in. */
static inline void driver_leave(struct driver *d)
{
    binlog_stream_free(d->s);
    xa_store_close(d->xa);
    close(d->dirfd);
    frame_builder_free(d->b);
    pattern_free(d->tables);
    buf_free(&d->done);
    buf_free(&d->open);
}

static inline unsigned driver_xa_files(struct driver *d) /* in xa/, the index not counted */
{
    struct err err;
    char **names;
    size_t n = 0;
    int fd = openat(d->dirfd, XA_DIR, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && file_list(fd, XA_ROWS_SUFFIX, &names, &n, &err))
        file_list_free(names, n);
    close(fd);
    return (unsigned)n;
}

static inline void driver_close(struct driver *d)
{
    struct err err;
    char **names;
    size_t n;
    int fd = openat(d->dirfd, XA_DIR, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && file_list(fd, "", &names, &n, &err)) {
        for (size_t i = 0; i < n; i++)
            (void)unlinkat(fd, names[i], 0);
        file_list_free(names, n);
        unlinkat(d->dirfd, XA_DIR, AT_REMOVEDIR);
    }
    close(fd);
    rmdir(d->dir);
    driver_leave(d);
}

static inline void driver_row(struct buf *out, const struct relation *r, const struct val *row)
{
    for (unsigned i = 0; i < r->ncols; i++) {
        buf_str(out, i == 0 ? " " : "|");
        column_value_text(&r->cols[i], &row[i], out);
    }
}

static inline void driver_change_brief(struct buf *o, const struct record *r)
{
    const struct relation *rel = rel_rows_relation(r->u.change.rows);
    struct val *row = calloc(rel->ncols, sizeof *row);
    buf_printf(o, "%c%.*s", r->op == REC_INSERT ? '+' : r->op == REC_UPDATE ? '=' : '-', BYTES_FMT(rel->table));
    if (r->op != REC_INSERT) {
        rel_rows_old(r->u.change.rows, r, row);
        driver_row(o, rel, row);
    }
    if (r->op == REC_UPDATE)
        buf_str(o, " >");
    if (r->op != REC_DELETE) {
        rel_rows_new(r->u.change.rows, r, row);
        driver_row(o, rel, row);
    }
    buf_str(o, ",");
    free(row);
}

static inline void driver_record_brief(struct driver *d, const struct record *r)
{
    struct buf *o = &d->open;
    switch (r->op) {
    case REC_BEGIN:
        buf_printf(o, "B%llu,", (unsigned long long)r->u.begin.gtid.no);
        break;
    case REC_COMMIT: {
        const char *colon = r->u.commit.consumed.n == 0 ? NULL
                                                        : memchr(r->u.commit.consumed.p, ':', r->u.commit.consumed.n);
        size_t skip = colon == NULL ? 0 : (size_t)(colon - (const char *)r->u.commit.consumed.p);
        buf_printf(o, "C%.*s,", (int)(r->u.commit.consumed.n - skip), (const char *)r->u.commit.consumed.p + skip);
        break;
    }
    case REC_TRUNCATE:
        buf_printf(o, "trunc %.*s,", BYTES_FMT(r->u.ddl.t_table));
        break;
    case REC_DDL:
        buf_printf(o, "ddl%u %.*s,", r->u.ddl.kind, BYTES_FMT(r->u.ddl.sql));
        break;
    case REC_MESSAGE:
        buf_printf(o, "msg %.*s %.*s,", BYTES_FMT(r->u.message.topic), BYTES_FMT(r->u.message.body));
        break;
    default:
        driver_change_brief(o, r);
        break;
    }
}

static inline void driver_record(struct driver *d, const struct record *r)
{
    struct buf *o = &d->open;
    static const char *const ops[] = { "?",      "BEGIN",    "COMMIT", "INSERT", "UPDATE",
                                       "DELETE", "TRUNCATE", "DDL",    "MESSAGE" };
    buf_str(o, ops[r->op]);
    switch (r->op) {
    case REC_BEGIN:
        if (r->u.begin.gtid.flavor != GTID_NONE) {
            buf_str(o, " ");
            gtid_text(&r->u.begin.gtid, o);
        }
        break;
    case REC_COMMIT:
        buf_printf(o, " %.*s:%llu%s%.*s", BYTES_FMT(r->u.commit.file), (unsigned long long)r->u.commit.end_offset,
                   r->u.commit.consumed.n > 0 ? " after " : "", BYTES_FMT(r->u.commit.consumed));
        break;
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE: {
        const struct relation *rel = rel_rows_relation(r->u.change.rows);
        struct val *row = calloc(rel->ncols, sizeof *row);
        buf_printf(o, " %.*s.%.*s", BYTES_FMT(rel->schema), BYTES_FMT(rel->table));
        if (r->op != REC_INSERT) {
            rel_rows_old(r->u.change.rows, r, row);
            driver_row(o, rel, row);
        }
        if (r->op == REC_UPDATE)
            buf_str(o, " ->");
        if (r->op != REC_DELETE) {
            rel_rows_new(r->u.change.rows, r, row);
            driver_row(o, rel, row);
        }
        free(row);
        break;
    }
    case REC_TRUNCATE:
        buf_printf(o, " %.*s.%.*s", BYTES_FMT(r->u.ddl.t_schema), BYTES_FMT(r->u.ddl.t_table));
        break;
    case REC_DDL:
        buf_printf(o, " [%.*s] %.*s", BYTES_FMT(r->u.ddl.schema), BYTES_FMT(r->u.ddl.sql));
        break;
    case REC_MESSAGE:
        buf_printf(o, " %.*s %.*s", BYTES_FMT(r->u.message.topic), BYTES_FMT(r->u.message.body));
        break;
    default:
        break;
    }
    buf_str(o, "\n");
}

/* What the builder holds goes on; the frame is decoded as a reader would. */
static inline void driver_flush(struct driver *d)
{
    struct err err = { 0 };
    struct buf payload = { 0 };
    struct frame_info info;
    struct frame *f = NULL;
    if (frame_builder_records(d->b) == 0)
        return;
    bool ok = frame_builder_finish(d->b, &payload, &info, &err) &&
              frame_decode(buf_view(&payload), &info, frame_builder_relations(d->b), &f, &err);
    CHECK(ok, "frame: %s", err.msg);
    for (unsigned i = 0; ok && i < frame_count(f); i++) {
        const struct record *r = frame_record(f, i);
        if (d->brief)
            driver_record_brief(d, r);
        else
            driver_record(d, r);
        if (r->op == REC_COMMIT) {
            snprintf(d->commit_file, sizeof d->commit_file, "%.*s", BYTES_FMT(r->u.commit.file));
            d->commit_offset = r->u.commit.end_offset;
            buf_bytes(&d->done, buf_view(&d->open));
            buf_reset(&d->open);
            d->open_lsn = r->lsn + 1;
        }
    }
    frame_unref(f);
    buf_free(&payload);
    frame_builder_reset(d->b, frame_builder_next_lsn(d->b), frame_builder_inside(d->b));
}

static inline void driver_cut(struct driver *d)
{
    buf_reset(&d->open);
    frame_builder_reset(d->b, d->open_lsn, false);
}

/* I(nside), B(oundary), C(ommit), A(bandoned), R(ead again), F(ail). A commit is handed on at once. */
static inline char driver_feed(struct driver *d, struct bytes event, struct err *err)
{
    enum stream_step r = binlog_stream_event(d->s, event, d->b, d->frame_size, err);
    while (r == STREAM_ROWS_FULL) {
        driver_flush(d);
        d->frames++;
        r = binlog_stream_continue(d->s, d->b, d->frame_size, err);
    }
    if (r == STREAM_COMMIT)
        driver_flush(d);
    if (r == STREAM_ABANDONED || r == STREAM_AGAIN || r == STREAM_FAIL)
        driver_cut(d);
    return "IBCA?RF"[r];
}

#endif
