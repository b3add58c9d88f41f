# SPDX-License-Identifier: Apache-2.0
"""Connections that break, stall or never end."""

from . import misbehaviour

CHUNK = 65536


def tls(name, text, **defaults):
    return misbehaviour("TLS", name, text, stage="connection", **defaults)


def broken(name, text, **defaults):
    return misbehaviour("connection", name, text, **defaults)


# ---- before TLS: the function gets the connection, and returns whether to go on with it ----

def _hello(connection):
    """Reads what the client sent first, so that closing sends FIN and not RST."""
    connection.wait_for_bytes(5)
    connection.raw.recv(CHUNK)


@tls("tls-close", "the connection closes after the ClientHello")
def tls_close(server, connection, args):
    _hello(connection)
    connection.drop()


@tls("tls-reset", "the connection is reset after the ClientHello")
def tls_reset(server, connection, args):
    connection.wait_for_bytes(5)
    connection.reset()


@tls("tls-garbage", "the ClientHello is answered with HTTP in clear text")
def tls_garbage(server, connection, args):
    _hello(connection)
    connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    return False


@tls("tls-alert", "the ClientHello is answered with the alert handshake_failure")
def tls_alert(server, connection, args):
    _hello(connection)
    connection.send(b"\x15\x03\x03\x00\x02\x02\x28")
    return False


@tls("tls-stall", "the ClientHello is never answered", seconds=30)
def tls_stall(server, connection, args):
    connection.wait_for_hangup(args["seconds"])
    return False


@tls("tls-stranger", "the certificate is of an authority that nobody trusts")
def tls_stranger(server, connection, args):
    connection.context = server.context("stranger")
    return True


@tls("tls-wrong-name", "the certificate is for another host")
def tls_wrong_name(server, connection, args):
    connection.context = server.context("wrong-name")
    return True


@tls("tls-expired", "the certificate has expired")
def tls_expired(server, connection, args):
    connection.context = server.context("expired")
    return True


@tls("tls-old", "the server knows TLS 1.1 at most")
def tls_old(server, connection, args):
    connection.context = server.context("old")
    return True


# ---- after the request ----

@broken("no-answer", "no answer at all until the client gives up", seconds=30)
def no_answer(scene):
    scene.connection.wait_for_hangup(scene.args["seconds"])


@broken("close-before-answer", "the connection closes instead of an answer")
def close_before_answer(scene):
    return None


@broken("reset-before-answer", "the connection is reset instead of an answer")
def reset_before_answer(scene):
    scene.connection.reset()


@broken("close-in-head", "the connection closes in the middle of a header line")
def close_in_head(scene):
    head = scene.answer().head()
    scene.write(head[:len(head) * 2 // 3])


@broken("reset-in-body", "the connection is reset after half of the body")
def reset_in_body(scene):
    answer = scene.answer()
    scene.write(answer.head() + answer.body[:len(answer.body) // 2])
    # RST discards what is still on its way
    scene.connection.pause(0.05)
    scene.connection.reset()


@broken("head-only", "headers that promise a body, then nothing until the client gives up", seconds=30)
def head_only(scene):
    scene.write(scene.answer().head())
    scene.connection.wait_for_hangup(scene.args["seconds"])


@broken("body-short", "the connection closes before Content-Length is reached", missing=10)
def body_short(scene):
    answer = scene.answer()
    scene.write(answer.head(len(answer.body) + scene.args["missing"]) + answer.body)


@broken("body-long", "more bytes than Content-Length says", more=10)
def body_long(scene):
    answer = scene.answer()
    scene.write(answer.head(max(0, len(answer.body) - scene.args["more"])) + answer.body)


def _chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _chunked_head(scene):
    return scene.answer().head(None, [("Transfer-Encoding", "chunked")])


@broken("chunked", "the regular answer in chunks of a few bytes, which is allowed", size=7)
def chunked(scene):
    size, body = scene.args["size"], scene.answer().body
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    scene.write(_chunked_head(scene) + b"".join(map(_chunk, pieces)) + b"0\r\n\r\n")


@broken("chunked-cut", "the connection closes in the middle of a chunk")
def chunked_cut(scene):
    scene.write(_chunked_head(scene) + _chunk(scene.answer().body)[:-4])


@broken("chunked-no-end", "all chunks but the last, empty one, then the end")
def chunked_no_end(scene):
    scene.write(_chunked_head(scene) + _chunk(scene.answer().body))


@broken("chunked-endless", "chunks without end, as far as `bytes`", bytes=64 << 20)
def chunked_endless(scene):
    scene.write(_chunked_head(scene) + _chunk(b"["))
    for _ in range(0, scene.args["bytes"], CHUNK):
        scene.write(_chunk(b"0," * (CHUNK // 2)))


@broken("chunked-bad-size", "a chunk size that is not hexadecimal")
def chunked_bad_size(scene):
    scene.write(_chunked_head(scene) + b"xyz\r\n" + scene.answer().body + b"\r\n0\r\n\r\n")


@broken("chunked-huge-size", "a chunk size beyond 64 bits")
def chunked_huge_size(scene):
    scene.write(_chunked_head(scene) + b"1ffffffffffffffff\r\n" + scene.answer().body + b"\r\n0\r\n\r\n")


def _drip(scene, data):
    """Byte by byte, for `seconds` at most; then the rest is not sent."""
    interval, seconds = scene.args["interval"], scene.args["seconds"]
    for byte in data[:round(seconds / interval)] if interval else data:
        scene.write(bytes([byte]))
        scene.connection.pause(interval)


@broken("slow-head", "status line and headers byte by byte, one each `interval`, at most `seconds`", interval=0.5, seconds=30)
def slow_head(scene):
    _drip(scene, scene.answer().encode("GET"))


@broken("slow-body", "the body byte by byte, one each `interval`, at most `seconds`", interval=0.5, seconds=30)
def slow_body(scene):
    answer = scene.answer()
    scene.write(answer.head())
    _drip(scene, answer.body)


@broken("huge-body", "a body of `bytes`, JSON as far as it goes", bytes=64 << 20)
def huge_body(scene):
    scene.write(scene.answer().head(scene.args["bytes"]) + b"[")
    left = scene.args["bytes"] - 1
    while left > 0:
        piece = (b"0," * (CHUNK // 2))[:left]
        scene.write(piece)
        left -= len(piece)
