# SPDX-License-Identifier: Apache-2.0
"""ktls = on: records in the kernel where it can (make check-vm), in user space where not; and the status says so."""

import hashlib
import os
import random
import re
import socket
import struct
import threading

import pytest

from harness import rawtls
from harness.badstage import KEEPALIVE, bgp
from harness.botlsd import BOTLSCTL, TLS_PORT, Botlsd
from harness.scene import Scene
from harness.wait import wait_until

TCP_ULP, SOL_TLS, TLS_TX = 31, 282, 1
US = "192.0.2.1"
CLOSE_NOTIFY, BAD_RECORD_MAC = 0, 20


def why_not():
    """None: this kernel does records and can renew keys."""
    key = struct.pack("=HH36s", 0x304, 51, b"")  # AES-128-GCM
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as s:
        try:
            s.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls\0")
        except OSError:
            return "this kernel has no kTLS"
        try:
            s.setsockopt(SOL_TLS, TLS_TX, key)
            s.setsockopt(SOL_TLS, TLS_TX, key)
        except OSError:
            return "cannot renew keys"
    return None


WHY_NOT = why_not()
needs_ktls = pytest.mark.skipif(WHY_NOT is not None, reason=f"{WHY_NOT} (make check-vm)")


def records(shim, neighbor):
    tls = shim.wait_up(neighbor)["tls"]
    return tls["records"], tls.get("records_why")


def assert_chosen(shim, neighbor):
    where, why = records(shim, neighbor)
    if WHY_NOT:
        assert where == "user space" and WHY_NOT in why
        assert "ktls = on: records stay in user space: " in shim.log()
    else:
        assert (where, why) == ("kernel", None)


def test_chosen_per_session(lab, pki):
    """It is the neighbor's option, the other end need not have it, and a reload counts for the next session."""
    scene = Scene(lab, pki, options_a={"ktls": "on"}, options_b={"ktls": "off"})
    scene.daemons().wait_up()
    assert_chosen(scene.shim_a, scene.address_b)
    assert records(scene.shim_b, scene.address_a) == ("user space", None)
    text = scene.a.ns.run(BOTLSCTL, "-s", scene.shim_a.socket, "show", "neighbor", scene.address_b).stdout
    assert ("Done by" in text) and (WHY_NOT or "kernel") in " ".join(text.split())

    since = scene.since()
    scene.shim_b.neighbors[scene.address_a]["ktls"] = "on"
    scene.shim_b.write_config()
    scene.shim_b.reload()
    assert scene.since() == since
    assert records(scene.shim_b, scene.address_a)[0] == "user space"
    scene.daemon_a.birdc("restart", "p1")
    scene.wait_renewed(since)
    assert_chosen(scene.shim_b, scene.address_a)
    scene.assert_private()


# --- the neighbor's TLS and the daemon in our hands

class Stage:
    """r1 with botlsd; who plays the daemon there, and on r2 a neighbor for each test, is the test."""

    def __init__(self, lab, pki):
        self.a, self.b = lab.pair()
        addresses = [f"192.0.2.{n}" for n in range(10, 30)]
        for address in addresses:
            self.b.address("eth0", f"{address}/24")
        self.shim = Botlsd(self.a, {address: {"ktls": "on", "key-update-records": 16} for address in addresses},
                           pki.router(self.a), **{"daemon-users": ["root"]}).start()
        self.listener = rawtls.listen(self.a.ns, US, 179)
        self.identity = rawtls.Identity(pki.issue(*addresses))
        self.free = iter(addresses)

    def connect(self, version=rawtls.TLS13):
        """(address, neighbor, daemon): the neighbor has connected, and BGP is Established."""
        address = next(self.free)
        client = rawtls.connect(self.b.ns, address, US, TLS_PORT)
        neighbor = rawtls.Client(client, self.identity, version).handshake()
        daemon, _ = self.listener.accept()
        daemon.settimeout(20)
        self.establish(address, neighbor, daemon)
        return address, neighbor, daemon

    def establish(self, address, neighbor, daemon):
        ours, theirs = (bgp_open(*who) + KEEPALIVE for who in ((64501, US), (64502, address)))
        daemon.sendall(ours)
        neighbor.send(theirs)
        received = b""
        while len(received) < len(ours):
            received += neighbor.read()
        assert take(daemon, len(theirs)) == theirs
        self.shim.wait_up(address)

    def wait_over(self, address, how):
        """The session has ended, and the log says how."""
        wait_until(lambda: re.search(rf"neighbor {re.escape(address)}: session \d+ \(in\) ended: .*{re.escape(how)}", self.shim.log()),
                   10, f"the log says that {address} ended: {how}")


@pytest.fixture(scope="module")
def stage(module_lab, pki):
    return Stage(module_lab, pki)


def bgp_open(asn, identifier):
    return bgp(1, struct.pack("!BHH4sB", 4, asn, 90, socket.inet_aton(identifier), 0))


def take(daemon, n):
    data = b""
    while len(data) < n:
        more = daemon.recv(min(65536, n - len(data)))
        assert more, f"the end came after {len(data)} bytes of {n}"
        data += more
    return data


def updates(seed, size):
    """Messages of all lengths, so that they begin and end anywhere in records."""
    chance = random.Random(seed)
    out = bytearray()
    while len(out) < size:
        out += bgp(2, chance.randbytes(chance.choice((23, 100, 1400, 4077))))
    return bytes(out)


def in_threads(*functions):
    problems = []

    def run(function):
        try:
            function()
        except BaseException as e:  # pylint: disable=broad-except
            problems.append(f"{function.__name__}: {type(e).__name__}: {e}")

    threads = [threading.Thread(target=run, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not problems, problems


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_every_byte_both_ways_with_new_keys(stage):
    """Both directions at once, ours with a KeyUpdate every 16 records, the neighbor's every three."""
    shim = stage.shim
    address, neighbor, daemon = stage.connect()
    assert_chosen(shim, address)
    out, into = updates(1, 3 << 20), updates(2, 3 << 20)
    received = {}

    def daemon_sends():
        daemon.sendall(out)

    def daemon_receives():
        received["into"] = take(daemon, len(into))

    def neighbor_sends():
        chance = random.Random(3)
        at = n = 0
        while at < len(into):
            size = chance.choice((1, 300, 4096, 16384))
            neighbor.send_record(rawtls.DATA, into[at:at + size])
            at += size
            n += 1
            if n % 3 == 0:
                neighbor.key_update(n % 2)

    def neighbor_receives():
        data = bytearray()
        while len(data) < len(out):
            data += neighbor.read()
        received["out"] = bytes(data)

    in_threads(daemon_sends, daemon_receives, neighbor_sends, neighbor_receives)
    assert digest(received["out"]) == digest(out)
    assert digest(received["into"]) == digest(into)
    session = shim.sessions(address)[0]
    tls = session["tls"]
    assert tls["key_updates_sent"] > 3 and tls["key_updates_received"] > 100
    assert tls["records_in"] > 500 and tls["records_out"] >= len(out) // 16384
    for way in ("in", "out"):
        assert "framing_error" not in session[way] or not session[way]["framing_error"]
        assert session[way]["messages"]["update"] > 500


@pytest.mark.parametrize("size", [20_000, 3_000_000])
def test_no_tail_is_lost(stage, size):
    """The daemon's last bytes and its end, towards a neighbor that reads later; then the neighbor's."""
    shim = stage.shim
    address, neighbor, daemon = stage.connect()
    out, into = updates(4, size), updates(5, 20_000)

    def daemon_sends():
        daemon.sendall(out)
        daemon.shutdown(socket.SHUT_WR)

    def neighbor_receives():
        wait_until(lambda: shim.sessions(address)[0]["out"]["bytes"] > size // 100, 10, "the beginning is on its way")
        data = bytearray()
        with pytest.raises(rawtls.Alert) as end:
            while True:
                data += neighbor.read()
        assert end.value.number == CLOSE_NOTIFY
        assert digest(data) == digest(out)

    in_threads(daemon_sends, neighbor_receives)
    neighbor.send(into)
    neighbor.send_record(rawtls.ALERT, bytes([1, CLOSE_NOTIFY]))
    assert digest(take(daemon, len(into))) == digest(into)
    assert daemon.recv(1) == b""
    daemon.close()
    stage.wait_over(address, "daemon closed")


ENDS = {
    "FIN without close_notify": (lambda n: n.sock.shutdown(socket.SHUT_WR), "closed TCP without close_notify", None),
    "a fatal alert": (lambda n: n.send_record(rawtls.ALERT, bytes([2, 80])), "internal_error (80)", None),
    "a record that was altered": (lambda n: n.sock.sendall(b"\x17\3\3\0\x28" + bytes(40)), "bad record mac",
                                  BAD_RECORD_MAC),
    "RST": (lambda n: n.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) or n.sock.close(),
            "reset", None),
}


@pytest.mark.parametrize("how", ENDS)
def test_ends_are_passed_on(stage, how):
    """Whatever is no orderly end is an RST for the daemon, after the bytes that came before."""
    does, text, alert = ENDS[how]
    address, neighbor, daemon = stage.connect()
    into = updates(6, 10_000)
    neighbor.send(into)
    assert take(daemon, len(into)) == into
    does(neighbor)
    with pytest.raises(ConnectionResetError):
        daemon.recv(1)
    stage.wait_over(address, text)
    if alert is not None:
        end = neighbor.read_until_end()
        assert isinstance(end, rawtls.Alert) and end.number == alert


def test_tls12_stays_in_user_space(stage):
    address, *ends = stage.connect(rawtls.TLS12)  # which are open for as long as they have a name
    where, why = records(stage.shim, address)
    assert where == "user space" and "TLS 1.2" in why and ends


@needs_ktls
def test_the_kernel_does_it(stage):
    """As the kernel itself counts; and no key is given back."""
    def counts():
        with open("/proc/thread-self/net/tls_stat", encoding="ascii") as f:
            return {name: int(value) for name, value in (line.split() for line in f)}

    shim = stage.shim
    address, neighbor, daemon = stage.connect()
    before = shim.router.ns.call(counts)
    assert before["TlsCurrTxSw"] >= 1 and before["TlsCurrRxSw"] >= 1
    for _ in range(20):
        daemon.sendall(KEEPALIVE)
        neighbor.send(KEEPALIVE)
        neighbor.read()
        take(daemon, len(KEEPALIVE))
    neighbor.key_update(1)
    neighbor.send(KEEPALIVE)
    take(daemon, len(KEEPALIVE))
    after = shim.router.ns.call(counts)
    assert after["TlsTxRekeyOk"] > before["TlsTxRekeyOk"]
    assert after["TlsRxRekeyOk"] > before["TlsRxRekeyOk"]
    assert after["TlsDecryptError"] == before["TlsDecryptError"]
    fds = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in shim.worker_pids()}
    assert max(fds.values()) < 40
