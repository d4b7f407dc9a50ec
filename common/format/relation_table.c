/* relation_table.c - relations by id: an array in order of arrival and an open-addressing hash over the ids.
 *
 * The ids are the first bytes of a SHA-256 (relation.h), so their low bits are hash enough; a hostile segment can choose
 * definitions that collide, which costs a linear probe over a number of relations that its size bounds. */
#include "frame_wire.h"

#include <stdlib.h>

static unsigned *slot_of(const struct relation_table *t, uint64_t id)
{
    unsigned mask = t->hash_cap - 1, i = (unsigned)id & mask;
    while (t->hash[i] != 0 && t->rel[t->hash[i] - 1]->id != id)
        i = (i + 1) & mask;
    return &t->hash[i];
}

static bool grow(struct relation_table *t)
{
    unsigned cap = t->cap == 0 ? 8 : t->cap * 2;
    struct relation **rel = realloc(t->rel, cap * sizeof(struct relation *));
    if (rel == NULL)
        return false;
    t->rel = rel;
    unsigned *hash = calloc((size_t)cap * 2, sizeof *hash); /* at most half full: probes stay short and end */
    if (hash == NULL)
        return false;
    free(t->hash);
    t->hash = hash;
    t->cap = cap;
    t->hash_cap = cap * 2;
    for (unsigned i = 0; i < t->n; i++)
        *slot_of(t, t->rel[i]->id) = i + 1;
    return true;
}

bool relation_table_add(struct relation_table *t, const struct relation *r, struct err *err)
{
    if (relation_table_index(t, r->id) >= 0)
        return true;
    if (t->n == t->cap && !grow(t))
        return err_nomem(err);
    unsigned *slot = slot_of(t, r->id);
    t->rel[t->n++] = relation_ref(r);
    *slot = t->n;
    return true;
}

int relation_table_index(const struct relation_table *t, uint64_t id)
{
    return t->n == 0 ? -1 : (int)*slot_of(t, id) - 1;
}

const struct relation *relation_table_find(const struct relation_table *t, uint64_t id)
{
    int i = relation_table_index(t, id);
    return i < 0 ? NULL : t->rel[i];
}

void relation_table_clear(struct relation_table *t)
{
    for (unsigned i = 0; i < t->n; i++)
        relation_unref(t->rel[i]);
    free(t->rel);
    free(t->hash);
    *t = (struct relation_table){ 0 };
}
