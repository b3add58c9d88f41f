# SPDX-License-Identifier: Apache-2.0
"""The daemons in clear text, without botlsd: the ground the other tests stand on.

It also shows that the assertion the fail-closed tests end with can fail.
"""

import random

import pytest

from harness.bird import Bird
from harness.exabgp import ExaBgp
from harness.frr import Frr
from harness.gobgp import GoBgp
from harness.openbgpd import OpenBgpd
from harness.peering import Peering
from harness.usage import JUDGED, Trend

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


# Of half an hour, a sample every five seconds, in kB.
SERIES = {"still": (lambda t, r: 4000, True), "noise": (lambda t, r: 4000 + r.uniform(-300, 300), True),
          "steps up and down": (lambda t, r: 4000 + 200 * (int(t) // 200 % 2), True),
          "shrinks": (lambda t, r: 4000 - t / 4, True),
          "100 bytes a second": (lambda t, r: 4000 + t / 10, False),
          "100 bytes a second in noise": (lambda t, r: 4000 + t / 10 + r.uniform(-100, 100), False),
          "a step each minute": (lambda t, r: 4000 + 12 * (int(t) // 60), False)}


@pytest.mark.parametrize("what", SERIES)
def test_growth_is_told_from_noise(what):
    value, is_flat = SERIES[what]
    chance = random.Random(1)
    trend = Trend([(t, value(t, chance)) for t in range(0, 1800, 5)])
    assert trend.is_flat(JUDGED["dirty"]) is is_flat, str(trend)


def test_a_lost_descriptor_is_growth():
    assert not Trend([(t, 40 + t // 900) for t in range(0, 1800, 5)]).is_flat(JUDGED["fds"])
    assert Trend([(t, 40 + (t % 100 == 0)) for t in range(0, 1800, 5)]).is_flat(JUDGED["fds"])
