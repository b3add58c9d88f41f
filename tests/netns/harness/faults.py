# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out, a clock that jumps, TCP_REPAIR that takes its time, acknowledgments that do not come, in botlsd and its workers (tests/netns/faults/faults.c)."""

import mmap
import struct

import pytest

from .botlsd import built
from .sanitizer import SANITIZED

FIELDS = ("pid", "countdown", "count", "failed", "clock_offset", "repair_delay", "hold_acks")


def preload():
    """The environment of a botlsd that is to meet them."""
    if SANITIZED:
        pytest.skip("a sanitizer's own malloc() comes first")
    return {"LD_PRELOAD": str(built("tests/netns/faults.so"))}


def tls12():
    """The same of one whose TLS ends at 1.2."""
    return {**preload(), "BOTLS_TLS12": "1"}


class Faults:
    """Its attributes are those of struct faults, and live in the page shared with botlsd."""

    def __init__(self, path):
        path.write_bytes(bytes(4096))
        self.env = {**preload(), "BOTLS_FAULTS": str(path)}
        self._file = open(path, "r+b")
        self._page = mmap.mmap(self._file.fileno(), 4096)

    def __getattr__(self, name):
        return struct.unpack_from("q", self._page, 8 * FIELDS.index(name))[0]

    def __setattr__(self, name, value):
        if name in FIELDS:
            struct.pack_into("q", self._page, 8 * FIELDS.index(name), value)
        else:
            object.__setattr__(self, name, value)

    def fail(self, pid, at):
        """The `at`-th allocation of this process from now on fails."""
        self.countdown = 0
        self.pid, self.failed, self.count = pid, 0, 0
        self.countdown = at

    def stop(self):
        self.countdown = self.pid = 0

    def count_of(self, pid, do):
        """How many allocations a process makes while do() runs."""
        self.fail(pid, 0)
        do()
        count = self.count
        self.stop()
        return count
