/* pg_encode.h - struct val to what PostgreSQL takes as a parameter: binary where we know the type, else text that the
 * statement casts.
 *
 * Pure. Decides by the destination column's type. What PostgreSQL would round or cut without a word (digits beyond
 * numeric(p,s), fractions beyond timestamp(n), blanks beyond varchar(n)) is an error here (I7). Binary forms:
 * PostgreSQL source, the *_recv functions (src/backend/utils/adt/numeric.c, date.c, timestamp.c, varbit.c,
 * arrayfuncs.c, jsonb.c). */
#ifndef ROWTIDE_PG_ENCODE_H
#define ROWTIDE_PG_ENCODE_H

#include "pg_catalog.h"
#include "shape.h"
#include "subscription.h"

enum pg_oid { /* src/include/catalog/pg_type.dat */
              PG_BOOL = 16,
              PG_BYTEA = 17,
              PG_INT8 = 20,
              PG_INT2 = 21,
              PG_INT4 = 23,
              PG_TEXT = 25,
              PG_JSON = 114,
              PG_FLOAT4 = 700,
              PG_FLOAT8 = 701,
              PG_BPCHAR = 1042,
              PG_VARCHAR = 1043,
              PG_DATE = 1082,
              PG_TIME = 1083,
              PG_TIMESTAMP = 1114,
              PG_TIMESTAMPTZ = 1184,
              PG_INTERVAL = 1186,
              PG_BIT = 1560,
              PG_VARBIT = 1562,
              PG_NUMERIC = 1700,
              PG_UUID = 2950,
              PG_JSONB = 3802
};
uint32_t pg_array_oid(uint32_t type); /* 0: none that we write in binary */

struct pg_policy {
    enum zero_date_policy zero_date;
    enum nul_policy nul;
};
enum pg_form {
    PG_DONE, /* appended */
    PG_NULL, /* NULL goes there: the value is NULL, or a zero date by policy (*coerced grows) */
    PG_CAST, /* this value has no binary form for that type: send the column as text */
    PG_BAD   /* the column cannot hold it: err says why, without table and column */
};
/* One value; as_text: its text for a cast, whatever the type. src is the shape's column (labels, bit width). */
enum pg_form pg_encode(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                       const struct val *v, bool as_text, struct buf *out, uint64_t *coerced, struct err *err);
/* The same with its length of four bytes in front, -1 for NULL: an element of a binary array, a field of a binary COPY. */
enum pg_form pg_encode_field(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                             const struct val *v, bool as_text, struct buf *out, uint64_t *coerced, struct err *err);
/* A column's values as one binary array: of the column's type, or of text when that does not do (*as_text). On failure
 * *bad is the number of the one at fault. */
bool pg_encode_array(const struct pg_policy *p, const struct pg_column *dst, const struct shape_col *src,
                     const struct val *values, size_t n, struct buf *out, bool *as_text, uint64_t *coerced, size_t *bad,
                     struct err *err);

#endif
