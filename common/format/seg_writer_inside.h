/* seg_writer_inside.h - what seg_writer.c, seg_recover.c and seg_seal.c share: the writer's insides. Private to these three. */
#ifndef ROWTIDE_SEG_WRITER_INSIDE_H
#define ROWTIDE_SEG_WRITER_INSIDE_H

#include "append_file.h"
#include "frame_coder.h"
#include "seg_writer.h"

struct seg_mark { /* a place in the open segment */
    uint64_t end; /* file offset behind it */
    uint64_t next_lsn;
    uint64_t last_commit_lsn;
    uint64_t changes, transactions; /* cumulative */
    int64_t commit_us;              /* of the last commit */
    size_t nframes;
    bool inside; /* a transaction is open here */
};
struct seg_writer {
    struct slot *slot;
    struct seg_writer_options o;
    struct zcodec *z;
    struct frame_coder *coder;
    struct buf out;           /* encoded frames on their way to the file */
    struct append_file *file; /* the open segment, behind now.end; NULL: none */
    uint64_t durable_end;     /* of the file: what the last fdatasync covered */
    char name[24];
    struct segment_header header;
    struct seg_mark now;          /* behind everything appended */
    struct seg_mark commit;       /* behind the last whole transaction or position frame: where a cut goes */
    int64_t txn_us;               /* commit time of the transaction in progress */
    struct segment_frame *frames; /* all of the open segment, RELATIONS too */
    size_t cap_frames;
    struct relation_table rels; /* what the open segment defines */
    uint64_t *rel_end;          /* by place in rels: offset behind the RELATIONS frame that defines it */
    unsigned cap_rel_end;
    struct change_counts counts;  /* up to the commit mark */
    struct change_counts pending; /* behind it */
    char source[64], source_version[64];
    struct source_pos pos;    /* the full position at the commit mark, as the caller last said it */
    struct schema_set schema; /* the schema history at the commit mark; empty: none is kept */
    struct buf schema_behind; /* payloads of SCHEMA frames behind it, each with its length in front */
    bool schema_dropped;      /* the open segment has a history, and none is kept any more */
    struct slot_state state;  /* as last written; its pos is not used */
    uint64_t written;
    struct seg_writer_times times;
    bool started, broken;
};

/* Appends a frame of f->type to out; sets f->info, stored_size and raw_size. rels: what a DATA frame uses, whose payload, as frame_builder made it, is
 * coded; else NULL. */
bool seg_writer_encode(struct seg_writer *w, const struct frame_info *info, struct bytes payload,
                       const struct relation_table *rels, struct buf *out, struct segment_frame *f, struct err *err);
/* Remembers a frame that is now in the file at f->offset. payload: of a DATA frame, as it was made or as it was
 * coded, for the counts. */
bool seg_writer_note(struct seg_writer *w, const struct segment_frame *f, struct bytes payload, struct err *err);
/* Adds r, defined by the frame that ends at offset end. */
bool seg_writer_note_relation(struct seg_writer *w, const struct relation *r, uint64_t end, struct err *err);
/* Remembers the payload of a SCHEMA frame until the next mark. */
void seg_writer_note_schema(struct seg_writer *w, struct bytes payload);
/* Makes the commit mark the present place. */
bool seg_writer_mark_commit(struct seg_writer *w, struct err *err);
/* After the file was cut at the commit mark: forgets what lay behind it. */
bool seg_writer_back_to_commit(struct seg_writer *w, struct err *err);
void seg_writer_forget_segment(struct seg_writer *w); /* closes the file, frees what belongs to it; keeps the marks */
/* After a failed write, when why is a full disk: what lies behind the last flush goes, so that appliers can still write down what they
 * confirm. Not once the seal is set. */
void seg_writer_give_back(struct seg_writer *w, const struct err *why);
/* Makes the open segment a sealed one. Fails: the writer is of no more use. */
bool seg_writer_seal(struct seg_writer *w, const struct source_pos *end, struct err *err);

#endif
