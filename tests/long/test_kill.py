# SPDX-License-Identifier: Apache-2.0
"""200 times kill -9, under load, with the wire watched: no plaintext, every session back, nothing left programmed,
and what survives does not grow.

BOTLS_KILLS is how often, BOTLS_SEED chooses the moments. The samples are in build/kill-*.csv.
"""

import os
import random

import pytest

from harness.bird import Bird
from harness.botlsd import BUILD
from harness.frr import Frr
from harness.killing import Killing
from harness.usage import Series, assert_flat

KILLS = int(os.environ.get("BOTLS_KILLS") or 200)
SEED = int(os.environ.get("BOTLS_SEED") or random.randrange(1 << 32))
BURST = 3

# What is killed, and what therefore lives through all of it.
PHASES = [("the other end", ["b worker", "b control"], ["r1 control", "r1 worker"], 0.4),
          ("workers of both ends", ["a worker", "b worker"], ["r1 control", "r2 control"], 0.3),
          ("anything", ["a worker", "a control", "b worker", "b control"], [], 0.3)]


@pytest.mark.parametrize("steering, other", [("cgroup", Frr), ("route", Bird)])
def test_killed_at_random(lab, pki, steering, other):
    print(f"seed {SEED}")
    killing = Killing(lab, pki, SEED, steering, (Bird, other))
    kills = KILLS // 2
    for number, (what, victims, survivors, part) in enumerate(PHASES, 1):
        before = killing.processes()
        series = Series(BUILD / f"kill-{steering}-{number}.csv")
        done = 0
        while done < kills * part:
            killing.burst(victims, BURST)
            done += BURST
            now = killing.processes()
            series.take({name: now[name] for name in survivors}, f"{done} kills")
        series.close()
        print(f"{steering}, {what}: {killing.killed}")
        if survivors:
            assert {name: now[name] for name in survivors} == {name: before[name] for name in survivors}
            assert_flat(series)
    killing.finish()
    assert sum(killing.killed.values()) >= kills, killing.killed
    print(f"{steering}: {killing.killed}, {killing.scene.capture.count} segments on the wire, "
          f"{[churn.turns for churn in killing.churns]} times all routes anew")
