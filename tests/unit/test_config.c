/* test_config.c - configuration files: what is understood, and what each mistake says. */
#include "subscription.h"
#include "unit.h"

static const struct {
    const char *text, *want; /* as printed below, or "!" and a part of the error */
} cases[] = {
    { "slot = '/s' subscription 'a' { to = 'postgresql://h/d' }",
      "a /s postgresql://h/d - stop 5000 4194304 16777216 10000000 0 0 0 0" },
    { "slot = 's' subscription 'a' { to = 'jsonl:f' , transform = 'x/t.lua', create = true, evolve = true, on_error = "
      "'dead_letter' }",
      "a dir/s jsonl:dir/f dir/x/t.lua dead_letter 5000 4194304 16777216 10000000 1 1 0 0" },
    { "slot = '/s' subscription('a', { to = 'jsonl:-', batch = { rows = 10, bytes = '1MiB' }, zero_date = 'error', nul "
      "= 'replace' })",
      "a /s jsonl:- - stop 10 1048576 16777216 10000000 0 0 1 2" },
    { "slot = '/s' subscription 'a' { to = 'jsonl:/f', on_error = 'skip', script = { memory = '1GiB', steps = 7 } }",
      "a /s jsonl:/f - skip 5000 4194304 1073741824 7 0 0 0 0" },
    { "slot = '/s' subscription 'a' { to = 'p:1' } subscription 'b' { to = 'p:2', slot = '/t' } http = '127.0.0.1:1'",
      "a /s p:1 - stop 5000 4194304 16777216 10000000 0 0 0 0; b /t p:2 - stop 5000 4194304 16777216 10000000 0 0 0 0 "
      "http 127.0.0.1:1" },
    { "slot = env 'RT_DIR' subscription 'a' { to = 'p:' .. env('RT_NONE', 'x') }",
      "a /from/env p:x - stop 5000 4194304 16777216 10000000 0 0 0 0" },
    { "for i = 1, 2 do end slot = '/s' local u = 'p:' subscription 'a' { to = u }",
      "a /s p: - stop 5000 4194304 16777216 10000000 0 0 0 0" },
    { "", "!rt.conf.lua: no subscription is described" },
    { "subscription 'a' { to = 'p:' }", "!slot = \"DIRECTORY\" is missing" },
    { "slot = '/s'\nsubscription 'a' { too = 'p:' }",
      "!rt.conf.lua:2: subscription \"a\": unknown key \"too\" (did you mean \"to\"?)" },
    { "slot = '/s'\nsubscription 'a' { to = 5 }",
      "!rt.conf.lua:2: subscription \"a\": to must be a string, not a number" },
    { "slot = '/s' subscription 'a' { create = 'yes' }", "!create must be a boolean, not a string" },
    { "slot = '/s' subscription 'a' { create = true }", "!to = \"URL\" is missing" },
    { "slot = '/s' subscription 'a' { to = 'p:', on_error = 'ignore' }", "!on_error cannot be \"ignore\"" },
    { "slot = '/s' subscription 'a' { to = 'p:', on_error = 'deadletter' }", "!(did you mean \"dead_letter\"?)" },
    { "slot = '/s' subscription 'a' { to = 'p:', batch = 5 }", "!batch must be a table" },
    { "slot = '/s' subscription 'a' { to = 'p:', batch = { row = 5 } }",
      "!unknown key \"row\" (did you mean \"rows\"?)" },
    { "slot = '/s' subscription 'a' { to = 'p:', batch = { rows = 0 } }", "!rows must be at least 1" },
    { "slot = '/s' subscription 'a' { to = 'p:', batch = { rows = 1.5 } }", "!rows must be a whole number" },
    { "slot = '/s' subscription 'a' { to = 'p:', batch = { bytes = '5 parsecs' } }", "!bytes:" },
    { "slot = '/s' subscription 'a' { to = 'p:', 'x' }", "!keys must be names" },
    { "slot = '/s' subscription 'a' { to = 'p:' }\nsubscription 'a' { to = 'p:' }",
      "!rt.conf.lua:2: there are two subscriptions named \"a\"" },
    { "slot = '/s' subscription 'a'", "!rt.conf.lua: subscription \"a\" has no { ... } behind its name" },
    { "slot = '/s' local x = subscription 'a'", "!has no { ... } behind its name" },
    { "slot = '/s' local x = subscription 'a' x { to = 'p:' } x { to = 'p:' }", "!was described twice" },
    { "slot = '/s' subscription '../a' { to = 'p:' }", "!letters, digits, _ and -" },
    { "slot = '/s' subscription '' { to = 'p:' }", "!1 to 63 characters" },
    { "slot = '/s' subscription 'a' { to = 'p:\\0x' }", "!holds a zero byte" },
    { "slot = 5", "!slot must be a string" },
    { "slt = '/s'", "!rt.conf.lua:1: unknown setting \"slt\" (did you mean \"slot\"?)" },
    { "slot = '/s' subscripton 'a' { to = 'p:' }", "!unknown word \"subscripton\" (did you mean \"subscription\"?)" },
    { "slot = env 'RT_NOT_SET'", "!rt.conf.lua:1: environment variable RT_NOT_SET is not set" },
    { "slot = env(5)", "!bad argument" },
    { "slot='/s' subscription 'a' { to='x', workers=17 }", "!\"a\": workers must lie between 1 and 16" },
    { "slot='/s' subscription 'a' { to='x', workers=0 }", "!workers must be at least 1" },
    { "os.exit(0)", "!unknown word \"os\"" },
    { "string.rep('x', 5)", "!unknown word \"string\"" },
    { "while true do end", "!stopped after" },
    { "slot = '/s' .. ", "!rt.conf.lua:1:" },
    { "\033Lua", "!attempt to load a binary chunk" },
};

static void print(const struct config *c, struct buf *out)
{
    static const char *const on_error[] = { "stop", "skip", "dead_letter" };
    for (size_t i = 0; i < c->n; i++) {
        const struct subscription *s = &c->subs[i];
        buf_printf(out, "%s%s %s %s %s %s %d %d %d %d %d %d %d %d", i == 0 ? "" : "; ", s->name, s->slot, s->to,
                   s->script == NULL ? "-" : s->script, on_error[s->on_error], (int)s->batch_rows, (int)s->batch_bytes,
                   (int)s->script_memory, (int)s->script_steps, s->create, s->evolve, (int)s->zero_date, (int)s->nul);
    }
    if (c->http != NULL)
        buf_printf(out, " http %s", c->http);
}

int main(void)
{
    setenv("RT_DIR", "/from/env", 1);
    unsetenv("RT_NONE");
    unsetenv("RT_NOT_SET");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        struct config c = { 0 };
        struct buf got = { 0 };
        if (config_parse("rt.conf.lua", bytes_str(cases[i].text), "dir", &c, &err)) {
            print(&c, &got);
            config_clear(&c);
        } else {
            CHECK(err.code == ERR_CONFIG, "%s: code %d", cases[i].text, (int)err.code);
            buf_printf(&got, "!%s", err.msg);
        }
        const char *g = buf_cstr(&got), *w = cases[i].want;
        CHECK(w[0] == '!' ? g[0] == '!' && strstr(g, w + 1) != NULL : strcmp(g, w) == 0, "%s\n  want %s\n  got  %s",
              cases[i].text, w, g);
        buf_free(&got);
    }
    struct err err = { 0 };
    struct config c;
    CHECK(!config_load("no/such/file.lua", &c, &err) && strstr(err.msg, "no/such/file.lua") != NULL, "%s", err.msg);
    return UNIT_END();
}
