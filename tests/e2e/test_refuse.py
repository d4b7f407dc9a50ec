"""What must not be guessed: Rowtide stops with exit code 1 and a sentence that says what is wrong."""
import random
import shutil
import urllib.request

import pytest

from rt.util import free_port, wait_until

TWO = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")


def prepare(lab, rows=5):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))", *[f"INSERT INTO t VALUES ({i}, 'v')" for i in range(rows)])


def refused(daemon, *words, code=1):
    log = daemon.run(code=code)
    for w in words:
        assert w.lower() in log.lower(), f"{w!r} is not in:\n{log}"
    errors = [x for x in log.splitlines() if "level=error" in x]
    assert errors, log
    return log


@TWO
def test_restored_older_slot(lab):
    """A backup of the slot directory is put back: the destination is ahead of it (I4)."""
    prepare(lab)
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    shutil.copytree(lab.slot, lab.dir / "backup")
    lab.sql(*[f"INSERT INTO t VALUES ({i}, 'w')" for i in range(100, 110)])
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    before = lab.progress()
    shutil.rmtree(lab.slot)
    shutil.copytree(lab.dir / "backup", lab.slot)
    refused(lab.apply("--create", "--once", name="restored"), "slot")
    assert lab.progress()["lsn"] == before["lsn"] and lab.progress()["changes"] == before["changes"]
    lab.assert_equal("t")


@TWO
def test_recreated_slot(lab):
    prepare(lab)
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    shutil.rmtree(lab.slot)
    lab.capture("--once").run()
    refused(lab.apply("--create", "--once", name="recreated"), "slot")
    assert lab.dest(f'SELECT count(*) FROM "{lab.db}".t') == [(5,)]


def test_reset_source(lab):
    """RESET MASTER: what follows has nothing to do with what was captured (I3)."""
    lab.own_source()
    prepare(lab)
    lab.capture("--once").run()
    lab.source.reset_binlog()
    lab.sql("INSERT INTO t VALUES (100, 'after the reset')")
    refused(lab.capture("--once"))
    assert len(lab.changes()) == 5


def test_other_source(lab):
    """The address now answers with another server that lacks our transactions: an errant failover."""
    lab.own_source()
    prepare(lab)
    lab.capture("--once").run()
    lab.own_source()
    prepare(lab, 1)
    refused(lab.capture("--once"))
    assert len(lab.changes()) == 5


def test_purged_binlogs(lab):
    lab.own_source()
    prepare(lab)
    lab.capture("--once").run()
    lab.sql("INSERT INTO t VALUES (100, 'in a file that goes')", "FLUSH LOGS", "INSERT INTO t VALUES (101, 'stays')", "FLUSH LOGS")
    last = lab.source.binlogs()[-1]

    def purged():      # a file stays while the server has not noticed that its reader is gone
        lab.sql(f"PURGE BINARY LOGS TO '{last}'")
        return lab.source.binlogs() == [last]
    wait_until(purged, "the purge")
    refused(lab.capture("--once"), "purge")
    assert len(lab.changes()) == 5


@TWO
def test_second_applier_is_fenced_off(lab):
    """Two appliers for one subscription, each with its own copy of the slot, so that only the destination can tell them apart."""
    prepare(lab)
    lab.capture("--once").run()
    first = lab.apply("--create", name="first").start()
    lab.settle("t")
    shutil.copytree(lab.slot, lab.dir / "copy")
    second = lab.apply("--create", slot=lab.dir / "copy", name="second").start()
    second.wait_event("subscription_started")
    epoch = lab.progress()["epoch"]
    lab.sql("INSERT INTO t VALUES (50, 'new')")
    lab.capture("--once").run()
    log = first.wait(code=1)
    assert "epoch" in log or "another" in log or "fence" in log, log
    assert lab.progress()["epoch"] == epoch
    assert lab.dest(f'SELECT count(*) FROM "{lab.db}".t') == [(5,)]
    assert second.running
    second.stop()
    lab.apply("--create", "--once").run()
    lab.assert_equal("t")
    lab.assert_counts()


@TWO
def test_same_slot_twice(lab):
    """One writer at a time."""
    prepare(lab)
    first = lab.capture().start()
    first.wait_event("streaming")
    refused(lab.capture("--once", name="second"), "slot", "locked", code=2)
    assert first.running
    first.stop()


def test_statement_format(lab):
    """DML as a statement on a captured table stops capture; on another table it does not."""
    prepare(lab)
    lab.sql("CREATE DATABASE IF NOT EXISTS elsewhere", "CREATE TABLE IF NOT EXISTS elsewhere.t (id INT)", "SET SESSION binlog_format='STATEMENT'",
            "INSERT INTO elsewhere.t VALUES (1)")
    lab.capture("--once").run()
    lab.sql("SET SESSION binlog_format='STATEMENT'", "INSERT INTO t VALUES (100, 'as a statement')")
    refused(lab.capture("--once"), "statement", "t")
    assert len(lab.changes()) == 5
    refused(lab.capture("--once"), "statement")       # and again: it is not forgotten


def test_created_from_a_query_in_statement_format(lab):
    """CREATE TABLE ... SELECT: in row format its rows follow as events, in statement format they are not in the binlog."""
    prepare(lab)
    lab.sql("CREATE TABLE good AS SELECT * FROM t")
    lab.capture("--once").run()
    assert len(lab.changes(table="good")) == 5
    lab.sql("SET SESSION binlog_format='STATEMENT'", "CREATE TABLE bad AS SELECT * FROM t")
    refused(lab.capture("--once"), "statement format", "bad")


@pytest.mark.combos("libmariadb-mariadb1011")
def test_a_statement_that_is_analyzed_while_it_changes_rows(lab):
    """MariaDB carries out what ANALYZE explains."""
    prepare(lab)
    lab.capture("--once").run()
    lab.sql("SET SESSION binlog_format='STATEMENT'", "ANALYZE UPDATE t SET v = 'changed' WHERE id = 1")
    assert lab.sql("SELECT v FROM t WHERE id = 1")[0] == ("changed",)
    refused(lab.capture("--once"), "statement format", "ANALYZE UPDATE")


@pytest.mark.combos("libmariadb-mariadb1011")
def test_a_table_that_is_replaced_keeps_its_rows_and_says_so(lab):
    prepare(lab)
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    lab.sql("CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))", "INSERT INTO t VALUES (100, 'new')")
    lab.capture("--once").run()
    assert "drop_not_followed" in lab.apply("--once").run()
    assert lab.dest(f'SELECT count(*) FROM "{lab.db}".t') == [(6,)]


@TWO
def test_rows_that_change_places_with_those_of_a_partition(lab):
    """Without row events, and the statement alters another table than the captured one."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)",
            "CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (1000))",
            "INSERT INTO parts VALUES (2)")
    lab.capture("--once", tables=f"{lab.db}.t").run()
    lab.apply("--create", "--once").run()
    lab.sql("ALTER TABLE parts EXCHANGE PARTITION p WITH TABLE t")
    lab.capture("--once", tables=f"{lab.db}.t").run()
    refused(lab.apply("--create", "--once"), "EXCHANGE PARTITION", "without row events", code=2)


@TWO
def test_a_table_that_is_renamed_to_a_captured_name_brings_no_rows_and_says_so(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1)",
            "CREATE TABLE _t_gho LIKE t", "INSERT INTO _t_gho SELECT * FROM t",
            "CREATE TABLE filled (id INT PRIMARY KEY, v INT)", "INSERT INTO filled VALUES (2, 2)",
            "RENAME TABLE t TO _t_del, _t_gho TO t", "INSERT INTO t VALUES (3, 3)",
            "DROP TABLE t", "ALTER TABLE filled RENAME TO t", "INSERT INTO t VALUES (4, 4)")
    port = free_port()
    capture = lab.capture("--http", f"127.0.0.1:{port}", tables=f"{lab.db}.t").start()
    warning = capture.wait_event("renamed_in")
    assert (warning["level"], warning["table"], warning["was"]) == ("warn", f"{lab.db}.t", f"{lab.db}.filled")
    assert warning["gtid"] and "copy them" in warning["note"]
    switched, = capture.events("table_switched")
    assert (switched["level"], switched["table"], switched["was"]) == ("info", f"{lab.db}.t", f"{lab.db}._t_gho")
    wait_until(lambda: b"\nrowtide_capture_renamed_in_total 1\n" in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read(),
               "it to be counted")
    capture.stop()
    assert "renamed_in" not in lab.capture("--once", tables=f"{lab.db}.t").run()      # said once: it goes on behind it
    assert [r["row"]["id"] for r in lab.changes(table="t")] == [1, 3, 4]


@TWO
def test_damaged_segment(lab):
    """A flipped byte below the flushed LSN is corruption, not a torn tail: everybody who reads it stops and names the file."""
    prepare(lab)
    lab.capture("--once").run()
    segment = max((p for p in lab.slot.iterdir() if p.name[:16].strip("0123456789abcdef") == "" and p.is_file()), key=lambda p: p.stat().st_size)
    body = bytearray(segment.read_bytes())
    for at in (len(body) // 2, len(body) // 3):
        broken = bytearray(body)
        broken[at] ^= 0x10
        segment.write_bytes(broken)
        out = lab.tool.run("segment", "verify", lab.slot, code=1)
        assert segment.name in out.stdout + out.stderr
        refused(lab.apply("--create", "--once", name=f"damaged{at}"), segment.name)
        refused(lab.capture("--once", name=f"capture{at}"))
    segment.write_bytes(body)
    lab.tool.run("segment", "verify", lab.slot)
    lab.apply("--create", "--once").run()
    lab.assert_equal("t")


@TWO
def test_unsealed_segment(lab):
    """A segment without its seal that another one follows: capture does not take it for the last one, and verify says so."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v BLOB)")
    rnd = random.Random(3)
    options = ("--segment-size", "64KiB", "--frame-size", "16KiB")
    lab.capture("--once", *options).run()
    lab.keep_everything()
    for i in range(0, 240, 40):
        lab.sql("INSERT INTO t VALUES " + ",".join(f"({n}, X'{rnd.randbytes(1024).hex()}')" for n in range(i, i + 40)))
    lab.capture("--once", *options, name="filled").run()
    segment = sorted(lab.slot.glob("*.seg"))[-2]
    body = segment.read_bytes()
    assert body[10:12] == b"SE"
    segment.write_bytes(body[:10] + bytes(2) + body[12:])
    out = lab.tool.run("segment", "verify", lab.slot, code=1)
    assert f"{segment.name} is not sealed" in out.stdout + out.stderr
    refused(lab.capture("--once", *options, name="unsealed"), segment.name, "not sealed")
    segment.write_bytes(body)
    lab.tool.run("segment", "verify", lab.slot)
    lab.apply("--create", "--once").run()
    lab.assert_equal("t")


@TWO
def test_torn_tail_is_cut(lab):
    """Bytes behind the last commit that never were part of a whole frame, as a power cut leaves them: cut, and captured again."""
    prepare(lab)
    capture = lab.capture().start()
    capture.wait_event("streaming")
    wait_until(lambda: len(lab.changes()) == 5, "the changes")
    capture.kill9()
    segment = max((p for p in lab.slot.iterdir() if p.name[:16].strip("0123456789abcdef") == "" and p.is_file()), key=lambda p: p.name)
    with open(segment, "ab") as f:
        f.write(b"\x01torn" * 50)
    assert len(lab.changes()) == 5
    lab.sql("INSERT INTO t VALUES (100, 'more')")
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    lab.assert_equal("t")
    lab.assert_counts()


@TWO
def test_missing_destination_table(lab):
    """Without --create a table that is not there stops the subscription (I8), and nothing is lost."""
    prepare(lab)
    lab.capture("--once").run()
    refused(lab.apply("--once"), "--create", "CREATE TABLE", code=(1, 2))
    lab.apply("--once", "--create").run()
    lab.assert_equal("t")
    lab.assert_counts()


@TWO
def test_destination_refuses_a_row(lab):
    """stop names the row; skip and dead_letter go on, counted and kept."""
    prepare(lab)
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    lab.dest(f'ALTER TABLE "{lab.db}".t ADD CHECK (v <> \'bad\')')
    lab.sql("BEGIN", "INSERT INTO t VALUES (10, 'good')", "INSERT INTO t VALUES (11, 'bad')", "COMMIT", "INSERT INTO t VALUES (12, 'good')")
    lab.capture("--once").run()
    refused(lab.apply("--once"), "11", "t")
    assert lab.dest(f'SELECT count(*) FROM "{lab.db}".t') == [(5,)]
    lab.apply("--once", "--on-error", "dead_letter").run()
    assert lab.dest(f'SELECT id FROM "{lab.db}".t WHERE id > 5 ORDER BY 1') == [(10,), (12,)]
    dead = lab.dest('SELECT op, "table", new, sqlstate FROM rowtide.dead_letter')
    assert len(dead) == 1 and dead[0][0] == "insert" and dead[0][1] == "t" and dead[0][2]["id"] == 11 and dead[0][3] == "23514"
    lab.assert_counts()
