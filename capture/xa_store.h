/* xa_store.h - the prepared XA transactions of a slot: their rows in files under xa/ until the source commits or rolls them
 * back (docs/segment-format.md, "Prepared transactions").
 *
 * Before a position is handed on to the log, xa_store_sync makes what it says durable: a prepared transaction's rows, and
 * that one ended. So after a crash: of which the log's position lacks the XA PREPARE comes again, and goes; of which it has
 * the end is done with, and goes; of which it lacks the end is still prepared. Memory: one frame, and a small record for
 * each transaction that is prepared. Owned and called by one thread. */
#ifndef ROWTIDE_XA_STORE_H
#define ROWTIDE_XA_STORE_H

#include "xa_file.h"

struct xa_store;
/* slotfd: the slot's directory, which must stay open; pos: where the log resumes. Drops what a crash left behind. The
 * directory xa/ is created with the first prepared transaction. */
bool xa_store_open(int slotfd, const uint8_t slot[16], const struct source_pos *pos, struct xa_store **out,
                   struct err *err);
void xa_store_close(struct xa_store *x); /* NULL is fine. Syncs nothing */

/* --- an XA transaction before its end. Only one at a time is open --- */
void xa_store_begin(struct xa_store *x);
struct frame_builder *xa_store_builder(struct xa_store *x); /* takes its changes */
bool xa_store_spill(struct xa_store *x, struct err *err);   /* what the builder has goes to the file */
void xa_store_abandon(struct xa_store *x);                  /* it never was; also when none is open */
/* The open one is prepared. ERR_CORRUPT when one of that name is already. */
bool xa_store_prepare(struct xa_store *x, const char *xid, const struct xa_place *at, int64_t when_us, struct err *err);

/* --- and then --- */
bool xa_store_has(const struct xa_store *x, const char *xid);
bool xa_store_rows(struct xa_store *x, const char *xid, struct xa_rows **out, struct err *err); /* NULL: it has none */
void xa_store_end(struct xa_store *x, const char *xid, const struct xa_place *at); /* committed or rolled back */

/* Durable: all that is prepared or ended so far. Must come before a position behind it is handed on to the log. */
bool xa_store_sync(struct xa_store *x, struct err *err);
/* What ended so far was handed on with `item`, a number that rises; durable: up to which item the log is. Removes what
 * nobody needs any more. */
void xa_store_handed(struct xa_store *x, uint64_t item);
bool xa_store_clean(struct xa_store *x, uint64_t durable, struct err *err);

#endif
