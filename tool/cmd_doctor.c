/* cmd_doctor.c - rowtide doctor: is this source fit to be captured, and what mends it? The same checks as capture makes at its start. */
#include "tool.h"

#include "json_text.h"
#include "preflight.h"
#include "schema_server.h"

#include <stdio.h>
#include <stdlib.h>

struct doctor_options {
    const char *source, *password_file, *tables, *schema_server, *schema_password_file;
    uint64_t server_id, timeout_ms;
    bool accept_unlogged_cascades, json;
};
static const struct opt options[] = {
    { "source", "URL", NULL, "mysql://USER[:PASS]@HOST[:PORT]/[?ssl-mode=M&ssl-ca=FILE&socket=PATH]", OPT_STR,
      offsetof(struct doctor_options, source), NULL },
    { "password-file", "FILE", NULL, "first line: the password; or $ROWTIDE_SOURCE_PASSWORD", OPT_STR,
      offsetof(struct doctor_options, password_file), NULL },
    { "tables", "LIST", NULL, "what would be captured: 'shop.*,crm.customers,!shop.tmp_*'", OPT_STR,
      offsetof(struct doctor_options, tables), NULL },
    { "schema-server", "URL", NULL,
      "also check the server that is to follow the DDL, where the binlog has no column names", OPT_STR,
      offsetof(struct doctor_options, schema_server), NULL },
    { "schema-password-file", "FILE", NULL, "first line: its password; or $ROWTIDE_SCHEMA_PASSWORD", OPT_STR,
      offsetof(struct doctor_options, schema_password_file), NULL },
    { "server-id", "N", "0", "also check that nobody has this server_id", OPT_UINT,
      offsetof(struct doctor_options, server_id), NULL },
    { "accept-unlogged-cascades", NULL, NULL, "cascades that the source does not log are a warning, not a failure",
      OPT_FLAG, offsetof(struct doctor_options, accept_unlogged_cascades), NULL },
    { "timeout", "TIME", "60s", "give up when the source does not answer for so long", OPT_MSEC,
      offsetof(struct doctor_options, timeout_ms), NULL },
    { "json", NULL, NULL, "one JSON object", OPT_FLAG, offsetof(struct doctor_options, json), NULL },
    { 0 },
};
static const struct opt_program program = {
    .name = "rowtide doctor",
    .synopsis = "--source URL [OPTIONS]",
    .about = "Checks a source's settings, the account's privileges and the captured tables, and prints the SQL that "
             "mends what is wrong. It changes nothing.",
    .epilog = "Example: rowtide doctor --source mysql://rowtide@db1/ --tables 'shop.*'\nExit codes: 0 fit, with or "
              "without warnings; 1 something fails; 2 usage; 3 the source is unreachable.",
    .opts = options,
};

enum { EXIT_FIT, EXIT_UNFIT, EXIT_USAGE, EXIT_UNREACHABLE };

static const char *level_name(enum finding_level l)
{
    switch (l) {
    case FIND_OK:
        return "ok";
    case FIND_INFO:
        return "info";
    case FIND_WARN:
        return "warn";
    case FIND_FAIL:
        return "fail";
    }
    return "?";
}

struct report {
    struct buf out;
    const char *library;
    const char *server; /* "" when there was no connection */
    struct preflight found;
    struct source_status status;
    bool have_status;
};

static void print_text(struct report *r)
{
    static const char *const marks[] = {
        [FIND_OK] = "ok  ", [FIND_INFO] = "info", [FIND_WARN] = "WARN", [FIND_FAIL] = "FAIL"
    };
    for (size_t i = 0; i < r->found.n; i++) {
        const struct finding *f = &r->found.v[i];
        buf_printf(&r->out, "%s  %s: %s\n", marks[f->level], f->check, f->text);
        if (f->mend[0] != '\0')
            buf_printf(&r->out, "      %s\n", f->mend);
    }
    if (r->have_status) {
        struct buf at = { 0 };
        source_pos_text(&r->status.current, &at);
        buf_printf(&r->out, "info  position: %s\n", buf_cstr(&at));
        buf_free(&at);
    }
    buf_printf(&r->out, "%s: %zu failures, %zu warnings (%s)\n",
               r->found.failures == 0 ? "fit to be captured" : "not fit to be captured", r->found.failures,
               r->found.warnings, r->library);
}

static void print_json(struct report *r)
{
    struct buf *o = &r->out;
    buf_printf(o,
               "{\"fit\":%s,\"failures\":%zu,\"warnings\":%zu,\"client\":", r->found.failures == 0 ? "true" : "false",
               r->found.failures, r->found.warnings);
    json_string(o, bytes_str(r->library));
    buf_str(o, ",\"server\":");
    json_string(o, bytes_str(r->server));
    buf_str(o, ",\"position\":");
    struct buf at = { 0 };
    if (r->have_status)
        source_pos_text(&r->status.current, &at);
    json_string(o, buf_view(&at));
    buf_free(&at);
    buf_str(o, ",\"findings\":[");
    for (size_t i = 0; i < r->found.n; i++) {
        const struct finding *f = &r->found.v[i];
        buf_printf(o, "%s{\"level\":\"%s\",\"check\":", i == 0 ? "" : ",", level_name(f->level));
        json_string(o, bytes_str(f->check));
        buf_str(o, ",\"text\":");
        json_string(o, bytes_str(f->text));
        buf_str(o, ",\"mend\":");
        json_string(o, bytes_str(f->mend));
        buf_u8(o, '}');
    }
    buf_str(o, "]}\n");
}

/* A refused login is a finding as well: the server is there, a person has to change something. */
static bool refused(struct report *r, const struct err *e, struct err *err)
{
    struct finding *v = calloc(1, sizeof *v);
    if (v == NULL)
        return err_nomem(err);
    v->level = FIND_FAIL;
    v->check = "connection";
    snprintf(v->text, sizeof v->text, "%.390s", e->msg);
    snprintf(v->mend, sizeof v->mend, "%s",
             e->sys == 1045 || e->sys == 1130 || e->sys == 1698
                 ? "CREATE USER 'rowtide'@'%' IDENTIFIED BY '...'; GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT "
                   "ON *.* TO 'rowtide'@'%';"
                 : "");
    r->found = (struct preflight){ .v = v, .n = 1, .failures = 1 };
    return true;
}

/* The schema server's fitness, a finding more. */
static bool examine_schema(const struct source_url *schema, struct binlog_client *source, struct preflight *found,
                           struct err *err)
{
    struct err why;
    struct finding *v = realloc(found->v, (found->n + 1) * sizeof *v);
    if (v == NULL)
        return err_nomem(err);
    found->v = v;
    v += found->n++;
    *v = (struct finding){ .level = FIND_OK,
                           .check = "schema_server",
                           .text = "the schema server answers, and would do" };
    if (!schema_server_check(schema, source, &why)) {
        v->level = FIND_FAIL;
        found->failures++;
        snprintf(v->text, sizeof v->text, "%.390s", why.msg);
    }
    return true;
}

static bool examine(const struct doctor_options *o, const struct source_url *url, const struct source_url *schema,
                    const struct pattern *tables, struct report *r, char *server, size_t server_cap, struct err *err)
{
    struct binlog_client *c;
    if (!binlog_client_connect(url, (unsigned)((o->timeout_ms + 999) / 1000), &c, err)) {
        if (err->code != ERR_CONFIG)
            return false;
        struct err cause = *err;
        return refused(r, &cause, err);
    }
    snprintf(server, server_cap, "%s", binlog_client_version_text(c));
    const struct preflight_options p = { .tables = tables,
                                         .server_id = (uint32_t)o->server_id,
                                         .schema_server = schema->host != NULL,
                                         .accept_unlogged_cascades = o->accept_unlogged_cascades };
    bool ok = preflight_run(c, &p, &r->found, err) &&
              (schema->host == NULL || examine_schema(schema, c, &r->found, err));
    if (ok) {
        struct err why;
        r->have_status = source_status_read(c, &r->status, &why); /* what prevents it is among the findings */
    }
    binlog_client_close(c);
    return ok;
}

int cmd_doctor(int argc, char **argv)
{
    struct doctor_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    int code = EXIT_USAGE;
    if (!tool_parse(&program, argc, argv, &o, &args, &code)) {
        opts_free(&program, &o, &args);
        return code;
    }
    struct source_url url = { 0 }, schema = { 0 };
    struct pattern *tables = NULL;
    char server[160] = "";
    struct report r = { .library = binlog_client_library(), .server = server };
    char *source = opts_take_url(o.source); /* the process list must not show the password (I10) */
    char *schema_server = opts_take_url(o.schema_server);
    bool ok = source_url_parse(source, o.password_file, &url, &err) &&
              (o.schema_server == NULL || schema_url_parse(schema_server, o.schema_password_file, &schema, &err)) &&
              pattern_parse(o.tables, &tables, &err);
    if (ok && (o.server_id > UINT32_MAX || o.timeout_ms == 0))
        ok = err_set(&err, ERR_CONFIG, "--server-id is a number below 2^32, and --timeout is above 0");
    if (!ok) {
        fprintf(stderr, "%s: %s\n", program.name, err.msg);
        code = EXIT_USAGE;
    } else if (!examine(&o, &url, &schema, tables, &r, server, sizeof server, &err)) {
        code = tool_fail(&program, &err);
        code = err.code == ERR_NET ? EXIT_UNREACHABLE : code;
    } else {
        if (o.json)
            print_json(&r);
        else
            print_text(&r);
        code = r.found.failures == 0 ? EXIT_FIT : EXIT_UNFIT;
        if (!tool_flush(&r.out, &err))
            code = tool_fail(&program, &err);
    }
    preflight_clear(&r.found);
    if (r.have_status)
        source_status_clear(&r.status);
    buf_free(&r.out);
    pattern_free(tables);
    source_url_clear(&url);
    source_url_clear(&schema);
    free(source);
    free(schema_server);
    opts_free(&program, &o, &args);
    return code;
}
