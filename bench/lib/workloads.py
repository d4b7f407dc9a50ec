"""How the workloads W1 … W5 are written: tables and the rows that are there before, then the part that is measured. Everything lies in the
schema `bench`. A change of this file makes all of them anew (kept.py)."""
import random
import subprocess

from rt.util import as_server

SERVER = {"innodb-buffer-pool-size": "512M", "innodb-redo-log-capacity": "1G", "max-binlog-size": "1G", "innodb-flush-log-at-trx-commit": "0",
          "max-connections": "60"}


class Generator:
    """One server while a workload is written."""

    def __init__(self, ctx, server):
        self.ctx, self.server = ctx, server

    def sql(self, *statements):
        return self.server.sql(*statements, db="bench")

    def many(self, statements):
        self.server.sql("SET cte_max_recursion_depth=1000000", *statements, db="bench")

    def sysbench(self, test, *args, tables, rows):
        def run(command, *more):
            argv = ["sysbench", test, "--db-driver=mysql", f"--mysql-socket={self.server.socket}", "--mysql-user=root", "--mysql-db=bench",
                    f"--tables={tables}", f"--table-size={rows}", "--rand-seed=4711", "--mysql-ignore-errors=1213,1205,1062", *more, command]
            p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", **as_server())
            if p.returncode != 0:
                raise RuntimeError(f"sysbench ended with {p.returncode}:\n{p.stdout[-3000:]}{p.stderr[-1000:]}")
        if not args:
            run("prepare", "--threads=1")
        else:
            run("run", "--time=0", *args)

    def counters(self):
        s = dict(self.server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_rows_%'"))
        return sum(int(s[f"Innodb_rows_{what}"]) for what in ("inserted", "updated", "deleted"))


# ---- W1: sysbench oltp_write_only, 10 tables of 100,000 rows; transactions of two updates, a delete and an insert

def w1_prepare(g):
    g.sysbench("oltp_write_only", tables=10, rows=g.ctx.n(100_000, 100))


def w1_run(g):
    g.sysbench("oltp_write_only", "--threads=4", f"--events={g.ctx.n(134_000, 50)}", tables=10, rows=g.ctx.n(100_000, 100))


# ---- W2: 25 mixed columns, bulk inserts and updates of 2,000 rows

W2_TABLE = """CREATE TABLE mixed (id BIGINT PRIMARY KEY, i1 TINYINT NOT NULL, i2 SMALLINT UNSIGNED, i3 MEDIUMINT, i4 INT, i8 BIGINT UNSIGNED,
 d1 DECIMAL(10,2), d2 DECIMAL(24,8), f FLOAT, g DOUBLE, dt DATE, tm TIME(3), dtm DATETIME(6), ts TIMESTAMP(3) NULL, y YEAR,
 en ENUM('new','paid','packed','shipped','returned'), st SET('gift','express','fragile','insured'), bt BIT(12), ch CHAR(20), vc VARCHAR(200),
 tx TEXT, js JSON, bl BLOB, n1 INT, vb VARBINARY(32)) CHARACTER SET utf8mb4"""
W2_INSERT = """INSERT INTO mixed WITH RECURSIVE s(n) AS (SELECT {lo} UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {hi}),
 r AS (SELECT n, CAST(CRC32(n) AS SIGNED) c, CAST(CRC32(CONCAT('b', n)) AS SIGNED) d, SHA2(n, 256) h FROM s)
 SELECT n, c % 100, d % 60000, n - 4000000, d % 10000, n * 1000003, d % 100000 / 100, n * 1.00000001, c % 1000 / 7, n / 13,
 '2020-01-01' + INTERVAL c % 2000 DAY, SEC_TO_TIME(n % 86400), '2024-01-01' + INTERVAL n * 37013 MICROSECOND,
 '2024-01-01' + INTERVAL n SECOND, 1990 + c % 60, 1 + c % 5, d % 16, c % 4096, CONCAT('SKU-', LPAD(d % 1000000, 8, '0')),
 CONCAT('Straße ', c % 5000, ', ', ELT(1 + d % 6, 'München', 'Zürich', 'Kraków', 'Málaga', 'Ålesund', '東京'), ' ', LPAD(c % 99999, 5, '0')),
 CONCAT_WS(' ', ELT(1 + c % 7, 'customer', 'please', 'call', 'before', 'delivery', 'naïve', 'señor'), ELT(1 + d % 5, 'parcel', 'order', 'invoice',
  'return', '🙂 smile'), 'number', n, 'was', ELT(1 + (c >> 8) % 5, 'checked', 'sent', 'weighed', 'repacked', 'scanned'), 'at gate', d % 90, 'by', LEFT(h, 4)),
 JSON_OBJECT('id', n, 'tags', JSON_ARRAY(ELT(1 + c % 3, 'red', 'green', 'blue'), d % 9), 'price', d % 9999 / 100, 'ok', c % 2 = 0, 'note', 'checked'),
 REPEAT(UNHEX(LEFT(h, 6)), 12), IF(c % 10 = 0, d % 1000, NULL), UNHEX(RIGHT(h, 8)) FROM r"""
W2_UPDATE = """UPDATE mixed SET i4 = i4 + 1, d1 = d1 + 1.5, dtm = dtm + INTERVAL 1 HOUR, en = 1 + id % 5, vc = CONCAT(vc, '!'),
 js = JSON_SET(js, '$.price', id % 100) WHERE id >= {lo} AND id < {hi}"""
W2_BATCH = 2000


def batches(rows, size):
    return [(lo, min(lo + size, rows)) for lo in range(0, rows, size)]


def w2_prepare(g):
    g.sql(W2_TABLE)


def w2_run(g):
    spans = batches(g.ctx.n(680_000, 100), W2_BATCH)
    g.many([W2_INSERT.format(lo=lo, hi=hi) for lo, hi in spans])
    g.many([W2_UPDATE.format(lo=lo, hi=hi) for lo, hi in spans])


# ---- W3: one transaction of three million rows

def w3_prepare(g):
    g.sql("""CREATE TABLE big (id BIGINT PRIMARY KEY, customer INT NOT NULL, amount DECIMAL(12,2), status VARCHAR(12), created DATETIME(3),
             email VARCHAR(80), note VARCHAR(60)) CHARACTER SET utf8mb4""")


def w3_run(g):
    rows = g.ctx.n(3_000_000, 1000)
    g.sql(f"SET SESSION cte_max_recursion_depth={rows + 1}", f"""INSERT INTO big WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})
           SELECT n, CRC32(n) % 200000, CRC32(CONCAT('a', n)) % 10000000 / 100, ELT(1 + CRC32(n) % 4, 'new', 'paid', 'shipped', 'cancelled'),
           '2024-01-01' + INTERVAL n * 53 * 1000 MICROSECOND, CONCAT('customer.', CRC32(n) % 200000, '@example.com'), CONCAT('ref ', HEX(CRC32(CONCAT('r', n))), ' batch ', n DIV 1000) FROM s""")


# ---- W4: 300,000 single-row autocommit transactions

def w4_prepare(g):
    g.sysbench("oltp_update_non_index", tables=4, rows=g.ctx.n(25_000, 100))


def w4_run(g):
    g.sysbench("oltp_update_non_index", "--threads=4", f"--events={g.ctx.n(300_000, 100)}", tables=4, rows=g.ctx.n(25_000, 100))


# ---- W5: a shop. Orders with items, status updates of recent orders, a few hot rows, old orders deleted: about 60/35/5 insert/update/delete

W5_TABLES = (
    """CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(80) NOT NULL, name VARCHAR(60), city VARCHAR(40), orders INT NOT NULL DEFAULT 0,
       last_order DATETIME(3), UNIQUE KEY (email)) CHARACTER SET utf8mb4""",
    """CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id INT NOT NULL, status ENUM('new','paid','packed','shipped','done') NOT NULL, total DECIMAL(10,2),
       created DATETIME(3) NOT NULL, updated DATETIME(3), note VARCHAR(120), KEY (customer_id), KEY (created)) CHARACTER SET utf8mb4""",
    """CREATE TABLE items (order_id BIGINT, line SMALLINT, sku VARCHAR(20) NOT NULL, name VARCHAR(60), quantity INT NOT NULL, price DECIMAL(10,2),
       PRIMARY KEY (order_id, line)) CHARACTER SET utf8mb4""",
    "CREATE TABLE counters (name VARCHAR(20) PRIMARY KEY, value BIGINT NOT NULL) CHARACTER SET utf8mb4")
NAMES = "Anna Björn Chloé Dmitri Elif Farid Grażyna Hiro Iñaki Joana Kwame Lucía Müller Ngozi Oğuz Priya".split()
CITIES = "Berlin Zürich Kraków Málaga İzmir Lagos 東京 Austin".split()


def w5_customers(n):
    return [(i, f"{NAMES[i % 16].lower()}.{i}@example.com", f"{NAMES[i % 16]} {NAMES[i * 7 % 16]}", CITIES[i % 8]) for i in range(1, n + 1)]


def w5_prepare(g):
    g.sql(*W5_TABLES, "INSERT INTO counters VALUES ('orders', 0), ('revenue', 0), ('shipped', 0), ('visits', 0)")
    c = g.server.connect("bench")
    for lo, hi in batches(g.ctx.n(20_000, 50), 1000):
        with c.cursor() as cur:
            cur.executemany("INSERT INTO customers (id, email, name, city) VALUES (%s, %s, %s, %s)", w5_customers(g.ctx.n(20_000, 50))[lo:hi])
    c.close()


def w5_run(g):
    """Statements are sent as text, transaction by transaction, over one connection: the binlog is the same each time."""
    rnd, customers = random.Random(5), g.ctx.n(20_000, 50)
    c = g.server.connect("bench")
    with c.cursor() as cur:
        for order in range(1, g.ctx.n(60_000, 50) + 1):
            at = f"'2024-03-01' + INTERVAL {order * 211} SECOND"
            customer = 1 + min(int(rnd.paretovariate(0.6)) - 1, customers - 1) if rnd.random() < 0.3 else rnd.randint(1, customers)
            lines = rnd.choice((1, 2, 2, 3, 4, 5))
            prices = [rnd.randint(99, 19999) for _ in range(lines)]
            total = sum(prices) / 100
            values = ", ".join(f"({order}, {i + 1}, 'SKU-{rnd.randint(1, 4000):06d}', 'Article {rnd.randint(1, 400)} {CITIES[i % 8]}', {rnd.randint(1, 4)}, {p / 100})"
                               for i, p in enumerate(prices))
            cur.execute("BEGIN")
            cur.execute(f"INSERT INTO orders VALUES ({order}, {customer}, 'new', {total}, {at}, NULL, 'order {order} placed from {CITIES[order % 8]}')")
            cur.execute(f"INSERT INTO items VALUES {values}")
            cur.execute(f"UPDATE customers SET orders = orders + 1, last_order = {at} WHERE id = {customer}")
            if order % 10 == 0:
                cur.execute("UPDATE counters SET value = value + 10 WHERE name = 'orders'")
            cur.execute("COMMIT")
            if rnd.random() < 0.9:
                old = max(1, order - rnd.randint(1, 500))
                cur.execute(f"UPDATE orders SET status = status + 1, updated = {at} WHERE id = {old} AND status + 0 < 5")
            if order > 600 and order % 15 == 0:
                cur.execute("BEGIN")
                cur.execute(f"DELETE FROM items WHERE order_id = {order - 600}")
                cur.execute(f"DELETE FROM orders WHERE id = {order - 600}")
                cur.execute("COMMIT")
    c.close()


STEPS = {"W1": (w1_prepare, w1_run), "W2": (w2_prepare, w2_run), "W3": (w3_prepare, w3_run), "W4": (w4_prepare, w4_run), "W5": (w5_prepare, w5_run)}
TITLE = {"W1": "sysbench oltp_write_only", "W2": "25 mixed columns, bulk", "W3": "one transaction of 3 M rows", "W4": "300 k single-row transactions",
         "W5": "shop"}
