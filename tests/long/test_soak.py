# SPDX-License-Identifier: Apache-2.0
"""Half an hour of neighbors that come, go, are reset, reloaded, have the wrong certificate, or are half open.

BOTLS_SOAK is the time in seconds, BOTLS_SEED chooses what happens. The samples are in build/soak.csv.
"""

import os
import random
import socket
import time

from harness.bird import Bird
from harness.botlsd import BUILD, TLS_PORT, Botlsd
from harness.peering import Peering
from harness.usage import Series, assert_flat, processes
from harness.wait import wait_until

DURATION = int(os.environ.get("BOTLS_SOAK") or 1800)
SEED = int(os.environ.get("BOTLS_SEED") or random.randrange(1 << 32))
COUNT = 24  # neighbors over IPv4, and as many over IPv6
LOOSE = 4  # of each, the first are removed at times and then in clear text
SAMPLE = 5  # s
HALF_OPEN = 12


class Soak:
    def __init__(self, lab, pki):
        self.random = random.Random(SEED)
        self.a, self.b = lab.pair()
        self.pairs = [(f"10.100.{i}.1", f"10.100.{i}.2") for i in range(1, COUNT + 1)] \
            + [(f"2001:db8:100:{i:x}::1", f"2001:db8:100:{i:x}::2") for i in range(1, COUNT + 1)]
        self.loose = self.pairs[:LOOSE] + self.pairs[COUNT:COUNT + LOOSE]
        for router, ours in ((self.a, 0), (self.b, 1)):
            router.ns.ip(*(f"addr add {p[ours]}/{64 if ':' in p[0] else 30} dev eth0"
                           + (" nodad" if ":" in p[0] else "") for p in self.pairs))
        self.capture = lab.capture(self.a)
        self.identities = [pki.issue(*(p[ours] for p in self.pairs)) for ours in (0, 1)]
        self.stranger = pki.stranger.issue(*(p[1] for p in self.pairs))
        self.shims = [Botlsd(router, {p[1 - ours]: {} for p in self.pairs}, self.identities[ours],
                             **{"log-level": "warning", "handshake-timeout": 4}).start()
                      for ours, router in ((0, self.a), (1, self.b))]
        self.daemons = [Bird(router, [Peering(p[1 - ours], other.asn, local=p[ours]) for p in self.pairs],
                             [f"10.{ours + 1}.{i}.0/24" for i in range(200)]).start()
                        for ours, router, other in ((0, self.a, self.b), (1, self.b, self.a))]
        self.half_open = []
        self.did = {}
        self.undo = []  # (when, function)

    def is_up(self):
        return all(n["state"] == "up" for shim in self.shims for n in shim.show()["neighbors"])

    def reset(self):
        i = self.random.randrange(2)
        self.shims[i].ctl("reset", self.random.choice(list(self.shims[i].neighbors)))

    def daemon_restarts_session(self):
        self.random.choice(self.daemons).birdc("restart", f"p{self.random.randrange(len(self.pairs)) + 1}")

    def daemon_away(self):
        daemon, name = self.random.choice(self.daemons), f"p{self.random.randrange(len(self.pairs)) + 1}"
        daemon.birdc("disable", name)
        self.later(lambda: daemon.birdc("enable", name))

    def neighbor_removed(self):
        i = self.random.randrange(2)
        name = self.random.choice(self.loose)[1 - i]
        options = self.shims[i].neighbors.pop(name, None)
        if options is not None:
            self.reload(i)
            self.later(lambda: (self.shims[i].neighbors.update({name: options}), self.reload(i)))

    def neighbor_changed(self):
        i = self.random.randrange(2)
        name = self.random.choice(list(self.shims[i].neighbors))
        self.shims[i].neighbors[name]["description"] = f"changed {time.monotonic()}"
        self.reload(i)

    def wrong_certificate(self):
        name = self.random.choice(self.pairs)[0]
        options = self.shims[1].neighbors.get(name)
        if options is None:
            return
        options.update(certificate=self.stranger.certificate, key=self.stranger.key)
        self.reload(1)
        self.shims[1].ctl("reset", name)
        self.later(lambda: (options.pop("certificate", None), options.pop("key", None), self.reload(1)))

    def broken_configuration(self):
        shim = self.random.choice(self.shims)
        shim.config_path.write_text(shim.config() + "neighbor {\n")
        assert shim.router.ns.run("kill", "-HUP", str(shim.process.pid)).returncode == 0
        self.later(shim.write_config, 1)

    def half_open_connection(self):
        pair = self.random.choice(self.pairs)

        def connect():
            s = socket.socket(socket.AF_INET6 if ":" in pair[0] else socket.AF_INET)
            s.settimeout(3)
            s.bind((pair[1], 0))
            s.connect((pair[0], TLS_PORT))
            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:self.random.randrange(12)])
            return s

        try:
            self.half_open.append(self.b.ns.call(connect))
        except OSError:
            return  # that neighbor is away at the moment
        if len(self.half_open) > HALF_OPEN:
            self.half_open.pop(0).close()

    def reload(self, i):
        self.shims[i].write_config()
        self.shims[i].reload()

    def later(self, function, most=10):
        self.undo.append((time.monotonic() + self.random.uniform(0.5, most), function))

    def step(self):
        for entry in [e for e in self.undo if e[0] <= time.monotonic()]:
            self.undo.remove(entry)
            entry[1]()
        what = self.random.choices(ACTIONS, WEIGHTS)[0]
        what(self)
        self.did[what.__name__] = self.did.get(what.__name__, 0) + 1

    def calm(self):
        while self.undo:
            self.undo.pop(0)[1]()
        while self.half_open:
            self.half_open.pop().close()
        wait_until(self.is_up, 120, "every neighbor is up again", interval=1)


ACTIONS = {Soak.reset: 6, Soak.daemon_restarts_session: 6, Soak.daemon_away: 3, Soak.neighbor_removed: 3,
           Soak.neighbor_changed: 2, Soak.wrong_certificate: 2, Soak.broken_configuration: 1,
           Soak.half_open_connection: 6}
ACTIONS, WEIGHTS = list(ACTIONS), list(ACTIONS.values())


def test_soak(lab, pki):
    print(f"seed {SEED}, {DURATION} s")
    soak = Soak(lab, pki)
    wait_until(soak.is_up, 120, "every neighbor is up", interval=1)
    series = Series(BUILD / "soak.csv")
    end = time.monotonic() + DURATION
    sample_at = 0
    while time.monotonic() < end:
        soak.step()
        if time.monotonic() >= sample_at:
            named = {**processes(soak.shims[0]), **processes(soak.shims[1])}
            series.take(named, f"{sum(soak.did.values())} events")
            sample_at = time.monotonic() + SAMPLE
        time.sleep(soak.random.uniform(0.1, 0.5))
    soak.calm()
    series.close()
    print(soak.did)
    loose = [address for pair in soak.loose for address in pair]
    soak.capture.assert_no_clear_text(is_leak=lambda s: s.src not in loose)
    assert_flat(series)
