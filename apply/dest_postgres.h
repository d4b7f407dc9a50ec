/* dest_postgres.h - one open PostgreSQL destination: private to dest_postgres*.c.
 *
 * Statements that are under way carry a tag: 0 none of a row's, else the number of a row of the batch from 1, or one of
 * those below. */
#ifndef ROWTIDE_DEST_POSTGRES_H
#define ROWTIDE_DEST_POSTGRES_H

#include "compact.h"
#include "pg_progress.h"
#include "pg_targets.h"

#define TAG_PROGRESS UINT64_MAX
#define TAG_COMMIT (UINT64_MAX - 1)

struct postgres {
    struct dest base;
    const struct subscription *sub;
    struct pg_link *link; /* NULL once it broke */
    struct pg_writer *writer;
    struct pg_targets targets;
    struct pg_progress progress;
    struct arena *arena;        /* plans */
    struct {                    /* the plan of the batch behind the one at hand, made while the server is at work */
        const struct batch *of; /* NULL: none */
        struct plan plan;
        struct arena *arena;
    } ahead;
    bool in_transaction;
    bool unchecked;                 /* row counts of arrays are still to come */
    uint64_t changes, transactions; /* of the open transaction */
    struct dest_stats open;         /* rows of the open transaction */
    uint64_t coerced_before;
    /* The COMMIT of the batch before is under way: apply() returned, since another batch was there for the server to go on with. All
     * else of that batch was answered before. */
    bool committing;
    struct dest_stats sent; /* its rows */
    bool lost_commit;       /* it was not carried out, or nobody knows: what apply() said is so no more, until attach */
    bool patient;           /* that happened: no COMMIT is left under way again */
};

/* dest_postgres.c: what pg_link_failure says, in the words of the pipeline. Always false. */
bool postgres_failed(struct postgres *p, const struct batch *b, struct err *err);
/* dest_postgres.c: the connection no longer has its prepared statements, or must not use them. */
void postgres_forget_statements(struct postgres *p);

/* dest_postgres_rows.c: rows [from, to) of b, none of them DDL. Answers may still be due. */
bool postgres_rows(struct postgres *p, const struct batch *b, size_t from, size_t to, enum apply_mode mode,
                   struct err *err);
/* The same in APPLY_BATCH, where all targets are known. */
bool postgres_rows_planned(struct postgres *p, const struct batch *b, size_t from, size_t to, struct err *err);
/* All rows of b are changes of tables that are known. */
bool postgres_knows_targets(const struct postgres *p, const struct batch *b);
/* Makes the plan of all of b, for postgres_rows_planned, where it can be made already. */
void postgres_plan_ahead(struct postgres *p, const struct batch *b);

/* dest_postgres_early.c: before the turn, applies the rows that no batch under way has to do with, and waits for the
 * turn. *ordered is b with those in front, *from the first that is left. */
bool postgres_early(struct postgres *p, const struct batch *b, struct batch *ordered, size_t *from, struct err *err);

#endif
