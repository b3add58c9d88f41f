# SPDX-License-Identifier: Apache-2.0
"""botlsctl capture: what tshark makes of real sessions, and what a capture must never do to them."""

import os
import pty
import shutil
import signal
import subprocess
import threading

import pytest

from harness.bird import Bird
from harness.botlsd import BOTLSCTL, Refused
from harness.decrypted import ACK, FIN, RST, SYN, Decrypted, assert_sound, dissect, tshark
from harness.frr import Frr
from harness.scene import EVERY, Scene, host
from harness.wait import wait_until

ROUTES = 30000
COMMUNITIES = "; ".join(f"bgp_large_community.add((64500, {i}, 1))" for i in range(20))


def announce(scene, count, attributes=None):
    """Side b announces more routes; returns when they have come through. With `attributes` each has an UPDATE of its own."""
    path = scene.b.folder / "more"
    special = f" {{ bgp_large_community.add((64500, 99, %d)); {attributes}; }}" if attributes else ""
    path.write_text("".join(f"route 100.{i >> 14}.{i >> 6 & 255}.{(i & 63) * 4}/30 blackhole" + (special and special % i) + ";\n"
                            for i in range(count)))
    path.chmod(0o644)
    scene.daemon_b.settings["static"] = path
    scene.daemon_b.configure()
    wait_until(lambda: f"Total: {count + 2} of" in scene.daemon_a.birdc("show", "route", "count"), 60, "the routes have come through")


def test_whole_sessions(lab, pki):
    """All families at once, from the SYN to the FIN, what both speakers say."""
    scene = Scene(lab, pki, *EVERY)
    captures = [Decrypted(scene.shim_a, address) for address in scene.side_b.addresses]
    scene.daemons(Frr, Bird).wait_up()
    directions = [scene.shim_a.wait_up(address)["direction"] for address in scene.side_b.addresses]
    for peering in scene.daemon_b.peerings:
        scene.daemon_b.birdc("disable", scene.daemon_b.protocol_name(peering))
    scene.wait_down()
    for capture, address, own, direction in zip(captures, scene.side_b.addresses, scene.side_a.addresses, directions):
        assert capture.stop() == 0, capture.said()
        packets = capture.packets()
        assert_sound(packets)
        assert capture.types() >= {"open", "update", "keepalive", "notification"}
        assert {p.src for p in packets} == {host(address), host(own)}
        opens = [p for p in packets if "open" in p.types]
        assert {p.src for p in opens} == {host(address), host(own)}
        syns = [p for p in packets if p.flags & SYN and not p.flags & ACK]
        assert syns and all(p.ports[1] == 179 for p in syns)
        assert {"out": host(own), "in": host(address)}[direction] in {p.src for p in syns}
        assert packets[0].flags == SYN and "begins" in packets[0].comment
        assert any(p.flags & FIN for p in packets), packets
        assert "ended: " in "".join(p.comment for p in packets)
        _, _, dropped = capture.counts()
        assert dropped == 0


def test_in_mid_session(lab, pki):
    """It begins with a whole message, each way, while routes flow."""
    scene = Scene(lab, pki, globals_a={"workers": 2}).daemons().wait_up()
    since = scene.since()
    capture = Decrypted(scene.shim_a, scene.address_b)
    announce(scene, ROUTES)
    assert capture.stop() == 0, capture.said()
    packets = capture.packets()
    assert_sound(packets)
    assert all(p.flags & ACK and not p.flags & (SYN | FIN | RST) for p in packets)
    for source in {p.src for p in packets}:
        assert next(p for p in packets if p.src == source).types, "the first packet begins with a message"
    prefixes = tshark(capture.path, "-Y", "bgp.type==2", "-T", "fields", "-e", "bgp.nlri_prefix")
    assert len([p for line in prefixes.splitlines() for p in line.split(",") if p.startswith("100.")]) == ROUTES
    assert scene.since() == since
    scene.assert_private()


def test_to_a_pipe_and_limits(lab, pki):
    scene = Scene(lab, pki).daemons().wait_up()
    with Decrypted(scene.shim_a, scene.address_b, "--count", "2", stdout=subprocess.PIPE).popen as popen:
        result = subprocess.run(["tshark", "-n", "-r", "-", "-T", "fields", "-e", "bgp.type"], stdin=popen.stdout,
                                capture_output=True, text=True, timeout=60, check=False)
    assert popen.returncode == 0
    assert [line for line in result.stdout.split() if line] == ["4", "4"], result
    capture = Decrypted(scene.shim_a, scene.address_b, "--seconds", "1")
    assert capture.wait() == 0
    info = subprocess.run(["capinfos", "-M", str(capture.path)], capture_output=True, text=True, check=True).stdout
    assert f"BGP with {scene.address_b} as botlsd" in info and "Raw IP" in info
    assert f"botls:{scene.address_b}" in info and "nanoseconds" in info
    with Decrypted(scene.shim_a, scene.address_b, stdout=subprocess.PIPE).popen as popen:
        popen.stdout.close()
        popen.send_signal(signal.SIGTERM)
    assert popen.returncode == 0 or popen.returncode == 1


def test_full_disk(lab, pki):
    """The file ends with its last whole packet; the session does not notice."""
    scene = Scene(lab, pki).daemons().wait_up()
    since = scene.since()
    mount = scene.a.folder / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], check=True)
    try:
        capture = Decrypted(scene.shim_a, scene.address_b, path=mount / "x.pcapng")
        announce(scene, ROUTES)
        assert capture.wait() == 1
        assert f"cannot write {capture.path}: No space left on device; what is in the file can be read" in capture.said()
        assert_sound(capture.packets())
        wait_until(lambda: "the capture for uid 0" in scene.shim_a.log(), 10, "botlsd sees the end")
    finally:
        subprocess.run(["umount", mount], check=True)
    with pytest.raises(subprocess.CalledProcessError) as e:
        with open("/dev/full", "wb") as full:
            subprocess.run(scene.a.ns.command(BOTLSCTL, "-s", scene.shim_a.socket, "capture", scene.address_b), stdout=full,
                           stderr=subprocess.PIPE, text=True, check=True, timeout=20)
    assert e.value.returncode == 1 and "No space left on device" in e.value.stderr
    assert scene.since() == since


def test_slow_reader(lab, pki):
    """Nobody reads for a while: the session goes on, what is lost is counted, and what follows begins with a whole message."""
    scene = Scene(lab, pki).daemons().wait_up()
    since = scene.since()
    capture = Decrypted(scene.shim_a, scene.address_b, stdout=subprocess.PIPE)
    announce(scene, 40000, COMMUNITIES)  # some 12 MB
    assert scene.since() == since

    def read():
        with open(capture.path, "wb") as f:
            shutil.copyfileobj(capture.popen.stdout, f)

    reader = threading.Thread(target=read)
    reader.start()
    announce(scene, 40500, COMMUNITIES)
    assert capture.stop() == 0
    reader.join()
    packets, _, dropped = capture.counts()
    assert packets and dropped, capture.said()
    seen = capture.packets()
    assert_sound(seen, gaps=True)
    gaps = [p for p in seen if p.fields["tcp.analysis.flags"]]
    assert gaps, "it shows in the sequence numbers"
    assert all(p.types for p in gaps), gaps
    assert len(seen) == packets
    scene.assert_private()


def test_worker_restart(lab, pki):
    scene = Scene(lab, pki).daemons().wait_up()
    capture = Decrypted(scene.shim_a, scene.address_b)
    since = scene.since()
    scene.shim_a.kill9_worker()
    scene.wait_renewed(since)
    assert capture.stop() == 0
    assert "worker 0 died: its sessions are lost without a packet that says so; the capture goes on" in capture.said()
    packets = capture.packets()
    assert_sound(packets, gaps=True)
    assert any("worker 0 died" in p.comment for p in packets)
    assert {"open", "keepalive", "update"} <= capture.types()


def refused(scene, *words, **options):
    result = scene.a.ns.run(*words, BOTLSCTL, "-s", scene.shim_a.socket, "capture", *options.pop("more", ()), check=False, **options)
    assert result.returncode, result.stdout
    return result.returncode, result.stderr


def test_who_may_and_who_may_not(lab, pki):
    scene = Scene(lab, pki, globals_a={"control-group": "bird"})
    shim, address = scene.shim_a, scene.address_b
    scene.side_a.shim.folder.chmod(0o755)
    as_bird = ["setpriv", "--reuid", "bird", "--regid", "bird", "--clear-groups"]
    code, text = refused(scene, *as_bird, more=["-w", "/dev/null", address])
    assert code == 1 and "only root may capture" in text
    code, text = refused(scene, more=["-w", "/dev/null", "203.0.113.9"])
    assert code == 1 and "not configured" in text
    code, text = refused(scene, more=["-w", "/no/such/folder/x", address])
    assert code == 1 and "cannot write /no/such/folder/x: No such file or directory" in text
    code, text = refused(scene, more=["--count", "0", address])
    assert code == 2 and "--count" in text
    code, text = refused(scene, more=[])
    assert code == 2 and "usage" in text

    master, slave = pty.openpty()
    result = subprocess.run(scene.a.ns.command(BOTLSCTL, "-s", shim.socket, "capture", address), stdout=slave, stderr=subprocess.PIPE,
                            text=True, timeout=20, check=False)
    assert result.returncode == 2 and "not for a terminal" in result.stderr
    os.close(master)
    os.close(slave)

    captures = [Decrypted(shim, address) for _ in range(8)]
    code, text = refused(scene, more=["-w", "/dev/null", address])
    assert code == 1 and "too many captures at once" in text
    assert captures[3].stop() == 0
    wait_until(lambda: f"the capture for uid 0 (pid {captures[3].popen.pid}) has ended" in shim.log(), 10, "the end is logged")
    captures.append(Decrypted(shim, address))

    shim.options["capture"] = "off"
    shim.write_config()
    shim.reload()
    for capture in captures[:3] + captures[4:]:
        assert capture.wait() == 1
        assert "captures are forbidden by the configuration now" in capture.said()
    code, text = refused(scene, more=["-w", "/dev/null", address])
    assert code == 1 and "forbidden by the configuration" in text and "capture = root" in text
    with pytest.raises(Refused):
        shim.ctl("capture", address)


def test_botlsd_ends_first(lab, pki):
    scene = Scene(lab, pki).daemons().wait_up()
    capture = Decrypted(scene.shim_a, scene.address_b)
    scene.shim_a.stop()
    assert capture.wait() == 1
    assert "botlsd is stopping" in capture.said()
    packets = dissect(capture.path)
    assert not packets or packets[-1].flags & (FIN | RST | ACK)
    killed = Decrypted(scene.shim_b, scene.address_a)
    scene.shim_b.kill9_control()
    assert killed.wait() == 3
    assert "botlsd has gone" in killed.said()
