# SPDX-License-Identifier: Apache-2.0
"""From a Peering API server to BGP over TLS, without a human in between.

AS A (BIRD) asks AS B's server for sessions at an exchange. Both sides run botlsd and botls-provision: A's asks, B's (FRR) takes
from its own server what B approved. A third network peers with A in clear text, as its operators configured it by hand.
"""
import json
import pathlib
import random
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.bird import Bird  # noqa: E402
from harness.botlsd import BOTLSCTL, BOTLSD, Botlsd  # noqa: E402
from harness.frr import Frr  # noqa: E402
from harness.peering import Peering  # noqa: E402
from harness.provision import Provision  # noqa: E402
from harness.wait import SLOW, wait_until  # noqa: E402
from peering_api import Server  # noqa: E402

IX = "pdb:ix:42"
A4, A6 = "192.0.2.1", "2001:db8:0:2::1"
B4, B6, B_OTHER = "192.0.2.2", "2001:db8:0:2::2", "192.0.2.22"
C4 = "192.0.2.3"
NETWORK_A, NETWORK_B, NETWORK_C = "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"


def registry(a, b):
    def port(asn, v4, v6):
        return {"asn": asn, "ix_id": 42, "ixlan_id": 42, "ipaddr4": v4, "ipaddr6": v6, "operational": True}

    return {"netixlan": {"data": [port(a, A4, A6), port(b, B4, B6), port(b, B_OTHER, None)]},
            "ixpfx": {"data": [{"ixlan_id": 42, "protocol": "IPv4", "prefix": "192.0.2.0/24"},
                               {"ixlan_id": 42, "protocol": "IPv6", "prefix": "2001:db8:0:2::/64"}]},
            "net": {"data": [{"asn": a, "name": "Net A", "info_prefixes4": 20, "info_prefixes6": 10},
                             {"asn": b, "name": "Net B", "info_prefixes4": 200, "info_prefixes6": 100}]}}


class Side:
    """One network: its router, shim, daemon and botls-provision."""

    def __init__(self, router, pki, addresses, registry_file):
        self.router = router
        # No CA: the peers' public keys come with the sessions.
        identity = pki.router(router)
        self.pin = identity.pin()
        self.shim = Botlsd(router, {}, **{"certificate": identity.certificate, "key": identity.key})
        (self.shim.folder / "neighbors.d").mkdir()
        self.file = self.shim.folder / "neighbors.d" / "botls-provision.conf"
        folder = router.subfolder("provision", "root")
        self.provision = Provision(folder, lambda argv: router.ns.command(*argv))
        self.provision.options.update({
            "asn": router.asn, "addresses": addresses, "peeringdb": registry_file, "shim-config": self.shim.config_path,
            "shim-file": self.file, "shim-socket": self.shim.socket, "botlsd": BOTLSD, "botlsctl": BOTLSCTL,
            "pin-certificate": identity.certificate, "drain-time": 2})
        self.daemon = None

    def configured(self):
        text = self.file.read_text() if self.file.exists() else ""
        return {line.split('"')[1] for line in text.splitlines() if line.startswith("neighbor ")}


class World:
    def __init__(self, lab, pki):
        self.a_router, self.b_router, self.c_router = lab.exchange(3)
        self.b_router.address("eth0", f"{B_OTHER}/24")
        self.capture = lab.capture(self.a_router)
        self.asn_a, self.asn_b = self.a_router.asn, self.b_router.asn
        dump = lab.folder / "peeringdb.json"
        dump.write_text(json.dumps(registry(self.asn_a, self.asn_b)))
        self.a = Side(self.a_router, pki, [A4, A6], dump)
        self.b = Side(self.b_router, pki, [B4, B_OTHER, B6], dump)
        self.server = Server(
            asn=self.asn_b, listen=f"{B4}:0", name=B4, profile={"preset": "draft", "request_id": "both", "delete_effect": "scheduled"},
            auth="bearer", clients={"a": {"secret": "s3cret", "asns": [self.asn_a]}}, tokens={"b-token": {"asns": []}},
            locations=[{"id": IX, "type": "public"}], botls={"port": 8179, "pins": [self.b.pin]},
            policy=[{"receiver_ip": B_OTHER, "decision": "reject", "reason": "no capacity"}])
        self.b_router.ns.call(self.server.start)
        self._daemons()
        self._provision()

    def _daemons(self):
        a, b = self.a, self.b
        self.bird_file = a.provision.folder / "peers-provision.conf"
        a.daemon = Bird(self.a_router, [Peering(C4, self.c_router.asn, local=A4, name="byhand")], [NETWORK_A], source=[
            "function from_peers() { return true; }", "function to_peers() { return source = RTS_STATIC; }",
            f'include "{a.provision.folder}/peers-*.conf";'])
        self.frr_file = b.provision.folder / "peers-provision.conf"
        b.daemon = Frr(self.b_router, [], [NETWORK_B], maps=["route-map FROM-PEERS permit 10", "exit", "route-map TO-PEERS permit 10",
                                                             "exit"])
        self.c = Bird(self.c_router, [Peering(A4, self.asn_a, local=C4)], [NETWORK_C])
        for side in (a, b):
            side.shim.start()
            side.daemon.start()
        self.c.start()

    def _provision(self):
        token = self.b.provision.folder / "token"
        token.write_text("b-token\n")
        token.chmod(0o600)
        common = {"url": self.server.api_url, "asn": self.asn_b, "https-ca": self.server.ca, "tls-extension": True}
        self.a.provision.servers["net-b"] = {**common, "auth": "client-credentials", "token-url": self.server.oauth.token_url,
                                             "client-id": "a", "client-secret": "s3cret"}
        self.a.provision.peers[self.asn_b] = {"mode": "required", "pins-from-api": True, "import": "from_peers", "export": "to_peers"}
        self.a.provision.daemons["bird"] = {"kind": "bird", "file": self.bird_file, "config": self.a.daemon.config_path,
                                            "socket": self.a.daemon.control}
        self.b.provision.servers["ours"] = {**common, "side": "receiver", "auth": "token-file", "token-file": token}
        self.b.provision.peers[self.asn_a] = {"mode": "required", "pins-from-api": True, "import": "FROM-PEERS", "export": "TO-PEERS"}
        self.b.provision.daemons["frr"] = {"kind": "frr", "file": self.frr_file, "socket": self.b.daemon.folder}
        for side in (self.a, self.b):
            side.provision.configure()

    def peer_up(self):
        """Asked for, approved, configured on both sides, established."""
        self.a.provision.run("request", "net-b", "--common")
        self.b.provision.run("apply")
        self.a.provision.run("apply")
        self.wait_up()

    def wait_up(self):
        for neighbor in (B4, B6):
            self.a.shim.wait_up(neighbor, 60)
        wait_until(lambda: set(self.a.provision.states().values()) >= {"up"}
                   and self.a.provision.states()[B4] == self.a.provision.states()[B6] == "up", 30, "A's status says so")
        wait_until(lambda: NETWORK_B in self.a.daemon.routes(), 30, "B's route at A")
        wait_until(lambda: NETWORK_A in self.b.daemon.routes(), 30, "A's route at B")

    def assert_no_clear_text(self):
        """From the beginning on; what was configured by hand is in clear text, and proves that the capture sees it."""
        self.capture.assert_no_clear_text(is_leak=lambda s: C4 not in (s.src, s.dst))

    def by_hand(self):
        """Changes when the session that was configured by hand is disturbed."""
        return self.a.daemon.sessions()["byhand"]


@pytest.fixture
def world(lab, pki):
    made = World(lab, pki)
    wait_until(lambda: made.by_hand().is_up, 30, "the session that was configured by hand")
    yield made
    made.server.stop()
    assert not made.server.failures()


def drained(side, neighbor):
    """The drain is over: the next run removes it."""
    return side.provision.run("plan").actions.get(neighbor) == "remove"


def test_from_a_request_to_routes_and_back(world):
    a, b = world.a, world.b
    by_hand = world.by_hand()
    asked = a.provision.run("request", "net-b", "--common").json["sessions"]
    assert {s["session"]["receiver"]["ip"]: s["outcome"] for s in asked} == {B4: "approved", B6: "approved", B_OTHER: "rejected"}
    b.provision.run("apply")
    a.provision.run("apply")
    assert a.configured() == {B4, B6} and b.configured() == {A4, A6}
    world.wait_up()
    # the identities came with the sessions
    assert b.pin in a.file.read_text() and a.pin in b.file.read_text()
    for side in (a, b):
        assert side.provision.run("plan", "--exit-code").json["plan"]["changes"] == 0

    # A deletes one: it drains, seen at B, and disappears with the next run; nothing else moves
    session = a.daemon.sessions()
    kept = next(s for s in session.values() if s.peer == B4)
    a.provision.run("delete", B6)
    assert a.provision.run("apply").actions[B6] == "drain"
    assert a.configured() == {B4, B6}
    wait_until(lambda: drained(a, B6), 20, "the drain ends")
    a.provision.run("apply")
    assert a.configured() == {B4}
    assert all(s.peer != B6 for s in a.daemon.sessions().values())
    assert [s for s in world.server.sessions() if s["receiver_ip"] == B6][0]["admin_state"] in ("deleted", "deleting")
    b.provision.run("apply", want=[0, 3])
    assert b.configured() == {A4}
    assert next(s for s in a.daemon.sessions().values() if s.peer == B4).since == kept.since
    assert world.by_hand() == by_hand
    assert NETWORK_C in a.daemon.routes() and NETWORK_B in a.daemon.routes()
    assert not world.server.deviations()

    world.assert_no_clear_text()


def test_the_drain_reaches_the_neighbor(world):
    """RFC 8326: the routes are still there, and marked."""
    world.peer_up()
    world.a.provision.options["drain-time"] = 600
    world.a.provision.configure()
    world.a.provision.run("delete", B4)
    world.a.provision.run("apply")
    wait_until(lambda: "graceful" in world.b.daemon.vtysh(f"show bgp ipv4 unicast {NETWORK_A} json").lower()
               or "65535:0" in world.b.daemon.vtysh(f"show bgp ipv4 unicast {NETWORK_A} json"), 20, "B sees GRACEFUL_SHUTDOWN")
    assert NETWORK_A in world.b.daemon.routes()


def test_frr_was_restarted(world):
    """What FRR's own configuration does not know is put back by the next run."""
    world.peer_up()
    world.b.daemon.stop()
    world.b.daemon.start()
    run = world.b.provision.run("apply")
    assert "load" in {s["action"] for s in run.json["plan"]["steps"]}
    world.wait_up()
    assert world.b.provision.run("plan").json["plan"]["changes"] == 0


def test_a_bad_configuration_leaves_everything_up(world):
    """A daemon that refuses what we wrote: all goes back, no session is lost."""
    world.peer_up()
    before = world.a.file.read_text(), world.bird_file.read_text()
    sessions = world.a.daemon.sessions()
    world.a.provision.peers[world.asn_b]["import"] = "no_such_function"
    world.a.provision.configure()
    run = world.a.provision.run("apply", want=1)
    assert run.json["result"]["rolled_back"] is True
    assert f"{world.bird_file}:" in run.json["result"]["text"], "file and line"
    assert (world.a.file.read_text(), world.bird_file.read_text()) == before
    assert world.a.daemon.sessions() == sessions
    world.a.provision.peers[world.asn_b]["import"] = "from_peers"
    world.a.provision.configure()
    assert world.a.provision.run("plan").json["plan"]["changes"] == 0


def test_the_shim_is_down(world):
    """Without a shim the daemon is told nothing: it would connect in clear text."""
    world.a.provision.run("request", "net-b", "--common")
    world.a.shim.stop()
    world.a.provision.run("apply", want=1)
    assert not world.bird_file.exists() or B4 not in world.bird_file.read_text()
    world.a.shim.start()
    world.b.provision.run("apply")
    world.a.provision.run("apply")
    world.wait_up()


def test_killed_in_the_middle(world):
    """kill -9 at any moment of an apply: the next one finishes it, and nothing was in clear text."""
    world.a.provision.run("request", "net-b", "--common")
    chance = random.Random(8179)
    for _ in range(6):
        running = subprocess.Popen(world.a.provision.argv("-q", "apply"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.0, 0.4 * SLOW))
        running.kill()
        running.wait()
        in_daemon = {n for n in (B4, B6) if world.bird_file.exists() and f"neighbor {n} as" in world.bird_file.read_text()}
        assert in_daemon <= world.a.configured(), "the daemon knows what the shim does not"
    world.b.provision.run("apply")
    world.a.provision.run("apply")
    world.wait_up()
    world.assert_no_clear_text()
