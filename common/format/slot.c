/* slot.c - a slot's directory: its identity, its lock, `state` (docs/segment-format.md, "State"). */
#include "slot.h"

#include "clock.h"
#include "crc32c.h"
#include "file.h"
#include "slog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static const uint8_t state_magic[8] = { 'R', 'W', 'T', 'D', 'S', 'T', 'A', 'T' };
enum { STATE_VERSION = 1, STATE_COPY = 4096, STATE_READS = 5 };
enum { STATE_STREAMING = 1, STATE_GTIDS_OMITTED = 2 };

struct slot {
    int dirfd, lock_fd, state_fd;
    char *path;
    uint8_t uuid[16];
    uint64_t sequence, run;
    bool state_lost;
};

void slot_state_clear(struct slot_state *s)
{
    source_pos_clear(&s->pos);
    *s = (struct slot_state){ 0 };
}

/* --- state as bytes --- */

static bool state_encode_as(const struct slot_state *s, bool omit_gtids, struct buf *out)
{
    struct source_pos pos = s->pos; /* a view: nothing of it is freed here */
    if (omit_gtids) {
        pos.flavor = GTID_NONE;
        pos.gtids = NULL;
    }
    buf_reset(out);
    buf_put(out, state_magic, sizeof state_magic);
    buf_le(out, STATE_VERSION, 2);
    buf_le(out, 0, 2);
    size_t size_at = out->n;
    buf_le(out, 0, 4);
    buf_put(out, s->slot, sizeof s->slot);
    buf_le(out, s->run, 8);
    buf_le(out, s->sequence, 8);
    buf_le(out, s->flushed_lsn, 8);
    buf_le(out, s->changes, 8);
    buf_le(out, s->transactions, 8);
    buf_le(out, (uint64_t)s->heartbeat_us, 8);
    buf_le(out, (uint64_t)s->written_us, 8);
    buf_le(out, (uint64_t)s->clock_offset_us, 8);
    buf_le(out, (uint64_t)s->flushed_commit_us, 8);
    buf_le(out, (s->streaming ? STATE_STREAMING : 0u) | (omit_gtids ? STATE_GTIDS_OMITTED : 0u), 2);
    buf_u8(out, (uint8_t)s->pos.flavor);
    buf_le(out, 0, 5);
    buf_blob(out, bytes_str(s->source));
    source_pos_encode(&pos, out);
    if (out->failed)
        return false;
    size_t size = out->n + 4;
    for (size_t i = 0; i < 4; i++)
        out->p[size_at + i] = (uint8_t)(size >> (8 * i));
    buf_le(out, crc32c(0, buf_view(out)), 4);
    return !out->failed;
}

static bool state_encode(const struct slot_state *s, struct buf *out, struct err *err)
{
    bool omit = s->pos.flavor != GTID_NONE && s->pos.gtids == NULL;
    if (!state_encode_as(s, omit, out))
        return err_nomem(err);
    if (out->n > STATE_COPY &&
        !state_encode_as(s, true, out)) /* the log has the whole set; without it, it always fits */
        return err_nomem(err);
    assert(out->n <= STATE_COPY);
    return true;
}

static bool state_decode(struct bytes in, struct slot_state *out, struct err *err)
{
    struct slot_state s = { 0 };
    struct cur c = cur_over(in);
    struct bytes m = cur_take(&c, sizeof state_magic);
    uint64_t version = cur_le(&c, 2);
    cur_le(&c, 2);
    uint64_t size = cur_le(&c, 4);
    if (c.why != NULL || m.p == NULL || memcmp(m.p, state_magic, sizeof state_magic) != 0)
        return err_set(err, ERR_CORRUPT, "state: no magic number");
    if (size < cur_at(&c) + 4 || size > in.n)
        return err_set(err, ERR_CORRUPT, "state: size out of range");
    struct cur crc = cur_over(bytes_of(in.p + size - 4, 4));
    if (crc32c(0, bytes_of(in.p, (size_t)size - 4)) != (uint32_t)cur_le(&crc, 4))
        return err_set(err, ERR_CORRUPT, "state: checksum mismatch");
    if (version != STATE_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "state: version %llu: written by a newer version",
                       (unsigned long long)version);
    c.end = in.p + size - 4;
    struct bytes slot = cur_take(&c, sizeof s.slot);
    if (c.why == NULL)
        memcpy(s.slot, slot.p, slot.n);
    s.run = cur_le(&c, 8);
    s.sequence = cur_le(&c, 8);
    s.flushed_lsn = cur_le(&c, 8);
    s.changes = cur_le(&c, 8);
    s.transactions = cur_le(&c, 8);
    s.heartbeat_us = (int64_t)cur_le(&c, 8);
    s.written_us = (int64_t)cur_le(&c, 8);
    s.clock_offset_us = (int64_t)cur_le(&c, 8);
    s.flushed_commit_us = (int64_t)cur_le(&c, 8);
    uint64_t flags = cur_le(&c, 2);
    uint8_t flavor = cur_u8(&c);
    cur_take(&c, 5);
    struct bytes source = cur_blob(&c);
    if (source.n >= sizeof s.source || flavor > GTID_MARIADB)
        cur_fail(&c, "source or GTID flavour out of range");
    if (c.why == NULL && source.n != 0)
        memcpy(s.source, source.p, source.n);
    s.streaming = (flags & STATE_STREAMING) != 0;
    if (!cur_ok(&c, "state", err) || !source_pos_decode(&c, &s.pos, err))
        return false;
    if (!cur_finish(&c, "state", err)) {
        slot_state_clear(&s);
        return false;
    }
    if ((flags & STATE_GTIDS_OMITTED) != 0)
        s.pos.flavor = (enum gtid_flavor)flavor;
    *out = s;
    return true;
}

/* The newer valid copy of `state`. ERR_IO with sys ENOENT: there is none. */
static bool state_read(int dirfd, struct slot_state *out, struct err *err)
{
    struct buf b = { 0 };
    bool found = false;
    for (int try = 0; try < STATE_READS && !found; try++) {
        if (try > 0)
            clock_sleep_ms(2); /* the writer was between two pages of a copy, twice in a row: wait for it */
        buf_reset(&b);
        if (!file_read(dirfd, "state", 2 * (size_t)STATE_COPY, &b, err))
            break;
        struct slot_state st = { 0 };
        for (size_t off = 0; off < b.n; off += STATE_COPY) {
            if (!state_decode(bytes_of(b.p + off, b.n - off < STATE_COPY ? b.n - off : STATE_COPY), &st, err))
                continue;
            if (!found || st.sequence > out->sequence) {
                if (found)
                    slot_state_clear(out);
                *out = st;
                found = true;
            } else {
                slot_state_clear(&st);
            }
        }
        if (!found && b.n == 0)
            err_set(err, ERR_CORRUPT, "state: empty");
    }
    buf_free(&b);
    return found;
}

bool slot_state_read(const struct slot *s, struct slot_state *out, struct err *err)
{
    struct slot_state st;
    if (!state_read(s->dirfd, &st, err))
        return err_ctx(err, "slot %s", s->path);
    if (memcmp(st.slot, s->uuid, sizeof s->uuid) != 0) {
        char was[37], is[37];
        uuid_text(s->uuid, was);
        uuid_text(st.slot, is);
        slot_state_clear(&st);
        return err_set(err, ERR_FENCED, "slot %s: it was %s when it was opened and is %s now: it was re-created",
                       s->path, was, is);
    }
    *out = st;
    return true;
}

bool slot_state_write(struct slot *s, struct slot_state *st, struct err *err)
{
    if (s->state_fd < 0)
        return err_set(err, ERR_CONFIG, "slot %s: not open for writing", s->path);
    memcpy(st->slot, s->uuid, sizeof s->uuid);
    st->sequence = ++s->sequence;
    st->written_us = clock_wall_us();
    if (st->run == 0)
        st->run = s->run;
    struct buf b = { 0 };
    bool ok = state_encode(st, &b, err);
    if (ok && buf_grow(&b, STATE_COPY - b.n)) {
        memset(b.p + b.n, 0, STATE_COPY - b.n);
        ok = file_pwrite_all(s->state_fd, bytes_of(b.p, STATE_COPY), (st->sequence & 1) * STATE_COPY, "state", err) ||
             err_ctx(err, "slot %s", s->path);
    } else if (ok) {
        ok = err_nomem(err);
    }
    buf_free(&b);
    return ok;
}

/* --- open --- */

static bool state_create(struct slot *s, struct err *err)
{
    if (s->sequence == 0)
        s->sequence = 2;
    struct slot_state st = { .sequence = s->sequence, .written_us = clock_wall_us() };
    memcpy(st.slot, s->uuid, sizeof s->uuid);
    struct buf b = { 0 };
    bool ok = state_encode(&st, &b, err);
    if (ok && buf_grow(&b, 2 * (size_t)STATE_COPY - b.n)) {
        memset(b.p + b.n, 0, 2 * (size_t)STATE_COPY - b.n); /* the second copy: not valid yet */
        ok = file_replace(s->dirfd, "state", bytes_of(b.p, 2 * (size_t)STATE_COPY), 0640, err);
    } else if (ok) {
        ok = err_nomem(err);
    }
    buf_free(&b);
    return ok;
}

static bool new_uuid(uint8_t uuid[16], struct err *err)
{
    if (getrandom(uuid, 16, 0) != 16)
        return err_sys(err, "getrandom");
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 9562, version 4 */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return true;
}

/* `state` is gone or damaged, segments are there: they know the slot's identity. What was flushed is unknown then; the
 * subscriptions' confirmed LSNs still guard recovery (I2). */
static bool adopt_segments(struct slot *s, const struct slot_segment *seg, size_t n, const struct err *why,
                           struct err *err)
{
    struct segment *g = NULL;
    struct err first;
    bool ok = false;
    for (size_t i = 0; i < n && !ok; i++) {
        ok = segment_open(s->dirfd, seg[i].name, &g, i == 0 ? &first : err);
        if (ok)
            memcpy(s->uuid, segment_header(g)->slot, sizeof s->uuid);
        segment_close(g);
        g = NULL;
    }
    if (!ok) {
        *err = first;
        return false;
    }
    slog(SLOG_WARN, "slot_state_lost", kv_s("slot", s->path), kv_s("why", why->msg),
         kv_s("hint", "rebuilt from the segments; what was flushed before is not known"));
    s->state_lost = true;
    return state_create(s, err);
}

static bool identify(struct slot *s, enum slot_mode mode, struct err *err)
{
    struct slot_state st;
    struct slot_segment *seg = NULL;
    size_t n = 0;
    if (state_read(s->dirfd, &st, err)) {
        memcpy(s->uuid, st.slot, sizeof s->uuid);
        s->sequence = st.sequence;
        s->run = st.run + 1;
        slot_state_clear(&st);
        return true;
    }
    struct err why = *err;
    bool missing = why.code == ERR_IO && why.sys == ENOENT;
    if ((!missing && why.code != ERR_CORRUPT) || !slot_segments(s, &seg, &n, err))
        return false;
    bool ok = false;
    if (n != 0 && mode != SLOT_READ)
        ok = adopt_segments(s, seg, n, &why, err);
    else if (n != 0)
        err_set(err, ERR_CORRUPT,
                "%s (but it has segments): start rowtide-capture on it, which rebuilds the state from them",
                missing ? "no state file" : why.msg);
    else if (!missing)
        err_set(err, ERR_CORRUPT, "%s, and there are no segments: restore the slot, or remove it and create a new one",
                why.msg);
    else if (mode == SLOT_CREATE)
        ok = new_uuid(s->uuid, err) && state_create(s, err);
    else
        err_set(err, ERR_CONFIG, "this directory is no slot: it has neither a state file nor segments");
    free(seg);
    s->run = 1;
    return ok;
}

bool slot_open(const char *path, enum slot_mode mode, struct slot **out, struct err *err)
{
    struct slot *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err);
    s->dirfd = s->lock_fd = s->state_fd = -1;
    s->path = strdup(path);
    if (s->path == NULL) {
        err_nomem(err);
        goto fail;
    }
    if (!file_open_dir(path, mode == SLOT_CREATE, &s->dirfd, err)) {
        if (mode != SLOT_CREATE && (err->sys == ENOENT || err->sys == ENOTDIR))
            err_set(err, ERR_CONFIG, "no slot at %s: check the path, or start rowtide-capture --slot %s first", path,
                    path);
        goto fail;
    }
    if (mode != SLOT_READ && !file_lock(s->dirfd, "lock", &s->lock_fd, err)) {
        err_ctx(err, "slot %s", path);
        goto fail;
    }
    if (!identify(s, mode, err)) {
        err_ctx(err, "slot %s", path);
        goto fail;
    }
    if (mode != SLOT_READ) {
        s->state_fd = openat(s->dirfd, "state", O_WRONLY | O_CLOEXEC);
        if (s->state_fd < 0) {
            err_sys(err, "slot %s: open state", path);
            goto fail;
        }
    }
    *out = s;
    return true;
fail:
    slot_close(s);
    return false;
}

void slot_close(struct slot *s)
{
    if (s == NULL)
        return;
    if (s->state_fd >= 0)
        close(s->state_fd);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    if (s->dirfd >= 0)
        close(s->dirfd);
    free(s->path);
    free(s);
}

int slot_dirfd(const struct slot *s)
{
    return s->dirfd;
}
const char *slot_path(const struct slot *s)
{
    return s->path;
}
const uint8_t *slot_uuid(const struct slot *s)
{
    return s->uuid;
}
uint64_t slot_run(const struct slot *s)
{
    return s->run;
}
bool slot_state_lost(const struct slot *s)
{
    return s->state_lost;
}

static int by_lsn(const void *a, const void *b)
{
    uint64_t x = ((const struct slot_segment *)a)->first_lsn, y = ((const struct slot_segment *)b)->first_lsn;
    return x < y ? -1 : x > y;
}

bool slot_segments(const struct slot *s, struct slot_segment **out, size_t *n, struct err *err)
{
    char **names;
    size_t nnames, k = 0;
    if (!file_list(s->dirfd, SEGMENT_SUFFIX, &names, &nnames, err))
        return false;
    struct slot_segment *seg = calloc(nnames + 1, sizeof *seg);
    if (seg == NULL) {
        file_list_free(names, nnames);
        return err_nomem(err);
    }
    for (size_t i = 0; i < nnames; i++) {
        uint64_t lsn;
        if (!segment_parse_name(names[i], &lsn) || lsn == 0) /* not ours */
            continue;
        seg[k].first_lsn = lsn;
        segment_name(lsn, seg[k].name);
        k++;
    }
    file_list_free(names, nnames);
    qsort(seg, k, sizeof *seg, by_lsn);
    *out = seg;
    *n = k;
    return true;
}
