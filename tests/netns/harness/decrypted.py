# SPDX-License-Identifier: Apache-2.0
"""`botlsctl capture` as a process, and what tshark makes of the file."""

import os
import re
import signal
import subprocess

from .botlsd import BOTLSCTL
from .wait import wait_until

FIELDS = ["frame.number", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw",
          "tcp.len", "bgp.type", "frame.comment", "_ws.malformed", "tcp.checksum.status", "ip.checksum.status", "tcp.analysis.flags"]
TYPES = {"1": "open", "2": "update", "3": "notification", "4": "keepalive", "5": "route-refresh"}
FIN, SYN, RST, ACK = 1, 2, 4, 16


class Packet:
    def __init__(self, fields):
        self.number = int(fields["frame.number"])
        self.src = fields["ip.src"] or fields["ipv6.src"]
        self.dst = fields["ip.dst"] or fields["ipv6.dst"]
        self.ports = int(fields["tcp.srcport"]), int(fields["tcp.dstport"])
        self.flags = int(fields["tcp.flags"], 16)
        self.seq = int(fields["tcp.seq_raw"])
        self.len = int(fields["tcp.len"])
        self.types = [TYPES[t] for t in fields["bgp.type"].split(",") if t]
        self.comment = fields["frame.comment"]
        self.fields = fields

    def __repr__(self):
        return (f"{self.number} {self.src}:{self.ports[0]} > {self.dst}:{self.ports[1]} flags {self.flags:#x} seq {self.seq} "
                f"len {self.len} {','.join(self.types)} {self.comment}")


class Decrypted:
    """One `botlsctl capture`; ended by stop(), by itself, or with the router."""

    def __init__(self, shim, neighbor, *options, path=None, stdout=subprocess.DEVNULL):
        self.shim = shim
        self.path = path or shim.folder / f"{len(os.listdir(shim.folder))}.pcapng"
        self.errors = shim.folder / f"{self.path.name}.errors"
        words = ["-w", self.path] if stdout == subprocess.DEVNULL else []
        with open(self.errors, "wb") as errors:
            self.popen = subprocess.Popen(
                shim.router.ns.command(BOTLSCTL, "-s", shim.socket, "capture", *words, *options, neighbor),
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=errors)
        wait_until(lambda: f"neighbor {neighbor}: decrypted BGP is captured from now on for uid 0 (pid {self.popen.pid})" in shim.log()
                   or self.popen.poll() is not None, 10, "the capture begins")

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self, deadline=20):
        return self.popen.wait(deadline)

    def said(self):
        return self.errors.read_text()

    def counts(self):
        """(packets, bytes, dropped), as it says at its end."""
        return tuple(map(int, re.search(r"(\d+) packets?, (\d+) bytes of BGP, (\d+) dropped", self.said()).groups()))

    def packets(self):
        return dissect(self.path)

    def types(self):
        return {t for p in self.packets() for t in p.types}


def tshark(path, *words, **options):
    argv = ["tshark", "-n", "-r", str(path), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", *words]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def dissect(path):
    out = tshark(path, "-T", "fields", "-E", "separator=|", *(w for field in FIELDS for w in ("-e", field)))
    return [Packet(dict(zip(FIELDS, line.split("|")))) for line in out.splitlines()]


def assert_sound(packets, gaps=False):
    """Nothing that tshark finds wrong, and every byte of payload understood as BGP."""
    for p in packets:
        assert not p.fields["_ws.malformed"], p
        assert p.fields["tcp.checksum.status"] == "1" and p.fields["ip.checksum.status"] in ("1", ""), (p, p.fields)
        assert gaps or not p.fields["tcp.analysis.flags"], (p, p.fields)
        assert 179 in p.ports and p.ports != (179, 179), p
    assert any(p.types for p in packets), packets
