/* schema_statement.h - what a statement of the binlog means for the schema history: its session's settings, and whether
 * to follow it. Pure. */
#ifndef ROWTIDE_SCHEMA_STATEMENT_H
#define ROWTIDE_SCHEMA_STATEMENT_H

#include "schema_source.h"

/* From a QUERY event's status variables. What cannot be read leaves the rest as not said: the servers put what they
 * know later behind what all of them know. */
void schema_session_read(struct bytes status_vars, bool mariadb, struct schema_session *out);

enum schema_step {
    SCHEMA_IGNORE, /* changes no definition */
    SCHEMA_FOLLOW,
    SCHEMA_UNKNOWN /* changes one, but nobody can tell which: a temporary table may be meant, or it failed halfway */
};
enum schema_step schema_statement_step(const struct schema_statement *st);
bool schema_is_system(struct bytes schema); /* mysql, information_schema ...: never followed */

#endif
