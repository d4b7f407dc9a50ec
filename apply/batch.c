/* batch.c - growing arrays of a batch, and the references that keep its values alive. See batch.h. */
#include "batch.h"

#include <stdlib.h>

struct batch *batch_new(void)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b != NULL && (b->arena = arena_new(0)) == NULL) {
        free(b);
        return NULL;
    }
    return b;
}

void batch_free(struct batch *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->nframes; i++)
        frame_unref(b->frames[i]);
    free(b->frames);
    free(b->rows);
    free(b->txns);
    free(b->dead);
    arena_free(b->arena);
    free(b);
}

/* Makes room for one more element of `size` bytes behind n. */
static bool grow(void **array, size_t n, size_t *cap, size_t size, size_t first, struct err *err)
{
    if (n < *cap)
        return true;
    size_t want = *cap == 0 ? first : *cap * 2;
    if (want > SIZE_MAX / size)
        return err_nomem(err);
    void *p = realloc(*array, want * size);
    if (p == NULL)
        return err_nomem(err);
    *array = p;
    *cap = want;
    return true;
}

bool batch_hold_frame(struct batch *b, struct frame *f, struct err *err)
{
    if (b->nframes != 0 && b->frames[b->nframes - 1] == f)
        return true;
    void *p = b->frames;
    if (!grow(&p, b->nframes, &b->cap_frames, sizeof(struct frame *), 8, err))
        return false;
    b->frames = p;
    b->frames[b->nframes++] = frame_ref(f);
    return true;
}

struct outrow *batch_add_row(struct batch *b, struct err *err)
{
    void *p = b->rows;
    if (!grow(&p, b->nrows, &b->cap_rows, sizeof *b->rows, 64, err))
        return NULL;
    b->rows = p;
    struct outrow *r = &b->rows[b->nrows++];
    *r = (struct outrow){ 0 };
    return r;
}

bool outrow_changes(const struct outrow *r, unsigned col)
{
    if (r->sent != NULL && rel_rows_same_at(r->sent->u.change.rows, r->sent, col))
        return false;
    struct val now = outrow_new_at(r, col), was = outrow_old_at(r, col);
    return now.kind != VAL_ABSENT && !val_eq(&now, &was);
}

struct batch_txn *batch_add_txn(struct batch *b, struct err *err)
{
    void *p = b->txns;
    if (!grow(&p, b->ntxns, &b->cap_txns, sizeof *b->txns, 16, err))
        return NULL;
    b->txns = p;
    struct batch_txn *t = &b->txns[b->ntxns++];
    *t = (struct batch_txn){ .file = "" };
    return t;
}

struct dead_row *batch_add_dead(struct batch *b, struct err *err)
{
    void *p = b->dead;
    if (!grow(&p, b->ndead, &b->cap_dead, sizeof *b->dead, 4, err))
        return NULL;
    b->dead = p;
    struct dead_row *d = &b->dead[b->ndead++];
    *d = (struct dead_row){ 0 };
    return d;
}

uint64_t batch_last_lsn(const struct batch *b)
{
    for (size_t i = b->ntxns; i-- > 0;)
        if (b->txns[i].commit_lsn != 0)
            return b->txns[i].commit_lsn;
    return 0;
}
