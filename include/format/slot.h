/* slot.h - a slot's directory: identity, lock, `state`, registered subscriptions, retention. Layout: docs/segment-format.md.
 *
 *   <16 hex digits>.seg   segments, named by their first LSN; the last one is open, the others are sealed
 *   state                 two alternating 4 KiB copies, checksummed, written in place by capture after each fsync
 *   NAME.sub              one registered subscription: written by its applier (file_replace), read by capture and status
 *   NAME.lost             capture's durable mark that the subscription was overtaken by retention; it then refuses to start
 *   lock                  held by the one writer
 *
 * Thread: one owner, except slot_state_read and slot_subs_list, which take the directory and keep nothing. */
#ifndef ROWTIDE_SLOT_H
#define ROWTIDE_SLOT_H

#include "segment.h"

#define SLOT_NAME_MAX 63 /* subscription names: [A-Za-z0-9_.-], not starting with a dot or dash */

struct slot_state {
    uint8_t slot[16];
    uint64_t run;                   /* number of this capture run, from 1 */
    uint64_t sequence;              /* of this write; the higher of the two valid copies counts */
    uint64_t flushed_lsn;           /* the last commit that is durable; readers never go past it */
    uint64_t changes, transactions; /* cumulative at flushed_lsn */
    int64_t heartbeat_us; /* when capture last heard from the source (an event or heartbeat), wall clock of this host */
    int64_t written_us;   /* when this state was written */
    int64_t clock_offset_us;   /* source's clock minus ours, measured */
    int64_t flushed_commit_us; /* commit time of flushed_lsn's transaction; 0 none */
    bool streaming;            /* connected to the source now */
    char source[64];           /* source identity */
    struct source_pos pos;     /* owned; gtids NULL when the set does not fit (the log has it) */
};
void slot_state_clear(struct slot_state *s);

struct slot;
enum slot_mode { SLOT_READ, SLOT_WRITE /* takes the lock */, SLOT_CREATE /* and creates what is missing */ };
/* A directory without `state` and segments is no slot: ERR_CONFIG, unless SLOT_CREATE makes it one (a new UUID). Segments without a
 * valid `state`: ERR_CORRUPT for SLOT_READ; a writer goes on with what the segments say, logged, the flushed LSN unknown. */
bool slot_open(const char *path, enum slot_mode mode, struct slot **out, struct err *err);
void slot_close(struct slot *s); /* NULL is fine; releases the lock */
int slot_dirfd(const struct slot *s);
const char *slot_path(const struct slot *s);
const uint8_t *slot_uuid(const struct slot *s); /* 16 bytes */
/* ERR_CORRUPT when neither copy is valid after a few re-reads (the writer may be in between); ERR_FENCED when the directory now
 * holds another slot. */
bool slot_state_read(const struct slot *s, struct slot_state *out, struct err *err);
/* Sets slot, sequence, written_us, and run where it is 0. No fsync: after a power loss an older state may be there, never a wrong one. */
bool slot_state_write(struct slot *s, struct slot_state *st, struct err *err);
uint64_t slot_run(const struct slot *s); /* number of this run: one more than the last one's. SLOT_WRITE */
/* A writer only: no valid `state` was found, so flushed_lsn says nothing. */
bool slot_state_lost(const struct slot *s);

struct slot_segment {
    uint64_t first_lsn;
    char name[24];
};
/* Sorted by first LSN. The array is malloc'd. */
bool slot_segments(const struct slot *s, struct slot_segment **out, size_t *n, struct err *err);

struct slot_sub { /* one registered subscription */
    char name[SLOT_NAME_MAX + 1];
    bool lost;
    uint64_t confirmed_lsn;         /* the destination is durable up to here */
    int64_t confirmed_commit_us;    /* commit time of that transaction at the source */
    uint64_t changes, transactions; /* cumulative counts of the slot at confirmed_lsn, 0 if unknown */
    int64_t registered_us, updated_us;
    uint64_t applied_changes; /* by this subscription, as its destination counts them */
    char state[16];           /* "streaming", "catchup", "stopped", "error" */
    char destination[128];    /* kind and place, no secrets (I10): "postgresql app@127.0.0.1:5432/crm" */
    char error[512];          /* why it stopped, "" if not */
};
bool slot_sub_name_ok(const char *name);
bool slot_subs_list(const struct slot *s, struct slot_sub **out, size_t *n, struct err *err);
bool slot_sub_read(const struct slot *s, const char *name, struct slot_sub *out, bool *found, struct err *err);
bool slot_sub_write(const struct slot *s, struct slot_sub *sub,
                    struct err *err); /* registers or updates; durable; sets updated_us */
bool slot_sub_drop(const struct slot *s, const char *name, bool *found,
                   struct err *err); /* the explicit end of a registration */
bool slot_sub_mark_lost(const struct slot *s, const char *name, const char *why, struct err *err);

struct slot_retention {
    unsigned reserve_percent; /* of the filesystem that stays free */
    uint64_t max_bytes;       /* 0: no limit */
};
/* Removes sealed segments that every registered subscription has confirmed (none registered: nothing). When the filesystem has less
 * than the reserve free, or the slot is larger than max_bytes, marks the laggards lost (logged) and removes oldest-first what
 * then may go; never the open segment. removed: how many. */
bool slot_retain(struct slot *s, const struct slot_retention *r, size_t *removed, struct err *err);

#endif
