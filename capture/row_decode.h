/* row_decode.h - private to the row decoders: what the wire calls types, and the decoders that have files of their
 * own. */
#ifndef ROWTIDE_ROW_DECODE_H
#define ROWTIDE_ROW_DECODE_H

#include "row_value.h"

enum wire_type { /* MySQL source, include/field_types.h; MariaDB source, include/mysql_com.h (140, 141) */
                 WT_DECIMAL = 0,
                 WT_TINY = 1,
                 WT_SHORT = 2,
                 WT_LONG = 3,
                 WT_FLOAT = 4,
                 WT_DOUBLE = 5,
                 WT_NULL = 6,
                 WT_TIMESTAMP = 7,
                 WT_LONGLONG = 8,
                 WT_INT24 = 9,
                 WT_DATE = 10,
                 WT_TIME = 11,
                 WT_DATETIME = 12,
                 WT_YEAR = 13,
                 WT_NEWDATE = 14,
                 WT_VARCHAR = 15,
                 WT_BIT = 16,
                 WT_TIMESTAMP2 = 17,
                 WT_DATETIME2 = 18,
                 WT_TIME2 = 19,
                 WT_BLOB_COMPRESSED = 140,
                 WT_VARCHAR_COMPRESSED = 141,
                 WT_VECTOR = 242,
                 WT_TYPED_ARRAY = 244,
                 WT_JSON = 245,
                 WT_NEWDECIMAL = 246,
                 WT_ENUM = 247,
                 WT_SET = 248,
                 WT_TINY_BLOB = 249,
                 WT_MEDIUM_BLOB = 250,
                 WT_LONG_BLOB = 251,
                 WT_BLOB = 252,
                 WT_VAR_STRING = 253,
                 WT_STRING = 254,
                 WT_GEOMETRY = 255
};

/* How many bytes TABLE_MAP's metadata has for this type; -1 when the type is not known, so that the next one cannot
 * be found. */
int row_meta_bytes(uint8_t type);
/* ENUM and SET travel as STRING: what it is really. meta as it lies in TABLE_MAP, little-endian. */
uint8_t row_real_type(uint8_t type, uint16_t meta);
const char *row_type_name(uint8_t type); /* "TYPED_ARRAY", "?" */

/* row_frame.c: how a column's values get into frames; behind row_value_define. */
void row_frame_plan(struct wire_column *w, const struct column *col);

/* row_temporal.c. scale: fractional digits, 0..6. False and c->why for what is no date or time. */
unsigned row_temporal_bytes(uint8_t type, unsigned scale);
bool row_temporal_decode(struct cur *c, uint8_t type, unsigned scale, struct val *out);
/* MySQL's 64-bit packed forms, as JSON documents hold them; false: not sane. */
bool row_packed_time(int64_t packed, int64_t *us);
bool row_packed_datetime(int64_t packed);

/* row_decimal.c. 0: precision and scale are not sane. */
unsigned row_decimal_bytes(unsigned precision, unsigned scale);
bool row_decimal_decode64(struct cur *c, unsigned precision, unsigned scale, int64_t *unscaled); /* precision <= 18 */
/* A column has 65 digits at most; a JSON document's decimal states whole groups of nine, at most nine of them. */
enum {
    ROW_DECIMAL_DIGITS_MAX = 81,
    ROW_DECIMAL_COLUMN_MAX = 65,
    ROW_DECIMAL_TEXT_MAX = 1 + ROW_DECIMAL_DIGITS_MAX + 2
};
/* Returns the number of characters, 0 on failure (c->why). */
size_t row_decimal_decode_text(struct cur *c, unsigned precision, unsigned scale, char out[ROW_DECIMAL_TEXT_MAX]);

#endif
