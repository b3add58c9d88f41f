# SPDX-License-Identifier: Apache-2.0
"""mode = tcp-ao where the neighbor connects: its SYN to our port 179 has TCP-AO, the daemon here has none.
With TCP-AO: make check-vm."""

import pytest

from harness.ao import Packet, Verifier
from harness.bird import Bird
from harness.bird_ao import bird_keys, with_bird
from harness.botlsd import Botlsd
from harness.capture import said_by
from harness.frr import Frr
from harness.peering import Peering
from harness.scene import Scene
from harness.wait import hold_for, wait_until
from test_tcp_ao import needs_ao

ONE = {"chain": "ixp", "secret": "the first secret", "send-id": 1, "recv-id": 1}
TWO = {"chain": "ixp", "secret": "the second secret", "send-id": 2, "recv-id": 2, "algorithm": "hmac-sha1-96"}
WRONG = {**ONE, "secret": "a wrong secret"}
PAIRS = (("192.0.2.1", "192.0.2.2"), ("2001:db8:0:2::1", "2001:db8:0:2::2"))
OURS = [ours for ours, _ in PAIRS]
THEIRS = [theirs for _, theirs in PAIRS]


ADAPTER = {"mode": "tcp-ao", "tcp-ao": "static", "tcp-ao-chain": "ixp"}


class Adapted:
    """FRR behind botlsd, with IPv4 and IPv6 to a BIRD that has the keys."""

    def __init__(self, lab, role, programs, steering="cgroup", keys=(ONE,), passive=False):
        a, b = lab.pair()
        self.router = a
        self.capture = lab.capture(a)
        self.shim = Botlsd(a, {address: {**ADAPTER, "role": role} for address in THEIRS}, steering=steering)
        self.shim.keys = {"one": ONE}
        self.shim.start()
        self.frr = Frr(a, [Peering(address, b.asn) for address in THEIRS], ["10.1.0.0/24", "2001:db8:1::/48"]).start()
        self.bird = Bird(b, [Peering(ours, a.asn, local=theirs, passive=passive, extra=bird_keys(*keys) if keys else ())
                             for ours, theirs in PAIRS], ["10.2.0.0/24", "2001:db8:2::/48"], programs=programs).start()

    def wait_up(self):
        """Both families, seen by both daemons with the addresses that they know. When each session began."""
        since = [daemon.wait_established(peer, 90).since
                 for daemon, peers in ((self.frr, THEIRS), (self.bird, OURS)) for peer in peers]
        self.frr.wait_routes(["10.2.0.0/24"])
        self.frr.wait_routes(["2001:db8:2::/48"], family="ipv6")
        self.bird.wait_routes(["10.1.0.0/24"])
        return since

    def since(self):
        return [daemon.session(peer).since
                for daemon, peers in ((self.frr, THEIRS), (self.bird, OURS)) for peer in peers]

    def session(self, address):
        """The one that carries BGP."""
        sessions = [s for s in self.shim.neighbor(address)["sessions"] if s["bgp"] == "established"]
        assert len(sessions) == 1 and sessions[0]["transport"] == "tcp-ao", sessions
        return sessions[0]

    def set_keys(self, *keys):
        for peering in self.bird.peerings:
            peering.extra = bird_keys(*keys) if keys else ()
        self.bird.configure()

    def ours(self):
        return [s for s in self.capture.find(port=179) if said_by(*OURS)(s)]

    def assert_signed(self, *keys):
        verifier = Verifier(*((k["send-id"], k["secret"].encode(), k.get("algorithm", "aes-128-cmac-96"), True)
                              for k in keys))
        segments = self.capture.find(port=179)
        assert segments and [str(s) for s in segments if s.packet and not verifier.judge(s.packet)] == []
        assert {Packet(s.packet).ao[0] for s in segments if s.packet} == {k["send-id"] for k in keys}


@needs_ao
@pytest.mark.parametrize("programs, role, steering", [
    with_bird("bird2", "accept", "cgroup"), with_bird("bird3", "accept", "route"), with_bird("bird3", "both", "cgroup"),
    with_bird("bird2", "both", "route"), with_bird("bird2", "connect", "route")])
def test_who_connects(lab, programs, role, steering):
    """Either side, or both at once, with either mechanism; every segment on the wire is signed."""
    scene = Adapted(lab, role, programs, steering, passive=role == "connect")
    scene.wait_up()
    for address in THEIRS:
        assert role == "both" or scene.session(address)["direction"] == {"accept": "in", "connect": "out"}[role]
        assert scene.session(address)["tcp_ao"]["send_key"] == "one"
    assert [i for i in scene.shim.steering()["items"] if i["state"] != "ok"] == []
    scene.assert_signed(ONE)


@needs_ao
@pytest.mark.parametrize("programs", [with_bird("bird2"), with_bird("bird3")])
def test_rollover(lab, programs):
    """From key to key on a session that the neighbor began."""
    scene = Adapted(lab, "accept", programs)
    since = scene.wait_up()
    scene.set_keys(ONE, TWO)
    scene.shim.keys = {"one": ONE, "two": {**TWO, "send-from": "2026-01-01"}}
    scene.shim.write_config()
    assert not scene.shim.reload()["resets"]
    for address in THEIRS:
        wait_until(lambda: scene.session(address)["tcp_ao"]["send_key"] ==
                   scene.session(address)["tcp_ao"]["recv_key"] == "two", 90, f"{address} uses the second key")
    scene.set_keys(TWO)
    scene.shim.keys = {"two": TWO}
    scene.shim.write_config()
    assert not scene.shim.reload()["resets"]
    hold_for(lambda: scene.since() == since, 3, "no session ends")
    scene.assert_signed(ONE, TWO)


@needs_ao
@pytest.mark.parametrize("programs, steering", [with_bird("bird2", "cgroup"), with_bird("bird2", "route")])
def test_refused(lab, programs, steering):
    """A wrong key, and none at all: not a segment of ours says anything; with the key it comes up."""
    scene = Adapted(lab, "accept", programs, steering, keys=(WRONG,))
    for address in THEIRS:
        wait_until(lambda: scene.shim.neighbor(address)["tcp_ao"]["listener"]["bad"] >= 2, 60, "the wrong key is counted")
    scene.set_keys()
    for address in THEIRS:
        wait_until(lambda: scene.shim.neighbor(address)["tcp_ao"]["listener"]["required"] >= 2, 60, "no key is counted")
    assert [str(s) for s in scene.ours()] == []
    assert not any(scene.frr.session(address).is_up for address in THEIRS)
    scene.set_keys(ONE)
    scene.wait_up()


@needs_ao
@pytest.mark.parametrize("programs, steering", [with_bird("bird2", "cgroup"), with_bird("bird3", "route")])
def test_killed(lab, programs, steering):
    """Without botlsd nothing of the neighbor reaches the daemon, signed or not, and nothing answers it."""
    scene = Adapted(lab, "both", programs, steering)
    scene.wait_up()
    scene.shim.kill9_control()
    for address in OURS:
        scene.bird.wait_down(address)
    for keys in ((ONE,), ()):
        scene.set_keys(*keys)
        scene.capture.forget()
        for theirs in THEIRS:
            wait_until(lambda: [s for s in scene.capture.find(port=179) if said_by(theirs)(s)], 60, "BIRD dials")
        hold_for(lambda: not any(scene.bird.session(address).is_up for address in OURS), 3, "it stays down")
        assert [str(s) for s in scene.ours() if not s.has_ao] == []
    scene.set_keys(ONE)
    scene.shim.start()
    scene.wait_up()


@needs_ao
def test_beside_ktls(lab, pki):
    """The same listener serves TLS, whose records may go into the kernel: a socket map must not be in their way."""
    scene = Scene(lab, pki, options={"ktls": "on"}, options_a={"role": "accept"}, options_b={"role": "connect"})
    shim = scene.shim_a
    scene.daemons().wait_up()

    def has_program():
        return [i["state"] for i in shim.steering()["items"] if i["name"] == "carry"]

    assert has_program() == []
    shim.neighbors[THEIRS[1]] = ADAPTER
    shim.keys = {"one": ONE}
    shim.write_config()
    assert not shim.reload()["resets"]
    assert has_program() == ["ok"]
    since = scene.since()
    shim.ctl("reset", scene.address_b)
    scene.wait_renewed(since)
    for side in scene.sides:
        assert side.shim.wait_up(scene.other(side).addresses[0])["tls"]["records"] == "kernel"
    del shim.neighbors[THEIRS[1]]
    shim.write_config()
    since = scene.since()
    assert shim.reload()["applied"]
    assert has_program() == []
    assert scene.since() == since
