/* binlog_fixture.h - reads a recorded binlog file (tests/fixtures/README.md) event by event. For tests only. */
#ifndef ROWTIDE_BINLOG_FIXTURE_H
#define ROWTIDE_BINLOG_FIXTURE_H

#include "binlog_event.h"
#include "unit.h"

static inline struct bytes read_whole(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    size_t n = 0, cap = (size_t)1 << 20;
    uint8_t *p = malloc(cap);
    while (p != NULL) {
        size_t got = fread(p + n, 1, cap - n, f);
        n += got;
        if (got == 0)
            break;
        if (n == cap)
            p = realloc(p, cap *= 2);
    }
    fclose(f);
    return (struct bytes){ p, n };
}

struct binlog_file {
    struct bytes all;
    size_t at;
};
static inline struct binlog_file binlog_file_open(const char *path)
{
    struct binlog_file f = { read_whole(path), 4 };
    CHECK(f.all.n > 4 && memcmp(f.all.p,
                                "\xfe"
                                "bin",
                                4) == 0,
          "%s: no binlog", path);
    return f;
}
/* The next whole event; false at the end. */
static inline bool binlog_file_next(struct binlog_file *f, struct bytes *event)
{
    if (f->all.n - f->at < 19)
        return false;
    const uint8_t *p = f->all.p + f->at;
    size_t n = (size_t)p[9] | (size_t)p[10] << 8 | (size_t)p[11] << 16 | (size_t)p[12] << 24;
    if (n < 19 || n > f->all.n - f->at)
        return false;
    *event = (struct bytes){ p, n };
    f->at += n;
    return true;
}

/* A heap copy of the first n bytes, with n in its header's length field (so that only what is behind the header can
 * be wrong). */
static inline struct bytes cut_event(struct bytes event, size_t n)
{
    uint8_t *p = malloc(n == 0 ? 1 : n);
    memcpy(p, event.p, n);
    for (size_t i = 0; i < 4 && 9 + i < n; i++)
        p[9 + i] = (uint8_t)(n >> (8 * i));
    return (struct bytes){ p, n };
}

#endif
