/* test_apply_status.c - what the applier tells of its subscriptions, in words, in numbers and as JSON: which LSN is which, and texts
 * that came from elsewhere. */
#include "apply_status.h"
#include "clock.h"
#include "unit.h"

static struct sub_status subs[2];
static struct apply_status all = { subs, 2 };

static const char *told(void (*tell)(void *, struct buf *))
{
    static struct buf out;
    buf_reset(&out);
    tell(&all, &out);
    return buf_cstr(&out);
}

#define HAS(text, want) CHECK(strstr(text, want) != NULL, "want %s, got %s", want, text)

static void test_lsns(void)
{
    atomic_store(&subs[0].flushed_lsn, 60);
    atomic_store(&subs[0].applied_lsn, 50); /* committed, */
    atomic_store(&subs[0].durable_lsn, 40); /* but on disk only up to here */
    atomic_store(&subs[0].applied_commit_us, clock_wall_us() - 7000000);
    HAS(told(apply_status_ops.status),
        "{\"name\":\"first\",\"state\":\"starting\",\"confirmed_lsn\":40,\"applied_lsn\":50,"
        "\"flushed_lsn\":60,\"behind_records\":10,\"lag_seconds\":7.");
    const char *text = told(apply_status_ops.metrics);
    HAS(text, "\nrowtide_slot_confirmed_lsn{subscription=\"first\"} 40\n");
    HAS(text, "\nrowtide_slot_flushed_lsn{subscription=\"first\"} 60\n");
    HAS(text, "\nrowtide_slot_lag_records{subscription=\"first\"} 10\n");
    HAS(text, "\nrowtide_slot_lag_records{subscription=\"second\"} 0\n");
}

static void test_texts(void)
{
    struct buf why = { 0 };
    CHECK(apply_status_ops.healthy(&all, &why) && strcmp(buf_cstr(&why), "ok\n") == 0, "well: %s", buf_cstr(&why));
    buf_reset(&why);
    sub_status_error(&subs[1], "row \"1\\2\"\n\x01 \xff\xc3");
    atomic_store(&subs[1].state, SUB_RETRYING);
    CHECK(!apply_status_ops.healthy(&all, &why), "one is not well");
    HAS(buf_cstr(&why), "subscription second: retrying: row ");
    CHECK(strstr(buf_cstr(&why), "first") == NULL, "the other one is: %s", buf_cstr(&why));
    HAS(told(apply_status_ops.status), "\"error\":\"row \\\"1\\\\2\\\"\\n\\u0001 \xef\xbf\xbd\xef\xbf\xbd\"}]}\n");
    HAS(told(apply_status_ops.metrics), "\nrowtide_slot_state{subscription=\"second\",state=\"retrying\"} 1\n");
    buf_free(&why);
}

int main(void)
{
    sub_status_init(&subs[0], "first");
    sub_status_init(&subs[1], "second");
    test_lsns();
    test_texts();
    return UNIT_END();
}
