# SPDX-License-Identifier: Apache-2.0
"""What really passes an interface: a packet socket, read by a thread.

Packet sockets see what leaves after every filter of ours and what comes before every one, so
both ends of a veth pair see the same wire.
"""

import collections
import dataclasses
import socket
import struct
import threading
import time

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
MARKER = b"\xff" * 16
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


@dataclasses.dataclass(frozen=True)
class Segment:
    """A TCP segment; the payload is kept only in its first bytes."""

    src: str
    sport: int
    dst: str
    dport: int
    flags: int
    length: int
    has_marker: bool
    head: bytes
    has_md5: bool = False
    has_ao: bool = False
    ttl: int = 0
    packet: bytes = b""  # from the IP header on, for harness/ao.py

    def __str__(self):
        names = "".join(n for bit, n in ((SYN, "S"), (ACK, "A"), (FIN, "F"), (RST, "R")) if self.flags & bit)
        marker = " BGP MARKER" if self.has_marker else ""
        return (f"{self.src}:{self.sport} > {self.dst}:{self.dport} [{names}] {self.length} bytes"
                f" ttl {self.ttl}{marker} {self.head[:8].hex()}")


def said_by(*addresses):
    """Segments that one of these sent and that are more than a reset."""
    return lambda s: s.src in addresses and (s.length > 0 or not s.flags & RST)


def _parse(frame):
    """An Ethernet frame to a Segment, None when it is not TCP."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        header, protocol, ttl = 14 + (frame[14] & 15) * 4, frame[23], frame[22]
        src, dst = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
        end = 14 + struct.unpack("!H", frame[16:18])[0]
    elif kind == b"\x86\xdd":
        header, protocol, ttl = 54, frame[20], frame[21]
        src = socket.inet_ntop(socket.AF_INET6, frame[22:38])
        dst = socket.inet_ntop(socket.AF_INET6, frame[38:54])
        end = 54 + struct.unpack("!H", frame[18:20])[0]
    else:
        return None
    if protocol != socket.IPPROTO_TCP or len(frame) < header + 20:
        return None
    sport, dport = struct.unpack("!HH", frame[header:header + 4])
    data = header + (frame[header + 12] >> 4) * 4
    payload = frame[data:max(end, data)] if end > data else b""
    options = frame[header + 20:data]
    has_ao = _has_option(options, 29)
    return Segment(src, sport, dst, dport, frame[header + 13], len(payload), MARKER in payload,
                   payload[:48], _has_option(options, 19), has_ao, ttl, frame[14:end] if has_ao else b"")


def _has_option(options, kind):
    i = 0
    while i < len(options) and options[i]:
        if options[i] == kind:
            return True
        if options[i] == 1:
            i += 1
        elif i + 1 < len(options) and options[i + 1] >= 2:
            i += options[i + 1]
        else:
            break
    return False


class Capture:
    KEEP = 20000

    def __init__(self, ns, interface):
        self.title = f"{ns.name}/{interface}"
        self.segments = collections.deque(maxlen=self.KEEP)
        self.leaks = []  # port 179 or a marker, never forgotten
        self.count = 0
        self._lock = threading.Lock()
        self._lost = 0
        self._error = None
        self._is_stopping = False
        self._socket = ns.call(lambda: self._open(interface))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @staticmethod
    def _open(interface):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        s.settimeout(0.2)
        s.bind((interface, ETH_P_ALL))
        return s

    def _read(self):
        buffer = bytearray(1 << 17)
        while True:
            try:
                n = self._socket.recv_into(buffer)
            except (TimeoutError, InterruptedError):
                if self._is_stopping:
                    return
                continue
            except OSError as e:
                # ENETDOWN tells once that the interface went down; the socket goes on afterwards
                if self._is_stopping:
                    return
                self._error = e
                continue
            try:
                segment = _parse(bytes(buffer[:n]))
            except (IndexError, struct.error):
                segment = None
            if segment is None:
                continue
            with self._lock:
                self.count += 1
                self.segments.append(segment)
                if 179 in (segment.sport, segment.dport) or segment.has_marker:
                    self.leaks.append(segment)

    def _drain(self):
        """Waits until the thread has read what the kernel already has."""
        seen = -1
        while seen != self.count:
            seen = self.count
            time.sleep(0.25)
        raw = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        self._lost += struct.unpack("II", raw)[1]
        assert self._lost == 0, f"{self.title}: the capture lost {self._lost} packets, it proves nothing"

    def forget(self):
        with self._lock:
            self.leaks.clear()

    def find(self, **wanted):
        """Segments with these fields, among the last KEEP; `port` is either port, `host` either address."""
        port, host = wanted.pop("port", None), wanted.pop("host", None)
        with self._lock:
            segments = list(self.segments)
        return [s for s in segments
                if (port is None or port in (s.sport, s.dport)) and (host is None or host in (s.src, s.dst))
                and all(getattr(s, name) == value for name, value in wanted.items())]

    def assert_clear_text(self):
        """The counterpart of assert_no_clear_text(): it would have failed."""
        self._drain()
        assert any(179 in (s.sport, s.dport) for s in self.leaks), f"{self.title}: no port 179"
        assert any(s.has_marker for s in self.leaks), f"{self.title}: no BGP marker"

    def assert_no_clear_text(self, port=8179, is_leak=lambda segment: True):
        """No segment of port 179, no BGP marker in any payload; and the TLS records were seen
        (port None: nothing needs to have been seen)."""
        self._drain()
        leaks = [s for s in self.leaks if is_leak(s)]
        assert not leaks, f"{self.title}: clear text on the wire:\n" + "\n".join(map(str, leaks[:20]))
        if port is not None:
            records = [s for s in self.find(port=port) if s.head[:2] in (b"\x16\x03", b"\x17\x03")]
            assert records, f"{self.title}: no TLS record on port {port} was captured, so nothing is proved"

    def summary(self):
        with self._lock:
            last, leaks = list(self.segments)[-25:], list(self.leaks)[:10]
        lines = [f"{self.count} TCP segments, {len(self.leaks)} in clear, last error {self._error}"]
        return "\n".join(lines + ["clear: " + str(s) for s in leaks] + ["last: " + str(s) for s in last])

    def stop(self):
        self._is_stopping = True
        self._thread.join()
        self._socket.close()
