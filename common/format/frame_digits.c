/* frame_digits.c - strings that differ in digits alone, as numbers (frame_digits.h).
 *
 * All positions of a string are handled alike, a block of bytes at a time, in loops that compilers turn into vector instructions; the digits are then
 * moved together and taken eight at a time, in one register. */
#include "frame_digits.h"

enum {
    MARK_DECIMAL = 0xff, /* in a form: a digit stands here. No text in UTF-8 has these bytes */
    MARK_LOWER = 0xfe,
    MARK_UPPER = 0xfd,
    FORM_MOST = 256, /* bytes of a string */
    BLOCK = 16,      /* bytes handled at once */
    GROUP = 16,      /* digits in a number; of base 16, eight bytes */
    FULL = 7,        /* bytes of one of base 10 */
    SAMPLE = 16,     /* strings that tell the form, and the fewest for which it is worth writing one */
    FEWEST_DIGITS = 4,
    SEEN_BITS = 10, /* of a hash of the strings that came before */
    SIZE_BYTES = 4
};

struct form {
    unsigned len, blocks; /* of a string */
    uint8_t mark;
    unsigned ndigits, lead; /* digits, and of the first number */
    uint64_t lead_end;      /* what that is less than */
    unsigned lead_bytes, bytes;
    unsigned nruns;
    struct run {
        uint8_t at, n; /* at most BLOCK digits */
    } runs[FORM_MOST];
    uint8_t base[FORM_MOST]; /* the character; '0' for a digit */
    uint8_t mask[FORM_MOST]; /* 255 for a digit */
    uint8_t live[FORM_MOST]; /* 255 up to len */
};

static const uint8_t decimal_bytes[GROUP] = { 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7 }; /* of n digits */
#define HALF_END UINT64_C(100000000)                                                            /* 10^8, */
#define DECIMAL_END (HALF_END * HALF_END)
/* Sets the rest from len, base (with marks) and mark. */
static void form_finish(struct form *f)
{
    f->blocks = (f->len + BLOCK - 1) / BLOCK;
    f->ndigits = f->nruns = 0;
    for (unsigned i = 0; i < f->blocks * BLOCK; i++) {
        bool digit = i < f->len && f->base[i] == f->mark;
        f->live[i] = i < f->len ? 255 : 0;
        f->mask[i] = digit ? 255 : 0;
        if (i >= f->len)
            f->base[i] = 0;
        if (!digit)
            continue;
        f->base[i] = '0';
        struct run *last = f->nruns == 0 ? NULL : &f->runs[f->nruns - 1];
        if (last != NULL && last->at + last->n == i && last->n < BLOCK)
            last->n++;
        else
            f->runs[f->nruns++] = (struct run){ (uint8_t)i, 1 };
        f->ndigits++;
    }
    unsigned full = f->ndigits / GROUP;
    f->lead = f->ndigits % GROUP;
    f->lead_bytes = f->mark == MARK_DECIMAL ? decimal_bytes[f->lead] : (f->lead + 1) / 2;
    f->lead_end = 1;
    for (unsigned i = 0; i < f->lead; i++)
        f->lead_end *= f->mark == MARK_DECIMAL ? 10 : 16;
    f->bytes = f->lead_bytes + full * (f->mark == MARK_DECIMAL ? FULL : GROUP / 2);
}

static unsigned letters(uint8_t mark) /* what a hex digit from 10 on has besides '0' */
{
    return mark == MARK_LOWER ? 'a' - 10 - '0' : 'A' - 10 - '0';
}

/* --- writing --- */

void frame_tail_free(struct frame_tail *t)
{
    buf_free(&t->bytes);
    buf_free(&t->sizes);
}

/* All strings have the length of the first: how many there are, or 0. */
static size_t same_lengths(struct bytes lens, unsigned *len)
{
    size_t width = lens.n == 0 || lens.p[0] < 0x80 ? 1 : 2;
    if (lens.n < SAMPLE * width || (width == 2 && lens.p[1] > 1) || memcmp(lens.p, lens.p + width, lens.n - width) != 0)
        return 0;
    *len = width == 1 ? lens.p[0] : (lens.p[0] & 0x7fu) | (unsigned)lens.p[1] << 7;
    return *len == 0 || lens.n % width != 0 ? 0 : lens.n / width;
}

enum { DECIMAL = 1, LOWER = 2, UPPER = 4, OTHER = 8 };

static unsigned kind_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return DECIMAL;
    return c >= 'a' && c <= 'f' ? LOWER : c >= 'A' && c <= 'F' ? UPPER : OTHER;
}

/* The form of SAMPLE strings, each step bytes behind the one before. False: they differ in more than digits, or hardly: zstd does better then. */
static bool form_of(struct form *f, const uint8_t *s, unsigned len, size_t step)
{
    unsigned kinds = 0, digits = 0, equal = 0;
    f->len = len;
    for (unsigned i = 0; i < len; i++) {
        const uint8_t *c = s + i;
        unsigned here = kind_of(*c), same = 0;
        for (unsigned k = 1; k < SAMPLE; k++, c += step) {
            same += c[0] == c[step];
            here |= kind_of(c[step]);
        }
        f->base[i] = MARK_DECIMAL;
        if (same == SAMPLE - 1) {
            if (*c >= MARK_UPPER)
                return false;
            f->base[i] = *c;
            continue;
        }
        kinds |= here;
        equal += same;
        digits++;
        if ((kinds & OTHER) != 0 || (kinds & (LOWER | UPPER)) == (LOWER | UPPER))
            return false;
    }
    f->mark = kinds == DECIMAL ? MARK_DECIMAL : (kinds & LOWER) != 0 ? MARK_LOWER : MARK_UPPER;
    for (unsigned i = 0; i < len; i++)
        if (f->base[i] == MARK_DECIMAL)
            f->base[i] = f->mark;
    return digits >= FEWEST_DIGITS && equal <= (SAMPLE - 1) * digits / 4;
}

/* The digits of the string at s, between zeros where there is none, to out, which is as long as the blocks are. Not 0: it is not of that form. */
FRAME_PART_HOT uint8_t take_digits(const struct form *f, bool decimal, const uint8_t *restrict s, uint8_t *restrict out)
{
    uint8_t bad[BLOCK] = { 0 }, all = 0;
    uint8_t letter = (uint8_t)letters(f->mark);
    for (unsigned b = 0; b < f->blocks; b++) {
        const uint8_t *x = s + (size_t)b * BLOCK, *base = f->base + (size_t)b * BLOCK,
                      *mask = f->mask + (size_t)b * BLOCK, *live = f->live + (size_t)b * BLOCK;
        uint8_t *y = out + (size_t)b * BLOCK;
        for (unsigned i = 0; i < BLOCK; i++) {
            uint8_t v, wrong;
            if (decimal) {
                v = (uint8_t)(x[i] - base[i]);
                uint8_t most = mask[i] & 9;
                wrong = v > most ? 255 : 0;
            } else {
                v = (uint8_t)((x[i] & 15) + ((x[i] & 0x40) != 0 ? 9 : 0));
                uint8_t back = (uint8_t)(v + '0' + (v > 9 ? letter : 0));
                uint8_t as_digit = (uint8_t)((back ^ x[i]) | (v & 0xf0)), as_other = (uint8_t)(x[i] ^ base[i]);
                wrong = (uint8_t)((as_digit & mask[i]) | (as_other & (uint8_t)~mask[i]));
            }
            y[i] = v;
            bad[i] |= wrong & live[i];
        }
    }
    for (unsigned i = 0; i < BLOCK; i++)
        all |= bad[i];
    return all;
}

/* values strings at s, of which the last end where nothing may be read. Returns how many are of the form. */
FRAME_PART_HOT size_t pack(const struct form *f, bool decimal, const uint8_t *s, size_t values, uint8_t *to)
{
    uint8_t spread[FORM_MOST + BLOCK], digits[FORM_MOST + 2 * BLOCK] = { 0 }, copy[FORM_MOST];
    const uint64_t base = decimal ? 10 : 16;
    const unsigned full = decimal ? FULL : GROUP / 2;
    const uint8_t *end = s + values * f->len;
    for (size_t i = 0; i < values; i++, s += f->len) {
        const uint8_t *from = s;
        if ((size_t)(end - s) < (size_t)f->blocks * BLOCK) {
            memset(copy, 0, sizeof copy);
            memcpy(copy, s, f->len);
            from = copy;
        }
        if (take_digits(f, decimal, from, spread) != 0)
            return i;
        uint8_t *d = digits + (f->lead == 0 ? 0 : GROUP - f->lead); /* zeros in front of the first number */
        for (unsigned r = 0; r < f->nruns; r++) {
            memcpy(d, spread + f->runs[r].at, BLOCK);
            d += f->runs[r].n;
        }
        unsigned left = f->ndigits;
        d = digits;
        if (f->lead != 0) {
            put_le(to, strings_pack8(strings_load(d), base) * (decimal ? HALF_END : UINT64_C(1) << 32) +
                           strings_pack8(strings_load(d + 8), base));
            to += f->lead_bytes;
            d += GROUP;
            left -= f->lead;
        }
        for (; left != 0; left -= GROUP, d += GROUP, to += full)
            put_le(to, strings_pack8(strings_load(d), base) * (decimal ? HALF_END : UINT64_C(1) << 32) +
                           strings_pack8(strings_load(d + 8), base));
    }
    return values;
}

/* An eighth of the strings came shortly before, as those of hot rows do: zstd finds them. Behind packed eight bytes more can be read. */
static bool repeats(const uint8_t *packed, size_t values, size_t each)
{
    uint32_t seen[1 << SEEN_BITS] = { 0 };
    size_t found = 0;
    uint64_t beginning = each < 8 ? (UINT64_C(1) << (8 * each)) - 1 : UINT64_MAX;
    for (size_t i = 0; i < values; i++, packed += each) {
        uint64_t h = (strings_load(packed) & beginning) * UINT64_C(0x9e3779b97f4a7c15);
        uint32_t *at = &seen[h >> (64 - SEEN_BITS)];
        uint32_t tag = (uint32_t)h | 1; /* not what nothing has */
        found += *at == tag;
        *at = tag;
    }
    return found > values / 8;
}

bool frame_digits_write(const struct strings *s, struct frame_tail *tail, struct buf *out)
{
    unsigned len = 0;
    struct form f;
    size_t values = same_lengths(s->len, &len);
    if (values == 0 || !form_of(&f, s->str.p, len, values / SAMPLE * len))
        return false;
    uint8_t form[FORM_MOST];
    memcpy(form, f.base, len);
    form_finish(&f);
    size_t size = values * f.bytes;
    if (f.bytes * 4 > len * 3)
        return false;
    if (!buf_grow(&tail->bytes, size + 8)) { /* eight are stored where seven count */
        out->failed = true;
        return false;
    }
    uint8_t *to = tail->bytes.p + tail->bytes.n;
    size_t done = f.mark == MARK_DECIMAL ? pack(&f, true, s->str.p, values, to) : pack(&f, false, s->str.p, values, to);
    if (done != values)
        return false;
    strings_begin(s, PART_DIGITS, out);
    buf_blob(out, bytes_of(form, len));
    if (repeats(to, values, f.bytes)) {
        buf_blob(out, bytes_of(to, size));
        return true;
    }
    buf_varint(out, 0);
    tail->bytes.n += size;
    buf_put(&tail->sizes, &(uint32_t){ (uint32_t)size }, SIZE_BYTES);
    return true;
}

void frame_tail_write(const struct frame_tail *t, struct buf *out)
{
    size_t end = t->bytes.n;
    out->failed |= t->sizes.failed;
    for (size_t i = t->sizes.n; i != 0; i -= SIZE_BYTES) {
        uint32_t n;
        memcpy(&n, t->sizes.p + i - SIZE_BYTES, sizeof n);
        end -= n;
        buf_bytes(out, bytes_of(t->bytes.p + end, n));
    }
}

/* --- reading --- */

static const char *form_read(struct form *f, struct bytes in)
{
    f->mark = 0;
    if (in.n == 0 || in.n > FORM_MOST)
        return "a form of no or too many bytes";
    f->len = (unsigned)in.n;
    memcpy(f->base, in.p, in.n);
    for (unsigned i = 0; i < f->len; i++) {
        if (f->base[i] < MARK_UPPER)
            continue;
        if (f->mark != 0 && f->base[i] != f->mark)
            return "a form with digits of two kinds";
        f->mark = f->base[i];
    }
    if (f->mark == 0)
        return "a form without digits";
    form_finish(f);
    return NULL;
}

const char *frame_digits_check(struct bytes form, size_t *len, size_t *packed)
{
    struct form f;
    const char *why = form_read(&f, form);
    if (why == NULL) {
        *len = f.len;
        *packed = f.bytes;
    }
    return why;
}

/* Eight digits of a number below base^8, the first one in the lowest byte. */
FRAME_PART_HOT void unpack8(uint8_t *to, uint64_t v, bool decimal)
{
    if (decimal) { /* halves, quarters, digits: each by a multiplication that leaves the others alone */
        v = v / 10000 | (v % 10000) << 32;
        uint64_t hundreds = (v * 5243 >> 19) & UINT64_C(0x0000007f0000007f);
        v = hundreds | (v - hundreds * 100) << 16;
        uint64_t tens = (v * 103 >> 10) & UINT64_C(0x000f000f000f000f);
        v = tens | (v - tens * 10) << 8;
    } else {
        v = v >> 16 | (v & 0xffff) << 32;
        v = (v >> 8 & UINT64_C(0x000000ff000000ff)) | (v & UINT64_C(0x000000ff000000ff)) << 16;
        v = (v >> 4 & UINT64_C(0x000f000f000f000f)) | (v & UINT64_C(0x000f000f000f000f)) << 8;
    }
    put_le(to, v);
}

FRAME_PART_HOT const char *unpack(const struct form *f, bool decimal, struct bytes packed, size_t values, uint8_t *to)
{
    uint8_t spread[FORM_MOST + BLOCK] = { 0 }, digits[FORM_MOST + 2 * BLOCK];
    const unsigned full = decimal ? FULL : GROUP / 2;
    uint8_t letter = (uint8_t)letters(f->mark);
    const uint8_t *p = packed.p, *end = packed.p + packed.n;
    for (size_t i = 0; i < values; i++) {
        uint8_t *d = digits;
        unsigned n = f->lead != 0 ? f->lead : GROUP;
        for (unsigned left = f->ndigits; left != 0; left -= n, n = GROUP, d += GROUP) {
            unsigned width = n == GROUP ? full : f->lead_bytes;
            uint64_t v = 0;
            if (end - p >= 8)
                v = strings_load(p) & (UINT64_MAX >> (64 - 8 * width));
            else
                for (unsigned k = 0; k < width; k++)
                    v |= (uint64_t)p[k] << (8 * k);
            p += width;
            if (n != GROUP ? v >= f->lead_end : decimal && v >= DECIMAL_END)
                return "a number with too many digits";
            unpack8(d, decimal ? v / HALF_END : v >> 32, decimal);
            unpack8(d + 8, decimal ? v % HALF_END : v & UINT32_MAX, decimal);
        }
        d = digits + (f->lead == 0 ? 0 : GROUP - f->lead);
        for (unsigned r = 0; r < f->nruns; r++) { /* what is stored too much is overwritten, or masked */
            memcpy(spread + f->runs[r].at, d, BLOCK);
            d += f->runs[r].n;
        }
        for (unsigned b = 0; b < f->blocks; b++)
            for (unsigned k = b * BLOCK; k < (b + 1) * BLOCK; k++) {
                uint8_t x = spread[k];
                if (!decimal)
                    x = (uint8_t)(x + (x > 9 ? letter : 0));
                to[k] = (uint8_t)((x & f->mask[k]) + f->base[k]);
            }
        to += f->len;
    }
    return NULL;
}

const char *frame_digits_read(struct bytes form, struct bytes packed, size_t values, uint8_t *to)
{
    struct form f;
    const char *why = form_read(&f, form);
    if (why != NULL)
        return why;
    return f.mark == MARK_DECIMAL ? unpack(&f, true, packed, values, to) : unpack(&f, false, packed, values, to);
}
