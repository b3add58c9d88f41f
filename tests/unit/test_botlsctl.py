# SPDX-License-Identifier: Apache-2.0
"""botlsctl against a server that answers what the test tells it: what is asked, printed and returned."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOTLSCTL = ROOT / os.environ.get("BUILD", "build") / "botlsctl"
THEN = 1577934245  # 2020-01-02 03:04:05 UTC
DAY = 86400
AGO = f"{(int(time.time()) - THEN) // DAY}d"  # how botlsctl says it


class Server:
    """Answers every connection's first line with `answer` (bytes, or an object)."""

    def __init__(self, path):
        self.requests = []
        self.answer = {"ok": True}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile("rwb") as stream:
                line = stream.readline()
                self.requests.append(json.loads(line))
                answer = self.answer
                stream.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path / "control")
    yield s
    s.close()


def run(*arguments, width=80, program=BOTLSCTL, **kwargs):
    env = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    if width:
        env["COLUMNS"] = str(width)
    return subprocess.run([program, *arguments], env=env, text=True, stdout=kwargs.pop("stdout", subprocess.PIPE),
                          stderr=subprocess.PIPE, timeout=30, check=False, **kwargs)


@pytest.fixture
def ctl(server, tmp_path):
    def call(*arguments, answer=None, code=0, **kwargs):
        if answer is not None:
            server.answer = answer
        result = run("-s", str(tmp_path / "control"), *arguments, **kwargs)
        assert result.returncode == code, result.stdout + result.stderr
        return result
    return call


def neighbor(name, state="idle", **more):
    return {"name": name, "mode": "required", "role": "both", "dynamic": False, "state": state, "since": THEN,
            "bgp": "idle", "tls_port": 8179, "sessions": [], **more}


def stream(asn, router_id, **more):
    return {"bytes": 1234,
            "messages": {"unknown": 0, "open": 1, "update": 2, "notification": 0, "keepalive": 3, "route-refresh": 0},
            "open": {"as": asn, "router_id": router_id, "hold_time": 90,
                     "capabilities": ["multiprotocol", "route-refresh", "4-octet-as", "73"], "role": "peer"},
            "framing_error": None, **more}


def session(**more):
    return {"id": 17, "worker": 0, "direction": "out", "state": "up", "since": THEN, "bgp": "established",
            "established_since": THEN + 2, "peer": "192.0.2.2", "peer_port": 8179, "local": "192.0.2.1",
            "local_port": 40001, "transport": "tls",
            "tls": {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "group": "X25519",
                    "subject": "CN=r2.example.net,O=Example", "issuer": "CN=Example CA", "san": "IP:192.0.2.2",
                    "pin": "q83vq83vq83vq83vq83vq83vq83vq83vq83vq83vq80=", "not_after": THEN, "records": "user space",
                    "records_why": "TLS 1.2", "records_in": 11,
                    "records_out": 12, "key_updates_sent": 1, "key_updates_received": 2},
            "in": stream(64500, "192.0.2.2"), "out": stream(64501, "192.0.2.1"), **more}


def show(*neighbors, **more):
    return {"ok": True, "version": "0.1.0", "pid": 42, "started": THEN, "loaded": THEN, "generation": 3, "steering": "cgroup",
            "log_level": "info", "workers": [{"id": 0, "pid": 43, "started": THEN, "restarts": 0, "sessions": 1,
                                              "handshakes": 0}], "neighbors": list(neighbors), **more}


UP = neighbor("192.0.2.2", "up", bgp="established", sessions=[session()], remote_as=64500,
              certificate_expires=THEN, description="transit", local_address="192.0.2.1",
              counters={"sessions": 4, "established": 3})
HELD = neighbor("2001:db8::5", "held", last_failure={
    "time": THEN, "reason": "untrusted", "text": "self-signed certificate in certificate chain", "direction": "out"},
    failures={"untrusted": 3, "expired": 1})
CLEAR = neighbor("192.0.2.9", "clear", mode="preferred", bgp="established", fallback=True, remote_as=64509,
                 sessions=[session(transport="clear", state="clear", tls=None, **{"in": stream(64509, "192.0.2.9")})])
NOTIFIED = neighbor("192.0.2.7", last_notification={
    "time": THEN, "code": 6, "subcode": 2, "text": "Cease/Administrative Shutdown: maintenance", "direction": "in"})
OFF = neighbor("192.0.2.8", "off", mode="off", description="not yet")


def test_show(ctl, server):
    out = ctl("show", answer=show(UP, NOTIFIED, OFF, CLEAR, HELD, unknown_sources={
        "count": 3, "last": "198.51.100.7", "last_time": THEN})).stdout
    assert server.requests == [{"command": "show"}]
    assert out == f"""\
botlsd 0.1.0, process 42, running for {AGO}, 1 worker
Configuration 3 of 2020-01-02 03:04:05, steering by cgroup

Neighbor     Mode       State  BGP            For  Info
192.0.2.2    required   up     established  {AGO}  AS64500 CN=r2.example.net,...
192.0.2.7    required   idle   idle         {AGO}  Cease/Administrative Shutd...
192.0.2.8    off        off    idle         {AGO}  not yet
192.0.2.9    preferred  clear  established  {AGO}  CLEAR TEXT AS64509
2001:db8::5  required   held   idle         {AGO}  untrusted: self-signed cer...

5 neighbors: 1 up, 1 clear, 1 held, 1 idle, 1 off
Unknown sources: 3, last 198.51.100.7, 2020-01-02
"""


def test_show_long_name_has_its_own_line(ctl):
    name = "2001:db8:1234:5678:9abc:def0:1234:5678"
    out = ctl("show", answer=show(neighbor(name, "connecting", mode="preferred", bgp="established"), UP)).stdout
    table = out.splitlines()[3:7]
    assert table == [
        "Neighbor              Mode       State       BGP            For  Info",
        name,
        f"                      preferred  connecting  established  {AGO}",
        f"192.0.2.2             required   up          established  {AGO}  AS64500 CN=r...",
    ]


@pytest.mark.parametrize("width", [80, 100, 132])
def test_show_fits(ctl, width):
    names = ["2001:db8:1234:5678:9abc:def0:1234:567%d" % i for i in range(3)]
    states = ["connecting", "handshake", "error"]
    out = ctl("show", width=width, answer=show(UP, *[dict(HELD, name=n, state=s) for n, s in zip(names, states)])).stdout
    assert all(len(line) <= width for line in out.splitlines())
    assert any(len(line) == width for line in out.splitlines())


def test_show_is_not_cut_in_a_pipe(ctl):
    assert "untrusted: self-signed certificate in certificate chain\n" in ctl("show", width=0, answer=show(HELD)).stdout


def test_show_counts_by_character(ctl):
    text = "\u00e4" * 200
    out = ctl("show", answer=show(neighbor("192.0.2.2", "off", description=text))).stdout
    assert max(len(line) for line in out.split("\n\n")[1].splitlines()) == 80
    fits = "\u00e4" * 20  # twice as many bytes, which there would be no room for
    assert f"  {fits}\n" in ctl("show", answer=show(neighbor("192.0.2.2", "off", description=fits))).stdout


def test_show_nothing(ctl):
    out = ctl("show", answer=show()).stdout
    assert out.endswith("steering by cgroup\n0 neighbors\n")


def test_show_restarts(ctl):
    answer = show(UP)
    answer["workers"][0]["restarts"] = 2
    assert "Worker 0 had to be restarted 2 times" in ctl("show", answer=answer).stdout


def test_show_draining(ctl):
    answer = show(UP)
    answer["draining"] = [{"worker": "0-4711", "sessions": 2, "until": THEN}, {"worker": "1-4712", "sessions": 1}]
    out = ctl("show", answer=answer).stdout
    assert "Worker 0-4711 of the botlsd before still has 2 sessions that could not move;\nthey end 2020-01-02 03:04:05 at the latest.\n" in out
    assert "Worker 1-4712 of the botlsd before still has 1 session that could not move.\n" in out


def test_draining_sessions(ctl):
    tls = {"version": "TLSv1.2", "cipher": "ECDHE-ECDSA-AES256-GCM-SHA384", "group": "x25519", "subject": "CN=r2.example.net,O=Example",
           "not_after": THEN}
    moved = session(id=18)
    stayed = session(state="draining", tls=tls, draining={"worker": "0-4711", "until": THEN, "why": "TLS 1.2 cannot move"})
    for key in ("worker", "in", "out"):
        del stayed[key]
    answer = show(dict(UP, state="draining", sessions=[stayed]), dict(HELD, state="up", sessions=[moved]))
    out = ctl("show", answer=answer).stdout
    assert f"192.0.2.2    required  draining  established  {AGO}  AS64500 CN=r2.example.ne..." in out
    assert out.endswith("2 neighbors: 1 up, 1 draining\n")
    assert re.search(rf"192.0.2.2 +17  out  draining  established  {AGO}        -        -  TLSv1.2\n", ctl("show", "session", width=90).stdout)
    assert "192.0.2.2 " in ctl("show", "state", "drain").stdout
    assert ctl("show", "session", "17").stdout == f"""\
Session 17 of 192.0.2.2, our daemon connected, worker 0-4711 of the botlsd before
  State             draining for {AGO}, since 2020-01-02 03:04:05
  Stayed            TLS 1.2 cannot move
  Ends              2020-01-02 03:04:05 at the latest
  BGP               established, established since 2020-01-02 03:04:07
  Connection        192.0.2.1 port 40001 to 192.0.2.2 port 8179, tls
  TLS
    Version         TLSv1.2, ECDHE-ECDSA-AES256-GCM-SHA384, x25519
  Certificate of the neighbor
    Subject         CN=r2.example.net,O=Example
    Expires         2020-01-02 (EXPIRED {AGO[:-1]} days ago)
"""


def test_wide_terminals_get_more(ctl):
    out = ctl("show", width=140, answer=show(UP, HELD)).stdout
    assert out.splitlines()[3:6] == [
        "Neighbor        AS  Mode      State  BGP            For  MsgRcvd  MsgSent     Rcvd     Sent  Info",
        f"192.0.2.2    64500  required  up     established  {AGO}        6        6  1.23 kB  1.23 kB  CN=r2.example.net,O=Example",
        f"2001:db8::5      -  required  held   idle         {AGO}        -        -        -        -  "
        "untrusted: self-signed certificate in certif..."]
    assert all(len(line) <= 140 for line in out.splitlines())
    assert "  AS  Mode" in ctl("show", width=100).stdout


@pytest.mark.parametrize("words, names", [
    (["state", "held"], ["2001:db8::5"]),
    (["st", "u"], ["192.0.2.2"]),
    (["state", "not-up"], ["192.0.2.7", "192.0.2.9", "2001:db8::5"]),
    (["mode", "preferred"], ["192.0.2.9"]),
    (["state", "up", "mode", "preferred"], []),
])
def test_filters(ctl, words, names):
    answer = show(UP, NOTIFIED, OFF, CLEAR, HELD)
    out = ctl("show", *words, answer=answer).stdout
    assert [line.split()[0] for line in out.splitlines()[4:] if AGO in line] == names
    assert f"\n{len(names)} shown of 5 neighbors: 1 up, 1 clear" in out
    assert [n["name"] for n in json.loads(ctl("show", *words, "--json", answer=answer).stdout)["neighbors"]] == names


def test_since_is_a_duration(ctl):
    for seconds, text in ((0, "[01]s"), (75, "1m1[56]s"), (3 * 3600 + 300, "3h05m"), (2 * DAY, "2d00h")):
        out = ctl("show", answer=show(dict(UP, since=int(time.time()) - seconds))).stdout
        assert re.search(f"established +{text}  AS64500", out), out


def test_local_time(tmp_path, server):
    server.answer = show(UP)
    out = subprocess.run([BOTLSCTL, "-s", tmp_path / "control", "show"], env={"TZ": "XYZ-5"}, text=True,
                         stdout=subprocess.PIPE, timeout=30, check=True).stdout
    assert "Configuration 3 of 2020-01-02 08:04:05" in out


def test_show_neighbor(ctl, server):
    now = int(time.time())
    one = session()
    one["tls"]["not_after"] = now + 304 * DAY + 3600
    two = session(id=18, worker=1, direction="in", state="handshake", bgp="connect", tls=None)
    two["in"] = two["out"] = None
    del two["established_since"]
    full = dict(UP, sessions=[one, two], certificate_expires=now - 20 * DAY - 3600,
                last_failure=HELD["last_failure"], failures=HELD["failures"],
                last_notification=NOTIFIED["last_notification"])
    out = ctl("show", "neighbor", "192.0.2.2", answer=show(full)).stdout
    assert server.requests == [{"command": "show", "neighbor": "192.0.2.2"}]
    theirs = time.strftime("%Y-%m-%d", time.gmtime(one["tls"]["not_after"]))
    ours = time.strftime("%Y-%m-%d", time.gmtime(full["certificate_expires"]))
    assert out == f"""\
Neighbor 192.0.2.2 (transit)
  State             up for {AGO}, since 2020-01-02 03:04:05
  BGP               established
  Mode              required, role both
  Local address     192.0.2.1
  TLS port          8179
  Remote AS         64500
  Our certificate   expires {ours} (EXPIRED 20 days ago)
  Counters          sessions 4, established 3

Session 17, our daemon connected, worker 0
  State             up for {AGO}, since 2020-01-02 03:04:05
  BGP               established, established since 2020-01-02 03:04:07
  Connection        192.0.2.1 port 40001 to 192.0.2.2 port 8179, tls
  TLS
    Version         TLSv1.3, TLS_AES_128_GCM_SHA256, X25519
    Records         in 11, out 12
    Done by         user space (TLS 1.2)
    Key updates     sent 1, received 2
  Certificate of the neighbor
    Subject         CN=r2.example.net,O=Example
    Issuer          CN=Example CA
    Names           IP:192.0.2.2
    Pin             q83vq83vq83vq83vq83vq83vq83vq83vq83vq83vq80=
    Expires         {theirs} (in 304 days)
  BGP in, from the neighbor
    OPEN            AS 64500, identifier 192.0.2.2, hold time 90 s, role peer
    Capabilities    multiprotocol, route-refresh, 4-octet-as, 73
    Messages        open 1, update 2, keepalive 3
    Bytes           1234 (1.23 kB)
  BGP out, from our daemon
    OPEN            AS 64501, identifier 192.0.2.1, hold time 90 s, role peer
    Capabilities    multiprotocol, route-refresh, 4-octet-as, 73
    Messages        open 1, update 2, keepalive 3
    Bytes           1234 (1.23 kB)

Session 18, the neighbor connected, worker 1
  State             handshake for {AGO}, since 2020-01-02 03:04:05
  BGP               connect
  Connection        192.0.2.1 port 40001 to 192.0.2.2 port 8179, tls

Failures
  By reason         untrusted 3, expired 1
  Last              2020-01-02 03:04:05, we connected
                    untrusted: self-signed certificate in certificate chain
  What to do        the certificate of the neighbor does not lead to our 'ca':
                    compare its issuer with that file, and that the neighbor
                    sends its intermediate certificates

Last NOTIFICATION
  When              2020-01-02 03:04:05, from the neighbor
  What              Cease/Administrative Shutdown: maintenance (code 6, subcode
                    2)
"""


def test_show_neighbor_in_clear_text(ctl):
    out = ctl("show", "neighbor", "192.0.2.9", answer=show(dict(CLEAR, clear_sessions=2))).stdout
    assert "Fallback          CLEAR TEXT IS ALLOWED NOW\n" in out
    assert "Clear text        1 session(s) that the daemon itself accepted\n" in out
    # The one that goes through botlsd is no such.
    assert "itself accepted" not in ctl("show", "neighbor", "192.0.2.9", answer=show(dict(CLEAR, clear_sessions=1))).stdout
    assert "192.0.2.2 port 8179, CLEAR TEXT\n" in out
    assert "Certificate of the neighbor" not in out


def test_tcp_ao_is_shown(ctl):
    counts = {"good": 21, "bad": 2, "key_not_found": 3, "required": 4}
    configured = {"algorithm": "hmac-sha1-96", "send_id": 7, "recv_id": 255, "options": False, "listener": counts}
    one = dict(UP, tcp_ao=configured, sessions=[session(tcp_ao={"send_id": 7, "recv_id": 255, **counts})])
    out = ctl("show", "neighbor", "192.0.2.2", answer=show(one), width=0).stdout
    assert "TCP-AO            hmac-sha1-96, SendID 7, RecvID 255, TCP options not covered\n" in out
    assert "At our port       21 good, 2 bad; of all neighbors 3 of an unknown id, 4 without TCP-AO\n" in out
    assert "  TCP-AO\n    Key in use      SendID 7, RecvID 255\n" \
           "    Segments        21 good, 2 bad; 3 of an unknown id, 4 without TCP-AO\n" in out
    del configured["listener"]
    assert "At our port" not in ctl("show", "neighbor", "192.0.2.2", answer=show(one)).stdout


LEGS = {"buffered": 4096,
        "outer": {"local": "192.0.2.1", "local_port": 40001, "peer": "192.0.2.2", "peer_port": 8179, "rtt_us": 1234,
                  "retransmits": 2, "mss": 1448, "unacked": 19, "blocked_ms": 1500},
        "inner": {"local": "192.0.2.2", "local_port": 179, "peer": "192.0.2.1", "peer_port": 179, "retransmits": 0,
                  "mss": 65483, "unacked": 0, "blocked_ms": 0}}


def test_show_session(ctl, server):
    answer = show(dict(UP, sessions=[session(**LEGS), session(id=18, direction="in")]), dict(CLEAR, sessions=[
        session(id=17, worker=1, transport="clear", state="clear", tls=None)]))
    out = ctl("show", "session", answer=answer).stdout
    assert server.requests == [{"command": "show"}]
    assert out == f"""\
Neighbor   ID  Dir  State  BGP            For     Rcvd     Sent  TLS
192.0.2.2  17  out  up     established  {AGO}  1.23 kB  1.23 kB  TLSv1.3
192.0.2.2  18  in   up     established  {AGO}  1.23 kB  1.23 kB  TLSv1.3
192.0.2.9  17  out  clear  established  {AGO}  1.23 kB  1.23 kB  CLEAR

3 sessions
"""
    out = ctl("show", "session", "17").stdout
    assert f"""\
Session 17 of 192.0.2.2, our daemon connected, worker 0
  State             up for {AGO}, since 2020-01-02 03:04:05
  BGP               established, established since 2020-01-02 03:04:07
  Connection        192.0.2.1 port 40001 to 192.0.2.2 port 8179, tls
  Buffered          4096 bytes wait in botlsd
  Outer connection, with the neighbor
    TCP             192.0.2.1 port 40001 to 192.0.2.2 port 8179
    Round trip      1.234 ms
    Retransmits     2 segments; MSS 1448
    Unacknowledged  19 bytes
    BLOCKED         for 1.5 s it has not taken what waits for it
  Inner connection, with our daemon (as the neighbor)
    TCP             192.0.2.2 port 179 to 192.0.2.1 port 179
    Retransmits     0 segments; MSS 65483
    Unacknowledged  0 bytes
  TLS
    Version         TLSv1.3,""" in out
    assert "\n\nSession 17 of 192.0.2.9, our daemon connected, worker 1\n" in out
    assert "Session 18" not in out
    assert [(s["neighbor"], s["id"]) for s in json.loads(ctl("show", "session", "17", "-j").stdout)["sessions"]] == [
        ("192.0.2.2", 17), ("192.0.2.9", 17)]
    assert len(json.loads(ctl("show", "session", "-j").stdout)["sessions"]) == 3


def test_show_session_of_a_neighbor(ctl, server):
    out = ctl("show", "session", "192.0.2.2", answer=show(UP)).stdout
    assert server.requests == [{"command": "show", "neighbor": "192.0.2.2"}]
    assert out.startswith("Session 17 of 192.0.2.2, our daemon")
    assert "no session 5; 'botlsctl show session' lists them" in ctl("show", "session", "5", code=1).stderr
    assert json.loads(ctl("show", "session", "5", "-j", code=1).stdout) == {"ok": True, "sessions": []}
    assert "has no session; 'botlsctl show neighbor" in ctl("show", "session", "2001:db8::5", answer=show(HELD),
                                                            code=1).stderr


def test_framing_error_is_shown(ctl):
    s = session(**{"in": stream(64500, "192.0.2.2", framing_error="length 5 is under 19")})
    out = ctl("show", "neighbor", "192.0.2.2", answer=show(dict(UP, sessions=[s]))).stdout
    assert "FRAMING ERROR   length 5 is under 19\n" in out


def test_every_reason_has_advice(ctl):
    source = (ROOT / "lib/tls_reason_name.c").read_text()
    reasons = [r for r in re.findall(r"case TLS_REASON_\w+: return \"([a-z-]+)\"", source) if r != "none"]
    assert len(reasons) >= 18
    for reason in reasons:
        failed = dict(HELD, last_failure=dict(HELD["last_failure"], reason=reason))
        assert "What to do " in ctl("show", "neighbor", "2001:db8::5", answer=show(failed)).stdout, reason


def test_addresses_are_normalised(ctl, server):
    ctl("show", "neighbor", "2001:DB8:0::5", answer=show(HELD))
    ctl("reset", "FE80::1%eth0", answer={"ok": True, "sessions": 0})
    assert [r["neighbor"] for r in server.requests] == ["2001:db8::5", "fe80::1%eth0"]


def test_unknown_neighbor(ctl):
    assert "no neighbor 192.0.2.99" in ctl("show", "neighbor", "192.0.2.99", answer=show(), code=1).stderr


def test_control_characters_do_not_reach_the_terminal(ctl):
    evil = neighbor("192.0.2.2", "off", description="\x1b]0;owned\x07\u009b31m\x7f")
    for arguments in (["show"], ["show", "neighbor", "192.0.2.2"], ["show", "--json"]):
        out = ctl(*arguments, answer=show(evil)).stdout
        assert not re.search("[\x00-\x09\x0b-\x1f\x80-\x9f]", out), arguments


def test_steering(ctl, server):
    items = [{"kind": "program", "name": "connect4", "state": "ok", "detail": ""},
             {"kind": "neighbor", "name": "192.0.2.2", "state": "ok", "detail": "own 192.0.2.1 -> port 979"}]
    answer = {"ok": True, "mechanism": "cgroup", "agrees": True, "items": items,
              "counters": {"connects_steered": 12, "guard_in": 0}}
    assert ctl("steering", answer=answer).stdout == """\
Steering by cgroup

Kind      Name       State  Detail
program   connect4   ok
neighbor  192.0.2.2  ok     own 192.0.2.1 -> port 979

Counters
  connects_steered  12
  guard_in           0

The kernel agrees: 2 objects.
"""
    assert server.requests == [{"command": "steering"}]


def test_steering_disagrees(ctl):
    answer = {"ok": True, "mechanism": "route", "agrees": False, "counters": {},
              "items": [{"kind": "rule", "name": "inet", "state": "missing", "detail": "removed by somebody"}]}
    out = ctl("steering", answer=answer, code=1).stdout
    assert "rule  inet  missing  removed by somebody\n" in out
    assert "THE KERNEL DOES NOT AGREE: 1 of 1 objects are not as they should be.\n" in out
    assert json.loads(ctl("steering", "--json", answer=answer, code=1).stdout) == answer


def test_steering_details_are_never_cut(ctl):
    detail = "what is wrong " * 10
    item = {"kind": "kernel", "name": "n" * 80, "state": "differs", "detail": detail}
    answer = {"ok": True, "mechanism": "route", "agrees": False, "counters": {}, "items": [item]}
    assert f"kernel  {80 * 'n'}  differs  {detail}\n" in ctl("steering", answer=answer, code=1).stdout


PLAN = {"ok": True, "applied": True, "keep": 10, "change": 2, "add": 1, "drop": 1, "resets": 2,
        "items": [{"neighbor": "192.0.2.2", "action": "change", "resets": True, "changed": "mode, tls-port"},
                  {"neighbor": "192.0.2.3", "action": "change", "resets": False, "changed": "description"},
                  {"neighbor": "192.0.2.5", "action": "add", "resets": False, "changed": ""},
                  {"neighbor": "192.0.2.6", "action": "drop", "resets": True, "changed": ""}],
        "globals_changed": "log-level"}


def test_reload(ctl, server):
    assert ctl("reload", answer=PLAN).stdout == """\
  ~ 192.0.2.2: mode, tls-port  ** RESETS THE SESSION **
  ~ 192.0.2.3: description
  + 192.0.2.5
  - 192.0.2.6  ** RESETS THE SESSION **
  ~ global: log-level
1 added, 1 dropped, 2 changed, 10 kept; sessions of 2 neighbors are reset
Applied.
"""
    assert server.requests == [{"command": "reload", "dry_run": False}]


@pytest.mark.parametrize("arguments", [["reload", "--dry-run"], ["-n", "rel"]])
def test_reload_dry_run(ctl, server, arguments):
    out = ctl(*arguments, answer=dict(PLAN, applied=False, resets=0, items=[], globals_changed="")).stdout
    assert out == "1 added, 1 dropped, 2 changed, 10 kept; no session would be reset\nNothing was changed.\n"
    assert server.requests == [{"command": "reload", "dry_run": True}]


def test_reload_refused(ctl):
    answer = {"ok": False, "error": "the configuration has 2 errors; nothing was changed",
              "hint": "botlsd -n checks it", "errors": [
                  {"where": "/etc/botls/botlsd.conf:3", "text": "no such option 'foo'"},
                  {"where": "/etc/botls/neighbors.d/a.conf:1", "text": "neither ca nor pins"}]}
    result = ctl("reload", answer=answer, code=1)
    assert result.stdout == ""
    assert result.stderr == """\
botlsctl: the configuration has 2 errors; nothing was changed
botlsctl: /etc/botls/botlsd.conf:3: no such option 'foo'
botlsctl: /etc/botls/neighbors.d/a.conf:1: neither ca nor pins
botlsctl: botlsd -n checks it
"""
    assert json.loads(ctl("reload", "--json", code=1).stdout) == answer


def test_reset(ctl, server):
    assert ctl("reset", "192.0.2.2", answer={"ok": True, "sessions": 2}).stdout == "2 sessions of 192.0.2.2 ended\n"
    assert ctl("reset", "192.0.2.2", answer={"ok": True, "sessions": 1}).stdout == "1 session of 192.0.2.2 ended\n"
    assert ctl("reset", "192.0.2.2", answer={"ok": True, "sessions": 0}).stdout == "192.0.2.2 has no session\n"
    assert server.requests[0] == {"command": "reset", "neighbor": "192.0.2.2"}


def test_log_level(ctl, server):
    answer = {"ok": True, "level": "debug"}
    for arguments in (["log", "level"], ["log", "level", "debug"], ["l", "l", "d"]):
        assert ctl(*arguments, answer=answer).stdout == "log level debug\n"
    assert server.requests == [{"command": "log-level"}] + 2 * [{"command": "log-level", "level": "debug"}]


def test_json_is_the_answer(ctl):
    answer = show(UP, HELD)
    for arguments in (["--json", "show"], ["show", "-j"]):
        assert json.loads(ctl(*arguments, answer=answer).stdout) == answer


def test_short_commands(ctl, server):
    ctl("sh", "n", "192.0.2.2", answer=show(UP))
    assert server.requests == [{"command": "show", "neighbor": "192.0.2.2"}]


@pytest.mark.parametrize("arguments, message", [
    ([], "Usage: botlsctl"),
    (["s"], "command 's' is ambiguous: show, steering"),
    (["re", "192.0.2.2"], "ambiguous: reload, reset"),
    (["frob"], "unknown command 'frob'"),
    ([""], "unknown command ''"),
    (["show", "neighbor"], "usage: botlsctl show [neighbor ADDRESS]"),
    (["show", "state", "loud"], "a state is one of up, draining, clear, handshake, connecting, held, idle, off, error, not-up"),
    (["show", "mode"], "usage: botlsctl show"),
    (["show", "session", "99999999999999999999"], "there is no such number"),
    (["watch", "session"], "usage: botlsctl watch"),
    (["watch", "-i", "0"], "--interval 0: seconds from 0.1 to 3600"),
    (["watch", "--count", "x"], "--count x: a number"),
    (["show", "--count", "3"], "show has no --interval and --count"),
    (["show", "--color", "blue"], "--color blue: it is one of auto, always, never"),
    (["show", "neighbor", "x"], "'x' is not an IPv4 or IPv6 address"),
    (["show", "frob", "192.0.2.2"], "unknown argument 'frob'"),
    (["show", "neighbor", "fe80::1"], "name its interface"),
    (["reset"], "usage: botlsctl reset ADDRESS"),
    (["reset", "192.0.2.2", "192.0.2.3"], "usage: botlsctl reset ADDRESS"),
    (["reload", "now"], "usage: botlsctl reload"),
    (["steering", "x"], "usage: botlsctl steering"),
    (["log"], "usage: botlsctl log level"),
    (["log", "level", "loud"], "unknown log level 'loud'"),
    (["version", "x"], "usage: botlsctl version"),
    (["--dry-run", "reset", "192.0.2.2"], "reset has no --dry-run"),
    (["--frob", "show"], "frob"),
])
def test_usage(ctl, server, arguments, message):
    result = ctl(*arguments, code=2)
    assert message in result.stderr
    assert result.stdout == ""
    assert server.requests == []


def test_help_and_version():
    for arguments in (["help"], ["-h"], ["--help"]):
        result = run(*arguments)
        assert result.returncode == 0
        for command in ("show", "watch", "doctor", "steering", "reload", "reset", "log", "version"):
            assert f"\n  {command} " in result.stdout
        assert all(len(line) <= 80 for line in result.stdout.splitlines())
    version = re.search(r'BOTLS_VERSION "(.*)"', (ROOT / "include/botls/botls.h").read_text())[1]
    assert run("version").stdout == run("-V").stdout == f"botlsctl {version}\n"
    assert json.loads(run("--json", "version").stdout) == {"version": version}


def test_no_daemon(tmp_path):
    path = tmp_path / "control"
    result = run("-s", str(path), "show")
    assert result.returncode == 3
    assert f"no control socket at {path}: is botlsd running" in result.stderr


def test_dead_daemon(tmp_path):
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
    result = run("-s", str(path), "show")
    assert result.returncode == 3
    assert f"nobody answers at {path}" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_no_permission(server, tmp_path):
    os.chmod(tmp_path / "control", 0o600)
    directory = tmp_path
    while directory != directory.parent:
        os.chmod(directory, os.stat(directory).st_mode | 0o011) if directory.owner() == "root" else None
        directory = directory.parent
    # The tree may be where nobody else may look.
    program = shutil.copy(BOTLSCTL, tmp_path)
    result = run("-s", str(tmp_path / "control"), "show", program=program, user=65534)
    assert result.returncode == 3
    assert "be root, or a member of the control-group" in result.stderr


def test_path_too_long():
    result = run("-s", "/" + "x" * 200, "show")
    assert result.returncode == 3
    assert "too long" in result.stderr


@pytest.mark.parametrize("answer, message", [
    (b"", "closed the connection without an answer"),
    (b'{"ok": true', "closed the connection without an answer"),
    (b"hello\n", "not understood: not JSON"),
    (b"[]\n", "not understood: expected an object"),
    (b"{}\n", "not understood: ok: missing"),
    (b'{"ok": 1}\n', "not understood: ok: expected true or false"),
    (b'{"ok": true, "neighbors": 1}\n', "not understood: neighbors: expected an array"),
    (b'{"ok": true, "neighbors": [{"name": "192.0.2.2"}]}\n', "not understood: neighbors[0].state: missing"),
    (b'{"ok": true, "neighbors": [{"name": "192.0.2.2", "state": "up", "since": "x"}]}\n',
     "not understood: neighbors[0].since: expected an integer"),
])
def test_answers_that_are_none(ctl, answer, message):
    assert message in ctl("show", answer=answer, code=3).stderr


@pytest.mark.parametrize("arguments, message", [
    (["steering"], "agrees: missing"), (["reload"], "drop: missing"),
    (["reset", "192.0.2.2"], "sessions: missing"), (["log", "level"], "level: missing"),
])
def test_answers_that_lack_something(ctl, arguments, message):
    assert message in ctl(*arguments, answer={"ok": True, "add": 1}, code=3).stderr


def test_refusal(ctl):
    result = ctl("show", answer={"ok": False, "error": "not allowed", "hint": "be root"}, code=1)
    assert result.stderr == "botlsctl: not allowed\nbotlsctl: be root\n"


def test_large_answer(ctl):
    answer = show(*[dict(UP, name=f"10.{i >> 8}.{i & 255}.1") for i in range(3000)])
    assert "3000 neighbors: 3000 up\n" in ctl("show", answer=answer).stdout


def test_silence_ends_after_ten_seconds(tmp_path):
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        begin = time.monotonic()
        result = run("-s", str(path), "show")
    assert result.returncode == 3
    assert "no answer from botlsd within 10 seconds" in result.stderr
    assert 9.5 < time.monotonic() - begin < 15


def test_full_disk(ctl):
    with open("/dev/full", "w", encoding="ascii") as full:
        result = ctl("show", answer=show(UP), stdout=full, code=1)
    assert "cannot write the output" in result.stderr


def test_doctor_without_botlsd(tmp_path):
    """What it finds depends on the machine; how it says it does not."""
    words = ["-s", str(tmp_path / "none"), "-c", str(tmp_path / "none.conf"), "doctor"]
    result = run(*words)
    assert result.returncode == 1 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "botlsd" and lines[1].startswith("  FAIL  botlsd          not reached: no control socket")
    assert all(len(line) <= 80 or " " not in line[24:] for line in lines)
    assert any(line.startswith("  FAIL  configuration   ") for line in lines)
    assert any(line.startswith("                     -> start it ('systemctl start botlsd')") for line in lines)
    answer = json.loads(run("--json", *words).stdout)
    assert answer["ok"] is False and answer["results"][0]["check"] == "botlsd"
    assert len(answer["results"]) == answer["passed"] + answer["warnings"] + answer["failures"]
    assert re.fullmatch(f"{answer['failures']} failures?, {answer['warnings']} warnings?, {answer['passed']} ok", lines[-1])


def test_doctor_lists_what_is_wrong_with_the_configuration(tmp_path):
    conf = tmp_path / "botlsd.conf"
    conf.write_text('neighbor "192.0.2.2" {\n  frob = 1\n}\n')
    out = run("-s", str(tmp_path / "none"), "-c", str(conf), "doctor", width=0).stdout
    assert re.search(f"FAIL  configuration   {conf}:2: .*frob", out)


def test_doctor_asks_without_changing(server, tmp_path):
    server.answer = show(UP)
    run("-s", str(tmp_path / "control"), "-c", str(tmp_path / "none.conf"), "doctor")
    assert server.requests == [{"command": "show"}, {"command": "steering"}, {"command": "reload", "dry_run": True}]


def test_doctor_counts_tcp_ao_alone_apart(server, tmp_path):
    conf = tmp_path / "botlsd.conf"
    conf.touch(mode=0o600)
    conf.write_text('neighbor "192.0.2.2" {\n  mode = tcp-ao\n  tcp-ao = static\n  tcp-ao-key = "secret"\n}\n')
    server.answer = show({"name": "192.0.2.2", "state": "clear"})
    out = run("-s", str(tmp_path / "control"), "-c", str(conf), "doctor", width=0).stdout
    assert "1 up with TCP-AO alone (mode = tcp-ao)" in out and "over TLS" not in out
