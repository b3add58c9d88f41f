# SPDX-License-Identifier: Apache-2.0
"""A whole table from BIRD to BIRD with records in the kernel at both ends, equal route by route.

For the guest: tests/vm/run -- /usr/bin/python3 -m pytest -s tests/long/test_ktls_table.py. BOTLS_ROUTES is how many (1,000,000).
"""

import os
import re
import struct
import time

from harness import mrt
from harness.bird import Bird
from harness.peering import Peering
from harness.scene import Scene
from harness.wait import wait_until
from test_ktls import assert_chosen, needs_ktls

ROUTES = int(os.environ.get("BOTLS_ROUTES") or 1_000_000)
BACK = 20_000  # the other way, at the same time
RECORDS = 64  # per key


def prefix(i, first):
    return f"{first + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24"


def write_table(path, count, first):
    with open(path, "w", encoding="ascii") as f:
        f.writelines(f"route {prefix(i, first)} blackhole {{ bgp_med = {i // 4}; }};\n" for i in range(count))
    return path


def imported(bird):
    match = re.search(r"Routes: +(\d+) imported", bird.details("p1"))
    return int(match[1]) if match else 0


def assert_equal(bird, count, first):
    """What it has learned is what the other one was told: each prefix, once, with its attributes and no others."""
    common = mrt.originated(bird.peerings[0])
    seen = bytearray(count)
    for network, bits, wire in mrt.ipv4_routes(bird.dump_learned()):
        i = (network >> 8) - (first << 16)
        assert bits == 24 and 0 <= i < count and network & 255 == 0, f"nobody announced {mrt.ipv4_text(network, bits)}"
        assert not seen[i], f"{prefix(i, first)} is there twice"
        seen[i] = True
        assert mrt.attributes(wire) == {**common, mrt.MED: struct.pack(">I", i // 4)}, prefix(i, first)
    assert all(seen), f"{seen.count(0)} are missing, the first is {prefix(seen.index(0), first)}"


@needs_ktls
def test_table(lab, pki):
    scene = Scene(lab, pki, options={"ktls": "on", "key-update-records": RECORDS})
    tables = [write_table(lab.folder / name, count, first) for name, count, first in (("a", BACK, 101), ("b", ROUTES, 1))]
    a = Bird(scene.a, [Peering(scene.address_b, scene.b.asn, local=scene.address_a)], static=tables[0], hold=240)
    b = Bird(scene.b, [Peering(scene.address_a, scene.a.asn, local=scene.address_b)], static=tables[1], hold=240)
    b.start()
    wait_until(lambda: f"{ROUTES} of {ROUTES} routes" in b.birdc("show", "route", "count"), 600, "the sender has its table", 1)
    began = time.monotonic()
    a.start()
    wait_until(lambda: imported(a) == ROUTES and imported(b) == BACK, 1200, "the tables are over", 1)
    seconds = time.monotonic() - began
    for shim, address in ((scene.shim_a, scene.address_b), (scene.shim_b, scene.address_a)):
        assert_chosen(shim, address)
    session = scene.shim_a.sessions(scene.address_b)[0]
    tls = session["tls"]
    assert tls["key_updates_received"] > 1
    assert_equal(a, ROUTES, 1)
    assert_equal(b, BACK, 101)
    assert len(scene.shim_a.sessions(scene.address_b)) == 1 and session["id"] in scene.shim_a.session_ids(scene.address_b)
    print(f"\n{ROUTES} routes in {seconds:.0f} s: {session['in']['bytes']} bytes, {session['in']['messages']['update']} UPDATEs, "
          f"{tls['records_in']} records, {tls['key_updates_received']} and {tls['key_updates_sent']} KeyUpdates")
    scene.assert_private()
