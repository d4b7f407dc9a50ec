/* pg_write.c - see pg_write.h. */
#include "pg_write.h"

#include "pg_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUCKETS = 1024,
    STATEMENTS_MAX = 1000,
    CHUNK_ROWS = 5000,
    CHUNK_BYTES = 1 << 20,
    FIRST_ROWS = 500,                  /* the server is at work on these while the rest is encoded */
    COPY_BYTES = 64 << 10,             /* handed on at a time */
    SPARE_ROWS = 32,                   /* an update of so many rows leaves out columns that none of them changes */
    COPY_ROWS = 500,                   /* from so many on, COPY is worth its round trips */
    VALUE_MAX = (1 << 30) - (1 << 16), /* PostgreSQL's field limit is 1 GB */
    DATA_KEPT = 16 << 20,
    ARRAY_OF_TEXT = 1009
};

struct stmt {
    struct stmt *chain, *newer, *older;
    uint32_t hash;
    char name[24];
    size_t nkey;
    uint8_t key[];
};
struct piece { /* one parameter */
    uint16_t col;
    bool as_text, null;
    size_t at, n; /* in w->data */
};
struct pg_writer {
    struct pg_policy policy;
    struct stmt *buckets[BUCKETS];
    struct stmt *newest, *oldest;
    size_t nstatements;
    uint64_t names;
    bool stale;
    uint64_t coerced;
    struct buf data, key, sql;
    struct val *values; /* of one column of a chunk, or of one row */
    struct piece *pieces;
    struct pg_param *params;
    struct pg_sql_col *cols;
    unsigned cap; /* of the three, and of values beyond CHUNK_ROWS */
};

/* --- targets --- */

static bool same_key(const struct shape *s, const struct pg_table *t, const struct pg_column *const *dst)
{
    if (s->nkey == 0 || s->nkey != t->nkey)
        return false;
    for (unsigned i = 0; i < s->nkey; i++) {
        bool found = false;
        for (unsigned k = 0; k < t->nkey; k++)
            found |= dst[s->key[i]] == &t->cols[t->key[k]];
        if (!found)
            return false;
    }
    return true;
}

static void set_traits(struct pg_target *p)
{
    const struct shape *s = p->shape;
    const struct pg_table *t = p->table;
    bool table = t->kind == 'r' || t->kind == 'p', key = same_key(s, t, p->dst);
    bool fires = t->triggers || t->rules || !table;
    unsigned written = 0, here = 0;
    for (unsigned i = 0; i < s->ncols; i++) {
        written += p->dst[i] != NULL;
        p->guard[i] = p->dst[i] != NULL && p->dst[i]->guarded;
        for (unsigned k = 0; !key && k < t->nkey; k++)
            p->guard[i] |= p->dst[i] == &t->cols[t->key[k]];
    }
    for (unsigned i = 0; i < t->ncols; i++)
        here += !t->cols[i].generated;
    p->traits = (struct compact_traits){ .order = COMPACT_TABLE,
                                         .table = t->oid,
                                         .whole = written == here,
                                         .merge = !fires,
                                         .guard = p->guard,
                                         .guard_all = t->odd_unique };
    if (fires || t->foreign_keys)
        p->traits.order = COMPACT_GLOBAL;
    else if (key && t->nunique == 1 && !t->odd_unique)
        p->traits.order = COMPACT_KEYS;
}

bool pg_target_new(const struct shape *s, struct pg_table *table, struct pg_target **out, unsigned *missing,
                   struct err *err)
{
    struct pg_target *p = calloc(1, sizeof *p);
    if (p == NULL)
        return err_nomem(err);
    p->shape = s;
    p->dst = calloc(s->ncols + 1, sizeof(struct pg_column *));
    p->guard = calloc(s->ncols + 1, sizeof *p->guard);
    if (p->dst == NULL || p->guard == NULL) {
        pg_target_free(p);
        return err_nomem(err);
    }
    *missing = s->ncols;
    for (unsigned i = 0; i < s->ncols; i++) {
        int at = pg_table_column(table, s->cols[i].name);
        if (at < 0) {
            *missing = i;
            pg_target_free(p);
            return err_set(err, ERR_CONFIG, "no such column");
        }
        if (!table->cols[at].generated)
            p->dst[i] = &table->cols[at];
    }
    p->deps = pg_deps_new(s, table, p->dst);
    if (p->deps == NULL) {
        pg_target_free(p);
        return err_nomem(err);
    }
    p->table = table;
    set_traits(p);
    *out = p;
    return true;
}

void pg_target_free(struct pg_target *t)
{
    if (t == NULL)
        return;
    pg_table_free(t->table);
    pg_deps_free(t->deps);
    free(t->dst);
    free(t->guard);
    free(t);
}

/* --- statements --- */

struct pg_writer *pg_writer_new(const struct pg_policy *policy)
{
    struct pg_writer *w = calloc(1, sizeof *w);
    if (w != NULL)
        w->policy = *policy;
    return w;
}

static void drop_all(struct pg_writer *w)
{
    for (struct stmt *s = w->newest, *next; s != NULL; s = next) {
        next = s->older;
        free(s);
    }
    memset(w->buckets, 0, sizeof w->buckets);
    w->newest = w->oldest = NULL;
    w->nstatements = 0;
}

void pg_writer_free(struct pg_writer *w)
{
    if (w == NULL)
        return;
    drop_all(w);
    buf_free(&w->data);
    buf_free(&w->key);
    buf_free(&w->sql);
    free(w->values);
    free(w->pieces);
    free(w->params);
    free(w->cols);
    free(w);
}

void pg_writer_forget(struct pg_writer *w)
{
    w->stale = true;
    drop_all(w);
}

bool pg_writer_fresh(struct pg_writer *w, struct pg_link *l, struct err *err)
{
    bool stale = w->stale;
    w->stale = false;
    return !stale || pg_link_send(l, NULL, "DEALLOCATE ALL", NULL, 0, -1, 0, err);
}

uint64_t pg_writer_coerced(const struct pg_writer *w)
{
    return w->coerced;
}

static void unlink_lru(struct pg_writer *w, struct stmt *s)
{
    *(s->newer == NULL ? &w->newest : &s->newer->older) = s->older;
    *(s->older == NULL ? &w->oldest : &s->older->newer) = s->newer;
}

static void push_lru(struct pg_writer *w, struct stmt *s)
{
    s->newer = NULL;
    s->older = w->newest;
    *(w->newest == NULL ? &w->oldest : &w->newest->newer) = s;
    w->newest = s;
}

static bool evict(struct pg_writer *w, struct pg_link *l, struct err *err)
{
    struct stmt *s = w->oldest;
    char sql[64];
    struct stmt **at = &w->buckets[s->hash % BUCKETS];
    while (*at != s)
        at = &(*at)->chain;
    *at = s->chain;
    unlink_lru(w, s);
    w->nstatements--;
    snprintf(sql, sizeof sql, "DEALLOCATE %s", s->name);
    free(s);
    return pg_link_send(l, NULL, sql, NULL, 0, -1, 0, err);
}

static struct stmt *find(struct pg_writer *w, uint32_t hash)
{
    for (struct stmt *s = w->buckets[hash % BUCKETS]; s != NULL; s = s->chain) {
        if (s->hash != hash || !bytes_eq((struct bytes){ s->key, s->nkey }, buf_view(&w->key)))
            continue;
        unlink_lru(w, s);
        push_lru(w, s);
        return s;
    }
    return NULL;
}

static struct stmt *add(struct pg_writer *w, uint32_t hash, struct err *err)
{
    struct stmt *s = malloc(sizeof *s + w->key.n);
    if (s == NULL) {
        err_nomem(err);
        return NULL;
    }
    s->hash = hash;
    s->nkey = w->key.n;
    memcpy(s->key, w->key.p, w->key.n);
    snprintf(s->name, sizeof s->name, "r%" PRIu64, ++w->names);
    s->chain = w->buckets[hash % BUCKETS];
    w->buckets[hash % BUCKETS] = s;
    push_lru(w, s);
    w->nstatements++;
    return s;
}

/* What tells one statement from another: operation, form, and per parameter its column and form. */
static uint32_t make_key(struct pg_writer *w, const struct pg_target *t, uint8_t op, bool many, bool whole,
                         unsigned nset, unsigned n)
{
    buf_reset(&w->key);
    buf_le(&w->key, t->shape->id, 4);
    buf_u8(&w->key, (uint8_t)(op | (many ? 16 : 0) | (whole ? 32 : 0)));
    buf_le(&w->key, nset, 2);
    for (unsigned i = 0; i < n; i++) {
        buf_le(&w->key, w->pieces[i].col, 2);
        buf_u8(&w->key, (uint8_t)((w->pieces[i].as_text ? 1 : 0) | (w->pieces[i].null ? 2 : 0)));
    }
    uint32_t h = UINT32_C(2166136261);
    for (size_t i = 0; i < w->key.n; i++)
        h = (h ^ w->key.p[i]) * UINT32_C(16777619);
    return h ^ h >> 16;
}

/* --- one statement --- */

static bool room(struct pg_writer *w, unsigned n, struct err *err)
{
    if (n <= w->cap)
        return true;
    free(w->values);
    free(w->pieces);
    free(w->params);
    free(w->cols);
    w->values = malloc((n + CHUNK_ROWS) * sizeof *w->values);
    w->pieces = malloc(n * sizeof *w->pieces);
    w->params = malloc(n * sizeof *w->params);
    w->cols = malloc(n * sizeof *w->cols);
    w->cap = w->values == NULL || w->pieces == NULL || w->params == NULL || w->cols == NULL ? 0 : n;
    return w->cap != 0 || err_nomem(err);
}

static bool one_value(struct pg_writer *w, const struct pg_column *dst, const struct shape_col *src,
                      const struct val *v, bool count, struct piece *p, struct err *err)
{
    uint64_t coerced = 0;
    size_t at = w->data.n;
    p->as_text = dst->is_array || dst->is_enum || pg_array_oid(dst->type) == 0;
    enum pg_form f = pg_encode(&w->policy, dst, src, v, p->as_text, &w->data, &coerced, err);
    if (f == PG_CAST) {
        p->as_text = true;
        w->data.n = at;
        coerced = 0;
        f = pg_encode(&w->policy, dst, src, v, true, &w->data, &coerced, err);
    }
    if (f == PG_BAD)
        return false;
    p->null = f == PG_NULL;
    if (count)
        w->coerced += coerced;
    return true;
}

/* The new (set) or old values of one column of g's rows [from, from + n) into w->data. */
static bool encode(struct pg_writer *w, const struct pg_target *t, unsigned col, const struct plan_group *g,
                   size_t from, size_t n, bool set, struct piece *p, size_t *bad, struct err *err)
{
    const struct shape_col *src = &t->shape->cols[col];
    const struct pg_column *dst = t->dst[col];
    uint64_t coerced = 0;
    *p = (struct piece){ .col = (uint16_t)col, .at = w->data.n };
    *bad = 0;
    for (size_t i = 0; i < n; i++)
        w->values[i] = set ? plan_new_at(g, from + i, col) : plan_old_at(g, from + i, col);
    bool ok = n > 1 ? pg_encode_array(&w->policy, dst, src, w->values, n, &w->data, &p->as_text, &coerced, bad, err)
                    : one_value(w, dst, src, w->values, set, p, err);
    if (set) /* identities are not stored */
        w->coerced += coerced;
    if (!ok)
        return err_ctx(err, "column %.*s", BYTES_FMT(src->name));
    p->n = w->data.n - p->at;
    if (p->n > VALUE_MAX)
        return err_set(err, ERR_DATA, "column %.*s: %zu bytes are more than PostgreSQL takes in one value",
                       BYTES_FMT(src->name), p->n);
    if (!buf_ok(&w->data, err))
        return false;
    return true;
}

static bool identity(const struct pg_target *t, const struct plan_group *g, unsigned col)
{
    const struct shape *s = t->shape;
    if (t->dst[col] == NULL)
        return false;
    if (s->nkey == 0)
        return bit_test(g->known, col);
    for (unsigned i = 0; i < s->nkey; i++)
        if (s->key[i] == col)
            return true;
    return false;
}

/* An INSERT must say every column; what was not in the row image is unknown, and a default would be made up. */
static bool no_absent(const struct pg_target *t, const struct plan_group *g, struct err *err)
{
    for (unsigned i = 0; i < t->shape->ncols; i++)
        if (t->dst[i] != NULL && !bit_test(g->present, i))
            return err_set(
                err, ERR_DATA,
                "column %.*s: the source did not send its value (binlog_row_image is not FULL), so the row cannot be "
                "inserted",
                BYTES_FMT(t->shape->cols[i].name));
    return true;
}

static const char *statement_text(struct pg_writer *w, const struct pg_target *t, uint8_t op, bool many, bool whole,
                                  unsigned nset, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        w->cols[i] = (struct pg_sql_col){ .col = t->dst[w->pieces[i].col],
                                          .as_text = w->pieces[i].as_text,
                                          .null = i >= nset && w->pieces[i].null };
    struct pg_sql_spec spec = { .table = t->table,
                                .many = many,
                                .whole_row = whole,
                                .set = w->cols,
                                .nset = nset,
                                .where = w->cols + nset,
                                .nwhere = n - nset };
    buf_reset(&w->sql);
    if (op == OUT_INSERT)
        pg_sql_insert(&w->sql, &spec);
    else if (op == OUT_UPDATE)
        pg_sql_update(&w->sql, &spec);
    else
        pg_sql_delete(&w->sql, &spec);
    return buf_cstr(&w->sql);
}

/* Every row has this column as it was. */
static bool unchanged(const struct plan_group *g, unsigned col, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        if (g->made[i] == NULL && g->old[i] == g->src[i]) {
            if (outrow_changes(g->src[i], col))
                return false;
            continue;
        }
        struct val was = plan_old_at(g, i, col), now = plan_new_at(g, i, col);
        if (was.kind == VAL_ABSENT || !val_eq(&was, &now))
            return false;
    }
    return true;
}

static bool send_chunk(struct pg_writer *w, struct pg_link *l, const struct pg_target *t, const struct plan_group *g,
                       size_t from, size_t n, uint64_t tag, bool *unchecked, size_t *bad, struct err *err)
{
    const struct shape *s = t->shape;
    bool spare = g->op == OUT_UPDATE && g->plain && t->traits.merge && n >= SPARE_ROWS;
    bool many = n > 1, whole = g->op != OUT_INSERT && s->nkey == 0;
    unsigned nset = 0, np = 0;
    if (w->data.cap > DATA_KEPT) /* a huge value came by */
        buf_free(&w->data);
    buf_reset(&w->data);
    for (unsigned i = 0; g->op != OUT_DELETE && i < s->ncols; i++) {
        if (t->dst[i] == NULL || !bit_test(g->present, i) || (spare && unchanged(g, i, from, n)))
            continue;
        if (!encode(w, t, i, g, from, n, true, &w->pieces[np++], bad, err))
            return false;
        nset++;
    }
    for (unsigned i = 0; g->op != OUT_INSERT && i < s->ncols; i++)
        if (identity(t, g, i) && !encode(w, t, i, g, from, n, false, &w->pieces[np++], bad, err))
            return false;
    *bad = 0;
    if (g->op != OUT_INSERT && np == nset)
        return err_set(err, ERR_DATA, "no column is known by which the row could be found");
    unsigned nparams = 0;
    for (unsigned i = 0; i < np; i++) {
        const struct piece *p = &w->pieces[i];
        if (i >= nset && p->null)
            continue;
        uint32_t type = p->as_text ? PG_TEXT : t->dst[p->col]->type;
        w->params[nparams++] = (struct pg_param){ .type = !many        ? type
                                                          : p->as_text ? ARRAY_OF_TEXT
                                                                       : pg_array_oid(type),
                                                  .value = p->null     ? NULL
                                                           : p->n == 0 ? ""
                                                                       : (const char *)w->data.p + p->at,
                                                  .length = (int)p->n,
                                                  .binary = true };
    }
    for (unsigned i = 0; i < nset; i++)
        w->pieces[i].null = false; /* out of the statement's key */
    if (!pg_writer_fresh(w, l, err))
        return false;
    uint32_t hash = make_key(w, t, g->op, many, whole, nset, np);
    if (!buf_ok(&w->key, err))
        return false;
    struct stmt *st = find(w, hash);
    if (st == NULL) {
        const char *sql = statement_text(w, t, g->op, many, whole, nset, np);
        if (!buf_ok(&w->sql, err) || (w->nstatements >= STATEMENTS_MAX && !evict(w, l, err)))
            return false;
        st = add(w, hash, err);
        if (st == NULL || !pg_link_prepare(l, st->name, sql, w->params, nparams, tag, err))
            return false;
    }
    long want = g->op == OUT_INSERT ? (t->traits.merge ? (long)n : -1) /* a trigger may put the row elsewhere */
                : many              ? (long)n
                                    : -1; /* the statement checks itself */
    if (want >= 0 && g->op != OUT_INSERT)
        *unchecked = true;
    return pg_link_send(l, st->name, NULL, w->params, nparams, want, tag, err);
}

/* About what g's row takes. */
static size_t row_bytes(const struct plan_group *g, size_t i)
{
    const struct outrow *r = g->src[i];
    const struct val *row = g->made[i] != NULL ? g->made[i] : r->new_row;
    size_t n = (size_t)g->shape->ncols * 8;
    if (g->op == OUT_DELETE)
        return n;
    if (g->made[i] == NULL && r->sent != NULL)
        return n + rel_rows_new_strings(r->sent->u.change.rows, r->sent);
    for (unsigned k = 0; k < g->shape->ncols; k++)
        if (val_is_str(row[k].kind))
            n += row[k].u.str.n;
    return n;
}

/* Rows of g from `from` on, at least one: no more than so many, or so many bytes. */
static size_t chunk(const struct plan_group *g, size_t from, size_t max_rows, size_t max_bytes)
{
    size_t n = 0, bytes = 0;
    while (from + n < g->n && n < max_rows) {
        bytes += row_bytes(g, from + n);
        if (n != 0 && bytes > max_bytes)
            break;
        n++;
    }
    return n;
}

/* --- COPY --- */

/* The same as INSERT where nothing fires and every value has a binary form. */
static bool copyable(const struct pg_target *t, const struct plan_group *g)
{
    unsigned written = 0;
    if (g->op != OUT_INSERT || g->n < COPY_ROWS || !t->traits.merge || t->table->kind != 'r' || t->table->row_security)
        return false;
    for (unsigned i = 0; i < t->shape->ncols; i++) {
        const struct pg_column *c = t->dst[i];
        if (c != NULL && (c->is_array || c->is_enum || pg_array_oid(c->type) == 0))
            return false;
        written += c != NULL;
    }
    return written != 0;
}

static enum pg_form copy_value(struct pg_writer *w, const struct pg_target *t, const struct val *row, unsigned col,
                               struct err *err)
{
    size_t at = w->data.n;
    enum pg_form f = pg_encode_field(&w->policy, t->dst[col], &t->shape->cols[col], &row[col], false, &w->data,
                                     &w->coerced, err);
    size_t n = w->data.n - at - 4;
    if (f == PG_BAD)
        err_ctx(err, "column %.*s", BYTES_FMT(t->shape->cols[col].name));
    if (f == PG_DONE && n > VALUE_MAX) {
        err_set(err, ERR_DATA, "column %.*s: %zu bytes are more than PostgreSQL takes in one value",
                BYTES_FMT(t->shape->cols[col].name), n);
        return PG_BAD;
    }
    return f;
}

/* All values of g's row; good until the next. */
static const struct val *new_row(struct pg_writer *w, const struct plan_group *g, size_t i)
{
    const struct outrow *r = g->src[i];
    if (g->made[i] != NULL)
        return g->made[i];
    if (r->sent == NULL)
        return r->new_row;
    rel_rows_new(r->sent->u.change.rows, r->sent, w->values);
    return w->values;
}

/* Rows [from, from + n) of g into w->data; *done of them, fewer when one has a value that only goes as text. */
static bool copy_rows(struct pg_writer *w, const struct pg_target *t, const struct plan_group *g, size_t from, size_t n,
                      unsigned ncols, size_t *done, struct err *err)
{
    for (*done = 0; *done < n; ++*done) {
        size_t at = w->data.n;
        uint64_t coerced = w->coerced;
        const struct val *row = new_row(w, g, from + *done);
        buf_be(&w->data, ncols, 2);
        for (unsigned i = 0; i < t->shape->ncols; i++) {
            enum pg_form f = t->dst[i] == NULL ? PG_DONE : copy_value(w, t, row, i, err);
            if (f == PG_BAD)
                return false;
            if (f == PG_CAST) {
                w->data.n = at;
                w->coerced = coerced;
                return buf_ok(&w->data, err);
            }
        }
    }
    return buf_ok(&w->data, err);
}

/* As many rows of g as have binary forms; *copied of them. */
static bool write_copy(struct pg_writer *w, struct pg_link *l, const struct pg_target *t, const struct plan_group *g,
                       uint64_t tag, size_t *copied, size_t *bad, struct err *err)
{
    static const uint8_t head[19] = "PGCOPY\n\377\r\n"; /* then flags and the length of an extension: 0 */
    unsigned ncols = 0;
    bool started = false;
    *copied = 0;
    for (unsigned i = 0; i < t->shape->ncols; i++)
        if (t->dst[i] != NULL)
            w->cols[ncols++] = (struct pg_sql_col){ .col = t->dst[i] };
    struct pg_sql_spec spec = { .table = t->table, .set = w->cols, .nset = ncols };
    buf_reset(&w->sql);
    pg_sql_copy(&w->sql, &spec);
    if (!buf_ok(&w->sql, err))
        return false;
    for (size_t n, done; *copied < g->n; *copied += done) {
        n = chunk(g, *copied, CHUNK_ROWS, COPY_BYTES);
        if (w->data.cap > DATA_KEPT)
            buf_free(&w->data);
        buf_reset(&w->data);
        if (!started)
            buf_put(&w->data, head, sizeof head);
        if (!copy_rows(w, t, g, *copied, n, ncols, &done, err)) {
            struct err ignored; /* what the server says of a COPY that is given up, or nothing any more */
            *bad = *copied + done;
            if (started)
                pg_link_copy_end(l, -1, tag, &ignored);
            return false;
        }
        if (!started && done == 0)
            return true;
        if (!started && !pg_link_copy_begin(l, buf_cstr(&w->sql), tag, &started, err))
            return false;
        if (!started) /* a failure, which pg_link_failure tells */
            return true;
        if (!pg_link_copy_put(l, buf_view(&w->data), err))
            return false;
        if (done < n) {
            *copied += done;
            break;
        }
    }
    static const uint8_t end[] = { 0xff, 0xff };
    return pg_link_copy_put(l, (struct bytes){ end, sizeof end }, err) && pg_link_copy_end(l, (long)*copied, tag, err);
}

bool pg_write_group(struct pg_writer *w, struct pg_link *l, const struct pg_target *t, const struct plan_group *g,
                    uint64_t tag, bool *unchecked, size_t *bad, struct err *err)
{
    size_t from = 0;
    *bad = 0;
    if (!room(w, 2 * t->shape->ncols + 1, err) || (g->op == OUT_INSERT && !no_absent(t, g, err)))
        return false;
    if (copyable(t, g) && !write_copy(w, l, t, g, tag, &from, bad, err))
        return false;
    for (size_t n; from < g->n && !pg_link_failure(l)->set; from += n) {
        bool first = from == 0 && g->n > (size_t)4 * FIRST_ROWS;
        n = chunk(g, from, first ? FIRST_ROWS : CHUNK_ROWS, CHUNK_BYTES);
        if (!send_chunk(w, l, t, g, from, n, tag, unchecked, bad, err)) {
            *bad += from;
            return false;
        }
        if (first && !pg_link_flush(l, err))
            return false;
    }
    return true;
}
