/* slot_sub.c - registered subscriptions: NAME.sub and NAME.lost (docs/segment-format.md, "Subscriptions").
 *
 * One text line per field, in a fixed order, the checksum last. Strict when read: capture removes segments on what these files
 * say, so a damaged one must stop it rather than count as "confirmed nothing" or "nobody there". */
#include "slot.h"

#include "clock.h"
#include "crc32c.h"
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SUB_SUFFIX ".sub"
#define LOST_SUFFIX ".lost"
#define SUB_HEAD "rowtide_subscription=1\n"
enum { SUB_SIZE_MAX = 16 << 10 };

enum field_type { F_U64, F_I64, F_STR };
static const struct field {
    const char *key;
    enum field_type type;
    size_t off, size;
} fields[] = {
#define NUM(member, t)                                                                                                 \
    {                                                                                                                  \
#member, t, offsetof(struct slot_sub, member), 8                                                               \
    }
#define STR(member)                                                                                                    \
    {                                                                                                                  \
#member, F_STR, offsetof(struct slot_sub, member), sizeof(((struct slot_sub *)0)->member)                      \
    }
    STR(name),
    NUM(confirmed_lsn, F_U64),
    NUM(confirmed_commit_us, F_I64),
    NUM(changes, F_U64),
    NUM(transactions, F_U64),
    NUM(registered_us, F_I64),
    NUM(updated_us, F_I64),
    NUM(applied_changes, F_U64),
    STR(state),
    STR(destination),
    STR(error),
#undef NUM
#undef STR
};
enum { NFIELDS = sizeof fields / sizeof *fields };

bool slot_sub_name_ok(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > SLOT_NAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
              c == '-'))
            return false;
    }
    return true;
}

static void put_text(struct buf *out,
                     const char *s) /* backslash and control characters as \xHH: one line stays one line */
{
    for (; *s != '\0'; s++)
        if (*s == '\\' || (unsigned char)*s < 0x20 || *s == 0x7f)
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)*s);
        else
            buf_u8(out, (uint8_t)*s);
}

static void encode(const struct slot_sub *sub, struct buf *out)
{
    buf_str(out, SUB_HEAD);
    for (size_t i = 0; i < NFIELDS; i++) {
        const void *at = (const char *)sub + fields[i].off;
        buf_printf(out, "%s=", fields[i].key);
        if (fields[i].type == F_STR)
            put_text(out, at);
        else if (fields[i].type == F_U64)
            buf_printf(out, "%" PRIu64, *(const uint64_t *)at);
        else
            buf_printf(out, "%" PRId64, *(const int64_t *)at);
        buf_u8(out, '\n');
    }
    buf_printf(out, "crc32c=%08" PRIx32 "\n", crc32c(0, buf_view(out)));
}

/* The value of the line "key=value\n" at c. */
static struct bytes take_line(struct cur *c, const char *key)
{
    size_t n = strlen(key);
    struct bytes k = cur_take(c, n + 1);
    if (c->why != NULL || memcmp(k.p, key, n) != 0 || k.p[n] != '=') {
        cur_fail(c, "a line that does not belong here");
        return (struct bytes){ 0 };
    }
    const uint8_t *end = cur_left(c) == 0 ? NULL : memchr(c->p, '\n', cur_left(c));
    if (end == NULL) {
        cur_fail(c, "truncated");
        return (struct bytes){ 0 };
    }
    struct bytes v = cur_take(c, (size_t)(end - c->p));
    cur_u8(c);
    return v;
}

static bool take_number(struct bytes v, bool is_signed, uint64_t *out)
{
    bool neg = is_signed && v.n != 0 && v.p[0] == '-';
    uint64_t x = 0;
    size_t i = neg;
    if (v.n == i || v.n > 20 + i || (v.p[i] == '0' && (v.n > i + 1 || neg)))
        return false;
    for (; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9' || x > (UINT64_MAX - (uint64_t)(v.p[i] - '0')) / 10)
            return false;
        x = x * 10 + (uint64_t)(v.p[i] - '0');
    }
    if (is_signed && x > (uint64_t)INT64_MAX + neg)
        return false;
    *out = neg ? 0 - x : x;
    return true;
}

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_text(struct bytes v, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        int c = v.p[i];
        if (c == '\\') {
            if (v.n - i < 4 || v.p[i + 1] != 'x' || hex(v.p[i + 2]) < 0 || hex(v.p[i + 3]) < 0)
                return false;
            c = hex(v.p[i + 2]) << 4 | hex(v.p[i + 3]);
            i += 3;
        }
        if (c == 0 || n + 1 >= size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

static bool decode(struct bytes in, const char *name, struct slot_sub *out, struct err *err)
{
    struct slot_sub sub = { 0 };
    struct cur c = cur_over(in);
    struct bytes head = cur_take(&c, sizeof SUB_HEAD - 1);
    if (c.why == NULL && !bytes_eq_str(head, SUB_HEAD))
        cur_fail(&c, "no subscription of a known version");
    for (size_t i = 0; i < NFIELDS && c.why == NULL; i++) {
        void *at = (char *)&sub + fields[i].off;
        struct bytes v = take_line(&c, fields[i].key);
        if (c.why == NULL &&
            !(fields[i].type == F_STR ? take_text(v, at, fields[i].size) : take_number(v, fields[i].type == F_I64, at)))
            cur_fail(&c, "a value that is not valid");
    }
    size_t covered = cur_at(&c);
    struct bytes crc = take_line(&c, "crc32c");
    char want[16];
    snprintf(want, sizeof want, "%08" PRIx32, crc32c(0, bytes_of(in.p, c.why == NULL ? covered : 0)));
    if (c.why == NULL && !bytes_eq_str(crc, want))
        cur_fail(&c, "checksum mismatch");
    if (c.why == NULL && strcmp(sub.name, name) != 0)
        cur_fail(&c, "it is another subscription's file");
    if (!cur_finish(&c, "registered subscription", err))
        return false;
    *out = sub;
    return true;
}

static bool file_name(char *out, size_t size, const char *name, const char *suffix, struct err *err)
{
    if (!slot_sub_name_ok(name))
        return err_set(err, ERR_CONFIG,
                       "subscription name \"%s\": 1 to %d of A-Z a-z 0-9 _ . -, not starting with a dot or dash", name,
                       SLOT_NAME_MAX);
    snprintf(out, size, "%s%s", name, suffix);
    return true;
}

/* Whether there is a NAME.lost; why, instead of the subscription's own last error. */
static void read_lost(const struct slot *s, const char *file, struct slot_sub *out)
{
    struct buf b = { 0 };
    struct err err;
    bool readable = file_read(slot_dirfd(s), file, SUB_SIZE_MAX, &b, &err);
    out->lost = readable || err.sys != ENOENT;
    const uint8_t *end = b.n == 0 ? NULL : memchr(b.p, '\n', b.n);
    if (end != NULL)
        snprintf(out->error, sizeof out->error, "%.*s", (int)(end - b.p), (const char *)b.p);
    else if (out->lost) /* written on a full disk: the name alone */
        snprintf(out->error, sizeof out->error, "its segments were removed to free disk space");
    buf_free(&b);
}

bool slot_sub_read(const struct slot *s, const char *name, struct slot_sub *out, bool *found, struct err *err)
{
    char file[SLOT_NAME_MAX + 8], lost[SLOT_NAME_MAX + 8];
    if (!file_name(file, sizeof file, name, SUB_SUFFIX, err) || !file_name(lost, sizeof lost, name, LOST_SUFFIX, err))
        return false;
    struct buf b = { 0 };
    bool ok = file_read(slot_dirfd(s), file, SUB_SIZE_MAX, &b, err);
    if (!ok && err->code == ERR_IO && err->sys == ENOENT) {
        *found = false;
        return true;
    }
    ok = ok && decode(buf_view(&b), name, out, err);
    buf_free(&b);
    if (!ok)
        return err_ctx(err, "slot %s, file %s", slot_path(s), file);
    read_lost(s, lost, out);
    *found = true;
    return true;
}

bool slot_subs_list(const struct slot *s, struct slot_sub **out, size_t *n, struct err *err)
{
    char **names;
    size_t nnames, k = 0;
    if (!file_list(slot_dirfd(s), SUB_SUFFIX, &names, &nnames, err))
        return false;
    struct slot_sub *subs = calloc(nnames + 1, sizeof *subs);
    if (subs == NULL)
        err_nomem(err);
    bool ok = subs != NULL;
    for (size_t i = 0; ok && i < nnames; i++) {
        bool found = false;
        names[i][strlen(names[i]) - (sizeof SUB_SUFFIX - 1)] = '\0';
        if (!slot_sub_name_ok(names[i])) /* not ours */
            continue;
        ok = slot_sub_read(s, names[i], &subs[k], &found, err);
        k += ok && found; /* dropped in between: not there */
    }
    file_list_free(names, nnames);
    if (!ok) {
        free(subs);
        return false;
    }
    *out = subs;
    *n = k;
    return true;
}

bool slot_sub_write(const struct slot *s, struct slot_sub *sub, struct err *err)
{
    char file[SLOT_NAME_MAX + 8];
    if (!file_name(file, sizeof file, sub->name, SUB_SUFFIX, err))
        return false;
    sub->updated_us = clock_wall_us();
    if (sub->registered_us == 0)
        sub->registered_us = sub->updated_us;
    struct buf b = { 0 };
    encode(sub, &b);
    bool ok = buf_ok(&b, err) &&
              (file_replace(slot_dirfd(s), file, buf_view(&b), 0640, err) || err_ctx(err, "slot %s", slot_path(s)));
    buf_free(&b);
    return ok;
}

bool slot_sub_drop(const struct slot *s, const char *name, bool *found, struct err *err)
{
    char file[SLOT_NAME_MAX + 8], lost[SLOT_NAME_MAX + 8];
    if (!file_name(file, sizeof file, name, SUB_SUFFIX, err) || !file_name(lost, sizeof lost, name, LOST_SUFFIX, err))
        return false;
    bool there = faccessat(slot_dirfd(s), file, F_OK, 0) == 0;
    if (!file_remove(slot_dirfd(s), file, err) || !file_remove(slot_dirfd(s), lost, err) ||
        !file_sync_dir(slot_dirfd(s), err))
        return err_ctx(err, "slot %s", slot_path(s));
    *found = there;
    return true;
}

bool slot_sub_mark_lost(const struct slot *s, const char *name, const char *why, struct err *err)
{
    char lost[SLOT_NAME_MAX + 8], when[32];
    if (!file_name(lost, sizeof lost, name, LOST_SUFFIX, err))
        return false;
    struct buf b = { 0 };
    buf_printf(&b, "%s %s\n", clock_iso(clock_wall_us(), when, sizeof when), why);
    bool ok = buf_ok(&b, err) && file_replace(slot_dirfd(s), lost, buf_view(&b), 0640, err);
    /* A full disk is what this is for: the name alone says it, and needs no block. */
    if (!ok && err->code == ERR_IO && (err->sys == ENOSPC || err->sys == EDQUOT))
        ok = file_replace(slot_dirfd(s), lost, (struct bytes){ 0 }, 0640, err);
    buf_free(&b);
    return ok || err_ctx(err, "slot %s", slot_path(s));
}
