/* row_value.c - see row_value.h. What a type needs is in one table (types); decoding is one switch, as this runs once
 * per value. */
#include "row_value.h"

#include "charset.h"
#include "inflate.h"
#include "json_binary.h"
#include "json_diff.h"
#include "row_decode.h"

enum { UNKNOWN_META = -1, DEC64_PRECISION = 18 };

struct type_info {
    const char *name;
    int8_t meta; /* bytes of metadata in TABLE_MAP */
    uint8_t col; /* enum col_type; 0: not decided by the wire type alone, or not supported */
    uint8_t int_bits;
};
#define TYPE(w, n, m, c, b) [w] = { n, (m) + 1, c, b }
static const struct type_info types[256] = {
    /* meta is stored + 1, so that a hole in this table reads as "unknown" */
    TYPE(WT_DECIMAL, "old DECIMAL", 0, 0, 0),
    TYPE(WT_TINY, "TINYINT", 0, COL_INT, 8),
    TYPE(WT_SHORT, "SMALLINT", 0, COL_INT, 16),
    TYPE(WT_LONG, "INT", 0, COL_INT, 32),
    TYPE(WT_FLOAT, "FLOAT", 1, COL_FLOAT, 0),
    TYPE(WT_DOUBLE, "DOUBLE", 1, COL_DOUBLE, 0),
    TYPE(WT_NULL, "NULL", 0, 0, 0),
    TYPE(WT_TIMESTAMP, "TIMESTAMP", 0, COL_TIMESTAMP, 0),
    TYPE(WT_LONGLONG, "BIGINT", 0, COL_INT, 64),
    TYPE(WT_INT24, "MEDIUMINT", 0, COL_INT, 24),
    TYPE(WT_DATE, "DATE", 0, COL_DATE, 0),
    TYPE(WT_TIME, "TIME", 0, COL_TIME, 0),
    TYPE(WT_DATETIME, "DATETIME", 0, COL_DATETIME, 0),
    TYPE(WT_YEAR, "YEAR", 0, COL_YEAR, 0),
    TYPE(WT_NEWDATE, "DATE", 0, COL_DATE, 0),
    TYPE(WT_VARCHAR, "VARCHAR", 2, COL_VARCHAR, 0),
    TYPE(WT_BIT, "BIT", 2, COL_BIT, 0),
    TYPE(WT_TIMESTAMP2, "TIMESTAMP", 1, COL_TIMESTAMP, 0),
    TYPE(WT_DATETIME2, "DATETIME", 1, COL_DATETIME, 0),
    TYPE(WT_TIME2, "TIME", 1, COL_TIME, 0),
    TYPE(WT_BLOB_COMPRESSED, "BLOB COMPRESSED", 1, COL_TEXT, 0),
    TYPE(WT_VARCHAR_COMPRESSED, "VARCHAR COMPRESSED", 2, COL_VARCHAR, 0),
    TYPE(WT_VECTOR, "VECTOR", 1, COL_VECTOR, 0),
    [WT_TYPED_ARRAY] = { "TYPED_ARRAY", 0, 0, 0 }, /* its metadata is its element's type and metadata */
    TYPE(WT_JSON, "JSON", 1, COL_JSON, 0),
    TYPE(WT_NEWDECIMAL, "DECIMAL", 2, COL_DECIMAL, 0),
    TYPE(WT_ENUM, "ENUM", 2, COL_ENUM, 0),
    TYPE(WT_SET, "SET", 2, COL_SET, 0),
    TYPE(WT_TINY_BLOB, "TINYBLOB", 1, COL_TEXT, 0),
    TYPE(WT_MEDIUM_BLOB, "MEDIUMBLOB", 1, COL_TEXT, 0),
    TYPE(WT_LONG_BLOB, "LONGBLOB", 1, COL_TEXT, 0),
    TYPE(WT_BLOB, "BLOB", 1, COL_TEXT, 0),
    TYPE(WT_VAR_STRING, "VARCHAR", 2, COL_VARCHAR, 0),
    TYPE(WT_STRING, "CHAR", 2, COL_CHAR, 0),
    TYPE(WT_GEOMETRY, "GEOMETRY", 1, COL_GEOMETRY, 0),
};

int row_meta_bytes(uint8_t type)
{
    return types[type].meta - 1;
}

const char *row_type_name(uint8_t type)
{
    return types[type].name == NULL ? "?" : types[type].name;
}

uint8_t row_real_type(uint8_t type, uint16_t meta)
{
    /* A CHAR of more than 255 bytes has other bits than 0x30 set there: never ENUM or SET. */
    uint8_t real = (uint8_t)(meta & 0xff);
    return type == WT_STRING && (real == WT_ENUM || real == WT_SET) ? real : type;
}

static bool bad_meta(uint8_t type, uint16_t meta, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "type %u (%s): metadata 0x%04x makes no sense", type, row_type_name(type), meta);
}

/* Character types become their byte twins by collation 63. */
static void set_text(const struct wire_column *wire, struct column *col, uint8_t text, uint8_t bytes, uint32_t length)
{
    bool binary = wire->charset == NULL || wire->charset->binary;
    col->type = binary ? bytes : text;
    col->length = length;
    col->char_bytes = binary ? 0 : wire->charset->max_bytes;
    col->charset = binary ? (struct bytes){ NULL, 0 } : bytes_str(wire->charset->name);
}

static uint32_t blob_class(unsigned length_bytes)
{
    return length_bytes == 4 ? UINT32_MAX : (1U << (8 * length_bytes)) - 1;
}

bool row_value_define(uint8_t wire_type, uint16_t meta, struct wire_column *wire, struct column *col, struct err *err)
{
    uint8_t type = row_real_type(wire_type, meta);
    const struct type_info *t = &types[type];
    if (t->col == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "its type %u (%s) is not supported: exclude the table, or alter the column", type,
                       row_type_name(type));
    wire->type = type;
    wire->meta = meta;
    col->type = t->col;
    col->int_bits = t->int_bits;
    uint8_t low = (uint8_t)(meta & 0xff), high = (uint8_t)(meta >> 8);
    switch (type) {
    case WT_FLOAT:
    case WT_DOUBLE:
        return meta == (type == WT_FLOAT ? 4 : 8) || bad_meta(type, meta, err);
    case WT_TIMESTAMP2:
    case WT_DATETIME2:
    case WT_TIME2:
        col->scale = low;
        return meta <= 6 || bad_meta(type, meta, err);
    case WT_NEWDECIMAL:
        col->precision = low;
        col->scale = high;
        return (low <= ROW_DECIMAL_COLUMN_MAX && row_decimal_bytes(low, high) != 0) || bad_meta(type, meta, err);
    case WT_BIT:
        col->length = high * 8U + low;
        wire->meta = (uint16_t)((col->length + 7) / 8);
        return (low <= 7 && col->length >= 1 && col->length <= 64) || bad_meta(type, meta, err);
    case WT_VARCHAR:
    case WT_VAR_STRING:
        set_text(wire, col, COL_VARCHAR, COL_VARBINARY, meta);
        return true;
    case WT_VARCHAR_COMPRESSED: /* one byte more than declared: how it is compressed */
        set_text(wire, col, COL_VARCHAR, COL_VARBINARY, meta == 0 ? 0U : meta - 1U);
        return true;
    case WT_STRING: /* the length's bits 8 and 9 are hidden, inverted, in the type */
        wire->meta = (uint16_t)(high | (((low & 0x30U) ^ 0x30U) << 4));
        set_text(wire, col, COL_CHAR, COL_BINARY, wire->meta);
        return (low | 0x30) == WT_STRING || bad_meta(type, meta, err);
    case WT_ENUM:
        wire->meta = high;
        col->charset = wire->charset == NULL || wire->charset->binary ? (struct bytes){ NULL, 0 }
                                                                      : bytes_str(wire->charset->name);
        return high == 1 || high == 2 || bad_meta(type, meta, err);
    case WT_SET:
        wire->meta = high;
        col->charset = wire->charset == NULL || wire->charset->binary ? (struct bytes){ NULL, 0 }
                                                                      : bytes_str(wire->charset->name);
        return (high >= 1 && high <= 8) || bad_meta(type, meta, err);
    case WT_TINY_BLOB:
    case WT_MEDIUM_BLOB:
    case WT_LONG_BLOB:
    case WT_BLOB:
    case WT_BLOB_COMPRESSED:
        if (meta < 1 || meta > 4)
            return bad_meta(type, meta, err);
        set_text(wire, col, COL_TEXT, COL_BLOB, blob_class(meta));
        return true;
    case WT_JSON:
    case WT_GEOMETRY:
    case WT_VECTOR:
        return (meta >= 1 && meta <= 4) || bad_meta(type, meta, err);
    default:
        return true;
    }
}

/* The hot path stays small: what is rare or long has its own frame on the stack. */
#define APART __attribute__((noinline))

static APART bool failed(const struct cur *c, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s at byte %zu of the event's rows", c->why, c->at);
}

static inline struct bytes take_prefixed(struct cur *c, unsigned length_bytes)
{
    size_t n = (size_t)cur_le(c, length_bytes);
    return cur_take(c, n);
}

/* The policy for a text that is none: err says so already. */
static APART bool replaced(const struct wire_column *wire, struct bytes b, struct arena *a, struct bytes *out,
                           struct err *err)
{
    unsigned n = 0;
    struct err e = *err;
    if (e.code != ERR_CORRUPT)
        return false;
    if (wire->tells_apart)
        return err_set(err, e.code,
                       "%s; rows are told apart by it (a key column, or a table without a key), so it is never "
                       "replaced: mend the row at the source and begin a new slot from a fresh copy of the tables, or "
                       "leave the table out",
                       e.msg);
    if (wire->replaced == NULL)
        return err_set(err, e.code, "%s (what to do with such: --invalid-text)", e.msg);
    if (!charset_to_utf8_replacing(wire->charset, b, a, out, &n, err))
        return false;
    ++*wire->replaced;
    err->code = ERR_NONE;
    return true;
}

static inline bool text(const struct wire_column *wire, struct bytes b, struct arena *a, struct val *out,
                        struct err *err)
{
    if (wire->charset == NULL || wire->charset->binary) {
        out->kind = VAL_BYTES;
        out->u.str = b;
        return true;
    }
    out->kind = VAL_TEXT;
    return charset_to_utf8(wire->charset, b, a, &out->u.str, err) || replaced(wire, b, a, &out->u.str, err);
}

/* BINARY(n) travels without its trailing zero bytes. */
static APART bool padded(struct bytes b, size_t n, struct arena *a, struct bytes *out, struct err *err)
{
    *out = b;
    if (b.n >= n)
        return true;
    uint8_t *p = arena_zalloc(a, n, err);
    if (p == NULL)
        return false;
    if (b.n != 0)
        memcpy(p, b.p, b.n);
    *out = (struct bytes){ p, n };
    return true;
}

/* A value of a COMPRESSED column: empty, or a head byte (0: as it is; 0x80 | bytes of length | 8 for raw DEFLATE),
 * the length big-endian, and the stream. Source: MariaDB, sql/field.cc, compress_zlib, uncompress_zlib. */
static APART bool uncompressed(struct bytes b, struct arena *a, struct bytes *out, struct err *err)
{
    enum { METHOD = 0xf0, ZLIB = 0x80, RAW = 8, LENGTH_BYTES = 7 };
    struct cur c = cur_over(b);
    *out = b;
    if (b.n == 0)
        return true;
    uint8_t head = cur_u8(&c);
    if (head == 0) {
        *out = (struct bytes){ b.p + 1, b.n - 1 };
        return true;
    }
    unsigned length_bytes = head & LENGTH_BYTES;
    if ((head & METHOD) != ZLIB)
        return err_set(err, ERR_UNSUPPORTED, "compressed by method %u, which is not known", head >> 4);
    if (length_bytes < 1 || length_bytes > 4)
        return err_set(err, ERR_CORRUPT, "compressed value without a proper length");
    uint64_t n = cur_be(&c, length_bytes);
    if (c.why != NULL)
        return err_set(err, ERR_CORRUPT, "compressed value is truncated");
    struct bytes z = cur_take(&c, cur_left(&c));
    if (!inflate_size_ok(z.n, n, err))
        return false;
    uint8_t *p = arena_alloc(a, n == 0 ? 1 : (size_t)n, err);
    if (p == NULL || !inflate_exact(z, (head & RAW) == 0, p, (size_t)n, err))
        return false;
    *out = (struct bytes){ p, (size_t)n };
    return true;
}

static APART bool json(struct bytes b, struct arena *a, struct val *out, struct err *err)
{
    struct buf buf = { 0 };
    (void)buf_grow(&buf, b.n * 2 + 64);
    out->kind = VAL_JSON;
    bool ok = json_binary_text(b, &buf, err) && arena_copy(a, buf_view(&buf), &out->u.str, err);
    buf_free(&buf);
    return ok;
}

bool row_value_json_diff(struct cur *c, struct bytes before, const struct val *same, struct arena *a, struct val *out,
                         struct err *err)
{
    struct bytes diffs = take_prefixed(c, 4);
    if (c->why != NULL)
        return failed(c, err);
    if (before.p == NULL)
        return err_set(err, ERR_CORRUPT, "differences to a JSON document that was NULL");
    if (diffs.n == 0) {
        *out = *same;
        return true;
    }
    struct buf buf = { 0 };
    (void)buf_grow(&buf, (before.n + diffs.n) * 2 + 64);
    out->kind = VAL_JSON;
    bool ok = json_diff_text(before, diffs, a, &buf, err) && arena_copy(a, buf_view(&buf), &out->u.str, err);
    buf_free(&buf);
    return ok;
}

static APART bool long_decimal(struct cur *c, const struct column *col, struct arena *a, struct val *out,
                               struct err *err)
{
    char digits[ROW_DECIMAL_TEXT_MAX];
    size_t n = row_decimal_decode_text(c, col->precision, col->scale, digits);
    if (n == 0)
        return failed(c, err);
    out->kind = VAL_DECIMAL;
    return arena_copy(a, (struct bytes){ (const uint8_t *)digits, n }, &out->u.str, err);
}

static inline void integer(struct cur *c, const struct column *col, unsigned n, struct val *out)
{
    uint64_t v = cur_le(c, n);
    if (col->is_unsigned) {
        out->kind = VAL_U64;
        out->u.u64 = v;
        return;
    }
    unsigned shift = 64 - 8 * n;
    out->kind = VAL_I64;
    out->u.i64 = (int64_t)(v << shift) >> shift; /* arithmetic in every compiler that we build with */
}

bool row_value_decode(struct cur *c, const struct wire_column *wire, const struct column *col, struct arena *a,
                      struct val *out, struct err *err)
{
    struct bytes b;
    out->scale = 0;
    switch (wire->type) {
    case WT_TINY:
        integer(c, col, 1, out);
        break;
    case WT_SHORT:
        integer(c, col, 2, out);
        break;
    case WT_INT24:
        integer(c, col, 3, out);
        break;
    case WT_LONG:
        integer(c, col, 4, out);
        break;
    case WT_LONGLONG:
        integer(c, col, 8, out);
        break;
    case WT_YEAR: {
        uint8_t year = cur_u8(c);
        out->kind = VAL_I64;
        out->u.i64 = year == 0 ? 0 : 1900 + year;
        break;
    }
    case WT_FLOAT: {
        uint32_t bits = (uint32_t)cur_le(c, 4);
        out->kind = VAL_F32;
        memcpy(&out->u.f32, &bits, sizeof bits);
        break;
    }
    case WT_DOUBLE: {
        uint64_t bits = cur_le(c, 8);
        out->kind = VAL_F64;
        memcpy(&out->u.f64, &bits, sizeof bits);
        break;
    }
    case WT_NEWDECIMAL:
        if (col->precision > DEC64_PRECISION)
            return long_decimal(c, col, a, out, err);
        out->kind = VAL_DEC64;
        out->scale = col->scale;
        (void)row_decimal_decode64(c, col->precision, col->scale, &out->u.i64);
        break;
    case WT_DATE:
    case WT_NEWDATE:
    case WT_TIME:
    case WT_TIME2:
    case WT_TIMESTAMP:
    case WT_TIMESTAMP2:
    case WT_DATETIME:
    case WT_DATETIME2:
        (void)row_temporal_decode(c, wire->type, col->scale, out);
        break;
    case WT_BIT:
        out->kind = VAL_BIT;
        out->u.u64 = cur_be(c, wire->meta);
        if (col->length < 64 && out->u.u64 >> col->length != 0)
            cur_fail(c, "BIT value with more bits than the column");
        break;
    case WT_ENUM:
        out->kind = VAL_ENUM;
        out->u.u64 = cur_le(c, wire->meta);
        if (out->u.u64 > col->nlabels)
            cur_fail(c, "ENUM number beyond the labels");
        break;
    case WT_SET:
        out->kind = VAL_SET;
        out->u.u64 = cur_le(c, wire->meta);
        if (col->nlabels < 64 && out->u.u64 >> col->nlabels != 0)
            cur_fail(c, "SET bit beyond the labels");
        break;
    case WT_VARCHAR:
    case WT_VAR_STRING:
        b = take_prefixed(c, wire->meta > 255 ? 2 : 1);
        if (b.n > wire->meta)
            cur_fail(c, "text longer than its column");
        return c->why != NULL ? failed(c, err) : text(wire, b, a, out, err);
    case WT_STRING:
        b = take_prefixed(c, wire->meta > 255 ? 2 : 1);
        if (b.n > wire->meta)
            cur_fail(c, "text longer than its column");
        if (c->why != NULL)
            return failed(c, err);
        if (col->type == COL_BINARY && !padded(b, wire->meta, a, &b, err))
            return false;
        return text(wire, b, a, out, err);
    case WT_TINY_BLOB:
    case WT_MEDIUM_BLOB:
    case WT_LONG_BLOB:
    case WT_BLOB:
        b = take_prefixed(c, wire->meta);
        return c->why != NULL ? failed(c, err) : text(wire, b, a, out, err);
    case WT_VARCHAR_COMPRESSED:
    case WT_BLOB_COMPRESSED:
        b = take_prefixed(c, wire->type == WT_BLOB_COMPRESSED ? wire->meta : wire->meta > 255 ? 2 : 1);
        if (c->why != NULL)
            return failed(c, err);
        return uncompressed(b, a, &b, err) && text(wire, b, a, out, err);
    case WT_JSON:
        b = take_prefixed(c, wire->meta);
        if (c->why != NULL)
            break;
        if (!json(b, a, out, err))
            return false;
        break;
    case WT_GEOMETRY:
        out->kind = VAL_GEOMETRY;
        out->u.str = take_prefixed(c, wire->meta);
        break;
    case WT_VECTOR:
        out->kind = VAL_VECTOR;
        out->u.str = take_prefixed(c, wire->meta);
        if (out->u.str.n % 4 != 0)
            cur_fail(c, "VECTOR of a length that 4 does not divide");
        break;
    default:
        assert(false); /* row_value_define lets no other type pass */
        return err_set(err, ERR_UNSUPPORTED, "type %u", wire->type);
    }
    return c->why == NULL || failed(c, err);
}
