# SPDX-License-Identifier: Apache-2.0
"""The daemons in clear text, without botlsd: the ground the other tests stand on.

It also shows that the assertion the fail-closed tests end with can fail.
"""

import pytest

from harness.bird import Bird
from harness.exabgp import ExaBgp
from harness.frr import Frr
from harness.gobgp import GoBgp
from harness.openbgpd import OpenBgpd
from harness.peering import Peering

pytestmark = pytest.mark.clear


@pytest.mark.parametrize("daemon", [Bird, Frr, GoBgp, ExaBgp, OpenBgpd], ids=lambda d: d.kind)
def test_clear_text_is_seen(lab, daemon):
    a, b = lab.pair()
    capture = lab.capture(a)
    one = daemon(a, [Peering("192.0.2.2", b.asn, local="192.0.2.1")], ["10.1.0.0/24"])
    two = Bird(b, [Peering("192.0.2.1", a.asn, local="192.0.2.2")], ["10.2.0.0/24"])
    one.start()
    two.start()
    assert one.wait_established("192.0.2.2").peer == "192.0.2.2"
    assert two.wait_established("192.0.2.1").peer == "192.0.2.1"
    one.wait_routes(["10.2.0.0/24"])
    two.wait_routes(["10.1.0.0/24"])
    capture.assert_clear_text()
    with pytest.raises(AssertionError, match="clear text on the wire"):
        capture.assert_no_clear_text()


def test_passwords_are_real(lab):
    """What test_password_of_the_daemons relies on: both daemons sign."""
    a, b = lab.pair()
    capture = lab.capture(a)
    one = Bird(a, [Peering("192.0.2.2", b.asn, local="192.0.2.1", password="secret")]).start()
    Frr(b, [Peering("192.0.2.1", a.asn, local="192.0.2.2", password="secret")]).start()
    one.wait_established("192.0.2.2")
    data = [s for s in capture.find(port=179) if s.length]
    assert data and all(s.has_md5 for s in data)


def test_an_empty_capture_proves_nothing(lab):
    a, _ = lab.pair()
    with pytest.raises(AssertionError, match="nothing is proved"):
        lab.capture(a).assert_no_clear_text()


def test_a_capture_survives_its_interface_going_down(lab):
    a, b = lab.pair()
    capture = lab.capture(a)
    a.ns.ip("link set eth0 down")
    a.ns.ip("link set eth0 up")
    a.ns.run("bash", "-c", "exec 3<>/dev/tcp/192.0.2.2/179", check=False)
    assert capture.find(dport=179), capture.summary()
