"""World: what one pytest run shares (templates, running servers). Lab: what one test uses."""
import shutil
import tempfile
from pathlib import Path

from .compare import differences
from .postgres import Postgres
from .programs import Build, Daemon, Tool
from .sources import CDC_USER, KINDS
from .util import make_certificates, tail, wait_until


class World:
    def __init__(self):
        # Servers under another user must get through here; a unix socket's path must stay under 108 bytes.
        self.dir = Path(tempfile.mkdtemp(prefix="rt."))
        self.dir.chmod(0o755)
        self.templates, self.servers, self.builds = {}, {}, {}
        self.count = 0
        self.keep = False
        self._certs = self._pg = None

    @property
    def certs(self):
        if self._certs is None:
            self._certs = make_certificates(self.dir / "certs")
        return self._certs

    def new_dir(self, name):
        self.count += 1
        return self.dir / f"{self.count}-{name}"

    def new_source(self, kind, prepare=None, **options):
        """A private server; options with _ for -. prepare(server) comes before its first start."""
        if kind not in self.templates:
            path = self.dir / f"template-{kind}"
            KINDS[kind].make_template(path, self.certs)
            self.templates[kind] = path
        server = KINDS[kind](self.new_dir(kind), self.templates[kind], self.certs, server_id=self.count + 10,
                             options={k.replace("_", "-"): v for k, v in options.items()})
        if prepare is not None:
            prepare(server)
        return server.start()

    def shared_source(self, kind):
        if kind not in self.servers:
            self.servers[kind] = self.new_source(kind)
        return self.servers[kind]

    def new_postgres(self, **options):
        return Postgres(self.new_dir("pg"), **options).start()

    def shared_postgres(self):
        if self._pg is None:
            self._pg = self.new_postgres()
        return self._pg

    def build(self, client):
        if client not in self.builds:
            self.builds[client] = Build(client)
        return self.builds[client]

    def close(self):
        for s in [*self.servers.values(), *([self._pg] if self._pg else [])]:
            s.stop()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)


class Lab:
    """One test: a schema of its own at the source, a database of its own at the destination, a slot, and the programs."""

    def __init__(self, world, client, kind):
        self.world, self.client, self.kind = world, client, kind
        self.build = world.build(client)
        self.tool = Tool(self.build)
        self.dir = world.new_dir("test")
        self.dir.mkdir()
        self.slot = self.dir / "slot"
        self.db = f"t{world.count}"
        self.daemons, self.own = [], []
        self._source = self._pg = self.start_at = None

    # ---- servers
    @property
    def source(self):
        if self._source is None:
            self.use_source(self.world.shared_source(self.kind))
        return self._source

    def use_source(self, server):
        self._source = server
        server.sql(f"CREATE DATABASE {self.db} CHARACTER SET utf8mb4")
        self.start_at = "gtid:" + server.gtids()
        return server

    def own_source(self, prepare=None, **options):
        """This test's own server, for tests that stop or reset it."""
        server = self.world.new_source(self.kind, prepare, **options)
        self.own.append(server)
        return self.use_source(server)

    @property
    def pg(self):
        if self._pg is None:
            self.use_pg(self.world.shared_postgres())
        return self._pg

    def use_pg(self, pg):
        self._pg = pg
        pg.sql(f"CREATE DATABASE {self.db}")
        return pg

    def own_pg(self, **options):
        pg = self.world.new_postgres(**options)
        self.own.append(pg)
        return self.use_pg(pg)

    # ---- programs
    def daemon(self, program, args, name, stdout=None):
        d = Daemon(self.build, program, args, self.dir / f"{name}.log", stdout)
        self.daemons.append(d)
        return d

    def capture(self, *args, slot=None, url=None, tables=None, name="capture"):
        """Not started yet: call .start() or .run(). A new slot begins where the test's schema was made, so that it does not
        matter when the test writes."""
        a = ["--source", url or self.source.url(), "--slot", slot or self.slot, "--tables", tables or f"{self.db}.*"]
        if "--start" not in args:
            a += ["--start", self.start_at]
        return self.daemon("rowtide-capture", [*a, *args], name)

    def apply(self, *args, slot=None, to=None, name="apply", stdout=None):
        return self.daemon("rowtide-apply", ["--slot", slot or self.slot, "--to", to or self.pg.url(self.db), *args], name, stdout)

    def start_both(self, capture=(), apply=("--create",)):
        """Both daemons, streaming. The slot is there before apply looks for it."""
        c = self.capture(*capture).start()
        c.wait_event("streaming")
        return c, self.apply(*apply).start()

    def begin_history(self):
        """For a source without names of columns in its binlog: the slot begins here, in front of the tables, with a schema history.
        Returns the options with which capture goes on. One schema server for all tests, emptied for each, as it serves one slot."""
        name = f"schema-{self.kind}"
        if name not in self.world.servers:
            self.world.servers[name] = self.world.new_source(self.kind)
            self.world.servers[name].sql(f"GRANT ALL ON *.* TO {CDC_USER}@'%'")
        server = self.world.servers[name]
        for (db,) in server.sql("SHOW DATABASES"):
            if db not in ("mysql", "information_schema", "performance_schema", "sys"):
                server.sql(f"DROP DATABASE `{db}`")
        assert self.source
        self.start_at = "now"
        options = ("--once", "--schema-server", server.url())
        self.capture(*options).run()
        return options

    def keep_everything(self):
        """Registers a subscription that never moves on, so that every segment stays and changes can be counted in the slot."""
        self.apply("--once", "--name", "keeper", to=f"jsonl:{self.dir / 'keeper.jsonl'}", name="keeper").run()

    @property
    def source_kind_is_mysql(self):
        return KINDS[self.kind].is_mysql

    def sql(self, *statements):
        return self.source.sql(*statements, db=self.db)

    def dest(self, *statements):
        return self.pg.sql(*statements, db=self.db)

    # ---- questions
    def differences(self, *tables):
        return [d for t in tables for d in differences(self.source, self.db, t, self.pg, self.db)]

    def assert_equal(self, *tables):
        found = self.differences(*tables)
        assert not found, "\n".join(found)

    def settle(self, *tables, timeout=None):
        """Waits until the destination equals the source for these tables."""
        def equal():
            for d in self.daemons:
                if d.process is not None and d.process.poll() is not None:
                    raise RuntimeError(f"{d.program} has ended with {d.process.returncode}:\n{tail(d.log, 10)}")
            self.assert_equal(*tables)
            return True
        wait_until(equal, "the destination to equal the source", timeout, every=0.1)

    def progress(self, subscription="default"):
        """The row of rowtide.progress as a dict, or None."""
        if not self.dest("SELECT to_regclass('rowtide.progress')")[0][0]:
            return None
        names = "epoch lsn gtid file pos commit_ts changes transactions script_hash applied_at".split()
        rows = self.dest(f"SELECT {', '.join(names)} FROM rowtide.progress WHERE subscription='{subscription}'")
        return dict(zip(names, rows[0])) if rows else None

    def changes(self, slot=None, **where):
        """The slot's changes as dumped. where: table="t", op="insert"."""
        out = [r for r in self.tool.dump(slot or self.slot) if is_change(r)]
        return [r for r in out if all(r.get(k) == v for k, v in where.items())]

    def assert_counts(self, subscription="default"):
        """Every change of the slot was applied once: no more, no less."""
        n, p = sum(map(is_change, self.tool.records(self.slot))), self.progress(subscription)
        assert p is not None, "no progress row"
        assert p["changes"] == n, f"{p['changes']} changes applied, {n} in the slot"

    def close(self):
        for d in self.daemons:
            d.close()
        for s in self.own:
            s.stop()


def is_change(record):
    return record.get("op") in ("insert", "update", "delete", "truncate")
