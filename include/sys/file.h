/* file.h - files whose content must survive a crash. Every function names the file in its error. Thread: any. */
#ifndef ROWTIDE_FILE_H
#define ROWTIDE_FILE_H

#include "buf.h"

/* Make `name` in dirfd hold exactly body, or keep its old content, across a crash: write name.tmp, fsync, rename,
 * fsync the directory (PostgreSQL fd.c durable_rename; fsync(2)). A failed fsync is final: the caller stops. mode e.g.
 * 0640. */
bool file_replace(int dirfd, const char *name, struct bytes body, unsigned mode, struct err *err);
/* Whole file into out (appended). ERR_IO; sys == ENOENT when missing. limit: larger is an error. */
bool file_read(int dirfd, const char *name, size_t limit, struct buf *out, struct err *err);
bool file_write_all(int fd, struct bytes b, const char *what, struct err *err); /* at the file's offset */
bool file_pwrite_all(int fd, struct bytes b, uint64_t off, const char *what, struct err *err); /* at off */
/* Exactly n bytes at off; a short file is ERR_CORRUPT "truncated". */
bool file_pread_all(int fd, void *p, size_t n, uint64_t off, const char *what, struct err *err);
bool file_sync(int fd, const char *what, struct err *err); /* fdatasync */
bool file_sync_dir(int dirfd, struct err *err);
bool file_remove(int dirfd, const char *name, struct err *err); /* missing is fine; does not fsync the directory */
bool file_size(int fd, uint64_t *out, const char *what, struct err *err);
/* An exclusive advisory lock (flock) on `name`, created if missing; held until the fd is closed or the process dies.
 * ERR_CONFIG "locked by pid N" when somebody else holds it (the holder's pid is written into the file). */
bool file_lock(int dirfd, const char *name, int *out_fd, struct err *err);
/* Opens a directory (created with mode 0750 when create is set, its parent must exist). */
bool file_open_dir(const char *path, bool create, int *out_fd, struct err *err);
/* Names in dirfd that end with suffix, sorted by strcmp; each malloc'd, the array too. */
bool file_list(int dirfd, const char *suffix, char ***out, size_t *n, struct err *err);
void file_list_free(char **names, size_t n);

#endif
