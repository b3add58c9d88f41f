# SPDX-License-Identifier: Apache-2.0
"""systemd as process 1 of a container that shares a router's network, and botlsd as its service."""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from .botlsd import BOTLSCTL, BOTLSD, REPOSITORY, Botlsd
from .wait import SLOW, Hopeless, wait_until

SYSTEMD = pathlib.Path("/lib/systemd/systemd")
NOT_HERE = 77  # container.sh
# What looks at the machine's devices, or waits for what never comes here.
MASKED = ("systemd-udevd", "systemd-udev-trigger", "systemd-networkd", "systemd-timesyncd", "systemd-resolved",
          "systemd-logind", "systemd-modules-load", "systemd-sysctl", "systemd-random-seed", "systemd-update-utmp",
          "systemd-binfmt", "apparmor", "networking", "packagekit")
FROM_DIST = {"botlsd.service": "usr/lib/systemd/system/botlsd.service", "botls.sysusers": "usr/lib/sysusers.d/botls.conf",
             "botls.tmpfiles": "usr/lib/tmpfiles.d/botls.conf"}


def _cgroup2():
    with open("/proc/mounts", encoding="utf-8") as mounts:
        return next((pathlib.Path(line.split()[1]) for line in mounts if line.split()[2] == "cgroup2"), None)


class Container:
    """`own_cgroups`: it sees its part of the cgroup tree as the whole, as containers mostly do."""

    def __init__(self, router, own_cgroups=False):
        self.router = router
        self.folder = router.subfolder("container", "root")
        self.own_cgroups = own_cgroups
        self.cgroup = _cgroup2() / f"botls-{os.getpid()}-{router.lab.number}-{router.name}"
        self.log_path = self.folder / "console"
        self.outer = None
        self.pid = None
        for name in ("root", "files", "tmpfs"):
            (self.folder / name).mkdir()
        router.daemons.append(self)

    def put(self, source, path):
        """Once it runs, as it would be copied by hand."""
        target = self._place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def write(self, path, text):
        target = self._place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def _place(self, path):
        return self.path(path) if self.pid else self.folder / "files" / path

    def boot(self):
        masked = self.folder / "files/etc/systemd/system"
        masked.mkdir(parents=True, exist_ok=True)
        for name in MASKED:
            (masked / f"{name}.service").symlink_to("/dev/null")
        self.cgroup.mkdir()
        script = REPOSITORY / "tests/netns/harness/container.sh"
        kinds = ["--mount", "--pid", "--uts", "--ipc", *(["--cgroup"] if self.own_cgroups else [])]
        join = f'echo $$ > {self.cgroup}/cgroup.procs && exec "$@"'
        with open(self.log_path, "ab") as log:
            self.outer = subprocess.Popen(
                self.router.ns.command("sh", "-c", join, "sh", "unshare", *kinds, "--fork", "--kill-child",
                                       script, self.folder / "root", self.folder),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._is_up, 60, "systemd is up")
        return self

    def _is_up(self):
        if self.outer.poll() == NOT_HERE:
            pytest.skip(f"no container can be made here: {self.log_path.read_text(errors='replace').strip()}")
        if self.outer.poll() is not None:
            raise Hopeless(f"the container has ended: {self.log_path.read_text(errors='replace')}")
        with open(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children", encoding="utf-8") as children:
            self.pid = int(children.read().split()[0])
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def run(self, *argv, check=True, **options):
        options.setdefault("timeout", 60 * SLOW)
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd"]
        result = subprocess.run([*inside, "--", *map(str, argv)], text=True, capture_output=True, **options)
        assert not check or result.returncode == 0, f"{argv}: {result.stdout}{result.stderr}"
        return result

    def systemctl(self, *words, **options):
        return self.run("systemctl", *words, **options)

    def properties(self, unit, *names):
        lines = self.systemctl("show", unit, "-p", ",".join(names)).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit):
        return self.run("journalctl", "-o", "cat", "--no-pager", "-u", unit).stdout

    def path(self, path):
        """What is `path` inside, seen from outside."""
        return pathlib.Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def written(self):
        """Paths of what it has that the machine has not, and of what it has removed."""
        # As the process that made its file systems sees them: the root of their namespace may be another one (tests/vm).
        upper = f"/proc/{self.outer.pid}/root{self.folder}/tmpfs/upper"
        found = subprocess.run(["find", upper, "-printf", "%y %P\n"], text=True, capture_output=True, check=True).stdout
        entries = [(kind, f"/{path}") for kind, _, path in (line.partition(" ") for line in found.splitlines())]
        made = {path for kind, path in entries if kind != "c" and not os.path.lexists(path)}
        removed = {path for kind, path in entries if kind == "c" and os.path.lexists(path)}
        return made, removed

    def stop(self):
        if self.outer is None or self.outer.poll() is not None:
            return
        os.kill(self.pid or self.outer.pid, signal.SIGKILL)
        self.outer.wait()
        wait_until(self._remove_cgroup, 10, "nothing runs in the container's cgroup")

    def _remove_cgroup(self):
        subprocess.run(["find", self.cgroup, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=False,
                       capture_output=True)
        return not self.cgroup.exists()

    def logs(self):
        yield "systemd", self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        if self.outer and self.outer.poll() is None:
            yield "journal", self.run("journalctl", "-b", "--no-pager", check=False).stdout[-8000:]


class Unit(Botlsd):
    """botlsd as botlsd.service: installed where a package would install it, and nothing of the unit changed
    but what `drop_in` says."""

    def __init__(self, router, neighbors, identity, own_cgroups=False, drop_in="", **options):
        super().__init__(router, neighbors, None, **{"user": None, "control-socket": None, "steering": None,
                                                        **options})
        self.container = Container(router, own_cgroups)
        self.identity = identity
        self.put_files()
        if drop_in:
            self.container.write("etc/systemd/system/botlsd.service.d/test.conf", f"[Service]\n{drop_in}\n")

    def put_files(self):
        """Before the container is booted."""
        self.put_identity()
        self.container.put(BOTLSD, "usr/sbin/botlsd")
        self.container.put(BOTLSCTL, "usr/sbin/botlsctl")
        for name, path in FROM_DIST.items():
            self.container.put(REPOSITORY / "dist" / name, path)

    def put_identity(self):
        self.options.update(certificate="tls/own.pem", key="tls/own.key", ca="tls/ca.pem")
        for option, source in self.identity.options().items():
            self.container.put(source, f"etc/botls/{self.options[option]}")

    def boot(self):
        self.container.boot()
        self.socket = self.container.path("/run/botls/control")
        self.config_path = self.container.path("/etc/botls/botlsd.conf")
        return self

    def systemctl(self, verb, **options):
        return self.container.systemctl(verb, "botlsd", **options)

    def start(self, wait=True):
        self.write_config()
        self.systemctl("start")
        return self

    def state(self):
        return self.properties("ActiveState")["ActiveState"]

    def properties(self, *names):
        return self.container.properties("botlsd", *names)

    def main_pid(self):
        """As the world outside counts, so that it can be signalled."""
        inside = self.properties("MainPID")["MainPID"]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                same = os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{self.container.pid}/ns/pid")
            except OSError:
                continue
            if same and any(line.split()[-1] == inside for line in status.splitlines() if line.startswith("NSpid:")):
                return int(pid)
        raise KeyError(inside)

    def log(self):
        return self.container.journal("botlsd")

    def logs(self):
        return iter(())  # the container's journal has it

    def clean_up(self):
        shutil.rmtree(self.pins, ignore_errors=True)
