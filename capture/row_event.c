/* row_event.c - rows events of versions 1 and 2, MariaDB's compressed ones and MySQL's partial updates, row by row.
 * table_defs.c has the definitions.
 *
 * Source: MySQL, libs/mysql/binlog/event/rows_event.cpp; MariaDB, sql/log_event.cc, Rows_log_event. */
#include "row_event.h"

#include "row_decode.h"
#include "wire.h"

#include <stdlib.h>

enum { FLAG_STMT_END = 1, DUMMY_TABLE = 0xffffff };

struct rows_kind {
    enum row_change change;
    bool v2, compressed, partial;
};

static bool kind_of(uint8_t type, struct rows_kind *out)
{
    if (type >= EV_WRITE_ROWS_V1 && type <= EV_DELETE_ROWS_V1)
        *out = (struct rows_kind){ (enum row_change)(type - EV_WRITE_ROWS_V1), false, false, false };
    else if (type >= EV_WRITE_ROWS && type <= EV_DELETE_ROWS)
        *out = (struct rows_kind){ (enum row_change)(type - EV_WRITE_ROWS), true, false, false };
    else if (type == EV_PARTIAL_UPDATE_ROWS)
        *out = (struct rows_kind){ ROW_UPDATE, true, false, true };
    else if (type >= EV_MARIADB_WRITE_ROWS_COMPRESSED_V1 && type <= EV_MARIADB_DELETE_ROWS_COMPRESSED_V1)
        *out = (struct rows_kind){ (enum row_change)(type - EV_MARIADB_WRITE_ROWS_COMPRESSED_V1), false, true, false };
    else if (type >= EV_MARIADB_WRITE_ROWS_COMPRESSED && type <= EV_MARIADB_DELETE_ROWS_COMPRESSED)
        *out = (struct rows_kind){ (enum row_change)(type - EV_MARIADB_WRITE_ROWS_COMPRESSED), true, true, false };
    else
        return false;
    return true;
}

static bool is_present(struct bytes bitmap, unsigned i)
{
    return (bitmap.p[i / 8] >> i % 8 & 1) != 0;
}

static unsigned count_present(struct bytes bitmap, unsigned ncols) /* bits behind the last column are arbitrary */
{
    unsigned n, i = 0;
    while (ncols - i >= 8 && bitmap.p[i / 8] == 0xff) /* nearly always all of them */
        i += 8;
    if (i == ncols)
        return ncols;
    if (ncols - i < 8 && (bitmap.p[i / 8] | 0xffU << (ncols - i)) == (0xffU | 0xffU << (ncols - i)))
        return ncols;
    for (n = i; i < ncols; i++)
        n += is_present(bitmap, i);
    return n;
}

static bool in_table(const struct table_def *def, struct err *err)
{
    return err_ctx(err, "table %.*s.%.*s", BYTES_FMT(def->schema), BYTES_FMT(def->table));
}

static bool has_old_times(const struct table_def *def)
{
    for (unsigned i = 0; i < def->ncols; i++)
        if (def->cols[i].type == WT_TIMESTAMP || def->cols[i].type == WT_TIME || def->cols[i].type == WT_DATETIME)
            return true;
    return false;
}

/* Behind the post-header: column count, bitmaps, rows. */
static bool open_body(struct row_reader *r, struct cur *c, bool compressed, uint8_t type, struct err *err)
{
    uint64_t ncols = wire_lenenc(c);
    if (c->why == NULL && ncols != r->def->ncols) {
        err_set(err, ERR_CORRUPT, "%s has %llu columns, but TABLE_MAP had %u", binlog_event_name(type),
                (unsigned long long)ncols, r->def->ncols);
        return in_table(r->def, err);
    }
    struct bytes first = cur_take(c, (r->def->ncols + 7) / 8);
    struct bytes second = r->change == ROW_UPDATE ? cur_take(c, (r->def->ncols + 7) / 8) : first;
    struct bytes rows = cur_take(c, cur_left(c));
    if (c->why != NULL) {
        cur_ok(c, binlog_event_name(type), err);
        return in_table(r->def, err);
    }
    if (r->change != ROW_INSERT)
        r->present_old = first;
    if (r->change != ROW_DELETE)
        r->present_new = second;
    r->npresent_old = r->change == ROW_INSERT ? 0 : count_present(r->present_old, r->def->ncols);
    r->npresent_new = r->change == ROW_DELETE ? 0 : count_present(r->present_new, r->def->ncols);
    r->bare = r->npresent_old + r->npresent_new == 0;
    if (r->bare && (r->change != ROW_INSERT || rows.n != 0)) {
        err_set(err, ERR_CORRUPT, "%s has rows without any column", binlog_event_name(type));
        return in_table(r->def, err);
    }
    if (compressed) {
        if (!wire_uncompress(rows, &r->inflated, err)) {
            err_ctx(err, "%s", binlog_event_name(type));
            return in_table(r->def, err);
        }
        rows = buf_view(&r->inflated);
    }
    r->c = cur_over(rows);
    return true;
}

bool row_reader_open(struct row_reader *r, const struct binlog_event *e, const struct binlog_format *fmt,
                     const struct table_defs *t, struct err *err)
{
    struct rows_kind kind;
    memset(r, 0, sizeof *r);
    if (!kind_of(e->type, &kind))
        return err_set(err, ERR_CORRUPT, "%s (%u) is no rows event", binlog_event_name(e->type), e->type);
    unsigned post = kind.v2 ? 10 : 8;
    if (fmt->known && e->type <= fmt->nposts && fmt->post_len[e->type - 1] != post)
        return err_set(err, ERR_UNSUPPORTED, "%s with a post-header of %u bytes; only %u is read",
                       binlog_event_name(e->type), fmt->post_len[e->type - 1], post);
    struct cur c = cur_over(e->body);
    r->change = kind.change;
    r->table_id = cur_le(&c, 6);
    r->flags = (uint16_t)cur_le(&c, 2);
    if (kind.v2 && cur_left(&c) > 2 && c.p[0] == 2 && c.p[1] == 0) { /* no extra information: the usual form */
        c.p += 2;
    } else if (kind.v2) { /* NDB's and partitioning's notes: nothing about the rows' contents */
        size_t extra = (size_t)cur_le(&c, 2);
        if (c.why == NULL && extra < 2)
            cur_fail(&c, "extra row info is shorter than its own length");
        (void)cur_take(&c, c.why == NULL ? extra - 2 : 0);
    }
    if (c.why != NULL)
        return cur_ok(&c, binlog_event_name(e->type), err);
    r->def = table_defs_find(t, r->table_id);
    if (r->def == NULL && r->table_id == DUMMY_TABLE && (r->flags & FLAG_STMT_END) != 0) {
        r->dummy = true;
        return true;
    }
    if (r->def == NULL)
        return err_set(err, ERR_CORRUPT, "%s for table id %llu, which no TABLE_MAP of this statement has named",
                       binlog_event_name(e->type), (unsigned long long)r->table_id);
    if (!r->def->captured)
        return true;
    r->old_times = fmt->mariadb && has_old_times(r->def);
    if (kind.partial)
        r->json_old = calloc(r->def->ncols, sizeof *r->json_old);
    if ((kind.partial && r->json_old == NULL && !err_nomem(err)) || !open_body(r, &c, kind.compressed, e->type, err)) {
        row_reader_close(r);
        return false;
    }
    return true;
}

static bool in_column(const struct row_reader *r, unsigned i, struct err *err)
{
    err_ctx(err, "row %u of the event: column %.*s", r->row, BYTES_FMT(r->def->rel->cols[i].name));
    return in_table(r->def, err);
}

static bool truncated(const struct row_reader *r, struct err *err)
{
    err_set(err, ERR_CORRUPT, "row %u of the event is truncated", r->row);
    return in_table(r->def, err);
}

static bool no_document(struct err *err)
{
    return err_set(
        err, ERR_UNSUPPORTED,
        "the row has only the differences to a JSON document that the source did not send "
        "(binlog_row_value_options = PARTIAL_JSON without binlog_row_image = FULL): SET PERSIST "
        "binlog_row_image = FULL, or SET PERSIST binlog_row_value_options = '' (and in every session that set "
        "them), and take the table anew");
}

/* A column that the image has. old: when it comes as differences, its value before. */
static bool read_column(struct row_reader *r, unsigned i, const struct val *old, struct arena *a, struct val *out,
                        struct err *err)
{
    const struct wire_column *wire = &r->def->cols[i];
    const struct column *col = &r->def->rel->cols[i];
    const uint8_t *from = r->c.p;
    struct bytes none = { NULL, 0 };
    bool ok;
    if (old == NULL)
        ok = row_value_decode(&r->c, wire, col, a, out, err);
    else if (old->kind == VAL_ABSENT)
        ok = no_document(err);
    else
        ok = row_value_json_diff(&r->c, old->kind == VAL_NULL ? none : r->json_old[i], old, a, out, err);
    if (ok && r->json_old != NULL && wire->type == WT_JSON && old == NULL)
        r->json_old[i] = (struct bytes){ from + wire->meta, (size_t)(r->c.p - from) - wire->meta };
    return ok || in_column(r, i, err);
}

/* The head of a new image in PARTIAL_UPDATE_ROWS: options, and which JSON columns come as differences: a bit for each of
 * the table's, also for those that the image lacks. Source: MySQL, libs/mysql/binlog/event/rows_event.h, Rows_event. */
static bool read_partial(struct row_reader *r, struct bytes *bits, struct err *err)
{
    enum { PARTIAL_JSON = 1 };
    uint64_t options = wire_lenenc(&r->c);
    unsigned njson = 0;
    for (unsigned i = 0; i < r->def->ncols; i++)
        njson += r->def->cols[i].type == WT_JSON;
    if (r->c.why == NULL && (options & ~(uint64_t)PARTIAL_JSON) != 0) {
        err_set(err, ERR_UNSUPPORTED, "row %u of the event: value options 0x%llx, of which only 1 is known", r->row,
                (unsigned long long)options);
        return in_table(r->def, err);
    }
    *bits = cur_take(&r->c, (options & PARTIAL_JSON) != 0 ? (njson + 7) / 8 : 0);
    return r->c.why == NULL || truncated(r, err);
}

/* Of such times TABLE_MAP does not say how many digits and bytes their fraction has. They are read as having none, and
 * rows read at a wrong place must not pass for good ones: MariaDB sets the bits behind the last column, and has no NULL
 * in a column that cannot be it. */
static bool nulls_are_right(const struct row_reader *r, struct bytes present, unsigned npresent, struct bytes nulls)
{
    unsigned k = 0;
    for (unsigned i = 0; i < r->def->ncols; i++)
        if (is_present(present, i) && is_present(nulls, k++) && !r->def->rel->cols[i].nullable)
            return false;
    for (k = npresent; k % 8 != 0; k++)
        if (!is_present(nulls, k))
            return false;
    return true;
}

static bool read_nulls(struct row_reader *r, struct bytes present, unsigned npresent, struct bytes *nulls,
                       struct err *err)
{
    *nulls = cur_take(&r->c, (npresent + 7) / 8); /* one bit per present column */
    if (r->c.why != NULL)
        return truncated(r, err);
    if (!r->old_times || nulls_are_right(r, present, npresent, *nulls))
        return true;
    err_set(err, ERR_CORRUPT, "row %u of the event is not at its place", r->row);
    return in_table(r->def, err);
}

/* An image that has all columns, as nearly all have. */
static bool read_whole(struct row_reader *r, struct bytes nulls, struct arena *a, struct val *row, struct err *err)
{
    const struct wire_column *wire = r->def->cols;
    const struct column *col = r->def->rel->cols;
    for (unsigned i = 0; i < r->def->ncols; i++)
        if (is_present(nulls, i))
            row[i] = (struct val){ .kind = VAL_NULL };
        else if (!row_value_decode(&r->c, &wire[i], &col[i], a, &row[i], err))
            return in_column(r, i, err);
    return true;
}

/* old_row: NULL but for a new image in PARTIAL_UPDATE_ROWS. */
static bool read_image(struct row_reader *r, struct bytes present, unsigned npresent, const struct val *old_row,
                       struct arena *a, struct val *row, struct err *err)
{
    const struct table_def *def = r->def;
    struct bytes partial = { NULL, 0 };
    if (old_row != NULL && !read_partial(r, &partial, err))
        return false;
    struct bytes nulls;
    if (!read_nulls(r, present, npresent, &nulls, err))
        return false;
    unsigned k = 0, json = 0;
    if (npresent == def->ncols && r->json_old == NULL)
        return read_whole(r, nulls, a, row, err);
    for (unsigned i = 0; i < def->ncols; i++) {
        bool diffs = partial.n != 0 && def->cols[i].type == WT_JSON && is_present(partial, json++);
        if (!is_present(present, i))
            row[i] = (struct val){ .kind = VAL_ABSENT };
        else if (is_present(nulls, k++))
            row[i] = (struct val){ .kind = VAL_NULL };
        else if (!read_column(r, i, diffs ? &old_row[i] : NULL, a, &row[i], err))
            return false;
    }
    return true;
}

static bool read_row(struct row_reader *r, struct arena *a, struct val *old_row, struct val *new_row, struct err *err)
{
    const struct val *before = r->json_old != NULL ? old_row : NULL;
    return (r->change == ROW_INSERT || read_image(r, r->present_old, r->npresent_old, NULL, a, old_row, err)) &&
           (r->change == ROW_DELETE || read_image(r, r->present_new, r->npresent_new, before, a, new_row, err));
}

bool row_reader_next(struct row_reader *r, struct arena *a, struct val *old_row, struct val *new_row, bool *more,
                     struct err *err)
{
    if (r->dummy || !r->def->captured || (cur_left(&r->c) == 0 && (!r->bare || r->row == 1))) {
        *more = false;
        return true;
    }
    r->row++;
    *more = true;
    if (read_row(r, a, old_row, new_row, err))
        return true;
    return r->old_times ? err_ctx(err, "its times are in the format of MariaDB 5.3, of which only those without a "
                                       "fraction can be read (SET GLOBAL mysql56_temporal_format = ON, ALTER TABLE "
                                       "... FORCE, and take the table anew)")
                        : false;
}

void row_reader_close(struct row_reader *r)
{
    buf_free(&r->inflated);
    free(r->json_old);
    r->json_old = NULL;
    r->c = cur_over((struct bytes){ NULL, 0 });
}
