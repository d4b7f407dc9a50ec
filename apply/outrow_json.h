/* outrow_json.h - one transformed row as one JSON object: what JSON Lines destinations write and `rowtide script run` prints.
 * Fields and their order: docs/json-lines.md. */
#ifndef ROWTIDE_OUTROW_JSON_H
#define ROWTIDE_OUTROW_JSON_H

#include "batch.h"

/* Appends the object and a newline. */
void outrow_json(struct buf *out, const struct batch *b, const struct outrow *r);

#endif
