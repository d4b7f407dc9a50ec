/* xid.h - the name of an XA transaction, as the binlog gives it: in statements ("XA COMMIT X'61',X'',1") and in XA_PREPARE.
 * One canonical text serves for both. Sources: MySQL sql/xa.h, libs/mysql/binlog/event/control_events.h, MariaDB
 * sql/handler.h, sql/log_event.h; checked on MySQL 9.7 and MariaDB 10.11. Pure. */
#ifndef ROWTIDE_XID_H
#define ROWTIDE_XID_H

#include "binlog_event.h"
#include "xa_file.h"

enum { XID_PART_MAX = 64 }; /* bytes of gtrid, and of bqual */

/* X'<gtrid>',X'<bqual>',<format>: hex digits in lower case, format as an unsigned 32-bit number. */
void xid_text(uint32_t format, struct bytes gtrid, struct bytes bqual, char out[XA_XID_MAX + 1]);
/* What follows "XA COMMIT" or "XA ROLLBACK". bqual and format may be missing (empty, 1). ERR_UNSUPPORTED for what no
 * server writes. */
bool xid_parse(struct bytes in, char out[XA_XID_MAX + 1], struct err *err);

struct ev_xa_prepare {
    bool one_phase; /* XA COMMIT ... ONE PHASE: this is the commit */
    char xid[XA_XID_MAX + 1];
};
bool xid_parse_prepare(const struct binlog_event *e, struct ev_xa_prepare *out, struct err *err); /* XA_PREPARE */

#endif
