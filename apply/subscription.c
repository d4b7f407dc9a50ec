/* subscription.c - the defaults of a subscription, and freeing one. See subscription.h. */
#include "subscription.h"

#include <stdlib.h>

void subscription_defaults(struct subscription *s)
{
    *s = (struct subscription){ .on_error = ON_ERROR_STOP,
                                .batch_rows = 5000,
                                .workers = 1,
                                .batch_bytes = UINT64_C(4) << 20,
                                .script_memory = UINT64_C(16) << 20,
                                .script_steps = 10000000,
                                .zero_date = ZERO_DATE_NULL,
                                .nul = NUL_ERROR };
}

void subscription_clear(struct subscription *s)
{
    free(s->slot);
    free(s->name);
    free(s->to);
    free(s->script);
    *s = (struct subscription){ 0 };
}
