/* test_pg_sql.c - statement texts, quoting; the type table and DDL of pg_ddl.h. That a server takes them:
 * test_dest_postgres.c. */
#include "batch_fixture.h"
#include "pg_ddl.h"
#include "pg_sql.h"

static struct pg_column cols[] = {
    { .name = (char *)"id",
      .type = 20,
      .cast = (char *)"pg_catalog.int8",
      .text = (char *)"bigint",
      .comparable = true,
      .not_null = true },
    { .name = (char *)"a\"b",
      .type = 25,
      .cast = (char *)"pg_catalog.text",
      .text = (char *)"text",
      .comparable = true },
    { .name = (char *)"j", .type = 114, .cast = (char *)"pg_catalog.json", .text = (char *)"json" },
    { .name = (char *)"v",
      .type = 1043,
      .cast = (char *)"pg_catalog.varchar",
      .text = (char *)"character varying(20)",
      .comparable = true },
    { .name = (char *)"n",
      .type = 23,
      .cast = (char *)"pg_catalog.int4",
      .text = (char *)"integer",
      .comparable = true },
};
static struct pg_table table = { .kind = 'r', .schema = (char *)"s", .name = (char *)"t\"t", .ncols = 5, .cols = cols };
#define CHECKED                                                                                                        \
    " RETURNING 1) SELECT CASE WHEN count(*) = 1 THEN 1 ELSE CAST('rowtide_rows=' || count(*) AS pg_catalog.int4) "    \
    "END FROM w"

static void test_statements(void)
{
    const struct pg_sql_col id = { .col = &cols[0] }, a = { .col = &cols[1] },
                            a_null = { .col = &cols[1], .null = true }, j = { .col = &cols[2], .as_text = true };
    const struct pg_sql_col set[] = { a, j }, two[] = { id, j }, odd[] = { id, a_null, j };
    static const struct {
        int op; /* 0 insert 1 update 2 delete */
        bool many, whole, parts;
        unsigned nset, nwhere;
        int where; /* 0: id, 1: id, j; 2: id, a IS NULL, j */
        const char *want;
    } cases[] = {
        { 0, false, false, false, 2, 0, 0,
          "INSERT INTO \"s\".\"t\"\"t\" (\"a\"\"b\",\"j\") OVERRIDING SYSTEM VALUE VALUES ($1,$2::pg_catalog.json)" },
        { 0, true, false, false, 2, 0, 0,
          "INSERT INTO \"s\".\"t\"\"t\" (\"a\"\"b\",\"j\") OVERRIDING SYSTEM VALUE SELECT u.c1,u.c2::pg_catalog.json "
          "FROM (SELECT unnest($1) AS c1,unnest($2) AS c2) AS u" },
        { 0, false, false, false, 0, 0, 0, "INSERT INTO \"s\".\"t\"\"t\" DEFAULT VALUES" },
        { 1, false, false, false, 2, 1, 0,
          "WITH w AS (UPDATE \"s\".\"t\"\"t\" AS t SET \"a\"\"b\" = $1, \"j\" = $2::pg_catalog.json WHERE t.\"id\" = "
          "$3" CHECKED },
        { 1, false, false, false, 0, 1, 0,
          "WITH w AS (UPDATE \"s\".\"t\"\"t\" AS t SET \"id\" = t.\"id\" WHERE t.\"id\" = $1" CHECKED },
        { 1, true, false, false, 1, 1, 0,
          "UPDATE \"s\".\"t\"\"t\" AS t SET \"a\"\"b\" = u.c1 FROM (SELECT unnest($1) AS c1,unnest($2) AS c2) AS u "
          "WHERE t.\"id\" = u.c2" },
        { 1, false, true, false, 1, 3, 2,
          "WITH w AS (UPDATE \"s\".\"t\"\"t\" AS t SET \"a\"\"b\" = $1 WHERE t.ctid = (SELECT x.ctid FROM "
          "\"s\".\"t\"\"t\" AS x WHERE x.\"id\" = $2 "
          "AND x.\"a\"\"b\" IS NULL AND x.\"j\"::pg_catalog.text = ($3::pg_catalog.json)::pg_catalog.text LIMIT "
          "1)" CHECKED },
        { 2, false, false, false, 0, 1, 0, "WITH w AS (DELETE FROM \"s\".\"t\"\"t\" AS t WHERE t.\"id\" = $1" CHECKED },
        { 2, true, false, false, 0, 1, 0, "DELETE FROM \"s\".\"t\"\"t\" AS t WHERE t.\"id\" = ANY($1)" },
        { 2, true, false, false, 0, 2, 1,
          "DELETE FROM \"s\".\"t\"\"t\" AS t USING (SELECT unnest($1) AS c1,unnest($2) AS c2) AS u WHERE t.\"id\" = "
          "u.c1 AND "
          "t.\"j\"::pg_catalog.text = "
          "(u.c2::pg_catalog.json)::pg_catalog.text" },
        { 2, false, true, true, 0, 1, 0,
          "WITH w AS (DELETE FROM \"s\".\"t\"\"t\" AS t WHERE (t.tableoid, t.ctid) = (SELECT x.tableoid, x.ctid FROM "
          "\"s\".\"t\"\"t\" AS x WHERE "
          "x.\"id\" = $1 LIMIT 1)" CHECKED },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = { 0 };
        table.kind = cases[i].parts ? 'p' : 'r';
        struct pg_sql_spec s = { .table = &table,
                                 .many = cases[i].many,
                                 .whole_row = cases[i].whole,
                                 .set = set,
                                 .nset = cases[i].nset,
                                 .where = cases[i].where == 0   ? &id
                                          : cases[i].where == 1 ? two
                                                                : odd,
                                 .nwhere = cases[i].nwhere };
        (cases[i].op == 0 ? pg_sql_insert : cases[i].op == 1 ? pg_sql_update : pg_sql_delete)(&out, &s);
        CHECK(strcmp(buf_cstr(&out), cases[i].want) == 0, "case %zu:\n  want %s\n  got  %s", i, cases[i].want,
              buf_cstr(&out));
        buf_free(&out);
    }
}

static void test_quoting(void)
{
    static const struct {
        const char *in, *ident, *literal;
        size_t n;
    } cases[] = {
        { "x", "\"x\"", "'x'", 1 },
        { "a\"b'c\\", "\"a\"\"b'c\\\"", "'a\"b''c\\'", 6 },
        { "", "\"\"", "''", 0 },
        { "a\0b", "\"ab\"", "'ab'", 3 },
        { "\"; DROP TABLE x; --", "\"\"\"; DROP TABLE x; --\"", "'\"; DROP TABLE x; --'", 19 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf a = { 0 }, b = { 0 };
        pg_ident(&a, bytes_of(cases[i].in, cases[i].n));
        pg_literal(&b, bytes_of(cases[i].in, cases[i].n));
        CHECK(strcmp(buf_cstr(&a), cases[i].ident) == 0, "ident %zu: %s", i, buf_cstr(&a));
        CHECK(strcmp(buf_cstr(&b), cases[i].literal) == 0, "literal %zu: %s", i, buf_cstr(&b));
        buf_free(&a);
        buf_free(&b);
    }
    struct buf n = { 0 };
    pg_name(&n, "", "t");
    CHECK(strcmp(buf_cstr(&n), "\"public\".\"t\"") == 0, "default schema: %s", buf_cstr(&n));
    buf_free(&n);
}

static void test_types(void)
{
    static const struct {
        struct column c;
        const char *want, *geometry;
    } cases[] = {
        { { .type = COL_INT, .int_bits = 8 }, "smallint", "" },
        { { .type = COL_INT, .int_bits = 8, .is_unsigned = true }, "smallint", "" },
        { { .type = COL_INT, .int_bits = 16 }, "smallint", "" },
        { { .type = COL_INT, .int_bits = 16, .is_unsigned = true }, "integer", "" },
        { { .type = COL_INT, .int_bits = 24 }, "integer", "" },
        { { .type = COL_INT, .int_bits = 24, .is_unsigned = true }, "integer", "" },
        { { .type = COL_INT, .int_bits = 32 }, "integer", "" },
        { { .type = COL_INT, .int_bits = 32, .is_unsigned = true }, "bigint", "" },
        { { .type = COL_INT, .int_bits = 64 }, "bigint", "" },
        { { .type = COL_INT, .int_bits = 64, .is_unsigned = true }, "numeric(20,0)", "" },
        { { .type = COL_DECIMAL, .precision = 10, .scale = 2 }, "numeric(10,2)", "" },
        { { .type = COL_CHAR, .length = 40, .char_bytes = 4 }, "character varying(10)", "" },
        { { .type = COL_VARCHAR, .length = 40 }, "character varying(40)", "" },
        { { .type = COL_VARCHAR, .length = 0 }, "character varying(1)", "" },
        { { .type = COL_TIMESTAMP, .scale = 6 }, "timestamp(6) with time zone", "" },
        { { .type = COL_DATETIME }, "timestamp(0) without time zone", "" },
        { { .type = COL_BIT, .length = 7 }, "bit(7)", "" },
        { { .type = COL_GEOMETRY }, "bytea", "" },
        { { .type = COL_GEOMETRY }, "public.geometry", "public.geometry" },
        { { .type = COL_YEAR }, "integer", "" },
        { { .type = COL_ENUM }, "text", "" },
        { { .type = COL_SET }, "text[]", "" },
        { { .type = COL_TIME, .scale = 3 }, "interval", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = { 0 };
        struct pg_ddl_options o = { .geometry = cases[i].geometry };
        pg_ddl_type(&cases[i].c, &o, &b);
        CHECK(strcmp(buf_cstr(&b), cases[i].want) == 0, "type %zu: %s", i, buf_cstr(&b));
        buf_free(&b);
    }
}

static void test_create(void)
{
    struct err err;
    struct shape_table *t = shape_table_new();
    const struct shape *own = SHAPE(t, "shop", "t", COL("k2", INT, .key_pos = 2), COL("k1", COL_DATE, .key_pos = 1),
                                    COL("d", COL_DATETIME), COL("x", INT), COL("y", INT, .nullable = true));
    struct shape_col sc[] = {
        own->cols[0], own->cols[3], { .name = bytes_str("extra") }, { .name = bytes_str("none") }
    };
    const uint16_t key[] = { 0 };
    const struct shape *s = shape_intern(t, bytes_str(""), bytes_str("t2"), sc, 4, key, 1, own->rel, &err);
    const struct val row[] = { VI(1), VT("a script put a text there"), { .kind = VAL_F64, .u.f64 = 1 }, VN };
    struct pg_ddl_options null = { .zero_date = ZERO_DATE_NULL }, error = { .zero_date = ZERO_DATE_ERROR };
    static const char *const want[] = {
        "CREATE TABLE IF NOT EXISTS \"shop\".\"t\" (\"k2\" bigint NOT NULL, \"k1\" date NOT NULL, \"d\" timestamp(0) "
        "without time zone, "
        "\"x\" bigint NOT NULL, \"y\" bigint, PRIMARY KEY (\"k1\", \"k2\"))",
        "CREATE TABLE IF NOT EXISTS \"shop\".\"t\" (\"k2\" bigint NOT NULL, \"k1\" date NOT NULL, \"d\" timestamp(0) "
        "without time zone NOT NULL, "
        "\"x\" bigint NOT NULL, \"y\" bigint, PRIMARY KEY (\"k1\", \"k2\"))",
        "CREATE TABLE IF NOT EXISTS \"public\".\"t2\" (\"k2\" bigint NOT NULL, \"x\" text NOT NULL, \"extra\" double "
        "precision, \"none\" text, "
        "PRIMARY KEY (\"k2\"))",
    };
    for (int i = 0; i < 3; i++) {
        struct buf b = { 0 };
        pg_ddl_create(i == 2 ? s : own, i == 2 ? row : NULL, i == 1 ? &error : &null, &b);
        CHECK(strcmp(buf_cstr(&b), want[i]) == 0, "create %d:\n  want %s\n  got  %s", i, want[i], buf_cstr(&b));
        buf_free(&b);
    }
    shape_table_free(t);
}

static void test_clauses(void)
{
    /* kind of answer: P pass, R run, S stop; then the SQL (R, S) */
    static const struct {
        const char *sql, *want;
        bool evolve, missing, script;
    } cases[] = {
        { "ALTER TABLE t ADD c INT", "P", false, false, false },
        { "ALTER TABLE t ADD c INT", "P", true, true, false },
        { "ALTER TABLE t ADD n INT NOT NULL", "P", true, false, false },
        { "ALTER TABLE t ADD c INT", "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" integer", true, false, false },
        { "ALTER TABLE t ADD c INT NOT NULL",
          "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" integer DEFAULT '0' NOT NULL", true, false, false },
        { "ALTER TABLE t ADD c INT DEFAULT NULL", "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" integer", true, false,
          false },
        { "ALTER TABLE t ADD c INT UNSIGNED NOT NULL DEFAULT 7",
          "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" bigint DEFAULT '7' NOT NULL", true, false, false },
        { "ALTER TABLE t ADD c DOUBLE DEFAULT -1.5",
          "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" double precision DEFAULT '-1.5'", true, false, false },
        { "ALTER TABLE t ADD c DECIMAL(4,1) DEFAULT 1.25",
          "SALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" numeric(4,1)", true, false, false },
        { "ALTER TABLE t ADD c DATE DEFAULT '0000-00-00'", "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" date", true,
          false, false },
        { "ALTER TABLE t ADD c DATE DEFAULT '2024-02-29'",
          "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" date DEFAULT '2024-02-29'", true, false, false },
        { "ALTER TABLE t ADD c DATE DEFAULT '24-2-29'", "SALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" date", true,
          false, false },
        { "ALTER TABLE t ADD c TIMESTAMP NULL DEFAULT '2024-02-29 00:00:00'",
          "SALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" timestamp(0) with time zone", true, false, false },
        { "ALTER TABLE t ADD c ENUM('a','b') DEFAULT 'B'",
          "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" text DEFAULT 'b'", true, false, false },
        { "ALTER TABLE t ADD c ENUM('a','b') DEFAULT 'z'", "SALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" text", true,
          false, false },
        { "ALTER TABLE t ADD c BIT(4) DEFAULT 5",
          "RALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" bit(4) DEFAULT B'0101'", true, false, false },
        { "ALTER TABLE t ADD c JSON NOT NULL",
          "SALTER TABLE \"s\".\"t\"\"t\" ADD COLUMN \"c\" jsonb NOT NULL DEFAULT ...", true, false, false },
        { "ALTER TABLE t ADD c NEWTYPE", "S", true, false, false },
        { "ALTER TABLE t MODIFY v VARCHAR(20) CHARACTER SET utf8mb4", "P", false, false, false },
        { "ALTER TABLE t MODIFY v VARCHAR(30)",
          "SALTER TABLE \"s\".\"t\"\"t\" ALTER COLUMN \"v\" TYPE character varying(30)", false, false, false },
        { "ALTER TABLE t MODIFY v VARCHAR(30)",
          "RALTER TABLE \"s\".\"t\"\"t\" ALTER COLUMN \"v\" TYPE character varying(30)", true, false, false },
        { "ALTER TABLE t MODIFY v VARCHAR(10)",
          "SALTER TABLE \"s\".\"t\"\"t\" ALTER COLUMN \"v\" TYPE character varying(10)", true, false, false },
        { "ALTER TABLE t MODIFY v TEXT", "RALTER TABLE \"s\".\"t\"\"t\" ALTER COLUMN \"v\" TYPE text", true, false,
          false },
        { "ALTER TABLE t MODIFY n BIGINT UNSIGNED",
          "RALTER TABLE \"s\".\"t\"\"t\" ALTER COLUMN \"n\" TYPE numeric(20,0)", true, false, false },
        { "ALTER TABLE t MODIFY n SMALLINT", "SALTER TABLE \"s\".\"t\"\"t\" ALTER COLUMN \"n\" TYPE smallint", true,
          false, false },
        { "ALTER TABLE t MODIFY n DOUBLE", "SALTER TABLE \"s\".\"t\"\"t\" ALTER COLUMN \"n\" TYPE double precision",
          true, false, false },
        { "ALTER TABLE t MODIFY `a\"b` VARCHAR(99)", "P", false, false, false }, /* text here */
        { "ALTER TABLE t CHANGE n n2 INT", "SALTER TABLE \"s\".\"t\"\"t\" RENAME COLUMN \"n\" TO \"n2\"", true, false,
          false },
        { "ALTER TABLE t CHANGE gone n INT", "P", true, false, false }, /* done by hand */
        { "ALTER TABLE t RENAME COLUMN gone TO n", "P", true, false, false },
        { "ALTER TABLE t MODIFY gone INT", "P", true, false, false },
        { "ALTER TABLE t MODIFY gone INT", "S", true, false, true },
        { "ALTER TABLE t DROP COLUMN n", "P", true, false, true },
        { "ALTER TABLE t DROP PARTITION p", "P", true, true, false },
        { "ALTER TABLE t DROP PARTITION p", "S", true, true, true },
        { "ALTER TABLE t DROP PARTITION p", "S", true, false, false },
        { "ALTER TABLE t RENAME TO t2", "SALTER TABLE \"s\".\"t\"\"t\" RENAME TO \"t2\"", true, false, false },
        { "ALTER TABLE t RENAME TO t2", "P", true, true, true },
        { "ALTER TABLE t ENGINE=InnoDB", "P", true, false, true },
    };
    table.kind = 'r';
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        struct arena *a = arena_new(0);
        struct ddl d;
        struct ddl_context ctx = { .default_schema = bytes_str("s") };
        struct buf sql = { 0 }, got = { 0 };
        const char *why = NULL;
        CHECK(ddl_parse(bytes_str(cases[i].sql), &ctx, a, &d, &err) && d.nclauses == 1, "%s: not one clause",
              cases[i].sql);
        struct pg_ddl_options o = { .zero_date = ZERO_DATE_NULL, .evolve = cases[i].evolve, .script = cases[i].script };
        enum pg_ddl_answer answer = pg_ddl_clause(cases[i].missing ? NULL : &table, &d.clauses[0],
                                                  bytes_str(cases[i].sql), &o, &sql, &why);
        buf_printf(&got, "%c%s", "PRS"[answer], answer == PG_DDL_PASS ? "" : buf_cstr(&sql));
        CHECK(strcmp(buf_cstr(&got), cases[i].want) == 0, "%s:\n  want %s\n  got  %s (%s)", cases[i].sql, cases[i].want,
              buf_cstr(&got), why);
        CHECK(answer != PG_DDL_STOP || (why != NULL && why[0] != '\0'), "%s: no reason given", cases[i].sql);
        buf_free(&sql);
        buf_free(&got);
        arena_free(a);
    }
}

int main(void)
{
    test_quoting();
    test_statements();
    test_types();
    test_create();
    test_clauses();
    return UNIT_END();
}
