/* fuzz_schema_define.c - what a schema server and a binlog may say: the first byte picks. Status variables and the text of a statement,
 * apart by a NUL; or a COLUMN_TYPE, a NUL, and the TABLE_MAP of such a column. */
#include "arena.h"
#include "row_event.h"
#include "schema_statement.h"

#include <stdlib.h>

static struct schema_column column;
static struct schema_table table = { .ncols = 1, .cols = &column };

static bool answer(void *ctx, struct bytes schema, struct bytes name, const struct schema_table **out, struct err *err)
{
    (void)ctx;
    (void)schema;
    (void)name;
    (void)err;
    *out = &table;
    return true;
}

static bool all(void *ctx, struct bytes schema, struct bytes name)
{
    (void)ctx;
    (void)schema;
    (void)name;
    return true;
}

static void define(uint8_t flags, struct bytes type, struct bytes map)
{
    static const uint8_t head[] = { 0x70, 0, 0, 0, 0, 0, 1, 0, 1, 's', 0, 1, 't', 0, 1 };
    static const char *const charsets[] = { "", "latin1", "utf8mb4", "binary" };
    uint8_t *p = malloc(sizeof head + map.n);
    memcpy(p, head, sizeof head);
    if (map.n != 0)
        memcpy(p + sizeof head, map.p, map.n);
    column = (struct schema_column){ .name = BYTES_LIT("c"),
                                     .type = type,
                                     .charset = bytes_str(charsets[flags >> 2 & 3]),
                                     .nullable = (flags & 2) != 0,
                                     .octets = flags & 0x80   ? UINT64_MAX
                                               : flags & 0x40 ? 255
                                                              : 12 };
    struct binlog_event e = { .type = EV_TABLE_MAP, .body = { p, sizeof head + map.n } };
    struct binlog_format fmt = { .mariadb = (flags & 0x20) != 0 };
    struct schema_source from = { .table = answer };
    struct table_defs *defs = table_defs_new();
    const struct table_def *def = NULL;
    struct err err = { 0 };
    table_defs_ask(defs, &from);
    if (!table_defs_map(defs, &e, &fmt, all, NULL, &def, &err) && err.code == ERR_NONE)
        abort();
    table_defs_free(defs);
    free(p);
}

static void read_statement(uint8_t flags, struct bytes vars, struct bytes sql)
{
    struct schema_session s;
    struct ddl d;
    struct err err;
    struct arena *a = arena_new(0);
    struct ddl_context ctx = { .default_schema = BYTES_LIT("d") };
    schema_session_read(vars, (flags & 2) != 0, &s);
    if (s.explicit_timestamp < -1 || s.explicit_timestamp > 1)
        abort();
    struct schema_statement st = { .text = sql, .sql = sql, .parsed = &d, .temporary = (flags & 4) != 0 };
    if (ddl_parse(sql, &ctx, a, &d, &err))
        (void)schema_statement_step(&st);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes a = bytes_of(data + 1, size - 1), b = { NULL, 0 };
    const uint8_t *nul = a.n == 0 ? NULL : memchr(a.p, '\0', a.n);
    if (data[0] & 1) { /* status variables have NULs of their own: their length stands in front */
        size_t n = a.n == 0 ? 0 : a.p[0] < a.n - 1 ? a.p[0] : a.n - 1;
        if (a.n != 0)
            read_statement(data[0], bytes_of(a.p + 1, n), bytes_of(a.p + 1 + n, a.n - 1 - n));
        return 0;
    }
    if (nul != NULL) {
        b = bytes_of(nul + 1, a.n - (size_t)(nul + 1 - a.p));
        a.n = (size_t)(nul - a.p);
    }
    define(data[0], a, b);
    return 0;
}
