/* slot_counts.h - how many changes and transactions a slot holds up to an LSN: from segment headers and frame headers; at most one frame
 * is decompressed. */
#ifndef ROWTIDE_SLOT_COUNTS_H
#define ROWTIDE_SLOT_COUNTS_H

#include "slot.h"

/* lsn: 0 or a commit's. Cumulative since the slot began. ERR_LOST when lsn is no longer or not yet in the slot. */
bool slot_counts_at(const struct slot *slot, uint64_t lsn, uint64_t *changes, uint64_t *transactions, struct err *err);

#endif
