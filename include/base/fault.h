/* fault.h - named crash points for tests.
 *
 * With ROWTIDE_FAULT=name[:n] in the environment the process kills itself (SIGKILL) when it passes the point `name` for
 * the n-th time (default 1st). Compiled in only with -DROWTIDE_FAULTS=ON; otherwise fault_point() is nothing. */
#ifndef ROWTIDE_FAULT_H
#define ROWTIDE_FAULT_H

#ifdef ROWTIDE_FAULTS
void fault_point(const char *name);
#else
#define fault_point(name) ((void)0)
#endif

#endif
