"""The servers that the other tests stand on: they start, survive kill -9 with what was committed, and have the settings."""
import pytest

from rt.postgres import Postgres
from rt.util import wait_until


@pytest.mark.parametrize("kind", ["mysql97", "mariadb1011"])
def test_source_server(world, kind):
    s = world.new_source(kind)
    try:
        assert s.sql("SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata") == ((1, "ROW", "FULL", "FULL"),)
        s.sql("CREATE DATABASE a", "CREATE TABLE a.t (id INT PRIMARY KEY)", "INSERT INTO a.t VALUES (1)")
        before = s.gtids()
        assert before
        s.kill9()
        s.start()
        assert s.sql("SELECT * FROM a.t") == ((1,),)
        assert s.gtids() == before
        assert len(s.binlogs()) == 3   # the template's, and one for each start
        s.restart()
        s.reset_binlog()
        assert s.gtids() == ""
    finally:
        s.stop()


def test_postgres(world):
    pg = world.new_postgres()
    try:
        assert isinstance(pg, Postgres)
        pg.sql("CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
        pg.crash()
        pg.start()
        assert pg.sql("SELECT a FROM t") == [(1,)]
        pg.restart()
        wait_until(lambda: pg.sql("SELECT a FROM t") == [(1,)], "the row")
    finally:
        pg.stop()
