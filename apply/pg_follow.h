/* pg_follow.h - a DDL statement of the source, at the destination: the SQL that the script's ddl() answered, or what
 * pg_ddl.h makes of it; stops where a person must decide.
 *
 * In the open transaction. What targets know is old afterwards, whatever the outcome: the caller forgets it. */
#ifndef ROWTIDE_PG_FOLLOW_H
#define ROWTIDE_PG_FOLLOW_H

#include "pg_targets.h"

/* r: an OUT_DDL. scratch is reset. ERR_CONFIG: a person must act, the message says how; else as pg_link. */
bool pg_follow_ddl(struct pg_targets *t, struct pg_link *l, const struct outrow *r, struct arena *scratch,
                   struct err *err);

#endif
