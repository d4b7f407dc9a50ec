/* test_relation.c - canonical bytes, identity, look-up, and refusals of table definitions. */
#include "unit.h"

#include "relation.h"

/* BYTES_LIT for static tables: a compound literal is no constant in C11. */
#define LIT(s)                                                                                                         \
    {                                                                                                                  \
        (const uint8_t *)(s), sizeof(s) - 1                                                                            \
    }

static const struct bytes labels[] = { LIT("new"), LIT("it's"), LIT("a\\b") };
#define NAME(s) .name = LIT(s)

static const struct column good[] = {
    { NAME("id"), .type = COL_INT, .int_bits = 64, .is_unsigned = true, .visible = true, .key_pos = 2 },
    { NAME("Region"), .type = COL_CHAR, .length = 8, .char_bytes = 4, .charset = LIT("utf8mb4"), .key_pos = 1 },
    { NAME("price"), .type = COL_DECIMAL, .precision = 20, .scale = 2, .nullable = true, .visible = true },
    { NAME("state"), .type = COL_ENUM, .nlabels = 3, .labels = labels, .visible = true },
    { NAME("at"), .type = COL_DATETIME, .scale = 6, .nullable = true, .visible = true },
};
enum { NGOOD = sizeof good / sizeof good[0] };

static struct relation *build(const struct column *cols, unsigned n, struct err *e)
{
    struct relation *r = NULL;
    return relation_new(BYTES_LIT("shop"), BYTES_LIT("orders"), cols, n, &r, e) ? r : NULL;
}

static void test_round_trip(void)
{
    struct err e = { 0 };
    struct relation *r = build(good, NGOOD, &e), *back = NULL;
    CHECK(r != NULL, "not built: %s", e.msg);
    if (r == NULL)
        return;
    CHECK(relation_parse(r->canonical, &back, &e), "not parsed: %s", e.msg);
    CHECK(back->id == r->id && r->id != 0 && bytes_eq(back->canonical, r->canonical), "identity changed on the way");
    CHECK(back->nkey == 2 && back->key[0] == 1 && back->key[1] == 0, "key order lost");
    for (unsigned i = 0; i < NGOOD; i++) {
        const struct column *a = &good[i], *b = &back->cols[i];
        CHECK(bytes_eq(a->name, b->name) && a->type == b->type && a->int_bits == b->int_bits &&
                  a->is_unsigned == b->is_unsigned && a->nullable == b->nullable && a->visible == b->visible &&
                  a->precision == b->precision && a->scale == b->scale && a->length == b->length &&
                  a->char_bytes == b->char_bytes && bytes_eq(a->charset, b->charset) && a->key_pos == b->key_pos &&
                  a->nlabels == b->nlabels,
              "column %u differs", i);
    }
    CHECK(bytes_eq_str(back->cols[3].labels[1], "it's"), "label lost");
    CHECK(relation_column(r, BYTES_LIT("price")) == 2, "price not found");
    CHECK(relation_column(r, BYTES_LIT("REGION")) == 1, "not found without case");
    CHECK(relation_column(r, BYTES_LIT("pric")) == -1, "found what is not there");

    struct bytes all = r->canonical;
    for (size_t n = 0; n < all.n; n++) {
        uint8_t *cut = malloc(n == 0 ? 1 : n); /* exact size: ASan sees one byte over */
        struct relation *none = NULL;
        memcpy(cut, all.p, n);
        CHECK(!relation_parse((struct bytes){ cut, n }, &none, &e) && none == NULL, "accepted %zu of %zu bytes", n,
              all.n);
        free(cut);
    }
    uint8_t *more = malloc(all.n + 1);
    memcpy(more, all.p, all.n);
    more[all.n] = 0;
    struct relation *none = NULL;
    CHECK(!relation_parse((struct bytes){ more, all.n + 1 }, &none, &e), "accepted a trailing byte");
    more[0] = 2;
    CHECK(!relation_parse((struct bytes){ more, all.n }, &none, &e) && e.code == ERR_UNSUPPORTED, "accepted version 2");
    free(more);

    struct relation *again = relation_ref(r);
    CHECK(again == r, "a reference is the same pointer");
    relation_unref(again);
    relation_unref(r);
    relation_unref(back);
    relation_unref(NULL);
}

static void test_golden(void)
{
    const struct column one[] = { { NAME("a"), .type = COL_INT, .int_bits = 32, .visible = true, .key_pos = 1 } };
    struct err e = { 0 };
    struct relation *r = NULL;
    CHECK(relation_new(BYTES_LIT("s"), BYTES_LIT("t"), one, 1, &r, &e), "%s", e.msg);
    struct bytes want = unhex("01 01 73 01 74 01 01 61 01 04 20 00 00 00 00 00 01 00");
    CHECK(bytes_eq(r->canonical, want), "the canonical bytes changed: every stored identity breaks");
    /* printf of these bytes | sha256sum, first 8 bytes read backwards */
    CHECK(r->id == 0xde2e9e484fb2e689U, "identity 0x%llx", (unsigned long long)r->id);
    free((void *)(uintptr_t)want.p);
    relation_unref(r);
}

static void test_refusals(void)
{
    static struct bytes many[65];
    for (int i = 0; i < 65; i++)
        many[i] = BYTES_LIT("x");
#define INT32 .type = COL_INT, .int_bits = 32
    const struct {
        const char *what;
        struct column c[2];
        unsigned n;
    } cases[] = {
        { "no columns", { { NAME("a") } }, 0 },
        { "type 0", { { NAME("a") } }, 1 },
        { "type 22", { { NAME("a"), .type = 22 } }, 1 },
        { "empty name", { { INT32 } }, 1 },
        { "int of 9 bits", { { NAME("a"), .type = COL_INT, .int_bits = 9 } }, 1 },
        { "text with integer bits", { { NAME("a"), .type = COL_TEXT, .int_bits = 8 } }, 1 },
        { "same name twice", { { NAME("a"), INT32 }, { NAME("a"), INT32 } }, 2 },
        { "same key position twice", { { NAME("a"), INT32, .key_pos = 1 }, { NAME("b"), INT32, .key_pos = 1 } }, 2 },
        { "gap in the key", { { NAME("a"), INT32, .key_pos = 2 }, { NAME("b"), INT32 } }, 2 },
        { "labels on an int", { { NAME("a"), INT32, .nlabels = 1, .labels = labels } }, 1 },
        { "set of 65", { { NAME("a"), .type = COL_SET, .nlabels = 65, .labels = many } }, 1 },
        { "decimal(0)", { { NAME("a"), .type = COL_DECIMAL } }, 1 },
        { "decimal(66)", { { NAME("a"), .type = COL_DECIMAL, .precision = 66 } }, 1 },
        { "scale beyond precision", { { NAME("a"), .type = COL_DECIMAL, .precision = 3, .scale = 4 } }, 1 },
        { "datetime(7)", { { NAME("a"), .type = COL_DATETIME, .scale = 7 } }, 1 },
        { "bit(65)", { { NAME("a"), .type = COL_BIT, .length = 65 } }, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = { 0 };
        struct relation *r = build(cases[i].c, cases[i].n, &e);
        CHECK(r == NULL && e.code == ERR_CORRUPT, "%s: accepted (%s)", cases[i].what, e.msg);
        relation_unref(r);
    }
}

static void test_wide(void)
{
    enum { WIDE = 4096 };
    static char names[WIDE][16];
    static struct column cols[WIDE + 1];
    for (int i = 0; i < WIDE; i++) {
        snprintf(names[i], sizeof names[i], "C%d", i);
        cols[i] = (struct column){ .name = bytes_str(names[i]), .type = COL_YEAR };
    }
    struct err e = { 0 };
    struct relation *r = build(cols, WIDE, &e);
    CHECK(r != NULL, "%s", e.msg);
    for (int i = 0; i < WIDE && r != NULL; i += 17) {
        char lower[16];
        snprintf(lower, sizeof lower, "c%d", i);
        CHECK(relation_column(r, bytes_str(names[i])) == i, "column %d", i);
        CHECK(relation_column(r, bytes_str(lower)) == i, "column %d in lower case", i);
    }
    CHECK(relation_column(r, BYTES_LIT("C4096")) == -1, "found what is not there");
    relation_unref(r);
    cols[99].name = cols[7].name;
    CHECK(build(cols, WIDE, &e) == NULL, "same name twice in a wide table");
    cols[99].name = BYTES_LIT("c7"); /* differs in case only: legal in bytes, exact match wins */
    r = build(cols, WIDE, &e);
    CHECK(r != NULL && relation_column(r, BYTES_LIT("c7")) == 99 && relation_column(r, BYTES_LIT("C7")) == 7,
          "exact first");
    relation_unref(r);
    CHECK(build(cols, WIDE + 1, &e) == NULL, "4097 columns");
}

static void test_texts(void)
{
    const struct {
        struct column c;
        const char *want;
    } types[] = {
        { { .type = COL_INT, .int_bits = 24 }, "mediumint" },
        { { .type = COL_INT, .int_bits = 64, .is_unsigned = true }, "bigint unsigned" },
        { { .type = COL_DECIMAL, .precision = 10, .scale = 2 }, "decimal(10,2)" },
        { { .type = COL_VARCHAR, .length = 80, .char_bytes = 4 }, "varchar(20)" },
        { { .type = COL_VARCHAR, .length = 80 }, "varchar(80)" },
        { { .type = COL_TEXT, .length = 65535 }, "text" },
        { { .type = COL_TEXT, .length = 255 }, "tinytext" },
        { { .type = COL_BLOB, .length = 16777215 }, "mediumblob" },
        { { .type = COL_BLOB, .length = 4294967295U }, "longblob" },
        { { .type = COL_DATETIME, .scale = 3 }, "datetime(3)" },
        { { .type = COL_TIMESTAMP }, "timestamp" },
        { { .type = COL_BIT, .length = 9 }, "bit(9)" },
        { { .type = COL_ENUM, .nlabels = 3, .labels = labels }, "enum('new','it''s','a\\\\b')" },
        { { .type = COL_GEOMETRY, .length = 1 }, "point" },
        { { .type = COL_VECTOR, .length = 768 }, "vector(768)" },
        { { .type = COL_JSON }, "json" },
        { { .type = 99 }, "(type 99)" },
    };
    struct buf b = { 0 };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        buf_reset(&b);
        column_type_text(&types[i].c, &b);
        CHECK(strcmp(buf_cstr(&b), types[i].want) == 0, "want %s, got %s", types[i].want, buf_cstr(&b));
    }
    const struct column en = { .type = COL_ENUM, .nlabels = 3, .labels = labels };
    const struct column se = { .type = COL_SET, .nlabels = 3, .labels = labels };
    const struct column year = { .type = COL_YEAR };
    const struct {
        const struct column *c;
        struct val v;
        const char *want;
    } values[] = {
        { &en, { .kind = VAL_ENUM, .u.u64 = 2 }, "it's" },
        { &en, { .kind = VAL_ENUM, .u.u64 = 0 }, "" },
        { &en, { .kind = VAL_ENUM, .u.u64 = 9 }, "9" },
        { &se, { .kind = VAL_SET, .u.u64 = 5 }, "new,a\\b" },
        { &se, { .kind = VAL_SET, .u.u64 = 0 }, "" },
        { &se, { .kind = VAL_SET, .u.u64 = 8 }, "8" },
        { &year, { .kind = VAL_I64, .u.i64 = 0 }, "0000" },
        { &year, { .kind = VAL_I64, .u.i64 = 2024 }, "2024" },
        { &en, { .kind = VAL_NULL }, "NULL" },
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        buf_reset(&b);
        column_value_text(values[i].c, &values[i].v, &b);
        CHECK(strcmp(buf_cstr(&b), values[i].want) == 0, "want %s, got %s", values[i].want, buf_cstr(&b));
    }
    buf_free(&b);
}

int main(void)
{
    test_round_trip();
    test_golden();
    test_refusals();
    test_wide();
    test_texts();
    return UNIT_END();
}
