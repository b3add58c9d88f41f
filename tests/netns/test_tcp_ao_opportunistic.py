# SPDX-License-Identifier: Apache-2.0
"""tcp-ao = exporter with tcp-ao-policy = preferred: neighbors with and without TCP-AO on one port. With TCP-AO: make check-vm."""

import re
import ssl

import pytest

from harness import aopeer
from harness.bird import Bird
from harness.botlsd import BOTLSD, TLS_PORT, Botlsd
from harness.capture import ACK, SYN
from harness.peering import Peering
from harness.scene import EVERY, Scene
from harness.wait import wait_until
from test_doctor import doctor, texts
from test_tcp_ao import EXPORTER, KEY, STATIC, kernel_has_ao, needs_ao, wait_derived

PREFERRED = {**EXPORTER, "tcp-ao-policy": "preferred"}
QUICK = {"handshake-timeout": 4}  # two seconds with TCP-AO, then without


def syns(scene, src):
    """Of connections that this address began: does each SYN carry TCP-AO?"""
    return [s.has_ao for s in scene.capture.find(port=TLS_PORT) if s.src == src and s.flags & (SYN | ACK) == SYN]


def without(shim, address, why):
    """The session that is up, which lacks TCP-AO for this reason."""
    session = shim.wait_up(address)
    assert "tcp_ao" not in session and why in session["tcp_ao_lack"]
    return session


def shown(side, address):
    return side.router.ns.run(BOTLSD.parent / "botlsctl", "-s", side.shim.socket, "show", "neighbor", address).stdout


def change(side, address, **options):
    neighbor = side.shim.neighbors[address]
    for name, value in options.items():
        neighbor[name.replace("_", "-")] = value
    side.shim.write_config()
    return side.shim.reload()


@needs_ao
@pytest.mark.parametrize("role, why", [("accept", "SYN carried no TCP-AO"), ("connect", "does not answer")])
def test_neighbor_without(lab, pki, role, why):
    """Both families, and then the same neighbors at the same addresses gain TCP-AO."""
    scene = Scene(lab, pki, *EVERY, options=QUICK, options_a={**PREFERRED, "role": role})
    scene.daemons().wait_up()
    for address in scene.side_b.addresses:
        without(scene.shim_a, address, why)
        assert "tcp-ao-policy = preferred" in scene.shim_a.log()
        assert "NONE" in shown(scene.side_a, address) and why in shown(scene.side_a, address)
        assert scene.shim_a.neighbor(address)["tcp_ao"]["policy"] == "preferred"
    if role == "connect":
        # Verified before: that it goes without is remembered for the next time.
        assert syns(scene, scene.address_a)[0] and not syns(scene, scene.address_a)[-1]
    since = scene.since()
    for address in scene.side_a.addresses:
        change(scene.side_b, address, **EXPORTER)
    scene.wait_renewed(since)
    wait_derived(scene)
    for address in scene.side_b.addresses:
        assert "tcp_ao_lack" not in scene.shim_a.wait_up(address)
        assert "derived from TLS" in shown(scene.side_a, address)
    scene.assert_private()


@needs_ao
def test_habit(lab, pki):
    """What worked is tried first; a reset by the operator begins with TCP-AO again."""
    scene = Scene(lab, pki, options=QUICK, options_a={**PREFERRED, "role": "connect"})
    scene.daemons().wait_up()
    assert syns(scene, scene.address_a)[0] and not syns(scene, scene.address_a)[-1]
    for shim, address, is_with in (scene.shim_b, scene.address_a, False), (scene.shim_a, scene.address_b, True):
        since, before = scene.since(), len(syns(scene, scene.address_a))
        shim.ctl("reset", address)
        scene.wait_renewed(since)
        assert syns(scene, scene.address_a)[before] == is_with
    assert scene.shim_a.log().count("TCP-AO does not protect it") == 1


@needs_ao
def test_both_preferred(lab, pki):
    """Nobody goes without who need not."""
    scene = Scene(lab, pki, *EVERY, options=PREFERRED)
    scene.daemons().wait_up()
    wait_derived(scene)
    assert all(s.has_ao for s in scene.capture.find(port=TLS_PORT))
    assert "does not protect" not in scene.shim_a.log() + scene.shim_b.log()
    scene.assert_private()


@needs_ao
def test_downgrade(lab, pki):
    """Beside one that may go without, on the same port: required means required, whatever is left out on the way."""
    scene = Scene(lab, pki, *EVERY, options=QUICK, options_a=PREFERRED)
    v4, v6, ll = scene.side_b.addresses
    change(scene.side_a, v4, tcp_ao_policy="required")
    change(scene.side_a, ll, **{**STATIC, "tcp-ao-policy": "required"})
    scene.daemons()
    without(scene.shim_a, v6, "")
    assert not aopeer.connects(scene.b.ns, v4, scene.address_a, TLS_PORT, secret=None)
    assert aopeer.connects(scene.b.ns, v4, scene.address_a, TLS_PORT)
    wait_until(lambda: scene.shim_a.neighbor(v4)["tcp_ao"]["listener"]["required"], 30, "what came without is counted")
    wait_until(lambda: "unreachable" in scene.shim_a.failures(v4), 60, "it cannot be dialled either")
    for address in v4, ll:
        assert not scene.shim_a.sessions(address)
        assert not scene.daemon_a.session(address).is_up
    assert not [s for s in scene.capture.find(port=TLS_PORT) if s.src == scene.address_a and s.dst == v4 and not s.has_ao
                and s.flags & SYN]
    # From preferred to required: the session without it ends.
    assert [i["resets"] for i in change(scene.side_a, v6, tcp_ao_policy="required")["items"]] == [True]
    wait_until(lambda: not scene.daemon_a.session(v6).is_up and not scene.shim_a.sessions(v6), 30, "it is down")
    for address, options in zip(scene.side_a.addresses, (EXPORTER, EXPORTER, STATIC)):
        change(scene.side_b, address, **options)
    scene.wait_up()
    scene.assert_private()


@needs_ao
@pytest.mark.parametrize("key, count", [
    ({"secret": b"another"}, "bad"),
    ({"key_id": 5}, "key_not_found"),
    ({"covers_options": True}, "bad"),
    ({"algorithm": "hmac-sha1-96"}, "bad"),
], ids=["wrong key", "missing key", "options", "algorithm"])
def test_mismatch(lab, pki, key, count):
    """A connection with another key than ours is no connection, whether it could go without or not; both families."""
    scene = Scene(lab, pki, "v4", "v6", start=False)
    scene.shim_a.neighbors = {address: {**PREFERRED, "tcp-ao-policy": policy} for address, policy
                              in zip(scene.side_b.addresses, ("preferred", "required"))}
    scene.shim_a.start()
    for own, peer in zip(scene.side_b.addresses, scene.side_a.addresses):
        assert not aopeer.connects(scene.b.ns, own, peer, TLS_PORT, timeout=2.5, **key)
        assert scene.shim_a.neighbor(own)["tcp_ao"]["listener"][count] >= 2
        assert aopeer.connects(scene.b.ns, own, peer, TLS_PORT)
    assert scene.shim_a.neighbor(own)["tcp_ao"]["listener"]["good"] > 0


@needs_ao
def test_other_options(lab, pki):
    """Two that may go without and differ in what is covered, beside a neighbor of the usual kind: they do."""
    scene = Scene(lab, pki, "v4", "v6", options={**PREFERRED, **QUICK}, start=False)
    v4, v6 = scene.side_b.addresses
    scene.shim_a.neighbors[v4]["tcp-ao-options"] = True
    for side, address in ((scene.side_a, v6), (scene.side_b, scene.side_a.addresses[1])):
        side.shim.neighbors[address]["tcp-ao-algorithm"] = "hmac-sha1-96"
    scene.start_shims()
    scene.daemons().wait_up()
    without(scene.shim_a, v4, "")
    wait_until(lambda: any(s["tcp_ao"]["derived"] for s in scene.shim_a.sessions(v6)), 60, "the other one's key is derived")


@needs_ao
def test_tls12(lab, pki):
    """No key follows from TLS 1.2: the session stays with the default key, and says so; required lets go."""
    a, b = lab.pair()
    shim = Botlsd(a, {"192.0.2.2": {**PREFERRED, "role": "accept"}}, pki.router(a)).start()
    Bird(a, [Peering("192.0.2.2", b.asn, passive=True)], ["10.1.0.0/24"]).start()
    for policy in "preferred", "required":
        shim.neighbors["192.0.2.2"]["tcp-ao-policy"] = policy
        shim.write_config()
        shim.reload()
        sock = aopeer.connect(b.ns, "192.0.2.2", "192.0.2.1", TLS_PORT)
        tls = aopeer.handshake(sock, pki.router(b), ssl.TLSVersion.TLSv1_2)
        assert tls.version() == "TLSv1.2"
        if policy == "required":
            assert "TLS 1.3" in shim.wait_failure("192.0.2.2", "refused", "in")["text"]
            continue
        session = wait_until(lambda: shim.sessions("192.0.2.2"), 10, "it is up")[0]
        assert "TLS 1.2" in session["tcp_ao_lack"] and not session["tcp_ao"]["derived"]
        assert (session["tcp_ao"]["send_id"], session["tcp_ao"]["recv_id"]) == (0, 0)
        assert "which everybody knows" in shim.log()
        assert tls.read(19)[:16] == b"\xff" * 16  # BIRD's OPEN


@needs_ao
def test_reload(lab, pki):
    """The first such neighbor comes and the last one goes, and the sessions of the others stay; two workers."""
    scene = Scene(lab, pki, *EVERY, options=QUICK, globals_a={"workers": 2}, start=False)
    v4, v6, ll = scene.side_b.addresses
    for side, address in ((scene.side_a, ll), (scene.side_b, scene.side_a.addresses[2])):
        side.shim.neighbors[address].update(STATIC)
    scene.start_shims()
    scene.daemons().wait_up()

    def others():
        return [side.daemon.session(address).since for side in scene.sides for address in scene.other(side).addresses[1:]]

    since, all_since = others(), scene.since()
    change(scene.side_a, v4, **PREFERRED)
    wait_until(lambda: scene.since()[0] != all_since[0], 60, "a new session")
    scene.wait_up()
    without(scene.shim_a, v4, "")
    assert aopeer.connects(scene.b.ns, v4, scene.address_a, TLS_PORT)
    assert others() == since
    change(scene.side_a, v4, tcp_ao=None, tcp_ao_policy=None)
    # The kernel has no key for it any more, on any listener.
    wait_until(lambda: not aopeer.connects(scene.b.ns, v4, scene.address_a, TLS_PORT, timeout=2), 30, "it is gone")
    assert aopeer.connects(scene.b.ns, v4, scene.address_a, TLS_PORT, secret=None)
    scene.wait_up()
    assert others() == since
    scene.assert_private()


@pytest.mark.skipif(kernel_has_ao(), reason="this kernel has TCP-AO")
def test_a_kernel_without(lab, pki):
    """Over TLS, as if nothing were said of TCP-AO, and at once."""
    scene = Scene(lab, pki, "v4", "v6", options_a=PREFERRED, options_b={"tcp-ao": "off"})
    scene.daemons().wait_up()
    for address in scene.side_b.addresses:
        without(scene.shim_a, address, "this kernel has no TCP-AO")
        assert "MISSING in this kernel" in shown(scene.side_a, address)
    assert "this kernel has no TCP-AO, so connections go without it" in scene.shim_a.log()
    results = doctor(scene.shim_a)[1]
    assert "2 neighbors go without it (tcp-ao-policy = preferred)" in texts(results, "tcp-ao", "warn")[0]
    assert "2 that TCP-AO does not protect (tcp-ao-policy = preferred)" in texts(results, "neighbor", "warn")
    metric = scene.shim_a.router.ns.run(BOTLSD.parent / "botlsctl", "-s", scene.shim_a.socket, "metrics").stdout
    assert re.findall(r"^botls_neighbor_tcp_ao_lacking\{.*\} (\d+)", metric, re.M) == ["1", "1"]
    assert KEY not in scene.shim_a.log()
