/* value.h - one column value between decoding and the destination, and its exact text. Pure: no I/O, no clock.
 *
 * A value says what it is without its column, except that enum and set labels live in the column (relation.h). */
#ifndef ROWTIDE_VALUE_H
#define ROWTIDE_VALUE_H

#include "buf.h"

#include <assert.h>

enum val_kind {
    VAL_ABSENT, /* not in this row image (binlog_row_image=MINIMAL, NOBLOB); is not NULL. All-zero memory is absent */
    VAL_NULL,
    VAL_I64,      /* TINYINT .. BIGINT signed, YEAR (0 is 0000) */
    VAL_U64,      /* the unsigned ones */
    VAL_F32,      /* f32: FLOAT, kept apart from DOUBLE because its shortest text differs */
    VAL_F64,      /* f64: DOUBLE */
    VAL_DEC64,    /* dec: DECIMAL with precision <= 18: unscaled integer and scale */
    VAL_DECIMAL,  /* str: DECIMAL with more digits: canonical text, "-12.3400"; digits never pass through a double */
    VAL_TEXT,     /* str: UTF-8 */
    VAL_BYTES,    /* str: no character set */
    VAL_DATE,     /* i64: civil_pack with time 0; zero and partial dates are representable */
    VAL_TIME,     /* i64: microseconds, -3020399999999 .. 3020399999999 */
    VAL_DATETIME, /* i64: civil_pack; no time zone */
    VAL_INSTANT,  /* i64: microseconds since 1970-01-01 00:00:00 UTC (TIMESTAMP); 0 is MySQL's zero timestamp */
    VAL_BIT,      /* u64: BIT(n), n from the column */
    VAL_ENUM,     /* u64: number of the label from 1; 0 is the invalid value '' */
    VAL_SET,      /* u64: bit i is label i */
    VAL_JSON,     /* str: JSON text, UTF-8, as the server prints it */
    VAL_GEOMETRY, /* str: SRID (4 bytes, little-endian), then WKB */
    VAL_VECTOR,   /* str: float32 little-endian each */
    VAL_SAME      /* only inside an old image of a frame: equal to the new value. Readers resolve it (frame.h) */
};

struct val {
    uint8_t kind;  /* enum val_kind: says which member of u is set */
    uint8_t scale; /* VAL_DEC64: digits behind the point; DATE/TIME/..: fractional digits 0..6 of the column */
    union {
        int64_t i64; /* VAL_DEC64: the unscaled integer */
        uint64_t u64;
        double f64;
        float f32;
        struct bytes str; /* a view; who owns it is said where the row comes from */
    } u;
};
static_assert(sizeof(struct val) <= 24, "rows are arrays of these");

/* DATE and DATETIME as one ordered integer: ((((year*13+month)<<5|day)<<5|hour)<<6|minute)<<6|second)<<24|usec, the packing
 * that MySQL itself uses (MySQL source, sql-common/my_time.cc, TIME_to_longlong_datetime_packed). */
struct civil {
    uint16_t year;
    uint8_t mon, day, hour, min, sec;
    uint32_t usec;
};
int64_t civil_pack(struct civil c);
struct civil civil_unpack(int64_t packed);
bool civil_is_real(struct civil c); /* a day that the proleptic Gregorian calendar has, year 1..9999 */
int64_t civil_to_days(unsigned y, unsigned m, unsigned d); /* days since 1970-01-01 */
void civil_from_days(int64_t days, int *y, unsigned *m, unsigned *d);

bool val_eq(const struct val *a, const struct val *b); /* same kind and content (bitwise for floats) */
bool val_is_str(uint8_t kind);                         /* u.str is set */
const char *val_kind_name(uint8_t kind);               /* "i64", "text" ... for messages and tests */

/* Exact text as the server's own SELECT would print it, appended to out: integers, shortest round-trip floats, decimals,
 * "2024-02-29", "-838:59:59.000000", "2024-02-29 10:11:12.345" (fraction digits: scale), instants as UTC datetime; text and
 * JSON as they are; bytes, geometry and vector as they are (raw). ENUM and SET print the number. NULL prints "NULL",
 * absent prints "(absent)". */
void val_text(const struct val *v, struct buf *out);

void i64_text(int64_t v, struct buf *out);
void u64_text(uint64_t v, struct buf *out);
/* Canonical decimal arithmetic-free helpers. */
void dec64_text(int64_t unscaled, unsigned scale, struct buf *out);
/* "[-]digits[.digits]" with at most 65 digits; leading zeros dropped, trailing kept. False: not a decimal. */
bool decimal_parse(struct bytes text, bool *neg, struct bytes *int_digits, struct bytes *frac_digits);
/* Shortest digits that round-trip, in the server's shape: plain for decimal exponents -15 .. 14, else "1e20", "1.5e-16".
 * NaN and the infinities, which MySQL never holds, print as "NaN", "Infinity", "-Infinity". */
void f64_text(double v, struct buf *out);
void f32_text(float v, struct buf *out);

#endif
