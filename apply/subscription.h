/* subscription.h - what one subscription is configured to do: from flags, or one entry of a --config file. Plain data.
 * */
#ifndef ROWTIDE_SUBSCRIPTION_H
#define ROWTIDE_SUBSCRIPTION_H

#include "transform.h"

enum zero_date_policy { ZERO_DATE_NULL, ZERO_DATE_ERROR };
enum nul_policy { NUL_ERROR, NUL_STRIP, NUL_REPLACE /* U+2400 */ };
enum { APPLY_WORKERS_MAX = 16 };
struct subscription { /* strings owned */
    char *slot, *name, *to, *script;
    bool create, evolve, once;
    enum script_error_policy on_error; /* for script errors and for rows the destination refuses */
    uint64_t batch_rows, batch_bytes;
    uint64_t workers; /* connections that write at the same time, 1 .. APPLY_WORKERS_MAX */
    uint64_t script_memory, script_steps;
    enum zero_date_policy zero_date;
    enum nul_policy nul;
};
void subscription_defaults(struct subscription *s);
void subscription_clear(struct subscription *s);

/* A --config file: Lua, evaluated in an empty sandbox with env "NAME" (an unset variable is an error unless env("NAME",
 * "default")):
 *
 *   slot = "/var/lib/rowtide/shop"
 *   subscription "crm"  { to = "postgresql://app@db/crm", transform = "crm.lua", create = true, on_error = "dead_letter" }
 *   subscription "feed" { to = "jsonl:/srv/feed.jsonl", batch = { rows = 1000, bytes = "1MiB" } }
 *
 * Paths are relative to the file. Unknown keys, wrong types and duplicate names are errors with file:line and a
 * suggestion. */
struct config {
    struct subscription *subs;
    size_t n;
    char *http; /* or NULL */
};
bool config_load(const char *path, struct config *out, struct err *err);
bool config_parse(const char *name, struct bytes text, const char *dir, struct config *out,
                  struct err *err); /* for fuzzing */
void config_clear(struct config *c);

#endif
