/* charset.c - see charset.h.
 *
 * What a server has no character for is an error here: it would itself print '?' there, which is a changed value. One
 * exception is deliberate: codes that the server keeps but cannot convert, and the character set's present standard
 * can (NEC and IBM extensions in sjis and ujis, some of big5, 8 letters of cp1256, 3 of greek). */
#include "charset_table.h"

#include <assert.h>
#include <iconv.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    UTF8_MOST =
        3 /* bytes of UTF-8 per input byte at most: single bytes become up to 3, 2-byte units up to 3, 4-byte up to 4 */
};

const struct charset *charset_of_collation(unsigned number)
{
    size_t lo = 0, hi = collation_nranges;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (number > collation_ranges[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == collation_nranges || number < collation_ranges[lo].first)
        return NULL;
    return &charset_infos[collation_ranges[lo].info].pub;
}

const struct charset *charset_by_name(struct bytes name)
{
    if (bytes_eq_str(name, "utf8")) /* its name before MySQL 8.0.30 and MariaDB 10.6 */
        name = BYTES_LIT("utf8mb3");
    for (size_t i = 0; i < charset_ninfos; i++)
        if (bytes_eq_str(name, charset_infos[i].pub.name))
            return &charset_infos[i].pub;
    return NULL;
}

bool charset_has_ascii(const struct charset *pub)
{
    enum { KINDS = 1 << CHARSET_UTF8 | 1 << CHARSET_ASCII | 1 << CHARSET_ICONV | 1 << CHARSET_SINGLE };
    const struct charset_info *cs = (const struct charset_info *)pub;
    return (1U << cs->kind & KINDS) != 0 && cs->low == NULL;
}

bool charset_is_utf8(const struct charset *pub)
{
    return ((const struct charset_info *)pub)->kind == CHARSET_UTF8;
}

static size_t ascii_prefix(struct bytes b)
{
    size_t i = 0;
    for (; b.n - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, b.p + i, 8);
        if ((word & 0x8080808080808080U) != 0)
            break;
    }
    while (i < b.n && b.p[i] < 0x80)
        i++;
    return i;
}

static bool is_tail(uint8_t b)
{
    return (b & 0xc0) == 0x80;
}

/* Bytes of the character at p; 0: not valid (Unicode 15, table 3-7). */
static size_t utf8_char(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2)
        return 0;
    if (p[0] < 0xe0)
        return n >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] < 0xf0) {
        if (n < 3 || !is_tail(p[1]) || !is_tail(p[2]) || (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (p[0] > 0xf4 || n < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return 4;
}

static size_t valid_prefix(struct bytes b)
{
    size_t i = 0;
    while (i < b.n) {
        i += ascii_prefix((struct bytes){ b.p + i, b.n - i });
        if (i == b.n)
            break;
        size_t n = utf8_char(b.p + i, b.n - i);
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

#ifdef __SSE2__
enum { BLOCK = 16 };

static inline unsigned below(__m128i v, uint8_t limit) /* bytes of 0x80 and more are negative, and in order */
{
    return (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(v, _mm_set1_epi8((char)limit)));
}

/* A whole text at once, 16 bytes a step: where characters begin that have 2, 3 and 4 bytes, there the tails must be that these need,
 * and no others. False: it is not valid, or cannot be said like this. */
static bool all_valid(struct bytes b)
{
    unsigned due = 0; /* tails that the last block still needs: bit 0 for the first byte of this one */
    for (size_t i = 0; i < b.n; i += BLOCK) {
        size_t n = b.n - i < BLOCK ? b.n - i : BLOCK;
        uint8_t rest[BLOCK] = { 0 };
        const uint8_t *p = b.p + i;
        if (n < BLOCK) {
            memcpy(rest, p, n);
            p = rest;
        }
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned high = (unsigned)_mm_movemask_epi8(v);
        if (high == 0 && due == 0)
            continue;
        unsigned tails = below(v, 0xc0), two = below(v, 0xe0) & high, three = below(v, 0xf0) & high;
        unsigned first2 = two & ~tails, first3 = three & ~two, first4 = high & ~three;
        unsigned want = due | (first2 | first3 | first4) << 1 | (first3 | first4) << 2 | first4 << 3;
        if ((want & 0xffff) != tails || (below(v, 0xc2) & first2) != 0)
            return false;
        due = want >> BLOCK;
        if ((first3 | first4) == 0)
            continue;
        /* Overlong ones, surrogates, and what lies beyond the last character are told by the first and second byte. */
        __m128i e0 = _mm_cmpeq_epi8(v, _mm_set1_epi8((char)0xe0)), ed = _mm_cmpeq_epi8(v, _mm_set1_epi8((char)0xed));
        unsigned odd = (unsigned)_mm_movemask_epi8(_mm_or_si128(e0, ed)) | first4;
        for (; odd != 0; odd &= odd - 1) {
            size_t at = i + (unsigned)__builtin_ctz(odd);
            if (utf8_char(b.p + at, b.n - at) == 0)
                return false;
        }
    }
    return due == 0;
}
#else
static bool all_valid(struct bytes b)
{
    (void)b;
    return false;
}
#endif

size_t charset_utf8_valid(struct bytes b)
{
    return all_valid(b) ? b.n : valid_prefix(b);
}

static size_t put_utf8(uint8_t *to, uint32_t code) /* code is a character: no surrogate, below 0x110000 */
{
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (uint8_t)(0xc0 | code >> 6);
        to[1] = (uint8_t)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (uint8_t)(0xe0 | code >> 12);
        to[1] = (uint8_t)(0x80 | (code >> 6 & 63));
        to[2] = (uint8_t)(0x80 | (code & 63));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | code >> 18);
    to[1] = (uint8_t)(0x80 | (code >> 12 & 63));
    to[2] = (uint8_t)(0x80 | (code >> 6 & 63));
    to[3] = (uint8_t)(0x80 | (code & 63));
    return 4;
}

static bool invalid(const struct charset_info *cs, struct bytes in, size_t at, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "byte %zu (0x%02x) of a text of %zu bytes is not valid in character set %s", at,
                   at < in.n ? in.p[at] : 0U, in.n, cs->pub.name);
}

struct sink { /* output of a conversion: room for the worst case is there from the start */
    uint8_t *p;
    size_t n;
    unsigned *replaced; /* counts what became U+FFFD; NULL: nothing may */
};

/* The bytes at `at` are no character. True: U+FFFD stands for them now. */
static bool replace(const struct charset_info *cs, struct bytes in, size_t at, struct sink *out, struct err *err)
{
    if (out->replaced == NULL)
        return invalid(cs, in, at, err);
    ++*out->replaced;
    out->n += put_utf8(out->p + out->n, 0xfffd);
    return true;
}

/* CHARSET_UTF8 and CHARSET_ASCII: bytes as they are. plain: how many in front are valid. */
static bool same(const struct charset_info *cs, struct bytes in, size_t plain, struct sink *out, struct err *err)
{
    for (size_t at = 0;;) {
        memcpy(out->p + out->n, in.p + at, plain);
        out->n += plain;
        at += plain;
        if (at == in.n)
            return true;
        if (!replace(cs, in, at++, out, err))
            return false;
        struct bytes rest = { in.p + at, in.n - at };
        plain = cs->kind == CHARSET_UTF8 ? charset_utf8_valid(rest) : ascii_prefix(rest);
    }
}

static bool single(const struct charset_info *cs, struct bytes in, struct sink *out, struct err *err)
{
    for (size_t i = 0; i < in.n; i++) {
        uint8_t b = in.p[i];
        uint32_t code = b >= 0x80 ? cs->high[b - 0x80] : cs->low != NULL ? cs->low[b] : b;
        if (code == 0 && b != 0) {
            if (!replace(cs, in, i, out, err))
                return false;
            continue;
        }
        out->n += put_utf8(out->p + out->n, code);
    }
    return true;
}

static bool is_surrogate(uint32_t code)
{
    return code >= 0xd800 && code < 0xe000;
}

static bool wide(const struct charset_info *cs, struct bytes in, struct sink *out, struct err *err)
{
    struct cur c = cur_over(in);
    size_t unit = cs->kind == CHARSET_UTF32 ? 4 : 2, start = 0; /* start: of what c is over */
    while (cur_left(&c) != 0) {
        size_t at = start + cur_at(&c);
        uint32_t code;
        if (cs->kind == CHARSET_UTF32)
            code = (uint32_t)cur_be(&c, 4);
        else
            code = (uint32_t)(cs->kind == CHARSET_UTF16LE ? cur_le(&c, 2) : cur_be(&c, 2));
        if ((cs->kind == CHARSET_UTF16 || cs->kind == CHARSET_UTF16LE) && code >= 0xd800 && code < 0xdc00) {
            uint32_t low = (uint32_t)(cs->kind == CHARSET_UTF16LE ? cur_le(&c, 2) : cur_be(&c, 2));
            if (low >= 0xdc00 && low < 0xe000)
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        if (c.why != NULL || is_surrogate(code) || code > 0x10ffff) {
            if (!replace(cs, in, at, out, err))
                return false;
            start = in.n - at < unit ? in.n : at + unit;
            c = cur_over((struct bytes){ in.p + start, in.n - start });
            continue;
        }
        out->n += put_utf8(out->p + out->n, code);
    }
    return true;
}

/* iconv handles, one set per thread. */
enum { HANDLES = 16 };
struct handles {
    struct {
        const char *name;
        iconv_t h;
    } v[HANDLES];
};
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

static void drop(void *p)
{
    struct handles *hs = p;
    for (size_t i = 0; i < HANDLES && hs->v[i].name != NULL; i++)
        iconv_close(hs->v[i].h);
    free(hs);
}
static void make_key(void)
{
    have_key = pthread_key_create(&key, drop) == 0;
}

static bool handle_of(const struct charset *cs, iconv_t *out, struct err *err)
{
    pthread_once(&once, make_key);
    if (!have_key)
        return err_nomem(err);
    struct handles *hs = pthread_getspecific(key);
    if (hs == NULL) {
        hs = calloc(1, sizeof *hs);
        if (hs == NULL)
            return err_nomem(err);
        if (pthread_setspecific(key, hs) != 0) {
            free(hs);
            return err_nomem(err);
        }
    }
    size_t i = 0;
    while (i < HANDLES && hs->v[i].name != NULL && strcmp(hs->v[i].name, cs->iconv) != 0)
        i++;
    assert(i < HANDLES); /* the table has fewer names */
    if (hs->v[i].name == NULL) {
        iconv_t h = iconv_open("UTF-8", cs->iconv);
        if (h == (iconv_t)-1)
            return err_set(err, ERR_UNSUPPORTED,
                           "character set %s: this system's iconv does not know %s (Debian: libc-bin, gconv-modules)",
                           cs->name, cs->iconv);
        hs->v[i].h = h;
        hs->v[i].name = cs->iconv;
    }
    *out = hs->v[i].h;
    return true;
}

/* Bytes of the character at p by its first bytes; 0: no character begins so. */
static size_t char_bytes(enum charset_lead lead, const uint8_t *p, size_t n)
{
    uint8_t b = p[0];
    size_t want = 2;
    if (b < 0x80)
        return 1;
    if (b == 0x80 || b == 0xff)
        return 0;
    switch (lead) {
    case LEAD_DOUBLE:
        break;
    case LEAD_SJIS: /* half-width katakana are single bytes */
        if (b == 0xa0 || b > 0xfc)
            return 0;
        want = b > 0xa0 && b < 0xe0 ? 1 : 2;
        break;
    case LEAD_EUCJP:
        if (b < 0xa1 && b != 0x8e && b != 0x8f)
            return 0;
        want = b == 0x8f ? 3 : 2;
        break;
    case LEAD_GB18030:
        want = n >= 2 && p[1] >= 0x30 && p[1] <= 0x39 ? 4 : 2;
        break;
    }
    return want <= n ? want : 0;
}

static uint32_t fix_for(const struct charset_info *cs, const uint8_t *p, size_t n)
{
    uint32_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes = bytes << 8 | p[i];
    size_t lo = 0, hi = cs->nfixes;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cs->fixes[mid].bytes < bytes)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < cs->nfixes && cs->fixes[lo].bytes == bytes ? cs->fixes[lo].code : 0;
}

static bool by_iconv(const struct charset_info *cs, iconv_t h, struct bytes in, size_t from, size_t to,
                     struct sink *out, struct err *err)
{
    while (from != to) {
        char *src = (char *)(uintptr_t)(in.p + from); /* iconv does not write there */
        size_t src_n = to - from;
        char *dst = (char *)(out->p + out->n);
        size_t dst_n = src_n * UTF8_MOST;
        size_t r = iconv(h, &src, &src_n, &dst, &dst_n);
        if (r == 0 && src_n == 0) {
            out->n = (size_t)((uint8_t *)dst - out->p);
            return true;
        }
        (void)iconv(h, NULL, NULL, NULL, NULL);
        size_t at = to - src_n < to ? to - src_n : from;
        if (r != (size_t)-1) /* something was replaced, and nobody says what */
            return invalid(cs, in, at, err);
        out->n = (size_t)((uint8_t *)dst - out->p);
        if (!replace(cs, in, at, out, err))
            return false;
        size_t skip = char_bytes(cs->lead, in.p + at, to - at);
        from = at + (skip == 0 ? 1 : skip);
    }
    return true;
}

static bool multi(const struct charset_info *cs, struct bytes in, struct sink *out, struct err *err)
{
    iconv_t h = NULL;
    if (!handle_of(&cs->pub, &h, err))
        return false;
    size_t done = 0; /* what lies before it is converted */
    for (size_t i = 0; i < in.n;) {
        size_t n = char_bytes(cs->lead, in.p + i, in.n - i);
        if (n == 0) {
            if (!by_iconv(cs, h, in, done, i, out, err) || !replace(cs, in, i, out, err))
                return false;
            done = ++i;
            continue;
        }
        uint32_t code = n > 1 && cs->nfixes != 0 ? fix_for(cs, in.p + i, n) : 0;
        if (code != 0) {
            if (!by_iconv(cs, h, in, done, i, out, err))
                return false;
            out->n += put_utf8(out->p + out->n, code);
            done = i + n;
        }
        i += n;
    }
    return by_iconv(cs, h, in, done, in.n, out, err);
}

static bool convert(const struct charset *pub, struct bytes in, struct arena *a, struct bytes *out, unsigned *replaced,
                    struct err *err)
{
    const struct charset_info *cs = (const struct charset_info *)pub;
    *out = in;
    if (cs->kind == CHARSET_BINARY || in.n == 0 || (charset_has_ascii(pub) && charset_ascii(in)))
        return true;
    size_t good = 0; /* bytes in front that stay as they are */
    if (cs->kind == CHARSET_UTF8 || cs->kind == CHARSET_ASCII) {
        good = cs->kind == CHARSET_UTF8 ? charset_utf8_valid(in) : ascii_prefix(in);
        if (good == in.n || replaced == NULL)
            return good == in.n || invalid(cs, in, good, err);
    }
    if (in.n > SIZE_MAX / UTF8_MOST)
        return err_nomem(err);
    struct sink s = { arena_alloc(a, in.n * UTF8_MOST, err), 0, replaced };
    if (s.p == NULL)
        return false;
    bool ok = cs->kind == CHARSET_SINGLE                              ? single(cs, in, &s, err)
              : cs->kind == CHARSET_ICONV                             ? multi(cs, in, &s, err)
              : cs->kind == CHARSET_UTF8 || cs->kind == CHARSET_ASCII ? same(cs, in, good, &s, err)
                                                                      : wide(cs, in, &s, err);
    if (ok)
        *out = (struct bytes){ s.p, s.n };
    return ok;
}

bool charset_to_utf8(const struct charset *cs, struct bytes in, struct arena *a, struct bytes *out, struct err *err)
{
    return convert(cs, in, a, out, NULL, err);
}

bool charset_to_utf8_replacing(const struct charset *cs, struct bytes in, struct arena *a, struct bytes *out,
                               unsigned *replaced, struct err *err)
{
    *replaced = 0;
    return convert(cs, in, a, out, replaced, err);
}
