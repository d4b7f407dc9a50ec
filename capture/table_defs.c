/* table_defs.c - what TABLE_MAP said, by table id while a statement runs, and by definition for as long as it is of
 * use.
 * A TABLE_MAP comes with every statement, and nearly always says what it said before: its bytes are compared with
 * those of earlier ones before anything is decoded. Ids are dealt out anew after every change and restart, so that
 * they are only a hint where to look. */
#include "row_event.h"

#include "table_map.h"

#include <endian.h>
#include <stdlib.h>

enum {
    LINE = 64, /* of a processor's cache */
    BUCKETS = 16384,
    HINTS = 16384,      /* by table id: an entry is in one of them at most, that of its present id */
    PER_TABLE = 4,      /* definitions of one table: a rename swap or an ALTER going back finds its old one */
    ACTIVE_MAX = 65536, /* tables in one statement */
    CACHE_BYTES = 256 * 1024 * 1024 /* then all that no statement is using goes */
};

struct entry { /* in one piece of memory with what it points to: one of thousands is far away whenever it is needed */
    struct table_def def; /* first: callers hold pointers to it */
    struct frame_place place;
    struct bytes definition; /* schema and table point into it */
    bool mariadb;
    bool active;
    bool asked; /* the definition is the schema history's: void after the next DDL */
    size_t cost;
    struct entry *next; /* in the bucket, newest first */
};
struct table_defs {
    struct entry *buckets[BUCKETS]; /* by schema and table */
    struct entry *hints[HINTS];
    struct entry **active;
    size_t nactive, cap_active;
    size_t bytes;
    const struct schema_source *from;
    uint64_t *replaced;
};

void table_defs_ask(struct table_defs *t, const struct schema_source *from)
{
    t->from = from;
}

void table_defs_replace_invalid(struct table_defs *t, uint64_t *count)
{
    t->replaced = count;
}

struct table_defs *table_defs_new(void)
{
    return calloc(1, sizeof(struct table_defs));
}

static void unhint(struct table_defs *t, const struct entry *e)
{
    struct entry **hint = &t->hints[e->def.table_id % HINTS];
    if (*hint == e)
        *hint = NULL;
}

static void entry_free(struct table_defs *t, struct entry *e)
{
    unhint(t, e);
    t->bytes -= e->cost;
    relation_unref(e->def.rel);
    free(e);
}

void table_defs_free(struct table_defs *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (t->buckets[i] != NULL) {
            struct entry *e = t->buckets[i];
            t->buckets[i] = e->next;
            entry_free(t, e);
        }
    }
    free(t->active);
    free(t);
}

static size_t bucket_of(struct bytes schema, struct bytes table) /* FNV-1a */
{
    uint64_t h = 14695981039346656037U;
    for (size_t i = 0; i < schema.n; i++)
        h = (h ^ schema.p[i]) * 1099511628211U;
    h *= 1099511628211U;
    for (size_t i = 0; i < table.n; i++)
        h = (h ^ table.p[i]) * 1099511628211U;
    return (size_t)(h ^ h >> 32) % BUCKETS;
}

static bool same_table(const struct entry *e, const struct table_map_names *n)
{
    return bytes_eq(e->def.table, n->table) && bytes_eq(e->def.schema, n->schema);
}

/* Of an uncaptured table only the names were looked at. */
static bool same(const struct entry *e, const struct table_map_names *n, bool captured, bool mariadb)
{
    if (e->def.captured != captured)
        return false;
    return captured ? e->mariadb == mariadb && bytes_eq(e->definition, n->definition) : same_table(e, n);
}

static struct entry *find(struct table_defs *t, const struct table_map_names *n, bool captured, bool mariadb)
{
    struct entry *e = t->hints[n->table_id % HINTS];
    if (e != NULL && same(e, n, captured, mariadb))
        return e;
    struct entry **link = &t->buckets[bucket_of(n->schema, n->table)];
    struct entry **first = link;
    for (; *link != NULL; link = &(*link)->next) {
        e = *link;
        if (same(e, n, captured, mariadb)) {
            *link = e->next;
            e->next = *first;
            *first = e;
            return e;
        }
    }
    return NULL;
}

/* The oldest definitions of this table beyond PER_TABLE, unless a statement is using them. */
static void trim_table(struct table_defs *t, const struct table_map_names *n)
{
    unsigned seen = 0;
    for (struct entry **link = &t->buckets[bucket_of(n->schema, n->table)]; *link != NULL;) {
        struct entry *e = *link;
        if (same_table(e, n) && ++seen > PER_TABLE && !e->active) {
            *link = e->next;
            entry_free(t, e);
        } else {
            link = &e->next;
        }
    }
}

static void trim_all(struct table_defs *t, bool asked_only)
{
    memset(t->hints, 0, sizeof t->hints);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry **link = &t->buckets[i]; *link != NULL;) {
            struct entry *e = *link;
            if (!e->active && (e->asked || !asked_only)) {
                *link = e->next;
                entry_free(t, e);
            } else {
                link = &e->next;
            }
        }
    }
}

void table_defs_forget_asked(struct table_defs *t)
{
    trim_all(t, true);
}

/* MariaDB (sql/sql_sequence.cc) gives every SEQUENCE these columns, and no key; nothing else on the wire tells. */
static bool is_sequence(const struct relation *rel)
{
    static const char *const names[] = { "next_not_cached_value", "minimum_value", "maximum_value",
                                         "start_value",           "increment",     "cache_size",
                                         "cycle_option",          "cycle_count" };
    enum { COLUMNS = sizeof names / sizeof *names };
    if (rel->ncols != COLUMNS || rel->nkey != 0)
        return false;
    for (unsigned i = 0; i < COLUMNS; i++)
        if (rel->cols[i].type != COL_INT || !bytes_eq_str(rel->cols[i].name, names[i]))
            return false;
    return true;
}

static void define_columns(const struct table_defs *t, struct table_def *def)
{
    for (unsigned i = 0; i < def->ncols; i++) {
        struct wire_column *w = &def->cols[i];
        w->tells_apart = def->rel->nkey == 0 || def->rel->cols[i].key_pos != 0;
        w->replaced = w->tells_apart ? NULL : t->replaced;
    }
}

static struct entry *add(struct table_defs *t, const struct table_map_names *n, bool captured, bool mariadb,
                         struct err *err)
{
    struct bytes keep = n->definition;
    struct relation *rel = NULL;
    struct wire_column *cols = NULL;
    bool asked = false;
    if (!captured) /* names only: up to the NUL behind the table's */
        keep.n = (size_t)(n->table.p + n->table.n + 1 - n->definition.p);
    else if (!table_map_define(n, mariadb, t->from, &asked, &cols, &rel, err))
        return NULL;
    unsigned ncols = captured ? rel->ncols : 0;
    size_t cols_bytes = ncols * sizeof *cols, bytes = sizeof(struct entry) + cols_bytes + keep.n;
    struct entry *e = aligned_alloc(LINE, (bytes + LINE - 1) / LINE * LINE);
    if (e == NULL) {
        free(cols);
        relation_unref(rel);
        err_nomem(err);
        return NULL;
    }
    memset(e, 0, sizeof *e);
    uint8_t *owned = (uint8_t *)(e + 1) + cols_bytes;
    memcpy(owned, keep.p, keep.n);
    e->definition = (struct bytes){ owned, keep.n };
    e->mariadb = mariadb;
    e->asked = asked;
    e->def = (struct table_def){ .schema = { owned + (n->schema.p - keep.p), n->schema.n },
                                 .table = { owned + (n->table.p - keep.p), n->table.n },
                                 .rel = rel,
                                 .ncols = ncols,
                                 .cols = captured ? (struct wire_column *)(e + 1) : NULL,
                                 .columns = captured ? rel->cols : NULL,
                                 .place = &e->place,
                                 .captured = captured,
                                 .sequence = captured && mariadb && is_sequence(rel) };
    if (captured)
        memcpy(e->def.cols, cols, cols_bytes);
    free(cols);
    define_columns(t, &e->def);
    e->cost = bytes + ncols * sizeof(struct column) + (captured ? sizeof(struct relation) + rel->canonical.n : 0);
    t->bytes += e->cost;
    struct entry **first = &t->buckets[bucket_of(n->schema, n->table)];
    e->next = *first;
    *first = e;
    return e;
}

static bool activate(struct table_defs *t, struct entry *e, uint64_t id, struct err *err)
{
    for (size_t i = 0; i < t->nactive; i++) {
        struct entry *other = t->active[i];
        if (other != e && other->def.table_id == id) { /* the id now means something else */
            other->active = false;
            t->active[i--] = t->active[--t->nactive];
        }
    }
    e->def.table_id = id;
    if (e->active)
        return true;
    if (t->nactive == ACTIVE_MAX)
        return err_set(err, ERR_CORRUPT, "TABLE_MAP: more than %d tables in one statement", ACTIVE_MAX);
    if (t->nactive == t->cap_active) {
        size_t cap = t->cap_active == 0 ? 16 : t->cap_active * 2;
        struct entry **p = realloc(t->active, cap * sizeof(struct entry *));
        if (p == NULL)
            return err_nomem(err);
        t->active = p;
        t->cap_active = cap;
    }
    t->active[t->nactive++] = e;
    e->active = true;
    return true;
}

/* The entry that this TABLE_MAP's id led to the last time, when the rest of it is what it was then, too: nothing of it is looked at. */
static struct entry *find_again(struct table_defs *t, const struct binlog_event *e, const struct binlog_format *fmt)
{
    enum { ID_BYTES = 6, DEFINITION_AT = 8 };
    if (e->body.n < DEFINITION_AT ||
        (fmt->known && fmt->nposts >= EV_TABLE_MAP && fmt->post_len[EV_TABLE_MAP - 1] != DEFINITION_AT))
        return NULL;
    uint64_t id;
    memcpy(&id, e->body.p, sizeof id);
    id = le64toh(id) & ((UINT64_C(1) << (8 * ID_BYTES)) - 1);
    struct entry *found = t->hints[id % HINTS];
    size_t n = e->body.n - DEFINITION_AT;
    if (found == NULL || found->def.table_id != id || found->mariadb != fmt->mariadb)
        return NULL;
    /* Of a table that is not captured the names alone are kept, which stand in front. */
    bool enough = found->def.captured ? n == found->definition.n : n >= found->definition.n;
    return enough && memcmp(e->body.p + DEFINITION_AT, found->definition.p, found->definition.n) == 0 ? found : NULL;
}

bool table_defs_map(struct table_defs *t, const struct binlog_event *e, const struct binlog_format *fmt,
                    bool (*captured)(void *ctx, struct bytes schema, struct bytes table), void *ctx,
                    const struct table_def **out, struct err *err)
{
    struct table_map_names n;
    struct entry *again = find_again(t, e, fmt);
    if (again != NULL && captured(ctx, again->def.schema, again->def.table) == again->def.captured) {
        *out = &again->def;
        return activate(t, again, again->def.table_id, err);
    }
    if (!table_map_names(e, fmt, &n, err))
        return false;
    bool take = captured(ctx, n.schema, n.table);
    struct entry *found = find(t, &n, take, fmt->mariadb);
    if (found == NULL) {
        if (t->bytes > CACHE_BYTES)
            trim_all(t, false);
        found = add(t, &n, take, fmt->mariadb, err);
        if (found == NULL)
            return false;
        trim_table(t, &n);
    }
    unhint(t, found);
    if (!activate(t, found, n.table_id, err))
        return false;
    t->hints[n.table_id % HINTS] = found;
    *out = &found->def;
    return true;
}

const struct table_def *table_defs_find(const struct table_defs *t, uint64_t table_id)
{
    const struct entry *hint = t->hints[table_id % HINTS];
    if (hint != NULL && hint->active && hint->def.table_id == table_id)
        return &hint->def;
    for (size_t i = 0; i < t->nactive; i++)
        if (t->active[i]->def.table_id == table_id)
            return &t->active[i]->def;
    return NULL;
}

void table_defs_end_statement(struct table_defs *t)
{
    for (size_t i = 0; i < t->nactive; i++)
        t->active[i]->active = false;
    t->nactive = 0;
}
