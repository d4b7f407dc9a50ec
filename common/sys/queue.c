/* queue.c - the bounded queue between two pipeline stages (queue.h): a ring under one mutex. Deadlines use the
 * monotonic clock: a wall clock that jumps must neither hang a stage nor make it spin. */
#include "queue.h"

#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct slot {
    void *item;
    size_t weight;
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_full, not_empty;
    struct slot *ring;
    size_t cap, head, len;
    size_t weight, max_weight;
    uint64_t push_wait_us, pop_wait_us;
    bool closed;
};

static bool cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return false;
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(c, &attr) == 0;
    pthread_condattr_destroy(&attr);
    return ok;
}

struct queue *queue_new(size_t max_items, size_t max_weight)
{
    struct queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->cap = max_items == 0 ? 1 : max_items;
    q->max_weight = max_weight;
    q->ring = calloc(q->cap, sizeof *q->ring);
    if (q->ring == NULL)
        goto no_ring;
    if (pthread_mutex_init(&q->lock, NULL) != 0)
        goto no_lock;
    if (!cond_init(&q->not_full))
        goto no_full;
    if (!cond_init(&q->not_empty))
        goto no_empty;
    return q;
no_empty:
    pthread_cond_destroy(&q->not_full);
no_full:
    pthread_mutex_destroy(&q->lock);
no_lock:
    free(q->ring);
no_ring:
    free(q);
    return NULL;
}

void queue_free(struct queue *q, void (*drop)(void *item))
{
    if (q == NULL)
        return;
    for (; q->len > 0; q->len--) {
        if (drop != NULL)
            drop(q->ring[q->head].item);
        q->head = (q->head + 1) % q->cap;
    }
    pthread_cond_destroy(&q->not_empty);
    pthread_cond_destroy(&q->not_full);
    pthread_mutex_destroy(&q->lock);
    free(q->ring);
    free(q);
}

static bool has_room(const struct queue *q, size_t weight)
{
    if (q->len == q->cap)
        return false;
    if (q->max_weight == 0 || q->len == 0) /* alone, anything fits: else a heavy item would wait for ever */
        return true;
    return q->weight <= q->max_weight && weight <= q->max_weight - q->weight;
}

bool queue_push(struct queue *q, void *item, size_t weight)
{
    assert(item != NULL); /* NULL is how queue_pop says "nothing" */
    pthread_mutex_lock(&q->lock);
    if (!q->closed && !has_room(q, weight)) {
        int64_t since = clock_mono_us();
        while (!q->closed && !has_room(q, weight))
            pthread_cond_wait(&q->not_full, &q->lock);
        q->push_wait_us += (uint64_t)(clock_mono_us() - since);
    }
    bool ok = !q->closed;
    if (ok) {
        q->ring[(q->head + q->len) % q->cap] = (struct slot){ item, weight };
        q->len++;
        q->weight += weight;
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

static void wait_item(struct queue *q, int timeout_ms)
{
    int64_t since = clock_mono_us();
    int64_t until = since + (int64_t)timeout_ms * 1000;
    struct timespec ts = { .tv_sec = (time_t)(until / 1000000), .tv_nsec = (long)(until % 1000000) * 1000 };
    int rc = 0;
    while (q->len == 0 && !q->closed && rc != ETIMEDOUT)
        rc = timeout_ms < 0 ? pthread_cond_wait(&q->not_empty, &q->lock)
                            : pthread_cond_timedwait(&q->not_empty, &q->lock, &ts);
    q->pop_wait_us += (uint64_t)(clock_mono_us() - since);
}

void *queue_pop(struct queue *q, int timeout_ms)
{
    pthread_mutex_lock(&q->lock);
    if (q->len == 0 && !q->closed && timeout_ms != 0)
        wait_item(q, timeout_ms);
    void *item = NULL;
    if (q->len > 0) {
        struct slot s = q->ring[q->head];
        q->head = (q->head + 1) % q->cap;
        q->len--;
        q->weight -= s.weight;
        item = s.item;
        pthread_cond_broadcast(&q->not_full); /* several pushers may wait for different weights */
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *queue_peek(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    void *item = q->len > 0 ? q->ring[q->head].item : NULL;
    pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_full);
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->lock);
}

bool queue_closed(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}

size_t queue_len(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->len;
    pthread_mutex_unlock(&q->lock);
    return n;
}

uint64_t queue_push_wait_us(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t us = q->push_wait_us;
    pthread_mutex_unlock(&q->lock);
    return us;
}

uint64_t queue_pop_wait_us(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t us = q->pop_wait_us;
    pthread_mutex_unlock(&q->lock);
    return us;
}
