/* test_position.c - source positions as bytes and text. */
#include "unit.h"

#include "position.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static void test_round_trip(void)
{
    static const struct {
        enum gtid_flavor f;
        const char *gtids, *server, *file;
        uint64_t offset;
        const char *text;
    } cases[] = {
        { GTID_MYSQL, A ":1-5", A, "mysql-bin.000003", 1234, A ":1-5 mysql-bin.000003:1234 (" A ")" },
        { GTID_MARIADB, "0-1-42", "mariadb-7", "", 0, "0-1-42 (mariadb-7)" },
        { GTID_MYSQL, "", "", "b.1", 5000000000, "b.1:5000000000" },
        { GTID_NONE, NULL, A, "b.1", 4, "b.1:4 (" A ")" },
        { GTID_NONE, NULL, "", "", 0, "(nowhere)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct source_pos p = { .flavor = cases[i].f, .offset = cases[i].offset }, copy, back;
        struct err e = { 0 };
        struct buf b = { 0 };
        if (cases[i].gtids != NULL)
            CHECK(gtid_set_parse(cases[i].f, bytes_str(cases[i].gtids), &p.gtids, &e), "%s", e.msg);
        snprintf(p.server, sizeof p.server, "%s", cases[i].server);
        snprintf(p.file, sizeof p.file, "%s", cases[i].file);
        CHECK(source_pos_copy(&p, &copy, &e), "%s", e.msg);
        source_pos_encode(&copy, &b);
        buf_u8(&b, 0x55); /* what follows is not ours */
        struct cur c = cur_over(buf_view(&b));
        bool ok = source_pos_decode(&c, &back, &e);
        CHECK(ok && cur_left(&c) == 1, "case %zu: %s", i, e.msg);
        if (ok) {
            CHECK(back.flavor == p.flavor && strcmp(back.server, p.server) == 0 && strcmp(back.file, p.file) == 0 &&
                      back.offset == p.offset && (back.gtids != NULL) == (p.gtids != NULL) &&
                      (p.gtids == NULL || gtid_set_eq(back.gtids, p.gtids)),
                  "case %zu does not come back", i);
            source_pos_clear(&back);
        }
        for (size_t n = 0; n + 1 < b.n; n++) {
            uint8_t *cut = malloc(n == 0 ? 1 : n);
            memcpy(cut, b.p, n);
            c = cur_over((struct bytes){ cut, n });
            CHECK(!source_pos_decode(&c, &back, &e) && e.code == ERR_CORRUPT, "case %zu: accepted %zu bytes", i, n);
            free(cut);
        }
        struct buf text = { 0 };
        source_pos_text(&p, &text);
        CHECK(strcmp(buf_cstr(&text), cases[i].text) == 0, "want \"%s\", got \"%s\"", cases[i].text, buf_cstr(&text));
        buf_free(&text);
        buf_free(&b);
        source_pos_clear(&copy);
        source_pos_clear(&p);
        CHECK(p.gtids == NULL && p.offset == 0, "not cleared");
    }
}

static void test_limits(void)
{
    struct source_pos p = { .flavor = GTID_MYSQL }, back; /* no set yet: the empty one */
    struct buf b = { 0 };
    struct err e = { 0 };
    memset(p.file, 'f', POSITION_FILE_MAX);
    memset(p.server, 's', sizeof p.server - 1);
    source_pos_encode(&p, &b);
    struct cur c = cur_over(buf_view(&b));
    CHECK(source_pos_decode(&c, &back, &e), "longest names: %s", e.msg);
    CHECK(back.flavor == GTID_MYSQL && back.gtids != NULL && gtid_set_empty(back.gtids), "not the empty set");
    source_pos_clear(&back);
    static const struct {
        size_t server, file;
        uint8_t fill;
    } bad[] = { { 64, 1, 'x' }, { 1, 256, 'x' }, { 1, 3, 0 } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t name[300];
        memset(name, bad[i].fill, sizeof name);
        buf_reset(&b);
        buf_u8(&b, GTID_NONE);
        buf_blob(&b, (struct bytes){ name, bad[i].server });
        buf_blob(&b, (struct bytes){ name, bad[i].file });
        buf_varint(&b, 4);
        c = cur_over(buf_view(&b));
        CHECK(!source_pos_decode(&c, &back, &e), "accepted bad names %zu", i);
    }
    buf_free(&b);
}

int main(void)
{
    test_round_trip();
    test_limits();
    return UNIT_END();
}
