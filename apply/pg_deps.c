/* pg_deps.c - see pg_deps.h. */
#include "pg_deps.h"

#include "gtid.h"
#include "pg_encode.h"

#include <stdlib.h>

struct dep { /* a unique key, or the key of another table that a foreign key names */
    uint64_t seed;
    bool reference;
    bool identity; /* rows are found by it */
    unsigned n;
    uint16_t col[32]; /* of the shape, in the order that makes both sides of a foreign key hash alike */
};
struct pg_deps {
    const struct pg_column *const *dst;
    uint64_t table;
    bool everything; /* any row may touch anything */
    bool cascades;   /* updates and deletes may */
    bool related;    /* has foreign keys, in or out */
    bool keyed;      /* every unique key can be followed */
    unsigned n;
    struct dep deps[];
};
enum found { KEY_FOUND, KEY_NULL, KEY_UNKNOWN };

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t mix_bytes(uint64_t h, struct bytes s)
{
    size_t i = 0;
    h = mix(h, s.n);
    for (; i + 8 <= s.n; i += 8) {
        uint64_t v;
        memcpy(&v, s.p + i, sizeof v);
        h = mix(h, v);
    }
    uint64_t rest = 0;
    for (; i < s.n; i++)
        rest = rest << 8 | s.p[i];
    return mix(h, rest);
}

/* --- values --- */

/* Integers and exact numbers by their value, however they came. */
static enum found number(const struct val *v, uint64_t *h)
{
    uint64_t magnitude;
    bool neg = v->kind != VAL_U64 && v->u.i64 < 0;
    unsigned scale = 0;
    if (v->kind != VAL_I64 && v->kind != VAL_U64 && v->kind != VAL_DEC64)
        return KEY_UNKNOWN;
    magnitude = neg ? 0 - v->u.u64 : v->u.u64;
    if (v->kind == VAL_DEC64)
        for (scale = v->scale; scale > 0 && magnitude % 10 == 0; scale--)
            magnitude /= 10;
    *h = mix(mix(*h, magnitude), scale << 1 | neg);
    return KEY_FOUND;
}

static enum found text(const struct shape_col *src, const struct val *v, uint64_t *h)
{
    struct bytes s;
    if (v->kind == VAL_TEXT)
        s = v->u.str;
    else if (v->kind == VAL_ENUM && v->u.u64 >= 1 && v->u.u64 <= src->type.nlabels)
        s = src->type.labels[v->u.u64 - 1];
    else
        return KEY_UNKNOWN;
    if (s.n != 0 && memchr(s.p, 0, s.n) != NULL) /* a policy may change it */
        return KEY_UNKNOWN;
    *h = mix_bytes(*h, s);
    return KEY_FOUND;
}

static enum found uuid(const struct val *v, uint64_t *h)
{
    uint8_t id[16];
    if (v->kind == VAL_BYTES && v->u.str.n == sizeof id)
        memcpy(id, v->u.str.p, sizeof id);
    else if (v->kind != VAL_TEXT || !uuid_parse(v->u.str, id))
        return KEY_UNKNOWN;
    *h = mix_bytes(*h, (struct bytes){ id, sizeof id });
    return KEY_FOUND;
}

static enum found moment(const struct val *v, bool fits, uint64_t *h)
{
    *h = mix(*h, v->u.u64);
    return fits ? KEY_FOUND : KEY_UNKNOWN;
}

static enum found value(const struct pg_column *dst, const struct shape_col *src, const struct val *v, uint64_t *h)
{
    if (v->kind == VAL_NULL)
        return KEY_NULL;
    switch (dst->type) {
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
    case PG_NUMERIC:
        return number(v, h);
    case PG_TEXT:
    case PG_VARCHAR:
        return text(src, v, h);
    case PG_BYTEA:
        if (v->kind != VAL_BYTES)
            return KEY_UNKNOWN;
        *h = mix_bytes(*h, v->u.str);
        return KEY_FOUND;
    case PG_UUID:
        return uuid(v, h);
    case PG_DATE:
        return moment(v, v->kind == VAL_DATE, h);
    case PG_TIMESTAMP:
        return moment(v, v->kind == VAL_DATETIME || v->kind == VAL_DATE, h);
    case PG_TIMESTAMPTZ:
        return moment(v, v->kind == VAL_INSTANT, h);
    default:
        return KEY_UNKNOWN;
    }
}

/* --- tables --- */

/* Adds a key unless the shape lacks one of its columns: the destination then makes up the value. */
static bool add_dep(struct pg_deps *d, const struct shape *s, const struct pg_table *t, const struct pg_unique *u,
                    bool reference)
{
    struct dep *e = &d->deps[d->n];
    unsigned in_key = 0;
    *e = (struct dep){ .seed = mix(UINT64_C(0x5bd1e995), u->table), .reference = reference, .n = u->n };
    for (unsigned i = 0; i < u->n; i++) {
        unsigned c = 0;
        while (c < s->ncols && d->dst[c] != &t->cols[u->col[i]])
            c++;
        if (c == s->ncols)
            return false;
        e->col[i] = (uint16_t)c;
        e->seed = mix(e->seed, (uint64_t)u->attnum[i]);
        for (unsigned k = 0; k < s->nkey; k++)
            in_key += s->key[k] == c;
    }
    e->identity = !reference && u->n == s->nkey && in_key == s->nkey;
    d->n++;
    return true;
}

struct pg_deps *pg_deps_new(const struct shape *s, const struct pg_table *t, const struct pg_column *const *dst)
{
    unsigned n = t->nuniques + t->nreferences;
    struct pg_deps *d = calloc(1, sizeof *d + (n + 1) * sizeof *d->deps);
    if (d == NULL)
        return NULL;
    bool identity = false;
    d->dst = dst;
    d->table = mix(UINT64_C(0x27d4eb2f), t->oid);
    d->everything = t->triggers || t->rules || t->family || t->kind != 'r';
    d->cascades = t->cascades;
    d->related = t->foreign_keys;
    d->keyed = !t->odd_unique && n <= PG_DEPS_MAX;
    for (unsigned i = 0; i < t->nuniques && d->keyed; i++) {
        d->keyed = add_dep(d, s, t, &t->uniques[i], false);
        identity |= d->keyed && d->deps[d->n - 1].identity;
    }
    for (unsigned i = 0; i < t->nreferences && d->keyed; i++)
        d->keyed = add_dep(d, s, t, &t->references[i], true);
    d->keyed = d->keyed && identity; /* else several rows may be meant, or others than the key says */
    return d;
}

void pg_deps_free(struct pg_deps *d)
{
    free(d);
}

/* --- rows --- */

/* What the row's new image, and where that is silent the old one, holds of the key; or the old one alone. */
static enum found key_of(const struct pg_deps *d, const struct dep *e, const struct outrow *r, bool old, uint64_t *h)
{
    bool null = false;
    *h = e->seed;
    for (unsigned i = 0; i < e->n; i++) {
        unsigned c = e->col[i];
        struct val v = old ? outrow_old_at(r, c) : outrow_new_at(r, c);
        if (v.kind == VAL_ABSENT && !old && outrow_has_old(r))
            v = outrow_old_at(r, c);
        enum found f = value(d->dst[c], &r->shape->cols[c], &v, h);
        if (f == KEY_UNKNOWN)
            return f;
        null |= f == KEY_NULL;
    }
    return null ? KEY_NULL : KEY_FOUND;
}

static bool changes(const struct dep *e, const struct outrow *r)
{
    for (unsigned i = 0; i < e->n; i++)
        if (outrow_changes(r, e->col[i]))
            return true;
    return false;
}

/* False: it cannot be said. */
static bool touch(const struct pg_deps *d, const struct dep *e, const struct outrow *r, bool old, struct touch *out,
                  size_t *n)
{
    uint64_t h;
    enum found f = key_of(d, e, r, old, &h);
    if (f == KEY_FOUND)
        out[(*n)++] = (struct touch){ h, !e->reference };
    return f != KEY_UNKNOWN && !(f == KEY_NULL && e->identity);
}

bool pg_deps_row(const struct pg_deps *d, const struct outrow *r, struct touch *out, size_t *n)
{
    *n = 0;
    if (d->everything || (d->cascades && r->op != OUT_INSERT))
        return false;
    bool known = d->keyed;
    for (unsigned i = 0; i < d->n && known; i++) {
        const struct dep *e = &d->deps[i];
        bool change = r->op == OUT_UPDATE && changes(e, r);
        bool old = r->op == OUT_DELETE || change || (r->op == OUT_UPDATE && e->identity);
        if (old)
            known = touch(d, e, r, true, out, n);
        if (known && (r->op == OUT_INSERT || change))
            known = touch(d, e, r, false, out, n);
    }
    if (!known && d->related)
        return false;
    if (!known)
        *n = 0;
    out[(*n)++] = (struct touch){ d->table, !known };
    return true;
}
