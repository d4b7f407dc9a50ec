/* json_binary.c - see json_binary.h.
 *
 * Values are reached by offsets that come from outside, so that one byte could be printed any number of times. A
 * document that a server wrote uses each byte once: every piece printed is taken off a budget of the document's
 * length, which bounds work and output. */
#include "json_binary.h"

#include "charset.h"
#include "json_walk.h"
#include "row_decode.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>

bool json_bad(struct json *j, const char *why)
{
    if (j->why == NULL)
        j->why = why;
    return false;
}

static bool spend(struct json *j, size_t n)
{
    if (n > j->budget)
        return json_bad(j, "values overlap");
    j->budget -= n;
    return true;
}

/* How much from the front is ASCII that is printed as it is. */
static size_t plain_prefix(struct bytes s)
{
    size_t i = 0;
    for (; s.n - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        if (json_not_plain(w) != 0)
            break;
    }
    while (i < s.n && s.p[i] >= 0x20 && s.p[i] < 0x80 && s.p[i] != '"' && s.p[i] != '\\')
        i++;
    return i;
}

/* Keys and most strings are short and printed as they are: two loads and two stores, which go beyond them. before and behind: what is
 * printed around them, up to four characters. */
static inline __attribute__((always_inline)) bool put_short(struct json *j, struct bytes s, const char before[4],
                                                            const char behind[4])
{
    enum { HALF = 8, SHORT = 2 * HALF, AROUND = 4 };
    struct buf *out = j->out;
    if (s.n > SHORT || j->end == NULL || j->end - s.p < SHORT ||
        (out->cap - out->n < SHORT + 2 * AROUND && !buf_grow(out, SHORT + 2 * AROUND)))
        return false;
    uint64_t low, high;
    memcpy(&low, s.p, HALF);
    memcpy(&high, s.p + HALF, HALF);
    uint64_t special = s.n == 0 ? 0 : json_not_plain(le64toh(low)) << (s.n < HALF ? 64 - 8 * s.n : 0);
    if (s.n > HALF)
        special |= json_not_plain(le64toh(high)) << (64 - 8 * (s.n - HALF));
    if (special != 0)
        return false;
    uint8_t *to = out->p + out->n;
    memcpy(to, before, AROUND);
    to += strlen(before);
    memcpy(to, &low, HALF);
    memcpy(to + HALF, &high, HALF);
    to += s.n;
    memcpy(to, behind, AROUND);
    out->n = (size_t)(to - out->p) + strlen(behind);
    return true;
}

static void put_plain(struct buf *out, struct bytes s)
{
    if (!buf_grow(out, s.n + 2))
        return;
    uint8_t *to = out->p + out->n;
    to[0] = '"';
    if (s.n != 0)
        memcpy(to + 1, s.p, s.n);
    to[s.n + 1] = '"';
    out->n += s.n + 2;
}

bool json_put_string(struct json *j, struct bytes s)
{
    static const char hex[] = "0123456789abcdef";
    if (put_short(j, s, "\"\0\0", "\"\0\0"))
        return true;
    if (plain_prefix(s) == s.n) {
        put_plain(j->out, s);
        return true;
    }
    if (charset_utf8_valid(s) != s.n)
        return json_bad(j, "a string is not UTF-8");
    buf_u8(j->out, '"');
    size_t done = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t b = s.p[i];
        if (b > 0x1f && b != '"' && b != '\\')
            continue;
        buf_bytes(j->out, (struct bytes){ s.p + done, i - done });
        done = i + 1;
        buf_u8(j->out, '\\');
        switch (b) {
        case '"':
        case '\\':
            buf_u8(j->out, b);
            break;
        case '\b':
            buf_u8(j->out, 'b');
            break;
        case '\t':
            buf_u8(j->out, 't');
            break;
        case '\n':
            buf_u8(j->out, 'n');
            break;
        case '\f':
            buf_u8(j->out, 'f');
            break;
        case '\r':
            buf_u8(j->out, 'r');
            break;
        default:
            buf_str(j->out, "u00");
            buf_u8(j->out, (uint8_t)hex[b >> 4]);
            buf_u8(j->out, (uint8_t)hex[b & 15]);
        }
    }
    buf_bytes(j->out, (struct bytes){ s.p + done, s.n - done });
    buf_u8(j->out, '"');
    return true;
}

static bool put_double(struct json *j, uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    if (!isfinite(v))
        return json_bad(j, "a number is not finite");
    size_t at = j->out->n;
    f64_text(v, j->out);
    /* The server keeps 1.0 apart from 1. */
    if (!j->out->failed && memchr(j->out->p + at, '.', j->out->n - at) == NULL &&
        memchr(j->out->p + at, 'e', j->out->n - at) == NULL)
        buf_str(j->out, ".0");
    return true;
}

static void put_base64(struct buf *out, struct bytes s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { LINE = 76 }; /* the server breaks lines, and prints the break escaped */
    size_t line = 0;
    for (size_t i = 0; i < s.n; i += 3) {
        if (line == LINE) {
            buf_str(out, "\\n");
            line = 0;
        }
        size_t n = s.n - i < 3 ? s.n - i : 3;
        uint32_t v = (uint32_t)s.p[i] << 16 | (n > 1 ? (uint32_t)s.p[i + 1] << 8 : 0) | (n > 2 ? s.p[i + 2] : 0U);
        char four[4] = { digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
                         n > 2 ? digits[v & 63] : '=' };
        buf_put(out, four, sizeof four);
        line += 4;
    }
}

/* Dates and times are printed with all six digits, whatever they had. */
static bool put_temporal(struct json *j, uint8_t type, struct bytes data)
{
    struct cur c = cur_over(data);
    int64_t packed = (int64_t)cur_le(&c, 8);
    struct val v = { .kind = VAL_DATETIME, .scale = 6, .u.i64 = packed };
    if (c.why != NULL || cur_left(&c) != 0)
        return json_bad(j, "a date or time does not have 8 bytes");
    bool ok;
    if (type == WT_TIME) {
        v.kind = VAL_TIME;
        ok = row_packed_time(packed, &v.u.i64);
    } else {
        ok = row_packed_datetime(packed);
        if (type == WT_DATE)
            v.kind = VAL_DATE;
    }
    if (!ok)
        return json_bad(j, "no date or time that can be");
    buf_u8(j->out, '"');
    val_text(&v, j->out);
    buf_u8(j->out, '"');
    return true;
}

static bool put_opaque(struct json *j, uint8_t type, struct bytes data)
{
    switch (type) {
    case WT_NEWDECIMAL: {
        struct cur c = cur_over(data);
        char text[ROW_DECIMAL_TEXT_MAX];
        uint8_t precision = cur_u8(&c);
        uint8_t scale = cur_u8(&c);
        size_t n = row_decimal_decode_text(&c, precision, scale, text);
        if (n == 0 || cur_left(&c) != 0)
            return json_bad(j, "not a decimal");
        buf_put(j->out, text, n);
        return true;
    }
    case WT_DATE:
    case WT_TIME:
    case WT_DATETIME:
    case WT_TIMESTAMP:
        return put_temporal(j, type, data);
    case WT_VAR_STRING:
        return json_put_string(j, data);
    default:
        buf_printf(j->out, "\"base64:type%u:", type);
        put_base64(j->out, data);
        buf_u8(j->out, '"');
        return true;
    }
}

/* 7 bits a byte, low ones first, at most 5 bytes. */
static size_t data_length(struct cur *c)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 5; i++) {
        uint8_t b = cur_u8(c);
        n |= (uint64_t)(b & 0x7f) << (7 * i);
        if ((b & 0x80) == 0)
            return n > UINT32_MAX ? SIZE_MAX : (size_t)n;
    }
    cur_fail(c, "a length of more than 5 bytes");
    return 0;
}

/* v begins at the value and ends where its container does. */
static bool put_scalar(struct json *j, uint8_t type, struct bytes v)
{
    if (type == JSON_STRING && v.n != 0 && v.p[0] < 0x80 && v.p[0] < v.n) /* a length of one byte */
        return json_put_string(j, (struct bytes){ v.p + 1, v.p[0] }) && spend(j, v.p[0] + 1U);
    struct cur c = cur_over(v);
    bool ok = true;
    switch (type) {
    case JSON_LITERAL: {
        static const char *const words[] = { "null", "true", "false" };
        uint8_t word = cur_u8(&c);
        if (word > 2)
            return json_bad(j, "unknown literal");
        if (c.why == NULL)
            buf_str(j->out, words[word]);
        break;
    }
    case JSON_INT16:
        i64_text((int16_t)cur_le(&c, 2), j->out);
        break;
    case JSON_UINT16:
        u64_text(cur_le(&c, 2), j->out);
        break;
    case JSON_INT32:
        i64_text((int32_t)cur_le(&c, 4), j->out);
        break;
    case JSON_UINT32:
        u64_text(cur_le(&c, 4), j->out);
        break;
    case JSON_INT64:
        i64_text((int64_t)cur_le(&c, 8), j->out);
        break;
    case JSON_UINT64:
        u64_text(cur_le(&c, 8), j->out);
        break;
    case JSON_DOUBLE:
        ok = put_double(j, cur_le(&c, 8));
        break;
    case JSON_STRING: {
        size_t n = data_length(&c);
        struct bytes s = cur_take(&c, n);
        ok = c.why == NULL && json_put_string(j, s);
        break;
    }
    case JSON_OPAQUE: {
        uint8_t field_type = cur_u8(&c);
        size_t n = data_length(&c);
        struct bytes s = cur_take(&c, n);
        ok = c.why == NULL && put_opaque(j, field_type, s);
        break;
    }
    default:
        return json_bad(j, "unknown value type");
    }
    if (c.why != NULL)
        return json_bad(j, c.why);
    return ok && spend(j, cur_at(&c));
}

bool json_is_container(const struct json_value *v)
{
    return v->type <= JSON_LARGE_ARRAY;
}

static size_t width_of(const struct json_container *o) /* of offsets and counts */
{
    return o->large ? 4 : 2;
}

static inline size_t read_at(const uint8_t *p, bool large)
{
    size_t low = (size_t)p[0] | (size_t)p[1] << 8;
    return large ? low | (size_t)p[2] << 16 | (size_t)p[3] << 24 : low;
}

/* At a place that json_open has checked to lie inside. */
static size_t read_offset(const struct json_container *o, size_t at)
{
    return read_at(o->v.p + at, o->large);
}

static size_t head_of(const struct json_container *o)
{
    return o->values_at + o->count * (1 + width_of(o));
}

bool json_open(struct json *j, const struct json_value *v, struct json_container *out)
{
    out->large = v->type == JSON_LARGE_OBJECT || v->type == JSON_LARGE_ARRAY;
    out->object = v->type == JSON_SMALL_OBJECT || v->type == JSON_LARGE_OBJECT;
    size_t width = width_of(out);
    if (v->v.n < 2 * width)
        return json_bad(j, "truncated");
    size_t count = read_at(v->v.p, out->large), own = read_at(v->v.p + width, out->large);
    if (own > v->v.n)
        return json_bad(j, "truncated");
    out->count = count;
    out->v = (struct bytes){ v->v.p, own };
    out->values_at = 2 * width + (out->object ? count * (width + 2) : 0); /* count < 2^32: no overflow in 64 bits */
    return head_of(out) <= own || json_bad(j, "more members than bytes");
}

bool json_key(struct json *j, const struct json_container *o, size_t i, struct bytes *out)
{
    size_t width = width_of(o);
    size_t at = 2 * width + i * (width + 2);
    size_t from = read_offset(o, at);
    size_t n = (size_t)o->v.p[at + width] | (size_t)o->v.p[at + width + 1] << 8;
    if (from > o->v.n || n > o->v.n - from)
        return json_bad(j, "a key lies outside of its object");
    *out = (struct bytes){ o->v.p + from, n };
    return true;
}

bool json_member(struct json *j, const struct json_container *o, size_t i, struct json_value *out)
{
    size_t width = width_of(o);
    size_t at = o->values_at + i * (1 + width);
    uint8_t type = o->v.p[at];
    out->type = type;
    out->in_place = type == JSON_LITERAL || type == JSON_INT16 || type == JSON_UINT16 ||
                    (o->large && (type == JSON_INT32 || type == JSON_UINT32));
    if (out->in_place) {
        out->v.p = o->v.p + at + 1;
        out->v.n = width;
        return true;
    }
    size_t from = read_offset(o, at + 1);
    if (from < at + 1 + width || from > o->v.n)
        return json_bad(j, "a value lies outside of its container");
    out->v.p = o->v.p + from;
    out->v.n = o->v.n - from;
    return true;
}

bool json_put_key(struct json *j, struct bytes key)
{
    if (!json_put_string(j, key))
        return false;
    buf_str(j->out, ": ");
    return true;
}

bool json_put_head(struct json *j, const struct json_container *o, unsigned depth)
{
    if (depth >= JSON_DEPTH_MAX)
        return json_bad(j, "nested more than 100 deep");
    if (!spend(j, head_of(o)))
        return false;
    buf_u8(j->out, o->object ? '{' : '[');
    return true;
}

bool json_put_members(struct json *j, const struct json_container *o, size_t from, size_t to, bool *first,
                      unsigned depth)
{
    for (size_t i = from; i < to; i++) {
        struct bytes key;
        struct json_value v;
        bool comma = !*first;
        *first = false;
        if (o->object && (!json_key(j, o, i, &key) || !spend(j, key.n)))
            return false;
        if (!o->object || !(comma ? put_short(j, key, ", \"", "\": ") : put_short(j, key, "\"\0\0", "\": "))) {
            if (comma)
                buf_str(j->out, ", ");
            if (o->object && !json_put_key(j, key))
                return false;
        }
        if (!json_member(j, o, i, &v) || !json_put(j, &v, depth))
            return false;
    }
    return true;
}

bool json_put(struct json *j, const struct json_value *v, unsigned depth)
{
    struct json_container o;
    bool first = true;
    if (!json_is_container(v)) {
        j->budget += v->in_place ? v->v.n : 0;
        return put_scalar(j, v->type, v->v);
    }
    if (!json_open(j, v, &o) || !json_put_head(j, &o, depth) || !json_put_members(j, &o, 0, o.count, &first, depth + 1))
        return false;
    buf_u8(j->out, o.object ? '}' : ']');
    return true;
}

struct json_value json_root(struct bytes document)
{
    static const uint8_t null;
    if (document.n == 0) /* what a non-strict server stores for NULL in a NOT NULL column; it reads it as null */
        return (struct json_value){ .type = JSON_LITERAL, .in_place = true, .v = { &null, 1 } };
    return (struct json_value){ .type = document.p[0], .v = { document.p + 1, document.n - 1 } };
}

bool json_binary_text_within(struct bytes in, const uint8_t *readable, struct buf *out, struct err *err)
{
    const struct json start = { .budget = in.n, .out = out, .end = readable };
    struct json j = start;
    size_t at = out->n;
    struct json_value root = json_root(in);
    if (json_put_quick(&j, &root))
        return buf_ok(out, err);
    out->n = at;
    j = start;
    if (!json_put(&j, &root, 0)) {
        out->n = at;
        return err_set(err, ERR_CORRUPT, "JSON document of %zu bytes: %s", in.n, j.why);
    }
    return buf_ok(out, err);
}

bool json_binary_text(struct bytes in, struct buf *out, struct err *err)
{
    return json_binary_text_within(in, in.n == 0 ? NULL : in.p + in.n, out, err);
}
