/* binlog_gtid.c - the events that carry GTIDs: MySQL's GTID, ANONYMOUS_GTID, GTID_TAGGED, PREVIOUS_GTIDS, MariaDB's
 * GTID and GTID_LIST.
 * Layouts: MySQL source, libs/mysql/binlog/event/control_events.cpp and libs/mysql/serialization/readme.md
 * (GTID_TAGGED); MariaDB source, sql/log_event.cc, Gtid_log_event. What later versions append is not needed, so that
 * bytes behind it are no error. */
#include "binlog_event.h"

#include "wire.h"

#include <endian.h>

enum { SECOND_US = 1000000 };

static void header_time(const struct binlog_event *e, struct ev_gtid *g)
{
    g->commit_us = (int64_t)e->when * SECOND_US;
    g->resolution_us = SECOND_US;
}

static bool commit_time(uint64_t us, struct ev_gtid *g)
{
    if (us == 0 || us >= (uint64_t)1 << 55)
        return false;
    g->commit_us = (int64_t)us;
    g->resolution_us = 1;
    return true;
}

/* Serialization format of libs/mysql/serialization: as many trailing one bits in the first byte as further bytes
 * follow. */
static uint64_t varlen(struct cur *c)
{
    if (cur_left(c) == 0) {
        cur_fail(c, "truncated");
        return 0;
    }
    unsigned n = 1;
    for (uint8_t b = *c->p; (b & 1) != 0; b >>= 1)
        n++;
    if (n == 9) {
        (void)cur_u8(c);
        return cur_le(c, 8);
    }
    return cur_le(c, n) >> n;
}

static bool tagged(const struct binlog_event *e, struct ev_gtid *g, struct err *err)
{
    enum {
        F_FLAGS,
        F_UUID,
        F_GNO,
        F_TAG,
        F_LAST_COMMITTED,
        F_SEQUENCE,
        F_IMMEDIATE_US,
        F_ORIGINAL_US,
        F_TRX_LENGTH,
        F_IMMEDIATE_VERSION,
        F_ORIGINAL_VERSION,
        F_TICKET
    };
    struct cur c = cur_over(e->body);
    uint64_t version = varlen(&c);
    uint64_t size = varlen(&c); /* of the whole message, with what we have read of it */
    uint64_t last_needed = varlen(&c);
    if (c.why == NULL && version != 1)
        return err_set(err, ERR_UNSUPPORTED, "GTID_TAGGED: serialization version %llu is not known",
                       (unsigned long long)version);
    if (c.why == NULL && (size > e->body.n || size < cur_at(&c)))
        cur_fail(&c, "its size is wrong");
    if (c.why == NULL)
        c.end = c.start + size;
    bool have_uuid = false, have_gno = false;
    uint64_t previous = 0;
    for (bool first = true; c.why == NULL && cur_left(&c) != 0; first = false) {
        uint64_t id = varlen(&c);
        if (!first && id <= previous)
            cur_fail(&c, "fields out of order");
        previous = id;
        switch (id) {
        case F_UUID:
            for (unsigned i = 0; i < sizeof g->gtid.uuid; i++) {
                uint64_t byte = varlen(&c);
                if (byte > 255)
                    cur_fail(&c, "UUID byte too large");
                g->gtid.uuid[i] = (uint8_t)byte;
            }
            have_uuid = true;
            break;
        case F_GNO: {
            int64_t gno = unzigzag(varlen(&c));
            if (c.why == NULL && gno < 1)
                cur_fail(&c, "transaction number below 1");
            g->gtid.no = (uint64_t)gno;
            have_gno = true;
            break;
        }
        case F_TAG: {
            uint64_t n = varlen(&c);
            if (n > sizeof g->gtid.tag)
                cur_fail(&c, "tag too long");
            struct bytes tag = cur_take(&c, c.why == NULL ? (size_t)n : 0);
            if (tag.n != 0)
                memcpy(g->gtid.tag, tag.p, tag.n);
            g->gtid.tag_len = (uint8_t)tag.n;
            break;
        }
        case F_IMMEDIATE_US: {
            uint64_t us = varlen(&c);
            if (c.why == NULL && !commit_time(us, g))
                cur_fail(&c, "commit time out of range");
            break;
        }
        case F_TRX_LENGTH:
            g->trx_length = varlen(&c);
            break;
        case F_FLAGS:
        case F_LAST_COMMITTED:
        case F_SEQUENCE:
        case F_ORIGINAL_US:
        case F_IMMEDIATE_VERSION:
        case F_ORIGINAL_VERSION:
        case F_TICKET:
            (void)varlen(&c);
            break;
        default: /* a later field: its length is not known, but fields rise and none that we need comes behind it */
            if (id <= last_needed)
                return err_set(err, ERR_UNSUPPORTED,
                               "GTID_TAGGED: field %llu is not known, and the server says that it must not be skipped",
                               (unsigned long long)id);
            (void)cur_take(&c, cur_left(&c));
        }
    }
    if (c.why == NULL && (!have_uuid || !have_gno))
        cur_fail(&c, "no UUID or number");
    return cur_ok(&c, "GTID_TAGGED", err);
}

/* As MySQL 8.0 and later write one, byte for byte where nothing else can stand: flags, UUID, number, logical clock (2, two numbers),
 * commit time. False: the other way decides. */
static inline bool usual_gtid(const struct binlog_event *e, struct ev_gtid *g)
{
    enum { UUID_AT = 1, NO_AT = 17, CLOCK_AT = 25, TIME_AT = 42, USUAL = TIME_AT + 8, CLOCK = 2, TWO_TIMES = 55 };
    const uint8_t *p = e->body.p;
    uint64_t no, us;
    if (e->type != EV_GTID || e->body.n < USUAL || p[CLOCK_AT] != CLOCK)
        return false;
    memcpy(&no, p + NO_AT, sizeof no);
    memcpy(&us, p + TIME_AT, sizeof us);
    no = le64toh(no);
    us = le64toh(us) & ((UINT64_C(1) << (TWO_TIMES + 1)) - 1); /* 7 bytes; the top bit: another time follows */
    uint8_t length = p[TIME_AT + 7];
    if (no < 1 || no > INT64_MAX || us >> TWO_TIMES != 0 || us == 0 || length > 252)
        return false;
    uint64_t trx_length = length;
    if (length == 252) {
        if (e->body.n < USUAL + 2)
            return false;
        trx_length = p[USUAL] | (uint64_t)p[USUAL + 1] << 8;
    } else if (length == 251) {
        return false;
    }
    g->gtid.flavor = GTID_MYSQL;
    memcpy(g->gtid.uuid, p + UUID_AT, sizeof g->gtid.uuid);
    g->gtid.no = no;
    g->commit_us = (int64_t)us;
    g->resolution_us = 1;
    g->trx_length = trx_length;
    return true;
}

static bool mysql_gtid(const struct binlog_event *e, struct ev_gtid *g, struct err *err)
{
    struct cur c = cur_over(e->body);
    (void)cur_u8(&c); /* flags: may hold statements */
    struct bytes uuid = cur_take(&c, 16);
    uint64_t gno = cur_le(&c, 8);
    if (!cur_ok(&c, binlog_event_name(e->type), err))
        return false;
    if (e->type == EV_GTID) {
        if (gno < 1 || gno > INT64_MAX)
            return err_set(err, ERR_CORRUPT, "GTID: transaction number %llu", (unsigned long long)gno);
        memcpy(g->gtid.uuid, uuid.p, uuid.n);
        g->gtid.no = gno;
    }
    /* 5.6 ends here, 5.7 behind the logical clock, 8.0 adds the rest. */
    if (cur_left(&c) < 17 || *c.p != 2)
        return true;
    (void)cur_take(&c, 17);
    if (cur_left(&c) < 7)
        return true;
    uint64_t us = cur_le(&c, 7);
    if ((us >> 55 & 1) != 0) /* then the original commit's time follows: another server's clock */
        (void)cur_take(&c, 7);
    (void)commit_time(us & (((uint64_t)1 << 55) - 1), g);
    if (c.why == NULL && cur_left(&c) != 0)
        g->trx_length = wire_lenenc(&c);
    return cur_ok(&c, binlog_event_name(e->type), err);
}

static bool mariadb_gtid(const struct binlog_event *e, struct ev_gtid *g, struct err *err)
{
    enum { FL_STANDALONE = 1, FL_PREPARED_XA = 0x40, FL_COMPLETED_XA = 0x80 };
    struct cur c = cur_over(e->body);
    g->gtid.no = cur_le(&c, 8);
    g->gtid.domain = (uint32_t)cur_le(&c, 4);
    g->gtid.server = e->server_id;
    uint8_t flags = cur_u8(&c);
    g->standalone = (flags & FL_STANDALONE) != 0;
    g->begins = !g->standalone;
    g->xa_prepare = (flags & FL_PREPARED_XA) != 0;
    g->xa_complete = (flags & FL_COMPLETED_XA) != 0;
    if (c.why == NULL && g->gtid.no == 0)
        cur_fail(&c, "sequence number 0");
    return cur_ok(&c, "GTID", err);
}

bool binlog_parse_gtid(const struct binlog_event *e, struct ev_gtid *out, struct err *err)
{
    static const struct ev_gtid none;
    bool ok = false;
    *out = none;
    if (usual_gtid(e, out))
        return true;
    header_time(e, out);
    switch (e->type) {
    case EV_GTID:
    case EV_ANONYMOUS_GTID:
        out->gtid.flavor = e->type == EV_GTID ? GTID_MYSQL : GTID_NONE;
        ok = mysql_gtid(e, out, err);
        break;
    case EV_GTID_TAGGED:
        out->gtid.flavor = GTID_MYSQL;
        ok = tagged(e, out, err);
        break;
    case EV_MARIADB_GTID:
        out->gtid.flavor = GTID_MARIADB;
        ok = mariadb_gtid(e, out, err);
        break;
    default:
        err_set(err, ERR_CORRUPT, "%s (%u) is no GTID event", binlog_event_name(e->type), e->type);
    }
    if (!ok)
        *out = none;
    return ok;
}

bool binlog_parse_gtid_list(const struct binlog_event *e, struct gtid_set **out, struct err *err)
{
    if (e->type == EV_PREVIOUS_GTIDS)
        return gtid_set_decode(e->body, out, err) || err_ctx(err, "PREVIOUS_GTIDS");
    struct cur c = cur_over(e->body);
    uint64_t count = cur_le(&c, 4) & 0x0fffffff; /* the high bits are flags */
    if (c.why == NULL && count > cur_left(&c) / 16)
        cur_fail(&c, "truncated");
    if (!cur_ok(&c, "GTID_LIST", err))
        return false;
    struct gtid_set *set = gtid_set_new(GTID_MARIADB);
    if (set == NULL)
        return err_nomem(err);
    for (uint64_t i = 0; i < count; i++) { /* of one domain's entries the last is the newest, and adding replaces */
        struct gtid g = { .flavor = GTID_MARIADB };
        g.domain = (uint32_t)cur_le(&c, 4);
        g.server = (uint32_t)cur_le(&c, 4);
        g.no = cur_le(&c, 8);
        if (!gtid_set_add(set, &g, err)) {
            gtid_set_free(set);
            return err_ctx(err, "GTID_LIST");
        }
    }
    if (count == 0)
        cur_take(&c,
                 cur_left(&c) < 2
                     ? cur_left(&c)
                     : 2); /* an empty list is padded: MariaDB sql/log_event_server.cc, Gtid_list_log_event::write */
    if (count == 0)        /* the server pads an empty list */
        (void)cur_take(&c, cur_left(&c));
    if (!cur_finish(&c, "GTID_LIST", err)) {
        gtid_set_free(set);
        return false;
    }
    *out = set;
    return true;
}
