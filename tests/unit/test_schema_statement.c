/* test_schema_statement.c - status variables of real QUERY events (MySQL 5.6, 9.7, MariaDB 10.11), and which statements are followed. */
#include "unit.h"

#include "arena.h"
#include "schema_statement.h"

#include <inttypes.h>

static const struct {
    const char *name;
    bool mariadb;
    const char *hex, *want;
} sessions[] = {
    { "nothing", false, "", "mode 0 charset 0,0,0 timestamp -1 utf8mb4 0" },
    { "MySQL 5.6", false, "00 00000000 01 0000004000000000 06 03 737464 04 2d00 2d00 2d00 0c 01 743100",
      "mode 40000000 charset 45,45,45 timestamp -1 utf8mb4 0" },
    { "MySQL 9.7", false,
      "00 00000000 01 2000a04500000000 06 03 737464 04 ff00 ff00 ff00 0c 01 743100 10 01 11 0500000000000000 12 ff00 "
      "13 00",
      "mode 45a00020 charset 255,255,255 timestamp 1 utf8mb4 255" },
    { "all the others", false,
      "02 01 61 00 03 02000100 05 03 555443 07 0100 08 0800 09 0000000000000000 0a 01000000 0b 01 61 01 62 0c fe 0d "
      "010203 "
      "10 00",
      "mode 0 charset 0,0,0 timestamp 0 utf8mb4 0" },
    { "MariaDB", true,
      "00 00000000 01 0000005400000000 06 03 737464 04 2d00 2d00 2d00 80 010203 81 0100000000000000 82 0100 ff",
      "mode 54000000 charset 45,45,45 timestamp -1 utf8mb4 0" },
    { "unknown ends it", false, "c8 04 0800 0800 0800", "mode 0 charset 0,0,0 timestamp -1 utf8mb4 0" },
    { "cut inside the charset", false, "01 0400000000000000 04 0800 08",
      "mode 4 charset 0,0,0 timestamp -1 utf8mb4 0" },
};

static void check_session(size_t i, struct bytes in, const char *want)
{
    struct schema_session s;
    char got[120];
    schema_session_read(in, sessions[i].mariadb, &s);
    snprintf(got, sizeof got, "mode %" PRIx64 " charset %u,%u,%u timestamp %d utf8mb4 %u", s.sql_mode,
             s.client_collation, s.connection_collation, s.server_collation, s.explicit_timestamp, s.utf8mb4_collation);
    CHECK(want == NULL || strcmp(got, want) == 0, "%s: %s", sessions[i].name, got);
}

static const struct {
    const char *sql;
    int error;
    bool temporary;
    enum schema_step want;
} steps[] = {
    { "CREATE TABLE t (a int)", 0, false, SCHEMA_FOLLOW },
    { "CREATE TABLE t LIKE u", 0, true, SCHEMA_UNKNOWN },
    { "CREATE TEMPORARY TABLE t (a int)", 0, true, SCHEMA_IGNORE },
    { "DROP TEMPORARY TABLE IF EXISTS t", 0, true, SCHEMA_IGNORE },
    { "DROP TABLE t, u", 1051, true, SCHEMA_FOLLOW },
    { "ALTER TABLE t ADD a INT", 0, false, SCHEMA_FOLLOW },
    { "ALTER TABLE t ADD a INT", 1317, false, SCHEMA_UNKNOWN },
    { "ALTER TABLE t DISCARD TABLESPACE", 0, false, SCHEMA_IGNORE },
    { "ALTER TABLE t import  tablespace ; ", 0, false, SCHEMA_IGNORE },
    { "ALTER TABLE t ADD tablespace INT", 0, false, SCHEMA_FOLLOW },
    { "ALTER TABLE t SECONDARY_LOAD", 0, false, SCHEMA_IGNORE },
    { "/*!40000 ALTER TABLE t DISABLE KEYS */", 0, false, SCHEMA_FOLLOW },
    { "RENAME TABLE a TO b, b TO c", 0, false, SCHEMA_FOLLOW },
    { "RENAME TABLE mysql.a TO mysql.b", 0, false, SCHEMA_IGNORE },
    { "RENAME TABLE mysql.a TO b", 0, false, SCHEMA_FOLLOW },
    { "ALTER TABLE mysql.a RENAME TO d.b", 0, false, SCHEMA_FOLLOW },
    { "ALTER TABLE mysql.a ADD b INT", 0, false, SCHEMA_IGNORE },
    { "CREATE UNIQUE INDEX i ON t (a)", 0, false, SCHEMA_FOLLOW },
    { "DROP INDEX i ON t", 0, false, SCHEMA_FOLLOW },
    { "TRUNCATE TABLE t", 0, false, SCHEMA_IGNORE },
    { "CREATE DATABASE x", 0, false, SCHEMA_FOLLOW },
    { "ALTER SCHEMA x CHARACTER SET latin1", 0, false, SCHEMA_FOLLOW },
    { "CREATE OR REPLACE SEQUENCE s", 0, false, SCHEMA_FOLLOW },
    { "DROP SEQUENCE s", 0, false, SCHEMA_FOLLOW },
    { "DROP DATABASE x", 0, false, SCHEMA_FOLLOW },
    { "CREATE VIEW v AS SELECT 1", 0, false, SCHEMA_IGNORE },
    { "CREATE DEFINER=`a`@`b` TRIGGER t AFTER INSERT ON u FOR EACH ROW SET @a=1", 0, false, SCHEMA_IGNORE },
    { "GRANT ALL ON *.* TO u", 0, false, SCHEMA_IGNORE },
    { "INSERT INTO t VALUES (1)", 0, false, SCHEMA_IGNORE },
    { "SET STATEMENT max_statement_time=1 FOR ALTER TABLE t ADD a INT", 0, false, SCHEMA_FOLLOW },
};

static void check_steps(void)
{
    struct arena *a = arena_new(0);
    struct ddl_context ctx = { .default_schema = BYTES_LIT("d") };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct ddl d;
        struct err err;
        struct schema_statement st = { .text = bytes_str(steps[i].sql),
                                       .parsed = &d,
                                       .error_code = (uint16_t)steps[i].error,
                                       .temporary = steps[i].temporary };
        CHECK(ddl_parse(st.text, &ctx, a, &d, &err), "%s", steps[i].sql);
        enum schema_step got = schema_statement_step(&st);
        CHECK(got == steps[i].want, "%s: %d", steps[i].sql, (int)got);
        arena_reset(a);
    }
    arena_free(a);
}

int main(void)
{
    for (size_t i = 0; i < sizeof sessions / sizeof *sessions; i++) {
        struct bytes all = unhex(sessions[i].hex);
        check_session(i, all, sessions[i].want);
        for (size_t n = 0; n < all.n; n++) { /* every truncation is read up to its last whole part */
            uint8_t *cut = malloc(n + 1);
            memcpy(cut, all.p, n);
            check_session(i, bytes_of(cut, n), NULL);
            free(cut);
        }
        free((void *)all.p);
    }
    check_steps();
    CHECK(schema_is_system(BYTES_LIT("mysql")) && schema_is_system(BYTES_LIT("PERFORMANCE_SCHEMA")) &&
              !schema_is_system(BYTES_LIT("mysql2")) && !schema_is_system((struct bytes){ NULL, 0 }),
          "system schemas");
    return UNIT_END();
}
