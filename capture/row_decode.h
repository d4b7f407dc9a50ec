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

enum { COLUMNS_MAX = 4096 }; /* of a table: the servers' limit */

/* How many bytes TABLE_MAP's metadata has for this type; -1 when the type is not known, so that the next one cannot
 * be found. */
int row_meta_bytes(uint8_t type);
/* ENUM and SET travel as STRING: what it is really. meta as it lies in TABLE_MAP, little-endian. */
uint8_t row_real_type(uint8_t type, uint16_t meta);
const char *row_type_name(uint8_t type); /* "TYPED_ARRAY", "?" */

/* row_frame.c: how a column's values get into frames; behind row_value_define. */
void row_frame_plan(struct wire_column *w, const struct column *col);

enum { ROW_US_PER_SECOND = 1000000 };
/* row_temporal.c. scale: fractional digits, 0..6. False and c->why for what is no date or time. */
unsigned row_temporal_bytes(uint8_t type, unsigned scale);
bool row_temporal_decode(struct cur *c, uint8_t type, unsigned scale, struct val *out);
enum { ROW_HOURS_MAX = 838 };
/* MySQL's 64-bit packed forms, as JSON documents hold them; false: not sane. */
static inline bool row_packed_time(int64_t packed, int64_t *us)
{
    uint64_t v = packed < 0 ? 0 - (uint64_t)packed : (uint64_t)packed;
    uint64_t hours = v >> 36, min = v >> 30 & 63, sec = v >> 24 & 63, usec = v & 0xffffff;
    int64_t all = (int64_t)(((hours * 60 + min) * 60 + sec) * ROW_US_PER_SECOND + usec);
    *us = packed < 0 ? -all : all;
    return hours <= ROW_HOURS_MAX && min <= 59 && sec <= 59 && usec < ROW_US_PER_SECOND;
}
static inline bool row_packed_datetime(int64_t packed)
{
    /* The packing (value.h) has no room for a day beyond 31, nor, being divided by 13, for a month beyond 12. */
    uint64_t v = (uint64_t)packed;
    return packed >= 0 && v >> 46 < UINT64_C(10000) * 13 && (v >> 36 & 31) < 24 && (v >> 30 & 63) < 60 &&
           (v >> 24 & 63) < 60 && (v & 0xffffff) < ROW_US_PER_SECOND;
}
/* The values of the most usual types; false: no date or time that can be. be: the value's bytes at the top, what is below is
 * arbitrary. fraction: bytes of it, at most 3. */
static inline unsigned row_us_of_unit(unsigned bytes)
{
    static const uint16_t us[4] = { 0, 10000, 100, 1 };
    return us[bytes];
}
static inline uint64_t row_fraction_us(uint64_t be, unsigned bytes)
{
    return bytes == 0 ? 0 : (be >> (64 - 8 * bytes)) * row_us_of_unit(bytes);
}
static inline bool row_datetime2(uint64_t be, unsigned fraction, int64_t *packed)
{
    int64_t whole = (int64_t)(be >> 24) - 0x8000000000;
    uint64_t us = row_fraction_us(be << 40, fraction);
    *packed = (int64_t)((uint64_t)whole << 24 | us);
    return whole >= 0 && us < ROW_US_PER_SECOND && row_packed_datetime(*packed);
}
static inline bool row_timestamp2(uint64_t be, unsigned fraction, int64_t *instant)
{
    uint64_t us = row_fraction_us(be << 32, fraction);
    *instant = (int64_t)((be >> 32) * ROW_US_PER_SECOND + us); /* unsigned: MariaDB 11.5 counts up to 2106 */
    return us < ROW_US_PER_SECOND;
}
static inline bool row_time2(uint64_t be, unsigned fraction, int64_t *us)
{
    int64_t packed;
    if (fraction == 3) { /* one number of 6 bytes */
        packed = (int64_t)(be >> 16) - 0x800000000000;
    } else { /* a negative time's fraction counts up from the next whole second below */
        int64_t whole = (int64_t)(be >> 40) - 0x800000;
        int64_t part = fraction == 0 ? 0 : (int64_t)(be << 24 >> (64 - 8 * fraction));
        if (whole < 0 && part != 0) {
            whole++;
            part -= fraction == 1 ? 0x100 : 0x10000;
        }
        packed = whole * 0x1000000 + part * row_us_of_unit(fraction);
    }
    return row_packed_time(packed, us);
}
static inline bool row_date(uint32_t d, int64_t *packed)
{
    uint64_t year = d >> 9, month = d >> 5 & 15, day = d & 31;
    *packed = (int64_t)(((year * 13 + month) << 5 | day) << 41);
    return year <= 9999 && month <= 12;
}

/* row_decimal.c. 0: precision and scale are not sane. */
unsigned row_decimal_bytes(unsigned precision, unsigned scale);
bool row_decimal_decode64(struct cur *c, unsigned precision, unsigned scale, int64_t *unscaled); /* precision <= 18 */
/* The same of one that takes at most 8 bytes. be: they at the top, what is below is arbitrary. False: no DECIMAL. */
bool row_decimal64(uint64_t be, unsigned precision, unsigned scale, int64_t *unscaled);
/* A column has 65 digits at most; a JSON document's decimal states whole groups of nine, at most nine of them. */
enum {
    ROW_DECIMAL_DIGITS_MAX = 81,
    ROW_DECIMAL_COLUMN_MAX = 65,
    ROW_DECIMAL_TEXT_MAX = 1 + ROW_DECIMAL_DIGITS_MAX + 2
};
/* Returns the number of characters, 0 on failure (c->why). */
size_t row_decimal_decode_text(struct cur *c, unsigned precision, unsigned scale, char out[ROW_DECIMAL_TEXT_MAX]);

#endif
