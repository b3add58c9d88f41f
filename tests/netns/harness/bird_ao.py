# SPDX-License-Identifier: Apache-2.0
"""The BIRDs that speak TCP-AO (tests/vm/bird fetches them), and their keys."""

import os
import pathlib

import pytest

CACHE = pathlib.Path(os.environ.get("BOTLS_VM_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "botls/vm")
ALGORITHMS = {"aes-128-cmac-96": "cmac aes128", "hmac-sha1-96": "hmac sha1"}


def with_bird(package, *others):
    """A pytest parameter: the folder with that BIRD's programs."""
    folder = CACHE / package
    missing = pytest.mark.skipif(not (folder / "bird").exists(), reason=f"no {package} with TCP-AO (tests/vm/bird {package})")
    return pytest.param(folder, *others, id="-".join((package, *others)), marks=missing)


def bird_keys(*keys):
    """Lines for a Peering: botlsd's keys in BIRD's language. The last one is what this BIRD asks for."""
    lines = [f'key {{ send id {k["send-id"]}; recv id {k["recv-id"]}; secret "{k["secret"]}"; '
             f'algorithm {ALGORITHMS[k.get("algorithm", "aes-128-cmac-96")]}; {"preferred; " if k is keys[-1] else ""}}};'
             for k in keys]
    return ("authentication ao;", "keys {", *lines, "};")
