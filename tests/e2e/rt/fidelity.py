"""docs/fidelity.md: its tables, and how a test holds its cells to what it found. ROWTIDE_WRITE_FIDELITY=1 writes instead."""
import os

import pymysql

from .type_cases import TITLES
from .util import REPO

FIDELITY = REPO / "docs/fidelity.md"
SECTIONS = ("Types", "Character sets", "Tables and sessions", "Events")

ALL, MARIADB, MYSQL, NEW = set(TITLES), {"mariadb1011", "mariadb118"}, {"mysql56", "mysql97"}, {"mysql97"}
# label -> (which servers have it, as SHOW BINLOG EVENTS names it, note)
EVENTS = {
    "FORMAT_DESCRIPTION": (ALL, {"Format_desc"}, ""),
    "ROTATE": (ALL, {"Rotate"}, "a real one in the file, an artificial one in front of each file and in answer to each dump"),
    "STOP": (ALL, {"Stop"}, ""),
    "HEARTBEAT": (ALL, set(), "never in a file: seen by its effect. Version 1 from MariaDB, 2 from MySQL"),
    "PREVIOUS_GTIDS": (MYSQL, {"Previous_gtids"}, ""),
    "GTID": (ALL, {"Gtid"}, "each family its own"),
    "GTID_TAGGED": (NEW, {"Gtid_tagged_log_event"}, ""),
    "ANONYMOUS_GTID": (NEW, {"Anonymous_Gtid"}, ""),
    "GTID_LIST": (MARIADB, {"Gtid_list"}, ""),
    "BINLOG_CHECKPOINT": (MARIADB, {"Binlog_checkpoint"}, ""),
    "START_ENCRYPTION": (MARIADB, {"Start_encryption"}, "MySQL encrypts its files without an event"),
    "QUERY": (ALL, {"Query"}, "DDL, BEGIN, COMMIT, SAVEPOINT"),
    "QUERY_COMPRESSED": (MARIADB, {"Query_compressed"}, ""),
    "ROWS_QUERY": (MYSQL, {"Rows_query"}, "the statement's text; not captured"),
    "ANNOTATE_ROWS": (MARIADB, {"Annotate_rows"}, "likewise"),
    "TABLE_MAP": (ALL, {"Table_map"}, ""),
    "WRITE, UPDATE, DELETE_ROWS version 1": (MARIADB | {"mysql56"}, {"Write_rows_v1", "Update_rows_v1", "Delete_rows_v1"}, ""),
    "the same, compressed": (MARIADB, {"Write_rows_compressed_v1", "Update_rows_compressed_v1", "Delete_rows_compressed_v1"}, ""),
    "WRITE, UPDATE, DELETE_ROWS version 2": (MYSQL, {"Write_rows", "Update_rows", "Delete_rows"}, ""),
    "PARTIAL_UPDATE_ROWS": (NEW, {"Update_rows_partial"}, "with FULL images; with others capture stops"),
    "XID": (ALL, {"Xid"}, ""),
    "XA_PREPARE": (MARIADB | NEW, {"XA_prepare"}, "a transaction appears when it is committed, never when it is rolled back"),
    "TRANSACTION_PAYLOAD": (NEW, {"Transaction_payload"}, "decompressed as a stream"),
    "INTVAR, RAND, USER_VAR": (ALL, {"Intvar", "RAND", "User var"}, "of tables that are not captured; a statement on a captured table stops capture"),
    "BEGIN_LOAD_QUERY, EXECUTE_LOAD_QUERY": (ALL, {"Begin_load_query", "Execute_load_query"}, "likewise"),
    "VIEW_CHANGE, TRANSACTION_CONTEXT": (NEW, {"View_change", "Transaction_context"}, "Group Replication: see above"),
    "INCIDENT": (ALL, {"Incident"}, "something is missing from the binlog: capture stops, and names the place"),
}


def untried(label, kind):
    return "not tried" if kind in EVENTS[label][0] else "-"


def cells_of(line):
    return [c.strip() for c in line.strip("|").split(" | ")] if line.startswith("| ") else []


def shown(server, file, outcome):
    """The names of a binlog's events. A file that the server fails to show (error 1220; other tests write into it, and large events) proves nothing."""
    try:
        return {row[2] for row in server.binlog_events(file)}
    except pymysql.err.OperationalError as e:
        if e.args[0] != 1220 or outcome == "not written":
            raise
        return set()


def witnessed(lab, outcome, *labels, servers=()):
    """These events were in the binlogs of the lab's source, which the test has compared: docs/fidelity.md must say so. Or, "not
    written", in no binlog of the servers."""
    expected, names = set().union(*(EVENTS[label][1] for label in labels)), set()
    for server in servers or (lab.source,):
        for file in reversed(server.binlogs()):
            if not expected <= names:
                names |= shown(server, file, outcome)
    if outcome == "not written":
        assert "Format_desc" in names and not expected & names, f"in the binlogs: {sorted(expected & names)}"
    else:
        assert expected <= names, f"not in the binlogs: {sorted(expected - names)}"
    column = 1 + list(TITLES).index(lab.kind)
    lines = FIDELITY.read_text().splitlines()
    first = lines.index("## Events")
    for label in labels:
        at = next(i for i in range(first, len(lines)) if cells_of(lines[i])[:1] == [label])
        cells = cells_of(lines[at])
        if os.environ.get("ROWTIDE_WRITE_FIDELITY"):
            cells[column] = outcome
            lines[at] = "| " + " | ".join(cells) + " |"
        assert cells[column] == outcome, f"docs/fidelity.md, {label}, {TITLES[lab.kind]}: write it with ROWTIDE_WRITE_FIDELITY=1"
    if os.environ.get("ROWTIDE_WRITE_FIDELITY"):
        FIDELITY.write_text("\n".join(lines) + "\n")
