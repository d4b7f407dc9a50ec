/* fuzz_gtid.c - any bytes as GTID text, as the server's encoding, as our packed form, as a position. The first byte picks. */
#include "position.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A set that was accepted survives every way of writing it. */
static void check(const struct gtid_set *s)
{
    struct buf b = { 0 };
    struct err e = { 0 };
    struct gtid_set *back = NULL;
    gtid_set_text(s, &b);
    if (!gtid_set_parse(gtid_set_flavor(s), buf_view(&b), &back, &e) || !gtid_set_eq(s, back))
        abort();
    gtid_set_free(back);
    buf_reset(&b);
    gtid_set_pack(s, &b);
    struct cur c = cur_over(buf_view(&b));
    if (!gtid_set_unpack(&c, &back, &e) || cur_left(&c) != 0)
        abort();
    if (gtid_set_flavor(s) != GTID_NONE && !gtid_set_eq(s, back))
        abort();
    gtid_set_free(back);
    if (gtid_set_flavor(s) == GTID_MYSQL) {
        buf_reset(&b);
        if (!gtid_set_encode(s, gtid_set_has_tags(s), &b, &e) || !gtid_set_decode(buf_view(&b), &back, &e) ||
            !gtid_set_eq(s, back))
            abort();
        gtid_set_free(back);
    }
    if (!gtid_set_subtract(s, s, &back, &e) || !gtid_set_empty(back) || !gtid_set_subset(s, s))
        abort();
    gtid_set_free(back);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = { 0 };
    struct gtid_set *s = NULL;
    struct gtid g;
    if (size == 0)
        return 0;
    struct bytes in = bytes_of(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        if (gtid_set_parse(GTID_MYSQL, in, &s, &e))
            check(s);
        break;
    case 1:
        if (gtid_set_parse(GTID_MARIADB, in, &s, &e))
            check(s);
        break;
    case 2:
        if (gtid_set_decode(in, &s, &e))
            check(s);
        break;
    case 3: {
        struct cur c = cur_over(in);
        if (gtid_set_unpack(&c, &s, &e) && s != NULL)
            check(s);
        break;
    }
    case 4: {
        struct cur c = cur_over(in);
        struct source_pos p, again;
        struct buf b = { 0 }, b2 = { 0 };
        if (source_pos_decode(&c, &p, &e)) { /* sources may come in any order: what we write of it is a fixed point */
            source_pos_encode(&p, &b);
            struct cur c2 = cur_over(buf_view(&b));
            if (!source_pos_decode(&c2, &again, &e) || cur_left(&c2) != 0)
                abort();
            source_pos_encode(&again, &b2);
            if (!bytes_eq(buf_view(&b), buf_view(&b2)))
                abort();
            source_pos_text(&p, &b);
            source_pos_clear(&p);
            source_pos_clear(&again);
        }
        buf_free(&b);
        buf_free(&b2);
        break;
    }
    default:
        if (gtid_parse(in, &g, &e)) {
            struct buf b = { 0 };
            struct gtid again;
            gtid_text(&g, &b);
            if (!gtid_parse(buf_view(&b), &again, &e) || !gtid_eq(&g, &again))
                abort();
            buf_free(&b);
        }
        break;
    }
    gtid_set_free(s);
    return 0;
}
