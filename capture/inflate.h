/* inflate.h - DEFLATE (libdeflate) for what MariaDB compresses: query texts, row events, column values. Bounded. */
#ifndef ROWTIDE_INFLATE_H
#define ROWTIDE_INFLATE_H

#include "bytes.h"

/* No server sends more in one piece: max_allowed_packet ends at 1 GiB. */
#define INFLATE_MAX ((size_t)1 << 30)

/* Is `n` a size that `in_n` bytes of DEFLATE can grow to, and one that we are ready to take? Ask before allocating. */
bool inflate_size_ok(size_t in_n, uint64_t n, struct err *err);
/* Inflates `in` to exactly n bytes. zlib: with zlib's header and checksum, else raw. ERR_CORRUPT. Each thread keeps
 * its own decompressor. */
bool inflate_exact(struct bytes in, bool zlib, uint8_t *out, size_t n, struct err *err);

#endif
