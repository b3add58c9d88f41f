# SPDX-License-Identifier: Apache-2.0
"""The stage for bad peers: r1 is ours; r2 is a good neighbor whose session must not notice; r3 is the bad
ones, each with an address and so a neighbor of its own.

    r3 (10.0.0.0/16, bad) ---eth1 r1 eth0--- r2 (192.0.2.2, good)
"""

import concurrent.futures
import itertools
import ipaddress
import os
import pathlib
import socket
import struct
import time

from . import rawtls
from .bird import Bird
from .botlsd import TLS_PORT, Botlsd
from .peering import Peering
from .sanitizer import SANITIZED
from .wait import SLOW, wait_until

OURS = "10.0.0.1"
GOOD_A, GOOD_B = "192.0.2.1", "192.0.2.2"
MARKER = b"\xff" * 16
BAD_AS = 64510


def bgp(kind, body=b"", length=None):
    return MARKER + struct.pack("!HB", 19 + len(body) if length is None else length, kind) + body


def bgp_open(address, hold=90):
    return bgp(1, struct.pack("!BHH4sB", 4, BAD_AS, hold, socket.inet_aton(address), 0))


KEEPALIVE = bgp(4)


class BadStage:
    def __init__(self, lab, pki, count=16, options=None, env=None, **globals_a):
        self.pki = pki
        self.a, self.b = lab.pair()
        self.c = lab.router("r3")
        lab.link(self.a, self.c, "eth1", "eth0")
        hosts = itertools.islice(ipaddress.ip_network("10.0.0.0/16").hosts(), 1, None)
        self._hosts = [str(next(hosts)) for _ in range(count)]
        # The kernel's table of hosts on links (gc_thresh3) is one for all namespaces: many stand behind a gateway.
        length = 16 if count < 500 else 32
        self.a.address("eth1", f"{OURS}/{length}")
        self.c.ns.ip(*(f"addr add {host}/{length} dev eth0" for host in self._hosts))
        if length == 32:
            self.a.address("eth1", "10.255.0.1/30")
            self.c.address("eth0", "10.255.0.2/30")
            self.a.ns.ip(f"route add 10.0.0.0/16 via 10.255.0.2 src {OURS}")
            self.c.ns.ip(f"route add {OURS}/32 via 10.255.0.1")
        self._free = iter(self._hosts)
        self.options = {"local-address": OURS, "handshake-timeout": 5 * SLOW, "hold-time": 10 * SLOW, **(options or {})}
        self.shim = Botlsd(self.a, {GOOD_B: {}, **{host: dict(self.options) for host in self._hosts}},
                           pki.issue(GOOD_A, OURS), **{"daemon-users": ["bird", "root"],
                              **{name.replace("_", "-"): value for name, value in globals_a.items()}})
        self.shim.process.env = env
        self.good = Botlsd(self.b, {GOOD_A: {}}, pki.router(self.b))
        self.bird = Bird(self.a, [Peering(GOOD_B, self.b.asn, local=GOOD_A),
                                  Peering("10.0.0.0/16", BAD_AS, local=OURS, passive=True, multihop=2)], ["10.201.0.0/24"])
        self.other = Bird(self.b, [Peering(GOOD_A, self.a.asn, local=GOOD_B)], ["10.202.0.0/24"])
        for it in (self.shim, self.good, self.bird, self.other):
            it.start()
        self.wait_good()
        # One for all of them: hundreds of keys would cost more than the tests.
        self.identity = rawtls.Identity(pki.issue(*self._hosts))

    # --- the good one

    def wait_good(self, deadline=40):
        self.bird.wait_established(GOOD_B, deadline)
        self.other.wait_established(GOOD_A, deadline)
        self.shim.wait_up(GOOD_B, 10)
        self.good.wait_up(GOOD_A, 10)

    def good_session(self):
        """Another one when it was lost in between, as both ends see it."""
        return (sorted(self.shim.session_ids(GOOD_B)), sorted(self.good.session_ids(GOOD_A)),
                self.bird.session(GOOD_B).since, self.other.session(GOOD_A).since)

    def good_flows(self, deadline=15):
        """The routes are sent once more, and arrive."""
        before = self.good.sessions(GOOD_A)[0]["in"]["bytes"]
        self.bird.birdc("reload", "out", "p1")
        wait_until(lambda: self.good.sessions(GOOD_A)[0]["in"]["bytes"] > before, deadline, "bytes of the good session flow")

    # --- what it costs

    def pids(self):
        return [self.shim.process.pid, *self.shim.worker_pids()]

    def fds(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def memory(self):
        """kB, of control and workers."""
        def rss(pid):
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0])

        return sum(rss(pid) for pid in self.pids())

    # --- the bad ones

    def address(self):
        return next(self._free)

    def connect(self, address):
        return rawtls.connect(self.c.ns, address, OURS, TLS_PORT)

    def client(self, address, version=rawtls.TLS13, hook=None, identity=None):
        return rawtls.Client(self.connect(address), identity or self.identity, version, hook)

    def session(self, address, version=rawtls.TLS13):
        """A client whose handshake is done, and whose OPEN BIRD has answered."""
        client = self.client(address, version).handshake()
        received = b""
        client.send(bgp_open(address))
        while KEEPALIVE not in received:
            received += client.read()
        client.send(KEEPALIVE)
        wait_until(lambda: [s for s in self.shim.sessions(address) if s["bgp"] == "established"], 15, "the bad one is up")
        return client

    def dial(self, address):
        """A daemon of ours connects to the neighbor; returns its socket."""
        return rawtls.connect(self.a.ns, OURS, address, 179)

    def failure(self, address, deadline=15):
        return wait_until(lambda: self.shim.ctl("show", "neighbor", address)["neighbors"][0].get("last_failure"), deadline,
                          f"a failure with {address} is told")

    def all_failures(self):
        return {n["name"]: n.get("last_failure") for n in self.shim.show()["neighbors"]}


def in_parallel(function, items, width=32 // SLOW):
    """[function(item)], many at a time (they share one interpreter, and each has a deadline); every exception is told with its item."""
    problems = []

    def one(item):
        try:
            return function(item)
        except Exception as e:
            problems.append(f"{str(item)[:80]}: {type(e).__name__}: {e}")

    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        results = list(pool.map(one, items))
    assert not problems, "\n".join([f"{len(problems)} of {len(items)}:", *problems])
    return results


class Undisturbed:
    """with Undisturbed(stage): whatever is done, the good session goes on, no process dies, and afterwards
    memory and descriptors are as before. `kilobytes` is what all processes together may have gained."""

    def __init__(self, stage, kilobytes=8192, seconds=60):
        self.stage, self.kilobytes, self.seconds = stage, kilobytes * (8 if SANITIZED else 1), seconds

    def __enter__(self):
        s = self.stage
        self.session, self.pids = s.good_session(), s.pids()
        self.fds, self.memory, self.peak, self.start = s.fds(), s.memory(), 0, time.monotonic()
        return self

    def look(self):
        """In between: remembers the most that it took."""
        self.peak = max(self.peak, self.stage.memory())

    def __exit__(self, kind, value, trace):
        if kind:
            return
        s = self.stage
        self.look()
        s.good_flows()
        assert s.pids() == self.pids, "a process has died"
        assert s.good_session() == self.session, "the good session was disturbed"
        wait_until(lambda: s.fds() <= self.fds, self.seconds, f"no more than {self.fds} descriptors are open")
        assert self.peak - self.memory < self.kilobytes, f"{self.memory} kB became {self.peak} kB"
