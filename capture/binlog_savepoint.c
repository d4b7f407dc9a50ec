/* binlog_savepoint.c - savepoints of a transaction, and what going back to one takes out of it. See binlog_stream.h.
 *
 * Both servers leave out themselves what ROLLBACK TO takes back, except that MariaDB, and MySQL without GTIDs, cannot when
 * the transaction also changed a non-transactional table or created a temporary one: then the rows and this statement are
 * in the binlog. What is still in the builder is taken out of it. What was handed on is not: then the transaction is read
 * to its end only to learn which of its rows events are taken back, forgotten, asked for once more, and those are left out
 * in the second reading. */
#include "binlog_stream_inside.h"

#include <stdlib.h>
#include <strings.h>

enum {
    SAVEPOINTS_MAX = 256,
    SPANS_MAX = 1 << 16 /* going back that often to different savepoints of one transaction: 1 MiB */
};

static struct frame_builder *changes_go_to(struct binlog_stream *s, struct frame_builder *b)
{
    return s->xa ? xa_store_builder(s->o.xa) : b;
}

/* The servers compare names without case, and without accents, which is not done here. */
static struct savepoint *find_savepoint(struct binlog_stream *s, struct bytes name)
{
    for (unsigned i = 0; i < s->nsavepoints; i++) {
        struct savepoint *p = &s->savepoints[i];
        if (strlen(p->name) == name.n && strncasecmp(p->name, (const char *)name.p, name.n) == 0)
            return p;
    }
    return NULL;
}

static bool is_ascii(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++) {
        if (b.p[i] >= 0x80 || b.p[i] == 0)
            return false;
    }
    return true;
}

/* Those that cannot be remembered make savepoints_unsure: going back to any then stops. */
bool savepoint_set(struct binlog_stream *s, struct bytes name, struct frame_builder *b, struct err *err)
{
    if (s->savepoints == NULL && (s->savepoints = calloc(SAVEPOINTS_MAX, sizeof *s->savepoints)) == NULL)
        return err_nomem(err);
    struct savepoint *p = find_savepoint(s, name);
    if (p == NULL && name.n <= SAVEPOINT_NAME_MAX && s->nsavepoints < SAVEPOINTS_MAX && is_ascii(name))
        p = &s->savepoints[s->nsavepoints++];
    if (p == NULL) {
        s->savepoints_unsure = true;
        return true;
    }
    memcpy(p->name, name.p, name.n);
    p->name[name.n] = '\0';
    p->begun = s->begun;
    p->changes = s->changes;
    p->rows_events = s->rows_events;
    p->next_lsn = frame_builder_next_lsn(changes_go_to(s, b));
    p->stats = s->stats;
    return true;
}

/* The rows events from this one to the present are taken back. Spans stay apart and in order: what this one covers or
 * touches becomes part of it. */
static bool note_span(struct binlog_stream *s, uint64_t from, struct err *err)
{
    struct spans *t = &s->taken_back;
    if (from == s->rows_events)
        return true;
    while (t->n > 0 && t->v[t->n - 1].end >= from) {
        t->n--;
        if (t->v[t->n].begin < from)
            from = t->v[t->n].begin;
    }
    if (t->n == t->cap) {
        size_t cap = t->cap == 0 ? 16 : t->cap * 2;
        struct span *v = cap > SPANS_MAX ? NULL : realloc(t->v, cap * sizeof *v);
        if (cap > SPANS_MAX)
            return err_set(err, ERR_UNSUPPORTED, "more than %d ROLLBACK TO take back row changes in one transaction",
                           SPANS_MAX);
        if (v == NULL)
            return err_nomem(err);
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = (struct span){ from, s->rows_events };
    return true;
}

enum stream_step savepoint_go_back(struct binlog_stream *s, struct bytes sql, struct bytes name,
                                   struct frame_builder *b, struct err *err)
{
    const struct savepoint *to = s->savepoints_unsure || !is_ascii(name) ? NULL : find_savepoint(s, name);
    struct frame_builder *from = changes_go_to(s, b);
    if (to != NULL && !note_span(s, to->rows_events, err))
        return stream_fail(s, err);
    if (s->changes == (to == NULL ? 0 : to->changes) || (to != NULL && s->only_looking))
        return STREAM_INSIDE;
    if (to == NULL) {
        err_set(err, ERR_UNSUPPORTED,
                "\"%.*s\" takes back row changes of captured tables in the middle of their transaction, back to a "
                "savepoint that is not known (more than %d of them, or a name that is long or not ASCII); start a new "
                "slot from a fresh copy of the tables",
                BYTES_FMT(sql), SAVEPOINTS_MAX);
        return stream_fail(s, err);
    }
    if (to->next_lsn < frame_builder_next_lsn(from) - frame_builder_records(from)) {
        s->only_looking = true;
        return STREAM_INSIDE;
    }
    if (!frame_builder_rewind(from, to->next_lsn, err))
        return stream_fail(s, err);
    s->changes = to->changes;
    s->begun = to->begun;
    txn_count_from(s, &to->stats);
    return STREAM_INSIDE;
}

/* Both ends of a span are statements, so each event lies within one or outside of all. */
bool savepoint_skips_rows(struct binlog_stream *s)
{
    const struct spans *k = &s->known_back;
    uint64_t this = s->rows_events++;
    if (s->only_looking)
        return true;
    while (s->next_span < k->n && k->v[s->next_span].end <= this)
        s->next_span++;
    return s->next_span < k->n && k->v[s->next_span].begin <= this;
}

bool savepoint_may_end(struct binlog_stream *s, enum stream_step *step, struct err *err)
{
    struct spans *t = &s->taken_back, *k = &s->known_back;
    if (k->n == 0 && !s->only_looking)
        return true;
    if (k->n != 0 && (s->only_looking || t->n != k->n || memcmp(t->v, k->v, t->n * sizeof *t->v) != 0)) {
        err_set(err, ERR_CORRUPT,
                "the source sent this transaction a second time with other statements in it than the first time; start "
                "capture again, or a new slot from a fresh copy of the tables");
        *step = stream_fail(s, err);
        return false;
    }
    if (!s->only_looking)
        return true;
    struct spans other = *k;
    *k = *t;
    *t = other;
    txn_forget(s);
    err_set(err, ERR_NET,
            "ROLLBACK TO takes back rows that were written already: the transaction is asked for once more");
    err->transient = true;
    *step = STREAM_AGAIN;
    return false;
}
