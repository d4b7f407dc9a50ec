/* workers.h - threads that apply several batches at once, each over a connection of its own; they commit in the order in
 * which the batches were given (turns.h).
 *
 * One thread (the pipeline's) calls these functions. A batch that fails ends the round: batches behind it go back, are
 * rolled back, and come out of workers_take as not applied, for the caller to apply them one by one; then it calls
 * workers_reset. */
#ifndef ROWTIDE_WORKERS_H
#define ROWTIDE_WORKERS_H

#include "dest.h"

struct workers;
struct job {
    struct dest *dest;
    struct batch *batch;
    bool ok;
    struct err err;          /* why not; of a batch that only went back: nobody knows */
    bool sent_back;          /* it was not at fault */
    bool lazy;               /* dest.lazy, as it was given */
    struct dest_stats stats; /* of dest, afterwards */
    uint64_t us;             /* that it took */
};
bool workers_new(unsigned n, struct workers **out, struct err *err);
void workers_free(struct workers *w); /* ends the round first; NULL is fine */
unsigned workers_under_way(const struct workers *w);
/* A worker without a job, from 0; -1: none. Whose dest it gets is the caller's matter. */
int workers_idle(struct workers *w);
void workers_give(struct workers *w, int worker, struct dest *dest, struct batch *b);
/* The oldest batch, when it is finished; it is the caller's again. wait: until it is. False: none (or not yet). */
bool workers_take(struct workers *w, bool wait, struct job *out);
/* Sends everybody back who has not committed; workers_take(wait) collects them. */
void workers_abort(struct workers *w);
void workers_reset(struct workers *w); /* nothing is under way */

#endif
