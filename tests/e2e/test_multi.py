"""Several subscriptions of one slot in one process, from a configuration file: each its own script, destination and errors (I6)."""
import pytest

from rt.util import wait_until
from test_jsonl import lines

pytestmark = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mariadb1011")


def config(lab, *subscriptions):
    path = lab.dir / "apply.lua"
    path.write_text(f'slot = "{lab.slot}"\n' + "\n".join(subscriptions) + "\n")
    return lab.daemon("rowtide-apply", ["--config", str(path)], "apply")


def test_several_subscriptions(lab):
    lab.sql("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE b (id INT PRIMARY KEY, v VARCHAR(20))")
    (lab.dir / "only_b.lua").write_text("function transform(c)\n  if c.table == 'a' then return DROP end\n  c.row.v = c.row.v:upper()\nend\n")
    (lab.dir / "fails.lua").write_text("function transform(c)\n  if c.row.id == 3 then error('three is too many') end\nend\n")
    apply = config(lab,
                   f'subscription "everything" {{ to = "{lab.pg.url(lab.db)}", create = true }}',
                   'subscription "b_only" { to = "jsonl:b.jsonl", transform = "only_b.lua" }',
                   'subscription "fails" { to = "jsonl:fails.jsonl", transform = "fails.lua" }')
    capture = lab.capture().start()
    capture.wait_event("streaming")
    apply.start()
    for i in range(1, 6):
        lab.sql(f"INSERT INTO a VALUES ({i}, 'a')", f"INSERT INTO b VALUES ({i}, 'b')")
    wait_until(lambda: any("fails.lua:2: three is too many" in e["msg"] for e in apply.events("error")), "the script's error in the log")
    lab.sql("INSERT INTO b VALUES (10, 'late')")
    lab.settle("a", "b")
    wait_until(lambda: len(lines(lab.dir / "b.jsonl")) == 6, "the lines of b")
    assert [x["row"]["v"] for x in lines(lab.dir / "b.jsonl")] == ["B"] * 5 + ["LATE"]
    assert all(x["row"]["id"] <= 2 for x in lines(lab.dir / "fails.jsonl"))
    assert apply.running, "one failing subscription must not end the others"
    # One subscription has failed: the process says so when it ends.
    apply.stop(code=1)
    capture.stop()
    # The script is mended: it goes on where it stopped.
    (lab.dir / "fails.lua").write_text("function transform(c) end\n")
    apply.run("--once")
    assert len(lines(lab.dir / "fails.jsonl")) == 11
    assert lab.progress("everything")["changes"] == len(lab.changes())


def test_unreachable_destination_holds_up_nobody(lab):
    lab.sql("CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
    lab.capture("--once").run()
    apply = config(lab, f'subscription "good" {{ to = "{lab.pg.url(lab.db)}", create = true }}',
                   'subscription "nobody" { to = "postgresql://postgres@127.0.0.1:1/nothing" }').start()
    lab.settle("a")
    assert apply.running
    apply.stop(code=None)


@pytest.mark.parametrize("text, word", [
    ('subscription "x" { too = "jsonl:x" }', "too"),
    ('subscription "x" { to = 5 }', "to"),
    ('subscription "x" { to = "jsonl:x" }\nsubscription "x" { to = "jsonl:y" }', "x"),
    ('subscription "x" { to = "nonsense:x" }', "nonsense"),
    ('subscription "x" { to = env "ROWTIDE_NOT_SET" }', "ROWTIDE_NOT_SET"),
    ("os.exit(0)", "os"),
    ("while true do end", ""),
    ("this is not lua", "apply.lua:"),
])
def test_bad_configuration(lab, text, word):
    lab.sql("CREATE TABLE a (id INT PRIMARY KEY)")
    lab.capture("--once").run()
    assert word in config(lab, text).run("--once", code=2)
