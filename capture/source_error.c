/* source_error.c - maps the source's error numbers and texts to our codes, and adds what to do (source_error.h).
 *
 * The texts are those of MySQL 5.7 to 9.7 (share/messages_to_error_log.txt, sql/rpl_binlog_sender.cc) and of MariaDB 10.5 to 11.8
 * (sql/sql_repl.cc), looked for in pieces because "master / slave" became "source / replica" on the way. An unknown text is never
 * taken for a transient fault. */
#include "source_error.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

enum {
    SV_DENIED = 1045,
    SV_TOO_MANY = 1040,
    SV_SHUTDOWN = 1053,
    SV_FATAL_BINLOG = 1236,
    CL_SOCKET = 2002,
    CL_NO_HOST = 2005,
    CL_LOST = 2013,
    CL_TOO_LARGE = 2020,
    CL_TLS = 2026
};

/* The server or the connection is going away; the same call may succeed later. */
static bool is_passing(unsigned no)
{
    static const unsigned passing[] = { SV_TOO_MANY, SV_SHUTDOWN, 1077, 1079,
                                        1080, /* shutdown and aborted connections */
                                        1152,        1158,        1159, 1160,
                                        1161,        1184, /* reading or writing packets */
                                        1203,        1226, /* too many connections of this user, or per hour */
                                        1205,        1213, /* lock wait, deadlock */
                                        1317,        1927, /* interrupted, killed */
                                        3032,        3058,        4031, 4076 };
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (passing[i] == no)
            return true;
    return no == CL_SOCKET || no == 2003 || no == CL_NO_HOST || no == 2006 || no == CL_LOST || no == 2027 ||
           no == 2055 || no == 5014 /* Connector/C: lost while sending */;
}

/* A connection cut below TLS: Connector/C reports it as a TLS error. */
static bool is_cut_tls(unsigned no, const char *text)
{
    static const char *const cut[] = { "unexpected eof", "reset by peer", "broken pipe", "syscall",
                                       "timed out",      "(104)",         "(32)" };
    for (size_t i = 0; no == CL_TLS && i < sizeof cut / sizeof *cut; i++)
        if (strcasestr(text, cut[i]) != NULL)
            return true;
    return false;
}

static bool finish(struct err *err, unsigned no, bool transient)
{
    err->sys = (int)no;
    err->transient = transient;
    return false;
}

static const char *connect_hint(unsigned no)
{
    switch (no) {
    case SV_DENIED:
    case 1698:
        return "; check user and password, and the host that the account is for";
    case 1130:
        return "; no account of the server allows this machine: CREATE USER ... @'this host'";
    case 1129:
        return "; after the cause is mended: TRUNCATE TABLE performance_schema.host_cache, or FLUSH HOSTS on MariaDB";
    case 1251:
    case 2059:
    case 2061:
        return "; this build's client library cannot do that authentication method";
    case 1862:
    case 1820:
        return "; give the account a new password";
    case CL_NO_HOST:
        return "; check the host's name";
    default:
        return "";
    }
}

bool source_error_connect(struct err *err, unsigned no, const char *text, const char *place)
{
    bool passing = is_passing(no) || is_cut_tls(no, text);
    err_set(err, passing ? ERR_NET : ERR_CONFIG, "cannot connect to the source %s: %s (%u)%s", place, text, no,
            connect_hint(no));
    return finish(err, no, passing);
}

bool source_error_query(struct err *err, unsigned no, const char *text, const char *sql)
{
    enum { SHOWN = 120 };
    size_t n = strlen(sql);
    const char *more = n > SHOWN ? "..." : "";
    bool denied = no == 1227 || no == 1142 || no == 1044 || no == 1143 || no == SV_DENIED;
    bool passing = is_passing(no) || no == CL_TLS; /* TLS was agreed upon: now it is the connection */
    err_set(err, passing ? ERR_NET : ERR_CONFIG, "the source refuses \"%.*s%s\": %s (%u)%s",
            (int)(n > SHOWN ? SHOWN : n), sql, more, text, no,
            denied ? "; `rowtide doctor` says which privileges capture needs" : "");
    return finish(err, no, passing);
}

#define PURGED                                                                                                         \
    "transactions behind our position were purged from the source before they were captured: take a new slot with a "  \
    "new snapshot, and keep binlogs longer (binlog_expire_logs_seconds)"
#define BEYOND_END                                                                                                     \
    "our position lies beyond the end of the source's file: the source was reset or lost its last writes in a crash "  \
    "(sync_binlog); take a new slot with a new snapshot"
#define CLASH                                                                                                          \
    "another connection took our place: something else uses the same server_id or replica UUID, most likely a second " \
    "capture of this slot or a copy of it; give one of them its own --server-id, or stop it"

#define RESET                                                                                                          \
    "the source was reset while we were reading (RESET BINARY LOGS AND GTIDS, RESET MASTER), or its binlog files "     \
    "were "                                                                                                            \
    "removed or cannot be read; compare it with the destination before a new slot is taken"

/* What a crash of MariaDB leaves at the end of a file; the next file goes on. By GTID the server begins there as soon as
 * all in front of the torn event is ours, so asking again helps (seen on 10.11). The same text answers a start inside an
 * event: then it does not, and the caller sees that nothing came. */
#define TORN "truncated in the middle"

/* First match wins. */
static const struct {
    const char *piece;
    enum err_code code;
    const char *hint;
} causes[] = {
    { "purged required", ERR_LOST, PURGED },
    { "required binlog files have been purged", ERR_LOST, PURGED },
    { "first log file name", ERR_LOST,
      "the binlog file of our position is gone: purged, or the source was reset; take a new slot with a new snapshot" },
    { "could not find gtid state", ERR_LOST,
      "the source has no binlog that begins before our GTID position: purged or reset; take a new slot with a new "
      "snapshot" },
    { "more gtids than the", ERR_LOST,
      "the source lacks transactions that were already captured: it was reset, restored, or lost its last commits in a "
      "crash (sync_binlog); compare it with the destination before a new slot is taken" },
    { "not in the master's binlog", ERR_LOST,
      "the source does not have the GTID that we stopped at: it was reset, restored, or another server was promoted "
      "that never had it; compare it with the destination before a new slot is taken" },
    { "position > file size", ERR_LOST, BEYOND_END },
    { "impossible position", ERR_LOST, BEYOND_END },
    { "same server_uuid", ERR_CONFIG, CLASH },
    { "same server_id", ERR_CONFIG, CLASH },
    { "exceeded max_allowed_packet", ERR_CORRUPT,
      "the server says this of three things: a start position inside an event (most likely after --start "
      "file:NAME:POS), a damaged binlog, or an event that really is larger than its max_allowed_packet; look at the "
      "place with `mysqlbinlog --start-position`, and raise max_allowed_packet (1 GiB at most) if the event is sound" },
    { "crc check", ERR_CORRUPT, "the source's binlog is damaged at that place (or the position is inside an event)" },
    { "bogus data", ERR_CORRUPT, "the position is inside an event, or the source's binlog is damaged there" },
    { "could not find next log", ERR_LOST, RESET },
    { "i/o error reading", ERR_LOST, RESET },
    { TORN, ERR_CORRUPT,
      "the source's binlog ends inside an event: a full disk, a crash, or the position is inside an event; look at the "
      "place with `mysqlbinlog --start-position`. All whole transactions in front of it are captured; compare the "
      "tables "
      "before a new slot is taken" },
    { "checksum", ERR_UNSUPPORTED, "the source and this client do not agree on binlog checksums" },
    { "anonymous", ERR_CONFIG,
      "there the binlog has a transaction without a GTID: gtid_mode was not ON when it was written. A new slot: start "
      "at a "
      "later position, or purge the older files. One that was running: set gtid_mode = ON for good, then take a new "
      "slot" },
    { "gtid_mode", ERR_CONFIG, "the source's gtid_mode was changed: GTID positions need gtid_mode=ON" },
    { "server_id was not set", ERR_CONFIG, "set server_id to a number above 0 on the source" },
    { "server id not set", ERR_CONFIG, "set server_id to a number above 0 on the source" },
    { "log is not open", ERR_CONFIG, "the source writes no binlog: set log_bin and restart it" },
    { "out-of-order", ERR_CONFIG,
      "the source's binlog has GTIDs out of order within a domain: set gtid_strict_mode=ON there and look which server "
      "wrote them" },
};

/* MariaDB sends its GTID errors under their own numbers too (include/mysqld_error.h, ER_GTID_...). */
static bool is_mariadb_gtid(unsigned no)
{
    return no == 1945 || no == 1951 || no == 1955;
}

bool source_error_stream(struct err *err, unsigned no, const char *text)
{
    if (is_passing(no) || no == CL_TLS) {
        err_set(err, ERR_NET, "the connection to the source was lost: %s (%u)", text, no);
        return finish(err, no, true);
    }
    if (no == CL_TOO_LARGE) {
        err_set(err, ERR_UNSUPPORTED,
                "the source sent an event of more than 1 GiB, which the protocol's clients cannot take (%u)", no);
        return finish(err, no, false);
    }
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        if (strcasestr(text, causes[i].piece) == NULL)
            continue;
        err_set(err, causes[i].code, "the source ended the stream: %.500s (%u) - %s", text, no, causes[i].hint);
        return finish(err, no, strcmp(causes[i].piece, TORN) == 0);
    }
    bool denied = no == 1227 || no == 1142 || no == SV_DENIED;
    err_set(err,
            is_mariadb_gtid(no)     ? ERR_LOST
            : denied                ? ERR_CONFIG
            : no == SV_FATAL_BINLOG ? ERR_CORRUPT
                                    : ERR_UNSUPPORTED,
            "the source ended the stream: %s (%u)%s", text, no,
            denied ? " - the account needs GRANT REPLICATION SLAVE ON *.*" : "");
    return finish(err, no, false);
}
