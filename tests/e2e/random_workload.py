#!/usr/bin/python3
"""Random tables, rows, settings and ALTERs on a real server, captured and compared with the server itself (rt/oracle.py).

    random_workload.py --seconds 600 [--seed S] [--server KIND] [--minimal]
    random_workload.py --seed S --round R            # one round again, with everything it writes, as a failure prints it

Rounds are independent of each other: each has a database, tables and a slot of its own, and its own random numbers from (seed, round).
At the end of a round everything that is in the slot is folded and compared at each commit. ROWTIDE_BUILD_MARIADB as for the tests."""
import argparse
import json
import math
import random
import re
import struct
import sys
import time
from pathlib import Path

import pymysql

sys.path.insert(0, str(Path(__file__).parent))
from rt.lab import Lab, World                       # noqa: E402
from rt.oracle import Mismatch, Oracle, quoted      # noqa: E402
from rt.type_cases import CASES, FEATURES           # noqa: E402

LETTERS = [range(0x20, 0x7f), range(0x20, 0x7f), range(0xa0, 0x180), range(0x390, 0x450), range(0x5d0, 0x5ea), range(0xe01, 0xe3a), range(0x3041, 0x30ff),
           range(0x4e00, 0x9f00), range(0xac00, 0xd7a0), range(0x1f300, 0x1f600), range(0, 0x20)]
TEXT = re.compile(r"(VAR)?CHAR|(TINY|MEDIUM|LONG)?TEXT|ENUM|SET")
BYTES = re.compile(r"(VAR)?BINARY|(TINY|MEDIUM|LONG)?BLOB|BIT|VECTOR|GEOM|(MULTI)?(POINT|LINE|POLYGON)|.*SET binary|.*COMPRESSED")
IMAGES = ["FULL", "FULL", "FULL", "FULL_NODUP", "MINIMAL", "NOBLOB"]


def text_literal(r, most):
    n = min(most, int(r.expovariate(0.08)))
    letters = r.choice(LETTERS)
    return "_utf8mb4 x'" + "".join(chr(r.choice(letters if r.random() < 0.9 else LETTERS[0])) for _ in range(n)).encode().hex() + "'"


def bytes_literal(r, most):
    n = min(most, int(r.expovariate(0.02)))
    return "x'" + (bytes(r.choice((0, 255, 32, r.randrange(256))) for _ in range(n)) if r.random() < 0.3 else r.randbytes(n)).hex() + "'"


def moment(r, low=1000):
    date = f"{r.randrange(low, 10000 if low < 1970 else 2038):04}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
    return f"{date} {r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}.{r.randrange(10 ** 6):06}"


def document(r, depth=0):
    kind = r.randrange(12 if depth < 5 else 8)
    if kind < 3:
        return r.choice([None, True, False, 0, -1, 1.5, "", "x", 2 ** 63, -2 ** 63, 2 ** 64 - 1, 65536, -32769])
    if kind < 5:
        return r.randint(-2 ** r.randrange(1, 63), 2 ** r.randrange(1, 64))
    if kind < 6:
        return real(r, "<d")
    if kind < 8:
        return "".join(chr(r.choice(r.choice(LETTERS))) for _ in range(int(r.expovariate(0.03))))
    if kind < 10:
        return [document(r, depth + 1) for _ in range(int(r.expovariate(0.3)))]
    return {"".join(chr(r.choice(r.choice(LETTERS[:4]))) for _ in range(r.randrange(12))): document(r, depth + 1) for _ in range(int(r.expovariate(0.3)))}


def json_change(r, column):
    """In place, as far as the server can: what PARTIAL_JSON logs as differences."""
    def path():
        return quote("$" + "".join(r.choice([f"[{r.randrange(4)}]", "[last]", '."a"', '.""', f'."{chr(r.choice(LETTERS[0][3:50]))}"']) for _ in range(r.randrange(1, 4))).replace('"""', '"\\""'))
    out = f"`{column}`"
    for _ in range(r.choice((1, 1, 2))):
        if r.random() < 0.3:
            out = f"JSON_REMOVE({out}, {path()})"
        else:
            out = f"{r.choice(('JSON_SET', 'JSON_REPLACE'))}({out}, {path()}, {quote(json.dumps(document(r, 3)))}, {path()}, CAST({quote(json.dumps(document(r, 3)))} AS JSON))"
    return out


def real(r, form):
    while True:
        v = struct.unpack(form, r.randbytes(struct.calcsize(form)))[0] if r.random() < 0.7 else round(r.uniform(-1e6, 1e6), r.randrange(6))
        if math.isfinite(v):
            return v


def quote(s):
    return "'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fresh(r, t):
    """A random SQL expression for a column of type t, None when only its edge values are known."""
    size = re.match(r"\w+\((\d+)(?:,(\d+))?\)", t)
    n = int(size[1]) if size else 0
    for name, bits in (("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)):
        if re.match(rf"{name}\b", t):
            top = 1 << r.randrange(1, bits + 1)
            return str(r.randrange(top) if "UNSIGNED" in t else r.randrange(top) - top // 2)
    if t.startswith("DECIMAL"):
        scale = int(size[2] or 0)
        digits = "".join(r.choice("0123456789") for _ in range(n)) if r.random() < 0.7 else "9" * n
        cut = r.randrange(n + 1)
        digits = ("0" * cut + digits)[:n]
        return r.choice(["", "-"]) + digits[:n - scale] + "." + digits[n - scale:] + "0"
    if t.startswith(("FLOAT", "DOUBLE")):
        return repr(real(r, "<f" if t.startswith("FLOAT") and "53" not in t else "<d"))
    if t.startswith("BIT"):
        return str(r.getrandbits(n) >> r.randrange(n))
    if t.startswith("YEAR"):
        return str(r.choice([0, r.randrange(1901, 2156)]))
    if t.startswith("TIMESTAMP"):
        return f"'{moment(r, 1971)}'"
    if t.startswith(("DATETIME", "DATE")):
        return f"'{moment(r)}'"
    if t.startswith("TIME"):
        return f"'{r.choice(['', '-'])}{r.randrange(839)}:{r.randrange(60):02}:{r.randrange(59):02}.{r.randrange(10 ** 6):06}'"
    if re.match(r"(VAR)?CHAR", t) and "SET binary" not in t:
        return text_literal(r, n) if r.random() < 0.9 else f"REPEAT({text_literal(r, 1)}, {r.randrange(n + 1)})"
    if re.match(r"(TINY|MEDIUM|LONG)?TEXT", t):
        return text_literal(r, 60 if t.startswith("TINY") else 3000) if r.random() < 0.8 else f"REPEAT({text_literal(r, 3)}, {r.randrange(20 if t.startswith('TINY') else 9000)})"
    if re.match(r"(VAR)?BINARY|VARCHAR", t):
        return bytes_literal(r, n)
    if re.match(r"(TINY|MEDIUM|LONG)?BLOB", t):
        return bytes_literal(r, 255) if r.random() < 0.8 else f"REPEAT({bytes_literal(r, 9)}, {r.randrange(20 if t.startswith('TINY') else 7000)})"
    if t.startswith("ENUM"):
        return str(r.randrange(t.count("','") + 2))
    if t.startswith("SET"):
        return str(r.getrandbits(t.count("','") + 1))
    if t.startswith("JSON"):
        return quote(json.dumps(document(r), ensure_ascii=r.random() < 0.5))
    if t.startswith(("GEOMETRY", "POINT")) and "COLL" not in t:
        return f"ST_GeomFromText('POINT({real(r, '<d')!r} {real(r, '<d')!r})')"
    if t.startswith("LINESTRING"):
        return "ST_GeomFromText('LINESTRING(" + ",".join(f"{r.randrange(99)} {i}.5" for i in range(r.randrange(2, 30))) + ")')"
    if t.startswith("VECTOR"):
        return "x'" + b"".join(struct.pack("<f", real(r, "<f")) for _ in range(n)).hex() + "'"
    if t.startswith("UUID"):
        h = r.randbytes(16).hex()
        return f"'{h[:8]}-{h[8:12]}-{r.choice('123456789')}{h[13:16]}-{h[16:20]}-{h[20:]}'"
    if t.startswith("INET"):
        return "'" + (".".join(str(r.randrange(256)) for _ in range(4)) if "4" in t else ":".join(f"{r.choice((0, r.randrange(65536))):x}" for _ in range(8))) + "'"
    return None


class Columns:
    """The types that a kind of server has, each with its edge values."""

    def __init__(self, kind, charsets, history):
        self.kind = kind
        self.pool = {}
        for case in CASES:
            if case.applies(kind) and (case.stops is None or (case.stops_on and not history)) and not case.before and not case.extra and not case.label.startswith("1,000"):
                for t, values in case.columns:
                    self.pool.setdefault(re.match(r"\w+", t)[0], []).append((t, values))
        self.charsets = charsets

    def choose(self, r):
        if r.random() < 0.25:           # more character sets than the cases have
            cs = r.choice(self.charsets)
            return r.choice([f"VARCHAR({r.choice((1, 20, 63, 64, 85, 86, 200))})", f"CHAR({r.choice((1, 10, 100))})", "TEXT"]) + f" CHARACTER SET {cs}", []
        t, values = r.choice(self.pool[r.choice(sorted(self.pool))])
        return re.sub(r"\(60000\)|\(12000\)", "(2000)", t), values

    def value(self, r, column):
        t, values = column
        if "NOT NULL" not in t and r.random() < 0.12:
            return "NULL"
        return (r.random() > 0.3 and fresh(r, t)) or (r.choice(values) if values else fresh(r, t))


class Made:
    """A table that the round made: its name, the names of its key, its columns by name."""

    def __init__(self, name, key, columns):
        self.name, self.key, self.columns = name, key, columns


KEYS = [["INT"], ["BIGINT UNSIGNED"], ["SMALLINT", "VARCHAR(20) CHARACTER SET utf8mb4"], ["VARCHAR(30) CHARACTER SET latin1", "INT"], ["BINARY(4)", "INT"],
        ["DATETIME(3)", "INT"], ["DECIMAL(20,5)", "INT"], []]


class Round:
    def __init__(self, lab, seed, number, log=None, minimal=False):
        self.r = random.Random(f"{seed}/{number}")
        self.lab, self.log, self.is_mysql = lab, log, lab.source_kind_is_mysql
        self.connection = lab.source.connect(lab.db)
        self.cursor = self.connection.cursor()
        self.oracle = Oracle(lab.source, lab.db)
        self.options = lab.begin_history() if "history" in FEATURES[lab.kind] or minimal else ("--once",)
        self.tables, self.made, self.transactions, self.refused, self.alters = [], 0, 0, 0, 0
        self.cursor.execute("SHOW CHARACTER SET")
        self.columns = Columns(lab.kind, sorted(x[0] for x in self.cursor.fetchall() if x[0] != "binary"), len(self.options) > 1)

    def run(self, sql):
        """False when the server refused, which is nothing to us."""
        if self.log:
            print(sql[:2000] + ";", file=self.log)
        try:
            self.cursor.execute(sql)
            return True
        except pymysql.err.MySQLError as e:
            if e.args[0] in (0, 2006, 2013):
                raise
            self.refused += 1
            if self.log:
                print(f"-- {e}", file=self.log)
            return False

    # ---- tables
    def create(self):
        r = self.r
        self.made += 1
        key = r.choice(KEYS)
        keys = {f"k{i}": (t, []) for i, t in enumerate(key)}
        columns = {f"c{i}": self.columns.choose(r) for i in range(r.choice((1, 2, 3, 5, 8, 9, 17, 30)))}
        parts = [f"`{n}` {t}" + (" NOT NULL" if n in keys else "") for n, (t, _) in {**keys, **columns}.items()]
        if r.random() < 0.2 and keys:
            parts.append(f"g0 VARCHAR(100) CHARACTER SET utf8mb4 AS (CONCAT('[', `{'k0'}`, ']')) {r.choice(('STORED', 'VIRTUAL'))}")
        r.shuffle(parts)
        if keys:
            parts.append(f"PRIMARY KEY ({', '.join(keys)})")
        name = r.choice(["t{}", "t {}", "T{}ü", "t`{}", "select{}"]).format(self.made)
        if self.run(f"CREATE TABLE {quoted(name)} ({', '.join(parts)}) ENGINE = InnoDB DEFAULT CHARACTER SET {r.choice(('utf8mb4', 'latin1', 'utf8mb3'))}"):
            self.oracle.add(name)
            self.tables.append(Made(name, list(keys), {**keys, **columns}))

    def alter(self):
        r, t = self.r, self.r.choice(self.tables)
        mine = [n for n in t.columns if n not in t.key]
        self.made += 1
        new = self.columns.choose(r)
        place = r.choice(["", " FIRST", f" AFTER `{r.choice(list(t.columns))}`"])
        what = r.randrange(7)
        self.oracle.checkpoint()
        self.alters += 1
        if what in (0, 1) and self.run(f"ALTER TABLE {quoted(t.name)} ADD COLUMN `a{self.made}` {new[0]}{place}"):
            t.columns[f"a{self.made}"] = new
        elif what == 2 and len(mine) > 1:
            gone = r.choice(mine)
            if self.run(f"ALTER TABLE {quoted(t.name)} DROP COLUMN `{gone}`"):
                del t.columns[gone]
        elif what == 3 and mine:
            old = r.choice(mine)
            if self.run(f"ALTER TABLE {quoted(t.name)} CHANGE `{old}` `a{self.made}` {t.columns[old][0]}"):
                t.columns[f"a{self.made}"] = t.columns.pop(old)
        elif what == 4 and mine:
            old = r.choice(mine)
            # Bytes become a text as they are, though they may be no characters: then capture stops.
            if not (TEXT.match(new[0]) and BYTES.match(t.columns[old][0])) and self.run(f"ALTER TABLE {quoted(t.name)} MODIFY `{old}` {new[0]}{'' if old in place else place}"):
                t.columns[old] = new
        elif what == 5:
            if self.run(f"TRUNCATE TABLE {quoted(t.name)}"):
                return                  # an event of its own, compared like one
        elif what == 6:
            name = f"r{self.made}"
            if self.run(f"RENAME TABLE {quoted(t.name)} TO {quoted(name)}"):
                self.oracle.dropped(t.name)
                t.name = name
                self.oracle.add(name)
        self.oracle.altered(t.name)

    # ---- rows
    def key_values(self, t):
        """Few enough that keys meet again."""
        r = self.r
        some = {"I": lambda: str(r.randrange(40)), "B": lambda: str(r.randrange(40)), "S": lambda: str(r.randrange(5)), "V": lambda: r.choice(["''", "'a'", "'ü '", "'Ä'"]),
                "D": lambda: r.choice(["'2020-01-01 00:00:00.5'", "'1999-12-31'"])}
        def one(kind):
            if kind.startswith("BINARY"):
                return r.choice(["x'00'", "x'ff00'", "x'20202020'"])
            return r.choice(["1.5", "-99999999999.00001"]) if kind.startswith("DECIMAL") else some[kind[0]]()
        return {n: one(t.columns[n][0]) for n in t.key}

    def where(self, t):
        r = self.r
        if t.key and r.random() < 0.6:
            return " AND ".join(f"{n} = {v}" for n, v in self.key_values(t).items())
        return r.choice(["TRUE", f"`{r.choice(list(t.columns))}` IS NULL", "RAND(%d) < 0.3" % r.randrange(1000)])

    def change(self, t):
        r = self.r
        mine = [n for n in t.columns if n not in t.key]
        what = r.random()
        if what < 0.5:
            names = mine if r.random() < 0.8 else r.sample(mine, r.randrange(len(mine) + 1))
            rows = []
            for _ in range(r.choice((1, 1, 2, 5, 20))):
                values = {**self.key_values(t), **{n: self.columns.value(r, t.columns[n]) for n in names}}
                rows.append("(" + ", ".join(values.values()) + ")")
            columns = ", ".join(f"`{n}`" for n in [*t.key, *names])
            # MariaDB logs a REPLACE as an update whose image, unless FULL, lacks the columns that it did not name: so it names all.
            how = r.choice(("INSERT", "INSERT IGNORE", "REPLACE" if names == mine else "INSERT"))
            then = f" ON DUPLICATE KEY UPDATE `{names[0]}` = VALUES(`{names[0]}`)" if names and how == "INSERT" and r.random() < 0.3 else ""
            self.run(f"{how} INTO {quoted(t.name)} ({columns}) VALUES {', '.join(rows)}{then}" if columns else f"INSERT INTO {quoted(t.name)} () VALUES ()")
        elif what < 0.9:
            names = r.sample(mine, r.randrange(1, len(mine) + 1)) if mine else []
            sets = {n: self.columns.value(r, t.columns[n]) if "partial" not in FEATURES[self.lab.kind] or not t.columns[n][0].startswith("JSON") or r.random() < 0.4
                    else json_change(r, n) for n in names}
            if t.key and r.random() < 0.15:
                sets.update(self.key_values(t))
            if sets:
                self.run(f"UPDATE {r.choice(('', 'IGNORE '))}{quoted(t.name)} SET {', '.join(f'`{n}` = {v}' for n, v in sets.items())} WHERE {self.where(t)}")
        else:
            self.run(f"DELETE FROM {quoted(t.name)} WHERE {self.where(t)}")

    def settings(self):
        r = self.r
        features = FEATURES[self.lab.kind]
        image = r.choice([i for i in IMAGES if i != "FULL_NODUP" or "nodup" in features])
        self.run(f"SET SESSION binlog_row_image = {image}")
        if "partial" in features:
            self.run(f"SET SESSION binlog_row_value_options = {r.choice(('PARTIAL_JSON', 'DEFAULT')) if image == 'FULL' else 'DEFAULT'}")
        self.run(f"SET SESSION time_zone = '{r.choice(('+00:00', '-11:30', '+14:00' if self.is_mysql else '+13:00'))}'")
        self.run(f"SET SESSION sql_mode = '{r.choice(('', '', '', 'PAD_CHAR_TO_FULL_LENGTH', 'STRICT_ALL_TABLES', 'ALLOW_INVALID_DATES'))}'")
        if self.is_mysql:
            self.run(f"SET SESSION binlog_transaction_compression = {r.choice(('ON', 'OFF'))}")
            self.run(f"SET SESSION binlog_rows_query_log_events = {r.choice(('ON', 'OFF'))}")
        elif r.random() < 0.2:
            self.run(f"SET GLOBAL log_bin_compress = {r.choice(('ON', 'OFF'))}")
            self.run("SET GLOBAL log_bin_compress_min_len = 10")
        if r.random() < 0.02:
            self.run(r.choice(("FLUSH BINARY LOGS", f"SET GLOBAL binlog_checksum = {r.choice(('NONE', 'CRC32'))}")))
        return image

    def transaction(self):
        r, image = self.r, self.settings()
        tables = [t for t in self.tables if t.key or image == "FULL"] or self.tables[:0]
        if not tables:
            return
        explicit = r.random() < 0.7
        if explicit:
            self.run("BEGIN")
        touched = set()
        for _ in range(r.choice((1, 1, 2, 4, 8)) if explicit else 1):
            t = r.choice(tables)
            touched.add(t.name)
            saved = explicit and r.random() < 0.1 and self.run("SAVEPOINT s")
            self.change(t)
            if saved and r.random() < 0.5:
                self.run("ROLLBACK TO s")
        if explicit:
            self.run("COMMIT" if r.random() < 0.9 else "ROLLBACK")
        self.transactions += 1
        self.oracle.checkpoint(*touched)
        if self.log:
            print(f"-- mark {len(self.oracle.marks)}", file=self.log)

    # ---- all of it
    def write(self, transactions):
        r = self.r
        self.run("SET NAMES utf8mb4")
        for _ in range(r.randrange(2, 6)):
            self.run("SET SESSION sql_mode = ''")
            self.create()
        while self.transactions < transactions and (self.tables or self.create() is None):
            x = r.random()
            if x < 0.02:
                self.run("SET SESSION sql_mode = ''")
                self.alter()
            elif x < 0.025:
                self.create()
            elif self.tables:
                self.transaction()
        self.oracle.checkpoint()

    def check(self):
        try:
            self.lab.capture(*self.options).run()
        except AssertionError as e:
            raise Mismatch(str(e)) from e
        self.oracle.verify(self.lab.tool.run("segment", "dump", self.lab.slot, "--format", "json").stdout.split("\n")[:-1])

    def close(self):
        self.run("SET GLOBAL binlog_checksum = CRC32")
        if not self.is_mysql:
            self.run("SET GLOBAL log_bin_compress = OFF")
        self.oracle.close()
        self.connection.close()


def one_round(lab, seed, number, transactions, log=None, minimal=False):
    """Returns the round, compared. Its database goes when all is well."""
    it = Round(lab, seed, number, log, minimal)
    try:
        it.write(transactions)
        it.check()
        lab.source.sql(f"DROP DATABASE {lab.db}")
    except Exception as e:
        raise Mismatch(f"random workload: --server {lab.kind} --seed {seed} --round {number}{' --minimal' if minimal else ''}: {e}") from e
    finally:
        it.close()
    return it


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--seconds", type=float, default=60)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--round", type=int, default=None)
    a.add_argument("--server", default="mysql97", choices=sorted(FEATURES))
    a.add_argument("--transactions", type=int, default=150, help="of a round")
    a.add_argument("--minimal", action="store_true", help="a source without names of columns in its binlog")
    o = a.parse_args()
    seed = o.seed if o.seed is not None else random.SystemRandom().randrange(10 ** 9)
    print(f"random workload: --server {o.server} --seed {seed}", flush=True)
    world, began, number = World(), time.monotonic(), o.round or 0
    done, values = 0, 0
    try:
        while True:
            lab = Lab(world, "libmariadb", o.server)
            if o.minimal:
                if "minimal" not in world.servers:
                    world.servers["minimal"] = world.new_source(o.server, binlog_row_metadata="MINIMAL" if lab.source_kind_is_mysql else "NO_LOG")
                lab.use_source(world.servers["minimal"])
            try:
                it = one_round(lab, seed, number, o.transactions, sys.stdout if o.round is not None else None, o.minimal)
            finally:
                lab.close()
            done, values, number = done + it.transactions, values + sum(it.oracle.compared.values()), number + 1
            print(f"round {number - 1}: {it.transactions} transactions, {it.alters} alters, {it.refused} statements refused, {len(it.oracle.marks)} comparisons, "
                  f"{sum(it.oracle.compared.values())} values; {done} transactions, {values} values in {time.monotonic() - began:.0f} s", flush=True)
            if o.round is not None or time.monotonic() - began > o.seconds:
                break
    finally:
        world.keep = sys.exc_info()[0] is not None
        if world.keep:
            print(f"kept: {world.dir}")
        world.close()


if __name__ == "__main__":
    main()
