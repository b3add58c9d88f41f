# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of how a process is confined."""

import os
import pathlib
import re

from .botlsd import REPOSITORY

# linux/capability.h, those that the unit names.
CAPABILITIES = {"CAP_CHOWN": 0, "CAP_DAC_READ_SEARCH": 2, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SETPCAP": 8,
                "CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_PERFMON": 38, "CAP_BPF": 39}


def unit_capabilities():
    """CapabilityBoundingSet= of botlsd.service, as a mask."""
    text = (REPOSITORY / "dist/botlsd.service").read_text()
    names = " ".join(re.findall(r"^CapabilityBoundingSet=(.*)", text, re.M)).split()
    return sum(1 << CAPABILITIES[name] for name in names)


def status(pid, proc="/proc"):
    lines = (pathlib.Path(proc) / str(pid) / "status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def _sets(fields):
    return {name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def assert_control(fields):
    kept = unit_capabilities()
    assert _sets(fields) == {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": kept, "CapAmb": 0}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def assert_worker(fields, uid):
    assert set(_sets(fields).values()) == {0}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert fields["Uid"].split() == [str(uid)] * 4
    assert fields["Groups"] == ""


def descriptors(pid):
    """What a process has open."""
    folder = pathlib.Path(f"/proc/{pid}/fd")
    return sorted(os.readlink(fd) for fd in folder.iterdir())
