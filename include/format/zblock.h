/* zblock.h - the envelope around everything in a segment behind its header: type, sizes, LSNs, zstd, CRC-32C of header and
 * payload. Layout: docs/segment-format.md, "Frame header". No files. */
#ifndef ROWTIDE_ZBLOCK_H
#define ROWTIDE_ZBLOCK_H

#include "buf.h"
#include "frame.h"

enum zblock_type {
    ZB_DATA = 1,
    ZB_POSITION = 2,
    ZB_RELATIONS = 3,
    ZB_FOOTER = 4,
    ZB_SCHEMA = 5,
    ZB_XA_INDEX = 6, /* these two under xa/ only */
    ZB_XA_ROWS = 7
};
enum { ZB_HEADER_SIZE = 80, ZB_RAW_MAX = FRAME_RAW_MAX, ZB_INCOMPAT_TYPES = 0x80 };

struct zblock {
    uint8_t type;
    uint32_t stored_size, raw_size;
    uint32_t payload_crc; /* of the stored bytes */
    bool compressed;
    uint32_t stored_tail;   /* bytes of the payload's end that are not */
    struct frame_info info; /* DATA; for the others first_lsn is the LSN of the next record, the rest 0 */
};
struct zcodec; /* reusable compression and decompression contexts; one per thread */
struct zcodec *zcodec_new(void);
void zcodec_free(struct zcodec *z);
/* Appends header and stored payload to out. Compresses with zstd level 1 unless that does not help. */
bool zblock_write(struct zcodec *z, uint8_t type, const struct frame_info *info, struct bytes payload, struct buf *out,
                  struct err *err);
/* The same, never compressed: byte for byte the same everywhere, whatever zstd's version (the documentation's example). */
bool zblock_write_stored(uint8_t type, const struct frame_info *info, struct bytes payload, struct buf *out,
                         struct err *err);
/* Header only (ZB_HEADER_SIZE bytes): magic, CRC, limits. ERR_CORRUPT; ERR_UNSUPPORTED for a kind that a newer version wrote.
 * A type below ZB_INCOMPAT_TYPES that is not in enum zblock_type is fine: skip the frame by its length. */
bool zblock_parse(struct bytes head, struct zblock *out, struct err *err);
/* Checks the stored payload's CRC and decompresses it; appends exactly raw_size bytes to out. stored has h->stored_size
 * bytes. ERR_CORRUPT. */
bool zblock_open(struct zcodec *z, const struct zblock *h, struct bytes stored, struct buf *out, struct err *err);

#endif
