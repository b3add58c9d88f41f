# SPDX-License-Identifier: Apache-2.0
"""Where requests and answers may depart from the OpenAPI files, with the reason and the source of each.

What is not in this table is an error, in the client or in this server. The sources: "OpenAPI" is openapi/autopeer-2024-03.yaml;
"draft -00" to "-06" are draft-ramseyer-grow-peering-api; "ietf-01" is draft-ietf-grow-peering-api-01; "peerctl" is
fullctl/peerctl 1.2.0-rc.4, the client that was made for Cloudflare's server; "Peering Manager" is its 1.11.0.
"""

import dataclasses
import fnmatch
import typing

STRING = {"type": "string"}
INTEGER = {"type": "integer"}
REF = "#/components/schemas/"
PIN = {"type": "string", "pattern": "sha256/[A-Za-z0-9+/]{43}="}
HALF = {"type": "object", "required": ["port", "pins"],
        "properties": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}, "pins": {"type": "array", "items": PIN}}}
BOTLS_REQUEST = {"type": "object", "required": ["transport", "requester"],
                 "properties": {"transport": {"type": "string", "enum": ["tls"]}, "requester": HALF}}
BOTLS_ANSWER = {"type": "object", "required": ["transport", "requester", "receiver"],
                "properties": {**BOTLS_REQUEST["properties"], "receiver": HALF}}
MESSAGE = {"type": "object", "required": ["name", "messages"],
           "properties": {"name": STRING, "messages": {"type": "array", "items": STRING}}}
MESSAGES = {"type": "array", "items": MESSAGE}
ROLE = {"type": "integer", "minimum": 0, "maximum": 4}
FLAG = {"type": "boolean"}


def _always(settings):
    return True


@dataclasses.dataclass(frozen=True)
class Difference:
    id: str
    side: str  # request, answer or both
    code: str  # of a validator's Problem
    operation: str  # "POST /sessions", with *
    name: str  # the property, parameter, status or found type; with *
    source: str
    reason: str
    when: typing.Callable = _always  # of the Settings
    instead: object = None  # the schema that the value must satisfy then; None = anything
    at: str = "*"  # where in the value, or the last part of that; "$" is the whole of it

    def covers(self, side, problem, operation, settings):
        return (self.side in (side, "both") and self.code == problem.code
                and fnmatch.fnmatchcase(operation, self.operation)
                and fnmatch.fnmatchcase(problem.name, self.name)
                and (fnmatch.fnmatchcase(problem.at, self.at) or fnmatch.fnmatchcase(problem.at.split(".")[-1], self.at))
                and self.when(settings))


def _profile(**wanted):
    """True for profiles with these fields; a tuple is any of its values."""
    def test(settings):
        return all(getattr(settings.profile, n) in (v if isinstance(v, tuple) else (v,)) for n, v in wanted.items())
    return test


def _property(id, side, operation, name, source, reason, when=_always, instead=None):
    return Difference(id, side, "unknown-property", operation, name, source, reason, when, instead)


TABLE = [
    # ---- fields ----
    _property("session_secret", "both", "*", "session_secret", "draft -06 DATA TYPES",
              "the secret is called session_secret there and md5 in OpenAPI", _profile(secret="session_secret"), STRING),
    _property("bgp_role", "both", "*", "*_bgp_role", "draft -06 DATA TYPES", "RFC 9234 roles, not yet in OpenAPI",
              _profile(draft_fields=True), ROLE),
    _property("insert_asn", "both", "*", "*_insert_asn", "draft -06 DATA TYPES", "for route servers, not yet in OpenAPI",
              _profile(draft_fields=True), FLAG),
    _property("monitoring_session", "both", "*", "*_monitoring_session", "draft -06 DATA TYPES",
              "for monitoring systems, not yet in OpenAPI", _profile(draft_fields=True), FLAG),
    _property("botls-request", "request", "*", "botls", "README.md beside this file",
              "our extension; a client may send it to any server", instead=BOTLS_REQUEST),
    _property("botls-answer", "answer", "*", "botls", "README.md beside this file", "our extension; both halves",
              lambda s: bool(s.botls), BOTLS_ANSWER),
    _property("counters", "answer", "*", "*_prefixes", "draft -00 REQUEST, 10 to 12",
              "sent, received and accepted prefixes, never in OpenAPI", instead=INTEGER),
    _property("filtered", "answer", "*", "is_*bound_filtered", "draft -00 REQUEST, optional information",
              "isInboundFiltered and isOutboundFiltered, never in OpenAPI", instead=FLAG),
    _property("time_window", "answer", "*", "time_window", "draft -00 REQUEST, optional information",
              "never in OpenAPI", instead=INTEGER),
    _property("rejection_comment", "answer", "*", "rejection_comment", "Peering Manager portal serializers",
              "why a session was rejected", _profile(reason_name="rejection_comment"), STRING),
    _property("reason", "answer", "*", "reason", "draft -06 REQUEST, REJECTION CASE",
              "a reason is promised and no field for it given", _profile(reason_name="reason"), STRING),
    _property("request_id-answer", "answer", "*", "request_id", "draft -06 DATA TYPES, Session Array",
              "required for the server, no field in OpenAPI", _profile(request_id=("reply", "session", "both")), STRING),
    _property("request_id-request", "request", "POST /sessions", "request_id", "draft -06 DATA TYPES, Session Array",
              "optional for the client, no field in OpenAPI", instead=STRING),
    _property("return_url", "request", "POST /sessions", "return_url", "draft -06 DATA TYPES; pull request 21",
              "optional, no field in the newest OpenAPI", instead=STRING),
    _property("uuid", "both", "*", "uuid", "draft -00 DATA TYPES", "a profile that calls session_id uuid",
              _profile(session_id="uuid"), STRING),
    _property("id", "both", "*", "id", "draft -06 DATA TYPES names no format", "a profile that calls session_id id",
              _profile(session_id="id")),
    _property("session_id-era-a", "both", "*", "session_id", "draft -06 DATA TYPES",
              "a profile of era A that calls uuid session_id", _profile(era="a", session_id="session_id")),
    # ---- types ----
    Difference("asn-string", "both", "type", "*", "string", "peerctl autopeer/schema.py", "peer_asn: str",
               _profile(asn="string"), {"type": "string", "pattern": "[1-9][0-9]{0,9}"}, at="*_asn"),
    Difference("location-string", "both", "type", "*", "string", "Peering Manager portal serializers",
               "location is a string", _profile(location="string"), STRING, at="location"),
    Difference("location-number", "both", "type", "*", "integer", "Peering Manager portal serializers",
               "location is a bare number", _profile(location="number"), INTEGER, at="location"),
    Difference("location-list", "answer", "type", "GET */*locations*", "*", "Peering Manager portal serializers",
               "as location in a session", _profile(location=("string", "number")), at="*locations[[]*"),
    Difference("location-list-a", "answer", "type", "GET /list_locations", "*", "Peering Manager portal serializers",
               "as location in a session", _profile(location=("string", "number")), at="$[[]*"),
    Difference("location-case", "both", "enum", "*", "P*", "peerctl autopeer/workflow.py", 'type="PUBLIC"',
               _profile(location_case="upper"), at="type"),
    Difference("id-integer", "both", "type", "*", "integer", "Peering Manager portal serializers",
               "session_id is an integer", _profile(session_id_kind="integer"), INTEGER, at="[su]*id"),
    # ---- shapes ----
    Difference("post-object", "request", "type", "POST /sessions", "object",
               "draft -06 DATA TYPES, Session Array; pull request 21", "{sessions, request_id, return_url}",
               _profile(body=("both", "object")), {"$ref": REF + "CreateSessionsRequest"}, at="$"),
    Difference("post-array", "request", "type", "POST /sessions", "array", "OpenAPI", "the newest file has the bare array",
               _profile(openapi="autopeer-2024-02-pr21", body=("both", "array")), {"$ref": REF + "SessionArray"}, at="$"),
    Difference("items-locations", "answer", "type", "GET /list_locations", "object", "peerctl autopeer/schema.py",
               "{items, requestId}", _profile(wrapper="items"),
               {"type": "object", "required": ["items", "request_id"],
                "properties": {"items": {"type": "array", "items": {"$ref": REF + "Location"}}, "request_id": STRING}}, at="$"),
    Difference("items-sessions", "answer", "type", "* /*", "object", "peerctl autopeer/workflow.py",
               "{requestId, sessions} and {sessions}", _profile(wrapper="items", era="a"),
               {"type": "object", "required": ["sessions"],
                "properties": {"sessions": {"$ref": REF + "SessionArray"}, "request_id": STRING}}, at="$"),
    Difference("errors-messages", "answer", "type", "*", "array", "OpenAPI, its example",
               "the other shape of errors", _profile(errors="messages"), MESSAGES, at="errors"),
    Difference("errors-drf", "answer", "required", "*", "errors", "Peering Manager (Django REST Framework)",
               "errors are {detail}", _profile(errors="drf"), at="errors"),
    _property("errors-detail", "answer", "*", "detail", "Peering Manager (Django REST Framework)",
              "errors are {detail}", _profile(errors="drf"), STRING),
    _property("errors-overlap", "answer", "POST /*", "overlapping_ips", "Peering Manager views/portal.py",
              "409 names the addresses", _profile(errors="drf"), {"type": "array", "items": STRING}),
    # ---- parameters, paths, statuses ----
    Difference("request_id-query", "request", "unknown-query", "GET /sessions", "request_id", "draft -06 GET /sessions",
               "a parameter there, not in OpenAPI"),
    Difference("client_register", "request", "path", "POST /oauth/client_register", "*", "ietf-01",
               "newer than OpenAPI"),
    Difference("401", "answer", "status", "*", "401", "draft -06 diagram; RFC 6750 section 3",
               "no token, or not a good one", lambda s: s.auth != "none"),
    Difference("403-auth", "answer", "status", "GET /auth", "403", "RFC 6750 section 3.1", "insufficient_scope",
               lambda s: bool(s.required_scope)),
    Difference("403-era-a", "answer", "status", "*", "403", "draft -00 REQUEST, server actions",
               "the ASN is not in the list of authorized ones", _profile(era="a")),
    Difference("429", "answer", "status", "*", "429", 'draft -06: "On each call, there should be rate limits"; RFC 6585',
               "with Retry-After", lambda s: bool(s.rate_limit)),
    Difference("422", "answer", "status", "POST /sessions", "422", "draft -06 POST /sessions",
               "please contact us, human intervention required"),
    Difference("422-delete", "answer", "status", "DELETE /sessions*", "422", "draft -06 DELETE /sessions/{session_id}",
               "please contact us, human intervention required"),
    Difference("201", "answer", "status", "POST /*", "201", "Peering Manager views/portal.py", "created",
               _profile(create_status=201)),
    Difference("204", "answer", "status", "DELETE /sessions/{session_id}", "204", "draft -06 DELETE /sessions/{session_id}",
               "an empty answer, the session is hard deleted", _profile(delete_status=204)),
    Difference("409", "answer", "status", "POST /*", "409", "Peering Manager views/portal.py", "the session exists",
               _profile(duplicates="conflict")),
]
