/* clock.h - wall and monotonic time. Microseconds everywhere unless the name says otherwise. Thread: any. */
#ifndef ROWTIDE_CLOCK_H
#define ROWTIDE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_us(void);     /* since 1970-01-01 UTC */
int64_t clock_mono_us(void);     /* for durations and deadlines */
int64_t clock_cpu_self_us(void); /* user + system time of this process */
void clock_sleep_ms(uint64_t ms);
/* "2026-08-24T10:11:12.345678Z" into out (at least 28 bytes); returns out. */
char *clock_iso(int64_t wall_us, char *out, size_t cap);

#endif
