/* test_row_frame.c - random tables and rows events go into frames in both ways (both_ways.h): rows that are whole and such that are cut,
 * values that are usual, rare, wrong, or of the same meaning in other bytes, NULL and absent ones, in any order. */
#include "both_ways.h"
#include "unit.h"

#include "frame_any_row.h"

enum { COLS = 20, FEW_ROWS = 12, MANY_ROWS = 90, TEXT_MOST = 300 };

struct kind {
    uint8_t type;
    const char *meta; /* of TABLE_MAP, hex */
    enum { GEN_RAW, GEN_CHOICE, GEN_TEXT } gen;
    uint8_t bytes;     /* GEN_RAW: of a value; GEN_TEXT: of the length in front */
    uint16_t most;     /* GEN_TEXT: bytes of a text */
    uint8_t collation; /* 0: no characters */
    uint8_t labels;
    const char *wrong; /* GEN_CHOICE; NULL: nothing is */
    const char *good[6];
};
#define RAW(t, m, n)                                                                                                   \
    {                                                                                                                  \
        .type = t, .meta = m, .gen = GEN_RAW, .bytes = n                                                               \
    }
#define TEXT(t, m, n, most_, cs)                                                                                       \
    {                                                                                                                  \
        .type = t, .meta = m, .gen = GEN_TEXT, .bytes = n, .most = most_, .collation = cs                              \
    }
#define SOME(t, m, wrong_, ...)                                                                                        \
    {                                                                                                                  \
        .type = t, .meta = m, .gen = GEN_CHOICE, .wrong = wrong_, .good = { __VA_ARGS__ }                              \
    }
#define LABELS(t, m, n, wrong_, ...)                                                                                   \
    {                                                                                                                  \
        .type = t, .meta = m, .gen = GEN_CHOICE, .labels = n, .wrong = wrong_, .good = { __VA_ARGS__ }                 \
    }
#define BINARY(t, m, wrong_, ...)                                                                                      \
    {                                                                                                                  \
        .type = t, .meta = m, .gen = GEN_CHOICE, .collation = 63, .wrong = wrong_, .good = { __VA_ARGS__ }             \
    }
static const struct kind kinds[] = {
    RAW(1, "", 1),
    RAW(2, "", 2),
    RAW(9, "", 3),
    RAW(3, "", 4),
    RAW(8, "", 8),
    RAW(4, "04", 4),
    RAW(5, "08", 8),
    RAW(13, "", 1), /* YEAR */
    /* DECIMAL: 0 and -0, too */
    SOME(246, "0a02", "8000000164", "8000000100", "7ffffffeff", "8000000000", "7fffffffff"),
    SOME(246, "1b09", "ffffffff 00000000 00000000", "80000000 00000007 00000000", "80000000 00000000 00000000",
         "7fffffff ffffffff ffffffff", "875bcd15 3ade68b1 00000001", "78a432ea c521974e fffffffe"),
    SOME(246, "1414", "80000000 00000000 64", "80000000 00000000 00", "80000001 075bcd15 63"),
    /* dates and times */
    SOME(10, "", "e00100", "5dd00f", "000000"),
    SOME(18, "03", "800000003f 0000", "8000000000 0000", "99b2ba1083 03e8"),
    SOME(19, "01", "ffffff 00", "800000 00", "7fffff ce", "8010c3 0a"),
    SOME(17, "06", "65e05840 ffffff", "65e05840 00000a", "00000000 000000"),
    SOME(17, "00", NULL, "65e05840", "65e05841"),
    /* BIT, ENUM, SET, BINARY */
    SOME(16, "0101", "0400", "0001", "01ff"),
    LABELS(254, "f701", 2, "03", "00", "01", "02"),
    LABELS(254, "f801", 2, "04", "00", "03", "01"),
    LABELS(254, "f808", 63, "0000000000000080", "ffffffffffffff7f", "0100000000000000"),
    LABELS(254, "f808", 64, NULL, "ffffffffffffffff", "0000000000000080"),
    BINARY(254, "fe04", "05 6162636465", "00", "02 6162", "04 61620000", "04 61626364"),
    /* JSON: an empty one and null are the same, as are the two of [1] */
    SOME(245, "02", "0800 02 0100 ff00 05 0100", "0000", "0200 0400", "0800 02 0100 0700 05 0100",
         "0e00 03 01000000 0d000000 05 01000000", "0d00 00 0100 0c00 0b00 0100 05 0100 61", "0700 0c 05 61 22 c3a9 62"),
    SOME(255, "01", NULL, "00", "05 0102030405"),        /* GEOMETRY */
    BINARY(242, "01", "03 010203", "00", "04 01020304"), /* VECTOR */
    /* utf8mb4 (255), latin1 (8), tis620 (18), binary (63) */
    TEXT(15, "2800", 1, 40, 255),
    TEXT(15, "fa00", 1, 250, 255),
    TEXT(15, "2c01", 2, 300, 255),
    TEXT(15, "2800", 1, 40, 8),
    TEXT(15, "2800", 1, 40, 18),
    TEXT(15, "2800", 1, 40, 63),
    TEXT(254, "fe14", 1, 20, 8),
    TEXT(252, "01", 1, 255, 255),
    TEXT(252, "03", 3, 999, 18),
};

static struct any_rng rng;
static bool tidy; /* nothing is wrong, nor has to be replaced */
static unsigned below(unsigned n)
{
    return any_below(&rng, n);
}

static void put_hex(struct buf *out, const char *hex)
{
    struct bytes b = unhex(hex);
    buf_bytes(out, b);
    free((void *)(uintptr_t)b.p);
}

static void put_field(struct buf *out, uint8_t type, struct buf *value) /* value is freed */
{
    buf_u8(out, type);
    buf_u8(out, 252); /* a length of two bytes follows */
    buf_le(out, value->n, 2);
    buf_bytes(out, buf_view(value));
    buf_free(value);
}

static bool is_number(uint8_t type) /* one that has a sign in TABLE_MAP */
{
    return (type >= 1 && type <= 5) || type == 8 || type == 9 || type == 13 || type == 246;
}

/* A TABLE_MAP for s.t of such columns; the first is the key, or none is. */
static void put_map(struct buf *out, const struct kind *const *cols, unsigned n, bool key)
{
    struct buf meta = { 0 }, signs = { 0 }, charsets = { 0 }, names = { 0 }, enums = { 0 }, sets = { 0 }, one = { 0 };
    unsigned nsigns = 0;
    put_hex(out, "700000000000 0100 017300 017400");
    buf_u8(out, (uint8_t)n);
    for (unsigned i = 0; i < n; i++) {
        buf_u8(out, cols[i]->type);
        put_hex(&meta, cols[i]->meta);
        if (is_number(cols[i]->type) && nsigns++ % 8 == 0)
            buf_u8(&signs, (uint8_t)below(256));
        if (cols[i]->collation != 0)
            buf_le(&charsets, cols[i]->collation == 255 ? 0xfffc : cols[i]->collation,
                   cols[i]->collation == 255 ? 3 : 1);
        struct buf *labels = strncmp(cols[i]->meta, "f7", 2) == 0 ? &enums : &sets;
        if (cols[i]->labels != 0)
            buf_u8(labels, cols[i]->labels);
        for (unsigned k = 0; k < cols[i]->labels; k++)
            buf_le(labels, 0x4001 + k * 0x100, 2);
        buf_u8(&names, 2);
        buf_u8(&names, 'c');
        buf_u8(&names, (uint8_t)('a' + i));
    }
    buf_u8(out, (uint8_t)meta.n);
    buf_bytes(out, buf_view(&meta));
    for (unsigned i = 0; i < n; i += 8)
        buf_u8(out, 0xff);
    buf_free(&meta);
    if (signs.n != 0)
        put_field(out, 1, &signs);
    if (charsets.n != 0)
        put_field(out, 3, &charsets);
    put_field(out, 4, &names);
    if (enums.n + sets.n != 0) {
        buf_u8(&one, 8);
        put_field(out, 10, &one);
    }
    if (sets.n != 0)
        put_field(out, 5, &sets);
    if (enums.n != 0)
        put_field(out, 6, &enums);
    buf_u8(&one, 0);
    if (key)
        put_field(out, 8, &one);
    buf_free(&one);
}

static void put_text(struct buf *out, const struct kind *k)
{
    size_t most = k->most < TEXT_MOST ? k->most : TEXT_MOST;
    size_t n = below(most > 40 && below(8) != 0 ? 41 : (unsigned)most + 1); /* most are short */
    uint8_t text[TEXT_MOST + 1];
    if (k->most < 251 && !tidy && below(200) == 0) /* longer than its column */
        n = most + 1;
    for (size_t i = 0; i < n; i++)
        text[i] = (uint8_t)(0x20 + below(95));
    if (n >= 2 && below(5) == 0)
        memcpy(text + below((unsigned)n - 1), k->collation == 255 ? "\xc3\xa9" : "\xa1\xe9", 2);
    if (n != 0 && !tidy && below(40) == 0)
        text[below((unsigned)n)] = 0xff; /* no character of utf8mb4, nor of tis620 */
    buf_le(out, n, k->bytes);
    buf_put(out, text, n);
}

static void put_value(struct buf *out, const struct kind *k)
{
    unsigned n = 0;
    switch (k->gen) {
    case GEN_TEXT:
        put_text(out, k);
        return;
    case GEN_RAW:
        buf_le(out, below(3) == 0 ? below(3) : any_next(&rng) >> below(64), k->bytes);
        return;
    case GEN_CHOICE:
        while (n < sizeof k->good / sizeof *k->good && k->good[n] != NULL)
            n++;
        put_hex(out, k->wrong != NULL && !tidy && below(300) == 0 ? k->wrong : k->good[below(n)]);
        return;
    }
}

struct image {
    uint8_t present[(COLS + 7) / 8];
    bool has[COLS];
    unsigned n; /* of columns that it has */
};

static struct image any_image(unsigned ncols, bool whole)
{
    struct image m = { 0 };
    for (unsigned i = 0; i < sizeof m.present; i++)
        m.present[i] = (uint8_t)below(256); /* bits behind the last column are arbitrary */
    for (unsigned i = 0; i < ncols; i++) {
        if (whole || (m.n == 0 && i + 1 == ncols))
            m.present[i / 8] |= (uint8_t)(1U << i % 8);
        m.has[i] = (m.present[i / 8] >> i % 8 & 1) != 0;
        m.n += m.has[i];
    }
    return m;
}

/* values, nulls: by column; those that an image has are put. */
static void put_image(struct buf *out, const struct image *m, unsigned ncols, const struct buf *values,
                      const bool *nulls)
{
    uint8_t bits[(COLS + 7) / 8];
    unsigned k = 0;
    for (unsigned i = 0; i < sizeof bits; i++)
        bits[i] = (uint8_t)below(256);
    for (unsigned i = 0; i < ncols; i++) {
        if (!m->has[i])
            continue;
        bits[k / 8] = (uint8_t)((bits[k / 8] & ~(1U << k % 8)) | (unsigned)nulls[i] << k % 8);
        k++;
    }
    buf_put(out, bits, (m->n + 7) / 8);
    for (unsigned i = 0; i < ncols; i++)
        if (m->has[i] && !nulls[i])
            buf_bytes(out, buf_view(&values[i]));
}

static void put_row(struct buf *out, const struct kind *const *cols, unsigned ncols, enum row_change change,
                    const struct image *first, const struct image *second)
{
    struct buf values[COLS] = { 0 };
    bool nulls[COLS] = { 0 };
    unsigned some = below(3) == 0; /* a row with NULLs */
    for (unsigned i = 0; i < ncols; i++) {
        put_value(&values[i], cols[i]);
        nulls[i] = some && below(4) == 0;
    }
    put_image(out, first, ncols, values, nulls);
    for (unsigned i = 0; change == ROW_UPDATE && i < ncols; i++) {
        if (below(4) == 0) {
            values[i].n = 0;
            put_value(&values[i], cols[i]);
        }
        nulls[i] ^= some && below(8) == 0;
    }
    if (change == ROW_UPDATE)
        put_image(out, second, ncols, values, nulls);
    for (unsigned i = 0; i < ncols; i++)
        buf_free(&values[i]);
}

static bool all(void *ctx, struct bytes schema, struct bytes table)
{
    (void)ctx;
    (void)schema;
    (void)table;
    return true;
}

static unsigned rows, straight, columns, failed;
static uint64_t replaced_all;

/* Its first n bytes. */
static void try(const struct binlog_event *whole, size_t n, const struct table_defs *defs, uint64_t *replaced,
                struct arena *a, unsigned seed)
{
    struct binlog_format fmt = { 0 };
    uint8_t *exact = malloc(n);
    memcpy(exact, whole->body.p, n);
    struct binlog_event e = { .type = whole->type, .body = { exact, n } };
    struct both_ways one;
    const char *why = both_ways_differ(&e, &fmt, defs, replaced, a, &straight, &columns);
    CHECK(why == NULL, "seed %u, %zu of %zu bytes: %s", seed, n, whole->body.n, why);
    (void)both_ways_read(false, &e, &fmt, defs, replaced, a, &one);
    rows += one.rows;
    failed += one.err.code != ERR_NONE;
    replaced_all += one.replaced;
    buf_free(&one.frame);
    free(exact);
}

static void any_event(unsigned seed)
{
    rng = (struct any_rng){ seed * 2654435761u + 1 };
    const struct kind *cols[COLS];
    unsigned ncols = 1 + below(COLS), nrows = below(4) == 0 ? MANY_ROWS : FEW_ROWS;
    tidy = below(3) == 0;
    enum row_change change = (enum row_change)below(3);
    struct binlog_format fmt = { 0 };
    struct table_defs *defs = table_defs_new();
    struct arena *a = arena_new(0);
    struct buf map = { 0 }, body = { 0 };
    const struct table_def *def;
    struct err err = { 0 };
    uint64_t replaced = 0;
    for (unsigned i = 0; i < ncols; i++)
        cols[i] = &kinds[below(sizeof kinds / sizeof *kinds)];
    cols[0] = below(2) == 0 ? &kinds[3] : cols[0];
    if (below(4) != 0)
        table_defs_replace_invalid(defs, &replaced);
    put_map(&map, cols, ncols, below(4) != 0);
    struct binlog_event e = { .type = EV_TABLE_MAP, .body = buf_view(&map) };
    CHECK(table_defs_map(defs, &e, &fmt, all, NULL, &def, &err), "seed %u: %s", seed, err.msg);
    bool whole = below(2) == 0;
    struct image first = any_image(ncols, whole), second = any_image(ncols, whole || below(2) == 0);
    if (change == ROW_UPDATE && below(20) == 0) /* of one image, no column at all */
        first = (struct image){ 0 };
    put_hex(&body, "700000000000 0100");
    buf_u8(&body, (uint8_t)ncols);
    buf_put(&body, first.present, (ncols + 7) / 8);
    if (change == ROW_UPDATE)
        buf_put(&body, second.present, (ncols + 7) / 8);
    size_t head = body.n;
    for (unsigned i = 0; i < nrows; i++)
        put_row(&body, cols, ncols, change, &first, &second);
    e = (struct binlog_event){ .type = (uint8_t)(EV_WRITE_ROWS_V1 + change), .body = buf_view(&body) };
    try(&e, body.n, defs, &replaced, a, seed);
    try(&e, head + below((unsigned)(body.n - head)), defs, &replaced, a, seed);
    buf_free(&map);
    buf_free(&body);
    table_defs_free(defs);
    arena_free(a);
}

int main(void)
{
    enum { EVENTS = 1500 };
    for (unsigned seed = 1; seed <= EVENTS; seed++)
        any_event(seed);
    CHECK(straight > rows / 2 && straight < rows, "%u of %u rows took the short way", straight, rows);
    CHECK(columns > rows / 8 && columns < straight, "%u of %u rows came many at once", columns, rows);
    CHECK(failed > EVENTS && failed < EVENTS * 2 && replaced_all > 50, "%u events failed, %llu texts were replaced",
          failed, (unsigned long long)replaced_all);
    return UNIT_END();
}
