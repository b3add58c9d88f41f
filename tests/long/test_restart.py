# SPDX-License-Identifier: Apache-2.0
"""100 restarts and kills of control under load, with records in user space and in the kernel: no session lost, no byte
changed, and nothing grows.

BOTLS_RESTARTS is how often, BOTLS_SEED chooses the moments. The samples are in build/restart-*.csv. For the kernel's records:
tests/vm/run --limit 1500 -- /usr/bin/python3 -m pytest -s -p no:cacheprovider tests/long/test_restart.py -k 'bytes and ktls'
"""

import contextlib
import os
import random
import signal
import time

import pytest

from harness.bird import Bird
from harness.botlsd import BUILD
from harness.frr import Frr
from harness.killing import Churn
from harness.scene import EVERY
from harness.stream import Listener, Stream, wait_flow
from harness.supervisor import stages
from harness.usage import Series
from harness.wait import wait_until
from test_ktls import needs_ktls

RESTARTS = int(os.environ.get("BOTLS_RESTARTS") or 100)
SEED = int(os.environ.get("BOTLS_SEED") or random.randrange(1 << 32))
ROUTES = [f"10.{side}.{i}.0/24" for side in (101, 102) for i in range(250)]
KTLS = {"ktls": "on", "key-update-records": 16}
KTLS_RATE = 30_000  # bytes per second of each end: an emulated processor can carry that
LAYERS = [pytest.param({}, id="user-space"), pytest.param(KTLS, id="ktls", marks=needs_ktls)]


def samples_of(what, options):
    return Series(BUILD / f"restart-{what}{'-ktls' if options else ''}.csv")


def restarts(supervisors, series, between):
    """`between` is called after each; a third of them are kills."""
    print(f"seed {SEED}", flush=True)
    chance = random.Random(SEED)
    began, kills = time.monotonic(), 0
    for n in range(RESTARTS):
        time.sleep(chance.uniform(0, 0.3))
        supervisor = chance.choice(supervisors)
        is_kill = chance.random() < 1 / 3
        kills += is_kill
        told = supervisor.restart(signal.SIGKILL if is_kill else signal.SIGUSR1)
        assert "stay with" not in told
        between(n, told)
        if n % 10 == 9:
            print(f"{n + 1} in {time.monotonic() - began:.0f} s", flush=True)
            series.take({f"{s.shim.router.name} {what}": pid for s in supervisors for what, pid in
                         (("control", s.shim.process.pid), ("worker", s.shim.worker_pids()[0]))})
    series.close()
    print(f"{RESTARTS - kills} restarts and {kills} kills in {time.monotonic() - began:.0f} s")
    return {name: [sample for _, sample in rows] for name, rows in series.rows.items()}


def assert_layer(scene, options, renewals):
    """Every session's records are where they should be, and in the kernel each key was renewed so often."""
    for side in scene.sides:
        found = [s["tls"] for address in scene.other(side).addresses for s in side.shim.sessions(address)]
        assert {tls["records"] for tls in found} == {"kernel" if options else "user space"}
        updates = [(tls["key_updates_sent"], tls["key_updates_received"]) for tls in found]
        print(f"{side.router.name}: KeyUpdates (sent, received) of each session: {updates}")
        assert not options or min(min(pair) for pair in updates) >= renewals


def assert_no_growth(samples):
    """Each is another process, and has no more than the first ones had."""
    for name, taken in samples.items():
        first, last = taken[0], taken[-1]
        print(f"{name}: {first.dirty} kB and {first.fds} descriptors after 10 restarts, {last.dirty} kB and {last.fds} at the end")
        assert last.dirty < first.dirty + 1024 and last.fds <= first.fds + 8, name


@pytest.mark.parametrize("options", LAYERS)
def test_bytes(lab, pki, options):
    """As fast as it goes, or at a rate, in both directions, over every family; twelve ends, each compared with what was sent."""
    with stages(lab, pki) as make, contextlib.ExitStack() as stack:
        scene, *supervisors = make(*EVERY, options=options)
        ends = [stack.enter_context(contextlib.closing(Listener(side))) for side in scene.sides]
        rate = KTLS_RATE if options else 0
        streams = [Stream(scene, side, ends[1 - i], family, rate) for family in EVERY for i, side in enumerate(scene.sides)]

        def between(n, told):
            assert "6 sessions were taken over" in told
            wait_flow(streams, 1 << 14)

        samples = restarts(supervisors, samples_of("bytes", options), between)
        assert_layer(scene, options, RESTARTS)
        print(RESTARTS, "restarts,", sum(stream.finish() for stream in streams), "bytes")
        for supervisor in supervisors:
            supervisor.assert_nothing_left()
        assert_no_growth(samples)


@pytest.mark.parametrize("options", LAYERS)
def test_daemons(lab, pki, options):
    """BIRD and FRR, whose routes come and go all the time, have the same sessions in the end, and the same routes."""
    with stages(lab, pki) as make:
        scene, *supervisors = make(*EVERY, options=options)
        for i, side in enumerate(scene.sides):
            side.networks = (*side.networks, *ROUTES[250 * i:250 * (i + 1)])
        scene.daemons(Bird, Frr).wait_up()
        since = scene.since()
        churns = [Churn(side.daemon) for side in scene.sides]

        def between(n, told):
            assert "3 sessions were taken over" in told
            assert n % 10 != 9 or scene.since() == since

        samples = restarts(supervisors, samples_of("daemons", options), between)
        assert_layer(scene, options, RESTARTS / 5)
        for churn in churns:
            churn.stop()
        print("the routes went and came", [churn.turns for churn in churns], "times")
        assert [churn.error for churn in churns if churn.error] == []
        assert scene.since() == since, "no daemon has lost a session"
        for i, side in enumerate(scene.sides):
            other = scene.other(side)
            wait_until(lambda: set(ROUTES[250 * (1 - i):250 * (2 - i)]) <= side.daemon.routes(), 30, "all routes are there")
            assert all(s["since"] for a in other.addresses for s in side.shim.sessions(a))
        for supervisor in supervisors:
            supervisor.assert_nothing_left()
        assert_no_growth(samples)
        scene.assert_private()
