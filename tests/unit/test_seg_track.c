/* test_seg_track.c - the position that a log's records say, where a source has GTIDs, has none, or is on its way (I2). */
#include "slot_fixture.h"

#include "../../common/format/seg_track.h"

/* Two transactions with GTIDs, seen from a start without and with a set. */
static void gtids_count_only_where_the_start_has_a_set(enum gtid_flavor start, const char *want)
{
    struct segment_header h = { .start = { .flavor = start, .file = "binlog.000001", .offset = 4 } };
    struct seg_track t;
    struct frame_builder *b = frame_builder_new();
    struct buf payload = { 0 }, text = { 0 };
    struct frame_info info;
    struct frame *f = NULL;
    struct relation_table none = { 0 };
    frame_builder_reset(b, 1, false);
    for (uint64_t no = 5; no < 8; no += 2) {
        struct rec_begin begin = { .commit_us = 1, .resolution_us = 1 };
        struct rec_commit commit = { .file = bytes_str("binlog.000002"), .end_offset = 100 * no };
        char gtid[64];
        snprintf(gtid, sizeof gtid, "00000000-0000-0000-0000-000000000001:%llu", (unsigned long long)no);
        MUST(gtid_parse(bytes_str(gtid), &begin.gtid, &err));
        MUST(frame_add_begin(b, &begin, &err) && frame_add_commit(b, &commit, &err));
    }
    MUST(frame_builder_finish(b, &payload, &info, &err));
    MUST(frame_decode(buf_view(&payload), &info, &none, &f, &err));
    MUST(seg_track_start(&t, &h, &err));
    MUST(seg_track_frame(&t, f, UINT64_MAX, &err));
    source_pos_text(&t.pos, &text);
    CHECK(t.pos.flavor == start && strcmp(buf_cstr(&text), want) == 0, "flavour %d: %s", (int)t.pos.flavor,
          buf_cstr(&text));
    seg_track_clear(&t);
    frame_unref(f);
    frame_builder_free(b);
    buf_free(&payload);
    buf_free(&text);
}

int main(void)
{
    gtids_count_only_where_the_start_has_a_set(GTID_MYSQL,
                                               "00000000-0000-0000-0000-000000000001:5:7 binlog.000002:700");
    gtids_count_only_where_the_start_has_a_set(GTID_NONE, "binlog.000002:700");
    return UNIT_END();
}
