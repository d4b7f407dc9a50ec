/* json_binary.h - MySQL's binary JSON to text as the server itself prints it (JSON_PRETTY off: `{"a": 1, "b": [1,
 * 2]}`). Source: mysql-server sql-common/json_binary.h (format), json_dom.cc (text). Depth and sizes are bounded. */
#ifndef ROWTIDE_JSON_BINARY_H
#define ROWTIDE_JSON_BINARY_H

#include "buf.h"

bool json_binary_text(struct bytes in, struct buf *out, struct err *err); /* appends; ERR_CORRUPT */
/* readable: up to there, behind the document or at its end, bytes may be loaded; NULL: nothing is known. */
bool json_binary_text_within(struct bytes in, const uint8_t *readable, struct buf *out, struct err *err);

#endif
