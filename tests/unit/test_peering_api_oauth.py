# SPDX-License-Identifier: Apache-2.0
"""tests/peering_api: bearer tokens, the token endpoint and its metadata, and the stand-in for PeeringDB."""
import base64
import json
import urllib.parse

import pytest
from peering_rig import THEM, US, api, create, fetch, make, server, session, shared  # noqa: F401

TOKEN = {"auth": "bearer", "tokens": {"static": {"asns": [US]}, "third": {"asns": [64777]}}}


# ---- tokens ----

def test_static_tokens(server):
    server.configure(**TOKEN)
    reply = api(server, "GET", "/auth")
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="peering-api"')
    reply = api(server, "GET", "/auth", token="wrong")
    assert reply.status == 401 and 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
    assert api(server, "GET", "/auth", token="static").status == 200


def test_a_token_speaks_for_its_networks(server):
    server.configure(**TOKEN)
    one = create(server, token="static")["sessions"][0]["session_id"]
    assert api(server, "POST", "/sessions", [session()], token="third").status == 403
    assert api(server, "GET", f"/sessions?asn={US}", token="third").status == 403
    assert api(server, "GET", f"/sessions/{one}", token="third").status == 404
    assert api(server, "DELETE", f"/sessions/{one}", token="third").status == 404
    assert len(server.sessions()) == 1


def ask_token(server, form=None, basic=None, kind="application/x-www-form-urlencoded"):
    headers = {}
    if basic:
        headers["Authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()
    form = {"grant_type": "client_credentials", **(form or {})}
    return fetch(server, "POST", server.oauth.token_url, urllib.parse.urlencode(form, doseq=True).encode(), headers, kind)


def test_client_credentials(server):
    server.configure(auth="bearer")
    for reply in (ask_token(server, basic="us:s3cret"), ask_token(server, {"client_id": "us", "client_secret": "s3cret"})):
        assert reply.status == 200 and reply.headers["Cache-Control"] == "no-store"
        assert reply.json["token_type"] == "Bearer" and reply.json["expires_in"] == 3600
        assert api(server, "GET", f"/sessions?asn={US}", token=reply.json["access_token"]).status == 200
    assert server.tokens() == {"issued": 2, "refused": 0, "revoked": 0, "alive": 2}
    log = server.requests(path="/oauth2/token")
    assert "s3cret" not in json.dumps(log) and log[1]["body"]["client_secret"] == "(given)"


def test_basic_is_form_encoded_inside(server):
    server.configure(clients={"us:x y": {"secret": "a%b+c", "asns": [US]}})
    assert ask_token(server, basic=f"{urllib.parse.quote_plus('us:x y')}:{urllib.parse.quote_plus('a%b+c')}").status == 200
    assert ask_token(server, basic="us:x y:a%b+c").status == 401


@pytest.mark.parametrize("form, basic, status, error", [
    ({}, "us:wrong", 401, "invalid_client"), ({}, "who:s3cret", 401, "invalid_client"), ({}, None, 401, "invalid_client"),
    ({"client_id": "us", "client_secret": "s3cret"}, "us:s3cret", 400, "invalid_request"),
    ({"grant_type": "password"}, "us:s3cret", 400, "unsupported_grant_type"),
    ({"scope": "admin"}, "us:s3cret", 400, "invalid_scope"),
    ({"scope": ["peering-api", "other"]}, "us:s3cret", 400, "invalid_request"),
    ({"audience": "https://elsewhere.example"}, "us:s3cret", 400, "invalid_target"), ({}, "us:s3cret", 400, "invalid_target"),
])
def test_token_errors(server, form, basic, status, error):
    server.configure(audiences=["https://api.example"] if error == "invalid_target" else [])
    reply = ask_token(server, form, basic)
    assert (reply.status, reply.json["error"]) == (status, error)
    assert (reply.headers["WWW-Authenticate"] is not None) == (status == 401)
    assert server.tokens()["refused"] == 1


def test_token_options(server):
    server.configure(auth="bearer", required_scope="peering-api", audiences=["https://api.example"], client_auth=["post"])
    assert ask_token(server, {"audience": "https://api.example"}, basic="us:s3cret").status == 401
    ours = {"client_id": "us", "client_secret": "s3cret", "resource": "https://api.example"}
    other = ask_token(server, {**ours, "scope": "other"}).json
    assert other["scope"] == "other"
    reply = api(server, "GET", "/auth", token=other["access_token"])
    assert reply.status == 403 and 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
    assert api(server, "GET", "/auth", token=ask_token(server, ours).json["access_token"]).status == 200
    assert ask_token(server, ours, kind="application/json").status == 400


def test_tokens_expire_and_are_revoked(server):
    server.configure(auth="bearer", token_seconds=60)
    first = ask_token(server, basic="us:s3cret").json
    assert first["expires_in"] == 60
    server.advance(59)
    assert api(server, "GET", "/auth", token=first["access_token"]).status == 200
    server.advance(2)
    assert api(server, "GET", "/auth", token=first["access_token"]).status == 401
    second = ask_token(server, basic="us:s3cret").json["access_token"]
    assert server.revoke_tokens() == 1
    assert api(server, "GET", "/auth", token=second).status == 401


def test_metadata(server):
    base = server.oauth.base_url()
    value = fetch(server, "GET", base + "/.well-known/oauth-authorization-server").json
    assert value["issuer"] == base and value["token_endpoint"] == base + "/oauth2/token"
    assert value["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    assert fetch(server, "GET", base + "/.well-known/openid-configuration").status == 404
    server.forget_requests()
    server.configure(issuer_path="/tenant", metadata="both")
    assert fetch(server, "GET", base + "/.well-known/oauth-authorization-server/tenant").json["issuer"] == base + "/tenant"
    assert fetch(server, "GET", base + "/tenant/.well-known/openid-configuration").json["issuer"] == base + "/tenant"


def test_oauth_on_an_address_of_its_own():
    with make(auth_listen="127.0.0.1:0", peeringdb_listen="", trap_listen="", profile={"openapi": "none"}) as server:
        assert server.oauth.base_url() != server.api_url.rpartition("/")[0]
        assert ask_token(server, basic="us:s3cret").status == 200
        assert fetch(server, "GET", server._base_url("api") + "/oauth2/token").status == 404
        assert fetch(server, "GET", server._base_url("auth") + "/v0.1/auth").status == 404
        assert server.requests(listener="auth")[0]["path"] == "/oauth2/token"


# ---- PeeringDB ----

def pdb(server, path):
    return fetch(server, "GET", server.peeringdb_url + path)


@pytest.mark.parametrize("path, ids", [
    (f"/netixlan?asn={THEM}&ix_id=31", [11]), (f"/netixlan?asn={THEM}", [11, 12]), ("/netixlan?ixlan_id__in=26,31", [11, 12, 13]),
    ("/ixpfx?ixlan_id=31", [5, 6]), (f"/net?asn={THEM}", [1]), (f"/net?asn__in={THEM},{US}", [1, 2]), ("/net?asn=64999", []),
    ("/ixlan?ix_id=31", [31]), ("/net/2", [2]), ("/netixlan?operational=true&limit=1&skip=1", [12]), ("/ix", [])])
def test_peeringdb(server, path, ids):
    reply = pdb(server, path)
    assert reply.status == 200 and reply.json["meta"] == {}
    assert [row["id"] for row in reply.json["data"]] == ids


def test_peeringdb_refuses(server):
    assert pdb(server, "/net/99").status == 404
    assert pdb(server, "/poc").status == 404
    assert pdb(server, "/net?asm=1").status == 400
    assert ["cannot filter net by asm" in d["message"] for d in server.deviations()] == [True]
    server.forget_requests()
    server.configure(peeringdb_key="k")
    assert fetch(server, "GET", server.peeringdb_url + "/net", headers={"Authorization": "Api-Key x"}).status == 401
    assert fetch(server, "GET", server.peeringdb_url + "/net", headers={"Authorization": "Api-Key k"}).status == 200
