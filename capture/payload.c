/* payload.c - see payload.h. The events inside have no checksums: the one around them covers the compressed bytes. */
#include "payload.h"

#include "wire.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { HEADER_BYTES = 19, SIZE_AT = 9, STEP = 128 * 1024, KEEP_MAX = 16 << 20, WINDOW_LOG_MAX = 27 };
enum { FIELD_END = 0, FIELD_PAYLOAD_SIZE = 1, FIELD_COMPRESSION = 2, FIELD_UNCOMPRESSED_SIZE = 3 };
enum { COMPRESSION_ZSTD = 0, COMPRESSION_NONE = 255 };

struct payload {
    uint64_t max_event;
    ZSTD_DCtx *zstd;
    bool compressed;
    ZSTD_inBuffer in;
    bool drained;       /* all of `in` went through, and the last zstd frame is complete */
    uint64_t announced; /* bytes when uncompressed; UINT64_MAX: not said */
    uint64_t produced;
    struct buf out;
    size_t at; /* what of out was handed over */
};

struct payload *payload_new(uint64_t max_event)
{
    struct payload *p = calloc(1, sizeof *p);
    if (p != NULL)
        p->max_event = max_event;
    return p;
}

void payload_free(struct payload *p)
{
    if (p == NULL)
        return;
    ZSTD_freeDCtx(p->zstd);
    buf_free(&p->out);
    free(p);
}

static bool start_zstd(struct payload *p, struct err *err)
{
    if (p->zstd == NULL) {
        p->zstd = ZSTD_createDCtx();
        if (p->zstd == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(p->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
            return err_nomem(err);
    }
    ZSTD_DCtx_reset(p->zstd, ZSTD_reset_session_only);
    return true;
}

static uint64_t number(struct cur *c, struct bytes value) /* a length-encoded integer inside a field's value */
{
    struct cur v = cur_over(value);
    uint64_t n = wire_lenenc(&v);
    if (v.why != NULL || cur_left(&v) != 0)
        cur_fail(c, "a field that is not one number");
    return n;
}

bool payload_open(struct payload *p, struct bytes body, struct err *err)
{
    struct cur c = cur_over(body);
    uint64_t compression = UINT64_MAX, size = UINT64_MAX;
    p->announced = UINT64_MAX;
    p->produced = 0;
    p->at = 0;
    buf_reset(&p->out);
    if (p->out.cap > KEEP_MAX) /* one huge event must not stay for good */
        buf_free(&p->out);
    for (;;) {
        uint64_t type = wire_lenenc(&c);
        if (c.why != NULL || type == FIELD_END)
            break;
        struct bytes value = wire_lenenc_str(&c);
        if (type == FIELD_COMPRESSION)
            compression = number(&c, value);
        else if (type == FIELD_UNCOMPRESSED_SIZE)
            p->announced = number(&c, value);
        else if (type == FIELD_PAYLOAD_SIZE)
            size = number(&c, value);
    }
    struct bytes rest = cur_take(&c, cur_left(&c));
    if (!cur_ok(&c, "TRANSACTION_PAYLOAD", err))
        return false;
    if (compression == UINT64_MAX || size != rest.n || rest.n == 0)
        return err_set(err, ERR_CORRUPT,
                       "TRANSACTION_PAYLOAD: its head says %lld bytes of compression %lld, but %zu bytes follow",
                       (long long)size, (long long)compression, rest.n);
    if (compression != COMPRESSION_ZSTD && compression != COMPRESSION_NONE)
        return err_set(err, ERR_UNSUPPORTED,
                       "TRANSACTION_PAYLOAD: compression %llu is not known (only zstd is): SET PERSIST "
                       "binlog_transaction_compression "
                       "= OFF at the source, in every session too",
                       (unsigned long long)compression);
    p->compressed = compression == COMPRESSION_ZSTD;
    p->in = (ZSTD_inBuffer){ rest.p, rest.n, 0 };
    p->drained = false;
    return !p->compressed || start_zstd(p, err);
}

/* One more step of output behind out.n. */
static bool decompress(struct payload *p, size_t want, struct err *err)
{
    size_t step = want < STEP ? STEP : want;
    if (!buf_grow(&p->out, step))
        return err_nomem(err);
    ZSTD_outBuffer dst = { p->out.p + p->out.n, step, 0 };
    size_t before = p->in.pos, state = 0;
    if (p->compressed) {
        state = ZSTD_decompressStream(p->zstd, &dst, &p->in);
    } else {
        dst.pos = p->in.size - p->in.pos < step ? p->in.size - p->in.pos : step;
        memcpy(dst.dst, (const uint8_t *)p->in.src + p->in.pos, dst.pos);
        p->in.pos += dst.pos;
    }
    if (ZSTD_isError(state)) {
        if (ZSTD_getErrorCode(state) == ZSTD_error_frameParameter_windowTooLarge)
            return err_set(err, ERR_UNSUPPORTED, "TRANSACTION_PAYLOAD: zstd's window is larger than 128 MiB");
        if (ZSTD_getErrorCode(state) == ZSTD_error_memory_allocation)
            return err_nomem(err);
        return err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD: does not decompress: %s", ZSTD_getErrorName(state));
    }
    p->out.n += dst.pos;
    p->produced += dst.pos;
    p->drained = p->in.pos == p->in.size && state == 0 && (p->compressed || dst.pos < step);
    if (!p->drained && dst.pos == 0 && p->in.pos == before)
        return err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD: the compressed data is truncated");
    if (p->announced != UINT64_MAX && (p->drained ? p->produced != p->announced : p->produced > p->announced))
        return err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD: %llu bytes came out, %llu were announced",
                       (unsigned long long)p->produced, (unsigned long long)p->announced);
    return true;
}

/* At least n bytes behind `at`, unless the payload ends before. Grows only as output arrives, whatever an event's
 * header says. */
static bool fill(struct payload *p, size_t n, struct err *err)
{
    while (p->out.n - p->at < n && !p->drained) {
        if (p->at > 0) { /* here, not for every event: little is left to move */
            memmove(p->out.p, p->out.p + p->at, p->out.n - p->at);
            p->out.n -= p->at;
            p->at = 0;
        }
        size_t missing = n - p->out.n, have = p->out.n;
        if (!decompress(p, missing < have ? missing : have, err))
            return false;
    }
    return true;
}

bool payload_next(struct payload *p, struct bytes *event, bool *last, struct err *err)
{
    if (!fill(p, HEADER_BYTES, err))
        return false;
    size_t have = p->out.n - p->at;
    if (have < HEADER_BYTES)
        return err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD: ends with %zu bytes of an event", have);
    struct cur c = cur_over(bytes_of(p->out.p + p->at + SIZE_AT, 4));
    size_t n = (size_t)cur_le(&c, 4);
    if (n < HEADER_BYTES)
        return err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD: an event of %zu bytes", n);
    if (n > p->max_event)
        return err_set(err, ERR_UNSUPPORTED,
                       "an event of %zu bytes in a TRANSACTION_PAYLOAD is larger than --max-event (%llu bytes)", n,
                       (unsigned long long)p->max_event);
    if (!fill(p, n + 1, err)) /* one byte more tells whether another event follows */
        return false;
    have = p->out.n - p->at;
    if (have < n)
        return err_set(err, ERR_CORRUPT, "TRANSACTION_PAYLOAD: ends inside an event: %zu of %zu bytes", have, n);
    *event = bytes_of(p->out.p + p->at, n);
    *last = p->drained && have == n;
    p->at += n;
    return true;
}
