# SPDX-License-Identifier: Apache-2.0
"""Routing tables as daemons write them for machines: MRT's TABLE_DUMP_V2 (RFC 6396)."""

import socket
import struct

HEAD = struct.Struct(">IHHI")  # seconds, type, subtype, length
ENTRY = struct.Struct(">HIH")  # peer, since, length of the attributes
TABLE_DUMP_V2, PEER_INDEX_TABLE, RIB_IPV4_UNICAST = 13, 1, 2
EXTENDED_LENGTH = 0x10
ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, COMMUNITY = 1, 2, 3, 4, 5, 8  # RFC 4271, 1997
IGP, AS_SEQUENCE = 0, 2


def records(path):
    """(subtype, payload) of each record."""
    with open(path, "rb") as f:
        while head := f.read(HEAD.size):
            _, kind, subtype, length = HEAD.unpack(head)
            payload = f.read(length)
            assert kind == TABLE_DUMP_V2 and len(payload) == length, f"{path}: not the dump of a table, or not whole"
            yield subtype, payload


def ipv4_routes(path):
    """(network as a number, prefix length, attributes as on the wire) of each route: a prefix comes as often as it has one."""
    for subtype, payload in records(path):
        if subtype == PEER_INDEX_TABLE:
            continue
        assert subtype == RIB_IPV4_UNICAST, f"{path}: a record of kind {subtype}"
        bits = payload[4]
        at = 5 + (bits + 7) // 8
        network = int.from_bytes(payload[5:at].ljust(4, b"\0"), "big")
        count, at = int.from_bytes(payload[at:at + 2], "big"), at + 2
        for _ in range(count):
            length = ENTRY.unpack_from(payload, at)[2]
            at += ENTRY.size + length
            yield network, bits, payload[at - length:at]
        assert at == len(payload), f"{path}: {len(payload) - at} bytes too many"


def ipv4_text(network, bits):
    return f"{socket.inet_ntoa(network.to_bytes(4, 'big'))}/{bits}"


def attributes(wire):
    """{code: value} of path attributes as on the wire."""
    found, at = {}, 0
    while at < len(wire):
        flags, code, length = wire[at:at + 3]
        at += 3
        if flags & EXTENDED_LENGTH:
            length, at = length << 8 | wire[at], at + 1
        assert code not in found and at + length <= len(wire), wire.hex()
        found[code] = wire[at:at + length]
        at += length
    return found


def originated(peering):
    """attributes() of what this neighbor announces as its own: any more it was told to add."""
    return {ORIGIN: bytes([IGP]), AS_PATH: struct.pack(">BBI", AS_SEQUENCE, 1, peering.remote_as),
            NEXT_HOP: socket.inet_aton(peering.address), LOCAL_PREF: struct.pack(">I", 100)}
