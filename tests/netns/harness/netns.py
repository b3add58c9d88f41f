# SPDX-License-Identifier: Apache-2.0
"""A named network namespace that goes away with everything in it."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time

from .wait import SLOW

FOLDER = "/run/netns"
PREFIX = "botls-"
CLONE_NEWNET = 0x40000000
SO_NETNS_COOKIE = 71

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    def __init__(self, label):
        self.name = f"{PREFIX}{os.getpid()}-{label}"
        self.path = f"{FOLDER}/{self.name}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.sysctl("net.ipv6.conf.all.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.sysctl("net.ipv4.conf.all.rp_filter", 0)
        self.ip("link set lo up")

    def command(self, *argv):
        """argv as it has to be run inside. `ip netns exec` would hide bpffs."""
        return ["nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def run(self, *argv, **options):
        options.setdefault("check", True)
        options.setdefault("timeout", 30 * SLOW)
        return subprocess.run(self.command(*argv), text=True, capture_output=True, **options)

    def ip(self, *lines):
        result = self.run("ip", "-batch", "-", input="\n".join(lines) + "\n", check=False)
        assert result.returncode == 0, f"{self.name}: {lines}: {result.stderr}"
        return result.stdout

    def call(self, function):
        return call_inside(self.path, function)

    def sysctl(self, name, value):
        def write():
            with open("/proc/sys/" + name.replace(".", "/"), "w") as f:
                f.write(str(value))

        self.call(write)

    def cookie(self):
        return self.call(_own_cookie)

    def delete(self):
        _empty(self.path)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


def call_inside(path, function):
    """function() in a thread of its own that is inside; the sockets it makes stay inside."""
    box = {}

    def inside():
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(fd, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns {path}")
            finally:
                os.close(fd)
            box["value"] = function()
        except BaseException as e:
            box["error"] = e

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if "error" in box:
        raise box["error"]
    return box["value"]


def _own_cookie():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return int.from_bytes(s.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")


def _pids_inside(path):
    try:
        inode = os.stat(path).st_ino
    except OSError:
        return
    if inode == os.stat("/proc/self/ns/net").st_ino:
        return
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == inode:
                yield int(pid)
        except OSError:
            pass


def _empty(path):
    """Ends what still runs inside; nothing but the children of a test is ever started there."""
    for _ in range(50):
        pids = list(_pids_inside(path))
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def _is_test_run(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return b"python" in f.read()
    except OSError:
        return False


def delete_leftovers():
    """Removes the namespaces of test runs that died. Returns their cookies."""
    gone = []
    for name in os.listdir(FOLDER) if os.path.isdir(FOLDER) else []:
        match = re.fullmatch(re.escape(PREFIX) + r"(\d+)-.*", name)
        if match and not _is_test_run(match[1]):
            try:
                gone.append(call_inside(f"{FOLDER}/{name}", _own_cookie))
            except OSError:
                pass  # only the mount point is left
            _empty(f"{FOLDER}/{name}")
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return gone
