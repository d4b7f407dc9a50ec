/* lua_change.c - c, c.row, c.old and their methods; emit, now, DROP, PAUSE. The user's view of it: docs/lua-api.md.
 *
 * c and its rows are small handles (number, generation), so that one kept in a global is recognised as dead in a later
 * call. Values are converted when they are read or assigned, not before.
 *
 * A call from Lua into C costs several times what a look into a table does, and a script asks for c.row once for each column that it
 * touches. So the change that a handler was called with, and its row, have metatables of their own while that call lasts: __index is a
 * table there (`fields`, `values`), which holds what may be had without asking, and whose own __index is a C function for the rest. When the call
 * ends, both get the metatables that all other handles have, which look whether the call is over. */
#include "lua_change.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { EMIT_MAX = 10000, CLONES_MAX = 10000 };
enum row_kind { ROW_CURRENT, ROW_OLD };
enum user_value { UV_ROW = 1, UV_OLD = 2 };
struct ud_handle { /* of a change or of a row */
    uint32_t tag;
    uint32_t number;
    uint64_t generation;
    uint8_t row; /* enum row_kind */
};

static struct changes *changes_of(lua_State *L)
{
    return sandbox_of(L)->o.host;
}

/* --- memory --- */

void changes_free(struct changes *x)
{
    for (unsigned i = 0; i < x->cap; i++)
        free(x->list[i]);
    free(x->list);
    free(x->emitted);
    arena_free(x->scratch);
}

static void count_made(lua_State *L, struct changes *x, size_t n)
{
    x->made += n;
    if (x->made > x->s->o.memory_limit)
        luaL_error(L, "one change made more than %d KiB of rows (limit: --script-memory)",
                   (int)(x->s->o.memory_limit / 1024));
}

static void *take(lua_State *L, struct changes *x, struct arena *a, size_t n)
{
    struct err err;
    count_made(L, x, n);
    void *p = arena_alloc(a, n, &err);
    if (p == NULL)
        luaL_error(L, "%s", err.msg);
    return p;
}

void *changes_keep(lua_State *L, struct changes *x, size_t n)
{
    return take(L, x, x->arena, n);
}

void *changes_alloc(lua_State *L, struct changes *x, size_t n)
{
    return take(L, x, x->scratch, n);
}

void *changes_zalloc(lua_State *L, struct changes *x, size_t n)
{
    return memset(changes_alloc(L, x, n), 0, n);
}

struct change *changes_add(lua_State *L, struct changes *x)
{
    if (x->n == x->cap) {
        unsigned cap = x->cap == 0 ? 8 : x->cap * 2;
        struct change **list = realloc(x->list, cap * sizeof(struct change *));
        if (list == NULL) {
            luaL_error(L, "out of memory");
            return NULL;
        }
        for (unsigned i = x->cap; i < cap; i++)
            list[i] = NULL;
        x->list = list;
        x->cap = cap;
    }
    if (x->list[x->n] == NULL)
        x->list[x->n] = malloc(sizeof(struct change));
    struct change *c = x->list[x->n];
    if (c == NULL) {
        luaL_error(L, "out of memory");
        return NULL;
    }
    *c = (struct change){ .number = x->n };
    x->n++;
    return c;
}

/* --- handles --- */

static void push_bytes(lua_State *L, struct bytes b)
{
    lua_pushlstring(L, b.n == 0 ? "" : (const char *)b.p, b.n);
}

static inline struct change *live(lua_State *L, const struct ud_handle *h)
{
    struct changes *x = changes_of(L);
    if (h->generation != x->generation || !x->running || h->number >= x->n)
        luaL_error(L,
                   "this change is over: c, c.row and c.old are only good during the call that got them; keep values");
    return x->list[h->number];
}

static void push_handle(lua_State *L, const struct change *c, enum ud_tag tag, enum row_kind row, int user_values,
                        int metatable)
{
    struct ud_handle *h = lua_newuserdatauv(L, sizeof *h, user_values);
    h->tag = (uint32_t)tag;
    h->number = c->number;
    h->generation = changes_of(L)->generation;
    h->row = (uint8_t)row;
    lua_rawgeti(L, LUA_REGISTRYINDEX, metatable);
    lua_setmetatable(L, -2);
}

static struct changes_main *main_of(lua_State *L)
{
    return &changes_of(L)->main;
}

struct change *lua_to_change(lua_State *L, int idx)
{
    const struct ud_handle *h = sandbox_ud(L, idx, UD_CHANGE);
    return h == NULL ? NULL : live(L, h);
}

static struct change *self(lua_State *L, const char *method)
{
    struct change *c = lua_to_change(L, 1);
    if (c == NULL)
        luaL_error(L, "%s is a method: call it as c:%s(...), with a colon", method, method);
    return c;
}

/* --- rows --- */

static const struct val *value_at(const struct change *c, enum row_kind row, unsigned col)
{
    static const struct val absent = { .kind = VAL_ABSENT };
    unsigned slot = c->view->cols[col].slot;
    if (row == ROW_CURRENT)
        return &c->cur[slot];
    return c->old != NULL && slot < c->view->rel->ncols ? &c->old[slot] : &absent;
}

static int raise_unknown(lua_State *L, const struct change *c, int idx)
{
    char why[640];
    if (lua_type(L, idx) != LUA_TSTRING)
        return luaL_error(L, "a column name must be a string, not a %s", luaL_typename(L, idx));
    view_unknown(c->view, lua_bytes(L, idx), why, sizeof why);
    return luaL_error(L, "%s", why);
}

static int raise_absent(lua_State *L, const struct change *c, enum row_kind row, unsigned col)
{
    const char *name = lua_tostring(L, 2);
    if (row == ROW_OLD && view_type(c->view, col) == NULL)
        return luaL_error(L, "column \"%s\" was added by the script: c.old does not have it", name);
    return luaL_error(
        L, "column \"%s\" of %s.%s was not sent with this %s (binlog_row_image at the source): ask c:has(\"%s\") first",
        name, lua_pushlstring(L, (const char *)c->view->rel->schema.p, c->view->rel->schema.n),
        lua_pushlstring(L, (const char *)c->view->rel->table.p, c->view->rel->table.n),
        row == ROW_OLD ? "old image" : "change", name);
}

static int column_at(lua_State *L, const struct change *c, int idx)
{
    return lua_type(L, idx) == LUA_TSTRING ? view_column(c->view, lua_bytes(L, idx)) : -1;
}

static int row_index(lua_State *L)
{
    const struct ud_handle *h = lua_touserdata(L, 1);
    const struct change *c = live(L, h);
    int col = column_at(L, c, 2);
    if (col < 0)
        return raise_unknown(L, c, 2);
    const struct val *v = value_at(c, h->row, (unsigned)col);
    if (v->kind == VAL_ABSENT)
        return raise_absent(L, c, h->row, (unsigned)col);
    lua_push_val(L, view_type(c->view, (unsigned)col), v);
    return 1;
}

/* --- what Lua finds of the row without a call: columns that scripts read more than once --- */

/* Those that are plain Lua values; decimals and times are not worth it. */
static bool can_hold(uint8_t kind)
{
    return kind == VAL_TEXT || kind == VAL_BYTES || kind == VAL_I64 || kind == VAL_F64;
}

static uint64_t bit_of(int col)
{
    return col < 64 ? UINT64_C(1) << col : 0;
}

/* `values` shows nothing any more: the columns' names change, or the call ends. */
static void forget_values(lua_State *L)
{
    struct changes_main *m = main_of(L);
    m->asked = 0;
    if (m->held == 0)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->values);
    for (unsigned col = 0; m->held != 0; col++, m->held >>= 1) {
        if ((m->held & 1) == 0)
            continue;
        push_bytes(L, m->c->view->cols[col].name);
        lua_pushnil(L);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
}

/* Are all columns that `values` holds the same ones, by name and number, under another view? */
static bool holds_for(const struct changes_main *m, const struct view *to)
{
    const struct view_col *cols = m->c->view->cols;
    uint64_t held = m->held;
    for (unsigned col = 0; held != 0; col++, held >>= 1)
        if ((held & 1) != 0 &&
            (col >= to->ncols || to->cols[col].name.p != cols[col].name.p || to->cols[col].slot != cols[col].slot))
            return false;
    return true;
}

static int main_row_index(lua_State *L) /* of `values`, at index 1 */
{
    struct changes_main *m = main_of(L);
    const struct change *c = m->c;
    int col = column_at(L, c, 2);
    m->touched = true;
    if (col < 0)
        return raise_unknown(L, c, 2);
    const struct val *v = &c->cur[c->view->cols[col].slot];
    if (v->kind == VAL_ABSENT)
        return raise_absent(L, c, ROW_CURRENT, (unsigned)col);
    lua_push_val(L, view_type(c->view, (unsigned)col), v);
    uint64_t bit = bit_of(col);
    if ((m->asked & bit) != 0)
        view_often(c->view, bit);
    m->asked |= bit;
    if ((c->view->often & bit) != 0 && can_hold(v->kind)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 1);
        m->held |= bit;
    }
    return 1;
}

static void make_room(lua_State *L, struct changes *x, struct change *c, unsigned nslots)
{
    if (nslots > c->cap) {
        unsigned cap = nslots + 4;
        struct val *cur = changes_zalloc(L, x, cap * sizeof *cur);
        if (c->cap != 0)
            memcpy(cur, c->cur, c->cap * sizeof *cur);
        c->cur = cur;
        if (c->dirty != NULL) {
            uint8_t *dirty = changes_zalloc(L, x, cap);
            memcpy(dirty, c->dirty, c->cap);
            c->dirty = dirty;
        }
        c->cap = cap;
    }
    if (c->dirty == NULL)
        c->dirty = changes_zalloc(L, x, c->cap);
}

static void convert(lua_State *L, struct changes *x, int idx, const struct column *col, const char *name,
                    struct val *out)
{
    char why[400];
    if (!lua_to_val(L, idx, col, x->arena, out, why, sizeof why))
        luaL_error(L,
                   col == NULL ? "column \"%s\": %s"
                               : "column \"%s\": %s (to change its type: c:remove(\"%s\"):add(\"%s\", value))",
                   name, why, name, name);
    if (val_is_str(out->kind))
        count_made(L, x, out->u.str.n);
}

/* The row's column at index 2 becomes the value at index 3; its number. */
static int assign(lua_State *L, struct changes *x, struct change *c, struct val *v)
{
    int col = column_at(L, c, 2);
    if (col < 0) {
        char why[640];
        if (lua_type(L, 2) != LUA_TSTRING)
            return raise_unknown(L, c, 2);
        view_unknown(c->view, lua_bytes(L, 2), why, sizeof why);
        return luaL_error(L, "%s; a new column: c:add(\"%s\", value)", why, lua_tostring(L, 2));
    }
    convert(L, x, 3, view_type(c->view, (unsigned)col), (const char *)c->view->cols[col].name.p, v);
    make_room(L, x, c, c->view->nslots);
    unsigned slot = c->view->cols[col].slot;
    c->cur[slot] = *v;
    c->dirty[slot] = 1;
    return col;
}

static int row_newindex(lua_State *L)
{
    const struct ud_handle *h = lua_touserdata(L, 1);
    struct change *c = live(L, h);
    struct val v;
    if (h->row == ROW_OLD)
        return luaL_error(L, "c.old is what was: assign to c.row");
    assign(L, changes_of(L), c, &v);
    return 0;
}

static int main_row_newindex(lua_State *L)
{
    struct changes *x = changes_of(L);
    struct changes_main *m = &x->main;
    struct val v;
    m->touched = true;
    int col = assign(L, x, m->c, &v);
    uint64_t bit = bit_of(col);
    /* What reads back is the column's value, which only of a string is what was assigned. */
    bool hold = (m->c->view->often & bit) != 0 && (v.kind == VAL_TEXT || v.kind == VAL_BYTES);
    m->asked |= bit;
    if (!hold && (m->held & bit) == 0)
        return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->values);
    lua_pushvalue(L, 2);
    if (hold)
        lua_pushvalue(L, 3);
    else
        lua_pushnil(L);
    lua_rawset(L, -3);
    m->held = hold ? m->held | bit : m->held & ~bit;
    return 0;
}

static int row_next(lua_State *L)
{
    const struct ud_handle *h = sandbox_ud(L, 1, UD_ROW);
    if (h == NULL)
        return luaL_typeerror(L, 1, "row");
    const struct change *c = live(L, h);
    unsigned col = 0;
    if (!lua_isnoneornil(L, 2)) {
        int last = lua_type(L, 2) == LUA_TSTRING ? view_column(c->view, lua_bytes(L, 2)) : -1;
        if (last < 0)
            return raise_unknown(L, c, 2);
        col = (unsigned)last + 1;
    }
    for (; col < c->view->ncols; col++) {
        const struct val *v = value_at(c, h->row, col);
        if (v->kind == VAL_ABSENT)
            continue;
        struct bytes name = c->view->cols[col].name;
        lua_pushlstring(L, (const char *)name.p, name.n);
        lua_push_val(L, view_type(c->view, col), v);
        return 2;
    }
    return 0;
}

static int row_pairs(lua_State *L)
{
    lua_pushcfunction(L, row_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int row_text(lua_State *L)
{
    lua_pushliteral(L, "row");
    return 1;
}

/* --- fields of c --- */

enum field { F_OP = 1, F_SCHEMA, F_TABLE, F_ROW, F_OLD, F_KEY, F_TS, F_LSN, F_GTID, F_SEQ };
static const struct {
    const char *name;
    enum field id;
} fields[] = { { "op", F_OP },   { "schema", F_SCHEMA }, { "table", F_TABLE }, { "row", F_ROW },   { "old", F_OLD },
               { "key", F_KEY }, { "ts", F_TS },         { "lsn", F_LSN },     { "gtid", F_GTID }, { "seq", F_SEQ } };

static const char *op_name(uint8_t op)
{
    return op == REC_INSERT ? "insert" : op == REC_UPDATE ? "update" : op == REC_DELETE ? "delete" : "truncate";
}

static void push_ts(lua_State *L, const struct changes *x)
{
    lua_push_temporal(L, VAL_INSTANT, x->txn->commit_us, x->txn->resolution_us >= 1000000 ? 0 : 6);
}

static int push_row(lua_State *L, const struct change *c, enum row_kind row)
{
    int slot = row == ROW_CURRENT ? UV_ROW : UV_OLD;
    if (c->view->rel == NULL)
        return luaL_error(L, "a truncate has no rows: check c.op first");
    if (row == ROW_OLD && c->old == NULL) {
        lua_pushnil(L);
        return 1;
    }
    if (lua_getiuservalue(L, 1, slot) == LUA_TNIL) { /* one handle per change, made when first asked for */
        lua_pop(L, 1);
        push_handle(L, c, UD_ROW, row, 0, sandbox_of(L)->metatable[UD_ROW]);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, slot);
    }
    return 1;
}

/* The same for the handler's own change, with its fields at index 1. */
static int push_main_row(lua_State *L, const struct change *c, enum row_kind row)
{
    struct changes_main *m = main_of(L);
    if (c->view->rel == NULL)
        return luaL_error(L, "a truncate has no rows: check c.op first");
    if (row == ROW_OLD && c->old == NULL) {
        lua_pushnil(L);
        return 1;
    }
    push_handle(L, c, UD_ROW, row, 0, row == ROW_CURRENT ? m->row_metatable : sandbox_of(L)->metatable[UD_ROW]);
    lua_pushvalue(L, -1);
    lua_setfield(L, 1, row == ROW_CURRENT ? "row" : "old");
    if (row == ROW_CURRENT)
        m->has_row = true;
    else
        m->has_old = true;
    return 1;
}

static int push_key(lua_State *L, const struct change *c)
{
    lua_createtable(L, (int)c->view->nkey, 0);
    for (unsigned i = 0; i < c->view->nkey; i++) {
        const struct val *v = value_at(c, ROW_CURRENT, c->view->key[i]);
        lua_push_val(L, view_type(c->view, c->view->key[i]), v);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* The key is at index 2; the upvalue has what there is. */
static int push_field(lua_State *L, const struct change *c,
                      int (*row)(lua_State *, const struct change *, enum row_kind))
{
    const struct changes *x = changes_of(L);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TFUNCTION)
        return 1;
    const struct relation *r = c->view->rel;
    switch ((enum field)lua_tointeger(L, -1)) {
    case F_OP:
        lua_pushstring(L, op_name(c->op));
        return 1;
    case F_SCHEMA:
        push_bytes(L, r == NULL ? x->rec->u.ddl.t_schema : r->schema);
        return 1;
    case F_TABLE:
        push_bytes(L, r == NULL ? x->rec->u.ddl.t_table : r->table);
        return 1;
    case F_ROW:
        return row(L, c, ROW_CURRENT);
    case F_OLD:
        return row(L, c, ROW_OLD);
    case F_KEY:
        return push_key(L, c);
    case F_TS:
        push_ts(L, x);
        return 1;
    case F_LSN:
        lua_pushinteger(L, (lua_Integer)x->rec->lsn);
        return 1;
    case F_GTID: {
        struct buf *out = &x->s->scratch;
        buf_reset(out);
        gtid_text(&x->txn->gtid, out);
        if (out->n == 0)
            lua_pushnil(L);
        else
            lua_pushlstring(L, buf_cstr(out), out->n);
        return 1;
    }
    case F_SEQ:
        lua_pushinteger(L, 0);
        return 1;
    }
    char near[160];
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "a change has no field of type %s: columns are in c.row", luaL_typename(L, 2));
    if (r != NULL && view_column(c->view, lua_bytes(L, 2)) >= 0)
        return luaL_error(L, "a change has no field \"%s\": the column is c.row.%s", lua_tostring(L, 2),
                          lua_tostring(L, 2));
    return luaL_error(L, "a change has no field \"%s\"%s", lua_tostring(L, 2),
                      sandbox_suggest(L, lua_upvalueindex(1), lua_bytes(L, 2), near, sizeof near));
}

static int change_index(lua_State *L)
{
    return push_field(L, live(L, lua_touserdata(L, 1)), push_row);
}

static int main_index(lua_State *L) /* of `fields`: what it does not hold */
{
    return push_field(L, main_of(L)->c, push_main_row);
}

static int change_newindex(lua_State *L)
{
    return luaL_error(L, "c.%s cannot be assigned: columns are in c.row, the target is set with c:to()",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?");
}

static int change_text(lua_State *L)
{
    const struct change *c = self(L, "tostring");
    const struct relation *r = c->view->rel;
    struct bytes schema = r == NULL ? c->view->schema : r->schema, table = r == NULL ? c->view->table : r->table;
    lua_pushstring(L, op_name(c->op));
    lua_pushliteral(L, " of ");
    push_bytes(L, schema);
    lua_pushliteral(L, ".");
    push_bytes(L, table);
    lua_concat(L, 5);
    return 1;
}

/* --- methods --- */

/* The string arguments from 2 on, into names (VIEW_NAMES_MAX). A single table of strings will do too. */
static unsigned name_arguments(lua_State *L, struct bytes *names, const char *method)
{
    if (lua_type(L, 2) == LUA_TTABLE && lua_gettop(L) == 2) {
        lua_Unsigned n = lua_rawlen(L, 2);
        if (n > VIEW_NAMES_MAX)
            luaL_error(L, "%s: more than %d names", method, VIEW_NAMES_MAX);
        luaL_checkstack(L, (int)n + 4, method);
        for (lua_Unsigned i = 1; i <= n; i++)
            lua_rawgeti(L, 2, (lua_Integer)i);
        lua_remove(L, 2);
    }
    int top = lua_gettop(L);
    if (top - 1 > VIEW_NAMES_MAX)
        luaL_error(L, "%s: more than %d names", method, VIEW_NAMES_MAX);
    for (int i = 2; i <= top; i++) {
        bool name = lua_type(L, i) == LUA_TSTRING;
        names[i - 2] = name ? lua_bytes(L, i) : BYTES_LIT("");
        if (!name)
            luaL_error(L, "%s wants column names, not a %s", method, luaL_typename(L, i));
    }
    return top < 1 ? 0 : (unsigned)(top - 1);
}

static int step(lua_State *L, struct change *c, bool ok, const struct view *to, const char *why)
{
    if (!ok)
        return luaL_error(L, "%s", why);
    if (c == main_of(L)->c && !holds_for(main_of(L), to))
        forget_values(L);
    c->view = to;
    lua_settop(L, 1);
    return 1;
}

static int change_rename(lua_State *L)
{
    struct change *c = self(L, "rename");
    struct view_pair pairs[VIEW_NAMES_MAX];
    unsigned n = 0;
    char why[640];
    const struct view *to;
    luaL_argexpected(L, lua_type(L, 2) == LUA_TTABLE, 2, "table { old = \"new\" }");
    lua_settop(L, 2);
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            return luaL_error(L, "rename wants { old = \"new\" }: both are column names");
        if (n == VIEW_NAMES_MAX)
            return luaL_error(L, "rename: more than %d names", VIEW_NAMES_MAX);
        pairs[n++] = (struct view_pair){ lua_bytes(L, -2), lua_bytes(L, -1) }; /* the table keeps both alive */
        lua_pop(L, 1);
    }
    bool ok = view_rename(changes_of(L)->views, c->view, pairs, n, &to, why, sizeof why);
    return step(L, c, ok, to, why);
}

static int change_remove(lua_State *L)
{
    struct change *c = self(L, "remove");
    struct bytes names[VIEW_NAMES_MAX];
    char why[640];
    const struct view *to;
    unsigned n = name_arguments(L, names, "remove");
    bool ok = view_remove(changes_of(L)->views, c->view, names, n, &to, why, sizeof why);
    return step(L, c, ok, to, why);
}

static int change_keep(lua_State *L)
{
    struct change *c = self(L, "keep");
    struct bytes names[VIEW_NAMES_MAX];
    char why[640];
    const struct view *to;
    unsigned n = name_arguments(L, names, "keep");
    if (n == 0)
        return luaL_error(L, "keep wants the columns that stay");
    bool ok = view_keep(changes_of(L)->views, c->view, names, n, &to, why, sizeof why);
    return step(L, c, ok, to, why);
}

static int change_set_key(lua_State *L)
{
    struct change *c = self(L, "set_key");
    struct bytes names[VIEW_NAMES_MAX];
    char why[640];
    const struct view *to;
    unsigned n = name_arguments(L, names, "set_key");
    bool ok = view_set_key(changes_of(L)->views, c->view, names, n, &to, why, sizeof why);
    return step(L, c, ok, to, why);
}

static int change_to(lua_State *L)
{
    struct change *c = self(L, "to");
    char why[640];
    const struct view *to;
    luaL_argexpected(L, lua_type(L, 2) == LUA_TSTRING, 2, "table name");
    struct bytes schema = c->view->schema, table = lua_bytes(L, 2);
    if (!lua_isnoneornil(L, 3)) { /* two names: dots are part of them */
        luaL_argexpected(L, lua_type(L, 3) == LUA_TSTRING, 3, "table name");
        schema = table;
        table = lua_bytes(L, 3);
    } else {
        const uint8_t *dot = table.n == 0 ? NULL : memchr(table.p, '.', table.n);
        if (dot != NULL) {
            schema = bytes_of(table.p, (size_t)(dot - table.p));
            table = bytes_of(dot + 1, table.n - schema.n - 1);
            if (schema.n == 0 || table.n == 0 || memchr(table.p, '.', table.n) != NULL)
                return luaL_error(L,
                                  "to: \"%s\" is neither \"table\" nor \"schema.table\"; names with dots: "
                                  "c:to(\"schema\", \"table\")",
                                  lua_tostring(L, 2));
        }
    }
    bool ok = view_to(changes_of(L)->views, c->view, schema, table, &to, why, sizeof why);
    if (ok)
        c->routed = true;
    return step(L, c, ok, to, why);
}

static int by_bytes(const void *x, const void *y)
{
    const struct bytes *a = x, *b = y;
    size_t n = a->n < b->n ? a->n : b->n;
    int c = n == 0 ? 0 : memcmp(a->p, b->p, n);
    return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

static int change_add(lua_State *L)
{
    struct change *c = self(L, "add");
    struct changes *x = changes_of(L);
    struct bytes names[VIEW_NAMES_MAX];
    unsigned n = 0;
    char why[640];
    const struct view *to;
    if (c->view->rel == NULL)
        return luaL_error(L, "a truncate has no columns");
    bool one = lua_type(L, 2) == LUA_TSTRING;
    if (one) {
        lua_settop(L, 3);
        names[n++] = lua_bytes(L, 2);
    } else {
        luaL_argexpected(L, lua_type(L, 2) == LUA_TTABLE, 2, "name and value, or table { name = value }");
        lua_settop(L, 2);
        lua_pushnil(L);
        while (lua_next(L, 2) != 0) {
            lua_pop(L, 1);
            if (lua_type(L, -1) != LUA_TSTRING)
                return luaL_error(L, "add wants { name = value }");
            if (n == VIEW_NAMES_MAX)
                return luaL_error(L, "add: more than %d columns", VIEW_NAMES_MAX);
            names[n++] = lua_bytes(L, -1);
        }
        qsort(names, n, sizeof *names, by_bytes); /* a table's order is not stable; the columns' is */
    }
    struct val *values = changes_alloc(L, x, (n + 1) * sizeof *values);
    for (unsigned i = 0; i < n; i++) {
        if (one) {
            lua_pushvalue(L, 3);
        } else {
            lua_pushlstring(L, (const char *)names[i].p, names[i].n);
            lua_rawget(L, 2);
        }
        convert(L, x, -1, NULL, (const char *)names[i].p, &values[i]);
        lua_pop(L, 1);
    }
    if (!view_add(x->views, c->view, names, n, &to, why, sizeof why))
        return luaL_error(L, "%s", why);
    make_room(L, x, c, to->nslots);
    for (unsigned i = 0; i < n; i++) {
        c->cur[c->view->nslots + i] = values[i];
        c->dirty[c->view->nslots + i] = 1;
    }
    return step(L, c, true, to, why);
}

static int change_clone(lua_State *L)
{
    struct change *c = self(L, "clone");
    struct changes *x = changes_of(L);
    uint8_t op = c->op;
    if (c->view->rel == NULL)
        return luaL_error(L, "a truncate cannot be cloned");
    if (!lua_isnoneornil(L, 2)) {
        luaL_argexpected(L, lua_type(L, 2) == LUA_TTABLE, 2, "table { op = ... }");
        lua_settop(L, 2);
        lua_pushnil(L);
        while (lua_next(L, 2) != 0) {
            const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
            const char *value = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
            if (strcmp(key, "op") != 0)
                return luaL_error(L, "clone knows only op, not \"%s\"", key);
            if (strcmp(value, "insert") != 0 && strcmp(value, "update") != 0 && strcmp(value, "delete") != 0)
                return luaL_error(L, "clone: op must be \"insert\", \"update\" or \"delete\"");
            op = value[0] == 'i' ? REC_INSERT : value[0] == 'u' ? REC_UPDATE : REC_DELETE;
            lua_pop(L, 1);
        }
    }
    if (x->n > CLONES_MAX)
        return luaL_error(L, "more than %d clones of one change", CLONES_MAX);
    unsigned nslots = c->view->nslots;
    struct val *cur = changes_alloc(L, x, nslots * sizeof *cur);
    memcpy(cur, c->cur, nslots * sizeof *cur);
    uint8_t *dirty = NULL;
    if (c->dirty != NULL) {
        dirty = changes_alloc(L, x, nslots);
        memcpy(dirty, c->dirty, nslots);
    }
    unsigned number = c->number;
    struct change *copy = changes_add(L, x);
    uint32_t own = copy->number;
    *copy = *x->list[number];
    copy->number = own;
    copy->op = op;
    copy->cur = cur;
    copy->dirty = dirty;
    copy->cap = nslots;
    push_handle(L, copy, UD_CHANGE, ROW_CURRENT, 2, sandbox_of(L)->metatable[UD_CHANGE]);
    return 1;
}

static bool column_changed(const struct changes *x, const struct change *c, unsigned slot)
{
    if (c->op == REC_DELETE && x->rec->op == REC_DELETE)
        return false;
    if (c->old == NULL)
        return true;
    if (x->suppressed || slot >= c->view->rel->ncols) /* on the old image nothing has changed yet */
        return slot >= c->view->rel->ncols;
    if (x->rec->op != REC_UPDATE)
        return x->rec->op == REC_INSERT;
    struct val now = rel_rows_new_at(x->rec->u.change.rows, x->rec, slot);
    return now.kind != VAL_ABSENT && !val_eq(&now, &c->old[slot]); /* not sent: not changed */
}

static int change_changed(lua_State *L)
{
    const struct change *c = self(L, "changed");
    const struct changes *x = changes_of(L);
    struct bytes names[VIEW_NAMES_MAX];
    bool any = false;
    if (c->view->rel == NULL)
        return luaL_error(L, "a truncate has no columns");
    unsigned n = name_arguments(L, names, "changed");
    for (unsigned i = 0; i < n; i++) {
        int col = view_column(c->view, names[i]);
        if (col < 0)
            return raise_unknown(L, c, (int)i + 2);
        any = any || column_changed(x, c, c->view->cols[col].slot);
    }
    for (unsigned i = 0; i < c->view->rel->ncols && n == 0; i++)
        any = any || column_changed(x, c, i);
    lua_pushboolean(L, any);
    return 1;
}

static int change_has(lua_State *L)
{
    const struct change *c = self(L, "has");
    struct bytes names[VIEW_NAMES_MAX];
    unsigned n = name_arguments(L, names, "has");
    if (n == 0)
        return luaL_error(L, "has wants a column name");
    bool all = true;
    for (unsigned i = 0; i < n; i++) {
        int col = view_column(c->view, names[i]);
        all = all && col >= 0 && value_at(c, ROW_CURRENT, (unsigned)col)->kind != VAL_ABSENT;
    }
    lua_pushboolean(L, all);
    return 1;
}

/* --- output --- */

/* Adds the row's size to *bytes. */
static struct val *layout(lua_State *L, struct changes *x, const struct change *c, size_t *bytes)
{
    const struct view *w = c->view;
    struct val *row = changes_keep(L, x, w->ncols * sizeof *row);
    size_t text = 0;
    for (unsigned i = 0; i < w->ncols; i++) {
        row[i] = c->cur[w->cols[i].slot];
        text += val_is_str(row[i].kind) ? row[i].u.str.n : 0;
    }
    *bytes += w->ncols * sizeof *row + text;
    return row;
}

/* The old image under the view's columns. A key column that the script set itself has no old value here: lua_host.c
 * asks the script about the old image then; an emitted clone, which nobody asks about, keeps the new one. */
static struct val *layout_old(lua_State *L, struct changes *x, const struct change *c, size_t *bytes)
{
    const struct view *w = c->view;
    struct val *row = changes_keep(L, x, w->ncols * sizeof *row);
    size_t text = 0;
    for (unsigned i = 0; i < w->ncols; i++) {
        row[i] = *value_at(c, ROW_OLD, i);
        text += val_is_str(row[i].kind) ? row[i].u.str.n : 0;
    }
    *bytes += w->ncols * sizeof *row + text;
    for (unsigned i = 0; i < w->nkey; i++) {
        unsigned slot = w->cols[w->key[i]].slot;
        if (c->old == NULL || change_dirty(c, slot))
            row[w->key[i]] = c->cur[slot];
    }
    return row;
}

static void check_key(lua_State *L, const struct view *w, const struct val *row)
{
    for (unsigned i = 0; i < w->nkey; i++)
        if (row[w->key[i]].kind == VAL_ABSENT) {
            push_bytes(L, w->cols[w->key[i]].name);
            luaL_error(
                L,
                "the old value of the key column \"%s\" was not sent (binlog_row_image at the source): which row is "
                "meant cannot be told",
                lua_tostring(L, -1));
        }
}

void change_output(lua_State *L, struct changes *x, struct change *c, struct change_output *out)
{
    struct err err;
    *out = (struct change_output){ .shape = view_shape(x->views, c->view, &err) };
    if (out->shape == NULL)
        luaL_error(L, "%s", err.msg);
    switch (c->op) {
    case REC_INSERT:
        out->op = OUT_INSERT;
        out->new_row = layout(L, x, c, &out->bytes);
        break;
    case REC_UPDATE:
        out->op = OUT_UPDATE;
        out->old_row = layout_old(L, x, c, &out->bytes);
        out->new_row = layout(L, x, c, &out->bytes);
        check_key(L, c->view, out->old_row);
        break;
    case REC_DELETE:
        out->op = OUT_DELETE;
        out->old_row = layout(L, x, c, &out->bytes);
        check_key(L, c->view, out->old_row);
        break;
    default:
        out->op = OUT_TRUNCATE;
    }
}

static int emit(lua_State *L)
{
    struct changes *x = changes_of(L);
    struct change *c = lua_to_change(L, 1);
    struct change_output out;
    if (c == NULL)
        return luaL_error(L, "emit wants a change: emit(c:clone{ op = \"insert\" }:to(\"schema.table\"))");
    change_output(L, x, c, &out);
    if (x->suppressed)
        return 0;
    if (x->nemitted == EMIT_MAX)
        return luaL_error(L, "one change emitted more than %d rows", EMIT_MAX);
    if (x->nemitted == x->cap_emitted) {
        unsigned cap = x->cap_emitted == 0 ? 16 : x->cap_emitted * 2;
        void *p = realloc(x->emitted, cap * sizeof *x->emitted);
        if (p == NULL)
            return luaL_error(L, "out of memory");
        x->emitted = p;
        x->cap_emitted = cap;
    }
    x->emitted[x->nemitted++] = out;
    return 0;
}

static int now(lua_State *L)
{
    const struct changes *x = changes_of(L);
    if (x->txn == NULL)
        return luaL_error(L, "now() is the commit time of the change at hand: there is none while the script loads");
    push_ts(L, x);
    return 1;
}

/* --- the handler's own change --- */

static const luaL_Reg methods[] = { { "rename", change_rename },   { "remove", change_remove },
                                    { "keep", change_keep },       { "add", change_add },
                                    { "to", change_to },           { "clone", change_clone },
                                    { "changed", change_changed }, { "has", change_has },
                                    { "set_key", change_set_key }, { NULL, NULL } };
static const luaL_Reg change_meta[] = { { "__newindex", change_newindex },
                                        { "__tostring", change_text },
                                        { NULL, NULL } };
static const luaL_Reg row_meta[] = { { "__index", row_index },
                                     { "__newindex", row_newindex },
                                     { "__pairs", row_pairs },
                                     { "__tostring", row_text },
                                     { NULL, NULL } };

/* A table of methods and numbers of fields. */
static void push_names(lua_State *L)
{
    luaL_newlib(L, methods);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        lua_pushinteger(L, (lua_Integer)fields[i].id);
        lua_setfield(L, -2, fields[i].name);
    }
}

/* Wraps the table on top of the stack: what it does not hold is asked of f, with the table of names as upvalue where it has one. */
static int make_shown(lua_State *L, lua_CFunction f, bool names)
{
    lua_createtable(L, 0, 1);
    if (names)
        push_names(L);
    lua_pushcclosure(L, f, names);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static int make_metatable(lua_State *L, const luaL_Reg *functions, int index, const char *name)
{
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, index);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void make_main(lua_State *L, struct changes_main *m)
{
    luaL_newlib(L, methods);
    m->fields = make_shown(L, main_index, true);
    m->metatable = make_metatable(L, change_meta, m->fields, "change");
    lua_newtable(L);
    m->values = make_shown(L, main_row_index, false);
    m->row_metatable = make_metatable(L, row_meta, m->values, "row");
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->row_metatable);
    lua_pushcfunction(L, main_row_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
    m->op = UINT8_MAX; /* none yet */
}

static void borrow(lua_State *L, int metatable, enum ud_tag from, const char *event)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, metatable);
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->metatable[from]);
    lua_getfield(L, -1, event);
    lua_setfield(L, -3, event);
    lua_pop(L, 2);
}

void lua_change_mend(lua_State *L)
{
    struct changes_main *m = main_of(L);
    if (!m->inside)
        return;
    borrow(L, m->metatable, UD_CHANGE, "__index"); /* from now on handles that the script kept look first */
    borrow(L, m->row_metatable, UD_ROW, "__index");
    borrow(L, m->row_metatable, UD_ROW, "__newindex");
    struct changes_main old = *m, fresh = { 0 };
    make_main(L, &fresh); /* may raise: then the next call mends */
    *m = fresh;
    luaL_unref(L, LUA_REGISTRYINDEX, old.metatable);
    luaL_unref(L, LUA_REGISTRYINDEX, old.fields);
    luaL_unref(L, LUA_REGISTRYINDEX, old.row_metatable);
    luaL_unref(L, LUA_REGISTRYINDEX, old.values);
}

void lua_change_enter(lua_State *L, struct change *c)
{
    struct changes_main *m = main_of(L);
    bool eager = m->touched && c->view->rel != NULL;
    lua_change_mend(L);
    m->inside = true;
    m->c = c;
    m->touched = false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->fields);
    if (m->op != c->op) {
        lua_pushstring(L, op_name(c->op));
        lua_setfield(L, -2, "op");
        m->op = c->op;
    }
    if (m->has_old) {
        lua_pushnil(L);
        lua_setfield(L, -2, "old");
        m->has_old = false;
    }
    if (eager) { /* as the call before, this one will want the row */
        push_handle(L, c, UD_ROW, ROW_CURRENT, 0, m->row_metatable);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "row");
    } else {
        lua_pushnil(L);
        if (m->has_row) {
            lua_pushnil(L);
            lua_setfield(L, -3, "row");
        }
    }
    m->has_row = eager;
    push_handle(L, c, UD_CHANGE, ROW_CURRENT, 0, m->metatable);
}

void lua_change_leave(lua_State *L)
{
    struct changes_main *m = main_of(L);
    forget_values(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->metatable[UD_CHANGE]);
    lua_setmetatable(L, -2);
    if (m->has_row) {
        if (lua_isnil(L, -2)) {
            lua_getfield(L, -3, "row");
            lua_replace(L, -3);
        }
        lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->metatable[UD_ROW]);
        lua_setmetatable(L, -3);
    }
    lua_pop(L, 3);
    m->inside = false;
    m->c = NULL;
}

void lua_change_open(lua_State *L)
{
    luaL_newlib(L, change_meta);
    push_names(L);
    lua_pushcclosure(L, change_index, 1);
    lua_setfield(L, -2, "__index");
    sandbox_set_metatable(L, UD_CHANGE, "change");
    luaL_newlib(L, row_meta);
    sandbox_set_metatable(L, UD_ROW, "row");
    make_main(L, main_of(L));
    lua_register(L, "emit", emit);
    lua_register(L, "now", now);
    lua_push_word(L, "DROP");
    lua_setglobal(L, "DROP");
    lua_push_word(L, "PAUSE");
    lua_setglobal(L, "PAUSE");
}
