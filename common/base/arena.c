/* arena.c - memory that dies together (arena.h): ordinary chunks that double up to 1 MiB, and a chunk of its own for
 * each large request, so that little is wasted. Under AddressSanitizer what is not handed out is poisoned. */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ARENA_ASAN
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
enum { REDZONE = 16 };
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { REDZONE = 0 };
#endif

enum { ALIGN = 16, FIRST_CHUNK = 8 << 10, MAX_CHUNK = 1 << 20 };

struct chunk {
    struct chunk *next;
    size_t cap, used;
    alignas(ALIGN) uint8_t data[];
};

struct arena {
    struct chunk *ordinary; /* newest, and largest, first */
    struct chunk *large;    /* one request each */
    size_t limit, used;
    bool refused;
};

static struct chunk *chunk_new(size_t cap)
{
    struct chunk *c = malloc(sizeof *c + cap);
    if (c != NULL) {
        *c = (struct chunk){ .cap = cap };
        POISON(c->data, cap);
    }
    return c;
}

static void chunks_free(struct chunk *c)
{
    while (c != NULL) {
        struct chunk *next = c->next;
        UNPOISON(c->data, c->cap);
        free(c);
        c = next;
    }
}

struct arena *arena_new(size_t limit_bytes)
{
    struct arena *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->limit = limit_bytes == 0 ? SIZE_MAX : limit_bytes;
    return a;
}

void arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    chunks_free(a->ordinary);
    chunks_free(a->large);
    free(a);
}

void arena_reset(struct arena *a)
{
    a->refused = false;
    if (a->used == 0)
        return;
    chunks_free(a->large);
    a->large = NULL;
    a->used = 0;
    if (a->ordinary == NULL)
        return;
    chunks_free(a->ordinary->next);
    a->ordinary->next = NULL;
    a->ordinary->used = 0;
    POISON(a->ordinary->data, a->ordinary->cap);
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
bool arena_refused(const struct arena *a)
{
    return a->refused;
}

/* The chunk that takes `size` more bytes, or NULL. */
static struct chunk *chunk_for(struct arena *a, size_t size)
{
    struct chunk *c = a->ordinary;
    if (c != NULL && size <= c->cap - c->used)
        return c;
    size_t cap = c == NULL ? FIRST_CHUNK : c->cap < MAX_CHUNK ? c->cap * 2 : MAX_CHUNK;
    bool large = size > cap / 4;
    c = chunk_new(large ? size : cap);
    if (c == NULL)
        return NULL;
    struct chunk **list = large ? &a->large : &a->ordinary;
    c->next = *list;
    *list = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t n, struct err *err)
{
    size_t size = n == 0 ? ALIGN : (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (n > SIZE_MAX / 2 || a->used > a->limit || size > a->limit - a->used) {
        a->refused = true;
        if (err != NULL)
            err_set(err, ERR_NOMEM, "memory limit of %zu bytes reached: %zu in use, %zu more needed", a->limit, a->used,
                    n);
        return NULL;
    }
    struct chunk *c = chunk_for(a, size + REDZONE);
    if (c == NULL) {
        if (err != NULL)
            err_nomem(err);
        return NULL;
    }
    void *p = c->data + c->used;
    c->used += size + REDZONE;
    a->used += size;
    UNPOISON(p, n == 0 ? 1 : n);
    return p;
}

void *arena_zalloc(struct arena *a, size_t n, struct err *err)
{
    void *p = arena_alloc(a, n, err);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

bool arena_copy(struct arena *a, struct bytes b, struct bytes *out, struct err *err)
{
    uint8_t *p = arena_alloc(a, b.n, err);
    if (p == NULL)
        return false;
    if (b.n != 0)
        memcpy(p, b.p, b.n);
    *out = (struct bytes){ p, b.n };
    return true;
}

char *arena_cstr(struct arena *a, struct bytes b, struct err *err)
{
    char *p = arena_alloc(a, b.n + 1, err); /* a view is never SIZE_MAX long */
    if (p == NULL)
        return NULL;
    if (b.n != 0)
        memcpy(p, b.p, b.n);
    p[b.n] = '\0';
    return p;
}
