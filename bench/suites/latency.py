"""Latency: a commit at the source until it can be seen at the destination, both daemons and all servers here, everything durable, 200
single-row commits a second: MySQL through Rowtide into PostgreSQL, PostgreSQL's logical replication and MySQL's own replication, each between
two servers of its own, in turn. What both daemons cost meanwhile and while idle. And a plot of throughput and lag while sysbench writes as
fast as it can.

Measured from the moment when the commit has returned to its client. The destination is asked in a loop over its own connection."""
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from lib import plot
from lib.measure import process_cpu, process_peak, process_written
from lib.pauses import LATE_S, Pauses
from lib.report import Result, median, percentile
from rt.sources import CDC_PASSWORD, CDC_USER
from rt.util import as_server, free_port, wait_until

RATE = 200
ROUND_S = 5
WARM_S = 2
IDLE_S = 20
LIVE_S = 30
DURABLE_MYSQL = {"sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "ON", "innodb_buffer_pool_size": "256M"}
TICKS = "CREATE TABLE ticks (id BIGINT PRIMARY KEY, v VARCHAR(60))"


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

    def __init__(self, connection, highest):
        super().__init__(daemon=True)
        self.connection, self.seen_at, self.highest, self.stopping = connection, {}, highest, False

    def run(self):
        with self.connection.cursor() as cur:
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


@dataclass
class Pair:
    """A way from one server to another: connections to both, and what was written so far."""
    name: str
    source: object
    destination: object
    servers: tuple
    written: int = 0

    def measure(self, count):
        """Commits `count` more rows at RATE a second. Returns of each when its commit had returned and when it was seen (perf_counter)."""
        first, self.written = self.written + 1, self.written + count
        watcher, done = Watcher(self.destination, first - 1), {}
        watcher.start()
        begin = time.perf_counter()
        with self.source.cursor() as cur:
            for n in range(count):
                pause = begin + n / RATE - time.perf_counter()
                if pause > 0:
                    time.sleep(pause)
                cur.execute("INSERT INTO ticks (id, v) VALUES (%s, %s)", (first + n, "x" * 40))
                done[first + n] = time.perf_counter()
        wait_until(lambda: watcher.highest >= self.written, f"{self.name}: the last commit to arrive")
        watcher.stopping = True
        watcher.join()
        return [(at, max(at, watcher.seen_at[i])) for i, at in done.items()]


def rowtide_pair(ctx):
    """MySQL and PostgreSQL, with both daemons between them: the pair, the daemons, their HTTP ports."""
    source, pg = ctx.mysql(**DURABLE_MYSQL), ctx.postgres()
    source.sql("CREATE DATABASE bench")
    source.sql(TICKS, db="bench")
    pg.sql("CREATE DATABASE bench")
    pg.sql("CREATE SCHEMA bench", TICKS.replace("ticks", "bench.ticks"), "ALTER DATABASE bench SET search_path = bench, public", db="bench")
    slot, port = ctx.path("live-slot"), {"rowtide-capture": free_port(), "rowtide-apply": free_port()}
    capture = ctx.daemon("rowtide-capture", "--source", source.url(ssl_mode="DISABLED"), "--slot", slot, "--tables", "bench.*", "--http", port["rowtide-capture"])
    capture.start().wait_event("streaming")
    apply = ctx.daemon("rowtide-apply", "--slot", slot, "--to", pg.url("bench"), "--create", "--http", port["rowtide-apply"])
    return Pair("rowtide", source.connect("bench"), pg.connect("bench"), (source, pg)), (capture, apply.start()), port


def postgres_pair(ctx):
    """Two PostgreSQL servers with logical replication of `ticks`."""
    a, b = ctx.postgres(), ctx.postgres()
    for pg in (a, b):
        pg.sql("CREATE DATABASE bench")
        pg.sql(TICKS, db="bench")
    a.sql("CREATE PUBLICATION p FOR TABLE ticks", db="bench")
    b.sql(f"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port={a.port} user=postgres dbname=bench' PUBLICATION p WITH (synchronous_commit = on)", db="bench")
    return Pair("PostgreSQL logical replication", a.connect("bench"), b.connect("bench"), (a, b))


def mysql_pair(ctx):
    """Two MySQL servers, the second a replica of the first by GTIDs, with what both durably write by default."""
    a, b = ctx.mysql(**DURABLE_MYSQL), ctx.mysql(**DURABLE_MYSQL)
    b.sql(f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {a.port}, SOURCE_USER = '{CDC_USER}', SOURCE_PASSWORD = '{CDC_PASSWORD}', "
          "SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1", "START REPLICA")
    a.sql("CREATE DATABASE bench")
    a.sql(TICKS, db="bench")
    wait_until(lambda: b.sql("SELECT 1 FROM information_schema.tables WHERE table_schema = 'bench' AND table_name = 'ticks'"), "the replica to have the table")
    return Pair("MySQL replica", a.connect("bench"), b.connect("bench"), (a, b))


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


def contest(ctx, pairs, daemons):
    """Rounds in which each pair goes first in turn. Returns name -> spans of the commits of each round, fsync of each round, what the daemons cost
    in each, and the pauses of the machine."""
    count = 40 if ctx.tiny else RATE * ROUND_S
    os.sync()       # what setting up has left to be written is nobody's latency
    for pair in pairs:
        pair.measure(20 if ctx.tiny else RATE * WARM_S)
    got, disk, cost = {pair.name: [] for pair in pairs}, [], []
    with Pauses() as pauses:
        for n in range(ctx.rounds):
            disk.append(fsync_ms(ctx.dir))
            for i in range(len(pairs)):
                pair = pairs[(n + i) % len(pairs)]
                before = [(process_cpu(d.process.pid), process_written(d.process.pid)) for d in daemons]
                got[pair.name].append(pair.measure(count))
                if pair is pairs[0]:
                    cost.append([(process_cpu(d.process.pid) - c, (process_written(d.process.pid) - w) / count) for d, (c, w) in zip(daemons, before)])
            ctx.say(f"latency: round {n + 1}: p99 " + ", ".join(f"{name} {percentile(milliseconds(v[-1]), 99):.2f}" for name, v in got.items()) +
                    f", fsync {disk[-1][1]:.2f} ms")
    return got, disk, cost, pauses


def milliseconds(spans):
    return [(seen - done) * 1000 for done, seen in spans]


def run(ctx):
    mine, daemons, port = rowtide_pair(ctx)
    others = [postgres_pair(ctx), mysql_pair(ctx)]
    got, disk, cost, pauses = contest(ctx, [mine, *others], daemons)
    what, out = f"{RATE} commits/s", []

    def of(p, rounds):
        return median([percentile(milliseconds(x), p) for x in rounds])
    for p, slack, k in ((50, 1.0, 0), (99, 3.0, 1)):
        ms = {name: of(p, rounds) for name, rounds in got.items()}
        fsync = median([x[k] for x in disk])
        out += [Result("latency", what, f"p{p}_ms", ms[mine.name], ms[o.name], o.name) for o in others]
        out += [Result("latency", what, f"p{p}_ms, limit: PostgreSQL's + fsync + {slack:g}", ms[mine.name], target=ms[others[0].name] + fsync + slack),
                Result("latency", "disk", f"fsync_p{p}_ms", fsync)]
    # The same commits but for those that met a pause of the machine, which says more about who is slow than a few rounds of all of them do.
    calm = {name: of(99, [[x for x in spans if not pauses.touch(*x)] for spans in rounds]) for name, rounds in got.items()}
    out += [Result("latency", what, "p99_ms, machine not paused", calm[mine.name], calm[o.name], o.name) for o in others]
    out += [Result("latency", "machine", f"pauses over {LATE_S * 1000:g} ms a minute", pauses.per_minute()),
            Result("latency", "machine", "longest pause_ms", pauses.longest_ms())]
    for i, program in enumerate(("capture", "apply")):
        out += [Result("latency", what, f"{program}_cpu_s a round", median([c[i][0] for c in cost])),
                Result("latency", what, f"{program}_written_bytes a commit", median([c[i][1] for c in cost]))]
    for server in (s for pair in others for s in pair.servers):
        ctx.discard(server)
    if not ctx.tiny:
        for program, cpu in zip(("capture", "apply"), idle_cpu(daemons)):
            out.append(Result("latency", "idle", f"{program}_cpu_percent", cpu, target=0.5))
    out.append(live(ctx, mine.servers[0], port))
    for program, d in zip(("capture", "apply"), daemons):
        out.append(Result("latency", "live sysbench", f"{program}_peak_rss_mib", process_peak(d.process.pid) / 2**20))
    for d in reversed(daemons):
        d.stop()
    return out
