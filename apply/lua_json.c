/* lua_json.c - json.decode, json.encode, json.array, json.null: JSON text (RFC 8259) to Lua tables and back.
 *
 * Integers stay integers (beyond 64 bits: decimal); a number with a fraction is a float when that prints back as the
 * same text, else a decimal. Arrays carry a mark, so that an empty one stays one. Text is written the way MySQL prints
 * it: ", " and ": ", members by length of name, then bytes, so that an unchanged document compares equal. Duplicate
 * names: the last wins. */
#include "lua_value.h"

#include "json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH = 100, MEMBERS_MAX = 1 << 20 };

static const char array_mark, null_word; /* their addresses are registry keys */

/* --- reading: one walk, which builds Lua values when L is given, and only checks when it is not --- */

struct reader {
    lua_State *L; /* NULL: validate */
    const uint8_t *start, *p, *end;
    const char *why;
    int depth;
};

static bool bad(struct reader *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    return false;
}

static void space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool literal(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return bad(r, "unexpected character");
    r->p += n;
    return true;
}

static bool hex4(struct reader *r, unsigned *out)
{
    unsigned v = 0;
    if (r->end - r->p < 4)
        return bad(r, "bad \\u escape");
    for (int i = 0; i < 4; i++) {
        uint8_t c = *r->p++;
        unsigned d = c >= '0' && c <= '9'                     ? (unsigned)(c - '0')
                     : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a' + 10)
                                                              : 16;
        if (d == 16)
            return bad(r, "bad \\u escape");
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

static size_t utf8_put(unsigned c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static bool escape(struct reader *r, luaL_Buffer *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end)
        return bad(r, "string not closed");
    char c = (char)*r->p++;
    const char *at = c == '\0' ? NULL : strchr(from, c);
    if (at != NULL) {
        if (b != NULL)
            luaL_addchar(b, to[at - from]);
        return true;
    }
    unsigned code, low;
    if (c != 'u' || !hex4(r, &code))
        return bad(r, "bad escape");
    if (code >= 0xd800 && code < 0xdc00) {
        if (!literal(r, "\\u") || !hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return bad(r, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return bad(r, "half of a surrogate pair");
    }
    char out[4];
    size_t n = utf8_put(code, out);
    if (b != NULL)
        luaL_addlstring(b, out, n);
    return true;
}

/* Behind the opening quote. Pushes the string. */
static bool string(struct reader *r)
{
    luaL_Buffer room, *b = r->L == NULL ? NULL : &room;
    if (b != NULL)
        luaL_buffinit(r->L, b);
    for (;;) {
        const uint8_t *plain = r->p;
        while (r->p < r->end && *r->p != '"' && *r->p != '\\' && *r->p >= 0x20)
            r->p++;
        if (b != NULL)
            luaL_addlstring(b, (const char *)plain, (size_t)(r->p - plain));
        if (r->p == r->end || *r->p < 0x20)
            return bad(r, r->p == r->end ? "string not closed" : "control character in a string");
        if (*r->p++ == '"')
            break;
        if (!escape(r, b))
            return false;
    }
    if (b != NULL)
        luaL_pushresult(b);
    return true;
}

static void push_number(lua_State *L, struct bytes text, bool integer)
{
    char room[64];
    struct dec d;
    if (text.n >= sizeof room) { /* digits beyond any double */
        if (dec_parse(text, &d))
            lua_push_decimal(L, &d);
        else
            luaL_error(L, "number with too many digits in JSON");
        return;
    }
    memcpy(room, text.p, text.n);
    room[text.n] = '\0';
    if (integer && dec_parse(text, &d)) {
        int64_t v;
        if (dec_to_i64(&d, &v) && strcmp(room, "-0") != 0)
            lua_pushinteger(L, (lua_Integer)v);
        else if (strcmp(room, "-0") == 0)
            lua_pushnumber(L, -0.0);
        else
            lua_push_decimal(L, &d);
        return;
    }
    double f = strtod(room, NULL);
    struct buf *out = &sandbox_of(L)->scratch;
    buf_reset(out);
    f64_text(f, out);
    bool exponent = strpbrk(room, "eE") != NULL, same = strcmp(buf_cstr(out), room) == 0;
    if (!same && !exponent) { /* 1.20, or 1.0, which we print back as such */
        buf_str(out, ".0");
        same = strcmp(buf_cstr(out), room) == 0;
    }
    if (!same && !exponent && dec_parse(text, &d))
        lua_push_decimal(L, &d);
    else if (isinf(f))
        luaL_error(L, "number out of range in JSON");
    else
        lua_pushnumber(L, f);
}

static bool number(struct reader *r)
{
    const uint8_t *from = r->p;
    bool integer = true;
    if (*r->p == '-')
        r->p++;
    const uint8_t *first = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    if (r->p == first || (*first == '0' && r->p - first > 1))
        return bad(r, "bad number");
    if (r->p < r->end && *r->p == '.') {
        integer = false;
        const uint8_t *behind = ++r->p;
        while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
            r->p++;
        if (r->p == behind)
            return bad(r, "bad number");
    }
    if (r->p < r->end && (*r->p | 0x20) == 'e') {
        integer = false;
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        const uint8_t *behind = r->p;
        while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
            r->p++;
        if (r->p == behind)
            return bad(r, "bad number");
    }
    if (r->L != NULL)
        push_number(r->L, bytes_of(from, (size_t)(r->p - from)), integer);
    return true;
}

static bool value(struct reader *r);

static bool array(struct reader *r)
{
    lua_Integer n = 0;
    if (r->L != NULL) {
        lua_newtable(r->L);
        lua_rawgetp(r->L, LUA_REGISTRYINDEX, &array_mark);
        lua_setmetatable(r->L, -2);
    }
    space(r);
    if (r->p < r->end && *r->p == ']') {
        r->p++;
        return true;
    }
    for (;;) {
        if (!value(r))
            return false;
        if (r->L != NULL)
            lua_rawseti(r->L, -2, ++n);
        space(r);
        if (r->p == r->end || (*r->p != ',' && *r->p != ']'))
            return bad(r, "expected , or ]");
        if (*r->p++ == ']')
            return true;
    }
}

static bool object(struct reader *r)
{
    if (r->L != NULL)
        lua_newtable(r->L);
    space(r);
    if (r->p < r->end && *r->p == '}') {
        r->p++;
        return true;
    }
    for (;;) {
        space(r);
        if (r->p == r->end || *r->p != '"')
            return bad(r, "expected a member name");
        r->p++;
        if (!string(r))
            return false;
        space(r);
        if (r->p == r->end || *r->p != ':')
            return bad(r, "expected :");
        r->p++;
        if (!value(r))
            return false;
        if (r->L != NULL)
            lua_rawset(r->L, -3);
        space(r);
        if (r->p == r->end || (*r->p != ',' && *r->p != '}'))
            return bad(r, "expected , or }");
        if (*r->p++ == '}')
            return true;
    }
}

static bool value(struct reader *r)
{
    if (++r->depth > DEPTH)
        return bad(r, "nested deeper than 100");
    if (r->L != NULL)
        luaL_checkstack(r->L, 8, "JSON");
    space(r);
    bool ok;
    if (r->p == r->end)
        return bad(r, "ends too early");
    switch (*r->p) {
    case '{':
        r->p++;
        ok = object(r);
        break;
    case '[':
        r->p++;
        ok = array(r);
        break;
    case '"':
        r->p++;
        ok = string(r);
        break;
    case 't':
    case 'f':
        ok = literal(r, *r->p == 't' ? "true" : "false");
        if (ok && r->L != NULL)
            lua_pushboolean(r->L, r->p[-2] == 'u');
        break;
    case 'n':
        ok = literal(r, "null");
        if (ok && r->L != NULL)
            lua_rawgetp(r->L, LUA_REGISTRYINDEX, &null_word);
        break;
    default:
        ok = *r->p == '-' || (*r->p >= '0' && *r->p <= '9') ? number(r) : bad(r, "unexpected character");
    }
    r->depth--;
    return ok;
}

static bool document(struct reader *r)
{
    if (!utf8_valid(bytes_of(r->p, (size_t)(r->end - r->p))))
        return bad(r, "not UTF-8");
    if (!value(r))
        return false;
    space(r);
    return r->p == r->end || bad(r, "text behind the end");
}

bool json_valid(struct bytes text, char *why, size_t size)
{
    struct reader r = { .start = text.p, .p = text.p, .end = text.n == 0 ? text.p : text.p + text.n };
    if (document(&r))
        return true;
    snprintf(why, size, "%s at byte %zu", r.why, (size_t)(r.p - r.start) + 1);
    return false;
}

static int decode(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    struct bytes text = lua_bytes(L, 1);
    sandbox_charge(L, text.n / 16);
    struct reader r = { .L = L, .start = text.p, .p = text.p, .end = text.p + text.n };
    if (!document(&r))
        return luaL_error(L, "json.decode: %s at byte %d", r.why, (int)(r.p - r.start) + 1);
    return 1;
}

/* --- writing --- */

struct writer {
    lua_State *L;
    struct buf *out;
    char *why;
    size_t size;
    int depth;
};

static bool cannot(struct writer *w, const char *why)
{
    snprintf(w->why, w->size, "%s", why);
    return false;
}

static bool write_value(struct writer *w, int idx);

static bool write_array(struct writer *w, int idx, lua_Integer n)
{
    buf_u8(w->out, '[');
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1)
            buf_str(w->out, ", ");
        lua_rawgeti(w->L, idx, i);
        bool ok = lua_isnil(w->L, -1) ? cannot(w, "an array with a hole (use json.null)")
                                      : write_value(w, lua_gettop(w->L));
        lua_pop(w->L, 1);
        if (!ok)
            return false;
    }
    buf_u8(w->out, ']');
    return true;
}

static int by_length_then_bytes(const void *x, const void *y)
{
    const struct bytes *a = x, *b = y;
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return a->n == 0 ? 0 : memcmp(a->p, b->p, a->n);
}

static bool write_object(struct writer *w, int idx, size_t n)
{
    lua_State *L = w->L;
    struct bytes *names = lua_newuserdatauv(L, (n + 1) * sizeof *names, 0); /* a temporary that no script can see */
    size_t got = 0;
    lua_pushnil(L);
    while (lua_next(L, idx) != 0) {
        lua_pop(L, 1);
        if (got < n)
            names[got++] = lua_bytes(L, -1); /* keys were checked: strings, which the table keeps alive */
    }
    qsort(names, got, sizeof *names, by_length_then_bytes);
    buf_u8(w->out, '{');
    for (size_t i = 0; i < got; i++) {
        if (i > 0)
            buf_str(w->out, ", ");
        if (!utf8_valid(names[i]))
            return cannot(w, "a member name is not UTF-8");
        json_string(w->out, names[i]);
        buf_str(w->out, ": ");
        lua_pushlstring(L, (const char *)names[i].p, names[i].n);
        lua_rawget(L, idx);
        bool ok = write_value(w, lua_gettop(L));
        lua_pop(L, 1);
        if (!ok)
            return false;
    }
    buf_u8(w->out, '}');
    lua_pop(L, 1);
    return true;
}

static bool write_table(struct writer *w, int idx)
{
    lua_State *L = w->L;
    size_t strings = 0, integers = 0;
    lua_Integer highest = 0;
    bool marked = false;
    if (lua_getmetatable(L, idx)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &array_mark);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    lua_pushnil(L);
    while (lua_next(L, idx) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            strings++;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1) {
            integers++;
            if (lua_tointeger(L, -1) > highest)
                highest = lua_tointeger(L, -1);
        } else {
            lua_pop(L, 1);
            return cannot(w, "a table whose keys are neither names nor 1..n");
        }
    }
    sandbox_charge(L, strings + integers);
    if (strings != 0 && (integers != 0 || marked))
        return cannot(w, "a table with both names and numbers as keys");
    if ((lua_Unsigned)highest != integers)
        return cannot(w, "an array with a hole (use json.null)");
    return marked || integers != 0 ? write_array(w, idx, highest) : write_object(w, idx, strings);
}

static bool write_userdata(struct writer *w, int idx)
{
    lua_State *L = w->L;
    const struct ud_decimal *d = sandbox_ud(L, idx, UD_DECIMAL);
    const struct ud_temporal *t = sandbox_ud(L, idx, UD_TEMPORAL);
    const char *word = lua_word(L, idx);
    if (d != NULL) {
        dec_text(&d->dec, w->out);
    } else if (t != NULL) {
        json_value(w->out, NULL, &(struct val){ .kind = t->kind, .scale = t->scale, .u = { .i64 = t->v } });
    } else if (word != NULL && strcmp(word, "json.null") == 0) {
        buf_str(w->out, "null");
    } else {
        return cannot(w, "a row or change is no JSON value: pick its columns");
    }
    return true;
}

static bool write_value(struct writer *w, int idx)
{
    lua_State *L = w->L;
    if (++w->depth > DEPTH)
        return cannot(w, "nested deeper than 100 (a table that contains itself?)");
    if (w->out->n > sandbox_of(L)->o.memory_limit)
        return cannot(w, "longer than the script's memory limit");
    luaL_checkstack(L, 8, "JSON");
    bool ok = true;
    switch (lua_type(L, idx)) {
    case LUA_TNIL:
        buf_str(w->out, "null");
        break;
    case LUA_TBOOLEAN:
        buf_str(w->out, lua_toboolean(L, idx) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx)) {
            buf_printf(w->out, "%lld", (long long)lua_tointeger(L, idx));
        } else {
            double f = lua_tonumber(L, idx);
            if (isnan(f) || isinf(f))
                return cannot(w, "nan and inf are no JSON numbers");
            size_t from = w->out->n;
            f64_text(f, w->out);
            bool integral = true;
            for (size_t i = from; i < w->out->n; i++)
                integral = integral && (w->out->p[i] == '-' || (w->out->p[i] >= '0' && w->out->p[i] <= '9'));
            if (integral)
                buf_str(w->out, ".0");
        }
        break;
    case LUA_TSTRING:
        if (!utf8_valid(lua_bytes(L, idx)))
            return cannot(w, "a string is not UTF-8");
        json_string(w->out, lua_bytes(L, idx));
        break;
    case LUA_TTABLE:
        ok = write_table(w, idx);
        break;
    case LUA_TUSERDATA:
        ok = write_userdata(w, idx);
        break;
    default:
        ok = cannot(w, "a function or coroutine is no JSON value");
    }
    w->depth--;
    return ok;
}

bool lua_json_encode(lua_State *L, int idx, struct bytes *out, char *why, size_t size)
{
    struct writer w = { L, &sandbox_of(L)->scratch, why, size, 0 };
    int top = lua_gettop(L);
    buf_reset(w.out);
    bool ok = write_value(&w, lua_absindex(L, idx));
    lua_settop(L, top);
    if (ok && w.out->failed)
        ok = cannot(&w, "out of memory");
    *out = buf_view(w.out);
    return ok;
}

static int encode(lua_State *L)
{
    struct bytes out;
    char why[200];
    luaL_checkany(L, 1);
    if (!lua_json_encode(L, 1, &out, why, sizeof why))
        return luaL_error(L, "json.encode: %s", why);
    sandbox_charge(L, out.n / 16);
    lua_pushlstring(L, (const char *)out.p, out.n);
    return 1;
}

static int mark_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_mark);
    lua_setmetatable(L, 1);
    return 1;
}

static int is_array(lua_State *L)
{
    bool marked = false;
    if (lua_type(L, 1) == LUA_TTABLE && lua_getmetatable(L, 1)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &array_mark);
        marked = lua_rawequal(L, -1, -2);
    }
    lua_pushboolean(L, marked);
    return 1;
}

void lua_json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "decode", decode }, { "encode", encode }, { "array", mark_array }, { "is_array", is_array }, { NULL, NULL }
    };
    luaL_newlib(L, functions);
    lua_push_word(L, "json.null");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &null_word);
    lua_setfield(L, -2, "null");
    lua_setglobal(L, "json");
    lua_newtable(L);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_mark);
}
