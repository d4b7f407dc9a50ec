/* lua_host.c - a subscription's script: loading, finding the handler of a table, running it, and what its answer means.
 *
 * What an update becomes when the script decides about its identity or its fate is decided here (design: "an update
 * stays an update"): the script runs a second time, on the old image, silently; from where each image would go follows
 * UPDATE, DELETE + INSERT, one of them, or nothing. An old image of which columns are missing is an error only where
 * the script reads such a column or its key needs one. */
#include "lua_host.h"

#include "file.h"
#include "lua_change.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCRIPT_BYTES_MAX = 4 << 20 };

struct handler { /* what one relation's changes run through */
    uint64_t id;
    bool wanted;
    int function; /* reference */
    const struct view *root;
};
struct lua_host {
    struct changes x; /* sandbox.o.host points here */
    struct sandbox *s;
    struct shape_table *shapes;
    char *name; /* of the script, without directories */
    char hash[65];
    bool loading, has_ddl, has_transform;
    int routes;               /* table: "schema.table" -> function */
    struct handler *handlers; /* open addressing by relation id */
    unsigned nhandlers, cap_handlers;
};
enum verdict { VERDICT_KEEP, VERDICT_DROP };

static struct lua_host *host_of(lua_State *L)
{
    return (struct lua_host *)sandbox_of(L)->o.host; /* x is its first member */
}

/* --- loading --- */

static int route(lua_State *L)
{
    struct lua_host *h = host_of(L);
    if (!h->loading)
        return luaL_error(L, "route() is for the top level of the script, not for handlers");
    luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "\"schema.table\"");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    const char *name = lua_tostring(L, 1);
    if (strchr(name, '*') != NULL)
        return luaL_error(L, "route(\"%s\") takes one table: use transform(c) for several", name);
    if (strchr(name, '.') == NULL || name[0] == '.' || name[strlen(name) - 1] == '.')
        return luaL_error(L, "route(\"%s\"): the name must be \"schema.table\"", name);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->routes);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return luaL_error(L, "route(\"%s\") was called twice", name);
    lua_pop(L, 1);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rawset(L, -3);
    return 0;
}

static int install(lua_State *L)
{
    struct lua_host *h = lua_touserdata(L, 1);
    lua_value_open(L);
    lua_decimal_open(L);
    lua_temporal_open(L);
    lua_json_open(L);
    lua_change_open(L);
    lua_newtable(L);
    h->routes = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_register(L, "route", route);
    h->x.views = views_new(L, h->shapes);
    return h->x.views == NULL ? luaL_error(L, "out of memory") : 0;
}

static bool global_function(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    int type = lua_rawget(L, -2);
    lua_pop(L, 2);
    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(L, "%s must be a function, not a %s", name, lua_typename(L, type));
    return type == LUA_TFUNCTION;
}

static int look_around(lua_State *L)
{
    struct lua_host *h = lua_touserdata(L, 1);
    h->has_transform = global_function(L, "transform");
    h->has_ddl = global_function(L, "ddl");
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->routes);
    lua_pushnil(L);
    if (!h->has_transform && !h->has_ddl && lua_next(L, -2) == 0)
        return luaL_error(L, "neither transform(c), nor a route, nor ddl(e) is defined: the script would do nothing");
    return 0;
}

static bool sha256_hex(struct bytes text, char out[65], struct err *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(text.n == 0 ? (const void *)"" : text.p, text.n, digest, &n, EVP_sha256(), NULL) != 1 || n != 32)
        return err_set(err, ERR_NOMEM, "SHA-256 of the script failed");
    for (unsigned i = 0; i < 32; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
    return true;
}

static bool read_script(const char *path, struct buf *out, struct err *err)
{
    if (!file_read(AT_FDCWD, path, SCRIPT_BYTES_MAX, out, err))
        return err_ctx(err, "script");
    return true;
}

bool lua_host_open(const char *path, const char *text, const struct lua_host_options *o, struct shape_table *shapes,
                   struct lua_host **out, struct err *err)
{
    struct buf file = { 0 };
    struct lua_host *h = calloc(1, sizeof *h);
    bool ok = false;
    if (h == NULL)
        return err_nomem(err);
    const char *slash = strrchr(path, '/');
    h->name = strdup(slash == NULL ? path : slash + 1);
    h->cap_handlers = 64;
    h->handlers = calloc(h->cap_handlers, sizeof *h->handlers);
    h->x.scratch = arena_new(0);
    h->shapes = shapes;
    if (h->name == NULL || h->handlers == NULL || h->x.scratch == NULL) {
        err_nomem(err);
        goto out;
    }
    if (text != NULL)
        buf_str(&file, text);
    else if (!read_script(path, &file, err))
        goto out;
    if (!buf_ok(&file, err) || !sha256_hex(buf_view(&file), h->hash, err))
        goto out;
    struct sandbox_options so = { .name = h->name,
                                  .memory_limit = o->memory_limit,
                                  .step_limit = o->step_limit,
                                  .libraries = true,
                                  .print = o->log,
                                  .print_ctx = o->log_ctx,
                                  .host = &h->x };
    if (!sandbox_new(&so, &h->s, err))
        goto out;
    h->x.s = h->s;
    h->loading = true;
    ok = sandbox_run(h->s, install, h, err) && sandbox_load(h->s, buf_view(&file), err) &&
         sandbox_run(h->s, look_around, h, err);
    h->loading = false;
out:
    buf_free(&file);
    if (ok)
        *out = h;
    else
        lua_host_close(h);
    return ok;
}

void lua_host_close(struct lua_host *h)
{
    if (h == NULL)
        return;
    sandbox_free(h->s);
    views_free(h->x.views);
    changes_free(&h->x);
    free(h->handlers);
    free(h->name);
    free(h);
}

const char *lua_host_hash(const struct lua_host *h)
{
    return h->hash;
}

size_t lua_host_memory(const struct lua_host *h)
{
    return h->s->memory.used;
}

bool lua_host_has_ddl(const struct lua_host *h)
{
    return h->has_ddl;
}

/* --- handlers --- */

/* Pushes the function for a table, or nil. */
static bool push_function(lua_State *L, struct lua_host *h, struct bytes schema, struct bytes table)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->routes);
    lua_pushlstring(L, schema.n == 0 ? "" : (const char *)schema.p, schema.n);
    lua_pushliteral(L, ".");
    lua_pushlstring(L, table.n == 0 ? "" : (const char *)table.p, table.n);
    lua_concat(L, 3);
    if (lua_rawget(L, -2) == LUA_TNIL && h->has_transform) {
        lua_pop(L, 1);
        lua_pushglobaltable(L);
        lua_pushliteral(L, "transform"); /* read again for each new table only: a script has no business changing it */
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
    lua_remove(L, -2);
    return lua_isfunction(L, -1);
}

static struct handler *handler_slot(const struct lua_host *h, uint64_t id)
{
    unsigned at = (unsigned)id & (h->cap_handlers - 1);
    while (h->handlers[at].id != 0 && h->handlers[at].id != id) /* an id is never 0 */
        at = (at + 1) & (h->cap_handlers - 1);
    return &h->handlers[at];
}

static void handlers_grow(lua_State *L, struct lua_host *h)
{
    if (h->nhandlers * 2 < h->cap_handlers)
        return;
    struct handler *old = h->handlers;
    unsigned n = h->cap_handlers;
    struct handler *bigger = calloc((size_t)n * 2, sizeof *bigger);
    if (bigger == NULL)
        luaL_error(L, "out of memory");
    h->handlers = bigger;
    h->cap_handlers = n * 2;
    for (unsigned i = 0; i < n; i++)
        if (old[i].id != 0)
            *handler_slot(h, old[i].id) = old[i];
    free(old);
}

struct lookup {
    struct lua_host *h;
    const struct relation *rel;
};

static int find_handler(lua_State *L)
{
    struct lookup *q = lua_touserdata(L, 1);
    struct lua_host *h = q->h;
    char why[640];
    struct handler found = { .id = q->rel->id, .function = LUA_NOREF };
    handlers_grow(L, h);
    if (push_function(L, h, q->rel->schema, q->rel->table)) {
        if (!view_root(h->x.views, q->rel, &found.root, why, sizeof why))
            return luaL_error(L, "%s", why);
        found.function = luaL_ref(L, LUA_REGISTRYINDEX);
        found.wanted = true;
    }
    *handler_slot(h, found.id) = found;
    h->nhandlers++;
    return 0;
}

static const struct handler *handler_for(struct lua_host *h, const struct relation *r, struct err *err)
{
    const struct handler *known = handler_slot(h, r->id);
    if (known->id == 0) {
        if (!sandbox_run(h->s, find_handler, &(struct lookup){ h, r }, err))
            return NULL;
        known = handler_slot(h, r->id);
    }
    return known;
}

bool lua_host_wants(struct lua_host *h, const struct relation *r)
{
    struct err err;
    const struct handler *found = handler_for(h, r, &err);
    return found == NULL || found->wanted; /* a failed search fails again, and is reported, in lua_host_change */
}

/* --- one change --- */

struct job {
    struct lua_host *h;
    const struct lua_change *in;
    const struct handler *handler; /* NULL: TRUNCATE */
    struct change_output out[2];
    unsigned nout;
};

/* Calls the handler on c. */
static enum verdict call_handler(lua_State *L, struct job *job, struct change *c)
{
    struct lua_host *h = job->h;
    h->x.generation++;
    lua_change_enter(L, c); /* the handle stays below the call, for lua_change_leave */
    if (job->handler != NULL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, job->handler->function);
    } else if (!push_function(L, h, job->in->rec->u.ddl.t_schema, job->in->rec->u.ddl.t_table)) {
        lua_pop(L, 1);
        lua_change_leave(L);
        return VERDICT_KEEP;
    }
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    const char *word = lua_word(L, -1);
    enum verdict v = VERDICT_KEEP;
    if (word != NULL && strcmp(word, "DROP") == 0)
        v = VERDICT_DROP;
    else if (!lua_isnil(L, -1) && !lua_rawequal(L, -1, -2))
        luaL_error(L, "the handler must return nothing, c or DROP, not %s; more rows are made with emit()",
                   word != NULL                       ? word
                   : lua_type(L, -1) == LUA_TUSERDATA ? "another change"
                                                      : luaL_typename(L, -1));
    lua_pop(L, 1);
    lua_change_leave(L);
    return v;
}

static struct change *begin_change(lua_State *L, struct job *job, struct val *cur, const struct val *old)
{
    struct change *c = changes_add(L, &job->h->x);
    const struct relation *r = job->handler->root->rel;
    c->view = job->handler->root;
    c->op = job->in->rec->op;
    c->cur = cur;
    c->cap = r->ncols;
    c->old = old;
    return c;
}

/* Does what the script did decide which row this is at the destination? */
static bool decides_identity(const struct change *c)
{
    const struct view *w = c->view;
    if (c->routed)
        return true;
    if (c->dirty == NULL)
        return false;
    if (w->nkey == 0) { /* the whole row is the identity */
        for (unsigned i = 0; i < w->ncols; i++)
            if (c->dirty[w->cols[i].slot])
                return true;
        return false;
    }
    for (unsigned i = 0; i < w->nkey; i++)
        if (c->dirty[w->cols[w->key[i]].slot])
            return true;
    return false;
}

static bool same_identity(const struct change *a, const struct change *b)
{
    const struct view *x = a->view, *y = b->view;
    if (!bytes_eq(x->schema, y->schema) || !bytes_eq(x->table, y->table) || x->nkey != y->nkey)
        return false;
    for (unsigned i = 0; i < x->nkey; i++) {
        const struct view_col *p = &x->cols[x->key[i]], *q = &y->cols[y->key[i]];
        if (!bytes_eq(p->name, q->name) || !val_eq(&a->cur[p->slot], &b->cur[q->slot]))
            return false;
    }
    return true;
}

/* The old row of an update whose identity the script decided, under the new row's columns: as the script made it on the
 * old image. */
static struct val *old_under_new(lua_State *L, struct job *job, const struct change *old, const struct change *now)
{
    const struct view *w = now->view;
    struct val *row = changes_keep(L, &job->h->x, w->ncols * sizeof *row);
    for (unsigned i = 0; i < w->ncols; i++) {
        int at = view_column(old->view, w->cols[i].name);
        row[i] = at >= 0 ? old->cur[old->view->cols[at].slot] : (struct val){ .kind = VAL_ABSENT };
    }
    return row;
}

static size_t row_bytes(const struct val *row, unsigned n)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += sizeof *row + (val_is_str(row[i].kind) ? row[i].u.str.n : 0);
    return bytes;
}

static void run_update(lua_State *L, struct job *job)
{
    struct changes *x = &job->h->x;
    const struct relation *r = job->handler->root->rel;
    const struct record *rec = job->in->rec;
    struct val *cur = changes_alloc(L, x, r->ncols * sizeof *cur), *old = changes_alloc(L, x, r->ncols * sizeof *old);
    rel_rows_new(rec->u.change.rows, rec, cur);
    rel_rows_old(rec->u.change.rows, rec, old);
    for (unsigned i = 0; i < r->ncols; i++)
        if (cur[i].kind == VAL_ABSENT) /* MINIMAL: what only the old image has was not changed */
            cur[i] = old[i];
    struct change *now = begin_change(L, job, cur, old);
    enum verdict kept = call_handler(L, job, now);
    if (kept == VERDICT_KEEP && !decides_identity(now)) {
        change_output(L, x, now, &job->out[job->nout++]);
        return;
    }
    x->suppressed = job->h->s->quiet = true;
    job->h->s->seeded = false; /* the same random numbers */
    struct val *before = changes_alloc(L, x, r->ncols * sizeof *before);
    memcpy(before, old, r->ncols * sizeof *before);
    struct change *was = begin_change(L, job, before, old);
    enum verdict had = call_handler(L, job, was);
    if (kept == VERDICT_KEEP && had == VERDICT_KEEP && same_identity(was, now)) {
        struct change_output *out = &job->out[job->nout++];
        change_output(L, x, now, out);
        out->old_row = old_under_new(L, job, was, now);
        out->bytes = row_bytes(out->new_row, out->shape->ncols) + row_bytes(out->old_row, out->shape->ncols);
        return;
    }
    if (had == VERDICT_KEEP) {
        was->op = REC_DELETE;
        change_output(L, x, was, &job->out[job->nout++]);
    }
    if (kept == VERDICT_KEEP) {
        now->op = REC_INSERT;
        change_output(L, x, now, &job->out[job->nout++]);
    }
}

static void run_other(lua_State *L, struct job *job)
{
    struct changes *x = &job->h->x;
    const struct record *rec = job->in->rec;
    struct change *c;
    if (rec->op == REC_TRUNCATE) {
        char why[640];
        c = changes_add(L, x);
        c->op = REC_TRUNCATE;
        if (!view_root_table(x->views, rec->u.ddl.t_schema, rec->u.ddl.t_table, &c->view, why, sizeof why))
            luaL_error(L, "%s", why);
    } else {
        const struct relation *r = job->handler->root->rel;
        struct val *cur = changes_alloc(L, x, r->ncols * sizeof *cur), *old = NULL;
        if (rec->op == REC_INSERT) {
            rel_rows_new(rec->u.change.rows, rec, cur);
        } else {
            old = changes_alloc(L, x, r->ncols * sizeof *old);
            rel_rows_old(rec->u.change.rows, rec, old);
            memcpy(cur, old, r->ncols * sizeof *cur);
        }
        c = begin_change(L, job, cur, old);
    }
    if (call_handler(L, job, c) == VERDICT_KEEP)
        change_output(L, x, c, &job->out[job->nout++]);
}

static int run_change(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);
    if (job->in->rec->op == REC_UPDATE)
        run_update(L, job);
    else
        run_other(L, job);
    return 0;
}

static bool append(struct batch *b, const struct change_output *o, bool emitted, uint32_t seq, uint64_t lsn,
                   struct err *err)
{
    struct outrow *row = batch_add_row(b, err);
    if (row == NULL)
        return false;
    *row = (struct outrow){ .op = o->op,
                            .emitted = emitted,
                            .seq = seq,
                            .lsn = lsn,
                            .txn = b->ntxns == 0 ? 0 : (uint32_t)(b->ntxns - 1),
                            .shape = o->shape,
                            .new_row = o->new_row,
                            .old_row = o->old_row };
    b->bytes += o->bytes;
    return true;
}

static void begin(struct lua_host *h, const struct record *rec, const struct batch_txn *txn, struct batch *b)
{
    struct changes *x = &h->x;
    x->running = true;
    x->suppressed = h->s->quiet = false;
    x->n = x->nemitted = 0;
    x->made = 0;
    arena_reset(x->scratch);
    x->arena = b->arena;
    x->txn = txn;
    x->rec = rec;
    h->s->seeded = false;
    h->s->seed[0] = rec->lsn;
    h->s->seed[1] = 0;
}

static void end(struct lua_host *h)
{
    h->x.running = h->x.suppressed = h->s->quiet = false;
    h->x.generation++;
    h->x.txn = NULL;
    h->x.rec = NULL;
    h->x.arena = NULL;
}

bool lua_host_change(struct lua_host *h, const struct lua_change *c, struct batch *b, struct err *err)
{
    struct job job = { .h = h, .in = c };
    if (c->rec->op != REC_TRUNCATE) {
        job.handler = handler_for(h, rel_rows_relation(c->rec->u.change.rows), err);
        if (job.handler == NULL)
            return false;
        if (!job.handler->wanted)
            return err_set(err, ERR_SCRIPT, "%s: there is no handler for this table", h->name); /* our bug */
    }
    begin(h, c->rec, c->txn, b);
    bool ok = sandbox_run(h->s, run_change, &job, err);
    uint32_t seq = 0;
    for (unsigned i = 0; ok && i < job.nout; i++)
        ok = append(b, &job.out[i], false, seq++, c->rec->lsn, err);
    for (unsigned i = 0; ok && i < h->x.nemitted; i++)
        ok = append(b, &h->x.emitted[i], true, seq++, c->rec->lsn, err);
    end(h);
    return ok;
}

/* --- ddl(e) --- */

struct ddl_job {
    struct lua_host *h;
    const struct record *rec;
    const struct ddl *parsed;
    struct arena *arena;
    enum ddl_answer answer;
    struct bytes sql;
};

static void set_bytes(lua_State *L, const char *field, struct bytes b)
{
    lua_pushlstring(L, b.n == 0 ? "" : (const char *)b.p, b.n);
    lua_setfield(L, -2, field);
}

static const char *clause_name(enum ddl_clause_kind k)
{
    switch (k) {
    case DDL_C_HARMLESS:
        return "other";
    case DDL_C_ADD_COLUMN:
        return "add";
    case DDL_C_DROP_COLUMN:
        return "drop";
    case DDL_C_CHANGE_COLUMN:
        return "change";
    case DDL_C_RENAME_TABLE:
        return "rename_table";
    case DDL_C_ROWS:
        return "rows";
    case DDL_C_UNKNOWN:
        break;
    }
    return "unknown";
}

static const char *ddl_name(enum ddl_kind k)
{
    switch (k) {
    case DDL_CREATE_TABLE:
        return "create_table";
    case DDL_ALTER_TABLE:
        return "alter_table";
    case DDL_DROP_TABLE:
        return "drop_table";
    case DDL_RENAME_TABLE:
        return "rename_table";
    case DDL_TRUNCATE:
        return "truncate";
    case DDL_CREATE_INDEX:
        return "create_index";
    case DDL_DROP_INDEX:
        return "drop_index";
    case DDL_DROP_DATABASE:
        return "drop_database";
    case DDL_OTHER:
    case DDL_TRANSACTION:
    case DDL_DML:
        break;
    }
    return "other";
}

static void push_clauses(lua_State *L, const struct ddl *d)
{
    lua_Integer n = 0;
    lua_createtable(L, (int)d->nclauses, 0);
    for (unsigned i = 0; i < d->nclauses; i++) {
        const struct ddl_clause *c = &d->clauses[i];
        lua_createtable(L, 0, 4);
        lua_pushstring(L, clause_name(c->kind));
        lua_setfield(L, -2, "action");
        if (c->name.n != 0)
            set_bytes(L, "name", c->name);
        if (c->new_name.n != 0)
            set_bytes(L, "new_name", c->new_name);
        if (c->column.type != 0) {
            struct buf *out = &sandbox_of(L)->scratch;
            buf_reset(out);
            column_type_text(&c->column, out);
            lua_pushstring(L, buf_cstr(out));
            lua_setfield(L, -2, "type");
        }
        lua_rawseti(L, -2, ++n);
    }
}

static void push_tables(lua_State *L, const struct ddl *d)
{
    lua_createtable(L, (int)d->ntables, 0);
    for (unsigned i = 0; i < d->ntables; i++) {
        lua_createtable(L, 0, 2);
        set_bytes(L, "schema", d->tables[i].schema);
        set_bytes(L, "table", d->tables[i].table);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_event(lua_State *L, const struct ddl_job *job)
{
    const struct rec_ddl *r = &job->rec->u.ddl;
    const struct ddl *d = job->parsed;
    bool truncate = job->rec->op == REC_TRUNCATE;
    lua_createtable(L, 0, 8);
    lua_pushstring(L, ddl_name(d->kind));
    lua_setfield(L, -2, "kind");
    if (truncate || d->ntables != 0) {
        set_bytes(L, "schema", truncate ? r->t_schema : d->tables[0].schema);
        set_bytes(L, "table", truncate ? r->t_table : d->tables[0].table);
    } else {
        set_bytes(L, "schema", r->schema);
    }
    set_bytes(L, "sql", r->sql);
    lua_pushinteger(L, (lua_Integer)job->rec->lsn);
    lua_setfield(L, -2, "lsn");
    push_clauses(L, d);
    lua_setfield(L, -2, "columns");
    push_tables(L, d);
    lua_setfield(L, -2, "tables");
}

/* The answer on top of the stack; below it the event. */
static void read_answer(lua_State *L, struct ddl_job *job)
{
    struct err err;
    const char *word = lua_word(L, -1);
    if (lua_isnil(L, -1) || lua_rawequal(L, -1, -2)) {
        job->answer = DDL_DEFAULT;
    } else if (word != NULL && strcmp(word, "DROP") == 0) {
        job->answer = DDL_DROPPED;
    } else if (word != NULL && strcmp(word, "PAUSE") == 0) {
        job->answer = DDL_PAUSE;
    } else if (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) != 0) {
        job->answer = DDL_SQL;
        if (!arena_copy(job->arena, lua_bytes(L, -1), &job->sql, &err))
            luaL_error(L, "%s", err.msg);
    } else {
        luaL_error(L, "ddl(e) must return e, DROP, PAUSE or the SQL to run instead, not %s",
                   lua_type(L, -1) == LUA_TSTRING ? "an empty string" : luaL_typename(L, -1));
    }
}

static int run_ddl(lua_State *L)
{
    struct ddl_job *job = lua_touserdata(L, 1);
    lua_change_mend(L);
    lua_getglobal(L, "ddl");
    push_event(L, job);
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    lua_call(L, 1, 1);
    read_answer(L, job);
    return 0;
}

bool lua_host_ddl(struct lua_host *h, const struct record *rec, const struct ddl *parsed, struct batch *b,
                  enum ddl_answer *answer, struct bytes *sql, struct err *err)
{
    struct ddl_job job = { .h = h, .rec = rec, .parsed = parsed, .arena = b->arena, .answer = DDL_DEFAULT };
    if (h->has_ddl) {
        begin(h, rec, b->ntxns == 0 ? NULL : &b->txns[b->ntxns - 1], b);
        bool ok = sandbox_run(h->s, run_ddl, &job, err);
        end(h);
        if (!ok)
            return false;
    }
    *answer = job.answer;
    *sql = job.sql;
    return true;
}
