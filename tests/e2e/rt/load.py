"""A writer in threads: small transactions of inserts, updates, deletes, key changes on three tables, some rolled back.
It survives server restarts. What it did does not matter: the source is what the destination is compared with."""
import random
import threading
import time

import pymysql

TABLES = ("load_a", "load_b", "load_c")


def create_tables(lab):
    lab.sql("CREATE TABLE load_a (id INT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, v VARCHAR(200), d DECIMAL(12,4))",
            "CREATE TABLE load_b (x INT, y INT, note TEXT, PRIMARY KEY (x, y))",
            "CREATE TABLE load_c (a INT, b VARCHAR(40))")        # no key


class Load:
    def __init__(self, lab, threads=2, seed=1, pause=0.002):
        self.lab, self.seed, self.pause = lab, seed, pause
        self.stopping = threading.Event()
        self.transactions = 0
        self.failure = None
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(threads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
        if self.failure is not None:
            raise self.failure

    def _run(self, number):
        rnd = random.Random(self.seed * 100 + number)
        c = None
        while not self.stopping.is_set():
            try:
                if c is None:
                    c = self.lab.source.connect(self.lab.db, connect_timeout=5)
                    c.autocommit(False)
                self._transaction(c, rnd)
                self.transactions += 1
            except (pymysql.err.OperationalError, pymysql.err.InterfaceError, pymysql.err.IntegrityError) as e:
                # Lost connections, deadlocks, lock waits, key changes that meet an existing key.
                try:
                    if isinstance(e, pymysql.err.IntegrityError):
                        c.rollback()
                    else:
                        c.close()
                        c = None
                except Exception:
                    c = None
                time.sleep(0.02)
            except Exception as e:     # a mistake in here must fail the test, not end a thread quietly
                self.failure = e
                return
            time.sleep(self.pause)

    @staticmethod
    def _transaction(c, rnd):
        with c.cursor() as cur:
            for _ in range(rnd.choice((1, 1, 2, 3, 8, 40))):
                dice = rnd.random()
                n = rnd.randrange(1, 400)
                if dice < 0.35:
                    cur.execute("INSERT INTO load_a (k, v, d) VALUES (%s, %s, %s)", (n, "v" * rnd.randrange(150), f"{n}.{n % 10}"))
                elif dice < 0.50:
                    cur.execute("UPDATE load_a SET v = %s, k = k + 1 WHERE k = %s LIMIT 5", (f"u{rnd.random()}", n))
                elif dice < 0.60:
                    cur.execute("DELETE FROM load_a WHERE k = %s LIMIT 2", (n,))
                elif dice < 0.75:
                    cur.execute("REPLACE INTO load_b VALUES (%s, %s, %s)", (n % 30, n % 7, "n" * rnd.randrange(300)))
                elif dice < 0.80:
                    cur.execute("UPDATE load_b SET y = y + 100 WHERE x = %s AND y < 100 LIMIT 1", (n % 30,))
                elif dice < 0.90:
                    cur.execute("INSERT INTO load_c VALUES (%s, %s)", (n % 20, None if n % 3 else "same"))
                elif dice < 0.95:
                    cur.execute("UPDATE load_c SET b = %s WHERE a = %s LIMIT 1", (f"c{n}", n % 20))
                else:
                    cur.execute("DELETE FROM load_c WHERE a = %s LIMIT 1", (n % 20,))
        if rnd.random() < 0.1:
            c.rollback()
        else:
            c.commit()
