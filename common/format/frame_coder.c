/* frame_coder.c - a data frame's payload in fewer bytes before it is compressed (frame_coder.h).
 *
 * One walk over the parts; what stays as it is, is copied in as large pieces as possible, and not at all until the first part that changes. */
#include "frame_coder.h"

#include "frame_digits.h"
#include "frame_fields.h"
#include "frame_near.h"
#include "frame_wire.h"

#include <stdlib.h>

enum {
    WORTH_ROWS = 16,    /* of a table in the frame, */
    WORTH_BYTES = 4096, /* or of the frame for each table: with less their parts stay as they are */
    STREAMS = 11,       /* of a payload between its relations and its columns */
    KEEP_BYTES = 4 << 20
};

struct frame_coder {
    struct buf out;
    struct buf new_state, old_state; /* one byte a row */
    struct near_bufs near;
    struct fields_bufs fields;
    struct frame_tail tail;
    struct table_counts *sums;
    size_t cap_sums;
};

struct walk {
    struct frame_coder *to;
    struct cur in;
    const uint8_t *copied; /* of the payload: up to here it is in to->out */
};

struct frame_coder *frame_coder_new(void)
{
    return calloc(1, sizeof(struct frame_coder));
}

void frame_coder_free(struct frame_coder *c)
{
    if (c == NULL)
        return;
    buf_free(&c->out);
    buf_free(&c->new_state);
    buf_free(&c->old_state);
    near_bufs_free(&c->near);
    fields_bufs_free(&c->fields);
    frame_tail_free(&c->tail);
    free(c->sums);
    free(c);
}

void frame_coder_let_go(struct frame_coder *c)
{
    struct buf *all[] = { &c->out, &c->new_state, &c->old_state, &c->tail.bytes, &c->tail.sizes };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]->cap > KEEP_BYTES)
            buf_free(all[i]);
        buf_reset(all[i]);
    }
    near_bufs_keep(&c->near, KEEP_BYTES);
    fields_bufs_keep(&c->fields, KEEP_BYTES);
}

/* Reads a part; s: its strings where it has any that stand in full. */
static bool read_part(struct cur *c, uint8_t phys, uint32_t rows, struct buf *state, struct strings *s)
{
    *s = (struct strings){ .mode = cur_u8(c), .rows = rows };
    if (s->mode == ST_PACKED)
        s->packed = cur_take(c, ((size_t)rows + 3) / 4);
    else if (s->mode != ST_VALUE)
        return false;
    s->len = cur_blob(c);
    if (phys != PHYS_STR)
        return false;
    s->str = cur_blob(c);
    if (s->mode == ST_VALUE || c->why != NULL)
        return c->why == NULL;
    buf_reset(state);
    if (!buf_grow(state, rows))
        return false;
    for (uint32_t i = 0; i < rows; i++)
        state->p[i] = s->packed.p[i / 4] >> (2 * (i % 4)) & 3;
    s->state = state->p;
    return true;
}

/* What the part that begins at from becomes, if it is worth it. news: the new strings of the same updates, or NULL. */
static void code(struct walk *w, const uint8_t *from, struct strings *s, const struct strings *news)
{
    struct frame_coder *c = w->to;
    s->before = bytes_of(w->copied, (size_t)(from - w->copied));
    if ((news != NULL && frame_near_write(news, s, &c->near, &c->out)) || frame_digits_write(s, &c->tail, &c->out) ||
        frame_fields_write(s, &c->fields, &c->tail, &c->out))
        w->copied = w->in.p;
}

static bool worth_it(const struct table_counts *sum, size_t bytes_each)
{
    return sum->inserts + sum->updates + sum->deletes >= WORTH_ROWS || bytes_each >= WORTH_BYTES;
}

static void code_relation(struct walk *w, const struct relation *r, const struct table_counts *sum, bool worth)
{
    uint32_t n_new = (uint32_t)(sum->inserts + sum->updates), n_old = (uint32_t)(sum->updates + sum->deletes);
    bool paired = n_new == n_old && sum->updates == n_new;
    for (unsigned i = 0; i < r->ncols && w->in.why == NULL; i++) {
        uint8_t phys = col_kind_of(&r->cols[i]).phys;
        struct strings news, olds;
        const uint8_t *from = w->in.p;
        bool has_new = n_new != 0 && read_part(&w->in, phys, n_new, &w->to->new_state, &news);
        if (worth && has_new)
            code(w, from, &news, NULL);
        from = w->in.p;
        if (n_old != 0 && read_part(&w->in, phys, n_old, &w->to->old_state, &olds) && worth)
            code(w, from, &olds, paired && has_new ? &news : NULL);
    }
}

bool frame_coder_code(struct frame_coder *c, struct bytes payload, const struct relation_table *rels,
                      struct bytes *coded, uint32_t *tail, struct err *err)
{
    struct walk w = { .to = c, .in = cur_over(payload), .copied = payload.p };
    struct bytes ops = cur_blob(&w.in), relnos = cur_blob(&w.in), ids = cur_blob(&w.in);
    size_t n = ids.n / 8;
    bool worth = false;
    *coded = payload;
    *tail = 0;
    frame_coder_let_go(c);
    if (n > c->cap_sums) {
        struct table_counts *p = realloc(c->sums, n * sizeof *p);
        if (p == NULL)
            return err_nomem(err);
        c->sums = p;
        c->cap_sums = n;
    }
    if (n != 0)
        memset(c->sums, 0, n * sizeof *c->sums);
    if (w.in.why != NULL || !frame_sum_changes(ops, relnos, c->sums, n))
        return err_set(err, ERR_CORRUPT, "data frame: not as it was made");
    for (size_t i = 0; i < n; i++)
        worth |= worth_it(&c->sums[i], payload.n / n);
    if (!worth)
        return true;
    for (unsigned i = 0; i < STREAMS; i++)
        cur_blob(&w.in);
    struct cur id = cur_over(ids);
    for (size_t i = 0; i < n && w.in.why == NULL; i++) {
        uint64_t want = cur_le(&id, 8);
        const struct relation *r = i < rels->n && rels->id[i] == want
                                       ? rels->rel[i]
                                       : relation_table_find(rels, want); /* the same order, as a rule */
        if (r == NULL)
            return err_set(err, ERR_CORRUPT, "data frame: relation %016llx is not among its own",
                           (unsigned long long)want);
        code_relation(&w, r, &c->sums[i], worth_it(&c->sums[i], payload.n / n));
    }
    if (w.in.why != NULL || w.in.p != w.in.end)
        return err_set(err, ERR_CORRUPT, "data frame: not as it was made");
    if (w.copied != payload.p) {
        buf_bytes(&c->out, bytes_of(w.copied, (size_t)(w.in.end - w.copied)));
        frame_tail_write(&c->tail, &c->out);
        *coded = buf_view(&c->out);
        *tail = (uint32_t)c->tail.bytes.n;
    }
    if (c->new_state.failed || c->old_state.failed || c->tail.bytes.failed)
        return err_nomem(err);
    return buf_ok(&c->out, err);
}
