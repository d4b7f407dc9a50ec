/* frame_part.c - one column's streams in a frame that is being built: what is not for every value (frame_part.h). */
#include "frame_part.h"

struct col_kind col_kind_of(const struct column *c)
{
    switch ((enum col_type)c->type) {
    case COL_INT:
        return (struct col_kind){ c->is_unsigned ? VAL_U64 : VAL_I64, 0, PHYS_INT };
    case COL_FLOAT:
        return (struct col_kind){ VAL_F32, 0, PHYS_F32 };
    case COL_DOUBLE:
        return (struct col_kind){ VAL_F64, 0, PHYS_F64 };
    case COL_DECIMAL:
        if (c->precision <= 18)
            return (struct col_kind){ VAL_DEC64, c->scale, PHYS_INT };
        return (struct col_kind){ VAL_DECIMAL, 0, PHYS_STR };
    case COL_DATE:
        return (struct col_kind){ VAL_DATE, 0, PHYS_INT };
    case COL_TIME:
        return (struct col_kind){ VAL_TIME, c->scale, PHYS_INT };
    case COL_DATETIME:
        return (struct col_kind){ VAL_DATETIME, c->scale, PHYS_INT };
    case COL_TIMESTAMP:
        return (struct col_kind){ VAL_INSTANT, c->scale, PHYS_INT };
    case COL_YEAR:
        return (struct col_kind){ VAL_I64, 0, PHYS_INT };
    case COL_CHAR:
    case COL_VARCHAR:
    case COL_TEXT:
        return (struct col_kind){ VAL_TEXT, 0, PHYS_STR };
    case COL_BINARY:
    case COL_VARBINARY:
    case COL_BLOB:
        return (struct col_kind){ VAL_BYTES, 0, PHYS_STR };
    case COL_BIT:
        return (struct col_kind){ VAL_BIT, 0, PHYS_INT };
    case COL_ENUM:
        return (struct col_kind){ VAL_ENUM, 0, PHYS_INT };
    case COL_SET:
        return (struct col_kind){ VAL_SET, 0, PHYS_INT };
    case COL_JSON:
        return (struct col_kind){ VAL_JSON, 0, PHYS_STR };
    case COL_GEOMETRY:
        return (struct col_kind){ VAL_GEOMETRY, 0, PHYS_STR };
    case COL_VECTOR:
        return (struct col_kind){ VAL_VECTOR, 0, PHYS_STR };
    }
    return (struct col_kind){ VAL_ABSENT, 0, PHYS_INT };
}

void frame_part_free(struct frame_part *p)
{
    buf_free(&p->states);
    buf_free(&p->a);
    buf_free(&p->b);
}

static void stream_reset(struct buf *b, size_t keep)
{
    if (b->cap > keep)
        buf_free(b);
    buf_reset(b);
}

void frame_part_reset(struct frame_part *p, size_t keep)
{
    p->mode = ST_VALUE;
    p->prev = 0;
    stream_reset(&p->states, keep);
    stream_reset(&p->a, keep);
    stream_reset(&p->b, keep);
}

size_t frame_part_memory(const struct frame_part *p, size_t keep, bool *beyond)
{
    *beyond |= p->states.cap > keep || p->a.cap > keep || p->b.cap > keep;
    return p->states.cap + p->a.cap + p->b.cap;
}

bool frame_part_state_apart(struct frame_part *p, uint32_t row, uint8_t st)
{
    if (row == 0) {
        p->mode = st;
        return true;
    }
    if (p->mode != ST_PACKED) {
        if (p->states.cap <= row && !buf_grow(&p->states, (size_t)row + 1))
            return false;
        memset(p->states.p, p->mode, row);
        p->states.n = row;
        p->mode = ST_PACKED;
        p->packed_at = row;
    }
    buf_u8(&p->states, st);
    return !p->states.failed;
}

/* Takes the last varint of b off. */
static uint64_t pop_varint(struct buf *b)
{
    uint64_t v = b->p[--b->n];
    while (b->n > 0 && (b->p[b->n - 1] & 0x80) != 0)
        v = v << 7 | (b->p[--b->n] & 0x7f);
    return v;
}

void frame_part_undo(struct frame_part *p, uint8_t phys, uint32_t row, size_t *size)
{
    uint8_t st = p->mode;
    if (st == ST_PACKED) {
        st = p->states.p[--p->states.n];
        if (row == p->packed_at)
            p->mode = p->states.p[0];
    } else if (row == 0) {
        p->mode = ST_VALUE;
    }
    if (st != ST_VALUE)
        return;
    size_t before = p->a.n + p->b.n;
    switch ((enum col_phys)phys) {
    case PHYS_INT:
        p->prev -= (uint64_t)unzigzag(pop_varint(&p->a));
        break;
    case PHYS_F32:
        p->a.n -= 4;
        break;
    case PHYS_F64:
        p->a.n -= 8;
        break;
    case PHYS_STR:
        p->b.n -= pop_varint(&p->a);
        break;
    }
    *size -= before - p->a.n - p->b.n;
}

static void write_states(const struct frame_part *p, uint32_t nrows, struct buf *bits, struct buf *out)
{
    buf_u8(out, p->mode);
    if (p->mode != ST_PACKED)
        return;
    size_t n = ((size_t)nrows + 3) / 4;
    buf_reset(bits);
    if (!buf_grow(bits, n)) {
        out->failed = true;
        return;
    }
    memset(bits->p, 0, n);
    for (uint32_t i = 0; i < nrows; i++)
        bits->p[i / 4] |= (uint8_t)(p->states.p[i] << (2 * (i % 4)));
    bits->n = n;
    buf_bytes(out, buf_view(bits));
}

void frame_part_write(const struct frame_part *p, uint8_t phys, uint32_t nrows, struct buf *bits, struct buf *out)
{
    if (nrows == 0)
        return;
    write_states(p, nrows, bits, out);
    if (p->mode != ST_PACKED && p->mode != ST_VALUE)
        return;
    buf_blob(out, buf_view(&p->a));
    if (phys == PHYS_STR)
        buf_blob(out, buf_view(&p->b));
}
