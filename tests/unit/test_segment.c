/* test_segment.c - a segment's parts as bytes. The worked example of docs/segment-format.md is read, understood, and made again byte
 * for byte: so the document cannot be wrong about it. Then: truncations, damage, lies. */
#include "slot_fixture.h"

#include "crc32c.h"

#include <ctype.h>
#include <inttypes.h>

static const char doc[] = "../docs/segment-format.md";

/* --- the example --- */

/* The bytes of the block that begins with ```hex; a comment reaches from ; to the end of its line. */
static struct buf example_in_document(void)
{
    struct buf text = { 0 }, out = { 0 };
    int here = open(".", O_RDONLY | O_DIRECTORY);
    if (!file_read(here, doc, 1 << 20, &text, &err)) {
        CHECK(false, "%s: %s (run the test in tests/)", doc, err.msg);
        return out;
    }
    close(here);
    const char *s = strstr(buf_cstr(&text), "```hex\n"), *end = s == NULL ? NULL : strstr(s + 7, "```");
    CHECK(end != NULL, "%s has no ```hex block", doc);
    for (s += 7; end != NULL && s < end; s++) {
        if (*s == ';')
            s += strcspn(s, "\n");
        else if (isxdigit((unsigned char)*s)) {
            char pair[3] = { s[0], s[1], '\0' };
            buf_u8(&out, (uint8_t)strtoul(pair, NULL, 16));
            s++;
        }
    }
    buf_free(&text);
    return out;
}

static struct relation *example_relation(void)
{
    const struct column cols[] = {
        { .name = bytes_str("id"), .type = COL_INT, .int_bits = 32, .visible = true, .key_pos = 1 },
        { .name = bytes_str("name"),
          .type = COL_VARCHAR,
          .length = 40,
          .char_bytes = 4,
          .nullable = true,
          .visible = true,
          .charset = bytes_str("utf8mb4") },
    };
    struct relation *r = NULL;
    MUST(relation_new(BYTES_LIT("shop"), BYTES_LIT("user"), cols, 2, &r, &err));
    return r;
}

static struct source_pos example_pos(uint64_t seq, uint64_t offset)
{
    struct source_pos p = { .flavor = GTID_MARIADB, .server = "mariadb-1", .file = "bin.1", .offset = offset };
    p.gtids = gtid_set_new(GTID_MARIADB);
    MUST(gtid_set_add(p.gtids, &(struct gtid){ .flavor = GTID_MARIADB, .server = 1, .no = seq }, &err));
    return p;
}

static const struct rec_begin example_begin = { .gtid = { .flavor = GTID_MARIADB, .server = 1, .no = 8 },
                                                .commit_us = 1767225600000000, /* 2026-01-01 00:00:00 UTC */
                                                .resolution_us = 1000000 };

static struct buf example_made(void)
{
    struct buf out = { 0 }, payload = { 0 };
    struct relation *r = example_relation();
    struct segment_header h = { .sealed = true,
                                .first_lsn = 1,
                                .created_us = 1767225600000000,
                                .source = "mariadb-1",
                                .source_version = "11.8",
                                .start = example_pos(7, 400) };
    for (uint8_t i = 0; i < 16; i++)
        h.slot[i] = (uint8_t)(0x10 + i);
    struct segment_frame index[2] = { { .type = ZB_DATA }, { .type = ZB_POSITION, .info = { .first_lsn = 4 } } };
    MUST(segment_header_encode(&h, &out, &err));

    segment_relations_encode(&r, 1, &payload);
    MUST(zblock_write_stored(ZB_RELATIONS, &(struct frame_info){ .first_lsn = 1 }, buf_view(&payload), &out, &err));

    struct frame_builder *b = frame_builder_new();
    struct val row[2] = { { .kind = VAL_I64, .u.i64 = 5 }, { .kind = VAL_TEXT, .u.str = BYTES_LIT("Ann") } };
    frame_builder_reset(b, 1, false);
    MUST(frame_add_begin(b, &example_begin, &err));
    MUST(frame_add_insert(b, r, row, &err));
    MUST(frame_add_commit(b, &(struct rec_commit){ .file = BYTES_LIT("bin.1"), .end_offset = 600 }, &err));
    buf_reset(&payload);
    MUST(frame_builder_finish(b, &payload, &index[0].info, &err));
    index[0].offset = out.n;
    index[0].raw_size = index[0].stored_size = (uint32_t)payload.n;
    MUST(zblock_write_stored(ZB_DATA, &index[0].info, buf_view(&payload), &out, &err));
    frame_builder_free(b);

    struct source_pos end = example_pos(9, 900);
    buf_reset(&payload);
    source_pos_encode(&end, &payload);
    index[1].offset = out.n;
    index[1].raw_size = index[1].stored_size = (uint32_t)payload.n;
    MUST(zblock_write_stored(ZB_POSITION, &index[1].info, buf_view(&payload), &out, &err));

    struct table_counts counts = { .relation = r->id, .inserts = 1 };
    struct segment_footer f = { .frames = index,
                                .nframes = 2,
                                .counts = &counts,
                                .ncounts = 1,
                                .next_lsn = 4,
                                .changes = 1,
                                .transactions = 1,
                                .end = end };
    MUST(relation_table_add(&f.relations, r, &err));
    uint64_t at = out.n;
    buf_reset(&payload);
    MUST(segment_footer_encode(&f, &payload, &err));
    MUST(zblock_write_stored(ZB_FOOTER, &(struct frame_info){ .first_lsn = 4 }, buf_view(&payload), &out, &err));
    segment_trailer_encode(at, &out);
    relation_table_clear(&f.relations);
    source_pos_clear(&end);
    segment_header_clear(&h);
    buf_free(&payload);
    relation_unref(r);
    return out;
}

static void example_read(const char *dir, int dirfd)
{
    struct segment *g = NULL;
    const struct segment_footer *ft = NULL;
    MUST(segment_open(dirfd, "0000000000000001.seg", &g, &err));
    if (g == NULL)
        return;
    const struct segment_header *h = segment_header(g);
    CHECK(h->first_lsn == 1 && h->sealed && strcmp(h->source, "mariadb-1") == 0 &&
              strcmp(h->source_version, "11.8") == 0 && h->start.offset == 400 && h->slot[15] == 0x1f &&
              segment_is_file(g, dirfd),
          "%s: header", dir);
    MUST(segment_footer(g, &ft, &err));
    CHECK(ft != NULL && ft->nframes == 2 && ft->ncounts == 1 && ft->counts[0].inserts == 1 && ft->next_lsn == 4 &&
              ft->changes == 1 && ft->transactions == 1 && ft->end.offset == 900 && ft->relations.n == 1,
          "footer");
    static const uint8_t types[] = { ZB_RELATIONS, ZB_DATA, ZB_POSITION, ZB_FOOTER };
    uint64_t off = segment_first_offset(g);
    bool end = false;
    for (unsigned i = 0; i < 4; i++) {
        struct segment_frame f;
        struct buf payload = { 0 };
        MUST(segment_frame_at(g, off, &f, &end, &err));
        CHECK(f.type == types[i] && end == (f.type == ZB_FOOTER), "frame %u is of type %u", i, f.type);
        MUST(segment_read(g, &f, &payload, &err));
        if (f.type == ZB_DATA) {
            struct frame *fr = NULL;
            MUST(frame_decode(buf_view(&payload), &f.info, segment_relations(g), &fr, &err));
            const struct record *rec = frame_record(fr, 1);
            CHECK(frame_count(fr) == 3 && rec->op == REC_INSERT &&
                      gtid_eq(&frame_record(fr, 0)->u.begin.gtid, &example_begin.gtid),
                  "records");
            struct val name = rel_rows_new_at(rec->u.change.rows, rec, 1);
            CHECK(rel_rows_new_at(rec->u.change.rows, rec, 0).u.i64 == 5 && bytes_eq_str(name.u.str, "Ann"), "row");
            frame_unref(fr);
        }
        off = segment_next_offset(&f);
        buf_free(&payload);
    }
    segment_close(g);
}

static void example(char *dir, int dirfd)
{
    struct buf written = example_in_document(), made = example_made();
    size_t i = 0;
    while (i < written.n && i < made.n && written.p[i] == made.p[i])
        i++;
    CHECK(bytes_eq(buf_view(&written), buf_view(&made)), "the example has %zu bytes, %zu were made; they differ at %zu",
          written.n, made.n, i);
    if (getenv("ROWTIDE_PRINT_EXAMPLE") != NULL)
        for (i = 0; i < made.n; i++)
            printf("%02x%s", made.p[i], i % 16 == 15 || i + 1 == made.n ? "\n" : " ");
    fixture_store(dir, "0000000000000001.seg", buf_view(&made));
    example_read(dir, dirfd);
    buf_free(&written);
    buf_free(&made);
}

/* --- names --- */

static void names(void)
{
    char name[24];
    uint64_t lsn = 0;
    segment_name(UINT64_C(0xfedcba9876543210), name);
    CHECK(strcmp(name, "fedcba9876543210.seg") == 0 && segment_parse_name(name, &lsn) &&
              lsn == UINT64_C(0xfedcba9876543210),
          "%s", name);
    static const char *const bad[] = { "",
                                       "1.seg",
                                       "000000000000000g.seg",
                                       "0000000000000001.se",
                                       "0000000000000001.seg.tmp",
                                       "000000000000000A.seg",
                                       "00000000000000011.seg" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!segment_parse_name(bad[i], &lsn), "%s", bad[i]);
}

/* --- headers --- */

static void put_crc(struct buf *b)
{
    uint32_t crc = crc32c(0, bytes_of(b->p, b->n - 4));
    for (unsigned i = 0; i < 4; i++)
        b->p[b->n - 4 + i] = (uint8_t)(crc >> (8 * i));
}

/* The seal: set in a header that stands, it makes it a sealed one; any other change of its bytes is damage. The form of the first versions. */
static void seals(struct buf *open_header)
{
    struct segment_header got;
    size_t size = 0;
    uint8_t *at = open_header->p + SEGMENT_SEAL_AT;
    memcpy(at, segment_seal().p, segment_seal().n);
    MUST(segment_header_decode(buf_view(open_header), &got, &size, &err));
    CHECK(got.sealed && size == open_header->n, "sealed by its seal");
    segment_header_clear(&got);
    for (unsigned v = 0; v < 0x10000; v++) {
        at[0] = (uint8_t)v;
        at[1] = (uint8_t)(v >> 8);
        bool ok = segment_header_decode(buf_view(open_header), &got, &size, &err);
        CHECK(ok ? v == 0 || v == ('S' | 'E' << 8) : v != 0 && err.code == ERR_CORRUPT, "seal %04x", v);
        CHECK(!ok || got.sealed == (v != 0), "seal %04x", v);
        if (ok)
            segment_header_clear(&got);
    }
    memcpy(at, segment_seal().p, segment_seal().n);
    for (size_t i = 0; i < open_header->n * 8; i++) {
        open_header->p[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK(!segment_header_decode(buf_view(open_header), &got, &size, &err) && err.code == ERR_CORRUPT,
              "sealed, bit %zu: %s", i, err.msg);
        open_header->p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    memcpy(at, "\1", 2);
    put_crc(open_header);
    MUST(segment_header_decode(buf_view(open_header), &got, &size, &err));
    CHECK(got.sealed, "sealed by a first version");
    segment_header_clear(&got);
    memset(at, 0, 2);
    put_crc(open_header);
}

static void headers(void)
{
    struct segment_header h = { .first_lsn = 9,
                                .created_us = -1,
                                .changes_before = 3,
                                .transactions_before = 4,
                                .source = "s",
                                .source_version = "v",
                                .start = example_pos(1, 2) },
                          got;
    struct buf b = { 0 };
    size_t size = 0;
    MUST(segment_header_encode(&h, &b, &err));
    MUST(segment_header_decode(buf_view(&b), &got, &size, &err));
    CHECK(size == b.n && got.first_lsn == 9 && got.created_us == -1 && got.changes_before == 3 &&
              got.transactions_before == 4 && !got.sealed && fixture_same_pos(&got.start, &h.start),
          "header");
    segment_header_clear(&got);
    for (size_t n = 0; n < b.n; n++) {
        struct bytes cut = { memcpy(malloc(n + !n), b.p, n), n };
        CHECK(!segment_header_decode(cut, &got, &size, &err) && err.code == ERR_CORRUPT, "cut at %zu", n);
        free((void *)(uintptr_t)cut.p);
    }
    for (size_t i = 0; i < b.n * 8; i++) {
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK(!segment_header_decode(buf_view(&b), &got, &size, &err) && err.code == ERR_CORRUPT, "bit %zu: %s", i,
              err.msg);
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    seals(&b);
    static const struct {
        size_t at;
        const char *want;
        enum err_code code;
    } lies[] = {
        { 8, "newer", ERR_UNSUPPORTED },  { 11, "newer", ERR_UNSUPPORTED }, { 24, "newer", ERR_UNSUPPORTED },
        { 31, "newer", ERR_UNSUPPORTED }, { 16, NULL, ERR_NONE },           { 23, NULL, ERR_NONE },
        { 80, "truncated", ERR_CORRUPT },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        b.p[lies[i].at] ^= 0x80;
        put_crc(&b);
        bool ok = segment_header_decode(buf_view(&b), &got, &size, &err);
        CHECK(lies[i].want == NULL ? ok : !ok && err.code == lies[i].code && strstr(err.msg, lies[i].want),
              "byte %zu: %s", lies[i].at, ok ? "taken" : err.msg);
        if (ok)
            segment_header_clear(&got);
        b.p[lies[i].at] ^= 0x80;
    }
    /* Bytes between the position and the checksum belong to compat features: skipped. */
    struct buf more = { 0 };
    buf_bytes(&more, bytes_of(b.p, b.n - 4));
    buf_str(&more, "from the future....");
    more.p[12] = (uint8_t)(more.n);
    put_crc(&more);
    MUST(segment_header_decode(buf_view(&more), &got, &size, &err));
    CHECK(size == more.n && got.start.offset == 2, "compat bytes");
    segment_header_clear(&got);
    buf_free(&more);
    buf_free(&b);
    source_pos_clear(&h.start);
}

/* --- footers --- */

static void footers(void)
{
    struct relation *r = example_relation();
    struct segment_frame index[3] = {
        { .offset = 100,
          .type = ZB_DATA,
          .stored_size = 10,
          .raw_size = 20,
          .info = { .first_lsn = 1, .nrecords = 3, .ncommits = 1, .last_commit_lsn = 3 } },
        { .offset = 200, .type = ZB_POSITION, .stored_size = 5, .raw_size = 5, .info = { .first_lsn = 4 } },
        { .offset = 300,
          .type = ZB_DATA,
          .stored_size = 1,
          .raw_size = 9,
          .info = { .first_lsn = 4,
                    .nrecords = 9,
                    .starts_inside = true,
                    .ends_inside = true,
                    .min_commit_us = -5,
                    .max_commit_us = 6 } }
    };
    struct table_counts counts[2] = { { 1, 2, 3, 4 }, { 5, 6, 7, 8 } };
    struct segment_footer f = { .frames = index,
                                .nframes = 3,
                                .counts = counts,
                                .ncounts = 2,
                                .next_lsn = 13,
                                .changes = 9,
                                .transactions = 8,
                                .end = example_pos(1, 2) },
                          got;
    MUST(relation_table_add(&f.relations, r, &err));
    struct buf b = { 0 };
    MUST(segment_footer_encode(&f, &b, &err));
    MUST(segment_footer_decode(buf_view(&b), &got, &err));
    CHECK(got.nframes == 3 && got.frames[2].info.starts_inside && got.frames[2].info.ends_inside &&
              got.frames[2].info.min_commit_us == -5 && got.ncounts == 2 && got.counts[1].deletes == 8 &&
              got.relations.n == 1 && got.next_lsn == 13 && got.end.offset == 2,
          "footer");
    segment_footer_clear(&got);
    for (size_t n = 0; n < b.n; n++) {
        struct bytes cut = { memcpy(malloc(n + !n), b.p, n), n };
        CHECK(!segment_footer_decode(cut, &got, &err) && err.code == ERR_CORRUPT, "cut at %zu", n);
        free((void *)(uintptr_t)cut.p);
    }
    for (size_t i = 0; i < b.n * 8; i++) { /* no checksum here: only nothing wild */
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
        if (segment_footer_decode(buf_view(&b), &got, &err))
            segment_footer_clear(&got);
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    buf_reset(&b);
    index[2].info.first_lsn = 5;
    MUST(segment_footer_encode(&f, &b, &err));
    CHECK(!segment_footer_decode(buf_view(&b), &got, &err) && strstr(err.msg, "gap"), "%s", err.msg);
    buf_reset(&b);
    index[2].info.first_lsn = 4;
    index[2].offset = 250;
    MUST(segment_footer_encode(&f, &b, &err));
    CHECK(!segment_footer_decode(buf_view(&b), &got, &err) && strstr(err.msg, "order"), "%s", err.msg);
    buf_reset(&b);
    index[2].offset = 300;
    f.next_lsn = 14;
    MUST(segment_footer_encode(&f, &b, &err));
    CHECK(!segment_footer_decode(buf_view(&b), &got, &err) && strstr(err.msg, "next LSN"), "%s", err.msg);

    uint64_t off = 0;
    buf_reset(&b);
    segment_trailer_encode(UINT64_C(0x123456789a), &b);
    MUST(segment_trailer_decode(buf_view(&b), &off, &err));
    CHECK(b.n == SEGMENT_TRAILER_SIZE && off == UINT64_C(0x123456789a), "trailer");
    for (size_t i = 0; i < b.n * 8; i++) {
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK(!segment_trailer_decode(buf_view(&b), &off, &err), "trailer, bit %zu", i);
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    buf_free(&b);
    relation_table_clear(&f.relations);
    source_pos_clear(&f.end);
    relation_unref(r);
}

static void relations(void)
{
    struct relation *r[2] = { example_relation(), fixture_relation("t") };
    struct buf b = { 0 };
    segment_relations_encode(r, 2, &b);
    struct relation_table t = { 0 };
    MUST(segment_relations_decode(buf_view(&b), &t, &err));
    CHECK(t.n == 2 && relation_table_find(&t, r[1]->id) != NULL, "%u relations", t.n);
    relation_table_clear(&t);
    for (size_t n = 0; n < b.n; n++) {
        CHECK(!segment_relations_decode(bytes_of(b.p, n), &t, &err), "cut at %zu", n);
        relation_table_clear(&t);
    }
    buf_u8(&b, 0);
    CHECK(!segment_relations_decode(buf_view(&b), &t, &err), "trailing byte");
    relation_table_clear(&t);
    buf_free(&b);
    relation_unref(r[0]);
    relation_unref(r[1]);
}

/* Files that are not what their name or header says. */
static void files(char *dir, int dirfd)
{
    struct buf made = example_made();
    struct segment *g;
    const struct segment_footer *ft;
    fixture_store(dir, "0000000000000002.seg", buf_view(&made));
    CHECK(!segment_open(dirfd, "0000000000000002.seg", &g, &err) && strstr(err.msg, "its name says 2"), "%s", err.msg);
    CHECK(!segment_open(dirfd, "0000000000000003.seg", &g, &err) && err.code == ERR_IO, "missing");
    /* Sealed, with another trailer behind it: the first one no longer ends the file. */
    struct buf two = { 0 };
    buf_bytes(&two, buf_view(&made));
    segment_trailer_encode(made.n - SEGMENT_TRAILER_SIZE - 10, &two);
    fixture_store(dir, "0000000000000001.seg", buf_view(&two));
    MUST(segment_open(dirfd, "0000000000000001.seg", &g, &err));
    CHECK(!segment_footer(g, &ft, &err) && err.code == ERR_CORRUPT && strstr(err.msg, "0000000000000001.seg"), "%s",
          err.msg);
    segment_close(g);
    buf_free(&two);
    /* An open segment whose last row looks like a trailer stays an open one: the header says so, not the end of the file. */
    struct segment_header h;
    size_t size;
    MUST(segment_header_decode(buf_view(&made), &h, &size, &err));
    h.sealed = false;
    struct buf open_one = { 0 };
    MUST(segment_header_encode(&h, &open_one, &err));
    buf_bytes(&open_one, bytes_of(made.p + size, made.n - size));
    fixture_store(dir, "0000000000000001.seg", buf_view(&open_one));
    MUST(segment_open(dirfd, "0000000000000001.seg", &g, &err));
    MUST(segment_footer(g, &ft, &err));
    CHECK(ft == NULL, "not sealed");
    segment_close(g);
    buf_free(&open_one);
    segment_header_clear(&h);
    buf_free(&made);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    char *dir = fixture_dir();
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY);
    names();
    headers();
    footers();
    relations();
    files(dir, dirfd);
    example(dir, dirfd);
    close(dirfd);
    fixture_remove(dir);
    return UNIT_END();
}
