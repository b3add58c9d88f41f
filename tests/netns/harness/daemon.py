# SPDX-License-Identifier: Apache-2.0
"""What the BGP daemons have in common."""

from .peering import Session
from .process import Process
from .wait import Hopeless, wait_until

ABSENT = Session(peer="", state="absent")


class Daemon:
    """A BGP daemon on a router. Subclasses write its configuration and read its status."""

    kind = ""
    user = "root"

    def __init__(self, router, peerings, networks=(), **settings):
        self.router = router
        self.peerings = list(peerings)
        self.networks = list(networks)
        self.settings = settings
        self.folder = router.subfolder(self.kind, self.user)
        self.config_path = self.folder / f"{self.kind}.conf"
        self.processes = []
        router.daemons.append(self)

    def process(self, name, argv, env=None):
        process = Process(self.router, name, argv, env)
        self.processes.append(process)
        return process

    def write_config(self):
        self.config_path.write_text(self.config())

    def config(self):
        raise NotImplementedError

    def sessions(self):
        """{address or name of the neighbor: Session}"""
        raise NotImplementedError

    def routes(self, family="ipv4"):
        """The prefixes learned by BGP, as a set."""
        raise NotImplementedError

    def is_ready(self):
        """True when the daemon answers its own command line tool."""
        raise NotImplementedError

    def start(self):
        self.write_config()
        for process in self.processes:
            process.start()
        wait_until(self.is_alive_and_ready, 15, f"{self.kind} on {self.router.name} starts")
        return self

    def is_alive_and_ready(self):
        for process in self.processes:
            if not process.is_running():
                raise Hopeless(f"{process.name} has ended: {process.tail(lines=5)}")
        return self.is_ready()

    def stop(self):
        for process in reversed(self.processes):
            process.stop()

    def kill9(self):
        for process in self.processes:
            process.kill9()

    def session(self, address):
        """The session with `address`; an interface or scope may be left out."""
        sessions = self.sessions()
        host, _, interface = address.partition("%")
        if not host:
            return sessions.get(interface, ABSENT)
        for key, session in sessions.items():
            if address in (key, session.peer) or host and session.peer.partition("%")[0] == host:
                return session
        return ABSENT

    def wait_established(self, address, deadline=60):
        def is_up():
            session = self.session(address)
            return session if session.is_up else None

        return wait_until(is_up, deadline, f"{self.kind} on {self.router.name} has {address} established")

    def wait_down(self, address, deadline=30):
        wait_until(lambda: not self.session(address).is_up, deadline,
                   f"{self.kind} on {self.router.name} has lost {address}")

    def wait_routes(self, prefixes, deadline=60, family="ipv4"):
        wait_until(lambda: set(prefixes) <= self.routes(family), deadline,
                   f"{self.kind} on {self.router.name} has the routes {prefixes}")

    def logs(self):
        """[(title, text)] for a failed test."""
        return [(p.name, p.tail()) for p in self.processes]
