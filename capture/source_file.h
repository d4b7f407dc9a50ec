/* source_file.h - which binlog file an offset belongs to, where there are no GTIDs to tell: its name, and when the source made it. A source
 * that was reset begins again with the same names, and an offset of the old file may be a good one in the new. */
#ifndef ROWTIDE_SOURCE_FILE_H
#define ROWTIDE_SOURCE_FILE_H

#include "err.h"

#include <stdint.h>

/* The stream is in this file now; made: seconds, of its FORMAT_DESCRIPTION. Keeps both in the slot's file `source_file` (durable on
 * return). ERR_LOST: it was known under this name, but made at another time. */
bool source_file_note(int slot_dirfd, const char *name, uint32_t made, struct err *err);

#endif
