"""A slot's filesystem that fills up: capture stops cleanly and goes on when there is room, and a laggard is lost before capture is."""
import contextlib
import random
import subprocess

import pytest

from rt.util import wait_until

ONE = pytest.mark.combos("libmariadb-mysql97")


@contextlib.contextmanager
def filesystem(lab, size):
    """The slot on a filesystem of its own; gives a function that sets its size."""
    lab.slot.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "rowtide-test", lab.slot], check=True)
    try:
        yield lambda new: subprocess.run(["mount", "-o", f"remount,size={new}", lab.slot], check=True)
    finally:
        for d in lab.daemons:
            d.close()
        subprocess.run(["umount", lab.slot], check=True)


def insert(lab, first, rows):
    """Rows of 1 KiB that do not compress, ten to a transaction."""
    rnd = random.Random(first)
    for i in range(first, first + rows, 10):
        lab.sql("INSERT INTO t VALUES " + ",".join(f"({n}, X'{rnd.randbytes(1024).hex()}')" for n in range(i, i + 10)))


@ONE
def test_no_space_left(lab):
    """Nothing is published that is not on disk; with room again the slot goes on, and each change arrives once."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v BLOB)")
    options = ("--segment-size", "256KiB", "--frame-size", "64KiB", "--disk-reserve", "0")
    with filesystem(lab, "2m") as resize:
        lab.capture("--once", *options).run()
        lab.keep_everything()
        insert(lab, 0, 3000)
        log = lab.capture("--once", *options, name="full").run(code=1)
        assert "No space left on device" in log and str(lab.slot) in log, log
        lab.apply("--create", "--once", name="before").run()
        lab.assert_counts()
        applied = lab.progress()["changes"]
        assert 0 <= applied < 3000, applied
        log = lab.capture("--once", *options, name="still_full").run(code=1)
        assert "No space left on device" in log, log
        resize("64m")
        lab.capture("--once", *options, name="room").run()
        lab.apply("--create", "--once", name="after").run()
        lab.tool.run("segment", "verify", lab.slot)
        lab.assert_equal("t")
        lab.assert_counts()


@ONE
def test_the_laggard_is_lost_first(lab):
    """Under the reserve the subscription that is behind loses the slot, durably and by name; the other and capture go on (I6)."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v BLOB)")
    with filesystem(lab, "16m"):
        capture = lab.capture("--segment-size", "256KiB", "--frame-size", "64KiB", "--disk-reserve", "50").start()
        capture.wait_event("streaming")
        lab.apply("--once", "--name", "laggard", to=f"jsonl:{lab.dir / 'laggard.jsonl'}", name="laggard").run()
        apply = lab.apply("--create").start()
        rows = 0
        while not (lab.slot / "laggard.lost").exists():
            assert rows < 20000 and capture.running and apply.running
            insert(lab, rows, 500)
            rows += 500
            lab.settle("t")
        insert(lab, rows, 50)
        lab.settle("t")
        assert capture.running and apply.running
        log = lab.apply("--once", "--name", "laggard", to=f"jsonl:{lab.dir / 'laggard.jsonl'}", name="refused").run(code=1)
        assert "laggard" in log and "removed" in log, log
        status = lab.tool.run("status", lab.slot, code=1).stdout
        assert "overtaken by retention" in status, status
