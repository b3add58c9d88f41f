# SPDX-License-Identifier: Apache-2.0
"""What the first guide says, done: every command as it is written, every way back too. The others: tests/long/test_guides_all.py."""

import re

import pytest

from harness.capture import said_by
from harness.guide import BIRD, Network, Reader, is_established, sections
from harness.systemd import SYSTEMD
from harness.wait import wait_until

pytestmark = pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd is not installed")


def states(container):
    """Of its session, each that it came into."""
    return re.findall(r"[ab]: State changed to (\w+)", container.journal("bird"))


def test_first_neighbor(lab):
    network = Network(lab, lab.pair())
    for n, (letter, name) in enumerate((("A", "b"), ("B", "a")), 1):
        network.containers[letter].write("etc/bird/bird.conf", BIRD.format(
            own=f"192.0.2.{n}", peer=f"192.0.2.{3 - n}", asn=64500 + n, peer_as=64503 - n, name=name, n=n))
    network.boot()
    places = network.containers
    reader = Reader(places)

    def wait_up():
        wait_until(lambda: all(map(is_established, places.values())), 60, "the session is up")

    for container in places.values():
        container.systemctl("start", "bird")
    wait_up()
    network.capture.assert_clear_text()
    first = states(places["A"])
    assert first[-1] == "up"
    for title, blocks in sections("guide-first-neighbor.md"):
        is_off = title[:2] in ("1.", "2.", "3.")
        reader.do(blocks)
        if any(block.kind == "back" for block in blocks):
            network.capture.forget()
            reader.do(blocks, ["back"])
            wait_up()
            if not is_off:
                network.capture.assert_clear_text()
            reader.do(blocks)
        if is_off:
            assert states(places["A"]) == first, f"{title}: the session was interrupted"
    wait_up()
    network.capture.forget()
    places["B"].systemctl("stop", "botlsd")
    wait_until(lambda: not is_established(places["A"]), 30, "A has lost the session")
    places["B"].systemctl("start", "botlsd")
    wait_up()
    network.capture.assert_no_clear_text(is_leak=said_by("192.0.2.1"))
    assert reader.commands > 40
