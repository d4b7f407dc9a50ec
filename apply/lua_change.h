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
    size_t bytes; /* of both, roughly */
};
/* The change that the running handler was called with (not its clones): what Lua finds in tables of it and its row. References; lua_change.c */
struct changes_main {
    int metatable, row_metatable; /* of the handles, while the call lasts */
    int fields, values;           /* their __index */
    struct change *c;
    uint8_t op;            /* what `fields` says of it */
    bool inside;           /* the handler runs, or an error ended it */
    bool has_row, has_old; /* `fields` holds a row, perhaps that of the call before */
    bool touched;          /* the script read or wrote a column */
    uint64_t asked, held;  /* bits of the view's first 64 columns: asked for in this call; in `values` */
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
    size_t made; /* bytes of values that the script made for this change */
    struct changes_main main;
};

void lua_change_open(lua_State *L); /* metatables, emit, now, DROP, PAUSE */
void changes_free(struct changes *x);
/* A fresh change with this number (0 or the next); raises when out of memory. */
struct change *changes_add(lua_State *L, struct changes *x);
/* Around a call of a handler with c. Enter pushes something of its own and then the handle; leave finds both on top and pops them, and
 * what the script kept of them is dead then. After an error there is no leave: mend, or the next enter, does that, before any other function of
 * the script runs. Protected calls only. */
void lua_change_enter(lua_State *L, struct change *c);
void lua_change_leave(lua_State *L);
void lua_change_mend(lua_State *L);
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
