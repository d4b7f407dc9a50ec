/* capture_options.h - the option table of rowtide-capture. */
#ifndef ROWTIDE_CAPTURE_OPTIONS_H
#define ROWTIDE_CAPTURE_OPTIONS_H

#include "opts.h"

struct capture_options {
    const char *source, *slot, *tables, *start, *password_file, *http, *log_level, *schema_server,
        *schema_password_file, *invalid_text;
    uint64_t server_id, heartbeat_ms, segment_size, frame_size, max_event, position_every_ms, disk_reserve,
        max_slot_size, retry_for_ms;
    bool once, accept_unlogged_cascades;
    /* start is never NULL: which default it has depends on where from, so that main fills it in */
    struct opt_list from_file;  /* --from-file */
    struct opt_list more_files; /* what stands without an option: further ones; a view */
};
extern const struct opt_program capture_program;
/* What the table cannot say: required options, ranges. ERR_CONFIG. */
bool capture_options_check(const struct capture_options *o, struct err *err);

#endif
