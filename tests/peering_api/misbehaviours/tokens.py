# SPDX-License-Identifier: Apache-2.0
"""What an OAuth server and PeeringDB can do wrong beyond what every server can."""

from . import misbehaviour
from ..httpd import Answer

MISSING = object()


def member(group, name, text, field, value, needs, **more):
    """One that gives a member of the regular object another value, where `needs` is a member of it."""
    @misbehaviour(group, name, text, **more)
    def answer(scene):
        found = scene.value()
        if not isinstance(found, dict) or needs not in found:
            return scene.nothing_to_spoil()
        if value is MISSING:
            found.pop(field, None)
        else:
            found[field] = value(scene) if callable(value) else value
        return scene.replace(found)


def token(name, text, field, value):
    member("token", name, text, field, value, "access_token")


def metadata(name, text, field, value, **more):
    member("metadata", name, text, field, value, "token_endpoint", **more)


token("token-missing", "no access_token", "access_token", MISSING)
token("token-empty", "an empty access_token", "access_token", "")
token("token-number", "an access_token that is a number", "access_token", 12345)
token("token-control", "an access_token with CR LF and a header", "access_token", "abc\r\nX-Injected: 1")
token("token-space", "an access_token with a space and a quote", "access_token", 'abc def"')
token("token-unicode", "an access_token that is not ASCII", "access_token", "t\u00f6ken")
token("token-long", "an access_token of 1 MB", "access_token", "t" * (1 << 20))
token("token-wrong", "an access_token that the API does not know", "access_token", "wrong-token")
token("token-type-mac", "token_type mac", "token_type", "mac")
token("token-type-case", "token_type bEARER, which is allowed", "token_type", "bEARER")
token("token-type-missing", "no token_type", "token_type", MISSING)
token("expires-missing", "no expires_in, which is allowed", "expires_in", MISSING)
token("expires-zero", "expires_in 0", "expires_in", 0)
token("expires-negative", "a negative expires_in", "expires_in", -1)
token("expires-huge", "an expires_in beyond 2^63", "expires_in", 1 << 64)
token("expires-text", "expires_in as text", "expires_in", "3600")
token("expires-float", "expires_in with a fraction", "expires_in", 3600.5)
token("scope-less", "less scope than was asked for", "scope", "nothing")

metadata("metadata-issuer", "another issuer than was asked", "issuer", "https://issuer.example")
metadata("metadata-no-endpoint", "no token_endpoint", "token_endpoint", MISSING)
metadata("metadata-clear-text", "a token_endpoint with http:", "token_endpoint",
         lambda s: s.server.oauth.token_url.replace("https:", "http:"))
metadata("metadata-foreign", "a token_endpoint on another server, the trap", "token_endpoint",
         lambda s: s.server.trap_url + "/token", needs_trap=True)
metadata("metadata-not-url", "a token_endpoint that is no URL", "token_endpoint", "../../etc/passwd")


def oauth_error(name, text, status, error):
    @misbehaviour("token", name, text)
    def answer(scene):
        return Answer.json({"error": error, "error_description": "no\x1b[31m"}, status, [("Cache-Control", "no-store")])


oauth_error("token-invalid-client", "401 invalid_client, with control characters in its text", 401, "invalid_client")
oauth_error("token-invalid-scope", "400 invalid_scope", 400, "invalid_scope")
oauth_error("token-unavailable", "503 temporarily_unavailable", 503, "temporarily_unavailable")


# ---- PeeringDB: rows of {"data": [..]} ----

def rows(name, text, change):
    """One that changes each row that has what it changes."""
    @misbehaviour("peeringdb", name, text)
    def answer(scene):
        value = scene.value()
        data = value.get("data") if isinstance(value, dict) else None
        if not isinstance(data, list) or not any([change(row) for row in data]):
            return scene.nothing_to_spoil()
        return scene.replace(value)


def row(name, text, field, value):
    def change(found):
        if field not in found:
            return False
        if value is MISSING:
            del found[field]
        else:
            found[field] = value
        return True
    rows(name, text, change)


@misbehaviour("peeringdb", "pdb-empty", "no rows")
def pdb_empty(scene):
    return Answer.json({"data": [], "meta": {}})


@misbehaviour("peeringdb", "pdb-no-data", "an object without data")
def pdb_no_data(scene):
    return Answer.json({"meta": {}})


@misbehaviour("peeringdb", "pdb-throttled", "429 as PeeringDB says it")
def pdb_throttled(scene):
    return Answer.json({"message": "Request was throttled. Expected available in 42 seconds."}, 429, [("Retry-After", "42")])


@misbehaviour("peeringdb", "pdb-error", "500 with {data, meta.error}")
def pdb_error(scene):
    return Answer.json({"data": [], "meta": {"error": "Internal Server Error"}}, 500)


@misbehaviour("peeringdb", "pdb-meta-error", "200 with meta.error and no rows")
def pdb_meta_error(scene):
    return Answer.json({"data": [], "meta": {"error": "database is locked"}})


row("pdb-asn-other", "rows of another network than was asked for", "asn", 64666)
row("pdb-not-operational", "every port is not operational", "operational", False)
row("pdb-pending", "every row has the status pending", "status", "pending")
row("pdb-ip-null", "no IPv4 address", "ipaddr4", None)
row("pdb-ip-foreign", "addresses of somebody else", "ipaddr4", "198.51.100.66")
row("pdb-ip-bad", "an address that is none", "ipaddr4", "192.0.2.1; drop")
row("pdb-prefix-all", "the peering LAN is 0.0.0.0/0", "prefix", "0.0.0.0/0")
row("pdb-prefix-bad", "the peering LAN is no prefix", "prefix", "192.0.2.0/99")
row("pdb-max-zero", "info_prefixes4 is 0", "info_prefixes4", 0)
row("pdb-max-null", "info_prefixes4 is null", "info_prefixes4", None)
row("pdb-max-negative", "info_prefixes4 is negative", "info_prefixes4", -5)
row("pdb-as-set-option", "an AS-SET that looks like an option of a program", "irr_as_set", "-x AS-ALL; reboot")
row("pdb-name-ansi", "terminal control characters in a name", "name", "EXAMPLE\x1b[2J\r\n")
