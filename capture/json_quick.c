/* json_quick.c - small objects and arrays of a binary JSON document, which nearly all are, in one pass over their entries: keys and short strings
 * by two loads and two stores, numbers without a function in between. What is rare is left to json_binary.c's functions, and a document
 * in which anything is wrong is given up: json_binary.c does it again, and says what. Prints and allows the same. */
#include "json_walk.h"

#include "digits.h"
#include "row_decode.h"

#include <endian.h>

enum {
    HALF = 8,
    SHORT = 2 * HALF, /* bytes of a string that is printed here */
    HEAD = 4,
    KEY_ENTRY = 4,
    VALUE_ENTRY = 3,
    ROOM = 160 /* of output: a separator, a short key, a decimal's digits, and what whole stores go beyond them */
};

static inline size_t le16_at(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8;
}

/* Where to print, with room for more; NULL: no memory. */
static inline uint8_t *place(struct buf *out)
{
    return out->cap - out->n >= ROOM || buf_grow(out, ROOM) ? out->p + out->n : NULL;
}

/* The same behind what was printed up to there. */
static inline uint8_t *room(struct buf *out, const uint8_t *to)
{
    out->n = (size_t)(to - out->p);
    return place(out);
}

static inline __attribute__((always_inline)) uint8_t *put_text(struct json *j, uint8_t *to, const uint8_t *s, size_t n)
{
    if (n <= SHORT && j->end - s >= SHORT) {
        uint64_t low, high, special = 0;
        memcpy(&low, s, HALF);
        memcpy(&high, s + HALF, HALF);
        if (n != 0)
            special = json_not_plain(le64toh(low)) << (n < HALF ? 64 - 8 * n : 0);
        if (n > HALF)
            special |= json_not_plain(le64toh(high)) << (64 - 8 * (n - HALF));
        if (special == 0) {
            to[0] = '"';
            memcpy(to + 1, &low, HALF);
            memcpy(to + 1 + HALF, &high, HALF);
            to[n + 1] = '"';
            return to + n + 2;
        }
    }
    j->out->n = (size_t)(to - j->out->p);
    return json_put_string(j, (struct bytes){ s, n }) ? place(j->out) : NULL;
}

static inline uint8_t *put_int(uint8_t *to, int64_t v)
{
    uint64_t abs = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    *to = '-';
    to += v < 0;
    return digits_put(to, abs, digits_of(abs));
}

static inline bool pay(struct json *j, size_t n)
{
    if (n > j->budget)
        return false;
    j->budget -= n;
    return true;
}

static bool container(struct json *j, uint8_t type, const uint8_t *p, size_t n, unsigned depth);

/* A value that lies behind the entries, up to n bytes of it. NULL: given up. */
static inline __attribute__((always_inline)) uint8_t *put_value(struct json *j, uint8_t *to, uint8_t type,
                                                                const uint8_t *v, size_t n, unsigned depth)
{
    uint64_t word;
    uint32_t half;
    switch (type) {
    case JSON_STRING:
        if (n == 0 || v[0] >= 0x80 || v[0] >= n)
            break;
        return pay(j, v[0] + 1U) ? put_text(j, to, v + 1, v[0]) : NULL;
    case JSON_INT32:
    case JSON_UINT32:
        if (n < sizeof half || !pay(j, sizeof half))
            return NULL;
        memcpy(&half, v, sizeof half);
        return put_int(to, type == JSON_INT32 ? (int32_t)le32toh(half) : (int64_t)le32toh(half));
    case JSON_INT64:
        if (n < sizeof word || !pay(j, sizeof word))
            return NULL;
        memcpy(&word, v, sizeof word);
        return put_int(to, (int64_t)le64toh(word));
    case JSON_OPAQUE:
        if (n < 4 || v[0] != WT_NEWDECIMAL || v[1] >= 0x80 || v[1] < 2 || v[1] > n - 2)
            break;
        struct cur c = { v, v + 4, v + 2 + v[1], NULL, 0 };
        size_t digits = row_decimal_decode_text(&c, v[2], v[3], (char *)to);
        return digits != 0 && c.p == c.end && pay(j, v[1] + 2U) ? to + digits : NULL;
    case JSON_SMALL_OBJECT:
    case JSON_SMALL_ARRAY:
        j->out->n = (size_t)(to - j->out->p);
        return container(j, type, v, n, depth) ? place(j->out) : NULL;
    default:
        break;
    }
    struct json_value other = { .type = type, .v = { v, n } };
    j->out->n = (size_t)(to - j->out->p);
    return json_put(j, &other, depth) ? place(j->out) : NULL;
}

static uint8_t *put_literal(uint8_t *to, uint8_t word)
{
    static const char words[3][HALF] = { "null", "true", "false" };
    static const uint8_t lengths[] = { 4, 4, 5 };
    if (word > 2)
        return NULL;
    memcpy(to, words[word], HALF);
    return to + lengths[word];
}

static bool container(struct json *j, uint8_t type, const uint8_t *p, size_t n, unsigned depth)
{
    bool object = type == JSON_SMALL_OBJECT;
    if (n < HEAD || depth >= JSON_DEPTH_MAX)
        return false;
    size_t count = le16_at(p), own = le16_at(p + 2), entry = HEAD + (object ? KEY_ENTRY * count : 0);
    if (own > n || entry + VALUE_ENTRY * count > own || !pay(j, entry + VALUE_ENTRY * count))
        return false;
    const uint8_t *key = p + HEAD;
    uint8_t *to = place(j->out);
    if (to == NULL)
        return false;
    *to++ = object ? '{' : '[';
    for (size_t i = 0; i < count; i++, entry += VALUE_ENTRY) {
        if (i != 0) {
            memcpy(to, ", ", 2);
            to += 2;
        }
        if (object) {
            size_t from = le16_at(key), key_n = le16_at(key + 2);
            key += KEY_ENTRY;
            if (from + key_n > own || !pay(j, key_n) || (to = put_text(j, to, p + from, key_n)) == NULL)
                return false;
            memcpy(to, ": ", 2);
            to += 2;
        }
        uint8_t value = p[entry];
        size_t at = le16_at(p + entry + 1);
        if (value == JSON_INT16)
            to = put_int(to, (int16_t)(uint16_t)at);
        else if (value == JSON_UINT16)
            to = put_int(to, (int64_t)at);
        else if (value == JSON_LITERAL)
            to = put_literal(to, p[entry + 1]);
        else if (at >= entry + VALUE_ENTRY && at <= own)
            to = put_value(j, to, value, p + at, own - at, depth + 1);
        else
            return false;
        if (to == NULL || (to = room(j->out, to)) == NULL)
            return false;
    }
    *to++ = object ? '}' : ']';
    j->out->n = (size_t)(to - j->out->p);
    return true;
}

bool json_put_quick(struct json *j, const struct json_value *v)
{
    return (v->type == JSON_SMALL_OBJECT || v->type == JSON_SMALL_ARRAY) && container(j, v->type, v->v.p, v->v.n, 0);
}
