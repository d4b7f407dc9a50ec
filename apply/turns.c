/* turns.c - see turns.h. One table from key to the last ticket that wrote and the last that read it; what is committed
 * counts no more and is dropped when the table grows. */
#include "turns.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 1 << 14 };

struct slot {             /* half a cache line: nearly every look at one misses the cache */
    uint64_t key;         /* 0: free */
    uint64_t write, read; /* the last ticket that did, twice, plus 1 when it did so late */
    uint64_t read_before; /* the last ticket other than that that read; of writers it is known from late */
};
struct turns {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool aborted;                     /* guarded by lock */
    atomic_ullong entered, committed; /* the last that did; set under lock */
    /* of whoever is entering */
    struct slot *slots; /* open addressing */
    struct slot *spare; /* as many, for the next time that committed ones go; or NULL */
    size_t n, mask;
    uint64_t all; /* the last ticket that may have touched anything */
};

struct turns *turns_new(void)
{
    struct turns *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->slots = calloc(SLOTS_MIN, sizeof *t->slots);
    t->mask = SLOTS_MIN - 1;
    if (t->slots == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t->slots);
        free(t);
        return NULL;
    }
    if (pthread_cond_init(&t->moved, NULL) != 0) {
        pthread_mutex_destroy(&t->lock);
        free(t->slots);
        free(t);
        return NULL;
    }
    return t;
}

void turns_free(struct turns *t)
{
    if (t == NULL)
        return;
    pthread_cond_destroy(&t->moved);
    pthread_mutex_destroy(&t->lock);
    free(t->slots);
    free(t->spare);
    free(t);
}

void turns_reset(struct turns *t)
{
    pthread_mutex_lock(&t->lock);
    t->all = 0;
    t->aborted = false;
    atomic_store(&t->entered, 0);
    atomic_store(&t->committed, 0);
    memset(t->slots, 0, (t->mask + 1) * sizeof *t->slots);
    t->n = 0;
    pthread_mutex_unlock(&t->lock);
}

/* --- keys --- */

static size_t home(uint64_t key, size_t mask)
{
    return (key ^ key >> 32) & mask;
}

static struct slot *find(struct slot *slots, size_t mask, uint64_t key)
{
    size_t at = home(key, mask);
    while (slots[at].key != 0 && slots[at].key != key)
        at = (at + 1) & mask;
    return &slots[at];
}

static bool under_way(const struct slot *s, uint64_t committed)
{
    return s->write >> 1 > committed || s->read >> 1 > committed;
}

/* Makes room: committed uses go, and the table doubles if that does not help. */
static bool room(struct turns *t, size_t more)
{
    uint64_t committed = atomic_load(&t->committed);
    if ((t->n + more) * 2 <= t->mask)
        return true;
    size_t live = 0, cap = SLOTS_MIN;
    for (size_t i = 0; i <= t->mask; i++)
        live += under_way(&t->slots[i], committed);
    while (cap < (live + more) * 4)
        cap *= 2;
    struct slot *slots = t->spare;
    if (slots != NULL && cap == t->mask + 1)
        memset(slots, 0, cap * sizeof *slots);
    else if ((slots = calloc(cap, sizeof *slots)) == NULL)
        return false;
    for (size_t i = 0; i <= t->mask; i++)
        if (under_way(&t->slots[i], committed))
            *find(slots, cap - 1, t->slots[i].key) = t->slots[i];
    if (slots != t->spare)
        free(t->spare);
    t->spare = cap == t->mask + 1 ? t->slots : NULL;
    if (t->spare == NULL)
        free(t->slots);
    t->slots = slots;
    t->mask = cap - 1;
    t->n = live;
    return true;
}

static bool in_the_way(uint64_t use, uint64_t before, uint64_t ticket, uint64_t committed)
{
    return use >> 1 == ticket ? (use & 1) != 0 || before > committed : use >> 1 > committed;
}

static void use(uint64_t *use, uint64_t *before, uint64_t ticket, bool late)
{
    if (*use >> 1 != ticket) {
        *before = *use >> 1;
        *use = ticket << 1;
    }
    *use |= late;
}

void turns_expect(const struct turns *t, const struct touch *touches, size_t n)
{
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(&t->slots[home(touches[i].key | 1, t->mask)], 1);
}

bool turns_touch(struct turns *t, uint64_t ticket, const struct touch *touches, size_t n)
{
    uint64_t committed = atomic_load(&t->committed);
    bool late = t->all > committed;
    if (!room(t, n)) {
        turns_touch_all(t, ticket);
        return true;
    }
    for (size_t i = 0; i < n && !late; i++) {
        const struct slot *s = find(t->slots, t->mask, touches[i].key | 1);
        late = in_the_way(s->write, 0, ticket, committed) ||
               (touches[i].write && in_the_way(s->read, s->read_before, ticket, committed));
    }
    for (size_t i = 0; i < n; i++) {
        struct slot *s = find(t->slots, t->mask, touches[i].key | 1);
        uint64_t unused;
        t->n += s->key == 0;
        s->key = touches[i].key | 1;
        if (touches[i].write)
            use(&s->write, &unused, ticket, late);
        else
            use(&s->read, &s->read_before, ticket, late);
    }
    return late;
}

void turns_touch_all(struct turns *t, uint64_t ticket)
{
    t->all = ticket;
}

/* --- order --- */

static bool await(struct turns *t, const atomic_ullong *last, uint64_t ticket)
{
    pthread_mutex_lock(&t->lock);
    while (!t->aborted && atomic_load(last) != ticket - 1)
        pthread_cond_wait(&t->moved, &t->lock);
    bool ok = !t->aborted;
    pthread_mutex_unlock(&t->lock);
    return ok;
}

static void pass(struct turns *t, atomic_ullong *last, uint64_t ticket)
{
    pthread_mutex_lock(&t->lock);
    atomic_store(last, ticket);
    pthread_cond_broadcast(&t->moved);
    pthread_mutex_unlock(&t->lock);
}

bool turns_enter(struct turns *t, uint64_t ticket)
{
    return await(t, &t->entered, ticket);
}

void turns_entered(struct turns *t, uint64_t ticket)
{
    pass(t, &t->entered, ticket);
}

bool turns_wait(struct turns *t, uint64_t ticket)
{
    return await(t, &t->committed, ticket);
}

void turns_committed(struct turns *t, uint64_t ticket)
{
    pass(t, &t->committed, ticket);
}

void turns_abort(struct turns *t)
{
    pthread_mutex_lock(&t->lock);
    t->aborted = true;
    pthread_cond_broadcast(&t->moved);
    pthread_mutex_unlock(&t->lock);
}
