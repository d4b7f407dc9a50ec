/* frame_any_row.h - random rows of every column type, for the tests of frames and segments. */
#ifndef ROWTIDE_FRAME_ANY_ROW_H
#define ROWTIDE_FRAME_ANY_ROW_H

#include "relation.h"

#include <stdlib.h>

enum { ANY_COLS = 26 };

struct any_rng {
    uint64_t s;
};
static inline uint64_t any_next(struct any_rng *r) /* xorshift64* (Vigna, arXiv:1402.6246) */
{
    r->s ^= r->s >> 12;
    r->s ^= r->s << 25;
    r->s ^= r->s >> 27;
    return r->s * UINT64_C(2685821657736338717);
}
static inline unsigned any_below(struct any_rng *r, unsigned n)
{
    return (unsigned)((any_next(r) >> 33) % n);
}

/* One column of every type; the order varies. */
static inline struct relation *any_relation(struct any_rng *rng, const char *table)
{
    static const struct bytes labels[] = { { (const uint8_t *)"a", 1 }, { (const uint8_t *)"b", 1 } };
#define U8 .charset = { (const uint8_t *)"utf8mb4", 7 }, .char_bytes = 4
    static const struct column kinds[] = {
        { .type = COL_INT, .int_bits = 8 },
        { .type = COL_INT, .int_bits = 32, .is_unsigned = true },
        { .type = COL_INT, .int_bits = 64 },
        { .type = COL_INT, .int_bits = 64, .is_unsigned = true },
        { .type = COL_FLOAT },
        { .type = COL_DOUBLE },
        { .type = COL_DECIMAL, .precision = 10, .scale = 2 },
        { .type = COL_DECIMAL, .precision = 65, .scale = 30 },
        { .type = COL_DATE },
        { .type = COL_TIME, .scale = 6 },
        { .type = COL_DATETIME, .scale = 3 },
        { .type = COL_TIMESTAMP },
        { .type = COL_YEAR },
        { .type = COL_CHAR, .length = 10, U8 },
        { .type = COL_VARCHAR, .length = 100, U8 },
        { .type = COL_TEXT, .length = 65535, U8 },
        { .type = COL_BINARY, .length = 10 },
        { .type = COL_VARBINARY, .length = 100 },
        { .type = COL_BLOB, .length = 65535 },
        { .type = COL_BIT, .length = 64 },
        { .type = COL_ENUM, .nlabels = 2, .labels = labels, U8 },
        { .type = COL_SET, .nlabels = 2, .labels = labels, U8 },
        { .type = COL_JSON },
        { .type = COL_GEOMETRY },
        { .type = COL_VECTOR, .length = 3 },
        { .type = COL_VARCHAR, .length = 100, U8 },
    };
#undef U8
    static_assert(sizeof kinds / sizeof *kinds == ANY_COLS, "one name each");
    struct column cols[ANY_COLS];
    char names[ANY_COLS][8];
    unsigned shift = any_below(rng, ANY_COLS);
    for (unsigned i = 0; i < ANY_COLS; i++) {
        cols[i] = kinds[(i + shift) % ANY_COLS];
        names[i][0] = 'c';
        names[i][1] = (char)('a' + i);
        cols[i].name = bytes_of(names[i], 2);
        cols[i].nullable = cols[i].visible = true;
    }
    struct relation *r = NULL;
    struct err err;
    if (!relation_new(BYTES_LIT("shop"), bytes_str(table), cols, ANY_COLS, &r, &err)) {
        fprintf(stderr, "any_relation: %s\n", err.msg);
        abort();
    }
    return r;
}

static inline void any_str(struct any_rng *rng, struct val *v, unsigned max)
{
    unsigned n = any_below(rng, 3) == 0 ? any_below(rng, max) : any_below(rng, 8);
    uint8_t *p = malloc(n + 1);
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)('a' + any_below(rng, 26));
    v->u.str = bytes_of(p, n);
}

static inline struct val any_val(struct any_rng *rng, const struct column *c, unsigned holes)
{
    struct val v = { .kind = VAL_NULL };
    unsigned dice = any_below(rng, 16);
    if (dice < holes * 2)
        return dice % 2 ? v : (struct val){ .kind = VAL_ABSENT };
    uint64_t x = any_next(rng);
    x >>= any_below(rng, 64);
    v.scale = c->type == COL_YEAR ? 0 : c->scale;
    v.u.u64 = x;
    switch ((enum col_type)c->type) {
    case COL_INT:
        v.kind = c->is_unsigned ? VAL_U64 : VAL_I64;
        break;
    case COL_FLOAT:
        v.kind = VAL_F32;
        v.u.f32 = (float)(int32_t)x / 7;
        break;
    case COL_DOUBLE:
        v.kind = VAL_F64;
        v.u.f64 = (double)(int64_t)x / 7;
        break;
    case COL_DECIMAL:
        v.kind = c->precision <= 18 ? VAL_DEC64 : VAL_DECIMAL;
        break;
    case COL_DATE:
        v.kind = VAL_DATE;
        break;
    case COL_TIME:
        v.kind = VAL_TIME;
        break;
    case COL_DATETIME:
        v.kind = VAL_DATETIME;
        break;
    case COL_TIMESTAMP:
        v.kind = VAL_INSTANT;
        break;
    case COL_YEAR:
        v.kind = VAL_I64;
        break;
    case COL_CHAR:
    case COL_VARCHAR:
    case COL_TEXT:
        v.kind = VAL_TEXT;
        break;
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_BLOB:
        v.kind = VAL_BYTES;
        break;
    case COL_BIT:
        v.kind = VAL_BIT;
        break;
    case COL_ENUM:
        v.kind = VAL_ENUM;
        break;
    case COL_SET:
        v.kind = VAL_SET;
        break;
    case COL_JSON:
        v.kind = VAL_JSON;
        break;
    case COL_GEOMETRY:
        v.kind = VAL_GEOMETRY;
        break;
    case COL_VECTOR:
        v.kind = VAL_VECTOR;
        break;
    }
    if (val_is_str(v.kind))
        any_str(rng, &v, 300);
    return v;
}

/* holes 0: values only; more: more nulls and absent ones. */
static inline struct val *any_row(struct any_rng *rng, const struct relation *r, unsigned holes)
{
    struct val *row = calloc(r->ncols, sizeof *row);
    for (unsigned i = 0; i < r->ncols; i++)
        row[i] = any_val(rng, &r->cols[i], holes);
    return row;
}

static inline void any_copy(struct val *to, const struct val *from) /* deep; frees what to had */
{
    if (val_is_str(to->kind))
        free((void *)(uintptr_t)to->u.str.p);
    *to = *from;
    if (val_is_str(from->kind)) {
        uint8_t *p = malloc(from->u.str.n + 1);
        memcpy(p, from->u.str.p, from->u.str.n);
        to->u.str.p = p;
    }
}

/* The same string with some bytes in the middle left out, changed or put in; what is no string stays. Frees what to had. */
static inline void any_edited(struct any_rng *rng, struct val *to, const struct val *from)
{
    any_copy(to, from);
    if (!val_is_str(from->kind))
        return;
    size_t n = from->u.str.n, cut = any_below(rng, (unsigned)n + 1), less = any_below(rng, 4), more = any_below(rng, 4);
    less = less < n - cut ? less : n - cut;
    uint8_t *p = malloc(n - less + more + 1);
    memcpy(p, from->u.str.p, cut);
    for (size_t i = 0; i < more; i++)
        p[cut + i] = (uint8_t)('a' + any_below(rng, 3));
    memcpy(p + cut + more, from->u.str.p + cut + less, n - cut - less);
    free((void *)(uintptr_t)to->u.str.p);
    to->u.str = bytes_of(p, n - less + more);
}

static inline void any_row_free(struct val *row, const struct relation *r)
{
    for (unsigned i = 0; row != NULL && i < r->ncols; i++)
        if (val_is_str(row[i].kind))
            free((void *)(uintptr_t)row[i].u.str.p);
    free(row);
}

#endif
