/* apply_options.h - the option table of rowtide-apply, and what it makes of it: subscriptions. */
#ifndef ROWTIDE_APPLY_OPTIONS_H
#define ROWTIDE_APPLY_OPTIONS_H

#include "opts.h"
#include "subscription.h"

struct apply_options {
    const char *slot, *to, *name, *transform, *config, *on_error, *zero_date, *nul, *http, *log_level;
    uint64_t workers, batch_rows, batch_bytes, script_memory, script_steps;
    bool create, evolve, once;
};
extern const struct opt_program apply_program;
/* One subscription from flags, or those of --config. ERR_CONFIG. out: config_clear. */
bool apply_options_config(const struct apply_options *o, struct config *out, struct err *err);

#endif
