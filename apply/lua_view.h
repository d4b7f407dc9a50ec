/* lua_view.h - the columns, key and target that a change has at a point of a script: one object per distinct state,
 * linked by steps.
 *
 * A script does the same steps (rename, remove, add, to ...) for nearly every row of a table. So each step is looked
 * up, not carried out: from (view, step, arguments) to the next view. Column values stay in place; a view says which
 * slot each column reads. Slots 0 .. ncols-1 are the relation's columns, those behind were added by the script. */
#ifndef ROWTIDE_LUA_VIEW_H
#define ROWTIDE_LUA_VIEW_H

#include "lua_sandbox.h"
#include "shape.h"

enum { VIEW_NAMES_MAX = 256 /* arguments of one step */, VIEW_COLS_MAX = 4096, VIEW_STEPS = 8 /* kinds of steps */ };
struct view_col {
    struct bytes name; /* anchored in Lua: equal short names are the same pointer */
    uint16_t slot;
};
struct view {
    uint32_t id;
    const struct relation *rel; /* NULL: TRUNCATE */
    struct bytes schema, table; /* target */
    unsigned ncols, nslots;
    const struct view_col *cols;
    unsigned nkey;                 /* 0: the whole row identifies it */
    const uint16_t *key;           /* column numbers of this view */
    bool source_key;               /* the key is the relation's own */
    const struct shape *shape;     /* NULL until view_shape */
    uint64_t often;                /* bits of the first 64 columns: scripts read them more than once in a call */
    const struct name_slot *names; /* by address of the name */
    unsigned mask;
    const struct view_step *last[VIEW_STEPS]; /* the step of each kind that was taken last from here */
};
struct views;
struct views *views_new(lua_State *L, struct shape_table *shapes); /* NULL: out of memory. Inside a protected call */
void views_free(struct views *v);                                  /* NULL is fine */

/* Each: false and why; may raise when out of memory. Arguments are views into Lua strings on the stack. */
bool view_root(struct views *v, const struct relation *r, const struct view **out, char *why, size_t size);
bool view_root_table(struct views *v, struct bytes schema, struct bytes table, const struct view **out, char *why,
                     size_t size); /* TRUNCATE: no columns */
struct view_pair {
    struct bytes from, to;
};
bool view_rename(struct views *v, const struct view *from, struct view_pair *pairs, unsigned n, const struct view **out,
                 char *why, size_t size); /* sorts pairs */
bool view_remove(struct views *v, const struct view *from, const struct bytes *names, unsigned n,
                 const struct view **out, char *why, size_t size);
bool view_keep(struct views *v, const struct view *from, const struct bytes *names, unsigned n, const struct view **out,
               char *why, size_t size);
/* The new columns get the slots from->nslots and up, in the order given. */
bool view_add(struct views *v, const struct view *from, const struct bytes *names, unsigned n, const struct view **out,
              char *why, size_t size);
bool view_to(struct views *v, const struct view *from, struct bytes schema, struct bytes table, const struct view **out,
             char *why, size_t size);
bool view_set_key(struct views *v, const struct view *from, const struct bytes *names, unsigned n,
                  const struct view **out, char *why, size_t size);

int view_column(const struct view *w, struct bytes name);           /* number, or -1. name: a Lua string's own bytes */
void view_often(const struct view *w, uint64_t columns);            /* remembers bits for view.often */
const struct column *view_type(const struct view *w, unsigned col); /* the source column, or NULL: added */
const struct shape *view_shape(struct views *v, const struct view *w, struct err *err);
/* "unknown column "emial" of shop.users (did you mean "email"?)" */
void view_unknown(const struct view *w, struct bytes name, char *why, size_t size);

#endif
