/* metric.h - helpers that write the Prometheus text format (version 0.0.4): HELP and TYPE once a family, escaped
 * labels. */
#ifndef ROWTIDE_METRIC_H
#define ROWTIDE_METRIC_H

#include "buf.h"

/* type: "counter", "gauge", "histogram". */
void metric_family(struct buf *out, const char *name, const char *type, const char *help);
/* labels: NULL-terminated pairs key, value, key, value ...; may be NULL. */
void metric_u64(struct buf *out, const char *name, const char *const *labels, uint64_t v);
void metric_f64(struct buf *out, const char *name, const char *const *labels, double v);

#endif
