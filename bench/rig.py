# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces with a cable between them, and the load at both ends (bench/load.c)."""

import dataclasses
import json
import os
import pathlib
import subprocess

from harness.botlsd import BUILD
from harness.lab import Lab
from proxies import A, B, BGP

LOAD = BUILD / "bench/load"
NICE = -15


@dataclasses.dataclass
class Identity:
    certificate: pathlib.Path
    key: pathlib.Path
    ca: pathlib.Path
    both: pathlib.Path

    def options(self):
        return {"certificate": self.certificate, "key": self.key, "ca": self.ca}


def identities(pki, folder):
    """What both sides need, P-256."""
    made = {}
    for side in "ab":
        i = pki.issue(f"{side}.bench")
        both = folder / f"{side}.pem"
        both.write_bytes(i.certificate.read_bytes() + i.key.read_bytes())
        both.chmod(0o600)
        made[side] = Identity(i.certificate, i.key, i.ca, both)
    return made


def processors(may_share):
    """Who runs where. With two processors the proxies share one, so that no load disturbs them; with one all do, if they may."""
    have = sorted(os.sched_getaffinity(0))
    if len(have) < 2 and not may_share:
        raise SystemExit("bench: two processors are needed: one for the proxies, one for the load")
    if len(have) < 2:
        return dict.fromkeys(("a", "b", "load"), have[0])
    if len(have) == 2:
        return {"a": have[0], "b": have[0], "load": have[1]}
    return {"a": have[0], "b": have[1], "load": have[2]}


class LoadFailed(Exception):
    pass


class Rig:
    """`count` addresses on each side, 10.1.x.x and 10.2.x.x, reached through one link."""

    def __init__(self, made, count, burst=0, may_share=False):
        self.identities = made
        self.count = count
        self.burst = burst
        self.cpus = processors(may_share)
        self.lab = Lab()
        a, b = self.lab.pair()
        self.routers = {"a": a, "b": b}
        for router, own, other, via in ((a, 1, 2, B), (b, 2, 1, A)):
            router.ns.ip(f"route add local 10.{own}.0.0/16 dev lo", f"route add 10.{other}.0.0/16 via {via}")
        self.loads = []

    def pinned(self, who, argv):
        """On its processor, and ahead of what else runs on this machine."""
        return ["nice", "-n", NICE, "taskset", "-c", self.cpus[who], *argv]

    def _load(self, side, *words):
        argv = self.pinned("load", [LOAD, *words, self.burst])
        load = subprocess.Popen(self.routers[side].ns.command(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.loads.append(load)
        return load

    def start_load(self, entry):
        sink = self._load("b", "sink", "0.0.0.0", BGP)
        sink.stdout.readline()
        self.source = self._load("a", "source", *entry)

    def ask(self, *words):
        """One command of the source (bench/load.c) and its answer."""
        self.source.stdin.write(" ".join(map(str, words)) + "\n")
        self.source.stdin.flush()
        line = self.source.stdout.readline()
        if not line:
            raise LoadFailed(f"the load has ended at {words}")
        return json.loads(line)

    def stop_load(self):
        for load in self.loads:
            load.kill()
            load.wait()
        self.loads = []

    def close(self):
        self.stop_load()
        self.lab.close()
