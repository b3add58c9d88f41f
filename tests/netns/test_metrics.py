# SPDX-License-Identifier: Apache-2.0
"""Metrics: of real sessions, over HTTP and from botlsctl; and what a scraper or a stranger cannot do."""

import os
import pathlib
import re
import signal
import socket
import time

import pytest

from harness import openmetrics
from harness.botlsd import BOTLSCTL, Refused
from harness.openmetrics import total, value
from harness.scene import Scene
from harness.wait import wait_until

PORT = 9179
OPEN = "application/openmetrics-text; version=1.0.0"


def http(ns, request, port=PORT, host="127.0.0.1", deadline=30):
    """What comes back for these bytes, up to the end of the stream."""
    def ask():
        with socket.create_connection((host, port), timeout=deadline) as s:
            s.sendall(request)
            with s.makefile("rb") as stream:
                return stream.read()

    return ns.call(ask)


def get(ns, path="/metrics", accept=OPEN, method="GET", **how):
    """(status, headers, body)"""
    data = http(ns, f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode(), **how)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): v for name, v in (line.split(": ", 1) for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        pieces, at = [], 0
        while True:
            end = body.index(b"\r\n", at)
            n = int(body[at:end], 16)
            if not n:
                break
            pieces.append(body[end + 2:end + 2 + n])
            at = end + 2 + n + 2
        body = b"".join(pieces)
    return int(lines[0].split()[1]), headers, body.decode()


def families(shim):
    return openmetrics.parse(shim.router.ns.run(BOTLSCTL, "-s", shim.socket, "metrics").stdout)


def exporter_pids(shim):
    children = f"/proc/{shim.process.pid}/task/{shim.process.pid}/children"
    return [int(pid) for pid in pathlib.Path(children).read_text().split()
            if b"--metrics" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]


def all_families():
    source = (pathlib.Path(__file__).resolve().parents[2] / "shim/metrics_text.c").read_text()
    return set(re.findall(r'^\t\{"(botls_\w+)", (?:GAUGE|COUNTER|INFO)', source, re.M))


def test_of_sessions(lab, pki):
    scene = Scene(lab, pki, "v4", "v6", globals_a={"workers": 2, "metrics-listen": f"127.0.0.1:{PORT}"})
    before = families(scene.shim_a)
    assert total(before, "botls_sessions") == 0 and value(before, "botls_neighbor_up", neighbor=scene.address_b) == 0
    scene.daemons().wait_up()
    # A snapshot serves for a second.
    wait_until(lambda: value(families(scene.shim_a), "botls_sessions", state="up") == 2, 10, "a snapshot with both sessions")
    status, headers, body = get(scene.a.ns)
    assert status == 200 and headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    m = openmetrics.parse(body)
    assert set(m) == all_families(), set(m) ^ all_families()

    assert value(m, "botls_sessions", state="up") == 2 == total(m, "botls_sessions_established")
    assert total(m, "botls_handshakes") >= 2 and total(m, "botls_failures") == total(m, "botls_neighbor_failures")
    assert value(m, "botls_configured_neighbors", mode="required") == 2
    assert {v for v in m["botls_worker_up"].samples.values()} == {1} and len(m["botls_worker_up"].samples) == 2
    assert abs(total(m, "botls_uptime_seconds") - (time.time() - total(m, "botls_start_time_seconds"))) < 5
    for address in scene.side_b.addresses:
        shown = scene.shim_a.neighbor(address)
        assert value(m, "botls_neighbor_up", neighbor=address) == 1
        assert value(m, "botls_neighbor_sessions", neighbor=address, state="up") == 1
        assert value(m, "botls_neighbor_certificate_expiry_timestamp_seconds", neighbor=address, side="own") == shown["certificate_expires"]
        session = next(s for s in shown["sessions"] if s["bgp"] == "established")
        assert value(m, "botls_neighbor_certificate_expiry_timestamp_seconds", neighbor=address, side="neighbor") == \
            session["tls"]["not_after"]
        for direction in ("in", "out"):
            for kind in ("open", "update"):
                assert total(m, "botls_neighbor_bgp_messages", neighbor=address, direction=direction, type=kind) >= \
                    session[direction]["messages"][kind] >= 1
            assert total(m, "botls_neighbor_bgp_bytes", neighbor=address, direction=direction) >= 19 * 3
            assert total(m, "botls_neighbor_tls_records", neighbor=address, direction=direction) >= 3
    assert value(m, "botls_neighbor", neighbor=scene.address_b)

    status, headers, body = get(scene.a.ns, accept="text/plain")
    assert status == 200 and headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    openmetrics.promtool_check(body)
    classic = scene.a.ns.run(BOTLSCTL, "-s", scene.shim_a.socket, "metrics", "text").stdout
    openmetrics.promtool_check(classic)
    assert "# EOF" not in classic

    # Counters stay when their sessions go; a worker's death is a reset of its own rows alone.
    before = families(scene.shim_a)
    since = scene.since()
    scene.shim_a.ctl("reset", scene.address_b)
    scene.wait_renewed([since[0]] + [None] * 3)
    after = wait_until(lambda: (f := families(scene.shim_a)) and total(f, "botls_neighbor_sessions_begun") >
                       total(before, "botls_neighbor_sessions_begun") and f, 10, "a new snapshot")
    for name in ("bgp_bytes", "bgp_messages", "tls_records", "sessions_established", "handshakes"):
        for key, old in before[f"botls_neighbor_{name}"].samples.items():
            assert after[f"botls_neighbor_{name}"].samples[key] >= old, (name, key)
    assert total(after, "botls_neighbor_bgp_messages", neighbor=scene.address_b, type="open") > \
        total(before, "botls_neighbor_bgp_messages", neighbor=scene.address_b, type="open")
    scene.shim_a.kill9_worker()
    wait_until(lambda: total(families(scene.shim_a), "botls_worker_restarts") == 2, 10, "restarts are counted")


def test_http(lab, pki):
    """Only what it is for; and nobody keeps others from it, nor it from coming back."""
    scene = Scene(lab, pki, globals_a={"metrics-listen": f"127.0.0.1:{PORT}"})
    ns, shim = scene.a.ns, scene.shim_a
    assert get(ns, "/")[0] == 404 and get(ns, "/metrics/x")[0] == 404 and get(ns, "/metrics?x=1")[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, _ = get(ns, method=method)
        assert (status, headers["allow"]) == (405, "GET, HEAD"), method
    status, headers, body = get(ns, method="HEAD")
    assert (status, body) == (200, "") and "openmetrics" in headers["content-type"]
    assert http(ns, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 OK")
    assert b"200 OK" not in http(ns, b"\x16\x03\x01\x00\xa5\x01\r\n\r\n")
    answer = http(ns, b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n")
    assert b"200 OK" not in answer
    answer = http(ns, b"POST /metrics HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"z" * 100000)
    assert b"200 OK" not in answer

    # Not one of them says a word; those who come after wait until they are thrown out.
    idle = ns.call(lambda: [socket.create_connection(("127.0.0.1", PORT)) for _ in range(40)])
    assert get(ns, deadline=60)[0] == 200
    for s in idle:
        s.close()

    (pid,) = exporter_pids(shim)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^CapEff:\s+0+$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert not re.search(r"^Uid:\s+0\s", status, re.M)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: exporter_pids(shim) not in ([], [pid]), 10, "another process")
    assert "metrics process" in shim.log() and "sessions are lost" not in shim.log()
    m = wait_until(lambda: (f := openmetrics.parse(get(ns)[2])) and total(f, "botls_exporter_restarts") and f, 10, "it is counted")
    assert total(m, "botls_exporter_restarts") == 1 and total(m, "botls_worker_restarts") == 0


def test_listening(lab, pki):
    """metrics-listen is a matter of a reload; none without it; a place that is taken refuses the reload."""
    scene = Scene(lab, pki)
    ns, shim = scene.a.ns, scene.shim_a
    assert not exporter_pids(shim)
    with pytest.raises(ConnectionRefusedError):
        get(ns)
    shim.options["metrics-listen"] = f"[::1]:{PORT}"
    shim.write_config()
    shim.reload()
    assert get(ns, host="::1")[0] == 200 and "is not loopback" not in "".join(re.findall("warning: metrics.*", shim.log()))
    shim.options["metrics-listen"] = f"192.0.2.1:{PORT}"
    shim.write_config()
    shim.reload()
    assert get(ns, host="192.0.2.1")[0] == 200
    assert f"metrics-listen = 192.0.2.1:{PORT}: whoever reaches that address can read" in shim.log()
    with pytest.raises(ConnectionRefusedError):
        get(ns, host="::1")
    taken = ns.call(lambda: socket.create_server(("127.0.0.1", 9999)))
    shim.options["metrics-listen"] = "127.0.0.1:9999"
    shim.write_config()
    with pytest.raises(Refused, match="cannot listen on 127.0.0.1:9999: Address already in use"):
        shim.reload()
    taken.close()
    assert get(ns, host="192.0.2.1")[0] == 200
    shim.options["metrics-listen"] = None
    shim.write_config()
    shim.reload()
    wait_until(lambda: not exporter_pids(shim), 10, "the process ends")
