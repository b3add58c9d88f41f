# SPDX-License-Identifier: Apache-2.0
"""Bad input from the wire: docs/bad-input.md has the whole list. A good session runs beside every case."""

import itertools
import random
import socket
import threading
import time

import pytest

from harness import rawtls as t
from harness.badstage import (KEEPALIVE, MARKER, BadStage, Undisturbed, bgp, bgp_open, in_parallel)
from harness.botlsd import TLS_PORT
from harness.wait import SLOW, wait_until

TIMEOUT = 3 * SLOW  # s: handshake-timeout
STRANGER = "10.0.200.1"
VERSIONS = pytest.mark.parametrize("version", [t.TLS13, t.TLS12], ids=["tls13", "tls12"])


@pytest.fixture(scope="module")
def stage(module_lab, pki):
    made = BadStage(module_lab, pki, 120, {"handshake-timeout": TIMEOUT, "user-timeout": 10}, handshake_rate=20)
    made.c.ns.ip(f"addr add {STRANGER}/16 dev eth0")
    return made


def until_end(sock):
    """What still comes, until FIN or RST."""
    received = b""
    try:
        while data := sock.recv(65536):
            received += data
    except (ConnectionResetError, BrokenPipeError):
        pass
    return received


def send_until_end(sock, pieces, pause=0):
    """Bytes sent until the other end had enough."""
    sent = 0
    try:
        for piece in pieces:
            sock.sendall(piece)
            sent += len(piece)
            if pause:
                time.sleep(pause)
    except (ConnectionResetError, BrokenPipeError):
        return sent
    return sent


# --- in place of a ClientHello

_noise = random.Random(4)
IN_PLACE = {
    "noise": _noise.randbytes(3000),
    "noise after a record header": b"\x16\x03\x01\x01\x00" + _noise.randbytes(256),
    "zeros": bytes(3000),
    "ones": b"\xff" * 3000,
    "http": b"GET / HTTP/1.1\r\nHost: router\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "bgp open": bgp_open("10.0.0.9"),
    "bgp keepalive": KEEPALIVE,
    "bgp notification": bgp(3, b"\6\2"),
    "bgp cut": MARKER[:7],
    "a TLS record of length 0": b"\x16\x03\x01\x00\x00" * 100,
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
}


@pytest.mark.parametrize("how", ["whole", "byte by byte"])
def test_something_else_than_a_hello(stage, module_lab, how):
    def one(item):
        address, (name, data) = item
        pieces = [data] if how == "whole" else [data[i:i + 1] for i in range(min(len(data), 400))]
        with stage.connect(address) as sock:
            send_until_end(sock, pieces)
            assert MARKER not in until_end(sock)
        last = stage.failure(address)
        assert last["direction"] == "in" and last["text"], last
        if name.startswith("bgp"):
            assert last["reason"] == "not-tls" and ("BGP" in last["text"] or how != "whole"), last
        elif name in ("http", "ssh", "zeros", "ones", "noise", "an alert"):
            assert last["reason"] == "not-tls", last

    with Undisturbed(stage):
        in_parallel(one, [(stage.address(), case) for case in IN_PLACE.items()])


def test_a_good_hello_in_fragments_is_taken(stage, module_lab):
    """Segments of one byte are slow, not wrong."""
    def hook(name, m):
        return [t.Raw(b) for b in map(bytes, zip(t.record(t.HANDSHAKE, m)))] if name == "ClientHello" else [m]

    with Undisturbed(stage):
        client = stage.client(stage.address())
        client.hook = lambda name, m: _told(client, m, hook(name, m))
        with client.handshake().sock:
            assert client.read().startswith(MARKER)


def _told(client, m, items):
    if isinstance(items[0], t.Raw):
        client.transcript += m
    return items


def test_a_hello_that_never_ends(stage, module_lab):
    """However long it says it is, and however slowly it comes: bounded in bytes and in time."""
    def at_full_speed(address, length):
        head = t.record(t.HANDSHAKE, b"\1" + length.to_bytes(3, "big") + bytes(16000))
        with stage.connect(address) as sock:
            sent = send_until_end(sock, itertools.chain([head], itertools.repeat(t.record(t.HANDSHAKE, bytes(16384)), 4000)))
            until_end(sock)
        assert sent < 16 << 20, f"{sent} bytes were taken"  # what the sockets hold, and no 64 MB
        assert stage.failure(address)["reason"] in ("protocol", "reset"), stage.failure(address)

    def slowly(address):
        head = t.record(t.HANDSHAKE, b"\1\1\0\0" + bytes(100))
        with stage.connect(address) as sock:
            send_until_end(sock, itertools.chain([head], itertools.repeat(t.record(t.HANDSHAKE, b"\0"), 600)), pause=0.05)
            until_end(sock)
        assert stage.failure(address)["reason"] == "timeout"

    with Undisturbed(stage):
        in_parallel(lambda job: job(), [
            *(lambda a=stage.address(), n=n: at_full_speed(a, n) for n in (0xffffff, 200000)),
            lambda a=stage.address(): slowly(a)])


STEPS = {"client": {t.TLS13: ("ClientHello", "Certificate", "CertificateVerify", "Finished"),
                    t.TLS12: ("ClientHello", "Certificate", "ClientKeyExchange", "CertificateVerify", "Finished")},
         "server": {t.TLS13: ("ServerHello", "EncryptedExtensions", "Certificate", "CertificateVerify", "Finished"),
                    t.TLS12: ("ServerHello", "Certificate", "ServerKeyExchange", "ServerHelloDone", "Finished")}}


def test_slow_at_every_step(stage, module_lab):
    """One byte at a time, always before any timer of TCP: the deadline is for the whole handshake."""
    def drip(end, m):
        for i in range(len(m) - 1):
            end.flush()
            try:
                end.send_record(t.HANDSHAKE, m[i:i + 1])
                end.flush()
            except OSError:
                break
            time.sleep(0.25 * SLOW if i > 2 else 0)
        return []

    def one(case):
        address, role, version, step = case
        end = None

        def hook(name, m):
            return drip(end, m) if name == step else [m]

        if role == "client":
            end = stage.client(address, version, hook)
            with end.sock:
                _give_up(end)
        else:
            with t.listen(stage.c.ns, address, TLS_PORT) as listener, stage.dial(address):
                s, _ = listener.accept()
                with s:
                    s.settimeout(20 * SLOW)
                    end = t.Server(s, stage.identity, version, hook)
                    _give_up(end)
        last = stage.failure(address)
        assert last["reason"] == "timeout" and f"{TIMEOUT} s" in last["text"], last

    def _give_up(end):
        try:
            end.handshake()
            end.read_until_end()
        except (t.Alert, t.Closed, OSError):
            pass

    # ServerHelloDone has four bytes, the Finished of 1.2 sixteen: dripping must outlast the deadline.
    cases = [(stage.address(), role, version, step) for role, versions in STEPS.items()
             for version, steps in versions.items() for step in steps if step != "ServerHelloDone"]
    with Undisturbed(stage):
        in_parallel(one, cases)


# --- floods (those that take longer: tests/long/test_flood.py)

def test_connect_flood_from_a_neighbor(stage, module_lab):
    """Above handshake-rate its connections are reset, told in a few lines, and nobody else is held up."""
    address = stage.address()
    before = stage.shim.show().get("unknown_sources", {}).get("count", 0)
    lines = stage.shim.log().count("handshake-rate")
    with Undisturbed(stage) as cost:
        end = time.monotonic() + 2
        count = 0
        while time.monotonic() < end and count < 2000:
            try:
                stage.connect(address).close()
            except (ConnectionResetError, BrokenPipeError):
                pass
            count += 1
        cost.look()
    refused = stage.shim.show()["unknown_sources"]["count"] - before
    assert refused >= count - 20 * 4, f"{refused} of {count} refused"
    assert 1 <= stage.shim.log().count("handshake-rate") - lines < 30


def test_connect_flood_from_strangers(stage, module_lab):
    before = stage.shim.show().get("unknown_sources", {}).get("count", 0)
    lines = stage.shim.log().count("not a configured neighbor")
    with Undisturbed(stage) as cost:
        for _ in range(500):
            try:
                with stage.connect(STRANGER) as sock:
                    assert until_end(sock) == b""
            except ConnectionResetError:
                pass  # so soon
        cost.look()
    unknown = stage.shim.show()["unknown_sources"]
    assert unknown["count"] - before >= 500 and unknown["last"] == STRANGER
    assert stage.shim.log().count("not a configured neighbor") - lines < 30

    def is_told():
        # the lines of the flood before this one may have used up what the log lets through
        try:
            stage.connect(STRANGER).close()
        except ConnectionResetError:
            pass
        return stage.shim.log().count("not a configured neighbor") > lines

    wait_until(is_told, 20, "it is told")


def test_silent_connections_hold_no_more_than_they_may(stage, module_lab):
    """A neighbor's sessions at once are counted; the rest is refused and told, the deadline clears them."""
    address = stage.address()
    sockets = []
    with Undisturbed(stage):
        for _ in range(16):
            try:
                sockets.append(stage.connect(address))
            except ConnectionResetError:
                pass
        wait_until(lambda: stage.shim.failures(address).get("refused", 0) >= 8, 10, "the ninth is refused")
        assert len(stage.shim.neighbor(address)["sessions"]) <= 8
        assert "too many sessions" in stage.failure(address)["text"]
        for sock in sockets:
            until_end(sock)
            sock.close()
        wait_until(lambda: not stage.shim.neighbor(address)["sessions"], 10, "the deadline clears them")
        assert stage.shim.failures(address)["timeout"] >= 1


# --- in a session

def ended(stage, address):
    """The line that says how its session ended."""
    def line():
        return next((x for x in reversed(stage.shim.log().splitlines())
                     if f"neighbor {address}: session" in x and " ended: " in x), None)

    return wait_until(line, 15, f"the session of {address} has ended").partition(" ended: ")[2]


def test_renegotiation(stage, module_lab):
    """TLS 1.2, asked for by either side: refused, and the session goes on or ends with a reason."""
    with Undisturbed(stage):
        client = stage.session(stage.address(), t.TLS12)
        with client.sock:
            client.renegotiate()
            end = client.read_until_end()
        assert str(end) in ("no_renegotiation", "handshake_failure"), end
        address = stage.address()
        with t.listen(stage.c.ns, address, TLS_PORT) as listener, stage.dial(address) as daemon:
            s, _ = listener.accept()
            with s:
                server = t.Server(s, stage.identity, t.TLS12).handshake()
                server.send_record(t.HANDSHAKE, t.message(t.HELLO_REQUEST, b""))
                daemon.sendall(KEEPALIVE)
                try:
                    data = server.read()
                except t.Alert as alert:
                    assert str(alert) == "no_renegotiation" and alert.level == 1, alert
                    data = server.read()
                assert data == KEEPALIVE, "the session goes on"


def test_key_update_flood(stage, module_lab):
    """Thousands of them, with and without asking for ours, and not reading what comes."""
    def one(case):
        address, request, reads = case
        client = stage.session(address)
        with client.sock:
            stop = threading.Event()
            reader = threading.Thread(target=_read_all, args=(client, stop), daemon=True)
            if reads:
                reader.start()
            try:
                for _ in range(600):
                    client.key_update(request)
            except OSError:  # given up: fine, as long as nothing else suffers
                return
            client.send(KEEPALIVE)
            if reads:
                wait_until(lambda: stage.shim.sessions(address)[0]["in"]["bytes"] >= 29 + 2 * 19, 30, "it goes on")
            stop.set()

    with Undisturbed(stage):
        in_parallel(one, [(stage.address(), request, reads) for request in (0, 1) for reads in (True, False)])


def _read_all(client, stop):
    try:
        while not stop.is_set():
            client.read()
    except (t.Alert, t.Closed, OSError, ValueError):
        pass


@VERSIONS
def test_records_without_bytes(stage, module_lab, version):
    """They are legal; OpenSSL takes a few in a row and then calls it an attack."""
    address = stage.address()
    with Undisturbed(stage):
        client = stage.session(address, version)
        with client.sock:
            try:
                for _ in range(20):
                    client.send(b"")
                client.send(KEEPALIVE)
                for _ in range(5000):
                    client.send(b"")
            except OSError:
                pass
            end = client.read_until_end()
        assert isinstance(end, t.Closed) or str(end) == "unexpected_message", end
        assert "record" in ended(stage, address) or "TLS" in ended(stage, address)


LENGTHS = [0, 1, 18, 19, 22, 4097, 65535]


def test_bgp_lengths(stage, module_lab):
    """Passed on as they are: it is the daemon that answers, and its answer that arrives."""
    def one(case):
        address, length = case
        client = stage.session(address)
        with client.sock:
            # an UPDATE; 19 to 22 is too short for one, above 4,096 too long
            client.send(bgp(2, bytes(4), length=length))
            received = b""
            try:
                while True:
                    received += client.read()
            except (t.Alert, t.Closed):
                pass
        at = received.rindex(MARKER)
        assert received[at + 18] == 3 and received[at + 19] in (1, 3), received[at:]
        last = wait_until(lambda: stage.shim.neighbor(address).get("last_notification"), 10, "it is told")
        assert last["direction"] == "out" and last["code"] in (1, 3), last

    with Undisturbed(stage):
        in_parallel(one, [(stage.address(), length) for length in LENGTHS])


def test_bytes_after_a_notification(stage, module_lab):
    address = stage.address()
    with Undisturbed(stage):
        client = stage.session(address)
        with client.sock:
            try:
                client.send(bgp(3, b"\6\2\x07goodbye") + bgp_open(address))
                for _ in range(200):
                    client.send(bgp(2, bytes(4)) * 200)
            except OSError:
                pass
            client.read_until_end()
        last = wait_until(lambda: stage.shim.neighbor(address).get("last_notification"), 10, "it is told")
        assert (last["code"], last["subcode"], last["direction"]) == (6, 2, "in") and "goodbye" in last["text"]
        ended(stage, address)


def test_a_peer_that_stops_reading(stage, module_lab):
    """The daemon feels it as back pressure, memory stays what it was, and user-timeout ends it."""
    address = stage.address()
    with Undisturbed(stage) as cost:
        with t.listen(stage.c.ns, address, TLS_PORT) as listener, stage.dial(address) as daemon:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            s, _ = listener.accept()
            with s:
                t.Server(s, stage.identity).handshake()
                daemon.settimeout(1)
                sent = 0
                with pytest.raises(TimeoutError):
                    while sent < 64 << 20:
                        sent += daemon.send(bgp(2, bytes(4)) * 1000)
                cost.look()
                daemon.settimeout(40 * SLOW)
                with pytest.raises((ConnectionResetError, BrokenPipeError, TimeoutError)) as how:
                    while True:
                        daemon.sendall(KEEPALIVE * 100)
                assert not isinstance(how.value, TimeoutError), "it is never given up"
        assert "timed out" in ended(stage, address)
