"""Sources whose binlog has no column names (MySQL 5.6, and newer ones with MINIMAL metadata): definitions come from the
schema history, which follows the DDL on a schema server (docs/schema-history.md)."""
import pytest

from rt.lab import Lab

# kind of source, its options, options of the schema server beside it
SOURCES = {
    "mysql56": ("mysql56", {}),
    "mysql56-nogtid": ("mysql56", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF", "binlog_checksum": "NONE",
                                   "log_bin_use_v1_row_events": "ON"}),
    "mysql97-minimal": ("mysql97", {"binlog_row_metadata": "MINIMAL"}),
    "mariadb1011-nolog": ("mariadb1011", {"binlog_row_metadata": "NO_LOG"}),
}
ALL = pytest.mark.parametrize("which", SOURCES)
ONE = pytest.mark.parametrize("which", ["mysql56"])


class SchemaLab(Lab):
    """A Lab with a schema server, which is emptied for each test: it may belong to one slot only."""

    def __init__(self, world, which):
        kind, options = SOURCES[which]
        super().__init__(world, "libmariadb", kind)
        self.which = which
        for role in (which, f"schema-{kind}"):
            if role not in world.servers:
                world.servers[role] = world.new_source(kind, **(options if role == which else {}))
        self.scratch = world.servers[f"schema-{kind}"]
        self.empty_scratch()
        self.use_source(world.servers[which])
        self.scratch.sql("GRANT ALL ON *.* TO cdc@'%'")
        if kind == "mysql97":
            self.scratch.sql("GRANT SYSTEM_VARIABLES_ADMIN, SESSION_VARIABLES_ADMIN ON *.* TO cdc@'%'")

    def use_source(self, server):
        self._source = server
        server.sql(f"CREATE DATABASE {self.db} CHARACTER SET utf8mb4")
        self.start_at = "now"
        return server

    def empty_scratch(self):
        for (db,) in self.scratch.sql("SHOW DATABASES"):
            if db not in ("mysql", "information_schema", "performance_schema", "sys"):
                self.scratch.sql(f"DROP DATABASE `{db}`")

    def capture(self, *args, schema=True, **more):
        if schema:
            args = (*args, "--schema-server", self.scratch.url())
        return super().capture(*args, **more)

    def close(self):
        super().close()
        self._source.sql(f"DROP DATABASE IF EXISTS {self.db}")


@pytest.fixture
def lab(world, which, request):
    it = SchemaLab(world, which)
    request.node.lab = it
    yield it
    it.close()


@ALL
def test_a(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a')")
    c = lab.capture("--once")
    c.run()
    print(c.text())
    lab.sql("INSERT INTO t VALUES (2, 'b')", "ALTER TABLE t ADD w INT FIRST", "INSERT INTO t VALUES (3, 3, 'c')", "UPDATE t SET w = 4 WHERE id = 3",
            "RENAME TABLE t TO u", "INSERT INTO u VALUES (5, 5, NULL)")
    lab.capture("--once").run()
    for r in lab.tool.dump(lab.slot):
        print(r)
    assert 0
