"""Sources whose binlog has no column names (MySQL 5.6, and newer ones with MINIMAL metadata): definitions come from the
schema history, which follows the DDL on a schema server (docs/schema-history.md)."""
import random
import shutil
import string
import struct

import pytest

from rt.fidelity import witnessed
from rt.lab import Lab
from rt.sources import CDC_PASSWORD

# client library, kind of source, its options
SOURCES = {
    "mysql56": ("libmariadb", "mysql56", {}),
    "mysql56-nogtid": ("libmysqlclient", "mysql56", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF", "binlog_checksum": "NONE",
                                   "log_bin_use_v1_row_events": "ON"}),
    "mysql97-minimal": ("libmysqlclient", "mysql97", {"binlog_row_metadata": "MINIMAL"}),
    "mariadb1011-nolog": ("libmariadb", "mariadb1011", {"binlog_row_metadata": "NO_LOG"}),
    "mariadb118-nolog": ("libmariadb", "mariadb118", {"binlog_row_metadata": "NO_LOG"}),
}
ALL = pytest.mark.parametrize("which", SOURCES)
OLD = pytest.mark.parametrize("which", ["mysql56", "mysql56-nogtid"])
ONE = pytest.mark.parametrize("which", ["mysql56"])


class SchemaLab(Lab):
    """A Lab with a schema server, which is emptied for each test: it may belong to one slot only."""

    def __init__(self, world, servers, which):
        client, kind, options = SOURCES[which]
        super().__init__(world, client, kind)
        self.which = which
        for role in (which, f"schema-{kind}"):
            if role not in servers:
                servers[role] = world.new_source(kind, **(options if role == which else {}))
        self.scratch = servers[f"schema-{kind}"]
        self.empty_scratch()
        self.use_source(servers[which])
        self.scratch.sql("GRANT ALL ON *.* TO cdc@'%'")

    def use_source(self, server):
        self._source = server
        server.sql(f"CREATE DATABASE {self.db} CHARACTER SET utf8mb4")
        self.start_at = "now"
        return server

    def empty_scratch(self):
        for (db,) in self.scratch.sql("SHOW DATABASES"):
            if db not in ("mysql", "information_schema", "performance_schema", "sys"):
                self.scratch.sql(f"DROP DATABASE `{db}`")

    def capture(self, *args, schema=True, **more):
        if schema:
            args = (*args, "--schema-server", self.scratch.url())
        return super().capture(*args, **more)

    def close(self):
        super().close()
        self._source.sql(f"DROP DATABASE IF EXISTS {self.db}")


@pytest.fixture(scope="module")
def servers():
    """This module's own, by role: none runs on behind it."""
    made = {}
    yield made
    for s in made.values():
        s.stop()


@pytest.fixture
def lab(world, servers, which, request):
    it = SchemaLab(world, servers, which)
    request.node.lab = it
    yield it
    it.close()


# Each step: statements of one session, then the table that gets a row. The columns are looked up right after.
STEPS = [
    ["CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, x INT, y VARCHAR(10), KEY k (x))", "a"],
    ["ALTER TABLE a ADD COLUMN n INT NOT NULL DEFAULT 5 AFTER x, ADD first_one VARCHAR(5) FIRST", "a"],
    ["ALTER TABLE a CHANGE x n INT NULL, CHANGE n x INT NOT NULL DEFAULT 7", "a"],         # swapped, of one type
    ["ALTER TABLE a MODIFY y VARCHAR(300) CHARACTER SET latin1, MODIFY first_one BIGINT UNSIGNED AFTER y", "a"],
    ["ALTER /* ; */ TABLE `a` -- , DROP x\n DROP COLUMN first_one # done", "a"],
    ["/*!40101 ALTER TABLE a ADD ec INT COMMENT 'it''s /* no */ comment' */", "a"],
    ["ALTER TABLE a ALTER COLUMN x SET DEFAULT 9, ADD UNIQUE u (ec), ALGORITHM=INPLACE", "a"],
    ["CREATE INDEX i ON a (y)", "DROP INDEX i ON a", "a"],
    ["CREATE TABLE b LIKE a", "ALTER TABLE b ADD only_b INT FIRST", "b"],
    ["RENAME TABLE a TO tmp, b TO a, tmp TO b", "a"],
    ["INSERT INTO b (y) VALUES ('swapped')", "b"],
    # gh-ost
    ["CREATE TABLE `_a_gho` LIKE `a`", "ALTER TABLE `_a_gho` ADD g VARCHAR(9), ENGINE=InnoDB", "INSERT INTO `_a_gho` (y) VALUES ('x')",
     "RENAME TABLE `a` TO `_a_del`, `_a_gho` TO `a`", "DROP TABLE IF EXISTS `_a_del`", "a"],
    # another schema, with another character set; moved here, copied from there
    ["DROP DATABASE IF EXISTS {db}_o", "CREATE DATABASE {db}_o DEFAULT CHARACTER SET latin1", "USE {db}_o",
     "CREATE TABLE o (id INT PRIMARY KEY AUTO_INCREMENT, y VARCHAR(9), z CHAR(3) CHARACTER SET utf8)", "RENAME TABLE o TO {db}.moved",
     "moved"],
    ["CREATE TABLE {db}_o.second LIKE moved", "ALTER TABLE {db}_o.second RENAME TO {db}.second, ADD late INT", "second"],
    ["DROP DATABASE {db}_o", "moved"],
    ["ALTER DATABASE {db} CHARACTER SET latin1", "CREATE TABLE inherits (id INT PRIMARY KEY AUTO_INCREMENT, y TEXT)",
     "ALTER DATABASE {db} CHARACTER SET utf8mb4", "inherits"],
    ["SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
     'CREATE TABLE "od""d `t" (id INT PRIMARY KEY AUTO_INCREMENT, "a ""b" INT DEFAULT 3, "c`d" VARCHAR(9) COMMENT \'\\\', y INT)', 'od"d `t'],
    ["ALTER TABLE `od\"d ``t` DROP `a \"b`", 'od"d `t'],
    ["CREATE TABLE sel (id INT AUTO_INCREMENT PRIMARY KEY, y INT) SELECT ec AS y2 FROM a WHERE y = 'none'", "sel"],
    ["DROP TABLE sel", "CREATE TABLE sel (y VARCHAR(4), id INT AUTO_INCREMENT PRIMARY KEY)", "sel"],
    ["CREATE TABLE IF NOT EXISTS sel (other INT)", "TRUNCATE TABLE sel", "sel"],
    ["CREATE TABLE p (id INT PRIMARY KEY AUTO_INCREMENT, y INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (1000))",
     "ALTER TABLE p ADD PARTITION (PARTITION p1 VALUES LESS THAN (2000), PARTITION p2 VALUES LESS THAN MAXVALUE)",
     "ALTER TABLE p DROP PARTITION p1", "ALTER TABLE p ADD q INT", "p"],
    ["CREATE TEMPORARY TABLE a (t INT)", "ALTER TABLE a ADD u INT", "INSERT INTO a VALUES (1, 1)", "DROP TABLE a", "a"],
    ["CREATE TABLE v (id INT)", "CREATE VIEW w AS SELECT * FROM v", "CREATE TABLE w2 (id INT)", "DROP VIEW w", "DROP TABLE IF EXISTS v, w2, w3", "a"],
    ["CREATE TABLE child (id INT PRIMARY KEY AUTO_INCREMENT, y INT, FOREIGN KEY f (y) REFERENCES p2 (id))", "ALTER TABLE child ADD z INT",
     "child"] ,
    ["CREATE TABLE ts (id INT PRIMARY KEY AUTO_INCREMENT, t1 TIMESTAMP, t2 TIMESTAMP NULL, y DATETIME)", "ts"],
    ["ALTER TABLE ts DROP PRIMARY KEY, ADD k INT NOT NULL DEFAULT 4, ADD PRIMARY KEY (k, id), ADD KEY (id)", "ts"],
]


def run_step(lab, step, expected):
    """Runs a step; notes what the row that it inserts must look like in the log."""
    *statements, table = step
    c = lab.source.connect(lab.db)
    try:
        with c.cursor() as cur:
            cur.execute("SET foreign_key_checks = 0")
            for s in statements:
                if ") SELECT" in s and lab.which == "mysql56":      # its GTIDs forbid it
                    s = s[:s.index(" SELECT")]
                cur.execute(s.replace("{db}", lab.db))
    finally:
        c.close()
    with lab.source.connect(lab.db) as c, c.cursor() as cur:
        quoted = "`" + table.replace("`", "``") + "`"
        cur.execute("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
                    "ORDER BY ordinal_position", (lab.db, table))
        columns = cur.fetchall()
        text = dict(columns).get("y") in ("varchar", "text")
        cur.execute(f"INSERT INTO {quoted} (y) VALUES (%s)", ("\u00e9\u00fc" if text else None,))
        cur.execute(f"SELECT * FROM {quoted} WHERE id = {cur.lastrowid}")
        row = {n: v for (n, t), v in zip(columns, cur.fetchone()) if t not in ("timestamp", "datetime")}
        expected.append((table, [n for n, _ in columns], row))


def inserted(lab, slot=None):
    """Of each last row of a step: table, columns in order, simple values."""
    out = []
    for r in lab.tool.dump(slot or lab.slot):
        if r["op"] == "insert" and r["row"].get("y") not in ("swapped", "x"):
            row = {n: v for n, v in r["row"].items() if not (isinstance(v, str) and ":" in v)}
            out.append((r["table"], list(r["row"]), row))
    return out


def check(lab, expected, slot=None):
    got = inserted(lab, slot)
    for e, g in zip(expected, got):
        assert g[0] == e[0] and g[1] == e[1], f"expected {e}, got {g}"
        assert {n: v for n, v in g[2].items() if n in e[2]} == e[2], f"expected {e}, got {g}"
    assert len(got) == len(expected)


@ALL
def test_ddl_is_followed(lab):
    """All DDL is done before capture sees the first of it: each row has the columns of its own time."""
    lab.capture("--once").run()
    expected = []
    for step in STEPS:
        run_step(lab, step, expected)
    lab.capture("--once").run()
    check(lab, expected)
    lab.tool.run("segment", "verify", lab.slot)


# Every type of MySQL 5.6, with a value.
TYPES = [
    ("TINYINT", "-128"), ("TINYINT UNSIGNED", "255"), ("SMALLINT UNSIGNED ZEROFILL", "65535"), ("MEDIUMINT", "-8388608"),
    ("INT UNSIGNED", "4294967295"), ("BIGINT", "-9223372036854775808"), ("BIGINT UNSIGNED", "18446744073709551615"), ("FLOAT", "1.5"),
    ("DOUBLE UNSIGNED", "2.25"), ("FLOAT(7,2)", "-99999.99"),
    ("DECIMAL(65,30)", "-12345678901234567890123456789012345.678901234567890123456789012345"), ("DECIMAL(5,0) UNSIGNED", "99999"),
    ("BIT(1)", "b'1'"), ("BIT(64)", "x'8000000000000001'"), ("DATE", "'9999-12-31'"), ("TIME(6)", "'-838:59:59'"), ("TIME", "'12:34:56'"),
    ("DATETIME(3)", "'2015-01-02 03:04:05.678'"), ("DATETIME", "'1000-01-01'"), ("TIMESTAMP(6) NULL", "'2001-02-03 04:05:06.789012'"),
    ("TIMESTAMP NULL", "'1970-01-02'"), ("YEAR(4)", "2155"), ("CHAR(200) CHARACTER SET utf8mb4", "'grüß'"), ("CHAR(0)", "''"),
    ("VARCHAR(200) CHARACTER SET cp1251", "'Ж'"), ("VARCHAR(20000) CHARACTER SET latin1", "'café'"), ("BINARY(7)", "x'0102'"),
    ("VARBINARY(300)", "x'ff00'"), ("TINYBLOB", "x'00'"), ("BLOB", "x'01'"), ("MEDIUMBLOB", "x'02'"), ("LONGBLOB", "x'03'"),
    ("TINYTEXT", "'a'"), ("TEXT CHARACTER SET utf8", "'中'"), ("MEDIUMTEXT", "'b'"), ("LONGTEXT CHARACTER SET sjis", "'表'"),
    (r"ENUM('a','it''s','c\\d','e,f','é','(') CHARACTER SET latin1", "'it''s'"), (r"ENUM('x\\','y\nz')", r"'y\nz'"),
    ("SET('x','y','ü z',')')", "'x,ü z'"),
]


@OLD
def test_types_reach_the_destination(lab):
    """Every type, and row images of all kinds: PostgreSQL has what the source has."""
    columns = ", ".join(f"c{i} {t}" for i, (t, _) in enumerate(TYPES))
    row = ", ".join(v for _, v in TYPES)
    lab.sql("SET sql_mode = ''", f"CREATE TABLE t (id INT PRIMARY KEY, {columns}) ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4")
    lab.capture("--once").run()
    lab.sql("SET sql_mode = ''", f"INSERT INTO t VALUES (1, {row})", "INSERT INTO t (id) VALUES (2)", f"INSERT INTO t VALUES (3, {row})",
            "UPDATE t SET c4 = 7 WHERE id = 1", "DELETE FROM t WHERE id = 3")
    for image in ("NOBLOB", "MINIMAL"):
        lab.sql(f"SET SESSION binlog_row_image = '{image}'", f"UPDATE t SET c5 = 8, c33 = '{image}' WHERE id = 2",
                "UPDATE t SET c22 = 'z' WHERE id = 1")
    lab.capture("--once").run()
    lab.apply("--once", "--create").run()
    lab.assert_equal("t")
    if lab.which == "mysql56-nogtid":
        witnessed(lab, "exact", "WRITE, UPDATE, DELETE_ROWS version 1")


COMMON_COLUMNS = ("id INT AUTO_INCREMENT, k VARCHAR(30) CHARACTER SET latin1, y YEAR, d DECIMAL(20,4) UNSIGNED, e ENUM('a','\u00e9'), "
                  "s SET('x','y') CHARACTER SET latin1, c CHAR(80) CHARACTER SET utf8mb4, b BINARY(3), bits BIT(9), f FLOAT UNSIGNED, "
                  "j JSON, p POINT, g GEOMETRY, t TEXT CHARACTER SET ascii, lt LONGTEXT, vb VARBINARY(9), ts TIMESTAMP(3) NULL, "
                  "virt INT AS (y + 2) VIRTUAL, kept INT AS (y + 1) STORED, inv INT INVISIBLE, PRIMARY KEY (k(5), id), KEY (id)")
SPECIAL = {
    "mysql97-minimal": COMMON_COLUMNS + ", v VECTOR(3), KEY func ((y + 2)), gc GEOMETRYCOLLECTION SRID 4326",
    "mariadb1011-nolog": COMMON_COLUMNS + ", u UUID, i6 INET6, i4 INET4, vc VARCHAR(50) COMPRESSED, bc BLOB COMPRESSED, tc TEXT COMPRESSED) "
                                          "WITH SYSTEM VERSIONING (",
}


@pytest.mark.parametrize("which", SPECIAL)
def test_definition_is_that_of_full_metadata(lab):
    """The same table, described by the binlog and by the history: one definition, byte for byte."""
    columns, _, versioning = SPECIAL[lab.which].partition(") WITH")
    lab.sql(f"CREATE TABLE t ({columns}) CHARACTER SET utf8mb4" + (" WITH" + versioning.rstrip(" (") if versioning else ""))
    metadata = lab.source.sql("SELECT @@GLOBAL.binlog_row_metadata")[0][0]
    lab.capture("--once").run()
    try:
        lab.sql("INSERT INTO t (k, y, e) VALUES ('one', 2000, 'a')")
        lab.source.sql("SET GLOBAL binlog_row_metadata = 'FULL'")
        lab.sql("INSERT INTO t (k, y, e) VALUES ('two', 2001, '\u00e9')")
    finally:
        lab.source.sql(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    lab.capture("--once").run()
    assert [r["row"]["k"] for r in lab.tool.dump(lab.slot) if r["op"] == "insert"] == ["one", "two"]
    assert count_frames(lab.slot, 3) == 1       # RELATIONS: written before a definition's first use


def count_frames(slot, wanted):
    """Frames of a type in the slot's one segment (docs/segment-format.md)."""
    data = next(slot.glob("*.seg")).read_bytes()
    at, n = struct.unpack_from("<I", data, 12)[0], 0
    while at < len(data):
        assert data[at:at + 4] == b"RTF1"
        n += data[at + 4] == wanted
        at += 80 + struct.unpack_from("<I", data, at + 8)[0]
    return n


LETTERS = string.ascii_letters + string.digits
POINTS = ["schema_after_write:1", "schema_after_write:6", "frame_before_write:2", "frame_before_write:9", "frame_after_write:4",
          "frame_after_fsync:3", "seal_before_rename:1", "seal_after_rename:1"]


@ONE
def test_killed_around_ddl(lab):
    """kill -9 between any two writes: the next start has exactly the definitions of the place where it goes on, whatever the
    schema server holds."""
    lab.sql("CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, y VARCHAR(900))")
    lab.capture("--once").run()
    base = lab.dir / "base"
    shutil.copytree(lab.slot, base)
    rnd, expected = random.Random(5), []
    for i in range(8):
        run_step(lab, [f"ALTER TABLE a ADD c{i} INT DEFAULT {i} AFTER id",
                       *[f"INSERT INTO a (y) VALUES ('x'), ('{''.join(rnd.choices(LETTERS, k=900))}')" for _ in range(24)],
                       "CREATE TABLE IF NOT EXISTS b LIKE a", "RENAME TABLE a TO c, b TO a, c TO b", "a"], expected)
    for point in POINTS:
        slot = lab.dir / point
        shutil.copytree(base, slot)
        args = ("--once", "--segment-size", "64KiB")
        lab.capture(*args, slot=slot, name="killed").run(code=-9, env={"ROWTIDE_FAULT": "capture." + point})
        lab.capture(*args, slot=slot).run()
        got = [g for g in inserted(lab, slot) if len(str(g[2]["y"])) < 900]
        assert [(t, c) for t, c, _ in got] == [(t, c) for t, c, _ in expected], point
        assert [r for _, _, r in got] == [r for _, _, r in expected], point
        lab.tool.run("segment", "verify", slot)


@pytest.mark.parametrize("which", ["mysql56-nogtid"])
def test_advice_on_gtids_is_for_the_servers_version(lab):
    """MySQL 5.6 goes to GTIDs by a restart only, and nothing can be persisted before 8.0."""
    out = lab.tool.run("doctor", "--source", lab.source.url(), "--schema-server", lab.scratch.url(), "--tables", f"{lab.db}.*").stdout
    advice = out[out.index("gtid_mode is OFF"):]
    assert "my.cnf, section [mysqld]: gtid_mode = ON" in advice and "PERMISSIVE" not in out, out


@ONE
def test_the_schema_servers_password(lab):
    """From the URL, the environment and a file; never in a log, a process list or another file."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    bare = lab.scratch.url(password=None)
    lab.capture("--once", "--schema-server", bare, schema=False).run(env={"ROWTIDE_SCHEMA_PASSWORD": CDC_PASSWORD})
    secret = lab.dir / "secret"
    secret.write_text(CDC_PASSWORD + "\n")
    secret.chmod(0o600)
    lab.capture("--once", "--schema-server", bare, "--schema-password-file", secret, schema=False).run()
    secret.write_text("Sekrit-but-wrong\n")
    text = lab.capture("--once", "--schema-server", bare, "--schema-password-file", secret, schema=False, name="wrong").run(code=None)
    assert "level=error" in text and "--schema-server" in text and "Sekrit" not in text, text
    secret.unlink()
    capture = lab.capture(name="running").start()
    capture.wait_event("streaming")
    with open(f"/proc/{capture.process.pid}/cmdline", "rb") as f:
        shown = f.read()
    assert b"--schema-server" in shown and b"Sekrit" not in shown, shown
    capture.stop()
    assert "Sekrit" not in capture.text()
    for path in lab.slot.rglob("*"):
        assert path.is_dir() or b"Sekrit" not in path.read_bytes(), path


@ONE
def test_what_is_refused(lab):
    """Where the history would have to guess, capture stops and says what to do."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT PRIMARY KEY)")
    where = {"url": lab.source.url()}

    def refused(text, *args, code=2, **more):
        log = lab.capture("--once", *args, **where, **more).run(code=code)
        assert text in log, log

    refused("capture with --schema-server", schema=False)
    refused("--schema-server", "--schema-server", "mysql://cdc@127.0.0.1:1/", schema=False, code=3)
    out = lab.tool.run("doctor", "--source", lab.source.url(), code=1).stdout
    assert "FAIL  version" in out and "--schema-server" in out
    out = lab.tool.run("doctor", "--source", lab.source.url(), "--schema-server", lab.scratch.url(), "--tables", f"{lab.db}.*").stdout
    assert "the schema server answers" in out
    out = lab.tool.run("doctor", "--source", lab.source.url(), "--schema-server", lab.source.url(), code=1).stdout
    assert "the schema server is the source itself" in out
    lab.scratch.sql("CREATE DATABASE foreign_data", "CREATE TABLE foreign_data.t (id INT)")
    refused("has tables that are not this slot's (foreign_data.t)")
    lab.scratch.sql("DROP DATABASE foreign_data")
    lab.capture("--once").run()
    refused("belongs to the slot", slot=lab.dir / "other")

    # somebody changed the schema server: noticed at a start, and made anew
    lab.scratch.sql(f"ALTER TABLE {lab.db}.t CHANGE v w INT", f"DROP TABLE {lab.db}.u", "CREATE DATABASE more")
    lab.sql("INSERT INTO t VALUES (1, 1)", "INSERT INTO u VALUES (1)")
    c = lab.capture("--once")
    c.run()
    assert c.events("schema_server_ready")[0]["made"] == "2"
    assert [r["row"] for r in lab.tool.dump(lab.slot) if r["op"] == "insert"] == [{"id": 1, "v": 1}, {"id": 1}]
    assert ("more",) not in lab.scratch.sql("SHOW DATABASES")

    # what the schema server cannot follow: another table is unknown from then on, a captured one stops
    lab.scratch.sql(f"ALTER TABLE {lab.db}.t ADD early INT")
    c = lab.capture(name="live").start()
    c.wait_event("streaming")
    lab.scratch.sql(f"ALTER TABLE {lab.db}.t ADD early INT")
    lab.sql("ALTER TABLE t ADD early INT", "INSERT INTO t VALUES (2, 2, 2)")
    assert 'cannot follow \\"ALTER TABLE t ADD early INT\\"' in c.wait(code=1)
    lab.capture("--once").run()       # the schema server is made anew first
    assert [r["row"] for r in lab.tool.dump(lab.slot) if r["op"] == "insert"][-1] == {"id": 2, "v": 2, "early": 2}
