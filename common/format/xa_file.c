/* xa_file.c - see xa_file.h. */
#include "xa_file.h"

#include "file.h"
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ENTRY_ENDED = 1, ENTRY_MIN = 15 /* bytes of one in an index at least */ };

/* "mysql-bin.999999" comes before "mysql-bin.1000000". */
static int compare_files(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    return na != nb ? (na < nb ? -1 : 1) : strcmp(a, b);
}

bool xa_place_in(const struct xa_place *p, const struct source_pos *pos)
{
    if (pos->flavor != GTID_NONE && p->gtid.flavor == (uint8_t)pos->flavor)
        return gtid_set_contains(pos->gtids, &p->gtid);
    int order = compare_files(p->file, pos->file);
    return order < 0 || (order == 0 && p->offset <= pos->offset);
}

/* --- the index --- */

void xa_index_clear(struct xa_index *x)
{
    free(x->v);
    *x = (struct xa_index){ 0 };
}

static void put_place(const struct xa_place *p, struct buf *out)
{
    struct buf gtid = { 0 };
    gtid_text(&p->gtid, &gtid);
    out->failed |= gtid.failed;
    buf_blob(out, buf_view(&gtid));
    buf_blob(out, bytes_str(p->file));
    buf_varint(out, p->offset);
    buf_free(&gtid);
}

bool xa_index_encode(const struct xa_index *x, struct buf *out, struct err *err)
{
    struct buf b = { 0 };
    struct frame_info none = { 0 };
    buf_put(&b, x->slot, sizeof x->slot);
    buf_varint(&b, x->next_number);
    buf_varint(&b, x->n);
    for (size_t i = 0; i < x->n; i++) {
        const struct xa_entry *e = &x->v[i];
        buf_varint(&b, e->number);
        buf_u8(&b, e->is_ended ? ENTRY_ENDED : 0);
        buf_blob(&b, bytes_str(e->xid));
        put_place(&e->prepared, &b);
        buf_le(&b, (uint64_t)e->prepared_us, 8);
        buf_varint(&b, e->records);
        buf_varint(&b, e->bytes);
        if (e->is_ended)
            put_place(&e->ended, &b);
    }
    bool ok = buf_ok(&b, err) && zblock_write_stored(ZB_XA_INDEX, &none, buf_view(&b), out, err);
    buf_free(&b);
    return ok;
}

static void take_text(struct cur *c, char *out, size_t max)
{
    struct bytes t = cur_blob(c);
    if (t.n > max || (t.n != 0 && memchr(t.p, '\0', t.n) != NULL))
        cur_fail(c, "text too long, or with a NUL");
    if (c->why != NULL)
        return;
    if (t.n != 0)
        memcpy(out, t.p, t.n);
    out[t.n] = '\0';
}

static bool take_place(struct cur *c, struct xa_place *p, struct err *err)
{
    struct bytes gtid = cur_blob(c);
    take_text(c, p->file, POSITION_FILE_MAX);
    p->offset = cur_varint(c);
    return c->why != NULL || gtid.n == 0 || gtid_parse(gtid, &p->gtid, err);
}

static bool take_entry(struct cur *c, uint64_t after, struct xa_entry *e, struct err *err)
{
    e->number = cur_varint(c);
    uint8_t flags = cur_u8(c);
    take_text(c, e->xid, XA_XID_MAX);
    if (!take_place(c, &e->prepared, err))
        return false;
    e->prepared_us = (int64_t)cur_le(c, 8);
    e->records = cur_varint(c);
    e->bytes = cur_varint(c);
    e->is_ended = (flags & ENTRY_ENDED) != 0;
    if (e->is_ended && !take_place(c, &e->ended, err))
        return false;
    if (c->why == NULL && (e->number <= after || (flags & ~ENTRY_ENDED) != 0 || (e->records == 0) != (e->bytes == 0)))
        cur_fail(c, "an entry contradicts itself");
    return true;
}

static bool decode_entries(struct bytes payload, struct xa_index *x, struct err *err)
{
    struct cur c = cur_over(payload);
    struct bytes slot = cur_take(&c, sizeof x->slot);
    x->next_number = cur_varint(&c);
    uint64_t n = cur_varint(&c), last = 0;
    if (c.why == NULL && (n > XA_ENTRIES_MAX || n > cur_left(&c) / ENTRY_MIN))
        cur_fail(&c, "truncated, or too many entries");
    if (!cur_ok(&c, "index", err))
        return false;
    memcpy(x->slot, slot.p, slot.n);
    if ((x->v = calloc((size_t)n + 1, sizeof *x->v)) == NULL)
        return err_nomem(err);
    for (; x->n < n && c.why == NULL; x->n++) {
        if (!take_entry(&c, last, &x->v[x->n], err))
            return false;
        last = x->v[x->n].number;
    }
    if (c.why == NULL && (x->next_number == 0 || last >= x->next_number))
        cur_fail(&c, "an entry's number is not in use yet");
    return cur_finish(&c, "index", err);
}

bool xa_index_decode(struct bytes in, struct xa_index *out, struct err *err)
{
    struct zblock h;
    struct xa_index x = { 0 };
    struct buf payload = { 0 };
    if (!zblock_parse(in, &h, err))
        return false;
    if (h.type != ZB_XA_INDEX || h.compressed || in.n - ZB_HEADER_SIZE != h.stored_size)
        return err_set(err, ERR_CORRUPT, "not an index, or not a whole one");
    bool ok = zblock_open(NULL, &h, bytes_of(in.p + ZB_HEADER_SIZE, h.stored_size), &payload, err) &&
              decode_entries(buf_view(&payload), &x, err);
    buf_free(&payload);
    if (ok)
        *out = x;
    else
        xa_index_clear(&x);
    return ok;
}

bool xa_index_read(int slotfd, const uint8_t slot[16], struct xa_index *out, struct err *err)
{
    struct buf b = { 0 };
    struct xa_index x = { .next_number = 1 };
    bool found = file_read(slotfd, XA_DIR "/" XA_INDEX, XA_INDEX_LIMIT, &b, err);
    bool ok = found || err->sys == ENOENT;
    if (found)
        ok = xa_index_decode(buf_view(&b), &x, err) || err_ctx(err, XA_DIR "/" XA_INDEX);
    else
        memcpy(x.slot, slot, sizeof x.slot);
    buf_free(&b);
    if (ok && memcmp(x.slot, slot, sizeof x.slot) != 0) {
        char id[37];
        uuid_text(x.slot, id);
        ok = err_set(err, ERR_CORRUPT,
                     "the directory " XA_DIR " belongs to another slot (%s), whose prepared XA transactions it holds; "
                     "remove it if that slot is gone",
                     id);
    }
    if (ok)
        *out = x;
    else
        xa_index_clear(&x);
    return ok;
}

/* --- rows --- */

struct xa_rows {
    int fd;
    struct zcodec *z;
    struct relation_table relations;
    struct buf stored, raw;
    char name[XA_ROWS_NAME];
    uint64_t at, size, records, next; /* next: number of the next record */
};

void xa_rows_name(uint64_t number, char out[XA_ROWS_NAME])
{
    snprintf(out, XA_ROWS_NAME, "%016llx" XA_ROWS_SUFFIX, (unsigned long long)number);
}

static void put_head(const uint8_t slot[16], uint64_t number, struct buf *out)
{
    buf_put(out, slot, 16);
    buf_le(out, number, 8);
}

bool xa_rows_head(const uint8_t slot[16], uint64_t number, struct buf *out, struct err *err)
{
    struct buf b = { 0 };
    struct frame_info info = { .first_lsn = 1 };
    put_head(slot, number, &b);
    bool ok = buf_ok(&b, err) && zblock_write_stored(ZB_XA_ROWS, &info, buf_view(&b), out, err);
    buf_free(&b);
    return ok;
}

/* The next frame's payload into r->raw. */
static bool read_frame(struct xa_rows *r, struct zblock *h, struct err *err)
{
    uint8_t head[ZB_HEADER_SIZE];
    if (r->size - r->at < ZB_HEADER_SIZE)
        return err_set(err, ERR_CORRUPT, "truncated");
    if (!file_pread_all(r->fd, head, sizeof head, r->at, r->name, err) ||
        !zblock_parse(bytes_of(head, sizeof head), h, err))
        return false;
    r->at += ZB_HEADER_SIZE;
    if (h->stored_size > r->size - r->at)
        return err_set(err, ERR_CORRUPT, "truncated");
    buf_reset(&r->stored);
    buf_reset(&r->raw);
    if (!buf_grow(&r->stored, h->stored_size))
        return err_nomem(err);
    if (!file_pread_all(r->fd, r->stored.p, h->stored_size, r->at, r->name, err))
        return false;
    r->at += h->stored_size;
    return zblock_open(r->z, h, bytes_of(r->stored.p, h->stored_size), &r->raw, err);
}

static bool check_head(struct xa_rows *r, const uint8_t slot[16], uint64_t number, struct err *err)
{
    struct zblock h;
    struct buf want = { 0 };
    if (!read_frame(r, &h, err))
        return false;
    put_head(slot, number, &want);
    bool ok = buf_ok(&want, err) && ((h.type == ZB_XA_ROWS && bytes_eq(buf_view(&want), buf_view(&r->raw))) ||
                                     err_set(err, ERR_CORRUPT, "the rows are not this slot's, or not this entry's"));
    buf_free(&want);
    return ok;
}

bool xa_rows_open(int fd, const uint8_t slot[16], const struct xa_entry *e, struct xa_rows **out, struct err *err)
{
    uint64_t size = 0;
    struct xa_rows *r = calloc(1, sizeof *r);
    if (r == NULL) {
        close(fd);
        return err_nomem(err);
    }
    *r = (struct xa_rows){ .fd = fd, .size = e->bytes, .records = e->records, .next = 1 };
    xa_rows_name(e->number, r->name);
    bool ok = ((r->z = zcodec_new()) != NULL || err_nomem(err)) && file_size(fd, &size, r->name, err);
    if (ok && size != e->bytes)
        ok = err_set(err, ERR_CORRUPT, "%s: it has %llu bytes, the index says %llu", r->name, (unsigned long long)size,
                     (unsigned long long)e->bytes);
    ok = ok && (check_head(r, slot, e->number, err) || err_ctx(err, "%s", r->name));
    if (ok)
        *out = r;
    else
        xa_rows_close(r);
    return ok;
}

void xa_rows_close(struct xa_rows *r)
{
    if (r == NULL)
        return;
    close(r->fd);
    zcodec_free(r->z);
    relation_table_clear(&r->relations);
    buf_free(&r->stored);
    buf_free(&r->raw);
    free(r);
}

static bool decode_data(struct xa_rows *r, const struct zblock *h, struct frame **out, struct err *err)
{
    struct frame *f = NULL;
    if (h->info.first_lsn != r->next || h->info.nrecords > r->records - (r->next - 1) || !h->info.starts_inside ||
        !h->info.ends_inside || h->info.ncommits != 0 || h->info.nchanges != h->info.nrecords)
        return err_set(err, ERR_CORRUPT, "records %llu and on: not the changes that are due",
                       (unsigned long long)h->info.first_lsn);
    if (!frame_decode(buf_view(&r->raw), &h->info, &r->relations, &f, err))
        return false;
    r->next += h->info.nrecords;
    *out = f;
    return true;
}

bool xa_rows_next(struct xa_rows *r, struct frame **out, struct err *err)
{
    struct zblock h;
    while (r->at < r->size) {
        uint64_t at = r->at;
        bool ok = read_frame(r, &h, err);
        if (ok && h.type == ZB_DATA && decode_data(r, &h, out, err))
            return true;
        if (!ok || h.type == ZB_DATA ||
            (h.type == ZB_RELATIONS && !segment_relations_decode(buf_view(&r->raw), &r->relations, err)))
            return err_ctx(err, "%s: frame at offset %llu", r->name, (unsigned long long)at);
    }
    *out = NULL;
    return r->next - 1 == r->records ||
           err_set(err, ERR_CORRUPT, "%s: it has %llu records, the index says %llu", r->name,
                   (unsigned long long)(r->next - 1), (unsigned long long)r->records);
}
