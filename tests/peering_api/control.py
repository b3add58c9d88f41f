# SPDX-License-Identifier: Apache-2.0
"""What tests and people can ask of a running server, in the same process or through the admin interface.

Everything here takes and gives JSON values only, so that both ways are the same. A mistake raises settings.Wrong.
"""

import copy
import dataclasses
import fnmatch
import inspect
import time

from . import differences, misbehaviours, peeringdb
from .settings import PRESETS, Wrong, apply
from .state import Session, check_rules, fields_of

CALLS = {}
FIXED = {"listen", "name", "admin", "auth_listen", "peeringdb_listen", "trap_listen", "tls", "tls_versions", "certificates",
         "certificate", "key", "client_ca", "state_file", "policy", "max_connections", "idle_seconds"}


def call(function):
    CALLS[function.__name__] = function
    function.reads = False
    return function


def reading(function):
    """A call that changes nothing."""
    call(function).reads = True
    return function


def invoke(server, name, arguments):
    """One of CALLS by its name; Wrong when it does not exist or the arguments do not fit."""
    if name not in CALLS:
        raise Wrong(f"there is no {name}; there are {', '.join(CALLS)}")
    try:
        inspect.signature(CALLS[name]).bind(server, **arguments)
    except TypeError as e:
        raise Wrong(f"{name}: {e}") from e
    return CALLS[name](server, **arguments)


class Control:
    """Mixed into Server."""

    # ---- what is there ----

    @reading
    def info(self):
        """URLs, addresses, the file with the CA."""
        return {"api": self.api_url, "issuer": self.oauth.issuer, "token": self.oauth.token_url, "peeringdb": self.peeringdb_url,
                "trap": self.trap_url, "admin": self.admin_address, "ca": self.ca, "asn": self.settings.asn}

    @reading
    def calls(self):
        """All of these, with what they do."""
        return {n: {"arguments": str(inspect.signature(f)).replace("(self, ", "(").replace("(self)", "()"),
                    "text": inspect.getdoc(f), "reads": f.reads} for n, f in CALLS.items()}

    @reading
    def settings_now(self):
        """All settings, secrets included."""
        return dataclasses.asdict(self.settings)

    @call
    def configure(self, **changes):
        """Changes settings of the running server, such as profile={"secret": "md5"} or profile="draft"."""
        fixed = FIXED & set(changes)
        if fixed:
            raise Wrong(f"{', '.join(sorted(fixed))} cannot change while the server runs"
                        + ("; call policy" if "policy" in fixed else ""))
        with self.state.lock:
            apply(self.settings, changes)
            if "peeringdb" in changes:
                self.peeringdb.tables = peeringdb.load(self.settings.peeringdb)
        return None

    @reading
    def presets(self):
        """The wire profiles that have a name."""
        return PRESETS

    @call
    def advance(self, seconds):
        """Lets the server's clock jump: tokens expire, rate limits pass."""
        self.clock_offset += seconds
        return self.clock_offset

    @call
    def stop_server(self):
        """Ends a server that runs as a program."""
        self.stop_wanted.set()
        return None

    # ---- what was asked of it ----

    @reading
    def requests(self, since=0, listener="*", method="*", path="*"):
        """The requests that came, oldest first: those after number `since` that match."""
        with self.log_changed:
            return [dict(e) for e in self.log if _is_wanted(e, since, listener, method, path)]

    @reading
    def wait_for(self, count=1, since=0, listener="*", method="*", path="*", seconds=10):
        """Waits until `count` requests match and were decided, and returns them."""
        end = time.monotonic() + min(seconds, 60)
        with self.log_changed:
            while not self.stop_wanted.is_set():
                found = [dict(e) for e in self.log if e["decided"] and _is_wanted(e, since, listener, method, path)]
                if len(found) >= count:
                    return found
                if not self.log_changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise Wrong(f"only {len(found)} of {count} requests {method} {path} came within {seconds} s")
        raise Wrong("the server stops")

    @call
    def forget_requests(self):
        """Empties the lists of requests, deviations and TLS errors."""
        with self.log_changed:
            self.log.clear()
        self.validator.deviations.clear()
        self.validator.used.clear()
        for listener in self.listeners.values():
            listener.handshake_errors.clear()
        return None

    @reading
    def deviations(self):
        """Where requests or regular answers were not what the OpenAPI file says."""
        return [{**dataclasses.asdict(d), "message": str(d)} for d in self.validator.deviations]

    @reading
    def differences_used(self):
        """How often each deliberate difference to OpenAPI was needed, with its reason and source."""
        known = {d.id: d for d in differences.TABLE}
        return {n: {"count": c, "reason": known[n].reason if n in known else "",
                    "source": known[n].source if n in known else ""} for n, c in self.validator.used.items()}

    @reading
    def handshake_errors(self):
        """TLS handshakes that failed, by listener: what a client that refuses a certificate said."""
        return {n: list(lst.handshake_errors) for n, lst in self.listeners.items()}

    @reading
    def failures(self):
        """Tracebacks of mistakes of this server; must be empty."""
        return [f for lst in self.listeners.values() for f in lst.failures]

    # ---- sessions ----

    @reading
    def sessions(self, request_id=None):
        """All sessions as the server keeps them: initiator is the client, receiver this server."""
        with self.state.lock:
            return [self._shown(s) for s in self.state.sessions.values() if request_id in (None, s.request_id)]

    @reading
    def session(self, id):
        """One session."""
        return self._shown(self.state.get(id))

    @staticmethod
    def _shown(session):
        return {**dataclasses.asdict(session), "state": session.state}

    @call
    def policy(self, rules=None, default=None):
        """Sets what is decided about new sessions: a list of rules, the first that matches counts, and the default."""
        with self.state.lock:
            if rules is not None:
                self.state.rules = [dict(r) for r in check_rules(rules)]
            if default is not None:
                apply(self.settings, {"default_decision": default})
            return {"rules": self.state.rules, "default": self.settings.default_decision}

    @call
    def extra_sessions(self, sessions):
        """Sessions that the server adds to the next POST, each a dict of fields such as initiator_ip, receiver_ip."""
        for fields in sessions:
            unknown = set(fields) - fields_of(Session)
            if unknown:
                raise Wrong(f"a session has no {', '.join(sorted(unknown))}")
        self.state.extra = [dict(s) for s in sessions]
        return len(sessions)

    @call
    def add_session(self, **fields):
        """A session that nobody asked for; the ASN of this server and "approved" are filled in."""
        unknown = set(fields) - fields_of(Session)
        if unknown:
            raise Wrong(f"a session has no {', '.join(sorted(unknown))}")
        return self._shown(self.state.add(Session(**{"receiver_asn": self.settings.asn, "admin_state": "approved", **fields})))

    @call
    def decide(self, id, step, reason=""):
        """Moves a session on: pending, approve, reject, configured, established, down, unestablished, delete."""
        session = self.state.get(id)
        self.state.decide(session, step, reason)
        return self._shown(session)

    @call
    def decide_all(self, step, reason=""):
        """decide() for every session that waits for a decision."""
        with self.state.lock:
            waiting = [s for s in self.state.sessions.values() if s.admin_state == "requested"]
            for session in waiting:
                self.state.decide(session, step, reason)
            return [s.id for s in waiting]

    @call
    def update_session(self, id, **fields):
        """Sets any field: status (a word of one's own), more (wire fields as they are), botls_receiver, ..."""
        session = self.state.get(id)
        self.state.update(session, **fields)
        return self._shown(session)

    @call
    def delete_session(self, id):
        """The session is gone, as if it had never been."""
        self.state.remove(id)
        return None

    @call
    def clear_sessions(self):
        """All sessions are gone."""
        with self.state.lock:
            number = len(self.state.sessions)
            self.state.sessions.clear()
            self.state.extra = []
            self.state.save()
        return number

    # ---- tokens ----

    @reading
    def tokens(self):
        """How many tokens were issued, refused, revoked, and are alive."""
        oauth = self.oauth
        return {"issued": oauth.issued, "refused": oauth.refused, "revoked": oauth.revoked, "alive": len(oauth.live)}

    @call
    def revoke_tokens(self):
        """Revokes every issued token: the next call to the API is answered 401."""
        return self.oauth.revoke_all()

    @reading
    def registered(self):
        """What came to /oauth/client_register."""
        return list(self.api.registered)

    # ---- misbehaviours ----

    @reading
    def misbehaviours(self):
        """The catalogue."""
        return {m.name: {"group": m.group, "text": m.text, "arguments": m.defaults} for m in misbehaviours.CATALOGUE.values()}

    @call
    def inject(self, name, path="*", method="*", listener="*", count=1, skip=0, act=None, **arguments):
        """The next `count` requests (null: all) that match, after `skip` of them, are answered with a misbehaviour.

        path has * and is matched below the base path and as a whole; listener is api, auth, peeringdb or trap; act=true
        lets the request take effect although its answer says nothing of it. Returns the injection's id.
        """
        known = misbehaviours.CATALOGUE.get(name)
        if known and known.stage == "connection" and not self.settings.tls:
            raise Wrong(f"{name} needs a server with TLS")
        if known and known.needs_trap and not (arguments.get("location") or self.trap_url):
            raise Wrong(f"{name} needs a server with trap_listen")
        return self.injections.add(name, path, method, listener, count, skip, act, **arguments).id

    @reading
    def injections_left(self):
        """Injections that are not used up."""
        return [dataclasses.asdict(i) for i in self.injections.list]

    @call
    def clear_injections(self, id=None):
        """Ends one injection, or all of them."""
        return self.injections.clear(id)

    # ---- start again ----

    @call
    def reset(self):
        """As just started: first settings, no sessions, requests, injections, tokens."""
        with self.state.lock:
            for name, value in vars(copy.deepcopy(self.first_settings)).items():
                setattr(self.settings, name, value)
            self.peeringdb.tables = peeringdb.load(self.settings.peeringdb)
        self.clear_injections()
        self.clear_sessions()
        self.policy(rules=self.settings.policy)
        self.forget_requests()
        self.oauth.revoke_all()
        self.oauth.issued = self.oauth.refused = self.oauth.revoked = 0
        self.api.forget()
        self.clock_offset = 0.0
        return None


def _is_wanted(entry, since, listener, method, path):
    return (entry["number"] > since and fnmatch.fnmatchcase(entry["listener"], listener)
            and fnmatch.fnmatchcase(entry["method"], method)
            and any(fnmatch.fnmatchcase(p, path) for p in (entry["path"], entry["relative"]) if p is not None))
