/* source_status.c - where the source stands, whether we can go on there (I3), and what --start means.
 *
 * Statements: MySQL sql/rpl_source.cc (SHOW BINARY LOG STATUS since 8.2), MariaDB sql/sql_repl.cc (BINLOG_GTID_POS). GTIDs are read by
 * SELECT: SHOW VARIABLES cuts them at 1024 bytes. Tells nothing about tables; that is preflight. */
#include "preflight.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_OFFSET = 4, SINCE_BINARY_LOG_STATUS = 80200, CLOCK_ROUNDS = 3, STATUS_ROUNDS = 5 };

static bool parse_u64(struct bytes text, uint64_t *out)
{
    uint64_t v = 0;
    if (text.p == NULL || text.n == 0 || text.n > 19)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.p[i] - '0');
    }
    *out = v;
    return true;
}

static bool set_file(struct source_pos *p, struct bytes name, uint64_t offset, struct err *err)
{
    if (name.n > POSITION_FILE_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the source's binlog file name is longer than %d bytes",
                       POSITION_FILE_MAX);
    if (name.n != 0)
        memcpy(p->file, name.p, name.n);
    p->file[name.n] = '\0';
    p->offset = offset;
    return true;
}

static bool query_set(struct binlog_client *c, const char *sql, enum gtid_flavor f, struct gtid_set **out,
                      struct err *err)
{
    struct buf text = { 0 };
    bool null, ok = binlog_client_scalar(c, sql, &text, &null, err) && gtid_set_parse(f, buf_view(&text), out, err);
    buf_free(&text);
    return ok;
}

/* Best of a few round trips: the shorter one is, the less its middle can lie. */
bool source_clock_offset(struct binlog_client *c, int64_t *out_us, struct err *err)
{
    int64_t best_us = INT64_MAX, offset = 0;
    for (int i = 0; i < CLOCK_ROUNDS; i++) {
        struct buf text = { 0 };
        bool null;
        uint64_t there = 0;
        int64_t sent = clock_wall_us(), mono = clock_mono_us();
        bool ok = binlog_client_scalar(c, "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED)", &text, &null,
                                       err);
        int64_t took = clock_mono_us() - mono;
        if (ok && !parse_u64(buf_view(&text), &there))
            ok = err_set(err, ERR_UNSUPPORTED, "the source does not tell its time");
        buf_free(&text);
        if (!ok)
            return false;
        if (took < best_us) {
            best_us = took;
            offset = (int64_t)there - (sent + took / 2);
        }
    }
    *out_us = offset;
    return true;
}

static bool read_identity(struct binlog_client *c, struct source_status *s, enum gtid_flavor *flavor, struct err *err)
{
    bool maria = binlog_client_is_mariadb(c);
    struct sql_result r;
    if (!binlog_client_query(c,
                             maria ? "SELECT @@GLOBAL.server_id"
                                   : "SELECT @@GLOBAL.server_id, @@GLOBAL.server_uuid, @@GLOBAL.gtid_mode",
                             &r, err))
        return false;
    uint64_t id = 0;
    bool ok = r.nrows == 1 && parse_u64(r.cells[0], &id) && id <= UINT32_MAX &&
              (maria || (r.cells[1].p != NULL && r.cells[2].p != NULL));
    if (!ok) {
        err_set(err, ERR_UNSUPPORTED, "the source does not tell its server_id and server_uuid");
    } else {
        s->server_id = (uint32_t)id;
        *flavor = maria ? GTID_MARIADB : bytes_eq_str(r.cells[2], "ON") ? GTID_MYSQL : GTID_NONE;
        if (maria)
            snprintf(s->current.server, sizeof s->current.server, "mariadb-%" PRIu64, id);
        else
            snprintf(s->current.server, sizeof s->current.server, "%s", (const char *)r.cells[1].p);
    }
    sql_result_clear(&r);
    return ok;
}

static bool read_tip(struct binlog_client *c, struct source_pos *p, struct err *err)
{
    bool maria = binlog_client_is_mariadb(c);
    struct sql_result r;
    if (!binlog_client_query(c,
                             !maria && binlog_client_version(c) >= SINCE_BINARY_LOG_STATUS ? "SHOW BINARY LOG STATUS"
                                                                                           : "SHOW MASTER STATUS",
                             &r, err))
        return false;
    uint64_t offset = 0;
    bool ok = r.nrows == 1 && r.ncols >= 2 && parse_u64(r.cells[1], &offset)
                  ? set_file(p, r.cells[0], offset, err)
                  : err_set(err, ERR_CONFIG,
                            "the source writes no binlog: set log_bin and restart it (see `rowtide doctor`)");
    sql_result_clear(&r);
    return ok;
}

/* No statement gives GTIDs and offset of one moment: read the set, the offset, and the set again until nothing came between. On a server
 * that never rests, the GTIDs stay true and the offset is given up. */
static bool read_current(struct binlog_client *c, struct source_pos *p, struct err *err)
{
    if (p->flavor == GTID_NONE)
        return read_tip(c, p, err);
    const char *sql = p->flavor == GTID_MARIADB ? "SELECT @@GLOBAL.gtid_binlog_pos" : "SELECT @@GLOBAL.gtid_executed";
    if (!query_set(c, sql, p->flavor, &p->gtids, err))
        return false;
    for (int i = 0; i < STATUS_ROUNDS; i++) {
        struct gtid_set *after = NULL;
        if (!read_tip(c, p, err) || !query_set(c, sql, p->flavor, &after, err))
            return false;
        bool same = gtid_set_eq(p->gtids, after);
        gtid_set_free(p->gtids);
        p->gtids = after;
        if (same)
            return true;
    }
    p->file[0] = '\0';
    p->offset = 0;
    return true;
}

static bool read_earliest(struct binlog_client *c, struct source_pos *p, struct err *err)
{
    struct sql_result r;
    if (!binlog_client_query(c, "SHOW BINARY LOGS", &r, err))
        return false;
    bool ok = r.nrows > 0 && r.ncols >= 2 ? set_file(p, r.cells[0], FIRST_OFFSET, err)
                                          : err_set(err, ERR_CONFIG, "the source has no binlog files");
    sql_result_clear(&r);
    if (!ok || p->flavor == GTID_NONE)
        return ok;
    if (p->flavor == GTID_MYSQL)
        return query_set(c, "SELECT @@GLOBAL.gtid_purged", p->flavor, &p->gtids, err);
    struct buf sql = { 0 };
    buf_str(&sql, "SELECT BINLOG_GTID_POS(");
    binlog_client_quote(p->file, &sql);
    buf_printf(&sql, ", %d)", FIRST_OFFSET);
    ok = buf_ok(&sql, err) && query_set(c, buf_cstr(&sql), p->flavor, &p->gtids, err);
    buf_free(&sql);
    return ok;
}

bool source_status_read(struct binlog_client *c, struct source_status *out, struct err *err)
{
    struct source_status s = { 0 };
    enum gtid_flavor flavor = GTID_NONE;
    bool ok = source_clock_offset(c, &s.clock_offset_us, err) && read_identity(c, &s, &flavor, err);
    if (ok) {
        s.current.flavor = s.earliest.flavor = flavor;
        memcpy(s.earliest.server, s.current.server, sizeof s.earliest.server);
        /* Earliest last: a purge in between can only make it too strict. */
        ok = read_current(c, &s.current, err) && read_earliest(c, &s.earliest, err);
    }
    if (!ok) {
        source_status_clear(&s);
        return err_ctx(err, "read the source's position");
    }
    *out = s;
    return true;
}

void source_status_clear(struct source_status *s)
{
    source_pos_clear(&s->current);
    source_pos_clear(&s->earliest);
    *s = (struct source_status){ 0 };
}

/* ---- can we go on? ---- */

/* ERR_LOST with the GTIDs of a that b lacks. */
static bool lost(const struct gtid_set *a, const struct gtid_set *b, const char *before, const char *after,
                 struct err *err)
{
    struct gtid_set *diff = NULL;
    if (!gtid_set_subtract(a, b, &diff, err))
        return false;
    struct buf text = { 0 };
    gtid_set_text(diff, &text);
    err_set(err, ERR_LOST, "%s %.500s%s; %s", before, buf_cstr(&text), text.n > 500 ? "..." : "", after);
    buf_free(&text);
    gtid_set_free(diff);
    return false;
}

#define NEW_SLOT "Take a new slot with a new snapshot"
#define KEEP_LONGER "and keep binlogs longer (binlog_expire_logs_seconds)"
#define COMPARE "Compare it with the destination; then take a new slot with a new snapshot"

/* chosen: by a person with --start, so that nothing is lost yet. */
static bool check_gtids(const struct source_status *now, const struct source_pos *from, bool chosen, struct err *err)
{
    if (!gtid_set_subset(from->gtids, now->current.gtids))
        return lost(from->gtids, now->current.gtids,
                    chosen ? "the source does not have these transactions:"
                           : "the source does not have these transactions, which were already captured:",
                    chosen ? "start with a set that it has (--start now is its whole set)"
                           : "it was reset or restored, lost its last commits in a crash (sync_binlog), or another "
                             "server was promoted that never had them. " COMPARE,
                    err);
    if (!gtid_set_subset(now->earliest.gtids, from->gtids))
        return lost(now->earliest.gtids, from->gtids,
                    chosen ? "the source has purged these transactions, so that it cannot send what follows the set:"
                           : "these transactions were purged from the source before they were captured:",
                    chosen ? "start with a set that contains them (--start earliest does)" : NEW_SLOT ", " KEEP_LONGER,
                    err);
    return true;
}

static bool check_file(struct binlog_client *c, const struct source_status *now, const struct source_pos *from,
                       bool chosen, struct err *err)
{
    if (strcmp(now->current.server, from->server) != 0)
        return err_set(err, ERR_LOST,
                       "the position %s:%" PRIu64
                       " belongs to the server %s, but the source is %s: without GTIDs an offset means nothing on "
                       "another server. Connect to the former, or take a new slot",
                       from->file, from->offset, from->server, now->current.server);
    struct sql_result r;
    if (!binlog_client_query(c, "SHOW BINARY LOGS", &r, err))
        return false;
    bool found = false;
    uint64_t size = 0;
    for (size_t i = 0; r.ncols >= 2 && i < r.nrows && !found; i++)
        found = bytes_eq_str(r.cells[i * r.ncols], from->file) && parse_u64(r.cells[i * r.ncols + 1], &size);
    sql_result_clear(&r);
    if (!found)
        return err_set(
            err, ERR_LOST, "the source has no binlog file %s (its first is %s)%s", from->file, now->earliest.file,
            chosen ? ""
                   : ": it was purged before it was captured, or the source was reset. " NEW_SLOT ", " KEEP_LONGER);
    if (size < from->offset)
        return err_set(
            err, ERR_LOST, "the position %s:%" PRIu64 " lies beyond the end of the source's file (%" PRIu64 " bytes)%s",
            from->file, from->offset, size,
            chosen ? "" : ": the source was reset, or lost its last commits in a crash (sync_binlog). " COMPARE);
    return true;
}

bool source_can_resume(struct binlog_client *c, const struct source_status *now, const struct source_pos *from,
                       struct err *err)
{
    if (from->flavor == GTID_NONE)
        return check_file(c, now, from, false, err);
    if (from->flavor == now->current.flavor)
        return check_gtids(now, from, false, err);
    if (now->current.flavor == GTID_NONE)
        return err_set(err, ERR_CONFIG,
                       "the slot's position is a GTID set, but the source's gtid_mode is not ON: set it to ON again");
    return err_set(
        err, ERR_LOST,
        "the slot was captured from %s, but the source is %s: their GTIDs have nothing in common. Take a new slot",
        from->flavor == GTID_MARIADB ? "MariaDB" : "MySQL", now->current.flavor == GTID_MARIADB ? "MariaDB" : "MySQL");
}

/* ---- --start ---- */

/* What a person chose and the source does not have is no loss. */
static bool bad_start(struct err *err, const char *start)
{
    if (err->code == ERR_LOST || err->code == ERR_CORRUPT)
        err->code = ERR_CONFIG;
    return err_ctx(err, "--start %s", start);
}

static bool start_at_gtid(const struct source_status *now, const char *set, struct source_pos *out, struct err *err)
{
    if (now->current.flavor == GTID_NONE)
        return err_set(err, ERR_CONFIG, "gtid: needs gtid_mode=ON on the source; use file:NAME:POS");
    out->flavor = now->current.flavor;
    memcpy(out->server, now->current.server, sizeof out->server);
    return gtid_set_parse(out->flavor, bytes_str(set), &out->gtids, err) && check_gtids(now, out, true, err);
}

/* MySQL: the GTIDs before file:offset, from the file's PREVIOUS_GTIDS and the GTID events up to there, a page at a time. */
struct gtid_scan {
    struct gtid_set *set;
    uint64_t until;   /* the offset that was asked for */
    uint64_t at, end; /* the last event read: its offset, and the low 32 bits of its end */
    bool found;       /* an event begins at `until` */
    bool done;        /* that event or a later one was seen, and PREVIOUS_GTIDS, which stand in front of all others */
};

/* "SET @@SESSION.GTID_NEXT= 'uuid:5'" -> add; ANONYMOUS is nothing to add. */
static bool scan_gtid_event(struct gtid_scan *s, struct bytes info, struct err *err)
{
    const uint8_t *q = info.n == 0 ? NULL : memchr(info.p, '\'', info.n);
    if (q == NULL)
        return true;
    size_t left = info.n - (size_t)(q + 1 - info.p);
    const uint8_t *end = memchr(q + 1, '\'', left);
    struct bytes text = { q + 1, end == NULL ? left : (size_t)(end - q - 1) };
    if (bytes_eq_str(text, "ANONYMOUS"))
        return true;
    struct gtid g;
    return gtid_parse(text, &g, err) && gtid_set_add(s->set, &g, err);
}

static bool scan_page(struct gtid_scan *s, const struct sql_result *r, struct err *err)
{
    enum { POS = 1, TYPE = 2, END = 4, INFO = 5, COLUMNS = 6 }; /* of SHOW BINLOG EVENTS */
    if (r->nrows > 0 && r->ncols < COLUMNS)
        return err_set(err, ERR_UNSUPPORTED, "SHOW BINLOG EVENTS has fewer columns than MySQL's");
    for (size_t i = 0; i < r->nrows; i++) {
        const struct bytes *row = r->cells + i * r->ncols;
        if (!parse_u64(row[POS], &s->at) || !parse_u64(row[END], &s->end))
            return err_set(err, ERR_UNSUPPORTED, "SHOW BINLOG EVENTS has columns that are not MySQL's");
        s->found = s->found || s->at == s->until;
        if (bytes_eq_str(row[TYPE], "Format_desc"))
            continue;
        if (bytes_eq_str(row[TYPE], "Previous_gtids")) {
            struct gtid_set *previous = NULL;
            bool ok = gtid_set_parse(GTID_MYSQL, row[INFO], &previous, err) && gtid_set_union(s->set, previous, err);
            gtid_set_free(previous);
            if (!ok)
                return false;
        } else if (s->at >= s->until) {
            s->done = true;
            return true;
        } else if (row[TYPE].n >= 4 && memcmp(row[TYPE].p, "Gtid", 4) == 0 && !scan_gtid_event(s, row[INFO], err)) {
            return false;
        }
    }
    return true;
}

static bool gtids_before(struct binlog_client *c, const char *file, uint64_t until, struct gtid_set **out,
                         struct err *err)
{
    enum { PAGE = 20000 };
    struct gtid_scan s = { .set = gtid_set_new(GTID_MYSQL), .until = until, .at = FIRST_OFFSET };
    if (s.set == NULL)
        return err_nomem(err);
    bool ok = true, more = true;
    while (ok && more && !s.done) {
        struct buf sql = { 0 };
        struct sql_result r = { 0 };
        /* From the last event seen, once more: its end is only known in 32 bits, and taking it twice changes nothing. */
        buf_str(&sql, "SHOW BINLOG EVENTS IN ");
        binlog_client_quote(file, &sql);
        buf_printf(&sql, " FROM %" PRIu64 " LIMIT %d", s.at, PAGE);
        ok = buf_ok(&sql, err) && binlog_client_query(c, buf_cstr(&sql), &r, err);
        more = r.nrows == PAGE;
        ok = ok && scan_page(&s, &r, err);
        sql_result_clear(&r);
        buf_free(&sql);
    }
    bool at_end = s.at < until && (uint32_t)s.end == (uint32_t)until; /* the file ends there */
    if (ok && !s.found && !at_end)
        ok = err_set(err, ERR_CONFIG, "no event of %s begins at %" PRIu64 "; the nearest one is at %" PRIu64, file,
                     until, s.at);
    if (!ok) {
        gtid_set_free(s.set);
        return false;
    }
    *out = s.set;
    return true;
}

/* A start inside a transaction would capture a part of it (I1): the event there must be one that can come first. */
static bool check_border(struct binlog_client *c, const char *file, uint64_t offset, struct err *err)
{
    static const char *const first[] = {
        "Gtid",      "Gtid_tagged_log_event", "Anonymous_Gtid",  "Rotate", "Stop", "Format_desc", "Previous_gtids",
        "Gtid_list", "Binlog_checkpoint",     "Start_encryption"
    };
    struct buf sql = { 0 };
    struct sql_result r = { 0 };
    buf_str(&sql, "SHOW BINLOG EVENTS IN ");
    binlog_client_quote(file, &sql);
    buf_printf(&sql, " FROM %" PRIu64 " LIMIT 1", offset);
    bool ok = buf_ok(&sql, err) && binlog_client_query(c, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    bool good = r.nrows == 0; /* the end of the file */
    for (size_t i = 0; !good && r.ncols >= 3 && i < sizeof first / sizeof *first; i++)
        good = bytes_eq_str(r.cells[2], first[i]);
    if (!good)
        err_set(err, ERR_CONFIG,
                "the event at %s:%" PRIu64 " is %s, in the middle of a transaction; SHOW BINLOG EVENTS IN '%s' shows "
                "where transactions begin (Gtid, Anonymous_Gtid)",
                file, offset, r.ncols >= 3 && r.cells[2].p != NULL ? (const char *)r.cells[2].p : "unknown", file);
    sql_result_clear(&r);
    return good;
}

static bool start_at_file(struct binlog_client *c, const struct source_status *now, const char *text,
                          struct source_pos *out, struct err *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t offset = 0;
    if (colon == NULL || colon == text || colon - text > POSITION_FILE_MAX ||
        !parse_u64(bytes_str(colon + 1), &offset) || offset < FIRST_OFFSET)
        return err_set(err, ERR_CONFIG,
                       "not file:NAME:POS with a position from 4 on, for example file:binlog.000003:4");
    memcpy(out->file, text, (size_t)(colon - text));
    out->file[colon - text] = '\0';
    out->offset = offset;
    memcpy(out->server, now->current.server, sizeof out->server);
    out->flavor = now->current.flavor;
    if (!check_file(c, now, out, true, err) || !check_border(c, out->file, offset, err))
        return false;
    if (out->flavor == GTID_NONE)
        return true;
    if (out->flavor == GTID_MYSQL)
        return gtids_before(c, out->file, offset, &out->gtids, err);
    struct buf sql = { 0 }, set = { 0 };
    bool null = true;
    buf_str(&sql, "SELECT BINLOG_GTID_POS(");
    binlog_client_quote(out->file, &sql);
    buf_printf(&sql, ", %" PRIu64 ")", offset);
    bool ok = buf_ok(&sql, err) && binlog_client_scalar(c, buf_cstr(&sql), &set, &null, err);
    if (ok && null)
        ok = err_set(err, ERR_CONFIG, "no event of %s begins at %" PRIu64, out->file, offset);
    ok = ok && gtid_set_parse(GTID_MARIADB, buf_view(&set), &out->gtids, err);
    buf_free(&sql);
    buf_free(&set);
    return ok;
}

bool source_start_position(struct binlog_client *c, const struct source_status *now, const char *start,
                           struct source_pos *out, struct err *err)
{
    if (strcmp(start, "now") == 0)
        return source_pos_copy(&now->current, out, err);
    if (strcmp(start, "earliest") == 0)
        return source_pos_copy(&now->earliest, out, err);
    struct source_pos p = { 0 };
    bool ok;
    if (strncmp(start, "gtid:", 5) == 0)
        ok = start_at_gtid(now, start + 5, &p, err);
    else if (strncmp(start, "file:", 5) == 0)
        ok = start_at_file(c, now, start + 5, &p, err);
    else
        ok = err_set(err, ERR_CONFIG, "must be now, earliest, gtid:SET or file:NAME:POS");
    if (!ok) {
        source_pos_clear(&p);
        return bad_start(err, start);
    }
    *out = p;
    return true;
}
