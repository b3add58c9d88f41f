# SPDX-License-Identifier: Apache-2.0
"""Completion of botlsctl, in the shells themselves."""
import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from test_botlsctl import BOTLSCTL, CLEAR, HELD, ROOT, UP, Server, show

COMMANDS = ["show", "watch", "doctor", "steering", "reload", "reset", "log", "help", "version"]
STATES = ["up", "draining", "clear", "handshake", "connecting", "held", "idle", "off", "error", "not-up"]
NEIGHBORS = ["192.0.2.2", "2001:db8::5", "192.0.2.9"]


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path / "control")
    s.answer = show(UP, HELD, CLEAR)
    yield s
    s.close()


def bash(line, tmp_path):
    """What bash offers after `line`, with botlsctl in the path and a daemon to ask."""
    script = f"""
        source {ROOT}/dist/completion/botlsctl.bash
        botlsctl() {{ {BOTLSCTL} "${{@:1:1}}" -s {tmp_path}/control "${{@:2}}"; }}
        COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDBREAKS=$' \\t\\n:'
        _botlsctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return subprocess.run(["bash", "-euc", script, "bash", line], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=30).stdout.split()


@pytest.mark.parametrize("line, offered", [
    ("botlsctl s", ["show", "steering"]),
    ("botlsctl show ", ["neighbor", "session", "state", "mode"]),
    ("botlsctl show neighbor ", NEIGHBORS),
    ("botlsctl show neighbor 192", ["192.0.2.2", "192.0.2.9"]),
    ("botlsctl show neighbor 2001:db8:", [":5"]),  # readline has what stands before
    ("botlsctl show state h", ["handshake", "held"]),
    ("botlsctl show state ", STATES),
    ("botlsctl show state up ", ["neighbor", "session", "mode"]),
    ("botlsctl show mode p", ["preferred"]),
    ("botlsctl show session 1", ["192.0.2.2", "17", "192.0.2.9", "17"]),
    ("botlsctl watch ", ["neighbor", "state", "mode"]),
    ("botlsctl reset 2", ["2001:db8::5"]),
    ("botlsctl reset 192.0.2.2 ", []),
    ("botlsctl log ", ["level"]),
    ("botlsctl log level w", ["warning"]),
    ("botlsctl --json show st", ["state"]),
    ("botlsctl --col", ["--color"]),
    ("botlsctl --color a", ["auto", "always"]),
    ("botlsctl frob ", []),
])
def test_bash(server, tmp_path, line, offered):
    del server
    assert bash(line, tmp_path) == offered


def test_bash_offers_all_commands(server, tmp_path):
    del server
    offered = bash("botlsctl ", tmp_path)
    assert [c for c in offered if c in COMMANDS] == COMMANDS
    assert "complete" not in offered


def test_without_botlsd_it_is_quiet(tmp_path):
    result = subprocess.run([BOTLSCTL, "complete", "-s", str(tmp_path / "none"), "show", "neighbor", ""],
                            capture_output=True, text=True, timeout=30, check=True)
    assert (result.stdout, result.stderr) == ("", "")


def read_until(fd, text, seconds=15):
    seen = b""
    deadline = time.monotonic() + seconds
    while text not in seen:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([fd], [], [], left)[0], seen
        seen += os.read(fd, 4096)
    return seen


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh(server, tmp_path):
    """A zsh at a terminal: Tab writes what is the only word that fits."""
    del server
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "botlsctl"
    wrapper.write_text(f'#!/bin/sh\nfirst=$1\nshift\nexec {BOTLSCTL} "$first" -s {tmp_path}/control "$@"\n')
    wrapper.chmod(0o755)
    (tmp_path / ".zshrc").write_text(f"fpath=({ROOT}/dist/completion $fpath)\nautoload -Uz compinit\ncompinit -u -D\n"
                                     "PS1='READY> '\n")
    env = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
           "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(shutil.which("zsh"), ["zsh", "-d", "-i"], env)
    try:
        read_until(fd, b"READY> ")
        os.write(fd, b"botlsctl wat\t")
        read_until(fd, b"watch ")
        os.write(fd, b"st\t")
        read_until(fd, b"state ")
        os.write(fd, b"not\t")
        read_until(fd, b"not-up ")
        os.write(fd, b"\x15botlsctl reset 2001\t")
        read_until(fd, b"2001:db8::5")
    finally:
        os.kill(pid, 9)
        os.close(fd)
        os.waitpid(pid, 0)
