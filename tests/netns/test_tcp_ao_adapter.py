# SPDX-License-Identifier: Apache-2.0
"""mode = tcp-ao: a daemon without TCP-AO towards a BIRD that has it, without TLS. With TCP-AO: make check-vm."""

import time

import pytest

from harness.ao import Packet, Verifier
from harness.bird import Bird
from harness.bird_ao import bird_keys, with_bird
from harness.botlsd import Botlsd
from harness.capture import said_by
from harness.frr import Frr
from harness.peering import Peering
from harness.wait import hold_for, wait_until
from test_tcp_ao import needs_ao, needs_none

ONE = {"chain": "ixp", "secret": "the first secret", "send-id": 1, "recv-id": 1}
TWO = {"chain": "ixp", "secret": "the second secret", "send-id": 2, "recv-id": 2, "algorithm": "hmac-sha1-96"}
ADAPTER = {"mode": "tcp-ao", "role": "connect", "tcp-ao": "static", "tcp-ao-chain": "ixp"}
def shim_on(router, neighbors, keys):
    shim = Botlsd(router, neighbors)
    shim.keys = keys
    return shim.start()


@needs_ao
@pytest.mark.parametrize("programs", [with_bird("bird2"), with_bird("bird3")])
def test_frr_with_bird(lab, programs):
    """FRR, which has no TCP-AO, gains it: from key to key without losing the session; plain BGP gets nowhere."""
    a, b = lab.pair()
    capture = lab.capture(a)
    shim = shim_on(a, {"192.0.2.2": ADAPTER}, {"one": ONE})
    frr = Frr(a, [Peering("192.0.2.2", b.asn)], ["10.1.0.0/24"]).start()
    bird = Bird(b, [Peering("192.0.2.1", a.asn, local="192.0.2.2", passive=True, extra=bird_keys(ONE))],
                ["10.2.0.0/24"], programs=programs).start()
    before = [daemon.wait_established(peer, 90).since for daemon, peer in ((frr, "192.0.2.2"), (bird, "192.0.2.1"))]
    frr.wait_routes(["10.2.0.0/24"])
    bird.wait_routes(["10.1.0.0/24"])

    def session():
        return shim.neighbor("192.0.2.2")["sessions"][0]

    assert session()["transport"] == "tcp-ao" and session()["bgp"] == "established"
    assert session()["tcp_ao"]["send_key"] == "one" and not session()["tcp_ao"]["bad"]
    # BIRD first, then us.
    bird.peerings[0].extra = bird_keys(ONE, TWO)
    bird.configure()
    shim.keys = {"one": ONE, "two": {**TWO, "send-from": "2026-01-01"}}
    shim.write_config()
    assert not shim.reload()["resets"]
    wait_until(lambda: session()["tcp_ao"]["send_key"] == session()["tcp_ao"]["recv_key"] == "two", 90,
               "both use the second key")
    bird.peerings[0].extra = bird_keys(TWO)
    bird.configure()
    shim.keys = {"two": TWO}
    shim.write_config()
    assert not shim.reload()["resets"]
    # Nor does what control looks after every half minute end it.
    seen = session()["in"]["messages"]["keepalive"]
    end = time.monotonic() + 45
    wait_until(lambda: session()["in"]["messages"]["keepalive"] > seen and time.monotonic() > end, 90, "it lives")
    assert [frr.session("192.0.2.2").since, bird.session("192.0.2.1").since] == before
    verifier = Verifier(*((k["send-id"], k["secret"].encode(), k.get("algorithm", "aes-128-cmac-96"), True)
                          for k in (ONE, TWO)))
    segments = capture.find(port=179)
    assert {Packet(s.packet).ao[0] for s in segments if s.packet} == {1, 2}
    assert segments and [str(s) for s in segments if not verifier.judge(s.packet)] == []


@needs_none
def test_a_kernel_without(lab):
    """It fails closed: neither our daemon nor the neighbor's gets through."""
    a, b = lab.pair()
    capture = lab.capture(a)
    shim = shim_on(a, {"192.0.2.2": ADAPTER}, {"one": ONE})
    one = Bird(a, [Peering("192.0.2.2", b.asn, local="192.0.2.1")], ["10.1.0.0/24"]).start()
    Bird(b, [Peering("192.0.2.1", a.asn, local="192.0.2.2")], ["10.2.0.0/24"]).start()
    assert shim.state("192.0.2.2") == "error"
    assert "mode = tcp-ao: this kernel has no TCP-AO" in shim.neighbor("192.0.2.2")["last_failure"]["text"]
    wait_until(lambda: shim.failures("192.0.2.2").get("refused", 0) >= 2, 30, "BIRD dials")
    hold_for(lambda: not one.session("192.0.2.2").is_up, 3, "it stays down")
    assert [str(s) for s in capture.find(port=179) if said_by("192.0.2.1")(s)] == []
