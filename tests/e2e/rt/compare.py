"""Tables of the source and the destination, compared by content: each value in one canonical form, rows as a multiset.

The form is exact: decimals by value, floats as the double they are, JSON parsed, times as microseconds. It follows the type
that the destination column has, since the same source column may be kept as text or as something richer."""
import datetime as dt
import decimal
import json
from decimal import Decimal

decimal.getcontext().prec = 200     # DECIMAL has 65 digits; the default of 28 would round


def source_rows(source, db, table):
    """(columns, rows). FLOAT is read as the double it is, since the server prints six digits of it."""
    cols = source.sql("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema='%s' AND table_name='%s' "
                      "ORDER BY ordinal_position" % (db, table))
    assert cols, f"the source has no table {db}.{table}"
    exprs = [f"(`{n}` + 0e0)" if t == "float" else f"`{n}`" for n, t in cols]
    rows = source.sql("SET time_zone='+00:00'", f"SELECT {', '.join(exprs)} FROM `{db}`.`{table}`")
    types = {n: t for n, t in cols}
    return [n for n, _ in cols], types, rows


def dest_rows(pg, db, schema, table, columns):
    types = dict(pg.sql("SELECT column_name, CASE data_type WHEN 'ARRAY' THEN 'array' ELSE data_type END FROM "
                        f"information_schema.columns WHERE table_schema='{schema}' AND table_name='{table}'", db=db))
    assert types, f"the destination has no table {schema}.{table}"
    missing = [c for c in columns if c not in types]
    assert not missing, f"the destination's {schema}.{table} lacks the columns {missing}; it has {sorted(types)}"
    def quoted(c):
        q = '"' + c.replace('"', '""') + '"'
        return {"real": q + "::float8", "jsonb": q + "::text", "json": q + "::text"}.get(types[c], q)
    return types, pg.sql(f'SELECT {", ".join(map(quoted, columns))} FROM "{schema}"."{table}"', db=db)


def canonical(value, source_type, dest_type):
    if value is None:
        return None
    if isinstance(value, (memoryview, bytearray)):
        value = bytes(value)
    if dest_type in ("jsonb", "json"):
        return json_form(json.loads(value, parse_float=Decimal))
    if source_type == "bit":
        if isinstance(value, bytes):
            return int.from_bytes(value, "big")
        return int(value, 2) if isinstance(value, str) else int(value)
    if source_type == "set":
        return tuple(sorted(value if isinstance(value, (list, tuple)) else [x for x in value.split(",") if x]))
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return "at " + value.isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, dt.timedelta):
        return ("us", (value.days * 86400 + value.seconds) * 1000000 + value.microseconds)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value.normalize()
    if isinstance(value, float):
        return ("f", value)
    if isinstance(value, bytes):
        return ("bytes", value.hex())
    return value if isinstance(value, (int, str)) else str(value)


def json_form(v):
    """1, 1.0 and 1e0 are the same number to both servers; everything else must be the same."""
    if isinstance(v, dict):
        return "{" + ",".join(f"{k!r}:{json_form(v[k])}" for k in sorted(v)) + "}"
    if isinstance(v, list):
        return "[" + ",".join(map(json_form, v)) + "]"
    if isinstance(v, (int, Decimal)) and not isinstance(v, bool):
        return str(Decimal(v).normalize())
    return repr(v)


def differences(source, db, table, pg, dest_db, dest_schema=None, dest_table=None, limit=5):
    """[] when both tables hold the same rows; otherwise sentences about what differs."""
    columns, types, rows = source_rows(source, db, table)
    dest_types, there = dest_rows(pg, dest_db, dest_schema or db, dest_table or table, columns)

    def form(row):
        return tuple(canonical(v, types[c], dest_types[c]) for v, c in zip(row, columns))
    ours, theirs = {}, {}
    for bag, many in ((ours, rows), (theirs, there)):
        for r in many:
            f = form(r)
            bag[f] = bag.get(f, 0) + 1
    out = []
    if len(rows) != len(there):
        out.append(f"{db}.{table}: {len(rows)} rows at the source, {len(there)} at the destination")
    def show(row):
        return str(dict(zip(columns, row)))[:600]
    lacking = [r for r in ours if ours[r] > theirs.get(r, 0)]
    extra = [r for r in theirs if theirs[r] > ours.get(r, 0)]
    out += [f"{db}.{table}: only at the source: {show(r)}" for r in sorted(lacking, key=repr)[:limit]]
    out += [f"{db}.{table}: only at the destination: {show(r)}" for r in sorted(extra, key=repr)[:limit]]
    return out
