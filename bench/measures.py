# SPDX-License-Identifier: Apache-2.0
"""What is measured of a pair of proxies: one function per benchmark, which returns {figure: value} of one round."""

import time

from harness.wait import SLOW, wait_until
from proxies import cpu_seconds, memory

GB = 1e9


class Size:
    """How much of everything: as the figures are taken, or --quick, which only shows that all of it runs."""

    def __init__(self, quick, rounds=0):
        self.bulk = 30_000_000 if quick else 1_000_000_000
        self.small = 2_000_000 if quick else 60_000_000
        self.pings = 500 if quick else 20_000
        self.rate_ms = 500 * SLOW ** 2 if quick else 4_000  # 32 at once: seconds of an emulated processor
        self.few = 64 if quick else 500
        self.memory = (20, 100) if quick else (500, 2_500)
        self.held = 100 if quick else 5_000
        self.beat_ms = 1_500 if quick else 6_000
        self.calm = 30 if quick else 500
        self.routes = 5_000 if quick else 1_000_000
        self.neighbors = 20 if quick else 1_000
        self.rounds = rounds or (1 if quick else 5)
        self.long_rounds = rounds or (1 if quick else 3)


class Cpu:
    """Processor seconds of both proxies, from here on."""

    def __init__(self, pair):
        self.pids = pair.pids()
        self.began = cpu_seconds(self.pids)

    def seconds(self):
        return cpu_seconds(self.pids) - self.began


def _stream(rig, pair, low, high, count):
    rig.ask("stream", low, high, count // 10)
    cpu = Cpu(pair)
    answer = rig.ask("stream", low, high, count)
    assert answer["ok"], f"{pair.name}: the stream broke"
    return {"MB/s": count / answer["seconds"] / 1e6, "cpu s/GB": cpu.seconds() * GB / count}


def bulk(rig, pair, size):
    return _stream(rig, pair, 4096, 4096, size.bulk)


def small(rig, pair, size):
    return _stream(rig, pair, 60, 120, size.small)


def keepalive(rig, pair, size):
    answer = rig.ask("ping", size.pings)
    return {"median us": answer["median_us"], "p99 us": answer["p99_us"]}


def rate(rig, pair, size):
    cpu = Cpu(pair)
    answer = rig.ask("rate", size.rate_ms, 32)
    return {"sessions/s": answer["sessions"] / answer["seconds"], "cpu ms": cpu.seconds() * 1e3 / max(answer["sessions"], 1),
            "failed": answer["failed"]}


def _open(rig, pair, count):
    """`count` sessions more, all up."""
    answer = rig.ask("open", count, 64)
    assert answer["up"] == answer["asked"], f"{pair.name}: {answer}"
    return answer


def _settled(pair):
    """{side: memory} once neither gives back more, for longer than the five seconds between two times that a worker does."""
    seen = {"a": [], "b": []}

    def is_lowest():
        for side, each in seen.items():
            each.append(memory(pair.pids(side))["uss"])
        return all(len(each) - each.index(min(each)) > 14 for each in seen.values())

    wait_until(is_lowest, 60, f"{pair.name} has settled", 0.5)
    return {side: min(each) for side, each in seen.items()}


def idle_memory(rig, pair, size):
    """By the slope between two numbers of sessions, after a burst on all of them at once; the worse of both proxies."""
    at = []
    opened = rig.ask("open", 0, 1)["up"]
    for count in size.memory:
        _open(rig, pair, count - opened)
        opened = count
        answer = rig.ask("burst")
        assert answer["done"] == answer["asked"] == count, f"{pair.name}: {answer}"
        at.append(_settled(pair))
    more = size.memory[1] - size.memory[0]
    each = {side: (at[1][side] - at[0][side]) / more / 1e3 for side in "ab"}
    return {"kB": max(each.values()), "kB connecting": each["a"], "kB accepting": each["b"]}


def held(rig, pair, size):
    """After idle_memory(): the rest of the sessions, a KEEPALIVE per second in each direction on every one."""
    answer = rig.ask("open", size.held - size.memory[1], 64)
    up = answer["up"]
    rig.ask("beat", 1000, 1000)
    cpu = Cpu(pair)
    answer = rig.ask("beat", size.beat_ms, 1000)
    return {"cpu ms/s": cpu.seconds() * 1e3 / answer["seconds"], "held": up - answer["lost"],
            "delay p99 us": answer["p99_us"], "delay max us": answer["max_us"]}


def storm(rig, pair, size):
    """A few sessions that keep alive ten times per second, while all others come at once."""
    rig.ask("close")
    time.sleep(1)  # both proxies see the ends: what follows is measured without them
    _open(rig, pair, size.calm)
    cpu = Cpu(pair)
    answer = rig.ask("beat", size.beat_ms, 100, size.held - size.calm)
    return {"delay max ms": answer["max_us"] / 1e3, "delay p99 ms": answer["p99_us"] / 1e3,
            "hold timers missed": answer["late"] + answer["lost"], "all up s": answer["open_seconds"],
            "slowest s": answer["slowest_up"], "up": answer["opened"], "failed": answer["failed"], "cpu s": cpu.seconds()}
