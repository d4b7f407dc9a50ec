"""Growth: throughput and memory from few tables to many, from one segment to many, from narrow rows to wide ones, from one subscription to many.
Each case is measured in turn with the smallest; the smallest is also measured twice, which gives the noise of the run (A/A)."""
import os
import shutil
import subprocess
import time

from lib.measure import gather, in_turn, run as measured
from lib.report import Result, median
from lib.workloads import batches
from rt.programs import environment

TABLES = (10, 1000, 10000)
SEGMENTS = (1, 100, 1000)
COLUMNS = (5, 50, 500)
SUBSCRIPTIONS = (1, 4, 16)
ROUNDS = 3


def fresh(ctx, **options):
    s = ctx.mysql(innodb_buffer_pool_size="512M", innodb_flush_log_at_trx_commit="0", max_binlog_size="1G", innodb_redo_log_capacity="512M",
                  innodb_file_per_table="OFF", table_open_cache="12000", table_definition_cache="12000", open_files_limit="20000", **options)
    s.sql("CREATE DATABASE bench")
    return s


def drop_servers(ctx):
    for s in [x for x in ctx.running if hasattr(x, "gtids")]:
        s.kill9()
        ctx.running.remove(s)


class Part:
    """A piece of binlog: from its GTID set on, `work` units."""

    def __init__(self, ctx, source, name, work):
        self.ctx, self.source, self.name, self.work = ctx, source, name, work

    def __enter__(self):
        self.start = self.source.gtids()
        return self

    def __exit__(self, *_):
        pass

    def capture(self, *more, keep=None):
        """A function of the round that captures this schema's part of the binlog with --once, whatever comes behind it."""
        def once(n):
            slot = keep or self.ctx.path("slot")
            usage = measured(self.ctx.capture_argv(self.source, slot, "--tables", "bench.*", "--start", f"gtid:{self.start}", "--once", *more),
                             self.ctx.path("growth.log"), server=self.source)
            if keep is None:
                shutil.rmtree(slot)
            return usage
        return once


def figures(ctx, axis, sizes, runs, work):
    """runs: size -> function of the round. The first size is the base and is run twice a round."""
    base = sizes[0]
    got = in_turn(min(ctx.rounds, ROUNDS), {"again": runs[base], **runs})
    per = {k: median([u.cpu / work[k if k != "again" else base] * 1e6 for u in v]) for k, v in got.items()}
    wall = {k: median([work[k if k != "again" else base] / u.wall for u in v]) for k, v in got.items()}
    noise = max(per["again"], per[base]) / min(per["again"], per[base])
    out = [Result("growth", f"{axis} {base}", "noise of the run (A/A, cpu)", noise)]
    for k in sizes:
        out += [Result("growth", f"{axis} {k}", "cpu_us_per_unit", per[k], per[base], f"{axis} {base}", max(1.15, noise * 1.05)),
                Result("growth", f"{axis} {k}", "units_per_s", wall[k], wall[base], f"{axis} {base}", higher_is_better=True),
                Result("growth", f"{axis} {k}", "peak_rss_mib", max(u.rss for u in got[k]) / 2**20)]
    return out


def tables(ctx):
    """The same number of single-row transactions over ever more tables. A server of its own for each, so that each binlog has one case only."""
    rows, runs, work, sizes = ctx.n(100_000, 200), {}, {}, tuple(ctx.n(t, 2) for t in TABLES)
    for size in sizes:
        s = fresh(ctx)
        c = s.connect("bench")
        with c.cursor() as cur:
            for t in range(size):
                cur.execute(f"CREATE TABLE t{t} (id BIGINT PRIMARY KEY, a INT, b VARCHAR(40))")
            with Part(ctx, s, f"tables {size}", rows) as part:
                for i in range(rows):
                    cur.execute(f"INSERT INTO t{i * 7919 % size} VALUES ({i}, {i % 97}, 'value {i % 1000}')")
        c.close()
        runs[size], work[size] = part.capture(), rows
    out = figures(ctx, "tables", sizes, runs, work)
    drop_servers(ctx)
    return out


def columns(ctx):
    """The same number of values in ever wider rows, integers and texts."""
    values, runs, work = ctx.n(6_000_000, 2000), {}, {}
    for size in COLUMNS:
        s = fresh(ctx, cte_max_recursion_depth="10000000")
        ddl = ", ".join(f"c{i} {'INT' if i % 2 else 'VARCHAR(8)'}" for i in range(1, size))
        s.sql(f"CREATE TABLE wide (id BIGINT PRIMARY KEY, {ddl}) CHARACTER SET latin1", db="bench")
        expr = ", ".join(f"n * {i}" if i % 2 else f"'text {i}'" for i in range(1, size))
        rows = max(2, values // size)
        with Part(ctx, s, f"columns {size}", rows * size) as part:
            s.sql(*[f"INSERT INTO wide WITH RECURSIVE s(n) AS (SELECT {lo + 1} UNION ALL SELECT n + 1 FROM s WHERE n < {hi}) SELECT n, {expr.replace('n *', 'n % 9973 *')} FROM s"
                    for lo, hi in batches(rows, max(1, 200_000 // size))], db="bench")
        runs[size], work[size] = part.capture(), rows * size
    out = figures(ctx, "columns", COLUMNS, runs, work)
    drop_servers(ctx)
    return out


def segments(ctx):
    """The same rows, applied to JSON Lines from slots with ever more segments; and how long capture takes to start on one."""
    rows = ctx.n(2_000_000, 2000)
    s = fresh(ctx, cte_max_recursion_depth="10000000")
    s.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, b VARCHAR(64))", db="bench")
    with Part(ctx, s, "segments", rows) as part:
        s.sql(*[f"INSERT INTO t WITH RECURSIVE s(n) AS (SELECT {lo + 1} UNION ALL SELECT n + 1 FROM s WHERE n < {hi}) SELECT n, n % 97, SHA2(n, 256) FROM s"
                for lo, hi in batches(rows, 500)], db="bench")
    whole, slots, runs, work, found = ctx.path("whole-slot"), {}, {}, {}, {}
    part.capture("--segment-size", "1GiB", keep=whole)(0)
    bytes_ = sum(f.stat().st_size for f in whole.glob("*.seg"))
    for size in SEGMENTS:
        slots[size] = ctx.path(f"{size}-segments")
        target = "1GiB" if size == 1 else f"{max(65536, bytes_ // size)}B"
        part.capture("--segment-size", target, "--frame-size", f"{min(1 << 20, max(65536, bytes_ // size))}B", keep=slots[size])(0)
        found[size] = len(list(slots[size].glob("*.seg")))

        def read(n, slot=slots[size]):
            return measured(ctx.apply_argv(slot, "jsonl:-", "--name", f"n{n}-{os.urandom(4).hex()}", "--once"), ctx.path("apply.log"), stdout="/dev/null")
        runs[size], work[size] = read, rows
    out = figures(ctx, "segments", SEGMENTS, runs, work)
    out += [Result("growth", f"segments {k}", "segments in the slot", float(v)) for k, v in found.items()]
    starts = in_turn(min(ctx.rounds, ROUNDS), {k: part.capture(keep=slots[k]) for k in SEGMENTS})
    out += [Result("growth", f"segments {k}", "capture start, wall_s", median([u.wall for u in v]), median([u.wall for u in starts[1]]), "segments 1")
            for k, v in starts.items()]
    return out + subscriptions(ctx, slots[SEGMENTS[1]], rows)


def subscriptions(ctx, slot, rows):
    """Ever more appliers read the same slot at once: their total CPU."""
    def together(k):
        def once(n):
            began, running = time.monotonic(), []
            log = ctx.path("apply.log")
            with open(log, "ab") as err, open(os.devnull, "wb") as out:
                for i in range(k):
                    argv = ctx.apply_argv(slot, "jsonl:-", "--name", f"s{i}-{os.urandom(4).hex()}", "--once")
                    running.append(subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment(None)))
            return gather(running, began, log)
        return once
    sizes = SUBSCRIPTIONS if not ctx.tiny else SUBSCRIPTIONS[:2]
    return figures(ctx, "subscriptions", sizes, {k: together(k) for k in sizes}, {k: rows * k for k in sizes})


def run(ctx):
    out = []
    for what in (tables, columns, segments):
        out += what(ctx)
    return out
