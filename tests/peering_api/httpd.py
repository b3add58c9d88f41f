# SPDX-License-Identifier: Apache-2.0
"""A small HTTP/1.1 server that gives the raw connection to whoever wants to misuse it.

It reads strictly and writes whatever it is told. A Listener runs one thread that accepts and one for each connection;
stop() ends all of them. Everything is bounded: connections, head and body of a request, and each wait.
"""

import collections
import dataclasses
import errno
import json
import os
import re
import select
import socket
import ssl
import struct
import threading
import time
import traceback
import urllib.parse

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
MAX_WAIT = 60.0  # nothing that a misbehaviour does takes longer
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REASONS = {100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 300: "Multiple Choices",
           301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect",
           308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 422: "Unprocessable Content",
           429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
           501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable"}
NOTHING = object()  # where None is a value


class Hangup(Exception):
    """This connection is over."""


class BadRequest(Exception):
    """What came is not HTTP/1.1."""

    def __init__(self, text, status=400):
        super().__init__(text)
        self.status = status


@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: list  # (name, value) as they came
    body: bytes
    client: str
    listener: str = ""
    number: int = 0
    time: float = 0.0
    remarks: list = dataclasses.field(default_factory=list)  # what is odd about it as HTTP

    def __post_init__(self):
        path, _, query = self.target.partition("?")
        self.path = urllib.parse.unquote(path, errors="replace")
        self.raw_path = path
        self.query = urllib.parse.parse_qsl(query, keep_blank_values=True)
        self.value = NOTHING
        self.json_error = None
        if self.body:
            try:
                self.value = json.loads(self.body.decode("utf-8"))
            except (ValueError, RecursionError) as e:
                self.json_error = str(e)

    def header(self, name, default=None):
        return next((v for n, v in self.headers if n.lower() == name.lower()), default)

    def parameter(self, name, default=None):
        return next((v for n, v in self.query if n == name), default)


@dataclasses.dataclass
class Answer:
    status: int = 200
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    value: object = NOTHING  # the JSON value that the body was made of
    close: bool = False

    @classmethod
    def json(cls, value, status=200, headers=()):
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return cls(status, [("Content-Type", "application/json"), *headers], body, value)

    def head(self, length=NOTHING, extra=()):
        """Status line and headers; `length` replaces the true Content-Length, None leaves it out."""
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{n}: {v}" for n, v in [*self.headers, *extra]]
        if length is NOTHING:
            length = None if self.status == 204 or self.status < 200 else len(self.body)
        if length is not None:
            lines.append(f"Content-Length: {length}")
        if self.close:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n"

    def encode(self, method):
        bare = method == "HEAD" or self.status == 204
        return self.head() + (b"" if bare else self.body)


class Connection:
    """One client. Only the thread of the connection uses `sock`; `raw` is a second descriptor of the same
    socket, through which others shut it down."""

    def __init__(self, listener, sock, client):
        self.listener = listener
        self.client = client
        self.raw = socket.socket(fileno=os.dup(sock.fileno()))
        self.sock = sock
        self.buffer = b""
        self.context = listener.tls

    # ---- bytes ----

    def _wait(self, seconds, writing=False):
        """True when the socket is ready, False after `seconds`."""
        poll = select.poll()
        poll.register(self.raw, select.POLLOUT if writing else select.POLLIN)
        return bool(poll.poll(max(0, seconds) * 1000))

    def receive(self):
        """Some bytes; b"" at the end, Hangup when nothing comes for idle_seconds."""
        try:
            return self.sock.recv(65536)
        except (OSError, ValueError) as e:
            raise Hangup(str(e)) from e

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (OSError, ValueError) as e:
            raise Hangup(str(e)) from e

    def pause(self, seconds):
        """Waits, and no longer than the server runs; Hangup when it stops."""
        if self.listener.stopping.wait(min(seconds, MAX_WAIT)):
            raise Hangup("stopped")

    def wait_for_hangup(self, seconds):
        """Until the client is gone, at most `seconds`. True when it went."""
        end = time.monotonic() + min(seconds, MAX_WAIT)
        self.sock.setblocking(False)
        try:
            while self._wait(end - time.monotonic()):
                try:
                    if not self.sock.recv(65536):
                        return True
                except (ssl.SSLWantReadError, BlockingIOError):
                    continue
                except (OSError, ValueError):
                    return True
            return False
        finally:
            self.sock.settimeout(self.listener.idle_seconds)

    def wait_for_bytes(self, seconds):
        """True as soon as the client has sent something; it stays unread."""
        return self._wait(min(seconds, MAX_WAIT)) and bool(self.raw.recv(1, socket.MSG_PEEK))

    def reset(self):
        """Ends the connection with RST."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.raw.close()
        raise Hangup("reset")

    def drop(self):
        """Ends the connection with FIN, and without TLS's close_notify."""
        self.sock.close()
        self.raw.close()
        raise Hangup("dropped")

    def close(self):
        if self.raw.fileno() < 0:
            return
        try:
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.setblocking(False)  # sends close_notify and does not wait for the client's
                self.sock.unwrap()
        except (OSError, ValueError):
            pass
        # Closing with unread bytes sends RST, which can overtake the answer: read a while.
        try:
            self.raw.shutdown(socket.SHUT_WR)
            self.raw.setblocking(False)
            for _ in range(64):
                if not self._wait(0.2) or not self.raw.recv(65536):
                    break
        except OSError:
            pass
        self.sock.close()
        self.raw.close()

    def abort(self):
        """From another thread: wakes this one up, whatever it waits for."""
        try:
            self.raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    # ---- requests ----

    def handshake(self):
        if self.context is None:
            return
        try:
            self.sock = self.context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
            self.sock.do_handshake()
        except (OSError, ValueError) as e:
            self.listener.handshake_errors.append(str(e))
            raise Hangup(str(e)) from e

    def _fill(self):
        data = self.receive()
        self.buffer += data
        return data

    def _take(self, n):
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > MAX_HEAD:
                raise BadRequest("the head is too long", 431)
            if not self._fill():
                if self.buffer.strip(b"\r\n"):
                    raise BadRequest("ends in its head")
                raise Hangup("end")
        head = self._take(self.buffer.index(b"\r\n\r\n") + 4)
        if len(head) > MAX_HEAD:
            raise BadRequest("the head is too long", 431)
        return head[:-4].split(b"\r\n")

    def _read_exactly(self, n):
        while len(self.buffer) < n:
            if not self._fill():
                raise BadRequest("ends in its body")
        return self._take(n)

    def _read_line(self):
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > 1024:
                raise BadRequest("a line of a chunked body is too long")
            if not self._fill():
                raise BadRequest("ends in its body")
        return self._take(self.buffer.index(b"\r\n") + 2)[:-2]

    def _read_chunked(self):
        body = b""
        while True:
            line = self._read_line()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
                raise BadRequest("bad chunk size")
            size = int(line, 16)
            if len(body) + size > MAX_BODY:
                raise BadRequest("the body is too long", 413)
            if size == 0:
                if self._read_line():
                    raise BadRequest("a trailer")
                return body
            body += self._read_exactly(size)
            if self._read_exactly(2) != b"\r\n":
                raise BadRequest("a chunk does not end")

    def read_request(self):
        first, *lines = self._read_head()
        match = re.fullmatch(rb"([A-Z]{1,20}) ([!-~]+) HTTP/1\.([01])", first)
        if not match:
            raise BadRequest("bad request line")
        headers = []
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.fullmatch(name) or re.search(rb"[\0-\x08\x0a-\x1f\x7f]", value):
                raise BadRequest("bad header")
            headers.append((name.decode(), value.strip(b" \t").decode("utf-8", "replace")))
        request = Request(match[1].decode(), match[2].decode(), headers, self._read_body(headers), self.client)
        names = [n.lower() for n, _ in headers]
        for name in ("host", "content-length", "content-type", "authorization", "accept", "user-agent"):
            if names.count(name) > 1:
                request.remarks.append(f"{name} is there twice")
        if "host" not in names:
            request.remarks.append("no Host")
        if not request.target.startswith("/"):
            request.remarks.append("the target is not a path")
        if match[3] == b"0":
            request.remarks.append("HTTP/1.0")
        return request

    def _read_body(self, headers):
        found = {n.lower(): v for n, v in headers}
        length, coding = found.get("content-length"), found.get("transfer-encoding")
        if length is not None and (coding is not None or not re.fullmatch(r"[0-9]{1,12}", length)):
            raise BadRequest("bad Content-Length")
        if length is not None and int(length) > MAX_BODY:
            raise BadRequest("the body is too long", 413)
        if found.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if coding is not None:
            if coding.lower() != "chunked":
                raise BadRequest("unknown transfer coding", 501)
            return self._read_chunked()
        return self._read_exactly(int(length)) if length else b""

    def serve(self):
        """Requests and answers until one side has enough."""
        if not self.listener.app.on_connection(self):
            return
        self.handshake()
        while not self.listener.stopping.is_set():
            try:
                request = self.read_request()
            except BadRequest as e:
                self.listener.app.on_bad_request(self, str(e))
                answer = Answer.json({"detail": str(e)}, e.status)
                answer.close = True
                self.send(answer.encode("GET"))
                return
            answer = self.listener.app.on_request(self, request)
            if answer is None:
                return
            answer.close = answer.close or (request.header("connection") or "").lower() == "close" \
                or "HTTP/1.0" in request.remarks
            self.send(answer.encode(request.method))
            if answer.close:
                return


class Listener:
    """Accepts on "HOST:PORT", "[V6]:PORT" or "unix:PATH" and asks `app` for answers.

    app.on_connection(connection) -> False when it dealt with it; app.on_request(connection, request) -> an
    Answer, or None to close; app.on_bad_request(connection, text).
    """

    def __init__(self, name, where, app, tls=None, idle_seconds=15.0, max_connections=64):
        self.name, self.where, self.app, self.tls = name, where, app, tls
        self.idle_seconds = idle_seconds
        self.stopping = threading.Event()
        self.handshake_errors = collections.deque(maxlen=1000)
        self.failures = collections.deque(maxlen=100)  # tracebacks: mistakes of this server
        self._places = threading.BoundedSemaphore(max_connections)
        self._lock = threading.Lock()
        self._connections = {}  # Connection -> its thread
        self._sock = self._bind(where)
        self._thread = threading.Thread(target=self._accept, name=f"{name}-accept", daemon=True)

    @staticmethod
    def _bind(where):
        if where.startswith("unix:"):
            path = where.removeprefix("unix:")
            sock = socket.socket(socket.AF_UNIX)
            if sock.connect_ex(path) == errno.ECONNREFUSED:
                os.unlink(path)  # of a server that was killed
            sock.close()
            sock = socket.socket(socket.AF_UNIX)
            old = os.umask(0o177)
            try:
                sock.bind(path)
            except OSError as e:
                sock.close()
                raise OSError(e.errno, f"{where}: {e.strerror}") from e
            finally:
                os.umask(old)
        else:
            host, _, port = where.rpartition(":")
            host = host.strip("[]")
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, int(port)))
            except OSError as e:
                sock.close()
                raise OSError(e.errno, f"{where}: {e.strerror}") from e
        sock.listen(128)
        return sock

    @property
    def host(self):
        """As it stands in a URL."""
        if self.where.startswith("unix:"):
            return "localhost"
        host = self._sock.getsockname()[0]
        return f"[{host}]" if ":" in host else host

    @property
    def port(self):
        return 0 if self.where.startswith("unix:") else self._sock.getsockname()[1]

    @property
    def connections(self):
        """Those that are open."""
        with self._lock:
            return list(self._connections)

    def start(self):
        self._thread.start()
        return self

    def _accept(self):
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while not self.stopping.is_set():
            # shutdown() wakes this up; the time is for systems where it does not
            if not poll.poll(1000):
                continue
            try:
                sock, address = self._sock.accept()
            except OSError:
                continue
            if not self._places.acquire(blocking=False):
                sock.close()
                continue
            sock.settimeout(self.idle_seconds)
            if sock.family != socket.AF_UNIX:  # TLS tickets, then the answer: Nagle would hold that back
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = "unix" if self.where.startswith("unix:") else f"{address[0]}:{address[1]}"
            connection = Connection(self, sock, client)
            thread = threading.Thread(target=self._run, args=(connection,), name=f"{self.name}-{client}", daemon=True)
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _run(self, connection):
        try:
            connection.serve()
        except Hangup:
            pass
        except Exception:
            self.failures.append(traceback.format_exc())
        finally:
            try:
                connection.close()
            finally:
                with self._lock:
                    self._connections.pop(connection, None)
                self._places.release()

    def stop(self):
        self.stopping.set()
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(5)
        with self._lock:
            left = list(self._connections.items())
        for connection, _ in left:
            connection.abort()
        for _, thread in left:
            thread.join(5)
        self._sock.close()
        if self.where.startswith("unix:"):
            try:
                os.unlink(self.where.removeprefix("unix:"))
            except FileNotFoundError:
                pass
        return not any(t.is_alive() for _, t in left) and not self._thread.is_alive()
