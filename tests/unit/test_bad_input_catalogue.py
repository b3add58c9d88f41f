# SPDX-License-Identifier: Apache-2.0
"""docs/bad-input.md names a test for every case: they exist."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/bad-input.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", TEXT)))


def exists(path, name):
    source = (ROOT / path).read_text()
    pattern = rf"^def {name}\(" if path.endswith(".py") else rf"^static void {name}\(void \*\*state\)"
    return re.search(pattern, source, re.M)


def test_every_named_test_exists():
    missing = [f"{path}::{name}" for path, name in NAMED if not (ROOT / path).is_file() or not exists(path, name)]
    assert not missing, missing


def test_every_case_has_one():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| what |")]
    rows = [row for row in rows if not re.match(r"\| (input|what) \|", row)]
    assert len(rows) > 35
    for row in rows:
        assert "::" in row or "`docs/fuzzing.md`" in row, row


def test_every_test_of_bad_input_is_named():
    named = {name for _, name in NAMED}
    for path in (*ROOT.glob("tests/netns/test_bad_*.py"), ROOT / "tests/long/test_flood.py"):
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M):
            assert name in named or name == "test_good_ones_are_accepted", f"{path.name}::{name}"
