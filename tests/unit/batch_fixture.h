/* batch_fixture.h - relations, shapes and batches made by hand, for tests of destinations. Aborts when out of
 * memory. */
#ifndef ROWTIDE_BATCH_FIXTURE_H
#define ROWTIDE_BATCH_FIXTURE_H

#include "batch.h"
#include "unit.h"

#define ROW(...) ((const struct val[]){ __VA_ARGS__ })
#define VI(x) ((struct val){ .kind = VAL_I64, .u.i64 = (x) })
#define VU(x) ((struct val){ .kind = VAL_U64, .u.u64 = (x) })
#define VT(s) ((struct val){ .kind = VAL_TEXT, .u.str = bytes_str(s) })
#define VS(k, s) ((struct val){ .kind = (k), .u.str = BYTES_LIT(s) })
#define VN ((struct val){ .kind = VAL_NULL })
#define VA ((struct val){ .kind = VAL_ABSENT })
/* COL("a", COL_DATE): what follows the type are further members of struct column */
#define COL(n, ...) ((struct column){ .name = bytes_str(n), .visible = true, .type = __VA_ARGS__ })
#define INT COL_INT, .int_bits = 64
#define TEXT COL_TEXT, .length = 65535, .charset = bytes_str("utf8mb4"), .char_bytes = 4
#define SHAPE(t, schema, table, ...)                                                                                   \
    fixture_shape(t, schema, table, (const struct column[]){ __VA_ARGS__ },                                            \
                  sizeof((const struct column[]){ __VA_ARGS__ }) / sizeof(struct column))

static inline void fixture_need(bool ok, const struct err *err)
{
    if (ok)
        return;
    fprintf(stderr, "fixture: %s\n", err->msg);
    abort();
}

static inline const struct shape *fixture_shape(struct shape_table *t, const char *schema, const char *table,
                                                const struct column *cols, size_t n)
{
    struct err err = { 0 };
    struct relation *r = NULL;
    fixture_need(relation_new(bytes_str(schema), bytes_str(table), cols, (unsigned)n, &r, &err), &err);
    const struct shape *s = shape_of_relation(t, r, &err);
    fixture_need(s != NULL, &err);
    relation_unref(r);
    return s;
}

static inline struct val *fixture_row(struct batch *b, const struct shape *s, const struct val *row)
{
    struct err err = { 0 };
    if (row == NULL)
        return NULL;
    struct val *copy = arena_alloc(b->arena, s->ncols * sizeof *copy, &err);
    fixture_need(copy != NULL, &err);
    memcpy(copy, row, s->ncols * sizeof *copy);
    for (unsigned i = 0; i < s->ncols; i++)
        if (val_is_str(copy[i].kind))
            fixture_need(arena_copy(b->arena, copy[i].u.str, &copy[i].u.str, &err), &err);
    return copy;
}

/* A transaction that ends at commit_lsn; rows added next belong to it. */
static inline void fixture_txn(struct batch *b, uint64_t commit_lsn)
{
    struct err err = { 0 };
    struct batch_txn *t = batch_add_txn(b, &err);
    fixture_need(t != NULL, &err);
    t->begin_lsn = t->commit_lsn = commit_lsn;
    t->commit_us = INT64_C(1700000000000000) + (int64_t)commit_lsn * 1000000;
    t->gtid = (struct gtid){ .flavor = GTID_MARIADB, .domain = 0, .server = 1, .no = commit_lsn };
    t->end_offset = commit_lsn * 100;
    t->file = "bin.000001";
}

static inline void fixture_add(struct batch *b, enum out_op op, const struct shape *s, const struct val *new_row,
                               const struct val *old_row)
{
    struct err err = { 0 };
    struct outrow *r = batch_add_row(b, &err);
    fixture_need(r != NULL && b->ntxns != 0, &err);
    r->op = (uint8_t)op;
    r->shape = s;
    r->txn = (uint32_t)b->ntxns - 1;
    r->lsn = b->txns[r->txn].commit_lsn * 1000 + b->nrows;
    r->new_row = fixture_row(b, s, new_row);
    r->old_row = fixture_row(b, s, old_row);
    b->txns[r->txn].changes++;
}
static inline void fixture_insert(struct batch *b, const struct shape *s, const struct val *row)
{
    fixture_add(b, OUT_INSERT, s, row, NULL);
}
static inline void fixture_update(struct batch *b, const struct shape *s, const struct val *before,
                                  const struct val *after)
{
    fixture_add(b, OUT_UPDATE, s, after, before);
}
static inline void fixture_delete(struct batch *b, const struct shape *s, const struct val *row)
{
    fixture_add(b, OUT_DELETE, s, NULL, row);
}

static inline void fixture_ddl(struct batch *b, const char *schema, const char *sql, const char *answer)
{
    struct err err = { 0 };
    struct outrow *r = batch_add_row(b, &err);
    struct rec_ddl *rec = arena_zalloc(b->arena, sizeof *rec, &err);
    struct out_ddl *d = arena_zalloc(b->arena, sizeof *d, &err);
    fixture_need(r != NULL && rec != NULL && d != NULL && b->ntxns != 0, &err);
    rec->schema = bytes_str(schema);
    rec->sql = bytes_str(sql);
    d->rec = rec;
    d->sql = bytes_str(answer == NULL ? "" : answer);
    r->op = OUT_DDL;
    r->lsn = b->txns[b->ntxns - 1].commit_lsn * 1000;
    r->txn = (uint32_t)b->ntxns - 1;
    r->ddl = d;
    b->barrier = true;
}

#endif
