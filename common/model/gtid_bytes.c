/* gtid_bytes.c - GTID sets as bytes: the server's encoding and our own packed one.
 *
 * The server's (mysql-server sql/rpl_gtid_set.cc, Gtid_set::encode and encode_nsids_format; libs/mysql/gtid/tag.cpp;
 * libs/mysql/serialization for the length of a tag), little-endian:
 *
 *   8 bytes   untagged: number of sources; byte 7 is 0.  tagged: byte 0 is 1, bytes 1-6 the number, byte 7 is 1
 *   per source: 16 bytes UUID | tagged only: u8 length * 2 (a one-byte variable-length integer), tag | u64 number of intervals
 *               | per interval u64 first, u64 last + 1
 *
 * Ours, for segments and state:
 *
 *   u8 flavour (0 none: end; 1 MySQL; 2 MariaDB), varint n, then n times
 *   MySQL:   16 bytes UUID, u8 tag length, tag, varint intervals (>= 1), per interval: varint distance of `first` from the
 *            previous `last` (from 0 for the first interval; >= 2 for the others, since touching ones are merged),
 *            varint last - first.  Sources ascend by (UUID, tag)
 *   MariaDB: varint domain (ascending), varint server, varint sequence number */
#include "gtid_inside.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    FORMAT_UNTAGGED = 0,
    FORMAT_TAGGED = 1,
    MIN_SOURCE = 16 + 8,
    MIN_PACKED_SOURCE = 16 + 1 + 1 + 2,
    MIN_DOMAIN = 3
};

bool gtid_set_encode(const struct gtid_set *s, bool tagged, struct buf *out, struct err *err)
{
    if (s->flavor != GTID_MYSQL)
        return err_set(err, ERR_CORRUPT, "only a MySQL GTID set has the binary form of COM_BINLOG_DUMP_GTID");
    if (!tagged && gtid_set_has_tags(s))
        return err_set(err, ERR_UNSUPPORTED,
                       "the GTID set has tags; a server before MySQL 8.3 cannot take it: connect to a newer one");
    if (tagged)
        buf_le(out, (uint64_t)FORMAT_TAGGED << 56 | (uint64_t)s->nsources << 8 | FORMAT_TAGGED, 8);
    else
        buf_le(out, s->nsources, 8);
    for (size_t i = 0; i < s->nsources; i++) {
        const struct gtid_source *src = &s->sources[i];
        buf_put(out, src->uuid, sizeof src->uuid);
        if (tagged) {
            buf_u8(out, (uint8_t)(src->tag_len << 1));
            buf_put(out, src->tag, src->tag_len);
        }
        buf_le(out, src->n, 8);
        for (size_t k = 0; k < src->n; k++) {
            buf_le(out, src->iv[k].first, 8);
            buf_le(out, src->iv[k].last + 1, 8);
        }
    }
    return buf_ok(out, err);
}

static int compare_sources(const void *a, const void *b)
{
    const struct gtid_source *x = a, *y = b;
    int c = memcmp(x->uuid, y->uuid, sizeof x->uuid);
    if (c != 0)
        return c;
    c = memcmp(x->tag, y->tag, x->tag_len < y->tag_len ? x->tag_len : y->tag_len);
    return c != 0 ? c : (int)x->tag_len - (int)y->tag_len;
}

/* Sorts sources that came in any order; one that came twice is an error. */
static void settle(struct gtid_set *s, struct cur *c)
{
    bool sorted = true;
    for (size_t i = 1; i < s->nsources; i++)
        sorted &= compare_sources(&s->sources[i - 1], &s->sources[i]) < 0;
    if (sorted)
        return;
    qsort(s->sources, s->nsources, sizeof *s->sources, compare_sources);
    for (size_t i = 1; i < s->nsources; i++)
        if (compare_sources(&s->sources[i - 1], &s->sources[i]) == 0)
            cur_fail(c, "a source occurs twice");
}

static void read_tag(struct cur *c, struct bytes tag, struct gtid_source *src)
{
    struct gtid who = { 0 };
    if (c->why != NULL || tag.n == 0)
        return;
    if (!gtid_tag_parse(tag, &who)) {
        cur_fail(c, "bad tag");
        return;
    }
    src->tag_len = who.tag_len;
    memcpy(src->tag, who.tag, sizeof src->tag);
}

static bool decode_source(struct cur *c, bool tagged, struct gtid_source *src, struct err *err)
{
    struct bytes uuid = cur_take(c, sizeof src->uuid);
    if (uuid.n != 0)
        memcpy(src->uuid, uuid.p, sizeof src->uuid);
    if (tagged) {
        uint8_t twice = cur_u8(c); /* 32 is the longest, so that the integer always has one byte: low bit 0 */
        if (twice & 1)
            cur_fail(c, "bad tag length");
        read_tag(c, cur_take(c, twice >> 1), src);
    }
    uint64_t n = cur_le(c, 8);
    if (c->why == NULL && n > cur_left(c) / 16)
        cur_fail(c, "truncated");
    uint64_t previous_end = 0;
    for (uint64_t i = 0; i < n && c->why == NULL; i++) {
        uint64_t first = cur_le(c, 8);
        uint64_t end = cur_le(c, 8);
        if (first <= previous_end || end <= first || end - 1 > GTID_NO_MAX) { /* the server's own check */
            cur_fail(c, "intervals do not ascend");
            break;
        }
        if (!gtid_source_add(src, first, end - 1, err))
            return false;
        previous_end = end;
    }
    return true;
}

/* Room for n sources, n checked against the input by the caller. */
static bool make_room(struct gtid_set *s, uint64_t nsources, uint64_t ndomains, struct err *err)
{
    s->sources = calloc(nsources + 1, sizeof *s->sources);
    s->domains = calloc(ndomains + 1, sizeof *s->domains);
    if (s->sources == NULL || s->domains == NULL)
        return err_nomem(err);
    s->sources_cap = nsources + 1;
    s->domains_cap = ndomains + 1;
    return true;
}

bool gtid_set_decode(struct bytes in, struct gtid_set **out, struct err *err)
{
    struct cur c = cur_over(in);
    uint64_t head = cur_le(&c, 8);
    uint8_t format = (uint8_t)(head >> 56);
    uint64_t n = head;
    if (format == FORMAT_TAGGED) {
        if ((head & 0xff) != FORMAT_TAGGED)
            cur_fail(&c, "the two format bytes differ");
        n = head >> 8 & 0xffffffffffffU;
    } else if (format != FORMAT_UNTAGGED) {
        return err_set(err, ERR_UNSUPPORTED, "GTID set: unknown encoding %u; is the server newer than this program?",
                       format);
    }
    if (c.why == NULL && n > cur_left(&c) / MIN_SOURCE)
        cur_fail(&c, "truncated");
    if (!cur_ok(&c, "GTID set", err))
        return false;
    struct gtid_set *s = gtid_set_new(GTID_MYSQL);
    if (s == NULL)
        return err_nomem(err);
    bool ok = make_room(s, n, 0, err);
    for (uint64_t i = 0; i < n && ok && c.why == NULL; i++) {
        struct gtid_source *src = &s->sources[s->nsources++];
        ok = decode_source(&c, format == FORMAT_TAGGED, src, err);
        if (src->n == 0) { /* legal on the wire, says nothing */
            *src = (struct gtid_source){ 0 };
            s->nsources--;
        }
    }
    if (ok)
        settle(s, &c);
    if (!ok || !cur_finish(&c, "GTID set", err)) {
        gtid_set_free(s);
        return false;
    }
    *out = s;
    return true;
}

void gtid_set_pack(const struct gtid_set *s, struct buf *out)
{
    if (s == NULL || s->flavor == GTID_NONE) {
        buf_u8(out, GTID_NONE);
        return;
    }
    buf_u8(out, (uint8_t)s->flavor);
    if (s->flavor == GTID_MARIADB) {
        buf_varint(out, s->ndomains);
        for (size_t i = 0; i < s->ndomains; i++) {
            buf_varint(out, s->domains[i].domain);
            buf_varint(out, s->domains[i].server);
            buf_varint(out, s->domains[i].seq);
        }
        return;
    }
    buf_varint(out, s->nsources);
    for (size_t i = 0; i < s->nsources; i++) {
        const struct gtid_source *src = &s->sources[i];
        buf_put(out, src->uuid, sizeof src->uuid);
        buf_u8(out, src->tag_len);
        buf_put(out, src->tag, src->tag_len);
        buf_varint(out, src->n);
        uint64_t previous = 0;
        for (size_t k = 0; k < src->n; k++) {
            buf_varint(out, src->iv[k].first - previous);
            buf_varint(out, src->iv[k].last - src->iv[k].first);
            previous = src->iv[k].last;
        }
    }
}

static bool unpack_source(struct cur *c, struct gtid_source *src, struct err *err)
{
    struct bytes uuid = cur_take(c, sizeof src->uuid);
    if (uuid.n != 0)
        memcpy(src->uuid, uuid.p, sizeof src->uuid);
    read_tag(c, cur_take(c, cur_u8(c)), src);
    uint64_t n = cur_varint(c);
    if (c->why == NULL && (n == 0 || n > cur_left(c) / 2))
        cur_fail(c, "bad number of GTID intervals");
    uint64_t previous = 0;
    for (uint64_t i = 0; i < n && c->why == NULL; i++) {
        uint64_t gap = cur_varint(c);
        uint64_t more = cur_varint(c);
        if (c->why != NULL)
            break;
        if (gap < (i == 0 ? 1U : 2U) || gap > GTID_NO_MAX - previous || more > GTID_NO_MAX - previous - gap) {
            cur_fail(c, "bad GTID interval");
            break;
        }
        if (!gtid_source_add(src, previous + gap, previous + gap + more, err))
            return false;
        previous += gap + more;
    }
    return true;
}

static void unpack_domain(struct cur *c, struct gtid_set *s)
{
    struct gtid_domain *d = &s->domains[s->ndomains];
    uint64_t domain = cur_varint(c);
    uint64_t server = cur_varint(c);
    *d = (struct gtid_domain){ (uint32_t)domain, (uint32_t)server, cur_varint(c) };
    if (domain > UINT32_MAX || server > UINT32_MAX || (s->ndomains != 0 && d[-1].domain >= d->domain))
        cur_fail(c, "bad MariaDB domain");
    s->ndomains++;
}

bool gtid_set_unpack(struct cur *c, struct gtid_set **out, struct err *err)
{
    uint8_t flavor = cur_u8(c);
    if (flavor > GTID_MARIADB)
        cur_fail(c, "unknown GTID flavour");
    uint64_t n = flavor == GTID_NONE ? 0 : cur_varint(c);
    if (c->why == NULL && n > cur_left(c) / (flavor == GTID_MYSQL ? MIN_PACKED_SOURCE : MIN_DOMAIN))
        cur_fail(c, "truncated");
    if (!cur_ok(c, "GTID set", err))
        return false;
    if (flavor == GTID_NONE) {
        *out = NULL;
        return true;
    }
    struct gtid_set *s = gtid_set_new(flavor);
    if (s == NULL)
        return err_nomem(err);
    bool mysql = flavor == GTID_MYSQL;
    bool ok = make_room(s, mysql ? n : 0, mysql ? 0 : n, err);
    for (uint64_t i = 0; i < n && ok && c->why == NULL; i++) {
        if (!mysql) {
            unpack_domain(c, s);
            continue;
        }
        ok = unpack_source(c, &s->sources[s->nsources++], err);
        if (i > 0 && ok && compare_sources(&s->sources[i - 1], &s->sources[i]) >= 0)
            cur_fail(c, "GTID sources do not ascend");
    }
    if (!ok || !cur_ok(c, "GTID set", err)) {
        gtid_set_free(s);
        return false;
    }
    *out = s;
    return true;
}
