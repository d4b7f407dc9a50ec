/* packet_stream.c - see packet_stream.h. Nearly every packet is given out where it was read; only one that goes on in another is moved
 * together. */
#include "packet_stream.h"

#include <assert.h>
#include <stdlib.h>

enum { HEADER = 4, GOES_ON = 0xffffff, USUAL = 256 << 10 /* bytes of the buffer: some hundred events a read */ };

/* What is not yet given out to the front of the buffer. */
static void move_down(struct packet_stream *s)
{
    if (s->from == 0)
        return;
    if (s->to != s->from)
        memmove(s->p, s->p + s->from, s->to - s->from);
    s->next -= s->from;
    s->body -= s->began ? s->from : 0;
    s->to -= s->from;
    s->from = 0;
}

static bool resize(struct packet_stream *s, size_t cap, struct err *err)
{
    uint8_t *p = realloc(s->p, cap);
    if (p == NULL)
        return err_nomem(err);
    s->p = p;
    s->cap = cap;
    return true;
}

bool packet_stream_room(struct packet_stream *s, uint8_t **p, size_t *n, struct err *err)
{
    if (s->cap - s->to < USUAL / 2 || s->from == s->to)
        move_down(s);
    if (s->cap > USUAL && s->to < USUAL / 2 && !s->began) { /* behind a huge event */
        if (!resize(s, USUAL, err))
            return false;
    } else if (s->cap - s->to < USUAL / 2 && !resize(s, s->cap == 0 ? USUAL : s->cap * 2, err)) {
        return false;
    }
    *p = s->p + s->to;
    *n = s->cap - s->to;
    return true;
}

void packet_stream_added(struct packet_stream *s, size_t n)
{
    assert(n <= s->cap - s->to);
    s->to += n;
}

/* Takes one packet's payload to what was joined so far. */
static void join(struct packet_stream *s, size_t n)
{
    if (!s->began) {
        s->body = s->next + HEADER;
        s->whole = 0;
        s->began = true;
    } else if (n != 0) {
        memmove(s->p + s->body + s->whole, s->p + s->next + HEADER, n);
    }
    s->whole += n;
    s->next += HEADER + n;
}

enum packet_result packet_stream_next(struct packet_stream *s, size_t max, struct bytes *payload, struct err *err)
{
    for (;;) {
        if (s->to - s->next < HEADER)
            return PACKET_MORE;
        const uint8_t *h = s->p + s->next;
        size_t n = h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16;
        if (s->seq_known && h[3] != s->seq) {
            err_set(err, ERR_CORRUPT, "packet number %u came from the source where %u follows", h[3], s->seq);
            return PACKET_BAD;
        }
        if (n + (s->began ? s->whole : 0) > max) {
            err_set(err, ERR_UNSUPPORTED, "the source sent a packet of more than %zu bytes", max);
            return PACKET_BAD;
        }
        if (s->to - s->next - HEADER < n)
            return PACKET_MORE;
        s->seq = (uint8_t)(h[3] + 1);
        s->seq_known = true;
        join(s, n);
        if (n == GOES_ON)
            continue;
        *payload = (struct bytes){ s->p + s->body, s->whole };
        s->from = s->next;
        s->began = false;
        return PACKET_WHOLE;
    }
}

void packet_stream_free(struct packet_stream *s)
{
    free(s->p);
    *s = (struct packet_stream){ 0 };
}
