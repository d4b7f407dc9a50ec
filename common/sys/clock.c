/* clock.c - wall and monotonic time (clock.h). */
#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts = { 0 };
    clock_gettime(id, &ts); /* cannot fail for these clocks */
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_cpu_self_us(void)
{
    struct rusage u = { 0 };
    getrusage(RUSAGE_SELF, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

void clock_sleep_ms(uint64_t ms)
{
    struct timespec left = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

char *clock_iso(int64_t wall_us, char *out, size_t cap)
{
    int64_t sec = wall_us / 1000000, us = wall_us % 1000000;
    if (us < 0) { /* before 1970: C divides towards zero, a calendar counts from below */
        us += 1000000;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm = { 0 };
    if (gmtime_r(&t, &tm) == NULL) {
        snprintf(out, cap, "?");
        return out;
    }
    snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
             tm.tm_min, tm.tm_sec, (int)us);
    return out;
}
