/* pg_progress.c - see pg_progress.h. The statements are pg_sql.c's: docs/postgresql.md, "Progress". */
#include "pg_progress.h"

#include "pg_catalog.h"
#include "pg_sql.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { CREATE_ATTEMPTS = 3, ATTACH_COLUMNS = 9 };

static bool own_tables(struct pg_link *l, bool *there, struct err *err)
{
    PGresult *r;
    if (!pg_link_query(
            l, "SELECT to_regclass('rowtide.progress') IS NOT NULL AND to_regclass('rowtide.dead_letter') IS NOT NULL",
            NULL, 0, &r, err))
        return false;
    *there = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return true;
}

/* Others may do the same at the same time: IF NOT EXISTS is no lock, so look again before complaining. */
static bool create_own_tables(struct pg_link *l, struct err *err)
{
    bool there = false;
    struct err last = { 0 };
    for (int i = 0; i < CREATE_ATTEMPTS; i++) {
        if (!own_tables(l, &there, err))
            return false;
        if (there)
            return true;
        if (pg_catalog_schema(l, "rowtide", &last) && pg_link_exec(l, pg_sql_progress, &last) &&
            pg_link_exec(l, pg_sql_dead_letter, &last))
            return true;
    }
    *err = last;
    return err_ctx(err, "create the tables rowtide.progress and rowtide.dead_letter");
}

/* I4: a slot that was made anew has another UUID and knows nothing of what its predecessor's subscription applied here. */
static bool refuse_other_slot(const struct pg_progress *g, struct pg_link *l, struct err *err)
{
    const char *params[] = { g->slot, g->subscription };
    PGresult *r;
    if (!pg_link_query(l, pg_sql_other_slot, params, 2, &r, err))
        return false;
    bool other = PQntuples(r) != 0;
    if (other)
        err_set(err, ERR_LOST,
                "subscription %s at this destination belongs to slot %s (applied up to LSN %s), not to this one (%s): "
                "was the slot made anew? "
                "Another slot needs another --name; to begin again with empty tables: DELETE FROM rowtide.progress "
                "WHERE slot = '%s' AND "
                "subscription = '%s'",
                g->subscription, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), g->slot, PQgetvalue(r, 0, 0),
                g->subscription);
    PQclear(r);
    return !other;
}

static bool read_row(const struct pg_progress *g, struct pg_link *l, const char *sql, unsigned n,
                     const char *script_hash, struct progress *out, struct err *err)
{
    const char *params[] = { g->slot, g->subscription, script_hash };
    PGresult *r;
    if (!pg_link_query(l, sql, params, n, &r, err))
        return false;
    struct progress found = { 0 };
    if (PQntuples(r) == 1 && PQnfields(r) == ATTACH_COLUMNS) {
        uint64_t v[ATTACH_COLUMNS];
        for (int i = 0; i < ATTACH_COLUMNS; i++)
            v[i] = strtoull(PQgetvalue(r, 0, i), NULL, 10);
        found.epoch = v[0];
        found.lsn = v[1];
        found.offset = v[4];
        found.commit_us = (int64_t)v[5];
        found.changes = v[6];
        found.transactions = v[7];
        found.found = found.epoch > 1 || found.lsn != 0; /* 1: this statement made the row */
        snprintf(found.gtid, sizeof found.gtid, "%s", PQgetvalue(r, 0, 2));
        snprintf(found.file, sizeof found.file, "%s", PQgetvalue(r, 0, 3));
        snprintf(found.script_hash, sizeof found.script_hash, "%s", PQgetvalue(r, 0, 8));
    }
    PQclear(r);
    *out = found;
    return true;
}

bool pg_progress_read(const struct pg_progress *g, struct pg_link *l, struct progress *out, struct err *err)
{
    return read_row(g, l, pg_sql_read, 2, NULL, out, err);
}

bool pg_progress_settle(const struct pg_progress *g, struct pg_link *l, struct err *err)
{
    char epoch[24];
    const char *params[] = { g->slot, g->subscription, epoch };
    PGresult *r;
    snprintf(epoch, sizeof epoch, "%" PRIu64, g->epoch);
    if (!pg_link_query(l, pg_sql_settle, params, 3, &r, err))
        return false;
    bool ours = PQntuples(r) == 1;
    PQclear(r);
    return ours ||
           err_set(err, ERR_FENCED, "subscription %s: another rowtide-apply has taken it over (epoch %s was ours)",
                   g->subscription, epoch);
}

bool pg_progress_attach(struct pg_progress *g, struct pg_link *l, const uint8_t slot[16], bool take,
                        const char *script_hash, struct progress *out, struct err *err)
{
    struct progress now;
    uint64_t ours = g->epoch != 0 ? g->epoch : out->epoch;
    uuid_text(slot, g->slot);
    if (take) {
        if (!create_own_tables(l, err) || !refuse_other_slot(g, l, err) ||
            !read_row(g, l, pg_sql_attach, 3, script_hash == NULL ? "" : script_hash, &now, err))
            return false;
    } else {
        if (!pg_progress_read(g, l, &now, err))
            return false;
        if (now.epoch != ours)
            return err_set(err, ERR_FENCED,
                           "subscription %s: another rowtide-apply has taken it over (epoch %" PRIu64
                           ", ours was %" PRIu64 ")",
                           g->subscription, now.epoch, ours);
        now.found = true;
    }
    g->epoch = now.epoch;
    *out = now;
    return true;
}

bool pg_progress_send(struct pg_progress *g, struct pg_link *l, struct pg_writer *w, const struct batch_txn *last,
                      uint64_t changes, uint64_t transactions, uint64_t tag, struct err *err)
{
    struct buf gtid = { 0 };
    char epoch[24], lsn[24], pos[24], us[24], nchanges[24], ntransactions[24];
    gtid_text(&last->gtid, &gtid);
    snprintf(epoch, sizeof epoch, "%" PRIu64, g->epoch);
    snprintf(lsn, sizeof lsn, "%" PRIu64, last->commit_lsn);
    snprintf(pos, sizeof pos, "%" PRIu64, last->end_offset);
    snprintf(us, sizeof us, "%" PRId64, last->commit_us);
    snprintf(nchanges, sizeof nchanges, "%" PRIu64, changes);
    snprintf(ntransactions, sizeof ntransactions, "%" PRIu64, transactions);
    const char *values[] = { g->slot, g->subscription, epoch,        lsn, buf_cstr(&gtid), last->file, pos,
                             us,      nchanges,        ntransactions };
    struct pg_param params[sizeof values / sizeof *values];
    unsigned n = sizeof values / sizeof *values;
    for (unsigned i = 0; i < n; i++)
        params[i] = (struct pg_param){ .type = PG_TEXT, .value = values[i], .length = (int)strlen(values[i]) };
    bool ok = buf_ok(&gtid, err);
    ok = ok && pg_writer_fresh(w, l, err); /* DEALLOCATE ALL may still be due: not behind our statement */
    if (ok && !g->prepared)
        ok = pg_link_prepare(l, "advance", pg_sql_advance, params, n, tag, err);
    g->prepared = ok;
    ok = ok && pg_link_send(l, "advance", NULL, params, n, -1, tag, err);
    buf_free(&gtid);
    return ok;
}
