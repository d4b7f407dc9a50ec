/* suggest.c - nearest name by edits: insert, delete, replace, swap of neighbours (optimal string alignment). Case
 * counts half. */
#include "suggest.h"

#include <stdio.h>

enum { NAME_MAX_COMPARED = 64, EDIT = 2 /* one edit; another case alone costs 1 */ };

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance(struct bytes a, struct bytes b)
{
    unsigned rows[3][NAME_MAX_COMPARED + 1]; /* the two rows before the current one are enough */
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.n; j++)
        last[j] = j * EDIT;
    memset(before, 0, sizeof rows[0]);
    for (unsigned i = 1; i <= a.n; i++) {
        now[0] = i * EDIT;
        for (unsigned j = 1; j <= b.n; j++) {
            uint8_t x = a.p[i - 1], y = b.p[j - 1];
            unsigned differ = x == y ? 0 : lower(x) == lower(y) ? 1 : EDIT;
            now[j] = smaller(smaller(last[j], now[j - 1]) + EDIT, last[j - 1] + differ);
            if (i > 1 && j > 1 && x == b.p[j - 2] && y == a.p[i - 2])
                now[j] = smaller(now[j], before[j - 2] + EDIT);
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.n];
}

void suggest_offer(struct suggest *s, struct bytes name)
{
    if (s->want.n == 0 || s->want.n > NAME_MAX_COMPARED || name.n == 0 || name.n > NAME_MAX_COMPARED)
        return;
    unsigned d = distance(s->want, name);
    unsigned most = (unsigned)(s->want.n <= 3 ? 1 : s->want.n <= 8 ? 2 : 3) * EDIT; /* beyond that it is another word */
    if (d <= most && (s->best.n == 0 || d < s->distance)) {
        s->best = name;
        s->distance = d;
    }
}

const char *suggest_text(const struct suggest *s, char *out, size_t size)
{
    out[0] = '\0';
    if (s->best.n != 0)
        snprintf(out, size, " (did you mean \"%.*s\"?)", BYTES_FMT(s->best));
    return out;
}
