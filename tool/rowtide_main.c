/* rowtide_main.c - the operator's command: finds the noun and verb, hands over to it. */
#include "tool.h"

#include "slog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct command {
    const char *noun, *verb; /* verb NULL: the noun alone */
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    { "segment", "dump", cmd_segment_dump, "print the records of a slot" },
    { "segment", "verify", cmd_segment_verify, "check every byte of a slot's segments" },
    { "status", NULL, cmd_status, "where capture and each subscription stand, with the lag" },
    { "doctor", NULL, cmd_doctor, "is this source fit to be captured? With the SQL that mends it" },
    { "script", "run", cmd_script_run, "print what a transform makes of a slot's changes" },
    { "binlog", "explain", cmd_binlog_explain, "print the events of a binlog file with their decoded fields" },
    { "slot", "drop", cmd_slot_drop, "end a subscription's registration" },
};

static void usage(FILE *out)
{
    fputs("Usage: rowtide COMMAND [OPTIONS]\n\nThe operator's command of Rowtide, change data capture for MySQL and "
          "MariaDB.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", commands[i].noun, commands[i].verb == NULL ? "" : " ",
                 commands[i].verb == NULL ? "" : commands[i].verb);
        fprintf(out, "  %-16s %s\n", name, commands[i].what);
    }
    fputs("\nrowtide COMMAND --help tells a command's options; each has --json.\n"
          "Exit codes: 0 ok, 1 condition not met, 2 usage or configuration, 3 unreachable, 4 timeout.\n",
          out);
}

/* One man page for all commands, from the same tables as --help (used by the build). */
static void man_page(void)
{
    printf(".TH ROWTIDE 1 \"\" \"Rowtide %s\" \"User Commands\"\n.SH NAME\nrowtide \\- inspect and operate Rowtide "
           "slots\n",
           ROWTIDE_VERSION);
    printf(".SH SYNOPSIS\n.B rowtide\nCOMMAND [OPTIONS]\n.SH COMMANDS\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        printf(".TP\n.B %s %s\n%s\n", commands[i].noun, commands[i].verb == NULL ? "" : commands[i].verb,
               commands[i].what);
    printf(".SH EXIT STATUS\n0 ok, 1 condition not met, 2 usage or configuration, 3 unreachable, 4 timeout.\n"
           ".SH SEE ALSO\n.BR rowtide-capture (1),\n.BR rowtide-apply (1)\n");
}

bool tool_parse(const struct opt_program *prog, int argc, char **argv, void *cfg, struct opt_list *args, int *code)
{
    struct err err = { 0 };
    switch (opts_parse(prog, argc, argv, cfg, args, &err)) {
    case OPTS_OK:
        return true;
    case OPTS_EXIT:
        *code = 0;
        return false;
    case OPTS_BAD:
        break;
    }
    fprintf(stderr, "%s: %s\n", prog->name, err.msg);
    *code = 2;
    return false;
}

int tool_fail(const struct opt_program *prog, const struct err *e)
{
    if (e->code != ERR_STOPPED)
        fprintf(stderr, "%s: %s\n", prog->name, e->msg);
    return err_exit_code(e);
}

bool tool_reader_at(const char *path, uint64_t lsn, struct seg_reader **out, struct err *err)
{
    struct slot *slot = NULL;
    struct slot_segment *segs = NULL;
    size_t n = 0;
    bool ok = slot_open(path, SLOT_READ, &slot, err) && slot_segments(slot, &segs, &n, err);
    uint64_t first = 1;
    for (size_t i = 0; ok && i < n; i++) {
        if (i == 0 || segs[i].first_lsn <= lsn)
            first = segs[i].first_lsn;
    }
    free(segs);
    slot_close(slot);
    return ok && seg_reader_open(path, first - 1, out, err);
}

bool tool_flush(struct buf *b, struct err *err)
{
    if (!buf_ok(b, err))
        return false;
    for (size_t at = 0; at < b->n;) {
        ssize_t w = write(STDOUT_FILENO, b->p + at, b->n - at);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno == EPIPE)
            return err_set(err, ERR_STOPPED, "standard output was closed");
        if (w <= 0)
            return err_sys(err, "write to standard output");
        at += (size_t)w;
    }
    buf_reset(b);
    return true;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    slog_threshold = SLOG_WARN;
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("rowtide %s\n", ROWTIDE_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help-man") == 0) {
        man_page();
        return 0;
    }
    bool noun = false;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->noun, argv[1]) != 0)
            continue;
        noun = true;
        if (c->verb == NULL)
            return c->run(argc - 1, argv + 1);
        if (argc > 2 && strcmp(c->verb, argv[2]) == 0)
            return c->run(argc - 2, argv + 2);
    }
    if (noun)
        fprintf(stderr, "rowtide %s: say which of", argv[1]);
    else
        fprintf(stderr, "rowtide: unknown command %s; commands are", argv[1]);
    const char *between = ": ";
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (noun && strcmp(commands[i].noun, argv[1]) != 0)
            continue;
        fprintf(stderr, "%s%s%s%s", between, commands[i].noun, commands[i].verb == NULL ? "" : " ",
                commands[i].verb == NULL ? "" : commands[i].verb);
        between = ", ";
    }
    fputc('\n', stderr);
    return 2;
}
