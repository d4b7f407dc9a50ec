/* fuzz_json_diff.c - u16 length of a binary JSON document, the document, then differences to it. What is accepted must be
 * of a size that the input can account for; without differences it is the document itself. */
#include "json_diff.h"

#include "json_binary.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena *a;
    struct cur c = cur_over((struct bytes){ data, size });
    struct bytes before = cur_take(&c, (size_t)cur_le(&c, 2));
    struct bytes diffs = cur_take(&c, cur_left(&c));
    struct buf out = { 0 }, whole = { 0 };
    struct err err = { 0 }, ignored = { 0 };
    if (c.why != NULL)
        return 0;
    if (a == NULL)
        a = arena_new((size_t)256 << 20);
    bool ok = json_diff_text(before, diffs, a, &out, &err);
    if (ok != (err.code == ERR_NONE) || out.n > 64 + size * 64 || (!ok && out.n != 0))
        abort();
    if (diffs.n == 0 &&
        (json_binary_text(before, &whole, &ignored) != ok || !bytes_eq(buf_view(&out), buf_view(&whole))))
        abort();
    buf_free(&out);
    buf_free(&whole);
    arena_reset(a);
    return 0;
}
