# SPDX-License-Identifier: Apache-2.0
"""Reloads: what is not changed is not touched, what is changed happens as announced."""

import shutil
import time

import pytest

from harness.bird import Bird
from harness.botlsd import Botlsd, Refused
from harness.peering import Peering
from harness.wait import hold_for, wait_until


class Trio:
    """Three sessions between r1 and r2, each with addresses of its own."""

    def __init__(self, lab, pki, count=3):
        self.a, self.b = lab.pair()
        self.pairs = [(f"10.100.{i}.1", f"10.100.{i}.2") for i in range(count)]
        self.ours, self.theirs = zip(*self.pairs)
        self.a.ns.ip(*(f"addr add {one}/30 dev eth0" for one in self.ours))
        self.b.ns.ip(*(f"addr add {two}/30 dev eth0" for two in self.theirs))
        self.capture = lab.capture(self.a)
        self.identity_a, self.identity_b = pki.issue(*self.ours), pki.issue(*self.theirs)
        # files of this test's own, which it may replace
        self.certificate, self.key = self.a.folder / "own.pem", self.a.folder / "own.key"
        self.install(self.identity_a)
        self.shim_a = Botlsd(self.a, {two: {} for two in self.theirs}, self.identity_a,
                             certificate=self.certificate, key=self.key)
        self.shim_a.options.update({"certificate": self.certificate, "key": self.key})
        self.shim_b = Botlsd(self.b, {one: {} for one in self.ours}, self.identity_b)
        self.bird_a = Bird(self.a, [Peering(two, self.b.asn, local=one) for one, two in self.pairs], ["10.1.0.0/24"])
        self.bird_b = Bird(self.b, [Peering(one, self.a.asn, local=two) for one, two in self.pairs], ["10.2.0.0/24"])
        for it in (self.shim_a, self.shim_b, self.bird_a, self.bird_b):
            it.start()
        self.wait_up()

    def install(self, identity):
        shutil.copy(identity.certificate, self.certificate)
        shutil.copy(identity.key, self.key)

    def wait_up(self):
        for one, two in self.pairs:
            self.bird_a.wait_established(two)
            self.bird_b.wait_established(one)
            self.shim_a.wait_up(two)
            self.shim_b.wait_up(one)

    def since(self):
        """{neighbor: when its session began, as both daemons tell it}"""
        a = {s.peer: s.since for s in self.bird_a.sessions().values() if s.is_up}
        b = {s.peer: s.since for s in self.bird_b.sessions().values() if s.is_up}
        return {two: (a.get(two), b.get(one)) for one, two in self.pairs}

    def reload(self, **how):
        self.shim_a.write_config()
        return self.shim_a.reload(**how)

    def assert_untouched(self, before, duration=1):
        hold_for(lambda: self.since() == before, duration, "the sessions go on")


@pytest.fixture
def trio(lab, pki):
    return Trio(lab, pki)


@pytest.fixture(scope="module")
def module_trio(module_lab, pki):
    return Trio(module_lab, pki)


@pytest.fixture
def calm(module_trio, module_lab):
    """One Trio for all tests after which its sessions must be the same as before."""
    shim = module_trio.shim_a
    options, neighbors = dict(shim.options), {name: dict(o) for name, o in shim.neighbors.items()}
    before = module_trio.since()
    yield module_trio
    shim.options, shim.neighbors = options, neighbors
    module_trio.install(module_trio.identity_a)
    assert module_trio.reload()["applied"]
    assert module_trio.since() == before, "a session was touched"
    module_trio.capture.assert_no_clear_text()


def items(answer):
    return {item["neighbor"]: item for item in answer["items"]}


HARMLESS = [{"description": "the other one"}, {"hold-time": 30}, {"handshake-timeout": 5},
            {"key-update-records": 4096}, {"keepalive": 30}, {"user-timeout": 600}]
# A stricter demand that the session meets already may or may not end it; the plan says which.
STRICTER = [{"min-version": "1.3"}, {"remote-as": 64502}]
RESETTING = [{"role": "connect"}, {"ttl-security": 3}, {"ttl": 200}]


def change(trio, option):
    """Plans and does it; returns the plan's item for the changed neighbor."""
    before = trio.since()
    target = trio.theirs[1]
    trio.shim_a.neighbors[target].update(option)
    planned = trio.reload(dry_run=True)
    assert planned["applied"] is False
    trio.assert_untouched(before, 0.3)
    done = trio.reload()
    assert done["applied"] is True
    item = items(done)[target]
    assert item["action"] == "change" and next(iter(option)) in item["changed"]
    assert items(planned) == items(done)
    for answer in (planned, done):
        assert (answer["keep"], answer["change"], answer["add"], answer["drop"]) == (2, 1, 0, 0)
        assert answer["resets"] == item["resets"]
    return item


@pytest.mark.parametrize("option", HARMLESS, ids=lambda o: next(iter(o)))
def test_a_harmless_change_resets_nothing(calm, option):
    before = calm.since()
    assert change(calm, option)["resets"] is False
    calm.assert_untouched(before, 1)


@pytest.mark.parametrize("option", STRICTER + RESETTING, ids=lambda o: next(iter(o)))
def test_a_change_resets_only_what_was_planned(trio, option):
    before = trio.since()
    target = trio.theirs[1]
    resets = change(trio, option)["resets"]
    if option in RESETTING:
        assert resets is True
    if resets:
        wait_until(lambda: None not in trio.since()[target] and trio.since()[target][0] != before[target][0], 20,
                   "the changed one has a new session")
        trio.wait_up()
    after = trio.since()
    assert {two for two in trio.theirs if after[two] != before[two]} == ({target} if resets else set())
    trio.assert_untouched(after, 1)
    trio.capture.assert_no_clear_text()


def test_nothing_changed(calm):
    before = calm.since()
    generation = calm.shim_a.show()["generation"]
    answer = calm.reload()
    assert (answer["keep"], answer["change"], answer["add"], answer["drop"], answer["resets"]) == (3, 0, 0, 0, 0)
    calm.shim_a.reload_by_signal()
    for _ in range(20):
        calm.shim_a.reload()
    assert calm.shim_a.show()["generation"] > generation
    calm.assert_untouched(before)


def test_dry_run_touches_nothing(calm):
    before = calm.since()
    shown = calm.shim_a.show()
    calm.shim_a.neighbors[calm.theirs[0]]["ttl"] = 100
    calm.shim_a.neighbors[calm.theirs[1]]["mode"] = "off"
    del calm.shim_a.neighbors[calm.theirs[2]]
    calm.shim_a.neighbors["10.100.99.2"] = {}
    answer = calm.reload(dry_run=True)
    assert answer["applied"] is False
    assert (answer["keep"], answer["change"], answer["add"], answer["drop"], answer["resets"]) == (0, 2, 1, 1, 3)
    calm.assert_untouched(before)
    again = calm.shim_a.show()
    assert again["generation"] == shown["generation"]
    assert [n["name"] for n in again["neighbors"]] == [n["name"] for n in shown["neighbors"]]


BROKEN = [
    ('neighbor "10.100.0.2" {\n\tmode = "requird"\n}\n', 2, "mode"),
    ('neighbor "10.100.0.2" {\n\tno-such-option = 1\n}\n', 2, "no-such-option"),
    ('neighbor "10.100.0.300" {\n}\n', 1, "10.100.0.300"),
    ('neighbor "10.100.0.2" {\n\tttl = 999\n}\n', 2, "ttl"),
    ('neighbor "10.100.0.2" {\n', 1, ""),
]


@pytest.mark.parametrize("text, line, word", BROKEN, ids=["value", "option", "address", "range", "brace"])
def test_a_broken_configuration_changes_nothing(calm, text, line, word):
    before = calm.since()
    generation = calm.shim_a.show()["generation"]
    calm.shim_a.neighbors.clear()
    good = calm.shim_a.config()
    calm.shim_a.config_path.write_text(good + text)
    with pytest.raises(Refused) as refused:
        calm.shim_a.reload()
    where = [e["where"] for e in refused.value.answer["errors"]]
    lines = good.count("\n")
    allowed = {f"{calm.shim_a.config_path}:{lines + n}" for n in ((line,) if word else (1, 2))}
    assert allowed & set(where), where
    assert any(word in e["text"] for e in refused.value.answer["errors"])
    assert calm.shim_a.show()["generation"] == generation
    calm.assert_untouched(before)
    calm.shim_a.process.signal(1)
    calm.assert_untouched(before, 1)


@pytest.mark.parametrize("what", ["missing", "no key for it", "expired"])
def test_a_bad_certificate_changes_nothing(calm, pki, what):
    before = calm.since()
    if what == "missing":
        calm.shim_a.options["certificate"] = calm.a.folder / "nowhere.pem"
    elif what == "expired":
        calm.install(pki.issue(*calm.ours, start=-9, end=-1))
    else:
        shutil.copy(pki.issue("other.example").key, calm.key)
    with pytest.raises(Refused) as refused:
        calm.reload()
    assert "nowhere.pem" in refused.value.text or "own." in refused.value.text
    calm.assert_untouched(before)


def test_what_needs_a_restart_is_refused(calm):
    before = calm.since()
    calm.shim_a.options["tls-port"] = 8180
    calm.shim_a.neighbors[calm.theirs[0]]["mode"] = "off"
    with pytest.raises(Refused) as refused:
        calm.reload()
    assert "tls-port" in refused.value.text
    assert calm.shim_a.state(calm.theirs[0]) == "up"
    calm.assert_untouched(before)


def test_certificate_renewal(trio, pki):
    """New files under the same names: the sessions go on, the next handshake shows the new certificate."""
    before = trio.since()
    first, second = trio.ours[:2]
    old_pin = trio.shim_b.sessions(first)[0]["tls"]["pin"]
    old_expiry = trio.shim_a.neighbor(trio.theirs[0])["certificate_expires"]
    trio.install(pki.issue(*trio.ours, end=60, fresh=True))
    answer = trio.reload()
    assert answer["applied"] and answer["resets"] == 0
    trio.assert_untouched(before)
    assert trio.shim_a.neighbor(trio.theirs[0])["certificate_expires"] > old_expiry
    assert trio.shim_b.sessions(first)[0]["tls"]["pin"] == old_pin
    trio.shim_a.ctl("reset", trio.theirs[0])
    wait_until(lambda: [s["tls"]["pin"] for s in trio.shim_b.sessions(first)] not in ([], [old_pin]), 20,
               "the new certificate is shown")
    trio.wait_up()
    assert trio.shim_b.sessions(second)[0]["tls"]["pin"] == old_pin
    after = trio.since()
    assert [after[two] == before[two] for two in trio.theirs] == [False, True, True]
    trio.capture.assert_no_clear_text()


def test_revocation_ends_no_session_but_the_next_handshake(trio, pki):
    before = trio.since()
    fresh = pki.issue(*trio.theirs, fresh=True)
    trio.shim_b.options.update(fresh.options())
    trio.shim_b.write_config()
    trio.shim_b.reload()
    trio.shim_b.ctl("reset", trio.ours[0])
    wait_until(lambda: None not in trio.since()[trio.theirs[0]] and trio.since()[trio.theirs[0]] !=
               before[trio.theirs[0]], 20, "a session with the new certificate")
    trio.wait_up()
    before = trio.since()
    for two in trio.theirs:
        trio.shim_a.neighbors[two]["crl"] = trio.a.folder / "list.crl"
    shutil.copy(pki.authority.revoke(fresh), trio.a.folder / "list.crl")
    trio.reload()
    trio.assert_untouched(before)
    trio.shim_a.ctl("reset", trio.theirs[0])
    trio.shim_a.wait_failure(trio.theirs[0], "revoked")
    hold_for(lambda: not trio.bird_a.session(trio.theirs[0]).is_up, 2, "no session with a revoked certificate")
    after = trio.since()
    assert [after[two] == before[two] for two in trio.theirs] == [False, True, True]
    trio.capture.assert_no_clear_text()


def test_add_and_drop(trio, pki):
    """A dropped neighbor is nobody's any more: clear text. Added again on both sides: TLS."""
    before = trio.since()
    one, two = trio.pairs[0]
    for shim, peer in ((trio.shim_a, two), (trio.shim_b, one)):
        del shim.neighbors[peer]
        shim.write_config()
        answer = shim.reload()
        assert (answer["drop"], answer["keep"]) == (1, 2)
        assert peer not in [n["name"] for n in shim.show()["neighbors"]]
    wait_until(lambda: None not in trio.since()[two] and trio.since()[two] != before[two], 30, "a clear session")
    trio.capture.assert_clear_text()
    others = [a for pair in trio.pairs[1:] for a in pair]
    trio.capture.assert_no_clear_text(is_leak=lambda s: s.src in others)
    clear = trio.since()
    for shim, peer in ((trio.shim_a, two), (trio.shim_b, one)):
        shim.neighbors[peer] = {}
        shim.write_config()
        assert shim.reload()["add"] == 1
    wait_until(lambda: None not in trio.since()[two] and trio.since()[two] != clear[two], 30, "a TLS session")
    trio.wait_up()
    after = trio.since()
    assert [after[two] == before[two] for two in trio.theirs] == [False, True, True]


def test_neighbors_d(trio):
    """Files of neighbors.d, in name order, beside the configuration."""
    before = trio.since()
    folder = trio.shim_a.config_path.parent / "neighbors.d"
    folder.mkdir()
    (folder / "10-moved.conf").write_text(f'neighbor "{trio.theirs[2]}" {{\n}}\n')
    del trio.shim_a.neighbors[trio.theirs[2]]
    answer = trio.reload()
    assert (answer["keep"], answer["change"], answer["drop"]) == (3, 0, 0)
    (folder / "10-moved.conf").write_text(f'neighbor "{trio.theirs[2]}" {{\n\tmode = "maybe"\n}}\n')
    with pytest.raises(Refused) as refused:
        trio.reload()
    assert f"{folder}/10-moved.conf:2" in [e["where"] for e in refused.value.answer["errors"]]
    trio.assert_untouched(before)
    trio.capture.assert_no_clear_text()


def test_many_reloads_while_sessions_come_and_go(trio):
    """Resets and reloads against each other for a while, then everything is up."""
    end = time.monotonic() + 5
    count = 0
    while time.monotonic() < end:
        trio.shim_a.neighbors[trio.theirs[count % 3]]["ttl"] = 200 + count % 50
        assert trio.reload()["applied"]
        trio.shim_b.ctl("reset", trio.ours[(count + 1) % 3])
        count += 1
    trio.wait_up()
    trio.capture.assert_no_clear_text()
