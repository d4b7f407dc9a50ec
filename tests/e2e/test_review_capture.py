"""Capture at its edges: what is whole is kept when it must stop, positions that only filtered traffic moves, a write stage that
fails while the source is silent, another server behind the same address, GTIDs that come and go, a full disk."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from rt.util import wait_until

BOTH = pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb1011")
MARIADB = pytest.mark.combos("libmariadb-mariadb1011")
MYSQL = pytest.mark.combos("libmariadb-mysql97")


def ids(lab, slot=None, op="insert"):
    return [c["row"]["id"] for c in lab.changes(slot=slot, table="t", op=op)]




@BOTH
def test_what_came_whole_before_an_error_is_in_the_slot(lab):
    """In one burst with the event that stops capture, so that nothing was idle in between."""
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    lab.sql("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO t VALUES (3)")
    text = lab.capture("--once").run(code=1)
    assert "statement format" in text
    assert ids(lab) == [1, 2]
    lab.capture("--once").run(code=1)                # neither lost nor repeated by another attempt
    assert ids(lab) == [1, 2]
    lab.tool.run("segment", "verify", lab.slot)


@BOTH
def test_short_runs_note_a_position_that_filtered_traffic_moved(lab):
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE x (id INT PRIMARY KEY)")
    c = lab.capture("--once", tables=f"{lab.db}.t")
    c.run()
    lab.sql("INSERT INTO x VALUES (1)", "INSERT INTO x VALUES (2)")
    c.run()
    lab.source.sql("FLUSH BINARY LOGS")
    # MariaDB keeps a file until its checkpoint has moved on.
    wait_until(lambda: purge_all_but_last(lab.source), "the old binlogs to go")
    lab.sql("INSERT INTO t VALUES (3)")
    c.run()
    assert ids(lab) == [3]
    # The same for a run that a signal ends.
    c = lab.capture("--heartbeat", "1s", tables=f"{lab.db}.t", name="signalled").start()
    c.wait_event("streaming")
    lab.sql("INSERT INTO x VALUES (4)")
    time.sleep(1)
    c.stop()
    lab.source.sql("FLUSH BINARY LOGS")
    wait_until(lambda: purge_all_but_last(lab.source), "the old binlogs to go")
    lab.capture("--once", tables=f"{lab.db}.t").run()


def purge_all_but_last(source):
    source.sql(f"PURGE BINARY LOGS TO '{source.binlogs()[-1]}'")
    return len(source.binlogs()) == 1


@MARIADB
def test_a_failed_write_stage_ends_capture_though_the_source_is_silent(lab):
    c = lab.capture("--heartbeat", "1s").start()
    c.wait_event("streaming")
    (lab.slot / "x.sub").write_text("garbage\n")
    text = c.wait(code=1, timeout=30)
    assert "x.sub" in text


@MARIADB
def test_another_server_begins_a_segment_of_its_own(lab):
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    c = lab.capture("--heartbeat", "1s").start()
    c.wait_event("streaming")
    lab.sql("INSERT INTO t VALUES (1)")
    wait_until(lambda: ids(lab) == [1], "the first row")
    was = lab.source.server_id
    lab.source.restart(server_id="777")
    lab.sql("INSERT INTO t VALUES (2)")
    wait_until(lambda: ids(lab) == [1, 2], "the second row")
    sources = [f.read_bytes() for f in sorted(lab.slot.glob("*.seg"))]
    assert len(sources) == 2 and f"mariadb-{was}".encode() in sources[0] and b"mariadb-777" in sources[1]
    c.wait_event("source_changed", to="mariadb-777")
    lab.source.restart()                             # and the same one again does not
    lab.sql("INSERT INTO t VALUES (3)")
    wait_until(lambda: ids(lab) == [1, 2, 3], "the third row")
    assert len(list(lab.slot.glob("*.seg"))) == 2
    c.stop()
    lab.capture("--once").run()
    lab.tool.run("segment", "verify", lab.slot)


@MYSQL
def test_gtids_of_a_server_that_is_half_way_to_gtid_mode_are_no_position(lab):
    """ON_PERMISSIVE: transactions have GTIDs, but a resume goes by file and offset; later with ON, too."""
    lab.own_source(gtid_mode="ON_PERMISSIVE")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE x (id INT PRIMARY KEY)", "INSERT INTO t VALUES (0)")
    file, pos = lab.source.sql("SHOW BINARY LOG STATUS")[0][:2]
    c = lab.capture("--once", "--start", f"file:{file}:{pos}", tables=f"{lab.db}.t")
    c.run()
    for i in range(1, 4):
        lab.sql(f"INSERT INTO t VALUES ({i})", f"INSERT INTO x VALUES ({i})")
        if i == 2:
            lab.source.sql("FLUSH BINARY LOGS")
        c.run()
    lab.source.sql("SET GLOBAL gtid_mode = ON")
    lab.sql("INSERT INTO t VALUES (4)")
    c.run()
    c.run()
    assert ids(lab) == [1, 2, 3, 4]
    assert not lab.changes(op="ddl")


@MYSQL
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_file_and_offset_are_exact_without_gtids(lab, how):
    """Restarts of capture and rotations at every place: each row once, in order."""
    lab.own_source(gtid_mode="OFF", enforce_gtid_consistency="OFF", max_binlog_size="4096")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(900))", "CREATE TABLE x (id INT PRIMARY KEY)")
    file, pos = lab.source.sql("SHOW BINARY LOG STATUS")[0][:2]
    a = ("--start", f"file:{file}:{pos}", "--frame-size", "4KiB", "--segment-size", "64KiB")
    n = 0
    for turn in range(12):
        c = lab.capture(*a, tables=f"{lab.db}.t", name="run").start()
        c.wait_event("streaming")
        for i in range(turn % 4 + 1):
            lab.sql(f"INSERT INTO t VALUES ({n}, '{'v' * 800}'), ({n + 1}, 'w')", f"INSERT INTO x VALUES ({n})")
            n += 2
            if i == 2:
                lab.source.sql("FLUSH BINARY LOGS")
        if how == "kill":
            time.sleep(0.05 * turn)
            c.kill9()
        else:
            c.stop()
    lab.capture("--once", *a, tables=f"{lab.db}.t").run()
    assert ids(lab) == list(range(n))
    lab.tool.run("segment", "verify", lab.slot)


class SlowLine:
    """A proxy in front of a source that lets `rate` bytes a second through."""

    def __init__(self, port, rate):
        self.port, self.rate = port, rate
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, source):
        return source.url(ssl_mode="DISABLED").replace(f":{self.port}/", f":{self.listener.getsockname()[1]}/")

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            threading.Thread(target=self._pipe, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pipe, args=(server, client, self.rate), daemon=True).start()

    @staticmethod
    def _pipe(a, b, rate):
        try:
            while data := a.recv(65536):
                b.sendall(data)
                time.sleep(len(data) / rate if rate else 0)
        except OSError:
            pass
        for s in (a, b):                 # closed, not only shut down: what was not read resets the connection, and both ends notice
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


@MARIADB
@pytest.mark.parametrize("table", ["x", "t"])
def test_nothing_waits_for_the_end_of_a_large_transaction(lab, table):
    """60 MB that need 12 s: a small commit before it is there at once; `state` says that the source is heard; a stop is quick."""
    lab.own_source(innodb_log_file_size="256M")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v LONGTEXT)", "CREATE TABLE x LIKE t")
    lab.start_at = "gtid:" + lab.source.gtids()
    lab.sql("INSERT INTO t VALUES (1, 'small')", "BEGIN", *[f"INSERT INTO {table} (v) VALUES (REPEAT('x', 100000))"] * 600, "COMMIT")
    line = SlowLine(lab.source.port, 5e6)
    c = lab.capture(url=line.url(lab.source), tables=f"{lab.db}.t").start()
    began = c.wait_event("streaming") and time.monotonic()
    wait_until(lambda: ids(lab) == [1], "the small commit", timeout=6)
    time.sleep(max(0, began + 6 - time.monotonic()))
    heard = re.search(r"source heard ([0-9.]+) s ago", lab.tool.run("status", lab.slot).stdout)
    assert heard and float(heard[1]) < 3, "the source was heard all the time"
    assert ids(lab) == [1], "the large one is too quick for this test"
    asked = time.monotonic()
    c.stop()
    assert time.monotonic() - asked < 5
    line.listener.close()
    lab.capture("--once", tables=f"{lab.db}.t").run()
    assert len(ids(lab)) == (601 if table == "t" else 1)


@MARIADB
def test_a_stop_while_the_source_does_not_answer_is_a_success(lab):
    lab.own_source()
    lab.source.process.send_signal(signal.SIGSTOP)
    try:
        c = lab.capture("--once").start()
        c.wait_event("started")
        time.sleep(0.5)
        c.stop()
    finally:
        lab.source.process.send_signal(signal.SIGCONT)


@MARIADB
def test_once_gives_up_when_the_source_is_gone(lab):
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v LONGTEXT)",
            "BEGIN", *["INSERT INTO t (v) VALUES (REPEAT('x', 100000))"] * 300, "COMMIT")
    line = SlowLine(lab.source.port, 5e6)
    c = lab.capture("--once", url=line.url(lab.source)).start()
    c.wait_event("streaming")
    line.listener.close()
    lab.source.kill9()
    c.wait(code=3, timeout=30)


def rows(first):
    """Twelve that do not compress."""
    return "INSERT INTO t VALUES " + ",".join(f"({first + i}, '{os.urandom(4400).hex()}')" for i in range(12))


@pytest.fixture
def small_disk(tmp_path):
    where = tmp_path / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(where)], check=True)
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


@BOTH
def test_a_full_disk_stops_capture_and_nothing_is_lost(lab, small_disk):
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9000))")
    slot = small_disk / "slot"
    a = ("--segment-size", "256KiB", "--frame-size", "16KiB")
    lab.capture("--once", *a, slot=slot).run()
    (small_disk / "ballast").write_bytes(b"x" * 1_500_000)
    n = 0
    for _ in range(30):
        lab.sql(rows(n))
        n += 12
    text = lab.capture("--once", *a, slot=slot, name="full").run(code=1)
    assert "No space left on device" in text, text
    lab.capture("--once", *a, slot=slot, name="full").run(code=1)     # still full: the same, not worse
    lab.tool.run("segment", "verify", slot)
    (small_disk / "ballast").unlink()
    lab.capture("--once", *a, slot=slot).run()
    assert ids(lab, slot) == list(range(n))
    lab.tool.run("segment", "verify", slot)


@MARIADB
def test_a_full_disk_is_freed_by_retention(lab, small_disk):
    """Others have filled the disk to the last byte: the laggard can still be marked lost, and capture goes on."""
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9000))")
    slot = small_disk / "slot"
    a = ("--segment-size", "64KiB", "--frame-size", "16KiB")
    lab.capture("--once", *a, slot=slot).run()
    lab.apply("--once", "--name", "laggard", slot=slot, to=f"jsonl:{lab.dir / 'laggard.jsonl'}", name="laggard").run()
    n = 0
    for _ in range(10):
        lab.sql(rows(n))
        n += 12
        lab.capture("--once", *a, slot=slot).run()
    assert len(list(slot.glob("*.seg"))) > 3 and not (slot / "laggard.lost").exists()
    fd = os.open(small_disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError):
        while True:
            os.write(fd, b"x" * 4096)
    os.close(fd)
    assert shutil.disk_usage(small_disk).free == 0
    c = lab.capture(*a, slot=slot, name="full").start()
    wait_until(lambda: (slot / "laggard.lost").exists() or not c.running, "the laggard to be marked")
    assert c.running, c.text()
    lab.sql("INSERT INTO t VALUES (100000, 'after')")
    wait_until(lambda: 100000 in ids(lab, slot) or not c.running, "the new row")
    c.stop()
