# SPDX-License-Identifier: Apache-2.0
"""The sessions that a server knows, what it decides about new ones, and how they move on; nothing of the wire."""

import dataclasses
import fnmatch
import ipaddress
import json
import os
import pathlib
import threading
import uuid

from .settings import Wrong

# What decide() and the "then" of a rule may say: (admin_state, oper_state).
STEPS = {
    "pending": ("requested", None), "approve": ("approved", None), "reject": ("rejected", None),
    "configured": ("approved", "configured"), "established": ("approved", "established"),
    "down": ("approved", "down"), "unestablished": ("approved", "unestablished"), "delete": ("deleted", None),
}
DECISIONS = ("approve", "reject", "pending", "human", "forbid")
CONDITIONS = ("index", "location", "ip", "initiator_ip", "receiver_ip", "initiator_asn")
ACTIONS = ("decision", "reason", "polls", "then", "status", "times")


@dataclasses.dataclass
class Session:
    """initiator is who asked, receiver is this server."""

    initiator_asn: int = 0
    receiver_asn: int = 0
    initiator_ip: str = ""
    receiver_ip: str = ""
    location: str = ""  # "pdb:ix:31"
    location_type: str = "public"
    peer_type: str = "public"
    secret: str = ""
    initiator_role: object = None
    receiver_role: object = None
    initiator_insert_asn: bool = True
    receiver_insert_asn: bool = True
    initiator_monitoring: bool = False
    receiver_monitoring: bool = False
    botls: object = None  # the requester's half, as it came
    botls_receiver: object = None  # instead of the server's own half
    id: str = ""
    request_id: str = ""
    admin_state: str = "requested"  # requested, approved, rejected, deleted
    oper_state: object = None  # configured, established, down, unestablished
    status: str = ""  # a word to say instead of the state's
    reason: str = ""
    extra: bool = False  # the server's idea, not the client's
    more: dict = dataclasses.field(default_factory=dict)  # fields to add on the wire, as they are
    then: list = dataclasses.field(default_factory=list)  # steps to come
    polls: int = 0  # reads between two of them
    polls_left: int = 0

    @property
    def key(self):
        return (self.initiator_asn, self.receiver_asn, _address(self.initiator_ip), _address(self.receiver_ip),
                self.location)

    @property
    def state(self):
        return self.oper_state if self.admin_state == "approved" and self.oper_state else self.admin_state


def _address(text):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return text


def fields_of(cls):
    return {f.name for f in dataclasses.fields(cls)}


def matches(rule, session, index):
    """Whether all conditions of a rule hold."""
    ips = (session.initiator_ip, session.receiver_ip)

    def holds(name):
        wanted = rule[name]
        if name == "index":
            return index == wanted
        if name == "location":
            return fnmatch.fnmatchcase(session.location, str(wanted))
        if name == "initiator_asn":
            return session.initiator_asn == wanted
        wanted = ipaddress.ip_network(wanted, strict=False)
        mine = ips if name == "ip" else (getattr(session, name),)
        return any(ipaddress.ip_address(ip) in wanted for ip in mine)

    return all(holds(name) for name in CONDITIONS if name in rule)


def check_rules(rules):
    """Wrong when a policy cannot be understood; a rule with a misspelled condition would match everything."""
    for number, rule in enumerate(rules):
        where = f"policy[{number}]"
        for name in rule:
            if name not in CONDITIONS + ACTIONS:
                raise Wrong(f"{where}: there is no {name}; there are {', '.join(CONDITIONS + ACTIONS)}")
        if rule.get("decision") not in DECISIONS:
            raise Wrong(f"{where}: decision must be one of {', '.join(DECISIONS)}")
        for name in ("ip", "initiator_ip", "receiver_ip"):
            try:
                if name in rule:
                    ipaddress.ip_network(rule[name], strict=False)
            except ValueError as e:
                raise Wrong(f"{where}.{name}: {e}") from e
        for step in rule.get("then", []):
            if step not in STEPS:
                raise Wrong(f"{where}.then: {step} is not one of {', '.join(STEPS)}")
    return rules


class State:
    """Sessions in the order of their coming. Every method may be called from any thread; `lock` makes several one."""

    def __init__(self, settings):
        self.settings = settings
        self.lock = threading.RLock()
        self.sessions = {}  # id -> Session
        self.rules = [dict(r) for r in check_rules(settings.policy)]
        self.extra = []  # for the next POST
        self._numbers = 0
        if settings.state_file and os.path.exists(settings.state_file):
            self._load()

    # ---- a file ----

    def _load(self):
        try:
            saved = json.loads(pathlib.Path(self.settings.state_file).read_text(encoding="utf-8"))
            self._numbers = saved["numbers"]
            self.sessions = {s["id"]: Session(**s) for s in saved["sessions"]}
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise Wrong(f"{self.settings.state_file}: not a state file: {e}") from e

    def save(self):
        if not self.settings.state_file:
            return
        with self.lock:
            text = json.dumps({"numbers": self._numbers, "sessions": [dataclasses.asdict(s) for s in self.sessions.values()]},
                              indent=1)
            new = self.settings.state_file + ".new"
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it has secrets
            with os.fdopen(descriptor, "w", encoding="utf-8") as f:
                f.write(text)
            os.replace(new, self.settings.state_file)

    # ---- sessions ----

    def new_id(self):
        self._numbers += 1
        return str(self._numbers) if self.settings.profile.session_id_kind == "integer" else str(uuid.uuid4())

    def add(self, session):
        with self.lock:
            session.id = session.id or self.new_id()
            session.request_id = session.request_id or str(uuid.uuid4())
            if session.id in self.sessions:
                raise Wrong(f"there is a session {session.id} already")
            self.sessions[session.id] = session
            self.save()
        return session

    def find(self, session_id):
        with self.lock:
            return self.sessions.get(str(session_id))

    def get(self, session_id):
        session = self.find(session_id)
        if session is None:
            raise Wrong(f"there is no session {session_id}")
        return session

    def same(self, session):
        """The live session between the same two addresses, None when there is none."""
        with self.lock:
            return next((s for s in self.sessions.values()
                         if s.key == session.key and s.admin_state in ("requested", "approved")), None)

    def remove(self, session_id):
        with self.lock:
            self.get(session_id)
            del self.sessions[str(session_id)]
            self.save()

    def decide(self, session, step, reason=""):
        if step not in STEPS:
            raise Wrong(f"{step} is not one of {', '.join(STEPS)}")
        with self.lock:
            session.admin_state, session.oper_state = STEPS[step]
            session.status = ""
            session.reason = reason
            session.then, session.polls_left = [], 0
            self.save()

    def update(self, session, **fields):
        with self.lock:
            for name, value in fields.items():
                if name not in fields_of(Session) or name == "id":
                    raise Wrong(f"a session has no {name} to set")
                setattr(session, name, value)
            self.save()

    def read_by_client(self, session):
        """A client looks at it: steps that wait for that happen now."""
        with self.lock:
            if not session.then or session.polls_left > 1:
                session.polls_left -= 1 if session.then else 0
                return
            step, *rest = session.then
            self.decide(session, step, session.reason)
            session.then, session.polls_left = rest, session.polls
            self.save()

    # ---- decisions ----

    def rule_for(self, session, index):
        """What the policy says: a rule, with a decision. Its "times" count down."""
        with self.lock:
            for rule in self.rules:
                if rule.get("times", 1) > 0 and matches(rule, session, index):
                    if "times" in rule:
                        rule["times"] -= 1
                    return rule
            return {"decision": self.settings.default_decision}

    def apply(self, rule, session):
        """What a rule means for a new session."""
        with self.lock:
            self.decide(session, rule["decision"], rule.get("reason", ""))
            session.status = rule.get("status", "")
            session.polls = session.polls_left = max(1, rule.get("polls", 1))
            session.then = list(rule.get("then", []))

    def take_extra(self, like):
        """The sessions to add to this request, made to go with session `like`."""
        with self.lock:
            found, self.extra = self.extra, []
        return [Session(**{"initiator_asn": like.initiator_asn, "receiver_asn": like.receiver_asn,
                           "location": like.location, "location_type": like.location_type,
                           "peer_type": like.peer_type, "admin_state": "approved", **fields, "extra": True})
                for fields in found]
