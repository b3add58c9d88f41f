# SPDX-License-Identifier: Apache-2.0
"""A router: a namespace, a folder, and what runs there."""

import os
import shutil

from .netns import Namespace


class Router:
    def __init__(self, lab, name, number):
        self.lab = lab
        self.name = name
        self.number = number
        self.asn = 64500 + number
        self.router_id = f"10.255.0.{number}"
        self.ns = Namespace(f"{lab.number}-{name}")
        self.folder = lab.folder / name
        self.folder.mkdir()
        self.daemons = []
        self.botlsd = None

    def subfolder(self, name, user):
        """A folder that `user` may write to; a second one of that name gets a number."""
        path = self.folder / name
        count = 1
        while path.exists():
            count += 1
            path = self.folder / f"{name}{count}"
        path.mkdir()
        if user != "root":
            shutil.chown(path, user)
        return path

    def address(self, interface, cidr):
        self.ns.ip(f"addr add {cidr} dev {interface}" + (" nodad" if ":" in cidr else ""))

    def stop(self):
        for daemon in self.daemons:
            daemon.stop()
        if self.botlsd:
            self.botlsd.clean_up()

    def report(self):
        for daemon in self.daemons:
            for title, text in daemon.logs():
                yield f"{self.name}: {title}", text
        if self.botlsd:
            for title, text in self.botlsd.logs():
                yield f"{self.name}: {title}", text
        for what in (["ip", "-br", "addr"], ["ss", "-tanp"]):
            result = self.ns.run(*what, check=False)
            yield f"{self.name}: {' '.join(what)}", result.stdout + result.stderr

    def delete(self):
        self.ns.delete()


def base_folder():
    """Short, because UNIX socket paths end at 107 bytes, and open to the daemons' users."""
    path = f"/tmp/botls-{os.getpid()}"
    os.makedirs(path, mode=0o755, exist_ok=True)
    os.chmod(path, 0o755)
    return path
