"""`rowtide binlog explain` and `rowtide-capture --from-file` on the binlogs that the servers' own test packages ship: each file
either gives the rows that mysqlbinlog prints, or stops with a reason. ROWTIDE_WRITE_DOCS=1 writes the table in docs/."""
import os
import re
import shutil
from pathlib import Path

import pytest

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
    "PARTIAL_UPDATE_ROWS": ("mdev35643_mysql_80_binlog.000001",),
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


def check(found):
    """No reason but the known ones; and what the table in docs/ says is whole, still is."""
    before = dict(re.findall(r"^\| (\S+) \|[^|]*\|[^|]*\| (\d+) \| whole \|", DOC.read_text(), re.M))
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
    check(found)
    if os.environ.get("ROWTIDE_WRITE_DOCS"):
        write_section(family.lower(), section(family, package, found))
