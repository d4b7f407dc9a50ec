"""What the round trip of tests/e2e/test_types.py sends: per line of docs/fidelity.md a table, its columns, and SQL expressions of
the edge values. Random bit patterns come from a fixed seed."""
import random
import struct

# What kinds of source have, beyond what all of them do.
FEATURES = {
    "mysql56": {"mysql", "history"},
    "mysql97": {"mysql", "json", "partial", "generated", "invisible", "gipk", "vector", "srs", "compression"},
    "mariadb1011": {"mariadb", "generated", "invisible", "packed", "uuid", "inet", "versioned"},
    "mariadb118": {"mariadb", "generated", "invisible", "packed", "uuid", "inet", "versioned", "vector", "instant2106", "nodup"},
}
TITLES = {"mysql56": "MySQL 5.6", "mysql97": "MySQL 9.7", "mariadb1011": "MariaDB 10.11", "mariadb118": "MariaDB 11.8"}


class Case:
    """columns: [(type, [SQL expressions])]; NULL is added unless the type says NOT NULL. needs: features. before: statements in front of
    CREATE, after: behind. options: of the table. extra: more of its definition. note: what docs/fidelity.md says besides the outcome. stops: capture must
    refuse with this (a pattern), on every kind of source or on those in stops_on."""

    def __init__(self, label, *columns, needs=(), before=(), after=(), options="", note="", extra="", stops=None, stops_on=()):
        self.stops, self.stops_on = stops, stops_on
        self.label, self.columns, self.needs, self.before, self.after = label, columns, set(needs), before, after
        self.options, self.note, self.extra = options, note, extra
        self.table = "c_" + "".join(ch if ch.isalnum() else "_" for ch in label.lower())[:50]

    def applies(self, kind):
        return self.needs <= FEATURES[kind]

    def stops_at(self, kind):
        return self.stops is not None and (not self.stops_on or kind in self.stops_on)

    @property
    def rows(self):
        return max(len(values) for _, values in self.columns) + 1

    def create(self):
        columns = ", ".join(f"c{i} {t}" + ("" if "NULL" in t else " NULL") for i, (t, _) in enumerate(self.columns))
        return f"CREATE TABLE {self.table} (id INT PRIMARY KEY, {columns}{self.extra}) {self.options}"

    def row(self, i, shift):
        """The expressions of row i, after `shift` turns."""
        out = []
        for t, values in self.columns:
            ring = values if "NOT NULL" in t else ["NULL", *values]
            out.append(ring[(i + shift) % len(ring)])
        return out

    def insert(self, i, shift):
        names = ", ".join(f"c{n}" for n in range(len(self.columns)))
        return f"INSERT INTO {self.table} (id, {names}) VALUES ({i}, {', '.join(self.row(i, shift))})"

    def update(self, i, shift):
        sets = ", ".join(f"c{n} = {v}" for n, v in enumerate(self.row(i, shift)))
        return f"UPDATE {self.table} SET {sets} WHERE id = {i}"


def integer(name, bits):
    top = 1 << (bits - 1)
    middle = [1 << n for n in range(0, bits - 1, 5)]
    signed = [-top, top - 1, 0, -1, 1, -top + 1, *middle, *(-m for m in middle)]
    unsigned = [0, 2 * top - 1, top, top - 1, 1, *middle]
    return Case(name, (name, list(map(str, signed))), (f"{name} UNSIGNED", list(map(str, unsigned))),
                (f"{name} UNSIGNED ZEROFILL", list(map(str, unsigned))))


def decimals():
    columns = []
    for p, s in ((1, 0), (1, 1), (5, 2), (9, 0), (9, 9), (10, 0), (10, 2), (18, 0), (18, 9), (18, 18), (19, 0), (19, 19), (20, 10), (30, 10), (30, 30),
                 (38, 9), (38, 30), (56, 28), (64, 1), (65, 0), (65, 30)):
        def text(digits, p=p, s=s):
            digits = digits.rjust(p, "0")
            return digits[:p - s] + ("." + digits[p - s:] if s else "")
        some = [text(d) for d in ("9" * p, "1", "0", "1" + "0" * (p - 1), "1234567890" * 7, "90" * 33)] if p > 1 else [text("9"), text("0"), text("5")]
        some = [x if len(x.replace(".", "")) <= p else text(x.replace(".", "")[:p]) for x in some]
        steps = [text("1" + "0" * n) for n in range(0, p, 9)] + [text("9" * n) for n in range(1, p + 1, 4)]
        values = list(dict.fromkeys(some + steps))
        columns.append((f"DECIMAL({p},{s})", values + ["-" + v for v in values if v.strip("0.")]))
    columns.append(("DECIMAL(65,0) UNSIGNED", ["9" * 65, "0", "1", "1" + "0" * 64]))
    return Case("DECIMAL", *columns)


def reals():
    r = random.Random(8)
    def some(form, width, n):
        while n:
            v = struct.unpack(form, r.getrandbits(width).to_bytes(width // 8, "little"))[0]
            if v - v == 0:
                n -= 1
                yield repr(v)
    single = ["3.4028234663852886e38", "-3.4028234663852886e38", "1.1754943508222875e-38", "1.401298464324817e-45", "-1.401298464324817e-45",
              "1.1754942106924411e-38", "-0e0", "0", "1", "-1", "0.1", "16777216", "16777217", "16777215", "33554430", "8388609.5", "1e10", "1e15", "1e-15",
              "1e20", "123456.789", "0.3333333432674408", "9.999999e-5", "7.038531e-26", *some("<f", 32, 60)]
    double = ["1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "4.9406564584124654e-324", "-4.9406564584124654e-324",
              "2.225073858507201e-308", "-0e0", "0", "1", "-1", "0.1", "0.30000000000000004", "9007199254740993", "9007199254740992", "1e15", "1e16", "1e14", "1e-15", "1e-16",
              "123456789012345678", "5e-324", "9.5367431640625e-7", "1e22", "1e23", "8.41e21", "2e-44", *some("<d", 64, 80)]
    return [Case("FLOAT", ("FLOAT", single), ("FLOAT UNSIGNED", [v for v in single if v[0] != "-"]), ("FLOAT(24)", single[::-1]),
                 ("FLOAT(10,3)", ["1.5", "-1234567.125", "0.001", "-0.001", "0", "9999999"])),
            Case("DOUBLE", ("DOUBLE", double), ("DOUBLE UNSIGNED", [v for v in double if v[0] != "-"]), ("FLOAT(53)", double[::-1]),
                 ("DOUBLE(20,6)", ["1.5", "-12345678901234.123456", "0.000001", "0"]))]


def bits():
    def values(n):
        top = (1 << n) - 1
        return [str(v) for v in dict.fromkeys((0, top, 1, top >> 1, 1 << (n - 1), int("10" * 32, 2) & top, top ^ (0xff & top)))]
    return Case("BIT(1..64)", *((f"BIT({n})", values(n)) for n in range(1, 65)))


def quoted(*values):
    return [f"'{v}'" for v in values]


TIMES = ("00:00:00", "838:59:59", "-838:59:59", "-00:00:01", "24:00:00", "100:00:00", "-23:59:59", "00:00:00.9", "-00:00:00.9", "-00:00:00.1",
         "00:00:00.000001", "-00:00:00.000001", "12:34:56.123456", "-12:34:56.987654", "-01:00:00.5", "838:59:58.999999", "-838:59:58.999999",
         "-00:00:59.99", "-00:59:59.0625", "-255:00:00.00390625", "01:02:03.255", "-01:02:03.256")
DATETIMES = ("2024-02-29 23:59:59.999999", "1000-01-01 00:00:00", "9999-12-31 23:59:59", "0000-00-00 00:00:00", "2010-00-00 01:02:03.000001",
             "2010-01-00 00:00:00", "2010-00-05 23:00:00", "0001-01-01 00:00:00", "0000-01-01 00:00:00", "1969-12-31 23:59:59.5", "1999-12-31 12:34:56.123456",
             "9999-12-31 23:59:59.000001", "2024-06-30 23:59:59.1", "2001-02-03 04:05:06.07")
INSTANTS = ("1970-01-01 00:00:01", "2038-01-19 03:14:07", "0000-00-00 00:00:00", "2000-01-01 00:00:00.999999", "2024-02-29 10:11:12.345678",
            "1970-01-01 00:00:01.000001", "2038-01-19 03:14:06.999999", "2001-09-09 01:46:40", "2024-03-31 02:30:00.5")
DATES = ("2024-02-29", "1000-01-01", "9999-12-31", "0000-00-00", "2010-00-00", "2010-01-00", "2010-00-05", "0001-01-01", "0000-01-01", "1900-02-28", "0000-00-01")


def fractions(name, values, digits=range(7)):
    # Cut, not rounded, so that a value at the end of a range stays inside it.
    def cut(v, n):
        whole, _, part = v.partition(".")
        return whole + ("." + part[:n] if part and n else "")
    return [(f"{name}({n})" if n else name, quoted(*(cut(v, n) for v in values))) for n in digits]


SHAPES = ("POINT(1.5 -2)", "POINT(0 0)", "POINT(-1.7976931348623157e308 4.9e-324)", "LINESTRING(0 0,1 1,2 3)", "POLYGON((0 0,0 10,10 10,10 0,0 0),(2 2,2 4,4 4,4 2,2 2))",
          "MULTIPOINT(1 1,2 2)", "MULTILINESTRING((0 0,1 1),(2 2,3 3))", "MULTIPOLYGON(((0 0,0 1,1 1,0 0)),((5 5,5 6,6 6,5 5)))",
          "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))", "GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT(1 2)),POINT(3 4))")


def shapes(srid):
    return [f"ST_GeomFromText('{s}', {srid})" for s in SHAPES]


def one(shape, *more):
    return [f"ST_GeomFromText('{s}')" for s in SHAPES if s.startswith(shape + "(")] + list(more)


JSON = quoted("{}", "[]", "null", "true", "false", '""', "0", "-1", '"x"') + [
    "'{\"a\": 1, \"b\": [1, 2, {\"c\": null}], \"bb\": \"v\\\\u0001\\\\\"\\\\\\\\ \\\\b\\\\f\\\\n\\\\r\\\\t/ \\\\u2028\"}'",
    "'[32767, 32768, -32768, -32769, 65535, 65536, 2147483647, 2147483648, -2147483648, -2147483649, 4294967295, 4294967296, 9223372036854775807, "
    "9223372036854775808, -9223372036854775808, 18446744073709551615, 18446744073709551616]'",
    "'[1.5, 1.0, 100.0, 1e100, 1e15, 1e16, 1e14, 1e-15, 1e-16, -0.0, 0.0, 0.1, 123456789012345.6, 1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 1e22, 0.30000000000000004]'",
    "JSON_ARRAY(CAST('1.50' AS DECIMAL(10,2)), CAST('-99999999999999999999.1234567890' AS DECIMAL(30,10)), CAST('0' AS DECIMAL(65,30)), CAST(REPEAT('9',65) AS DECIMAL(65,0)))",
    "JSON_ARRAY(CAST('2024-02-29' AS DATE), CAST('-12:34:56.789' AS TIME(3)), CAST('838:59:59' AS TIME), CAST('00:00:00' AS TIME(6)), "
    "CAST('2024-02-29 10:11:12.5' AS DATETIME(6)), TIMESTAMP'2024-01-01 00:00:00', CAST('0000-00-00' AS DATE))",
    "JSON_ARRAY(x'00ff', b'101', CAST(REPEAT('x',80) AS BINARY), YEAR('2024-01-01'), CAST('' AS BINARY))",
    "JSON_ARRAY(REPEAT('a',126), REPEAT('b',127), REPEAT('c',128), REPEAT('d',16383), REPEAT('e',16384))",
    "JSON_OBJECT('k', REPEAT('z', 66000), 'i', 100000, 'j', -5, 'u', 4000000000, 'a', JSON_ARRAY(1, 70000), 'n', NULL, 't', true)",
    "JSON_OBJECT('größe', '€😀', '', 'empty key', 'z', 1, 'aa', 2, 'b', 3, '键', JSON_OBJECT('ж', JSON_ARRAY()))",
    "CONCAT(REPEAT('[', 99), '1', REPEAT(']', 99))",
    "CONCAT('[', REPEAT('{\"key\": [1, -1, \"v\"]},', 3000), '0]')",
    "JSON_QUOTE('just a string')", "CAST(CAST('12.5' AS DECIMAL(5,2)) AS JSON)", "CAST(TIMESTAMP'2024-01-01 00:00:00.25' AS JSON)", "CAST(18446744073709551615 AS JSON)",
    "CAST(1e0 AS JSON)", "CAST(ST_GeomFromText('POINT(1 2)') AS JSON)"]

LONG_ENUM = "ENUM(" + ",".join(f"'m{n}'" for n in range(1, 301)) + ")"
LONG_SET = "SET(" + ",".join(f"'s{n:02}'" for n in range(1, 65)) + ")"

BINARIES = ["x''", "x'00'", "x'ff'", "x'0000'", "x'ff00'", "x'00ff'", "x'20'", "x'2020'", "x'0a0d275c22'", "x'e282ac'", "x'c328'"]


def sizes(*lengths):
    return [f"REPEAT(x'{byte}', {n})" for n in lengths for byte in ("ff", "00")]


def vectors(sql):
    def v(*floats):
        return "x'" + struct.pack(f"<{len(floats)}f", *floats).hex() + "'"
    return Case("VECTOR", ("VECTOR(3)", [v(1, -2.5, 3e10), v(0, 0, 0), v(-0.0, 1.4e-45, 3.4028234663852886e38), v(0.1, 0.2, 0.3)]),
                (f"VECTOR({sql})", ["REPEAT(x'0000803f', %d)" % sql, "REPEAT(x'000080bf', %d)" % sql]), needs=["vector"])


CASES = [
    integer("TINYINT", 8), integer("SMALLINT", 16), integer("MEDIUMINT", 24), integer("INT", 32), integer("BIGINT", 64),
    decimals(), *reals(), bits(),
    Case("YEAR", ("YEAR", ["0", "1901", "2155", "1970", "2000", "'0000'", "'00'"])),
    Case("DATE", ("DATE", quoted(*DATES)), note="with zero and partial dates"),
    Case("TIME(0..6)", *fractions("TIME", TIMES)),
    Case("DATETIME(0..6)", *fractions("DATETIME", DATETIMES)),
    Case("TIMESTAMP(0..6)", *fractions("TIMESTAMP", INSTANTS)),
    Case("TIMESTAMP after 2038", *fractions("TIMESTAMP", ("2106-02-07 06:28:15", "2038-01-19 03:14:08", "2099-12-31 23:59:59.999999")), needs=["instant2106"]),
    Case("CHAR, VARCHAR", ("CHAR(10)", ["''", "'abc '", "'\\0nul'", "'ümläut'", "'😀😀😀😀😀😀😀😀😀😀'", "'q\\'\\\\\"'"]),
         ("CHAR(0)", ["''"]), ("CHAR(255)", ["''", "REPEAT('😀',255)", "REPEAT('x',255)"]),
         ("VARCHAR(63)", ["''", "REPEAT('ü',63)", "' lead and trail  '", "'\\t\\n\\r\\0\\Z'"]), ("VARCHAR(64)", ["''", "REPEAT('😀',64)"]),
         ("VARCHAR(255) CHARACTER SET latin1", ["REPEAT('é',255)", "''"]), ("VARCHAR(256) CHARACTER SET latin1", ["REPEAT('é',256)", "''", "'x'"]),
         ("VARCHAR(12000)", ["REPEAT('😀',12000)", "''", "'x'"]), options="DEFAULT CHARACTER SET utf8mb4"),
    Case("TINYTEXT .. LONGTEXT", ("TINYTEXT", ["''", "REPEAT('x',255)", "'é'"]), ("TEXT", ["''", "REPEAT('x',65535)", "REPEAT('é',300)"]),
         ("MEDIUMTEXT", ["''", "REPEAT('€',30000)", "'m'"]), ("LONGTEXT", ["''", "REPEAT('😀',20000)", "'l'"]), options="DEFAULT CHARACTER SET utf8mb4"),
    Case("BINARY, VARBINARY", ("BINARY(5)", [*BINARIES, "REPEAT(x'ff',5)"]), ("BINARY(1)", ["x'00'", "x'ff'", "x'20'"]), ("BINARY(255)", [*BINARIES, *sizes(255, 254)]),
         ("VARBINARY(255)", [*BINARIES, *sizes(254, 255)]), ("VARBINARY(256)", [*BINARIES, *sizes(255, 256)]), ("VARBINARY(60000)", [*BINARIES, *sizes(256, 60000)]),
         ("VARCHAR(20) CHARACTER SET binary", BINARIES)),
    Case("TINYBLOB .. LONGBLOB", ("TINYBLOB", [*BINARIES, *sizes(255)]), ("BLOB", [*BINARIES, *sizes(255, 256, 65535)]),
         ("MEDIUMBLOB", [*BINARIES, *sizes(65535, 65536)]), ("LONGBLOB", [*BINARIES, *sizes(65536, 1000000)])),
    Case("ENUM", ("ENUM('small','','with space','quote''s','größe','键')", ["1", "2", "3", "4", "5", "6", "'not a member'", "'größe'"]),
         (LONG_ENUM, ["1", "300", "255", "256", "'m128'", "'no'"]), ("ENUM('čaj','káva') CHARACTER SET latin2", ["1", "2", "'no'"]),
         ("ENUM('αβγ','δ') CHARACTER SET greek", ["1", "2"]), ("ENUM('漢','字') CHARACTER SET gbk", ["1", "2"]), ("ENUM('ab','漢') CHARACTER SET ucs2", ["1", "2"]),
         ("ENUM('日','本') CHARACTER SET sjis", ["2", "1"]), options="DEFAULT CHARACTER SET utf8mb4"),
    Case("ENUM, SET with labels beyond the BMP", ("ENUM('😀','b') CHARACTER SET utf8mb4", ["1", "2"]), ("SET('a','𠀋') CHARACTER SET utf32", ["1", "2", "3"]),
         stops="beyond U.FFFF", stops_on=["mysql56"],
         note="where definitions are read from information_schema (MySQL 5.6, or 9.7 with MINIMAL metadata), the server shows `?` for such a character"),
    Case("SET", ("SET('a','b','c d')", ["''", "'a'", "'a,c d'", "7", "'no'"]), (LONG_SET, ["0", "18446744073709551615", "9223372036854775808", "1", "'s33'", "4294967296"]),
         ("SET('é','ü','ß') CHARACTER SET latin1", ["7", "'ü'", "''"]), ("SET('1','2','3','4','5','6','7','8','9')", ["511", "256", "255"]),
         ("SET('漢','字') CHARACTER SET big5", ["3", "2", "0"]), ("SET('x','ж') CHARACTER SET utf16", ["3", "2", "0"]), options="DEFAULT CHARACTER SET utf8mb4"),
    Case("JSON", ("JSON", JSON), ("JSON NOT NULL", JSON), needs=["json"], note="the server's own text, keys in its order. In a dump and in JSON Lines the document `null` looks like NULL"),
    Case("JSON as MariaDB has it", ("JSON", quoted('{"a" :1}', "[]", '"x"', "null", '{"b":[1,2.50,-0]}')), needs=["mariadb"], note="a LONGTEXT; the text as it was written"),
    Case("GEOMETRY", ("GEOMETRY", shapes(0)), ("POINT", one("POINT")), ("LINESTRING", one("LINESTRING")), ("POLYGON", one("POLYGON")), ("MULTIPOINT", one("MULTIPOINT")),
         ("MULTILINESTRING", one("MULTILINESTRING")), ("MULTIPOLYGON", one("MULTIPOLYGON")), ("GEOMETRYCOLLECTION", one("GEOMETRYCOLLECTION")), note="all eight types, nested; SRID and WKB"),
    Case("GEOMETRY with SRID", ("GEOMETRY", ["ST_GeomFromText('POINT(1 2)', 4326)", "ST_GeomFromText('LINESTRING(0 0,1 1)', 3857)", "ST_GeomFromText('POINT(3 4)', 0)"]),
         ("POINT", ["ST_GeomFromText('POINT(10 20)', 4326)"])),
    Case("GEOMETRY in a declared SRID", ("POINT NOT NULL SRID 4326", ["ST_GeomFromText('POINT(10 20)', 4326)", "ST_GeomFromText('POINT(-90 180)', 4326)"]),
         ("GEOMETRY NOT NULL SRID 3857", ["ST_GeomFromText('POINT(1 2)', 3857)"]), needs=["srs"], extra=", SPATIAL INDEX (c0)"),
    vectors(500),
    Case("UUID", ("UUID", quoted("123e4567-e89b-12d3-a456-426655440000", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
                                "123e4567-e89b-42d3-a456-426655440000", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")), needs=["uuid"], note="the binlog has it as BINARY(16), without saying that it is a UUID: 16 bytes in the order of the text"),
    Case("INET4", ("INET4", quoted("0.0.0.0", "10.0.0.1", "255.255.255.255", "1.2.3.0")), needs=["inet"], note="the binlog has them as BINARY(4) and BINARY(16): the address in network order"),
    Case("INET6", ("INET6", quoted("::", "::1", "2001:db8::ff00:42:8329", "::ffff:10.0.0.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::")), needs=["inet"], note="the binlog has them as BINARY(4) and BINARY(16): the address in network order"),
    Case("COMPRESSED columns", ("VARCHAR(300) COMPRESSED CHARACTER SET latin1", ["''", "'é'", "REPEAT('é!',150)"]), ("VARCHAR(10000) COMPRESSED", ["''", "'é'", "REPEAT('€!',5000)"]),
         ("TINYTEXT COMPRESSED", ["''", "REPEAT('x',200)", "'y'"]), ("TEXT COMPRESSED", ["''", "REPEAT('€uro ',1000)"]), ("MEDIUMTEXT COMPRESSED", ["REPEAT('a',100000)", "''"]),
         ("LONGTEXT COMPRESSED", ["REPEAT('b',100000)", "'short'"]), ("VARBINARY(300) COMPRESSED", [*BINARIES, *sizes(100, 255)]), ("TINYBLOB COMPRESSED", [*BINARIES, *sizes(200)]),
         ("BLOB COMPRESSED", [*BINARIES, *sizes(300, 60000)]), ("LONGBLOB COMPRESSED", [*BINARIES, *sizes(70000)]), needs=["packed"], options="DEFAULT CHARACTER SET utf8mb4"),
    Case("temporals of before 5.6", ("TIME", quoted(*(t.partition(".")[0] for t in TIMES))), ("DATETIME", quoted(*(d.partition(".")[0] for d in DATETIMES))),
         ("TIMESTAMP", quoted(*(d.partition(".")[0] for d in INSTANTS))), ("DATE", quoted(*DATES)), ("YEAR", ["0", "1901", "2155"]),
         needs=["mariadb"], before=["SET GLOBAL mysql56_temporal_format = OFF"], after=["SET GLOBAL mysql56_temporal_format = ON"]),
    Case("the same with fractions", *fractions("TIME", TIMES, range(1, 7)), *fractions("DATETIME", DATETIMES, range(1, 7)), *fractions("TIMESTAMP", INSTANTS, range(1, 7)),
         needs=["mariadb"], before=["SET GLOBAL mysql56_temporal_format = OFF"], after=["SET GLOBAL mysql56_temporal_format = ON"],
         stops="event=preflight check=old_times .*c_the_same_with_fractions",
         note="the binlog has no word of how many digits these columns have. "
              "`ALTER TABLE ... FORCE` with `mysql56_temporal_format = ON` brings them into today's form"),
    Case("generated columns", ("INT", ["1", "-5", "2147483647"]), ("VARCHAR(20)", ["'abc'", "''", "'größe'"]), needs=["generated"], options="DEFAULT CHARACTER SET utf8mb4",
         extra=", v BIGINT AS (c0 + 1) VIRTUAL, s BIGINT AS (c0 * 2) STORED, u VARCHAR(40) AS (CONCAT(c1, '!')) STORED, w VARCHAR(40) AS (UPPER(c1)) VIRTUAL",
         note="MySQL: always sent. MariaDB 10.11 leaves the new values of VIRTUAL columns out of updates with a MINIMAL image. MariaDB 11.8 leaves all "
              "generated columns out of every update and delete, whatever the image: they are absent in the slot, and a destination that has them as plain "
              "columns keeps the old value; generate them there, or drop them in the transform"),
    Case("INVISIBLE columns", ("INT INVISIBLE", ["1", "2"]), ("VARCHAR(20)", ["'a'", "'b'"]), needs=["invisible"]),
    Case("1,000 columns and more", *([("INT", ["1", "-1"]), ("VARCHAR(3)", ["'x'", "''", "'abc'"]), ("TINYINT UNSIGNED", ["255"])] * 336)),
]
