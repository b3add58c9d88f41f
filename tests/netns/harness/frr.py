# SPDX-License-Identifier: Apache-2.0
"""FRRouting: zebra and bgpd, each router with sockets of its own."""

import json

from .daemon import Daemon
from .peering import Session
from .wait import wait_until

FOLDER = "/usr/lib/frr"


class Frr(Daemon):
    """settings: source (further lines of `router bgp`), maps (lines before it)."""

    kind = "frr"
    user = "frr"

    def __init__(self, router, peerings, networks=(), **settings):
        super().__init__(router, peerings, networks, **settings)
        self.zserv = self.folder / "zserv"
        self.zebra_config = self.folder / "zebra.conf"
        for name, config in (("zebra", self.zebra_config), ("bgpd", self.config_path)):
            self.process(name, [f"{FOLDER}/{name}", "-f", config, "-z", self.zserv,
                                "--vty_socket", self.folder, "-i", self.folder / f"{name}.pid",
                                "-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0",
                                "--log", f"file:{self.folder / name}.log", "--log-level", "debug"]
                         + (["-n"] if name == "bgpd" else []))

    def start(self):
        self.write_config()
        self.zebra_config.write_text("hostname zebra\n")
        self.zserv.unlink(missing_ok=True)  # of a killed one
        zebra, bgpd = self.processes
        zebra.start()
        wait_until(self.zserv.exists, 10, f"zebra on {self.router.name} starts")
        bgpd.start()
        wait_until(self.is_alive_and_ready, 15, f"frr on {self.router.name} starts")
        return self

    @staticmethod
    def neighbor_name(p):
        return p.interface if not p.host else p.host

    def config(self):
        lines = ["hostname frr", "debug bgp neighbor-events", *self.settings.get("maps", ()),
                 f"router bgp {self.router.asn}", f" bgp router-id {self.router.router_id}",
                 " no bgp ebgp-requires-policy", " no bgp network import-check", " no bgp default ipv4-unicast",
                 " bgp log-neighbor-changes"]
        if any(p.graceful_restart for p in self.peerings):
            lines += [" bgp graceful-restart", " bgp graceful-restart restart-time 30"]
        for p in self.peerings:
            lines += self._neighbor(p)
        lines += [f" {line}" for line in self.settings.get("source", ())]
        for family, wanted in (("ipv4", "."), ("ipv6", ":")):
            lines.append(f" address-family {family} unicast")
            lines += [f"  network {n}" for n in self.networks if wanted in n]
            for p in self.peerings:
                if p.family == family:
                    lines.append(f"  neighbor {'dyn' if p.is_prefix else self.neighbor_name(p)} activate")
            lines.append(" exit-address-family")
        return "\n".join(lines) + "\nexit\n"

    def _neighbor(self, p):
        if p.is_prefix:
            name = "dyn"
            lines = ["neighbor dyn peer-group", f"neighbor dyn remote-as {p.remote_as}",
                     f"bgp listen range {p.address} peer-group dyn"]
        elif not p.host:
            name = p.interface
            lines = [f"neighbor {name} interface remote-as {p.remote_as}"]
        else:
            name = p.host
            lines = [f"neighbor {name} remote-as {p.remote_as}"]
            if p.interface:
                lines.append(f"neighbor {name} interface {p.interface}")
        lines += [f"neighbor {name} timers 9 30", f"neighbor {name} advertisement-interval 0"]
        if not p.is_prefix:
            lines.append(f"neighbor {name} timers connect 2")
        if p.local:
            lines.append(f"neighbor {name} update-source {p.local}")
        if p.passive:
            lines.append(f"neighbor {name} passive")
        if p.password:
            lines.append(f"neighbor {name} password {p.password}")
        if p.multihop and not p.ttl_security:
            lines.append(f"neighbor {name} ebgp-multihop {p.multihop}")
        if p.ttl_security:
            lines.append(f"neighbor {name} ttl-security hops {p.multihop or 1}")
        lines += [f"neighbor {name} {line}" for line in p.extra]
        return [" " + line for line in lines]

    def vtysh(self, *commands, daemon="bgpd"):
        argv = ["vtysh", "--vty_socket", self.folder, "-d", daemon]
        for command in commands:
            argv += ["-c", command]
        return self.router.ns.run(*argv).stdout

    def configure(self, *lines):
        """Changes the running configuration; lines as behind `configure terminal`."""
        self.vtysh("configure terminal", *lines)

    def is_ready(self):
        # Before bgpd knows the interfaces from zebra it refuses link-local next hops.
        return "bgp" in self.vtysh("show zebra client summary", daemon="zebra") \
            and isinstance(json.loads(self.vtysh("show bgp neighbors json")), dict)

    def sessions(self):
        raw = json.loads(self.vtysh("show bgp neighbors json"))
        sessions = {}
        for name, n in raw.items():
            if not isinstance(n, dict) or "bgpState" not in n:
                continue
            sessions[name] = Session(peer=n.get("hostForeign", ""), state=n["bgpState"].lower(),
                                     since=n.get("connectionsEstablished"), local=n.get("hostLocal", ""),
                                     remote_as=n.get("remoteAs", 0))
        return sessions

    def neighbor(self, name):
        return json.loads(self.vtysh(f"show bgp neighbors {name} json"))[name]

    def routes(self, family="ipv4"):
        raw = json.loads(self.vtysh(f"show bgp {family} unicast json"))
        return {prefix for prefix, paths in raw.get("routes", {}).items()
                if any(path.get("peerId", "(unspec)") not in ("(unspec)", "::", "0.0.0.0") for path in paths)}

    def logs(self):
        tail = self.processes[0].tail
        return super().logs() + [(f"{name} log", tail(self.folder / f"{name}.log"))
                                 for name in ("zebra", "bgpd")]
