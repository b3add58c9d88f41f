# SPDX-License-Identifier: Apache-2.0
"""Holds every request and every regular answer against the OpenAPI file of the profile, and keeps what deviates."""

import collections
import dataclasses
import json
import threading

from . import differences, openapi, wire
from .httpd import NOTHING
from .openapi import Document, Problem

MAX_DEVIATIONS = 10000
_documents = {}
_documents_lock = threading.Lock()


def document(name):
    """The Document of openapi/NAME.yaml; each is read once."""
    with _documents_lock:
        if name not in _documents:
            _documents[name] = Document(openapi.FOLDER / f"{name}.yaml")
        return _documents[name]


@dataclasses.dataclass(frozen=True)
class Deviation:
    number: int  # of the request
    side: str  # request, answer
    operation: str  # "POST /sessions"
    code: str
    at: str
    text: str

    def __str__(self):
        return f"{self.side} {self.number}, {self.operation}: {self.at} {self.text}"


class Validator:
    def __init__(self, settings):
        self.settings = settings
        self.deviations = collections.deque(maxlen=MAX_DEVIATIONS)
        self.used = collections.Counter()  # id of a Difference -> how often it was needed

    @property
    def document(self):
        name = self.settings.profile.document
        return document(name) if name else None

    # ---- what deviates, and what may ----

    def _report(self, number, side, operation, problems, value=NOTHING):
        for problem in problems:
            allowed = next((d for d in differences.TABLE if d.covers(side, problem, operation, self.settings)), None)
            if allowed is None:
                self.deviations.append(Deviation(number, side, operation, problem.code, problem.at, problem.text))
                continue
            self.used[allowed.id] += 1
            if allowed.instead is not None and value is not NOTHING:
                self._report(number, side, operation,
                             self.document.check(_lookup(value, problem.at), allowed.instead, problem.at), value)

    def _normal(self, value):
        """With the names that OpenAPI has, where a profile spells all of them in another way."""
        profile = self.settings.profile

        def rename(name):
            new = wire.snake(name)
            if new == name:
                return name
            if profile.case == "camel" or name == profile.request_id_name:
                self.used["camelCase"] += 1
                return new
            return name

        if isinstance(value, dict):
            return {rename(n) if n != "botls" else n: v if n == "botls" else self._normal(v) for n, v in value.items()}
        return [self._normal(v) for v in value] if isinstance(value, list) else value

    # ---- requests ----

    def request(self, request, path):
        """Checks a request; `path` is below the base path, None when it is not. Returns (template, operation)."""
        if self.document is None:
            return None, None
        template, operation, parameters = self.document.find(request.method, path or "")
        name = f"{request.method} {template or path or request.raw_path}"
        problems = [Problem("http", "", "", remark) for remark in request.remarks]
        if operation is None:
            problems.append(Problem("path", request.raw_path[:200], request.method, "is not in the OpenAPI file"))
            self._report(request.number, "request", name, problems)
            return None, None
        problems += self._parameters(request, operation, parameters)
        value = NOTHING
        if "requestBody" in operation:
            value, more = self._body(request, operation["requestBody"])
            problems += more
        elif request.body:
            problems.append(Problem("body", "body", "", "there should be none"))
        self._report(request.number, "request", name, problems, value)
        return template, operation

    def remarks(self, request):
        """For requests that no OpenAPI file describes."""
        for remark in request.remarks:
            self.deviations.append(Deviation(request.number, "request", f"{request.method} {request.raw_path[:200]}", "http", "",
                                             remark))

    def _parameters(self, request, operation, in_path):
        known = {p["name"]: p for p in operation.get("parameters", [])}
        given = [n for n, _ in request.query]
        for name, value in request.query:
            if known.get(name, {}).get("in") != "query":
                yield Problem("unknown-query", f"?{name[:80]}", name, "is not a parameter")
            else:
                yield from self.document.check_text(value, known[name]["schema"], f"?{name}")
        for name in dict.fromkeys(n for n in given if given.count(n) > 1):
            yield Problem("repeated-query", f"?{name[:80]}", name, "is there more than once")
        for name, parameter in known.items():
            if parameter["in"] == "query" and parameter.get("required") and name not in given:
                yield Problem("required-query", f"?{name}", name, "is missing")
            if parameter["in"] == "path":
                yield from self.document.check_text(in_path[name], parameter["schema"], name)

    def _body(self, request, body):
        kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if kind not in body["content"]:
            return NOTHING, [Problem("content-type", "Content-Type", kind, f"is {kind or 'missing'!r}")]
        if request.value is NOTHING:
            return NOTHING, [Problem("json", "body", "", request.json_error or "is empty")]
        repeated = _repeated_keys(request.body)
        value = self._normal(request.value)
        return value, [Problem("json", "body", "", f"{k[:80]} is there twice in an object") for k in repeated] \
            + self.document.check(value, body["content"][kind]["schema"])

    # ---- answers ----

    def answer(self, request, template, operation, answer):
        if operation is None:
            return
        name = f"{request.method} {template}"
        response, problems, value = self.document.response(operation, answer.status), [], NOTHING
        if response is None:
            problems.append(Problem("status", "status", str(answer.status), f"{answer.status} is not in the OpenAPI file"))
            # where it is allowed all the same: an error looks like the other errors, a success like the 200
            stand_in = "200" if answer.status < 300 and answer.status != 204 else "400" if answer.status >= 400 else None
            response = stand_in and self.document.response(operation, stand_in)
        content = (response or {}).get("content", {})
        if not content and answer.body:
            problems.append(Problem("body", "body", "", "there should be none"))
        for media, it in content.items():
            if (dict(answer.headers).get("Content-Type") or "") != media:
                problems.append(Problem("content-type", "Content-Type", "", f"is not {media}"))
            elif answer.value is NOTHING:
                problems.append(Problem("json", "body", "", "is not JSON"))
            else:
                value = self._normal(answer.value)
                problems += self.document.check(value, it["schema"])
        self._report(request.number, "answer", name, problems, value)


def _lookup(value, at):
    """What an "at" like $[0].location points to."""
    for part in at.removeprefix("$").replace("[", ".[").split("."):
        if part.startswith("["):
            value = value[int(part[1:-1])]
        elif part:
            value = value.get(part)
    return value


def _repeated_keys(body):
    found = []

    def pairs(items):
        names = [n for n, _ in items]
        found.extend(n for n in dict.fromkeys(names) if names.count(n) > 1)
        return dict(items)

    try:
        json.loads(body, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        pass
    return found
