"""The main job on real servers: changes of every common kind and type reach PostgreSQL as they are at the source."""
import json
import os
import random
import subprocess
import time

import pytest

from rt import load
from rt.sources import CDC_PASSWORD
from rt.util import wait_until

TWO = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")

TYPES = """CREATE TABLE types (id INT PRIMARY KEY,
  t1 TINYINT, t1u TINYINT UNSIGNED, t2 SMALLINT, t2u SMALLINT UNSIGNED, t3 MEDIUMINT, t3u MEDIUMINT UNSIGNED,
  t4 INT, t4u INT UNSIGNED, t8 BIGINT, t8u BIGINT UNSIGNED, f FLOAT, d DOUBLE, n1 DECIMAL(5,2), n2 DECIMAL(65,30), n3 DECIMAL(20,0),
  da DATE, dt0 DATETIME, dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts3 TIMESTAMP(3) NULL, ts6 TIMESTAMP(6) NULL, ti TIME, ti4 TIME(4), y YEAR,
  c CHAR(10), v VARCHAR(300), v1 VARCHAR(20) CHARACTER SET latin1, tt TINYTEXT, tx TEXT, tm MEDIUMTEXT, tl LONGTEXT,
  bi BINARY(8), vb VARBINARY(300), tb TINYBLOB, bb BLOB, mb MEDIUMBLOB, lb LONGBLOB, b1 BIT(1), b13 BIT(13), b64 BIT(64),
  e ENUM('small','it''s','größe'), s SET('a','b','c d'), j JSON)"""

ROWS = {
    1: {},
    2: dict(t1=-128, t1u=255, t2=-32768, t2u=65535, t3=-8388608, t3u=16777215, t4=-2147483648, t4u=4294967295,
            t8=-9223372036854775808, t8u=18446744073709551615, f=-3.4028234e38, d=1.7976931348623157e308, n1="-999.99",
            n2="-" + "9" * 35 + "." + "9" * 30, n3="99999999999999999999", da="1000-01-01", dt0="1000-01-01 00:00:00",
            dt6="9999-12-31 23:59:59.999999", ts0="1970-01-01 00:00:01", ts3="2001-09-09 01:46:40.123", ts6="2038-01-19 03:14:07.999999",
            ti="-838:59:59", ti4="838:59:58.9999", y=2155, c="x" * 10, v="ü€😀" * 100, v1="café €", tt="t" * 255, tx="ä" * 20000,
            tm="m" * 70000, tl="l" * 100000, bi=b"\x00\x01\xff\x00", vb=b"\x00" * 300, tb=b"", bb=bytes(range(256)) * 100,
            mb=b"\xff" * 70000, lb=b"\x00\x27\x5c" * 30000, b1=1, b13=8191, b64=18446744073709551615, e="it's", s="a,c d",
            j='{"a": [1, -2.5, null, true, "ü\\n\\"q\\"", {"deep": {"er": []}}], "big": 18446744073709551615, "e": ""}'),
    3: dict(t1=0, t1u=0, t2=0, t3=-1, t4=0, t8=0, t8u=9223372036854775808, f=0.1, d=-0.0, n1="0.00", n2="0." + "0" * 29 + "1", n3="0",
            da="2024-02-29", dt0="2024-02-29 12:34:56", dt6="2024-02-29 12:34:56.000001", ts0="2024-03-31 01:30:00", ti="00:00:00",
            ti4="-00:00:00.0001", y=1901, c="", v="", v1="", tx="", bi=b"", vb=b"", bb=b"", b1=0, b13=0, b64=1, e="größe", s="", j="[]"),
    4: dict(f=1.17549435e-38, d=2.2250738585072014e-308, n1="0.01", y=0, c="trail  ", v="trail  ", ti="-00:00:01", s="a,b,c d", e="small",
            j='"text"', v1="naïve", bi=b"12345678", b64=2**63),
}


def insert(lab, table, rows):
    c = lab.source.connect(lab.db)
    with c.cursor() as cur:
        cur.execute("SET time_zone='+00:00'")
        for key, row in rows.items():
            row = {"id": key, **row}
            cur.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))
    c.close()


def once(lab, *apply_args):
    lab.capture("--once", name="capture-once").run()
    lab.apply("--create", "--once", *apply_args, name="apply-once").run()


def test_common_types(lab):
    lab.sql(TYPES)
    insert(lab, "types", ROWS)
    once(lab)
    lab.assert_equal("types")
    columns = [r[0] for r in lab.sql("SELECT column_name FROM information_schema.columns WHERE table_name='types' "
                                     f"AND table_schema='{lab.db}'") if r[0] not in ("id", "e", "s", "j")]
    # Each value moves to another row, so that updates carry every type, to and from NULL.
    lab.sql("CREATE TABLE donor AS SELECT * FROM types",
            "UPDATE types t JOIN donor d ON d.id = t.id % 4 + 1 SET " + ", ".join(f"t.{c} = d.{c}" for c in columns + ["e", "s", "j"]),
            "DELETE FROM types WHERE id = 3")
    once(lab)
    lab.assert_equal("types", "donor")
    lab.assert_counts()


@TWO
def test_strings_that_are_alike(lab):
    """UUIDs, hashes, documents, addresses in bulk, odd ones among them: what the log holds by digits and fields arrives as it is, from
    inserts, updates and deletes, and takes little room."""
    r = random.Random(6)
    lab.sql("CREATE TABLE alike (id INT PRIMARY KEY, uuid CHAR(36), sha VARCHAR(40) CHARACTER SET ascii, pin VARCHAR(12), mail VARCHAR(80), doc JSON, "
            "note TEXT, bin VARBINARY(40)) CHARACTER SET utf8mb4")
    rows, text = [], 0
    for i in range(4000):
        u, h = f"{r.getrandbits(128):032x}", f"{r.getrandbits(160):040x}"
        row = [i, f"{u[:8]}-{u[8:12]}-4{u[13:16]}-{u[16:20]}-{u[20:]}", h, f"{r.randrange(10**12):012}", f"customer.{r.randrange(50000)}@example.com",
               json.dumps({"id": i, "ok": r.random() < 0.5, "tags": [r.choice(["red", "größe", "blue"]), r.randrange(9)], "price": r.randrange(10**4) / 100}),
               f"ref {r.getrandbits(32):08X} batch {i // 50}", f"{r.getrandbits(160):040x}".encode()]
        text += sum(len(str(v)) for v in row[1:])
        for k in range(1, 8):
            if r.random() < 0.02:
                row[k] = r.choice([None, "null" if k == 5 else "", '{"id": 7}' if k == 5 else row[k][:-1]])
        rows.append(row)
    c = lab.source.connect(lab.db)
    with c.cursor() as cur:
        for lo in range(0, 4000, 500):
            cur.executemany("INSERT INTO alike VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", rows[lo:lo + 500])
    c.close()
    once(lab)
    lab.assert_equal("alike")
    size = sum(f.stat().st_size for f in lab.slot.glob("*.seg"))
    assert size < text * 0.33, f"{size} bytes for {text} of text"
    lab.sql("UPDATE alike SET doc = JSON_SET(doc, '$.price', id % 7), pin = REVERSE(pin), note = CONCAT(note, '!') WHERE id % 3 = 0",
            "UPDATE alike SET uuid = REVERSE(uuid), sha = UPPER(sha), mail = NULL WHERE id % 7 = 0", "DELETE FROM alike WHERE id % 5 = 0")
    once(lab)
    lab.assert_equal("alike")
    lab.assert_counts()


def test_live(lab):
    """Both daemons running: a row arrives by itself and soon; a rolled back one never; both end with 0 on SIGTERM."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
    capture, apply = lab.start_both()
    apply.wait_event("subscription_started")
    for i in range(5):
        lab.sql("BEGIN", f"INSERT INTO t VALUES ({i}, 'v')", f"UPDATE t SET v='w{i}' WHERE id={i}", "COMMIT",
                "BEGIN", f"INSERT INTO t VALUES ({i + 100}, 'lost')", "ROLLBACK",
                "BEGIN", f"INSERT INTO t VALUES ({i + 200}, 'kept')", "SAVEPOINT s", f"INSERT INTO t VALUES ({i + 300}, 'lost')",
                "ROLLBACK TO SAVEPOINT s", "COMMIT")
        start = time.monotonic()
        lab.settle("t", timeout=20)
        took = time.monotonic() - start
    assert took < 10, f"the last of five rows took {took:.1f} s"
    assert capture.stop() and apply.stop()
    lab.assert_counts()


def test_lsns_are_dense(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", *[f"INSERT INTO t VALUES ({i})" for i in range(20)])
    lab.capture("--once").run()
    lsns = [r["lsn"] for r in lab.tool.dump(lab.slot) if "lsn" in r]
    assert lsns[0] == 1
    assert sorted(set(lsns)) == list(range(1, lsns[-1] + 1))


def test_add_column(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'one')")
    capture, apply = lab.start_both(apply=("--create", "--evolve"))
    lab.settle("t")
    lab.sql("ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 7, ADD COLUMN w VARCHAR(10) DEFAULT 'dé''f'",
            "INSERT INTO t VALUES (2, 'two', 3, NULL)", "UPDATE t SET n=8 WHERE id=1")
    lab.settle("t")
    lab.sql("ALTER TABLE t ADD COLUMN first INT NULL FIRST", "INSERT INTO t (id, first) VALUES (3, 33)")
    lab.settle("t")
    capture.stop()
    apply.stop()
    # A reader that begins later sees the same definitions from the segment alone.
    lab.dest("DROP SCHEMA rowtide CASCADE", f'DROP SCHEMA "{lab.db}" CASCADE')
    lab.apply("--create", "--evolve", "--once", "--name", "again").run()
    lab.assert_equal("t")


def test_new_column_without_evolve_stops(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    once(lab)
    lab.sql("ALTER TABLE t ADD COLUMN extra INT", "INSERT INTO t VALUES (2, 2)")
    lab.capture("--once").run()
    log = lab.apply("--once").run(code=(1, 2))
    assert "extra" in log
    assert lab.dest(f'SELECT id FROM "{lab.db}".t ORDER BY 1') in ([(1,)], [(1,), (2,)]) and len(lab.dest(f'SELECT * FROM "{lab.db}".t')) == 1


def test_truncate(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)", "TRUNCATE TABLE t", "INSERT INTO t VALUES (3)",
            "CREATE TABLE u (id INT PRIMARY KEY)", "INSERT INTO u VALUES (1)", "TRUNCATE u")
    once(lab)
    lab.assert_equal("t", "u")


@TWO
def test_filtered_tables(lab):
    lab.sql("CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE tmp_b (id INT PRIMARY KEY)", "CREATE TABLE c (id INT PRIMARY KEY)",
            "BEGIN", "INSERT INTO a VALUES (1)", "INSERT INTO tmp_b VALUES (1)", "INSERT INTO c VALUES (1)", "COMMIT")
    tables = f"{lab.db}.*,!{lab.db}.tmp_*"
    lab.capture("--once", tables=tables).run()
    assert {r["table"] for r in lab.changes()} == {"a", "c"}
    # Only a filtered table changes from here: the position must advance all the same, or --once would never end.
    lab.sql(*[f"INSERT INTO tmp_b VALUES ({i})" for i in range(2, 30)])
    lab.capture("--once", tables=tables).run()
    assert len(lab.changes()) == 2


def test_key_changes(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10))", "CREATE TABLE p (x INT, y VARCHAR(5), z INT, PRIMARY KEY (x, y))",
            "INSERT INTO t VALUES (1,'a'), (2,'b'), (3,'c')", "INSERT INTO p VALUES (1,'a',1), (1,'b',2), (2,'a',3)",
            "UPDATE t SET id = 10 WHERE id = 1",
            "BEGIN", "UPDATE t SET id = -1 WHERE id = 2", "UPDATE t SET id = 2 WHERE id = 3", "UPDATE t SET id = 3 WHERE id = -1", "COMMIT",
            "UPDATE t SET id = id + 100 ORDER BY id DESC",
            "UPDATE p SET y = 'c', z = 9 WHERE x = 1 AND y = 'b'",
            "BEGIN", "DELETE FROM t WHERE id = 102", "INSERT INTO t VALUES (102, 'again')", "UPDATE t SET id = 500 WHERE id = 102", "COMMIT")
    once(lab)
    lab.assert_equal("t", "p")
    lab.assert_counts()


def test_table_without_key(lab):
    lab.sql("CREATE TABLE t (a INT, b VARCHAR(10), f FLOAT)",
            "INSERT INTO t VALUES (1,'x',0.1), (1,'x',0.1), (1,'x',0.1), (2,NULL,NULL), (2,NULL,NULL), (NULL,NULL,NULL)",
            "UPDATE t SET b='y' WHERE a=1 LIMIT 1", "DELETE FROM t WHERE a=1 AND b='x' LIMIT 1", "UPDATE t SET b='z' WHERE a=2 LIMIT 1",
            "DELETE FROM t WHERE a IS NULL", "INSERT INTO t VALUES (1,'x',0.1)")
    once(lab)
    lab.assert_equal("t")
    lab.assert_counts()


def test_unique_key_and_hostile_names(lab):
    lab.sql("CREATE TABLE `we\"ird 'name` (`id` INT PRIMARY KEY, `select` INT, `sp ace` INT, `q\"uote` VARCHAR(9), UNIQUE (`select`))",
            "INSERT INTO `we\"ird 'name` VALUES (1, 1, 1, 'a'), (2, 2, 2, 'b')",
            "BEGIN", "UPDATE `we\"ird 'name` SET `select` = 99 WHERE id = 1", "UPDATE `we\"ird 'name` SET `select` = 1 WHERE id = 2",
            "UPDATE `we\"ird 'name` SET `select` = 2 WHERE id = 1", "COMMIT")
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    assert lab.dest(f'SELECT "id", "select", "sp ace", "q""uote" FROM "{lab.db}"."we""ird \'name" ORDER BY 1') == \
        [(1, 2, 1, "a"), (2, 1, 2, "b")]


@TWO
def test_large_transaction(lab):
    """60,000 rows in one transaction, in frames of 16 KiB: seen whole or not at all."""
    lab.sql("CREATE TABLE big (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200))", "INSERT INTO big (v) VALUES (REPEAT('x', 100))",
            *["INSERT INTO big (v) SELECT CONCAT(id, REPEAT('y', 90)) FROM big" for _ in range(4)])
    lab.sql("BEGIN", *["INSERT INTO big (v) SELECT CONCAT(id, REPEAT('z', 90)) FROM big" for _ in range(12)],
            "UPDATE big SET v = CONCAT('u', v) WHERE id % 3 = 0", "DELETE FROM big WHERE id % 5 = 0", "COMMIT")
    rows = lab.sql("SELECT COUNT(*) FROM big")[0][0]
    assert rows > 40000
    seen = set()
    lab.capture("--once", "--frame-size", "16KiB", "--segment-size", "1MiB").run(timeout=180)
    apply = lab.apply("--create", "--once").start()
    while apply.running:
        if lab.dest(f"SELECT to_regclass('\"{lab.db}\".big')")[0][0]:
            seen.add(lab.dest(f'SELECT count(*) FROM "{lab.db}".big')[0][0])
        time.sleep(0.05)
    apply.wait()
    lab.assert_equal("big")
    lab.assert_counts()
    assert seen <= {0, 1, 2, 4, 8, 16, rows}, f"a reader of the destination saw part of a transaction: {seen}"


@TWO
def test_frames_of_many_tables(lab):
    """A frame that hundreds of tables share becomes up to four times as large as --frame-size says, between transactions and inside one; one that few share
    does not. Every change is there, whatever the frames."""
    source, tables, rows = lab.own_source(), 300, 3000
    lab.sql("CREATE TABLE single (id INT PRIMARY KEY, v VARCHAR(20))", *[f"CREATE TABLE m{t} (id INT PRIMARY KEY, v VARCHAR(20))" for t in range(tables)])
    lab.sql(*[f"INSERT INTO m{i * 7 % tables} VALUES ({i}, 'value {i % 100}')" for i in range(rows)],
            "BEGIN", *[f"UPDATE m{i % tables} SET v = 'new' WHERE id % 2 = 0" for i in range(tables)], "COMMIT",
            *[f"INSERT INTO single VALUES ({i}, 'value {i % 100}')" for i in range(rows)],
            "BEGIN", "UPDATE single SET v = 'new' WHERE id % 2 = 0", "COMMIT", "FLUSH BINARY LOGS")
    files = [source.data / f for f in source.binlogs()]

    def captured(name, pattern, frame):
        slot = lab.dir / name
        lab.daemon("rowtide-capture", ["--from-file", *files, "--slot", slot, "--tables", f"{lab.db}.{pattern}", "--start", lab.start_at, "--frame-size", frame], name).run()
        frames = [json.loads(line) for line in lab.tool.run("segment", "verify", slot, "--json").stdout.splitlines()]
        return sum(f.get("frames", 0) for f in frames if "segment" in f), lab.changes(slot=slot)
    many, many_changes = captured("many", "m*", "4KiB")
    one, one_changes = captured("one", "single", "4KiB")
    assert (many_changes, one_changes) == (captured("many-large", "m*", "16MiB")[1], captured("one-large", "single", "16MiB")[1])
    assert len(many_changes) == rows * 3 // 2 and len(one_changes) == rows * 3 // 2, (len(many_changes), len(one_changes))
    assert one > 40 and one / 5 < many < one / 2, f"{many} frames of {tables} tables, {one} of one table"


def test_rotation_and_flush_logs(lab):
    lab.own_source(max_binlog_size="65536")
    load.create_tables(lab)
    lab.capture("--once").run()
    lab.keep_everything()
    capture, apply = lab.start_both(capture=("--segment-size", "256KiB"))
    with load.Load(lab) as writer:
        for _ in range(6):
            time.sleep(0.3)
            lab.sql("FLUSH LOGS")
        wait_until(lambda: len(lab.source.binlogs()) > 8, "rotations")
    assert writer.transactions > 50
    lab.settle(*load.TABLES)
    capture.stop()
    apply.stop()
    lab.assert_counts()


def test_source_restart_while_capturing(lab):
    lab.own_source()
    load.create_tables(lab)
    capture, apply = lab.start_both()
    with load.Load(lab):
        time.sleep(0.5)
        lab.source.restart()
        time.sleep(0.5)
        lab.source.kill9()
        lab.source.start()
        time.sleep(0.5)
    lab.settle(*load.TABLES)
    capture.stop()
    apply.stop()
    lab.assert_counts()


def test_tls(lab):
    certs = lab.source.certs
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)",
            f"CREATE USER IF NOT EXISTS tls@'%' IDENTIFIED BY '{CDC_PASSWORD}' REQUIRE SSL",
            "GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO tls@'%'")
    if not lab.source.is_mysql:
        lab.sql("GRANT SLAVE MONITOR ON *.* TO tls@'%'")

    def tries(code, **query):
        return lab.capture("--once", "--retry-for", "1s", url=lab.source.url(user="tls", **query), slot=lab.dir / str(len(lab.daemons)),
                           name=f"tls{len(lab.daemons)}").run(code=code)
    tries(0, ssl_mode="REQUIRED")
    tries(0, ssl_mode="VERIFY_CA", ssl_ca=certs / "ca.pem")
    tries(0, ssl_mode="VERIFY_IDENTITY", ssl_ca=certs / "ca.pem")
    tries(0, host="localhost", ssl_mode="VERIFY_IDENTITY", ssl_ca=certs / "ca.pem")
    tries(2, ssl_mode="VERIFY_CA", ssl_ca=certs / "other-ca.pem")
    tries(2, ssl_mode="DISABLED")


def test_socket(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    lab.capture("--once", url=lab.source.url(host="localhost", socket=lab.source.socket)).run()
    assert len(lab.changes()) == 1


def test_passwords(lab):
    """From the environment and from a file; never in a log, a process list or another file."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    lab.capture("--once", url=lab.source.url(password=None), slot=lab.dir / "a").run(env={"ROWTIDE_SOURCE_PASSWORD": CDC_PASSWORD})
    secret = lab.dir / "secret"
    secret.write_text(CDC_PASSWORD + "\n")
    secret.chmod(0o600)
    lab.capture("--once", "--password-file", secret, url=lab.source.url(password=None), slot=lab.dir / "b").run()
    secret.unlink()
    capture = lab.capture(name="running").start(env={"ROWTIDE_LOG": "x"})
    capture.wait_event("streaming")
    with open(f"/proc/{capture.process.pid}/cmdline", "rb") as f:
        shown = f.read()
    assert b"Sekrit" not in shown, shown
    capture.stop()
    assert "Sekrit" not in capture.text()
    for path in lab.slot.rglob("*"):
        assert path.is_dir() or b"Sekrit" not in path.read_bytes(), path
        assert os.stat(path).st_mode & 0o007 == 0, f"{path} is open to the world"


def test_start_positions(lab):
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    gtid = lab.source.gtids()
    where = lab.sql("SHOW BINARY LOG STATUS" if lab.source.is_mysql else "SHOW MASTER STATUS")[0]
    lab.sql("FLUSH LOGS", "INSERT INTO t VALUES (2)")

    def ids(slot):
        return [r["row"]["id"] for r in lab.changes(slot=slot)]

    def take(name, start):
        lab.capture("--once", "--start", start, slot=lab.dir / name, name=name).run()
        return ids(lab.dir / name)
    assert take("earliest", "earliest") == [1, 2]
    assert take("gtid", f"gtid:{gtid}") == [2]
    assert take("file", f"file:{where[0]}:{where[1]}") == [2]
    assert take("now", "now") == []
    lab.sql("INSERT INTO t VALUES (3)")
    for name, want in (("earliest", [1, 2, 3]), ("gtid", [2, 3]), ("file", [2, 3]), ("now", [3])):
        lab.capture("--once", "--start", "now", slot=lab.dir / name, name=name).run(code=None)   # --start is only for a new slot
        assert ids(lab.dir / name) == want, name


def test_without_gtids(lab):
    """A MySQL without GTIDs resumes by file and offset; MariaDB always has them."""
    lab.own_source(**({"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"} if lab.source_kind_is_mysql else {}))
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    for i in range(3):
        lab.sql(f"INSERT INTO t VALUES ({i}), ({i + 10})", "FLUSH LOGS", f"UPDATE t SET id = id + 100 WHERE id = {i}")
        lab.capture("--once", "--start", "earliest").run()
    lab.apply("--create", "--once").run()
    lab.assert_equal("t")
    assert len(lab.changes()) == 9


def test_minimal_image_is_not_null(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b TEXT)", "INSERT INTO t VALUES (1, 1, 'keep'), (2, 2, 'keep')")
    for image in ("MINIMAL", "NOBLOB"):
        lab.sql(f"SET SESSION binlog_row_image = '{image}'", "UPDATE t SET a = a + 10", "DELETE FROM t WHERE id = 2",
                "INSERT INTO t (id, a, b) VALUES (2, 5, 'keep')", "UPDATE t SET b = CONCAT(b, '!')", "UPDATE t SET id = 7 WHERE id = 2",
                "UPDATE t SET id = 2 WHERE id = 7")
    once(lab)
    lab.assert_equal("t")
    # What was not sent cannot be inserted: stop, rather than make NULLs of it.
    lab.sql("SET SESSION binlog_row_image = 'MINIMAL'", "INSERT INTO t (id) VALUES (3)")
    lab.capture("--once").run()
    assert "t" in lab.apply("--create", "--once").run(code=1)


def test_compressed_binlog(lab):
    lab.own_source(**({"binlog_transaction_compression": "ON"} if lab.source_kind_is_mysql else {"log_bin_compress": "ON"}))
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)", f"INSERT INTO t VALUES (1, '{'long' * 500}'), (2, 'x')",
            "UPDATE t SET v = REPEAT('z', 3000) WHERE id = 2", "INSERT INTO t SELECT id + 10, v FROM t", "DELETE FROM t WHERE id = 1")
    once(lab)
    lab.assert_equal("t")
    lab.assert_counts()


@TWO
def test_zero_dates_and_nul(lab):
    lab.sql("SET SESSION sql_mode=''", "CREATE TABLE t (id INT PRIMARY KEY, d DATE, t DATETIME, v VARCHAR(10))",
            "INSERT INTO t VALUES (1, '0000-00-00', '2024-00-00 00:00:00', 'ok')", "INSERT INTO t VALUES (2, '2024-01-01', NULL, 'a\\0b')")
    lab.capture("--once").run()
    assert "NUL" in lab.apply("--create", "--once").run(code=1)
    lab.apply("--create", "--once", "--nul", "strip").run()
    assert lab.dest(f'SELECT id, d::text, t::text, v FROM "{lab.db}".t ORDER BY 1') == \
        [(1, None, None, "ok"), (2, "2024-01-01", None, "ab")]
    lab.apply("--create", "--once", "--zero-date", "error", "--name", "strict").run(code=1)


@TWO
def test_preflight(lab):
    """Each thing that is wrong with the source is named, with the statement that mends it."""
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE USER poor@'%' IDENTIFIED BY 'poor'")

    def refused(*words, code=2, **url):
        log = lab.capture("--once", "--retry-for", "1s", url=lab.source.url(**url)).run(code=code)
        for w in words:
            assert w in log, f"{w!r} is not in:\n{log}"
    refused("GRANT", "REPLICATION SLAVE", user="poor", password="poor")
    for variable, bad, good in (("binlog_row_metadata", "MINIMAL", "FULL"), ("binlog_format", "STATEMENT", "ROW")):
        lab.sql(f"SET GLOBAL {variable} = {bad}")
        refused(variable, "SET ")
        lab.sql(f"SET GLOBAL {variable} = {good}")
    refused("cdc", password="wrong")
    lab.capture("--once").run()


def test_usage_errors(lab):
    for args in (["--slot", lab.slot], ["--source", "nonsense", "--slot", lab.slot], ["--no-such-option"]):
        p = subprocess.run(lab.build.argv("rowtide-capture", *args), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert p.returncode == 2 and p.stderr, (args, p.returncode, p.stderr)
    unreachable = lab.capture("--once", "--retry-for", "1s", "--start", "now", url="mysql://u:p@127.0.0.1:1/")
    assert unreachable.run(code=3)
    for program in ("rowtide-capture", "rowtide-apply", "rowtide"):
        for flag in ("--help", "--version"):
            p = subprocess.run(lab.build.argv(program, flag), capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert p.returncode == 0 and p.stdout, (program, flag)
