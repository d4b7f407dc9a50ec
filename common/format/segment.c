/* segment.c - the parts of a segment file as bytes: header, footer, relations, trailer (docs/segment-format.md). No files:
 * segment_file.c. Everything decoded here may come from a damaged or hostile file (I9). */
#include "segment.h"

#include "crc32c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t header_magic[8] = { 'R', 'W', 'T', 'D', 'S', 'E', 'G', '1' };
static const uint8_t trailer_magic[8] = { 'R', 'W', 'T', 'D', 'S', 'E', 'A', 'L' };
enum { FOOTER_FRAME_SIZE = 64, FOOTER_COUNT_SIZE = 32 };
enum { INDEX_STARTS_INSIDE = 1, INDEX_ENDS_INSIDE = 2 };

/* --- names --- */

void segment_name(uint64_t first_lsn, char out[24])
{
    snprintf(out, 24, "%016" PRIx64 SEGMENT_SUFFIX, first_lsn);
}

bool segment_parse_name(const char *name, uint64_t *first_lsn)
{
    uint64_t v = 0;
    for (int i = 0; i < 16; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    if (strcmp(name + 16, SEGMENT_SUFFIX) != 0)
        return false;
    *first_lsn = v;
    return true;
}

/* --- header --- */

#define SEAL_BEFORE BYTES_LIT("\1\0") /* by the first versions, whose checksum counted it */

struct bytes segment_seal(void)
{
    return BYTES_LIT("SE");
}

/* Of a header without its last four bytes. The seal is counted as zeros: it is written into a header that stands. */
static uint32_t header_crc(struct bytes h)
{
    struct bytes seal = bytes_of(h.p + SEGMENT_SEAL_AT, 2);
    if (!bytes_eq(seal, segment_seal()))
        return crc32c(0, h);
    uint32_t crc = crc32c(0, bytes_of(h.p, SEGMENT_SEAL_AT));
    crc = crc32c(crc, BYTES_LIT("\0\0"));
    return crc32c(crc, bytes_of(seal.p + 2, h.n - SEGMENT_SEAL_AT - 2));
}

bool segment_header_encode(const struct segment_header *h, struct buf *out, struct err *err)
{
    struct buf body = { 0 };
    buf_blob(&body, bytes_str(h->source));
    buf_blob(&body, bytes_str(h->source_version));
    source_pos_encode(&h->start, &body);
    size_t size = SEGMENT_HEADER_FIXED + body.n + 4, at = out->n;
    bool ok = buf_ok(&body, err);
    if (ok && size > SEGMENT_HEADER_MAX)
        ok = err_set(err, ERR_UNSUPPORTED, "a source position of %zu bytes does not fit a segment header (at most %d)",
                     body.n, SEGMENT_HEADER_MAX);
    if (ok) {
        buf_put(out, header_magic, sizeof header_magic);
        buf_le(out, SEGMENT_VERSION, 2);
        buf_bytes(out, h->sealed ? segment_seal() : BYTES_LIT("\0\0"));
        buf_le(out, size, 4);
        buf_le(out, 0, 8); /* compat */
        buf_le(out, 0, 8); /* incompat */
        buf_put(out, h->slot, sizeof h->slot);
        buf_le(out, h->first_lsn, 8);
        buf_le(out, (uint64_t)h->created_us, 8);
        buf_le(out, h->changes_before, 8);
        buf_le(out, h->transactions_before, 8);
        buf_bytes(out, buf_view(&body));
        ok = buf_ok(out, err);
    }
    if (ok) {
        buf_le(out, header_crc(bytes_of(out->p + at, size - 4)), 4);
        ok = buf_ok(out, err);
    }
    buf_free(&body);
    return ok;
}

bool segment_header_size(struct bytes in, size_t *size, struct err *err)
{
    struct cur c = cur_over(in);
    struct bytes m = cur_take(&c, sizeof header_magic);
    uint64_t version = cur_le(&c, 2);
    cur_le(&c, 2);
    uint64_t n = cur_le(&c, 4);
    if (!cur_ok(&c, "segment header", err) || m.p == NULL)
        return false;
    if (memcmp(m.p, header_magic, sizeof header_magic) != 0)
        return err_set(err, ERR_CORRUPT, "not a segment (wrong magic number)");
    if (version == 0 || n < SEGMENT_HEADER_FIXED + 4 || n > SEGMENT_HEADER_MAX)
        return err_set(err, ERR_CORRUPT, "segment header: version or size out of range");
    *size = (size_t)n;
    return true;
}

static void take_string(struct cur *c, char *to, size_t size)
{
    struct bytes b = cur_blob(c);
    if (b.n >= size || (b.n != 0 && memchr(b.p, 0, b.n) != NULL)) {
        cur_fail(c, "invalid text");
        return;
    }
    if (b.n != 0)
        memcpy(to, b.p, b.n);
    to[b.n] = '\0';
}

bool segment_header_decode(struct bytes in, struct segment_header *out, size_t *size, struct err *err)
{
    size_t n = 0;
    if (!segment_header_size(in, &n, err))
        return false;
    if (n > in.n)
        return err_set(err, ERR_CORRUPT, "segment header: truncated (%zu bytes of %zu)", in.n, n);
    struct cur crc = cur_over(bytes_of(in.p + n - 4, 4));
    if (header_crc(bytes_of(in.p, n - 4)) != (uint32_t)cur_le(&crc, 4))
        return err_set(err, ERR_CORRUPT, "segment header: checksum mismatch");
    struct segment_header h = { 0 };
    struct cur c = cur_over(bytes_of(in.p, n - 4));
    cur_take(&c, sizeof header_magic);
    uint64_t version = cur_le(&c, 2); /* believed only now: a flipped bit is damage, not a newer version */
    if (version > SEGMENT_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "segment format version %llu: written by a newer version",
                       (unsigned long long)version);
    struct bytes seal = cur_take(&c, 2);
    cur_take(&c, 12); /* size, compat: nothing in compat changes how the rest is read */
    uint64_t incompat = cur_le(&c, 8);
    h.sealed = bytes_eq(seal, segment_seal()) || bytes_eq(seal, SEAL_BEFORE);
    if (incompat != 0 || (!h.sealed && !bytes_eq(seal, BYTES_LIT("\0\0"))))
        return err_set(err, ERR_UNSUPPORTED, "segment header: features %016llx: written by a newer version",
                       (unsigned long long)incompat);
    struct bytes slot = cur_take(&c, sizeof h.slot);
    if (c.why == NULL)
        memcpy(h.slot, slot.p, slot.n);
    h.first_lsn = cur_le(&c, 8);
    h.created_us = (int64_t)cur_le(&c, 8);
    h.changes_before = cur_le(&c, 8);
    h.transactions_before = cur_le(&c, 8);
    take_string(&c, h.source, sizeof h.source);
    take_string(&c, h.source_version, sizeof h.source_version);
    if (!cur_ok(&c, "segment header", err) || !source_pos_decode(&c, &h.start, err))
        return false;
    if (h.first_lsn == 0) {
        segment_header_clear(&h);
        return err_set(err, ERR_CORRUPT, "segment header: first LSN 0");
    }
    *out = h; /* bytes behind the position: of compat features that we do not know */
    *size = n;
    return true;
}

void segment_header_clear(struct segment_header *h)
{
    source_pos_clear(&h->start);
    *h = (struct segment_header){ 0 };
}

/* --- relations --- */

void segment_relations_encode(struct relation *const *rel, unsigned n, struct buf *out)
{
    buf_varint(out, n);
    for (unsigned i = 0; i < n; i++)
        buf_blob(out, rel[i]->canonical);
}

static bool take_relations(struct cur *c, struct relation_table *into, struct err *err)
{
    uint64_t n = cur_varint(c);
    for (uint64_t i = 0; i < n && c->why == NULL; i++) {
        struct bytes canonical = cur_blob(c);
        struct relation *r;
        if (c->why != NULL)
            break;
        if (!relation_parse(canonical, &r, err))
            return false;
        bool ok = relation_table_add(into, r, err);
        relation_unref(r);
        if (!ok)
            return false;
    }
    return cur_ok(c, "relations", err);
}

bool segment_relations_decode(struct bytes payload, struct relation_table *into, struct err *err)
{
    struct cur c = cur_over(payload);
    return take_relations(&c, into, err) && cur_finish(&c, "relations", err);
}

/* --- footer --- */

bool segment_footer_encode(const struct segment_footer *f, struct buf *out, struct err *err)
{
    buf_varint(out, f->nframes);
    for (size_t i = 0; i < f->nframes; i++) {
        const struct segment_frame *s = &f->frames[i];
        buf_le(out, s->offset, 8);
        buf_u8(out, s->type);
        buf_u8(out, 0);
        buf_le(out, (s->info.starts_inside ? INDEX_STARTS_INSIDE : 0u) | (s->info.ends_inside ? INDEX_ENDS_INSIDE : 0u),
               2);
        buf_le(out, s->stored_size, 4);
        buf_le(out, s->raw_size, 4);
        buf_le(out, s->info.nrecords, 4);
        buf_le(out, s->info.ncommits, 4);
        buf_le(out, s->info.nchanges, 4);
        buf_le(out, s->info.first_lsn, 8);
        buf_le(out, s->info.last_commit_lsn, 8);
        buf_le(out, (uint64_t)s->info.min_commit_us, 8);
        buf_le(out, (uint64_t)s->info.max_commit_us, 8);
    }
    segment_relations_encode(f->relations.rel, f->relations.n, out);
    buf_varint(out, f->ncounts);
    for (size_t i = 0; i < f->ncounts; i++) {
        buf_le(out, f->counts[i].relation, 8);
        buf_le(out, f->counts[i].inserts, 8);
        buf_le(out, f->counts[i].updates, 8);
        buf_le(out, f->counts[i].deletes, 8);
    }
    buf_le(out, f->next_lsn, 8);
    buf_le(out, f->changes, 8);
    buf_le(out, f->transactions, 8);
    source_pos_encode(&f->end, out);
    return buf_ok(out, err);
}

static void take_index(struct cur *c, struct segment_frame *s)
{
    *s = (struct segment_frame){ 0 };
    s->offset = cur_le(c, 8);
    s->type = cur_u8(c);
    cur_u8(c);
    uint64_t flags = cur_le(c, 2);
    s->info.starts_inside = (flags & INDEX_STARTS_INSIDE) != 0;
    s->info.ends_inside = (flags & INDEX_ENDS_INSIDE) != 0;
    s->stored_size = (uint32_t)cur_le(c, 4);
    s->raw_size = (uint32_t)cur_le(c, 4);
    s->info.nrecords = (uint32_t)cur_le(c, 4);
    s->info.ncommits = (uint32_t)cur_le(c, 4);
    s->info.nchanges = (uint32_t)cur_le(c, 4);
    s->info.first_lsn = cur_le(c, 8);
    s->info.last_commit_lsn = cur_le(c, 8);
    s->info.min_commit_us = (int64_t)cur_le(c, 8);
    s->info.max_commit_us = (int64_t)cur_le(c, 8);
}

/* The index is what readers search: it must be in order, by offset and by LSN without gaps. */
static const char *check_index(const struct segment_footer *f)
{
    uint64_t offset = 0, lsn = 0;
    for (size_t i = 0; i < f->nframes; i++) {
        const struct segment_frame *s = &f->frames[i];
        if (s->type != ZB_DATA && s->type != ZB_POSITION)
            return "index entry of an unknown type";
        if (s->offset < offset || s->stored_size > ZB_RAW_MAX || s->raw_size > ZB_RAW_MAX || s->offset > INT64_MAX)
            return "index out of order";
        offset = segment_next_offset(s);
        if ((lsn != 0 && s->info.first_lsn != lsn) || s->info.first_lsn == 0 ||
            s->info.first_lsn > UINT64_MAX - s->info.nrecords)
            return "index with a gap between LSNs";
        if ((s->type == ZB_DATA) != (s->info.nrecords != 0) || s->info.ncommits > s->info.nrecords)
            return "index entry with impossible counts";
        lsn = s->info.first_lsn + s->info.nrecords;
    }
    if (f->next_lsn == 0 || (lsn != 0 && lsn != f->next_lsn))
        return "index that does not end at the next LSN";
    return NULL;
}

bool segment_footer_decode(struct bytes payload, struct segment_footer *out, struct err *err)
{
    struct segment_footer f = { 0 };
    struct cur c = cur_over(payload);
    uint64_t n = cur_varint(&c);
    if (n > cur_left(&c) / FOOTER_FRAME_SIZE)
        cur_fail(&c, "more index entries than bytes");
    else if ((f.frames = calloc((size_t)n + 1, sizeof *f.frames)) == NULL)
        return err_nomem(err);
    for (uint64_t i = 0; i < n && c.why == NULL; i++)
        take_index(&c, &f.frames[f.nframes++]);
    if (!take_relations(&c, &f.relations, err))
        goto fail;
    n = cur_varint(&c);
    if (n > cur_left(&c) / FOOTER_COUNT_SIZE) {
        cur_fail(&c, "more counts than bytes");
    } else if ((f.counts = calloc((size_t)n + 1, sizeof *f.counts)) == NULL) {
        err_nomem(err);
        goto fail;
    }
    for (uint64_t i = 0; i < n && c.why == NULL; i++) {
        struct table_counts *t = &f.counts[f.ncounts++];
        t->relation = cur_le(&c, 8);
        t->inserts = cur_le(&c, 8);
        t->updates = cur_le(&c, 8);
        t->deletes = cur_le(&c, 8);
    }
    f.next_lsn = cur_le(&c, 8);
    f.changes = cur_le(&c, 8);
    f.transactions = cur_le(&c, 8);
    if (!cur_ok(&c, "footer", err) || !source_pos_decode(&c, &f.end, err) || !cur_finish(&c, "footer", err))
        goto fail;
    const char *why = check_index(&f);
    if (why != NULL) {
        err_set(err, ERR_CORRUPT, "footer: %s", why);
        goto fail;
    }
    *out = f;
    return true;
fail:
    segment_footer_clear(&f);
    return false;
}

void segment_footer_clear(struct segment_footer *f)
{
    free(f->frames);
    free(f->counts);
    relation_table_clear(&f->relations);
    source_pos_clear(&f->end);
    *f = (struct segment_footer){ 0 };
}

void segment_trailer_encode(uint64_t footer_offset, struct buf *out)
{
    size_t at = out->n;
    buf_le(out, footer_offset, 8);
    buf_put(out, trailer_magic, sizeof trailer_magic);
    buf_le(out, 0, 4);
    if (!out->failed)
        buf_le(out, crc32c(0, bytes_of(out->p + at, SEGMENT_TRAILER_SIZE - 4)), 4);
}

bool segment_trailer_decode(struct bytes in, uint64_t *footer_offset, struct err *err)
{
    struct cur c = cur_over(in);
    uint64_t off = cur_le(&c, 8);
    struct bytes m = cur_take(&c, sizeof trailer_magic);
    cur_le(&c, 4);
    uint32_t crc = (uint32_t)cur_le(&c, 4);
    if (!cur_finish(&c, "trailer", err) || m.p == NULL)
        return false;
    if (memcmp(m.p, trailer_magic, sizeof trailer_magic) != 0 ||
        crc32c(0, bytes_of(in.p, SEGMENT_TRAILER_SIZE - 4)) != crc)
        return err_set(err, ERR_CORRUPT, "the header says that the segment is sealed, but no valid trailer ends it");
    *footer_offset = off;
    return true;
}

bool position_frame_decode(struct bytes payload, struct source_pos *out, struct err *err)
{
    struct cur c = cur_over(payload);
    struct source_pos p;
    if (!source_pos_decode(&c, &p, err))
        return false;
    if (!cur_finish(&c, "position frame", err)) {
        source_pos_clear(&p);
        return false;
    }
    *out = p;
    return true;
}

uint64_t segment_next_offset(const struct segment_frame *f)
{
    return f->offset + ZB_HEADER_SIZE + f->stored_size;
}
