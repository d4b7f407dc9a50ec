/* xa_file.h - the files of prepared XA transactions under xa/ in a slot: the index, and one file of rows for each. Layout:
 * docs/segment-format.md, "Prepared transactions". The index is what counts: a row file that it does not name is the rest
 * of a crash. Thread: one owner; the index may be read while capture replaces it. */
#ifndef ROWTIDE_XA_FILE_H
#define ROWTIDE_XA_FILE_H

#include "frame.h"
#include "position.h"

#define XA_DIR "xa"
#define XA_INDEX "index"
#define XA_ROWS_SUFFIX ".rows" /* the name before it: 16 hex digits of the entry's number */

enum {
    XA_XID_MAX = 300,           /* bytes of an xid as text: X'<gtrid>',X'<bqual>',<format>, 64 bytes each */
    XA_ENTRIES_MAX = 65536,     /* prepared at once in one slot */
    XA_INDEX_LIMIT = 128 << 20, /* bytes of an index at most */
    XA_ROWS_NAME = 16 + 5 + 1   /* a row file's name */
};

struct xa_place {     /* where a transaction ended at the source */
    struct gtid gtid; /* none: by file and offset */
    char file[POSITION_FILE_MAX + 1];
    uint64_t offset;
};
/* Does the position contain what ended there? */
bool xa_place_in(const struct xa_place *p, const struct source_pos *pos);

struct xa_entry {
    uint64_t number; /* names its row file; never used again in a slot */
    char xid[XA_XID_MAX + 1];
    struct xa_place prepared, ended; /* ended: when is_ended */
    int64_t prepared_us;             /* at the source */
    uint64_t records, bytes;         /* in its row file; records 0: no captured table was touched, there is no file */
    bool is_ended;                   /* committed (it is in the log) or rolled back */
};
struct xa_index {
    uint8_t slot[16];
    uint64_t next_number; /* of the next entry */
    struct xa_entry *v;   /* in the order of XA PREPARE; owned */
    size_t n;
};
void xa_index_clear(struct xa_index *x);
bool xa_index_encode(const struct xa_index *x, struct buf *out, struct err *err); /* appends the file's bytes */
bool xa_index_decode(struct bytes in, struct xa_index *out, struct err *err);     /* ERR_CORRUPT */
/* Of the slot in slotfd. Without an index *out is empty, next_number 1. ERR_CORRUPT when it is another slot's. */
bool xa_index_read(int slotfd, const uint8_t slot[16], struct xa_index *out, struct err *err);

void xa_rows_name(uint64_t number, char out[XA_ROWS_NAME]);
/* The frame that a row file begins with. */
bool xa_rows_head(const uint8_t slot[16], uint64_t number, struct buf *out, struct err *err);
struct xa_rows; /* a row file being read */
/* fd: taken over, also by a failure. Checks that the file is this entry's, and as long as the index says. */
bool xa_rows_open(int fd, const uint8_t slot[16], const struct xa_entry *e, struct xa_rows **out, struct err *err);
void xa_rows_close(struct xa_rows *r); /* NULL is fine */
/* The next frame, only changes in it; the caller unrefs. NULL at the end, where all records must have come. ERR_CORRUPT. */
bool xa_rows_next(struct xa_rows *r, struct frame **out, struct err *err);

#endif
