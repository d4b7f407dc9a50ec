"""XA transactions: in the log when they are committed, as one transaction at that place, and never when rolled back; and ROLLBACK
TO with captured rows in the binlog. Both servers, all through."""
import json
import re

import pytest

from rt.fidelity import witnessed
from rt.util import wait_until

TWO = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")
SMALL = ("--segment-size", "64KiB", "--frame-size", "16KiB")


def xid(lab, name):
    """Servers are shared between tests, and names are theirs: one of this test's own."""
    return f"'{lab.db}-{name}'"


def prepare(lab, xid, *statements):
    """On a connection of its own, which ends: a prepared transaction does not need one. Until the server has seen that, nobody else
    may commit it."""
    ended = lab.sql(f"XA START {xid}", *statements, f"XA END {xid}", f"XA PREPARE {xid}", "SELECT CONNECTION_ID()")[0][0]
    wait_until(lambda: not lab.sql(f"SELECT 1 FROM information_schema.processlist WHERE id = {ended}"), "the connection's end")


def ids(lab, slot=None):
    """(id, ...) of each transaction of the slot, in its order."""
    out, now = [], None
    for r in lab.tool.records(slot or lab.slot):
        if r["op"] == "begin":
            now = []
        elif r["op"] == "commit":
            out.append(tuple(now))
        elif r["op"] in ("insert", "update", "delete"):
            row = r.get("row") or r.get("old")
            now.append((r["op"][0], int(row["id"])))
    return [t for t in out if t]


def row_files(lab):
    return sorted(p.name for p in (lab.slot / "xa").glob("*.rows"))


def prepared(lab):
    return json.loads(lab.tool.run("status", lab.slot, "--json").stdout)["capture"]["prepared"]


@pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mysql97", "libmariadb-mariadb1011", "libmysqlclient-mariadb1011", "libmariadb-mariadb118")
def test_commit_order_and_rollback(lab):
    """Several at once, odd names, filtered tables, across a rotation and restarts of capture."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))", "CREATE TABLE skipped (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1000, 'so that locked gaps do not reach further')")
    only_t = f"{lab.db}.*,!{lab.db}.skipped"
    a, b, c, d = xid(lab, "a"), f"X'00ff27{lab.db.encode().hex()}',X'5c00',2147483647", f"'it''s {lab.db}','\"',7", xid(lab, "filtered")
    prepare(lab, a, "INSERT INTO t VALUES (1, 'a'), (2, 'a')", "UPDATE t SET v = 'a2' WHERE id = 2")
    lab.sql("INSERT INTO t VALUES (10, 'x')")
    lab.capture("--once", tables=only_t).run()
    assert ids(lab) == [(("i", 1000),), (("i", 10),)]
    assert prepared(lab)["count"] == 1 and prepared(lab)["oldest_seconds"] >= 0
    prepare(lab, b, "INSERT INTO t VALUES (3, 'b')", "SAVEPOINT s", "INSERT INTO t VALUES (2000, 'never')", "ROLLBACK TO s")
    prepare(lab, c, "INSERT INTO t VALUES (5, 'c')")
    prepare(lab, d, "INSERT INTO skipped VALUES (1)")
    lab.sql("FLUSH BINARY LOGS")
    lab.sql("INSERT INTO t VALUES (11, 'y')")
    lab.capture("--once", tables=only_t).run()
    assert len(row_files(lab)) == 3 and prepared(lab)["count"] == 4
    lab.sql(f"XA COMMIT {b}")
    lab.sql(f"XA ROLLBACK {c}")
    lab.sql(f"XA COMMIT {d}")
    lab.sql("INSERT INTO t VALUES (12, 'z')")
    lab.capture("--once", tables=only_t).run()
    assert len(row_files(lab)) == 1
    before = lab.source.gtids()
    lab.sql(f"XA COMMIT {a}")
    prepare(lab, a, "INSERT INTO t VALUES (6, 'a again')")
    lab.sql(f"XA COMMIT {a}")
    lab.sql(f"XA START {c}", "INSERT INTO t VALUES (7, 'one phase')", f"XA END {c}", f"XA COMMIT {c} ONE PHASE")
    lab.capture("--once", tables=only_t).run()
    assert ids(lab)[1:] == [(("i", 10),), (("i", 11),), (("i", 3),), (("i", 12),), (("i", 1), ("i", 2), ("u", 2)), (("i", 6),),
                        (("i", 7),)]
    assert row_files(lab) == [] and prepared(lab)["count"] == 0
    begin = [r for r in lab.tool.records(lab.slot) if r["op"] == "begin"][-3]      # the one of XA COMMIT, not of XA PREPARE
    assert int(re.split("[:-]", begin["gtid"])[-1]) == int(re.split("[:-]", before)[-1]) + 1
    lab.tool.run("segment", "verify", lab.slot)
    lab.apply("--create", "--once").run()
    lab.assert_equal("t")
    lab.assert_counts()
    witnessed(lab, "exact", "XA_PREPARE")


@TWO
def test_live_with_a_restart_of_the_source(lab):
    """What was prepared survives the source's crash, and its commit arrives; large, so that it takes many frames."""
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))", "CREATE TABLE u (id INT PRIMARY KEY)", "CREATE TABLE digits (n INT)",
            "INSERT INTO digits VALUES " + ",".join(f"({i})" for i in range(60)))
    capture, apply = lab.start_both(capture=SMALL)
    prepare(lab, xid(lab, "big"), "INSERT INTO t SELECT a.n * 60 + b.n, REPEAT('x', 150) FROM digits a, digits b",
            "UPDATE t SET v = 'y' WHERE id % 7 = 0", "DELETE FROM t WHERE id % 5 = 0")
    prepare(lab, xid(lab, "gone"), "INSERT INTO u VALUES (1)")
    wait_until(lambda: len(row_files(lab)) == 2, "both to be prepared in the slot")
    lab.source.kill9()
    lab.source.start()
    lab.sql("INSERT INTO digits VALUES (1000)")
    lab.sql(f"XA COMMIT {xid(lab, 'big')}")
    lab.sql(f"XA ROLLBACK {xid(lab, 'gone')}")
    lab.settle("t", "digits")
    wait_until(lambda: row_files(lab) == [], "the rows to be removed")
    capture.stop()
    apply.stop()
    lab.tool.run("segment", "verify", lab.slot)
    lab.assert_counts()


POINTS = ["xa.spilled:1", "xa.before_fsync:1", "xa.after_fsync:1", "xa.after_index:1", "xa.after_index:2", "xa.copied:1",
          "file.before_dirsync:1"]


@TWO
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(lab, point):
    """Prepared, committed, rolled back, with other transactions between: whatever the moment, nothing lost, nothing twice."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))")
    lab.capture("--once", *SMALL).run()
    lab.keep_everything()
    many = ",".join(f"({i}, '{'x' * 150}')" for i in range(100, 400))
    prepare(lab, xid(lab, "a"), f"INSERT INTO t VALUES {many}")
    prepare(lab, xid(lab, "b"), "INSERT INTO t VALUES (1, 'b')")
    lab.sql("INSERT INTO t VALUES (2, 'between')")
    first = lab.capture("--once", *SMALL, name="killed").run(code=(-9, 0), env={"ROWTIDE_FAULT": point})
    lab.sql(f"XA COMMIT {xid(lab, 'a')}")
    lab.sql(f"XA ROLLBACK {xid(lab, 'b')}")
    prepare(lab, xid(lab, "c"), "INSERT INTO t VALUES (3, 'c')")
    lab.sql(f"XA COMMIT {xid(lab, 'c')}", "INSERT INTO t VALUES (4, 'd')")
    second = lab.capture("--once", *SMALL, name="killed2").run(code=(-9, 0), env={"ROWTIDE_FAULT": point})
    assert "caught_up" not in first or "caught_up" not in second
    lab.capture("--once", *SMALL).run()
    assert ids(lab) == [(("i", 2),), tuple(("i", i) for i in range(100, 400)), (("i", 3),), (("i", 4),)]
    assert row_files(lab) == [] and prepared(lab)["count"] == 0
    lab.tool.run("segment", "verify", lab.slot)


@TWO
def test_prepared_before_the_slot(lab):
    """A new slot refuses to begin while something is prepared that it would not know; and an XA COMMIT of such stops."""
    lab.own_source()
    lab.source.sql("GRANT XA_RECOVER_ADMIN ON *.* TO cdc@'%'" if lab.source_kind_is_mysql else "SELECT 1")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    prepare(lab, "'old',X'00'", "INSERT INTO t VALUES (1)")
    error = lab.capture("--once", "--start", "now").run(code=2)
    assert "XA COMMIT X'6f6c64',X'00',1" in error, error
    start = "gtid:" + lab.source.gtids()
    lab.capture("--once", "--start", start).run()
    lab.sql("INSERT INTO t VALUES (2)")
    lab.sql("XA COMMIT 'old',X'00'")
    error = lab.capture("--once", "--start", start).run(code=1)
    assert "XA COMMIT X'6f6c64',X'00',1: it was prepared before this slot began" in error, error
    assert ids(lab) == [(("i", 2),)]


def test_rollback_to_savepoint(lab):
    """MariaDB writes the rows and ROLLBACK TO when the transaction also changed a table that cannot be rolled back, or made a
    temporary one; MySQL with GTIDs leaves them out itself."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO m VALUES (0)",
            "FLUSH BINARY LOGS")
    lab.sql("BEGIN", "INSERT INTO t VALUES (1)", "SAVEPOINT a", "INSERT INTO t VALUES (2), (3)", "CREATE TEMPORARY TABLE x (n INT)",
            "ROLLBACK TO a", "INSERT INTO t VALUES (4)", "COMMIT")
    lab.sql("BEGIN", "SAVEPOINT A", "INSERT INTO t VALUES (5)", "SAVEPOINT b", "CREATE TEMPORARY TABLE x (n INT)",
            "INSERT INTO t VALUES (6)", "ROLLBACK TO b", "INSERT INTO t VALUES (7)", "ROLLBACK TO a", "INSERT INTO t VALUES (8)", "COMMIT")
    lab.sql("BEGIN", "INSERT INTO t VALUES (9)", "CREATE TEMPORARY TABLE x (n INT)", "ROLLBACK")
    if not lab.source_kind_is_mysql:
        lab.sql("BEGIN", "INSERT INTO t VALUES (10)", "SAVEPOINT a", "INSERT INTO t VALUES (11)", "INSERT INTO m VALUES (1)", "ROLLBACK TO a",
                "INSERT INTO t VALUES (12)", "COMMIT")
        lab.sql("BEGIN", "INSERT INTO t VALUES (13)", "INSERT INTO m VALUES (2)", "ROLLBACK")
        prepare(lab, xid(lab, "s"), "INSERT INTO t VALUES (14)", "SAVEPOINT A", "INSERT INTO t VALUES (15)", "INSERT INTO m VALUES (3)",
                "ROLLBACK TO a", "INSERT INTO t VALUES (16)")
        lab.sql(f"XA COMMIT {xid(lab, 's')}")
        events = lab.source.binlog_events(lab.source.binlogs()[-1])
        assert sum(e[5].startswith("ROLLBACK TO") for e in events) == 4, events
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    lab.assert_equal("t", "m")
    lab.assert_counts()


@pytest.mark.combos("libmariadb-mariadb1011")
def test_rollback_to_of_rows_that_were_written_already(lab):
    """More than --frame-size: such a transaction is asked for a second time, from a server and from files."""
    source = lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))", "CREATE TABLE m (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE=MyISAM", "CREATE TABLE digits (n INT)",
            "INSERT INTO digits VALUES " + ",".join(f"({i})" for i in range(30)))
    many = "INSERT INTO t SELECT {} + a.n * 30 + b.n, REPEAT('x', 150) FROM digits a, digits b"
    unsafe = "INSERT INTO m VALUES (NULL)"
    lab.sql("BEGIN", many.format(0), "SAVEPOINT a", many.format(1000), unsafe, "UPDATE t SET v = 'y' WHERE id % 7 = 0", "ROLLBACK TO a", many.format(2000),
            "SAVEPOINT b", "DELETE FROM t WHERE id % 5 = 0", "SAVEPOINT c", "INSERT INTO t VALUES (9999, 'c')", "ROLLBACK TO c", "INSERT INTO t VALUES (9999, 'd')",
            "ROLLBACK TO b", "UPDATE t SET v = 'z' WHERE id % 11 = 0", "COMMIT")
    lab.sql("INSERT INTO t VALUES (100000, 'between')")
    lab.sql("BEGIN", many.format(3000), "SAVEPOINT a", many.format(4000), unsafe, "ROLLBACK TO a", many.format(4000), "ROLLBACK")
    prepare(lab, xid(lab, "s"), many.format(6000), "SAVEPOINT A", many.format(7000), unsafe, "ROLLBACK TO a", "INSERT INTO t VALUES (9998, 'x')")
    lab.sql(f"XA COMMIT {xid(lab, 's')}", "FLUSH BINARY LOGS")
    taken_back = [e[5].split()[-1] for f in source.binlogs() for e in source.binlog_events(f) if "ROLLBACK TO" in e[5]]
    assert taken_back == ["`a`", "`c`", "`b`", "`a`"], taken_back
    twice = "ROLLBACK TO takes back rows that were written already"
    text = lab.capture("--once", "--frame-size", "16KiB").run()
    assert text.count("event=reconnecting") == text.count(twice) == 2, text
    lab.tool.run("segment", "verify", lab.slot)
    lab.apply("--create", "--once").run()
    lab.assert_equal("t", "m")
    lab.assert_counts()
    slot = lab.dir / "from-files"
    files = [source.data / f for f in source.binlogs()]
    c = lab.daemon("rowtide-capture", ["--from-file", *files, "--slot", slot, "--tables", f"{lab.db}.*", "--start", lab.start_at, "--frame-size", "16KiB"], "files")
    assert c.run().count(twice) == 2
    assert lab.changes(slot=slot) == lab.changes()
