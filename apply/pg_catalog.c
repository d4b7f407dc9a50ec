/* pg_catalog.c - see pg_catalog.h. System catalogs: PostgreSQL manual, "System Catalogs". */
#include "pg_catalog.h"

#include "pg_link.h"
#include "pg_sql.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

/* A domain is followed down to its base type, whose modifier is the one that counts then. */
static const char columns_sql[] =
    "WITH RECURSIVE c AS (SELECT a.attnum, a.attname, a.attnotnull, a.attgenerated, a.attidentity, a.atthasdef, "
    "a.atttypid, "
    "a.atttypmod, format_type(a.atttypid, a.atttypmod) AS txt FROM pg_attribute a WHERE a.attrelid = $1::oid AND "
    "a.attnum > 0 "
    "AND NOT a.attisdropped), b(attnum, typ, mod) AS (SELECT attnum, atttypid, atttypmod FROM c UNION ALL SELECT "
    "b.attnum, "
    "t.typbasetype, t.typtypmod FROM b JOIN pg_type t ON t.oid = b.typ WHERE t.typtype = 'd') "
    "SELECT c.attname, c.attnum, t.oid, b.mod, quote_ident(n.nspname) || '.' || quote_ident(t.typname), c.txt, "
    "t.typtype, "
    "t.typcategory, c.attnotnull, c.attgenerated, c.atthasdef OR c.attidentity <> '', "
    "CASE WHEN n.nspname = 'pg_catalog' THEN NOT (t.typname = "
    "ANY('{json,xml,point,lseg,path,box,polygon,line,circle}'::name[])) "
    "ELSE t.typtype = 'e' OR EXISTS (SELECT 1 FROM pg_operator o WHERE o.oprname = '=' AND o.oprleft = t.oid AND "
    "o.oprright = t.oid) END FROM c JOIN b ON b.attnum = c.attnum JOIN pg_type t ON t.oid = b.typ AND t.typtype <> 'd' "
    "JOIN pg_namespace n ON n.oid = t.typnamespace ORDER BY c.attnum";
/* Odd: what equality of the columns' values does not tell. indnullsnotdistinct is there from 15 on. */
static const char indexes_sql[] =
    "SELECT i.indisprimary, i.indisexclusion OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR "
    "coalesce((to_jsonb(i)->>'indnullsnotdistinct')::bool, false) OR EXISTS (SELECT 1 FROM pg_collation c WHERE "
    "c.oid = ANY(i.indcollation::oid[]) AND NOT c.collisdeterministic), "
    "array_to_string((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1], ' ') FROM pg_index i WHERE i.indrelid = "
    "$1::oid AND "
    "(i.indisunique OR i.indisexclusion) AND i.indislive ORDER BY i.indisprimary DESC, i.indexrelid";
static const char fires_sql[] =
    "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal AND tgenabled IN ('O', "
    "'A')), "
    "EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f' AND (conrelid = $1::oid OR confrelid = $1::oid)), "
    "EXISTS (SELECT 1 FROM pg_rewrite WHERE ev_class = $1::oid AND ev_type <> '1'), "
    "EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = $1::oid OR inhparent = $1::oid), "
    "(SELECT relrowsecurity FROM pg_class WHERE oid = $1::oid), "
    "EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::oid AND NOT (confdeltype IN ('a', "
    "'r') "
    "AND confupdtype IN ('a', 'r')))";
static const char references_sql[] = "SELECT confrelid, array_to_string(conkey, ' '), array_to_string(confkey, ' ') "
                                     "FROM pg_constraint WHERE contype = 'f' "
                                     "AND conrelid = $1::oid ORDER BY oid";

void pg_table_free(struct pg_table *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->ncols; i++) {
        free(t->cols[i].name);
        free(t->cols[i].cast);
        free(t->cols[i].text);
    }
    free(t->cols);
    free(t->uniques);
    free(t->references);
    free(t->schema);
    free(t->name);
    free(t);
}

int pg_table_column(const struct pg_table *t, struct bytes name)
{
    for (unsigned i = 0; i < t->ncols; i++)
        if (bytes_eq_str(name, t->cols[i].name))
            return (int)i;
    return -1;
}

static bool yes(const PGresult *r, int row, int col)
{
    return PQgetvalue(r, row, col)[0] == 't';
}

static bool read_columns(struct pg_link *l, const char *oid, struct pg_table *t, struct err *err)
{
    PGresult *r;
    if (!pg_link_query(l, columns_sql, &oid, 1, &r, err))
        return false;
    int n = PQntuples(r);
    t->cols = calloc(n == 0 ? 1 : (size_t)n, sizeof *t->cols);
    bool ok = t->cols != NULL;
    for (int i = 0; ok && i < n; i++) {
        struct pg_column *c = &t->cols[i];
        t->ncols++;
        c->name = strdup(PQgetvalue(r, i, 0));
        c->attnum = (int)strtol(PQgetvalue(r, i, 1), NULL, 10);
        c->type = (uint32_t)strtoul(PQgetvalue(r, i, 2), NULL, 10);
        c->typmod = (int32_t)strtol(PQgetvalue(r, i, 3), NULL, 10);
        c->cast = strdup(PQgetvalue(r, i, 4));
        c->text = strdup(PQgetvalue(r, i, 5));
        c->is_enum = PQgetvalue(r, i, 6)[0] == 'e';
        c->is_array = PQgetvalue(r, i, 7)[0] == 'A';
        c->not_null = yes(r, i, 8);
        c->generated = PQgetvalue(r, i, 9)[0] != '\0';
        c->has_default = yes(r, i, 10);
        c->comparable = yes(r, i, 11);
        ok = c->name != NULL && c->cast != NULL && c->text != NULL;
    }
    PQclear(r);
    return ok || err_nomem(err);
}

/* The columns of one index into the table: its first plain unique one becomes the key. */
static void note_index(struct pg_table *t, bool odd, const char *attnums)
{
    bool first = !odd && t->nunique++ == 0;
    t->odd_unique |= odd;
    for (const char *p = attnums; *p != '\0';) {
        char *end;
        long attnum = strtol(p, &end, 10);
        for (unsigned i = 0; i < t->ncols; i++) {
            if (t->cols[i].attnum != attnum)
                continue;
            if (first && t->nkey < sizeof t->key / sizeof *t->key)
                t->key[t->nkey++] = (uint16_t)i;
            t->cols[i].guarded |= !first;
        }
        p = end == p ? p + 1 : end;
    }
}

static int column_of(const struct pg_table *t, long attnum)
{
    for (unsigned i = 0; i < t->ncols; i++)
        if (t->cols[i].attnum == attnum)
            return (int)i;
    return -1;
}

/* Adds a key to *list. own: attnums here; theirs: what they are called at `table`. */
static bool add_unique(const struct pg_table *t, struct pg_unique **list, unsigned *count, uint32_t table,
                       const char *own, const char *theirs, struct err *err)
{
    struct pg_unique *u = realloc(*list, (*count + 1) * sizeof *u);
    if (u == NULL)
        return err_nomem(err);
    *list = u;
    u += *count;
    *u = (struct pg_unique){ .table = table };
    char *p, *q;
    for (;; own = p, theirs = q) {
        long a = strtol(own, &p, 10), b = strtol(theirs, &q, 10);
        if (p == own || q == theirs || u->n == sizeof u->col / sizeof *u->col)
            break;
        int c = column_of(t, a);
        unsigned at = u->n++;
        for (; at > 0 && u->attnum[at - 1] > b; at--) {
            u->attnum[at] = u->attnum[at - 1];
            u->col[at] = u->col[at - 1];
        }
        u->attnum[at] = (int16_t)b;
        u->col[at] = (uint16_t)c; /* both are columns: the catalog says so */
    }
    ++*count;
    return true;
}

static bool read_references(struct pg_link *l, const char *oid, struct pg_table *t, struct err *err)
{
    PGresult *r;
    if (!pg_link_query(l, references_sql, &oid, 1, &r, err))
        return false;
    bool ok = true;
    for (int i = 0; ok && i < PQntuples(r); i++)
        ok = add_unique(t, &t->references, &t->nreferences, (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10),
                        PQgetvalue(r, i, 1), PQgetvalue(r, i, 2), err);
    PQclear(r);
    return ok;
}

static bool read_rules(struct pg_link *l, const char *oid, struct pg_table *t, struct err *err)
{
    PGresult *r;
    if (!pg_link_query(l, indexes_sql, &oid, 1, &r, err))
        return false;
    bool ok = true;
    for (int i = 0; ok && i < PQntuples(r); i++) {
        const char *attnums = PQgetvalue(r, i, 2);
        note_index(t, yes(r, i, 1), attnums);
        ok = yes(r, i, 1) || add_unique(t, &t->uniques, &t->nuniques, t->oid, attnums, attnums, err);
    }
    PQclear(r);
    if (!ok || !pg_link_query(l, fires_sql, &oid, 1, &r, err))
        return false;
    t->triggers = yes(r, 0, 0);
    t->foreign_keys = yes(r, 0, 1);
    t->rules = yes(r, 0, 2);
    t->family = yes(r, 0, 3);
    t->row_security = yes(r, 0, 4);
    t->cascades = yes(r, 0, 5);
    PQclear(r);
    return !t->foreign_keys || read_references(l, oid, t, err);
}

bool pg_catalog_table(struct pg_link *l, const char *schema, const char *name, struct pg_table **out, struct err *err)
{
    const char *params[] = { schema[0] == '\0' ? "public" : schema, name };
    PGresult *r;
    if (!pg_link_query(l,
                       "SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
                       "n.nspname = $1 "
                       "AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'f')",
                       params, 2, &r, err))
        return false;
    if (PQntuples(r) == 0) {
        PQclear(r);
        *out = NULL;
        return true;
    }
    char oid[16];
    snprintf(oid, sizeof oid, "%s", PQgetvalue(r, 0, 0));
    char kind = PQgetvalue(r, 0, 1)[0];
    PQclear(r);
    struct pg_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_nomem(err);
    t->oid = (uint32_t)strtoul(oid, NULL, 10);
    t->kind = kind;
    t->schema = strdup(params[0]);
    t->name = strdup(name);
    bool ok = (t->schema != NULL && t->name != NULL) || err_nomem(err);
    if (!ok || !read_columns(l, oid, t, err) || !read_rules(l, oid, t, err)) {
        pg_table_free(t);
        return false;
    }
    *out = t;
    return true;
}

bool pg_catalog_type(struct pg_link *l, const char *name, struct buf *out, struct err *err)
{
    PGresult *r;
    if (!pg_link_query(
            l,
            "SELECT quote_ident(n.nspname) || '.' || quote_ident(t.typname) FROM pg_type t JOIN pg_namespace n ON "
            "n.oid = t.typnamespace WHERE t.typname = $1 AND t.typtype = 'b' AND n.nspname <> 'pg_catalog' LIMIT 1",
            &name, 1, &r, err))
        return false;
    if (PQntuples(r) > 0)
        buf_str(out, PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

/* CREATE SCHEMA IF NOT EXISTS wants the privilege even when the schema is there. */
bool pg_catalog_schema(struct pg_link *l, const char *name, struct err *err)
{
    const char *param = name[0] == '\0' ? "public" : name;
    PGresult *r;
    if (!pg_link_query(l, "SELECT 1 FROM pg_namespace WHERE nspname = $1", &param, 1, &r, err))
        return false;
    bool there = PQntuples(r) != 0;
    PQclear(r);
    if (there)
        return true;
    struct buf sql = { 0 };
    buf_str(&sql, "CREATE SCHEMA IF NOT EXISTS ");
    pg_ident(&sql, bytes_str(param));
    bool ok = pg_link_exec(l, buf_cstr(&sql), err);
    buf_free(&sql);
    return ok;
}
