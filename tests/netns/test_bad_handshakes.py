# SPDX-License-Identifier: Apache-2.0
"""Handshakes done wrongly, as client of the listener and as server of our own dials, in TLS 1.3 and 1.2.

First what can be done to any message: each of both sides is cut, extended, doubled, left out, ... Then what is
wrong with one kind of message alone, then alerts. Every case is a neighbor of its own, so that what is
counted is its own; they run many at a time, beside a good session. docs/bad-input.md says what is expected.
"""

import collections
import dataclasses
import socket
import struct
import time
import typing

import pytest

from cryptography.exceptions import InvalidTag

from harness import rawtls as t
from harness.badstage import MARKER, BadStage, Undisturbed, in_parallel
from harness.botlsd import TLS_PORT
from harness.rawtls import (ALPN, CCS, DATA, HANDSHAKE, HEARTBEAT, KEY_SHARE, TLS12, TLS13, VERSIONS, Raw, Record,
                            extension, message, record, vector)
from harness.wait import SLOW

VERSION_NAMES = {TLS13: "1.3", TLS12: "1.2"}
# What says that a message is not as it should be. internal_error would say that we are not.
WRONG = frozenset({"unexpected_message", "bad_record_mac", "record_overflow", "handshake_failure", "illegal_parameter",
                   "decode_error", "decrypt_error", "missing_extension", "unsupported_extension", "protocol_version",
                   "bad_certificate", "certificate_required", "no_application_protocol", "certificate_unknown"})
# How OpenSSL's client and server put what arrives where a record header is expected.
SAID = {"client": {TLS13: ("ClientHello", "Certificate", "CertificateVerify", "Finished"),
                   TLS12: ("ClientHello", "Certificate", "ClientKeyExchange", "CertificateVerify", "Finished")},
        "server": {TLS13: ("ServerHello", "EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateVerify",
                           "Finished"),
                   TLS12: ("ServerHello", "Certificate", "ServerKeyExchange", "CertificateRequest", "ServerHelloDone",
                           "Finished")}}


@dataclasses.dataclass
class Case:
    name: str
    role: str  # the bad one's: "client" or "server"
    version: int
    step: str  # the message that is replaced; "session": afterwards
    make: typing.Callable  # (end, message) -> what is said instead
    alerts: typing.Any = WRONG  # names; "close": without one
    is_accepted: typing.Any = False  # None: either
    address: str = ""
    identity: typing.Any = None  # instead of the stage's
    outcome: str = ""
    seconds: float = 0

    def __str__(self):
        return f"{self.role} {VERSION_NAMES[self.version]}, {self.step}: {self.name}"


# --- what can be done to any message

def _length(m, change):
    return m[:1] + (int.from_bytes(m[1:4], "big") + change).to_bytes(3, "big") + m[4:]


ANY = {
    "cut by a byte": lambda e, m: [message(m[0], m[4:-1])],
    "half of it": lambda e, m: [message(m[0], m[4:4 + (len(m) - 4) // 2])],
    "empty": lambda e, m: [message(m[0], b"")],
    "a byte more": lambda e, m: [message(m[0], m[4:] + b"\0")],
    "length says more": lambda e, m: [_length(m, 1)],
    "length says less": lambda e, m: [_length(m, -1)],
    "twice": lambda e, m: [m, m],
    "left out": lambda e, m: [],
    "of an unknown type": lambda e, m: [bytes([0xfd]) + m[1:]],
    "of the type before it": lambda e, m: [bytes([m[0] - 1]) + m[1:]],
    "as application data": lambda e, m: [Record(DATA, m)],
    "as heartbeat": lambda e, m: [Record(HEARTBEAT, m)],
    "in a record of an unknown type": lambda e, m: [Record(99, m)],
    "16 MB long, it says": lambda e, m: [Raw(record(HANDSHAKE, bytes([m[0]]) + b"\xff\xff\xff" + bytes(16000)))]
    if not e.write_keys else [Record(HANDSHAKE, bytes([m[0]]) + b"\xff\xff\xff" + bytes(16000))],
    "after a ChangeCipherSpec of two bytes": lambda e, m: [Raw(record(CCS, b"\1\1")), m],
    "garbage": lambda e, m: [bytes([m[0]]) + vector(3, b"\xa5" * (len(m) - 4))],
    "every byte a record": lambda e, m: _bytewise(e, m),
}
ALWAYS_ACCEPTED = {"every byte a record"}
# Where the peer is left waiting, the deadline ends it; and what we say on top of it may cost us its alert.
MAY_WAIT = {"length says more", "left out", "half of it", "empty", "twice"}


def _bytewise(end, m):
    end.transcript += m
    return [Record(HANDSHAKE, m[i:i + 1]) for i in range(len(m))]


def _first_bytes(step, name):
    """What is not a handshake record is told from TLS by its first byte, and not answered."""
    return step in ("ClientHello", "ServerHello") and name.startswith(("as ", "in a record", "after a Change"))


def generic():
    for role, versions in SAID.items():
        for version, steps in versions.items():
            for step in steps:
                for name, make in ANY.items():
                    if step == "ServerHelloDone" and name in ("cut by a byte", "half of it", "empty", "length says less",
                                                              "garbage"):
                        continue  # it is empty
                    accepted = True if name in ALWAYS_ACCEPTED else False
                    if (role, step, name) == ("server", "CertificateRequest", "left out"):
                        accepted = True  # who does not want to know us: that is the server's affair
                    if step == "Finished" and name == "twice":
                        accepted = None  # the first is good: a session that the second one ends
                    alerts = set(WRONG) | ({"close"} if name in MAY_WAIT or _first_bytes(step, name) else set())
                    if step == "Finished" and name.startswith("after a Change") and version == TLS12:
                        alerts.add("internal_error")  # OpenSSL: an encrypted record that has no tag
                    yield Case(name, role, version, step, make, frozenset(alerts), accepted)


# --- what is wrong with one kind of message

def _changed(**how):
    return lambda e, m: [e.hello(**how)]


def _extensions(change):
    """hello() with other extensions: change([(type, data)]) -> the same."""
    def make(e, m):
        usual = e.hello_extensions() if e.is_client else _server_extensions(e)
        return [e.hello(extensions=change(usual))]

    return make


def _server_extensions(e):
    public = e.share.public_key().public_bytes(t.serialization.Encoding.Raw, t.serialization.PublicFormat.Raw)
    if e.version == TLS13:
        return [(VERSIONS, struct.pack("!H", TLS13)), (KEY_SHARE, struct.pack("!H", t.X25519) + vector(2, public))]
    return [(t.EMS, b""), (t.RENEGOTIATION, b"\0"), (ALPN, e.alpn), (t.POINT_FORMATS, b"\1\0")]


def _with(*more):
    return _extensions(lambda usual: [*usual, *more])


def _without(kind):
    return _extensions(lambda usual: [x for x in usual if x[0] != kind])


def _instead(kind, data):
    return _extensions(lambda usual: [(k, data if k == kind else d) for k, d in usual])


def _share(data, group=t.X25519):
    return struct.pack("!H", group) + vector(2, data)


def _shares(*entries):
    return vector(2, b"".join(entries))


def _psk(e, m, last=True, modes=True):
    identities = vector(2, vector(2, b"ticket" * 5) + bytes(4))
    psk = (t.PSK, identities + vector(2, vector(1, bytes(32))))
    mode = [(t.PSK_MODES, b"\1\1")] if modes else []
    usual = e.hello_extensions()
    return [e.hello(extensions=[*usual, *mode, psk] if last else [psk, *usual, *mode])]


def _early(e, m):
    hello = e.hello(extensions=[*e.hello_extensions(), (t.EARLY_DATA, b"")])
    return [hello, Raw(record(DATA, b"\x5a" * 64))]


def _signed(e, text_of, algorithm=t.ECDSA_P256):
    return [message(t.CERTIFICATE_VERIFY, struct.pack("!H", algorithm) + vector(2, e.identity.sign(text_of)))]


def _other_role(e, m):
    who = b"server" if e.is_client else b"client"
    return _signed(e, b" " * 64 + b"TLS 1.3, " + who + b" CertificateVerify\0" + t.hash_(e.transcript))


def _flipped(at):
    return lambda e, m: [m[:at] + bytes([m[at] ^ 1]) + m[at + 1:]]


def _chain(n):
    def make(e, m):
        one = e.identity.chain[0]
        if e.version == TLS13:
            body = b"\0" + vector(3, (vector(3, one) + vector(2, b"")) * n)
        else:
            body = vector(3, vector(3, one) * n)
        whole = message(t.CERTIFICATE, body)
        e.transcript += whole
        return [Record(HANDSHAKE, whole[i:i + 16000]) for i in range(0, len(whole), 16000)]

    return make


def _certificate(der):
    return lambda e, m: [message(t.CERTIFICATE, b"\0" + vector(3, vector(3, der) + vector(2, b"")))
                         if e.version == TLS13 else message(t.CERTIFICATE, vector(3, vector(3, der)))]


NO_CERTIFICATE = {TLS13: message(t.CERTIFICATE, b"\0\0\0\0"), TLS12: message(t.CERTIFICATE, b"\0\0\0")}
SSL2_HELLO = b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(21) + b"\xaa" * 16
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
illegal, decode, unexpected = {"illegal_parameter"}, {"decode_error"}, {"unexpected_message"}


def hello_cases():
    def both(name, make, alerts, accepted=False, versions=(TLS13, TLS12)):
        for version in versions:
            yield Case(name, "client", version, "ClientHello", make, frozenset(alerts), accepted)

    yield from both("SSL 2 hello", lambda e, m: [Raw(SSL2_HELLO)], {"close"})
    yield from both("no suites", _changed(suites=[]), illegal | decode)
    yield from both("unknown suites", _changed(suites=[0xfafa, 0x9999]), {"handshake_failure"})
    yield from both("a thousand suites", _changed(suites=[*range(0xd000, 0xd3e8)]), {"handshake_failure"})
    yield from both("suites of export times", _changed(suites=[0x0003, 0x0008, 0x0062]), {"handshake_failure"})
    yield from both("no compression method", _changed(compression=b""), illegal | decode)
    yield from both("compression without null", _changed(compression=b"\1"), illegal | decode)
    yield from both("session id of 33 bytes", _changed(session=bytes(33)), illegal | decode)
    yield from both("session id that nobody gave out", _changed(session=bytes(range(32))), (), True)
    yield from both("version 3.0", _changed(version=0x0300), {"protocol_version", "handshake_failure"}, versions=(TLS12,))
    yield from both("version 1.0", _changed(version=0x0301), {"protocol_version"}, versions=(TLS12,))
    yield from both("version 0", _changed(version=0), {"protocol_version"}, versions=(TLS12,))
    yield from both("version 9.9", _changed(version=0x0909), (), True)
    yield from both("an extension twice", _with((ALPN, t.BOTLS)), illegal | decode)
    yield from both("unknown extensions", _with((0xfafa, b""), (0x1234, b"x" * 200)), (), True)
    yield from both("an extension of a server", _with((t.COOKIE, vector(2, b"x"))), illegal | decode, None)
    yield from both("extensions cut", lambda e, m: [message(m[0], m[4:-3])], decode)
    yield from both("no ALPN", _without(ALPN), {"no_application_protocol"})
    yield from both("empty ALPN", _instead(ALPN, b""), decode)
    yield from both("ALPN of no names", _instead(ALPN, b"\0\0"), decode)
    yield from both("ALPN with an empty name", _instead(ALPN, b"\0\7\0\5botls"), decode)
    yield from both("ALPN that says more than it has", _instead(ALPN, b"\0\7\5botls"), decode)
    yield from both("ALPN of 60 kB", _instead(ALPN, vector(2, (b"\5botlz" * 9999)[:59994])), {"no_application_protocol"})
    yield from both("a name that is no name", _with((t.SERVER_NAME, b"\0\5\0\0\2\0\0")), decode | {"unrecognized_name"})
    yield from both("no groups", _without(t.GROUPS), {"missing_extension", "handshake_failure"}, None)
    yield from both("unknown groups", _instead(t.GROUPS, vector(2, b"\xfa\xfa")), illegal | {"handshake_failure"})
    yield from both("groups of an odd length", _instead(t.GROUPS, b"\0\3\0\x1d\0"), decode)
    yield from both("no signature algorithms", _without(t.SIGNATURES), {"missing_extension", "handshake_failure"}, None)
    yield from both("unknown signature algorithms", _instead(t.SIGNATURES, vector(2, b"\xfe\xfe")), {"handshake_failure"})
    yield from both("fallback", _changed(suites=[0xc02b, 0x5600]), {"inappropriate_fallback"}, versions=(TLS12,))
    yield from both("renegotiation at the start", _instead(t.RENEGOTIATION, vector(1, bytes(12))), {"handshake_failure"},
                    versions=(TLS12,))
    yield from both("60 kB of padding", _with((21, bytes(60000))), (), True)
    yield from both("16 MB, all of it", lambda e, m: [Raw(record(HANDSHAKE, b"\1\xff\xff\xff" + bytes(16000)))] +
                    [Raw(record(HANDSHAKE, bytes(16000)))] * 1050, illegal | {"close"})
    yield from both("record of version 2.0", lambda e, m: [Raw(record(HANDSHAKE, m, 0x0200))], {"close"})
    yield from both("record of 20 kB", lambda e, m: [Raw(record(HANDSHAKE, m + bytes(20000)))], {"record_overflow"})
    yield from both("empty record", lambda e, m: [Raw(record(HANDSHAKE, b""))], unexpected | decode | {"close"})
    yield from both("empty records before it", lambda e, m: [Raw(record(HANDSHAKE, b"") * 40), m], unexpected | decode)
    yield from both("data after it", lambda e, m: [m, Raw(record(DATA, b"x" * 30))], unexpected | {"bad_record_mac"})
    only13 = (TLS13,)
    yield from both("no versions", _without(VERSIONS), {"protocol_version", "handshake_failure", "no_application_protocol"},
                    versions=only13)
    yield from both("empty versions", _instead(VERSIONS, b"\0"), decode | {"protocol_version"}, versions=only13)
    yield from both("a draft's version", _instead(VERSIONS, b"\2\x7f\x1c"), {"protocol_version"}, versions=only13)
    yield from both("two compression methods", _changed(compression=b"\1\0"), illegal, versions=only13)
    yield from both("no key share", _without(KEY_SHARE), {"missing_extension"}, versions=only13)
    yield from both("no share in the key share", _instead(KEY_SHARE, b"\0\0"), {"close"}, versions=only13)
    yield from both("a share cut", _instead(KEY_SHARE, _shares(_share(bytes(31)))), illegal, versions=only13)
    yield from both("a share of zeros", _instead(KEY_SHARE, _shares(_share(bytes(32)))),
                    illegal | {"handshake_failure", "internal_error"}, versions=only13)
    yield from both("a share of nothing", _instead(KEY_SHARE, _shares(_share(b""))), illegal | decode, versions=only13)
    yield from both("a share twice", _instead(KEY_SHARE, _shares(_share(b"\t" + bytes(31)), _share(b"\t" + bytes(31)))),
                    illegal | {"close"}, None, versions=only13)
    yield from both("a share of another group", _instead(KEY_SHARE, _shares(_share(bytes(65), 23))), illegal, versions=only13)
    yield from both("PSK unknown", _psk, (), True, versions=only13)
    yield from both("PSK that is not last", lambda e, m: _psk(e, m, last=False), illegal, versions=only13)
    yield from both("PSK without modes", lambda e, m: _psk(e, m, modes=False), {"missing_extension"}, versions=only13)
    yield from both("early data", _early, {"bad_record_mac"} | unexpected, None, versions=only13)
    yield from both("hello again instead of the rest", lambda e, m: [m, m], unexpected | decode | {"close"})


def message_cases():
    for role in ("client", "server"):
        for version in (TLS13, TLS12):
            def case(step, name, make, alerts, accepted=False):
                return Case(name, role, version, step, make, frozenset(alerts), accepted)

            empty = {"certificate_required", "handshake_failure"} if role == "client" else illegal | decode
            yield case("Certificate", "no certificate", lambda e, m: [NO_CERTIFICATE[e.version]], empty)
            yield case("Certificate", "garbage certificate", _certificate(b"\x30\x82\xff\xff" + bytes(300)),
                       decode | {"bad_certificate"})
            yield case("Certificate", "certificate of length 0", _certificate(b""), decode | {"bad_certificate"})
            yield case("Certificate", "a certificate with something behind", lambda e, m: _certificate(
                e.identity.chain[0] + b"\0")(e, m), decode | {"bad_certificate"})
            yield case("Certificate", "chain of 400", _chain(400), illegal | {"close"})
            yield case("Certificate", "itself twice more", _chain(3), (), True)
            yield case("Finished", "one bit wrong", _flipped(6), {"decrypt_error"})
            yield case("ChangeCipherSpec" if version == TLS12 else "Finished", "ChangeCipherSpec twice",
                       lambda e, m: [Raw(record(CCS, b"\1")), *([Raw(record(CCS, b"\1"))] if e.version == TLS12 else []), m],
                       unexpected | {"bad_record_mac", "internal_error"}, version == TLS13)
            if version == TLS13:
                yield case("Certificate", "with a context", lambda e, m: [e.certificate13(b"context")], illegal | decode)
                yield case("CertificateVerify", "of the other role", _other_role, {"decrypt_error"})
                yield case("CertificateVerify", "of another transcript", lambda e, m: _signed(e, b"other"), {"decrypt_error"})
            if version == TLS13 or role == "client":
                yield case("CertificateVerify", "one bit wrong", _flipped(20), {"decrypt_error"} | decode)
                yield case("CertificateVerify", "unknown algorithm", lambda e, m: [m[:4] + b"\xfe\xfe" + m[6:]], illegal)
                yield case("CertificateVerify", "algorithm not offered", lambda e, m: [m[:4] + b"\x02\x01" + m[6:]],
                           illegal | {"handshake_failure"})
                yield case("CertificateVerify", "empty signature", lambda e, m: [message(m[0], m[4:6] + b"\0\0")],
                           {"decrypt_error"} | decode)


def server_cases():
    def case(name, make, alerts, version=TLS13, step="ServerHello", accepted=False):
        return Case(name, "server", version, step, make, frozenset(alerts), accepted)

    for version in (TLS13, TLS12):
        yield case("a suite that was not offered", _changed(suite=0x1305 if version == TLS13 else 0x002f), illegal, version)
        yield case("compression", _changed(compression=1), illegal, version)
        yield case("an extension twice", _extensions(lambda usual: usual + usual[:1]), illegal | decode, version)
        yield case("an extension not asked for", _with((0x1234, b"")), {"unsupported_extension"}, version, accepted=None)
        yield case("version 1.0", lambda e, m: [e.hello(version=0x0301, extensions=[])], {"protocol_version"}, version)
    yield case("our session id is not there", _changed(session=b""), illegal)
    yield case("session id of 33 bytes", _changed(session=bytes(33)), illegal | decode)
    yield case("no key share", _without(KEY_SHARE), {"missing_extension", "illegal_parameter"})
    yield case("a share of a group not offered", _instead(KEY_SHARE, _share(bytes(56), 30)), illegal)
    yield case("a share of zeros", _instead(KEY_SHARE, _share(bytes(32))), illegal | {"internal_error", "handshake_failure"})
    yield case("a share cut", _instead(KEY_SHARE, _share(bytes(31))), illegal)
    yield case("version 1.1 in the extension", _instead(VERSIONS, b"\3\2"), illegal | {"protocol_version"})
    yield case("retry for what was sent", lambda e, m: [e.hello(random=RETRY, extensions=[
        (VERSIONS, b"\3\4"), (KEY_SHARE, struct.pack("!H", t.X25519))])], illegal)
    yield case("retry for nothing", lambda e, m: [e.hello(random=RETRY, extensions=[(VERSIONS, b"\3\4")])], illegal)
    yield case("retry twice", lambda e, m: [e.hello(random=RETRY, extensions=[
        (VERSIONS, b"\3\4"), (t.COOKIE, vector(2, b"x"))])] * 2, unexpected | {"close"})
    yield case("a downgrade", _changed(random=bytes(24) + b"DOWNGRD\1"), illegal, TLS12)
    yield case("no ALPN", _without(ALPN), {"handshake_failure"}, TLS12)
    yield case("two names in ALPN", _instead(ALPN, b"\0\x0c\5botls\5botls"), decode, TLS12)
    ee = "EncryptedExtensions"

    def ext(*pairs):
        return lambda e, m: [message(m[0], vector(2, b"".join(extension(k, d) for k, d in pairs)))]

    yield case("no ALPN", ext(), {"handshake_failure"}, step=ee)
    yield case("another ALPN", ext((ALPN, b"\0\3\2h2")), illegal | decode, step=ee)
    yield case("two names in ALPN", ext((ALPN, b"\0\x0c\5botls\5botls")), decode, step=ee)
    yield case("an extension not asked for", ext((ALPN, t.BOTLS), (0x1234, b"")), {"unsupported_extension"}, step=ee,
               accepted=None)
    yield case("a key share there", ext((ALPN, t.BOTLS), (KEY_SHARE, _share(bytes(32)))), illegal | unexpected, step=ee)
    yield case("early data accepted", ext((ALPN, t.BOTLS), (t.EARLY_DATA, b"")), illegal | {"unsupported_extension"}, step=ee)
    ske = "ServerKeyExchange"
    yield case("one bit of the signature wrong", lambda e, m: [m[:-1] + bytes([m[-1] ^ 1])], {"decrypt_error"} | decode, TLS12, ske)
    yield case("a curve not offered", lambda e, m: [m[:5] + b"\0\x05" + m[7:]], illegal, TLS12, ske)
    yield case("an explicit curve", lambda e, m: [m[:4] + b"\1" + m[5:]], illegal, TLS12, ske)
    yield case("a share of zeros", lambda e, m: [m[:8] + bytes(32) + m[40:]], {"decrypt_error"} | illegal, TLS12, ske)
    yield case("request without types", lambda e, m: [message(m[0], b"\0\0\2\4\3\0\0")], decode, TLS12, "CertificateRequest", None)
    yield case("request without algorithms", lambda e, m: [message(m[0], b"\1\x40\0\0\0\0")], decode | {"internal_error"}, TLS12, "CertificateRequest")
    yield case("request without algorithms", lambda e, m: [message(m[0], b"\0\0\0")], {"missing_extension"} | decode,
               step="CertificateRequest")
    yield case("ChangeCipherSpec before it", lambda e, m: [Raw(record(CCS, b"\1")), m], unexpected, TLS12, "Certificate")
    yield case("ticket", lambda e, m: [message(t.NEW_TICKET, bytes(4) + vector(2, b"x" * 99)), m], unexpected, TLS12,
               "ServerHelloDone")


# --- when the session is there

def _request(body=b"\0\0\0"):
    return message(t.CERTIFICATE_REQUEST, body)


AFTER = {
    "ChangeCipherSpec": (lambda e: e.send_raw(record(CCS, b"\1")), unexpected),
    "a Finished": (lambda e: e.send_record(HANDSHAKE, message(t.FINISHED, bytes(32))), unexpected),
    "a hello": (lambda e: e.send_record(HANDSHAKE, message(t.CLIENT_HELLO, bytes(60))), unexpected),
    "a certificate": (lambda e: e.send_record(HANDSHAKE, NO_CERTIFICATE[TLS13]), unexpected),
    "end of early data": (lambda e: e.send_record(HANDSHAKE, message(t.END_OF_EARLY_DATA, b"")), unexpected),
    "a KeyUpdate of kind 2": (lambda e: e.send_record(HANDSHAKE, message(t.KEY_UPDATE, b"\2")), illegal),
    "a KeyUpdate of two bytes": (lambda e: e.send_record(HANDSHAKE, message(t.KEY_UPDATE, b"\0\0")), illegal | decode),
    "an empty KeyUpdate": (lambda e: e.send_record(HANDSHAKE, message(t.KEY_UPDATE, b"")), decode),
    "two KeyUpdates in a record": (lambda e: e.send_record(HANDSHAKE, message(t.KEY_UPDATE, b"\0") * 2), unexpected),
    "a KeyUpdate around data": (lambda e: (e.send_record(HANDSHAKE, message(t.KEY_UPDATE, b"\0")[:3]), e.send(b"x")), unexpected),
    "heartbeat": (lambda e: e.send_record(HEARTBEAT, b"\1\xff\xff" + b"x" * 19), unexpected),
    "an empty handshake record": (lambda e: e.send_record(HANDSHAKE, b""), unexpected),
    "a record of zeros alone": (lambda e: e.send_raw(e.write_keys.seal(0, b"", 10)), unexpected),
    "a wrong tag": (lambda e: e.send_raw(record(DATA, b"\x11" * 60)), {"bad_record_mac"}),
    "a record that is too short": (lambda e: e.send_raw(record(DATA, b"\x11" * 5)), {"bad_record_mac", "decode_error"}),
    "a record of 20 kB": (lambda e: e.send_raw(record(DATA, bytes(20000))), {"record_overflow"}),
    "a record of 16,385 bytes": (lambda e: e.send_record(DATA, bytes(16385)), {"record_overflow"}),
    "a record in clear": (lambda e: e.send_raw(record(HANDSHAKE, message(t.KEY_UPDATE, b"\0"))), unexpected | {"bad_record_mac"}),
    "a handshake message of 16 MB": (lambda e: e.send_record(HANDSHAKE, b"\x04\xff\xff\xff" + bytes(9)), illegal | unexpected | decode),
}
AFTER_SERVER = {
    "a request for our certificate": (lambda e: e.send_record(HANDSHAKE, _request()), unexpected | decode),
    "a ticket cut": (lambda e: e.send_record(HANDSHAKE, message(t.NEW_TICKET, bytes(9))), decode),
}
AFTER_12 = {
    "a wrong tag": (lambda e: e.send_raw(record(DATA, b"\x11" * 60)), {"bad_record_mac"}),
    "ChangeCipherSpec": (lambda e: e.send_record(CCS, b"\1"), unexpected),
    "heartbeat": (lambda e: e.send_record(HEARTBEAT, b"\1\xff\xff" + b"x" * 19), unexpected),
    "a record of 20 kB": (lambda e: e.send_raw(record(DATA, bytes(20000))), {"record_overflow"}),
}


def session_cases():
    for role, version, table in (("client", TLS13, AFTER), ("server", TLS13, {**AFTER, **AFTER_SERVER}),
                                 ("client", TLS12, AFTER_12), ("server", TLS12, AFTER_12)):
        for name, (make, alerts) in table.items():
            # a ticket is dropped, not read
            yield Case(name, role, version, "session", make, frozenset(alerts), None if name == "a ticket cut" else False)


# --- alerts: every kind, at every step

def alert_cases():
    for role, versions in SAID.items():
        for version, steps in versions.items():
            for number in [*t.ALERTS, 5, 255]:
                for step in (*steps, "session"):
                    alert = bytes([2, number])
                    if step == "session":
                        def make(e, alert=alert):
                            e.send_record(t.ALERT, alert)
                    else:
                        def make(e, m, alert=alert):
                            return [Record(t.ALERT, alert)]
                    # user_canceled is followed by a close_notify, or means nothing (RFC 8446 6.1); in the place of a
                    # CertificateRequest it means nothing, too: a server need not ask for one
                    yield Case(f"alert {number}", role, version, step, make, frozenset({"close", "close_notify"} | WRONG),
                               None if number == 90 and step in ("session", "CertificateRequest") else False)


def warning_cases():
    """Warnings without end: OpenSSL takes a few of them in TLS 1.2, and none in 1.3."""
    for role, versions in SAID.items():
        for version, steps in versions.items():
            for step in (steps[0], steps[-1]):
                yield Case("warnings without end", role, version, step,
                           lambda e, m: [Record(t.ALERT, bytes([1, 90]))] * 50, frozenset({"close"} | WRONG))


# --- doing it

def follow(end, case, daemon=None):
    """What became of it: "accepted", "close" or the name of the alert."""
    try:
        end.handshake()
        if end.is_client:
            assert end.read().startswith(MARKER)
        if case.step != "session":
            if daemon:
                # a client is done before the server is; what the daemon says comes when both are
                daemon.sendall(MARKER)
                end.read()
            return "accepted"
        case.make(end)
        if daemon and case.name == "alert 0":
            daemon.shutdown(socket.SHUT_WR)  # as a daemon answers an orderly end
        end.sock.settimeout(5 * SLOW)
        last = end.read_until_end()
    except (t.Alert, t.Closed) as e:
        last = e
    except TimeoutError:
        assert case.step == "session", "it neither ends nor goes on"
        return "accepted"
    except (InvalidTag, KeyError, AssertionError, IndexError, ValueError, struct.error):
        # what it said after our nonsense cannot be followed; that it ends can
        return drain(end.sock)
    except (BrokenPipeError, ConnectionResetError):
        return "close"
    return "close" if isinstance(last, t.Closed) else str(last)


def drain(sock):
    sock.settimeout(20 * SLOW)
    try:
        while data := sock.recv(65536):
            # an alert in clear, after keys that are not the ones we think
            if data[:1] == bytes([t.ALERT]) and data[3:5] == b"\0\2":
                return str(t.Alert(data[6], data[5]))
    except ConnectionResetError:
        pass
    return "close"


def hook_of(case, ends):
    def hook(name, m):
        return case.make(ends[0], m) if name == case.step else [m]

    return hook


def as_client(stage, case):
    ends = []
    end = stage.client(case.address, case.version, hook_of(case, ends) if case.step != "session" else None, case.identity)
    ends.append(end)
    with end.sock:
        case.outcome = follow(end, case)


def as_server(stage, case):
    with t.listen(stage.c.ns, case.address, TLS_PORT) as listener, stage.dial(case.address) as daemon:
        s, _ = listener.accept()
        with s:
            s.settimeout(20 * SLOW)
            ends = []
            end = t.Server(s, case.identity or stage.identity, case.version,
                           hook_of(case, ends) if case.step != "session" else None)
            ends.append(end)
            case.outcome = follow(end, case, daemon)
            daemon.settimeout(0.1)
            try:
                heard = daemon.recv(100)
            except (TimeoutError, ConnectionResetError):
                heard = b""
            assert case.outcome == "accepted" or not heard, f"the daemon heard {heard!r}"


def run(stage, cases):
    for case in cases:
        case.address = stage.address()
    def one(case):
        began = time.monotonic()
        (as_client if case.role == "client" else as_server)(stage, case)
        case.seconds = time.monotonic() - began

    # Hundreds of records, after each of which the interpreter's lock goes round, while a handshake has its time: a few at once, and
    # not with the 9 kB of a certificate for all neighbors.
    wordy = [case for case in cases if case.name in ALWAYS_ACCEPTED]
    for case in wordy:
        if case.step == "Certificate":
            case.identity = t.Identity(stage.pki.issue(case.address))
    in_parallel(one, [case for case in cases if case not in wordy])
    in_parallel(one, wordy, 4)
    print("the longest:", *(f"{case} {case.seconds:.1f} s;" for case in sorted(cases, key=lambda c: -c.seconds)[:5]))


def judge(stage, cases):
    """Every one by its outcome, and by what botlsd counted for its neighbor."""
    failures, log, problems = stage.all_failures(), stage.shim.log(), []
    for case in cases:
        last = failures[case.address]
        if case.outcome == "accepted":
            if case.is_accepted is False:
                problems.append(f"{case}: accepted")
            continue
        if case.is_accepted is True:
            problems.append(f"{case}: {case.outcome}, {last and last['text']}")
        elif case.outcome not in case.alerts:
            problems.append(f"{case}: {case.outcome} instead of {sorted(case.alerts)}; {last and last['text']}")
        # A session that ran ends with a line that says why; everything before that is a counted failure.
        if case.step == "session":
            if f"neighbor {case.address}: session" not in log or f"{case.address}: session" in log and not any(
                    f"neighbor {case.address}:" in line and " ended: " in line and len(line.split(" ended: ")[1]) > 8
                    for line in log.splitlines()):
                problems.append(f"{case}: the log does not say how it ended")
        elif not last or not last["text"]:
            problems.append(f"{case}: no failure was told")
        elif last["direction"] != ("in" if case.role == "client" else "out"):
            problems.append(f"{case}: {last}")
    outcomes = collections.Counter(case.outcome for case in cases)
    print(dict(outcomes))
    assert not problems, "\n".join([f"{len(problems)} of {len(cases)}:", *problems])


GROUPS = {"any-message": generic, "hello": hello_cases, "message": message_cases, "server": server_cases,
          "session": session_cases, "alert": alert_cases, "warning": warning_cases}


@pytest.fixture(scope="module")
def stage(module_lab, pki):
    count = sum(len(list(group())) for group in GROUPS.values())
    # They all begin at once, and half of the slots are for the handshakes that we begin.
    return BadStage(module_lab, pki, count + 4, {"handshake-timeout": 3 * SLOW}, **{"handshakes-max": 2 * count})


@pytest.mark.parametrize("group", GROUPS)
def test_malformed(stage, module_lab, group):
    cases = list(GROUPS[group]())
    with Undisturbed(stage, kilobytes=20000):
        run(stage, cases)
        judge(stage, cases)


def test_good_ones_are_accepted(stage, module_lab):
    """The other end that this file plays is a good one when nothing is done to it."""
    cases = [Case("nothing", role, version, "none", None, frozenset(), True)
             for role in ("client", "server") for version in (TLS13, TLS12)]
    run(stage, cases)
    judge(stage, cases)
    assert {case.outcome for case in cases} == {"accepted"}
