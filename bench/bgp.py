# SPDX-License-Identifier: Apache-2.0
"""BIRD to BIRD, in plain TCP and through two botlsd: a whole table, and a thousand neighbors from a cold start."""

import datetime
import re
import time

from harness.bird import Bird
from harness.botlsd import Botlsd
from harness.lab import Lab
from harness.peering import Peering
from harness.wait import wait_until
from proxies import A, B, address

# BIRD 2.0 keeps the last few hundred routes back for up to a second, whatever is beneath it.
TAIL = 1024
# As BIRD has them without configuration, not the short ones of the tests.
TIMERS = ("connect delay time 5;", "connect retry time 120;", "startup hold time 240;", "error wait time 60, 300;")
HOLD = 240


def _static_routes(count):
    """1.0.0.0/24, 1.0.1.0/24 ... as BIRD's static routes; four share their attributes, and so an UPDATE."""
    for i in range(count):
        yield f"route {1 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24 blackhole {{ bgp_med = {i // 4}; }};\n"


def _botlsd(router, made, side, neighbors):
    other = "ba"["ab".index(side)]
    return Botlsd(router, neighbors, made[side], **{"dns-names": [f"{other}.bench"], "min-version": "1.3", "log-level": "warning"})


def _imported(bird):
    match = re.search(r"Routes: +(\d+) imported", bird.details("p1"))
    return int(match[1]) if match else 0


def routes(made, size):
    """Seconds from the receiver's Established to its last route but TAIL; `made`: identities, None for plain TCP."""
    lab = Lab()
    try:
        a, b = lab.pair()
        table = lab.folder / "table"
        table.write_text("".join(_static_routes(size.routes)))
        if made:
            _botlsd(a, made, "a", {B: {}}).start()
            _botlsd(b, made, "b", {A: {}}).start()
        receiver = Bird(a, [Peering(B, b.asn, local=A)])
        sender = Bird(b, [Peering(A, a.asn, local=B)], static=table)
        sender.start()
        wait_until(lambda: f"{size.routes} of {size.routes} routes" in sender.birdc("show", "route", "count"), 120,
                   "the sender has its table", 0.2)
        receiver.start()
        wait_until(lambda: _imported(receiver) >= size.routes - TAIL, 300, "the table is over", 0.01)
        end = time.time()
        # BIRD's own note of when it came up: while routes come in it is slow to answer.
        since = re.search(r"^p1 +BGP +\S+ +up +(\S+ \S+)", receiver.details("p1"), re.M)
        return {"seconds": end - datetime.datetime.fromisoformat(since[1]).timestamp()}
    finally:
        lab.close()


def _established(bird):
    return len(re.findall(r" Established *$", bird.birdc("show", "protocols"), re.M))


def neighbors(made, size):
    """Seconds until a thousand sessions are Established on both sides, from the start of everything: of botlsd and BIRD on
    both routers, at once, on all processors."""
    lab = Lab()
    try:
        pair = dict(zip("ab", lab.pair()))
        birds, daemons = [], []
        for side, own, other, via in (("a", 1, 2, B), ("b", 2, 1, A)):
            router, peer = pair[side], pair["ba"["ab".index(side)]]
            router.ns.ip(f"route add local 10.{own}.0.0/16 dev lo", f"route add 10.{other}.0.0/16 via {via}")
            links = [(address(own, i), address(other, i)) for i in range(size.neighbors)]
            birds.append(Bird(router, [Peering(theirs, peer.asn, local=ours, name=f"p{i}", multihop=2, extra=TIMERS)
                                       for i, (ours, theirs) in enumerate(links)], hold=HOLD))
            if made:
                daemons.append(_botlsd(router, made, side, {theirs: {"local-address": ours} for ours, theirs in links}))
        for bird in birds:
            bird.write_config()
        for daemon in daemons:
            daemon.write_config()
        began = time.monotonic()
        for daemon in daemons:
            daemon.start(wait=False)
        for daemon in daemons:
            wait_until(daemon._answers, 60, "botlsd starts", 0.02)
        ready = time.monotonic()
        for bird in birds:
            bird.processes[0].start()
        for bird in birds:
            wait_until(lambda: _established(bird) >= size.neighbors, 120, "all are Established", 0.05)
        return {"seconds": time.monotonic() - began, "botlsd ready": ready - began}
    finally:
        lab.close()
