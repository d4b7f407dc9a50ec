/* binlog_explain.c - see binlog_explain.h. Headers, the small events, payloads.
 *
 * Layouts that only people ask for, and that no decoder of capture knows: MySQL source,
 * libs/mysql/binlog/event/control_events.h (XA_PREPARE, the logical clock of GTID); MariaDB source, sql/log_event.h
 * (BINLOG_CHECKPOINT, flags of GTID). */
#include "binlog_explain_inside.h"

#include "clock.h"
#include "json_text.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { EV_START_V3 = 1, HEADER_BYTES = 19, HEX_BYTES = 64, INDENT = 4, LAST_OLD_TYPE = 22, SECOND_US = 1000000 };

struct binlog_explain *binlog_explain_new(const struct binlog_explain_options *o)
{
    struct binlog_explain *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->o = *o;
    x->defs = table_defs_new();
    x->arena = arena_new(0);
    x->payload = payload_new(o->max_event);
    if (x->defs == NULL || x->arena == NULL || x->payload == NULL) {
        binlog_explain_free(x);
        return NULL;
    }
    return x;
}

void binlog_explain_free(struct binlog_explain *x)
{
    if (x == NULL)
        return;
    if (x->defs != NULL)
        explain_end_statement(x);
    free(x->tables);
    table_defs_free(x->defs);
    arena_free(x->arena);
    payload_free(x->payload);
    buf_free(&x->scratch);
    buf_free(&x->text);
    free(x);
}

uint64_t binlog_explain_problems(const struct binlog_explain *x)
{
    return x->problems;
}

/* --- fields --- */

void explain_indent(struct binlog_explain *x)
{
    for (unsigned i = 0; i < x->indent; i++)
        buf_u8(x->out, ' ');
}

void explain_key(struct binlog_explain *x, const char *key)
{
    if (x->o.json) {
        buf_printf(x->out, ",\"%s\":", key);
        return;
    }
    explain_indent(x);
    buf_printf(x->out, "%s: ", key);
}

static void end_field(struct binlog_explain *x)
{
    if (!x->o.json)
        buf_u8(x->out, '\n');
}

void explain_text(struct binlog_explain *x, const char *key, struct bytes v)
{
    explain_key(x, key);
    json_string(x->out, v);
    end_field(x);
}

void explain_word(struct binlog_explain *x, const char *key, const char *v)
{
    explain_key(x, key);
    if (x->o.json)
        json_string(x->out, bytes_str(v));
    else
        buf_str(x->out, v);
    end_field(x);
}

void explain_u64(struct binlog_explain *x, const char *key, uint64_t v)
{
    explain_key(x, key);
    buf_printf(x->out, "%llu", (unsigned long long)v);
    end_field(x);
}

void explain_hex(struct binlog_explain *x, const char *key, struct bytes v)
{
    explain_key(x, key);
    if (x->o.json)
        buf_u8(x->out, '"');
    for (size_t i = 0; i < v.n && i < HEX_BYTES; i++)
        buf_printf(x->out, "%02x", v.p[i]);
    if (v.n > HEX_BYTES)
        buf_printf(x->out, "... (%zu bytes)", v.n);
    if (x->o.json)
        buf_u8(x->out, '"');
    end_field(x);
}

void explain_problem(struct binlog_explain *x, const char *what)
{
    x->problems++;
    explain_text(x, "problem", bytes_str(what));
}

static void time_field(struct binlog_explain *x, const char *key, int64_t us)
{
    char when[32];
    explain_word(x, key, clock_iso(us, when, sizeof when));
}

static void set_field(struct binlog_explain *x, const char *key, const struct gtid_set *set)
{
    buf_reset(&x->text);
    gtid_set_text(set, &x->text);
    explain_word(x, key, buf_cstr(&x->text));
}

/* --- events --- */

static bool format(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    if (!binlog_parse_format(e, &x->fmt, err)) {
        memset(&x->fmt, 0, sizeof x->fmt);
        return false;
    }
    explain_text(x, "server_version", bytes_str(x->fmt.server_version));
    explain_word(x, "checksums", x->fmt.crc ? "CRC32" : "NONE");
    explain_u64(x, "event_types", x->fmt.nposts);
    return true;
}

static bool rotate(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct ev_rotate r;
    if (!binlog_parse_rotate(e, &r, err))
        return false;
    explain_text(x, "next_file", r.file);
    explain_u64(x, "next_offset", r.offset);
    return true;
}

static bool heartbeat(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct ev_heartbeat h;
    if (!binlog_parse_heartbeat(e, &h, err))
        return false;
    explain_text(x, "file", h.file);
    explain_u64(x, "position", h.pos);
    return true;
}

static bool incident(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct ev_incident i;
    if (!binlog_parse_incident(e, &i, err))
        return false;
    explain_u64(x, "incident", i.number);
    explain_text(x, "message", i.message);
    explain_word(x, "capture", "stops: changes may be missing");
    return true;
}

static bool gtid_list(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct gtid_set *set = NULL;
    if (!binlog_parse_gtid_list(e, &set, err))
        return false;
    set_field(x, "gtids", set);
    gtid_set_free(set);
    return true;
}

/* MySQL's logical clock: which transactions may run in parallel. */
static void logical_clock(struct binlog_explain *x, const struct binlog_event *e)
{
    enum { BEFORE = 1 + 16 + 8, LOGICAL_CLOCK = 2 };
    struct cur c = cur_over(e->body);
    (void)cur_take(&c, BEFORE);
    uint8_t kind = cur_u8(&c);
    uint64_t last = cur_le(&c, 8), sequence = cur_le(&c, 8);
    if (c.why != NULL || kind != LOGICAL_CLOCK)
        return;
    explain_u64(x, "last_committed", last);
    explain_u64(x, "sequence_number", sequence);
}

static void mariadb_flags(struct binlog_explain *x, const struct binlog_event *e)
{
    static const char *const names[] = { "standalone", "group_commit_id", "transactional", "allow_parallel", "waited",
                                         "ddl",        "prepared_xa",     "completed_xa" };
    enum { FLAGS_AT = 12, GROUP_COMMIT = 2 };
    uint8_t flags = e->body.p[FLAGS_AT]; /* binlog_parse_gtid has read it */
    buf_reset(&x->text);
    for (unsigned i = 0; i < 8; i++)
        if (flags >> i & 1)
            buf_printf(&x->text, "%s%s", x->text.n == 0 ? "" : " ", names[i]);
    explain_word(x, "gtid_flags", buf_cstr(&x->text));
    if ((flags & GROUP_COMMIT) == 0 || e->body.n < FLAGS_AT + 1 + 8)
        return;
    struct cur c = cur_over(bytes_of(e->body.p + FLAGS_AT + 1, 8));
    explain_u64(x, "commit_id", cur_le(&c, 8));
}

static bool gtid(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct ev_gtid g;
    if (!binlog_parse_gtid(e, &g, err))
        return false;
    buf_reset(&x->text);
    gtid_text(&g.gtid, &x->text);
    explain_word(x, "gtid", g.gtid.flavor == GTID_NONE ? "ANONYMOUS" : buf_cstr(&x->text));
    if (g.resolution_us == 1)
        time_field(x, "commit_time", g.commit_us);
    if (g.trx_length != 0)
        explain_u64(x, "transaction_bytes", g.trx_length);
    if (e->type == EV_GTID || e->type == EV_ANONYMOUS_GTID)
        logical_clock(x, e);
    if (e->type == EV_MARIADB_GTID)
        mariadb_flags(x, e);
    return true;
}

static bool xid(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    uint64_t v;
    if (!binlog_parse_xid(e, &v, err))
        return false;
    explain_u64(x, "xid", v);
    return true;
}

static bool xa_prepare(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct cur c = cur_over(e->body);
    bool one_phase = cur_u8(&c) != 0;
    uint64_t format_id = cur_le(&c, 4), gtrid_n = cur_le(&c, 4), bqual_n = cur_le(&c, 4);
    struct bytes gtrid = cur_take(&c, (size_t)gtrid_n), bqual = cur_take(&c, (size_t)bqual_n);
    if (!cur_ok(&c, "XA_PREPARE", err))
        return false;
    explain_word(x, "one_phase", one_phase ? "yes" : "no");
    explain_hex(x, "gtrid", gtrid);
    explain_hex(x, "bqual", bqual);
    explain_u64(x, "format_id", format_id);
    return true;
}

static bool checkpoint(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct cur c = cur_over(e->body);
    struct bytes file = cur_take(&c, (size_t)cur_le(&c, 4));
    if (!cur_ok(&c, "BINLOG_CHECKPOINT", err))
        return false;
    explain_text(x, "file", file);
    return true;
}

/* ROWS_QUERY has a length byte in front, which cannot count far enough and is not used. */
static bool comment(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct cur c = cur_over(e->body);
    if (e->type == EV_ROWS_QUERY)
        (void)cur_u8(&c);
    struct bytes sql = cur_take(&c, cur_left(&c));
    if (!cur_ok(&c, binlog_event_name(e->type), err))
        return false;
    explain_text(x, "sql", sql);
    return true;
}

static bool load_block(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct cur c = cur_over(e->body);
    uint64_t id = cur_le(&c, 4);
    size_t n = cur_left(&c);
    if (!cur_ok(&c, binlog_event_name(e->type), err))
        return false;
    explain_u64(x, "file_id", id);
    explain_u64(x, "data_bytes", n);
    return true;
}

static bool unknown(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    bool skipped = (e->flags & EVF_IGNORABLE) != 0 && e->type > LAST_OLD_TYPE && e->type != EV_MARIADB_PARTIAL_ROW_DATA;
    explain_hex(x, "body", e->body);
    explain_word(x, "capture",
                 skipped ? "passes over it: the event says that it may be ignored"
                         : "stops: what it says is not known, so it must not be skipped");
    return skipped || err_set(err, ERR_UNSUPPORTED,
                              e->type == EV_START_V3 ? "the file is of a server before MySQL 5.0"
                                                     : "the event's type is not known");
}

static void event(struct binlog_explain *x, const struct binlog_event *e);

static bool payload(struct binlog_explain *x, const struct binlog_event *e, struct err *err);

static bool fields(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    if (binlog_event_is_rows(e->type))
        return explain_rows(x, e, err);
    switch (e->type) {
    case EV_FORMAT_DESCRIPTION:
        return format(x, e, err);
    case EV_ROTATE:
        return rotate(x, e, err);
    case EV_QUERY:
    case EV_MARIADB_QUERY_COMPRESSED:
        return explain_query(x, e, err);
    case EV_EXECUTE_LOAD_QUERY:
        return explain_load_query(x, e, err);
    case EV_INTVAR:
        return explain_intvar(x, e, err);
    case EV_RAND:
        return explain_rand(x, e, err);
    case EV_USER_VAR:
        return explain_user_var(x, e, err);
    case EV_TABLE_MAP:
        return explain_table_map(x, e, err);
    case EV_XID:
        return xid(x, e, err);
    case EV_XA_PREPARE:
        return xa_prepare(x, e, err);
    case EV_GTID:
    case EV_ANONYMOUS_GTID:
    case EV_GTID_TAGGED:
    case EV_MARIADB_GTID:
        return gtid(x, e, err);
    case EV_PREVIOUS_GTIDS:
    case EV_MARIADB_GTID_LIST:
        return gtid_list(x, e, err);
    case EV_HEARTBEAT:
    case EV_HEARTBEAT_V2:
        return heartbeat(x, e, err);
    case EV_INCIDENT:
        return incident(x, e, err);
    case EV_ROWS_QUERY:
    case EV_MARIADB_ANNOTATE_ROWS:
        return comment(x, e, err);
    case EV_MARIADB_BINLOG_CHECKPOINT:
        return checkpoint(x, e, err);
    case EV_BEGIN_LOAD_QUERY:
    case 9: /* APPEND_BLOCK */
        return load_block(x, e, err);
    case EV_TRANSACTION_PAYLOAD:
        return payload(x, e, err);
    case EV_STOP:
    case EV_IGNORABLE:
        return true;
    case EV_TRANSACTION_CONTEXT:
    case EV_VIEW_CHANGE:
        explain_hex(x, "body", e->body);
        explain_word(x, "capture", "passes over it: group replication's own bookkeeping");
        return true;
    default:
        return unknown(x, e, err);
    }
}

/* --- the header --- */

static void flags_text(struct buf *out, uint16_t flags)
{
    static const char *const names[16] = { "in_use",     "forced_rotate", "thread_specific", "suppress_use",
                                           "update_map", "artificial",    "relay_log",       "ignorable",
                                           "no_filter",  "mts_isolate" };
    bool first = true;
    for (unsigned i = 0; i < 16; i++) {
        if ((flags >> i & 1) == 0)
            continue;
        buf_printf(out, "%s%s", first ? "" : " ", names[i] == NULL ? "?" : names[i]);
        first = false;
    }
}

/* where: "4..126", or inside a payload the bytes before it there. */
static void header(struct binlog_explain *x, const struct binlog_event *e, bool inner, uint64_t at,
                   const char *checksum)
{
    char when[32];
    clock_iso((int64_t)e->when * SECOND_US, when, sizeof when);
    when[19] = 'Z'; /* whole seconds */
    when[20] = '\0';
    if (x->o.json) {
        buf_printf(x->out,
                   "{\"%s\":%llu,\"end\":%llu,\"type\":\"%s\",\"number\":%u,\"ts\":\"%s\",\"server_id\":%u,"
                   "\"size\":%u,\"flags\":%u,\"checksum\":\"%s\"",
                   inner ? "payload_offset" : "offset", (unsigned long long)at, (unsigned long long)at + e->size,
                   binlog_event_name(e->type), e->type, when, e->server_id, e->size, e->flags, checksum);
        return;
    }
    explain_indent(x);
    buf_printf(x->out, "%s%llu..%llu %s (%u) %s server %u, %u bytes, flags 0x%x", inner ? "+" : "",
               (unsigned long long)at, (unsigned long long)at + e->size, binlog_event_name(e->type), e->type, when,
               e->server_id, e->size, e->flags);
    if (e->flags != 0) {
        buf_str(x->out, " (");
        flags_text(x->out, e->flags);
        buf_u8(x->out, ')');
    }
    buf_printf(x->out, ", checksum %s\n", checksum);
}

static void event(struct binlog_explain *x, const struct binlog_event *e)
{
    struct err why;
    x->indent += INDENT;
    bool ok = fields(x, e, &why);
    if (!ok && !x->fmt.known && e->type != EV_FORMAT_DESCRIPTION && e->type != EV_START_V3)
        err_ctx(&why, "no FORMAT_DESCRIPTION that can be read stands before it");
    if (!ok)
        explain_problem(x, why.msg);
    x->indent -= INDENT;
}

static void close_object(struct binlog_explain *x)
{
    if (x->o.json)
        buf_str(x->out, "}\n");
}

/* The head is type, length, value, as payload.c reads it; sizes tell people more than the rest of it. */
static bool payload(struct binlog_explain *x, const struct binlog_event *e, struct err *err)
{
    struct binlog_format inner = x->fmt;
    uint64_t at = 0;
    bool ok = payload_open(x->payload, e->body, err);
    inner.crc = false;
    if (!ok)
        return false;
    explain_u64(x, "body_bytes", e->body.n);
    if (x->o.json)
        buf_str(x->out, "}\n"); /* those inside are objects of their own */
    for (bool last = false; ok && !last;) {
        struct bytes raw;
        struct binlog_event in;
        ok = payload_next(x->payload, &raw, &last, err) && binlog_event_parse(raw, &inner, &in, err);
        if (!ok)
            break;
        if (in.type == EV_TRANSACTION_PAYLOAD || in.type == EV_FORMAT_DESCRIPTION) {
            ok = err_set(err, ERR_CORRUPT, "%s inside a TRANSACTION_PAYLOAD", binlog_event_name(in.type));
            break;
        }
        header(x, &in, true, at, "none");
        event(x, &in);
        if (x->o.json && !last)
            buf_str(x->out, "}\n");
        at += in.size;
    }
    if (x->o.json && !ok) /* the last object, in which the problem goes, was closed */
        buf_printf(x->out, "{\"payload_offset\":%llu", (unsigned long long)at);
    return ok;
}

static bool has_checksum(const struct binlog_explain *x, const struct binlog_event *e)
{
    struct binlog_format f;
    struct err ignored;
    if (e->type == EV_FORMAT_DESCRIPTION)
        return binlog_parse_format(e, &f, &ignored) && f.crc;
    return x->fmt.crc;
}

bool binlog_explain_event(struct binlog_explain *x, struct bytes in, uint64_t at, struct buf *out, struct err *err)
{
    struct binlog_event e;
    x->out = out;
    x->indent = 0;
    if (!binlog_event_parse(in, &x->fmt, &e, err)) {
        e = binlog_event_header(in);
        header(x, &e, false, at, in.n < HEADER_BYTES || e.size != in.n ? "unknown" : "BAD");
        x->indent = INDENT;
        explain_problem(x, err->msg);
        close_object(x);
        return false;
    }
    header(x, &e, false, at, has_checksum(x, &e) ? "ok" : "none");
    event(x, &e);
    close_object(x);
    return buf_ok(out, err);
}

void binlog_explain_pass(struct binlog_explain *x, struct bytes in)
{
    struct binlog_event e;
    struct err ignored;
    const struct table_def *def;
    struct shown_table *shown;
    struct row_reader r;
    if (!binlog_event_parse(in, &x->fmt, &e, &ignored))
        return;
    if (e.type == EV_FORMAT_DESCRIPTION && !binlog_parse_format(&e, &x->fmt, &ignored))
        memset(&x->fmt, 0, sizeof x->fmt);
    if (e.type == EV_TABLE_MAP)
        (void)explain_learn_table(x, &e, &def, &shown, &ignored);
    if (binlog_event_is_rows(e.type) && row_reader_open(&r, &e, &x->fmt, x->defs, &ignored)) {
        if (r.flags & 1)
            explain_end_statement(x);
        row_reader_close(&r);
    }
}
