/* row_put.h - private to row_frame.c (a row at a time) and row_columns.c (many rows, column by column): how values get from an event into a
 * frame's columns. */
#ifndef ROWTIDE_ROW_PUT_H
#define ROWTIDE_ROW_PUT_H

#include "frame.h"
#include "frame_part.h"
#include "row_decode.h"

enum { ROW_LOAD = 8 }; /* bytes that are loaded at a value's place at least */

struct put {
    const struct wire_column *wire;
    const struct column *col;
    const uint8_t *start, *end; /* of the event's rows */
    struct frame_rows rows;
    struct arena *arena;
    size_t bytes; /* of the row's values, but for those that are counted elsewhere */
};

/* How wire_column.way gets a value into a frame. */
enum way {
    WAY_ANY, /* by row_value_decode */
    WAY_INT,
    WAY_UINT,
    WAY_YEAR,
    WAY_ENUM,
    WAY_SET,
    WAY_FLOAT,
    WAY_ASCII, /* a text, as long as it is ASCII */
    WAY_UTF8,
    WAY_BYTES,
    WAY_JSON,
    WAY_DECIMAL,   /* with more digits than 64 bits have */
    WAY_DECIMAL64, /* in at most 8 bytes */
    WAY_BIT,
    WAY_DATE,
    WAY_DATETIME,
    WAY_TIMESTAMP,
    WAY_TIME,
    WAY_TEMPORAL /* another one */
};

/* A value of PHYS_INT, all of whose bytes are in word, little-endian, and whatever lies behind them. False: no such value, or no such way. */
static inline __attribute__((always_inline)) bool row_int_value(enum way way, const struct wire_column *w,
                                                                const struct column *col, uint64_t word, uint64_t *out)
{
    unsigned n = w->size, unused = 64 - 8 * n;
    uint64_t be = __builtin_bswap64(word), v = word << unused >> unused;
    int64_t s = 0;
    bool ok = true;
    switch (way) {
    case WAY_INT:
        s = (int64_t)(word << unused) >> unused;
        break;
    case WAY_UINT:
        s = (int64_t)v;
        break;
    case WAY_YEAR:
        s = v == 0 ? 0 : 1900 + (int64_t)v;
        break;
    case WAY_ENUM:
        s = (int64_t)v;
        ok = v <= col->nlabels;
        break;
    case WAY_SET:
        s = (int64_t)v;
        ok = col->nlabels >= 64 || v >> col->nlabels == 0;
        break;
    case WAY_BIT:
        be >>= unused;
        s = (int64_t)be;
        ok = col->length >= 64 || be >> col->length == 0;
        break;
    case WAY_DECIMAL64:
        ok = row_decimal64(be, col->precision, col->scale, &s);
        break;
    case WAY_DATE:
        ok = row_date((uint32_t)(word & 0xffffff), &s);
        break;
    case WAY_DATETIME:
        ok = row_datetime2(be, n - 5, &s);
        break;
    case WAY_TIMESTAMP:
        ok = row_timestamp2(be, n - 4, &s);
        break;
    case WAY_TIME:
        ok = row_time2(be, n - 3, &s);
        break;
    default:
        ok = false;
    }
    *out = (uint64_t)s;
    return ok;
}

/* row_frame.c. Any value; returns what is behind it, NULL where nothing is put. */
const uint8_t *row_put_value(struct put *x, unsigned i, const uint8_t *at, struct frame_part *part);
/* Values that differ as bytes may still be the same value, as two ways to store one JSON document. *_before: strings so far. */
bool row_same_value(const struct frame_part *n, size_t n_before, const struct frame_part *o, size_t o_before,
                    uint8_t phys);

/* row_columns.c. The next rows of the event, when there are several, while the frame is smaller than frame_size. Returns how many, behind which
 * r->c then is; 0: none of them is put, for whatever reason. */
unsigned row_columns(struct put *x, struct row_reader *r, struct frame_builder *b, size_t frame_size);

#endif
