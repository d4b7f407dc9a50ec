/* json_walk.h - private to json_binary.c and json_diff.c: finding and printing the parts of a binary JSON document. */
#ifndef ROWTIDE_JSON_WALK_H
#define ROWTIDE_JSON_WALK_H

#include "buf.h"

enum { JSON_DEPTH_MAX = 100 }; /* the server's own limit, JSON_DOCUMENT_MAX_DEPTH */

struct json {        /* one printing */
    size_t budget;   /* bytes of documents that may still be printed */
    const char *why; /* first failure (a literal), NULL while good */
    struct buf *out;
    const uint8_t *end; /* of the document; NULL: there are several */
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

bool json_put_key(struct json *j, struct bytes key);
bool json_put_head(struct json *j, const struct json_container *o, unsigned depth); /* { or [, and pays for it */
/* Members from .. to - 1, with ", " in front unless *first, which is then false. depth: of the members. */
bool json_put_members(struct json *j, const struct json_container *o, size_t from, size_t to, bool *first,
                      unsigned depth);
bool json_put(struct json *j, const struct json_value *v, unsigned depth);

#endif
