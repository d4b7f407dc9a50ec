/* test_row_frame.c - random tables and rows events go into frames in both ways (both_ways.h): rows that are whole and such that are cut,
 * values that are usual, rare, wrong, or of the same meaning in other bytes, NULL and absent ones, in any order. */
#include "both_ways.h"
#include "unit.h"

#include "frame_any_row.h"

enum { COLS = 20, ROWS = 12, TEXT_MOST = 60 };

enum gen { GEN_RAW, GEN_CHOICE, GEN_TEXT };
struct kind {
    uint8_t type;
    const char *meta; /* of TABLE_MAP, hex */
    uint8_t gen;
    bool sign;           /* a bit in TABLE_MAP's signedness */
    uint8_t bytes;       /* GEN_RAW: of a value; GEN_TEXT: of the length in front */
    uint16_t most;       /* GEN_TEXT */
    uint8_t collation;   /* of characters; 0: none */
    const char *wrong;   /* GEN_CHOICE */
    const char *good[6]; /* of one meaning, where they follow one another and begin with = */
};
static const struct kind kinds[] = {
    { 1, "", GEN_RAW, true, 1, 0, 0, NULL, { 0 } },
    { 2, "", GEN_RAW, true, 2, 0, 0, NULL, { 0 } },
    { 9, "", GEN_RAW, true, 3, 0, 0, NULL, { 0 } },
    { 3, "", GEN_RAW, true, 4, 0, 0, NULL, { 0 } },
    { 8, "", GEN_RAW, true, 8, 0, 0, NULL, { 0 } },
    { 4, "04", GEN_RAW, true, 4, 0, 0, NULL, { 0 } },
    { 5, "08", GEN_RAW, true, 8, 0, 0, NULL, { 0 } },
    { 13, "", GEN_RAW, true, 1, 0, 0, NULL, { 0 } },
    { 246,
      "0a02",
      GEN_CHOICE,
      true,
      0,
      0,
      0,
      "8000000164",
      { "8000000100", "7ffffffeff", "8000000000", "7fffffffff" } },
    { 246,
      "1b09",
      GEN_CHOICE,
      true,
      0,
      0,
      0,
      "ffffffff 00000000 00000000",
      { "80000000 00000007 00000000", "80000000 00000000 00000000", "7fffffff ffffffff ffffffff",
        "875bcd15 3ade68b1 00000001", "78a432ea c521974e fffffffe" } },
    { 246,
      "1414",
      GEN_CHOICE,
      true,
      0,
      0,
      0,
      "80000000 00000000 64",
      { "80000000 00000000 00", "80000001 075bcd15 63" } },
    { 10, "", GEN_CHOICE, false, 0, 0, 0, "e00100", { "5dd00f", "000000" } },
    { 18, "03", GEN_CHOICE, false, 0, 0, 0, "800000003f 0000", { "8000000000 0000", "99b2ba1083 03e8" } },
    { 19, "01", GEN_CHOICE, false, 0, 0, 0, "ffffff 00", { "800000 00", "7fffff ce", "8010c3 0a" } },
    { 17, "06", GEN_CHOICE, false, 0, 0, 0, "65e05840 ffffff", { "65e05840 00000a", "00000000 000000" } },
    { 17, "00", GEN_CHOICE, false, 0, 0, 0, NULL, { "65e05840", "65e05841" } },
    { 16, "0101", GEN_CHOICE, false, 0, 0, 0, "0400", { "0001", "01ff" } },
    { 254, "f701", GEN_CHOICE, false, 0, 0, 0, "03", { "00", "01", "02" } },
    { 254, "f801", GEN_CHOICE, false, 0, 0, 0, "04", { "00", "03", "01" } },
    { 254, "fe04", GEN_CHOICE, false, 0, 0, 63, "05 6162636465", { "00", "02 6162", "04 61620000", "04 61626364" } },
    { 245,
      "02",
      GEN_CHOICE,
      false,
      0,
      0,
      0,
      "0800 02 0100 ff00 05 0100",
      { "0000", "0200 0400", "0800 02 0100 0700 05 0100", "0e00 03 01000000 0d000000 05 01000000",
        "0d00 00 0100 0c00 0b00 0100 05 0100 61", "0700 0c 05 61 22 c3a9 62" } },
    { 255, "01", GEN_CHOICE, false, 0, 0, 0, NULL, { "00", "05 0102030405" } },
    { 242, "01", GEN_CHOICE, false, 0, 0, 63, "03 010203", { "00", "04 01020304" } },
    { 15, "2800", GEN_TEXT, false, 1, 40, 255, NULL, { 0 } },
    { 15, "2c01", GEN_TEXT, false, 2, 300, 255, NULL, { 0 } },
    { 15, "2800", GEN_TEXT, false, 1, 40, 8, NULL, { 0 } },
    { 15, "2800", GEN_TEXT, false, 1, 40, 18, NULL, { 0 } },
    { 15, "2800", GEN_TEXT, false, 1, 40, 63, NULL, { 0 } },
    { 254, "fe14", GEN_TEXT, false, 1, 20, 8, NULL, { 0 } },
    { 252, "01", GEN_TEXT, false, 1, 255, 255, NULL, { 0 } },
    { 252, "03", GEN_TEXT, false, 3, 999, 18, NULL, { 0 } },
};

static struct any_rng rng;
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
    buf_u8(out, (uint8_t)value->n); /* below 251: COLS is small */
    buf_bytes(out, buf_view(value));
    buf_free(value);
}

static bool is_real(const struct kind *k, const char *label)
{
    return k->type == 254 && strncmp(k->meta, label, 2) == 0;
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
        if (cols[i]->sign && nsigns++ % 8 == 0)
            buf_u8(&signs, (uint8_t)below(256));
        if (cols[i]->collation != 0)
            buf_le(&charsets, cols[i]->collation == 255 ? 0xfffc : cols[i]->collation,
                   cols[i]->collation == 255 ? 3 : 1);
        if (is_real(cols[i], "f7") || is_real(cols[i], "f8"))
            put_hex(is_real(cols[i], "f7") ? &enums : &sets, "02 0161 0162");
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
    size_t most = k->most < TEXT_MOST ? k->most : TEXT_MOST, n = below((unsigned)most + 1);
    uint8_t text[TEXT_MOST + 1];
    if (k->most < TEXT_MOST && below(200) == 0) /* longer than its column */
        n = most + 1;
    for (size_t i = 0; i < n; i++)
        text[i] = (uint8_t)(0x20 + below(95));
    if (n >= 2 && below(5) == 0)
        memcpy(text + below((unsigned)n - 1), k->collation == 255 ? "\xc3\xa9" : "\xa1\xe9", 2);
    if (n != 0 && below(40) == 0)
        text[below((unsigned)n)] = 0xff; /* no character of utf8mb4, nor of tis620 */
    buf_le(out, n, k->bytes);
    buf_put(out, text, n);
}

static void put_value(struct buf *out, const struct kind *k)
{
    unsigned n = 0;
    switch ((enum gen)k->gen) {
    case GEN_TEXT:
        put_text(out, k);
        return;
    case GEN_RAW:
        buf_le(out, below(3) == 0 ? below(3) : any_next(&rng) >> below(64), k->bytes);
        return;
    case GEN_CHOICE:
        while (n < sizeof k->good / sizeof *k->good && k->good[n] != NULL)
            n++;
        put_hex(out, k->wrong != NULL && below(300) == 0 ? k->wrong : k->good[below(n)]);
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

static unsigned rows, straight, failed;
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
    const char *why = both_ways_differ(&e, &fmt, defs, replaced, a, &straight);
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
    unsigned ncols = 1 + below(COLS);
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
    put_hex(&body, "700000000000 0100");
    buf_u8(&body, (uint8_t)ncols);
    buf_put(&body, first.present, (ncols + 7) / 8);
    if (change == ROW_UPDATE)
        buf_put(&body, second.present, (ncols + 7) / 8);
    size_t head = body.n;
    for (unsigned i = 0; i < ROWS; i++)
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
    CHECK(failed > EVENTS && failed < EVENTS * 2 && replaced_all > 50, "%u events failed, %llu texts were replaced",
          failed, (unsigned long long)replaced_all);
    return UNIT_END();
}
