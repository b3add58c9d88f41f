# SPDX-License-Identifier: Apache-2.0
"""botlsctl doctor between two real routers: silent about what is right, and it finds what was planted."""

import json
import subprocess

from harness.botlsd import BOTLSCTL, TLS_PORT
from harness.scene import Scene
from harness.wait import wait_until

SILENT, CLOSED, LOCKED = "192.0.2.77", "10.100.0.2", "10.100.0.3"


def doctor(shim, *words):
    """Exit status and results."""
    result = shim.router.ns.run(BOTLSCTL, "-s", shim.socket, "--json", "doctor", *words, check=False)
    answer = json.loads(result.stdout)
    assert answer["ok"] == (result.returncode == 0) == (answer["failures"] == 0)
    return result.returncode, answer["results"]


def texts(results, check, *states):
    return [r["text"] for r in results if r["check"] == check and r["state"] in (states or ("ok", "warn", "FAIL"))]


def test_nothing_is_wrong(lab, pki):
    scene = Scene(lab, pki, "v4", "v6", globals_a={"expiry-warning-days": 3})
    scene.daemons().wait_up()
    since = scene.since()
    status, results = doctor(scene.shim_a)
    wrong = [r for r in results if r["state"] == "FAIL"]
    assert status == 0, wrong
    assert texts(results, "neighbor") == ["2 up over TLS"]
    assert texts(results, "loaded")[0].startswith("what is on disk is what runs")
    assert texts(results, "names") == ["our address towards 2 neighbors is in our certificate"]
    assert texts(results, "CAs") == ["1 valid"]
    assert texts(results, "neighbors'") == ["2 neighbors: all stay valid"]
    assert any(f"botlsd listens on {TLS_PORT} " in t for t in texts(results, "ports", "ok"))
    assert any(t.startswith("bird, process ") for t in texts(results, "BGP daemon", "ok"))
    assert texts(results, "steering", "ok") and texts(results, "guard", "ok")
    # It has looked only.
    assert scene.since() == since
    assert not scene.shim_b.failures(scene.address_a)
    scene.assert_private()


def test_planted_faults(lab, pki):
    """A closed port, silence, a reload forgotten, a daemon of the wrong user."""
    scene = Scene(lab, pki, start=False, globals_a={"daemon-users": ["root", "bird"]})
    scene.a.address("eth0", "10.100.0.1/24")
    scene.b.address("eth0", "10.100.0.2/24")
    shim = scene.shim_a
    shim.neighbors.update({SILENT: {}, CLOSED: {"port": 8999}, LOCKED: {"tcp-md5": "a secret"}, "192.0.2.64/28": {}, "192.0.2.9": {"mode": "off"}})
    scene.start_shims()
    scene.daemons().wait_up()
    status, results = doctor(shim)
    assert status == 1
    assert f"{CLOSED}: TCP to port 8999: Connection refused" in texts(results, "neighbor", "FAIL")
    assert any(t.startswith(f"{SILENT}: TCP to port {TLS_PORT}: ") for t in texts(results, "neighbor", "FAIL"))
    # Without its key nobody would answer: it is not tried.
    assert [t for t in texts(results, "neighbor") if t.startswith(LOCKED)] == [f"{LOCKED} is idle"]
    assert "1 up over TLS" in texts(results, "neighbor", "ok")
    assert "1 with mode = off, left alone" in texts(results, "neighbor", "ok")
    assert all(r["next"] for r in results if r["check"] == "neighbor" and r["state"] == "FAIL")
    del shim.neighbors[SILENT]
    shim.write_config()
    shim.reload()
    # What is on disk is not what runs; then it could not even be read.
    shim.neighbors[CLOSED]["description"] = "not reloaded"
    shim.write_config()
    status, results = doctor(shim)
    assert texts(results, "loaded", "warn") == ["what is on disk is not what runs: 1 neighbor differs"]
    shim.options["daemon-users"] = ["nobody"]
    shim.write_config()
    status, results = doctor(shim)
    refused = [r for r in results if r["check"] == "loaded"]
    assert [r["state"] for r in refused] == ["FAIL"] and refused[0]["text"].endswith("a reload cannot change: daemon-users")
    assert "restart botlsd" in refused[0]["next"]
    assert any("who is not in daemon-users: its connections" in t for t in texts(results, "BGP daemon", "FAIL"))
    shim.neighbors[CLOSED]["frob"] = 1
    shim.write_config()
    status, results = doctor(shim)
    assert status == 1
    assert any("frob" in t for t in texts(results, "configuration", "FAIL"))
    assert any("what is on disk would be refused" in t for t in texts(results, "loaded", "FAIL"))


def test_wrong_credentials(lab, pki):
    """A certificate for another address, one of tomorrow (which is how a clock that is behind looks), an open key."""
    scene = Scene(lab, pki, start=False)
    other = pki.issue("192.0.2.55")
    tomorrow = pki.issue("192.0.2.1", start=1)
    key = scene.a.folder / "open.key"
    key.write_bytes(tomorrow.key.read_bytes())
    key.chmod(0o644)
    shim = scene.shim_a
    shim.options.update(other.options())
    shim.neighbors["192.0.2.3"] = {"certificate": tomorrow.certificate, "key": key, "role": "accept"}
    scene.start_shims()
    scene.daemons()
    scene.shim_b.wait_failure(scene.address_a, "name")
    wait_until(lambda: "last_failure" in shim.neighbor(scene.address_b), 15, "the neighbor's refusal is known")
    status, results = doctor(shim)
    assert status == 1
    assert any("is not for our address 192.0.2.1 towards 192.0.2.2, but for IP:192.0.2.55" in t
               for t in texts(results, "names", "FAIL"))
    late = [r for r in results if r["check"] == "certificates" and r["state"] == "FAIL"]
    assert len(late) == 1 and "is valid only from" in late[0]["text"] and "clock of this router" in late[0]["next"]
    assert texts(results, "keys", "FAIL") == [f"{key} has mode 0644: others can read it"]
    assert any(t.startswith("192.0.2.2 is ") and "last failure peer-alert" in t
               for t in texts(results, "neighbor", "FAIL", "warn"))


def test_steering_is_gone(lab, pki):
    scene = Scene(lab, pki)
    for pin in scene.shim_a.left_in_bpffs():
        if pin.name.startswith(("link_", "lookup")):
            pin.unlink()
    status, results = doctor(scene.shim_a)
    assert status == 1
    wrong = texts(results, "steering", "FAIL") + texts(results, "guard", "FAIL")
    assert any("connect4: differs; attached, but its pin is gone" in t for t in wrong), wrong


def test_without_botlsd(lab, pki):
    """It says so first, and looks at the rest."""
    scene = Scene(lab, pki)
    shim = scene.shim_a
    shim.stop()
    status, results = doctor(shim, "-c", shim.config_path)
    assert status == 1
    assert results[0]["check"] == "botlsd" and results[0]["text"].startswith("not reached: ")
    assert texts(results, "configuration", "ok") == [f"{shim.config_path}: 1 neighbor"]
    assert "port 8179 (tls-port) is free" in texts(results, "ports", "ok")
    assert texts(results, "neighbor", "ok") == [f"{scene.address_b}, its TCP port {TLS_PORT} answers"]
    # Another one has the port.
    thief = subprocess.Popen(scene.a.ns.command("/usr/bin/python3", "-c", "import socket, time; s = socket.create_server(('', 8179)); "
                             "print(flush=True); time.sleep(60)"), stdout=subprocess.PIPE)
    try:
        thief.stdout.readline()
        status, results = doctor(shim, "-c", shim.config_path)
        assert any(t.startswith(f"port 8179 (tls-port) is taken by python3, process {thief.pid}, user root")
                   for t in texts(results, "ports", "FAIL"))
    finally:
        thief.kill()
        thief.wait()
