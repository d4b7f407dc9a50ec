/* ddl_column.c - a column definition as DDL writes it -> struct column and its default.
 *
 * Types and aliases: MySQL Reference Manual, "Data Types" and "Using Data Types from Other Database Engines"; MariaDB adds UUID,
 * INET4, INET6 (stored as BINARY). Lengths are in bytes where the statement names a character set; else the set is the
 * table's, which the statement does not say: char_bytes is 0 and length counts characters. A type that is not known leaves
 * column.type 0. */
#include "ddl_inside.h"

enum { TINY = 255, NORMAL = 65535, MEDIUM = 16777215 };
#define LONG 4294967295U

struct type_name {
    const char *names; /* aliases, blank-separated */
    uint8_t type, int_bits;
    uint32_t length; /* what the type has when nothing is written in parentheses */
    bool is_unsigned;
};
static const struct type_name types[] = {
    { "TINYINT INT1 BOOL BOOLEAN", COL_INT, 8, 0, false },
    { "SMALLINT INT2", COL_INT, 16, 0, false },
    { "MEDIUMINT INT3 MIDDLEINT", COL_INT, 24, 0, false },
    { "INT INTEGER INT4", COL_INT, 32, 0, false },
    { "BIGINT INT8", COL_INT, 64, 0, false },
    { "SERIAL", COL_INT, 64, 0, true },
    { "FLOAT FLOAT4", COL_FLOAT, 0, 0, false },
    { "DOUBLE FLOAT8 REAL", COL_DOUBLE, 0, 0, false },
    { "DECIMAL DEC NUMERIC FIXED", COL_DECIMAL, 0, 0, false },
    { "DATE", COL_DATE, 0, 0, false },
    { "TIME", COL_TIME, 0, 0, false },
    { "DATETIME", COL_DATETIME, 0, 0, false },
    { "TIMESTAMP", COL_TIMESTAMP, 0, 0, false },
    { "YEAR", COL_YEAR, 0, 0, false },
    { "CHAR CHARACTER NCHAR", COL_CHAR, 0, 1, false },
    { "VARCHAR VARCHARACTER NVARCHAR", COL_VARCHAR, 0, 0, false },
    { "TINYTEXT", COL_TEXT, 0, TINY, false },
    { "TEXT", COL_TEXT, 0, NORMAL, false },
    { "MEDIUMTEXT LONG", COL_TEXT, 0, MEDIUM, false },
    { "LONGTEXT", COL_TEXT, 0, LONG, false },
    { "BINARY", COL_BINARY, 0, 1, false },
    { "VARBINARY", COL_VARBINARY, 0, 0, false },
    { "TINYBLOB", COL_BLOB, 0, TINY, false },
    { "BLOB", COL_BLOB, 0, NORMAL, false },
    { "MEDIUMBLOB", COL_BLOB, 0, MEDIUM, false },
    { "LONGBLOB", COL_BLOB, 0, LONG, false },
    { "BIT", COL_BIT, 0, 1, false },
    { "ENUM", COL_ENUM, 0, 0, false },
    { "SET", COL_SET, 0, 0, false },
    { "JSON", COL_JSON, 0, 0, false },
    { "GEOMETRY", COL_GEOMETRY, 0, 0, false },
    { "POINT", COL_GEOMETRY, 0, 1, false },
    { "LINESTRING", COL_GEOMETRY, 0, 2, false },
    { "POLYGON", COL_GEOMETRY, 0, 3, false },
    { "MULTIPOINT", COL_GEOMETRY, 0, 4, false },
    { "MULTILINESTRING", COL_GEOMETRY, 0, 5, false },
    { "MULTIPOLYGON", COL_GEOMETRY, 0, 6, false },
    { "GEOMETRYCOLLECTION GEOMCOLLECTION", COL_GEOMETRY, 0, 7, false },
    { "VECTOR", COL_VECTOR, 0, 2048, false },
    { "UUID INET6", COL_BINARY, 0, 16, false },
    { "INET4", COL_BINARY, 0, 4, false },
};

static const struct {
    const char *names;
    uint16_t char_bytes;
} charsets[] = {
    { "UTF8MB4 UTF16 UTF16LE UTF32 GB18030", 4 },
    { "UTF8 UTF8MB3 UJIS EUCJPMS", 3 },
    { "UCS2 BIG5 GBK GB2312 SJIS CP932 EUCKR", 2 },
    { "ARMSCII8 ASCII BINARY CP1250 CP1251 CP1256 CP1257 CP850 CP852 CP866 DEC8 GEOSTD8 GREEK HEBREW HP8 KEYBCS2 KOI8R "
      "KOI8U LATIN1 LATIN2 LATIN5 LATIN7 MACCE MACROMAN SWE7 TIS620",
      1 },
};

static uint16_t char_bytes_of(struct bytes charset)
{
    for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++)
        if (tok_in((struct tok){ TOK_WORD, charset }, charsets[i].names))
            return charsets[i].char_bytes;
    return 0;
}

static bool is_charset(struct bytes charset, const char *name)
{
    return tok_is((struct tok){ TOK_WORD, charset }, name);
}

/* Up to two numbers in parentheses; how many there were. */
static int take_sizes(struct parser *p, uint32_t size[2])
{
    int n = 0;
    if (!take_char(p, '('))
        return 0;
    while (p->t.kind == TOK_NUMBER && n < 2) {
        uint64_t v = 0;
        for (size_t i = 0; i < p->t.raw.n && v <= UINT32_MAX; i++) {
            uint8_t c = p->t.raw.p[i];
            if (c < '0' || c > '9') {
                v = UINT64_MAX;
                break;
            }
            v = v * 10 + (uint64_t)(c - '0');
        }
        size[n++] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        step(p);
        if (!take_char(p, ','))
            break;
    }
    while (!at_char(p, ')') && p->t.kind != TOK_END)
        step(p);
    take_char(p, ')');
    return n;
}

static void take_labels(struct parser *p, struct column *c)
{
    struct bytes *labels = NULL;
    unsigned n = 0;
    if (!take_char(p, '('))
        return;
    while (p->t.kind == TOK_STRING && !p->failed) {
        labels = grow(p, labels, n, sizeof *labels);
        struct bytes label = take_string(p);
        while (label.n != 0 && label.p[label.n - 1] == ' ') /* the server strips them, whatever the sql_mode */
            label.n--;
        if (p->failed)
            return;
        labels[n++] = label;
        if (!take_char(p, ','))
            break;
    }
    while (!at_char(p, ')') && p->t.kind != TOK_END)
        step(p);
    take_char(p, ')');
    c->labels = labels;
    c->nlabels = n;
    if (n > (c->type == COL_SET ? 64U : 65535U))
        c->type = 0;
}

static void set_sizes(struct column *c, int n, const uint32_t size[2])
{
    uint32_t first = n > 0 ? size[0] : 0;
    switch ((enum col_type)c->type) {
    case COL_DECIMAL:
        if (n == 0 || first == 0)
            first = 10;
        if (first > 65 || (n > 1 && size[1] > first)) {
            c->type = 0;
            break;
        }
        c->precision = (uint8_t)first;
        c->scale = n > 1 ? (uint8_t)size[1] : 0;
        break;
    case COL_FLOAT:
        if (n == 1 && first > 24)
            c->type = COL_DOUBLE;
        break;
    case COL_TIME:
    case COL_DATETIME:
    case COL_TIMESTAMP:
        if (first > 6)
            c->type = 0;
        else
            c->scale = (uint8_t)first;
        break;
    case COL_BIT:
        if (n > 0 && (first == 0 || first > 64))
            c->type = 0;
        else if (n > 0)
            c->length = first;
        break;
    case COL_CHAR:
    case COL_VARCHAR:
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_VECTOR:
    case COL_TEXT: /* TEXT(n), BLOB(n): the smallest class that holds n, settled at the end */
    case COL_BLOB:
        if (n > 0)
            c->length = first;
        break;
    case COL_INT:
    case COL_DOUBLE:
    case COL_DATE:
    case COL_YEAR:
    case COL_ENUM:
    case COL_SET:
    case COL_JSON:
    case COL_GEOMETRY:
        break; /* display widths */
    }
}

static const struct type_name *find_type(struct tok t)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (tok_in(t, types[i].names))
            return &types[i];
    return NULL;
}

/* "varchar(20)", "double precision", "national char varying(3)": the type and what belongs to its name. */
static void take_type(struct parser *p, struct column *c, bool *sized)
{
    *sized = false;
    if (at(p, "MARIADB_SCHEMA") && tok_char(look(p), '.')) { /* MariaDB writes mariadb_schema.date in some sql_modes */
        step(p);
        step(p);
    }
    bool national = take(p, "NATIONAL") || tok_in(p->t, "NCHAR NVARCHAR");
    bool is_long = at(p, "LONG");
    const struct type_name *t = find_type(p->t);
    if (t == NULL)
        return;
    c->type = t->type;
    c->int_bits = t->int_bits;
    c->length = t->length;
    c->is_unsigned = t->is_unsigned;
    if (at(p, "SERIAL"))
        c->nullable = false;
    step(p);
    if (is_long && (at(p, "VARBINARY") || at(p, "BINARY"))) {
        c->type = COL_BLOB;
        step(p);
    } else if (is_long && tok_in(p->t, "VARCHAR CHAR CHARACTER")) {
        step(p);
        take(p, "VARYING");
    } else if (c->type == COL_CHAR && tok_in(p->t, "VARYING VARCHAR VARCHARACTER")) {
        c->type = COL_VARCHAR;
        step(p);
    } else if (c->type == COL_DOUBLE) {
        take(p, "PRECISION");
    }
    if (national)
        c->charset = (struct bytes){ (const uint8_t *)"utf8mb3", 7 };
    if (c->type == COL_ENUM || c->type == COL_SET) {
        take_labels(p, c);
    } else {
        uint32_t size[2] = { 0, 0 };
        int n = take_sizes(p, size);
        *sized = n > 0;
        set_sizes(c, n, size);
    }
}

/* What follows a literal shows whether it was the whole default: MariaDB takes expressions without parentheses. */
static bool default_goes_on(const struct parser *p)
{
    if (p->t.kind == TOK_CHAR)
        return !at_char(p, ',') && !at_char(p, ')');
    return tok_in(p->t, "DIV MOD AND OR XOR IS IN LIKE BETWEEN REGEXP RLIKE");
}

static void take_default(struct parser *p, struct ddl_clause *c)
{
    c->def = DDL_DEF_LITERAL;
    bool minus = at_char(p, '-');
    if ((minus || at_char(p, '+')) && look(p).kind == TOK_NUMBER)
        step(p);
    else
        minus = false;
    if (p->t.kind == TOK_NUMBER) {
        struct bytes digits = p->t.raw;
        uint8_t *text = p->failed ? NULL : arena_alloc(p->arena, digits.n + 1, p->err);
        if (text == NULL) {
            p->failed = true;
            return;
        }
        text[0] = '-';
        memcpy(text + minus, digits.p, digits.n);
        c->def_text = (struct bytes){ text, digits.n + minus };
        step(p);
    } else if (p->t.kind == TOK_STRING) {
        c->def_text = take_string(p);
    } else if (tok_in(p->t, "_UTF8MB4 _UTF8MB3 _UTF8 _ASCII") && look(p).kind == TOK_STRING) {
        step(p); /* the statement is UTF-8, and so is what this says */
        c->def_text = take_string(p);
    } else if (at(p, "TRUE") || at(p, "FALSE")) {
        c->def_text = keep(p, at(p, "TRUE") ? BYTES_LIT("1") : BYTES_LIT("0"));
        step(p);
    } else if (at(p, "NULL")) {
        c->def = DDL_DEF_NULL;
        step(p);
    } else if (at_char(p, '(')) {
        c->def = DDL_DEF_EXPR;
        skip_parens(p);
    } else {
        c->def = DDL_DEF_EXPR;
        if (p->t.kind != TOK_END && !at_char(p, ',') && !at_char(p, ')'))
            step(p); /* CURRENT_TIMESTAMP, now, b'1'; its parentheses are skipped like anything unknown */
        return;
    }
    if (default_goes_on(p)) {
        c->def = DDL_DEF_EXPR;
        c->def_text = (struct bytes){ NULL, 0 };
    }
}

static struct bytes lower_case(struct parser *p, struct bytes name) /* as the server names its character sets */
{
    uint8_t *low = p->failed ? NULL : arena_alloc(p->arena, name.n + 1, p->err);
    if (low == NULL) {
        p->failed = true;
        return (struct bytes){ NULL, 0 };
    }
    for (size_t i = 0; i < name.n; i++)
        low[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (uint8_t)(name.p[i] + ('a' - 'A')) : name.p[i];
    return (struct bytes){ low, name.n };
}

static void set_charset(struct parser *p, struct column *c, bool explicit)
{
    struct bytes name = { NULL, 0 };
    if (at_name(p))
        name = take_name(p);
    else if (p->t.kind == TOK_STRING)
        name = take_string(p);
    name = lower_case(p, name);
    if (explicit || is_charset(name, "BINARY")) {
        c->charset = name;
        return;
    }
    size_t n = 0; /* a collation begins with its character set */
    while (n < name.n && name.p[n] != '_')
        n++;
    if (n < name.n && c->charset.n == 0 && char_bytes_of((struct bytes){ name.p, n }) != 0)
        c->charset = (struct bytes){ name.p, n };
}

static void skip_reference_action(struct parser *p) /* behind ON: UPDATE NOW(), DELETE SET NULL */
{
    if (p->t.kind == TOK_WORD)
        step(p);
    if (take(p, "SET") && p->t.kind == TOK_WORD)
        step(p);
}

static void take_attribute(struct parser *p, struct ddl_clause *d)
{
    struct column *c = &d->column;
    if (take(p, "NOT")) {
        if (take(p, "NULL"))
            c->nullable = false;
    } else if (take(p, "NULL")) {
        c->nullable = true;
    } else if (take(p, "DEFAULT")) {
        take_default(p, d);
    } else if (take(p, "UNSIGNED") || take(p, "ZEROFILL")) {
        c->is_unsigned = true;
    } else if (take(p, "PRIMARY") || at(p, "KEY")) {
        take(p, "KEY");
        c->key_pos = 1;
        c->nullable = false;
    } else if (take(p, "UNIQUE")) {
        take(p, "KEY");
    } else if (take(p, "CHARSET") || ((at(p, "CHARACTER") || at(p, "CHAR")) && tok_is(look(p), "SET"))) {
        if (take(p, "CHARACTER") || take(p, "CHAR"))
            step(p);
        take_char(p, '=');
        set_charset(p, c, true);
    } else if (take(p, "COLLATE")) {
        take_char(p, '=');
        set_charset(p, c, false);
    } else if (take(p, "ASCII")) {
        c->charset = (struct bytes){ (const uint8_t *)"latin1", 6 };
    } else if (take(p, "UNICODE")) {
        c->charset = (struct bytes){ (const uint8_t *)"ucs2", 4 };
    } else if (take(p, "BYTE")) {
        c->charset = (struct bytes){ (const uint8_t *)"binary", 6 };
    } else if (take(p, "AS")) { /* GENERATED ALWAYS is optional */
        d->generated = true;
    } else if (take(p, "INVISIBLE")) {
        c->visible = false;
    } else if (take(p, "ON")) {
        skip_reference_action(p);
    } else if (take(p, "COMMENT")) {
        if (p->t.kind == TOK_STRING)
            step(p);
    } else if (take(p, "REFERENCES")) { /* what the other table is called says nothing about this column */
        if (tok_char(look(p), '.')) {
            step(p);
            step(p);
        }
        if (at_name(p))
            step(p);
    } else if (take(p, "AFTER") || take(p, "CONSTRAINT")) {
        if (at_name(p) && !at(p, "CHECK"))
            step(p);
    } else if (take(p, "COLUMN_FORMAT") || take(p, "STORAGE")) {
        if (p->t.kind == TOK_WORD) /* may be DEFAULT */
            step(p);
    } else if (take(p, "SERIAL")) { /* SERIAL DEFAULT VALUE: NOT NULL AUTO_INCREMENT UNIQUE */
        if (take(p, "DEFAULT"))
            take(p, "VALUE");
        c->nullable = false;
    } else if (at_char(p, '(')) {
        skip_parens(p);
    } else {
        step(p); /* AUTO_INCREMENT, FIRST, BINARY, VIRTUAL, STORED, CHECK, SRID n ...: nothing that we keep */
    }
}

/* Character types end here: bytes or characters, and the class of TEXT(n). */
static void settle(struct column *c, bool sized)
{
    bool text = c->type == COL_CHAR || c->type == COL_VARCHAR || c->type == COL_TEXT;
    if (text && is_charset(c->charset, "BINARY")) {
        c->type = c->type == COL_CHAR ? COL_BINARY : c->type == COL_VARCHAR ? COL_VARBINARY : COL_BLOB;
        text = false;
    }
    if (!text && c->type != COL_ENUM && c->type != COL_SET) {
        c->charset = (struct bytes){ NULL, 0 };
        if (c->type == COL_BLOB && sized)
            c->length = c->length <= TINY ? TINY : c->length <= NORMAL ? NORMAL : c->length <= MEDIUM ? MEDIUM : LONG;
        return;
    }
    c->char_bytes = c->charset.n == 0 ? 0 : char_bytes_of(c->charset);
    uint64_t bytes = (uint64_t)c->length * (c->char_bytes != 0 ? c->char_bytes : c->type == COL_TEXT ? 4U : 1U);
    if (c->type == COL_TEXT && sized)
        c->length = bytes <= TINY ? TINY : bytes <= NORMAL ? NORMAL : bytes <= MEDIUM ? MEDIUM : LONG;
    else if (c->type != COL_TEXT)
        c->length = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

void parse_column_definition(struct parser *p, struct ddl_clause *c)
{
    struct column *col = &c->column;
    bool sized;
    col->nullable = true;
    col->visible = true;
    take_type(p, col, &sized);
    while (p->t.kind != TOK_END && !at_char(p, ',') && !at_char(p, ')'))
        take_attribute(p, c);
    settle(col, sized);
    if (col->type == 0)
        *col = (struct column){ .name = col->name, .nullable = col->nullable, .visible = col->visible };
}
