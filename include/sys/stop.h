/* stop.h - shutdown. Signals are blocked in every thread and read by one sigwait() thread: no code runs in a handler.
 *
 * 1st TERM/INT: STOP_DRAIN, finish the open work, save progress, leave. 2nd: STOP_NOW, leave at once; the next start
 * repeats from what is durable. 3rd: the process ends there and then, whatever hangs. Parts of the process may also
 * ask: stop_request. SIGPIPE is ignored. */
#ifndef ROWTIDE_STOP_H
#define ROWTIDE_STOP_H

#include "err.h"

enum stop_level { STOP_NO, STOP_DRAIN, STOP_NOW };

bool stop_init(struct err *err); /* in main, before any thread starts */
enum stop_level stop_level(void);
int stop_fd(void); /* readable once stopping, for good: put it in every poll() */
void stop_request(enum stop_level at_least);
/* Sleeps, but not past a stop. False when stopping. */
bool stop_sleep_ms(unsigned ms);
/* After fork, before exec: a child must not inherit blocked signals or an ignored SIGPIPE. Async-signal-safe. */
void stop_reset_in_child(void);

#endif
