# SPDX-License-Identifier: Apache-2.0
"""dist/prometheus and dist/grafana: the rules do what they say, and each metric that they name is one that botlsd has."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "dist/prometheus/botls.rules.yml"
RULES_TEST = ROOT / "dist/prometheus/botls.rules.test.yml"
DASHBOARD = ROOT / "dist/grafana/botls.json"
MANUAL = ROOT / "docs/monitoring.md"
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not there (scripts/deps)")


def families():
    """{name of the sample: its labels}, from the table that prints them."""
    source = (ROOT / "shim/metrics_text.c").read_text()
    kinds = dict(re.findall(r'^\t\{"(botls_\w+)", (GAUGE|COUNTER|INFO)', source, re.M))
    assert len(kinds) > 30
    return {name + {"GAUGE": "", "COUNTER": "_total", "INFO": "_info"}[kind] for name, kind in kinds.items()}


def named(text):
    return set(re.findall(r"\bbotls_[a-z_]+", text))


def promtool(*words):
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60, check=False)


@needs_promtool
def test_rules():
    result = promtool("check", "rules", RULES)
    assert result.returncode == 0 and "10 rules found" in result.stdout, result.stdout + result.stderr
    result = promtool("test", "rules", RULES_TEST)
    assert result.returncode == 0 and "SUCCESS" in result.stdout, result.stdout + result.stderr


def test_each_alert_is_tested():
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert alerts == set(re.findall(r'alertname="(Botls\w+)"', RULES_TEST.read_text()))


@pytest.mark.parametrize("path", [RULES, RULES_TEST, DASHBOARD], ids=lambda p: p.name)
def test_metrics_exist(path):
    names = named(path.read_text())
    assert names and names <= families(), names - families()


def test_all_metrics_are_in_the_manual():
    assert families() <= named(MANUAL.read_text()), families() - named(MANUAL.read_text())
    assert named(MANUAL.read_text()) <= families(), named(MANUAL.read_text()) - families()


@needs_promtool
def test_dashboard():
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [p for p in dashboard["panels"] if p["type"] != "row"]
    assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
    expressions = [t["expr"] for p in panels for t in p["targets"]]
    assert len(expressions) >= 20
    lines = ["groups: [{name: x, rules: ["]
    for i, expression in enumerate(expressions):
        expression = expression.replace("$__rate_interval", "5m").replace("$", "")
        lines.append(f"{{record: 'x:{i}', expr: {json.dumps(expression)}}},")
    rules = subprocess.run(["promtool", "check", "rules", "/dev/stdin"], input="\n".join([*lines, "]}]"]), capture_output=True,
                           text=True, timeout=60, check=False)
    assert rules.returncode == 0 and f"{len(expressions)} rules found" in rules.stdout, rules.stdout + rules.stderr
    for p in panels:  # nothing lies on something else
        a = p["gridPos"]
        assert a["x"] + a["w"] <= 24
        for q in panels:
            b = q["gridPos"]
            assert q is p or a["x"] >= b["x"] + b["w"] or b["x"] >= a["x"] + a["w"] or a["y"] >= b["y"] + b["h"] or b["y"] >= a["y"] + a["h"], \
                (p["title"], q["title"])
