/* relation.h - one definition of one table: names, types, charsets, key. Its identity is a hash of the canonical bytes.
 *
 * A relation is immutable and reference-counted (atomically); columns and labels are views into memory it owns. */
#ifndef ROWTIDE_RELATION_H
#define ROWTIDE_RELATION_H

#include "value.h"

enum col_type { /* numbers are stored in segments: never renumber */
                COL_INT = 1,
                COL_FLOAT = 2,
                COL_DOUBLE = 3,
                COL_DECIMAL = 4,
                COL_DATE = 5,
                COL_TIME = 6,
                COL_DATETIME = 7,
                COL_TIMESTAMP = 8,
                COL_YEAR = 9,
                COL_CHAR = 10,    /* character strings: values are VAL_TEXT */
                COL_VARCHAR = 11, /* */
                COL_TEXT = 12,    /* */
                COL_BINARY = 13,  /* byte strings: values are VAL_BYTES */
                COL_VARBINARY = 14,
                COL_BLOB = 15,
                COL_BIT = 16,
                COL_ENUM = 17,
                COL_SET = 18,
                COL_JSON = 19,
                COL_GEOMETRY = 20,
                COL_VECTOR = 21
};

struct column {
    struct bytes name; /* UTF-8 */
    uint8_t type;      /* enum col_type */
    uint8_t int_bits;  /* COL_INT: 8 16 24 32 64 */
    bool is_unsigned;  /* COL_INT; COL_FLOAT/DOUBLE/DECIMAL too where declared so */
    bool nullable;
    bool visible;      /* false: an INVISIBLE column */
    uint8_t precision; /* COL_DECIMAL */
    uint8_t scale;     /* COL_DECIMAL: digits behind the point; temporals: fractional digits 0..6 */
    uint32_t length;   /* CHAR/VARCHAR/TEXT/BINARY/VARBINARY/BLOB: bytes at most in the source's charset (TEXT/BLOB: the
                            length class: 255 65535 16777215 4294967295); BIT: bits; VECTOR: dimensions; GEOMETRY: its type code */
    uint16_t char_bytes; /* character strings: most bytes one character takes in the source's charset; 0 if unknown */
    struct bytes
        charset;      /* the source's name ("utf8mb4", "latin1"); empty for what has none. Values are UTF-8 already */
    uint16_t key_pos; /* 0: not in the primary key, else its place in it from 1 */
    uint32_t nlabels; /* ENUM, SET */
    const struct bytes *labels; /* UTF-8 */
};

struct relation {
    uint64_t id; /* identity: the first 8 bytes of SHA-256 over the canonical bytes, little-endian; never 0 */
    struct bytes schema, table;
    unsigned ncols;
    const struct column *cols;
    unsigned nkey;          /* 0: no primary key */
    const uint16_t *key;    /* column numbers in key order */
    struct bytes canonical; /* the canonical bytes (docs/segment-format.md, "Relation") */
};

/* Builds from loose parts (schema, table, cols with key_pos set); copies everything. ERR_CORRUPT for a definition that is
 * not sane (no columns, > 4096, duplicate key positions, labels on a non-enum ...). Reference count 1. */
bool relation_new(struct bytes schema, struct bytes table, const struct column *cols, unsigned ncols,
                  struct relation **out, struct err *err);
/* From canonical bytes; every length checked (I9). */
bool relation_parse(struct bytes canonical, struct relation **out, struct err *err);
struct relation *relation_ref(const struct relation *r); /* same pointer, one more reference */
void relation_unref(struct relation *r);                 /* NULL is fine */
int relation_column(const struct relation *r,
                    struct bytes name); /* number, or -1; exact match, then ASCII case-insensitive */
/* The MySQL type as a person writes it: "int unsigned", "decimal(10,2)", "varchar(20)", "enum('a','b')". */
void column_type_text(const struct column *c, struct buf *out);
/* A value as val_text does, but ENUM and SET print labels, BIT prints its number. */
void column_value_text(const struct column *c, const struct val *v, struct buf *out);

#endif
