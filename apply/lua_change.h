/* lua_change.h - the change userdata `c`, its rows, and the methods that a script calls on them. lua_host.c makes and
 * takes them. */
#ifndef ROWTIDE_LUA_CHANGE_H
#define ROWTIDE_LUA_CHANGE_H

#include "batch.h"
#include "lua_value.h"
#include "lua_view.h"

struct change {
    const struct view *view;
    uint8_t op;            /* enum rec_op, without BEGIN .. */
    uint32_t number;       /* in struct changes; 0: the change itself, others are clones */
    bool routed;           /* to() was called */
    struct val *cur;       /* view->nslots values: what c.row shows and the output is made of */
    const struct val *old; /* the source's old image, rel->ncols values, or NULL */
    uint8_t *dirty;        /* per slot: assigned or added by the script; NULL: nothing was */
    unsigned cap;          /* slots that cur and dirty have room for */
};
struct change_output {
    uint8_t op; /* enum out_op */
    const struct shape *shape;
    struct val *new_row, *old_row;
};
/* What scripts reach through sandbox.o.host while a handler runs. */
struct changes {
    struct sandbox *s;
    struct views *views;
    uint64_t generation; /* of the running call: a handle that a script kept from another one is dead */
    bool running, suppressed /* the run on the old image: emits and prints nothing */;
    /* of the change at hand */
    struct arena *arena;   /* the batch's: what outlives the call */
    struct arena *scratch; /* of this call, used again for each: its memory is at hand, and no batch carries it along */
    const struct batch_txn *txn;
    const struct record *rec;
    struct change **list; /* [0] the change; clones behind it. Objects are reused */
    unsigned n, cap;
    struct change_output *emitted;
    unsigned nemitted, cap_emitted;
    size_t made;          /* bytes of values that the script made for this change */
    const char *row_name; /* Lua's own "row": short strings are the same where they are equal */
};

void lua_change_open(lua_State *L); /* metatables, emit, now, DROP, PAUSE */
void changes_free(struct changes *x);
/* A fresh change with this number (0 or the next); raises when out of memory. */
struct change *changes_add(lua_State *L, struct changes *x);
void lua_push_change(lua_State *L, const struct changes *x, const struct change *c);
/* The change at idx if it is one of the running call, else NULL. */
struct change *lua_to_change(lua_State *L, int idx);
/* The row that the change stands for now. Raises a script error. */
void change_output(lua_State *L, struct changes *x, struct change *c, struct change_output *out);
/* Did the script itself decide about this column? (added or assigned) */
static inline bool change_dirty(const struct change *c, unsigned slot)
{
    return c->dirty != NULL && c->dirty[slot] != 0;
}
void *changes_keep(lua_State *L, struct changes *x, size_t n);   /* from the batch's arena; raises, as the others do */
void *changes_alloc(lua_State *L, struct changes *x, size_t n);  /* until the call ends */
void *changes_zalloc(lua_State *L, struct changes *x, size_t n); /* zeroed */

#endif
