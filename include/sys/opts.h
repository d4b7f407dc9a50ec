/* opts.h - one option table drives parsing, --help and docs. GNU style: --name VALUE, --name=VALUE, --flag; the rest
 * are positional. A bad option says which, what was wrong and how --help is reached. Thread: main only. */
#ifndef ROWTIDE_OPTS_H
#define ROWTIDE_OPTS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum opt_type {
    OPT_STR,  /* const char * */
    OPT_LIST, /* struct opt_list: may be given several times */
    OPT_SIZE, /* uint64_t bytes; B KiB MiB GiB TiB */
    OPT_MSEC, /* uint64_t milliseconds; ms s min h d; a number without a unit is an error */
    OPT_UINT, /* uint64_t */
    OPT_FLAG  /* bool; --no-NAME clears it */
};
struct opt_list {
    const char **v;
    size_t n;
};
struct opt {
    const char *name; /* without dashes; NULL ends the table; "" makes help a heading for what follows */
    const char *arg;  /* placeholder in --help, NULL for flags */
    const char *def;  /* default, parsed like user input; NULL: zero */
    const char *help;
    enum opt_type type;
    size_t off;          /* offsetof in the configuration struct */
    const char *choices; /* "a|b|c" for an OPT_STR with fixed values, else NULL */
};
struct opt_program {
    const char *name;     /* "rowtide-capture" */
    const char *synopsis; /* "--source URL --slot DIR [OPTIONS]" */
    const char *about;    /* one paragraph */
    const char *epilog;   /* examples, exit codes; may be NULL */
    const struct opt *opts;
    int min_args, max_args; /* positional arguments allowed; max_args -1: any number */
};
enum opts_result { OPTS_OK, OPTS_EXIT /* --help or --version was printed on stdout */, OPTS_BAD };

/* Fills defaults first. Positional arguments are collected in args (views into argv; free with opts_free); after
 * OPTS_EXIT and OPTS_BAD nothing is left to free. The first value given for a list replaces its default. */
enum opts_result opts_parse(const struct opt_program *prog, int argc, char **argv, void *cfg, struct opt_list *args,
                            struct err *err);
void opts_free(const struct opt_program *prog, void *cfg, struct opt_list *args);
/* A heap copy of a URL argument, whose password (userinfo, password= parameter) is then overwritten with '*' in place: argv is what a
 * process list shows (I10). arg must be writable memory, as argv is. NULL: out of memory, or arg is NULL. */
char *opts_take_url(const char *arg);
bool opts_parse_size(const char *s, uint64_t *out, struct err *err);
bool opts_parse_msec(const char *s, uint64_t *out, struct err *err);
void opts_print_help(const struct opt_program *prog);
void opts_print_version(const struct opt_program *prog); /* "NAME VERSION" */
/* The same table as a man page of section 1 (troff), used by the build; opts_parse prints it for --help-man. A program
 * with subcommands calls this itself with their tables, to get one page (n 0: none). */
void opts_print_man(const struct opt_program *prog, const struct opt_program *const *commands, size_t n);

#endif
