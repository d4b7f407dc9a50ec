"""JSON Lines: one object a change, exact, and in a regular file neither repeated nor lost over kill -9."""
import base64
import json
import random
import time

import pytest

from rt import load

TWO = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")
POINTS = ["after_write:1", "after_write:3", "after_fsync:1", "after_fsync:3", "after_progress:1", "after_progress:3"]


def lines(path, ddl=False):
    """The changes of a file (with DDL: everything)."""
    text = path.read_text()
    assert text == "" or text.endswith("\n"), "the last line is torn"
    return [x for x in map(json.loads, text.splitlines()) if ddl or x["op"] != "ddl"]


def test_fields(lab):
    lab.sql("CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, n BIGINT, d DECIMAL(30,10), b VARBINARY(10), v VARCHAR(20), f DOUBLE, j JSON, "
            "ts TIMESTAMP(3) NULL, x INT)",
            "INSERT INTO t VALUES (18446744073709551615, -9223372036854775808, '12345678901234567890.0123456789', X'00ff10', 'ü\"\\n€', 0.1, "
            "'{\"a\": [1, null]}', '2024-05-06 07:08:09.123', NULL)",
            "UPDATE t SET v = 'new', x = 5", "DELETE FROM t")
    lab.capture("--once").run()
    out = lab.dir / "out.jsonl"
    lab.apply("--once", to=f"jsonl:{out}").run()
    ins, upd, dele = lines(out)
    assert '"n":-9223372036854775808' in out.read_text().replace(" ", "")
    assert {"lsn", "op", "schema", "table", "ts", "gtid", "row"} <= set(ins)
    assert (ins["op"], ins["schema"], ins["table"]) == ("insert", lab.db, "t")
    row = ins["row"]
    assert row["id"] == 18446744073709551615 and row["n"] == -9223372036854775808
    assert row["d"] == "12345678901234567890.0123456789"
    assert base64.b64decode(row["b"]) == b"\x00\xff\x10"
    assert row["v"] == 'ü"\n€' and row["f"] == 0.1 and row["x"] is None
    if lab.source.is_mysql:      # MariaDB keeps JSON as text
        assert row["j"] == {"a": [1, None]}
    assert upd["op"] == "update" and upd["row"]["v"] == "new" and upd["old"] == {"v": 'ü"\n€', "x": None}
    assert dele["op"] == "delete" and ins["lsn"] < upd["lsn"] < dele["lsn"]
    assert ins["gtid"] and ins["gtid"] != upd["gtid"]


@TWO
def test_stdout(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    lab.capture("--once").run()
    out = lab.dir / "stdout"
    lab.apply("--once", to="jsonl:-", stdout=out).run()
    assert [x["row"]["id"] for x in lines(out)] == [1, 2]


def fill(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))",
            *[f"INSERT INTO t VALUES ({i}, REPEAT('{chr(97 + i % 26)}', 150))" for i in range(200)],
            "UPDATE t SET v = CONCAT(v, 'x') WHERE id < 100", "DELETE FROM t WHERE id > 150")
    lab.capture("--once").run()


def assert_exact(lab, path):
    """The file holds the slot's changes, each once, in order."""
    want = [(r["lsn"], r["op"]) for r in lab.tool.dump(lab.slot) if r["op"] in ("insert", "update", "delete", "truncate", "ddl")]
    assert [(x["lsn"], x["op"]) for x in lines(path, ddl=True)] == want


@pytest.mark.combos("libmariadb-mysql97")
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(lab, point):
    fill(lab)
    out = lab.dir / "out.jsonl"
    lab.apply("--once", "--batch-rows", "20", to=f"jsonl:{out}", name="killed").run(code=-9, env={"ROWTIDE_FAULT": "jsonl." + point})
    lab.apply("--once", "--batch-rows", "20", to=f"jsonl:{out}").run()
    assert_exact(lab, out)


@TWO
def test_random_kills(lab):
    load.create_tables(lab)
    out = lab.dir / "out.jsonl"
    capture = lab.capture().start()
    capture.wait_event("streaming")
    apply = lab.apply(to=f"jsonl:{out}").start()
    rnd = random.Random(5)
    with load.Load(lab):
        for _ in range(8):
            time.sleep(rnd.uniform(0.1, 0.7))
            apply.kill9()
            apply.start()
    capture.stop()
    lab.capture("--once").run()
    apply.stop()
    lab.apply("--once", to=f"jsonl:{out}").run()
    assert_exact(lab, out)


@TWO
def test_file_of_another_slot(lab):
    """A file that was written from elsewhere, or changed behind our back, is refused."""
    fill(lab)
    out = lab.dir / "out.jsonl"
    lab.apply("--once", to=f"jsonl:{out}").run()
    text = out.read_text()
    out.write_text(text[: len(text) // 2])
    lab.apply("--once", to=f"jsonl:{out}", name="cut").run(code=1)
    out.write_text(text)
    lab.apply("--once", to=f"jsonl:{out}").run()
    assert_exact(lab, out)
