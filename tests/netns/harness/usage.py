# SPDX-License-Identifier: Apache-2.0
"""What botlsd's processes hold, sampled over time, and whether that grows."""

import csv
import dataclasses
import math
import os
import time


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


def processes(shim):
    """{"r1 control": pid, "r1 worker": pid, ...} of one botlsd, without asking it."""
    if not shim.process.is_running():
        return {}
    name, control = shim.router.name, shim.process.pid
    workers = [(f"{name} worker{i or ''}", pid) for i, pid in enumerate(sorted(children(control)))]
    return {f"{name} control": control, **dict(workers)}


@dataclasses.dataclass(frozen=True)
class Sample:
    """Of one process, in kB: what it has written (`dirty`), that and what of files it maps alone (USS), and with its share of
    what others map too (PSS). The last two also change when another program that uses OpenSSL ends or starts."""

    pid: int
    dirty: int
    uss: int
    pss: int
    fds: int

    @classmethod
    def of(cls, pid):
        kb = {}
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                name, _, rest = line.partition(":")
                if rest.strip().endswith("kB"):
                    kb[name] = int(rest.split()[0])
        return cls(pid, kb["Private_Dirty"], kb["Private_Clean"] + kb["Private_Dirty"], kb["Pss"],
                   len(os.listdir(f"/proc/{pid}/fd")))


JUDGED = {"dirty": 96, "fds": 0.5}  # and what a run may add to it: kB of a heap's pages here and there
SHOWN = (*JUDGED, "uss", "pss")


class Series:
    """Samples of several processes, kept in memory and in a CSV file."""

    def __init__(self, path):
        self.path = path
        self.began = time.monotonic()
        self.rows = {}  # name: [(seconds, Sample)]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "w", newline="", encoding="ascii")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["seconds", "process", "pid", "dirty_kb", "uss_kb", "pss_kb", "fds", "note"])

    def take(self, named, note=""):
        seconds = round(time.monotonic() - self.began, 1)
        for name, pid in named.items():
            sample = Sample.of(pid)
            self.rows.setdefault(name, []).append((seconds, sample))
            self._writer.writerow([seconds, name, pid, sample.dirty, sample.uss, sample.pss, sample.fds, note])
        self._file.flush()

    def close(self):
        self._file.close()

    def trends(self, warm_up=0.2):
        """{(process, field): Trend} of the processes that lived all the time; the first part, in which
        buffers and caches reach their size, does not count."""
        trends = {}
        for name, rows in self.rows.items():
            rows = rows[int(len(rows) * warm_up):]
            if len({sample.pid for _, sample in rows}) == 1:
                for field in SHOWN:
                    trends[name, field] = Trend([(t, getattr(sample, field)) for t, sample in rows])
        return trends


class Trend:
    """A straight line through (seconds, value): `growth` over the whole time and its standard error.

    Memory moves in steps that last, so neighboring samples are not independent. The error is taken from the
    means of BLOCKS stretches of time, which are nearly so.
    """

    BLOCKS = 12

    def __init__(self, points):
        self.first, self.last = points[0][1], points[-1][1]
        self.low, self.high = min(v for _, v in points), max(v for _, v in points)
        n = min(self.BLOCKS, len(points))
        blocks = [points[i * len(points) // n:(i + 1) * len(points) // n] for i in range(n)]
        means = [(sum(t for t, _ in b) / len(b), sum(v for _, v in b) / len(b)) for b in blocks]
        t_mean, v_mean = (sum(m[i] for m in means) / n for i in (0, 1))
        spread = sum((t - t_mean) ** 2 for t, _ in means)
        slope = sum((t - t_mean) * (v - v_mean) for t, v in means) / spread if spread else 0.0
        rest = sum((v - v_mean - slope * (t - t_mean)) ** 2 for t, v in means)
        duration = points[-1][0] - points[0][0]
        self.mean = v_mean
        self.growth = slope * duration
        self.error = math.sqrt(rest / max(n - 2, 1) / spread) * duration if spread else 0.0

    def is_flat(self, tolerance):
        """Not more than `tolerance` with any certainty: growth beyond twice its error."""
        return self.growth - 2 * self.error <= tolerance and self.growth <= 4 * tolerance

    def __str__(self):
        return (f"mean {self.mean:.0f}, {self.low:.0f} to {self.high:.0f},"
                f" grew by {self.growth:.1f} +- {2 * self.error:.1f}")


def assert_flat(series, **how):
    trends = series.trends(**how)
    assert trends, "no process lived long enough to be judged"
    report = "\n".join(f"{name} {field}: {trend}" for (name, field), trend in trends.items())
    print(report)
    grown = [key for key, trend in trends.items() if key[1] in JUDGED and not trend.is_flat(JUDGED[key[1]])]
    assert not grown, f"{grown} grew:\n{report}"
    return trends
