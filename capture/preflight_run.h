/* preflight_run.h - one run of the checks, shared by preflight.c (the server) and preflight_tables.c (its tables). */
#ifndef ROWTIDE_PREFLIGHT_RUN_H
#define ROWTIDE_PREFLIGHT_RUN_H

#include "preflight.h"

struct preflight_run {
    struct binlog_client *c;
    const struct preflight_options *o;
    struct preflight found;
    struct sql_result vars; /* SHOW GLOBAL VARIABLES: name, value */
    bool mariadb;
    unsigned version;
    struct err *err; /* set when a check returns false: the connection failed, or memory */
};

/* mend may be ""; it is SQL or a sentence. False: out of memory. */
bool preflight_add(struct preflight_run *r, enum finding_level level, const char *check, const char *mend,
                   const char *fmt, ...) PRINTF_LIKE(5, 6);
/* False only when the connection fails. *got says whether there is an answer; without one *why holds the server's refusal. */
bool preflight_ask(struct preflight_run *r, const char *sql, struct sql_result *out, bool *got, struct err *why);
const char *preflight_var(const struct preflight_run *r, const char *name); /* NULL: the server has no such variable */

bool preflight_tables(struct preflight_run *r); /* keys, engines, cascades of the captured tables */

#endif
