# SPDX-License-Identifier: Apache-2.0
"""A few kills of each kind; tests/long/test_kill.py has 200."""

import os
import random

import pytest

from harness.bird import Bird
from harness.frr import Frr
from harness.killing import Killing

SEED = int(os.environ.get("BOTLS_SEED") or random.randrange(1 << 32))


@pytest.mark.parametrize("steering, other", [("cgroup", Frr), ("route", Bird)])
def test_killed_at_random(lab, pki, steering, other):
    print(f"seed {SEED}")
    killing = Killing(lab, pki, SEED, steering, (Bird, other))
    for victims in (["b worker", "b control"], ["a worker", "a control", "b worker", "b control"]):
        killing.burst(victims, 3)
    killing.finish()
