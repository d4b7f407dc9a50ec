/* test_source_error.c - what an error of the source means: one line per cause, with texts as MySQL 9.7 and MariaDB 10.11 sent them. */
#include "source_error.h"
#include "unit.h"

static const struct {
    char when; /* c connect, q query, s stream */
    unsigned no;
    const char *text;
    enum err_code code;
    bool transient;
    const char *says; /* in the message */
} cases[] = {
    { 'c', 2002, "Can't connect to server on 'db' (115)", ERR_NET, true, "db:3306" },
    { 'c', 2003, "Can't connect to MySQL server on 'db:3306' (111)", ERR_NET, true, "db:3306" },
    { 'c', 2005, "Unknown server host 'db' (-2)", ERR_NET, true, "host's name" },
    { 'c', 1040, "Too many connections", ERR_NET, true, "1040" },
    { 'c', 1053, "Server shutdown in progress", ERR_NET, true, "1053" },
    { 'c', 1045, "Access denied for user 'u'@'h' (using password: YES)", ERR_CONFIG, false, "check user and password" },
    { 'c', 1130, "Host 'h' is not allowed to connect", ERR_CONFIG, false, "CREATE USER" },
    { 'c', 2026, "TLS/SSL error: self-signed certificate in certificate chain", ERR_CONFIG, false, "self-signed" },
    { 'c', 2026, "TLS/SSL error: unexpected eof while reading", ERR_NET, true, "unexpected eof" },
    { 'c', 2059, "Authentication plugin 'x' cannot be loaded", ERR_CONFIG, false, "authentication method" },
    { 'c', 9999, "something new", ERR_CONFIG, false, "something new" },
    { 'q', 1227, "Access denied; you need SUPER", ERR_CONFIG, false, "rowtide doctor" },
    { 'q', 1064, "You have an error in your SQL syntax", ERR_CONFIG, false, "SELECT 1" },
    { 'q', 2013, "Lost connection to server during query", ERR_NET, true, "2013" },
    { 'q', 2026, "TLS/SSL error: unexpected eof while reading", ERR_NET, true, "2026" },
    { 's', 2013, "Lost connection to MySQL server during query", ERR_NET, true, "was lost" },
    { 's', 2026, "TLS/SSL error: unexpected eof while reading", ERR_NET, true, "was lost" },
    { 's', 1053, "Server shutdown in progress", ERR_NET, true, "was lost" },
    { 's', 1927, "Connection was killed", ERR_NET, true, "was lost" },
    { 's', 2020, "Got packet bigger than 'max_allowed_packet' bytes", ERR_UNSUPPORTED, false, "1 GiB" },
    { 's', 1227, "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s)", ERR_CONFIG, false,
      "GRANT REPLICATION SLAVE" },
    { 's', 1236, "Cannot replicate because the source purged required binary logs. Replicate", ERR_LOST, false,
      "purged" },
    { 's', 1236, "Could not find first log file name in binary log index file", ERR_LOST, false, "is gone" },
    { 's', 1236, "Client requested source to start replication from position > file size", ERR_LOST, false,
      "beyond the end" },
    { 's', 1236, "Client requested master to start replication from impossible position; the first", ERR_LOST, false,
      "beyond the end" },
    { 's', 1236, "Replica has more GTIDs than the source has, using the source's SERVER_UUID.", ERR_LOST, false,
      "sync_binlog" },
    { 's', 1236, "Slave has more GTIDs than the master has, using the master's SERVER_UUID.", ERR_LOST, false,
      "sync_binlog" },
    { 's', 1236,
      "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and "
      "required "
      "binlog files have been purged.",
      ERR_LOST, false, "new slot" },
    { 's', 1236, "Error: connecting slave requested to start from GTID 0-11-9999, which is not in the master's binlog",
      ERR_LOST, false, "does not have the GTID" },
    { 's', 1236, "A replica with the same server_uuid/server_id as this replica has connected to the source; the first",
      ERR_CONFIG, false, "--server-id" },
    { 's', 4052, "A slave with the same server_uuid/server_id is already connected; the first event '.' at 4",
      ERR_CONFIG, false, "--server-id" },
    { 's', 1236, "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source; the first",
      ERR_CORRUPT, false, "inside an event" },
    { 's', 1236, "bogus data in log event; the first event 'mb.000006' at 5", ERR_CORRUPT, false, "inside an event" },
    { 's', 1236, "Cannot replicate anonymous transaction when AUTO_POSITION = 1, at file x", ERR_CONFIG, false,
      "without a GTID" },
    { 's', 1236, "binlog truncated in the middle of event; consider out of disk space on master; the first",
      ERR_CORRUPT, true, "inside an event" },
    { 's', 1236, "could not find next log; the first event '' at 4, the last event read from './b.000002' at 2528",
      ERR_LOST, false, "was reset" },
    { 's', 1236, "I/O error reading log event; the first event 'b.000001' at 938", ERR_LOST, false, "was reset" },
    { 's', 1236, "Binary log is not open", ERR_CONFIG, false, "log_bin" },
    { 's', 1236, "Misconfigured source - server_id was not set", ERR_CONFIG, false, "server_id" },
    { 's', 1236, "a text that no version has had so far", ERR_CORRUPT, false, "no version" },
    { 's', 1945, "a GTID error under its own number", ERR_LOST, false, "own number" },
    { 's', 9999, "something new", ERR_UNSUPPORTED, false, "something new" },
};

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = { 0 };
        bool got = cases[i].when == 'c'   ? source_error_connect(&e, cases[i].no, cases[i].text, "u@db:3306")
                   : cases[i].when == 'q' ? source_error_query(&e, cases[i].no, cases[i].text, "SELECT 1")
                                          : source_error_stream(&e, cases[i].no, cases[i].text);
        CHECK(!got, "%s: an error is false", cases[i].text);
        CHECK(e.code == cases[i].code, "%s: want %s, got %s", cases[i].text, err_code_name(cases[i].code),
              err_code_name(e.code));
        CHECK(e.transient == cases[i].transient, "%s: transient is %d", cases[i].text, e.transient);
        CHECK(e.sys == (int)cases[i].no, "%s: sys is %d", cases[i].text, e.sys);
        CHECK(strstr(e.msg, cases[i].says) != NULL, "%s: want \"%s\" in \"%s\"", cases[i].text, cases[i].says, e.msg);
    }
    /* A statement is quoted in part: a long GTID set must not push the reason out. */
    char sql[3000];
    memset(sql, 'x', sizeof sql - 1);
    sql[sizeof sql - 1] = '\0';
    struct err e = { 0 };
    source_error_query(&e, 1064, "THE REASON", sql);
    CHECK(strstr(e.msg, "THE REASON") != NULL, "a long statement hides the reason: %s", e.msg);
    return UNIT_END();
}
