/* inflate.c - see inflate.h. */
#include "inflate.h"

#include <libdeflate.h>
#include <pthread.h>

static pthread_key_t key; /* so that a thread's decompressor ends with the thread */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

static void drop(void *d)
{
    libdeflate_free_decompressor(d);
}
static void make_key(void)
{
    have_key = pthread_key_create(&key, drop) == 0;
}

static struct libdeflate_decompressor *mine(void)
{
    pthread_once(&once, make_key);
    if (!have_key)
        return NULL;
    struct libdeflate_decompressor *d = pthread_getspecific(key);
    if (d == NULL && (d = libdeflate_alloc_decompressor()) != NULL && pthread_setspecific(key, d) != 0) {
        libdeflate_free_decompressor(d);
        d = NULL;
    }
    return d;
}

bool inflate_size_ok(size_t in_n, uint64_t n, struct err *err)
{
    enum { MOST_PER_BYTE = 1032 }; /* DEFLATE's best: 258 bytes from 2 bits (RFC 1951, 3.2.5) */
    if (n > INFLATE_MAX)
        return err_set(err, ERR_UNSUPPORTED, "compressed data says it is %llu bytes long; more than 1 GiB is not taken",
                       (unsigned long long)n);
    if (n / MOST_PER_BYTE > in_n)
        return err_set(err, ERR_CORRUPT, "compressed data of %zu bytes cannot become %llu", in_n,
                       (unsigned long long)n);
    return true;
}

bool inflate_exact(struct bytes in, bool zlib, uint8_t *out, size_t n, struct err *err)
{
    struct libdeflate_decompressor *d = mine();
    if (d == NULL)
        return err_nomem(err);
    /* An actual_out pointer of NULL makes a shorter result an error too. */
    enum libdeflate_result r = zlib ? libdeflate_zlib_decompress(d, in.p, in.n, out, n, NULL)
                                    : libdeflate_deflate_decompress(d, in.p, in.n, out, n, NULL);
    if (r != LIBDEFLATE_SUCCESS)
        return err_set(err, ERR_CORRUPT, "compressed data of %zu bytes does not inflate to the %zu that it announces",
                       in.n, n);
    return true;
}
