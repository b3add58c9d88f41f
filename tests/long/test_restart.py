# SPDX-License-Identifier: Apache-2.0
"""100 restarts and kills of control under load: no session lost, no byte changed, and nothing grows.

BOTLS_RESTARTS is how often, BOTLS_SEED chooses the moments. The samples are in build/restart-*.csv.
"""

import contextlib
import os
import random
import signal
import time

from harness.bird import Bird
from harness.botlsd import BUILD
from harness.frr import Frr
from harness.killing import Churn
from harness.scene import EVERY
from harness.stream import Listener, Stream, wait_flow
from harness.supervisor import stages
from harness.usage import Series
from harness.wait import wait_until

RESTARTS = int(os.environ.get("BOTLS_RESTARTS") or 100)
SEED = int(os.environ.get("BOTLS_SEED") or random.randrange(1 << 32))
ROUTES = [f"10.{side}.{i}.0/24" for side in (101, 102) for i in range(250)]


def restarts(supervisors, series, between):
    """`between` is called after each; a third of them are kills."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for n in range(RESTARTS):
        time.sleep(chance.uniform(0, 0.3))
        supervisor = chance.choice(supervisors)
        told = supervisor.restart(signal.SIGKILL if chance.random() < 1 / 3 else signal.SIGUSR1)
        assert "stay with" not in told
        between(n, told)
        if n % 10 == 9:
            series.take({f"{s.shim.router.name} {what}": pid for s in supervisors for what, pid in
                         (("control", s.shim.process.pid), ("worker", s.shim.worker_pids()[0]))})
    series.close()
    return {name: [sample for _, sample in rows] for name, rows in series.rows.items()}


def assert_no_growth(samples):
    """Each is another process, and has no more than the first ones had."""
    for name, taken in samples.items():
        first, last = taken[0], taken[-1]
        print(f"{name}: {first.dirty} kB and {first.fds} descriptors after 10 restarts, {last.dirty} kB and {last.fds} at the end")
        assert last.dirty < first.dirty + 1024 and last.fds <= first.fds + 8, name


def test_bytes(lab, pki):
    """As fast as it goes, in both directions, over every family; twelve ends, each compared with what was sent."""
    with stages(lab, pki) as make, contextlib.ExitStack() as stack:
        scene, *supervisors = make(*EVERY)
        ends = [stack.enter_context(contextlib.closing(Listener(side))) for side in scene.sides]
        streams = [Stream(scene, side, ends[1 - i], family) for family in EVERY for i, side in enumerate(scene.sides)]

        def between(n, told):
            assert "6 sessions were taken over" in told
            wait_flow(streams, 1 << 14)

        samples = restarts(supervisors, Series(BUILD / "restart-bytes.csv"), between)
        print(RESTARTS, "restarts,", sum(stream.finish() for stream in streams), "bytes")
        for supervisor in supervisors:
            supervisor.assert_nothing_left()
        assert_no_growth(samples)


def test_daemons(lab, pki):
    """BIRD and FRR, whose routes come and go all the time, have the same sessions in the end, and the same routes."""
    with stages(lab, pki) as make:
        scene, *supervisors = make(*EVERY)
        for i, side in enumerate(scene.sides):
            side.networks = (*side.networks, *ROUTES[250 * i:250 * (i + 1)])
        scene.daemons(Bird, Frr).wait_up()
        since = scene.since()
        churns = [Churn(side.daemon) for side in scene.sides]

        def between(n, told):
            assert "3 sessions were taken over" in told
            assert n % 10 != 9 or scene.since() == since

        samples = restarts(supervisors, Series(BUILD / "restart-daemons.csv"), between)
        for churn in churns:
            churn.stop()
        assert scene.since() == since, "no daemon has lost a session"
        for i, side in enumerate(scene.sides):
            other = scene.other(side)
            wait_until(lambda: set(ROUTES[250 * (1 - i):250 * (2 - i)]) <= side.daemon.routes(), 30, "all routes are there")
            assert all(s["since"] for a in other.addresses for s in side.shim.sessions(a))
        for supervisor in supervisors:
            supervisor.assert_nothing_left()
        assert_no_growth(samples)
        scene.assert_private()
