/* test_metric.c - Prometheus text format 0.0.4; examples after prometheus.io "Exposition formats". */
#include "metric.h"
#include "unit.h"

#include <math.h>

static const struct {
    const char *name;
    const char *const *labels;
    double v;
    const char *want;
} cases[] = {
    { "plain", NULL, 3, "m 3\n" },
    { "empty labels", (const char *const[]){ NULL }, 0.5, "m 0.5\n" },
    { "two labels", (const char *const[]){ "slot", "a", "subscription", "b", NULL }, 1,
      "m{slot=\"a\",subscription=\"b\"} 1\n" },
    { "escapes", (const char *const[]){ "p", "C:\\a \"q\"\n", NULL }, 1, "m{p=\"C:\\\\a \\\"q\\\"\\n\"} 1\n" },
    { "odd pair is left out", (const char *const[]){ "a", "b", "c", NULL }, 1, "m{a=\"b\"} 1\n" },
    { "nan", NULL, NAN, "m NaN\n" },
    { "inf", NULL, INFINITY, "m +Inf\n" },
    { "-inf", NULL, -INFINITY, "m -Inf\n" },
    { "short", NULL, 0.1, "m 0.1\n" },
    { "needs 17 digits", NULL, 0.1 + 0.2, "m 0.30000000000000004\n" },
    { "large", NULL, 1e21, "m 1e+21\n" },
};

int main(void)
{
    struct buf b = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&b);
        metric_f64(&b, "m", cases[i].labels, cases[i].v);
        CHECK(strcmp(buf_cstr(&b), cases[i].want) == 0, "%s: want %s, got %s", cases[i].name, cases[i].want,
              buf_cstr(&b));
    }
    buf_reset(&b);
    metric_family(&b, "rowtide_x_total", "counter", "Lines \\ and\nbreaks, \"quotes\" stay.");
    metric_u64(&b, "rowtide_x_total", (const char *const[]){ "t", "s", NULL }, UINT64_MAX);
    const char *want =
        "# HELP rowtide_x_total Lines \\\\ and\\nbreaks, \"quotes\" stay.\n# TYPE rowtide_x_total counter\n"
        "rowtide_x_total{t=\"s\"} 18446744073709551615\n";
    CHECK(strcmp(buf_cstr(&b), want) == 0, "got %s", buf_cstr(&b));
    buf_free(&b);
    return UNIT_END();
}
