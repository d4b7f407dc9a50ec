/* pattern.h - a publication's table list: "shop.*,crm.customers,!shop.audit_*". Pure.
 *
 * Comma-separated schema.table globs (* any run, ? one character, backslash escapes); a leading ! excludes; the last match
 * wins; an empty list takes every table but the servers' own schemas (mysql, information_schema, performance_schema, sys),
 * which are taken only when named without a glob in the schema part. Names compare exactly (case-sensitive). */
#ifndef ROWTIDE_PATTERN_H
#define ROWTIDE_PATTERN_H

#include "bytes.h"

struct pattern;
bool pattern_parse(const char *text, struct pattern **out, struct err *err); /* text NULL or "": everything */
bool pattern_match(const struct pattern *p, struct bytes schema, struct bytes table);
bool pattern_match_schema(const struct pattern *p,
                          struct bytes schema); /* could any table of it match? for DROP DATABASE */
void pattern_free(struct pattern *p);

#endif
