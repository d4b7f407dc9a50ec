/* fuzz_segment.c - a slot whose segment was changed: opening, recovery and reading must end cleanly whatever it holds.
 *
 * The input is a list of changes to a valid segment (so that it gets past magic numbers at once), and says whether the checksums are
 * made right again afterwards (so that it gets past them, too). */
#include <stdio.h>

#include "../unit/frame_any_row.h"
#include "changed_frames.h"

#include "file.h"
#include "frame_coder.h"
#include "schema_set.h"
#include "seg_reader.h"
#include "seg_writer.h"
#include "slog.h"

#include <fcntl.h>
#include <unistd.h>

static char dir[] = "/dev/shm/rowtide-fuzz-XXXXXX";
static int dirfd;
static struct buf images[6]; /* open, sealed; the same with a schema history; the same compressed, with tails */
static const char name[] = "0000000000000001.seg";

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok, const struct err *err)
{
    if (!ok) {
        fprintf(stderr, "%s\n", err->msg);
        abort();
    }
}

static void clean(void)
{
    static const char *const names[] = { "0000000000000001.seg", "state", "lock" };
    char **segs;
    size_t n;
    struct err err;
    if (file_list(dirfd, SEGMENT_SUFFIX, &segs, &n, &err)) {
        for (size_t i = 0; i < n; i++)
            unlinkat(dirfd, segs[i], 0);
        file_list_free(segs, n);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlinkat(dirfd, names[i], 0);
}

static void at_exit(void)
{
    clean();
    rmdir(dir);
}

/* z NULL: stored as it is. */
static void add_frame(struct buf *out, struct zcodec *z, uint8_t type, const struct frame_info *info,
                      struct bytes payload, struct segment_footer *f)
{
    struct err err;
    struct segment_frame at = { .offset = out->n, .type = type, .info = *info, .raw_size = (uint32_t)payload.n };
    must(z == NULL ? zblock_write_stored(type, info, payload, out, &err)
                   : zblock_write(z, type, info, payload, out, &err),
         &err);
    at.stored_size = (uint32_t)(out->n - at.offset - ZB_HEADER_SIZE);
    f->changes += info->nchanges;
    if (type == ZB_DATA || type == ZB_POSITION)
        f->frames[f->nframes++] = at;
}

/* Digits in place of all strings. */
static struct val *digits_only(struct val *row, const struct relation *r, struct any_rng *rng)
{
    for (unsigned c = 0; c < r->ncols; c++) {
        if (!val_is_str(row[c].kind))
            continue;
        uint8_t *p = realloc((void *)(uintptr_t)row[c].u.str.p, 8);
        for (unsigned k = 0; k < 8; k++)
            p[k] = (uint8_t)('0' + any_below(rng, 10));
        row[c].u.str = bytes_of(p, 8);
    }
    return row;
}

/* All definitions, as a segment begins with them, or changes of a few, as DDL makes them. */
static void add_schema(struct buf *out, bool all, uint64_t lsn, struct segment_footer *f)
{
    const struct schema_entry entries[] = { { .schema = BYTES_LIT("d"), .sql = BYTES_LIT("CREATE DATABASE d") },
                                            { BYTES_LIT("d"), BYTES_LIT("t"), BYTES_LIT("CREATE TABLE t (a int)") } };
    const struct frame_info info = { .first_lsn = lsn };
    struct schema_set s = { 0 };
    struct buf payload = { 0 };
    struct err err;
    schema_change_begin(&payload);
    for (size_t i = 0; i < 2; i++) {
        must(schema_set_put(&s, &entries[i], &err), &err);
        schema_change_put(&payload, &entries[i]);
    }
    schema_change_remove(&payload, entries[1].schema, entries[1].table);
    if (all) {
        buf_reset(&payload);
        schema_set_encode(&s, &payload);
    }
    add_frame(out, NULL, ZB_SCHEMA, &info, buf_view(&payload), f);
    schema_set_clear(&s);
    buf_free(&payload);
}

/* The collected records; with z as they are stored when there is something to code. */
static void finish(struct frame_builder *b, struct zcodec *z, struct buf *payload, struct frame_info *info)
{
    struct err err;
    struct bytes to;
    struct frame_coder *c = frame_coder_new();
    buf_reset(payload);
    must(frame_builder_finish(b, payload, info, &err), &err);
    if (z != NULL) {
        must(frame_coder_code(c, buf_view(payload), frame_builder_relations(b), &to, &info->tail, &err), &err);
        if (to.p != payload->p) {
            buf_reset(payload);
            buf_bytes(payload, to);
        }
    }
    frame_coder_free(c);
}

/* Relations, a transaction of its own (two with z, which sealing merges), one in two parts, a position. */
static void make(struct buf *out, bool sealed, bool history, struct zcodec *z)
{
    struct err err;
    struct any_rng rng = { 3 };
    struct relation *r = any_relation(&rng, "t");
    struct segment_frame index[8];
    struct segment_footer f = { .frames = index };
    struct buf payload = { 0 };
    struct frame_info info = { .first_lsn = 1 };
    struct segment_header h = { .sealed = sealed,
                                .first_lsn = 1,
                                .source = "s",
                                .source_version = "v",
                                .start = { .flavor = GTID_MYSQL, .gtids = gtid_set_new(GTID_MYSQL) } };
    struct source_pos end;
    must(source_pos_copy(&h.start, &end, &err) && segment_header_encode(&h, out, &err), &err);
    if (history)
        add_schema(out, true, 1, &f);
    segment_relations_encode(&r, 1, &payload);
    add_frame(out, z, ZB_RELATIONS, &info, buf_view(&payload), &f);
    struct frame_builder *b = frame_builder_new();
    frame_builder_reset(b, 1, false);
    const struct rec_commit commit = { .file = BYTES_LIT("bin.1"), .end_offset = 5 };
    const unsigned last = z == NULL ? 2 : 3;
    for (unsigned txn = 1; txn <= last; txn++) {
        struct rec_begin begin = { .gtid = { .flavor = GTID_MYSQL, .no = txn }, .commit_us = txn };
        must(frame_add_begin(b, &begin, &err), &err);
        for (unsigned i = 0; z != NULL && i < 20; i++) { /* so many make a tail */
            struct val *n = digits_only(any_row(&rng, r, 0), r, &rng);
            must(frame_add_insert(b, r, n, &err), &err);
            any_row_free(n, r);
        }
        for (unsigned i = 0; i < 2; i++) {
            struct val *n = any_row(&rng, r, 1), *o = any_row(&rng, r, 1);
            if (z != NULL)
                digits_only(n, r, &rng);
            must(frame_add_update(b, r, o, n, &err) && frame_add_delete(b, r, o, &err), &err);
            any_row_free(n, r);
            any_row_free(o, r);
            if (txn == last && i == 0) {
                finish(b, z, &payload, &info);
                add_frame(out, z, ZB_DATA, &info, buf_view(&payload), &f);
                frame_builder_reset(b, frame_builder_next_lsn(b), true);
            }
        }
        must(frame_add_commit(b, &commit, &err), &err);
        finish(b, z, &payload, &info);
        add_frame(out, z, ZB_DATA, &info, buf_view(&payload), &f);
        if (z != NULL && txn == 1 && info.tail == 0)
            abort();
        frame_builder_reset(b, frame_builder_next_lsn(b), false);
        if (history)
            add_schema(out, false, frame_builder_next_lsn(b), &f);
    }
    buf_reset(&payload);
    source_pos_encode(&end, &payload);
    info = (struct frame_info){ .first_lsn = frame_builder_next_lsn(b) };
    add_frame(out, z, ZB_POSITION, &info, buf_view(&payload), &f);
    if (sealed) {
        f.next_lsn = info.first_lsn;
        f.transactions = last;
        f.end = end;
        must(relation_table_add(&f.relations, r, &err), &err);
        uint64_t at = out->n;
        buf_reset(&payload);
        must(segment_footer_encode(&f, &payload, &err), &err);
        add_frame(out, z, ZB_FOOTER, &info, buf_view(&payload), &f);
        segment_trailer_encode(at, out);
        relation_table_clear(&f.relations);
    }
    frame_builder_free(b);
    source_pos_clear(&end);
    segment_header_clear(&h);
    buf_free(&payload);
    relation_unref(r);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct err err;
    slog_threshold = SLOG_ERROR;
    if (mkdtemp(dir) == NULL || (dirfd = open(dir, O_RDONLY | O_DIRECTORY)) < 0)
        abort();
    atexit(at_exit);
    struct zcodec *z = zcodec_new();
    for (unsigned i = 0; i < 6; i++)
        make(&images[i], (i & 1) != 0, (i & 2) != 0, i < 4 ? NULL : z);
    zcodec_free(z);
    struct segment *g = NULL; /* the images are good: else this fuzzer tests nothing */
    const struct segment_footer *f;
    for (unsigned i = 1; i < 6; i += 2) {
        must(file_replace(dirfd, name, buf_view(&images[i]), 0640, &err) && segment_open(dirfd, name, &g, &err) &&
                 segment_footer(g, &f, &err),
             &err);
        segment_close(g);
    }
    return 0;
}

static void fix_checksums(struct buf *b)
{
    size_t at = b->n < 16 ? b->n : get32(b->p + 12);
    if (at > b->n || at < 84)
        return;
    uint8_t *seal = b->p + SEGMENT_SEAL_AT, was[2] = { seal[0], seal[1] };
    bool sealed = bytes_eq(bytes_of(seal, 2), segment_seal());
    if (sealed)
        memset(seal, 0, 2); /* not counted */
    put32(b->p + at - 4, crc32c(0, bytes_of(b->p, at - 4)));
    memcpy(seal, was, 2);
    fix_frame_checksums(b, at);
    if (b->n >= SEGMENT_TRAILER_SIZE && sealed) {
        uint8_t *t = b->p + b->n - SEGMENT_TRAILER_SIZE;
        put32(t + 20, crc32c(0, bytes_of(t, 20)));
    }
}

static void read_slot(void)
{
    struct err err;
    struct seg_reader *r;
    struct seg_commit c;
    struct source_pos p;
    if (seg_reader_open(dir, 0, &r, &err)) {
        struct frame *f;
        unsigned from;
        while (seg_reader_next(r, &f, &from, &err) == SEG_READ_FRAME)
            frame_unref(f);
        seg_reader_close(r);
    }
    seg_reader_commit_at(dir, 6, &c, &err);
    if (seg_reader_position_at(dir, 6, &p, &err))
        source_pos_clear(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err;
    if (n < 1)
        return 0;
    struct buf b = { 0 };
    buf_bytes(&b, buf_view(&images[(data[0] & 1) | (data[0] >= 0xe0 ? 4 : data[0] >> 3 & 2)]));
    change_bytes(&b, bytes_of(data + 1, n - 1));
    if ((data[0] & 4) != 0 && n >= 3)
        b.n = (data[1] | (size_t)data[2] << 8) % b.n;
    if ((data[0] & 2) != 0)
        fix_checksums(&b);
    clean();
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    must(fd >= 0 && file_write_all(fd, buf_view(&b), name, &err), &err);
    close(fd);

    struct segment *g;
    if (segment_open(dirfd, name, &g, &err)) {
        const struct segment_footer *f;
        segment_footer(g, &f, &err);
        segment_close(g);
    }
    struct slot *slot;
    struct seg_writer *w;
    struct seg_recovered rec;
    const struct seg_writer_options o = { .segment_size = 1, .merge_below = 1 << 20, .frame_size = 1 << 20 };
    if (slot_open(dir, SLOT_WRITE, &slot, &err)) {
        if (seg_writer_recover(slot, &o, &w, &rec, &err)) {
            struct source_pos start = { 0 };
            if (seg_writer_start(w, "s", (data[0] & 8) != 0 ? "v" : "w: seals", rec.empty ? &start : NULL, &err))
                read_slot();
            source_pos_clear(&rec.pos);
            schema_set_clear(&rec.schema);
            seg_writer_close(&w, &err);
        }
        slot_close(slot);
    }
    read_slot();
    buf_free(&b);
    return 0;
}
