/* shape.c - interned shapes: one hash over everything that a shape says, and a short way from a relation to its own
 * shape.
 *
 * Shapes are never freed before their table, so their number is bounded: a script that makes up names from row values
 * is told. */
#include "shape.h"

#include "arena.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHAPES_MAX = 50000 };

struct entry {
    uint64_t hash;
    struct shape *shape;
};
struct own { /* a relation's own shape, by the relation's identity */
    uint64_t id;
    const struct shape *shape;
};
struct shape_table {
    pthread_mutex_t lock;
    struct arena *arena;
    struct entry *entries; /* open addressing, cap a power of two */
    unsigned n, cap;
    struct own *own;
    unsigned nown, cap_own;
};

struct shape_table *shape_table_new(void)
{
    struct shape_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->arena = arena_new(0);
    t->cap = t->cap_own = 64;
    t->entries = calloc(t->cap, sizeof *t->entries);
    t->own = calloc(t->cap_own, sizeof *t->own);
    if (t->arena == NULL || t->entries == NULL || t->own == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
        arena_free(t->arena);
        free(t->entries);
        free(t->own);
        free(t);
        return NULL;
    }
    return t;
}

void shape_table_free(struct shape_table *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->cap; i++)
        if (t->entries[i].shape != NULL && t->entries[i].shape->rel != NULL)
            relation_unref((struct relation *)t->entries[i].shape->rel);
    pthread_mutex_destroy(&t->lock);
    arena_free(t->arena);
    free(t->entries);
    free(t->own);
    free(t);
}

static uint64_t mix(uint64_t h, const void *p, size_t n) /* FNV-1a */
{
    for (const uint8_t *b = p; n > 0; n--, b++)
        h = (h ^ *b) * UINT64_C(1099511628211);
    return h;
}

static uint64_t mix_bytes(uint64_t h, struct bytes b)
{
    uint64_t n = b.n; /* with the length, so that "ab"+"c" is not "a"+"bc" */
    return mix(mix(h, &n, sizeof n), b.p, b.n);
}

static bool same_column_source(const struct column *a, const struct column *b)
{
    return a->type == b->type && a->key_pos == b->key_pos && bytes_eq(a->name, b->name);
}

static bool shape_is(const struct shape *s, struct bytes schema, struct bytes table, const struct shape_col *cols,
                     unsigned ncols, const uint16_t *key, unsigned nkey, const struct relation *r)
{
    if (s->ncols != ncols || s->nkey != nkey || (s->rel == NULL) != (r == NULL) ||
        (r != NULL && r != s->rel && r->id != s->rel->id) || !bytes_eq_str(schema, s->schema) ||
        !bytes_eq_str(table, s->table))
        return false;
    for (unsigned i = 0; i < ncols; i++)
        if (!bytes_eq(s->cols[i].name, cols[i].name) || !same_column_source(&s->cols[i].type, &cols[i].type))
            return false;
    return nkey == 0 || memcmp(s->key, key, nkey * sizeof *key) == 0;
}

static bool is_original(const struct shape *s)
{
    const struct relation *r = s->rel;
    if (r == NULL || s->ncols != r->ncols || s->nkey != r->nkey || !bytes_eq_str(r->schema, s->schema) ||
        !bytes_eq_str(r->table, s->table))
        return false;
    for (unsigned i = 0; i < s->ncols; i++)
        if (s->cols[i].type.type == 0 || !bytes_eq(s->cols[i].name, r->cols[i].name) ||
            !bytes_eq(s->cols[i].type.name, r->cols[i].name))
            return false;
    return r->nkey == 0 || memcmp(s->key, r->key, r->nkey * sizeof *r->key) == 0;
}

static bool copy_column(struct arena *a, struct column *c, struct err *err)
{
    if (!arena_copy(a, c->name, &c->name, err) || !arena_copy(a, c->charset, &c->charset, err))
        return false;
    if (c->nlabels == 0)
        return true;
    struct bytes *labels = arena_alloc(a, c->nlabels * sizeof *labels, err);
    if (labels == NULL)
        return false;
    for (uint32_t i = 0; i < c->nlabels; i++)
        if (!arena_copy(a, c->labels[i], &labels[i], err))
            return false;
    c->labels = labels;
    return true;
}

static struct shape *shape_build(struct arena *a, struct bytes schema, struct bytes table, const struct shape_col *cols,
                                 unsigned ncols, const uint16_t *key, unsigned nkey, const struct relation *r,
                                 struct err *err)
{
    struct shape *s = arena_zalloc(a, sizeof *s, err);
    struct shape_col *c = arena_zalloc(a, (ncols + 1) * sizeof *c, err);
    uint16_t *k = arena_zalloc(a, (nkey + 1) * sizeof *k, err);
    if (s == NULL || c == NULL || k == NULL)
        return NULL;
    s->schema = arena_cstr(a, schema, err);
    s->table = arena_cstr(a, table, err);
    if (s->schema == NULL || s->table == NULL)
        return NULL;
    for (unsigned i = 0; i < ncols; i++) {
        c[i] = cols[i];
        /* Labels of the relation that the shape references live long enough; other views may not. */
        bool ours = r != NULL && cols[i].type.nlabels != 0;
        for (unsigned j = 0; ours && j < r->ncols; j++)
            if (r->cols[j].labels == cols[i].type.labels)
                ours = false;
        if (!arena_copy(a, cols[i].name, &c[i].name, err))
            return NULL;
        if (r == NULL || ours) {
            if (!copy_column(a, &c[i].type, err))
                return NULL;
        } else if (!arena_copy(a, c[i].type.name, &c[i].type.name, err) ||
                   !arena_copy(a, c[i].type.charset, &c[i].type.charset, err)) {
            return NULL;
        }
    }
    if (nkey != 0)
        memcpy(k, key, nkey * sizeof *k);
    s->ncols = ncols;
    s->cols = c;
    s->nkey = nkey;
    s->key = k;
    s->rel = r == NULL ? NULL : relation_ref(r);
    s->original = is_original(s);
    return s;
}

static bool entries_grow(struct shape_table *t, struct err *err)
{
    if (t->n * 2 < t->cap)
        return true;
    struct entry *bigger = calloc((size_t)t->cap * 2, sizeof *bigger);
    if (bigger == NULL)
        return err_nomem(err);
    for (unsigned i = 0; i < t->cap; i++) {
        if (t->entries[i].shape == NULL)
            continue;
        unsigned at = (unsigned)t->entries[i].hash & (t->cap * 2 - 1);
        while (bigger[at].shape != NULL)
            at = (at + 1) & (t->cap * 2 - 1);
        bigger[at] = t->entries[i];
    }
    free(t->entries);
    t->entries = bigger;
    t->cap *= 2;
    return true;
}

static const struct shape *intern_locked(struct shape_table *t, struct bytes schema, struct bytes table,
                                         const struct shape_col *cols, unsigned ncols, const uint16_t *key,
                                         unsigned nkey, const struct relation *r, struct err *err)
{
    uint64_t h = mix_bytes(mix_bytes(UINT64_C(14695981039346656037), schema), table);
    for (unsigned i = 0; i < ncols; i++)
        h = mix(mix_bytes(h, cols[i].name), &cols[i].type.type, 1);
    if (nkey != 0)
        h = mix(h, key, nkey * sizeof *key);
    if (r != NULL)
        h = mix(h, &r->id, sizeof r->id);
    if (!entries_grow(t, err))
        return NULL;
    unsigned at = (unsigned)h & (t->cap - 1);
    for (; t->entries[at].shape != NULL; at = (at + 1) & (t->cap - 1))
        if (t->entries[at].hash == h && shape_is(t->entries[at].shape, schema, table, cols, ncols, key, nkey, r))
            return t->entries[at].shape;
    if (t->n >= SHAPES_MAX) {
        err_set(
            err, ERR_SCRIPT,
            "more than %d different combinations of table and columns: does the script make up table or column names "
            "from row values?",
            SHAPES_MAX);
        return NULL;
    }
    struct shape *s = shape_build(t->arena, schema, table, cols, ncols, key, nkey, r, err);
    if (s == NULL)
        return NULL;
    s->id = t->n++;
    t->entries[at] = (struct entry){ h, s };
    return s;
}

const struct shape *shape_intern(struct shape_table *t, struct bytes schema, struct bytes table,
                                 const struct shape_col *cols, unsigned ncols, const uint16_t *key, unsigned nkey,
                                 const struct relation *r, struct err *err)
{
    pthread_mutex_lock(&t->lock);
    const struct shape *s = intern_locked(t, schema, table, cols, ncols, key, nkey, r, err);
    pthread_mutex_unlock(&t->lock);
    return s;
}

/* Only the transform stage adds: no lock is needed around own. */
static bool own_add(struct shape_table *t, uint64_t id, const struct shape *s, struct err *err)
{
    if (t->nown * 2 >= t->cap_own) {
        struct own *bigger = calloc((size_t)t->cap_own * 2, sizeof *bigger);
        if (bigger == NULL)
            return err_nomem(err);
        for (unsigned i = 0; i < t->cap_own; i++) {
            if (t->own[i].shape == NULL)
                continue;
            unsigned at = (unsigned)t->own[i].id & (t->cap_own * 2 - 1);
            while (bigger[at].shape != NULL)
                at = (at + 1) & (t->cap_own * 2 - 1);
            bigger[at] = t->own[i];
        }
        free(t->own);
        t->own = bigger;
        t->cap_own *= 2;
    }
    unsigned at = (unsigned)id & (t->cap_own - 1);
    while (t->own[at].shape != NULL)
        at = (at + 1) & (t->cap_own - 1);
    t->own[at] = (struct own){ id, s };
    t->nown++;
    return true;
}

const struct shape *shape_of_relation(struct shape_table *t, const struct relation *r, struct err *err)
{
    for (unsigned at = (unsigned)r->id & (t->cap_own - 1); t->own[at].shape != NULL; at = (at + 1) & (t->cap_own - 1))
        if (t->own[at].id == r->id)
            return t->own[at].shape;
    struct shape_col *cols = calloc(r->ncols == 0 ? 1 : r->ncols, sizeof *cols);
    if (cols == NULL) {
        err_nomem(err);
        return NULL;
    }
    for (unsigned i = 0; i < r->ncols; i++)
        cols[i] = (struct shape_col){ r->cols[i].name, r->cols[i] };
    const struct shape *s = shape_intern(t, r->schema, r->table, cols, r->ncols, r->key, r->nkey, r, err);
    free(cols);
    return s != NULL && own_add(t, r->id, s, err) ? s : NULL;
}
