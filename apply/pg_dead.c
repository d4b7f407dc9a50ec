/* pg_dead.c - see pg_dead.h. Rows as JSON, values as docs/json-lines.md has them; \u0000, which jsonb refuses, becomes
 * \u2400 here. */
#include "pg_dead.h"

#include "json_text.h"
#include "pg_sql.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEAD_TAG = 0, NAMES_MAX = 256 };

static void member(struct buf *out, bool *first, struct bytes name, const struct column *type, const struct val *v)
{
    if (v->kind == VAL_ABSENT)
        return;
    if (!*first)
        buf_u8(out, ',');
    *first = false;
    json_string(out, name);
    buf_u8(out, ':');
    json_value(out, type, v);
}

static void storable(struct buf *json)
{
    for (size_t i = 0; !json->failed && i + 5 < json->n; i++) {
        if (json->p[i] != '\\')
            continue;
        if (memcmp(json->p + i, "\\u0000", 6) == 0)
            memcpy(json->p + i, "\\u2400", 6);
        i++;
    }
}

static void image(struct buf *out, const struct outrow *r, bool old, bool key_only)
{
    const struct shape *s = r->shape;
    bool first = true;
    buf_u8(out, '{');
    for (unsigned i = 0; i < (key_only ? s->nkey : s->ncols); i++) {
        unsigned col = key_only ? s->key[i] : i;
        const struct column *type = &s->cols[col].type;
        struct val v = old ? outrow_old_at(r, col) : outrow_new_at(r, col);
        member(out, &first, s->cols[col].name, type->type == 0 ? NULL : type, &v);
    }
    buf_u8(out, '}');
    storable(out);
}

static const char *or_null(struct buf *b)
{
    return b->n == 0 ? NULL : buf_cstr(b);
}

static bool send(struct pg_link *l, const char *slot, const char *subscription, uint64_t lsn, uint32_t seq,
                 const char *op, const char *schema, const char *table, struct buf *key, struct buf *before,
                 struct buf *after, const char *error, const char *sqlstate, struct err *err)
{
    char lsn_text[24], seq_text[16];
    snprintf(lsn_text, sizeof lsn_text, "%llu", (unsigned long long)lsn);
    snprintf(seq_text, sizeof seq_text, "%u", seq);
    const char *values[] = { slot,           subscription, lsn_text,
                             seq_text,       op,           schema,
                             table,          or_null(key), or_null(before),
                             or_null(after), error,        sqlstate[0] == '\0' ? NULL : sqlstate };
    struct pg_param params[sizeof values / sizeof *values];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        params[i] = (struct pg_param){ .value = values[i], .length = values[i] == NULL ? 0 : (int)strlen(values[i]) };
    bool ok = buf_ok(key, err) && buf_ok(before, err) && buf_ok(after, err) &&
              pg_link_send(l, NULL, pg_sql_dead, params, sizeof values / sizeof *values, 1, DEAD_TAG, err);
    buf_free(key);
    buf_free(before);
    buf_free(after);
    return ok;
}

bool pg_dead_row(struct pg_link *l, const char *slot, const char *subscription, const struct outrow *r,
                 const char *error, const char *sqlstate, struct err *err)
{
    static const char *const ops[] = { "insert", "update", "delete", "truncate", "ddl" };
    struct buf key = { 0 }, before = { 0 }, after = { 0 };
    bool by_old = r->op != OUT_INSERT;
    if (r->shape->nkey != 0 && (by_old ? outrow_has_old(r) : outrow_has_new(r)))
        image(&key, r, by_old, true);
    if (r->op != OUT_INSERT && outrow_has_old(r))
        image(&before, r, true, false);
    if (r->op != OUT_DELETE && outrow_has_new(r))
        image(&after, r, false, false);
    return send(l, slot, subscription, r->lsn, r->seq, ops[r->op], r->shape->schema, r->shape->table, &key, &before,
                &after, error, sqlstate, err);
}

static void change_image(struct buf *out, const struct relation *rel, const struct val *row, bool key_only)
{
    bool first = true;
    buf_u8(out, '{');
    for (unsigned i = 0; i < (key_only ? rel->nkey : rel->ncols); i++) {
        unsigned col = key_only ? rel->key[i] : i;
        member(out, &first, rel->cols[col].name, &rel->cols[col], &row[col]);
    }
    buf_u8(out, '}');
    storable(out);
}

bool pg_dead_change(struct pg_link *l, const char *slot, const char *subscription, const struct dead_row *d,
                    struct err *err)
{
    struct buf key = { 0 }, before = { 0 }, after = { 0 };
    char schema[NAMES_MAX] = "", table[NAMES_MAX] = "";
    const struct record *rec = d->rec;
    const char *op = rec->op == REC_INSERT   ? "insert"
                     : rec->op == REC_UPDATE ? "update"
                     : rec->op == REC_DELETE ? "delete"
                                             : "truncate";
    if (d->rel == NULL) {
        snprintf(schema, sizeof schema, "%.*s", BYTES_FMT(rec->u.ddl.t_schema));
        snprintf(table, sizeof table, "%.*s", BYTES_FMT(rec->u.ddl.t_table));
    } else {
        struct val *row = calloc(d->rel->ncols + 1, sizeof *row);
        if (row == NULL)
            return err_nomem(err);
        snprintf(schema, sizeof schema, "%.*s", BYTES_FMT(d->rel->schema));
        snprintf(table, sizeof table, "%.*s", BYTES_FMT(d->rel->table));
        if (rec->op != REC_DELETE) {
            rel_rows_new(rec->u.change.rows, rec, row);
            change_image(&after, d->rel, row, false);
            if (rec->op == REC_INSERT && d->rel->nkey != 0)
                change_image(&key, d->rel, row, true);
        }
        if (rec->op != REC_INSERT) {
            rel_rows_old(rec->u.change.rows, rec, row);
            change_image(&before, d->rel, row, false);
            if (d->rel->nkey != 0)
                change_image(&key, d->rel, row, true);
        }
        free(row);
    }
    return send(l, slot, subscription, d->lsn, 0, op, schema, table, &key, &before, &after, d->error, "", err);
}
