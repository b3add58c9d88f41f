# SPDX-License-Identifier: Apache-2.0
"""tests/peering_api: the log, HTTP and TLS, the admin interface, what outlives a server, its threads, the program."""
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import stat
import subprocess
import threading

import pytest
from peering_rig import (  # noqa: F401
    BOTLS, DEADLINE, IX, SETTINGS, THEM, api, create, get, make, raw, server, session, shared, trusting)

from peering_api import Remote, Server, Wrong

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "peering_api"


# ---- what came, and asking from outside ----

def test_the_log(server):
    create(server, token="t0ps3cret")
    entry, = server.requests(method="POST", path="/sessions")
    assert entry["path"] == "/v0.1/sessions" and entry["body"] == [session()] and entry["status"] == 200
    assert ["Authorization", "Bearer (9 characters)"] in entry["headers"]
    assert "t0ps3cret" not in json.dumps(server.requests())
    assert server.requests(since=entry["number"]) == []


def test_waiting_for_requests(server):
    thread = threading.Thread(target=api, args=(server, "GET", "/auth"))
    thread.start()
    assert server.wait_for(path="/auth")[0]["status"] == 200
    thread.join()
    with pytest.raises(Wrong, match="only 1 of 2"):
        server.wait_for(count=2, path="/auth", seconds=0.05)


def test_http_that_is_wrong(server):
    for request, status in ((b"GET / HTTP/2\r\n\r\n", b"400"), (b"GET /v0.1/auth HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
                            (b"POST /v0.1/sessions HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
                            (b"GET / HTTP/1.1\r\nX: " + b"x" * 70000, b"431"),
                            (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400")):
        assert raw(server, request).data.split()[1] == status
    assert raw(server, b"GET /v0.1/auth HTTP/1.1\r\nConnection: close\r\n\r\n").data.startswith(b"HTTP/1.1 200")
    assert [d["code"] for d in server.deviations()] == ["http"] * 6
    server.forget_requests()


def test_connections_are_kept(server):
    answer = raw(server, get("/v0.1/auth", close=False) * 2 + get("/v0.1/auth"))
    assert answer.data.count(b"HTTP/1.1 200 OK") == 3 and answer.end == "closed"


def test_a_chunked_request(server):
    body = json.dumps([session()]).encode()
    answer = raw(server, b"POST /v0.1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
                 b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n" + f"{len(body):X}\r\n".encode() + body + b"\r\n0\r\n\r\n")
    assert answer.data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_admin(tmp_path, kind):
    address = f"unix:{tmp_path}/admin" if kind == "unix" else "127.0.0.1:0"
    with make(admin=address, peeringdb_listen="", trap_listen="") as server:
        remote = Remote(server.admin_address)
        assert remote.info() == server.info()
        one = create(server)["sessions"][0]["session_id"]
        assert remote.decide(id=one, step="established")["state"] == "established"
        assert [s["id"] for s in remote.sessions()] == [one]
        assert remote.inject(name="server-error", path="/auth") == 1
        assert api(server, "GET", "/auth").status == 500
        assert remote.requests()[-1]["misbehaviour"] == "server-error"
        for call, arguments in (("nonsense", {}), ("decide", {"id": "x", "step": "approve"}), ("decide", {"wrong": 1}),
                                ("inject", {"name": "nonsense"}), ("inject", {"name": "no-answer", "bytes": 1}),
                                ("configure", {"profile": {"era": "c"}}), ("configure", {"listen": "x"})):
            with pytest.raises(Wrong):
                remote.call(call, **arguments)
        if kind == "unix":
            assert stat.S_IMODE(os.stat(f"{tmp_path}/admin").st_mode) == 0o600
        else:
            connection = http.client.HTTPConnection(server.admin_address, timeout=DEADLINE)
            for path, status in (("/requests?since=0&path=*auth", 200), ("/", 200), ("/clear_sessions", 400)):
                connection.request("GET", path)
                answer = connection.getresponse()
                assert (answer.status, bool(json.loads(answer.read()))) == (status, True)
            connection.close()
        assert server.failures() == []


def test_admin_is_for_this_machine_only():
    with pytest.raises(Wrong, match="neither loopback"):
        make(admin="0.0.0.0:0")


def test_a_socket_that_was_left_behind(tmp_path):
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(f"{tmp_path}/admin")
    with make(admin=f"unix:{tmp_path}/admin", tls=False, peeringdb_listen="") as server:
        assert Remote(server.admin_address).sessions() == []
        with pytest.raises(OSError, match="admin: Address already in use"):
            make(admin=f"unix:{tmp_path}/admin", tls=False).start()


def test_what_a_misbehaviour_needs():
    with make(trap_listen="", tls=False) as server:
        with pytest.raises(Wrong, match="TLS"):
            server.inject("tls-close")
        for name in ("redirect-302", "metadata-foreign"):
            with pytest.raises(Wrong, match="trap_listen"):
                server.inject(name)
        assert server.inject("redirect-302", location="/elsewhere") == 1


def test_settings_are_checked():
    for changes in ({"asm": 1}, {"asn": "64501"}, {"profile": {"era": "c"}}, {"profile": "nonsense"}, {"auth": "basic"},
                    {"profile": {"page": True}}, {"profile": {"status_words": "nonsense"}}, {"peeringdb": {"poc": []}}):
        with pytest.raises(Wrong):
            Server(**changes)
    with pytest.raises(OSError, match="192.0.2.77:1"):
        Server(listen="192.0.2.77:1", tls=False).start()


def test_a_folder_for_certificates(tmp_path):
    with make(certificates=str(tmp_path)) as server:
        assert server.ca == f"{tmp_path}/ca/ca.pem"
    with pytest.raises(Wrong, match="has some already"):
        make(certificates=str(tmp_path)).start()
    with make(certificate=f"{tmp_path}/ca/1.pem", key=f"{tmp_path}/ca/1.key") as server:
        assert server.ca == ""


def test_state_file(tmp_path):
    path = tmp_path / "state.json"
    with make(state_file=str(path)) as server:
        one = create(server, session(md5="hidden", botls=BOTLS))["sessions"][0]["session_id"]
        server.decide(one, "down")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with make(state_file=str(path)) as server:
        assert api(server, "GET", f"/sessions/{one}").json["status"] == "Down"
        assert server.session(one)["secret"] == "hidden"
    path.write_text("{}")
    with pytest.raises(Wrong, match="not a state file"):
        make(state_file=str(path))


def test_ipv6_and_clear_text():
    with make(listen="[::1]:0", tls=False, peeringdb_listen="", trap_listen="") as server:
        assert server.api_url.startswith("http://[::1]:")
        connection = http.client.HTTPConnection("::1", server.listeners["api"].port, timeout=DEADLINE)
        connection.request("GET", "/v0.1/auth", headers={"Connection": "close"})
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.parametrize("versions, wanted", [("1.3", "TLSv1.3"), ("1.2", "TLSv1.2"), ("1.2-1.3", "TLSv1.3")])
def test_tls_versions(versions, wanted):
    with make(tls_versions=versions, peeringdb_listen="", trap_listen="") as server:
        with socket.create_connection(("127.0.0.1", server.listeners["api"].port), timeout=DEADLINE) as sock:
            context = trusting(server)
            context.set_alpn_protocols(["h2", "http/1.1"])
            with context.wrap_socket(sock, server_hostname="127.0.0.1") as tls:
                assert (tls.version(), tls.selected_alpn_protocol()) == (wanted, "http/1.1")


def test_client_certificates(tmp_path):
    with make(peeringdb_listen="", trap_listen="") as authority:
        identity = authority._certificates._authority("ca").issue("client.example")
        with make(client_ca=authority.ca, peeringdb_listen="", trap_listen="") as server:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                raw_with(server, trusting(server))
            context = trusting(server)
            context.load_cert_chain(identity.certificate, identity.key)
            assert raw_with(server, context).startswith(b"HTTP/1.1 200")
            assert len(server.handshake_errors()["api"]) == 1


def raw_with(server, context):
    with socket.create_connection(("127.0.0.1", server.listeners["api"].port), timeout=DEADLINE) as sock:
        with context.wrap_socket(sock, server_hostname="127.0.0.1") as tls:
            tls.sendall(get("/v0.1/auth"))
            data = tls.recv(4096)
            if not data:
                raise ConnectionError("closed")
            return data


def test_all_threads_end():
    before = set(threading.enumerate())
    server = make(admin="127.0.0.1:0").start()
    server.inject("no-answer")
    with socket.create_connection(("127.0.0.1", server.listeners["api"].port)) as idle, \
            socket.create_connection(("127.0.0.1", server.listeners["admin"].port)) as admin:
        admin.sendall(b"POST /wait_for HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"count\": 1000}"[:-1])
        caller = threading.Thread(target=lambda: pytest.raises(Exception, api, server, "GET", "/auth"))
        caller.start()
        server.wait_for(path="/auth")
        assert server.stop()
        caller.join(DEADLINE)
        assert idle.fileno() >= 0
    assert set(threading.enumerate()) <= before
    assert server.failures() == []


# ---- the program ----

def test_the_program(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"locations": SETTINGS["locations"], "profile": "draft"}))
    command = [PACKAGE / "serve", "--config", config, "--asn", str(THEM), "--admin", f"unix:{tmp_path}/admin", "--trap", "127.0.0.1:0",
               "--set", "profile.delete_status=200", "--set", "auth=none", "--ready", tmp_path / "ready"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            line = program.stdout.readline()
            info = json.loads(line)
            assert info == json.loads((tmp_path / "ready").read_text()) and info["pid"] == program.pid
            ctl = [PACKAGE / "serve", "ctl", f"unix:{tmp_path}/admin"]
            done = subprocess.run([*ctl, "add_session", "initiator_asn=64500", "initiator_ip=192.0.2.2", "receiver_ip=192.0.2.1",
                                   f"location={IX}"], capture_output=True, text=True, check=True)
            assert json.loads(done.stdout)["receiver_asn"] == THEM
            failed = subprocess.run([*ctl, "nonsense"], capture_output=True, text=True, check=False)
            assert failed.returncode == 2 and "there is no nonsense" in failed.stderr
            program.send_signal(signal.SIGTERM)
            assert program.wait(DEADLINE) == 0
            assert program.stderr.read() == ""
        finally:
            program.kill()
    assert not pathlib.Path(info["ca"]).exists()


@pytest.mark.parametrize("words", [["--nonsense", "x"], ["--asn"], ["--set", "x"], ["--set", "asn=x"], ["--config", "/nowhere"]])
def test_the_program_says_what_is_wrong(words):
    done = subprocess.run([PACKAGE / "serve", *words], capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 2 and done.stderr.startswith("peering_api: ") and "Traceback" not in done.stderr
