#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Answers of every kind, for test_http.c: right ones, broken ones, none at all.

usage: http_answers.py DIR     with NAME.pem and NAME.key for each TLS listener

Listens on ephemeral ports of 127.0.0.1 (and ::1), prints "NAME=PORT ..." and runs until its standard input ends, which it
does when the test is gone, however it went. The path of a request says what the answer is.
"""
import os
import select
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import warnings

log = []  # heads of all requests, since /log was asked for the last time
late_contexts = []  # those that take 8 seconds before they answer to a client
connections = 0
lock = threading.Lock()


def plain(body, *headers, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def is_open(conn, seconds):
    """Waits for the client to hang up (or to speak), which is what ends an answer that has no end."""
    readable, _, _ = select.select([conn], [], [], seconds)
    return not readable


def hang(conn):
    while is_open(conn, 60):
        pass


def endless(conn, head, piece):
    conn.sendall(head)
    while True:
        conn.sendall(piece)


def trickle(conn):
    """Whole after 8 seconds, which a client that waits for less must not see."""
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        if not is_open(conn, 0.08):
            return
        conn.sendall(b"x")


def late(conn):
    if is_open(conn, 8):
        conn.sendall(plain(b"late"))


def reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def with_headers(query):
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    return plain(b"body", *(f"{name}: {value}" for name, value in pairs))


def many_headers(size):
    """Exactly `size` bytes of head."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
    left = size - len(head) - 2
    while left > 2000:
        head += b"X: " + b"y" * 995 + b"\r\n"
        left -= 1000
    return head + b"X: " + b"y" * (left - 5) + b"\r\n\r\n"


def chunked(size):
    piece = b"x" * size
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (size, piece)


def asked_log():
    text = "\n====\n".join(log)
    log.clear()
    return plain(text.encode("latin-1"), "Content-Type: text/plain")


def echo(request):
    return plain(request, "Content-Type: text/plain", "Set-Cookie: a=b; Path=/")


# What is written as it stands; the connection is closed after all but the first few.
ANSWERS = {
    "/echo": lambda q, request: echo(request),
    "/log": lambda q, request: asked_log(),
    "/connections": lambda q, request: plain(str(connections).encode()),
    "/status": lambda q, request: plain(b"", status=q or "200"),
    "/with": lambda q, request: with_headers(q),
    "/length": lambda q, request: plain(b"x" * int(q)),
    "/chunked": lambda q, request: chunked(int(q)),
    "/seen": lambda q, request: plain(b"the redirect was followed"),
    "/headers": lambda q, request: many_headers(int(q)),
    "/gzip": lambda q, request: plain(b"\x1f\x8b", "Content-Encoding: gzip"),
    "/no-content": lambda q, request: b"HTTP/1.1 204 No Content\r\n\r\n",
    "/early": lambda q, request: b"HTTP/1.1 103 Early Hints\r\nRetry-After: 7\r\n\r\n" + plain(b"late"),
}
LAST_ANSWERS = {
    "/until-close": lambda q: b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * int(q),
    "/more": lambda q: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n0123456789",
    "/less": lambda q: b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
    "/cut-chunk": lambda q: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n01234",
    "/says": lambda q: b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\nabc" % q.encode(),
    "/header-line": lambda q: b"HTTP/1.1 200 OK\r\nX: " + b"y" * int(q) + b"\r\n\r\n",
    "/not-http": lambda q: b"SSH-2.0-OpenSSH_9.2\r\n",
    "/raw": lambda q: urllib.parse.unquote_to_bytes(q),
    "/half-head": lambda q: b"HTTP/1.1 200 OK\r\nContent-Le",
    "/silence": lambda q: b"",
}
ACTIONS = {
    "/hang": lambda q, conn: hang(conn),
    "/trickle": lambda q, conn: trickle(conn),
    "/late": lambda q, conn: late(conn),
    "/reset": lambda q, conn: reset(conn),
    "/signal": lambda q, conn: (os.kill(int(q), signal.SIGUSR1), hang(conn)),
    "/endless": lambda q, conn: endless(conn, b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "/endless-chunks": lambda q, conn: endless(
        conn, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "/endless-headers": lambda q, conn: endless(conn, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "/continues": lambda q, conn: endless(conn, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


def read_request(conn, buffered):
    while b"\r\n\r\n" not in buffered:
        piece = conn.recv(65536)
        if not piece:
            return None, b""
        buffered += piece
        if buffered[:1] == b"\x16":  # TLS, where none is spoken
            conn.sendall(plain(b"", status="400 Bad Request"))
            return None, b""
    head, _, body = buffered.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = conn.recv(65536)
        if not piece:
            return None, b""
        body += piece
    return head + b"\r\n\r\n" + body[:length], body[length:]


def serve(conn):
    buffered, leave_next = b"", False
    while True:
        request, buffered = read_request(conn, buffered)
        if request is None:
            return
        method, target = request.split(b" ")[:2]
        with lock:
            if not target.startswith(b"/log"):
                log.append(request.decode("latin-1"))
        if leave_next:
            return
        path, _, query = target.decode().partition("?")
        if method == b"CONNECT":
            conn.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nX-Proxy: yes\r\n\r\n")
            return
        if path == "/leave-next":  # kept open, and dead when it is used again
            conn.sendall(plain(b""))
            leave_next = True
        elif path == "/redirect":
            conn.sendall(plain(b"moved", f"Location: http://{query}/seen", status="302 Found"))
        elif path in ANSWERS:
            with lock:
                answer = ANSWERS[path](query, request)
            conn.sendall(answer)
        elif path in LAST_ANSWERS:
            conn.sendall(LAST_ANSWERS[path](query))
            return
        elif path in ACTIONS:
            ACTIONS[path](query, conn)
            return
        else:
            conn.sendall(plain(path.encode(), status="404 Not Found"))


def shake_hands(conn):
    try:
        conn.do_handshake()
    except ssl.SSLError:
        # Bytes that nobody read would become a reset, which overtakes the alert.
        conn.shutdown(socket.SHUT_WR)
        while os.read(conn.fileno(), 65536):
            pass
        raise


def handle(conn, context):
    global connections
    with lock:
        connections += 1
    try:
        if context == "reset":
            reset(conn)
        if context in ("reset", "closing"):
            return
        if context in late_contexts:
            time.sleep(8)
        if context:
            conn = context.wrap_socket(conn, server_side=True, do_handshake_on_connect=False)
            shake_hands(conn)
        serve(conn)
    except (OSError, ValueError):
        pass  # the client hung up, or refused what it saw
    finally:
        conn.close()


def accept(listener, context):
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=handle, args=(conn, context), daemon=True).start()


def tls_context(folder, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
    return context


def contexts(folder):
    made = {"plain": None, "closing": "closing", "reset": "reset"}
    for name in ("good", "name", "expired", "self", "other", "cn"):
        made[name] = tls_context(folder, name)
    made["late"] = tls_context(folder, "good")
    late_contexts.append(made["late"])
    made["tls12"] = tls_context(folder, "good")
    made["tls12"].maximum_version = ssl.TLSVersion.TLSv1_2
    made["old"] = tls_context(folder, "good")
    made["old"].set_ciphers("ALL:@SECLEVEL=0")
    warnings.simplefilter("ignore", DeprecationWarning)
    made["old"].minimum_version = made["old"].maximum_version = ssl.TLSVersion.TLSv1_1
    for name, version in (("mutual12", ssl.TLSVersion.TLSv1_2), ("mutual13", ssl.TLSVersion.TLSv1_3)):
        made[name] = tls_context(folder, "good")
        made[name].maximum_version = version
        made[name].verify_mode = ssl.CERT_REQUIRED
        made[name].load_verify_locations(f"{folder}/ca.pem")
    return made


def listen(family, address):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((address, 0))
    listener.listen(64)
    return listener


def main():
    ports = []
    listeners = [(name, listen(socket.AF_INET, "127.0.0.1"), context)
                 for name, context in contexts(sys.argv[1]).items()]
    for name in ("plain", "good"):
        try:
            context = next(c for n, _, c in listeners if n == name)
            listeners.append((name + "6", listen(socket.AF_INET6, "::1"), context))
        except OSError:
            pass  # no IPv6 here
    for name, listener, context in listeners:
        ports.append(f"{name}={listener.getsockname()[1]}")
        threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    print(" ".join(ports), flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
