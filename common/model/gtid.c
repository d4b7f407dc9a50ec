/* gtid.c - single GTIDs and GTID sets of both flavours: text, set operations. Bytes are in gtid_bytes.c. See gtid.h.
 *
 * Text rules: MySQL Reference Manual, "GTID Format and Storage" (intervals sorted and merged, within one UUID first the untagged
 * ones, then ":tag:intervals" in the order of tags; a tag is [a-z_][a-z0-9_]{0,31}, upper case is folded; numbers run
 * from 1 to 2^63 - 2). MariaDB Knowledge Base, "Global Transaction ID" (domain-server-seq, one per domain). */
#include "gtid_inside.h"

#include <inttypes.h>
#include <stdlib.h>

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static struct bytes trim(struct bytes b)
{
    while (b.n > 0 && is_space(b.p[0])) {
        b.p++;
        b.n--;
    }
    while (b.n > 0 && is_space(b.p[b.n - 1]))
        b.n--;
    return b;
}

/* The part before the separator, trimmed; *rest is what follows it. False at the end (rest->p is NULL). */
static bool next_part(struct bytes *rest, char separator, struct bytes *part)
{
    if (rest->p == NULL)
        return false;
    const uint8_t *at = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
    if (at == NULL) {
        *part = trim(*rest);
        *rest = (struct bytes){ NULL, 0 };
        return true;
    }
    size_t n = (size_t)(at - rest->p);
    *part = trim((struct bytes){ rest->p, n });
    rest->p += n + 1;
    rest->n -= n + 1;
    return true;
}

static bool parse_number(struct bytes text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (text.n == 0)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        if (v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

void uuid_text(const uint8_t uuid[16], char out[37])
{
    static const char hex[] = "0123456789abcdef";
    char *o = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *o++ = '-';
        *o++ = hex[uuid[i] >> 4];
        *o++ = hex[uuid[i] & 15];
    }
    *o = '\0';
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool uuid_parse(struct bytes text, uint8_t out[16])
{
    uint8_t uuid[16];
    if (text.n != 32 && text.n != 36)
        return false;
    bool dashes = text.n == 36;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && text.p[at++] != '-')
            return false;
        int high = hex_digit(text.p[at++]);
        int low = hex_digit(text.p[at++]);
        if (high < 0 || low < 0)
            return false;
        uuid[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(out, uuid, sizeof uuid);
    return true;
}

bool gtid_tag_parse(struct bytes text, struct gtid *who)
{
    if (text.n == 0 || text.n > sizeof who->tag)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c + ('a' - 'A'));
        if (c != '_' && !(c >= 'a' && c <= 'z') && (i == 0 || c < '0' || c > '9'))
            return false;
        who->tag[i] = (char)c;
    }
    who->tag_len = (uint8_t)text.n;
    return true;
}

static bool parse_mariadb(struct bytes text, struct gtid *out, struct err *err)
{
    struct bytes rest = text, part[3], extra;
    uint64_t domain, server, seq;
    for (int i = 0; i < 3; i++)
        if (!next_part(&rest, '-', &part[i]))
            part[i] = (struct bytes){ NULL, 0 };
    if (next_part(&rest, '-', &extra) || !parse_number(part[0], UINT32_MAX, &domain) ||
        !parse_number(part[1], UINT32_MAX, &server) || !parse_number(part[2], UINT64_MAX, &seq))
        return err_set(err, ERR_CONFIG, "\"%.*s\" is not a MariaDB GTID: write domain-server-number, as in 0-1-42",
                       BYTES_FMT(text));
    *out = (struct gtid){ .flavor = GTID_MARIADB, .domain = (uint32_t)domain, .server = (uint32_t)server, .no = seq };
    return true;
}

bool gtid_parse(struct bytes text, struct gtid *out, struct err *err)
{
    struct bytes rest = trim(text), part;
    if (rest.n == 0) {
        *out = (struct gtid){ 0 };
        return true;
    }
    if (memchr(rest.p, ':', rest.n) == NULL)
        return parse_mariadb(rest, out, err);
    struct gtid g = { .flavor = GTID_MYSQL };
    bool ok = next_part(&rest, ':', &part) && uuid_parse(part, g.uuid) && next_part(&rest, ':', &part);
    if (ok && rest.p != NULL) /* two parts follow the UUID */
        ok = gtid_tag_parse(part, &g) && next_part(&rest, ':', &part);
    if (!ok || rest.p != NULL || !parse_number(part, GTID_NO_MAX, &g.no) || g.no == 0)
        return err_set(err, ERR_CONFIG,
                       "\"%.*s\" is not a GTID: write uuid:number, uuid:tag:number or, for MariaDB, "
                       "domain-server-number",
                       BYTES_FMT(text));
    *out = g;
    return true;
}

void gtid_text(const struct gtid *g, struct buf *out)
{
    if (g->flavor == GTID_MARIADB) {
        buf_printf(out, "%" PRIu32 "-%" PRIu32 "-%" PRIu64, g->domain, g->server, g->no);
    } else if (g->flavor == GTID_MYSQL) {
        char uuid[37];
        uuid_text(g->uuid, uuid);
        buf_str(out, uuid);
        if (g->tag_len != 0)
            buf_printf(out, ":%.*s", (int)g->tag_len, g->tag);
        buf_printf(out, ":%" PRIu64, g->no);
    }
}

static int source_cmp(const struct gtid_source *s, const struct gtid *who)
{
    int c = memcmp(s->uuid, who->uuid, sizeof s->uuid);
    if (c != 0)
        return c;
    size_t n = s->tag_len < who->tag_len ? s->tag_len : who->tag_len;
    c = memcmp(s->tag, who->tag, n);
    return c != 0 ? c : (int)s->tag_len - (int)who->tag_len;
}

bool gtid_eq(const struct gtid *a, const struct gtid *b)
{
    if (a->flavor != b->flavor || a->no != b->no)
        return false;
    if (a->flavor == GTID_MARIADB)
        return a->domain == b->domain && a->server == b->server;
    return memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0 && a->tag_len == b->tag_len &&
           memcmp(a->tag, b->tag, a->tag_len) == 0;
}

struct gtid_set *gtid_set_new(enum gtid_flavor f)
{
    struct gtid_set *s = calloc(1, sizeof *s);
    if (s != NULL)
        s->flavor = f;
    return s;
}

void gtid_set_free(struct gtid_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->nsources; i++)
        free(s->sources[i].iv);
    free(s->sources);
    free(s->domains);
    free(s);
}

enum gtid_flavor gtid_set_flavor(const struct gtid_set *s)
{
    return s->flavor;
}

/* Room for one more element in a growing array; the old array stays good on failure. */
static bool reserve(void **array, size_t *cap, size_t n, size_t size, struct err *err)
{
    if (n < *cap)
        return true;
    size_t wanted = *cap == 0 ? 4 : *cap * 2;
    void *p = wanted > SIZE_MAX / 2 / size ? NULL : realloc(*array, wanted * size);
    if (p == NULL)
        return err_nomem(err);
    *array = p;
    *cap = wanted;
    return true;
}

struct gtid_set *gtid_set_copy(const struct gtid_set *s)
{
    struct gtid_set *c = gtid_set_new(s->flavor);
    if (c == NULL)
        return NULL;
    c->domains = calloc(s->ndomains + 1, sizeof *c->domains);
    c->sources = calloc(s->nsources + 1, sizeof *c->sources);
    if (c->domains == NULL || c->sources == NULL)
        goto fail;
    c->domains_cap = s->ndomains + 1;
    c->sources_cap = s->nsources + 1;
    if (s->ndomains != 0)
        memcpy(c->domains, s->domains, s->ndomains * sizeof *c->domains);
    c->ndomains = s->ndomains;
    for (; c->nsources < s->nsources; c->nsources++) {
        const struct gtid_source *from = &s->sources[c->nsources];
        struct gtid_source *to = &c->sources[c->nsources];
        struct gtid_interval *iv = calloc(from->n + 1, sizeof *iv);
        if (iv == NULL)
            goto fail;
        memcpy(iv, from->iv, from->n * sizeof *iv);
        *to = *from;
        to->iv = iv;
        to->cap = from->n + 1;
    }
    return c;
fail:
    gtid_set_free(c);
    return NULL;
}

static inline bool is_source(const struct gtid_source *s, const struct gtid *who)
{
    uint64_t a[2], b[2];
    memcpy(a, s->uuid, sizeof a);
    memcpy(b, who->uuid, sizeof b);
    return a[0] == b[0] && a[1] == b[1] && s->tag_len == who->tag_len &&
           (s->tag_len == 0 || memcmp(s->tag, who->tag, s->tag_len) == 0);
}

/* The source's place; *found says whether it is there. */
static size_t find_source(const struct gtid_set *s, const struct gtid *who, bool *found)
{
    size_t low = 0, high = s->nsources;
    if (s->recent < high && is_source(&s->sources[s->recent], who)) {
        *found = true;
        return s->recent;
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = source_cmp(&s->sources[mid], who);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

static size_t find_domain(const struct gtid_set *s, uint32_t domain, bool *found)
{
    size_t low = 0, high = s->ndomains;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->domains[mid].domain < domain)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < s->ndomains && s->domains[low].domain == domain;
    return low;
}

static struct gtid_source *get_source(struct gtid_set *s, const struct gtid *who, struct err *err)
{
    bool found;
    size_t at = find_source(s, who, &found);
    if (!found) {
        void *array = s->sources;
        bool ok = reserve(&array, &s->sources_cap, s->nsources, sizeof *s->sources, err);
        s->sources = array;
        if (!ok)
            return NULL;
        memmove(&s->sources[at + 1], &s->sources[at], (s->nsources - at) * sizeof *s->sources);
        s->sources[at] = (struct gtid_source){ .tag_len = who->tag_len };
        memcpy(s->sources[at].uuid, who->uuid, sizeof who->uuid);
        memcpy(s->sources[at].tag, who->tag, who->tag_len);
        s->nsources++;
    }
    s->recent = at;
    return &s->sources[at];
}

/* The first interval that reaches `no` or later. */
static size_t find_interval(const struct gtid_source *src, uint64_t no)
{
    size_t low = 0, high = src->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (src->iv[mid].last < no)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool gtid_source_add(struct gtid_source *src, uint64_t first, uint64_t last, struct err *err)
{
    if (src->n != 0 && first >= src->iv[src->n - 1].first && first <= src->iv[src->n - 1].last + 1) {
        if (last > src->iv[src->n - 1].last) /* the common case: the next number */
            src->iv[src->n - 1].last = last;
        return true;
    }
    size_t low = find_interval(src, first - 1); /* also one that ends just before us is merged */
    size_t high = low;
    while (high < src->n && src->iv[high].first <= last + 1)
        high++;
    if (low == high) {
        void *array = src->iv;
        bool ok = reserve(&array, &src->cap, src->n, sizeof *src->iv, err);
        src->iv = array;
        if (!ok)
            return false;
        memmove(&src->iv[low + 1], &src->iv[low], (src->n - low) * sizeof *src->iv);
        src->iv[low] = (struct gtid_interval){ first, last };
        src->n++;
        return true;
    }
    if (src->iv[low].first > first)
        src->iv[low].first = first;
    src->iv[low].last = src->iv[high - 1].last > last ? src->iv[high - 1].last : last;
    memmove(&src->iv[low + 1], &src->iv[high], (src->n - high) * sizeof *src->iv);
    src->n -= high - low - 1;
    return true;
}

bool gtid_set_add_interval(struct gtid_set *s, const struct gtid *who, uint64_t first, uint64_t last, struct err *err)
{
    if (s->flavor != GTID_MYSQL || who->flavor != GTID_MYSQL)
        return err_set(err, ERR_CORRUPT, "only MySQL GTIDs come in intervals");
    if (first == 0 || first > last || last > GTID_NO_MAX)
        return err_set(err, ERR_CORRUPT,
                       "GTID interval %" PRIu64 "-%" PRIu64 ": numbers run upwards from 1 to 2^63 - 2", first, last);
    size_t before = s->nsources;
    struct gtid_source *src = get_source(s, who, err);
    if (src == NULL)
        return false;
    if (gtid_source_add(src, first, last, err))
        return true;
    if (s->nsources != before) { /* an empty source must not stay: it would show in the text */
        size_t at = (size_t)(src - s->sources);
        free(src->iv);
        memmove(src, src + 1, (s->nsources - at - 1) * sizeof *src);
        s->nsources--;
    }
    return false;
}

static bool set_domain(struct gtid_set *s, struct gtid_domain d, bool only_forward, struct err *err)
{
    bool found;
    size_t at = find_domain(s, d.domain, &found);
    if (found) {
        if (!only_forward || d.seq > s->domains[at].seq)
            s->domains[at] = d;
        return true;
    }
    void *array = s->domains;
    bool ok = reserve(&array, &s->domains_cap, s->ndomains, sizeof *s->domains, err);
    s->domains = array;
    if (!ok)
        return false;
    memmove(&s->domains[at + 1], &s->domains[at], (s->ndomains - at) * sizeof *s->domains);
    s->domains[at] = d;
    s->ndomains++;
    return true;
}

bool gtid_set_add(struct gtid_set *s, const struct gtid *g, struct err *err)
{
    if (g->flavor != s->flavor || g->flavor == GTID_NONE) {
        struct buf text = { 0 };
        gtid_text(g, &text);
        err_set(err, ERR_CORRUPT, "%s%s cannot be added to a GTID set of %s",
                text.n == 0 ? "a transaction without GTID" : "GTID ", buf_cstr(&text),
                s->flavor == GTID_MYSQL     ? "MySQL"
                : s->flavor == GTID_MARIADB ? "MariaDB"
                                            : "a source without GTIDs");
        buf_free(&text);
        return false;
    }
    if (g->flavor == GTID_MYSQL)
        return gtid_set_add_interval(s, g, g->no, g->no, err);
    return set_domain(s, (struct gtid_domain){ g->domain, g->server, g->no }, false, err);
}

static bool parse_interval(struct gtid_set *s, const struct gtid *who, struct bytes part, struct err *err)
{
    struct bytes rest = part, low, high;
    uint64_t first, last;
    next_part(&rest, '-', &low);
    if (!next_part(&rest, '-', &high))
        high = low;
    if (rest.p != NULL || !parse_number(low, GTID_NO_MAX, &first) || !parse_number(high, GTID_NO_MAX, &last) ||
        first == 0 || last < first)
        return err_set(err, ERR_CONFIG,
                       "\"%.*s\" is not an interval of GTID numbers: write 7 or 1-5, numbers from 1 to 2^63 - 2",
                       BYTES_FMT(part));
    return gtid_set_add_interval(s, who, first, last, err);
}

/* "uuid:1-5:7:tag:1-3" */
static bool parse_source(struct gtid_set *s, struct bytes text, struct err *err)
{
    struct gtid who = { .flavor = GTID_MYSQL };
    struct bytes rest = text, part;
    if (!next_part(&rest, ':', &part) || !uuid_parse(part, who.uuid))
        return err_set(err, ERR_CONFIG, "\"%.*s\" is not a server UUID in a GTID set", BYTES_FMT(part));
    bool numbers = false; /* since the UUID or the last tag */
    while (next_part(&rest, ':', &part)) {
        if (part.n != 0 && part.p[0] >= '0' && part.p[0] <= '9') {
            if (!parse_interval(s, &who, part, err))
                return false;
            numbers = true;
            continue;
        }
        if (who.tag_len != 0 && !numbers)
            break;
        if (!gtid_tag_parse(part, &who))
            return err_set(err, ERR_CONFIG, "\"%.*s\" is neither an interval nor a tag of a GTID set", BYTES_FMT(part));
        numbers = false;
    }
    if (!numbers)
        return err_set(err, ERR_CONFIG, "\"%.*s\" names no transactions: write uuid:1-5 or uuid:tag:1-5",
                       BYTES_FMT(text));
    return true;
}

static bool parse_domain(struct gtid_set *s, struct bytes text, struct err *err)
{
    struct gtid g;
    if (!parse_mariadb(text, &g, err))
        return false;
    bool found;
    find_domain(s, g.domain, &found);
    if (found) /* as the server does for gtid_slave_pos: which of the two is meant cannot be known */
        return err_set(err, ERR_CONFIG, "a MariaDB position names domain %" PRIu32 " twice", g.domain);
    return gtid_set_add(s, &g, err);
}

bool gtid_set_parse(enum gtid_flavor f, struct bytes text, struct gtid_set **out, struct err *err)
{
    struct gtid_set *s = gtid_set_new(f);
    if (s == NULL)
        return err_nomem(err);
    struct bytes rest = text, part;
    while (next_part(&rest, ',', &part)) {
        if (part.n == 0)
            continue; /* the servers accept and write ",\n" and the empty set */
        bool ok = f == GTID_MYSQL     ? parse_source(s, part, err)
                  : f == GTID_MARIADB ? parse_domain(s, part, err)
                                      : err_set(err, ERR_CONFIG, "a source without GTIDs has no GTID set");
        if (!ok) {
            gtid_set_free(s);
            return false;
        }
    }
    *out = s;
    return true;
}

void gtid_set_text(const struct gtid_set *s, struct buf *out)
{
    for (size_t i = 0; i < s->ndomains; i++)
        buf_printf(out, "%s%" PRIu32 "-%" PRIu32 "-%" PRIu64, i == 0 ? "" : ",", s->domains[i].domain,
                   s->domains[i].server, s->domains[i].seq);
    for (size_t i = 0; i < s->nsources; i++) {
        const struct gtid_source *src = &s->sources[i];
        if (i == 0 || memcmp(s->sources[i - 1].uuid, src->uuid, sizeof src->uuid) != 0) {
            char uuid[37];
            uuid_text(src->uuid, uuid);
            if (i != 0)
                buf_u8(out, ',');
            buf_str(out, uuid);
        }
        if (src->tag_len != 0)
            buf_printf(out, ":%.*s", (int)src->tag_len, src->tag);
        for (size_t k = 0; k < src->n; k++) {
            buf_printf(out, ":%" PRIu64, src->iv[k].first);
            if (src->iv[k].last != src->iv[k].first)
                buf_printf(out, "-%" PRIu64, src->iv[k].last);
        }
    }
}

static struct gtid who_is(const struct gtid_source *src)
{
    struct gtid g = { .flavor = GTID_MYSQL, .tag_len = src->tag_len };
    memcpy(g.uuid, src->uuid, sizeof g.uuid);
    memcpy(g.tag, src->tag, src->tag_len);
    return g;
}

static bool same_flavor(const struct gtid_set *a, const struct gtid_set *b, struct err *err)
{
    if (a->flavor == b->flavor)
        return true;
    return err_set(err, ERR_CORRUPT, "GTID sets of MySQL and of MariaDB cannot be combined");
}

bool gtid_set_union(struct gtid_set *s, const struct gtid_set *other, struct err *err)
{
    if (!same_flavor(s, other, err))
        return false;
    for (size_t i = 0; i < other->ndomains; i++)
        if (!set_domain(s, other->domains[i], true, err))
            return false;
    for (size_t i = 0; i < other->nsources; i++) {
        struct gtid who = who_is(&other->sources[i]);
        for (size_t k = 0; k < other->sources[i].n; k++)
            if (!gtid_set_add_interval(s, &who, other->sources[i].iv[k].first, other->sources[i].iv[k].last, err))
                return false;
    }
    return true;
}

bool gtid_set_empty(const struct gtid_set *s)
{
    return s->nsources == 0 && s->ndomains == 0;
}

static bool same_source(const struct gtid_source *a, const struct gtid_source *b)
{
    return a->tag_len == b->tag_len && memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0 &&
           (a->tag_len == 0 || memcmp(a->tag, b->tag, a->tag_len) == 0);
}

/* All of first..last is in src. */
static bool covers(const struct gtid_source *src, uint64_t first, uint64_t last)
{
    if (src->n != 0 && first >= src->iv[src->n - 1].first) /* most often what is new is asked for */
        return last <= src->iv[src->n - 1].last;
    size_t at = find_interval(src, first);
    return at < src->n && src->iv[at].first <= first && src->iv[at].last >= last;
}

bool gtid_set_contains(const struct gtid_set *s, const struct gtid *g)
{
    bool found;
    if (g->flavor != s->flavor)
        return false;
    if (g->flavor == GTID_MARIADB) {
        size_t at = find_domain(s, g->domain, &found);
        return found && s->domains[at].seq >= g->no;
    }
    size_t at = find_source(s, g, &found);
    return found && covers(&s->sources[at], g->no, g->no);
}

bool gtid_set_subset(const struct gtid_set *a, const struct gtid_set *b)
{
    bool found;
    if (gtid_set_empty(a))
        return true;
    if (a->flavor != b->flavor)
        return false;
    for (size_t i = 0; i < a->ndomains; i++) {
        size_t at = find_domain(b, a->domains[i].domain, &found);
        if (!found || b->domains[at].seq < a->domains[i].seq)
            return false;
    }
    for (size_t i = 0; i < a->nsources; i++) {
        size_t at = i; /* where it is when both have the same sources */
        if (at >= b->nsources || !same_source(&a->sources[i], &b->sources[at])) {
            struct gtid who = who_is(&a->sources[i]);
            at = find_source(b, &who, &found);
            if (!found)
                return false;
        }
        for (size_t k = a->sources[i].n; k-- > 0;) /* what comes last is missing for the longest time */
            if (!covers(&b->sources[at], a->sources[i].iv[k].first, a->sources[i].iv[k].last))
                return false;
    }
    return true;
}

/* Adds iv minus what `less` (NULL: nothing) has. */
static bool add_rest(struct gtid_set *s, const struct gtid *who, struct gtid_interval iv,
                     const struct gtid_source *less, struct err *err)
{
    uint64_t first = iv.first;
    for (size_t at = less == NULL ? 0 : find_interval(less, first); less != NULL && at < less->n; at++) {
        if (less->iv[at].first > iv.last)
            break;
        if (less->iv[at].first > first && !gtid_set_add_interval(s, who, first, less->iv[at].first - 1, err))
            return false;
        first = less->iv[at].last + 1;
        if (first > iv.last)
            return true;
    }
    return gtid_set_add_interval(s, who, first, iv.last, err);
}

bool gtid_set_subtract(const struct gtid_set *a, const struct gtid_set *b, struct gtid_set **out, struct err *err)
{
    bool found;
    if (!same_flavor(a, b, err))
        return false;
    struct gtid_set *s = gtid_set_new(a->flavor);
    if (s == NULL)
        return err_nomem(err);
    for (size_t i = 0; i < a->ndomains; i++) {
        size_t at = find_domain(b, a->domains[i].domain, &found);
        if (found && b->domains[at].seq >= a->domains[i].seq)
            continue;
        if (!set_domain(s, a->domains[i], false, err))
            goto fail;
    }
    for (size_t i = 0; i < a->nsources; i++) {
        struct gtid who = who_is(&a->sources[i]);
        size_t at = find_source(b, &who, &found);
        for (size_t k = 0; k < a->sources[i].n; k++)
            if (!add_rest(s, &who, a->sources[i].iv[k], found ? &b->sources[at] : NULL, err))
                goto fail;
    }
    *out = s;
    return true;
fail:
    gtid_set_free(s);
    return false;
}

bool gtid_set_eq(const struct gtid_set *a, const struct gtid_set *b)
{
    if (a->flavor != b->flavor || a->nsources != b->nsources || a->ndomains != b->ndomains)
        return false;
    for (size_t i = 0; i < a->ndomains; i++)
        if (a->domains[i].domain != b->domains[i].domain || a->domains[i].server != b->domains[i].server ||
            a->domains[i].seq != b->domains[i].seq)
            return false;
    return gtid_set_subset(a, b) && gtid_set_subset(b, a);
}

uint64_t gtid_set_count(const struct gtid_set *s)
{
    uint64_t count = s->ndomains;
    for (size_t i = 0; i < s->nsources; i++)
        for (size_t k = 0; k < s->sources[i].n; k++) {
            uint64_t more = s->sources[i].iv[k].last - s->sources[i].iv[k].first + 1;
            count = more > UINT64_MAX - count ? UINT64_MAX : count + more;
        }
    return count;
}

bool gtid_set_has_tags(const struct gtid_set *s)
{
    for (size_t i = 0; i < s->nsources; i++)
        if (s->sources[i].tag_len != 0)
            return true;
    return false;
}
