/* charset.h - the servers' collation numbers and converting their character sets to UTF-8: own tables for single-byte
 * sets and the Unicode forms, iconv for the East Asian ones, a fast path for ASCII and utf8. */
#ifndef ROWTIDE_CHARSET_H
#define ROWTIDE_CHARSET_H

#include "arena.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct charset {
    const char *name;  /* "latin1": the server's name */
    const char *iconv; /* NULL: bytes are UTF-8 already; else something must be converted */
    uint8_t max_bytes; /* a character takes at most */
    bool binary;       /* the pseudo charset `binary` */
};
/* By collation number (both servers share those below 1024; MariaDB has UCA-14.0 ones from 2048). NULL: unknown. */
const struct charset *charset_of_collation(unsigned number);
const struct charset *charset_by_name(struct bytes name);
/* Bytes below 0x80 are ASCII wherever a character begins: a text of only such bytes is UTF-8 as it is. */
bool charset_has_ascii(const struct charset *cs);
bool charset_is_utf8(const struct charset *cs);
/* in -> UTF-8: `in` itself when nothing needs conversion, else in the arena. ERR_CORRUPT when in is not valid in cs;
 * for utf8 columns invalid UTF-8 is ERR_CORRUPT too. Thread: each thread keeps its own iconv handles. */
bool charset_to_utf8(const struct charset *cs, struct bytes in, struct arena *a, struct bytes *out, struct err *err);
/* The same, but U+FFFD stands for what is no character: for each byte (of the Unicode forms: each unit) that none begins
 * with, for each sequence of bytes that is formed like one. *replaced: how many. */
bool charset_to_utf8_replacing(const struct charset *cs, struct bytes in, struct arena *a, struct bytes *out,
                               unsigned *replaced, struct err *err);
/* The length of the longest prefix of b that is valid UTF-8: b.n when all of it is. Surrogates and overlong forms are
 * not. */
size_t charset_utf8_valid(struct bytes b);
/* All bytes are below 0x80. Short strings are the most: no loop over their bytes, the last ones are looked at twice. */
static inline bool charset_ascii(struct bytes b)
{
    const uint8_t *p = b.p;
    size_t n = b.n;
    uint64_t seen = 0, word;
    if (n < 4)
        return n == 0 || ((p[0] | p[n / 2] | p[n - 1]) & 0x80) == 0;
    if (n < 8) {
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        return ((first | last) & 0x80808080U) == 0;
    }
    size_t i = 0;
#ifdef __SSE2__
    if (n >= 48) {
        __m128i all = _mm_setzero_si128();
        for (; n - i >= 16; i += 16)
            all = _mm_or_si128(all, _mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (_mm_movemask_epi8(all) != 0)
            return false;
    }
#endif
    for (; n - i >= 8; i += 8) {
        memcpy(&word, p + i, 8);
        seen |= word;
    }
    memcpy(&word, p + n - 8, 8);
    return ((seen | word) & 0x8080808080808080U) == 0;
}

#endif
