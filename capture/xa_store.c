/* xa_store.c - see xa_store.h. Invariants: I1 (memory), I2 (what is on disk never says more than the log's position, nor
 * less). */
#include "xa_store.h"

#include "fault.h"
#include "file.h"
#include "segment.h"
#include "slog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNSYNCED_MAX = 64 }; /* row files that wait for fsync with their descriptors open */

struct memo {        /* what the index does not say of its entry */
    int fd;          /* its rows, written but not durable; -1: durable, or none */
    bool listed;     /* the index on disk names it */
    bool end_listed; /* and its end */
    bool handed;     /* its end went to the log with item `item` */
    uint64_t item;
};

struct xa_store {
    int slotfd, dirfd; /* dirfd -1: there is no xa/ yet */
    struct xa_index index;
    struct memo *memo; /* one an entry */
    size_t cap, unsynced;

    bool open; /* a transaction is, with fd and the counts of its file so far */
    int fd;
    uint64_t number, bytes, records;
    struct frame_builder *builder;
    struct relation_table written; /* relations that its file has */
    struct zcodec *z;
    struct buf payload, out;
};

/* --- opening: what a crash left behind goes --- */

static bool open_dir(struct xa_store *x, bool create, struct err *err)
{
    if (x->dirfd >= 0)
        return true;
    if (create && mkdirat(x->slotfd, XA_DIR, 0750) != 0 && errno != EEXIST)
        return err_sys(err, "create " XA_DIR);
    x->dirfd = openat(x->slotfd, XA_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (x->dirfd < 0 && (create || errno != ENOENT))
        return err_sys(err, "open " XA_DIR);
    return !create || file_sync_dir(x->slotfd, err);
}

static bool remove_rows(struct xa_store *x, uint64_t number, struct err *err)
{
    char name[XA_ROWS_NAME];
    xa_rows_name(number, name);
    return file_remove(x->dirfd, name, err);
}

static void drop_entry(struct xa_store *x, size_t i)
{
    size_t behind = x->index.n - i - 1;
    if (x->memo[i].fd >= 0) {
        close(x->memo[i].fd);
        x->unsynced--;
    }
    memmove(&x->index.v[i], &x->index.v[i + 1], behind * sizeof *x->index.v);
    memmove(&x->memo[i], &x->memo[i + 1], behind * sizeof *x->memo);
    x->index.n--;
}

/* Against the position that the log was found to have. True: something changed. */
static bool compare_with_log(struct xa_store *x, const struct source_pos *pos)
{
    bool changed = false;
    for (size_t i = 0; i < x->index.n;) {
        struct xa_entry *e = &x->index.v[i];
        const char *why = !xa_place_in(&e->prepared, pos)              ? "not_prepared_yet"
                          : e->is_ended && xa_place_in(&e->ended, pos) ? "ended"
                                                                       : NULL;
        if (why != NULL) {
            slog(SLOG_INFO, "xa_dropped", kv_s("xid", e->xid), kv_s("why", why));
            drop_entry(x, i);
            changed = true;
            continue;
        }
        changed |= e->is_ended;
        e->is_ended = false; /* its end comes again */
        memset(&e->ended, 0, sizeof e->ended);
        i++;
    }
    return changed;
}

static bool is_listed(const struct xa_store *x, const char *name)
{
    char want[XA_ROWS_NAME];
    for (size_t i = 0; i < x->index.n; i++) {
        xa_rows_name(x->index.v[i].number, want);
        if (strcmp(want, name) == 0)
            return true;
    }
    return false;
}

static bool remove_strays(struct xa_store *x, struct err *err)
{
    static const char *const suffixes[] = { XA_ROWS_SUFFIX, ".tmp" };
    bool ok = true;
    for (size_t s = 0; ok && s < sizeof suffixes / sizeof *suffixes; s++) {
        char **names;
        size_t n;
        if (!file_list(x->dirfd, suffixes[s], &names, &n, err))
            return false;
        for (size_t i = 0; ok && i < n; i++)
            ok = is_listed(x, names[i]) || file_remove(x->dirfd, names[i], err);
        file_list_free(names, n);
    }
    return ok;
}

static bool write_index(struct xa_store *x, struct err *err)
{
    buf_reset(&x->out);
    if (!xa_index_encode(&x->index, &x->out, err) || !file_replace(x->dirfd, XA_INDEX, buf_view(&x->out), 0640, err))
        return err_ctx(err, XA_DIR);
    for (size_t i = 0; i < x->index.n; i++) {
        x->memo[i].listed = true;
        x->memo[i].end_listed = x->index.v[i].is_ended;
    }
    return true;
}

static bool load(struct xa_store *x, const struct source_pos *pos, struct err *err)
{
    if (!open_dir(x, false, err))
        return false;
    if (x->dirfd < 0)
        return true;
    x->memo = calloc(x->index.n + 1, sizeof *x->memo);
    if (x->memo == NULL)
        return err_nomem(err);
    x->cap = x->index.n;
    for (size_t i = 0; i < x->index.n; i++)
        x->memo[i] = (struct memo){ .fd = -1, .listed = true, .end_listed = x->index.v[i].is_ended };
    return (!compare_with_log(x, pos) || write_index(x, err)) && remove_strays(x, err);
}

bool xa_store_open(int slotfd, const uint8_t slot[16], const struct source_pos *pos, struct xa_store **out,
                   struct err *err)
{
    struct xa_store *x = calloc(1, sizeof *x);
    if (x == NULL)
        return err_nomem(err);
    *x = (struct xa_store){ .slotfd = slotfd, .dirfd = -1, .fd = -1 };
    x->builder = frame_builder_new();
    x->z = zcodec_new();
    bool ok = (x->builder != NULL && x->z != NULL) || err_nomem(err);
    ok = ok && xa_index_read(slotfd, slot, &x->index, err) && load(x, pos, err);
    if (ok)
        *out = x;
    else
        xa_store_close(x);
    return ok;
}

void xa_store_close(struct xa_store *x)
{
    if (x == NULL)
        return;
    xa_store_abandon(x);
    while (x->index.n > 0)
        drop_entry(x, x->index.n - 1);
    xa_index_clear(&x->index);
    free(x->memo);
    frame_builder_free(x->builder);
    zcodec_free(x->z);
    buf_free(&x->payload);
    buf_free(&x->out);
    if (x->dirfd >= 0)
        close(x->dirfd);
    free(x);
}

/* --- the open transaction --- */

void xa_store_begin(struct xa_store *x)
{
    xa_store_abandon(x);
    frame_builder_reset(x->builder, 1, true);
    x->open = true;
}

struct frame_builder *xa_store_builder(struct xa_store *x)
{
    return x->builder;
}

void xa_store_abandon(struct xa_store *x)
{
    struct err ignored; /* a file that the index does not name is removed at the next start at the latest */
    relation_table_clear(&x->written);
    if (x->fd >= 0) {
        close(x->fd);
        (void)remove_rows(x, x->number, &ignored);
    }
    x->open = false;
    x->fd = -1;
    x->bytes = x->records = 0;
}

static bool create_file(struct xa_store *x, struct err *err)
{
    char name[XA_ROWS_NAME];
    if (!open_dir(x, true, err))
        return false;
    x->number = x->index.next_number++;
    xa_rows_name(x->number, name);
    x->fd = openat(x->dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (x->fd < 0)
        return err_sys(err, "create " XA_DIR "/%s", name);
    return xa_rows_head(x->index.slot, x->number, &x->out, err);
}

/* The relations that the frame uses and the file lacks, as a frame in front of it. */
static bool put_relations(struct xa_store *x, struct err *err)
{
    const struct relation_table *used = frame_builder_relations(x->builder);
    struct relation_table fresh = { 0 };
    struct frame_info info = { .first_lsn = x->records + 1 };
    bool ok = true;
    for (unsigned i = 0; ok && i < used->n; i++) {
        if (relation_table_find(&x->written, used->rel[i]->id) == NULL)
            ok = relation_table_add(&fresh, used->rel[i], err) && relation_table_add(&x->written, used->rel[i], err);
    }
    if (ok && fresh.n > 0) {
        buf_reset(&x->payload);
        segment_relations_encode(fresh.rel, fresh.n, &x->payload);
        ok = buf_ok(&x->payload, err) && zblock_write(x->z, ZB_RELATIONS, &info, buf_view(&x->payload), &x->out, err);
    }
    relation_table_clear(&fresh);
    return ok;
}

bool xa_store_spill(struct xa_store *x, struct err *err)
{
    struct frame_info info;
    assert(x->open);
    if (frame_builder_records(x->builder) == 0)
        return true;
    buf_reset(&x->out);
    if ((x->fd < 0 && !create_file(x, err)) || !put_relations(x, err))
        return false;
    buf_reset(&x->payload);
    if (!frame_builder_finish(x->builder, &x->payload, &info, err) ||
        !zblock_write(x->z, ZB_DATA, &info, buf_view(&x->payload), &x->out, err) ||
        !file_write_all(x->fd, buf_view(&x->out), XA_DIR, err))
        return false;
    x->bytes += x->out.n;
    x->records += info.nrecords;
    frame_builder_reset(x->builder, x->records + 1, true);
    fault_point("xa.spilled");
    return true;
}

static struct xa_entry *find(const struct xa_store *x, const char *xid)
{
    for (size_t i = x->index.n; i-- > 0;) {
        if (!x->index.v[i].is_ended && strcmp(x->index.v[i].xid, xid) == 0)
            return &x->index.v[i];
    }
    return NULL;
}

static bool room(struct xa_store *x, struct err *err)
{
    if (x->index.n == XA_ENTRIES_MAX)
        return err_set(err, ERR_UNSUPPORTED, "more than %d XA transactions are prepared at once", XA_ENTRIES_MAX);
    if (x->index.n < x->cap)
        return true;
    size_t cap = x->cap == 0 ? 16 : x->cap * 2;
    struct xa_entry *v = realloc(x->index.v, cap * sizeof *v);
    if (v != NULL)
        x->index.v = v;
    struct memo *m = realloc(x->memo, cap * sizeof *m);
    if (m != NULL)
        x->memo = m;
    if (v == NULL || m == NULL)
        return err_nomem(err);
    x->cap = cap;
    return true;
}

bool xa_store_prepare(struct xa_store *x, const char *xid, const struct xa_place *at, int64_t when_us, struct err *err)
{
    assert(x->open);
    if (find(x, xid) != NULL)
        return err_set(err, ERR_CORRUPT,
                       "XA PREPARE of %s, which is prepared already: the binlog is damaged, or lacks its end; start a "
                       "new slot from a fresh copy of the tables",
                       xid);
    if (!xa_store_spill(x, err) || !room(x, err))
        return false;
    struct xa_entry *e = &x->index.v[x->index.n];
    *e = (struct xa_entry){ .number = x->fd >= 0 ? x->number : x->index.next_number++,
                            .prepared = *at,
                            .prepared_us = when_us,
                            .records = x->records,
                            .bytes = x->bytes };
    snprintf(e->xid, sizeof e->xid, "%s", xid);
    x->memo[x->index.n++] = (struct memo){ .fd = x->fd };
    x->unsynced += x->fd >= 0;
    x->fd = -1; /* the entry's now */
    xa_store_abandon(x);
    return x->unsynced < UNSYNCED_MAX || xa_store_sync(x, err);
}

/* --- its end --- */

bool xa_store_has(const struct xa_store *x, const char *xid)
{
    return find(x, xid) != NULL;
}

bool xa_store_rows(struct xa_store *x, const char *xid, struct xa_rows **out, struct err *err)
{
    const struct xa_entry *e = find(x, xid);
    char name[XA_ROWS_NAME];
    assert(e != NULL);
    *out = NULL;
    if (e->records == 0)
        return true;
    xa_rows_name(e->number, name);
    int fd = openat(x->dirfd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open " XA_DIR "/%s, the rows of %s", name, xid);
    return xa_rows_open(fd, x->index.slot, e, out, err) || err_ctx(err, XA_DIR);
}

/* One of which no position was handed on between its two ends needs nothing on disk. */
void xa_store_end(struct xa_store *x, const char *xid, const struct xa_place *at)
{
    struct xa_entry *e = find(x, xid);
    assert(e != NULL);
    size_t i = (size_t)(e - x->index.v);
    struct err ignored; /* as in xa_store_abandon */
    if (!x->memo[i].listed) {
        if (e->records > 0)
            (void)remove_rows(x, e->number, &ignored);
        drop_entry(x, i);
        return;
    }
    e->is_ended = true;
    e->ended = *at;
}

/* --- on disk --- */

static bool index_is_behind(const struct xa_store *x)
{
    for (size_t i = 0; i < x->index.n; i++) {
        if (!x->memo[i].listed || (x->index.v[i].is_ended && !x->memo[i].end_listed))
            return true;
    }
    return false;
}

bool xa_store_sync(struct xa_store *x, struct err *err)
{
    if (!index_is_behind(x))
        return true;
    fault_point("xa.before_fsync");
    for (size_t i = 0; x->unsynced > 0 && i < x->index.n; i++) {
        struct memo *m = &x->memo[i];
        if (m->fd < 0)
            continue;
        if (!file_sync(m->fd, XA_DIR, err))
            return false;
        close(m->fd);
        m->fd = -1;
        x->unsynced--;
    }
    fault_point("xa.after_fsync");
    if (!open_dir(x, true, err) ||
        !write_index(x, err)) /* its fsync of the directory is for the row files' names, too */
        return false;
    fault_point("xa.after_index");
    return true;
}

void xa_store_handed(struct xa_store *x, uint64_t item)
{
    for (size_t i = 0; i < x->index.n; i++) {
        if (x->index.v[i].is_ended && !x->memo[i].handed) {
            x->memo[i].handed = true;
            x->memo[i].item = item;
        }
    }
}

/* The index on disk may name them for some time: then it also says that they ended. */
bool xa_store_clean(struct xa_store *x, uint64_t durable, struct err *err)
{
    for (size_t i = 0; i < x->index.n;) {
        if (!x->memo[i].handed || x->memo[i].item > durable) {
            i++;
            continue;
        }
        if (x->index.v[i].records > 0 && !remove_rows(x, x->index.v[i].number, err))
            return false;
        drop_entry(x, i);
    }
    return true;
}
