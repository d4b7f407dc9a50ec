/* source_file.c - see source_file.h. The file holds one line: "binlog.000007 1763720000". */
#include "source_file.h"

#include "file.h"

#include <errno.h>

bool source_file_note(int slot_dirfd, const char *name, uint32_t made, struct err *err)
{
    struct buf now = { 0 }, before = { 0 };
    struct err why;
    buf_printf(&now, "%s ", name);
    size_t name_n = now.n;
    buf_printf(&now, "%lu\n", (unsigned long)made);
    bool ok = buf_ok(&now, err);
    bool known = ok && file_read(slot_dirfd, "source_file", 4096, &before, &why);
    if (ok && !known && why.sys != ENOENT) {
        *err = why;
        ok = false;
    }
    bool same_name = known && before.n > name_n && memcmp(before.p, now.p, name_n) == 0;
    bool same = known && bytes_eq(buf_view(&before), buf_view(&now));
    if (ok && same_name && !same)
        ok = err_set(err, ERR_LOST,
                     "the source's binlog file %s is not the one that this slot knows under that name: the source was "
                     "reset (RESET BINARY LOGS), and what it wrote in between is not known. Compare it with the "
                     "destination; then take a new slot with a new snapshot",
                     name);
    ok = ok && (same || file_replace(slot_dirfd, "source_file", buf_view(&now), 0640, err));
    buf_free(&now);
    buf_free(&before);
    return ok;
}
