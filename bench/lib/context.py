"""What a suite gets: servers, builds, workloads, how many rounds."""
import os
import subprocess
import sys
import time
from pathlib import Path

from rt.lab import World
from rt.postgres import Postgres
from rt.programs import Build, Daemon
from rt.util import REPO, SID

from . import kept
from .measure import open_files

DURABLE = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "512MB", "wal_level": "logical", "max_wal_size": "8GB",
           "checkpoint_timeout": "30min", "autovacuum": "off"}


class Context:
    """Use as a context manager; everything it started ends with it."""

    def __init__(self, args):
        self.args, self.scale = args, args.scale
        self.tiny = args.scale < 0.01
        self.rounds = args.rounds or 1          # bench/run knows how many of which suite
        os.environ["ROWTIDE_BUILD_MARIADB"] = args.build
        self.build = Build("libmariadb")
        root = Path(os.environ.get("ROWTIDE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rowtide")
        self.cache = root / "bench"
        self.cache.mkdir(parents=True, exist_ok=True)
        self.out = Path(REPO) / "build/bench"
        self.out.mkdir(parents=True, exist_ok=True)
        self.sid = Path(subprocess.run([str(SID), "path"], capture_output=True, text=True, check=True).stdout.strip())
        self.began = time.monotonic()
        open_files()

    def __enter__(self):
        self.world = World()
        self.world.keep = self.args.keep
        self.dir = self.world.new_dir("bench")
        self.dir.mkdir()
        self.running, self.sources, self.count = [], {}, 0
        return self

    def __exit__(self, *_):
        for p in reversed(self.running):
            p.close() if isinstance(p, Daemon) else p.stop()
        self.world.close()
        if self.args.keep:
            self.say(f"kept: {self.world.dir}")

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", file=sys.stderr, flush=True)

    def wants(self, workload):
        return not self.args.workloads or workload in self.args.workloads.split(",")

    def n(self, full, least=1):
        """A count of the full workload at this run's scale."""
        return max(least, int(full * self.scale))

    def path(self, name):
        """A new path in this run's directory."""
        self.count += 1
        return self.dir / f"{self.count}-{name}"

    # ---- servers
    def mysql(self, **options):
        """A new MySQL, empty."""
        s = self.world.new_source("mysql97", **options)
        self.running.append(s)
        return s

    def postgres(self, **options):
        """A new PostgreSQL, durable; options override."""
        pg = Postgres(self.world.new_dir("pg"), **{**DURABLE, **options}).start()
        self.running.append(pg)
        return pg

    def stop(self, server):
        server.stop()
        self.running.remove(server)

    def discard(self, server):
        """Ends a server whose data nobody needs any more: a MySQL without an orderly shutdown."""
        server.kill9() if hasattr(server, "kill9") else server.stop()
        self.running.remove(server)

    # ---- programs
    def capture_argv(self, source, slot, *more, **url):
        return self.build.argv("rowtide-capture", "--source", source.url(**{"ssl_mode": "DISABLED", **url}), "--slot", slot, *more)

    def apply_argv(self, slot, to, *more):
        return self.build.argv("rowtide-apply", "--slot", slot, "--to", to, *more)

    def daemon(self, program, *args):
        d = Daemon(self.build, program, args, self.path(f"{program}.log"))
        self.running.append(d)
        return d

    # ---- workloads
    def workload(self, name):
        """A Workload (lib/kept.py) with its server running; its binlog was written once and comes from the cache."""
        if name not in self.sources:
            self.sources[name] = kept.load(self, name)
        return self.sources[name]

    def done_with(self, name):
        """Stops the workload's server: two servers at a time are enough for a small machine."""
        w = self.sources.pop(name)
        self.discard(w.server)

    def slot(self, name, whole=True):
        """A slot with the workload in sealed and open segments. whole: from the source's first event, with the tables' DDL and the rows that
        the measured part changes; else only the measured part (Workload.start on)."""
        w = self.workload(name)
        slot = self.path(f"{name}-slot")
        d = Daemon(self.build, "rowtide-capture", ["--source", w.server.url(ssl_mode="DISABLED"), "--slot", slot, "--tables", "bench.*", "--once",
                                                   "--start", "earliest" if whole else f"gtid:{w.start}"], self.path("capture.log"))
        d.run(timeout=900)
        return slot

    def compile(self, source, *flags):
        """Compiles bench/SOURCE.c against Debian's libraries; returns the program."""
        return self._compile([], REPO / "bench" / source, self.out / Path(source).stem, flags)

    def compile_in_sid(self, source, *flags):
        """Compiles bench/SOURCE.c in the sid root (libmysqlclient). Returns the beginning of an argv that runs it without a chroot."""
        to = self._compile([str(SID), "run"], REPO / "bench" / source, self.out / Path(source).stem, flags)
        return [*self.sid_loader(), to]

    def _compile(self, prefix, source, to, flags):
        if not to.exists() or to.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([*prefix, "cc", "-O2", "-g", "-Wall", "-Wextra", "-o", str(to), str(source), *flags], check=True, stdin=subprocess.DEVNULL)
        return to

    def sid_loader(self):
        """Runs a program of the sid root from outside: no mounts, no shell, nothing of them in the measurement."""
        lib = self.sid / "usr/lib/x86_64-linux-gnu"
        return [self.sid / "lib64/ld-linux-x86-64.so.2", "--library-path", f"{lib}:{lib}/mysql/private"]
