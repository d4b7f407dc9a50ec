/* apply_pipeline.h - one subscription from slot to destination: reader -> transform -> destination, each a stage on its own thread with a
 * bounded queue between. Compares the destination's progress with the slot first (I4), retries what may pass, falls back to single
 * rows for what may not, confirms what is durable. Knows nothing of other subscriptions (I6). */
#ifndef ROWTIDE_APPLY_PIPELINE_H
#define ROWTIDE_APPLY_PIPELINE_H

#include "apply_status.h"
#include "subscription.h"

/* Runs until stopped, done (sub->once) or failed. A stop is success. */
bool apply_run(const struct subscription *sub, struct sub_status *status, struct err *err);

#endif
