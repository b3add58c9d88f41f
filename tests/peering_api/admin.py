# SPDX-License-Identifier: Apache-2.0
"""The admin interface: every call of control.CALLS over HTTP on loopback or a UNIX socket, and its client.

POST /CALL with a JSON object of arguments; calls that change nothing also as GET /CALL?argument=value. The answer is
{"result": ..}, or 400 with {"error": ".."}. GET / lists the calls.
"""

import http.client
import json
import socket

from . import control
from .httpd import NOTHING, Answer
from .settings import Wrong


class Admin:
    def __init__(self, server):
        self.server = server

    def on_connection(self, connection):
        return True

    def on_bad_request(self, connection, text):
        pass

    def on_request(self, connection, request):
        try:
            return Answer.json({"result": self._call(request)})
        except Wrong as e:
            return Answer.json({"error": str(e)}, 400)

    def _call(self, request):
        name = request.path.strip("/") or "calls"
        if request.method == "POST":
            arguments = {} if request.value is NOTHING and not request.body else request.value
            if not isinstance(arguments, dict):
                raise Wrong(f"the body must be a JSON object of arguments{': ' + request.json_error if request.json_error else ''}")
            return control.invoke(self.server, name, arguments)
        if request.method == "GET" and (name not in control.CALLS or control.CALLS[name].reads):
            return control.invoke(self.server, name, {n: argument(v) for n, v in request.query})
        raise Wrong(f"{name} changes something: use POST")


def argument(text):
    """A JSON value where it is one, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Remote:
    """A server in another process: Remote("unix:/run/x/admin").inject("no-answer", path="/sessions")."""

    def __init__(self, address, timeout=70):
        self.address, self.timeout = address, timeout

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **arguments: self.call(name, **arguments)

    def call(self, name, /, **arguments):
        if self.address.startswith("unix:"):
            connection = _UnixConnection(self.address.removeprefix("unix:"), self.timeout)
        else:
            connection = http.client.HTTPConnection(self.address, timeout=self.timeout)
        try:
            connection.request("POST", f"/{name}", json.dumps(arguments), {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in value:
            raise Wrong(value["error"])
        return value["result"]
