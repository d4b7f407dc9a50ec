/* json_diff.h - a JSON document and the differences that PARTIAL_UPDATE_ROWS carries -> the document after them, as
 * the server prints it. Pure. Source: mysql-server sql-common/json_diff.h (format), json_diff.cc (what each operation
 * does), json_path.cc (paths). */
#ifndef ROWTIDE_JSON_DIFF_H
#define ROWTIDE_JSON_DIFF_H

#include "arena.h"
#include "buf.h"

/* before: binary JSON. diffs: one behind the other, each an operation (0 replace, 1 insert, 2 remove), its path with
 * its length, and but for a removal a binary JSON value with its length. They apply in order, each to what the one
 * before left. Appends to out; nothing on failure. Work beyond printing is per difference the number of differences
 * so far, not the document's size; memory in a likewise.
 * ERR_CORRUPT: not well-formed, or a difference that does not fit the document. */
bool json_diff_text(struct bytes before, struct bytes diffs, struct arena *a, struct buf *out, struct err *err);

#endif
