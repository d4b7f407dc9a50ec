/* gtid_inside.h - the members of a GTID set, for gtid.c and gtid_bytes.c only. */
#ifndef ROWTIDE_GTID_INSIDE_H
#define ROWTIDE_GTID_INSIDE_H

#include "gtid.h"

#define GTID_NO_MAX ((uint64_t)INT64_MAX - 1) /* an exclusive end must still fit the server's signed 64 bits */

struct gtid_interval {
    uint64_t first, last; /* inclusive */
};
struct gtid_source { /* MySQL: one (uuid, tag); never without intervals in a set */
    uint8_t uuid[16];
    uint8_t tag_len;
    char tag[32];
    size_t n, cap;
    struct gtid_interval *iv; /* sorted, neither overlapping nor touching */
};
struct gtid_domain { /* MariaDB */
    uint32_t domain, server;
    uint64_t seq;
};
struct gtid_set {
    enum gtid_flavor flavor;
    size_t nsources, sources_cap;
    struct gtid_source *sources; /* sorted by uuid, then tag */
    size_t recent;               /* index of the source that was added to last: the next one most often */
    size_t ndomains, domains_cap;
    struct gtid_domain *domains; /* sorted by domain */
};

bool gtid_tag_parse(struct bytes text, struct gtid *who); /* sets tag and tag_len; false: not a tag */
bool gtid_source_add(struct gtid_source *src, uint64_t first, uint64_t last, struct err *err);

#endif
