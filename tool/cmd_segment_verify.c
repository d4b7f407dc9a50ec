/* cmd_segment_verify.c - rowtide segment verify: every frame's checksums, decoding, LSN order, footers. Reads only. */
#include "tool.h"

#include "json_text.h"
#include "xa_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct verify_options {
    bool json;
};
static const struct opt options[] = {
    { "json", NULL, NULL, "an object a segment, then a summary", OPT_FLAG, offsetof(struct verify_options, json),
      NULL },
    { 0 },
};
static const struct opt_program program = {
    .name = "rowtide segment verify",
    .synopsis = "DIR [OPTIONS]",
    .about = "Checks every byte of a slot's segments: checksums, decoding, that LSNs are dense, that footers say what "
             "the frames hold.",
    .epilog = "Exit codes: 0 all good (a tail behind the flushed LSN is not an error: capture cuts it), 1 corruption.",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
};

struct totals {
    uint64_t segments, bytes, frames, records, changes, transactions, faults;
};
struct result { /* of one segment */
    uint64_t frames, records, changes, transactions, tail_bytes, size;
    bool sealed;
};

static bool check_frame(struct segment *s, const struct segment_frame *sf, uint64_t *next_lsn, struct result *r,
                        struct buf *payload, struct err *err)
{
    struct frame *f = NULL;
    if (*next_lsn != 0 && sf->info.first_lsn != *next_lsn)
        return err_set(err, ERR_CORRUPT, "%s: the frame at offset %llu begins with LSN %llu, expected %llu",
                       segment_file(s), (unsigned long long)sf->offset, (unsigned long long)sf->info.first_lsn,
                       (unsigned long long)*next_lsn);
    buf_reset(payload);
    if (!segment_read(s, sf, payload, err) ||
        !frame_decode(buf_view(payload), &sf->info, segment_relations(s), &f, err))
        return err_ctx(err, "%s: frame at offset %llu", segment_file(s), (unsigned long long)sf->offset);
    frame_unref(f);
    *next_lsn = sf->info.first_lsn + sf->info.nrecords;
    r->frames++;
    r->records += sf->info.nrecords;
    r->changes += sf->info.nchanges;
    r->transactions += sf->info.ncommits;
    return true;
}

/* False: a fault in what readers may see. A torn tail behind flushed is only noted. */
static bool check_segment(struct segment *s, uint64_t flushed, uint64_t *next_lsn, uint64_t size, struct result *r,
                          struct err *err)
{
    const struct segment_footer *footer = NULL;
    struct buf payload = { 0 };
    bool ok = segment_footer(s, &footer, err);
    r->sealed = footer != NULL;
    r->size = size;
    if (ok && *next_lsn != 0 && segment_header(s)->first_lsn != *next_lsn)
        ok = err_set(err, ERR_CORRUPT, "%s begins with LSN %llu, expected %llu", segment_file(s),
                     (unsigned long long)segment_header(s)->first_lsn, (unsigned long long)*next_lsn);
    uint64_t off = segment_first_offset(s);
    uint64_t next = segment_header(s)->first_lsn;
    while (ok) {
        struct segment_frame f;
        bool end = false;
        ok = segment_frame_at(s, off, &f, &end, err);
        if (ok && (end || f.type == ZB_FOOTER))
            break;
        if (ok && f.type == ZB_RELATIONS)
            ok = segment_load_relations(s, &f, err);
        if (ok && f.type == ZB_DATA)
            ok = check_frame(s, &f, &next, r, &payload, err);
        if (ok)
            off = segment_next_offset(&f);
    }
    if (!ok && footer == NULL && next > flushed) { /* behind what anybody has been told of */
        r->tail_bytes = size - off;
        ok = true;
    }
    if (ok && footer != NULL && footer->next_lsn != next)
        ok = err_set(err, ERR_CORRUPT, "%s: the footer says the next LSN is %llu, its frames end before %llu",
                     segment_file(s), (unsigned long long)footer->next_lsn, (unsigned long long)next);
    *next_lsn = next;
    buf_free(&payload);
    return ok;
}

static void report(struct buf *out, bool json, const char *name, const struct result *r, const char *fault)
{
    if (json) {
        buf_printf(out,
                   "{\"segment\":\"%s\",\"sealed\":%s,\"bytes\":%llu,\"frames\":%llu,\"records\":%llu,\"changes\":%llu,"
                   "\"transactions\":%llu",
                   name, r->sealed ? "true" : "false", (unsigned long long)r->size, (unsigned long long)r->frames,
                   (unsigned long long)r->records, (unsigned long long)r->changes, (unsigned long long)r->transactions);
        buf_printf(out, ",\"tail_bytes\":%llu,\"fault\":", (unsigned long long)r->tail_bytes);
        json_string(out, bytes_str(fault));
        buf_str(out, "}\n");
        return;
    }
    buf_printf(out, "%s  %s  %llu bytes, %llu frames, %llu transactions, %llu changes", name,
               r->sealed ? "sealed" : "open  ", (unsigned long long)r->size, (unsigned long long)r->frames,
               (unsigned long long)r->transactions, (unsigned long long)r->changes);
    if (r->tail_bytes > 0)
        buf_printf(out, "; %llu bytes behind the last commit, which capture will cut",
                   (unsigned long long)r->tail_bytes);
    if (fault[0] != '\0')
        buf_printf(out, "\n  FAULT: %s", fault);
    buf_u8(out, '\n');
}

/* --- prepared XA transactions --- */

static bool check_rows(const struct slot *slot, const struct xa_entry *e, struct err *err)
{
    char name[XA_ROWS_NAME], path[sizeof XA_DIR + XA_ROWS_NAME];
    struct xa_rows *rows = NULL;
    struct frame *f = NULL;
    xa_rows_name(e->number, name);
    snprintf(path, sizeof path, XA_DIR "/%s", name);
    int fd = openat(slot_dirfd(slot), path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", path);
    bool ok = xa_rows_open(fd, slot_uuid(slot), e, &rows, err);
    while (ok) {
        ok = xa_rows_next(rows, &f, err);
        if (f == NULL)
            break;
        frame_unref(f);
        f = NULL;
    }
    xa_rows_close(rows);
    return ok;
}

/* A running capture removes the rows of one that ended, but notes the end before. */
static bool has_ended(const struct slot *slot, uint64_t number)
{
    struct xa_index x;
    struct err ignored;
    bool waits = false;
    if (!xa_index_read(slot_dirfd(slot), slot_uuid(slot), &x, &ignored))
        return false;
    for (size_t i = 0; i < x.n; i++)
        waits = waits || (x.v[i].number == number && !x.v[i].is_ended);
    xa_index_clear(&x);
    return !waits;
}

static void report_prepared(struct buf *out, bool json, const struct xa_entry *e, const char *fault)
{
    if (json) {
        buf_str(out, "{\"prepared\":");
        json_string(out, bytes_str(e->xid));
        buf_printf(out, ",\"bytes\":%llu,\"changes\":%llu,\"fault\":", (unsigned long long)e->bytes,
                   (unsigned long long)e->records);
        json_string(out, bytes_str(fault));
        buf_str(out, "}\n");
        return;
    }
    buf_printf(out, "prepared %s  %llu bytes, %llu changes%s%s\n", e->xid, (unsigned long long)e->bytes,
               (unsigned long long)e->records, fault[0] == '\0' ? "" : "\n  FAULT: ", fault);
}

static void verify_prepared(const struct slot *slot, bool json, struct totals *t, struct buf *out)
{
    struct xa_index x;
    struct err err = { 0 };
    if (!xa_index_read(slot_dirfd(slot), slot_uuid(slot), &x, &err)) {
        t->faults++;
        buf_printf(out, json ? "{\"fault\":\"%s\"}\n" : "FAULT: %s\n", err.msg);
        return;
    }
    for (size_t i = 0; i < x.n; i++) {
        struct xa_entry *e = &x.v[i];
        struct err fault = { 0 };
        bool good = e->is_ended || e->records == 0 || check_rows(slot, e, &fault);
        if (e->is_ended || (!good && has_ended(slot, e->number)))
            continue;
        t->faults += !good;
        report_prepared(out, json, e, good ? "" : fault.msg);
    }
    xa_index_clear(&x);
}

static bool verify(const char *path, bool json, struct totals *t, struct err *err)
{
    struct slot *slot = NULL;
    struct slot_segment *segs = NULL;
    struct slot_state state = { 0 };
    struct buf out = { 0 };
    size_t n = 0;
    uint64_t next_lsn = 0;
    bool ok = slot_open(path, SLOT_READ, &slot, err) && slot_state_read(slot, &state, err) &&
              slot_segments(slot, &segs, &n, err);
    for (size_t i = 0; ok && i < n; i++) {
        struct segment *s = NULL;
        struct result r = { 0 };
        struct err fault = { 0 };
        bool good = segment_open(slot_dirfd(slot), segs[i].name, &s, &fault);
        if (good) {
            struct stat st;
            good = fstatat(slot_dirfd(slot), segs[i].name, &st, 0) == 0 || err_sys(&fault, "%s", segs[i].name);
            good = good && check_segment(s, state.flushed_lsn, &next_lsn, (uint64_t)st.st_size, &r, &fault);
            if (good && !r.sealed && i + 1 < n) /* a successor is made when the seal is on the disk */
                good = err_set(&fault, ERR_CORRUPT, "%s is not sealed, but another one follows it", segs[i].name);
        }
        report(&out, json, segs[i].name, &r, good ? "" : fault.msg);
        t->segments++;
        t->bytes += r.size;
        t->frames += r.frames;
        t->records += r.records;
        t->changes += r.changes;
        t->transactions += r.transactions;
        t->faults += !good;
        if (!good)
            next_lsn = 0; /* go on with what can be checked */
        segment_close(s);
        ok = tool_flush(&out, err);
    }
    if (ok && t->faults == 0 && next_lsn != 0 && next_lsn <= state.flushed_lsn) {
        t->faults++;
        buf_printf(&out,
                   "FAULT: the log ends before LSN %llu, but LSN %llu was flushed: this is an older or damaged copy of "
                   "the slot\n",
                   (unsigned long long)next_lsn, (unsigned long long)state.flushed_lsn);
        ok = tool_flush(&out, err);
    }
    if (ok) {
        verify_prepared(slot, json, t, &out);
        ok = tool_flush(&out, err);
    }
    free(segs);
    slot_state_clear(&state);
    slot_close(slot);
    buf_free(&out);
    return ok;
}

int cmd_segment_verify(int argc, char **argv)
{
    struct verify_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    struct totals t = { 0 };
    int code = 0;
    if (!tool_parse(&program, argc, argv, &o, &args, &code))
        return code;
    if (!verify(args.v[0], o.json, &t, &err)) {
        code = tool_fail(&program, &err);
    } else {
        if (o.json)
            printf("{\"segments\":%llu,\"bytes\":%llu,\"frames\":%llu,\"records\":%llu,\"changes\":%llu,"
                   "\"transactions\":%llu,\"faults\":%llu}\n",
                   (unsigned long long)t.segments, (unsigned long long)t.bytes, (unsigned long long)t.frames,
                   (unsigned long long)t.records, (unsigned long long)t.changes, (unsigned long long)t.transactions,
                   (unsigned long long)t.faults);
        else
            printf("%llu segments, %llu bytes, %llu transactions, %llu changes: %s\n", (unsigned long long)t.segments,
                   (unsigned long long)t.bytes, (unsigned long long)t.transactions, (unsigned long long)t.changes,
                   t.faults == 0 ? "all good" : "CORRUPT");
        code = t.faults == 0 ? 0 : 1;
    }
    opts_free(&program, &o, &args);
    return code;
}
