# SPDX-License-Identifier: Apache-2.0
"""From TCP-AO key to key while both directions are full, compared byte by byte. With TCP-AO: make check-vm."""

import hashlib
import socket
import struct
import threading

import pytest

from harness.scene import Scene
from harness.wait import wait_until
from test_tcp_ao import EXPORTER, needs_ao

BGP = 179
MARKER = b"\xff" * 16
UPDATE = 2
BLOCK = 3000
OPEN = MARKER + struct.pack("!HBBHH4sB", 29, 1, 4, 64500, 90, bytes([192, 0, 2, 1]), 0)
ONE = {"chain": "x", "secret": "the first secret", "send-id": 1, "recv-id": 1}
TWO = {"chain": "x", "secret": "the second secret", "send-id": 2, "recv-id": 2, "algorithm": "hmac-sha256-96"}


class End:
    """A daemon that sends messages of which no two are alike until it is told to stop, and reads as many."""

    def __init__(self, sock):
        self.sock = sock
        self.stop = threading.Event()
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.n_sent = self.n_received = 0
        self.total = None  # of the other end, once that is known
        self.error = None
        self.threads = [threading.Thread(target=self._run, args=(f,), daemon=True) for f in (self._send, self._receive)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def _run(self, function):
        try:
            function()
        except OSError as e:
            self.error = e

    def _send(self):
        fill = bytes(i * 7 & 255 for i in range(BLOCK))
        self._put(OPEN)
        for number in range(1 << 40):
            if self.stop.is_set():
                break
            body = struct.pack("!Q", number) + fill[number % BLOCK:] + fill[:number % BLOCK]
            self._put(MARKER + struct.pack("!HB", 19 + len(body), UPDATE) + body)

    def _put(self, data):
        self.sock.sendall(data)
        self.sent.update(data)
        self.n_sent += len(data)

    def _receive(self):
        while self.total is None or self.n_received < self.total:
            try:
                data = self.sock.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                raise ConnectionError("the other end is gone")
            self.received.update(data)
            self.n_received += len(data)


def ends(scene):
    """A connection through both botlsd, from the port 179 of the one to that of the other."""
    def listen():
        s = socket.create_server((scene.address_b, BGP))
        s.settimeout(60)
        return s

    with scene.b.ns.call(listen) as listener:
        one = scene.a.ns.call(lambda: socket.create_connection((scene.address_b, BGP), 60, (scene.address_a, 0)))
        two, peer = listener.accept()
    assert peer[0] == scene.address_a
    one.settimeout(1)
    two.settimeout(1)
    return End(one), End(two)


def full(scene, pair, until):
    """Both directions are full until then; each byte has arrived as it was sent."""
    for end in pair:
        end.start()
    wait_until(lambda: min(end.n_received for end in pair) > 100000, 60, "bytes flow")
    until()
    before = [end.n_received for end in pair]
    wait_until(lambda: any(end.error for end in pair) or all(end.n_received > n + 100000 for end, n in zip(pair, before)),
               60, "bytes still flow")
    for end in pair:
        end.stop.set()
    for end, other in (pair, pair[::-1]):
        end.threads[0].join(60)
        other.total = end.n_sent
    for end in pair:
        end.threads[1].join(120)
        assert not end.error and not any(t.is_alive() for t in end.threads)
    for end, other in (pair, pair[::-1]):
        assert end.n_sent == other.n_received and end.sent.digest() == other.received.digest()
    for side in scene.sides:
        ao = side.shim.sessions(scene.other(side).addresses[0])[0]["tcp_ao"]
        assert not ao["bad"] + ao["required"]


@needs_ao
def test_derived_keys(lab, pki):
    scene = Scene(lab, pki, options={**EXPORTER, "tcp-ao-rekey": 10}, options_a={"role": "connect"})
    pair = ends(scene)

    def until():
        for side in scene.sides:
            wait_until(lambda: side.shim.sessions(scene.other(side).addresses[0])[0]["tcp_ao"]["generation"] >= 4, 120,
                       "three times another key")

    full(scene, pair, until)


@needs_ao
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["connecting side first", "accepting side first"])
def test_chain(lab, pki, order):
    """A key comes on one side and then on the other, and the old one goes."""
    scene = Scene(lab, pki, options={"tcp-ao": "static", "tcp-ao-chain": "x"}, options_a={"role": "connect"}, start=False)
    for side in scene.sides:
        side.shim.keys = {"one": ONE}
    scene.start_shims()
    pair = ends(scene)

    def until():
        for keys in {"one": ONE, "two": {**TWO, "send-from": "2020-01-01"}}, {"two": TWO}:
            for i in order:
                side = scene.sides[i]
                side.shim.keys = keys
                side.shim.write_config()
                assert side.shim.reload()["applied"]
            for side in scene.sides:
                wait_until(lambda: side.shim.sessions(scene.other(side).addresses[0])[0]["tcp_ao"]["send_id"] == 2, 60,
                           "the new key is in use")

    full(scene, pair, until)
