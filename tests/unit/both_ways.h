/* both_ways.h - one rows event into frames in both ways, by row_reader_next with frame_add_*, and by row_frame_rows: they must make the
 * same bytes and come to the same end. For fuzzers, too. */
#ifndef ROWTIDE_BOTH_WAYS_H
#define ROWTIDE_BOTH_WAYS_H

#include "../../common/format/frame_wire.h"
#include "row_frame.h"

#include <stdlib.h>

struct both_ways {
    unsigned rows;     /* of the event, up to its end or to what fails */
    unsigned straight; /* of them by row_frame_rows */
    unsigned columns;  /* of these, many at once */
    unsigned full;     /* of them, when the frame had BOTH_WAYS_FULL; 0: never */
    size_t size;       /* frame_builder_size */
    uint64_t replaced; /* texts (table_defs_replace_invalid) */
    struct err err;    /* ERR_NONE: all were read */
    struct buf frame;  /* the payload, when there are rows; buf_free it */
};
enum { BOTH_WAYS_FULL = 700 }; /* bytes: a frame that is full among a few rows */

/* The next row by the long way. */
static bool both_ways_step(struct row_reader *r, struct frame_builder *b, struct arena *a, struct val *row, bool *more,
                           struct err *err)
{
    const struct relation *rel = r->def->rel;
    struct val *new_row = row + rel->ncols;
    if (!row_reader_next(r, a, row, new_row, more, err) || !*more)
        return err->code == ERR_NONE;
    return r->change == ROW_INSERT   ? frame_add_insert(b, rel, new_row, err)
           : r->change == ROW_UPDATE ? frame_add_update(b, rel, row, new_row, err)
                                     : frame_add_delete(b, rel, row, err);
}

/* False: the event cannot be opened (err). replaced: of defs; NULL for none. */
static bool both_ways_read(bool straight, const struct binlog_event *e, const struct binlog_format *fmt,
                           const struct table_defs *defs, uint64_t *replaced, struct arena *a, struct both_ways *out)
{
    struct row_reader r;
    struct rec_begin begin = { .resolution_us = 1 };
    struct err err = { 0 };
    uint64_t none = 0;
    *out = (struct both_ways){ 0 };
    replaced = replaced == NULL ? &none : replaced;
    *replaced = 0;
    if (!row_reader_open(&r, e, fmt, defs, &out->err))
        return false;
    struct frame_builder *b = frame_builder_new();
    struct frame_info info;
    bool more = !r.dummy && r.def->captured;
    struct val *row = more ? calloc((size_t)r.def->ncols * 2 + 1, sizeof *row) : NULL;
    if (b == NULL || (more && row == NULL) || !frame_add_begin(b, &begin, &err))
        abort();
    while (more) {
        unsigned n = straight ? row_frame_rows(&r, b, out->full == 0 ? BOTH_WAYS_FULL : (size_t)1 << 20, a) : 0;
        out->rows += n;
        out->straight += n;
        if (n == 0 && !both_ways_step(&r, b, a, row, &more, &out->err))
            break;
        out->rows += n == 0 && more;
        if (out->full == 0 && frame_builder_size(b) >= BOTH_WAYS_FULL)
            out->full = out->rows;
        arena_reset(a);
    }
    out->size = frame_builder_size(b);
    out->columns = r.by_columns;
    out->replaced = *replaced;
    if (!frame_builder_encode(b, &out->frame, &info, &err) || info.nchanges != out->rows)
        abort();
    frame_builder_free(b);
    row_reader_close(&r);
    free(row);
    return true;
}

/* What is not the same: NULL when all is. *straight, *columns: how many rows came by row_frame_rows, and of them many at once. Needs what
 * table_defs_map has made of e's table. */
static const char *both_ways_differ(const struct binlog_event *e, const struct binlog_format *fmt,
                                    const struct table_defs *defs, uint64_t *replaced, struct arena *a,
                                    unsigned *straight, unsigned *columns)
{
    struct both_ways one, two;
    bool opened = both_ways_read(false, e, fmt, defs, replaced, a, &one);
    const char *why = both_ways_read(true, e, fmt, defs, replaced, a, &two) != opened ? "opened once"
                      : one.err.code == ERR_NOMEM || two.err.code == ERR_NOMEM        ? NULL
                      : one.rows != two.rows                                          ? "not as many rows"
                      : one.err.code != two.err.code                                  ? "not the same end"
                      : strcmp(one.err.msg, two.err.msg) != 0                         ? "not the same message"
                      : !bytes_eq(buf_view(&one.frame), buf_view(&two.frame))         ? "not the same bytes"
                      : one.size != two.size                                          ? "not the same size"
                      : one.full != two.full                                          ? "full at another row"
                      : one.replaced != two.replaced                                  ? "not as many texts replaced"
                                                                                      : NULL;
    *straight += two.straight;
    *columns += two.columns;
    buf_free(&one.frame);
    buf_free(&two.frame);
    return why;
}

#endif
