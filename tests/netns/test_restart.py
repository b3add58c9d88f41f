# SPDX-License-Identifier: Apache-2.0
"""botlsd comes back, as itself or as another version, after a restart or a kill -9: sessions live on, unnoticed by the daemons
and byte by byte. harness.supervisor is the service manager."""

import contextlib
import os
import random
import signal
import time

import pytest

from harness import capture, faults
from harness.bird import Bird
from harness.botlsd import BOTLSCTL, built
from harness.frr import Frr
from harness.scene import EVERY
from harness.stream import Listener, Stream, wait_flow
from harness.supervisor import stages
from harness.wait import hold_for, wait_until

SEED = int(os.environ.get("BOTLS_SEED") or random.randrange(1 << 32))
RATE = 200_000  # bytes per second and direction: twelve of them the capture can follow


@pytest.fixture
def stage(lab, pki):
    """stage(*families, **how): a Scene, and the Supervisors of r1 and r2."""
    with stages(lab, pki) as make:
        yield make


@pytest.fixture
def listener(request):
    """listener(side): port 179 there."""
    with contextlib.ExitStack() as stack:
        yield lambda side: stack.enter_context(contextlib.closing(Listener(side)))


def seen(shim, addresses):
    """What botlsctl shows of each session and must not change."""
    return {a: [(s["id"], s["direction"], s["since"], s.get("established_since")) for s in shim.sessions(a)] for a in addresses}


def drained(shim, address):
    """Sessions that an old worker has kept."""
    return [s for s in shim.neighbor(address)["sessions"] if s["state"] == "draining"]


@pytest.mark.parametrize("how, one, two", [(signal.SIGUSR1, Bird, Frr), (signal.SIGKILL, Frr, Bird)], ids=["restart", "killed"])
def test_daemons_see_nothing(stage, how, one, two):
    scene, a, b = stage(*EVERY)
    scene.daemons(one, two).wait_up()
    since = scene.since()
    shown = [seen(side.shim, scene.other(side).addresses) for side in scene.sides]
    for supervisor in (a, b, a):
        assert "3 sessions were taken over" in supervisor.restart(how)
        supervisor.assert_nothing_left()
    assert [seen(side.shim, scene.other(side).addresses) for side in scene.sides] == shown
    hold_for(lambda: scene.since() == since, 2, "no daemon has lost a session")
    # What they say arrives.
    scene.daemon_a.networks.append("10.77.0.0/24")
    if one is Bird:
        scene.daemon_a.configure()
    else:
        scene.daemon_a.vtysh("configure", f"router bgp {scene.a.asn}", "address-family ipv4 unicast", "network 10.77.0.0/24")
    scene.daemon_b.wait_routes(["10.77.0.0/24"])
    for side in scene.sides:
        assert side.shim.steering()["agrees"] is True
        for address in scene.other(side).addresses:
            counters = side.shim.neighbor(address)["counters"]
            assert counters["established"] >= 1
    scene.assert_private()
    for supervisor in (a, b):
        pids = [supervisor.shim.process.pid, *supervisor.shim.worker_pids()]
        supervisor.stop()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids), 5, "all processes end")


@pytest.mark.parametrize("workers", [(1, 1), (2, 1), (1, 2)], ids=["1", "2-to-1", "1-to-2"])
def test_under_load(stage, listener, workers):
    """All that is on its way arrives: in mid-record, in mid-message, with sides that are stuck."""
    scene, a, b = stage(*EVERY, globals_a={"workers": workers[0]})
    ends = [listener(side) for side in scene.sides]
    streams = [Stream(scene, side, ends[1 - i], family, RATE) for family in EVERY for i, side in enumerate(scene.sides)]
    wait_flow(streams)
    scene.shim_a.options["workers"] = workers[1]
    for supervisor in (a, b, a, b):
        assert "6 sessions were taken over" in supervisor.restart()
        wait_flow(streams)
    assert len(scene.shim_a.show()["workers"]) == workers[1]
    numbers = [(s["worker"], s["id"]) for address in scene.side_b.addresses for s in scene.shim_a.sessions(address)]
    assert len(set(numbers)) == 6, "sessions of several workers keep apart"
    for stream in streams:
        for shim, peer in stream.shims:
            for session in shim.sessions(peer):
                assert "framing_error" not in session["in"] and session["in"]["messages"]["unknown"] == 0
    print("moved", sum(stream.finish() for stream in streams), "bytes")
    for supervisor in (a, b):
        supervisor.assert_nothing_left()
    scene.assert_private()


@pytest.mark.parametrize("changed", [False, True], ids=["plain", "key-updates"])
def test_records_in_the_kernel(stage, listener, changed):
    """Keys and sequence numbers stay with the socket; a KeyUpdate later finds the secrets where they went."""
    options = {"ktls": "on", **({"key-update-records": 16} if changed else {})}
    scene, a, b = stage("v4", "v6", options=options)
    ends = [listener(side) for side in scene.sides]
    streams = [Stream(scene, side, ends[1 - i], family, RATE) for family in ("v4", "v6") for i, side in enumerate(scene.sides)]
    wait_flow(streams)
    tls = scene.shim_a.sessions(scene.address_b)[0]["tls"]
    if tls["records"] != "kernel":
        pytest.skip(f"records are not in the kernel: {tls.get('records_why')}")
    for supervisor in (a, b, a):
        assert "4 sessions were taken over" in supervisor.restart()
        wait_flow(streams)
    for shim, peer in streams[0].shims:
        for session in shim.sessions(peer):
            assert session["tls"]["records"] == "kernel"
            assert not changed or session["tls"]["key_updates_sent"] > 3
    for stream in streams:
        stream.finish()
    a.assert_nothing_left()


def test_another_version(stage, listener):
    """An upgrade, and back."""
    scene, a, _ = stage()
    stream = Stream(scene, scene.side_a, listener(scene.side_b), rate=RATE)
    stream.wait_flows()
    was = seen(scene.shim_a, scene.side_b.addresses)
    plain = a.shim.process.plain
    # It describes sessions as a later version would.
    for argv in ([built("tests/netns/botlsd-next"), *plain[1:]], plain):
        assert "1 sessions were taken over" in a.restart(argv=argv)
        stream.wait_flows()
    assert seen(scene.shim_a, scene.side_b.addresses) == was
    stream.finish()


def test_tls12_stays(lab, pki, stage, listener):
    """It cannot move: the old worker keeps it until it ends, or the time is over."""
    scene, a, b = stage(options={"min-version": "1.2"}, globals_a={"drain-time": 15}, start=False)
    b.shim.process.more_env = faults.tls12()
    scene.start_shims()
    ends = listener(scene.side_b)
    streams = [Stream(scene, scene.side_a, ends, rate=RATE) for _ in range(2)]
    wait_flow(streams)
    assert {s["tls"]["version"] for s in scene.shim_a.sessions(scene.address_b)} == {"TLSv1.2"}
    numbers = scene.shim_a.session_ids(scene.address_b)
    worker = scene.shim_a.worker_pids()[0]
    told = a.restart()
    assert "0 sessions were taken over" in told and "2 stay with its workers" in told
    [draining] = scene.shim_a.show()["draining"]
    assert (draining["worker"], draining["sessions"]) == (f"0-{worker}", 2)
    assert scene.shim_a.sessions(scene.address_b) == []
    listed = drained(scene.shim_a, scene.address_b)
    assert {s["id"] for s in listed} == numbers
    for session in listed:
        assert session["tls"]["version"] == "TLSv1.2" and session["peer"] == scene.address_b
        assert session["draining"] == {"worker": f"0-{worker}", "why": "TLS 1.2 cannot move", "until": draining["until"]}
        assert session["since"] <= time.time() < session["draining"]["until"] <= session["since"] + 16
    assert scene.shim_a.state(scene.address_b) == "draining"
    wait_flow(streams)
    streams.pop().finish()
    wait_until(lambda: [d["sessions"] for d in scene.shim_a.show()["draining"]] == [1], 5, "one is left")
    assert len(drained(scene.shim_a, scene.address_b)) == 1
    # New ones are the new worker's.
    other = Stream(scene, scene.side_a, ends, rate=RATE)
    other.wait_flows()
    wait_until(lambda: not os.path.exists(f"/proc/{worker}/exe"), 30, "the time is over")
    with pytest.raises(AssertionError):
        streams.pop().finish()
    assert scene.shim_a.show()["draining"] == []
    assert drained(scene.shim_a, scene.address_b) == []
    assert "the time for a restart is over: ending 1 sessions" in scene.shim_a.log()
    other.wait_flows()
    other.finish()
    a.assert_nothing_left()
    scene.assert_private()


def test_reset_ends_what_stays(stage):
    """botlsctl reset reaches what an old worker keeps; what follows is the new worker's."""
    scene, a, b = stage("v4", "v6", options={"min-version": "1.2"}, start=False)
    b.shim.process.more_env = faults.tls12()
    scene.start_shims()
    scene.daemons(Bird, Bird).wait_up()
    v4, v6 = scene.side_b.addresses
    since = scene.daemon_a.session(v6).since
    worker = scene.shim_a.worker_pids()[0]
    assert "2 stay with its workers" in a.restart()
    assert [scene.shim_a.neighbor(address)["bgp"] for address in (v4, v6)] == ["established"] * 2
    said = scene.shim_a.router.ns.run(BOTLSCTL, "-s", scene.shim_a.socket, "doctor", check=False).stdout
    assert "2 up with a worker of the botlsd before" in said
    assert scene.shim_a.ctl("reset", v4)["sessions"] == 1
    scene.shim_a.wait_up(v4)
    assert drained(scene.shim_a, v4) == []
    assert [d["sessions"] for d in scene.shim_a.show()["draining"]] == [1]
    assert "reset by the operator" in scene.shim_a.log()
    # The other one has seen nothing of it.
    assert scene.daemon_a.session(v6).since == since
    assert len(drained(scene.shim_a, v6)) == 1
    assert scene.shim_a.ctl("reset", v6)["sessions"] == 1
    wait_until(lambda: not os.path.exists(f"/proc/{worker}/exe"), 10, "with the last of them the old worker ends")
    scene.shim_a.wait_up(v6)
    assert scene.shim_a.show()["draining"] == []
    a.assert_nothing_left()
    scene.assert_private()


def test_reload_ends_what_stays(stage):
    """What an old worker keeps is against a configuration that comes later."""
    scene, a, b = stage(options={"min-version": "1.2"}, start=False)
    b.shim.process.more_env = faults.tls12()
    scene.start_shims()
    scene.daemons(Bird, Bird).wait_up()
    since = scene.daemon_a.session(scene.address_b).since
    worker = scene.shim_a.worker_pids()[0]
    assert "1 stay with its workers" in a.restart()
    scene.shim_a.reload()
    wait_until(lambda: scene.shim_a.show()["draining"], 5, "it has been told of once more")
    assert scene.daemon_a.session(scene.address_b).since == since
    scene.shim_a.neighbors[scene.address_b]["min-version"] = "1.3"
    scene.shim_a.write_config()
    scene.shim_a.reload()
    wait_until(lambda: not os.path.exists(f"/proc/{worker}/exe"), 15, "the old worker has ended it, and itself")
    assert "its configuration changed" in scene.shim_a.log()
    assert scene.shim_a.show()["draining"] == []
    scene.wait_down()
    a.assert_nothing_left()
    scene.assert_private()


@pytest.mark.parametrize("change", ["removed", "another-ca"])
def test_configured_otherwise(lab, pki, stage, change):
    """While nobody was there the configuration became another one: what a reload would have ended ends now, in order."""
    scene, a, _ = stage("v4", "v6")
    scene.daemons(Bird, Bird).wait_up()
    v4, v6 = scene.side_b.addresses
    since = scene.daemon_a.session(v6).since

    def meanwhile():
        if change == "removed":
            scene.shim_a.neighbors.pop(v4)
        else:
            other = scene.shim_a.folder / "other-ca.pem"
            other.write_bytes(pki.router(scene.a).ca.read_bytes())
            scene.shim_a.neighbors[v4]["ca"] = other

    assert "1 sessions were taken over" in a.restart(while_down=meanwhile)
    assert "1 of its sessions had to end" in scene.shim_a.log()
    if change == "removed":
        wait_until(lambda: not scene.shim_b.sessions(scene.address_a), 10, "the other end has lost it")
        wait_until(lambda: "BGP session closed" in scene.daemon_b.log_text(), 10, "its daemon, too")
        # What it dials afterwards is refused, and that is a reset.
        assert "reset" not in scene.daemon_b.log_text().partition("BGP session closed")[0]
    if change == "another-ca":
        scene.shim_a.wait_up(v4)
    assert "no longer configured" in scene.shim_a.log() or "its configuration changed" in scene.shim_a.log()
    assert scene.daemon_a.session(v6).since == since
    a.assert_nothing_left()
    # Who is no neighbor any more is called without TLS, and does not answer.
    scene.assert_private(is_leak=lambda s: change != "removed" or s.src != scene.address_a or not s.flags & capture.SYN)


def test_nobody_comes(stage, listener):
    """Without a successor: at once when none can come, else when the time is over; and the orderly stop."""
    scene, a, b = stage(globals_a={"drain-time": 1})
    ends = listener(scene.side_b)

    def begin():
        stream = Stream(scene, scene.side_a, ends, rate=RATE)
        stream.wait_flows()
        return stream, scene.shim_a.worker_pids()[0]

    def is_gone(pid):
        return not os.path.exists(f"/proc/{pid}/exe")

    _, pid = begin()
    a.shim.kill9_control()
    a.store.clear()
    wait_until(lambda: is_gone(pid), 5, "nobody is left who could come")
    assert "nobody is left who could take the sessions over" in scene.shim_a.log()

    scene.shim_a.start()
    _, pid = begin()
    a.shim.kill9_control()
    wait_until(lambda: is_gone(pid), 10, "the time is over")
    assert "the time for a restart is over" in scene.shim_a.log()
    wait_until(lambda: not a.store.names(), 5, "its end has hung up")

    scene.shim_a.start()
    _, pid = begin()
    a.shim.stop()
    wait_until(lambda: is_gone(pid), 5, "the orderly stop ends everything")
    assert not a.store.names()

    # With 0 a restart is what it was.
    scene.shim_a.options["drain-time"] = 0
    scene.shim_a.start()
    _, pid = begin()
    a.shim.process.signal(signal.SIGUSR1)
    wait_until(lambda: is_gone(pid), 5, "the restart ends the sessions")
    a.shim.process.popen.wait(10)
    scene.assert_private()
    assert "worker" not in str(b.old_workers())


def test_killed_worker(stage, listener):
    """What a worker has in its memory dies with it: its sessions are lost, those of the other one live."""
    scene, a, _ = stage(globals_a={"workers": 2})
    ends = listener(scene.side_b)
    streams = [Stream(scene, scene.side_a, ends, rate=RATE) for _ in range(4)]
    wait_flow(streams)
    sessions = scene.shim_a.sessions(scene.address_b)
    victim = sessions[0]["worker"]
    lost = {s["local_port"] for s in sessions if s["worker"] == victim}
    os.kill(next(w["pid"] for w in scene.shim_a.show()["workers"] if w["id"] == victim), signal.SIGKILL)
    wait_until(lambda: len(scene.shim_a.sessions(scene.address_b)) == 4 - len(lost), 5, "its sessions are lost")
    wait_until(lambda: len(scene.shim_a.worker_pids()) == 2, 5, "another worker runs")
    a.restart()
    left = [stream for stream in streams if not any(way.error for way in stream.ways)]
    assert len(scene.shim_a.sessions(scene.address_b)) == 4 - len(lost)
    finished = 0
    for stream in left:
        try:
            stream.finish()
            finished += 1
        except AssertionError:
            pass
    assert finished == 4 - len(lost)
    a.assert_nothing_left()


def test_restart_in_restart(stage, listener):
    """Successors that are killed themselves, one after the other, with sessions half handed over."""
    scene, a, _ = stage()
    ends = listener(scene.side_b)
    streams = [Stream(scene, scene.side_a, ends, rate=RATE) for _ in range(3)]
    wait_flow(streams)
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for _ in range(12):
        a.shim.kill9_control()
        a.shim.process.start()
        time.sleep(chance.uniform(0, 0.25))
    a.shim.wait_ready()
    wait_until(lambda: len(scene.shim_a.sessions(scene.address_b)) == 3, 15, "all have come through")
    wait_flow(streams)
    for stream in streams:
        stream.finish()
    a.assert_nothing_left()


def test_clear_text_that_was_allowed(stage):
    """preferred, fallen back: a restart neither closes what is in use nor opens what is not."""
    scene, a, _ = stage(start=False, options={"mode": "preferred", "fallback-after": 1})
    scene.shim_a.neighbors["192.0.2.77"] = {"mode": "preferred", "fallback-after": 600}
    scene.shim_a.start()
    scene.daemons().wait_established()
    wait_until(lambda: scene.shim_a.state(scene.address_b) == "clear", 15, "it is in clear text")
    since = scene.since()
    for how in (signal.SIGUSR1, signal.SIGKILL):
        a.restart(how)
        assert scene.shim_a.neighbor(scene.address_b)["fallback"] is True
        assert scene.shim_a.neighbor("192.0.2.77")["fallback"] is False
        hold_for(lambda: scene.since() == since, 2, "the session goes on")
        assert scene.shim_a.state(scene.address_b) == "clear"
    # TLS comes, and with it the guard; a restart then finds it closed.
    scene.shim_b.start()
    scene.wait_renewed(since)
    a.restart()
    assert scene.shim_a.neighbor(scene.address_b)["fallback"] is False
    assert "fallback" not in a.store.names()
    scene.assert_private_from_now()
