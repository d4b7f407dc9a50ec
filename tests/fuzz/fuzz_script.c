/* fuzz_script.c - any bytes as a script, run on an insert, an update and a delete with small limits: rows or
 * ERR_SCRIPT.
 *
 * Checked of the rows: every shape fits, key columns of an old row are there, strings can be read. */
#include "lua_host.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frame *make_frame(void)
{
    static const struct bytes labels[] = { { (const uint8_t *)"new", 3 }, { (const uint8_t *)"paid", 4 } };
    const struct column cols[] = {
        { .name = BYTES_LIT("id"), .type = COL_INT, .int_bits = 32, .key_pos = 1 },
        { .name = BYTES_LIT("name"),
          .type = COL_VARCHAR,
          .length = 100,
          .nullable = true,
          .charset = BYTES_LIT("utf8mb4") },
        { .name = BYTES_LIT("price"), .type = COL_DECIMAL, .precision = 10, .scale = 2, .nullable = true },
        { .name = BYTES_LIT("st"), .type = COL_ENUM, .nlabels = 2, .labels = labels },
        { .name = BYTES_LIT("j"), .type = COL_JSON, .nullable = true },
        { .name = BYTES_LIT("at"), .type = COL_DATETIME, .nullable = true },
    };
    struct val a[] = { { .kind = VAL_I64, .u.i64 = 1 },
                       { .kind = VAL_TEXT, .u.str = BYTES_LIT("Ann Other") },
                       { .kind = VAL_DEC64, .scale = 2, .u.i64 = 1234 },
                       { .kind = VAL_ENUM, .u.u64 = 1 },
                       { .kind = VAL_JSON, .u.str = BYTES_LIT("{\"a\": [1, 2.5, null]}") },
                       { .kind = VAL_NULL } };
    struct val b[6];
    struct err err;
    struct relation *r;
    struct frame *f;
    struct buf payload = { 0 };
    struct frame_info info;
    struct frame_builder *fb = frame_builder_new();
    memcpy(b, a, sizeof b);
    b[1].u.str = BYTES_LIT("Bob");
    b[4].kind = VAL_ABSENT;
    if (fb == NULL || !relation_new(BYTES_LIT("shop"), BYTES_LIT("t"), cols, 6, &r, &err))
        abort();
    frame_builder_reset(fb, 1, true);
    if (!frame_add_insert(fb, r, a, &err) || !frame_add_update(fb, r, a, b, &err) ||
        !frame_add_delete(fb, r, a, &err) || !frame_builder_finish(fb, &payload, &info, &err) ||
        !frame_decode(buf_view(&payload), &info, frame_builder_relations(fb), &f, &err))
        abort();
    buf_free(&payload);
    frame_builder_free(fb);
    relation_unref(r);
    return f;
}

static void check_rows(const struct batch *b)
{
    struct buf text = { 0 };
    for (size_t i = 0; i < b->nrows; i++) {
        const struct outrow *o = &b->rows[i];
        const struct val *rows[2] = { o->new_row, o->old_row };
        if (o->shape == NULL || (o->op == OUT_INSERT && o->new_row == NULL) ||
            (o->op == OUT_DELETE && o->old_row == NULL))
            abort();
        for (unsigned k = 0; o->old_row != NULL && k < o->shape->nkey; k++)
            if (o->old_row[o->shape->key[k]].kind == VAL_ABSENT)
                abort();
        for (int n = 0; n < 2; n++)
            for (unsigned c = 0; rows[n] != NULL && c < o->shape->ncols; c++)
                column_value_text(&o->shape->cols[c].type, &rows[n][c], &text);
        buf_reset(&text);
    }
    buf_free(&text);
}

static void silent(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame *f;
    if (f == NULL)
        f = make_frame();
    struct err err = { 0 };
    struct lua_host *h = NULL;
    struct shape_table *shapes = shape_table_new();
    struct batch *b = batch_new();
    struct lua_host_options o = { .memory_limit = 1 << 20, .step_limit = 20000, .log = silent };
    char *text = strndup((const char *)data, size);
    if (lua_host_open("f.lua", text, &o, shapes, &h, &err)) {
        batch_add_txn(b, &err);
        for (unsigned i = 0; i < frame_count(f); i++) {
            struct lua_change c = { frame_record(f, i), &b->txns[0] };
            if (lua_host_wants(h, rel_rows_relation(c.rec->u.change.rows)) && !lua_host_change(h, &c, b, &err) &&
                err.code != ERR_SCRIPT)
                abort();
        }
        check_rows(b);
    } else if (err.code != ERR_SCRIPT) {
        abort();
    }
    free(text);
    lua_host_close(h);
    batch_free(b);
    shape_table_free(shapes);
    return 0;
}
