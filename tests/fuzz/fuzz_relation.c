/* fuzz_relation.c - any bytes as a table definition: refused, or read and written back to the same bytes. */
#include "relation.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct relation *r = NULL, *again = NULL;
    struct err e = { 0 };
    struct buf b = { 0 };
    if (!relation_parse(bytes_of(data, size), &r, &e))
        return 0;
    if (!relation_new(r->schema, r->table, r->cols, r->ncols, &again, &e) || again->id != r->id ||
        !bytes_eq(again->canonical, r->canonical) || r->canonical.n != size)
        abort();
    for (unsigned i = 0; i < r->ncols; i++) {
        int at = relation_column(r, r->cols[i].name);
        if (at != (int)i)
            abort();
        column_type_text(&r->cols[i], &b);
        const struct val en = { .kind = VAL_ENUM, .u.u64 = size }, set = { .kind = VAL_SET, .u.u64 = size };
        column_value_text(&r->cols[i], &en, &b);
        column_value_text(&r->cols[i], &set, &b);
    }
    buf_free(&b);
    relation_unref(again);
    relation_unref(r);
    return 0;
}
