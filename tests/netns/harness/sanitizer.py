# SPDX-License-Identifier: Apache-2.0
"""What a sanitizer build of botlsd has to say (make check-netns-san): each process writes a file of its own.

The workers write theirs as the user that they have become. A plain build writes nothing.
"""

import os
import pathlib

from .router import base_folder

OPTIONS = ("ASAN_OPTIONS", "UBSAN_OPTIONS")


def folder():
    path = pathlib.Path(base_folder()) / "sanitizer"
    path.mkdir(exist_ok=True)
    path.chmod(0o1777)
    return path


def prepare():
    for name in OPTIONS:
        others = [o for o in os.environ.get(name, "").split(":") if o and not o.startswith("log_path=")]
        os.environ[name] = ":".join([*others, f"log_path={folder()}/report"])


def take_reports():
    for path in sorted(folder().iterdir()):
        yield path.read_text(errors="replace")
        path.unlink()
