/* fuzz_frame.c - arbitrary bytes as a data frame's payload. What decodes must also encode again, to a payload that decodes to the
 * same: so a decoder that reads values wrongly fails here, not only one that crashes. */
#include <stdio.h>

#include "../unit/frame_any_row.h"

#include "frame.h"
#include "frame_coder.h"

enum { RELATIONS = 3 };
static struct relation_table rels;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct any_rng rng = { 7 };
    struct err err;
    for (unsigned i = 0; i < RELATIONS; i++) {
        char name[4] = { 't', (char)('0' + i), '\0' };
        struct relation *r = any_relation(&rng, name);
        if (!relation_table_add(&rels, r, &err))
            abort();
        relation_unref(r);
    }
    return 0;
}

/* What a header that fits the payload says: else everything would end at the first comparison. Puts known ids into the relation
 * list. */
static struct frame_info fitting(uint8_t *data, size_t n, bool inside)
{
    struct frame_info i = { .first_lsn = 1, .starts_inside = inside };
    struct cur c = cur_over(bytes_of(data, n));
    struct bytes ops = cur_blob(&c);
    cur_blob(&c);
    struct bytes ids = cur_blob(&c);
    struct cur times = cur_over(cur_blob(&c));
    for (size_t k = 0; k + 8 <= ids.n; k += 8) {
        uint8_t *at = data + (ids.p - data) + k;
        struct cur was = cur_over(bytes_of(at, 8));
        uint64_t id = cur_le(&was, 8);
        if (relation_table_find(&rels, id) == NULL)
            id = rels.rel[(k / 8) % RELATIONS]->id;
        for (unsigned b = 0; b < 8; b++)
            at[b] = (uint8_t)(id >> (8 * b));
    }
    i.nrecords = (uint32_t)ops.n;
    i.ends_inside = inside;
    uint64_t time = 0;
    bool any = false;
    for (size_t k = 0; k < ops.n; k++) {
        uint8_t op = ops.p[k] & 15;
        if (op == REC_BEGIN) {
            time += (uint64_t)cur_zigzag(&times);
            int64_t t = (int64_t)time;
            i.min_commit_us = !any || t < i.min_commit_us ? t : i.min_commit_us;
            i.max_commit_us = !any || t > i.max_commit_us ? t : i.max_commit_us;
            any = true;
            i.ends_inside = true;
        }
        if (op == REC_COMMIT) {
            i.ncommits++;
            i.last_commit_lsn = 1 + k;
            i.ends_inside = false;
        }
        i.nchanges += op >= REC_INSERT && op <= REC_TRUNCATE;
    }
    return i;
}

/* The same records as a frame that is stored. */
static void again(const struct frame *f, struct buf *out)
{
    struct err err;
    struct frame_info info;
    struct buf plain = { 0 };
    struct bytes coded;
    struct frame_builder *b = frame_builder_new();
    struct frame_coder *c = frame_coder_new();
    if (b == NULL || c == NULL)
        abort();
    frame_builder_reset(b, 1, frame_info(f)->starts_inside);
    if (!frame_copy_records(b, f, 0, frame_count(f), &err) || !frame_builder_finish(b, &plain, &info, &err) ||
        !frame_coder_code(c, buf_view(&plain), frame_builder_relations(b), &coded, &info.tail, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    buf_bytes(out, coded);
    buf_free(&plain);
    frame_coder_free(c);
    frame_builder_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err;
    struct frame *f, *g;
    if (n < 1)
        return 0;
    uint8_t *copy = malloc(n);
    memcpy(copy, data, n);
    struct frame_info info = fitting(copy + 1, n - 1, data[0] & 1);
    struct change_counts counts = { 0 };
    frame_payload_counts(bytes_of(copy + 1, n - 1), &counts, &err);
    change_counts_free(&counts);
    if (frame_decode(bytes_of(copy + 1, n - 1), &info, &rels, &f, &err)) {
        struct buf one = { 0 }, two = { 0 };
        again(f, &one);
        if (!frame_decode(buf_view(&one), &info, &rels, &g, &err)) {
            fprintf(stderr, "%s\n", err.msg);
            abort();
        }
        again(g, &two);
        if (!bytes_eq(buf_view(&one), buf_view(&two)))
            abort();
        frame_unref(f);
        frame_unref(g);
        buf_free(&one);
        buf_free(&two);
    }
    free(copy);
    return 0;
}
