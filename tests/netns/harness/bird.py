# SPDX-License-Identifier: Apache-2.0
"""BIRD 2."""

import collections
import re

from .daemon import Daemon
from .peering import Session


class Bird(Daemon):
    """settings: static (a file of further static routes), hold (s), source (lines put into the configuration), programs
    (a folder with another BIRD)."""

    kind = "bird"
    user = "bird"

    def __init__(self, router, peerings, networks=(), **settings):
        super().__init__(router, peerings, networks, **settings)
        self.control = self.folder / "ctl"
        self.log = self.folder / "log"
        self.programs = settings.get("programs")
        self.process("bird", [self.program("bird"), "-f", "-c", self.config_path, "-s", self.control,
                              "-u", "bird", "-g", "bird"])

    def program(self, name):
        return str(self.programs / name) if self.programs else name

    def protocol_name(self, peering):
        return peering.name or f"p{self.peerings.index(peering) + 1}"

    def config(self):
        lines = [f'log "{self.log}" all;', f"router id {self.router.router_id};",
                 "timeformat protocol iso long us;", "debug protocols { states, events };",
                 "protocol device { scan time 2; debug off; }"]
        for family, wanted in (("ipv4", "."), ("ipv6", ":")):
            routes = [f"  route {n} blackhole;" for n in self.networks if wanted in n]
            extra = self.settings.get("static")
            if extra and family == "ipv4":
                routes.append(f'  include "{extra}";')
            lines += [f"protocol static s{family[3]} {{", f"  {family};"] + routes + ["}"]
        lines += list(self.settings.get("source", ()))
        for peering in self.peerings:
            lines += self._protocol(peering)
        return "\n".join(lines) + "\n"

    def _protocol(self, p):
        local = f" {p.local}" if p.local else ""
        lines = [f"protocol bgp {self.protocol_name(p)} {{", f"  local{local} as {self.router.asn};"]
        if p.is_prefix:
            lines += [f"  neighbor range {p.address} as {p.remote_as};", '  dynamic name "dyn";']
        else:
            lines.append(f"  neighbor {p.address} as {p.remote_as};")
        lines += ["  connect retry time 2;", "  connect delay time 1;", "  error wait time 1, 3;",
                  "  error forget time 10;", "  startup hold time 20;",
                  f"  hold time {self.settings.get('hold', 30)};"]
        if p.passive:
            lines.append("  passive yes;")
        if p.password:
            lines.append(f'  password "{p.password}";')
        if p.multihop:
            lines.append(f"  multihop {p.multihop};")
        if p.ttl_security:
            lines.append("  ttl security on;")
        if p.graceful_restart:
            lines += ["  graceful restart on;", "  graceful restart time 30;"]
        lines += [f"  {line}" for line in p.extra]
        lines += [f"  {p.family} {{ import all; export where source = RTS_STATIC; }};", "}"]
        return lines

    def birdc(self, *words, check=True):
        result = self.router.ns.run(self.program("birdc"), "-s", self.control, *words, check=check)
        return result.stdout

    def is_ready(self):
        return "Daemon is up and running" in self.birdc("show", "status")

    def configure(self):
        """Loads the file anew, as an operator does."""
        self.write_config()
        out = self.birdc("configure")
        assert "Reconfigur" in out, out

    def sessions(self):
        # The log second: what is shown as established is in it, then.
        shown = self.birdc("show", "protocols", "all")
        established = collections.Counter(re.findall(r"<TRACE> (\S+): BGP session established", self.log_text()))
        sessions, name, fields = {}, None, {}

        def finish():
            if name and "neighbor_address" in fields:
                sessions[name] = Session(peer=fields["neighbor_address"],
                                         state=fields.get("bgp_state", "down").lower(),
                                         since=established[name],
                                         local=fields.get("source_address", ""),
                                         remote_as=int(fields.get("neighbor_as", 0)))

        for line in shown.splitlines():
            head = re.match(r"(\S+)\s+BGP\s", line)
            field = re.match(r" +(BGP state|Neighbor address|Neighbor AS|Source address):\s+(\S+)", line)
            if head:
                finish()
                name, fields = head[1], {}
            elif re.match(r"\S", line):
                finish()
                name = None
            elif field and name:
                fields[field[1].lower().replace(" ", "_")] = field[2]
        finish()
        return sessions

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def details(self, name):
        return self.birdc("show", "protocols", "all", name)

    def routes(self, family="ipv4"):
        out = self.birdc("show", "route", "table", f"master{family[3]}", "where", "source = RTS_BGP")
        return {line.split()[0] for line in out.splitlines() if re.match(r"[0-9a-f][0-9a-f:.]*/\d", line)}

    def route_attributes(self, protocol):
        """{prefix: {"as_path": ..., ...}} of all routes learned from a protocol."""
        table, current = {}, None
        for line in self.birdc("show", "route", "all", "protocol", protocol).splitlines():
            head = re.match(r"(\d[\d.]*/\d+|[0-9a-f:]+/\d+)\s", line)
            attribute = re.match(r"\tBGP\.(\w+): (.*)", line)
            if head:
                current = table.setdefault(head[1], {})
            elif attribute:
                current[attribute[1]] = attribute[2].strip()
        return table

    def dump_learned(self, table="master4"):
        """The file with all routes of a table that are another's (see mrt.py)."""
        path = self.folder / f"{table}.mrt"
        path.unlink(missing_ok=True)
        self.birdc("mrt", "dump", "table", table, "to", f'"{path}"', "where", "source = RTS_BGP")
        return path

    def logs(self):
        tail = self.processes[0].tail
        try:
            status = self.birdc("show", "protocols", "all", check=False)
        except Exception as e:
            status = repr(e)
        return super().logs() + [("bird log", tail(self.log)), ("birdc show protocols all", status)]
