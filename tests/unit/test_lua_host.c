/* test_lua_host.c - what a handler can do with a change, and what becomes of it: one line per fact. */
#include "script_unit.h"

#define USERS "shop.users id:int:k email:varchar name:varchar"
#define LOG "shop.log a:int b:varchar"
#define WIDE "shop.wide id:int:k st:enum tags:set j:json price:decimal at:datetime"

static const struct {
    const char *name, *table, *change, *script, *want; /* "!x": an error with x in it */
} cases[] = {
    /* keeping and dropping */
    { "kept", USERS, "+ 1|a@b|Ann", "function transform(c) end", "insert shop.users[id]: id=1 email=a@b name=Ann" },
    { "kept by c", USERS, "+ 1|a@b|Ann", "function transform(c) return c end",
      "insert shop.users[id]: id=1 email=a@b name=Ann" },
    { "dropped", USERS, "+ 1|a@b|Ann", "function transform(c) return DROP end", "" },
    { "other answer", USERS, "+ 1|a@b|Ann", "function transform(c) return false end",
      "!must return nothing, c or DROP, not boolean" },
    { "clone as answer", USERS, "+ 1|a@b|Ann", "function transform(c) return c:clone() end", "!not another change" },
    { "route before transform", USERS, "+ 1|a@b|Ann",
      "function transform(c) return DROP end route('shop.users', function(c) c.row.name = 'R' end)",
      "insert shop.users[id]: id=1 email=a@b name=R" },
    { "not wanted", USERS, "+ 1|a@b|Ann", "route('shop.other', function(c) end)", "(not wanted)" },
    { "nothing defined", USERS, "+ 1|a@b|Ann", "local x = 1", "!the script would do nothing" },
    /* reading and writing */
    { "assign", USERS, "+ 1|A@B|Ann", "function transform(c) c.row.email = c.row.email and c.row.email:lower() end",
      "insert shop.users[id]: id=1 email=a@b name=Ann" },
    { "nil is NULL", USERS, "+ 1|A@B|NULL", "function transform(c) assert(c.row.name == nil) c.row.email = nil end",
      "insert shop.users[id]: id=1 email=NULL name=NULL" },
    { "unknown read", USERS, "+ 1|a|b", "function transform(c) return c.row.emial end",
      "!t.lua:1: unknown column \"emial\" of shop.users (did you mean \"email\"?)" },
    { "unknown write", USERS, "+ 1|a|b", "function transform(c) c.row.emial = 'x' end",
      "!(did you mean \"email\"?); a new column: c:add(\"emial\", value)" },
    { "field typo", USERS, "+ 1|a|b", "function transform(c) return c.tabel end",
      "!no field \"tabel\" (did you mean \"table\"?)" },
    { "column as field", USERS, "+ 1|a|b", "function transform(c) return c.email end", "!the column is c.row.email" },
    { "field write", USERS, "+ 1|a|b", "function transform(c) c.table = 'x' end", "!c.table cannot be assigned" },
    { "old write", USERS, "~ 1|a|b => 1|b|b", "function transform(c) c.old.email = 'x' end", "!c.old is what was" },
    { "wrong type", USERS, "+ 1|a|b", "function transform(c) c.row.id = 'x' end",
      "!column \"id\": a string does not fit int" },
    { "method without colon", USERS, "+ 1|a|b", "function transform(c) c.remove('name') end",
      "!call it as c:remove(...)" },
    { "pairs", USERS, "+ 1|a|NULL",
      "function transform(c) local t = {} for k, v in pairs(c.row) do t[#t+1] = k .. '=' .. tostring(v) end c.row.name "
      "= table.concat(t, ',') end",
      "insert shop.users[id]: id=1 email=a name=id=1,email=a,name=nil" },
    { "fields", USERS, "+ 7|a|b",
      "function transform(c) c.row.name = table.concat({ c.op, c.schema, c.table, tostring(c.key[1]), c.lsn, "
      "tostring(c.gtid), c.seq, tostring(c.ts), tostring(c.old), tostring(now() == c.ts) }, ' ') end",
      "insert shop.users[id]: id=7 email=a name=insert shop users 7 42 nil 0 2024-02-29 10:11:12.123456 nil true" },
    { "kept for later", USERS, "+ 1|a|b",
      "local kept function transform(c) if c.op == 'insert' and not kept then kept = c.row end return kept.id and nil "
      "end",
      "insert shop.users[id]: id=1 email=a name=b" },
    { "error has line", USERS, "+ 1|a|b", "\n\nfunction transform(c)\n  local x = c.row.name .. nil\nend",
      "!t.lua:4: attempt to concatenate a nil value" },
    { "endless", USERS, "+ 1|a|b", "function transform(c) while true do end end",
      "!t.lua:1: stopped after 10000000 steps" },
    { "limits pass the handler's pcall", USERS, "+ 1|a|b",
      "function transform(c) pcall(function() while true do end end) end", "!stopped after" },
    { "error caught", USERS, "+ 1|a|b",
      "function transform(c) local ok = pcall(function() return c.row.x end) c.row.name = tostring(ok) end",
      "insert shop.users[id]: id=1 email=a name=false" },
    /* columns */
    { "rename", USERS, "+ 1|a|b",
      "function transform(c) c:rename{ name = 'full', email = 'mail' } c.row.full = 'x' end",
      "insert shop.users[id]: id=1 mail=a full=x" },
    { "rename key", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c:rename{ id = 'user_id' } end",
      "update shop.users[user_id]: user_id=1 email=a name=b => user_id=1 email=a name=c" },
    { "swap", USERS, "+ 1|a|b", "function transform(c) c:rename{ name = 'email', email = 'name' } end",
      "insert shop.users[id]: id=1 name=a email=b" },
    { "rename to an existing one", USERS, "+ 1|a|b", "function transform(c) c:rename{ name = 'email' } end",
      "!already a column \"email\"" },
    { "rename unknown", USERS, "+ 1|a|b", "function transform(c) c:rename{ nam = 'x' } end",
      "!unknown column \"nam\"" },
    { "old name after rename", USERS, "+ 1|a|b", "function transform(c) c:rename{ name = 'x' } return c.row.name end",
      "!was renamed to \"x\"" },
    { "remove", USERS, "+ 1|a|b", "function transform(c) c:remove('email', 'name') end",
      "insert shop.users[id]: id=1" },
    { "removed read", USERS, "+ 1|a|b", "function transform(c) c:remove 'name' return c.row.name end",
      "!was removed by the script" },
    { "remove all", USERS, "+ 1|a|b", "function transform(c) c:remove('id', 'email', 'name') end",
      "!no column is left" },
    { "remove key", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c:remove 'id' end",
      "update shop.users[]: email=a name=b => email=a name=c" },
    { "keep", USERS, "+ 1|a|b", "function transform(c) c:keep('name', 'id') end",
      "insert shop.users[id]: id=1 name=b" },
    { "add", USERS, "+ 1|a|b", "function transform(c) c:add{ zed = 1, alpha = c.row.name .. '!' } end",
      "insert shop.users[id]: id=1 email=a name=b alpha=b! zed=1" },
    { "add one, NULL", USERS, "+ 1|a|b", "function transform(c) c:add('x', nil) assert(c.row.x == nil) c.row.x = 5 end",
      "insert shop.users[id]: id=1 email=a name=b x=5" },
    { "add existing", USERS, "+ 1|a|b", "function transform(c) c:add('name', 1) end", "!already a column \"name\"" },
    { "change a type", USERS, "+ 1|a|b", "function transform(c) c:remove('name'):add('name', 5) end",
      "insert shop.users[id]: id=1 email=a name=5" },
    { "add many times", USERS, "+ 1|a|b",
      "function transform(c) for i = 1, 20 do c:add('c' .. i, i) end c:keep('id', 'c1', 'c20') end",
      "insert shop.users[id]: id=1 c1=1 c20=20" },
    { "set_key", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c:set_key('email') end",
      "update shop.users[email]: id=1 email=a name=b => id=1 email=a name=c" },
    { "set_key none", USERS, "- 1|a|b", "function transform(c) c:set_key() end",
      "delete shop.users[]: id=1 email=a name=b" },
    { "to", USERS, "+ 1|a|b", "function transform(c) c:to('crm.people') end",
      "insert crm.people[id]: id=1 email=a name=b" },
    { "to table", USERS, "+ 1|a|b", "function transform(c) c:to('people') assert(c.table == 'users') end",
      "insert shop.people[id]: id=1 email=a name=b" },
    { "to with dots", USERS, "+ 1|a|b", "function transform(c) c:to('a.b.c') end", "!neither \"table\" nor" },
    { "to two names", USERS, "+ 1|a|b", "function transform(c) c:to('s', 'a.b') end",
      "insert s.a.b[id]: id=1 email=a name=b" },
    { "chain", USERS, "+ 1|a|b", "function transform(c) return c:rename{ name = 'n' }:remove('email'):to('x.y') end",
      "insert x.y[id]: id=1 n=b" },
    /* changed, has */
    { "changed", USERS, "~ 1|a|b => 1|a|c",
      "function transform(c) c.row.email = table.concat({ tostring(c:changed('name')), tostring(c:changed('email')), "
      "tostring(c:changed()), tostring(c:changed('email', 'name')) }, ' ') end",
      "update shop.users[id]: id=1 email=a name=b => id=1 email=true false true true name=c" },
    { "changed of an insert", USERS, "+ 1|a|b", "function transform(c) c.row.name = tostring(c:changed('name')) end",
      "insert shop.users[id]: id=1 email=a name=true" },
    { "changed of a delete", USERS, "- 1|a|b",
      "function transform(c) assert(c:changed('name') == false and c.old.name == 'b' and c.row.name == 'b') end",
      "delete shop.users[id]: id=1 email=a name=b" },
    { "changed typo", USERS, "+ 1|a|b", "function transform(c) c:changed('nmae') end", "!did you mean \"name\"" },
    { "has", USERS, "~ 1|~|~ => ~|~|c",
      "function transform(c) assert(c:has('name') and not c:has('email') and not c:has('x') and c:has('id')) end",
      "update shop.users[id]: id=1 => id=1 name=c" },
    { "absent read", USERS, "~ 1|~|~ => ~|~|c", "function transform(c) return c.row.email end",
      "!column \"email\" of shop.users was not sent with this change (binlog_row_image at the source): ask "
      "c:has(\"email\")" },
    { "absent stays absent", USERS, "~ 1|~|~ => ~|~|c", "function transform(c) c.row.name = c.row.name .. c.row.id end",
      "update shop.users[id]: id=1 => id=1 name=c1" },
    { "absent assigned", USERS, "~ 1|~|~ => ~|~|c", "function transform(c) c.row.email = 'e' end",
      "update shop.users[id]: id=1 => id=1 email=e name=c" },
    { "pairs skips absent", USERS, "~ 1|~|~ => ~|~|c",
      "function transform(c) local n = 0 for _ in pairs(c.row) do n = n + 1 end assert(n == 2) end",
      "update shop.users[id]: id=1 => id=1 name=c" },
    /* an update stays an update */
    { "plain update", USERS, "~ 1|a|b => 1|A|b", "function transform(c) c.row.email = c.row.email:lower() end",
      "update shop.users[id]: id=1 email=a name=b => id=1 email=a name=b" },
    { "source changed the key", USERS, "~ 1|a|b => 2|a|b", "function transform(c) end",
      "update shop.users[id]: id=1 email=a name=b => id=2 email=a name=b" },
    { "key set, same identity", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c.row.id = c.row.id + 100 end",
      "update shop.users[id]: id=101 email=a name=b => id=101 email=a name=c" },
    { "key set, other identity", USERS, "~ 1|a|b => 1|a|c",
      "function transform(c) c.row.id = c.row.name == 'b' and 5 or 6 end",
      "delete shop.users[id]: id=5 email=a name=b; insert shop.users[id]: id=6 email=a name=c" },
    { "routed, same place", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c:to('crm.users') end",
      "update crm.users[id]: id=1 email=a name=b => id=1 email=a name=c" },
    { "routed, other place", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c:to('crm.' .. c.row.name) end",
      "delete crm.b[id]: id=1 email=a name=b; insert crm.c[id]: id=1 email=a name=c" },
    { "dropped on both", USERS, "~ 1|a|b => 1|a|c", "function transform(c) return DROP end", "" },
    { "only the old kept", USERS, "~ 1|a|b => 1|a|c",
      "function transform(c) if c.row.name == 'c' then return DROP end end",
      "delete shop.users[id]: id=1 email=a name=b" },
    { "only the new kept", USERS, "~ 1|a|b => 1|a|c",
      "function transform(c) if c.row.name == 'b' then return DROP end c.row.id = 1 end",
      "insert shop.users[id]: id=1 email=a name=c" },
    { "emits of the old image are suppressed", USERS, "~ 1|a|b => 1|a|c",
      "function transform(c) emit(c:clone{ op = 'insert' }:to('log')) return DROP end",
      "*insert shop.log[id]: id=1 email=a name=c" },
    { "old image: changed is false", USERS, "~ 1|a|b => 1|a|c",
      "function transform(c) c:to(c:changed('name') and 'x' or 'y') end",
      "delete shop.y[id]: id=1 email=a name=b; insert shop.x[id]: id=1 email=a name=c" },
    { "added key", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c:add('k', 't1:' .. c.row.id):set_key('k') end",
      "update shop.users[k]: id=1 email=a name=b k=t1:1 => id=1 email=a name=c k=t1:1" },
    { "removed on one side only", USERS, "~ 1|a|b => 1|a|c",
      "function transform(c) c:to('u') if c.row.name == 'b' then c:remove('email') end end",
      "update shop.u[id]: id=1 name=b => id=1 email=a name=c" },
    { "no key, untouched", LOG, "~ 1|a => 2|a", "function transform(c) end", "update shop.log[]: a=1 b=a => a=2 b=a" },
    { "no key: every column is identity", LOG, "~ 1|a => 2|a", "function transform(c) c.row.b = 'x' .. c.row.a end",
      "update shop.log[]: a=1 b=x1 => a=2 b=x2" },
    { "incomplete old image, read", USERS, "~ 1|~|~ => ~|~|c",
      "function transform(c) if c.row.name == 'c' then return DROP end end",
      "!column \"name\" of shop.users was not sent with this change" },
    { "incomplete old image, not needed", USERS, "~ 1|~|~ => ~|~|c",
      "function transform(c) if c.table == 'users' then return DROP end end", "" },
    { "incomplete key", USERS, "~ 1|~|~ => ~|~|c", "function transform(c) c:set_key('email') end",
      "!the old value of the key column \"email\" was not sent" },
    { "same random numbers", USERS, "~ 1|a|b => 1|a|c", "function transform(c) c.row.id = math.random(1 << 30) end",
      "update" },
    { "no print on the old image", USERS, "~ 1|a|b => 1|a|c",
      "local n = 0 function transform(c) n = n + 1 c:to('x') print(n) end",
      "update shop.x[id]: id=1 email=a name=b => id=1 email=a name=c" },
    /* deletes */
    { "delete", USERS, "- 1|a|b", "function transform(c) assert(c.op == 'delete') c.row.name = 'x' end",
      "delete shop.users[id]: id=1 email=a name=x" },
    { "delete of key only", USERS, "- 1|~|~", "function transform(c) assert(c.row.id == 1) end",
      "delete shop.users[id]: id=1" },
    { "delete, key set", USERS, "- 1|a|b", "function transform(c) c.row.id = c.row.id + 100 end",
      "delete shop.users[id]: id=101 email=a name=b" },
    /* emit and clone */
    { "emit", USERS, "+ 1|a|b", "function transform(c) emit(c:clone():to('log'):add('n', 1)) c.row.name = 'later' end",
      "insert shop.users[id]: id=1 email=a name=later; *insert shop.log[id]: id=1 email=a name=b n=1" },
    { "emit is a snapshot", USERS, "+ 1|a|b",
      "function transform(c) local k = c:clone() k.row.name = 'x' emit(k) k.row.name = 'y' emit(k) end",
      "insert shop.users[id]: id=1 email=a name=b; *insert shop.users[id]: id=1 email=a name=x; *insert "
      "shop.users[id]: id=1 email=a name=y" },
    { "clone does not touch c", USERS, "+ 1|a|b",
      "function transform(c) c.row.name = 'n' local k = c:clone() k.row.name = 'k' k.row.id = 9 end",
      "insert shop.users[id]: id=1 email=a name=n" },
    { "delete to archive", USERS, "- 1|a|b",
      "function transform(c) emit(c:clone{ op = 'insert' }:to('archive'):add('gone', now())) return DROP end",
      "*insert shop.archive[id]: id=1 email=a name=b gone=2024-02-29 10:11:12.123456" },
    { "emitted update", USERS, "~ 1|a|b => 1|a|c", "function transform(c) emit(c:clone():to('copy')) end",
      "update shop.users[id]: id=1 email=a name=b => id=1 email=a name=c; *update shop.copy[id]: id=1 email=a name=b "
      "=> id=1 email=a name=c" },
    { "emit of something else", USERS, "+ 1|a|b", "function transform(c) emit({}) end", "!emit wants a change" },
    { "clone op typo", USERS, "+ 1|a|b", "function transform(c) c:clone{ op = 'insrt' } end", "!op must be" },
    { "soft delete", USERS, "- 1|a|b",
      "function transform(c) emit(c:clone{ op = 'update' }:add('deleted', true)) return DROP end",
      "*update shop.users[id]: id=1 email=a name=b => id=1 email=a name=b deleted=1" },
    { "too many emits", USERS, "+ 1|a|b", "function transform(c) for i = 1, 20000 do emit(c) end end",
      "!emitted more than 10000 rows" },
    { "too much made", USERS, "+ 1|a|b",
      "function transform(c) local s = ('x'):rep(1000000) for i = 1, 100 do local k = c:clone() k.row.name = s emit(k) "
      "end end",
      "!made more than 16384 KiB" },
    { "many tables", USERS, "+ 1|a|b",
      "function transform(c) for i = 1, 9000 do c:clone():to('t' .. i):to('u' .. i):to('v' .. i):to('w' .. i):to('x' "
      ".. i):to('y' .. i) end end",
      "!made up from row values" },
    /* types in a row */
    { "types", WIDE, "+ 1|2|5|{\"a\": [1, 2]}|1.20|2024-02-29 10:11:12",
      "function transform(c) local r = c.row assert(r.st == 'paid' and r.tags == 'new,sent' and r.price == decimal "
      "'1.2' and r.at.year == 2024)\n"
      "local j = json.decode(r.j) j.a[3] = 2^53|0 r.j = json.encode(j) r.st = 'sent' r.tags = 'paid' r.price = r.price "
      "+ 1 r.at = r.at + duration '1:00:00' end",
      "insert shop.wide[id]: id=1 st=sent tags=paid j={\"a\": [1, 2, 9007199254740992]} price=2.20 at=2024-02-29 "
      "11:11:12" },
    { "label typo", WIDE, "+ 1|2|5|{}|1.20|2024-02-29 10:11:12", "function transform(c) c.row.st = 'payed' end",
      "!\"payed\" is none of its labels (did you mean \"paid\"?)" },
};

static void changes(void)
{
    struct buf got = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        script_run(cases[i].script, cases[i].table, cases[i].change, &got);
        const char *g = buf_cstr(&got), *w = cases[i].want;
        bool same = w[0] == '!'                ? g[0] == '!' && strstr(g, w + 1) != NULL
                    : strcmp(w, "update") == 0 ? strncmp(g, "update ", 7) == 0
                                               : strcmp(g, w) == 0;
        CHECK(same, "%s:\n  want %s\n  got  %s", cases[i].name, w, g);
    }
    buf_free(&got);
}

/* One host over many changes: kept handles die, errors leave it usable, the same script gives the same shapes. */
static void many(void)
{
    static const char script[] =
        "local kept\n"
        "function transform(c)\n"
        "  if c.row.name == 'keep' then kept = c return end\n"
        "  if c.row.name == 'use' then return kept.row.id end\n"
        "  if c.row.name == 'loop' then while true do end end\n"
        "  if c.row.name == 'mem' then local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end end\n"
        "  c:rename{ name = 'full' }:to('crm.users'):add('n', c.row.id)\n"
        "end\n";
    static const struct {
        const char *change, *want;
    } steps[] = { { "+ 1|a|keep", NULL },
                  { "+ 2|a|use", "this change is over" },
                  { "+ 3|a|loop", "stopped after" },
                  { "+ 4|a|x", NULL },
                  { "+ 5|a|mem", "memory" },
                  { "+ 6|a|y", NULL } };
    struct err err = { 0 };
    struct relation *r = script_relation(USERS);
    struct shape_table *shapes = shape_table_new();
    struct lua_host *h = NULL;
    struct lua_host_options o = { .step_limit = 1000000 };
    struct batch *b = batch_new();
    struct frame_builder *fb = frame_builder_new();
    frame_builder_reset(fb, 1, true);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        CHECK(script_add(fb, r, steps[i].change, &err), "%s", err.msg);
    struct frame *f = script_frame(fb, &err);
    CHECK(f != NULL && lua_host_open("t.lua", script, &o, shapes, &h, &err), "%s", err.msg);
    CHECK(strlen(lua_host_hash(h)) == 64, "hash %s", lua_host_hash(h));
    batch_add_txn(b, &err);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct lua_change c = { frame_record(f, (unsigned)i), &b->txns[0] };
        CHECK(lua_host_wants(h, rel_rows_relation(c.rec->u.change.rows)), "wanted");
        bool ok = lua_host_change(h, &c, b, &err);
        CHECK(ok == (steps[i].want == NULL) && (ok || strstr(err.msg, steps[i].want) != NULL), "step %zu: %s", i,
              ok ? "no error" : err.msg);
    }
    CHECK(b->nrows == 3, "%zu rows", b->nrows);
    CHECK(b->nrows == 3 && b->rows[1].shape == b->rows[2].shape, "equal shapes are one object");
    CHECK(b->nrows == 3 && b->rows[0].shape == shape_of_relation(shapes, r, &err) && b->rows[0].shape->original &&
              !b->rows[1].shape->original,
          "the relation's own shape");
    CHECK(lua_host_memory(h) < 1 << 20, "memory %zu", lua_host_memory(h));
    batch_free(b);
    lua_host_close(h);
    frame_unref(f);
    frame_builder_free(fb);
    shape_table_free(shapes);
    relation_unref(r);
}

/* Handles that a script kept are dead however their call ended, and c.row shows this change's values whatever was read, written or
 * renamed before, here and in the calls before. The script checks; a change whose name is "fail" fails. */
static void handles(void)
{
    static const char script[] =
        "local c0, row0, old0, clone0\n"
        "local function over(f)\n"
        "  local ok, why = pcall(f)\n"
        "  if ok or not why:find('this change is over', 1, true) then error('not over: ' .. tostring(why), 2) end\n"
        "end\n"
        "local function dead()\n"
        "  if c0 == nil then return end\n"
        "  over(function() return c0.op end)\n"
        "  over(function() return c0.row end)\n"
        "  over(function() return c0.old end)\n"
        "  over(function() return c0:rename {} end)\n"
        "  over(function() return tostring(c0) end)\n"
        "  over(function() emit(c0) end)\n"
        "  over(function() return row0.id end)\n"
        "  over(function() return row0.email end)\n"
        "  over(function() row0.email = 'x' end)\n"
        "  over(function() for _ in pairs(row0) do end end)\n"
        "  over(function() return clone0.email end)\n"
        "  if old0 then over(function() return old0.id end) end\n"
        "end\n"
        "local function refuses(what, f)\n"
        "  local ok, why = pcall(f)\n"
        "  if ok or not why:find(what, 1, true) then error(what .. ': ' .. tostring(why), 2) end\n"
        "end\n"
        "function ddl(e) dead() return DROP end\n"
        "function transform(c)\n"
        "  dead()\n"
        "  local name = c.row.name\n"
        "  assert(c.row == c.row and c.old == c.old and (c.old == nil) == (c.op == 'insert'))\n"
        "  local email = c:has 'email' and c.row.email\n"
        "  for i = 1, 3 do\n"
        "    assert(c.row.name == name and c.op == c.op and c.table == 'users')\n"
        "    if not c:has 'email' then refuses('was not sent', function() return c.row.email end)\n"
        "    else assert(email == c.row.email and (email == nil or email == 'e' .. c.row.id)) end\n"
        "  end\n"
        "  c0, row0, old0, clone0 = c, c.row, c.old, c:clone().row\n"
        "  if name == 'fail' then c.row.email = 'changed' assert(c.row.email == 'changed') error('on purpose') end\n"
        "  local copy = c:clone()\n"
        "  c.row.id = 4.0\n"
        "  assert(math.type(c.row.id) == 'integer' and c.row.id == 4)\n"
        "  c.row.id = true\n"
        "  assert(c.row.id == 1 and c.row.id == 1)\n"
        "  c.row.email = 'mine'\n"
        "  assert(c.row.email == 'mine' and c.row.email == 'mine' and (not copy:has 'email' or copy.row.email ~= "
        "'mine') and copy.row.name == "
        "name)\n"
        "  c:rename { email = 'name', name = 'email' }\n"
        "  assert(c.row.name == 'mine' and c.row.email == name and c.row.name == 'mine' and c.row.email == name)\n"
        "  c:remove 'email'\n"
        "  refuses('\"email\" of shop.users was renamed to \"name\"', function() return c.row.email end)\n"
        "  c.row.name = nil\n"
        "  assert(c.row.name == nil and c.row.name == nil)\n"
        "  c:add('more', 'text')\n"
        "  assert(c.row.more == 'text' and c.row.more == 'text')\n"
        "  c.row.more = 7\n"
        "  assert(c.row.more == 7 and c.row.more == 7)\n"
        "  c:keep('id', 'more'):rename { more = 'email' }\n"
        "  assert(c.row.email == 7 and c.row.email == 7)\n"
        "end\n";
    static const struct {
        const char *change;
        bool fails;
    } steps[] = { { "+ 1|e1|a", false },
                  { "+ 2|e2|b", false },
                  { "+ 3|NULL|c", false },
                  { "+ 4|e4|fail", true },
                  { "+ 5|e5|d", false },
                  { "~ 6|e6|x => 6|e6|y", false },
                  { "~ 7|e7|x => 7|e7|fail", true },
                  { "- 8|e8|z", false },
                  { "~ 9|~|x => 9|~|y", false },
                  { "- 9|e9|fail", true },
                  { "+ 10|e10|d", false } };
    struct err err = { 0 };
    struct relation *r = script_relation(USERS);
    struct shape_table *shapes = shape_table_new();
    struct lua_host *h = NULL;
    struct lua_host_options o = { 0 };
    struct batch *b = batch_new();
    struct frame_builder *fb = frame_builder_new();
    struct record drop = { .lsn = 99,
                           .op = REC_DDL,
                           .u.ddl = { .schema = BYTES_LIT("shop"), .sql = BYTES_LIT("DROP TABLE x") } };
    struct ddl_context ctx = { BYTES_LIT("shop"), false, false };
    struct ddl parsed = { 0 };
    frame_builder_reset(fb, 1, true);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        CHECK(script_add(fb, r, steps[i].change, &err), "%s", err.msg);
    struct frame *f = script_frame(fb, &err);
    CHECK(f != NULL && lua_host_open("t.lua", script, &o, shapes, &h, &err), "%s", err.msg);
    batch_add_txn(b, &err);
    CHECK(ddl_parse(drop.u.ddl.sql, &ctx, b->arena, &parsed, &err), "%s", err.msg);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct lua_change c = { frame_record(f, (unsigned)i), &b->txns[0] };
        enum ddl_answer answer = DDL_DEFAULT;
        struct bytes sql;
        bool ok = lua_host_change(h, &c, b, &err);
        CHECK(ok != steps[i].fails && (ok || strstr(err.msg, "on purpose") != NULL), "%s: %s", steps[i].change,
              ok ? "no error" : err.msg);
        CHECK(lua_host_ddl(h, &drop, &parsed, b, &answer, &sql, &err) && answer == DDL_DROPPED, "ddl after %s: %s",
              steps[i].change, err.msg);
    }
    batch_free(b);
    lua_host_close(h);
    frame_unref(f);
    frame_builder_free(fb);
    shape_table_free(shapes);
    relation_unref(r);
}

static const struct {
    const char *script, *sql, *want; /* answer: "default", "dropped", "pause", "sql:..." or "!error" */
} ddls[] = {
    { "function transform(c) end", "ALTER TABLE shop.users ADD COLUMN x INT", "default" },
    { "function ddl(e) return e end", "ALTER TABLE shop.users ADD COLUMN x INT", "default" },
    { "function ddl(e) end", "ALTER TABLE shop.users ADD COLUMN x INT", "default" },
    { "function ddl(e) return DROP end", "ALTER TABLE shop.users ADD COLUMN x INT", "dropped" },
    { "function ddl(e) return PAUSE end", "ALTER TABLE shop.users ADD COLUMN x INT", "pause" },
    { "function ddl(e) local c = e.columns[1] return e.kind .. ' ' .. e.schema .. '.' .. e.table .. ' ' .. c.action .. "
      "' ' .. c.name .. ' ' .. c.type .. ' ' .. e.lsn end",
      "ALTER TABLE users ADD COLUMN x INT", "sql:alter_table shop.users add x int 42" },
    { "function ddl(e) return e.tables[2].table end", "DROP TABLE a, b", "sql:b" },
    { "function ddl(e) return e.sql end", "CREATE USER x", "sql:CREATE USER x" },
    { "function ddl(e) return 5 end", "DROP TABLE a", "!must return e, DROP, PAUSE" },
    { "function ddl(e) return '' end", "DROP TABLE a", "!an empty string" },
};

static void ddl_answers(void)
{
    static const char *const names[] = { "default", "dropped", "sql:", "pause" };
    for (size_t i = 0; i < sizeof ddls / sizeof *ddls; i++) {
        struct err err = { 0 };
        struct shape_table *shapes = shape_table_new();
        struct lua_host *h = NULL;
        struct lua_host_options o = { 0 };
        struct batch *b = batch_new();
        struct record rec = { .lsn = 42,
                              .op = REC_DDL,
                              .u.ddl = { .schema = BYTES_LIT("shop"), .sql = bytes_str(ddls[i].sql) } };
        struct ddl_context ctx = { BYTES_LIT("shop"), false, false };
        struct ddl parsed = { 0 };
        enum ddl_answer answer = DDL_DEFAULT;
        struct bytes sql = { NULL, 0 };
        char got[1200];
        batch_add_txn(b, &err);
        bool ok = ddl_parse(rec.u.ddl.sql, &ctx, b->arena, &parsed, &err) &&
                  lua_host_open("t.lua", ddls[i].script, &o, shapes, &h, &err) &&
                  lua_host_ddl(h, &rec, &parsed, b, &answer, &sql, &err);
        if (ok)
            snprintf(got, sizeof got, "%s%.*s", names[answer], (int)sql.n, sql.n == 0 ? "" : (const char *)sql.p);
        else
            snprintf(got, sizeof got, "!%s", err.msg);
        CHECK(ddls[i].want[0] == '!' ? got[0] == '!' && strstr(got, ddls[i].want + 1) != NULL
                                     : strcmp(got, ddls[i].want) == 0,
              "%s: want %s, got %s", ddls[i].sql, ddls[i].want, got);
        batch_free(b);
        lua_host_close(h);
        shape_table_free(shapes);
    }
}

int main(void)
{
    changes();
    many();
    handles();
    ddl_answers();
    return UNIT_END();
}
