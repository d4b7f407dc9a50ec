/* position.c - source positions as bytes and text. See position.h.
 *
 * Bytes ("Position" in docs/segment-format.md; varint and blob as in relation.c):
 *   GTID set in packed form (gtid_bytes.c); flavour 0 where the source has none
 *   blob server (0 .. 63 bytes) | blob file (0 .. 255 bytes) | varint offset.  Neither string holds a NUL byte */
#include "position.h"

#include <inttypes.h>

void source_pos_clear(struct source_pos *p)
{
    gtid_set_free(p->gtids);
    *p = (struct source_pos){ 0 };
}

bool source_pos_copy(const struct source_pos *p, struct source_pos *out, struct err *err)
{
    struct gtid_set *gtids = NULL;
    if (p->gtids != NULL) {
        gtids = gtid_set_copy(p->gtids);
        if (gtids == NULL)
            return err_nomem(err);
    }
    *out = *p;
    out->gtids = gtids;
    return true;
}

void source_pos_encode(const struct source_pos *p, struct buf *out)
{
    if (p->gtids == NULL && p->flavor != GTID_NONE) {
        buf_u8(out, (uint8_t)p->flavor); /* nothing taken yet: the empty set */
        buf_varint(out, 0);
    } else {
        gtid_set_pack(p->flavor == GTID_NONE ? NULL : p->gtids, out);
    }
    buf_blob(out, bytes_str(p->server));
    buf_blob(out, bytes_str(p->file));
    buf_varint(out, p->offset);
}

static void read_name(struct cur *c, char *to, size_t size)
{
    struct bytes b = cur_blob(c);
    if (b.n >= size || (b.n != 0 && memchr(b.p, 0, b.n) != NULL)) {
        cur_fail(c, "bad name");
        return;
    }
    if (b.n != 0)
        memcpy(to, b.p, b.n);
    to[b.n] = '\0';
}

bool source_pos_decode(struct cur *c, struct source_pos *out, struct err *err)
{
    struct source_pos p = { 0 };
    if (!gtid_set_unpack(c, &p.gtids, err))
        return err_ctx(err, "source position");
    p.flavor = p.gtids == NULL ? GTID_NONE : gtid_set_flavor(p.gtids);
    read_name(c, p.server, sizeof p.server);
    read_name(c, p.file, sizeof p.file);
    p.offset = cur_varint(c);
    if (!cur_ok(c, "source position", err)) {
        source_pos_clear(&p);
        return false;
    }
    *out = p;
    return true;
}

void source_pos_text(const struct source_pos *p, struct buf *out)
{
    const char *gap = "";
    if (p->gtids != NULL && !gtid_set_empty(p->gtids)) {
        gtid_set_text(p->gtids, out);
        gap = " ";
    }
    if (p->file[0] != '\0') {
        buf_printf(out, "%s%s:%" PRIu64, gap, p->file, p->offset);
        gap = " ";
    }
    if (p->server[0] != '\0') {
        buf_printf(out, "%s(%s)", gap, p->server);
        gap = " ";
    }
    if (*gap == '\0')
        buf_str(out, "(nowhere)");
}
