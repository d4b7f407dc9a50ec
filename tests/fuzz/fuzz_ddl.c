/* fuzz_ddl.c - any bytes as a statement. The first byte picks the sql_mode. Running out of memory is the only failure. */
#include "ddl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t touch(struct bytes b) /* reads every byte, so that a bad view shows */
{
    size_t sum = 0;
    for (size_t i = 0; i < b.n; i++)
        sum += b.p[i];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct ddl_context ctx = { .default_schema = BYTES_LIT("db"),
                                     .ansi_quotes = (data[0] & 1) != 0,
                                     .no_backslash_escapes = (data[0] & 2) != 0 };
    struct arena *a = arena_new((size_t)1 << 24);
    struct err e = { 0 };
    struct ddl d;
    size_t sum = 0;
    struct buf b = { 0 };
    if (a == NULL)
        return 0;
    if (ddl_parse(bytes_of(data + 1, size - 1), &ctx, a, &d, &e)) {
        for (unsigned i = 0; i < d.ntables; i++)
            sum += touch(d.tables[i].schema) + touch(d.tables[i].table);
        for (unsigned i = 0; i < d.nclauses; i++) {
            const struct ddl_clause *c = &d.clauses[i];
            if (c->kind < DDL_C_HARMLESS || c->kind > DDL_C_UNKNOWN || c->def > DDL_DEF_EXPR)
                abort();
            sum += touch(c->name) + touch(c->new_name) + touch(c->def_text) + touch(c->column.charset) +
                   touch(c->to.schema) + touch(c->to.table);
            column_type_text(&c->column, &b);
            if (c->column.type == 0 || c->column.name.n == 0 || c->column.name.n > 1024 || c->column.charset.n > 64)
                continue;
            struct column col = c->column; /* what was understood is a sane column */
            struct relation *r = NULL;
            if (!relation_new(BYTES_LIT("s"), BYTES_LIT("t"), &col, 1, &r, &e))
                abort();
            relation_unref(r);
        }
    } else if (e.code != ERR_NOMEM) {
        abort();
    }
    buf_free(&b);
    arena_free(a);
    return sum == SIZE_MAX ? -1 : 0;
}
