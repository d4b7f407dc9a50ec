/* test_packet_stream.c - packets out of bytes that come in pieces of every size, joined packets, wrong order, limits. */
#include "buf.h"
#include "packet_stream.h"
#include "unit.h"

static const struct {
    const char *name, *hex, *want; /* payloads in hex, one space between; "!x": error with x in it behind them */
} cases[] = {
    { "nothing", "", "" },
    { "one", "02 00 00 01 0a0b", "0a0b" },
    { "empty payload", "00 00 00 07", "-" },
    { "three", "01 00 00 05 aa 02 00 00 06 bbcc 00 00 00 07", "aa bbcc -" },
    { "number wraps", "01 00 00 ff aa 01 00 00 00 bb", "aa bb" },
    { "at hand", "01 00 00 fe bb 02 00 00 ff aacc 01 00 00 00 aa 01 00 00 01 bb 00 00 00 02 01 00 00 03 aa",
      "bb aacc aa bb - aa" },
    { "at hand, wrong number", "01 00 00 05 bb 01 00 00 07 aa", "bb !packet number 7" },
    { "at hand, too large", "01 00 00 05 bb 11 00 00 06 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bb !more than 16 bytes" },
    { "wrong number", "01 00 00 05 aa 01 00 00 07 bb", "aa !packet number 7 came from the source where 6 follows" },
    { "repeated number", "01 00 00 05 aa 01 00 00 05 bb", "aa !packet number 5" },
    { "too large", "01 00 00 05 aa 11 00 00 06 bb", "aa !more than 16 bytes" },
    { "header cut", "01 00 00 05 aa 01 00 00", "aa" },
    { "payload cut", "03 00 00 05 aa bb", "" },
};

/* Feeds in by pieces of at most `piece` bytes; appends what came out to got. quick: what begins with 0xaa by the short way, where that can be;
 * *quickly: how many payloads came so. */
static void feed(struct bytes in, size_t piece, size_t max, bool quick, struct buf *got, unsigned *quickly)
{
    struct packet_stream s = { 0 };
    struct err err = { 0 };
    struct bytes payload;
    enum packet_result r = PACKET_MORE;
    for (;;) {
        for (;;) {
            bool at_hand = quick && packet_stream_at_hand(&s, max, 0xaa, &payload);
            CHECK(!at_hand || (payload.n > 0 && payload.p[0] == 0xaa), "another byte in front");
            *quickly += at_hand;
            r = at_hand ? PACKET_WHOLE : packet_stream_next(&s, max, &payload, &err);
            if (r != PACKET_WHOLE)
                break;
            buf_str(got, got->n == 0 ? "" : " ");
            for (size_t i = 0; i < payload.n; i++)
                buf_printf(got, "%02x", payload.p[i]);
            buf_str(got, payload.n == 0 ? "-" : "");
        }
        if (r == PACKET_BAD || in.n == 0)
            break;
        uint8_t *p = NULL;
        size_t n = 0;
        CHECK(packet_stream_room(&s, &p, &n, &err) && n > 0, "no room");
        n = n < piece ? n : piece;
        n = n < in.n ? n : in.n;
        memcpy(p, in.p, n);
        packet_stream_added(&s, n);
        in = bytes_of(in.p + n, in.n - n);
    }
    if (r == PACKET_BAD)
        buf_printf(got, "%s!%s", got->n == 0 ? "" : " ", err.msg);
    packet_stream_free(&s);
}

static void check_cases(void)
{
    unsigned quickly = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes in = unhex(cases[i].hex);
        for (size_t piece = 1; piece <= 2 * (in.n + 1); piece++) {
            struct buf got = { 0 };
            feed(in, (piece + 1) / 2, 16, piece % 2 != 0, &got, &quickly);
            const char *have = buf_cstr(&got), *want = cases[i].want, *error = strchr(want, '!');
            bool ok = error == NULL
                          ? strcmp(have, want) == 0
                          : strncmp(have, want, (size_t)(error - want)) == 0 && strstr(have, error + 1) != NULL;
            CHECK(ok, "%s, pieces of %zu: want %s, got %s", cases[i].name, piece, want, have);
            buf_free(&got);
        }
        free((void *)in.p);
    }
    CHECK(quickly > 0, "none came by the short way");
}

/* A payload of 2^24 - 1 bytes goes on; one of exactly that length is followed by an empty packet. The buffer shrinks behind it. */
static void check_joined(size_t total)
{
    enum { FULL = 0xffffff };
    struct buf in = { 0 };
    uint8_t seq = 3;
    for (size_t at = 0;;) {
        size_t n = total - at < FULL ? total - at : FULL;
        buf_le(&in, n, 3);
        buf_u8(&in, seq++);
        CHECK(buf_grow(&in, n), "no memory");
        for (size_t i = 0; i < n; i++, at++)
            in.p[in.n++] = (uint8_t)(at * 31 >> 4);
        if (n < FULL)
            break;
    }
    buf_put(&in, "\x01\x00\x00", 3);
    buf_u8(&in, seq);
    buf_u8(&in, 0x77);

    struct packet_stream s = { 0 };
    struct err err = { 0 };
    struct bytes left = buf_view(&in), payload;
    unsigned found = 0;
    while (left.n > 0) {
        uint8_t *p = NULL;
        size_t n = 0;
        CHECK(packet_stream_room(&s, &p, &n, &err), "no room");
        n = n < left.n ? n : left.n;
        memcpy(p, left.p, n);
        packet_stream_added(&s, n);
        left = bytes_of(left.p + n, left.n - n);
        while (packet_stream_next(&s, 1 << 30, &payload, &err) == PACKET_WHOLE) {
            size_t wrong = 0;
            if (found++ == 0)
                for (size_t i = 0; i < payload.n; i++)
                    wrong += payload.p[i] != (uint8_t)(i * 31 >> 4);
            CHECK(payload.n == (found == 1 ? total : 1) && wrong == 0, "packet %u: %zu bytes, %zu wrong", found,
                  payload.n, wrong);
        }
    }
    CHECK(found == 2, "%u packets of 2", found);
    uint8_t *p;
    size_t n;
    CHECK(packet_stream_room(&s, &p, &n, &err) && s.cap <= 1 << 20, "the buffer still has %zu bytes", s.cap);
    CHECK(!packet_stream_buffered(&s), "something is left");
    packet_stream_free(&s);
    buf_free(&in);
}

int main(void)
{
    check_cases();
    check_joined(0xffffff - 1);
    check_joined(0xffffff);
    check_joined(0xffffff * 2 + 5);
    return UNIT_END();
}
