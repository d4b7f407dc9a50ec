/* lua_host.h - one subscription's script: loads it in a sandbox, calls transform / route handlers / ddl, turns answers
 * into rows.
 *
 * One Lua state, used by one thread (the transform stage). Limits: memory (default 16 MiB) and instructions per change,
 * which a script cannot catch. Errors are ERR_SCRIPT with script:line and what to do; the caller adds LSN, table and
 * key. Values cross without losing 64-bit integers, decimals, NULL vs absent (lua_value.h). Never does I/O for the
 * script. */
#ifndef ROWTIDE_LUA_HOST_H
#define ROWTIDE_LUA_HOST_H

#include "batch.h"
#include "ddl.h"

struct lua_host;
struct lua_host_options {
    size_t memory_limit;                      /* bytes; 0: 16 MiB */
    uint64_t step_limit;                      /* VM instructions per call; 0: 10 million */
    void (*log)(void *ctx, const char *line); /* print() of the script; NULL: slog debug */
    void *log_ctx;
};
/* path: the script; text: its content when not NULL (tests). */
bool lua_host_open(const char *path, const char *text, const struct lua_host_options *o, struct shape_table *shapes,
                   struct lua_host **out, struct err *err);
void lua_host_close(struct lua_host *h);             /* NULL is fine */
const char *lua_host_hash(const struct lua_host *h); /* hex SHA-256 of the script, stored with progress */
/* Has a handler for this relation (route "schema.table", or transform). Cheap: cached per relation. */
bool lua_host_wants(struct lua_host *h, const struct relation *r);

bool lua_host_has_ddl(const struct lua_host *h); /* there is a ddl(e) to ask */

struct lua_change {              /* what the script sees besides the values */
    const struct record *rec;    /* INSERT UPDATE DELETE: rec->u.change; TRUNCATE: rec->u.ddl */
    const struct batch_txn *txn; /* gtid, commit_us */
};
/* INSERT, UPDATE, DELETE: only when lua_host_wants its relation. TRUNCATE: always; without a handler it passes
 * unchanged. Runs the handler for one change and appends what results to b (0..n rows; the change itself first, emitted
 * rows behind it). For an update whose key, route or fate the script decides, also runs it on the old image and splits
 * (design.md, Apply). */
bool lua_host_change(struct lua_host *h, const struct lua_change *c, struct batch *b, struct err *err);
enum ddl_answer { DDL_DEFAULT /* no ddl(), or it returned e */, DDL_DROPPED, DDL_SQL, DDL_PAUSE };
/* Calls ddl(e) if there is one: e.kind e.table e.schema e.sql e.columns e.lsn. sql in b's arena. */
bool lua_host_ddl(struct lua_host *h, const struct record *rec, const struct ddl *parsed, struct batch *b,
                  enum ddl_answer *answer, struct bytes *sql, struct err *err);
size_t lua_host_memory(const struct lua_host *h);

#endif
