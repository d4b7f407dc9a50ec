/* cmd_segment_dump.c - rowtide segment dump: the records of a slot, as lines for people or as JSON. Reads what readers may see: whole
 * committed transactions up to the flushed LSN. */
#include "tool.h"

#include "clock.h"
#include "json_text.h"
#include "pattern.h"
#include "stop.h"

#include <stdio.h>

struct dump_options {
    const char *format, *table;
    uint64_t from, to;
    bool follow, json;
};
#define AT(field) offsetof(struct dump_options, field)
static const struct opt options[] = {
    { "format", "FORMAT", "text", "text: a line a record; json: an object a record", OPT_STR, AT(format), "text|json" },
    { "json", NULL, NULL, "the same as --format json", OPT_FLAG, AT(json), NULL },
    { "table", "S.T", NULL,
      "only changes of these tables (as --tables of rowtide-capture); begin and commit are left out then", OPT_STR,
      AT(table), NULL },
    { "from", "LSN", "1", "first LSN", OPT_UINT, AT(from), NULL },
    { "to", "LSN", "0", "last LSN; 0: no limit", OPT_UINT, AT(to), NULL },
    { "follow", NULL, NULL, "wait for more at the end, until stopped", OPT_FLAG, AT(follow), NULL },
    { 0 },
};
static const struct opt_program program = {
    .name = "rowtide segment dump",
    .synopsis = "DIR [OPTIONS]",
    .about = "Prints the records of a slot in order.",
    .epilog = "Example:\n  rowtide segment dump /var/lib/rowtide/shop --table shop.orders --format json",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
};

enum { PREVIEW_BYTES = 64 }; /* long values in text lines are cut here, with their length */

struct dump {
    const struct dump_options *o;
    struct pattern *tables;
    bool json;
    struct buf out;
    struct buf scratch;
};

static void value_line(struct dump *d, const struct column *c, const struct val *v)
{
    if (v->kind == VAL_BYTES || v->kind == VAL_GEOMETRY || v->kind == VAL_VECTOR) {
        buf_str(&d->out, "0x");
        for (size_t i = 0; i < v->u.str.n && i < PREVIEW_BYTES; i++)
            buf_printf(&d->out, "%02x", v->u.str.p[i]);
        if (v->u.str.n > PREVIEW_BYTES)
            buf_printf(&d->out, "... (%zu bytes)", v->u.str.n);
        return;
    }
    buf_reset(&d->scratch);
    column_value_text(c, v, &d->scratch);
    bool quote = v->kind == VAL_TEXT || v->kind == VAL_ENUM || v->kind == VAL_SET;
    struct bytes t = buf_view(&d->scratch);
    size_t n = t.n > PREVIEW_BYTES ? PREVIEW_BYTES : t.n;
    while (n > 0 && n < t.n && (t.p[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    if (quote)
        json_string(&d->out, bytes_of(t.p, n));
    else
        buf_bytes(&d->out, bytes_of(t.p, n));
    if (n < t.n)
        buf_printf(&d->out, "... (%zu bytes)", t.n);
}

static void pair_line(struct dump *d, const struct column *c, const struct val *v)
{
    buf_u8(&d->out, ' ');
    buf_bytes(&d->out, c->name);
    buf_u8(&d->out, '=');
    value_line(d, c, v);
}

static void row_line(struct dump *d, const struct rel_rows *rows, const struct record *r, bool new_image)
{
    const struct relation *rel = rel_rows_relation(rows);
    for (unsigned i = 0; i < rel->ncols; i++) {
        struct val v = new_image ? rel_rows_new_at(rows, r, i) : rel_rows_old_at(rows, r, i);
        if (v.kind != VAL_ABSENT)
            pair_line(d, &rel->cols[i], &v);
    }
}

static void update_line(struct dump *d, const struct rel_rows *rows, const struct record *r)
{
    const struct relation *rel = rel_rows_relation(rows);
    unsigned changed = 0;
    for (unsigned i = 0; i < rel->nkey; i++) {
        struct val v = rel_rows_old_at(rows, r, rel->key[i]);
        if (v.kind != VAL_ABSENT)
            pair_line(d, &rel->cols[rel->key[i]], &v);
    }
    for (unsigned i = 0; i < rel->ncols; i++) {
        struct val o = rel_rows_old_at(rows, r, i), n = rel_rows_new_at(rows, r, i);
        if (n.kind == VAL_ABSENT || val_eq(&o, &n))
            continue;
        buf_printf(&d->out, "%s", changed++ == 0 ? " | " : ", ");
        buf_bytes(&d->out, rel->cols[i].name);
        buf_str(&d->out, ": ");
        value_line(d, &rel->cols[i], &o);
        buf_str(&d->out, " -> ");
        value_line(d, &rel->cols[i], &n);
    }
    buf_printf(&d->out, " (%u of %u columns)", changed, rel->ncols);
}

static void text_record(struct dump *d, const struct record *r)
{
    struct buf *o = &d->out;
    char when[32];
    buf_printf(o, "%llu ", (unsigned long long)r->lsn);
    switch (r->op) {
    case REC_BEGIN:
        buf_str(o, "BEGIN ");
        gtid_text(&r->u.begin.gtid, o);
        buf_printf(o, " %s", clock_iso(r->u.begin.commit_us, when, sizeof when));
        break;
    case REC_COMMIT:
        buf_printf(o, "COMMIT %.*s:%llu", BYTES_FMT(r->u.commit.file), (unsigned long long)r->u.commit.end_offset);
        if (r->u.commit.consumed.n > 0)
            buf_printf(o, " consumed %.*s", BYTES_FMT(r->u.commit.consumed));
        break;
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE: {
        const struct rel_rows *rows = r->u.change.rows;
        const struct relation *rel = rel_rows_relation(rows);
        buf_bytes(o, rel->schema);
        buf_u8(o, '.');
        buf_bytes(o, rel->table);
        buf_str(o, r->op == REC_INSERT ? " INSERT" : r->op == REC_UPDATE ? " UPDATE" : " DELETE");
        if (r->op == REC_UPDATE)
            update_line(d, rows, r);
        else
            row_line(d, rows, r, r->op == REC_INSERT);
        break;
    }
    case REC_TRUNCATE:
        buf_printf(o, "%.*s.%.*s TRUNCATE", BYTES_FMT(r->u.ddl.t_schema), BYTES_FMT(r->u.ddl.t_table));
        break;
    case REC_DDL:
        buf_str(o, "DDL ");
        json_string(o, r->u.ddl.sql);
        buf_printf(o, " in %.*s", BYTES_FMT(r->u.ddl.schema));
        break;
    case REC_MESSAGE:
        buf_printf(o, "MESSAGE %.*s ", BYTES_FMT(r->u.message.topic));
        json_string(o, r->u.message.body);
        break;
    default:
        break;
    }
    buf_u8(o, '\n');
}

static void json_member(struct buf *o, const char *key, struct bytes text)
{
    buf_printf(o, ",\"%s\":", key);
    json_string(o, text);
}

/* Whole images: old holds what the source sent of it, so that a reader of the dump sees all there is. */
static void json_change(struct buf *o, const struct record *r)
{
    const struct rel_rows *rows = r->u.change.rows;
    const struct relation *rel = rel_rows_relation(rows);
    json_member(o, "schema", rel->schema);
    json_member(o, "table", rel->table);
    for (int image = 0; image < 2; image++) {
        bool first = true;
        if ((image == 0 && r->op == REC_DELETE) || (image == 1 && r->op == REC_INSERT))
            continue;
        buf_str(o, image == 0 ? ",\"row\":{" : ",\"old\":{");
        for (unsigned i = 0; i < rel->ncols; i++) {
            struct val v = image == 0 ? rel_rows_new_at(rows, r, i) : rel_rows_old_at(rows, r, i);
            if (v.kind == VAL_ABSENT)
                continue;
            if (!first)
                buf_u8(o, ',');
            first = false;
            json_string(o, rel->cols[i].name);
            buf_u8(o, ':');
            json_value(o, &rel->cols[i], &v);
        }
        buf_u8(o, '}');
    }
}

static void json_record(struct dump *d, const struct record *r)
{
    static const char *const ops[] = {
        "", "begin", "commit", "insert", "update", "delete", "truncate", "ddl", "message"
    };
    struct buf *o = &d->out;
    char when[32];
    buf_printf(o, "{\"lsn\":%llu,\"op\":\"%s\"", (unsigned long long)r->lsn, ops[r->op]);
    switch (r->op) {
    case REC_BEGIN:
        buf_reset(&d->scratch);
        gtid_text(&r->u.begin.gtid, &d->scratch);
        json_member(o, "gtid", buf_view(&d->scratch));
        json_member(o, "ts", bytes_str(clock_iso(r->u.begin.commit_us, when, sizeof when)));
        break;
    case REC_COMMIT:
        json_member(o, "file", r->u.commit.file);
        buf_printf(o, ",\"end\":%llu", (unsigned long long)r->u.commit.end_offset);
        if (r->u.commit.consumed.n > 0)
            json_member(o, "consumed", r->u.commit.consumed);
        break;
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE:
        json_change(o, r);
        break;
    case REC_TRUNCATE:
        json_member(o, "schema", r->u.ddl.t_schema);
        json_member(o, "table", r->u.ddl.t_table);
        json_member(o, "sql", r->u.ddl.sql);
        break;
    case REC_DDL:
        json_member(o, "schema", r->u.ddl.schema);
        json_member(o, "sql", r->u.ddl.sql);
        break;
    case REC_MESSAGE:
        json_member(o, "topic", r->u.message.topic);
        json_member(o, "body", r->u.message.body);
        break;
    default:
        break;
    }
    buf_str(o, "}\n");
}

static bool wanted(const struct dump *d, const struct record *r)
{
    if (r->lsn < d->o->from || r->lsn > d->o->to)
        return false;
    if (d->tables == NULL)
        return true;
    switch (r->op) {
    case REC_INSERT:
    case REC_UPDATE:
    case REC_DELETE: {
        const struct relation *rel = rel_rows_relation(r->u.change.rows);
        return pattern_match(d->tables, rel->schema, rel->table);
    }
    case REC_TRUNCATE:
        return pattern_match(d->tables, r->u.ddl.t_schema, r->u.ddl.t_table);
    default:
        return false;
    }
}

static bool dump_frames(struct dump *d, struct seg_reader *reader, struct err *err)
{
    for (;;) {
        struct frame *f = NULL;
        unsigned from = 0;
        enum seg_read r = seg_reader_next(reader, &f, &from, err);
        if (r == SEG_READ_FAIL)
            return false;
        if (r == SEG_READ_END) {
            if (!tool_flush(&d->out, err) || !d->o->follow)
                return !d->o->follow;
            if (stop_level() != STOP_NO)
                return true;
            if (!seg_reader_wait(reader, 1000, stop_fd(), err))
                return false;
            continue;
        }
        bool done = false;
        for (unsigned i = from; i < frame_count(f) && !done; i++) {
            const struct record *rec = frame_record(f, i);
            done = rec->lsn > d->o->to;
            if (!wanted(d, rec))
                continue;
            if (d->json)
                json_record(d, rec);
            else
                text_record(d, rec);
            if (d->out.n > (1u << 20) && !tool_flush(&d->out, err)) {
                frame_unref(f);
                return false;
            }
        }
        frame_unref(f);
        if (done)
            return tool_flush(&d->out, err);
    }
}

int cmd_segment_dump(int argc, char **argv)
{
    struct dump_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    int code = 0;
    struct seg_reader *reader = NULL;
    if (!tool_parse(&program, argc, argv, &o, &args, &code))
        return code;
    if (o.to == 0)
        o.to = UINT64_MAX;
    struct dump d = { .o = &o, .json = o.json || strcmp(o.format, "json") == 0 };
    bool ok = stop_init(&err) && (o.table == NULL || pattern_parse(o.table, &d.tables, &err)) &&
              tool_reader_at(args.v[0], o.from, &reader, &err) && dump_frames(&d, reader, &err);
    if (!ok)
        code = tool_fail(&program, &err);
    seg_reader_close(reader);
    pattern_free(d.tables);
    buf_free(&d.out);
    buf_free(&d.scratch);
    opts_free(&program, &o, &args);
    return code;
}
