/* frame_fields.c - strings by the fields in which they differ (frame_fields.h). */
#include "frame_fields.h"

#include "digits.h"
#include "frame.h"

enum {
    SAMPLE = 8,         /* strings that tell what all share */
    TRIALS = 5,         /* with what many others do not share left out each time */
    FEWEST = 32,        /* strings for which that is worth a trial, */
    FEWEST_BYTES = 512, /* with so many bytes */
    SHORTEST = 8,       /* bytes of a string, on the average: a field costs a byte or two */
    LONGEST = 1024,     /* of the first one, by which the others are measured */
    SHARED_LEAST = 4,   /* a quarter of a string */
    THREES_BITS = 10,   /* of a hash of three bytes */
    MEETS = 3,          /* bytes by which two strings are seen to agree again */
    REACH = 40,         /* bytes of a field, as far as that is looked for */
    SEEN_BITS = 10,     /* of a hash of the strings that came before */
    DIGITS_MOST = 18,   /* of a number */
    PUT_SLACK = 32      /* pieces of strings are copied in whole steps of so many bytes */
};
enum { FIELD_STRINGS = 0, FIELD_NUMBERS = 1, FIELD_DIGITS = PART_DIGITS }; /* stored */

struct literal {
    const uint8_t *p;
    size_t n;
    uint64_t first, mask; /* its first bytes, up to eight, and where they are */
};
struct sentence { /* literal, field, literal, ... literal; the first and the last may be empty */
    unsigned fields;
    struct literal lits[FIELDS_MOST + 1];
};

void fields_bufs_keep(struct fields_bufs *b, size_t most)
{
    for (unsigned i = 0; i < FIELDS_MOST; i++)
        frame_part_reset(&b->fields[i], most);
    frame_part_reset(&b->others, most);
    frame_part_reset(&b->number, most);
    if (b->others_at.cap > most)
        buf_free(&b->others_at);
    buf_reset(&b->others_at);
}

void fields_bufs_free(struct fields_bufs *b)
{
    for (unsigned i = 0; i < FIELDS_MOST; i++)
        frame_part_free(&b->fields[i]);
    frame_part_free(&b->others);
    frame_part_free(&b->number);
    buf_free(&b->others_at);
}

/* --- what strings share --- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

FRAME_PART_HOT uint32_t three(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

FRAME_PART_HOT unsigned three_hash(const uint8_t *p)
{
    return three(p) * UINT32_C(2654435761) >> (32 - THREES_BITS);
}

/* Where a and b agree again in MEETS bytes, behind the least bytes of both; false: not within reach. */
static bool meet(const uint8_t *a, size_t n, const uint8_t *b, size_t m, size_t *skip_a, size_t *skip_b)
{
    uint64_t has[(1 << THREES_BITS) / 64] = { 0 }; /* what there is in a, so that few places of b are looked for */
    size_t best = SIZE_MAX;
    if (n < MEETS || m < MEETS)
        return false;
    size_t most_a = least(REACH, n - MEETS), most_b = least(REACH, m - MEETS);
    for (size_t i = 0; i <= most_a; i++) {
        unsigned h = three_hash(a + i);
        has[h / 64] |= UINT64_C(1) << (h % 64);
    }
    for (size_t j = 0; j <= most_b && j < best; j++) {
        unsigned h = three_hash(b + j);
        if ((has[h / 64] >> (h % 64) & 1) == 0)
            continue;
        for (size_t i = 0; i <= most_a && i + j < best; i++)
            if (three(a + i) == three(b + j)) {
                best = i + j;
                *skip_a = i;
                *skip_b = j;
            }
    }
    return best != SIZE_MAX;
}

enum { SHARED = 1, BREAK = 2 /* in front of the byte, others have something */ }; /* marks */

/* Takes the marks of a's bytes away that b does not share. False: too few are left. */
static bool keep_shared(struct bytes a, uint8_t *marks, struct bytes b)
{
    size_t prefix = 0, suffix = 0, most = least(a.n, b.n);
    while (prefix < most && a.p[prefix] == b.p[prefix])
        prefix++;
    while (suffix < most - prefix && a.p[a.n - 1 - suffix] == b.p[b.n - 1 - suffix])
        suffix++;
    size_t i = prefix, j = prefix, end_i = a.n - suffix, end_j = b.n - suffix, skip_i, skip_j;
    while (meet(a.p + i, end_i - i, b.p + j, end_j - j, &skip_i, &skip_j)) {
        memset(marks + i, 0, skip_i);
        i += skip_i;
        j += skip_j;
        marks[i] |= BREAK;
        while (i < end_i && j < end_j && a.p[i] == b.p[j]) {
            i++;
            j++;
        }
    }
    memset(marks + i, 0, end_i - i);
    if (i < end_i || j < end_j)
        marks[end_i] |= BREAK; /* which may be behind the last byte */
    size_t left = 0;
    for (i = 0; i < a.n; i++)
        left += marks[i] & SHARED;
    return left * SHARED_LEAST >= a.n;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void add_literal(struct sentence *s, const uint8_t *p, size_t n)
{
    struct literal *l = &s->lits[s->fields++];
    uint64_t first = 0;
    *l = (struct literal){ .p = p, .n = n, .mask = n >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * n)) - 1 };
    for (unsigned i = 0; i < n && i < 8; i++)
        first |= (uint64_t)p[i] << (8 * i);
    l->first = first;
}

/* What the marks leave of the string. A number is never divided: digits at a field's side belong to it. */
static bool sentence_of(struct sentence *s, struct bytes v, const uint8_t *marks)
{
    size_t shared = 0, at = 0;
    s->fields = 0;
    for (bool last = false; !last;) {
        bool first = at == 0 && s->fields == 0;
        size_t end = at;
        while (end < v.n && (marks[end] & SHARED) != 0 && ((marks[end] & BREAK) == 0 || (end == at && !first)))
            end++;
        last = end == v.n && ((marks[end] & BREAK) == 0 || (end == at && !first));
        size_t from = at, to = end;
        while (!first && from < to && is_digit(v.p[from]))
            from++;
        while (!last && to > from && is_digit(v.p[to - 1]))
            to--;
        if (first || last || (to - from >= MEETS && s->fields < FIELDS_MOST)) {
            add_literal(s, v.p + from, to - from);
            shared += to - from;
        }
        for (at = end; at < v.n && (marks[at] & SHARED) == 0; at++) {
        }
    }
    s->fields--;
    return s->fields != 0 && shared * SHARED_LEAST >= v.n;
}

struct sample { /* one string, and what of it others share */
    struct bytes first;
    uint8_t marks[LONGEST + 1];
};

/* Measured by string number base. False: they have too little in common. */
static bool take_sample(struct sample *out, const struct strings *s, size_t values, size_t base)
{
    struct strings_walk w = { s->len.p, s->str.p };
    for (size_t i = 0; i <= base; i++)
        out->first = strings_next(&w);
    if (out->first.n == 0 || out->first.n > LONGEST)
        return false;
    memset(out->marks, SHARED, out->first.n);
    out->marks[out->first.n] = 0;
    for (unsigned k = 1; k < SAMPLE; k++) {
        struct bytes v = out->first;
        for (size_t i = (values - base) / SAMPLE; i != 0; i--)
            v = strings_next(&w);
        if (!keep_shared(out->first, out->marks, v))
            return false;
    }
    return true;
}

/* --- writing --- */

/* l stands at p, where there are as many bytes, and readable can be read. */
FRAME_PART_HOT bool is_literal(const struct literal *l, const uint8_t *p, size_t readable)
{
    if (readable < 8)
        return memcmp(p, l->p, l->n) == 0;
    if (((strings_load(p) ^ l->first) & l->mask) != 0)
        return false;
    for (size_t i = 8; i < l->n; i += 8) {
        size_t k = least(i, l->n - 8);
        if (strings_load(p + k) != strings_load(l->p + k))
            return false;
    }
    return true;
}

/* Where l begins in the n bytes at p, of which readable can be read; n: nowhere. */
FRAME_PART_HOT size_t find(const struct literal *l, const uint8_t *p, size_t n, size_t readable)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    for (size_t i = 0; i + l->n <= n; i++) {
        if (readable - i >= 8) { /* to the next byte like the first */
            uint64_t x = strings_load(p + i) ^ (ones * l->p[0]), zero = (x - ones) & ~x & (ones << 7);
            i += zero == 0 ? 7 : (unsigned)__builtin_ctzll(zero) / 8;
            if (zero == 0 || i + l->n > n)
                continue;
        }
        if (is_literal(l, p + i, readable - i))
            return i;
    }
    return n;
}

/* The fields of v, behind which up to end can be read. False: it is another sentence. */
FRAME_PART_HOT bool take_fields(const struct sentence *s, struct bytes v, const uint8_t *end, struct bytes *out)
{
    const struct literal *before = &s->lits[0], *behind = &s->lits[s->fields];
    if (v.n < before->n + behind->n)
        return false;
    const uint8_t *p = v.p + before->n, *stop = v.p + v.n - behind->n;
    if (!is_literal(before, v.p, (size_t)(end - v.p)) || !is_literal(behind, stop, (size_t)(end - stop)))
        return false;
    for (unsigned i = 1; i < s->fields; i++) {
        size_t n = (size_t)(stop - p), at = find(&s->lits[i], p, n, (size_t)(end - p));
        if (at == n)
            return false;
        out[i - 1] = bytes_of(p, at);
        p += at + s->lits[i].n;
    }
    out[s->fields - 1] = bytes_of(p, (size_t)(stop - p));
    return true;
}

FRAME_PART_HOT uint64_t hash_field(uint64_t h, struct bytes f, size_t readable)
{
    uint64_t word = 0;
    if (readable >= 8)
        word = strings_load(f.p);
    else if (f.n != 0)
        memcpy(&word, f.p, f.n);
    if (f.n < 8)
        word &= (UINT64_C(1) << (8 * f.n)) - 1;
    return ((h ^ word) + f.n) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Divides all strings. False: it does not pay, as too many are other sentences, of which odd is one, or as too many came shortly before: zstd finds
 * those as a whole. */
static bool divide(const struct sentence *sentence, const struct strings *s, size_t values, struct fields_bufs *b,
                   struct bytes *odd)
{
    struct strings_walk w = { s->len.p, s->str.p };
    const uint8_t *end = s->str.p + s->str.n;
    uint32_t seen[1 << SEEN_BITS] = { 0 };
    size_t others = 0, repeated = 0, made = 0, gap = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < values; i++) {
        struct bytes v = strings_next(&w), f[FIELDS_MOST];
        if (!take_fields(sentence, v, end, f)) {
            if (++others > FEWEST / 8 + i / 8) {
                *odd = v;
                return false;
            }
            ok = frame_part_varint(&b->others_at, gap, &made) && frame_part_str(&b->others, v.p, v.n, v.n, &made);
            gap = 0;
            continue;
        }
        gap++;
        uint64_t h = 0;
        for (unsigned k = 0; k < sentence->fields; k++) {
            size_t readable = (size_t)(end - f[k].p);
            ok &= frame_part_str(&b->fields[k], f[k].p, f[k].n, readable, &made);
            h = hash_field(h, f[k], readable);
        }
        uint32_t *at = &seen[h >> (64 - SEEN_BITS)], tag = (uint32_t)h | 1; /* 0: nothing */
        repeated += *at == tag;
        *at = tag;
    }
    return ok && repeated <= values / 8 && made <= (s->str.n + s->len.n) / 8 * 7;
}

/* A number of at most eight digits; false: something else. */
FRAME_PART_HOT bool short_number(const uint8_t *p, size_t n, size_t readable, uint64_t *out)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t v = 0;
    if (readable >= 8) {
        v = strings_load(p);
    } else {
        for (size_t i = 0; i < n; i++)
            v |= (uint64_t)p[i] << (8 * i);
    }
    v = (v ^ ones * '0') << (64 - 8 * n); /* zeros in front */
    *out = strings_pack8(v, 10);
    return (((v + ones * (0x80 - 10)) | v) & ones << 7) == 0;
}

FRAME_PART_HOT bool number(const uint8_t *p, size_t n, size_t readable, uint64_t *out)
{
    uint64_t high = 0, low;
    if (n - 1 >= DIGITS_MOST || (n > 1 && *p == '0'))
        return false;
    for (; n > 8; n--, p++, readable--) {
        if (!is_digit(*p))
            return false;
        high = high * 10 + (uint64_t)(*p - '0');
    }
    bool ok = short_number(p, n, readable, &low);
    *out = high * 100000000 + low;
    return ok;
}

/* The field as integers, if all of it is decimal numbers, without zeros in front. */
static bool write_numbers(const struct frame_part *f, struct frame_part *as, struct buf *out)
{
    struct strings_walk w = { f->a.p, f->b.p };
    size_t ignored = 0;
    frame_part_reset(as, SIZE_MAX);
    while (w.len != f->a.p + f->a.n) {
        struct bytes v = strings_next(&w);
        uint64_t x;
        if (!number(v.p, v.n, (size_t)(f->b.p + f->b.n - v.p), &x) || !frame_part_int(as, x, &ignored))
            return false;
    }
    buf_u8(out, FIELD_NUMBERS);
    buf_blob(out, buf_view(&as->a));
    return true;
}

/* Strings of one length, for which odd ones of other lengths are left out, so that these do not keep digits from being coded. False: all have one length,
 * or too many have another one. */
static bool one_length(const struct strings *s, size_t values, struct fields_bufs *b)
{
    struct strings_walk w = { s->len.p, s->str.p };
    const uint8_t *end = s->str.p + s->str.n;
    size_t others = 0, gap = 0, ignored = 0;
    size_t first = strings_next(&w).n, second = strings_next(&w).n, third = strings_next(&w).n;
    size_t len = first == second || first == third ? first : second; /* what two of three have */
    w = (struct strings_walk){ s->len.p, s->str.p };
    fields_bufs_keep(b, SIZE_MAX);
    for (size_t i = 0; i < values; i++) {
        struct bytes v = strings_next(&w);
        bool same = v.n == len;
        if (!same && (++others > FEWEST / 8 + i / 8 || !frame_part_varint(&b->others_at, gap, &ignored)))
            return false;
        if (!frame_part_str(same ? &b->fields[0] : &b->others, v.p, v.n, (size_t)(end - v.p), &ignored))
            return false;
        gap = same ? gap + 1 : 0;
    }
    return others != 0;
}

static void write_shared(const struct strings *s, const struct sentence *sentence, const struct fields_bufs *b,
                         struct buf *out)
{
    strings_begin(s, PART_FIELDS, out);
    buf_varint(out, sentence->fields);
    for (unsigned i = 0; i <= sentence->fields; i++)
        buf_blob(out, bytes_of(sentence->lits[i].p, sentence->lits[i].n));
    buf_blob(out, buf_view(&b->others_at));
    buf_blob(out, buf_view(&b->others.a));
    buf_blob(out, buf_view(&b->others.b));
}

static bool write_digits(const struct frame_part *f, struct frame_tail *tail, struct buf *out)
{
    struct strings as = { .mode = FIELD_STRINGS, .len = buf_view(&f->a), .str = buf_view(&f->b) };
    return frame_digits_write(&as, tail, out);
}

static bool by_length(const struct strings *s, size_t values, struct fields_bufs *b, struct frame_tail *tail,
                      struct buf *out)
{
    struct sentence sentence = { .fields = 1 };
    size_t before = out->n;
    if (!one_length(s, values, b))
        return false;
    write_shared(s, &sentence, b, out);
    if (write_digits(&b->fields[0], tail, out))
        return true;
    out->n = before;
    return false;
}

static bool by_fields(const struct strings *s, size_t values, struct fields_bufs *b, struct frame_tail *tail,
                      struct buf *out)
{
    struct sample sample;
    struct sentence sentence;
    struct bytes odd;
    if (!take_sample(&sample, s, values, 0) && !take_sample(&sample, s, values, values / 2))
        return false;
    for (unsigned trial = 1;; trial++) {
        fields_bufs_keep(b, SIZE_MAX);
        odd = (struct bytes){ 0 }; /* the one before is of no use again */
        if (!sentence_of(&sentence, sample.first, sample.marks))
            return false;
        if (divide(&sentence, s, values, b, &odd))
            break;
        if (odd.p == NULL || trial == TRIALS || !keep_shared(sample.first, sample.marks, odd))
            return false;
    }
    write_shared(s, &sentence, b, out);
    for (unsigned i = 0; i < sentence.fields; i++) {
        const struct frame_part *f = &b->fields[i];
        if (write_digits(f, tail, out) || write_numbers(f, &b->number, out))
            continue;
        buf_u8(out, FIELD_STRINGS);
        buf_blob(out, buf_view(&f->a));
        buf_blob(out, buf_view(&f->b));
    }
    return true;
}

bool frame_fields_write(const struct strings *s, struct fields_bufs *b, struct frame_tail *tail, struct buf *out)
{
    size_t values = 0;
    if (s->str.n < FEWEST_BYTES)
        return false;
    for (size_t i = 0; i < s->len.n; i++)
        values += s->len.p[i] < 0x80;
    if (values < FEWEST || s->str.n < values * SHORTEST)
        return false;
    return by_fields(s, values, b, tail, out) || by_length(s, values, b, tail, out);
}

/* --- reading --- */

struct field {
    uint8_t kind;
    struct cur len, str;     /* FIELD_STRINGS, FIELD_DIGITS: len is not used then */
    size_t fixed;            /* FIELD_DIGITS: the length of each */
    const uint64_t *numbers; /* FIELD_NUMBERS */
};

static bool read_numbers(struct cur *c, struct arena *a, size_t n, struct field *f, size_t *size, struct err *err)
{
    struct cur in = cur_over(cur_blob(c));
    if (c->why == NULL && cur_left(&in) < n)
        cur_fail(c, "fewer numbers than rows");
    if (c->why != NULL)
        return true;
    uint64_t *v = arena_alloc(a, (n + 1) * sizeof *v, err), prev = 0;
    if (v == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        prev += (uint64_t)cur_zigzag(&in);
        v[i] = prev;
        *size += digits_of(prev);
    }
    if (in.why != NULL || cur_left(&in) != 0)
        cur_fail(c, "more or fewer numbers than rows");
    f->numbers = v;
    return true;
}

static bool read_digits(struct cur *c, struct arena *a, size_t n, struct field *f, size_t *size, struct err *err)
{
    struct digits_in in;
    frame_digits_take(c, n, &in);
    if (c->why != NULL)
        return true;
    uint8_t *to = arena_alloc(a, n * in.len + FRAME_DIGITS_SLACK, err);
    if (to == NULL)
        return false;
    frame_digits_read(&in, c, to);
    f->fixed = in.len;
    f->str = cur_over(bytes_of(to, n * in.len));
    *size += n * in.len;
    return true;
}

/* size: its bytes are added. */
static bool read_field(struct cur *c, struct arena *a, size_t n, struct field *f, size_t *size, struct err *err)
{
    *f = (struct field){ .kind = cur_u8(c) };
    switch (f->kind) {
    case FIELD_STRINGS:
        f->len = cur_over(cur_blob(c));
        f->str = cur_over(cur_blob(c));
        *size += cur_left(&f->str);
        return true;
    case FIELD_NUMBERS:
        return read_numbers(c, a, n, f, size, err);
    case FIELD_DIGITS:
        return read_digits(c, a, n, f, size, err);
    default:
        cur_fail(c, "a field of an unknown kind");
        return true;
    }
}

/* n bytes of in, for which there is room, and PUT_SLACK bytes more. Their number may be wrong: cur_take decides. */
FRAME_PART_HOT uint8_t *put(uint8_t *to, struct cur *in, uint64_t n)
{
    if (n <= PUT_SLACK && cur_left(in) >= PUT_SLACK) {
        memcpy(to, in->p, PUT_SLACK);
        in->p += n;
        return to + n;
    }
    struct bytes b = cur_take(in, n > SIZE_MAX ? SIZE_MAX : (size_t)n);
    if (b.n != 0)
        memcpy(to, b.p, b.n);
    return to + b.n;
}

FRAME_PART_HOT uint64_t put_length(struct cur *c)
{
    return c->p != c->end && *c->p < 0x80 ? *c->p++ : cur_varint(c);
}

FRAME_PART_HOT uint8_t *put_number(uint8_t *to, uint64_t v)
{
    unsigned n = digits_of(v);
    if (n <= 8) {
        strings_store(to, strings_unpack8((uint32_t)v, true) >> (64 - 8 * n) | UINT64_C(0x3030303030303030));
        return to + n;
    }
    return digits_put(to, v, n);
}

/* lits: each with PUT_SLACK bytes behind it. */
FRAME_PART_HOT uint8_t *put_sentence(uint8_t *to, const struct bytes *lits, struct field *f, unsigned fields,
                                     size_t nth)
{
    for (unsigned k = 0;; k++) {
        if (lits[k].n <= PUT_SLACK)
            memcpy(to, lits[k].p, PUT_SLACK);
        else
            memcpy(to, lits[k].p, lits[k].n);
        to += lits[k].n;
        if (k == fields)
            return to;
        if (f[k].kind == FIELD_NUMBERS)
            to = put_number(to, f[k].numbers[nth]);
        else
            to = put(to, &f[k].str, f[k].kind == FIELD_STRINGS ? put_length(&f[k].len) : f[k].fixed);
    }
}

/* Copies of what the strings share, with PUT_SLACK bytes behind each. */
static bool pad_literals(struct bytes *lits, unsigned n, struct arena *a, struct err *err)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = arena_zalloc(a, lits[i].n + PUT_SLACK, err);
        if (p == NULL)
            return false;
        if (lits[i].n != 0)
            memcpy(p, lits[i].p, lits[i].n);
        lits[i].p = p;
    }
    return true;
}

bool frame_fields_read(struct cur *c, struct arena *a, uint32_t n, const uint8_t *state, struct span **spans,
                       const uint8_t **bytes, struct err *err)
{
    struct bytes lits[FIELDS_MOST + 1];
    struct field f[FIELDS_MOST];
    size_t values = n, others = 0, shared = 0, size = 0;
    uint64_t fields = cur_varint(c);
    if (c->why == NULL && (fields == 0 || fields > FIELDS_MOST))
        cur_fail(c, "strings of no or too many fields");
    for (unsigned i = 0; c->why == NULL && i <= fields; i++) {
        lits[i] = cur_blob(c);
        shared += lits[i].n;
    }
    struct bytes at = cur_blob(c);
    struct cur others_at = cur_over(at), others_len = cur_over(cur_blob(c)), others_str = cur_over(cur_blob(c));
    for (uint32_t i = 0; state != NULL && i < n; i++)
        values -= state[i] != ST_VALUE;
    for (size_t i = 0; i < at.n; i++)
        others += at.p[i] < 0x80;
    if (c->why == NULL && others > values)
        cur_fail(c, "more strings than rows");
    for (unsigned i = 0; c->why == NULL && i < fields; i++) {
        if (!read_field(c, a, values - others, &f[i], &size, err))
            return false;
        if (c->why == NULL && size > FRAME_RAW_MAX)
            cur_fail(c, "more text than a frame may hold");
    }
    if (c->why == NULL && shared != 0 && values - others > (FRAME_RAW_MAX - size) / shared)
        cur_fail(c, "more text than a frame may hold");
    if (c->why != NULL)
        return true;
    size += (values - others) * shared + cur_left(&others_str);
    struct span *s = arena_alloc(a, (size_t)n * sizeof *s, err);
    uint8_t *out = s == NULL ? NULL : arena_alloc(a, size + PUT_SLACK, err), *to = out;
    if (out == NULL || !pad_literals(lits, (unsigned)fields + 1, a, err))
        return false;
    uint64_t gap = others != 0 ? cur_varint(&others_at) : UINT64_MAX; /* to the next one that is another sentence */
    for (uint32_t i = 0, nth = 0; i < n; i++) {
        uint8_t *from = to;
        if (state != NULL && state[i] != ST_VALUE)
            continue;
        if (gap == 0) {
            to = put(to, &others_str, put_length(&others_len));
            gap = cur_left(&others_at) != 0 ? cur_varint(&others_at) : UINT64_MAX;
        } else if (nth == values - others) {
            cur_fail(c, "a string of no sentence");
            return true;
        } else {
            to = put_sentence(to, lits, f, (unsigned)fields, nth++);
            gap -= gap != UINT64_MAX;
        }
        s[i] = (struct span){ (uint32_t)(from - out), (uint32_t)(to - from) };
    }
    bool all = others_at.why == NULL && others_len.why == NULL && others_str.why == NULL && cur_left(&others_at) == 0 &&
               cur_left(&others_len) == 0 && cur_left(&others_str) == 0;
    for (unsigned i = 0; i < fields; i++)
        all = all && (f[i].kind != FIELD_STRINGS || (f[i].len.why == NULL && f[i].str.why == NULL &&
                                                     cur_left(&f[i].len) == 0 && cur_left(&f[i].str) == 0));
    if (!all)
        cur_fail(c, "more or fewer strings than rows");
    *spans = s;
    *bytes = out;
    return true;
}
