/* packet_stream.h - bytes of a server's connection cut into packets: 3 bytes length, 1 byte sequence number, payload; a payload of 2^24 - 1
 * bytes goes on in the next packet. Does no I/O: whoever reads the socket puts bytes in. Not thread-safe.
 * Source: MySQL documentation, "MySQL Packets". */
#ifndef ROWTIDE_PACKET_STREAM_H
#define ROWTIDE_PACKET_STREAM_H

#include "bytes.h"

struct packet_stream { /* zero-initialise; packet_stream_free at the end */
    uint8_t *p;
    size_t cap;
    size_t from, to;    /* bytes not yet given out */
    size_t next;        /* from there: the header that was not yet complete, or whose payload was not */
    size_t body, whole; /* the payload joined so far: where, how long */
    bool began;         /* body and whole are valid */
    uint8_t seq;        /* of the next packet */
    bool seq_known;
};
enum packet_result { PACKET_WHOLE, PACKET_MORE /* bytes are missing */, PACKET_BAD };

/* Room for at least one byte behind what is there. It grows to what the packet at hand needs and shrinks behind it. False: ERR_NOMEM. */
bool packet_stream_room(struct packet_stream *s, uint8_t **p, size_t *n, struct err *err);
void packet_stream_added(struct packet_stream *s, size_t n); /* so many bytes were put there */
/* The next payload; a view that is valid until packet_stream_room. max: of payload bytes. PACKET_BAD: ERR_CORRUPT (order) or
 * ERR_UNSUPPORTED (too large). */
enum packet_result packet_stream_next(struct packet_stream *s, size_t max, struct bytes *payload, struct err *err);
/* The next payload when it lies there in one packet and begins with that byte; else nothing is said, and nothing has changed. */
static inline bool packet_stream_at_hand(struct packet_stream *s, size_t max, uint8_t first, struct bytes *payload)
{
    enum { HEADER = 4, JOINED = 0xffffff };
    if (s->to - s->next <= HEADER || s->began || !s->seq_known)
        return false;
    const uint8_t *h = s->p + s->next;
    size_t n = h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16;
    if (n == 0 || n == JOINED || n > max || h[3] != s->seq || h[HEADER] != first || s->to - s->next - HEADER < n)
        return false;
    s->seq++;
    s->next += HEADER + n;
    s->from = s->next;
    *payload = (struct bytes){ h + HEADER, n };
    return true;
}
static inline bool packet_stream_buffered(const struct packet_stream *s)
{
    return s->to > s->from;
}
void packet_stream_free(struct packet_stream *s);

#endif
