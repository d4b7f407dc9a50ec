/* lua_memory.h - memory of one Lua state: small objects from pages of one size each, the rest from malloc.
 *
 * A script that reshapes rows makes and drops some ten small objects a row, of few sizes; malloc and free were a tenth of what its
 * thread did. What is counted is what is held: whole pages in use, and large objects; so the state's limit bounds memory, not the sum
 * of what was asked for. One thread at a time. */
#ifndef ROWTIDE_LUA_MEMORY_H
#define ROWTIDE_LUA_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LUA_PAGE = 4096, LUA_SMALL_MAX = 256, LUA_CLASSES = LUA_SMALL_MAX / 16 };
struct lua_page;
struct lua_memory {
    size_t used, limit;                 /* bytes */
    uint8_t *base;                      /* reserved, of limit bytes; NULL: everything from malloc */
    size_t reserved, fresh;             /* of it, what is there and what was never used, bytes from base */
    struct lua_page *open[LUA_CLASSES]; /* pages of each size with room, doubly linked */
    struct lua_page *empty;             /* pages that hold nothing */
};

void lua_memory_open(struct lua_memory *m, size_t limit);
void lua_memory_close(struct lua_memory *m); /* large objects must be gone: lua_close frees each */
/* As lua_Alloc wants it, with osize 0 for what is new: NULL beyond the limit or out of memory. Never fails when n <= osize. */
void *lua_memory_alloc(struct lua_memory *m, void *p, size_t osize, size_t n);

#endif
