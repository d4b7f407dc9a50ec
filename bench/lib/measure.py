"""Running programs and telling what they cost."""
import os
import resource
import select
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from rt.programs import environment
from rt.util import tail

TICK = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.01


@dataclass
class Usage:
    wall: float             # seconds from start to the end of the last process
    cpu: float              # user + system seconds of all of them
    rss: int                # bytes, highest resident size of the largest, seen every SAMPLE_S
    written: int = 0        # bytes that all of them had written to disks
    server_cpu: float = 0.0  # seconds of the server meanwhile, when asked for
    extra: dict = field(default_factory=dict)


def process_cpu(pid):
    """User + system seconds of a running process, all its threads, dead ones too."""
    text = Path(f"/proc/{pid}/stat").read_text()
    f = text[text.rindex(")") + 2:].split()
    return (int(f[11]) + int(f[12])) / TICK


def process_peak(pid):
    """The highest resident size of a running process, bytes; 0 when it has ended."""
    return next((int(line.split()[1]) * 1024 for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")), 0)


def process_written(pid):
    """Bytes that a running process has had written to disks."""
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/io").read_text().splitlines() if line.startswith("write_bytes"))


def tree_cpu(pid):
    """The same of a process and its descendants, those that have ended too (PostgreSQL's backends)."""
    total, todo = 0.0, [pid]
    while todo:
        p = todo.pop()
        try:
            text = Path(f"/proc/{p}/stat").read_text()
            total += sum(map(int, text[text.rindex(")") + 2:].split()[11:15])) / TICK
            for t in Path(f"/proc/{p}/task").iterdir():
                todo += [int(c) for c in (t / "children").read_text().split()]
        except (OSError, ValueError):
            continue
    return total


def run(argv, log, server=None, stdout=None, env=None, cwd=None, timeout=900):
    """Runs one program to its end and measures it as a whole process. log: a file for stderr, and stdout unless given."""
    return pipeline([argv], log, server, stdout, env, cwd, timeout)


def pipeline(argvs, log, server=None, stdout=None, env=None, cwd=None, timeout=900):
    """Runs programs with their outputs piped into the next one's input. The last one's goes to `stdout` (a path) or the log."""
    before = process_cpu(server.process.pid) if server else 0.0
    began = time.monotonic()
    processes, source = [], subprocess.DEVNULL
    with open(log, "ab") as err:
        out = open(stdout, "wb") if stdout else err
        for i, argv in enumerate(argvs):
            last = i == len(argvs) - 1
            p = subprocess.Popen([str(x) for x in argv], stdin=source, stdout=out if last else subprocess.PIPE, stderr=err, cwd=cwd,
                                 env=environment(env), start_new_session=True)
            if source is not subprocess.DEVNULL:
                source.close()
            source = p.stdout
            processes.append(p)
        if stdout:
            out.close()
    usage = gather(processes, began, log, timeout)
    if server:
        usage.server_cpu = process_cpu(server.process.pid) - before
    return usage


def gather(processes, began, log, timeout=900):
    """Waits for all; raises when one fails."""
    deadline = began + timeout
    rss, waiting = {p.pid: 0 for p in processes}, {os.pidfd_open(p.pid): p for p in processes}
    try:
        while waiting:
            # What wait4 says of the peak is no less than what this interpreter had when it started the program: so the kernel is asked meanwhile.
            for p in waiting.values():
                rss[p.pid] = process_peak(p.pid) or rss[p.pid]
            for fd in select.select(list(waiting), [], [], SAMPLE_S)[0]:
                os.close(fd)
                waiting.pop(fd)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{next(iter(waiting.values())).args[0]} did not end in time:\n{tail(log)}")
        wall = time.monotonic() - began
    finally:
        for fd, p in waiting.items():
            os.close(fd)
            p.kill()
            p.wait()
    cpu, written, bad = 0.0, 0, []
    for p in processes:
        _, status, use = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        cpu += use.ru_utime + use.ru_stime
        written += use.ru_oublock * 512
        if p.returncode != 0:
            bad.append(f"{p.args[0]} ended with {p.returncode}")
    if bad:
        raise RuntimeError("; ".join(bad) + f":\n{tail(log)}")
    return Usage(wall, cpu, max(rss.values()), written)


def in_turn(rounds, what):
    """what: name -> function of the round number. Runs A B C A B C …, so that a change of the machine's speed meets all alike.
    Returns name -> list of what the functions returned."""
    got = {name: [] for name in what}
    for n in range(rounds):
        for name, function in what.items():
            got[name].append(function(n))
    return got


def open_files(n=4096):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, n), hard), hard))
