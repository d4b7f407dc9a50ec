/* lua_decimal.c - exact decimals for scripts: decimal "1.20", + - * with integers and decimals, comparisons, :round(n).
 *
 * A float never mixes in silently: it is an error that names the conversion. There is no division, which is rarely
 * exact. */
#include "lua_value.h"

#include <inttypes.h>
#include <stdlib.h>

void lua_push_decimal(lua_State *L, const struct dec *d)
{
    size_t head = offsetof(struct ud_decimal, dec) + offsetof(struct dec, d);
    struct ud_decimal *u = sandbox_new_ud(L, head + d->n * sizeof d->d[0], UD_DECIMAL, 0);
    memcpy((char *)u + offsetof(struct ud_decimal, dec), d, offsetof(struct dec, d) + d->n * sizeof d->d[0]);
}

/* The operand at idx: a decimal, or an integer in *room. NULL: raised. */
static const struct dec *operand(lua_State *L, int idx, struct dec *room, const char *what)
{
    const struct ud_decimal *u = sandbox_ud(L, idx, UD_DECIMAL);
    if (u != NULL)
        return &u->dec;
    if (lua_isinteger(L, idx)) {
        dec_from_i64(lua_tointeger(L, idx), 0, room);
        return room;
    }
    if (lua_type(L, idx) == LUA_TNUMBER)
        luaL_error(L,
                   "%s of a decimal and a float would not be exact: use decimal(string.format(\"%%.2f\", x)), or "
                   ":tonumber() on the decimal",
                   what);
    luaL_error(L, "%s of a decimal and a %s", what, luaL_typename(L, idx));
    return NULL;
}

static int push_result(lua_State *L, bool ok, const struct dec *d)
{
    if (!ok)
        return luaL_error(L, "the decimal result has too many digits (%d in all, %d behind the point): use :round(n)",
                          DEC_DIGITS, DEC_SCALE_MAX);
    lua_push_decimal(L, d);
    return 1;
}

static int op_add(lua_State *L)
{
    struct dec x, y, r;
    const struct dec *a = operand(L, 1, &x, "sum"), *b = operand(L, 2, &y, "sum");
    return push_result(L, dec_add(a, b, &r), &r);
}

static int op_sub(lua_State *L)
{
    struct dec x, y, r;
    const struct dec *a = operand(L, 1, &x, "difference"), *b = operand(L, 2, &y, "difference");
    return push_result(L, dec_sub(a, b, &r), &r);
}

static int op_mul(lua_State *L)
{
    struct dec x, y, r;
    const struct dec *a = operand(L, 1, &x, "product"), *b = operand(L, 2, &y, "product");
    return push_result(L, dec_mul(a, b, &r), &r);
}

static int op_unm(lua_State *L)
{
    struct dec zero = { 0 }, x, r;
    return push_result(L, dec_sub(&zero, operand(L, 1, &x, "negation"), &r), &r);
}

static int op_div(lua_State *L)
{
    return luaL_error(L, "decimals are not divided, for that is rarely exact: multiply (x * decimal \"0.01\"), or use "
                         ":tonumber()");
}

static int order(lua_State *L)
{
    struct dec x, y;
    const struct dec *a = operand(L, 1, &x, "comparison"), *b = operand(L, 2, &y, "comparison");
    return dec_cmp(a, b);
}

static int op_lt(lua_State *L)
{
    lua_pushboolean(L, order(L) < 0);
    return 1;
}

static int op_le(lua_State *L)
{
    lua_pushboolean(L, order(L) <= 0);
    return 1;
}

static int op_eq(lua_State *L)
{
    /* Lua asks only for two userdata: another kind is never equal, as with any two types. */
    bool both = sandbox_ud(L, 1, UD_DECIMAL) != NULL && sandbox_ud(L, 2, UD_DECIMAL) != NULL;
    lua_pushboolean(L, both && order(L) == 0);
    return 1;
}

static int method_eq(lua_State *L)
{
    lua_pushboolean(L, order(L) == 0);
    return 1;
}

static const struct dec *self(lua_State *L)
{
    const struct ud_decimal *u = sandbox_ud(L, 1, UD_DECIMAL);
    if (u == NULL)
        luaL_typeerror(L, 1, "decimal");
    return &u->dec;
}

static const char *text_of(lua_State *L, const struct dec *d, size_t *n)
{
    struct buf *out = &sandbox_of(L)->scratch;
    buf_reset(out);
    dec_text(d, out);
    *n = out->n;
    return buf_cstr(out);
}

static int to_text(lua_State *L)
{
    size_t n;
    const char *text = text_of(L, self(L), &n);
    lua_pushlstring(L, text, n);
    return 1;
}

static int round_to(lua_State *L)
{
    struct dec r;
    const struct dec *d = self(L);
    lua_Integer scale = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, scale >= 0 && scale <= DEC_SCALE_MAX, 2, "between 0 and 100 digits");
    return push_result(L, dec_round(d, (unsigned)scale, &r), &r);
}

static int to_number(lua_State *L)
{
    size_t n;
    const char *text = text_of(L, self(L), &n);
    lua_pushnumber(L, strtod(text, NULL));
    return 1;
}

static int to_integer(lua_State *L)
{
    int64_t v;
    if (dec_to_i64(self(L), &v))
        lua_pushinteger(L, (lua_Integer)v);
    else
        lua_pushnil(L);
    return 1;
}

static int get_scale(lua_State *L)
{
    lua_pushinteger(L, self(L)->scale);
    return 1;
}

static int absolute(lua_State *L)
{
    struct dec r;
    const struct dec *d = self(L);
    bool ok = dec_round(d, d->scale, &r);
    r.neg = false;
    return push_result(L, ok, &r);
}

static int construct(lua_State *L)
{
    struct dec d;
    if (sandbox_ud(L, 1, UD_DECIMAL) != NULL) {
        lua_settop(L, 1);
        return 1;
    }
    if (lua_isinteger(L, 1)) {
        dec_from_i64(lua_tointeger(L, 1), 0, &d);
        return push_result(L, true, &d);
    }
    if (lua_type(L, 1) == LUA_TNUMBER)
        return luaL_error(L, "decimal(%f) would take over the float's error: use decimal(string.format(\"%%.2f\", x))",
                          lua_tonumber(L, 1));
    if (lua_type(L, 1) != LUA_TSTRING || !dec_parse(lua_bytes(L, 1), &d))
        return luaL_error(L, "decimal wants an integer or text like \"-12.30\", not %s",
                          lua_type(L, 1) == LUA_TSTRING ? "that text" : luaL_typename(L, 1));
    return push_result(L, true, &d);
}

void lua_decimal_open(lua_State *L)
{
    static const luaL_Reg meta[] = { { "__add", op_add }, { "__sub", op_sub },       { "__mul", op_mul },
                                     { "__unm", op_unm }, { "__div", op_div },       { "__idiv", op_div },
                                     { "__mod", op_div }, { "__lt", op_lt },         { "__le", op_le },
                                     { "__eq", op_eq },   { "__tostring", to_text }, { NULL, NULL } };
    static const luaL_Reg methods[] = { { "round", round_to },  { "tonumber", to_number }, { "tointeger", to_integer },
                                        { "scale", get_scale }, { "abs", absolute },       { "eq", method_eq },
                                        { NULL, NULL } };
    luaL_newlib(L, meta);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    sandbox_set_metatable(L, UD_DECIMAL, "decimal");
    lua_register(L, "decimal", construct);
}
