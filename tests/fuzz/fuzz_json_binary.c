/* fuzz_json_binary.c - any bytes as a binary JSON document. What is accepted must be of a size that the input can
 * account for. */
#include "json_binary.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = { 0 };
    struct err err = { 0 };
    bool ok = json_binary_text((struct bytes){ data, size }, &out, &err);
    if (ok != (err.code == ERR_NONE) || out.n > 64 + size * 64)
        abort();
    buf_free(&out);
    return 0;
}
