# SPDX-License-Identifier: Apache-2.0
"""tests/peering_api: every misbehaviour does what its name says, and only to the requests that it was meant for."""
import datetime
import email.utils
import gzip
import http.client
import json
import pathlib
import socket
import time
import urllib.parse

import pytest
from peering_rig import BOTLS, DEADLINE, IX, THEM, US, api, fetch, get, make, raw, session, split, trusting

from peering_api import Wrong, control
from peering_api.misbehaviours import CATALOGUE
from peering_api.misbehaviours.paging import NASTY

LIST = f"/sessions?asn={US}"
CHECKED = set()  # names that a test here is about


def about(names):
    """Parametrizes over a dict of name -> what to expect, and remembers the names."""
    CHECKED.update(names)
    return pytest.mark.parametrize("name, expected", names.items(), ids=list(names))


@pytest.fixture(scope="module")
def shared():
    with make() as server:
        yield server


@pytest.fixture
def server(shared):
    """With two sessions, one of each family, that have a secret and the botls object."""
    shared.reset()
    shared.configure(profile={"request_id": "both"})
    shared.add_session(initiator_asn=US, initiator_ip="192.0.2.2", receiver_ip="192.0.2.1", location=IX, secret="s3cret",
                       botls=BOTLS, id="one", request_id="request")
    shared.add_session(initiator_asn=US, initiator_ip="2001:db8::2", receiver_ip="2001:db8::1", location=IX, botls=BOTLS, id="two",
                       request_id="request")
    yield shared
    assert shared.failures() == []


def seen(server, name, path=LIST, **arguments):
    """The reply to a GET that meets a misbehaviour."""
    server.inject(name, **arguments)
    reply = api(server, "GET", path)
    entry = server.requests()[-1]
    assert (entry["misbehaviour"], entry["applied"]) == (name, True)
    return reply


def bytes_of(server, name, path=LIST, limit=1 << 20, until=None, **arguments):
    """What comes over the wire, and how it ends."""
    server.inject(name, **arguments)
    return raw(server, get("/v0.1" + path), until, limit)


def regular(server, path=LIST):
    return api(server, "GET", path).body


# ---- before TLS ----

def handshake(server, seconds=DEADLINE):
    """The error of a client that verifies."""
    host, port, _ = split(server.api_url)
    try:
        with socket.create_connection((host, port), timeout=seconds) as sock:
            with trusting(server).wrap_socket(sock, server_hostname=host):
                return None
    except OSError as e:
        return e


@about({
    "tls-close": "EOF", "tls-reset": "reset by peer", "tls-garbage": "WRONG_VERSION_NUMBER",
    "tls-alert": "HANDSHAKE_FAILURE", "tls-stall": "timed out", "tls-stranger": "unable to get local issuer",
    "tls-wrong-name": "IP address mismatch", "tls-expired": "certificate has expired", "tls-old": "ALERT_PROTOCOL_VERSION"})
def test_before_tls(server, name, expected):
    server.inject(name)
    assert expected in str(handshake(server, 0.2 if name == "tls-stall" else DEADLINE))
    assert server.requests(method="(connection)")[-1]["misbehaviour"] == name
    assert handshake(server) is None, "and only once"


# ---- connections ----

CHECKED.update(["no-answer", "head-only", "close-before-answer", "reset-before-answer", "close-in-head", "reset-in-body"])


def test_no_answer(server):
    answer = bytes_of(server, "no-answer", seconds=0.1)
    assert (answer.data, answer.end) == (b"", "closed")
    server.inject("no-answer")
    host, port, _ = split(server.api_url)
    with socket.create_connection((host, port)) as sock, trusting(server).wrap_socket(sock, server_hostname=host) as tls:
        tls.sendall(get("/v0.1/auth"))
        server.wait_for(path="/auth", seconds=DEADLINE)
        assert len(server.listeners["api"].connections) == 1
    wait_until(lambda: not server.listeners["api"].connections, "the server lets go when the client does")


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_head_only(server):
    answer = bytes_of(server, "head-only", until=lambda data: b"\r\n\r\n" in data)
    assert (answer.end, answer.body) == ("waiting", b"") and answer.length == len(regular(server))


def test_closed_and_reset(server):
    assert bytes_of(server, "close-before-answer").data == b""
    answer = bytes_of(server, "reset-before-answer")
    assert (answer.data, answer.end) == (b"", "reset")
    answer = bytes_of(server, "close-in-head")
    assert answer.data.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\n\r\n" not in answer.data
    answer = bytes_of(server, "reset-in-body")
    assert answer.end == "reset" and 0 < len(answer.body) < answer.length


CHECKED.update(["body-short", "body-long", "huge-body", "slow-head", "slow-body", "chunked", "chunked-cut", "chunked-no-end",
                "chunked-endless", "chunked-bad-size", "chunked-huge-size"])


def test_lengths(server):
    body = regular(server)
    answer = bytes_of(server, "body-short", missing=7)
    assert (answer.body, answer.length) == (body, len(body) + 7)
    answer = bytes_of(server, "body-long", more=7)
    assert (answer.body, answer.length) == (body, len(body) - 7)
    answer = bytes_of(server, "huge-body", bytes=300000)
    assert len(answer.body) == answer.length == 300000 and answer.body.startswith(b"[0,0,")
    # a client that goes away early ends it early
    answer = bytes_of(server, "huge-body", limit=100000)
    assert answer.end == "limit" and answer.length == 64 << 20


def test_chunks(server):
    body = regular(server)
    assert seen(server, "chunked", size=5).body == body
    assert b"5\r\n" + body[:5] + b"\r\n" in bytes_of(server, "chunked").data.replace(b"7\r\n", b"5\r\n").replace(body[:7], body[:5])
    answer = bytes_of(server, "chunked-cut")
    assert answer.body == f"{len(body):x}\r\n".encode() + body[:-2]
    for name in ("chunked-cut", "chunked-no-end", "chunked-bad-size"):
        with pytest.raises(http.client.IncompleteRead):
            seen(server, name)
    assert bytes_of(server, "chunked-no-end").body == f"{len(body):x}\r\n".encode() + body + b"\r\n"
    assert bytes_of(server, "chunked-bad-size").body.startswith(b"xyz\r\n")
    assert bytes_of(server, "chunked-huge-size").body.startswith(b"1ffffffffffffffff\r\n")
    answer = bytes_of(server, "chunked-endless", bytes=200000)
    assert answer.body.count(b"10000\r\n") == 4 and not answer.body.endswith(b"0\r\n\r\n") and answer.end == "closed"


def test_drips(server):
    for name, part in (("slow-head", "head"), ("slow-body", "body")):
        answer = bytes_of(server, name, interval=0.01, seconds=0.1)
        assert len(answer.data if part == "head" else answer.body) == 10, name
    answer = bytes_of(server, "slow-body", interval=0, seconds=1)
    assert answer.body == regular(server), "all of it, when there is time"


# ---- HTTP ----

def lines(answer):
    return answer.head.split(b"\r\n")


@about({
    "header-flood": lambda a: len(lines(a)) > 10000 and b"X-Flood-9999: " + b"x" * 20 in lines(a),
    "header-long": lambda a: max(map(len, lines(a))) > 1000000,
    "header-folded": lambda a: b"X-Folded: one\r\n two\r\n" in a.head,
    "header-no-colon": lambda a: lines(a)[1] == b"this is no header",
    "header-control": lambda a: b"\r\nX-Control: a\0b\x1b[31mc\r\n" in a.head,
    "status-line-bad": lambda a: lines(a)[0] == b"HTTP/1.1 OK",
    "status-999": lambda a: a.data.startswith(b"HTTP/1.1 999 "),
    "http-0.9": lambda a: a.data.startswith(b'{"sessions"'),
    "http-1.0": lambda a: a.data.startswith(b"HTTP/1.0 200 OK\r\n") and b"Content-Length" not in a.head,
    "http-2-line": lambda a: a.data.startswith(b"HTTP/2 200 OK\r\n"),
    "smtp": lambda a: a.data.startswith(b"220 "),
    "continue-flood": lambda a: a.data.count(b"HTTP/1.1 100 Continue\r\n\r\n") == 1000 and b"HTTP/1.1 200 OK" in a.data,
    "length-twice": lambda a: len({x for x in lines(a) if x.startswith(b"Content-Length: ")}) == 2,
    "length-negative": lambda a: b"Content-Length: -5" in lines(a),
    "length-absurd": lambda a: a.length == 1 << 65 and a.end == "closed",
    "length-and-chunked": lambda a: b"Transfer-Encoding: chunked" in lines(a) and a.length > 0 and a.body.endswith(b"\r\n0\r\n\r\n"),
    "encoding-unknown": lambda a: b"Content-Encoding: rot13" in lines(a),
    "status-204-body": lambda a: lines(a)[0] == b"HTTP/1.1 204 No Content" and len(a.body) == a.length > 0,
})
def test_http(server, name, expected):
    assert expected(bytes_of(server, name, limit=4 << 20))


CHECKED.update(["second-answer", "gzip", "gzip-bomb"])


def test_second_answer(server):
    server.inject("second-answer")
    answer = raw(server, get("/v0.1" + LIST, close=False), lambda data: b"smuggled" in data)
    assert answer.data.count(b"HTTP/1.1 200 OK") == 2 and answer.data.endswith(b'{"smuggled": true}') and answer.end == "waiting"


def test_gzip(server):
    reply = seen(server, "gzip")
    assert reply.headers["Content-Encoding"] == "gzip" and gzip.decompress(reply.body) == regular(server)
    reply = seen(server, "gzip-bomb", bytes=8 << 20)
    assert len(reply.body) < 20000 and gzip.decompress(reply.body) == b" " * (8 << 20)


# ---- statuses ----

@about({
    "bad-request": 400, "bad-request-messages": 400, "bad-request-drf": 400, "bad-request-fields": 400, "bad-request-ansi": 400,
    "bad-request-long": 400, "unauthorized": 401, "unauthorized-bare": 401, "unauthorized-basic": 401, "forbidden": 403,
    "insufficient-scope": 403, "not-found": 404, "method-not-allowed": 405, "conflict": 409, "conflict-overlapping": 409,
    "conflict-existing": 409, "gone": 410, "legal-reasons": 451, "unprocessable": 422, "too-many": 429, "too-many-bare": 429,
    "too-many-absurd": 429, "too-many-negative": 429, "too-many-garbage": 429, "too-many-past": 429, "too-many-date": 429,
    "server-error": 500, "server-error-empty": 500, "server-error-trace": 500, "bad-gateway-html": 502, "unavailable": 503,
    "unavailable-bare": 503, "accepted": 202, "ok-error": 200,
    "redirect-301": 301, "redirect-302": 302, "redirect-303": 303, "redirect-307": 307, "redirect-308": 308, "redirect-300": 300,
    "redirect-loop": 302, "redirect-file": 302, "redirect-no-location": 302})
def test_status(server, name, expected):
    assert seen(server, name).status == expected
    assert api(server, "GET", LIST).status == 200, "and only once"


@about({
    "unauthorized": ("WWW-Authenticate", 'Bearer realm="peering-api", error="invalid_token"'),
    "unauthorized-bare": ("WWW-Authenticate", None), "unauthorized-basic": ("WWW-Authenticate", 'Basic realm="admin"'),
    "insufficient-scope": ("WWW-Authenticate", 'Bearer realm="peering-api", error="insufficient_scope", scope="peering-api"'),
    "too-many": ("Retry-After", "2"), "too-many-bare": ("Retry-After", None), "too-many-absurd": ("Retry-After", "1" + "0" * 18),
    "too-many-negative": ("Retry-After", "-5"), "too-many-garbage": ("Retry-After", "soon"),
    "too-many-past": ("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"), "unavailable": ("Retry-After", "2"),
    "unavailable-bare": ("Retry-After", None), "redirect-loop": ("Location", "/v0.1" + LIST),
    "redirect-file": ("Location", "file:///etc/passwd"), "redirect-no-location": ("Location", None)})
def test_headers(server, name, expected):
    assert seen(server, name).headers[expected[0]] == expected[1]


def test_what_errors_say(server):
    assert seen(server, "bad-request").json["errors"]["errors"][0]["errors"]
    assert seen(server, "bad-request-messages").json["errors"][0]["messages"]
    assert "detail" in seen(server, "bad-request-drf").json
    assert "\x1b[2J" in seen(server, "bad-request-ansi").json["errors"]["errors"][0]["name"]
    assert len(seen(server, "bad-request-long").json["errors"]["errors"]) == 1000
    assert "overlapping_ips" in seen(server, "conflict-overlapping").json
    assert "existing_session_ips" in seen(server, "conflict-existing").json
    assert "errors" in seen(server, "ok-error").json
    assert seen(server, "bad-gateway-html").headers["Content-Type"] == "text/html"
    assert seen(server, "server-error-empty").body == b""
    server.inject("server-error-trace")
    assert b"Bearer s3cret" in api(server, "GET", LIST, token="s3cret").body
    then = email.utils.parsedate_to_datetime(seen(server, "too-many-date", seconds=100).headers["Retry-After"])
    assert 90 < (then - datetime.datetime.now(datetime.timezone.utc)).total_seconds() < 110
    assert seen(server, "too-many", seconds=7).headers["Retry-After"] == "7"


def test_redirects_lead_to_the_trap(server):
    for name in ("redirect-301", "redirect-302", "redirect-303", "redirect-307", "redirect-308"):
        assert seen(server, name).headers["Location"] == server.trap_url + "/v0.1" + LIST
    reply = seen(server, "redirect-300")
    assert reply.headers["Location"] == server.trap_url + "/v0.1" + LIST and reply.body == regular(server)
    assert seen(server, "redirect-302", location="http://x.example/").headers["Location"] == "http://x.example/"
    assert server.requests(listener="trap") == []
    fetch(server, "GET", server.trap_url + "/v0.1/x", headers={"Authorization": "Bearer t"})
    entry, = server.requests(listener="trap")
    assert entry["path"] == "/v0.1/x" and ["Authorization", "Bearer (8 characters)"[:7] + "(1 characters)"] in entry["headers"]


# ---- bodies ----

def refuses(decode=lambda b: b.decode("utf-8")):
    """True when a strict JSON reader refuses the body."""
    def test(reply):
        try:
            json.loads(decode(reply.body), parse_constant=lambda c: 1 / 0)
        except (ValueError, RecursionError, ZeroDivisionError):
            return True
        return False
    return test


def pairs(reply):
    return json.loads(reply.body, object_pairs_hook=list)


@about({
    "json-truncated": refuses(), "json-deep": refuses(), "json-deep-member": refuses(), "json-invalid-utf8": refuses(),
    "json-latin1": refuses(), "json-raw-nul": refuses(), "json-raw-control": refuses(), "json-trailing": refuses(),
    "json-bom": refuses(), "json-utf16": refuses(), "json-comment": refuses(), "json-nan": refuses(), "html-as-json": refuses(),
    "empty-body": lambda r: r.body == b"" and r.headers["Content-Length"] == "0", "whitespace-body": lambda r: r.body.strip() == b"",
    "json-duplicate-keys": lambda r: [v for n, v in pairs(r) if n == "sessions"][0] is None and r.json["sessions"],
    "json-nul": lambda r: r.json["x"] == "a\0b" and b"\0" not in r.body, "json-nul-key": lambda r: "sessions\0x" in r.json,
    "json-lone-surrogate": lambda r: r.json["x"] == "\ud800" and r.json["sessions"],
    "json-big-number": lambda r: r.json["x"] > 1 << 64 and r.json["y"] == float("inf"),
    "json-wide": lambda r: len(r.json["x"]) == 1000000, "json-long-string": lambda r: len(r.json["x"]) == 1 << 20,
    "json-many-keys": lambda r: len(r.json) > 100000,
    "html": lambda r: r.headers["Content-Type"] == "text/html" and r.body.startswith(b"<!DOCTYPE"),
    "wrong-content-type": lambda r: r.headers["Content-Type"] == "text/html" and r.json["sessions"],
    "json-subtype": lambda r: r.headers["Content-Type"] == "application/vnd.peering+json; charset=utf-8" and r.json["sessions"],
    "no-content-type": lambda r: r.headers["Content-Type"] is None and r.json["sessions"],
    "empty-list": lambda r: r.json == [], "empty-object": lambda r: r.json == {}, "null": lambda r: r.json is None,
    "number": lambda r: r.json == 42, "string": lambda r: r.json == "ok", "null-list": lambda r: r.json["sessions"] is None,
    "object-for-list": lambda r: isinstance(r.json["sessions"]["0"], dict), "string-list": lambda r: r.json["sessions"] == [IX] * 2,
    "null-items": lambda r: r.json["sessions"][0] is None and len(r.json["sessions"]) == 3,
    "list-for-object": lambda r: r.json[0]["sessions"],
})
def test_body(server, name, expected):
    reply = seen(server, name)
    assert reply.status == 200 and expected(reply), reply.body[:300]


def test_body_of_a_post_takes_effect(server):
    server.clear_sessions()
    server.inject("json-truncated", method="POST")
    assert api(server, "POST", "/sessions", [session()]).status == 200
    assert len(server.sessions()) == 1


# ---- pages ----

def walk(server, most=5):
    """The pages that a client without any care would read."""
    pages, token = [], None
    while len(pages) < most:
        more = "" if token is None else "&next_token=" + urllib.parse.quote(str(token), safe="")
        pages.append(api(server, "GET", LIST + more).json)
        token = pages[-1].get("next_token")
        if token is None:
            break
    return pages


def ids(page):
    return [s["session_id"] for s in page["sessions"]]


CHECKED.update(n for n in CATALOGUE if CATALOGUE[n].group == "paging")


def test_pages_without_end(server):
    server.inject("next-token-repeats", count=None)
    pages = walk(server)
    assert len(pages) == 5 and {p["next_token"] for p in pages} == {"again"} and ids(pages[0]) == ids(pages[4]) == ["one", "two"]
    server.clear_injections()
    server.inject("next-token-cycle", count=None)
    assert [p["next_token"] for p in walk(server)] == ["cycle-1", "cycle-2", "cycle-0", "cycle-1", "cycle-2"]
    server.clear_injections()
    server.inject("pages-endless", count=None)
    pages = walk(server)
    assert len({p["next_token"] for p in pages}) == 5 and len({i for p in pages for i in ids(p)}) == 10
    server.clear_injections()
    server.inject("pages-empty", count=None)
    pages = walk(server)
    assert len({p["next_token"] for p in pages}) == 5 and not any(ids(p) for p in pages)


def test_odd_pages(server):
    assert ids(seen(server, "page-duplicates").json) == ["one", "two", "one", "two"]
    assert seen(server, "next-token-number").json["next_token"] == 12345
    assert seen(server, "next-token-null").json["next_token"] is None
    assert seen(server, "next-token-empty").json["next_token"] == ""
    assert len(seen(server, "next-token-long").json["next_token"]) == 200000
    assert ids(seen(server, "list-cut").json) == ["one"]
    assert seen(server, "list-gone").json == {"sessions": []}
    token = seen(server, "next-token-stale").json["next_token"]
    assert api(server, "GET", f"{LIST}&next_token={token}").status == 400


def test_a_token_that_must_be_encoded(server):
    server.inject("next-token-nasty", count=2)
    pages = walk(server)
    assert [p.get("next_token") for p in pages] == [NASTY, None]
    assert server.requests()[-1]["query"] == [["asn", str(US)], ["next_token", NASTY]]


# ---- contents ----

def holds(check, *values):
    """A field that is not there is not as it should be."""
    try:
        return check(*values)
    except KeyError:
        return False


def first(check):
    return lambda value: check(value["sessions"][0])


def every(field, expected):
    return lambda value: all(s.get(field, "missing") == expected for s in value["sessions"])


def has(field, text):
    return lambda value: all(text in s[field] for s in value["sessions"])


def receiver(check):
    return lambda value: all(check(s["botls"].get("receiver")) for s in value["sessions"])


CONTENTS = {
    "status-unknown": every("status", "Marinating"), "status-missing": every("status", "missing"), "status-null": every("status", None),
    "status-number": every("status", 200), "status-case": every("status", "aPPROVED"), "status-ansi": has("status", "\x1b[2J"),
    "status-contradicts": every("status", "Rejected"),
    "asn-foreign": every("peer_asn", 64666), "asn-not-ours": every("local_asn", 64666), "asn-negative": every("peer_asn", -1),
    "asn-zero": every("peer_asn", 0), "asn-beyond-32": every("peer_asn", 2**32),
    "asn-beyond-63": first(lambda s: s["peer_asn"] > 2**63 and s["peer_asn"] % 2**32 == THEM),
    "asn-beyond-64": first(lambda s: s["peer_asn"] - 2**64 == THEM), "asn-float": every("peer_asn", 64501.5),
    "asn-text": every("peer_asn", "AS64501"), "asn-missing": every("peer_asn", "missing"),
    "asn-bool": first(lambda s: s["peer_asn"] is True),
    "asn-swapped": first(lambda s: (s["local_asn"], s["peer_asn"], s["local_ip"]) == (THEM, US, "192.0.2.2")),
    "sides-swapped": first(lambda s: (s["local_asn"], s["peer_asn"], s["local_ip"]) == (THEM, US, "192.0.2.1")),
    "ip-missing": every("peer_ip", "missing"), "ip-empty": every("peer_ip", ""), "ip-null": every("peer_ip", None),
    "ip-number": first(lambda s: isinstance(s["peer_ip"], int)), "ip-name": every("peer_ip", "router.example.net"),
    "ip-loopback": every("peer_ip", "127.0.0.1"), "ip-any": every("peer_ip", "0.0.0.0"), "ip-multicast": every("peer_ip", "ff02::1"),
    "ip-zone": every("peer_ip", "fe80::1%eth0"), "ip-mapped": every("peer_ip", "::ffff:192.0.2.1"),
    "ip-short": every("peer_ip", "192.0.513"), "ip-octal": every("peer_ip", "192.000.002.001"), "ip-configuration": has("peer_ip", "\n"),
    "ip-foreign": lambda v: [s["peer_ip"] for s in v["sessions"]] == ["192.0.2.100", "2001:db8::64"],
    "ip-ours": first(lambda s: s["peer_ip"] == s["local_ip"]), "ip-not-ours": first(lambda s: s["local_ip"] == "192.0.2.79"),
    "ip-port": lambda v: [s["peer_ip"] for s in v["sessions"]] == ["192.0.2.1:179", "[2001:db8::1]:179"],
    "ip-prefix": first(lambda s: s["peer_ip"] == "192.0.2.1/24"), "ip-family": first(lambda s: ":" in s["peer_ip"]),
    "session-id-slash": every("session_id", "a/b/c"), "session-id-dots": every("session_id", "../../locations"),
    "session-id-query": every("session_id", "x?asn=1#y"), "session-id-percent": every("session_id", "a%2fb%00c"),
    "session-id-control": has("session_id", "\r\n"), "session-id-ansi": has("session_id", "\x1b"),
    "session-id-long": first(lambda s: len(s["session_id"]) == 100000), "session-id-empty": every("session_id", ""),
    "session-id-missing": every("session_id", "missing"), "session-id-null": every("session_id", None),
    "session-id-object": every("session_id", {"id": 1}), "session-id-huge": every("session_id", 2**70),
    "session-id-same": every("session_id", "same"), "session-id-changed": lambda v: ids(v) == ["changed-0", "changed-1"],
    "location-foreign": every("location", {"id": "pdb:ix:4242", "type": "public"}),
    "location-bad": first(lambda s: s["location"]["type"] == "sideways"), "location-null": every("location", None),
    "text-ansi": has("peer_type", "\x1b]0;"), "text-long": first(lambda s: len(s["peer_type"]) == 1000000),
    "text-bidi": has("peer_type", "\u202e"), "secret-changed": every("md5", "server-chosen"), "secret-injection": has("md5", '"; }\n'),
    "secret-object": every("md5", {"md5": "x"}), "secret-echoed": first(lambda s: s["md5"] == "s3cret"),
    "role-mismatch": first(lambda s: (s["local_bgp_role"], s["peer_bgp_role"]) == (0, 0)),
    "unknown-fields": first(lambda s: "" in s and s["x_vendor"]),
    "extra-foreign": lambda v: [s["peer_asn"] for s in v["sessions"]] == [THEM, THEM, 64666],
    "extra-many": lambda v: len(v["sessions"]) == 10002, "sessions-missing": lambda v: len(v["sessions"]) == 1,
    "accepted-and-rejected": lambda v: len(v["errors"]["errors"]) == len(v["sessions"]) == 2,
    "request-id-missing": every("request_id", "missing"), "request-id-changed": has("request_id", "00000000-"),
    "request-id-nasty": has("request_id", "\r\n"),
    "botls-missing": every("botls", "missing"), "botls-null": every("botls", None),
    "botls-list": first(lambda s: isinstance(s["botls"], list)), "botls-transport": first(lambda s: s["botls"]["transport"] != "tls"),
    "botls-no-receiver": receiver(lambda r: r is None), "botls-requester-changed": first(lambda s: s["botls"]["requester"]["port"] == 1),
    "botls-port-0": receiver(lambda r: r["port"] == 0), "botls-port-179": receiver(lambda r: r["port"] == 179),
    "botls-port-65536": receiver(lambda r: r["port"] == 65536), "botls-port-text": receiver(lambda r: r["port"] == "8179"),
    "botls-pins-empty": receiver(lambda r: r["pins"] == []), "botls-pin-short": receiver(lambda r: r["pins"] == ["sha256/AAAA"]),
    "botls-pin-sha1": receiver(lambda r: r["pins"][0].startswith("sha1/")), "botls-pin-injection": receiver(lambda r: "\n" in r["pins"][0]),
    "botls-pins-string": receiver(lambda r: isinstance(r["pins"], str)), "botls-pins-many": receiver(lambda r: len(r["pins"]) == 10000),
}


@about(CONTENTS)
def test_contents(server, name, expected):
    before = server.sessions()
    good = api(server, "GET", LIST).json
    assert not holds(expected, good), "the regular answer is not like that"
    assert expected(seen(server, name).json)
    assert server.sessions() == before and api(server, "GET", LIST).json == good, "the server itself is as before"


@pytest.mark.parametrize("profile, path, method, body", [
    ("openapi", "/sessions", "POST", [session(peer_ip="192.0.2.1", local_ip="192.0.2.9")]), ("openapi", "/sessions/one", "GET", None),
    ("openapi", "/sessions/one", "DELETE", None), ("era-a", f"/get_status?asn={US}", "GET", None),
    ("peerctl", f"/get_status?asn={US}", "GET", None)])
def test_contents_are_found_in_every_answer(server, profile, path, method, body):
    server.configure(profile=profile)
    server.inject("status-unknown")
    assert b'"status": "Marinating"' in api(server, method, path, body).body
    assert server.requests()[-1]["applied"] is True


def test_nothing_to_spoil_is_told(server):
    server.inject("asn-swapped")
    assert api(server, "GET", f"/locations?asn={US}").status == 200
    assert server.requests()[-1]["applied"] is False
    server.inject("list-cut", path="/auth")
    api(server, "GET", "/auth")
    assert server.requests()[-1]["applied"] is False


# ---- OAuth and PeeringDB ----

def ask_token(server):
    return fetch(server, "POST", server.oauth.token_url, b"grant_type=client_credentials&client_id=us&client_secret=s3cret",
                 kind="application/x-www-form-urlencoded")


@about({
    "token-missing": lambda v: "access_token" not in v, "token-empty": lambda v: v["access_token"] == "",
    "token-number": lambda v: v["access_token"] == 12345, "token-control": lambda v: "\r\n" in v["access_token"],
    "token-space": lambda v: " " in v["access_token"], "token-unicode": lambda v: v["access_token"] == "t\u00f6ken",
    "token-long": lambda v: len(v["access_token"]) == 1 << 20, "token-wrong": lambda v: v["access_token"] == "wrong-token",
    "token-type-mac": lambda v: v["token_type"] == "mac", "token-type-case": lambda v: v["token_type"] == "bEARER",
    "token-type-missing": lambda v: "token_type" not in v, "expires-missing": lambda v: "expires_in" not in v,
    "expires-zero": lambda v: v["expires_in"] == 0, "expires-negative": lambda v: v["expires_in"] == -1,
    "expires-huge": lambda v: v["expires_in"] == 1 << 64, "expires-text": lambda v: v["expires_in"] == "3600",
    "expires-float": lambda v: v["expires_in"] == 3600.5, "scope-less": lambda v: v["scope"] == "nothing",
    "token-invalid-client": lambda v: v["error"] == "invalid_client" and "\x1b" in v["error_description"],
    "token-invalid-scope": lambda v: v["error"] == "invalid_scope", "token-unavailable": lambda v: v["error"] == "temporarily_unavailable",
})
def test_token(server, name, expected):
    assert not holds(expected, ask_token(server).json)
    server.inject(name)
    reply = ask_token(server)
    assert expected(reply.json) and server.requests()[-1]["applied"]
    assert reply.status == {"token-invalid-client": 401, "token-invalid-scope": 400, "token-unavailable": 503}.get(name, 200)


@about({
    "metadata-issuer": lambda v, s: v["issuer"] == "https://issuer.example", "metadata-no-endpoint": lambda v, s: "token_endpoint" not in v,
    "metadata-clear-text": lambda v, s: v["token_endpoint"].startswith("http:"),
    "metadata-foreign": lambda v, s: v["token_endpoint"] == s.trap_url + "/token",
    "metadata-not-url": lambda v, s: v["token_endpoint"] == "../../etc/passwd"})
def test_metadata(server, name, expected):
    url = server.oauth.base_url() + "/.well-known/oauth-authorization-server"
    assert not holds(expected, fetch(server, "GET", url).json, server)
    server.inject(name)
    assert expected(fetch(server, "GET", url).json, server) and server.requests()[-1]["applied"]


@about({
    "pdb-empty": ("/net", lambda v: v["data"] == []), "pdb-no-data": ("/net", lambda v: "data" not in v),
    "pdb-throttled": ("/net", lambda v: "throttled" in v.get("message", "")), "pdb-error": ("/net", lambda v: v["meta"].get("error")),
    "pdb-meta-error": ("/net", lambda v: v["meta"].get("error")), "pdb-asn-other": ("/net", lambda v: v["data"][0]["asn"] == 64666),
    "pdb-not-operational": ("/netixlan", lambda v: v["data"][0]["operational"] is False),
    "pdb-pending": ("/netixlan", lambda v: v["data"][0]["status"] == "pending"),
    "pdb-ip-null": ("/netixlan", lambda v: v["data"][0]["ipaddr4"] is None),
    "pdb-ip-foreign": ("/netixlan", lambda v: v["data"][0]["ipaddr4"] == "198.51.100.66"),
    "pdb-ip-bad": ("/netixlan", lambda v: ";" in v["data"][0]["ipaddr4"]),
    "pdb-prefix-all": ("/ixpfx", lambda v: v["data"][0]["prefix"] == "0.0.0.0/0"),
    "pdb-prefix-bad": ("/ixpfx", lambda v: v["data"][0]["prefix"] == "192.0.2.0/99"),
    "pdb-max-zero": ("/net", lambda v: v["data"][0]["info_prefixes4"] == 0),
    "pdb-max-null": ("/net", lambda v: v["data"][0]["info_prefixes4"] is None),
    "pdb-max-negative": ("/net", lambda v: v["data"][0]["info_prefixes4"] == -5),
    "pdb-as-set-option": ("/net", lambda v: v["data"][0]["irr_as_set"].startswith("-x")),
    "pdb-name-ansi": ("/net", lambda v: "\x1b" in v["data"][0]["name"])})
def test_peeringdb(server, name, expected):
    path, check = expected
    assert not holds(check, fetch(server, "GET", server.peeringdb_url + path).json)
    server.inject(name, listener="peeringdb")
    reply = fetch(server, "GET", server.peeringdb_url + path)
    assert check(reply.json) and server.requests()[-1]["applied"]
    assert reply.status == {"pdb-throttled": 429, "pdb-error": 500}.get(name, 200)


# ---- which requests are met ----

def test_which_requests_are_met(server):
    server.inject("server-error", path="/sessions", method="GET", count=2, skip=1)
    assert [api(server, "GET", p).status for p in ("/auth", "/sessions/one", LIST, LIST, LIST, LIST)] == [200, 200, 200, 500, 500, 200]
    assert server.injections_left() == []
    server.inject("server-error", path="/v0.1/sessions/*", count=None)
    assert [api(server, "GET", p).status for p in ("/sessions/one", "/sessions/two", LIST)] == [500, 500, 200]
    assert server.clear_injections() == 1
    server.inject("server-error", listener="auth")
    assert api(server, "GET", LIST).status == 200 and len(server.injections_left()) == 1


def test_injections_come_in_turn(server):
    for name in ("server-error", "too-many", "forbidden"):
        server.inject(name)
    assert [api(server, "GET", LIST).status for _ in range(4)] == [500, 429, 403, 200]


def test_whether_the_request_takes_effect(server):
    server.clear_sessions()
    server.inject("server-error")
    assert api(server, "POST", "/sessions", [session()]).status == 500 and server.sessions() == []
    server.inject("server-error", act=True)
    assert api(server, "POST", "/sessions", [session()]).status == 500 and len(server.sessions()) == 1
    server.inject("close-before-answer", method="DELETE", act=True)
    with pytest.raises(http.client.RemoteDisconnected):
        api(server, "DELETE", f"/sessions/{server.sessions()[0]['id']}")
    assert server.sessions() == []


def test_a_typing_mistake_is_told(server):
    for arguments in ({"name": "no-anser"}, {"name": "no-answer", "bytes": 1}):
        with pytest.raises(Wrong):
            server.inject(**arguments)


def test_every_misbehaviour_has_a_test():
    assert len(CATALOGUE) >= 35
    assert sorted(CATALOGUE) == sorted(CHECKED)
    assert all(m.text and not m.text.endswith(".") for m in CATALOGUE.values())


def test_the_readme_lists_them():
    readme = (pathlib.Path(__file__).resolve().parents[1] / "peering_api" / "README.md").read_text()
    for m in CATALOGUE.values():
        arguments = ", ".join(f"{k}={json.dumps(v)}" for k, v in m.defaults.items())
        assert f"| `{m.name}` | {m.text} | {arguments} |" in readme
    assert f"can make {len(CATALOGUE)} mistakes" in readme
    assert all(f"`{name}` |" in readme for name in control.CALLS)
