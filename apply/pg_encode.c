/* pg_encode.c - see pg_encode.h.
 *
 * Epoch of dates and timestamps: 2000-01-01 (src/include/datatype/timestamp.h). Numeric: base-10000 digits, weight of
 * the first, sign, display scale (numeric_recv). */
#include "pg_encode.h"

#include "gtid.h"
#include "json_text.h"

#include <inttypes.h>

enum { EPOCH_DAYS = 10957, DECIMAL_MAX = 65, NBASE_MAX = (DECIMAL_MAX * 2 + 8) / 4 };
static const int64_t epoch_us = INT64_C(946684800000000), day_us = INT64_C(86400000000);
static const uint64_t pow10_u64[] = { 1,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000 };

uint32_t pg_array_oid(uint32_t type)
{
    static const struct {
        uint32_t type, array;
    } oids[] = {
        { PG_BOOL, 1000 },   { PG_BYTEA, 1001 },     { PG_INT8, 1016 },        { PG_INT2, 1005 },
        { PG_INT4, 1007 },   { PG_TEXT, 1009 },      { PG_JSON, 199 },         { PG_FLOAT4, 1021 },
        { PG_FLOAT8, 1022 }, { PG_BPCHAR, 1014 },    { PG_VARCHAR, 1015 },     { PG_DATE, 1182 },
        { PG_TIME, 1183 },   { PG_TIMESTAMP, 1115 }, { PG_TIMESTAMPTZ, 1185 }, { PG_INTERVAL, 1187 },
        { PG_BIT, 1561 },    { PG_VARBIT, 1563 },    { PG_NUMERIC, 1231 },     { PG_UUID, 2951 },
        { PG_JSONB, 3807 },
    };
    for (size_t i = 0; i < sizeof oids / sizeof *oids; i++)
        if (oids[i].type == type)
            return oids[i].array;
    return 0;
}

static enum pg_form bad(struct err *err, const struct val *v, const struct pg_column *dst, const char *why)
{
    (void)v; /* its content stays out of messages: rows may be confidential, and the key names the row already */
    err_set(err, ERR_DATA, "%s (the destination's type is %s)", why, dst->text);
    return PG_BAD;
}

/* --- text --- */

static struct bytes label(const struct shape_col *src, uint64_t number)
{
    return number >= 1 && number <= src->type.nlabels ? src->type.labels[number - 1] : (struct bytes){ NULL, 0 };
}

static void put_array_item(struct buf *out, struct bytes s)
{
    buf_u8(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_u8(out, '\\');
        buf_u8(out, s.p[i]);
    }
    buf_u8(out, '"');
}

/* Labels with commas between, or as an array literal. */
static void put_set(struct buf *out, const struct shape_col *src, uint64_t bits, bool array)
{
    bool first = true;
    if (array)
        buf_u8(out, '{');
    for (unsigned i = 0; i < 64; i++) {
        if ((bits >> i & 1) == 0)
            continue;
        if (!first)
            buf_u8(out, ',');
        first = false;
        if (array)
            put_array_item(out, label(src, i + 1));
        else
            buf_bytes(out, label(src, i + 1));
    }
    if (array)
        buf_u8(out, '}');
}

/* {1.5,2} for real[], [1.5,2] for pgvector. */
static void put_vector(struct buf *out, struct bytes v, bool array)
{
    struct cur c = cur_over(v);
    buf_u8(out, array ? '{' : '[');
    for (size_t i = 0; cur_left(&c) >= 4; i++) {
        uint32_t raw = (uint32_t)cur_le(&c, 4);
        float f;
        memcpy(&f, &raw, sizeof f);
        if (i != 0)
            buf_u8(out, ',');
        f32_text(f, out);
    }
    buf_u8(out, array ? '}' : ']');
}

/* SRID and WKB to EWKB, PostGIS's own form: WKB itself when there is no SRID, else with the flag 0x20000000 in the
 * type and the SRID behind it (PostGIS doc/ZMSgeoms.txt). Both byte orders occur. False: not WKB. */
static bool put_ewkb(struct buf *out, struct bytes g)
{
    if (g.n < 4 + 5 || g.p[4] > 1)
        return false;
    struct bytes srid = { g.p, 4 }, wkb = { g.p + 4, g.n - 4 };
    struct cur c = cur_over(srid);
    uint32_t id = (uint32_t)cur_le(&c, 4);
    if (id == 0) {
        buf_bytes(out, wkb);
        return true;
    }
    c = cur_over((struct bytes){ wkb.p + 1, 4 });
    bool little = wkb.p[0] == 1;
    uint32_t type = (uint32_t)(little ? cur_le(&c, 4) : cur_be(&c, 4)) | UINT32_C(0x20000000);
    buf_u8(out, wkb.p[0]);
    if (little) {
        buf_le(out, type, 4);
        buf_le(out, id, 4);
    } else {
        buf_be(out, type, 4);
        buf_be(out, id, 4);
    }
    buf_bytes(out, (struct bytes){ wkb.p + 5, wkb.n - 5 });
    return true;
}

static void put_hex(struct buf *out, size_t from)
{
    static const char digit[] = "0123456789ABCDEF";
    size_t n = out->n - from;
    if (!buf_grow(out, n))
        return;
    for (size_t i = n; i-- > 0;) {
        uint8_t b = out->p[from + i];
        out->p[from + 2 * i] = (uint8_t)digit[b >> 4];
        out->p[from + 2 * i + 1] = (uint8_t)digit[b & 15];
    }
    out->n += n;
}

static unsigned bit_width(const struct shape_col *src, uint64_t v)
{
    if (src->type.type == COL_BIT && src->type.length >= 1 && src->type.length <= 64)
        return (unsigned)src->type.length;
    unsigned n = 1;
    while (n < 64 && v >> n != 0)
        n++;
    return n;
}

static void put_text(struct buf *out, const struct pg_column *dst, const struct shape_col *src, const struct val *v)
{
    size_t at = out->n;
    switch ((enum val_kind)v->kind) {
    case VAL_ENUM:
        buf_bytes(out, label(src, v->u.u64));
        return;
    case VAL_SET:
        put_set(out, src, v->u.u64, dst->is_array);
        return;
    case VAL_BIT:
        for (unsigned i = bit_width(src, v->u.u64); i-- > 0;)
            buf_u8(out, v->u.u64 >> i & 1 ? '1' : '0');
        return;
    case VAL_VECTOR:
        put_vector(out, v->u.str, dst->is_array);
        return;
    case VAL_GEOMETRY:
        if (put_ewkb(out, v->u.str))
            put_hex(out, at);
        return;
    case VAL_BYTES:
        if (dst->type == PG_UUID && v->u.str.n == 16) {
            char text[37];
            uuid_text(v->u.str.p, text);
            buf_str(out, text);
            return;
        }
        buf_bytes(out, v->u.str);
        return;
    case VAL_ABSENT:
    case VAL_NULL:
    case VAL_SAME:
        return;
    case VAL_I64:
    case VAL_U64:
    case VAL_F32:
    case VAL_F64:
    case VAL_DEC64:
    case VAL_DECIMAL:
    case VAL_TEXT:
    case VAL_JSON:
    case VAL_DATE:
    case VAL_TIME:
    case VAL_DATETIME:
    case VAL_INSTANT:
        break;
    }
    val_text(v, out);
}

/* NUL bytes from `from` on, which no PostgreSQL text holds. */
static enum pg_form no_nul(const struct pg_policy *p, struct buf *out, size_t from, const struct pg_column *dst,
                           uint64_t *coerced, struct err *err)
{
    if (out->failed || out->n == from || memchr(out->p + from, 0, out->n - from) == NULL)
        return PG_DONE;
    if (p->nul == NUL_ERROR) {
        out->n = from;
        return bad(err, NULL, dst,
                   "the text holds a NUL byte, which PostgreSQL cannot store: choose --nul strip or --nul replace");
    }
    struct buf clean = { 0 };
    for (size_t i = from; i < out->n; i++) {
        if (out->p[i] != 0)
            buf_u8(&clean, out->p[i]);
        else if (p->nul == NUL_REPLACE)
            buf_str(&clean, "\xe2\x90\x80");
    }
    out->n = from;
    buf_bytes(out, buf_view(&clean));
    out->failed |= clean.failed;
    buf_free(&clean);
    (*coerced)++;
    return PG_DONE;
}

/* The escape \u0000, which jsonb refuses; looks at escapes only, so "\\u0000" stays. */
static bool has_nul_escape(struct bytes s, size_t from, size_t *at)
{
    for (size_t i = from; i + 1 < s.n; i++) {
        if (s.p[i] != '\\')
            continue;
        if (s.n - i >= 6 && memcmp(s.p + i, "\\u0000", 6) == 0) {
            *at = i;
            return true;
        }
        i++;
    }
    return false;
}

static enum pg_form put_json(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                             const struct val *v, struct buf *out, uint64_t *coerced, struct err *err)
{
    size_t from = out->n;
    bool b = dst->type == PG_JSONB;
    if (b)
        buf_u8(out, 1); /* jsonb_recv: version 1, then text */
    size_t text = out->n;
    if (v->kind == VAL_JSON || v->kind == VAL_TEXT)
        buf_bytes(out, v->u.str);
    else
        json_value(out, &src->type, v);
    if (out->failed)
        return PG_DONE;
    size_t at = 0;
    struct bytes all = { out->p + text, out->n - text };
    if (!b || !has_nul_escape(all, 0, &at))
        return no_nul(p, out, text, dst, coerced, err);
    if (p->nul == NUL_ERROR) {
        out->n = from;
        return bad(
            err, v, dst,
            "the JSON holds \\u0000, which jsonb cannot store: choose --nul strip or --nul replace, or a json column");
    }
    struct buf clean = { 0 };
    size_t run = 0;
    do {
        buf_bytes(&clean, (struct bytes){ all.p + run, at - run });
        if (p->nul == NUL_REPLACE)
            buf_str(&clean, "\\u2400");
        run = at + 6;
    } while (has_nul_escape(all, run, &at));
    buf_bytes(&clean, (struct bytes){ all.p + run, all.n - run });
    out->n = text;
    buf_bytes(out, buf_view(&clean));
    out->failed |= clean.failed;
    buf_free(&clean);
    (*coerced)++;
    return no_nul(p, out, text, dst, coerced, err);
}

static size_t characters(struct bytes s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xc0) != 0x80;
    return n;
}

/* PostgreSQL cuts blanks beyond varchar(n) without a word, so the length is checked here. */
static enum pg_form put_string(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                               const struct val *v, struct buf *out, uint64_t *coerced, struct err *err)
{
    size_t from = out->n;
    put_text(out, dst, src, v);
    enum pg_form f = no_nul(p, out, from, dst, coerced, err);
    if (f != PG_DONE || out->failed || dst->type == PG_TEXT || dst->typmod < 4)
        return f;
    size_t max = (size_t)dst->typmod - 4;
    struct bytes s = { out->p + from, out->n - from };
    if (s.n <= max)
        return f;
    size_t n = characters(s);
    if (n <= max)
        return f;
    out->n = from;
    err_set(err, ERR_DATA, "a text of %zu characters does not fit (the destination's type is %s)", n, dst->text);
    return PG_BAD;
}

/* --- numbers --- */

static enum pg_form put_int(const struct pg_column *dst, unsigned width, bool neg, uint64_t magnitude, struct buf *out,
                            struct err *err)
{
    uint64_t max = (UINT64_C(1) << (8 * width - 1)) - (neg ? 0 : 1);
    if (magnitude > max) {
        err_set(err, ERR_DATA, "%s%" PRIu64 " is out of range (the destination's type is %s)", neg ? "-" : "",
                magnitude, dst->text);
        return PG_BAD;
    }
    buf_be(out, neg ? 0 - magnitude : magnitude, width);
    return PG_DONE;
}

/* An integer value as sign and magnitude. False: it is none. */
static bool integral(const struct val *v, bool *neg, uint64_t *magnitude)
{
    int64_t i;
    switch ((enum val_kind)v->kind) {
    case VAL_U64:
    case VAL_BIT:
        *neg = false;
        *magnitude = v->u.u64;
        return true;
    case VAL_I64:
        i = v->u.i64;
        break;
    case VAL_DEC64:
        if (v->scale > 16 || v->u.i64 % (int64_t)pow10_u64[v->scale] != 0)
            return false;
        i = v->u.i64 / (int64_t)pow10_u64[v->scale];
        break;
    default:
        return false;
    }
    *neg = i < 0;
    *magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    return true;
}

/* Digits in base 10000, most significant first, the first of them at weight. */
static void put_numeric(struct buf *out, bool neg, const uint16_t *d, unsigned n, int weight, unsigned dscale)
{
    while (n != 0 && d[0] == 0) {
        d++;
        n--;
        weight--;
    }
    while (n != 0 && d[n - 1] == 0)
        n--;
    if (n == 0) {
        neg = false;
        weight = 0;
    }
    buf_be(out, n, 2);
    buf_be(out, (uint64_t)(int64_t)weight, 2);
    buf_be(out, neg ? 0x4000 : 0, 2);
    buf_be(out, dscale, 2);
    for (unsigned i = 0; i < n; i++)
        buf_be(out, d[i], 2);
}

static void numeric_u64(struct buf *out, bool neg, uint64_t v, unsigned scale)
{
    uint16_t d[12];
    unsigned n = 0, pad = (4 - scale % 4) % 4;
    uint64_t whole = v / pow10_u64[scale], frac = v % pow10_u64[scale] * pow10_u64[pad];
    unsigned nfrac = (scale + pad) / 4;
    uint16_t w[5];
    unsigned nw = 0;
    for (; whole != 0; whole /= 10000)
        w[nw++] = (uint16_t)(whole % 10000);
    for (unsigned i = nw; i-- > 0;)
        d[n++] = w[i];
    for (unsigned i = nfrac; i-- > 0; frac /= 10000)
        d[n + i] = (uint16_t)(frac % 10000);
    put_numeric(out, neg, d, n + nfrac, (int)nw - 1, scale);
}

static void numeric_digits(struct buf *out, bool neg, struct bytes whole, struct bytes frac)
{
    uint16_t d[NBASE_MAX] = { 0 };
    unsigned n = 0;
    size_t lead = whole.n % 4;
    for (size_t i = 0; i < whole.n; i++) {
        d[n] = (uint16_t)(d[n] * 10 + (whole.p[i] - '0'));
        if ((i + 1 - lead) % 4 == 0 && i + 1 >= lead)
            n++;
    }
    int weight = (int)n - 1;
    for (size_t i = 0; i < frac.n; i++) {
        d[n] = (uint16_t)(d[n] * 10 + (frac.p[i] - '0'));
        if (i % 4 == 3)
            n++;
    }
    if (frac.n % 4 != 0) {
        for (size_t i = frac.n % 4; i < 4; i++)
            d[n] = (uint16_t)(d[n] * 10);
        n++;
    }
    put_numeric(out, neg, d, n, weight, (unsigned)frac.n);
}

/* Digits behind the point that are not trailing zeros. */
static unsigned significant(struct bytes frac)
{
    size_t n = frac.n;
    while (n != 0 && frac.p[n - 1] == '0')
        n--;
    return (unsigned)n;
}

static enum pg_form put_decimal(const struct pg_column *dst, const struct val *v, struct buf *out, struct err *err)
{
    /* numeric(p,s): PostgreSQL would round what does not fit s; scale is 11 bits, signed since 15 (numeric.c,
     * numeric_typmod_scale) */
    int32_t scale = dst->typmod < 4 ? 0x3ff : ((((dst->typmod - 4) & 0x7ff) ^ 1024) - 1024);
    bool neg;
    uint64_t magnitude;
    if (v->kind == VAL_I64 || v->kind == VAL_U64 || v->kind == VAL_BIT) {
        integral(v, &neg, &magnitude);
        if (scale >= 0) {
            numeric_u64(out, neg, magnitude, 0);
            return PG_DONE;
        }
    }
    if (v->kind == VAL_DEC64 && v->scale <= 16 && v->scale <= scale) {
        numeric_u64(out, v->u.i64 < 0, v->u.i64 < 0 ? 0 - (uint64_t)v->u.i64 : (uint64_t)v->u.i64, v->scale);
        return PG_DONE;
    }
    if (v->kind != VAL_DEC64 && v->kind != VAL_DECIMAL && v->kind != VAL_TEXT)
        return PG_CAST;
    struct buf text = { 0 };
    struct bytes whole, frac;
    enum pg_form f = PG_CAST; /* a text that is no plain decimal: 1e5, or nonsense, the server will tell */
    val_text(v, &text);
    if (!text.failed && decimal_parse(buf_view(&text), &neg, &whole, &frac) && whole.n + frac.n <= DECIMAL_MAX + 1) {
        if ((int32_t)significant(frac) > scale) {
            err_set(err, ERR_DATA, "%u digits behind the point would be rounded (the destination's type is %s)",
                    significant(frac), dst->text);
            f = PG_BAD;
        } else {
            numeric_digits(out, neg, whole, frac);
            f = PG_DONE;
        }
    }
    out->failed |= text.failed;
    buf_free(&text);
    return f;
}

static enum pg_form put_float(const struct pg_column *dst, const struct val *v, struct buf *out)
{
    bool neg;
    uint64_t m, raw = 0;
    uint32_t raw4 = 0;
    double d = 0;
    if (v->kind == VAL_F64)
        d = v->u.f64;
    else if (v->kind == VAL_F32)
        d = (double)v->u.f32;
    else if ((v->kind == VAL_I64 || v->kind == VAL_U64) && integral(v, &neg, &m) && m <= (UINT64_C(1) << 24))
        d = neg ? -(double)m : (double)m;
    else
        return PG_CAST; /* may need rounding: the server's input function does it right */
    if (dst->type == PG_FLOAT8) {
        memcpy(&raw, &d, sizeof raw);
        buf_be(out, raw, 8);
        return PG_DONE;
    }
    if (v->kind == VAL_F64)
        return PG_CAST;
    float f = v->kind == VAL_F32 ? v->u.f32 : (float)d;
    memcpy(&raw4, &f, sizeof raw4);
    buf_be(out, raw4, 4);
    return PG_DONE;
}

static enum pg_form put_bool(const struct pg_column *dst, const struct val *v, struct buf *out, struct err *err)
{
    bool neg;
    uint64_t m;
    if (!integral(v, &neg, &m))
        return PG_CAST;
    if (neg || m > 1) {
        err_set(err, ERR_DATA, "%s%" PRIu64 " is neither 0 nor 1 (the destination's type is %s)", neg ? "-" : "", m,
                dst->text);
        return PG_BAD;
    }
    buf_u8(out, (uint8_t)m);
    return PG_DONE;
}

static enum pg_form put_bits(const struct pg_column *dst, const struct shape_col *src, const struct val *v,
                             struct buf *out, struct err *err)
{
    bool neg;
    uint64_t m;
    if (v->kind == VAL_DEC64 || !integral(v, &neg, &m) || neg)
        return PG_CAST;
    unsigned n = v->kind == VAL_BIT ? bit_width(src, m) : 64;
    if (dst->type == PG_BIT)
        n = dst->typmod < 1 ? 1 : (unsigned)dst->typmod; /* the same number, with zeros in front */
    if (n < 64 && m >> n != 0)
        return bad(err, v, dst, "the bit value has too many digits");
    buf_be(out, n, 4);
    for (unsigned at = 0; at < n; at += 8) { /* left-aligned: the first bit is the highest of the first byte */
        uint8_t byte = 0;
        for (unsigned i = 0; i < 8 && at + i < n; i++) {
            unsigned digit = n - 1 - at - i;
            if (digit < 64 && (m >> digit & 1) != 0)
                byte |= (uint8_t)(0x80 >> i);
        }
        buf_u8(out, byte);
    }
    return PG_DONE;
}

/* --- dates and times --- */

static const int64_t fraction_unit[] = { 1000000, 100000, 10000, 1000, 100, 10, 1 };

static enum pg_form fraction_fits(const struct pg_column *dst, int64_t us, int32_t digits, struct err *err)
{
    if (digits < 0 || digits > 6 || us % fraction_unit[digits] == 0)
        return PG_DONE;
    err_set(err, ERR_DATA, "its fraction of a second would be rounded (the destination's type is %s)", dst->text);
    return PG_BAD;
}

static enum pg_form zero_date(const struct pg_policy *p, const struct pg_column *dst, uint64_t *coerced,
                              struct err *err)
{
    if (p->zero_date == ZERO_DATE_ERROR)
        return bad(err, NULL, dst,
                   "a zero or partial date, which PostgreSQL does not have (--zero-date null stores NULL)");
    if (dst->not_null)
        return bad(err, NULL, dst,
                   "a zero or partial date cannot become NULL, because the column is NOT NULL: ALTER COLUMN ... DROP "
                   "NOT NULL");
    (*coerced)++;
    return PG_NULL;
}

/* Microseconds since 1970 of a civil date that is real. */
static int64_t civil_us(struct civil c)
{
    return civil_to_days(c.year, c.mon, c.day) * day_us + (((int64_t)c.hour * 60 + c.min) * 60 + c.sec) * 1000000 +
           c.usec;
}

static enum pg_form put_moment(const struct pg_policy *p, const struct pg_column *dst, const struct val *v,
                               struct buf *out, uint64_t *coerced, struct err *err)
{
    int64_t us;
    if (v->kind == VAL_DATE || v->kind == VAL_DATETIME) {
        struct civil c = civil_unpack(v->u.i64);
        if (!civil_is_real(c))
            return zero_date(p, dst, coerced, err);
        us = civil_us(c);
    } else if (v->kind == VAL_INSTANT) {
        us = v->u.i64;
        if (us == 0) /* value.h: MySQL's zero timestamp; its range begins a second later */
            return zero_date(p, dst, coerced, err);
    } else {
        return PG_CAST;
    }
    if (dst->type == PG_DATE) {
        int64_t days = us / day_us - (us % day_us < 0 ? 1 : 0);
        if (us != days * day_us)
            return bad(err, v, dst, "its time of day would be lost");
        buf_be(out, (uint64_t)(days - EPOCH_DAYS), 4);
        return PG_DONE;
    }
    if (fraction_fits(dst, us, dst->typmod, err) != PG_DONE)
        return PG_BAD;
    buf_be(out, (uint64_t)(us - epoch_us), 8);
    return PG_DONE;
}

static enum pg_form put_time(const struct pg_column *dst, const struct val *v, struct buf *out, struct err *err)
{
    if (v->kind != VAL_TIME)
        return PG_CAST;
    int32_t digits = dst->typmod < 0 ? -1 : dst->typmod & 0xffff; /* interval keeps its fields in the upper half */
    if (fraction_fits(dst, v->u.i64, digits, err) != PG_DONE)
        return PG_BAD;
    if (dst->type == PG_INTERVAL) {
        buf_be(out, (uint64_t)v->u.i64, 8);
        buf_be(out, 0, 8); /* days, months */
        return PG_DONE;
    }
    if (v->u.i64 < 0 || v->u.i64 > day_us)
        return bad(err, v, dst, "the time lies outside 00:00:00 .. 24:00:00, use an interval column");
    buf_be(out, (uint64_t)v->u.i64, 8);
    return PG_DONE;
}

/* --- the rest --- */

static enum pg_form put_bytea(const struct pg_column *dst, const struct shape_col *src, const struct val *v,
                              struct buf *out, struct err *err)
{
    switch ((enum val_kind)v->kind) {
    case VAL_BYTES:
    case VAL_TEXT:
    case VAL_JSON:
    case VAL_VECTOR:
        buf_bytes(out, v->u.str);
        return PG_DONE;
    case VAL_GEOMETRY:
        if (!put_ewkb(out, v->u.str))
            return bad(err, v, dst, "the geometry is damaged");
        return PG_DONE;
    case VAL_ENUM:
    case VAL_SET:
        put_text(out, dst, src, v);
        return PG_DONE;
    default:
        err_set(err, ERR_DATA, "a value of kind %s is no byte string (the destination's type is %s)",
                val_kind_name(v->kind), dst->text);
        return PG_BAD;
    }
}

static enum pg_form put_uuid(const struct val *v, struct buf *out)
{
    uint8_t id[16];
    if (v->kind == VAL_BYTES && v->u.str.n == 16) {
        buf_bytes(out, v->u.str);
        return PG_DONE;
    }
    if (v->kind != VAL_TEXT || !uuid_parse(v->u.str, id))
        return PG_CAST;
    buf_put(out, id, sizeof id);
    return PG_DONE;
}

static enum pg_form put_as_text(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                                const struct val *v, struct buf *out, uint64_t *coerced, struct err *err)
{
    size_t from = out->n;
    if (v->kind == VAL_GEOMETRY && v->u.str.n < 9)
        return bad(err, v, dst, "the geometry is damaged");
    bool moment = dst->type == PG_DATE || dst->type == PG_TIMESTAMP || dst->type == PG_TIMESTAMPTZ;
    if (moment && ((v->kind == VAL_INSTANT && v->u.i64 == 0) ||
                   ((v->kind == VAL_DATE || v->kind == VAL_DATETIME) && !civil_is_real(civil_unpack(v->u.i64)))))
        return zero_date(p, dst, coerced, err);
    put_text(out, dst, src, v);
    if (v->kind == VAL_INSTANT && dst->type == PG_TIMESTAMPTZ)
        buf_str(out, "+00");
    return no_nul(p, out, from, dst, coerced, err);
}

enum pg_form pg_encode(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                       const struct val *v, bool as_text, struct buf *out, uint64_t *coerced, struct err *err)
{
    bool neg;
    uint64_t m;
    if (v->kind == VAL_NULL || v->kind == VAL_ABSENT)
        return PG_NULL;
    if (as_text)
        return put_as_text(p, dst, src, v, out, coerced, err);
    switch (dst->type) {
    case PG_BOOL:
        return put_bool(dst, v, out, err);
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
        if (!integral(v, &neg, &m))
            return PG_CAST;
        return put_int(dst, dst->type == PG_INT2 ? 2 : dst->type == PG_INT4 ? 4 : 8, neg, m, out, err);
    case PG_NUMERIC:
        return put_decimal(dst, v, out, err);
    case PG_FLOAT4:
    case PG_FLOAT8:
        return put_float(dst, v, out);
    case PG_TEXT:
    case PG_VARCHAR:
    case PG_BPCHAR:
        return put_string(p, dst, src, v, out, coerced, err);
    case PG_JSON:
    case PG_JSONB:
        return put_json(p, dst, src, v, out, coerced, err);
    case PG_BYTEA:
        return put_bytea(dst, src, v, out, err);
    case PG_DATE:
    case PG_TIMESTAMP:
    case PG_TIMESTAMPTZ:
        return put_moment(p, dst, v, out, coerced, err);
    case PG_TIME:
    case PG_INTERVAL:
        return put_time(dst, v, out, err);
    case PG_BIT:
    case PG_VARBIT:
        return put_bits(dst, src, v, out, err);
    case PG_UUID:
        return put_uuid(v, out);
    default:
        return PG_CAST;
    }
}

static bool put_sized(struct buf *out, uint64_t v, unsigned width)
{
    buf_be(out, width, 4);
    buf_be(out, v, width);
    return true;
}

/* The values that most columns consist of, without a look at what hardly ever is. False: nothing was done. */
static inline bool put_common(const struct pg_column *dst, const struct val *v, struct buf *out)
{
    uint64_t raw;
    switch (dst->type) {
    case PG_INT4:
        return v->kind == VAL_I64 && v->u.i64 == (int32_t)v->u.i64 && put_sized(out, v->u.u64, 4);
    case PG_INT8:
        return v->kind == VAL_I64 && put_sized(out, v->u.u64, 8);
    case PG_FLOAT8:
        memcpy(&raw, &v->u.f64, sizeof raw);
        return v->kind == VAL_F64 && put_sized(out, raw, 8);
    case PG_TEXT:
    case PG_VARCHAR: /* as many characters as bytes at most */
        if (v->kind != VAL_TEXT || v->u.str.n == 0 || v->u.str.n > INT32_MAX ||
            (dst->type == PG_VARCHAR && dst->typmod >= 4 && v->u.str.n > (size_t)dst->typmod - 4) ||
            memchr(v->u.str.p, 0, v->u.str.n) != NULL)
            return false;
        buf_be(out, v->u.str.n, 4);
        buf_bytes(out, v->u.str);
        return true;
    default:
        return false;
    }
}

enum pg_form pg_encode_field(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                             const struct val *v, bool as_text, struct buf *out, uint64_t *coerced, struct err *err)
{
    size_t at = out->n;
    if (!as_text && put_common(dst, v, out))
        return PG_DONE;
    buf_be(out, UINT32_MAX, 4);
    enum pg_form f = pg_encode(p, dst, src, v, as_text, out, coerced, err);
    if (f == PG_DONE)
        buf_patch_be32(out, at, (uint32_t)(out->n - at - 4));
    return f;
}

/* array_recv: dimensions, has-NULL flag, element type; per dimension size and lower bound; then length and bytes of
 * each. */
static enum pg_form put_array(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                              const struct val *values, size_t n, bool as_text, struct buf *out, uint64_t *coerced,
                              size_t *at_fault, struct err *err)
{
    size_t head = out->n;
    bool nulls = false;
    buf_be(out, 1, 4);
    buf_be(out, 0, 4);
    buf_be(out, as_text ? PG_TEXT : dst->type, 4);
    buf_be(out, n, 4);
    buf_be(out, 1, 4);
    for (size_t i = 0; i < n; i++) {
        enum pg_form f = pg_encode_field(p, dst, src, &values[i], as_text, out, coerced, err);
        if (f == PG_CAST || f == PG_BAD) {
            *at_fault = i;
            return f;
        }
        nulls |= f == PG_NULL;
    }
    if (nulls)
        buf_patch_be32(out, head + 4, 1);
    return PG_DONE;
}

bool pg_encode_array(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                     const struct val *values, size_t n, struct buf *out, bool *as_text, uint64_t *coerced,
                     size_t *bad_row, struct err *err)
{
    size_t from = out->n;
    bool text = dst->is_array || dst->is_enum || pg_array_oid(dst->type) == 0;
    uint64_t count = 0;
    enum pg_form f = put_array(p, dst, src, values, n, text, out, &count, bad_row, err);
    if (f == PG_CAST) {
        text = true;
        count = 0;
        out->n = from;
        f = put_array(p, dst, src, values, n, text, out, &count, bad_row, err);
    }
    if (f != PG_DONE)
        return false;
    *as_text = text;
    *coerced += count;
    return buf_ok(out, err);
}
