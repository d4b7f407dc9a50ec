/* frame_digits.c - strings that differ in digits alone, as numbers (frame_digits.h).
 *
 * All positions of a string are handled alike, a block of bytes at a time, in loops that compilers turn into vector instructions; the digits are then
 * moved together and taken eight at a time, in one register. */
#include "frame_digits.h"

#include "frame.h"

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
    SIZE_BYTES = 4,
    BATCH = 8 /* strings */
};

struct form {
    unsigned len, blocks; /* of a string */
    uint8_t mark;
    unsigned ndigits, lead;                          /* digits, and of the first number */
    uint64_t lead_end;                               /* what that is less than */
    unsigned lead_bytes, full_bytes, numbers, bytes; /* bytes of the first number, of another one, of all */
    unsigned nruns;
    struct run {
        uint8_t at, n; /* at most BLOCK digits */
    } runs[FORM_MOST];
    uint8_t base[FORM_MOST]; /* the character; '0' for a digit */
    uint8_t mask[FORM_MOST]; /* 255 for a digit */
    uint8_t live[FORM_MOST]; /* 255 up to len */
};

static const uint8_t decimal_bytes[GROUP] = { 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7 }; /* of n digits */
#define HALF_END UINT64_C(100000000)                                                            /* 10^8 */

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
    bool decimal = f->mark == MARK_DECIMAL;
    f->lead = f->ndigits % GROUP;
    f->lead_bytes = decimal ? decimal_bytes[f->lead] : (f->lead + 1) / 2;
    f->lead_end = 1;
    for (unsigned i = 0; i < f->lead; i++)
        f->lead_end *= decimal ? 10 : 16;
    f->full_bytes = decimal ? FULL : GROUP / 2;
    f->numbers = full + (f->lead != 0);
    f->bytes = f->lead_bytes + full * f->full_bytes;
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

/* Of eight places from s on, each in its byte: in how many of the SAMPLE strings there, each step bytes behind the one before, the character is that of the
 * one before; *odd: whether it is not always a decimal digit. Behind end nothing may be read. */
FRAME_PART_HOT uint64_t compare8(const uint8_t *s, size_t step, const uint8_t *end, uint64_t *odd)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), low = ones * 0x7f;
    uint64_t before = 0, same = 0;
    *odd = 0;
    for (unsigned k = 0; k < SAMPLE; k++, s += step) {
        uint64_t v = 0;
        if (end - s >= 8)
            v = strings_load(s);
        else
            for (unsigned i = 0; s + i < end; i++)
                v |= (uint64_t)s[i] << (8 * i);
        uint64_t other = v ^ before, digit = v ^ (ones * '0');
        same += k == 0 ? 0 : ~(((other & low) + low) | other) >> 7 & ones;
        *odd |= (((digit & low) + ones * (0x80 - 10)) | digit) >> 7 & ones;
        before = v;
    }
    return same;
}

/* The kinds of the SAMPLE characters from c on. */
static unsigned kinds_of(const uint8_t *c, size_t step)
{
    unsigned kinds = 0;
    for (unsigned k = 0; k < SAMPLE; k++)
        kinds |= kind_of(c[k * step]);
    return kinds;
}

/* The form of SAMPLE strings, each step bytes behind the one before. False: they differ in more than digits, or hardly: zstd does better then. */
static bool form_of(struct form *f, const uint8_t *s, unsigned len, size_t step, const uint8_t *end)
{
    unsigned kinds = DECIMAL, digits = 0, equal = 0;
    uint64_t same = 0, odd = 0;
    f->len = len;
    for (unsigned i = 0; i < len; i++, same >>= 8, odd >>= 8) {
        if (i % 8 == 0)
            same = compare8(s + i, step, end, &odd);
        f->base[i] = MARK_DECIMAL;
        if ((same & 0xff) == SAMPLE - 1) {
            if (s[i] >= MARK_UPPER)
                return false;
            f->base[i] = s[i];
            continue;
        }
        kinds |= (odd & 0xff) != 0 ? kinds_of(s + i, step) : 0;
        equal += (unsigned)(same & 0xff);
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

/* Digits of some strings on their way. What was just stored in pieces would be waited for if it were read in others: so each step is done for BATCH
 * strings before the next one. */
struct batch {
    uint8_t spread[BATCH][FORM_MOST + BLOCK];     /* each at its place */
    uint8_t digits[BATCH][FORM_MOST + 2 * BLOCK]; /* together, with zeros in front of the first number */
};

FRAME_PART_HOT uint8_t *first_digit(const struct form *f, uint8_t *digits)
{
    return digits + (f->lead == 0 ? 0 : GROUP - f->lead);
}

FRAME_PART_HOT uint8_t *put_numbers(const struct form *f, bool decimal, const uint8_t *d, uint8_t *to)
{
    const uint64_t base = decimal ? 10 : 16, half = decimal ? HALF_END : UINT64_C(1) << 32;
    unsigned bytes = f->lead != 0 ? f->lead_bytes : f->full_bytes;
    for (unsigned left = f->numbers; left != 0; left--, d += GROUP) {
        strings_store(to, strings_pack8(strings_load(d), base) * half + strings_pack8(strings_load(d + 8), base));
        to += bytes;
        bytes = f->full_bytes;
    }
    return to;
}

/* values strings at s, of which the last end where nothing may be read. False: one is not of the form. */
FRAME_PART_HOT bool pack(const struct form *f, bool decimal, const uint8_t *s, size_t values, uint8_t *to)
{
    struct batch b;
    uint8_t copy[FORM_MOST];
    const uint8_t *end = s + values * f->len;
    for (unsigned i = 0; i < BATCH; i++)
        memset(b.digits[i], 0, GROUP);
    for (size_t n; values != 0; values -= n) {
        n = values < BATCH ? values : BATCH;
        for (size_t i = 0; i < n; i++, s += f->len) {
            const uint8_t *from = s;
            if ((size_t)(end - s) < (size_t)f->blocks * BLOCK) {
                memset(copy, 0, sizeof copy);
                memcpy(copy, s, f->len);
                from = copy;
            }
            if (take_digits(f, decimal, from, b.spread[i]) != 0)
                return false;
        }
        for (size_t i = 0; i < n; i++) {
            uint8_t *d = first_digit(f, b.digits[i]);
            for (unsigned r = 0; r < f->nruns; r++) {
                memcpy(d, b.spread[i] + f->runs[r].at, BLOCK);
                d += f->runs[r].n;
            }
        }
        for (size_t i = 0; i < n; i++)
            to = put_numbers(f, decimal, b.digits[i], to);
    }
    return true;
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
    if (values == 0 || !form_of(&f, s->str.p, len, values / SAMPLE * len, s->str.p + s->str.n))
        return false;
    uint8_t form[FORM_MOST];
    memcpy(form, f.base, len);
    form_finish(&f);
    size_t size = values * f.bytes;
    if (!buf_grow(&tail->bytes, size + 8)) { /* eight are stored where seven count */
        out->failed = true;
        return false;
    }
    uint8_t *to = tail->bytes.p + tail->bytes.n;
    if (f.mark == MARK_DECIMAL ? !pack(&f, true, s->str.p, values, to) : !pack(&f, false, s->str.p, values, to))
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

void frame_digits_take(struct cur *c, size_t values, struct digits_in *out)
{
    struct form f = { 0 };
    *out = (struct digits_in){ .form = cur_blob(c), .values = values };
    out->packed = cur_blob(c);
    const char *why = c->why != NULL ? c->why : form_read(&f, out->form);
    out->len = f.len;
    if (why == NULL && values > FRAME_RAW_MAX / f.len)
        why = "more text than a frame may hold";
    if (why == NULL && out->packed.n == 0 && values <= cur_left(c) / f.bytes)
        out->packed = cur_take_last(c, values * f.bytes);
    if (why == NULL && (out->packed.n / f.bytes != values || out->packed.n % f.bytes != 0))
        why = "more or fewer digits than rows";
    if (why != NULL)
        cur_fail(c, why);
}

/* One block of a string, of its digits and what it shares with the others. */
FRAME_PART_HOT void put_block(uint8_t *restrict to, const uint8_t *restrict digits, const uint8_t *restrict mask,
                              const uint8_t *restrict base, bool decimal, uint8_t letter)
{
    for (unsigned i = 0; i < BLOCK; i++) {
        uint8_t x = digits[i];
        if (!decimal)
            x = (uint8_t)(x + (x > 9 ? letter : 0));
        to[i] = (uint8_t)((x & mask[i]) + base[i]);
    }
}

/* The numbers of a string at *p. False: one has too many digits. */
FRAME_PART_HOT bool take_numbers(const struct form *f, bool decimal, const uint8_t **at, const uint8_t *end, uint8_t *d)
{
    const uint8_t *p = *at;
    const uint64_t full_end = decimal ? HALF_END * HALF_END - 1 : UINT64_MAX; /* the greatest */
    unsigned bytes = f->lead != 0 ? f->lead_bytes : f->full_bytes;
    uint64_t most = f->lead != 0 ? f->lead_end - 1 : full_end;
    for (unsigned left = f->numbers; left != 0; left--, d += GROUP) {
        uint64_t v = 0;
        if (end - p >= 8)
            v = strings_load(p) & (UINT64_MAX >> (64 - 8 * bytes));
        else
            for (unsigned k = 0; k < bytes; k++)
                v |= (uint64_t)p[k] << (8 * k);
        if (v > most)
            return false;
        strings_store(d, strings_unpack8((uint32_t)(decimal ? v / HALF_END : v >> 32), decimal));
        strings_store(d + 8, strings_unpack8((uint32_t)(decimal ? v % HALF_END : v), decimal));
        p += bytes;
        bytes = f->full_bytes;
        most = full_end;
    }
    *at = p;
    return true;
}

FRAME_PART_HOT const char *unpack(const struct form *f, bool decimal, struct bytes packed, size_t values, uint8_t *to)
{
    struct batch b;
    uint8_t letter = (uint8_t)letters(f->mark);
    const uint8_t *p = packed.p, *end = packed.p + packed.n;
    memset(b.spread, 0, sizeof b.spread);
    for (size_t n; values != 0; values -= n) {
        n = values < BATCH ? values : BATCH;
        for (size_t i = 0; i < n; i++)
            if (!take_numbers(f, decimal, &p, end, b.digits[i]))
                return "a number with too many digits";
        for (size_t i = 0; i < n; i++) {
            const uint8_t *d = first_digit(f, b.digits[i]);
            for (unsigned r = 0; r < f->nruns; r++) { /* what is stored too much is overwritten, or masked */
                memcpy(b.spread[i] + f->runs[r].at, d, BLOCK);
                d += f->runs[r].n;
            }
        }
        for (size_t i = 0; i < n; i++, to += f->len)
            for (unsigned at = 0; at < f->blocks * BLOCK; at += BLOCK)
                put_block(to + at, b.spread[i] + at, f->mask + at, f->base + at, decimal, letter);
    }
    return NULL;
}

void frame_digits_read(const struct digits_in *in, struct cur *c, uint8_t *to)
{
    struct form f;
    const char *why = form_read(&f, in->form);
    if (why == NULL)
        why = f.mark == MARK_DECIMAL ? unpack(&f, true, in->packed, in->values, to)
                                     : unpack(&f, false, in->packed, in->values, to);
    if (why != NULL)
        cur_fail(c, why);
}
