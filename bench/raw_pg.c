/* raw_pg.c - the limit of any applier into PostgreSQL: the rows of a table, written again by bare libpq.
 *
 *   raw_pg URL TABLE KEY MODE [BATCH [CONNECTIONS]]
 *
 * Reads the table into memory (binary COPY), then measures one of: insert, update, delete (a statement over binary arrays
 * and a transaction for each BATCH rows, pipelined, two batches under way for each connection; only the last commit of each
 * connection waits for the disk), copy (binary COPY of
 * everything, one transaction for each connection), row-insert, row-update, row-delete (a prepared statement and a round
 * trip a row, BATCH rows a transaction; BATCH 1: each its own). insert and copy empty the table first; connections share
 * the batches in turn. Column types: those with an array type; KEY is one column. Prints one line of JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { COLUMNS_MAX = 64, CONNECTIONS_MAX = 8, DEPTH = 2 };
static const char session[] = "SET jit = off; SET plan_cache_mode = force_generic_plan";

struct field {
    const char *p;
    int n; /* -1: NULL */
};
struct data {
    unsigned ncols, key;
    char *names[COLUMNS_MAX];
    Oid type[COLUMNS_MAX], array[COLUMNS_MAX];
    char *body; /* what COPY sent */
    struct field *rows;
    size_t nrows;
};
struct work {
    const struct data *d;
    const char *table, *mode;
    size_t batch;
    char sql[8192];
    unsigned cols[COLUMNS_MAX]; /* one for each parameter */
    unsigned nparams;
};

static void die(PGconn *c, const char *what)
{
    fprintf(stderr, "raw_pg: %s: %s\n", what, c == NULL ? "" : PQerrorMessage(c));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static PGresult *run(PGconn *c, const char *sql, ExecStatusType want)
{
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != want)
        die(c, sql);
    return r;
}

static void command(PGconn *c, const char *sql)
{
    PQclear(run(c, sql, PGRES_COMMAND_OK));
}

static PGconn *open_link(const char *url)
{
    PGconn *c = PQconnectdb(url);
    if (PQstatus(c) != CONNECTION_OK)
        die(c, "connect");
    command(c, session);
    return c;
}

static int be32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return (int)ntohl(v);
}

/* --- the rows --- */

static void read_columns(PGconn *c, struct data *d, const char *table, const char *key)
{
    char sql[1024];
    snprintf(
        sql, sizeof sql,
        "SELECT quote_ident(a.attname), a.atttypid, t.typarray, a.attname = '%s' FROM pg_attribute a JOIN pg_type t ON "
        "t.oid = a.atttypid WHERE a.attrelid = '%s'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY "
        "a.attnum",
        key, table);
    PGresult *r = run(c, sql, PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(r) && i < COLUMNS_MAX; i++) {
        d->names[i] = strdup(PQgetvalue(r, i, 0));
        d->type[i] = (Oid)strtoul(PQgetvalue(r, i, 1), NULL, 10);
        d->array[i] = (Oid)strtoul(PQgetvalue(r, i, 2), NULL, 10);
        if (PQgetvalue(r, i, 3)[0] == 't')
            d->key = (unsigned)i;
        d->ncols++;
    }
    PQclear(r);
}

static void read_rows(PGconn *c, struct data *d, const char *table)
{
    char sql[1024], *chunk;
    size_t n = 0, cap = 0, rows_cap = 0, at = 19; /* signature, flags, extension length */
    int got;
    snprintf(sql, sizeof sql, "COPY %s TO STDOUT (FORMAT binary)", table);
    PQclear(run(c, sql, PGRES_COPY_OUT));
    while ((got = PQgetCopyData(c, &chunk, 0)) > 0) {
        if (n + (size_t)got > cap && (d->body = realloc(d->body, cap = (n + (size_t)got) * 2)) == NULL)
            die(NULL, "memory");
        memcpy(d->body + n, chunk, (size_t)got);
        n += (size_t)got;
        PQfreemem(chunk);
    }
    PQclear(PQgetResult(c));
    while (at + 2 <= n && (d->body[at] != (char)0xff)) {
        at += 2;
        if (d->nrows == rows_cap &&
            (d->rows = realloc(d->rows, (rows_cap = rows_cap * 2 + 1024) * d->ncols * sizeof *d->rows)) == NULL)
            die(NULL, "memory");
        for (unsigned i = 0; i < d->ncols; i++) {
            int len = be32(d->body + at);
            at += 4;
            d->rows[d->nrows * d->ncols + i] = (struct field){ d->body + at, len };
            at += len > 0 ? (size_t)len : 0;
        }
        d->nrows++;
    }
}

/* --- statements --- */

static void list(char **p, const struct work *w, unsigned from, const char *form, const char *between)
{
    for (unsigned i = from; i < w->nparams; i++) {
        if (i != from)
            *p += sprintf(*p, "%s", between);
        for (const char *f = form; *f != '\0'; f++) {
            if (*f == '%')
                *p += sprintf(*p, "%s", w->d->names[w->cols[i]]);
            else if (*f == '#')
                *p += sprintf(*p, "%u", i + 1);
            else
                *(*p)++ = *f;
        }
    }
    **p = '\0';
}

static void text(struct work *w, bool many)
{
    const struct data *d = w->d;
    const char *op = strncmp(w->mode, "row-", 4) == 0 ? w->mode + 4 : w->mode, *key = d->names[d->key];
    char *p = w->sql;
    w->cols[w->nparams++] = d->key; /* $1 */
    for (unsigned i = 0; op[0] != 'd' && i < d->ncols; i++)
        if (i != d->key)
            w->cols[w->nparams++] = i;
    if (op[0] == 'd') {
        sprintf(p, many ? "DELETE FROM %s WHERE %s = ANY($1)" : "DELETE FROM %s WHERE %s = $1", w->table, key);
        return;
    }
    if (op[0] == 'i') {
        p += sprintf(p, "INSERT INTO %s (", w->table);
        list(&p, w, 0, "%", ",");
        p += sprintf(p, many ? ") SELECT " : ") VALUES (");
        list(&p, w, 0, many ? "u.c#" : "$#", ",");
        p += sprintf(p, many ? " FROM " : ")");
    } else {
        p += sprintf(p, "UPDATE %s t SET ", w->table);
        list(&p, w, 1, many ? "% = u.c#" : "% = $#", ", ");
        p += sprintf(p, many ? " FROM " : " WHERE t.%s = $1", key);
    }
    if (!many)
        return;
    p += sprintf(p, "(SELECT "); /* in FROM, unnest would write its rows to a tuplestore first */
    list(&p, w, 0, "unnest($#) AS c#", ",");
    p += sprintf(p, ") u");
    if (op[0] == 'u')
        sprintf(p, " WHERE t.%s = u.c1", key);
}

static char *put32(char *p, int v)
{
    uint32_t n = htonl((uint32_t)v);
    memcpy(p, &n, 4);
    return p + 4;
}

/* One column of rows [from, to) as a binary array, malloc'd (array_recv). */
static char *array(const struct data *d, unsigned col, size_t from, size_t to, int *length)
{
    size_t bytes = 20;
    bool nulls = false;
    for (size_t i = from; i < to; i++) {
        int n = d->rows[i * d->ncols + col].n;
        bytes += 4 + (n < 0 ? 0 : (size_t)n);
        nulls |= n < 0;
    }
    char *out = malloc(bytes), *p = out;
    if (out == NULL)
        die(NULL, "memory");
    p = put32(put32(put32(put32(put32(p, 1), nulls), (int)d->type[col]), (int)(to - from)), 1);
    for (size_t i = from; i < to; i++) {
        struct field f = d->rows[i * d->ncols + col];
        p = put32(p, f.n);
        if (f.n > 0)
            p = (char *)memcpy(p, f.p, (size_t)f.n) + f.n;
    }
    *length = (int)bytes;
    return out;
}

/* --- arrays, pipelined --- */

static void pump(PGconn *c)
{
    while (PQflush(c) == 1) {
        struct pollfd fd = { PQsocket(c), POLLIN | POLLOUT, 0 };
        poll(&fd, 1, -1);
        if ((fd.revents & POLLIN) != 0 && PQconsumeInput(c) == 0)
            die(c, "receive");
    }
}

static void send_batch(PGconn *c, const struct work *w, size_t from, size_t to, bool last)
{
    const struct data *d = w->d;
    const char *values[COLUMNS_MAX];
    int lengths[COLUMNS_MAX], formats[COLUMNS_MAX];
    for (unsigned i = 0; i < w->nparams; i++) {
        values[i] = array(d, w->cols[i], from, to, &lengths[i]);
        formats[i] = 1;
    }
    if (PQsendQueryParams(c, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) == 0 ||
        PQsendQueryPrepared(c, "s", (int)w->nparams, values, lengths, formats, 0) == 0 ||
        (!last && PQsendQueryParams(c, "SET LOCAL synchronous_commit = off", 0, NULL, NULL, NULL, NULL, 0) == 0) ||
        PQsendQueryParams(c, "COMMIT", 0, NULL, NULL, NULL, NULL, 0) == 0 || PQpipelineSync(c) == 0)
        die(c, "send");
    for (unsigned i = 0; i < w->nparams; i++)
        free((char *)values[i]);
    pump(c);
}

/* Until one more sync has come back. */
static void receive_batch(PGconn *c)
{
    for (;;) {
        PGresult *r = PQgetResult(c);
        ExecStatusType s = PQresultStatus(r);
        if (r != NULL && s != PGRES_COMMAND_OK && s != PGRES_TUPLES_OK && s != PGRES_PIPELINE_SYNC)
            die(c, "a statement");
        PQclear(r);
        if (r != NULL && s == PGRES_PIPELINE_SYNC)
            return;
    }
}

static void arrays(PGconn **c, unsigned n, const struct work *w)
{
    const struct data *d = w->d;
    unsigned under_way[CONNECTIONS_MAX] = { 0 }, turn = 0;
    for (size_t from = 0; from < d->nrows; from += w->batch, turn = (turn + 1) % n) {
        if (under_way[turn] == DEPTH) {
            receive_batch(c[turn]);
            under_way[turn]--;
        }
        send_batch(c[turn], w, from, from + w->batch < d->nrows ? from + w->batch : d->nrows,
                   from + n * w->batch >= d->nrows);
        under_way[turn]++;
    }
    for (unsigned i = 0; i < n; i++)
        for (; under_way[i] != 0; under_way[i]--)
            receive_batch(c[i]);
}

/* --- COPY, and single rows --- */

static void copy(PGconn **c, unsigned n, const struct work *w)
{
    const struct data *d = w->d;
    char sql[1024];
    static const char head[19] = "PGCOPY\n\377\r\n";
    snprintf(sql, sizeof sql, "COPY %s FROM STDIN (FORMAT binary)", w->table);
    for (unsigned i = 0; i < n; i++) {
        PQclear(run(c[i], sql, PGRES_COPY_IN));
        PQputCopyData(c[i], head, sizeof head);
    }
    for (size_t i = 0; i < d->nrows;
         i++) { /* a row is where COPY found it: count, then length and bytes of each field */
        const struct field *first = &d->rows[i * d->ncols], *last = first + d->ncols - 1;
        const char *from = first->p - 6, *to = last->p + (last->n > 0 ? last->n : 0);
        if (PQputCopyData(c[i / w->batch % n], from, (int)(to - from)) != 1)
            die(c[0], "copy");
    }
    for (unsigned i = 0; i < n; i++)
        if (PQputCopyData(c[i], "\377\377", 2) != 1 || PQputCopyEnd(c[i], NULL) != 1)
            die(c[i], "end of copy");
    for (unsigned i = 0; i < n; i++) {
        for (PGresult *r; (r = PQgetResult(c[i])) != NULL; PQclear(r))
            if (PQresultStatus(r) != PGRES_COMMAND_OK)
                die(c[i], "copy");
    }
}

static void rows(PGconn *c, const struct work *w)
{
    const struct data *d = w->d;
    const char *values[COLUMNS_MAX];
    int lengths[COLUMNS_MAX], formats[COLUMNS_MAX];
    for (size_t i = 0; i < d->nrows; i++) {
        if (w->batch > 1 && i % w->batch == 0)
            command(c, "BEGIN");
        for (unsigned k = 0; k < w->nparams; k++) {
            struct field f = d->rows[i * d->ncols + w->cols[k]];
            values[k] = f.n < 0 ? NULL : f.p;
            lengths[k] = f.n;
            formats[k] = 1;
        }
        PGresult *r = PQexecPrepared(c, "s", (int)w->nparams, values, lengths, formats, 0);
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            die(c, "a row");
        PQclear(r);
        if (w->batch > 1 && (i % w->batch == w->batch - 1 || i == d->nrows - 1))
            command(c, "COMMIT");
    }
}

int main(int argc, char **argv)
{
    struct data d = { 0 };
    struct work w = { .d = &d };
    PGconn *c[CONNECTIONS_MAX];
    if (argc < 5) {
        fprintf(stderr, "usage: raw_pg URL TABLE KEY MODE [BATCH [CONNECTIONS]]\n");
        return 2;
    }
    w.table = argv[2];
    w.mode = argv[4];
    w.batch = argc > 5 ? strtoul(argv[5], NULL, 10) : 5000;
    unsigned n = argc > 6 ? (unsigned)strtoul(argv[6], NULL, 10) : 1;
    bool single = strncmp(w.mode, "row-", 4) == 0, is_copy = strcmp(w.mode, "copy") == 0;
    if (w.batch == 0 || n == 0 || n > CONNECTIONS_MAX)
        return 2;
    for (unsigned i = 0; i < n; i++)
        c[i] = open_link(argv[1]);
    read_columns(c[0], &d, w.table, argv[3]);
    read_rows(c[0], &d, w.table);
    if (!is_copy)
        text(&w, !single);
    if (is_copy || strstr(w.mode, "insert") != NULL) {
        char sql[1024];
        snprintf(sql, sizeof sql, "TRUNCATE %s", w.table);
        command(c[0], sql);
    }
    for (unsigned i = 0; i < n && !is_copy; i++) {
        Oid types[COLUMNS_MAX];
        for (unsigned k = 0; k < w.nparams; k++)
            types[k] = single ? d.type[w.cols[k]] : d.array[w.cols[k]];
        PGresult *r = PQprepare(c[i], "s", w.sql, (int)w.nparams, types);
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            die(c[i], w.sql);
        PQclear(r);
        if (!single && (PQsetnonblocking(c[i], 1) != 0 || PQenterPipelineMode(c[i]) == 0))
            die(c[i], "pipeline mode");
    }
    double t0 = now(), cpu0 = cpu();
    if (is_copy)
        copy(c, n, &w);
    else if (single)
        rows(c[0], &w);
    else
        arrays(c, n, &w);
    printf("{\"mode\": \"%s\", \"rows\": %zu, \"seconds\": %.6f, \"cpu\": %.6f}\n", w.mode, d.nrows, now() - t0,
           cpu() - cpu0);
    return 0;
}
