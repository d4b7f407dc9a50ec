/* apply_confirm.c - see apply_confirm.h. */
#include "apply_confirm.h"

#include "clock.h"
#include "fault.h"
#include "slog.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TELL_EVERY_US = 1000000, /* the .sub file is rewritten at most this often */
    LAZY_US = 500000 /* commits wait for the disk at least so often: what a crash of the destination can take back */
};

struct confirm {
    struct slot *slot;
    const char *name;
    struct sub_status *status;
    struct progress durable; /* what the destination has on disk: all that the slot may hear of */
    int64_t durable_us;      /* when it was said to be */
    struct slot_sub registered;
    uint64_t told_lsn;
    int64_t told_us;   /* when it was last tried */
    bool failing;      /* said so already */
    bool deregistered; /* the .sub file is no longer ours to write */
};

bool confirm_new(struct slot *slot, const char *name, struct sub_status *status, struct confirm **out, struct err *err)
{
    struct confirm *c = calloc(1, sizeof *c);
    *out = c;
    if (c == NULL)
        return err_nomem(err);
    c->slot = slot;
    c->name = name;
    c->status = status;
    return true;
}

void confirm_free(struct confirm *c)
{
    free(c);
}

bool confirm_registered(const struct confirm *c)
{
    return c != NULL && c->registered.name[0] != '\0' && !c->deregistered;
}

const char *confirm_destination(const struct confirm *c)
{
    return c->registered.destination;
}

void confirm_set_durable(struct confirm *c, const struct progress *p)
{
    c->durable = *p;
    c->durable_us = clock_mono_us();
    atomic_store(&c->status->durable_lsn, p->lsn);
}

uint64_t confirm_durable_lsn(const struct confirm *c)
{
    return c->durable.lsn;
}

/* A destination without settle never sees it. */
bool confirm_may_be_lazy(const struct confirm *c, const struct dest_ops *ops, const struct batch *b)
{
    return ops->settle != NULL && !b->barrier && batch_last_lsn(b) < atomic_load(&c->status->flushed_lsn) &&
           clock_mono_us() - c->durable_us < LAZY_US;
}

void confirm_settle(struct confirm *c, struct dest *d, const struct progress *p)
{
    struct err ignored;
    if (c->durable.lsn != p->lsn && d != NULL && d->ops->connected(d) && d->ops->settle(d, &ignored))
        confirm_set_durable(c, p);
}

static bool write_sub(struct confirm *c, const char *state, const char *error, struct err *err)
{
    const struct progress *g = &c->durable;
    struct slot_sub *s = &c->registered;
    fault_point("apply.before_confirm");
    s->confirmed_lsn = g->lsn;
    s->confirmed_commit_us = g->commit_us;
    s->applied_changes = g->changes;
    s->changes = g->lsn == atomic_load(&c->status->applied_lsn) ? atomic_load(&c->status->applied_slot_changes) : 0;
    s->transactions = g->transactions;
    snprintf(s->state, sizeof s->state, "%s", state);
    snprintf(s->error, sizeof s->error, "%.*s", (int)sizeof s->error - 1, error);
    if (!slot_sub_write(c->slot, s, err))
        return false;
    fault_point("apply.after_confirm");
    c->told_lsn = g->lsn;
    return true;
}

/* False: the registration has ended, or went to another destination. */
static bool still_registered(struct confirm *c, struct err *err)
{
    struct slot_sub s;
    struct err ignored;
    bool found = false;
    if (!slot_sub_read(c->slot, c->name, &s, &found, &ignored))
        return true; /* whatever it is, writing it meets it, too */
    if (found && !s.lost && strcmp(s.destination, c->registered.destination) == 0)
        return true;
    c->deregistered = true;
    if (!found)
        return err_set(err, ERR_LOST,
                       "subscription %s was dropped from slot %s: its segments are no longer kept. Starting it again "
                       "registers it anew",
                       c->name, slot_path(c->slot));
    if (s.lost)
        return err_set(err, ERR_LOST, "subscription %s was overtaken by retention (%s)", c->name, s.error);
    return err_set(err, ERR_FENCED,
                   "subscription %s was started for another destination (%s): one name, one destination; give this one "
                   "another --name",
                   c->name, s.destination);
}

bool confirm_tell(struct confirm *c, const char *state, struct err *err)
{
    struct err why;
    int64_t t = clock_mono_us();
    if (t - c->told_us < TELL_EVERY_US || c->told_lsn == c->durable.lsn)
        return true;
    c->told_us = t;
    if (!still_registered(c, err))
        return false;
    bool ok = write_sub(c, state, "", &why);
    if (!ok && !c->failing)
        slog(SLOG_WARN, "not_confirmed", kv_s("subscription", c->name), kv_s("reason", why.msg));
    c->failing = !ok;
    return true;
}

bool confirm_tell_end(struct confirm *c, const char *state, const char *error, struct err *err)
{
    return write_sub(c, state, error, err);
}

/* Whether the registration is that of another destination, which has confirmed what this one lacks. */
static bool another_has_it(const struct slot_sub *s, const char *place, struct err *err, const char *slot)
{
    if (s->confirmed_lsn == 0 || s->destination[0] == '\0' ||
        strncmp(s->destination, place, sizeof s->destination - 1) == 0)
        return false;
    err_set(err, ERR_CONFIG,
            "subscription %s of this slot is that of %s, confirmed up to LSN %llu; %s has nothing of it yet. "
            "Segments are kept by name: "
            "give this destination another --name, or end the old subscription (rowtide slot drop %s --name %s)",
            s->name, s->destination, (unsigned long long)s->confirmed_lsn, place, slot, s->name);
    return true;
}

bool confirm_register(struct confirm *c, const struct dest *d, struct progress *progress, struct err *err)
{
    struct slot_sub *s = &c->registered;
    bool found = false, fresh = progress->lsn == 0; /* a pipe remembers nothing: always fresh */
    if (!slot_sub_read(c->slot, c->name, s, &found, err))
        return false;
    if (found && s->lost)
        return err_set(err, ERR_LOST,
                       "subscription %s was overtaken by retention: segments that it had not applied are gone (%s). "
                       "Drop it (rowtide slot drop %s "
                       "--name %s), copy the tables again, and subscribe anew",
                       c->name, s->error, slot_path(c->slot), c->name);
    if (!found) {
        memset(s, 0, sizeof *s);
        snprintf(s->name, sizeof s->name, "%s", c->name);
        s->registered_us = clock_wall_us();
    }
    if (!d->ops->transactional) { /* what was confirmed here is all there is (at least once) */
        progress->lsn = s->confirmed_lsn;
        progress->commit_us = s->confirmed_commit_us;
        progress->changes = s->applied_changes;
        confirm_set_durable(c, progress);
    }
    struct buf place = { 0 };
    d->ops->place(d, &place);
    if (found && fresh && another_has_it(s, buf_cstr(&place), err, slot_path(c->slot))) {
        memset(s, 0, sizeof *s); /* not ours: nothing is written at the end either */
        buf_free(&place);
        return false;
    }
    snprintf(s->destination, sizeof s->destination, "%s", buf_cstr(&place));
    pthread_mutex_lock(&c->status->lock);
    snprintf(c->status->destination, sizeof c->status->destination, "%s", buf_cstr(&place));
    pthread_mutex_unlock(&c->status->lock);
    buf_free(&place);
    return write_sub(c, "starting", "", err);
}
