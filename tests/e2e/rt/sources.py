"""MariaDB and MySQL as sources, on private data directories. A template is initialised once and copied for each server.

Durability is low on purpose (a killed process loses nothing, only a power cut would); everything that capture depends on
is as the README asks for: ROW, FULL images, FULL metadata, GTIDs."""
import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pymysql

from .util import REPO, SID, as_server, free_port, give, server_user, tail, wait_until

CDC_USER, CDC_PASSWORD = "cdc", "Sekrit-1/@"
COMMON = {
    "bind-address": "127.0.0.1", "log-bin": "binlog", "binlog-format": "ROW", "binlog-row-image": "FULL",
    "binlog-row-metadata": "FULL", "sync-binlog": "0", "innodb-flush-log-at-trx-commit": "2",
    "innodb-buffer-pool-size": "64M", "character-set-server": "utf8mb4", "max-allowed-packet": "64M",
    "skip-name-resolve": "1", "secure-file-priv": "", "default-time-zone": "+00:00",
}


class Source:
    """One server. `options` are server options without the dashes; None removes a default."""
    flavour = kind = None
    extra = {}

    def __init__(self, home, template, certs, server_id=1, options=None):
        self.home, self.certs, self.server_id = Path(home), Path(certs), server_id
        self.data, self.socket, self.log = self.home / "data", self.home / "s.sock", self.home / "server.log"
        self.options = {**COMMON, **self.extra, **(options or {})}
        self.port = free_port()
        self.process = None
        self.home.mkdir(parents=True)
        give(self.home)
        subprocess.run(["cp", "-a", "--reflink=auto", str(template), str(self.data)], check=True)

    # ---- life
    def command(self):
        raise NotImplementedError

    def argv(self):
        # A MariaDB server removes all temporary tables that it finds in its tmpdir when it starts: also another server's, which then dies.
        opts = {"datadir": self.data, "tmpdir": self.home, "socket": self.socket, "port": self.port, "pid-file": self.home / "pid",
                "server-id": self.server_id, "ssl-ca": self.certs / "ca.pem", "ssl-cert": self.certs / "server.pem",
                "ssl-key": self.certs / "server.key", **self.options}
        return self.command() + [f"--{k}={v}" for k, v in opts.items() if v is not None]

    def spawn_options(self):
        return as_server()

    def start(self, **options):
        """Starts the server; options (with _ for -) stay set for later starts."""
        self.options.update({k.replace("_", "-"): v for k, v in options.items()})
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, **self.spawn_options())

        def up():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind} ended with {self.process.returncode}:\n{tail(self.log)}")
            try:
                self.connect().close()
                return True
            except pymysql.err.OperationalError:
                return False
        wait_until(up, f"{self.kind} to accept connections", timeout=90)
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill9(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def restart(self, **options):
        self.stop()
        return self.start(**options)

    # ---- use
    def connect(self, db=None, **more):
        return pymysql.connect(unix_socket=str(self.socket), user="root", password="", database=db, autocommit=True,
                               charset="utf8mb4", **more)

    def sql(self, *statements, db=None):
        """Runs statements on one connection; returns the rows of the last."""
        c = self.connect(db)
        try:
            with c.cursor() as cur:
                for s in statements:
                    cur.execute(s)
                return cur.fetchall()
        finally:
            c.close()

    def url(self, user=CDC_USER, password=CDC_PASSWORD, host="127.0.0.1", **query):
        """The --source URL. Keywords are URL parameters with _ for -: ssl_mode="REQUIRED", socket=path."""
        who = quote(user, safe="") + (":" + quote(password, safe="") if password is not None else "")
        q = "&".join(f"{k.replace('_', '-')}={quote(str(v), safe='/')}" for k, v in query.items())
        return f"mysql://{who}@{host}:{self.port}/" + ("?" + q if q else "")

    def binlogs(self):
        return [r[0] for r in self.sql("SHOW BINARY LOGS")]

    def binlog_events(self, file):
        """Rows of SHOW BINLOG EVENTS: file, position, type, server id, end, text. The text may hold any bytes: what is no character is `?`."""
        c = self.connect()
        try:
            with c.cursor() as cur:
                cur.execute("SET NAMES latin1")
                c.encoding = "latin1"
                cur.execute(f"SHOW BINLOG EVENTS IN '{file}'")
                return cur.fetchall()
        finally:
            c.close()


class MariaDB(Source):
    flavour = "mariadb"
    kind = "mariadb1011"
    is_mysql = False
    extra = {"innodb-log-file-size": "16M", "gtid-strict-mode": "ON"}

    def command(self):
        return ["/usr/sbin/mariadbd", "--no-defaults"]

    @classmethod
    def make_template(cls, path, certs):
        Path(path).mkdir()
        give(path)
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={path}", "--skip-test-db",
                        "--auth-root-authentication-method=normal", "--innodb-log-file-size=16M"],
                       check=True, capture_output=True, stdin=subprocess.DEVNULL, cwd="/", **as_server())
        add_cdc_user(cls, path, certs)

    def reset_binlog(self):
        self.sql("RESET MASTER")

    def gtids(self):
        return self.sql("SELECT @@GLOBAL.gtid_binlog_pos")[0][0]


class MariaDB118(MariaDB):
    """Debian sid's, unpacked inside the sid root (sid.sh mariadb)."""
    kind = "mariadb118"
    base = "/opt/mariadb/usr"

    @classmethod
    def program(cls):
        return [str(SID), "run", "/usr/bin/env", f"LD_LIBRARY_PATH={cls.base}/lib", f"{cls.base}/sbin/mariadbd", "--no-defaults",
                f"--basedir={cls.base}", f"--lc-messages-dir={cls.base}/share/mariadb", f"--plugin-dir={cls.base}/lib/mysql/plugin"]

    def command(self):
        return self.program()

    def spawn_options(self):
        return {"env": sid_user_env()}

    @classmethod
    def make_template(cls, path, certs):
        Path(path).mkdir()
        give(path)
        share = Path(subprocess.run([SID, "path"], check=True, capture_output=True, text=True).stdout.strip() + cls.base) / "share/mariadb"
        script = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n" + b"".join(
            (share / f"{n}.sql").read_bytes() for n in ("mariadb_system_tables", "mariadb_performance_tables", "mariadb_system_tables_data",
                                                       "maria_add_gis_sp_bootstrap"))
        done = subprocess.run([*cls.program(), f"--datadir={path}", "--bootstrap", "--innodb-log-file-size=16M"], input=script,
                              capture_output=True, cwd="/", env=sid_user_env())
        if done.returncode != 0:
            raise RuntimeError(f"mariadbd --bootstrap failed:\n{done.stderr.decode()}")
        add_cdc_user(cls, path, certs)


class MySQL(Source):
    flavour = "mysql"
    kind = "mysql97"
    is_mysql = True
    extra = {"innodb-redo-log-capacity": "32M", "gtid-mode": "ON", "enforce-gtid-consistency": "ON", "mysqlx": "OFF",
             "performance-schema": "OFF", "innodb-doublewrite": "OFF"}

    def command(self):
        return [str(SID), "run", "/usr/sbin/mysqld", "--no-defaults"]

    def spawn_options(self):
        return {"env": sid_user_env()}

    @classmethod
    def make_template(cls, path, certs):
        Path(path).mkdir()
        give(path)
        try:
            subprocess.run([str(SID), "run", "/usr/sbin/mysqld", "--no-defaults", "--initialize-insecure",
                            f"--datadir={path}", "--innodb-redo-log-capacity=32M"], check=True, capture_output=True,
                           stdin=subprocess.DEVNULL, cwd="/", env=sid_user_env())
        except subprocess.CalledProcessError as e:
            raise RuntimeError(f"mysqld --initialize failed:\n{e.stderr.decode()}") from e
        make_users(cls, path, certs,
                   f"CREATE USER {CDC_USER}@'%' IDENTIFIED WITH caching_sha2_password BY '{CDC_PASSWORD}'",
                   f"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {CDC_USER}@'%'")

    def reset_binlog(self):
        self.sql("RESET BINARY LOGS AND GTIDS")

    def gtids(self):
        return self.sql("SELECT @@GLOBAL.gtid_executed")[0][0].replace("\n", "")


class MySQL56(Source):
    """The oldest source: no column names in its binlog. Without TLS, and mysql_native_password only."""
    flavour = "mysql"
    kind = "mysql56"
    is_mysql = True
    script = REPO / "tests/tools/mysql56.sh"
    extra = {"binlog-row-metadata": None, "ssl-ca": None, "ssl-cert": None, "ssl-key": None, "gtid-mode": "ON",
             "enforce-gtid-consistency": "ON", "log-slave-updates": "ON", "performance-schema": "OFF",
             "innodb-log-file-size": "16M", "innodb-doublewrite": "OFF", "explicit-defaults-for-timestamp": "OFF"}

    @classmethod
    def dir(cls):
        return Path(subprocess.run([str(cls.script), "path"], check=True, capture_output=True, text=True).stdout.strip())

    def command(self):
        return [str(self.copy / "mysqld"), "--no-defaults", f"--basedir={self.copy}"]

    @property
    def copy(self):
        """Where the server's user can read it, which a home directory need not allow."""
        to = Path(tempfile.gettempdir()) / f"rt-mysql56-{os.getpid()}"
        if not to.exists():
            shutil.copytree(self.dir(), to, ignore=shutil.ignore_patterns("empty", "data", "binlog"))
            atexit.register(shutil.rmtree, to, True)
        return to

    @classmethod
    def make_template(cls, path, certs):
        subprocess.run([str(cls.script), "ensure"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
        shutil.copytree(cls.dir() / "empty", path)
        for f in (path, *Path(path).rglob("*")):
            give(f)
        make_users(cls, path, certs,
                   "DELETE FROM mysql.user WHERE user = ''", "FLUSH PRIVILEGES",
                   f"CREATE USER {CDC_USER}@'%' IDENTIFIED BY '{CDC_PASSWORD}'",
                   f"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {CDC_USER}@'%'")

    def reset_binlog(self):
        self.sql("RESET MASTER")

    def gtids(self):
        return self.sql("SELECT @@GLOBAL.gtid_executed")[0][0].replace("\n", "")


def sid_user_env():
    who = server_user()
    return {**os.environ, **({"SID_USER": f"{who[0]}:{who[1]}"} if who else {})}


def add_cdc_user(cls, path, certs):
    make_users(cls, path, certs,
               f"CREATE USER {CDC_USER}@'%' IDENTIFIED BY '{CDC_PASSWORD}'",
               f"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR, SLAVE MONITOR ON *.* TO {CDC_USER}@'%'")


def make_users(cls, path, certs, *statements):
    """Adds the users to the template and gives its first server's identity away: each copy makes its own server UUID."""
    home = Path(str(path) + ".boot")
    server = cls(home, path, certs)
    server.start()
    try:
        server.sql(*statements)
        server.reset_binlog()
    finally:
        server.stop()
    shutil.rmtree(path)
    shutil.move(str(server.data), str(path))
    shutil.rmtree(home)
    auto = Path(path) / "auto.cnf"
    if auto.exists():
        auto.unlink()


KINDS = {c.kind: c for c in (MariaDB, MariaDB118, MySQL, MySQL56)}
