/* explain_rows.c - TABLE_MAP and rows for binlog_explain. With FULL metadata by names; with less, as mysqlbinlog does:
 * by number, and what cannot be known (signs, character sets, labels) is said. */
#include "binlog_explain_inside.h"

#include "charset.h"
#include "json_text.h"
#include "row_decode.h"

#include <stdlib.h>

enum { PREVIEW_BYTES = 64, TABLES_MAX = 65536, STMT_END = 1 };

static bool every_table(void *ctx, struct bytes schema, struct bytes table)
{
    (void)ctx;
    (void)schema;
    (void)table;
    return true;
}

void explain_end_statement(struct binlog_explain *x)
{
    table_defs_end_statement(x->defs);
    for (size_t i = 0; i < x->ntables; i++)
        free(x->tables[i].real_types);
    x->ntables = 0;
}

static struct shown_table *find_shown(const struct binlog_explain *x, uint64_t id)
{
    for (size_t i = 0; i < x->ntables; i++)
        if (x->tables[i].id == id)
            return &x->tables[i];
    return NULL;
}

static struct shown_table *add_shown(struct binlog_explain *x, uint64_t id, struct err *err)
{
    struct shown_table *t = find_shown(x, id);
    if (t != NULL) {
        free(t->real_types);
    } else {
        if (x->ntables == TABLES_MAX) {
            err_set(err, ERR_CORRUPT, "TABLE_MAP: more than %d tables in one statement", TABLES_MAX);
            return NULL;
        }
        t = realloc(x->tables, (x->ntables + 1) * sizeof *t);
        if (t == NULL) {
            err_nomem(err);
            return NULL;
        }
        x->tables = t;
        t = &x->tables[x->ntables++];
    }
    *t = (struct shown_table){ .id = id };
    return t;
}

bool explain_learn_table(struct binlog_explain *x, const struct binlog_event *e, const struct table_def **def,
                         struct shown_table **shown, struct err *err)
{
    struct table_map_names names;
    struct binlog_event filled = *e;
    if (!table_map_names(e, &x->fmt, &names, err))
        return false;
    *shown = add_shown(x, names.table_id, err);
    if (*shown == NULL)
        return false;
    buf_reset(&x->scratch);
    buf_le(&x->scratch, names.table_id, 6);
    buf_le(&x->scratch, 0, 2);
    if (!table_map_fill(&names, x->fmt.mariadb, &x->scratch, &(*shown)->missing, &(*shown)->real_types, err) ||
        !buf_ok(&x->scratch, err))
        return false;
    if ((*shown)->missing.names)
        filled.body = buf_view(&x->scratch);
    if (!table_defs_map(x->defs, &filled, &x->fmt, every_table, NULL, def, err))
        return false;
    (*shown)->ncols = (*def)->ncols;
    return true;
}

/* --- definitions --- */

static bool is_label(const struct shown_table *t, unsigned i)
{
    return t->missing.names && (t->real_types[i] == WT_ENUM || t->real_types[i] == WT_SET);
}

static bool is_number(uint8_t type)
{
    return type == COL_INT || type == COL_FLOAT || type == COL_DOUBLE || type == COL_DECIMAL;
}

static bool is_string(uint8_t type)
{
    return type == COL_BINARY || type == COL_VARBINARY || type == COL_BLOB;
}

static const char *not_known(const struct shown_table *t, unsigned i, const struct column *c)
{
    if (is_label(t, i))
        return "labels";
    if (t->missing.signs && is_number(c->type))
        return "sign";
    if (t->missing.charsets && is_string(c->type))
        return "character set";
    return "";
}

static void column_type(struct binlog_explain *x, const struct shown_table *t, unsigned i, const struct column *c)
{
    buf_reset(&x->text);
    if (is_label(t, i))
        buf_str(&x->text, t->real_types[i] == WT_ENUM ? "enum" : "set");
    else
        column_type_text(c, &x->text);
}

static void json_column(struct binlog_explain *x, const struct shown_table *t, unsigned i, const struct column *c)
{
    struct buf *o = x->out;
    const char *unknown = not_known(t, i, c);
    buf_str(o, "{\"name\":");
    json_string(o, c->name);
    column_type(x, t, i, c);
    buf_str(o, ",\"type\":");
    json_string(o, buf_view(&x->text));
    if (c->nullable)
        buf_str(o, ",\"nullable\":true");
    if (c->key_pos != 0)
        buf_printf(o, ",\"key\":%u", c->key_pos);
    if (!c->visible)
        buf_str(o, ",\"visible\":false");
    if (c->charset.n != 0) {
        buf_str(o, ",\"charset\":");
        json_string(o, c->charset);
    }
    if (c->type == COL_BIT || is_label(t, i))
        buf_printf(o, ",\"bits\":%u", c->type == COL_BIT ? c->length : c->int_bits);
    if (c->nlabels != 0) {
        buf_str(o, ",\"labels\":[");
        for (uint32_t k = 0; k < c->nlabels; k++) {
            if (k != 0)
                buf_u8(o, ',');
            json_string(o, c->labels[k]);
        }
        buf_u8(o, ']');
    }
    if (unknown[0] != '\0')
        buf_printf(o, ",\"not_known\":\"%s\"", unknown);
    buf_u8(o, '}');
}

static void text_column(struct binlog_explain *x, const struct shown_table *t, unsigned i, const struct column *c)
{
    struct buf *o = x->out;
    const char *unknown = not_known(t, i, c);
    explain_indent(x);
    buf_bytes(o, c->name);
    column_type(x, t, i, c);
    buf_u8(o, ' ');
    buf_bytes(o, buf_view(&x->text));
    if (c->charset.n != 0)
        buf_printf(o, " charset %.*s", BYTES_FMT(c->charset));
    buf_str(o, c->nullable ? "" : " not null");
    if (c->key_pos != 0)
        buf_printf(o, " key %u", c->key_pos);
    if (!c->visible)
        buf_str(o, " invisible");
    if (unknown[0] != '\0')
        buf_printf(o, " (%s not known)", unknown);
    buf_u8(o, '\n');
}

static void table_name(struct binlog_explain *x, const struct table_def *def)
{
    buf_reset(&x->text);
    buf_bytes(&x->text, def->schema);
    buf_u8(&x->text, '.');
    buf_bytes(&x->text, def->table);
    explain_text(x, "table", buf_view(&x->text));
}

bool explain_table_map(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    const struct table_def *def = NULL;
    struct shown_table *t = NULL;
    if (!explain_learn_table(x, e, &def, &t, err))
        return false;
    explain_u64(x, "table_id", def->table_id);
    table_name(x, def);
    explain_word(x, "metadata", t->missing.names ? "MINIMAL" : "FULL");
    explain_key(x, "columns");
    if (x->o.json)
        buf_u8(x->out, '[');
    else
        buf_printf(x->out, "%u\n", def->ncols);
    x->indent += 4;
    for (unsigned i = 0; i < def->ncols; i++) {
        if (!x->o.json) {
            text_column(x, t, i, &def->rel->cols[i]);
            continue;
        }
        if (i != 0)
            buf_u8(x->out, ',');
        json_column(x, t, i, &def->rel->cols[i]);
    }
    x->indent -= 4;
    if (x->o.json)
        buf_u8(x->out, ']');
    if (t->missing.names)
        explain_word(x, "capture",
                     "needs the table's definition: these events do not have it "
                     "(binlog_row_metadata is not FULL)");
    return true;
}

/* --- rows --- */

static void cut_text(struct buf *o, struct bytes t, bool quote)
{
    size_t n = t.n > PREVIEW_BYTES ? PREVIEW_BYTES : t.n;
    while (n > 0 && n < t.n && (t.p[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    if (quote)
        json_string(o, bytes_of(t.p, n));
    else
        buf_bytes(o, bytes_of(t.p, n));
    if (n < t.n)
        buf_printf(o, "... (%zu bytes)", t.n);
}

/* Both readings of a number whose sign nobody told. */
static void maybe_unsigned(struct buf *o, const struct column *c, const struct val *v)
{
    uint64_t all = c->int_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << c->int_bits) - 1;
    buf_printf(o, "%lld (or %llu)", (long long)v->u.i64, (unsigned long long)((uint64_t)v->u.i64 & all));
}

static void text_value(struct binlog_explain *x, const struct shown_table *t, const struct column *c,
                       const struct val *v)
{
    struct buf *o = x->out;
    bool bytes = v->kind == VAL_BYTES || v->kind == VAL_GEOMETRY || v->kind == VAL_VECTOR;
    if (v->kind == VAL_I64 && v->u.i64 < 0 && t->missing.signs && c->type == COL_INT) {
        maybe_unsigned(o, c, v);
    } else if (v->kind == VAL_BYTES && t->missing.charsets && charset_utf8_valid(v->u.str) == v->u.str.n) {
        cut_text(o, v->u.str, true);
    } else if (bytes) {
        buf_str(o, "0x");
        for (size_t i = 0; i < v->u.str.n && i < PREVIEW_BYTES; i++)
            buf_printf(o, "%02x", v->u.str.p[i]);
        if (v->u.str.n > PREVIEW_BYTES)
            buf_printf(o, "... (%zu bytes)", v->u.str.n);
    } else {
        buf_reset(&x->text);
        column_value_text(c, v, &x->text);
        cut_text(o, buf_view(&x->text), v->kind == VAL_TEXT || v->kind == VAL_ENUM || v->kind == VAL_SET);
    }
}

static void text_row(struct binlog_explain *x, const struct shown_table *t, const struct relation *rel,
                     const struct val *row, char mark)
{
    explain_indent(x);
    buf_u8(x->out, (uint8_t)mark);
    for (unsigned i = 0; i < rel->ncols; i++) {
        if (row[i].kind == VAL_ABSENT)
            continue;
        buf_u8(x->out, ' ');
        buf_bytes(x->out, rel->cols[i].name);
        buf_u8(x->out, '=');
        text_value(x, t, &rel->cols[i], &row[i]);
    }
    buf_u8(x->out, '\n');
}

static void show_row(struct binlog_explain *x, const struct row_reader *r, const struct shown_table *t, bool first,
                     const struct val *old_row, const struct val *new_row)
{
    const struct relation *rel = r->def->rel;
    if (!x->o.json) {
        if (r->change != ROW_INSERT)
            text_row(x, t, rel, old_row, '-');
        if (r->change != ROW_DELETE)
            text_row(x, t, rel, new_row, '+');
        return;
    }
    buf_str(x->out, first ? "{" : ",{");
    if (r->change != ROW_INSERT) {
        buf_str(x->out, "\"old\":");
        json_row(x->out, rel, old_row);
    }
    if (r->change != ROW_DELETE) {
        buf_str(x->out, r->change == ROW_UPDATE ? ",\"row\":" : "\"row\":");
        json_row(x->out, rel, new_row);
    }
    buf_u8(x->out, '}');
}

static bool each_row(struct binlog_explain *x, struct row_reader *r, const struct shown_table *t, uint64_t *n,
                     struct err *err)
{
    size_t bytes = r->def->ncols * sizeof(struct val);
    struct val *old_row = malloc(bytes), *new_row = malloc(bytes);
    bool more = true, ok = (old_row != NULL && new_row != NULL) || err_nomem(err);
    while (ok) {
        arena_reset(x->arena);
        ok = row_reader_next(r, x->arena, old_row, new_row, &more, err);
        if (!ok || !more)
            break;
        if (x->o.rows)
            show_row(x, r, t, *n == 0, old_row, new_row);
        ++*n;
    }
    free(old_row);
    free(new_row);
    return ok;
}

bool explain_rows(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct row_reader r;
    uint64_t n = 0;
    if (!row_reader_open(&r, e, &x->fmt, x->defs, err))
        return false;
    bool ends = (r.flags & STMT_END) != 0, ok = true;
    explain_u64(x, "table_id", r.table_id);
    explain_word(x, "ends_statement", ends ? "yes" : "no");
    if (!r.dummy) {
        table_name(x, r.def);
        if (x->o.rows) {
            explain_key(x, "rows");
            buf_str(x->out, x->o.json ? "[" : "\n");
        }
        x->indent += 4;
        ok = each_row(x, &r, find_shown(x, r.table_id), &n, err);
        x->indent -= 4;
        if (x->o.rows && x->o.json)
            buf_u8(x->out, ']');
        explain_u64(x, "row_count", n);
    }
    row_reader_close(&r);
    if (ends)
        explain_end_statement(x);
    return ok;
}
