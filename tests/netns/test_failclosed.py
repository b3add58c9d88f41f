# SPDX-License-Identifier: Apache-2.0
"""`required` means: no TCP segment of port 179 leaves for that neighbor, whatever state botlsd is in.

The capture runs from before the first start. Where the other end dials port 179 itself, its own
segments are on the wire, and a reset may be the answer.
"""

import json
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from harness.bird import Bird
from harness.botlsd import Botlsd
from harness.capture import ACK, RST, SYN, said_by
from harness.exabgp import ExaBgp
from harness.frr import Frr
from harness.gobgp import GoBgp
from harness.openbgpd import OpenBgpd
from harness.peering import Peering
from harness.scene import EVERY, Scene, host
from harness.wait import hold_for, wait_until


def test_control_killed_while_running(lab, pki):
    """The pinned programs go on refusing; the next start takes them over and the sessions come back."""
    scene = Scene(lab, pki, *EVERY)
    scene.daemons().wait_up()
    scene.shim_a.kill9_control()
    scene.shim_b.kill9_control()
    scene.wait_down()
    assert scene.shim_a.left_in_bpffs(), "the programs are pinned"
    scene.wait_dials(scene.side_a, 3)
    scene.wait_dials(scene.side_b, 1)
    assert not scene.is_any_up()
    scene.start_shims()
    scene.wait_up()
    scene.assert_private()


@pytest.mark.parametrize("case", [(Bird, EVERY), (Frr, EVERY), (OpenBgpd, EVERY), (GoBgp, EVERY),
                                  (ExaBgp, ("v4", "v6"))], ids=lambda c: c[0].kind)
def test_daemon_started_while_botlsd_is_dead(lab, pki, case):
    daemon, families = case
    scene = Scene(lab, pki, *families)
    for side in scene.sides:
        side.shim.kill9_control()
    scene.daemons(daemon, Bird)
    scene.wait_dials(scene.side_b, 3)
    hold_for(lambda: not scene.is_any_up(), 1, "nothing comes up")
    scene.start_shims()
    scene.wait_up(60)
    scene.assert_private()


def test_killed_and_started_under_a_dialling_daemon(lab, pki):
    """Again and again: each start is a moment in which something could be open."""
    scene = Scene(lab, pki, *EVERY)
    scene.daemons().wait_up()
    for _ in range(5):
        scene.shim_a.kill9_control()
        scene.shim_a.start()
    scene.wait_up(60)
    scene.assert_private()


def test_reloads_under_a_dialling_daemon(lab, pki):
    """b's shim is away, so a's daemon dials all the time; a is reloaded with other neighbors and without."""
    scene = Scene(lab, pki, *EVERY, start=False)
    scene.shim_a.start()
    scene.daemons(b={"passive": True})
    others = {f"203.0.113.{i}": {"mode": "off" if i % 2 else "required"} for i in range(1, 40)}
    own = scene.shim_a.neighbors
    before = scene.dials(scene.side_a)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for extra in (others, {}):
            changed = {name: {**options, "description": str(end)} for name, options in own.items()}
            scene.shim_a.neighbors = {**changed, **extra}
            scene.shim_a.write_config()
            assert scene.shim_a.reload()["applied"]
    assert scene.dials(scene.side_a) > before
    scene.capture.assert_no_clear_text(port=None)
    scene.shim_b.start()
    scene.wait_up(60)
    scene.assert_private()


def test_worker_killed(lab, pki):
    scene = Scene(lab, pki, *EVERY)
    scene.daemons().wait_up()
    since = scene.since()
    for _ in range(3):
        scene.shim_a.kill9_worker()
    scene.wait_renewed(since)
    assert scene.shim_a.show()["workers"][0]["restarts"] == 3
    scene.assert_private()


def test_a_worker_that_hangs(lab, pki):
    """Stopped, it answers nothing and passes nothing on; no session may come up some other way."""
    scene = Scene(lab, pki)
    scene.daemons().wait_up()
    since = scene.since()
    pid = scene.shim_a.worker_pids()[0]
    scene.shim_a.process.router.ns.run("kill", "-STOP", str(pid))
    try:
        scene.daemon_a.birdc("restart", "p1")
        wait_until(lambda: scene.daemon_a.session(scene.address_b).state == "opensent", 10, "the daemon dials")
        hold_for(lambda: not scene.daemon_a.session(scene.address_b).is_up, 3, "no session past the worker")
    finally:
        scene.shim_a.process.router.ns.run("kill", "-CONT", str(pid))
    scene.wait_renewed(since)
    scene.assert_private()


OWN = ("192.0.2.1/24", "2001:db8:0:2::1/64", "fe80::1/64")
# What r1 loses, and how it returns. The kernel takes IPv6 addresses away with the link.
LOST = {"link": (["link set eth0 down"],
                 ["link set eth0 up", *(f"addr replace {a} dev eth0 nodad" for a in OWN[1:])]),
        "addresses": ([f"addr del {a} dev eth0" for a in OWN],
                      [f"addr add {a} dev eth0" + (" nodad" if ":" in a else "") for a in OWN])}


@pytest.mark.parametrize("what", LOST)
def test_lost_and_back(lab, pki, what):
    """Our link or our own addresses go away and return, in quick succession or for a while: closed
    without them, up with them."""
    away, back = LOST[what]
    scene = Scene(lab, pki, *EVERY)
    scene.daemons().wait_up()
    for _ in range(3):
        scene.a.ns.ip(*away)
        scene.a.ns.ip(*back)
    scene.wait_up(60)
    scene.a.ns.ip(*away)
    for address in scene.side_b.addresses:
        scene.shim_a.ctl("reset", address)
        scene.daemon_a.wait_down(address)
    hold_for(lambda: not any(s.is_up for s in scene.daemon_a.sessions().values()), 2, "nothing comes up")
    scene.a.ns.ip(*back)
    scene.wait_up(60)
    scene.assert_private()


def test_interface_made_anew(lab, pki):
    """Another interface index under the same name."""
    scene = Scene(lab, pki, "ll", "v4")
    scene.daemons().wait_up()
    scene.assert_private()
    scene.capture.stop()
    lab.captures.remove(scene.capture)
    scene.a.ns.ip("link del eth0")
    scene.a.ns.ip("link add spare0 type veth peer name spare1")
    lab.link(scene.a, scene.b)
    scene.capture = lab.capture(scene.a)
    for router in (scene.a, scene.b):
        router.address("eth0", f"192.0.2.{router.number}/24")
        router.address("eth0", f"fe80::{router.number}/64")
    scene.wait_up(60)
    scene.assert_private()


@pytest.mark.parametrize("case", [(Bird, "stop"), (Bird, "kill9"), (Frr, "stop"), (Frr, "kill9")],
                         ids=lambda c: f"{c[0].kind}-{c[1]}")
def test_daemon_restarted(lab, pki, case):
    daemon, how = case
    scene = Scene(lab, pki, "v4", "v6")
    scene.daemons(daemon, Bird).wait_up()
    getattr(scene.daemon_a, how)()
    for address in scene.side_a.addresses:
        scene.daemon_b.wait_down(address)
    scene.daemon_a.start()
    scene.wait_up(60)
    scene.assert_private()


@pytest.mark.parametrize("state", ["running", "killed"])
def test_neighbor_dials_in_clear(lab, pki, state):
    """r2 has no botlsd and dials r1's port 179: r1's daemon never hears of it."""
    scene = Scene(lab, pki, *EVERY, start=False)
    scene.shim_a.start()
    if state == "killed":
        scene.shim_a.kill9_control()
    scene.daemons(a={"passive": True})
    scene.wait_dials(scene.side_b, 2)
    hold_for(lambda: not scene.is_any_up(), 2, "nothing comes up")
    assert "Incoming connection" not in scene.daemon_a.log_text()
    for address in map(host, scene.side_b.addresses):
        assert scene.capture.find(src=address, dport=179, flags=SYN), f"no SYN of {address} was on the wire"
    answers = scene.capture.find(sport=179, flags=SYN | ACK)
    assert not answers, "r1 took a connection in clear text: " + str(answers[0])
    scene.capture.assert_no_clear_text(port=None, is_leak=said_by(*map(host, scene.side_a.addresses)))


@pytest.mark.parametrize("how", ["start", "reload"])
def test_enabled_over_clear_sessions(lab, pki, how):
    """Sessions that are established in clear text end when their neighbor becomes required, and come
    back in TLS."""
    scene = Scene(lab, pki, *EVERY, options={"mode": "off"}, start=how == "reload")
    scene.daemons().wait_established()
    since = scene.since()
    scene.capture.assert_clear_text()
    for side in (scene.side_b, scene.side_a):
        for neighbor in side.shim.neighbors.values():
            neighbor["mode"] = "required"
        if how == "start":
            side.shim.start()
        else:
            assert set(n["state"] for n in side.shim.show()["neighbors"]) == {"off"}
            side.shim.write_config()
            side.shim.reload()
    scene.capture.forget()
    scene.wait_renewed(since)
    scene.assert_private(is_leak=lambda s: not s.flags & RST)
    scene.assert_private_from_now()


def programmed(router):
    """What of ours `ip` and `tc` would show."""
    shown = "".join(router.ns.run("ip", family, *what).stdout for family in ("-4", "-6")
                    for what in (("rule",), ("route", "show", "table", "all")))
    filters = "".join(router.ns.run("tc", "filter", "show", "dev", "eth0", way).stdout for way in ("ingress", "egress"))
    return sorted((shown + filters).splitlines())


def test_orderly_stop_opens(lab, pki):
    """SIGTERM removes everything, and clear text works again."""
    scene = Scene(lab, pki, *EVERY, start=False)
    before = programmed(scene.a)
    scene.start_shims()
    scene.daemons().wait_up()
    scene.assert_private()
    assert scene.shim_a.left_in_bpffs()
    for side in scene.sides:
        side.shim.stop()
    assert not scene.shim_a.pins.exists()
    assert not scene.shim_a.socket.exists()
    assert programmed(scene.a) == before
    scene.wait_established()
    scene.capture.assert_clear_text()


def test_sigusr1_stops_closed(lab, pki):
    """The stop before an upgrade: botlsd ends, the door stays shut."""
    scene = Scene(lab, pki, *EVERY)
    scene.daemons().wait_up()
    since = scene.since()
    scene.shim_a.process.signal(signal.SIGUSR1)
    assert scene.shim_a.process.popen.wait(10) == 0
    assert scene.shim_a.left_in_bpffs()
    scene.wait_dials(scene.side_a, 3)
    assert not scene.is_any_up()
    scene.shim_a.start()
    scene.wait_renewed(since, 60)
    scene.assert_private()


def test_a_second_botlsd_is_refused(lab, pki):
    """Two in one network namespace would undo each other; the first goes on undisturbed."""
    scene = Scene(lab, pki)
    scene.daemons().wait_up()
    since = scene.since()
    first = scene.shim_a
    second = Botlsd(scene.a, first.neighbors, pki.router(scene.a))
    scene.a.botlsd = first
    second.write_config()
    second.process.output = second.folder / "second.out"
    second.process.start()
    assert second.process.popen.wait(10) != 0
    assert "another" in second.log(), second.log()
    hold_for(lambda: scene.since() == since, 2, "the session goes on")
    assert first.steering()["agrees"] is True
    scene.assert_private()


def bpftool(*words):
    result = subprocess.run(["bpftool", "-j", *map(str, words)], capture_output=True, text=True)
    assert result.returncode == 0, f"bpftool {words}: {result.stdout}{result.stderr}"
    return json.loads(result.stdout or "null")


def widen_table(pins, scratch):
    """Puts another table in the place of the pinned one, with the same keys and much larger values, as
    another version of botlsd may have left it."""
    outer = bpftool("map", "dump", "pinned", pins / "neighbors")
    trie = outer[0]["inner_map_id"] if "inner_map_id" in outer[0] else int.from_bytes(
        bytes(int(b, 16) for b in outer[0]["value"]), "little")
    rows = bpftool("map", "dump", "id", trie)
    scratch.mkdir()
    bpftool("map", "create", scratch / "trie", "type", "lpm_trie", "key", len(rows[0]["key"]), "value", 256,
            "entries", 64, "name", "wide", "flags", 1)
    for row in rows:
        bpftool("map", "update", "pinned", scratch / "trie", "key", *row["key"], "value", *["0xff"] * 256)
    (pins / "neighbors").unlink()
    bpftool("map", "create", pins / "neighbors", "type", "array_of_maps", "key", 4, "value", 4, "entries", 1,
            "name", "neighbors", "inner_map", "pinned", scratch / "trie")
    bpftool("map", "update", "pinned", pins / "neighbors", "key", 0, 0, 0, 0, "value", "pinned", scratch / "trie")
    shutil.rmtree(scratch)


def test_start_over_a_table_of_another_layout(lab, pki):
    """After an upgrade: taken over or replaced, but neither trusted blindly nor opened."""
    scene = Scene(lab, pki, *EVERY)
    scene.daemons().wait_up()
    scene.shim_a.kill9_control()
    scratch = scene.shim_a.pins / "wide"  # goes away with the pins, whatever happens
    widen_table(scene.shim_a.pins, scratch)
    scene.shim_a.start()
    scene.wait_up(60)
    scene.assert_private()


def test_what_is_taken_away_is_put_back(lab, pki):
    """Pins removed by hand: botlsctl tells, and it stays closed."""
    scene = Scene(lab, pki)
    scene.daemons().wait_up()
    for pin in scene.shim_a.left_in_bpffs():
        if pin.name.startswith(("link_", "lookup")):
            pin.unlink()
    answer = scene.shim_a.steering()
    since = scene.since()
    scene.shim_a.ctl("reset", scene.address_b)
    scene.wait_renewed(since)
    assert answer["agrees"] is False, answer
    scene.assert_private()


def test_a_process_of_another_user_is_refused(lab, pki):
    """The router's TLS identity is for the daemon, not for whoever can connect()."""
    scene = Scene(lab, pki, "v4", "v6", globals_a={"daemon-users": ["bird"]})
    scene.daemons().wait_up()
    for address in scene.side_b.addresses:
        before = scene.shim_a.steering()["counters"]["connects_refused_uid"]
        stranger = scene.a.ns.run("setpriv", "--reuid", "nobody", "--clear-groups", "/usr/bin/python3", "-c",
                                  f"import socket; socket.create_connection(('{address}', 179), 5)", check=False)
        if scene.shim_a.show()["steering"] == "cgroup":
            assert "not permitted" in stranger.stderr, stranger.stderr
            assert scene.shim_a.steering()["counters"]["connects_refused_uid"] == before + 1
        else:
            assert stranger.returncode != 0
    scene.assert_private()


def test_forged_wire_segments_do_not_reach_the_daemon(lab, pki):
    """Segments from a third host that name port 179 and r2's address die in the guard of r1."""
    a, b, c = lab.exchange(3)
    scene = Scene(lab, pki, routers=(a, b))
    scene.daemons().wait_up()
    since = scene.since()
    before = scene.shim_a.steering()["counters"]["guard_in"]
    c.ns.call(lambda: send_raw_syns("192.0.2.2", "192.0.2.1", 3))
    wait_until(lambda: scene.shim_a.steering()["counters"]["guard_in"] >= before + 3, 5, "the guard counts them")
    assert scene.since() == since
    assert scene.capture.find(src="192.0.2.2", dport=179), "the forged segments were on the wire"
    scene.capture.assert_no_clear_text(is_leak=said_by("192.0.2.1"))


def send_raw_syns(src, dst, count):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        for i in range(count):
            tcp = struct.pack("!HHLLBBHHH", 40000 + i, 179, 1, 0, 5 << 4, SYN, 1024, 0, 0)
            pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, 6, len(tcp))
            total = sum(struct.unpack("!16H", pseudo + tcp))
            total = (total >> 16) + (total & 0xFFFF)
            total += total >> 16
            tcp = tcp[:16] + struct.pack("!H", ~total & 0xFFFF) + tcp[18:]
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, socket.inet_aton(src),
                             socket.inet_aton(dst))
            s.sendto(ip + tcp, (dst, 0))


def test_preferred_falls_back_and_comes_back(lab, pki):
    """Clear text after fallback-after, loudly; TLS again when the other end's shim appears."""
    scene = Scene(lab, pki, options={"mode": "preferred", "fallback-after": 3}, start=False)
    scene.shim_a.start()
    scene.daemons(b={"passive": True})
    hold_for(lambda: not scene.is_any_up(), 2, "not before its time")
    scene.capture.assert_no_clear_text(port=None)
    scene.wait_established()
    scene.capture.assert_clear_text()
    wait_until(lambda: scene.shim_a.state(scene.address_b) == "clear", 10, "botlsctl says so")
    assert scene.shim_a.neighbor(scene.address_b)["fallback"] is True
    assert "CLEAR TEXT" in scene.shim_a.log()
    scene.shim_b.start()
    scene.wait_up(60)
    assert scene.shim_a.neighbor(scene.address_b)["fallback"] is False
    scene.assert_private_from_now()


def test_preferred_takes_clear_text_from_the_neighbor(lab, pki):
    """The neighbor dials in clear: the daemon takes it, once clear text is allowed."""
    scene = Scene(lab, pki, options={"mode": "preferred", "fallback-after": 3}, start=False)
    scene.shim_a.start()
    scene.daemons(a={"passive": True}).wait_established()
    wait_until(lambda: scene.shim_a.neighbor(scene.address_b)["clear_sessions"] == 1, 15, "botlsctl shows it")
    scene.shim_b.start()
    scene.wait_up(60)
    scene.assert_private_from_now()


def test_preferred_speaks_tls_when_it_can(lab, pki):
    scene = Scene(lab, pki, *EVERY, options={"mode": "preferred", "fallback-after": 20})
    scene.daemons().wait_up()
    scene.assert_private()


def test_preferred_does_not_open_a_required_neighbor(lab, pki):
    """r2 is preferred and falls back; r3, required, stays shut all the time."""
    a, b, c = lab.exchange(3)
    capture = lab.capture(a)
    shim = Botlsd(a, {"192.0.2.2": {"mode": "preferred", "fallback-after": 2}, "192.0.2.3": {}}, pki.router(a)).start()
    bird = Bird(a, [Peering("192.0.2.2", b.asn, local="192.0.2.1"),
                    Peering("192.0.2.3", c.asn, local="192.0.2.1")]).start()
    Bird(b, [Peering("192.0.2.1", a.asn, local="192.0.2.2")]).start()
    Bird(c, [Peering("192.0.2.1", a.asn, local="192.0.2.3")]).start()
    bird.wait_established("192.0.2.2")
    wait_until(lambda: shim.neighbor("192.0.2.2")["fallback"], 10, "fallback is shown")
    hold_for(lambda: not bird.session("192.0.2.3").is_up, 3, "r3 stays down")
    capture.assert_clear_text()
    capture.assert_no_clear_text(port=None, is_leak=lambda s: "192.0.2.3" in (s.src, s.dst)
                                 and said_by("192.0.2.1")(s))
