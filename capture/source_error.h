/* source_error.h - what an error number of the server or of its client library means for capture, and for whoever reads it. Pure. */
#ifndef ROWTIDE_SOURCE_ERROR_H
#define ROWTIDE_SOURCE_ERROR_H

#include "err.h"

/* Fill err from the library's error number and text; place names the source (no secrets). All return false.
 * ERR_NET and transient: unreachable, connection lost, server shutting down or out of connections. ERR_CONFIG: access denied, TLS
 * refused, a privilege or a setting is missing. Numbers: MySQL share/messages_to_clients.txt, include/errmsg.h. */
bool source_error_connect(struct err *err, unsigned no, const char *text, const char *place);
bool source_error_query(struct err *err, unsigned no, const char *text, const char *sql);
/* An error in place of an event. 1236 has one number for a dozen causes: told apart by its text, and explained. ERR_LOST: what we
 * need was purged or never was on this server; ERR_CORRUPT: its binlog is damaged (transient when the server may get past it at the next dump: a caller that got nothing new must
 * not ask for ever); ERR_CONFIG: a clash, or a setting. */
bool source_error_stream(struct err *err, unsigned no, const char *text);

#endif
