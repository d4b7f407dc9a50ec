"""PostgreSQL as a destination, on a private data directory."""
import os
import signal
import subprocess
from pathlib import Path

import psycopg2

from .util import as_server, free_port, give, tail, wait_until

BIN = Path("/usr/lib/postgresql/15/bin")


class Postgres:
    """One server. `options` are settings of postgresql.conf; fsync is off unless they say otherwise."""

    def __init__(self, home, **options):
        self.home, self.options = Path(home), options
        self.data, self.log = self.home / "data", self.home / "server.log"
        self.port = free_port()
        self.process = self.held = None
        self.home.mkdir(parents=True)
        give(self.home)
        subprocess.run([str(BIN / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8",
                        "--locale=C.UTF-8"], check=True, capture_output=True, stdin=subprocess.DEVNULL, cwd="/", **as_server())

    def start(self):
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.home), "fsync": "off",
                   "shared_buffers": "64MB", "max_connections": "60", "logging_collector": "off", "log_min_messages": "warning", **self.options}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(BIN / "postgres"), "-D", str(self.data)] + [x for k, v in options.items() for x in ("-c", f"{k}={v}")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, **as_server())

        def up():
            if self.process.poll() is not None:
                raise RuntimeError(f"postgres ended with {self.process.returncode}:\n{tail(self.log)}")
            try:
                self.connect("postgres").close()
                return True
            except psycopg2.OperationalError:
                return False
        wait_until(up, "PostgreSQL to accept connections")
        return self

    def _end(self, sig):
        if self.process is not None:
            self.process.send_signal(sig)
            if self.held is not None:       # it does not hear the postmaster
                os.kill(self.held, signal.SIGKILL)
                self.held = None
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def stop(self):
        self._end(signal.SIGINT)     # fast shutdown: open sessions are ended

    def hold_wal_writer(self):
        """Until the server ends, no WAL leaves PostgreSQL's memory but up to a commit that waits for it. A process that crashes loses
        nothing of what it has handed to the kernel, and the WAL writer does that within a few ms. Wants autovacuum off, and
        wal_buffers that hold all that is written meanwhile."""
        def idle():
            return self.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter' AND wait_event = 'WalWriterMain'")

        def held():     # with no lock in its hands
            for (pid,) in idle():
                os.kill(pid, signal.SIGSTOP)
                if idle():
                    return pid
                os.kill(pid, signal.SIGCONT)
            return None
        self.held = wait_until(held, "the WAL writer to be idle")

    def crash(self):
        """Immediate: no checkpoint, the next start recovers from the WAL."""
        self._end(signal.SIGQUIT)

    def restart(self):
        self.stop()
        return self.start()

    def connect(self, db="postgres"):
        c = psycopg2.connect(host=str(self.home), port=self.port, user="postgres", dbname=db)
        c.autocommit = True
        c.set_client_encoding("UTF8")
        with c.cursor() as cur:
            cur.execute("SET timezone='UTC'; SET intervalstyle='postgres'")
        return c

    def sql(self, *statements, db="postgres"):
        """Runs statements on one connection; returns the rows of the last, or [] when it has none."""
        c = self.connect(db)
        try:
            with c.cursor() as cur:
                for s in statements:
                    cur.execute(s)
                return cur.fetchall() if cur.description else []
        finally:
            c.close()

    def url(self, db):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{db}"
