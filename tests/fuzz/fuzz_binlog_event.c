/* fuzz_binlog_event.c - any bytes as one binlog event: header, then every parser of events that are not rows. The
 * type byte decides little: each parser runs on each input, with and without a format description. */
#include "binlog_event.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf scratch;
    struct binlog_format fmt = { 0 }, own;
    struct binlog_event e;
    struct err err = { 0 };
    if (size >= 19 && binlog_event_parse((struct bytes){ data, size }, &fmt, &e, &err) &&
        e.type == EV_FORMAT_DESCRIPTION && binlog_parse_format(&e, &fmt, &err))
        (void)binlog_event_parse((struct bytes){ data, size }, &fmt, &e, &err);
    if (size == 0)
        return 0;
    /* The header's length and checksum would reject nearly all: build the event behind them. */
    e = (struct binlog_event){ .type = data[0], .size = (uint32_t)size + 18, .body = { data + 1, size - 1 } };
    (void)binlog_event_name(e.type);
    (void)binlog_parse_format(&e, &own, &err);
    struct ev_rotate rotate;
    (void)binlog_parse_rotate(&e, &rotate, &err);
    struct ev_query query;
    if (size < 1 << 16) /* bounds what a few compressed bytes may inflate to */
        (void)binlog_parse_query(&e, &fmt, &scratch, &query, &err);
    uint64_t xid;
    (void)binlog_parse_xid(&e, &xid, &err);
    struct ev_incident incident;
    (void)binlog_parse_incident(&e, &incident, &err);
    struct ev_heartbeat heartbeat;
    (void)binlog_parse_heartbeat(&e, &heartbeat, &err);
    static const uint8_t gtids[] = { EV_GTID, EV_ANONYMOUS_GTID, EV_GTID_TAGGED, EV_MARIADB_GTID };
    for (size_t i = 0; i < sizeof gtids; i++) {
        struct ev_gtid gtid;
        e.type = gtids[i];
        if (binlog_parse_gtid(&e, &gtid, &err) &&
            (gtid.gtid.tag_len > 32 || (e.type != EV_ANONYMOUS_GTID && gtid.gtid.no == 0)))
            abort();
    }
    static const uint8_t lists[] = { EV_PREVIOUS_GTIDS, EV_MARIADB_GTID_LIST };
    for (size_t i = 0; i < sizeof lists; i++) {
        struct gtid_set *set = NULL;
        e.type = lists[i];
        if (binlog_parse_gtid_list(&e, &set, &err))
            gtid_set_free(set);
    }
    return 0;
}
