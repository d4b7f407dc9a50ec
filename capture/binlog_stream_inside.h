/* binlog_stream_inside.h - private to binlog_stream.c (events, files, payloads), binlog_txn.c (transactions, position,
 * rows), binlog_query.c (statements), binlog_savepoint.c and binlog_xa.c (XA transactions): the state, and what they call of each other. */
#ifndef ROWTIDE_BINLOG_STREAM_INSIDE_H
#define ROWTIDE_BINLOG_STREAM_INSIDE_H

#include "binlog_statement.h"
#include "binlog_stream.h"
#include "payload.h"
#include "row_event.h"

enum txn_state {
    TXN_NONE, /* between transactions */
    TXN_GTID, /* a GTID event came; what follows decides whether it is a statement (DDL) or BEGIN ... */
    TXN_OPEN  /* inside BEGIN ... XID / COMMIT */
};
enum { SAVEPOINT_NAME_MAX = 256 };

struct savepoint {
    char name[SAVEPOINT_NAME_MAX + 1];
    bool begun;                 /* the transaction's BEGIN record is before it */
    uint64_t changes, next_lsn; /* captured ones before it; of the next record */
    uint64_t rows_events;       /* likewise */
    struct binlog_stream_stats stats;
};
struct span { /* rows events of captured tables in a transaction, counted from 0 */
    uint64_t begin, end;
};
struct spans { /* in order, with gaps between them */
    struct span *v;
    size_t n, cap;
};

struct binlog_stream {
    struct binlog_stream_options o;
    struct table_defs *defs;
    struct arena *arena;       /* values of one row, DDL parse; reset per row or statement */
    struct buf scratch;        /* inflated query text; a COMMIT record's GTIDs */
    struct source_pos pos;     /* behind the last whole transaction */
    struct gtid_set *consumed; /* filtered transactions since the last COMMIT record or position frame */
    uint64_t filtered;         /* their bytes */
    int64_t commit_us;         /* of the latest transaction */
    struct binlog_stream_stats stats, stats_before; /* before: at the open transaction's BEGIN */

    uint64_t offset;   /* where the stream is now, in `file`: end of the current event */
    uint64_t event_at; /* its start, for messages */

    struct ev_gtid gtid; /* of the open transaction; gtid.gtid none when anonymous or without GTID events */
    uint64_t changes;    /* captured ones in it so far */
    uint64_t txn_bytes;
    struct savepoint *savepoints; /* allocated when first needed */
    uint64_t rows_events;         /* of captured tables in the open transaction so far, those taken back too */
    struct spans taken_back;      /* by ROLLBACK TO, in it so far */
    struct spans known_back;      /* from a first reading of it: to be left out in this one; else empty */
    size_t next_span;             /* of known_back: the first that ends behind where we are */

    struct xa_rows *xa_rows;  /* an XA transaction being committed: the rest of its rows */
    struct frame *xa_frame;   /* the part of them at hand, or NULL */
    unsigned xa_at;           /* its next record */
    char xid[XA_XID_MAX + 1]; /* the transaction's name */
    struct buf renamed_away;  /* "schema.table" whose name the last DDL on captured tables took away; or empty */

    struct payload *payload; /* a TRANSACTION_PAYLOAD being read; allocated when first needed */
    struct row_reader rows;  /* a rows event being read, when rows_open */
    struct val *old_row, *new_row;

    unsigned row_cap;
    unsigned nsavepoints;
    enum txn_state state;
    enum alter_phase alter;
    struct binlog_format fmt;
    char file[POSITION_FILE_MAX + 1];
    bool in_pos_file; /* which is the position's */
    bool moved;       /* the position is beyond what the log says */
    bool fresh;       /* no ROTATE came on this connection yet */
    bool discard;     /* skip until pos.offset in pos.file */
    bool begun;       /* the open transaction's BEGIN record is written */
    bool new_file;    /* a FORMAT_DESCRIPTION came that binlog_stream_new_file did not tell of yet */
    uint32_t made;    /* when its file was */
    bool file_ended;  /* the source went on to another file since it began */
    bool payload_open, payload_last, rows_open;
    bool savepoints_unsure; /* one of them could not be remembered */
    bool only_looking;      /* the open transaction will be asked for again: what else does it take back? */
    bool xa;                /* the open transaction is one that will be prepared: its changes go to the XA store */
};

/* --- binlog_txn.c --- */
/* Puts "at mysql-bin.000003:1234, GTID x" in front of what went wrong. */
enum stream_step stream_fail(struct binlog_stream *s, struct err *err);
/* An event that cannot stand where it does. */
enum stream_step stream_misplaced(struct binlog_stream *s, const char *what, struct err *err);
/* The position lies behind this event: by GTID the server sends what is no transaction again. */
bool stream_has_event(const struct binlog_stream *s);
/* Here one may resume: a transaction ended, or an event outside of any passed. */
void stream_take_position(struct binlog_stream *s, bool transaction_end);
/* The open transaction never was: nothing of it counts, its GTID neither. */
void txn_forget(struct binlog_stream *s);
/* Changes are counted as they were then. */
void txn_count_from(struct binlog_stream *s, const struct binlog_stream_stats *before);
bool txn_begin(struct binlog_stream *s, struct frame_builder *b, uint32_t when,
               struct err *err); /* once per transaction */
/* when: the event's header, seconds UTC; what counts when no GTID event says better. */
enum stream_step txn_commit(struct binlog_stream *s, uint32_t when, struct frame_builder *b, struct err *err);
bool txn_end_filtered(struct binlog_stream *s, struct err *err); /* of which nothing is in the log */
enum stream_step txn_roll_back(struct binlog_stream *s, struct err *err);
/* A COMMIT record with the GTIDs that were filtered since the last one. */
bool txn_write_commit(struct binlog_stream *s, const char *file, uint64_t offset, struct frame_builder *b,
                      struct err *err);
enum stream_step txn_table_map(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                               struct err *err);
enum stream_step txn_rows(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                          size_t frame_size, struct err *err);
enum stream_step txn_rows_continue(struct binlog_stream *s, struct frame_builder *b, size_t frame_size,
                                   struct err *err);

/* --- binlog_query.c --- */
enum stream_step query_event(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                             size_t frame_size, struct err *err);
enum stream_step query_load(struct binlog_stream *s, const struct binlog_event *e, struct err *err);

/* --- binlog_savepoint.c --- */
bool savepoint_set(struct binlog_stream *s, struct bytes name, struct frame_builder *b, struct err *err);
enum stream_step savepoint_go_back(struct binlog_stream *s, struct bytes sql, struct bytes name,
                                   struct frame_builder *b, struct err *err); /* ROLLBACK TO; sql: for messages */
bool savepoint_skips_rows(
    struct binlog_stream *s); /* once for each rows event of a captured table: not to be recorded */
/* Where the transaction would be committed or prepared. False: *step is what comes instead, STREAM_AGAIN or STREAM_FAIL. */
bool savepoint_may_end(struct binlog_stream *s, enum stream_step *step, struct err *err);

/* --- binlog_xa.c --- */
bool xa_begin(struct binlog_stream *s, struct err *err); /* XA START: the open transaction will be prepared */
enum stream_step xa_prepare(struct binlog_stream *s, const struct binlog_event *e, struct frame_builder *b,
                            size_t frame_size, struct err *err);
/* XA COMMIT and XA ROLLBACK; xid: its text. */
enum stream_step xa_commit(struct binlog_stream *s, uint32_t when, struct bytes xid, struct frame_builder *b,
                           size_t frame_size, struct err *err);
enum stream_step xa_roll_back(struct binlog_stream *s, struct bytes xid, struct err *err);
enum stream_step xa_commit_continue(struct binlog_stream *s, struct frame_builder *b, size_t frame_size,
                                    struct err *err);
void xa_forget(struct binlog_stream *s); /* the open transaction is no XA transaction any more */

#endif
