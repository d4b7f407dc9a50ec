/* binlog_files.c - see binlog_files.h. What a server's dump sends: MySQL sql/rpl_binlog_sender.cc (fake_rotate_event,
 * skip_event, send_heartbeat_event_v2), MariaDB sql/sql_repl.cc. */
#include "binlog_files.h"

#include "binlog_file.h"
#include "slog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TYPE_AT = 4 };

struct binlog_files {
    char **paths;
    size_t n;
    uint64_t max_event;
    enum gtid_flavor flavor;
    struct gtid_set *before; /* the GTIDs in front of the first file; NULL without GTIDs */
    char server[64], version[64];

    struct binlog_file *file; /* the one being read: number `next` - 1 */
    size_t next;
    uint64_t offset;                        /* where reading begins in the next file */
    struct gtid_set *have;                  /* left out; NULL: nothing is */
    char rotated_to[POSITION_FILE_MAX + 1]; /* by the real ROTATE that ended the file; "" none */
    struct buf made;                        /* an artificial event */
    struct bytes held;                      /* an event behind an artificial one */
    bool announced, formatted;              /* the file's ROTATE, its FORMAT_DESCRIPTION were delivered */
    bool skipping, skipped; /* inside a transaction that is left out; since the last event that was not */
    bool crc;               /* of the file before */
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static bool is_gtid(uint8_t type)
{
    return type == EV_GTID || type == EV_ANONYMOUS_GTID || type == EV_GTID_TAGGED || type == EV_MARIADB_GTID;
}

static bool is_gtid_list(uint8_t type)
{
    return type == EV_PREVIOUS_GTIDS || type == EV_MARIADB_GTID_LIST;
}

/* Events that stand between transactions: none of them says whether there are GTIDs. */
static bool is_between(uint8_t type)
{
    switch (type) {
    case EV_FORMAT_DESCRIPTION:
    case EV_ROTATE:
    case EV_STOP:
    case EV_INCIDENT:
    case EV_PREVIOUS_GTIDS:
    case EV_MARIADB_GTID_LIST:
    case EV_MARIADB_BINLOG_CHECKPOINT:
    case EV_MARIADB_START_ENCRYPTION:
        return true;
    default:
        return false;
    }
}

/* --- what the files are --- */

static bool learn_server(struct binlog_files *f, const struct binlog_file *file, struct bytes event, struct err *err)
{
    struct binlog_event e;
    const struct binlog_format *fmt = binlog_file_format(file);
    if (!binlog_event_parse(event, fmt, &e, err))
        return err_ctx(err, "%s:%" PRIu64, binlog_file_name(file), binlog_file_at(file));
    struct binlog_format reason;
    if (e.type == EV_FORMAT_DESCRIPTION && !fmt->known)
        return binlog_parse_format(&e, &reason, err) || err_ctx(err, "%s", binlog_file_name(file));
    if (e.type != EV_FORMAT_DESCRIPTION)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s does not begin with FORMAT_DESCRIPTION, but with %s (%u): it is of a "
                       "server before MySQL 5.0, or damaged",
                       binlog_file_name(file), binlog_event_name(e.type), e.type);
    snprintf(f->server, sizeof f->server, "%s-%u", fmt->mariadb ? "mariadb" : "mysql", e.server_id);
    snprintf(f->version, sizeof f->version, "%s", fmt->server_version);
    return true;
}

static bool learn_list(struct binlog_files *f, const struct binlog_file *file, struct bytes event, struct err *err)
{
    struct binlog_event e;
    if (f->before != NULL)
        return true;
    return (binlog_event_parse(event, binlog_file_format(file), &e, err) &&
            binlog_parse_gtid_list(&e, &f->before, err)) ||
           err_ctx(err, "%s:%" PRIu64, binlog_file_name(file), binlog_file_at(file));
}

/* By the first transaction: MySQL writes the list of earlier GTIDs without gtid_mode, too. */
static bool learn(struct binlog_files *f, struct err *err)
{
    bool decided = false, ok = true;
    for (size_t i = 0; ok && i < f->n; i++) {
        struct binlog_file *file = NULL;
        if (!binlog_file_open(f->paths[i], f->max_event, &file, err))
            return false;
        for (bool first = true; ok && !decided; first = false) {
            struct bytes event;
            enum binlog_file_step step = binlog_file_next(file, &event, err);
            if (step != BINLOG_FILE_EVENT) {
                ok = step == BINLOG_FILE_END;
                if (ok && first)
                    ok = err_set(err, ERR_CORRUPT, "%s has no event", f->paths[i]);
                break;
            }
            uint8_t type = event.p[TYPE_AT];
            if (first && i == 0)
                ok = learn_server(f, file, event, err);
            else if (is_gtid_list(type))
                ok = learn_list(f, file, event, err);
            else if (!is_between(type)) {
                decided = true;
                f->flavor = type == EV_MARIADB_GTID                     ? GTID_MARIADB
                            : type == EV_GTID || type == EV_GTID_TAGGED ? GTID_MYSQL
                                                                        : GTID_NONE;
            }
        }
        binlog_file_close(file);
    }
    if (ok && !decided && f->before != NULL && !gtid_set_empty(f->before))
        f->flavor = gtid_set_flavor(f->before);
    if (ok && f->flavor != GTID_NONE && f->before == NULL && (f->before = gtid_set_new(f->flavor)) == NULL)
        ok = err_nomem(err);
    if (f->flavor == GTID_NONE) {
        gtid_set_free(f->before);
        f->before = NULL;
    }
    return ok;
}

bool binlog_files_open(const char *const *paths, size_t n, uint64_t max_event, struct binlog_files **out,
                       struct err *err)
{
    struct binlog_files *f = calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(err);
    f->max_event = max_event;
    f->paths = calloc(n + 1, sizeof *f->paths);
    bool ok = f->paths != NULL || err_nomem(err);
    for (size_t i = 0; ok && i < n; i++) {
        f->paths[i] = strdup(paths[i]);
        f->n = i + 1;
        ok = f->paths[i] != NULL || err_nomem(err);
        if (ok && strlen(base_name(f->paths[i])) > POSITION_FILE_MAX)
            ok = err_set(err, ERR_CONFIG, "the file name %s is longer than %d bytes", f->paths[i], POSITION_FILE_MAX);
    }
    ok = ok && learn(f, err);
    if (!ok) {
        binlog_files_close(f);
        return false;
    }
    *out = f;
    return true;
}

void binlog_files_close(struct binlog_files *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->n; i++)
        free(f->paths[i]);
    free(f->paths);
    gtid_set_free(f->before);
    gtid_set_free(f->have);
    binlog_file_close(f->file);
    buf_free(&f->made);
    free(f);
}

const char *binlog_files_server(const struct binlog_files *f)
{
    return f->server;
}
const char *binlog_files_version(const struct binlog_files *f)
{
    return f->version;
}

/* --- where to begin --- */

static bool find_file(const struct binlog_files *f, const char *name, size_t *out)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(base_name(f->paths[i]), name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

struct prefix { /* the events in front of a place in a file */
    const struct binlog_file *file;
    struct gtid_set *gtids; /* NULL: without */
};

static bool add_gtids(void *ctx, struct bytes event, uint64_t at, struct err *err)
{
    struct prefix *p = ctx;
    struct binlog_event e;
    struct ev_gtid g;
    struct gtid_set *list = NULL;
    uint8_t type = event.p[TYPE_AT];
    (void)at;
    if (p->gtids == NULL || !(is_gtid(type) || is_gtid_list(type)))
        return true;
    bool ok = binlog_event_parse(event, binlog_file_format(p->file), &e, err);
    if (ok && is_gtid_list(type))
        ok = binlog_parse_gtid_list(&e, &list, err) && gtid_set_union(p->gtids, list, err);
    else if (ok)
        ok = binlog_parse_gtid(&e, &g, err) && (g.gtid.flavor == GTID_NONE || gtid_set_add(p->gtids, &g.gtid, err));
    gtid_set_free(list);
    return ok || err_ctx(err, "%s:%" PRIu64, binlog_file_name(p->file), at);
}

/* A start inside a transaction would capture a part of it (I1). Servers before 5.6 mark no beginning but by BEGIN. */
static bool can_begin(const struct binlog_file *file, uint8_t type)
{
    const struct binlog_format *fmt = binlog_file_format(file);
    bool old = !fmt->mariadb && fmt->nposts < EV_ANONYMOUS_GTID;
    return is_gtid(type) || is_between(type) || (old && type == EV_QUERY);
}

static bool check_border(struct binlog_file *file, struct err *err)
{
    struct bytes event;
    enum binlog_file_step step = binlog_file_next(file, &event, err);
    if (step != BINLOG_FILE_EVENT)
        return step == BINLOG_FILE_END;
    uint8_t type = event.p[TYPE_AT];
    return can_begin(file, type) ||
           err_set(err, ERR_CONFIG,
                   "the event at %s:%" PRIu64 " is %s, in the middle of a transaction; `rowtide binlog explain` shows "
                   "where transactions begin (GTID, ANONYMOUS_GTID)",
                   binlog_file_name(file), binlog_file_at(file), binlog_event_name(type));
}

static bool start_at_file(struct binlog_files *f, const char *text, struct source_pos *out, struct err *err)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    size_t i = 0;
    if (colon == NULL || colon == text || colon - text > POSITION_FILE_MAX || colon[1] < '0' || colon[1] > '9')
        return err_set(err, ERR_CONFIG, "not file:NAME:POS with a position from 4 on");
    memcpy(out->file, text, (size_t)(colon - text));
    out->file[colon - text] = '\0';
    out->offset = strtoull(colon + 1, &end, 10);
    if (*end != '\0' || out->offset < BINLOG_FILE_FIRST)
        return err_set(err, ERR_CONFIG, "not file:NAME:POS with a position from 4 on");
    if (!find_file(f, out->file, &i))
        return err_set(err, ERR_CONFIG, "none of the files given is %s", out->file);
    struct prefix p = { NULL, NULL };
    if (f->flavor != GTID_NONE && (p.gtids = out->gtids = gtid_set_new(f->flavor)) == NULL)
        return err_nomem(err);
    struct binlog_file *file = NULL;
    if (!binlog_file_open(f->paths[i], f->max_event, &file, err))
        return false;
    p.file = file;
    bool ok = binlog_file_seek(file, out->offset, add_gtids, &p, err) && check_border(file, err);
    binlog_file_close(file);
    return ok;
}

bool binlog_files_start(struct binlog_files *f, const char *start, struct source_pos *out, struct err *err)
{
    struct source_pos p = { .flavor = f->flavor };
    bool ok;
    memcpy(p.server, f->server, sizeof p.server);
    if (start == NULL || strcmp(start, "earliest") == 0) {
        snprintf(p.file, sizeof p.file, "%s", base_name(f->paths[0]));
        p.offset = BINLOG_FILE_FIRST;
        ok = f->flavor == GTID_NONE || (p.gtids = gtid_set_copy(f->before)) != NULL || err_nomem(err);
    } else if (strncmp(start, "gtid:", 5) == 0) {
        ok = f->flavor != GTID_NONE ? gtid_set_parse(f->flavor, bytes_str(start + 5), &p.gtids, err)
                                    : err_set(err, ERR_CONFIG, "the files have no GTIDs; use file:NAME:POS");
    } else if (strncmp(start, "file:", 5) == 0) {
        ok = start_at_file(f, start + 5, &p, err);
    } else {
        ok = err_set(err, ERR_CONFIG, "must be earliest, gtid:SET or file:NAME:POS with --from-file");
    }
    if (!ok) {
        source_pos_clear(&p);
        if (err->code == ERR_CORRUPT) /* what a person wrote is no damage */
            err->code = ERR_CONFIG;
        return err_ctx(err, "--start %s", start == NULL ? "earliest" : start);
    }
    *out = p;
    return true;
}

/* A server's identity in the files is its server_id, which may change: that the place is there must do. */
static bool dump_by_file(struct binlog_files *f, const struct source_pos *from, struct err *err)
{
    bool live = from->server[0] != '\0' && strncmp(from->server, "mysql-", 6) != 0 &&
                strncmp(from->server, "mariadb-", 8) != 0;
    if (live)
        return err_set(
            err, ERR_LOST,
            "the position %s:%" PRIu64
            " was captured from the server %s: without GTIDs nothing tells that the files are of that server",
            from->file, from->offset, from->server);
    if (!find_file(f, from->file, &f->next))
        return err_set(err, ERR_LOST,
                       "this slot goes on at %s:%" PRIu64 ", but none of the files given is %s: give it, and those "
                       "that follow it",
                       from->file, from->offset, from->file);
    f->offset = from->offset;
    return true;
}

bool binlog_files_dump(struct binlog_files *f, const struct source_pos *from, struct err *err)
{
    f->next = 0;
    f->offset = BINLOG_FILE_FIRST;
    if (from->flavor == GTID_NONE)
        return dump_by_file(f, from, err);
    if (from->flavor != f->flavor)
        return err_set(err, ERR_LOST,
                       "the slot goes on behind GTIDs of %s, but the files %s: they are not of its source",
                       from->flavor == GTID_MARIADB ? "MariaDB" : "MySQL",
                       f->flavor == GTID_NONE      ? "have none"
                       : f->flavor == GTID_MARIADB ? "are of MariaDB"
                                                   : "are of MySQL");
    f->have = gtid_set_copy(from->gtids);
    return f->have != NULL || err_nomem(err);
}

/* --- events --- */

/* Without GTIDs only the names tell that a file is missing in between. */
static bool check_order(const struct binlog_files *f, const char *name, struct err *err)
{
    if (f->have != NULL || f->rotated_to[0] == '\0' || strcmp(f->rotated_to, name) == 0)
        return true;
    return err_set(err, ERR_CONFIG, "%s goes on in %s, but the next file given is %s", binlog_file_name(f->file),
                   f->rotated_to, name);
}

static bool open_next(struct binlog_files *f, struct err *err)
{
    const char *path = f->paths[f->next];
    if (f->file != NULL) {
        if (!check_order(f, base_name(path), err))
            return false;
        f->crc = binlog_file_format(f->file)->crc;
        f->offset = BINLOG_FILE_FIRST;
        binlog_file_close(f->file);
        f->file = NULL;
    }
    if (!binlog_file_open(path, f->max_event, &f->file, err))
        return false;
    f->next++;
    f->rotated_to[0] = '\0';
    f->announced = f->formatted = f->skipping = f->skipped = false;
    slog(SLOG_INFO, "reading_file", kv_s("file", path), kv_u("offset", f->offset));
    return true;
}

static enum fetch_result make(struct binlog_files *f, uint8_t type, const struct buf *body, bool crc,
                              struct bytes *event, struct err *err)
{
    buf_reset(&f->made);
    binlog_event_make(type, buf_view(body), crc, &f->made);
    if (body->failed || !buf_ok(&f->made, err)) {
        err_nomem(err);
        return FETCH_FAIL;
    }
    *event = buf_view(&f->made);
    return FETCH_EVENT;
}

static enum fetch_result announce(struct binlog_files *f, struct bytes *event, struct err *err)
{
    struct buf body = { 0 };
    f->announced = true;
    buf_le(&body, f->offset, 8);
    buf_str(&body, binlog_file_name(f->file));
    enum fetch_result r = make(f, EV_ROTATE, &body, f->crc, event, err);
    buf_free(&body);
    return r;
}

/* Where the event begins that follows what was left out: headers say it in 32 bits only. */
static enum fetch_result heartbeat(struct binlog_files *f, struct bytes *event, struct err *err)
{
    enum { FILE_NAME = 1, POSITION = 2, NINE_BYTES = 9, LENENC_64 = 254 };
    struct buf body = { 0 };
    const char *name = binlog_file_name(f->file);
    size_t n = strlen(name);
    buf_u8(&body, FILE_NAME);
    if (n < 251) {
        buf_u8(&body, (uint8_t)n);
    } else {
        buf_u8(&body, 252);
        buf_le(&body, n, 2);
    }
    buf_str(&body, name);
    buf_u8(&body, POSITION);
    buf_u8(&body, NINE_BYTES);
    buf_u8(&body, LENENC_64);
    buf_le(&body, binlog_file_at(f->file), 8);
    buf_u8(&body, 0);
    enum fetch_result r = make(f, EV_HEARTBEAT_V2, &body, binlog_file_format(f->file)->crc, event, err);
    buf_free(&body);
    return r;
}

/* Is the event part of a transaction that the position has? */
static bool left_out(struct binlog_files *f, struct bytes event, bool *out, struct err *err)
{
    struct binlog_event e;
    struct ev_gtid g;
    struct err ignored; /* the stream says what is wrong with an event */
    uint8_t type = event.p[TYPE_AT];
    if (f->have == NULL)
        return true;
    if (type == EV_ANONYMOUS_GTID && f->flavor == GTID_MYSQL)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s:%" PRIu64 ": ANONYMOUS_GTID: a transaction without a GTID among others that have one "
                       "(gtid_mode was changed): going on by GTID would not know whether it is captured; capture these "
                       "files into a slot of their own",
                       binlog_file_name(f->file), binlog_file_at(f->file));
    if (is_gtid(type))
        f->skipping = binlog_event_parse(event, binlog_file_format(f->file), &e, &ignored) &&
                      binlog_parse_gtid(&e, &g, &ignored) && g.gtid.flavor == f->flavor &&
                      gtid_set_contains(f->have, &g.gtid);
    *out = f->skipping && !is_between(type);
    return true;
}

static void note_rotate(struct binlog_files *f, struct bytes event)
{
    struct binlog_event e;
    struct ev_rotate r;
    struct err ignored;
    if (binlog_event_parse(event, binlog_file_format(f->file), &e, &ignored) && binlog_parse_rotate(&e, &r, &ignored) &&
        r.file.n <= POSITION_FILE_MAX)
        snprintf(f->rotated_to, sizeof f->rotated_to, "%.*s", BYTES_FMT(r.file));
}

static enum binlog_file_step read_file(struct binlog_files *f, struct bytes *event, struct err *err)
{
    if (f->formatted && binlog_file_end(f->file) < f->offset &&
        !binlog_file_seek(f->file, f->offset, NULL, NULL, err)) {
        if (err->code == ERR_CONFIG) /* a place that a position names */
            err->code = ERR_LOST;
        return BINLOG_FILE_FAIL;
    }
    enum binlog_file_step step = binlog_file_next(f->file, event, err);
    f->formatted = true;
    if (step == BINLOG_FILE_END && binlog_file_torn(f->file) != 0)
        slog(SLOG_WARN, "torn_event", kv_s("file", binlog_file_name(f->file)), kv_u("offset", binlog_file_end(f->file)),
             kv_u("bytes", binlog_file_torn(f->file)));
    return step;
}

enum fetch_result binlog_files_fetch(struct binlog_files *f, struct bytes *event, struct err *err)
{
    if (f->held.n != 0) {
        *event = f->held;
        f->held.n = 0;
        return FETCH_EVENT;
    }
    for (;;) {
        bool skip = false;
        if (f->file != NULL && !f->announced)
            return announce(f, event, err);
        enum binlog_file_step step = f->file == NULL ? BINLOG_FILE_END : read_file(f, event, err);
        if (step == BINLOG_FILE_FAIL)
            return FETCH_FAIL;
        if (step == BINLOG_FILE_END) {
            if (f->next == f->n)
                return FETCH_END;
            if (!open_next(f, err))
                return FETCH_FAIL;
            continue;
        }
        uint8_t type = event->p[TYPE_AT];
        if ((f->skipping || is_gtid(type)) && !left_out(f, *event, &skip, err))
            return FETCH_FAIL;
        f->skipped = f->skipped || skip;
        if (skip)
            continue;
        if (type == EV_ROTATE)
            note_rotate(f, *event);
        if (!f->skipped)
            return FETCH_EVENT;
        f->skipped = false;
        f->held = *event;
        return heartbeat(f, event, err);
    }
}
