/* pattern.c - a publication's table list: parsed once, matched per relation. See pattern.h.
 *
 * A list that begins with an exclusion starts from "every table": "!shop.audit_*" alone means all but those. Blanks around an
 * entry do not count; a backslash takes the next character as it is (also ',' '.' '!' and blanks). The first dot that is not
 * escaped parts schema and table; further dots belong to the table. */
#include "pattern.h"

#include <stdlib.h>

struct entry {
    bool exclude;
    bool schema_glob;               /* the schema part has * or ?: does not take the servers' own schemas */
    bool schema_plain, table_plain; /* the part takes nothing but itself: no *, ? or backslash */
    bool any_table;                 /* the table part is * */
    struct bytes schema, table;
};
struct pattern {
    char *text; /* the entries are views into it */
    bool everything;
    size_t n;
    struct entry *entries;
};

static bool own_schema(struct bytes schema)
{
    return bytes_eq_str(schema, "mysql") || bytes_eq_str(schema, "information_schema") ||
           bytes_eq_str(schema, "performance_schema") || bytes_eq_str(schema, "sys");
}

static size_t char_len(const uint8_t *p, size_t n) /* of one UTF-8 character; 1 where it is none */
{
    size_t len = 1;
    if (p[0] >= 0xc2)
        while (len < n && len < 4 && (p[len] & 0xc0) == 0x80)
            len++;
    return len;
}

static bool glob(struct bytes g, struct bytes s)
{
    size_t gi = 0, si = 0;
    size_t star = SIZE_MAX, resume = 0; /* where the last * stood, and from where it has taken nothing yet */
    while (si < s.n) {
        if (gi < g.n && g.p[gi] == '*') {
            star = gi++;
            resume = si;
            continue;
        }
        if (gi < g.n && g.p[gi] == '?') {
            gi++;
            si += char_len(s.p + si, s.n - si);
            continue;
        }
        size_t lit = gi < g.n && g.p[gi] == '\\' ? gi + 1 : gi;
        if (lit < g.n && g.p[lit] == s.p[si]) {
            gi = lit + 1;
            si++;
            continue;
        }
        if (star == SIZE_MAX)
            return false;
        gi = star + 1;
        si = ++resume;
    }
    while (gi < g.n && g.p[gi] == '*')
        gi++;
    return gi == g.n;
}

static bool has_glob(struct bytes g)
{
    for (size_t i = 0; i < g.n; i++) {
        if (g.p[i] == '\\')
            i++;
        else if (g.p[i] == '*' || g.p[i] == '?')
            return true;
    }
    return false;
}

/* The first unescaped `c`, or b.n. */
static size_t find(struct bytes b, char c)
{
    size_t i = 0;
    while (i < b.n && b.p[i] != (uint8_t)c)
        i += b.p[i] == '\\' && i + 1 < b.n ? 2 : 1;
    return i < b.n ? i : b.n;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct bytes trim(struct bytes b)
{
    while (b.n > 0 && blank(b.p[0])) {
        b.p++;
        b.n--;
    }
    while (b.n > 0 && blank(b.p[b.n - 1]) && (b.n < 2 || b.p[b.n - 2] != '\\'))
        b.n--;
    return b;
}

static bool parse_entry(struct bytes text, struct entry *out, struct err *err)
{
    struct bytes rest = text;
    struct entry e = { .exclude = rest.p[0] == '!' };
    if (e.exclude)
        rest = trim((struct bytes){ rest.p + 1, rest.n - 1 });
    size_t backslashes = 0;
    while (backslashes < rest.n && rest.p[rest.n - 1 - backslashes] == '\\')
        backslashes++;
    if (backslashes % 2 != 0)
        return err_set(err, ERR_CONFIG, "table list: \"%.*s\" ends in a backslash that escapes nothing",
                       BYTES_FMT(text));
    size_t dot = find(rest, '.');
    if (dot == rest.n || dot == 0 || dot + 1 == rest.n)
        return err_set(err, ERR_CONFIG,
                       "table list: \"%.*s\" is not schema.table; every table of a schema is \"%.*s.*\"",
                       BYTES_FMT(text), BYTES_FMT(((struct bytes){ rest.p, dot == 0 ? rest.n : dot })));
    e.schema = (struct bytes){ rest.p, dot };
    e.table = (struct bytes){ rest.p + dot + 1, rest.n - dot - 1 };
    e.schema_glob = has_glob(e.schema);
    e.schema_plain = !e.schema_glob && memchr(e.schema.p, '\\', e.schema.n) == NULL;
    e.table_plain = !has_glob(e.table) && memchr(e.table.p, '\\', e.table.n) == NULL;
    e.any_table = bytes_eq_str(e.table, "*");
    *out = e;
    return true;
}

bool pattern_parse(const char *text, struct pattern **out, struct err *err)
{
    struct pattern *p = calloc(1, sizeof *p);
    if (p == NULL)
        return err_nomem(err);
    p->text = strdup(text == NULL ? "" : text);
    size_t commas = 0;
    for (const char *s = p->text; s != NULL && *s != '\0'; s++)
        commas += *s == ',';
    p->entries = calloc(commas + 1, sizeof *p->entries);
    if (p->text == NULL || p->entries == NULL) {
        err_nomem(err);
        goto fail;
    }
    struct bytes rest = bytes_str(p->text);
    while (rest.n != 0) {
        size_t n = find(rest, ',');
        struct bytes part = trim((struct bytes){ rest.p, n });
        rest = n == rest.n ? (struct bytes){ NULL, 0 } : (struct bytes){ rest.p + n + 1, rest.n - n - 1 };
        if (part.n == 0)
            continue; /* a trailing comma, a line end */
        if (!parse_entry(part, &p->entries[p->n], err))
            goto fail;
        p->n++;
    }
    p->everything = p->n == 0 || p->entries[0].exclude;
    *out = p;
    return true;
fail:
    pattern_free(p);
    return false;
}

void pattern_free(struct pattern *p)
{
    if (p == NULL)
        return;
    free(p->text);
    free(p->entries);
    free(p);
}

static bool schema_matches(const struct entry *e, struct bytes schema)
{
    if (!e->exclude && e->schema_glob && own_schema(schema))
        return false;
    return e->schema_plain ? bytes_eq(e->schema, schema) : glob(e->schema, schema);
}

static bool table_matches(const struct entry *e, struct bytes table)
{
    return e->any_table || (e->table_plain ? bytes_eq(e->table, table) : glob(e->table, table));
}

bool pattern_match(const struct pattern *p, struct bytes schema, struct bytes table)
{
    for (size_t i = p->n; i-- > 0;) /* the last match wins */
        if (schema_matches(&p->entries[i], schema) && table_matches(&p->entries[i], table))
            return !p->entries[i].exclude;
    return p->everything && !own_schema(schema);
}

bool pattern_match_schema(const struct pattern *p, struct bytes schema)
{
    for (size_t i = p->n; i-- > 0;) {
        if (!schema_matches(&p->entries[i], schema))
            continue;
        if (!p->entries[i].exclude)
            return true;
        if (p->entries[i].any_table) /* whatever stands before it, nothing of this schema is left */
            return false;
    }
    return p->everything && !own_schema(schema);
}
