/* row_value.h - one column's value as it lies in a row event. Table-driven; each decoder checks every length.
 * Sources: MySQL libs/mysql/binlog/event/, sql-common/my_time.cc, strings/decimal.cc; MariaDB sql/log_event.cc. */
#ifndef ROWTIDE_ROW_VALUE_H
#define ROWTIDE_ROW_VALUE_H

#include "row_event.h"

/* Type, size and validity of TABLE_MAP's (type, meta) pair: fills wire and the type part of col from them;
 * is_unsigned and charset are already set. ERR_UNSUPPORTED names the type. */
bool row_value_define(uint8_t type, uint16_t meta, struct wire_column *wire, struct column *col, struct err *err);
bool row_value_decode(struct cur *c, const struct wire_column *wire, const struct column *col, struct arena *a,
                      struct val *out, struct err *err);
/* A JSON column's value as the differences to before (binary JSON; p NULL: there was no document), behind their length
 * of 4 bytes. Without any the value is same, the one before the change. */
bool row_value_json_diff(struct cur *c, struct bytes before, const struct val *same, struct arena *a, struct val *out,
                         struct err *err);

#endif
