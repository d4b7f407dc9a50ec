/* test_slot.c - identity, lock, `state` and its two copies, subscriptions, retention. */
#include "slot_fixture.h"

#include <inttypes.h>

static void state_copies(void)
{
    char *dir = fixture_dir();
    struct slot *s = NULL, *r = NULL, *again = NULL;
    struct slot_state st = { 0 }, got;
    CHECK(!slot_open(dir, SLOT_READ, &r, &err) && err.code == ERR_CONFIG, "no slot: %s", err.msg);
    char nowhere[4096];
    snprintf(nowhere, sizeof nowhere, "%s/mistyped", dir);
    CHECK(!slot_open(nowhere, SLOT_READ, &r, &err) && err.code == ERR_CONFIG && strstr(err.msg, nowhere) != NULL,
          "no directory: %s", err.msg);
    CHECK(!slot_open(dir, SLOT_WRITE, &r, &err) && err.code == ERR_CONFIG, "no slot to write: %s", err.msg);
    MUST(slot_open(dir, SLOT_CREATE, &s, &err));
    CHECK(!slot_open(dir, SLOT_WRITE, &again, &err) && strstr(err.msg, "locked") != NULL, "a second writer: %s",
          err.msg);
    MUST(slot_open(dir, SLOT_READ, &r, &err));
    CHECK(memcmp(slot_uuid(s), slot_uuid(r), 16) == 0 && slot_run(s) == 1, "identity");
    MUST(slot_state_read(r, &got, &err));
    CHECK(got.flushed_lsn == 0 && got.pos.flavor == GTID_NONE, "a new state");
    slot_state_clear(&got);

    st.pos = fixture_pos(77);
    for (uint64_t i = 1; i <= 5; i++) {
        st.flushed_lsn = i * 10;
        st.changes = i;
        st.transactions = i + 1;
        st.heartbeat_us = -5;
        st.clock_offset_us = -123456;
        st.flushed_commit_us = 99;
        st.streaming = i % 2;
        snprintf(st.source, sizeof st.source, "source-%d", (int)i);
        MUST(slot_state_write(s, &st, &err));
        MUST(slot_state_read(r, &got, &err));
        CHECK(got.flushed_lsn == i * 10 && got.changes == i && got.transactions == i + 1 && got.heartbeat_us == -5 &&
                  got.clock_offset_us == -123456 && got.flushed_commit_us == 99 && got.streaming == (i % 2) &&
                  got.run == 1 && got.sequence == st.sequence && strcmp(got.source, st.source) == 0 &&
                  fixture_same_pos(&got.pos, &st.pos),
              "state %d", (int)i);
        slot_state_clear(&got);
    }
    /* Damage to either copy: the other one counts; it is at most one write older. */
    struct buf good = fixture_load(dir, "state");
    CHECK(good.n == 8192, "%zu bytes of state", good.n);
    for (size_t i = 0; i < good.n; i++) {
        if (i % 4096 > 300 && i % 64 != 0)
            continue;
        good.p[i] ^= 0x20;
        fixture_store(dir, "state", buf_view(&good));
        MUST(slot_state_read(r, &got, &err));
        CHECK(got.flushed_lsn == 50 || got.flushed_lsn == 40, "byte %zu changed: flushed %" PRIu64, i, got.flushed_lsn);
        slot_state_clear(&got);
        good.p[i] ^= 0x20;
    }
    good.p[20] ^= 1;
    good.p[4096 + 20] ^= 1;
    fixture_store(dir, "state", buf_view(&good));
    CHECK(!slot_state_read(r, &got, &err) && err.code == ERR_CORRUPT && strstr(err.msg, dir), "both copies damaged: %s",
          err.msg);
    slot_close(r);
    CHECK(!slot_open(dir, SLOT_READ, &r, &err) && err.code == ERR_CORRUPT, "%s", err.msg);
    good.p[20] ^= 1;
    fixture_store(dir, "state", buf_view(&good));
    for (size_t n = 0; n < 4096; n += 97) { /* the rest of the file is missing */
        fixture_store(dir, "state", bytes_of(good.p, n));
        if (slot_open(dir, SLOT_READ, &r, &err))
            slot_close(r);
        else
            CHECK(err.code == ERR_CORRUPT, "cut at %zu: %s", n, err.msg);
    }
    buf_free(&good);
    source_pos_clear(&st.pos);
    slot_close(s);

    /* The next run has the next number; a re-created slot is another one. */
    fixture_empty(dir);
    MUST(slot_open(dir, SLOT_CREATE, &s, &err));
    MUST(slot_open(dir, SLOT_READ, &r, &err));
    st = (struct slot_state){ 0 };
    MUST(slot_state_write(s, &st, &err));
    slot_close(s);
    MUST(slot_open(dir, SLOT_WRITE, &s, &err));
    CHECK(slot_run(s) == 2, "run %" PRIu64, slot_run(s));
    slot_close(s);
    fixture_empty(dir);
    MUST(slot_open(dir, SLOT_CREATE, &s, &err));
    CHECK(!slot_state_read(r, &got, &err) && err.code == ERR_FENCED, "re-created: %s", err.msg);
    slot_close(r);
    slot_close(s);
    fixture_remove(dir);
}

/* A GTID set that does not fit 4 KiB is left out, and said to be. */
static void large_position(void)
{
    char *dir = fixture_dir();
    struct slot *s = NULL;
    MUST(slot_open(dir, SLOT_CREATE, &s, &err));
    struct slot_state st = { .flushed_lsn = 3, .pos = fixture_pos(1) }, got;
    for (unsigned i = 0; i < 2000; i++) {
        struct gtid g = { .flavor = GTID_MYSQL, .no = 10 + i * 2000 };
        g.uuid[0] = (uint8_t)i;
        MUST(gtid_set_add(st.pos.gtids, &g, &err));
    }
    MUST(slot_state_write(s, &st, &err));
    MUST(slot_state_read(s, &got, &err));
    CHECK(got.flushed_lsn == 3 && got.pos.flavor == GTID_MYSQL && got.pos.gtids == NULL && got.pos.offset == 100,
          "omitted");
    MUST(slot_state_write(s, &got, &err)); /* what was read can be written again */
    slot_state_clear(&got);
    MUST(slot_state_read(s, &got, &err));
    CHECK(got.pos.flavor == GTID_MYSQL && got.pos.gtids == NULL, "still omitted");
    slot_state_clear(&got);
    slot_state_clear(&st);
    slot_close(s);
    fixture_remove(dir);
}

static void names(void)
{
    static const struct {
        const char *name;
        bool ok;
    } cases[] = {
        { "crm", true },
        { "a.b-c_D9", true },
        { "", false },
        { ".x", false },
        { "-x", false },
        { "a/b", false },
        { "a b", false },
        { "\xc3\xa9", false },
        { "x..", true },
        { "123456789012345678901234567890123456789012345678901234567890123", true },
        { "1234567890123456789012345678901234567890123456789012345678901234", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(slot_sub_name_ok(cases[i].name) == cases[i].ok, "name \"%s\"", cases[i].name);
}

static void subscriptions(void)
{
    char *dir = fixture_dir();
    struct slot *s = NULL;
    MUST(slot_open(dir, SLOT_CREATE, &s, &err));
    struct slot_sub a = { .name = "crm",
                          .confirmed_lsn = UINT64_MAX,
                          .confirmed_commit_us = INT64_MIN,
                          .changes = 1,
                          .transactions = 2,
                          .applied_changes = 3,
                          .state = "streaming",
                          .destination = "postgresql app@127.0.0.1:5432/crm",
                          .error = "line one\nline \\two=x\t" };
    struct slot_sub got, *list;
    bool found = true;
    size_t n;
    MUST(slot_sub_read(s, "crm", &got, &found, &err));
    CHECK(!found, "not registered yet");
    MUST(slot_sub_write(s, &a, &err));
    MUST(slot_sub_read(s, "crm", &got, &found, &err));
    CHECK(found && !got.lost && got.confirmed_lsn == UINT64_MAX && got.confirmed_commit_us == INT64_MIN &&
              got.changes == 1 && got.transactions == 2 && got.applied_changes == 3 &&
              strcmp(got.state, a.state) == 0 && strcmp(got.destination, a.destination) == 0 &&
              strcmp(got.error, a.error) == 0 && got.registered_us != 0 && got.updated_us >= got.registered_us,
          "what was written");
    struct slot_sub b = { .name = "b" };
    MUST(slot_sub_write(s, &b, &err));
    MUST(slot_sub_mark_lost(s, "crm", "too slow", &err));
    MUST(slot_subs_list(s, &list, &n, &err));
    CHECK(n == 2 && strcmp(list[0].name, "b") == 0 && !list[0].lost && list[1].lost, "%zu registered", n);
    free(list);

    /* Whatever is changed or missing in the file is refused: retention acts on it. */
    struct buf good = fixture_load(dir, "crm.sub");
    for (size_t i = 0; i < good.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            good.p[i] ^= (uint8_t)(1 << bit);
            fixture_store(dir, "crm.sub", buf_view(&good));
            CHECK(!slot_sub_read(s, "crm", &got, &found, &err) && err.code == ERR_CORRUPT, "byte %zu bit %u changed", i,
                  bit);
            good.p[i] ^= (uint8_t)(1 << bit);
        }
        fixture_store(dir, "crm.sub", bytes_of(good.p, i));
        CHECK(!slot_sub_read(s, "crm", &got, &found, &err) && err.code == ERR_CORRUPT, "cut at %zu", i);
        CHECK(!slot_subs_list(s, &list, &n, &err), "and in the list");
    }
    fixture_store(dir, "other.sub", buf_view(&good));
    CHECK(!slot_sub_read(s, "other", &got, &found, &err) && strstr(err.msg, "another"), "%s", err.msg);
    buf_free(&good);
    MUST(slot_sub_drop(s, "other", &found, &err));
    MUST(slot_sub_drop(s, "crm", &found, &err));
    CHECK(found && !fixture_has(dir, "crm.sub") && !fixture_has(dir, "crm.lost"), "dropped");
    MUST(slot_sub_drop(s, "crm", &found, &err));
    CHECK(!found, "dropped twice");
    CHECK(!slot_sub_drop(s, "../x", &found, &err) && err.code == ERR_CONFIG, "%s", err.msg);
    slot_close(s);
    fixture_remove(dir);
}

static void confirm(struct slot *s, const char *name, uint64_t lsn)
{
    struct slot_sub sub = { .confirmed_lsn = lsn };
    snprintf(sub.name, sizeof sub.name, "%s", name);
    MUST(slot_sub_write(s, &sub, &err));
}

static void retention(void)
{
    struct fixture f = fixture_new(&small_segments);
    while (fixture_segments(f.dir) < 7) {
        fixture_txn(&f, 20, 0);
        fixture_flush(&f);
    }
    struct slot_segment *seg;
    size_t n, removed = 9;
    static const struct slot_retention keep = { .reserve_percent = 0 };
    MUST(slot_segments(f.slot, &seg, &n, &err));
    MUST(slot_retain(f.slot, &keep, &removed, &err));
    CHECK(n == 7 && removed == 0, "nobody registered: everything is kept");
    confirm(f.slot, "fast", UINT64_MAX - 1);
    confirm(f.slot, "slow", seg[2].first_lsn - 2);
    MUST(slot_retain(f.slot, &keep, &removed, &err));
    CHECK(removed == 1 && fixture_segments(f.dir) == 6, "one record of the second is not confirmed: %zu removed",
          removed);
    confirm(f.slot, "slow", seg[2].first_lsn - 1);
    MUST(slot_retain(f.slot, &keep, &removed, &err));
    CHECK(removed == 1 && !fixture_has(f.dir, seg[1].name) && fixture_has(f.dir, seg[2].name), "the second goes: %zu",
          removed);

    /* Over the limit: the slow one is lost, the fast one goes on, the open segment stays. */
    struct stat st;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f.dir, seg[6].name);
    CHECK(stat(path, &st) == 0, "open segment");
    struct slot_retention limit = { .max_bytes = (uint64_t)st.st_size + 1 };
    confirm(f.slot, "fast", seg[3].first_lsn);
    MUST(slot_retain(f.slot, &limit, &removed, &err));
    struct slot_sub sub;
    bool found;
    CHECK(removed == 4 && fixture_segments(f.dir) == 1 && fixture_has(f.dir, seg[6].name), "%zu removed", removed);
    MUST(slot_sub_read(f.slot, "slow", &sub, &found, &err));
    CHECK(sub.lost, "slow is lost");
    MUST(slot_sub_read(f.slot, "fast", &sub, &found, &err));
    CHECK(sub.lost, "fast needed them, too");
    struct seg_reader *r;
    CHECK(!seg_reader_open(f.dir, seg[3].first_lsn - 1, &r, &err) && err.code == ERR_LOST &&
              strstr(err.msg, "no longer"),
          "%s", err.msg);
    free(seg);
    fixture_free(&f);
}

/* `state` is gone: a reader stops, a writer goes on from the segments, guarded by what was confirmed. */
static void lost_state(void)
{
    struct fixture f = fixture_new(&one_segment);
    fixture_txn(&f, 3, 0);
    fixture_flush(&f);
    uint8_t uuid[16];
    memcpy(uuid, slot_uuid(f.slot), 16);
    fixture_close(&f);
    for (int damaged = 0; damaged < 2; damaged++) {
        char path[512];
        snprintf(path, sizeof path, "%s/state", f.dir);
        unlink(path);
        if (damaged)
            fixture_store(f.dir, "state", BYTES_LIT("nothing"));
        struct slot *r;
        CHECK(!slot_open(f.dir, SLOT_READ, &r, &err) && err.code == ERR_CORRUPT && strstr(err.msg, "rowtide-capture"),
              "%s", err.msg);
        struct seg_recovered rec;
        MUST(fixture_try_open(&f, &one_segment, &rec));
        CHECK(slot_state_lost(f.slot) && memcmp(slot_uuid(f.slot), uuid, 16) == 0 && rec.flushed_lsn == 5 && !rec.empty,
              "rebuilt");
        source_pos_clear(&rec.pos);
        fixture_start(&f);
        fixture_close(&f);
        struct seen s = seen_after(f.dir, 0);
        CHECK(s.end == SEG_READ_END && s.n == 1, "readable again: %" PRIu64, s.n);
    }
    fixture_free(&f);
}

int main(void)
{
    slog_threshold = SLOG_ERROR;
    names();
    state_copies();
    large_position();
    subscriptions();
    retention();
    lost_state();
    return UNIT_END();
}
