/* table_map.c - see table_map.h.
 *
 * Source: MySQL, libs/mysql/binlog/event/rows_event.h (Table_map_event), sql/log_event.cc
 * (Table_map_log_event::init_metadata_fields), sql/field_common_properties.h (which types have a sign bit); seen on
 * MySQL 9.7.4 and MariaDB 10.11.19. They differ in this: MariaDB counts GEOMETRY among the character columns, MySQL
 * does not; MySQL counts VECTOR. Both have a sign bit for YEAR. */
#include "table_map.h"

#include "charset.h"
#include "row_decode.h"
#include "schema_define.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 1024, POST_HEADER = 8, LABELS_MAX = 65535 };

bool table_map_names(const struct binlog_event *e, const struct binlog_format *fmt, struct table_map_names *out,
                     struct err *err)
{
    struct table_map_names t;
    if (fmt->known && fmt->nposts >= EV_TABLE_MAP && fmt->post_len[EV_TABLE_MAP - 1] != POST_HEADER)
        return err_set(err, ERR_UNSUPPORTED, "TABLE_MAP with a post-header of %u bytes; only %d is read",
                       fmt->post_len[EV_TABLE_MAP - 1], POST_HEADER);
    struct cur c = cur_over(e->body);
    t.table_id = cur_le(&c, 6);
    (void)cur_take(&c, 2); /* flags say nothing about the rows */
    t.definition = (struct bytes){ c.p, cur_left(&c) };
    t.schema = wire_lenenc_str(&c);
    if (cur_u8(&c) != 0)
        cur_fail(&c, "no NUL behind the schema's name");
    t.table = wire_lenenc_str(&c);
    if (cur_u8(&c) != 0)
        cur_fail(&c, "no NUL behind the table's name");
    if (c.why == NULL &&
        (t.schema.n == 0 || t.schema.n > NAME_MAX_BYTES || t.table.n == 0 || t.table.n > NAME_MAX_BYTES))
        cur_fail(&c, "a name must have 1 to 1024 bytes");
    if (!cur_ok(&c, "TABLE_MAP", err))
        return false;
    *out = t;
    return true;
}

enum tlv {
    TLV_SIGNEDNESS = 1,
    TLV_DEFAULT_CHARSET = 2,
    TLV_COLUMN_CHARSET = 3,
    TLV_COLUMN_NAME = 4,
    TLV_SET_LABELS = 5,
    TLV_ENUM_LABELS = 6,
    TLV_GEOMETRY_TYPE = 7,
    TLV_SIMPLE_KEY = 8,
    TLV_KEY_WITH_PREFIX = 9,
    TLV_LABEL_DEFAULT_CHARSET = 10,
    TLV_LABEL_COLUMN_CHARSET = 11,
    TLV_VISIBILITY = 12,
    TLV_VECTOR_DIMENSIONS = 13,
    TLV_END
};

struct map { /* while one TABLE_MAP is read */
    bool mariadb;
    unsigned ncols;
    struct bytes types, nulls;
    struct bytes field[TLV_END];
    bool have[TLV_END];
    struct wire_column *wire;
    struct column *cols;
    struct arena *arena; /* labels */
};

static uint8_t real_type(const struct map *m, unsigned i) /* wire[i].type and meta are as TABLE_MAP has them */
{
    return row_real_type(m->wire[i].type, m->wire[i].meta);
}

static bool has_sign(uint8_t type)
{
    return type == WT_DECIMAL || type == WT_TINY || type == WT_SHORT || type == WT_INT24 || type == WT_LONG ||
           type == WT_LONGLONG || type == WT_FLOAT || type == WT_DOUBLE || type == WT_NEWDECIMAL || type == WT_YEAR;
}

static bool has_charset(const struct map *m, uint8_t type)
{
    switch (type) {
    case WT_STRING:
    case WT_VAR_STRING:
    case WT_VARCHAR:
    case WT_TINY_BLOB:
    case WT_MEDIUM_BLOB:
    case WT_LONG_BLOB:
    case WT_BLOB:
    case WT_BLOB_COMPRESSED:
    case WT_VARCHAR_COMPRESSED:
    case WT_VECTOR:
        return true;
    case WT_GEOMETRY:
        return m->mariadb;
    default:
        return false;
    }
}

static bool has_labels(uint8_t type)
{
    return type == WT_ENUM || type == WT_SET;
}

static bool read_head(struct map *m, struct cur *c, struct err *err)
{
    (void)wire_lenenc_str(c);
    (void)cur_u8(c);
    (void)wire_lenenc_str(c);
    (void)cur_u8(c);
    uint64_t ncols = wire_lenenc(c);
    if (c->why == NULL && (ncols == 0 || ncols > COLUMNS_MAX))
        cur_fail(c, "a table has 1 to 4096 columns");
    m->ncols = c->why == NULL ? (unsigned)ncols : 0;
    m->types = cur_take(c, m->ncols);
    struct bytes meta = wire_lenenc_str(c);
    m->nulls = cur_take(c, (m->ncols + 7) / 8);
    if (!cur_ok(c, "TABLE_MAP", err))
        return false;
    m->wire = calloc(m->ncols, sizeof *m->wire);
    m->cols = calloc(m->ncols, sizeof *m->cols);
    if (m->wire == NULL || m->cols == NULL)
        return err_nomem(err);
    struct cur mc = cur_over(meta);
    for (unsigned i = 0; i < m->ncols; i++) {
        int n = row_meta_bytes(m->types.p[i]);
        if (n < 0)
            return err_set(err, ERR_UNSUPPORTED,
                           "column %u has type %u (%s), which is not supported: exclude the table, or alter the column",
                           i + 1, m->types.p[i], row_type_name(m->types.p[i]));
        m->wire[i].type = m->types.p[i];
        m->wire[i].meta = (uint16_t)cur_le(&mc, (size_t)n);
    }
    return cur_finish(&mc, "TABLE_MAP: column metadata", err);
}

static bool split_fields(struct map *m, struct cur *c, struct err *err)
{
    while (cur_left(c) != 0) {
        uint8_t type = cur_u8(c);
        struct bytes value = wire_lenenc_str(c);
        if (type == 0 || type >= TLV_END) /* optional by their name; a column's type is never among them */
            continue;
        if (m->have[type])
            cur_fail(c, "a field of the optional metadata comes twice");
        m->have[type] = true;
        m->field[type] = value;
    }
    return cur_ok(c, "TABLE_MAP: optional metadata", err);
}

static bool bit_msb_first(struct bytes b, unsigned i)
{
    return (b.p[i / 8] >> (7 - i % 8) & 1) != 0;
}

static bool read_signs(struct map *m, struct err *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->ncols; i++)
        n += has_sign(real_type(m, i));
    struct bytes f = m->field[TLV_SIGNEDNESS];
    if (n != 0 && !m->have[TLV_SIGNEDNESS])
        return err_set(err, ERR_CORRUPT, "TABLE_MAP: column names, but no signs of numbers");
    if (f.n != (n + 7) / 8)
        return err_set(err, ERR_CORRUPT, "TABLE_MAP: %zu bytes of signs for %u numeric columns", f.n, n);
    n = 0;
    for (unsigned i = 0; i < m->ncols; i++)
        if (has_sign(real_type(m, i)))
            m->cols[i].is_unsigned = bit_msb_first(f, n++) && real_type(m, i) != WT_YEAR;
    return true;
}

static bool read_visibility(struct map *m, struct err *err)
{
    struct bytes f = m->field[TLV_VISIBILITY];
    if (m->have[TLV_VISIBILITY] && f.n != (m->ncols + 7) / 8)
        return err_set(err, ERR_CORRUPT, "TABLE_MAP: %zu bytes of visibility for %u columns", f.n, m->ncols);
    for (unsigned i = 0; i < m->ncols; i++)
        m->cols[i].visible = !m->have[TLV_VISIBILITY] || bit_msb_first(f, i);
    return true;
}

static bool read_names(struct map *m, struct err *err)
{
    struct cur c = cur_over(m->field[TLV_COLUMN_NAME]);
    for (unsigned i = 0; i < m->ncols; i++) {
        struct bytes name = wire_lenenc_str(&c);
        if (c.why == NULL && (name.n == 0 || name.n > NAME_MAX_BYTES || charset_utf8_valid(name) != name.n))
            cur_fail(&c, "not a column's name");
        m->cols[i].name = name;
    }
    return cur_finish(&c, "TABLE_MAP: column names", err);
}

static bool set_charset(struct map *m, unsigned i, uint64_t collation, struct err *err)
{
    const struct charset *cs = collation > UINT16_MAX ? NULL : charset_of_collation((unsigned)collation);
    if (cs == NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "column %.*s: collation number %llu is not known: alter the column to another collation",
                       BYTES_FMT(m->cols[i].name), (unsigned long long)collation);
    m->wire[i].charset = cs;
    return true;
}

/* Collations come as one list, or as a default with (number among these columns, collation) pairs for the others. */
static bool read_charsets(struct map *m, bool labels, enum tlv by_default, enum tlv by_column, struct err *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->ncols; i++)
        n += labels ? has_labels(real_type(m, i)) : has_charset(m, real_type(m, i));
    if (n == 0 && !m->have[by_default] && !m->have[by_column])
        return true;
    unsigned *which = calloc((size_t)n + 1, sizeof *which);
    if (which == NULL)
        return err_nomem(err);
    n = 0;
    for (unsigned i = 0; i < m->ncols; i++)
        if (labels ? has_labels(real_type(m, i)) : has_charset(m, real_type(m, i)))
            which[n++] = i;
    bool ok = true;
    struct cur c = cur_over(m->field[m->have[by_column] ? by_column : by_default]);
    if (n != 0 && !m->have[by_default] && !m->have[by_column])
        cur_fail(&c, "column names, but no character sets");
    if (m->have[by_column]) {
        for (unsigned k = 0; k < n && ok && c.why == NULL; k++) {
            uint64_t collation = wire_lenenc(&c);
            ok = c.why != NULL || set_charset(m, which[k], collation, err);
        }
    } else if (m->have[by_default]) {
        uint64_t collation = wire_lenenc(&c);
        for (unsigned k = 0; k < n && ok && c.why == NULL; k++)
            ok = set_charset(m, which[k], collation, err);
        while (ok && cur_left(&c) != 0) {
            uint64_t k = wire_lenenc(&c);
            collation = wire_lenenc(&c);
            if (k >= n)
                cur_fail(&c, "a column that is not there");
            ok = c.why != NULL || set_charset(m, which[k], collation, err);
        }
    }
    free(which);
    return ok && cur_finish(&c, "TABLE_MAP: character sets", err);
}

static bool read_label(const struct map *m, unsigned i, struct bytes in, struct bytes *out, struct err *err)
{
    const struct charset *cs = m->wire[i].charset;
    struct bytes label;
    if (!charset_to_utf8(cs, in, m->arena, &label, err))
        return err_ctx(err, "column %.*s: a label", BYTES_FMT(m->cols[i].name));
    if (cs->binary && charset_utf8_valid(label) != label.n)
        return err_set(err, ERR_UNSUPPORTED,
                       "column %.*s: a label in character set binary that is not UTF-8: alter the column",
                       BYTES_FMT(m->cols[i].name));
    *out = label;
    return true;
}

static bool read_labels(struct map *m, uint8_t type, enum tlv field, struct err *err)
{
    struct cur c = cur_over(m->field[field]);
    for (unsigned i = 0; i < m->ncols; i++) {
        if (real_type(m, i) != type)
            continue;
        uint64_t n = wire_lenenc(&c);
        if (c.why == NULL && (n > cur_left(&c) || n > (type == WT_SET ? 64 : LABELS_MAX)))
            cur_fail(&c, "too many labels");
        if (c.why != NULL)
            break;
        struct bytes *labels = arena_alloc(m->arena, ((size_t)n + 1) * sizeof *labels, err);
        if (labels == NULL)
            return false;
        for (uint64_t k = 0; k < n; k++) {
            struct bytes raw = wire_lenenc_str(&c);
            if (c.why != NULL)
                break;
            if (!read_label(m, i, raw, &labels[k], err))
                return false;
        }
        m->cols[i].labels = labels;
        m->cols[i].nlabels = (uint32_t)n;
    }
    return cur_finish(&c, "TABLE_MAP: labels of ENUM and SET", err);
}

/* A number per column of one type: GEOMETRY's type code, VECTOR's dimensions. */
static bool read_numbers(struct map *m, uint8_t type, enum tlv field, struct err *err)
{
    if (!m->have[field])
        return true;
    struct cur c = cur_over(m->field[field]);
    for (unsigned i = 0; i < m->ncols; i++) {
        if (real_type(m, i) != type)
            continue;
        uint64_t v = wire_lenenc(&c);
        if (v > UINT32_MAX)
            cur_fail(&c, "number too large");
        m->cols[i].length = (uint32_t)v;
    }
    return cur_finish(&c, "TABLE_MAP: geometry types or vector dimensions", err);
}

/* A key over the beginning of a text still identifies its row: the prefix lengths are not kept. */
static bool read_key(struct map *m, struct err *err)
{
    if (m->have[TLV_SIMPLE_KEY] && m->have[TLV_KEY_WITH_PREFIX])
        return err_set(err, ERR_CORRUPT, "TABLE_MAP: two primary keys");
    bool prefix = m->have[TLV_KEY_WITH_PREFIX];
    struct cur c = cur_over(m->field[prefix ? TLV_KEY_WITH_PREFIX : TLV_SIMPLE_KEY]);
    for (uint16_t pos = 1; cur_left(&c) != 0; pos++) {
        uint64_t i = wire_lenenc(&c);
        if (prefix)
            (void)wire_lenenc(&c);
        if (c.why != NULL)
            break;
        if (i >= m->ncols || m->cols[i].key_pos != 0) {
            cur_fail(&c, "a column that is not there, or twice");
            break;
        }
        m->cols[i].key_pos = pos;
    }
    return cur_finish(&c, "TABLE_MAP: primary key", err);
}

static bool define_columns(struct map *m, struct err *err)
{
    for (unsigned i = 0; i < m->ncols; i++) {
        struct wire_column *w = &m->wire[i];
        uint16_t meta = w->meta;
        m->cols[i].nullable = (m->nulls.p[i / 8] >> i % 8 & 1) != 0;
        if (!row_value_define(w->type, meta, w, &m->cols[i], err))
            return err_ctx(err, "column %.*s", BYTES_FMT(m->cols[i].name));
        row_frame_plan(w, &m->cols[i]);
    }
    return true;
}

static bool read_definition(struct map *m, const struct table_map_names *names, const struct schema_source *from,
                            struct err *err)
{
    const struct schema_table *t = NULL;
    if (!from->table(from->ctx, names->schema, names->table, &t, err))
        return false;
    if (t->ncols != m->ncols)
        return err_set(err, ERR_CORRUPT, "TABLE_MAP contradicts the schema history: %u columns, not %u", m->ncols,
                       t->ncols);
    for (unsigned i = 0; i < m->ncols; i++)
        if (!schema_column_define(&t->cols[i], real_type(m, i), m->arena, &m->wire[i], &m->cols[i], err))
            return false;
    if (!define_columns(m, err))
        return false;
    for (unsigned i = 0; i < m->ncols; i++)
        if (!schema_column_check(&t->cols[i], m->wire[i].type, &m->wire[i], &m->cols[i], err))
            return false;
    return true;
}

static bool define(struct map *m, const struct table_map_names *names, const struct schema_source *from,
                   struct relation **rel, struct err *err)
{
    struct cur c = cur_over(names->definition);
    if (!read_head(m, &c, err) || !split_fields(m, &c, err))
        return false;
    m->arena = arena_new(0); /* labels are no larger than the event times 3 */
    if (m->arena == NULL)
        return err_nomem(err);
    if (!m->have[TLV_COLUMN_NAME] && from != NULL)
        return read_definition(m, names, from, err) &&
               relation_new(names->schema, names->table, m->cols, m->ncols, rel, err);
    if (!m->have[TLV_COLUMN_NAME])
        return err_set(err, ERR_UNSUPPORTED,
                       "no column names in the binlog: SET PERSIST binlog_row_metadata = FULL (MariaDB: SET GLOBAL "
                       "binlog_row_metadata = 'FULL'), or capture with --schema-server (docs/schema-history.md)");
    return read_names(m, err) && read_signs(m, err) && read_visibility(m, err) &&
           read_charsets(m, false, TLV_DEFAULT_CHARSET, TLV_COLUMN_CHARSET, err) &&
           read_charsets(m, true, TLV_LABEL_DEFAULT_CHARSET, TLV_LABEL_COLUMN_CHARSET, err) &&
           read_labels(m, WT_ENUM, TLV_ENUM_LABELS, err) && read_labels(m, WT_SET, TLV_SET_LABELS, err) &&
           read_numbers(m, WT_GEOMETRY, TLV_GEOMETRY_TYPE, err) &&
           read_numbers(m, WT_VECTOR, TLV_VECTOR_DIMENSIONS, err) && read_key(m, err) && define_columns(m, err) &&
           relation_new(names->schema, names->table, m->cols, m->ncols, rel, err);
}

bool table_map_define(const struct table_map_names *names, bool mariadb, const struct schema_source *from, bool *asked,
                      struct wire_column **cols, struct relation **rel, struct err *err)
{
    struct map m = { .mariadb = mariadb };
    struct relation *r = NULL;
    bool ok = define(&m, names, from, &r, err);
    *asked = !m.have[TLV_COLUMN_NAME];
    arena_free(m.arena);
    free(m.cols);
    if (!ok) {
        free(m.wire);
        return err_ctx(err, "table %.*s.%.*s", BYTES_FMT(names->schema), BYTES_FMT(names->table));
    }
    *cols = m.wire;
    *rel = r;
    return true;
}

/* --- placeholders --- */

static void put_lenenc(struct buf *out, uint64_t v)
{
    if (v < 251) {
        buf_u8(out, (uint8_t)v);
    } else {
        buf_u8(out, v <= 0xffff ? 252 : 253);
        buf_le(out, v, v <= 0xffff ? 2 : 3);
    }
}

static void put_field(struct buf *out, enum tlv type, struct bytes value)
{
    buf_u8(out, (uint8_t)type);
    put_lenenc(out, value.n);
    buf_bytes(out, value);
}

/* The integer that an ENUM or SET of this many bytes travels as; 0: there is none. */
static uint8_t integer_of(unsigned bytes)
{
    static const uint8_t types[] = { 0, WT_TINY, WT_SHORT, WT_INT24, WT_LONG, 0, 0, 0, WT_LONGLONG };
    return bytes < sizeof types ? types[bytes] : 0;
}

/* The signs that came, and set ones for what became an integer. */
static bool fill_signs(const struct map *m, const uint8_t *real_types, struct buf *out, struct err *err)
{
    uint8_t bits[COLUMNS_MAX / 8] = { 0 };
    unsigned given = 0, n = 0;
    struct bytes f = m->field[TLV_SIGNEDNESS];
    for (unsigned i = 0; i < m->ncols; i++) {
        bool label = has_labels(real_types[i]), sign = has_sign(real_types[i]);
        bool set = label;
        if (sign && m->have[TLV_SIGNEDNESS]) {
            if (given / 8 >= f.n)
                return err_set(err, ERR_CORRUPT, "TABLE_MAP: %zu bytes of signs are too few", f.n);
            set = bit_msb_first(f, given++);
        }
        if (label || sign) {
            bits[n / 8] |= (uint8_t)(set ? 0x80 >> n % 8 : 0);
            n++;
        }
    }
    if (n != 0)
        put_field(out, TLV_SIGNEDNESS, bytes_of(bits, (n + 7) / 8));
    return true;
}

static bool fill(struct map *m, const struct table_map_names *names, struct buf *out, uint8_t *real_types,
                 struct err *err)
{
    static const uint8_t bytes_only[] = { 63 }; /* the collation "binary" */
    static const enum tlv kept[] = { TLV_DEFAULT_CHARSET, TLV_COLUMN_CHARSET, TLV_GEOMETRY_TYPE, TLV_VISIBILITY,
                                     TLV_VECTOR_DIMENSIONS };
    struct buf meta = { 0 }, column_names = { 0 };
    bool ok = true;
    buf_bytes(out, bytes_of(names->definition.p, (size_t)(m->types.p - names->definition.p)));
    for (unsigned i = 0; i < m->ncols && ok; i++) {
        uint8_t type = m->types.p[i];
        real_types[i] = real_type(m, i);
        if (has_labels(real_types[i])) {
            type = integer_of(m->wire[i].meta >> 8);
            ok = type != 0 ||
                 err_set(err, ERR_CORRUPT, "column %u: an ENUM or SET of %u bytes", i + 1, m->wire[i].meta >> 8);
        } else {
            buf_le(&meta, m->wire[i].meta, (size_t)row_meta_bytes(type));
        }
        buf_u8(out, type);
        char name[16];
        int n = snprintf(name, sizeof name, "@%u", i + 1);
        put_lenenc(&column_names, (uint64_t)n);
        buf_str(&column_names, name);
    }
    put_lenenc(out, meta.n);
    buf_bytes(out, buf_view(&meta));
    buf_bytes(out, m->nulls);
    put_field(out, TLV_COLUMN_NAME, buf_view(&column_names));
    ok = ok && fill_signs(m, real_types, out, err);
    for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
        if (m->have[kept[k]])
            put_field(out, kept[k], m->field[kept[k]]);
    if (!m->have[TLV_DEFAULT_CHARSET] && !m->have[TLV_COLUMN_CHARSET])
        put_field(out, TLV_DEFAULT_CHARSET, bytes_of(bytes_only, sizeof bytes_only));
    ok = ok && buf_ok(&meta, err) && buf_ok(&column_names, err) && buf_ok(out, err);
    buf_free(&meta);
    buf_free(&column_names);
    return ok;
}

bool table_map_fill(const struct table_map_names *names, bool mariadb, struct buf *out,
                    struct table_map_missing *missing, uint8_t **real_types, struct err *err)
{
    struct map m = { .mariadb = mariadb };
    struct cur c = cur_over(names->definition);
    uint8_t *types = NULL;
    bool ok = read_head(&m, &c, err) && split_fields(&m, &c, err);
    *missing = (struct table_map_missing){ false, false, false };
    if (ok && !m.have[TLV_COLUMN_NAME]) {
        *missing = (struct table_map_missing){ true, !m.have[TLV_SIGNEDNESS],
                                               !m.have[TLV_DEFAULT_CHARSET] && !m.have[TLV_COLUMN_CHARSET] };
        types = calloc(m.ncols, 1);
        ok = (types != NULL || err_nomem(err)) && fill(&m, names, out, types, err);
    }
    free(m.wire);
    free(m.cols);
    if (!ok) {
        free(types);
        return err_ctx(err, "table %.*s.%.*s", BYTES_FMT(names->schema), BYTES_FMT(names->table));
    }
    *real_types = types;
    return true;
}
