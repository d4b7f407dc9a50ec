/* tool.h - the commands of `rowtide`: each parses its own options and returns the exit code. */
#ifndef ROWTIDE_TOOL_H
#define ROWTIDE_TOOL_H

#include "opts.h"
#include "seg_reader.h"

int cmd_segment_dump(int argc, char **argv); /* argv[0] is the command's name */
int cmd_segment_verify(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_script_run(int argc, char **argv);
int cmd_slot_drop(int argc, char **argv);
int cmd_binlog_explain(int argc, char **argv);

/* Parses; on OPTS_EXIT or OPTS_BAD (reported on stderr) *code is what to return and the result is false. */
bool tool_parse(const struct opt_program *prog, int argc, char **argv, void *cfg, struct opt_list *args, int *code);
int tool_fail(const struct opt_program *prog, const struct err *e); /* prints the error; the exit code */
/* A reader that begins with the segment that holds lsn: at the start of a transaction, at or before lsn. */
bool tool_reader_at(const char *path, uint64_t lsn, struct seg_reader **out, struct err *err);
bool tool_flush(struct buf *b,
                struct err *err); /* writes b to standard output and empties it; a closed pipe is ERR_STOPPED */

#endif
