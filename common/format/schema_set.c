/* schema_set.c - see schema_set.h. */
#include "schema_set.h"

#include <stdlib.h>

enum { PAYLOAD_COMPLETE = 1, PAYLOAD_CHANGE = 2 };
enum { ENTRY_MADE = 1, ENTRY_GONE = 2 };

static int compare(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return d != 0 ? d : a.n < b.n ? -1 : a.n > b.n;
}

static size_t place_of(const struct schema_set *s, struct bytes schema, struct bytes table, bool *found)
{
    size_t lo = 0, hi = s->n;
    *found = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = compare(s->v[mid]->schema, schema);
        if (d == 0)
            d = compare(s->v[mid]->table, table);
        if (d == 0) {
            *found = true;
            return mid;
        }
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

void schema_set_clear(struct schema_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free((void *)s->v);
    *s = (struct schema_set){ 0 };
}

bool schema_set_copy(const struct schema_set *from, struct schema_set *to, struct err *err)
{
    for (size_t i = 0; i < from->n; i++)
        if (!schema_set_put(to, from->v[i], err)) {
            schema_set_clear(to);
            return false;
        }
    return true;
}

const struct schema_entry *schema_set_find(const struct schema_set *s, struct bytes schema, struct bytes table)
{
    bool found;
    size_t i = place_of(s, schema, table, &found);
    return found ? s->v[i] : NULL;
}

static void take_copy(uint8_t **at, struct bytes from, struct bytes *to)
{
    if (from.n != 0)
        memcpy(*at, from.p, from.n);
    *to = bytes_of(*at, from.n);
    *at += from.n;
}

bool schema_set_put(struct schema_set *s, const struct schema_entry *e, struct err *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 64 : s->cap * 2;
        struct schema_entry **v = realloc((void *)s->v, cap * sizeof(struct schema_entry *));
        if (v == NULL)
            return err_nomem(err);
        s->v = v;
        s->cap = cap;
    }
    struct schema_entry *copy = malloc(sizeof *copy + e->schema.n + e->table.n + e->sql.n);
    if (copy == NULL)
        return err_nomem(err);
    uint8_t *at = (uint8_t *)(copy + 1);
    take_copy(&at, e->schema, &copy->schema);
    take_copy(&at, e->table, &copy->table);
    take_copy(&at, e->sql, &copy->sql);
    bool found;
    size_t i = place_of(s, copy->schema, copy->table, &found);
    if (found) {
        free(s->v[i]);
    } else {
        memmove((void *)(s->v + i + 1), (void *)(s->v + i), (s->n - i) * sizeof(struct schema_entry *));
        s->n++;
    }
    s->v[i] = copy;
    return true;
}

bool schema_set_remove(struct schema_set *s, struct bytes schema, struct bytes table)
{
    bool found;
    size_t i = place_of(s, schema, table, &found), n = found;
    if (table.n == 0)
        while (i + n < s->n && bytes_eq(s->v[i + n]->schema, schema))
            n++;
    if (n == 0)
        return false;
    for (size_t k = i; k < i + n; k++)
        free(s->v[k]);
    memmove((void *)(s->v + i), (void *)(s->v + i + n), (s->n - i - n) * sizeof(struct schema_entry *));
    s->n -= n;
    return true;
}

/* --- payloads --- */

void schema_change_put(struct buf *out, const struct schema_entry *e)
{
    buf_u8(out, ENTRY_MADE);
    buf_blob(out, e->schema);
    buf_blob(out, e->table);
    buf_blob(out, e->sql);
}

void schema_change_remove(struct buf *out, struct bytes schema, struct bytes table)
{
    buf_u8(out, ENTRY_GONE);
    buf_blob(out, schema);
    buf_blob(out, table);
}

void schema_change_begin(struct buf *out)
{
    buf_u8(out, PAYLOAD_CHANGE);
}

void schema_set_encode(const struct schema_set *s, struct buf *out)
{
    buf_u8(out, PAYLOAD_COMPLETE);
    for (size_t i = 0; i < s->n; i++)
        schema_change_put(out, s->v[i]);
}

static bool apply_entry(struct schema_set *s, struct cur *c, struct err *err)
{
    uint8_t kind = cur_u8(c);
    struct schema_entry e = { .schema = cur_blob(c) };
    e.table = cur_blob(c);
    if (c->why == NULL && (e.schema.n == 0 || e.schema.n > SCHEMA_NAME_BYTES || e.table.n > SCHEMA_NAME_BYTES ||
                           kind == 0 || kind > ENTRY_GONE))
        cur_fail(c, "not an entry");
    if (c->why == NULL && kind == ENTRY_MADE) {
        e.sql = cur_blob(c);
        if (c->why == NULL && (e.sql.n == 0 || memchr(e.sql.p, '\0', e.sql.n) != NULL))
            cur_fail(c, "not a statement");
    }
    if (c->why != NULL)
        return true; /* schema_set_apply says it */
    if (kind == ENTRY_MADE)
        return schema_set_put(s, &e, err);
    (void)schema_set_remove(s, e.schema, e.table);
    return true;
}

bool schema_set_apply(struct schema_set *s, struct bytes payload, struct err *err)
{
    struct cur c = cur_over(payload);
    uint8_t kind = cur_u8(&c);
    if (c.why == NULL && kind != PAYLOAD_COMPLETE && kind != PAYLOAD_CHANGE)
        cur_fail(&c, "neither complete nor a change");
    if (kind == PAYLOAD_COMPLETE)
        schema_set_clear(s);
    while (cur_left(&c) != 0)
        if (!apply_entry(s, &c, err))
            return false;
    return cur_finish(&c, "schema history", err);
}
