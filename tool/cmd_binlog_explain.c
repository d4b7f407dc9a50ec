/* cmd_binlog_explain.c - rowtide binlog explain: the events of a binlog file with their decoded fields, for people and
 * as JSON. */
#include "tool.h"

#include "binlog_explain.h"
#include "binlog_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct explain_options {
    uint64_t to, limit, max_event;
    bool rows, json;
};
#define AT(field) offsetof(struct explain_options, field)
static const struct opt options[] = {
    { "rows", NULL, NULL, "the rows of rows events, not only how many there are", OPT_FLAG, AT(rows), NULL },
    { "json", NULL, NULL, "an object per event and line, with whole values", OPT_FLAG, AT(json), NULL },
    { "to", "POS", "0", "end before the event that begins at or behind this offset; 0: the end of the file", OPT_UINT,
      AT(to), NULL },
    { "limit", "N", "0", "end after this many events; 0: no limit", OPT_UINT, AT(limit), NULL },
    { "max-event", "SIZE", "1GiB", "end at an event larger than this", OPT_SIZE, AT(max_event), NULL },
    { 0 },
};
static const struct opt_program program = {
    .name = "rowtide binlog explain",
    .synopsis = "FILE[:POS] [OPTIONS]",
    .about =
        "Prints the events of a binlog file of MySQL or MariaDB, from its start or from the event at POS: where each "
        "begins and ends, its header, whether its checksum is right, and what its fields say. Ends with 1 at damage "
        "and when something could not be decoded.",
    .epilog = "Examples:\n  rowtide binlog explain /var/lib/mysql/binlog.000007 --limit 10\n  rowtide binlog explain "
              "binlog.000007:158 --rows --json",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
};

/* "FILE:POS" unless a file of that whole name is there. */
static bool parse_place(const char *text, char **path, uint64_t *pos, struct err *err)
{
    const char *colon = strrchr(text, ':');
    size_t n = strlen(text);
    *pos = BINLOG_FILE_FIRST;
    if (colon != NULL && colon[1] != '\0' && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
        strlen(colon + 1) <= 18 && access(text, F_OK) != 0) {
        *pos = strtoull(colon + 1, NULL, 10);
        n = (size_t)(colon - text);
    }
    *path = strndup(text, n);
    return *path != NULL || err_nomem(err);
}

static bool pass(void *ctx, struct bytes event, uint64_t at, struct err *err)
{
    (void)at;
    (void)err;
    binlog_explain_pass(ctx, event);
    return true;
}

static bool explain(const struct explain_options *o, struct binlog_file *f, struct binlog_explain *x, struct err *err)
{
    struct buf out = { 0 };
    bool ok = true;
    for (uint64_t n = 0; ok && (o->limit == 0 || n < o->limit); n++) {
        struct bytes event;
        struct err damage;
        if (o->to != 0 && binlog_file_end(f) >= o->to)
            break;
        enum binlog_file_step step = binlog_file_next(f, &event, err);
        if (step == BINLOG_FILE_FAIL)
            ok = false;
        if (step != BINLOG_FILE_EVENT)
            break;
        bool whole = binlog_explain_event(x, event, binlog_file_at(f), &out, &damage);
        ok = tool_flush(&out, err);
        if (ok && !whole) {
            *err = damage;
            ok = err_ctx(err, "%s:%llu", binlog_file_name(f), (unsigned long long)binlog_file_at(f));
        }
    }
    buf_free(&out);
    return ok;
}

static int report(const struct binlog_file *f, const struct binlog_explain *x)
{
    uint64_t torn = binlog_file_torn(f), problems = binlog_explain_problems(x);
    if (torn != 0)
        fprintf(stderr,
                "%s: at %s:%llu the file ends inside an event (%llu bytes of it are there): it was in use when it was "
                "copied, or its server crashed\n",
                program.name, binlog_file_name(f), (unsigned long long)binlog_file_end(f), (unsigned long long)torn);
    if (problems != 0)
        fprintf(stderr, "%s: %llu events could not be decoded whole: see \"problem\"\n", program.name,
                (unsigned long long)problems);
    return problems == 0 ? 0 : 1;
}

int cmd_binlog_explain(int argc, char **argv)
{
    struct explain_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    int code = 0;
    if (!tool_parse(&program, argc, argv, &o, &args, &code))
        return code;
    struct binlog_explain_options xo = { .json = o.json, .rows = o.rows, .max_event = o.max_event };
    struct binlog_explain *x = binlog_explain_new(&xo);
    struct binlog_file *f = NULL;
    char *path = NULL;
    uint64_t pos = 0;
    bool ok = (x != NULL || err_nomem(&err)) && parse_place(args.v[0], &path, &pos, &err) &&
              binlog_file_open(path, o.max_event, &f, &err) && binlog_file_seek(f, pos, pass, x, &err) &&
              explain(&o, f, x, &err);
    code = ok ? report(f, x) : tool_fail(&program, &err);
    binlog_file_close(f);
    binlog_explain_free(x);
    free(path);
    opts_free(&program, &o, &args);
    return code;
}
