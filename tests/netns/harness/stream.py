# SPDX-License-Identifier: Apache-2.0
"""Daemons that are nothing but a stream: whole BGP messages of random content, in both directions at once, compared to the
last byte, with the longest pause that the receiver saw."""

import hashlib
import os
import random
import socket
import struct
import threading
import time

from .wait import wait_until

PORT = 179
MARKER = b"\xff" * 16
UPDATE = 2


def messages(chance):
    """For ever: a buffer of some messages, of every length that there is."""
    while True:
        yield b"".join(MARKER + struct.pack("!HB", n, UPDATE) + chance.randbytes(n - 19)
                       for n in (chance.choice((23, chance.randint(23, 4096))) for _ in range(chance.randint(1, 8))))


class Way:
    """From one socket to the other; `rate` is in bytes per second, 0: as fast as it goes."""

    def __init__(self, source, sink, rate):
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.n_sent = self.n_received = 0
        self.longest_pause = 0
        self.error = None
        self.source, self.sink, self.rate = source, sink, rate
        self._is_stopping = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(f,), daemon=True) for f in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _guard(self, function):
        try:
            function()
        except OSError as e:
            self.error = self.error or e

    def _send(self):
        began = time.monotonic()
        for data in messages(random.Random(os.urandom(8))):
            if self._is_stopping.is_set():
                break
            self.source.sendall(data)
            self.sent.update(data)
            self.n_sent += len(data)
            if self.rate:
                time.sleep(max(0, self.n_sent / self.rate - (time.monotonic() - began)))
        self.source.shutdown(socket.SHUT_WR)

    def _receive(self):
        last = None
        while data := self.sink.recv(1 << 16):
            now = time.monotonic()
            if last:
                self.longest_pause = max(self.longest_pause, now - last)
            last = now
            self.received.update(data)
            self.n_received += len(data)

    def forget_pauses(self):
        self.longest_pause = 0

    def stop(self):
        self._is_stopping.set()

    def finish(self):
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "the stream does not end"
        assert self.error is None, f"a connection broke after {self.n_received} of {self.n_sent} bytes: {self.error}"
        assert (self.n_received, self.received.digest()) == (self.n_sent, self.sent.digest()), "bytes were lost or changed"


class Stream:
    """`side` of a Scene dials, the other one listens. Both are the test itself, inside of the routers' namespaces."""

    def __init__(self, scene, side, listener, family="v4", rate=0):
        other = scene.other(side)
        self.peer = next(a for a in other.addresses if kind(a) == family)
        own = next(a for a in side.addresses if kind(a) == family)
        self.shims = (side.shim, self.peer), (other.shim, own)
        self.near = side.router.ns.call(lambda: dial(self.peer))
        self.far = listener.accept(own)
        self.ways = [Way(self.near, self.far, rate), Way(self.far, self.near, rate)]

    def wait_flows(self, n=1 << 16):
        wait_flow([self], n)

    def longest_pause(self):
        return max(way.longest_pause for way in self.ways)

    def forget_pauses(self):
        for way in self.ways:
            way.forget_pauses()

    def finish(self):
        """Both ends stop sending; everything has arrived. Returns how much."""
        for way in self.ways:
            way.stop()
        for way in self.ways:
            way.finish()
        self.near.close()
        self.far.close()
        return sum(way.n_received for way in self.ways)


def wait_flow(streams, n=1 << 16):
    """So many bytes more arrive at every end of all of them."""
    ways = [way for stream in streams for way in stream.ways]
    goals = [way.n_received + n for way in ways]
    wait_until(lambda: all(way.n_received >= goal or way.error for way, goal in zip(ways, goals)), 60, "bytes flow")
    assert not any(way.error for way in ways), [way.error for way in ways]


def kind(address):
    return "ll" if "%" in address else "v6" if ":" in address else "v4"


def dial(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    info = socket.getaddrinfo(address, PORT, family, socket.SOCK_STREAM)[0]
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(30)
    s.connect(info[4])
    return s


class Listener:
    """Port 179 of one router, for both families."""

    def __init__(self, side):
        self.sockets = side.router.ns.call(lambda: [listen(f) for f in (socket.AF_INET, socket.AF_INET6)])

    def accept(self, peer):
        """The connection that comes from this neighbor."""
        s, (address, *_) = self.sockets[":" in peer].accept()
        assert address.partition("%")[0] == peer.partition("%")[0]
        s.settimeout(30)
        return s

    def close(self):
        for s in self.sockets:
            s.close()


def listen(family):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", PORT))
    s.listen(16)
    s.settimeout(30)
    return s
