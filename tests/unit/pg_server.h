/* pg_server.h - a private PostgreSQL for a test: its own data directory, a Unix socket, no TCP; gone at the end.
 *
 * Looks for initdb and postgres in $ROWTIDE_TEST_PGBIN, else in the newest /usr/lib/postgresql/N/bin. Root runs them
 * as the user postgres, because PostgreSQL refuses root. */
#ifndef ROWTIDE_PG_SERVER_H
#define ROWTIDE_PG_SERVER_H

#include "unit.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h>
#endif

struct pg_server {
    char bin[200], dir[64], url[200];
    pid_t pid;
    PGconn *conn;
};

static inline bool pg_server_find(struct pg_server *s)
{
    char path[sizeof s->bin + 16];
    const char *env = getenv("ROWTIDE_TEST_PGBIN");
    for (int v = 30; v >= 13; v--) {
        if (env != NULL)
            snprintf(s->bin, sizeof s->bin, "%s", env);
        else
            snprintf(s->bin, sizeof s->bin, "/usr/lib/postgresql/%d/bin", v);
        snprintf(path, sizeof path, "%s/postgres", s->bin);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* Runs a program of the server's own directory; quiet. */
static inline pid_t pg_server_spawn(const struct pg_server *s, const char *program, char *const argv[])
{
    char path[sizeof s->bin + 16];
    snprintf(path, sizeof path, "%s/%s", s->bin, program);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    const struct passwd *pw = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (getuid() == 0 &&
        (pw == NULL || initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0))
        _exit(126);
    if (chdir(s->dir) != 0 || freopen("log", "a", stdout) == NULL || freopen("log", "a", stderr) == NULL)
        _exit(125);
    execv(path, argv);
    _exit(127);
}

static inline void pg_server_stop(struct pg_server *s)
{
    char cmd[128];
    if (s->conn != NULL)
        PQfinish(s->conn);
    if (s->pid > 0) {
        kill(s->pid, SIGINT); /* fast shutdown */
        waitpid(s->pid, NULL, 0);
    }
    s->conn = NULL;
    s->pid = 0;
    if (s->dir[0] == '\0')
        return;
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", s->dir);
    if (system(cmd) != 0)
        fprintf(stderr, "could not remove %s\n", s->dir);
}

static inline bool pg_server_start(struct pg_server *s)
{
    char data[96];
    int status = 0;
    snprintf(s->dir, sizeof s->dir, "/tmp/rowtide-pg-XXXXXX");
    if (mkdtemp(s->dir) == NULL)
        return false;
    const struct passwd *pw = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (pw != NULL && chown(s->dir, pw->pw_uid, pw->pw_gid) != 0)
        return false;
    snprintf(data, sizeof data, "%s/data", s->dir);
    char *const init[] = {
        "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", NULL
    };
    pid_t pid = pg_server_spawn(s, "initdb", init);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return false;
    char *const run[] = { "postgres",
                          "-D",
                          data,
                          "-k",
                          s->dir,
                          "-c",
                          "listen_addresses=",
                          "-c",
                          "fsync=off",
                          "-c",
                          "max_connections=20",
                          "-c",
                          "max_prepared_transactions=2",
                          NULL };
    s->pid = pg_server_spawn(s, "postgres", run);
    snprintf(s->url, sizeof s->url, "postgresql://postgres@/postgres?host=%s", s->dir);
    for (int i = 0; i < 300; i++) {
        s->conn = PQconnectdb(s->url);
        if (PQstatus(s->conn) == CONNECTION_OK)
            return true;
        PQfinish(s->conn);
        s->conn = NULL;
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    }
    return false;
}

/* The first value of the first row; NULL is "NULL", an error "ERROR: ...", no row "". Static buffer. */
static inline const char *pg_server_one(struct pg_server *s, const char *sql)
{
    static char text[8192];
    PGresult *r = PQexec(s->conn, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
        snprintf(text, sizeof text, "%s", PQresultErrorMessage(r));
    else if (PQntuples(r) == 0)
        text[0] = '\0';
    else
        snprintf(text, sizeof text, "%s", PQgetisnull(r, 0, 0) ? "NULL" : PQgetvalue(r, 0, 0));
    PQclear(r);
    return text;
}

#endif
