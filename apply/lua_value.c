/* lua_value.c - one column value to Lua and back; named constants. The rules in full: docs/lua-api.md, "Values". */
#include "lua_value.h"

#include "suggest.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool utf8_valid(struct bytes s) /* RFC 3629: no overlong forms, no surrogates, up to U+10FFFF */
{
    const uint8_t *p = s.p, *end = s.n == 0 ? s.p : s.p + s.n;
    while (p < end) {
        if (*p < 0x80) {
            uint64_t eight;
            p++;
            for (; end - p >= 8; p += sizeof eight) {
                memcpy(&eight, p, sizeof eight);
                if ((eight & UINT64_C(0x8080808080808080)) != 0)
                    break;
            }
            continue;
        }
        size_t more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
        if (*p < 0xc2 || *p > 0xf4 || (size_t)(end - p) <= more)
            return false;
        for (size_t i = 1; i <= more; i++)
            if ((p[i] & 0xc0) != 0x80)
                return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
            (*p == 0xf4 && p[1] > 0x8f))
            return false;
        p += more + 1;
    }
    return true;
}

/* --- named constants --- */

static int word_text(lua_State *L)
{
    lua_pushstring(L, lua_word(L, 1));
    return 1;
}

void lua_push_word(lua_State *L, const char *name)
{
    struct ud_word *w = sandbox_new_ud(L, sizeof *w, UD_WORD, 0);
    w->name = name;
}

const char *lua_word(lua_State *L, int idx)
{
    const struct ud_word *w = sandbox_ud(L, idx, UD_WORD);
    return w == NULL ? NULL : w->name;
}

void lua_value_open(lua_State *L)
{
    static const luaL_Reg meta[] = { { "__tostring", word_text }, { NULL, NULL } };
    luaL_newlib(L, meta);
    sandbox_set_metatable(L, UD_WORD, "constant");
}

/* --- to Lua --- */

static void push_u64(lua_State *L, uint64_t v)
{
    if (v <= INT64_MAX) {
        lua_pushinteger(L, (lua_Integer)v);
        return;
    }
    struct dec d;
    dec_from_u64(v, false, 0, &d);
    lua_push_decimal(L, &d);
}

static void push_set(lua_State *L, const struct column *c, uint64_t bits)
{
    luaL_Buffer b;
    bool first = true;
    luaL_buffinit(L, &b);
    for (uint32_t i = 0; c != NULL && i < c->nlabels && i < 64; i++) {
        if ((bits >> i & 1) == 0)
            continue;
        if (!first)
            luaL_addchar(&b, ',');
        luaL_addlstring(&b, (const char *)c->labels[i].p, c->labels[i].n);
        first = false;
    }
    luaL_pushresult(&b);
}

void lua_push_val(lua_State *L, const struct column *c, const struct val *v)
{
    struct dec d;
    switch ((enum val_kind)v->kind) {
    case VAL_NULL:
    case VAL_ABSENT:
    case VAL_SAME:
        lua_pushnil(L);
        break;
    case VAL_I64:
        lua_pushinteger(L, (lua_Integer)v->u.i64);
        break;
    case VAL_U64:
    case VAL_BIT:
        push_u64(L, v->u.u64);
        break;
    case VAL_F32:
        lua_pushnumber(L, (lua_Number)v->u.f32);
        break;
    case VAL_F64:
        lua_pushnumber(L, v->u.f64);
        break;
    case VAL_DEC64:
        dec_from_i64(v->u.i64, v->scale, &d);
        lua_push_decimal(L, &d);
        break;
    case VAL_DECIMAL:
        if (!dec_parse(v->u.str, &d)) /* cannot happen: capture wrote it */
            luaL_error(L, "damaged decimal value");
        lua_push_decimal(L, &d);
        break;
    case VAL_TEXT:
    case VAL_BYTES:
    case VAL_JSON:
    case VAL_GEOMETRY:
    case VAL_VECTOR:
        lua_pushlstring(L, v->u.str.n == 0 ? "" : (const char *)v->u.str.p, v->u.str.n);
        break;
    case VAL_DATE:
    case VAL_TIME:
    case VAL_DATETIME:
    case VAL_INSTANT:
        lua_push_temporal(L, v->kind, v->u.i64, v->scale);
        break;
    case VAL_ENUM:
        if (c != NULL && v->u.u64 > 0 && v->u.u64 <= c->nlabels)
            lua_pushlstring(L, (const char *)c->labels[v->u.u64 - 1].p, c->labels[v->u.u64 - 1].n);
        else
            lua_pushliteral(L, ""); /* 0: what the server stored for an invalid value */
        break;
    case VAL_SET:
        push_set(L, c, v->u.u64);
        break;
    }
}

/* --- from Lua --- */

struct conversion {
    lua_State *L;
    int idx;
    const struct column *c;
    struct arena *a;
    struct val *out;
    char *why;
    size_t size;
};

static bool refuse(const struct conversion *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool refuse(const struct conversion *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(k->why, k->size, fmt, ap);
    va_end(ap);
    return false;
}

/* "a string", "a decimal", "2.5": what the script handed over. */
static const char *what(const struct conversion *k, char *out, size_t size)
{
    lua_State *L = k->L;
    const struct ud_temporal *t = sandbox_ud(L, k->idx, UD_TEMPORAL);
    if (sandbox_ud(L, k->idx, UD_DECIMAL) != NULL)
        snprintf(out, size, "a decimal");
    else if (t != NULL)
        snprintf(out, size, "%s",
                 t->kind == VAL_DATE       ? "a date"
                 : t->kind == VAL_TIME     ? "a duration"
                 : t->kind == VAL_DATETIME ? "a datetime"
                                           : "an instant");
    else if (lua_word(L, k->idx) != NULL)
        snprintf(out, size, "%s", lua_word(L, k->idx));
    else if (lua_isinteger(L, k->idx))
        snprintf(out, size, "an integer");
    else if (lua_type(L, k->idx) == LUA_TNUMBER)
        snprintf(out, size, "a float");
    else
        snprintf(out, size, "a %s", luaL_typename(L, k->idx));
    return out;
}

static bool wrong_type(const struct conversion *k, const char *hint)
{
    char given[40];
    struct buf type = { 0 };
    if (k->c != NULL)
        column_type_text(k->c, &type);
    if (type.n > 80)
        type.n = 80;
    refuse(k, "%s does not fit %s%s", what(k, given, sizeof given), buf_cstr(&type), hint);
    buf_free(&type);
    return false;
}

static bool copy_string(const struct conversion *k, uint8_t kind, struct bytes s)
{
    struct err err;
    struct val v = { .kind = kind };
    if (!arena_copy(k->a, s, &v.u.str, &err))
        return refuse(k, "%s", err.msg);
    *k->out = v;
    return true;
}

static const struct ud_decimal *as_decimal(const struct conversion *k)
{
    return sandbox_ud(k->L, k->idx, UD_DECIMAL);
}

/* Integers, exact floats, booleans and integral decimals, as sign and magnitude. */
static bool integer_value(const struct conversion *k, bool *neg, uint64_t *magnitude)
{
    lua_State *L = k->L;
    const struct ud_decimal *d = as_decimal(k);
    int64_t v;
    if (lua_type(L, k->idx) == LUA_TBOOLEAN) {
        v = lua_toboolean(L, k->idx);
    } else if (d != NULL) {
        if (dec_to_u64(&d->dec, magnitude)) {
            *neg = false;
            return true;
        }
        if (!dec_to_i64(&d->dec, &v))
            return refuse(k, "the decimal is not an integer of 64 bits: use :round(0)");
    } else if (lua_type(L, k->idx) == LUA_TNUMBER) {
        int exact = 0;
        lua_Integer i = lua_tointegerx(L, k->idx, &exact);
        if (!exact)
            return refuse(k, "%.17g is not an integer: use math.floor or //", (double)lua_tonumber(L, k->idx));
        v = i;
    } else {
        return wrong_type(k, lua_type(L, k->idx) == LUA_TSTRING ? ": use math.tointeger or tonumber" : "");
    }
    *neg = v < 0;
    *magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    return true;
}

static bool out_of_range(const struct conversion *k, bool neg, uint64_t m)
{
    struct buf type = { 0 };
    column_type_text(k->c, &type);
    refuse(k, "%s%" PRIu64 " is out of range for %s", neg ? "-" : "", m, buf_cstr(&type));
    buf_free(&type);
    return false;
}

static bool to_int(const struct conversion *k)
{
    bool neg = false;
    uint64_t m = 0;
    if (!integer_value(k, &neg, &m))
        return false;
    unsigned bits = k->c->int_bits == 0 || k->c->int_bits > 64 ? 64 : k->c->int_bits;
    uint64_t half = UINT64_C(1) << (bits - 1), most = k->c->is_unsigned ? half - 1 + half : half - 1;
    if (neg ? k->c->is_unsigned || m > half : m > most)
        return out_of_range(k, neg, m);
    if (k->c->is_unsigned)
        *k->out = (struct val){ .kind = VAL_U64, .u = { .u64 = m } };
    else
        *k->out = (struct val){ .kind = VAL_I64, .u = { .i64 = neg ? (int64_t)(0 - m) : (int64_t)m } };
    return true;
}

static bool to_year(const struct conversion *k)
{
    bool neg = false;
    uint64_t m = 0;
    if (!integer_value(k, &neg, &m))
        return false;
    if (neg || (m != 0 && (m < 1901 || m > 2155)))
        return out_of_range(k, neg, m);
    *k->out = (struct val){ .kind = VAL_I64, .u = { .i64 = (int64_t)m } };
    return true;
}

static bool to_bit(const struct conversion *k)
{
    bool neg = false;
    uint64_t m = 0;
    if (!integer_value(k, &neg, &m))
        return false;
    if (neg || (k->c->length < 64 && m >> k->c->length != 0))
        return out_of_range(k, neg, m);
    *k->out = (struct val){ .kind = VAL_BIT, .u = { .u64 = m } };
    return true;
}

static bool to_float(const struct conversion *k)
{
    if (lua_type(k->L, k->idx) == LUA_TBOOLEAN)
        lua_pushinteger(k->L, lua_toboolean(k->L, k->idx));
    else if (lua_type(k->L, k->idx) == LUA_TNUMBER)
        lua_pushvalue(k->L, k->idx);
    else
        return wrong_type(k, as_decimal(k) != NULL ? ": use :tonumber(), which may round" : "");
    bool integer = lua_isinteger(k->L, -1) != 0;
    lua_Integer i = lua_tointeger(k->L, -1);
    double f = lua_tonumber(k->L, -1);
    lua_pop(k->L, 1);
    if (isnan(f) || isinf(f))
        return refuse(k, "%s cannot be stored", isnan(f) ? "nan" : "inf");
    if (integer && (i > (INT64_C(1) << 53) || i < -(INT64_C(1) << 53)))
        return refuse(k, "%lld has more digits than a double holds", (long long)i);
    if (k->c->type == COL_DOUBLE) {
        *k->out = (struct val){ .kind = VAL_F64, .u = { .f64 = f } };
        return true;
    }
    if (fabs(f) > 3.4028234663852886e38)
        return refuse(k, "%.17g is out of range for float", f);
    *k->out = (struct val){ .kind = VAL_F32, .u = { .f32 = (float)f } };
    return true;
}

/* A decimal as a value with exactly these digits. */
static bool store_decimal(const struct conversion *k, const struct dec *d)
{
    int64_t unscaled;
    if (d->scale <= 18 && dec_digits(d) <= 18 && dec_unscaled_i64(d, &unscaled)) {
        *k->out = (struct val){ .kind = VAL_DEC64, .scale = (uint8_t)d->scale, .u = { .i64 = unscaled } };
        return true;
    }
    if (dec_digits(d) > 65 || d->scale > 38)
        return refuse(k, "the decimal has more digits than a column can hold: use :round(n)");
    struct buf *text = &sandbox_of(k->L)->scratch;
    buf_reset(text);
    dec_text(d, text);
    return copy_string(k, VAL_DECIMAL, buf_view(text));
}

static bool to_decimal(const struct conversion *k)
{
    const struct ud_decimal *given = as_decimal(k);
    struct dec d;
    if (given != NULL) {
        if (!dec_round(&given->dec, given->dec.scale, &d)) /* a copy of full size */
            return refuse(k, "damaged decimal");
    } else if (lua_isinteger(k->L, k->idx)) {
        dec_from_i64(lua_tointeger(k->L, k->idx), 0, &d);
    } else {
        return wrong_type(k, lua_type(k->L, k->idx) == LUA_TNUMBER
                                 ? ", for it is not exact: use decimal(string.format(\"%.2f\", x))"
                             : lua_type(k->L, k->idx) == LUA_TSTRING ? ": use decimal(text)"
                                                                     : "");
    }
    struct dec fitted;
    if (!dec_round(&d, k->c->scale, &fitted) || dec_cmp(&d, &fitted) != 0)
        return refuse(k, "the decimal has more than %u digits behind the point: use :round(%u)", k->c->scale,
                      k->c->scale);
    if (k->c->precision != 0 && dec_digits(&fitted) > k->c->precision)
        return refuse(k, "the decimal is out of range for decimal(%u,%u)", k->c->precision, k->c->scale);
    if (fitted.neg && k->c->is_unsigned)
        return refuse(k, "a negative decimal is out of range for decimal unsigned");
    if (k->c->precision > 18 ||
        dec_digits(&fitted) > 18) { /* large columns hold text throughout, as capture writes them */
        struct buf *text = &sandbox_of(k->L)->scratch;
        buf_reset(text);
        dec_text(&fitted, text);
        return copy_string(k, VAL_DECIMAL, buf_view(text));
    }
    return store_decimal(k, &fitted);
}

static bool to_temporal(const struct conversion *k, uint8_t kind)
{
    const struct ud_temporal *t = sandbox_ud(k->L, k->idx, UD_TEMPORAL);
    int64_t v;
    uint8_t scale;
    if (t != NULL && t->kind == kind) {
        v = t->v;
    } else if (lua_type(k->L, k->idx) == LUA_TSTRING) {
        if (!temporal_parse(kind, lua_bytes(k->L, k->idx), &v, &scale))
            return wrong_type(k, kind == VAL_TIME   ? ": it is not of the form HH:MM:SS.ffffff"
                                 : kind == VAL_DATE ? ": it is not of the form YYYY-MM-DD"
                                                    : ": it is not of the form YYYY-MM-DD HH:MM:SS.ffffff");
    } else {
        return wrong_type(k, t == NULL || t->kind == VAL_TIME || kind == VAL_TIME ? ""
                             : kind == VAL_DATE                                   ? ": use :to_date()"
                             : kind == VAL_DATETIME                               ? ": use :to_datetime()"
                                                                                  : ": use :to_instant()");
    }
    if (kind == VAL_TIME && (v > INT64_C(3020399999999) || v < -INT64_C(3020399999999)))
        return refuse(k, "the duration is out of range for time: -838:59:59.999999 to 838:59:59.999999");
    int64_t unit = 1;
    for (unsigned i = k->c->scale; i < 6; i++)
        unit *= 10;
    int64_t usec = kind == VAL_DATETIME || kind == VAL_DATE ? v & 0xffffff : v;
    if (kind != VAL_DATE && usec % unit != 0)
        return refuse(k, "the value has more than the column's %u digits of a second", k->c->scale);
    *k->out = (struct val){ .kind = kind, .scale = k->c->scale, .u = { .i64 = v } };
    return true;
}

static bool to_text(const struct conversion *k)
{
    if (lua_type(k->L, k->idx) != LUA_TSTRING)
        return wrong_type(k, ": use tostring()");
    struct bytes s = lua_bytes(k->L, k->idx);
    if (!utf8_valid(s))
        return refuse(k, "the string is not valid UTF-8 (cut inside a character? use utf8.offset)");
    return copy_string(k, VAL_TEXT, s);
}

static bool to_bytes(const struct conversion *k, uint8_t kind)
{
    if (lua_type(k->L, k->idx) != LUA_TSTRING)
        return wrong_type(k, "");
    struct bytes s = lua_bytes(k->L, k->idx);
    if ((kind == VAL_GEOMETRY && s.n < 9) || (kind == VAL_VECTOR && s.n % 4 != 0))
        return refuse(k, "the string is no %s", kind == VAL_GEOMETRY ? "SRID followed by WKB" : "array of float32");
    return copy_string(k, kind, s);
}

static int label_number(const struct column *c, struct bytes label)
{
    for (uint32_t i = 0; i < c->nlabels; i++)
        if (bytes_eq(c->labels[i], label))
            return (int)i;
    return -1;
}

static bool no_label(const struct conversion *k, struct bytes label)
{
    char near[160];
    struct suggest s = suggest_for(label);
    for (uint32_t i = 0; i < k->c->nlabels; i++)
        suggest_offer(&s, k->c->labels[i]);
    int n = label.n > 60 ? 60 : (int)label.n;
    return refuse(k, "\"%.*s\" is none of its labels%s", n, (const char *)label.p, suggest_text(&s, near, sizeof near));
}

static bool to_enum(const struct conversion *k)
{
    if (lua_type(k->L, k->idx) != LUA_TSTRING)
        return wrong_type(k, ": assign a label");
    struct bytes s = lua_bytes(k->L, k->idx);
    int at = label_number(k->c, s);
    if (at < 0 && s.n != 0)
        return no_label(k, s);
    *k->out = (struct val){ .kind = VAL_ENUM, .u = { .u64 = (uint64_t)(at + 1) } };
    return true;
}

static bool to_set(const struct conversion *k)
{
    if (lua_type(k->L, k->idx) != LUA_TSTRING)
        return wrong_type(k, ": assign labels, separated by commas");
    struct bytes s = lua_bytes(k->L, k->idx);
    uint64_t bits = 0;
    while (s.n != 0) {
        const uint8_t *comma = memchr(s.p, ',', s.n);
        struct bytes label = bytes_of(s.p, comma == NULL ? s.n : (size_t)(comma - s.p));
        int at = label_number(k->c, label);
        if (at < 0 || at > 63)
            return no_label(k, label);
        bits |= UINT64_C(1) << at;
        s = bytes_of(s.p + label.n + (comma != NULL), s.n - label.n - (comma != NULL));
    }
    *k->out = (struct val){ .kind = VAL_SET, .u = { .u64 = bits } };
    return true;
}

static bool to_json(const struct conversion *k)
{
    char why[200];
    struct bytes text;
    if (lua_type(k->L, k->idx) == LUA_TSTRING) {
        text = lua_bytes(k->L, k->idx);
        if (!json_valid(text, why, sizeof why))
            return refuse(k, "the string is not JSON: %s (a JSON string: use json.encode)", why);
    } else if (lua_type(k->L, k->idx) == LUA_TTABLE) {
        if (!lua_json_encode(k->L, k->idx, &text, why, sizeof why))
            return refuse(k, "the table cannot be said in JSON: %s", why);
    } else {
        return wrong_type(k, ": use json.encode()");
    }
    return copy_string(k, VAL_JSON, text);
}

/* A column that the script added: the Lua value says what it is. */
static bool to_untyped(const struct conversion *k)
{
    lua_State *L = k->L;
    const struct ud_decimal *d = as_decimal(k);
    const struct ud_temporal *t = sandbox_ud(L, k->idx, UD_TEMPORAL);
    if (d != NULL) {
        struct dec copy;
        return dec_round(&d->dec, d->dec.scale, &copy) && store_decimal(k, &copy);
    }
    if (t != NULL) {
        *k->out = (struct val){ .kind = t->kind, .scale = t->scale, .u = { .i64 = t->v } };
        return true;
    }
    switch (lua_type(L, k->idx)) {
    case LUA_TBOOLEAN:
        *k->out = (struct val){ .kind = VAL_I64, .u = { .i64 = lua_toboolean(L, k->idx) } };
        return true;
    case LUA_TNUMBER:
        if (lua_isinteger(L, k->idx)) {
            *k->out = (struct val){ .kind = VAL_I64, .u = { .i64 = lua_tointeger(L, k->idx) } };
            return true;
        }
        *k->out = (struct val){ .kind = VAL_F64, .u = { .f64 = lua_tonumber(L, k->idx) } };
        if (isnan(k->out->u.f64) || isinf(k->out->u.f64))
            return refuse(k, "nan and inf cannot be stored");
        return true;
    case LUA_TSTRING: {
        struct bytes s = lua_bytes(L, k->idx);
        return copy_string(k, utf8_valid(s) ? VAL_TEXT : VAL_BYTES, s);
    }
    case LUA_TTABLE: {
        char given[40];
        return refuse(k, "%s is no column value: use json.encode()", what(k, given, sizeof given));
    }
    default: {
        char given[40];
        return refuse(k, "%s is no column value", what(k, given, sizeof given));
    }
    }
}

bool lua_to_val(lua_State *L, int idx, const struct column *c, struct arena *a, struct val *out, char *why, size_t size)
{
    struct conversion k = { L, lua_absindex(L, idx), c, a, out, why, size };
    if (lua_isnoneornil(L, k.idx)) {
        *out = (struct val){ .kind = VAL_NULL };
        return true;
    }
    if (c == NULL)
        return to_untyped(&k);
    switch ((enum col_type)c->type) {
    case COL_INT:
        return to_int(&k);
    case COL_FLOAT:
    case COL_DOUBLE:
        return to_float(&k);
    case COL_DECIMAL:
        return to_decimal(&k);
    case COL_DATE:
        return to_temporal(&k, VAL_DATE);
    case COL_TIME:
        return to_temporal(&k, VAL_TIME);
    case COL_DATETIME:
        return to_temporal(&k, VAL_DATETIME);
    case COL_TIMESTAMP:
        return to_temporal(&k, VAL_INSTANT);
    case COL_YEAR:
        return to_year(&k);
    case COL_CHAR:
    case COL_VARCHAR:
    case COL_TEXT:
        return to_text(&k);
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_BLOB:
        return to_bytes(&k, VAL_BYTES);
    case COL_BIT:
        return to_bit(&k);
    case COL_ENUM:
        return to_enum(&k);
    case COL_SET:
        return to_set(&k);
    case COL_JSON:
        return to_json(&k);
    case COL_GEOMETRY:
        return to_bytes(&k, VAL_GEOMETRY);
    case COL_VECTOR:
        return to_bytes(&k, VAL_VECTOR);
    }
    return refuse(&k, "the column's type is unknown");
}
