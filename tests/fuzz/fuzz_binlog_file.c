/* fuzz_binlog_file.c - any bytes as a binlog file: the file reader with explain of each event (text and JSON), and the
 * same file twice as a source for capture.
 *
 * Seeds have no checksums, which no mutation would get right. Checked: events lie one behind the other and within the
 * file, each has a text, and the source announces what it reads. */
#include "binlog_explain.h"
#include "binlog_file.h"
#include "binlog_files.h"
#include "slog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_EVENT = 1 << 20, STEPS_MAX = 10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void explain(const char *path, size_t size, bool json)
{
    struct binlog_explain_options o = { .json = json, .rows = true, .max_event = MAX_EVENT };
    struct binlog_file *f = NULL;
    struct err err;
    struct buf out = { 0 };
    struct bytes event;
    if (!binlog_file_open(path, MAX_EVENT, &f, &err))
        return;
    struct binlog_explain *x = binlog_explain_new(&o);
    require(x != NULL);
    for (uint64_t end = BINLOG_FILE_FIRST; binlog_file_next(f, &event, &err) == BINLOG_FILE_EVENT;) {
        require(binlog_file_at(f) == end);
        end = binlog_file_end(f);
        require(end <= size && end - binlog_file_at(f) == event.n);
        buf_reset(&out);
        bool whole = binlog_explain_event(x, event, binlog_file_at(f), &out, &err);
        require(out.n > 0 && out.p[out.n - 1] == '\n');
        if (!whole)
            break;
    }
    buf_free(&out);
    binlog_explain_free(x);
    binlog_file_close(f);
}

static void capture(const char *path, const char *start)
{
    const char *paths[] = { path, path };
    struct binlog_files *f = NULL;
    struct source_pos pos = { 0 };
    struct err err;
    struct bytes event;
    if (!binlog_files_open(paths, 2, MAX_EVENT, &f, &err))
        return;
    if (binlog_files_start(f, start, &pos, &err) && binlog_files_dump(f, &pos, &err)) {
        enum fetch_result r = FETCH_EVENT;
        for (unsigned i = 0; r == FETCH_EVENT; i++) {
            r = binlog_files_fetch(f, &event, &err);
            require(r != FETCH_EVENT || (event.n >= 19 && i < STEPS_MAX && (i > 0 || event.p[4] == EV_ROTATE)));
        }
    }
    source_pos_clear(&pos);
    binlog_files_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("binlog", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    slog_threshold = SLOG_ERROR;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    explain(path, size, false);
    explain(path, size, true);
    capture(path, NULL);
    capture(path, "gtid:0-9-3");
    capture(path, "gtid:5dbcba8b-e557-11f1-9f11-02fc00000001:1-3");
    char start[64];
    snprintf(start, sizeof start, "file:%d:158", fd);
    capture(path, start);
    close(fd);
    return 0;
}
