/* crc32c.c - CRC-32C: polynomial 0x1EDC6F41, reflected 0x82F63B78, start and end inverted (RFC 3720 section 12.1 and
 * appendix B.4, which also has the test vectors). Two ways to the same number: the crc32 instruction of SSE4.2 (Intel
 * SDM volume 2, CRC32), or eight tables that take eight bytes a step. */
#include "crc32c.h"

#include <stdatomic.h>

static uint32_t table[8][256];

__attribute__((constructor)) static void fill_tables(void) /* before main, so that no thread needs a lock */
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (0x82F63B78u & (0u - (c & 1)));
        table[0][i] = c;
    }
    for (size_t k = 1; k < 8; k++)
        for (size_t i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xFF];
}

uint32_t crc32c_portable(uint32_t crc, struct bytes b)
{
    const uint8_t *p = b.p;
    size_t n = b.n;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t lo = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = table[7][lo & 0xFF] ^ table[6][lo >> 8 & 0xFF] ^ table[5][lo >> 16 & 0xFF] ^ table[4][lo >> 24] ^
              table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n > 0; n--)
        crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, struct bytes b)
{
    const uint8_t *p = b.p;
    size_t n = b.n;
    uint64_t c = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, 8); /* unaligned is fine here, undefined through a cast */
        c = _mm_crc32_u64(c, v);
    }
    uint32_t c32 = (uint32_t)c;
    for (; n > 0; n--)
        c32 = _mm_crc32_u8(c32, *p++);
    return ~c32;
}

uint32_t crc32c(uint32_t crc, struct bytes b)
{
    static atomic_int usable; /* 0: not asked yet; every thread would find the same answer */
    int u = atomic_load_explicit(&usable, memory_order_relaxed);
    if (u == 0) {
        u = __builtin_cpu_supports("sse4.2") ? 1 : -1;
        atomic_store_explicit(&usable, u, memory_order_relaxed);
    }
    return u > 0 ? by_instruction(crc, b) : crc32c_portable(crc, b);
}
#else
uint32_t crc32c(uint32_t crc, struct bytes b)
{
    return crc32c_portable(crc, b);
}
#endif
