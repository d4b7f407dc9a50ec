"""What a suite returns, and how it is printed."""
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass
class Result:
    """One figure of Rowtide beside one of a reference; both medians over the rounds. `metric` carries the unit (wall_s, cpu_s, peak_rss_mib,
    rows_per_s). ratio = rowtide / reference; of rounds measured in turn (paired) the median of the rounds' ratios. target is a limit for the
    ratio, or for Rowtide's own figure where there is no reference; higher_is_better turns the comparison round. met: None where there is no
    target."""
    suite: str
    workload: str
    metric: str
    rowtide: float
    reference: float = None
    reference_name: str = None
    target: float = None
    higher_is_better: bool = False
    paired_ratio: float = None

    @classmethod
    def paired(cls, suite, workload, metric, mine, others, name, target=None, higher_is_better=False):
        """mine, others: the figures of the same rounds. A machine whose speed drifts changes both of a pair."""
        if len(mine) != len(others):
            return cls(suite, workload, metric, median(mine), median(others), name, target, higher_is_better)
        ratios = [a / b for a, b in zip(mine, others) if b]
        return cls(suite, workload, metric, median(mine), median(others), name, target, higher_is_better, median(ratios) if ratios else None)

    @property
    def ratio(self):
        if self.paired_ratio is not None:
            return self.paired_ratio
        return self.rowtide / self.reference if self.reference else None

    @property
    def met(self):
        judged = self.ratio if self.reference else self.rowtide
        if self.target is None or judged is None:
            return None
        return judged >= self.target if self.higher_is_better else judged <= self.target

    def as_dict(self):
        d = asdict(self)
        del d["higher_is_better"], d["paired_ratio"]
        return {**{k: rounded(v) for k, v in d.items()}, "ratio": rounded(self.ratio), "met": self.met}


def rounded(v):
    return float(f"{v:.4g}") if isinstance(v, float) else v


def number(v):
    if v is None:
        return "-"
    return f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.3g}"


def table(results):
    """Text with aligned columns."""
    head = ["suite", "workload", "metric", "rowtide", "reference", "", "ratio", "target", "met"]
    rows = [[r.suite, r.workload, r.metric, number(r.rowtide), number(r.reference), r.reference_name or "", number(r.ratio),
             "-" if r.target is None else ("≥ " if r.higher_is_better else "≤ ") + number(r.target),
             {None: "", True: "yes", False: "NO"}[r.met]] for r in results]
    width = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    right = {3, 4, 6, 7}
    return "\n".join("  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, width))).rstrip()
                     for row in [head, *rows])


def machine():
    """One line about where this ran."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    return f"machine: {os.cpu_count()} x {cpu}, {memory} GiB, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}, Rowtide {commit or '?'}"


def percentile(values, p):
    """The value that p percent of the values do not exceed."""
    v = sorted(values)
    return v[min(len(v) - 1, int(len(v) * p / 100))]


__all__ = ["Result", "machine", "median", "number", "percentile", "table"]
