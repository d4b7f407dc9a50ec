/* segment.h - one segment file: its header, its footer, reading its frames by offset. Layout: docs/segment-format.md. */
#ifndef ROWTIDE_SEGMENT_H
#define ROWTIDE_SEGMENT_H

#include "zblock.h"

#define SEGMENT_SUFFIX ".seg" /* the name before it: 16 hex digits of the first LSN */

enum {
    SEGMENT_VERSION = 1,
    SEGMENT_HEADER_MAX = 16 << 20, /* bytes; GTID sets can be long */
    SEGMENT_HEADER_FIXED = 80,     /* the part in front of the variable fields */
    SEGMENT_SEAL_AT = 10,          /* offset in the header of the two bytes that say whether it is sealed */
    SEGMENT_TRAILER_SIZE = 24
};

struct segment_header {
    uint8_t slot[16]; /* slot UUID */
    bool sealed;      /* this file ends with a footer; false: it still grows */
    uint64_t first_lsn;
    int64_t created_us;
    uint64_t changes_before, transactions_before; /* cumulative counts of the slot at first_lsn */
    char source[64];                              /* source identity: server_uuid, or "mariadb-<server_id>" */
    char source_version[64];
    struct source_pos start; /* full source position behind which this segment begins; owned */
};
void segment_name(uint64_t first_lsn, char out[24]);
/* What makes an open segment a sealed one when it stands at SEGMENT_SEAL_AT: the header's checksum does not count it. */
struct bytes segment_seal(void);
bool segment_parse_name(const char *name, uint64_t *first_lsn);
bool segment_header_encode(const struct segment_header *h, struct buf *out, struct err *err);
/* How long the header is, from its first 16 bytes or more: ERR_CORRUPT unless it is one and within SEGMENT_HEADER_MAX. */
bool segment_header_size(struct bytes in, size_t *size, struct err *err);
/* in: at least the header's bytes; *size what it took. Unknown incompat bits: ERR_UNSUPPORTED. */
bool segment_header_decode(struct bytes in, struct segment_header *out, size_t *size, struct err *err);
void segment_header_clear(struct segment_header *h);

struct segment_frame { /* one line of the footer's index, or found by scanning */
    uint64_t offset;
    uint8_t type;
    struct frame_info info;
    uint32_t stored_size, raw_size;
};
struct segment_footer {
    struct segment_frame *frames; /* DATA and POSITION frames in order */
    size_t nframes;
    struct relation_table relations;
    struct table_counts *counts;
    size_t ncounts;
    uint64_t next_lsn;              /* behind the last record */
    uint64_t changes, transactions; /* cumulative, at the end */
    struct source_pos end;          /* owned */
};
void segment_footer_clear(struct segment_footer *f);
/* Payloads of a ZB_FOOTER and a ZB_RELATIONS frame, and the trailer (all appended). A ZB_POSITION's payload is source_pos_encode. */
bool segment_footer_encode(const struct segment_footer *f, struct buf *out, struct err *err);
bool segment_footer_decode(struct bytes payload, struct segment_footer *out, struct err *err);
void segment_relations_encode(struct relation *const *rel, unsigned n, struct buf *out);
bool segment_relations_decode(struct bytes payload, struct relation_table *into, struct err *err);
void segment_trailer_encode(uint64_t footer_offset, struct buf *out);
bool segment_trailer_decode(struct bytes in, uint64_t *footer_offset, struct err *err);

/* An open file for reading; sealed or still growing. Not thread-safe. */
struct segment;
bool segment_open(int dirfd, const char *name, struct segment **out, struct err *err);
void segment_close(struct segment *s); /* NULL is fine */
const struct segment_header *segment_header(const struct segment *s);
const char *segment_file(const struct segment *s);
/* The footer (owned by s); NULL when the header says that the segment still grows. Sealed, but without a valid one: ERR_CORRUPT. */
bool segment_footer(struct segment *s, const struct segment_footer **out, struct err *err);
/* The frame header at off. *end: off is exactly the end of the file, or the footer is there (also that of a segment which was
 * open when s was opened): no more frames. A torn or invalid header: ERR_CORRUPT, the message names file and offset. */
bool segment_frame_at(struct segment *s, uint64_t off, struct segment_frame *out, bool *end, struct err *err);
uint64_t segment_first_offset(const struct segment *s);
uint64_t segment_next_offset(const struct segment_frame *f);
/* Reads, checks and decompresses a frame's payload (appended to out). */
bool segment_read(struct segment *s, const struct segment_frame *f, struct buf *out, struct err *err);
uint64_t segment_decompress_us(const struct segment *s); /* time that segment_read spent on it since segment_open */
/* Device and inode of the open file: tells whether a name still means it. */
bool segment_is_file(const struct segment *s, int dirfd);
/* Relations seen so far: grows as RELATIONS frames are passed to it, or whole from the footer. */
struct relation_table *segment_relations(struct segment *s);
bool segment_load_relations(struct segment *s, const struct segment_frame *f,
                            struct err *err); /* a ZB_RELATIONS frame, if not loaded yet */
bool position_frame_decode(struct bytes payload, struct source_pos *out,
                           struct err *err); /* ZB_POSITION: the full position */

#endif
