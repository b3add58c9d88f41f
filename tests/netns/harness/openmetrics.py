# SPDX-License-Identifier: Apache-2.0
"""OpenMetrics 1.0 text, read as strictly as the specification has it; and what is asked of it."""

import re
import subprocess

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL}(?:,{LABEL})*)?)\}})? (\S+)$")
SUFFIXES = {"gauge": [""], "counter": ["_total"], "info": ["_info"]}
RESERVED = ("_total", "_created", "_info", "_bucket", "_count", "_sum", "_gcount", "_gsum")


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help, self.samples = name, None, None, None, {}

    def sample_name(self):
        return self.name + SUFFIXES[self.type][0]


def parse(text):
    """{family name: Family}; AssertionError for whatever breaks a rule."""
    assert text.endswith("# EOF\n"), "ends with # EOF and a newline"
    assert "\r" not in text and "\n\n" not in text
    families, current = {}, None
    for line in text[:-len("# EOF\n")].splitlines():
        meta = re.fullmatch(rf"# (HELP|TYPE|UNIT) ({NAME}) (.*)", line)
        assert meta or not line.startswith("#"), f"neither comments nor a second EOF: {line}"
        if meta:
            what, name, value = meta.groups()
            if current is None or name != current.name:
                assert name not in families, f"{name}: its lines are not together"
                current = families[name] = Family(name)
            assert not current.samples, f"{name}: metadata after samples"
            assert getattr(current, what.lower()) is None, f"{name}: {what} twice"
            setattr(current, what.lower(), value)
            if what == "TYPE":
                assert value in SUFFIXES, line
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match[1], re.findall(LABEL, match[2] or ""), float(match[7])
        assert current and current.type, f"{name}: no TYPE"
        assert name == current.sample_name(), f"{name} does not belong to {current.name} ({current.type})"
        keys = [key for key, _ in labels]
        assert len(set(keys)) == len(keys) and not any(k.startswith("__") for k in keys), line
        key = tuple(sorted(labels))
        assert key not in current.samples, f"twice: {line}"
        current.samples[key] = value
        assert current.type != "counter" or (value >= 0 and value == value), line
        assert current.type != "info" or value == 1, line
    names = set()
    for f in families.values():
        assert f.help and f.type, f.name
        assert not f.name.endswith(RESERVED), f.name
        assert not f.unit or f.name.endswith("_" + f.unit), f.name
        for unit in ("seconds", "bytes"):
            assert f.unit == unit or not f.name.endswith("_" + unit), f"{f.name}: no UNIT"
        labels = {tuple(k for k, _ in key) for key in f.samples}
        assert len(labels) <= 1, f"{f.name}: not always the same labels: {labels}"
        for suffix in ("", *RESERVED):
            assert f.name + suffix not in families or suffix == "", f.name
        names.add(f.sample_name())
    assert len(names) == len(families)
    return families


def value(families, name, **labels):
    """The only sample of the family with these labels."""
    found = [v for key, v in families[name].samples.items() if labels.items() <= dict(key).items()]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def total(families, name, **labels):
    return sum(v for key, v in families[name].samples.items() if labels.items() <= dict(key).items())


def promtool_check(text):
    result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0 and not result.stdout + result.stderr, result.stdout + result.stderr
