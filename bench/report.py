# SPDX-License-Identifier: Apache-2.0
"""The table: each target, where we stand, the best of the others, met or not."""

import dataclasses
import platform
import statistics
import subprocess


@dataclasses.dataclass
class Target:
    benchmark: str
    figure: str
    title: str
    limit: float  # of ours / best, or of ours alone
    least: bool = False  # at least the limit, else at most
    alone: bool = False  # the limit is an absolute one
    two_sided: bool = True
    digits: int = 1


TARGETS = (
    Target("bulk", "MB/s", "bulk, 4 KB writes: MB/s", 1.4, least=True, digits=0),
    Target("bulk", "cpu s/GB", "bulk, 4 KB writes: CPU s/GB", 0.7, digits=2),
    Target("small", "cpu s/GB", "writes of 60-120 B: CPU s/GB", 0.5, digits=1),
    Target("keepalive", "median us", "KEEPALIVE round trip: us", 1.0),
    Target("keepalive", "p99 us", "KEEPALIVE round trip, p99: us", 1.0),
    Target("rate", "sessions/s", "new sessions per second", 1.2, least=True, digits=0),
    Target("memory", "kB", "memory per idle session: kB", 12, alone=True),
    Target("held", "cpu ms/s", "5,000 x 1 KEEPALIVE/s: CPU ms/s", 0.7, digits=0),
    Target("held", "held", "5,000 sessions held", 5000, least=True, alone=True, digits=0),
    Target("routes", "seconds", "1,000,000 routes: s", 1.1, digits=2),
    Target("neighbors", "seconds", "1,000 neighbors, cold: s", 1.5, digits=2),
    Target("storm", "delay max ms", "mass reconnect: KEEPALIVE delay ms", 3000, alone=True, digits=0),
    Target("storm", "hold timers missed", "mass reconnect: hold timers missed", 0, alone=True, digits=0),
)


def median(rounds, figure):
    return statistics.median(r[figure] for r in rounds)


def summary(results):
    """[{"title", "target", "ours", "best", "best_peer", "ratio", "is_met", "all": {proxy: median}}]"""
    rows = []
    for t in TARGETS:
        if t.benchmark not in results or "botls" not in results[t.benchmark]:
            continue
        every = {name: median(rounds, t.figure) for name, rounds in results[t.benchmark].items()}
        others = {name: value for name, value in every.items() if name != "botls"}
        peer = (max if t.least else min)(others, key=others.get) if others else None
        best = others.get(peer)
        ours = every["botls"]
        ratio = ours / best if best else None
        judged = ours if t.alone else ratio
        met = None if judged is None else judged >= t.limit if t.least else judged <= t.limit
        sign = ">=" if t.least else "<="
        rows.append({"benchmark": t.benchmark, "title": t.title, "digits": t.digits,
                     "target": f"{sign} {t.limit:g}" + ("" if t.alone else "x"), "ours": ours, "best": best, "best_peer": peer,
                     "ratio": ratio, "is_met": met, "all": every})
    return rows


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")
        f.seek(0)
        count = sum(line.startswith("processor") for line in f)
    versions = {}
    for name, argv in (("haproxy", ["haproxy", "-v"]), ("nginx", ["nginx", "-v"]), ("stunnel", ["stunnel", "-version"]),
                       ("bird", ["bird", "--version"]), ("openssl", ["openssl", "version"])):
        try:
            result = subprocess.run(argv, capture_output=True, text=True, check=False)
            versions[name] = (result.stdout + result.stderr).strip().splitlines()[0]
        except (OSError, IndexError):
            versions[name] = "not here"
    return {"processor": model, "processors": count, "kernel": platform.release(), "versions": versions}


def _number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def figures(of_one_round):
    return ", ".join(f"{name} {value:,.6g}" for name, value in of_one_round.items())


def table(rows, quick=False):
    """Within 80 columns."""
    line = "{:<34} {:>8} {:>8} {:<8} {:>5} {:>7} {:<3}"
    out = [line.format("benchmark", "botls", "best", "", "ratio", "target", "met")]
    for r in rows:
        out.append(line.format(r["title"], _number(r["ours"], r["digits"]), _number(r["best"], r["digits"]), r["best_peer"] or "-",
                               _number(r["ratio"], 2), r["target"], {True: "yes", False: "NO", None: "-"}[r["is_met"]]).rstrip())
    if quick:
        out.append("(--quick: shows that all of it runs; the figures mean nothing)")
    return "\n".join(out)
