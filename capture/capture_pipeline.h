/* capture_pipeline.h - source -> stream -> frames -> log: connects and reconnects, closes frames (latency first when idle, compression first
 * when busy), knows when --once is done. Owns the threads. */
#ifndef ROWTIDE_CAPTURE_PIPELINE_H
#define ROWTIDE_CAPTURE_PIPELINE_H

#include "capture_options.h"
#include "capture_status.h"

/* Runs until stopped, done (--once) or failed. ERR_STOPPED is never returned: a stop is success. */
bool capture_run(const struct capture_options *o, struct capture_status *status, struct err *err);

#endif
