/* lua_temporal.c - date, datetime, instant and duration for scripts: exact to the microsecond, UTC where an instant has
 * parts.
 *
 * Zero and partial dates (2024-00-00) can be held, compared and printed; arithmetic refuses them, since no day is
 * meant. */
#include "lua_value.h"

#include <inttypes.h>
#include <stdlib.h>

enum { US = 1000000 };
#define DAY_US (INT64_C(86400) * US)
#define INSTANT_MIN (INT64_C(-62135596800) * US)     /* 0001-01-01 */
#define INSTANT_MAX (INT64_C(253402300800) * US - 1) /* 9999-12-31 23:59:59.999999 */

void lua_push_temporal(lua_State *L, uint8_t kind, int64_t v, uint8_t scale)
{
    struct ud_temporal *t = sandbox_new_ud(L, sizeof *t, UD_TEMPORAL, 0);
    t->kind = kind;
    t->scale = scale;
    t->v = v;
}

static const char *kind_name(uint8_t kind)
{
    return kind == VAL_DATE ? "date" : kind == VAL_TIME ? "duration" : kind == VAL_DATETIME ? "datetime" : "instant";
}

static const struct ud_temporal *check(lua_State *L, int idx)
{
    const struct ud_temporal *t = sandbox_ud(L, idx, UD_TEMPORAL);
    if (t == NULL)
        luaL_typeerror(L, idx, "date, datetime, instant or duration");
    return t;
}

/* --- between microseconds since 1970 and parts --- */

static bool to_us(const struct ud_temporal *t, int64_t *us)
{
    if (t->kind == VAL_INSTANT || t->kind == VAL_TIME) {
        *us = t->v;
        return true;
    }
    struct civil c = civil_unpack(t->v);
    if (!civil_is_real(c))
        return false;
    *us = civil_to_days(c.year, c.mon, c.day) * DAY_US + ((int64_t)c.hour * 3600 + (int64_t)c.min * 60 + c.sec) * US +
          c.usec;
    return true;
}

static struct civil from_us(int64_t us)
{
    int64_t days = us / DAY_US, rest = us % DAY_US;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    int y;
    unsigned m, d;
    civil_from_days(days, &y, &m, &d);
    int64_t sec = rest / US;
    return (struct civil){ .year = (uint16_t)y,
                           .mon = (uint8_t)m,
                           .day = (uint8_t)d,
                           .hour = (uint8_t)(sec / 3600),
                           .min = (uint8_t)(sec / 60 % 60),
                           .sec = (uint8_t)(sec % 60),
                           .usec = (uint32_t)(rest % US) };
}

static struct civil parts(const struct ud_temporal *t)
{
    return t->kind == VAL_INSTANT ? from_us(t->v) : civil_unpack(t->v);
}

/* Pushes the moment us as the kind given; raises outside of the years 1 to 9999. */
static int push_moment(lua_State *L, uint8_t kind, int64_t us, uint8_t scale)
{
    if (us < INSTANT_MIN || us > INSTANT_MAX)
        return luaL_error(L, "%s out of range: years 1 to 9999", kind_name(kind));
    if (kind == VAL_INSTANT)
        lua_push_temporal(L, kind, us, scale);
    else
        lua_push_temporal(L, kind, civil_pack(from_us(us)), scale);
    return 1;
}

/* --- parsing --- */

static bool digits(struct bytes *s, size_t least, size_t most, unsigned *out)
{
    size_t n = 0;
    unsigned v = 0;
    while (n < s->n && n < most && s->p[n] >= '0' && s->p[n] <= '9')
        v = v * 10 + (unsigned)(s->p[n++] - '0');
    if (n < least)
        return false;
    *s = bytes_of(s->p + n, s->n - n);
    *out = v;
    return true;
}

static bool skip(struct bytes *s, char c)
{
    if (s->n == 0 || s->p[0] != (uint8_t)c)
        return false;
    *s = bytes_of(s->p + 1, s->n - 1);
    return true;
}

static bool fraction(struct bytes *s, uint32_t *usec, uint8_t *scale)
{
    *usec = 0;
    *scale = 0;
    if (!skip(s, '.'))
        return true;
    size_t before = s->n;
    unsigned v;
    if (!digits(s, 1, 6, &v))
        return false;
    *scale = (uint8_t)(before - s->n);
    for (unsigned i = *scale; i < 6; i++)
        v *= 10;
    *usec = v;
    return true;
}

static bool clock_part(struct bytes *s, unsigned *min, unsigned *sec, uint32_t *usec, uint8_t *scale)
{
    return skip(s, ':') && digits(s, 2, 2, min) && skip(s, ':') && digits(s, 2, 2, sec) && *min < 60 && *sec < 60 &&
           fraction(s, usec, scale);
}

static bool parse_duration(struct bytes s, int64_t *v, uint8_t *scale)
{
    bool neg = skip(&s, '-');
    unsigned h, m, sec;
    uint32_t us;
    if (!digits(&s, 1, 7, &h) || !clock_part(&s, &m, &sec, &us, scale) || s.n != 0)
        return false;
    int64_t total = ((int64_t)h * 3600 + (int64_t)m * 60 + sec) * US + us;
    *v = neg ? -total : total;
    return true;
}

bool temporal_parse(uint8_t kind, struct bytes s, int64_t *v, uint8_t *scale)
{
    if (kind == VAL_TIME)
        return parse_duration(s, v, scale);
    unsigned y, mon, d, h = 0, m = 0, sec = 0;
    uint32_t us = 0;
    *scale = 0;
    if (!digits(&s, 4, 4, &y) || !skip(&s, '-') || !digits(&s, 2, 2, &mon) || !skip(&s, '-') || !digits(&s, 2, 2, &d) ||
        mon > 12 || d > 31)
        return false;
    if (kind != VAL_DATE) {
        if ((!skip(&s, ' ') && !skip(&s, 'T')) || !digits(&s, 2, 2, &h) || h > 23 ||
            !clock_part(&s, &m, &sec, &us, scale))
            return false;
        if (kind == VAL_INSTANT && s.n == 1)
            skip(&s, 'Z');
    }
    struct civil c = { .year = (uint16_t)y,
                       .mon = (uint8_t)mon,
                       .day = (uint8_t)d,
                       .hour = (uint8_t)h,
                       .min = (uint8_t)m,
                       .sec = (uint8_t)sec,
                       .usec = us };
    if (s.n != 0 || (kind == VAL_INSTANT && !civil_is_real(c)))
        return false;
    if (mon != 0 && d != 0) { /* a day that the calendar does not have is no partial date */
        struct civil day = { .year = (uint16_t)(y == 0 ? 4 : y), .mon = c.mon, .day = c.day };
        if (!civil_is_real(day))
            return false;
    }
    struct ud_temporal t = { .kind = VAL_DATETIME, .v = civil_pack(c) };
    *v = t.v;
    return kind != VAL_INSTANT || to_us(&t, v);
}

/* --- constructors: date "2024-02-29", instant(seconds), duration(seconds) --- */

static int construct(lua_State *L, uint8_t kind, const char *example)
{
    const struct ud_temporal *same = sandbox_ud(L, 1, UD_TEMPORAL);
    if (same != NULL && same->kind == kind) {
        lua_settop(L, 1);
        return 1;
    }
    if (lua_isinteger(L, 1) && (kind == VAL_INSTANT || kind == VAL_TIME)) {
        int64_t us;
        if (__builtin_mul_overflow((int64_t)lua_tointeger(L, 1), (int64_t)US, &us))
            return luaL_error(L, "%s out of range", kind_name(kind));
        if (kind == VAL_INSTANT)
            return push_moment(L, kind, us, 0);
        lua_push_temporal(L, kind, us, 0);
        return 1;
    }
    int64_t v;
    uint8_t scale;
    if (lua_type(L, 1) != LUA_TSTRING || !temporal_parse(kind, lua_bytes(L, 1), &v, &scale))
        return luaL_error(L, "%s wants \"%s\"%s, not %s", kind_name(kind), example,
                          kind == VAL_INSTANT || kind == VAL_TIME ? " or whole seconds" : "",
                          lua_type(L, 1) == LUA_TSTRING ? "that text" : luaL_typename(L, 1));
    lua_push_temporal(L, kind, v, scale);
    return 1;
}

static int new_date(lua_State *L)
{
    return construct(L, VAL_DATE, "2024-02-29");
}

static int new_datetime(lua_State *L)
{
    return construct(L, VAL_DATETIME, "2024-02-29 10:11:12.5");
}

static int new_instant(lua_State *L)
{
    return construct(L, VAL_INSTANT, "2024-02-29T10:11:12.5Z");
}

static int new_duration(lua_State *L)
{
    return construct(L, VAL_TIME, "10:11:12.5");
}

/* --- methods --- */

static int to_date(lua_State *L)
{
    const struct ud_temporal *t = check(L, 1);
    if (t->kind == VAL_TIME)
        return luaL_error(L, "a duration has no date");
    struct civil c = parts(t);
    lua_push_temporal(L, VAL_DATE, civil_pack((struct civil){ .year = c.year, .mon = c.mon, .day = c.day }), 0);
    return 1;
}

static int to_datetime(lua_State *L)
{
    const struct ud_temporal *t = check(L, 1);
    if (t->kind == VAL_TIME)
        return luaL_error(L, "a duration has no date");
    lua_push_temporal(L, VAL_DATETIME, civil_pack(parts(t)), t->scale);
    return 1;
}

static int to_instant(lua_State *L)
{
    const struct ud_temporal *t = check(L, 1);
    int64_t us;
    if (t->kind == VAL_TIME)
        return luaL_error(L, "a duration has no date");
    if (!to_us(t, &us))
        return luaL_error(L, "a zero or partial date is no instant");
    return push_moment(L, VAL_INSTANT, us, t->scale);
}

static int to_time(lua_State *L)
{
    const struct ud_temporal *t = check(L, 1);
    struct civil c = parts(t);
    if (t->kind == VAL_TIME)
        lua_push_temporal(L, VAL_TIME, t->v, t->scale);
    else
        lua_push_temporal(L, VAL_TIME, ((int64_t)c.hour * 3600 + (int64_t)c.min * 60 + c.sec) * US + c.usec, t->scale);
    return 1;
}

static int add_days(lua_State *L)
{
    const struct ud_temporal *t = check(L, 1);
    int64_t us, n = luaL_checkinteger(L, 2);
    if (t->kind == VAL_TIME)
        return luaL_error(L, "a duration has no date");
    if (!to_us(t, &us))
        return luaL_error(L, "a zero or partial date has no days to count from");
    if (n < -4000000 || n > 4000000)
        return luaL_error(L, "add_days: out of range");
    return push_moment(L, t->kind, us + n * DAY_US, t->scale);
}

static int index_field(lua_State *L)
{
    static const char *const names[] = { "year", "month", "day",      "hour", "min",     "sec",   "usec",
                                         "kind", "epoch", "epoch_us", "us",   "is_zero", "hours", NULL };
    const struct ud_temporal *t = check(L, 1);
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "%s has no field of type %s", kind_name(t->kind), luaL_typename(L, 2));
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) /* a method */
        return 1;
    const char *name = lua_tostring(L, 2);
    struct civil c = parts(t);
    int64_t us = 0, second = 0;
    bool known = true, real = to_us(t, &us);
    if (t->kind == VAL_TIME) {
        uint64_t size = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
        second = (int64_t)(size / US);
        c = (struct civil){ .min = (uint8_t)(second / 60 % 60),
                            .sec = (uint8_t)(second % 60),
                            .usec = (uint32_t)(size % US) };
    }
    int at = 0;
    while (names[at] != NULL && strcmp(names[at], name) != 0)
        at++;
    bool has_day = t->kind != VAL_TIME, has_clock = t->kind != VAL_DATE;
    switch (at) {
    case 0:
    case 1:
    case 2:
        known = has_day;
        lua_pushinteger(L, at == 0 ? c.year : at == 1 ? c.mon : c.day);
        break;
    case 3:
        known = has_day && has_clock;
        lua_pushinteger(L, c.hour);
        break;
    case 4:
    case 5:
    case 6:
        known = has_clock;
        lua_pushinteger(L, at == 4 ? c.min : at == 5 ? c.sec : (lua_Integer)c.usec);
        break;
    case 7:
        lua_pushstring(L, kind_name(t->kind));
        break;
    case 8:
    case 9:
        known = t->kind == VAL_INSTANT;
        lua_pushinteger(L, at == 9 ? us : us / US - (us % US < 0));
        break;
    case 10:
        known = t->kind == VAL_TIME;
        lua_pushinteger(L, us);
        break;
    case 11:
        lua_pushboolean(L, has_day && (!real || (t->kind == VAL_INSTANT && t->v == 0)));
        break;
    case 12:
        known = t->kind == VAL_TIME;
        lua_pushinteger(L, second / 3600);
        break;
    default:
        known = false;
    }
    if (!known) {
        char near[160];
        return luaL_error(L, "%s has no field \"%s\"%s", kind_name(t->kind), name,
                          sandbox_suggest(L, lua_upvalueindex(1), lua_bytes(L, 2), near, sizeof near));
    }
    return 1;
}

static int to_text(lua_State *L)
{
    const struct ud_temporal *t = check(L, 1);
    struct buf *out = &sandbox_of(L)->scratch;
    buf_reset(out);
    val_text(&(struct val){ .kind = t->kind, .scale = t->scale, .u = { .i64 = t->v } }, out);
    lua_pushlstring(L, buf_cstr(out), out->n);
    return 1;
}

/* --- operators --- */

static int compare(lua_State *L, const char *how)
{
    const struct ud_temporal *a = sandbox_ud(L, 1, UD_TEMPORAL), *b = sandbox_ud(L, 2, UD_TEMPORAL);
    if (a == NULL || b == NULL)
        return luaL_error(L, "attempt to compare %s with %s", a == NULL ? luaL_typename(L, 1) : kind_name(a->kind),
                          b == NULL ? luaL_typename(L, 2) : kind_name(b->kind));
    if (a->kind != b->kind)
        return luaL_error(L, "attempt to compare %s with %s: convert one (to_date, to_datetime, to_instant)",
                          kind_name(a->kind), kind_name(b->kind));
    lua_pushboolean(L, how[0] == '<' ? (how[1] == '=' ? a->v <= b->v : a->v < b->v) : a->v == b->v);
    return 1;
}

static int op_lt(lua_State *L)
{
    return compare(L, "<");
}

static int op_le(lua_State *L)
{
    return compare(L, "<=");
}

static int op_eq(lua_State *L)
{
    const struct ud_temporal *a = sandbox_ud(L, 1, UD_TEMPORAL), *b = sandbox_ud(L, 2, UD_TEMPORAL);
    lua_pushboolean(L, a != NULL && b != NULL && a->kind == b->kind && a->v == b->v);
    return 1;
}

static int no_operator(lua_State *L, const char *op)
{
    const struct ud_temporal *a = sandbox_ud(L, 1, UD_TEMPORAL), *b = sandbox_ud(L, 2, UD_TEMPORAL);
    return luaL_error(L, "%s %s %s is not defined", a == NULL ? luaL_typename(L, 1) : kind_name(a->kind), op,
                      b == NULL ? luaL_typename(L, 2) : kind_name(b->kind));
}

static int shift(lua_State *L, const struct ud_temporal *t, int64_t by, uint8_t scale)
{
    int64_t us;
    if (!to_us(t, &us))
        return luaL_error(L, "a zero or partial date cannot be calculated with");
    if (__builtin_add_overflow(us, by, &us))
        return luaL_error(L, "%s out of range", kind_name(t->kind));
    if (t->kind == VAL_DATE && by % DAY_US != 0)
        return luaL_error(L, "date + duration wants whole days: use to_datetime() first");
    if (scale < t->scale)
        scale = t->scale;
    if (t->kind != VAL_TIME)
        return push_moment(L, t->kind, us, t->kind == VAL_DATE ? 0 : scale);
    lua_push_temporal(L, VAL_TIME, us, scale);
    return 1;
}

static int op_add(lua_State *L)
{
    const struct ud_temporal *a = sandbox_ud(L, 1, UD_TEMPORAL), *b = sandbox_ud(L, 2, UD_TEMPORAL);
    if (a != NULL && b != NULL && b->kind == VAL_TIME)
        return shift(L, a, b->v, b->scale);
    if (a != NULL && b != NULL && a->kind == VAL_TIME)
        return shift(L, b, a->v, a->scale);
    return no_operator(L, "+");
}

static int op_sub(lua_State *L)
{
    const struct ud_temporal *a = sandbox_ud(L, 1, UD_TEMPORAL), *b = sandbox_ud(L, 2, UD_TEMPORAL);
    int64_t x, y;
    if (a == NULL || b == NULL)
        return no_operator(L, "-");
    if (b->kind == VAL_TIME)
        return b->v == INT64_MIN ? luaL_error(L, "duration out of range") : shift(L, a, -b->v, b->scale);
    if (a->kind != b->kind)
        return no_operator(L, "-");
    if (!to_us(a, &x) || !to_us(b, &y))
        return luaL_error(L, "a zero or partial date cannot be calculated with");
    lua_push_temporal(L, VAL_TIME, x - y, a->scale > b->scale ? a->scale : b->scale);
    return 1;
}

static int op_mul(lua_State *L)
{
    int d = sandbox_ud(L, 1, UD_TEMPORAL) != NULL ? 1 : 2;
    const struct ud_temporal *t = sandbox_ud(L, d, UD_TEMPORAL);
    int64_t v;
    if (t == NULL || t->kind != VAL_TIME || !lua_isinteger(L, 3 - d))
        return no_operator(L, "*");
    if (__builtin_mul_overflow(t->v, (int64_t)lua_tointeger(L, 3 - d), &v))
        return luaL_error(L, "duration out of range");
    lua_push_temporal(L, VAL_TIME, v, t->scale);
    return 1;
}

static int op_unm(lua_State *L)
{
    const struct ud_temporal *t = check(L, 1);
    if (t->kind != VAL_TIME || t->v == INT64_MIN)
        return luaL_error(L, "attempt to negate: %s", kind_name(t->kind));
    lua_push_temporal(L, VAL_TIME, -t->v, t->scale);
    return 1;
}

void lua_temporal_open(lua_State *L)
{
    static const luaL_Reg meta[] = { { "__tostring", to_text }, { "__lt", op_lt },   { "__le", op_le },
                                     { "__eq", op_eq },         { "__add", op_add }, { "__sub", op_sub },
                                     { "__mul", op_mul },       { "__unm", op_unm }, { NULL, NULL } };
    static const luaL_Reg methods[] = { { "to_date", to_date },       { "to_datetime", to_datetime },
                                        { "to_instant", to_instant }, { "to_duration", to_time },
                                        { "add_days", add_days },     { NULL, NULL } };
    luaL_newlib(L, meta);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, index_field, 1);
    lua_setfield(L, -2, "__index");
    sandbox_set_metatable(L, UD_TEMPORAL, "temporal");
    lua_register(L, "date", new_date);
    lua_register(L, "datetime", new_datetime);
    lua_register(L, "instant", new_instant);
    lua_register(L, "duration", new_duration);
}
