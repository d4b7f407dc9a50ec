/* apply_confirm.h - what the slot is told of one subscription: its registration (NAME.sub), and the confirmed LSN, which retention goes by.
 *
 * The destination's progress row is the only resume point; NAME.sub follows it, as far as it is on the destination's disk. While more
 * is on its way, commits do not wait for that disk (dest.lazy): a crash of the destination takes back the last of them, and the slot
 * must not have heard of them by then, or it may have removed the segments that hold them. So this keeps apart what is committed, which
 * the pipeline knows, from what is durable, which is all that is ever confirmed.
 *
 * Thread: the subscription's own. */
#ifndef ROWTIDE_APPLY_CONFIRM_H
#define ROWTIDE_APPLY_CONFIRM_H

#include "apply_status.h"
#include "dest.h"
#include "slot.h"

struct confirm;
/* slot, name and status are borrowed for as long as it lives. */
bool confirm_new(struct slot *slot, const char *name, struct sub_status *status, struct confirm **out, struct err *err);
void confirm_free(struct confirm *c); /* NULL is fine */

/* Registers the subscription, or goes on with its registration. progress: what d has of it; filled in from the registration where d
 * itself remembers nothing. ERR_LOST: retention has overtaken it; ERR_CONFIG: the name is that of another destination's, which has
 * confirmed what d does not have. */
bool confirm_register(struct confirm *c, const struct dest *d, struct progress *progress, struct err *err);
/* Whether there is a registration that is ours to write. False for NULL. */
bool confirm_registered(const struct confirm *c);
const char *confirm_destination(const struct confirm *c); /* kind and place, no secrets; "" before it is registered */

void confirm_set_durable(struct confirm *c, const struct progress *p); /* the destination has p on its disk */
uint64_t confirm_durable_lsn(const struct confirm *c);
/* Whether the commit of b may be lazy: more is waiting behind it, and a crash takes back half a second at most. */
bool confirm_may_be_lazy(const struct confirm *c, const struct dest_ops *ops, const struct batch *b);
/* Brings p, all that is committed, to d's disk. Nothing is under way; d may be NULL. If it fails, less is confirmed, that is all:
 * the connection's fault shows at its next use. */
void confirm_settle(struct confirm *c, struct dest *d, const struct progress *p);

/* Writes what is durable, at most once a second. state: as `rowtide status` shows it. False with ERR_LOST or ERR_FENCED: the
 * registration has ended, or went to another destination. A slot that cannot be written to (its disk is full) does not stop the
 * destination: segments are kept a while longer, that is all. */
bool confirm_tell(struct confirm *c, const char *state, struct err *err);
/* The same at once, at the end. error: why it ends, "" if nothing is wrong. */
bool confirm_tell_end(struct confirm *c, const char *state, const char *error, struct err *err);

#endif
