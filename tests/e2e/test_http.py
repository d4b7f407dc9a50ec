"""The small HTTP endpoint of both daemons, and the operator's command."""
import json
import re
import urllib.error
import urllib.request

import pytest

from rt.util import free_port, wait_until

pytestmark = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")


def get(port, path, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=10) as r:
            return r.status, r.headers.get_content_type(), r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers.get_content_type(), e.read().decode()


def metrics(port):
    """{name{labels}: value}; every line must be well formed and every metric typed."""
    status, kind, text = get(port, "/metrics")
    assert status == 200 and kind == "text/plain"
    out, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif line and not line.startswith("#"):
            m = re.fullmatch(r'([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.e+-]+|NaN|\+Inf)', line)
            assert m, line
            name = re.sub(r"_(bucket|sum|count)$", "", m[1])
            assert m[1] in typed or name in typed, f"no TYPE for {m[1]}"
            out[m[1] + (m[2] or "")] = float(m[3])
    return out


def total(found, name):
    return sum(v for k, v in found.items() if k == name or k.startswith(name + "{"))


def test_endpoints(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", *[f"INSERT INTO t VALUES ({i})" for i in range(10)])
    ports = free_port(), free_port()
    capture = lab.capture("--http", f"127.0.0.1:{ports[0]}").start()
    capture.wait_event("streaming")
    apply = lab.apply("--create", "--http", f"127.0.0.1:{ports[1]}").start()
    lab.settle("t")
    for port in ports:
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/nothing")[0] == 404
        assert get(port, "/metrics", "POST")[0] == 405
        status, kind, text = get(port, "/api/v1/status")
        assert status == 200 and kind == "application/json" and isinstance(json.loads(text), dict)
        assert "Sekrit" not in text
        assert total(metrics(port), "rowtide_build_info") == 1
    found = metrics(ports[0])
    assert total(found, "rowtide_capture_connected") == 1
    assert total(found, "rowtide_capture_rows_total") == 10
    wait_until(lambda: total(metrics(ports[1]), "rowtide_apply_rows_total") == 10, "ten applied rows in the metrics")
    # A destination that is away makes apply unhealthy or at least says so; the endpoint itself keeps answering.
    capture.stop()
    apply.stop()
    with pytest.raises(OSError):
        get(ports[0], "/healthz")


def test_http_is_local_and_says_when_it_cannot_listen(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    lab.capture("--once").run()
    port = free_port()
    first = lab.capture("--http", f"127.0.0.1:{port}").start()
    first.wait_event("streaming")
    log = lab.capture("--http", f"127.0.0.1:{port}", "--once", slot=lab.dir / "other", name="second").run(code=None)
    assert str(port) in log and "level=error" in log
    first.stop()


def test_status(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    lab.sql("INSERT INTO t VALUES (3)")
    lab.capture("--once").run()
    out = json.loads(lab.tool.run("status", lab.slot, "--json").stdout)
    text = lab.tool.run("status", lab.slot).stdout
    assert "default" in text
    last = lab.tool.dump(lab.slot)[-1]["lsn"]
    assert str(last) in json.dumps(out) and "default" in json.dumps(out)


def test_doctor(lab):
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    out = lab.tool.run("doctor", "--source", lab.source.url(), "--tables", f"{lab.db}.*")
    assert "binlog_format" in out.stdout
    assert json.loads(lab.tool.run("doctor", "--source", lab.source.url(), "--json").stdout)
    lab.sql("SET GLOBAL binlog_row_metadata = MINIMAL")
    out = lab.tool.run("doctor", "--source", lab.source.url(), code=1)
    assert "binlog_row_metadata" in out.stdout and "SET " in out.stdout
    lab.tool.run("doctor", "--source", "mysql://u:p@127.0.0.1:1/", code=3)
    lab.tool.run("doctor", code=2)


def test_dump(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10))", "CREATE TABLE u (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1, 'a')",
            "INSERT INTO u VALUES (1)", "UPDATE t SET v = 'b'", "DELETE FROM t")
    lab.capture("--once").run()
    assert [r["op"] for r in lab.changes(table="t")] == ["insert", "update", "delete"]
    only = [r for r in lab.tool.dump(lab.slot, "--table", f"{lab.db}.u") if r.get("op") == "insert"]
    assert len(only) == 1
    lsn = lab.changes(table="u")[0]["lsn"]
    assert [r["lsn"] for r in lab.tool.dump(lab.slot, "--from", lsn, "--to", lsn) if "lsn" in r] == [lsn]
    text = lab.tool.run("segment", "dump", lab.slot).stdout
    assert f"{lab.db}.t" in text
    lab.tool.run("segment", "verify", lab.slot)
    lab.tool.run("segment", "dump", lab.dir / "nothing", code=None)


def test_slot_drop(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    lab.capture("--once").run()
    lab.apply("--create", "--once", "--name", "gone").run()
    assert "gone" in lab.tool.run("status", lab.slot).stdout
    lab.tool.run("slot", "drop", lab.slot, "--name", "gone")
    assert "gone" not in lab.tool.run("status", lab.slot).stdout
    lab.tool.run("slot", "drop", lab.slot, "--name", "gone", code=1)
