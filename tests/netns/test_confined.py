# SPDX-License-Identifier: Apache-2.0
"""What control and its workers cannot do, as the kernel tells of the real ones; and that what they must do still works."""

import grp
import os
import pwd
import re
import signal

from harness import confinement
from harness.botlsd import Refused
from harness.scene import EVERY, Scene
from harness.wait import wait_until

# What a worker holds: sockets, its event loop, and where its log goes (the harness: a file).
HELD = re.compile(r"(socket:\[\d+\]|anon_inode:\[eventpoll\]|anon_inode:\[eventfd\]|/dev/null|pipe:\[\d+\]|.*/botlsd\.out|.*/keys)$")


def test_processes(lab, pki):
    """With several workers, sessions of every family up, and a key log: after a restart of a worker, too."""
    scene = Scene(lab, pki, *EVERY, start=False, globals_a={"workers": 2})
    shim = scene.shim_a
    keys = shim.folder / "keys"
    shim.process.argv += ["--keylog", str(keys)]
    scene.start_shims()
    scene.daemons().wait_up()
    uid = pwd.getpwnam("nobody").pw_uid
    confinement.assert_control(confinement.status(shim.show()["pid"]))
    for _ in range(2):
        pids = shim.worker_pids()
        assert len(pids) == 2
        for pid in pids:
            confinement.assert_worker(confinement.status(pid), uid)
            assert not [name for name in confinement.descriptors(pid) if not HELD.match(name)]
            # What is not dumpable belongs to root, whoever it runs as.
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0
        os.kill(pids[0], signal.SIGKILL)
        wait_until(lambda: len(set(shim.worker_pids()) - set(pids)) == 1 and len(shim.worker_pids()) == 2, 15,
                   "another worker runs")
        scene.wait_up()
    assert "CLIENT_TRAFFIC_SECRET_0" in keys.read_text()
    assert "Bad system call" not in shim.log()
    assert "swapped" not in shim.log()
    scene.assert_private()


def test_control_still_can(lab, pki):
    """Keys that belong to others, the group of its socket, and a configuration that is not root's."""
    scene = Scene(lab, pki, "v4", start=False)
    shim = scene.shim_a
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrnam("games")
    key = shim.folder / "own.key"
    key.write_bytes(open(shim.options["key"], "rb").read())
    key.chmod(0o400)
    os.chown(key, nobody.pw_uid, -1)
    shim.options.update({"key": key, "control-group": "games"})
    scene.start_shims()
    assert shim.socket.stat().st_gid == group.gr_gid
    scene.daemons().wait_up()
    os.chown(shim.config_path, nobody.pw_uid, -1)
    shim.options["expiry-warning-days"] = 0
    shim.write_config()
    shim.reload()
    assert shim.show()["generation"] == 2
    key.unlink()
    try:
        shim.reload()
    except Refused as e:
        assert "own.key" in e.text
    else:
        raise AssertionError("a key that is gone was accepted")
    scene.assert_private()
