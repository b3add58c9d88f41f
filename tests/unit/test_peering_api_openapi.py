# SPDX-License-Identifier: Apache-2.0
"""tests/peering_api: what deviates from the OpenAPI files is seen, in requests and in answers, and what may is a table."""
import json
import socket

import pytest
from peering_rig import BOTLS, DEADLINE, IX, PIN, THEM, US, api, fetch, get, make, session, split

from peering_api import differences


@pytest.fixture(scope="module")
def shared():
    with make(tls=False) as server:
        yield server


@pytest.fixture
def server(shared):
    shared.reset()
    yield shared
    assert shared.failures() == []


def deviations(server):
    return [(d["side"], d["code"], d["at"]) for d in server.deviations()]


# ---- requests that are wrong ----

BODY = session()
WRONG = [
    ("GET", "/locations", None, ("required-query", "?asn")),
    ("GET", "/locations?asn=AS64500", None, ("type", "?asn")),
    ("GET", "/locations?asn=064500", None, ("type", "?asn")),
    ("GET", f"/locations?asn={US}&asn={US}", None, ("repeated-query", "?asn")),
    ("GET", f"/locations?asn={US}&location_type=PUBLIC", None, ("enum", "?location_type")),
    ("GET", f"/locations?asn={US}&max_results=101", None, ("range", "?max_results")),
    ("GET", f"/locations?asn={US}&request_id=x", None, ("unknown-query", "?request_id")),
    ("GET", f"/sessions?asn={US}&limit=5", None, ("unknown-query", "?limit")),
    ("GET", f"/sessions?asn={US}", {}, ("body", "body")),
    ("GET", "/session", None, ("path", "/v0.1/session")),
    ("GET", "/sessions/", None, ("path", "/v0.1/sessions/")),
    ("GET", "/list_locations?asn=1", None, ("path", "/v0.1/list_locations")),
    ("PUT", "/sessions", [BODY], ("path", "/v0.1/sessions")),
    ("POST", "/sessions", b"", ("json", "body")),
    ("POST", "/sessions", b"[{}", ("json", "body")),
    ("POST", "/sessions", json.dumps([BODY]).encode().replace(b'"local_asn"', b'"local_ip": "x", "local_asn"'), ("json", "body")),
    ("POST", "/sessions", "text", ("type", "$")),
    ("POST", "/sessions", [{**BODY, "local_as": 1}], ("unknown-property", "$[0].local_as")),
    ("POST", "/sessions", [{**BODY, "local_asn": str(US)}], ("type", "$[0].local_asn")),
    ("POST", "/sessions", [{**BODY, "location": IX}], ("type", "$[0].location")),
    ("POST", "/sessions", [{**BODY, "location": {"id": IX, "type": "PUBLIC"}}], ("enum", "$[0].location.type")),
    ("POST", "/sessions", [{**BODY, "session_secret": "x"}], ("unknown-property", "$[0].session_secret")),
    ("POST", "/sessions", [{**BODY, "local_bgp_role": 4}], ("unknown-property", "$[0].local_bgp_role")),
    ("POST", "/sessions", [{**BODY, "md5": None}], ("type", "$[0].md5")),
    ("POST", "/sessions", {"sessions": [BODY], "return_uri": "x"}, ("unknown-property", "$.return_uri")),
    ("POST", "/sessions", {"sessions": [{**BODY, "status": "x"}]}, ("unknown-property", "$.sessions[0].status")),
    ("POST", "/sessions", [{**BODY, "botls": {"transport": "tls"}}], ("required", "$[0].botls.requester")),
    ("POST", "/sessions", [{**BODY, "botls": {**BOTLS, "transport": "tcp"}}], ("enum", "$[0].botls.transport")),
    ("POST", "/sessions", [{**BODY, "botls": {**BOTLS, "receiver": BOTLS["requester"]}}], ("unknown-property", "$[0].botls.receiver")),
    ("POST", "/sessions", [{**BODY, "botls": {"transport": "tls", "requester": {"port": 0, "pins": [PIN]}}}],
     ("range", "$[0].botls.requester.port")),
    ("POST", "/sessions", [{**BODY, "botls": {"transport": "tls", "requester": {"port": 1, "pins": [PIN[:-1]]}}}],
     ("pattern", "$[0].botls.requester.pins[0]")),
    ("DELETE", "/sessions", [{"id": "x"}], ("unknown-property", "$[0].id")),
    ("DELETE", "/sessions", {"sessions": []}, ("type", "$")),
]


@pytest.mark.parametrize("method, path, body, expected", WRONG)
def test_a_wrong_request_deviates(server, method, path, body, expected):
    api(server, method, path, body)
    assert deviations(server) == [("request", *expected)]


def test_other_ways_to_be_wrong(server):
    fetch(server, "POST", server.api_url + "/sessions", [BODY], kind="text/json")
    assert deviations(server) == [("request", "content-type", "Content-Type")]
    server.forget_requests()
    for request in (get("/v0.1/auth").replace(b"Host", b"X-Host"), get("/v0.1/auth").replace(b"HTTP/1.1", b"HTTP/1.0"),
                    get("/v0.1/auth").replace(b"Host", b"Accept: a\r\nAccept: b\r\nHost"), get("/auth")):
        with socket.create_connection(split(server.api_url)[:2], timeout=DEADLINE) as sock:
            sock.sendall(request)
            while sock.recv(4096):
                pass
    assert [d["text"] for d in server.deviations()] == ["no Host", "HTTP/1.0", "accept is there twice", "is not in the OpenAPI file"]


def test_era_a_has_md5_and_uuid_only(server):
    server.configure(profile="era-a")
    api(server, "POST", "/add_sessions", [{**BODY, "md5": "x", "uuid": "y", "session_secret": "z"}])
    assert deviations(server) == [("request", "unknown-property", "$[0].session_secret")]


# ---- answers that would be wrong ----

def test_a_wrong_answer_deviates(server):
    one = api(server, "POST", "/sessions", [BODY]).json["sessions"][0]["session_id"]
    assert deviations(server) == []
    server.update_session(one, more={"nonsense": 1, "status": 5})
    api(server, "GET", f"/sessions/{one}")
    assert deviations(server) == [("answer", "type", "$.status"), ("answer", "unknown-property", "$.nonsense")]
    server.forget_requests()
    server.configure(locations=[{"id": 31, "type": "public"}, {"id": IX, "type": "sideways"}])
    api(server, "GET", f"/locations?asn={US}")
    assert deviations(server) == [("answer", "type", "$.locations[0].id"), ("answer", "enum", "$.locations[1].type")]
    server.reset()
    server.configure(profile={"all_rejected": 200, "create_status": 201})
    api(server, "POST", "/sessions", [BODY])
    assert deviations(server) == [], "201 is a deliberate difference of that profile"


def test_a_misbehaviour_does_not_deviate_and_what_it_spoils_is_checked_before(server):
    server.inject("status-number", count=None)
    one = api(server, "POST", "/sessions", [BODY]).json["sessions"][0]
    assert one["status"] == 200 and deviations(server) == []


def test_no_validation_when_it_is_not_wanted(server):
    server.configure(profile={"openapi": "none"})
    assert api(server, "GET", "/nonsense").status == 404
    assert deviations(server) == []


# ---- the table of differences ----

def spelled(server, ip=4, **more):
    """A session as the profile wants it from us."""
    p = server.settings.profile
    ours, theirs = ("192.0.2.2", "192.0.2.1") if ip == 4 else ("2001:db8::2", "2001:db8::1")
    us, them = ("local", "peer") if p.perspective == "requester" else ("peer", "local")
    asn = str if p.asn == "string" else int
    value = {f"{us}_asn": asn(US), f"{us}_ip": ours, f"{them}_asn": asn(THEM), f"{them}_ip": theirs, "botls": BOTLS}
    value["location"] = {"object": {"id": IX, "type": "PUBLIC" if p.location_case == "upper" else "public"}, "string": IX,
                         "number": 31}[p.location]
    if p.secret != "none":
        value[p.secret] = "x"
    if p.draft_fields:
        value.update(local_bgp_role=4, peer_bgp_role=4, local_insert_asn=True, local_monitoring_session=False)
    return {**value, **more}


def flow(server):
    """Everything that a regular client does, and a few refusals."""
    server.policy([{"index": 1, "decision": "reject", "reason": "no"}])
    p, token = server.settings.profile, "static" if server.settings.auth == "bearer" else None

    def call(method, path, body=None):
        return api(server, method, path, body, token)

    call("GET", "/auth")
    if p.era == "a":
        call("GET", f"/list_locations?asn={US}")
        call("POST", "/add_sessions", [spelled(server), spelled(server, 6)])
        call("POST", "/add_sessions", [spelled(server)])
        call("GET", f"/get_status?asn={US}")
        call("GET", "/get_status?asn=64999")
        call("GET", f"/get_status?asn={US}&request_id=unknown")
        return
    call("GET", f"/locations?asn={US}")
    bodies = [[spelled(server), spelled(server, 6)]] if p.body != "object" else []
    if p.body != "array":
        bodies.append({"sessions": [spelled(server, peer_type="public")], "request_id": "x", "return_url": "https://us.example"})
    for body in bodies:
        call("POST", "/sessions", body)
    for session_ in server.sessions():
        server.update_session(session_["id"], more={"sent_prefixes": 1, "time_window": 5, "is_inbound_filtered": True}
                              if p.request_id == "both" else {})
    call("GET", f"/sessions?asn={US}&request_id={server.sessions()[0]['request_id']}")
    call("GET", f"/sessions?asn={US}&request_id=unknown")
    call("GET", f"/sessions/{server.sessions()[0]['id']}")
    kind = int if p.session_id_kind == "integer" else str
    call("DELETE", "/sessions", [{p.session_id: kind(server.sessions()[0]["id"])}, {p.session_id: kind(99999)}])
    call("POST", "/oauth/client_register", {"idp_base": "https://idp.example"})
    if p.era == "b":
        call("POST", "/sessions", bodies[0] if p.body != "object" else bodies[-1])
        server.configure(delete_decision="human")
        call("DELETE", "/sessions", [{p.session_id: kind(server.sessions()[0]["id"])}])
        call("DELETE", f"/sessions/{server.sessions()[0]['id']}")
        server.configure(delete_decision="allow")
        call("DELETE", f"/sessions/{server.sessions()[0]['id']}")
        server.policy([{"decision": "human"}])
        call("POST", "/sessions", bodies[0])
    if server.settings.auth == "bearer":
        api(server, "GET", "/auth", token="wrong")
        api(server, "GET", "/auth", token="scopeless")
    if server.settings.rate_limit:
        server.configure(rate_limit={"requests": 1, "seconds": 100})
        call("GET", "/auth")


# The settings under which flow() needs each difference.
PM, PEERCTL = {"profile": "peering-manager"}, {"profile": "peerctl"}
BEARER = {"auth": "bearer", "required_scope": "peering-api",
          "tokens": {"static": {"asns": [US], "scope": "peering-api"}, "scopeless": {"scope": ""}}}
NEEDED = {
    "session_secret": {"profile": "draft"}, "bgp_role": {"profile": "draft"}, "insert_asn": {"profile": "draft"},
    "monitoring_session": {"profile": "draft"}, "botls-request": {}, "botls-answer": {},
    "counters": {"profile": {"request_id": "both"}}, "filtered": {"profile": {"request_id": "both"}},
    "time_window": {"profile": {"request_id": "both"}}, "rejection_comment": PM,
    "reason": {"profile": {"reason_name": "reason", "reject_as": "both"}}, "request_id-answer": {"profile": "draft"},
    "request_id-request": {},
    "return_url": {}, "uuid": {"profile": {"session_id": "uuid"}}, "id": {"profile": {"session_id": "id"}},
    "session_id-era-a": {"profile": {"era": "a"}}, "asn-string": PEERCTL, "location-string": PM,
    "location-number": {"profile": {"location": "number"}}, "location-list": PM,
    "location-list-a": {"profile": {"era": "a", "location": "string"}}, "location-case": PEERCTL, "id-integer": PM,
    "post-object": {}, "post-array": {"profile": {"openapi": "autopeer-2024-02-pr21"}}, "items-locations": PEERCTL,
    "items-sessions": PEERCTL, "errors-messages": {"profile": {"errors": "messages"}}, "errors-drf": PM, "errors-detail": PM,
    "errors-overlap": PM, "request_id-query": {}, "client_register": {}, "401": BEARER, "403-auth": BEARER,
    "403-era-a": {"profile": "era-a", **BEARER}, "429": {"rate_limit": {"requests": 100, "seconds": 100}}, "422": {},
    "422-delete": {}, "201": PM, "204": {"profile": {"delete_status": 204}}, "409": PM,
}


def test_every_difference_has_a_test():
    assert sorted(NEEDED) == sorted(d.id for d in differences.TABLE)


@pytest.mark.parametrize("difference", differences.TABLE, ids=lambda d: d.id)
def test_a_difference_is_needed_and_enough(server, difference, monkeypatch):
    assert difference.source and difference.reason
    if difference.code == "type" and difference.instead:
        assert difference.instead.get("type", "object" if difference.id == "post-object" else "array") == difference.name
    for table, expected in ((differences.TABLE, False), ([d for d in differences.TABLE if d is not difference], True)):
        monkeypatch.setattr(differences, "TABLE", table)
        server.reset()
        server.configure(**{**NEEDED[difference.id], "locations": [{"id": IX, "type": "public"}, {"id": "pdb:ix:26"}]})
        flow(server)
        assert bool(server.deviations()) == expected, server.deviations()
        assert (server.validator.used[difference.id] > 0) != expected
