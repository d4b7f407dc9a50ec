"""kill -9 at named points and at random moments, and servers that restart: at the end the destination equals the source, and
the count of applied changes proves that none was applied twice (I1, I2, I4)."""
import random
import re
import time
from pathlib import Path

import pytest

from rt import load

TWO = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")
SMALL = ("--segment-size", "64KiB", "--frame-size", "16KiB")
CAPTURE_POINTS = ["frame_before_write:1", "frame_before_write:7", "frame_after_write:1", "frame_after_write:9", "frame_before_fsync:1",
                  "frame_before_fsync:4", "frame_after_fsync:1", "frame_after_fsync:4", "state_after_write:2", "seal_before_mark:1",
                  "seal_before_mark:2", "seal_after_mark:1", "seal_after_mark:2", "mid_transaction:1", "mid_transaction:3",
                  "relation_after_write:1", "relation_after_write:2"]
SMALL_FRAME_POINTS = ["frame_before_fsync:9", "seal_before_rename:1", "seal_before_rename:2", "seal_after_rename:1"]
WORKER_POINTS = ["before_turn:3", "before_commit:4", "after_commit:5"]
APPLY_POINTS = ["before_begin:1", "before_begin:3", "after_rows:1", "after_rows:4", "before_commit:1", "before_commit:3",
                "after_commit:1", "after_commit:4", "before_confirm:1", "before_confirm:2"]


def fill(lab):
    """Small transactions, a new column in between, and one transaction larger than a segment."""
    rnd = random.Random(7)
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))", "CREATE TABLE u (a INT, b VARCHAR(300))")
    def text():
        return "".join(rnd.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(250))
    for i in range(60):
        lab.sql("BEGIN", f"INSERT INTO t VALUES ({i}, '{text()}')", f"INSERT INTO u VALUES ({i % 5}, '{text()[:9]}')", "COMMIT")
    lab.sql("ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 5")
    many = ",".join(f"({i}, '{text()}', {i})" for i in range(1000, 1600))
    lab.sql("BEGIN", f"INSERT INTO t VALUES {many}", "UPDATE t SET n = n + 1 WHERE id < 1300", "DELETE FROM u WHERE a = 1", "COMMIT")
    for i in range(20):
        lab.sql(f"UPDATE t SET v = '{text()}' WHERE id = {i}", f"DELETE FROM t WHERE id = {1000 + i}")
    many = ",".join(f"({i}, '{text()}', {i})" for i in range(2000, 2500))
    lab.sql(f"INSERT INTO t VALUES {many}", "DELETE FROM t WHERE id = 2499")


def check_all(lab, *tables):
    lab.tool.run("segment", "verify", lab.slot)
    lab.assert_equal(*tables)
    lab.assert_counts()


@TWO
@pytest.mark.parametrize("point", CAPTURE_POINTS)
def test_capture_killed_at(lab, point):
    lab.sql("CREATE TABLE before_all (id INT PRIMARY KEY)", "INSERT INTO before_all VALUES (1)")
    lab.capture("--once", *SMALL).run()
    lab.keep_everything()
    apply = lab.apply("--create", "--evolve").start()      # reads along all the time: it must never see what is cut later
    fill(lab)
    lab.capture("--once", *SMALL, name="killed").run(code=-9, env={"ROWTIDE_FAULT": "capture." + point})
    time.sleep(0.2)
    lab.capture("--once", *SMALL).run()
    lab.settle("t", "u", "before_all")
    apply.stop()
    check_all(lab, "t", "u", "before_all")


@TWO
@pytest.mark.parametrize("point", SMALL_FRAME_POINTS)
def test_capture_killed_while_it_follows(lab, point):
    """The same with several small frames to a segment (against --frame-size), which is written anew when it is sealed."""
    rnd = random.Random(8)
    options = ("--segment-size", "64KiB")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))", "INSERT INTO t VALUES (0, '')")
    lab.capture("--once", *options).run()
    lab.keep_everything()
    apply = lab.apply("--create", "--evolve").start()
    killed = lab.capture(*options, name="killed").start(env={"ROWTIDE_FAULT": "capture." + point})
    killed.wait_event("streaming")
    for i in range(1, 900):
        lab.sql(f"INSERT INTO t VALUES ({i}, '{rnd.randbytes(140).hex()}')")
        if i % 30 == 0:
            time.sleep(0.04)        # what came so far is a frame
    killed.wait(code=-9)
    time.sleep(0.2)
    lab.capture("--once", *options).run()
    lab.settle("t")
    apply.stop()
    check_all(lab, "t")


@TWO
@pytest.mark.parametrize("point", APPLY_POINTS)
def test_apply_killed_at(lab, point):
    fill(lab)
    lab.capture("--once", *SMALL).run()
    args = ("--create", "--evolve", "--once", "--batch-rows", "50")
    lab.apply(*args, name="killed").run(code=-9, env={"ROWTIDE_FAULT": "apply." + point})
    lab.apply(*args).run()
    check_all(lab, "t", "u")


@pytest.mark.combos("libmariadb-mysql97")
def test_workers_killed_at(lab):
    """The same with batches of several workers under way: one slot, a destination of its own for each point."""
    fill(lab)
    lab.capture("--once", *SMALL).run()
    lab.keep_everything()
    args = ("--create", "--evolve", "--once", "--batch-rows", "20", "--workers", "2")
    for point in WORKER_POINTS:
        lab.dest("DROP SCHEMA IF EXISTS rowtide, %s CASCADE" % lab.db)
        to = ("--name", point.replace(":", "_"))
        lab.apply(*args, *to, name="killed").run(code=-9, env={"ROWTIDE_FAULT": "apply." + point})
        lab.apply(*args, *to).run()
        lab.assert_equal("t", "u")
        lab.assert_counts(to[1])
        lab.tool.run("slot", "drop", lab.slot, "--name", to[1])


def killed_again_and_again(lab, seconds, segment="256KiB"):
    """Load, while each daemon is killed and started anew at random moments."""
    rnd = random.Random(lab.db)
    load.create_tables(lab)
    lab.capture("--once").run()
    lab.keep_everything()
    capture, apply = lab.start_both(capture=("--segment-size", segment))
    kills = 0
    with load.Load(lab) as writer:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rnd.uniform(0.05, 1.0))
            victim = rnd.choice((capture, apply))
            victim.kill9()
            kills += 1
            if rnd.random() < 0.3:
                time.sleep(rnd.uniform(0, 0.5))
            victim.start()
    assert writer.transactions > 50 and kills > 4
    lab.settle(*load.TABLES, timeout=120)
    capture.stop()
    apply.stop()
    check_all(lab, *load.TABLES)


def test_random_kills(lab):
    killed_again_and_again(lab, 12)


@TWO
def test_servers_restart_on_both_sides(lab):
    """The daemons stay; both servers crash and are restarted under load."""
    lab.own_source(max_binlog_size="262144")
    lab.own_pg()
    load.create_tables(lab)
    capture, apply = lab.start_both()
    with load.Load(lab) as writer:
        for _ in range(2):
            time.sleep(1)
            lab.pg.crash()
            time.sleep(0.5)
            lab.source.kill9()
            lab.pg.start()
            lab.source.start()
            time.sleep(1)
            lab.pg.restart()
            lab.source.restart()
    assert writer.transactions > 50
    lab.settle(*load.TABLES, timeout=120)
    assert capture.running and apply.running
    capture.stop()
    apply.stop()
    check_all(lab, *load.TABLES)


@TWO
def test_destination_sessions_are_killed(lab):
    """Lost connections and deadlock victims at the destination: retried, not applied twice."""
    load.create_tables(lab)
    capture, apply = lab.start_both()
    with load.Load(lab):
        for _ in range(8):
            time.sleep(0.4)
            lab.dest("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    lab.settle(*load.TABLES)
    assert apply.running
    capture.stop()
    apply.stop()
    check_all(lab, *load.TABLES)


@TWO
def test_dump_connection_is_killed(lab):
    """The server ends the dump threads, also inside a transaction that is being sent."""
    load.create_tables(lab)
    capture, apply = lab.start_both()
    with load.Load(lab):
        for _ in range(8):
            time.sleep(0.4)
            for row in lab.sql("SHOW PROCESSLIST"):
                if row[1] == "cdc" and row[4].startswith("Binlog Dump"):
                    try:
                        lab.sql(f"KILL {row[0]}")
                    except Exception as e:      # it may be gone by now
                        assert "Unknown thread id" in str(e), e
    lab.settle(*load.TABLES)
    assert capture.running
    capture.stop()
    apply.stop()
    check_all(lab, *load.TABLES)


@pytest.mark.combos("libmariadb-mysql97")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_destination_crashes_while_behind(lab, workers):
    """While it is behind, apply does not wait for the destination's disk at each commit, and a crash there takes some back: rows
    and progress together, and never what the slot was told of."""
    lab.own_pg(wal_buffers="64MB", autovacuum="off")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100))", "CREATE TABLE n (k INT PRIMARY KEY, v INT)", "INSERT INTO n VALUES (1, 0)")
    statements = []
    for i in range(800):
        values = ",".join(f"({i * 8 + k}, REPEAT('{i} ', 9))" for k in range(8))
        statements += ["BEGIN", f"INSERT INTO t VALUES {values}", f"UPDATE n SET v = {i}", f"DELETE FROM t WHERE id = {i * 8 - 3}", "COMMIT"]
    lab.sql(*statements)
    lab.capture("--once", *SMALL).run()
    lab.keep_everything()
    # The destination is what is slow, by as much each time: some twenty commits do not wait for its disk, then one does.
    lab.dest(f"CREATE SCHEMA {lab.db}", f"SET search_path = {lab.db}", "CREATE TABLE n (k int PRIMARY KEY, v int)",
             "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END'",
             "CREATE TRIGGER slow BEFORE UPDATE ON n FOR EACH ROW EXECUTE FUNCTION slow()")
    args = ("--create", "--workers", workers, "--batch-rows", "10")
    for _ in range(4):
        lab.pg.hold_wal_writer()
        # Told at its start, at the first commit that waits for the disk, and a second later: twice as long as commits may not wait.
        lab.apply(*args).run(code=-9, env={"ROWTIDE_FAULT": "apply.after_confirm:3"})
        before = lab.progress()
        lab.pg.crash()
        confirmed = int(re.search(r"^confirmed_lsn=(\d+)$", (Path(lab.slot) / "default.sub").read_text(), re.M)[1])
        lab.pg.start()
        after = lab.progress()
        assert 0 < confirmed <= after["lsn"], f"confirmed {confirmed}, the destination has {after['lsn']}, and had {before['lsn']}"
        if after["lsn"] < before["lsn"]:
            break
    else:
        pytest.fail("no crash took anything back: this test shows nothing")
    lab.dest(f"DROP TRIGGER slow ON {lab.db}.n")
    lab.apply(*args, "--once").run()
    check_all(lab, "t", "n")
