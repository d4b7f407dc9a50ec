/* lua_sandbox.h - a Lua state that a script can neither leave nor hang: memory, instructions, no I/O, no bytecode, no
 * finalizers.
 *
 * Used by lua_host.c (transforms) and config.c (configuration). Only lua_*.c and config.c see lua.h. One thread at a
 * time.
 *
 * Limits are not errors that a script can catch: once one is passed, pcall, xpcall and coroutines raise again, and the
 * call fails. What the count hook cannot interrupt, because it runs inside one C function, is replaced or bounded:
 * patterns (lua_pattern.c), string.rep, and the table functions on very long or lying tables. xpcall's handler runs
 * after the stack is unwound, because Lua runs handlers with hooks off; __gc is refused for the same reason. */
#ifndef ROWTIDE_LUA_SANDBOX_H
#define ROWTIDE_LUA_SANDBOX_H

#include "buf.h"
#include "lua_memory.h"

#include <lauxlib.h>
#include <lua.h>

/* Every full userdata that a script can hold begins with its tag, so that a method can tell what it was handed. */
enum ud_tag {
    UD_NONE,
    UD_DECIMAL,
    UD_TEMPORAL,
    UD_CHANGE,
    UD_ROW,
    UD_WORD /* DROP, PAUSE, json.null */,
    UD_PATTERN,
    UD_N
};

enum sandbox_limit { LIMIT_NONE, LIMIT_STEPS, LIMIT_TIME, LIMIT_MEMORY };
enum sandbox_orig { ORIG_INSERT, ORIG_REMOVE, ORIG_MOVE, ORIG_CONCAT, ORIG_SORT, ORIG_REP, ORIG_N };
struct sandbox_options {
    const char *name;    /* of the script, as errors print it */
    size_t memory_limit; /* 0: 16 MiB */
    uint64_t step_limit; /* 0: 10 million */
    bool libraries;      /* string, table, math, utf8, coroutine and the safe part of base; else nothing at all */
    void (*print)(void *ctx, const char *line);
    void *print_ctx;
    void *host; /* who calls C functions from within: lua_host, or the configuration being read */
};
struct sandbox {
    lua_State *L;
    struct sandbox_options o;
    struct lua_memory memory;
    uint64_t steps;     /* of the running call; large allocations and pattern matching count too */
    int64_t cpu_end_us; /* of this thread: a second line of defence behind steps */
    enum sandbox_limit hit;
    bool quiet; /* print() is silent */
    bool seeded;
    uint64_t seed[2];    /* of math.random, set before each change: a replay draws the same numbers */
    int metatable[UD_N]; /* references */
    int patterns;        /* compiled ones, by their text */
    unsigned npatterns;
    lua_CFunction orig[ORIG_N];
    struct buf scratch; /* for C functions: valid until the next one uses it */
};

bool sandbox_new(const struct sandbox_options *o, struct sandbox **out, struct err *err);
void sandbox_free(struct sandbox *s); /* NULL is fine */
static inline struct sandbox *sandbox_of(lua_State *L)
{
    return *(struct sandbox **)lua_getextraspace(L);
}
/* Runs f(L) with one light userdata argument, protected and with fresh step and time limits. Errors are ERR_SCRIPT with
 * script:line. */
bool sandbox_run(struct sandbox *s, lua_CFunction f, void *arg, struct err *err);
/* Compiles and runs a text chunk. */
bool sandbox_load(struct sandbox *s, struct bytes text, struct err *err);

/* --- for C functions that scripts call --- */
/* Raises when the step limit is passed. Call it where C code does work that no VM instruction counts. */
void sandbox_charge(lua_State *L, uint64_t steps);
/* The userdata at idx if its tag is this, else NULL. */
void *sandbox_ud(lua_State *L, int idx, enum ud_tag tag);
void *sandbox_new_ud(lua_State *L, size_t size, enum ud_tag tag, int user_values);
/* Makes the table on top of the stack the metatable of a tag; hides it from scripts; pops it. name: what type errors
 * print. */
void sandbox_set_metatable(lua_State *L, enum ud_tag tag, const char *name);
/* The names of a table's string keys as suggestions for want: " (did you mean ...)". */
const char *sandbox_suggest(lua_State *L, int table, struct bytes want, char *out, size_t size);
static inline struct bytes lua_bytes(lua_State *L, int idx) /* of a string; a view that lives as long as that string */
{
    size_t n;
    const char *p = lua_tolstring(L, idx, &n);
    return p == NULL ? BYTES_LIT("") : bytes_of(p, n);
}

void lua_pattern_open(lua_State *L); /* string.find, match, gmatch, gsub into the table on top of the stack */

#endif
