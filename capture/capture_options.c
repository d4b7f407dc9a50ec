/* capture_options.c - see capture_options.h. */
#include "capture_options.h"

#include <string.h>

#define AT(field) offsetof(struct capture_options, field)
static const struct opt options[] = {
    { "source", "URL", NULL, "mysql://[USER[:PASS]@]HOST[:PORT]/[?ssl-mode=MODE&ssl-ca=FILE&socket=PATH]", OPT_STR,
      AT(source), NULL },
    { "from-file", "BINLOG...", NULL,
      "instead of --source: binlog files in their order, without a server; ends with 0 at the end of the last one",
      OPT_LIST, AT(from_file), NULL },
    { "slot", "DIR", NULL, "the slot: a directory of segment files, created when missing", OPT_STR, AT(slot), NULL },
    { "tables", "LIST", NULL, "tables to capture, 'shop.*,crm.customers,!shop.tmp_*'; all when not given", OPT_STR,
      AT(tables), NULL },
    { "start", "WHERE", NULL,
      "where a new slot begins: now (with --from-file: earliest) when not given, earliest, gtid:SET or file:NAME:POS",
      OPT_STR, AT(start), NULL },
    { "once", NULL, NULL, "end with 0 when everything is captured that the source had at the start", OPT_FLAG, AT(once),
      NULL },
    { "password-file", "FILE", NULL, "the source's password (first line); else $ROWTIDE_SOURCE_PASSWORD", OPT_STR,
      AT(password_file), NULL },
    { "schema-server", "URL", NULL,
      "for a source without column names in its binlog: an empty server of its own family that capture replays DDL on",
      OPT_STR, AT(schema_server), NULL },
    { "schema-password-file", "FILE", NULL, "the schema server's password (first line); else $ROWTIDE_SCHEMA_PASSWORD",
      OPT_STR, AT(schema_password_file), NULL },
    { "server-id", "N", NULL, "replication server id, unique among all replicas; derived from the slot when not given",
      OPT_UINT, AT(server_id), NULL },
    { "heartbeat", "TIME", "5s",
      "the source's heartbeat while idle; after three without any the connection counts as dead", OPT_MSEC,
      AT(heartbeat_ms), NULL },
    { "segment-size", "SIZE", "64MiB", "start a new segment beyond this, at a commit", OPT_SIZE, AT(segment_size),
      NULL },
    { "frame-size", "SIZE", "1MiB",
      "raw bytes in a compressed frame while there is a backlog; up to four times as many where hundreds of tables "
      "share it",
      OPT_SIZE, AT(frame_size), NULL },
    { "max-event", "SIZE", "1GiB", "stop at a binlog event larger than this", OPT_SIZE, AT(max_event), NULL },
    { "position-every", "TIME", "10s", "note the source position this often while only other tables change", OPT_MSEC,
      AT(position_every_ms), NULL },
    { "disk-reserve", "PERCENT", "10",
      "of the slot's filesystem that stays free; then the laggard subscription is marked lost", OPT_UINT,
      AT(disk_reserve), NULL },
    { "max-slot-size", "SIZE", "0B", "likewise when the slot is larger than this; 0: no limit", OPT_SIZE,
      AT(max_slot_size), NULL },
    { "accept-unlogged-cascades", NULL, NULL,
      "capture although foreign-key cascades of this server are not in its binlog", OPT_FLAG,
      AT(accept_unlogged_cascades), NULL },
    { "invalid-text", "POLICY", "stop",
      "for bytes that are no character of their column's set: stop, or replace them by U+FFFD (not in keys), and count",
      OPT_STR, AT(invalid_text), "stop|replace" },
    { "retry-for", "TIME", "0ms",
      "give up when the source stays unreachable this long; 0: never (with --once: at once)", OPT_MSEC,
      AT(retry_for_ms), NULL },
    { "http", "ADDR:PORT", NULL, "serve /healthz, /metrics and /api/v1/status; loopback when no address is given",
      OPT_STR, AT(http), NULL },
    { "log-level", "LEVEL", "info", "error, warn, info or debug", OPT_STR, AT(log_level), "error|warn|info|debug" },
    { 0 },
};

const struct opt_program capture_program = {
    .name = "rowtide-capture",
    .synopsis = "--source URL | --from-file BINLOG... --slot DIR [OPTIONS]",
    .about = "Streams the row changes of a MySQL or MariaDB primary into a slot: decoded, columnar, compressed segment "
             "files. Reads the binlog by "
             "the replication protocol, never polls, and resumes exactly behind the last durable commit.",
    .epilog = "Exit codes: 0 done or stopped by a signal; 1 stopped because of data or position; 2 usage or "
              "configuration; 3 the source is "
              "unreachable.\n\nExample:\n  rowtide-capture --source mysql://rowtide@127.0.0.1/ --slot "
              "/var/lib/rowtide/shop --tables 'shop.*'",
    .opts = options,
    .min_args = 0,
    .max_args = -1,
};

bool capture_options_check(const struct capture_options *o, struct err *err)
{
    bool files = o->from_file.n != 0;
    if (files && o->source != NULL)
        return err_set(err, ERR_CONFIG, "--source and --from-file exclude each other");
    if (files && o->schema_server != NULL)
        return err_set(err, ERR_CONFIG,
                       "--schema-server needs --source: how the tables were where the files begin, no server can tell");
    if (!files && o->more_files.n != 0)
        return err_set(err, ERR_CONFIG, "unexpected argument \"%.80s\"", o->more_files.v[0]);
    if (!files && o->source == NULL)
        return err_set(err, ERR_CONFIG, "--source is missing: mysql://USER@HOST:PORT/ (or --from-file BINLOG...)");
    if (o->slot == NULL)
        return err_set(err, ERR_CONFIG, "--slot is missing: the directory of the slot");
    if (o->schema_server != NULL && strcmp(o->start, "now") != 0)
        return err_set(err, ERR_CONFIG,
                       "--schema-server goes with --start now only: of an earlier place the definitions are not known");
    if (o->schema_server == NULL && o->schema_password_file != NULL)
        return err_set(err, ERR_CONFIG, "--schema-password-file goes with --schema-server");
    if (o->heartbeat_ms < 100 || o->heartbeat_ms > 3600000)
        return err_set(err, ERR_CONFIG, "--heartbeat must lie between 100ms and 1h");
    if (o->frame_size < 4096 || o->frame_size > (64u << 20))
        return err_set(err, ERR_CONFIG, "--frame-size must lie between 4KiB and 64MiB");
    if (o->segment_size < 65536)
        return err_set(err, ERR_CONFIG, "--segment-size must be at least 64KiB");
    if (o->max_event < (1u << 20) || o->max_event > (1u << 30))
        return err_set(err, ERR_CONFIG, "--max-event must lie between 1MiB and 1GiB");
    if (o->disk_reserve > 90)
        return err_set(err, ERR_CONFIG, "--disk-reserve is a percentage from 0 to 90");
    if (o->server_id > UINT32_MAX)
        return err_set(err, ERR_CONFIG, "--server-id must lie between 1 and 4294967295");
    return true;
}
