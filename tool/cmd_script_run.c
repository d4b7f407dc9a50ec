/* cmd_script_run.c - rowtide script run: what a transform makes of a slot's changes, as JSON Lines. Writes nowhere else, registers nothing. */
#include "tool.h"

#include "outrow_json.h"
#include "stop.h"
#include "transform.h"

#include <stdio.h>

struct run_options {
    const char *slot;
    uint64_t from, to, limit, memory, steps;
    bool json;
};
#define AT(field) offsetof(struct run_options, field)
static const struct opt options[] = {
    { "slot", "DIR", NULL, "whose changes", OPT_STR, AT(slot), NULL },
    { "from", "LSN", "1", "begin with the transaction that holds this LSN, or the next one", OPT_UINT, AT(from), NULL },
    { "to", "LSN", "0", "end behind this LSN; 0: no limit", OPT_UINT, AT(to), NULL },
    { "limit", "N", "0", "at most so many rows; 0: no limit", OPT_UINT, AT(limit), NULL },
    { "script-memory", "SIZE", "16MiB", "memory the script may hold", OPT_SIZE, AT(memory), NULL },
    { "script-steps", "N", "10000000", "instructions the script may run for one change", OPT_UINT, AT(steps), NULL },
    { "json", NULL, NULL, "the output is JSON Lines anyway", OPT_FLAG, AT(json), NULL },
    { 0 },
};
static const struct opt_program program = {
    .name = "rowtide script run",
    .synopsis = "FILE.lua --slot DIR [--from LSN] [OPTIONS]",
    .about = "Runs a transform over a slot's changes and prints the rows it would emit, one JSON object each. print() "
             "of the script goes to standard error.",
    .epilog = "Exit codes: 0 ok, 1 the script failed.",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
};

struct run {
    const struct run_options *o;
    struct transform *transform;
    struct buf out;
    uint64_t printed;
};

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

static bool print_batch(struct run *r, struct batch *b, struct err *err)
{
    for (size_t i = 0; i < b->nrows && r->printed < r->o->limit; i++) {
        if (b->rows[i].lsn < r->o->from || b->rows[i].lsn > r->o->to)
            continue;
        outrow_json(&r->out, b, &b->rows[i]);
        r->printed++;
    }
    batch_free(b);
    return tool_flush(&r->out, err);
}

/* Where the transaction that holds LSN `from` begins in f, or the frame's end. */
static unsigned first_wanted(const struct frame *f, unsigned at, uint64_t from)
{
    while (at < frame_count(f) && frame_record(f, at)->lsn < from) {
        unsigned commit = at;
        while (commit < frame_count(f) && frame_record(f, commit)->op != REC_COMMIT)
            commit++;
        if (commit == frame_count(f) || frame_record(f, commit)->lsn >= from)
            break;
        at = commit + 1;
    }
    return at;
}

static bool run_frames(struct run *r, struct seg_reader *reader, struct err *err)
{
    bool started = false;
    for (;;) {
        struct frame *f = NULL;
        unsigned at = 0;
        switch (seg_reader_next(reader, &f, &at, err)) {
        case SEG_READ_FAIL:
            return false;
        case SEG_READ_END: {
            struct batch *b = transform_take(r->transform);
            return b == NULL || print_batch(r, b, err);
        }
        case SEG_READ_FRAME:
            break;
        }
        bool ok = true;
        if (!started && !frame_info(f)->starts_inside)
            at = first_wanted(f, at, r->o->from);
        if (!started && frame_info(f)->ncommits > 0 && frame_info(f)->last_commit_lsn < r->o->from)
            at = frame_count(f);
        started = started || at < frame_count(f);
        bool done = at < frame_count(f) && frame_record(f, at)->lsn > r->o->to;
        while (ok && !done && at < frame_count(f)) {
            struct batch *b = NULL;
            ok = transform_feed(r->transform, f, &at, &b, err);
            if (b != NULL)
                ok = print_batch(r, b, err) && ok;
        }
        frame_unref(f);
        if (!ok) { /* what the script made before it failed is worth seeing */
            struct err ignored;
            struct batch *b = transform_take(r->transform);
            if (b != NULL)
                print_batch(r, b, &ignored);
            return false;
        }
        if (done || r->printed >= r->o->limit) {
            struct batch *b = transform_take(r->transform);
            return b == NULL || print_batch(r, b, err);
        }
    }
}

int cmd_script_run(int argc, char **argv)
{
    struct run_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    struct seg_reader *reader = NULL;
    struct lua_host *lua = NULL;
    int code = 0;
    if (!tool_parse(&program, argc, argv, &o, &args, &code))
        return code;
    if (o.to == 0)
        o.to = UINT64_MAX;
    if (o.limit == 0)
        o.limit = UINT64_MAX;
    struct run r = { .o = &o };
    struct lua_host_options lo = { .memory_limit = o.memory, .step_limit = o.steps, .log = print_line };
    struct transform_options to = { .batch_rows = 1000, .batch_bytes = 1 << 20, .on_error = ON_ERROR_STOP };
    struct shape_table *shapes = shape_table_new();
    bool ok = o.slot != NULL || err_set(&err, ERR_CONFIG, "--slot is missing: the directory of the slot");
    ok = ok && (shapes != NULL || err_nomem(&err)) && stop_init(&err) &&
         lua_host_open(args.v[0], NULL, &lo, shapes, &lua, &err) &&
         transform_new(&to, lua, shapes, &r.transform, &err) && tool_reader_at(o.slot, o.from, &reader, &err) &&
         run_frames(&r, reader, &err);
    if (!ok)
        code = tool_fail(&program, &err);
    transform_free(r.transform);
    seg_reader_close(reader);
    lua_host_close(lua);
    shape_table_free(shapes);
    buf_free(&r.out);
    opts_free(&program, &o, &args);
    return code;
}
