/* test_opts.c - parsing by table: values, defaults, every kind of mistake; help and man page layout. */
#include "buf.h"
#include "opts.h"
#include "unit.h"

#include <unistd.h>

struct cfg {
    const char *source, *mode;
    struct opt_list tables;
    uint64_t batch_bytes, flush_ms, workers;
    bool dry_run, fsync;
};
#define AT(f) offsetof(struct cfg, f)
static const struct opt table[] = {
    { "", NULL, NULL, "Source options", OPT_FLAG, 0, NULL },
    { "source", "URL", NULL,
      "where from; \\ - and a long text that has to be wrapped because it does not fit into what is left", OPT_STR,
      AT(source), NULL },
    { "mode", "MODE", "fast", "how", OPT_STR, AT(mode), "fast|safe|safest" },
    { "table", "PATTERN", "all.*", "which tables", OPT_LIST, AT(tables), NULL },
    { "", NULL, NULL, "Other options", OPT_FLAG, 0, NULL },
    { "batch-bytes", "SIZE", "8MiB", "commit once a batch holds SIZE", OPT_SIZE, AT(batch_bytes), NULL },
    { "flush-after", "TIME", "200ms", "commit at least this often", OPT_MSEC, AT(flush_ms), NULL },
    { "workers", "N", NULL, "how many", OPT_UINT, AT(workers), NULL },
    { "dry-run", NULL, NULL, "write nothing", OPT_FLAG, AT(dry_run), NULL },
    { "fsync", NULL, "true", "wait for the disk", OPT_FLAG, AT(fsync), NULL },
    { .name = NULL },
};
static const struct opt_program prog = {
    "prog",
    "--source URL [OPTIONS] [FILE...]",
    "First sentence. Second one with an umlaut: \xC3\xA4.",
    "Examples:\n  prog --source 'x'\n  .dotted\n\nExit codes:\n  0  fine\n\nSee: a line that is text and that has to "
    "be wrapped because it does not fit into one hundred columns at all.",
    table,
    0,
    2
};

enum { MAX_ARGS = 8 };
static const struct {
    const char *name;
    const char *argv[MAX_ARGS];
    const char *want; /* the fields as text, or "!part of the error" */
} cases[] = {
    { "defaults", { NULL }, "- fast [all.*] 8388608 200 0 0 1 []" },
    { "separate value", { "--source", "a" }, "a fast [all.*] 8388608 200 0 0 1 []" },
    { "joined value", { "--source=a=b" }, "a=b fast [all.*] 8388608 200 0 0 1 []" },
    { "empty value", { "--source=" }, " fast [all.*] 8388608 200 0 0 1 []" },
    { "value with dashes", { "--source", "--x" }, "--x fast [all.*] 8388608 200 0 0 1 []" },
    { "last one counts", { "--source=a", "--source=b" }, "b fast [all.*] 8388608 200 0 0 1 []" },
    { "a list replaces its default",
      { "--table=a", "--table", "b", "--table=c" },
      "- fast [a,b,c] 8388608 200 0 0 1 []" },
    { "flags", { "--dry-run", "--no-fsync" }, "- fast [all.*] 8388608 200 0 1 0 []" },
    { "flags back", { "--dry-run", "--no-dry-run", "--fsync=no", "--fsync" }, "- fast [all.*] 8388608 200 0 0 1 []" },
    { "numbers",
      { "--batch-bytes=1GiB", "--flush-after=2min", "--workers=18446744073709551615" },
      "- fast [all.*] 1073741824 120000 18446744073709551615 0 1 []" },
    { "choice", { "--mode=safe" }, "- safe [all.*] 8388608 200 0 0 1 []" },
    { "positional", { "a", "--dry-run", "b" }, "- fast [all.*] 8388608 200 0 1 1 [a,b]" },
    { "after --", { "--", "--dry-run", "-x" }, "- fast [all.*] 8388608 200 0 0 1 [--dry-run,-x]" },
    { "a dash alone", { "-" }, "- fast [all.*] 8388608 200 0 0 1 [-]" },
    { "too many", { "a", "b", "cc" }, "!unexpected argument \"cc\": prog --source URL" },
    { "no value", { "--source" }, "!--source needs a value: --source URL" },
    { "an option as value", { "--source", "--dry-run" }, "!--source needs a value" },
    { "swapped letters", { "--bacth-bytes=1" }, "!did you mean --batch-bytes?" },
    { "missing letter", { "--sorce=x" }, "!did you mean --source?" },
    { "prefix", { "--batch" }, "!did you mean --batch-bytes?" },
    { "negated typo", { "--no-fsnc" }, "!did you mean --no-fsync?" },
    { "help typo", { "--hlep" }, "!did you mean --help?" },
    { "nothing near", { "--zzzzzzzz=secret" }, "!unknown option --zzzzzzzz; prog --help lists all" },
    { "a section is no option", { "--=x" }, "!unknown option --" },
    { "no- for a value", { "--no-source" }, "!unknown option --no-source" },
    { "no- with value", { "--no-fsync=yes" }, "!--no-fsync takes no value" },
    { "short", { "-xyz" }, "!unknown option -x: options have two dashes" },
    { "bad choice", { "--mode=saf" }, "!--mode: \"saf\" is not one of fast|safe|safest" },
    { "empty choice", { "--mode=" }, "!--mode: \"\" is not one of" },
    { "two choices", { "--mode=fast|safe" }, "!is not one of" },
    { "bad size", { "--batch-bytes=5 apples" }, "!--batch-bytes: \"5 apples\" is not a size" },
    { "bad flag", { "--fsync=maybe" }, "!--fsync: \"maybe\" is neither true nor false" },
    { "bad uint", { "--workers=-1" }, "!--workers: \"-1\" is not a whole number" },
    { "uint too large", { "--workers=18446744073709551616" }, "!is not a whole number" },
};

static void show_list(struct buf *out, const struct opt_list *l)
{
    buf_str(out, "[");
    for (size_t i = 0; i < l->n; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ",", l->v[i]);
    buf_str(out, "]");
}

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *argv[MAX_ARGS + 2] = { "prog" };
        int argc = 1;
        for (; argc <= MAX_ARGS && cases[i].argv[argc - 1] != NULL; argc++)
            argv[argc] = cases[i].argv[argc - 1];
        struct cfg c;
        memset(&c, 0xA5, sizeof c); /* nothing may stay unset */
        struct opt_list args;
        struct err e = { 0 };
        struct buf got = { 0 };
        enum opts_result r = opts_parse(&prog, argc, (char **)(uintptr_t)argv, &c, &args, &e);
        if (r == OPTS_OK) {
            buf_printf(&got, "%s %s ", c.source == NULL ? "-" : c.source, c.mode);
            show_list(&got, &c.tables);
            buf_printf(&got, " %llu %llu %llu %d %d ", (unsigned long long)c.batch_bytes,
                       (unsigned long long)c.flush_ms, (unsigned long long)c.workers, c.dry_run, c.fsync);
            show_list(&got, &args);
            opts_free(&prog, &c, &args);
        } else {
            buf_printf(&got, "!%s", e.msg);
            CHECK(r == OPTS_BAD && e.code == ERR_CONFIG, "%s: result %d, code %d", cases[i].name, r, e.code);
        }
        const char *text = buf_cstr(&got), *want = cases[i].want;
        CHECK(want[0] == '!' ? text[0] == '!' && strstr(text, want + 1) != NULL : strcmp(text, want) == 0,
              "%s: want %s, got %s", cases[i].name, want, text);
        CHECK(strstr(text, "secret") == NULL, "a value of an unknown option is not repeated");
        buf_free(&got);
    }
    struct opt_program strict = prog;
    strict.min_args = 1;
    struct cfg c;
    struct opt_list args;
    struct err e;
    const char *argv[] = { "prog", NULL };
    CHECK(opts_parse(&strict, 1, (char **)(uintptr_t)argv, &c, &args, &e) == OPTS_BAD &&
              strstr(e.msg, "missing") != NULL,
          "a missing argument");
}

static const struct {
    const char *text;
    uint64_t size, msec; /* UINT64_MAX: an error */
} units[] = {
    { "0", 0, 0 },
    { "5", 5, UINT64_MAX },
    { "5B", 5, UINT64_MAX },
    { "2KiB", 2048, UINT64_MAX },
    { "3 mib", 3 << 20, UINT64_MAX },
    { "1TiB", UINT64_C(1) << 40, UINT64_MAX },
    { "16777215TiB", UINT64_C(16777215) << 40, UINT64_MAX },
    { "16777216TiB", UINT64_MAX, UINT64_MAX },
    { "10ms", UINT64_MAX, 10 },
    { "2s", UINT64_MAX, 2000 },
    { "1h", UINT64_MAX, 3600000 },
    { "7d", UINT64_MAX, 604800000 },
    { "5kB", UINT64_MAX, UINT64_MAX },
    { "1.5GiB", UINT64_MAX, UINT64_MAX },
    { "-1s", UINT64_MAX, UINT64_MAX },
    { "", UINT64_MAX, UINT64_MAX },
    { "ms", UINT64_MAX, UINT64_MAX },
    { "99999999999999999999d", UINT64_MAX, UINT64_MAX },
};

static void test_units(void)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct err e;
        uint64_t size = UINT64_MAX, msec = UINT64_MAX;
        bool a = opts_parse_size(units[i].text, &size, &e), b = opts_parse_msec(units[i].text, &msec, &e);
        CHECK(a == (units[i].size != UINT64_MAX) && size == units[i].size, "size of \"%s\"", units[i].text);
        CHECK(b == (units[i].msec != UINT64_MAX) && msec == units[i].msec, "time of \"%s\"", units[i].text);
    }
}

/* What one option that prints writes to stdout. */
static void captured(const char *option, struct buf *out)
{
    char name[] = "/tmp/rowtide-test-opts-XXXXXX";
    int fd = mkstemp(name), old = dup(STDOUT_FILENO);
    if (fd < 0 || old < 0)
        abort();
    unlink(name);
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    struct cfg c;
    struct opt_list args;
    struct err e;
    const char *argv[] = { "prog", "--table=x", "pos", option, NULL };
    enum opts_result r = opts_parse(&prog, 4, (char **)(uintptr_t)argv, &c, &args, &e);
    fflush(stdout);
    dup2(old, STDOUT_FILENO);
    close(old);
    CHECK(r == OPTS_EXIT && args.n == 0 && c.tables.n == 0, "%s ends the program", option);
    static char text[20000];
    ssize_t n = pread(fd, text, sizeof text, 0);
    close(fd);
    buf_reset(out);
    buf_put(out, text, n < 0 ? 0 : (size_t)n);
}

static void test_print(void)
{
    struct buf b = { 0 };
    captured("--version", &b);
    CHECK(strcmp(buf_cstr(&b), "prog " ROWTIDE_VERSION "\n") == 0, "got %s", buf_cstr(&b));

    captured("--help", &b);
    const char *s = buf_cstr(&b);
    static const char *const help[] = {
        "Usage: prog --source URL [OPTIONS] [FILE...]\n",
        "\nSource options:\n  --source URL        where from;",
        "\n  --mode MODE         how (one of: fast, safe, safest; default: fast)\n",
        "\n  --table PATTERN     which tables (repeatable; default: all.*)\n",
        "\n  --dry-run           write nothing\n",
        "\n  --[no-]fsync        wait for the disk (default: on)\n",
        "\n  --version           show the version\n",
        "\nExit codes:\n  0  fine\n\nSee: a line that is text and",
    };
    for (size_t i = 0; i < sizeof help / sizeof *help; i++)
        CHECK(strstr(s, help[i]) != NULL, "help lacks \"%s\":\n%s", help[i], s);
    for (const char *p = s; *p != '\0'; p += strcspn(p, "\n") + 1)
        CHECK(strcspn(p, "\n") <= 100, "line too long: %.120s", p);

    captured("--help-man", &b);
    s = buf_cstr(&b);
    static const char *const man[] = {
        ".TH \"PROG\" 1 ",
        ".SH NAME\nprog \\- First sentence\n",
        "umlaut: \\[u00E4].",
        ".SS \"Source options\"\n.TP\n\\fB\\-\\-source\\fR \\fIURL\\fR\nwhere from; \\e \\- and",
        "\n.SH \"EXAMPLES\"\n.nf\n",
        "prog \\-\\-source \\(aqx\\(aq\n",
        "  .dotted\n.fi\n.SH \"EXIT CODES\"\n.nf\n  0  fine\n.fi\n.PP\nSee: a line",
    };
    for (size_t i = 0; i < sizeof man / sizeof *man; i++)
        CHECK(strstr(s, man[i]) != NULL, "the man page lacks \"%s\":\n%s", man[i], s);
    buf_free(&b);
}

int main(void)
{
    test_cases();
    test_units();
    test_print();
    return UNIT_END();
}
