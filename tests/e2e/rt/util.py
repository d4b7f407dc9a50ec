"""Waiting, free ports, who the servers run as, certificates."""
import os
import pwd
import socket
import subprocess
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
SID = REPO / "tests/tools/sid.sh"
# Sanitizer builds on a loaded two-core machine are slow; a test that waits this long has failed anyway.
PATIENCE = float(os.environ.get("ROWTIDE_TEST_PATIENCE", "60"))


def wait_until(check, what, timeout=None, every=0.05):
    """Calls check() until it returns something true, and returns that. An AssertionError inside counts as "not yet"."""
    end = time.monotonic() + (timeout or PATIENCE)
    last = None
    while True:
        try:
            got = check()
            if got:
                return got
        except AssertionError as e:
            last = e
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout or PATIENCE:.0f} s for {what}" + (f": {last}" if last else ""))
        time.sleep(every)
        every = min(every * 1.5, 0.5)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def server_user():
    """(uid, gid) that database servers run as: they refuse root. None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("mysql", "postgres", "nobody"):
        try:
            p = pwd.getpwnam(name)
            return p.pw_uid, p.pw_gid
        except KeyError:
            pass
    raise RuntimeError("no user to run database servers as; run tests/tools/install.sh")


def as_server():
    """Keywords for subprocess: run as the server user."""
    who = server_user()
    return {} if who is None else {"user": who[0], "group": who[1], "extra_groups": []}


def give(path):
    """Hands a directory to the server user."""
    who = server_user()
    if who is not None:
        os.chown(path, *who)


def tail(path, lines=40):
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError as e:
        return str(e)


def make_certificates(directory):
    """ca.pem, server.pem + server.key for localhost and 127.0.0.1, and other-ca.pem that signed nothing."""
    d = Path(directory)
    d.mkdir()
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=d, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    for name in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN=rowtide test {name}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (d / "san.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "san.cnf", "-out", "server.pem")
    for f in d.iterdir():
        os.chmod(f, 0o644)
    return d
