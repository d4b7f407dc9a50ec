/* schema_set.h - the schema history at one place of the log: the statement that makes each table and each database, as
 * SCHEMA frames hold them (docs/segment-format.md, "SCHEMA frame"). For sources whose TABLE_MAP has no column names.
 *
 * Sorted by schema and table; a database is the entry without a table, in front of its tables. Not thread-safe. */
#ifndef ROWTIDE_SCHEMA_SET_H
#define ROWTIDE_SCHEMA_SET_H

#include "buf.h"

enum { SCHEMA_NAME_BYTES = 1024 };

struct schema_entry {
    struct bytes schema, table; /* UTF-8; table empty: the database itself */
    struct bytes sql;           /* CREATE TABLE or CREATE DATABASE, UTF-8, no NUL inside */
};
struct schema_set { /* zero-initialise; owns its entries */
    struct schema_entry **v;
    size_t n, cap;
};
void schema_set_clear(struct schema_set *s);
bool schema_set_copy(const struct schema_set *from, struct schema_set *to, struct err *err); /* to: empty */
/* NULL: not there. The entry is valid until it is replaced or removed. */
const struct schema_entry *schema_set_find(const struct schema_set *s, struct bytes schema, struct bytes table);
bool schema_set_put(struct schema_set *s, const struct schema_entry *e, struct err *err); /* copies; replaces */
/* Removing a database removes its tables. False: it was not there. */
bool schema_set_remove(struct schema_set *s, struct bytes schema, struct bytes table);

/* Payloads. A complete one makes everything before it void; a change is begun once, then gets its entries. */
void schema_set_encode(const struct schema_set *s, struct buf *out);
void schema_change_begin(struct buf *out);
void schema_change_put(struct buf *out, const struct schema_entry *e);
void schema_change_remove(struct buf *out, struct bytes schema, struct bytes table);
/* Takes a payload over into s. ERR_CORRUPT; s may hold a part of it then. */
bool schema_set_apply(struct schema_set *s, struct bytes payload, struct err *err);

#endif
