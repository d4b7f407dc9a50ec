/* binlog_statement.h - private to binlog_stream: what the text of a statement in the binlog means for the transaction
 * around it, and whether a statement-format change may have touched a captured table. Pure. */
#ifndef ROWTIDE_BINLOG_STATEMENT_H
#define ROWTIDE_BINLOG_STATEMENT_H

#include "binlog_event.h"
#include "ddl.h"
#include "pattern.h"

enum stmt_word { /* the first words, comments skipped */
                 WORD_OTHER,
                 WORD_BEGIN, /* START TRANSACTION too */
                 WORD_COMMIT,
                 WORD_ROLLBACK,
                 WORD_SAVEPOINT,
                 WORD_ROLLBACK_TO,
                 WORD_RELEASE,
                 WORD_XA_START,
                 WORD_XA_END,
                 WORD_XA_COMMIT,
                 WORD_XA_ROLLBACK,
                 WORD_XA_OTHER
};
/* *name: a savepoint's (without backquotes), or what follows XA COMMIT and XA ROLLBACK; else empty. A view into sql. */
enum stmt_word statement_word(struct bytes sql, struct bytes *name);

/* MySQL >= 8.0.21 marks CREATE TABLE ... SELECT by these words at its end: rows of the same transaction follow. *sql
 * loses them. */
bool statement_starts_transaction(struct bytes *sql);

/* A statement that changes rows, and what the event says besides its text. */
struct stmt_dml {
    struct bytes schema; /* default */
    struct bytes sql;
    const struct ddl *parsed;
    struct bytes schemas; /* NUL-terminated names of all schemas that it used, one behind the other */
    bool schemas_known;   /* MySQL only, and not when they are many */
};
/* The list of schemas from a QUERY's or EXECUTE_LOAD_QUERY's status variables (MySQL). */
void statement_schemas(struct bytes status_vars, bool mariadb, struct stmt_dml *out);
/* Can the statement have changed a captured table: by name; through a view in a schema of captured tables; through a
 * trigger or function, where the server lists a schema that the text does not name; or because it names no single
 * table. */
bool statement_may_touch(const struct stmt_dml *s, const struct pattern *tables);

struct ev_load_query { /* EXECUTE_LOAD_QUERY */
    struct bytes schema, sql, status_vars;
};
bool statement_parse_load(const struct binlog_event *e, struct ev_load_query *out, struct err *err);
struct bytes statement_status_vars(const struct binlog_event *query); /* of a QUERY that was parsed before */

/* MariaDB's binlog_alter_two_phase: an ALTER TABLE stands in the binlog when it starts, and again when it is done or
 * failed. */
enum alter_phase { ALTER_WHOLE, ALTER_START, ALTER_COMMIT, ALTER_ROLLBACK };
enum alter_phase statement_alter_phase(const struct binlog_event *mariadb_gtid);

#endif
