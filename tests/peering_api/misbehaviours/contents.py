# SPDX-License-Identifier: Apache-2.0
"""Sessions that are well-formed and wrong. They change every session in the regular answer, and nothing in the server."""

import ipaddress

from . import misbehaviour
from .. import wire
from ..wire import SIDES, spell

FOREIGN_ASN = 64666


def wrong(name, text, **defaults):
    """The function changes one session as it stands on the wire, or returns False when it has nothing to change."""
    def put(function):
        @misbehaviour("session", name, text, **defaults)
        def answer(scene):
            value = scene.value()
            sessions = list(_sessions(scene, value))
            if not sessions:
                return scene.nothing_to_spoil()
            names = Names(scene.server.settings.profile)
            changed = [function(scene, session, names, number) for number, session in enumerate(sessions)]
            return scene.nothing_to_spoil() if all(c is False for c in changed) else scene.replace(value)
        return function
    return put


class Names:
    """What this profile calls a session's fields."""

    def __init__(self, profile):
        sides = {who: side for side, who in SIDES[profile.perspective].items()}
        for who in ("initiator", "receiver"):
            for what in ("asn", "ip", "bgp_role"):
                setattr(self, f"{who}_{what}", spell(profile, f"{sides[who]}_{what}"))
        self.session_id = spell(profile, profile.session_id)
        self.secret = spell(profile, profile.secret if profile.secret != "none" else "md5")
        self.request_id = profile.request_id_name


def _sessions(scene, value):
    """Every object in a value that is a session."""
    known = {spell(scene.server.settings.profile, n) for n in ("local_ip", "peer_ip")}
    if isinstance(value, dict):
        if known <= set(value):
            yield value
        else:
            for part in value.values():
                yield from _sessions(scene, part)
    elif isinstance(value, list):
        for part in value:
            yield from _sessions(scene, part)


def put(name, text, field, value):
    """One that gives a field the same value in every session; MISSING takes it out."""
    @wrong(name, text)
    def change(scene, session, names, number):
        key = getattr(names, field, field)
        if value is MISSING:
            session.pop(key, None)
        else:
            session[key] = value


MISSING = object()
ANSI = "Approved\x1b[2J\x1b]0;owned\x07\r\nrouter# "

# ---- status ----
put("status-unknown", "a status word that nobody knows", "status", "Marinating")
put("status-missing", "no status", "status", MISSING)
put("status-null", "status is null", "status", None)
put("status-number", "status is a number", "status", 200)
put("status-case", "a known status word in odd letters, which is allowed", "status", "aPPROVED")
put("status-ansi", "terminal control characters in status", "status", ANSI)
put("status-contradicts", "Rejected for every session", "status", "Rejected")

# ---- AS numbers ----
put("asn-foreign", "another network's ASN in the place of the server's", "receiver_asn", FOREIGN_ASN)
put("asn-not-ours", "another network's ASN in the place of ours", "initiator_asn", FOREIGN_ASN)
put("asn-negative", "a negative ASN", "receiver_asn", -1)
put("asn-zero", "ASN 0", "receiver_asn", 0)
put("asn-beyond-32", "an ASN of 2^32", "receiver_asn", 1 << 32)
put("asn-beyond-63", "an ASN beyond 2^63", "receiver_asn", (1 << 63) + 64501)
put("asn-beyond-64", "an ASN of 2^64 + the server's: it fits when it is cut to 64 or 32 bits", "receiver_asn", (1 << 64) + 64501)
put("asn-float", "an ASN with a fraction", "receiver_asn", 64501.5)
put("asn-text", "an ASN as \"AS64501\"", "receiver_asn", "AS64501")
put("asn-missing", "no ASN of the server", "receiver_asn", MISSING)
put("asn-bool", "an ASN that is true", "receiver_asn", True)


@wrong("asn-swapped", "our ASN on the server's side and the server's on ours; the addresses stay")
def asn_swapped(scene, session, names, number):
    a, b = names.initiator_asn, names.receiver_asn
    session[a], session[b] = session.get(b), session.get(a)


@wrong("sides-swapped", "ASNs and addresses of both sides swapped, as with the other perspective")
def sides_swapped(scene, session, names, number):
    for a, b in ((names.initiator_asn, names.receiver_asn), (names.initiator_ip, names.receiver_ip)):
        session[a], session[b] = session.get(b), session.get(a)


# ---- addresses ----
put("ip-missing", "no address of the server", "receiver_ip", MISSING)
put("ip-empty", "an empty address", "receiver_ip", "")
put("ip-null", "an address that is null", "receiver_ip", None)
put("ip-number", "an address as a number", "receiver_ip", 3221225985)
put("ip-name", "a host name as address", "receiver_ip", "router.example.net")
put("ip-loopback", "127.0.0.1 as address", "receiver_ip", "127.0.0.1")
put("ip-any", "0.0.0.0 as address", "receiver_ip", "0.0.0.0")
put("ip-multicast", "a multicast address", "receiver_ip", "ff02::1")
put("ip-zone", "a link-local address with a zone", "receiver_ip", "fe80::1%eth0")
put("ip-mapped", "an IPv4 address mapped into IPv6", "receiver_ip", "::ffff:192.0.2.1")
put("ip-short", "an address as inet_aton takes it", "receiver_ip", "192.0.513")
put("ip-octal", "an address with leading zeros", "receiver_ip", "192.000.002.001")
put("ip-configuration", "an address with a line of configuration behind it", "receiver_ip", "192.0.2.1 }\nmode = \"off\"")


@wrong("ip-foreign", "another member's address in the place of the server's", ip="")
def ip_foreign(scene, session, names, number):
    text = str(session[names.receiver_ip]).partition("/")[0]
    address = ipaddress.ip_address(text)
    session[names.receiver_ip] = scene.args["ip"] or str(address + 99)


@wrong("ip-ours", "our address in the place of the server's")
def ip_ours(scene, session, names, number):
    session[names.receiver_ip] = session[names.initiator_ip]


@wrong("ip-not-ours", "another member's address in the place of ours")
def ip_not_ours(scene, session, names, number):
    address = ipaddress.ip_address(str(session[names.initiator_ip]).partition("/")[0])
    session[names.initiator_ip] = str(address + 77)


@wrong("ip-port", "an address with a port")
def ip_port(scene, session, names, number):
    text = session[names.receiver_ip]
    session[names.receiver_ip] = f"[{text}]:179" if ":" in text else f"{text}:179"


@wrong("ip-prefix", "an address with a prefix length")
def ip_prefix(scene, session, names, number):
    session[names.receiver_ip] = str(session[names.receiver_ip]).partition("/")[0] + "/24"


@wrong("ip-family", "an IPv6 address in a session over IPv4, and the other way")
def ip_family(scene, session, names, number):
    session[names.receiver_ip] = "192.0.2.250" if ":" in session[names.receiver_ip] else "2001:db8::250"


# ---- identifiers: what a client may come to use in a path, a file name or a log ----
put("session-id-slash", "a session id with slashes", "session_id", "a/b/c")
put("session-id-dots", "a session id that climbs out of a path", "session_id", "../../locations")
put("session-id-query", "a session id with ? and #", "session_id", "x?asn=1#y")
put("session-id-percent", "a session id with %2f and %00", "session_id", "a%2fb%00c")
put("session-id-control", "a session id with CR LF and a header", "session_id", "a\r\nX-Injected: 1")
put("session-id-ansi", "a session id with terminal control characters", "session_id", "\x1b[2Jid")
put("session-id-long", "a session id of 100,000 characters", "session_id", "i" * 100000)
put("session-id-empty", "an empty session id", "session_id", "")
put("session-id-missing", "no session id", "session_id", MISSING)
put("session-id-null", "a session id that is null", "session_id", None)
put("session-id-object", "a session id that is an object", "session_id", {"id": 1})
put("session-id-huge", "a session id that is a number beyond 2^63", "session_id", 1 << 70)
put("session-id-same", "the same session id for every session", "session_id", "same")


@wrong("session-id-changed", "other session ids than the server gave before")
def session_id_changed(scene, session, names, number):
    session[names.session_id] = f"changed-{number}"


# ---- other fields ----
put("location-foreign", "a location that was not asked for", "location", {"id": "pdb:ix:4242", "type": "public"})
put("location-bad", "a location that is no identifier", "location", {"id": "somewhere\x1b[31m", "type": "sideways"})
put("location-null", "location is null", "location", None)
put("text-ansi", "terminal control characters in peer_type and an unknown field", "peer_type", ANSI)
put("text-long", "a text of 1 MB in peer_type", "peer_type", "x" * 1000000)
put("text-bidi", "characters in peer_type that turn the direction of text", "peer_type", "public\u202e\u2066drawkcab")
put("secret-changed", "a secret that we did not ask for", "secret", "server-chosen")
put("secret-injection", "a secret with a quote and a line of configuration", "secret", 'x"; }\npassword "y')
put("secret-object", "a secret that is an object", "secret", {"md5": "x"})


@wrong("secret-echoed", "the secret of the session comes back")
def secret_echoed(scene, session, names, number):
    known = scene.server.state.find(session.get(names.session_id))
    session[names.secret] = known.secret if known and known.secret else "echoed-secret"


@wrong("role-mismatch", "BGP roles that do not fit each other (RFC 9234)")
def role_mismatch(scene, session, names, number):
    session[names.initiator_bgp_role], session[names.receiver_bgp_role] = 0, 0


@wrong("unknown-fields", "fields that nobody knows, which is allowed")
def unknown_fields(scene, session, names, number):
    session.update({"x_vendor": {"deep": [1, None]}, "local_asn_name": "EXAMPLE", "": 0})


def _sessions_list(scene):
    """(the whole value, the list of sessions in it); the list None when there is none."""
    value = scene.value()
    found = value if isinstance(value, list) else value.get("sessions") if isinstance(value, dict) else None
    return value, found if isinstance(found, list) and found and isinstance(found[0], dict) else None


@misbehaviour("session", "extra-foreign", "a session more than asked for, with a third network at another location")
def extra_foreign(scene):
    value, sessions = _sessions_list(scene)
    if not sessions:
        return scene.nothing_to_spoil()
    names = Names(scene.server.settings.profile)
    sessions.append({**sessions[0], names.receiver_asn: FOREIGN_ASN, names.receiver_ip: "198.51.100.66",
                     names.session_id: "extra-1"})
    return scene.replace(value)


@misbehaviour("session", "extra-many", "`count` sessions more than asked for", count=10000)
def extra_many(scene):
    value, sessions = _sessions_list(scene)
    if not sessions:
        return scene.nothing_to_spoil()
    names = Names(scene.server.settings.profile)
    sessions.extend({**sessions[0], names.session_id: f"extra-{i}"} for i in range(scene.args["count"]))
    return scene.replace(value)


@misbehaviour("session", "sessions-missing", "the last session is not mentioned at all, neither accepted nor rejected")
def sessions_missing(scene):
    value, sessions = _sessions_list(scene)
    if not sessions:
        return scene.nothing_to_spoil()
    sessions.pop()
    return scene.replace(value)


@misbehaviour("session", "accepted-and-rejected", "every session is in sessions and in errors too (era B)")
def accepted_and_rejected(scene):
    value, sessions = _sessions_list(scene)
    if not sessions or not isinstance(value, dict):
        return scene.nothing_to_spoil()
    errors = [(f"sessions[{i}]", "rejected") for i in range(len(sessions))]
    value["errors"] = wire.errors_out(scene.server.settings.profile, errors).get("errors")
    return scene.replace(value)


@misbehaviour("session", "request-id-missing", "no request id in the reply")
def request_id_missing(scene):
    return _request_id(scene, MISSING)


@misbehaviour("session", "request-id-changed", "another request id than before")
def request_id_changed(scene):
    return _request_id(scene, "00000000-0000-0000-0000-000000000000")


@misbehaviour("session", "request-id-nasty", "a request id with CR LF, & and ../")
def request_id_nasty(scene):
    return _request_id(scene, "../x&asn=1\r\nX-Injected: 1")


def _request_id(scene, new):
    value, name, changed = scene.value(), Names(scene.server.settings.profile).request_id, False
    for part in [value, *_sessions(scene, value)]:
        if isinstance(part, dict) and name in part:
            changed = True
            if new is MISSING:
                del part[name]
            else:
                part[name] = new
    return scene.replace(value) if changed else scene.nothing_to_spoil()


# ---- the botls object ----

def botls(name, text, change):
    @wrong(name, text)
    def apply(scene, session, names, number):
        if not isinstance(session.get("botls"), dict):
            return False
        change(session)
        return True


PIN = "sha256/" + "A" * 43 + "="
botls("botls-missing", "the botls object is dropped", lambda s: s.pop("botls"))
botls("botls-null", "botls is null", lambda s: s.update(botls=None))
botls("botls-list", "botls is a list", lambda s: s.update(botls=[s["botls"]]))
botls("botls-transport", "a transport that is not tls", lambda s: s["botls"].update(transport="carrier-pigeon"))
botls("botls-no-receiver", "the server's half is missing", lambda s: s["botls"].pop("receiver", None))
botls("botls-requester-changed", "our half comes back changed", lambda s: s["botls"].update(requester={"port": 1, "pins": [PIN]}))
botls("botls-port-0", "the server's port is 0", lambda s: s["botls"]["receiver"].update(port=0))
botls("botls-port-179", "the server's port is 179", lambda s: s["botls"]["receiver"].update(port=179))
botls("botls-port-65536", "the server's port is 65536", lambda s: s["botls"]["receiver"].update(port=65536))
botls("botls-port-text", "the server's port is text", lambda s: s["botls"]["receiver"].update(port="8179"))
botls("botls-pins-empty", "the server has no pins", lambda s: s["botls"]["receiver"].update(pins=[]))
botls("botls-pin-short", "a pin that is too short", lambda s: s["botls"]["receiver"].update(pins=["sha256/AAAA"]))
botls("botls-pin-sha1", "a pin of another hash", lambda s: s["botls"]["receiver"].update(pins=["sha1/" + "A" * 27 + "="]))
botls("botls-pin-injection", "a pin with a line of configuration", lambda s: s["botls"]["receiver"].update(pins=[PIN + '"\nmode = "off"']))
botls("botls-pins-string", "pins that are one string", lambda s: s["botls"]["receiver"].update(pins=PIN))
botls("botls-pins-many", "10,000 pins", lambda s: s["botls"]["receiver"].update(pins=[PIN] * 10000))
