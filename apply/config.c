/* config.c - a --config file: Lua in an empty sandbox, which knows slot, http, env and subscription, and nothing else.
 *
 * Nothing is printed or opened here. Every mistake is an error with file:line. */
#include "file.h"
#include "lua_sandbox.h"
#include "opts.h"
#include "subscription.h"
#include "suggest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONFIG_BYTES_MAX = 1 << 20, SUBSCRIPTIONS_MAX = 1000, CONFIG_MEMORY = 8 << 20, CONFIG_STEPS = 1000000 };

struct reading {
    const char *name, *dir;
    struct config *out;
    size_t cap;
    struct err err; /* from functions that do not raise */
};

static struct reading *reading_of(lua_State *L)
{
    return sandbox_of(L)->o.host;
}

/* --- values of keys --- */

enum key_type { KEY_STRING, KEY_BOOL, KEY_COUNT, KEY_SIZE, KEY_CHOICE, KEY_TABLE };
struct key {
    const char *name;
    enum key_type type;
    size_t off;
    const char *const *choices; /* in the order of the enum */
    const struct key *inner;    /* KEY_TABLE */
};
static const char *const on_error_names[] = { "stop", "skip", "dead_letter", NULL };
static const char *const zero_date_names[] = { "null", "error", NULL };
static const char *const nul_names[] = { "error", "strip", "replace", NULL };
#define AT(field) offsetof(struct subscription, field)
static const struct key batch_keys[] = { { "rows", KEY_COUNT, AT(batch_rows), NULL, NULL },
                                         { "bytes", KEY_SIZE, AT(batch_bytes), NULL, NULL },
                                         { NULL, KEY_STRING, 0, NULL, NULL } };
static const struct key script_keys[] = { { "memory", KEY_SIZE, AT(script_memory), NULL, NULL },
                                          { "steps", KEY_COUNT, AT(script_steps), NULL, NULL },
                                          { NULL, KEY_STRING, 0, NULL, NULL } };
static const struct key keys[] = { { "to", KEY_STRING, AT(to), NULL, NULL },
                                   { "slot", KEY_STRING, AT(slot), NULL, NULL },
                                   { "transform", KEY_STRING, AT(script), NULL, NULL },
                                   { "create", KEY_BOOL, AT(create), NULL, NULL },
                                   { "evolve", KEY_BOOL, AT(evolve), NULL, NULL },
                                   { "on_error", KEY_CHOICE, AT(on_error), on_error_names, NULL },
                                   { "zero_date", KEY_CHOICE, AT(zero_date), zero_date_names, NULL },
                                   { "nul", KEY_CHOICE, AT(nul), nul_names, NULL },
                                   { "workers", KEY_COUNT, AT(workers), NULL, NULL },
                                   { "batch", KEY_TABLE, 0, NULL, batch_keys },
                                   { "script", KEY_TABLE, 0, NULL, script_keys },
                                   { NULL, KEY_STRING, 0, NULL, NULL } };

static const struct key *find_key(lua_State *L, const struct key *table, const char *what)
{
    char near[160];
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "%s: keys must be names, not a %s", what, luaL_typename(L, -2));
    struct bytes name = lua_bytes(L, -2);
    struct suggest s = suggest_for(name);
    for (const struct key *k = table; k->name != NULL; k++) {
        if (bytes_eq_str(name, k->name))
            return k;
        suggest_offer(&s, bytes_str(k->name));
    }
    luaL_error(L, "%s: unknown key \"%s\"%s", what, (const char *)name.p, suggest_text(&s, near, sizeof near));
    return NULL;
}

static char *copy_text(lua_State *L, struct bytes s, const char *what)
{
    if (s.n != 0 && memchr(s.p, '\0', s.n) != NULL)
        luaL_error(L, "%s holds a zero byte", what);
    char *p = strndup((const char *)s.p, s.n);
    if (p == NULL)
        luaL_error(L, "out of memory");
    return p;
}

static void set_choice(lua_State *L, const struct key *k, void *field, const char *what)
{
    char near[160];
    struct suggest s = suggest_for(lua_bytes(L, -1));
    for (unsigned i = 0; k->choices[i] != NULL; i++) {
        if (bytes_eq_str(s.want, k->choices[i])) {
            memcpy(field, &i, sizeof i); /* enums of this program are unsigned int */
            return;
        }
        suggest_offer(&s, bytes_str(k->choices[i]));
    }
    luaL_error(L, "%s: %s cannot be \"%s\"%s", what, k->name, lua_tostring(L, -1), suggest_text(&s, near, sizeof near));
}

static void set_number(lua_State *L, const struct key *k, void *field, const char *what)
{
    uint64_t v = 0;
    struct err err;
    if (lua_isinteger(L, -1)) {
        if (lua_tointeger(L, -1) < 1)
            luaL_error(L, "%s: %s must be at least 1", what, k->name);
        v = (uint64_t)lua_tointeger(L, -1);
    } else if (k->type == KEY_SIZE && lua_type(L, -1) == LUA_TSTRING) {
        if (!opts_parse_size(lua_tostring(L, -1), &v, &err))
            luaL_error(L, "%s: %s: %s", what, k->name, err.msg);
        if (v == 0)
            luaL_error(L, "%s: %s must be at least 1", what, k->name);
    } else {
        luaL_error(L, "%s: %s must be %s, not a %s", what, k->name,
                   k->type == KEY_SIZE ? "a size such as \"4MiB\"" : "a whole number", luaL_typename(L, -1));
    }
    memcpy(field, &v, sizeof v);
}

static void read_table(lua_State *L, const struct key *table, struct subscription *to, const char *what);

static void read_key(lua_State *L, const struct key *k, struct subscription *to, const char *what)
{
    void *field = (char *)to + k->off;
    int want = k->type == KEY_BOOL ? LUA_TBOOLEAN : k->type == KEY_TABLE ? LUA_TTABLE : LUA_TSTRING;
    if (k->type != KEY_COUNT && k->type != KEY_SIZE && lua_type(L, -1) != want)
        luaL_error(L, "%s: %s must be a %s, not a %s", what, k->name, lua_typename(L, want), luaL_typename(L, -1));
    switch (k->type) {
    case KEY_STRING: {
        char **text = field;
        char *copy = copy_text(L, lua_bytes(L, -1), k->name);
        free(*text);
        *text = copy;
        break;
    }
    case KEY_BOOL: {
        bool on = lua_toboolean(L, -1) != 0;
        memcpy(field, &on, sizeof on);
        break;
    }
    case KEY_COUNT:
    case KEY_SIZE:
        set_number(L, k, field, what);
        break;
    case KEY_CHOICE:
        set_choice(L, k, field, what);
        break;
    case KEY_TABLE:
        read_table(L, k->inner, to, what);
        break;
    }
}

/* The table on top of the stack. */
static void read_table(lua_State *L, const struct key *table, struct subscription *to, const char *what)
{
    int at = lua_gettop(L);
    luaL_checkstack(L, 6, "configuration");
    lua_pushnil(L);
    while (lua_next(L, at) != 0) {
        read_key(L, find_key(L, table, what), to, what);
        lua_pop(L, 1);
    }
}

/* --- env, subscription, settings --- */

static int config_env(lua_State *L)
{
    luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "name of an environment variable");
    const char *value = getenv(lua_tostring(L, 1));
    if (value != NULL)
        lua_pushstring(L, value);
    else if (lua_gettop(L) >= 2)
        lua_pushvalue(L, 2);
    else
        return luaL_error(L, "environment variable %s is not set (a default: env(\"%s\", \"value\"))",
                          lua_tostring(L, 1), lua_tostring(L, 1));
    return 1;
}

static struct subscription *by_name(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->subs[i].name, name) == 0)
            return &c->subs[i];
    return NULL;
}

/* A name is part of file names in the slot and of progress keys. */
static void check_name(lua_State *L, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            luaL_error(L, "subscription \"%s\": a name has letters, digits, _ and -", name);
    }
    if (n == 0 || n > 63)
        luaL_error(L, "the name of a subscription has 1 to 63 characters");
}

/* subscription "name" { ... }: the second call. Upvalue: the name; its entry was made by the first. */
static int subscription_table(lua_State *L)
{
    struct reading *r = reading_of(L);
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    char what[100];
    snprintf(what, sizeof what, "subscription \"%s\"", name);
    if (lua_type(L, 1) != LUA_TTABLE)
        return luaL_error(L, "%s wants a table: %s { to = \"...\" }", what, what);
    struct subscription *s = by_name(r->out, name);
    if (s == NULL || s->to != NULL)
        return luaL_error(L, "%s was described twice", what);
    lua_settop(L, 1);
    read_table(L, keys, s, what);
    if (s->to == NULL || s->to[0] == '\0')
        return luaL_error(L, "%s: to = \"URL\" is missing", what);
    return 0;
}

static int config_subscription(lua_State *L)
{
    struct reading *r = reading_of(L);
    struct config *c = r->out;
    luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "name");
    const char *name = lua_tostring(L, 1);
    check_name(L, name);
    if (by_name(c, name) != NULL)
        return luaL_error(L, "there are two subscriptions named \"%s\"", name);
    if (c->n == SUBSCRIPTIONS_MAX)
        return luaL_error(L, "more than %d subscriptions", SUBSCRIPTIONS_MAX);
    if (c->n == r->cap) {
        size_t cap = r->cap == 0 ? 8 : r->cap * 2;
        struct subscription *p = realloc(c->subs, cap * sizeof *p);
        if (p == NULL)
            return luaL_error(L, "out of memory");
        c->subs = p;
        r->cap = cap;
    }
    struct subscription *s = &c->subs[c->n];
    subscription_defaults(s);
    s->name = copy_text(L, lua_bytes(L, 1), "name");
    c->n++;
    bool both = lua_gettop(L) >= 2; /* subscription("name", { ... }) */
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, subscription_table, 1);
    if (both) {
        lua_pushvalue(L, 2);
        lua_call(L, 1, 0);
        return 0;
    }
    return 1;
}

static int no_such_word(lua_State *L, const char *how)
{
    static const char *const words[] = { "slot", "http", "env", "subscription", "true", "false", NULL };
    char near[160];
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "the configuration's settings have names");
    struct suggest s = suggest_for(lua_bytes(L, 2));
    for (unsigned i = 0; words[i] != NULL; i++)
        suggest_offer(&s, bytes_str(words[i]));
    return luaL_error(L, "%s \"%s\"%s; the configuration knows slot, http, env and subscription", how,
                      lua_tostring(L, 2), suggest_text(&s, near, sizeof near));
}

static int unknown_read(lua_State *L)
{
    return no_such_word(L, "unknown word");
}

static int setting(lua_State *L) /* slot = ..., http = ..., and locals' poor cousins are refused */
{
    struct reading *r = reading_of(L);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    bool is_slot = strcmp(name, "slot") == 0;
    if (!is_slot && strcmp(name, "http") != 0)
        return no_such_word(L, "unknown setting");
    if (lua_type(L, 3) != LUA_TSTRING)
        return luaL_error(L, "%s must be a string, not a %s", name, luaL_typename(L, 3));
    if (!is_slot) {
        char *http = copy_text(L, lua_bytes(L, 3), "http");
        free(r->out->http);
        r->out->http = http;
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, 1);
    return 0;
}

static int install(lua_State *L)
{
    static const luaL_Reg words[] = { { "env", config_env }, { "subscription", config_subscription }, { NULL, NULL } };
    static const luaL_Reg meta[] = { { "__index", unknown_read }, { "__newindex", setting }, { NULL, NULL } };
    lua_pushglobaltable(L);
    luaL_setfuncs(L, words, 0);
    luaL_newlib(L, meta);
    lua_setmetatable(L, -2);
    return 0;
}

/* --- after the file has run --- */

/* p relative to the configuration's directory, malloc'd; NULL: out of memory. */
static char *under(const char *dir, const char *p)
{
    char *out = NULL;
    if (p[0] == '/' || dir[0] == '\0')
        return strdup(p);
    return asprintf(&out, "%s/%s", dir, p) < 0 ? NULL : out;
}

static bool resolve(char **field, const char *dir, size_t prefix, struct err *err)
{
    if (*field == NULL)
        return true;
    char *path = under(dir, *field + prefix), *full = NULL;
    if (path != NULL && asprintf(&full, "%.*s%s", (int)prefix, *field, path) < 0)
        full = NULL;
    free(path);
    if (full == NULL)
        return err_nomem(err);
    free(*field);
    *field = full;
    return true;
}

static int finish(lua_State *L)
{
    struct reading *r = lua_touserdata(L, 1);
    struct config *c = r->out;
    lua_pushglobaltable(L);
    lua_pushliteral(L, "slot");
    bool has_slot = lua_rawget(L, -2) == LUA_TSTRING;
    if (c->n == 0)
        return luaL_error(L, "%s: no subscription is described", r->name);
    for (size_t i = 0; i < c->n; i++) {
        struct subscription *s = &c->subs[i];
        if (s->to == NULL)
            return luaL_error(L, "%s: subscription \"%s\" has no { ... } behind its name", r->name, s->name);
        if (s->slot == NULL && has_slot)
            s->slot = copy_text(L, lua_bytes(L, -1), "slot");
        if (s->slot == NULL || s->slot[0] == '\0')
            return luaL_error(L, "%s: slot = \"DIRECTORY\" is missing", r->name);
        if (s->workers > APPLY_WORKERS_MAX)
            return luaL_error(L, "%s: subscription \"%s\": workers must lie between 1 and %d", r->name, s->name,
                              APPLY_WORKERS_MAX);
        bool file = strncmp(s->to, "jsonl:", 6) == 0 && strcmp(s->to, "jsonl:-") != 0;
        if (!resolve(&s->slot, r->dir, 0, &r->err) || !resolve(&s->script, r->dir, 0, &r->err) ||
            (file && !resolve(&s->to, r->dir, 6, &r->err)))
            return luaL_error(L, "%s", r->err.msg);
    }
    return 0;
}

bool config_parse(const char *name, struct bytes text, const char *dir, struct config *out, struct err *err)
{
    struct config c = { 0 };
    struct reading r = { .name = name, .dir = dir, .out = &c };
    struct sandbox_options o = { .name = name, .memory_limit = CONFIG_MEMORY, .step_limit = CONFIG_STEPS, .host = &r };
    struct sandbox *s;
    if (!sandbox_new(&o, &s, err))
        return false;
    bool ok = sandbox_run(s, install, &r, err) && sandbox_load(s, text, err) && sandbox_run(s, finish, &r, err);
    sandbox_free(s);
    if (!ok) {
        err->code = err->code == ERR_SCRIPT ? ERR_CONFIG : err->code;
        config_clear(&c);
        return false;
    }
    *out = c;
    return true;
}

bool config_load(const char *path, struct config *out, struct err *err)
{
    struct buf text = { 0 };
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? strdup("") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    if (dir == NULL)
        return err_nomem(err);
    bool ok = file_read(AT_FDCWD, path, CONFIG_BYTES_MAX, &text, err);
    if (!ok)
        err_ctx(err, "configuration");
    ok = ok && config_parse(slash == NULL ? path : slash + 1, buf_view(&text), dir, out, err);
    buf_free(&text);
    free(dir);
    return ok;
}

void config_clear(struct config *c)
{
    for (size_t i = 0; i < c->n; i++)
        subscription_clear(&c->subs[i]);
    free(c->subs);
    free(c->http);
    *c = (struct config){ 0 };
}
