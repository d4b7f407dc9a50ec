/* pg_link.h - one connection to PostgreSQL, always in libpq's pipeline mode: send ahead, read answers while sending.
 *
 * Owns the connection and the list of answers still due. Knows nothing of tables. After a server error everything up
 * to the next sync is skipped by the server; the first failure is kept until pg_link_reset. A sync is put in by bytes,
 * not by time, and what is under way is bounded, because libpq moves its whole buffer at each partial write. One
 * thread at a time. */
#ifndef ROWTIDE_PG_LINK_H
#define ROWTIDE_PG_LINK_H

#include "bytes.h"

struct buf;
struct pg_link;
struct pg_result; /* libpq's PGresult */

struct pg_param {
    uint32_t type;     /* oid of the parameter; 0: PostgreSQL finds out */
    const char *value; /* NULL: SQL NULL */
    int length;
    bool binary;
};
struct pg_failure { /* the first answer that was not as it should be */
    bool set;
    bool counted; /* the server raised nothing, but the number of rows was wrong; or a PG_SQL_COUNT check */
    char sqlstate[6];
    char message[768]; /* the server's primary message; its detail where that only names keys */
    uint64_t tag;      /* of the statement */
    long want, got;    /* counted */
};

/* Session settings of docs/postgresql.md are made here. url: anything libpq takes; never printed (I10). */
bool pg_link_open(const char *url, const char *application_name, struct pg_link **out, struct err *err);
/* f is called when the link would only wait for answers, until it returns true; it must not use the link. NULL: no more. */
void pg_link_meanwhile(struct pg_link *l, bool (*f)(void *ctx), void *ctx);
void pg_link_close(struct pg_link *l);                /* NULL is fine */
bool pg_link_in_transaction(const struct pg_link *l); /* and it has not failed */
bool pg_link_alive(struct pg_link *l);
void pg_link_place(const struct pg_link *l, struct buf *out); /* postgresql://host:port/database */

/* Queue one statement. name: a prepared one; else sql is parsed anew. want: rows it must affect, -1 any. False only
 * when the connection is gone; a failure so far shows in pg_link_failure. */
bool pg_link_send(struct pg_link *l, const char *name, const char *sql, const struct pg_param *params, unsigned n,
                  long want, uint64_t tag, struct err *err);
bool pg_link_prepare(struct pg_link *l, const char *name, const char *sql, const struct pg_param *params, unsigned n,
                     uint64_t tag, struct err *err);
bool pg_link_flush(struct pg_link *l, struct err *err); /* what is queued goes out now; answers may be due */
bool pg_link_savepoint(struct pg_link *l,
                       struct err *err); /* puts a sync, so that an error behind it leaves what is before it */
/* COPY ... FROM STDIN, outside of pipeline mode until its end: waits for the answers that are due first. *started false:
 * a failure, earlier or of the COPY itself, is in pg_link_failure. */
bool pg_link_copy_begin(struct pg_link *l, const char *sql, uint64_t tag, bool *started, struct err *err);
bool pg_link_copy_put(struct pg_link *l, struct bytes data, struct err *err);
/* want: rows it must have taken; -1: the sender gives up, the transaction is over. Waits for the answer. */
bool pg_link_copy_end(struct pg_link *l, long want, uint64_t tag, struct err *err);
/* Sends everything and waits for every answer. False when the connection is gone (ERR_NET, transient); a server's
 * error is no false. */
bool pg_link_drain(struct pg_link *l, struct err *err);
const struct pg_failure *pg_link_failure(const struct pg_link *l); /* ->set: something failed */
/* Drains, then forgets the failure. */
bool pg_link_reset(struct pg_link *l, struct err *err);

/* One round trip, text parameters (NULL: SQL NULL); *out to be PQclear'ed. A server's error is returned, mapped. */
bool pg_link_query(struct pg_link *l, const char *sql, const char *const *params, unsigned n, struct pg_result **out,
                   struct err *err);
bool pg_link_exec(struct pg_link *l, const char *sql, struct err *err);
/* Several statements separated by semicolons (simple protocol); nothing may be under way. */
bool pg_link_script(struct pg_link *l, const char *sql, struct err *err);

/* Code and transience by SQLSTATE; message and state in err. */
bool pg_link_error(const struct pg_failure *f, struct err *err);

#endif
