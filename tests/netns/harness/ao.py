# SPDX-License-Identifier: Apache-2.0
"""TCP-AO (RFC 5925, RFC 5926) computed from what is on the wire, without the kernel that is tested.

Sequence numbers are taken not to wrap around: the sequence number extension is 0.
"""

import collections
import dataclasses
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

AO = 29
SYN, ACK = 2, 16
MAC_LEN = 12


def cmac(key, data):
    c = CMAC(AES(key))
    c.update(data)
    return c.finalize()


def aes_key(master):
    """RFC 5926, 3.1.1.2: what has not the length of a key is made one."""
    return master if len(master) == 16 else cmac(bytes(16), master)


@dataclasses.dataclass(frozen=True)
class Algorithm:
    prf: object
    bits: int  # of a traffic key
    prepare: object = bytes

    def traffic_key(self, master, context):
        return self.prf(self.prepare(master), b"\x01TCP-AO" + context + struct.pack("!H", self.bits))

    def mac(self, traffic_key, message):
        return self.prf(traffic_key, message)[:MAC_LEN]


ALGORITHMS = {
    "aes-128-cmac-96": Algorithm(cmac, 128, aes_key),
    "hmac-sha1-96": Algorithm(lambda k, d: hmac.digest(k, d, "sha1"), 160),
    "hmac-sha256-96": Algorithm(lambda k, d: hmac.digest(k, d, "sha256"), 256),
}


DEFAULT_KEY = bytes.fromhex("1cebb1ff")
EXPORTED_LEN = 32


def hkdf_expand(key, info, length=EXPORTED_LEN):
    """RFC 5869, 2.3, with SHA-256 and for one block."""
    return hmac.digest(key, info + b"\x01", "sha256")[:length]


def exported(exporter_secret, label, context, length):
    """RFC 8446, 7.5, with SHA-256."""
    def expand_label(secret, label, data, size):
        label, data = b"tls13 " + label, hashlib.sha256(data).digest()
        info = struct.pack("!HB", size, len(label)) + label + bytes([len(data)]) + data
        blocks, last = b"", b""
        while len(blocks) < size:
            last = hmac.digest(secret, last + info + bytes([len(blocks) // 32 + 1]), "sha256")
            blocks += last
        return blocks[:size]

    return expand_label(expand_label(exporter_secret, label, b"", 32), b"exporter", context, length)


def exported_12(master_secret, randoms, digest, label, context, length):
    """RFC 5705, 4, with the PRF of TLS 1.2 (RFC 5246, 5); `randoms`: client's and server's."""
    seed = label + randoms + struct.pack("!H", len(context)) + context
    blocks, a = b"", seed
    while len(blocks) < length:
        a = hmac.digest(master_secret, a, digest)
        blocks += hmac.digest(master_secret, a + seed, digest)
    return blocks[:length]


def exported_key(exporter_secret, covers_options=False, algorithm="aes-128-cmac-96", key_id=1):
    """K_1 of draft-piraux-tcp-ao-tls from TLS 1.3's exporter secret (RFC 8446, 7.5)."""
    number = {"hmac-sha1-96": 0, "aes-128-cmac-96": 1}[algorithm]
    return exported(exporter_secret, b"tcp-ao", bytes([covers_options, number, number, key_id]), EXPORTED_LEN)


def announced_key(export, covers_options=True, algorithm="aes-128-cmac-96"):
    """tcp-ao = capability: K_1, and what stands for the initial sequence numbers of client and server.

    `export` is the connection's exporter: label, context, length.
    """
    number = {"hmac-sha1-96": 0, "aes-128-cmac-96": 1, "hmac-sha256-96": 2}[algorithm]
    material = export(b"EXPERIMENTAL-botls-tcp-ao-capability",
                      b"bAO\x01" + bytes([number, covers_options]), EXPORTED_LEN + 8)
    return material[:EXPORTED_LEN], struct.unpack("!II", material[EXPORTED_LEN:])


def next_key(key):
    return hkdf_expand(key, b"tcp-ao-rekey")


class Packet:
    """An IP packet that carries a TCP segment."""

    def __init__(self, raw):
        if raw[0] >> 4 == 4:
            start, end = (raw[0] & 15) * 4, struct.unpack("!H", raw[2:4])[0]
            self.src, self.dst = raw[12:16], raw[16:20]
            self.pseudo = self.src + self.dst + struct.pack("!BBH", 0, 6, end - start)
        else:
            start, end = 40, 40 + struct.unpack("!H", raw[4:6])[0]
            self.src, self.dst = raw[8:24], raw[24:40]
            self.pseudo = self.src + self.dst + struct.pack("!II", end - start, 6)
        self.header = raw[start:start + 20]
        self.options = raw[start + 20:start + (raw[start + 12] >> 4) * 4]
        self.data = raw[start + 20 + len(self.options):end]
        self.sport, self.dport, self.seq, self.ack = struct.unpack("!HHII", self.header[:12])
        self.flags = self.header[13]
        self.ao_at = self._find(AO)

    def _find(self, kind):
        i = 0
        while i < len(self.options) and self.options[i]:
            if self.options[i] == kind:
                return i
            i += 1 if self.options[i] == 1 else max(self.options[i + 1], 2)
        return None

    @property
    def ao(self):
        """(KeyID, RNextKeyID, MAC); None without the option."""
        if self.ao_at is None:
            return None
        option = self.options[self.ao_at:self.ao_at + self.options[self.ao_at + 1]]
        return option[2], option[3], option[4:]

    def context(self, src_isn, dst_isn):
        """RFC 5925, 5.2: the connection as its sender sees it."""
        return self.src + self.dst + struct.pack("!HHII", self.sport, self.dport, src_isn, dst_isn)

    def message(self, covers_options):
        """What the MAC covers, RFC 5925, 5.1: its own bytes and the checksum count as zeros."""
        at, length = self.ao_at, self.options[self.ao_at + 1]
        option = self.options[at:at + 4] + bytes(length - 4)
        options = self.options[:at] + option + self.options[at + length:] if covers_options else option
        return bytes(4) + self.pseudo + self.header[:16] + bytes(2) + self.header[18:] + options + self.data


class Verifier:
    """Judges the segments of connections that it has seen from their first SYN on.

    Or of such as have other numbers in the place of the initial ones: put them into `isn`.
    """

    def __init__(self, *keys):
        """`keys`: (KeyID on the wire, secret, name of the algorithm, covers_options); several may have one KeyID."""
        self.keys = collections.defaultdict(list)
        for key_id, *key in keys:
            self.keys[key_id].append(key)
        self.isn = {}  # (address, port, address, port) of a sender: its initial sequence number

    def judge(self, raw):
        """True: signed with one of the keys; False: not; None: the connection began earlier."""
        p = Packet(raw)
        ends = p.src, p.sport, p.dst, p.dport
        back = p.dst, p.dport, p.src, p.sport
        if p.flags & SYN:
            self.isn[ends] = p.seq
            if not p.flags & ACK:
                self.isn.pop(back, None)
        if p.ao is None or p.ao[0] not in self.keys:
            return False
        is_first = p.flags & (SYN | ACK) == SYN
        if ends not in self.isn or (not is_first and back not in self.isn):
            return None
        context = p.context(self.isn[ends], 0 if is_first else self.isn[back])
        return any(ALGORITHMS[name].mac(ALGORITHMS[name].traffic_key(secret, context), p.message(covers_options))
                   == p.ao[2] for secret, name, covers_options in self.keys[p.ao[0]])
