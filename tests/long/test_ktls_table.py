# SPDX-License-Identifier: Apache-2.0
"""A whole table from BIRD to BIRD with records in the kernel at both ends, equal route by route.

For the guest: tests/vm/run -- /usr/bin/python3 -m pytest -s tests/long/test_ktls_table.py. BOTLS_ROUTES is how many (1,000,000).
"""

import os
import re
import time

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
    """Every prefix, each once; and the attributes of a part of them."""
    seen = set()
    for line in bird.birdc("show", "route", "protocol", "p1").splitlines():
        match = re.match(r"(\d+)\.(\d+)\.(\d+)\.0/24 ", line)
        if match:
            a, b, c = map(int, match.groups())
            seen.add((a - first) << 16 | b << 8 | c)
    assert len(seen) == count and min(seen) == 0 and max(seen) == count - 1
    where = f"net ~ {first}.0.0.0/9"
    attributes, at = {}, None
    for line in bird.birdc("show", "route", "all", "protocol", "p1", "where", where).splitlines():
        head = re.match(r"(\d+)\.(\d+)\.(\d+)\.0/24 ", line)
        med = re.match(r"\tBGP\.med: (\d+)", line)
        if head:
            a, b, c = map(int, head.groups())
            at = (a - first) << 16 | b << 8 | c
        elif med:
            attributes[at] = int(med[1])
    assert attributes == {i: i // 4 for i in range(min(count, 1 << 15))}


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
