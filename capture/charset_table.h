/* charset_table.h - private to charset.c and charset_table.c. */
#ifndef ROWTIDE_CHARSET_TABLE_H
#define ROWTIDE_CHARSET_TABLE_H

#include "charset.h"

enum charset_kind {
    CHARSET_UTF8,
    CHARSET_ASCII,
    CHARSET_BINARY,
    CHARSET_SINGLE, /* one byte a character, by table */
    CHARSET_UCS2,
    CHARSET_UTF16,
    CHARSET_UTF16LE,
    CHARSET_UTF32,
    CHARSET_ICONV
};
enum charset_lead {
    LEAD_DOUBLE,
    LEAD_SJIS,
    LEAD_EUCJP,
    LEAD_GB18030
}; /* how many bytes a character's first byte asks for */
struct charset_fix {
    uint32_t bytes; /* the character's bytes, big-endian */
    uint16_t code;
};
struct charset_info {
    struct charset pub; /* first: a pointer to one is a pointer to the other */
    enum charset_kind kind;
    enum charset_lead lead;
    const uint16_t *high, *low;      /* CHARSET_SINGLE: bytes 128..255, and 0..127 where they are not ASCII */
    const struct charset_fix *fixes; /* CHARSET_ICONV: in rising order of bytes of one length */
    size_t nfixes;
};
struct collation_range {
    uint16_t first, last;
    uint8_t info;
};
extern const struct charset_info charset_infos[];
extern const size_t charset_ninfos;
extern const struct collation_range collation_ranges[];
extern const size_t collation_nranges;

#endif
