/* relation.c - one table definition: canonical bytes, identity, look-up of columns, texts. See relation.h.
 *
 * Canonical bytes, version 1. varint: LEB128, shortest form; blob: a varint length, then that many bytes.
 *
 *   varint  version           1
 *   blob    schema            UTF-8, 1 .. 1024 bytes
 *   blob    table             UTF-8, 1 .. 1024 bytes
 *   varint  ncols             1 .. 4096
 *   ncols times, in the table's order:
 *     blob    name            UTF-8, 1 .. 1024 bytes; no two columns have the same
 *     u8      type            enum col_type
 *     u8      flags           1 nullable, 2 unsigned, 4 visible; other bits are 0
 *     u8      int_bits        COL_INT: 8 16 24 32 64; else 0
 *     u8      precision       COL_DECIMAL: 1 .. 65; else 0
 *     u8      scale           COL_DECIMAL: 0 .. precision; TIME, DATETIME, TIMESTAMP: 0 .. 6; else 0
 *     varint  length          < 2^32: see struct column; BIT: 1 .. 64
 *     varint  char_bytes      < 2^16
 *     blob    charset         0 .. 64 bytes
 *     varint  key_pos         0: not in the primary key; else 1 .. nkey, each place taken once
 *     varint  nlabels         ENUM: up to 65535; SET: up to 64; else 0
 *     nlabels times: blob     label, UTF-8
 *   (end: nothing follows)
 *
 * Identity: the first 8 bytes of SHA-256 over these bytes, little-endian; 1 in place of 0. A relation owns one copy of them,
 * and every name, charset and label is a view into it. */
#include "relation.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    CANONICAL_VERSION = 1,
    MAX_COLUMNS = 4096,
    MAX_NAME = 1024,
    MAX_CHARSET = 64,
    MIN_COLUMN_BYTES = 12, /* a one-letter name and 10 numbers of one byte */
    LINEAR_COLUMNS = 64    /* up to here comparing lengths and bytes is as quick as hashing */
};
enum { F_NULLABLE = 1, F_UNSIGNED = 2, F_VISIBLE = 4 };

struct owned {
    struct relation r; /* first: a pointer to one is a pointer to the other */
    atomic_uint refs;
    struct column *cols;  /* and behind them the key */
    struct bytes *labels; /* of all columns; NULL: there are none */
    uint16_t *key;
    uint16_t *index; /* > LINEAR_COLUMNS: open addressing by hash of the lower-cased name, column number + 1; 0 free */
    size_t index_mask;
    uint8_t canonical[];
};

static void destroy(struct owned *o)
{
    free(o->cols);
    free(o->labels);
    free(o->index);
    free(o);
}

struct relation *relation_ref(const struct relation *r)
{
    struct owned *o = (struct owned *)(uintptr_t)r; /* only the count changes: the relation itself is immutable */
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return &o->r;
}

void relation_unref(struct relation *r)
{
    struct owned *o = (struct owned *)r;
    if (o != NULL && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        destroy(o);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool eq_nocase(struct bytes a, struct bytes b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

static size_t name_hash(struct bytes name) /* FNV-1a: at most 4096 entries, so that flooding it gains nothing */
{
    uint64_t h = 14695981039346656037U;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ lower(name.p[i])) * 1099511628211U;
    return (size_t)(h ^ h >> 32);
}

static bool build_index(struct owned *o, struct err *err)
{
    if (o->r.ncols <= LINEAR_COLUMNS)
        return true;
    size_t slots = 256;
    while (slots < (size_t)o->r.ncols * 2)
        slots *= 2;
    o->index = calloc(slots, sizeof *o->index);
    if (o->index == NULL)
        return err_nomem(err);
    o->index_mask = slots - 1;
    for (unsigned i = 0; i < o->r.ncols; i++) {
        size_t at = name_hash(o->r.cols[i].name) & o->index_mask;
        while (o->index[at] != 0)
            at = (at + 1) & o->index_mask;
        o->index[at] = (uint16_t)(i + 1);
    }
    return true;
}

int relation_column(const struct relation *r, struct bytes name)
{
    const struct owned *o = (const struct owned *)r;
    int loose = -1; /* the first that differs in case only */
    if (o->index != NULL) {
        for (size_t at = name_hash(name) & o->index_mask; o->index[at] != 0; at = (at + 1) & o->index_mask) {
            int i = o->index[at] - 1;
            if (bytes_eq(r->cols[i].name, name))
                return i;
            if (eq_nocase(r->cols[i].name, name) && (loose < 0 || i < loose))
                loose = i;
        }
        return loose;
    }
    for (unsigned i = 0; i < r->ncols; i++)
        if (bytes_eq(r->cols[i].name, name))
            return (int)i;
    for (unsigned i = 0; i < r->ncols; i++)
        if (eq_nocase(r->cols[i].name, name))
            return (int)i;
    return -1;
}

static const char *insane(const struct column *c)
{
    bool temporal = c->type == COL_TIME || c->type == COL_DATETIME || c->type == COL_TIMESTAMP;
    if (c->type < COL_INT || c->type > COL_VECTOR)
        return "unknown column type";
    if (c->type == COL_INT
            ? c->int_bits != 8 && c->int_bits != 16 && c->int_bits != 24 && c->int_bits != 32 && c->int_bits != 64
            : c->int_bits != 0)
        return "bad number of integer bits";
    if (c->type == COL_DECIMAL ? c->precision < 1 || c->precision > 65 : c->precision != 0)
        return "bad precision";
    if (c->scale > (c->type == COL_DECIMAL ? c->precision : temporal ? 6 : 0))
        return "bad scale";
    if (c->type == COL_BIT && (c->length < 1 || c->length > 64))
        return "BIT must have 1 to 64 bits";
    if (c->nlabels > (c->type == COL_ENUM ? 65535U : c->type == COL_SET ? 64U : 0U))
        return "more labels than the type can have";
    return NULL;
}

static uint64_t varint_up_to(struct cur *c, uint64_t max, const char *why)
{
    uint64_t v = cur_varint(c);
    if (v > max) {
        cur_fail(c, why);
        return 0;
    }
    return v;
}

static struct bytes name_of(struct cur *c)
{
    struct bytes b = cur_blob(c);
    if (b.n == 0 || b.n > MAX_NAME) {
        cur_fail(c, "a name must have 1 to 1024 bytes");
        return (struct bytes){ NULL, 0 };
    }
    return b;
}

static void parse_column(struct cur *c, struct column *col)
{
    col->name = name_of(c);
    col->type = cur_u8(c);
    uint8_t flags = cur_u8(c);
    if (flags > (F_NULLABLE | F_UNSIGNED | F_VISIBLE))
        cur_fail(c, "unknown column flag");
    col->nullable = (flags & F_NULLABLE) != 0;
    col->is_unsigned = (flags & F_UNSIGNED) != 0;
    col->visible = (flags & F_VISIBLE) != 0;
    col->int_bits = cur_u8(c);
    col->precision = cur_u8(c);
    col->scale = cur_u8(c);
    col->length = (uint32_t)varint_up_to(c, UINT32_MAX, "column length too large");
    col->char_bytes = (uint16_t)varint_up_to(c, UINT16_MAX, "character width too large");
    col->charset = cur_blob(c);
    if (col->charset.n > MAX_CHARSET)
        cur_fail(c, "character set name too long");
    col->key_pos = (uint16_t)varint_up_to(c, MAX_COLUMNS, "key position too large");
    col->nlabels = (uint32_t)varint_up_to(c, 65535, "too many labels");
    const char *why = c->why == NULL ? insane(col) : NULL;
    if (why != NULL)
        cur_fail(c, why);
    if (col->nlabels > cur_left(c)) /* each takes a byte at least: bounds the labels array by the input */
        cur_fail(c, "truncated");
}

/* Fills the columns but not their labels, and says how many labels there are. */
static void parse_columns(struct cur *c, struct column *cols, unsigned ncols, size_t *nlabels)
{
    *nlabels = 0;
    for (unsigned i = 0; i < ncols && c->why == NULL; i++) {
        parse_column(c, &cols[i]);
        for (uint32_t k = 0; k < cols[i].nlabels && c->why == NULL; k++)
            (void)cur_blob(c);
        *nlabels += cols[i].nlabels;
    }
}

static bool build_key(struct owned *o, struct err *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < o->r.ncols; i++)
        n += o->cols[i].key_pos != 0;
    for (unsigned i = 0; i < n; i++)
        o->key[i] = UINT16_MAX; /* no column's number */
    for (unsigned i = 0; i < o->r.ncols; i++) {
        uint16_t pos = o->cols[i].key_pos;
        if (pos == 0)
            continue;
        if (pos > n || o->key[pos - 1] != UINT16_MAX)
            return err_set(err, ERR_CORRUPT, "column %.*s: key position %u is taken twice or beyond the %u key columns",
                           BYTES_FMT(o->cols[i].name), pos, n);
        o->key[pos - 1] = (uint16_t)i;
    }
    o->r.nkey = n;
    o->r.key = o->key;
    return true;
}

static bool check_unique(struct owned *o, struct err *err)
{
    for (unsigned i = 0; i < o->r.ncols; i++) {
        bool twice = false;
        struct bytes name = o->cols[i].name;
        if (o->index == NULL)
            for (unsigned k = 0; k < i; k++)
                twice |= bytes_eq(o->cols[k].name, name);
        else
            for (size_t at = name_hash(name) & o->index_mask; o->index[at] != 0; at = (at + 1) & o->index_mask)
                twice |= o->index[at] - 1 != (int)i && bytes_eq(o->cols[o->index[at] - 1].name, name);
        if (twice)
            return err_set(err, ERR_CORRUPT, "column name %.*s occurs twice", BYTES_FMT(name));
    }
    return true;
}

static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static const EVP_MD *sha256;

static void find_sha256(void) /* once: looking for it takes as long as hashing a definition */
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256 == NULL)
        sha256 = EVP_sha256();
}

static bool set_id(struct owned *o, struct err *err)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    pthread_once(&sha256_once, find_sha256);
    if (EVP_Digest(o->r.canonical.p, o->r.canonical.n, hash, NULL, sha256, NULL) != 1)
        return err_set(err, ERR_NOMEM, "SHA-256 of a table definition failed in OpenSSL");
    uint64_t id = 0;
    for (unsigned i = 0; i < 8; i++)
        id |= (uint64_t)hash[i] << (8 * i);
    o->r.id = id == 0 ? 1 : id;
    return true;
}

/* o->canonical is set; fills everything else. */
static bool parse_owned(struct owned *o, size_t n, struct err *err)
{
    o->r.canonical = (struct bytes){ o->canonical, n };
    struct cur c = cur_over(o->r.canonical);
    uint64_t version = cur_varint(&c);
    if (c.why == NULL && version != CANONICAL_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "table definition of version %llu; this program knows version %d",
                       (unsigned long long)version, CANONICAL_VERSION);
    o->r.schema = name_of(&c);
    o->r.table = name_of(&c);
    uint64_t ncols = varint_up_to(&c, MAX_COLUMNS, "more than 4096 columns");
    if (c.why == NULL && (ncols == 0 || ncols * MIN_COLUMN_BYTES > cur_left(&c)))
        cur_fail(&c, ncols == 0 ? "no columns" : "truncated");
    if (!cur_ok(&c, "table definition", err))
        return false;
    o->r.ncols = (unsigned)ncols;
    o->cols = calloc(ncols, sizeof *o->cols + sizeof *o->key);
    if (o->cols == NULL)
        return err_nomem(err);
    o->key = (uint16_t *)(o->cols + ncols);
    o->r.cols = o->cols;
    struct cur again = c;
    size_t nlabels;
    parse_columns(&c, o->cols, o->r.ncols, &nlabels);
    if (!cur_finish(&c, "table definition", err))
        return false;
    o->labels = nlabels == 0 ? NULL : calloc(nlabels, sizeof *o->labels);
    if (o->labels == NULL && nlabels != 0)
        return err_nomem(err);
    struct bytes *at = o->labels;
    for (unsigned i = 0; i < o->r.ncols && nlabels != 0;
         i++) { /* the second reading cannot fail where the first did not */
        struct column skip;
        parse_column(&again, &skip);
        o->cols[i].labels = o->cols[i].nlabels == 0 ? NULL : at;
        for (uint32_t k = 0; k < o->cols[i].nlabels; k++)
            *at++ = cur_blob(&again);
    }
    return build_key(o, err) && build_index(o, err) && check_unique(o, err) && set_id(o, err);
}

bool relation_parse(struct bytes canonical, struct relation **out, struct err *err)
{
    struct owned *o = calloc(1, sizeof *o + canonical.n);
    if (o == NULL)
        return err_nomem(err);
    atomic_init(&o->refs, 1);
    if (canonical.n != 0)
        memcpy(o->canonical, canonical.p, canonical.n);
    if (!parse_owned(o, canonical.n, err)) {
        if (o->r.table.n != 0)
            err_ctx(err, "%.*s.%.*s", BYTES_FMT(o->r.schema), BYTES_FMT(o->r.table));
        destroy(o);
        return false;
    }
    *out = &o->r;
    return true;
}

static void encode_column(struct buf *b, const struct column *c)
{
    buf_blob(b, c->name);
    buf_u8(b, c->type);
    buf_u8(b, (uint8_t)((c->nullable ? F_NULLABLE : 0) | (c->is_unsigned ? F_UNSIGNED : 0) |
                        (c->visible ? F_VISIBLE : 0)));
    buf_u8(b, c->int_bits);
    buf_u8(b, c->precision);
    buf_u8(b, c->scale);
    buf_varint(b, c->length);
    buf_varint(b, c->char_bytes);
    buf_blob(b, c->charset);
    buf_varint(b, c->key_pos);
    buf_varint(b, c->nlabels);
    for (uint32_t i = 0; i < c->nlabels; i++)
        buf_blob(b, c->labels[i]);
}

bool relation_new(struct bytes schema, struct bytes table, const struct column *cols, unsigned ncols,
                  struct relation **out, struct err *err)
{
    if (ncols > MAX_COLUMNS)
        return err_set(err, ERR_CORRUPT, "%.*s.%.*s: %u columns; a table can have 4096", BYTES_FMT(schema),
                       BYTES_FMT(table), ncols);
    for (unsigned i = 0; i < ncols; i++) {
        const char *why = insane(&cols[i]);
        if (why != NULL)
            return err_set(err, ERR_CORRUPT, "%.*s.%.*s, column %.*s: %s (type %u)", BYTES_FMT(schema),
                           BYTES_FMT(table), BYTES_FMT(cols[i].name), why, cols[i].type);
    }
    struct buf b = { 0 };
    buf_varint(&b, CANONICAL_VERSION);
    buf_blob(&b, schema);
    buf_blob(&b, table);
    buf_varint(&b, ncols);
    for (unsigned i = 0; i < ncols; i++)
        encode_column(&b, &cols[i]);
    bool ok = buf_ok(&b, err) && relation_parse(buf_view(&b), out, err);
    buf_free(&b);
    return ok;
}

static void put_sized(struct buf *out, const char *name, unsigned n)
{
    buf_str(out, name);
    if (n != 0)
        buf_printf(out, "(%u)", n);
}

static void put_labels(struct buf *out, const char *name, const struct column *c)
{
    buf_str(out, name);
    buf_u8(out, '(');
    for (uint32_t i = 0; i < c->nlabels; i++) {
        if (i != 0)
            buf_u8(out, ',');
        buf_u8(out, '\'');
        for (size_t k = 0; k < c->labels[i].n; k++) {
            uint8_t ch = c->labels[i].p[k];
            if (ch == '\'' || ch == '\\')
                buf_u8(out, ch);
            buf_u8(out, ch);
        }
        buf_u8(out, '\'');
    }
    buf_u8(out, ')');
}

/* TEXT and BLOB come in four classes, told apart by their largest length. */
static void put_class(struct buf *out, const char *name, uint32_t length)
{
    buf_str(out, length <= 255 ? "tiny" : length <= 65535 ? "" : length <= 16777215 ? "medium" : "long");
    buf_str(out, name);
}

void column_type_text(const struct column *c, struct buf *out)
{
    static const char *const geometry[] = { "geometry",   "point",           "linestring",   "polygon",
                                            "multipoint", "multilinestring", "multipolygon", "geometrycollection" };
    unsigned chars = c->char_bytes == 0 ? c->length : c->length / c->char_bytes;
    switch ((enum col_type)c->type) {
    case COL_INT:
        buf_str(out, c->int_bits == 8    ? "tinyint"
                     : c->int_bits == 16 ? "smallint"
                     : c->int_bits == 24 ? "mediumint"
                     : c->int_bits == 32 ? "int"
                                         : "bigint");
        break;
    case COL_FLOAT:
        buf_str(out, "float");
        break;
    case COL_DOUBLE:
        buf_str(out, "double");
        break;
    case COL_DECIMAL:
        buf_printf(out, "decimal(%u,%u)", c->precision, c->scale);
        break;
    case COL_DATE:
        buf_str(out, "date");
        break;
    case COL_TIME:
        put_sized(out, "time", c->scale);
        break;
    case COL_DATETIME:
        put_sized(out, "datetime", c->scale);
        break;
    case COL_TIMESTAMP:
        put_sized(out, "timestamp", c->scale);
        break;
    case COL_YEAR:
        buf_str(out, "year");
        break;
    case COL_CHAR:
        buf_printf(out, "char(%u)", chars);
        break;
    case COL_VARCHAR:
        buf_printf(out, "varchar(%u)", chars);
        break;
    case COL_TEXT:
        put_class(out, "text", c->length);
        break;
    case COL_BINARY:
        buf_printf(out, "binary(%u)", c->length);
        break;
    case COL_VARBINARY:
        buf_printf(out, "varbinary(%u)", c->length);
        break;
    case COL_BLOB:
        put_class(out, "blob", c->length);
        break;
    case COL_BIT:
        buf_printf(out, "bit(%u)", c->length);
        break;
    case COL_ENUM:
        put_labels(out, "enum", c);
        break;
    case COL_SET:
        put_labels(out, "set", c);
        break;
    case COL_JSON:
        buf_str(out, "json");
        break;
    case COL_GEOMETRY:
        buf_str(out, c->length < sizeof geometry / sizeof geometry[0] ? geometry[c->length] : "geometry");
        break;
    case COL_VECTOR:
        put_sized(out, "vector", c->length);
        break;
    default:
        buf_printf(out, "(type %u)", c->type);
        break;
    }
    if (c->is_unsigned)
        buf_str(out, " unsigned");
}

void column_value_text(const struct column *c, const struct val *v, struct buf *out)
{
    if (v->kind == VAL_ENUM && v->u.u64 <= c->nlabels) {
        if (v->u.u64 != 0)
            buf_bytes(out, c->labels[v->u.u64 - 1]);
        return;
    }
    if (v->kind == VAL_SET && (c->nlabels >= 64 || v->u.u64 >> c->nlabels == 0)) {
        bool first = true;
        for (uint32_t i = 0; i < c->nlabels && i < 64; i++) {
            if ((v->u.u64 >> i & 1) == 0)
                continue;
            if (!first)
                buf_u8(out, ',');
            buf_bytes(out, c->labels[i]);
            first = false;
        }
        return;
    }
    if (v->kind == VAL_I64 && c->type == COL_YEAR && v->u.i64 == 0) {
        buf_str(out, "0000");
        return;
    }
    val_text(v, out); /* also a number that no label has: shown, not hidden */
}
