# SPDX-License-Identifier: Apache-2.0
"""A topology of routers for one test."""

import glob
import itertools
import os
import pathlib
import re
import shutil

from .capture import Capture
from .netns import Namespace, _is_test_run
from .router import Router, base_folder

_numbers = itertools.count(1)


class Lab:
    def __init__(self):
        self.number = next(_numbers)
        self.folder = pathlib.Path(base_folder()) / str(self.number)
        self.folder.mkdir()
        self.routers = {}
        self.bridges = []
        self.captures = []

    def router(self, name=None):
        number = len(self.routers) + 1
        name = name or f"r{number}"
        self.routers[name] = Router(self, name, number)
        return self.routers[name]

    def link(self, a, b, if_a="eth0", if_b="eth0"):
        """A veth pair without addresses, not even link-local ones."""
        a.ns.ip(f"link add {if_a} type veth peer name {if_b} netns {b.ns.name}")
        for router, interface in ((a, if_a), (b, if_b)):
            router.ns.ip(f"link set {interface} addrgenmode none", f"link set {interface} up")

    def pair(self, v4="192.0.2", v6="2001:db8:0:2"):
        """Two routers on one link: 192.0.2.1/.2, 2001:db8:0:2::1/::2, fe80::1/fe80::2."""
        a, b = self.router(), self.router()
        self.link(a, b)
        for i, router in ((1, a), (2, b)):
            router.address("eth0", f"{v4}.{i}/24")
            router.address("eth0", f"{v6}::{i}/64")
            router.address("eth0", f"fe80::{i}/64")
        return a, b

    def exchange(self, count, v4="192.0.2", v6="2001:db8:0:2"):
        """`count` routers at one bridge: 192.0.2.1 ... as in pair()."""
        bridge = Namespace(f"{self.number}-ix")
        self.bridges.append(bridge)
        bridge.ip("link add ix type bridge", "link set ix up")
        routers = []
        for i in range(1, count + 1):
            router = self.router()
            routers.append(router)
            router.ns.ip(f"link add eth0 type veth peer name port{i} netns {bridge.name}")
            router.ns.ip("link set eth0 addrgenmode none", "link set eth0 up")
            bridge.ip(f"link set port{i} addrgenmode none master ix", f"link set port{i} up")
            router.address("eth0", f"{v4}.{i}/24")
            router.address("eth0", f"{v6}::{i}/64")
            router.address("eth0", f"fe80::{i}/64")
        return routers

    def chain(self):
        """a - m - b: 192.0.2.1 behind one hop from 198.51.100.1 (v6 2001:db8:0:2::1, 2001:db8:0:3::1)."""
        a, m, b = self.router("r1"), self.router("mid"), self.router("r2")
        for family in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            m.ns.sysctl(family, 1)
        self.link(a, m, "eth0", "eth0")
        self.link(b, m, "eth0", "eth1")
        for router, interface, v4, v6 in ((a, "eth0", "192.0.2.1", "2001:db8:0:2::1"),
                                          (m, "eth0", "192.0.2.254", "2001:db8:0:2::fe"),
                                          (m, "eth1", "198.51.100.254", "2001:db8:0:3::fe"),
                                          (b, "eth0", "198.51.100.1", "2001:db8:0:3::1")):
            router.address(interface, f"{v4}/24")
            router.address(interface, f"{v6}/64")
            router.address(interface, f"fe80::{router.number}/64")
        # FRR does not follow a default route to a neighbor.
        a.ns.ip("route add 198.51.100.0/24 via 192.0.2.254", "route add 2001:db8:0:3::/64 via 2001:db8:0:2::fe")
        b.ns.ip("route add 192.0.2.0/24 via 198.51.100.254", "route add 2001:db8:0:2::/64 via 2001:db8:0:3::fe")
        return a, m, b

    def capture(self, router, interface="eth0"):
        capture = Capture(router.ns, interface)
        self.captures.append(capture)
        return capture

    def report(self):
        """All that is known, for a failed test."""
        for router in self.routers.values():
            yield from router.report()
        for capture in self.captures:
            yield f"capture on {capture.title}", capture.summary()

    def close(self):
        for router in self.routers.values():
            router.stop()
        for capture in self.captures:
            capture.stop()
        for router in self.routers.values():
            router.delete()
        for bridge in self.bridges:
            bridge.delete()
        if not os.environ.get("BOTLS_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


def delete_leftover_folders():
    for path in glob.glob("/tmp/botls-*"):
        match = re.fullmatch(r"/tmp/botls-(\d+)", path)
        if match and not _is_test_run(match[1]):
            shutil.rmtree(path, ignore_errors=True)
