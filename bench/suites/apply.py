"""Apply into PostgreSQL from segments that lie there, as whole processes with --once, beside: the same rows by bare libpq (bench/raw_pg.c: the
limit), PostgreSQL's logical replication of the same changes between two servers, and a prepared statement a row. Inserts, updates, deletes and a
mix in transactions of many rows, and transactions of one row; one worker and two; without and with a typical transform. All three commit alike: not
waiting for the disk at each batch (logical replication as PostgreSQL sets it up, with synchronous_commit = off; Rowtide waits each half second), and
what Rowtide and libpq wrote is on disk when they end. A prepared statement a row waits at each commit.

Also runs alone: bench/suites/apply.py [ROUNDS [SCALE]]."""
import json
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    HERE = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(HERE), str(HERE.parent / "tests/e2e")]
from lib.measure import run as run_program, tree_cpu       # noqa: E402
from lib.report import Result, machine, median, table     # noqa: E402
from rt.programs import Daemon                             # noqa: E402

ROWS, SINGLE, BY_ROW, A_TRANSACTION = 1_000_000, 200_000, 10_000, 500
LOGICAL, LIMIT, ROW = "PostgreSQL logical replication", "libpq", "a prepared statement a row"
MYSQL_TABLE = """CREATE TABLE t (id BIGINT PRIMARY KEY, a INT NOT NULL, b INT, c BIGINT, d DECIMAL(12,2), e VARCHAR(40), f VARCHAR(100), g TIMESTAMP NULL,
 h DATE, i DOUBLE)"""
PG_TABLE = """CREATE TABLE {}.t (id bigint PRIMARY KEY, a int NOT NULL, b int, c bigint, d numeric(12,2), e varchar(40), f varchar(100), g timestamptz, h date,
 i double precision)"""
MYSQL_ROWS = """INSERT INTO t WITH RECURSIVE s(n) AS (SELECT {lo} UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {hi}) SELECT n, n * 7 % 1000003, n % 1000, n * 7,
 n % 100000 + 0.25, CONCAT('Name ', n), REPEAT(CONCAT('x', n % 977), 12), '2024-01-01' + INTERVAL n SECOND, '2024-05-06' + INTERVAL n % 1000 DAY, n * 1.5 FROM s"""
PG_ROWS = """INSERT INTO t SELECT n, n * 7 % 1000003, n % 1000, n * 7, n % 100000 + 0.25, 'Name ' || n, repeat('x' || n % 977, 12),
 '2024-01-01Z'::timestamptz + n * interval '1 second', '2024-05-06'::date + n % 1000, n * 1.5 FROM generate_series({lo}, {hi} - 1) n"""
UPDATE, DELETE = "UPDATE t SET a = a + 1, e = CONCAT(e, 'u') WHERE id >= {lo} AND id < {hi}", "DELETE FROM t WHERE id >= {lo} AND id < {hi}"
TRANSFORM = """function transform(c)
  if c.op ~= "delete" then
    c.row.e = c.row.e and c.row.e:lower()
    c.row.f = c.row.f .. "/" .. c.row.e
  end
  c:rename { a = "amount", b = "bonus" }:remove "i"
end
"""


def transactions(phase, rows, insert):
    """Lists of statements, one for each transaction."""
    if phase == "mixed":        # 60 % inserts, 35 % updates, 5 % deletes of what was inserted just before
        return [[insert.format(lo=lo, hi=lo + 300), UPDATE.format(lo=lo, hi=lo + 175), DELETE.format(lo=lo + 275, hi=lo + 300)]
                for lo in range(0, rows * 3 // 5, 300)]
    text = {"insert": insert, "update": UPDATE, "delete": DELETE}[phase]
    return [[text.format(lo=lo, hi=min(lo + A_TRANSACTION, rows))] for lo in range(0, rows, A_TRANSACTION)]


class Sizes:
    def __init__(self, ctx):
        self.rows, self.single, self.by_row = ctx.n(ROWS, 600), ctx.n(SINGLE, 50), ctx.n(BY_ROW, 50)

    def of(self, phase):
        return self.single if phase == "single" else self.rows


PHASES = ("insert", "update", "delete", "mixed", "single")


def write_slots(ctx, size):
    """phase -> slot with its changes only."""
    source, slots = ctx.mysql(innodb_buffer_pool_size="256M", innodb_flush_log_at_trx_commit="0"), {}
    source.sql("CREATE DATABASE bench")
    source.sql(MYSQL_TABLE, "CREATE PROCEDURE singles(n INT) BEGIN DECLARE k INT DEFAULT 0; WHILE k < n DO INSERT INTO t VALUES (k, k, k, k, k, CONCAT('Name ', k), "
               "REPEAT('x7', 20), '2024-01-01', '2024-05-06', k); SET k = k + 1; END WHILE; END", db="bench")
    for phase in PHASES:
        start, c = source.gtids(), source.connect("bench")
        with c.cursor() as cur:
            if phase == "single":
                cur.execute("TRUNCATE TABLE t")
                start = source.gtids()
                cur.execute(f"CALL singles({size.single})")
            for t in transactions(phase, size.rows, MYSQL_ROWS) if phase != "single" else ():
                for s in ["BEGIN", *t, "COMMIT"]:
                    cur.execute(s)
        c.close()
        slots[phase] = ctx.path(f"slot-{phase}")
        Daemon(ctx.build, "rowtide-capture", ["--source", source.url(ssl_mode="DISABLED"), "--slot", slots[phase], "--tables", "bench.*", "--once",
                                              "--start", f"gtid:{start}"], ctx.path("capture.log")).run(timeout=900)
    ctx.discard(source)
    return slots


class Destination:
    """The server that everything is written to: database bench for Rowtide and libpq, repl for the logical replication from another server."""

    def __init__(self, ctx, size):
        self.ctx, self.size, self.count = ctx, size, 0
        self.raw = ctx.compile("raw_pg.c", "-I/usr/include/postgresql", "-lpq")
        self.pg = ctx.postgres(wal_retrieve_retry_interval="10ms")     # else a woken subscription may sleep on for 5 s
        self.script = ctx.path("typical.lua")
        self.script.write_text(TRANSFORM)
        self.pg.sql("CREATE DATABASE bench")
        self.pg.sql("CREATE SCHEMA bench", "CREATE SCHEMA small", PG_TABLE.format("bench"), PG_TABLE.format("small"), db="bench")

    def sql(self, *statements):
        return self.pg.sql(*statements, db="bench")

    def rested(self):
        """The same start for all: nothing left to clean up or to write back."""
        self.sql("VACUUM", "CHECKPOINT")

    def apply(self, slot, *more):
        self.count += 1
        self.rested()
        before = tree_cpu(self.pg.process.pid), self.wal()
        u = run_program(self.ctx.apply_argv(slot, self.pg.url("bench"), "--once", "--name", f"n{self.count}", *more), self.ctx.path("apply.log"))
        u.server_cpu, u.written = tree_cpu(self.pg.process.pid) - before[0], self.wal() - before[1]
        return u

    def wal(self):
        return int(self.sql("SELECT pg_current_wal_lsn() - '0/0'")[0][0])

    def rowtide(self, slots, *more):
        """phase -> (rows a second, client's CPU us a row, server's CPU us a row, bytes of WAL a row, client's peak memory)."""
        out = {}
        for phase in PHASES:
            if phase in ("insert", "mixed", "single"):
                self.sql("DROP TABLE bench.t", PG_TABLE.format("bench") if "--transform" not in more else "SELECT 1")
            n, u = self.size.of(phase), self.apply(slots[phase], *more)
            out[phase] = n / u.wall, u.cpu / n * 1e6, u.server_cpu / n * 1e6, u.written / n, u.rss
        self.sql("DROP TABLE IF EXISTS bench.t", PG_TABLE.format("bench"))
        return out

    def libpq(self, slots, connections=1):
        """The table is filled by Rowtide, then read and written again."""
        out = {}
        self.sql("TRUNCATE bench.t")
        self.apply(slots["insert"])
        for mode in ("copy", "insert", "update", "delete"):
            self.rested()
            out[mode] = self.raw_pg("bench.t", mode, 5000, connections)
        return out

    def by_row(self, slots):
        self.sql("TRUNCATE small.t", "SET search_path = small", PG_ROWS.format(lo=0, hi=self.size.by_row))
        return {mode: self.raw_pg("small.t", f"row-{mode}", 1 if mode == "single" else A_TRANSACTION) if mode != "single" else
                self.raw_pg("small.t", "row-insert", 1) for mode in ("single", "insert", "update", "delete")}

    def raw_pg(self, name, mode, batch, connections=1):
        where = f"host={self.pg.home} port={self.pg.port} user=postgres dbname=bench"
        got = json.loads(subprocess.run([str(self.raw), where, name, "id", mode, str(batch), str(connections)], capture_output=True, text=True,
                                        check=True).stdout)
        return got["rows"] / got["seconds"], got["cpu"] / got["rows"] * 1e6


class Logical:
    """PostgreSQL's own: the changes are made at the publisher while the subscription sleeps; measured from its waking to the last one's arrival."""

    def __init__(self, ctx, size, destination):
        self.size, self.b = size, destination.pg
        self.a = ctx.postgres()
        for pg in (self.a, self.b):
            pg.sql("CREATE DATABASE repl")
            pg.sql(PG_TABLE.format("public"), "CREATE TABLE mark (n bigint PRIMARY KEY)", db="repl")
        self.a.sql("CREATE PUBLICATION p FOR TABLE t, mark", db="repl")
        self.b.sql(f"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port={self.a.port} user=postgres dbname=repl' PUBLICATION p "
                   "WITH (copy_data = off)", db="repl")
        self.n = 0

    def phase(self, phase):
        pause = "ALTER SUBSCRIPTION s DISABLE"
        self.b.sql(pause, db="repl")
        c = self.a.connect("repl")
        with c.cursor() as cur:
            cur.execute("SET synchronous_commit = off")
            if phase == "single":
                cur.execute("TRUNCATE t")
                cur.execute(f"DO $$ BEGIN FOR k IN 0..{self.size.single - 1} LOOP INSERT INTO t VALUES (k, k, k, k, k, 'Name ' || k, repeat('x7', 20), '2024-01-01', "
                            "'2024-05-06', k); COMMIT; END LOOP; END $$")
            else:
                if phase == "mixed":
                    cur.execute("TRUNCATE t")
                for t in transactions(phase, self.size.rows, PG_ROWS):
                    cur.execute("BEGIN; " + "; ".join(t) + "; COMMIT")
            self.n += 1
            cur.execute(f"INSERT INTO mark VALUES ({self.n})")
        c.close()
        self.b.sql("CHECKPOINT", "VACUUM t", db="repl")
        c = self.b.connect("repl")
        with c.cursor() as cur:
            cur.execute("ALTER SUBSCRIPTION s ENABLE")
            began, deadline = time.monotonic(), time.monotonic() + 600
            while True:
                cur.execute("SELECT count(*) FROM mark WHERE n = %s", (self.n,))
                if cur.fetchone()[0]:
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the logical replication of {phase} did not end in time")
                time.sleep(0.003)
            took = time.monotonic() - began
        c.close()
        return self.size.of(phase) / took, 0.0

    def all(self):
        out = {phase: self.phase(phase) for phase in PHASES}
        self.a.sql("TRUNCATE t", db="repl")
        return out


def rate(rounds, phase):
    return [r[phase][0] for r in rounds]


def compare(workload, mine, theirs, name, target=None, metric="rows_per_s"):
    return Result.paired("apply", workload, metric, mine, theirs, name, target, higher_is_better=True)


def run(ctx):
    size = Sizes(ctx)
    slots = write_slots(ctx, size)
    d = Destination(ctx, size)
    logical = Logical(ctx, size, d)
    script = ("--transform", d.script, "--create")
    who = {"one": lambda _: d.rowtide(slots), "libpq": lambda _: d.libpq(slots), "two": lambda _: d.rowtide(slots, "--workers", "2"),
           "libpq2": lambda _: d.libpq(slots, 2), "logical": lambda _: logical.all(), "script": lambda _: d.rowtide(slots, *script)}
    got = {name: [] for name in who}
    for n in range(ctx.rounds):
        for name, what in who.items():
            got[name].append(what(n))
        ctx.say(f"apply: round {n + 1} of {ctx.rounds}")
    rows = [d.by_row(slots) for _ in range(min(3, ctx.rounds))]
    out = []
    for phase in PHASES:
        one, two = rate(got["one"], phase), rate(got["two"], phase)
        if phase in ("insert", "update", "delete"):
            out += [compare(phase, one, rate(got["libpq"], phase), f"{LIMIT}, arrays", 0.85),
                    compare(f"{phase}, 2 workers", two, rate(got["libpq2"], phase), f"{LIMIT}, arrays, 2 connections")]
        if phase == "insert":
            out.append(compare(phase, one, rate(got["libpq"], "copy"), f"{LIMIT}, COPY in one transaction"))
        out.append(compare(phase, one, rate(got["logical"], phase), LOGICAL, 4.0 if phase == "single" else 1.0))
        if phase != "mixed":
            out.append(compare(phase, [median(one)], [median(rate(rows, phase))], ROW))       # not in turn
        out += [compare(f"{phase}, 2 workers", two, one, "one worker", 1.4 if phase in ("insert", "update") else None),
                compare(f"{phase}, transform", rate(got["script"], phase), one, "no transform", 0.75),
                Result("apply", phase, "client_cpu_us_per_row", median([r[phase][1] for r in got["one"]]), target=1.5),
                Result("apply", phase, "server_cpu_us_per_row", median([r[phase][2] for r in got["one"]])),
                Result("apply", phase, "server_wal_bytes_per_row", median([r[phase][3] for r in got["one"]])),
                Result("apply", phase, "client_peak_rss_mib", max(r[phase][4] for r in got["one"]) / 2**20)]
    return out


if __name__ == "__main__":
    from argparse import Namespace
    from lib.context import Context
    options = Namespace(scale=float(sys.argv[2]) if len(sys.argv) > 2 else 1.0, rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 3, workloads="", keep=False,
                        build=str(HERE.parent / "build/release"))
    with Context(options) as context:
        results = run(context)
    print(machine())
    print(table(results))
