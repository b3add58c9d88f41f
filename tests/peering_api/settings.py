# SPDX-License-Identifier: Apache-2.0
"""What a server is told at its start: Settings, and in it the Profile, how this server spells things on the wire."""

import dataclasses
import json
import pathlib


class Wrong(Exception):
    """A setting that cannot be."""


def choice(*values):
    """A field that takes one of these; the first is the default."""
    return dataclasses.field(default=values[0], metadata={"choices": values})


def each(factory):
    return dataclasses.field(default_factory=factory)


# What a server calls the states of a session. "configured" and the three after it say how the BGP session does.
STATUS_WORDS = {
    "draft": {"requested": "Pending", "approved": "Approved", "rejected": "Rejected", "deleted": "Deleted",
              "configured": "Approved", "established": "Established", "down": "Down", "unestablished": "Unestablished"},
    # the text on negotiation in the same draft says Accepted
    "accepted": {"requested": "Pending", "approved": "Accepted", "rejected": "Rejected", "deleted": "Deleted",
                 "configured": "Accepted", "established": "Established", "down": "Down", "unestablished": "Unestablished"},
    "lower": {"requested": "requested", "approved": "approved", "rejected": "refused", "deleted": "deleted",
              "configured": "provisioned", "established": "established", "down": "down", "unestablished": "unestablished"},
    "peerctl": {"requested": "pending", "approved": "ok", "rejected": "denied", "deleted": "disabled",
                "configured": "ok", "established": "ok", "down": "ok", "unestablished": "ok"},
    "peering-manager": {"requested": "pending", "approved": "accepted", "rejected": "rejected", "deleted": "cancelled",
                        "configured": "accepted", "established": "accepted", "down": "accepted",
                        "unestablished": "accepted"},
}


@dataclasses.dataclass
class Profile:
    era: str = choice("b", "a")
    base_path: str = "/v0.1"
    openapi: str = ""  # a file of openapi/ without .yaml; "" = the one of the era; "none" = no validation
    perspective: str = choice("requester", "receiver")  # whose side the names local_* mean
    location: str = choice("object", "string", "number")
    location_case: str = choice("lower", "upper")  # public or PUBLIC
    secret: str = choice("md5", "session_secret", "none")
    echo_secret: bool = False  # the session secret comes back in replies
    status_words: object = "draft"  # a name of STATUS_WORDS, or such a dict
    session_id: str = choice("session_id", "uuid", "id")  # the field's name
    session_id_kind: str = choice("uuid", "integer")
    request_id: str = choice("none", "reply", "session", "both")  # where the server says it
    request_id_name: str = choice("request_id", "requestId")
    adopt_request_id: bool = False  # the client's request_id becomes the server's
    asn: str = choice("integer", "string")
    ip: str = choice("plain", "prefix")  # 192.0.2.1 or 192.0.2.1/24
    case: str = choice("snake", "camel")
    wrapper: str = choice("plain", "items")  # era A: bare arrays, or {"items":..}, {"sessions":..}
    draft_fields: bool = False  # BGP roles, insert_asn and monitoring_session of draft -06
    body: str = choice("both", "array", "object")  # what POST takes
    create_status: int = choice(200, 201)
    delete_status: int = choice(204, 200)
    delete_effect: str = choice("hard", "scheduled")  # scheduled: stays listed as deleted until the admin removes it
    reject_as: str = choice("errors", "status", "both")  # where a rejected session of a POST is told (era B)
    all_rejected: int = choice(400, 200, 403, 422)  # the status when nothing of a POST was accepted (era B)
    error_name: str = choice("index", "ip", "field")  # what an error's name says about which session it means
    errors: str = choice("nested", "messages", "drf")
    reason_name: str = ""  # the field with the reason of a rejection; "" = not told
    extra_in: str = choice("list", "reply")  # era B: where sessions that the server adds appear first
    duplicates: str = choice("return", "conflict", "new")  # the same session asked for again
    page: int = 100  # sessions or locations in a page, whatever the client asks for beyond it
    locations_asn: str = choice("any", "server", "client")  # whose ASN GET /locations wants

    def word(self, state):
        words = STATUS_WORDS[self.status_words] if isinstance(self.status_words, str) else self.status_words
        return words[state]

    @property
    def document(self):
        """The OpenAPI file to hold requests and answers against, None for none."""
        if self.openapi == "none":
            return None
        return self.openapi or {"a": "autopeer-2023-10", "b": "autopeer-2024-03"}[self.era]


PRESETS = {
    # what the newest OpenAPI file says, to the letter
    "openapi": {"delete_status": 200},
    # draft-ramseyer-grow-peering-api-06
    "draft": {"secret": "session_secret", "draft_fields": True, "request_id": "reply"},
    "era-a": {"era": "a", "session_id": "uuid"},
    # what fullctl's client expects of Cloudflare's server
    "peerctl": {"era": "a", "base_path": "/v0", "session_id": "uuid", "wrapper": "items", "request_id": "reply",
                "request_id_name": "requestId", "perspective": "receiver", "asn": "string", "location_case": "upper",
                "status_words": "peerctl"},
    # the field formats of Peering Manager 1.11 in the draft's messages
    "peering-manager": {"secret": "session_secret", "location": "string", "ip": "prefix", "session_id_kind": "integer",
                        "request_id": "both", "create_status": 201, "errors": "drf", "duplicates": "conflict",
                        "reason_name": "rejection_comment", "status_words": "peering-manager", "reject_as": "status",
                        "all_rejected": 200},
}


@dataclasses.dataclass
class Settings:
    asn: int = 64501
    listen: str = "127.0.0.1:0"
    name: str = ""  # the host in URLs and in the certificate; "" = the address of listen
    admin: str = ""  # HOST:PORT or unix:PATH; "" = none
    auth_listen: str = ""  # the OAuth server on an address of its own; "" = beside the API
    peeringdb_listen: str = ""
    trap_listen: str = ""  # where redirects point, and who comes there is recorded; "" = none
    tls: bool = True
    tls_versions: str = choice("1.2-1.3", "1.3", "1.2")
    certificates: str = ""  # a folder to make certificates in; "" = a temporary one
    certificate: str = ""  # PEM files, instead of made ones
    key: str = ""
    client_ca: str = ""  # TLS client certificates are demanded and checked against it
    profile: Profile = each(Profile)
    # [{"id": "pdb:ix:31", "type": "public", "prefixes": ["192.0.2.0/24"], "addresses": ["192.0.2.1"]}]; without
    # prefixes or addresses they are not checked
    locations: list = each(list)
    policy: list = each(list)
    default_decision: str = choice("approve", "reject", "pending", "human", "forbid")
    delete_decision: str = choice("allow", "human", "forbid")
    botls: dict = each(dict)  # {"port": 8179, "pins": ["sha256/.."]}; empty = the server does not know botls
    auth: str = choice("none", "bearer")
    tokens: dict = each(dict)  # static: {"token": {"asns": [64500], "scope": ".."}}; no asns = any
    clients: dict = each(dict)  # {"id": {"secret": "..", "asns": [64500], "scope": "peering-api other"}}
    required_scope: str = ""
    client_auth: list = each(lambda: ["basic", "post"])
    token_path: str = "/oauth2/token"
    token_seconds: int = 3600
    audiences: list = each(list)  # what audience or resource may say; empty = anything
    issuer_path: str = ""  # "/tenant": the issuer has a path
    metadata: str = choice("rfc8414", "openid", "both", "none")
    rate_limit: dict = each(dict)  # {"requests": 10, "seconds": 60}
    state_file: str = ""  # sessions outlive the server
    peeringdb: object = each(dict)  # {"net": {"data": [..]}, ..} or the path of such a file
    peeringdb_key: str = ""
    idle_seconds: float = 15.0
    max_connections: int = 64

    @property
    def scheme(self):
        return "https" if self.tls else "http"


def apply(settings, changes, where="settings"):
    """Sets fields of a dataclass from a dict; Wrong when one does not exist or cannot be so."""
    fields = {f.name: f for f in dataclasses.fields(settings)}
    for name, value in changes.items():
        if name not in fields:
            raise Wrong(f"{where}: there is no {name}; there are {', '.join(sorted(fields))}")
        old = getattr(settings, name)
        if isinstance(old, Profile) and not isinstance(value, Profile):
            apply_profile(old, value)
            continue
        choices = fields[name].metadata.get("choices")
        if choices and value not in choices:
            raise Wrong(f"{where}.{name}: {value!r} is not one of {', '.join(map(str, choices))}")
        wanted = type(old)
        if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if fields[name].type is not object and (not isinstance(value, wanted)
                                                or isinstance(value, bool) != isinstance(old, bool)):
            raise Wrong(f"{where}.{name}: {value!r} should be of the type {wanted.__name__}")
        setattr(settings, name, value)
    return settings


def apply_profile(profile, value):
    """A preset's name, or a dict of fields in which "preset" may be one; a preset sets all fields."""
    value = {"preset": value} if isinstance(value, str) else dict(value)
    preset = value.pop("preset", None)
    if preset is not None:
        if preset not in PRESETS:
            raise Wrong(f"profile: there is no preset {preset}; there are {', '.join(PRESETS)}")
        apply(profile, {**dataclasses.asdict(Profile()), **PRESETS[preset]}, "profile")
    words = value.get("status_words", "draft")
    if not (words in STATUS_WORDS if isinstance(words, str) else isinstance(words, dict)):
        raise Wrong(f"profile.status_words: {words!r} is neither a dict nor one of {', '.join(STATUS_WORDS)}")
    if isinstance(words, dict):
        value["status_words"] = {**STATUS_WORDS["draft"], **words}
    return apply(profile, value, "profile")


def load(path=None, **changes):
    """Settings from a JSON file and then from `changes`."""
    settings = Settings()
    if path:
        try:
            apply(settings, json.loads(pathlib.Path(path).read_text(encoding="utf-8")), str(path))
        except (OSError, ValueError, AttributeError) as e:
            raise Wrong(f"{path}: {e}") from e
    return apply(settings, changes)
