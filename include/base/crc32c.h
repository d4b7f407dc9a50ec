/* crc32c.h - CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of segments and of `state`. */
#ifndef ROWTIDE_CRC32C_H
#define ROWTIDE_CRC32C_H

#include "bytes.h"

/* Start with crc 0; feed pieces in order. Uses the CPU's crc32 instruction where there is one. */
uint32_t crc32c(uint32_t crc, struct bytes b);
uint32_t crc32c_portable(uint32_t crc, struct bytes b); /* the same without that instruction */

#endif
