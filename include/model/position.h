/* position.h - a place in the source: GTID set, and file : 64-bit end offset with the server that the offset belongs to. */
#ifndef ROWTIDE_POSITION_H
#define ROWTIDE_POSITION_H

#include "gtid.h"

#define POSITION_FILE_MAX 255

struct source_pos {
    enum gtid_flavor flavor;          /* GTID_NONE: the source has no GTIDs (or they are off) */
    struct gtid_set *gtids;           /* owned; all transactions taken; NULL only when flavor is GTID_NONE */
    char server[64];                  /* whose offset it is: MySQL's server_uuid; MariaDB: "mariadb-<server_id>" */
    char file[POSITION_FILE_MAX + 1]; /* "" unknown */
    uint64_t offset;                  /* end of the last whole transaction, bytes; 0 unknown */
};
void source_pos_clear(struct source_pos *p); /* frees what it owns, zeroes */
bool source_pos_copy(const struct source_pos *p, struct source_pos *out,
                     struct err *err); /* out is overwritten, not freed */
/* Bytes for segments and state: docs/segment-format.md, "Position". */
void source_pos_encode(const struct source_pos *p, struct buf *out);
bool source_pos_decode(struct cur *c, struct source_pos *out, struct err *err);
/* "uuid:1-5 mysql-bin.000003:1234 (server)" for logs and people. */
void source_pos_text(const struct source_pos *p, struct buf *out);

#endif
