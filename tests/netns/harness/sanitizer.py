# SPDX-License-Identifier: Apache-2.0
"""What a sanitizer build of botlsd has to say (make check-netns-san): each process writes a file of its own.

The workers write theirs as the user that they have become. A plain build writes nothing.
"""

import os
import pathlib

from .router import base_folder

SANITIZED = "asan" in str(os.environ.get("BUILD", ""))
# What was freed stays for so long that its use is seen; 256 MB of it, as usual, would hide what a test measures.
OPTIONS = {"ASAN_OPTIONS": ["quarantine_size_mb=16", "thread_local_quarantine_size_kb=64"], "UBSAN_OPTIONS": []}


def folder():
    path = pathlib.Path(base_folder()) / "sanitizer"
    path.mkdir(exist_ok=True)
    path.chmod(0o1777)
    return path


def prepare():
    for name, usual in OPTIONS.items():
        others = [o for o in os.environ.get(name, "").split(":") if o and not o.startswith("log_path=")]
        os.environ[name] = ":".join([*usual, *others, f"log_path={folder()}/report"])


def take_reports():
    for path in sorted(folder().iterdir()):
        yield path.read_text(errors="replace")
        path.unlink()
