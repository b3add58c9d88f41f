# SPDX-License-Identifier: Apache-2.0
"""Restarts and kills of control under sessions with TCP-AO: the keys stay with the sockets, and go on being renewed.
With TCP-AO: make check-vm."""

import signal

import pytest

from harness.bird import Bird
from harness.botlsd import TLS_PORT
from harness.frr import Frr
from harness.supervisor import stages
from harness.wait import wait_until
from test_tcp_ao import EXPORTER, needs_ao, wait_derived
from test_tcp_ao_adapter import ONE, TWO
from test_tcp_ao_capability import CAPABILITY, wait_on

CHAIN = {"tcp-ao": "static", "tcp-ao-chain": "ixp"}
MODES = {"exporter": {**EXPORTER, "tcp-ao-rekey": 10}, "capability": {**CAPABILITY, "tcp-ao-rekey": 10},
         "static": CHAIN, "carried": {**CHAIN, "mode": "tcp-ao"}}
READY = {"exporter": wait_derived, "capability": wait_on}
FAULTS = ("bad", "key_not_found", "required")


def established(scene):
    """The sessions that carry BGP, of both sides; the first side has dialled, the other one has accepted."""
    found = [s for side in scene.sides for address in scene.other(side).addresses
             for s in side.shim.neighbor(address)["sessions"] if s["bgp"] == "established"]
    assert [s["direction"] for s in found] == ["out", "out", "in", "in"]
    return found


def seen(scene):
    """What neither a restart nor a renewal changes, with what the kernel counts on a socket that is wrong."""
    return [(s["id"], s["since"], s["established_since"], s["local_port"], *(s["tcp_ao"][name] for name in FAULTS))
            for s in established(scene)]


def renew(scene, chained):
    """Each end uses keys that it had not when it was restarted."""
    if chained:
        for side in scene.sides:
            side.shim.keys = {"one": ONE, "two": {**TWO, "send-from": "2026-01-01"}}
            side.shim.write_config()
            assert not side.shim.reload()["resets"]
        wait_until(lambda: {s["tcp_ao"][way] for s in established(scene) for way in ("send_key", "recv_key")} == {"two"},
                   60, "the second key is in use")
        return
    goal = max(s["tcp_ao"]["generation"] for s in established(scene)) + 2
    wait_until(lambda: all(s["tcp_ao"]["generation"] >= goal for s in established(scene)), 60, "keys are renewed twice")


@needs_ao
@pytest.mark.parametrize("mode", MODES)
def test_keys_stay(lab, pki, mode):
    is_chain = "tcp-ao-chain" in MODES[mode]
    with stages(lab, pki) as make:
        scene, a, b = make("v4", "v6", start=False, options=MODES[mode], options_a={"role": "connect"},
                           options_b={"role": "accept"})
        for side in scene.sides:
            side.shim.keys = {"one": ONE} if is_chain else {}
        scene.start_shims()
        scene.daemons(Bird, Frr).wait_established()
        READY.get(mode, established)(scene)
        since, before = scene.since(), seen(scene)
        assert not any(s["tcp_ao"]["bad"] for s in established(scene))
        for n, (supervisor, how) in enumerate((s, h) for h in (signal.SIGUSR1, signal.SIGKILL) for s in (a, b)):
            assert "2 sessions were taken over" in supervisor.restart(how)
            # Of both families: an update there, its acknowledgment back.
            good = [s["tcp_ao"]["good"] for s in established(scene)]
            scene.daemon_a.networks += [f"10.77.{n}.0/24", f"2001:db8:7{n}::/48"]
            scene.daemon_a.configure()
            scene.daemon_b.wait_routes([f"10.77.{n}.0/24"])
            scene.daemon_b.wait_routes([f"2001:db8:7{n}::/48"], family="ipv6")
            wait_until(lambda: all(s["tcp_ao"]["good"] > g for s, g in zip(established(scene), good)), 10, "all is signed")
            assert seen(scene) == before
        renew(scene, is_chain)
        assert seen(scene) == before and scene.since() == since
        segments = scene.capture.find(port=179 if mode == "carried" else TLS_PORT)
        assert segments and (mode == "capability" or [str(s) for s in segments if not s.has_ao] == [])
        for supervisor, side in ((a, scene.side_a), (b, scene.side_b)):
            supervisor.assert_nothing_left()
            assert side.shim.steering()["agrees"] is True
        # The successors' own sockets have the keys, too.
        scene.shim_a.ctl("reset", scene.address_b)
        wait_until(lambda: scene.daemon_a.session(scene.address_b).since != since[0], 60, "a new session")
        scene.wait_established()
        READY.get(mode, established)(scene)
