/* compact.c - see compact.h.
 *
 * One pass sorts the rows into lanes (one per table, and one for all COMPACT_GLOBAL tables). A keyed lane runs each
 * change through a small state machine per key; any transition that it does not know sends the whole lane into source
 * order. TRUNCATE ends what was gathered: it is planned behind everything before it and before everything behind it. */
#include "compact.h"

#include <stdlib.h>

enum { GROUPS_SEARCHED = 64 };
#define NONE UINT32_MAX

/* What is known of one key inside the batch. */
enum key_state {
    KEY_UPD,    /* was there, changed */
    KEY_DEL,    /* was there, gone */
    KEY_INS,    /* was not there, is now */
    KEY_DELINS, /* was there, replaced by a new row */
    KEY_GONE    /* was not there, came and went: nothing to do */
};
struct image {               /* one image of a row */
    const struct val *row;   /* made here; NULL: it is one of the batch's, of `of` */
    const struct outrow *of; /* NULL only in an entry that is not used */
    bool old;
};
struct entry {
    uint8_t state;
    bool plain;
    uint32_t hash, next;
    struct image key; /* holds the key's values; an old one wherever the row was there before */
    struct val *row;  /* UPD: what to set; INS, DELINS: the row. Made of several changes; NULL: src's new image */
    const struct outrow *src;
};
struct lane {
    const struct compact_traits *traits;
    const struct shape *shape;
    bool mixed; /* more than one shape */
    uint32_t *rows;
    size_t n, cap;
};
struct work {
    const struct batch *b;
    struct arena *a;
    struct plan *plan;
    struct err *err;
    struct lane *lanes; /* [0] is the global one */
    size_t nlanes, cap_lanes;
    struct entry *entries; /* of the keyed lane at hand */
    size_t nentries;
    uint32_t *heads;
    size_t mask;
    const struct outrow **run; /* those whose old keys are in the current run, open addressing; NULL free */
    size_t run_n, run_mask;
    const struct shape *whole_of; /* the shape that whole is of */
    const uint64_t *whole[2];     /* every column; and without the key */
};

/* Grows an array in the arena: the old piece stays until the arena goes, which doubling bounds to twice the need. */
static bool grow(struct arena *a, void **p, size_t *cap, size_t n, size_t size, struct err *err)
{
    if (n < *cap)
        return true;
    size_t more = *cap == 0 ? 8 : *cap * 2;
    void *q = arena_alloc(a, more * size, err);
    if (q == NULL)
        return false;
    if (n != 0)
        memcpy(q, *p, n * size);
    *p = q;
    *cap = more;
    return true;
}

static size_t words(const struct shape *s)
{
    return (s->ncols + 63) / 64;
}

static inline struct image new_of(const struct outrow *r)
{
    return (struct image){ NULL, r, false };
}

static inline struct image old_of(const struct outrow *r)
{
    return (struct image){ NULL, r, true };
}

static inline struct val at(struct image m, unsigned col)
{
    return m.row != NULL ? m.row[col] : m.old ? outrow_old_at(m.of, col) : outrow_new_at(m.of, col);
}

/* The columns that the image holds; without the key when skip_key. */
static uint64_t *presence(struct arena *a, const struct shape *s, struct image m, bool skip_key, struct err *err)
{
    uint64_t *bits = arena_zalloc(a, words(s) * sizeof *bits, err);
    if (bits == NULL)
        return NULL;
    for (unsigned i = 0; i < s->ncols; i++)
        if (at(m, i).kind != VAL_ABSENT)
            bits[i / 64] |= UINT64_C(1) << (i % 64);
    for (unsigned i = 0; skip_key && i < s->nkey; i++)
        bits[s->key[i] / 64] &= ~(UINT64_C(1) << (s->key[i] % 64));
    return bits;
}

/* The same of a new image; the bits of rows that came whole are made once. */
static const uint64_t *presence_new(struct work *w, const struct shape *s, struct image m, bool skip_key)
{
    if (m.row != NULL || m.of->sent == NULL || !rel_rows_complete(m.of->sent->u.change.rows))
        return presence(w->a, s, m, skip_key, w->err);
    if (w->whole_of != s) {
        w->whole[0] = presence(w->a, s, m, false, w->err);
        w->whole[1] = presence(w->a, s, m, true, w->err);
        w->whole_of = w->whole[0] != NULL && w->whole[1] != NULL ? s : NULL;
    }
    return w->whole[skip_key];
}

static inline uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static uint64_t mix_bytes(uint64_t h, struct bytes b)
{
    size_t i = 0;
    uint64_t v = 0;
    for (; i + sizeof v <= b.n; i += sizeof v) {
        memcpy(&v, b.p + i, sizeof v);
        h = mix(h, v);
    }
    v = b.n;
    for (; i < b.n; i++)
        v = v << 8 | b.p[i];
    return mix(h, v);
}

/* False: a value is NULL or not known. */
static bool key_hash(const struct shape *s, struct image m, uint32_t *out)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < s->nkey; i++) {
        struct val v = at(m, s->key[i]);
        uint32_t f = 0;
        if (v.kind == VAL_NULL || v.kind == VAL_ABSENT)
            return false;
        if (val_is_str(v.kind)) {
            h = mix_bytes(h + v.kind, v.u.str);
        } else if (v.kind == VAL_F32) {
            memcpy(&f, &v.u.f32, sizeof f);
            h = mix(h + v.kind, f);
        } else {
            h = mix(h + v.kind, v.u.u64);
        }
    }
    *out = (uint32_t)h;
    return true;
}

static bool key_eq(const struct shape *s, struct image x, struct image y)
{
    for (unsigned i = 0; i < s->nkey; i++) {
        struct val p = at(x, s->key[i]), q = at(y, s->key[i]);
        if (!val_eq(&p, &q))
            return false;
    }
    return true;
}

static bool key_has_null(const struct shape *s, struct image m)
{
    for (unsigned i = 0; i < s->nkey; i++) {
        struct val v = at(m, s->key[i]);
        if (v.kind == VAL_NULL || v.kind == VAL_ABSENT)
            return true;
    }
    return false;
}

/* An absent key column in the new image did not change. */
static bool key_changes(const struct outrow *r)
{
    for (unsigned i = 0; i < r->shape->nkey; i++)
        if (outrow_changes(r, r->shape->key[i]))
            return true;
    return false;
}

static struct plan_group *new_group(struct work *w, const struct shape *s, uint8_t op)
{
    struct plan_group *g = arena_zalloc(w->a, sizeof *g, w->err);
    if (g == NULL)
        return NULL;
    g->shape = s;
    g->op = op;
    g->plain = true;
    if (!grow(w->a, (void **)&w->plan->groups, &w->plan->cap, w->plan->n, sizeof(struct plan_group *), w->err))
        return NULL;
    w->plan->groups[w->plan->n++] = g;
    return g;
}

static bool group_add(struct arena *a, struct plan_group *g, const struct outrow *src, const struct val *made,
                      const struct outrow *old, struct err *err)
{
    if (g->n == g->cap) {
        size_t cap = g->cap == 0 ? 4 : g->cap * 2;
        const struct outrow **s = arena_alloc(a, cap * sizeof(struct outrow *), err);
        const struct val **m = arena_alloc(a, cap * sizeof(struct val *), err);
        const struct outrow **o = arena_alloc(a, cap * sizeof(struct outrow *), err);
        if (s == NULL || m == NULL || o == NULL)
            return false;
        if (g->n != 0) {
            memcpy(s, g->src, g->n * sizeof(struct outrow *));
            memcpy(m, g->made, g->n * sizeof(struct val *));
            memcpy(o, g->old, g->n * sizeof(struct outrow *));
        }
        g->src = s;
        g->made = m;
        g->old = o;
        g->cap = cap;
    }
    g->plain &= src->plain;
    g->src[g->n] = src;
    g->made[g->n] = made;
    g->old[g->n++] = old;
    return true;
}

/* --- source order --- */

static bool guards_change(const struct compact_traits *t, const struct outrow *r)
{
    if (t->guard == NULL && !t->guard_all)
        return false;
    for (unsigned i = 0; i < r->shape->ncols; i++) {
        if (!t->guard_all && !t->guard[i])
            continue;
        if (outrow_changes(r, i)) /* an unknown old value counts as changed */
            return true;
    }
    return false;
}

static bool run_grow(struct work *w, const struct shape *s)
{
    size_t cap = w->run == NULL ? 64 : (w->run_mask + 1) * 2;
    const struct outrow **old = w->run;
    size_t old_cap = old == NULL ? 0 : w->run_mask + 1;
    w->run = arena_zalloc(w->a, cap * sizeof(struct outrow *), w->err);
    if (w->run == NULL)
        return false;
    w->run_mask = cap - 1;
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i] == NULL)
            continue;
        uint32_t to;
        key_hash(s, old_of(old[i]), &to); /* a key with a NULL stands alone, never in here */
        to &= (uint32_t)w->run_mask;
        while (w->run[to] != NULL)
            to = (to + 1) & (uint32_t)w->run_mask;
        w->run[to] = old[i];
    }
    return true;
}

/* Adds r's old key to the current run; *seen when it is in there already. */
static bool run_key(struct work *w, const struct shape *s, const struct outrow *r, bool *seen)
{
    if ((w->run == NULL || (w->run_n + 1) * 2 > w->run_mask) && !run_grow(w, s))
        return false;
    uint32_t h;
    *seen = false;
    if (!key_hash(s, old_of(r), &h))
        return true;
    size_t to = h & w->run_mask;
    for (; w->run[to] != NULL; to = (to + 1) & w->run_mask) {
        if (key_eq(s, old_of(w->run[to]), old_of(r))) {
            *seen = true;
            return true;
        }
    }
    w->run[to] = r;
    w->run_n++;
    return true;
}

static void run_clear(struct work *w)
{
    if (w->run_n != 0)
        memset(w->run, 0, (w->run_mask + 1) * sizeof(struct outrow *));
    w->run_n = 0;
}

static bool fill_single(const struct outrow *r, struct plan_group *g, struct arena *a, struct err *err)
{
    const struct shape *s = r->shape;
    g->key_change = r->op == OUT_UPDATE && s->nkey != 0 && key_changes(r);
    if (r->op == OUT_INSERT || r->op == OUT_UPDATE) {
        g->present = presence(a, s, new_of(r), r->op == OUT_UPDATE && !g->key_change, err);
        if (g->present == NULL)
            return false;
    }
    if (r->op != OUT_INSERT && s->nkey == 0) {
        g->known = presence(a, s, old_of(r), false, err);
        if (g->known == NULL)
            return false;
    }
    return group_add(a, g, r, NULL, r->op == OUT_INSERT ? NULL : r, err);
}

bool compact_single(const struct outrow *r, struct arena *a, struct plan_group **out, struct err *err)
{
    struct plan_group *g = arena_zalloc(a, sizeof *g, err);
    if (g == NULL)
        return false;
    g->shape = r->shape;
    g->op = r->op;
    if (!fill_single(r, g, a, err))
        return false;
    *out = g;
    return true;
}

static bool plan_ordered(struct work *w, const struct lane *l,
                         const struct compact_traits *(*traits)(void *, const struct shape *), void *ctx)
{
    struct plan_group *open = NULL; /* the group that the next row may join */
    run_clear(w);
    for (size_t i = 0; i < l->n; i++) {
        const struct outrow *r = &w->b->rows[l->rows[i]];
        const struct shape *s = r->shape;
        const struct compact_traits *t = traits(ctx, s);
        bool change = r->op != OUT_INSERT;
        bool alone = change && (s->nkey == 0 || !t->merge || key_has_null(s, old_of(r)));
        if (r->op == OUT_UPDATE && !alone)
            alone = key_changes(r) || guards_change(t, r);
        if (!alone && open != NULL && open->shape == s && open->op == r->op) {
            bool fits = true, seen = false;
            if (r->op != OUT_DELETE) {
                const uint64_t *bits = presence_new(w, s, new_of(r), r->op == OUT_UPDATE);
                if (bits == NULL)
                    return false;
                fits = memcmp(bits, open->present, words(s) * sizeof *bits) == 0;
            }
            if (fits && change && !run_key(w, s, r, &seen))
                return false;
            if (fits && !seen) {
                if (!group_add(w->a, open, r, NULL, change ? r : NULL, w->err))
                    return false;
                continue;
            }
        }
        struct plan_group *g = new_group(w, s, r->op);
        if (g == NULL || !fill_single(r, g, w->a, w->err))
            return false;
        run_clear(w);
        open = NULL;
        if (!alone) {
            bool seen;
            if (change && !run_key(w, s, r, &seen))
                return false;
            open = g;
        }
    }
    return true;
}

/* --- by key --- */

static struct entry *find(struct work *w, const struct shape *s, struct image key, uint32_t hash)
{
    for (uint32_t e = w->heads[hash & w->mask]; e != NONE; e = w->entries[e].next)
        if (w->entries[e].hash == hash && key_eq(s, w->entries[e].key, key))
            return &w->entries[e];
    return NULL;
}

/* Room was made for two entries a row. */
static struct entry *add(struct work *w, struct image key, uint32_t hash, uint8_t state, const struct outrow *src)
{
    struct entry *e = &w->entries[w->nentries];
    *e = (struct entry){
        .state = state, .plain = src->plain, .hash = hash, .next = w->heads[hash & w->mask], .key = key, .src = src
    };
    w->heads[hash & w->mask] = (uint32_t)w->nentries++;
    return e;
}

/* e's row with what r holds laid over it. */
static bool overlay(struct work *w, const struct shape *s, struct entry *e, const struct outrow *r)
{
    bool all = r->sent != NULL && rel_rows_complete(r->sent->u.change.rows);
    if (e->row == NULL) {
        struct val *copy = arena_alloc(w->a, s->ncols * sizeof *copy, w->err);
        if (copy == NULL)
            return false;
        for (unsigned i = 0; i < s->ncols && !all; i++)
            copy[i] = outrow_new_at(e->src, i);
        e->row = copy;
    }
    if (all) {
        rel_rows_new(r->sent->u.change.rows, r->sent, e->row);
        return true;
    }
    for (unsigned i = 0; i < s->ncols; i++) {
        struct val v = outrow_new_at(r, i);
        if (v.kind != VAL_ABSENT)
            e->row[i] = v;
    }
    return true;
}

static bool complete(const struct outrow *r)
{
    for (unsigned i = 0; i < r->shape->ncols; i++)
        if (outrow_new_at(r, i).kind == VAL_ABSENT)
            return false;
    return true;
}

/* Each returns false for a change that contradicts what is known: the lane then keeps the source's order. */
static bool key_insert(struct work *w, const struct shape *s, struct val *row /* NULL: src's own */,
                       const struct outrow *src)
{
    struct image key = { row, src, false };
    uint32_t h;
    if (!key_hash(s, key, &h))
        return false;
    struct entry *e = find(w, s, key, h);
    if (e == NULL) {
        e = add(w, key, h, KEY_INS, src);
    } else if (e->state == KEY_DEL || e->state == KEY_GONE) {
        e->state = e->state == KEY_DEL ? KEY_DELINS : KEY_INS;
        w->plan->merged++;
    } else {
        return false;
    }
    e->row = row;
    e->src = src;
    return true;
}

static bool key_delete(struct work *w, const struct shape *s, const struct outrow *src)
{
    uint32_t h;
    if (!key_hash(s, old_of(src), &h))
        return false;
    struct entry *e = find(w, s, old_of(src), h);
    if (e == NULL) {
        add(w, old_of(src), h, KEY_DEL, src);
        return true;
    }
    if (e->state == KEY_DEL || e->state == KEY_GONE)
        return false;
    w->plan->merged++;
    e->state = e->state == KEY_INS ? KEY_GONE : KEY_DEL;
    e->row = NULL;
    e->src = src;
    return true;
}

static bool key_update(struct work *w, const struct shape *s, const struct outrow *src, bool *nomem)
{
    uint32_t h;
    if (!key_hash(s, old_of(src), &h))
        return false;
    struct entry *e = find(w, s, old_of(src), h);
    if (e == NULL) {
        add(w, old_of(src), h, KEY_UPD, src);
        return true;
    }
    if (e->state == KEY_DEL || e->state == KEY_GONE)
        return false;
    w->plan->merged++;
    *nomem = !overlay(w, s, e, src);
    e->src = src;
    e->plain &= src->plain;
    return !*nomem;
}

/* The row goes from one key to another. */
static bool key_move(struct work *w, const struct shape *s, const struct compact_traits *t, const struct outrow *src,
                     bool *nomem)
{
    uint32_t h;
    if (!key_hash(s, old_of(src), &h))
        return false;
    struct entry *e = find(w, s, old_of(src), h);
    if (e != NULL && (e->state == KEY_DEL || e->state == KEY_GONE))
        return false;
    if (e != NULL && (e->state == KEY_INS || e->state == KEY_DELINS)) { /* the whole row is known here */
        *nomem = !overlay(w, s, e, src);
        if (*nomem)
            return false;
        struct val *row = e->row;
        e->state = e->state == KEY_INS ? KEY_GONE : KEY_DEL;
        e->key = old_of(src); /* the row it pointed to has the new key now */
        e->row = NULL;
        w->plan->merged++;
        return key_insert(w, s, row, src);
    }
    if (!t->whole || !complete(src))
        return false;
    if (e == NULL) {
        add(w, old_of(src), h, KEY_DEL, src);
    } else {
        e->state = KEY_DEL;
        e->row = NULL;
    }
    return key_insert(w, s, NULL, src);
}

/* The group of the plan from `first` on with this operation and columns; made when there is none. */
static struct plan_group *find_group(struct work *w, size_t first, const struct shape *s, uint8_t op,
                                     const uint64_t *bits)
{
    size_t low = w->plan->n - first > GROUPS_SEARCHED ? w->plan->n - GROUPS_SEARCHED : first;
    for (size_t i = w->plan->n; i-- > low;) {
        struct plan_group *g = w->plan->groups[i];
        if (g->op == op && (bits == g->present || memcmp(g->present, bits, words(s) * sizeof *bits) == 0))
            return g;
    }
    struct plan_group *g = new_group(w, s, op);
    if (g != NULL)
        g->present = bits;
    return g;
}

static bool emit(struct work *w, const struct shape *s, size_t first, uint8_t op)
{
    for (size_t i = 0; i < w->nentries; i++) {
        const struct entry *e = &w->entries[i];
        bool wanted = op == OUT_DELETE   ? e->state == KEY_DEL || e->state == KEY_DELINS
                      : op == OUT_UPDATE ? e->state == KEY_UPD
                                         : e->state == KEY_INS || e->state == KEY_DELINS;
        if (!wanted)
            continue;
        const uint64_t *bits = NULL;
        if (op != OUT_DELETE) {
            bits = presence_new(w, s, (struct image){ e->row, e->src, false }, op == OUT_UPDATE);
            if (bits == NULL)
                return false;
        }
        struct plan_group *g = find_group(w, first, s, op, bits);
        if (g == NULL ||
            !group_add(w->a, g, e->src, op == OUT_DELETE ? NULL : e->row, op == OUT_INSERT ? NULL : e->key.of, w->err))
            return false;
        g->plain &= e->plain;
    }
    return true;
}

/* *fits false: the lane must keep the source's order; nothing was planned. */
static bool plan_keyed(struct work *w, const struct lane *l, bool *fits)
{
    const struct shape *s = l->shape;
    size_t buckets = 16, merged = w->plan->merged;
    while (buckets < l->n * 2)
        buckets *= 2;
    w->entries = arena_alloc(w->a, l->n * 2 * sizeof *w->entries, w->err);
    w->heads = arena_alloc(w->a, buckets * sizeof *w->heads, w->err);
    if (w->entries == NULL || w->heads == NULL)
        return false;
    memset(w->heads, 0xff, buckets * sizeof *w->heads); /* NONE */
    w->mask = buckets - 1;
    w->nentries = 0;
    *fits = true;
    for (size_t i = 0; i < l->n && *fits; i++) {
        const struct outrow *r = &w->b->rows[l->rows[i]];
        bool nomem = false;
        if (r->op == OUT_INSERT)
            *fits = key_insert(w, s, NULL, r);
        else if (r->op == OUT_DELETE)
            *fits = key_delete(w, s, r);
        else
            *fits = key_changes(r) ? key_move(w, s, l->traits, r, &nomem) : key_update(w, s, r, &nomem);
        if (nomem)
            return false;
    }
    if (!*fits) {
        w->plan->merged = merged;
        return true;
    }
    size_t first = w->plan->n;
    return emit(w, s, first, OUT_DELETE) && emit(w, s, first, OUT_UPDATE) && emit(w, s, first, OUT_INSERT);
}

/* --- lanes --- */

static bool lane_add(struct work *w, uint32_t row, const struct compact_traits *t)
{
    const struct shape *s = w->b->rows[row].shape;
    struct lane *l = NULL;
    if (t->order == COMPACT_GLOBAL)
        l = &w->lanes[0];
    for (size_t i = w->nlanes; l == NULL && i-- > 1;)
        if (w->lanes[i].traits->table == t->table)
            l = &w->lanes[i];
    if (l == NULL) {
        if (!grow(w->a, (void **)&w->lanes, &w->cap_lanes, w->nlanes, sizeof *w->lanes, w->err))
            return false;
        l = &w->lanes[w->nlanes++];
        *l = (struct lane){ .traits = t, .shape = s };
    }
    l->mixed |= l->shape != s;
    if (!grow(w->a, (void **)&l->rows, &l->cap, l->n, sizeof *l->rows, w->err))
        return false;
    l->rows[l->n++] = row;
    return true;
}

static bool flush(struct work *w, const struct compact_traits *(*traits)(void *, const struct shape *), void *ctx)
{
    for (size_t i = 1; i < w->nlanes; i++) {
        const struct lane *l = &w->lanes[i];
        bool fits = false;
        if (l->traits->order == COMPACT_KEYS && !l->mixed && l->shape->nkey != 0 && !plan_keyed(w, l, &fits))
            return false;
        if (!fits && !plan_ordered(w, l, traits, ctx))
            return false;
    }
    if (w->lanes[0].n != 0 && !plan_ordered(w, &w->lanes[0], traits, ctx))
        return false;
    w->nlanes = 1;
    w->lanes[0] = (struct lane){ 0 };
    return true;
}

bool compact_plan(const struct batch *b, size_t from, size_t to,
                  const struct compact_traits *(*traits)(void *ctx, const struct shape *s), void *ctx, struct arena *a,
                  struct plan *out, struct err *err)
{
    *out = (struct plan){ 0 };
    struct work w = { .b = b, .a = a, .plan = out, .err = err };
    if (!grow(a, (void **)&w.lanes, &w.cap_lanes, 0, sizeof *w.lanes, err))
        return false;
    w.lanes[0] = (struct lane){ 0 };
    w.nlanes = 1;
    for (size_t i = from; i < to; i++) {
        const struct outrow *r = &b->rows[i];
        if (r->op == OUT_TRUNCATE) {
            if (!flush(&w, traits, ctx))
                return false;
            struct plan_group *g = new_group(&w, r->shape, OUT_TRUNCATE);
            if (g == NULL || !group_add(a, g, r, NULL, NULL, err))
                return false;
        } else if (!lane_add(&w, (uint32_t)i, traits(ctx, r->shape))) {
            return false;
        }
    }
    return flush(&w, traits, ctx);
}
