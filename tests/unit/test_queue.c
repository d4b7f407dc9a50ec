/* test_queue.c - order, both bounds, closing, timeouts, waiting times, and many threads at once. */
#include "clock.h"
#include "queue.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

static int dropped;
static void drop(void *item)
{
    (void)item;
    dropped++;
}

static void *push_later(void *arg)
{
    static int item = 9;
    clock_sleep_ms(30);
    queue_push(arg, &item, 1);
    return NULL;
}

static atomic_int blocked_push; /* -1: not back yet */
static void *push_blocked(void *arg)
{
    static int item = 1;
    blocked_push = queue_push(arg, &item, 5);
    return NULL;
}

static void test_single(void)
{
    int v[4] = { 0, 1, 2, 3 };
    struct queue *q = queue_new(3, 10);
    CHECK(queue_pop(q, 0) == NULL && !queue_closed(q), "empty and open");
    CHECK(queue_peek(q) == NULL, "nothing to look at");
    int64_t t = clock_mono_us();
    CHECK(queue_pop(q, 20) == NULL && clock_mono_us() - t >= 20000, "waits as long as asked");
    CHECK(queue_pop_wait_us(q) >= 20000, "and counts it");
    queue_push(q, &v[0], 1);
    queue_push(q, &v[1], 1);
    queue_push(q, &v[2], 1);
    CHECK(queue_len(q) == 3, "length");
    CHECK(queue_peek(q) == &v[0] && queue_len(q) == 3, "looking takes nothing");
    CHECK(queue_pop(q, 0) == &v[0] && queue_pop(q, -1) == &v[1], "first in, first out");
    queue_push(q, &v[3], 1);
    CHECK(queue_pop(q, 0) == &v[2] && queue_pop(q, 0) == &v[3], "around the ring's end");

    CHECK(queue_push(q, &v[0], 100), "an item heavier than the limit fits alone");
    pthread_t p;
    blocked_push = -1;
    pthread_create(&p, NULL, push_blocked, q);
    clock_sleep_ms(30);
    CHECK(blocked_push == -1 && queue_len(q) == 1, "the next one waits for the weight");
    CHECK(queue_pop(q, 0) == &v[0], "heavy one out");
    pthread_join(p, NULL);
    CHECK(blocked_push == 1 && queue_len(q) == 1 && queue_push_wait_us(q) >= 10000, "then it goes in");
    CHECK(queue_push(q, &v[1], 5), "10 of 10 fit");

    blocked_push = -1;
    pthread_create(&p, NULL, push_blocked, q);
    clock_sleep_ms(20);
    queue_close(q);
    pthread_join(p, NULL);
    CHECK(blocked_push == 0, "closing wakes a pusher, which keeps its item");
    CHECK(!queue_push(q, &v[2], 1) && queue_closed(q), "no push after close");
    CHECK(queue_pop(q, -1) != NULL && queue_pop(q, -1) == &v[1] && queue_pop(q, -1) == NULL,
          "what is inside comes out");
    queue_free(q, NULL);

    q = queue_new(4, 0);
    pthread_create(&p, NULL, push_later, q);
    CHECK(queue_pop(q, -1) != NULL, "waits for ever");
    pthread_join(p, NULL);
    queue_push(q, &v[0], SIZE_MAX);
    queue_push(q, &v[1], 1);
    queue_free(q, drop);
    CHECK(dropped == 2, "the rest is dropped, got %d", dropped);
    queue_free(NULL, drop);
}

enum { PUSHERS = 3, POPPERS = 2, EACH = 5000 };
static struct queue *shared;
static int items[PUSHERS][EACH];
static atomic_int seen[PUSHERS * EACH];

static void *pusher(void *arg)
{
    int *mine = arg;
    for (int i = 0; i < EACH; i++)
        queue_push(shared, &mine[i], (size_t)(i % 7));
    return NULL;
}

static void *popper(void *arg)
{
    (void)arg;
    for (int *p; (p = queue_pop(shared, -1)) != NULL;)
        atomic_fetch_add(&seen[*p], 1);
    return NULL;
}

static void test_threads(void)
{
    pthread_t in[PUSHERS], out[POPPERS];
    shared = queue_new(8, 20);
    for (int i = 0; i < PUSHERS; i++) {
        for (int k = 0; k < EACH; k++)
            items[i][k] = i * EACH + k;
        pthread_create(&in[i], NULL, pusher, items[i]);
    }
    for (int i = 0; i < POPPERS; i++)
        pthread_create(&out[i], NULL, popper, NULL);
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(in[i], NULL);
    queue_close(shared);
    for (int i = 0; i < POPPERS; i++)
        pthread_join(out[i], NULL);
    int wrong = 0;
    for (int i = 0; i < PUSHERS * EACH; i++)
        wrong += seen[i] != 1;
    CHECK(wrong == 0, "%d items lost or doubled", wrong);
    queue_free(shared, NULL);
}

static void test_iso(void)
{
    char text[40];
    CHECK(strcmp(clock_iso(0, text, sizeof text), "1970-01-01T00:00:00.000000Z") == 0, "got %s", text);
    CHECK(strcmp(clock_iso(-1, text, sizeof text), "1969-12-31T23:59:59.999999Z") == 0, "got %s", text);
    CHECK(strcmp(clock_iso(1787566272345678, text, 28), "2026-08-24T10:11:12.345678Z") == 0, "got %s", text);
    clock_iso(INT64_MAX, text, 28);
    CHECK(strlen(text) < 28, "a far year is cut, not overflowing");
}

int main(void)
{
    test_single();
    test_threads();
    test_iso();
    return UNIT_END();
}
