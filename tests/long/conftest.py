# SPDX-License-Identifier: Apache-2.0
"""The fixtures of tests/netns, for what takes minutes."""

import importlib.util
import pathlib
import sys

NETNS = pathlib.Path(__file__).resolve().parents[1] / "netns"
_spec = importlib.util.spec_from_file_location("netns_conftest", NETNS / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
sys.modules["netns_conftest"] = _module
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items() if not name.startswith("_")})
