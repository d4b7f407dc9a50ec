/* schema_define.c - see schema_define.h. COLUMN_TYPE's forms: MySQL sql/field.cc and MariaDB sql/field.cc, Field_*::
 * sql_type; seen on MySQL 5.6, 9.7 and MariaDB 10.11. Which wire types may stand for which declared type: the old and
 * the new temporal formats, MariaDB's COMPRESSED columns. */
#include "schema_define.h"

#include "charset.h"
#include "row_decode.h"

#include <stdio.h>

enum { LABELS_MAX = 65535, TYPES = 4 };

struct declared {
    const char *word;
    uint8_t wire[TYPES]; /* 0 behind the last (WT_DECIMAL is never written) */
    uint8_t geometry;    /* type code */
};
static const struct declared types[] = {
    { "tinyint", { WT_TINY }, 0 },
    { "smallint", { WT_SHORT }, 0 },
    { "mediumint", { WT_INT24 }, 0 },
    { "int", { WT_LONG }, 0 },
    { "bigint", { WT_LONGLONG }, 0 },
    { "float", { WT_FLOAT }, 0 },
    { "double", { WT_DOUBLE }, 0 },
    { "decimal", { WT_NEWDECIMAL }, 0 },
    { "bit", { WT_BIT }, 0 },
    { "date", { WT_DATE, WT_NEWDATE }, 0 },
    { "time", { WT_TIME2, WT_TIME }, 0 },
    { "datetime", { WT_DATETIME2, WT_DATETIME }, 0 },
    { "timestamp", { WT_TIMESTAMP2, WT_TIMESTAMP }, 0 },
    { "year", { WT_YEAR }, 0 },
    { "char", { WT_STRING }, 0 },
    { "binary", { WT_STRING }, 0 },
    { "varchar", { WT_VARCHAR, WT_VAR_STRING, WT_VARCHAR_COMPRESSED }, 0 },
    { "varbinary", { WT_VARCHAR, WT_VAR_STRING, WT_VARCHAR_COMPRESSED }, 0 },
    { "tinytext", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "text", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "mediumtext", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "longtext", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "tinyblob", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "blob", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "mediumblob", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "longblob", { WT_BLOB, WT_BLOB_COMPRESSED }, 0 },
    { "enum", { WT_ENUM }, 0 },
    { "set", { WT_SET }, 0 },
    { "json", { WT_JSON }, 0 },
    { "vector", { WT_VECTOR, WT_VARCHAR }, 0 },
    { "uuid", { WT_STRING }, 0 },
    { "inet4", { WT_STRING }, 0 },
    { "inet6", { WT_STRING }, 0 },
    { "geometry", { WT_GEOMETRY }, 0 },
    { "point", { WT_GEOMETRY }, 1 },
    { "linestring", { WT_GEOMETRY }, 2 },
    { "polygon", { WT_GEOMETRY }, 3 },
    { "multipoint", { WT_GEOMETRY }, 4 },
    { "multilinestring", { WT_GEOMETRY }, 5 },
    { "multipolygon", { WT_GEOMETRY }, 6 },
    { "geometrycollection", { WT_GEOMETRY }, 7 },
    { "geomcollection", { WT_GEOMETRY }, 7 },
};

static const struct declared *declared_type(struct bytes text)
{
    size_t n = 0;
    while (n < text.n && ((text.p[n] >= 'a' && text.p[n] <= 'z') || (text.p[n] >= '0' && text.p[n] <= '9')))
        n++;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].word) == n && memcmp(types[i].word, text.p, n) == 0)
            return &types[i];
    return NULL;
}

static bool contradicts(const struct schema_column *from, struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT,
                   "column %.*s: TABLE_MAP contradicts the schema history, which has it as %.*s%s: %s",
                   BYTES_FMT(from->name), BYTES_FMT(from->type), from->nullable ? "" : " NOT NULL", what);
}

/* "(10,2)" behind the type's word: how many numbers. */
static unsigned numbers(struct bytes type, uint32_t out[2])
{
    const uint8_t *p = type.n == 0 ? NULL : memchr(type.p, '(', type.n), *end = type.p + type.n;
    unsigned n = 0;
    for (p = p == NULL ? end : p + 1; p < end && *p >= '0' && *p <= '9' && n < 2; n++) {
        uint64_t v = 0;
        while (p < end && *p >= '0' && *p <= '9' && v < UINT32_MAX)
            v = v * 10 + (uint64_t)(*p++ - '0');
        out[n] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        if (p < end && *p == ',')
            p++;
    }
    return n;
}

/* One 'label' of ENUM or SET: quotes are doubled; backslash, NUL, CR and LF have a backslash in front. */
static bool take_label(struct cur *c, struct arena *a, struct bytes *out, struct err *err)
{
    if (cur_u8(c) != '\'')
        cur_fail(c, "no quote in front of a label");
    uint8_t *to = arena_alloc(a, cur_left(c) + 1, err);
    if (to == NULL)
        return false;
    size_t n = 0;
    while (c->why == NULL) {
        uint8_t ch = cur_u8(c);
        if (ch == '\'' && (cur_left(c) == 0 || *c->p != '\''))
            break;
        if (ch == '\'') {
            (void)cur_u8(c);
        } else if (ch == '\\') {
            ch = cur_u8(c);
            ch = ch == '0' ? 0 : ch == 'n' ? '\n' : ch == 'r' ? '\r' : ch;
        }
        to[n++] = ch;
    }
    *out = bytes_of(to, n);
    return true;
}

static bool take_labels(const struct schema_column *from, struct arena *a, struct column *col, struct err *err)
{
    struct cur c = cur_over(from->type);
    size_t max = 0;
    for (size_t i = 0; i < from->type.n; i++)
        max += from->type.p[i] == ',';
    struct bytes *labels = arena_alloc(a, (max + 1) * sizeof *labels, err);
    if (labels == NULL)
        return false;
    uint32_t n = 0;
    while (cur_left(&c) != 0 && *c.p != '(')
        (void)cur_u8(&c);
    (void)cur_u8(&c);
    while (c.why == NULL) {
        if (n > max || !take_label(&c, a, &labels[n], err))
            return n > max ? err_set(err, ERR_CORRUPT, "column %.*s: labels", BYTES_FMT(from->name)) : false;
        n++;
        uint8_t next = cur_u8(&c);
        if (next == ')')
            break;
        if (next != ',')
            cur_fail(&c, "no comma behind a label");
    }
    if (c.why == NULL && n > (strncmp((const char *)from->type.p, "set", 3) == 0 ? 64 : LABELS_MAX))
        cur_fail(&c, "too many labels");
    if (!cur_ok(&c, "labels of ENUM or SET", err))
        return err_ctx(err, "column %.*s", BYTES_FMT(from->name));
    col->labels = labels;
    col->nlabels = n;
    return true;
}

/* The server's dictionary shows a character beyond the BMP as '?', whatever it was: such a label is not known (I3). */
static bool labels_known(const struct schema_column *from, const struct wire_column *wire, const struct column *col,
                         struct err *err)
{
    for (uint32_t i = 0; wire->charset->max_bytes > 3 && i < col->nlabels; i++)
        if (memchr(col->labels[i].p, '?', col->labels[i].n) != NULL)
            return err_set(err, ERR_UNSUPPORTED,
                           "column %.*s: its label %u is \"%.*s\", and information_schema shows '?' for each character "
                           "beyond U+FFFF, too: set binlog_row_metadata = FULL, alter the label, or exclude the table",
                           BYTES_FMT(from->name), i + 1, BYTES_FMT(col->labels[i]));
    return true;
}

static bool mentions(struct bytes text, const char *word)
{
    return memmem(text.p, text.n, word, strlen(word)) != NULL;
}

static bool is_number(uint8_t type)
{
    return type == WT_TINY || type == WT_SHORT || type == WT_INT24 || type == WT_LONG || type == WT_LONGLONG ||
           type == WT_FLOAT || type == WT_DOUBLE || type == WT_NEWDECIMAL;
}

static bool set_charset(const struct schema_column *from, struct wire_column *wire, struct err *err)
{
    struct bytes name = from->charset.n != 0 ? from->charset : BYTES_LIT("binary");
    wire->charset = charset_by_name(name);
    return wire->charset != NULL ||
           err_set(err, ERR_UNSUPPORTED, "column %.*s: character set %.*s is not known: alter the column",
                   BYTES_FMT(from->name), BYTES_FMT(name));
}

bool schema_column_define(const struct schema_column *from, uint8_t type, struct arena *a, struct wire_column *wire,
                          struct column *col, struct err *err)
{
    const struct declared *d = declared_type(from->type);
    if (d == NULL)
        return err_set(err, ERR_UNSUPPORTED, "column %.*s: its type %.*s is not known: exclude the table, or alter it",
                       BYTES_FMT(from->name), BYTES_FMT(from->type));
    bool fits = false;
    for (unsigned i = 0; i < TYPES && d->wire[i] != 0; i++)
        fits = fits || d->wire[i] == type;
    if (!fits)
        return contradicts(from, err, row_type_name(type));
    if (charset_utf8_valid(from->name) != from->name.n)
        return err_set(err, ERR_CORRUPT, "a column's name is not UTF-8");
    col->name = from->name;
    col->key_pos = from->key_pos;
    col->visible = from->visible;
    col->is_unsigned = is_number(type) && mentions(from->type, " unsigned");
    uint32_t n[2] = { 0, 0 };
    switch (type) {
    case WT_ENUM:
    case WT_SET:
        return set_charset(from, wire, err) && take_labels(from, a, col, err) && labels_known(from, wire, col, err);
    case WT_GEOMETRY:
        col->length = d->geometry;
        return true;
    case WT_VECTOR:
        (void)numbers(from->type, n);
        col->length = n[0];
        return set_charset(from, wire, err);
    case WT_STRING:
    case WT_VAR_STRING:
    case WT_VARCHAR:
    case WT_VARCHAR_COMPRESSED:
    case WT_BLOB:
    case WT_BLOB_COMPRESSED:
        return set_charset(from, wire, err);
    default:
        return true;
    }
}

static unsigned label_bytes(uint8_t type, uint32_t n)
{
    if (type == WT_ENUM)
        return n < 256 ? 1 : 2;
    unsigned bytes = (n + 7) / 8;
    return bytes > 4 ? 8 : bytes;
}

bool schema_column_check(const struct schema_column *from, uint8_t type, const struct wire_column *wire,
                         const struct column *col, struct err *err)
{
    uint32_t n[2] = { 0, 0 };
    unsigned have = numbers(from->type, n);
    char text[80];
    if (col->nullable != from->nullable)
        return contradicts(from, err, col->nullable ? "it may be NULL" : "it is NOT NULL");
    switch (type) {
    case WT_NEWDECIMAL:
        snprintf(text, sizeof text, "decimal(%u,%u)", col->precision, col->scale);
        return (have == 2 && n[0] == col->precision && n[1] == col->scale) || contradicts(from, err, text);
    case WT_BIT:
        snprintf(text, sizeof text, "bit(%u)", col->length);
        return (have == 1 && n[0] == col->length) || contradicts(from, err, text);
    case WT_TIME2:
    case WT_DATETIME2:
    case WT_TIMESTAMP2:
        snprintf(text, sizeof text, "%u fractional digits", col->scale);
        return n[0] == col->scale || contradicts(from, err, text);
    case WT_ENUM:
    case WT_SET:
        snprintf(text, sizeof text, "%u bytes", wire->meta);
        return label_bytes(type, col->nlabels) == wire->meta || contradicts(from, err, text);
    case WT_STRING:
    case WT_VAR_STRING:
    case WT_VARCHAR:
    case WT_VARCHAR_COMPRESSED:
    case WT_BLOB:
    case WT_BLOB_COMPRESSED:
        snprintf(text, sizeof text, "%u bytes at most", col->length);
        return from->octets == UINT64_MAX || from->octets == col->length || contradicts(from, err, text);
    default:
        return true;
    }
}
