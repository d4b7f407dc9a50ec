/* test_row_event.c - replays binlogs recorded from real servers and compares every table with what the server's
 * SELECT printed. */
#include "both_ways.h"

#include "binlog_fixture.h"

#include <libdeflate.h>
#include <math.h>

enum { MAX_TABLES = 64, MAX_ROWS = 64, MAX_COLS = 64 };

struct table {
    char name[64];
    unsigned ncols, nrows;
    char *cells[MAX_ROWS][MAX_COLS];
    char type[MAX_COLS];
};
struct world {
    struct table t[MAX_TABLES];
    unsigned n;
    unsigned rows;
};

static struct table *table_of(struct world *w, const char *name)
{
    for (unsigned i = 0; i < w->n; i++)
        if (strcmp(w->t[i].name, name) == 0)
            return &w->t[i];
    struct table *t = &w->t[w->n++];
    snprintf(t->name, sizeof t->name, "%s", name);
    return t;
}

/* As record.sh writes a cell; NULL for an absent one. */
static char *cell(const struct column *col, const struct val *v)
{
    struct buf b = { 0 };
    if (v->kind == VAL_ABSENT)
        return NULL;
    if (v->kind == VAL_NULL) {
        buf_str(&b, "NULL");
    } else if (v->kind == VAL_BYTES || v->kind == VAL_GEOMETRY || v->kind == VAL_VECTOR) {
        buf_u8(&b, 'x');
        for (size_t i = 0; i < v->u.str.n; i++)
            buf_printf(&b, "%02X", v->u.str.p[i]);
    } else if (v->kind == VAL_F32 || v->kind == VAL_F64) {
        buf_u8(&b, 'f');
        f64_text(v->kind == VAL_F32 ? (double)v->u.f32 : v->u.f64, &b);
    } else {
        struct buf t = { 0 };
        column_value_text(col, v, &t);
        if (col->type == COL_YEAR && v->u.i64 == 0) {
            buf_reset(&t);
            buf_str(&t, "0000");
        }
        if (t.n > 1000 && val_is_str(v->kind)) {
            buf_printf(&b, "c%u:%zu", libdeflate_crc32(0, t.p, t.n), t.n);
        } else {
            buf_u8(&b, 't');
            for (size_t i = 0; i < t.n; i++) {
                static const char from[] = "\0\t\n\\", to[] = "0tn\\";
                const char *hit = memchr(from, t.p[i], 4);
                if (hit != NULL)
                    buf_u8(&b, '\\');
                buf_u8(&b, hit != NULL ? (uint8_t)to[hit - from] : t.p[i]);
            }
        }
        buf_free(&t);
    }
    char *s = strdup(buf_cstr(&b));
    buf_free(&b);
    return s;
}

static bool same_cell(const char *a, const char *b)
{
    if (a[0] == 'f' && b[0] == 'f') { /* MySQL's CAST cuts a double's text at 22 characters */
        double x = strtod(a + 1, NULL), y = strtod(b + 1, NULL);
        return x == y || fabs(x - y) <= 4e-15 * fabs(y);
    }
    return strcmp(a, b) == 0;
}

/* The row that agrees; of several the one that leaves least open (MINIMAL images). -1: none. */
static int find_row(const struct table *t, char **cells)
{
    int best = -1;
    unsigned best_open = MAX_COLS;
    for (unsigned r = 0; r < t->nrows; r++) {
        bool hit = true;
        unsigned open = 0;
        for (unsigned i = 0; i < t->ncols && hit; i++) {
            if (cells[i] == NULL)
                continue;
            open += t->cells[r][i] == NULL;
            hit = t->cells[r][i] == NULL || same_cell(cells[i], t->cells[r][i]);
        }
        if (hit && open < best_open) {
            best = (int)r;
            best_open = open;
        }
    }
    return best;
}

static void to_cells(const struct relation *rel, const struct val *row, char **cells)
{
    for (unsigned i = 0; i < rel->ncols; i++)
        cells[i] = cell(&rel->cols[i], &row[i]);
}

static void apply(struct world *w, const struct row_reader *r, const struct val *old_row, const struct val *new_row)
{
    const struct relation *rel = r->def->rel;
    char name[64], *olds[MAX_COLS] = { 0 }, *news[MAX_COLS] = { 0 };
    snprintf(name, sizeof name, "%.*s", BYTES_FMT(rel->table));
    struct table *t = table_of(w, name);
    t->ncols = rel->ncols;
    w->rows++;
    int at = (int)t->nrows;
    if (r->change != ROW_INSERT) {
        to_cells(rel, old_row, olds);
        at = find_row(t, olds);
        CHECK(at >= 0, "%s: the old row is not there", name);
    }
    if (r->change != ROW_DELETE)
        to_cells(rel, new_row, news);
    if (at >= 0 && at < MAX_ROWS && r->change == ROW_DELETE) {
        for (unsigned i = 0; i < t->ncols; i++) {
            free(t->cells[at][i]);
            t->cells[at][i] = t->cells[t->nrows - 1][i];
            t->cells[t->nrows - 1][i] = NULL;
        }
        t->nrows--;
    } else if (at >= 0 && at < MAX_ROWS) {
        if (r->change == ROW_INSERT)
            t->nrows++;
        for (unsigned i = 0; i < t->ncols; i++) {
            if (news[i] == NULL)
                continue;
            free(t->cells[at][i]);
            t->cells[at][i] = news[i];
            news[i] = NULL;
        }
    }
    for (unsigned i = 0; i < rel->ncols; i++) {
        free(olds[i]);
        free(news[i]);
    }
}

static bool take_fx(void *ctx, struct bytes schema, struct bytes table)
{
    (void)ctx;
    (void)table;
    return bytes_eq_str(schema, "fx");
}

static bool take_all(void *ctx, struct bytes schema, struct bytes table)
{
    (void)ctx;
    (void)schema;
    (void)table;
    return true;
}

static unsigned columns;         /* rows that came many at once */
static unsigned nrows, straight; /* of the recorded events; those that took the short way into frames */

/* Rows of one event into w (NULL: nowhere), and into frames in both ways. False with err. */
static bool read_rows(struct world *w, const struct binlog_event *e, const struct binlog_format *fmt,
                      const struct table_defs *defs, struct arena *a, struct err *err)
{
    struct row_reader r;
    struct val *row = calloc(MAX_COLS * 2, sizeof *row);
    bool opened = row_reader_open(&r, e, fmt, defs, err), ok = opened, more = opened;
    unsigned by_cuts = 0;
    while (more) {
        ok = row_reader_next(&r, a, row, row + MAX_COLS, &more, err);
        more = more && ok;
        if (more && w != NULL)
            apply(w, &r, row, row + MAX_COLS);
        nrows += more && w != NULL;
    }
    if (opened)
        row_reader_close(&r);
    const char *why = both_ways_differ(e, fmt, defs, NULL, a, w != NULL ? &straight : &by_cuts, &columns);
    CHECK(why == NULL, "both ways into frames: %s", why);
    free(row);
    return ok;
}

/* Every cut of the event: with its checksum it must fail; with a length that fits and no checksum it must not crash,
 * nor read beyond. */
static void cuts(struct bytes event, const struct binlog_format *fmt, struct table_defs *defs, struct arena *a)
{
    struct binlog_format plain = *fmt;
    plain.crc = false;
    size_t step = event.n > 4096 ? 61 : 1; /* the one large document would take minutes */
    unsigned good = 0;
    for (size_t n = 0; n < event.n; n += step) {
        struct err err = { 0 };
        struct binlog_event e;
        struct bytes copy = cut_event(event, n);
        CHECK(!binlog_event_parse((struct bytes){ event.p, n }, fmt, &e, &err), "a cut at %zu of %zu passed", n,
              event.n);
        err = (struct err){ 0 };
        bool ok = binlog_event_parse(copy, &plain, &e, &err);
        const struct table_def *def;
        if (ok && e.type == EV_TABLE_MAP) {
            struct table_defs *own = table_defs_new();
            ok = table_defs_map(own, &e, &plain, take_fx, NULL, &def, &err);
            table_defs_free(own);
        } else if (ok) {
            ok = read_rows(NULL, &e, &plain, defs, a, &err);
        }
        CHECK(ok == (err.code == ERR_NONE), "cut at %zu: ok %d but error code %d", n, ok, err.code);
        good += ok;
        free((void *)(uintptr_t)copy.p);
        arena_reset(a);
    }
    CHECK(good < 12, "%u cuts of a %zu-byte event were taken as whole", good, event.n);
}

static void replay(const char *path, struct world *w, unsigned *nmaps, unsigned *nsame)
{
    struct binlog_file f = binlog_file_open(path);
    struct binlog_format fmt = { 0 };
    struct table_defs *defs = table_defs_new();
    struct arena *a = arena_new(0);
    struct bytes event;
    const struct relation *last = NULL;
    while (binlog_file_next(&f, &event)) {
        struct binlog_event e;
        struct err err = { 0 };
        const struct table_def *def;
        bool ok = binlog_event_parse(event, &fmt, &e, &err);
        CHECK(ok, "%s:%zu: %s", path, f.at, err.msg);
        if (!ok)
            break;
        if (e.type == EV_FORMAT_DESCRIPTION)
            CHECK(binlog_parse_format(&e, &fmt, &err), "%s", err.msg);
        if (e.type == EV_TABLE_MAP) {
            ok = table_defs_map(defs, &e, &fmt, take_fx, NULL, &def, &err);
            CHECK(ok, "%s:%zu: %s", path, f.at, err.msg);
            (*nmaps)++;
            *nsame += ok && def->rel == last;
            last = ok ? def->rel : NULL;
            cuts(event, &fmt, defs, a);
        } else if (binlog_event_is_rows(e.type)) {
            CHECK(read_rows(w, &e, &fmt, defs, a, &err), "%s:%zu: %s", path, f.at, err.msg);
            cuts(event, &fmt, defs, a);
            if ((e.body.p[6] & 1) != 0)
                table_defs_end_statement(defs);
        }
        arena_reset(a);
    }
    CHECK(f.at == f.all.n, "%s: stopped at %zu of %zu", path, f.at, f.all.n);
    table_defs_free(defs);
    arena_free(a);
    free((void *)(uintptr_t)f.all.p);
}

static void compare(const char *path, struct world *w)
{
    struct bytes all = read_whole(path);
    char *text = malloc(all.n + 1), *save = NULL;
    memcpy(text, all.p, all.n);
    text[all.n] = '\0';
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *cells[MAX_COLS] = { 0 }, *rest = NULL;
        char *name = strtok_r(line, "\t", &rest);
        struct table *t = table_of(w, name);
        unsigned n = 0;
        for (char *c = strtok_r(NULL, "\t", &rest); c != NULL && n < MAX_COLS; c = strtok_r(NULL, "\t", &rest))
            cells[n++] = c;
        CHECK(n == t->ncols, "%s: %u columns, decoded %u", name, n, t->ncols);
        int at = n == t->ncols ? find_row(t, cells) : -1;
        if (at < 0) {
            CHECK(false, "%s: a row of the server's is not among the decoded: %s ...", name, cells[0]);
            for (unsigned r = 0; r < t->nrows; r++)
                for (unsigned i = 0; i < n; i++)
                    if (t->cells[r][i] != NULL && !same_cell(cells[i], t->cells[r][i]) &&
                        strcmp(cells[0], t->cells[r][0]) == 0)
                        fprintf(stderr, "  column %u: server %s\n  decoded %s\n", i, cells[i], t->cells[r][i]);
            continue;
        }
        for (unsigned i = 0; i < t->ncols; i++) { /* so that none is found twice */
            free(t->cells[at][i]);
            t->cells[at][i] = t->cells[t->nrows - 1][i];
            t->cells[t->nrows - 1][i] = NULL;
        }
        t->nrows--;
        unit_checks++;
    }
    for (unsigned i = 0; i < w->n; i++) /* `partial` was dropped before the SELECTs */
        CHECK(w->t[i].nrows == 0 || strcmp(w->t[i].name, "partial") == 0,
              "%s: %u decoded rows that the server does not have", w->t[i].name, w->t[i].nrows);
    free(text);
    free((void *)(uintptr_t)all.p);
}

static void recorded(const char *name, unsigned want_rows)
{
    char path[200];
    struct world *w = calloc(1, sizeof *w);
    unsigned nmaps = 0, nsame = 0;
    snprintf(path, sizeof path, "fixtures/%s.binlog", name);
    replay(path, w, &nmaps, &nsame);
    CHECK(w->rows >= want_rows, "%s: only %u rows", name, w->rows);
    CHECK(nsame > 5 && nsame < nmaps, "%s: %u of %u definitions were reused", name, nsame, nmaps);
    snprintf(path, sizeof path, "fixtures/%s.expected", name);
    compare(path, w);
    for (unsigned i = 0; i < w->n; i++)
        for (unsigned r = 0; r < MAX_ROWS; r++)
            for (unsigned k = 0; k < MAX_COLS; k++)
                free(w->t[i].cells[r][k]);
    free(w);
}

/* Such an event is all for the long way. */
static void never_straight(const struct binlog_event *e, const struct binlog_format *fmt, const struct table_defs *defs,
                           struct arena *a)
{
    unsigned n = 0;
    const char *why = both_ways_differ(e, fmt, defs, NULL, a, &n, &columns);
    CHECK(why == NULL && n == 0, "event %u: %s, %u rows by the short way", e->type, why == NULL ? "" : why, n);
}

/* PARTIAL_UPDATE_ROWS for s.t (id INT, j JSON, k JSON): the columns of the two images, then one row. Document before:
 * [1]. */
static void partial(void)
{
    static const char map[] = "700000000000 0100 017300 017400 03 03f5f5 02 0404 07 010100 0407 026964 016a 016b";
    static const char full[] = "07 07", key_only[] = "01 02"; /* FULL and MINIMAL images, of a change of j alone */
    static const char no_j[] = "07 05";                       /* NOBLOB of a table without a key, a change of k alone */
    static const char old[] = "00 05000000 08000000 02 0100 0700 050100 02000000 0401";
    static const struct {
        const char *images, *old, *now, *want;
    } cases[] = {
        { full, old, "01 03 00 05000000 00000000 00000000", "5|[1]|true" }, /* both as differences, none of them */
        { full, old, "01 01 00 05000000 0b000000 00 05 245b6c6173745d 03 050200", "!truncated" },
        { full, old, "01 01 00 05000000 0b000000 00 05 245b305d20 03 050200 02000000 0402", "!neither" },
        { full, old, "01 01 00 05000000 0a000000 00 04 245b305d 03 050200 02000000 0402", "5|[2]|false" },
        { full, old, "01 02 00 05000000 02000000 0402 00000000", "5|false|true" },
        { full, old, "00 00 05000000 02000000 0402 02000000 0400", "5|false|null" }, /* no option: no bits */
        { full, old, "01 03 06 05000000", "5|NULL|NULL" },
        { full, old, "02 00 00 05000000 02000000 0402 02000000 0402", "!value options 0x2" },
        { full, "02 05000000 02000000 0401", "01 01 00 05000000 00000000 02000000 0402", "!that was NULL" },
        { no_j, old, "01 02 00 05000000 00000000", "5|(absent)|true" },
        { key_only, "00 05000000", "01 00 00 02000000 0402", "(absent)|false|(absent)" },
        { key_only, "00 05000000", "01 01 01", "(absent)|NULL|(absent)" },
        { key_only, "00 05000000", "01 01 00 0a000000 00 04 245b305d 03 050200", "!column j" },
        { key_only, "00 05000000", "01 01 00 00000000", "!SET PERSIST binlog_row_image = FULL" },
    };
    struct table_defs *defs = table_defs_new();
    struct arena *a = arena_new(0);
    struct binlog_format fmt = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct table_def *def;
        struct err err = { 0 };
        struct bytes body = unhex(map);
        struct binlog_event e = { .type = EV_TABLE_MAP, .body = body };
        struct row_reader r = { 0 };
        struct val row[6];
        struct buf got = { 0 }, hex = { 0 };
        bool more = false;
        bool ok = table_defs_map(defs, &e, &fmt, take_all, NULL, &def, &err);
        CHECK(ok, "%s", err.msg);
        free((void *)(uintptr_t)body.p);
        buf_printf(&hex, "700000000000 0100 0200 03 %s %s %s", cases[i].images, cases[i].old, cases[i].now);
        body = unhex(buf_cstr(&hex));
        e = (struct binlog_event){ .type = EV_PARTIAL_UPDATE_ROWS, .body = body };
        ok = ok && row_reader_open(&r, &e, &fmt, defs, &err) && row_reader_next(&r, a, row, row + 3, &more, &err);
        for (unsigned k = 0; ok && k < 3; k++) {
            buf_str(&got, k == 0 ? "" : "|");
            val_text(&row[3 + k], &got);
        }
        if (cases[i].want[0] == '!')
            CHECK(!ok && strstr(err.msg, cases[i].want + 1) != NULL && strstr(err.msg, "table s.t") != NULL,
                  "partial %zu: want \"%s\", got %d %s", i, cases[i].want, ok, err.msg);
        else
            CHECK(ok && more && strcmp(buf_cstr(&got), cases[i].want) == 0 && cur_left(&r.c) == 0,
                  "partial %zu: want %s, got %s %s", i, cases[i].want, buf_cstr(&got), err.msg);
        row_reader_close(&r);
        never_straight(&e, &fmt, defs, a);
        for (size_t n = 12; n < body.n && cases[i].want[0] != '!'; n++) { /* behind the images: the row */
            uint8_t *cut = malloc(n);
            memcpy(cut, body.p, n);
            e.body = (struct bytes){ cut, n };
            ok = row_reader_open(&r, &e, &fmt, defs, &err) && row_reader_next(&r, a, row, row + 3, &more, &err) && more;
            CHECK(!ok, "partial %zu: a cut at %zu passed", i, n);
            row_reader_close(&r);
            free(cut);
        }
        free((void *)(uintptr_t)body.p);
        buf_free(&got);
        buf_free(&hex);
    }
    table_defs_free(defs);
    arena_free(a);
}

/* s.t (id INT NOT NULL, ts TIMESTAMP(2) NULL) in MariaDB's format of before 10.0, as MariaDB 10.11 writes it: nothing
 * says that the times have a fifth byte. Nine such rows are as long as ten without; they must not pass. */
static void old_times(void)
{
    struct table_defs *defs = table_defs_new();
    struct arena *a = arena_new(0);
    struct binlog_format fmt = { .mariadb = true };
    const struct table_def *def;
    struct err err = { 0 };
    struct bytes map = unhex("700000000000 0100 017300 017400 02 0307 00 02 010100 0406 026964 027473");
    struct binlog_event e = { .type = EV_TABLE_MAP, .body = map };
    struct buf rows = { 0 };
    struct row_reader r;
    struct val row[4];
    bool more = true;
    CHECK(table_defs_map(defs, &e, &fmt, take_all, NULL, &def, &err), "%s", err.msg);
    buf_put(&rows, "\x70\0\0\0\0\0\x01\0\x02\x03", 10);
    for (unsigned i = 0; i < 9; i++)
        buf_put(&rows, "\xfc\x01\0\0\0\x65\xe0\x58\x40\x0c", 10);
    e = (struct binlog_event){ .type = EV_WRITE_ROWS_V1, .body = buf_view(&rows) };
    bool ok = row_reader_open(&r, &e, &fmt, defs, &err);
    while (ok && more)
        ok = row_reader_next(&r, a, row, row + 2, &more, &err);
    CHECK(!ok && r.row == 2 && strstr(err.msg, "ALTER TABLE ... FORCE") != NULL && strstr(err.msg, "table s.t") != NULL,
          "row %u: %d %s", r.row, ok, err.msg);
    row_reader_close(&r);
    never_straight(&e, &fmt, defs, a);
    rows.n = 10;
    for (unsigned i = 0; i < 2; i++) /* without a fraction they are read */
        buf_put(&rows, "\xfc\x01\0\0\0\x40\x58\xe0\x65", 9);
    e.body = buf_view(&rows);
    ok = row_reader_open(&r, &e, &fmt, defs, &err);
    for (more = true; ok && more;)
        ok = row_reader_next(&r, a, row, row + 2, &more, &err);
    CHECK(ok && r.row == 2 && row[3].u.i64 == INT64_C(0x65e05840) * 1000000, "%d %s", ok, err.msg);
    row_reader_close(&r);
    never_straight(&e, &fmt, defs, a);
    rows.n = 10;
    buf_put(&rows, "\xfd\x40\x58\xe0\x65", 5); /* NULL in a column that cannot be it */
    e.body = buf_view(&rows);
    ok = row_reader_open(&r, &e, &fmt, defs, &err) && row_reader_next(&r, a, row, row + 2, &more, &err);
    CHECK(!ok && strstr(err.msg, "not at its place") != NULL, "%d %s", ok, err.msg);
    row_reader_close(&r);
    rows.n = 9; /* rows of no column cannot be told apart, nor counted */
    buf_put(&rows, "\0\xff\xff", 3);
    e.body = buf_view(&rows);
    ok = row_reader_open(&r, &e, &fmt, defs, &err);
    CHECK(!ok && strstr(err.msg, "rows without any column") != NULL, "%d %s", ok, err.msg);
    row_reader_close(&r);
    buf_free(&rows);
    free((void *)(uintptr_t)map.p);
    table_defs_free(defs);
    arena_free(a);
}

int main(void)
{
    recorded("mysql-9.7.4", 81);
    recorded("mysql-9.7.4-partial", 30);
    recorded("mariadb-10.11.19", 75);
    CHECK(straight > nrows / 2, "only %u of %u rows took the short way", straight, nrows);
    partial();
    old_times();
    return UNIT_END();
}
