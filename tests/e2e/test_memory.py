"""Resident memory of each daemon through one transaction of two million rows stays under 64 MiB (I1). For release builds."""
import os
import time

import pytest

from rt.util import wait_until

pytestmark = [pytest.mark.heavy, pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")]
ROWS = int(os.environ.get("ROWTIDE_MEMORY_ROWS", "2000000"))
LIMIT = 64 << 20


def test_one_large_transaction(lab):
    lab.own_source(innodb_buffer_pool_size="512M", max_binlog_size="1G")
    lab.sql("CREATE TABLE digits (d INT PRIMARY KEY)", "INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
            "CREATE TABLE big (id INT PRIMARY KEY, n BIGINT NOT NULL, v VARCHAR(100) NOT NULL, d DECIMAL(12,2), at DATETIME)")
    capture = lab.capture().start()
    capture.wait_event("streaming")
    apply = lab.apply("--create").start()
    numbers = " + ".join(f"{x}.d * {10 ** i}" for i, x in enumerate("abcdefg"))
    start = time.monotonic()
    lab.sql(f"INSERT INTO big SELECT {numbers} AS x, ({numbers}) * 7, CONCAT('row ', {numbers}, ' ', REPEAT('x', a.d * 3)), ({numbers}) / 100, '2024-01-01' "
            f"FROM {', '.join(f'digits {x}' for x in 'abcdefg')} WHERE g.d * 1000000 < {ROWS} AND {numbers} < {ROWS}")
    written = time.monotonic()
    wait_until(lambda: lab.dest("SELECT to_regclass('\"%s\".big')" % lab.db)[0][0]
               and lab.dest(f'SELECT count(*) FROM "{lab.db}".big')[0][0] == ROWS, f"{ROWS} rows at the destination", timeout=600, every=0.5)
    done = time.monotonic()
    peaks = {d.program: d.memory() for d in (capture, apply)}
    print(f"\n{lab.client}, {lab.kind}: {ROWS} rows in one transaction; source {written - start:.0f} s, at the destination {done - written:.0f} s later; "
          + ", ".join(f"{k} {v / 2**20:.1f} MiB" for k, v in peaks.items()))
    checksum = "SELECT COUNT(*), SUM(id), SUM(n), SUM(d), SUM(LENGTH(v)) FROM "
    assert tuple(map(int, lab.sql(checksum + "big")[0])) == tuple(map(int, lab.dest(checksum + f'"{lab.db}".big')[0]))
    capture.stop()
    apply.stop()
    assert lab.progress()["changes"] == ROWS + 10
    for name, v in peaks.items():
        assert v < LIMIT, f"{name} took {v / 2**20:.1f} MiB"
