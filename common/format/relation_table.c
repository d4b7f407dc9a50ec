/* relation_table.c - relations by id: an array in order of arrival and an open-addressing hash over the ids.
 *
 * The ids are the first bytes of a SHA-256 (relation.h), so their low bits are hash enough; a hostile segment can choose
 * definitions that collide, which costs a linear probe over a number of relations that its size bounds. */
#include "frame_wire.h"

#include <stdatomic.h>
#include <stdlib.h>

/* References that many tables live on. */
struct relation_keeper {
    atomic_uint refs;
    struct relation_table held;
};

static unsigned *slot_of(const struct relation_table *t, uint64_t id)
{
    unsigned mask = t->hash_cap - 1, i = (unsigned)id & mask;
    while (t->hash[i] != 0 && t->id[t->hash[i] - 1] != id)
        i = (i + 1) & mask;
    return &t->hash[i];
}

static bool lists_grow(struct relation_table *t, unsigned cap)
{
    struct relation **rel = realloc(t->rel, cap * sizeof(struct relation *));
    if (rel != NULL)
        t->rel = rel;
    uint64_t *id = realloc(t->id, cap * sizeof *id);
    if (id != NULL)
        t->id = id;
    return rel != NULL && id != NULL;
}

static bool grow(struct relation_table *t)
{
    unsigned cap = t->cap == 0 ? 8 : t->cap * 2;
    if (!lists_grow(t, cap))
        return false;
    unsigned *hash = calloc((size_t)cap * 2, sizeof *hash); /* at most half full: probes stay short and end */
    if (hash == NULL)
        return false;
    free(t->hash);
    t->hash = hash;
    t->cap = cap;
    t->hash_cap = cap * 2;
    for (unsigned i = 0; i < t->n; i++)
        *slot_of(t, t->id[i]) = i + 1;
    return true;
}

bool relation_table_add(struct relation_table *t, const struct relation *r, struct err *err)
{
    assert(t->n == 0 || t->hash != NULL);
    if (relation_table_index(t, r->id) >= 0)
        return true;
    if (t->n == t->cap && !grow(t))
        return err_nomem(err);
    unsigned *slot = slot_of(t, r->id);
    t->id[t->n] = r->id;
    t->rel[t->n++] = t->keeper != NULL ? (struct relation *)(uintptr_t)r : relation_ref(r);
    *slot = t->n;
    return true;
}

int relation_table_index(const struct relation_table *t, uint64_t id)
{
    if (t->n == 0)
        return -1;
    if (t->hash != NULL)
        return (int)*slot_of(t, id) - 1;
    for (unsigned i = 0; i < t->n; i++)
        if (t->id[i] == id)
            return (int)i;
    return -1;
}

const struct relation *relation_table_find(const struct relation_table *t, uint64_t id)
{
    int i = relation_table_index(t, id);
    return i < 0 ? NULL : t->rel[i];
}

static void drop(struct relation_table *t)
{
    for (unsigned i = 0; i < t->n && t->keeper == NULL; i++)
        relation_unref(t->rel[i]);
    relation_keeper_unref(t->keeper);
    t->keeper = NULL;
    t->n = 0;
}

void relation_table_clear(struct relation_table *t)
{
    drop(t);
    free(t->rel);
    free(t->id);
    free(t->hash);
    *t = (struct relation_table){ 0 };
}

void relation_table_reset(struct relation_table *t)
{
    drop(t);
    if (t->hash != NULL)
        memset(t->hash, 0, t->hash_cap * sizeof *t->hash);
}

bool relation_table_list(struct relation_table *to, const struct relation_table *from, struct err *err)
{
    assert(to->n == 0 && to->hash == NULL);
    if (from->n == 0)
        return true;
    if (!lists_grow(to, from->n))
        return err_nomem(err);
    memcpy(to->rel, from->rel, from->n * sizeof *to->rel);
    memcpy(to->id, from->id, from->n * sizeof *to->id);
    to->n = to->cap = from->n;
    to->keeper = relation_keeper_ref(from->keeper);
    for (unsigned i = 0; i < to->n && to->keeper == NULL; i++)
        (void)relation_ref(to->rel[i]);
    return true;
}

/* --- keepers --- */

struct relation_keeper *relation_keeper_new(void)
{
    struct relation_keeper *k = calloc(1, sizeof *k);
    if (k != NULL)
        atomic_init(&k->refs, 1);
    return k;
}

struct relation_keeper *relation_keeper_ref(struct relation_keeper *k)
{
    if (k != NULL)
        atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void relation_keeper_unref(struct relation_keeper *k)
{
    if (k != NULL && atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) == 1) {
        relation_table_clear(&k->held);
        free(k);
    }
}

struct relation_table *relation_keeper_table(struct relation_keeper *k)
{
    return &k->held;
}
