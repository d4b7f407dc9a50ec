/* fuzz_row_event.c - a TABLE_MAP and a rows event for it, both from the input: u8 type, u8 bits (1: MariaDB, 2: what is no character
 * is replaced), u16 length of the TABLE_MAP's tail (behind the names), that, then the rows event's body behind its table id. Every value that
 * comes out must be readable to its end, and the short way into frames must make of them what the long one does. Definitions
 * are kept for a while, as making and freeing their table takes longer than an event. */
#include "../unit/both_ways.h"

static bool all(void *ctx, struct bytes schema, struct bytes table)
{
    (void)ctx;
    (void)schema;
    (void)table;
    return true;
}

static uint8_t touched; /* so that reading is not optimised away */

static void touch(const struct val *row, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (val_is_str(row[i].kind))
            for (size_t k = 0; k < row[i].u.str.n; k++)
                touched ^= row[i].u.str.p[k];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t map_head[] = { 0x70, 0, 0, 0, 0, 0, 1, 0, 1, 's', 0, 1, 't', 0 };
    static const uint8_t row_head[] = { 0x70, 0, 0, 0, 0, 0 };
    struct cur c = cur_over((struct bytes){ data, size });
    uint8_t type = cur_u8(&c);
    uint8_t how = cur_u8(&c);
    struct binlog_format fmt = { .mariadb = how & 1 };
    struct bytes tail = cur_take(&c, (size_t)cur_le(&c, 2));
    struct bytes rows = cur_take(&c, cur_left(&c));
    if (c.why != NULL)
        return 0;
    struct buf map = { 0 }, body = { 0 };
    buf_put(&map, map_head, sizeof map_head);
    buf_bytes(&map, tail);
    buf_put(&body, row_head, sizeof row_head);
    buf_bytes(&body, rows);
    enum { KEEP_RUNS = 256 };
    static struct table_defs *kept[2];
    static uint64_t replaced;
    static struct arena *a;
    static unsigned runs;
    if (runs++ % KEEP_RUNS == 0) {
        for (unsigned i = 0; i < 2; i++) {
            table_defs_free(kept[i]);
            kept[i] = table_defs_new();
        }
        table_defs_replace_invalid(kept[1], &replaced);
    }
    struct table_defs *defs = kept[how >> 1 & 1];
    if (a == NULL)
        a = arena_new((size_t)64 << 20);
    struct binlog_event e = { .type = EV_TABLE_MAP, .body = buf_view(&map) };
    const struct table_def *def;
    struct row_reader r;
    struct err err = { 0 };
    if (table_defs_map(defs, &e, &fmt, all, NULL, &def, &err)) {
        struct val *row = calloc((size_t)def->ncols * 2, sizeof *row);
        uint8_t *exact = malloc(body.n); /* so that a byte beyond is seen */
        memcpy(exact, body.p, body.n);
        e = (struct binlog_event){ .type = type, .body = { exact, body.n } };
        if (row_reader_open(&r, &e, &fmt, defs, &err)) {
            bool more = true;
            while (row_reader_next(&r, a, row, row + def->ncols, &more, &err) && more) {
                touch(row, def->ncols * 2);
                arena_reset(a);
            }
            row_reader_close(&r);
            unsigned straight = 0, columns = 0;
            if (both_ways_differ(&e, &fmt, defs, &replaced, a, &straight, &columns) != NULL)
                abort();
        }
        free(exact);
        free(row);
    }
    arena_reset(a);
    table_defs_end_statement(defs);
    buf_free(&map);
    buf_free(&body);
    return 0;
}
