/* json_text.c - values as JSON. See json_text.h for which kind becomes what; RFC 8259 for the escapes.
 *
 * Not in the header: a float that is no number is a string ("NaN", "Infinity"), JSON has none; embedded JSON keeps its text but
 * for line ends between its tokens, which become blanks, so that one row stays one line. */
#include "json_text.h"

#include <inttypes.h>

/* Length of the valid UTF-8 sequence at p (Unicode 15, table 3-7: no overlong forms, no surrogates), 0 if there is none. */
static size_t utf8_len(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    size_t len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (len > n)
        return 0;
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static void put_escape(struct buf *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letter[] = { [8] = 'b', [9] = 't', [10] = 'n', [12] = 'f', [13] = 'r' };
    if (c == '"' || c == '\\') {
        buf_u8(out, '\\');
        buf_u8(out, c);
    } else if (c < sizeof letter && letter[c] != 0) {
        buf_u8(out, '\\');
        buf_u8(out, (uint8_t)letter[c]);
    } else {
        buf_str(out, "\\u00");
        buf_u8(out, (uint8_t)hex[c >> 4]);
        buf_u8(out, (uint8_t)hex[c & 15]);
    }
}

void json_string(struct buf *out, struct bytes s)
{
    size_t run = 0; /* begin of what is copied as it is */
    buf_u8(out, '"');
    for (size_t i = 0; i < s.n;) {
        uint8_t c = s.p[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t len = c < 0x80 ? 0 : utf8_len(s.p + i, s.n - i);
        if (len != 0) {
            i += len;
            continue;
        }
        buf_bytes(out, (struct bytes){ s.p + run, i - run });
        if (c < 0x80)
            put_escape(out, c);
        else
            buf_str(out, "\xef\xbf\xbd");
        run = ++i;
    }
    if (run < s.n)
        buf_bytes(out, (struct bytes){ s.p + run, s.n - run });
    buf_u8(out, '"');
}

void json_base64(struct buf *out, struct bytes s)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (s.n > SIZE_MAX / 2 || !buf_grow(out, (s.n + 2) / 3 * 4 + 2))
        return;
    buf_u8(out, '"');
    size_t i = 0;
    for (; s.n - i >= 3; i += 3) {
        uint32_t v = (uint32_t)s.p[i] << 16 | (uint32_t)s.p[i + 1] << 8 | s.p[i + 2];
        const char four[4] = { digit[v >> 18], digit[v >> 12 & 63], digit[v >> 6 & 63], digit[v & 63] };
        buf_put(out, four, 4);
    }
    if (i < s.n) {
        uint32_t v = (uint32_t)s.p[i] << 16 | (s.n - i == 2 ? (uint32_t)s.p[i + 1] << 8 : 0);
        const char four[4] = { digit[v >> 18], digit[v >> 12 & 63], s.n - i == 2 ? digit[v >> 6 & 63] : '=', '=' };
        buf_put(out, four, 4);
    }
    buf_u8(out, '"');
}

/* Between tokens a line end is white space; inside a JSON string it cannot stand. */
static void put_json(struct buf *out, struct bytes s)
{
    if (s.n == 0) {
        buf_str(out, "null"); /* not JSON, but a hole would break the whole line */
        return;
    }
    size_t run = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\n' && s.p[i] != '\r')
            continue;
        buf_bytes(out, (struct bytes){ s.p + run, i - run });
        buf_u8(out, ' ');
        run = i + 1;
    }
    if (run < s.n)
        buf_bytes(out, (struct bytes){ s.p + run, s.n - run });
}

static void put_quoted(struct buf *out, const struct val *v)
{
    buf_u8(out, '"');
    val_text(v, out);
    buf_u8(out, '"');
}

static void put_set(struct buf *out, const struct column *c, uint64_t bits)
{
    bool first = true;
    buf_u8(out, '[');
    for (uint32_t i = 0; i < c->nlabels && i < 64; i++) {
        if ((bits >> i & 1) == 0)
            continue;
        if (!first)
            buf_u8(out, ',');
        json_string(out, c->labels[i]);
        first = false;
    }
    buf_u8(out, ']');
}

static void put_instant(struct buf *out, const struct val *v)
{
    size_t at = out->n + 1;
    buf_u8(out, '"');
    val_text(v, out); /* "2024-02-29 10:11:12.345" */
    if (out->failed)
        return;
    uint8_t *blank = memchr(out->p + at, ' ', out->n - at);
    if (blank != NULL)
        *blank = 'T';
    buf_str(out, "Z\"");
}

void json_value(struct buf *out, const struct column *c, const struct val *v)
{
    uint32_t nlabels = c == NULL ? 0 : c->nlabels;
    switch ((enum val_kind)v->kind) {
    case VAL_NULL:
    case VAL_ABSENT: /* callers leave these two out */
    case VAL_SAME:
        buf_str(out, "null");
        return;
    case VAL_I64:
    case VAL_U64:
    case VAL_BIT:
        val_text(v, out);
        return;
    case VAL_F32:
        if (v->u.f32 - v->u.f32 == 0)
            val_text(v, out);
        else
            put_quoted(out, v);
        return;
    case VAL_F64:
        if (v->u.f64 - v->u.f64 == 0)
            val_text(v, out);
        else
            put_quoted(out, v);
        return;
    case VAL_DEC64:
    case VAL_DATE:
    case VAL_TIME:
    case VAL_DATETIME:
        put_quoted(out, v);
        return;
    case VAL_INSTANT:
        put_instant(out, v);
        return;
    case VAL_DECIMAL:
    case VAL_TEXT:
        json_string(out, v->u.str);
        return;
    case VAL_BYTES:
    case VAL_GEOMETRY:
    case VAL_VECTOR:
        json_base64(out, v->u.str);
        return;
    case VAL_ENUM:
        if (v->u.u64 == 0)
            buf_str(out, "\"\"");
        else if (v->u.u64 <= nlabels)
            json_string(out, c->labels[v->u.u64 - 1]);
        else
            val_text(v, out); /* no label known: the number, as a number */
        return;
    case VAL_SET:
        if (c != NULL && (nlabels >= 64 || v->u.u64 >> nlabels == 0))
            put_set(out, c, v->u.u64);
        else
            val_text(v, out);
        return;
    case VAL_JSON:
        put_json(out, v->u.str);
        return;
    }
    buf_str(out, "null");
}

void json_row(struct buf *out, const struct relation *r, const struct val *row)
{
    bool first = true;
    buf_u8(out, '{');
    for (unsigned i = 0; i < r->ncols; i++) {
        if (row[i].kind == VAL_ABSENT)
            continue;
        if (!first)
            buf_u8(out, ',');
        json_string(out, r->cols[i].name);
        buf_u8(out, ':');
        json_value(out, &r->cols[i], &row[i]);
        first = false;
    }
    buf_u8(out, '}');
}
