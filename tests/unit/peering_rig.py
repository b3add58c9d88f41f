# SPDX-License-Identifier: Apache-2.0
"""A client for the tests of tests/peering_api: nothing of it is shared with the server."""
import dataclasses
import http.client
import json
import pathlib
import socket
import ssl
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from peering_api import Server  # noqa: E402

US, THEM = 64500, 64501
IX = "pdb:ix:31"
PIN = "sha256/" + "B" * 43 + "="
SERVER_PIN = "sha256/" + "A" * 43 + "="
DEADLINE = 20  # seconds until a test gives up
BOTLS = {"transport": "tls", "requester": {"port": 8179, "pins": [PIN]}}
SETTINGS = {
    "asn": THEM, "profile": "openapi", "idle_seconds": 5.0, "trap_listen": "127.0.0.1:0", "peeringdb_listen": "127.0.0.1:0",
    "botls": {"port": 8179, "pins": [SERVER_PIN]},
    "locations": [
        {"id": IX, "type": "public", "prefixes": ["192.0.2.0/24", "2001:db8::/64"], "addresses": ["192.0.2.1", "2001:db8::1"]},
        {"id": "pdb:ix:26", "type": "public"}, {"id": "pdb:fac:17", "type": "private"}],
    "clients": {"us": {"secret": "s3cret", "asns": [US], "scope": "peering-api other"}},
    "peeringdb": {
        "net": {"data": [{"id": 1, "asn": THEM, "name": "Them", "info_prefixes4": 100, "info_prefixes6": 50, "irr_as_set": "AS-THEM"},
                         {"id": 2, "asn": US, "name": "Us", "info_prefixes4": 10, "info_prefixes6": 5, "irr_as_set": ""}]},
        "netixlan": {"data": [
            {"id": 11, "net_id": 1, "ix_id": 31, "ixlan_id": 31, "asn": THEM, "ipaddr4": "192.0.2.1", "ipaddr6": "2001:db8::1",
             "operational": True, "status": "ok"},
            {"id": 12, "net_id": 1, "ix_id": 26, "ixlan_id": 26, "asn": THEM, "ipaddr4": "198.51.100.1", "ipaddr6": None,
             "operational": True, "status": "ok"},
            {"id": 13, "net_id": 2, "ix_id": 31, "ixlan_id": 31, "asn": US, "ipaddr4": "192.0.2.2", "ipaddr6": "2001:db8::2",
             "operational": True, "status": "ok"}]},
        "ixlan": {"data": [{"id": 31, "ix_id": 31, "status": "ok"}]},
        "ixpfx": {"data": [{"id": 5, "ixlan_id": 31, "protocol": "IPv4", "prefix": "192.0.2.0/24", "status": "ok"},
                           {"id": 6, "ixlan_id": 31, "protocol": "IPv6", "prefix": "2001:db8::/64", "status": "ok"}]},
    },
}


@dataclasses.dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def split(url):
    """(host, port, path) of a URL."""
    rest = url.partition("://")[2]
    address, slash, path = rest.partition("/")
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port), slash + path


def trusting(server):
    context = ssl.create_default_context(cafile=server.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def fetch(server, method, url, body=None, headers=(), kind="application/json"):
    """One request on a connection of its own; a body that is neither bytes nor None is sent as JSON."""
    host, port, path = split(url)
    if url.startswith("https:"):
        connection = http.client.HTTPSConnection(host, port, context=trusting(server), timeout=DEADLINE)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)
    try:
        sent = {"Accept": "application/json", **dict(headers)}
        if body is not None:
            sent["Content-Type"] = kind
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def api(server, method, path, body=None, token=None, **more):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return fetch(server, method, server.api_url + path, body, headers, **more)


@dataclasses.dataclass
class Raw:
    data: bytes
    end: str  # closed (TLS said so), cut (TCP only), reset, waiting

    @property
    def head(self):
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self):
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def length(self):
        """What Content-Length says."""
        return int(next(line for line in self.head.split(b"\r\n") if line.lower().startswith(b"content-length:")).split(b":")[1])


def raw(server, request, until=None, limit=1 << 20):
    """Sends bytes over TLS; what came back until the end, `limit` bytes, or nothing more after until(data) was true."""
    host, port, _ = split(server.api_url)
    # ssl.SSLSocket of Python 3.11 cannot tell RST from FIN: bytes go through memory
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(server).wrap_bio(incoming, outgoing, server_hostname=host)
    data, asked = b"", False
    with socket.create_connection((host, port), timeout=DEADLINE) as sock:
        try:
            while len(data) < limit:
                if until and until(data):
                    sock.settimeout(0.2)
                try:
                    if not asked:
                        tls.do_handshake()
                        tls.write(request)
                        asked = True
                    piece = tls.read(65536)
                    if not piece:
                        return Raw(data, "closed")
                    data += piece
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    piece = sock.recv(65536)
                    incoming.write(piece) if piece else incoming.write_eof()
            return Raw(data, "limit")
        except ssl.SSLZeroReturnError:
            return Raw(data, "closed")
        except ssl.SSLEOFError:
            return Raw(data, "cut")
        except ConnectionError:
            return Raw(data, "reset")
        except TimeoutError:
            return Raw(data, "waiting")


def get(path, close=True):
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{'Connection: close' if close else 'X-Keep: 1'}\r\n\r\n".encode()


def session(ip=4, **more):
    """A session as the profile "openapi" spells it: local is who asks."""
    ours, theirs = ("192.0.2.2", "192.0.2.1") if ip == 4 else ("2001:db8::2", "2001:db8::1")
    return {"local_asn": US, "local_ip": ours, "peer_asn": THEM, "peer_ip": theirs, "peer_type": "public",
            "location": {"id": IX, "type": "public"}, **more}


def make(**changes):
    return Server(**{**SETTINGS, **changes})


def errors_of(reply):
    return {e["name"]: e["errors"] for e in reply.json["errors"]["errors"]}


def create(server, *sessions, status=200, **more):
    reply = api(server, "POST", "/sessions", list(sessions or [session()]), **more)
    assert reply.status == status, reply.body
    return reply.json


@pytest.fixture(scope="module")
def shared():
    with make() as server:
        yield server


@pytest.fixture
def server(shared):
    """The module's server as just started; what a test does with it must be regular."""
    shared.reset()
    yield shared
    assert shared.failures() == []
    assert [d["message"] for d in shared.deviations()] == []
