"""rowtide-capture, rowtide-apply and rowtide as processes: start, wait for a log event, stop, kill, measure."""
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path

from .util import PATIENCE, SID, tail, wait_until

SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer")
PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
BUILD_ENV = {"libmariadb": "ROWTIDE_BUILD_MARIADB", "libmysqlclient": "ROWTIDE_BUILD_MYSQLCLIENT"}


class Build:
    """A build directory; the one with libmysqlclient runs inside the sid root."""

    def __init__(self, client):
        self.client = client
        where = os.environ.get(BUILD_ENV[client])
        if not where:
            raise RuntimeError(f"set {BUILD_ENV[client]} to the build directory with {client} (see DEVELOPERS.md)")
        self.dir = Path(where).resolve()
        for name in ("rowtide-capture", "rowtide-apply", "rowtide"):
            if not os.access(self.dir / name, os.X_OK):
                raise RuntimeError(f"{self.dir / name} is missing: build it first")

    def argv(self, program, *args):
        prefix = [str(SID), "run"] if self.client == "libmysqlclient" else []
        return prefix + [str(self.dir / program), *map(str, args)]


def environment(more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ROWTIDE_FAULT", "ROWTIDE_SOURCE", "PG", "MYSQL"))}
    env.update(ASAN_OPTIONS="exitcode=99:detect_stack_use_after_return=1", LSAN_OPTIONS="exitcode=99",
               UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1", TSAN_OPTIONS="exitcode=99:second_deadlock_stack=1")
    env.update(more or {})
    return env


def logfmt(line):
    out = {}
    for key, value in PAIR.findall(line):
        out[key] = json.loads(value) if value.startswith('"') and value.endswith('"') else value
    return out


class Daemon:
    """A running program with its log in a file. `events` reads the logfmt lines since the last start."""

    def __init__(self, build, program, args, log, stdout=None):
        self.build, self.program, self.args, self.log, self.stdout = build, program, list(args), Path(log), stdout
        self.process = None
        self.begin = 0

    def start(self, *more, env=None):
        assert self.process is None, f"{self.program} runs already"
        argv = self.build.argv(self.program, *self.args, *more)
        with open(self.log, "ab") as log:
            log.write(f"# {shlex.join(argv[-len(self.args) - len(more) - 1:])} {env or ''}\n".encode())
            self.begin = log.tell()
            out = open(self.stdout, "ab") if self.stdout else log
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment(env),
                                            start_new_session=True)
            if self.stdout:
                out.close()
        return self

    def text(self):
        with open(self.log, "rb") as f:
            f.seek(self.begin)
            return f.read().decode(errors="replace")

    def events(self, name=None):
        found = [logfmt(x) for x in self.text().splitlines() if "event=" in x]
        return [e for e in found if name is None or e.get("event") == name]

    def wait_event(self, name, timeout=None, **fields):
        def seen():
            for e in self.events(name):
                if all(str(e.get(k)) == str(v) for k, v in fields.items()):
                    return e
            if self.process is None or self.process.poll() is not None:
                code = None if self.process is None else self.process.returncode
                raise RuntimeError(f"{self.program} ended with {code} before event={name}:\n{tail(self.log)}")
            return None
        return wait_until(seen, f"event={name} in {self.log}", timeout)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, code=0, timeout=None):
        """Waits for the end by itself, and for this exit code (several: a tuple; None: any). Returns the log of this run."""
        try:
            got = self.process.wait(timeout or PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.program} still runs after {timeout or PATIENCE:.0f} s:\n{tail(self.log)}") from None
        self.process = None
        self.check_sanitizers()
        assert code is None or got == code or (isinstance(code, tuple) and got in code), f"{self.program} ended with {got}, not {code}:\n{tail(self.log)}"
        return self.text()

    def run(self, *more, code=0, env=None, timeout=None):
        return self.start(*more, env=env).wait(code, timeout)

    def stop(self, code=0):
        self.process.send_signal(signal.SIGTERM)
        return self.wait(code)

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.check_sanitizers()

    def check_sanitizers(self):
        found = SANITIZER.search(self.text())
        assert not found, f"{self.program}: a sanitizer spoke:\n{self.text()[max(0, found.start() - 200):][:6000]}"

    def close(self):
        """For teardown: end it if it still runs, whatever its state."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def memory(self, field="VmHWM"):
        """Bytes of a line of /proc/PID/status; VmHWM is the highest resident size so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field}")


class Tool:
    """The operator's command."""

    def __init__(self, build):
        self.build = build

    def run(self, *args, code=0, env=None):
        p = subprocess.run(self.build.argv("rowtide", *args), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           env=environment(env), timeout=PATIENCE * 2)
        assert not SANITIZER.search(p.stderr), p.stderr
        assert code is None or p.returncode == code, \
            f"rowtide {shlex.join(map(str, args))}: exit {p.returncode}, not {code}\n{p.stdout[-2000:]}\n{p.stderr[-4000:]}"
        return p

    def records(self, slot, *args):
        """The records of a slot one by one, as `segment dump --format json` prints them; there may be millions."""
        with tempfile.TemporaryFile("w+") as errors:
            p = subprocess.Popen(self.build.argv("rowtide", "segment", "dump", slot, "--format", "json", *args), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(None))
            try:
                for line in p.stdout:
                    if line.strip():
                        yield json.loads(line)
                code = p.wait()
            finally:
                p.kill()
                p.wait()
            errors.seek(0)
            assert code == 0, f"rowtide segment dump: exit {code}\n{errors.read()[-4000:]}"

    def dump(self, slot, *args):
        return list(self.records(slot, *args))
