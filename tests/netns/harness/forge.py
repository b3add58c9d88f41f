# SPDX-License-Identifier: Apache-2.0
"""Segments that a third host sends in the name of another, with the sequence numbers that are right at that moment."""

import socket
import struct

from .capture import ACK, ETH_P_ALL, FIN, PSH, RST, SYN

FLAGS = {"rst": RST, "fin": FIN | ACK, "data": PSH | ACK}
TCP = 6


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _packet_socket(ns, interface):
    def make():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.bind((interface, ETH_P_ALL))
        return s

    return ns.call(make)


class Forger:
    """Sees what `victim` sends on eth0 and answers from `attacker`'s eth0 as if it were the peer."""

    def __init__(self, victim, attacker):
        self._seen = _packet_socket(victim.ns, "eth0")
        self._own = _packet_socket(attacker.ns, "eth0")
        self._mac = self._own.getsockname()[4]
        self._seen.settimeout(0.2)
        self.count = 0

    def close(self):
        self._seen.close()
        self._own.close()

    def answer(self, peer, port, kind, data=b""):
        """Waits for one segment to the peer with this port at either end and forges what would follow. False: none came."""
        try:
            frame = self._seen.recv(1 << 16)
        except TimeoutError:
            return False
        forged = forge(frame, peer, port, kind, data, self._mac)
        if not forged:
            return False
        self._own.send(forged)
        self.count += 1
        return True


def forge(frame, peer, port, kind, data, mac):
    if frame[12:14] == b"\x08\x00":
        start, size = 14 + (frame[14] & 15) * 4, 4
        protocol, src, dst = frame[23], frame[26:30], frame[30:34]
    elif frame[12:14] == b"\x86\xdd":
        start, size, protocol, src, dst = 54, 16, frame[20], frame[22:38], frame[38:54]
    else:
        return None
    if protocol != TCP or dst != socket.inet_pton(socket.AF_INET if size == 4 else socket.AF_INET6, peer):
        return None
    sport, dport, seq, ack, offset, flags = struct.unpack("!HHIIBB", frame[start:start + 14])
    if port not in (sport, dport) or flags & (SYN | RST | FIN) or not flags & ACK:
        return None
    length = 14 + struct.unpack("!H", frame[16:18])[0] if size == 4 else 54 + struct.unpack("!H", frame[18:20])[0]
    length -= start + (offset >> 4) * 4  # of its data
    data = data if kind == "data" else b""
    header = struct.pack("!HHIIBBHHH", dport, sport, ack, (seq + length) & 0xffffffff, 5 << 4, FLAGS[kind], 1000, 0, 0)
    segment = header + data
    if size == 4:
        pseudo = dst + src + struct.pack("!BBH", 0, TCP, len(segment))
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0, 255, TCP, 0, dst, src)
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    else:
        pseudo = dst + src + struct.pack("!II", len(segment), TCP)
        ip = struct.pack("!IHBB16s16s", 6 << 28, len(segment), TCP, 255, dst, src)
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    # To whom it came from: the victim's own address at the link.
    return frame[6:12] + mac + frame[12:14] + ip + segment
