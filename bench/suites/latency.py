"""Latency: a commit at MySQL until it can be seen at PostgreSQL, both daemons and both servers here, everything durable, 200 single-row commits a
second; beside PostgreSQL's logical replication between two servers, measured in the same way in turn. Idle CPU of the daemons. And a plot of
throughput and lag while sysbench writes as fast as it can.

Measured from the moment when the commit has returned to its client. The destination is asked in a loop over its own connection."""
import os
import subprocess
import threading
import time
from pathlib import Path
from urllib.request import urlopen

from lib import plot
from lib.measure import process_cpu
from lib.report import Result, median, percentile
from rt.util import as_server, free_port, wait_until

RATE = 200
IDLE_S = 10
LIVE_S = 30
DURABLE_MYSQL = {"sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1", "innodb_buffer_pool_size": "256M"}


def fsync_ms(directory, n=400):
    """p50 and p99 of appending a page and fdatasync, in milliseconds."""
    path, took = Path(directory) / "fsync.probe", []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(n):
        os.write(fd, b"x" * 4096)
        began = time.perf_counter()
        os.fdatasync(fd)
        took.append((time.perf_counter() - began) * 1000)
    os.close(fd)
    path.unlink()
    return percentile(took, 50), percentile(took, 99)


class Watcher(threading.Thread):
    """Asks the destination for the highest number seen, and remembers when each number was first covered."""

    def __init__(self, connection):
        super().__init__(daemon=True)
        self.connection, self.seen_at, self.highest, self.stopping = connection, {}, 0, False

    def run(self):
        with self.connection.cursor() as cur:
            cur.execute("SET search_path = bench, public")
            while not self.stopping:
                cur.execute("SELECT id FROM ticks ORDER BY id DESC LIMIT 1")
                row = cur.fetchone()
                now = time.perf_counter()
                if row and row[0] > self.highest:
                    for i in range(self.highest + 1, row[0] + 1):
                        self.seen_at[i] = now
                    self.highest = row[0]
                else:
                    time.sleep(0.0001)


def write_and_watch(source, destination, first, count):
    """Commits rows first … first + count - 1 at RATE a second. Returns the milliseconds of each until it was seen."""
    watcher = Watcher(destination)
    watcher.highest = first - 1
    watcher.start()
    done = {}
    begin = time.perf_counter()
    with source.cursor() as cur:
        for n in range(count):
            pause = begin + n / RATE - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            cur.execute("INSERT INTO ticks (id, v) VALUES (%s, %s)", (first + n, "x" * 40))
            done[first + n] = time.perf_counter()
    wait_until(lambda: watcher.highest >= first + count - 1, "the last commit to arrive")
    watcher.stopping = True
    watcher.join()
    return [max(0.0, watcher.seen_at[i] - done[i]) * 1000 for i in done]


def rowtide_pair(ctx):
    """MySQL, PostgreSQL, capture, apply, and the daemons' HTTP ports."""
    source, pg = ctx.mysql(**DURABLE_MYSQL), ctx.postgres()
    source.sql("CREATE DATABASE bench")
    source.sql("CREATE TABLE ticks (id BIGINT PRIMARY KEY, v VARCHAR(60))", db="bench")
    pg.sql("CREATE DATABASE bench")
    pg.sql("CREATE SCHEMA bench", "CREATE TABLE bench.ticks (id BIGINT PRIMARY KEY, v VARCHAR(60))", db="bench")
    slot, port = ctx.path("live-slot"), {"rowtide-capture": free_port(), "rowtide-apply": free_port()}
    capture = ctx.daemon("rowtide-capture", "--source", source.url(ssl_mode="DISABLED"), "--slot", slot, "--tables", "bench.*", "--http", port["rowtide-capture"])
    capture.start().wait_event("streaming")
    apply = ctx.daemon("rowtide-apply", "--slot", slot, "--to", pg.url("bench"), "--create", "--http", port["rowtide-apply"])
    return source, pg, capture, apply.start(), port


def replica_pair(ctx):
    """Two PostgreSQL servers with logical replication of `ticks`."""
    a, b = ctx.postgres(), ctx.postgres()
    for pg in (a, b):
        pg.sql("CREATE DATABASE bench")
        pg.sql("CREATE TABLE ticks (id BIGINT PRIMARY KEY, v VARCHAR(60))", db="bench")
    a.sql("CREATE PUBLICATION p FOR TABLE ticks", db="bench")
    b.sql(f"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port={a.port} user=postgres dbname=bench' PUBLICATION p WITH (synchronous_commit = on)", db="bench")
    return a, b


def idle_cpu(daemons):
    before = [process_cpu(d.process.pid) for d in daemons]
    time.sleep(IDLE_S)
    return [100 * (process_cpu(d.process.pid) - b) / IDLE_S for d, b in zip(daemons, before)]


def metric(port, name):
    """The sum of a metric over its labels."""
    text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name) and line[len(name)] in " {")


def live(ctx, source, port):
    """sysbench at full speed against both daemons: what each side has done, ten times a second, until apply has caught up."""
    seconds = 2 if ctx.tiny else LIVE_S
    args = ["sysbench", "oltp_write_only", "--db-driver=mysql", f"--mysql-socket={source.socket}", "--mysql-user=root", "--mysql-db=bench", "--tables=4",
            f"--table-size={ctx.n(20_000, 100)}", "--threads=2", "--mysql-ignore-errors=1213,1205,1062"]
    subprocess.run([*args, "prepare"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", **as_server())
    names = {"captured": ("rowtide-capture", "rowtide_capture_rows_total"), "applied": ("rowtide-apply", "rowtide_apply_rows_total")}
    points, lag = {n: [] for n in names}, {"lag of apply": []}

    def totals():
        return {n: metric(port[program], name) for n, (program, name) in names.items()}
    wait_until(lambda: (lambda t: t["captured"] == t["applied"])(totals()), "apply to catch up", 120)
    load = subprocess.Popen([*args, f"--time={seconds}", "run"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", **as_server())
    begin, last = time.monotonic(), None
    while True:
        now, t = time.monotonic() - begin, totals()
        if last is not None:
            for n in names:
                points[n].append((now, (t[n] - last[1][n]) / (now - last[0])))
        lag["lag of apply"].append((now, metric(port["rowtide-apply"], "rowtide_apply_lag_seconds")))
        last = now, t
        if load.poll() is not None and (t["applied"] >= t["captured"] or now > seconds + 60):
            break
        time.sleep(0.2)
    plot.write(Path(ctx.args.svg), [("rows a second", points), ("lag, seconds", lag)])
    ctx.say(f"plot: {ctx.args.svg}")
    behind = now - seconds
    return Result("latency", "live sysbench", "apply_behind_s", max(0.0, behind))


def run(ctx):
    source, pg, capture, apply, port = rowtide_pair(ctx)
    a, b = replica_pair(ctx)
    count = 40 if ctx.tiny else RATE * 5
    first = 1
    warm = 20
    s, d = source.connect("bench"), pg.connect("bench")
    rs, rd = a.connect("bench"), b.connect("bench")
    write_and_watch(s, d, first, warm)
    write_and_watch(rs, rd, first, warm)
    first += warm
    mine, theirs, disk = [], [], []
    for _ in range(ctx.rounds):
        disk.append(fsync_ms(ctx.dir))
        mine.append(write_and_watch(s, d, first, count))
        theirs.append(write_and_watch(rs, rd, first, count))
        first += count
    out = []
    f50, f99 = median([x[0] for x in disk]), median([x[1] for x in disk])
    for p, fsync, slack in ((50, f50, 1.0), (99, f99, 3.0)):
        m, t = (median([percentile(x, p) for x in rounds]) for rounds in (mine, theirs))
        out += [Result("latency", f"{RATE} commits/s", f"p{p}_ms", m, t, "PostgreSQL logical replication"),
                Result("latency", f"{RATE} commits/s", f"p{p}_ms, limit: reference + fsync + {slack:g}", m, target=t + fsync + slack),
                Result("latency", "disk", f"fsync_p{p}_ms", fsync)]
    for server in (a, b):
        ctx.stop(server)
    if not ctx.tiny:
        for program, cpu in zip(("capture", "apply"), idle_cpu((capture, apply))):
            out.append(Result("latency", "idle", f"{program}_cpu_percent", cpu, target=0.5))
    out.append(live(ctx, source, port))
    for daemon in (apply, capture):
        daemon.stop()
    return out
