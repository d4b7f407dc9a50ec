/* unit.h - the three lines that every unit test needs. A test is a table of cases and a plain main that returns UNIT_END(). */
#ifndef ROWTIDE_UNIT_H
#define ROWTIDE_UNIT_H

#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>

static int unit_checks, unit_failures;

/* CHECK(condition, "format", ...): the message says what was wanted and what came. */
#define CHECK(ok, ...)                                                                                                 \
    do {                                                                                                               \
        unit_checks++;                                                                                                 \
        if (!(ok)) {                                                                                                   \
            unit_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)

#define UNIT_END() (printf("%d checks, %d failed\n", unit_checks, unit_failures), unit_failures != 0)

/* Heap copy of exact size, so that ASan sees one byte over. "0a ff", spaces ignored. free((void *)x.p). */
static inline struct bytes unhex(const char *hex)
{
    size_t n = 0;
    uint8_t *p = malloc(strlen(hex) / 2 + 1);
    for (const char *s = hex; p != NULL && *s != '\0'; s++) {
        if (*s == ' ' || *s == '\n')
            continue;
        char pair[3] = { s[0], s[1], '\0' };
        p[n++] = (uint8_t)strtoul(pair, NULL, 16);
        s++;
    }
    uint8_t *q = realloc(p, n == 0 ? 1 : n);
    return (struct bytes){ q == NULL ? p : q, n };
}

#endif
