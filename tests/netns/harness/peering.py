# SPDX-License-Identifier: Apache-2.0
"""One BGP neighbor as a test describes it; each daemon writes it in its own language."""

import dataclasses
import ipaddress
import typing


@dataclasses.dataclass
class Peering:
    address: str  # the neighbor: "192.0.2.2", "fe80::2%eth0"; a prefix: dynamic; "%eth0": unnumbered
    remote_as: int
    local: typing.Optional[str] = None  # our own address
    name: typing.Optional[str] = None
    passive: bool = False
    password: typing.Optional[str] = None
    multihop: int = 0
    ttl_security: bool = False
    graceful_restart: bool = False
    extra: tuple = ()  # further lines, in the daemon's own language

    @property
    def host(self):
        return self.address.partition("%")[0]

    @property
    def interface(self):
        return self.address.partition("%")[2]

    @property
    def is_prefix(self):
        return "/" in self.address

    @property
    def family(self):
        return "ipv4" if self.host and ipaddress.ip_interface(self.host).version == 4 else "ipv6"


@dataclasses.dataclass(frozen=True)
class Session:
    """A session as the daemon itself tells it."""

    peer: str  # the neighbor's address, as the daemon sees it
    state: str  # lower case, "established" everywhere
    since: object = None  # changes when the session is lost and comes back
    local: str = ""
    remote_as: int = 0

    @property
    def is_up(self):
        return self.state == "established"
