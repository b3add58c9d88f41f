# SPDX-License-Identifier: Apache-2.0
"""What an operator can read in the log or in botlsctl is found in docs/troubleshooting.md."""

import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "docs/troubleshooting.md"
LITERAL = r'"((?:[^"\\]|\\.)*)"'
STRINGS = rf'((?:{LITERAL}\s*(?:PRI\w+\s*)?)+)'
CONVERSION = re.compile(r"%[-+ #0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]?")


def flat(text):
    return " ".join(text.split())


def fixed_part(format_string):
    """The longest piece without a conversion: what can be searched for."""
    return max((piece.strip(" :;,()[]") for piece in CONVERSION.split(format_string)), key=len)


def calls(pattern, *globs):
    """The first string of each call, with its file."""
    for path in sorted(p for g in globs for p in TOP.glob(g)):
        for call in re.finditer(rf"\b(?:{pattern}){STRINGS}", path.read_text()):
            yield path.name, "".join(re.findall(LITERAL, call[1]))


def test_every_reason_has_its_row():
    names = re.findall(r'case TLS_REASON_\w+: return "([^"]+)"', (TOP / "lib/tls_reason_name.c").read_text())
    advised = re.findall(r'\{"([a-z-]+)",', (TOP / "shim/ctl_advice.c").read_text())
    rows = re.findall(r"(?m)^\| `([a-z-]+)` \|", PAGE.read_text())
    assert len(names) > 20
    assert [name for name in names if name not in rows] == []
    assert [name for name in advised if name not in rows] == []


def test_every_end_of_a_session_is_there():
    page = flat(PAGE.read_text())
    ends = list(calls(r"session_end\(s, |neighbor_reset\(\w+, |neighbor_reset\(w->neighbors\[i\], ", "shim/*.c"))
    assert len(ends) > 10
    assert [(name, text) for name, text in ends if fixed_part(text) not in page] == []


def test_every_warning_and_error_is_there():
    """A new line in the log? Say in the table what it means and what to do."""
    page = flat(PAGE.read_text())
    # What has no words of its own is explained where the words come from.
    lines = [(name, text) for name, text in calls(r"log_(?:error|warning)\(\s*|log_limited\(n, LOG_LEVEL_(?:ERROR|WARNING),\s*",
                                                  "shim/*.c", "provision/*.c") if len(fixed_part(text)) > 3]
    assert len(lines) > 25
    # Long ones are cut there: the beginning of the piece is enough.
    assert [(name, text) for name, text in lines if fixed_part(text)[:36].strip(" (") not in page] == []
