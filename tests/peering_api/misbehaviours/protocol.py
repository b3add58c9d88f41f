# SPDX-License-Identifier: Apache-2.0
"""Answers that are not, or only just, HTTP/1.1."""

import gzip
import zlib

from . import misbehaviour
from ..httpd import REASONS, Answer


def odd(name, text, **defaults):
    return misbehaviour("HTTP", name, text, **defaults)


def _with(scene, *headers):
    answer = scene.answer()
    answer.headers += headers
    return answer


@odd("header-flood", "`count` header lines", count=10000)
def header_flood(scene):
    return _with(scene, *((f"X-Flood-{i}", "x" * 20) for i in range(scene.args["count"])))


@odd("header-long", "one header line of `bytes`", bytes=1 << 20)
def header_long(scene):
    return _with(scene, ("X-Long", "x" * scene.args["bytes"]))


@odd("header-folded", "a header line that goes on in the next one (obs-fold)")
def header_folded(scene):
    return _with(scene, ("X-Folded", "one\r\n two"))


@odd("header-no-colon", "a header line without a colon")
def header_no_colon(scene):
    answer = scene.answer()
    scene.write(answer.head().replace(b"\r\n", b"\r\nthis is no header\r\n", 1) + answer.body)


@odd("header-control", "NUL and ESC in a header's value")
def header_control(scene):
    return _with(scene, ("X-Control", "a\0b\x1b[31mc"))


@odd("status-line-bad", "a status line without a number")
def status_line_bad(scene):
    answer = scene.answer()
    scene.write(b"HTTP/1.1 OK\r\n" + answer.head().split(b"\r\n", 1)[1] + answer.body)


@odd("status-999", "a status beyond 599")
def status_999(scene):
    answer = scene.answer()
    answer.status = 999
    return answer


@odd("http-0.9", "only the body, no status line and no headers")
def http_09(scene):
    scene.write(scene.answer().body or b"hello\n")


@odd("http-1.0", "an HTTP/1.0 answer without Content-Length that ends with the connection, which is allowed")
def http_10(scene):
    answer = scene.answer()
    scene.write(answer.head(None).replace(b"HTTP/1.1", b"HTTP/1.0", 1) + answer.body)


@odd("http-2-line", "a status line that says HTTP/2 on an HTTP/1.1 connection")
def http_2_line(scene):
    answer = scene.answer()
    scene.write(answer.head().replace(b"HTTP/1.1", b"HTTP/2", 1) + answer.body)


@odd("smtp", "the greeting of a mail server")
def smtp(scene):
    scene.write(b"220 mail.example ESMTP ready\r\n")


@odd("continue-flood", "`count` answers 100 Continue before the real one", count=1000)
def continue_flood(scene):
    for _ in range(scene.args["count"]):
        scene.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return scene.answer()


@odd("length-twice", "two different Content-Length")
def length_twice(scene):
    return _with(scene, ("Content-Length", str(len(scene.answer().body) + 5)))


@odd("length-negative", "a negative Content-Length")
def length_negative(scene):
    answer = scene.answer()
    scene.write(answer.head(-5) + answer.body)


@odd("length-absurd", "a Content-Length beyond 64 bits, then the end")
def length_absurd(scene):
    answer = scene.answer()
    scene.write(answer.head(1 << 65) + answer.body)


@odd("length-and-chunked", "Content-Length and Transfer-Encoding together")
def length_and_chunked(scene):
    answer = scene.answer()
    body = f"{len(answer.body):x}\r\n".encode() + answer.body + b"\r\n0\r\n\r\n"
    scene.write(answer.head(extra=[("Transfer-Encoding", "chunked")]) + body)


@odd("second-answer", "a second answer that nobody asked for, right behind the first; the connection stays open")
def second_answer(scene):
    answer = scene.answer()
    scene.write(answer.encode(scene.request.method))
    scene.write(Answer.json({"smuggled": True}).encode("GET"))
    scene.connection.wait_for_hangup(5)


@odd("gzip", "a gzip'd body that nobody asked for")
def gzip_body(scene):
    answer = _with(scene, ("Content-Encoding", "gzip"))
    answer.body = gzip.compress(answer.body)
    return answer


@odd("gzip-bomb", "a gzip'd body that is `bytes` long when unpacked", bytes=256 << 20)
def gzip_bomb(scene):
    packer, pieces = zlib.compressobj(9, zlib.DEFLATED, 31), []
    for _ in range(0, scene.args["bytes"], 1 << 20):
        pieces.append(packer.compress(b" " * (1 << 20)))
    answer = _with(scene, ("Content-Encoding", "gzip"))
    answer.body = b"".join(pieces) + packer.flush()
    return answer


@odd("encoding-unknown", "a Content-Encoding that does not exist")
def encoding_unknown(scene):
    return _with(scene, ("Content-Encoding", "rot13"))


@odd("status-204-body", "204 with a body and its length")
def status_204_body(scene):
    body = scene.answer().body or b'{"deleted": true}'
    scene.write(f"HTTP/1.1 204 {REASONS[204]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
