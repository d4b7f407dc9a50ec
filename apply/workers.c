/* workers.c - see workers.h. */
#include "workers.h"

#include "clock.h"

#include <pthread.h>
#include <stdlib.h>

enum place { FREE, GIVEN, FINISHED };
struct worker {
    struct workers *all;
    pthread_t thread;
    bool on;
    enum place place;
    uint64_t ticket;
    struct job job;
};
struct workers {
    pthread_mutex_t lock; /* over the workers' places */
    pthread_cond_t given, finished;
    bool ending;
    struct turns *turns;
    uint64_t last;  /* ticket given */
    uint64_t taken; /* ticket taken */
    unsigned n;
    struct worker worker[];
};

/* --- the workers' threads --- */

static void apply_one(struct worker *w)
{
    struct job *j = &w->job;
    struct turns *turns = w->all->turns;
    int64_t t0 = clock_mono_us();
    j->dest->turns = turns;
    j->dest->ticket = w->ticket;
    j->ok = j->dest->ops->apply(j->dest, j->batch, APPLY_BATCH, &j->err);
    j->dest->turns = NULL;
    if (j->ok) {
        turns_committed(turns, w->ticket);
    } else {
        j->sent_back = j->err.code == ERR_STOPPED && j->dest->sent_back;
        turns_abort(turns);
        j->dest->ops->rollback(j->dest);
    }
    j->dest->sent_back = false;
    j->stats = j->dest->stats;
    j->us = (uint64_t)(clock_mono_us() - t0);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct workers *all = w->all;
    pthread_mutex_lock(&all->lock);
    for (;;) {
        while (!all->ending && w->place != GIVEN)
            pthread_cond_wait(&all->given, &all->lock);
        if (w->place != GIVEN)
            break;
        pthread_mutex_unlock(&all->lock);
        apply_one(w);
        pthread_mutex_lock(&all->lock);
        w->place = FINISHED;
        pthread_cond_signal(&all->finished);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* --- the caller's --- */

bool workers_new(unsigned n, struct workers **out, struct err *err)
{
    struct workers *w = calloc(1, sizeof *w + n * sizeof *w->worker);
    if (w == NULL)
        return err_nomem(err);
    w->n = n;
    w->turns = turns_new();
    if (w->turns == NULL || pthread_mutex_init(&w->lock, NULL) != 0) {
        turns_free(w->turns);
        free(w);
        return err_nomem(err);
    }
    pthread_cond_init(&w->given, NULL);
    pthread_cond_init(&w->finished, NULL);
    for (unsigned i = 0; i < n; i++) {
        w->worker[i].all = w;
        if (pthread_create(&w->worker[i].thread, NULL, work, &w->worker[i]) != 0) {
            err_sys(err, "start a worker");
            workers_free(w);
            return false;
        }
        w->worker[i].on = true;
    }
    *out = w;
    return true;
}

void workers_free(struct workers *w)
{
    struct job j;
    if (w == NULL)
        return;
    workers_abort(w);
    while (workers_take(w, true, &j))
        batch_free(j.batch);
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->given);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->n; i++)
        if (w->worker[i].on)
            pthread_join(w->worker[i].thread, NULL);
    pthread_cond_destroy(&w->given);
    pthread_cond_destroy(&w->finished);
    pthread_mutex_destroy(&w->lock);
    turns_free(w->turns);
    free(w);
}

unsigned workers_under_way(const struct workers *w)
{
    return (unsigned)(w->last - w->taken);
}

int workers_idle(struct workers *w)
{
    int found = -1;
    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < w->n && found < 0; i++)
        if (w->worker[i].place == FREE)
            found = (int)i;
    pthread_mutex_unlock(&w->lock);
    return found;
}

void workers_give(struct workers *w, int worker, struct dest *dest, struct batch *b)
{
    struct worker *x = &w->worker[worker];
    pthread_mutex_lock(&w->lock);
    x->job = (struct job){ .dest = dest, .batch = b, .lazy = dest->lazy };
    x->ticket = ++w->last;
    x->place = GIVEN;
    pthread_cond_broadcast(&w->given);
    pthread_mutex_unlock(&w->lock);
}

bool workers_take(struct workers *w, bool wait, struct job *out)
{
    struct worker *x = NULL;
    if (w->taken == w->last)
        return false;
    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < w->n; i++)
        if (w->worker[i].place != FREE && w->worker[i].ticket == w->taken + 1)
            x = &w->worker[i];
    while (wait && x->place != FINISHED)
        pthread_cond_wait(&w->finished, &w->lock);
    bool done = x->place == FINISHED;
    if (done) {
        *out = x->job;
        x->place = FREE;
        w->taken++;
    }
    pthread_mutex_unlock(&w->lock);
    return done;
}

void workers_abort(struct workers *w)
{
    turns_abort(w->turns);
}

void workers_reset(struct workers *w)
{
    w->last = w->taken = 0;
    turns_reset(w->turns);
}
