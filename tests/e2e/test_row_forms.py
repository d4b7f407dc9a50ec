"""Rows in unusual forms: JSON as differences, rows without any column, times that the binlog does not describe."""
import json
import random

import pytest

from rt.fidelity import witnessed

MYSQL = pytest.mark.combos("libmariadb-mysql97", "libmysqlclient-mysql97")
KEYS = ["a", "b", "key", "$x", "_y", "ü", "Ł", 'q"q', "b\\s", "sp ace", "", "1a", "tab\t", "\u0001", "dot.", "[x]", "*", "日本", "😀", "it's"]


class Documents:
    """Random SQL expressions over JSON, the same for the same seed."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self, s):
        return "'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def value(self, depth=0):
        pick = self.r.choice
        kind = self.r.randrange(10 if depth < 3 else 7)
        if kind == 0:
            return pick(["0", "-1", "32768", "-2147483649", "4294967296", "18446744073709551615"])
        if kind == 1:
            return pick(["1.5e0", "-0.0e0", "1e20", "1e15", "1e-7", "3.0e0", "1.50", "-99999999999999999999.1234567890"])
        if kind == 2:
            return pick(["DATE'2024-02-29'", "TIME'-12:34:56.789'", "TIMESTAMP'2024-02-29 10:11:12.5'", "x'00ff'", "b'101'"])
        if kind == 3:
            return pick(["TRUE", "FALSE", "CAST('null' AS JSON)"])
        if kind == 4:
            return f"REPEAT('Z', {pick([1, 127, 128, 16384])})"
        if kind < 7:
            return self.text(pick(KEYS))
        if kind < 9:
            return f"JSON_ARRAY({', '.join(self.value(depth + 1) for _ in range(self.r.randrange(5)))})"
        return self.object(self.r.randrange(5), depth + 1)

    def object(self, n, depth=0):
        return f"JSON_OBJECT({', '.join(self.text(k) + ', ' + self.value(depth + 1) for k in self.r.sample(KEYS, n))})"

    def path(self, document):
        """Mostly into the document, sometimes to where nothing is."""
        path = "$"
        for _ in range(self.r.choice([1, 1, 2, 3])):
            if isinstance(document, list) and document:
                i = self.r.randrange(len(document))
                path += self.r.choice([f"[{i}]", f"[last-{len(document) - 1 - i}]"])
                document = document[i]
            elif isinstance(document, dict) and document:
                k = self.r.choice(sorted(document))
                path += "." + json.dumps(k, ensure_ascii=False)
                document = document[k]
        if path == "$" or self.r.random() < 0.25:
            path += f"[{self.r.choice([0, 1, 50])}]" if isinstance(document, list) else "." + json.dumps(self.r.choice(KEYS))
        return self.text(path)

    def change(self, column, document):
        out = column
        for _ in range(self.r.choice([1, 1, 2])):
            if self.r.random() < 0.3:
                out = f"JSON_REMOVE({out}, {self.path(document)})"
            else:
                pairs = ", ".join(self.path(document) + ", " + self.value(1) for _ in range(self.r.choice([1, 1, 2, 4])))
                out = f"{self.r.choice(['JSON_SET', 'JSON_SET', 'JSON_REPLACE'])}({out}, {pairs})"
        return out


def exact(text):
    """Numbers as their texts and members in their order: as good as the text itself."""
    return None if text is None else json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=lambda x: ("object", x))


def captured(lab):
    """The table `t` after each transaction that changed it: {id: (j, k)}."""
    table, out, changed = {}, [], False
    for line in lab.tool.run("segment", "dump", lab.slot, "--format", "json").stdout.split("\n"):
        change = exact(line) if line else ("object", [])
        change = dict(change[1])
        if change.get("table") == "t":
            row = dict(change["row"][1])
            table[row["id"]] = (row["j"], row["k"])
            changed = True
        elif change.get("op") == "commit" and changed:
            out.append(dict(table))
            changed = False
    return out


@MYSQL
def test_differences_become_documents(lab):
    """binlog_row_value_options = PARTIAL_JSON: what comes out is what the server itself prints."""
    d, want = Documents(7), []
    c = lab.source.connect(lab.db)
    cur = c.cursor()

    def run(sql):
        cur.execute(sql)
        cur.execute("SELECT id, CAST(j AS CHAR), CAST(k AS CHAR) FROM t")
        rows = cur.fetchall()
        want.append({str(i): (exact(j), exact(k)) for i, j, k in rows})
        return {i: (json.loads(j), json.loads(k) if k else None) for i, j, k in rows}
    cur.execute("CREATE TABLE t (id INT PRIMARY KEY, j JSON, n INT, k JSON)")
    for i in range(4):
        document = d.object(12) if i > 0 else f"JSON_SET({d.object(12)}, '$.large', REPEAT('Z', 70000))"  # offsets of 4 bytes
        now = run(f"INSERT INTO t VALUES ({i}, {document}, 0, {'NULL' if i == 3 else 'JSON_ARRAY(' + d.value() + ', ' + d.value() + ')'})")
    cur.execute("SET binlog_row_value_options = PARTIAL_JSON")
    for step in range(100):
        if step % 25 == 20:
            cur.execute(f"SET binlog_transaction_compression = {step // 25 % 2 == 0}")
        i = d.r.randrange(4)
        sets = ["n = n + 1"] + ["j = " + d.change("j", now[i][0])] * (d.r.random() < 0.9) + ["k = " + d.change("k", now[i][1])] * (d.r.random() < 0.5)
        now = run(f"UPDATE t SET {', '.join(sets)}" + d.r.choice(["", f" WHERE id = {i}", f" WHERE id = {i}"]))
    c.close()
    partial = sum(e[2] == "Update_rows_partial" for f in lab.source.binlogs() for e in lab.source.binlog_events(f))
    assert partial > 50, "the server did not write differences"
    lab.capture("--once").run()
    got = captured(lab)
    assert len(got) == len(want)
    for step, (g, w) in enumerate(zip(got, want)):
        assert g == w, f"after transaction {step}"
    witnessed(lab, "exact", "PARTIAL_UPDATE_ROWS")


@MYSQL
def test_no_document_to_apply_to(lab):
    """Without the old document nobody can know the new one: capture says what mends it, and the preflight says so before."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, j JSON)", "INSERT INTO t VALUES (1, JSON_ARRAY(1, REPEAT('x', 1000)))")
    lab.capture("--once").run()
    lab.sql("SET binlog_row_value_options = PARTIAL_JSON, binlog_row_image = MINIMAL", "UPDATE t SET j = JSON_SET(j, '$[0]', 9)")
    log = lab.capture("--once").run(code=1)
    for words in (f"table {lab.db}.t", "column j", "SET PERSIST binlog_row_image = FULL"):
        assert words in log, log
    try:
        lab.sql("SET GLOBAL binlog_row_value_options = PARTIAL_JSON")
        assert "differences, which capture applies" in lab.tool.run("doctor", "--source", lab.source.url()).stdout
        lab.sql("SET GLOBAL binlog_row_image = NOBLOB")
        out = lab.tool.run("doctor", "--source", lab.source.url(), code=1).stdout
        assert "SET PERSIST binlog_row_image = 'FULL'; or SET PERSIST binlog_row_value_options = '';" in out, out
    finally:
        lab.sql("SET GLOBAL binlog_row_value_options = ''", "SET GLOBAL binlog_row_image = FULL")


@MYSQL
def test_insert_that_names_no_column(lab):
    """Under MINIMAL images such an event has no bytes of rows; it is one row, and MySQL refuses to log a second one in it."""
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY DEFAULT 5, a INT)", "CREATE TABLE n (a INT DEFAULT 7)",
            "SET binlog_row_image = MINIMAL", "INSERT INTO t () VALUES ()", "BEGIN", "INSERT INTO n () VALUES ()",
            "INSERT INTO n () VALUES ()", "COMMIT")
    with pytest.raises(Exception, match="1534"):
        lab.sql("SET binlog_row_image = MINIMAL", "INSERT INTO n () VALUES (), ()")
    assert lab.sql("SELECT COUNT(*) FROM n") == ((2,),)
    lab.capture("--once").run()
    assert [(r["table"], r["row"]) for r in lab.changes()] == [("t", {}), ("n", {}), ("n", {})]
    assert "cannot be inserted" in lab.apply("--create", "--once").run(code=1)


@pytest.mark.combos("libmariadb-mariadb1011", "libmysqlclient-mariadb1011")
def test_times_of_mariadb_5_3(lab):
    """Their fraction's length is not in the binlog: the preflight finds such tables. Those without a fraction are read."""
    try:
        lab.sql("SET GLOBAL mysql56_temporal_format = OFF", "CREATE TABLE plain (id INT PRIMARY KEY, ts TIMESTAMP, ti TIME)",
                "CREATE TABLE fine (id INT PRIMARY KEY, ts TIMESTAMP(2))")
    finally:
        lab.sql("SET GLOBAL mysql56_temporal_format = ON")
    log = lab.capture("--once").run(code=2)
    assert "old_times" in log and f"({lab.db}.fine)" in log and "ALTER TABLE ... FORCE" in log, log
    lab.sql("ALTER TABLE fine FORCE", "INSERT INTO plain VALUES (1, '2024-02-29 10:11:12', '-12:34:56')",
            "INSERT INTO fine VALUES (1, '2024-02-29 10:11:12.34')")
    lab.capture("--once").run()
    assert [r["row"] for r in lab.changes()] == [{"id": 1, "ts": "2024-02-29T10:11:12Z", "ti": "-12:34:56"},
                                                {"id": 1, "ts": "2024-02-29T10:11:12.34Z"}]
