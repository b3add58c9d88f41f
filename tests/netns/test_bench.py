# SPDX-License-Identifier: Apache-2.0
"""bench/run and bench/restart-gap work: every benchmark gives its figure. What the figures are is no test's business."""

import contextlib
import json
import re
import socket
import subprocess
import sys

import pytest

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


def test_the_restart_gap_is_told_for_each_way_to_restart():
    result = subprocess.run([sys.executable, REPOSITORY / "bench/restart-gap", "--rate", "100000", "1", "2"], capture_output=True,
                            text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = [line[:22].strip() for line in result.stdout.splitlines() if line.endswith(" of 1")]
    assert rows == ["no restart", "restart", "kill -9 of control"]
    assert int(re.search(r"^(\d+) bytes, all of them as they were sent", result.stdout, re.M)[1]) > 100_000


@pytest.mark.parametrize("answers, error", [(True, "bytes are missing, or are others than were sent"), (False, "the other end closed it")])
def test_a_flow_that_is_not_what_was_sent_is_an_error(answers, error):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load = subprocess.Popen([BUILD / "bench/load", "flow", "127.0.0.1", "127.0.0.1", str(listener.getsockname()[1]), "100000", "1"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        far, _ = listener.accept()
        with load, far:
            with contextlib.suppress(ConnectionError):
                for _ in range(100 if answers else 0):  # its own bytes: OPEN and KEEPALIVE are right, what follows is not
                    far.sendall(far.recv(4096))
            far.close()
            assert error in json.loads(load.stdout.readlines()[-1])["error"]
            assert load.wait(10) == 1
