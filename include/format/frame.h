/* frame.h - one data frame's content: records in order, values column by column. Encoder and decoder; no files, no zstd.
 *
 * Layout: docs/segment-format.md, "Data frame". A frame holds either whole transactions only, or a part of exactly one
 * transaction: so a cut between frames never splits what a reader may see (I1, I2). frame_builder keeps to that: when a
 * transaction that began behind complete ones outgrows the frame, the complete ones are split off first.
 *
 * A builder is not thread-safe. A decoded frame is immutable and reference-counted (atomically); everything it hands out
 * points into memory that it owns. */
#ifndef ROWTIDE_FRAME_H
#define ROWTIDE_FRAME_H

#include "record.h"

enum {
    FRAME_RAW_MAX = 1 << 30, /* bytes of a payload at most: as the largest event */
    FRAME_SIZE_MAX =
        16 << 20,           /* what frame_builder_size may reach before another row is added: only one huge row may make
                                  a larger frame. A frame within it decodes within the reader's memory limit */
    FRAME_RECORD_SIZE = 16, /* what a record counts beside its bytes in frame_builder_size */
    FRAME_MEMORY = 1 << 30  /* a decoded frame takes at most this and twice its payload; else it is ERR_CORRUPT */
};

/* What the envelope says of a data frame (docs/segment-format.md, "Frame header"). */
struct frame_info {
    uint64_t first_lsn;
    uint32_t nrecords;
    uint32_t ncommits;
    uint32_t nchanges;                    /* inserts, updates, deletes, truncates */
    uint64_t last_commit_lsn;             /* 0: none in here */
    int64_t min_commit_us, max_commit_us; /* over the transactions in here; 0 without any BEGIN */
    bool starts_inside;                   /* continues a transaction that began in an earlier frame */
    bool ends_inside;                     /* its last transaction goes on in the next frame */
    uint32_t size;                        /* frame_builder_size; 0 where only a footer is known, as is */
    uint32_t tail; /* bytes at the end of the stored payload that compressing would not make fewer (frame_coder.h) */
};

/* Relations known by their id: those of a segment, or those that a frame uses. Holds references, its own or a keeper's. */
struct relation_keeper;
struct relation_table {
    struct relation **rel;
    uint64_t *id; /* theirs: to look among thousands of relations without touching each */
    unsigned n, cap;
    unsigned *hash; /* open addressing over id; private to relation_table.c. NULL: a list only */
    unsigned hash_cap;
    struct relation_keeper *keeper; /* it has the references, and lives as long as this table; NULL: the table has */
};
bool relation_table_add(struct relation_table *t, const struct relation *r,
                        struct err *err); /* nothing when there already; not to a list */
const struct relation *relation_table_find(const struct relation_table *t, uint64_t id); /* or NULL; O(1) expected */
void relation_table_clear(struct relation_table *t);                                     /* frees; zeroes */
void relation_table_reset(struct relation_table *t); /* empty, as relation_table_clear, but keeps the memory */
/* Makes the zeroed *to a list of what is in from: without a hash, so that relation_table_find takes a while. */
bool relation_table_list(struct relation_table *to, const struct relation_table *from, struct err *err);

/* --- writing --- */
struct frame_builder;
struct frame_builder *frame_builder_new(void); /* NULL: out of memory */
void frame_builder_free(struct frame_builder *b);
/* Empties it; the next record gets LSN first_lsn. inside: it continues a transaction. */
void frame_builder_reset(struct frame_builder *b, uint64_t first_lsn, bool inside);
/* Bytes collected so far, and 16 for each record: so that a limit on it also bounds what a reader needs for many tiny rows. */
size_t frame_builder_size(const struct frame_builder *b);
uint64_t
frame_builder_encode_us(const struct frame_builder *b); /* time spent making payloads of streams; of its life */
uint64_t frame_builder_next_lsn(const struct frame_builder *b);
uint32_t frame_builder_records(const struct frame_builder *b);
uint32_t frame_builder_commits(const struct frame_builder *b);
bool frame_builder_inside(const struct frame_builder *b); /* a transaction is open */
/* Each appends one record and takes the next LSN. After the commit of a transaction that the frame continues comes nothing
 * more: finish it there (frame_add_begin refuses). Row arrays have rel->ncols values, in column order; string views are
 * copied. An update's old value that val_eq its new one is stored as "same" in two bits. Errors: ERR_NOMEM, or ERR_UNSUPPORTED
 * for a value whose kind contradicts its column's type (names table and column) and for a row beyond FRAME_RAW_MAX: nothing is
 * added then. */
bool frame_add_begin(struct frame_builder *b, const struct rec_begin *r, struct err *err);
bool frame_add_commit(struct frame_builder *b, const struct rec_commit *r, struct err *err);
bool frame_add_insert(struct frame_builder *b, const struct relation *rel, const struct val *row, struct err *err);
bool frame_add_update(struct frame_builder *b, const struct relation *rel, const struct val *old_row,
                      const struct val *new_row, struct err *err);
bool frame_add_delete(struct frame_builder *b, const struct relation *rel, const struct val *old_row, struct err *err);
bool frame_add_ddl(struct frame_builder *b, uint8_t op /* REC_DDL or REC_TRUNCATE */, const struct rec_ddl *r,
                   struct err *err);
bool frame_add_message(struct frame_builder *b, const struct rec_message *r, struct err *err);
/* Changes of one relation whose values go straight into the columns' streams (frame_part.h), for a decoder that does not want to
 * make rows of values first. Open once; then for each change a state, and where it is ST_VALUE a value of the column's kind, for each
 * column of the new image (INSERT, UPDATE) and of the old one (UPDATE, DELETE); then close that change, or undo it. Between open and the last
 * close nothing else may be added. */
struct frame_part;
struct col_kind;
struct rel_build;
struct
    frame_place { /* where a relation's rows went the last time, so that it need not be looked for; zero-initialise, one for each relation */
    struct rel_build *build;
    uint64_t of; /* the streams that it is among */
};
struct frame_rows {
    struct frame_part *new_parts, *old_parts; /* by column */
    const struct col_kind *kinds;             /* by column */
    uint32_t new_row, old_row;                /* numbers of the next change's rows */
    struct rel_build *build;
};
/* False: frame_add_* would refuse a change, too, and says why. */
bool frame_rows_open(struct frame_builder *b, const struct relation *rel, struct frame_place *at,
                     struct frame_rows *out);
/* It will be opened soon: with thousands of relations, what that takes is fetched into the processor's cache meanwhile. */
void frame_rows_expect(const struct frame_builder *b, const struct frame_place *at, unsigned ncols);
/* bytes: what its values took. False: it may be too large, or memory ran out; it is taken back, and frame_add_* knows. */
bool frame_rows_close(struct frame_builder *b, uint8_t op /* REC_INSERT, REC_UPDATE, REC_DELETE */,
                      struct frame_rows *r, size_t bytes);
/* What frame_builder_size is with n more rows whose values took so many bytes. */
size_t frame_rows_size(const struct frame_builder *b, const struct frame_rows *r, uint32_t n, size_t bytes);
/* As frame_rows_close for n rows at once; the caller has seen to it that they fit. False: memory ran out. */
bool frame_rows_add(struct frame_builder *b, uint8_t op, struct frame_rows *r, uint32_t n, size_t bytes);
/* Of the first new_cols and old_cols columns a state, and a value if it asks for one, was written. Where memory ran out while
 * writing, the builder says so from here on, until it is reset. */
void frame_rows_undo(struct frame_builder *b, struct frame_rows *r, unsigned new_cols, unsigned old_cols);
/* The payload (appended to out) and its info. The builder stays as it is: reset it. Refuses complete transactions in front of
 * an open one (frame_builder_split), and nothing at all. */
bool frame_builder_finish(struct frame_builder *b, struct buf *out, struct frame_info *info, struct err *err);
/* The relations that the collected records use; valid until the next add or reset. */
const struct relation_table *frame_builder_relations(const struct frame_builder *b);
/* When complete transactions stand before the open one: finishes the former into out/info and keeps only the open one's
 * records in b. *split false (and nothing done) when there is nothing to split. */
bool frame_builder_split(struct frame_builder *b, struct buf *out, struct frame_info *info, bool *split,
                         struct err *err);
/* Takes back the records from lsn on: of the open transaction, and in b still (lsn at most frame_builder_next_lsn, at
 * least that minus frame_builder_records). Cost: as of finishing and decoding the frame. */
bool frame_builder_rewind(struct frame_builder *b, uint64_t lsn, struct err *err);

/* --- reading --- */
struct table_counts {
    uint64_t relation; /* its id */
    uint64_t inserts, updates, deletes;
};
/* By relation, each once, in order of arrival. Zero-initialise. */
struct change_counts {
    struct table_counts *v;
    unsigned n, cap;
    unsigned *hash; /* private to table_counts.c */
    unsigned hash_cap;
};
bool change_counts_add(struct change_counts *c, const struct table_counts *more, struct err *err); /* O(1) expected */
void change_counts_reset(struct change_counts *c); /* keeps the memory */
void change_counts_free(struct change_counts *c);  /* and zeroes; safe twice */
bool change_counts_sorted(const struct change_counts *c,
                          struct table_counts **out /* c->n of them by relation; free() */, struct err *err);
/* Adds a payload's changes to *counts; relations without any are left out. Reads the operation stream only. An error leaves some of them added. */
bool frame_payload_counts(struct bytes payload, struct change_counts *counts, struct err *err);

struct frame;
/* Every count, length and number is checked (I9): ERR_CORRUPT says which. payload is copied or kept by value: the frame owns
 * what it needs. rels must outlive nothing: relations are referenced. */
bool frame_decode(struct bytes payload, const struct frame_info *info, const struct relation_table *rels,
                  struct frame **out, struct err *err);
struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f); /* NULL is fine */
const struct frame_info *frame_info(const struct frame *f);
size_t frame_memory(const struct frame *f); /* bytes held */
unsigned frame_count(const struct frame *f);
const struct record *frame_record(const struct frame *f, unsigned i); /* i < frame_count */
/* Copies records [from, to) of f into b, where they get b's next LSNs. */
bool frame_copy_records(struct frame_builder *b, const struct frame *f, unsigned from, unsigned to, struct err *err);

const struct relation *rel_rows_relation(const struct rel_rows *r);
/* The whole row (ncols values) into out; string views live as long as the frame. For an old row "same" is resolved. */
void rel_rows_new(const struct rel_rows *r, const struct record *rec, struct val *out);
void rel_rows_old(const struct rel_rows *r, const struct record *rec, struct val *out);
struct val rel_rows_new_at(const struct rel_rows *r, const struct record *rec, unsigned col);
struct val rel_rows_old_at(const struct rel_rows *r, const struct record *rec, unsigned col);
/* Every new value that the frame holds of the relation is there: none is VAL_ABSENT. */
bool rel_rows_complete(const struct rel_rows *r);
/* Bytes of the strings in the row; in the old one those that "same" stands for are not counted. */
size_t rel_rows_new_strings(const struct rel_rows *r, const struct record *rec);
size_t rel_rows_old_strings(const struct rel_rows *r, const struct record *rec);
/* The old value of col is stored as "same as the new one" (an update did not change it): without comparing values. */
bool rel_rows_same_at(const struct rel_rows *r, const struct record *rec, unsigned col);

#endif
