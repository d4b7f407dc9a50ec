/* outrow_json.c - see outrow_json.h. */
#include "outrow_json.h"

#include "clock.h"
#include "json_text.h"

static void member_text(struct buf *o, const char *key, struct bytes text)
{
    buf_printf(o, ",\"%s\":", key);
    json_string(o, text);
}

/* The values that are present; differing_from: only those that are not the same there. */
static void image(struct buf *o, const struct shape *s, const struct val *row, const struct val *differing_from)
{
    bool first = true;
    buf_u8(o, '{');
    for (unsigned i = 0; i < s->ncols; i++) {
        if (row[i].kind == VAL_ABSENT || (differing_from != NULL && val_eq(&row[i], &differing_from[i])))
            continue;
        if (!first)
            buf_u8(o, ',');
        first = false;
        json_string(o, s->cols[i].name);
        buf_u8(o, ':');
        json_value(o, s->cols[i].type.type == 0 ? NULL : &s->cols[i].type, &row[i]);
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
    if ((r->op == OUT_INSERT || r->op == OUT_UPDATE) && r->new_row != NULL) {
        buf_str(o, ",\"row\":");
        image(o, r->shape, r->new_row, NULL);
    }
    if ((r->op == OUT_UPDATE || r->op == OUT_DELETE) && r->old_row != NULL) {
        buf_str(o, ",\"old\":");
        image(o, r->shape, r->old_row, r->op == OUT_UPDATE ? r->new_row : NULL);
    }
    buf_str(o, "}\n");
    buf_free(&gtid);
}
