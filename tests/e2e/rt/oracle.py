"""The server as the oracle of what capture decoded: every value that `segment dump --format json` shows must be what the server
itself returns by SELECT. Exact: no tolerance, floats by their bits, JSON by the server's own text.

    oracle = Oracle(lab.source, lab.db, ["t"])        # any number of tables; those made later by oracle.add()
    ... DML on t ...; oracle.checkpoint()             # reads the tables, and leaves a mark in the binlog
    oracle.verify(records)                            # lines of the dump: folds them, compares at each mark

Each value becomes text in one canonical form on both sides, None for NULL. Folding takes what the binlog has: rows by primary key
(without one, a bag of whole rows). At a mark exactly the rows that changed since the one before, on either side, are compared, so
that each transaction's images are checked by the state they lead to; the old image of each change must be the state before it."""
import base64
import collections
import ipaddress
import json
import re
import struct
import uuid
from fractions import Fraction

MARK = "rt_mark"
# What the comparing session reads must not depend on what the tested sessions set.
SESSION = ("SET NAMES utf8mb4", "SET SESSION sql_mode = ''", "SET SESSION time_zone = '+00:00'", "SET SESSION net_write_timeout = 600")
TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum"}
BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"}
# The binlog has them as BINARY(n): their bytes in the order of the text, as the client sends them.
NAMES = {"uuid": lambda s: uuid.UUID(s).bytes, "inet4": lambda s: ipaddress.IPv4Address(s).packed, "inet6": lambda s: ipaddress.IPv6Address(s).packed}
SHAPES = {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
          "geomcollection"}
INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}
UNKNOWN = "(not sent)"          # of an insert under a MINIMAL image: the server took the column's default


# ---- what the server says
class Column:
    def __init__(self, name, data_type, column_type, extra, nullable=True):
        self.name, self.type, self.full, self.extra, self.nullable = name, data_type, column_type, extra, nullable
        self.quoted = quoted(name)

    def select(self, is_mysql):
        """An expression that yields the column's value exactly, as text."""
        q = self.quoted
        if self.type in TEXTS or self.type == "set":
            return f"HEX(CONVERT({q} USING utf8mb4))"
        if self.type in BYTES or self.type in SHAPES:
            return f"HEX({q})"
        if self.type == "bit":
            return f"HEX({q} + 0)"
        if self.type == "year":
            return f"CAST({q} + 0 AS CHAR)"
        if self.type in INTEGERS:
            return f"CAST({q} + 0 AS CHAR)"             # without ZEROFILL's zeros
        if self.type in ("float", "double"):
            # A double without declared decimals, which the server prints so that it reads back the same; + 0 would lose -0.
            return f"{q} * 1e0"
        return f"CAST({q} AS CHAR)"

    def of_server(self, v):
        if v is None:
            return None
        v = v.decode() if isinstance(v, (bytes, bytearray)) else str(v)
        if self.type == "float":
            bits = float_bits(v)
            assert struct.unpack(">f", bits)[0] == float(v), f"{v} is no FLOAT"
            return bits.hex()
        if self.type == "double":
            return struct.pack(">d", float(v)).hex()
        if self.type in NAMES:
            return hex_of(NAMES[self.type](v))
        if self.type == "json":
            return None if v == "null" else v           # the dump's JSON does not tell the document null from NULL
        return v

    def of_dump(self, raw):
        """raw: the JSON text of the value in the dump."""
        if self.type == "json":
            return None if raw == "null" else raw
        if raw == "null":
            return None
        if self.type in TEXTS:
            return hex_of(json.loads(raw).encode())
        if self.type == "set":
            return hex_of(",".join(json.loads(raw)).encode())
        if self.type in BYTES or self.type in SHAPES or self.type in NAMES:
            return hex_of(base64.b64decode(json.loads(raw), validate=True))
        if self.type == "bit":
            return f"{int(raw):X}"
        if self.type == "float":
            return shortest(raw, float_bits, 9).hex()
        if self.type == "double":
            return shortest(raw, lambda s: struct.pack(">d", float(s)), 17).hex()
        if self.type in INTEGERS or self.type == "year":
            return raw
        text = json.loads(raw)
        assert isinstance(text, str), f"{self.name}: {raw} is no string"
        if self.type == "timestamp":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", text), f"{self.name}: {raw} is no instant"
            return text[:10] + " " + text[11:-1]
        return text


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


def hex_of(b):
    return b.hex().upper()


def float_bits(text):
    """The IEEE single nearest to a decimal text. By way of a double it could be rounded twice, so the neighbours are tried too."""
    exact = Fraction(text)
    if abs(exact) >= (2 - Fraction(1, 1 << 24)) * 2 ** 127:
        return b"inf"
    try:
        near = struct.unpack(">I", struct.pack(">f", float(text)))[0]
    except OverflowError:            # rounded up by the double
        near = 0xff7fffff if text[0] == "-" else 0x7f7fffff
    def value(bits):
        return Fraction(struct.unpack(">f", struct.pack(">I", bits))[0])
    low = near & 0x7fffffff
    around = [(near & 0x80000000) | b for b in (low - 1, low, low + 1) if 0 <= b < 0x7f800000]
    best = min(around, key=lambda b: (abs(value(b) - exact), b & 1))
    return struct.pack(">I", best)


def shortest(text, bits, most):
    """bits(text), after checking that no shorter text has the same."""
    got = bits(text)
    digits = re.sub(r"[eE].*|[-.]", "", text).strip("0")
    for n in range(1, min(len(digits), most + 1)):
        v = f"%.{n - 1}e" % float(text)
        assert bits(v) != got, f"{text} is longer than {v}, which is the same number"
    return got


class Table:
    """A table's columns and key as the server has them now."""

    def __init__(self, source, db, name, rows=""):
        self.db, self.name, self.is_mysql, self.rows = db, name, source.is_mysql, rows
        rows = source.sql("SELECT column_name, data_type, column_type, extra, is_nullable FROM information_schema.columns WHERE "
                          f"table_schema = '{db}' AND table_name = '{name}' ORDER BY ordinal_position")
        assert rows, f"the source has no table {db}.{name}"
        text = [[x.decode() if isinstance(x, bytes) else x for x in r] for r in rows]
        self.columns = [Column(n, t.lower(), f, e, null == "YES") for n, t, f, e, null in text]
        self.by_name = {c.name: c for c in self.columns}
        self.key = [r[0] for r in source.sql(
            "SELECT column_name FROM information_schema.statistics WHERE index_name = 'PRIMARY' AND "
            f"table_schema = '{db}' AND table_name = '{name}' ORDER BY seq_in_index")]
        self.names = [c.name for c in self.columns]

    def read(self, cursor):
        cursor.execute(f"SELECT {', '.join(c.select(self.is_mysql) for c in self.columns)} FROM {quoted(self.name)} {self.rows}")
        return bag(self, ({c.name: c.of_server(v) for c, v in zip(self.columns, r)} for r in cursor.fetchall()))

    def key_of(self, row):
        """By primary key; without one the whole row is its own key."""
        return tuple(row.get(n) for n in self.key or self.names)


def bag(table, rows):
    """key -> list of rows with it: one row, unless the table has no primary key."""
    out = collections.defaultdict(list)
    for r in rows:
        out[table.key_of(r)].append(r)
    return dict(out)


# ---- what the dump says
DECODER = json.JSONDecoder()


def members(text, at=0):
    """(name, JSON text of the value) of the object at text[at], and where it ends."""
    out, at = [], at + 1
    assert text[at - 1] == "{"
    while text[at] != "}":
        name, at = DECODER.raw_decode(text, at + (text[at] == ","))
        assert text[at] == ":"
        _, end = DECODER.raw_decode(text, at + 1)
        out.append((name, text[at + 1:end]))
        at = end
    return out, at + 1


def parsed(line):
    """A line of the dump as a dict; `row` and `old` hold the JSON text of each value, as it stands there."""
    top = dict(members(line)[0])
    return {k: dict(members(v)[0]) if k in ("row", "old") else json.loads(v) for k, v in top.items()}


# ---- both
class Mismatch(AssertionError):
    pass


class Mark:
    """A checkpoint: per table its definition, and which rows changed since the one before ({key: rows}, [] for none).
    `taken`: the fold takes the rows over unseen, after statements that change rows without row events."""

    def __init__(self):
        self.tables, self.taken, self.gone = {}, set(), set()


class Oracle:
    def __init__(self, source, db, tables=()):
        self.source, self.db = source, db
        self.connection = source.connect(db)
        self.cursor = self.connection.cursor()
        for s in SESSION:
            self.cursor.execute(s)
        self.cursor.execute(f"CREATE TABLE IF NOT EXISTS {MARK} (n INT PRIMARY KEY)")
        self.tables, self.last, self.marks = {}, {}, []
        self.compared = collections.Counter()   # values of the dump, by type
        self.unknown = collections.defaultdict(set)     # table -> columns that the binlog did not have somewhere
        for t in tables:
            self.add(t)

    def close(self):
        self.connection.close()

    def add(self, name, rows=""):
        """A new, empty table. rows: what SELECT needs behind the name to return all of them."""
        self.tables[name] = Table(self.source, self.db, name, rows)
        self.last[name] = {}

    def altered(self, *names):
        """After DDL, with a checkpoint in front of it: the rows are the server's from here on."""
        mark = Mark()
        for name in names:
            self.tables[name] = Table(self.source, self.db, name, self.tables[name].rows)
            self.last[name] = self.tables[name].read(self.cursor)
            mark.tables[name] = (self.tables[name], self.last[name])
            mark.taken.add(name)
        self._leave(mark)

    def dropped(self, name):
        del self.tables[name], self.last[name]
        mark = Mark()
        mark.gone.add(name)
        self._leave(mark)

    def checkpoint(self, *names):
        """Reads these tables (all, when none is named) and marks this place in the binlog."""
        mark = Mark()
        for name in names or list(self.tables):
            now, before = self.tables[name].read(self.cursor), self.last[name]
            changed = {k: now.get(k, []) for k in now.keys() | before.keys() if now.get(k) != before.get(k)}
            mark.tables[name] = (self.tables[name], changed)
            self.last[name] = now
        self._leave(mark)

    def _leave(self, mark):
        self.marks.append(mark)
        self.cursor.execute(f"INSERT INTO {MARK} VALUES ({len(self.marks)})")

    def problems(self, lines):
        """Folds dumped lines, in order, from the slot's begin. Returns what was wrong first about each table, {} for nothing."""
        fold = Fold(self)
        for line in lines:
            fold.line(line)
        if fold.met != len(self.marks):
            fold.wrong[MARK] = f"the dump ends at mark {fold.met} of {len(self.marks)}"
        return fold.wrong

    def verify(self, lines):
        wrong = self.problems(lines)
        if wrong:
            raise Mismatch("\n".join(f"{t}: {w}" for t, w in wrong.items()))


class Fold:
    """The state of each table as the dumped changes make it, beside the server's at the last mark."""

    def __init__(self, oracle):
        self.oracle, self.marks = oracle, oracle.marks
        self.met = 0
        self.ours, self.server = collections.defaultdict(dict), collections.defaultdict(dict)
        self.touched = collections.defaultdict(set)
        self.wrong = {}

    def definition(self, name):
        """What a row between two marks is to be read with: rows belong to the first mark behind them that speaks of the table."""
        for m in self.marks[self.met:]:
            if name in m.tables or name in m.gone:
                return m.tables.get(name, [None])[0]
        return None

    def line(self, line):
        r = parsed(line)
        if r.get("schema") != self.oracle.db or r["op"] not in ("insert", "update", "delete", "truncate"):
            return
        name = r["table"]
        if name == MARK:
            self.mark(int(r["row"]["n"]))
        elif name not in self.wrong:
            try:
                self.change(self.definition(name), r)
            except (AssertionError, ValueError) as e:
                self.wrong[name] = f"{r['op']} at LSN {r['lsn']}: {e}: {line[:1500]}"

    def change(self, table, r):
        if table is None:
            return
        state = self.ours[table.name]
        if r["op"] == "truncate":
            self.touched[table.name] |= state.keys()
            state.clear()
            return
        new, old = self.image(table, r.get("row")), self.image(table, r.get("old"))
        before = {n: UNKNOWN for n in table.names} if old is None else self.take(table, old)
        if new is not None:
            self.put(table, {**before, **self.stale(table, new), **new})

    def image(self, table, raw):
        if raw is None:
            return None
        extra = raw.keys() - table.by_name.keys()
        assert not extra, f"columns that the server does not have: {sorted(extra)}"
        self.oracle.compared.update(table.by_name[n].type for n in raw)
        return {n: table.by_name[n].of_dump(v) for n, v in raw.items()}

    def take(self, table, old):
        """Removes and returns the row that an old image means. What it says of the row must be so."""
        state, key = self.ours[table.name], table.key_of(old)
        assert state.get(key), f"no such row before: {short(key)}"
        before = state[key].pop()
        if not state[key]:
            del state[key]
        self.touched[table.name].add(key)
        for n, v in old.items():
            assert before[n] in (v, UNKNOWN), f"the old image has {n} = {short(v)}; before it was {short(before[n])}"
        return {**before, **old}

    def stale(self, table, new):
        """MariaDB's after images can lack generated columns whose value has changed: 10.11's virtual ones with a MINIMAL image, 11.8's
        all of them with any image."""
        return {} if table.is_mysql else {c.name: UNKNOWN for c in table.columns if "GENERATED" in c.extra and c.name not in new}

    def put(self, table, row):
        key = table.key_of(row)
        self.touched[table.name].add(key)
        self.ours[table.name].setdefault(key, []).append(row)

    def mark(self, n):
        assert n == self.met + 1, f"mark {n} follows mark {self.met}"
        m, self.met = self.marks[n - 1], n
        for name in m.gone:
            self.ours.pop(name, None), self.server.pop(name, None), self.touched.pop(name, None)
        for name, (table, changed) in m.tables.items():
            ours, server = self.ours[name], self.server[name]
            if name in m.taken:
                server.clear(), ours.clear()
                server.update(changed)
                ours.update({k: list(rows) for k, rows in changed.items()})
                self.touched.pop(name, None)
                continue
            server.update(changed)
            found = []
            for key in self.touched.pop(name, set()) | changed.keys():
                have = ours.get(key, [])
                found += differences(table, key, server.get(key, []), have)
                self.oracle.unknown[name].update(n for row in have for n, v in row.items() if v == UNKNOWN)
            if found:
                self.wrong.setdefault(name, f"at mark {n}: " + "\n".join(found[:5]))


def differences(table, key, want, have):
    if len(want) != len(have):
        return [f"row {short(key)}: {len(want)} at the server, {len(have)} in the slot"]
    return [f"row {short(key)}, {c.name} {c.full}: the server has {short(w[c.name])}, the slot {short(h[c.name])}"
            for w, h in zip(want, have) for c in table.columns if h[c.name] not in (w[c.name], UNKNOWN)]


def short(v):
    v = repr(v)
    return v if len(v) <= 300 else f"{v[:200]} ... {v[-60:]} ({len(v)} characters)"
