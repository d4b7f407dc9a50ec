/* lua_view.c - building views and remembering steps. See lua_view.h.
 *
 * Views live until the script ends; their number is bounded, since a script could make up names from row values. */
#include "lua_view.h"

#include "lua_value.h"
#include "suggest.h"

#include <stdio.h>
#include <stdlib.h>

enum { VIEWS_MAX = 50000, SORT_MIN = 16 };
enum step { STEP_ROOT, STEP_ROOT_TABLE, STEP_RENAME, STEP_REMOVE, STEP_KEEP, STEP_ADD, STEP_TO, STEP_SET_KEY };
_Static_assert((int)STEP_SET_KEY < (int)VIEW_STEPS, "a place in view.last for each");

struct name_slot {
    const uint8_t *p; /* NULL: free */
    uint16_t col;
};
struct view_step {
    const struct view *to;
    struct bytes key;
    unsigned n;             /* names, 0: not all are anchored, or none */
    const uint8_t *names[]; /* anchored: another address is another name */
};
struct transition {
    uint64_t hash;
    const struct view_step *step; /* NULL: free */
};
struct views {
    lua_State *L;
    int names; /* reference to a table that keeps every column name alive, so that its address stays its own */
    struct arena *arena;
    struct shape_table *shapes;
    struct transition *steps; /* open addressing */
    unsigned n, cap, nviews;
    struct buf key;
    struct shape_col *cols; /* scratch */
};

struct views *views_new(lua_State *L, struct shape_table *shapes)
{
    struct views *v = calloc(1, sizeof *v);
    if (v == NULL)
        return NULL;
    v->L = L;
    v->shapes = shapes;
    v->cap = 64;
    v->arena = arena_new(0);
    v->steps = calloc(v->cap, sizeof *v->steps);
    v->cols = calloc(VIEW_COLS_MAX, sizeof *v->cols);
    v->names = LUA_NOREF;
    if (v->arena == NULL || v->steps == NULL || v->cols == NULL) {
        views_free(v);
        return NULL;
    }
    return v;
}

void views_free(struct views *v)
{
    if (v == NULL)
        return;
    for (unsigned i = 0; i < v->cap && v->steps != NULL; i++)
        if (v->steps[i].step != NULL && v->steps[i].step->key.p[0] == STEP_ROOT)
            relation_unref((struct relation *)v->steps[i].step->to->rel);
    arena_free(v->arena);
    free(v->steps);
    free(v->cols);
    buf_free(&v->key);
    free(v);
}

/* --- steps --- */

static struct bytes anchor(struct views *v, struct bytes name) /* may raise */
{
    lua_State *L = v->L;
    luaL_checkstack(L, 4, "column names");
    if (v->names == LUA_NOREF) {
        lua_newtable(L);
        v->names = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, v->names);
    lua_pushlstring(L, name.n == 0 ? "" : (const char *)name.p, name.n);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushvalue(L, -1);
        lua_rawset(L, -4);
        lua_pushnil(L);
    } else { /* a long string: the copy that is kept, not this one */
        lua_replace(L, -2);
        lua_pushnil(L);
    }
    struct bytes kept = lua_bytes(L, -2);
    lua_pop(L, 3);
    return kept;
}

static void key_begin(struct views *v, enum step step, const struct view *from)
{
    buf_reset(&v->key);
    buf_u8(&v->key, (uint8_t)step);
    buf_le(&v->key, from == NULL ? UINT32_MAX : from->id, 4);
}

static uint64_t hash_of(struct bytes b)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < b.n; i++)
        h = (h ^ b.p[i]) * UINT64_C(1099511628211);
    return h ^ h >> 29;
}

/* Was the step that was last taken from here this one? By the addresses of its names alone. */
static const struct view *again(const struct view *from, enum step step, const struct bytes *names, unsigned n)
{
    const struct view_step *s = from->last[step];
    if (s == NULL || s->n != n || n == 0)
        return NULL;
    for (unsigned i = 0; i < n; i++)
        if (s->names[i] != names[i].p)
            return NULL;
    return s->to;
}

/* The view that v->key leads to, or NULL. */
static const struct view *known(struct views *v, const struct view *from)
{
    struct bytes key = buf_view(&v->key);
    if (key.n == 0 || v->key.failed) /* out of memory: remember says so */
        return NULL;
    const struct view_step **last =
        from == NULL ? NULL
                     : &((struct view *)from)->last[key.p[0]]; /* views are ours; const is for those who hold them */
    if (last != NULL && *last != NULL && bytes_eq((*last)->key, key))
        return (*last)->to;
    uint64_t h = hash_of(key);
    for (unsigned at = (unsigned)h & (v->cap - 1); v->steps[at].step != NULL; at = (at + 1) & (v->cap - 1)) {
        if (v->steps[at].hash != h || !bytes_eq(v->steps[at].step->key, key))
            continue;
        if (last != NULL)
            *last = v->steps[at].step;
        return v->steps[at].step->to;
    }
    return NULL;
}

/* names: the step's arguments, all of them names of columns; NULL: they are something else. */
static bool remember(struct views *v, const struct bytes *names, unsigned n, const struct view *to, struct err *err)
{
    if (!buf_ok(&v->key, err))
        return false;
    struct view_step *s = arena_zalloc(v->arena, sizeof *s + n * sizeof s->names[0], err);
    if (s == NULL || !arena_copy(v->arena, buf_view(&v->key), &s->key, err))
        return false;
    s->to = to;
    s->n = names == NULL ? 0 : n;
    for (unsigned i = 0; i < s->n; i++) {
        s->names[i] = anchor(v, names[i]).p;
        if (s->names[i] != names[i].p) /* a long string: there may be several copies */
            s->n = 0;
    }
    if (v->n * 2 >= v->cap) {
        struct transition *bigger = calloc((size_t)v->cap * 2, sizeof *bigger);
        if (bigger == NULL)
            return err_nomem(err);
        for (unsigned i = 0; i < v->cap; i++) {
            if (v->steps[i].step == NULL)
                continue;
            unsigned at = (unsigned)v->steps[i].hash & (v->cap * 2 - 1);
            while (bigger[at].step != NULL)
                at = (at + 1) & (v->cap * 2 - 1);
            bigger[at] = v->steps[i];
        }
        free(v->steps);
        v->steps = bigger;
        v->cap *= 2;
    }
    struct transition t = { hash_of(s->key), s };
    unsigned at = (unsigned)t.hash & (v->cap - 1);
    while (v->steps[at].step != NULL)
        at = (at + 1) & (v->cap - 1);
    v->steps[at] = t;
    v->n++;
    return true;
}

/* --- a view under construction --- */

struct draft {
    struct view v;
    struct view_col *cols;
    uint16_t *key;
};

static bool draft_new(struct views *v, const struct view *from, unsigned more, struct draft *d, char *why, size_t size)
{
    struct err err;
    unsigned n = (from == NULL ? 0 : from->ncols) + more;
    if (v->nviews >= VIEWS_MAX) {
        snprintf(why, size, "more than %d different tables and column lists: are names made up from row values?",
                 VIEWS_MAX);
        return false;
    }
    if (n > VIEW_COLS_MAX) {
        snprintf(why, size, "more than %d columns", VIEW_COLS_MAX);
        return false;
    }
    *d = (struct draft){ .v = from == NULL ? (struct view){ 0 } : *from };
    d->cols = arena_zalloc(v->arena, (n + 1) * sizeof *d->cols, &err);
    d->key = arena_zalloc(v->arena, (n + 1) * sizeof *d->key, &err);
    if (d->cols == NULL || d->key == NULL) {
        snprintf(why, size, "out of memory");
        return false;
    }
    if (from != NULL && from->ncols != 0)
        memcpy(d->cols, from->cols, from->ncols * sizeof *d->cols);
    if (from != NULL && from->nkey != 0)
        memcpy(d->key, from->key, from->nkey * sizeof *d->key);
    d->v.shape = NULL;
    d->v.often = 0;
    memset(d->v.last, 0, sizeof d->v.last);
    return true;
}

/* names: as remember wants them. */
static bool draft_finish(struct views *v, struct draft *d, const struct bytes *step, unsigned nstep,
                         const struct view **out, char *why, size_t size)
{
    struct err err;
    struct view *w = arena_alloc(v->arena, sizeof *w, &err);
    unsigned cap = 4;
    while (cap < d->v.ncols * 2)
        cap *= 2;
    struct name_slot *names = arena_zalloc(v->arena, cap * sizeof *names, &err);
    if (w == NULL || names == NULL)
        goto nomem;
    for (unsigned i = 0; i < d->v.ncols; i++) {
        unsigned at = (unsigned)((uintptr_t)d->cols[i].name.p >> 3) & (cap - 1);
        while (names[at].p != NULL)
            at = (at + 1) & (cap - 1);
        names[at] = (struct name_slot){ d->cols[i].name.p, (uint16_t)i };
    }
    *w = d->v;
    w->id = v->nviews++;
    w->cols = d->cols;
    w->key = d->key;
    w->names = names;
    w->mask = cap - 1;
    if (!remember(v, step, nstep, w, &err))
        goto nomem;
    *out = w;
    return true;
nomem:
    snprintf(why, size, "out of memory");
    return false;
}

/* --- looking --- */

int view_column(const struct view *w, struct bytes name)
{
    for (unsigned at = (unsigned)((uintptr_t)name.p >> 3) & w->mask; w->names[at].p != NULL; at = (at + 1) & w->mask)
        if (w->names[at].p == name.p && w->cols[w->names[at].col].name.n == name.n)
            return w->names[at].col;
    for (unsigned i = 0; i < w->ncols;
         i++) /* a long string may have several copies; and what misses is mostly an error anyway */
        if (bytes_eq(w->cols[i].name, name))
            return (int)i;
    return -1;
}

const struct column *view_type(const struct view *w, unsigned col)
{
    unsigned slot = w->cols[col].slot;
    return w->rel != NULL && slot < w->rel->ncols ? &w->rel->cols[slot] : NULL;
}

void view_often(const struct view *w, uint64_t columns)
{
    ((struct view *)w)->often |= columns;
}

void view_unknown(const struct view *w, struct bytes name, char *why, size_t size)
{
    char near[160];
    int n = name.n > 80 ? 80 : (int)name.n;
    struct suggest s = suggest_for(name);
    if (w->rel == NULL) {
        snprintf(why, size, "a truncate has no columns, so none named \"%.*s\"", n, (const char *)name.p);
        return;
    }
    for (unsigned i = 0; i < w->ncols; i++)
        suggest_offer(&s, w->cols[i].name);
    for (unsigned i = 0; i < w->rel->ncols; i++) {
        if (!bytes_eq(w->rel->cols[i].name, name))
            continue;
        for (unsigned j = 0; j < w->ncols; j++) {
            if (w->cols[j].slot != i)
                continue;
            snprintf(why, size, "column \"%.*s\" of %.*s.%.*s was renamed to \"%.*s\"", n, (const char *)name.p,
                     BYTES_FMT(w->rel->schema), BYTES_FMT(w->rel->table), BYTES_FMT(w->cols[j].name));
            return;
        }
        snprintf(why, size, "column \"%.*s\" of %.*s.%.*s was removed by the script", n, (const char *)name.p,
                 BYTES_FMT(w->rel->schema), BYTES_FMT(w->rel->table));
        return;
    }
    snprintf(why, size, "unknown column \"%.*s\" of %.*s.%.*s%s", n, (const char *)name.p, BYTES_FMT(w->rel->schema),
             BYTES_FMT(w->rel->table), suggest_text(&s, near, sizeof near));
}

const struct shape *view_shape(struct views *v, const struct view *w, struct err *err)
{
    if (w->shape != NULL)
        return w->shape;
    for (unsigned i = 0; i < w->ncols; i++) {
        const struct column *c = view_type(w, i);
        v->cols[i] = (struct shape_col){ .name = w->cols[i].name };
        if (c != NULL)
            v->cols[i].type = *c;
    }
    const struct shape *s = shape_intern(v->shapes, w->schema, w->table, v->cols, w->ncols, w->key, w->nkey, w->rel,
                                         err);
    ((struct view *)w)->shape = s;
    return s;
}

/* --- the steps themselves --- */

bool view_root(struct views *v, const struct relation *r, const struct view **out, char *why, size_t size)
{
    key_begin(v, STEP_ROOT, NULL);
    buf_le(&v->key, r->id, 8);
    if ((*out = known(v, NULL)) != NULL)
        return true;
    struct draft d;
    if (!draft_new(v, NULL, r->ncols, &d, why, size))
        return false;
    d.v.rel = r;
    d.v.schema = r->schema;
    d.v.table = r->table;
    d.v.ncols = d.v.nslots = r->ncols;
    d.v.nkey = r->nkey;
    d.v.source_key = true;
    for (unsigned i = 0; i < r->ncols; i++)
        d.cols[i] = (struct view_col){ anchor(v, r->cols[i].name), (uint16_t)i };
    if (r->nkey != 0)
        memcpy(d.key, r->key, r->nkey * sizeof *d.key);
    if (!draft_finish(v, &d, NULL, 0, out, why, size))
        return false;
    relation_ref(r); /* views_free gives it back */
    return true;
}

bool view_root_table(struct views *v, struct bytes schema, struct bytes table, const struct view **out, char *why,
                     size_t size)
{
    struct err err;
    struct draft d;
    key_begin(v, STEP_ROOT_TABLE, NULL);
    buf_blob(&v->key, schema);
    buf_blob(&v->key, table);
    if ((*out = known(v, NULL)) != NULL)
        return true;
    if (!draft_new(v, NULL, 0, &d, why, size))
        return false;
    if (!arena_copy(v->arena, schema, &d.v.schema, &err) || !arena_copy(v->arena, table, &d.v.table, &err)) {
        snprintf(why, size, "out of memory");
        return false;
    }
    return draft_finish(v, &d, NULL, 0, out, why, size);
}

static bool need_column(const struct view *w, struct bytes name, unsigned *col, char *why, size_t size)
{
    int at = view_column(w, name);
    if (at < 0) {
        view_unknown(w, name, why, size);
        return false;
    }
    *col = (unsigned)at;
    return true;
}

static bool good_name(struct bytes name, char *why, size_t size)
{
    if (name.n != 0 && name.n <= 256 && memchr(name.p, '\0', name.n) == NULL)
        return true;
    snprintf(why, size, "a column name must have 1 to 256 bytes, none of them zero");
    return false;
}

static int by_from(const void *a, const void *b)
{
    const struct view_pair *x = a, *y = b;
    size_t n = x->from.n < y->from.n ? x->from.n : y->from.n;
    int c = n == 0 ? 0 : memcmp(x->from.p, y->from.p, n);
    return c != 0 ? c : (x->from.n > y->from.n) - (x->from.n < y->from.n);
}

static bool distinct(const struct draft *d, char *why, size_t size)
{
    for (unsigned i = 0; i < d->v.ncols; i++)
        for (unsigned j = 0; j < i; j++)
            if (bytes_eq(d->cols[i].name, d->cols[j].name)) {
                snprintf(why, size, "there is already a column \"%.*s\"", BYTES_FMT(d->cols[i].name));
                return false;
            }
    return true;
}

static void sort_pairs(struct view_pair *p, unsigned n)
{
    if (n >= SORT_MIN) {
        qsort(p, n, sizeof *p, by_from);
        return;
    }
    for (unsigned i = 1; i < n; i++)
        for (unsigned k = i; k > 0 && by_from(&p[k - 1], &p[k]) > 0; k--) {
            struct view_pair t = p[k];
            p[k] = p[k - 1];
            p[k - 1] = t;
        }
}

bool view_rename(struct views *v, const struct view *from, struct view_pair *pairs, unsigned n, const struct view **out,
                 char *why, size_t size)
{
    struct draft d;
    unsigned col;
    struct bytes names[2 * VIEW_NAMES_MAX];
    names[0] = BYTES_LIT("");
    for (unsigned i = 0; i < n; i++) {
        names[i] = pairs[i].from;
        names[n + i] = pairs[i].to;
    }
    if ((*out = again(from, STEP_RENAME, names, 2 * n)) != NULL)
        return true;
    sort_pairs(pairs, n); /* a table's order is not stable */
    key_begin(v, STEP_RENAME, from);
    for (unsigned i = 0; i < n; i++) {
        buf_blob(&v->key, pairs[i].from);
        buf_blob(&v->key, pairs[i].to);
    }
    if ((*out = known(v, from)) != NULL)
        return true;
    if (!draft_new(v, from, 0, &d, why, size))
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (!need_column(from, pairs[i].from, &col, why, size) || !good_name(pairs[i].to, why, size))
            return false;
        d.cols[col].name = anchor(v, pairs[i].to);
    }
    return distinct(&d, why, size) && draft_finish(v, &d, names, 2 * n, out, why, size);
}

/* Drops the columns whose slot is not wanted; a key that loses a column is none any more. */
static bool without(struct views *v, const struct view *from, const bool *drop, const struct bytes *names, unsigned n,
                    const struct view **out, char *why, size_t size)
{
    struct draft d;
    uint16_t moved[VIEW_COLS_MAX];
    if (!draft_new(v, from, 0, &d, why, size))
        return false;
    d.v.ncols = 0;
    for (unsigned i = 0; i < from->ncols; i++) {
        moved[i] = (uint16_t)d.v.ncols;
        if (!drop[i])
            d.cols[d.v.ncols++] = from->cols[i];
    }
    for (unsigned i = 0; i < from->nkey; i++) {
        if (drop[from->key[i]]) {
            d.v.nkey = 0;
            d.v.source_key = false;
            break;
        }
        d.key[i] = moved[from->key[i]];
    }
    if (d.v.ncols == 0) {
        snprintf(why, size, "no column is left: return DROP to drop the row");
        return false;
    }
    return draft_finish(v, &d, names, n, out, why, size);
}

static bool choose(struct views *v, const struct view *from, enum step step, const struct bytes *names, unsigned n,
                   const struct view **out, char *why, size_t size)
{
    bool drop[VIEW_COLS_MAX];
    unsigned col;
    if ((*out = again(from, step, names, n)) != NULL)
        return true;
    key_begin(v, step, from);
    for (unsigned i = 0; i < n; i++)
        buf_blob(&v->key, names[i]);
    if ((*out = known(v, from)) != NULL)
        return true;
    memset(drop, step == STEP_KEEP, sizeof drop);
    for (unsigned i = 0; i < n; i++) {
        if (!need_column(from, names[i], &col, why, size))
            return false;
        drop[col] = step == STEP_REMOVE;
    }
    return without(v, from, drop, names, n, out, why, size);
}

bool view_remove(struct views *v, const struct view *from, const struct bytes *names, unsigned n,
                 const struct view **out, char *why, size_t size)
{
    return choose(v, from, STEP_REMOVE, names, n, out, why, size);
}

bool view_keep(struct views *v, const struct view *from, const struct bytes *names, unsigned n, const struct view **out,
               char *why, size_t size)
{
    return choose(v, from, STEP_KEEP, names, n, out, why, size);
}

bool view_add(struct views *v, const struct view *from, const struct bytes *names, unsigned n, const struct view **out,
              char *why, size_t size)
{
    struct draft d;
    if ((*out = again(from, STEP_ADD, names, n)) != NULL)
        return true;
    key_begin(v, STEP_ADD, from);
    for (unsigned i = 0; i < n; i++)
        buf_blob(&v->key, names[i]);
    if ((*out = known(v, from)) != NULL)
        return true;
    if (!draft_new(v, from, n, &d, why, size))
        return false;
    if (from->nslots + n > VIEW_COLS_MAX) {
        snprintf(why, size, "more than %d columns were added and removed again", VIEW_COLS_MAX);
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!good_name(names[i], why, size))
            return false;
        if (view_column(from, names[i]) >= 0) {
            snprintf(why, size, "there is already a column \"%.*s\": assign to c.row.%.*s, or remove it first",
                     BYTES_FMT(names[i]), BYTES_FMT(names[i]));
            return false;
        }
        d.cols[d.v.ncols++] = (struct view_col){ anchor(v, names[i]), (uint16_t)d.v.nslots++ };
    }
    return distinct(&d, why, size) && draft_finish(v, &d, names, n, out, why, size);
}

bool view_to(struct views *v, const struct view *from, struct bytes schema, struct bytes table, const struct view **out,
             char *why, size_t size)
{
    struct draft d;
    struct err err;
    key_begin(v, STEP_TO, from);
    buf_blob(&v->key, schema);
    buf_blob(&v->key, table);
    if ((*out = known(v, from)) != NULL)
        return true;
    if (table.n == 0 || table.n > 256 || schema.n > 256 || memchr(table.p, '\0', table.n) != NULL ||
        (schema.n != 0 && memchr(schema.p, '\0', schema.n) != NULL) || !utf8_valid(schema) || !utf8_valid(table)) {
        snprintf(why, size, "a table name must have 1 to 256 bytes of UTF-8, none of them zero");
        return false;
    }
    if (!draft_new(v, from, 0, &d, why, size))
        return false;
    if (!arena_copy(v->arena, schema, &d.v.schema, &err) || !arena_copy(v->arena, table, &d.v.table, &err)) {
        snprintf(why, size, "out of memory");
        return false;
    }
    return draft_finish(v, &d, NULL, 0, out, why, size);
}

bool view_set_key(struct views *v, const struct view *from, const struct bytes *names, unsigned n,
                  const struct view **out, char *why, size_t size)
{
    struct draft d;
    unsigned col;
    if ((*out = again(from, STEP_SET_KEY, names, n)) != NULL)
        return true;
    key_begin(v, STEP_SET_KEY, from);
    for (unsigned i = 0; i < n; i++)
        buf_blob(&v->key, names[i]);
    if ((*out = known(v, from)) != NULL)
        return true;
    if (!draft_new(v, from, 0, &d, why, size))
        return false;
    d.v.source_key = false;
    d.v.nkey = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!need_column(from, names[i], &col, why, size))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (d.key[j] == col) {
                snprintf(why, size, "\"%.*s\" stands twice in the key", BYTES_FMT(names[i]));
                return false;
            }
        d.key[d.v.nkey++] = (uint16_t)col;
    }
    return draft_finish(v, &d, names, n, out, why, size);
}
