/* test_zblock.c - the envelope: what is written is read, compressed or not, of any size; anything changed is refused. */
#include "unit.h"

#include "crc32c.h"
#include "zblock.h"

static struct err err;

static struct bytes filled(size_t n, int kind) /* 0: zeros, 1: text, 2: noise */
{
    uint8_t *p = malloc(n + 1);
    uint64_t s = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        p[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t) "the quick brown fox "[i % 20] : (uint8_t)s;
    }
    return bytes_of(p, n);
}

static const struct frame_info info = { .first_lsn = 77,
                                        .nrecords = 3,
                                        .ncommits = 1,
                                        .nchanges = 1,
                                        .last_commit_lsn = 79,
                                        .min_commit_us = -5,
                                        .max_commit_us = 6,
                                        .starts_inside = true };

static void round_trip(struct zcodec *z, size_t n, int kind, bool compresses)
{
    struct bytes raw = filled(n, kind);
    struct buf out = { 0 }, back = { 0 };
    struct zblock b;
    bool ok = zblock_write(z, ZB_DATA, &info, raw, &out, &err) && zblock_parse(buf_view(&out), &b, &err);
    CHECK(ok, "%zu bytes: %s", n, err.msg);
    if (!ok)
        return;
    CHECK(b.type == ZB_DATA && b.raw_size == n && b.stored_size == out.n - ZB_HEADER_SIZE && b.compressed == compresses,
          "%zu bytes of kind %d: stored as %u, compressed %d", n, kind, b.stored_size, b.compressed);
    CHECK(b.info.first_lsn == 77 && b.info.nrecords == 3 && b.info.ncommits == 1 && b.info.nchanges == 1 &&
              b.info.last_commit_lsn == 79 && b.info.min_commit_us == -5 && b.info.max_commit_us == 6 &&
              b.info.starts_inside && !b.info.ends_inside,
          "info");
    buf_str(&back, "before");
    ok = zblock_open(z, &b, bytes_of(out.p + ZB_HEADER_SIZE, b.stored_size), &back, &err);
    CHECK(ok && back.n == n + 6 && memcmp(back.p + 6, raw.p, n) == 0, "%zu bytes come back: %s", n,
          ok ? "changed" : err.msg);
    buf_free(&out);
    buf_free(&back);
    free((void *)(uintptr_t)raw.p);
}

static void put_crc(struct buf *b)
{
    uint32_t crc = crc32c(0, bytes_of(b->p, ZB_HEADER_SIZE - 4));
    for (int i = 0; i < 4; i++)
        b->p[ZB_HEADER_SIZE - 4 + i] = (uint8_t)(crc >> (8 * i));
}

/* Headers whose checksum is right but whose content is not. */
static void lies(struct zcodec *z)
{
    static const struct {
        size_t at;
        uint8_t set;
        const char *want;
        enum err_code code;
    } cases[] = {
        { 0, 'X', "magic", ERR_CORRUPT },          { 4, 0x80, "newer", ERR_UNSUPPORTED },
        { 5, 3, "newer", ERR_UNSUPPORTED },        { 7, 1, "newer", ERR_UNSUPPORTED },
        { 11, 0x7f, "sizes", ERR_CORRUPT },        { 15, 0x7f, "sizes", ERR_CORRUPT },
        { 24, 0, "no records", ERR_CORRUPT },      { 28, 9, "counts", ERR_CORRUPT },
        { 32, 9, "counts", ERR_CORRUPT },          { 40, 80, "last commit", ERR_CORRUPT },
        { 40, 76, "last commit", ERR_CORRUPT },    { 23, 0xff, NULL, ERR_NONE },
        { 4, 0x7f, NULL, ERR_NONE /* skipped */ }, { 6, 0x84, NULL, ERR_NONE /* low bits: ignored */ },
    };
    struct bytes raw = filled(200, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = { 0 };
        struct zblock b;
        struct frame_info in = info;
        if (cases[i].at == 23)
            in.last_commit_lsn += UINT64_C(0xff) << 56;
        CHECK(zblock_write(z, ZB_DATA, &in, raw, &out, &err), "write");
        out.p[cases[i].at] = cases[i].set;
        put_crc(&out);
        bool ok = zblock_parse(buf_view(&out), &b, &err);
        CHECK(cases[i].want == NULL ? ok : !ok && err.code == cases[i].code && strstr(err.msg, cases[i].want) != NULL,
              "byte %zu = %u: %s", cases[i].at, cases[i].set, ok ? "taken" : err.msg);
        buf_free(&out);
    }
    free((void *)(uintptr_t)raw.p);
}

/* A raw size that is not what zstd gives: more, less, and much more. Never more memory than the stored bytes explain. */
static void wrong_size(struct zcodec *z)
{
    static const size_t sizes[] = { 100, 1000, 20 << 20 };
    for (size_t i = 0; i < 3; i++) {
        struct bytes raw = filled(sizes[i], 0);
        struct buf out = { 0 }, back = { 0 };
        struct zblock b;
        bool ok = zblock_write(z, ZB_DATA, &info, raw, &out, &err) && zblock_parse(buf_view(&out), &b, &err);
        CHECK(ok && b.compressed, "compresses");
        uint32_t right = b.raw_size;
        const uint32_t tries[] = { right - 1, right + 1, 17 << 20, 1 << 30, 1 };
        for (size_t k = 0; k < 5; k++) {
            b.raw_size = tries[k];
            bool taken = zblock_open(z, &b, bytes_of(out.p + ZB_HEADER_SIZE, b.stored_size), &back, &err);
            CHECK(!taken && err.code == ERR_CORRUPT && back.n == 0, "raw size %u for %u: %s", tries[k], right,
                  taken ? "taken" : err.msg);
            CHECK(back.cap <= (size_t)right * 3 + (40 << 20), "%zu bytes of memory for %u", back.cap, right);
        }
        b.raw_size = right;
        CHECK(zblock_open(z, &b, bytes_of(out.p + ZB_HEADER_SIZE, b.stored_size), &back, &err),
              "usable after failures: %s", err.msg);
        buf_free(&out);
        buf_free(&back);
        free((void *)(uintptr_t)raw.p);
    }
}

static void put_le32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* The end of a payload that is stored as it is, behind what is compressed; of whatever lengths. */
static void tails(struct zcodec *z)
{
    static const struct {
        size_t body;
        int kind;
        uint32_t tail;
        bool compresses;
    } cases[] = {
        { 3000, 1, 0, true },   { 3000, 1, 1, true }, { 3000, 1, 50000, true }, { 64, 0, 7, true },
        { 63, 0, 3000, false }, { 0, 0, 900, false }, { 3000, 2, 100, false },  { 20 << 20, 0, 1000, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = cases[i].body + cases[i].tail;
        struct bytes body = filled(cases[i].body, cases[i].kind),
                     tail = filled(cases[i].tail, 1); /* which would compress */
        struct frame_info in = info;
        struct buf raw = { 0 }, out = { 0 }, back = { 0 };
        struct zblock b;
        in.tail = cases[i].tail;
        in.size = 4711;
        buf_bytes(&raw, body);
        buf_bytes(&raw, tail);
        CHECK(zblock_write(z, ZB_DATA, &in, buf_view(&raw), &out, &err) && zblock_parse(buf_view(&out), &b, &err),
              "case %zu: %s", i, err.msg);
        CHECK(b.raw_size == n && b.compressed == cases[i].compresses && b.info.tail == in.tail && b.info.size == 4711 &&
                  out.p[5] == (!cases[i].compresses ? 0
                               : in.tail == 0       ? 1
                                                    : 2),
              "case %zu: header", i);
        CHECK(in.tail == 0 || memcmp(out.p + out.n - in.tail, tail.p, in.tail) == 0,
              "case %zu: its end is not as it was", i);
        CHECK(zblock_open(z, &b, bytes_of(out.p + ZB_HEADER_SIZE, b.stored_size), &back, &err) &&
                  bytes_eq(buf_view(&back), buf_view(&raw)),
              "case %zu: another payload", i);
        for (unsigned k = 0; cases[i].compresses && k < 4; k++) { /* lengths that are not those */
            uint32_t wrong[] = { 0, in.tail + 1, in.tail - 1, b.stored_size };
            struct zblock lie = b;
            buf_reset(&back);
            lie.stored_tail = wrong[k];
            CHECK(wrong[k] == in.tail || wrong[k] > lie.raw_size || wrong[k] > lie.stored_size ||
                      (!zblock_open(z, &lie, bytes_of(out.p + ZB_HEADER_SIZE, b.stored_size), &back, &err) &&
                       err.code == ERR_CORRUPT && back.n == 0),
                  "case %zu: a tail of %u bytes for %u", i, wrong[k], in.tail);
        }
        for (unsigned k = 0; cases[i].compresses && in.tail != 0 && k < 2; k++) { /* more than there is */
            uint32_t more = (k == 0 ? b.stored_size : b.raw_size) + 1;
            put_le32(out.p + 36, more);
            put_crc(&out);
            bool ok = zblock_parse(buf_view(&out), &b, &err);
            CHECK(!ok && err.code == ERR_CORRUPT && strstr(err.msg, "sizes") != NULL, "case %zu: a tail of %u bytes", i,
                  more);
        }
        if (cases[i].compresses && in.tail > 1) { /* than the payload is said to have */
            put_le32(out.p + 36, in.tail);
            put_le32(out.p + 12, in.tail - 1);
            put_crc(&out);
            CHECK(!zblock_parse(buf_view(&out), &b, &err) && strstr(err.msg, "sizes") != NULL,
                  "case %zu: a tail longer than the payload", i);
        }
        buf_free(&raw);
        buf_free(&out);
        buf_free(&back);
        free((void *)(uintptr_t)body.p);
        free((void *)(uintptr_t)tail.p);
    }
}

static void damaged(struct zcodec *z)
{
    struct bytes raw = filled(300, 1);
    struct buf out = { 0 }, back = { 0 };
    struct zblock b, good;
    CHECK(zblock_write(z, ZB_DATA, &info, raw, &out, &err) && zblock_parse(buf_view(&out), &good, &err), "write");
    for (size_t n = 0; n < ZB_HEADER_SIZE; n++)
        CHECK(!zblock_parse(bytes_of(out.p, n), &b, &err), "header cut at %zu", n);
    for (size_t i = 0; i < out.n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            out.p[i] ^= (uint8_t)(1 << bit);
            bool ok = i < ZB_HEADER_SIZE
                          ? zblock_parse(buf_view(&out), &b, &err)
                          : zblock_open(z, &good, bytes_of(out.p + ZB_HEADER_SIZE, good.stored_size), &back, &err);
            CHECK(!ok, "byte %zu bit %u changed and taken", i, bit);
            out.p[i] ^= (uint8_t)(1 << bit);
        }
    buf_free(&out);
    buf_free(&back);
    free((void *)(uintptr_t)raw.p);
}

int main(void)
{
    struct zcodec *z = zcodec_new();
    CHECK(z != NULL, "codec");
    round_trip(z, 3, 1, false);
    round_trip(z, 63, 0, false);
    round_trip(z, 64, 0, true);
    round_trip(z, 1000, 1, true);
    round_trip(z, 1000, 2, false);
    round_trip(z, 16 << 20, 1, true);
    round_trip(z, (16 << 20) + 1, 1, true);
    round_trip(z, 40 << 20, 0, true);
    lies(z);
    wrong_size(z);
    tails(z);
    damaged(z);
    zcodec_free(z);
    zcodec_free(NULL);
    return UNIT_END();
}
