/* fuzz_schema_set.c - any bytes as payloads of SCHEMA frames: what is accepted survives being written again. The first byte says how long
 * the first of two payloads is. */
#include "schema_set.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema_set s = { 0 }, back = { 0 };
    struct buf b = { 0 };
    struct err err = { 0 };
    if (size == 0)
        return 0;
    size_t first = data[0] < size - 1 ? data[0] : size - 1;
    bool ok = schema_set_apply(&s, bytes_of(data + 1, first), &err);
    ok = schema_set_apply(&s, bytes_of(data + 1 + first, size - 1 - first), &err) && ok;
    if (!ok && err.code == ERR_NONE)
        abort();
    schema_set_encode(&s, &b);
    if (!schema_set_apply(&back, buf_view(&b), &err) || back.n != s.n)
        abort();
    for (size_t i = 0; i < s.n; i++) {
        const struct schema_entry *e = s.v[i], *f = schema_set_find(&back, e->schema, e->table);
        if (f == NULL || !bytes_eq(e->sql, f->sql) || (i > 0 && schema_set_find(&s, e->schema, e->table) != e))
            abort();
    }
    if (s.n > 0 && (!schema_set_remove(&s, s.v[0]->schema, s.v[0]->table) || s.n >= back.n))
        abort();
    schema_set_clear(&s);
    schema_set_clear(&back);
    buf_free(&b);
    return 0;
}
