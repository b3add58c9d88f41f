# SPDX-License-Identifier: Apache-2.0
"""A Peering API server to test botls-provision against, with every mistake that a server can make. See README.md."""

from .admin import Remote
from .server import Server
from .settings import PRESETS, Profile, Settings, Wrong

__all__ = ["PRESETS", "Profile", "Remote", "Server", "Settings", "Wrong"]
