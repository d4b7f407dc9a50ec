/* segment_file.c - reads a segment file by offset: header, frames, footer. Its errors name file and offset. Not part of it:
 * which frames a reader may see (seg_reader.c), what recovery keeps (seg_writer.c). */
#include "segment.h"

#include "clock.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP_BYTES = 32 << 20 }; /* of the read buffer, between frames */

struct segment {
    int fd;
    char name[48];
    struct segment_header header;
    size_t header_size;
    bool has_footer;
    struct segment_footer footer;
    struct relation_table relations;
    uint64_t loaded; /* RELATIONS frames up to this offset are in relations */
    struct zcodec *z;
    struct buf stored;
    uint64_t decompress_us;
};

static bool at(struct err *err, const struct segment *s, uint64_t off)
{
    return err_ctx(err, "segment %s, offset %llu", s->name, (unsigned long long)off);
}

static bool read_header(struct segment *s, struct err *err)
{
    uint64_t size;
    uint8_t fixed[16];
    if (!file_size(s->fd, &size, s->name, err))
        return false;
    if (size < sizeof fixed)
        return err_set(err, ERR_CORRUPT, "segment %s: %llu bytes are no segment header", s->name,
                       (unsigned long long)size);
    if (!file_pread_all(s->fd, fixed, sizeof fixed, 0, s->name, err))
        return false;
    size_t n;
    if (!segment_header_size(bytes_of(fixed, sizeof fixed), &n, err))
        return err_ctx(err, "segment %s", s->name);
    if (n > size)
        return err_set(err, ERR_CORRUPT, "segment %s: truncated in its header (%llu bytes of %zu)", s->name,
                       (unsigned long long)size, n);
    struct buf b = { 0 };
    bool ok = buf_grow(&b, n) || err_nomem(err);
    ok = ok && file_pread_all(s->fd, b.p, n, 0, s->name, err);
    ok = ok && (segment_header_decode(bytes_of(b.p, n), &s->header, &s->header_size, err) ||
                err_ctx(err, "segment %s", s->name));
    buf_free(&b);
    return ok;
}

bool segment_open(int dirfd, const char *name, struct segment **out, struct err *err)
{
    struct segment *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err);
    snprintf(s->name, sizeof s->name, "%s", name);
    s->fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        err_sys(err, "open segment %s", name);
        goto fail;
    }
    s->z = zcodec_new();
    if (s->z == NULL) {
        err_nomem(err);
        goto fail;
    }
    if (!read_header(s, err))
        goto fail;
    uint64_t named;
    if (segment_parse_name(name, &named) && named != s->header.first_lsn) {
        err_set(err, ERR_CORRUPT, "segment %s: its header says that it begins at LSN %llu, its name says %llu", name,
                (unsigned long long)s->header.first_lsn, (unsigned long long)named);
        goto fail;
    }
    s->loaded = s->header_size;
    *out = s;
    return true;
fail:
    segment_close(s);
    return false;
}

void segment_close(struct segment *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    segment_header_clear(&s->header);
    segment_footer_clear(&s->footer);
    relation_table_clear(&s->relations);
    zcodec_free(s->z);
    buf_free(&s->stored);
    free(s);
}

const struct segment_header *segment_header(const struct segment *s)
{
    return &s->header;
}
const char *segment_file(const struct segment *s)
{
    return s->name;
}
uint64_t segment_first_offset(const struct segment *s)
{
    return s->header_size;
}
struct relation_table *segment_relations(struct segment *s)
{
    return &s->relations;
}

bool segment_is_file(const struct segment *s, int dirfd)
{
    struct stat mine, named;
    return fstat(s->fd, &mine) == 0 && fstatat(dirfd, s->name, &named, 0) == 0 && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

/* --- frames --- */

static bool parse_at(const struct segment *s, uint64_t off, uint64_t size, struct zblock *b, struct err *err)
{
    uint8_t head[ZB_HEADER_SIZE];
    if (off > size || size - off < ZB_HEADER_SIZE)
        return err_set(err, ERR_CORRUPT, "truncated in a frame header");
    if (!file_pread_all(s->fd, head, sizeof head, off, s->name, err) ||
        !zblock_parse(bytes_of(head, sizeof head), b, err))
        return false;
    if (b->stored_size > size - off - ZB_HEADER_SIZE)
        return err_set(err, ERR_CORRUPT, "truncated in a frame of %u bytes", b->stored_size);
    return true;
}

bool segment_frame_at(struct segment *s, uint64_t off, struct segment_frame *out, bool *end, struct err *err)
{
    uint64_t size;
    struct zblock b = { 0 };
    if (!file_size(s->fd, &size, s->name, err))
        return false;
    if (off == size && !s->header.sealed) {
        *end = true;
        return true;
    }
    if (!parse_at(s, off, size, &b, err))
        return at(err, s, off);
    *end = b.type == ZB_FOOTER;
    *out = (struct segment_frame){
        .offset = off, .type = b.type, .info = b.info, .stored_size = b.stored_size, .raw_size = b.raw_size
    };
    return true;
}

static bool read_frame(struct segment *s, const struct segment_frame *f, struct buf *out, struct err *err)
{
    uint64_t size;
    size_t n = ZB_HEADER_SIZE + (size_t)f->stored_size;
    struct zblock b = { 0 };
    if (!file_size(s->fd, &size, s->name, err))
        return false;
    if (f->offset > size || n > size - f->offset) /* before memory is taken for it */
        return err_set(err, ERR_CORRUPT, "truncated in a frame of %u bytes", f->stored_size);
    buf_reset(&s->stored);
    if (!buf_grow(&s->stored, n))
        return err_nomem(err);
    if (!file_pread_all(s->fd, s->stored.p, n, f->offset, s->name, err) ||
        !zblock_parse(bytes_of(s->stored.p, n), &b, err))
        return false;
    if (b.type != f->type || b.stored_size != f->stored_size || b.raw_size != f->raw_size ||
        b.info.first_lsn != f->info.first_lsn || b.info.nrecords != f->info.nrecords)
        return err_set(err, ERR_CORRUPT, "another frame than the index says");
    int64_t t0 = clock_mono_us();
    bool ok = zblock_open(s->z, &b, bytes_of(s->stored.p + ZB_HEADER_SIZE, b.stored_size), out, err);
    s->decompress_us += (uint64_t)(clock_mono_us() - t0);
    if (s->stored.cap > KEEP_BYTES)
        buf_free(&s->stored);
    return ok;
}

uint64_t segment_decompress_us(const struct segment *s)
{
    return s->decompress_us;
}

bool segment_read(struct segment *s, const struct segment_frame *f, struct buf *out, struct err *err)
{
    return read_frame(s, f, out, err) || at(err, s, f->offset);
}

bool segment_load_relations(struct segment *s, const struct segment_frame *f, struct err *err)
{
    if (f->offset < s->loaded)
        return true;
    struct buf b = { 0 };
    bool ok = segment_read(s, f, &b, err) &&
              (segment_relations_decode(buf_view(&b), &s->relations, err) || at(err, s, f->offset));
    buf_free(&b);
    if (ok)
        s->loaded = segment_next_offset(f);
    return ok;
}

/* --- footer --- */

static bool load_footer(struct segment *s, struct err *err)
{
    uint64_t size, off;
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    struct zblock b = { 0 };
    if (!file_size(s->fd, &size, s->name, err))
        return false;
    if (size < s->header_size + ZB_HEADER_SIZE + sizeof trailer)
        return err_set(err, ERR_CORRUPT, "segment %s: sealed, but truncated (%llu bytes)", s->name,
                       (unsigned long long)size);
    if (!file_pread_all(s->fd, trailer, sizeof trailer, size - sizeof trailer, s->name, err))
        return false;
    if (!segment_trailer_decode(bytes_of(trailer, sizeof trailer), &off, err))
        return at(err, s, size - sizeof trailer);
    if (off < s->header_size || !parse_at(s, off, size - sizeof trailer, &b, err) || b.type != ZB_FOOTER ||
        off + ZB_HEADER_SIZE + b.stored_size != size - sizeof trailer) {
        err_set(err, ERR_CORRUPT, "the trailer does not point to a footer");
        return at(err, s, off);
    }
    struct segment_frame f = {
        .offset = off, .type = b.type, .info = b.info, .stored_size = b.stored_size, .raw_size = b.raw_size
    };
    struct buf payload = { 0 };
    bool ok = segment_read(s, &f, &payload, err) &&
              (segment_footer_decode(buf_view(&payload), &s->footer, err) || at(err, s, off));
    buf_free(&payload);
    if (!ok)
        return false;
    s->has_footer = true;
    const struct segment_footer *ft = &s->footer;
    uint64_t first = ft->nframes == 0 ? ft->next_lsn : ft->frames[0].info.first_lsn;
    uint64_t end = ft->nframes == 0 ? s->header_size : segment_next_offset(&ft->frames[ft->nframes - 1]);
    if (first != s->header.first_lsn || end > off || (ft->nframes != 0 && ft->frames[0].offset < s->header_size)) {
        err_set(err, ERR_CORRUPT, "the footer's index does not fit the segment");
        return at(err, s, off);
    }
    for (unsigned i = 0; i < ft->relations.n; i++)
        if (!relation_table_add(&s->relations, ft->relations.rel[i], err))
            return false;
    s->loaded = off;
    return true;
}

bool segment_footer(struct segment *s, const struct segment_footer **out, struct err *err)
{
    if (!s->header.sealed) {
        *out = NULL;
        return true;
    }
    if (!s->has_footer && !load_footer(s, err)) {
        segment_footer_clear(&s->footer);
        s->has_footer = false;
        return false;
    }
    *out = &s->footer;
    return true;
}
