/* fuzz_binlog_stream.c - any sequence of events through the transaction state machine, as a server could send it:
 * headers and checksums are right, what is in them is not.
 *
 * Input: one byte of options (bits: MySQL or MariaDB, by GTID, frames of one row, discard, resumed at an offset), then
 * events: type, flags, length of the body (2 bytes), body; or type 0: the connection breaks. Or a binlog file as
 * servers write it (its checksums are dropped), so that recorded ones are seeds; the last byte of its magic is the
 * options. Checked: records come out whole, the position never goes back and does not move inside a transaction. */
#include "binlog_stream.h"
#include "file.h"
#include "slog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] =
    "/dev/shm/rowtide-fuzz-XXXXXX"; /* of prepared XA transactions; what one input leaves, the next drops */
static int slotfd;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OPT_MARIADB = 1,
    OPT_GTID = 2,
    OPT_SMALL_FRAMES = 4,
    OPT_DISCARD = 8,
    OPT_LATER = 16,
    OPT_REPLACE = 32,
    MAX_EVENT = 1 << 20
};

struct fuzz {
    struct binlog_stream *s;
    struct frame_builder *b;
    uint64_t offset, open_lsn;
    uint8_t options;
    bool between, again; /* after the last event: no transaction is open; the open one is to be read again */
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void at_exit(void)
{
    struct err err;
    char **names;
    size_t n;
    int fd = openat(slotfd, XA_DIR, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && file_list(fd, "", &names, &n, &err)) {
        for (size_t i = 0; i < n; i++)
            (void)unlinkat(fd, names[i], 0);
        file_list_free(names, n);
    }
    (void)unlinkat(slotfd, XA_DIR, AT_REMOVEDIR);
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    slog_threshold = SLOG_ERROR;
    require(mkdtemp(dir) != NULL && (slotfd = open(dir, O_RDONLY | O_DIRECTORY)) >= 0);
    return atexit(at_exit);
}

static void flush(struct fuzz *f)
{
    struct err err;
    struct buf out = { 0 };
    struct frame_info info;
    struct frame *frame = NULL;
    if (frame_builder_records(f->b) == 0)
        return;
    if (frame_builder_finish(f->b, &out, &info, &err)) /* out of memory or too large are no faults */
        require(frame_decode(buf_view(&out), &info, frame_builder_relations(f->b), &frame, &err));
    frame_unref(frame);
    buf_free(&out);
    frame_builder_reset(f->b, frame_builder_next_lsn(f->b), frame_builder_inside(f->b));
}

static void cut(struct fuzz *f)
{
    frame_builder_reset(f->b, f->open_lsn, false);
}

static bool feed(struct fuzz *f, uint8_t type, uint8_t flags, struct bytes body)
{
    struct buf e = { 0 };
    struct err err;
    struct source_pos before;
    bool placed = (flags & EVF_ARTIFICIAL) == 0 && type != EV_FORMAT_DESCRIPTION;
    if (placed)
        f->offset += 19 + body.n;
    buf_le(&e, 1700000000, 4);
    buf_u8(&e, type);
    buf_le(&e, 1, 4);
    buf_le(&e, 19 + body.n, 4);
    buf_le(&e, placed ? (uint32_t)f->offset : 0, 4);
    buf_le(&e, flags, 2);
    buf_bytes(&e, body);
    uint8_t *exact = malloc(e.n);
    require(exact != NULL && source_pos_copy(binlog_stream_position(f->s), &before, &err));
    memcpy(exact, e.p, e.n);
    size_t frame_size = f->options & OPT_SMALL_FRAMES ? 1 : FRAME_SIZE_MAX;
    enum stream_step r = binlog_stream_event(f->s, bytes_of(exact, e.n), f->b, frame_size, &err);
    while (r == STREAM_ROWS_FULL) {
        flush(f);
        r = binlog_stream_continue(f->s, f->b, frame_size, &err);
    }
    free(exact);
    buf_free(&e);
    const struct source_pos *p = binlog_stream_position(f->s);
    bool same_file = strcmp(p->file, before.file) == 0;
    switch (r) {
    case STREAM_COMMIT:
        require(!frame_builder_inside(f->b));
        flush(f);
        f->open_lsn = frame_builder_next_lsn(f->b);
        break;
    case STREAM_ABANDONED:
        require(frame_builder_inside(f->b));
        cut(f);
        break;
    case STREAM_BOUNDARY:
        require(!frame_builder_inside(f->b));
        break;
    case STREAM_INSIDE:
        require(same_file && p->offset == before.offset);
        break;
    case STREAM_AGAIN:
        f->again = true;
        break;
    case STREAM_ROWS_FULL:
    case STREAM_FAIL:
        break;
    }
    if (same_file && p->flavor == GTID_NONE && type != EV_ROTATE)
        require(p->offset >= before.offset);
    if (p->flavor != GTID_NONE)
        require(gtid_set_subset(before.gtids, p->gtids));
    source_pos_clear(&before);
    f->between = r != STREAM_INSIDE && r != STREAM_AGAIN;
    return r != STREAM_FAIL;
}

/* What opens every connection: an artificial ROTATE and FORMAT_DESCRIPTION, without checksums. */
static bool greet(struct fuzz *f, const char *file, uint64_t offset)
{
    struct buf b = { 0 };
    char version[50] = "9.7.4";
    if (f->options & OPT_MARIADB)
        memcpy(version, "10.11.19-MariaDB", 16);
    buf_le(&b, offset, 8);
    buf_str(&b, file);
    bool ok = feed(f, EV_ROTATE, EVF_ARTIFICIAL, buf_view(&b));
    buf_reset(&b);
    buf_le(&b, 4, 2);
    buf_put(&b, version, sizeof version);
    buf_le(&b, 0, 4);
    buf_u8(&b, 19);
    for (unsigned type = 1; type <= 171; type++)
        buf_u8(&b, type == EV_QUERY || type == EV_MARIADB_QUERY_COMPRESSED                              ? 13
                   : type == EV_TABLE_MAP || (type >= 23 && type <= 25) || (type >= 166 && type <= 168) ? 8
                                                                                                        : 10);
    buf_le(&b, 0, 5);
    ok = ok && feed(f, EV_FORMAT_DESCRIPTION, 0, buf_view(&b));
    f->offset = offset;
    buf_free(&b);
    return ok;
}

struct event {
    uint8_t type, flags;
    struct bytes body;
};

static bool next_event(struct cur *c, bool file, struct event *out)
{
    enum { HEADER = 19, CRC = 4 };
    struct event e = { 0 };
    size_t n;
    if (cur_left(c) < (file ? HEADER + CRC : 4))
        return false;
    if (file) {
        (void)cur_take(c, 4);
        e.type = cur_u8(c);
        (void)cur_take(c, 4);
        n = (size_t)cur_le(c, 4);
        (void)cur_take(c, 4);
        e.flags = (uint8_t)cur_le(c, 2);
        n = n < HEADER + CRC ? 0 : n - HEADER - CRC;
    } else {
        e.type = cur_u8(c);
        e.flags = cur_u8(c);
        n = (size_t)cur_le(c, 2);
    }
    e.body = cur_take(c, n < cur_left(c) ? n : cur_left(c));
    if (file)
        (void)cur_take(c, cur_left(c) < CRC ? cur_left(c) : CRC);
    *out = e;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cur c = cur_over(bytes_of(data, size));
    bool file = size > 4 && memcmp(data, "\xfe\x62\x69", 3) == 0;
    if (file)
        (void)cur_take(&c, 3);
    struct fuzz f = { .options = cur_u8(&c), .offset = 4, .open_lsn = 1 };
    if (file && memmem(data, size < 300 ? size : 300, "MariaDB", 7) != NULL)
        f.options |= OPT_MARIADB;
    struct source_pos from = { .server = "server", .file = "b.000001", .offset = 4 };
    struct pattern *tables = NULL;
    struct err err;
    if (f.options & OPT_GTID) {
        from.flavor = f.options & OPT_MARIADB ? GTID_MARIADB : GTID_MYSQL;
        from.gtids = gtid_set_new(from.flavor);
    }
    if (f.options & OPT_LATER)
        from.offset = 300;
    require(pattern_parse("s*.*,!s.skip*", &tables, &err));
    static const uint8_t uuid[16];
    struct binlog_stream_options o = { .tables = tables,
                                       .max_event = MAX_EVENT,
                                       .replace_invalid_text = (f.options & OPT_REPLACE) != 0 };
    require(xa_store_open(slotfd, uuid, &from, &o.xa, &err));
    f.b = frame_builder_new();
    require(f.b != NULL && binlog_stream_new(&o, &from, &f.s, &err));
    frame_builder_reset(f.b, 1, false);
    bool discard = (f.options & (OPT_DISCARD | OPT_GTID)) == OPT_DISCARD;
    if (discard)
        binlog_stream_reconnect(f.s, "server", true);
    bool ok = greet(&f, from.file, discard || (f.options & OPT_GTID) ? 4 : from.offset);
    struct event e;
    struct cur open = c; /* where the open transaction begins */
    unsigned readings = 0;
    while (ok && next_event(&c, file, &e)) {
        if (file && e.type == EV_FORMAT_DESCRIPTION)
            continue; /* greet has sent one, without checksums */
        if (e.type != 0) {
            ok = feed(&f, e.type, e.flags, e.body);
            if (f.between)
                open = c;
            if (!f.again)
                continue;
            if (readings++ < 3) /* another server may be asked in the middle of it: then that is one more first one */
                c = open;
        }
        cut(&f);
        binlog_stream_reconnect(f.s, e.flags & 1 || f.again ? "server" : "other", false);
        f.again = false;
        const struct source_pos *p = binlog_stream_position(f.s);
        char name[POSITION_FILE_MAX + 1];
        snprintf(name, sizeof name, "%s", p->file[0] == '\0' ? "b.000009" : p->file);
        ok = greet(&f, name, p->flavor == GTID_NONE ? p->offset : 4);
    }
    binlog_stream_free(f.s);
    xa_store_close(o.xa);
    frame_builder_free(f.b);
    pattern_free(tables);
    source_pos_clear(&from);
    return 0;
}
