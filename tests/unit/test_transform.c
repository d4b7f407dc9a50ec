/* test_transform.c - records to batches: merging, cutting, barriers, errors and their policies.
 *
 * Input: one string per frame. "b" begin, "c" commit, "i5" insert of id 5, "u5" update of it, "d5" delete, "t"
 * truncate, "a" DDL, "m" message. Output: batches in []: rows by op and id, | between transactions, < continues, > goes
 * on, ! barrier. */
#include "script_unit.h"

#include "transform.h"

static const char *const no_script = NULL;
static const struct {
    const char *name, *script, *frames[6];
    size_t rows, bytes;
    enum script_error_policy on_error;
    const char *want; /* "...!error" at the end */
} cases[] = {
    { "one", no_script, { "bi1i2c" }, 100, 1 << 20, 0, "[i1i2]" },
    { "merged", no_script, { "bi1cbu2cbd3c" }, 100, 1 << 20, 0, "[i1|u2|d3]" },
    { "merged over frames", no_script, { "bi1c", "bi2c" }, 100, 1 << 20, 0, "[i1|i2]" },
    { "due at rows", no_script, { "bi1cbi2cbi3c" }, 2, 1 << 20, 0, "[i1|i2][i3]" },
    { "whole ones before it is too large", no_script, { "bi1cbi2i3i4cbi5c" }, 3, 1 << 20, 0, "[i1][i2i3i4][i5]" },
    { "large in one frame", no_script, { "bi1i2i3i4i5c" }, 2, 1 << 20, 0, "[i1i2>][<i3i4>][<i5]" },
    { "large after small", no_script, { "bi9cbi1i2i3c" }, 2, 1 << 20, 0, "[i9][i1i2>][<i3]" },
    { "large ends exactly", no_script, { "bi1i2i3i4cbi5c" }, 2, 1 << 20, 0, "[i1i2>][<i3i4][i5]" },
    { "large over frames",
      no_script,
      { "bi1c", "bi2i3", "i4i5", "i6c", "bi7c" },
      3,
      1 << 20,
      0,
      "[i1][i2i3i4>][<i5i6][i7]" },
    { "open at the end of a frame", no_script, { "bi1c", "bi2", "i3c" }, 100, 1 << 20, 0, "[i1][i2i3]" },
    { "due at bytes", no_script, { "bi1cbi2cbi3c" }, 100, 90, 0, "[i1|i2][i3]" },
    { "empty transaction", no_script, { "bcbi1c" }, 100, 1 << 20, 0, "[|i1]" },
    { "message", no_script, { "bmi1cbmc" }, 100, 1 << 20, 0, "[i1|]" },
    { "ddl is a barrier", no_script, { "bi1cbacbi2c" }, 100, 1 << 20, 0, "[i1][!a][i2]" },
    { "ddl first", no_script, { "bacbi2c" }, 100, 1 << 20, 0, "[!a][i2]" },
    { "ddl in its own frame", no_script, { "bi1c", "bac", "bi2c" }, 100, 1 << 20, 0, "[i1][!a][i2]" },
    { "truncate is a barrier", no_script, { "bi1cbtcbi2c" }, 100, 1 << 20, 0, "[i1][!t][i2]" },
    { "truncate among rows", no_script, { "bi9cbi1ti2c" }, 100, 1 << 20, 0, "[i9][i1>][!<t>][<i2]" },
    { "dropped", "function transform(c) return DROP end", { "bi1cbi2c" }, 100, 1 << 20, 0, "[|]" },
    { "dropped ones are due too", "function transform(c) return DROP end", { "bi1cbi2cbi3c" }, 2, 1 << 20, 0, "[|][]" },
    { "emitted", "function transform(c) emit(c) end", { "bi1c" }, 100, 1 << 20, 0, "[i1*i1]" },
    { "emits grow a piece",
      "function transform(c) emit(c) emit(c) end",
      { "bi1i2c" },
      2,
      1 << 20,
      0,
      "[i1*i1*i1>][<i2*i2*i2]" },
    { "other tables pass", "route('shop.x', function() return DROP end)", { "bi1u2d3c" }, 100, 1 << 20, 0, "[i1u2d3]" },
    { "truncate dropped",
      "function transform(c) if c.op == 'truncate' then return DROP end end",
      { "btc" },
      100,
      1 << 20,
      0,
      "[!]" },
    { "truncate routed", "function transform(c) c:to('y') end", { "btc" }, 100, 1 << 20, 0, "[!t]" },
    { "truncate has no row",
      "function transform(c) return c.row.id end",
      { "btc" },
      100,
      1 << 20,
      0,
      "!at LSN 2, shop.t: t.lua:1: a truncate has no rows" },
    { "error stops",
      "function transform(c) if c.row.id == 2 then error 'no' end end",
      { "bi1cbi2cbi3c" },
      100,
      1 << 20,
      ON_ERROR_STOP,
      "[i1]!at LSN 5, shop.t key (id=2): t.lua:1: no" },
    { "error in a piece",
      "function transform(c) if c.row.id == 4 then error 'no' end end",
      { "bi1cbi2i3i4c" },
      2,
      1 << 20,
      ON_ERROR_STOP,
      "[i1][i2i3>]!at LSN 7, shop.t key (id=4): t.lua:1: no" },
    { "error skips",
      "function transform(c) if c.row.id == 2 then error 'no' end end",
      { "bi1cbi2cbi3c" },
      100,
      1 << 20,
      ON_ERROR_SKIP,
      "[i1||i3]" },
    { "error to dead letters",
      "function transform(c) if c.row.id == 2 then error 'no' end end",
      { "bi1cbi2cbi3c" },
      100,
      1 << 20,
      ON_ERROR_DEAD_LETTER,
      "[i1||i3 dead 5: at LSN 5, shop.t key (id=2): t.lua:1: no]" },
    { "ddl dropped", "function ddl(e) return DROP end", { "bacbi1c" }, 100, 1 << 20, 0, "[!][i1]" },
    { "ddl answered", "function ddl(e) return 'SELECT 1' end", { "bac" }, 100, 1 << 20, 0, "[!a=SELECT 1]" },
    { "ddl pauses",
      "function ddl(e) return PAUSE end",
      { "bi1cbac" },
      100,
      1 << 20,
      ON_ERROR_SKIP,
      "[i1]!the subscription is paused: ddl() of the script answered PAUSE at LSN 5 to \"ALTER TABLE t ADD x INT\"" },
    { "ddl fails, whatever the policy",
      "function ddl(e) return 1 end",
      { "bac" },
      100,
      1 << 20,
      ON_ERROR_SKIP,
      "!at LSN 2: t.lua: ddl(e) must return" },
};

static bool build(struct frame_builder *fb, const struct relation *r, const char *text, uint64_t lsn, bool *inside,
                  struct frame **out, struct err *err)
{
    bool ok = true;
    frame_builder_reset(fb, lsn, *inside);
    for (const char *p = text; *p != '\0' && ok; p++) {
        char id[60], change[200];
        size_t n = strspn(p + 1, "0123456789");
        snprintf(id, sizeof id, "%.*s", (int)n, p + 1);
        struct rec_begin begin = { .commit_us = 1000000, .resolution_us = 1 };
        struct rec_commit commit = { .file = BYTES_LIT("bin.000001"), .end_offset = 1000 };
        struct rec_ddl ddl = { .schema = BYTES_LIT("shop"),
                               .sql = BYTES_LIT("ALTER TABLE t ADD x INT"),
                               .kind = DDL_ALTER_TABLE };
        struct rec_ddl truncate = { .schema = BYTES_LIT("shop"),
                                    .sql = BYTES_LIT("TRUNCATE t"),
                                    .kind = DDL_TRUNCATE,
                                    .t_schema = BYTES_LIT("shop"),
                                    .t_table = BYTES_LIT("t") };
        struct rec_message message = { .topic = BYTES_LIT("publication"), .body = BYTES_LIT("x") };
        switch (*p) {
        case 'b':
            ok = frame_add_begin(fb, &begin, err);
            *inside = true;
            break;
        case 'c':
            ok = frame_add_commit(fb, &commit, err);
            *inside = false;
            break;
        case 'a':
            ok = frame_add_ddl(fb, REC_DDL, &ddl, err);
            break;
        case 't':
            ok = frame_add_ddl(fb, REC_TRUNCATE, &truncate, err);
            break;
        case 'm':
            ok = frame_add_message(fb, &message, err);
            break;
        default:
            if (*p == 'u')
                snprintf(change, sizeof change, "~ %s|old => %s|new", id, id);
            else
                snprintf(change, sizeof change, "%c %s|x", *p == 'i' ? '+' : '-', id);
            ok = script_add(fb, r, change, err);
            p += n;
        }
    }
    *out = ok ? script_frame(fb, err) : NULL;
    return *out != NULL;
}

static void print(const struct batch *b, struct buf *out)
{
    static const char ops[] = "iudta";
    buf_printf(out, "[%s%s", b->barrier ? "!" : "", b->starts_inside ? "<" : "");
    size_t row = 0;
    for (size_t t = 0; t < b->ntxns; t++) {
        const struct batch_txn *x = &b->txns[t];
        if (t > 0)
            buf_u8(out, '|');
        for (; row < b->nrows && b->rows[row].txn == t; row++) {
            const struct outrow *o = &b->rows[row];
            buf_printf(out, "%s%c", o->emitted ? "*" : "", ops[o->op]);
            if (outrow_has_new(o) || outrow_has_old(o)) {
                struct val v = outrow_has_new(o) ? outrow_new_at(o, 0) : outrow_old_at(o, 0);
                val_text(&v, out);
            }
            if (o->op == OUT_DDL && o->ddl->sql.n != 0) {
                buf_u8(out, '=');
                buf_bytes(out, o->ddl->sql);
            }
        }
        bool last = t + 1 == b->ntxns;
        CHECK((x->commit_lsn == 0) == (last && b->ends_inside), "commit LSN of transaction %zu", t);
        CHECK(x->commit_lsn == 0 || strcmp(x->file, "bin.000001") == 0, "file %s", x->file);
    }
    for (size_t i = 0; i < b->ndead; i++)
        buf_printf(out, " dead %d: %s", (int)b->dead[i].lsn, b->dead[i].error);
    CHECK(!(b->starts_inside || b->ends_inside) || b->ntxns == 1, "a piece holds one transaction");
    CHECK(row == b->nrows, "rows of no transaction");
    buf_printf(out, "%s]", b->ends_inside ? ">" : "");
}

static void run(size_t at, struct buf *out)
{
    struct err err = { 0 };
    struct relation *r = script_relation("shop.t id:int:k v:varchar");
    struct shape_table *shapes = shape_table_new();
    struct lua_host *h = NULL;
    struct lua_host_options lo = { 0 };
    struct transform_options o = { cases[at].rows, cases[at].bytes, cases[at].on_error };
    struct transform *t = NULL;
    struct frame_builder *fb = frame_builder_new();
    bool ok = (cases[at].script == NULL || lua_host_open("t.lua", cases[at].script, &lo, shapes, &h, &err)) &&
              transform_new(&o, h, shapes, &t, &err);
    uint64_t lsn = 1;
    bool inside = false;
    buf_reset(out);
    for (size_t i = 0; ok && i < 6 && cases[at].frames[i] != NULL; i++) {
        struct frame *f = NULL;
        unsigned from = 0;
        ok = build(fb, r, cases[at].frames[i], lsn, &inside, &f, &err);
        while (ok && from < frame_count(f)) {
            struct batch *b = NULL;
            ok = transform_feed(t, f, &from, &b, &err);
            if (ok && b != NULL)
                print(b, out);
            batch_free(b);
        }
        lsn += f == NULL ? 0 : frame_count(f);
        frame_unref(f); /* what batches need, they hold */
    }
    struct batch *rest = t == NULL ? NULL : transform_take(t); /* after an error: what came before */
    if (rest != NULL)
        print(rest, out);
    batch_free(rest);
    if (!ok)
        buf_printf(out, "!%s", err.msg);
    if (ok && t != NULL)
        CHECK(transform_take(t) == NULL, "%s: nothing is left", cases[at].name);
    transform_free(t);
    lua_host_close(h);
    frame_builder_free(fb);
    shape_table_free(shapes);
    relation_unref(r);
}

/* A large transaction is handed out piece by piece when there is no input. */
static void take_inside(void)
{
    struct err err = { 0 };
    struct relation *r = script_relation("shop.t id:int:k v:varchar");
    struct shape_table *shapes = shape_table_new();
    struct transform_options o = { 100, 1 << 20, ON_ERROR_STOP };
    struct transform *t = NULL;
    struct frame_builder *fb = frame_builder_new();
    struct frame *f = NULL;
    struct batch *b = NULL;
    struct buf got = { 0 };
    bool inside = false;
    unsigned from = 0;
    CHECK(transform_new(&o, NULL, shapes, &t, &err) && build(fb, r, "bi1i2", 1, &inside, &f, &err) &&
              transform_feed(t, f, &from, &b, &err) && b == NULL,
          "%s", err.msg);
    CHECK((b = transform_take(t)) != NULL, "a piece");
    if (b != NULL)
        print(b, &got);
    batch_free(b);
    CHECK(transform_take(t) == NULL, "nothing new");
    frame_unref(f);
    from = 0;
    CHECK(build(fb, r, "i3c", 4, &inside, &f, &err) && transform_feed(t, f, &from, &b, &err) && b != NULL, "%s",
          err.msg);
    if (b != NULL)
        print(b, &got);
    CHECK(strcmp(buf_cstr(&got), "[i1i2>][<i3]") == 0, "got %s", buf_cstr(&got));
    CHECK(transform_stats(t)->changes == 3, "changes");
    batch_free(b);
    frame_unref(f);
    buf_free(&got);
    transform_free(t);
    frame_builder_free(fb);
    shape_table_free(shapes);
    relation_unref(r);
}

int main(void)
{
    struct buf got = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run(i, &got);
        const char *g = buf_cstr(&got), *w = cases[i].want;
        bool same = strchr(w, '!') != NULL && strchr(w, ':') != NULL ? strncmp(g, w, strlen(w)) == 0
                                                                     : strcmp(g, w) == 0;
        CHECK(same, "%s:\n  want %s\n  got  %s", cases[i].name, w, g);
    }
    buf_free(&got);
    take_inside();
    return UNIT_END();
}
