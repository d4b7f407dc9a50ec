/* opts.c - parses the command line by the option table (opts.h); opts_help.c prints it. No abbreviations: a script
 * that uses one would break when an option is added. */
#include "opts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *suffix;
    uint64_t mul;
};
static const struct unit size_units[] = { { "", 1 },
                                          { "B", 1 },
                                          { "KiB", UINT64_C(1) << 10 },
                                          { "MiB", UINT64_C(1) << 20 },
                                          { "GiB", UINT64_C(1) << 30 },
                                          { "TiB", UINT64_C(1) << 40 },
                                          { NULL, 0 } };
static const struct unit msec_units[] = { { "ms", 1 },      { "s", 1000 },     { "min", 60000 },
                                          { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };

/* Leading digits of *s into *v; *s moves behind them. False without digits or beyond 64 bits. */
static bool take_number(const char **s, uint64_t *v)
{
    const char *p = *s;
    uint64_t n = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (p == *s)
        return false;
    *s = p;
    *v = n;
    return true;
}

static bool with_unit(const char *s, const struct unit *units, uint64_t *out)
{
    uint64_t n;
    if (!take_number(&s, &n))
        return false;
    while (*s == ' ')
        s++;
    for (; units->suffix != NULL; units++)
        if (strcasecmp(s, units->suffix) == 0) {
            if (n > UINT64_MAX / units->mul)
                return false;
            *out = n * units->mul;
            return true;
        }
    return false;
}

bool opts_parse_size(const char *s, uint64_t *out, struct err *err)
{
    if (with_unit(s, size_units, out))
        return true;
    return err_set(err, ERR_CONFIG,
                   "\"%s\" is not a size: write a whole number with B, KiB, MiB, GiB or TiB, as in 64MiB", s);
}

/* A time without a unit is an error: nobody remembers whether a bare 5 is seconds or milliseconds. 0 is 0 in all of
 * them. */
bool opts_parse_msec(const char *s, uint64_t *out, struct err *err)
{
    if (strcmp(s, "0") == 0) {
        *out = 0;
        return true;
    }
    if (with_unit(s, msec_units, out))
        return true;
    return err_set(err, ERR_CONFIG,
                   "\"%s\" is not a duration: write a whole number with ms, s, min, h or d, as in 200ms", s);
}

static bool parse_uint(const char *s, uint64_t *out, struct err *err)
{
    const char *p = s;
    uint64_t v;
    if (!take_number(&p, &v) || *p != '\0')
        return err_set(err, ERR_CONFIG, "\"%s\" is not a whole number from 0 to 18446744073709551615", s);
    *out = v;
    return true;
}

static bool parse_flag(const char *s, bool *out, struct err *err)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(s, words[i]) == 0) {
            *out = i % 2 != 0;
            return true;
        }
    return err_set(err, ERR_CONFIG, "\"%s\" is neither true nor false", s);
}

static bool among(const char *choices, const char *s)
{
    size_t n = strcspn(s, "|");
    if (s[n] != '\0') /* "a|b" is the list, not a choice */
        return false;
    for (const char *p = choices; p != NULL && n != 0; p = strchr(p, '|')) {
        if (*p == '|')
            p++;
        if (strncmp(p, s, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    }
    return false;
}

static bool list_add(struct opt_list *l, const char *s, struct err *err)
{
    if ((l->n & (l->n - 1)) == 0) { /* full at each power of two */
        const char **v = realloc(l->v, (l->n == 0 ? 1 : l->n * 2) * sizeof *v);
        if (v == NULL)
            return err_nomem(err);
        l->v = v;
    }
    l->v[l->n++] = s;
    return true;
}

static void list_free(struct opt_list *l)
{
    free(l->v);
    *l = (struct opt_list){ 0 };
}

static bool store(const struct opt *o, const char *s, void *cfg, struct err *err)
{
    void *field = (char *)cfg + o->off;
    switch (o->type) {
    case OPT_STR:
        if (o->choices != NULL && !among(o->choices, s))
            return err_set(err, ERR_CONFIG, "\"%s\" is not one of %s", s, o->choices);
        *(const char **)field = s;
        return true;
    case OPT_LIST:
        if (o->choices != NULL && !among(o->choices, s))
            return err_set(err, ERR_CONFIG, "\"%s\" is not one of %s", s, o->choices);
        return list_add(field, s, err);
    case OPT_SIZE:
        return opts_parse_size(s, field, err);
    case OPT_MSEC:
        return opts_parse_msec(s, field, err);
    case OPT_UINT:
        return parse_uint(s, field, err);
    case OPT_FLAG:
        return parse_flag(s, field, err);
    }
    return err_set(err, ERR_CONFIG, "option of an unknown type"); /* a broken table */
}

static void clear(const struct opt *o, void *cfg)
{
    void *field = (char *)cfg + o->off;
    switch (o->type) {
    case OPT_STR:
        *(const char **)field = NULL;
        break;
    case OPT_LIST:
        *(struct opt_list *)field = (struct opt_list){ 0 };
        break;
    case OPT_SIZE:
    case OPT_MSEC:
    case OPT_UINT:
        *(uint64_t *)field = 0;
        break;
    case OPT_FLAG:
        *(bool *)field = false;
        break;
    }
}

static const struct opt *find(const struct opt *opts, const char *name, size_t n)
{
    for (const struct opt *o = opts; n != 0 && o->name != NULL; o++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

enum { NAME_LIMIT = 48 };

/* Edit distance with swaps of neighbours (optimal string alignment); NAME_LIMIT + 1 for names too long to compare. */
static size_t distance(const char *a, size_t n, const char *b)
{
    size_t m = strlen(b), row[3][NAME_LIMIT + 1];
    if (n > NAME_LIMIT || m > NAME_LIMIT)
        return NAME_LIMIT + 1;
    for (size_t j = 0; j <= m; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *up = row[(i - 1) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

static bool unknown(const struct opt_program *prog, const char *name, size_t n, struct err *err)
{
    static const char *const ours[] = { "help", "version" };
    const char *best = NULL, *prefix = NULL;
    size_t best_d = n / 3 + 2;
    bool negated = n > 3 && memcmp(name, "no-", 3) == 0, best_negated = false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (distance(name, n, ours[i]) < best_d) {
            best = ours[i];
            best_d = distance(name, n, best);
        }
    for (const struct opt *o = prog->opts; o->name != NULL; o++) {
        size_t d = distance(name, n, o->name);
        if (d < best_d) {
            best = o->name;
            best_d = d;
            best_negated = false;
        }
        if (negated && o->type == OPT_FLAG && (d = distance(name + 3, n - 3, o->name)) < best_d) {
            best = o->name;
            best_d = d;
            best_negated = true;
        }
        if (prefix == NULL && n >= 2 && strncmp(o->name, name, n) == 0)
            prefix = o->name;
    }
    if (best == NULL || (prefix != NULL && best_d > 2)) {
        best = prefix;
        best_negated = false;
    }
    int shown = n > 64 ? 64 : (int)n; /* never the value behind "=": it may be a secret (I10) */
    if (best == NULL)
        return err_set(err, ERR_CONFIG, "unknown option --%.*s; %s --help lists all options", shown, name, prog->name);
    return err_set(err, ERR_CONFIG, "unknown option --%.*s; did you mean --%s%s? %s --help lists all options", shown,
                   name, best_negated ? "no-" : "", best, prog->name);
}

/* Where one parse stands. */
struct parse {
    const struct opt_program *prog;
    int argc, i;
    char **argv;
    void *cfg;
    bool *given; /* by index in the table: the first value of a list replaces its default */
};

static bool is_option(const struct opt_program *prog, const char *s)
{
    return s[0] == '-' && s[1] == '-' && find(prog->opts, s + 2, strcspn(s + 2, "=")) != NULL;
}

/* One "--name", "--name=value" or "--name value" at p->i. */
static bool take_option(struct parse *p, struct err *err)
{
    const char *name = p->argv[p->i] + 2, *name_end = strchr(name, '=');
    size_t n = name_end == NULL ? strlen(name) : (size_t)(name_end - name);
    const char *value = name_end == NULL ? NULL : name_end + 1;
    const struct opt *o = find(p->prog->opts, name, n);
    bool negated = false;
    if (o == NULL && n > 3 && memcmp(name, "no-", 3) == 0) {
        o = find(p->prog->opts, name + 3, n - 3);
        negated = o != NULL && o->type == OPT_FLAG;
        if (!negated)
            o = NULL;
    }
    if (o == NULL)
        return unknown(p->prog, name, n, err);
    if (o->type == OPT_FLAG) {
        if (value != NULL && negated)
            return err_set(err, ERR_CONFIG, "--no-%s takes no value", o->name);
        if (value == NULL)
            value = negated ? "false" : "true";
    } else if (value == NULL) {
        if (p->i + 1 >= p->argc || is_option(p->prog, p->argv[p->i + 1]))
            return err_set(err, ERR_CONFIG, "--%s needs a value: --%s %s; %s --help says more", o->name, o->name,
                           o->arg == NULL ? "VALUE" : o->arg, p->prog->name);
        value = p->argv[++p->i];
    }
    bool *given = &p->given[o - p->prog->opts];
    if (o->type == OPT_LIST && !*given)
        list_free((struct opt_list *)(void *)((char *)p->cfg + o->off));
    *given = true;
    if (!store(o, value, p->cfg, err)) {
        err_ctx(err, "--%s", o->name);
        return false;
    }
    return true;
}

static bool fill_defaults(const struct opt_program *prog, void *cfg, struct err *err)
{
    for (const struct opt *o = prog->opts; o->name != NULL; o++)
        if (o->name[0] != '\0') /* all first: after a failure opts_free looks at every field */
            clear(o, cfg);
    for (const struct opt *o = prog->opts; o->name != NULL; o++)
        if (o->name[0] != '\0' && o->def != NULL && !store(o, o->def, cfg, err)) {
            err_ctx(err, "default of --%s", o->name);
            return false;
        }
    return true;
}

static bool check_count(const struct opt_program *prog, size_t n, const char *first_too_many, struct err *err)
{
    if (prog->min_args > 0 && n < (size_t)prog->min_args)
        return err_set(err, ERR_CONFIG, "%s argument is missing: %s %s", n == 0 ? "an" : "one more", prog->name,
                       prog->synopsis);
    if (prog->max_args >= 0 && n > (size_t)prog->max_args)
        return err_set(err, ERR_CONFIG, "unexpected argument \"%.80s\": %s %s", first_too_many, prog->name,
                       prog->synopsis);
    return true;
}

static enum opts_result run(struct parse *p, struct opt_list *args, struct err *err)
{
    if (!fill_defaults(p->prog, p->cfg, err))
        return OPTS_BAD;
    bool only_args = false;
    for (p->i = 1; p->i < p->argc; p->i++) {
        const char *s = p->argv[p->i];
        if (only_args || s[0] != '-' || s[1] == '\0') {
            if (!list_add(args, s, err))
                return OPTS_BAD;
        } else if (strcmp(s, "--") == 0) {
            only_args = true;
        } else if (strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0) {
            opts_print_help(p->prog);
            return OPTS_EXIT;
        } else if (strcmp(s, "--help-man") == 0) {
            opts_print_man(p->prog, NULL, 0);
            return OPTS_EXIT;
        } else if (strcmp(s, "--version") == 0) {
            opts_print_version(p->prog);
            return OPTS_EXIT;
        } else if (s[1] != '-') {
            err_set(err, ERR_CONFIG, "unknown option %.2s: options have two dashes; %s --help lists them", s,
                    p->prog->name);
            return OPTS_BAD;
        } else if (!take_option(p, err)) {
            return OPTS_BAD;
        }
    }
    int max = p->prog->max_args;
    const char *extra = max >= 0 && args->n > (size_t)max ? args->v[max] : "";
    return check_count(p->prog, args->n, extra, err) ? OPTS_OK : OPTS_BAD;
}

enum opts_result opts_parse(const struct opt_program *prog, int argc, char **argv, void *cfg, struct opt_list *args,
                            struct err *err)
{
    struct opt_list positional = { 0 };
    size_t n = 0;
    while (prog->opts[n].name != NULL)
        n++;
    struct parse p = { prog, argc, 1, argv, cfg, calloc(n + 1, sizeof(bool)) };
    if (args != NULL)
        *args = positional;
    if (p.given == NULL) {
        err_nomem(err);
        return OPTS_BAD;
    }
    enum opts_result r = run(&p, &positional, err);
    free(p.given);
    if (r == OPTS_OK && args != NULL)
        *args = positional;
    else
        list_free(&positional);
    if (r != OPTS_OK)
        opts_free(prog, cfg, NULL);
    return r;
}

void opts_free(const struct opt_program *prog, void *cfg, struct opt_list *args)
{
    for (const struct opt *o = prog->opts; o->name != NULL; o++)
        if (o->type == OPT_LIST && o->name[0] != '\0')
            list_free((struct opt_list *)(void *)((char *)cfg + o->off));
    if (args != NULL)
        list_free(args);
}

char *opts_take_url(const char *arg)
{
    char *copy = arg == NULL ? NULL : strdup(arg);
    if (copy == NULL)
        return NULL;
    char *shown = (char *)(uintptr_t)arg;
    char *user = strstr(shown, "://");
    if (user != NULL) {
        user += 3;
        size_t authority = strcspn(user, "/?#");
        char *at = NULL; /* the last one: a password may hold another */
        for (size_t i = 0; i < authority; i++) {
            if (user[i] == '@')
                at = user + i;
        }
        char *colon = at == NULL ? NULL : memchr(user, ':', (size_t)(at - user));
        if (colon != NULL)
            memset(colon + 1, '*', (size_t)(at - colon - 1));
    }
    for (char *p = strstr(shown, "password="); p != NULL; p = strstr(p, "password=")) {
        p += strlen("password=");
        memset(p, '*', strcspn(p, "& "));
    }
    return copy;
}
