# SPDX-License-Identifier: Apache-2.0
"""Pairs of proxies in series: in clear into A, TLS 1.3 with both certificates to B, in clear out of it.

All of them speak TLS_AES_128_GCM_SHA256 with P-256 certificates of one CA, check each other's chain and name, resume
nothing, and have one thread (stunnel: one per connection, it cannot do without).
"""
import os
import time

from harness.botlsd import Botlsd
from harness.process import Process
from harness.wait import Hopeless, wait_until

A, B = "192.0.2.1", "192.0.2.2"
CIPHER = "TLS_AES_128_GCM_SHA256"
ENTRY, TLS, BGP = 1790, 8443, 179
LONG = 86400


def address(net, i):
    return f"10.{net}.{i >> 8}.{i & 255}"


def tree(pid):
    """The process and all that descend from it."""
    pids = [pid]
    for p in pids:
        for task in os.listdir(f"/proc/{p}/task"):
            try:
                with open(f"/proc/{p}/task/{task}/children", encoding="ascii") as f:
                    pids += map(int, f.read().split())
            except FileNotFoundError:
                pass  # a thread of stunnel's that has just ended
    return pids


def cpu_seconds(pids):
    """Of all their threads, also those that have ended: the kernel's clock of each process."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def memory(pids):
    """{"uss": bytes of theirs alone, "pss": with their part of what is shared}"""
    total = {"uss": 0, "pss": 0}
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                word = line.split()
                if word[0] in ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"):
                    total["uss"] += int(word[1]) * 1024
                elif word[0] == "Pss:":
                    total["pss"] += int(word[1]) * 1024
    return total


class Pair:
    """One kind of proxy on both routers of a Rig. `entry`: (from, to, port, addresses) of the load's sessions."""

    name = ""
    entry = ("127.0.0.1", "127.0.0.1", ENTRY, 1)

    def __init__(self, rig):
        self.rig = rig
        self.processes = []

    def process(self, side, argv):
        router = self.rig.routers[side]
        process = Process(router, f"{self.name}-{side}", self.rig.pinned(side, argv))
        self.processes.append(process)
        return process

    def file(self, side, text):
        path = self.rig.routers[side].folder / f"{self.name}.conf"
        path.write_text(text)
        return path

    def start(self):
        for side in "ab":
            self.process(side, self.argv(side)).start()
        for side, port in (("a", ENTRY), ("b", TLS)):
            wait_until(lambda: self._listens(side, port), 15, f"{self.name} listens on {side}", 0.05)

    def _listens(self, side, port):
        process = self.processes["ab".index(side)]
        if not process.is_running():
            raise Hopeless(f"{self.name} has ended: {process.tail(lines=5)}")
        return f":{port} " in self.rig.routers[side].ns.run("ss", "-Hltn").stdout

    def pids(self, sides="ab"):
        return [pid for side in sides for pid in tree(self.processes["ab".index(side)].pid)]

    def stop(self):
        for process in self.processes:
            process.stop()


class Haproxy(Pair):
    name = "haproxy"

    def argv(self, side):
        own = self.rig.identities[side]
        tls = f"ssl crt {own.both} ca-file {own.ca} verify required no-tls-tickets"
        if side == "a":
            ends = f"""
  bind 127.0.0.1:{ENTRY} backlog 4096
  server b {B}:{TLS} {tls} verifyhost b.bench ssl-min-ver TLSv1.3 ciphersuites {CIPHER} no-ssl-reuse"""
        else:
            ends = f"""
  bind {B}:{TLS} backlog 4096 {tls} ssl-min-ver TLSv1.3 ciphersuites {CIPHER}
  server sink 127.0.0.1:{BGP}"""
        return ["haproxy", "-db", "-f", self.file(side, f"""
global
  nbthread 1
  maxconn 9500
  tune.ssl.cachesize 0
defaults
  mode tcp
  timeout connect 60s
  timeout client {LONG}s
  timeout server {LONG}s
listen {side}{ends}
""")]


class Nginx(Pair):
    name = "nginx"

    def argv(self, side):
        own = self.rig.identities[side]
        if side == "a":
            server = f"""
    listen 127.0.0.1:{ENTRY} backlog=4096;
    proxy_pass {B}:{TLS};
    proxy_ssl on;
    proxy_ssl_certificate {own.certificate};
    proxy_ssl_certificate_key {own.key};
    proxy_ssl_trusted_certificate {own.ca};
    proxy_ssl_verify on;
    proxy_ssl_name b.bench;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_conf_command Ciphersuites {CIPHER};
    proxy_ssl_session_reuse off;"""
        else:
            server = f"""
    listen {B}:{TLS} ssl backlog=4096;
    proxy_pass 127.0.0.1:{BGP};
    ssl_certificate {own.certificate};
    ssl_certificate_key {own.key};
    ssl_client_certificate {own.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {CIPHER};
    ssl_session_cache off;
    ssl_session_tickets off;"""
        folder = self.rig.routers[side].folder
        path = self.file(side, f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user nobody nogroup;
worker_processes 1;
worker_rlimit_nofile 19000;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 18000; }}
stream {{
  proxy_connect_timeout 60s;
  proxy_timeout {LONG}s;
  server {{{server}
  }}
}}
""")
        return ["nginx", "-e", "stderr", "-p", folder, "-c", path]


class Stunnel(Pair):
    name = "stunnel"

    def argv(self, side):
        own = self.rig.identities[side]
        ends = (f"client = yes\naccept = 127.0.0.1:{ENTRY}\nconnect = {B}:{TLS}\ncheckHost = b.bench" if side == "a"
                else f"accept = {B}:{TLS}\nconnect = 127.0.0.1:{BGP}")
        return ["stunnel", self.file(side, f"""
foreground = yes
pid =
syslog = no
debug = err
[{side}]
{ends}
cert = {own.certificate}
key = {own.key}
CAfile = {own.ca}
verifyChain = yes
sslVersionMin = TLSv1.3
ciphersuites = {CIPHER}
sessionResume = no
TIMEOUTidle = {LONG}
TIMEOUTconnect = 60
""")]


class Botls(Pair):
    """As it is deployed: the load is the BGP daemon, and connects to neighbor:179."""

    name = "botls"
    more = {}  # options

    def __init__(self, rig):
        super().__init__(rig)
        self.entry = (address(1, 0), address(2, 0), BGP, rig.count)
        self.daemons = []

    def start(self):
        for side, own, other in (("a", 1, 2), ("b", 2, 1)):
            router, peer = self.rig.routers[side], "ba"["ab".index(side)]
            neighbors = {address(other, i): {"local-address": address(own, i)} for i in range(self.rig.count)}
            daemon = Botlsd(router, neighbors, self.rig.identities[side],
                            **{"dns-names": [f"{peer}.bench"], "min-version": "1.3", "log-level": "warning",
                               **self.more})
            daemon.process.argv = [str(a) for a in self.rig.pinned(side, daemon.process.argv)]
            self.daemons.append(daemon)
            self.processes.append(daemon.process)
            daemon.start(wait=False)
        for daemon in self.daemons:
            wait_until(daemon._answers, 60, "botlsd starts")

    def stop(self):
        for daemon in self.daemons:
            daemon.clean_up()


class BotlsKtls(Botls):
    """With records in the kernel, which has to have that (bench/bench-ktls)."""

    name = "botls, ktls"
    more = {"ktls": "on"}

    def where(self):
        """Who does the records of the sessions that are up."""
        return {s["tls"]["records"] for daemon in self.daemons for n in daemon.show()["neighbors"] for s in n["sessions"]
                if s["state"] == "up"}
