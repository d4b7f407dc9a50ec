/* metric.c - the Prometheus text format, version 0.0.4 (metric.h). Source: prometheus.io, "Exposition formats": HELP
 * text escapes backslash and newline, label values the double quote as well; NaN, +Inf and -Inf are spelled so. */
#include "metric.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void escaped(struct buf *out, const char *s, bool quote)
{
    for (; *s != '\0'; s++) {
        if (*s == '\\')
            buf_str(out, "\\\\");
        else if (*s == '\n')
            buf_str(out, "\\n");
        else if (*s == '"' && quote)
            buf_str(out, "\\\"");
        else
            buf_u8(out, (uint8_t)*s);
    }
}

void metric_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s ", name);
    escaped(out, help, false);
    buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

static void series(struct buf *out, const char *name, const char *const *labels)
{
    buf_str(out, name);
    if (labels != NULL && labels[0] != NULL) {
        for (size_t i = 0; labels[i] != NULL && labels[i + 1] != NULL; i += 2) {
            buf_str(out, i == 0 ? "{" : ",");
            buf_str(out, labels[i]);
            buf_str(out, "=\"");
            escaped(out, labels[i + 1], true);
            buf_u8(out, '"');
        }
        buf_u8(out, '}');
    }
    buf_u8(out, ' ');
}

void metric_u64(struct buf *out, const char *name, const char *const *labels, uint64_t v)
{
    series(out, name, labels);
    buf_printf(out, "%" PRIu64 "\n", v);
}

void metric_f64(struct buf *out, const char *name, const char *const *labels, double v)
{
    series(out, name, labels);
    if (isnan(v)) {
        buf_str(out, "NaN\n");
        return;
    }
    if (isinf(v)) {
        buf_str(out, v < 0 ? "-Inf\n" : "+Inf\n");
        return;
    }
    char text[32]; /* 15 digits read well, 17 always suffice (IEEE 754 double) */
    snprintf(text, sizeof text, "%.15g", v);
    if (strtod(text, NULL) != v)
        snprintf(text, sizeof text, "%.17g", v);
    buf_printf(out, "%s\n", text);
}
