# SPDX-License-Identifier: Apache-2.0
"""botlsd against the openssl program, so that it is not only ourselves who agree with us.

r1 has BIRD and botlsd, r2 has nothing. Every case has a neighbor of its own, an address of r2, so
that what is counted and told is its own.
"""

import dataclasses
import ipaddress
import itertools
import socket
import struct
import typing

import pytest

from harness.bird import Bird
from harness.botlsd import TLS_PORT, Botlsd
from harness.openssl import OpenSsl
from harness.peering import Peering
from harness.wait import hold_for, wait_until

MARKER = b"\xff" * 16
OPEN = MARKER + struct.pack("!HBBHH4sB", 29, 1, 4, 64502, 90, bytes([10, 255, 0, 2]), 0)
WEAK = ("-cipher", "ALL:@SECLEVEL=0")
OUR_ADDRESS = "192.0.2.1"


@dataclasses.dataclass
class Case:
    name: str
    reason: typing.Any = None  # None: accepted; a name, or several
    words: tuple = ("-alpn", "botls")  # of s_client or s_server
    identity: typing.Any = lambda pki, address: pki.issue(address)  # of the other end
    options: typing.Any = lambda pki, address: {}  # of the neighbor in botlsd.conf
    alert: typing.Optional[str] = None  # what openssl complains of
    version: typing.Optional[str] = None
    ca: typing.Any = None  # what the other end trusts, when not our CA
    address: str = ""

    @property
    def reasons(self):
        return (self.reason,) if isinstance(self.reason, str) else self.reason


def _wrong_pin(pki, address):
    return {"pins": [pki.issue("other.example").pin()]}


def _revoked(pki, address):
    return {"crl": pki.authority.revoke(pki.issue(address))}


def _dns(name):
    return lambda pki, address: {"dns-names": [name]}


INBOUND = [
    Case("tls13", words=("-alpn", "botls", "-tls1_3"), version="TLSv1.3"),
    Case("tls12", words=("-alpn", "botls", "-tls1_2"), version="TLSv1.2"),
    Case("pin without a CA", options=lambda pki, a: {"pins": [pki.stranger.issue(a).pin()]},
         identity=lambda pki, a: pki.stranger.issue(a)),
    Case("one pin of two", options=lambda pki, a: {"pins": [pki.issue("x.example").pin(), pki.issue(a).pin()]}),
    Case("dns name", identity=lambda pki, a: pki.issue("r2.example"), options=_dns("r2.example")),
    Case("crl that names another", options=lambda pki, a: {"crl": pki.authority.revoke(pki.issue("gone.example"))}),
    Case("no alpn", "no-alpn", words=(), alert="no application protocol"),
    Case("other alpn", "wrong-alpn", words=("-alpn", "h2"), alert="no application protocol"),
    Case("alpn that begins like it", "wrong-alpn", words=("-alpn", "botls2"), alert="no application protocol"),
    Case("several alpn", "wrong-alpn", words=("-alpn", "h2,botls"), alert="no application protocol"),
    Case("tls11", "version", words=("-alpn", "botls", "-tls1_1", *WEAK), alert="protocol version"),
    Case("tls10", "version", words=("-alpn", "botls", "-tls1", *WEAK), alert="protocol version"),
    Case("tls12 under min-version 1.3", "version", words=("-alpn", "botls", "-tls1_2"),
         options=lambda pki, a: {"min-version": "1.3"}, alert="protocol version"),
    Case("no forward secrecy", "no-cipher", words=("-alpn", "botls", "-tls1_2", "-cipher", "AES128-GCM-SHA256"),
         alert="handshake failure"),
    Case("no aead", "no-cipher", words=("-alpn", "botls", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"),
         alert="handshake failure"),
    Case("no certificate", "no-certificate", identity=lambda pki, a: None, alert="certificate required"),
    Case("no certificate in tls12", "no-certificate", words=("-alpn", "botls", "-tls1_2"),
         identity=lambda pki, a: None, alert="handshake failure"),
    Case("expired", "expired", identity=lambda pki, a: pki.issue(a, start=-9, end=-1), alert="certificate expired"),
    Case("not yet valid", "not-yet-valid", identity=lambda pki, a: pki.issue(a, start=2, end=9), alert="alert"),
    Case("wrong ca", "untrusted", identity=lambda pki, a: pki.stranger.issue(a), alert="unknown ca"),
    Case("wrong address", "name", identity=lambda pki, a: pki.issue("192.0.2.199"), alert="alert"),
    Case("no name", "name", identity=lambda pki, a: pki.issue(), alert="alert"),
    Case("wrong dns name", "name", identity=lambda pki, a: pki.issue("r3.example"), options=_dns("r2.example"),
         alert="alert"),
    Case("dns wildcard", "name", identity=lambda pki, a: pki.issue("*.example"), options=_dns("r2.example"),
         alert="alert"),
    Case("wrong pin", "pin", options=_wrong_pin, alert="alert"),
    Case("revoked", "revoked", options=_revoked, alert="certificate revoked"),
    Case("wrong purpose", "untrusted", identity=lambda pki, a: pki.issue(a, eku="codeSigning"), alert="alert"),
]

OUTBOUND = [
    Case("tls13", words=("-alpn", "botls", "-tls1_3"), version="TLSv1.3"),
    Case("tls12", words=("-alpn", "botls", "-tls1_2"), version="TLSv1.2"),
    Case("several alpn to choose from", words=("-alpn", "h2,botls")),
    Case("no alpn", "no-alpn", words=()),
    Case("other alpn", ("wrong-alpn", "no-alpn", "peer-alert"), words=("-alpn", "h2")),
    Case("tls11", ("version", "peer-alert"), words=("-alpn", "botls", "-tls1_1", *WEAK)),
    Case("tls12 under min-version 1.3", ("version", "peer-alert"), words=("-alpn", "botls", "-tls1_2"),
         options=lambda pki, a: {"min-version": "1.3"}),
    Case("expired", "expired", identity=lambda pki, a: pki.issue(a, start=-9, end=-1), alert="certificate expired"),
    Case("not yet valid", "not-yet-valid", identity=lambda pki, a: pki.issue(a, start=2, end=9), alert="alert"),
    Case("wrong ca", "untrusted", identity=lambda pki, a: pki.stranger.issue(a), alert="unknown ca"),
    Case("wrong address", "name", identity=lambda pki, a: pki.issue("192.0.2.199"), alert="alert"),
    Case("no name", "name", identity=lambda pki, a: pki.issue(), alert="alert"),
    Case("wrong pin", "pin", options=_wrong_pin, alert="alert"),
    Case("it does not trust us", "peer-alert", ca=lambda pki: pki.stranger.certificate),
    Case("it does not trust us in tls12", "peer-alert", words=("-alpn", "botls", "-tls1_2"),
         ca=lambda pki: pki.stranger.certificate),
]

_addresses = (str(a) for a in itertools.islice(ipaddress.ip_network("10.0.0.0/22").hosts(), 1, None))
for _case in INBOUND + OUTBOUND:
    _case.address = next(_addresses)
RAW = {name: next(_addresses) for name in ("bgp", "http", "zeros", "bad record", "hangs up", "silent", "half",
                                           "server bgp", "server closes", "server resets", "server silent")}
STRANGER = next(_addresses)


class Stage:
    def __init__(self, lab, pki):
        self.pki = pki
        self.a, self.b = lab.pair()
        self.a.ns.ip("addr add 10.0.0.1/22 dev eth0")
        cases = {case.address: case for case in INBOUND + OUTBOUND}
        raw = {address: {"handshake-timeout": 2} for name, address in RAW.items()}
        hosts = [*cases, *raw, STRANGER]
        self.b.ns.ip(*(f"addr add {host}/22 dev eth0" for host in hosts))
        neighbors = {}
        for address, case in cases.items():
            options = {"local-address": OUR_ADDRESS, "hold-time": 60, **case.options(pki, address)}
            if "pins" in options and case.reason is None and case.name == "pin without a CA":
                options["ca"] = ""
            neighbors[address] = options
        for address, options in raw.items():
            neighbors[address] = {"local-address": OUR_ADDRESS, **options}
        self.shim = Botlsd(self.a, neighbors, pki.router(self.a))
        self.shim.start()
        dialled = {case.address for case in OUTBOUND} | {a for name, a in RAW.items() if name.startswith("server")}
        self.bird = Bird(self.a, [Peering(host, 64502, local=OUR_ADDRESS, multihop=2, passive=host not in dialled)
                                  for host in neighbors])
        self.bird.start()

    def dial(self, address):
        """Has BIRD begin anew, instead of waiting for the next try."""
        name = next(n for n, s in self.bird.sessions().items() if s.peer == address)
        self.bird.birdc("restart", name)

    def arguments(self, case):
        identity = case.identity(self.pki, case.address)
        ca = case.ca(self.pki) if case.ca else self.pki.authority.certificate
        words = ["-CAfile", ca, "-quiet", *case.words]
        if identity:
            words += ["-cert", identity.certificate, "-key", identity.key]
        return words

    def failure(self, case_or_address, direction):
        address = getattr(case_or_address, "address", case_or_address)
        return wait_until(lambda: self.shim.neighbor(address).get("last_failure"), 15,
                          f"a failure with {address} is told")

    def assert_refused(self, case, direction):
        last = self.failure(case, direction)
        assert last["reason"] in case.reasons and last["direction"] == direction, last
        assert last["text"]
        assert self.shim.failures(case.address).get(last["reason"], 0) >= 1
        assert not self.shim.sessions(case.address)


@pytest.fixture(scope="module")
def stage(module_lab, pki):
    return Stage(module_lab, pki)


def test_stage(stage, module_lab):
    """All neighbors of the cases are there and none is in error."""
    states = {n["name"]: n["state"] for n in stage.shim.show()["neighbors"]}
    assert len(states) == len(INBOUND) + len(OUTBOUND) + len(RAW)
    assert "error" not in states.values()


@pytest.mark.parametrize("case", INBOUND, ids=lambda c: c.name.replace(" ", "-"))
def test_client(stage, module_lab, case):
    client = OpenSsl(stage.b.ns, "s_client", "-connect", f"{OUR_ADDRESS}:{TLS_PORT}", "-bind", f"{case.address}:0",
                     *stage.arguments(case))
    try:
        if case.reason is None:
            client.wait_received(MARKER)
            session = wait_until(lambda: stage.shim.sessions(case.address), 5, "the session is shown")[0]
            assert session["direction"] == "in"
            assert case.version in (None, session["tls"]["version"])
            assert f"Incoming connection from {case.address}" in stage.bird.log_text()
            client.send(OPEN)
            # BIRD answers an OPEN that suits it with a KEEPALIVE.
            client.wait_received(MARKER + struct.pack("!HB", 19, 4))
        else:
            stage.assert_refused(case, "in")
            client.wait_end()
            assert case.alert in client.errors, client.errors
            assert MARKER not in client.received
            assert f"Incoming connection from {case.address} " not in stage.bird.log_text()
    finally:
        client.stop()


@pytest.mark.parametrize("case", OUTBOUND, ids=lambda c: c.name.replace(" ", "-"))
def test_server(stage, module_lab, case):
    server = OpenSsl(stage.b.ns, "s_server", "-accept", f"{case.address}:{TLS_PORT}", "-Verify", "3",
                     "-verify_return_error", *stage.arguments(case))
    try:
        stage.dial(case.address)
        if case.reason is None:
            server.wait_received(MARKER)
            session = wait_until(lambda: stage.shim.sessions(case.address), 5, "the session is shown")[0]
            assert session["direction"] == "out"
            assert case.version in (None, session["tls"]["version"])
            server.send(OPEN)
            server.wait_received(MARKER + struct.pack("!HB", 19, 4))
        else:
            # until s_server listens the reason is another one
            wait_until(lambda: (stage.shim.neighbor(case.address).get("last_failure") or {}).get("reason")
                       in case.reasons, 20, f"the handshake fails: {case.reason}")
            stage.assert_refused(case, "out")
            if case.alert:
                server.wait_error(case.alert)
            assert MARKER not in server.received
    finally:
        server.stop()


def connect(stage, address):
    def inside():
        s = socket.socket()
        s.settimeout(10)
        s.bind((address, 0))
        s.connect((OUR_ADDRESS, TLS_PORT))
        return s

    return stage.b.ns.call(inside)


@pytest.mark.parametrize("name, data", [
    ("bgp", OPEN),
    ("http", b"GET / HTTP/1.0\r\n\r\n"),
    ("zeros", bytes(2000)),
    ("bad record", b"\x16\x03\x01\x00\x10" + b"\xaa" * 16),
])
def test_not_tls_from_the_other_end(stage, module_lab, name, data):
    with connect(stage, RAW[name]) as s:
        s.sendall(data)
        received = b""
        try:
            while chunk := s.recv(4096):
                received += chunk
        except ConnectionResetError:
            pass
    assert MARKER not in received
    last = stage.failure(RAW[name], "in")
    assert last["reason"] in (("protocol", "not-tls") if name == "bad record" else ("not-tls",)), last
    if name == "bgp":
        assert "BGP" in last["text"]


def test_hang_up_in_the_handshake(stage, module_lab):
    address = RAW["hangs up"]
    with connect(stage, address) as s:
        s.sendall(b"\x16\x03\x01")
    assert stage.failure(address, "in")["reason"] in ("closed", "reset")


@pytest.mark.parametrize("name, data", [("silent", b""), ("half", b"\x16\x03\x01\x02\x00\x01\x00")])
def test_a_slow_handshake_is_given_up(stage, module_lab, name, data):
    with connect(stage, RAW[name]) as s:
        s.sendall(data)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
    assert "time" in stage.failure(RAW[name], "in")["text"] or stage.failure(RAW[name], "in")["reason"]


def test_unknown_source(stage, module_lab):
    """Dropped before a byte of it is parsed: not one byte comes back."""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        with connect(stage, STRANGER) as s:
            for _ in range(50):
                s.sendall(b"\x16\x03\x01")
                assert s.recv(4096) == b""
    unknown = wait_until(lambda: stage.shim.show().get("unknown_sources"), 5, "it is counted")
    assert unknown["count"] >= 1 and unknown["last"] == STRANGER


def serve(stage, address):
    def inside():
        s = socket.create_server((address, TLS_PORT))
        s.settimeout(15)
        return s

    return stage.b.ns.call(inside)


@pytest.mark.parametrize("name, reason", [("server bgp", "not-tls"), ("server closes", "closed"),
                                          ("server resets", "reset")])
def test_not_tls_from_a_server(stage, module_lab, name, reason):
    address = RAW[name]
    with serve(stage, address) as listener:
        stage.dial(address)

        def attempt():
            s, _ = listener.accept()
            with s:
                s.settimeout(10)
                hello = s.recv(4096)
                assert hello[:2] == b"\x16\x03" and MARKER not in hello
                if name == "server bgp":
                    s.sendall(OPEN)
                    try:
                        s.recv(4096)
                    except ConnectionResetError:
                        pass
                elif name == "server resets":
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return (stage.shim.neighbor(address).get("last_failure") or {}).get("reason") == reason

        wait_until(attempt, 20, f"{reason} is told")


def test_a_silent_server_is_given_up_and_tried_again(stage, module_lab):
    address = RAW["server silent"]
    with serve(stage, address) as listener:
        stage.dial(address)
        first, _ = listener.accept()
        second, _ = listener.accept()
        first.close()
        second.close()
    assert stage.shim.failures(address)


def test_a_flood_from_one_source_leaves_the_others_alone(stage, module_lab):
    """200 connections that say nothing, from one neighbor; another one gets through meanwhile."""
    flood = []
    case = INBOUND[0]
    client = None
    try:
        for _ in range(200):
            try:
                flood.append(connect(stage, RAW["silent"]))
            except ConnectionResetError:
                pass  # more than it may have at once
        client = OpenSsl(stage.b.ns, "s_client", "-connect", f"{OUR_ADDRESS}:{TLS_PORT}", "-bind",
                         f"{case.address}:0", *stage.arguments(case))
        client.wait_received(MARKER, 10)
    finally:
        for s in flood:
            s.close()
        if client:
            client.stop()
    hold_for(lambda: stage.shim.process.is_running(), 0.5, "botlsd lives")
