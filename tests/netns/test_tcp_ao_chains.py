# SPDX-License-Identifier: Apache-2.0
"""Chains of TCP-AO keys between two botlsd. What needs it in the kernel is skipped without: make check-vm."""

import datetime
import json
import time

import pytest

from harness.ao import Packet, Verifier
from harness.botlsd import BOTLSCTL, TLS_PORT, Refused
from harness.scene import Scene
from harness.wait import SLOW, hold_for, wait_until
from test_tcp_ao import needs_ao, needs_none

CHAINED = {"tcp-ao": "static", "tcp-ao-chain": "ixp"}
ONE = {"chain": "ixp", "secret": "the first secret", "send-id": 1, "recv-id": 1}
TWO = {"chain": "ixp", "secret": "the second secret", "send-id": 2, "recv-id": 2, "algorithm": "hmac-sha1-96",
       "options": False}
ROUTES = 2000


def at(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def chained(lab, pki, keys, **how):
    scene = Scene(lab, pki, start=False, options={**CHAINED, **how})
    for side in scene.sides:
        side.shim.keys = {name: dict(key) for name, key in keys.items()}
    scene.start_shims()
    return scene


def address_of(scene, side):
    return scene.other(side).addresses[0]


def give(scene, keys, *sides):
    """Reloads with these keys; no session may end."""
    for side in sides or scene.sides:
        side.shim.keys = {name: dict(key) for name, key in keys.items()}
        side.shim.write_config()
        answer = side.shim.reload()
        assert answer["applied"] and not answer["resets"], answer
        assert [i["changed"] for i in answer["items"]] == ["tcp-ao-chain"]


def carried(scene, side):
    """TCP-AO of the session that is up."""
    return side.shim.wait_up(address_of(scene, side))["tcp_ao"]


def wait_key(scene, name, *sides, deadline=60):
    """Both directions use this key."""
    for side in sides or scene.sides:
        wait_until(lambda: (lambda ao: (ao.get("send_key"), ao.get("recv_key")) == (name, name))(carried(scene, side)),
                   deadline, f"{side.router.name} uses the key {name}")


def wait_captured(scene):
    """Everything that has passed so far has been read."""
    seen = []

    def is_quiet():
        seen.append(len(scene.capture.find(port=TLS_PORT)))
        return len(seen) > 1 and seen[-1] == seen[-2]

    wait_until(is_quiet, 60, "the capture is read", interval=1)


def key_ids(scene):
    return {Packet(s.packet).ao[0] for s in scene.capture.find(port=TLS_PORT) if s.packet}


def connections(scene):
    return {s.sport + s.dport for s in scene.capture.find(port=TLS_PORT)}


def assert_signed(scene):
    verifier = Verifier(*((k["send-id"], k["secret"].encode(), k.get("algorithm", "aes-128-cmac-96"),
                           k.get("options", True)) for k in (ONE, TWO)))
    segments = scene.capture.find(port=TLS_PORT)
    assert segments and [str(s) for s in segments if not verifier.judge(s.packet)] == []


def show(scene, side):
    return side.router.ns.run(BOTLSCTL, "-s", side.shim.socket, "show", "neighbor", address_of(scene, side)).stdout


def write_routes(path, count, tag):
    path.write_text("".join(f"route 10.{tag}.{i >> 8}.{i & 255}/32 blackhole;\n" for i in range(count)))
    return {f"10.{tag}.{i >> 8}.{i & 255}/32" for i in range(count)}


@needs_ao
def test_rollover(lab, pki):
    """From key to key by the clock, while routes go through: no session ends, every segment is signed with a key."""
    scene = chained(lab, pki, {"ixp-2026": ONE})
    scene.daemons()
    routes = scene.a.folder / "routes.conf"
    tables = [write_routes(routes, ROUTES, 21)]
    scene.daemon_a.settings["static"] = routes
    scene.wait_up()
    since = scene.since()
    ids = [side.shim.session_ids(address_of(scene, side)) for side in scene.sides]
    moment = time.time() + 5 * SLOW
    give(scene, {"ixp-2026": {**ONE, "send-until": at(moment), "accept-until": at(moment + 4 * SLOW)},
                 "ixp-2027": {**TWO, "accept-from": at(moment - 3600), "send-from": at(moment)}})
    wait_key(scene, "ixp-2026")
    # Routes go through before, while and after.
    for tag in range(22, 26):
        scene.daemon_a.configure()
        tables.append(write_routes(routes, ROUTES, tag))
        wait_until(lambda: tables[-2] <= scene.daemon_b.routes(), 60, "a table is there")
    scene.daemon_a.configure()
    wait_key(scene, "ixp-2027")
    wait_until(lambda: tables[-1] <= scene.daemon_b.routes() and not scene.daemon_b.routes() & tables[-2], 60,
               "the last table is there, whole, and the others are not")
    for side in scene.sides:
        ao = carried(scene, side)
        assert not ao["old"] and not ao["bad"] + ao["key_not_found"] + ao["required"], ao
        neighbor = side.shim.neighbor(address_of(scene, side))["tcp_ao"]
        assert neighbor["chain"] == "ixp" and neighbor["send_id"] == 2
        wait_until(lambda: [k["state"] for k in side.shim.neighbor(address_of(scene, side))["tcp_ao"]["keys"]] ==
                   ["ended", "sent"], 30, "the first key has ended")
        assert "ixp-2027" in show(scene, side)
        told = json.dumps(side.shim.show()) + show(scene, side) + side.shim.log()
        assert ONE["secret"] not in told and TWO["secret"] not in told
    assert scene.since() == since
    wait_captured(scene)
    assert ids == [side.shim.session_ids(address_of(scene, side)) for side in scene.sides]
    assert key_ids(scene) == {1, 2}
    assert_signed(scene)
    # A new session begins with the second key alone.
    before = connections(scene)
    scene.shim_a.ctl("reset", scene.address_b)
    scene.wait_renewed(since)
    new = [s for s in scene.capture.find(port=TLS_PORT) if s.sport + s.dport not in before]
    assert new and [str(s) for s in new if Packet(s.packet).ao[0] != TWO["send-id"]] == []
    scene.assert_private()


@needs_ao
def test_a_neighbor_that_lags(lab, pki):
    """One side's only key is another one now: the session stays, is warned of, and goes on when the other side follows."""
    scene = chained(lab, pki, {"ixp-2026": ONE})
    scene.daemons().wait_up()
    since = scene.since()
    give(scene, {"ixp-2027": TWO}, scene.side_a)
    wait_until(lambda: carried(scene, scene.side_a)["old"], 20, "the old key is marked")
    assert "OLD KEY" in show(scene, scene.side_a)
    wait_until(lambda: "it goes on with the TCP-AO key with SendID 1 and RecvID 1, which is no longer configured"
               in scene.shim_a.log(), 120, "the log warns")
    give(scene, {"ixp-2026": ONE, "ixp-2027": TWO}, scene.side_b)
    wait_key(scene, "ixp-2027")
    assert not carried(scene, scene.side_a)["old"]
    assert scene.since() == since


@needs_ao
def test_a_wrong_key(lab, pki):
    """The next key differs at the two ends: they go back to the first one; it is corrected by a reload."""
    scene = chained(lab, pki, {"ixp-2026": ONE})
    scene.daemons().wait_up()
    since = scene.since()
    for side, secret in ((scene.side_a, TWO["secret"]), (scene.side_b, "a wrong secret")):
        give(scene, {"ixp-2026": ONE, "ixp-2027": {**TWO, "secret": secret, "send-from": "2026-01-01"}}, side)
    wait_until(lambda: any("it has another secret" in side.shim.log() for side in scene.sides), 90, "it is noticed")
    wait_key(scene, "ixp-2026")
    hold_for(lambda: scene.since() == since, 3, "the session stays")
    give(scene, {"ixp-2026": ONE, "ixp-2027": {**TWO, "send-from": "2026-01-01"}}, scene.side_b)
    give(scene, {"ixp-2026": ONE, "ixp-2027": {**TWO, "send-from": "2026-01-02"}}, scene.side_a)
    wait_key(scene, "ixp-2027")
    assert scene.since() == since


@needs_ao
def test_no_key(lab, pki):
    """After the last key's end the session stays, and a new one is not begun."""
    scene = chained(lab, pki, {"ixp-2026": ONE})
    scene.daemons().wait_up()
    since = scene.since()
    end = time.time() + 3 * SLOW
    give(scene, {"ixp-2026": {**ONE, "accept-until": at(end)}}, scene.side_a)
    wait_until(lambda: carried(scene, scene.side_a)["old"], 30, "the key has ended")
    assert scene.since() == since
    assert "NO KEY MAY BE SENT NOW" in show(scene, scene.side_a)
    scene.shim_a.ctl("reset", scene.address_b)
    wait_until(lambda: "no key of the chain ixp may be sent now" in
               scene.shim_a.neighbor(scene.address_b).get("last_failure", {}).get("text", ""), 60, "we do not dial")
    hold_for(lambda: not scene.is_any_up(), 3, "no session")
    # That it has ended does not stand in the way of what else changes.
    scene.shim_a.neighbors[scene.address_b]["description"] = "another change"
    scene.shim_a.write_config()
    assert scene.shim_a.reload()["applied"]
    give(scene, {"ixp-2027": TWO})
    scene.wait_up()
    assert_signed(scene)


def test_plan(lab, pki):
    """What a reload would do, with or without TCP-AO in the kernel; and what it refuses."""
    scene = chained(lab, pki, {"ixp-2026": ONE}, **{"tcp-ao-policy": "preferred"})
    shim = scene.shim_a

    def plan(keys):
        shim.keys = keys
        shim.write_config()
        return shim.reload(dry_run=True)

    answer = plan({"ixp-2026": ONE, "ixp-2027": {**TWO, "send-from": "2099-01-01"}})
    assert [(i["changed"], i["resets"]) for i in answer["items"]] == [("tcp-ao-chain", False)]
    answer = plan({"ixp-2026": {**ONE, "secret": "another secret"}})
    assert [(i["changed"], i["resets"]) for i in answer["items"]] == [("tcp-ao-chain", True)]
    answer = plan({"ixp-2026": {**ONE, "send-until": "2098-01-01"}, "ixp-2027": {**TWO, "send-from": "2099-01-01"}})
    assert "no key may be sent from 2098-01-01T00:00:00Z until 2099-01-01T00:00:00Z" in answer["warnings"][-1]["text"]
    for keys, why in (({"ixp-2026": {**ONE, "accept-until": "2026-01-01"}}, "every key of the chain ixp has ended"),
                      ({"ixp-2026": ONE, "ixp-2027": {**ONE, "recv-id": 9}}, "it has the send-id of key ixp-2026"),
                      ({}, "no key belongs to 'ixp'")):
        with pytest.raises(Refused) as refused:
            plan(keys)
        assert why in json.dumps(refused.value.answer["errors"])
        assert ONE["secret"] not in json.dumps(refused.value.answer)


@needs_none
def test_preferred_on_a_kernel_without(lab, pki):
    scene = chained(lab, pki, {"ixp-2026": ONE}, **{"tcp-ao-policy": "preferred"})
    scene.daemons().wait_up()
    assert not any(s.has_ao for s in scene.capture.find(port=TLS_PORT))
    for side in scene.sides:
        address = address_of(scene, side)
        assert f"neighbor {address}: tcp-ao-policy = preferred: this kernel has no TCP-AO" in side.shim.log()
        assert side.shim.neighbor(address)["tcp_ao"]["active"] is False
        assert "MISSING in this kernel" in show(scene, side)
    scene.assert_private()
