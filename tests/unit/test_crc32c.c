/* test_crc32c.c - vectors of RFC 3720 appendix B.4 (there as bytes in transmission order), and both ways against a
 * bitwise one. */
#include "crc32c.h"
#include "unit.h"

static uint32_t bitwise(struct bytes b) /* the definition: reflected polynomial 0x82F63B78 */
{
    uint32_t c = 0xFFFFFFFF;
    for (size_t i = 0; i < b.n; i++) {
        c ^= b.p[i];
        for (int k = 0; k < 8; k++)
            c = (c & 1) != 0 ? c >> 1 ^ 0x82F63B78u : c >> 1;
    }
    return ~c;
}

int main(void)
{
    uint8_t zeros[32], ones[32], up[32], down[32];
    for (size_t i = 0; i < 32; i++) {
        zeros[i] = 0;
        ones[i] = 0xFF;
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    struct bytes iscsi = unhex("01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018"
                               "28000000 00000000 02000000 00000000");
    const struct {
        const char *name;
        struct bytes in;
        uint32_t want;
    } cases[] = {
        { "empty", { NULL, 0 }, 0 },
        { "32 zeros", { zeros, 32 }, 0x8A9136AA },
        { "32 ones", { ones, 32 }, 0x62A8AB43 },
        { "incrementing", { up, 32 }, 0x46DD794E },
        { "decrementing", { down, 32 }, 0x113FDB5C },
        { "iSCSI read command", iscsi, 0xD9963A56 },
        { "check string", BYTES_LIT("123456789"), 0xE3069283 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t a = crc32c(0, cases[i].in), b = crc32c_portable(0, cases[i].in);
        CHECK(a == cases[i].want && b == cases[i].want, "%s: want %08x, got %08x and %08x", cases[i].name,
              cases[i].want, a, b);
    }
    free((void *)(uintptr_t)iscsi.p);

    uint8_t *data = malloc(300);
    uint32_t x = 1;
    for (size_t i = 0; i < 300; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = (uint8_t)(x >> 24);
    }
    for (size_t start = 0; start < 9; start++)
        for (size_t n = 0; n + start <= 300; n++) {
            struct bytes b = bytes_of(data + start, n);
            uint32_t want = bitwise(b);
            uint32_t parts = crc32c(crc32c(0, bytes_of(b.p, n / 3)), bytes_of(b.p + n / 3, n - n / 3));
            if (crc32c(0, b) != want || crc32c_portable(0, b) != want || parts != want)
                CHECK(false, "start %zu, %zu bytes", start, n);
        }
    CHECK(crc32c(0, bytes_of(data, 300)) == bitwise(bytes_of(data, 300)), "300 bytes");
    free(data);
    return UNIT_END();
}
