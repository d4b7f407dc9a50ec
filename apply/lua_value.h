/* lua_value.h - values between rows and Lua, exactly: 64-bit integers, decimals, temporals, NULL apart from absent.
 *
 * To Lua: docs/lua-api.md, "Values". From Lua: into the type of the column that is assigned, or, for an added column,
 * as what the Lua value is. What does not fit is refused with a reason, never rounded or cut (I7). */
#ifndef ROWTIDE_LUA_VALUE_H
#define ROWTIDE_LUA_VALUE_H

#include "arena.h"
#include "decimal.h"
#include "lua_sandbox.h"
#include "relation.h"

struct ud_decimal {
    uint32_t tag;
    struct dec dec; /* allocated only up to its last limb in use */
};
struct ud_temporal {
    uint32_t tag;
    uint8_t kind;  /* VAL_DATE, VAL_TIME (a duration), VAL_DATETIME, VAL_INSTANT */
    uint8_t scale; /* fractional digits that tostring prints */
    int64_t v;     /* as in struct val */
};
struct ud_word {
    uint32_t tag;
    const char *name; /* "DROP", "PAUSE", "json.null" */
};

/* Install the metatables and globals: decimal, date, datetime, duration, instant, json. Called inside a protected call.
 * */
void lua_value_open(lua_State *L);
void lua_decimal_open(lua_State *L);
void lua_temporal_open(lua_State *L);
void lua_json_open(lua_State *L);

void lua_push_decimal(lua_State *L, const struct dec *d);
void lua_push_temporal(lua_State *L, uint8_t kind, int64_t v, uint8_t scale);
/* v must not be VAL_ABSENT. c: its column, or NULL for one that a script added. */
void lua_push_val(lua_State *L, const struct column *c, const struct val *v);
/* The Lua value at idx as a value of column c (NULL: added by the script). Strings are copied into a. False: why says
 * what is wrong, without naming the column; nothing raised except out of memory. */
bool lua_to_val(lua_State *L, int idx, const struct column *c, struct arena *a, struct val *out, char *why,
                size_t size);
/* Pushes a new userdata for a named constant. */
void lua_push_word(lua_State *L, const char *name);
const char *lua_word(lua_State *L, int idx); /* its name, or NULL */

bool utf8_valid(struct bytes s);
/* "2024-02-29[ 10:11:12[.5]]" to a packed date or datetime, "[-]10:11:12.5" to microseconds. False: not that. */
bool temporal_parse(uint8_t kind, struct bytes text, int64_t *v, uint8_t *scale);
/* Is it JSON text? (nesting up to 100, as the servers allow) */
bool json_valid(struct bytes text, char *why, size_t size);
/* The Lua value at idx as JSON text in the sandbox's scratch buffer; false and why when it cannot be said in JSON. */
bool lua_json_encode(lua_State *L, int idx, struct bytes *out, char *why, size_t size);

#endif
