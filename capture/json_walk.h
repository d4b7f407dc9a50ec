/* json_walk.h - private to json_binary.c, json_quick.c and json_diff.c: finding and printing the parts of a binary JSON document. */
#ifndef ROWTIDE_JSON_WALK_H
#define ROWTIDE_JSON_WALK_H

#include "buf.h"

enum { JSON_DEPTH_MAX = 100 }; /* the server's own limit, JSON_DOCUMENT_MAX_DEPTH */

enum json_type {
    JSON_SMALL_OBJECT = 0,
    JSON_LARGE_OBJECT = 1,
    JSON_SMALL_ARRAY = 2,
    JSON_LARGE_ARRAY = 3,
    JSON_LITERAL = 4,
    JSON_INT16 = 5,
    JSON_UINT16 = 6,
    JSON_INT32 = 7,
    JSON_UINT32 = 8,
    JSON_INT64 = 9,
    JSON_UINT64 = 10,
    JSON_DOUBLE = 11,
    JSON_STRING = 12,
    JSON_OPAQUE = 15
};
struct json {        /* one printing */
    size_t budget;   /* bytes of documents that may still be printed */
    const char *why; /* first failure (a literal), NULL while good */
    struct buf *out;
    const uint8_t *end; /* of what may be loaded, at least of the document; NULL: there are several */
};
struct json_value {
    uint8_t type;
    bool in_place;  /* in its container's entry, which is paid for with the container's head */
    struct bytes v; /* begins at the value and ends where its container does */
};
struct json_container {
    struct bytes v; /* exactly its own bytes */
    bool large, object;
    size_t count, values_at; /* members; offset of the first value entry */
};

bool json_bad(struct json *j, const char *why); /* false */
struct json_value json_root(struct bytes document);
bool json_is_container(const struct json_value *v);
bool json_open(struct json *j, const struct json_value *v, struct json_container *out);
/* Member i < count. Keys lie in order: shorter ones first, then by bytes. */
bool json_key(struct json *j, const struct json_container *o, size_t i, struct bytes *out);
bool json_member(struct json *j, const struct json_container *o, size_t i, struct json_value *out);

/* Not 0 when there is a byte in w, little-endian, that is not printed as it is, its top bit at the first such one: a byte below 0x20 borrows from
 * its top bit when 0x20 is taken off, and one that is looked for becomes 0 by XOR, and borrows when 1 is taken off. A false
 * alarm, behind the first one only, costs time. */
static inline uint64_t json_not_plain(uint64_t w)
{
    static const uint64_t each = 0x0101010101010101U, tops = 0x8080808080808080U;
    return (w | (w - each * 0x20) | ((w ^ each * '"') - each) | ((w ^ each * '\\') - each)) & tops;
}

bool json_put_string(struct json *j, struct bytes s);
bool json_put_key(struct json *j, struct bytes key);
bool json_put_head(struct json *j, const struct json_container *o, unsigned depth); /* { or [, and pays for it */
/* Members from .. to - 1, with ", " in front unless *first, which is then false. depth: of the members. */
bool json_put_members(struct json *j, const struct json_container *o, size_t from, size_t to, bool *first,
                      unsigned depth);
bool json_put(struct json *j, const struct json_value *v, unsigned depth);
/* json_quick.c: a whole document. False: nothing is said about it, and both budget and output are anyhow; json_put then. */
bool json_put_quick(struct json *j, const struct json_value *root);

#endif
