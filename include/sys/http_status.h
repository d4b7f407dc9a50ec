/* http_status.h - a tiny read-only HTTP endpoint over libmicrohttpd: GET /healthz, /metrics, /api/v1/status, nothing
 * else.
 *
 * The callbacks run on the endpoint's own thread and must only read atomics or take short locks. Bound to loopback
 * unless the address says otherwise. Request bodies are refused; at most 32 connections, closed when idle for 10 s, or for
 * a new one's sake: then the one that has gone longest without an answer. */
#ifndef ROWTIDE_HTTP_STATUS_H
#define ROWTIDE_HTTP_STATUS_H

#include "buf.h"

struct http_status;
struct http_status_ops {
    bool (*healthy)(void *ctx, struct buf *why); /* 200 or 503, why as text */
    void (*metrics)(void *ctx, struct buf *out); /* Prometheus text format 0.0.4 */
    void (*status)(void *ctx, struct buf *out);  /* one JSON object */
};
/* addr: "HOST:PORT", "[v6]:PORT", ":PORT" or "PORT"; no host: 127.0.0.1; port 0 picks one (http_status_port tells). */
bool http_status_start(struct http_status **out, const char *addr, const struct http_status_ops *ops, void *ctx,
                       struct err *err);
unsigned http_status_port(const struct http_status *h);
void http_status_stop(struct http_status **h); /* NULL is fine */

#endif
