/* frame.c - decodes a data frame's payload into arrays, one per column and image (docs/segment-format.md, "Data frame").
 *
 * One pass, one arena, nothing allocated per value. Every number from outside is checked before it is used (I9): streams
 * against what is left, row numbers by construction (rows are counted here, not stored), values against their stream. */
#include "frame_digits.h"
#include "frame_fields.h"
#include "frame_near.h"
#include "frame_wire.h"

#include "arena.h"

#include <stdatomic.h>
#include <stdlib.h>

struct part {
    uint8_t mode;         /* enum part_state */
    bool has_same;        /* ST_PACKED, and some rows are ST_SAME */
    bool has_absent;      /* some rows are ST_ABSENT */
    const uint8_t *state; /* ST_PACKED: one byte a row; else NULL */
    union {               /* by row; unset where the state is not ST_VALUE; NULL when no row has a value */
        const uint64_t *i;
        const double *f64;
        const float *f32;
        const struct span *s;
    } v;
    const uint8_t *bytes; /* PHYS_STR */
};
struct col {
    struct col_kind k;
    struct part new_part, old_part;
};
struct rel_rows {
    struct relation *rel;
    uint32_t n_new, n_old;
    bool inserts, deletes;
    bool old_same;   /* has a column with ST_SAME among its old values */
    bool new_absent; /* has a column with ST_ABSENT among its new values */
    struct col *cols;
};
struct frame {
    atomic_uint refs;
    struct frame_info info;
    struct arena *arena;
    struct record *records;
    struct rel_rows *rels;
    unsigned nrels;
};

/* --- values --- */

/* A varint of at most eight bytes where eight can be loaded: their groups of seven bits are moved together by pairs. False: another
 * one, or none; nothing was done. */
static inline bool short_varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    const uint8_t *q = *p;
    if (end - q < 8)
        return false;
    uint64_t w = (uint64_t)q[0] | (uint64_t)q[1] << 8 | (uint64_t)q[2] << 16 | (uint64_t)q[3] << 24 |
                 (uint64_t)q[4] << 32 | (uint64_t)q[5] << 40 | (uint64_t)q[6] << 48 | (uint64_t)q[7] << 56;
    uint64_t ends = ~w & UINT64_C(0x8080808080808080), last = ends & (0 - ends); /* the highest bit of the last byte */
    if (ends == 0)
        return false;
    w &= last | (last - 1);
    if (w < last >> 7 && last != 0x80) /* its last byte is 0: longer than needed */
        return false;
    w &= UINT64_C(0x7f7f7f7f7f7f7f7f);
    w = (w & UINT64_C(0x007f007f007f007f)) | (w & UINT64_C(0x7f007f007f007f00)) >> 1;
    w = (w & UINT64_C(0x00003fff00003fff)) | (w & UINT64_C(0x3fff00003fff0000)) >> 2;
    *out = (w & UINT64_C(0x000000000fffffff)) | (w & UINT64_C(0x0fffffff00000000)) >> 4;
    *p = q + (__builtin_ctzll(last) + 1) / 8;
    return true;
}

/* A varint at *p; false: torn, longer than needed, or over 64 bits. */
static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    const uint8_t *q = *p;
    if (short_varint(p, end, out))
        return true;
    uint64_t v = 0;
    for (unsigned shift = 0; q < end && shift < 70; shift += 7) {
        uint8_t byte = *q++;
        if ((shift == 63 && byte > 1) || (byte == 0 && shift != 0))
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *p = q;
            *out = v;
            return true;
        }
    }
    return false;
}

static const char *read_ints(struct bytes in, uint32_t n, const uint8_t *state, uint64_t *out)
{
    const uint8_t *p = in.p, *end = in.p + in.n;
    uint64_t prev = 0, z;
    for (uint32_t i = 0; i < n; i++) {
        if (state != NULL && state[i] != ST_VALUE)
            continue;
        if (p < end && *p < 0x80)
            z = *p++;
        else if (!varint(&p, end, &z))
            return "invalid integer";
        prev += (uint64_t)unzigzag(z);
        out[i] = prev;
    }
    return p == end ? NULL : "more integers than rows";
}

static const char *read_spans(struct bytes in, size_t have, uint32_t n, const uint8_t *state, struct span *out)
{
    const uint8_t *p = in.p, *end = in.p + in.n;
    uint64_t off = 0, len;
    for (uint32_t i = 0; i < n; i++) {
        if (state != NULL && state[i] != ST_VALUE)
            continue;
        if (p < end && *p < 0x80)
            len = *p++;
        else if (!varint(&p, end, &len))
            return "invalid string length";
        if (len > have - off)
            return "string beyond its stream";
        out[i] = (struct span){ (uint32_t)off, (uint32_t)len };
        off += len;
    }
    return p == end && off == have ? NULL : "more strings than rows";
}

static const char *read_floats(struct bytes in, uint32_t n, const uint8_t *state, unsigned width, uint8_t *out)
{
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (state != NULL && state[i] != ST_VALUE)
            continue;
        if (in.n - at < width)
            return "fewer floats than rows";
        uint64_t x = 0;
        for (unsigned k = 0; k < width; k++)
            x |= (uint64_t)in.p[at + k] << (8 * k);
        uint32_t w = (uint32_t)x;
        memcpy(out + (size_t)i * width, width == 8 ? (void *)&x : (void *)&w, width);
        at += width;
    }
    return at == in.n ? NULL : "more floats than rows";
}

static bool read_states(struct cur *c, struct arena *a, uint32_t n, bool same_ok, struct part *p, struct err *err)
{
    struct bytes packed = cur_take(c, ((size_t)n + 3) / 4);
    if (c->why != NULL)
        return true; /* the caller reports */
    uint8_t *st = arena_alloc(a, n, err);
    if (st == NULL)
        return false;
    bool same = false, absent = false;
    for (uint32_t i = 0; i < n; i++) {
        st[i] = packed.p[i / 4] >> (2 * (i % 4)) & 3;
        same |= st[i] == ST_SAME;
        absent |= st[i] == ST_ABSENT;
    }
    if (n % 4 != 0 && packed.p[n / 4] >> (2 * (n % 4)) != 0)
        cur_fail(c, "bits behind the last row's state");
    if (same && !same_ok)
        cur_fail(c, "a new value that is said to be the same as itself");
    p->state = st;
    p->has_same = same;
    p->has_absent = absent;
    return true;
}

/* Old strings as differences from the new ones of the same updates. False: out of memory. */
static bool read_near(struct cur *c, struct arena *a, uint32_t n, const struct part *news, struct part *p,
                      struct err *err)
{
    struct near_in in = {
        .new_state = news->state, .new_mode = news->mode, .new_spans = news->v.s, .new_bytes = news->bytes
    };
    in.prefix = cur_blob(c);
    in.suffix = cur_blob(c);
    in.len = cur_blob(c);
    in.middle = cur_blob(c);
    if (c->why == NULL && p->mode == ST_VALUE && in.len.n < n)
        cur_fail(c, "fewer values than rows");
    if (c->why != NULL)
        return true;
    struct span *spans = arena_alloc(a, (size_t)n * sizeof *spans, err);
    if (spans == NULL)
        return false;
    size_t size;
    const char *why = frame_near_measure(&in, n, p->state, spans, &size);
    if (why != NULL) {
        cur_fail(c, why);
        return true;
    }
    uint8_t *bytes = arena_alloc(a, size + 1, err);
    if (bytes == NULL)
        return false;
    frame_near_read(&in, n, p->state, spans, bytes);
    p->v.s = spans;
    p->bytes = bytes;
    return true;
}

/* Strings of one form, as the numbers that their digits make. False: out of memory. */
static bool read_digits(struct cur *c, struct arena *a, uint32_t n, struct part *p, struct err *err)
{
    size_t values = n;
    for (uint32_t i = 0; p->state != NULL && i < n; i++)
        values -= p->state[i] != ST_VALUE;
    struct digits_in in;
    frame_digits_take(c, values, &in);
    if (c->why != NULL)
        return true;
    struct span *spans = arena_alloc(a, (size_t)n * sizeof *spans, err);
    uint8_t *bytes = spans == NULL ? NULL : arena_alloc(a, values * in.len + FRAME_DIGITS_SLACK, err);
    if (bytes == NULL)
        return false;
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++)
        if (p->state == NULL || p->state[i] == ST_VALUE) {
            spans[i] = (struct span){ at, (uint32_t)in.len };
            at += (uint32_t)in.len;
        }
    frame_digits_read(&in, c, bytes);
    p->v.s = spans;
    p->bytes = bytes;
    return true;
}

/* Strings by their fields. False: out of memory. */
static bool read_fields(struct cur *c, struct arena *a, uint32_t n, struct part *p, struct err *err)
{
    struct span *spans = NULL;
    if (!frame_fields_read(c, a, n, p->state, &spans, &p->bytes, err))
        return false;
    p->v.s = spans;
    return true;
}

/* news: the new part of the same column where old rows and new ones are those of the same updates, else NULL. False: out of memory. A fault
 * of the input is left in c. */
static bool read_part(struct cur *c, struct arena *a, uint8_t phys, uint32_t n, bool same_ok, const struct part *news,
                      struct part *p, struct err *err)
{
    if (n == 0)
        return true;
    p->mode = cur_u8(c);
    bool near = p->mode == (ST_VALUE | PART_NEAR) || p->mode == (ST_PACKED | PART_NEAR);
    bool digits = p->mode == (ST_VALUE | PART_DIGITS) || p->mode == (ST_PACKED | PART_DIGITS);
    bool fields = p->mode == (ST_VALUE | PART_FIELDS) || p->mode == (ST_PACKED | PART_FIELDS);
    if (phys == PHYS_STR && (digits || fields || (near && news != NULL)))
        p->mode &= (uint8_t) ~(PART_NEAR | PART_DIGITS | PART_FIELDS);
    if (p->mode > ST_PACKED || (p->mode == ST_SAME && !same_ok)) {
        cur_fail(c, "unknown mode");
        return true;
    }
    p->has_absent = p->mode == ST_ABSENT;
    if (p->mode == ST_PACKED ? !read_states(c, a, n, same_ok, p, err) : false)
        return false;
    if (c->why != NULL || (p->mode != ST_PACKED && p->mode != ST_VALUE))
        return true;
    if (near)
        return read_near(c, a, n, news, p, err);
    if (digits)
        return read_digits(c, a, n, p, err);
    if (fields)
        return read_fields(c, a, n, p, err);

    static const uint8_t widths[] = {
        [PHYS_INT] = 8, [PHYS_F32] = 4, [PHYS_F64] = 8, [PHYS_STR] = sizeof(struct span)
    };
    struct bytes in = cur_blob(c), str = { 0 };
    if (phys == PHYS_STR)
        str = cur_blob(c);
    if (c->why != NULL)
        return true;
    if (p->mode == ST_VALUE &&
        in.n < n) { /* each value takes a byte at least: checked before memory is taken for them */
        cur_fail(c, "fewer values than rows");
        return true;
    }
    void *out = arena_alloc(a, (size_t)n * widths[phys], err);
    if (out == NULL)
        return false;
    const char *why = NULL;
    switch ((enum col_phys)phys) {
    case PHYS_INT:
        why = read_ints(in, n, p->state, out);
        p->v.i = out;
        break;
    case PHYS_F32:
        why = read_floats(in, n, p->state, 4, out);
        p->v.f32 = out;
        break;
    case PHYS_F64:
        why = read_floats(in, n, p->state, 8, out);
        p->v.f64 = out;
        break;
    case PHYS_STR: {
        struct bytes copy;
        if (!arena_copy(a, str, &copy, err))
            return false;
        why = read_spans(in, str.n, n, p->state, out);
        p->v.s = out;
        p->bytes = copy.p;
        break;
    }
    }
    if (why != NULL)
        cur_fail(c, why);
    return true;
}

static bool read_columns(struct cur *c, struct frame *f, struct err *err)
{
    for (unsigned r = 0; r < f->nrels; r++) {
        struct rel_rows *rr = &f->rels[r];
        for (unsigned i = 0; i < rr->rel->ncols; i++) {
            struct col *col = &rr->cols[i];
            const struct column *def = &rr->rel->cols[i];
            col->k = col_kind_of(def);
            if (col->k.kind == VAL_ABSENT)
                return err_set(err, ERR_UNSUPPORTED,
                               "table %.*s.%.*s, column %.*s: column type %u is not known to this version",
                               BYTES_FMT(rr->rel->schema), BYTES_FMT(rr->rel->table), BYTES_FMT(def->name), def->type);
            const struct part *news = rr->inserts || rr->deletes ? NULL : &col->new_part;
            if (!read_part(c, f->arena, col->k.phys, rr->n_new, false, NULL, &col->new_part, err) ||
                !read_part(c, f->arena, col->k.phys, rr->n_old, true, news, &col->old_part, err))
                return false;
            if (c->why == NULL && rr->deletes && rr->n_old != 0 && col->old_part.mode == ST_SAME)
                cur_fail(c, "a deleted row's value is said to be the same as the new one");
            if (c->why != NULL)
                return err_set(err, ERR_CORRUPT, "data frame: %s at byte %zu (table %.*s.%.*s, column %.*s)", c->why,
                               c->at, BYTES_FMT(rr->rel->schema), BYTES_FMT(rr->rel->table), BYTES_FMT(def->name));
            rr->old_same |= col->old_part.has_same;
            rr->new_absent |= col->new_part.has_absent;
        }
    }
    return true;
}

/* A DELETE has no new row that its values could be the same as. */
static bool check_deletes(const struct frame *f, struct err *err)
{
    for (uint32_t i = 0; i < f->info.nrecords; i++) {
        const struct record *rec = &f->records[i];
        if (rec->op != REC_DELETE || !rec->u.change.rows->old_same)
            continue;
        const struct rel_rows *rr = rec->u.change.rows;
        for (unsigned k = 0; k < rr->rel->ncols; k++) {
            const struct part *p = &rr->cols[k].old_part;
            if (p->has_same && p->state[rec->u.change.old_row] == ST_SAME)
                return err_set(err, ERR_CORRUPT,
                               "data frame: LSN %llu deletes a row whose column %.*s is the same as nothing",
                               (unsigned long long)rec->lsn, BYTES_FMT(rr->rel->cols[k].name));
        }
    }
    return true;
}

/* --- records --- */

struct gtid_dict {
    struct gtid *g; /* no: the last number seen */
    unsigned n;
};
struct file_dict {
    struct bytes *name;
    unsigned n;
};
struct head { /* the streams in front of the columns, in their order */
    struct cur ops, relno, ids, begin_time, begin_res, gtids, gtid_src, gtid_no, files, commit_file, commit_off,
        consumed_len, consumed, texts;
};

static void read_head(struct cur *c, struct head *h)
{
    struct cur *all[] = { &h->ops,        &h->relno,        &h->ids,      &h->begin_time, &h->begin_res,
                          &h->gtids,      &h->gtid_src,     &h->gtid_no,  &h->files,      &h->commit_file,
                          &h->commit_off, &h->consumed_len, &h->consumed, &h->texts,      NULL };
    for (struct cur **to = all; *to != NULL; to++)
        **to = cur_over(cur_blob(c));
}

static bool read_gtids(struct cur *c, struct arena *a, struct gtid_dict *d, struct err *err)
{
    size_t max = cur_left(c) / 9; /* no entry is shorter */
    d->g = max == 0 ? NULL : arena_alloc(a, max * sizeof *d->g, err);
    if (max != 0 && d->g == NULL)
        return false;
    while (cur_left(c) != 0) {
        struct gtid g = { 0 };
        uint8_t kind = cur_u8(c);
        if (kind == DICT_MYSQL) {
            g.flavor = GTID_MYSQL;
            struct bytes uuid = cur_take(c, 16), tag = cur_blob(c);
            if (tag.n > sizeof g.tag)
                cur_fail(c, "GTID tag too long");
            if (c->why != NULL || uuid.p == NULL)
                break;
            memcpy(g.uuid, uuid.p, 16);
            memcpy(g.tag, tag.p, tag.n);
            g.tag_len = (uint8_t)tag.n;
        } else if (kind == DICT_MARIADB) {
            g.flavor = GTID_MARIADB;
            g.domain = (uint32_t)cur_le(c, 4);
            g.server = (uint32_t)cur_le(c, 4);
        } else {
            cur_fail(c, "unknown kind of GTID");
        }
        if (c->why == NULL && d->n < max)
            d->g[d->n++] = g;
    }
    return cur_finish(c, "data frame: GTID dictionary", err);
}

static bool read_files(struct cur *c, struct arena *a, struct file_dict *d, struct err *err)
{
    size_t max = cur_left(c);
    d->name = max == 0 ? NULL : arena_alloc(a, max * sizeof *d->name, err);
    if (max != 0 && d->name == NULL)
        return false;
    while (cur_left(c) != 0) {
        struct bytes v = cur_blob(c);
        if (v.n > POSITION_FILE_MAX || (v.n != 0 && memchr(v.p, 0, v.n) != NULL))
            cur_fail(c, "not a file name");
        if (c->why == NULL && !arena_copy(a, v, &d->name[d->n++], err))
            return false;
    }
    return cur_finish(c, "data frame: file dictionary", err);
}

static bool read_relations(struct cur *c, const struct relation_table *rels, struct frame *f, struct err *err)
{
    size_t n = cur_left(c) / 8;
    if (n == 0 && cur_left(c) == 0)
        return true;
    struct relation_table seen = { 0 };
    f->rels = arena_zalloc(f->arena, (n + 1) * sizeof *f->rels, err);
    bool ok = f->rels != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t id = cur_le(c, 8);
        const struct relation *r = relation_table_find(rels, id);
        if (r == NULL) {
            ok = err_set(err, ERR_CORRUPT, "data frame: relation %016llx is not defined before it in the segment",
                         (unsigned long long)id);
            break;
        }
        if (relation_table_find(&seen, id) != NULL)
            cur_fail(c, "a relation twice");
        ok = relation_table_add(&seen, r, err);
        struct rel_rows *rr = &f->rels[f->nrels];
        ok = ok && (rr->cols = arena_zalloc(f->arena, r->ncols * sizeof *rr->cols, err)) != NULL;
        if (ok) {
            rr->rel = relation_ref(r);
            f->nrels++;
        }
    }
    relation_table_clear(&seen);
    return ok && cur_finish(c, "data frame: relations", err);
}

struct walk { /* over the operations */
    struct head h;
    struct gtid_dict gtids;
    struct file_dict files;
    uint64_t time, res, off;
    struct rel_rows *rr;
    bool inside;
    uint32_t ncommits, nchanges, nbegins;
    uint64_t last_commit_lsn;
    int64_t min_us, max_us;
    const char *why;
};

static bool keep(struct arena *a, struct bytes b, struct bytes *out, struct err *err)
{
    *out = (struct bytes){ 0 };
    return b.n == 0 || arena_copy(a, b, out, err); /* most are empty: no arena block for those */
}

static void read_begin(struct walk *w, struct rec_begin *r)
{
    w->time += (uint64_t)cur_zigzag(&w->h.begin_time);
    w->res += (uint64_t)cur_zigzag(&w->h.begin_res);
    uint64_t src = cur_varint(&w->h.gtid_src);
    memset(r, 0, sizeof *r);
    r->commit_us = (int64_t)w->time;
    r->resolution_us = (uint32_t)w->res;
    if (w->res > UINT32_MAX)
        w->why = "commit time resolution out of range";
    if (src > w->gtids.n) {
        w->why = "GTID of a source that is not in the dictionary";
    } else if (src != 0) {
        struct gtid *g = &w->gtids.g[src - 1];
        g->no += (uint64_t)cur_zigzag(&w->h.gtid_no);
        r->gtid = *g;
    }
    if (w->inside)
        w->why = "BEGIN inside a transaction";
    w->inside = true;
    w->min_us = w->nbegins == 0 || r->commit_us < w->min_us ? r->commit_us : w->min_us;
    w->max_us = w->nbegins == 0 || r->commit_us > w->max_us ? r->commit_us : w->max_us;
    w->nbegins++;
}

static bool read_commit(struct walk *w, struct arena *a, uint64_t lsn, struct rec_commit *r, struct err *err)
{
    uint64_t file = cur_varint(&w->h.commit_file);
    w->off += (uint64_t)cur_zigzag(&w->h.commit_off);
    memset(r, 0, sizeof *r);
    r->end_offset = w->off;
    if (file < w->files.n)
        r->file = w->files.name[file];
    else
        w->why = "COMMIT in a file that is not in the dictionary";
    uint64_t n = cur_varint(&w->h.consumed_len);
    struct bytes consumed = n > FRAME_RAW_MAX ? (struct bytes){ 0 } : cur_take(&w->h.consumed, (size_t)n);
    if (n > FRAME_RAW_MAX || w->h.consumed.why != NULL)
        w->why = "consumed GTIDs beyond their stream";
    if (!w->inside)
        w->why = "COMMIT outside a transaction";
    w->inside = false;
    w->ncommits++;
    w->last_commit_lsn = lsn;
    return w->why != NULL || keep(a, consumed, &r->consumed, err);
}

static bool read_ddl(struct cur *c, struct arena *a, struct rec_ddl *r, struct err *err)
{
    struct bytes schema = cur_blob(c), sql = cur_blob(c);
    r->kind = cur_u8(c);
    r->sql_flags = cur_u8(c);
    struct bytes t_schema = cur_blob(c), t_table = cur_blob(c);
    return keep(a, schema, &r->schema, err) && keep(a, sql, &r->sql, err) && keep(a, t_schema, &r->t_schema, err) &&
           keep(a, t_table, &r->t_table, err);
}

static bool read_message(struct cur *c, struct arena *a, struct rec_message *r, struct err *err)
{
    struct bytes topic = cur_blob(c), body = cur_blob(c);
    return keep(a, topic, &r->topic, err) && keep(a, body, &r->body, err);
}

static void read_change(struct walk *w, struct frame *f, uint8_t op_byte, struct record *rec)
{
    if ((op_byte & OP_RELATION) != 0) {
        uint64_t no = cur_varint(&w->h.relno);
        w->rr = no < f->nrels ? &f->rels[no] : NULL;
    }
    struct rel_rows *rr = w->rr;
    if (rr == NULL) {
        w->why = "a change of an unknown relation";
        return;
    }
    rec->u.change.rows = rr;
    rec->u.change.new_row = rec->op == REC_DELETE ? UINT32_MAX : rr->n_new++;
    rec->u.change.old_row = rec->op == REC_INSERT ? UINT32_MAX : rr->n_old++;
    rr->inserts |= rec->op == REC_INSERT;
    rr->deletes |= rec->op == REC_DELETE;
    w->nchanges++;
}

static bool read_record(struct walk *w, struct frame *f, uint8_t op_byte, struct record *rec, struct err *err)
{
    rec->op = op_byte & OP_MASK;
    if (rec->op > REC_BEGIN && rec->op != REC_COMMIT && !w->inside)
        w->why = "a record outside a transaction";
    bool change = rec->op == REC_INSERT || rec->op == REC_UPDATE || rec->op == REC_DELETE;
    if ((op_byte & ~(OP_MASK | OP_RELATION)) != 0 || ((op_byte & OP_RELATION) != 0 && !change)) {
        w->why = "unknown bits in an operation";
        return true;
    }
    switch (rec->op) {
    case REC_BEGIN:
        read_begin(w, &rec->u.begin);
        return true;
    case REC_COMMIT:
        return read_commit(w, f->arena, rec->lsn, &rec->u.commit, err);
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE:
        read_change(w, f, op_byte, rec);
        return true;
    case REC_TRUNCATE:
        w->nchanges++;
        return read_ddl(&w->h.texts, f->arena, &rec->u.ddl, err);
    case REC_DDL:
        return read_ddl(&w->h.texts, f->arena, &rec->u.ddl, err);
    case REC_MESSAGE:
        return read_message(&w->h.texts, f->arena, &rec->u.message, err);
    default:
        w->why = "unknown operation";
        return true;
    }
}

static bool read_records(struct walk *w, struct frame *f, struct err *err)
{
    struct head *h = &w->h;
    if (cur_left(&h->ops) != f->info.nrecords || f->info.nrecords == 0)
        return err_set(err, ERR_CORRUPT, "data frame: %zu operations, but its header says %u records",
                       cur_left(&h->ops), f->info.nrecords);
    f->records = arena_alloc(f->arena, f->info.nrecords * sizeof *f->records, err);
    if (f->records == NULL)
        return false;
    w->inside = f->info.starts_inside;
    for (uint32_t i = 0; i < f->info.nrecords; i++) {
        f->records[i].lsn = f->info.first_lsn + i;
        if (!read_record(w, f, h->ops.p[i], &f->records[i], err))
            return false;
        if (w->why != NULL)
            return err_set(err, ERR_CORRUPT, "data frame: LSN %llu: %s", (unsigned long long)f->records[i].lsn, w->why);
    }
    struct cur *rest[] = { &h->relno,      &h->begin_time,   &h->begin_res, &h->gtid_src, &h->gtid_no, &h->commit_file,
                           &h->commit_off, &h->consumed_len, &h->consumed,  &h->texts,    NULL };
    for (struct cur **left = rest; *left != NULL; left++)
        if (!cur_finish(*left, "data frame: records", err))
            return false;
    return true;
}

/* The header's counts must be what the records say: readers and recovery act on the header alone. */
static bool check_info(const struct walk *w, const struct frame_info *i, bool any, struct err *err)
{
    if (w->ncommits != i->ncommits || w->nchanges != i->nchanges || w->last_commit_lsn != i->last_commit_lsn ||
        w->min_us != i->min_commit_us || w->max_us != i->max_commit_us || w->inside != i->ends_inside)
        return err_set(
            err, ERR_CORRUPT,
            "data frame at LSN %llu: its header (%u commits, %u changes, last commit %llu) contradicts its records "
            "(%u, %u, %llu)",
            (unsigned long long)i->first_lsn, i->ncommits, i->nchanges, (unsigned long long)i->last_commit_lsn,
            w->ncommits, w->nchanges, (unsigned long long)w->last_commit_lsn);
    if (!any && ((i->starts_inside && w->nbegins != 0) || (i->ends_inside && w->ncommits != 0)))
        return err_set(err, ERR_CORRUPT,
                       "data frame at LSN %llu: a part of a transaction shares it with another transaction",
                       (unsigned long long)i->first_lsn);
    return true;
}

static bool decode(struct bytes payload, const struct relation_table *rels, bool any, struct frame *f, struct err *err)
{
    struct walk w = { 0 };
    struct cur c = cur_over(payload);
    read_head(&c, &w.h);
    return cur_ok(&c, "data frame", err) && read_gtids(&w.h.gtids, f->arena, &w.gtids, err) &&
           read_files(&w.h.files, f->arena, &w.files, err) && read_relations(&w.h.ids, rels, f, err) &&
           read_records(&w, f, err) && check_info(&w, &f->info, any, err) && read_columns(&c, f, err) &&
           cur_finish(&c, "data frame", err) && check_deletes(f, err);
}

static bool frame_decode_as(struct bytes payload, const struct frame_info *info, const struct relation_table *rels,
                            bool any, struct frame **out, struct err *err)
{
    if (payload.n > FRAME_RAW_MAX)
        return err_set(err, ERR_CORRUPT, "data frame: %zu bytes (at most %d)", payload.n, FRAME_RAW_MAX);
    struct frame *f = calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(err);
    atomic_init(&f->refs, 1);
    f->info = *info;
    size_t limit = FRAME_MEMORY + 2 * payload.n;
    f->arena = arena_new(limit);
    if (f->arena == NULL) {
        free(f);
        return err_nomem(err);
    }
    if (decode(payload, rels, any, f, err)) {
        *out = f;
        return true;
    }
    if (err->code == ERR_NOMEM && arena_refused(f->arena))
        err_set(err, ERR_CORRUPT, "data frame at LSN %llu: decoding its %zu bytes takes more than %zu bytes",
                (unsigned long long)info->first_lsn, payload.n, limit);
    frame_unref(f);
    return false;
}

bool frame_decode(struct bytes payload, const struct frame_info *info, const struct relation_table *rels,
                  struct frame **out, struct err *err)
{
    return frame_decode_as(payload, info, rels, false, out, err);
}

bool frame_decode_any(struct bytes payload, const struct frame_info *info, const struct relation_table *rels,
                      struct frame **out, struct err *err)
{
    return frame_decode_as(payload, info, rels, true, out, err);
}

struct frame *frame_ref(struct frame *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void frame_unref(struct frame *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < f->nrels; i++)
        relation_unref(f->rels[i].rel);
    arena_free(f->arena);
    free(f);
}

const struct frame_info *frame_info(const struct frame *f)
{
    return &f->info;
}
size_t frame_memory(const struct frame *f)
{
    return arena_used(f->arena) + sizeof *f;
}
unsigned frame_count(const struct frame *f)
{
    return f->info.nrecords;
}
const struct record *frame_record(const struct frame *f, unsigned i)
{
    return &f->records[i];
}

/* --- rows --- */

const struct relation *rel_rows_relation(const struct rel_rows *r)
{
    return r->rel;
}

static inline uint8_t part_state(const struct part *p, uint32_t row)
{
    return p->state != NULL ? p->state[row] : p->mode;
}

static inline struct val part_value(const struct part *p, struct col_kind k, uint32_t row)
{
    struct val v = { .kind = k.kind, .scale = k.scale };
    switch ((enum col_phys)k.phys) {
    case PHYS_INT:
        v.u.u64 = p->v.i[row];
        break;
    case PHYS_F32:
        v.u.f32 = p->v.f32[row];
        break;
    case PHYS_F64:
        v.u.f64 = p->v.f64[row];
        break;
    case PHYS_STR:
        v.u.str = (struct bytes){ p->bytes + p->v.s[row].off, p->v.s[row].len };
        break;
    }
    return v;
}

static inline struct val new_at(const struct col *c, uint32_t row)
{
    if (row == UINT32_MAX)
        return (struct val){ .kind = VAL_ABSENT };
    uint8_t st = part_state(&c->new_part, row);
    return st == ST_VALUE ? part_value(&c->new_part, c->k, row)
                          : (struct val){ .kind = st == ST_NULL ? VAL_NULL : VAL_ABSENT };
}

static inline struct val old_at(const struct col *c, uint32_t row, uint32_t new_row)
{
    if (row == UINT32_MAX)
        return (struct val){ .kind = VAL_ABSENT };
    uint8_t st = part_state(&c->old_part, row);
    if (st == ST_SAME)
        return new_at(c, new_row);
    return st == ST_VALUE ? part_value(&c->old_part, c->k, row)
                          : (struct val){ .kind = st == ST_NULL ? VAL_NULL : VAL_ABSENT };
}

void rel_rows_new(const struct rel_rows *r, const struct record *rec, struct val *out)
{
    for (unsigned i = 0; i < r->rel->ncols; i++)
        out[i] = new_at(&r->cols[i], rec->u.change.new_row);
}

void rel_rows_old(const struct rel_rows *r, const struct record *rec, struct val *out)
{
    for (unsigned i = 0; i < r->rel->ncols; i++)
        out[i] = old_at(&r->cols[i], rec->u.change.old_row, rec->u.change.new_row);
}

struct val rel_rows_new_at(const struct rel_rows *r, const struct record *rec, unsigned col)
{
    return new_at(&r->cols[col], rec->u.change.new_row);
}

struct val rel_rows_old_at(const struct rel_rows *r, const struct record *rec, unsigned col)
{
    return old_at(&r->cols[col], rec->u.change.old_row, rec->u.change.new_row);
}

bool rel_rows_complete(const struct rel_rows *r)
{
    return !r->new_absent;
}

size_t rel_rows_new_strings(const struct rel_rows *r, const struct record *rec)
{
    size_t n = 0;
    uint32_t row = rec->u.change.new_row;
    for (unsigned i = 0; i < r->rel->ncols && row != UINT32_MAX; i++)
        if (r->cols[i].k.phys == PHYS_STR && part_state(&r->cols[i].new_part, row) == ST_VALUE)
            n += r->cols[i].new_part.v.s[row].len;
    return n;
}

size_t rel_rows_old_strings(const struct rel_rows *r, const struct record *rec)
{
    size_t n = 0;
    uint32_t row = rec->u.change.old_row;
    for (unsigned i = 0; i < r->rel->ncols && row != UINT32_MAX; i++)
        if (r->cols[i].k.phys == PHYS_STR && part_state(&r->cols[i].old_part, row) == ST_VALUE)
            n += r->cols[i].old_part.v.s[row].len;
    return n;
}

bool rel_rows_same_at(const struct rel_rows *r, const struct record *rec, unsigned col)
{
    return rec->u.change.old_row != UINT32_MAX && part_state(&r->cols[col].old_part, rec->u.change.old_row) == ST_SAME;
}

/* --- counting --- */

static void sum_one(struct table_counts *to, uint8_t op, unsigned n)
{
    to->inserts += op == REC_INSERT ? n : 0;
    to->updates += op == REC_UPDATE ? n : 0;
    to->deletes += op == REC_DELETE ? n : 0;
}

bool frame_sum_changes(struct bytes ops, struct bytes relnos, struct table_counts *sum, size_t n)
{
    struct cur relno = cur_over(relnos);
    struct table_counts *to = NULL;
    for (size_t i = 0; i < ops.n; i++) {
        uint8_t op = ops.p[i] & OP_MASK;
        if (op != REC_INSERT && op != REC_UPDATE && op != REC_DELETE)
            continue;
        if ((ops.p[i] & OP_RELATION) != 0) {
            uint64_t no = cur_varint(&relno);
            to = no < n ? &sum[no] : NULL;
        }
        if (to == NULL)
            return false;
        sum_one(to, op, 1);
        for (; ops.n - i > 8 && memcmp(&ops.p[i + 1], (uint8_t[8]){ op, op, op, op, op, op, op, op }, 8) == 0; i += 8)
            sum_one(to, op, 8);
    }
    return true;
}

bool frame_payload_counts(struct bytes payload, struct change_counts *counts, struct err *err)
{
    struct cur c = cur_over(payload);
    struct bytes ops = cur_blob(&c), relnos = cur_blob(&c), ids = cur_blob(&c);
    size_t n = ids.n / 8;
    if (!cur_ok(&c, "data frame", err))
        return false;
    struct table_counts *sum = calloc(n + 1, sizeof *sum);
    if (sum == NULL)
        return err_nomem(err);
    bool ok = frame_sum_changes(ops, relnos, sum, n) ||
              err_set(err, ERR_CORRUPT, "data frame: a change of an unknown relation");
    struct cur id = cur_over(ids);
    for (size_t i = 0; ok && i < n; i++) {
        sum[i].relation = cur_le(&id, 8);
        if ((sum[i].inserts | sum[i].updates | sum[i].deletes) != 0)
            ok = change_counts_add(counts, &sum[i], err);
    }
    free(sum);
    return ok;
}
