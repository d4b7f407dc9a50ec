/* turns.h - several batches under way at once, committed in the source's order (I4, I5): who may do what, and when.
 *
 * Each batch has a ticket, 1, 2, 3 ... in the source's order. Before its first statement a batch says, row by row, which
 * keys it reads or writes; turns answers whether the row is early (no batch before it that is not yet committed, and no
 * late row of its own, has to do with these keys: it may run at once) or late (it must wait for the batch's turn, when all
 * before it are committed). So two batches under way never want the same row, unless a key was not known: then the
 * destination's locks and constraints say so, and the batches are done again one after the other.
 *
 * Thread-safe; between turns_enter and turns_entered one ticket at a time. Knows nothing of tables or databases. */
#ifndef ROWTIDE_TURNS_H
#define ROWTIDE_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turns;
struct touch {
    uint64_t key; /* hash of a table and a key's values: equal keys, equal hashes */
    bool write;   /* readers (of a key that a foreign key names) do not disturb each other */
};
struct turns *turns_new(void); /* NULL: out of memory */
void turns_free(struct turns *t);
/* Nobody is under way: the next ticket is 1, an abort is over. */
void turns_reset(struct turns *t);

/* Waits until the ticket before has entered. False: aborted. */
bool turns_enter(struct turns *t, uint64_t ticket);
/* One row of the batch that is entering, in the source's order. True: late. Out of memory: late, and so is all behind. */
bool turns_touch(struct turns *t, uint64_t ticket, const struct touch *touches, size_t n);
/* Touches that come soon: their memory is fetched meanwhile. Changes nothing. */
void turns_expect(const struct turns *t, const struct touch *touches, size_t n);
/* A row that may touch anything: late, and everything behind it in this batch and later ones. */
void turns_touch_all(struct turns *t, uint64_t ticket);
void turns_entered(struct turns *t, uint64_t ticket);
/* Waits until all tickets before are committed. False: aborted. */
bool turns_wait(struct turns *t, uint64_t ticket);
void turns_committed(struct turns *t, uint64_t ticket);
/* Everybody who waits, or will, is sent back. */
void turns_abort(struct turns *t);

#endif
