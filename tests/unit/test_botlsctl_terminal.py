# SPDX-License-Identifier: Apache-2.0
"""botlsctl at a terminal: colours, and `watch`, which must give the terminal back as it was, whatever ends it."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from test_botlsctl import BOTLSCTL, CLEAR, HELD, OFF, THEN, UP, Server, neighbor, run, session, show, stream

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[1;31m"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *argv, columns=80, rows=24, env=None):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows, notify=False)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={"PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8", "TZ": "UTC", **(env or {})})

    def resize(self, columns, rows, notify=True):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if notify:
            self.process.send_signal(signal.SIGWINCH)

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.seen += os.read(self.master, 65536)
        return True

    def wait_for(self, condition, what, seconds=15):
        deadline = time.monotonic() + seconds
        while not condition(self.seen):
            assert time.monotonic() < deadline and self.read(deadline - time.monotonic()), (what, self.seen)

    def expect(self, text):
        """Waits for it, and forgets what came before and with it."""
        self.wait_for(lambda seen: text in seen, text)
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        status = self.process.wait(15)
        while self.read(0):
            pass
        return status

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path / "control")
    s.answer = show(UP, HELD, CLEAR, OFF)
    yield s
    s.close()


@pytest.fixture
def terminal(server, tmp_path):
    del server
    open_ones = []

    def start(*words, **how):
        open_ones.append(Terminal(str(BOTLSCTL), "-s", str(tmp_path / "control"), *words, **how))
        return open_ones[-1]

    yield start
    for one in open_ones:
        one.close()


def test_states_have_colors(terminal):
    t = terminal("show")
    assert t.end() == 0
    text = t.seen.decode()
    assert f"{GREEN}up\x1b[0m" in text and f"{YELLOW}held\x1b[0m" in text and f"{RED}clear\x1b[0m" in text
    assert "off\x1b" not in text
    plain = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert all(len(line) <= 80 for line in plain.splitlines())
    assert not re.search("\x1b\\[4[0-9]|\x1b\\[3[047]", text)  # no background; neither black nor white nor blue


@pytest.mark.parametrize("words, env, has_color", [
    ([], {}, True), ([], {"NO_COLOR": "1"}, False), ([], {"NO_COLOR": ""}, True), ([], {"TERM": "dumb"}, False),
    (["--color", "never"], {}, False), (["--color=always"], {"NO_COLOR": "1"}, True),
    (["--json"], {}, False), (["--json", "--color", "always"], {}, False),
])
def test_who_decides_about_colors(terminal, words, env, has_color):
    t = terminal("show", *words, env=env)
    assert t.end() == 0
    assert (b"\x1b[" in t.seen) == has_color


def test_no_colors_in_a_pipe(server, tmp_path):
    del server
    assert "\x1b" not in run("-s", str(tmp_path / "control"), "show").stdout
    assert f"{GREEN}up\x1b[0m" in run("-s", str(tmp_path / "control"), "--color", "always", "show").stdout


def test_watch(terminal, server):
    t = terminal("watch", "-i", "0.1")
    t.expect(ENTER)
    t.expect(b"4 neighbors: ")
    t.expect(b"\x1b[32mestablished")
    # What was 1234 bytes in both directions grows; a state changes.
    grown = session(**{"in": stream(64500, "192.0.2.2", bytes=10 ** 9)})
    server.answer = show(dict(UP, sessions=[grown]), dict(HELD, state="up"), CLEAR, OFF)
    t.expect(b" GB/s")
    t.wait_for(lambda seen: b"\x1b[7mup *" in seen, "the change is marked")
    t.type(b"q")
    assert t.end() == 0
    assert t.seen.endswith(LEAVE) and t.is_restored()


def test_watch_follows_the_size(terminal, server):
    server.answer = show(*[neighbor(f"10.0.0.{i}", "idle") for i in range(1, 41)])
    t = terminal("watch", "-i", "3600", rows=10)
    t.expect(b"1 to 5 of 40 lines")
    t.type(b"j\x1b[B")
    t.expect(b"3 to 7 of 40 lines")
    t.type(b"k")
    t.expect(b"2 to 6 of 40 lines")
    t.resize(120, 60)
    t.expect(b"Info")
    t.expect(b"10.0.0.40")
    t.resize(60, 20)
    t.expect(b"1 to 15 of 40 lines")
    t.type(b"q")
    assert t.end() == 0 and t.is_restored()


@pytest.mark.parametrize("number, status", [
    (signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP),
    (signal.SIGQUIT, -signal.SIGQUIT), (signal.SIGABRT, -signal.SIGABRT), (signal.SIGSEGV, -signal.SIGSEGV)])
def test_watch_gives_the_terminal_back(terminal, number, status):
    t = terminal("watch")
    t.expect(ENTER)
    t.expect(b"4 neighbors: ")
    assert not t.is_restored()
    t.process.send_signal(number)
    assert t.end() == status
    assert LEAVE in t.seen and t.is_restored()


def test_watch_ends_by_ctrl_c(terminal):
    t = terminal("watch")
    t.expect(b"4 neighbors: ")
    t.type(b"\x03")
    assert t.end() == 0
    assert t.seen.endswith(LEAVE) and t.is_restored()


def test_watch_can_be_stopped(terminal):
    t = terminal("watch", "-i", "3600")
    t.expect(b"4 neighbors: ")
    t.process.send_signal(signal.SIGTSTP)
    t.expect(LEAVE)
    assert os.waitid(os.P_PID, t.process.pid, os.WSTOPPED).si_status == signal.SIGSTOP
    assert t.is_restored()
    t.process.send_signal(signal.SIGCONT)
    t.expect(ENTER)
    t.expect(b"4 neighbors: ")
    t.type(b"q")
    assert t.end() == 0 and t.is_restored()


def test_watch_outlives_botlsd(terminal, server, tmp_path):
    t = terminal("watch", "-i", "0.1")
    t.expect(b"4 neighbors: ")
    server.close()
    t.expect(b"OLD, asking again: nobody answers at ")
    os.unlink(tmp_path / "control")
    again = Server(tmp_path / "control")
    try:
        again.answer = show(UP)
        t.expect(b"1 neighbor: ")
    finally:
        again.close()
        server.close = lambda: None  # it is done
    t.type(b"q")
    assert t.end() == 0


def test_watch_without_botlsd(tmp_path):
    t = Terminal(str(BOTLSCTL), "-s", str(tmp_path / "none"), "watch")
    try:
        assert t.end() == 3
        assert b"no control socket" in t.seen and ENTER not in t.seen
    finally:
        t.close()


def test_watch_without_a_terminal(server, tmp_path):
    result = run("-s", str(tmp_path / "control"), "watch", "-i", "0.1", "--count", "3")
    assert result.returncode == 0
    assert len(server.requests) == 3
    assert result.stdout.count("4 neighbors: 1 up, 1 clear, 1 held, 1 off\n") == 3
    assert "\x1b" not in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_watch_as_json(server, tmp_path):
    result = run("-s", str(tmp_path / "control"), "watch", "--json", "-i", "0.1", "--count", "2", "state", "up")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [[n["name"] for n in line["neighbors"]] for line in lines] == 2 * [["192.0.2.2"]]
    assert lines[1]["neighbors"][0]["rates"] == {"bytes_in": 0, "bytes_out": 0, "messages": 0}
    assert lines[0]["time"] > THEN
    assert server.requests == 2 * [{"command": "show"}]


def test_watch_of_one_neighbor(server, tmp_path):
    server.answer = show(UP)
    out = run("-s", str(tmp_path / "control"), "watch", "neighbor", "192.0.2.2", "--count", "1").stdout
    assert server.requests == [{"command": "show", "neighbor": "192.0.2.2"}]
    assert "\nSession 17, our daemon connected, worker 0\n" in out
