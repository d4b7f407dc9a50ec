/* test_stop.c - levels only go up, sleepers wake, and the three signals of an impatient operator. One process per
 * case. */
#include "clock.h"
#include "stop.h"
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int by_request(void)
{
    struct pollfd p = { .fd = stop_fd(), .events = POLLIN };
    if (stop_level() != STOP_NO || poll(&p, 1, 0) != 0 || !stop_sleep_ms(5))
        return 1;
    stop_request(STOP_NO);
    if (stop_level() != STOP_NO || poll(&p, 1, 0) != 0)
        return 2;
    stop_request(STOP_DRAIN);
    if (stop_level() != STOP_DRAIN || poll(&p, 1, 0) != 1 || stop_sleep_ms(60000))
        return 3;
    stop_request(STOP_NOW);
    stop_request(STOP_DRAIN);
    return stop_level() == STOP_NOW && poll(&p, 1, 0) == 1 ? 0 : 4;
}

static int one_signal(void)
{
    kill(getpid(), SIGTERM);
    return !stop_sleep_ms(10000) && stop_level() == STOP_DRAIN ? 0 : 1;
}

static int two_signals(void)
{
    int first = one_signal();
    kill(getpid(), SIGINT);
    for (int i = 0; i < 1000 && stop_level() != STOP_NOW; i++)
        clock_sleep_ms(5);
    return first == 0 && stop_level() == STOP_NOW ? 0 : 1;
}

static int three_signals(void)
{
    if (two_signals() != 0)
        return 1;
    kill(getpid(), SIGINT);
    clock_sleep_ms(10000);
    return 2;
}

static int broken_pipe(void)
{
    int p[2];
    if (pipe(p) != 0)
        return 1;
    close(p[0]);
    return write(p[1], "x", 1) == -1 ? 0 : 2;
}

static int child_of_ours(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        stop_reset_in_child();
        raise(SIGTERM);
        _exit(3);
    }
    int st = 0;
    waitpid(pid, &st, 0);
    return WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM ? 0 : 1;
}

static const struct {
    const char *name;
    int (*fn)(void);
    int want;
} cases[] = {
    { "request", by_request, 0 },      { "one signal", one_signal, 0 },
    { "two signals", two_signals, 0 }, { "three signals", three_signals, 128 + SIGINT },
    { "broken pipe", broken_pipe, 0 }, { "child", child_of_ours, 0 },
};

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            struct err e;
            if (freopen("/dev/null", "w", stderr) == NULL) /* its log lines are not ours */
                _exit(101);
            _exit(stop_init(&e) ? cases[i].fn() : 100);
        }
        int st = 0;
        waitpid(pid, &st, 0);
        CHECK(WIFEXITED(st) && WEXITSTATUS(st) == cases[i].want, "%s: status %x", cases[i].name, (unsigned)st);
    }
    return UNIT_END();
}
