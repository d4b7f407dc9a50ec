/* dest.c - which driver a destination's URL names. */
#include "dest.h"

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

const struct dest_ops *dest_find(const char *url, struct err *err)
{
    if (begins(url, "postgresql://") || begins(url, "postgres://"))
        return &dest_postgres_ops;
    if (begins(url, "jsonl:"))
        return strcmp(url, "jsonl:-") == 0 ? &dest_jsonl_pipe_ops : &dest_jsonl_ops;
    /* only what can be a scheme: the rest, or all of "password=x host=y:1", may hold a password (I10) */
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
    if (n > 20 || url[n] != ':' || strchr(url + n, '@') != NULL)
        n = 0;
    err_set(err, ERR_CONFIG,
            "unknown kind of destination \"%.*s\": --to takes postgresql://..., postgres://..., jsonl:PATH or jsonl:-",
            (int)n, url);
    return NULL;
}
