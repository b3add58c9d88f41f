# SPDX-License-Identifier: Apache-2.0
"""The unit under a real systemd: what it starts, reloads, restarts and stops, with the wire watched."""

import json
import os
import signal
import subprocess

import pytest

from harness import confinement
from harness.botlsd import REPOSITORY
from harness.capture import SYN, said_by
from harness.scene import EVERY, Scene, host
from harness.systemd import SYSTEMD, Unit
from harness.wait import hold_for, wait_until

# What `systemd-analyze security` may say at most, times ten (docs/install.md).
EXPOSURE = {"botlsd.service": 29, "botls-provision.service": 21, "botls-provision-apply.service": 21}

pytestmark = pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd is not installed")


@pytest.mark.parametrize("unit", EXPOSURE)
def test_exposure(unit):
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE[unit]}",
                           REPOSITORY / "dist" / unit], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


class Service(Scene):
    """r1's botlsd is botlsd.service; r2's runs by itself."""

    def __init__(self, lab, pki, *families, drop_in="", own_cgroups=False, **how):
        super().__init__(lab, pki, *families, start=False, **how)
        plain = self.shim_a
        self.unit = Unit(self.a, plain.neighbors, pki.router(self.a), own_cgroups, drop_in)
        self.side_a.shim = self.unit
        self.unit.boot()

    def up(self):
        self.start_shims()
        return self.daemons().wait_up()


def test_start_and_stop(lab, pki):
    service = Service(lab, pki, *EVERY)
    unit = service.unit
    verified = unit.container.run("systemd-analyze", "verify", "--man=no", "botlsd.service")
    assert verified.stdout + verified.stderr == ""
    # Without a configuration it is not started, and that is no failure.
    unit.systemctl("start")
    assert unit.properties("ActiveState", "ConditionResult") == {"ActiveState": "inactive", "ConditionResult": "no"}
    service.up()
    assert unit.properties("ActiveState", "WatchdogUSec") == {"ActiveState": "active", "WatchdogUSec": "30s"}
    # SIGTERM opens what is closed: an operator's stop alone sends it, not a worker that was killed for want of memory.
    assert unit.properties("OOMPolicy", "TimeoutStartFailureMode") == {"OOMPolicy": "continue", "TimeoutStartFailureMode": "kill"}
    # Its own confinement works inside of the unit's.
    proc = unit.container.path("/proc")
    shown = unit.show()
    confinement.assert_control(confinement.status(shown["pid"], proc))
    confinement.assert_worker(confinement.status(shown["workers"][0]["pid"], proc),
                              unit.container.run("id", "-u", "botls").stdout.strip())
    mounts = {line.split()[4]: line.split()[5] for line in (proc / str(shown["pid"]) / "mountinfo").read_text().splitlines()}
    assert "ro" in mounts["/"].split(",")
    assert "rw" in mounts["/run/botls"].split(",")
    for log in ("swapped", "Bad system call", "Operation not permitted"):
        assert log not in unit.log()
    service.assert_private()
    unit.systemctl("stop")
    assert unit.properties("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    assert not unit.pins.exists()
    assert not unit.socket.exists()
    assert "Sanitizer" not in unit.log()


def test_reload(lab, pki):
    """systemctl reload says what botlsctl reload would."""
    service = Service(lab, pki)
    unit = service.unit
    service.up()
    since = service.since()
    unit.neighbors["192.0.2.77"] = {"description": "another"}
    unit.write_config()
    unit.systemctl("reload")
    assert unit.neighbor("192.0.2.77")["description"] == "another"
    unit.neighbors["192.0.2.77"] = {"descripton": "misspelled"}
    unit.write_config()
    refused = unit.systemctl("reload", check=False)
    assert refused.returncode != 0
    assert "descripton" in unit.log()
    assert unit.state() == "active"
    assert unit.show()["generation"] == 2
    assert service.since() == since
    service.assert_private()


def test_doctor_knows_units(lab, pki):
    """botlsd that no boot would start, and BGP daemons that would come before it or without it."""
    service = Service(lab, pki)
    unit, container = service.unit, service.unit.container
    unit.start()

    def doctor():
        answer = json.loads(container.run("botlsctl", "--json", "doctor", check=False).stdout)
        return [(r["state"], r["text"]) for r in answer["results"] if r["check"] == "systemd"]

    def run_daemon(name, lines=""):
        container.path(f"/etc/systemd/system/{name}.service").write_text(
            f"[Unit]\n{lines}\n[Service]\nExecStart=/usr/bin/python3 -c "
            "'import socket, time; s = socket.create_server((\"\", 179)); time.sleep(300)'\n")
        container.run("systemctl", "daemon-reload")
        container.run("systemctl", "start", name)
        wait_until(lambda: len(doctor()) == 2, 10, f"doctor knows {name}")
        found = doctor()
        container.run("systemctl", "stop", name)
        return found[1]

    assert doctor() == [("FAIL", "botlsd.service is not started at boot: required neighbors are then spoken to in clear text")]
    unit.systemctl("enable")
    assert doctor() == [("ok", "botlsd is run by botlsd.service")]
    state, text = run_daemon("mybgpd")
    assert state == "FAIL" and text.startswith("mybgpd.service may start before botlsd.service: ")
    state, text = run_daemon("bird")  # which the unit is ordered before
    assert state == "warn" and text.startswith("bird.service starts also when botlsd.service could not")
    assert run_daemon("other", "Requires=botlsd.service\nAfter=botlsd.service") == (
        "ok", "other.service starts after botlsd.service, and not without it")


@pytest.mark.parametrize("own_cgroups", [False, True], ids=["whole-tree", "own-cgroups"])
def test_restart_stays_closed(lab, pki, own_cgroups):
    """RestartKillSignal: what is programmed outlives the one that did it. The neighbor would have clear
    text all the time: it has no botlsd, dials, and is dialled."""
    service = Service(lab, pki, *EVERY, own_cgroups=own_cgroups)
    unit = service.unit
    service.up()
    assert unit.show()["steering"] == ("route" if own_cgroups else "cgroup")
    service.shim_b.stop()
    service.wait_down()
    # The table of neighbors is made anew; all else is taken over.
    before = {pin.name: pin.stat().st_ino for pin in unit.left_in_bpffs() if pin.name != "table"}
    assert before
    for _ in range(3):
        unit.systemctl("restart")
        assert unit.systemctl("is-active").stdout.strip() == "active"
    service.wait_dials(service.side_a, 1)
    service.wait_dials(service.side_b, 1)
    assert not service.is_any_up()
    assert unit.log().count("stopping for a restart") == 3
    assert "removing all" not in unit.log()
    assert {pin.name: pin.stat().st_ino for pin in unit.left_in_bpffs() if pin.name != "table"} == before
    service.shim_b.start()
    service.wait_up()
    assert service.capture.find(src="192.0.2.2", dport=179, flags=SYN), "r2 dialled"
    service.capture.assert_no_clear_text(port=None, is_leak=said_by(*map(host, service.side_a.addresses)))


def workers_inside(unit):
    """How many processes of workers there are, old ones too."""
    return unit.container.run("pgrep", "-c", "-f", "^botlsd-worker", check=False).stdout.strip()


def assert_kept(service, since, count):
    """No daemon has noticed, and nothing is left of the botlsd before."""
    unit = service.unit
    wait_until(lambda: unit.log().count("3 sessions were taken over from the botlsd before") == count, 15, "taken over")
    hold_for(lambda: service.since() == since, 2, "no session was lost")
    wait_until(lambda: workers_inside(unit) == "1", 10, "the old worker has ended")
    wait_until(lambda: unit.properties("NFileDescriptorStore") == {"NFileDescriptorStore": "1"}, 10, "and its end is gone")
    assert "removing all" not in unit.log()


def test_restart_keeps_sessions(lab, pki):
    service = Service(lab, pki, *EVERY)
    unit = service.unit
    service.up()
    since = service.since()
    for i in range(3):
        unit.systemctl("restart")
        assert_kept(service, since, i + 1)
    service.assert_private()
    # A stop ends everything, also in the moment in which nobody is there.
    os.kill(unit.main_pid(), signal.SIGKILL)
    unit.systemctl("stop")
    wait_until(lambda: workers_inside(unit) == "0", 10, "the worker that was left alone ends")
    assert "nobody is left who could take the sessions over" in unit.log()
    unit.systemctl("start")
    service.wait_renewed(since)
    unit.systemctl("stop")
    assert workers_inside(unit) == "0"
    assert unit.properties("NFileDescriptorStore") == {"NFileDescriptorStore": "0"}


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_it_comes_again(lab, pki, how):
    """After a crash, and when the watchdog hears nothing."""
    service = Service(lab, pki, *EVERY, drop_in="WatchdogSec=2")
    unit = service.unit
    service.up()
    since = service.since()
    os.kill(unit.main_pid(), signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    wait_until(lambda: unit.properties("NRestarts", "ActiveState") == {"NRestarts": "1", "ActiveState": "active"}, 30,
               "systemd starts it again")
    assert_kept(service, since, 1)
    service.assert_private()
