# SPDX-License-Identifier: Apache-2.0
"""TCP-AO on the connections between two botlsd. What needs it in the kernel is skipped without: make check-vm."""

import errno
import json
import socket
import subprocess

import pytest

from harness.ao import DEFAULT_KEY, Verifier, exported_key, next_key
from harness.botlsd import BOTLSD, TLS_PORT, Refused
from harness.scene import ADDRESSES, EVERY, Scene
from harness.wait import hold_for, wait_until

TCP_AO_INFO = 40
KEY = "a secret of the wire"
STATIC = {"tcp-ao": "static", "tcp-ao-key": KEY}
EXPORTER = {"tcp-ao": "exporter"}


def kernel_has_ao():
    with socket.socket() as s:
        try:
            s.getsockopt(socket.IPPROTO_TCP, TCP_AO_INFO, 48)
        except OSError as e:
            return e.errno != errno.ENOPROTOOPT  # others: there is no key yet
    return True


needs_ao = pytest.mark.skipif(not kernel_has_ao(), reason="this kernel has no TCP-AO (make check-vm)")
needs_none = pytest.mark.skipif(kernel_has_ao(), reason="this kernel has TCP-AO")


def wire(scene, *hosts):
    segments = [s for s in scene.capture.find(port=TLS_PORT) if not hosts or s.src in hosts or s.dst in hosts]
    assert segments
    return segments


def assert_signed(segments, *keys):
    """Every segment has the MAC that one of these keys gives, as computed here and not by the kernel."""
    verifier = Verifier(*keys)
    assert [str(s) for s in segments if not verifier.judge(s.packet)] == []


def static_key(options):
    return (options.get("tcp-ao-send-id", 0), options.get("tcp-ao-key", KEY).encode(),
            options.get("tcp-ao-algorithm", "aes-128-cmac-96"), options.get("tcp-ao-options", True))


def derived_keys(shim, generations, algorithm="aes-128-cmac-96", covers_options=False):
    """The default key, and those that follow from each TLS connection in the key log."""
    keys = [(0, DEFAULT_KEY, algorithm, covers_options)]
    for line in (shim.folder / "keylog").read_text().splitlines():
        label, _, secret = line.split()
        if label == "EXPORTER_SECRET":
            key = exported_key(bytes.fromhex(secret), covers_options, algorithm)
            for key_id in range(1, generations + 1):
                keys.append((key_id, key, algorithm, covers_options))
                key = next_key(key)
    return keys


def listener(shim, name):
    return shim.neighbor(name)["tcp_ao"]["listener"]


def mixed(lab, pki, option, quick=None):
    """IPv4 with the option, IPv6 and link-local without."""
    scene = Scene(lab, pki, *EVERY, start=False, options=quick)
    for side, index in ((scene.side_a, 1), (scene.side_b, 0)):
        side.shim.neighbors[ADDRESSES["v4"][index]].update(option)
    return scene


@needs_ao
@pytest.mark.parametrize("a, b", [
    ({}, {}),
    ({"tcp-ao-send-id": 7, "tcp-ao-recv-id": 255}, {"tcp-ao-send-id": 255, "tcp-ao-recv-id": 7}),
    ({"tcp-ao-algorithm": "hmac-sha1-96", "tcp-ao-options": False, "ttl-security": 1},) * 2,
    ({"tcp-ao-algorithm": "hmac-sha256-96"},) * 2,
], ids=["default", "ids", "sha1", "sha256"])
def test_up(lab, pki, a, b):
    scene = Scene(lab, pki, *EVERY, options=STATIC, options_a=a, options_b=b)
    scene.daemons().wait_up()
    assert_signed(wire(scene), static_key(a), static_key(b))
    for side, own in ((scene.side_a, a), (scene.side_b, b)):
        ids = own.get("tcp-ao-send-id", 0), own.get("tcp-ao-recv-id", 0)
        for address in scene.other(side).addresses:
            neighbor = side.shim.neighbor(address)
            configured = neighbor["tcp_ao"]
            assert (configured["send_id"], configured["recv_id"]) == ids
            assert configured["algorithm"] == own.get("tcp-ao-algorithm", "aes-128-cmac-96")
            assert configured["options"] == own.get("tcp-ao-options", True)
            used = side.shim.wait_up(address)["tcp_ao"]
            assert (used["send_id"], used["recv_id"]) == ids
            assert used["good"] > 3 and not used["bad"] + used["key_not_found"] + used["required"]
            text = side.router.ns.run(BOTLSD.parent / "botlsctl", "-s", side.shim.socket, "show", "neighbor",
                                      address).stdout
            assert f"SendID {ids[0]}, RecvID {ids[1]}" in text
        # Ids are shown, keys never.
        assert KEY not in json.dumps(side.shim.show()) + text + side.shim.log()
    scene.assert_private()


def with_keylog(lab, pki, *families, start=True, **how):
    scene = Scene(lab, pki, *families, start=False, **how)
    for side in scene.sides:
        side.shim.process.argv += ["--keylog", str(side.shim.folder / "keylog")]
    if start:
        scene.start_shims()
    return scene


def wait_derived(scene, generation=1):
    for side in scene.sides:
        for address in scene.other(side).addresses:
            wait_until(lambda: any(s["tcp_ao"]["derived"] and s["tcp_ao"]["generation"] >= generation
                                   for s in side.shim.sessions(address)), 60, "a derived key is in use")


@needs_ao
@pytest.mark.parametrize("options", [{}, {"tcp-ao-algorithm": "hmac-sha1-96", "tcp-ao-options": True}],
                         ids=["default", "sha1"])
def test_exporter(lab, pki, options):
    """Nothing but the certificates is configured; every segment has the default key's MAC, and then K_1's."""
    scene = with_keylog(lab, pki, *EVERY, options={**EXPORTER, **options})
    scene.daemons().wait_up()
    wait_derived(scene)
    segments = wire(scene)
    assert_signed(segments, *derived_keys(scene.shim_a, 1, options.get("tcp-ao-algorithm", "aes-128-cmac-96"),
                                          options.get("tcp-ao-options", False)))
    for side in scene.sides:
        for address in scene.other(side).addresses:
            used = side.shim.wait_up(address)["tcp_ao"]
            assert (used["send_id"], used["recv_id"], used["generation"]) == (1, 1, 1)
            assert not used["bad"] + used["key_not_found"] + used["required"]
            text = side.router.ns.run(BOTLSD.parent / "botlsctl", "-s", side.shim.socket, "show", "neighbor",
                                      address).stdout
            assert "derived from TLS" in text and "SendID 1, RecvID 1" in text
    scene.assert_private()


@needs_ao
def test_exporter_renews(lab, pki):
    """From key to key while routes come and go: the session stays, and no segment is refused."""
    scene = with_keylog(lab, pki, options={**EXPORTER, "tcp-ao-rekey": 10})
    scene.daemons().wait_up()
    since = scene.since()
    wait_derived(scene, 3)
    assert scene.since() == since
    for side in scene.sides:
        used = side.shim.wait_up(scene.other(side).addresses[0])["tcp_ao"]
        assert not used["bad"] + used["key_not_found"] + used["required"]
    assert_signed(wire(scene), *derived_keys(scene.shim_a, 6))
    scene.assert_private()


@needs_ao
def test_exporter_on_one_side(lab, pki):
    """A neighbor with the default key as a static one never changes to a derived key: that is no protection."""
    scene = Scene(lab, pki, options={"handshake-timeout": 3}, options_a=EXPORTER,
                  options_b={"tcp-ao": "static", "tcp-ao-key-file": "default.key", "tcp-ao-options": False},
                  start=False)
    key = scene.shim_b.folder / "default.key"
    key.write_bytes(DEFAULT_KEY + b"\n")
    key.chmod(0o600)
    scene.start_shims()
    scene.daemons().wait_established()
    last = scene.shim_a.wait_failure(scene.address_b, "refused", None, 90)
    assert "did not take the TCP-AO key" in last["text"]


@needs_ao
def test_another_key(lab, pki):
    scene = Scene(lab, pki, options={"handshake-timeout": 3, **STATIC}, options_b={"tcp-ao-key": "another"})
    scene.daemons()
    for side in scene.sides:
        address = scene.other(side).addresses[0]
        last = side.shim.wait_failure(address, "unreachable", "out", 40)
        assert "tcp-ao" in last["text"]
        wait_until(lambda: listener(side.shim, address)["bad"], 30, "what comes from the neighbor is counted")
        assert not side.shim.sessions(address)
    assert not scene.is_any_up()
    scene.shim_b.neighbors[scene.address_a]["tcp-ao-key"] = KEY
    scene.shim_b.write_config()
    scene.shim_b.reload()
    scene.wait_up()


@needs_ao
def test_one_side_alone(lab, pki):
    scene = Scene(lab, pki, options={"handshake-timeout": 3}, options_a=STATIC)
    scene.daemons()
    wait_until(lambda: listener(scene.shim_a, scene.address_b)["required"], 30, "segments without it are counted")
    assert "tcp-ao" in scene.shim_a.wait_failure(scene.address_b, "unreachable", "out", 40)["text"]
    hold_for(lambda: not scene.is_any_up() and not scene.shim_a.sessions(scene.address_b), 3, "no session")
    scene.shim_b.neighbors[scene.address_a].update(STATIC)
    scene.shim_b.write_config()
    scene.shim_b.reload()
    scene.wait_up()
    scene.assert_private()


@needs_ao
def test_other_neighbors(lab, pki):
    """One neighbor has it, those beside it do not; a new key ends the sessions of that one alone."""
    scene = mixed(lab, pki, STATIC)
    scene.start_shims()
    scene.daemons().wait_up()
    v4 = ADDRESSES["v4"]
    assert all(s.has_ao == (s.src in v4) for s in wire(scene))
    assert "tcp_ao" not in scene.shim_a.neighbor(ADDRESSES["v6"][1])
    since = scene.since()
    for side, index in ((scene.side_a, 1), (scene.side_b, 0)):
        side.shim.neighbors[v4[index]]["tcp-ao-key"] = "the next one"
        side.shim.write_config()
        answer = side.shim.reload()
        assert [(i["neighbor"], i["resets"], i["changed"]) for i in answer["items"]] == \
            [(v4[index], True, "tcp-ao-key")]
    # since() has one entry per side and family, IPv4 first
    wait_until(lambda: all(new != old for new, old in list(zip(scene.since(), since))[::len(EVERY)]), 60,
               "a new session with the new key")
    scene.wait_up()
    assert all((new == old) == bool(i % len(EVERY)) for i, (new, old) in enumerate(zip(scene.since(), since)))
    assert all(s.has_ao == (s.src in v4) for s in wire(scene))


@needs_none
def test_a_kernel_without(lab, pki):
    """The neighbor is in error and closed, the others work; a reload that asks for it is refused."""
    scene = mixed(lab, pki, STATIC)
    scene.start_shims()
    scene.daemons()
    for side in scene.sides:
        for address in scene.other(side).addresses[1:]:
            side.daemon.wait_established(address)
    address = scene.address_b
    neighbor = scene.shim_a.neighbor(address)
    assert neighbor["state"] == "error" and not neighbor["sessions"]
    assert "this kernel has no TCP-AO" in neighbor["last_failure"]["text"]
    assert "CONFIG_TCP_AO" in neighbor["last_failure"]["text"]
    assert f"neighbor {address}: tcp-ao: this kernel has no TCP-AO" in scene.shim_a.log()
    wait_until(lambda: scene.shim_a.failures(address).get("refused", 0) >= 2, 30, "BIRD dials")
    hold_for(lambda: not scene.daemon_a.session(address).is_up, 2, "it stays down")
    scene.assert_private()

    check = subprocess.run([BOTLSD, "-n", "-c", scene.shim_a.config_path], text=True, capture_output=True)
    assert check.returncode and "this kernel has no TCP-AO" in check.stdout + check.stderr
    v6 = ADDRESSES["v6"][1]
    since = scene.daemon_a.session(v6).since
    scene.shim_a.neighbors[v6].update(STATIC)
    scene.shim_a.write_config()
    with pytest.raises(Refused) as refused:
        scene.shim_a.reload()
    assert v6 in json.dumps(refused.value.answer["errors"]) and KEY not in json.dumps(refused.value.answer)
    # The neighbor that was closed already stands in no other change's way.
    scene.shim_a.neighbors[v6] = {"description": "another change"}
    scene.shim_a.write_config()
    assert scene.shim_a.reload()["applied"]
    assert scene.daemon_a.session(v6).since == since
    assert scene.shim_a.state(address) == "error"
    del scene.shim_a.neighbors[address]["tcp-ao"], scene.shim_a.neighbors[address]["tcp-ao-key"]
    scene.shim_a.write_config()
    assert scene.shim_a.reload()["applied"]
    assert scene.shim_a.state(address) != "error"
