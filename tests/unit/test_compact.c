/* test_compact.c - a batch as a line of text, the plan as a line of text.
 *
 * Changes: "+1a" insert key 1 with value a, "=1b" update, "-1" delete, ">12c" key 1 becomes 2, "=1." update without
 * the value, "T" truncate; the table follows as a letter where it is not A: "+1a@B". Plan: one group per word,
 * "I[1a,2b] U[1c] D[3] K[1>2c] T". */
#include "batch_fixture.h"
#include "compact.h"

enum { TABLES = 4 };
static const struct shape *shape[TABLES];
static struct compact_traits traits[TABLES];

static const struct compact_traits *of(void *ctx, const struct shape *s)
{
    (void)ctx;
    for (int i = 0; i < TABLES; i++)
        if (shape[i] == s)
            return &traits[i];
    abort();
}

static struct val key(char c)
{
    return c == 'n' ? VN : VI(c - '0');
}

static struct val value(const char *c)
{
    static const char letters[] = "a\0b\0c\0d\0e\0f\0g\0h\0x\0y\0z";
    if (*c == '.')
        return VA;
    for (size_t i = 0; i < sizeof letters; i += 2)
        if (letters[i] == *c)
            return VT(&letters[i]);
    abort();
}

static struct batch *parse(const char *text)
{
    struct batch *b = batch_new();
    fixture_txn(b, 1);
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, " ");
        const char *at = memchr(p, '@', n);
        const struct shape *s = shape[at == NULL ? 0 : at[1] - 'A'];
        if (*p == '+')
            fixture_insert(b, s, ROW(key(p[1]), value(p + 2)));
        else if (*p == '=')
            fixture_update(b, s, ROW(key(p[1]), VT("x")), ROW(p[2] == '.' ? VA : key(p[1]), value(p + 2)));
        else if (*p == '-')
            fixture_delete(b, s, ROW(key(p[1]), VA));
        else if (*p == '>')
            fixture_update(b, s, ROW(key(p[1]), VT("x")), ROW(key(p[2]), value(p + 3)));
        else
            fixture_add(b, OUT_TRUNCATE, s, NULL, NULL);
        p += n + (p[n] == ' ');
    }
    return b;
}

/* The same rows as no script has seen them: in a frame. */
static void send(struct batch *b)
{
    struct err err = { 0 };
    struct frame_builder *fb = frame_builder_new();
    struct buf payload = { 0 };
    struct frame_info info;
    struct frame *f;
    frame_builder_reset(fb, 1, false);
    fixture_need(frame_add_begin(fb, &(struct rec_begin){ .commit_us = 1 }, &err), &err);
    for (size_t i = 0; i < b->nrows; i++) {
        const struct outrow *r = &b->rows[i];
        if (r->op == OUT_INSERT)
            fixture_need(frame_add_insert(fb, r->shape->rel, r->new_row, &err), &err);
        else if (r->op == OUT_UPDATE)
            fixture_need(frame_add_update(fb, r->shape->rel, r->old_row, r->new_row, &err), &err);
        else if (r->op == OUT_DELETE)
            fixture_need(frame_add_delete(fb, r->shape->rel, r->old_row, &err), &err);
    }
    fixture_need(frame_add_commit(fb, &(struct rec_commit){ .file = BYTES_LIT("bin.1") }, &err), &err);
    fixture_need(frame_builder_finish(fb, &payload, &info, &err) &&
                     frame_decode(buf_view(&payload), &info, frame_builder_relations(fb), &f, &err) &&
                     batch_hold_frame(b, f, &err),
                 &err);
    unsigned at = 1; /* behind BEGIN */
    for (size_t i = 0; i < b->nrows; i++) {
        if (b->rows[i].op > OUT_DELETE)
            continue;
        b->rows[i].sent = frame_record(f, at++);
        b->rows[i].plain = true;
        b->rows[i].new_row = b->rows[i].old_row = NULL;
    }
    frame_unref(f);
    buf_free(&payload);
    frame_builder_free(fb);
}

static void put(struct buf *out, const struct val *v)
{
    if (v->kind == VAL_ABSENT)
        buf_u8(out, '.');
    else if (v->kind == VAL_NULL)
        buf_u8(out, 'n');
    else
        val_text(v, out);
}

static void show(const struct plan *p, struct buf *out)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_group *g = p->groups[i];
        if (i != 0)
            buf_u8(out, ' ');
        buf_u8(out, g->op == OUT_UPDATE && g->key_change ? 'K' : (uint8_t) "IUDT"[g->op]);
        if (g->op == OUT_TRUNCATE)
            continue;
        buf_u8(out, '[');
        for (size_t k = 0; k < g->n; k++) {
            struct val v;
            if (k != 0)
                buf_u8(out, ',');
            if (g->op != OUT_INSERT) {
                v = plan_old_at(g, k, 0);
                put(out, &v);
            }
            if (g->key_change)
                buf_u8(out, '>');
            if (g->op == OUT_INSERT || g->key_change) {
                v = plan_new_at(g, k, 0);
                put(out, &v);
            }
            if (g->op != OUT_DELETE) {
                v = plan_new_at(g, k, 1);
                put(out, &v);
                bool there = v.kind != VAL_ABSENT;
                CHECK(there == bit_test(g->present, 1), "presence of the value");
                CHECK(g->shape->nkey == 0 || bit_test(g->present, 0) == (g->op == OUT_INSERT || g->key_change),
                      "presence of the key");
            }
        }
        buf_u8(out, ']');
        if (g->shape != shape[0])
            buf_str(out, g->shape == shape[1] ? "@B" : g->shape == shape[2] ? "@C" : "@D");
    }
}

static void test_plans(void)
{
    static const struct {
        const char *name, *orders /* of A, B: k t g, and modifiers */, *in, *want;
    } cases[] = {
        { "insert + update", "k", "+1a =1b", "I[1b]" },
        { "insert + delete", "k", "+1a -1", "" },
        { "insert + update + delete + insert", "k", "+1a =1b -1 +1c", "I[1c]" },
        { "update + update", "k", "=1a =1b", "U[1b]" },
        { "update + update of nothing", "k", "=1a =1.", "U[1a]" },
        { "update + delete", "k", "=1a -1", "D[1]" },
        { "delete + insert", "k", "-1 +1a", "D[1] I[1a]" },
        { "delete + insert + delete", "k", "-1 +1a -1", "D[1]" },
        { "delete + insert + update", "k", "-1 +1a =1b", "D[1] I[1b]" },
        { "order in the table", "k", "+1a =2b -3 +4d -5 =6f", "D[3,5] U[2b,6f] I[1a,4d]" },
        { "updates with other columns are other statements", "k", "=1a =2. =3c =4.", "U[1a,3c] U[2.,4.]" },
        { "insert after insert never merges", "k", "+1a +1b", "I[1a,1b]" },
        { "update after delete", "k", "-1 =1a", "D[1] U[1a]" },
        { "delete after delete", "k", "-1 -1", "D[1] D[1]" },
        { "insert after update", "k", "=1a +1b", "U[1a] I[1b]" },
        { "delete after insert and delete", "k", "+1a -1 -1", "I[1a] D[1] D[1]" },
        { "NULL in the key", "k", "+na =1b", "I[na] U[1b]" },
        { "key moves", "k", ">12c", "D[1] I[2c]" },
        { "new row moves", "k", "+1a >12c =2d", "I[2d]" },
        { "new row moves on and on", "k", "+1a >12. >23. =3b", "I[3b]" },
        { "moved row, the old key comes back", "k", "+1a >12c +1d", "I[1d,2c]" },
        { "key moves to one that was freed", "k", "-2 >12c", "D[2,1] I[2c]" },
        { "key moves to one that is taken", "k", "=2a >12c", "U[2a] K[1>2c]" },
        { "a ring", "k", ">19a >21b >92c", "D[1,2] I[1b,2c]" },
        { "incomplete image: the key is set in place", "k", ">12.", "K[1>2.]" },
        { "replaced row moves", "k", "-1 +1a >12b", "D[1] I[2b]" },
        { "columns unknown to us: the key is set in place", "kx", ">12c =3a", "K[1>2c] U[3a]" },
        { "but a row of this batch is known whole", "kx", "+1a >12c", "I[2c]" },
        { "truncate", "k", "+1a T +1b =1c", "I[1a] T I[1c]" },
        { "truncate of one table waits for all before it", "kk", "+1a +1a@B T +2a@B", "I[1a] I[1a]@B T I[2a]@B" },
        { "two tables", "kk", "+1a +1a@B =1b -2@B", "I[1b] D[2]@B I[1a]@B" },
        { "source order: runs", "t", "+1a +2b =1c =2d -1 -2 +1e", "I[1a,2b] U[1c,2d] D[1,2] I[1e]" },
        { "source order: a key twice", "t", "=1a =1b =2c", "U[1a] U[1b,2c]" },
        { "source order: other columns", "t", "=1a =2. =3.", "U[1a] U[2.,3.]" },
        { "source order: the key moves alone", "t", "=1a >23b =4c", "U[1a] K[2>3b] U[4c]" },
        { "guarded value changes alone", "tg", "=1x =2x =3a =4x", "U[1x,2x] U[3a] U[4x]" },
        { "any value is guarded", "ta", "=1x =2b", "U[1x] U[2b]" },
        { "triggers: inserts only", "tm", "+1a +2a =1b =2b -1 -2", "I[1a,2a] U[1b] U[2b] D[1] D[2]" },
        { "tables apart", "tt", "+1a +1a@B +2a +2a@B", "I[1a,2a] I[1a,2a]@B" },
        { "tables in one order", "gg", "+1a +1a@B +2a +2a@B", "I[1a] I[1a]@B I[2a] I[2a]@B" },
        { "one of them free", "gk", "+1a +1a@B =1b@B +2a +2a@B", "I[1b,2a]@B I[1a,2a]" },
        { "no key", "kkk", "+1a@C +1a@C =1b@C =1b@C -1@C", "I[1a,1a]@C U[1b]@C U[1b]@C D[1]@C" },
        { "two shapes for one table", "kkkk", "+1a +2a@D =1b", "I[1a] I[2a]@D U[1b]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const bool guard[] = { false, true };
        const char *o = cases[i].orders;
        for (int t = 0; t < TABLES; t++) {
            char c = *o == '\0' ? 'k' : *o++;
            traits[t] = (struct compact_traits){ .order = c == 'k'   ? COMPACT_KEYS
                                                          : c == 't' ? COMPACT_TABLE
                                                                     : COMPACT_GLOBAL,
                                                 .table = t == 3 ? 0 : (uint32_t)t,
                                                 .whole = true,
                                                 .merge = true };
            for (; *o == 'x' || (c != 'g' && *o == 'g') || *o == 'a' || *o == 'm'; o++) {
                traits[t].whole &= *o != 'x';
                traits[t].merge &= *o != 'm';
                traits[t].guard_all |= *o == 'a';
                if (*o == 'g')
                    traits[t].guard = guard;
            }
        }
        for (int sent = 0; sent < 2; sent++) {
            struct err err = { 0 };
            struct batch *b = parse(cases[i].in);
            struct arena *a = arena_new(0);
            struct plan p;
            struct buf got = { 0 };
            if (sent != 0)
                send(b);
            CHECK(compact_plan(b, 0, b->nrows, of, NULL, a, &p, &err), "%s: %s", cases[i].name, err.msg);
            show(&p, &got);
            CHECK(strcmp(buf_cstr(&got), cases[i].want) == 0, "%s%s: %s\n  want %s\n  got  %s", cases[i].name,
                  sent != 0 ? ", as sent" : "", cases[i].in, cases[i].want, buf_cstr(&got));
            for (size_t k = 0; k < p.n; k++)
                CHECK(p.groups[k]->op == OUT_TRUNCATE || p.groups[k]->plain == (sent != 0), "%s: plain", cases[i].name);
            buf_free(&got);
            arena_free(a);
            batch_free(b);
        }
    }
}

/* The old rows that a statement looks for, and the last change behind a merged one. */
static void test_details(void)
{
    struct err err;
    struct batch *b = parse("=1a =1b -2");
    struct arena *a = arena_new(0);
    struct plan p;
    traits[0] = (struct compact_traits){ .order = COMPACT_KEYS, .whole = true, .merge = true };
    CHECK(compact_plan(b, 0, 3, of, NULL, a, &p, &err) && p.n == 2 && p.merged == 1, "plan");
    CHECK(p.groups[0]->op == OUT_DELETE && p.groups[0]->src[0] == &b->rows[2] && p.groups[0]->old[0] == &b->rows[2],
          "delete");
    CHECK(p.groups[1]->src[0] == &b->rows[1] && p.groups[1]->old[0] == &b->rows[0], "update");
    CHECK(b->rows[0].new_row[1].u.str.p[0] == 'a', "the batch itself is left alone: it may be planned again");
    CHECK(compact_plan(b, 1, 2, of, NULL, a, &p, &err) && p.n == 1 && p.groups[0]->src[0] == &b->rows[1],
          "a part of the batch");
    struct plan_group *g;
    CHECK(compact_single(&b->rows[1], a, &g, &err) && g->n == 1 && g->op == OUT_UPDATE && !g->key_change &&
              g->known == NULL && bit_test(g->present, 1) && !bit_test(g->present, 0),
          "one row alone");
    arena_free(a);
    batch_free(b);
}

/* Many keys: the hash tables grow, and nothing is lost. */
static void test_many(void)
{
    enum { N = 20000 };
    struct err err;
    struct batch *b = batch_new();
    struct arena *a = arena_new(0);
    struct plan p;
    fixture_txn(b, 1);
    for (int i = 0; i < N; i++)
        fixture_update(b, shape[0], ROW(VI(i % (N / 2)), VT("x")), ROW(VI(i % (N / 2)), VT(i < N / 2 ? "a" : "b")));
    for (int order = 0; order < 2; order++) {
        traits[0] = (struct compact_traits){ .order = order == 0 ? COMPACT_KEYS : COMPACT_TABLE,
                                             .whole = true,
                                             .merge = true };
        size_t rows = 0, wrong = 0;
        CHECK(compact_plan(b, 0, N, of, NULL, a, &p, &err), "%s", err.msg);
        for (size_t i = 0; i < p.n; i++)
            rows += p.groups[i]->n;
        for (size_t i = 0; i < p.groups[0]->n; i++)
            wrong += plan_new_at(p.groups[0], i, 1).u.str.p[0] != (order == 0 ? 'b' : 'a');
        CHECK(p.n == (order == 0 ? 1 : 2) && rows == (order == 0 ? N / 2 : N) && wrong == 0,
              "order %d: %zu groups, %zu rows, %zu wrong", order, p.n, rows, wrong);
    }
    arena_free(a);
    batch_free(b);
}

int main(void)
{
    struct shape_table *t = shape_table_new();
    for (int i = 0; i < TABLES; i++) {
        char name[2] = { (char)('A' + i), '\0' };
        shape[i] = i == 2 ? SHAPE(t, "s", name, COL("id", INT, .nullable = true), COL("v", TEXT, .nullable = true))
                          : SHAPE(t, "s", name, COL("id", INT, .key_pos = 1), COL("v", TEXT, .nullable = true));
    }
    test_plans();
    test_details();
    test_many();
    shape_table_free(t);
    return UNIT_END();
}
