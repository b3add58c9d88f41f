# SPDX-License-Identifier: Apache-2.0
"""An OAuth 2.0 authorization server for one grant, client credentials (RFC 6749 4.4), its metadata (RFC 8414), and
the check of bearer tokens (RFC 6750)."""

import base64
import binascii
import dataclasses
import secrets
import threading
import urllib.parse

from .httpd import Answer

MAX_TOKENS = 10000
FORM = "application/x-www-form-urlencoded"


@dataclasses.dataclass
class Grant:
    """What a token allows."""

    asns: list  # empty = any
    scope: str = ""
    expires: object = None
    client: str = ""
    audience: str = ""

    def covers(self, asn):
        return not self.asns or asn in self.asns


class Problem(Exception):
    def __init__(self, error, text, status=400):
        super().__init__(text)
        self.error, self.status = error, status


def decode_basic(value):
    """(id, secret) of an Authorization header; both are form-encoded inside (RFC 6749 2.3.1)."""
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as e:
        raise Problem("invalid_client", "Basic credentials are not base64", 401) from e
    name, colon, password = text.partition(":")
    if not colon:
        raise Problem("invalid_client", "Basic credentials have no colon", 401)
    return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(password)


class OAuth:
    def __init__(self, settings, clock, base_url):
        self.settings, self.clock = settings, clock
        self.base_url = base_url  # a function: the port is known only once it listens
        self.lock = threading.Lock()
        self.live = {}  # token -> Grant
        self.issued = 0
        self.refused = 0
        self.revoked = 0

    @property
    def issuer(self):
        return self.base_url() + self.settings.issuer_path

    @property
    def token_url(self):
        return self.base_url() + self.settings.token_path

    # ---- tokens at the API ----

    def authorize(self, request):
        """(Grant, None), or (None, (status, WWW-Authenticate, text))."""
        if self.settings.auth == "none":
            return Grant([]), None
        realm = 'Bearer realm="peering-api"'
        kind, _, token = (request.header("authorization") or "").partition(" ")
        if not kind:
            return None, (401, realm, "a bearer token is needed")
        if kind.lower() != "bearer" or not token:
            return None, (401, f'{realm}, error="invalid_request"', "a bearer token is needed")
        grant = self._find(token)
        if grant is None:
            return None, (401, f'{realm}, error="invalid_token"', "the token is unknown, expired or revoked")
        needed = self.settings.required_scope
        if needed and needed not in grant.scope.split():
            return None, (403, f'{realm}, error="insufficient_scope", scope="{needed}"', f"the scope {needed} is needed")
        return grant, None

    def _find(self, token):
        with self.lock:
            static = self.settings.tokens.get(token)
            if static is not None:
                return Grant(list(static.get("asns", [])), static.get("scope", ""))
            grant = self.live.get(token)
            if grant and grant.expires is not None and grant.expires <= self.clock():
                del self.live[token]
                return None
            return grant

    def revoke_all(self):
        with self.lock:
            number = len(self.live)
            self.revoked += number
            self.live.clear()
        return number

    # ---- the token endpoint ----

    def handles(self, path):
        return path == self.settings.token_path or path in self._metadata_paths()

    def __call__(self, request):
        if request.path != self.settings.token_path:
            return self._metadata(request)
        try:
            return self._issue(request)
        except Problem as e:
            with self.lock:
                self.refused += 1
            headers = [("Cache-Control", "no-store")]
            if e.status == 401:
                headers.append(("WWW-Authenticate", 'Basic realm="token"'))
            return Answer.json({"error": e.error, "error_description": str(e)}, e.status, headers)

    def _form(self, request):
        if request.method != "POST":
            raise Problem("invalid_request", "the token endpoint wants POST", 405)
        kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != FORM:
            raise Problem("invalid_request", f"the body must be {FORM}")
        pairs = urllib.parse.parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        names = [n for n, _ in pairs]
        # resource may be there more than once (RFC 8707)
        repeated = {n for n in names if names.count(n) > 1} - {"resource"}
        if repeated:
            raise Problem("invalid_request", f"{sorted(repeated)[0]} is there twice")
        return dict(pairs), [v for n, v in pairs if n in ("audience", "resource")]

    def _client(self, request, form):
        kind, _, value = (request.header("authorization") or "").partition(" ")
        given = {}
        if kind.lower() == "basic":
            given["basic"] = decode_basic(value)
        if "client_secret" in form:
            given["post"] = (form.get("client_id", ""), form["client_secret"])
        if len(given) != 1:
            raise Problem("invalid_request" if given else "invalid_client",
                          "two ways of client authentication" if given else "no client authentication",
                          400 if given else 401)
        (method, (name, password)), = given.items()
        if method not in self.settings.client_auth:
            raise Problem("invalid_client", f"client authentication by {method} is not supported", 401)
        client = self.settings.clients.get(name)
        if client is None or not secrets.compare_digest(client["secret"].encode(), password.encode()):
            raise Problem("invalid_client", "unknown client or wrong secret", 401)
        return name, client

    def _issue(self, request):
        form, audiences = self._form(request)
        name, client = self._client(request, form)
        if form.get("grant_type") != "client_credentials":
            raise Problem("unsupported_grant_type" if "grant_type" in form else "invalid_request",
                          "only client_credentials is supported")
        allowed, wanted = client.get("scope", "").split(), form.get("scope", "").split()
        if set(wanted) - set(allowed):
            raise Problem("invalid_scope", f"not allowed: {' '.join(sorted(set(wanted) - set(allowed)))}")
        if self.settings.audiences and (not audiences or set(audiences) - set(self.settings.audiences)):
            raise Problem("invalid_target", "this audience or resource is not ours")
        scope, token = " ".join(wanted or allowed), secrets.token_urlsafe(32)
        with self.lock:
            self.issued += 1
            self.live[token] = Grant(list(client.get("asns", [])), scope, self.clock() + self.settings.token_seconds,
                                     name, " ".join(audiences))
            while len(self.live) > MAX_TOKENS:
                self.live.pop(next(iter(self.live)))
        value = {"access_token": token, "token_type": "Bearer", "expires_in": self.settings.token_seconds}
        if scope:
            value["scope"] = scope
        return Answer.json(value, 200, [("Cache-Control", "no-store")])

    # ---- metadata ----

    def _metadata_paths(self):
        path, kind = self.settings.issuer_path.rstrip("/"), self.settings.metadata
        found = []
        if kind in ("rfc8414", "both"):
            found.append("/.well-known/oauth-authorization-server" + path)  # RFC 8414 3.1: inserted before the path
        if kind in ("openid", "both"):
            found.append(path + "/.well-known/openid-configuration")  # OpenID appends
        return found

    def _metadata(self, request):
        if request.method not in ("GET", "HEAD"):
            return Answer(405, [("Allow", "GET")])
        return Answer.json({
            "issuer": self.issuer, "token_endpoint": self.token_url,
            "authorization_endpoint": self.issuer + "/oauth2/authorize", "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": [f"client_secret_{m}" for m in self.settings.client_auth],
            "scopes_supported": sorted({s for c in self.settings.clients.values() for s in c.get("scope", "").split()}),
        })
