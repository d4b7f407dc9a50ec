/* script_unit.h - for tests of scripts: a table and its rows from short texts, one change through a script, its outputs
 * as text.
 *
 * A table: "shop.users id:int:k email:varchar:n price:decimal(10.2)"; k: key column. A row: values separated by |,
 * NULL, and ~ for absent. */
#ifndef ROWTIDE_SCRIPT_UNIT_H
#define ROWTIDE_SCRIPT_UNIT_H

#include "frame.h"
#include "lua_host.h"
#include "lua_value.h"
#include "unit.h"

static const struct {
    const char *name;
    struct column c;
} script_types[] = {
    { "int", { .type = COL_INT, .int_bits = 32 } },
    { "tiny", { .type = COL_INT, .int_bits = 8 } },
    { "bigint", { .type = COL_INT, .int_bits = 64 } },
    { "ubigint", { .type = COL_INT, .int_bits = 64, .is_unsigned = true } },
    { "utiny", { .type = COL_INT, .int_bits = 8, .is_unsigned = true } },
    { "float", { .type = COL_FLOAT } },
    { "double", { .type = COL_DOUBLE } },
    { "decimal", { .type = COL_DECIMAL, .precision = 10, .scale = 2 } },
    { "bigdecimal", { .type = COL_DECIMAL, .precision = 40, .scale = 4 } },
    { "date", { .type = COL_DATE } },
    { "time", { .type = COL_TIME, .scale = 3 } },
    { "datetime", { .type = COL_DATETIME } },
    { "timestamp", { .type = COL_TIMESTAMP, .scale = 6 } },
    { "year", { .type = COL_YEAR } },
    { "varchar", { .type = COL_VARCHAR, .length = 400, .char_bytes = 4 } },
    { "blob", { .type = COL_BLOB, .length = 65535 } },
    { "bit", { .type = COL_BIT, .length = 12 } },
    { "bit64", { .type = COL_BIT, .length = 64 } },
    { "enum", { .type = COL_ENUM } },
    { "set", { .type = COL_SET } },
    { "json", { .type = COL_JSON } },
    { "geometry", { .type = COL_GEOMETRY } },
    { "vector", { .type = COL_VECTOR, .length = 2 } },
};
static const struct bytes script_labels[] = { { (const uint8_t *)"new", 3 },
                                              { (const uint8_t *)"paid", 4 },
                                              { (const uint8_t *)"sent", 4 } };

static inline struct relation *script_relation(const char *spec)
{
    struct column cols[64];
    unsigned n = 0;
    uint16_t key = 0;
    char copy[2048], *save = NULL;
    snprintf(copy, sizeof copy, "%s", spec);
    char *name = strtok_r(copy, " ", &save), *dot = strchr(name, '.');
    *dot = '\0';
    for (char *col; (col = strtok_r(NULL, " ", &save)) != NULL; n++) {
        char *type = strchr(col, ':');
        *type++ = '\0';
        char *flag = strchr(type, ':');
        if (flag != NULL)
            *flag++ = '\0';
        memset(&cols[n], 0, sizeof cols[n]);
        for (size_t i = 0; i < sizeof script_types / sizeof *script_types; i++)
            if (strcmp(script_types[i].name, type) == 0)
                cols[n] = script_types[i].c;
        if (cols[n].type == COL_ENUM || cols[n].type == COL_SET) {
            cols[n].labels = script_labels;
            cols[n].nlabels = 3;
        }
        if (cols[n].type == COL_VARCHAR)
            cols[n].charset = BYTES_LIT("utf8mb4");
        cols[n].name = bytes_str(col);
        cols[n].nullable = flag == NULL || *flag != 'k';
        cols[n].visible = true;
        if (flag != NULL && *flag == 'k')
            cols[n].key_pos = ++key;
    }
    struct relation *r = NULL;
    struct err err;
    if (!relation_new(bytes_str(name), bytes_str(dot + 1), cols, n, &r, &err)) {
        fprintf(stderr, "relation \"%s\": %s\n", spec, err.msg);
        exit(1);
    }
    return r;
}

static inline struct val script_val(const struct column *c, const char *text)
{
    struct val v = { .kind = VAL_NULL };
    uint8_t scale;
    struct dec d;
    if (strcmp(text, "~") == 0)
        return (struct val){ .kind = VAL_ABSENT };
    if (strcmp(text, "NULL") == 0)
        return v;
    v.u.str = bytes_str(text);
    switch ((enum col_type)c->type) {
    case COL_INT:
        v.kind = c->is_unsigned ? VAL_U64 : VAL_I64;
        if (c->is_unsigned)
            v.u.u64 = strtoull(text, NULL, 10);
        else
            v.u.i64 = strtoll(text, NULL, 10);
        break;
    case COL_YEAR:
        v.kind = VAL_I64;
        v.u.i64 = strtoll(text, NULL, 10);
        break;
    case COL_FLOAT:
        v.kind = VAL_F32;
        v.u.f32 = strtof(text, NULL);
        break;
    case COL_DOUBLE:
        v.kind = VAL_F64;
        v.u.f64 = strtod(text, NULL);
        break;
    case COL_DECIMAL:
        v.kind = VAL_DECIMAL;
        if (c->precision <= 18 && dec_parse(bytes_str(text), &d)) {
            v = (struct val){ .kind = VAL_DEC64, .scale = (uint8_t)d.scale };
            dec_unscaled_i64(&d, &v.u.i64);
        }
        break;
    case COL_DATE:
    case COL_TIME:
    case COL_DATETIME:
    case COL_TIMESTAMP:
        v.kind = c->type == COL_DATE       ? VAL_DATE
                 : c->type == COL_TIME     ? VAL_TIME
                 : c->type == COL_DATETIME ? VAL_DATETIME
                                           : VAL_INSTANT;
        if (!temporal_parse(v.kind, bytes_str(text), &v.u.i64, &scale))
            fprintf(stderr, "bad temporal in a test: %s\n", text);
        v.scale = c->scale;
        break;
    case COL_CHAR:
    case COL_VARCHAR:
    case COL_TEXT:
        v.kind = VAL_TEXT;
        break;
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_BLOB:
        v.kind = VAL_BYTES;
        break;
    case COL_BIT:
    case COL_ENUM:
    case COL_SET:
        v.kind = c->type == COL_BIT ? VAL_BIT : c->type == COL_ENUM ? VAL_ENUM : VAL_SET;
        v.u.u64 = strtoull(text, NULL, 10);
        break;
    case COL_JSON:
        v.kind = VAL_JSON;
        break;
    case COL_GEOMETRY:
        v.kind = VAL_GEOMETRY;
        break;
    case COL_VECTOR:
        v.kind = VAL_VECTOR;
        break;
    }
    return v;
}

/* Values of a row text; they point into *copy. */
static inline void script_row(const struct relation *r, const char *text, char copy[2048], struct val *out)
{
    snprintf(copy, 2048, "%s", text);
    char *p = copy;
    for (unsigned i = 0; i < r->ncols; i++) {
        char *bar = strchr(p, '|');
        if (bar != NULL)
            *bar = '\0';
        out[i] = script_val(&r->cols[i], p);
        p = bar == NULL ? p + strlen(p) : bar + 1;
    }
}

/* A change as text: "+ row", "- old row", "~ old row => new row". Adds it to the frame. */
static inline bool script_add(struct frame_builder *fb, const struct relation *r, const char *change, struct err *err)
{
    struct val a[64], b[64];
    char ca[2048], cb[2048], text[2048];
    snprintf(text, sizeof text, "%s", change + 2);
    char *arrow = strstr(text, " => ");
    if (arrow != NULL)
        *arrow = '\0';
    script_row(r, text, ca, a);
    if (arrow != NULL)
        script_row(r, arrow + 4, cb, b);
    return change[0] == '+'   ? frame_add_insert(fb, r, a, err)
           : change[0] == '-' ? frame_add_delete(fb, r, a, err)
                              : frame_add_update(fb, r, a, b, err);
}

static inline struct frame *script_frame(struct frame_builder *fb, struct err *err)
{
    struct buf payload = { 0 };
    struct frame_info info;
    struct frame *f = NULL;
    if (frame_builder_finish(fb, &payload, &info, err) &&
        !frame_decode(buf_view(&payload), &info, frame_builder_relations(fb), &f, err))
        f = NULL;
    buf_free(&payload);
    return f;
}

static inline void script_print_row(const struct shape *s, const struct val *row, struct buf *out)
{
    bool first = true;
    for (unsigned i = 0; i < s->ncols; i++) {
        if (row[i].kind == VAL_ABSENT)
            continue;
        if (!first)
            buf_u8(out, ' ');
        first = false;
        buf_bytes(out, s->cols[i].name);
        buf_u8(out, '=');
        column_value_text(&s->cols[i].type, &row[i], out);
    }
}

/* "insert shop.users[id]: id=1 email=a; ..." emitted ones with a * in front. */
static inline void script_print(const struct batch *b, struct buf *out)
{
    static const char *const ops[] = { "insert", "update", "delete", "truncate", "ddl" };
    for (size_t i = 0; i < b->nrows; i++) {
        const struct outrow *o = &b->rows[i];
        buf_printf(out, "%s%s%s", i == 0 ? "" : "; ", o->emitted ? "*" : "", ops[o->op]);
        if (o->shape == NULL) {
            buf_printf(out, " %.*s -> \"%.*s\"", BYTES_FMT(o->ddl->rec->sql), (int)o->ddl->sql.n,
                       o->ddl->sql.n == 0 ? "" : (const char *)o->ddl->sql.p);
            continue;
        }
        buf_printf(out, " %s.%s[", o->shape->schema, o->shape->table);
        for (unsigned k = 0; k < o->shape->nkey; k++) {
            if (k > 0)
                buf_u8(out, ',');
            buf_bytes(out, o->shape->cols[o->shape->key[k]].name);
        }
        buf_str(out, "]");
        if (o->op == OUT_TRUNCATE)
            continue;
        buf_str(out, ": ");
        if (o->old_row != NULL)
            script_print_row(o->shape, o->old_row, out);
        if (o->op == OUT_UPDATE)
            buf_str(out, " => ");
        if (o->new_row != NULL)
            script_print_row(o->shape, o->new_row, out);
    }
}

/* One change of one table through a script: the printed outputs, or "!error". *out is reset first. */
static inline void script_run(const char *script, const char *table, const char *change, struct buf *out)
{
    struct err err = { 0 };
    struct relation *r = script_relation(table);
    struct shape_table *shapes = shape_table_new();
    struct lua_host *h = NULL;
    struct frame_builder *fb = frame_builder_new();
    struct batch *b = batch_new();
    struct frame *f = NULL;
    struct lua_host_options o = { 0 };
    buf_reset(out);
    frame_builder_reset(fb, 42, true);
    bool ok = script_add(fb, r, change, &err) && (f = script_frame(fb, &err)) != NULL &&
              lua_host_open("dir/t.lua", script, &o, shapes, &h, &err);
    if (ok && !lua_host_wants(h, r)) {
        buf_str(out, "(not wanted)");
    } else if (ok) {
        struct batch_txn *txn = batch_add_txn(b, &err);
        txn->commit_us = INT64_C(1709201472123456); /* 2024-02-29 10:11:12.123456 */
        txn->resolution_us = 1;
        struct lua_change c = { frame_record(f, 0), txn };
        ok = lua_host_change(h, &c, b, &err);
    }
    if (ok)
        script_print(b, out);
    else
        buf_printf(out, "!%s", err.msg);
    batch_free(b);
    lua_host_close(h);
    frame_unref(f);
    frame_builder_free(fb);
    shape_table_free(shapes);
    relation_unref(r);
}

#endif
