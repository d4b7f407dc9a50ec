/* binlog_explain.h - binlog events for people: each one's header and decoded fields as lines of text or as JSON objects.
 *
 * Shows what is there, also what capture does not take: rows without column names as @1, @2 ..., events of unknown
 * types as hex with what capture would do about them. Keeps what later events need: the format, TABLE_MAPs. No files.
 * Not thread-safe. */
#ifndef ROWTIDE_BINLOG_EXPLAIN_H
#define ROWTIDE_BINLOG_EXPLAIN_H

#include "binlog_event.h"

struct binlog_explain_options {
    bool json;          /* an object per event and line, those inside a TRANSACTION_PAYLOAD included; else text */
    bool rows;          /* the rows of rows events, not only their number */
    uint64_t max_event; /* bytes: a larger event inside a TRANSACTION_PAYLOAD is a problem */
};
struct binlog_explain;
/* NULL: out of memory. */
struct binlog_explain *binlog_explain_new(const struct binlog_explain_options *o);
void binlog_explain_free(struct binlog_explain *x); /* NULL is fine */
/* One whole event that begins at offset `at` of its file; appends its text to out. What it says about itself and
 * cannot be decoded is part of the text ("problem") and counted. False: the event is damaged (ERR_CORRUPT: length or
 * checksum), so that nothing behind it can be trusted; its text says so, too. */
bool binlog_explain_event(struct binlog_explain *x, struct bytes event, uint64_t at, struct buf *out, struct err *err);
/* Learns the format and table definitions of an event that is not shown. */
void binlog_explain_pass(struct binlog_explain *x, struct bytes event);
uint64_t binlog_explain_problems(const struct binlog_explain *x);

#endif
