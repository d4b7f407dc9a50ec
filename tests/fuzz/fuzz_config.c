/* fuzz_config.c - any bytes as a configuration file: it parses, or fails with ERR_CONFIG; nothing leaks, nothing hangs.
 * */
#include "subscription.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = { 0 };
    struct config c;
    if (config_parse("fuzz.lua", bytes_of(data, size), "dir", &c, &e)) {
        for (size_t i = 0; i < c.n; i++)
            if (c.subs[i].slot == NULL || c.subs[i].to == NULL || c.subs[i].name == NULL || c.subs[i].batch_rows == 0)
                abort();
        config_clear(&c);
    } else if (e.code != ERR_CONFIG && e.code != ERR_NOMEM) {
        abort();
    }
    return 0;
}
