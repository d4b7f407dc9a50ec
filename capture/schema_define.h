/* schema_define.h - private to table_map: one column as information_schema describes it, against what TABLE_MAP says of
 * it. Pure. */
#ifndef ROWTIDE_SCHEMA_DEFINE_H
#define ROWTIDE_SCHEMA_DEFINE_H

#include "row_event.h"
#include "schema_source.h"

/* What TABLE_MAP does not have: name, sign, charset, labels (in a), key, visibility, dimensions. type: the wire's, real. */
bool schema_column_define(const struct schema_column *from, uint8_t type, struct arena *a, struct wire_column *wire,
                          struct column *col, struct err *err);
/* After row_value_define: does TABLE_MAP contradict the description? ERR_CORRUPT says in what. wire_meta: as TABLE_MAP
 * has it. */
bool schema_column_check(const struct schema_column *from, uint8_t type, const struct wire_column *wire,
                         const struct column *col, struct err *err);

#endif
