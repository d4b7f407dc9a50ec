"""Workloads that were generated once and are kept: a server's data directory and what there is to know of it."""
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

from rt.sources import MySQL

from . import workloads
from .workloads import SERVER, STEPS, TITLE, Generator

KEEP_DAYS = 2


@dataclass
class Workload:
    name: str
    start: str              # GTID set before the measured part
    files: list             # binlog files of the measured part; the first begins with it, at offset 4
    bytes: int              # their size
    rows: int               # changes in the measured part
    transactions: int
    prepared_rows: int      # inserts before it
    tables: list
    server: object = field(default=None, repr=False)


def write(ctx, name, **options):
    """Runs a workload on a new server: (the server, GTIDs before the measured part, rows prepared, rows of it, its binlog files with sizes)."""
    server = ctx.mysql(**{k.replace("-", "_"): v for k, v in SERVER.items()}, tmp_table_size="2G", temptable_max_ram="2G", **options)
    g = Generator(ctx, server)
    server.sql("CREATE DATABASE bench CHARACTER SET utf8mb4")
    prepare, run = STEPS[name]
    prepare(g)
    prepared = g.counters()
    start = server.gtids()
    server.sql("FLUSH BINARY LOGS")
    first = server.binlogs()[-1]
    run(g)
    rows = g.counters() - prepared
    server.sql("FLUSH BINARY LOGS")
    logs = [(r[0], int(r[1])) for r in server.sql("SHOW BINARY LOGS")]
    return server, start, prepared, rows, [f for f in logs if first <= f[0] < logs[-1][0]]


def describe(name, written):
    """The Workload that write() has made, with its server."""
    server, start, prepared, rows, files = written
    count = "SELECT CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(GTID_SUBTRACT(@@GLOBAL.gtid_executed, '%s'), ':', -1), '-', %d) AS UNSIGNED)"
    last, begin = (server.sql(count % (start, i))[0][0] for i in (-1, 1))
    return Workload(name, start, [f[0] for f in files], sum(f[1] for f in files), rows, int(last - begin + 1), prepared,
                    [r[0] for r in server.sql("SHOW TABLES FROM bench")], server)


def generate(ctx, name, to):
    """Writes the workload's data directory and meta.json under `to`."""
    ctx.say(f"{name}: generating ({TITLE[name]})")
    meta = describe(name, write(ctx, name))
    ctx.stop(meta.server)
    to.mkdir(parents=True)
    subprocess.run(["mv", meta.server.data, to / "data"], check=True)       # keeps the owner across file systems
    (to / "meta.json").write_text(json.dumps({f.name: getattr(meta, f.name) for f in fields(meta) if f.name != "server"}))


def place(ctx, name):
    """Where the workload of this definition and scale is kept; makes it when it is not there."""
    key = hashlib.sha256(Path(workloads.__file__).read_bytes()).hexdigest()[:12]
    kept = ctx.cache / f"{name}-{ctx.scale:g}-{key}"
    with open(ctx.cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "meta.json").exists():
            for old in ctx.cache.glob(f"{name}-{ctx.scale:g}-*"):       # of another definition, not used of late
                if time.time() - old.stat().st_mtime > KEEP_DAYS * 86400:
                    shutil.rmtree(old)
            shutil.rmtree(kept, ignore_errors=True)
            generate(ctx, name, kept)
        os.utime(kept)
    return kept


def load(ctx, name):
    """The workload with its server running, on a copy of the kept data directory; a tiny one is not worth keeping."""
    if ctx.tiny:
        w = describe(name, write(ctx, name))
    else:
        kept = place(ctx, name)
        w = Workload(**json.loads((kept / "meta.json").read_text()))
        w.server = MySQL(ctx.world.new_dir(name), kept / "data", ctx.world.certs, server_id=100, options=SERVER).start()
        ctx.running.append(w.server)
    ctx.say(f"{name}: {w.rows:,} rows in {w.transactions:,} transactions, {w.bytes / 1e6:.0f} MB of binlog")
    return w


def compressed_bytes(ctx, name):
    """The size of the measured part's binlog when the server compresses transactions itself: the workload written once more, and counted."""
    known = place(ctx, name) / "compressed"
    if not known.exists():
        ctx.say(f"{name}: writing it again with binlog_transaction_compression=ON")
        server, *_, files = write(ctx, name, binlog_transaction_compression="ON")
        server.kill9()
        ctx.running.remove(server)
        known.write_text(str(sum(f[1] for f in files)))
    return int(known.read_text())
