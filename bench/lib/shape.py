"""shape.py RESULTS.json PLOT.svg - checks what bench/run --json and --svg wrote: that it is complete and of the documented form."""
import json
import sys
import xml.etree.ElementTree as ET

KEYS = {"suite": str, "workload": str, "metric": str, "rowtide": float, "reference": (float, type(None)), "reference_name": (str, type(None)),
        "ratio": (float, type(None)), "target": (float, type(None)), "met": (bool, type(None))}
SUITES = {"capture", "apply", "latency", "growth"}


def fault(row):
    if not isinstance(row, dict) or row.keys() != KEYS.keys():
        return "other keys"
    for key, kind in KEYS.items():
        value = float(row[key]) if type(row[key]) is int else row[key]
        if not isinstance(value, kind) or value != value:
            return f"{key} is {row[key]!r}"
    if (row["reference"] is None) != (row["reference_name"] is None) or (row["ratio"] is not None and row["reference"] is None):
        return "half a reference"
    if (row["target"] is None) != (row["met"] is None):
        return "a target that is not judged"
    return None


def main(results, plot):
    rows = json.load(open(results))
    bad = [f"{fault(row)}: {row}" for row in rows if fault(row)]
    missing = SUITES - {row["suite"] for row in rows if not fault(row)}
    if missing:
        bad.append(f"nothing of {', '.join(sorted(missing))}")
    lines = [e for e in ET.parse(plot).iter("{http://www.w3.org/2000/svg}polyline") if e.get("points")]
    if len(lines) < 3:
        bad.append(f"the plot has {len(lines)} lines instead of three")
    print("\n".join(bad) or f"{len(rows)} results, {len(lines)} lines in the plot")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
