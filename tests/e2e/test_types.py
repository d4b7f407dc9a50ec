"""Each value arrives as it is: every column type with its edge values, every character set, row images, compression, checksums and
session settings, through real servers, with the server itself as the oracle (rt/oracle.py).

docs/fidelity.md is the outcome. ROWTIDE_WRITE_FIDELITY=1 makes these tests write their server's column of it; otherwise they compare."""
import base64
import hashlib
import json
import os
import re

import pytest

from rt.fidelity import EVENTS, FIDELITY, SECTIONS, cells_of, untried, witnessed
from rt.oracle import Oracle
from rt.type_cases import CASES, FEATURES, TITLES

KINDS = pytest.mark.combos("libmariadb-mysql56", "libmariadb-mysql97", "libmariadb-mariadb1011", "libmariadb-mariadb118")
SESSION = ("SET NAMES utf8mb4", "SET SESSION sql_mode = ''", "SET SESSION time_zone = '+00:00'")


class Writer:
    """One connection that writes, as a client would."""

    def __init__(self, lab):
        self.lab = lab
        begin(lab)
        self.connection = lab.source.connect(lab.db)
        self.cursor = self.connection.cursor()
        self.run(*SESSION)

    def run(self, *statements):
        for s in statements:
            self.cursor.execute(s)
        return self.cursor.fetchall()

    def transaction(self, *statements):
        self.run("BEGIN", *statements, "COMMIT")


def lines(lab):
    """The slot's dump, line by line as text."""
    return lab.tool.run("segment", "dump", lab.slot, "--format", "json").stdout.split("\n")[:-1]


def begin(lab):
    lab.options = lab.begin_history() if "history" in FEATURES[lab.kind] else ("--once",)


def captured(lab, oracle, tables=None):
    """What is wrong about which table."""
    lab.capture(*lab.options, tables=tables).run()
    found = oracle.problems(lines(lab))
    assert oracle.compared, "nothing was compared"
    return found


def round_trip(w, oracle, case):
    """Inserts, updates and deletes of all the values of a case, under each row image."""
    packed = "compression" in FEATURES[w.lab.kind]
    w.run(*case.before, case.create(), *case.after)
    oracle.add(case.table)
    n = case.rows
    def step(*statements):
        w.transaction(*statements)
        oracle.checkpoint(case.table)
    step(*(case.insert(i, 0) for i in range(n)))
    step(*(case.update(i, 1) for i in range(n)))
    w.run("SET SESSION binlog_row_image = MINIMAL")
    step(*(case.update(i, 2) for i in range(n)))
    step(f"DELETE FROM {case.table} WHERE id % 3 = 0", *(case.insert(i, 3) for i in range(0, n, 3)))
    w.run("SET SESSION binlog_row_image = NOBLOB")
    step(*(case.update(i, 4) for i in range(n)))
    if packed:
        w.run("SET SESSION binlog_transaction_compression = ON")
    step(f"DELETE FROM {case.table} WHERE id % 2 = 0", *(case.insert(i, 5) for i in range(0, n, 2)))
    w.run("SET SESSION binlog_row_image = FULL")
    step(*(case.update(i, 6) for i in range(n)))
    if packed:
        w.run("SET SESSION binlog_transaction_compression = OFF")
    if "nodup" in FEATURES[w.lab.kind]:
        w.run("SET SESSION binlog_row_image = FULL_NODUP")
        step(*(case.update(i, 7) for i in range(n)))
        w.run("SET SESSION binlog_row_image = FULL")
    step(f"DELETE FROM {case.table}")


CHARSETS = sorted("""armscii8 ascii big5 cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr gb18030 gb2312 gbk geostd8
    greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman sjis swe7 tis620 ucs2 ujis utf16 utf16le utf32 utf8mb3 utf8mb4""".split())
UTF8 = {"utf8": "utf8mb3"}      # as MySQL 5.6 calls it
RANGES = (range(0xd800), range(0xe000, 0x10000), range(0x10000, 0x10100), range(0x1f300, 0x1f700), range(0x20000, 0x20200), range(0x10ff00, 0x110000))
FEW = {"big5", "tis620"}      # as U+FFFD the server takes bytes that are no such character
WIDE = {"big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"}


def stage_characters(w):
    """Tables of what to try: code points, and one to three bytes. They are not captured."""
    w.run("CREATE TABLE stage_u (n INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin) ENGINE=MyISAM",
          "CREATE TABLE stage_b (n INT PRIMARY KEY, v VARBINARY(3)) ENGINE=MyISAM")
    points = [n for r in RANGES for n in r]
    three = [b"\x8f" + bytes((a, b)) for a in range(0xa1, 0xff) for b in range(0xa1, 0xff)]
    strings = [bytes((a,)) for a in range(256)] + [bytes((a, b)) for a in range(128, 256) for b in range(256)] + three
    for at in range(0, len(points), 10000):
        w.run("INSERT INTO stage_u VALUES " + ",".join(f"({n},x'{chr(n).encode().hex()}')" for n in points[at:at + 10000]))
    for at in range(0, len(strings), 10000):
        w.run("INSERT INTO stage_b VALUES " + ",".join(f"({at + i},x'{s.hex()}')" for i, s in enumerate(strings[at:at + 10000])))
    w.run("SET SESSION group_concat_max_len = 1000000")


def charset_round_trip(w, oracle, cs):
    """Every character of the set that the server itself can convert to Unicode: by code point, and by its bytes, since some
    characters have several. 256 of them make a value. Where the server's answer is '?' or U+FFFD, it cannot."""
    table = f"cs_{cs}"
    w.run(f"CREATE TABLE {table} (id INT PRIMARY KEY, v MEDIUMTEXT CHARACTER SET {cs}, k CHAR(3) CHARACTER SET {cs}, s VARCHAR(5) CHARACTER SET {cs})")
    oracle.add(table)
    def both(block, source, text, where):
        return (f"INSERT INTO {table} SELECT {block}, GROUP_CONCAT({text} ORDER BY n SEPARATOR ''), MIN({text}), MAX({text}) "
                f"FROM {source} WHERE {where} GROUP BY 1")
    u = f"CONVERT(c USING {cs})"
    w.run(both("n DIV 256", "stage_u", u, f"HEX(CONVERT({u} USING utf8mb4)) = HEX(c)" + (" AND n <> 0xfffd" if cs in FEW else "")))
    b = f"CONVERT(v USING {cs})"
    limit = "" if cs in WIDE else " AND n < 128" if cs == "ascii" else " AND n < 256"
    w.run(both("10000 + n DIV 256", "stage_b", b, f"HEX({b}) = HEX(v) AND CHAR_LENGTH({b}) = 1 AND "
               f"(HEX(CONVERT({b} USING utf8mb4)) NOT IN ('3F', 'EFBFBD') OR v = x'3F')" + limit))
    oracle.checkpoint(table)
    w.run(f"UPDATE {table} SET k = s, s = RIGHT(v, 1), v = REVERSE(v)")
    oracle.checkpoint(table)
    return w.run(f"SELECT SUM(CHAR_LENGTH(v)) FROM {table}")[0][0]


# ---- tables of their own kind: (label, features, note, function that writes and returns the table's name)
def without_a_key(w, oracle):
    w.run("CREATE TABLE k_none (a INT, b VARCHAR(10) CHARACTER SET latin1, c DOUBLE)")
    oracle.add("k_none")
    w.run("INSERT INTO k_none VALUES (1,'é',0.1), (1,'é',0.1), (NULL,NULL,NULL), (NULL,NULL,NULL), (2,'',-0e0)")
    oracle.checkpoint("k_none")
    w.run("UPDATE k_none SET a = 5 WHERE a = 1 LIMIT 1")
    oracle.checkpoint("k_none")
    w.run("UPDATE k_none SET b = 'all'", "DELETE FROM k_none WHERE a IS NULL LIMIT 1")
    oracle.checkpoint("k_none")
    return "k_none"


def changed_keys(w, oracle):
    w.run("CREATE TABLE k_moved (a VARCHAR(20) COLLATE utf8mb4_bin, b DATETIME(3), n INT, PRIMARY KEY (b, a)) DEFAULT CHARACTER SET utf8mb4")
    oracle.add("k_moved")
    w.run("INSERT INTO k_moved VALUES ('x','2020-01-01 00:00:00.5',1), ('ü','2020-01-01',2), ('','0000-00-00',3)")
    oracle.checkpoint("k_moved")
    for image in ("MINIMAL", "NOBLOB", "FULL"):
        w.run(f"SET SESSION binlog_row_image = {image}", "UPDATE k_moved SET a = CONCAT(a, '+')")
        oracle.checkpoint("k_moved")
        w.run("UPDATE k_moved SET b = b + INTERVAL 1 DAY, n = n + 1 WHERE n < 3", "DELETE FROM k_moved WHERE n = 3", "INSERT INTO k_moved VALUES ('','0000-00-00',3)")
        oracle.checkpoint("k_moved")
    return "k_moved"


def generated_key(w, oracle):
    w.run("SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE k_gipk (a INT, b TEXT)", "SET SESSION sql_generate_invisible_primary_key = OFF")
    oracle.add("k_gipk")
    assert oracle.tables["k_gipk"].key == ["my_row_id"]
    w.run("INSERT INTO k_gipk VALUES (1,'a'), (1,'a'), (NULL,NULL)")
    oracle.checkpoint("k_gipk")
    w.run("SET SESSION binlog_row_image = MINIMAL", "UPDATE k_gipk SET a = 2", "DELETE FROM k_gipk LIMIT 1", "SET SESSION binlog_row_image = FULL")
    oracle.checkpoint("k_gipk")
    return "k_gipk"


def versioned(w, oracle):
    w.run("CREATE TABLE k_versioned (id INT, v VARCHAR(10), s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, "
          "PERIOD FOR SYSTEM_TIME (s, e), PRIMARY KEY (id)) WITH SYSTEM VERSIONING")
    oracle.add("k_versioned", rows="FOR SYSTEM_TIME ALL")
    w.run("INSERT INTO k_versioned (id, v) VALUES (1,'a'), (2,'b'), (3,'c')")
    oracle.checkpoint("k_versioned")
    w.run("UPDATE k_versioned SET v = 'new' WHERE id < 3")
    oracle.checkpoint("k_versioned")
    w.run("DELETE FROM k_versioned WHERE id > 1")
    oracle.checkpoint("k_versioned")
    return "k_versioned"


def two_thousand_columns(w, oracle):
    n = 2000
    w.run(f"CREATE TABLE k_wide (id INT PRIMARY KEY, {', '.join(f'c{i} TINYINT' for i in range(n))}) ENGINE=MyISAM")
    oracle.add("k_wide")
    w.run(f"INSERT INTO k_wide VALUES (1{',-1' * n}), (2{',NULL' * n}), (3{',NULL,7' * (n // 2)})")
    oracle.checkpoint("k_wide")
    w.run(f"UPDATE k_wide SET c{n - 1} = 5, c0 = NULL")
    oracle.checkpoint("k_wide")
    return "k_wide"


def truncated(w, oracle):
    w.run("CREATE TABLE k_cut (id INT PRIMARY KEY, v INT)")
    oracle.add("k_cut")
    w.run("INSERT INTO k_cut VALUES (1,1), (2,2)")
    oracle.checkpoint("k_cut")
    w.run("TRUNCATE TABLE k_cut", "INSERT INTO k_cut VALUES (2,3)")
    oracle.checkpoint("k_cut")
    return "k_cut"


def partitioned(w, oracle):
    w.run("CREATE TABLE k_parts (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 4")
    oracle.add("k_parts")
    w.run("INSERT INTO k_parts VALUES (1,1), (2,2), (3,3)", "UPDATE k_parts SET id = id + 10 WHERE id < 3")
    oracle.checkpoint("k_parts")
    return "k_parts"


def session_settings(w, oracle):
    """What a client sets for itself changes what it means to write, and nothing about how it is read here."""
    w.run("CREATE TABLE k_session (id INT PRIMARY KEY, ts TIMESTAMP(3) NULL, dt DATETIME(3), c CHAR(8), v VARCHAR(20) CHARACTER SET latin1, g VARCHAR(20) CHARACTER SET gbk, "
          "e ENUM('é','ж') CHARACTER SET utf8mb4, d DATE, f FLOAT, n DECIMAL(10,3)) DEFAULT CHARACTER SET utf8mb4")
    oracle.add("k_session")
    c = w.lab.source.connect(w.lab.db)
    n = 0
    with c.cursor() as cur:
        for zone in ("+00:00", "-11:30", "+13:00", "SYSTEM"):
            for mode in ("", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "PAD_CHAR_TO_FULL_LENGTH", "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE", "TRADITIONAL"):
                for client, text in (("utf8mb4", "é".encode()), ("latin1", "é".encode("latin1")), ("gbk", "é".encode("gbk")), ("binary", b"e")):
                    n += 1
                    for s in (f"SET time_zone = '{zone}'", f"SET sql_mode = '{mode}'", f"SET NAMES {client}"):
                        cur.execute(s)
                    # The text as the client's own bytes.
                    values = (f"({n}, '2024-03-31 02:30:00.125', '2024-03-31 02:30:00.125', 'a  ', '").encode() + text + b"', '" + text + b"', 1, '2024-02-29', 0.1, -1.5)"
                    c._execute_command(3, b"INSERT INTO k_session VALUES " + values)
                    c._read_query_result()
                    cur.execute(f"UPDATE k_session SET ts = ts + INTERVAL {n} HOUR, c = 'b ', e = 2 WHERE id = {n}")
                    if n % 16 == 0:
                        oracle.checkpoint("k_session")
    c.close()
    oracle.checkpoint("k_session")
    assert len({row[0]["ts"] for row in oracle.last["k_session"].values()}) > 20      # time zones moved the instants
    return "k_session"


def defaults(w, oracle):
    w.run("CREATE TABLE k_defaults (id INT PRIMARY KEY, a INT DEFAULT 5, b VARCHAR(9) CHARACTER SET latin1 DEFAULT 'é', t TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), d DATE NULL)")
    oracle.add("k_defaults")
    for i, image in enumerate(("FULL", "NOBLOB", "MINIMAL")):
        w.run(f"SET SESSION binlog_row_image = {image}", f"INSERT INTO k_defaults (id) VALUES ({i})", f"UPDATE k_defaults SET d = '2020-01-01' WHERE id = {i}")
        oracle.checkpoint("k_defaults")
    w.run("SET SESSION binlog_row_image = FULL")
    return "k_defaults"


def json_differences(w, oracle):
    w.run("CREATE TABLE k_partial (id INT PRIMARY KEY, j JSON, v INT, k JSON)", "SET SESSION binlog_row_value_options = PARTIAL_JSON")
    oracle.add("k_partial")
    document = quoted_json({"a": [1, 2.5, {"b": "text", "c": None}], "long": "x" * 200, "n": 1, "ü": True})
    w.run(f"INSERT INTO k_partial VALUES (1,{document},1,'[]'), (2,{document},2,NULL), (3,'{{}}',3,'[1,2,3]')")
    oracle.checkpoint("k_partial")
    for change in ("JSON_SET(j, '$.n', 2)", "JSON_SET(j, '$.a[2].b', 'much longer than before', '$.new', CAST('1.50' AS DECIMAL(5,2)))", "JSON_REMOVE(j, '$.a[0]')",
                   "JSON_REPLACE(j, '$.a[0]', '', '$.nowhere', 1)", "JSON_SET(JSON_REMOVE(j, '$.long'), '$.\"ü\"', TIMESTAMP'2024-02-29 10:11:12.5', '$.z', x'00ff')", "NULL", "'{}'"):
        w.run(f"UPDATE k_partial SET j = {change}, v = v + 1", "UPDATE k_partial SET k = JSON_SET(k, '$[0]', v, '$[9]', 'end') WHERE id <> 2")
        oracle.checkpoint("k_partial")
    w.run("SET SESSION binlog_transaction_compression = ON", "UPDATE k_partial SET k = JSON_SET(k, '$[1]', JSON_ARRAY(v))", "SET SESSION binlog_transaction_compression = OFF",
          "SET SESSION binlog_row_value_options = ''")
    oracle.checkpoint("k_partial")
    return "k_partial"


def quoted_json(document):
    return "'" + json.dumps(document) + "'"


TABLES = [
    ("no primary key", set(), "rows are told apart by their whole image, which must be FULL", without_a_key),
    ("primary key changed by UPDATE", set(), "", changed_keys),
    ("generated invisible primary key", {"gipk"}, "`my_row_id` is a column like any other", generated_key),
    ("columns left to their DEFAULT", set(), "an INSERT with a MINIMAL image does not have them; with FULL and NOBLOB it does", defaults),
    ("JSON as differences (PARTIAL_JSON)", {"partial"}, "as whole documents, with FULL images; with others capture stops", json_differences),
    ("SYSTEM VERSIONED tables", {"versioned"}, "", versioned),
    ("2,000 columns (MyISAM)", set(), "", two_thousand_columns),
    ("TRUNCATE", set(), "", truncated),
    ("partitioned tables", set(), "", partitioned),
    ("written under other `time_zone`, `sql_mode`, `character_set_client`", set(), "", session_settings),
]


# ---- docs/fidelity.md
def fidelity_rows(section):
    """What the lines of a table are, in order: (label, note)."""
    if section == "Types":
        return [(c.label, c.note) for c in CASES]
    if section == "Tables and sessions":
        return [(label, note) for label, _, note, _ in TABLES]
    if section == "Events":
        return [(label, note) for label, (_, _, note) in EVENTS.items()]
    return [(cs, "") for cs in CHARSETS]


def fidelity_read():
    """(section, label) -> {kind: outcome} as committed."""
    out, section = {}, None
    for line in FIDELITY.read_text().splitlines() if FIDELITY.exists() else []:
        if line.startswith("## "):
            section = line[3:]
        cells = cells_of(line)
        if section in SECTIONS and len(cells) == len(TITLES) + 2 and cells[0] != section:
            out[section, cells[0]] = dict(zip(TITLES, cells[1:]))
    return out


def fidelity_text(outcomes):
    """The tables as Markdown; outcomes as fidelity_read() returns them."""
    out = []
    for section in SECTIONS:
        out += ["", f"## {section}", "", f"| {section} | " + " | ".join(TITLES.values()) + " | |", "| --- " * (len(TITLES) + 2) + "|"]
        for label, note in fidelity_rows(section):
            cells = outcomes.get((section, label), {})
            missing = {k: untried(label, k) if section == "Events" else "not run" for k in TITLES}
            out.append(f"| {label} | " + " | ".join(cells.get(k, missing[k]) for k in TITLES) + f" | {note} |")
    return "\n".join(out) + "\n"


def settle_fidelity(section, kind, outcomes):
    """This run's column of a table must be the committed one. outcomes: label -> outcome, for what the kind has."""
    committed = fidelity_read()
    got = {label: outcomes.get(label, "-") for label, _ in fidelity_rows(section)}
    if os.environ.get("ROWTIDE_WRITE_FIDELITY"):
        for label, outcome in got.items():
            committed.setdefault((section, label), {})[kind] = outcome
        before = FIDELITY.read_text().split("\n## ")[0]
        FIDELITY.write_text(before.rstrip() + "\n" + fidelity_text(committed))
        return
    was = {label: committed.get((section, label), {}).get(kind) for label in got}
    assert was == got, f"docs/fidelity.md, {section}, {TITLES[kind]}: write it with ROWTIDE_WRITE_FIDELITY=1"


def test_the_fidelity_tables_are_what_the_suite_writes():
    text = FIDELITY.read_text()
    assert text.endswith(fidelity_text(fidelity_read()).lstrip("\n"))
    assert "not run" not in text


# ---- the tests
def settled(wrong):
    assert not wrong, "\n".join(f"{t}: {m}" for t, m in wrong.items())


def outcome_of(oracle, table):
    return "in part" if oracle.unknown.get(table) else "exact"


@KINDS
def test_every_type(lab):
    w, oracle = Writer(lab), Oracle(lab.source, lab.db)
    cases = [c for c in CASES if c.applies(lab.kind)]
    outcomes = {}
    for case in cases:
        if not case.stops_at(lab.kind):
            round_trip(w, oracle, case)
    settled(captured(lab, oracle))
    outcomes = {c.label: outcome_of(oracle, c.table) for c in cases if not c.stops_at(lab.kind)}
    for case in cases:
        if case.stops_at(lab.kind):
            if "history" not in FEATURES[lab.kind]:
                lab.start_at = "gtid:" + lab.source.gtids()
            w.run(*case.before, case.create(), *case.after, *(case.insert(i, 0) for i in range(case.rows)))
            if "history" in FEATURES[lab.kind]:     # a slot that knows the definitions goes on; it can stop once
                again = lab.capture(*lab.options, name=case.table)
            else:
                again = lab.capture("--once", slot=lab.dir / case.table, tables=f"{lab.db}.{case.table}", name=case.table)
            text = again.run(code=(1, 2))
            assert re.search(case.stops, text), text
            outcomes[case.label] = "stops"
    settle_fidelity("Types", lab.kind, outcomes)
    rows = "WRITE, UPDATE, DELETE_ROWS version " + ("2" if lab.source_kind_is_mysql else "1")
    first = ("PREVIOUS_GTIDS",) if lab.source_kind_is_mysql else ("GTID_LIST", "ANNOTATE_ROWS")
    witnessed(lab, "exact", "FORMAT_DESCRIPTION", *first, "GTID", "QUERY", "TABLE_MAP", rows, "XID")


@KINDS
def test_every_character_set(lab):
    w, oracle = Writer(lab), Oracle(lab.source, lab.db)
    stage_characters(w)
    sets = sorted(r[0] for r in w.run("SHOW CHARACTER SET") if r[0] != "binary")
    assert set(sets) <= {"utf8", *CHARSETS}, "a new character set: add it to CHARSETS"
    for cs in sets:
        assert charset_round_trip(w, oracle, cs) > 100, cs
    settled(captured(lab, oracle, f"{lab.db}.*,!{lab.db}.stage_*"))
    settle_fidelity("Character sets", lab.kind, {UTF8.get(cs, cs): outcome_of(oracle, f"cs_{cs}") for cs in sets})


@KINDS
def test_bytes_that_are_no_character_stop_capture(lab):
    """The server keeps them, and has no Unicode for them either."""
    begin(lab)
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET tis620)", "INSERT INTO t VALUES (1, x'a1ff')")
    text = lab.capture(*lab.options).run(code=1)
    assert re.search(r"table t\d+\.t: .*column v: byte 1 \(0xff\) .* is not valid in character set tis620.*--invalid-text", text), text


@pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb1011")
def test_bytes_that_are_no_character_can_be_replaced(lab):
    """Not in keys, by which rows are told apart; nor where there is none."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET tis620, w VARCHAR(9) CHARACTER SET gbk)",
            "SET sql_mode = ''", "INSERT INTO t VALUES (1, x'a1ff', x'61'), (2, x'a1', x'8140')", "UPDATE t SET v = x'fe61' WHERE id = 2")
    text = lab.capture("--once", "--invalid-text", "replace").run()
    assert [r["row"] for r in lab.changes(op="insert")] == [{"id": 1, "v": "ก\ufffd", "w": "a"}, {"id": 2, "v": "ก", "w": "丂"}]
    assert [r["row"]["v"] for r in lab.changes(op="update")] == ["\ufffda"]
    for columns, table in (("v VARCHAR(9) CHARACTER SET tis620 PRIMARY KEY", "k"), ("v VARCHAR(9) CHARACTER SET tis620", "n")):
        lab.start_at = "gtid:" + lab.source.gtids()
        lab.sql(f"CREATE TABLE {table} ({columns})", f"INSERT INTO {table} VALUES (x'a1ff')")
        text = lab.capture("--once", "--invalid-text", "replace", slot=lab.dir / table, tables=f"{lab.db}.{table}", name=table).run(code=1)
        assert "is not valid in character set tis620" in text and "never replaced" in text and "--invalid-text" not in text, text


@pytest.mark.combos("libmariadb-mariadb118")
def test_the_preflight_warns_of_generated_columns(lab):
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, g INT AS (id + 1) STORED)", "CREATE TABLE plain (id INT PRIMARY KEY)",
            "CREATE TABLE versions (id INT PRIMARY KEY, s TIMESTAMP(6) AS ROW START, e TIMESTAMP(6) AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING")
    warned, = [e for e in lab.capture("--once").run() and lab.daemons[-1].events("preflight") if e["check"] == "generated_columns"]
    assert f"1 captured tables have generated columns ({lab.db}.t)" in warned["found"]
    lab.capture("--once", tables=f"{lab.db}.plain", slot=lab.dir / "plain", name="plain").run()
    assert not [e for e in lab.daemons[-1].events("preflight") if e["check"] == "generated_columns"]


@KINDS
def test_tables_and_sessions(lab):
    w, oracle = Writer(lab), Oracle(lab.source, lab.db)
    tables = {}
    for label, needs, _, write in TABLES:
        if needs <= FEATURES[lab.kind]:
            tables[label] = write(w, oracle)
    settled(captured(lab, oracle))
    settle_fidelity("Tables and sessions", lab.kind, {label: outcome_of(oracle, t) for label, t in tables.items()})


@KINDS
def test_checksums_change_on_the_way(lab):
    w, oracle = Writer(lab), Oracle(lab.source, lab.db)
    w.run("CREATE TABLE t (id INT PRIMARY KEY, v VARBINARY(60))")
    oracle.add("t")
    try:
        for i, kind in enumerate(("NONE", "CRC32", "NONE")):
            w.run(f"SET GLOBAL binlog_checksum = {kind}", f"INSERT INTO t VALUES ({i}, RANDOM_BYTES(50))" if w.lab.source.is_mysql else f"INSERT INTO t VALUES ({i}, UNHEX(SHA2(RAND(), 256)))")
            oracle.checkpoint()
    finally:
        w.run("SET GLOBAL binlog_checksum = CRC32")
    settled(captured(lab, oracle))


@pytest.mark.combos("libmariadb-mysql97")
def test_a_value_of_64_mib(lab):
    lab.own_source(max_allowed_packet="256M")
    w = Writer(lab)
    w.run("CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)", "INSERT INTO t VALUES (1, CONCAT('begin', REPEAT(UNHEX(SHA2('x', 512)), 1048576), 'end'))")
    (size, want), = w.run("SELECT LENGTH(v), SHA2(v, 256) FROM t")
    assert size == (64 << 20) + 8
    w.run("UPDATE t SET v = REVERSE(v)")
    lab.capture("--once").run()
    insert, update = (json.loads(x) for x in lines(lab) if '"op":"insert"' in x[:200] or '"op":"update"' in x[:200])
    (again,), = w.run("SELECT SHA2(v, 256) FROM t")
    def digest(text):
        return hashlib.sha256(base64.b64decode(text)).hexdigest()
    assert digest(insert["row"]["v"]) == digest(update["old"]["v"]) == want and digest(update["row"]["v"]) == again


@pytest.mark.combos("libmariadb-mysql97")
def test_the_oracle_sees_what_is_wrong(lab):
    """Each kind of difference is found: a digit, a float's last bit, a lost row, one too many, a wrong old image."""
    w, oracle = Writer(lab), Oracle(lab.source, lab.db)
    w.run("CREATE TABLE t (id INT PRIMARY KEY, f FLOAT, n DECIMAL(5,2), v VARBINARY(9))", "INSERT INTO t VALUES (1, 0.1, 1.50, x'00ff'), (2, 1, 2, '')")
    oracle.add("t")
    oracle.checkpoint()
    w.run("UPDATE t SET n = 3 WHERE id = 1")
    oracle.checkpoint()
    assert captured(lab, oracle) == {}
    good = lines(lab)
    rows = [i for i, x in enumerate(good) if '"table":"t"' in x]
    for old, new in (('"f":0.1', '"f":0.10000001'), ('"1.50"', '"1.5"'), ('"AP8="', '"AP4="'), ('"f":0.1', '"f":0.100000001'), ('"old":{"id":1,"f":0.1', '"old":{"id":1,"f":0.2'),
                     ('"row":{"id":1', '"row":{"id":7'), ('"n":"3.00"', '"n":null')):
        assert any(old in x for x in good), old
        assert "t" in oracle.problems([x.replace(old, new) for x in good]), (old, new)
    for i in rows:
        assert "t" in oracle.problems(good[:i] + good[i + 1:]), good[i]
        assert "t" in oracle.problems(good[:i] + [good[i]] + good[i:]), good[i]
    assert oracle.problems(good[:-2]) != {}
