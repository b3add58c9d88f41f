# SPDX-License-Identifier: Apache-2.0
"""GoBGP."""

import json

from .daemon import Daemon
from .peering import Session

API = "127.0.0.1:50051"
STATES = {0: "unknown", 1: "idle", 2: "connect", 3: "active", 4: "opensent", 5: "openconfirm", 6: "established"}


class GoBgp(Daemon):
    kind = "gobgpd"

    def __init__(self, router, peerings, networks=(), **settings):
        super().__init__(router, peerings, networks, **settings)
        self.process("gobgpd", ["gobgpd", "-t", "toml", "-f", self.config_path, "--api-hosts", API,
                                "--pprof-disable", "-l", "debug", "-p"])

    def config(self):
        lines = ["[global.config]", f"  as = {self.router.asn}", f'  router-id = "{self.router.router_id}"', "  port = 179"]
        for p in self.peerings:
            lines += ["[[neighbors]]", "  [neighbors.config]", f'    neighbor-address = "{p.address}"',
                      f"    peer-as = {p.remote_as}"]
            if p.password:
                lines.append(f'    auth-password = "{p.password}"')
            lines += ["  [neighbors.timers.config]", "    connect-retry = 2", "    hold-time = 30",
                      "    keepalive-interval = 10", "    idle-hold-time-after-reset = 2"]
            lines += ["  [neighbors.transport.config]", f"    passive-mode = {str(p.passive).lower()}"]
            if p.local:
                lines.append(f'    local-address = "{p.local}"')
            lines += ["  [[neighbors.afi-safis]]", "    [neighbors.afi-safis.config]",
                      f'      afi-safi-name = "{p.family}-unicast"']
        return "\n".join(lines) + "\n"

    def gobgp(self, *words):
        return self.router.ns.run("gobgp", "-j", *words).stdout

    def is_ready(self):
        return "as" in self.gobgp("global").lower()

    def start(self):
        super().start()
        for network in self.networks:
            family = "ipv6" if ":" in network else "ipv4"
            self.router.ns.run("gobgp", "global", "rib", "add", network, "-a", family)
        return self

    def sessions(self):
        sessions = {}
        for n in json.loads(self.gobgp("neighbor")) or []:
            state, timers = n["state"], n.get("timers", {}).get("state", {})
            code = state.get("session_state", 0)
            sessions[n["conf"]["neighbor_address"]] = Session(
                peer=state.get("neighbor_address", ""), state=STATES.get(code, str(code)).lower(),
                since=str(timers.get("uptime")), local=n.get("transport", {}).get("local_address", ""),
                remote_as=state.get("peer_asn", 0))
        return sessions

    def routes(self, family="ipv4"):
        out = self.gobgp("global", "rib", "-a", family)
        raw = json.loads(out) if out.strip() else {}
        return {prefix for prefix, paths in raw.items()
                if any(path.get("source-id") or path.get("neighbor-ip") not in (None, "", "<nil>", "invalid IP")
                       for path in paths)}

    def logs(self):
        try:
            status = self.router.ns.run("gobgp", "neighbor", check=False).stdout
        except Exception as e:
            status = repr(e)
        return super().logs() + [("gobgp neighbor", status)]
