"""What goes wrong between rowtide-apply and its destination: answers that are lost, a destination that goes back in time, a
session that outlives its client, several destinations under one name."""
import json
import os
import random
import signal
import time

import psycopg2
import pytest

from rt.proxy import Proxy
from rt.util import wait_until
from test_jsonl import lines

pytestmark = pytest.mark.combos("libmariadb-mariadb1011")


@pytest.fixture
def proxy(lab):
    p = Proxy(lab.pg.port)
    p.url = f"postgresql://postgres@127.0.0.1:{p.port}/{lab.db}"
    yield p
    p.close()


def some_rows(lab, first, last):
    lab.sql(*[f"INSERT INTO t VALUES ({i}, 'v{i}')" for i in range(first, last + 1)])


def running(lab, url, *args):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    lab.capture("--once").run()
    lab.keep_everything()
    capture = lab.capture().start()
    capture.wait_event("streaming")
    apply = lab.apply("--create", *args, to=url).start()
    apply.wait_event("subscription_started")
    return capture, apply


def test_answer_to_commit_is_lost(lab, proxy):
    capture, apply = running(lab, proxy.url)
    some_rows(lab, 1, 5)
    lab.settle("t")
    proxy.swallow, proxy.after = True, b"COMMIT"
    some_rows(lab, 6, 6)
    wait_until(lambda: proxy.hits == 1, "a COMMIT")
    some_rows(lab, 7, 9)
    lab.settle("t")
    capture.stop()
    apply.stop()
    lab.assert_counts()
    status = json.loads(lab.tool.run("status", lab.slot, "--json").stdout)
    stopped = apply.log.read_text().splitlines()
    assert any("event=subscription_stopped" in x and "changes=9" in x for x in stopped), stopped[-3:] + [status]


def test_commit_fails_that_nobody_waited_for(lab):
    """A constraint that is checked at COMMIT refuses a batch when the next one is under way already: neither is there, the error is that of the
    first, and when the reason is gone everything comes, once."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, n INT)", *[f"INSERT INTO t VALUES ({i}, {i})" for i in range(1, 101)])
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    lab.dest(f'ALTER TABLE "{lab.db}".t ADD UNIQUE (n) DEFERRABLE INITIALLY DEFERRED')
    for i in range(8):
        lab.sql("BEGIN", f"DELETE FROM t WHERE id BETWEEN {i * 10 + 1} AND {i * 10 + 10}", *["INSERT INTO t VALUES (1000, 90)"] * (i == 3), "COMMIT")
    lab.capture("--once").run()
    apply = lab.apply("--once", "--batch-rows", "10")
    apply.run(code=1)
    assert apply.events("destination_went_back"), "no COMMIT was left under way"
    assert "at COMMIT: PostgreSQL says: duplicate key" in apply.events("error")[-1]["msg"]
    assert lab.dest(f'SELECT min(id), max(id), count(*) FROM "{lab.db}".t') == [(31, 100, 70)]
    lab.dest(f'ALTER TABLE "{lab.db}".t DROP CONSTRAINT t_n_key')
    lab.apply("--once", "--batch-rows", "10").run()
    lab.assert_equal("t")
    lab.assert_counts()


def test_session_outlives_its_client(lab, proxy):
    """The client loses its connection, the server does not notice and commits later: applied once, and not a conflict."""
    for table in ("t (id INT PRIMARY KEY, v VARCHAR(300))", "nokey (id INT, v VARCHAR(300))"):
        lab.sql(f"CREATE TABLE {table}")
    lab.capture("--once").run()
    lab.keep_everything()
    capture = lab.capture().start()
    capture.wait_event("streaming")
    apply = lab.apply("--create", to=proxy.url).start()
    lab.sql("INSERT INTO t VALUES (0, '')", "INSERT INTO nokey VALUES (0, '')")
    lab.settle("t", "nokey")
    for n, table in enumerate(("t", "nokey", "t"), 1):
        lock = psycopg2.connect(host=str(lab.pg.home), port=lab.pg.port, user="postgres", dbname=lab.db)
        lock.cursor().execute(f'LOCK TABLE "{lab.db}".{table} IN ACCESS EXCLUSIVE MODE')
        lab.sql(f"INSERT INTO {table} VALUES ({n}, 'once')")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        wait_until(lambda: lab.dest(waiting)[0][0] == 1, "the applier to wait")
        proxy.cut(keep_server=True)
        wait_until(lambda: lab.dest(waiting)[0][0] == 2, "the applier to wait again")
        lock.close()
        lab.settle("t", "nokey")
        assert apply.running
    some_rows(lab, 50, 52)
    lab.settle("t", "nokey")
    capture.stop()
    apply.stop()
    lab.assert_counts()


def test_destination_goes_back_in_time(lab, proxy):
    """A failover to a standby that lacks the last commits: what it lacks is applied again."""
    capture, apply = running(lab, proxy.url)
    some_rows(lab, 1, 5)
    lab.settle("t")
    lab.dest("CREATE TABLE public.saved AS SELECT * FROM rowtide.progress")
    some_rows(lab, 6, 10)
    lab.settle("t")
    proxy.refuse = True
    proxy.cut()
    lab.dest(f'DELETE FROM "{lab.db}".t WHERE id > 5', "DELETE FROM rowtide.progress WHERE subscription = 'default'",
             "INSERT INTO rowtide.progress SELECT * FROM public.saved WHERE subscription = 'default'")
    some_rows(lab, 11, 11)
    apply.wait_event("retrying")
    proxy.refuse = False
    lab.settle("t")
    capture.stop()
    apply.stop()
    lab.assert_counts()


def test_login_is_gone_after_a_lost_connection(lab):
    """A reconnection that can never work ends the subscription with an error, not with a crash."""
    role = f"role_{lab.db}"
    lab.pg.sql(f"CREATE ROLE {role} SUPERUSER LOGIN")
    capture, apply = running(lab, lab.pg.url(lab.db).replace("postgres@", role + "@"))
    some_rows(lab, 1, 3)
    lab.settle("t")
    lab.pg.sql(f"ALTER ROLE {role} RENAME TO {role}_gone",
               f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}_gone' OR usename = '{role}'")
    some_rows(lab, 4, 4)
    log = apply.wait(code=(1, 2, 3))
    assert "does not exist" in log
    capture.stop()


def test_connection_lost_again_after_a_restart_of_the_stages(lab, proxy):
    """One large transaction loses its connection between two pieces, and the next connection does not live long either."""
    capture, apply = running(lab, proxy.url, "--batch-rows", "20")
    some_rows(lab, 1, 3)
    lab.settle("t")
    blocked = psycopg2.connect(host=str(lab.pg.home), port=lab.pg.port, user="postgres", dbname=lab.db)
    blocked.cursor().execute(f"INSERT INTO \"{lab.db}\".t VALUES (150, 'in the way')")
    many = ",".join(f"({i}, '{'x' * 250}')" for i in range(100, 400))
    lab.sql(f"INSERT INTO t VALUES {many}")
    wait_until(lambda: lab.dest("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] == 1, "the applier to wait")
    proxy.after = b"script_hash FROM rowtide.progress"
    proxy.cut()
    wait_until(lambda: proxy.hits == 1, "the first reconnection")
    blocked.rollback()
    lab.settle("t")
    capture.stop()
    apply.stop()
    lab.assert_counts()


def test_large_transaction_refused_in_a_later_piece(lab):
    """The row at fault is found, skipped and counted; nothing of the transaction is lost or doubled."""
    capture, apply = running(lab, lab.pg.url(lab.db), "--batch-rows", "20", "--on-error", "skip")
    some_rows(lab, 1, 3)
    lab.settle("t")
    lab.dest(f"ALTER TABLE \"{lab.db}\".t ADD CHECK (v <> 'bad')")
    many = ",".join(f"({i}, '{'bad' if i in (185, 301) else 'x' * 200}')" for i in range(100, 400))
    lab.sql("BEGIN", "UPDATE t SET v = 'before' WHERE id = 1", f"INSERT INTO t VALUES {many}", "UPDATE t SET v = 'after' WHERE id = 2", "COMMIT")
    some_rows(lab, 1000, 1001)
    wait_until(lambda: lab.dest(f'SELECT count(*) FROM "{lab.db}".t') == [(303,)], "the rows")
    capture.stop()
    apply.stop()
    assert lab.dest(f'SELECT v FROM "{lab.db}".t WHERE id < 3 ORDER BY id') == [("before",), ("after",)]
    assert len({e["lsn"] for e in apply.events("row_skipped")}) == 2
    assert len(apply.events("row_by_row")) == 1, "the whole transaction goes row by row, not from its start again for each row at fault"
    lab.assert_counts()


def test_deadlocks(lab):
    """Another session that takes the same rows in the other order."""
    capture, apply = running(lab, lab.pg.url(lab.db))
    some_rows(lab, 1, 2)
    lab.settle("t")
    for n in range(3):
        other = psycopg2.connect(host=str(lab.pg.home), port=lab.pg.port, user="postgres", dbname=lab.db)
        cur = other.cursor()
        cur.execute("SET deadlock_timeout = '20s'")
        cur.execute(f'SELECT 1 FROM "{lab.db}".t WHERE id = 2 FOR UPDATE')
        lab.sql("BEGIN", f"UPDATE t SET v = 'n{n}' WHERE id = 1", f"INSERT INTO t VALUES ({10 + n}, '')", f"UPDATE t SET v = 'n{n}' WHERE id = 2", "COMMIT")
        wait_until(lambda: lab.dest("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] == 1, "the applier to wait")
        cur.execute(f'SELECT 1 FROM "{lab.db}".t WHERE id = 1 FOR UPDATE')
        other.rollback()
        other.close()
    lab.settle("t")
    assert apply.events("retrying")
    capture.stop()
    apply.stop()
    lab.assert_counts()


def test_one_name_for_two_destinations(lab):
    """Retention goes by the name: a second destination under it would have its segments removed by the first one's progress."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    some_rows(lab, 1, 5)
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    out = lab.dir / "out.jsonl"
    for to in (f"jsonl:{out}", "jsonl:-"):
        log = lab.apply("--once", to=to, name="other").run(code=2)
        assert "--name" in log and "default" in log, log
    lab.apply("--once", "--name", "lines", to=f"jsonl:{out}", name="other").run()
    assert len(lines(out)) == 5
    lab.apply("--create", "--once").run()


def test_dropped_while_running(lab):
    """rowtide slot drop ends a registration for good."""
    capture, apply = running(lab, lab.pg.url(lab.db))
    some_rows(lab, 1, 2)
    lab.settle("t")
    lab.tool.run("slot", "drop", lab.slot, "--name", "default")
    some_rows(lab, 3, 5)
    log = apply.wait(code=1)
    assert "drop" in log
    assert not (lab.slot / "default.sub").exists()
    capture.stop()


def test_dead_letters_need_tables(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    lab.capture("--once").run()
    for to in (f"jsonl:{lab.dir / 'out.jsonl'}", "jsonl:-"):
        log = lab.apply("--once", "--on-error", "dead_letter", to=to).run(code=2)
        assert "dead" in log


def test_file_ends_at_its_progress_after_an_error(lab):
    """A script that fails inside a large transaction: its first pieces are taken back out of the file."""
    script = lab.dir / "s.lua"
    script.write_text("function transform(c) if c.row.id == 390 then error('no') end end\n")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    some_rows(lab, 1, 3)
    many = ",".join(f"({i}, '{'x' * 250}')" for i in range(100, 400))
    lab.sql(f"INSERT INTO t VALUES {many}")
    lab.capture("--once").run()
    out = lab.dir / "out.jsonl"
    lab.apply("--once", "--batch-rows", "20", "--transform", script, to=f"jsonl:{out}").run(code=1)
    assert len(lines(out)) == 3


@pytest.mark.parametrize("to", ["password=sekrit host=127.0.0.1:5", "mysql://u:sekrit@h/d", "user:sekrit@h", "postgresql://u:sekrit@127.0.0.1:1/d",
                                "postgresql://127.0.0.1:1/d?user=u&password=sekrit", "postgresql://u:sekrit@[::1/d", "postgresql://u:sek%zrit@h/d",
                                "postgresql://127.0.0.1:1/d?password=sekrit&nonsense=1"])
def test_no_password_in_messages(lab, to):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)")
    lab.capture("--once").run()
    for args in (("--to", to), (f"--to={to}",)):
        d = lab.daemon("rowtide-apply", ["--slot", str(lab.slot), "--once", *args], "secret")
        log = d.run(code=(2, 3))
        assert "sekrit" not in log and "sek%" not in log, log


def test_stops_while_a_pipe_is_stuck(lab):
    """Nobody reads: SIGTERM still ends it, and what was not taken comes again."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    lab.sql("INSERT INTO t VALUES " + ",".join(f"({i}, '{'x' * 250}')" for i in range(2000)))
    lab.capture("--once").run()
    fifo = lab.dir / "pipe"
    os.mkfifo(fifo)
    apply = lab.apply(to=f"jsonl:{fifo}").start()
    time.sleep(0.5)
    apply.process.send_signal(signal.SIGTERM)
    apply.wait(code=None, timeout=10)
    apply = lab.apply(to=f"jsonl:{fifo}").start()
    end = os.open(fifo, os.O_RDONLY)
    os.read(end, 100)
    time.sleep(0.5)
    apply.process.send_signal(signal.SIGTERM)
    apply.wait(code=None, timeout=10)
    os.close(end)


def test_status_while_it_falls_behind(lab):
    """A destination that is slower than the source: records behind are counted up to what the slot holds now."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    some_rows(lab, 1, 3)
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    lab.dest("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.02); RETURN NEW; END'",
             f'CREATE TRIGGER slow BEFORE INSERT ON "{lab.db}".t FOR EACH ROW EXECUTE FUNCTION public.slow()')
    capture = lab.capture("--frame-size", "4KiB").start()
    capture.wait_event("streaming")
    apply = lab.apply("--http", "127.0.0.1:0", "--batch-rows", "5").start()
    port = apply.wait_event("http_listening")["port"]
    for n in range(8):
        lab.sql("INSERT INTO t VALUES " + ",".join(f"({i}, '{os.urandom(100).hex()}')" for i in range(100 + n * 50, 150 + n * 50)))

    def behind():
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/status") as r:
            return json.load(r)["subscriptions"][0]
    end = json.loads(lab.tool.run("status", lab.slot, "--json").stdout)
    seen = []
    while True:
        s = behind()
        seen.append((s["confirmed_lsn"], s["flushed_lsn"], s["behind_records"], s["lag_seconds"]))
        if lab.dest(f'SELECT count(*) FROM "{lab.db}".t')[0][0] == 403:
            break
        time.sleep(0.3)
    last = max(x[1] for x in seen)
    wrong = [x for x in seen[4:-2] if x[1] != last]
    assert not wrong, (wrong, end)
    capture.stop()
    apply.stop()


@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
@pytest.mark.parametrize("rows", [3, 5000])
def test_order_inside_batches(lab, image, rows):
    """Keys that move onto one another, unique values that are swapped, keys that differ by case or trailing blanks only, rows without
    a key that are equal: many transactions merged into one batch, and one transaction cut into many."""
    rnd = random.Random(f"{image}{rows}")
    lab.sql("CREATE TABLE moves (id INT PRIMARY KEY, v INT, w VARCHAR(10))",
            "CREATE TABLE uniq (id INT PRIMARY KEY, u INT UNIQUE, v INT)",
            "CREATE TABLE words (k VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, n DECIMAL(8,3), v INT, PRIMARY KEY (k, n))",
            "CREATE TABLE bag (a INT, b VARCHAR(5), c DOUBLE)",
            "CREATE TABLE parent (id INT PRIMARY KEY)",
            "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id))")
    tables = ("moves", "uniq", "words", "bag", "parent", "child")
    lab.sql(*[f"INSERT INTO {t} VALUES {v}" for t, v in (("moves", "(0,0,'')"), ("uniq", "(0,0,0)"), ("words", "('',0,0)"), ("bag", "(0,'',0)"),
                                                       ("parent", "(0)"), ("child", "(0,0)"))])
    lab.capture("--once").run()
    lab.apply("--once", "--create").run()
    lab.dest(f'ALTER TABLE "{lab.db}".uniq ADD UNIQUE (u)',
             f'ALTER TABLE "{lab.db}".child ADD FOREIGN KEY (p) REFERENCES "{lab.db}".parent (id)')
    word = ["a", "A", "b", "B ", "c", "C", "ab"]

    def one():
        i, j, k = (rnd.randrange(12) for _ in range(3))
        return rnd.choice([
            f"INSERT IGNORE INTO moves VALUES ({i}, {j}, 'x{k}')", f"DELETE FROM moves WHERE id = {i}", f"UPDATE moves SET v = v + 1 WHERE id = {i}",
            f"UPDATE moves SET w = 'y{j}' WHERE id IN ({i}, {k})", f"UPDATE IGNORE moves SET id = {j} WHERE id = {i}",
            "UPDATE IGNORE moves SET id = id + 1 ORDER BY id DESC", "UPDATE IGNORE moves SET id = id - 1 WHERE id > -5 ORDER BY id",
            f"INSERT IGNORE INTO uniq VALUES ({i}, {j}, {k})", f"UPDATE IGNORE uniq SET u = {j} WHERE id = {i}", f"UPDATE uniq SET v = v + 1 WHERE id < {i}",
            f"DELETE FROM uniq WHERE u = {i}", "UPDATE IGNORE uniq SET u = -u", "UPDATE uniq SET u = NULL WHERE id = 3",
            f"INSERT IGNORE INTO words VALUES ('{word[i % 7]}', {j / 2}, {k})", f"UPDATE IGNORE words SET k = '{word[j % 7]}' WHERE k = '{word[i % 7]}'",
            f"UPDATE IGNORE words SET n = n + 0.500 WHERE n < {i}", f"DELETE FROM words WHERE n = {i / 2}", "UPDATE IGNORE words SET k = UPPER(k)", "UPDATE words SET v = v + 1",
            f"INSERT INTO bag VALUES ({i}, '{word[j % 7]}', {k / 3}), ({i}, NULL, NULL)", f"UPDATE bag SET b = '{word[i % 7]}' WHERE a = {j} LIMIT 2",
            f"DELETE FROM bag WHERE a = {i} LIMIT 1", "UPDATE bag SET c = NULL WHERE a = 3", "UPDATE bag SET a = NULL WHERE a = 4",
            f"INSERT IGNORE INTO parent VALUES ({i})", f"INSERT IGNORE INTO child VALUES ({i}, {j})", f"UPDATE IGNORE child SET p = {j} WHERE id = {i}",
            f"DELETE FROM child WHERE p = {i}", f"DELETE IGNORE FROM parent WHERE id = {i}", "DELETE FROM moves WHERE id IN (1, 2)",
            "TRUNCATE TABLE words" if rnd.random() < 0.1 else "DELETE FROM words WHERE v > 5"])
    for _ in range(6):
        statements = [f"SET SESSION binlog_row_image='{image}'"]
        while len(statements) < 250:
            statements += ["BEGIN", *[x for x in (one() for _ in range(rnd.choice((1, 1, 3, 20)))) if "TRUNCATE" not in x], "COMMIT"] \
                if rnd.random() < 0.9 else [one()]
        lab.sql(*statements)
        lab.capture("--once").run()
        apply = lab.apply("--once", "--batch-rows", str(rows))
        apply.run()
        lab.assert_equal(*tables)
        assert not apply.events("retrying") and not apply.events("row_by_row")


def test_ddl_between_rows(lab):
    """Rows, a statement that makes a table and fills it, a new column, and rows again, all in one batch's reach."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    some_rows(lab, 1, 20)
    lab.sql("CREATE TABLE made AS SELECT id, v FROM t WHERE id < 15", "UPDATE t SET v = 'x' WHERE id < 5", "ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 7",
            "UPDATE t SET n = id WHERE id > 15", "TRUNCATE TABLE made", "INSERT INTO made SELECT id, v FROM t", "ALTER TABLE t ADD COLUMN m VARCHAR(5)",
            "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 'again', 1, 'm')")
    lab.capture("--once").run()
    lab.apply("--create", "--evolve", "--once", "--batch-rows", "5").run(code=-9, env={"ROWTIDE_FAULT": "apply.before_commit:4"})
    lab.apply("--create", "--evolve", "--once").run()
    lab.assert_equal("t", "made")
    lab.assert_counts()


def test_huge_values(lab):
    """Rows of tens of megabytes pass, and do not stay in memory."""
    lab.sql("CREATE TABLE big (id INT PRIMARY KEY, b LONGBLOB, v LONGTEXT)")
    for i in range(4):
        lab.sql(f"INSERT INTO big VALUES ({i}, REPEAT('{i}', 30000000), REPEAT('x', 20000000))")
    lab.sql("UPDATE big SET v = CONCAT(v, 'y')", "DELETE FROM big WHERE id = 0")
    lab.capture("--once").run()
    lab.apply("--create", "--once").run()
    assert lab.dest(f'SELECT id, length(b), length(v) FROM "{lab.db}".big ORDER BY id') == [(i, 30000000, 20000001) for i in (1, 2, 3)]
    lab.assert_counts()


def test_ddl_answer_that_commits(lab):
    """Progress and the statement's effects belong together: an answer that ends the transaction is an error."""
    script = lab.dir / "s.lua"
    script.write_text("function ddl(e) if e.kind == 'alter_table' then return 'CREATE TABLE public.one (a int); COMMIT' end end\n")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "ALTER TABLE t ADD COLUMN v INT")
    lab.capture("--once").run()
    log = lab.apply("--create", "--once", "--transform", script).run(code=2)
    assert "ended the transaction" in log


def test_stops_while_the_destination_is_down(lab, proxy):
    """With full queues behind it."""
    capture, apply = running(lab, proxy.url, "--batch-rows", "10")
    some_rows(lab, 1, 3)
    lab.settle("t")
    proxy.refuse = True
    proxy.cut()
    lab.sql("INSERT INTO t VALUES " + ",".join(f"({i}, '{'x' * 250}')" for i in range(100, 3000)))
    some_rows(lab, 5000, 5050)
    apply.wait_event("retrying")
    time.sleep(0.5)
    apply.process.send_signal(signal.SIGTERM)
    apply.wait(code=0, timeout=10)
    proxy.refuse = False
    apply.start()
    lab.settle("t")
    apply.stop()
    capture.stop()
    lab.assert_counts()


def test_script_fails_behind_a_slow_destination(lab):
    """What came before the failing change is applied, then it stops, although the queues were full; mended, it goes on there."""
    script = lab.dir / "s.lua"
    script.write_text("function transform(c) if c.row.id == 350 then error('no') end end\n")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    some_rows(lab, 1, 1)
    lab.capture("--once").run()
    lab.apply("--once", "--create", "--transform", script).run()
    lab.dest("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.005); RETURN NEW; END'",
             f'CREATE TRIGGER slow BEFORE INSERT ON "{lab.db}".t FOR EACH ROW EXECUTE FUNCTION public.slow()')
    some_rows(lab, 2, 400)
    lab.capture("--once", "--frame-size", "4KiB").run()
    lab.apply("--batch-rows", "5", "--transform", script).run(code=1)
    assert lab.dest(f'SELECT count(*), max(id) FROM "{lab.db}".t') == [(349, 349)]
    lab.apply("--once").run()
    lab.assert_equal("t")
    lab.assert_counts()
