# SPDX-License-Identifier: Apache-2.0
"""bench/run works: every benchmark gives its figure. What the figures are is no test's business."""

import json
import subprocess
import sys

from harness.botlsd import BUILD, REPOSITORY
from harness.wait import SLOW

ALONE = ["bulk", "small", "keepalive", "rate", "memory", "held", "storm", "neighbors"]


def test_every_benchmark_gives_its_figure(tmp_path):
    report = tmp_path / "report.json"
    result = subprocess.run([sys.executable, REPOSITORY / "bench/run", "--quick", "--peers", "botls", "--json", report, *ALONE],
                            capture_output=True, text=True, timeout=300 * SLOW, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = json.loads(report.read_text())["table"]
    assert {row["benchmark"] for row in rows} == set(ALONE)
    # hold timers that were missed: mostly none
    assert not [row for row in rows if row["ours"] <= 0 and not row["title"].endswith("hold timers missed")]


def test_an_unknown_benchmark_is_refused():
    result = subprocess.run([sys.executable, REPOSITORY / "bench/run", "nonsense"], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "nonsense" in result.stderr
    assert (BUILD / "bench/load").exists()
