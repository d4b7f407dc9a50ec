/* test_apply_workers.c - one random history of transactions in a slot, applied by the whole pipeline with every number of workers and size
 * of batch: the destination always ends as the source did, and never shows a state that the source did not have (I5). Also while
 * connections are lost, and on the keys of turns.h alone. Needs PostgreSQL; skipped where none is installed. */
#include "apply_pipeline.h"
#include "pg_server.h"
#include "slot_fixture.h"
#include "turns.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TRANSACTIONS = 600, TRANSACTIONS_A_FRAME = 20, ROWS_MAX = 400, COLS = 3 };
enum { A, P, C, K, N, M1, M2, TABLES };

static const struct table {
    const char *name, *sql; /* at the destination */
    unsigned nkey;
} tables[TABLES] = {
    [A] = { "a", "x bigint PRIMARY KEY, y bigint UNIQUE, z bigint", 1 },
    [P] = { "p", "x bigint PRIMARY KEY, y bigint, z bigint", 1 },
    [C] = { "c", "x bigint PRIMARY KEY, y bigint REFERENCES shop.p, z bigint", 1 },
    [K] = { "k", "x bigint, y bigint, z bigint, PRIMARY KEY (x, y)", 2 },
    [N] = { "n", "x bigint, y bigint, z bigint", 0 },
    [M1] = { "m1", "x bigint PRIMARY KEY, y bigint, z bigint", 1 },
    [M2] = { "m2", "x bigint PRIMARY KEY, y bigint, z bigint", 1 },
};
struct row {
    struct val v[COLS];
};
static struct {
    struct row rows[ROWS_MAX];
    size_t n;
    struct relation *rel;
} model[TABLES];
static struct pg_server server;
static struct fixture slot;
static uint64_t changes, seed = 20240229;

static unsigned dice(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

static struct val number(int64_t v)
{
    return (struct val){ .kind = VAL_I64, .u.i64 = v };
}

static const struct val null = { .kind = VAL_NULL };

/* --- the source --- */

static bool taken(int t, unsigned col, const struct val *v)
{
    for (size_t i = 0; i < model[t].n; i++)
        if (val_eq(&model[t].rows[i].v[col], v))
            return true;
    return false;
}

/* A value of a column that no row has. */
static struct val fresh(int t, unsigned col, unsigned of)
{
    struct val v;
    do
        v = number(dice(of));
    while (taken(t, col, &v));
    return v;
}

static void insert(int t, struct val x, struct val y, struct val z)
{
    struct row r = { { x, y, z } };
    if (model[t].n == ROWS_MAX)
        return;
    model[t].rows[model[t].n++] = r;
    MUST(frame_add_insert(slot.b, model[t].rel, r.v, &err));
    changes++;
}

static void update(int t, size_t i, unsigned col, struct val v)
{
    struct row r = model[t].rows[i];
    r.v[col] = v;
    MUST(frame_add_update(slot.b, model[t].rel, model[t].rows[i].v, r.v, &err));
    model[t].rows[i] = r;
    changes++;
}

static void delete (int t, size_t i)
{
    MUST(frame_add_delete(slot.b, model[t].rel, model[t].rows[i].v, &err));
    model[t].rows[i] = model[t].rows[--model[t].n];
    changes++;
}

static void change_a(void)
{
    size_t n = model[A].n, i = n == 0 ? 0 : dice((unsigned)n), j = n == 0 ? 0 : dice((unsigned)n);
    unsigned what = dice(10);
    if (n < 30 || (what < 3 && n < 150)) {
        insert(A, fresh(A, 0, 300), dice(4) == 0 ? null : fresh(A, 1, 400), number(dice(9)));
    } else if (what < 5) {
        update(A, i, 2, number(dice(1000)));
    } else if (what == 5) {
        update(A, i, 1, dice(3) == 0 ? null : fresh(A, 1, 400));
    } else if (what == 6) {
        update(A, i, 0, fresh(A, 0, 300));
    } else if (what == 7 && i != j) { /* swaps the unique values of two rows */
        struct val vi = model[A].rows[i].v[1], vj = model[A].rows[j].v[1];
        update(A, i, 1, null);
        update(A, j, 1, vi);
        update(A, i, 1, vj);
    } else {
        delete (A, i);
    }
}

static void change_family(void)
{
    size_t np = model[P].n, nc = model[C].n;
    unsigned what = dice(10);
    if (np < 5 || (what == 0 && np < 60)) {
        insert(P, fresh(P, 0, 100), number(dice(9)), null);
    } else if (what < 5 && nc < 120) {
        insert(C, fresh(C, 0, 300), dice(8) == 0 ? null : model[P].rows[dice((unsigned)np)].v[0], number(dice(9)));
    } else if (what == 5) {
        update(P, dice((unsigned)np), 1, number(dice(1000)));
    } else if (what == 6 && nc != 0) {
        update(C, dice((unsigned)nc), 1, model[P].rows[dice((unsigned)np)].v[0]);
    } else if (what == 7) { /* a parent without children goes, or gets another key */
        size_t i = dice((unsigned)np);
        if (taken(C, 1, &model[P].rows[i].v[0]))
            return;
        if (dice(2) == 0)
            update(P, i, 0, fresh(P, 0, 100));
        else
            delete (P, i);
    } else if (nc != 0) {
        delete (C, dice((unsigned)nc));
    }
}

static void change_pairs(int t)
{
    size_t n = model[t].n, i = n == 0 ? 0 : dice((unsigned)n);
    unsigned what = dice(6);
    if (n < 10 || (what < 2 && n < 150))
        insert(t, number(dice(5)), t == K ? fresh(K, 1, 1000) : number(dice(3)), dice(5) == 0 ? null : number(dice(3)));
    else if (what == 2 && t == K)
        update(t, i, 1, fresh(K, 1, 1000));
    else if (what < 5)
        update(t, i, dice(2) == 0 || t == K ? 2 : 1, dice(5) == 0 ? null : number(dice(50)));
    else
        delete (t, i);
}

/* Two rows that always change together. */
static void change_both(void)
{
    struct val v = number((int64_t)slot.gno);
    size_t i = dice(5);
    update(M1, i, 1, v);
    update(M2, i, 1, v);
}

static void begin(void)
{
    fixture_begin(slot.b, ++slot.gno);
}

static void truncate_n(void)
{
    struct rec_ddl d = { .schema = BYTES_LIT("shop"),
                         .sql = BYTES_LIT("TRUNCATE n"),
                         .t_schema = BYTES_LIT("shop"),
                         .t_table = BYTES_LIT("n") };
    begin();
    MUST(frame_add_ddl(slot.b, REC_TRUNCATE, &d, &err));
    fixture_commit(slot.b, slot.gno, 0);
    model[N].n = 0;
    changes++;
}

static void write_history(void)
{
    begin();
    for (int i = 0; i < 5; i++) {
        insert(M1, number(i), null, null);
        insert(M2, number(i), null, null);
    }
    fixture_commit(slot.b, slot.gno, 0);
    fixture_append(&slot);
    for (int i = 1; i <= TRANSACTIONS; i++) {
        begin();
        for (unsigned n = dice(20) == 0 ? 40 : 1 + dice(4); n != 0; n--) {
            unsigned what = dice(10);
            if (what < 4)
                change_a();
            else if (what < 7)
                change_family();
            else
                change_pairs(what == 7 ? N : K);
        }
        if (dice(4) == 0)
            change_both();
        fixture_commit(slot.b, slot.gno, 0);
        if (i % 200 == 100)
            truncate_n();
        if (i % TRANSACTIONS_A_FRAME == 0)
            fixture_append(&slot);
    }
    fixture_flush(&slot);
}

/* --- the destination --- */

static void run(const char *sql)
{
    const char *got = pg_server_one(&server, sql);
    CHECK(strncmp(got, "ERROR", 5) != 0, "%s: %s", sql, got);
}

static void make_tables(const char *schema)
{
    char sql[512];
    snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS %s CASCADE", schema);
    run(sql);
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", schema);
    run(sql);
    for (int t = 0; t < TABLES; t++) {
        bool plain = strcmp(schema, "want") == 0;
        snprintf(sql, sizeof sql, "CREATE TABLE %s.%s (%s)", schema, tables[t].name,
                 plain ? "x bigint, y bigint, z bigint" : tables[t].sql);
        run(sql);
    }
}

static void store_model(void)
{
    make_tables("want");
    for (int t = 0; t < TABLES; t++) {
        struct buf sql = { 0 };
        buf_printf(&sql, "INSERT INTO want.%s VALUES ", tables[t].name);
        for (size_t i = 0; i < model[t].n; i++) {
            for (unsigned c = 0; c < COLS; c++) {
                buf_str(&sql, c != 0 ? "," : i == 0 ? "(" : "),(");
                val_text(&model[t].rows[i].v[c], &sql);
            }
        }
        buf_str(&sql, ")");
        if (model[t].n != 0)
            run(buf_cstr(&sql));
        buf_free(&sql);
    }
}

static void compare(const char *what)
{
    char sql[256];
    for (int t = 0; t < TABLES; t++) {
        const char *n = tables[t].name;
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM ((TABLE want.%s EXCEPT ALL TABLE shop.%s) UNION ALL (TABLE shop.%s EXCEPT ALL "
                 "TABLE want.%s)) d",
                 n, n, n, n);
        const char *got = pg_server_one(&server, sql);
        CHECK(strcmp(got, "0") == 0, "%s: table %s differs in %s rows", what, n, got);
    }
}

/* Looks at the destination while it is written; kills sessions if asked to. */
struct watch {
    pthread_t thread;
    atomic_bool end;
    bool kills, fences;
    unsigned looks, torn, killed;
    uint64_t fenced_at; /* LSN; 0: not yet */
};

static void *look(void *arg)
{
    struct watch *w = arg;
    PGconn *c = PQconnectdb(server.url);
    while (!atomic_load(&w->end)) {
        PGresult *r = PQexec(c, "SELECT count(*) FROM shop.m1 JOIN shop.m2 USING (x) WHERE m1.y IS DISTINCT FROM m2.y");
        w->looks += PQresultStatus(r) == PGRES_TUPLES_OK;
        w->torn += PQresultStatus(r) == PGRES_TUPLES_OK && strcmp(PQgetvalue(r, 0, 0), "0") != 0;
        PQclear(r);
        if (w->kills && w->killed < 6) {
            r = PQexec(c,
                       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rowtide "
                       "apply %' AND "
                       "state LIKE '%transaction%' AND EXISTS (SELECT 1 FROM rowtide.progress WHERE lsn > 0) LIMIT 1");
            w->killed += PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
            PQclear(r);
        }
        if (w->fences && w->fenced_at == 0) {
            r = PQexec(c, "UPDATE rowtide.progress SET epoch = epoch + 1 WHERE lsn > 0 RETURNING lsn");
            if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1)
                w->fenced_at = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
            PQclear(r);
        }
        nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    }
    PQfinish(c);
    return NULL;
}

enum trouble { NO_TROUBLE, SESSIONS_KILLED, TAKEN_OVER };

static bool apply_watched(const struct subscription *sub, struct sub_status *status, struct watch *watch, struct err *e)
{
    sub_status_init(status, sub->name);
    CHECK(pthread_create(&watch->thread, NULL, look, watch) == 0, "thread");
    bool ok = apply_run(sub, status, e);
    atomic_store(&watch->end, true);
    pthread_join(watch->thread, NULL);
    pthread_mutex_destroy(&status->lock);
    return ok;
}

static void apply(unsigned workers, unsigned batch_rows, enum trouble trouble)
{
    static const char *const troubles[] = { "", ", sessions killed", ", taken over" };
    static unsigned count;
    char name[64], what[100];
    struct subscription sub;
    struct sub_status status;
    struct err e = { 0 };
    struct watch watch = { .kills = trouble == SESSIONS_KILLED, .fences = trouble == TAKEN_OVER };
    snprintf(name, sizeof name, "s%u", ++count);
    snprintf(what, sizeof what, "%u workers, batches of %u%s", workers, batch_rows, troubles[trouble]);
    make_tables("shop");
    run("DROP SCHEMA IF EXISTS rowtide CASCADE");
    subscription_defaults(&sub);
    sub.slot = slot.dir;
    sub.name = name;
    sub.to = server.url;
    sub.once = true;
    sub.workers = workers;
    sub.batch_rows = batch_rows;
    bool ok = apply_watched(&sub, &status, &watch, &e);
    if (trouble == TAKEN_OVER && watch.fenced_at != 0 && watch.fenced_at != atomic_load(&status.flushed_lsn)) {
        CHECK(!ok && e.code == ERR_FENCED, "%s: not fenced off: %s", what, e.msg);
        CHECK(atomic_load(&status.applied_lsn) == watch.fenced_at, "%s: went on behind LSN %llu", what,
              (unsigned long long)watch.fenced_at);
        atomic_store(&watch.end, false);
        ok = apply_watched(&sub, &status, &watch, &e); /* takes it back */
    }
    CHECK(ok, "%s: %s", what, e.msg);
    compare(what);
    CHECK(watch.torn == 0, "%s: %u of %u looks saw what the source never was", what, watch.torn, watch.looks);
    CHECK(atomic_load(&status.changes) == changes, "%s: %llu changes counted, not %llu", what,
          (unsigned long long)atomic_load(&status.changes), (unsigned long long)changes);
    if (trouble == NO_TROUBLE) { /* every dependency was known */
        CHECK(atomic_load(&status.one_by_one) == 0, "%s: %llu times one by one", what,
              (unsigned long long)atomic_load(&status.one_by_one));
        CHECK(atomic_load(&status.fallbacks) == 0, "%s: went row by row", what);
    }
}

static void test_turns(void)
{
    struct turns *t = turns_new();
    const struct touch w1 = { 1 << 1, true }, w2 = { 2 << 1, true }, r2 = { 2 << 1, false }, w3 = { 3 << 1, true };
    const struct touch both[] = { w2, w3 };
    CHECK(turns_enter(t, 1) && !turns_touch(t, 1, &w1, 1) && !turns_touch(t, 1, &w1, 1), "alone: early");
    CHECK(!turns_touch(t, 1, &r2, 1), "a reader");
    turns_entered(t, 1);
    CHECK(turns_enter(t, 2) && turns_touch(t, 2, &w1, 1), "written by 1: late");
    CHECK(!turns_touch(t, 2, &r2, 1), "readers do not disturb each other");
    CHECK(turns_touch(t, 2, both, 2), "read by 1, written now: late");
    CHECK(turns_touch(t, 2, &w3, 1), "behind a late row of its own: late");
    turns_entered(t, 2);
    CHECK(turns_wait(t, 1), "the first has its turn");
    turns_committed(t, 1);
    CHECK(turns_wait(t, 2), "then the second");
    CHECK(turns_enter(t, 3) && !turns_touch(t, 3, &(struct touch){ 8, true }, 1), "free");
    CHECK(turns_touch(t, 3, &w1, 1), "2 is under way");
    turns_committed(t, 2);
    CHECK(turns_touch(t, 3, &w1, 1), "it was late in this batch already");
    CHECK(!turns_touch(t, 3, &w3, 1), "no longer in the way");
    turns_touch_all(t, 3);
    CHECK(turns_touch(t, 3, &(struct touch){ 10, true }, 1), "behind what touches everything");
    turns_entered(t, 3);
    for (uint64_t i = 0; i < 100000; i++) { /* grows, and forgets what is committed */
        if (i == 3)
            turns_committed(t, 3);
        CHECK(turns_touch(t, 4, &(struct touch){ (i + 100) * 2, true }, 1) == (i < 3), "key %llu",
              (unsigned long long)i);
    }
    CHECK(turns_touch(t, 5, &(struct touch){ 300, true }, 1), "kept while under way");
    turns_abort(t);
    CHECK(!turns_enter(t, 9) && !turns_wait(t, 9), "sent back");
    turns_reset(t);
    CHECK(turns_enter(t, 1) && !turns_touch(t, 1, &w1, 1) && turns_wait(t, 1), "anew");
    turns_free(t);
}

int main(void)
{
    static const unsigned workers[] = { 1, 2, 4 }, sizes[] = { 1, 7, 60, 5000 };
    test_turns();
    if (!pg_server_find(&server)) {
        printf("no PostgreSQL here: skipped\n");
        return UNIT_END();
    }
    slog_threshold = SLOG_ERROR;
    if (!pg_server_start(&server)) {
        CHECK(false, "PostgreSQL does not start");
        return UNIT_END();
    }
    run("SET client_min_messages = warning");
    slot = fixture_new(&one_segment);
    for (int t = 0; t < TABLES; t++) {
        struct column cols[COLS];
        for (unsigned c = 0; c < COLS; c++)
            cols[c] = (struct column){ .name = (struct bytes){ (const uint8_t *)"xyz" + c, 1 },
                                       .type = COL_INT,
                                       .int_bits = 64,
                                       .visible = true,
                                       .nullable = c >= tables[t].nkey,
                                       .key_pos = c < tables[t].nkey ? (uint16_t)(c + 1) : 0 };
        MUST(relation_new(BYTES_LIT("shop"), bytes_str(tables[t].name), cols, COLS, &model[t].rel, &err));
    }
    write_history();
    store_model();
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            apply(workers[i], sizes[k], NO_TROUBLE);
    apply(2, 20, SESSIONS_KILLED);
    apply(4, 7, SESSIONS_KILLED);
    apply(2, 3, TAKEN_OVER);
    for (int t = 0; t < TABLES; t++)
        relation_unref(model[t].rel);
    fixture_free(&slot);
    pg_server_stop(&server);
    return UNIT_END();
}
