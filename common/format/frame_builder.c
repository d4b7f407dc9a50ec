/* frame_builder.c - collects records into the column streams of one data frame (docs/segment-format.md, "Data frame").
 *
 * Every column of every relation has its own growable streams, kept from frame to frame, so that a steady load allocates
 * nothing. Values are encoded as they come: finishing a frame is one copy per stream. */
#include "frame_wire.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* One relation's streams, in one piece of memory with its parts: with thousands of relations, each that a row touches is far away. */
struct rel_build {
    const struct relation *rel; /* the keeper's */
    unsigned ncols;             /* its */
    /* The last one that used it: the streams hold that one's rows, and are emptied before they are used in another. */
    uint64_t frame;
    unsigned number;           /* in that frame */
    uint32_t n_new, n_old;     /* rows in that frame, */
    uint32_t n_updates;        /* and how many changes have one of each */
    bool spoilt;               /* the streams may hold more than these */
    size_t held_new, held_old; /* bytes of the streams, as last measured */
    struct col_kind *kinds;    /* behind it, then what new_parts' streams begin in, new_parts, old_parts */
    struct frame_part *new_parts, *old_parts;
};
static atomic_ullong streams_made = 1; /* by all builders */

struct dict_gtid {
    struct gtid g; /* no: the last number, for the next delta */
};

struct frame_builder {
    uint64_t first_lsn;
    uint32_t nrecords, ncommits, nchanges;
    uint64_t last_commit_lsn;
    int64_t min_us, max_us;
    bool starts_inside, inside, any_begin, failed;
    uint32_t open_at;  /* record number of the open transaction's BEGIN; 0 when it began before */
    size_t size;       /* frame_builder_size */
    uint32_t last_rel; /* number of the previous change's relation, UINT32_MAX: none yet */

    struct buf ops, relnos;
    struct buf begin_time, begin_res, gtid_src, gtid_no;
    struct buf commit_file, commit_off, consumed_len, consumed;
    struct buf texts;
    int64_t prev_time, prev_res;
    uint64_t prev_off;
    struct dict_gtid *gtids;
    unsigned ngtids, cap_gtids;
    struct buf files; /* dictionary, as it is stored: blobs */
    unsigned nfiles;
    char last_file[POSITION_FILE_MAX + 1];
    size_t last_file_len;

    uint64_t frame;             /* this one's number, from 1: which streams are its */
    struct relation_table rels; /* used in this frame, by number */
    struct rel_build **by_number;
    unsigned cap_by_number;
    struct relation_keeper *known; /* all that have streams, with builds in the same order; NULL: none yet */
    struct rel_build **builds;
    unsigned cap_builds, known_n;
    size_t held;               /* bytes of all builds, as last measured */
    bool large;                /* a stream beyond KEEP_BYTES was found */
    uint32_t measured_records; /* how many records the frame had then */
    uint64_t streams;          /* the number of these; of others, here or in another builder, it is another */
    struct rel_build *last;    /* where the previous change went */
    struct val *scratch;       /* frame_copy_records: two rows */
    size_t nscratch;
    struct buf bits; /* finish: packed states */
    uint64_t encode_ns;
};

enum {
    KEEP_BYTES = 1 << 20, /* what a reset keeps: bytes of one stream, */
    LINE = 64,            /* of a processor's cache */
    BEGINNING = 24,       /* bytes: with thousands of relations, a frame has no more of most columns */
    FETCH_FROM = 512,     /* relations: with fewer, what their rows touch stays near the processor */
    FETCHED_COLUMNS = 8,  /* of each */
    KEEP_HELD = 16 << 20  /* of all. Too few for the tables in use would be allocated anew for each frame */
};

/* --- life --- */

static void build_free(struct rel_build *rb)
{
    for (unsigned i = 0; i < 2 * rb->ncols; i++) /* new and old ones lie behind each other */
        frame_part_free(&rb->new_parts[i]);
    free(rb);
}

static void builds_free(struct frame_builder *b)
{
    for (unsigned i = 0; i < b->known_n; i++)
        build_free(b->builds[i]);
    b->known_n = 0;
    relation_keeper_unref(b->known);
    b->known = NULL;
    b->held = 0;
    b->last = NULL;
    b->streams = atomic_fetch_add_explicit(&streams_made, 1, memory_order_relaxed);
}

struct frame_builder *frame_builder_new(void)
{
    struct frame_builder *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    builds_free(b); /* there are none; numbers what will be made */
    frame_builder_reset(b, 1, false);
    return b;
}

void frame_builder_free(struct frame_builder *b)
{
    if (b == NULL)
        return;
    builds_free(b);
    free(b->builds);
    free(b->by_number);
    relation_table_clear(&b->rels);
    struct buf *all[] = { &b->ops,          &b->relnos,   &b->begin_time,  &b->begin_res,
                          &b->gtid_src,     &b->gtid_no,  &b->commit_file, &b->commit_off,
                          &b->consumed_len, &b->consumed, &b->texts,       &b->files,
                          &b->bits,         NULL };
    for (struct buf **one = all; *one != NULL; one++)
        buf_free(*one);
    free(b->gtids);
    free(b->scratch);
    free(b);
}

static void keep(struct buf *b) /* one huge value must not hold its memory for ever */
{
    if (b->cap > KEEP_BYTES)
        buf_free(b);
    buf_reset(b);
}

static void parts_reset(struct frame_part *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        frame_part_reset(&p[i], KEEP_BYTES);
}

/* Empties the streams that have something. */
static void build_reset(struct rel_build *rb)
{
    if (rb->n_new != 0 || rb->spoilt)
        parts_reset(rb->new_parts, rb->ncols);
    if (rb->n_old != 0 || rb->spoilt)
        parts_reset(rb->old_parts, rb->ncols);
    rb->n_new = rb->n_old = rb->n_updates = 0;
    rb->spoilt = false;
}

static void measure_parts(struct frame_builder *b, const struct frame_part *p, unsigned n, size_t *held)
{
    size_t now = 0;
    for (unsigned i = 0; i < n; i++)
        now += frame_part_memory(&p[i], KEEP_BYTES, &b->large);
    b->held += now - *held;
    *held = now;
}

/* Streams grow without telling: this looks at those that hold rows of this frame. */
static void measure(struct frame_builder *b, struct rel_build *rb)
{
    if (rb->n_new != 0)
        measure_parts(b, rb->new_parts, rb->ncols, &rb->held_new);
    if (rb->n_old != 0)
        measure_parts(b, rb->old_parts, rb->ncols, &rb->held_old);
}

/* The streams stay as they are until they are used again, so that thousands that have left the processor's cache are not
 * fetched for it; unless there is memory to give back. */
static void streams_reset(struct frame_builder *b)
{
    bool known = !b->failed && b->measured_records == b->nrecords;
    for (unsigned i = 0; (b->large || !known) && i < b->rels.n; i++) {
        struct rel_build *rb = b->by_number[i];
        build_reset(rb);
        measure_parts(b, rb->new_parts, rb->ncols, &rb->held_new);
        measure_parts(b, rb->old_parts, rb->ncols, &rb->held_old);
    }
    relation_table_reset(&b->rels);
    b->last = NULL;
    if (b->held > KEEP_HELD)
        builds_free(b);
    b->frame++;
    b->measured_records = 0;
    b->large = false;
}

void frame_builder_reset(struct frame_builder *b, uint64_t first_lsn, bool inside)
{
    streams_reset(b);
    struct buf *all[] = { &b->ops,          &b->relnos,   &b->begin_time,  &b->begin_res,
                          &b->gtid_src,     &b->gtid_no,  &b->commit_file, &b->commit_off,
                          &b->consumed_len, &b->consumed, &b->texts,       &b->files,
                          &b->bits,         NULL };
    for (struct buf **one = all; *one != NULL; one++)
        keep(*one);
    b->first_lsn = first_lsn;
    b->nrecords = b->ncommits = b->nchanges = b->open_at = 0;
    b->last_commit_lsn = 0;
    b->min_us = b->max_us = b->prev_time = b->prev_res = 0;
    b->prev_off = 0;
    b->starts_inside = b->inside = inside;
    b->any_begin = b->failed = false;
    b->size = 64; /* the lengths of the fixed streams */
    b->last_rel = UINT32_MAX;
    b->ngtids = b->nfiles = 0;
}

size_t frame_builder_size(const struct frame_builder *b)
{
    return b->size;
}
uint64_t frame_builder_encode_us(const struct frame_builder *b)
{
    return b->encode_ns / 1000;
}
uint64_t frame_builder_next_lsn(const struct frame_builder *b)
{
    return b->first_lsn + b->nrecords;
}
uint32_t frame_builder_records(const struct frame_builder *b)
{
    return b->nrecords;
}
uint32_t frame_builder_commits(const struct frame_builder *b)
{
    return b->ncommits;
}
bool frame_builder_inside(const struct frame_builder *b)
{
    return b->inside;
}
const struct relation_table *frame_builder_relations(const struct frame_builder *b)
{
    return &b->rels;
}

/* --- records without columns --- */

static bool done(struct frame_builder *b, uint8_t op, struct err *err)
{
    buf_u8(&b->ops, op);
    if (b->ops.failed || b->failed) {
        b->failed = true; /* the streams no longer agree: only a reset helps */
        return err_nomem(err);
    }
    b->nrecords++;
    b->size += FRAME_RECORD_SIZE;
    return true;
}

/* Every record but BEGIN lies inside a transaction; a frame never holds what its payload limit forbids. */
static bool may_add(const struct frame_builder *b, bool begin, uint64_t bytes, struct err *err)
{
    if (b->failed)
        return err_nomem(err);
    if (begin == b->inside)
        return err_set(err, ERR_UNSUPPORTED, "LSN %llu: %s a transaction",
                       (unsigned long long)frame_builder_next_lsn(b),
                       begin ? "a transaction begins inside" : "a record lies outside");
    if (begin && b->starts_inside)
        return err_set(err, ERR_UNSUPPORTED,
                       "LSN %llu: a transaction begins in a frame that continues another one: finish the frame first",
                       (unsigned long long)frame_builder_next_lsn(b));
    if (b->nrecords == UINT32_MAX || bytes > FRAME_RAW_MAX || b->size + bytes > FRAME_RAW_MAX)
        return err_set(err, ERR_UNSUPPORTED, "LSN %llu: a record of %llu bytes does not fit a frame (at most %d bytes)",
                       (unsigned long long)frame_builder_next_lsn(b), (unsigned long long)bytes, FRAME_RAW_MAX);
    return true;
}

static bool same_source(const struct gtid *a, const struct gtid *b)
{
    if (a->flavor != b->flavor)
        return false;
    if (a->flavor == GTID_MARIADB)
        return a->domain == b->domain && a->server == b->server;
    return memcmp(a->uuid, b->uuid, 16) == 0 && a->tag_len == b->tag_len && memcmp(a->tag, b->tag, a->tag_len) == 0;
}

/* The dictionary entry of g's source. Only the latest are searched: a duplicate costs a few bytes, a long search time. */
static struct dict_gtid *gtid_entry(struct frame_builder *b, const struct gtid *g)
{
    for (unsigned i = b->ngtids; i > 0 && i + 16 > b->ngtids; i--)
        if (same_source(&b->gtids[i - 1].g, g))
            return &b->gtids[i - 1];
    if (b->ngtids == b->cap_gtids) {
        unsigned cap = b->cap_gtids == 0 ? 8 : b->cap_gtids * 2;
        struct dict_gtid *p = realloc(b->gtids, cap * sizeof *p);
        if (p == NULL)
            return NULL;
        b->gtids = p;
        b->cap_gtids = cap;
    }
    struct dict_gtid *e = &b->gtids[b->ngtids++];
    e->g = *g;
    e->g.no = 0;
    b->size += 64;
    return e;
}

static bool add_begin(struct frame_builder *b, const struct rec_begin *r, struct err *err)
{
    if (r->gtid.flavor > GTID_MARIADB || r->gtid.tag_len > sizeof r->gtid.tag)
        return err_set(err, ERR_UNSUPPORTED, "GTID of an unknown form (kind %u)", r->gtid.flavor);
    uint64_t src = 0;
    if (r->gtid.flavor != GTID_NONE) {
        struct dict_gtid *e = gtid_entry(b, &r->gtid);
        if (e == NULL) {
            b->failed = true;
            return err_nomem(err);
        }
        src = (uint64_t)(e - b->gtids) + 1;
        buf_zigzag(&b->gtid_no, (int64_t)(r->gtid.no - e->g.no));
        e->g.no = r->gtid.no;
    }
    buf_varint(&b->gtid_src, src);
    buf_zigzag(&b->begin_time, (int64_t)((uint64_t)r->commit_us - (uint64_t)b->prev_time));
    buf_zigzag(&b->begin_res, (int64_t)r->resolution_us - b->prev_res);
    b->prev_time = r->commit_us;
    b->prev_res = r->resolution_us;
    b->failed |= b->gtid_no.failed || b->gtid_src.failed || b->begin_time.failed || b->begin_res.failed;
    uint32_t at = b->nrecords;
    if (!done(b, REC_BEGIN, err))
        return false;
    b->min_us = !b->any_begin || r->commit_us < b->min_us ? r->commit_us : b->min_us;
    b->max_us = !b->any_begin || r->commit_us > b->max_us ? r->commit_us : b->max_us;
    b->any_begin = true;
    b->inside = true;
    b->open_at = at;
    b->size += 8;
    return true;
}

bool frame_add_begin(struct frame_builder *b, const struct rec_begin *r, struct err *err)
{
    return may_add(b, true, 0, err) && add_begin(b, r, err);
}

bool frame_add_commit(struct frame_builder *b, const struct rec_commit *r, struct err *err)
{
    if (!may_add(b, false, (uint64_t)r->consumed.n + r->file.n, err))
        return false;
    if (r->file.n > POSITION_FILE_MAX)
        return err_set(err, ERR_UNSUPPORTED, "a binlog file name of %zu bytes (at most %d)", r->file.n,
                       POSITION_FILE_MAX);
    if (b->nfiles == 0 || b->last_file_len != r->file.n || memcmp(b->last_file, r->file.p, r->file.n) != 0) {
        buf_blob(&b->files, r->file);
        if (r->file.n != 0)
            memcpy(b->last_file, r->file.p, r->file.n);
        b->last_file_len = r->file.n;
        b->nfiles++;
        b->size += r->file.n + 1;
    }
    buf_varint(&b->commit_file, b->nfiles - 1);
    buf_zigzag(&b->commit_off, (int64_t)(r->end_offset - b->prev_off));
    b->prev_off = r->end_offset;
    buf_varint(&b->consumed_len, r->consumed.n);
    buf_bytes(&b->consumed, r->consumed);
    b->failed |= b->files.failed || b->commit_file.failed || b->commit_off.failed || b->consumed_len.failed ||
                 b->consumed.failed;
    uint64_t lsn = frame_builder_next_lsn(b);
    if (!done(b, REC_COMMIT, err))
        return false;
    b->inside = false;
    b->ncommits++;
    b->last_commit_lsn = lsn;
    b->size += 8 + r->consumed.n;
    return true;
}

bool frame_add_ddl(struct frame_builder *b, uint8_t op, const struct rec_ddl *r, struct err *err)
{
    assert(op == REC_DDL || op == REC_TRUNCATE);
    uint64_t n = (uint64_t)r->schema.n + r->sql.n + r->t_schema.n + r->t_table.n + 32;
    if (!may_add(b, false, n, err))
        return false;
    buf_blob(&b->texts, r->schema);
    buf_blob(&b->texts, r->sql);
    buf_u8(&b->texts, r->kind);
    buf_u8(&b->texts, r->sql_flags);
    buf_blob(&b->texts, r->t_schema);
    buf_blob(&b->texts, r->t_table);
    b->failed |= b->texts.failed;
    if (!done(b, op, err))
        return false;
    b->nchanges += op == REC_TRUNCATE;
    b->size += (size_t)n;
    return true;
}

bool frame_add_message(struct frame_builder *b, const struct rec_message *r, struct err *err)
{
    uint64_t n = (uint64_t)r->topic.n + r->body.n + 16;
    if (!may_add(b, false, n, err))
        return false;
    buf_blob(&b->texts, r->topic);
    buf_blob(&b->texts, r->body);
    b->failed |= b->texts.failed;
    if (!done(b, REC_MESSAGE, err))
        return false;
    b->size += (size_t)n;
    return true;
}

/* --- rows --- */

/* Up to the parts. */
static size_t fore_bytes(unsigned ncols)
{
    size_t n = sizeof(struct rel_build) + ncols * (sizeof(struct col_kind) + BEGINNING);
    return (n + 15) / 16 * 16;
}

static size_t build_memory(const struct relation *rel)
{
    size_t n = fore_bytes(rel->ncols) + 2 * rel->ncols * sizeof(struct frame_part);
    return (n + LINE - 1) / LINE * LINE;
}

static struct rel_build *build_new(const struct relation *rel)
{
    struct rel_build *rb = aligned_alloc(LINE, build_memory(rel));
    if (rb == NULL)
        return NULL;
    memset(rb, 0, build_memory(rel));
    rb->rel = rel;
    rb->ncols = rel->ncols;
    rb->kinds = (struct col_kind *)(rb + 1);
    rb->new_parts = (struct frame_part *)((uint8_t *)rb + fore_bytes(rel->ncols));
    rb->old_parts = rb->new_parts + rel->ncols;
    for (unsigned i = 0; i < rel->ncols; i++) {
        rb->kinds[i] = col_kind_of(&rel->cols[i]);
        rb->new_parts[i].a = (struct buf){ .p = (uint8_t *)(rb->kinds + rel->ncols) + i * BEGINNING,
                                           .cap = BEGINNING,
                                           .lent = true };
    }
    return rb;
}

static bool room(struct rel_build ***list, unsigned *cap, unsigned n)
{
    if (n < *cap)
        return true;
    unsigned more = *cap == 0 ? 16 : *cap * 2;
    struct rel_build **p = realloc(*list, more * sizeof(struct rel_build *));
    if (p == NULL)
        return false;
    *list = p;
    *cap = more;
    return true;
}

static struct rel_build *build_add(struct frame_builder *b, const struct relation *rel, struct err *err)
{
    if (b->known == NULL && (b->known = relation_keeper_new()) == NULL) {
        err_nomem(err);
        return NULL;
    }
    struct relation_table *known = relation_keeper_table(b->known);
    struct rel_build *rb = build_new(rel);
    if (rb == NULL || !room(&b->builds, &b->cap_builds, known->n) || !relation_table_add(known, rel, err)) {
        free(rb);
        err_nomem(err);
        return NULL;
    }
    b->held += build_memory(rel);
    b->known_n = known->n;
    return b->builds[known->n - 1] = rb;
}

/* The streams of rel, with the frame's rows only. Does not yet make it part of the frame: a row that is refused leaves no trace. */
static struct rel_build *build_find(struct frame_builder *b, const struct relation *rel, struct err *err)
{
    if (b->last != NULL && (b->last->rel == rel || b->last->rel->id == rel->id))
        return b->last;
    int at = b->known == NULL ? -1 : relation_table_index(relation_keeper_table(b->known), rel->id);
    if (at < 0)
        return build_add(b, rel, err);
    struct rel_build *rb = b->builds[at];
    if (rb->frame != b->frame)
        build_reset(rb);
    return rb;
}

static size_t relation_size(const struct rel_build *rb) /* what it takes of a frame besides its values */
{
    return 10 + 4 * (size_t)rb->ncols;
}

static bool build_use(struct frame_builder *b, struct rel_build *rb, struct err *err)
{
    if (rb->frame != b->frame) {
        if (b->rels.keeper == NULL)
            b->rels.keeper = relation_keeper_ref(b->known);
        if (!room(&b->by_number, &b->cap_by_number, b->rels.n) || !relation_table_add(&b->rels, rb->rel, err)) {
            b->failed = true;
            return err_nomem(err);
        }
        rb->number = b->rels.n - 1;
        rb->frame = b->frame;
        b->by_number[rb->number] = rb;
        b->size += relation_size(rb);
    }
    b->last = rb;
    return true;
}

static bool bad_kind(const struct rel_build *rb, unsigned col, const struct val *v, struct err *err)
{
    const struct relation *r = rb->rel;
    struct buf type = { 0 };
    column_type_text(&r->cols[col], &type);
    err_set(err, ERR_UNSUPPORTED, "table %.*s.%.*s, column %.*s (%s): a value of kind %s contradicts the column's type",
            BYTES_FMT(r->schema), BYTES_FMT(r->table), BYTES_FMT(r->cols[col].name), buf_cstr(&type),
            val_kind_name(v->kind));
    buf_free(&type);
    return false;
}

enum { VALUE_MOST = 10 }; /* bytes of a value, or of a string's length: of the longest varint */

/* Checks a whole row before anything of it is stored; adds what it takes at most to *bytes. */
static bool row_check(const struct rel_build *rb, const struct val *row, bool same_ok, uint64_t *bytes, struct err *err)
{
    uint64_t n = *bytes;
    for (unsigned i = 0; i < rb->ncols; i++) {
        const struct val *v = &row[i];
        struct col_kind k = rb->kinds[i];
        if (v->kind <= VAL_NULL || (same_ok && v->kind == VAL_SAME))
            continue;
        if (v->kind != k.kind || (k.kind == VAL_DEC64 && v->scale != k.scale))
            return bad_kind(rb, i, v, err);
        n += VALUE_MOST + (k.phys == PHYS_STR ? (uint64_t)v->u.str.n : 0);
    }
    *bytes = n;
    return true;
}

static inline bool equal(uint8_t phys, const struct val *a, const struct val *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind <= VAL_NULL)
        return true;
    if (phys == PHYS_STR)
        return bytes_eq(a->u.str, b->u.str);
    if (phys == PHYS_F32)
        return frame_f32_bits(a) == frame_f32_bits(b); /* -0.0 is not 0.0 here */
    return a->u.u64 == b->u.u64;
}

/* new_row NULL: no "same". */
static bool put_row(struct rel_build *rb, struct frame_part *parts, uint32_t nth, const struct val *row,
                    const struct val *new_row, size_t *size)
{
    unsigned n = rb->ncols;
    for (unsigned i = 0; i < n; i++) {
        const struct val *v = &row[i];
        uint8_t st = ST_VALUE;
        if (new_row != NULL && (v->kind == VAL_SAME || equal(rb->kinds[i].phys, v, &new_row[i])))
            st = ST_SAME;
        else if (v->kind <= VAL_NULL)
            st = v->kind == VAL_NULL ? ST_NULL : ST_ABSENT;
        if (!frame_part_state(&parts[i], nth, st) ||
            (st == ST_VALUE && !frame_part_val(&parts[i], rb->kinds[i].phys, v, size)))
            return false;
    }
    return true;
}

static bool add_done(struct frame_builder *b, uint8_t op, struct rel_build *rb, struct err *err)
{
    if (rb->number != b->last_rel) {
        buf_varint(&b->relnos, rb->number);
        b->failed |= b->relnos.failed;
        b->last_rel = rb->number;
        op |= OP_RELATION;
    }
    if (!done(b, op, err))
        return false;
    rb->n_new += (op & OP_MASK) != REC_DELETE;
    rb->n_old += (op & OP_MASK) != REC_INSERT;
    rb->n_updates += (op & OP_MASK) == REC_UPDATE;
    b->nchanges++;
    return true;
}

static bool add_change(struct frame_builder *b, uint8_t op, const struct relation *rel, const struct val *old_row,
                       const struct val *new_row, struct err *err)
{
    if (!may_add(b, false, 0, err))
        return false;
    struct rel_build *rb = build_find(b, rel, err);
    uint64_t bytes = 0;
    if (rb == NULL || (new_row != NULL && !row_check(rb, new_row, false, &bytes, err)) ||
        (old_row != NULL && !row_check(rb, old_row, new_row != NULL, &bytes, err)) || !may_add(b, false, bytes, err) ||
        !build_use(b, rb, err))
        return false;
    if ((new_row != NULL && !put_row(rb, rb->new_parts, rb->n_new, new_row, NULL, &b->size)) ||
        (old_row != NULL && !put_row(rb, rb->old_parts, rb->n_old, old_row, new_row, &b->size)))
        b->failed = rb->spoilt = true;
    return add_done(b, op, rb, err);
}

bool frame_add_insert(struct frame_builder *b, const struct relation *rel, const struct val *row, struct err *err)
{
    return add_change(b, REC_INSERT, rel, NULL, row, err);
}
bool frame_add_update(struct frame_builder *b, const struct relation *rel, const struct val *old_row,
                      const struct val *new_row, struct err *err)
{
    return add_change(b, REC_UPDATE, rel, old_row, new_row, err);
}
bool frame_add_delete(struct frame_builder *b, const struct relation *rel, const struct val *old_row, struct err *err)
{
    return add_change(b, REC_DELETE, rel, old_row, NULL, err);
}

/* --- rows put value by value --- */

/* Where the next bytes of streams go: a store to what is far away would hold up all that come behind it. */
static void fetch_ends(const struct frame_part *p, unsigned n)
{
    for (unsigned i = 0; i < n && i < FETCHED_COLUMNS; i++) {
        if (p[i].a.p != NULL)
            cache_fetch(p[i].a.p + p[i].a.n, 1);
        if (p[i].b.p != NULL)
            cache_fetch(p[i].b.p + p[i].b.n, 1);
    }
}

void frame_rows_expect(const struct frame_builder *b, const struct frame_place *at, unsigned ncols)
{
    if (b->known_n > FETCH_FROM && at->of == b->streams)
        cache_fetch(at->build, fore_bytes(ncols) + ncols * sizeof(struct frame_part));
}

bool frame_rows_open(struct frame_builder *b, const struct relation *rel, struct frame_place *at,
                     struct frame_rows *out)
{
    struct err ignored;
    if (b->failed || !b->inside)
        return false;
    struct rel_build *rb = at->build;
    if (at->of != b->streams)
        rb = build_find(b, rel, &ignored);
    else if (rb->frame != b->frame)
        build_reset(rb);
    if (rb == NULL)
        return false;
    *at = (struct frame_place){ rb, b->streams };
    if (b->known_n > FETCH_FROM) {
        fetch_ends(rb->new_parts, rb->ncols);
        if (rb->held_old != 0)
            fetch_ends(rb->old_parts, rb->ncols);
    }
    *out = (struct frame_rows){ rb->new_parts, rb->old_parts, rb->kinds, rb->n_new, rb->n_old, rb };
    return true;
}

/* Of a relation that the frame does not use yet, frame_builder_reset knows nothing. */
static void rows_fail(struct frame_builder *b, struct frame_rows *r)
{
    b->failed = r->build->spoilt = true;
    build_reset(r->build);
}

void frame_rows_undo(struct frame_builder *b, struct frame_rows *r, unsigned new_cols, unsigned old_cols)
{
    size_t ignored = 0;
    bool failed = false;
    for (unsigned i = 0; i < r->build->ncols; i++) {
        struct frame_part *n = &r->new_parts[i], *o = &r->old_parts[i];
        failed |= n->states.failed || n->a.failed || n->b.failed || o->states.failed || o->a.failed || o->b.failed;
    }
    if (failed) {
        rows_fail(b, r);
        return;
    }
    for (unsigned i = 0; i < new_cols; i++)
        frame_part_undo(&r->new_parts[i], r->kinds[i].phys, r->new_row, &ignored);
    for (unsigned i = 0; i < old_cols; i++)
        frame_part_undo(&r->old_parts[i], r->kinds[i].phys, r->old_row, &ignored);
}

size_t frame_rows_size(const struct frame_builder *b, const struct frame_rows *r, uint32_t n, size_t bytes)
{
    return b->size + bytes + (size_t)n * FRAME_RECORD_SIZE +
           (r->build->frame == b->frame ? 0 : relation_size(r->build));
}

bool frame_rows_add(struct frame_builder *b, uint8_t op, struct frame_rows *r, uint32_t n, size_t bytes)
{
    struct err ignored;
    bool ok = build_use(b, r->build, &ignored);
    for (uint32_t i = 0; ok && i < n; i++)
        ok = add_done(b, op, r->build, &ignored);
    if (!ok) {
        rows_fail(b, r);
        return false;
    }
    b->size += bytes;
    /* Not read from there: both at once would wait until the two stores, and all before them, are done. */
    r->new_row += op != REC_DELETE ? n : 0;
    r->old_row += op != REC_INSERT ? n : 0;
    return true;
}

bool frame_rows_close(struct frame_builder *b, uint8_t op, struct frame_rows *r, size_t bytes)
{
    unsigned n = r->build->ncols;
    /* Near the limit frame_add_* decides: it leaves room for what a part has besides its values, which size does not count. */
    if (b->nrecords == UINT32_MAX || b->size + bytes + 2 * (size_t)VALUE_MOST * n > FRAME_RAW_MAX) {
        frame_rows_undo(b, r, op == REC_DELETE ? 0 : n, op == REC_INSERT ? 0 : n);
        return false;
    }
    return frame_rows_add(b, op, r, 1, bytes);
}

/* --- finishing --- */

static void put_gtid_dict(const struct frame_builder *b, struct buf *out)
{
    struct buf d = { 0 };
    for (unsigned i = 0; i < b->ngtids; i++) {
        const struct gtid *g = &b->gtids[i].g;
        if (g->flavor == GTID_MYSQL) {
            buf_u8(&d, DICT_MYSQL);
            buf_put(&d, g->uuid, 16);
            buf_blob(&d, bytes_of(g->tag, g->tag_len));
        } else {
            buf_u8(&d, DICT_MARIADB);
            buf_le(&d, g->domain, 4);
            buf_le(&d, g->server, 4);
        }
    }
    buf_blob(out, buf_view(&d));
    out->failed |= d.failed;
    buf_free(&d);
}

static int64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool frame_builder_encode(struct frame_builder *b, struct buf *out, struct frame_info *info, struct err *err)
{
    if (b->failed)
        return err_nomem(err);
    int64_t began = mono_ns();
    size_t start = out->n;
    buf_blob(out, buf_view(&b->ops));
    buf_blob(out, buf_view(&b->relnos));
    buf_varint(out, (uint64_t)b->rels.n * 8);
    for (unsigned i = 0; i < b->rels.n; i++)
        buf_le(out, b->rels.id[i], 8);
    buf_blob(out, buf_view(&b->begin_time));
    buf_blob(out, buf_view(&b->begin_res));
    put_gtid_dict(b, out);
    buf_blob(out, buf_view(&b->gtid_src));
    buf_blob(out, buf_view(&b->gtid_no));
    buf_blob(out, buf_view(&b->files));
    buf_blob(out, buf_view(&b->commit_file));
    buf_blob(out, buf_view(&b->commit_off));
    buf_blob(out, buf_view(&b->consumed_len));
    buf_blob(out, buf_view(&b->consumed));
    buf_blob(out, buf_view(&b->texts));
    for (unsigned i = 0; i < b->rels.n; i++) {
        struct rel_build *rb = b->by_number[i];
        for (unsigned c = 0; c < rb->ncols; c++) {
            frame_part_write(&rb->new_parts[c], rb->kinds[c].phys, rb->n_new, &b->bits, out);
            frame_part_write(&rb->old_parts[c], rb->kinds[c].phys, rb->n_old, &b->bits, out);
        }
        measure(b, rb);
    }
    if (!buf_ok(out, err))
        return false;
    if (out->n - start > FRAME_RAW_MAX)
        return err_set(err, ERR_UNSUPPORTED, "a frame of %zu bytes (at most %d)", out->n - start, FRAME_RAW_MAX);
    *info = (struct frame_info){ .first_lsn = b->first_lsn,
                                 .nrecords = b->nrecords,
                                 .ncommits = b->ncommits,
                                 .nchanges = b->nchanges,
                                 .last_commit_lsn = b->last_commit_lsn,
                                 .min_commit_us = b->min_us,
                                 .max_commit_us = b->max_us,
                                 .starts_inside = b->starts_inside,
                                 .ends_inside = b->inside,
                                 .size = (uint32_t)(b->size < UINT32_MAX ? b->size : UINT32_MAX) };
    b->measured_records = b->nrecords;
    b->encode_ns += (uint64_t)(mono_ns() - began);
    return true;
}

bool frame_builder_finish(struct frame_builder *b, struct buf *out, struct frame_info *info, struct err *err)
{
    if (b->nrecords == 0)
        return err_set(err, ERR_UNSUPPORTED, "a frame without records");
    if (b->inside && b->ncommits != 0)
        return err_set(err, ERR_UNSUPPORTED, "LSN %llu: whole transactions and the start of another one in one frame",
                       (unsigned long long)b->first_lsn);
    return frame_builder_encode(b, out, info, err);
}

/* Happens once for each large transaction, so it takes the simple way: decode what was collected, add it again. */
bool frame_builder_split(struct frame_builder *b, struct buf *out, struct frame_info *info, bool *split,
                         struct err *err)
{
    if (!b->inside || b->ncommits == 0) {
        *split = false;
        return true;
    }
    struct buf all = { 0 };
    struct frame_info all_info;
    struct frame *f = NULL;
    struct frame_builder *head = frame_builder_new();
    uint32_t cut = b->open_at;
    bool ok = head != NULL || err_nomem(err);
    ok = ok && frame_builder_encode(b, &all, &all_info, err) &&
         frame_decode_any(buf_view(&all), &all_info, &b->rels, &f, err);
    buf_free(&all);
    if (ok) {
        frame_builder_reset(head, b->first_lsn, false);
        ok = frame_copy_records(head, f, 0, cut, err) && frame_builder_finish(head, out, info, err);
    }
    frame_builder_free(head);
    if (ok) {
        uint32_t n = b->nrecords;
        frame_builder_reset(b, b->first_lsn + cut, false);
        ok = frame_copy_records(b, f, cut, n, err);
        b->failed |= !ok;
        *split = ok;
    }
    frame_unref(f);
    return ok;
}

bool frame_builder_rewind(struct frame_builder *b, uint64_t lsn, struct err *err)
{
    struct buf all = { 0 };
    struct frame_info info;
    struct frame *f = NULL;
    assert(b->inside && lsn >= b->first_lsn + b->open_at && lsn <= b->first_lsn + b->nrecords);
    uint32_t keep_n = (uint32_t)(lsn - b->first_lsn);
    if (keep_n == b->nrecords)
        return true;
    bool ok = frame_builder_encode(b, &all, &info, err) && frame_decode_any(buf_view(&all), &info, &b->rels, &f, err);
    buf_free(&all);
    if (ok) {
        frame_builder_reset(b, info.first_lsn, info.starts_inside);
        ok = frame_copy_records(b, f, 0, keep_n, err);
        b->failed |= !ok;
    }
    frame_unref(f);
    return ok;
}

static bool copy_one(struct frame_builder *b, const struct record *rec, struct err *err)
{
    switch ((enum rec_op)rec->op) {
    case REC_BEGIN:
        return frame_add_begin(b, &rec->u.begin, err);
    case REC_COMMIT:
        return frame_add_commit(b, &rec->u.commit, err);
    case REC_DDL:
    case REC_TRUNCATE:
        return frame_add_ddl(b, rec->op, &rec->u.ddl, err);
    case REC_MESSAGE:
        return frame_add_message(b, &rec->u.message, err);
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE:
        break;
    }
    const struct rel_rows *rows = rec->u.change.rows;
    const struct relation *rel = rel_rows_relation(rows);
    if (b->nscratch < 2 * (size_t)rel->ncols) {
        struct val *p = realloc(b->scratch, 2 * (size_t)rel->ncols * sizeof *p);
        if (p == NULL)
            return err_nomem(err);
        b->scratch = p;
        b->nscratch = 2 * (size_t)rel->ncols;
    }
    struct val *new_row = b->scratch, *old_row = b->scratch + rel->ncols;
    if (rec->op != REC_DELETE)
        rel_rows_new(rows, rec, new_row);
    if (rec->op != REC_INSERT)
        rel_rows_old(rows, rec, old_row);
    if (rec->op == REC_UPDATE)
        for (unsigned i = 0; i < rel->ncols; i++)
            if (rel_rows_same_at(rows, rec, i))
                old_row[i].kind = VAL_SAME; /* saves comparing */
    return add_change(b, rec->op, rel, rec->op == REC_INSERT ? NULL : old_row, rec->op == REC_DELETE ? NULL : new_row,
                      err);
}

bool frame_copy_records(struct frame_builder *b, const struct frame *f, unsigned from, unsigned to, struct err *err)
{
    assert(from <= to && to <= frame_count(f));
    for (unsigned i = from; i < to; i++)
        if (!copy_one(b, frame_record(f, i), err))
            return false;
    return true;
}
