/* queue.h - a bounded queue of pointers between two pipeline stages. Thread-safe. The queue never owns its items. */
#ifndef ROWTIDE_QUEUE_H
#define ROWTIDE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;
struct queue *queue_new(size_t max_items,
                        size_t max_weight);                 /* weight: what the pusher says, e.g. bytes; 0: no limit */
void queue_free(struct queue *q, void (*drop)(void *item)); /* drop is called for what is left; may be NULL */
/* Waits for room (an item heavier than max_weight fits when the queue is empty). False once closed: the caller keeps
 * the item. */
bool queue_push(struct queue *q, void *item, size_t weight);
/* Waits for an item at most timeout_ms (-1: for ever). NULL: timeout, or closed and empty (queue_closed tells). */
void *queue_pop(struct queue *q, int timeout_ms);
/* What queue_pop would give now, left where it is; NULL: nothing. Only for a thread that alone pops. */
void *queue_peek(struct queue *q);
void queue_close(struct queue *q); /* no more pushes; what is inside can still be popped */
bool queue_closed(struct queue *q);
size_t queue_len(struct queue *q);
/* Microseconds that pushers and poppers spent waiting, for stage times. */
uint64_t queue_push_wait_us(struct queue *q);
uint64_t queue_pop_wait_us(struct queue *q);

#endif
