/* fuzz_table_map.c - any bytes as a TABLE_MAP behind table id, flags and names; first byte: MariaDB or MySQL. Mapped
 * twice, the second time from the cache, which is kept for a while: freeing it takes longer than a TABLE_MAP. */
#include "row_event.h"

#include <stdlib.h>

static bool all(void *ctx, struct bytes schema, struct bytes table)
{
    (void)ctx;
    (void)schema;
    (void)table;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t head[] = { 0x70, 0, 0, 0, 0, 0, 1, 0, 1, 's', 0, 1, 't', 0 };
    if (size == 0)
        return 0;
    uint8_t *p = malloc(sizeof head + size - 1);
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, data + 1, size - 1);
    struct binlog_format fmt = { .mariadb = data[0] & 1 };
    struct binlog_event e = { .type = EV_TABLE_MAP, .body = { p, sizeof head + size - 1 } };
    enum { KEEP_RUNS = 256 };
    static struct table_defs *defs;
    static unsigned runs;
    if (runs++ % KEEP_RUNS == 0) {
        table_defs_free(defs);
        defs = table_defs_new();
    }
    const struct table_def *one = NULL, *two = NULL;
    struct err err = { 0 };
    if (table_defs_map(defs, &e, &fmt, all, NULL, &one, &err)) {
        const struct relation *rel = one->rel;
        if (!table_defs_map(defs, &e, &fmt, all, NULL, &two, &err) || two->rel != rel)
            abort();
    } else if (err.code == ERR_NONE) {
        abort();
    }
    struct binlog_event bare = { .type = EV_TABLE_MAP, .body = { data, size } };
    (void)table_defs_map(defs, &bare, &fmt, all, NULL, &two, &err);
    table_defs_end_statement(defs);
    free(p);
    return 0;
}
