/* binlog_stream.h - the transaction state machine: raw binlog events in, log records out (into a frame builder).
 *
 * Keeps the running source position, decides what is captured, and stops at what it does not understand (I3). Logs what
 * it takes but cannot take whole: rows that a RENAME brings along. No connection, no threads, no files but those of prepared XA transactions (xa_store.h): the same code serves a live
 * source, binlog files, tests and the fuzzer. An XA transaction becomes records when it is committed.
 *
 * The position is taken at the end of a whole transaction, never inside (I2): binlog_stream_position is that place at
 * any time. Its file:offset is an event border from which a dump by file and offset can go on; it moves as the stream
 * does, and never back: when a server sends the head of a file again, that does not count. Its GTID set has every
 * transaction that ended, captured or not, and no other. */
#ifndef ROWTIDE_BINLOG_STREAM_H
#define ROWTIDE_BINLOG_STREAM_H

#include "binlog_event.h"
#include "frame.h"
#include "pattern.h"
#include "schema_source.h"
#include "xa_store.h"

struct binlog_stream_options {
    const struct pattern *tables;       /* must outlive the stream */
    const struct schema_source *schema; /* asked where TABLE_MAP has no column names, told of DDL; NULL: none */
    struct xa_store *xa;                /* must outlive the stream; NULL: an XA transaction stops */
    bool replace_invalid_text;          /* table_defs_replace_invalid; else such a text stops */
    uint64_t max_event; /* bytes: a larger event stops; holds for those inside a TRANSACTION_PAYLOAD, too */
};
struct binlog_stream_stats { /* cumulative; what was rolled back or abandoned is not counted as changes */
    uint64_t events, event_bytes, transactions, captured_transactions, inserts, updates, deletes, ddl, replaced_texts;
    uint64_t renamed_in; /* tables that came under a captured name with rows that are not in the log; each is logged */
};
struct binlog_stream;
/* from: copied. */
bool binlog_stream_new(const struct binlog_stream_options *o, const struct source_pos *from, struct binlog_stream **out,
                       struct err *err);
void binlog_stream_free(struct binlog_stream *s); /* NULL is fine */
/* A (re)connection: forgets the open transaction and the format; the next events follow the position. discard: the
 * dump had to begin at the file's start, so that events up to the position's offset are passed over. On another server
 * than the position's, its file:offset mean nothing and become unknown (by GTID only: without, the caller must not get
 * here). */
void binlog_stream_reconnect(struct binlog_stream *s, const char *server, bool discard);

enum stream_step {
    STREAM_INSIDE,   /* inside a transaction, or between two things that belong together */
    STREAM_BOUNDARY, /* between transactions: the position moved, or nothing happened */
    STREAM_COMMIT,   /* a captured transaction just ended: its COMMIT record is in the builder */
    /* The open transaction never was (its source crashed), or was rolled back: the builder's open part must be cut,
     * from the log too. The position may have moved: what COMMIT and BOUNDARY make due is due here, too. */
    STREAM_ABANDONED,
    STREAM_ROWS_FULL, /* the builder reached frame_size inside an event (of rows, or XA COMMIT): hand it on, then call
                         binlog_stream_continue */
    /* The open transaction must be read a second time: reconnect (binlog_stream_reconnect), as when the connection
     * breaks. err says why. */
    STREAM_AGAIN,
    STREAM_FAIL
};
/* Takes one whole event, which must stay until the step is not STREAM_ROWS_FULL. Errors name file:offset, GTID and
 * table. After STREAM_FAIL only binlog_stream_free is of use; the builder may hold a part of a transaction, which must
 * not be published. */
enum stream_step binlog_stream_event(struct binlog_stream *s, struct bytes event, struct frame_builder *b,
                                     size_t frame_size, struct err *err);
enum stream_step binlog_stream_continue(struct binlog_stream *s, struct frame_builder *b, size_t frame_size,
                                        struct err *err);

const struct source_pos *binlog_stream_position(const struct binlog_stream *s); /* behind the last whole transaction */
const struct binlog_stream_stats *binlog_stream_stats(const struct binlog_stream *s);
int64_t binlog_stream_commit_us(
    const struct binlog_stream *s); /* the latest transaction's commit time, captured or not; 0 none */
/* Bytes of filtered transactions since the last COMMIT record or binlog_stream_position_written. */
uint64_t binlog_stream_filtered(const struct binlog_stream *s);
bool binlog_stream_moved(const struct binlog_stream *s); /* the position is beyond what the log says */
void binlog_stream_position_written(
    struct binlog_stream *s); /* a position frame with the current position went to the log */
/* A message as a transaction of its own; between transactions only. */
/* Without GTIDs, once behind each FORMAT_DESCRIPTION: true, the file that the stream is in now, and when the source made it (s). */
bool binlog_stream_new_file(struct binlog_stream *s, const char **name, uint32_t *made);
bool binlog_stream_message(struct binlog_stream *s, const char *topic, struct bytes body, int64_t now_us,
                           struct frame_builder *b, struct err *err);

#endif
