/* outrow_json.c - see outrow_json.h. */
#include "outrow_json.h"

#include "clock.h"
#include "json_text.h"

static void member_text(struct buf *o, const char *key, struct bytes text)
{
    buf_printf(o, ",\"%s\":", key);
    json_string(o, text);
}

/* The values that are present; of an update's old image only those that the new one does not repeat. */
static void image(struct buf *o, const struct outrow *r, bool old)
{
    const struct shape *s = r->shape;
    bool first = true;
    buf_u8(o, '{');
    for (unsigned i = 0; i < s->ncols; i++) {
        struct val v = old ? outrow_old_at(r, i) : outrow_new_at(r, i);
        if (v.kind == VAL_ABSENT)
            continue;
        if (old && r->op == OUT_UPDATE && outrow_has_new(r)) {
            struct val now = outrow_new_at(r, i);
            if (val_eq(&v, &now))
                continue;
        }
        if (!first)
            buf_u8(o, ',');
        first = false;
        json_string(o, s->cols[i].name);
        buf_u8(o, ':');
        json_value(o, s->cols[i].type.type == 0 ? NULL : &s->cols[i].type, &v);
    }
    buf_u8(o, '}');
}

void outrow_json(struct buf *o, const struct batch *b, const struct outrow *r)
{
    static const char *const ops[] = { "insert", "update", "delete", "truncate", "ddl" };
    const struct batch_txn *t = &b->txns[r->txn];
    struct buf gtid = { 0 };
    char when[32];
    gtid_text(&t->gtid, &gtid);
    buf_printf(o, "{\"lsn\":%llu", (unsigned long long)r->lsn);
    if (r->seq > 0)
        buf_printf(o, ",\"seq\":%u", r->seq);
    buf_printf(o, ",\"op\":\"%s\"", ops[r->op]);
    if (r->op == OUT_DDL) {
        member_text(o, "schema", r->ddl->rec->schema);
        member_text(o, "sql", r->ddl->sql.n > 0 ? r->ddl->sql : r->ddl->rec->sql);
    } else {
        member_text(o, "schema", bytes_str(r->shape->schema));
        member_text(o, "table", bytes_str(r->shape->table));
    }
    member_text(o, "ts", bytes_str(clock_iso(t->commit_us, when, sizeof when)));
    member_text(o, "gtid", buf_view(&gtid));
    if ((r->op == OUT_INSERT || r->op == OUT_UPDATE) && outrow_has_new(r)) {
        buf_str(o, ",\"row\":");
        image(o, r, false);
    }
    if ((r->op == OUT_UPDATE || r->op == OUT_DELETE) && outrow_has_old(r)) {
        buf_str(o, ",\"old\":");
        image(o, r, true);
    }
    buf_str(o, "}\n");
    buf_free(&gtid);
}
