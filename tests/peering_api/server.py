# SPDX-License-Identifier: Apache-2.0
"""A Peering API server for tests and the demo: its listeners, and the way of a request through it."""

import collections
import copy
import shutil
import tempfile
import threading
import time
import urllib.parse

from . import admin, misbehaviours
from .api import Api
from .certificates import Certificates
from .control import Control
from .httpd import NOTHING, Answer, Listener
from .oauth import FORM, OAuth
from .peeringdb import PeeringDb
from .settings import Settings, Wrong, load
from .state import State
from .validator import Deviation, Validator

MAX_LOG = 2000
LOOPBACK = ("127.", "[::1]:", "localhost:")


class Front:
    """A listener's way into the server: the log, misbehaviours, and then the regular answer."""

    def __init__(self, server, name, regular):
        self.server, self.name, self.regular = server, name, regular

    def on_connection(self, connection):
        if connection.context is None:
            return True
        injection = self.server.injections.take("connection", self.name)
        if injection is None:
            return True
        entry = self.server.record(self.name, method="(connection)", client=connection.client)
        self.server.decided(entry, misbehaviour=injection.name, applied=True)
        return misbehaviours.CATALOGUE[injection.name].run(self.server, connection, injection.args)

    def on_bad_request(self, connection, text):
        entry = self.server.record(self.name, method="(bad request)", client=connection.client)
        self.server.decided(entry, error=text)
        if self.name != "trap":
            self.server.validator.deviations.append(
                Deviation(entry["number"], "request", "(bad request)", "http", self.name, text))

    def on_request(self, connection, request):
        server = self.server
        entry = server.record(self.name, request=request)
        request.number, request.listener, request.time = entry["number"], self.name, entry["time"]
        regular = self.regular(request)
        injection = server.injections.take("request", self.name, request.method, (request.path, entry["relative"]))
        if injection is None:
            answer = regular()
            server.decided(entry, status=answer.status)
            return answer
        server.decided(entry, misbehaviour=injection.name, applied=True)
        answer, applied = misbehaviours.run(server, connection, request, regular, injection)
        server.decided(entry, applied=applied, status=answer and answer.status)
        return answer


class Server(Control):
    """`with Server(asn=64501, profile="draft") as server:` or start() and stop(). See settings.Settings."""

    def __init__(self, settings=None, **changes):
        self.settings = settings or load(None, **changes)
        if settings is not None and changes:
            raise Wrong("either settings or changes")
        self.first_settings = copy.deepcopy(self.settings)
        self.clock_offset = 0.0
        self.log = collections.deque(maxlen=MAX_LOG)
        self.log_changed = threading.Condition()
        self.stop_wanted = threading.Event()
        self.listeners = {}
        self._number = 0
        self._folder = None
        self._certificates = None
        self.state = State(self.settings)
        self.injections = misbehaviours.Injections()
        self.validator = Validator(self.settings)
        self.oauth = OAuth(self.settings, self.clock, lambda: self._base_url("auth" if self.settings.auth_listen else "api"))
        self.api = Api(self.settings, self.state, self.oauth, self.clock)
        self.peeringdb = PeeringDb(self.settings)
        where = self.settings.admin
        if where and not where.startswith("unix:") and not where.startswith(LOOPBACK):
            raise Wrong(f"admin: {where} is neither loopback nor unix:PATH")

    def clock(self):
        return time.time() + self.clock_offset

    # ---- starting and stopping ----

    def start(self):
        self.validator.document  # noqa: B018 a broken file is a reason not to start
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self):
        settings = self.settings
        if settings.tls:
            if not settings.certificates:
                self._folder = tempfile.mkdtemp(prefix="peering-api-")
            host = settings.listen.rpartition(":")[0].strip("[]")
            names = [n for n in (settings.name or host, host, "127.0.0.1", "::1", "localhost") if n not in ("0.0.0.0", "::")]
            self._certificates = Certificates(settings.certificates or self._folder, settings, names)
        self._listen("api", settings.listen, self._api_regular)
        self._listen("auth", settings.auth_listen, lambda request: self._noted(request, self._oauth_or_404))
        self._listen("peeringdb", settings.peeringdb_listen, lambda request: self._noted(request, self.peeringdb))
        self._listen("trap", settings.trap_listen, lambda request: lambda: Answer.json(
            {"sessions": [], "locations": [], "data": [], "access_token": "trap", "token_type": "Bearer"}))
        if settings.admin:
            self.listeners["admin"] = Listener("admin", settings.admin, admin.Admin(self), None, 120.0).start()

    def _listen(self, name, where, regular):
        if where:
            self.listeners[name] = Listener(name, where, Front(self, name, regular), self.context() if self.settings.tls else None,
                                            self.settings.idle_seconds, self.settings.max_connections).start()

    def context(self, kind="good"):
        """A TLS context: good, stranger, wrong-name, expired, old."""
        return self._certificates.context(kind)

    def stop(self):
        """Ends every connection and thread; True when all of them ended."""
        self.stop_wanted.set()
        with self.log_changed:
            self.log_changed.notify_all()
        ended = [listener.stop() for listener in self.listeners.values()]
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        return all(ended)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- where things are ----

    def _base_url(self, name):
        listener = self.listeners.get(name)
        if listener is None:
            return ""
        host = self.settings.name if name in ("api", "auth") and self.settings.name else listener.host
        return f"{self.settings.scheme}://{host}:{listener.port}"

    @property
    def api_url(self):
        return self._base_url("api") + self.settings.profile.base_path

    @property
    def peeringdb_url(self):
        base = self._base_url("peeringdb")
        return base and base + "/api"

    @property
    def trap_url(self):
        return self._base_url("trap")

    @property
    def admin_address(self):
        listener = self.listeners.get("admin")
        if listener is None:
            return ""
        return self.settings.admin if listener.port == 0 else f"{listener.host}:{listener.port}"

    @property
    def ca(self):
        return self._certificates.ca if self._certificates else ""

    # ---- a request ----

    def _oauth_or_404(self, request):
        if self.oauth.handles(request.path):
            return self.oauth(request)
        return Answer.json({"detail": "Not found."}, 404)

    def _noted(self, request, answer):
        """For what no OpenAPI file describes: only what is odd about the HTTP deviates."""
        def regular():
            result = answer(request)
            self.validator.remarks(request)
            return result
        return regular

    def _api_regular(self, request):
        """Checks the request and returns the function that answers it."""
        if not self.settings.auth_listen and self.oauth.handles(request.path):
            return self._noted(request, self.oauth)
        template, operation = self.validator.request(request, self.api.relative(request.raw_path))

        def regular():
            answer = self.api(request)
            self.validator.answer(request, template, operation, answer)
            return answer
        return regular

    def record(self, listener, request=None, method="", client=""):
        """A new entry of the log."""
        entry = {"listener": listener, "time": self.clock(), "client": client, "method": method, "path": "", "relative": None,
                 "query": [], "headers": [], "body": None, "text": None, "remarks": [], "status": None,
                 "misbehaviour": None, "applied": None, "error": None, "decided": False}
        if request is not None:
            entry.update(client=request.client, method=request.method, path=request.path,
                         relative=self.api.relative(request.path) if listener == "api" else None,
                         query=[list(p) for p in request.query], headers=[[n, _redacted(n, v)] for n, v in request.headers],
                         remarks=request.remarks, **_body(request))
        with self.log_changed:
            self._number += 1
            entry["number"] = self._number
            self.log.append(entry)
        return entry

    def decided(self, entry, **facts):
        with self.log_changed:
            entry.update(facts, decided=True)
            self.log_changed.notify_all()


def _redacted(name, value):
    """Credentials are not shown, only of which kind they are."""
    if name.lower() in ("authorization", "proxy-authorization", "cookie"):
        kind, space, rest = value.partition(" ")
        return f"{kind} ({len(rest)} characters)" if space else "(given)"
    return value


def _body(request):
    if request.value is not NOTHING:
        return {"body": request.value}
    text = request.body.decode("utf-8", "replace")
    if (request.header("content-type") or "").partition(";")[0].strip().lower() == FORM:
        form = urllib.parse.parse_qsl(text, keep_blank_values=True)
        return {"body": {n: "(given)" if "secret" in n or "assertion" in n else v for n, v in form}}
    return {"text": text[:65536] or None}


__all__ = ["Server", "Settings"]
