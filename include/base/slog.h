/* slog.h - one line per event on stderr: logfmt, a fixed event name, then key=value pairs, one write(2) each.
 *
 *   slog(SLOG_INFO, "segment_sealed", kv_s("file", name), kv_u("bytes", n));
 *   ts=2026-08-24T10:11:12.345678Z level=info event=segment_sealed file=42.seg bytes=131072
 *
 * Keys carry their unit: lag_ms, size_bytes. Never log row contents or passwords (I10): a row is identified by table,
 * key and source position. Error: someone must act. Warn: we coped. Info: state changes. Debug: for developers.
 * Thread: any, after slog_threshold is set. */
#ifndef ROWTIDE_SLOG_H
#define ROWTIDE_SLOG_H

#include "bytes.h"

enum slog_level { SLOG_ERROR, SLOG_WARN, SLOG_INFO, SLOG_DEBUG };

struct kv {
    const char *key; /* NULL ends a list */
    enum { KV_STR, KV_INT, KV_UINT, KV_FLOAT } type;
    union {
        const char *s;
        int64_t i;
        uint64_t u;
        double f;
    } v;
};
#define kv_s(k, x) ((struct kv){ (k), KV_STR, { .s = (x) } })
#define kv_i(k, x) ((struct kv){ (k), KV_INT, { .i = (x) } })
#define kv_u(k, x) ((struct kv){ (k), KV_UINT, { .u = (x) } })
#define kv_f(k, x) ((struct kv){ (k), KV_FLOAT, { .f = (x) } })

#define slog(lv, ...)                                                                                                  \
    do {                                                                                                               \
        if ((lv) <= slog_threshold)                                                                                    \
            SLOG_EMIT((lv), __VA_ARGS__, { 0 });                                                                       \
    } while (0)
#define SLOG_EMIT(lv, ev, ...) slog_emit((lv), (ev), (const struct kv[]){ __VA_ARGS__ })

extern enum slog_level slog_threshold; /* set once in main, before threads start; SLOG_INFO at first */
void slog_emit(enum slog_level lv, const char *event, const struct kv *kv);
void slog_err(enum slog_level lv, const char *event, const struct err *e); /* event with code, errno, msg of e */
bool slog_parse_level(const char *name, enum slog_level *out);             /* error warn info debug */

#endif
