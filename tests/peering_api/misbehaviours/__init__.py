# SPDX-License-Identifier: Apache-2.0
"""What a server can do wrong: the catalogue, and which misbehaviour is due for which request.

A misbehaviour is a function of a Scene. It returns an Answer to send in the regular way, or writes to the connection
itself and returns None, and then the connection ends. Whether the request takes effect all the same is a property of
each (those that spoil the regular answer need one) and can be chosen when it is injected (act=true or false).
"""

import copy
import dataclasses
import fnmatch
import itertools
import threading

from ..httpd import NOTHING, Answer
from ..settings import Wrong

CATALOGUE = {}


@dataclasses.dataclass(frozen=True)
class Misbehaviour:
    name: str
    text: str
    group: str
    run: object
    stage: str  # request, or connection: before TLS
    needs_trap: bool
    defaults: dict


def misbehaviour(group, name, text, stage="request", needs_trap=False, **defaults):
    """Puts a function into the catalogue; `defaults` are the arguments it knows."""
    def put(function):
        assert name not in CATALOGUE, name
        CATALOGUE[name] = Misbehaviour(name, text, group, function, stage, needs_trap, defaults)
        return function
    return put


class Scene:
    """What a misbehaviour has to work with."""

    def __init__(self, server, connection, request, regular, injection):
        self.server, self.connection, self.request = server, connection, request
        self.args = injection.args
        self.applied = True  # set to False by one that found nothing to spoil
        self._regular = regular
        self._answer = None

    def answer(self):
        """The regular answer, a copy to spoil. The request takes effect."""
        if self._answer is None:
            self._answer = self._regular()
        return copy.deepcopy(self._answer)

    def value(self):
        """The JSON value of the regular answer; None when that was no JSON."""
        answer = self.answer()
        return None if answer.value is NOTHING else answer.value

    def replace(self, value):
        """The regular answer with another value."""
        answer = self.answer()
        answer.value = value
        answer.body = Answer.json(value).body
        return answer

    def replace_text(self, body):
        answer = self.answer()
        answer.body = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
        return answer

    def nothing_to_spoil(self):
        self.applied = False
        return self.answer()

    def write(self, data):
        self.connection.send(data)


@dataclasses.dataclass
class Injection:
    id: int
    name: str
    path: str = "*"  # of the request, with *, below the base path or whole; without the query
    method: str = "*"
    listener: str = "*"  # api, auth, peeringdb
    count: object = 1  # how many requests; None = until it is cleared
    skip: int = 0  # let so many matching requests pass before
    act: object = None
    args: dict = dataclasses.field(default_factory=dict)
    used: int = 0

    def wants(self, listener, method, paths):
        return (fnmatch.fnmatchcase(listener, self.listener) and fnmatch.fnmatchcase(method, self.method)
                and any(fnmatch.fnmatchcase(p, self.path) for p in paths if p is not None))


class Injections:
    """What is to happen, in the order in which it was asked for."""

    def __init__(self):
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.list = []

    def add(self, name, path="*", method="*", listener="*", count=1, skip=0, act=None, **args):
        if name not in CATALOGUE:
            close = [n for n in CATALOGUE if name.split("-")[0] in n]
            raise Wrong(f"there is no misbehaviour {name}" + (f"; near: {', '.join(close)}" if close else ""))
        known = CATALOGUE[name].defaults
        for argument in args:
            if argument not in known:
                raise Wrong(f"{name} has no argument {argument}; it has {', '.join(known) or 'none'}")
        with self._lock:
            injection = Injection(next(self._numbers), name, path, method, listener, count, skip, act, {**known, **args})
            self.list.append(injection)
        return injection

    def clear(self, injection_id=None):
        with self._lock:
            before = len(self.list)
            self.list = [i for i in self.list if injection_id is not None and i.id != injection_id]
            return before - len(self.list)

    def take(self, stage, listener, method="*", paths=("*",)):
        """The Injection that is due, None for none. It counts down."""
        with self._lock:
            for injection in self.list:
                if CATALOGUE[injection.name].stage != stage or not injection.wants(listener, method, paths):
                    continue
                if injection.skip > 0:
                    injection.skip -= 1
                    return None
                injection.used += 1
                if injection.count is not None:
                    injection.count -= 1
                    if injection.count <= 0:
                        self.list.remove(injection)
                return injection
        return None


def run(server, connection, request, regular, injection):
    """(Answer or None, whether there was something to spoil)"""
    scene = Scene(server, connection, request, regular, injection)
    if injection.act:
        scene.answer()
    answer = CATALOGUE[injection.name].run(scene)
    return answer, scene.applied


from . import body, connection, contents, paging, protocol, status, tokens  # noqa: E402,F401 they fill the catalogue
