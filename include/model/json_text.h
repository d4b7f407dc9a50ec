/* json_text.h - writes JSON: strings escaped, values of every kind as docs/json-lines.md says. Pure.
 *
 * 64-bit integers are exact numbers, floats their shortest round trip, decimals strings, bytes/geometry/vector base64
 * strings, bit numbers, date/time/datetime strings ("2024-02-29 10:11:12.345"), instants RFC 3339 ("2024-02-29T10:11:12.345Z"),
 * enum the label ("" for number 0), set an array of labels, JSON columns embedded as they are, NULL null. VAL_ABSENT must
 * not be passed: a caller leaves the member out. Text that is not UTF-8 cannot occur (capture converts). */
#ifndef ROWTIDE_JSON_TEXT_H
#define ROWTIDE_JSON_TEXT_H

#include "relation.h"

void json_string(struct buf *out, struct bytes s); /* with quotes; invalid UTF-8 becomes U+FFFD */
void json_value(struct buf *out, const struct column *c /* NULL: no labels known */, const struct val *v);
void json_base64(struct buf *out, struct bytes s); /* with quotes */
/* {"a":1,...} over the columns that are present. names come from the relation. */
void json_row(struct buf *out, const struct relation *r, const struct val *row);

#endif
