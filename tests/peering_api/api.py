# SPDX-License-Identifier: Apache-2.0
"""The Peering API itself, both eras of it. Regular answers only: what goes wrong on purpose is elsewhere."""

import collections
import re
import secrets
import urllib.parse
import uuid

from . import wire
from .httpd import NOTHING, Answer
from .wire import Bad, spell

MAX_SESSIONS = 1000  # in one request
MAX_TOKENS = 1000


class Refused(Exception):
    """Ends a request with this answer."""

    def __init__(self, answer):
        super().__init__(str(answer.status))
        self.answer = answer


class Api:
    """routes: era -> {(method, template): handler(request, grant, **path parameters)}"""

    ROUTES = {
        "a": {("GET", "/auth"): "auth", ("GET", "/list_locations"): "list_locations",
              ("POST", "/add_sessions"): "add_sessions", ("GET", "/get_status"): "get_status"},
        "b": {("GET", "/auth"): "auth", ("GET", "/locations"): "locations", ("POST", "/sessions"): "create",
              ("GET", "/sessions"): "list", ("DELETE", "/sessions"): "delete_batch",
              ("GET", "/sessions/{session_id}"): "one", ("DELETE", "/sessions/{session_id}"): "delete_one",
              ("POST", "/oauth/client_register"): "client_register"},
    }

    def __init__(self, settings, state, oauth, clock):
        self.settings, self.state, self.oauth, self.clock = settings, state, oauth, clock
        self._pages = collections.OrderedDict()  # next_token -> (what it goes on with, offset)
        self._recent = collections.deque()  # times of requests, for the rate limit
        self.registered = []  # of /oauth/client_register

    def forget(self):
        self._pages.clear()
        self._recent.clear()
        self.registered.clear()

    @property
    def profile(self):
        return self.settings.profile

    def errors(self, status, *errors, headers=()):
        return Answer.json(wire.errors_out(self.profile, errors), status, headers)

    def refuse(self, status, *errors, headers=()):
        raise Refused(self.errors(status, *errors, headers=headers))

    def relative(self, raw_path):
        """The path below the base path, None when it is not below it."""
        base = self.profile.base_path.rstrip("/")
        return raw_path[len(base):] if raw_path.startswith(base + "/") else None

    def __call__(self, request):
        try:
            return self._answer(request)
        except Refused as e:
            return e.answer
        except Bad as e:
            return self.errors(400, *e.errors)

    def _answer(self, request):
        handler, parameters = self._route(request)
        self._limit_rate()
        grant = None
        if handler != "client_register":
            grant, problem = self.oauth.authorize(request)
            if problem:
                status, challenge, text = problem
                self.refuse(status, ("authorization", text), headers=[("WWW-Authenticate", challenge)])
        with self.state.lock:
            return getattr(self, f"do_{handler}")(request, grant, **parameters)

    def _route(self, request):
        path = self.relative(request.raw_path)
        allowed = []
        for (method, template), handler in self.ROUTES[self.profile.era].items():
            match = path and re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template), path)
            if match and method == request.method:
                return handler, {n: urllib.parse.unquote(v, errors="replace") for n, v in match.groupdict().items()}
            if match:
                allowed.append(method)
        if allowed:
            self.refuse(405, ("method", "is not allowed here"), headers=[("Allow", ", ".join(allowed))])
        self.refuse(404, ("path", "there is no such thing"))

    def _limit_rate(self):
        limit = self.settings.rate_limit
        if not limit:
            return
        now = self.clock()
        with self.state.lock:
            while self._recent and self._recent[0] <= now - limit["seconds"]:
                self._recent.popleft()
            if len(self._recent) >= limit["requests"]:
                wait = max(1, int(self._recent[0] + limit["seconds"] - now + 0.999))
                self.refuse(429, ("rate", f"no more than {limit['requests']} requests in {limit['seconds']} s"),
                            headers=[("Retry-After", str(wait))])
            self._recent.append(now)

    # ---- what requests say ----

    def _asn(self, request):
        text = request.parameter("asn")
        if text is None or not wire.TEXT_ASN.fullmatch(text) or int(text) > wire.MAX_ASN:
            self.refuse(400, ("asn", "is missing" if text is None else "is not an AS number"))
        return int(text)

    def _require_asn(self, grant, asn):
        if not grant.covers(asn):
            self.refuse(403, ("asn", f"this token does not speak for AS{asn}"))

    def _visible(self, grant, session_id):
        session = self.state.find(session_id)
        if session is None or session.admin_state == "deleted" and self.profile.delete_effect == "hard" \
                or not grant.covers(session.initiator_asn):
            return None
        return session

    def _body(self, request):
        kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            self.refuse(400, ("content-type", "must be application/json"))
        if request.value is NOTHING:
            self.refuse(400, ("body", request.json_error or "is empty"))
        return request.value

    def _page(self, request, what, items):
        """(items of this page, next_token or None)"""
        text, token, start = request.parameter("max_results", "0"), request.parameter("next_token"), 0
        if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > 100:
            self.refuse(400, ("max_results", "must be 0 to 100"))
        size = min(int(text) or self.profile.page, self.profile.page)
        if token is not None:
            known, start = self._pages.get(token, (None, 0))
            if known != what:
                self.refuse(400, ("next_token", "is not one of ours for this list"))
        following = None
        if start + size < len(items):
            following = secrets.token_urlsafe(18)
            self._pages[following] = (what, start + size)
            while len(self._pages) > MAX_TOKENS:
                self._pages.popitem(last=False)
        return items[start:start + size], following

    def _listed(self, name, values, following):
        value = {spell(self.profile, name): values}
        if following:
            value[spell(self.profile, "next_token")] = following
        return Answer.json(value)

    # ---- locations ----

    def _locations(self, request):
        asn = self._asn(request)
        wanted = {"server": (asn == self.settings.asn), "client": asn != self.settings.asn, "any": True}
        if not wanted[self.profile.locations_asn]:
            self.refuse(400, ("asn", f"must be the {self.profile.locations_asn}'s"))
        kind = request.parameter("location_type")
        if kind is not None and kind.lower() not in ("public", "private"):
            self.refuse(400, ("location_type", "must be public or private"))
        return [wire.location_out(self.profile, p["id"], p.get("type", "public")) for p in self.settings.locations
                if kind is None or p.get("type", "public") == kind.lower()]

    def do_auth(self, request, grant):
        return Answer()

    def do_locations(self, request, grant):
        what = ("locations", request.parameter("asn"), request.parameter("location_type"))
        return self._listed("locations", *self._page(request, what, self._locations(request)))

    def do_list_locations(self, request, grant):
        found = self._locations(request)
        if self.profile.wrapper == "items":
            return Answer.json({"items": found, self.profile.request_id_name: str(uuid.uuid4())})
        return Answer.json(found)

    # ---- asking for sessions ----

    def _asked(self, request):
        """(list of wire sessions, request_id or None)"""
        body, request_id = self._body(request), None
        if isinstance(body, dict) and self.profile.era == "b" and self.profile.body != "array":
            request_id = body.get(spell(self.profile, "request_id"))
            if not isinstance(request_id, (str, type(None))) or request_id is not None and not request_id:
                self.refuse(400, ("request_id", "must be a string"))
            body = body.get("sessions")
        elif self.profile.body == "object" and self.profile.era == "b":
            self.refuse(400, ("body", "must be an object with sessions"))
        if not isinstance(body, list) or not 0 < len(body) <= MAX_SESSIONS:
            self.refuse(400, ("sessions", f"must be a list of 1 to {MAX_SESSIONS}"))
        return body, request_id

    def _session_name(self, index, session, field):
        return {"index": f"sessions[{index}]", "ip": session.initiator_ip, "field": field}[self.profile.error_name]

    def _wire_name(self, field):
        """receiver_ip as it is called on the wire."""
        for side, who in wire.SIDES[self.profile.perspective].items():
            if field.startswith(f"{who}_"):
                return spell(self.profile, field.replace(who, side, 1))
        return field

    def _check(self, grant, sessions):
        errors = []
        for index, session in enumerate(sessions):
            problem = None
            if session.receiver_asn != self.settings.asn:
                problem = "receiver_asn", f"AS{session.receiver_asn} is not us, we are AS{self.settings.asn}"
            elif session.initiator_asn == self.settings.asn:
                problem = "initiator_asn", "we do not peer with ourselves"
            problem = problem or wire.check_place(session, self.settings)
            if problem:
                errors.append((f"sessions[{index}].{self._wire_name(problem[0])}", problem[1]))
        if errors:
            self.refuse(400, *errors)
        for session in sessions:
            self._require_asn(grant, session.initiator_asn)

    def _conflicts(self, sessions):
        found = [s for s in map(self.state.same, sessions) if s]
        if not found or self.profile.duplicates != "conflict":
            return
        if self.profile.errors == "drf":
            raise Refused(Answer.json({"detail": "Duplicate request: sessions with these IPs are already pending.",
                                       "overlapping_ips": sorted(s.initiator_ip for s in found)}, 409))
        self.refuse(409, *((s.initiator_ip, f"is session {s.id} already") for s in found))

    def _take(self, request, grant):
        """Reads, checks, decides, stores: (accepted, rejected [(index, session)], request id)."""
        values, request_id = self._asked(request)
        sessions, errors = [], []
        for index, value in enumerate(values):
            try:
                sessions.append(wire.session_in(value, self.settings, f"sessions[{index}]"))
            except Bad as e:
                errors += e.errors
        if errors:
            self.refuse(400, *errors)
        self._check(grant, sessions)
        self._conflicts(sessions)
        rules = [self.state.rule_for(s, i) for i, s in enumerate(sessions)]
        for rule in rules:
            if rule["decision"] in ("human", "forbid"):
                text = rule.get("reason") or "please contact us, human intervention required"
                status = {"forbid": 403, "human": 422 if self.profile.era == "b" else 400}[rule["decision"]]
                self.refuse(status, ("request", text))
        known = self.profile.adopt_request_id and request_id
        return self._store(list(zip(sessions, rules)), known or str(uuid.uuid4()))

    def _store(self, decided, request_id):
        accepted, rejected = [], []
        for index, (session, rule) in enumerate(decided):
            same = self.state.same(session) if self.profile.duplicates == "return" else None
            if same:
                accepted.append(same)
                continue
            session.request_id = request_id
            self.state.apply(rule, session)
            told = self.profile.era == "a" or self.profile.reject_as != "errors"
            if session.admin_state == "rejected":
                rejected.append((index, session))
            else:
                accepted.append(session)
            if session.admin_state != "rejected" or told:
                self.state.add(session)
        for session in self.state.take_extra(decided[0][0]):
            session.request_id = request_id
            accepted.append(self.state.add(session))
        # all of them may be known already: then the request goes on under its old name
        if accepted and all(s.request_id == accepted[0].request_id for s in accepted) and not rejected:
            request_id = accepted[0].request_id
        return accepted, rejected, request_id

    def _out(self, session):
        return wire.session_out(session, self.settings)

    def _rejection(self, index, session):
        return self._session_name(index, session, self._wire_name("receiver_ip")), session.reason or "rejected"

    def do_create(self, request, grant):
        accepted, rejected, request_id = self._take(request, grant)
        errors = [self._rejection(i, s) for i, s in rejected]
        if rejected and not accepted and self.profile.all_rejected != 200:
            return self.errors(self.profile.all_rejected, *errors)
        shown = [s for s in accepted if not s.extra or self.profile.extra_in == "reply"]
        if self.profile.reject_as != "errors":
            shown += [s for _, s in rejected]
        value = {spell(self.profile, "sessions"): [self._out(s) for s in shown]}
        if errors and self.profile.reject_as != "status":
            # in {sessions, errors}, errors is an Error: what errors_out() nests once more is for whole answers
            nested = wire.errors_out(self.profile, errors)
            value["errors"] = nested.get("errors", nested)
        if self.profile.request_id in ("reply", "both"):
            value[self.profile.request_id_name] = request_id
        return Answer.json(value, self.profile.create_status)

    def do_add_sessions(self, request, grant):
        accepted, rejected, request_id = self._take(request, grant)
        changed = bool(rejected) or any(s.extra for s in accepted)
        values = [self._out(s) for s in accepted + [s for _, s in rejected]]
        if self.profile.wrapper == "items":
            values = {"sessions": values, self.profile.request_id_name: request_id}
        return Answer.json(values, 300 if changed else self.profile.create_status)

    # ---- looking at sessions ----

    def _found(self, request, grant):
        asn = self._asn(request)
        self._require_asn(grant, asn)
        request_id = request.parameter("request_id")
        mine = [s for s in self.state.sessions.values() if s.initiator_asn == asn and self._visible(grant, s.id)]
        if request_id is None:
            return mine
        found = [s for s in mine if request_id in (s.request_id, s.id)]
        if not found:
            self.refuse(400, ("request_id", "is invalid"))
        return found

    def _seen(self, sessions):
        """What the client is told; then pending ones move on."""
        values = [self._out(s) for s in sessions]
        for session in sessions:
            self.state.read_by_client(session)
        return values

    def do_list(self, request, grant):
        found = self._found(request, grant)
        what = ("sessions", request.parameter("asn"), request.parameter("request_id"))
        page, following = self._page(request, what, found)
        return self._listed("sessions", self._seen(page), following)

    def do_get_status(self, request, grant):
        values = self._seen(self._found(request, grant))
        return Answer.json({"sessions": values} if self.profile.wrapper == "items" else values)

    def do_one(self, request, grant, session_id):
        session = self._visible(grant, session_id)
        if session is None:
            self.refuse(404, ("session_id", "does not exist"))
        return Answer.json(self._seen([session])[0])

    # ---- ending sessions ----

    def _may_delete(self):
        if self.settings.delete_decision != "allow":
            status = {"human": 422, "forbid": 403}[self.settings.delete_decision]
            self.refuse(status, ("request", "please contact us, human intervention required"))

    def _delete(self, session):
        self.state.decide(session, "delete")
        value = self._out(session)
        if self.profile.delete_effect == "hard":
            self.state.remove(session.id)
        return value

    def do_delete_one(self, request, grant, session_id):
        session = self._visible(grant, session_id)
        if session is None:
            self.refuse(404, ("session_id", "does not exist"))
        self._may_delete()
        value = self._delete(session)
        return Answer(204) if self.profile.delete_status == 204 else Answer.json(value)

    def do_delete_batch(self, request, grant):
        body, name = self._body(request), spell(self.profile, self.profile.session_id)
        if not isinstance(body, list) or not body or not all(isinstance(r, dict) and name in r for r in body):
            self.refuse(400, ("body", f"must be a list of objects with {name}"))
        self._may_delete()
        gone, errors = [], []
        for index, reference in enumerate(body):
            session = self._visible(grant, reference[name])
            if session:
                gone.append(self._delete(session))
            else:
                errors.append((f"sessions[{index}]", "does not exist"))
        value = {"sessions": gone}
        if errors:
            nested = wire.errors_out(self.profile, errors)
            value["errors"] = nested.get("errors", nested)
        return Answer.json(value)

    # ---- draft-ietf-grow-peering-api-01 ----

    def do_client_register(self, request, grant):
        body = self._body(request)
        base = body.get("idp_base") if isinstance(body, dict) else None
        if not isinstance(base, str) or not re.fullmatch(r"https://[^\s?#]+", base):
            self.refuse(400, ("idp_base", "must be an https URL"))
        client_id = f"client-{len(self.registered) + 1}"
        self.registered.append({"idp_base": base, "client_id": client_id})
        return Answer.json({"client_id": client_id})
