/* append_file.h - a file that is written at its end only. Bytes are held back until a stage of 256 KiB is full; a full stage goes to the
 * disk past the page cache (O_DIRECT) where the filesystem can, what is left at a flush goes through it.
 *
 * Why: a log that is written faster than it is read takes pages from the page cache of the machine beside which it runs, and
 * taking and copying them costs more CPU than anything else of writing. What comes in small pieces is what a reader waits for: it
 * stays in the cache. Nothing that was flushed is ever written again. Not thread-safe. */
#ifndef ROWTIDE_APPEND_FILE_H
#define ROWTIDE_APPEND_FILE_H

#include "file.h"

struct append_file;
/* An existing file, at its end. name is copied, for errors; dirfd is used here only. */
bool append_file_open(int dirfd, const char *name, struct append_file **out, struct err *err);
/* Flushes, unless a write or a sync failed: nothing is written behind that. f is gone in any case. NULL is fine. */
bool append_file_close(struct append_file *f, struct err *err);
uint64_t append_file_end(const struct append_file *f); /* the file's size, with what is held back */
/* ERR_IO, as of all that follow: then what the file holds is not known. A write that was held back fails at a later call. */
bool append_file_write(struct append_file *f, struct bytes b, struct err *err);
bool append_file_flush(struct append_file *f,
                       struct err *err); /* nothing is held back: readers of the file see all of it */
bool append_file_sync(struct append_file *f, struct err *err); /* durable: fdatasync of what was flushed */
/* The file ends at end, which is not behind its end, and later writes begin there. Durable. */
bool append_file_cut(struct append_file *f, uint64_t end, struct err *err);
/* Bytes that stand, before the end, become b: in the file at once, durable with the next sync. */
bool append_file_patch(struct append_file *f, uint64_t at, struct bytes b, struct err *err);
/* Exactly n bytes at off, which were flushed. */
bool append_file_read(struct append_file *f, void *p, size_t n, uint64_t off, struct err *err);

#endif
