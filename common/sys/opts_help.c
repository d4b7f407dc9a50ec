/* opts_help.c - prints an option table: --help at 100 columns, --version, and the man page (troff with the man macros,
 * man(7) and groff_man(7)) that the build installs. One table, so that they cannot disagree. */
#include "buf.h"
#include "opts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef ROWTIDE_VERSION
#define ROWTIDE_VERSION "unknown"
#endif

enum { WIDTH = 100, HELP_COL_MAX = 34 };

static size_t columns(const char *s, size_t n) /* UTF-8 continuation bytes take none */
{
    size_t w = 0;
    for (size_t i = 0; i < n; i++)
        w += ((unsigned char)s[i] & 0xC0) != 0x80;
    return w;
}

static void spaces(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_u8(out, ' ');
}

/* Words of s from column col on; further lines start at indent. A newline in s starts a line. Ends with a newline. */
static void wrap(struct buf *out, const char *s, size_t col, size_t indent)
{
    bool first = true;
    while (*s != '\0') {
        if (*s == '\n' || *s == ' ') {
            if (*s++ == '\n') {
                buf_u8(out, '\n');
                spaces(out, *s == '\n' ? 0 : indent);
                col = indent;
                first = true;
            }
            continue;
        }
        size_t n = strcspn(s, " \n"), w = columns(s, n);
        if (!first && col + 1 + w > WIDTH) {
            buf_u8(out, '\n');
            spaces(out, indent);
            col = indent;
        } else if (!first) {
            buf_u8(out, ' ');
            col++;
        }
        buf_put(out, s, n);
        col += w;
        s += n;
        first = false;
    }
    buf_u8(out, '\n');
}

static bool on_by_default(const struct opt *o)
{
    return o->type == OPT_FLAG && o->def != NULL &&
           (strcmp(o->def, "true") == 0 || strcmp(o->def, "yes") == 0 || strcmp(o->def, "on") == 0 ||
            strcmp(o->def, "1") == 0);
}

static void left_side(struct buf *out, const struct opt *o)
{
    buf_printf(out, "--%s%s", on_by_default(o) ? "[no-]" : "", o->name);
    if (o->type != OPT_FLAG)
        buf_printf(out, " %s", o->arg == NULL ? "VALUE" : o->arg);
}

/* The help text with what the table knows besides: choices, default, whether it repeats. */
static void right_side(struct buf *out, const struct opt *o)
{
    buf_str(out, o->help == NULL ? "" : o->help);
    const char *sep = out->n == 0 ? "(" : " (", *end = "";
    if (o->choices != NULL) {
        buf_printf(out, "%sone of: ", sep);
        for (const char *p = o->choices; *p != '\0'; p++) {
            if (*p == '|')
                buf_str(out, ", ");
            else
                buf_u8(out, (uint8_t)*p);
        }
        sep = "; ";
        end = ")";
    }
    if (o->type == OPT_LIST) {
        buf_printf(out, "%srepeatable", sep);
        sep = "; ";
        end = ")";
    }
    if (o->def != NULL && o->def[0] != '\0' && (o->type != OPT_FLAG || on_by_default(o))) {
        buf_printf(out, "%sdefault: %s", sep, on_by_default(o) ? "on" : o->def);
        end = ")";
    }
    buf_str(out, end);
}

static const struct opt always[] = { { .name = "help", .help = "show this help", .type = OPT_FLAG },
                                     { .name = "version", .help = "show the version", .type = OPT_FLAG },
                                     { .name = NULL } };

static size_t help_column(const struct opt *opts)
{
    size_t col = 0;
    struct buf left = { 0 };
    for (; opts->name != NULL; opts++) {
        buf_reset(&left);
        left_side(&left, opts);
        size_t need = 2 + columns((const char *)left.p, left.n) + 2;
        if (opts->name[0] != '\0' && need > col && need <= HELP_COL_MAX)
            col = need;
    }
    buf_free(&left);
    return col < 16 ? 16 : col;
}

static void help_rows(struct buf *out, const struct opt *opts, size_t col)
{
    struct buf cell = { 0 };
    for (; opts->name != NULL; opts++) {
        if (opts->name[0] == '\0') { /* a heading */
            buf_printf(out, "\n%s:\n", opts->help);
            continue;
        }
        buf_reset(&cell);
        left_side(&cell, opts);
        size_t at = 2 + columns((const char *)cell.p, cell.n);
        buf_str(out, "  ");
        buf_bytes(out, buf_view(&cell));
        if (at + 2 > col) {
            buf_u8(out, '\n');
            at = 0;
        }
        spaces(out, col - at);
        buf_reset(&cell);
        right_side(&cell, opts);
        wrap(out, buf_cstr(&cell), col, col);
    }
    buf_free(&cell);
}

static void help_epilog(struct buf *out, const char *s)
{
    buf_u8(out, '\n');
    while (*s != '\0') {
        size_t n = strcspn(s, "\n");
        if (n == 0 || isspace((unsigned char)s[0])) { /* an example, a table: as it is */
            buf_put(out, s, n);
            buf_u8(out, '\n');
        } else {
            struct buf line = { 0 };
            buf_put(&line, s, n);
            wrap(out, buf_cstr(&line), 0, 0);
            buf_free(&line);
        }
        s += n + (s[n] == '\n');
    }
}

static void print(struct buf *out)
{
    if (!out->failed)
        fwrite(out->p, 1, out->n, stdout);
    fflush(stdout);
    buf_free(out);
}

void opts_print_help(const struct opt_program *prog)
{
    struct buf out = { 0 };
    size_t col = help_column(prog->opts);
    buf_printf(&out, "Usage: %s ", prog->name);
    size_t indent = strlen("Usage: ") + strlen(prog->name) + 1;
    wrap(&out, prog->synopsis, indent, indent);
    if (prog->about != NULL) {
        buf_u8(&out, '\n');
        wrap(&out, prog->about, 0, 0);
    }
    if (prog->opts->name == NULL || prog->opts->name[0] != '\0')
        buf_str(&out, "\nOptions:\n");
    help_rows(&out, prog->opts, col);
    help_rows(&out, always, col);
    if (prog->epilog != NULL)
        help_epilog(&out, prog->epilog);
    print(&out);
}

void opts_print_version(const struct opt_program *prog)
{
    printf("%s %s\n", prog->name, ROWTIDE_VERSION);
    fflush(stdout);
}

/* One Unicode character from s, as groff's \[uXXXX]: the page then needs no preconv. Returns the bytes taken. */
static size_t troff_char(struct buf *out, const char *s)
{
    unsigned char c = (unsigned char)s[0];
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    unsigned long u = c & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            return 1; /* not UTF-8: dropped; help texts are ours */
        u = u << 6 | ((unsigned char)s[i] & 0x3F);
    }
    buf_printf(out, "\\[u%04lX]", u);
    return n;
}

/* Text that troff must not read as a request or an escape; "-" stays an ASCII minus, so that options can be pasted. */
static void troff(struct buf *out, const char *s, size_t n)
{
    bool line_start = out->n == 0 || out->p[out->n - 1] == '\n';
    for (const char *end = s + n; s < end;) {
        if (line_start && (*s == '.' || *s == '\''))
            buf_str(out, "\\&");
        line_start = *s == '\n';
        if ((unsigned char)*s >= 0x80) {
            s += troff_char(out, s);
            continue;
        }
        if (*s == '\\')
            buf_str(out, "\\e");
        else if (*s == '-')
            buf_str(out, "\\-");
        else if (*s == '\'')
            buf_str(out, "\\(aq");
        else
            buf_u8(out, (uint8_t)*s);
        s++;
    }
}

static void troff_str(struct buf *out, const char *s)
{
    troff(out, s, strlen(s));
}

static void troff_upper(struct buf *out, const char *s, size_t n)
{
    struct buf up = { 0 };
    for (size_t i = 0; i < n; i++)
        buf_u8(&up, (uint8_t)((unsigned char)s[i] < 0x80 ? toupper((unsigned char)s[i]) : s[i]));
    troff_str(out, buf_cstr(&up));
    buf_free(&up);
}

static void man_rows(struct buf *out, const struct opt *opts, const char *heading)
{
    struct buf cell = { 0 };
    for (; opts->name != NULL; opts++) {
        if (opts->name[0] == '\0') {
            buf_printf(out, "%s \"", heading);
            troff_str(out, opts->help);
            buf_str(out, "\"\n");
            continue;
        }
        buf_str(out, ".TP\n\\fB");
        troff_str(out, on_by_default(opts) ? "--[no-]" : "--");
        troff_str(out, opts->name);
        buf_str(out, "\\fR");
        if (opts->type != OPT_FLAG) {
            buf_str(out, " \\fI");
            troff_str(out, opts->arg == NULL ? "VALUE" : opts->arg);
            buf_str(out, "\\fR");
        }
        buf_u8(out, '\n');
        buf_reset(&cell);
        right_side(&cell, opts);
        troff_str(out, buf_cstr(&cell));
        buf_u8(out, '\n');
    }
    buf_free(&cell);
}

/* Paragraphs: an empty line in the text starts a new one. */
static void man_text(struct buf *out, const char *s)
{
    for (; *s != '\0'; s++) {
        size_t n = strcspn(s, "\n");
        if (n == 0)
            buf_str(out, ".PP\n");
        else {
            troff(out, s, n);
            buf_u8(out, '\n');
        }
        s += n;
        if (*s == '\0')
            break;
    }
}

static void heading(struct buf *out, const char *macro, const char *s, size_t n)
{
    buf_printf(out, "%s \"", macro);
    if (strcmp(macro, ".SH") == 0)
        troff_upper(out, s, n);
    else
        troff(out, s, n);
    buf_str(out, "\"\n");
}

/* Three kinds of lines: "Examples:" becomes a heading, an indented line keeps its shape, the rest is filled text. */
static void man_epilog(struct buf *out, const char *s, const char *macro)
{
    enum { START, HEADING, TEXT, LITERAL } before = START;
    bool gap = false; /* the line before was empty */
    while (*s != '\0') {
        size_t n = strcspn(s, "\n");
        bool literal = n != 0 && isspace((unsigned char)s[0]);
        if (n != 0 && before == LITERAL && !literal)
            buf_str(out, ".fi\n");
        if (literal) {
            buf_str(out, before == START ? ".PP\n" : "");
            buf_str(out, gap && before != HEADING ? ".sp\n" : "");
            buf_str(out, before == LITERAL ? "" : ".nf\n");
            before = LITERAL;
        } else if (n != 0 && s[n - 1] == ':') {
            heading(out, macro, s, n - 1);
            before = HEADING;
        } else if (n != 0) {
            if (before == START && strcmp(macro, ".SH") == 0)
                heading(out, macro, "Notes", 5);
            else if (before != HEADING && (before != TEXT || gap))
                buf_str(out, ".PP\n");
            before = TEXT;
        }
        if (before != HEADING && n != 0) {
            troff(out, s, n);
            buf_u8(out, '\n');
        }
        gap = n == 0;
        s += n + (s[n] == '\n');
    }
    buf_str(out, before == LITERAL ? ".fi\n" : "");
}

static size_t first_sentence(const char *s)
{
    size_t n = 0;
    for (; s[n] != '\0' && s[n] != '\n'; n++)
        if (s[n] == '.' && (s[n + 1] == ' ' || s[n + 1] == '\n' || s[n + 1] == '\0'))
            break;
    return n;
}

static void man_command(struct buf *out, const struct opt_program *c)
{
    buf_str(out, ".SS \"");
    troff_str(out, c->name);
    buf_str(out, "\"\n\\fB");
    troff_str(out, c->name);
    buf_str(out, "\\fR ");
    troff_str(out, c->synopsis);
    buf_str(out, "\n.PP\n");
    if (c->about != NULL)
        man_text(out, c->about);
    man_rows(out, c->opts, ".PP\n.B");
    if (c->epilog != NULL)
        man_epilog(out, c->epilog, ".PP\n.B");
}

void opts_print_man(const struct opt_program *prog, const struct opt_program *const *commands, size_t n)
{
    struct buf out = { 0 };
    buf_str(&out, ".TH \"");
    troff_upper(&out, prog->name, strlen(prog->name));
    buf_printf(&out, "\" 1 \"\" \"Rowtide %s\" \"Rowtide\"\n.SH NAME\n", ROWTIDE_VERSION);
    troff_str(&out, prog->name);
    buf_str(&out, " \\- ");
    const char *about = prog->about == NULL ? "change data capture for MySQL and MariaDB" : prog->about;
    troff(&out, about, first_sentence(about));
    buf_str(&out, "\n.SH SYNOPSIS\n\\fB");
    troff_str(&out, prog->name);
    buf_str(&out, "\\fR ");
    troff_str(&out, prog->synopsis);
    buf_str(&out, "\n.SH DESCRIPTION\n");
    man_text(&out, about);
    buf_str(&out, ".SH OPTIONS\n");
    man_rows(&out, prog->opts, ".SS");
    man_rows(&out, always, ".SS");
    if (n != 0)
        buf_str(&out, ".SH COMMANDS\n");
    for (size_t i = 0; i < n; i++)
        man_command(&out, commands[i]);
    if (prog->epilog != NULL)
        man_epilog(&out, prog->epilog, ".SH");
    print(&out);
}
