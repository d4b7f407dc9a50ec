/* table_counts.c - changes by table: a list in order of arrival and an open-addressing hash over the relations' ids, which are hash enough
 * themselves (relation_table.c). */
#include "frame_wire.h"

#include <stdlib.h>

static unsigned *slot_of(const struct change_counts *c, uint64_t relation)
{
    unsigned mask = c->hash_cap - 1, i = (unsigned)relation & mask;
    while (c->hash[i] != 0 && c->v[c->hash[i] - 1].relation != relation)
        i = (i + 1) & mask;
    return &c->hash[i];
}

static bool grow(struct change_counts *c)
{
    unsigned cap = c->cap == 0 ? 8 : c->cap * 2;
    struct table_counts *v = realloc(c->v, cap * sizeof *v);
    if (v == NULL)
        return false;
    c->v = v;
    unsigned *hash = calloc((size_t)cap * 2, sizeof *hash); /* at most half full */
    if (hash == NULL)
        return false;
    free(c->hash);
    c->hash = hash;
    c->cap = cap;
    c->hash_cap = cap * 2;
    for (unsigned i = 0; i < c->n; i++)
        *slot_of(c, c->v[i].relation) = i + 1;
    return true;
}

bool change_counts_add(struct change_counts *c, const struct table_counts *more, struct err *err)
{
    if (c->n == c->cap && !grow(c))
        return err_nomem(err);
    unsigned *slot = slot_of(c, more->relation);
    if (*slot == 0) {
        c->v[c->n++] = *more;
        *slot = c->n;
        return true;
    }
    struct table_counts *to = &c->v[*slot - 1];
    to->inserts += more->inserts;
    to->updates += more->updates;
    to->deletes += more->deletes;
    return true;
}

void change_counts_reset(struct change_counts *c)
{
    c->n = 0;
    if (c->hash != NULL)
        memset(c->hash, 0, c->hash_cap * sizeof *c->hash);
}

void change_counts_free(struct change_counts *c)
{
    free(c->v);
    free(c->hash);
    *c = (struct change_counts){ 0 };
}

static int by_relation(const void *a, const void *b)
{
    uint64_t x = ((const struct table_counts *)a)->relation, y = ((const struct table_counts *)b)->relation;
    return (x > y) - (x < y);
}

bool change_counts_sorted(const struct change_counts *c, struct table_counts **out, struct err *err)
{
    struct table_counts *v = malloc((size_t)(c->n + 1) * sizeof *v);
    if (v == NULL)
        return err_nomem(err);
    if (c->n != 0)
        memcpy(v, c->v, c->n * sizeof *v);
    qsort(v, c->n, sizeof *v, by_relation);
    *out = v;
    return true;
}
