/* frame_near.c - strings as prefix and suffix of others (frame_near.h). */
#include "frame_near.h"

enum {
    LEAST = 256, /* bytes of old strings: below, nothing is gained */
    TRIED = 64   /* strings after which it is seen whether anything comes of it */
};

void near_bufs_keep(struct near_bufs *s, size_t most)
{
    struct buf *all[] = { &s->prefix, &s->suffix, &s->len, &s->middle };
    for (unsigned i = 0; i < 4; i++)
        if (all[i]->cap > most)
            buf_free(all[i]);
}

void near_bufs_free(struct near_bufs *s)
{
    buf_free(&s->prefix);
    buf_free(&s->suffix);
    buf_free(&s->len);
    buf_free(&s->middle);
}

/* --- writing --- */

static size_t common_prefix(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (n - i >= 8 && memcmp(a + i, b + i, 8) == 0)
        i += 8;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* Of what ends at a and b. */
static size_t common_suffix(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (n - i >= 8 && memcmp(a - i - 8, b - i - 8, 8) == 0)
        i += 8;
    while (i < n && a[-1 - (ptrdiff_t)i] == b[-1 - (ptrdiff_t)i])
        i++;
    return i;
}

struct walk {
    const struct strings *of;
    struct strings_walk at;
};

static struct walk first_of(const struct strings *s)
{
    return (struct walk){ s, { s->len.p, s->str.p } };
}

/* Row number row, which follows the one asked for before; without a value: an empty string, false. */
static bool next_string(struct walk *w, uint32_t row, struct bytes *out)
{
    *out = (struct bytes){ 0 };
    if (w->of->state != NULL && w->of->state[row] != ST_VALUE)
        return false;
    *out = strings_next(&w->at);
    return true;
}

/* False: it does not pay. */
static bool differences(const struct strings *new_strings, const struct strings *old_strings, struct near_bufs *s)
{
    struct walk news = first_of(new_strings), olds = first_of(old_strings);
    size_t seen = 0, made = 0, ignored = 0;
    unsigned strings = 0;
    for (uint32_t i = 0; i < old_strings->rows; i++) {
        struct bytes a, b;
        bool has_new = next_string(&news, i, &a), has_old = next_string(&olds, i, &b);
        if (!has_old)
            continue;
        size_t least = a.n < b.n ? a.n : b.n;
        size_t prefix = has_new && least != 0 ? common_prefix(a.p, b.p, least) : 0;
        size_t suffix = has_new && least != prefix ? common_suffix(a.p + a.n, b.p + b.n, least - prefix) : 0;
        struct bytes middle = bytes_of(b.p + prefix, b.n - prefix - suffix);
        if (!frame_part_varint(&s->prefix, prefix, &made) || !frame_part_varint(&s->suffix, suffix, &made) ||
            !frame_part_varint(&s->len, middle.n, &ignored))
            return false;
        buf_bytes(&s->middle, middle);
        seen += b.n;
        made += middle.n;
        if (++strings == TRIED && made > seen / 4 * 3)
            return false;
    }
    return made <= seen / 4 * 3;
}

bool frame_near_write(const struct strings *news, const struct strings *olds, struct near_bufs *b, struct buf *out)
{
    if (olds->str.n < LEAST)
        return false;
    buf_reset(&b->prefix);
    buf_reset(&b->suffix);
    buf_reset(&b->len);
    buf_reset(&b->middle);
    if (!differences(news, olds, b) || b->middle.failed)
        return false;
    strings_begin(olds, PART_NEAR, out);
    buf_blob(out, buf_view(&b->prefix));
    buf_blob(out, buf_view(&b->suffix));
    buf_blob(out, buf_view(&b->len));
    buf_blob(out, buf_view(&b->middle));
    return true;
}

/* --- reading --- */

static bool has_value(const uint8_t *state, uint32_t row)
{
    return state == NULL || state[row] == ST_VALUE;
}

static struct span new_span(const struct near_in *in, uint32_t row)
{
    uint8_t st = in->new_state != NULL ? in->new_state[row] : in->new_mode;
    return st == ST_VALUE ? in->new_spans[row] : (struct span){ 0 };
}

const char *frame_near_measure(const struct near_in *in, uint32_t n, const uint8_t *state, struct span *out,
                               size_t *size)
{
    struct cur prefixes = cur_over(in->prefix), suffixes = cur_over(in->suffix), lens = cur_over(in->len);
    size_t off = 0, left = in->middle.n;
    for (uint32_t i = 0; i < n; i++) {
        if (!has_value(state, i))
            continue;
        struct span ref = new_span(in, i);
        uint64_t prefix = cur_varint(&prefixes), suffix = cur_varint(&suffixes), len = cur_varint(&lens);
        if (prefixes.why != NULL || suffixes.why != NULL || lens.why != NULL)
            return "fewer strings than rows";
        if (prefix > ref.len || suffix > ref.len - prefix)
            return "an old string with more of the new one than that has";
        if (len > left)
            return "string beyond its stream";
        left -= len;
        out[i] = (struct span){ (uint32_t)off, (uint32_t)(prefix + len + suffix) };
        off += (size_t)(prefix + len + suffix); /* no more than all new strings and the middles: twice 1 GiB */
    }
    *size = off;
    return left == 0 && cur_left(&prefixes) == 0 && cur_left(&suffixes) == 0 && cur_left(&lens) == 0
               ? NULL
               : "more strings than rows";
}

/* n bytes from offset at of from, which may be NULL when n is 0. */
static void take(uint8_t **to, const uint8_t *from, size_t at, size_t n)
{
    if (n == 0)
        return;
    memcpy(*to, from + at, n);
    *to += n;
}

void frame_near_read(const struct near_in *in, uint32_t n, const uint8_t *state, const struct span *spans, uint8_t *to)
{
    struct cur prefixes = cur_over(in->prefix), suffixes = cur_over(in->suffix);
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!has_value(state, i))
            continue;
        struct span ref = new_span(in, i);
        size_t prefix = (size_t)cur_varint(&prefixes), suffix = (size_t)cur_varint(&suffixes);
        size_t len = spans[i].len - prefix - suffix;
        take(&to, in->new_bytes, ref.off, prefix);
        take(&to, in->middle.p, at, len);
        take(&to, in->new_bytes, (size_t)ref.off + ref.len - suffix, suffix);
        at += len;
    }
}
