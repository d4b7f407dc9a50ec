"""Growth: throughput and memory from few tables to many, from narrow rows to wide ones, from one segment to many, from one subscription to many.
Each case does the same work and is measured in turn with the smallest; the smallest is also measured twice, which gives the noise of the run (A/A).
`--workloads tables,columns` runs only these parts."""
import os
import shutil
import subprocess
import time

from pymysql.constants import CLIENT

from lib.measure import gather, in_turn, process_cpu, run as measured
from lib.report import Result, median
from lib.workloads import batches
from rt.programs import environment

TABLES, TABLE_ROWS = (10, 1000, 10000), 600_000
TABLE_HEAD = 20_000         # of these, measured by themselves: each of the 10,000 tables appears for the first time, and once more
COLUMNS, VALUES = (5, 50, 500), 10_000_000
TEXT = (2, 4)               # which of each five columns are text
SEGMENTS, SEGMENT_ROWS = (1, 100, 1000), 1_000_000
SUBSCRIPTIONS = (1, 4, 16)
SEGMENT_MIN = 65536         # the smallest --segment-size
IDLE_S = 20
FLAT = 1.15                 # what counts as flat where the run itself is steadier than that
AT_ONCE = 400               # statements in one packet


def fresh(ctx, **options):
    # One instance of the table cache: a connection uses one of many, and would open most of 10,000 tables anew for each statement.
    s = ctx.mysql(innodb_buffer_pool_size="512M", innodb_flush_log_at_trx_commit="0", max_binlog_size="1G", innodb_redo_log_capacity="512M",
                  innodb_file_per_table="OFF", table_open_cache="12000", table_open_cache_instances="1", table_definition_cache="12000",
                  open_files_limit="20000", cte_max_recursion_depth="10000000", **options)
    # The server lowers it to what open_files_limit leaves, though tables in the system tablespace take no file: 9,919 of 10,000 would be opened
    # anew for each statement.
    s.sql("CREATE DATABASE bench", "SET GLOBAL table_open_cache = 12000")
    return s


def send(source, statements):
    """Runs many short statements, each its own transaction, without a round trip for each."""
    c = source.connect("bench", client_flag=CLIENT.MULTI_STATEMENTS)
    with c.cursor() as cur:
        for lo, hi in batches(len(statements), AT_ONCE):
            cur.execute(";".join(statements[lo:hi]))
            while cur.nextset():
                pass
    c.close()


def axis(ctx, sizes):
    """A smoke test needs no more than two sizes, not the largest."""
    return sizes[:2] if ctx.tiny else sizes


def drop_servers(ctx):
    for s in [x for x in ctx.running if hasattr(x, "gtids")]:
        ctx.discard(s)


def capture(ctx, source, start, *more, keep=None, copy_of=None):
    """A function of the round that captures what the source has behind the GTID set `start`, with --once. keep: the slot that stays;
    copy_of: a slot that each round goes on with, in a copy."""
    def once(n):
        slot = keep or ctx.path("slot")
        if copy_of is not None:
            shutil.copytree(copy_of, slot)
        usage = measured(ctx.capture_argv(source, slot, "--tables", "bench.*", "--start", f"gtid:{start}", "--once", *more), ctx.path("growth.log"),
                         server=source)
        if keep is None:
            shutil.rmtree(slot)
        return usage
    return once


def measured_in_turn(ctx, sizes, runs):
    return in_turn(ctx.rounds, {"again": runs[sizes[0]], **runs})


def figures(ctx, axis, sizes, runs, work, got=None):
    """runs: size -> function of the round; work: size -> units. The first size is the base and is run twice a round."""
    base = sizes[0]
    got = got or measured_in_turn(ctx, sizes, runs)
    work = {"again": work[base], **work}
    cpu = {k: median([u.cpu / work[k] * 1e6 for u in v]) for k, v in got.items()}
    rate = {k: median([work[k] / u.wall for u in v]) for k, v in got.items()}

    def noise(of):
        return max(of["again"], of[base]) / min(of["again"], of[base])
    out = [Result("growth", f"{axis} {base}", "noise of the run (A/A), cpu", noise(cpu)),
           Result("growth", f"{axis} {base}", "noise of the run (A/A), units_per_s", noise(rate))]
    for k in sizes:
        limit = None if k == base else max(FLAT, noise(cpu))
        out += [Result("growth", f"{axis} {k}", "cpu_us_per_unit", cpu[k], cpu[base], f"{axis} {base}", limit),
                Result("growth", f"{axis} {k}", "units_per_s", rate[k], rate[base], f"{axis} {base}", higher_is_better=True),
                Result("growth", f"{axis} {k}", "peak_rss_mib", max(u.rss for u in got[k]) / 2**20)]
    ctx.say(f"growth: {axis}: " + ", ".join(f"{k}: {cpu[k]:.3g} us" for k in sizes))
    return out


def insert_into(source, size, lo, hi):
    send(source, [f"INSERT INTO t{i * 7919 % size} VALUES ({i}, {i % 97}, 'value {i % 1000}')" for i in range(lo, hi)])


def first_and_steady(sizes, head, got, head_rows, rows):
    """What a table's first appearance costs, from the first transactions alone; what those behind them cost, where every table is known."""
    def medians(of, what):
        return {k: median([getattr(u, what) for u in v]) for k, v in of.items()}
    base, out = sizes[0], []
    head_cpu, cpu, head_wall, wall = medians(head, "cpu"), medians(got, "cpu"), medians(head, "wall"), medians(got, "wall")
    steady = {k: (cpu[k] - head_cpu[base if k == "again" else k]) / (rows - head_rows) * 1e6 for k in cpu}
    noise = max(steady["again"], steady[base]) / min(steady["again"], steady[base])
    out.append(Result("growth", f"tables {base}", "noise of the run (A/A), steady cpu", noise))
    for k in sizes:
        limit = None if k == base else max(FLAT, noise)
        out.append(Result("growth", f"tables {k}", "steady cpu_us_per_unit", steady[k], steady[base], f"tables {base}", limit))
        out.append(Result("growth", f"tables {k}", "steady units_per_s", (rows - head_rows) / (wall[k] - head_wall[k]),
                          (rows - head_rows) / (wall[base] - head_wall[base]), f"tables {base}", higher_is_better=True))
        if k != base:
            out.append(Result("growth", f"tables {k}", "a table's first appearance, cpu_us", (head_cpu[k] - head_cpu[base]) / (k - base) * 1e6))
    return out


def tables(ctx):
    """The same number of single-row transactions over ever more tables. A server for each, so that a binlog has one case only. Measured twice: when
    there are just enough that every table appeared, and with all. The latter is what a user sees; the difference tells what stays."""
    rows, runs, sizes = ctx.n(TABLE_ROWS, 200), {}, axis(ctx, tuple(max(i + 1, ctx.n(t)) for i, t in enumerate(TABLES)))
    head_rows, sources = ctx.n(TABLE_HEAD, 20), {}
    for size in sizes:
        s = sources[size] = fresh(ctx)
        send(s, [f"CREATE TABLE t{t} (id BIGINT PRIMARY KEY, a INT, b VARCHAR(40))" for t in range(size)])
        start = s.gtids()
        insert_into(s, size, 0, head_rows)
        runs[size] = capture(ctx, s, start)
    head = measured_in_turn(ctx, sizes, runs)
    for size, s in sources.items():
        insert_into(s, size, head_rows, rows)
        ctx.say(f"growth: {size} tables written")
    got = measured_in_turn(ctx, sizes, runs)
    out = figures(ctx, "tables", sizes, runs, dict.fromkeys(sizes, rows), got)
    if not ctx.tiny:            # differences of next to nothing say nothing
        out += first_and_steady(sizes, head, got, head_rows, rows)
    drop_servers(ctx)
    return out


def columns(ctx):
    """The same number of values in ever wider rows, three integers to two texts: cost by the value."""
    values, runs, work, sizes = ctx.n(VALUES, 2000), {}, {}, axis(ctx, COLUMNS)
    for size in sizes:
        s, rows = fresh(ctx), max(2, values // size)
        ddl = ", ".join(f"c{i} {'VARCHAR(8)' if i % 5 in TEXT else 'INT'}" for i in range(1, size))
        s.sql(f"CREATE TABLE wide (id BIGINT PRIMARY KEY, {ddl}) CHARACTER SET latin1", db="bench")
        expr = ", ".join(f"'text {i % 5}'" if i % 5 in TEXT else f"n % 9973 * {1 + i % 5}" for i in range(1, size))
        start = s.gtids()
        s.sql(*[f"INSERT INTO wide WITH RECURSIVE s(n) AS (SELECT {lo + 1} UNION ALL SELECT n + 1 FROM s WHERE n < {hi}) SELECT n, {expr} FROM s"
                for lo, hi in batches(rows, max(1, 200_000 // size))], db="bench")
        runs[size], work[size] = capture(ctx, s, start), rows * size
        ctx.say(f"growth: rows of {size} columns written")
    out = figures(ctx, "columns", sizes, runs, work)
    drop_servers(ctx)
    return out


def apply(ctx, slot, name):
    """The argv of an applier that writes JSON Lines to standard output, from the slot's first record on."""
    return ctx.apply_argv(slot, "jsonl:-", "--name", f"{name}-{os.urandom(4).hex()}")


def written_slots(ctx):
    """(the source, its GTIDs before and after the rows, how many, slots that were made before: number of subscriptions registered -> slot)."""
    rows, s, registered = ctx.n(SEGMENT_ROWS, 2000), fresh(ctx), {}
    s.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, b VARCHAR(128))", db="bench")
    start = s.gtids()
    for k in (0, axis(ctx, SUBSCRIPTIONS)[-1]):
        registered[k] = ctx.path(f"{k}-registered")
        capture(ctx, s, start, keep=registered[k])(0)
        for i in range(k):
            measured([*apply(ctx, registered[k], f"r{i}"), "--once"], ctx.path("apply.log"), stdout="/dev/null")
    insert = ("INSERT INTO t WITH RECURSIVE s(n) AS (SELECT {} UNION ALL SELECT n + 1 FROM s WHERE n < {}) "
              "SELECT n, n % 97, CONCAT(SHA2(n, 256), SHA2(-n, 256)) FROM s")
    s.sql(*[insert.format(lo + 1, hi) for lo, hi in batches(rows, 500)], db="bench")
    ctx.say(f"growth: {rows:,} rows written")
    return s, start, rows, registered


def segments(ctx):
    """The same rows, applied to JSON Lines from slots with ever more segments; how long capture takes to start on one. Frames have one size in all,
    which is that of the smallest segments."""
    s, start, rows, registered = written_slots(ctx)
    whole, slots, runs, found, sizes = ctx.path("whole-slot"), {}, {}, {}, axis(ctx, SEGMENTS)
    capture(ctx, s, start, "--segment-size", "1GiB", keep=whole)(0)
    size = sum(f.stat().st_size for f in whole.glob("*.seg"))
    shutil.rmtree(whole)
    for k in sizes:
        slots[k] = ctx.path(f"{k}-segments")
        segment = "1GiB" if k == 1 else f"{max(SEGMENT_MIN, size // k)}B"
        capture(ctx, s, start, "--segment-size", segment, "--frame-size", f"{SEGMENT_MIN}B", keep=slots[k])(0)
        found[k] = len(list(slots[k].glob("*.seg")))
        runs[k] = lambda n, slot=slots[k]: measured([*apply(ctx, slot, "n"), "--once"], ctx.path("apply.log"), stdout="/dev/null")
    # Before anybody reads: then retention removes segments.
    starts = in_turn(ctx.rounds, {k: capture(ctx, s, start, keep=slots[k]) for k in sizes})
    out = figures(ctx, "segments", sizes, runs, dict.fromkeys(sizes, rows))
    out += [Result("growth", f"segments {k}", "segments in the slot", float(v)) for k, v in found.items()]
    out += [Result("growth", f"segments {k}", "capture start, wall_s", median([u.wall for u in v]), median([u.wall for u in starts[1]]), "segments 1")
            for k, v in starts.items() if k != 1]
    return out, s, start, rows, registered, slots[sizes[1]]


def subscriptions(ctx, s, start, rows, registered, slot):
    """Ever more appliers read the same slot at once: their total CPU. Capture with none and with many registered. Appliers with nothing to do."""
    def together(k):
        def once(n):
            began, running, log = time.monotonic(), [], ctx.path("apply.log")
            with open(log, "ab") as err, open(os.devnull, "wb") as out:
                for i in range(k):
                    running.append(subprocess.Popen([*map(str, apply(ctx, slot, f"s{i}")), "--once"], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                                    env=environment(None)))
            return gather(running, began, log)
        return once
    sizes = axis(ctx, SUBSCRIPTIONS)
    out = figures(ctx, "subscriptions", sizes, {k: together(k) for k in sizes}, {k: rows * k for k in sizes})
    out += figures(ctx, "capture, idle subscriptions", tuple(registered), {k: capture(ctx, s, start, copy_of=v) for k, v in registered.items()},
                   dict.fromkeys(registered, rows))
    if not ctx.tiny:
        out += idle(ctx, next(iter(registered.values())))
    return out


def idle(ctx, slot):
    """Appliers of a slot in which nothing happens."""
    daemons = [ctx.daemon("rowtide-apply", "--slot", slot, "--to", "jsonl:/dev/null", "--name", f"idle{i}") for i in range(SUBSCRIPTIONS[-1])]
    for d in daemons:
        d.start().wait_event("subscription_started")
    time.sleep(1)
    before = [process_cpu(d.process.pid) for d in daemons]
    time.sleep(IDLE_S)
    used = sum(process_cpu(d.process.pid) for d in daemons) - sum(before)
    for d in daemons:
        d.stop()
        ctx.running.remove(d)
    return [Result("growth", f"subscriptions {len(daemons)}", "cpu_percent of each while idle", 100 * used / IDLE_S / len(daemons), target=0.5)]


def run(ctx):
    out = []
    if ctx.wants("tables"):
        out += tables(ctx)
    if ctx.wants("columns"):
        out += columns(ctx)
    if ctx.wants("segments") or ctx.wants("subscriptions"):
        got, *rest = segments(ctx)
        out += got + subscriptions(ctx, *rest)
        drop_servers(ctx)
    return out
