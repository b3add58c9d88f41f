# SPDX-License-Identifier: Apache-2.0
"""What the guides for BIRD, FRR and route servers say, done: every command as it is written."""

import pytest

from harness.guide import BIRD, Network, Reader, is_established, sections
from harness.systemd import SYSTEMD
from harness.wait import wait_until

pytestmark = pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd is not installed")


def test_bird(lab):
    network = Network(lab, lab.pair()).boot()
    reader = Reader(network.containers)
    for title, blocks in sections("guide-bird.md"):
        reader.do(blocks)
        if title.startswith("4"):
            network.capture.forget()
            network.containers["B"].run("birdc", "restart", "a")
            wait_until(lambda: all(map(is_established, network.containers.values())), 60, "the session is up")
            network.capture.assert_no_clear_text()
    assert reader.commands > 30


def test_frr(lab):
    network = Network(lab, lab.pair()).boot()
    reader = Reader(network.containers)
    for title, blocks in sections("guide-frr.md"):
        reader.do(blocks)
        if title.startswith("3"):
            network.capture.forget()
            network.containers["B"].run("vtysh", "-c", "clear bgp *")
            wait_until(lambda: "Established" in network.containers["A"].run(
                "vtysh", "-c", "show bgp neighbors 192.0.2.2").stdout, 60, "the session is up")
            network.capture.assert_no_clear_text()
    assert reader.commands > 30


MEMBER = """
ca = "tls/ca.pem"
neighbor "192.0.2.1" {{
  remote-as = 64501
  certificate = "tls/as{asn}.pem"
  key = "tls/as{asn}.key"
  ttl-security = 1
}}
"""


def test_route_server(lab):
    network = Network(lab, lab.exchange(3))
    for n, letter in ((2, "B"), (3, "C")):
        network.containers[letter].write("etc/bird/bird.conf", BIRD.format(
            own=f"192.0.2.{n}", peer="192.0.2.1", asn=64500 + n, peer_as=64501, name="r1", n=n))
    network.boot()
    reader = Reader(network.containers)
    wanted = {"A": 2, "B": 1, "C": 1}

    def all_up():
        return all(container.run("birdc", "show", "protocols").stdout.count("Established") == wanted[letter]
                   for letter, container in network.containers.items())

    for title, blocks in sections("guide-route-server.md"):
        reader.do(blocks)
        if title.startswith("2"):
            for n, letter in ((2, "B"), (3, "C")):
                asn = 64500 + n
                for name in ("ca.pem", f"as{asn}.pem", f"as{asn}.key"):
                    network.containers[letter].put(network.containers["A"].path(f"/root/exchange/{name}"), f"/etc/botls/tls/{name}")
                network.containers[letter].write("/etc/botls/botlsd.conf", MEMBER.format(asn=asn))
            wait_until(all_up, 60, "all sessions in clear text")
        if title.startswith("4"):
            for letter in "BC":
                network.containers[letter].systemctl("reload", "botlsd")
        if title[:2] in ("4.", "5.", "7."):
            wait_until(all_up, 60, f"{title}: all sessions")
            network.capture.forget()
    network.capture.assert_no_clear_text()
    assert reader.commands > 30
