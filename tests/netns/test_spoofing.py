# SPDX-License-Identifier: Apache-2.0
"""A third host at the exchange, which knows every sequence number, forges what a neighbor would send.

What docs/architecture.md says of it ("What is protected, and what is not"), seen: TCP alone loses the session, TLS
alone too, only later or by another rule; with TCP-AO nothing happens.
"""

import pytest

from harness.bird import Bird
from harness.botlsd import TLS_PORT
from harness.forge import Forger
from harness.peering import Peering
from harness.scene import Scene
from harness.wait import wait_until
from test_tcp_ao import EXPORTER, STATIC, needs_ao, wait_derived
from test_tcp_ao_capability import CAPABILITY, wait_on

ATTACKS = ("rst", "fin", "data")
DATA = {179: b"\xff" * 16 + b"\x00\x15\x03\x06\x02",  # NOTIFICATION: Cease
        TLS_PORT: b"\x17\x03\x03\x00\x15" + b"\xfe" * 21}  # a record that nobody sealed
HOLD = {"extra": ("hold time 9;",)}  # the keepalives of three seconds give the numbers


@pytest.fixture
def forger():
    made = []

    def make(victim, attacker):
        made.append(Forger(victim, attacker))
        return made[-1]

    yield make
    for f in made:
        f.close()


def attack(f, peer, port, kind, until, what):
    def forged_and_so():
        f.answer(peer, port, kind, DATA[port])
        return f.count and until()

    wait_until(forged_and_so, 60, what)


@pytest.mark.parametrize("kind", ATTACKS)
def test_plain(lab, forger, kind):
    """The counterpart: the forgery is good enough to end a session of TCP alone."""
    a, b, stranger = lab.exchange(3)
    daemons = []
    for router, other, peer, own in ((a, b, "192.0.2.2", "192.0.2.1"), (b, a, "192.0.2.1", "192.0.2.2")):
        daemons.append(Bird(router, [Peering(peer, other.asn, local=own, **HOLD)], []))
        daemons[-1].start()
    daemons[0].wait_established("192.0.2.2")
    attack(forger(a, stranger), "192.0.2.2", 179, kind, lambda: not daemons[0].session("192.0.2.2").is_up,
           f"{kind} ends the session")


@pytest.mark.parametrize("kind", ATTACKS)
def test_tls_alone(lab, pki, forger, kind):
    """Nothing that is forged reaches a daemon, but the connection ends."""
    a, b, stranger = lab.exchange(3)
    scene = Scene(lab, pki, routers=(a, b))
    scene.daemons(**HOLD).wait_up()
    ids = scene.shim_a.session_ids(scene.address_b)
    attack(forger(a, stranger), scene.address_b, TLS_PORT, kind,
           lambda: not ids & scene.shim_a.session_ids(scene.address_b), f"{kind} ends the TLS connection")
    scene.wait_up()
    scene.assert_private()


@needs_ao
@pytest.mark.parametrize("options", [STATIC, EXPORTER, CAPABILITY], ids=["static", "exporter", "capability"])
def test_tls_and_tcp_ao(lab, pki, forger, options):
    a, b, stranger = lab.exchange(3)
    scene = Scene(lab, pki, routers=(a, b), options=options)
    scene.daemons(**HOLD).wait_up()
    if options is EXPORTER:
        wait_derived(scene)
    elif options is CAPABILITY:
        wait_on(scene)
    since = scene.since()

    def refused():
        return scene.shim_a.wait_up(scene.address_b)["tcp_ao"]["required"]

    f = forger(a, stranger)
    for kind in ATTACKS:
        before = refused()
        attack(f, scene.address_b, TLS_PORT, kind, lambda: refused() > before, f"{kind} is dropped and counted")
    scene.wait_up()
    assert scene.since() == since
    scene.assert_private()
