/* binlog_files.h - binlog files as a source: the raw events of several files in order, as a server would send them that
 * has no others.
 *
 * A server's dump is imitated where binlog_stream relies on it: an artificial ROTATE announces each file (with its
 * 64-bit offset), FORMAT_DESCRIPTION comes first, transactions that the position has are left out by GTID, and a
 * heartbeat says how far that went. Without GTIDs it begins at file and offset. Not thread-safe. */
#ifndef ROWTIDE_BINLOG_FILES_H
#define ROWTIDE_BINLOG_FILES_H

#include "binlog_client.h"

struct binlog_files;
/* Opens all files and reads the beginning: which server wrote them, whether by GTIDs. ERR_CONFIG, ERR_IO, and what
 * binlog_file_open says. paths: copied. */
bool binlog_files_open(const char *const *paths, size_t n, uint64_t max_event, struct binlog_files **out,
                       struct err *err);
void binlog_files_close(struct binlog_files *f); /* NULL is fine */
/* As struct source_pos has it: "mariadb-7"; MySQL, whose files do not hold the server's UUID: "mysql-7". */
const char *binlog_files_server(const struct binlog_files *f);
const char *binlog_files_version(const struct binlog_files *f); /* of the first file's server: "9.7.4" */
/* --start: earliest (the beginning of the first file; also when NULL), gtid:SET or file:NAME:POS. ERR_CONFIG. */
bool binlog_files_start(struct binlog_files *f, const char *start, struct source_pos *out, struct err *err);
/* What follows `from`. ERR_LOST when no file holds it, ERR_CONFIG. */
bool binlog_files_dump(struct binlog_files *f, const struct source_pos *from, struct err *err);
/* After binlog_files_dump. FETCH_END: the end of the last file. The view is valid until the next call. */
enum fetch_result binlog_files_fetch(struct binlog_files *f, struct bytes *event, struct err *err);

#endif
