/* preflight.c - what a server's settings and an account's privileges must be for a capture that misses nothing.
 *
 * A check asks, adds a finding, and goes on; only a lost connection ends the run. Defaults and names of variables: MySQL 8.0 to 9.7
 * and MariaDB 10.5 to 12 reference manuals; checked on MySQL 9.7 and MariaDB 10.11. What concerns tables is in
 * preflight_tables.c. Global values only: a session may set its own format and image, which the decoder finds out later (I3). */
#include "preflight_run.h"

#include "arena.h"
#include "xid.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    MIN_MYSQL = 80001, /* binlog_row_metadata */
    SINCE_PERSIST = 80000,
    MIN_MARIADB = 100500,
    OLDEST_MYSQL = 50600, /* with a schema server */
    OLDEST_MARIADB = 100200,
    SINCE_REPLICA_WORDS = 80022,
    SINCE_BINARY_LOG_STATUS = 80200,
    RETENTION_WARN_S = 86400,
    CLOCK_WARN_US = 1000000
};

static void format_text(struct finding *v, const char *fmt, va_list ap)
{
    if (vsnprintf(v->text, sizeof v->text, fmt, ap) >= (int)sizeof v->text)
        memcpy(v->text + sizeof v->text - 4, "...", 4);
}

bool preflight_add(struct preflight_run *r, enum finding_level level, const char *check, const char *mend,
                   const char *fmt, ...)
{
    struct finding *v = realloc(r->found.v, (r->found.n + 1) * sizeof *v);
    if (v == NULL)
        return err_nomem(r->err);
    r->found.v = v;
    v += r->found.n++;
    v->level = level;
    v->check = check;
    va_list ap;
    va_start(ap, fmt);
    format_text(v, fmt, ap);
    va_end(ap);
    snprintf(v->mend, sizeof v->mend, "%s", mend);
    r->found.failures += level == FIND_FAIL;
    r->found.warnings += level == FIND_WARN;
    return true;
}

bool preflight_ask(struct preflight_run *r, const char *sql, struct sql_result *out, bool *got, struct err *why)
{
    *got = binlog_client_query(r->c, sql, out, why);
    if (*got || (why->code != ERR_NET && why->code != ERR_NOMEM))
        return true;
    *r->err = *why;
    return false;
}

const char *preflight_var(const struct preflight_run *r, const char *name)
{
    for (size_t i = 0; i < r->vars.nrows; i++)
        if (strcasecmp((const char *)r->vars.cells[2 * i].p, name) == 0)
            return r->vars.cells[2 * i + 1].p == NULL ? "" : (const char *)r->vars.cells[2 * i + 1].p;
    return NULL;
}

static bool var_is(const struct preflight_run *r, const char *name, const char *value)
{
    const char *v = preflight_var(r, name);
    return v != NULL && strcasecmp(v, value) == 0;
}

static int64_t var_number(const struct preflight_run *r, const char *name, int64_t missing)
{
    const char *v = preflight_var(r, name);
    return v == NULL ? missing : (int64_t)strtod(v, NULL);
}

/* How a dynamic variable is set for good. A number in quotes is refused. */
static const char *mend_var(const struct preflight_run *r, const char *name, const char *value, char *out, size_t cap)
{
    const char *q = value[0] >= '0' && value[0] <= '9' ? "" : "'";
    if (r->mariadb || r->version < SINCE_PERSIST)
        snprintf(out, cap, "SET GLOBAL %s = %s%s%s; and for the next start in my.cnf, section [%s]: %s = %s", name, q,
                 value, q, r->mariadb ? "mariadbd" : "mysqld", name, value);
    else
        snprintf(out, cap, "SET PERSIST %s = %s%s%s;", name, q, value, q);
    return out;
}

#define SCHEMA_SERVER                                                                                                  \
    "capture with --schema-server mysql://USER@HOST/: an empty server of the same family and version, or later, on "   \
    "which capture follows the DDL (docs/schema-history.md)"

static bool check_version(struct preflight_run *r)
{
    bool too_old = r->version < (r->mariadb ? OLDEST_MARIADB : OLDEST_MYSQL);
    if (too_old)
        return preflight_add(r, FIND_FAIL, "version", "Upgrade to MySQL 8.0 or MariaDB 10.5, or later.",
                             "%s %s: its binlog is of a form that capture does not read",
                             r->mariadb ? "MariaDB" : "MySQL", binlog_client_version_text(r->c));
    if (r->version >= (r->mariadb ? MIN_MARIADB : MIN_MYSQL))
        return preflight_add(r, FIND_OK, "version", "", "%s %s", r->mariadb ? "MariaDB" : "MySQL",
                             binlog_client_version_text(r->c));
    return preflight_add(r, r->o->schema_server ? FIND_INFO : FIND_FAIL, "version",
                         r->o->schema_server ? "" : "Upgrade to MySQL 8.0 or MariaDB 10.5, or later; or " SCHEMA_SERVER,
                         "%s %s: its binlog does not carry column names%s", r->mariadb ? "MariaDB" : "MySQL",
                         binlog_client_version_text(r->c),
                         r->o->schema_server ? "; they come from the schema server"
                                             : ", without which columns would have to be guessed");
}

/* Column names come with the events, or from a schema server. */
static bool check_row_metadata(struct preflight_run *r)
{
    char set[300], mend[400];
    const char *v = preflight_var(r, "binlog_row_metadata");
    if (v == NULL) /* check_version has said what that means */
        return true;
    if (strcasecmp(v, "FULL") == 0)
        return preflight_add(r, FIND_OK, "binlog_row_metadata", "", "binlog_row_metadata = FULL%s",
                             r->o->schema_server ? ": a schema server is not needed" : "");
    if (r->o->schema_server)
        return preflight_add(r, FIND_INFO, "binlog_row_metadata", "",
                             "binlog_row_metadata is %s: column names come from the schema server", v);
    snprintf(mend, sizeof mend, "%s Or, where that must not be changed, %s",
             mend_var(r, "binlog_row_metadata", "FULL", set, sizeof set), SCHEMA_SERVER);
    return preflight_add(r, FIND_FAIL, "binlog_row_metadata", mend,
                         "binlog_row_metadata is %s, not FULL: events carry no column names and keys, so columns would "
                         "have to be guessed from a table definition that may be newer than the event",
                         v);
}

static bool check_transport(struct preflight_run *r)
{
    const char *cipher = binlog_client_cipher(r->c);
    return preflight_add(r, FIND_INFO, "tls", "",
                         cipher[0] != '\0' ? "the connection is encrypted: %s" : "the connection is in clear text%s",
                         cipher);
}

static bool check_log_bin(struct preflight_run *r)
{
    if (var_is(r, "log_bin", "ON"))
        return preflight_add(r, FIND_OK, "log_bin", "", "the binlog is on");
    return preflight_add(r, FIND_FAIL, "log_bin",
                         "my.cnf, section [mysqld]: log_bin = binlog; then restart the server.",
                         "the source writes no binlog, so there is nothing to capture");
}

static bool check_server_id(struct preflight_run *r)
{
    int64_t own = var_number(r, "server_id", 0);
    if (own == 0)
        return preflight_add(r, FIND_FAIL, "server_id",
                             "my.cnf, section [mysqld]: server_id = 1 (a number of its own); then restart the server.",
                             "the source's server_id is 0: it refuses replicas");
    if (r->o->server_id != 0 && own == (int64_t)r->o->server_id)
        return preflight_add(r, FIND_FAIL, "server_id", "Give capture another --server-id.",
                             "capture's server_id %" PRIu32 " is the source's own", r->o->server_id);
    struct sql_result hosts;
    struct err why;
    bool got;
    if (!preflight_ask(r, !r->mariadb && r->version >= SINCE_REPLICA_WORDS ? "SHOW REPLICAS" : "SHOW SLAVE HOSTS",
                       &hosts, &got, &why))
        return false;
    if (!got)
        return preflight_add(
            r, FIND_OK, "server_id", "",
            "the source's server_id is %" PRId64 "; which replicas are connected this account may not see", own);
    bool taken = false;
    for (size_t i = 0; i < hosts.nrows && hosts.ncols > 0; i++)
        taken = taken || (r->o->server_id != 0 && hosts.cells[i * hosts.ncols].p != NULL &&
                          strtoul((const char *)hosts.cells[i * hosts.ncols].p, NULL, 10) == r->o->server_id);
    size_t n = hosts.nrows;
    sql_result_clear(&hosts);
    if (taken)
        return preflight_add(r, FIND_FAIL, "server_id", "Give capture another --server-id.",
                             "server_id %" PRIu32
                             " is taken by a replica that is connected now: the two would throw each other out",
                             r->o->server_id);
    return preflight_add(r, FIND_OK, "server_id", "", "the source's server_id is %" PRId64 "; %zu registered replicas",
                         own, n);
}

/* One that must have a value. Existing sessions of the server keep what they had, and can set their own. */
static bool check_value(struct preflight_run *r, const char *name, const char *want, enum finding_level otherwise,
                        const char *consequence)
{
    char mend[300];
    const char *v = preflight_var(r, name);
    if (v == NULL || strcasecmp(v, want) == 0)
        return preflight_add(r, FIND_OK, name, "", "%s = %s", name,
                             v == NULL ? "(this server has no such variable)" : v);
    return preflight_add(r, otherwise, name, mend_var(r, name, want, mend, sizeof mend), "%s is %s, not %s: %s", name,
                         v, want, consequence);
}

static bool check_row_format(struct preflight_run *r)
{
    if (!check_value(
            r, "binlog_format", "ROW", FIND_FAIL,
            "changes may be logged as statements, which cannot be captured. Connections that are open keep their "
            "format until they reconnect") ||
        !check_value(r, "binlog_row_image", "FULL", FIND_WARN,
                     "unchanged columns are not sent: inserts and updates carry only some columns, and a key change or "
                     "a row filter may stop capture or apply"))
        return false;
    return check_row_metadata(r);
}

static bool check_row_options(struct preflight_run *r)
{
    const char *json = preflight_var(r, "binlog_row_value_options"),
               *compressed = preflight_var(r, "binlog_transaction_compression");
    const char *maria = preflight_var(r, "log_bin_compress");
    bool ok = true;
    if (json != NULL && json[0] != '\0' && var_is(r, "binlog_row_image", "FULL"))
        ok = preflight_add(r, FIND_INFO, "binlog_row_value_options", "",
                           "%s: JSON columns are sent as differences, which capture applies", json);
    else if (json != NULL && json[0] != '\0')
        ok = preflight_add(r, FIND_FAIL, "binlog_row_value_options",
                           "SET PERSIST binlog_row_image = 'FULL'; or SET PERSIST binlog_row_value_options = '';",
                           "%s, and binlog_row_image is %s: JSON columns are sent as differences to documents that are "
                           "not sent, so that nobody can tell what they became",
                           json, preflight_var(r, "binlog_row_image"));
    if (ok && compressed != NULL && strcasecmp(compressed, "ON") == 0)
        ok = preflight_add(r, FIND_INFO, "binlog_transaction_compression", "",
                           "transactions are compressed, which capture takes");
    if (ok && maria != NULL && strcasecmp(maria, "ON") == 0)
        ok = preflight_add(r, FIND_INFO, "log_bin_compress", "", "events are compressed, which capture takes");
    if (ok && var_is(r, "binlog_storage_engine", "innodb"))
        ok = preflight_add(r, FIND_FAIL, "binlog_storage_engine",
                           "my.cnf, section [mariadbd]: remove binlog_storage_engine; then restart the server.",
                           "the binlog is kept in InnoDB: such a stream has no files and offsets, which capture "
                           "records with every commit");
    return ok;
}

static bool check_gtid(struct preflight_run *r)
{
    if (r->mariadb) {
        char mend[300];
        if (var_is(r, "gtid_strict_mode", "ON"))
            return preflight_add(r, FIND_OK, "gtid", "", "gtid_strict_mode = ON");
        return preflight_add(
            r, FIND_INFO, "gtid", mend_var(r, "gtid_strict_mode", "ON", mend, sizeof mend),
            "gtid_strict_mode is OFF: writing on two servers at once can put GTIDs out of order, which stops capture");
    }
    const char *mode = preflight_var(r, "gtid_mode");
    if (mode != NULL && strcmp(mode, "ON") == 0)
        return preflight_add(r, FIND_OK, "gtid", "", "gtid_mode = ON");
    static const char step_by_step[] =
        "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE; SET PERSIST gtid_mode = "
        "ON_PERMISSIVE; wait until Ongoing_anonymous_transaction_count is 0 everywhere; SET PERSIST gtid_mode = ON;";
    static const char in_file[] = "my.cnf, section [mysqld]: gtid_mode = ON, enforce_gtid_consistency = ON, "
                                  "log_slave_updates; then restart the server.";
    return preflight_add(
        r, FIND_WARN, "gtid", r->version < SINCE_PERSIST ? in_file : step_by_step,
        "gtid_mode is %s: the position is a file and an offset, which is lost with this server, so that capture cannot "
        "follow a failover",
        mode == NULL ? "missing" : mode);
}

static bool check_retention(struct preflight_run *r)
{
    int64_t seconds = var_number(r, "binlog_expire_logs_seconds", 0);
    const char *days_text = preflight_var(r, "expire_logs_days");
    if (seconds == 0 && days_text != NULL)
        seconds = (int64_t)(strtod(days_text, NULL) * 86400);
    bool purges = preflight_var(r, "binlog_expire_logs_auto_purge") == NULL ||
                  var_is(r, "binlog_expire_logs_auto_purge", "ON");
    if (var_number(r, "max_binlog_total_size", 0) != 0 &&
        !preflight_add(r, FIND_WARN, "retention", "",
                       "max_binlog_total_size = %s: binlogs are purged by size, however far capture is; see that it is "
                       "enough for the longest stop of capture",
                       preflight_var(r, "max_binlog_total_size")))
        return false;
    if (seconds == 0 || !purges)
        return preflight_add(r, FIND_OK, "retention", "", "binlogs are kept until somebody purges them");
    char mend[300];
    bool little = seconds < RETENTION_WARN_S;
    return preflight_add(
        r, little ? FIND_WARN : FIND_OK, "retention",
        little ? mend_var(r, "binlog_expire_logs_seconds", "604800", mend, sizeof mend) : "",
        "binlogs are kept for %.1f hours%s", (double)seconds / 3600,
        little ? ": when capture stands still for longer, changes are lost and a new snapshot is needed" : "");
}

static bool check_durability(struct preflight_run *r)
{
    char mend[300];
    if (var_is(r, "sync_binlog", "1"))
        return preflight_add(r, FIND_OK, "sync_binlog", "", "sync_binlog = 1");
    const char *v = preflight_var(r, "sync_binlog");
    return preflight_add(r, FIND_WARN, "sync_binlog", mend_var(r, "sync_binlog", "1", mend, sizeof mend),
                         "sync_binlog is %s: after a crash of its machine the source may lack transactions that were "
                         "already captured; capture then stops",
                         v == NULL ? "missing" : v);
}

/* "GRANT SELECT, REPLICATION SLAVE ON *.* TO ..." has the privilege as a whole item of its list. */
static bool grants(const struct sql_result *g, const char *privilege)
{
    for (size_t i = 0; i < g->nrows && g->ncols > 0; i++) {
        const char *line = (const char *)g->cells[i * g->ncols].p;
        const char *on = line == NULL ? NULL : strstr(line, " ON *.* TO ");
        if (on == NULL || strncmp(line, "GRANT ", 6) != 0)
            continue;
        const char *item = line + 6;
        while (item < on) {
            size_t n = (size_t)(on - item), comma = strcspn(item, ",");
            n = comma < n ? comma : n;
            if ((n == strlen(privilege) && memcmp(item, privilege, n) == 0) ||
                (n == 14 && memcmp(item, "ALL PRIVILEGES", 14) == 0))
                return true;
            item += n;
            item += strspn(item, ", ");
        }
    }
    return false;
}

/* By trying, where trying tells: roles and partial revokes then need no reading. MariaDB asks for REPLICATION SLAVE only at the dump
 * itself, but its SHOW GRANTS includes the roles that are active. */
static bool check_privileges(struct preflight_run *r)
{
    struct sql_result res;
    struct err why;
    bool got, slave;
    if (!preflight_ask(r, "SHOW BINARY LOGS", &res, &got, &why))
        return false;
    if (got)
        sql_result_clear(&res);
    const char *monitor = r->mariadb ? "BINLOG MONITOR" : "REPLICATION CLIENT";
    bool no_log = !got && why.sys == 1381; /* not using binary logging: log_bin says that */
    char mend[300], who[200] = "CURRENT_USER()";
    struct buf user = { 0 };
    bool null;
    if (!binlog_client_scalar(r->c, "SELECT CURRENT_USER()", &user, &null, &why)) {
        buf_free(&user);
        *r->err = why;
        return false;
    }
    const char *text = buf_cstr(&user), *at = strrchr(text, '@');
    if (at != NULL)
        snprintf(who, sizeof who, "'%.*s'@'%s'", (int)(at - text), text, at + 1);
    buf_free(&user);
    snprintf(mend, sizeof mend, "GRANT %s ON *.* TO %s;", monitor, who);
    if (!got && !no_log &&
        !preflight_add(r, FIND_FAIL, "privileges", mend, "the account lacks %s: it cannot read where the binlog stands",
                       monitor))
        return false;
    bool monitor_ok = got || no_log;

    if (!preflight_ask(r, r->mariadb ? "SHOW GRANTS" : "SHOW BINLOG EVENTS LIMIT 1", &res, &got, &why))
        return false;
    slave = r->mariadb ? got && (grants(&res, "REPLICATION SLAVE") || grants(&res, "SUPER")) : got || why.sys == 1381;
    if (!r->mariadb && !got && why.sys != 1227 && why.sys != 1381)
        slave = true; /* an error, but not for want of the privilege */
    if (got)
        sql_result_clear(&res);
    snprintf(mend, sizeof mend, "GRANT REPLICATION SLAVE ON *.* TO %s;", who);
    if (!slave)
        return preflight_add(r, FIND_FAIL, "privileges", mend,
                             "the account lacks REPLICATION SLAVE: the source will not send it the binlog");
    return !monitor_ok || preflight_add(r, FIND_OK, "privileges", "", "REPLICATION SLAVE and %s are granted", monitor);
}

/* A replica that does not log what it replicates shows only its own writes. */
static bool check_replica(struct preflight_run *r)
{
    const char *name = preflight_var(r, "log_replica_updates") != NULL ? "log_replica_updates" : "log_slave_updates";
    if (!var_is(r, name, "OFF"))
        return true;
    struct sql_result res;
    struct err why;
    bool got;
    const char *sql = r->mariadb                          ? "SHOW ALL SLAVES STATUS"
                      : r->version >= SINCE_REPLICA_WORDS ? "SHOW REPLICA STATUS"
                                                          : "SHOW SLAVE STATUS";
    if (!preflight_ask(r, sql, &res, &got, &why))
        return false;
    size_t n = got ? res.nrows : 0;
    if (got)
        sql_result_clear(&res);
    char mend[120];
    snprintf(mend, sizeof mend, "my.cnf, section [mysqld]: %s = ON; then restart the server.", name);
    if (n > 0)
        return preflight_add(r, FIND_FAIL, "replica", mend,
                             "the source is itself a replica and %s is OFF: what it replicates is not in its binlog",
                             name);
    return got || preflight_add(r, FIND_INFO, "replica", mend,
                                "%s is OFF: if the source is itself a replica, what it replicates is not in its binlog "
                                "(this account may not look)",
                                name);
}

static bool check_filters(struct preflight_run *r)
{
    struct sql_result res;
    struct err why;
    bool got;
    if (!preflight_ask(
            r, !r->mariadb && r->version >= SINCE_BINARY_LOG_STATUS ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
            &res, &got, &why))
        return false;
    if (!got)
        return true; /* privileges or log_bin said so */
    bool ok = true;
    if (res.nrows == 1 && res.ncols >= 4 && (res.cells[2].n != 0 || res.cells[3].n != 0))
        ok = preflight_add(
            r, FIND_WARN, "binlog_filters",
            "my.cnf: remove binlog_do_db and binlog_ignore_db; then restart the server.",
            "the source leaves databases out of its binlog (do: %s, ignore: %s): their changes cannot be captured",
            res.cells[2].n == 0 ? "-" : (const char *)res.cells[2].p,
            res.cells[3].n == 0 ? "-" : (const char *)res.cells[3].p);
    sql_result_clear(&res);
    return ok;
}

static bool check_clock(struct preflight_run *r)
{
    int64_t us;
    if (!source_clock_offset(r->c, &us, r->err))
        return false;
    bool far = us > CLOCK_WARN_US || us < -CLOCK_WARN_US;
    return preflight_add(r, far ? FIND_WARN : FIND_OK, "clock", far ? "Run NTP on both machines." : "",
                         "the source's clock is %.3f s %s this machine's%s", (double)(us < 0 ? -us : us) / 1e6,
                         us < 0 ? "behind" : "ahead of",
                         far ? "; lag is corrected by what was measured at the connection" : "");
}

/* XA RECOVER: format, lengths of gtrid and bqual, both as bytes. Appends "XA COMMIT ...;" as long as there is room. */
static void put_xa_commits(const struct sql_result *res, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < res->nrows; i++) {
        const struct bytes *cell = &res->cells[4 * i];
        char xid[XA_XID_MAX + 1];
        if (cell[0].p == NULL || cell[1].p == NULL)
            continue;
        size_t gtrid = (size_t)strtoull((const char *)cell[1].p, NULL, 10);
        if (cell[3].n > (size_t)2 * XID_PART_MAX || gtrid > XID_PART_MAX || gtrid > cell[3].n ||
            cell[3].n - gtrid > XID_PART_MAX)
            continue;
        xid_text((uint32_t)strtoll((const char *)cell[0].p, NULL, 10), bytes_of(cell[3].p, gtrid),
                 bytes_of(cell[3].p + gtrid, cell[3].n - gtrid), xid);
        int len = snprintf(out + n, cap - n, "%sXA COMMIT %s;", n == 0 ? "" : " ", xid);
        if (len < 0 || (size_t)len >= cap - n) {
            snprintf(out + n, cap - n, " ...");
            return;
        }
        n += (size_t)len;
    }
}

/* The rows of what was prepared before a slot begins lie before it in the binlog. */
static bool check_prepared(struct preflight_run *r)
{
    struct sql_result res;
    struct err why;
    bool got;
    char commits[300], mend[400];
    if (r->o->goes_on)
        return true;
    if (!preflight_ask(r, "XA RECOVER", &res, &got, &why))
        return false;
    if (!got)
        return preflight_add(r, FIND_INFO, "xa", r->mariadb ? "" : "GRANT XA_RECOVER_ADMIN ON *.* TO CURRENT_USER();",
                             "this account may not see prepared XA transactions: where one is committed that was "
                             "prepared before the slot began, capture stops");
    size_t n = res.ncols == 4 ? res.nrows : 0;
    if (n > 0)
        put_xa_commits(&res, commits, sizeof commits);
    sql_result_clear(&res);
    if (n == 0)
        return preflight_add(r, FIND_OK, "xa", "", "no XA transaction is prepared");
    snprintf(mend, sizeof mend, "%s (or XA ROLLBACK); or --start where they were not prepared yet.", commits);
    return preflight_add(r, r->o->starts_now ? FIND_FAIL : FIND_WARN, "xa", mend,
                         "%zu XA transactions are prepared: a slot that begins now would not know their rows", n);
}

bool preflight_run(struct binlog_client *c, const struct preflight_options *o, struct preflight *out, struct err *err)
{
    static bool (*const checks[])(struct preflight_run *) = { check_version,    check_transport,  check_log_bin,
                                                              check_server_id,  check_row_format, check_row_options,
                                                              check_gtid,       check_retention,  check_durability,
                                                              check_privileges, check_replica,    check_filters,
                                                              check_clock,      check_prepared,   preflight_tables };
    struct preflight_run r = {
        .c = c, .o = o, .err = err, .mariadb = binlog_client_is_mariadb(c), .version = binlog_client_version(c)
    };
    bool ok =
        binlog_client_query(
            c,
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', "
            "'binlog_row_metadata', 'binlog_row_value_options', 'binlog_transaction_compression', 'log_bin_compress', "
            "'gtid_mode', 'gtid_strict_mode', 'server_id', 'expire_logs_days', 'binlog_expire_logs_seconds', "
            "'binlog_expire_logs_auto_purge', 'max_binlog_total_size', 'innodb_native_foreign_keys', "
            "'log_slave_updates', 'log_replica_updates', 'binlog_storage_engine', 'sync_binlog')",
            &r.vars, err) &&
        (r.vars.ncols == 2 || err_set(err, ERR_UNSUPPORTED, "SHOW GLOBAL VARIABLES does not give two columns"));
    for (size_t i = 0; ok && i < sizeof checks / sizeof *checks; i++)
        ok = checks[i](&r);
    sql_result_clear(&r.vars);
    if (!ok) {
        preflight_clear(&r.found);
        return false;
    }
    *out = r.found;
    return true;
}

void preflight_clear(struct preflight *p)
{
    free(p->v);
    *p = (struct preflight){ 0 };
}
