/* apply_options.c - see apply_options.h. */
#include "apply_options.h"

#include "slot.h"

#include <stdlib.h>

#define AT(field) offsetof(struct apply_options, field)
static const struct opt options[] = {
    { "slot", "DIR", NULL, "the slot that rowtide-capture writes", OPT_STR, AT(slot), NULL },
    { "to", "URL", NULL, "destination: postgresql://... (anything libpq takes), jsonl:PATH, jsonl:- (standard output)",
      OPT_STR, AT(to), NULL },
    { "name", "NAME", "default", "the subscription's name: its progress is kept under it", OPT_STR, AT(name), NULL },
    { "transform", "FILE", NULL, "Lua script that reshapes the rows (docs/lua-api.md)", OPT_STR, AT(transform), NULL },
    { "config", "FILE", NULL, "several subscriptions from a Lua file, instead of --slot --to --name --transform",
      OPT_STR, AT(config), NULL },
    { "create", NULL, NULL, "create missing destination tables", OPT_FLAG, AT(create), NULL },
    { "evolve", NULL, NULL, "add columns at the destination that were added at the source", OPT_FLAG, AT(evolve),
      NULL },
    { "once", NULL, NULL, "end with 0 when everything is applied that the slot had at the start", OPT_FLAG, AT(once),
      NULL },
    { "on-error", "POLICY", "stop", "for a row that the script or the destination refuses", OPT_STR, AT(on_error),
      "stop|skip|dead_letter" },
    { "workers", "N", "1", "connections that write at the same time; commits keep the source's order", OPT_UINT,
      AT(workers), NULL },
    { "batch-rows", "N", "5000", "rows in a batch at most", OPT_UINT, AT(batch_rows), NULL },
    { "batch-bytes", "SIZE", "4MiB", "bytes in a batch at most", OPT_SIZE, AT(batch_bytes), NULL },
    { "zero-date", "POLICY", "null", "for dates that the destination does not have (0000-00-00)", OPT_STR,
      AT(zero_date), "null|error" },
    { "nul", "POLICY", "error", "for NUL characters in text, which PostgreSQL does not take", OPT_STR, AT(nul),
      "error|strip|replace" },
    { "script-memory", "SIZE", "16MiB", "memory the script may hold", OPT_SIZE, AT(script_memory), NULL },
    { "script-steps", "N", "10000000", "instructions the script may run for one change", OPT_UINT, AT(script_steps),
      NULL },
    { "http", "ADDR:PORT", NULL, "serve /healthz, /metrics and /api/v1/status; loopback when no address is given",
      OPT_STR, AT(http), NULL },
    { "log-level", "LEVEL", "info", "error, warn, info or debug", OPT_STR, AT(log_level), "error|warn|info|debug" },
    { 0 },
};

const struct opt_program apply_program = {
    .name = "rowtide-apply",
    .synopsis = "--slot DIR --to URL [OPTIONS] | --config FILE [OPTIONS]",
    .about = "Reads the segments of a slot, reshapes rows with a Lua script, and writes them exactly once into "
             "PostgreSQL or JSON Lines.",
    .epilog = "Exit codes: 0 done or stopped by a signal; 1 stopped because of data, script or position; 2 usage or "
              "configuration; 3 the "
              "destination is unreachable.\n\nExample:\n  rowtide-apply --slot /var/lib/rowtide/shop --to "
              "postgresql:///crm --transform crm.lua --create",
    .opts = options,
    .min_args = 0,
    .max_args = 0,
};

static bool from_flags(const struct apply_options *o, struct subscription *s, struct err *err)
{
    subscription_defaults(s);
    s->slot = strdup(o->slot);
    s->to = opts_take_url(o->to); /* the process list must not show the password (I10) */
    free(s->name);
    s->name = strdup(o->name);
    s->script = o->transform == NULL ? NULL : strdup(o->transform);
    if (s->slot == NULL || s->to == NULL || s->name == NULL || (o->transform != NULL && s->script == NULL))
        return err_nomem(err);
    s->create = o->create;
    s->evolve = o->evolve;
    s->once = o->once;
    s->on_error = strcmp(o->on_error, "skip") == 0          ? ON_ERROR_SKIP
                  : strcmp(o->on_error, "dead_letter") == 0 ? ON_ERROR_DEAD_LETTER
                                                            : ON_ERROR_STOP;
    s->zero_date = strcmp(o->zero_date, "error") == 0 ? ZERO_DATE_ERROR : ZERO_DATE_NULL;
    s->nul = strcmp(o->nul, "strip") == 0 ? NUL_STRIP : strcmp(o->nul, "replace") == 0 ? NUL_REPLACE : NUL_ERROR;
    s->workers = o->workers;
    s->batch_rows = o->batch_rows;
    s->batch_bytes = o->batch_bytes;
    s->script_memory = o->script_memory;
    s->script_steps = o->script_steps;
    if (!slot_sub_name_ok(s->name))
        return err_set(err, ERR_CONFIG, "--name %s: letters, digits, _ . - only, at most %d, not starting with . or -",
                       s->name, SLOT_NAME_MAX);
    if (s->workers == 0 || s->workers > APPLY_WORKERS_MAX)
        return err_set(err, ERR_CONFIG, "--workers must lie between 1 and %d", APPLY_WORKERS_MAX);
    if (s->batch_rows == 0 || s->batch_rows > 1000000)
        return err_set(err, ERR_CONFIG, "--batch-rows must lie between 1 and 1000000");
    if (s->batch_bytes < 4096 || s->batch_bytes > (1u << 30))
        return err_set(err, ERR_CONFIG, "--batch-bytes must lie between 4KiB and 1GiB");
    return true;
}

bool apply_options_config(const struct apply_options *o, struct config *out, struct err *err)
{
    if (o->config != NULL) {
        if (o->slot != NULL || o->to != NULL || o->transform != NULL)
            return err_set(
                err, ERR_CONFIG,
                "--config already says slot, destination and transform: leave --slot, --to and --transform out");
        if (!config_load(o->config, out, err))
            return false;
        for (size_t i = 0; i < out->n && o->once; i++)
            out->subs[i].once = true;
        return true;
    }
    if (o->slot == NULL)
        return err_set(err, ERR_CONFIG, "--slot is missing: the directory that rowtide-capture writes");
    if (o->to == NULL)
        return err_set(err, ERR_CONFIG, "--to is missing: postgresql://... or jsonl:PATH");
    memset(out, 0, sizeof *out);
    out->subs = calloc(1, sizeof *out->subs);
    if (out->subs == NULL)
        return err_nomem(err);
    out->n = 1;
    return from_flags(o, &out->subs[0], err);
}
