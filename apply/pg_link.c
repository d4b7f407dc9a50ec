/* pg_link.c - see pg_link.h. libpq's pipeline mode: PostgreSQL manual, "Pipeline Mode"; SQLSTATEs: appendix A.
 *
 * Why the waits look as they do: when the server's answers fill both socket buffers, it stops reading, so a sender
 * that does not read blocks for ever. And PQpipelineSync or PQflush may already have taken in data, so a poll for
 * input must only happen when PQisBusy says that more is needed. */
#include "pg_link.h"

#include "buf.h"
#include "pg_sql.h"
#include "slog.h"
#include "stop.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SYNC_BYTES = 256 << 10,      /* put a sync after so much */
    FLUSH_BYTES = 64 << 10,      /* push to the socket after so much */
    OUTSTANDING_BYTES = 1 << 20, /* unanswered at most, one statement aside */
    POLL_MS = 500,               /* how often a wait looks whether to stop at once */
    STATEMENT_OVERHEAD = 64
};

enum pending_kind { PENDING_STATEMENT, PENDING_SYNC };
struct pending {
    uint8_t kind;
    bool keep; /* the result goes to l->kept */
    long want;
    uint64_t tag; /* SYNC: bytes sent up to it */
};
struct pg_link {
    PGconn *conn;
    struct pending *ring;
    size_t head, n, cap;     /* cap: a power of two */
    uint64_t sent, answered; /* bytes; answered: up to the last sync seen */
    uint64_t last_sync, last_flush;
    bool unsynced;
    struct pg_failure failure;
    PGresult *kept;
    bool (*meanwhile)(void *ctx); /* work for who waits */
    void *meanwhile_ctx;
};

/* --- errors --- */

static bool lost(struct pg_link *l, struct err *err)
{
    char text[512];
    snprintf(text, sizeof text, "%s", l->conn == NULL ? "" : PQerrorMessage(l->conn));
    text[strcspn(text, "\n")] = '\0';
    err_set(err, ERR_NET, "the connection to PostgreSQL is gone: %s", text[0] == '\0' ? "closed" : text);
    err->transient = true;
    return false;
}

static bool state_is(const char *state, const char *prefix)
{
    return strncmp(state, prefix, strlen(prefix)) == 0;
}

bool pg_link_error(const struct pg_failure *f, struct err *err)
{
    static const struct {
        const char *prefix;
        enum err_code code;
        bool transient;
    } map[] = {
        { "08", ERR_NET, true },          /* connection exception */
        { "57P", ERR_NET, true },         /* admin shutdown, crash shutdown, cannot connect now */
        { "57014", ERR_NET, true },       /* statement_timeout, or a person cancelled it */
        { "25006", ERR_NET, true },       /* read only: a standby, or a failed-over primary */
        { "53", ERR_NET, true },          /* disk full, out of memory, too many connections */
        { "40", ERR_CONFLICT, true },     /* deadlock, serialization */
        { "55P03", ERR_CONFLICT, true },  /* lock_timeout */
        { "23505", ERR_CONFLICT, false }, /* unique_violation */
        { "28", ERR_CONFIG, false },      { "3D", ERR_CONFIG, false },
        { "3F", ERR_CONFIG, false },      { "42", ERR_CONFIG, false }, /* missing table or column, privileges, types */
        { "0A", ERR_CONFIG, false },
    };
    enum err_code code = f->counted ? ERR_CONFLICT : ERR_DATA;
    bool transient = false;
    for (size_t i = 0; i < sizeof map / sizeof *map && !f->counted; i++) {
        if (!state_is(f->sqlstate, map[i].prefix))
            continue;
        code = map[i].code;
        transient = map[i].transient;
        break;
    }
    if (f->counted)
        err_set(err, code, "%s", f->message);
    else
        err_set(err, code, "PostgreSQL says: %s (SQLSTATE %s)", f->message, f->sqlstate);
    err->transient = transient;
    return false;
}

static void fail_result(struct pg_failure *f, const PGresult *r, const struct pending *p)
{
    if (f->set)
        return;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    *f = (struct pg_failure){ .set = true, .tag = p == NULL ? 0 : p->tag, .want = p == NULL ? -1 : p->want };
    snprintf(f->sqlstate, sizeof f->sqlstate, "%s", state == NULL ? "XX000" : state);
    bool keys = state_is(f->sqlstate, "23505") || state_is(f->sqlstate, "23503"); /* others print the whole row */
    snprintf(f->message, sizeof f->message, "%s%s%s", text == NULL ? PQresultErrorMessage(r) : text,
             keys && detail != NULL ? ": " : "", keys && detail != NULL ? detail : "");
    const char *count = strstr(f->message, PG_SQL_COUNT);
    if (strcmp(f->sqlstate, "22P02") == 0 && count != NULL) {
        f->counted = true;
        f->want = 1;
        f->got = strtol(count + strlen(PG_SQL_COUNT), NULL, 10);
        snprintf(f->message, sizeof f->message, "%ld rows of the destination match instead of 1", f->got);
    }
}

/* --- answers --- */

static bool push(struct pg_link *l, struct pending p, struct err *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        struct pending *ring = malloc(cap * sizeof *ring);
        if (ring == NULL)
            return err_nomem(err);
        for (size_t i = 0; i < l->n; i++)
            ring[i] = l->ring[(l->head + i) & (l->cap - 1)];
        free(l->ring);
        l->ring = ring;
        l->head = 0;
        l->cap = cap;
    }
    l->ring[(l->head + l->n++) & (l->cap - 1)] = p;
    return true;
}

static void check_count(struct pg_link *l, long got, const struct pending *p)
{
    if (got == p->want || l->failure.set)
        return;
    l->failure = (struct pg_failure){ .set = true, .counted = true, .tag = p->tag, .want = p->want, .got = got };
    snprintf(l->failure.message, sizeof l->failure.message, "%ld rows of the destination match instead of %ld", got,
             p->want);
}

static void take(struct pg_link *l, PGresult *r)
{
    struct pending *p = &l->ring[l->head];
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_PIPELINE_SYNC) {
        l->answered = p->tag;
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        long got = p->want < 0 ? -1 : strtol(PQcmdTuples(r), NULL, 10);
        if (p->want >= 0)
            check_count(l, got, p);
        if (p->keep && l->kept == NULL) {
            l->kept = r;
            r = NULL;
        }
    } else if (status != PGRES_PIPELINE_ABORTED) { /* what an earlier error made the server skip */
        fail_result(&l->failure, r, p);
    }
    PQclear(r);
    l->head = (l->head + 1) & (l->cap - 1);
    l->n--;
}

/* Takes what has arrived, without waiting. */
static bool take_ready(struct pg_link *l, struct err *err)
{
    while (l->n != 0 && PQisBusy(l->conn) == 0) {
        PGresult *r = PQgetResult(l->conn);
        if (r != NULL) {
            bool dead = PQresultStatus(r) == PGRES_FATAL_ERROR && PQstatus(l->conn) == CONNECTION_BAD;
            take(l, r);
            if (dead)
                break;
        } else if (PQstatus(l->conn) == CONNECTION_BAD) {
            break;
        } /* NULL otherwise ends one statement's results */
    }
    return PQstatus(l->conn) != CONNECTION_BAD || lost(l, err);
}

/* Until the server has something to say, or takes more; at most POLL_MS. */
static bool wait_for_server(struct pg_link *l, bool more, struct err *err)
{
    if (!more && l->meanwhile != NULL && l->meanwhile(l->meanwhile_ctx))
        l->meanwhile = NULL;
    struct pollfd fd = { PQsocket(l->conn), (short)(POLLIN | (more ? POLLOUT : 0)), 0 };
    int ready = poll(&fd, 1, POLL_MS);
    if (ready < 0 && errno != EINTR)
        return err_sys(err, "poll");
    if (stop_level() == STOP_NOW)
        return err_set(err, ERR_STOPPED, "asked to stop at once while PostgreSQL was at work");
    if (ready > 0 && (fd.revents & (POLLIN | POLLERR | POLLHUP)) != 0 && PQconsumeInput(l->conn) == 0)
        return lost(l, err);
    return true;
}

void pg_link_meanwhile(struct pg_link *l, bool (*f)(void *ctx), void *ctx)
{
    l->meanwhile = f;
    l->meanwhile_ctx = ctx;
}

/* Until everything is with the kernel, and at most `unanswered` bytes wait for an answer (0: none, and no statement
 * either). */
static bool pump(struct pg_link *l, uint64_t unanswered, struct err *err)
{
    for (;;) {
        int left = PQflush(l->conn);
        if (left < 0 || !take_ready(l, err))
            return lost(l, err);
        bool wait = unanswered == 0 ? l->n != 0 : l->sent - l->answered > unanswered && l->n != 0;
        if (left == 0 && !wait)
            break;
        if (!wait_for_server(l, left != 0, err))
            return false;
    }
    l->last_flush = l->sent;
    return true;
}

static bool put_sync(struct pg_link *l, struct err *err)
{
    if (PQpipelineSync(l->conn) == 0)
        return lost(l, err);
    l->last_sync = l->sent;
    l->unsynced = false;
    return push(l, (struct pending){ .kind = PENDING_SYNC, .want = -1, .tag = l->sent }, err);
}

static bool after_send(struct pg_link *l, struct pending p, uint64_t bytes, struct err *err)
{
    l->sent += bytes + STATEMENT_OVERHEAD;
    l->unsynced = true;
    if (!push(l, p, err))
        return false;
    if (l->sent - l->last_sync >= SYNC_BYTES && !put_sync(l, err))
        return false;
    if (l->sent - l->answered > OUTSTANDING_BYTES)
        return (!l->unsynced || put_sync(l, err)) && pump(l, OUTSTANDING_BYTES / 2, err);
    return l->sent - l->last_flush < FLUSH_BYTES || pump(l, OUTSTANDING_BYTES, err);
}

struct flat { /* libpq wants parallel arrays */
    Oid *types;
    const char **values;
    int *lengths, *formats;
    uint64_t bytes;
    void *memory;
};

static bool flatten(const struct pg_param *params, unsigned n, struct flat *f, struct err *err)
{
    size_t each = sizeof(char *) + sizeof(Oid) + 2 * sizeof(int);
    *f = (struct flat){ 0 };
    if (n == 0)
        return true;
    f->memory = malloc(n * each);
    if (f->memory == NULL)
        return err_nomem(err);
    f->values = f->memory;
    f->types = (Oid *)(f->values + n);
    f->lengths = (int *)(f->types + n);
    f->formats = f->lengths + n;
    for (unsigned i = 0; i < n; i++) {
        f->types[i] = params[i].type;
        f->values[i] = params[i].value;
        f->lengths[i] = params[i].length;
        f->formats[i] = params[i].binary ? 1 : 0;
        f->bytes += params[i].value == NULL ? 4 : (uint64_t)params[i].length + 4;
    }
    return true;
}

static bool send_one(struct pg_link *l, const char *name, const char *sql, const struct pg_param *params, unsigned n,
                     struct pending p, struct err *err)
{
    struct flat f;
    if (l->failure.set) /* the server would skip it, or nobody wants it any more */
        return true;
    if (!flatten(params, n, &f, err))
        return false;
    int ok = name != NULL ? PQsendQueryPrepared(l->conn, name, (int)n, f.values, f.lengths, f.formats, 0)
                          : PQsendQueryParams(l->conn, sql, (int)n, f.types, f.values, f.lengths, f.formats, 0);
    free(f.memory);
    return ok == 1 ? after_send(l, p, f.bytes + (name != NULL ? 0 : strlen(sql)), err) : lost(l, err);
}

bool pg_link_send(struct pg_link *l, const char *name, const char *sql, const struct pg_param *params, unsigned n,
                  long want, uint64_t tag, struct err *err)
{
    return send_one(l, name, sql, params, n, (struct pending){ .want = want, .tag = tag }, err);
}

bool pg_link_prepare(struct pg_link *l, const char *name, const char *sql, const struct pg_param *params, unsigned n,
                     uint64_t tag, struct err *err)
{
    struct flat f;
    if (l->failure.set)
        return true;
    if (!flatten(params, n, &f, err))
        return false;
    int ok = PQsendPrepare(l->conn, name, sql, (int)n, f.types);
    free(f.memory);
    return ok == 1 ? after_send(l, (struct pending){ .want = -1, .tag = tag }, strlen(sql), err) : lost(l, err);
}

bool pg_link_flush(struct pg_link *l, struct err *err)
{
    return l->failure.set || pump(l, OUTSTANDING_BYTES, err);
}

bool pg_link_savepoint(struct pg_link *l, struct err *err)
{
    return !l->unsynced || put_sync(l, err);
}

bool pg_link_drain(struct pg_link *l, struct err *err)
{
    return (!l->unsynced || put_sync(l, err)) && pump(l, 0, err);
}

/* --- COPY --- */

/* Until the kernel has everything; answer: and the next result can be had without waiting. */
static bool settle(struct pg_link *l, bool answer, struct err *err)
{
    for (;;) {
        int left = PQflush(l->conn);
        if (left < 0)
            return lost(l, err);
        if (left == 0 && (!answer || PQisBusy(l->conn) == 0))
            return true;
        if (!wait_for_server(l, left != 0, err))
            return false;
    }
}

/* Reads results to their end, and goes back to pipeline mode. */
static bool end_copy(struct pg_link *l, long want, uint64_t tag, struct err *err)
{
    struct pending p = { .want = want, .tag = tag };
    for (;;) {
        if (!settle(l, true, err))
            return false;
        PGresult *r = PQgetResult(l->conn);
        if (r == NULL)
            break;
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            fail_result(&l->failure, r, &p);
        else if (want >= 0)
            check_count(l, strtol(PQcmdTuples(r), NULL, 10), &p);
        PQclear(r);
        if (PQstatus(l->conn) == CONNECTION_BAD)
            return lost(l, err);
    }
    return PQenterPipelineMode(l->conn) == 1 || lost(l, err);
}

bool pg_link_copy_begin(struct pg_link *l, const char *sql, uint64_t tag, bool *started, struct err *err)
{
    *started = false;
    if (!pg_link_drain(l, err))
        return false;
    if (l->failure.set)
        return true;
    if (PQexitPipelineMode(l->conn) == 0 || PQsendQuery(l->conn, sql) == 0)
        return lost(l, err);
    if (!settle(l, true, err))
        return false;
    PGresult *r = PQgetResult(l->conn);
    *started = PQresultStatus(r) == PGRES_COPY_IN;
    if (!*started)
        fail_result(&l->failure, r, &(struct pending){ .want = -1, .tag = tag });
    PQclear(r);
    return *started || end_copy(l, -1, tag, err);
}

bool pg_link_copy_put(struct pg_link *l, struct bytes data, struct err *err)
{
    for (size_t at = 0, n; at < data.n; at += n) {
        n = data.n - at > FLUSH_BYTES ? FLUSH_BYTES : data.n - at;
        if (PQputCopyData(l->conn, (const char *)data.p + at, (int)n) != 1)
            return lost(l, err);
        if (!settle(l, false, err))
            return false;
    }
    return true;
}

bool pg_link_copy_end(struct pg_link *l, long want, uint64_t tag, struct err *err)
{
    if (PQputCopyEnd(l->conn, want < 0 ? "given up" : NULL) != 1)
        return lost(l, err);
    return end_copy(l, want, tag, err);
}

const struct pg_failure *pg_link_failure(const struct pg_link *l)
{
    return &l->failure;
}

bool pg_link_reset(struct pg_link *l, struct err *err)
{
    bool ok = pg_link_drain(l, err);
    l->failure = (struct pg_failure){ 0 };
    PQclear(l->kept);
    l->kept = NULL;
    return ok;
}

bool pg_link_query(struct pg_link *l, const char *sql, const char *const *params, unsigned n, struct pg_result **out,
                   struct err *err)
{
    struct pg_param p[16] = { 0 };
    if (n > sizeof p / sizeof *p)
        return err_set(err, ERR_UNSUPPORTED, "too many parameters: %u", n);
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct pg_param){ .value = params[i], .length = params[i] == NULL ? 0 : (int)strlen(params[i]) };
    if (!pg_link_drain(l, err))
        return false;
    if (l->failure.set) /* of an earlier statement: its owner has not looked yet */
        return pg_link_error(&l->failure, err);
    if (!send_one(l, NULL, sql, p, n, (struct pending){ .want = -1, .keep = true }, err) || !pg_link_drain(l, err))
        return false;
    if (l->failure.set) {
        pg_link_error(&l->failure, err);
        l->failure = (struct pg_failure){ 0 };
        return false;
    }
    *out = l->kept;
    l->kept = NULL;
    return *out != NULL || err_set(err, ERR_NET, "PostgreSQL gave no answer");
}

bool pg_link_exec(struct pg_link *l, const char *sql, struct err *err)
{
    PGresult *r = NULL;
    if (!pg_link_query(l, sql, NULL, 0, &r, err))
        return false;
    PQclear(r);
    return true;
}

bool pg_link_script(struct pg_link *l, const char *sql, struct err *err)
{
    if (!pg_link_drain(l, err))
        return false;
    if (PQexitPipelineMode(l->conn) == 0 || PQsetnonblocking(l->conn, 0) != 0)
        return lost(l, err);
    PGresult *r = PQexec(l->conn, sql);
    ExecStatusType status = PQresultStatus(r);
    bool ok = true;
    if (PQstatus(l->conn) == CONNECTION_BAD) {
        ok = lost(l, err);
    } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
        ok = err_set(err, ERR_CONFIG, "COPY cannot be run from here");
        err->transient = false;
    } else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        struct pg_failure f = { 0 };
        fail_result(&f, r, NULL);
        ok = pg_link_error(&f, err);
    }
    PQclear(r);
    if (PQsetnonblocking(l->conn, 1) != 0 || PQenterPipelineMode(l->conn) == 0)
        return ok ? lost(l, err) : false;
    return ok;
}

/* --- connection --- */

/* libpq would print them on stderr, between our log lines. */
static void notice(void *unused, const PGresult *r)
{
    (void)unused;
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    slog(SLOG_DEBUG, "postgresql_notice", kv_s("message", text == NULL ? "" : text));
}

static bool refused(PGconn *conn, struct err *err)
{
    static const char *const final[] = { "authentication failed", "does not exist",    "no pg_hba.conf entry",
                                         "no password supplied",  "permission denied", "invalid" };
    char text[600];
    snprintf(text, sizeof text, "%s", PQerrorMessage(conn));
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\n')
            *p = p[1] == '\0' ? '\0' : ' ';
    err_set(err, ERR_NET, "%s", text);
    err->transient = true;
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        if (strstr(text, final[i]) == NULL || strstr(text, "Is the server running") != NULL)
            continue;
        err->code = ERR_CONFIG;
        err->transient = false;
    }
    return false;
}

bool pg_link_open(const char *url, const char *application_name, struct pg_link **out, struct err *err)
{
    /* what stands before dbname is a default that the URL may override */
    const char *const keys[] = {
        "connect_timeout", "tcp_user_timeout", "keepalives_idle", "dbname", "application_name", "client_encoding", NULL
    };
    const char *const values[] = { "10", "30000", "30", url, application_name, "UTF8", NULL };
    char *why = NULL;
    PQconninfoOption *opts = PQconninfoParse(url, &why);
    PQfreemem(why); /* it may quote the URL, password included (I10) */
    if (opts == NULL)
        return err_set(
            err, ERR_CONFIG,
            "the destination's URL is not one that libpq understands: postgresql://USER@HOST:PORT/DATABASE, special "
            "characters in a password as %%XX");
    PQconninfoFree(opts);
    struct pg_link *l = calloc(1, sizeof *l);
    if (l == NULL)
        return err_nomem(err);
    l->conn = PQconnectdbParams(keys, values, 1);
    if (l->conn == NULL) {
        pg_link_close(l);
        return err_nomem(err);
    }
    PQsetNoticeReceiver(l->conn, notice, NULL);
    bool ok = PQstatus(l->conn) == CONNECTION_OK || refused(l->conn, err);
    if (ok && PQserverVersion(l->conn) < 130000)
        ok = err_set(err, ERR_UNSUPPORTED, "PostgreSQL %d is too old: 13 is the oldest that works",
                     PQserverVersion(l->conn) / 10000);
    if (ok && (PQsetnonblocking(l->conn, 1) != 0 || PQenterPipelineMode(l->conn) == 0))
        ok = lost(l, err);
    ok = ok &&
         pg_link_script(l,
                        "SET search_path = ''; SET standard_conforming_strings = on; SET timezone = 'UTC'; "
                        "SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; "
                        "SET extra_float_digits = 3; SET jit = off; SET plan_cache_mode = force_generic_plan; "
                        "SET lock_timeout = '10s'; SET statement_timeout = 0; "
                        "SET idle_in_transaction_session_timeout = 0; "
                        "SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning; "
                        /* what is confirmed must be durable; stricter settings stay (dest.lazy: for one transaction) */
                        "SELECT set_config('synchronous_commit', 'on', false) WHERE "
                        "current_setting('synchronous_commit') = 'off'",
                        err);
    if (!ok) {
        pg_link_close(l);
        return false;
    }
    *out = l;
    return true;
}

void pg_link_close(struct pg_link *l)
{
    if (l == NULL)
        return;
    PQclear(l->kept);
    PQfinish(l->conn);
    free(l->ring);
    free(l);
}

bool pg_link_in_transaction(const struct pg_link *l)
{
    return PQtransactionStatus(l->conn) == PQTRANS_INTRANS;
}

bool pg_link_alive(struct pg_link *l)
{
    return PQstatus(l->conn) == CONNECTION_OK;
}

void pg_link_place(const struct pg_link *l, struct buf *out)
{
    const char *host = PQhost(l->conn), *port = PQport(l->conn), *db = PQdb(l->conn);
    buf_printf(out, "postgresql://%s:%s/%s", host == NULL ? "" : host, port == NULL ? "" : port, db == NULL ? "" : db);
}
