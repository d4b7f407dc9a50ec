/* dest_postgres_early.c - among other connections: the rows of a batch that no batch under way has to do with are applied
 * before its turn (turns.h). */
#include "clock.h"
#include "dest_postgres.h"
#include "fault.h"

static bool sent_back(struct postgres *p, struct err *err)
{
    p->base.sent_back = true;
    return err_set(err, ERR_STOPPED, "a batch before this one was not applied");
}

static bool knows_all_targets(const struct postgres *p, const struct batch *b)
{
    for (size_t i = 0; i < b->nrows; i++)
        if (b->rows[i].shape == NULL || pg_targets_get(&p->targets, b->rows[i].shape) == NULL ||
            b->rows[i].op > OUT_DELETE)
            return false;
    return true;
}

/* Says what each row touches; late[i] is set for those that must wait for the turn. Returns their number. */
static size_t find_late(struct postgres *p, const struct batch *b, bool *late)
{
    struct touch touches[PG_TOUCHES_MAX];
    size_t found = 0, n;
    if (!knows_all_targets(p, b)) { /* tables may have to be made, or read while nobody changes them */
        turns_touch_all(p->base.turns, p->base.ticket);
        memset(late, true, b->nrows * sizeof *late);
        return b->nrows;
    }
    for (size_t i = 0; i < b->nrows; i++) {
        const struct outrow *r = &b->rows[i];
        late[i] = true;
        if (pg_deps_row(pg_targets_get(&p->targets, r->shape)->deps, r, touches, &n))
            late[i] = turns_touch(p->base.turns, p->base.ticket, touches, n);
        else
            turns_touch_all(p->base.turns, p->base.ticket);
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
    bool *late = arena_zalloc(b->arena, b->nrows + 1, err);
    if (late == NULL)
        return false;
    if (!turns_enter(turns, p->base.ticket))
        return sent_back(p, err);
    size_t nlate = find_late(p, b, late);
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
