#!/usr/bin/python3
"""workload.py [--seconds N] [--client C] [--server S]: sysbench oltp_read_write, 10 tables, 4 threads, while both daemons run and are
killed three times each; then every table is compared by content and the figures are printed. Builds are named by
ROWTIDE_BUILD_MARIADB / ROWTIDE_BUILD_MYSQLCLIENT, as for the tests."""
import argparse
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from rt.lab import Lab, World                 # noqa: E402
from rt.util import as_server, wait_until     # noqa: E402

TABLES, THREADS, ROWS = 10, 4, 10000
PASSWORD = "sbtest-1"


def sysbench(lab, command, *more):
    argv = ["sysbench", "oltp_read_write", "--db-driver=mysql", f"--mysql-socket={lab.source.socket}", "--mysql-user=sbtest",
            f"--mysql-password={PASSWORD}", f"--mysql-db={lab.db}", f"--tables={TABLES}", f"--table-size={ROWS}", f"--threads={THREADS}",
            "--mysql-ignore-errors=1213,1205,1062", *more, command]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", **as_server())


def finish(process):
    out = process.communicate()[0]
    if process.returncode != 0:
        raise RuntimeError(f"sysbench ended with {process.returncode}:\n{out[-3000:]}")
    return out


class Peak(threading.Thread):
    """The highest VmHWM over all lives of the daemons."""

    def __init__(self, *daemons):
        super().__init__(daemon=True)
        self.daemons, self.peak, self.stopping = daemons, {d.program: 0 for d in daemons}, threading.Event()

    def run(self):
        while not self.stopping.wait(0.5):
            for d in self.daemons:
                try:
                    self.peak[d.program] = max(self.peak[d.program], d.memory())
                except (AssertionError, AttributeError, OSError):
                    pass          # between two lives


def run(lab, seconds, say=print, kills=3, memory_limit=64 << 20):
    """Returns the figures; raises AssertionError when anything differs."""
    lab.own_source(innodb_buffer_pool_size="256M", max_connections="60")
    lab.sql(f"CREATE USER sbtest@localhost IDENTIFIED BY '{PASSWORD}'", "GRANT ALL ON *.* TO sbtest@localhost")
    tables = [f"sbtest{i}" for i in range(1, TABLES + 1)]
    begin = time.monotonic()
    finish(sysbench(lab, "prepare"))
    say(f"prepared {TABLES} tables of {ROWS} rows in {time.monotonic() - begin:.0f} s")
    lab.capture("--once").run()
    lab.keep_everything()
    capture, apply = lab.start_both()
    peak = Peak(capture, apply)
    peak.start()
    bench = sysbench(lab, "run", f"--time={seconds}")
    victims = [capture, apply] * kills
    random.Random(seconds).shuffle(victims)
    start = time.monotonic()
    for i, victim in enumerate(victims):
        time.sleep(max(0, start + seconds * (i + 0.7) / (len(victims) + 0.5) - time.monotonic()))
        victim.kill9()
        say(f"{time.monotonic() - start:5.0f} s: kill -9 {victim.program}")
        victim.start()
    out = finish(bench)
    transactions = next(int(line.split()[1]) for line in out.splitlines() if line.strip().startswith("transactions:"))
    say(f"{time.monotonic() - start:5.0f} s: sysbench has ended: {transactions} transactions, {transactions / seconds:.0f} a second")

    stopped = time.monotonic()
    capture.stop()
    lab.capture("--once").run(timeout=600)
    captured = time.monotonic()
    last = max(r["lsn"] for r in lab.tool.records(lab.slot) if "lsn" in r)
    wait_until(lambda: apply.running and lab.progress() and lab.progress()["lsn"] >= last, f"apply to reach LSN {last}", timeout=max(600, 2 * seconds))
    applied = time.monotonic()
    peak.stopping.set()
    peak.join()
    apply.stop()
    lab.assert_equal(*tables)
    lab.assert_counts()
    progress = lab.progress()
    slot = sum(f.stat().st_size for f in lab.slot.rglob("*") if f.is_file())
    binlog = sum(int(r[1]) for r in lab.sql("SHOW BINARY LOGS"))
    figures = {
        "sysbench transactions": transactions, "changes applied, and in the slot": progress["changes"],
        "source transactions applied": progress["transactions"], "tables equal": len(tables), "kills of each": kills,
        "capture caught up after (s)": round(captured - stopped, 1), "apply caught up after (s)": round(applied - stopped, 1),
        "binlog (MiB)": round(binlog / 2**20, 1), "slot (MiB)": round(slot / 2**20, 1),
        **{f"{name} peak RSS (MiB)": round(v / 2**20, 1) for name, v in peak.peak.items()}}
    for k, v in figures.items():
        say(f"  {k:32} {v}")
    for name, v in peak.peak.items():
        assert 0 < v < memory_limit, f"{name} took {v / 2**20:.1f} MiB"
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=900)
    parser.add_argument("--client", default="libmariadb", choices=["libmariadb", "libmysqlclient"])
    parser.add_argument("--server", default="mysql97", choices=["mysql97", "mariadb1011"])
    a = parser.parse_args()
    world = World()
    lab = Lab(world, a.client, a.server)
    try:
        run(lab, a.seconds, lambda line: print(line, flush=True))
        print("all tables equal, every change applied once")
    finally:
        lab.close()
        world.close()


if __name__ == "__main__":
    main()
