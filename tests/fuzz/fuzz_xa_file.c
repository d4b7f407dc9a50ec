/* fuzz_xa_file.c - the files of prepared XA transactions, and the names in statements: reading must end cleanly whatever
 * they hold, and what was read must be written again as it was.
 *
 * The first byte says what the rest is: 0 an index's payload; 1 an index as a file; 2 the text behind XA COMMIT; 3 an
 * XA_PREPARE event's body; else changes (offset, 2 bytes, and the new byte) to a valid file of rows, whose checksums are made
 * right afterwards when the byte is odd. */
#include <stdio.h>

#include "../unit/frame_any_row.h"
#include "changed_frames.h"

#include "file.h"
#include "segment.h"
#include "xa_file.h"
#include "xid.h"

#include <sys/mman.h>
#include <unistd.h>

static const uint8_t slot[16] = { 7 };
static struct buf image;
static uint64_t records;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok, const struct err *err)
{
    if (!ok) {
        fprintf(stderr, "%s\n", err->msg);
        abort();
    }
}

/* One frame of relations, two of rows. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct err err;
    struct any_rng rng = { 3 };
    struct relation *r = any_relation(&rng, "t");
    struct frame_builder *b = frame_builder_new();
    struct buf payload = { 0 };
    struct frame_info info = { .first_lsn = 1 };
    must(xa_rows_head(slot, 1, &image, &err), &err);
    segment_relations_encode(&r, 1, &payload);
    must(zblock_write_stored(ZB_RELATIONS, &info, buf_view(&payload), &image, &err), &err);
    for (unsigned i = 0; i < 2; i++) {
        struct val *row = any_row(&rng, r, 1);
        frame_builder_reset(b, records + 1, true);
        must(frame_add_insert(b, r, row, &err) && frame_add_delete(b, r, row, &err), &err);
        buf_reset(&payload);
        must(frame_builder_finish(b, &payload, &info, &err), &err);
        must(zblock_write_stored(ZB_DATA, &info, buf_view(&payload), &image, &err), &err);
        records += info.nrecords;
        any_row_free(row, r);
    }
    frame_builder_free(b);
    buf_free(&payload);
    relation_unref(r);
    return 0;
}

static void try_rows(struct bytes changes, bool fix)
{
    struct err err;
    struct buf b = { 0 };
    struct xa_rows *rows = NULL;
    struct frame *f = NULL;
    buf_bytes(&b, buf_view(&image));
    change_bytes(&b, changes);
    if (fix)
        fix_frame_checksums(&b, 0);
    int fd = memfd_create("rows", MFD_CLOEXEC);
    must(fd >= 0 && file_write_all(fd, buf_view(&b), "rows", &err), &err);
    struct xa_entry e = { .number = 1, .records = records, .bytes = b.n };
    uint64_t got = 0;
    if (xa_rows_open(fd, slot, &e, &rows, &err)) {
        while (xa_rows_next(rows, &f, &err) && f != NULL) {
            got += frame_count(f);
            frame_unref(f);
            f = NULL;
        }
        xa_rows_close(rows);
    }
    if (got > records)
        abort();
    buf_free(&b);
}

static void try_index(struct bytes in)
{
    struct err err;
    struct xa_index x;
    struct buf again = { 0 };
    if (!xa_index_decode(in, &x, &err))
        return;
    must(xa_index_encode(&x, &again, &err), &err);
    struct xa_index same;
    must(xa_index_decode(buf_view(&again), &same, &err), &err);
    if (same.n != x.n || same.next_number != x.next_number)
        abort();
    xa_index_clear(&same);
    xa_index_clear(&x);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err;
    if (n < 1)
        return 0;
    struct bytes rest = { data + 1, n - 1 };
    struct buf file = { 0 };
    char xid[XA_XID_MAX + 1], again[XA_XID_MAX + 1];
    struct ev_xa_prepare p;
    struct binlog_event e = { .type = EV_XA_PREPARE, .body = rest };
    switch (data[0]) {
    case 0:
        must(zblock_write_stored(ZB_XA_INDEX, &(struct frame_info){ 0 }, rest, &file, &err), &err);
        try_index(buf_view(&file));
        break;
    case 1:
        try_index(rest);
        break;
    case 2:
        if (xid_parse(rest, xid, &err) && (!xid_parse(bytes_str(xid), again, &err) || strcmp(xid, again) != 0))
            abort();
        break;
    case 3:
        if (xid_parse_prepare(&e, &p, &err) && (!xid_parse(bytes_str(p.xid), again, &err) || strcmp(p.xid, again) != 0))
            abort();
        break;
    default:
        try_rows(rest, (data[0] & 1) != 0);
    }
    buf_free(&file);
    return 0;
}
