/* fuzz_packet_stream.c - any bytes as packets, read in pieces: every payload lies in what was read, and the pieces do not matter. The
 * first byte is the size of a piece. */
#include "buf.h"
#include "packet_stream.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct bytes in, size_t piece, bool quick, struct buf *out)
{
    struct packet_stream s = { 0 };
    struct err err = { 0 };
    struct bytes payload;
    for (;;) {
        enum packet_result r;
        while ((r = quick && packet_stream_at_hand(&s, 1 << 20, 0, &payload)
                        ? PACKET_WHOLE
                        : packet_stream_next(&s, 1 << 20, &payload, &err)) == PACKET_WHOLE)
            buf_blob(out, payload);
        if (r == PACKET_BAD)
            buf_str(out, err.msg);
        if (r == PACKET_BAD || in.n == 0)
            break;
        uint8_t *p;
        size_t n;
        if (!packet_stream_room(&s, &p, &n, &err))
            abort();
        n = n < piece ? n : piece;
        n = n < in.n ? n : in.n;
        memcpy(p, in.p, n);
        packet_stream_added(&s, n);
        in = bytes_of(in.p + n, in.n - n);
    }
    packet_stream_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct buf a = { 0 }, b = { 0 };
    read_all(bytes_of(data + 1, size - 1), (size_t)data[0] + 1, false, &a);
    read_all(bytes_of(data + 1, size - 1), SIZE_MAX, true, &b);
    if (!bytes_eq(buf_view(&a), buf_view(&b)))
        abort();
    buf_free(&a);
    buf_free(&b);
    return 0;
}
