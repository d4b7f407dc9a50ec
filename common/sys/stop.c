/* stop.c - shutdown (stop.h). A thread in sigwait() instead of a handler: it may log, lock and call what it likes.
 * Source for why every thread must block the signals: pthread_sigmask(3), signal(7). */
#include "stop.h"

#include "clock.h"
#include "slog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int level;         /* enum stop_level; only ever goes up */
static int wake[2] = { -1, -1 }; /* the byte is written once and never read */
static sigset_t watched;         /* TERM and INT */

enum stop_level stop_level(void)
{
    return (enum stop_level)atomic_load(&level);
}

int stop_fd(void)
{
    return wake[0];
}

void stop_request(enum stop_level at_least)
{
    int now = atomic_load(&level);
    while (now < (int)at_least && !atomic_compare_exchange_weak(&level, &now, (int)at_least))
        ;
    if (now == STOP_NO && at_least != STOP_NO && wake[1] >= 0) {
        ssize_t w = write(wake[1], "", 1);
        if (w < 0) /* sleepers would miss a drain; then rather leave at once */
            atomic_store(&level, STOP_NOW);
    }
}

static void *signal_thread(void *unused)
{
    (void)unused;
    for (;;) {
        int sig = 0;
        if (sigwait(&watched, &sig) != 0)
            continue;
        enum stop_level before = stop_level();
        if (before == STOP_NOW) {
            /* Somebody hangs in a call that no level can reach. A kill is safe at any time: it is what recovery is
             * for. */
            slog(SLOG_WARN, "stop_forced", kv_i("signal", sig));
            _exit(128 + sig);
        }
        enum stop_level now = before == STOP_NO ? STOP_DRAIN : STOP_NOW;
        slog(SLOG_INFO, "stop_requested", kv_i("signal", sig), kv_s("level", now == STOP_DRAIN ? "drain" : "now"));
        stop_request(now);
    }
    return NULL;
}

bool stop_init(struct err *err)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigemptyset(&ignore.sa_mask);
    if (sigaction(SIGPIPE, &ignore, NULL) != 0)
        return err_sys(err, "ignore SIGPIPE");
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    int rc = pthread_sigmask(SIG_BLOCK, &watched, NULL);
    if (rc != 0) {
        errno = rc;
        return err_sys(err, "block signals");
    }
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_sys(err, "create the stop pipe");
    pthread_t t;
    rc = pthread_create(&t, NULL, signal_thread, NULL);
    if (rc != 0) {
        errno = rc;
        return err_sys(err, "start the signal thread");
    }
    pthread_detach(t); /* it lives as long as the process */
    return true;
}

void stop_reset_in_child(void)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    sigemptyset(&dfl.sa_mask);
    sigaction(SIGPIPE, &dfl, NULL);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGTERM);
    sigdelset(&mask, SIGINT);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

bool stop_sleep_ms(unsigned ms)
{
    int64_t until = clock_mono_us() + (int64_t)ms * 1000;
    struct pollfd p = { .fd = wake[0], .events = POLLIN }; /* a negative fd is ignored: then it only sleeps */
    while (stop_level() == STOP_NO) {
        int64_t left = (until - clock_mono_us() + 999) / 1000;
        if (left <= 0)
            return true;
        poll(&p, 1, left > 3600000 ? 3600000 : (int)left);
    }
    return false;
}
