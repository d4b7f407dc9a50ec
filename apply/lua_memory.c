/* lua_memory.c - see lua_memory.h. lua_Alloc: Lua 5.4 reference manual, 4.6.
 *
 * Pages come from one reserved stretch of addresses, so that a pointer itself tells which kind of memory it is: Lua's sizes do not, since an
 * object that cannot be moved when it shrinks stays where it is. A page that holds nothing any more goes back to all sizes, not to the
 * system: a state that was full of small objects and then of large ones holds twice its limit at most. Under AddressSanitizer what is
 * not handed out is poisoned. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "lua_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LUA_MEMORY_ASAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define LUA_MEMORY_ASAN
#endif
#ifdef LUA_MEMORY_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct slot {
    struct slot *next;
};
struct lua_page { /* at the page's beginning; 16-aligned slots behind it */
    struct lua_page *next, *prev;
    struct slot *free;
    uint16_t live, size; /* slots in use; bytes of each */
    uint16_t fresh;      /* offset of the first slot that was never used */
};
enum { FIRST_SLOT = (sizeof(struct lua_page) + 15) / 16 * 16 };

void lua_memory_open(struct lua_memory *m, size_t limit)
{
    *m = (struct lua_memory){ .limit = limit };
    size_t n = limit / LUA_PAGE * LUA_PAGE;
    void *p = n == 0 ? MAP_FAILED
                     : mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return;
    m->base = p;
    m->reserved = n;
    POISON(p, n);
}

void lua_memory_close(struct lua_memory *m)
{
    if (m->base == NULL)
        return;
    UNPOISON(m->base, m->reserved);
    munmap(m->base, m->reserved);
    m->base = NULL;
}

static inline bool paged(const struct lua_memory *m, const void *p)
{
    return (uintptr_t)p - (uintptr_t)m->base < m->reserved;
}

static inline struct lua_page *page_of(const void *p)
{
    return (struct lua_page *)((uintptr_t)p & ~(uintptr_t)(LUA_PAGE - 1));
}

static inline unsigned class_of(size_t n)
{
    return (unsigned)((n - 1) / 16);
}

static inline bool has_room(const struct lua_page *g)
{
    return g->free != NULL || (size_t)g->fresh + g->size <= LUA_PAGE;
}

static void link_page(struct lua_memory *m, struct lua_page *g)
{
    struct lua_page **head = &m->open[class_of(g->size)];
    g->prev = NULL;
    g->next = *head;
    if (*head != NULL)
        (*head)->prev = g;
    *head = g;
}

static void unlink_page(struct lua_memory *m, struct lua_page *g)
{
    *(g->prev == NULL ? &m->open[class_of(g->size)] : &g->prev->next) = g->next;
    if (g->next != NULL)
        g->next->prev = g->prev;
}

/* Out of the pages of its size: it holds nothing. */
static void retire(struct lua_memory *m, struct lua_page *g)
{
    unlink_page(m, g);
    g->next = m->empty;
    m->empty = g;
    m->used -= LUA_PAGE;
}

static bool may_take(struct lua_memory *m, size_t more)
{
    for (unsigned i = 0; i < LUA_CLASSES && (m->used > m->limit || more > m->limit - m->used); i++)
        if (m->open[i] != NULL && m->open[i]->live == 0) /* kept at hand until now */
            retire(m, m->open[i]);
    return m->used <= m->limit && more <= m->limit - m->used;
}

static struct lua_page *new_page(struct lua_memory *m, size_t n)
{
    if (!may_take(m, LUA_PAGE))
        return NULL;
    struct lua_page *g = m->empty;
    if (g != NULL) {
        m->empty = g->next;
    } else if (m->fresh < m->reserved) {
        g = (struct lua_page *)(m->base + m->fresh);
        m->fresh += LUA_PAGE;
        UNPOISON(g, FIRST_SLOT);
    } else {
        return NULL;
    }
    *g = (struct lua_page){ .size = (uint16_t)((class_of(n) + 1) * 16), .fresh = FIRST_SLOT };
    link_page(m, g);
    m->used += LUA_PAGE;
    return g;
}

static void *small_take(struct lua_memory *m, size_t n)
{
    struct lua_page *g = m->open[class_of(n)];
    if (g == NULL && (g = new_page(m, n)) == NULL)
        return NULL;
    struct slot *s = g->free;
    if (s != NULL) {
        UNPOISON(s, sizeof *s);
        g->free = s->next;
    } else {
        s = (struct slot *)((uint8_t *)g + g->fresh);
        g->fresh = (uint16_t)(g->fresh + g->size);
    }
    g->live++;
    if (!has_room(g))
        unlink_page(m, g);
    POISON(s, g->size);
    UNPOISON(s, n);
    return s;
}

static void small_give(struct lua_memory *m, void *p)
{
    struct lua_page *g = page_of(p);
    struct slot *s = p;
    bool full = !has_room(g);
    UNPOISON(s, sizeof *s);
    s->next = g->free;
    POISON(s, g->size);
    g->free = s;
    g->live--;
    if (full)
        link_page(m, g);
    if (g->live != 0 || (g->prev == NULL && g->next == NULL)) /* the last of its size stays: the next object wants it */
        return;
    retire(m, g);
}

static void *large(struct lua_memory *m, void *p, size_t osize, size_t n)
{
    if (n > osize && !may_take(m, n - osize))
        return NULL;
    void *q = realloc(p, n);
    if (q == NULL && n > osize)
        return NULL;
    m->used += n - osize; /* what could not be made smaller stays as it is, and counts as Lua will say */
    return q == NULL ? p : q;
}

static void give(struct lua_memory *m, void *p, size_t osize)
{
    if (paged(m, p)) {
        small_give(m, p);
    } else {
        free(p);
        m->used -= osize;
    }
}

void *lua_memory_alloc(struct lua_memory *m, void *p, size_t osize, size_t n)
{
    if (n == 0) {
        if (p != NULL)
            give(m, p, osize);
        return NULL;
    }
    bool small = n <= LUA_SMALL_MAX && m->base != NULL, was_small = p != NULL && paged(m, p);
    if (!small && !was_small)
        return large(m, p, osize, n);
    if (was_small && n <= page_of(p)->size && (n > osize || class_of(n) == class_of(osize))) {
        UNPOISON(p, n);
        return p;
    }
    void *q = small ? small_take(m, n) : NULL;
    if (q == NULL)
        q = was_small ? large(m, NULL, 0, n) : large(m, p, osize, n);
    if (q == NULL)
        return n <= osize ? p : NULL;
    if (p != NULL && (was_small || paged(m, q))) {
        memcpy(q, p, n < osize ? n : osize);
        give(m, p, osize);
    }
    return q;
}
