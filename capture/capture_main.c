/* capture_main.c - rowtide-capture: options, wiring, exit code. */
#include "binlog_client.h"
#include "capture_options.h"
#include "capture_pipeline.h"
#include "capture_status.h"
#include "slog.h"
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct capture_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    static struct capture_status status;
    struct http_status *http = NULL;
    enum opts_result r = opts_parse(&capture_program, argc, argv, &o, &args, &err);
    if (r == OPTS_EXIT)
        return 0;
    o.more_files = args;
    if (o.start == NULL)
        o.start = o.from_file.n != 0 ? "earliest" : "now";
    bool ok = r == OPTS_OK && capture_options_check(&o, &err);
    if (!ok) {
        fprintf(stderr, "rowtide-capture: %s\n", err.msg);
        if (r == OPTS_OK)
            opts_free(&capture_program, &o, &args);
        return 2;
    }
    char *source = opts_take_url(o.source); /* the process list must not show the password (I10) */
    o.source = source;
    char *schema_server = opts_take_url(o.schema_server);
    bool copied = schema_server != NULL || o.schema_server == NULL;
    o.schema_server = schema_server;
    slog_parse_level(o.log_level, &slog_threshold);
    capture_status_init(&status);
    ok = (((source != NULL || o.from_file.n != 0) && copied) || err_nomem(&err)) && stop_init(&err) &&
         (o.http == NULL || http_status_start(&http, o.http, &capture_status_ops, &status, &err));
    if (ok && http != NULL)
        slog(SLOG_INFO, "http_listening", kv_u("port", http_status_port(http)));
    ok = ok && capture_run(&o, &status, &err);
    if (!ok)
        slog_err(SLOG_ERROR, "error", &err);
    slog(SLOG_INFO, "stopped", kv_u("flushed_lsn", atomic_load(&status.flushed_lsn)),
         kv_i("exit", ok ? 0 : err_exit_code(&err)));
    http_status_stop(&http);
    opts_free(&capture_program, &o, &args);
    free(source);
    free(schema_server);
    if (binlog_client_left_attempt())
        _exit(ok ? 0 : err_exit_code(&err));
    return ok ? 0 : err_exit_code(&err);
}
