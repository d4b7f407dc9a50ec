/* test_ddl.c - what statements do to which tables. Each result is printed in a short form and compared as text:
 *
 *   KIND tables [if_exists] [replaces] [select] | clause | clause
 *   +name type [null] [invisible] [key] [charset] [=literal | =NULL | =expr] [gen] [if_not_exists]     ADD COLUMN
 *   -name   ~old>new type ...   >schema.table (rename)   ok (harmless)   ROWS   ? (unknown) */
#include "unit.h"

#include "ddl.h"

static const char *const kinds[] = { "OTHER",     "CREATE",     "ALTER",       "DROP",        "RENAME", "TRUNCATE",
                                     "ADD-INDEX", "DROP-INDEX", "DROP-SCHEMA", "TRANSACTION", "DML" };

static void put_column(struct buf *b, const struct ddl_clause *c)
{
    const struct column *col = &c->column;
    buf_u8(b, ' ');
    if (col->type == 0)
        buf_str(b, "(unknown)");
    else
        column_type_text(col, b);
    buf_str(b, col->nullable ? "" : " notnull");
    buf_str(b, col->visible ? "" : " invisible");
    buf_str(b, col->key_pos != 0 ? " key" : "");
    if (col->charset.n != 0)
        buf_printf(b, " %.*s/%u", BYTES_FMT(col->charset), col->char_bytes);
    if (c->def == DDL_DEF_LITERAL)
        buf_printf(b, " =%.*s", BYTES_FMT(c->def_text));
    else if (c->def != DDL_DEF_NONE)
        buf_str(b, c->def == DDL_DEF_NULL ? " =NULL" : " =expr");
    buf_str(b, c->generated ? " gen" : "");
    buf_str(b, c->if_not_exists ? " if_not_exists" : "");
}

static void put_clause(struct buf *b, const struct ddl_clause *c)
{
    switch (c->kind) {
    case DDL_C_HARMLESS:
        buf_str(b, " | ok");
        return;
    case DDL_C_ROWS:
        buf_str(b, " | ROWS");
        if (c->to.table.n != 0)
            buf_printf(b, " %.*s.%.*s", BYTES_FMT(c->to.schema), BYTES_FMT(c->to.table));
        return;
    case DDL_C_UNKNOWN:
        buf_str(b, " | ?");
        return;
    case DDL_C_DROP_COLUMN:
        buf_printf(b, " | -%.*s", BYTES_FMT(c->name));
        return;
    case DDL_C_RENAME_TABLE:
        buf_printf(b, " | >%.*s.%.*s", BYTES_FMT(c->to.schema), BYTES_FMT(c->to.table));
        return;
    case DDL_C_ADD_COLUMN:
        buf_printf(b, " | +%.*s", BYTES_FMT(c->name));
        put_column(b, c);
        return;
    case DDL_C_CHANGE_COLUMN:
        buf_printf(b, " | ~%.*s", BYTES_FMT(c->name));
        if (c->new_name.n != 0)
            buf_printf(b, ">%.*s", BYTES_FMT(c->new_name));
        if (c->column.name.n != 0)
            put_column(b, c);
        return;
    }
    buf_str(b, " | BAD KIND");
}

static void put_ddl(struct buf *b, const struct ddl *d)
{
    buf_str(b, (unsigned)d->kind < sizeof kinds / sizeof kinds[0] ? kinds[d->kind] : "BAD KIND");
    for (unsigned i = 0; i < d->ntables; i++)
        buf_printf(b, " %.*s.%.*s", BYTES_FMT(d->tables[i].schema), BYTES_FMT(d->tables[i].table));
    buf_str(b, d->if_exists ? " if_exists" : "");
    buf_str(b, d->replaces ? " replaces" : "");
    buf_str(b, d->as_select ? " select" : "");
    for (unsigned i = 0; i < d->nclauses; i++)
        put_clause(b, &d->clauses[i]);
}

enum { ANSI = 1, NO_BACKSLASH = 2 };

static const struct {
    int mode;
    const char *sql, *want;
} cases[] = {
    /* statements */
    { 0, "", "OTHER" },
    { 0, ";", "OTHER" },
    { 0, "/* only a comment", "OTHER" },
    { 0, "CREATE USER x", "OTHER" },
    { 0, "CREATE VIEW v AS SELECT 1", "OTHER" },
    { 0, "CREATE OR REPLACE DEFINER=`a`@`b` VIEW v AS SELECT 1", "OTHER" },
    { 0, "create database x", "OTHER" },
    { 0, "ALTER DATABASE x CHARACTER SET utf8mb4", "OTHER" },
    { 0, "ALTER USER u IDENTIFIED BY 'x'", "OTHER" },
    { 0, "RENAME USER a TO b", "OTHER" },
    { 0, "DROP VIEW a", "OTHER" },
    { 0, "DROP PROCEDURE a", "OTHER" },
    { 0, "SET PASSWORD = 'x'", "OTHER" },
    { 0, "GRANT ALL ON *.* TO x", "OTHER" },
    { 0, "OPTIMIZE TABLE t", "OTHER" },
    { 0, "BEGIN", "TRANSACTION" },
    { 0, "COMMIT", "TRANSACTION" },
    { 0, "/* x */ rollback to savepoint a", "TRANSACTION" },
    { 0, "SAVEPOINT `a`", "TRANSACTION" },
    { 0, "RELEASE SAVEPOINT a", "TRANSACTION" },
    { 0, "START TRANSACTION", "TRANSACTION" },
    { 0, "START SLAVE", "OTHER" },
    { 0, "XA START X'78',X'',1", "TRANSACTION" },
    { 0, "XA COMMIT X'78'", "TRANSACTION" },
    { 0, "# Dummy event", "OTHER" },
    /* DML */
    { 0, "INSERT INTO t VALUES (1)", "DML db.t" },
    { 0, "ANALYZE UPDATE t SET a = 1", "DML db.t" },
    { 0, "ANALYZE FORMAT=JSON DELETE FROM t", "DML db.t" },
    { 0, "SET STATEMENT a=1 FOR analyze insert into t values (1)", "DML db.t" },
    { 0, "EXPLAIN ANALYZE UPDATE t SET a = 1", "DML db.t" },
    { 0, "ANALYZE TABLE t", "OTHER" },
    { 0, "ANALYZE LOCAL TABLE t", "OTHER" },
    { 0, "insert low_priority ignore t set a=1", "DML db.t" },
    { 0, "INSERT INTO `s`.`t` SELECT * FROM u", "DML s.t" },
    { 0, "REPLACE DELAYED INTO s.t (a) VALUES (1)", "DML s.t" },
    { 0, "UPDATE t SET a=1", "DML db.t" },
    { 0, "UPDATE LOW_PRIORITY IGNORE t AS x SET a=1 WHERE b", "DML db.t" },
    { 0, "UPDATE t x SET a=1", "DML db.t" },
    { 0, "UPDATE t PARTITION (p0, p1) SET a=1", "DML db.t" },
    { 0, "UPDATE t, u SET t.a=u.a", "DML" },
    { 0, "UPDATE t JOIN u USING (id) SET t.a=1", "DML" },
    { 0, "UPDATE t x LEFT JOIN u ON 1 SET a=1", "DML" },
    { 0, "UPDATE (SELECT 1) x, t SET a=1", "DML" },
    { 0, "DELETE FROM t", "DML db.t" },
    { 0, "DELETE QUICK FROM t WHERE a=1 LIMIT 1", "DML db.t" },
    { 0, "DELETE FROM t, u USING t JOIN u", "DML" },
    { 0, "DELETE FROM t USING t JOIN u", "DML" },
    { 0, "DELETE FROM t.* USING t", "DML" },
    { 0, "DELETE t FROM t JOIN u", "DML" },
    { 0, "DELETE FROM t FOR PORTION OF p FROM 1 TO 2 WHERE a", "DML db.t" },
    { 0, "LOAD DATA LOCAL INFILE '/tmp/INTO TABLE x' IGNORE INTO TABLE s.t FIELDS TERMINATED BY ','", "DML s.t" },
    { 0, "LOAD DATA INFILE 'x' REPLACE INTO TABLE `t` (a, b)", "DML db.t" },
    { 0, "WITH c AS (SELECT 1) UPDATE t, c SET a=1", "DML" },
    { 0, "WITH c AS (SELECT 1) DELETE FROM t", "DML" },
    { 0, "SELECT `db`.`f`()", "DML" },
    /* names and quoting */
    { 0, "TRUNCATE TABLE x", "TRUNCATE db.x" },
    { 0, "TRUNCATE `weird`.`na``me`", "TRUNCATE weird.na`me" },
    { 0, "truncate s . t", "TRUNCATE s.t" },
    { 0, "TRUNCATE TABLE 1a.2b", "TRUNCATE 1a.2b" },
    { 0, "TRUNCATE TABLE s.123", "TRUNCATE s.123" },
    { 0, "TRUNCATE TABLE s.1e5", "TRUNCATE s.1e5" },
    { 0, "TRUNCATE TABLE 0xyz", "TRUNCATE db.0xyz" },
    { 0, "TRUNCATE TABLE `t.u`", "TRUNCATE db.t.u" },
    { 0, "TRUNCATE TABLE a$b_1\xc3\xa9", "TRUNCATE db.a$b_1\xc3\xa9" },
    { ANSI, "TRUNCATE TABLE \"s\".\"a\"\"b\"", "TRUNCATE s.a\"b" },
    { 0, "TRUNCATE TABLE \"s\"", "OTHER" },
    { 0, "TRUNCATE TABLE `open", "TRUNCATE db.open" },
    { 0, "TRUNCATE TABLE ``", "OTHER" },
    { 0, "TRUNCATE -- note\n TABLE # more\n t", "TRUNCATE db.t" },
    { 0, "/*!40000 TRUNCATE */ /*M!100100 TABLE */ t /* ; */", "TRUNCATE db.t" },
    { 0, "/*!50000 TRUNCATE /* inner */ TABLE t */", "TRUNCATE db.t" },
    { 0, "TRUNCATE t; DROP TABLE u", "TRUNCATE db.t" },
    /* CREATE, DROP, RENAME, indexes */
    { 0, "CREATE TABLE t (a int)", "CREATE db.t" },
    { 0, "CREATE TABLE IF NOT EXISTS s.t (a int) COMMENT 'select'", "CREATE s.t" },
    { 0, "CREATE OR REPLACE TABLE t (a int)", "CREATE db.t replaces" },
    { 0, "CREATE TEMPORARY TABLE t (a int)", "OTHER" },
    { 0, "CREATE /*!40001 TEMPORARY */ TABLE t (a int)", "OTHER" },
    { 0, "CREATE OR REPLACE TEMPORARY TABLE t (a int)", "OTHER" },
    { 0, "CREATE TABLE t LIKE s.u", "CREATE db.t" },
    { 0, "CREATE TABLE t (LIKE s.u)", "CREATE db.t" },
    { 0, "CREATE TABLE t SELECT 1", "CREATE db.t select" },
    { 0, "CREATE TABLE t AS SELECT 1", "CREATE db.t select" },
    { 0, "CREATE TABLE t (a int) ENGINE=InnoDB IGNORE AS (SELECT 1)", "CREATE db.t select" },
    { 0, "CREATE TABLE t ((SELECT 1))", "CREATE db.t select" },
    { 0, "CREATE TABLE t AS WITH c AS (SELECT 1) SELECT * FROM c", "CREATE db.t select" },
    { 0, "CREATE TABLE t AS TABLE u", "CREATE db.t select" },
    { 0, "CREATE TABLE t (a int AS (b + 1), b int) START TRANSACTION", "CREATE db.t" },
    { 0, "CREATE TABLE t (a int DEFAULT (1)) WITH SYSTEM VERSIONING PARTITION BY LIST (a) (PARTITION p VALUES IN (1))",
      "CREATE db.t" },
    { 0, "CREATE UNIQUE INDEX i ON s.t (a)", "ADD-INDEX s.t" },
    { 0, "CREATE OR REPLACE FULLTEXT INDEX IF NOT EXISTS `on` USING BTREE ON t (a)", "ADD-INDEX db.t" },
    { 0, "DROP INDEX `PRIMARY` ON t", "DROP-INDEX db.t" },
    { 0, "DROP INDEX IF EXISTS i ON s.t", "DROP-INDEX s.t if_exists" },
    { 0, "DROP TABLE a,b , s.`c` /* generated by server */", "DROP db.a db.b s.c" },
    { 0, "DROP TABLES IF EXISTS a CASCADE", "DROP db.a if_exists" },
    { 0, "DROP TEMPORARY TABLE a", "OTHER" },
    { 0, "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `a`", "OTHER" },
    { 0, "DROP DATABASE IF EXISTS `x y`", "DROP-SCHEMA x y. if_exists" },
    { 0, "DROP SCHEMA x", "DROP-SCHEMA x." },
    { 0, "RENAME TABLE a TO b, s.b TO z.c", "RENAME db.a db.b s.b z.c" },
    { 0, "RENAME TABLE IF EXISTS a WAIT 5 TO b", "RENAME db.a db.b if_exists" },
    /* ALTER TABLE */
    { 0, "ALTER TABLE t", "ALTER db.t" },
    { 0, "/* ApplicationName=x */ ALTER TABLE t ADD a int", "ALTER db.t | +a int" },
    { 0, "SET STATEMENT max_statement_time=1, sql_mode='FOR' FOR ALTER TABLE t DROP a", "ALTER db.t | -a" },
    { 0, "SET STATEMENT a=(1) FOR INSERT INTO t VALUES (1)", "DML db.t" },
    { 0, "ALTER ONLINE IGNORE TABLE IF EXISTS s.t NOWAIT ADD a int", "ALTER s.t if_exists | +a int" },
    { 0, "ALTER TABLE t ADD (a int, b varchar(10) NOT NULL, KEY k (a, b)), DROP c",
      "ALTER db.t | +a int | +b varchar(10) notnull | ok | -c" },
    { 0,
      "ALTER TABLE t ADD COLUMN IF NOT EXISTS a int FIRST, ADD COLUMN b int AFTER `comment`, DROP COLUMN IF EXISTS c "
      "RESTRICT",
      "ALTER db.t | +a int if_not_exists | +b int | -c" },
    { 0, "ALTER TABLE t MODIFY a bigint unsigned NOT NULL, CHANGE COLUMN b `c d` text, MODIFY COLUMN IF EXISTS e date",
      "ALTER db.t | ~a bigint unsigned notnull | ~b>c d text | ~e date" },
    { 0, "ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX x TO y, RENAME KEY x TO y, RENAME TO s.u",
      "ALTER db.t | ~a>b | ok | ok | >s.u" },
    { 0, "ALTER TABLE t RENAME AS u", "ALTER db.t | >db.u" },
    { 0, "ALTER TABLE t RENAME = u", "ALTER db.t | >db.u" },
    { 0, "ALTER TABLE t RENAME u", "ALTER db.t | >db.u" },
    { 0,
      "ALTER TABLE t ADD INDEX i (a, b), ADD UNIQUE KEY (a), ADD PRIMARY KEY (a), ADD FULLTEXT (a), ADD CONSTRAINT x "
      "CHECK (a > 1), "
      "ADD FOREIGN KEY (a) REFERENCES u (a) ON DELETE CASCADE, ADD VECTOR INDEX (v)",
      "ALTER db.t | ok | ok | ok | ok | ok | ok | ok" },
    { 0, "ALTER IGNORE TABLE t ADD UNIQUE (a), ADD INDEX (b)", "ALTER db.t | ROWS | ok" },
    { 0, "ALTER TABLE t DROP PRIMARY KEY, DROP INDEX a, DROP FOREIGN KEY b, DROP CONSTRAINT c, DROP CHECK d",
      "ALTER db.t | ok | ok | ok | ok | ok" },
    { 0, "ALTER TABLE t ALGORITHM=INPLACE, LOCK=NONE, ADD a int", "ALTER db.t | ok | ok | +a int" },
    { 0, "ALTER TABLE t ALTER COLUMN a SET DEFAULT 'x, y', ALTER b DROP DEFAULT, ALTER INDEX i INVISIBLE",
      "ALTER db.t | ok | ok | ok" },
    { 0, "ALTER TABLE t ENGINE=InnoDB ROW_FORMAT=DYNAMIC, COMMENT='x', AUTO_INCREMENT 5, DEFAULT CHARSET utf8, FORCE",
      "ALTER db.t | ok | ok | ok | ok | ok" },
    { 0, "ALTER TABLE t ENGINE = BLACKHOLE", "ALTER db.t | ROWS" },
    { 0, "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, ADD a int",
      "ALTER db.t | ROWS | +a int" },
    { 0, "ALTER TABLE t ORDER BY a, b DESC, s.t.c", "ALTER db.t | ok" },
    { 0, "ALTER TABLE t ORDER BY a, DROP b", "ALTER db.t | ok | -b" },
    { 0, "ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (5), PARTITION q VALUES LESS THAN (6))",
      "ALTER db.t | ok" },
    { 0, "ALTER TABLE t DROP PARTITION p0, p1", "ALTER db.t | ROWS" },
    { 0, "ALTER TABLE t TRUNCATE PARTITION ALL", "ALTER db.t | ROWS" },
    { 0, "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u", "ALTER db.t | ROWS db.u" },
    { 0, "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE `s`.`u` WITHOUT VALIDATION", "ALTER db.t | ROWS s.u" },
    { 0, "ALTER TABLE t DISCARD TABLESPACE", "ALTER db.t | ROWS" },
    { 0, "ALTER TABLE t IMPORT PARTITION p TABLESPACE", "ALTER db.t | ROWS" },
    { 0, "ALTER TABLE t CONVERT PARTITION p TO TABLE u", "ALTER db.t | ROWS db.u" },
    { 0, "ALTER TABLE t CONVERT TABLE s.u TO PARTITION p VALUES LESS THAN (7)", "ALTER db.t | ROWS s.u" },
    { 0, "ALTER TABLE t REORGANIZE PARTITION p, q INTO (PARTITION r VALUES IN (1))", "ALTER db.t | ok" },
    { 0, "ALTER TABLE t ANALYZE PARTITION p, q", "ALTER db.t | ok" },
    { 0, "ALTER TABLE t PARTITION BY HASH (a) PARTITIONS 4", "ALTER db.t | ok" },
    { 0, "ALTER TABLE t REMOVE PARTITIONING", "ALTER db.t | ok" },
    { 0, "ALTER TABLE t ADD a int /*!50100 PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (1)) */",
      "ALTER db.t | +a int" },
    { 0, "ALTER TABLE t ADD SYSTEM VERSIONING", "ALTER db.t | ?" },
    { 0, "ALTER TABLE t FROBNICATE (a, b), ADD a int", "ALTER db.t | ? | +a int" },
    { 0, "ALTER TABLE t ADD", "ALTER db.t | ?" },
    { 0, "ALTER TABLE t ))) ADD a int", "ALTER db.t | ? | ? | ? | +a int" },
    { 0, "ALTER TABLE t ADD PERIOD FOR SYSTEM_TIME (a, b), ADD period int, ADD vector vector(3)",
      "ALTER db.t | ok | +period int | +vector vector(3)" },
    /* defaults */
    { 0, "ALTER TABLE t ADD a int DEFAULT 5", "ALTER db.t | +a int =5" },
    { 0, "ALTER TABLE t ADD a int NOT NULL DEFAULT -5 COMMENT 'x'", "ALTER db.t | +a int notnull =-5" },
    { 0, "ALTER TABLE t ADD a int DEFAULT - 5, ADD b int DEFAULT +7", "ALTER db.t | +a int =-5 | +b int =7" },
    { 0, "ALTER TABLE t ADD a double DEFAULT 1.5e-3, ADD b double DEFAULT .5, ADD c double DEFAULT 1e5",
      "ALTER db.t | +a double =1.5e-3 | +b double =.5 | +c double =1e5" },
    { 0, "ALTER TABLE t ADD a text DEFAULT 'it''s\\n\\'\\%\\q' 'more'", "ALTER db.t | +a text =it's\n'\\%qmore" },
    { NO_BACKSLASH, "ALTER TABLE t ADD a text DEFAULT 'x\\', ADD b int", "ALTER db.t | +a text =x\\ | +b int" },
    { 0, "ALTER TABLE t ADD a text DEFAULT \"q\"\"r\"", "ALTER db.t | +a text =q\"r" },
    { 0, "ALTER TABLE t ADD a int DEFAULT NULL, ADD b bool DEFAULT TRUE, ADD c bool DEFAULT false",
      "ALTER db.t | +a int =NULL | +b tinyint =1 | +c tinyint =0" },
    { 0,
      "ALTER TABLE t ADD a datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3) NOT NULL, ADD b int",
      "ALTER db.t | +a datetime(3) notnull =expr | +b int" },
    { 0, "ALTER TABLE t ADD a timestamp NULL DEFAULT now(), ADD b date DEFAULT (curdate() + 1)",
      "ALTER db.t | +a timestamp =expr | +b date =expr" },
    { 0, "ALTER TABLE t ADD a bit(3) DEFAULT b'101', ADD b binary(2) DEFAULT x'4142', ADD c int DEFAULT 0x10",
      "ALTER db.t | +a bit(3) =expr | +b binary(2) =expr | +c int =expr" },
    { 0, "ALTER TABLE t ADD a int DEFAULT 1 + 1, ADD b int DEFAULT (1) DIV 2, ADD c int DEFAULT uuid()",
      "ALTER db.t | +a int =expr | +b int =expr | +c int =expr" },
    { 0, "ALTER TABLE t ADD a text DEFAULT _utf8mb4'x', ADD b text DEFAULT _latin1'x', ADD c text DEFAULT N'x'",
      "ALTER db.t | +a text =x | +b text =expr | +c text =x" },
    { 0, "ALTER TABLE t ADD a int DEFAULT", "ALTER db.t | +a int =expr" },
    { 0, "ALTER TABLE t ADD a varchar(3) DEFAULT ''", "ALTER db.t | +a varchar(3) =" },
    /* attributes */
    { 0, "ALTER TABLE t ADD a int GENERATED ALWAYS AS (b * (c + 1)) STORED NOT NULL, ADD d int AS (a) VIRTUAL",
      "ALTER db.t | +a int notnull gen | +d int gen" },
    { 0, "ALTER TABLE t ADD a int PRIMARY KEY, ADD b int UNIQUE KEY, ADD c int KEY, ADD d int UNIQUE",
      "ALTER db.t | +a int notnull key | +b int | +c int notnull key | +d int" },
    { 0, "ALTER TABLE t ADD a int INVISIBLE, ADD b int VISIBLE", "ALTER db.t | +a int invisible | +b int" },
    { 0,
      "ALTER TABLE t ADD a int NOT NULL REFERENCES s.comment (invisible) ON DELETE SET NULL ON UPDATE SET DEFAULT, ADD "
      "b int",
      "ALTER db.t | +a int notnull | +b int" },
    { 0, "ALTER TABLE t ADD a int COLUMN_FORMAT DEFAULT STORAGE DEFAULT NOT NULL", "ALTER db.t | +a int notnull" },
    { 0, "ALTER TABLE t ADD a int SERIAL DEFAULT VALUE", "ALTER db.t | +a int notnull" },
    { 0, "ALTER TABLE t ADD a int CONSTRAINT x CHECK (a > 0) COMMENT 'NOT NULL, x' AUTO_INCREMENT",
      "ALTER db.t | +a int" },
    { 0, "ALTER TABLE t ADD a point NOT NULL SRID 4326", "ALTER db.t | +a point notnull" },
    /* types */
    { 0,
      "ALTER TABLE t ADD a INTEGER(11) UNSIGNED ZEROFILL, ADD b INT1, ADD c MIDDLEINT, ADD d INT8, ADD e BOOLEAN, ADD "
      "f SERIAL",
      "ALTER db.t | +a int unsigned | +b tinyint | +c mediumint | +d bigint | +e tinyint | +f bigint unsigned "
      "notnull" },
    { 0,
      "ALTER TABLE t ADD a DEC, ADD b NUMERIC(20), ADD c FIXED(5,5) ZEROFILL, ADD d DECIMAL(65,30), ADD e "
      "DECIMAL(66,1), ADD f DECIMAL(3,4)",
      "ALTER db.t | +a decimal(10,0) | +b decimal(20,0) | +c decimal(5,5) unsigned | +d decimal(65,30) | +e (unknown) "
      "| +f (unknown)" },
    { 0,
      "ALTER TABLE t ADD a FLOAT, ADD b FLOAT(24), ADD c FLOAT(25), ADD d FLOAT(7,4), ADD e DOUBLE PRECISION(9,2) "
      "UNSIGNED, ADD f REAL",
      "ALTER db.t | +a float | +b float | +c double | +d float | +e double unsigned | +f double" },
    { 0,
      "ALTER TABLE t ADD a DATE, ADD b TIME(6), ADD c DATETIME, ADD d TIMESTAMP(3) NOT NULL, ADD e YEAR(4), ADD f "
      "TIME(7)",
      "ALTER db.t | +a date | +b time(6) | +c datetime | +d timestamp(3) notnull | +e year | +f (unknown)" },
    { 0,
      "ALTER TABLE t ADD a CHAR, ADD b CHARACTER(3), ADD c CHAR VARYING(5), ADD d CHARACTER VARYING(5), ADD e "
      "VARCHARACTER(5)",
      "ALTER db.t | +a char(1) | +b char(3) | +c varchar(5) | +d varchar(5) | +e varchar(5)" },
    { 0,
      "ALTER TABLE t ADD a NCHAR(3), ADD b NVARCHAR(3), ADD c NATIONAL VARCHAR(3), ADD d NATIONAL CHAR VARYING(3), ADD "
      "e NCHAR VARCHAR(3), ADD f NATIONAL CHARACTER(2)",
      "ALTER db.t | +a char(3) utf8mb3/3 | +b varchar(3) utf8mb3/3 | +c varchar(3) utf8mb3/3 | +d varchar(3) utf8mb3/3 "
      "| +e varchar(3) utf8mb3/3 | +f char(2) utf8mb3/3" },
    { 0,
      "ALTER TABLE t ADD a varchar(20) CHARACTER SET UTF8MB4 COLLATE utf8mb4_bin, ADD b varchar(20) CHARSET latin1, "
      "ADD c char(4) COLLATE utf8mb4_0900_ai_ci, ADD d char(2) CHAR SET = ucs2",
      "ALTER db.t | +a varchar(20) utf8mb4/4 | +b varchar(20) latin1/1 | +c char(4) utf8mb4/4 | +d char(2) ucs2/2" },
    { 0,
      "ALTER TABLE t ADD a char(5) BINARY, ADD b char(5) CHARACTER SET binary, ADD c varchar(9) BYTE, ADD d text "
      "CHARACTER SET binary, ADD e char(3) ASCII, ADD f char(3) UNICODE",
      "ALTER db.t | +a char(5) | +b binary(5) | +c varbinary(9) | +d blob | +e char(3) latin1/1 | +f char(3) ucs2/2" },
    { 0,
      "ALTER TABLE t ADD a TINYTEXT, ADD b TEXT, ADD c MEDIUMTEXT, ADD d LONGTEXT, ADD e TEXT(60), ADD f TEXT(300), "
      "ADD g TEXT(200) CHARSET latin1, ADD h LONG VARCHAR, ADD i LONG",
      "ALTER db.t | +a tinytext | +b text | +c mediumtext | +d longtext | +e tinytext | +f text | +g tinytext latin1/1 "
      "| +h mediumtext | +i mediumtext" },
    { 0,
      "ALTER TABLE t ADD a TINYBLOB, ADD b BLOB, ADD c MEDIUMBLOB, ADD d LONGBLOB, ADD e BLOB(255), ADD f BLOB(70000), "
      "ADD g LONG VARBINARY, ADD h BINARY, ADD i VARBINARY(7)",
      "ALTER db.t | +a tinyblob | +b blob | +c mediumblob | +d longblob | +e tinyblob | +f mediumblob | +g mediumblob "
      "| +h binary(1) | +i varbinary(7)" },
    { 0,
      "ALTER TABLE t ADD a BIT, ADD b BIT(64), ADD c BIT(65), ADD d JSON, ADD e GEOMETRY, ADD f GEOMCOLLECTION, ADD g "
      "MULTIPOLYGON, ADD h VECTOR(768), ADD i VECTOR",
      "ALTER db.t | +a bit(1) | +b bit(64) | +c (unknown) | +d json | +e geometry | +f geometrycollection | +g "
      "multipolygon | +h vector(768) | +i vector(2048)" },
    { 0,
      "ALTER TABLE t ADD a ENUM('x', 'it''s','a,b)','\\'q ') CHARACTER SET latin1 NOT NULL DEFAULT 'x', ADD b "
      "SET('1',\"2\") , ADD c ENUM()",
      "ALTER db.t | +a enum('x','it''s','a,b)','''q') notnull latin1/1 =x | +b set('1','2') | +c enum()" },
    { 0,
      "ALTER TABLE t ADD a UUID, ADD b INET6, ADD c INET4, ADD d mariadb_schema.date, ADD e SDO_GEOMETRY, ADD f "
      "varchar(10) COMPRESSED",
      "ALTER db.t | +a binary(16) | +b binary(16) | +c binary(4) | +d date | +e (unknown) | +f varchar(10)" },
};

static bool run(const char *sql, size_t n, int mode, struct arena *a, struct buf *out)
{
    const struct ddl_context ctx = { .default_schema = BYTES_LIT("db"),
                                     .ansi_quotes = (mode & ANSI) != 0,
                                     .no_backslash_escapes = (mode & NO_BACKSLASH) != 0 };
    char *exact = malloc(n == 0 ? 1 : n); /* exact size: ASan sees one byte over */
    struct err e = { 0 };
    struct ddl d;
    memcpy(exact, sql, n);
    bool ok = ddl_parse(bytes_of(exact, n), &ctx, a, &d, &e);
    memset(exact, 'X', n); /* nothing may point into the statement */
    free(exact);
    buf_reset(out);
    if (ok)
        put_ddl(out, &d);
    return ok;
}

static void test_cases(void)
{
    struct buf b = { 0 };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        arena_reset(a);
        size_t n = strlen(cases[i].sql);
        CHECK(run(cases[i].sql, n, cases[i].mode, a, &b) && strcmp(buf_cstr(&b), cases[i].want) == 0,
              "%s\n  want %s\n  got  %s", cases[i].sql, cases[i].want, buf_cstr(&b));
        for (size_t cut = 0; cut < n; cut++) {
            arena_reset(a);
            CHECK(run(cases[i].sql, cut, cases[i].mode, a, &b), "%s cut at %zu fails", cases[i].sql, cut);
        }
    }
    buf_free(&b);
    arena_free(a);
}

/* With little memory it fails cleanly, and with enough of it it succeeds. */
static void test_memory(void)
{
    static const char sql[] =
        "ALTER TABLE t ADD a ENUM('x','y','z') DEFAULT 'x' 'y', ADD b int DEFAULT -1, DROP c, DROP d, "
        "CHANGE e f varchar(3) CHARACTER SET utf8mb4, RENAME TO s.u";
    struct buf b = { 0 };
    size_t failures = 0;
    for (size_t limit = 16; limit < 16384; limit += 16) {
        struct arena *a = arena_new(limit);
        if (a == NULL)
            continue;
        if (!run(sql, sizeof sql - 1, 0, a, &b))
            failures++;
        arena_free(a);
    }
    CHECK(failures > 0 && failures < 1000, "%zu of 1023 limits failed", failures);
    buf_free(&b);
}

int main(void)
{
    test_cases();
    test_memory();
    return UNIT_END();
}
