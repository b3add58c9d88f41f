# SPDX-License-Identifier: Apache-2.0
"""Sessions, locations and errors in the spelling of a Profile, and back."""

import ipaddress
import re

from .state import Session

MAX_ASN = 4294967295
PIN = re.compile(r"sha256/[A-Za-z0-9+/]{43}=")
TEXT_ASN = re.compile(r"[1-9][0-9]{0,9}")
ROLES = {0: 3, 3: 0, 1: 2, 2: 1, 4: 4}  # RFC 9234: provider and customer, RS and RS-client, peer and peer
SIDES = {"requester": {"local": "initiator", "peer": "receiver"}, "receiver": {"local": "receiver", "peer": "initiator"}}


class Bad(Exception):
    """What a client sent cannot be used: (name, text) for each reason."""

    def __init__(self, errors):
        super().__init__("; ".join(f"{n}: {t}" for n, t in errors))
        self.errors = errors


def spell(profile, name):
    """A field's name: local_asn or localAsn."""
    if profile.case == "snake":
        return name
    first, *rest = name.split("_")
    return first + "".join(r.capitalize() for r in rest)


def snake(name):
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda m: "_" + m[0].lower(), name)


# ---- towards the client ----

def ip_out(profile, ip, locations):
    if profile.ip == "plain":
        return ip
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    lans = (ipaddress.ip_network(p) for place in locations for p in place.get("prefixes", []))
    length = next((n.prefixlen for n in lans if address in n), address.max_prefixlen)
    return f"{ip}/{length}"


def location_out(profile, place, kind):
    kind = kind.upper() if profile.location_case == "upper" else kind
    if profile.location == "object":
        return {"id": place, "type": kind}
    if profile.location == "number":
        return int(place.rpartition(":")[2])
    return place


def id_out(profile, session_id):
    return int(session_id) if profile.session_id_kind == "integer" and session_id.isdigit() else session_id


def session_out(session, settings):
    """A session as this server sends it."""
    profile = settings.profile
    out = {}
    for side, who in SIDES[profile.perspective].items():
        asn = getattr(session, f"{who}_asn")
        out[f"{side}_asn"] = str(asn) if profile.asn == "string" else asn
        out[f"{side}_ip"] = ip_out(profile, getattr(session, f"{who}_ip"), settings.locations)
        if profile.draft_fields:
            if getattr(session, f"{who}_role") is not None:
                out[f"{side}_bgp_role"] = getattr(session, f"{who}_role")
            out[f"{side}_insert_asn"] = getattr(session, f"{who}_insert_asn")
            out[f"{side}_monitoring_session"] = getattr(session, f"{who}_monitoring")
    out["peer_type"] = session.peer_type
    out["location"] = location_out(profile, session.location, session.location_type)
    out["status"] = session.status or profile.word(session.state)
    out[profile.session_id] = id_out(profile, session.id)
    if profile.echo_secret and session.secret and profile.secret != "none":
        out[profile.secret] = session.secret
    if profile.request_id in ("session", "both"):
        out[profile.request_id_name] = session.request_id
    if profile.reason_name and session.reason:
        out[profile.reason_name] = session.reason
    out = {spell(profile, name): value for name, value in out.items()}
    if settings.botls and session.botls:
        out["botls"] = {"transport": "tls", "requester": session.botls.get("requester"),
                        "receiver": session.botls_receiver or dict(settings.botls)}
    out.update(session.more)
    return out


def errors_out(profile, errors):
    """The value of an answer that says what is wrong; errors are (name, text)."""
    if profile.errors == "drf":
        return {"detail": "; ".join(f"{n}: {t}" if n else t for n, t in errors)}
    grouped = {}
    for name, text in errors:
        grouped.setdefault(name or "request", []).append(text)
    key = "messages" if profile.errors == "messages" else "errors"
    listed = [{"name": n, key: t} for n, t in grouped.items()]
    return {"errors": listed if profile.errors == "messages" else {"errors": listed}}


# ---- from the client ----

def read_asn(profile, value):
    if isinstance(value, str) and profile.asn == "string" and TEXT_ASN.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be an integer")
    if not 1 <= value <= MAX_ASN:
        raise ValueError("is not an AS number")
    return value


def read_ip(profile, value):
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if profile.ip == "prefix":
        value = value.partition("/")[0]
    if "%" in value:
        raise ValueError("has a zone")
    return str(ipaddress.ip_address(value))


def read_location(profile, value):
    """(id, type or None)"""
    kind = None
    if profile.location == "object":
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        value, kind = value.get("id"), value.get("type")
        if kind is not None and str(kind).lower() not in ("public", "private"):
            raise ValueError("has a type that is neither public nor private")
    if profile.location == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = f"pdb:ix:{value}"
    if not isinstance(value, str) or not re.fullmatch(r"pdb:(ix|fac):[0-9]{1,10}", value):
        raise ValueError("must be of the form pdb:ix:NUMBER")
    return value, kind.lower() if kind else None


def read_text(profile, value):
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def read_role(profile, value):
    if not isinstance(value, int) or isinstance(value, bool) or value not in ROLES:
        raise ValueError("must be a BGP role, 0 to 4")
    return value


def read_flag(profile, value):
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def read_botls(profile, value):
    half = value.get("requester") if isinstance(value, dict) else None
    if not isinstance(half, dict) or value.get("transport") != "tls":
        raise ValueError("must be an object with the transport tls and a requester")
    port, pins = half.get("port"), half.get("pins")
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise ValueError("has a requester without a port")
    if not isinstance(pins, list) or not pins or not all(isinstance(p, str) and PIN.fullmatch(p) for p in pins):
        raise ValueError("has a requester without pins of the form sha256/BASE64")
    return value


def readers(settings):
    """Name on the wire -> (field of Session, reader, whether it must be there)."""
    profile = settings.profile
    table = {"location": ("location", read_location, True), "peer_type": ("peer_type", read_text, False)}
    if settings.botls:
        table["botls"] = ("botls", read_botls, False)
    for side, who in SIDES[profile.perspective].items():
        table[f"{side}_asn"] = (f"{who}_asn", read_asn, True)
        table[f"{side}_ip"] = (f"{who}_ip", read_ip, True)
        if profile.draft_fields:
            table[f"{side}_bgp_role"] = (f"{who}_role", read_role, False)
            table[f"{side}_insert_asn"] = (f"{who}_insert_asn", read_flag, False)
            table[f"{side}_monitoring_session"] = (f"{who}_monitoring", read_flag, False)
    if profile.secret != "none":
        table[profile.secret] = ("secret", read_text, False)
    return {spell(profile, name): entry for name, entry in table.items()}


def session_in(value, settings, where):
    """A Session from what a client sent; Bad with everything that is wrong. Fields that are not ours are ignored."""
    profile, errors, session = settings.profile, [], Session()
    if not isinstance(value, dict):
        raise Bad([(where, "must be an object")])
    for name, (field, read, needed) in readers(settings).items():
        if name not in value:
            if needed:
                errors.append((f"{where}.{name}", "is missing"))
            continue
        try:
            result = read(profile, value[name])
        except ValueError as e:
            errors.append((f"{where}.{name}", str(e)))
            continue
        if field == "location":
            session.location, kind = result
            session.location_type = kind or session.location_type
        else:
            setattr(session, field, result)
    errors += [(where, text) for text in _inconsistent(session)] if not errors else []
    if errors:
        raise Bad(errors)
    return session


def _inconsistent(session):
    if ipaddress.ip_address(session.initiator_ip).version != ipaddress.ip_address(session.receiver_ip).version:
        yield "the two addresses are of different families"
    elif session.initiator_ip == session.receiver_ip:
        yield "both addresses are the same"
    if (session.initiator_role is None) != (session.receiver_role is None) or (
            session.initiator_role is not None and ROLES[session.initiator_role] != session.receiver_role):
        yield "the BGP roles do not fit each other (RFC 9234 section 4.2)"
    if session.initiator_monitoring and session.receiver_monitoring:
        yield "both sides cannot be a monitoring session"


def check_place(session, settings):
    """(name, text) when the location is not ours or the addresses are not of it; None when all is well."""
    place = next((p for p in settings.locations if p["id"] == session.location), None)
    if place is None:
        return "location", "we are not there"
    lans = [ipaddress.ip_network(p) for p in place.get("prefixes", [])]
    if lans and not any(ipaddress.ip_address(session.initiator_ip) in lan for lan in lans):
        return "initiator_ip", "is not in the peering LAN of that location"
    ours = [ipaddress.ip_address(a) for a in place.get("addresses", [])]
    if ours and ipaddress.ip_address(session.receiver_ip) not in ours:
        return "receiver_ip", "is not ours at that location"
    return None
