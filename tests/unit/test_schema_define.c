/* test_schema_define.c - TABLE_MAPs without column names, with information_schema's description of the columns: what
 * becomes of them, and each contradiction. */
#include "unit.h"

#include "row_event.h"
#include "schema_source.h"

#include <stdlib.h>

static const struct {
    const char *name, *type, *charset;
    uint64_t octets;
    const char *map; /* of one column: type, metadata with its length, null bits */
    const char *want;
} cases[] = {
    { "int", "int(11)", "", UINT64_MAX, "03 00 01", "int" },
    { "unsigned", "bigint(20) unsigned zerofill", "", UINT64_MAX, "08 00 01", "bigint unsigned" },
    { "without width", "int unsigned", "", UINT64_MAX, "03 00 01", "int unsigned" },
    { "decimal", "decimal(10,2) unsigned", "", UINT64_MAX, "f6 02 0a02 01", "decimal(10,2) unsigned" },
    { "varchar", "varchar(10)", "utf8mb4", 40, "0f 02 2800 01", "varchar(10)" },
    { "varchar latin1", "varchar(40)", "latin1", 40, "0f 02 2800 01", "varchar(40)" },
    { "varbinary", "varbinary(40)", "", 40, "0f 02 2800 01", "varbinary(40)" },
    { "char", "char(3)", "utf8", 9, "fe 02 fe09 01", "char(3)" },
    { "text", "text", "utf8", 65535, "fc 01 02 01", "text" },
    { "longblob", "longblob", "", 4294967295, "fc 01 04 01", "longblob" },
    { "enum", "enum('a','it''s','c\\\\d','e,f','(\\n)')", "latin1", 5, "fe 02 f701 01",
      "enum('a','it''s','c\\\\d','e,f','(\n)')" },
    { "set", "set('x','y')", "latin1", 3, "fe 02 f801 01", "set('x','y')" },
    { "bit", "bit(17)", "", UINT64_MAX, "10 02 0102 01", "bit(17)" },
    { "datetime", "datetime(3)", "", UINT64_MAX, "12 01 03 01", "datetime(3)" },
    { "old datetime", "datetime", "", UINT64_MAX, "0c 00 01", "datetime" },
    { "old timestamp", "timestamp /* 5.5 binary format */", "", UINT64_MAX, "07 00 01", "timestamp" },
    { "point", "point", "", UINT64_MAX, "ff 01 04 01", "" },
    { "NULL", "int(11)", "", UINT64_MAX, "03 00 00", "!NOT NULL" },
    { "another type", "int(11)", "", UINT64_MAX, "08 00 01",
      "!contradicts the schema history, which has it as int(11)" },
    { "another length", "varchar(11)", "utf8mb4", 44, "0f 02 2800 01", "!40 bytes at most" },
    { "another scale", "decimal(10,3)", "", UINT64_MAX, "f6 02 0a02 01", "!decimal(10,2)" },
    { "other digits", "time(2)", "", UINT64_MAX, "13 01 03 01", "!3 fractional digits" },
    { "other bits", "bit(18)", "", UINT64_MAX, "10 02 0102 01", "!bit(17)" },
    { "other labels", "set('1','2','3','4','5','6','7','8','9')", "latin1", 17, "fe 02 f801 01", "!1 bytes" },
    { "more columns", "int(11)", "", UINT64_MAX, "0303 00 03", "!2 columns, not 1" },
    { "no such charset", "char(3)", "klingon", 3, "fe 02 fe03 01", "!character set klingon is not known" },
    { "no such type", "interval", "", UINT64_MAX, "03 00 01", "!its type interval is not known" },
    { "a label with '?'", "enum('a','what?')", "latin1", 5, "fe 02 f701 01", "enum('a','what?')" },
    { "a label that the dictionary hides", "enum('a','?')", "utf8mb4", 4, "fe 02 f701 01", "!beyond U+FFFF" },
    { "no labels", "enum", "latin1", 1, "fe 02 f701 01", "!labels of ENUM or SET" },
    { "torn label", "enum('a", "latin1", 1, "fe 02 f701 01", "!labels of ENUM or SET" },
    { "torn labels", "enum('a'", "latin1", 1, "fe 02 f701 01", "!labels of ENUM or SET" },
    { "no comma", "enum('a'x'b')", "latin1", 1, "fe 02 f701 01", "!no comma behind a label" },
};

static struct schema_column column;
static struct schema_table table = { .ncols = 1, .cols = &column };

static bool answer(void *ctx, struct bytes schema, struct bytes name, const struct schema_table **out, struct err *err)
{
    (void)ctx;
    *out = &table;
    return (bytes_eq_str(schema, "s") && bytes_eq_str(name, "t")) || err_set(err, ERR_UNSUPPORTED, "another table");
}

static bool all(void *ctx, struct bytes schema, struct bytes name)
{
    (void)ctx;
    (void)schema;
    (void)name;
    return true;
}

static void check(size_t i)
{
    char hex[400];
    struct err err = { 0 };
    struct buf got = { 0 };
    const struct table_def *def = NULL;
    struct schema_source from = { .table = answer };
    struct binlog_format fmt = { 0 };
    struct table_defs *defs = table_defs_new();
    bool two = strncmp(cases[i].map, "0303", 4) == 0;
    snprintf(hex, sizeof hex, "700000000000 0100 01 73 00 01 74 00 %s %s", two ? "02" : "01", cases[i].map);
    struct bytes body = unhex(hex);
    struct binlog_event e = { .type = EV_TABLE_MAP, .body = body };
    column = (struct schema_column){ .name = BYTES_LIT("c"),
                                     .type = bytes_str(cases[i].type),
                                     .charset = bytes_str(cases[i].charset),
                                     .nullable = true,
                                     .visible = true,
                                     .octets = cases[i].octets,
                                     .key_pos = 0 };
    CHECK(!table_defs_map(defs, &e, &fmt, all, NULL, &def, &err) && strstr(err.msg, "no column names") != NULL,
          "%s: nobody asked: %s", cases[i].name, err.msg);
    table_defs_ask(defs, &from);
    if (table_defs_map(defs, &e, &fmt, all, NULL, &def, &err)) {
        column_type_text(&def->rel->cols[0], &got);
        CHECK(bytes_eq_str(def->rel->cols[0].name, "c") && def->rel->cols[0].visible, "%s: name", cases[i].name);
    } else {
        buf_printf(&got, "!%s", err.msg);
    }
    const char *want = cases[i].want;
    bool fits = want[0] == '!'
                    ? strstr(buf_cstr(&got), want + 1) != NULL
                    : got.n != 0 && got.p[0] != '!' && (want[0] == '\0' || strcmp(buf_cstr(&got), want) == 0);
    CHECK(fits, "%s: %s", cases[i].name, buf_cstr(&got));
    buf_free(&got);
    table_defs_free(defs);
    free((void *)body.p);
}

/* The same TABLE_MAP means other columns after DDL. */
static void forgets(void)
{
    struct err err = { 0 };
    const struct table_def *def = NULL;
    struct schema_source from = { .table = answer };
    struct binlog_format fmt = { 0 };
    struct table_defs *defs = table_defs_new();
    struct bytes body = unhex("700000000000 0100 01 73 00 01 74 00 01 03 00 01");
    struct binlog_event e = { .type = EV_TABLE_MAP, .body = body };
    table_defs_ask(defs, &from);
    column = (struct schema_column){
        .name = BYTES_LIT("before"), .type = BYTES_LIT("int"), .nullable = true, .octets = UINT64_MAX
    };
    CHECK(table_defs_map(defs, &e, &fmt, all, NULL, &def, &err), "%s", err.msg);
    column.name = BYTES_LIT("after");
    CHECK(table_defs_map(defs, &e, &fmt, all, NULL, &def, &err) && bytes_eq_str(def->rel->cols[0].name, "before"),
          "cached: %s", err.msg);
    table_defs_end_statement(defs);
    table_defs_forget_asked(defs);
    CHECK(table_defs_map(defs, &e, &fmt, all, NULL, &def, &err) && bytes_eq_str(def->rel->cols[0].name, "after"),
          "asked again: %s", err.msg);
    table_defs_free(defs);
    free((void *)body.p);
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(i);
    forgets();
    return UNIT_END();
}
