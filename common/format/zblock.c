/* zblock.c - frame headers, their checksums, zstd (docs/segment-format.md, "Frame header"). The only file that knows zstd.h.
 *
 * What a header or zstd itself says about sizes is never a reason to allocate: the output grows as bytes arrive, up to the
 * checked raw size, and zstd's window is limited. */
#include "zblock.h"

#include "crc32c.h"

#include <stdlib.h>
#include <zstd.h>

enum {
    CODEC_STORED = 0,
    CODEC_ZSTD = 1,
    CODEC_ZSTD_TAIL = 2, /* but for the payload's end, which is stored */
    LEVEL = 1,
    HASH_LOG = 12, /* a table that stays in the processor's first cache: a tenth to a quarter less time than with the
                            level's own, for 3 % fewer to 5 % more bytes */
    WORTH_TRYING = 64,   /* bytes: below, zstd's own frame costs what it saves */
    WINDOW_LOG_MAX = 23, /* 8 MiB; what we write stays below */
    AT_ONCE = 16 << 20   /* raw bytes that are taken on the header's word: the output of nearly every frame */
};
enum { FLAG_STARTS_INSIDE = 1, FLAG_ENDS_INSIDE = 2, FLAGS_INCOMPAT = 0xff00 };
static const uint8_t magic[4] = { 'R', 'T', 'F', '1' };

struct zcodec {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
};

struct zcodec *zcodec_new(void)
{
    struct zcodec *z = calloc(1, sizeof *z);
    if (z == NULL)
        return NULL;
    z->c = ZSTD_createCCtx();
    z->d = ZSTD_createDCtx();
    if (z->c == NULL || z->d == NULL || ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_compressionLevel, LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_hashLog, HASH_LOG)) ||
        ZSTD_isError(ZSTD_DCtx_setParameter(z->d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        zcodec_free(z);
        return NULL;
    }
    return z;
}

void zcodec_free(struct zcodec *z)
{
    if (z == NULL)
        return;
    ZSTD_freeCCtx(z->c);
    ZSTD_freeDCtx(z->d);
    free(z);
}

/* --- writing --- */

static void put_header(struct buf *out, size_t at, uint8_t type, uint8_t codec, size_t stored, size_t raw,
                       const struct frame_info *i, uint32_t payload_crc)
{
    struct buf h = { .p = out->p + at, .n = 0, .cap = ZB_HEADER_SIZE }; /* the room was made; nothing grows */
    buf_put(&h, magic, sizeof magic);
    buf_u8(&h, type);
    buf_u8(&h, codec);
    buf_le(&h, (i->starts_inside ? FLAG_STARTS_INSIDE : 0u) | (i->ends_inside ? FLAG_ENDS_INSIDE : 0u), 2);
    buf_le(&h, stored, 4);
    buf_le(&h, raw, 4);
    buf_le(&h, i->first_lsn, 8);
    buf_le(&h, i->nrecords, 4);
    buf_le(&h, i->ncommits, 4);
    buf_le(&h, i->nchanges, 4);
    buf_le(&h, i->tail, 4);
    buf_le(&h, i->last_commit_lsn, 8);
    buf_le(&h, (uint64_t)i->min_commit_us, 8);
    buf_le(&h, (uint64_t)i->max_commit_us, 8);
    buf_le(&h, payload_crc, 4);
    buf_le(&h, i->size, 4);
    buf_le(&h, 0, 4);
    buf_le(&h, crc32c(0, buf_view(&h)), 4);
    assert(h.n == ZB_HEADER_SIZE);
}

/* Appends the payload compressed, its tail as it is; false when that does not help (out as before) or failed (out->failed). */
static bool compress(struct zcodec *z, struct bytes payload, size_t tail, struct buf *out)
{
    size_t body = payload.n - tail, bound = ZSTD_compressBound(body);
    if (body < WORTH_TRYING || !buf_grow(out, bound + tail))
        return false;
    size_t n = ZSTD_compress2(z->c, out->p + out->n, bound, payload.p, body);
    if (ZSTD_isError(n) || n >= body) /* an error here is zstd's lack of memory: stored is as good */
        return false;
    out->n += n;
    buf_put(out, payload.p + body, tail);
    return true;
}

/* z NULL: stored as it is. */
static bool write_frame(struct zcodec *z, uint8_t type, const struct frame_info *info, struct bytes payload,
                        struct buf *out, struct err *err)
{
    if (payload.n > ZB_RAW_MAX)
        return err_set(err, ERR_UNSUPPORTED, "a frame of %zu bytes does not fit a segment (at most %d)", payload.n,
                       ZB_RAW_MAX);
    assert(info->tail <= payload.n);
    size_t at = out->n, body = at + ZB_HEADER_SIZE;
    if (!buf_grow(out, ZB_HEADER_SIZE))
        return err_nomem(err);
    out->n = body;
    bool compressed = z != NULL && compress(z, payload, info->tail, out);
    if (!compressed)
        buf_bytes(out, payload);
    if (!buf_ok(out, err))
        return false;
    struct bytes stored = { out->p + body, out->n - body };
    put_header(out, at, type,
               !compressed       ? CODEC_STORED
               : info->tail == 0 ? CODEC_ZSTD
                                 : CODEC_ZSTD_TAIL,
               stored.n, payload.n, info, crc32c(0, stored));
    return true;
}

bool zblock_write(struct zcodec *z, uint8_t type, const struct frame_info *info, struct bytes payload, struct buf *out,
                  struct err *err)
{
    return write_frame(z, type, info, payload, out, err);
}

bool zblock_write_stored(uint8_t type, const struct frame_info *info, struct bytes payload, struct buf *out,
                         struct err *err)
{
    return write_frame(NULL, type, info, payload, out, err);
}

/* --- reading --- */

static const char *check_data(const struct zblock *b)
{
    const struct frame_info *i = &b->info;
    if (i->nrecords == 0 || i->first_lsn == 0 || i->first_lsn > UINT64_MAX - i->nrecords)
        return "no records, or LSNs out of range";
    if (i->ncommits > i->nrecords || i->nchanges > i->nrecords || b->raw_size < i->nrecords)
        return "counts out of range";
    if (i->ncommits == 0 ? i->last_commit_lsn != 0
                         : i->last_commit_lsn < i->first_lsn || i->last_commit_lsn - i->first_lsn >= i->nrecords)
        return "last commit outside the frame";
    return NULL;
}

static const char *parse(struct bytes head, struct zblock *b)
{
    struct cur c = cur_over(head);
    struct bytes m = cur_take(&c, sizeof magic);
    if (c.why != NULL || memcmp(m.p, magic, sizeof magic) != 0)
        return "no frame starts here (wrong magic number)";
    b->type = cur_u8(&c);
    uint8_t codec = cur_u8(&c);
    uint64_t flags = cur_le(&c, 2);
    b->stored_size = (uint32_t)cur_le(&c, 4);
    b->raw_size = (uint32_t)cur_le(&c, 4);
    b->info.first_lsn = cur_le(&c, 8);
    b->info.nrecords = (uint32_t)cur_le(&c, 4);
    b->info.ncommits = (uint32_t)cur_le(&c, 4);
    b->info.nchanges = (uint32_t)cur_le(&c, 4);
    b->info.tail = (uint32_t)cur_le(&c, 4);
    b->info.last_commit_lsn = cur_le(&c, 8);
    b->info.min_commit_us = (int64_t)cur_le(&c, 8);
    b->info.max_commit_us = (int64_t)cur_le(&c, 8);
    b->payload_crc = (uint32_t)cur_le(&c, 4);
    b->info.size = (uint32_t)cur_le(&c, 4);
    cur_le(&c, 4);
    size_t covered = cur_at(&c);
    uint32_t crc = (uint32_t)cur_le(&c, 4);
    if (c.why != NULL)
        return "truncated frame header";
    if (crc32c(0, bytes_of(head.p, covered)) != crc)
        return "checksum mismatch in a frame header";
    b->compressed = codec != CODEC_STORED;
    b->stored_tail = codec == CODEC_ZSTD_TAIL ? b->info.tail : 0;
    b->info.starts_inside = (flags & FLAG_STARTS_INSIDE) != 0;
    b->info.ends_inside = (flags & FLAG_ENDS_INSIDE) != 0;
    if (codec > CODEC_ZSTD_TAIL || (flags & FLAGS_INCOMPAT) != 0 ||
        (b->type > ZB_FOOTER && (b->type & ZB_INCOMPAT_TYPES) != 0))
        return "a frame of a kind that this version does not know: it was written by a newer one";
    if (b->stored_size > ZB_RAW_MAX || b->raw_size > ZB_RAW_MAX || (!b->compressed && b->stored_size != b->raw_size) ||
        b->stored_tail > b->stored_size || b->stored_tail > b->raw_size)
        return "sizes out of range";
    return b->type == ZB_DATA ? check_data(b) : NULL;
}

bool zblock_parse(struct bytes head, struct zblock *out, struct err *err)
{
    struct zblock b = { 0 };
    const char *why = parse(bytes_of(head.p, head.n < ZB_HEADER_SIZE ? head.n : ZB_HEADER_SIZE), &b);
    if (why != NULL)
        return err_set(err, strstr(why, "newer") != NULL ? ERR_UNSUPPORTED : ERR_CORRUPT, "%s", why);
    *out = b;
    return true;
}

/* Grows out only as output arrives. */
static const char *inflate(ZSTD_DCtx *d, struct bytes in, size_t raw_size, struct buf *out)
{
    if (raw_size <= AT_ONCE) { /* no window to allocate, no copy from it */
        if (!buf_grow(out, raw_size + 1))
            return NULL;
        size_t n = ZSTD_decompressDCtx(d, out->p + out->n, raw_size, in.p, in.n);
        if (ZSTD_isError(n) || n != raw_size)
            return "payload does not decompress to its size";
        out->n += n;
        return NULL;
    }
    ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
    ZSTD_inBuffer src = { in.p, in.n, 0 };
    size_t left = raw_size, state = 1, step = AT_ONCE;
    while (left != 0) {
        step = step > left ? left : step;
        if (!buf_grow(out, step))
            return NULL;
        ZSTD_outBuffer dst = { out->p + out->n, step, 0 };
        state = ZSTD_decompressStream(d, &dst, &src);
        if (ZSTD_isError(state) || dst.pos == 0)
            return "payload does not decompress to its size";
        out->n += dst.pos;
        left -= dst.pos;
        step = AT_ONCE;
        if (state == 0)
            break;
    }
    if (left == 0 && state != 0) { /* the end mark may still be in front of us; more output may not */
        uint8_t none;
        ZSTD_outBuffer dst = { &none, 0, 0 };
        state = ZSTD_decompressStream(d, &dst, &src);
    }
    return left == 0 && state == 0 && src.pos == src.size ? NULL : "payload does not decompress to its size";
}

bool zblock_open(struct zcodec *z, const struct zblock *h, struct bytes stored, struct buf *out, struct err *err)
{
    assert(stored.n == h->stored_size);
    if (crc32c(0, stored) != h->payload_crc)
        return err_set(err, ERR_CORRUPT, "checksum mismatch in a frame's payload");
    size_t before = out->n;
    const char *why = NULL;
    size_t body = stored.n - h->stored_tail;
    if (h->compressed)
        why = inflate(z->d, bytes_of(stored.p, body), h->raw_size - h->stored_tail, out);
    else
        body = 0;
    if (why == NULL)
        buf_bytes(out, bytes_of(stored.p + body, stored.n - body));
    if (why != NULL) {
        out->n = before;
        return err_set(err, ERR_CORRUPT, "%s (%u bytes of %u)", why, h->stored_size, h->raw_size);
    }
    return buf_ok(out, err);
}
