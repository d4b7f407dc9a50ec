/* pg_ddl.c - see pg_ddl.h. Implicit defaults of NOT NULL columns: MySQL Reference Manual, "Data Type Default
 * Values". */
#include "pg_ddl.h"

#include "pg_sql.h"

#include <stdio.h>
#include <stdlib.h>

enum { VARCHAR_MAX = 10485760 }; /* PostgreSQL source, src/include/access/htup_details.h, MaxAttrSize */

static void sized(struct buf *out, const char *name, unsigned n, const char *tail)
{
    buf_printf(out, "%s(%u)%s", name, n, tail);
}

void pg_ddl_type(const struct column *c, const struct pg_ddl_options *o, struct buf *out)
{
    unsigned chars;
    switch ((enum col_type)c->type) {
    case COL_INT:
        if (c->int_bits == 64)
            buf_str(out, c->is_unsigned ? "numeric(20,0)" : "bigint");
        else if (c->int_bits == 32)
            buf_str(out, c->is_unsigned ? "bigint" : "integer");
        else if (c->int_bits == 24)
            buf_str(out, "integer");
        else
            buf_str(out, c->int_bits == 16 && c->is_unsigned ? "integer" : "smallint");
        return;
    case COL_FLOAT:
        buf_str(out, "real");
        return;
    case COL_DOUBLE:
        buf_str(out, "double precision");
        return;
    case COL_DECIMAL:
        buf_printf(out, "numeric(%u,%u)", c->precision, c->scale);
        return;
    case COL_DATE:
        buf_str(out, "date");
        return;
    case COL_TIME:
        buf_str(out, "interval");
        return;
    case COL_DATETIME:
        sized(out, "timestamp", c->scale, " without time zone");
        return;
    case COL_TIMESTAMP:
        sized(out, "timestamp", c->scale, " with time zone");
        return;
    case COL_YEAR:
        buf_str(out, "integer");
        return;
    case COL_CHAR:
    case COL_VARCHAR:
        chars = c->char_bytes == 0 ? c->length : c->length / c->char_bytes;
        sized(out, "character varying", chars == 0 ? 1 : chars > VARCHAR_MAX ? VARCHAR_MAX : chars, "");
        return;
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_BLOB:
        buf_str(out, "bytea");
        return;
    case COL_BIT:
        sized(out, "bit", c->length == 0 ? 1 : c->length, "");
        return;
    case COL_SET:
        buf_str(out, "text[]");
        return;
    case COL_JSON:
        buf_str(out, "jsonb");
        return;
    case COL_GEOMETRY:
        buf_str(out, o->geometry != NULL && o->geometry[0] != '\0' ? o->geometry : "bytea");
        return;
    case COL_VECTOR:
        buf_str(out, "real[]");
        return;
    case COL_TEXT:
    case COL_ENUM:
        break;
    }
    buf_str(out, "text");
}

/* Is this the kind of value that the column's type normally has? A script may have put another. */
static bool natural(const struct column *c, uint8_t kind)
{
    switch ((enum val_kind)kind) {
    case VAL_ABSENT:
    case VAL_NULL:
    case VAL_SAME:
        return true;
    case VAL_I64:
    case VAL_U64:
        return c->type == COL_INT || c->type == COL_YEAR || c->type == COL_DECIMAL || c->type == COL_DOUBLE ||
               c->type == COL_FLOAT || c->type == COL_BIT;
    case VAL_F32:
    case VAL_F64:
        return c->type == COL_FLOAT || c->type == COL_DOUBLE;
    case VAL_DEC64:
    case VAL_DECIMAL:
        return c->type == COL_DECIMAL || (c->type == COL_INT && c->int_bits == 64 && c->is_unsigned);
    case VAL_TEXT:
        return c->type == COL_CHAR || c->type == COL_VARCHAR || c->type == COL_TEXT || c->type == COL_ENUM ||
               c->type == COL_SET || c->type == COL_JSON;
    case VAL_BYTES:
        return c->type == COL_BINARY || c->type == COL_VARBINARY || c->type == COL_BLOB;
    case VAL_DATE:
        return c->type == COL_DATE;
    case VAL_TIME:
        return c->type == COL_TIME;
    case VAL_DATETIME:
        return c->type == COL_DATETIME;
    case VAL_INSTANT:
        return c->type == COL_TIMESTAMP;
    case VAL_BIT:
        return c->type == COL_BIT;
    case VAL_ENUM:
        return c->type == COL_ENUM;
    case VAL_SET:
        return c->type == COL_SET;
    case VAL_JSON:
        return c->type == COL_JSON;
    case VAL_GEOMETRY:
        return c->type == COL_GEOMETRY;
    case VAL_VECTOR:
        return c->type == COL_VECTOR;
    }
    return false;
}

static const char *type_of_kind(uint8_t kind)
{
    switch ((enum val_kind)kind) {
    case VAL_I64:
        return "bigint";
    case VAL_U64:
    case VAL_DEC64:
    case VAL_DECIMAL:
        return "numeric";
    case VAL_F32:
        return "real";
    case VAL_F64:
        return "double precision";
    case VAL_BYTES:
    case VAL_GEOMETRY:
        return "bytea";
    case VAL_DATE:
        return "date";
    case VAL_TIME:
        return "interval";
    case VAL_DATETIME:
        return "timestamp without time zone";
    case VAL_INSTANT:
        return "timestamp with time zone";
    case VAL_BIT:
        return "bit varying(64)";
    case VAL_SET:
        return "text[]";
    case VAL_JSON:
        return "jsonb";
    case VAL_VECTOR:
        return "real[]";
    case VAL_ABSENT:
    case VAL_NULL:
    case VAL_SAME:
    case VAL_TEXT:
    case VAL_ENUM:
        break;
    }
    return "text";
}

static void shape_type(const struct shape_col *c, const struct val *v, const struct pg_ddl_options *o, struct buf *out)
{
    if (c->type.type != 0 && (v == NULL || natural(&c->type, v->kind)))
        pg_ddl_type(&c->type, o, out);
    else
        buf_str(out, type_of_kind(v == NULL ? VAL_NULL : v->kind));
}

static bool temporal(const struct column *c)
{
    return c->type == COL_DATE || c->type == COL_DATETIME || c->type == COL_TIMESTAMP;
}

static bool may_be_null(const struct column *c, const struct pg_ddl_options *o)
{
    return c->type == 0 || c->nullable || (temporal(c) && o->zero_date == ZERO_DATE_NULL);
}

void pg_ddl_create(const struct shape *s, const struct val *row, const struct pg_ddl_options *o, struct buf *out)
{
    buf_str(out, "CREATE TABLE IF NOT EXISTS ");
    pg_name(out, s->schema, s->table);
    buf_str(out, " (");
    for (unsigned i = 0; i < s->ncols; i++) {
        bool key = false;
        for (unsigned k = 0; k < s->nkey; k++)
            key |= s->key[k] == i;
        if (i != 0)
            buf_str(out, ", ");
        pg_ident(out, s->cols[i].name);
        buf_u8(out, ' ');
        shape_type(&s->cols[i], row == NULL ? NULL : &row[i], o, out);
        if (key || !may_be_null(&s->cols[i].type, o))
            buf_str(out, " NOT NULL");
    }
    for (unsigned k = 0; k < s->nkey; k++) {
        buf_str(out, k == 0 ? ", PRIMARY KEY (" : ", ");
        pg_ident(out, s->cols[s->key[k]].name);
    }
    buf_str(out, s->nkey != 0 ? "))" : ")");
}

void pg_ddl_missing(const struct shape *s, unsigned col, const struct val *row, const struct pg_ddl_options *o,
                    struct buf *out)
{
    buf_str(out, "ALTER TABLE ");
    pg_name(out, s->schema, s->table);
    buf_str(out, " ADD COLUMN ");
    pg_ident(out, s->cols[col].name);
    buf_u8(out, ' ');
    shape_type(&s->cols[col], row == NULL ? NULL : &row[col], o, out);
}

/* --- defaults --- */

enum literal { LIT_UNKNOWN, LIT_NULL, LIT_SQL };

static bool digits_only(struct bytes t, size_t from)
{
    for (size_t i = from; i < t.n; i++)
        if (t.p[i] < '0' || t.p[i] > '9')
            return false;
    return t.n > from;
}

static bool pattern(struct bytes t, const char *shape) /* '9' a digit, others themselves; t may go on */
{
    size_t n = strlen(shape);
    if (t.n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == '9' ? t.p[i] < '0' || t.p[i] > '9' : t.p[i] != (uint8_t)shape[i])
            return false;
    return true;
}

static bool fraction(struct bytes t, size_t at) /* nothing, or .123 */
{
    return t.n == at || (t.p[at] == '.' && t.n - at <= 7 && digits_only(t, at + 1));
}

static unsigned number(struct bytes t, size_t at, size_t n)
{
    unsigned v = 0;
    for (size_t i = at; i < at + n; i++)
        v = v * 10 + (unsigned)(t.p[i] - '0');
    return v;
}

static enum literal zero(const struct pg_ddl_options *o)
{
    return o->zero_date == ZERO_DATE_NULL ? LIT_NULL : LIT_UNKNOWN;
}

static enum literal moment(const struct column *c, struct bytes t, const struct pg_ddl_options *o, struct buf *out)
{
    bool clock = t.n > 10;
    if (!pattern(t, "9999-99-99") ||
        (clock && (!pattern((struct bytes){ t.p + 10, t.n - 10 }, " 99:99:99") || !fraction(t, 19))))
        return LIT_UNKNOWN;
    struct civil v = { .year = (uint16_t)number(t, 0, 4),
                       .mon = (uint8_t)number(t, 5, 2),
                       .day = (uint8_t)number(t, 8, 2) };
    if (!civil_is_real(v))
        return zero(o);
    if (c->type == COL_TIMESTAMP || (clock && c->type == COL_DATE)) /* the source's session time zone is not known */
        return LIT_UNKNOWN;
    if (clock && t.n > 20 && t.n - 20 > c->scale) /* the source rounds */
        return LIT_UNKNOWN;
    pg_literal(out, t);
    return LIT_SQL;
}

static bool same_letters(struct bytes a, struct bytes b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        uint8_t x = a.p[i], y = b.p[i];
        x = x >= 'A' && x <= 'Z' ? (uint8_t)(x + 32) : x;
        y = y >= 'A' && y <= 'Z' ? (uint8_t)(y + 32) : y;
        if (x != y)
            return false;
    }
    return true;
}

static const struct bytes *find_label(const struct column *c, struct bytes t)
{
    for (unsigned i = 0; i < c->nlabels; i++)
        if (same_letters(c->labels[i], t))
            return &c->labels[i];
    return NULL;
}

static enum literal set_literal(const struct column *c, struct bytes t, struct buf *out)
{
    uint64_t bits = 0;
    for (size_t at = 0; at < t.n;) {
        const uint8_t *comma = memchr(t.p + at, ',', t.n - at);
        size_t n = comma == NULL ? t.n - at : (size_t)(comma - t.p) - at;
        const struct bytes *l = find_label(c, (struct bytes){ t.p + at, n });
        if (l == NULL)
            return LIT_UNKNOWN;
        bits |= UINT64_C(1) << (l - c->labels);
        at += n + 1;
    }
    bool first = true;
    buf_str(out, "ARRAY[");
    for (unsigned i = 0; i < c->nlabels && i < 64; i++) {
        if ((bits >> i & 1) == 0)
            continue;
        if (!first)
            buf_u8(out, ',');
        first = false;
        pg_literal(out, c->labels[i]);
    }
    buf_str(out, "]::pg_catalog.text[]");
    return LIT_SQL;
}

static enum literal bytes_literal(const struct column *c, struct bytes t, struct buf *out)
{
    size_t pad = c->type == COL_BINARY && t.n < c->length ? c->length - t.n : 0;
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] >= 0x80) /* depends on the statement's character set */
            return LIT_UNKNOWN;
    buf_str(out, "'\\x");
    for (size_t i = 0; i < t.n; i++)
        buf_printf(out, "%02x", t.p[i]);
    for (size_t i = 0; i < pad; i++)
        buf_str(out, "00");
    buf_u8(out, '\'');
    return LIT_SQL;
}

static enum literal bits_literal(const struct column *c, struct bytes t, struct buf *out)
{
    if (!digits_only(t, 0) || t.n > 19)
        return LIT_UNKNOWN;
    uint64_t v = 0;
    for (size_t i = 0; i < t.n; i++)
        v = v * 10 + (uint64_t)(t.p[i] - '0');
    unsigned n = c->length == 0 ? 1 : c->length > 64 ? 64 : (unsigned)c->length;
    if (n < 64 && v >> n != 0)
        return LIT_UNKNOWN;
    buf_str(out, "B'");
    while (n-- > 0)
        buf_u8(out, v >> n & 1 ? '1' : '0');
    buf_u8(out, '\'');
    return LIT_SQL;
}

/* A default as the source wrote it. */
static enum literal literal(const struct column *c, struct bytes t, const struct pg_ddl_options *o, struct buf *out)
{
    bool neg;
    struct bytes whole, frac;
    const struct bytes *label;
    size_t sign = t.n > 0 && t.p[0] == '-' ? 1 : 0, colon;
    switch ((enum col_type)c->type) {
    case COL_INT:
        if (!digits_only(t, sign))
            return LIT_UNKNOWN;
        pg_literal(out, t);
        return LIT_SQL;
    case COL_YEAR: /* two digits mean a year of this or the last century: let a person say it */
        if (!digits_only(t, 0) || (t.n != 4 && !bytes_eq_str(t, "0")))
            return LIT_UNKNOWN;
        pg_literal(out, t);
        return LIT_SQL;
    case COL_DECIMAL:
    case COL_FLOAT:
    case COL_DOUBLE:
        if (!decimal_parse(t, &neg, &whole, &frac) || (c->type == COL_DECIMAL && frac.n > c->scale))
            return LIT_UNKNOWN;
        pg_literal(out, t);
        return LIT_SQL;
    case COL_DATE:
    case COL_DATETIME:
    case COL_TIMESTAMP:
        return bytes_eq_str(t, "0") ? zero(o) : moment(c, t, o, out);
    case COL_TIME:
        for (colon = sign; colon < t.n && t.p[colon] != ':'; colon++)
            ;
        if (colon - sign < 1 || colon - sign > 3 || !digits_only((struct bytes){ t.p, colon }, sign) ||
            !pattern((struct bytes){ t.p + colon, t.n - colon }, ":99:99") || !fraction(t, colon + 6) ||
            (t.n > colon + 7 && t.n - colon - 7 > c->scale))
            return LIT_UNKNOWN;
        pg_literal(out, t);
        return LIT_SQL;
    case COL_CHAR:
        while (t.n > 0 && t.p[t.n - 1] == ' ')
            t.n--;
        pg_literal(out, t);
        return LIT_SQL;
    case COL_VARCHAR:
    case COL_TEXT:
        pg_literal(out, t);
        return LIT_SQL;
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_BLOB:
        return bytes_literal(c, t, out);
    case COL_BIT:
        return bits_literal(c, t, out);
    case COL_ENUM:
        label = find_label(c, t);
        if (label == NULL)
            return LIT_UNKNOWN;
        pg_literal(out, *label);
        return LIT_SQL;
    case COL_SET:
        return set_literal(c, t, out);
    case COL_JSON:
    case COL_GEOMETRY:
    case COL_VECTOR:
        break;
    }
    return LIT_UNKNOWN;
}

/* What the server gives existing rows for a NOT NULL column without a DEFAULT. */
static enum literal implicit(const struct column *c, const struct pg_ddl_options *o, struct buf *out)
{
    switch ((enum col_type)c->type) {
    case COL_INT:
    case COL_YEAR:
    case COL_DECIMAL:
    case COL_FLOAT:
    case COL_DOUBLE:
    case COL_BIT:
        return literal(c, BYTES_LIT("0"), o, out);
    case COL_TIME:
        return literal(c, BYTES_LIT("00:00:00"), o, out);
    case COL_CHAR:
    case COL_VARCHAR:
    case COL_TEXT:
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_BLOB:
    case COL_SET:
        return literal(c, BYTES_LIT(""), o, out);
    case COL_ENUM:
        return c->nlabels == 0 ? LIT_UNKNOWN : literal(c, c->labels[0], o, out);
    case COL_DATE:
    case COL_DATETIME:
        return zero(o);
    case COL_TIMESTAMP: /* may be CURRENT_TIMESTAMP, by explicit_defaults_for_timestamp */
    case COL_JSON:
    case COL_GEOMETRY:
    case COL_VECTOR:
        break;
    }
    return LIT_UNKNOWN;
}

static bool mentions(struct bytes sql, const char *upper)
{
    size_t n = strlen(upper);
    for (size_t i = 0; i + n <= sql.n; i++)
        if (same_letters((struct bytes){ sql.p + i, n }, bytes_str(upper)))
            return true;
    return false;
}

static void alter(struct buf *sql, const struct pg_table *t)
{
    buf_str(sql, "ALTER TABLE ");
    pg_name(sql, t->schema, t->name);
}

static enum pg_ddl_answer add_column(const struct pg_table *t, const struct ddl_clause *c, struct bytes sql_text,
                                     const struct pg_ddl_options *o, struct buf *sql, const char **why)
{
    if (!o->evolve || t == NULL || pg_table_column(t, c->name) >= 0)
        return PG_DDL_PASS;
    *why = "the type of the new column was not understood";
    if (c->column.type == 0)
        return PG_DDL_STOP;
    alter(sql, t);
    buf_str(sql, " ADD COLUMN ");
    pg_ident(sql, c->name);
    buf_u8(sql, ' ');
    pg_ddl_type(&c->column, o, sql);
    struct buf value = { 0 };
    enum literal l = LIT_UNKNOWN;
    *why = "the value that existing rows get is not known exactly";
    bool counts = c->column.type == COL_INT && (mentions(sql_text, "AUTO_INCREMENT") || mentions(sql_text, "SERIAL"));
    if (c->generated || c->def == DDL_DEF_EXPR || (counts && c->def != DDL_DEF_LITERAL))
        l = LIT_UNKNOWN;
    else if (c->def == DDL_DEF_LITERAL)
        l = literal(&c->column, c->def_text, o, &value);
    else if (c->def == DDL_DEF_NULL || (c->column.nullable && c->column.type != COL_TIMESTAMP))
        l = LIT_NULL;
    else
        l = implicit(&c->column, o, &value);
    if (l == LIT_SQL) {
        buf_str(sql, " DEFAULT ");
        buf_bytes(sql, buf_view(&value));
    }
    if (l != LIT_NULL && !may_be_null(&c->column, o))
        buf_str(sql, l == LIT_SQL ? " NOT NULL" : " NOT NULL DEFAULT ...");
    sql->failed |= value.failed;
    buf_free(&value);
    return l == LIT_UNKNOWN ? PG_DDL_STOP : PG_DDL_RUN;
}

/* "character varying(20)": the name, and up to two numbers. */
static bool split_type(const char *text, char name[64], unsigned size[2])
{
    const char *open = strchr(text, '(');
    size[0] = size[1] = 0;
    if (open == NULL) {
        snprintf(name, 64, "%s", text);
        return strlen(text) < 64;
    }
    char *end;
    size[0] = (unsigned)strtoul(open + 1, &end, 10);
    if (*end == ',')
        size[1] = (unsigned)strtoul(end + 1, &end, 10);
    snprintf(name, 64, "%.*s%s", (int)(open - text), text, *end == ')' ? end + 1 : "");
    return true;
}

/* Does every value of `from` read the same in `to`, and does the source keep it the same, too? */
static bool widens(const char *from, const char *to)
{
    static const char *const ints[] = { "smallint", "integer", "bigint", "numeric" };
    char a[64], b[64];
    unsigned x[2], y[2];
    if (!split_type(from, a, x) || !split_type(to, b, y))
        return false;
    if (strcmp(a, "character varying") == 0)
        return strcmp(b, "text") == 0 || (strcmp(b, a) == 0 && x[0] != 0 && y[0] >= x[0]);
    if (strncmp(a, "timestamp", 9) == 0)
        return strcmp(a, b) == 0 && y[0] >= x[0];
    if (strcmp(a, "numeric") == 0 && strcmp(b, "numeric") == 0)
        return x[0] != 0 && y[1] >= x[1] && y[0] - y[1] >= x[0] - x[1];
    int i = -1, j = -1;
    for (int k = 0; k < 4; k++) {
        i = strcmp(a, ints[k]) == 0 ? k : i;
        j = strcmp(b, ints[k]) == 0 ? k : j;
    }
    return i >= 0 && i < 3 && j > i && (j < 3 || (y[0] >= 20 && y[1] == 0));
}

static enum pg_ddl_answer change_type(const struct pg_table *t, const struct pg_column *dst, const struct ddl_clause *c,
                                      const struct pg_ddl_options *o, struct buf *sql, const char **why)
{
    struct buf type = { 0 };
    pg_ddl_type(&c->column, o, &type);
    const char *text = buf_cstr(&type);
    bool string = c->column.type == COL_CHAR || c->column.type == COL_VARCHAR || c->column.type == COL_TEXT;
    enum pg_ddl_answer a = PG_DDL_STOP;
    *why = "it changes a column's type, and with it rows without row events";
    if (strcmp(text, dst->text) == 0 || (string && dst->type == 25 /* text */ && strcmp(dst->text, "text") == 0)) {
        a = PG_DDL_PASS;
    } else {
        alter(sql, t);
        buf_str(sql, " ALTER COLUMN ");
        pg_ident(sql, bytes_str(dst->name));
        buf_str(sql, " TYPE ");
        buf_str(sql, text);
        if (o->evolve && widens(dst->text, text))
            a = PG_DDL_RUN;
    }
    sql->failed |= type.failed;
    buf_free(&type);
    return a;
}

static enum pg_ddl_answer change_column(const struct pg_table *t, const struct ddl_clause *c,
                                        const struct pg_ddl_options *o, struct buf *sql, const char **why)
{
    if (t == NULL)
        return o->script ? PG_DDL_STOP : PG_DDL_PASS;
    bool renamed = c->new_name.n != 0 && !bytes_eq(c->name, c->new_name);
    int old = pg_table_column(t, c->name), now = renamed ? pg_table_column(t, c->new_name) : old;
    if (renamed && now < 0 && old >= 0) {
        *why = "it renames a column";
        alter(sql, t);
        buf_str(sql, " RENAME COLUMN ");
        pg_ident(sql, c->name);
        buf_str(sql, " TO ");
        pg_ident(sql, c->new_name);
        return PG_DDL_STOP;
    }
    if (c->column.type == 0 && renamed) /* RENAME COLUMN a TO b: done by hand, or under other names here */
        return PG_DDL_PASS;
    *why = "it changes a column that has another name here, if any";
    if (now < 0)
        return o->script ? PG_DDL_STOP : PG_DDL_PASS;
    *why = "the column's new type was not understood";
    if (c->column.type == 0 || c->generated)
        return PG_DDL_STOP;
    return change_type(t, &t->cols[now], c, o, sql, why);
}

enum pg_ddl_answer pg_ddl_clause(const struct pg_table *t, const struct ddl_clause *c, struct bytes sql_text,
                                 const struct pg_ddl_options *o, struct buf *sql, const char **why)
{
    *why = "";
    switch (c->kind) {
    case DDL_C_HARMLESS:
    case DDL_C_DROP_COLUMN: /* the column stays here */
        return PG_DDL_PASS;
    case DDL_C_ADD_COLUMN:
        return add_column(t, c, sql_text, o, sql, why);
    case DDL_C_CHANGE_COLUMN:
        *why = "it changes a column, and the table has another name here, if any";
        return change_column(t, c, o, sql, why);
    case DDL_C_RENAME_TABLE:
        if (t == NULL)
            return PG_DDL_PASS;
        *why = "it renames a table";
        alter(sql, t);
        buf_str(sql, " RENAME TO ");
        pg_ident(sql, c->to.table);
        return PG_DDL_STOP;
    case DDL_C_ROWS:
        *why = "it changes or removes rows without row events";
        break;
    case DDL_C_UNKNOWN:
        *why = "a clause of it was not understood";
        break;
    }
    return t == NULL && !o->script ? PG_DDL_PASS : PG_DDL_STOP;
}
