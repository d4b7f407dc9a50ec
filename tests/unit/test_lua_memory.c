/* test_lua_memory.c - what Lua asks of its memory, at random: contents stay, the limit holds, all of it comes back. */
#include "lua_memory.h"
#include "unit.h"

enum { OBJECTS = 2000, STEPS = 200000 };
static const size_t limit = 256 << 10;

struct object {
    uint8_t *p;
    size_t n;
    uint8_t mark;
};

static bool whole(const struct object *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->p[i] != o->mark)
            return false;
    return true;
}

static size_t any_size(void)
{
    int kind = rand() % 8;
    return (size_t)(kind == 0 ? rand() % 6000 : kind == 1 ? rand() % 400 : rand() % 90) + 1;
}

static void test_random(unsigned seed)
{
    static struct object o[OBJECTS];
    struct lua_memory m;
    size_t refused = 0, peak = 0;
    srand(seed);
    lua_memory_open(&m, limit);
    for (int i = 0; i < STEPS; i++) {
        struct object *x = &o[rand() % OBJECTS];
        size_t n = rand() % 3 == 0 ? 0 : any_size(), keep = n < x->n ? n : x->n;
        CHECK(whole(x), "an object changed by itself");
        if (x->p == NULL && n == 0)
            continue;
        uint8_t *p = lua_memory_alloc(&m, x->p, x->n, n);
        if (p == NULL && n != 0) {
            CHECK(n > x->n, "%zu bytes could not become %zu", x->n, n);
            refused++;
            continue;
        }
        for (size_t k = 0; k < keep; k++)
            if (p[k] != x->mark) {
                CHECK(false, "%zu to %zu bytes: byte %zu is another", x->n, n, k);
                break;
            }
        CHECK(((uintptr_t)p & 15) == 0, "not aligned");
        *x = (struct object){ p, n, (uint8_t)rand() };
        if (n != 0)
            memset(p, x->mark, n);
        CHECK(m.used <= limit + 6000, "%zu bytes are held, beyond the limit",
              m.used); /* what could not shrink in place may count later */
        peak = m.used > peak ? m.used : peak;
    }
    CHECK(refused > 100 && peak > limit - 8192, "seed %u never came to the limit: %zu refused, %zu", seed, refused,
          peak);
    for (int i = 0; i < OBJECTS; i++) {
        CHECK(whole(&o[i]), "an object changed by itself");
        if (o[i].p != NULL)
            lua_memory_alloc(&m, o[i].p, o[i].n, 0);
        o[i] = (struct object){ 0 };
    }
    CHECK(m.used <= LUA_CLASSES * LUA_PAGE, "%zu bytes are left: more than a page of each size", m.used);
    lua_memory_close(&m);
}

/* A page that emptied serves another size: nothing is lost to the sizes that were wanted first. */
static void test_sizes_in_turn(void)
{
    static void *p[8192];
    struct lua_memory m;
    lua_memory_open(&m, limit);
    for (size_t size = 16; size <= LUA_SMALL_MAX; size += 16) {
        size_t n = 0;
        while (n < sizeof p / sizeof *p && (p[n] = lua_memory_alloc(&m, NULL, 0, size)) != NULL)
            n++;
        CHECK(n * size > limit / 10 * 8 || n == sizeof p / sizeof *p, "%zu objects of %zu bytes", n, size);
        while (n > 0)
            lua_memory_alloc(&m, p[--n], size, 0);
    }
    lua_memory_close(&m);
}

/* With the limit reached an object still becomes smaller. */
static void test_shrinking(void)
{
    static void *p[64];
    struct lua_memory m;
    size_t n = 0;
    lua_memory_open(&m, limit);
    while ((p[n] = lua_memory_alloc(&m, NULL, 0, 8000)) != NULL)
        n++;
    memset(p[0], 7, 8000);
    uint8_t *q = lua_memory_alloc(&m, p[0], 8000, 40);
    CHECK(q != NULL && q[0] == 7 && q[39] == 7, "shrunk");
    lua_memory_alloc(&m, q, 40, 0);
    while (n > 1)
        lua_memory_alloc(&m, p[--n], 8000, 0);
    CHECK(m.used <= LUA_PAGE, "%zu bytes are left", m.used);
    lua_memory_close(&m);
}

/* Less than a page: all of it from malloc. */
static void test_tiny(void)
{
    struct lua_memory m;
    lua_memory_open(&m, 1000);
    void *p = lua_memory_alloc(&m, NULL, 0, 600);
    CHECK(p != NULL && m.used == 600 && lua_memory_alloc(&m, NULL, 0, 600) == NULL, "the limit of a tiny one");
    CHECK((p = lua_memory_alloc(&m, p, 600, 20)) != NULL && m.used == 20, "shrunk");
    lua_memory_alloc(&m, p, 20, 0);
    CHECK(m.used == 0, "all of it came back");
    lua_memory_close(&m);
}

int main(void)
{
    for (unsigned seed = 1; seed <= 5; seed++)
        test_random(seed);
    test_sizes_in_turn();
    test_shrinking();
    test_tiny();
    return UNIT_END();
}
