/* transform.h - the transform stage: decoded frames in, batches out. Decides nothing about destinations.
 *
 * Rows without a handler are passed through in the relation's own shape. Merges whole transactions into a batch until
 * it is due; cuts a transaction that outgrows the limits into pieces (starts_inside / ends_inside), never two
 * transactions into one piece then (I5). */
#ifndef ROWTIDE_TRANSFORM_H
#define ROWTIDE_TRANSFORM_H

#include "lua_host.h"

enum script_error_policy { ON_ERROR_STOP, ON_ERROR_SKIP, ON_ERROR_DEAD_LETTER };
struct transform_options {
    size_t batch_rows, batch_bytes; /* a batch is due at either */
    enum script_error_policy
        on_error; /* SKIP: the row is dropped, counted and logged; DEAD_LETTER: handed over in batch.dead */
};
struct transform_stats {
    uint64_t changes, dropped, emitted, script_errors, skipped;
};
struct transform;
bool transform_new(const struct transform_options *o, struct lua_host *h /* NULL: none */, struct shape_table *shapes,
                   struct transform **out, struct err *err);
void transform_free(struct transform *t);
/* Consumes records of f from *from on, until the frame is used up or a batch is due; *from is advanced. *out: a due
 * batch, or NULL. Errors name the script line, LSN, table and key; after one, transform_take still gives the whole
 * transactions before it, and t is done with. */
bool transform_feed(struct transform *t, struct frame *f, unsigned *from, struct batch **out, struct err *err);
/* What has gathered, if it ends at a commit (or is a piece): called when no input is at hand. NULL: nothing. */
struct batch *transform_take(struct transform *t);
const struct transform_stats *transform_stats(const struct transform *t);

#endif
