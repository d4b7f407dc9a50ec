/* apply_main.c - rowtide-apply: options, one thread per subscription, exit code. */
#include "apply_options.h"
#include "apply_pipeline.h"
#include "apply_status.h"
#include "slog.h"
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>

struct runner {
    const struct subscription *sub;
    struct sub_status *status;
    pthread_t thread;
    bool on, ok;
    struct err err;
};

static void *run_one(void *arg)
{
    struct runner *r = arg;
    r->ok = apply_run(r->sub, r->status, &r->err);
    if (!r->ok) {
        err_ctx(&r->err, "subscription %s", r->sub->name);
        slog_err(SLOG_ERROR, "error", &r->err);
    }
    return NULL;
}

/* Each on its own: one that fails stops alone (I6). The exit code is the first failure's. */
static int run_all(const struct config *c, struct apply_status *status, struct err *err)
{
    int code = 0;
    struct runner *runners = calloc(c->n, sizeof *runners);
    if (runners == NULL) {
        err_nomem(err);
        slog_err(SLOG_ERROR, "error", err);
        return err_exit_code(err);
    }
    for (size_t i = 0; i < c->n; i++) {
        runners[i].sub = &c->subs[i];
        runners[i].status = &status->subs[i];
        runners[i].on = pthread_create(&runners[i].thread, NULL, run_one, &runners[i]) == 0;
        if (!runners[i].on) {
            err_sys(&runners[i].err, "start a thread for subscription %s", c->subs[i].name);
            slog_err(SLOG_ERROR, "error", &runners[i].err);
        }
    }
    for (size_t i = 0; i < c->n; i++) {
        if (runners[i].on)
            pthread_join(runners[i].thread, NULL);
        if (!runners[i].ok && code == 0)
            code = err_exit_code(&runners[i].err);
    }
    free(runners);
    return code;
}

int main(int argc, char **argv)
{
    struct apply_options o = { 0 };
    struct opt_list args = { 0 };
    struct config config = { 0 };
    struct err err = { 0 };
    struct apply_status status = { 0 };
    struct http_status *http = NULL;
    enum opts_result r = opts_parse(&apply_program, argc, argv, &o, &args, &err);
    if (r == OPTS_EXIT)
        return 0;
    if (r != OPTS_OK || !apply_options_config(&o, &config, &err)) {
        fprintf(stderr, "rowtide-apply: %s\n", err.msg);
        config_clear(&config);
        opts_free(&apply_program, &o, &args);
        return 2;
    }
    slog_parse_level(o.log_level, &slog_threshold);
    const char *addr = o.http != NULL ? o.http : config.http;
    status.subs = calloc(config.n, sizeof *status.subs);
    bool ok = stop_init(&err) && (status.subs != NULL || err_nomem(&err));
    for (size_t i = 0; ok && i < config.n; i++)
        sub_status_init(&status.subs[i], config.subs[i].name);
    status.n = ok ? config.n : 0;
    ok = ok && (addr == NULL || http_status_start(&http, addr, &apply_status_ops, &status, &err));
    int code;
    if (ok) {
        if (http != NULL)
            slog(SLOG_INFO, "http_listening", kv_u("port", http_status_port(http)));
        code = run_all(&config, &status, &err);
    } else {
        slog_err(SLOG_ERROR, "error", &err);
        code = err_exit_code(&err);
    }
    slog(SLOG_INFO, "stopped", kv_i("exit", code));
    http_status_stop(&http);
    free(status.subs);
    config_clear(&config);
    opts_free(&apply_program, &o, &args);
    return code;
}
