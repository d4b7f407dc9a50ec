/* shape.h - where rows go and which columns they have, after the transform. Interned: equal shapes are one object.
 *
 * Owned by a shape_table; shapes live as long as it. The table is used by the transform stage (adds) and the
 * destination stage (reads shapes it was handed): a shape is immutable once interned, so only shape_intern is locked.
 * */
#ifndef ROWTIDE_SHAPE_H
#define ROWTIDE_SHAPE_H

#include "relation.h"

struct shape_col {
    struct bytes name; /* as the destination sees it */
    struct column
        type; /* the source column it came from (name, labels and charset valid); type 0: set by a script only */
};
struct shape {
    uint32_t id;                /* from 0, dense in its table */
    const char *schema, *table; /* destination names, UTF-8; schema "" : the destination's default */
    unsigned ncols;
    const struct shape_col *cols;
    unsigned nkey; /* identity columns at the destination; 0: the whole row */
    const uint16_t *key;
    const struct relation *rel; /* the source relation (referenced) */
    bool original;              /* exactly the relation's name and columns, in order */
};
struct shape_table;
struct shape_table *shape_table_new(void); /* NULL: out of memory */
void shape_table_free(struct shape_table *t);
/* The relation's own shape: O(1) after the first time. */
const struct shape *shape_of_relation(struct shape_table *t, const struct relation *r, struct err *err);
/* cols/key are copied. */
const struct shape *shape_intern(struct shape_table *t, struct bytes schema, struct bytes table,
                                 const struct shape_col *cols, unsigned ncols, const uint16_t *key, unsigned nkey,
                                 const struct relation *r, struct err *err);

#endif
