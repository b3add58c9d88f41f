# SPDX-License-Identifier: Apache-2.0
"""tcp-ao = capability: agreed upon in the OPENs, begun in the running connection. What needs TCP-AO: make check-vm."""

import functools
import ipaddress
import socket
import struct

import pytest

from harness.ao import Packet, Verifier, announced_key, exported, exported_12, next_key
from harness.bird import Bird
from harness.botlsd import BOTLSCTL, TLS_PORT
from harness.faults import Faults, tls12
from harness.frr import Frr
from harness.scene import Scene
from harness.wait import hold_for, wait_until
from test_tcp_ao import needs_ao, needs_none, wire, with_keylog

CODE = 247
CAPABILITY = {"tcp-ao": "capability"}
VALUE = b"bAO\x01\x01\x01"
MARKER = b"\xff" * 16


def states(scene):
    return [s["tcp_ao_capability"]["state"] for side in scene.sides for address in scene.other(side).addresses
            for s in side.shim.sessions(address) if s["state"] == "up"]


def wait_on(scene):
    """Both ends have it, and hear each other with it."""
    def works():
        sessions = [s for side in scene.sides for address in scene.other(side).addresses
                    for s in side.shim.sessions(address) if s["state"] == "up"]
        return len(sessions) >= len(scene.sides) * len(scene.side_a.addresses) and all(
            s["tcp_ao_capability"]["state"] == "on" and s["tcp_ao"]["good"] > 0 for s in sessions)

    wait_until(works, 90, "TCP-AO is on")


def message(kind, body):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


class Speaker:
    """A daemon with nothing but an OPEN, on the router `at`, that connects to `to`."""

    def __init__(self, at, own, to, capabilities):
        def dial():
            s = socket.create_connection((to, 179), 20, source_address=(own, 0))
            s.settimeout(20)
            return s

        self.sock = at.ns.call(dial)
        params = b"".join(bytes([2, len(c)]) + c for c in capabilities)
        self.sock.sendall(message(1, struct.pack("!BHH", 4, at.asn, 90) + socket.inet_aton(own) +
                                  bytes([len(params)]) + params))

    def read(self):
        """(type, body) of one message."""
        def exactly(n):
            data = b""
            while len(data) < n:
                piece = self.sock.recv(n - len(data))
                assert piece
                data += piece
            return data

        header = exactly(19)
        return header[18], exactly(struct.unpack("!H", header[16:18])[0] - 19)

    def capabilities(self):
        """Of the daemon's OPEN: {code: value}."""
        kind, body = self.read()
        assert kind == 1
        found, params = {}, body[10:]
        assert len(params) == body[9]
        while params:
            assert params[0] == 2
            inside, params = params[2:2 + params[1]], params[2 + params[1]:]
            while inside:
                found[inside[0]], inside = inside[2:2 + inside[1]], inside[2 + inside[1]:]
        return found


@pytest.fixture
def one_sided(lab, pki):
    """A has the option and BIRD; B's botlsd has it not, and B's daemon is played here."""
    scene = Scene(lab, pki, options_a={**CAPABILITY, "role": "accept"})
    scene.side_a.daemon = Bird(scene.a, scene.peerings(scene.side_a, passive=True), scene.side_a.networks)
    scene.side_a.daemon.start()
    return scene


def speak(scene, *capabilities):
    four_octet_as = b"\x41\x04" + struct.pack("!I", scene.b.asn)
    ipv4 = b"\x01\x04\x00\x01\x00\x01"
    return Speaker(scene.b, scene.address_b, scene.address_a, [four_octet_as, ipv4, *capabilities])


def shown(scene, side, address):
    return side.router.ns.run(BOTLSCTL, "-s", side.shim.socket, "show", "session",
                              str(side.shim.wait_up(address)["id"])).stdout


@pytest.mark.parametrize("value, arrives", [(VALUE, False), (VALUE[:4], False), (b"bAO\x02\x01\x01", True), (b"", True)],
                         ids=["ours", "short", "another version", "another experiment"])
def test_stripped(one_sided, value, arrives):
    """Ours does not reach the daemon; what somebody else does with the same code does. Its bytes are those of the OPEN without it."""
    scene = one_sided
    speaker = speak(scene, bytes([CODE, len(value)]) + value)
    speaker.capabilities()
    speaker.sock.sendall(message(4, b""))
    session = scene.shim_a.wait_up(scene.address_b)
    assert (str(CODE) in session["in"]["open"]["capabilities"]) == arrives
    length = 29 + 2 + 6 + 2 + 6 + (2 + 2 + len(value)) * arrives
    assert session["in"]["bytes"] == length + 19
    sent = scene.shim_b.wait_up(scene.address_a)["out"]["bytes"]
    assert sent == 29 + 16 + 4 + len(value) + 19
    scene.daemon_a.wait_established(scene.address_b)


def random_of_server(segments, random):
    """In the ServerHello that answers the ClientHello with this random number."""
    asked = next(s for s in segments if s.head[11:43] == random)
    return next(s for s in segments if s.length and (s.src, s.sport, s.dport) == (asked.dst, asked.dport, asked.sport)).head[11:43]


def exporters(scene, segments):
    """Of each TLS connection in the key log."""
    for line in (scene.shim_a.folder / "keylog").read_text().splitlines():
        label, random, secret = line.split()
        random, secret = bytes.fromhex(random), bytes.fromhex(secret)
        if label == "EXPORTER_SECRET":
            yield functools.partial(exported, secret)
        elif label == "CLIENT_RANDOM":  # TLS 1.2
            cipher = scene.shim_a.wait_up(scene.address_b)["tls"]["cipher"]
            yield functools.partial(exported_12, secret, random + random_of_server(segments, random),
                                    "sha384" if cipher.endswith("SHA384") else "sha256")


def announced_keys(scene, segments, generations=2, **how):
    """For a Verifier, by connection: what follows from each TLS connection in the key log."""
    for export in exporters(scene, segments):
        key, isns = announced_key(export, **how)
        keys = []
        for key_id in range(1, generations + 1):
            keys.append((key_id, key, how.get("algorithm", "aes-128-cmac-96"), how.get("covers_options", True)))
            key = next_key(key)
        yield keys, isns


def assert_signed_at_last(scene, **how):
    """Each signed segment has the MAC that one of the connections' keys gives; and in the end all are signed."""
    segments = wire(scene)
    connections = list(announced_keys(scene, segments, **how))
    for s in segments:
        if not s.has_ao:
            continue
        p = Packet(s.packet)
        is_client = s.dport == TLS_PORT

        def fits(keys, isns):
            v = Verifier(*keys)
            v.isn[p.src, p.sport, p.dst, p.dport] = isns[not is_client]
            v.isn[p.dst, p.dport, p.src, p.sport] = isns[is_client]
            return v.judge(s.packet)

        # The kernel takes the key before it takes the numbers: in between it may acknowledge something.
        assert any(fits(*c) or (not s.length and fits(c[0], (0, 0))) for c in connections), str(s)
    for side in scene.sides:
        for own in side.addresses:
            last = [s for s in segments if s.src == own.partition("%")[0]][-1]
            assert last.has_ao, str(last)


def assert_clean(scene):
    for side in scene.sides:
        for address in scene.other(side).addresses:
            session = side.shim.wait_up(address)
            assert session["tcp_ao_capability"]["state"] == "on"
            used = session["tcp_ao"]
            # A wrong MAC: see assert_signed_at_last().
            assert used["good"] > 0 and used["bad"] <= 2 and (used["send_id"], used["recv_id"]) == (1, 1)
            assert used["derived"] and used["generation"] == 1
            for direction in ("in", "out"):
                assert str(CODE) not in session[direction]["open"]["capabilities"]
            assert "TCP-AO on since" in shown(scene, side, address)


@needs_ao
@pytest.mark.parametrize("two, options", [
    (Bird, {}), (Frr, {"tcp-ao-algorithm": "hmac-sha256-96", "tcp-ao-options": False, "tcp-ao-capability-code": 239}),
], ids=["bird", "frr"])
def test_on(lab, pki, two, options):
    """In the connection that runs, over IPv4 and IPv6; no daemon sees a capability that it does not know."""
    scene = with_keylog(lab, pki, "v4", "v6", options={**CAPABILITY, **options})
    scene.daemons(two=two).wait_up()
    since = scene.since()
    wait_on(scene)
    assert_clean(scene)
    hold_for(lambda: scene.since() == since, 12, "the sessions go on, keepalives and all")
    assert_clean(scene)
    assert_signed_at_last(scene, covers_options=options.get("tcp-ao-options", True),
                          algorithm=options.get("tcp-ao-algorithm", "aes-128-cmac-96"))
    scene.assert_private()


TABLE = [str(n) for n in ipaddress.ip_network("10.64.0.0/10").subnets(new_prefix=27)]


def set_tables(scene, size):
    scene.side_a.networks, scene.side_b.networks = TABLE[:size], TABLE[size:2 * size]


def wait_whole(scene):
    for side in scene.sides:
        expected = set(scene.other(side).networks)
        wait_until(lambda: side.daemon.routes() == expected, 90, "the other side's routes are there, all of them", 2)


def hosts(scene):
    return scene.address_a, scene.address_b


def sent(scene, host, signed):
    """Bytes, with TCP-AO or without."""
    return sum(s.length for s in wire(scene) if s.src == host and s.has_ao == signed)


@needs_ao
@pytest.mark.parametrize("options", [{}, {"ktls": "on"}], ids=["user space", "ktls"])
def test_under_load(lab, pki, tmp_path, options):
    """A table each way while it happens: every route arrives, the session is the first one."""
    scene = with_keylog(lab, pki, start=False, options={**CAPABILITY, **options})
    faults = Faults(tmp_path / "faults")
    for side in scene.sides:
        side.shim.process.env = faults.env
    scene.start_shims()
    set_tables(scene, len(TABLE) // 2)
    # However slowly the daemons begin: it does not before much of both tables is on its way.
    faults.hold_acks = 1
    scene.daemons()
    wait_until(lambda: all(sent(scene, host, False) > 10000 for host in hosts(scene)), 60, "the tables have begun")
    assert not any(sent(scene, host, True) for host in hosts(scene))
    faults.hold_acks = 0
    wait_on(scene)
    wait_whole(scene)
    assert all(sent(scene, host, True) > 50000 for host in hosts(scene)), "it began in the middle of the table"
    assert all(n["counters"]["established"] == 1
               for n in (scene.shim_a.neighbor(scene.address_b), scene.shim_b.neighbor(scene.address_a)))
    assert_clean(scene)
    assert_signed_at_last(scene)
    scene.assert_private()


@needs_ao
@pytest.mark.parametrize("delay", [500, 4000])
def test_apart(lab, pki, tmp_path, delay):
    """One end turns it on so many milliseconds after the other: what was lost meanwhile comes again."""
    scene = Scene(lab, pki, options=CAPABILITY, start=False)
    set_tables(scene, 5000)
    faults = Faults(tmp_path / "faults")
    scene.shim_b.process.env = {**(scene.shim_b.process.env or {}), **faults.env}
    scene.start_shims()
    faults.repair_delay = delay
    scene.daemons()
    wait_on(scene)
    wait_whole(scene)
    assert scene.shim_a.neighbor(scene.address_b)["counters"]["established"] == 1
    assert_clean(scene)


@needs_ao
def test_renews(lab, pki):
    scene = with_keylog(lab, pki, options={**CAPABILITY, "tcp-ao-rekey": 10})
    scene.daemons(extra=("hold time 9;",)).wait_up()
    since = scene.since()
    # A renewal takes up to 12.5 s and, until both use the new key, some keepalives; in the guest the deadline is four times as long.
    wait_until(lambda: all(s["tcp_ao"]["generation"] >= 3 for side in scene.sides
                           for s in side.shim.sessions(scene.other(side).addresses[0])), 45, "two renewals")
    assert scene.since() == since
    for side in scene.sides:
        text = shown(scene, side, scene.other(side).addresses[0])
        assert "derived from TLS" in text and "Renewed" in text
    assert_signed_at_last(scene, generations=6)


@needs_ao
def test_tls12(lab, pki):
    """One end has no later TLS: the session is protected all the same, with a key that follows from TLS 1.2."""
    scene = with_keylog(lab, pki, start=False, options={**CAPABILITY, "min-version": "1.2"})
    scene.shim_b.process.env = tls12()
    scene.start_shims()
    scene.daemons().wait_up()
    since = scene.since()
    wait_on(scene)
    for side in scene.sides:
        address = scene.other(side).addresses[0]
        assert side.shim.wait_up(address)["tls"]["version"] == "TLSv1.2"
        text = shown(scene, side, address)
        assert "SendID 1, RecvID 1, derived from TLS" in text and "NOT PROTECTED" not in text
    assert_clean(scene)
    assert scene.since() == since
    assert_signed_at_last(scene)
    scene.assert_private()


@needs_ao
def test_one_side(one_sided):
    """Announced as documented; a neighbor without it has a session over TLS."""
    scene = one_sided
    speaker = speak(scene)
    assert speaker.capabilities()[CODE] == VALUE
    speaker.sock.sendall(message(4, b""))
    session = scene.shim_a.wait_up(scene.address_b)
    assert session["tcp_ao_capability"]["state"] == "not-announced" and "tcp_ao" not in session
    assert str(CODE) not in session["out"]["open"]["capabilities"]
    assert "has not announced it" in shown(scene, scene.side_a, scene.address_b)


@needs_ao
def test_different(lab, pki):
    scene = Scene(lab, pki, options=CAPABILITY, options_a={"tcp-ao-algorithm": "hmac-sha1-96"})
    scene.daemons().wait_up()
    hold_for(lambda: states(scene) == ["different"] * 2, 3, "no TCP-AO")
    assert "no TCP-AO: the neighbor announces another algorithm" in shown(scene, scene.side_a, scene.address_b)


@needs_ao
def test_never_signed(one_sided):
    """A neighbor that announces it and does not do it: the connection is dead, and the next one goes without."""
    scene = one_sided
    speaker = speak(scene, bytes([CODE, len(VALUE)]) + VALUE)
    speaker.sock.sendall(message(4, b""))
    wait_until(lambda: [s["tcp_ao_capability"]["state"] for s in scene.shim_a.sessions(scene.address_b)] == ["on"], 30,
               "we have turned it on")

    def ended():
        speaker.sock.sendall(message(4, b""))
        return "is not signed" in scene.shim_a.neighbor(scene.address_b).get("last_failure", {}).get("text", "")

    wait_until(ended, 60, "the neighbor's failure is seen", interval=1)
    assert "tcp-ao = capability does not work" in scene.shim_a.log()
    second = speak(scene)
    assert CODE not in second.capabilities()


@needs_none
def test_a_kernel_without(lab, pki):
    scene = Scene(lab, pki, options=CAPABILITY)
    scene.daemons().wait_up()
    for side in scene.sides:
        address = scene.other(side).addresses[0]
        session = side.shim.wait_up(address)
        assert session["tcp_ao_capability"]["state"] == "unavailable"
        assert session["tcp_ao_capability"]["text"] == "this kernel has no TCP-AO"
        assert str(CODE) not in session["in"]["open"]["capabilities"] + session["out"]["open"]["capabilities"]
        assert "not announced: this kernel has no TCP-AO" in shown(scene, side, address)
        assert f"neighbor {address}: tcp-ao = capability: this kernel has no TCP-AO" in side.shim.log()
    scene.assert_private()
