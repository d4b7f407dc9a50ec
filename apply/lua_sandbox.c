/* lua_sandbox.c - creating the state, its limits, and the replaced functions of Lua's base, table and string libraries.
 *
 * Rules: Lua 5.4 reference manual, sections 4.6 (lua_Alloc), 4.7 (lua_sethook), 6.1-6.6. The hook raises again and
 * again once a limit is passed (count 1), so that neither a loop of pcalls nor a <close> variable can go on. */
#include "lua_sandbox.h"

#include "slog.h"
#include "suggest.h"

#include <inttypes.h>
#include <lualib.h>
#include <stdlib.h>
#include <time.h>

enum {
    HOOK_EVERY = 1000,   /* instructions; research: no visible cost */
    BYTES_PER_STEP = 64, /* allocating costs time that no instruction counts */
    CPU_SECONDS = 10,    /* at least; grows with the step limit, one second per million */
    MEMORY_DEFAULT = 16 << 20,
    LINE_MAX_BYTES = 4096 /* of print() */
};
static const uint64_t steps_default = 10000000;

static void *limited_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct sandbox *s = ud;
    if (ptr == NULL)
        osize = 0; /* then osize is a type, not a size */
    if (nsize > osize) {
        size_t more = nsize - osize;
        s->steps += more / BYTES_PER_STEP;
        if (more > 65536 && s->steps > s->o.step_limit) { /* do not wait for the hook: this may be one copy of many */
            if (s->hit == LIMIT_NONE)
                s->hit = LIMIT_STEPS;
            return NULL;
        }
    }
    return lua_memory_alloc(&s->memory, ptr, osize, nsize);
}

static int64_t cpu_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return 0;
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static const char *limit_text(const struct sandbox *s, char *out, size_t size)
{
    switch (s->hit) {
    case LIMIT_STEPS:
        snprintf(out, size, "stopped after %" PRIu64 " steps in one call: an endless loop? (limit: --script-steps)",
                 s->o.step_limit);
        break;
    case LIMIT_TIME:
        snprintf(out, size, "stopped: one call took more than %" PRIu64 " s of CPU time (grows with --script-steps)",
                 CPU_SECONDS + s->o.step_limit / 1000000);
        break;
    case LIMIT_MEMORY:
        snprintf(out, size,
                 "the script needs more than %zu KiB of memory: does it collect values in a global? (limit: "
                 "--script-memory)",
                 s->o.memory_limit / 1024);
        break;
    case LIMIT_NONE:
        out[0] = '\0';
    }
    return out;
}

static int raise_limit(lua_State *L, int level)
{
    struct sandbox *s = sandbox_of(L);
    char text[256];
    luaL_where(L, level);
    lua_pushstring(L, limit_text(s, text, sizeof text));
    lua_concat(L, 2);
    return lua_error(L);
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct sandbox *s = sandbox_of(L);
    if (s->hit == LIMIT_NONE) {
        s->steps += HOOK_EVERY;
        if (s->steps > s->o.step_limit)
            s->hit = LIMIT_STEPS;
        else if (s->cpu_end_us == 0) /* read here, not per call: most calls end before the first hook */
            s->cpu_end_us = cpu_us() + (int64_t)(CPU_SECONDS + s->o.step_limit / 1000000) * 1000000;
        else if (cpu_us() > s->cpu_end_us)
            s->hit = LIMIT_TIME;
    }
    if (s->hit != LIMIT_NONE) {
        lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
        raise_limit(L, 0);
    }
}

void sandbox_charge(lua_State *L, uint64_t steps)
{
    struct sandbox *s = sandbox_of(L);
    s->steps += steps;
    if (s->steps > s->o.step_limit) {
        if (s->hit == LIMIT_NONE)
            s->hit = LIMIT_STEPS;
        raise_limit(L, 1);
    }
}

/* --- base --- */

static int protected_end(lua_State *L, int status)
{
    struct sandbox *s = sandbox_of(L);
    if (status == LUA_ERRMEM && s->hit == LIMIT_NONE)
        s->hit = LIMIT_MEMORY;
    if (s->hit != LIMIT_NONE)
        return lua_error(L); /* the message is on top */
    return 0;
}

static int pcall_end(lua_State *L, int status, lua_KContext unused)
{
    (void)unused;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L); /* true and the results */
    protected_end(L, status);
    lua_pushboolean(L, false);
    lua_insert(L, -2);
    return 2;
}

static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, true);
    lua_insert(L, 1);
    return pcall_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, pcall_end), 0);
}

/* Stack: handler, true, results or error. The handler is called here, as an ordinary function, with hooks on. */
static int xpcall_end(lua_State *L, int status, lua_KContext unused)
{
    (void)unused;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 1;
    protected_end(L, status);
    lua_pushvalue(L, 1);
    lua_insert(L, -2);
    int base = lua_gettop(L) - 2; /* below the handler's copy and the error */
    lua_call(L, 1, LUA_MULTRET);
    lua_pushboolean(L, false);
    lua_insert(L, base + 1);
    return lua_gettop(L) - base;
}

static int base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 1); /* f, h, args..., f */
    lua_remove(L, 1);    /* h, args..., f */
    lua_insert(L, 2);    /* h, f, args... */
    lua_pushboolean(L, true);
    lua_insert(L, 2); /* h, true, f, args... */
    return xpcall_end(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, 0, xpcall_end), 0);
}

static int base_setmetatable(lua_State *L)
{
    int t = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, t == LUA_TNIL || t == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (t == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "__gc is not available to scripts");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int base_print(lua_State *L)
{
    struct sandbox *s = sandbox_of(L);
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    if (s->quiet)
        return 0;
    char line[LINE_MAX_BYTES + 1];
    struct bytes text = lua_bytes(L, -1);
    size_t len = text.n < LINE_MAX_BYTES ? text.n : LINE_MAX_BYTES;
    memcpy(line, text.p, len);
    line[len] = '\0';
    if (s->o.print != NULL)
        s->o.print(s->o.print_ctx, line);
    else
        slog(SLOG_DEBUG, "script_print", kv_s("script", s->o.name), kv_s("line", line));
    return 0;
}

static int undefined_global(lua_State *L)
{
    char near[160];
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    struct bytes name = lua_bytes(L, 2);
    return luaL_error(L, "undefined global \"%s\"%s", (const char *)name.p,
                      sandbox_suggest(L, 1, name, near, sizeof near));
}

const char *sandbox_suggest(lua_State *L, int table, struct bytes want, char *out, size_t size)
{
    struct suggest near = suggest_for(want);
    table = lua_absindex(L, table);
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            suggest_offer(&near, lua_bytes(L, -1)); /* the table keeps the string alive */
    }
    return suggest_text(&near, out, size);
}

/* --- math.random: the same numbers for the same change --- */

static int math_random(lua_State *L)
{
    struct sandbox *s = sandbox_of(L);
    int n = lua_gettop(L);
    if (!s->seeded) {
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushinteger(L, (lua_Integer)s->seed[0]);
        lua_pushinteger(L, (lua_Integer)s->seed[1]);
        lua_call(L, 2, 0);
        s->seeded = true;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, 1);
    return 1;
}

/* --- loops in C over tables: bounded by what memory could hold, charged to the steps --- */

static lua_Integer longest_table(const struct sandbox *s)
{
    return (lua_Integer)(s->o.memory_limit / 8) + 1000;
}

static void check_table(lua_State *L, const char *function)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    /* #t of a table with a hash part may be any border, 2^62 too; __len may say anything, each time anew. */
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL)
        luaL_error(L, "%s does not take a table with __len", function);
    if (lua_rawlen(L, 1) > (lua_Unsigned)longest_table(sandbox_of(L)))
        luaL_error(L, "%s: the table's length is not what it holds", function);
}

static void check_range(lua_State *L, lua_Integer first, lua_Integer last, const char *function)
{
    if (last < first)
        return;
    lua_Unsigned n = (lua_Unsigned)last - (lua_Unsigned)first;
    if (n > (lua_Unsigned)longest_table(sandbox_of(L)))
        luaL_error(L, "%s: too many elements", function);
    sandbox_charge(L, n);
}

static int table_insert(lua_State *L)
{
    check_table(L, "table.insert");
    if (lua_gettop(L) >= 3)
        sandbox_charge(L, lua_rawlen(L, 1) / 2);
    return sandbox_of(L)->orig[ORIG_INSERT](L);
}

static int table_remove(lua_State *L)
{
    check_table(L, "table.remove");
    if (lua_gettop(L) >= 2)
        sandbox_charge(L, lua_rawlen(L, 1) / 2);
    return sandbox_of(L)->orig[ORIG_REMOVE](L);
}

static int table_sort(lua_State *L)
{
    check_table(L, "table.sort");
    sandbox_charge(L, lua_rawlen(L, 1));
    return sandbox_of(L)->orig[ORIG_SORT](L);
}

static int table_concat(lua_State *L)
{
    check_table(L, "table.concat");
    lua_Integer first = luaL_optinteger(L, 3, 1);
    check_range(L, first, luaL_optinteger(L, 4, (lua_Integer)lua_rawlen(L, 1)), "table.concat");
    return sandbox_of(L)->orig[ORIG_CONCAT](L);
}

static int table_move(lua_State *L)
{
    check_range(L, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3), "table.move");
    return sandbox_of(L)->orig[ORIG_MOVE](L);
}

static int string_rep(lua_State *L)
{
    struct sandbox *s = sandbox_of(L);
    size_t len, separator = 0;
    luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    if (!lua_isnoneornil(L, 3))
        luaL_checklstring(L, 3, &separator);
    if (n > 0 && len + separator == 0) { /* the library's loop would run n times over nothing */
        lua_pushliteral(L, "");
        return 1;
    }
    if (n > 0 && (lua_Unsigned)n > s->o.memory_limit / (len + separator))
        return luaL_error(L, "resulting string too large");
    return s->orig[ORIG_REP](L);
}

/* ASCII letters only, whatever the locale; what has none of them to change is handed back as it is. */
static int other_case(lua_State *L, uint8_t first)
{
    size_t n, from = 0;
    const char *s = luaL_checklstring(L, 1, &n);
    char small[256];
    while (from < n && (uint8_t)((uint8_t)s[from] - first) >= 26)
        from++;
    if (from == n) {
        lua_settop(L, 1);
        return 1;
    }
    luaL_Buffer b;
    char *out = n <= sizeof small ? small : luaL_buffinitsize(L, &b, n);
    memcpy(out, s, from);
    for (size_t i = from; i < n; i++)
        out[i] = (char)((uint8_t)s[i] ^ ((uint8_t)((uint8_t)s[i] - first) < 26 ? 0x20 : 0));
    if (out == small)
        lua_pushlstring(L, small, n);
    else
        luaL_pushresultsize(&b, n);
    return 1;
}

static int string_lower(lua_State *L)
{
    return other_case(L, 'A');
}

static int string_upper(lua_State *L)
{
    return other_case(L, 'a');
}

static void replace(lua_State *L, const char *name, lua_CFunction f, enum sandbox_orig keep)
{
    lua_getfield(L, -1, name);
    sandbox_of(L)->orig[keep] = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    lua_pushcfunction(L, f);
    lua_setfield(L, -2, name);
}

static void forget(lua_State *L, const char *const *names)
{
    for (; *names != NULL; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
}

static void open_libraries(lua_State *L)
{
    static const luaL_Reg libs[] = { { "_G", luaopen_base },     { "string", luaopen_string },
                                     { "table", luaopen_table }, { "math", luaopen_math },
                                     { "utf8", luaopen_utf8 },   { "coroutine", luaopen_coroutine } };
    static const char *const unsafe_base[] = { "dofile", "load", "loadfile", "collectgarbage", "warn", NULL };
    static const char *const unsafe_string[] = { "dump", NULL };
    for (size_t i = 0; i < sizeof libs / sizeof *libs; i++) {
        luaL_requiref(L, libs[i].name, libs[i].func, 1);
        lua_pop(L, 1);
    }
    lua_pushglobaltable(L);
    forget(L, unsafe_base);
    static const luaL_Reg base[] = { { "pcall", base_pcall },
                                     { "xpcall", base_xpcall },
                                     { "setmetatable", base_setmetatable },
                                     { "print", base_print },
                                     { NULL, NULL } };
    luaL_setfuncs(L, base, 0);

    lua_getfield(L, -1, "string");
    forget(L, unsafe_string);
    replace(L, "rep", string_rep, ORIG_REP);
    static const luaL_Reg letters[] = { { "lower", string_lower }, { "upper", string_upper }, { NULL, NULL } };
    luaL_setfuncs(L, letters, 0);
    lua_pattern_open(L);
    lua_pop(L, 1);
    lua_pushliteral(L, ""); /* the metatable of strings: a script may use s:upper(), but not change what that means */
    lua_getmetatable(L, -1);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);

    lua_getfield(L, -1, "table");
    replace(L, "insert", table_insert, ORIG_INSERT);
    replace(L, "remove", table_remove, ORIG_REMOVE);
    replace(L, "sort", table_sort, ORIG_SORT);
    replace(L, "concat", table_concat, ORIG_CONCAT);
    replace(L, "move", table_move, ORIG_MOVE);
    lua_pop(L, 1);

    lua_getfield(L, -1, "math");
    lua_getfield(L, -1, "random");
    lua_getfield(L, -2, "randomseed");
    lua_pushcclosure(L, math_random, 2);
    lua_setfield(L, -2, "random");
    lua_pushnil(L);
    lua_setfield(L, -2, "randomseed");
    lua_pop(L, 1);

    lua_newtable(L); /* reading a global that nobody set is a typo, not nil */
    lua_pushcfunction(L, undefined_global);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* --- userdata --- */

void *sandbox_ud(lua_State *L, int idx, enum ud_tag tag)
{
    void *p = lua_touserdata(L, idx); /* there is no light userdata that a script could have */
    uint32_t t;
    if (p == NULL)
        return NULL;
    memcpy(&t, p, sizeof t);
    return t == (uint32_t)tag ? p : NULL;
}

void *sandbox_new_ud(lua_State *L, size_t size, enum ud_tag tag, int user_values)
{
    void *p = lua_newuserdatauv(L, size, user_values);
    uint32_t t = (uint32_t)tag;
    memcpy(p, &t, sizeof t);
    lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox_of(L)->metatable[tag]);
    lua_setmetatable(L, -2);
    return p;
}

void sandbox_set_metatable(lua_State *L, enum ud_tag tag, const char *name)
{
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    sandbox_of(L)->metatable[tag] = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* --- life --- */

static int setup(lua_State *L)
{
    struct sandbox *s = lua_touserdata(L, 1);
    lua_newtable(L);
    s->patterns = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    sandbox_set_metatable(L, UD_PATTERN, "pattern");
    if (s->o.libraries)
        open_libraries(L);
    return 0;
}

bool sandbox_new(const struct sandbox_options *o, struct sandbox **out, struct err *err)
{
    struct sandbox *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err);
    s->o = *o;
    if (s->o.memory_limit == 0)
        s->o.memory_limit = MEMORY_DEFAULT;
    if (s->o.step_limit == 0)
        s->o.step_limit = steps_default;
    lua_memory_open(&s->memory, s->o.memory_limit);
    s->L = lua_newstate(limited_alloc, s);
    if (s->L == NULL) {
        lua_memory_close(&s->memory);
        free(s);
        return err_set(err, ERR_SCRIPT, "%s: a memory limit of %zu bytes is too small for Lua itself", o->name,
                       o->memory_limit);
    }
    *(struct sandbox **)lua_getextraspace(s->L) = s; /* new coroutines get a copy */
    if (!sandbox_run(s, setup, s, err)) {
        sandbox_free(s);
        return false;
    }
    *out = s;
    return true;
}

void sandbox_free(struct sandbox *s)
{
    if (s == NULL)
        return;
    lua_sethook(s->L, NULL, 0, 0);
    lua_close(s->L);
    lua_memory_close(&s->memory);
    buf_free(&s->scratch);
    free(s);
}

static bool fail(struct sandbox *s, int status, struct err *err)
{
    lua_State *L = s->L;
    char text[256];
    const char *msg = lua_tostring(L, -1);
    if ((status == LUA_ERRMEM || (msg != NULL && strcmp(msg, "not enough memory") == 0)) && s->hit == LIMIT_NONE)
        s->hit = LIMIT_MEMORY;
    size_t n = strlen(s->o.name);
    bool placed = msg != NULL && (strncmp(msg, s->o.name, n) == 0 || strncmp(msg, "...", 3) == 0);
    if (s->hit == LIMIT_MEMORY || (s->hit != LIMIT_NONE && !placed))
        err_set(err, ERR_SCRIPT, "%s: %s", s->o.name, limit_text(s, text, sizeof text));
    else if (msg != NULL)
        err_set(err, ERR_SCRIPT, "%s%s%s", placed ? "" : s->o.name, placed ? "" : ": ", msg);
    else
        err_set(err, ERR_SCRIPT, "%s: error() was called with a %s instead of a message", s->o.name,
                luaL_typename(L, -1));
    return false;
}

bool sandbox_run(struct sandbox *s, lua_CFunction f, void *arg, struct err *err)
{
    lua_State *L = s->L;
    lua_settop(L, 0);
    s->steps = 0;
    s->cpu_end_us = 0;
    if (s->hit != LIMIT_NONE || lua_gethook(L) == NULL) {
        s->hit = LIMIT_NONE;
        lua_sethook(L, count_hook, LUA_MASKCOUNT, HOOK_EVERY);
    }
    lua_pushcfunction(L, f);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, 0);
    bool ok = status == LUA_OK && s->hit == LIMIT_NONE;
    if (!ok) {
        if (status == LUA_OK) /* a limit that the script outran */
            lua_pushnil(L);
        fail(s, status, err);
        lua_settop(L, 0);
        if (s->hit == LIMIT_MEMORY) { /* what it held may be garbage now */
            lua_sethook(L, NULL, 0, 0);
            lua_gc(L, LUA_GCCOLLECT);
        }
    }
    return ok;
}

struct chunk {
    struct sandbox *s;
    struct bytes text;
};

static int load_chunk(lua_State *L)
{
    struct chunk *c = lua_touserdata(L, 1);
    struct bytes text = c->text;
    if (text.n > 0 && text.p[0] == '#') { /* a shebang line; its newline stays, so that line numbers hold */
        const uint8_t *eol = memchr(text.p, '\n', text.n);
        size_t skip = eol == NULL ? text.n : (size_t)(eol - text.p);
        text = bytes_of(text.p + skip, text.n - skip);
    }
    lua_pushfstring(L, "@%s", c->s->o.name);
    int status = luaL_loadbufferx(L, (const char *)text.p, text.n, lua_tostring(L, -1), "t");
    if (status == LUA_ERRMEM)
        c->s->hit = LIMIT_MEMORY;
    if (status != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

bool sandbox_load(struct sandbox *s, struct bytes text, struct err *err)
{
    return sandbox_run(s, load_chunk, &(struct chunk){ s, text }, err);
}
