"""When the machine itself stood still: a process for each core, of the highest priority it can get, sleeps a millisecond at a time and remembers
when it woke late. A virtual machine's host takes its cores away for 5 to 25 ms now and then; no program can be faster than that."""
import bisect
import os
import subprocess
import sys
import time

LATE_S = 0.002


class Pauses:
    """Watches from start to end. Use as a context manager; ask afterwards."""

    def __enter__(self):
        self.began = time.perf_counter()
        self.watching = [subprocess.Popen([sys.executable, __file__, str(core)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                         for core in sorted(os.sched_getaffinity(0))]
        return self

    def __exit__(self, *_):
        spans = []
        for p in self.watching:
            out, _ = p.communicate("")
            spans += [tuple(map(float, line.split())) for line in out.splitlines()]
        self.spans = []         # of any core, joined, in order
        for begin, end in sorted(spans):
            if self.spans and begin <= self.spans[-1][1]:
                self.spans[-1] = (self.spans[-1][0], max(end, self.spans[-1][1]))
            else:
                self.spans.append((begin, end))
        self.ends = [end for _, end in self.spans]
        self.seconds = time.perf_counter() - self.began

    def touch(self, begin, end):
        """Whether the machine paused between two times of time.perf_counter()."""
        i = bisect.bisect_right(self.ends, begin)
        return i < len(self.spans) and self.spans[i][0] < end

    def per_minute(self):
        return 60 * len(self.spans) / self.seconds

    def longest_ms(self):
        return 1000 * max((end - begin for begin, end in self.spans), default=0.0)


def watch(core):
    """Until standard input ends: prints begin and end of each late sleep."""
    import select
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        pass                    # then what other programs take counts, too
    last, late = time.perf_counter(), []
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        now = time.perf_counter()
        if now - last > LATE_S:
            late.append((last, now))
        last = now
    for begin, end in late:
        print(begin, end)


if __name__ == "__main__":
    watch(int(sys.argv[1]))
