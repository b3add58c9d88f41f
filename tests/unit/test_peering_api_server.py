# SPDX-License-Identifier: Apache-2.0
"""tests/peering_api: the endpoints of both eras, what is decided, pages, profiles, the botls object."""
import pytest
from peering_rig import BOTLS, IX, PIN, SERVER_PIN, THEM, US, api, create, errors_of, server, session, shared  # noqa: F401

from peering_api import Wrong


# ---- era B ----

def test_auth(server):
    reply = api(server, "GET", "/auth")
    assert (reply.status, reply.body) == (200, b"")


def test_locations(server):
    reply = api(server, "GET", f"/locations?asn={THEM}")
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/json"
    assert reply.json == {"locations": [{"id": IX, "type": "public"}, {"id": "pdb:ix:26", "type": "public"},
                                        {"id": "pdb:fac:17", "type": "private"}]}
    assert [x["id"] for x in api(server, "GET", f"/locations?asn={US}&location_type=private").json["locations"]] == ["pdb:fac:17"]


@pytest.mark.parametrize("whose, ours, theirs", [("any", 200, 200), ("client", 200, 400), ("server", 400, 200)])
def test_whose_asn_locations_wants(server, whose, ours, theirs):
    server.configure(profile={"locations_asn": whose})
    assert api(server, "GET", f"/locations?asn={US}").status == ours
    assert api(server, "GET", f"/locations?asn={THEM}").status == theirs


def test_pages(server):
    seen, token, asked = [], "", 0
    while token is not None and asked < 9:
        reply = api(server, "GET", f"/locations?asn={US}&max_results=1" + (f"&next_token={token}" if token else ""))
        assert len(reply.json["locations"]) == 1
        seen += [x["id"] for x in reply.json["locations"]]
        token, asked = reply.json.get("next_token"), asked + 1
    assert seen == [IX, "pdb:ix:26", "pdb:fac:17"]


def test_a_server_may_page_by_itself(server):
    server.configure(profile={"page": 2})
    create(server, session(), session(6))
    create(server, session(location={"id": "pdb:ix:26", "type": "public"}, local_ip="198.51.100.2", peer_ip="198.51.100.1"))
    first = api(server, "GET", f"/sessions?asn={US}").json
    second = api(server, "GET", f"/sessions?asn={US}&next_token={first['next_token']}").json
    assert (len(first["sessions"]), len(second["sessions"]), "next_token" in second) == (2, 1, False)


def test_tokens_of_pages_belong_to_their_list(server):
    token = api(server, "GET", f"/locations?asn={US}&max_results=1").json["next_token"]
    assert errors_of(api(server, "GET", f"/sessions?asn={US}&next_token={token}")).keys() == {"next_token"}
    assert api(server, "GET", f"/locations?asn={THEM}&next_token={token}").status == 400
    assert api(server, "GET", f"/locations?asn={US}&next_token=x").status == 400


def test_create(server):
    value = create(server, session(md5="hidden"), session(6))
    assert set(value) == {"sessions"}
    first, second = value["sessions"]
    assert first.pop("session_id") != second.pop("session_id")
    assert first == {**session(), "status": "Approved"}, "and the secret does not come back"
    assert second == {**session(6), "status": "Approved"}
    assert server.sessions()[0]["secret"] == "hidden"
    assert server.sessions()[0]["initiator_asn"] == US


def test_create_with_an_object(server):
    server.configure(profile={"request_id": "both"})
    value = create_object(server, {"sessions": [session()], "request_id": "mine", "return_url": "https://us.example/api"})
    assert value["request_id"] == value["sessions"][0]["request_id"] != "mine"
    server.configure(profile={"adopt_request_id": True})
    server.clear_sessions()
    assert create_object(server, {"sessions": [session()], "request_id": "mine"})["request_id"] == "mine"


def create_object(server, body):
    reply = api(server, "POST", "/sessions", body)
    assert reply.status == 200, reply.body
    return reply.json


def test_only_an_object_or_only_an_array(server):
    server.configure(profile={"body": "object"})
    assert api(server, "POST", "/sessions", [session()]).status == 400
    server.configure(profile={"body": "array"})
    assert api(server, "POST", "/sessions", {"sessions": [session()]}).status == 400
    assert {d["at"] for d in server.deviations()} == {"$"}
    server.forget_requests()


@pytest.mark.parametrize("change, name", [
    ({"peer_asn": 64777}, "sessions[0].peer_asn"), ({"local_asn": THEM}, "sessions[0].local_asn"),
    ({"local_asn": 0}, "sessions[0].local_asn"), ({"local_asn": 1 << 32}, "sessions[0].local_asn"),
    ({"local_ip": "192.0.2"}, "sessions[0].local_ip"), ({"local_ip": "192.0.2.2/24"}, "sessions[0].local_ip"),
    ({"local_ip": "198.51.100.2"}, "sessions[0].local_ip"), ({"peer_ip": "192.0.2.9"}, "sessions[0].peer_ip"),
    ({"local_ip": "2001:db8::2"}, "sessions[0]"), ({"local_ip": "192.0.2.1"}, "sessions[0]"),
    ({"location": {"id": "pdb:ix:4242", "type": "public"}}, "sessions[0].location"),
    ({"location": {"id": "ix 31", "type": "public"}}, "sessions[0].location"),
])
def test_a_bad_session_is_refused(server, change, name):
    reply = api(server, "POST", "/sessions", [session(**change)])
    assert reply.status == 400 and name in errors_of(reply)
    assert server.sessions() == []


@pytest.mark.parametrize("name", ["local_asn", "local_ip", "peer_asn", "peer_ip", "location"])
def test_a_field_that_is_missing(server, name):
    value = session()
    del value[name]
    assert errors_of(api(server, "POST", "/sessions", [value])) == {f"sessions[0].{name}": ["is missing"]}


def test_nothing_of_a_bad_request_is_kept(server):
    assert api(server, "POST", "/sessions", [session(), session(6, peer_asn=1)]).status == 400
    assert api(server, "POST", "/sessions", []).status == 400
    assert server.sessions() == []


def test_partial_approval(server):
    server.policy([{"receiver_ip": "2001:db8::/64", "decision": "reject", "reason": "no IPv6 here"}])
    value = create(server, session(), session(6))
    assert [s["peer_ip"] for s in value["sessions"]] == ["192.0.2.1"]
    assert value["errors"] == {"errors": [{"name": "sessions[1]", "errors": ["no IPv6 here"]}]}
    server.configure(profile={"reject_as": "both", "error_name": "ip", "duplicates": "new"})
    value = create(server, session(), session(6))
    assert [s["status"] for s in value["sessions"]] == ["Approved", "Rejected"]
    assert value["errors"]["errors"][0]["name"] == "2001:db8::2"


@pytest.mark.parametrize("status", [400, 403, 422])
def test_all_rejected(server, status):
    server.configure(profile={"all_rejected": status})
    server.policy(default="reject")
    reply = api(server, "POST", "/sessions", [session()])
    assert reply.status == status and errors_of(reply) == {"sessions[0]": ["rejected"]}


def test_a_human_must_decide(server):
    server.policy([{"index": 1, "decision": "human"}, {"location": "pdb:ix:26", "decision": "forbid", "reason": "not there"}])
    assert api(server, "POST", "/sessions", [session(), session(6)]).status == 422
    other = session(location={"id": "pdb:ix:26", "type": "public"})
    reply = api(server, "POST", "/sessions", [other])
    assert reply.status == 403 and errors_of(reply) == {"request": ["not there"]}
    assert server.sessions() == []


def test_pending_until_it_was_looked_at(server):
    server.policy([{"decision": "pending", "polls": 2, "then": ["approve", "established", "down"]}])
    create(server)
    seen = [api(server, "GET", f"/sessions?asn={US}").json["sessions"][0]["status"] for _ in range(8)]
    assert seen == ["Pending", "Pending", "Approved", "Approved", "Established", "Established", "Down", "Down"]


def test_rules(server):
    server.policy([{"ip": "192.0.2.2", "times": 1, "decision": "reject"}, {"initiator_asn": US, "decision": "pending"}])
    create(server, status=400)
    assert create(server)["sessions"][0]["status"] == "Pending"
    for wrong in ([{"decision": "maybe"}], [{"decision": "approve", "adress": "x"}], [{"decision": "approve", "ip": "x"}],
                  [{"decision": "pending", "then": ["hope"]}]):
        with pytest.raises(Wrong, match="policy"):
            server.policy(wrong)


def test_duplicates(server):
    first = create(server)["sessions"][0]["session_id"]
    assert create(server)["sessions"][0]["session_id"] == first
    server.configure(profile={"duplicates": "conflict"})
    reply = api(server, "POST", "/sessions", [session()])
    assert reply.status == 409 and "192.0.2.2" in errors_of(reply)
    server.configure(profile={"duplicates": "new"})
    assert create(server)["sessions"][0]["session_id"] != first


def test_sessions_that_the_server_adds(server):
    server.configure(profile={"request_id": "both"})
    server.extra_sessions([{"initiator_ip": "2001:db8::2", "receiver_ip": "2001:db8::1"}])
    value = create_object(server, {"sessions": [session()]})
    assert len(value["sessions"]) == 1
    listed = api(server, "GET", f"/sessions?asn={US}&request_id={value['request_id']}").json["sessions"]
    assert [s["peer_ip"] for s in listed] == ["192.0.2.1", "2001:db8::1"]


def test_list_and_one(server):
    ids = [s["session_id"] for s in create(server, session(), session(6))["sessions"]]
    server.decide(ids[0], "down")
    listed = api(server, "GET", f"/sessions?asn={US}").json["sessions"]
    assert [(s["session_id"], s["status"]) for s in listed] == [(ids[0], "Down"), (ids[1], "Approved")]
    assert api(server, "GET", f"/sessions/{ids[0]}").json == listed[0]
    assert api(server, "GET", f"/sessions?asn={US}&request_id={ids[1]}").json["sessions"] == [listed[1]], "also serves as request id"
    assert api(server, "GET", "/sessions/unknown").status == 404
    assert errors_of(api(server, "GET", f"/sessions?asn={US}&request_id=unknown")) == {"request_id": ["is invalid"]}
    assert api(server, "GET", "/sessions?asn=64999").json == {"sessions": []}


@pytest.mark.parametrize("status", [204, 200])
def test_delete_one(server, status):
    server.configure(profile={"delete_status": status})
    one = create(server)["sessions"][0]["session_id"]
    reply = api(server, "DELETE", f"/sessions/{one}")
    assert reply.status == status
    assert reply.body == b"" if status == 204 else reply.json["status"] == "Deleted"
    assert api(server, "DELETE", f"/sessions/{one}").status == 404
    assert server.sessions() == []


def test_delete_that_takes_its_time(server):
    server.configure(profile={"delete_effect": "scheduled"})
    one = create(server)["sessions"][0]["session_id"]
    assert api(server, "DELETE", f"/sessions/{one}").status == 200
    assert api(server, "GET", f"/sessions/{one}").json["status"] == "Deleted"
    server.delete_session(one)
    assert api(server, "GET", f"/sessions/{one}").status == 404


@pytest.mark.parametrize("decision, status", [("human", 422), ("forbid", 403)])
def test_delete_that_is_refused(server, decision, status):
    server.configure(delete_decision=decision)
    one = create(server)["sessions"][0]["session_id"]
    assert api(server, "DELETE", f"/sessions/{one}").status == status
    assert api(server, "DELETE", "/sessions", [{"session_id": one}]).status == status
    assert len(server.sessions()) == 1


def test_delete_batch(server):
    ids = [s["session_id"] for s in create(server, session(), session(6))["sessions"]]
    reply = api(server, "DELETE", "/sessions", [{"session_id": i} for i in [*ids, "unknown"]])
    assert reply.status == 200
    assert [s["session_id"] for s in reply.json["sessions"]] == ids
    assert reply.json["errors"]["errors"] == [{"name": "sessions[2]", "errors": ["does not exist"]}]
    assert server.sessions() == []
    assert api(server, "DELETE", "/sessions", []).status == 400


def test_client_register(server):
    server.configure(auth="bearer")
    reply = api(server, "POST", "/oauth/client_register", {"idp_base": "https://example.com/idp/"})
    assert (reply.status, reply.json) == (200, {"client_id": "client-1"})
    assert api(server, "POST", "/oauth/client_register", {"idp_base": "http://example.com"}).status == 400
    assert server.registered() == [{"idp_base": "https://example.com/idp/", "client_id": "client-1"}]


def test_rate_limit(server):
    server.configure(rate_limit={"requests": 2, "seconds": 60})
    assert [api(server, "GET", "/auth").status for _ in range(3)] == [200, 200, 429]
    assert 55 <= int(api(server, "GET", "/auth").headers["Retry-After"]) <= 60
    server.advance(61)
    assert api(server, "GET", "/auth").status == 200


# ---- era A ----

@pytest.fixture
def era_a(server):
    server.configure(profile="era-a")
    return server


def test_era_a(era_a):
    assert api(era_a, "GET", "/auth").status == 200
    assert api(era_a, "GET", f"/list_locations?asn={US}").json[0] == {"id": IX, "type": "public"}
    reply = api(era_a, "POST", "/add_sessions", [session(), session(6)])
    assert reply.status == 200
    ids = [s.pop("uuid") for s in reply.json]
    assert len(set(ids)) == 2
    assert [s["uuid"] for s in api(era_a, "GET", f"/get_status?asn={US}").json] == ids_of(era_a)
    assert len(api(era_a, "GET", f"/get_status?asn={US}&request_id={ids_of(era_a)[1]}").json) == 1
    assert len(api(era_a, "GET", f"/get_status?asn={US}&request_id={era_a.sessions()[0]['request_id']}").json) == 2
    assert api(era_a, "GET", f"/get_status?asn={US}&request_id=unknown").status == 400


def ids_of(server):
    return [s["id"] for s in server.sessions()]


def test_era_a_modified(era_a):
    era_a.policy([{"index": 1, "decision": "reject"}])
    era_a.extra_sessions([{"initiator_ip": "192.0.2.3", "receiver_ip": "192.0.2.1"}])
    reply = api(era_a, "POST", "/add_sessions", [session(), session(6)])
    assert reply.status == 300 and "Location" not in reply.headers
    assert [(s["local_ip"], s["status"]) for s in reply.json] == [
        ("192.0.2.2", "Approved"), ("192.0.2.3", "Approved"), ("2001:db8::2", "Rejected")]
    assert api(era_a, "POST", "/add_sessions", [session()]).status == 200


def test_era_a_has_no_paths_of_era_b(era_a):
    assert api(era_a, "GET", f"/locations?asn={US}").status == 404
    assert api(era_a, "GET", "/add_sessions").status == 405
    assert [d["code"] for d in era_a.deviations()] == ["path", "path"]
    era_a.forget_requests()


def test_peerctl(server):
    server.configure(profile="peerctl")
    assert server.api_url.endswith("/v0")
    reply = api(server, "GET", f"/list_locations?asn={US}").json
    assert reply["items"][0] == {"id": IX, "type": "PUBLIC"} and reply["requestId"]
    asked = {"peer_asn": str(US), "peer_ip": "192.0.2.2", "local_asn": THEM, "local_ip": "192.0.2.1", "peer_type": "peer",
             "location": {"id": IX, "type": "PUBLIC"}, "md5": "", "status": "pending", "uuid": "c0ffee"}
    reply = api(server, "POST", "/add_sessions", [asked])
    assert reply.status == 200
    listed = api(server, "GET", f"/get_status?request_id={reply.json['requestId']}&asn={US}").json["sessions"]
    assert listed[0]["peer_asn"] == str(US) and listed[0]["status"] == "ok"


# ---- profiles ----

def test_perspective(server):
    server.configure(profile={"perspective": "receiver"})
    asked = session(local_asn=THEM, local_ip="192.0.2.1", peer_asn=US, peer_ip="192.0.2.2")
    value = create(server, asked)["sessions"][0]
    assert (value["local_asn"], value["peer_ip"]) == (THEM, "192.0.2.2")
    assert server.sessions()[0]["initiator_ip"] == "192.0.2.2"
    reply = api(server, "POST", "/sessions", [session()])
    assert reply.status == 400 and "sessions[0].local_asn" in errors_of(reply)


def test_peering_manager(server):
    server.configure(profile="peering-manager")
    asked = {**session(local_ip="192.0.2.2/24", session_secret="x"), "location": IX}
    reply = api(server, "POST", "/sessions", {"sessions": [asked]})
    assert reply.status == 201
    value = reply.json["sessions"][0]
    assert isinstance(value["session_id"], int) and value["location"] == IX and value["local_ip"] == "192.0.2.2/24"
    assert value["request_id"] == reply.json["request_id"] and value["status"] == "accepted"
    assert api(server, "GET", f"/locations?asn={US}").json["locations"][0] == IX
    assert api(server, "GET", f"/sessions/{value['session_id']}").status == 200
    again = api(server, "POST", "/sessions", {"sessions": [asked]})
    assert again.status == 409 and again.json["overlapping_ips"] == ["192.0.2.2"]
    assert api(server, "GET", "/sessions/99").json == {"detail": "session_id: does not exist"}
    assert api(server, "DELETE", f"/sessions/{value['session_id']}").status == 204
    server.policy([{"decision": "reject", "reason": "no capacity"}])
    assert api(server, "POST", "/sessions", {"sessions": [asked]}).json["sessions"][0]["rejection_comment"] == "no capacity"


def test_draft_fields(server):
    server.configure(profile="draft")
    asked = session(session_secret="x", local_bgp_role=3, peer_bgp_role=0, peer_insert_asn=False, local_monitoring_session=True)
    value = create(server, asked)["sessions"][0]
    assert (value["local_bgp_role"], value["peer_bgp_role"], value["peer_insert_asn"], value["local_insert_asn"]) == (3, 0, False, True)
    assert "session_secret" not in value and server.sessions()[0]["secret"] == "x"
    for change in ({"peer_bgp_role": 3}, {"peer_monitoring_session": True}):
        assert "sessions[0]" in errors_of(api(server, "POST", "/sessions", [{**asked, **change}]))


@pytest.mark.parametrize("change, expected", [
    ({"location": "number"}, {"location": 31}), ({"location": "string"}, {"location": IX}),
    ({"asn": "string"}, {"local_asn": str(US)}), ({"ip": "prefix"}, {"peer_ip": "192.0.2.1/24"}),
    ({"status_words": "accepted"}, {"status": "Accepted"}), ({"status_words": {"approved": "Yes"}}, {"status": "Yes"}),
    ({"session_id_kind": "integer", "session_id": "id"}, {"id": 1}), ({"session_id": "uuid"}, {"uuid": "*"}),
    ({"echo_secret": True}, {"md5": "s"}), ({"case": "camel"}, {"localAsn": US, "sessionId": "*"}),
])
def test_spellings(server, change, expected):
    server.configure(profile=change)
    if change.get("session_id_kind"):
        server.state._numbers = 0
    asked = session(md5="s")
    if "location" in expected:
        asked["location"] = expected["location"]
    if change.get("case") == "camel":
        asked = {"localAsn": US, "localIp": "192.0.2.2", "peerAsn": THEM, "peerIp": "192.0.2.1", "peerType": "public",
                 "location": {"id": IX, "type": "public"}}
    value = create(server, asked)["sessions"][0]
    for name, wanted in expected.items():
        assert value[name] == wanted or wanted == "*" and value[name]


@pytest.mark.parametrize("shape, expected", [
    ("nested", {"errors": {"errors": [{"name": "asn", "errors": ["is missing"]}]}}),
    ("messages", {"errors": [{"name": "asn", "messages": ["is missing"]}]}), ("drf", {"detail": "asn: is missing"})])
def test_shapes_of_errors(server, shape, expected):
    server.configure(profile={"errors": shape})
    assert api(server, "GET", "/locations").json == expected
    assert [d["code"] for d in server.deviations()] == ["required-query"]
    server.forget_requests()
    server.policy([{"index": 1, "decision": "reject"}])
    assert "errors" in create(server, session(), session(6))


# ---- the botls object ----

def test_botls(server):
    value = create(server, session(botls=BOTLS))["sessions"][0]
    assert value["botls"] == {**BOTLS, "receiver": {"port": 8179, "pins": [SERVER_PIN]}}
    server.update_session(value["session_id"], botls_receiver={"port": 9179, "pins": [PIN]})
    assert api(server, "GET", f"/sessions/{value['session_id']}").json["botls"]["receiver"]["port"] == 9179


def test_a_server_that_does_not_know_botls_drops_it(server):
    server.configure(botls={})
    assert "botls" not in create(server, session(botls=BOTLS))["sessions"][0]
    assert server.sessions()[0]["botls"] is None
