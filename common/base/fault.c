/* fault.c - named crash points (fault.h). SIGKILL, because a crash that runs cleanup handlers proves nothing. */
#include "fault.h"

#include <stddef.h>

#ifdef ROWTIDE_FAULTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fault_point(const char *name)
{
    static atomic_ulong passed; /* only one point can be armed, so one counter is enough */
    const char *want = getenv("ROWTIDE_FAULT");
    if (want == NULL)
        return;
    size_t n = strlen(name);
    if (strncmp(want, name, n) != 0 || (want[n] != '\0' && want[n] != ':'))
        return;
    unsigned long nth = want[n] == ':' ? strtoul(want + n + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&passed, 1) + 1 == (nth == 0 ? 1 : nth))
        kill(getpid(), SIGKILL);
}
#endif
