# SPDX-License-Identifier: Apache-2.0
"""OpenBGPD, the portable edition."""

import json
import os

from .daemon import Daemon
from .peering import Session


class OpenBgpd(Daemon):
    kind = "openbgpd"

    def __init__(self, router, peerings, networks=(), **settings):
        super().__init__(router, peerings, networks, **settings)
        self.control = self.folder / "ctl"
        self.process("openbgpd", ["/usr/sbin/bgpd", "-d", "-v", "-f", self.config_path])

    def write_config(self):
        os.makedirs("/run/openbgpd", mode=0o755, exist_ok=True)  # the chroot of its unprivileged processes
        super().write_config()
        self.config_path.chmod(0o600)

    def config(self):
        lines = [f"AS {self.router.asn}", f"router-id {self.router.router_id}", "holdtime 30", "connect-retry 2",
                 "fib-update no", "nexthop qualify via default", f'socket "{self.control}"']
        lines += [f"network {n}" for n in self.networks]
        for p in self.peerings:
            lines += [f'neighbor {p.address} {{', f"  remote-as {p.remote_as}",
                      f"  announce {'IPv4' if p.family == 'ipv6' else 'IPv6'} none",
                      f"  announce {'IPv6' if p.family == 'ipv6' else 'IPv4'} unicast"]
            if p.local:
                lines.append(f"  local-address {p.local}")
            if p.passive:
                lines.append("  passive")
            if p.password:
                lines.append(f"  tcp md5sig password {p.password}")
            if p.multihop:
                lines.append(f"  multihop {p.multihop}")
            if p.ttl_security:
                lines.append("  ttl-security yes")
            lines += [f"  {line}" for line in p.extra] + ["}"]
        lines += ["allow from any", "allow to any"]
        return "\n".join(lines) + "\n"

    def bgpctl(self, *words):
        return self.router.ns.run("bgpctl", "-s", self.control, *words).stdout

    def is_ready(self):
        return bool(self.bgpctl("show", "summary"))

    def sessions(self):
        sessions = {}
        for n in json.loads(self.bgpctl("-j", "show", "neighbor")).get("neighbors", []):
            session = n.get("session", {})
            remote = session.get("remote", {}).get("address", "")
            sessions[n["remote_addr"]] = Session(
                peer=remote or n["remote_addr"], state=n["state"].lower(),
                since=n.get("stats", {}).get("message", {}).get("sent", {}).get("open"),
                local=session.get("local", {}).get("address", ""), remote_as=int(n["remote_as"]))
        return sessions

    def routes(self, family="ipv4"):
        raw = json.loads(self.bgpctl("-j", "show", "rib", family.replace("ip", "inet").replace("inetv4", "inet").replace("inetv6", "inet6")))
        return {r["prefix"] for r in raw.get("rib", []) if r.get("origin") and not r.get("announced")}

    def logs(self):
        try:
            status = self.bgpctl("show", "neighbor")
        except Exception as e:
            status = repr(e)
        return super().logs() + [("bgpctl show neighbor", status)]
