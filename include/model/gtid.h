/* gtid.h - GTIDs and GTID sets of both flavours: MySQL's uuid[:tag]:intervals and MariaDB's domain-server-seq. Pure.
 *
 * A MySQL set is a union of intervals per (uuid, tag). A MariaDB position holds the last GTID per domain: adding one
 * replaces its domain's. One type serves both; `flavor` says which, and is never changed after creation. */
#ifndef ROWTIDE_GTID_H
#define ROWTIDE_GTID_H

#include "buf.h"

enum gtid_flavor { GTID_NONE, GTID_MYSQL, GTID_MARIADB };

struct gtid {                /* one transaction's identity; all-zero is "none" (ANONYMOUS) */
    uint8_t flavor;          /* enum gtid_flavor */
    uint8_t tag_len;         /* MySQL >= 8.3: 0..32 */
    char tag[32];            /* lower case */
    uint8_t uuid[16];        /* MySQL: the source's server_uuid */
    uint64_t no;             /* MySQL: gno from 1; MariaDB: seq_no */
    uint32_t domain, server; /* MariaDB */
};
bool gtid_parse(struct bytes text, struct gtid *out, struct err *err); /* either flavour, told apart by form */
void gtid_text(const struct gtid *g, struct buf *out);                 /* "" for none */
bool gtid_eq(const struct gtid *a, const struct gtid *b);

struct gtid_set;
struct gtid_set *gtid_set_new(enum gtid_flavor f); /* NULL: out of memory */
void gtid_set_free(struct gtid_set *s);            /* NULL is fine */
enum gtid_flavor gtid_set_flavor(const struct gtid_set *s);
struct gtid_set *gtid_set_copy(const struct gtid_set *s);
/* MySQL: "uuid:1-5:7,uuid:tag:1-3", spaces and newlines allowed; MariaDB: "0-1-42,1-2-7". "" is the empty set. */
bool gtid_set_parse(enum gtid_flavor f, struct bytes text, struct gtid_set **out, struct err *err);
void gtid_set_text(const struct gtid_set *s, struct buf *out); /* canonical: sorted, merged, no spaces */
bool gtid_set_add(struct gtid_set *s, const struct gtid *g, struct err *err);
bool gtid_set_add_interval(struct gtid_set *s, const struct gtid *who, uint64_t first, uint64_t last,
                           struct err *err);                                            /* MySQL */
bool gtid_set_union(struct gtid_set *s, const struct gtid_set *other, struct err *err); /* s |= other */
bool gtid_set_empty(const struct gtid_set *s);
/* MySQL: g is in s. MariaDB: s has g's domain at a seq_no >= g's. */
bool gtid_set_contains(const struct gtid_set *s, const struct gtid *g);
bool gtid_set_subset(const struct gtid_set *a,
                     const struct gtid_set *b); /* a within b (MariaDB: each domain's seq_no <=) */
bool gtid_set_subtract(const struct gtid_set *a, const struct gtid_set *b, struct gtid_set **out,
                       struct err *err); /* a \ b */
bool gtid_set_eq(const struct gtid_set *a, const struct gtid_set *b);
uint64_t gtid_set_count(const struct gtid_set *s); /* MySQL: transactions; MariaDB: domains */

/* COM_BINLOG_DUMP_GTID / PREVIOUS_GTIDS encoding (mysql-server sql/rpl_gtid_set.cc, Gtid_set::encode). tagged selects the
 * format of 8.3+; a set with tags must be encoded tagged. MySQL only. */
bool gtid_set_encode(const struct gtid_set *s, bool tagged, struct buf *out, struct err *err);
bool gtid_set_decode(struct bytes in, struct gtid_set **out, struct err *err); /* both formats */
bool gtid_set_has_tags(const struct gtid_set *s);
/* Our own compact form of either flavour, for segments and state (gtid_bytes.c; docs/segment-format.md, "Position").
 * s NULL: "no GTIDs". unpack reads from c and may leave bytes behind; *out is NULL for "no GTIDs". */
void gtid_set_pack(const struct gtid_set *s, struct buf *out);
bool gtid_set_unpack(struct cur *c, struct gtid_set **out, struct err *err);
void uuid_text(const uint8_t uuid[16], char out[37]);
bool uuid_parse(struct bytes text, uint8_t out[16]); /* with or without dashes, any case */

#endif
