# SPDX-License-Identifier: Apache-2.0
"""How daemons set up, protect and end sessions, and that TLS beneath changes nothing of it."""

import os
import signal
import struct

import pytest

from harness import mrt
from harness.bird import Bird
from harness.botlsd import Botlsd, TLS_PORT
from harness.capture import FIN, SYN
from harness.frr import Frr
from harness.peering import Peering
from harness.scene import EVERY, Scene
from harness.wait import hold_for, wait_until

BOTH = [(Bird, Bird), (Bird, Frr), (Frr, Bird), (Frr, Frr)]


def name(case):
    return "-".join(daemon.kind for daemon in case)


def restart(daemon, address):
    if isinstance(daemon, Bird):
        daemon.birdc("restart", "p1")
    else:
        daemon.vtysh(f"clear bgp {address}")


@pytest.mark.parametrize("case", [(Bird, Bird), (Bird, Frr)], ids=name)
def test_collision(lab, pki, case):
    """Both connections wait in both shims and are let go at once: a collision in every round."""
    scene = Scene(lab, pki, options={"hold-time": 60})
    scene.daemons(*case).wait_up()
    shims = ((scene.shim_a, scene.address_b), (scene.shim_b, scene.address_a))
    collisions = 0
    for _ in range(5):
        before = [shim.neighbor(peer)["counters"]["sessions"] for shim, peer in shims]
        pids = [pid for shim, _ in shims for pid in shim.worker_pids()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            since = scene.since()
            restart(scene.daemon_a, scene.address_b)
            restart(scene.daemon_b, scene.address_a)
            wait_until(lambda: scene.daemon_a.session(scene.address_b).state == "opensent"
                       and scene.daemon_b.session(scene.address_a).state == "opensent", 15, "both daemons have dialled")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        scene.wait_renewed(since)
        after = [shim.neighbor(peer)["counters"]["sessions"] for shim, peer in shims]
        collisions += all(new - old >= 2 for old, new in zip(before, after))
        for shim, peer in shims:
            wait_until(lambda: len(shim.neighbor(peer)["sessions"]) == 1, 10, "one session is left")
    assert collisions >= 3, "the rounds did not make the connections collide"
    since = scene.since()
    hold_for(lambda: scene.since() == since, 2, "the session that won stays")
    scene.assert_private()


@pytest.mark.parametrize("passive", ["a", "b"])
@pytest.mark.parametrize("case", [(Bird, Bird), (Bird, Frr), (Frr, Frr)], ids=name)
def test_passive(lab, pki, case, passive):
    scene = Scene(lab, pki)
    scene.daemons(*case, **{passive: {"passive": True}}).wait_up()
    direction = {"a": ("in", "out"), "b": ("out", "in")}[passive]
    assert scene.shim_a.wait_up(scene.address_b)["direction"] == direction[0]
    assert scene.shim_b.wait_up(scene.address_a)["direction"] == direction[1]
    scene.assert_private()


@pytest.mark.parametrize("role", ["connect", "accept"])
def test_role(lab, pki, role):
    """TLS roles fixed in the configuration: the daemons dial as they like."""
    scene = Scene(lab, pki, options_a={"role": role},
                  options_b={"role": {"connect": "accept", "accept": "connect"}[role]})
    scene.daemons().wait_up()
    assert scene.shim_a.wait_up(scene.address_b)["direction"] == {"connect": "out", "accept": "in"}[role]
    scene.assert_private()


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("case", [(Bird, Frr), (Frr, Bird)], ids=name)
def test_multihop(lab, pki, case, family):
    a, middle, b = lab.chain()
    addresses = {"v4": ("192.0.2.1", "198.51.100.1"), "v6": ("2001:db8:0:2::1", "2001:db8:0:3::1")}[family]
    capture = lab.capture(middle, "eth0")
    shims = [Botlsd(a, {addresses[1]: {}}, pki.issue(addresses[0])).start(),
             Botlsd(b, {addresses[0]: {}}, pki.issue(addresses[1])).start()]
    networks = {"v4": ("10.1.0.0/24", "10.2.0.0/24"), "v6": ("2001:db8:a::/48", "2001:db8:b::/48")}[family]
    one = case[0](a, [Peering(addresses[1], b.asn, local=addresses[0], multihop=3)], [networks[0]]).start()
    two = case[1](b, [Peering(addresses[0], a.asn, local=addresses[1], multihop=3)], [networks[1]]).start()
    assert one.wait_established(addresses[1]).peer == addresses[1]
    assert two.wait_established(addresses[0]).peer == addresses[0]
    kind = "ip" + family
    one.wait_routes([networks[1]], family=kind)
    two.wait_routes([networks[0]], family=kind)
    shims[0].wait_up(addresses[1])
    shims[1].wait_up(addresses[0])
    capture.assert_no_clear_text()


@pytest.mark.parametrize("case", [(Bird, Bird), (Bird, Frr), (Frr, Bird)], ids=name)
def test_ttl_security_of_the_daemons(lab, pki, case):
    """The daemons' own GTSM, and that of the shim on the wire. A bare ACK or RST is not looked at: for a
    connection that is over (the loser of a collision) the kernel answers with its own hop limit."""
    scene = Scene(lab, pki, "v4", "v6", options={"ttl-security": 1})
    scene.daemons(*case, ttl_security=True).wait_up()
    wire = [s for s in scene.capture.find(port=TLS_PORT) if s.length or s.flags & (SYN | FIN)]
    assert wire and {s.ttl for s in wire} == {255}
    scene.assert_private()


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_ttl_security_refuses_the_distant(lab, pki, family):
    """b sends as if it were 10 hops away: what a has to do with it never becomes a connection."""
    scene = Scene(lab, pki, family, options_a={"ttl-security": 2}, options_b={"ttl": 245})
    scene.daemons()
    wait_until(lambda: scene.capture.find(dport=TLS_PORT, ttl=245), 20, "b's packets are on the wire")
    wait_until(lambda: scene.shim_a.steering()["counters"]["guard_ttl"] > 0, 20, "the guard drops them")
    hold_for(lambda: not scene.daemon_a.session(scene.address_b).is_up
             and not scene.shim_a.sessions(scene.address_b), 3, "no session")
    scene.shim_b.neighbors[scene.address_a]["ttl"] = 255
    scene.shim_b.write_config()
    scene.shim_b.reload()
    scene.wait_up()
    scene.assert_private()


@pytest.mark.parametrize("case", BOTH, ids=name)
def test_password_of_the_daemons(lab, pki, case):
    """The daemons' TCP-MD5 is a matter between each daemon and its shim."""
    scene = Scene(lab, pki, "v4", "v6", options={"inner-tcp-md5": "old-secret"})
    scene.daemons(*case, password="old-secret").wait_up()
    assert not any(s.has_md5 for s in scene.capture.find(port=TLS_PORT))
    scene.assert_private()


def test_outer_md5(lab, pki):
    scene = Scene(lab, pki, *EVERY, options={"tcp-md5": "wire secret"})
    scene.daemons().wait_up()
    wire = scene.capture.find(port=TLS_PORT)
    assert wire and all(s.has_md5 for s in wire if not s.flags & 4)
    scene.assert_private()


def test_outer_md5_refuses_another_key(lab, pki):
    scene = Scene(lab, pki, options_a={"tcp-md5": "one"}, options_b={"tcp-md5": "two"})
    scene.daemons()
    wait_until(lambda: len(scene.capture.find(dport=TLS_PORT)) > 3, 20, "connections are tried")
    hold_for(lambda: not scene.shim_a.sessions(scene.address_b), 3, "no session")
    scene.shim_b.neighbors[scene.address_a]["tcp-md5"] = "one"
    scene.shim_b.write_config()
    scene.shim_b.reload()
    scene.wait_up()
    scene.assert_private()


def test_a_new_outer_md5_key_ends_the_session(lab, pki):
    scene = Scene(lab, pki, options={"tcp-md5": "one"})
    scene.daemons().wait_up()
    since = scene.since()
    for side in scene.sides:
        side.shim.neighbors[scene.other(side).addresses[0]]["tcp-md5"] = "two"
        side.shim.write_config()
        assert side.shim.reload()["resets"] == 1
    scene.wait_renewed(since)


def test_bird_strict_bind(lab, pki):
    """Listening sockets bound to one address and one device."""
    scene = Scene(lab, pki)
    scene.daemons(extra=("strict bind yes;", 'interface "eth0";')).wait_up()
    scene.assert_private()


def test_bird_multihop_without_device(lab, pki):
    """Not bound to a device, unlike BIRD's direct sessions."""
    scene = Scene(lab, pki)
    scene.daemons(multihop=2).wait_up()
    scene.assert_private()


def test_frr_update_source_interface(lab, pki):
    scene = Scene(lab, pki, "v4", "v6")
    scene.daemons(Frr, Frr, local="eth0").wait_up()
    scene.assert_private()


def test_clear_neighbor_beside(lab, pki):
    """r1 speaks TLS with r2 and clear text with r3, before, while and after botlsd comes and goes."""
    a, b, c = lab.exchange(3)
    bird_a = Bird(a, [Peering("192.0.2.2", b.asn, local="192.0.2.1"),
                      Peering("192.0.2.3", c.asn, local="192.0.2.1")], ["10.1.0.0/24"]).start()
    bird_c = Bird(c, [Peering("192.0.2.1", a.asn, local="192.0.2.3")], ["10.3.0.0/24"]).start()
    clear = bird_a.wait_established("192.0.2.3"), bird_c.wait_established("192.0.2.1")
    shim_a = Botlsd(a, {"192.0.2.2": {}}, pki.router(a)).start()
    shim_b = Botlsd(b, {"192.0.2.1": {}}, pki.router(b)).start()
    # From here on: before botlsd runs, r1's daemon may dial r2 in clear text, as it always did.
    capture = lab.capture(a)
    bird_b = Bird(b, [Peering("192.0.2.1", a.asn, local="192.0.2.2")], ["10.2.0.0/24"]).start()
    bird_a.wait_established("192.0.2.2")
    bird_b.wait_routes(["10.1.0.0/24"])
    shim_a.wait_up("192.0.2.2")
    capture.assert_no_clear_text(is_leak=lambda s: "192.0.2.2" in (s.src, s.dst))
    shim_a.stop()
    shim_b.stop()
    assert (bird_a.session("192.0.2.3"), bird_c.session("192.0.2.1")) == clear, "the clear session was touched"


def test_required_neighbor_cannot_be_clear_beside(lab, pki):
    """A neighbor in clear text on the same exchange does not open the door for another."""
    a, b, c = lab.exchange(3)
    capture = lab.capture(a)
    Botlsd(a, {"192.0.2.2": {}}, pki.router(a)).start()
    bird_a = Bird(a, [Peering("192.0.2.2", b.asn, local="192.0.2.1"),
                      Peering("192.0.2.3", c.asn, local="192.0.2.1")]).start()
    Bird(b, [Peering("192.0.2.1", a.asn, local="192.0.2.2")]).start()
    Bird(c, [Peering("192.0.2.1", a.asn, local="192.0.2.3")]).start()
    bird_a.wait_established("192.0.2.3")
    hold_for(lambda: not bird_a.session("192.0.2.2").is_up, 5, "no session without TLS")
    capture.assert_no_clear_text(port=None, is_leak=lambda s: "192.0.2.2" in (s.src, s.dst)
                                 and (s.length or s.src == "192.0.2.1" and not s.flags & 4))


@pytest.mark.parametrize("daemon", [Bird, Frr], ids=lambda d: d.kind)
def test_dynamic_neighbors(lab, pki, daemon):
    """r1 knows only the prefix, r2 and r3 dial."""
    a, b, c = lab.exchange(3)
    capture = lab.capture(a)
    shim = Botlsd(a, {"192.0.2.0/24": {}}, pki.router(a)).start()
    hub = daemon(a, [Peering("192.0.2.0/24", 64502, local="192.0.2.1" if daemon is Bird else None)],
                 ["10.1.0.0/24"])
    hub.start()
    spokes = []
    for router in (b, c):
        router.asn = 64502
        Botlsd(router, {"192.0.2.1": {}}, pki.router(router)).start()
        spokes.append(Bird(router, [Peering("192.0.2.1", a.asn, local=f"192.0.2.{router.number}")]).start())
    for spoke in spokes:
        spoke.wait_established("192.0.2.1")
        spoke.wait_routes(["10.1.0.0/24"])
    assert hub.wait_established("192.0.2.2").peer == "192.0.2.2"
    assert hub.wait_established("192.0.2.3").peer == "192.0.2.3"
    neighbor = shim.neighbor("192.0.2.0/24")
    assert neighbor["dynamic"] is True
    wait_until(lambda: {s["peer"] for s in shim.sessions("192.0.2.0/24")} == {"192.0.2.2", "192.0.2.3"}, 10,
               "both are shown under the prefix")
    capture.assert_no_clear_text()


@pytest.mark.parametrize("end", ["daemon", "worker"])
def test_graceful_restart(lab, pki, end):
    """The neighbor's routes stay while its daemon, or the shim, dies and comes back."""
    scene = Scene(lab, pki)
    # One end dials: a collision in the middle of a graceful restart is its end for BIRD, which then drops the routes.
    scene.daemons(graceful_restart=True, b={"passive": True}).wait_up()
    since = scene.daemon_a.session(scene.address_b).since
    lost = []

    def is_lost():
        return scene.network_b not in scene.daemon_a.routes()

    if end == "daemon":
        scene.daemon_b.kill9()
        scene.daemon_b.processes[0].argv.append("-R")
        wait_until(lambda: is_lost() or not scene.daemon_a.session(scene.address_b).is_up, 15, "the session is lost")
        scene.daemon_b.start()
    else:
        scene.shim_b.kill9_worker()

    def is_back():
        gone, session = is_lost(), scene.daemon_a.session(scene.address_b)
        # A BIRD that was not restarted does not claim to have kept its state: with the new session
        # its routes go and come at once.
        if gone and (end == "daemon" or session.state in ("idle", "active", "connect")):
            lost.append(session)
        return session.is_up and session.since != since

    wait_until(is_back, 40, "a new session")
    scene.wait_up()
    assert not lost, f"the route was withdrawn: {lost[0]}"
    assert "graceful restart" in scene.daemon_a.log_text()
    scene.assert_private()


@pytest.mark.parametrize("case", BOTH, ids=name)
def test_notification_text_arrives(lab, pki, case):
    """A shutdown message (RFC 9003) is the last thing a daemon says before it closes."""
    scene = Scene(lab, pki)
    scene.daemons(*case).wait_up()
    text = "cable tray at noon"
    subcode = 9 if case == (Frr, Frr) else 2  # RFC 8538: a Hard Reset that holds the Administrative Shutdown
    if case[0] is Bird:
        scene.daemon_a.birdc("disable", "p1", f'"{text}"')
    else:
        scene.daemon_a.configure(f"router bgp {scene.a.asn}", f"neighbor {scene.address_b} shutdown message {text}")
    scene.daemon_b.wait_down(scene.address_a)
    log = scene.daemon_b.log if case[1] is Bird else scene.daemon_b.folder / "bgpd.log"
    wait_until(lambda: text in log.read_text(), 10, "the other daemon logs the text")
    for shim, peer, direction in ((scene.shim_a, scene.address_b, "out"), (scene.shim_b, scene.address_a, "in")):
        last = wait_until(lambda: shim.neighbor(peer).get("last_notification"), 10, "the shim tells it")
        assert (last["code"], last["subcode"], last["direction"]) == (6, subcode, direction)
        assert text in last["text"]
    scene.assert_private()


def test_reset_command(lab, pki):
    scene = Scene(lab, pki)
    scene.daemons().wait_up()
    since = scene.since()
    assert scene.shim_a.ctl("reset", scene.address_b)["sessions"] == 1
    scene.wait_renewed(since)
    scene.assert_private()


def test_hundred_neighbors(lab, pki):
    count = 100
    a, b = lab.pair()
    pairs = [(f"10.100.{i}.1", f"10.100.{i}.2") for i in range(count)]
    a.ns.ip(*(f"addr add {one}/30 dev eth0" for one, _ in pairs))
    b.ns.ip(*(f"addr add {two}/30 dev eth0" for _, two in pairs))
    capture = lab.capture(a)
    shim_a = Botlsd(a, {two: {} for _, two in pairs}, pki.issue(*(one for one, _ in pairs))).start()
    shim_b = Botlsd(b, {one: {} for one, _ in pairs}, pki.issue(*(two for _, two in pairs))).start()
    one = Bird(a, [Peering(two, b.asn, local=one) for one, two in pairs], ["10.1.0.0/24"]).start()
    two = Bird(b, [Peering(one, a.asn, local=two) for one, two in pairs], ["10.2.0.0/24"]).start()
    for daemon, ours in ((one, 1), (two, 0)):
        wait_until(lambda: {s.peer for s in daemon.sessions().values() if s.is_up} == {p[ours] for p in pairs},
                   60, f"{count} sessions", interval=0.5)
    for shim in (shim_a, shim_b):
        wait_until(lambda: sum(n["state"] == "up" for n in shim.show()["neighbors"]) == count, 15,
                   f"{count} neighbors up", interval=0.5)
    capture.assert_no_clear_text()


def test_two_hundred_thousand_routes(lab, pki):
    """Every route with every attribute, compared one by one."""
    count = 200000
    scene = Scene(lab, pki)
    routes = scene.a.folder / "routes.conf"
    prefixes = [f"{20 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24" for i in range(count)]
    routes.write_text("\n".join(
        f"route {p} blackhole {{ bgp_community.add((1, {i % 97})); bgp_community.add((64501, {i % 5000})); }};"
        for i, p in enumerate(prefixes)))
    for side, settings in ((scene.side_a, {"static": routes}), (scene.side_b, {})):
        side.daemon = Bird(side.router, scene.peerings(side), side.networks, **settings).start()
    scene.wait_up()
    wait_until(lambda: f"Total: {count + 2} of" in scene.daemon_b.birdc("show", "route", "count"), 60,
               "all routes are there", interval=0.5)
    table = {mrt.ipv4_text(network, bits): mrt.attributes(wire)
             for network, bits, wire in mrt.ipv4_routes(scene.daemon_b.dump_learned())}
    common = mrt.originated(scene.daemon_b.peerings[0])
    assert table.pop(scene.network_a) == common
    assert len(table) == count
    for i, prefix in enumerate(prefixes):
        communities = struct.pack(">HHHH", 1, i % 97, 64501, i % 5000)
        assert table[prefix] == {**common, mrt.COMMUNITY: communities}, prefix
    scene.assert_private()
