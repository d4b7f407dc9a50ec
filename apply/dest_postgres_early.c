/* dest_postgres_early.c - among other connections: the rows of a batch that no batch under way has to do with are applied
 * before its turn (turns.h). */
#include "clock.h"
#include "dest_postgres.h"
#include "fault.h"

enum { TOUCHES_AHEAD = 16 };

static bool sent_back(struct postgres *p, struct err *err)
{
    p->base.sent_back = true;
    return err_set(err, ERR_STOPPED, "a batch before this one was not applied");
}

/* What each row of b touches, worked out before others have to wait for it. */
struct touched {
    struct touch *touches;
    uint32_t *end; /* of each row's, in touches; ANYTHING: no one knows */
    size_t n, cap;
};
#define ANYTHING UINT32_MAX

static bool gather(const struct postgres *p, const struct batch *b, struct touched *t, struct err *err)
{
    *t = (struct touched){ .cap = b->nrows * 2 + PG_TOUCHES_MAX };
    t->touches = arena_alloc(b->arena, t->cap * sizeof *t->touches, err);
    t->end = arena_alloc(b->arena, (b->nrows + 1) * sizeof *t->end, err);
    if (t->touches == NULL || t->end == NULL)
        return false;
    for (size_t i = 0, n; i < b->nrows; i++) {
        if (t->cap - t->n < PG_TOUCHES_MAX) {
            struct touch *more = arena_alloc(b->arena, t->cap * 2 * sizeof *more, err);
            if (more == NULL)
                return false;
            memcpy(more, t->touches, t->n * sizeof *more);
            t->touches = more;
            t->cap *= 2;
        }
        bool known = pg_deps_row(pg_targets_get(&p->targets, b->rows[i].shape)->deps, &b->rows[i], t->touches + t->n,
                                 &n);
        t->n += known ? n : 0;
        t->end[i] = known ? (uint32_t)t->n : ANYTHING;
    }
    return true;
}

/* Says it; late[i] is set for rows that must wait for the turn. Returns their number. */
static size_t find_late(struct postgres *p, const struct batch *b, const struct touched *t, bool *late)
{
    struct turns *turns = p->base.turns;
    size_t found = 0, at = 0;
    for (size_t i = 0; i < b->nrows; i++) {
        size_t ahead = at + TOUCHES_AHEAD < t->n ? at + TOUCHES_AHEAD : t->n;
        late[i] = true;
        if (t->end[i] == ANYTHING) {
            turns_touch_all(turns, p->base.ticket);
        } else {
            size_t n = t->end[i] - at;
            turns_expect(turns, t->touches + ahead, t->n - ahead < n ? t->n - ahead : n);
            late[i] = turns_touch(turns, p->base.ticket, t->touches + at, n);
            at = t->end[i];
        }
        found += late[i];
    }
    return found;
}

/* The rows of b, early ones first, each kind in the source's order: they have nothing in common that would tell. */
static bool early_first(const struct batch *b, const bool *late, size_t nlate, struct batch *out, struct err *err)
{
    size_t early = 0, behind = b->nrows - nlate;
    *out = *b;
    if (nlate == 0 || nlate == b->nrows)
        return true;
    out->rows = arena_alloc(b->arena, b->nrows * sizeof *out->rows, err);
    if (out->rows == NULL)
        return false;
    for (size_t i = 0; i < b->nrows; i++)
        out->rows[late[i] ? behind++ : early++] = b->rows[i];
    return true;
}

bool postgres_early(struct postgres *p, const struct batch *b, struct batch *ordered, size_t *from, struct err *err)
{
    struct turns *turns = p->base.turns;
    bool *late = arena_zalloc(b->arena, b->nrows + 1, err), known = postgres_knows_targets(p, b);
    struct touched touched;
    if (late == NULL || (known && !gather(p, b, &touched, err)))
        return false;
    if (!turns_enter(turns, p->base.ticket))
        return sent_back(p, err);
    size_t nlate = b->nrows;
    if (known)
        nlate = find_late(p, b, &touched, late);
    else /* tables may have to be made, or read while nobody changes them: everything waits */
        turns_touch_all(turns, p->base.ticket);
    turns_entered(turns, p->base.ticket);
    *from = b->nrows - nlate;
    if (!early_first(b, late, nlate, ordered, err))
        return false;
    if (*from != 0 && (!postgres_rows_planned(p, ordered, 0, *from, err) || !pg_link_drain(p->link, err)))
        return false;
    if (pg_link_failure(p->link)->set)
        return postgres_failed(p, ordered, err);
    p->unchecked = false;
    fault_point("apply.before_turn");
    int64_t t0 = clock_mono_us();
    bool ok = turns_wait(turns, p->base.ticket);
    p->base.stats.turn_us += (uint64_t)(clock_mono_us() - t0);
    return ok || sent_back(p, err);
}
