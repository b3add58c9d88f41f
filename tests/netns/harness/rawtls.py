# SPDX-License-Identifier: Apache-2.0
"""TLS 1.3 (RFC 8446) and 1.2 (RFC 5246, 5288, 7627, 8422), both ends, made to be done wrongly.

One suite of each (AES-128-GCM with SHA-256, X25519, ECDSA P-256) and no check of the other end.
What an end says goes through `hook(name, message)`, which returns what is said instead: a list of
bytes (handshake messages, framed and encrypted as due) and of Raw (whole records). Names are those
of the messages: ClientHello, Certificate, ... and ChangeCipherSpec.
"""

import dataclasses
import os
import socket
import struct

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .wait import SLOW

CCS, ALERT, HANDSHAKE, DATA, HEARTBEAT = 20, 21, 22, 23, 24
HELLO_REQUEST, CLIENT_HELLO, SERVER_HELLO, NEW_TICKET, END_OF_EARLY_DATA, ENCRYPTED_EXTENSIONS = 0, 1, 2, 4, 5, 8
CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, SERVER_HELLO_DONE = 11, 12, 13, 14
CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, FINISHED, KEY_UPDATE = 15, 16, 20, 24
SERVER_NAME, GROUPS, POINT_FORMATS, SIGNATURES, ALPN, EMS = 0, 10, 11, 13, 16, 23
PSK, EARLY_DATA, VERSIONS, COOKIE, PSK_MODES, KEY_SHARE, RENEGOTIATION = 41, 42, 43, 44, 45, 51, 0xff01
TLS12, TLS13 = 0x0303, 0x0304
SUITE = {TLS13: 0x1301, TLS12: 0xc02b}
SECP256R1, X25519 = 23, 29
ECDSA_P256 = 0x0403
BOTLS = b"\x00\x06\x05botls"

ALERTS = {0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
          30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
          43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
          47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
          60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
          86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
          110: "unsupported_extension", 112: "unrecognized_name", 113: "bad_certificate_status_response",
          115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol"}


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def extension(kind, data):
    return struct.pack("!H", kind) + vector(2, data)


def record(kind, data, version=0x0303, length=None):
    return struct.pack("!BHH", kind, version, len(data) if length is None else length) + data


@dataclasses.dataclass(frozen=True)
class Raw:
    """Bytes for the wire as they are."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of this type, encrypted when it is time for that."""

    kind: int
    data: bytes
    padding: int = 0


class Alert(Exception):
    def __init__(self, number, level=2):
        super().__init__(ALERTS.get(number, str(number)))
        self.number, self.level = number, level


class Closed(Exception):
    """FIN or RST instead of a record."""


def hash_(data):
    h = hashes.Hash(hashes.SHA256())
    h.update(data)
    return h.finalize()


def hmac_(key, data):
    h = hmac.HMAC(key, hashes.SHA256())
    h.update(data)
    return h.finalize()


def expand_label(secret, label, context, length):
    info = struct.pack("!H", length) + vector(1, b"tls13 " + label) + vector(1, context)
    return HKDFExpand(hashes.SHA256(), length, info).derive(secret)


def prf(secret, label, seed, length):
    seed, out, a = label + seed, b"", label + seed
    while len(out) < length:
        a = hmac_(secret, a)
        out += hmac_(secret, a + seed)
    return out[:length]


class Keys13:
    def __init__(self, secret):
        self.secret = secret
        self.renew()

    def renew(self):
        self.key = AESGCM(expand_label(self.secret, b"key", b"", 16))
        self.iv = int.from_bytes(expand_label(self.secret, b"iv", b"", 12), "big")
        self.count = 0

    def update(self):
        self.secret = expand_label(self.secret, b"traffic upd", b"", 32)
        self.renew()

    def _nonce(self):
        nonce = (self.iv ^ self.count).to_bytes(12, "big")
        self.count += 1
        return nonce

    def seal(self, kind, data, padding=0):
        inner = data + bytes([kind]) + bytes(padding)
        header = struct.pack("!BHH", DATA, TLS12, len(inner) + 16)
        return header + self.key.encrypt(self._nonce(), inner, header)

    def open(self, kind, data):
        inner = self.key.decrypt(self._nonce(), data, struct.pack("!BHH", kind, TLS12, len(data))).rstrip(b"\0")
        return inner[-1], inner[:-1]


class Keys12:
    def __init__(self, key, salt):
        self.key, self.salt, self.count = AESGCM(key), salt, 0

    def _extra(self, kind, length):
        extra = struct.pack("!QBHH", self.count, kind, TLS12, length)
        self.count += 1
        return extra

    def seal(self, kind, data, padding=0):
        explicit = struct.pack("!Q", self.count)
        sealed = self.key.encrypt(self.salt + explicit, data, self._extra(kind, len(data)))
        return record(kind, explicit + sealed)

    def open(self, kind, data):
        return kind, self.key.decrypt(self.salt + data[:8], data[8:], self._extra(kind, len(data) - 24))


class Identity:
    """A certificate (chain) with its key, from harness.pki."""

    def __init__(self, identity):
        from cryptography import x509
        pem = identity.certificate.read_bytes()
        self.chain = [x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)]
        self.key = serialization.load_pem_private_key(identity.key.read_bytes(), None)

    def sign(self, data):
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


class End:
    """One end of a connection: records, transcript, the messages of both versions."""

    is_client = True

    def __init__(self, sock, identity, version=TLS13, hook=None):
        self.sock, self.identity, self.version = sock, identity, version
        self.hook = hook or (lambda name, m: [m])
        self.transcript = b""
        self.read_keys = self.write_keys = None
        self._buffer = self._messages = b""
        self.share = x25519.X25519PrivateKey.generate()
        self.random = os.urandom(32)
        self.alpn = BOTLS
        self._unsent, self.is_corked = b"", False

    # --- records

    def send_raw(self, data):
        self._unsent += data
        if not self.is_corked:
            self.flush()

    def flush(self):
        data, self._unsent = self._unsent, b""
        if data:
            self.sock.sendall(data)

    def cork(self, is_corked):
        """A flight leaves in one piece: an alert that its beginning provokes would be lost to the RST for its end."""
        self.is_corked = is_corked
        if not is_corked:
            self.flush()

    def send_record(self, kind, data, padding=0):
        if self.write_keys and not (kind == CCS and self.version == TLS13):
            self.send_raw(self.write_keys.seal(kind, data, padding))
        else:
            self.send_raw(record(kind, data))

    def say(self, name, m):
        """One handshake message, or what the hook makes of it."""
        for item in self.hook(name, m):
            if isinstance(item, Raw):
                self.send_raw(item.data)
            elif isinstance(item, Record):
                self.send_record(item.kind, item.data, item.padding)
            else:
                self.transcript += item
                for at in range(0, len(item) or 1, 16384):
                    self.send_record(HANDSHAKE, item[at:at + 16384])

    def say_ccs(self):
        for item in self.hook("ChangeCipherSpec", b"\1"):
            if isinstance(item, Raw):
                self.send_raw(item.data)
            elif isinstance(item, Record):
                self.send_record(item.kind, item.data, item.padding)
            else:
                self.send_record(CCS, item)

    def read_bytes(self, n):
        while len(self._buffer) < n:
            try:
                more = self.sock.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                raise Closed("RST") from None
            if not more:
                raise Closed("FIN")
            self._buffer += more
        data, self._buffer = self._buffer[:n], self._buffer[n:]
        return data

    def read_record(self):
        """(type, data), decrypted; Alert or Closed."""
        while True:
            kind, _, length = struct.unpack("!BHH", self.read_bytes(5))
            data = self.read_bytes(length)
            if self.read_keys and not (kind == CCS and self.version == TLS13) \
                    and not (kind == ALERT and length == 2):
                kind, data = self.read_keys.open(kind, data)
            if kind == ALERT:
                raise Alert(data[1], data[0])
            if kind == CCS and self.version == TLS13:
                continue
            return kind, data

    def read_message(self, *kinds):
        """The next handshake message; it is in the transcript."""
        while len(self._messages) < 4 or len(self._messages) < 4 + int.from_bytes(self._messages[1:4], "big"):
            kind, data = self.read_record()
            assert kind == HANDSHAKE, f"record of type {kind}"
            self._messages += data
        end = 4 + int.from_bytes(self._messages[1:4], "big")
        m, self._messages = self._messages[:end], self._messages[end:]
        assert not kinds or m[0] in kinds, f"message of type {m[0]}, not {kinds}"
        self._before = self.transcript
        self.transcript += m
        return m

    def read_ccs(self):
        kind, _ = self.read_record()
        assert kind == CCS, f"record of type {kind}"

    def send(self, data):
        for at in range(0, len(data) or 1, 16384):
            self.send_record(DATA, data[at:at + 16384])

    def read(self):
        """Application data; what TLS says to itself meanwhile is followed."""
        while True:
            kind, data = self.read_record()
            if kind == DATA:
                return data
            if kind == HANDSHAKE and data[0] == KEY_UPDATE:
                self.read_keys.update()

    def read_until_end(self):
        """What ends the connection: an Alert or Closed."""
        try:
            while True:
                self.read()
        except (Alert, Closed) as end:
            return end

    def key_update(self, request=0):
        self.send_record(HANDSHAKE, message(KEY_UPDATE, bytes([request])))
        self.write_keys.update()

    # --- TLS 1.3

    def _handshake_secrets(self, shared):
        early = hmac_(bytes(32), bytes(32))
        self.master = hmac_(expand_label(early, b"derived", hash_(b""), 32), shared)
        self._client = expand_label(self.master, b"c hs traffic", hash_(self.transcript), 32)
        self._server = expand_label(self.master, b"s hs traffic", hash_(self.transcript), 32)
        self.master = hmac_(expand_label(self.master, b"derived", hash_(b""), 32), bytes(32))

    def _application_secrets(self):
        """The transcript ends with the server's Finished."""
        self._client_app = expand_label(self.master, b"c ap traffic", hash_(self.transcript), 32)
        self._server_app = expand_label(self.master, b"s ap traffic", hash_(self.transcript), 32)

    def certificate13(self, context=b""):
        entries = b"".join(vector(3, c) + vector(2, b"") for c in self.identity.chain)
        return message(CERTIFICATE, vector(1, context) + vector(3, entries))

    def certificate_verify13(self):
        who = b"client" if self.is_client else b"server"
        text = b" " * 64 + b"TLS 1.3, " + who + b" CertificateVerify\0" + hash_(self.transcript)
        return message(CERTIFICATE_VERIFY, struct.pack("!H", ECDSA_P256) + vector(2, self.identity.sign(text)))

    def finished13(self, secret):
        return message(FINISHED, hmac_(expand_label(secret, b"finished", b"", 32), hash_(self.transcript)))

    # --- TLS 1.2

    def _master12(self, shared):
        # Extended master secret: over all up to the ClientKeyExchange.
        self.master = prf(shared, b"extended master secret", hash_(self.transcript), 48)

    def _keys12(self, client_random, server_random):
        block = prf(self.master, b"key expansion", server_random + client_random, 40)
        return Keys12(block[:16], block[32:36]), Keys12(block[16:32], block[36:40])

    def certificate12(self):
        return message(CERTIFICATE, vector(3, b"".join(vector(3, c) for c in self.identity.chain)))

    def finished12(self, who):
        return message(FINISHED, prf(self.master, who + b" finished", hash_(self.transcript), 12))


class Client(End):
    def hello_extensions(self):
        """(type, data) in order; a test may replace it."""
        public = self.share.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        # TLS 1.2: the curve of the server's certificate must be among them, too.
        groups = struct.pack("!H", X25519) + (struct.pack("!H", SECP256R1) if self.version == TLS12 else b"")
        extensions = [(GROUPS, vector(2, groups)), (SIGNATURES, vector(2, struct.pack("!H", ECDSA_P256))),
                      (ALPN, BOTLS)]
        if self.version == TLS13:
            return extensions + [(VERSIONS, vector(1, struct.pack("!H", TLS13))),
                                 (KEY_SHARE, vector(2, struct.pack("!H", X25519) + vector(2, public)))]
        return extensions + [(POINT_FORMATS, vector(1, b"\0")), (EMS, b""), (RENEGOTIATION, b"\0")]

    def hello(self, version=TLS12, suites=None, compression=b"\0", session=b"", extensions=None):
        suites = suites if suites is not None else [SUITE[self.version]]
        extensions = extensions if extensions is not None else self.hello_extensions()
        return message(CLIENT_HELLO, struct.pack("!H", version) + self.random + vector(1, session)
                       + vector(2, b"".join(struct.pack("!H", s) for s in suites)) + vector(1, compression)
                       + vector(2, b"".join(extension(k, d) for k, d in extensions)))

    def _read_server_hello(self):
        m = self.read_message(SERVER_HELLO)
        self.peer_random = m[6:38]
        at = 39 + m[38] + 3
        at += 2
        found = {}
        while at + 4 <= len(m):
            kind, length = struct.unpack("!HH", m[at:at + 4])
            found[kind] = m[at + 4:at + 4 + length]
            at += 4 + length
        return found

    def handshake(self):
        self.say("ClientHello", self.hello())
        found = self._read_server_hello()
        (self._handshake13 if self.version == TLS13 else self._handshake12)(found)
        return self

    def _handshake13(self, found):
        share = x25519.X25519PublicKey.from_public_bytes(found[KEY_SHARE][4:])
        self._handshake_secrets(self.share.exchange(share))
        self.read_keys = Keys13(self._server)
        for kind in (ENCRYPTED_EXTENSIONS, CERTIFICATE_REQUEST, CERTIFICATE, CERTIFICATE_VERIFY, FINISHED):
            self.read_message(kind)
        self._application_secrets()
        self.read_keys = Keys13(self._server_app)
        self.write_keys = Keys13(self._client)
        self.cork(True)
        self.say("Certificate", self.certificate13())
        self.say("CertificateVerify", self.certificate_verify13())
        self.say("Finished", self.finished13(self._client))
        self.cork(False)
        self.write_keys = Keys13(self._client_app)

    def _handshake12(self, found):
        self.read_message(CERTIFICATE)
        params = self.read_message(SERVER_KEY_EXCHANGE)
        self.read_message(CERTIFICATE_REQUEST)
        self.read_message(SERVER_HELLO_DONE)
        share = x25519.X25519PublicKey.from_public_bytes(params[8:8 + params[7]])
        public = self.share.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.cork(True)
        self.say("Certificate", self.certificate12())
        self.say("ClientKeyExchange", message(CLIENT_KEY_EXCHANGE, vector(1, public)))
        self._master12(self.share.exchange(share))
        self.say("CertificateVerify", message(CERTIFICATE_VERIFY, struct.pack("!H", ECDSA_P256)
                                              + vector(2, self.identity.sign(self.transcript))))
        ours, theirs = self._keys12(self.random, self.peer_random)
        self.say_ccs()
        self.write_keys = ours
        self.say("Finished", self.finished12(b"client"))
        self.cork(False)
        self.read_ccs()
        self.read_keys = theirs
        self.read_message(FINISHED)

    def renegotiate(self):
        """Asks for it, as RFC 5746 wants it."""
        verify = prf(self.master, b"client finished", hash_(self.transcript), 12)
        self.random = os.urandom(32)
        extensions = [(k, d) for k, d in self.hello_extensions() if k != RENEGOTIATION]
        self.send_record(HANDSHAKE, self.hello(extensions=[*extensions, (RENEGOTIATION, vector(1, verify))]))


class Server(End):
    is_client = False

    def _read_client_hello(self):
        m = self.read_message(CLIENT_HELLO)
        self.peer_random = m[6:38]
        at = 39 + m[38]
        self.session = m[39:at]
        at += 2 + int.from_bytes(m[at:at + 2], "big")
        at += 1 + m[at] + 2
        found = {}
        while at + 4 <= len(m):
            kind, length = struct.unpack("!HH", m[at:at + 4])
            found[kind] = m[at + 4:at + 4 + length]
            at += 4 + length
        return found

    def hello(self, version=TLS12, suite=None, compression=0, session=None, extensions=None, random=None):
        public = self.share.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        usual = [(VERSIONS, struct.pack("!H", TLS13)), (KEY_SHARE, struct.pack("!H", X25519) + vector(2, public))] \
            if self.version == TLS13 else [(EMS, b""), (RENEGOTIATION, b"\0"), (ALPN, self.alpn), (POINT_FORMATS, b"\1\0")]
        extensions = extensions if extensions is not None else usual
        session = session if session is not None else self.session if self.version == TLS13 else b""
        return message(SERVER_HELLO, struct.pack("!H", version) + (random or self.random) + vector(1, session)
                       + struct.pack("!HB", suite or SUITE[self.version], compression)
                       + vector(2, b"".join(extension(k, d) for k, d in extensions)))

    def handshake(self):
        found = self._read_client_hello()
        (self._handshake13 if self.version == TLS13 else self._handshake12)(found)
        return self

    def _client_share(self, found):
        at, shares = 2, found[KEY_SHARE]
        while at + 4 <= len(shares):
            group, length = struct.unpack("!HH", shares[at:at + 4])
            if group == X25519:
                return x25519.X25519PublicKey.from_public_bytes(shares[at + 4:at + 4 + length])
            at += 4 + length
        raise AssertionError("the client sent no X25519 share")

    def _handshake13(self, found):
        self.cork(True)
        self.say("ServerHello", self.hello())
        self._handshake_secrets(self.share.exchange(self._client_share(found)))
        self.write_keys, self.read_keys = Keys13(self._server), Keys13(self._client)
        self.say("EncryptedExtensions", message(ENCRYPTED_EXTENSIONS, vector(2, extension(ALPN, self.alpn))))
        self.say("CertificateRequest", message(CERTIFICATE_REQUEST, b"\0" + vector(2, extension(
            SIGNATURES, vector(2, struct.pack("!H", ECDSA_P256))))))
        self.say("Certificate", self.certificate13())
        self.say("CertificateVerify", self.certificate_verify13())
        self.say("Finished", self.finished13(self._server))
        self.cork(False)
        self._application_secrets()
        self.write_keys = Keys13(self._server_app)
        # without our CertificateRequest it is the Finished alone
        while self.read_message(CERTIFICATE, CERTIFICATE_VERIFY, FINISHED)[0] != FINISHED:
            pass
        self.read_keys = Keys13(self._client_app)

    def _handshake12(self, found):
        public = self.share.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.cork(True)
        self.say("ServerHello", self.hello())
        self.say("Certificate", self.certificate12())
        params = b"\3" + struct.pack("!H", X25519) + vector(1, public)
        signature = self.identity.sign(self.peer_random + self.random + params)
        self.say("ServerKeyExchange", message(SERVER_KEY_EXCHANGE, params + struct.pack("!H", ECDSA_P256)
                                              + vector(2, signature)))
        self.say("CertificateRequest", message(CERTIFICATE_REQUEST, vector(1, b"\x40")
                                               + vector(2, struct.pack("!H", ECDSA_P256)) + vector(2, b"")))
        self.say("ServerHelloDone", message(SERVER_HELLO_DONE, b""))
        self.cork(False)
        share = self.read_message(CERTIFICATE, CLIENT_KEY_EXCHANGE)
        was_asked = share[0] == CERTIFICATE
        if was_asked:
            share = self.read_message(CLIENT_KEY_EXCHANGE)
        self._master12(self.share.exchange(x25519.X25519PublicKey.from_public_bytes(share[5:])))
        if was_asked:
            self.read_message(CERTIFICATE_VERIFY)
        theirs, ours = self._keys12(self.peer_random, self.random)
        self.read_ccs()
        self.read_keys = theirs
        self.read_message(FINISHED)
        self.say_ccs()
        self.write_keys = ours
        self.say("Finished", self.finished12(b"server"))


def connect(ns, address, to, port, timeout=20 * SLOW):
    """A TCP connection from `address` inside the namespace."""
    def inside():
        s = socket.socket()
        s.settimeout(timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.bind((address, 0))
        s.connect((to, port))
        return s

    return ns.call(inside)


def listen(ns, address, port, timeout=20 * SLOW):
    def inside():
        s = socket.create_server((address, port))
        s.settimeout(timeout)
        return s

    return ns.call(inside)
