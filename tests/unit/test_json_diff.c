/* test_json_diff.c - differences to binary JSON documents. test_row_event and the end-to-end tests compare whole updates
 * with a server's SELECT. */
#include "json_diff.h"

#include "unit.h"

/* {"a": 7, "bb": [1, 2, 3], "ccc": {"d": "x"}} */
#define DOC                                                                                                            \
    "00 0300 3a00 1900 0100 1a00 0200 1c00 0300 05 0700 02 1f00 00 2c00 61 6262 636363"                                \
    "0300 0d00 05 0100 05 0200 05 0300 0100 0e00 0b00 0100 0c 0c00 64 01 78"
#define LARGE "01 01000000 14000000 13000000 0100 08 ffffffff 61" /* {"a": 4294967295} with offsets of 4 bytes */
#define ABSENT "04"                                               /* no value where one must be */

static const struct {
    const char *before, *diffs; /* operations "=+-", each with path and value in hex, ';' between */
    const char *want;           /* "!x": refused with x in the message */
} cases[] = {
    { DOC, "", "{\"a\": 7, \"bb\": [1, 2, 3], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "=$.a 0c0179", "{\"a\": \"y\", \"bb\": [1, 2, 3], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "=$.bb[0] 0400", "{\"a\": 7, \"bb\": [null, 2, 3], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "=$.bb[last] 0401", "{\"a\": 7, \"bb\": [1, 2, true], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "=$.bb[last-2] 0401", "{\"a\": 7, \"bb\": [true, 2, 3], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "=$.bb[last-3] 0401", "!not there" },
    { DOC, "=$.bb[3] 0401", "!not there" },
    { DOC, "=$.ccc.d 050100", "{\"a\": 7, \"bb\": [1, 2, 3], \"ccc\": {\"d\": 1}}" },
    { DOC, "=$.\"ccc\".\"\\u0064\" 050100", "!escape" }, /* a letter is never escaped */
    { DOC, "=$.x 050100", "!not there" },
    { DOC, "=$.bb 02 0000 0400", "{\"a\": 7, \"bb\": [], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "=$.bb 02 0000 0400;+$.bb[0] 050500;+$.bb[9] 050600",
      "{\"a\": 7, \"bb\": [5, 6], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "=$.a ;=$.ccc.d ", "{\"a\": null, \"bb\": [1, 2, 3], \"ccc\": {\"d\": null}}" },     /* no bytes: null */
    { DOC, "+$.b 050100", "{\"a\": 7, \"b\": 1, \"bb\": [1, 2, 3], \"ccc\": {\"d\": \"x\"}}" }, /* short keys first */
    { DOC, "+$.zz 050100;+$.b 050200;+$.\"\" 0400;+$.zzzz 0401",
      "{\"\": null, \"a\": 7, \"b\": 2, \"bb\": [1, 2, 3], \"zz\": 1, \"ccc\": {\"d\": \"x\"}, \"zzzz\": true}" },
    { DOC, "+$.\"\\\"\\\\\\u0001\\n\" 050100",
      "{\"a\": 7, \"bb\": [1, 2, 3], \"ccc\": {\"d\": \"x\"}, \"\\\"\\\\\\u0001\\n\": 1}" },
    { DOC, "+$.\xc3\xbc 050100", "{\"a\": 7, \"bb\": [1, 2, 3], \"\xc3\xbc\": 1, \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "+$.a 050100", "!there already" },
    { DOC, "+$.bb[3] 050400", "{\"a\": 7, \"bb\": [1, 2, 3, 4], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "+$.bb[4294967295] 050400", "{\"a\": 7, \"bb\": [1, 2, 3, 4], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "+$.bb[last-3] 050000", "{\"a\": 7, \"bb\": [0, 1, 2, 3], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "+$.bb[1] 050900;+$.bb[1] 050800;-$.bb[0];=$.bb[1] 0401;-$.bb[last-1]",
      "{\"a\": 7, \"bb\": [8, true, 3], \"ccc\": {\"d\": \"x\"}}" },
    { DOC, "-$.a;-$.ccc.d;-$.bb[1]", "{\"bb\": [1, 3], \"ccc\": {}}" },
    { DOC, "-$.a;-$.bb;-$.ccc", "{}" },
    { DOC, "-$.a;-$.bb;-$.ccc;+$.n 050100", "{\"n\": 1}" },
    { DOC, "-$.a;+$.a 050800;=$.a 050900;-$.ccc", "{\"a\": 9, \"bb\": [1, 2, 3]}" },
    { DOC, "-$.a;-$.a", "!difference 2: what it changes" },
    { DOC, "+$.e " LARGE ";=$.e.a 0402",
      "{\"a\": 7, \"e\": {\"a\": false}, \"bb\": [1, 2, 3], \"ccc\": {\"d\": \"x\"}}" },
    { LARGE, "=$.a 0401", "{\"a\": true}" },
    { LARGE, "+$.b 050100;+$.A 050200", "{\"A\": 2, \"a\": 4294967295, \"b\": 1}" },
    { "02 0100 0700 05 0100", "+$[0] 0400", "[null, 1]" },
    { "02 0100 0700 05 0100", "-$[0]", "[]" },
    { "02 0000 0400", "+$[0] 0400", "[null]" },
    { "", "+$[0] 0400", "!has no members" },
    { "05 0100", "=$.a 0400", "!has no members" },
    { DOC, "=$.a.b 0400", "!has no members" },
    { DOC, "=$.bb.b 0400", "!member of an array" },
    { DOC, "=$.ccc[0] 0400", "!cell of an object" },
    { DOC, "=$.x.y 0400", "!leads nowhere" },
    { DOC, "=$ 0400", "!into the document" },
    { DOC, "=.a 0400", "!into the document" },
    { DOC, "=$a 0400", "!neither" },
    { DOC, "=$. 0400", "!empty name" },
    { DOC, "=$.* 0400", "!empty name" },
    { DOC, "=$.a* 0400", "!neither" },
    { DOC, "=$.\"a 0400", "!does not end" },
    { DOC, "=$.\"a\\q\" 0400", "!escape" },
    { DOC, "=$.\"\\u0041\" 0400", "!escape" },
    { DOC, "=$.\"\\u001g\" 0400", "!escape" },
    { DOC, "=$.\"\\u001 0400", "!escape" },
    { DOC, "=$.\xff 0400", "!UTF-8" },
    { DOC, "=$.bb[ 0400", "!array index" },
    { DOC, "=$.bb[x] 0400", "!array index" },
    { DOC, "=$.bb[1 0400", "!array index" },
    { DOC, "=$.bb[last+1] 0400", "!array index" },
    { DOC, "=$.bb[last-] 0400", "!array index" },
    { DOC, "=$.bb[4294967296] 0400", "!array index" },
    { DOC, "=$.bb[*] 0400", "!array index" },
    { DOC, "=$.a " ABSENT, "!truncated" },
    { DOC, "=$.a 0d", "!unknown value type" },
    { DOC, "=$.a 0c02ffff", "!not UTF-8" },
    { DOC, "?$.a 0400", "!operation" },
    { "00 0100 0c00 ffff 0100 05 0700 61", "=$.a 0400", "!key lies outside" },
    { "02 0100 0900 02 0400 0141", "=$[0][0] 0400", "!value lies outside" },
};

/* Returns how many; ends[i] is where difference i ends. */
static unsigned build(const char *text, struct buf *out, size_t *ends)
{
    static const char operations[] = "=+-?";
    unsigned n = 0;
    while (*text != '\0') {
        size_t all = strcspn(text, ";"), path = strcspn(text, " ;") - 1;
        buf_u8(out, (uint8_t)(strchr(operations, text[0]) - operations));
        buf_u8(out, (uint8_t)path);
        buf_put(out, text + 1, path);
        if (text[0] != '-') {
            char hex[200];
            snprintf(hex, sizeof hex, "%.*s", (int)(all - path - 1), text + path + 1);
            struct bytes value = unhex(hex);
            buf_u8(out, (uint8_t)value.n);
            buf_bytes(out, value);
            free((void *)(uintptr_t)value.p);
        }
        text += all + (text[all] == ';');
        ends[n++] = out->n;
    }
    return n;
}

static bool run(struct bytes before, struct bytes diffs, struct buf *out, struct err *err)
{
    struct arena *a = arena_new(0);
    uint8_t *exact = malloc(diffs.n == 0 ? 1 : diffs.n), *doc = malloc(before.n == 0 ? 1 : before.n);
    if (diffs.n != 0)
        memcpy(exact, diffs.p, diffs.n);
    if (before.n != 0)
        memcpy(doc, before.p, before.n);
    buf_reset(out);
    buf_str(out, ">");
    bool ok = json_diff_text((struct bytes){ doc, before.n }, (struct bytes){ exact, diffs.n }, a, out, err);
    free(exact);
    free(doc);
    arena_free(a);
    return ok;
}

static void one(const char *before_hex, const char *text, const char *want)
{
    struct bytes before = unhex(before_hex);
    struct buf diffs = { 0 }, out = { 0 };
    struct err err = { 0 };
    size_t ends[8];
    unsigned n = build(text, &diffs, ends);
    bool ok = run(before, buf_view(&diffs), &out, &err);
    if (want[0] == '!')
        CHECK(!ok && err.code == ERR_CORRUPT && strstr(err.msg, want + 1) != NULL && out.n == 1,
              "%s: want \"%s\", got %d %s", text, want, ok, err.msg);
    else
        CHECK(ok && out.p[0] == '>' && strcmp(buf_cstr(&out) + 1, want) == 0, "%s: want %s, got %s %s", text, want,
              buf_cstr(&out), err.msg);
    for (size_t cut = 1, k = 0; cut < diffs.n && want[0] != '!'; cut++) {
        if (cut == ends[k]) { /* whole differences */
            k++;
            continue;
        }
        CHECK(!run(before, (struct bytes){ diffs.p, cut }, &out, &err), "%s cut at %zu passed", text, cut);
    }
    for (size_t cut = 1; cut < before.n && want[0] != '!'; cut++) /* an open container must be whole */
        CHECK(n == 0 || !run((struct bytes){ before.p, cut }, buf_view(&diffs), &out, &err),
              "%s: document cut at %zu passed", text, cut);
    buf_free(&diffs);
    buf_free(&out);
    free((void *)(uintptr_t)before.p);
}

/* An array of 1000 numbers; every third taken out from the back, every remaining even place replaced, some put in. */
static void many(void)
{
    enum { N = 1000 };
    struct buf before = { 0 }, diffs = { 0 }, out = { 0 }, want = { 0 };
    unsigned now[2 * N], n = N;
    struct err err = { 0 };
    buf_u8(&before, 2);
    buf_le(&before, N, 2);
    buf_le(&before, 4 + 3 * N, 2);
    for (unsigned i = 0; i < N; i++) {
        now[i] = i;
        buf_u8(&before, 6);
        buf_le(&before, i, 2);
    }
    for (unsigned step = 0; step < 3 * N; step++) {
        unsigned op = step % 3, at = step * 7919 % n; /* replace, insert, remove: at places all over */
        char path[20];
        int len = snprintf(path, sizeof path, "$[%u]", at);
        buf_u8(&diffs, (uint8_t)op);
        buf_u8(&diffs, (uint8_t)len);
        buf_put(&diffs, path, (size_t)len);
        if (op != 2) {
            buf_u8(&diffs, 3);
            buf_u8(&diffs, 6);
            buf_le(&diffs, 10000 + step, 2);
        }
        if (op == 2)
            memmove(now + at, now + at + 1, (--n - at) * sizeof *now);
        if (op == 1)
            memmove(now + at + 1, now + at, (n++ - at) * sizeof *now);
        if (op != 2)
            now[at] = 10000 + step;
    }
    for (unsigned i = 0; i < n; i++)
        buf_printf(&want, "%s%u", i == 0 ? ">[" : ", ", now[i]);
    buf_u8(&want, ']');
    bool ok = run(buf_view(&before), buf_view(&diffs), &out, &err);
    CHECK(ok && bytes_eq(buf_view(&out), buf_view(&want)), "%d %s\n%s\n%s", ok, err.msg, buf_cstr(&out),
          buf_cstr(&want));
    buf_free(&before);
    buf_free(&diffs);
    buf_free(&out);
    buf_free(&want);
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        one(cases[i].before, cases[i].diffs, cases[i].want);
    many();
    return UNIT_END();
}
