# SPDX-License-Identifier: Apache-2.0
"""ExaBGP: its status is what it tells its API process, one JSON object per line."""

import json
import shutil

from .daemon import Daemon
from .peering import Session

# The shell stays, because ExaBGP takes an end of file on its standard output for a death.
READER = "#!/bin/sh\ncat >> {events}\nexit 0\n"


class ExaBgp(Daemon):
    kind = "exabgp"
    user = "exabgp"

    def __init__(self, router, peerings, networks=(), **settings):
        super().__init__(router, peerings, networks, **settings)
        self.events = self.folder / "events"
        self.reader = self.folder / "reader"
        self.reader.write_text(READER.format(events=self.events))
        self.reader.chmod(0o755)
        env = {"exabgp.daemon.user": "exabgp", "exabgp.log.all": "true", "exabgp.log.destination": "stderr",
               "exabgp.api.cli": "false", "exabgp.daemon.drop": "true", "exabgp.api.ack": "false"}
        self.process("exabgp", ["exabgp", self.config_path], env)

    def config(self):
        lines = ["process watch {", f"  run {self.reader};", "  encoder json;", "}"]
        for p in self.peerings:
            local = p.local
            lines += [f"neighbor {p.host} {{", f"  router-id {self.router.router_id};", f"  local-address {local};",
                      f"  local-as {self.router.asn};", f"  peer-as {p.remote_as};", "  hold-time 30;"]
            if p.passive:
                lines.append("  passive;")
            if p.password:
                lines.append(f"  md5-password '{p.password}';")
            lines += [f"  {line}" for line in p.extra]
            lines += ["  family {", f"    {p.family} unicast;", "  }", "  api {", "    processes [ watch ];",
                      "    neighbor-changes;", "    receive { parsed; update; }", "  }", "  static {"]
            lines += [f"    route {n} next-hop {local};" for n in self.networks if (":" in n) == (p.family == "ipv6")]
            lines += ["  }", "}"]
        return "\n".join(lines) + "\n"

    def _events(self):
        try:
            text = self.events.read_text()
        except FileNotFoundError:
            return
        for line in text.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass

    def start(self):
        self.events.write_text("")
        shutil.chown(self.events, self.user)
        return super().start()

    def is_ready(self):
        return "loaded new configuration" in self.processes[0].output.read_text()

    def sessions(self):
        sessions = {}
        for count, event in enumerate(self._events()):
            if event.get("type") != "state":
                continue
            n = event["neighbor"]
            state = {"up": "established", "down": "idle"}.get(n.get("state"), n.get("state"))
            sessions[n["address"]["peer"]] = Session(peer=n["address"]["peer"], state=state, since=count,
                                                     local=n["address"]["local"], remote_as=n["asn"]["peer"])
        return sessions

    def routes(self, family="ipv4"):
        routes = set()
        for event in self._events():
            if event.get("type") != "update":
                continue
            update = event["neighbor"]["message"].get("update", {})
            for kind, change in (("announce", routes.add), ("withdraw", routes.discard)):
                found = update.get(kind, {}).get(f"{family} unicast", {})
                for group in found.values() if isinstance(found, dict) else [found]:
                    for nlri in group if isinstance(group, list) else group.keys():
                        change(nlri["nlri"] if isinstance(nlri, dict) else nlri)
        return routes

    def logs(self):
        return super().logs() + [("exabgp events", self.processes[0].tail(self.events, 30))]
