"""What `mysqlbinlog -v --base64-output=decode-rows` prints of a binlog's rows, against `rowtide binlog explain --rows --json`.

Our value is written as the other tool would print it, and the texts are compared: the other way round is ambiguous
(MariaDB's does not escape backslashes). Normalised are only what either leaves open: signs of negative numbers, trailing
zero bytes of BINARY, JSON's spelling. What mysqlbinlog itself cannot print ("!! Don't know how to handle column type",
JSON_REPLACE and the like) is left out."""
import base64
import codecs
import json
import re
import struct
import subprocess
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

from .programs import environment
from .util import REPO, SID

HEAD = re.compile(rb"^### (INSERT INTO|UPDATE|DELETE FROM) `(.*)`\.`(.*)`$")
CELL = re.compile(rb"^###   @(\d+)=(.*)$", re.S)
DONT_KNOW = b"!! Don't know how to handle column type"
CODECS = {"latin1": "cp1252", "utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "ascii": "ascii", "cp1251": "cp1251",
          "latin2": "iso8859-2", "ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be",
          "greek": "iso8859-7", "hebrew": "iso8859-8", "koi8r": "koi8-r", "koi8u": "koi8-u", "cp850": "cp850", "cp1250": "cp1250",
          "gbk": "gbk", "gb18030": "gb18030", "euckr": "cp949", "latin5": "iso8859-9", "latin7": "iso8859-13"}


class Row:
    """One change as mysqlbinlog printed it: images [old, new] of {column number: text}."""

    def __init__(self, op, table):
        self.op, self.table, self.images, self.cut = op, table, [], False


def command(mariadb, path):
    """The tool of the server's family; MySQL's runs inside the sid root, which sees the repository and /tmp."""
    if mariadb:
        return [str(binlogs() / "bin/mariadb-binlog"), "--no-defaults", "-v", "--base64-output=decode-rows", str(path)]
    return [str(SID), "run", "/usr/bin/mysqlbinlog", "--no-defaults", "-v", "--base64-output=decode-rows", str(path)]


def binlogs():
    """The directory of tests/tools/binlogs.sh."""
    return Path(subprocess.run([str(REPO / "tests/tools/binlogs.sh")], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def read_rows(argv):
    """(rows, exit code, what it complained about)"""
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    rows, image = [], None
    for line in p.stdout.split(b"\n"):
        if not line.startswith(b"### ") or line.startswith(b"### Extra row "):
            continue
        head, cell = HEAD.match(line), CELL.match(line)
        if head:
            rows.append(Row(head[1].split()[0].decode().lower(), head[2] + b"." + head[3]))
        elif line in (b"### SET", b"### WHERE"):
            image = {}
            rows[-1].images.append(image)
        elif cell and cell[2].startswith(DONT_KNOW):
            rows[-1].cut = True
        elif cell:
            image[int(cell[1])] = cell[2]
        else:
            raise AssertionError(f"mysqlbinlog printed {line!r}")
    return rows, p.returncode, p.stderr.decode(errors="replace").strip()


# ---- our values as mysqlbinlog prints them

def quoted(raw, mariadb):
    out = bytearray(b"'")
    escapes = {} if mariadb else {0x5C: b"\\\\", 0x27: b"\\'", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x08: b"\\b", 0x0C: b"\\f"}
    for b in raw:
        out += escapes.get(b) or (b"\\x%02x" % b if b < 0x20 else bytes([b]))
    return bytes(out + b"'")


def to_charset(text, charset):
    if charset == "latin1":     # cp1252 with its holes filled
        return b"".join(bytes([ord(c)]) if ord(c) in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else c.encode("cp1252") for c in text)
    return text.encode(CODECS[charset])


def bits(value, n):
    return b"b'" + format(value, f"0{n}b").encode() + b"'"


def instant(text):
    """RFC 3339 to seconds with the same fraction; MySQL's zero timestamp is 0."""
    if text.startswith("0000"):
        return b"0" + (b"." + text[20:-1].encode() if len(text) > 20 else b"")
    seconds = int(datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp())
    return str(seconds).encode() + (text[19:-1].encode())


def integer(v, size):
    """A negative reading comes with the unsigned one."""
    signed = v - (1 << size) if v >= 1 << (size - 1) else v
    return b"%d" % v if signed >= 0 else b"%d (%d)" % (signed, signed + (1 << size))


INT_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}


def same(column, value, printed, mariadb):
    """None, or what mysqlbinlog should have printed."""
    kind = re.match(r"[a-z]+", column["type"])[0]
    if printed.startswith((b"JSON_REPLACE(", b"JSON_INSERT(", b"JSON_REMOVE(")) or value is None:
        want = printed if value is not None else b"NULL"
    elif kind in INT_BITS:
        want = integer(value, INT_BITS[kind])
    elif kind in ("enum", "set") and "labels" not in column:       # without labels: the number
        want = b"%d" % value if kind == "enum" else bits_of_set(value, column["bits"] // 8)
    elif kind == "enum":
        want = b"%d" % (column["labels"].index(value) + 1) if value in column["labels"] else b"0"
        want = printed if printed == b"0" and value == "" else want   # the invalid value, or a label without characters
    elif kind == "set":
        n = (len(column["labels"]) + 7) // 8
        want = bits_of_set(sum(1 << column["labels"].index(x) for x in value), 8 if n > 4 else n)
    elif kind == "bit":
        want = bits(value, column["bits"])
    elif kind == "year":
        want = b"%d" % (int(value) or 1900)
    elif kind == "float":
        want = b"%g" % struct.unpack("f", struct.pack("f", float(value)))[0]
        printed = printed.strip()
    elif kind == "double":
        want = b"%.20g" % float(value)
    elif kind == "decimal":
        want = value.encode()
        printed = printed if Decimal(printed.decode()) != Decimal(value) else want
    elif kind == "date":
        want = b"'" + value.replace("-", ":").encode() + b"'"
    elif kind in ("time", "datetime"):
        want = b"'" + value.encode() + b"'"
        printed = printed if printed.startswith(b"'") else b"'" + printed + b"'"   # old formats come without
    elif kind == "timestamp":
        want = instant(value)
    elif kind == "json":
        text = json.loads(unquoted(printed), parse_float=str, parse_int=str)
        return None if text == strings(value) else json.dumps(value).encode()
    elif kind == "vector" and not mariadb:
        raw = base64.b64decode(value)
        want = b"[" + b",".join(b"%.5e" % x for x in struct.unpack(f"<{len(raw) // 4}f", raw)) + b"]"
    elif "charset" in column:
        want = quoted(to_charset(value, column["charset"]), mariadb)
    else:
        raw = base64.b64decode(value)
        want = quoted(raw.rstrip(b"\0") if kind == "binary" else raw, mariadb)
    return None if want == printed else want


def bits_of_set(value, size):
    return b"b'" + b"".join(format(x, "08b").encode() for x in value.to_bytes(size, "little")) + b"'"


def unquoted(printed):
    return codecs.escape_decode(printed[1:-1])[0]


def strings(v):
    """Numbers as their text."""
    if isinstance(v, dict):
        return {k: strings(x) for k, x in v.items()}
    if isinstance(v, list):
        return [strings(x) for x in v]
    return v


# ---- the two sides

class Explained:
    """The events of a file as `rowtide binlog explain` prints them."""

    def __init__(self, build, path):
        p = subprocess.run(build.argv("rowtide", "binlog", "explain", path, "--rows", "--json"), stdin=subprocess.DEVNULL,
                           capture_output=True, env=environment(None))
        self.errors, self.code = p.stderr.decode(errors="replace").strip(), p.returncode
        assert "Sanitizer" not in self.errors and "runtime error" not in self.errors, self.errors
        self.events = [json.loads(line, parse_float=NumberText) for line in p.stdout.decode().splitlines()]

    @property
    def full_metadata(self):
        return all(e.get("metadata") != "MINIMAL" for e in self.events)

    def problem(self):
        """The first reason why the rest is not shown, or None."""
        for e in self.events:
            if "problem" in e:
                return e["problem"]
        return self.errors.split("rowtide binlog explain: ", 1)[-1] if self.code else None

    def rows(self):
        """(columns, change) up to the first problem."""
        tables = {}
        for e in self.events:
            if e["number"] == 19 and "columns" in e:
                tables[e["table_id"]] = e["columns"]
            for change in e.get("rows", ()):
                yield e["table"], tables[e["table_id"]], change
            if "problem" in e:
                return


class NumberText(str):
    """A number that is no integer, as it was written."""


def compare(explained, printed, mariadb):
    """Number of rows that agree; AssertionError at the first that does not. Up to the first problem of ours."""
    n = skip = 0
    it = iter(printed)
    for table, columns, change in explained.rows():
        if skip:                # mysqlbinlog gave up inside this event's rows
            skip -= 1
            continue
        row = next(it, None)
        assert row is not None, f"row {n + 1}, {table} {change}: mysqlbinlog printed only {n} rows"
        assert row.table.decode(errors="replace") == table, f"row {n + 1}: {row.table!r}, not {table}"
        images = [change[k] for k in ("old", "row") if k in change]
        if not row.cut:
            assert len(images) == len(row.images), f"row {n + 1}, {table}: {change} against {row.images}"
        for image, texts in zip(images, row.images):
            for i, column in enumerate(columns, 1):
                if i not in texts and row.cut:
                    break
                assert (column["name"] in image) == (i in texts), f"row {n + 1}, {table}: column {i} is on one side only"
                if i in texts:
                    want = same(column, image[column["name"]], texts[i], mariadb)
                    assert want is None, (f"row {n + 1}, {table}, column {i} {column}: mysqlbinlog prints {texts[i][:300]!r}, "
                                          f"we have {str(image[column['name']])[:300]!r}, which would be {want[:300]!r}")
        n += 1
    rest = len(list(it))
    assert explained.problem() or rest == 0, f"mysqlbinlog printed {rest} more rows than our {n}"
    return n
