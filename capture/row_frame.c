/* row_frame.c - the rows of an event straight into a frame's columns: no row of values in between, no errors in words, the usual
 * types and forms of rows by short ways of their own. row_event.c has them all; it does again what is given up here. */
#include "row_frame.h"

#include "charset.h"
#include "json_binary.h"
#include "row_put.h"

enum { LOAD = ROW_LOAD, ARENA_MOST = 256 * 1024, FEW = 4 };
#define HOT static inline __attribute__((always_inline))
#define APART static __attribute__((noinline)) /* so that the hot ways keep their registers */

static uint8_t text_way(const struct wire_column *w)
{
    if (w->charset == NULL || w->charset->binary)
        return WAY_BYTES;
    return charset_is_utf8(w->charset) ? WAY_UTF8 : charset_has_ascii(w->charset) ? WAY_ASCII : WAY_ANY;
}

struct plan {
    uint8_t way, size;
    bool prefixed, limited;
};

static struct plan plan_of(const struct wire_column *w, const struct column *col)
{
    uint8_t integer = col->is_unsigned ? WAY_UINT : WAY_INT, length_bytes = w->meta > 255 ? 2 : 1, n = (uint8_t)w->meta;
    switch (w->type) {
    case WT_TINY:
        return (struct plan){ integer, 1, false, false };
    case WT_SHORT:
        return (struct plan){ integer, 2, false, false };
    case WT_INT24:
        return (struct plan){ integer, 3, false, false };
    case WT_LONG:
        return (struct plan){ integer, 4, false, false };
    case WT_LONGLONG:
        return (struct plan){ integer, 8, false, false };
    case WT_YEAR:
        return (struct plan){ WAY_YEAR, 1, false, false };
    case WT_FLOAT:
        return (struct plan){ WAY_FLOAT, 4, false, false };
    case WT_DOUBLE:
        return (struct plan){ WAY_FLOAT, 8, false, false };
    case WT_NEWDECIMAL:
        n = (uint8_t)row_decimal_bytes(col->precision, col->scale);
        return (struct plan){ col_kind_of(col).phys == PHYS_STR ? WAY_DECIMAL
                              : n <= LOAD                       ? WAY_DECIMAL64
                                                                : WAY_ANY,
                              n, false, false };
    case WT_BIT:
        return (struct plan){ WAY_BIT, n, false, false };
    case WT_ENUM:
        return (struct plan){ WAY_ENUM, n, false, false };
    case WT_SET:
        return (struct plan){ WAY_SET, n, false, false };
    case WT_VARCHAR:
    case WT_VAR_STRING:
        return (struct plan){ text_way(w), length_bytes, true, true };
    case WT_STRING: /* BINARY is filled up */
        return (struct plan){ col->type == COL_BINARY ? WAY_ANY : text_way(w), length_bytes, true, true };
    case WT_VARCHAR_COMPRESSED:
        return (struct plan){ WAY_ANY, length_bytes, true, false };
    case WT_TINY_BLOB:
    case WT_MEDIUM_BLOB:
    case WT_LONG_BLOB:
    case WT_BLOB:
        return (struct plan){ text_way(w), n, true, false };
    case WT_JSON:
        return (struct plan){ WAY_JSON, n, true, false };
    case WT_GEOMETRY:
        return (struct plan){ WAY_BYTES, n, true, false };
    case WT_BLOB_COMPRESSED:
    case WT_VECTOR:
        return (struct plan){ WAY_ANY, n, true, false };
    case WT_DATE:
    case WT_NEWDATE:
        return (struct plan){ WAY_DATE, 3, false, false };
    case WT_DATETIME2:
        return (struct plan){ WAY_DATETIME, (uint8_t)row_temporal_bytes(w->type, col->scale), false, false };
    case WT_TIMESTAMP2:
        return (struct plan){ WAY_TIMESTAMP, (uint8_t)row_temporal_bytes(w->type, col->scale), false, false };
    case WT_TIME2:
        return (struct plan){ WAY_TIME, (uint8_t)row_temporal_bytes(w->type, col->scale), false, false };
    default:
        return (struct plan){ WAY_TEMPORAL, (uint8_t)row_temporal_bytes(w->type, col->scale), false, false };
    }
}

void row_frame_plan(struct wire_column *w, const struct column *col)
{
    struct plan p = plan_of(w, col);
    w->way = p.way;
    w->size = p.size;
    w->prefixed = p.prefixed;
    w->limited = p.limited;
}

/* These return what is behind the value, NULL where nothing is put. */

/* A text that had to be replaced is left to the other way: this row may still be taken back, and each is counted once. */
APART const uint8_t *put_any(struct put *x, unsigned i, const uint8_t *at, struct frame_part *part)
{
    struct cur c = { x->start, at, x->end, NULL, 0 };
    struct col_kind kind = x->rows.kinds[i];
    uint64_t *replaced = x->wire[i].replaced, before = replaced == NULL ? 0 : *replaced;
    struct val v;
    struct err ignored;
    if (arena_used(x->arena) > ARENA_MOST) /* a value is only there until it is in the part */
        arena_reset(x->arena);
    if (!row_value_decode(&c, &x->wire[i], &x->col[i], x->arena, &v, &ignored) || v.kind != kind.kind ||
        (v.kind == VAL_DEC64 && v.scale != kind.scale))
        return NULL;
    if (replaced != NULL && *replaced != before) {
        *replaced = before;
        return NULL;
    }
    return frame_part_val(part, kind.phys, &v, &x->bytes) ? c.p : NULL;
}

APART bool put_json(struct put *x, struct bytes json, struct frame_part *part)
{
    struct err ignored;
    size_t before = part->b.n;
    if ((part->b.cap - before < json.n * 2 && !buf_grow(&part->b, json.n * 2)) ||
        !json_binary_text_within(json, x->end, &part->b, &ignored))
        return false;
    x->bytes += part->b.n - before;
    return frame_part_varint(&part->a, part->b.n - before, &x->bytes);
}

APART const uint8_t *put_decimal(struct put *x, unsigned i, const uint8_t *at, struct frame_part *part)
{
    struct cur c = { x->start, at, x->end, NULL, 0 };
    if (!buf_grow(&part->b, ROW_DECIMAL_TEXT_MAX))
        return NULL;
    size_t n = row_decimal_decode_text(&c, x->col[i].precision, x->col[i].scale, (char *)part->b.p + part->b.n);
    part->b.n += n;
    x->bytes += n;
    return n != 0 && frame_part_varint(&part->a, n, &x->bytes) ? c.p : NULL;
}

APART const uint8_t *put_temporal(struct put *x, unsigned i, const uint8_t *at, struct frame_part *part)
{
    struct cur c = { x->start, at, x->end, NULL, 0 };
    struct val v;
    bool ok = row_temporal_decode(&c, x->wire[i].type, x->col[i].scale, &v) && frame_part_int(part, v.u.u64, &x->bytes);
    return ok ? c.p : NULL;
}

/* bytes: what the value takes is added there or to x->bytes. */
HOT const uint8_t *put_value(struct put *x, unsigned i, const uint8_t *at, struct frame_part *part, size_t *bytes)
{
    const struct wire_column *w = &x->wire[i];
    size_t left = (size_t)(x->end - at), n = w->size;
    if (left < LOAD)
        return put_any(x, i, at, part);
    unsigned unused = 64 - 8 * (unsigned)n;
    uint64_t word, v;
    memcpy(&word, at, LOAD);
    word = le64toh(word);
    switch ((enum way)w->way) {
#define INTEGER(way)                                                                                                   \
    case way:                                                                                                          \
        return row_int_value(way, w, &x->col[i], word, &v) && frame_part_int(part, v, bytes) ? at + n : NULL;
        INTEGER(WAY_INT)
        INTEGER(WAY_UINT)
        INTEGER(WAY_YEAR)
        INTEGER(WAY_ENUM)
        INTEGER(WAY_SET)
        INTEGER(WAY_BIT)
        INTEGER(WAY_DECIMAL64)
        INTEGER(WAY_DATE)
        INTEGER(WAY_DATETIME)
        INTEGER(WAY_TIMESTAMP)
        INTEGER(WAY_TIME)
#undef INTEGER
    case WAY_ANY:
        return put_any(x, i, at, part);
    case WAY_FLOAT:
        return frame_part_float(part, word, (unsigned)n, bytes) ? at + n : NULL;
    case WAY_TEMPORAL:
        return put_temporal(x, i, at, part);
    case WAY_DECIMAL:
        return put_decimal(x, i, at, part);
    case WAY_ASCII:
    case WAY_UTF8:
    case WAY_BYTES:
    case WAY_JSON:
        break;
    }
    struct bytes s = { at + n, (size_t)(word << unused >> unused) };
    left -= n;
    if (s.n > left || (w->limited && s.n > w->meta))
        return NULL;
    if ((w->way == WAY_ASCII || w->way == WAY_UTF8) && !charset_ascii(s)) {
        if (w->way == WAY_ASCII)
            return put_any(x, i, at, part);
        if (charset_utf8_valid(s) != s.n)
            return NULL;
    }
    bool ok = w->way == WAY_JSON ? put_json(x, s, part) : frame_part_str(part, s.p, s.n, left, bytes);
    return ok ? s.p + s.n : NULL;
}

const uint8_t *row_put_value(struct put *x, unsigned i, const uint8_t *at, struct frame_part *part)
{
    return put_value(x, i, at, part, &x->bytes);
}

static inline bool is_set(struct bytes bitmap, unsigned i)
{
    return (bitmap.p[i / 8] >> i % 8 & 1) != 0;
}

/* Which columns an image has, and which of them are NULL. Bits of nulls count those that it has. */
struct image {
    struct bytes present, nulls;
    bool whole, full; /* has all columns; and none of them is NULL */
    unsigned k;       /* of the columns looked at so far, those that it has */
    uint64_t ahead;   /* of nulls, bits of the next columns */
};

/* Moves *at to the values. */
static bool image_open(const struct put *x, struct bytes present, unsigned npresent, unsigned ncols, const uint8_t **at,
                       struct image *m)
{
    size_t n = (npresent + 7) / 8;
    unsigned any = 0;
    if ((size_t)(x->end - *at) < n || n == 0)
        return false;
    *m = (struct image){ .present = present, .nulls = { *at, n }, .whole = npresent == ncols };
    for (size_t i = 0; i + 1 < n; i++)
        any |= m->nulls.p[i];
    any |= m->nulls.p[n - 1] & (0xffU >> (8 * n - npresent)); /* the bits behind are arbitrary */
    m->full = m->whole && any == 0;
    *at += n;
    return true;
}

/* Bits of nulls from column i on, which 64 divides. */
static uint64_t nulls_from(const struct image *m, unsigned i)
{
    uint64_t bits = 0;
    size_t left = m->nulls.n - i / 8;
    memcpy(&bits, m->nulls.p + i / 8, left < sizeof bits ? left : sizeof bits);
    return le64toh(bits);
}

/* Of the columns in order. */
HOT uint8_t image_state(struct image *m, unsigned i)
{
    if (m->full)
        return ST_VALUE;
    if (m->whole) {
        if (i % 64 == 0)
            m->ahead = nulls_from(m, i);
        unsigned null = m->ahead & 1;
        m->ahead >>= 1;
        return null != 0 ? ST_NULL : ST_VALUE;
    }
    if (!is_set(m->present, i))
        return ST_ABSENT;
    return is_set(m->nulls, m->k++) ? ST_NULL : ST_VALUE;
}

/* An INSERT's or a DELETE's, parts its new or old ones. Returns what is behind it. */
static const uint8_t *put_image(struct put *x, const struct row_reader *r, struct frame_builder *b, const uint8_t *at)
{
    unsigned ncols = r->def->ncols, i;
    bool new_image = r->change == ROW_INSERT;
    struct frame_part *parts = new_image ? x->rows.new_parts : x->rows.old_parts;
    uint32_t row = new_image ? x->rows.new_row : x->rows.old_row;
    size_t bytes = 0;
    struct image m;
    if (!image_open(x, new_image ? r->present_new : r->present_old, new_image ? r->npresent_new : r->npresent_old,
                    ncols, &at, &m))
        return NULL;
    for (i = 0; i < ncols; i++) {
        uint8_t st = image_state(&m, i);
        const uint8_t *behind = st == ST_VALUE ? put_value(x, i, at, &parts[i], &bytes) : at;
        if (behind == NULL || !frame_part_state(&parts[i], row, st)) {
            frame_rows_undo(b, &x->rows, new_image ? i : 0, new_image ? 0 : i);
            return NULL;
        }
        at = behind;
    }
    x->bytes += bytes;
    return at;
}

/* The states of an update's old image, and where its values lie, for those that have one. Moves *at to the new image. */
static bool find_old(const struct put *x, const struct row_reader *r, const uint8_t **at, const uint8_t **values,
                     uint8_t *states)
{
    unsigned ncols = r->def->ncols;
    struct image m;
    if (!image_open(x, r->present_old, r->npresent_old, ncols, at, &m))
        return false;
    const uint8_t *p = *at;
    for (unsigned i = 0; i < ncols; i++) {
        const struct wire_column *w = &x->wire[i];
        size_t left = (size_t)(x->end - p), n = w->size;
        states[i] = image_state(&m, i);
        values[i] = p;
        if (states[i] != ST_VALUE)
            continue;
        if (left < LOAD)
            return false;
        if (w->prefixed) {
            uint64_t word;
            memcpy(&word, p, LOAD);
            n += (size_t)(le64toh(word) & ((UINT64_C(1) << (8 * n)) - 1));
        }
        if (n > left)
            return false;
        p += n;
    }
    *at = p;
    return true;
}

bool row_same_value(const struct frame_part *n, size_t n_before, const struct frame_part *o, size_t o_before,
                    uint8_t phys)
{
    size_t len = n->b.n - n_before, width = phys == PHYS_F32 ? 4 : 8;
    if (phys == PHYS_INT)
        return n->prev == o->prev;
    if (phys == PHYS_STR)
        return o->b.n - o_before == len && (len == 0 || memcmp(n->b.p + n_before, o->b.p + o_before, len) == 0);
    return memcmp(n->a.p + n->a.n - width, o->a.p + o->a.n - width, width) == 0;
}

/* The bytes of a value are those of the new one, [from, to): what a value takes follows from its first bytes. The old image
 * lies in front of the new one. */
static inline bool same_bytes(const struct put *x, const uint8_t *old, const uint8_t *from, const uint8_t *to)
{
    size_t n = (size_t)(to - from);
    uint64_t a, b;
    if (n == 0 || n > LOAD || x->end - from < LOAD)
        return memcmp(old, from, n) == 0;
    memcpy(&a, old, LOAD);
    memcpy(&b, from, LOAD);
    return (le64toh(a ^ b) << (64 - 8 * n)) == 0;
}

/* Returns what is behind the new image. */
static const uint8_t *put_update(struct put *x, const struct row_reader *r, struct frame_builder *b, const uint8_t *at)
{
    unsigned ncols = r->def->ncols, i, new_cols = 0;
    const uint8_t *values[COLUMNS_MAX];
    uint8_t states[COLUMNS_MAX];
    size_t bytes = 0;
    struct image m;
    if (!find_old(x, r, &at, values, states) || !image_open(x, r->present_new, r->npresent_new, ncols, &at, &m))
        return NULL;
    for (i = 0; i < ncols; i++) {
        struct frame_part *n = &x->rows.new_parts[i], *o = &x->rows.old_parts[i];
        size_t n_before = n->b.n, o_before = o->b.n;
        const uint8_t *behind = at;
        uint8_t st = image_state(&m, i), old = states[i];
        if (st == ST_VALUE)
            behind = put_value(x, i, at, n, &bytes);
        if (behind == NULL || !frame_part_state(n, x->rows.new_row, st))
            break;
        new_cols++;
        if (st == old && (st != ST_VALUE || same_bytes(x, values[i], at, behind)))
            old = ST_SAME;
        if ((old == ST_VALUE && put_value(x, i, values[i], o, &bytes) == NULL) ||
            !frame_part_state(o, x->rows.old_row, old))
            break;
        if (old == ST_VALUE && st == ST_VALUE && row_same_value(n, n_before, o, o_before, x->rows.kinds[i].phys)) {
            frame_part_undo(o, x->rows.kinds[i].phys, x->rows.old_row, &bytes);
            if (!frame_part_state(o, x->rows.old_row, ST_SAME))
                break;
        }
        at = behind;
    }
    if (i < ncols) {
        frame_rows_undo(b, &x->rows, new_cols, i);
        return NULL;
    }
    x->bytes += bytes;
    return at;
}

unsigned row_frame_rows(struct row_reader *r, struct frame_builder *b, size_t frame_size, struct arena *a)
{
    static const uint8_t ops[] = { [ROW_INSERT] = REC_INSERT, [ROW_UPDATE] = REC_UPDATE, [ROW_DELETE] = REC_DELETE };
    unsigned n = 0;
    if (r->c.p == r->c.end || r->json_old != NULL || r->old_times || r->def->ncols > COLUMNS_MAX)
        return 0;
    struct put x = { .wire = r->def->cols, .col = r->def->columns, .start = r->c.start, .end = r->c.end, .arena = a };
    if (!frame_rows_open(b, r->def->rel, r->def->place, &x.rows))
        return 0;
    do {
        const uint8_t *from = r->c.p;
        x.bytes = 0;
        const uint8_t *at = r->change == ROW_UPDATE ? put_update(&x, r, b, from) : put_image(&x, r, b, from);
        if (at == NULL || !frame_rows_close(b, ops[r->change], &x.rows, x.bytes))
            break;
        r->c.p = at;
        r->row++;
        n++;
        /* One row says how many may follow. */
        while (r->row >= r->columns_from && r->c.end - r->c.p >= FEW * (at - from) &&
               frame_builder_size(b) < frame_size) {
            unsigned more = row_columns(&x, r, b, frame_size);
            if (more == 0)
                break;
            n += more;
        }
    } while (r->c.p != r->c.end && frame_builder_size(b) < frame_size);
    return n;
}
