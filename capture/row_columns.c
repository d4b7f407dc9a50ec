/* row_columns.c - many rows of an event into a frame's columns, one column after the other: first the places of all values are looked up, then each
 * column has its loop, with nothing to decide in it and its place in the frame in registers. A batch in which anything is wrong or rare is
 * taken back, and row_frame.c does its rows one by one. Images have all columns here. */
#include "row_put.h"

#include "charset.h"

#include <endian.h>

enum {
    CELLS = 4096,  /* of a batch */
    COLUMNS = 256, /* of a table that is taken */
    ROWS = 64,     /* bits of a mask */
    WORTH = 4,     /* rows that are expected at least */
    EXPANDS =
        1 << 12, /* what a value may take of a frame for each byte that it takes of an event: more than any does */
    BYTES_MOST = 1 << 16, /* of an event that a batch takes: each column of strings gets room for them */
    VARINT_MOST = 10
};
#define HOT static inline __attribute__((always_inline))

struct cells {          /* one image of each row of a batch */
    uint32_t at[CELLS]; /* of the values, from the event's start: by column, then by row */
    uint64_t nulls[COLUMNS];
};
struct mark { /* of a part, to take a batch back */
    size_t states, a, b;
    uint64_t prev;
    uint32_t packed_at;
    uint8_t mode;
};
struct step {        /* how far it is from a column's value to the next one's */
    uint32_t bytes;  /* of the value, or of the length in front of it */
    uint32_t length; /* which bits of the first four bytes are that length; 0: there is none */
};
struct batch {
    struct put *x;
    unsigned ncols, most, n; /* rows: at most, that there are */
    uint64_t rows;           /* a bit for each */
    size_t bytes;            /* of the event that they take */
    struct cells *new_cells, *old_cells;
    struct step steps[COLUMNS];
    struct mark new_marks[COLUMNS], old_marks[COLUMNS];
};

static struct mark mark_of(const struct frame_part *p)
{
    return (struct mark){ p->states.n, p->a.n, p->b.n, p->prev, p->packed_at, p->mode };
}

static void take_back(struct frame_part *p, const struct mark *m)
{
    p->states.n = m->states;
    p->a.n = m->a;
    p->b.n = m->b;
    p->prev = m->prev;
    p->packed_at = m->packed_at;
    p->mode = m->mode;
}

static size_t grown(const struct frame_part *p, const struct mark *m)
{
    return p->a.n - m->a + p->b.n - m->b;
}

/* --- where the values are --- */

static struct step step_of(const struct wire_column *w)
{
    return (struct step){ w->size, w->prefixed ? (uint32_t)((UINT64_C(1) << (8 * w->size)) - 1) : 0 };
}

/* One image at p, and what is behind it; NULL: not all of it is there, or it ends too near to the event's end to load whole words. */
static const uint8_t *find_image(const struct batch *t, struct cells *c, unsigned row, const uint8_t *p)
{
    const uint8_t *const start = t->x->start, *nulls = p;
    const struct step *step = t->steps;
    const size_t stride = t->most, last = (size_t)(t->x->end - start) - ROW_LOAD;
    size_t at = (size_t)(p - start) + (t->ncols + 7) / 8;
    uint32_t *cell = c->at + row;
    if (at > last)
        return NULL;
    for (unsigned left = t->ncols; left > 0;) {
        unsigned bits = *nulls++;
        const struct step *to = step + (left < 8 ? left : 8);
        left -= (unsigned)(to - step);
        for (; step != to; step++, cell += stride, bits >>= 1) {
            *cell = (uint32_t)at;
            if ((bits & 1) != 0) {
                c->nulls[step - t->steps] |= UINT64_C(1) << row;
                continue;
            }
            uint32_t word;
            if (at > last)
                return NULL;
            memcpy(&word, start + at, sizeof word);
            at += step->bytes + (size_t)(le32toh(word) & step->length);
        }
    }
    return at <= last ? start + at : NULL;
}

/* Fills the batch with rows from p on, up to `bytes` of them. Returns what is behind them. */
static const uint8_t *find_rows(struct batch *t, enum row_change change, const uint8_t *p, size_t bytes)
{
    const uint8_t *from = p;
    for (t->n = 0; t->n < t->most && p != t->x->end && (size_t)(p - from) < bytes; t->n++) {
        const uint8_t *next = p;
        if (change != ROW_INSERT)
            next = find_image(t, t->old_cells, t->n, next);
        if (next != NULL && change != ROW_DELETE)
            next = find_image(t, t->new_cells, t->n, next);
        if (next == NULL)
            break;
        p = next;
    }
    t->bytes = (size_t)(p - from);
    t->rows = t->n == ROWS ? UINT64_MAX : (UINT64_C(1) << t->n) - 1;
    return p;
}

/* --- one column --- */

static bool put_states(struct frame_part *part, uint32_t row, unsigned n, uint64_t other, uint8_t st, uint8_t st_other)
{
    if (other == 0 && part->mode == st)
        return true;
    for (unsigned k = 0; k < n; k++)
        if (!frame_part_state(part, row + k, (other >> k & 1) != 0 ? st_other : st))
            return false;
    return true;
}

static inline uint64_t word_at(const struct put *x, uint32_t at)
{
    uint64_t word;
    memcpy(&word, x->start + at, ROW_LOAD);
    return le64toh(word);
}

/* The values of those rows, of which `which` has a bit. at: by row. */
HOT bool put_ints(enum way way, const struct put *x, unsigned i, const uint32_t *at, uint64_t which, unsigned n,
                  struct frame_part *part)
{
    const struct wire_column *w = &x->wire[i];
    const struct column *col = &x->col[i];
    if (!buf_grow(&part->a, (size_t)n * VARINT_MOST))
        return false;
    uint8_t *to = part->a.p + part->a.n;
    uint64_t prev = part->prev, v;
    for (unsigned k = 0; k < n; k++) {
        if ((which >> k & 1) == 0)
            continue;
        if (!row_int_value(way, w, col, word_at(x, at[k]), &v))
            return false;
        to += frame_part_leb128(to, zigzag((int64_t)(v - prev)));
        prev = v;
    }
    part->a.n = (size_t)(to - part->a.p);
    part->prev = prev;
    return true;
}

static bool put_floats(const struct put *x, unsigned i, const uint32_t *at, uint64_t which, unsigned n,
                       struct frame_part *part)
{
    size_t ignored = 0;
    for (unsigned k = 0; k < n; k++)
        if ((which >> k & 1) != 0 && !frame_part_float(part, word_at(x, at[k]), x->wire[i].size, &ignored))
            return false;
    return true;
}

/* How a short string gets to `to`, behind which there is room: in whole steps, as far as these may be loaded. */
HOT void copy_string(uint8_t *to, const uint8_t *s, size_t n, size_t readable)
{
    enum { SHORT = FRAME_PART_SLACK / 4, MIDDLE = FRAME_PART_SLACK / 2 };
    if (n <= SHORT && readable >= SHORT)
        memcpy(to, s, SHORT);
    else if (n <= MIDDLE && readable >= MIDDLE)
        memcpy(to, s, MIDDLE);
    else if (n <= FRAME_PART_SLACK && readable >= FRAME_PART_SLACK)
        memcpy(to, s, FRAME_PART_SLACK);
    else
        memcpy(to, s, n);
}

/* Room for the lengths of n strings and for `bytes` of them, and where they go. */
static bool open_strings(struct frame_part *part, unsigned n, size_t bytes, uint8_t **lengths, uint8_t **to)
{
    if (!buf_grow(&part->a, (size_t)n * VARINT_MOST) || !buf_grow(&part->b, bytes + FRAME_PART_SLACK))
        return false;
    *lengths = part->a.p + part->a.n;
    *to = part->b.p + part->b.n;
    return true;
}

HOT bool put_strings(enum way way, struct put *x, unsigned i, const uint32_t *at, uint64_t which, unsigned n,
                     size_t bytes, struct frame_part *part)
{
    const struct wire_column *w = &x->wire[i];
    unsigned prefix = w->size, unused = 64 - 8 * prefix;
    size_t most = w->limited ? w->meta : SIZE_MAX;
    uint8_t *lengths, *to;
    if (!open_strings(part, n, bytes, &lengths, &to))
        return false;
    for (unsigned k = 0; k < n; k++) {
        if ((which >> k & 1) == 0)
            continue;
        struct bytes s = { x->start + at[k] + prefix, (size_t)(word_at(x, at[k]) << unused >> unused) };
        if (s.n > most || (way == WAY_UTF8 && !charset_ascii(s) && charset_utf8_valid(s) != s.n))
            return false;
        if (way == WAY_ASCII && !charset_ascii(s)) { /* to be converted */
            part->a.n = (size_t)(lengths - part->a.p);
            part->b.n = (size_t)(to - part->b.p);
            if (row_put_value(x, i, x->start + at[k], part) == NULL || !open_strings(part, n - k, bytes, &lengths, &to))
                return false;
            continue;
        }
        copy_string(to, s.p, s.n, (size_t)(x->end - s.p));
        to += s.n;
        if (s.n < 0x80)
            *lengths++ = (uint8_t)s.n;
        else
            lengths += frame_part_leb128(lengths, s.n);
    }
    part->a.n = (size_t)(lengths - part->a.p);
    part->b.n = (size_t)(to - part->b.p);
    return true;
}

static bool put_others(struct put *x, unsigned i, const uint32_t *at, uint64_t which, unsigned n,
                       struct frame_part *part)
{
    for (unsigned k = 0; k < n; k++)
        if ((which >> k & 1) != 0 && row_put_value(x, i, x->start + at[k], part) == NULL)
            return false;
    return true;
}

static bool put_values(const struct batch *t, unsigned i, const uint32_t *at, uint64_t which, struct frame_part *part)
{
    struct put *x = t->x;
    unsigned n = t->n;
    switch ((enum way)x->wire[i].way) {
    case WAY_INT:
        return put_ints(WAY_INT, x, i, at, which, n, part);
    case WAY_UINT:
        return put_ints(WAY_UINT, x, i, at, which, n, part);
    case WAY_YEAR:
        return put_ints(WAY_YEAR, x, i, at, which, n, part);
    case WAY_ENUM:
        return put_ints(WAY_ENUM, x, i, at, which, n, part);
    case WAY_SET:
        return put_ints(WAY_SET, x, i, at, which, n, part);
    case WAY_BIT:
        return put_ints(WAY_BIT, x, i, at, which, n, part);
    case WAY_DECIMAL64:
        return put_ints(WAY_DECIMAL64, x, i, at, which, n, part);
    case WAY_DATE:
        return put_ints(WAY_DATE, x, i, at, which, n, part);
    case WAY_DATETIME:
        return put_ints(WAY_DATETIME, x, i, at, which, n, part);
    case WAY_TIMESTAMP:
        return put_ints(WAY_TIMESTAMP, x, i, at, which, n, part);
    case WAY_TIME:
        return put_ints(WAY_TIME, x, i, at, which, n, part);
    case WAY_FLOAT:
        return put_floats(x, i, at, which, n, part);
    case WAY_ASCII:
        return put_strings(WAY_ASCII, x, i, at, which, n, t->bytes, part);
    case WAY_UTF8:
        return put_strings(WAY_UTF8, x, i, at, which, n, t->bytes, part);
    case WAY_BYTES:
        return put_strings(WAY_BYTES, x, i, at, which, n, t->bytes, part);
    case WAY_ANY:
    case WAY_JSON:
    case WAY_DECIMAL:
    case WAY_TEMPORAL:
        break;
    }
    return put_others(x, i, at, which, n, part);
}

/* --- updates --- */

/* Other bytes are another value: then old and new values need not be compared as they lie in the frame. (DECIMAL has two zeros.) */
static bool bytes_tell(uint8_t way)
{
    switch ((enum way)way) {
    case WAY_INT:
    case WAY_UINT:
    case WAY_YEAR:
    case WAY_ENUM:
    case WAY_SET:
    case WAY_BIT:
    case WAY_DATE:
    case WAY_DATETIME:
    case WAY_TIMESTAMP:
    case WAY_TIME:
    case WAY_FLOAT:
    case WAY_UTF8:
    case WAY_BYTES:
        return true;
    case WAY_ANY:
    case WAY_ASCII:
    case WAY_JSON:
    case WAY_DECIMAL:
    case WAY_DECIMAL64:
    case WAY_TEMPORAL:
        break;
    }
    return false;
}

/* Rows whose old value is not made of the same bytes as the new one. */
static uint64_t differing(const struct put *x, unsigned i, const uint32_t *old_at, const uint32_t *new_at,
                          uint64_t which, unsigned n)
{
    const struct wire_column *w = &x->wire[i];
    uint64_t differ = 0, mask = w->size >= ROW_LOAD ? UINT64_MAX : (UINT64_C(1) << (8 * w->size)) - 1;
    size_t beyond = w->prefixed || w->size <= ROW_LOAD ? 0 : w->size - ROW_LOAD;
    for (unsigned k = 0; k < n; k++) {
        if ((which >> k & 1) == 0)
            continue;
        uint64_t a = word_at(x, old_at[k]), b = word_at(x, new_at[k]);
        bool same = ((a ^ b) & mask) == 0;
        size_t more = w->prefixed ? (size_t)(a & mask) : beyond, skip = w->prefixed ? w->size : ROW_LOAD;
        if (same && more != 0)
            same = memcmp(x->start + old_at[k] + skip, x->start + new_at[k] + skip, more) == 0;
        differ |= (uint64_t)!same << k;
    }
    return differ;
}

/* Old and new values of a column, one after the other, where bytes do not tell. */
static bool put_pairs(const struct batch *t, unsigned i)
{
    struct put *x = t->x;
    struct frame_part *new_part = &x->rows.new_parts[i], *old_part = &x->rows.old_parts[i];
    const uint32_t *old_at = t->old_cells->at + (size_t)i * t->most, *new_at = t->new_cells->at + (size_t)i * t->most;
    uint64_t old_null = t->old_cells->nulls[i], new_null = t->new_cells->nulls[i];
    uint64_t differ = differing(x, i, old_at, new_at, t->rows & ~old_null & ~new_null, t->n);
    size_t ignored = 0;
    for (unsigned k = 0; k < t->n; k++) {
        size_t n_before = new_part->b.n, o_before = old_part->b.n;
        bool was_null = (old_null >> k & 1) != 0, is_null = (new_null >> k & 1) != 0;
        uint32_t new_row = x->rows.new_row + k, old_row = x->rows.old_row + k;
        uint8_t st = was_null ? ST_NULL : ST_VALUE;
        if (was_null == is_null && (differ >> k & 1) == 0)
            st = ST_SAME;
        if ((!is_null && row_put_value(x, i, x->start + new_at[k], new_part) == NULL) ||
            !frame_part_state(new_part, new_row, is_null ? ST_NULL : ST_VALUE) ||
            (st == ST_VALUE && row_put_value(x, i, x->start + old_at[k], old_part) == NULL) ||
            !frame_part_state(old_part, old_row, st))
            return false;
        if (st == ST_VALUE && !is_null &&
            row_same_value(new_part, n_before, old_part, o_before, x->rows.kinds[i].phys)) {
            frame_part_undo(old_part, x->rows.kinds[i].phys, old_row, &ignored);
            if (!frame_part_state(old_part, old_row, ST_SAME))
                return false;
        }
    }
    return true;
}

static bool put_update_column(const struct batch *t, unsigned i)
{
    struct put *x = t->x;
    if (!bytes_tell(x->wire[i].way))
        return put_pairs(t, i);
    struct frame_part *new_part = &x->rows.new_parts[i], *old_part = &x->rows.old_parts[i];
    const uint32_t *old_at = t->old_cells->at + (size_t)i * t->most, *new_at = t->new_cells->at + (size_t)i * t->most;
    uint64_t old_null = t->old_cells->nulls[i] & t->rows, new_null = t->new_cells->nulls[i] & t->rows;
    uint64_t both = t->rows & ~old_null & ~new_null;
    uint64_t values = differing(x, i, old_at, new_at, both, t->n) | (new_null & ~old_null);
    uint64_t nulls = old_null & ~new_null;
    if (!put_values(t, i, new_at, t->rows & ~new_null, new_part) ||
        !put_states(new_part, x->rows.new_row, t->n, new_null, ST_VALUE, ST_NULL) ||
        (values != 0 && !put_values(t, i, old_at, values, old_part)))
        return false;
    if (nulls == 0)
        return put_states(old_part, x->rows.old_row, t->n, values, ST_SAME, ST_VALUE);
    for (unsigned k = 0; k < t->n; k++) {
        uint8_t st = (values >> k & 1) != 0 ? ST_VALUE : (nulls >> k & 1) != 0 ? ST_NULL : ST_SAME;
        if (!frame_part_state(old_part, x->rows.old_row + k, st))
            return false;
    }
    return true;
}

/* --- all columns --- */

static bool put_column(struct batch *t, enum row_change change, unsigned i)
{
    struct put *x = t->x;
    bool is_new = change == ROW_INSERT;
    const struct cells *c = is_new ? t->new_cells : t->old_cells;
    struct frame_part *part = is_new ? &x->rows.new_parts[i] : &x->rows.old_parts[i];
    uint64_t nulls = c->nulls[i] & t->rows;
    if (change != ROW_DELETE)
        t->new_marks[i] = mark_of(&x->rows.new_parts[i]);
    if (change != ROW_INSERT)
        t->old_marks[i] = mark_of(&x->rows.old_parts[i]);
    if (change == ROW_UPDATE)
        return put_update_column(t, i);
    return put_values(t, i, c->at + (size_t)i * t->most, t->rows & ~nulls, part) &&
           put_states(part, is_new ? x->rows.new_row : x->rows.old_row, t->n, nulls, ST_VALUE, ST_NULL);
}

static unsigned put_batch(struct batch *t, struct row_reader *r, struct frame_builder *b, size_t frame_size,
                          const uint8_t *behind)
{
    static const uint8_t ops[] = { [ROW_INSERT] = REC_INSERT, [ROW_UPDATE] = REC_UPDATE, [ROW_DELETE] = REC_DELETE };
    struct put *x = t->x;
    unsigned i = 0;
    size_t bytes = 0;
    bool ok = true, is_new = r->change != ROW_DELETE, is_old = r->change != ROW_INSERT;
    for (; ok && i < t->ncols; i++)
        ok = put_column(t, r->change, i);
    for (unsigned k = 0; ok && k < t->ncols; k++) {
        bytes += is_new ? grown(&x->rows.new_parts[k], &t->new_marks[k]) : 0;
        bytes += is_old ? grown(&x->rows.old_parts[k], &t->old_marks[k]) : 0;
    }
    /* A frame is full behind the same row, whichever way its rows came. */
    ok = ok && frame_rows_size(b, &x->rows, t->n, bytes) < frame_size;
    if (!ok) {
        r->columns_from = r->row + t->n;
        for (; i > 0; i--) {
            if (is_new)
                take_back(&x->rows.new_parts[i - 1], &t->new_marks[i - 1]);
            if (is_old)
                take_back(&x->rows.old_parts[i - 1], &t->old_marks[i - 1]);
        }
        return 0;
    }
    if (!frame_rows_add(b, ops[r->change], &x->rows, t->n, bytes))
        return 0;
    r->c.p = behind;
    r->row += t->n;
    r->by_columns += t->n;
    return t->n;
}

unsigned row_columns(struct put *x, struct row_reader *r, struct frame_builder *b, size_t frame_size)
{
    struct cells new_cells, old_cells;
    struct batch t; /* large: not zeroed */
    size_t size = frame_builder_size(b);
    t.x = x;
    t.ncols = r->def->ncols;
    t.new_cells = &new_cells;
    t.old_cells = &old_cells;
    if (t.ncols > COLUMNS || (r->change != ROW_DELETE && r->npresent_new != t.ncols) ||
        (r->change != ROW_INSERT && r->npresent_old != t.ncols) || x->end - x->start < ROW_LOAD ||
        x->end - x->start > UINT32_MAX || size >= frame_size)
        return 0;
    t.most = CELLS / t.ncols < ROWS ? CELLS / t.ncols : ROWS;
    memset(new_cells.nulls, 0, t.ncols * sizeof *new_cells.nulls);
    memset(old_cells.nulls, 0, t.ncols * sizeof *old_cells.nulls);
    for (unsigned i = 0; i < t.ncols; i++)
        t.steps[i] = step_of(&x->wire[i]);
    const uint8_t *behind = find_rows(&t, r->change, r->c.p,
                                      frame_size - size < BYTES_MOST ? frame_size - size : BYTES_MOST);
    /* Near a frame's limit each row must be looked at. */
    if (t.n < WORTH || frame_builder_records(b) > UINT32_MAX - ROWS || t.bytes > (FRAME_RAW_MAX - size) / EXPANDS) {
        r->columns_from = r->row + t.n + 1;
        return 0;
    }
    return put_batch(&t, r, b, frame_size, behind);
}
