/* dest_postgres.c - PostgreSQL: rows and progress in one transaction (I4), a batch is BEGIN; statements; progress;
 * COMMIT.
 *
 * A small batch goes out in one flush and comes back in one round trip: single statements check their row count
 * themselves, and so does the progress update, which finds no row when another applier has taken over or the LSN was
 * applied already. Only when arrays are updated or deleted does COMMIT wait for the counts; its own answer is then left
 * to the batch that follows, when there is one already and the commit need not be on disk (dest.lazy): the server goes
 * from one to the other. A COMMIT that fails in this way is a fault that passes: attach tells how far the destination came,
 * which is what a lost connection takes, too.
 *
 * How rows are sent is dest_postgres_rows.c's, and which of them before their batch's turn dest_postgres_early.c's. Never
 * retries by itself: that is the pipeline's. */
#include "dest_postgres.h"
#include "clock.h"
#include "fault.h"
#include "pg_dead.h"
#include "pg_follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct postgres *of(struct dest *d)
{
    return (struct postgres *)d;
}

static bool not_connected(struct err *err)
{
    err_set(err, ERR_NET, "there is no connection to PostgreSQL");
    err->transient = true;
    return false;
}

/* --- transaction --- */

void postgres_forget_statements(struct postgres *p)
{
    p->progress.prepared = false; /* DEALLOCATE ALL takes it, too */
    pg_writer_forget(p->writer);
}

static void forget(struct postgres *p)
{
    p->ahead.of = NULL; /* made by what is forgotten here; and the batch may be gone */
    pg_targets_forget(&p->targets);
    postgres_forget_statements(p);
}

static bool begin(struct postgres *p, struct err *err)
{
    if (p->in_transaction)
        return true;
    if (pg_targets_old(&p->targets))
        forget(p);
    fault_point("apply.before_begin");
    p->changes = p->transactions = 0;
    p->open = (struct dest_stats){ 0 };
    p->unchecked = false;
    p->in_transaction = true;
    p->coerced_before = pg_writer_coerced(p->writer);
    return pg_link_send(p->link, NULL, "BEGIN", NULL, 0, -1, 0, err);
}

bool postgres_failed(struct postgres *p, const struct batch *b, struct err *err)
{
    const struct pg_failure *f = pg_link_failure(p->link);
    if (f->tag == TAG_PROGRESS && f->counted)
        return err_set(
            err, ERR_FENCED,
            "subscription %s: another rowtide-apply has taken it over, or has applied this LSN already (epoch %" PRIu64
            " is no longer current)",
            p->sub->name, p->progress.epoch);
    pg_link_error(f, err);
    if (f->tag == TAG_COMMIT)
        err_ctx(err, "at COMMIT");
    else if (f->tag > 0 && f->tag <= b->nrows) /* one statement may stand for many rows: this is its first */
        err_ctx(err, "LSN %" PRIu64 " or later: %s.%s", b->rows[f->tag - 1].lsn, b->rows[f->tag - 1].shape->schema,
                b->rows[f->tag - 1].shape->table);
    return false;
}

static void add_stats(struct postgres *p, const struct dest_stats *of)
{
    struct dest_stats *s = &p->base.stats;
    s->rows_insert += of->rows_insert;
    s->rows_update += of->rows_update;
    s->rows_delete += of->rows_delete;
    s->skipped += of->skipped;
    s->dead_lettered += of->dead_lettered;
    s->coerced += of->coerced;
    s->commits++;
}

/* After a drain: the COMMIT that was under way is answered. */
static bool committed_before(struct postgres *p, struct err *err)
{
    const struct pg_failure *f = pg_link_failure(p->link);
    if (!p->committing)
        return true;
    p->committing = false;
    if (f->set && f->tag == TAG_COMMIT) {
        p->lost_commit = p->patient = true;
        pg_link_error(f, err);
        err->transient = true; /* the batch at hand is not to blame */
        err_ctx(err, "at COMMIT of the batch before");
        return false;
    }
    fault_point("apply.after_commit");
    add_stats(p, &p->sent);
    return true;
}

/* The same before anything else is done with the connection. */
static bool end_commit(struct postgres *p, struct err *err)
{
    if (!p->committing)
        return true;
    if (pg_link_drain(p->link, err))
        return committed_before(p, err);
    p->committing = false;
    p->lost_commit = true;
    return false;
}

/* Need nobody wait for the COMMIT? What follows must be rows: whatever else would come in between looks at the connection first. */
static bool may_go_on(const struct postgres *p)
{
    if (!p->base.lazy || p->patient || p->base.turns != NULL || p->base.following == NULL)
        return false;
    const struct batch *b = p->base.following(p->base.following_ctx);
    return b != NULL && !b->barrier;
}

static bool commit(struct postgres *p, const struct batch *b, struct err *err)
{
    int64_t t0 = clock_mono_us();
    if (!pg_progress_send(&p->progress, p->link, p->writer, &b->txns[b->ntxns - 1], p->changes, p->transactions,
                          TAG_PROGRESS, err))
        return false;
    bool drained = p->unchecked || p->committing;
    if (drained && (!pg_link_drain(p->link, err) || !committed_before(p, err)))
        return false;
    fault_point("apply.before_commit");
    if (p->base.lazy &&
        !pg_link_send(p->link, NULL, "SET LOCAL synchronous_commit = off", NULL, 0, -1, TAG_COMMIT, err))
        return false;
    if (!pg_link_send(p->link, NULL, "COMMIT", NULL, 0, -1, TAG_COMMIT, err))
        return false;
    p->open.coerced = pg_writer_coerced(p->writer) - p->coerced_before;
    bool go_on = drained && !pg_link_failure(p->link)->set && may_go_on(p);
    if (go_on) { /* a sync behind it: its failure is not to take statements of the next batch along */
        if (!pg_link_savepoint(p->link, err) || !pg_link_flush(p->link, err))
            return false;
        p->sent = p->open;
        p->committing = true;
    } else {
        if (!pg_link_drain(p->link, err))
            return false;
        if (pg_link_failure(p->link)->set)
            return postgres_failed(p, b, err);
        fault_point("apply.after_commit");
        add_stats(p, &p->open);
    }
    p->in_transaction = false;
    p->base.stats.commit_us += (uint64_t)(clock_mono_us() - t0);
    return true;
}

/* --- a batch --- */

static bool apply_everything(struct postgres *p, const struct batch *b, enum apply_mode mode, struct err *err)
{
    struct batch ordered;
    size_t from = 0;
    if (!begin(p, err))
        return false;
    if (p->base.turns != NULL) {
        if (!postgres_early(p, b, &ordered, &from, err))
            return false;
        b = &ordered;
    }
    for (size_t i = from; i < b->nrows;) {
        if (b->rows[i].op == OUT_DDL) {
            bool ok = pg_follow_ddl(&p->targets, p->link, &b->rows[i++], p->arena, err);
            forget(p);
            if (!ok)
                return false;
            continue;
        }
        size_t to = i;
        while (to < b->nrows && b->rows[to].op != OUT_DDL)
            to++;
        if (!postgres_rows(p, b, i, to, mode, err))
            return false;
        i = to;
    }
    for (size_t i = 0; i < b->ndead; i++, p->open.dead_lettered++)
        if (!pg_dead_change(p->link, p->progress.slot, p->sub->name, &b->dead[i], err))
            return false;
    for (size_t i = 0; i < b->ntxns; i++)
        p->changes += b->txns[i].changes;
    p->transactions += b->ntxns - (b->ends_inside ? 1 : 0);
    fault_point("apply.after_rows");
    if (!b->ends_inside)
        return commit(p, b, err);
    if (!pg_link_drain(p->link, err))
        return false;
    p->unchecked = false;
    return !pg_link_failure(p->link)->set || postgres_failed(p, b, err);
}

/* A commit that waits, behind all those that did not: the WAL is one sequence. */
static bool postgres_settle(struct dest *d, struct err *err)
{
    struct postgres *p = of(d);
    if (p->link == NULL)
        return not_connected(err);
    if (!end_commit(p, err))
        return false;
    if (p->lost_commit)
        return err_set(err, ERR_NET, "a commit was lost");
    return pg_progress_settle(&p->progress, p->link, err);
}

static void postgres_rollback(struct dest *d)
{
    struct postgres *p = of(d);
    struct err err;
    if (p->link == NULL)
        return;
    end_commit(p, &err); /* what failed is forgotten below; lost_commit remembers */
    if (p->in_transaction || pg_link_failure(p->link)->set) {
        bool ok = pg_link_reset(p->link, &err) && pg_link_send(p->link, NULL, "ROLLBACK", NULL, 0, -1, 0, &err) &&
                  pg_link_reset(p->link, &err);
        forget(p); /* what it said may be why; and statements of an aborted pipeline were never prepared */
        p->in_transaction = false;
        if (!ok) {
            pg_link_close(p->link);
            p->link = NULL;
        }
    }
}

/* Errors that are not about the data: another applier has taken over; or a session of our own, which the server had not given up
 * yet when its client lost the connection, has committed b in the meantime. */
static void look_for_fence(struct postgres *p, const struct batch *b, struct err *err)
{
    struct progress g;
    struct err other;
    if (err->transient || (err->code != ERR_DATA && err->code != ERR_CONFLICT && err->code != ERR_FENCED))
        return;
    postgres_rollback(&p->base);
    if (p->link == NULL || !pg_progress_read(&p->progress, p->link, &g, &other))
        return;
    if (g.epoch != p->progress.epoch) {
        err_set(err, ERR_FENCED,
                "subscription %s: another rowtide-apply has taken it over (epoch %" PRIu64 ", ours was %" PRIu64 ")",
                p->sub->name, g.epoch, p->progress.epoch);
    } else if (g.lsn > b->txns[0].begin_lsn) {
        err_set(err, ERR_NET, "LSN %" PRIu64 " was committed by our own session, whose connection was lost", g.lsn);
        err->transient = true;
    }
}

/* While the server works for this batch. */
static bool get_ready(void *ctx)
{
    struct postgres *p = ctx;
    const struct batch *b = p->base.following(p->base.following_ctx);
    if (b == NULL)
        return false;
    postgres_plan_ahead(p, b);
    return true;
}

static bool postgres_apply(struct dest *d, const struct batch *b, enum apply_mode mode, struct err *err)
{
    struct postgres *p = of(d);
    if (p->link == NULL)
        return not_connected(err);
    if (p->progress.epoch == 0)
        return err_set(err, ERR_FENCED, "not attached to subscription %s", p->sub->name);
    if (p->ahead.of != b)
        p->ahead.of = NULL;
    if (d->following != NULL && mode == APPLY_BATCH)
        pg_link_meanwhile(p->link, get_ready, p);
    bool ok = apply_everything(p, b, mode, err);
    pg_link_meanwhile(p->link, NULL, NULL);
    if (p->ahead.of == b) /* not used, and b may go now */
        p->ahead.of = NULL;
    if (!ok) {
        struct err before; /* explains all that came behind it */
        if (!end_commit(p, &before))
            *err = before;
        look_for_fence(p, b, err);
        return false;
    }
    p->base.stats.batches++;
    return true;
}

/* --- the driver --- */

static bool postgres_attach(struct dest *d, const uint8_t slot[16], bool take, const char *script_hash,
                            struct progress *out, struct err *err)
{
    struct postgres *p = of(d);
    struct err lost;
    if (p->link != NULL && !end_commit(p, &lost)) /* what is read now counts */
        postgres_rollback(d);
    if (p->link == NULL)
        return not_connected(err);
    if (!pg_progress_attach(&p->progress, p->link, slot, take, script_hash, out, err))
        return false;
    p->lost_commit = false;
    return true;
}

static void postgres_refresh(struct dest *d)
{
    forget(of(d));
}

static bool postgres_connected(struct dest *d)
{
    struct postgres *p = of(d);
    return p->link != NULL && pg_link_alive(p->link);
}

static void postgres_close(struct dest *d)
{
    struct postgres *p = of(d);
    if (p == NULL)
        return;
    pg_targets_free(&p->targets);
    pg_writer_free(p->writer);
    pg_link_close(p->link);
    arena_free(p->arena);
    arena_free(p->ahead.arena);
    free(p);
}

static void postgres_place(const struct dest *d, struct buf *out)
{
    const struct postgres *p = (const struct postgres *)d;
    if (p->link != NULL)
        pg_link_place(p->link, out);
    else
        buf_str(out, "postgresql:");
}

static bool postgres_open(const struct subscription *sub, struct dest **out, struct err *err)
{
    struct postgres *p = calloc(1, sizeof *p);
    struct pg_policy policy = { .zero_date = sub->zero_date, .nul = sub->nul };
    char name[64];
    if (p == NULL)
        return err_nomem(err);
    p->base.ops = &dest_postgres_ops;
    p->sub = p->targets.sub = sub;
    p->progress.subscription = sub->name;
    p->arena = arena_new(0);
    p->ahead.arena = arena_new(0);
    p->writer = pg_writer_new(&policy);
    snprintf(name, sizeof name, "rowtide apply %s", sub->name);
    bool ok = (p->arena != NULL && p->ahead.arena != NULL && p->writer != NULL) || err_nomem(err);
    if (!ok || !pg_link_open(sub->to, name, &p->link, err)) {
        postgres_close(&p->base);
        return false;
    }
    *out = &p->base;
    return true;
}

const struct dest_ops dest_postgres_ops = {
    .name = "postgresql",
    .transactional = true,
    .concurrent = true,
    .open = postgres_open,
    .attach = postgres_attach,
    .apply = postgres_apply,
    .settle = postgres_settle,
    .rollback = postgres_rollback,
    .connected = postgres_connected,
    .refresh = postgres_refresh,
    .close = postgres_close,
    .place = postgres_place,
};
