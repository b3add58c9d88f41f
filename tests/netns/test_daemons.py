# SPDX-License-Identifier: Apache-2.0
"""Unmodified daemons over TLS: each pair, over IPv4, IPv6 and link-local addresses."""

import pytest

from harness.bird import Bird
from harness.botlsd import Botlsd
from harness.exabgp import ExaBgp
from harness.frr import Frr
from harness.gobgp import GoBgp
from harness.openbgpd import OpenBgpd
from harness.peering import Peering
from harness.scene import Scene

PAIRS = [(Bird, Bird), (Bird, Frr), (Frr, Frr), (GoBgp, Bird), (ExaBgp, Bird), (OpenBgpd, Bird)]
# ExaBGP has no link-local neighbors; FRR 8.4 dials one only when it is unnumbered (see below).
CASES = [(one, two, family) for one, two in PAIRS for family in ("v4", "v6", "ll")
         if family != "ll" or ExaBgp not in (one, two) and (one, two) != (Frr, Frr)]


def name(case):
    one, two, family = case
    return f"{one.kind}-{two.kind}-{family}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_pair(lab, pki, case):
    one, two, family = case
    scene = Scene(lab, pki, family)
    scene.daemons(one, two).wait_up()
    session = scene.shim_a.wait_up(scene.address_b)
    assert session["tls"]["version"] == "TLSv1.3"
    assert session["in"]["open"]["as"] == scene.b.asn
    assert session["in"]["open"]["router_id"] == scene.b.router_id
    assert session["out"]["open"]["as"] == scene.a.asn
    assert not session["in"].get("framing_error") and not session["out"].get("framing_error")
    scene.assert_private()


def test_frr_unnumbered(lab, pki):
    """`neighbor eth0 interface`: FRR finds the link-local address by router advertisements."""
    a, b = lab.pair()
    capture = lab.capture(a)
    shims = [Botlsd(router, {f"fe80::{other.number}%eth0": {}}, pki.router(router)).start()
             for router, other in ((a, b), (b, a))]
    one = Frr(a, [Peering("%eth0", b.asn)], ["2001:db8:a::/48"]).start()
    two = Frr(b, [Peering("%eth0", a.asn)], ["2001:db8:b::/48"]).start()
    assert one.wait_established("%eth0").peer == "fe80::2"
    assert two.wait_established("%eth0").peer == "fe80::1"
    one.wait_routes(["2001:db8:b::/48"], family="ipv6")
    two.wait_routes(["2001:db8:a::/48"], family="ipv6")
    shims[0].wait_up("fe80::2%eth0")
    shims[1].wait_up("fe80::1%eth0")
    capture.assert_no_clear_text()
