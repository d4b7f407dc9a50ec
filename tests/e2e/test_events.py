"""Every event that the servers write, from real servers: what the slot holds equals what the source holds, whatever lies between.

SHOW BINLOG EVENTS proves that an event was there. Values and types are other tests' business: rows here are an id and a text."""
import base64
import contextlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
import zlib
from pathlib import Path

import pymysql
import pytest

from rt.fidelity import witnessed
from rt.sources import CDC_PASSWORD, CDC_USER
from rt.util import REPO, SID, free_port, give, wait_until

MARIADB = pytest.mark.combos("libmariadb-mariadb1011")
BOTH_MARIADB = pytest.mark.combos("libmariadb-mariadb1011", "libmariadb-mariadb118")
MYSQL = pytest.mark.combos("libmariadb-mysql97")
BOTH_CLIENTS = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mysql97")
BOTH_SERVERS = pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb1011")


def replayed(lab, table):
    """{id: row} as the slot's changes leave it; an update brings at least what it changed."""
    rows = {}
    for r in lab.tool.records(lab.slot):
        if r.get("table") != table:
            continue
        old, new = r.get("old", {}), r.get("row", {})
        if r["op"] in ("update", "delete"):
            key = old.get("id", new.get("id"))
            before = rows.pop(key)
            if r["op"] == "update":
                rows[new.get("id", key)] = {**before, **new}
        elif r["op"] == "insert":
            assert new["id"] not in rows
            rows[new["id"]] = new
    return rows


def assert_same(lab, table="t", column="v"):
    got = {k: r[column] for k, r in replayed(lab, table).items()}
    want = dict(lab.sql(f"SELECT id, {column} FROM {table}"))
    differ = sorted(k for k in want.keys() | got.keys() if want.get(k, "none") != got.get(k, "none"))
    assert not differ, [(k, str(want.get(k, "none"))[:80], str(got.get(k, "none"))[:80]) for k in differ[:5]]
    assert want


def caught_up(lab, capture, number=iter(range(10**6, 10**9))):
    """The source goes on only when the running capture has all that was written so far."""
    n = next(number)
    lab.sql("SET SESSION binlog_format = 'ROW'", f"INSERT INTO marker VALUES ({n})")
    wait_until(lambda: n in {r["row"]["id"] for r in lab.changes(table="marker", op="insert")} or not capture.running, "the marker")
    assert capture.running, capture.text()[-3000:]


def prepare(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT, b LONGTEXT, at TIMESTAMP(3) NULL)", "CREATE TABLE marker (id INT PRIMARY KEY)",
            f"CREATE DATABASE {lab.db}_other", f"CREATE TABLE {lab.db}_other.o (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT)")


def prepare_and_capture(lab):
    """A capture that streams, its HTTP port, and a connection to the source with a cursor."""
    prepare(lab)
    port = free_port()
    c = lab.capture("--heartbeat", "1s", "--http", f"127.0.0.1:{port}").start()
    c.wait_event("streaming")
    db = lab.source.connect(lab.db)
    return c, port, db, db.cursor()


def change(cursor, first, *, more=""):
    cursor.execute(f"INSERT INTO t (id, v, b, at) VALUES ({first}, 'a', REPEAT('b', 300), '2024-05-06 07:08:09.123'), ({first + 1}, 'é{more}', NULL, NULL), ({first + 2}, 'x', 'y', NULL)")
    cursor.execute(f"UPDATE t SET v = CONCAT(v, '{first}') WHERE id >= {first}")
    cursor.execute(f"DELETE FROM t WHERE id = {first + 2}")


def statements_elsewhere(lab, cursor):
    """Statement format, in a schema that is not captured: INTVAR, RAND, USER_VAR, LOAD DATA."""
    data = lab.dir / "load.csv"
    data.write_text("1000,loaded\n")
    lab.dir.chmod(0o755)
    for s in ("SET SESSION binlog_format = 'STATEMENT'", f"USE {lab.db}_other", "INSERT INTO o (v) VALUES ('auto')", "SET @u = 'user'",
              "INSERT INTO o (v) VALUES (@u)", "INSERT INTO o (v) VALUES (RAND())", f"LOAD DATA INFILE '{data}' INTO TABLE o FIELDS TERMINATED BY ','",
              "DELETE FROM o WHERE id = LAST_INSERT_ID()", f"USE {lab.db}", "SET SESSION binlog_format = 'ROW'"):
        cursor.execute(s)


def session_changes(lab, cursor, first, images=("MINIMAL", "NOBLOB", "FULL")):
    """What a session may set for itself, while capture runs."""
    n = first
    for name, values in (("binlog_row_image", images), ("time_zone", ("'+05:30'", "'+00:00'")), ("sql_mode", ("'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", "''")),
                         ("character_set_client", ("latin1", "utf8mb4"))):
        for value in values:
            cursor.execute(f"SET SESSION {name} = {value}")
            change(cursor, n)
            n += 10
    return n


def checksum_changes(cursor, first):
    """Each begins a file."""
    for checksum in ("NONE", "CRC32"):
        cursor.execute(f"SET GLOBAL binlog_checksum = {checksum}")
        change(cursor, first)
        first += 10
    return first


def goes_on_after_a_restart(lab, capture, connection):
    caught_up(lab, capture)
    connection.close()
    lab.source.restart()
    caught_up(lab, capture)
    assert_same(lab)


@MYSQL
def test_every_event_of_mysql(lab):
    """In one running capture: GTIDs with and without tags, compressed transactions, comments, statements elsewhere, session settings,
    checksums switched off and on, encrypted files, rotations, a restart of the server."""
    lab.own_source(prepare=add_keyring)
    c, port, db, cur = prepare_and_capture(lab)
    cur.execute("SET SESSION binlog_rows_query_log_events = ON")
    change(cur, 10)
    cur.execute("SET SESSION gtid_next = 'AUTOMATIC:tagged'")
    change(cur, 20)
    cur.execute("SET SESSION gtid_next = 'AUTOMATIC'")
    for i, setting in enumerate(("ON", "OFF", "ON")):
        cur.execute(f"SET SESSION binlog_transaction_compression = {setting}")
        change(cur, 30 + 10 * i, more="z" * 5000)
    statements_elsewhere(lab, cur)
    n = session_changes(lab, cur, 100)
    cur.execute("SET SESSION binlog_transaction_compression = OFF")
    n = checksum_changes(cur, n)
    cur.execute("SET GLOBAL binlog_encryption = ON")
    change(cur, n)
    cur.execute("FLUSH BINARY LOGS")
    change(cur, n + 10)
    goes_on_after_a_restart(lab, c, db)
    assert [r["row"]["at"] for r in lab.changes(table="t", op="insert") if r["row"]["id"] == 130] == ["2024-05-06T01:38:09.123Z"], "the time zone"
    witnessed(lab, "exact", "FORMAT_DESCRIPTION", "ROTATE", "STOP", "PREVIOUS_GTIDS", "GTID", "GTID_TAGGED", "QUERY", "ROWS_QUERY", "TABLE_MAP",
              "WRITE, UPDATE, DELETE_ROWS version 2", "XID", "TRANSACTION_PAYLOAD", "INTVAR, RAND, USER_VAR", "BEGIN_LOAD_QUERY, EXECUTE_LOAD_QUERY")
    assert {r[2] for r in lab.source.sql("SHOW BINARY LOGS")} == {"Yes", "No"}
    assert_hears_heartbeats(c, port)
    witnessed(lab, "exact", "HEARTBEAT")
    assert_ends_well(lab, c)


@pytest.mark.combos("libmariadb-mysql56")
def test_every_event_of_mysql56(lab):
    """In one running capture, with a schema history: comments, statements elsewhere, session settings, checksums switched off and
    on, rotations, a restart of the server."""
    lab.own_source()
    once, *history = options = lab.begin_history()
    prepare(lab)
    port = free_port()
    c = lab.capture("--heartbeat", "1s", "--http", f"127.0.0.1:{port}", *history).start()
    c.wait_event("streaming")
    db = lab.source.connect(lab.db)
    cur = db.cursor()
    cur.execute("SET SESSION binlog_rows_query_log_events = ON")
    statements_elsewhere(lab, cur)
    n = session_changes(lab, cur, 100)
    n = checksum_changes(cur, n)
    cur.execute("FLUSH BINARY LOGS")
    change(cur, n)
    goes_on_after_a_restart(lab, c, db)
    witnessed(lab, "exact", "ROTATE", "STOP", "ROWS_QUERY", "INTVAR, RAND, USER_VAR", "BEGIN_LOAD_QUERY, EXECUTE_LOAD_QUERY")
    assert_hears_heartbeats(c, port)
    witnessed(lab, "exact", "HEARTBEAT")
    assert_ends_well(lab, c, options)


@MYSQL
def test_group_replication(lab):
    """A group of two: what members write, and capture that goes on from the other one when the primary leaves."""
    def member(**more):
        port = free_port()
        return {"plugin_dir": "/usr/lib/mysql/plugin", "plugin_load_add": "group_replication.so", "performance_schema": "ON", "report_host": "127.0.0.1",
                "loose_group_replication_group_name": "aaaaaaaa-0000-4000-8000-000000000001", "loose_group_replication_start_on_boot": "OFF",
                "loose_group_replication_local_address": f"127.0.0.1:{port}", "loose_group_replication_group_seeds": f"127.0.0.1:{more.get('seed', port)}",
                "loose_group_replication_ip_allowlist": "127.0.0.1/8", "loose_group_replication_recovery_get_public_key": "ON"}, port

    def is_primary(server):
        return server.sql("SELECT member_state, member_role FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid") == (("ONLINE", "PRIMARY"),)
    options, port = member()
    first = lab.own_source(**options)
    lab.sql("SET GLOBAL group_replication_bootstrap_group = ON", "START GROUP_REPLICATION", "SET GLOBAL group_replication_bootstrap_group = OFF")
    wait_until(lambda: is_primary(first), "the first member")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, 'alone')")
    lab.capture("--once").run()
    second = lab.world.new_source(lab.kind, **member(seed=port)[0])
    lab.own.insert(0, second)       # stopped first
    second.sql(f"START GROUP_REPLICATION USER = '{CDC_USER}', PASSWORD = '{CDC_PASSWORD}'")
    lab.sql("INSERT INTO t VALUES (2, 'two members')")
    wait_until(lambda: second.sql(f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{lab.db}'")[0][0]
               and second.sql(f"SELECT COUNT(*) FROM {lab.db}.t")[0][0] == 2, "the second member to have the rows")
    lab.capture("--once", url=second.url()).run()
    first.sql("STOP GROUP_REPLICATION")
    wait_until(lambda: is_primary(second), "the second member to be primary")
    second.sql(f"INSERT INTO {lab.db}.t VALUES (3, 'the other one')")
    lab.capture("--once", url=second.url()).run()
    assert {k: r["v"] for k, r in replayed(lab, "t").items()} == dict(second.sql(f"SELECT id, v FROM {lab.db}.t"))
    assert len({r["gtid"].rsplit(":")[0] for r in lab.tool.records(lab.slot) if r["op"] == "begin" and r.get("gtid")}) == 1
    lab.tool.run("segment", "verify", lab.slot)
    witnessed(lab, "not written", "VIEW_CHANGE, TRANSACTION_CONTEXT", servers=(first, second))
    first.kill9()       # an orderly end takes a member many seconds
    second.kill9()


def assert_ends_well(lab, capture, options=("--once",)):
    capture.stop()
    lab.capture(*options).run()
    lab.tool.run("segment", "verify", lab.slot)
    capture.start()
    caught_up(lab, capture)         # it streams, not only asked to
    lab.source.reset_binlog()
    lab.sql("INSERT INTO marker VALUES (1)")
    assert "the source was reset" in capture.wait(code=1)


def assert_hears_heartbeats(capture, port):
    """Nothing else comes now, and the connection stays."""
    def events():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as r:
            return int(re.search(rb"^rowtide_capture_events_total (\d+)", r.read(), re.M)[1])
    before, connections = events(), len(capture.events("streaming"))
    wait_until(lambda: events() >= before + 2, "two heartbeats")
    assert len(capture.events("streaming")) == connections


def add_keyring(server):
    """For binlog_encryption. A keyring is configured beside the program and beside the plugins, so both get a place of their own."""
    where, keys = server.home / "bin", server.home / "keys"
    where.mkdir()
    keys.mkdir()
    give(keys)
    root = subprocess.run([str(SID), "path"], capture_output=True, text=True, check=True).stdout.strip()
    for plugin in ("component_keyring_file.so", "component_reference_cache.so"):
        shutil.copy(f"{root}/usr/lib/mysql/plugin/{plugin}", where)
    (where / "mysqld").symlink_to("/usr/sbin/mysqld")
    (where / "mysqld.my").write_text(json.dumps({"components": "file://component_keyring_file"}))
    (where / "component_keyring_file.cnf").write_text(json.dumps({"path": str(keys / "ring"), "read_only": False}))
    server.command = lambda: [str(SID), "run", str(where / "mysqld"), "--no-defaults", "--basedir=/usr", f"--plugin-dir={where}"]


def add_key_file(server):
    """For encrypt_binlog."""
    where, keys = server.home / "plugins", server.home / "keys"
    keys.write_text("1;" + "0123456789abcdef" * 4 + "\n")
    give(keys)
    if server.kind == "mariadb1011":       # the other has it in its place
        script = str(REPO / "tests/tools/mariadb-plugins.sh")
        subprocess.run([script, "ensure"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        shutil.copytree(subprocess.run([script, "path"], capture_output=True, text=True, check=True).stdout.strip(), where)
        server.options["plugin-dir"] = where
    server.options.update({"plugin-load-add": "file_key_management", "file-key-management-filename": keys})


@BOTH_MARIADB
def test_every_event_of_mariadb(lab):
    """In one running capture: compressed statements and rows, several domains, statements elsewhere, session settings, checksums
    switched off and on, rotations, a restart of the server with encrypted files."""
    lab.own_source(prepare=add_key_file, log_bin_compress="ON", log_bin_compress_min_len="10", gtid_strict_mode="OFF")
    c, port, db, cur = prepare_and_capture(lab)
    n = 10
    for setting in ("SESSION gtid_domain_id = 7", "SESSION server_id = 4242", "GLOBAL log_bin_compress = OFF", "GLOBAL binlog_checksum = NONE",
                    "GLOBAL log_bin_compress = ON", "GLOBAL binlog_checksum = CRC32"):
        cur.execute(f"SET {setting}")
        change(cur, n)
        n += 10
    cur.execute("FLUSH BINARY LOGS")
    statements_elsewhere(lab, cur)
    session_changes(lab, cur, 100)
    # Sequences are not tables: their steps are left out, what takes its values from them is not.
    for sql in ("CREATE SEQUENCE s START WITH 5000 INCREMENT 10 CACHE 2", "DO NEXTVAL(s)", "DO SETVAL(s, 7000)",
                "INSERT INTO t (id, v) VALUES (NEXTVAL(s), 'from a sequence')", "INSERT INTO t (id, v) VALUES (NEXTVAL(s), 'again')", "DROP SEQUENCE s"):
        cur.execute(sql)
    db.close()
    caught_up(lab, c)
    lab.source.restart(encrypt_binlog="ON")
    lab.sql(*[f"INSERT INTO t (id, v) VALUES ({i}, REPEAT('x', 500))" for i in range(9000, 9010)])
    caught_up(lab, c)
    assert_same(lab)
    assert [r["row"]["at"] for r in lab.changes(table="t", op="insert") if r["row"]["id"] == 130] == ["2024-05-06T01:38:09.123Z"], "the time zone"
    assert not lab.changes(table="s")
    witnessed(lab, "exact", "FORMAT_DESCRIPTION", "ROTATE", "STOP", "GTID", "GTID_LIST", "BINLOG_CHECKPOINT", "START_ENCRYPTION", "QUERY", "QUERY_COMPRESSED",
              "ANNOTATE_ROWS", "TABLE_MAP", "WRITE, UPDATE, DELETE_ROWS version 1", "the same, compressed", "XID", "INTVAR, RAND, USER_VAR",
              "BEGIN_LOAD_QUERY, EXECUTE_LOAD_QUERY")
    assert_hears_heartbeats(c, port)
    witnessed(lab, "exact", "HEARTBEAT")
    assert_ends_well(lab, c)


@MARIADB
@pytest.mark.parametrize("torn", ["gtid", "xid"])
def test_a_file_that_a_crash_left_torn_is_read_past(lab, torn):
    """MariaDB leaves what kill -9 cut off at the end of the file, and goes on in the next one. Made here from a whole transaction."""
    lab.own_source()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
    c = lab.capture("--once")
    c.run()
    lab.sql(*[f"INSERT INTO t VALUES ({i}, 'v')" for i in range(5)])
    file = lab.source.binlogs()[-1]
    events = lab.source.binlog_events(file)
    begin, end = [e[1] for e in events if e[2] == "Gtid"][-1], events[-1][4]
    lab.source.kill9()
    path = lab.source.data / file
    whole = another_transaction(path.read_bytes()[begin:end], end)
    with path.open("ab") as f:
        f.write(whole[:{"gtid": 30, "xid": len(whole) - 5}[torn]])
    lab.source.start()
    lab.sql("INSERT INTO t VALUES (100, 'after')")
    text = c.run()
    assert "truncated in the middle of event" in text and "reconnecting" in text
    assert_same(lab)
    c.run()


def another_transaction(events, at):
    """The same MariaDB transaction, one sequence number on, as it would stand at this offset."""
    out = b""
    while events:
        size = struct.unpack_from("<I", events, 9)[0]
        e, events = bytearray(events[:size]), events[size:]
        struct.pack_into("<I", e, 13, at + len(out) + size)
        if e[4] == 162:
            struct.pack_into("<Q", e, 19, struct.unpack_from("<Q", e, 19)[0] + 1)
        struct.pack_into("<I", e, size - 4, zlib.crc32(bytes(e[:-4])))
        out += e
    return out


@pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mysql97")
@pytest.mark.parametrize("answer", ["no connection", "no greeting"])
def test_a_stop_does_not_wait_for_a_connection(lab, answer):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(0 if answer == "no connection" else 8)
        waiting = []
        while answer == "no connection" and len(waiting) < 3:     # the queue is full: further attempts hang
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(s.getsockname())
        c = lab.capture("--start", "now", url=f"mysql://u:p@127.0.0.1:{s.getsockname()[1]}/?connect-timeout=300", tables="x.*").start()
        if answer == "no greeting":
            waiting.append(s.accept()[0])
        else:
            wait_until(lambda: connecting(c.process.pid), "the attempt to connect")
        asked = time.monotonic()
        c.stop()
        assert time.monotonic() - asked < 30
        for w in waiting:
            w.close()


def connecting(pid):
    """A TCP connection of this process waits for an answer (proc_pid_net: state 02 is SYN_SENT)."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    inodes, of_process = {x.split()[9] for x in lines if x.split()[3] == "02"}, set()
    for f in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):    # closed since it was listed
            if m := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f)):
                of_process.add(m[1])
    return inodes & of_process


def blob(value):
    """Bytes as the JSON dump has them."""
    return base64.b64encode(value).decode()


@MYSQL
def test_gtid_mode_goes_on_and_off_while_capture_runs(lab):
    """By file and offset, from OFF to ON and back: anonymous transactions and those with GTIDs, each row once."""
    lab.own_source(gtid_mode="OFF", enforce_gtid_consistency="ON")
    prepare(lab)
    file, pos = lab.source.sql("SHOW BINARY LOG STATUS")[0][:2]
    lab.start_at = f"file:{file}:{pos}"
    c = lab.capture().start()
    c.wait_event("streaming")
    n = 10
    modes = ["OFF_PERMISSIVE", "ON_PERMISSIVE", "ON", "ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"]
    for mode in modes:
        lab.source.sql(f"SET GLOBAL gtid_mode = {mode}")
        with lab.source.connect(lab.db) as db:
            change(db.cursor(), n)
        n += 10
    caught_up(lab, c)
    assert_same(lab)
    witnessed(lab, "exact", "GTID", "ANONYMOUS_GTID")
    c.stop()
    # With a slot that resumes by GTID an anonymous transaction has no place.
    lab.source.sql("SET GLOBAL gtid_mode = OFF_PERMISSIVE", "SET GLOBAL gtid_mode = ON_PERMISSIVE", "SET GLOBAL gtid_mode = ON")
    slot = lab.dir / "by-gtid"
    c = lab.capture("--start", "now", slot=slot, name="by-gtid").start()
    c.wait_event("streaming")
    lab.sql("INSERT INTO t (id, v) VALUES (1000, 'with')")
    wait_until(lambda: lab.changes(slot=slot, table="t"), "the row")
    lab.source.sql("SET GLOBAL gtid_mode = ON_PERMISSIVE", "SET GLOBAL gtid_mode = OFF_PERMISSIVE")
    lab.sql("INSERT INTO t (id, v) VALUES (1001, 'without')")
    text = c.wait(code=2)
    assert "gtid_mode" in text and "without a GTID" in text, text
    assert [r["row"]["id"] for r in lab.changes(slot=slot, table="t")] == [1000]


MIB16 = (1 << 24) - 1     # a packet of the protocol


@BOTH_CLIENTS
def test_events_of_several_packets(lab):
    """One byte before, at and behind the size where a packet must be followed by another."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), b LONGBLOB)",
            "INSERT INTO t VALUES (1, 'probe', REPEAT('a', 1000))")
    file = lab.source.binlogs()[-1]
    write = [e for e in lab.source.binlog_events(file) if e[2] == "Write_rows"][-1]
    around = write[4] - write[1] - 1000 + 1     # and the packet's status byte
    sizes = [MIB16 - around + d for d in (-1, 0, 1)]
    lab.sql(*[f"INSERT INTO t VALUES ({i}, 'x', REPEAT(CHAR({65 + i}), {n}))" for i, n in enumerate(sizes, 2)])
    lab.capture("--once").run()
    rows = replayed(lab, "t")
    assert sorted(rows) == [1, 2, 3, 4]
    for i, n in enumerate(sizes, 2):
        assert rows[i]["b"] == blob(bytes([65 + i]) * n), i


@MYSQL
def test_payloads_are_streams(lab):
    """What counts for --max-event is an event inside, not the transaction."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)", "SET SESSION binlog_transaction_compression = ON", "BEGIN",
            *[f"INSERT INTO t VALUES ({i}, REPEAT(CHAR({65 + i}), 3000000))" for i in range(8)], "COMMIT")
    c = lab.capture("--once", "--max-event", "4MiB", "--frame-size", "1MiB")
    c.run()
    assert {k: (r["v"][0], len(r["v"])) for k, r in replayed(lab, "t").items()} == {i: (chr(65 + i), 3000000) for i in range(8)}
    lab.sql("SET SESSION binlog_transaction_compression = ON", "INSERT INTO t VALUES (100, REPEAT('x', 5000000))")
    text = c.run(code=1)
    assert "--max-event" in text and "TRANSACTION_PAYLOAD" in text
    assert re.search(r"at binlog\.\d+:\d+, GTID [0-9a-f-]{36}:\d+", text), text
    lab.capture("--once", "--max-event", "8MiB").run()
    lab.sql("INSERT INTO t VALUES (101, REPEAT('x', 9000000))")
    text = lab.capture("--once", "--max-event", "8MiB").run(code=1)
    assert re.search(r"at binlog\.\d+:\d+.*larger than --max-event \(8388608 bytes\)", text), text
    lab.capture("--once").run()
    assert sorted(replayed(lab, "t")) == [*range(8), 100, 101]


@BOTH_SERVERS
def test_what_cannot_be_known_stops_and_is_named(lab):
    """Changes of captured tables as statements of every kind. What came before is kept."""
    source = lab.source
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v LONGTEXT)", f"CREATE DATABASE {lab.db}_other", f"CREATE TABLE {lab.db}_other.o (id INT)")
    data = lab.dir / "load.csv"
    data.write_text("50000\tloaded\n")
    lab.dir.chmod(0o755)
    statement = "SET SESSION binlog_format = 'STATEMENT'"
    cases = [([statement, "INSERT INTO t (v) VALUES ('s')"], "INSERT INTO t"),
             ([statement, "SET @v = 'x'", "INSERT INTO t (v) VALUES (@v)"], "INSERT INTO t"),
             ([statement, "UPDATE t SET v = RAND()"], "UPDATE t"),
             ([statement, f"LOAD DATA INFILE '{data}' INTO TABLE t"], "LOAD DATA"),
             ([statement, f"USE {lab.db}_other", f"DELETE FROM {lab.db}.t LIMIT 1"], "DELETE FROM")]
    for i, (sql, words) in enumerate(cases):
        slot = lab.dir / f"slot{i}"
        lab.start_at = "gtid:" + source.gtids()
        lab.sql(f"INSERT INTO t VALUES ({1000 * (i + 1)}, 'kept')", *sql)
        text = lab.capture("--once", slot=slot, name=f"case{i}").run(code=1)
        assert "statement format" in text and words in text, text
        assert re.search(r"at binlog\.\d+:\d+, GTID \S+", text), text
        assert [r["row"]["id"] for r in lab.changes(slot=slot, table="t")] == [1000 * (i + 1)]


@pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb1011", "libmariadb-mariadb118", "libmariadb-mysql56")
def test_an_incident_stops_capture_but_not_a_slot_that_begins_behind_it(lab):
    """A non-transactional change that does not fit its cache is in the table, but not in the binlog."""
    source = lab.own_source()      # a slot that begins by GTID in the same file would meet it, too
    def begin():
        return lab.begin_history() if lab.kind == "mysql56" else ("--once",)
    options = begin()
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE m (id INT PRIMARY KEY, v LONGTEXT) ENGINE=MyISAM")
    source.sql("SET GLOBAL max_binlog_stmt_cache_size = 4096, GLOBAL binlog_stmt_cache_size = 4096")
    lab.sql("INSERT INTO t VALUES (1)")
    with pytest.raises(pymysql.err.Error):
        lab.sql("INSERT INTO m VALUES (1, REPEAT('x', 100000))")
    lab.sql("INSERT INTO t VALUES (2)")
    text = lab.capture(*options).run(code=1)
    witnessed(lab, "stops", "INCIDENT")
    assert "INCIDENT" in text and re.search(r"at binlog\.\d+:\d+", text), text
    assert [r["row"]["id"] for r in lab.changes(table="t")] == [1]
    lab.slot, lab.start_at = lab.dir / "behind", "now"
    options = begin()
    for i in range(3, 5):
        c = lab.capture(*options, name="behind")
        c.run()
        lab.sql(f"INSERT INTO t VALUES ({i})")
    c.run()
    assert [r["row"]["id"] for r in lab.changes(table="t")] == [3, 4]


@BOTH_SERVERS
def test_cascades_are_captured_or_refused(lab):
    lab.sql("CREATE TABLE p (id INT PRIMARY KEY, v INT)", "CREATE TABLE t (id INT PRIMARY KEY, v INT, FOREIGN KEY (v) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE)",
            "CREATE TABLE n (id INT PRIMARY KEY, v INT, FOREIGN KEY (v) REFERENCES t (id) ON DELETE SET NULL ON UPDATE CASCADE)",
            "INSERT INTO p VALUES (1, 0), (2, 0), (3, 0)", "INSERT INTO t SELECT id * 10, id FROM p", "INSERT INTO n SELECT id * 10, id FROM t",
            "DELETE FROM p WHERE id = 1", "UPDATE p SET id = 33 WHERE id = 3", "UPDATE t SET id = 21 WHERE id = 20")
    if lab.source_kind_is_mysql:
        lab.capture("--once").run()
        for table in ("p", "t", "n"):
            assert_same(lab, table)
    else:
        text = lab.capture("--once").run(code=2)
        assert "accept-unlogged-cascades" in text and "foreign key" in text
        lab.capture("--once", "--accept-unlogged-cascades").run()
        assert sorted(replayed(lab, "t")) == [10, 21, 30], "the cascades themselves are not in the binlog"


@MYSQL
def test_a_source_that_was_reset_is_not_taken_for_the_same(lab):
    """Without GTIDs: file names begin again, and the old offset is a good one in the new file."""
    source = lab.own_source(gtid_mode="OFF", enforce_gtid_consistency="OFF")
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT)")
    source.sql("RESET BINARY LOGS AND GTIDS")
    file, pos = source.sql("SHOW BINARY LOG STATUS")[0][:2]
    insert = ["INSERT INTO t (v) VALUES (REPEAT('x', 100))"]
    c = lab.capture("--start", f"file:{file}:{pos}").start()
    c.wait_event("streaming")
    lab.sql(*insert * 5)
    wait_until(lambda: len(lab.changes(table="t")) == 5, "five rows")
    c.stop()
    c.start()                # the same file: known, and goes on
    lab.sql(*insert)
    wait_until(lambda: len(lab.changes(table="t")) == 6, "the sixth row")
    c.stop()
    made = source.sql("SELECT UNIX_TIMESTAMP()")[0][0]
    wait_until(lambda: source.sql("SELECT UNIX_TIMESTAMP()")[0][0] > made, "the next second: files know theirs in seconds")
    source.sql("RESET BINARY LOGS AND GTIDS")
    lab.sql(*insert * 9)
    text = c.run(code=1)
    assert "was reset" in text and file in text, text
    # And while capture runs: noticed when the file that is gone cannot be read on.
    slot = lab.dir / "running"
    c = lab.capture("--start", "now", slot=slot, name="running").start()
    c.wait_event("streaming")
    lab.sql(*insert)
    wait_until(lambda: lab.changes(slot=slot, table="t"), "a row")
    source.sql("RESET BINARY LOGS AND GTIDS")
    lab.sql(*insert * 12)
    text = c.wait(code=1)
    assert "was reset" in text and len(lab.changes(slot=slot, table="t")) == 1, text
