/* lua_pattern.c - Lua's patterns with a step budget: string.find, match, gmatch, gsub.
 *
 * Why not the library's own: its matcher backtracks inside one C call, where no hook runs, so that ("a*"):rep(20).."b"
 * over a long value would hang the subscription for good (I6). This one compiles a pattern once into items, charges
 * every character it looks at, and stops. Language and results: Lua 5.4 reference manual, 6.4.1; tests compare with the
 * library itself. Two differences: a malformed pattern fails when it is compiled, not when matching happens to get
 * there; and a gmatch over the empty rest behaves the same, but its state cannot be copied. */
#include "lua_sandbox.h"

#include <ctype.h>

enum {
    CAPTURES = 32,
    QUANTIFIERS = 200, /* each is one level of C recursion */
    PATTERN_BYTES = 1 << 16,
    CACHED = 300,
    CHARS_PER_STEP = 4 /* one character test costs about a quarter of a VM instruction */
};
enum item_kind { IT_CHAR, IT_ANY, IT_SET, IT_OPEN, IT_CLOSE, IT_POSITION, IT_BACKREF, IT_BALANCE, IT_FRONTIER, IT_END };
struct item {
    uint8_t kind;
    uint8_t rep;  /* 0 or one of * + - ? */
    uint8_t a, b; /* character; capture number; delimiters of a balance */
    uint32_t set;
};
struct set {
    uint32_t bits[8];
};
struct pattern {
    uint32_t tag;
    bool anchored;
    uint32_t nitems, ncaptures, nsets;
    struct set *sets; /* behind the items, in the same block */
    struct item items[];
};

static bool in_set(const struct set *s, uint8_t c)
{
    return (s->bits[c >> 5] >> (c & 31) & 1) != 0;
}

static void set_add(struct set *s, unsigned c)
{
    s->bits[c >> 5] |= UINT32_C(1) << (c & 31);
}

/* --- compiling --- */

static bool is_class(uint8_t letter, int c, bool *member)
{
    switch (letter | 0x20) {
    case 'a':
        *member = isalpha(c) != 0;
        break;
    case 'c':
        *member = iscntrl(c) != 0;
        break;
    case 'd':
        *member = isdigit(c) != 0;
        break;
    case 'g':
        *member = isgraph(c) != 0;
        break;
    case 'l':
        *member = islower(c) != 0;
        break;
    case 'p':
        *member = ispunct(c) != 0;
        break;
    case 's':
        *member = isspace(c) != 0;
        break;
    case 'u':
        *member = isupper(c) != 0;
        break;
    case 'w':
        *member = isalnum(c) != 0;
        break;
    case 'x':
        *member = isxdigit(c) != 0;
        break;
    case 'z': /* deprecated, but the library still knows it */
        *member = c == 0;
        break;
    default:
        return false;
    }
    return true;
}

/* Adds what %letter stands for; false: it is no class, just that character. */
static bool set_add_class(struct set *s, uint8_t letter)
{
    bool member = false;
    if (!isalpha(letter) || !is_class(letter, 0, &member))
        return false;
    bool negated = isupper(letter) != 0;
    for (unsigned c = 0; c < 256; c++)
        if (is_class(letter, (int)c, &member) && member != negated)
            set_add(s, c);
    return true;
}

/* p is behind '['. Returns what follows the ']'. */
static const uint8_t *compile_set(lua_State *L, const uint8_t *p, const uint8_t *end, struct set *out)
{
    *out = (struct set){ { 0 } };
    bool negated = p < end && *p == '^';
    if (negated)
        p++;
    const uint8_t *first = p, *close = p; /* a ']' in first place is a member */
    while (close < end && (*close != ']' || close == first))
        close += *close == '%' && close + 1 < end ? 2 : 1;
    if (close >= end)
        luaL_error(L, "malformed pattern (missing ']')");
    while (p < close) {
        if (*p == '%') {
            p++;
            if (!set_add_class(out, *p))
                set_add(out, *p);
            p++;
        } else if (close - p > 2 && p[1] == '-') {
            for (unsigned c = p[0]; c <= p[2]; c++)
                set_add(out, c);
            p += 3;
        } else {
            set_add(out, *p++);
        }
    }
    if (negated)
        for (unsigned i = 0; i < 8; i++)
            out->bits[i] = ~out->bits[i];
    return close + 1;
}

struct compiler {
    lua_State *L;
    struct pattern *to;
    uint8_t open[CAPTURES];
    unsigned nopen, quantifiers;
    bool closed[CAPTURES];
};

static const uint8_t *compile_escape(struct compiler *k, const uint8_t *p, const uint8_t *end, struct item *it,
                                     bool *may_repeat)
{
    struct pattern *to = k->to;
    if (p == end)
        luaL_error(k->L, "malformed pattern (ends with '%%')");
    uint8_t c = *p++;
    if (c >= '0' && c <= '9') {
        unsigned n = (unsigned)(c - '1');
        if (c == '0' || n >= to->ncaptures || !k->closed[n])
            luaL_error(k->L, "invalid capture index %%%c", c);
        *it = (struct item){ .kind = IT_BACKREF, .a = (uint8_t)n };
        *may_repeat = false;
    } else if (c == 'b') {
        if (end - p < 2)
            luaL_error(k->L, "malformed pattern (missing arguments to '%%b')");
        *it = (struct item){ .kind = IT_BALANCE, .a = p[0], .b = p[1] };
        *may_repeat = false;
        p += 2;
    } else if (c == 'f') {
        if (p == end || *p != '[')
            luaL_error(k->L, "missing '[' after '%%f' in pattern");
        *it = (struct item){ .kind = IT_FRONTIER, .set = to->nsets };
        p = compile_set(k->L, p + 1, end, &to->sets[to->nsets++]);
        *may_repeat = false;
    } else {
        struct set s = { { 0 } };
        if (set_add_class(&s, c)) {
            *it = (struct item){ .kind = IT_SET, .set = to->nsets };
            to->sets[to->nsets++] = s;
        } else {
            *it = (struct item){ .kind = IT_CHAR, .a = c };
        }
    }
    return p;
}

static const uint8_t *compile_paren(struct compiler *k, const uint8_t *p, const uint8_t *end, struct item *it)
{
    struct pattern *to = k->to;
    if (to->ncaptures == CAPTURES)
        luaL_error(k->L, "too many captures");
    uint8_t n = (uint8_t)to->ncaptures++;
    if (p < end && *p == ')') {
        *it = (struct item){ .kind = IT_POSITION, .a = n };
        k->closed[n] = true;
        return p + 1;
    }
    *it = (struct item){ .kind = IT_OPEN, .a = n };
    k->open[k->nopen++] = n;
    return p;
}

static void compile_items(struct compiler *k, const uint8_t *p, const uint8_t *end)
{
    struct pattern *to = k->to;
    while (p < end) {
        struct item *it = &to->items[to->nitems++];
        bool may_repeat = true;
        uint8_t c = *p++;
        if (c == '(') {
            p = compile_paren(k, p, end, it);
            may_repeat = false;
        } else if (c == ')') {
            if (k->nopen == 0)
                luaL_error(k->L, "invalid pattern capture");
            uint8_t n = k->open[--k->nopen];
            k->closed[n] = true;
            *it = (struct item){ .kind = IT_CLOSE, .a = n };
            may_repeat = false;
        } else if (c == '$' && p == end) {
            *it = (struct item){ .kind = IT_END };
            may_repeat = false;
        } else if (c == '%') {
            p = compile_escape(k, p, end, it, &may_repeat);
        } else if (c == '[') {
            *it = (struct item){ .kind = IT_SET, .set = to->nsets };
            p = compile_set(k->L, p, end, &to->sets[to->nsets++]);
        } else {
            *it = (struct item){ .kind = c == '.' ? IT_ANY : IT_CHAR, .a = c };
        }
        if (may_repeat && p < end && (*p == '*' || *p == '+' || *p == '-' || *p == '?')) {
            it->rep = *p++;
            if (++k->quantifiers > QUANTIFIERS)
                luaL_error(k->L, "pattern too complex");
        }
    }
    if (k->nopen != 0)
        luaL_error(k->L, "unfinished capture");
}

/* Replaces the pattern string at idx by its compiled form, which then lives as long as the caller's stack slot. */
static struct pattern *compile(lua_State *L, int idx, bool caret_is_anchor)
{
    struct sandbox *s = sandbox_of(L);
    struct bytes text = lua_bytes(L, idx);
    bool cached = caret_is_anchor || text.n == 0 || text.p[0] != '^';
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->patterns);
    if (cached) {
        lua_pushvalue(L, idx);
        lua_rawget(L, -2);
        struct pattern *known = sandbox_ud(L, -1, UD_PATTERN);
        if (known != NULL) {
            lua_replace(L, idx);
            lua_pop(L, 1);
            return known;
        }
        lua_pop(L, 1);
    }
    if (text.n > PATTERN_BYTES)
        luaL_error(L, "pattern too long");
    sandbox_charge(L, text.n + 1);
    size_t nsets = 0;
    for (size_t i = 0; i < text.n; i++)
        nsets += text.p[i] == '[' || text.p[i] == '%';
    size_t items = sizeof(struct pattern) + text.n * sizeof(struct item);
    struct pattern *to = sandbox_new_ud(L, items + nsets * sizeof(struct set), UD_PATTERN, 0);
    to->anchored = caret_is_anchor && text.n > 0 && text.p[0] == '^';
    to->nitems = to->ncaptures = to->nsets = 0;
    to->sets = (struct set *)((char *)to + items);
    struct compiler k = { .L = L, .to = to };
    compile_items(&k, text.p + (to->anchored ? 1 : 0), text.p + text.n);
    if (cached) {
        if (++s->npatterns > CACHED) { /* made-up patterns: start over rather than grow */
            lua_newtable(L);
            lua_rawseti(L, LUA_REGISTRYINDEX, s->patterns);
            s->npatterns = 0;
        } else {
            lua_pushvalue(L, idx);
            lua_pushvalue(L, -2);
            lua_rawset(L, -4);
        }
    }
    lua_replace(L, idx);
    lua_pop(L, 1);
    return to;
}

/* --- matching --- */

struct capture {
    const uint8_t *start, *end; /* end NULL: a position */
};
struct matcher {
    const struct pattern *p;
    const uint8_t *start, *end;
    uint64_t left; /* characters that may still be looked at */
    bool stopped;
    struct capture cap[CAPTURES];
};

static bool one(const struct matcher *m, const struct item *it, const uint8_t *s)
{
    if (s >= m->end)
        return false;
    switch ((enum item_kind)it->kind) {
    case IT_CHAR:
        return *s == it->a;
    case IT_ANY:
        return true;
    case IT_SET:
        return in_set(&m->p->sets[it->set], *s);
    case IT_OPEN:
    case IT_CLOSE:
    case IT_POSITION:
    case IT_BACKREF:
    case IT_BALANCE:
    case IT_FRONTIER:
    case IT_END:
        break;
    }
    return false;
}

static bool spend(struct matcher *m, size_t n)
{
    if (m->left < n) {
        m->left = 0;
        m->stopped = true;
        return false;
    }
    m->left -= n;
    return true;
}

static const uint8_t *balance(struct matcher *m, const struct item *it, const uint8_t *s)
{
    if (s >= m->end || *s != it->a)
        return NULL;
    size_t depth = 1;
    for (const uint8_t *q = s + 1; q < m->end; q++) {
        if (!spend(m, 1))
            return NULL;
        if (*q == it->b) {
            if (--depth == 0)
                return q + 1;
        } else if (*q == it->a) {
            depth++;
        }
    }
    return NULL;
}

static const uint8_t *backref(struct matcher *m, const struct item *it, const uint8_t *s)
{
    const struct capture *c = &m->cap[it->a];
    size_t n = c->end == NULL ? 0 : (size_t)(c->end - c->start);
    if ((size_t)(m->end - s) < n || !spend(m, n) || (n != 0 && memcmp(c->start, s, n) != 0))
        return NULL;
    return s + n;
}

static bool frontier(const struct matcher *m, const struct item *it, const uint8_t *s)
{
    const struct set *set = &m->p->sets[it->set];
    uint8_t before = s == m->start ? 0 : s[-1], here = s == m->end ? 0 : *s;
    return !in_set(set, before) && in_set(set, here);
}

static const uint8_t *match_from(struct matcher *m, uint32_t k, const uint8_t *s);

static const uint8_t *repeat(struct matcher *m, uint32_t k, const uint8_t *s)
{
    const struct item *it = &m->p->items[k];
    if (it->rep == '-') {
        for (;;) {
            const uint8_t *end = match_from(m, k + 1, s);
            if (end != NULL || m->stopped || !one(m, it, s))
                return end;
            s++;
        }
    }
    size_t most = it->rep == '?' ? 1 : (size_t)(m->end - s), least = it->rep == '+' ? 1 : 0, n = 0;
    while (n < most && one(m, it, s + n))
        n++;
    if (!spend(m, n))
        return NULL;
    for (;; n--) {
        if (n < least)
            return NULL;
        const uint8_t *end = match_from(m, k + 1, s + n);
        if (end != NULL || m->stopped || n == 0)
            return end;
    }
}

/* Matches items k.. at s; the end of the match or NULL. Captures need no undoing: items form one line, so a later
 * attempt runs through, and sets again, every capture behind the item that it retries. */
static const uint8_t *match_from(struct matcher *m, uint32_t k, const uint8_t *s)
{
    for (; k < m->p->nitems; k++) {
        const struct item *it = &m->p->items[k];
        if (!spend(m, 1))
            return NULL;
        if (it->rep != 0)
            return repeat(m, k, s);
        switch ((enum item_kind)it->kind) {
        case IT_CHAR:
        case IT_ANY:
        case IT_SET:
            if (!one(m, it, s))
                return NULL;
            s++;
            break;
        case IT_OPEN:
            m->cap[it->a].start = s;
            break;
        case IT_CLOSE:
            m->cap[it->a].end = s;
            break;
        case IT_POSITION:
            m->cap[it->a] = (struct capture){ s, NULL };
            break;
        case IT_BACKREF:
            if ((s = backref(m, it, s)) == NULL)
                return NULL;
            break;
        case IT_BALANCE:
            if ((s = balance(m, it, s)) == NULL)
                return NULL;
            break;
        case IT_FRONTIER:
            if (!frontier(m, it, s))
                return NULL;
            break;
        case IT_END:
            if (s != m->end)
                return NULL;
            break;
        }
    }
    return s;
}

/* match_from with a budget of what is left of the call's steps; raises when that runs out. */
static const uint8_t *attempt(lua_State *L, struct matcher *m, const uint8_t *s)
{
    struct sandbox *sb = sandbox_of(L);
    uint64_t steps = sb->steps < sb->o.step_limit ? sb->o.step_limit - sb->steps : 0;
    uint64_t budget = (steps > UINT64_MAX / CHARS_PER_STEP ? UINT64_MAX / CHARS_PER_STEP : steps) * CHARS_PER_STEP + 1;
    m->left = budget;
    const uint8_t *end = match_from(m, 0, s);
    sandbox_charge(L, m->stopped ? steps + 1 : (budget - m->left) / CHARS_PER_STEP);
    return end;
}

/* The first match at or behind *at (moved to its start). */
static const uint8_t *search(lua_State *L, struct matcher *m, const uint8_t **at)
{
    const struct item *first = m->p->items;
    bool skip = m->p->nitems > 0 && first->kind == IT_CHAR && (first->rep == 0 || first->rep == '+');
    for (const uint8_t *s = *at;; s++) {
        if (skip && !m->p->anchored) { /* only where the first character stands */
            const uint8_t *next = s < m->end ? memchr(s, first->a, (size_t)(m->end - s)) : NULL;
            sandbox_charge(L, (size_t)((next == NULL ? m->end : next) - s) / 32);
            if (next == NULL)
                return NULL;
            s = next;
        }
        const uint8_t *end = attempt(L, m, s);
        if (end != NULL) {
            *at = s;
            return end;
        }
        if (s >= m->end || m->p->anchored)
            return NULL;
    }
}

static void push_capture(lua_State *L, const struct matcher *m, uint32_t i, const uint8_t *s, const uint8_t *end)
{
    if (i >= m->p->ncaptures) {
        if (i != 0)
            luaL_error(L, "invalid capture index %%%d", (int)i + 1);
        lua_pushlstring(L, (const char *)s, (size_t)(end - s));
    } else if (m->cap[i].end == NULL) {
        lua_pushinteger(L, (lua_Integer)(m->cap[i].start - m->start) + 1);
    } else {
        lua_pushlstring(L, (const char *)m->cap[i].start, (size_t)(m->cap[i].end - m->cap[i].start));
    }
}

/* All captures; the whole match when there are none and s is given. */
static int push_captures(lua_State *L, const struct matcher *m, const uint8_t *s, const uint8_t *end)
{
    uint32_t n = m->p->ncaptures == 0 && s != NULL ? 1 : m->p->ncaptures;
    luaL_checkstack(L, (int)n, "too many captures");
    for (uint32_t i = 0; i < n; i++)
        push_capture(L, m, i, s, end);
    return (int)n;
}

/* An init argument as an offset; beyond the end: n + 1. */
static size_t start_offset(lua_State *L, int idx, size_t n)
{
    lua_Integer init = luaL_optinteger(L, idx, 1);
    if (init > 0)
        return (lua_Unsigned)init - 1 > n ? n + 1 : (size_t)init - 1;
    if (init == 0 || init < -(lua_Integer)n)
        return 0;
    return n - (size_t)(-init);
}

/* A string argument (numbers are converted in place, as the library does). */
static struct bytes check_string(lua_State *L, int idx)
{
    luaL_checkstring(L, idx);
    return lua_bytes(L, idx);
}

static int find_plain(lua_State *L, struct bytes subject, struct bytes what, size_t from)
{
    sandbox_charge(L, (subject.n - from) / 32);
    const uint8_t *at = what.n == 0 ? subject.p + from : memmem(subject.p + from, subject.n - from, what.p, what.n);
    if (at == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)(at - subject.p) + 1);
    lua_pushinteger(L, (lua_Integer)(at - subject.p) + (lua_Integer)what.n);
    return 2;
}

static bool no_specials(struct bytes p)
{
    for (size_t i = 0; i < p.n; i++)
        if (p.p[i] != '\0' && strchr("^$*+?.([%-", p.p[i]) != NULL)
            return false;
    return true;
}

static int find_or_match(lua_State *L, bool find)
{
    struct bytes subject = check_string(L, 1), text = check_string(L, 2);
    size_t from = start_offset(L, 3, subject.n);
    if (from > subject.n) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || no_specials(text)))
        return find_plain(L, subject, text, from);
    struct matcher m = { .p = compile(L, 2, true), .start = subject.p, .end = subject.p + subject.n };
    const uint8_t *at = subject.p + from, *end = search(L, &m, &at);
    if (end == NULL) {
        lua_pushnil(L);
        return 1;
    }
    if (!find)
        return push_captures(L, &m, at, end);
    lua_pushinteger(L, (lua_Integer)(at - subject.p) + 1);
    lua_pushinteger(L, (lua_Integer)(end - subject.p));
    return push_captures(L, &m, NULL, NULL) + 2;
}

static int string_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int string_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: subject, compiled pattern, where to go on, end of the last match (-1 none). */
static int gmatch_next(lua_State *L)
{
    struct bytes subject = lua_bytes(L, lua_upvalueindex(1));
    struct matcher m = { .p = lua_touserdata(L, lua_upvalueindex(2)),
                         .start = subject.p,
                         .end = subject.p + subject.n };
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
    for (; from <= (lua_Integer)subject.n; from++) {
        const uint8_t *at = subject.p + from, *end = search(L, &m, &at);
        if (end == NULL)
            break;
        from = at - subject.p;
        if (end - subject.p == last) /* empty, right behind the last one */
            continue;
        lua_pushinteger(L, end - subject.p);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(L, &m, at, end);
    }
    return 0;
}

static int string_gmatch(lua_State *L)
{
    struct bytes subject = check_string(L, 1);
    check_string(L, 2);
    size_t from = start_offset(L, 3, subject.n);
    lua_settop(L, 2);
    compile(L, 2, false);
    lua_pushinteger(L, (lua_Integer)from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

static void add_template(lua_State *L, luaL_Buffer *b, const struct matcher *m, struct bytes to, const uint8_t *s,
                         const uint8_t *end)
{
    for (size_t i = 0; i < to.n; i++) {
        if (to.p[i] != '%') {
            luaL_addchar(b, (char)to.p[i]);
            continue;
        }
        uint8_t c = ++i < to.n ? to.p[i] : 0;
        if (c == '%') {
            luaL_addchar(b, '%');
        } else if (c == '0') {
            luaL_addlstring(b, (const char *)s, (size_t)(end - s));
        } else if (c >= '1' && c <= '9') {
            push_capture(L, m, (uint32_t)(c - '1'), s, end);
            luaL_tolstring(L, -1, NULL); /* a position is a number */
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Appends what stands for one match; false when the match stays as it is. */
static bool add_replacement(lua_State *L, luaL_Buffer *b, const struct matcher *m, const uint8_t *s, const uint8_t *end)
{
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, m, s, end), 1);
        break;
    case LUA_TTABLE:
        push_capture(L, m, 0, s, end);
        lua_gettable(L, 3);
        break;
    default:
        add_template(L, b, m, lua_bytes(L, 3), s, end);
        return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, (const char *)s, (size_t)(end - s));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

static int string_gsub(lua_State *L)
{
    struct bytes subject = check_string(L, 1);
    check_string(L, 2);
    int kind = lua_type(L, 3);
    luaL_argexpected(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE, 3,
                     "string/function/table");
    if (kind == LUA_TNUMBER)
        lua_tolstring(L, 3, NULL);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)subject.n + 1), n = 0;
    struct matcher m = { .p = compile(L, 2, true), .start = subject.p, .end = subject.p + subject.n };
    const uint8_t *s = subject.p, *last = NULL;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (n < most) {
        const uint8_t *end = attempt(L, &m, s);
        if (end != NULL && end != last) {
            n++;
            add_replacement(L, &b, &m, s, end);
            s = last = end;
        } else if (s < m.end) {
            luaL_addchar(&b, (char)*s++);
        } else {
            break;
        }
        if (m.p->anchored)
            break;
    }
    luaL_addlstring(&b, (const char *)s, (size_t)(m.end - s));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}

void lua_pattern_open(lua_State *L)
{
    static const luaL_Reg functions[] = { { "find", string_find },
                                          { "match", string_match },
                                          { "gmatch", string_gmatch },
                                          { "gsub", string_gsub },
                                          { NULL, NULL } };
    luaL_setfuncs(L, functions, 0);
}
