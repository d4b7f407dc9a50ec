/* fuzz_json_binary.c - any bytes as a binary JSON document. What is accepted must be of a size that the input can
 * account for, and the same by the long way. */
#include "json_binary.h"
#include "json_walk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = { 0 };
    struct err err = { 0 };
    bool ok = json_binary_text((struct bytes){ data, size }, &out, &err);
    if (ok != (err.code == ERR_NONE) || out.n > 64 + size * 64)
        abort();
    struct buf other = { 0 };
    struct json j = { .budget = size, .out = &other };
    struct json_value root = json_root((struct bytes){ data, size });
    if (json_put(&j, &root, 0) != ok || (ok && !bytes_eq(buf_view(&out), buf_view(&other))))
        abort();
    buf_free(&other);
    buf_free(&out);
    return 0;
}
