"""Capture, from a binlog that lies there to fsynced segments (--once), measured as a whole process, without TLS unless said.

Beside it, in turn: a reader that fetches and counts (the limit), `mysqlbinlog --raw` piped into zstd, a decoder for Node.js when npm has it,
and the same over TLS. Segment bytes beside `zstd -1` of the binlog and beside the server's own transaction compression."""
import json
import os
import shutil
import subprocess
from pathlib import Path

from lib import kept
from lib.measure import in_turn, pipeline, run as measured
from lib.report import Result, median
from lib.workloads import STEPS
from rt.sources import CDC_PASSWORD, CDC_USER
from rt.util import REPO

WALL = {"W1": 1.3, "W2": 1.8, "W3": 2.0, "W4": 1.3}
CPU = {"W1": 3.3, "W2": 4.8, "W3": 5.6, "W4": 2.7}
BYTES = {"W1": 0.75, "W2": 0.60, "W3": 0.60, "W4": 0.72, "W5": 0.60}
RSS_MIB = 48
PASSWORD = {"ROWTIDE_SOURCE_PASSWORD": CDC_PASSWORD, "MYSQL_PWD": CDC_PASSWORD}
PEER = "@vlasky/zongji"
PEER_ROUNDS = 3
SERVER_COMPRESSES = ("W1", "W2", "W3", "W4", "W5")


class Contest:
    """One workload and all who read it."""

    def __init__(self, ctx, w):
        self.ctx, self.w, self.server = ctx, w, w.server
        self.log = ctx.path(f"{w.name}.log")
        self.slot_bytes = {}

    def rowtide(self, argv0, name, **url):
        def once(n):
            slot = self.ctx.path("slot")
            usage = measured([*argv0, "--source", self.server.url(**{"ssl_mode": "DISABLED", **url}), "--slot", slot, "--tables", "bench.*",
                              "--start", f"gtid:{self.w.start}", "--once"], self.log, server=self.server)
            self.slot_bytes[name] = usage.extra["bytes"] = sum(f.stat().st_size for f in slot.glob("*.seg"))
            shutil.rmtree(slot)
            return usage
        return once

    def fetch_only(self, program, *ca):
        argv = [*program, "127.0.0.1", self.server.port, CDC_USER, self.w.files[0], self.w.bytes, *ca]
        return lambda n: measured(argv, self.log, server=self.server, env=PASSWORD)

    def raw_into_zstd(self, n):
        """mysqlbinlog --raw writes files under the names of the binlogs: here they are pipes with zstd behind them."""
        d = self.ctx.path("raw")
        d.mkdir()
        for f in self.w.files:
            os.mkfifo(d / f)
        binlog = [*self.ctx.sid_loader(), self.ctx.sid / "usr/bin/mysqlbinlog", "--no-defaults", "--read-from-remote-server", "--raw", "--host=127.0.0.1",
                  f"--port={self.server.port}", f"--user={CDC_USER}", "--ssl-mode=DISABLED", "--get-server-public-key", f"--result-file={d}/", *self.w.files]
        usage = pipeline([binlog, ["zstd", "-1", "-q", "-c", *(d / f for f in self.w.files)]], self.log, self.server, stdout=d / "out.zst", env=PASSWORD)
        usage.extra["bytes"] = (d / "out.zst").stat().st_size
        shutil.rmtree(d)
        return usage

    def peer(self, script):
        argv = ["node", script, self.server.port, CDC_USER, self.w.files[0], self.w.bytes, self.w.files[-1]]
        return lambda n: measured(argv, self.log, server=self.server, env={**PASSWORD, "NODE_PATH": str(script.parent / "node_modules")}, timeout=600)


def peer_program(ctx):
    """The path of the script with the peer's package beside it, or None: npm or the package cannot be had."""
    home = ctx.cache / "peer"
    if shutil.which("npm") is None or shutil.which("node") is None:
        ctx.say("no npm here: without the Node.js decoder")
        return None
    home.mkdir(exist_ok=True)
    if not (home / "node_modules" / PEER).exists():
        p = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", PEER], cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if p.returncode != 0:
            ctx.say(f"npm cannot install {PEER}: without the Node.js decoder")
            return None
    return Path(shutil.copy(REPO / "bench/peer.js", home / "peer.js"))


def zstd_bytes(w):
    files = [str(w.server.data / f) for f in w.files]
    return int(subprocess.run(["sh", "-c", 'zstd -1 -q -c "$@" | wc -c', "sh", *files], capture_output=True, text=True, check=True).stdout)


def compare(name, metric, of, mine, other, other_name, target=None):
    return Result.paired("capture", name, metric, [of(u) for u in mine], [of(u) for u in other], other_name, target)


def peer_runs(ctx, contest, peer):
    """What the peer took in each round; [] without it. That it fails is not ours to mend."""
    try:
        return in_turn(min(ctx.rounds, PEER_ROUNDS), {"peer": contest.peer(peer)})["peer"] if peer else []
    except RuntimeError as e:
        ctx.say(f"{contest.w.name}: without {PEER}, which failed: {e}")
        return []


def one(ctx, name, fetch, peer):
    w = ctx.workload(name)
    c = Contest(ctx, w)
    mysqlclient = REPO / "build/release-mysqlclient/rowtide-capture"
    who = {"rowtide": c.rowtide(ctx.build.argv("rowtide-capture"), "rowtide"), "fetch only": c.fetch_only(fetch)}
    if mysqlclient.exists():
        who["rowtide, libmysqlclient"] = c.rowtide([*ctx.sid_loader(), mysqlclient], "rowtide, libmysqlclient")
    who["mysqlbinlog --raw | zstd -1"] = c.raw_into_zstd
    got = in_turn(ctx.rounds, who)
    ca = str(ctx.world.certs / "ca.pem")
    tls = in_turn(ctx.rounds, {"rowtide": c.rowtide(ctx.build.argv("rowtide-capture"), "tls", ssl_mode="VERIFY_CA", ssl_ca=ca),
                               "fetch only": c.fetch_only(fetch, ca)})
    mine, limit = got["rowtide"], got["fetch only"]
    wall, cpu = (lambda u: u.wall), (lambda u: u.cpu)
    out = [compare(name, "wall_s", wall, mine, limit, "fetch only", WALL.get(name)), compare(name, "cpu_s", cpu, mine, limit, "fetch only", CPU.get(name)),
           compare(name, "server_cpu_s", lambda u: u.server_cpu, mine, limit, "fetch only"),
           Result("capture", name, "rows_per_s", median([w.rows / u.wall for u in mine]), higher_is_better=True),
           Result("capture", name, "peak_rss_mib", max(u.rss for u in mine) / 2**20, target=RSS_MIB)]
    other = "rowtide, libmysqlclient"
    if other in got:
        out += [compare(name, "wall_s, libmysqlclient", wall, got[other], limit, "fetch only", WALL.get(name)),
                compare(name, "cpu_s, libmysqlclient", cpu, got[other], limit, "fetch only", CPU.get(name))]
    raw = got["mysqlbinlog --raw | zstd -1"]
    out += [compare(name, "wall_s", wall, mine, raw, "mysqlbinlog --raw | zstd -1"), compare(name, "cpu_s", cpu, mine, raw, "mysqlbinlog --raw | zstd -1"),
            compare(name, "wall_s, TLS", wall, tls["rowtide"], tls["fetch only"], "fetch only, TLS"),
            compare(name, "cpu_s, TLS", cpu, tls["rowtide"], tls["fetch only"], "fetch only, TLS")]
    them = peer_runs(ctx, c, peer)
    if them:
        out += [compare(name, "wall_s", wall, mine, them, PEER), compare(name, "cpu_s", cpu, mine, them, PEER)]
    size = float(c.slot_bytes["rowtide"])
    out += [Result("capture", name, "written_bytes", median([float(u.written) for u in mine])),
            Result("capture", name, "segment_bytes", size, float(w.bytes), "raw binlog"),
            Result("capture", name, "segment_bytes", size, float(zstd_bytes(w)), "zstd -1 of the binlog", BYTES[name])]
    ctx.done_with(name)
    if name in SERVER_COMPRESSES and not ctx.tiny:
        out.append(Result("capture", name, "segment_bytes", size, float(kept.compressed_bytes(ctx, name)), "binlog_transaction_compression"))
    return out


def run(ctx):
    fetch = ctx.compile_in_sid("fetch_only.c", "-I/usr/include/mysql", "-lmysqlclient")
    peer = None if ctx.tiny else peer_program(ctx)
    out = []
    for name in STEPS:
        if ctx.wants(name):
            out += one(ctx, name, fetch, peer)
    (ctx.out / "capture.json").write_text(json.dumps([r.as_dict() for r in out], indent=1))
    return out
