/* test_payload.c - TRANSACTION_PAYLOAD's reader: sizes that lie, every truncation, events around the steps of
 * decompression, limits. */
#include "payload.h"
#include "unit.h"

#include <zstd.h>

enum { MAX_EVENT = 3 << 20 };

/* An event of n bytes, its contents by a pattern. */
static void put_event(struct buf *b, size_t n, uint8_t fill)
{
    buf_le(b, 0, 4);
    buf_u8(b, 2);
    buf_le(b, 1, 4);
    buf_le(b, n, 4);
    buf_le(b, 0, 4);
    buf_le(b, 0, 2);
    for (size_t i = 19; i < n; i++)
        buf_u8(b, (uint8_t)(fill + i % 251));
}

static void put_number(struct buf *b, uint64_t n) /* length-encoded */
{
    if (n < 251) {
        buf_u8(b, (uint8_t)n);
    } else {
        buf_u8(b, 254);
        buf_le(b, n, 8);
    }
}

static void put_field(struct buf *b, unsigned type, uint64_t n)
{
    struct buf v = { 0 };
    put_number(&v, n);
    buf_u8(b, (uint8_t)type);
    put_number(b, v.n);
    buf_bytes(b, buf_view(&v));
    buf_free(&v);
}

enum { UNSAID = -1 };

static void put_payload(struct buf *out, int64_t compression, int64_t raw, int64_t stored, struct bytes data)
{
    if (compression != UNSAID)
        put_field(out, 2, (uint64_t)compression);
    if (raw != UNSAID)
        put_field(out, 3, (uint64_t)raw);
    put_field(out, 77, 5); /* a field of the future */
    if (stored != UNSAID)
        put_field(out, 1, (uint64_t)stored);
    buf_u8(out, 0);
    buf_bytes(out, data);
}

static void compress(struct bytes in, int window_log, bool sized, struct buf *out)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, 3);
    if (window_log != 0)
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
    buf_grow(out, ZSTD_compressBound(in.n));
    if (sized) {
        out->n += ZSTD_compress2(c, out->p + out->n, out->cap - out->n, in.p, in.n);
    } else { /* as MySQL does: as a stream of unknown length */
        ZSTD_inBuffer src = { in.p, in.n, 0 };
        ZSTD_outBuffer dst = { out->p + out->n, out->cap - out->n, 0 };
        ZSTD_compressStream2(c, &dst, &src, ZSTD_e_flush);
        ZSTD_compressStream2(c, &dst, &src, ZSTD_e_end);
        out->n += dst.pos;
    }
    ZSTD_freeCCtx(c);
}

/* "3 events", or "!error". want_raw: what they must be together. */
static void check(const char *name, struct payload *p, struct bytes body, struct bytes want_raw, const char *want)
{
    struct err err = { 0 };
    char got[1100];
    struct buf all = { 0 };
    unsigned n = 0;
    uint8_t *exact = malloc(body.n + 1);
    memcpy(exact, body.p, body.n);
    exact = realloc(exact, body.n == 0 ? 1 : body.n);
    bool last = false, ok = payload_open(p, bytes_of(exact, body.n), &err);
    while (ok && !last) {
        struct bytes e;
        ok = payload_next(p, &e, &last, &err);
        if (ok) {
            n++;
            buf_bytes(&all, e);
        }
    }
    if (ok)
        snprintf(got, sizeof got, "%u events", n);
    else
        snprintf(got, sizeof got, "!%s", err.msg);
    CHECK(want[0] == '!' ? got[0] == '!' && strstr(got, want + 1) != NULL : strcmp(got, want) == 0,
          "%s: want %s, got %s", name, want, got);
    if (ok)
        CHECK(bytes_eq(buf_view(&all), want_raw), "%s: other bytes", name);
    buf_free(&all);
    free(exact);
}

static void test_shapes(struct payload *p)
{
    static const struct {
        const char *name;
        size_t sizes[6];
        const char *want;
    } cases[] = {
        { "one event", { 19 }, "1 events" },
        { "small ones", { 19, 20, 300, 19 }, "4 events" },
        { "a step's end is an event's end", { 128 * 1024, 50 }, "2 events" },
        { "a header across two steps", { 128 * 1024 - 10, 50, 60 }, "3 events" },
        { "larger than a step", { 700000, 30, 700001, 30 }, "4 events" },
        { "the largest", { MAX_EVENT, 19 }, "2 events" },
        { "too large", { 30, MAX_EVENT + 1 }, "!larger than --max-event" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf raw = { 0 };
        for (size_t k = 0; k < 6 && cases[i].sizes[k] != 0; k++)
            put_event(&raw, cases[i].sizes[k], (uint8_t)k);
        for (int way = 0; way < 4; way++) {
            struct buf data = { 0 }, body = { 0 };
            if (way == 0)
                buf_bytes(&data, buf_view(&raw));
            else if (way < 3)
                compress(buf_view(&raw), 0, way == 1, &data);
            else { /* two zstd frames */
                compress(bytes_of(raw.p, raw.n / 2), 0, true, &data);
                compress(bytes_of(raw.p + raw.n / 2, raw.n - raw.n / 2), 0, true, &data);
            }
            put_payload(&body, way == 0 ? 255 : 0, way == 2 ? UNSAID : (int64_t)raw.n, (int64_t)data.n,
                        buf_view(&data));
            check(cases[i].name, p, buf_view(&body), buf_view(&raw), cases[i].want);
            buf_free(&data);
            buf_free(&body);
        }
        buf_free(&raw);
    }
}

static void test_refusals(struct payload *p)
{
    struct buf raw = { 0 }, data = { 0 }, body = { 0 };
    put_event(&raw, 40, 1);
    put_event(&raw, 60, 2);
    compress(buf_view(&raw), 0, true, &data);
    struct bytes z = buf_view(&data);
    const struct {
        const char *name;
        int64_t compression, raw, stored;
        struct bytes data;
        const char *want;
    } cases[] = {
        { "good", 0, 100, (int64_t)z.n, z, "2 events" },
        { "sizes lie: more came", 0, 99, (int64_t)z.n, z, "!100 bytes came out, 99 were announced" },
        { "sizes lie: less came", 0, 101, (int64_t)z.n, z, "!100 bytes came out, 101 were announced" },
        { "payload size lies", 0, 100, (int64_t)z.n - 1, z, "!its head says" },
        { "no payload size", 0, 100, UNSAID, z, "!its head says" },
        { "no compression", UNSAID, 100, (int64_t)z.n, z, "!its head says" },
        { "empty", 0, 0, 0, { NULL, 0 }, "!its head says" },
        { "unknown compression", 3, 100, (int64_t)z.n, z, "!compression 3 is not known" },
        { "not zstd", 0, 100, 100, buf_view(&raw), "!does not decompress" },
        { "trailing garbage", 255, 101, 101, bytes_of(raw.p, 101), "!ends with 1 bytes of an event" },
        { "half an event", 255, 80, 80, bytes_of(raw.p, 80), "!ends inside an event: 40 of 60 bytes" },
    };
    buf_u8(&raw, 0);
    raw.n--;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes d = cases[i].data;
        if (cases[i].compression == 255)
            d.p = raw.p;
        buf_reset(&body);
        put_payload(&body, cases[i].compression, cases[i].raw, cases[i].stored,
                    d.n == 100 && d.p != z.p ? buf_view(&raw) : d);
        check(cases[i].name, p, buf_view(&body), buf_view(&raw), cases[i].want);
    }
    raw.p[40 + 9] = 18; /* the second event's size */
    buf_reset(&body);
    put_payload(&body, 255, 100, 100, buf_view(&raw));
    check("tiny event", p, buf_view(&body), buf_view(&raw), "!an event of 18 bytes");
    raw.p[40 + 9] = 60;

    for (size_t n = 0; n < z.n; n++) { /* every truncation of the compressed bytes */
        buf_reset(&body);
        put_payload(&body, 0, UNSAID, (int64_t)n, bytes_of(z.p, n));
        check("truncated data", p, buf_view(&body), buf_view(&raw), "!");
    }
    buf_reset(&body);
    put_payload(&body, 0, 100, (int64_t)z.n, z);
    for (size_t n = 0; n < body.n; n++)
        check("truncated body", p, bytes_of(body.p, n), buf_view(&raw), "!");
    for (size_t n = 0; n < body.n; n++) { /* any byte changed: an error or not, but nothing worse */
        struct err err;
        body.p[n] ^= 0x55;
        bool last = false;
        struct bytes e;
        if (payload_open(p, buf_view(&body), &err))
            while (!last && payload_next(p, &e, &last, &err)) {
            }
        body.p[n] ^= 0x55;
    }
    buf_free(&raw);
    buf_free(&data);
    buf_free(&body);
}

/* zstd's window is the reader's memory: what MySQL's highest level needs is taken, more is not. */
static void test_window(struct payload *p)
{
    struct buf raw = { 0 }, data = { 0 }, body = { 0 };
    put_event(&raw, 100000, 1);
    compress(buf_view(&raw), 27, false, &data);
    put_payload(&body, 0, UNSAID, (int64_t)data.n, buf_view(&data));
    check("128 MiB window", p, buf_view(&body), buf_view(&raw), "1 events");
    buf_reset(&data);
    buf_reset(&body);
    compress(buf_view(&raw), 28, false, &data);
    put_payload(&body, 0, UNSAID, (int64_t)data.n, buf_view(&data));
    check("256 MiB window", p, buf_view(&body), buf_view(&raw), "!window is larger");
    buf_free(&raw);
    buf_free(&data);
    buf_free(&body);
}

int main(void)
{
    struct payload *p = payload_new(MAX_EVENT);
    test_shapes(p);
    test_refusals(p);
    test_window(p);
    payload_free(p);
    payload_free(NULL);
    return UNIT_END();
}
