/* frame_wire.h - what frame_builder.c, frame.c and frame_coder.c share of a data frame's layout (docs/segment-format.md, "Data frame").
 * Private to these files. */
#ifndef ROWTIDE_FRAME_WIRE_H
#define ROWTIDE_FRAME_WIRE_H

#include "frame.h"
#include "frame_part.h"

enum {                    /* a byte of the operation stream */
       OP_MASK = 0x0f,    /* enum rec_op */
       OP_RELATION = 0x10 /* the relation is not the previous change's: its number follows in the next stream */
};

enum { DICT_NONE = 0, DICT_MYSQL = 1, DICT_MARIADB = 2 }; /* kinds in the GTID dictionary; stored */

int relation_table_index(const struct relation_table *t, uint64_t id); /* place in t->rel, or -1 */

/* A table of relations that other tables borrow from, so that thousands of them change hands with one reference. Whoever made it may go on
 * adding to it; others only hold it, on any thread. */
struct relation_keeper *relation_keeper_new(void);                      /* NULL: out of memory */
struct relation_keeper *relation_keeper_ref(struct relation_keeper *k); /* NULL is fine, also below */
void relation_keeper_unref(struct relation_keeper *k);
struct relation_table *relation_keeper_table(struct relation_keeper *k); /* only for its maker */

/* frame_builder_finish and frame_decode without the rule that a frame holds whole transactions or a part of one. */
bool frame_builder_encode(struct frame_builder *b, struct buf *out, struct frame_info *info, struct err *err);
bool frame_decode_any(struct bytes payload, const struct frame_info *info, const struct relation_table *rels,
                      struct frame **out, struct err *err);

/* The changes of each of n relations of a payload's list, added to sum, from its first two streams. False: those are wrong. */
bool frame_sum_changes(struct bytes ops, struct bytes relnos, struct table_counts *sum, size_t n);

#endif
