# SPDX-License-Identifier: Apache-2.0
"""The Debian packages, from the first installation to the purge, with the wire watched."""

import os
import re
import stat
import subprocess

import pytest

from harness.capture import SYN, said_by
from harness.package import Packaged, packages
from harness.scene import EVERY, Scene, host
from harness.systemd import SYSTEMD
from harness.wait import hold_for, wait_until

pytestmark = pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd is not installed")

# What changes on any machine while packages come and go.
NOISE = re.compile(r"/(var/(log|cache|lib/(dpkg|apt|systemd|man-db)|tmp)|run/(systemd|log|dbus|udev)|etc/(machine-id|ld\.so\.cache))(/|$)"
                   r"|/etc/(passwd|shadow|group|gshadow|subuid|subgid)-?$|/etc/\.pwd\.lock$|/__pycache__")


@pytest.fixture(scope="module")
def built(tidy):
    return packages()


class Site(Scene):
    """r1's botlsd comes from the packages, r2's runs by itself."""

    def __init__(self, lab, pki, *families):
        super().__init__(lab, pki, *families, start=False)
        self.unit = Packaged(self.a, self.shim_a.neighbors, pki.router(self.a))
        self.side_a.shim = self.unit
        self.unit.boot()

    def in_clear(self):
        self.wait_established()
        self.capture.assert_clear_text()
        return self.since()


def files(container):
    """(made, removed) in the container, and what is in /run, which is its own."""
    made, removed = container.written()
    made |= set(container.run("find", "/run", "-xdev").stdout.splitlines())
    return [{path for path in paths if not NOISE.search(path)} for paths in (made, removed)]


def rules(ns):
    return [ns.run("ip", *words).stdout for words in (["rule"], ["-6", "rule"], ["route", "show", "table", "all"])]


def test_lintian(built):
    result = subprocess.run(["lintian", "--allow-root", "--pedantic", "-i", "--fail-on", "error,warning,info,pedantic",
                  str(built.changes)], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")


def test_every_program_and_file_has_its_page(built):
    for name in built.files:
        contents = built.contents(name)
        pages = {re.sub(r"\.[58]\.gz$", "", os.path.basename(path)) for path in contents if "/man/" in path}
        wanted = {os.path.basename(path) for path in contents if re.search(r"/s?bin/", path)}
        wanted |= {os.path.basename(path) for path in contents if path.startswith("/etc/")}
        assert wanted and wanted <= pages


def test_from_installation_to_purge(lab, pki, built, tmp_path):
    site = Site(lab, pki, *EVERY)
    unit, container = site.unit, site.unit.container
    site.daemons()
    before, rules_before = files(container), rules(site.a.ns)
    since = site.in_clear()

    # Nobody is a neighbor yet: it runs, and nothing changes.
    unit.install(built)
    assert unit.properties("ActiveState", "UnitFileState") == {"ActiveState": "active", "UnitFileState": "enabled"}
    assert container.properties("botls-provision", "ActiveState", "UnitFileState") == \
        {"ActiveState": "inactive", "UnitFileState": "disabled"}
    assert unit.show()["neighbors"] == []
    assert unit.steering()["ok"]
    assert stat.S_IMODE(container.path("/etc/botls/tls").stat().st_mode) == 0o700
    hold_for(site.is_any_up, 3, "the sessions stay")
    assert site.since() == since

    # TLS on both sides.
    unit.put_identity()
    unit.write_config()
    unit.systemctl("reload")
    site.shim_b.start()
    site.wait_renewed(since)
    site.assert_private_from_now()

    # Upgraded while the neighbor is without TLS, dials and is dialled in clear: closed all the time.
    site.shim_b.stop()
    site.wait_down()
    site.capture.forget()
    unit.install(built.with_version("9.0", tmp_path / "9.0"))
    assert "9.0" in container.run("dpkg-query", "-W", "botls").stdout
    assert unit.systemctl("is-active").stdout.strip() == "active"
    site.wait_dials(site.side_a, 1)
    site.wait_dials(site.side_b, 1)
    assert not site.is_any_up()
    assert unit.log().count("stopping for a restart") == 1
    assert "removing all" not in unit.log()
    site.shim_b.start()
    site.wait_up()
    assert site.capture.find(src="192.0.2.2", dport=179, flags=SYN), "r2 dialled"
    site.capture.assert_no_clear_text(port=None, is_leak=said_by(*map(host, site.side_a.addresses)))

    # Upgraded with sessions that are up: they go on.
    since = site.since()
    unit.install(built.with_version("9.0.1", tmp_path / "9.0.1"))
    wait_until(lambda: "sessions were taken over from the botlsd before" in unit.log(), 15, "they are taken over")
    hold_for(lambda: site.since() == since, 2, "no session was lost")

    # Stopped by the operator: sessions in clear text, which an upgrade does not end.
    site.shim_b.stop()
    unit.systemctl("stop")
    since = site.in_clear()
    unit.install(built.with_version("9.1", tmp_path / "9.1"))
    assert unit.state() == "inactive"
    hold_for(site.is_any_up, 2, "the sessions stay")
    assert site.since() == since

    # Killed, and not there when it is told to stop: what it left closed is opened all the same.
    unit.systemctl("start")
    site.wait_down()
    container.write("etc/systemd/system/botlsd.service.d/test.conf", "[Service]\nRestart=no\n")
    container.systemctl("daemon-reload")
    container.systemctl("kill", "-s", "KILL", "botlsd")
    wait_until(lambda: unit.state() == "failed", 10, "it is dead")
    assert unit.left_in_bpffs()
    unit.dpkg("-r", "botls-provision", "botls")
    assert not unit.left_in_bpffs()
    site.in_clear()

    # Back, with the configuration that `remove` left.
    unit.install(built)
    assert unit.show()["neighbors"]
    removed = unit.dpkg("-r", "botls-provision", "botls")
    assert "clear text" in removed.stdout
    container.run("rm", "-r", "/etc/systemd/system/botlsd.service.d")
    purged = unit.dpkg("-P", "botls-provision", "botls")
    assert "/etc/botls is kept" in purged.stdout
    keys = {f"/etc/botls/{unit.options[option]}" for option in ("certificate", "key", "ca")}
    made, removed = files(container)
    assert made - before[0] == keys | {"/etc/botls", "/etc/botls/tls"}
    assert removed == before[1]
    assert not unit.pins.exists()
    assert rules(site.a.ns) == rules_before
