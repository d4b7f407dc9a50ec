"""`rowtide binlog explain` and `rowtide-capture --from-file` on the binlogs that the servers' own test packages ship: each file
either gives the rows that mysqlbinlog prints, or stops with a reason. ROWTIDE_WRITE_DOCS=1 writes the table in docs/."""
import os
import re
import shutil
from pathlib import Path

import pytest

import workload

from rt.lab import is_change
from rt.mysqlbinlog import Explained, binlogs, command, compare, read_rows
from rt.util import REPO

ONE = pytest.mark.combos("libmariadb-mysql97")
DOC = REPO / "docs/binlog-coverage.md"

# What ends a file early, and why that is right. Files of later packages may stop with any reason.
STOPS = {
    "encrypted": ("rpl_nogtid_encryption_master-bin.000002", "binlog_before_20574.bin"),
    "wrong checksum": ("duplicate_xid.000001", "duplicate_xid_ddl.000001", "duplicate_xid_xa_prepare.000001",
                       "malformed_xid_xa_commit.000001", "malformed_xid_xa_rollback.000001", "mdev-39404-binlog.000001"),
    "ends inside an event": ("binlog_truncated_event.000001",),
    "before MySQL 5.0": ("bug47142_master-bin.000001", "trunc_binlog.000001", "binlog_old_version_4_1.000001"),
    "before it was released": ("bug32407.001", "ver_5_1-telco.001", "ver_5_1_17.001", "ver_5_1-wl2325_r.001", "ver_5_1-wl2325_s.001"),
    "only version 4 with 19 is read": ("mdev-4645-binlog_checksum.binlog", "mdev-4645-binlog_group_id.binlog",
                                       "mdev-4645-binlog_group_id_checksum.binlog"),
    "truncated": ("corrupt-relay-bin.000624",),
    "no TABLE_MAP": ("invalid_row_v2_tag.001",),
}


def one_file(lab, path):
    """A line of the table: what became of one file."""
    here = lab.dir / "file"         # /tmp: where the sid root can see it
    shutil.copy(path, here)
    explained = Explained(lab.build, here)
    version = next((e["server_version"] for e in explained.events if "server_version" in e), "")
    tried = []
    for mariadb in sorted((True, False), reverse="MariaDB" in version):     # rows of MySQL 5.1 are printed by MariaDB's tool only
        rows, _, complaint = read_rows(command(mariadb, here))
        try:
            n = compare(explained, rows, mariadb)
            break
        except AssertionError as e:
            tried.append(f"{'mariadb-binlog' if mariadb else 'mysqlbinlog'}: {e} ({complaint[:200]})")
    else:
        raise AssertionError(f"{path}:\n" + "\n".join(tried))
    capture, log = from_file(lab, explained, here)
    assert capture != "captured" or not explained.problem() or n == 0, f"{path}: captured, but explain says {explained.problem()}"
    return {"file": path.name.replace("%", "/"), "version": version.split("-log")[0], "events": len(explained.events), "rows": n,
            "problem": (explained.problem() or "").replace(f"{here}:", "").replace(str(here), "the file"), "capture": capture,
            "log": log.replace(f"{here}:", "at ").replace(str(here), "the file")}


def from_file(lab, explained, path):
    """Captures the file; with FULL metadata and nothing that stops it, the slot must hold the rows that explain shows."""
    slot = lab.dir / "slot-of-file"
    shutil.rmtree(slot, ignore_errors=True)
    log = lab.daemon("rowtide-capture", ["--from-file", path, "--slot", slot], "from-file").run(code=None)
    error = re.search(r'event=error .*?msg="((?:[^"\\]|\\.)*)"', log)
    if error:
        return "stops", error[1].replace('\\"', '"')
    if explained.full_metadata and any(e.get("row_count") for e in explained.events):
        ours = [(c["table"], c.get("row"), c.get("old")) for c in lab.tool.dump(slot) if is_change(c)]
        theirs = [(t.split(".", 1)[1], c.get("row"), c.get("old")) for t, _, c in explained.rows()]
        assert ours == theirs, f"{path}: the slot has {ours[:3]}..., explain shows {theirs[:3]}..."
    return "captured", ""


def check(family, found):
    """No reason but the known ones; and what the table in docs/ says is whole, still is."""
    text = DOC.read_text().split(f"<!-- {family} -->")[1].split("<!-- end")[0]
    before = dict(re.findall(r"^\| (\S+) \|[^|]*\|[^|]*\| (\d+) \| whole \|", text, re.M))
    known = {name: reason for reason, names in STOPS.items() for name in names}
    for f in found:
        base = f["file"].rsplit("/", 1)[-1]
        if base in known and f["problem"]:
            assert known[base] in f["problem"], f
        if f["file"] in before:
            assert not f["problem"] and f["rows"] >= int(before[f["file"]]), f


def short(text, n=230):
    text = re.sub(r"\s+", " ", text.replace("|", "\\|"))
    return text if len(text) <= n else text[:n].rsplit(" ", 1)[0] + " ..."


def section(family, package, found):
    equal = [f for f in found if not f["problem"]]
    out = [f"## {family}: {package}", "",
           f"{len(found)} files; {len(equal)} are shown whole, with {sum(f['rows'] for f in found)} rows in all as mysqlbinlog prints them.", "",
           "| file | server | events | rows equal | shown | captured from file |", "| --- | --- | --- | --- | --- | --- |"]
    for f in sorted(found, key=lambda f: f["file"]):
        shown = "whole" if not f["problem"] else "stops: " + short(f["problem"])
        captured = "yes" if f["capture"] == "captured" else "stops: " + short(f["log"])
        out.append(f"| {f['file']} | {f['version']} | {f['events']} | {f['rows']} | {shown} | {captured} |")
    return "\n".join(out) + "\n"


def write_section(name, text):
    """Replaces what lies between the markers of this section."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->\n"
    doc = DOC.read_text()
    head, rest = doc.split(begin)
    DOC.write_text(head + begin + text + end + rest.split(end)[1])


@ONE
@pytest.mark.parametrize("family,package,least", [("MySQL", "mysql-testsuite of Debian sid", 55),
                                                  ("MariaDB", "mariadb-test and mariadb-test-data of Debian 12", 20)])
def test_shipped_binlogs(lab, family, package, least):
    directory = binlogs() / family.lower()
    found = [one_file(lab, p) for p in sorted(directory.iterdir())]
    assert len(found) >= least, f"{len(found)} binlogs in {directory}"
    assert sum(f["rows"] for f in found) >= 80
    check(family.lower(), found)
    if os.environ.get("ROWTIDE_WRITE_DOCS"):
        write_section(family.lower(), section(family, package, found))


# ---- binlogs of servers that run here

def files_of(lab, to):
    """Copies of the source's binlog files, in order, where the sid root can see them."""
    to.mkdir(exist_ok=True)
    out = []
    for name in lab.source.binlogs():
        shutil.copy(lab.source.data / name, to / name)
        out.append(to / name)
    return out


def capture_files(lab, slot, files, *more, code=0):
    """One run; its log."""
    return lab.daemon("rowtide-capture", ["--from-file", *files, "--slot", slot, "--tables", f"{lab.db}.*", *more], "files").run(code=code)


def content(lab, slot):
    return [{k: v for k, v in c.items() if k != "lsn"} for c in lab.changes(slot)]


def three_files(lab, **options):
    lab.own_source(**options)
    lab.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), n BIGINT UNSIGNED)", "CREATE TABLE u (id INT PRIMARY KEY)")
    for part in range(3):
        lab.sql(*[f"INSERT INTO t VALUES ({part * 100 + i}, 'part {part}', {2**64 - 1 - i})" for i in range(20)],
                f"UPDATE t SET v = CONCAT(v, '!') WHERE id % 3 = {part}", f"DELETE FROM t WHERE id % 7 = {part}",
                f"INSERT INTO u VALUES ({part})", *(["FLUSH BINARY LOGS"] if part < 2 else []))


TWO = pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb1011")


@TWO
def test_from_file_equals_live(lab):
    """The same slot from the files as from the server; one more file at a time, the last one torn at first."""
    three_files(lab)
    lab.capture("--once").run()
    live = content(lab, lab.slot)
    files = files_of(lab, lab.dir / "logs")
    capture_files(lab, lab.dir / "whole", files)
    assert content(lab, lab.dir / "whole") == live
    slot = lab.dir / "bit-by-bit"
    for n in range(1, len(files)):
        capture_files(lab, slot, files[:n])
    got = content(lab, slot)
    assert 0 < len(got) < len(live) and got == live[:len(got)]
    # The server still writes the last file: it may end anywhere, here inside the last commit.
    last = [e["offset"] for e in Explained(lab.build, files[-1]).events if e["type"] == "XID"][-1]
    torn = lab.dir / "torn" / files[-1].name
    torn.parent.mkdir()
    torn.write_bytes(files[-1].read_bytes()[:last + 24])
    log = capture_files(lab, slot, files[1:-1] + [torn])
    assert "event=torn_event" in log and "event=unfinished_transaction" in log
    assert content(lab, slot) == live[:-1]
    for _ in range(2):      # the rest, and then nothing more
        capture_files(lab, slot, files)
        assert content(lab, slot) == live
    # A file that is missing in between is noticed (I3).
    log = capture_files(lab, lab.dir / "gap", [files[-3], files[-1]], code=1)
    assert "came before this place" in log
    # Only what follows a set, or a place.
    gtids = [r["gtid"] for r in lab.tool.dump(slot) if r["op"] == "begin"]
    border = next(r["end"] for r in lab.tool.dump(slot) if r["op"] == "commit" and r["file"] == files[-1].name)
    capture_files(lab, lab.dir / "place", files, "--start", f"file:{files[-1].name}:{border}")
    got = content(lab, lab.dir / "place")
    assert got == live[-len(got):] and len(got) > 20 and gtids


@pytest.mark.combos("libmariadb-mysql97")
def test_from_file_without_gtids(lab):
    """By file and offset: a resume needs the file at which the last run ended."""
    three_files(lab, gtid_mode="OFF", enforce_gtid_consistency="OFF")
    files = files_of(lab, lab.dir / "logs")
    capture_files(lab, lab.dir / "whole", files)
    whole = content(lab, lab.dir / "whole")
    assert len(whole) > 60
    for n in range(1, len(files) + 1):
        capture_files(lab, lab.slot, files[max(0, n - 2):n])
    assert content(lab, lab.slot) == whole
    capture_files(lab, lab.slot, files[-1:])
    assert content(lab, lab.slot) == whole
    assert "none of the files given is" in capture_files(lab, lab.slot, files[:1], code=1)
    assert "the next file given is" in capture_files(lab, lab.dir / "gap", [files[-3], files[-1]], code=2)


@ONE
def test_from_file_refused(lab):
    """Contradicting options, and files that hold nothing that can be read."""
    lab.slot.parent.mkdir(exist_ok=True)
    os.mkfifo(lab.dir / "pipe")
    fixture = REPO / "tests/fixtures/mysql-9.7.4.binlog"
    cases = [(["--from-file", fixture, "--source", "mysql://x@127.0.0.1/"], 2, "exclude each other"),
             (["--source", "mysql://x@127.0.0.1/", fixture], 2, "unexpected argument"),
             (["--from-file", fixture, "--schema-server", "mysql://x@127.0.0.1/"], 2, "--schema-server needs --source"),
             (["--source", "mysql://x@127.0.0.1:1/", "--schema-server", "mysql://x@127.0.0.1:1/", "--once"], 3, "127.0.0.1"),
             (["--from-file", fixture, "--start", "now"], 2, "earliest"),
             (["--from-file", lab.dir / "missing"], 1, "missing"),
             (["--from-file", Path(__file__)], 1, "no binlog file"),
             (["--from-file", lab.dir / "pipe"], 2, "pipe is not a regular file"),
             (["--from-file", lab.dir], 2, "is not a regular file"),
             (["--from-file", fixture], 1, "statement format")]
    for args, code, words in cases:
        log = lab.daemon("rowtide-capture", [*args, "--slot", lab.slot], "refused").run(code=code)
        assert words in log, f"{args}: {log}"
    # The damage of one byte is named with its place, and nothing behind it is printed.
    damaged = lab.dir / "damaged"
    body = bytearray(fixture.read_bytes())
    body[1100] ^= 1
    damaged.write_bytes(body)
    lab.tool.run("binlog", "explain", lab.dir / "pipe", code=2)
    p = lab.tool.run("binlog", "explain", damaged, "--rows", code=1)
    assert "checksum BAD" in p.stdout and "damaged:1000:" in p.stderr and "\n1178.." not in p.stdout
    assert "no event of" in lab.tool.run("binlog", "explain", f"{fixture}:1001", code=2).stderr
    out = lab.tool.run("binlog", "explain", f"{fixture}:1000", "--rows", "--limit", "1").stdout
    assert out.startswith("1000..1178 WRITE_ROWS") and "y0=2155" in out and out.count("checksum") == 1


@TWO
def test_sysbench_against_mysqlbinlog(lab):
    """Every row of a sysbench load, half of it in compressed events, as mysqlbinlog prints it. ROWTIDE_DIFF_SECONDS=300: longer."""
    seconds = int(os.environ.get("ROWTIDE_DIFF_SECONDS", "0"))
    lab.own_source(max_binlog_size="32M")
    lab.sql(f"CREATE USER sbtest@localhost IDENTIFIED BY '{workload.PASSWORD}'", "GRANT ALL ON *.* TO sbtest@localhost")
    size = ["--tables=3", "--table-size=400"]
    limit = [f"--time={seconds}", "--events=0"] if seconds else ["--events=400", "--time=60"]
    workload.finish(workload.sysbench(lab, "prepare", *size))
    workload.finish(workload.sysbench(lab, "run", *size, *limit))
    lab.sql("SET GLOBAL " + ("binlog_transaction_compression = ON" if lab.source_kind_is_mysql else "log_bin_compress = ON"), "FLUSH BINARY LOGS")
    workload.finish(workload.sysbench(lab, "run", *size, *limit))
    rows = 0
    for f in files_of(lab, lab.dir / "logs"):
        explained = Explained(lab.build, f)
        assert explained.problem() is None, explained.problem()
        mariadb = not lab.source_kind_is_mysql
        rows += compare(explained, read_rows(command(mariadb, f))[0], mariadb)
    assert rows > 3000, rows
