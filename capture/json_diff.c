/* json_diff.c - see json_diff.h.
 *
 * Nothing is unpacked but the containers that a path leads into. Such a container becomes a list of pieces: ranges of
 * the members that it had, and single members that were put in or are opened themselves. */
#include "json_diff.h"

#include "charset.h"
#include "json_walk.h"
#include "wire.h"

enum operation { REPLACE = 0, INSERT = 1, REMOVE = 2 };

struct node { /* a value that a difference brought, or a container that a path led into */
    struct json_value value;
    struct json_container c;
    struct piece *pieces; /* once open */
    size_t npieces, cap;
    bool open;
};
struct piece {
    struct node *one; /* NULL: members from .. to - 1 of the container as it was */
    struct bytes key; /* of one, in an object */
    size_t from, to;
};
struct place {
    size_t piece, member; /* member: where inside of a range */
    bool found;           /* else: where it would belong */
};
struct leg {
    bool member; /* of an object, by key */
    struct bytes key;
    bool from_end; /* [last-N] */
    uint64_t index;
};
struct doc {
    struct json j;
    struct arena *a;
    struct err *err;
    bool no_memory; /* err is set */
};

static bool bad(struct doc *d, const char *why)
{
    return json_bad(&d->j, why);
}

static void *alloc(struct doc *d, size_t n)
{
    void *p = arena_zalloc(d->a, n, d->err);
    d->no_memory = d->no_memory || p == NULL;
    return p;
}

/* ---- paths, as the server writes them: $ .name ."quoted" [7] [last] [last-7] */

/* A quoted name's text; its closing quote is behind c. Escapes are those that the server writes. */
static bool read_quoted(struct doc *d, struct cur *c, struct bytes *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint8_t *text = alloc(d, cur_left(c));
    size_t n = 0;
    if (text == NULL)
        return false;
    for (;;) {
        uint8_t b = cur_u8(c);
        if (c->why != NULL || b < 0x20)
            return bad(d, "a path's name in quotes does not end");
        if (b == '"')
            break;
        if (b == '\\') {
            uint8_t e = cur_u8(c);
            const char *hit = e == 0 ? NULL : strchr(from, e);
            if (e == 'u') { /* control characters only */
                struct bytes hex = cur_take(c, 4);
                if (hex.n != 4 || memcmp(hex.p, "00", 2) != 0 || (hex.p[2] != '0' && hex.p[2] != '1'))
                    return bad(d, "a path's name has an escape that is not known");
                uint8_t low = hex.p[3];
                if (!((low >= '0' && low <= '9') || (low >= 'a' && low <= 'f') || (low >= 'A' && low <= 'F')))
                    return bad(d, "a path's name has an escape that is not known");
                b = (uint8_t)((hex.p[2] - '0') << 4 | (low <= '9' ? low - '0' : (low | 0x20) - 'a' + 10));
            } else if (hit == NULL) {
                return bad(d, "a path's name has an escape that is not known");
            } else {
                b = (uint8_t)to[hit - from];
            }
        }
        text[n++] = b;
    }
    *out = (struct bytes){ text, n };
    return true;
}

static bool is_word(uint8_t b) /* of a name without quotes: letters of all alphabets, digits, $ and _ */
{
    return b >= 0x80 || b == '$' || b == '_' || (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') ||
           (b >= 'A' && b <= 'Z');
}

static bool read_name(struct doc *d, struct cur *c, struct bytes *out)
{
    if (cur_left(c) != 0 && *c->p == '"') {
        (void)cur_u8(c);
        if (!read_quoted(d, c, out))
            return false;
    } else {
        out->p = c->p;
        while (cur_left(c) != 0 && is_word(*c->p))
            c->p++;
        out->n = (size_t)(c->p - out->p);
        if (out->n == 0)
            return bad(d, "a path has an empty name");
    }
    return charset_utf8_valid(*out) == out->n || bad(d, "a path is not UTF-8");
}

static bool read_number(struct doc *d, struct cur *c, uint64_t *out)
{
    const uint8_t *first = c->p;
    *out = 0;
    while (cur_left(c) != 0 && *c->p >= '0' && *c->p <= '9' && *out <= UINT32_MAX)
        *out = *out * 10 + (cur_u8(c) - '0');
    return (c->p != first && *out <= UINT32_MAX) || bad(d, "a path has no proper array index");
}

static bool read_cell(struct doc *d, struct cur *c, struct leg *leg)
{
    leg->from_end = cur_left(c) >= 4 && memcmp(c->p, "last", 4) == 0;
    if (leg->from_end)
        (void)cur_take(c, 4);
    bool number = !leg->from_end || (cur_left(c) != 0 && *c->p == '-');
    if (leg->from_end && number)
        (void)cur_u8(c);
    if (number && !read_number(d, c, &leg->index))
        return false;
    return cur_u8(c) == ']' || bad(d, "a path has no proper array index");
}

static bool read_leg(struct doc *d, struct cur *c, struct leg *leg)
{
    *leg = (struct leg){ 0 };
    uint8_t b = cur_u8(c);
    leg->member = b == '.';
    if (leg->member)
        return read_name(d, c, &leg->key);
    return b == '[' ? read_cell(d, c, leg) : bad(d, "a path is neither .name nor [index]");
}

/* ---- containers in pieces */

static bool open_node(struct doc *d, struct node *n)
{
    if (n->open)
        return true;
    if (!json_is_container(&n->value))
        return bad(d, "a path leads through a value that has no members");
    if (!json_open(&d->j, &n->value, &n->c))
        return false;
    if (n->c.count != 0) {
        n->pieces = alloc(d, sizeof *n->pieces);
        if (n->pieces == NULL)
            return false;
        n->pieces[0].to = n->c.count;
        n->npieces = n->cap = 1;
    }
    n->open = true;
    return true;
}

static size_t members_of(const struct piece *p)
{
    return p->one != NULL ? 1 : p->to - p->from;
}

static void find_cell(const struct node *n, const struct leg *leg, struct place *at)
{
    uint64_t index = leg->index, count = 0;
    *at = (struct place){ 0 };
    if (leg->from_end) {
        for (size_t i = 0; i < n->npieces; i++)
            count += members_of(&n->pieces[i]);
        if (index >= count) { /* in front of all */
            at->member = n->npieces != 0 ? n->pieces[0].from : 0;
            return;
        }
        index = count - 1 - index;
    }
    for (; at->piece < n->npieces; at->piece++) {
        const struct piece *p = &n->pieces[at->piece];
        if (index < members_of(p)) {
            at->member = p->from + (size_t)index;
            at->found = true;
            return;
        }
        index -= members_of(p);
    }
}

static int compare_keys(struct bytes a, struct bytes b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n == 0 ? 0 : memcmp(a.p, b.p, a.n);
}

/* The first member of a range whose key is not less; the range's end when there is none. */
static bool find_in_range(struct doc *d, const struct node *n, const struct piece *p, struct bytes key,
                          struct place *at)
{
    size_t lo = p->from, hi = p->to;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct bytes k;
        if (!json_key(&d->j, &n->c, mid, &k))
            return false;
        int order = compare_keys(k, key);
        at->found = order == 0;
        if (order == 0)
            lo = hi = mid;
        else if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    at->member = lo;
    return true;
}

static bool find_key(struct doc *d, const struct node *n, struct bytes key, struct place *at)
{
    *at = (struct place){ 0 };
    for (; at->piece < n->npieces; at->piece++) {
        const struct piece *p = &n->pieces[at->piece];
        if (p->one != NULL) {
            int order = compare_keys(p->key, key);
            at->found = order == 0;
            if (order >= 0)
                return true;
        } else {
            if (!find_in_range(d, n, p, key, at))
                return false;
            if (at->member < p->to)
                return true;
        }
    }
    return true;
}

static bool find(struct doc *d, struct node *n, const struct leg *leg, struct place *at)
{
    if (!open_node(d, n))
        return false;
    if (n->c.object != leg->member)
        return bad(d, leg->member ? "a path names a member of an array" : "a path names a cell of an object");
    if (leg->member)
        return find_key(d, n, leg->key, at);
    find_cell(n, leg, at);
    return true;
}

/* At the place: takes the member out that is there (take), and puts one in. */
static bool splice(struct doc *d, struct node *n, const struct place *at, bool take, const struct piece *put)
{
    struct piece now[3];
    size_t k = 0, was = at->piece < n->npieces ? 1 : 0;
    const struct piece *old = was != 0 ? &n->pieces[at->piece] : NULL;
    bool range = old != NULL && old->one == NULL;
    if (range && at->member > old->from)
        now[k++] = (struct piece){ .from = old->from, .to = at->member };
    if (put != NULL)
        now[k++] = *put;
    if (range && at->member + take < old->to)
        now[k++] = (struct piece){ .from = at->member + take, .to = old->to };
    else if (old != NULL && !range && !take)
        now[k++] = *old;
    if (n->npieces - was + k > n->cap) {
        size_t cap = n->cap * 2 + 4;
        struct piece *p = alloc(d, cap * sizeof *p);
        if (p == NULL)
            return false;
        if (n->npieces != 0)
            memcpy(p, n->pieces, n->npieces * sizeof *p);
        n->pieces = p;
        n->cap = cap;
    }
    if (n->pieces != NULL) {
        memmove(n->pieces + at->piece + k, n->pieces + at->piece + was,
                (n->npieces - at->piece - was) * sizeof *n->pieces);
        memcpy(n->pieces + at->piece, now, k * sizeof *now);
    }
    n->npieces += k - was;
    return true;
}

static struct node *new_node(struct doc *d, struct json_value v)
{
    struct node *n = alloc(d, sizeof *n);
    if (n != NULL)
        n->value = v;
    return n;
}

/* Into the member that was found: from now on a piece of its own. */
static struct node *descend(struct doc *d, struct node *n, const struct place *at)
{
    struct piece *p = &n->pieces[at->piece];
    if (p->one != NULL)
        return p->one;
    struct json_value v;
    struct piece own = { 0 };
    if (!json_member(&d->j, &n->c, at->member, &v) || (n->c.object && !json_key(&d->j, &n->c, at->member, &own.key)))
        return NULL;
    own.one = new_node(d, v);
    return own.one != NULL && splice(d, n, at, true, &own) ? own.one : NULL;
}

/* ---- differences */

static bool change(struct doc *d, struct node *n, const struct leg *leg, const struct place *at, enum operation op,
                   struct json_value v)
{
    if (op == INSERT ? at->found && leg->member : !at->found)
        return bad(d, op == INSERT ? "a member to insert is there already" : "what it changes is not there");
    if (op == REMOVE)
        return splice(d, n, at, true, NULL);
    struct piece put = { .one = new_node(d, v), .key = leg->key };
    return put.one != NULL && splice(d, n, at, op == REPLACE, &put);
}

static bool apply(struct doc *d, struct node *root, enum operation op, struct bytes path, struct json_value v)
{
    struct cur c = cur_over(path);
    struct node *n = root;
    struct leg leg;
    struct place at = { 0 };
    if (cur_u8(&c) != '$' || cur_left(&c) == 0)
        return bad(d, "a path does not lead into the document");
    while (read_leg(d, &c, &leg) && find(d, n, &leg, &at)) {
        if (cur_left(&c) == 0)
            return change(d, n, &leg, &at, op, v);
        if (!at.found)
            return bad(d, "a path leads nowhere");
        n = descend(d, n, &at);
        if (n == NULL)
            return false;
    }
    return false;
}

static bool apply_next(struct doc *d, struct node *root, struct cur *c)
{
    uint8_t op = cur_u8(c);
    if (op > REMOVE)
        return bad(d, "an operation that is not known");
    struct bytes path = wire_lenenc_str(c);
    struct bytes value = { NULL, 0 };
    if (op != REMOVE)
        value = wire_lenenc_str(c);
    if (c->why != NULL)
        return bad(d, c->why);
    d->j.budget += value.n;
    return apply(d, root, (enum operation)op, path, json_root(value));
}

/* ---- the document after them */

static bool put_node(struct doc *d, const struct node *n, unsigned depth)
{
    bool first = true;
    if (!n->open)
        return json_put(&d->j, &n->value, depth);
    if (!json_put_head(&d->j, &n->c, depth))
        return false;
    for (size_t i = 0; i < n->npieces; i++) {
        const struct piece *p = &n->pieces[i];
        if (p->one == NULL) {
            if (!json_put_members(&d->j, &n->c, p->from, p->to, &first, depth + 1))
                return false;
            continue;
        }
        if (!first)
            buf_str(d->j.out, ", ");
        first = false;
        if ((n->c.object && !json_put_key(&d->j, p->key)) || !put_node(d, p->one, depth + 1))
            return false;
    }
    buf_u8(d->j.out, n->c.object ? '}' : ']');
    return true;
}

bool json_diff_text(struct bytes before, struct bytes diffs, struct arena *a, struct buf *out, struct err *err)
{
    struct doc d = { .j = { .budget = before.n, .out = out }, .a = a, .err = err };
    struct node root = { .value = json_root(before) };
    struct cur c = cur_over(diffs);
    size_t at = out->n;
    unsigned number = 0;
    bool ok = true;
    while (ok && cur_left(&c) != 0) {
        number++;
        ok = apply_next(&d, &root, &c);
    }
    if (ok) {
        number = 0;
        ok = put_node(&d, &root, 0);
    }
    if (ok)
        return buf_ok(out, err);
    out->n = at;
    if (d.no_memory)
        return false;
    if (number == 0)
        return err_set(err, ERR_CORRUPT, "JSON document of %zu bytes: %s", before.n, d.j.why);
    return err_set(err, ERR_CORRUPT, "JSON document of %zu bytes, difference %u: %s", before.n, number, d.j.why);
}
