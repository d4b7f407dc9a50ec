/* binlog_file.h - one binlog file of a server, read event by event without the server.
 *
 * Offsets are those of the file, 64 bits. Checks what holds for the file as a whole: the magic, that nothing is
 * encrypted, that each event lies within the file; checksums and contents are the caller's question
 * (binlog_event_parse). A file that is still being written, or whose server crashed, is marked as in use and may end
 * inside an event: that is an end, not damage. Not thread-safe. */
#ifndef ROWTIDE_BINLOG_FILE_H
#define ROWTIDE_BINLOG_FILE_H

#include "binlog_event.h"

enum { BINLOG_FILE_FIRST = 4 /* where the first event of every file begins */ };

struct binlog_file;
/* max_event: bytes; a larger one is ERR_UNSUPPORTED. ERR_IO: cannot be read (sys: errno); ERR_CONFIG: a directory, a pipe, not a
 * regular file, which it never waits for; ERR_CORRUPT: no binlog file;
 * ERR_UNSUPPORTED: encrypted by MySQL. */
bool binlog_file_open(const char *path, uint64_t max_event, struct binlog_file **out, struct err *err);
void binlog_file_close(struct binlog_file *f); /* NULL is fine */

enum binlog_file_step { BINLOG_FILE_EVENT, BINLOG_FILE_END, BINLOG_FILE_FAIL };
/* The next whole event, with its header and checksum; valid until the next call. At the end binlog_file_torn says
 * whether a part of an event follows. ERR_CORRUPT: not an event, or cut off in a file that is not in use;
 * ERR_UNSUPPORTED: what follows is encrypted (MariaDB). Errors name file:offset. */
enum binlog_file_step binlog_file_next(struct binlog_file *f, struct bytes *event, struct err *err);
/* Goes to the event that begins at offset, which may be the end of the file. Reads headers from the start, so that
 * FORMAT_DESCRIPTION is known and a place inside an event is found out: ERR_CONFIG. visit, when given, sees each event
 * that is passed over, and may fail. */
typedef bool binlog_file_visit(void *ctx, struct bytes event, uint64_t at, struct err *err);
bool binlog_file_seek(struct binlog_file *f, uint64_t offset, binlog_file_visit *visit, void *ctx, struct err *err);

uint64_t binlog_file_at(const struct binlog_file *f);      /* where the latest event began */
uint64_t binlog_file_end(const struct binlog_file *f);     /* where it ended: the next one begins there */
uint64_t binlog_file_torn(const struct binlog_file *f);    /* at the end: bytes of an unfinished event; 0 none */
const char *binlog_file_name(const struct binlog_file *f); /* without directories, as the server calls it */
/* What the latest FORMAT_DESCRIPTION said; not known before it came or when it cannot be read. */
const struct binlog_format *binlog_file_format(const struct binlog_file *f);

#endif
