# SPDX-License-Identifier: Apache-2.0
"""Two routers with botlsd on both, the stage of most tests: r1 (a) and r2 (b) on one link.

They are neighbors over one address family or over several at once, each a session of its own.
"""

import dataclasses
import re

from .bird import Bird
from .botlsd import Botlsd
from .peering import Peering
from .wait import hold_for, wait_until

ADDRESSES = {"v4": ("192.0.2.1", "192.0.2.2"), "v6": ("2001:db8:0:2::1", "2001:db8:0:2::2"),
             "ll": ("fe80::1%eth0", "fe80::2%eth0")}
NETWORKS = {"v4": ("10.1.0.0/24", "10.2.0.0/24"), "v6": ("2001:db8:a::/48", "2001:db8:b::/48")}
EVERY = ("v4", "v6", "ll")


def host(address):
    return address.partition("%")[0]


@dataclasses.dataclass
class Side:
    """One router as the other one's neighbor."""

    router: object
    shim: Botlsd
    addresses: tuple
    networks: tuple
    daemon: object = None


class Scene:
    """`options` are neighbor options of both sides, `options_a` and `options_b` of one."""

    def __init__(self, lab, pki, *families, options=None, options_a=None, options_b=None, start=True,
                 globals_a=None, routers=None):
        families = families or ("v4",)
        addresses = tuple(zip(*(ADDRESSES[f] for f in families)))
        networks = tuple(zip(*(NETWORKS[kind] for kind in ("v4", "v6")
                               if any((f == "v4") == (kind == "v4") for f in families))))
        self.lab = lab
        sides = []
        routers = routers or lab.pair()
        for i, extra, settings in ((0, options_a, globals_a), (1, options_b, None)):
            neighbors = {address: {**(options or {}), **(extra or {})} for address in addresses[1 - i]}
            shim = Botlsd(routers[i], neighbors, pki.router(routers[i]), **(settings or {}))
            sides.append(Side(routers[i], shim, addresses[i], networks[i]))
        self.sides = self.side_a, self.side_b = sides
        self.capture = lab.capture(self.a)
        if start:
            self.start_shims()

    def start_shims(self):
        for side in self.sides:
            side.shim.start()

    a = property(lambda self: self.side_a.router)
    b = property(lambda self: self.side_b.router)
    shim_a = property(lambda self: self.side_a.shim)
    shim_b = property(lambda self: self.side_b.shim)
    daemon_a = property(lambda self: self.side_a.daemon)
    daemon_b = property(lambda self: self.side_b.daemon)
    # of the first family
    address_a = property(lambda self: self.side_a.addresses[0])
    address_b = property(lambda self: self.side_b.addresses[0])
    network_a = property(lambda self: self.side_a.networks[0])
    network_b = property(lambda self: self.side_b.networks[0])

    def other(self, side):
        return self.side_b if side is self.side_a else self.side_a

    def peerings(self, side, **how):
        other = self.other(side)
        for own, address in zip(side.addresses, other.addresses):
            local = {} if "%" in own else {"local": own}
            yield Peering(address, other.router.asn, **{**local, **how})

    def daemons(self, one=Bird, two=Bird, a=None, b=None, **both):
        """Starts a daemon on each side; `a`, `b` and keywords are fields of Peering."""
        for side, kind, how in ((self.side_a, one, a), (self.side_b, two, b)):
            side.daemon = kind(side.router, self.peerings(side, **{**both, **(how or {})}), side.networks)
        for side in self.sides:
            side.daemon.start()
        return self

    def wait_established(self, deadline=60):
        """Both daemons see the real addresses of the other, and routes have come through."""
        for side in self.sides:
            other = self.other(side)
            for address in other.addresses:
                session = side.daemon.wait_established(address, deadline)
                assert host(session.peer) == host(address)
            for family in ("ipv4", "ipv6"):
                networks = [n for n in other.networks if (":" in n) == (family == "ipv6")]
                if networks:
                    side.daemon.wait_routes(networks, family=family)

    def wait_up(self, deadline=60):
        """wait_established(), and both shims carry the sessions over TLS."""
        self.wait_established(deadline)
        for side in self.sides:
            for address in self.other(side).addresses:
                side.shim.wait_up(address, 10)
        return self

    def is_any_up(self):
        return any(s.is_up for side in self.sides for s in side.daemon.sessions().values())

    def wait_down(self):
        wait_until(lambda: not self.is_any_up(), 30, "both daemons have lost all sessions")

    def since(self):
        """When each session began, as both daemons tell it; to see later that none was lost."""
        return [side.daemon.session(address).since for side in self.sides for address in self.other(side).addresses]

    def wait_renewed(self, since, deadline=60):
        """Waits until every session is another one than at `since`, and up."""
        wait_until(lambda: all(old != new for old, new in zip(since, self.since())), deadline, "new sessions")
        self.wait_up(deadline)

    def dials(self, side):
        """How often this side's BIRD has tried to connect, by its own log; the least of its neighbors."""
        text = side.daemon.log_text()
        return min(len(re.findall(rf"Connecting to {re.escape(host(address))}[ %]", text))
                   for address in self.other(side).addresses)

    def wait_dials(self, side, count=2, deadline=30):
        """Waits until this side's BIRD has tried `count` more times to reach each neighbor."""
        before = self.dials(side)
        wait_until(lambda: self.dials(side) >= before + count, deadline, f"{side.router.name} dials")

    def assert_private(self, **how):
        self.capture.assert_no_clear_text(**how)

    def assert_private_from_now(self, duration=2):
        """For a scene that was in clear text before: only what is said from now on counts."""
        self.capture.forget()
        hold_for(lambda: self.daemon_a.session(self.address_b).is_up, duration, "the session stays")
        self.assert_private()
