"""Transforms: what a script can do to a change, and what happens when it goes wrong (I7, I8)."""
import json

import pytest

from test_jsonl import lines

pytestmark = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")


def script(lab, text, name="t.lua"):
    path = lab.dir / name
    path.write_text(text)
    return str(path)


def fill(lab):
    lab.sql("CREATE TABLE users (id INT PRIMARY KEY, usr VARCHAR(20), email VARCHAR(40), password VARCHAR(20), status VARCHAR(10), big BIGINT UNSIGNED, "
            "price DECIMAL(20,5))",
            "CREATE TABLE audit (id INT PRIMARY KEY, what TEXT)",
            "INSERT INTO users VALUES (1, 'ann', 'Ann@X.org', 'secret', 'new', 18446744073709551615, 12345678901234.50000), "
            "(2, 'bob', NULL, 'secret', 'new', 9007199254740993, 0.1)",
            "INSERT INTO audit VALUES (1, 'x')", "UPDATE users SET status = 'old' WHERE id = 1", "UPDATE users SET usr = 'bobby' WHERE id = 2")
    lab.capture("--once").run()


def test_reshape(lab):
    fill(lab)
    lab.dest("CREATE SCHEMA crm", "CREATE TABLE crm.status_log (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int, status text)")
    lab.apply("--create", "--once", "--transform", script(lab, """
        function transform(c)
          if c.table == "audit" then return DROP end
          c.row.email = c.row.email and c.row.email:lower()
          if c:changed("status") then
            emit(c:clone { op = "insert" }:keep("id", "status"):rename { id = "user_id" }:to("crm.status_log"))
          end
          c:rename { usr = "login" }:remove("password"):to("crm.users")
        end
        """)).run()
    assert lab.dest("SELECT id, login, email, status, big::text, price::text FROM crm.users ORDER BY 1") == \
        [(1, "ann", "ann@x.org", "old", "18446744073709551615", "12345678901234.50000"), (2, "bobby", None, "new", "9007199254740993", "0.10000")]
    assert ("password",) not in lab.dest("SELECT column_name FROM information_schema.columns WHERE table_schema='crm' AND table_name='users'")
    assert lab.dest("SELECT to_regclass('crm.audit'), to_regclass('\"%s\".users')" % lab.db) == [(None, None)]
    assert (1, "old") in lab.dest("SELECT user_id, status FROM crm.status_log")


def test_shop_example(lab):
    """transforms/shop/shop.lua, as ./quickstart runs it."""
    from rt.util import REPO
    lab.sql("CREATE DATABASE IF NOT EXISTS shop")
    lab.sql("DROP DATABASE shop")
    lab.start_at = "gtid:" + lab.source.gtids()
    schema = (REPO / "transforms/shop/schema.sql").read_text()
    lab.source.sql(*[s for s in schema.split(";\n") if s.strip()])
    lab.source.sql("UPDATE orders SET status = 'paid' WHERE id = 1", "UPDATE customers SET last_name = 'King' WHERE id = 1",
                   "DELETE FROM orders WHERE id = 2", "ALTER TABLE customers ADD COLUMN points INT", "UPDATE customers SET points = 7 WHERE id = 1",
                   "INSERT INTO customers (first_name, last_name) VALUES ('No', 'Mail')", db="shop")
    lab.capture("--once", tables="shop.*").run()
    lab.dest(*[s for s in (REPO / "transforms/shop/destination.sql").read_text().split(";\n") if s.strip()])
    lab.apply("--create", "--evolve", "--once", "--transform", str(REPO / "transforms/shop/shop.lua")).run()
    assert lab.dest("SELECT person_id::int, full_name, email, email_domain, points FROM crm.people ORDER BY 1") == [
        (1, "Ada King", "a***@example.org", "example.org", 7), (2, "Grace Hopper", "g***@example.com", "example.com", None),
        (3, "No Mail", None, None, None)]
    assert lab.dest("SELECT order_id::int, person_id::int, total::text, status FROM crm.orders") == [(1, 1, "129.90", "paid")]
    assert lab.dest("SELECT order_id::int, status FROM crm.order_events ORDER BY event") == [(1, "new"), (2, "new"), (1, "paid")]
    assert lab.dest("SELECT count(*) FROM information_schema.tables WHERE table_name = 'audit'") == [(0,)]


def test_route_moves_with_the_row(lab):
    """An update that a script routes elsewhere leaves no row behind; one that it begins to drop is deleted."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, kind VARCHAR(10))", "INSERT INTO t VALUES (1,'a'), (2,'a'), (3,'hide'), (4,'b')",
            "UPDATE t SET kind='b' WHERE id=1", "UPDATE t SET kind='hide' WHERE id=2", "UPDATE t SET kind='a' WHERE id=3", "DELETE FROM t WHERE id=4")
    lab.capture("--once").run()
    lab.apply("--create", "--once", "--transform", script(lab, """
        route("%s.t", function(c)
          if c.row.kind == "hide" then return DROP end
          c:to("k." .. c.row.kind)
        end)
        """ % lab.db)).run()
    assert lab.dest("SELECT id FROM k.a ORDER BY 1") == [(3,)]
    assert lab.dest("SELECT id FROM k.b ORDER BY 1") == [(1,)]


FAILS = [
    ("error('no good')", ["no good"]),
    ("local x = c.row.emial", ["emial", "email"]),
    ("local x = nil + 1", ["t.lua:2"]),
    ("while true do end", ["t.lua:2"]),
    ("pcall(function() while true do end end) while true do end", ["t.lua:2"]),
    ("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end", ["memory"]),
    ("io.write('x')", ["io"]),
    ("os.execute('true')", ["os"]),
    ("load('return 1')()", ["load"]),
    ("c.row.id = {}", ["id"]),
]


@pytest.mark.parametrize("body, words", FAILS, ids=[str(i) for i in range(len(FAILS))])
def test_error_stops_the_subscription(lab, body, words):
    """The message names script:line, LSN, table and key; nothing of that transaction is applied; the position stays."""
    lab.sql("CREATE TABLE users (id INT PRIMARY KEY, email VARCHAR(40))", "INSERT INTO users VALUES (1, 'fine')",
            "BEGIN", "INSERT INTO users VALUES (2, 'fine')", "INSERT INTO users VALUES (33, 'x')", "COMMIT")
    lab.capture("--once").run()
    bad = script(lab, f"function transform(c) if c.row.id ~= 33 then return end\n{body} end\n")
    log = lab.apply("--create", "--once", "--transform", bad).run(code=1)
    for w in [*words, "users", "33"]:
        assert w in log, f"{w!r} is not in:\n{log}"
    lsn = next(r["lsn"] for r in lab.changes(table="users") if r.get("row", {}).get("id") == 33)
    assert str(lsn) in log
    assert lab.dest("SELECT to_regclass('\"%s\".users')" % lab.db)[0][0] is None or \
        lab.dest(f'SELECT id FROM "{lab.db}".users') in ([], [(1,)])
    lab.apply("--create", "--once", "--transform", script(lab, "function transform(c) end")).run()
    lab.assert_equal("users")
    lab.assert_counts()


def test_on_error(lab):
    lab.sql("CREATE TABLE users (id INT PRIMARY KEY, email VARCHAR(40))",
            "INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    lab.capture("--once").run()
    bad = script(lab, "function transform(c) if c.row.id == 2 then error('two') end end")
    lab.apply("--create", "--once", "--transform", bad, "--on-error", "dead_letter").run()
    assert lab.dest(f'SELECT id FROM "{lab.db}".users ORDER BY 1') == [(1,), (3,)]
    dead = lab.dest('SELECT op, "table", new, error FROM rowtide.dead_letter')
    assert len(dead) == 1 and dead[0][2]["id"] == 2 and "two" in dead[0][3]
    out = lab.dir / "o.jsonl"
    lab.apply("--once", "--transform", bad, "--on-error", "skip", "--name", "skipper", to=f"jsonl:{out}").run()
    assert [x["row"]["id"] for x in lines(out)] == [1, 3]


def test_script_does_not_load(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    lab.capture("--once").run()
    for text in ("this is not lua", "x.y.z = 1", "\x1bLua"):
        assert "t.lua" in lab.apply("--create", "--once", "--transform", script(lab, text)).run(code=(1, 2))
    assert "nothing.lua" in lab.apply("--once", "--transform", str(lab.dir / "nothing.lua")).run(code=(1, 2))


def test_script_run(lab):
    """`rowtide script run` prints what the script would emit, and touches nothing."""
    fill(lab)
    out = lab.tool.run("script", "run", script(lab, "function transform(c) if c.table == 'audit' then return DROP end c:to('crm.people') end"),
                       "--slot", lab.slot).stdout
    got = [x for x in map(json.loads, out.splitlines()) if x["op"] != "ddl"]
    assert [(x["op"], x["schema"], x["table"]) for x in got] == [(op, "crm", "people") for op in ("insert", "insert", "update", "update")]
    assert lab.tool.run("script", "run", script(lab, "function transform(c) error('boom') end"), "--slot", lab.slot, code=1).stderr
