# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: built once per run, and installed into a container."""

import functools
import pathlib
import re
import shutil
import subprocess

import pytest

from .botlsd import BUILD, REPOSITORY
from .systemd import Unit
from .wait import SLOW

TOOLS = ("dpkg-buildpackage", "dh", "lintian")


def _dpkg_deb(*words):
    return subprocess.run(["dpkg-deb", *map(str, words)], check=True, capture_output=True, text=True).stdout


class Packages:
    """{name: file} of one version."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {_dpkg_deb("-f", path, "Package").strip(): path for path in sorted(folder.glob("*.deb"))}

    @property
    def changes(self):
        return next(self.folder.glob("*.changes"))

    def version(self):
        return _dpkg_deb("-f", self.files["botls"], "Version").strip()

    def contents(self, name):
        """The paths of all that is no folder."""
        lines = _dpkg_deb("-c", self.files[name]).splitlines()
        return [line.split(None, 5)[5].lstrip(".") for line in lines if not line.startswith("d")]

    def with_version(self, version, folder):
        """The same files under another version."""
        folder.mkdir()
        for name, path in self.files.items():
            tree = folder / name
            _dpkg_deb("-R", path, tree)
            control = tree / "DEBIAN/control"
            control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
            _dpkg_deb("--root-owner-group", "-Znone", "-b", tree, folder / f"{name}_{version}.deb")
            shutil.rmtree(tree)
        return Packages(folder)


def build(out=None):
    """Into `out`, or where `make deb` puts them; quick when they are there."""
    out = out or BUILD / "deb"
    result = subprocess.run(["scripts/deb", "--out", str(out)], cwd=REPOSITORY, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return Packages(out)


@functools.cache
def packages():
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    return build()


class Packaged(Unit):
    """A router that gets botls from its packages, after it was booted."""

    def put_files(self):
        pass

    def boot(self):
        super().boot()
        # Services are started by packages here; and the index of all manual pages is not what is tested.
        self.container.run("rm", "-f", "/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update")
        return self

    def dpkg(self, *words):
        return self.container.run("dpkg", "--force-unsafe-io", *words, timeout=120 * SLOW)

    def install(self, packages):
        folder = pathlib.PurePath("/tmp/packages")
        for path in packages.files.values():
            self.container.put(path, str(folder / path.name))
        return self.dpkg("-i", *(folder / path.name for path in packages.files.values()))
