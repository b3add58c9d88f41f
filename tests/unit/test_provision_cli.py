# SPDX-License-Identifier: Apache-2.0
"""botls-provision as an operator runs it, against the Peering API test server: each promise of its manual page."""
import json
import os
import signal
import subprocess
import time

import pytest

from provision_rig import IX, OURS4, SERVER, THEM, THREE, US, rig, server, shared_server  # noqa: F401


def wait_until(condition, what, deadline=20):
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def profile(server, **changes):
    server.configure(profile=changes)


def session_of(server, neighbor):
    return next(s for s in server.sessions() if s["receiver_ip"] == neighbor)


@pytest.fixture
def three(rig):
    rig.run("request", "them", "--common")
    rig.run("apply")
    assert rig.configured() == THREE
    return rig


# ---- the main job ----

def test_from_nothing_to_configured(rig, server):
    asked = rig.run("request", "them", "--common").json
    assert {s["outcome"] for s in asked["sessions"]} == {"approved"}
    plan = rig.run("plan", "--exit-code", want=2)
    assert set(plan.actions.values()) == {"add"}
    assert not rig.configured()
    rig.run("apply")
    assert rig.configured() == THREE
    again = rig.run("plan", "--exit-code", want=0)
    assert again.json["plan"]["changes"] == 0 and not again.json["plan"]["steps"]
    before = rig.text()
    rig.run("apply")
    assert rig.text() == before
    rig.assert_private()
    assert not server.deviations()
    status = {s["neighbor"]: s["state"] for s in rig.run("status").json["sessions"]}
    assert status == dict.fromkeys(THREE, "up")


def test_what_is_written(three):
    block = three.text().partition('neighbor "192.0.2.11" {')[2].partition("}")[0]
    assert "mode = required" in block and f"remote-as = {THEM}" in block and f'local-address = "{OURS4}"' in block


def test_partial_approval(rig, server):
    server.policy(rules=[{"receiver_ip": "192.0.2.12", "decision": "reject", "reason": "no capacity"}])
    run = rig.run("request", "them", "--common")
    outcomes = {s["session"]["receiver"]["ip"]: s for s in run.json["sessions"]}
    assert {n: s["outcome"] for n, s in outcomes.items()} == {"192.0.2.11": "approved", "192.0.2.12": "rejected",
                                                            "2001:db8::11": "approved"}
    assert "no capacity" in outcomes["192.0.2.12"]["reason"]
    rig.run("apply")
    assert rig.configured() == THREE - {"192.0.2.12"}
    skipped = rig.run("request", "them", "--common").json["skipped"]
    assert {s["neighbor"] for s in skipped} == THREE
    # --again is needed to ask once more for what was refused
    server.policy(rules=[])
    again = rig.run("request", "them", "--again", "192.0.2.12").json["sessions"]
    assert [s["outcome"] for s in again] == ["approved"]


def test_pending_then_approved(rig, server):
    server.policy(default="pending")
    run = rig.run("request", "them", "192.0.2.11").json
    assert [s["outcome"] for s in run["sessions"]] == ["pending"]
    assert set(rig.run("apply").actions.values()) == {"waiting"}
    assert not rig.configured()
    server.decide_all("approve")
    rig.run("apply")
    assert rig.configured() == {"192.0.2.11"}


def test_422_is_parked(rig, server):
    server.policy(default="human")
    run = rig.run("request", "them", "192.0.2.11", want=3).json
    assert [s["outcome"] for s in run["sessions"]] == ["parked"]
    assert {s["state"] for s in rig.run("status").json["sessions"]} == {"parked"}
    number = len(server.requests(method="POST", path="/sessions"))
    rig.run("request", "them", "192.0.2.11")
    assert len(server.requests(method="POST", path="/sessions")) == number, "it was asked again"
    rig.run("request", "them", "--again", "192.0.2.11", want=3)
    assert len(server.requests(method="POST", path="/sessions")) == number + 1


def test_extra_sessions_need_accepting(rig, server):
    server.configure(profile={"extra_in": "reply"})
    server.extra_sessions([{"initiator_ip": OURS4, "receiver_ip": "192.0.2.12", "location": IX}])
    run = rig.run("request", "them", "192.0.2.11", want=3).json
    assert {s["session"]["receiver"]["ip"]: s["outcome"] for s in run["sessions"]} == {"192.0.2.11": "approved",
                                                                                   "192.0.2.12": "proposed"}
    rig.run("apply", want=[0, 3])
    assert rig.configured() == {"192.0.2.11"}
    assert {s["neighbor"]: s["state"] for s in rig.run("status").json["sessions"]}["192.0.2.12"] == "proposed"
    rig.run("accept", "them", "192.0.2.12")
    rig.run("apply")
    assert rig.configured() == {"192.0.2.11", "192.0.2.12"}
    rig.run("accept", "them", "192.0.2.99", want=1)


def test_extra_sessions_by_policy(rig, server):
    server.add_session(initiator_asn=US, initiator_ip=OURS4, receiver_ip="192.0.2.12", location=IX)
    run = rig.run("apply", want=[0, 3])
    assert run.actions == {"192.0.2.12": "waiting"} and not rig.configured()
    rig.them["accept-extra"] = True
    rig.configure()
    rig.run("apply")
    assert rig.configured() == {"192.0.2.12"}


# ---- eras and spellings ----

@pytest.mark.parametrize("preset, options", [
    ("era-a", {"era": "a"}),
    ("peerctl", {"era": "a", "perspective": "receiver"}),
    ("openapi", {}),
    ("draft", {}),
    ("draft", {"batch-form": "object"}),
    ("peering-manager", {"location-form": "string"}),
])
def test_servers_in_the_wild(rig, server, preset, options):
    server.configure(profile=preset)
    rig.them.update({"url": server.api_url, **options})
    rig.configure()
    server.policy(rules=[{"receiver_ip": "192.0.2.12", "decision": "reject", "reason": "no"}])
    run = rig.run("request", "them", "--common", want=[0, 3]).json
    assert {s["session"]["receiver"]["ip"] for s in run["sessions"] if s["outcome"] == "approved"} == THREE - {"192.0.2.12"}
    rig.run("apply", want=[0, 3])
    assert rig.configured() == THREE - {"192.0.2.12"}
    assert rig.run("plan", "--exit-code", want=[0, 3]).json["plan"]["changes"] == 0
    rig.run("locations", "them")
    # The newest OpenAPI file does not know the draft's BGP roles yet; a server that follows it ignores them.
    assert not [d for d in server.deviations() if "bgp_role" not in d["at"]]


def test_probe_finds_the_era(rig, server):
    assert rig.run("probe", "them").json["era_b"] is True
    profile(server, preset="era-a")
    rig.them["url"] = server.api_url
    rig.configure()
    found = rig.run("probe", "them", want=None).json
    assert found["era_a"] is True and found["era_b"] is False and found["configured"] == "b"
    text = rig.run("probe", "them", as_json=False, want=3)
    assert "era = a" in text.out


def test_wrong_perspective_is_refused_never_swapped(rig, server):
    rig.run("request", "them", "--common")
    rig.them["perspective"] = "receiver"
    rig.configure()
    run = rig.run("apply", want=3)
    assert set(run.actions.values()) == {"refused"} or not run.actions
    assert not rig.configured()


def test_our_own_server(rig, server):
    """side = receiver: the sessions that others asked of us."""
    server.configure(asn=THEM)
    server.add_session(initiator_asn=US, initiator_ip=OURS4, receiver_ip="192.0.2.11", location=IX)
    rig.options.update({"asn": THEM, "addresses": ["192.0.2.11", "2001:db8::11"]})
    rig.them.update({"side": "receiver"})
    rig.peers = {US: {"mode": "required"}}
    rig.configure()
    rig.run("apply")
    assert rig.configured() == {OURS4}
    rig.run("request", "them", OURS4, want=1)


# ---- credentials ----

@pytest.mark.parametrize("options", [{"client-auth": "basic"}, {"client-auth": "post"}, {"scope": "peering-api"},
                                     {"token-url": None, "issuer": True}])
def test_client_credentials(rig, server, options):
    if options.get("issuer"):
        options = {**options, "issuer": server.oauth.issuer}
    rig.them.update(options)
    rig.configure()
    rig.run("request", "them", "--common")
    rig.run("apply")
    assert rig.configured() == THREE
    assert server.tokens()["issued"] == 1, "the token is kept between runs"
    server.revoke_tokens()
    rig.run("plan")
    assert server.tokens()["issued"] == 2, "renewed once after 401"
    server.advance(3600)
    rig.assert_private()


def test_wrong_secret(rig, server):
    rig.them["client-secret"] = "wrong"
    rig.configure()
    run = rig.run("apply", want=3)
    assert run.json["servers"][0]["failure"] == "unauthorized"


@pytest.mark.parametrize("kind", ["token-file", "token-command"])
def test_operators_own_tokens(rig, server, kind):
    server.configure(tokens={"t0ken": {"asns": [US]}})
    token = rig.folder / "token"
    token.write_text("t0ken\n")
    token.chmod(0o600)
    for name in ("token-url", "client-id", "client-secret"):
        del rig.them[name]
    rig.them.update({"auth": kind, "token-file": token} if kind == "token-file" else
                              {"auth": kind, "token-command": ["/bin/cat", str(token)]})
    rig.configure()
    rig.run("request", "them", "--common")
    rig.run("apply")
    assert rig.configured() == THREE
    if kind == "token-file":
        token.chmod(0o644)
        assert rig.run("plan", want=[1, 3]).status


def test_a_stranger_s_certificate(rig, server):
    server.inject("tls-stranger", count=None)
    run = rig.run("apply", want=3)
    assert run.json["servers"][0]["failure"] == "unreachable"
    assert "ca" in run.json["servers"][0]["alarm"]


# ---- taking away ----

def test_deleted_by_the_peer(three, server):
    server.decide(session_of(server, "192.0.2.12")["id"], "delete", "no reason")
    run = three.run("apply")
    assert run.actions["192.0.2.12"] == "drain"
    assert three.configured() == THREE
    assert three.run("apply").actions["192.0.2.12"] == "waiting"
    three.later(600)
    run = three.run("apply")
    assert run.actions["192.0.2.12"] == "remove"
    assert three.configured() == THREE - {"192.0.2.12"}
    assert three.run("plan").json["plan"]["changes"] == 0
    assert not server.requests(method="DELETE"), "it was the server's own decision"


def test_drain_takes_its_time(three, server):
    server.delete_session(session_of(server, "192.0.2.12")["id"])
    three.run("apply")
    run = three.run("apply")
    assert run.actions["192.0.2.12"] == "waiting"
    assert three.configured() == THREE
    # wanted again before the drain is over
    server.add_session(initiator_asn=US, initiator_ip=OURS4, receiver_ip="192.0.2.12", location=IX)
    run = three.run("apply")
    assert run.actions["192.0.2.12"] == "restore"


def test_deleted_by_us(three, server):
    gone = session_of(server, "192.0.2.12")["id"]
    three.run("delete", "192.0.2.12")
    assert not server.requests(method="DELETE")
    three.run("apply")
    three.later(600)
    three.run("apply")
    assert three.configured() == THREE - {"192.0.2.12"}
    assert [r["path"] for r in server.requests(method="DELETE")][0].endswith(gone)
    assert all(s["id"] != gone for s in server.sessions())
    three.run("apply")
    assert len(three.saved()["owned"]) == 2
    three.run("delete", "192.0.2.77", want=1)


def test_telling_is_tried_until_it_works(three, server):
    three.run("delete", "192.0.2.12")
    server.inject("server-error", method="DELETE", count=None)
    three.run("apply", want=[0, 1, 3])
    three.later(600)
    three.run("apply", want=[0, 1, 3])
    assert three.configured() == THREE - {"192.0.2.12"}
    assert "gone" in {s["state"] for s in three.run("status").json["sessions"]}
    server.clear_injections()
    three.run("apply")
    three.run("apply")
    assert len(three.saved()["owned"]) == 2


def test_batch_delete(three, server):
    profile(server, preset="openapi")
    three.them["batch-delete"] = True
    three.configure()
    three.run("delete", "192.0.2.11", "192.0.2.12")
    three.run("apply", want=[0, 3])
    three.later(600)
    three.run("apply", want=[0, 3])
    deletes = server.requests(method="DELETE")
    assert len(deletes) == 1 and len(deletes[0]["body"]) == 2
    assert three.configured() == {"2001:db8::11"}


def test_an_empty_answer_takes_nothing_away(three, server):
    server.clear_sessions()
    for _ in range(3):
        run = three.run("apply", want=3)
        assert set(run.actions.values()) == {"held"}
    assert three.configured() == THREE


def test_a_short_list_is_no_deletion(three, server):
    """What is missing from the list is asked for by itself."""
    server.inject("list-cut", path="/sessions", count=None)
    run = three.run("apply", want=[0, 3])
    assert not {"drain", "remove"} & set(run.actions.values())
    assert three.configured() == THREE


def test_max_deletions(three, server):
    three.options["max-deletions"] = 1
    three.configure()
    server.delete_session(session_of(server, "192.0.2.11")["id"])
    server.delete_session(session_of(server, "192.0.2.12")["id"])
    run = three.run("apply", want=3)
    assert run.json["plan"]["blocked"] is True and run.json["plan"]["deletions"] == 2
    assert set(run.actions.values()) == {"blocked"}
    run = three.run("apply", "--force", "1", want=3)
    assert run.json["plan"]["blocked"] is True
    run = three.run("apply", "--force", "2")
    assert sorted(run.actions.values()) == ["drain", "drain"]


def test_never_established_is_withdrawn(rig, server):
    rig.running("idle")
    rig.options["time-window"] = 60
    rig.configure()
    rig.run("request", "them", "--common")
    rig.run("apply")
    rig.run("hold", "192.0.2.11")
    rig.later(61)
    run = rig.run("apply", want=[0, 3])
    assert {n for n, a in run.actions.items() if a in ("remove", "drain")} == THREE - {"192.0.2.11"}
    rig.run("apply", want=[0, 3])
    assert rig.configured() == {"192.0.2.11"}
    rig.run("apply", want=[0, 3])
    assert len(server.requests(method="DELETE")) == 2, "the peer is told"


def test_policy_takes_away(three):
    three.peers = {64999: {}}
    three.configure()
    run = three.run("apply", want=[0, 3])
    assert set(run.actions.values()) == {"drain"}


def test_without_a_daemon_of_ours(rig, server):
    """Its operator has to take the neighbor out there: we say so, since else it would go on in clear text."""
    rig.without_daemon()
    rig.run("request", "them", "--common")
    rig.run("apply")
    assert rig.configured() == THREE
    server.delete_session(session_of(server, "192.0.2.12")["id"])
    assert rig.run("apply").actions == {"192.0.2.12": "drain"}
    rig.later(600)
    run = rig.run("apply", want=3)
    assert run.actions == {"192.0.2.12": "remove"} and "clear text" in run.steps["192.0.2.12"]["text"]
    assert rig.configured() == THREE - {"192.0.2.12"}


# ---- safety of what is written ----

def test_a_refused_configuration_goes_back(three, server):
    before = three.text()
    three.peer["ca"] = "not/absolute and missing.pem"
    three.peer["dns-names"] = ["*.example"]
    three.configure()
    run = three.run("apply", want=1)
    assert three.text() == before
    assert not any(p.name.startswith(".") for p in three.neighbors_d.iterdir()), "temporary files are left"
    assert run.out or run.err


def test_a_foreign_file_is_not_touched(rig, server):
    rig.file.write_text('neighbor "192.0.2.99" { mode = off }\n')
    before = rig.text()
    rig.run("request", "them", "192.0.2.11")
    run = rig.run("apply", want=1)
    assert rig.text() == before
    assert str(rig.file) in run.err


def test_an_edited_file_is_put_right(three):
    good = three.text()
    three.file.write_text(good.replace("required", "off"))
    run = three.run("plan", "--exit-code", want=2)
    assert "load" in run.actions.values()
    three.run("apply")
    assert three.text() == good
    three.file.unlink()
    three.run("apply")
    assert three.text() == good


def test_without_a_running_shim_nothing_is_written(rig, server):
    rig.running(None)
    rig.run("request", "them", "--common")
    rig.run("apply", want=1)
    assert not rig.configured()
    rig.running("up")
    rig.run("apply")
    assert rig.configured() == THREE


def test_one_writer(rig, server):
    server.inject("no-answer", path="/sessions*", count=1, seconds=4)
    slow = subprocess.Popen(rig.argv("apply"), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: server.requests(path="/sessions*"), "it asks the server")
        run = rig.run("apply", want=1)
        assert str(slow.pid) in run.err
        rig.run("plan", want=[0, 3])
    finally:
        slow.wait(30)


def test_a_damaged_state_is_no_empty_state(three):
    path = three.state_folder / "state.json"
    path.write_text(path.read_text()[:-20])
    run = three.run("apply", want=1)
    assert "state.json" in run.err
    assert three.configured() == THREE


def test_the_registry_is_asked(rig, server):
    """Threat T1: an address that is not the peer's at that exchange."""
    server.add_session(initiator_asn=US, initiator_ip=OURS4, receiver_ip="192.0.2.66", location=IX)
    rig.them["accept-extra"] = True
    rig.configure()
    run = rig.run("apply", want=3)
    assert run.actions == {"192.0.2.66": "refused"}
    assert "registered" in run.steps["192.0.2.66"]["text"]
    rig.options.update({"peeringdb": None, "check-addresses": False})
    rig.configure()
    rig.run("apply")
    assert rig.configured() == {"192.0.2.66"}


def test_the_registry_is_down(rig, server):
    """What it said in the last days is used, and said."""
    rig.run("request", "them", "--common")
    server.inject("pdb-error", listener="peeringdb", count=None)
    run = rig.run("apply", want=3)
    assert rig.configured() == THREE
    assert "old are used" in run.json["registry"]


def test_registry_from_a_dump(rig, server):
    dump = rig.folder / "dump.json"
    dump.write_text(json.dumps(SERVER["peeringdb"]))
    rig.options["peeringdb"] = dump
    rig.configure()
    rig.run("request", "them", "--common")
    rig.run("apply")
    assert rig.configured() == THREE
    assert not server.requests(listener="peeringdb")


# ---- secrets, and our own object ----

def test_session_secret(rig, server):
    rig.peer.update({"session-secret": "outer-md5", "propose-secret": True})
    rig.configure()
    run = rig.run("request", "them", "192.0.2.11")
    sent = server.sessions()[0]["secret"]
    assert len(sent) == 32 and sent not in run.out
    rig.run("apply")
    assert f'tcp-md5 = "{sent}"' in rig.text()
    for words in (["plan"], ["status"], ["sessions"], ["check", "--print"]):
        assert sent not in rig.run(*words, want=[0, 3], as_json=words[0] != "check").out
    assert sent not in (rig.state_folder / "audit.jsonl").read_text()
    rig.assert_private()


def test_tls_extension(rig, server):
    rig.them["tls-extension"] = True
    rig.peer["pins-from-api"] = True
    rig.options["pin-certificate"] = rig.folder / "r.pem"
    rig.configure()
    rig.run("request", "them", "192.0.2.11")
    told = server.sessions()[0]["botls"]["requester"]
    assert told["port"] == 8179 and told["pins"][0].startswith("sha256/")
    rig.run("apply")
    assert 'pins = { "sha256/' + "A" * 43 + '=" }' in rig.text()
    assert "port = 8179" in rig.text()
    assert not server.deviations()


# ---- watching ----

def test_watch_until_up(rig, server):
    rig.running("idle")
    rig.run("request", "them", "192.0.2.11")
    rig.run("apply")
    watch = subprocess.Popen(rig.argv("--json", "watch", "--interval", "1"), stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(watch.stdout.readline())["state"] == "coming"
        rig.running("up")
        assert json.loads(watch.stdout.readline())["state"] == "up"
        assert watch.wait(20) == 0
    finally:
        watch.kill()
        watch.wait()


def test_resident(rig, server, tmp_path):
    import socket
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(20)
    rig.run("request", "them", "192.0.2.11")
    resident = subprocess.Popen(rig.argv("watch", "--apply", "--interval", "1"), stdout=subprocess.DEVNULL, env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")})
    try:
        wait_until(lambda: rig.configured() == {"192.0.2.11"}, "the first round")
        assert b"READY=1" in notify.recv(200)
        # the lock is free between rounds, and what others did is seen
        wait_until(lambda: rig.run("request", "them", "192.0.2.12", want=[0, 1]).status == 0, "the lock is free")
        wait_until(lambda: rig.configured() == {"192.0.2.11", "192.0.2.12"}, "the next round")
        server.inject("server-error", path="/sessions*", count=1)
        wait_until(lambda: not server.injections_left(), "a round with a failing server")
        assert resident.poll() is None
        resident.send_signal(signal.SIGTERM)
        assert resident.wait(20) == 0
    finally:
        resident.kill()
        resident.wait()
        notify.close()


# ---- the rest ----

def test_json_everywhere(three):
    for words in (["check"], ["probe", "them"], ["locations", "them"], ["sessions"], ["status"], ["plan"], ["apply"],
                  ["template", "bird"], ["template", "frr"], ["version"], ["request", "them", "--common", "--dry-run"],
                  ["hold", "192.0.2.11"], ["hold", "--off", "192.0.2.11"], ["register", "them", "https://idp.example/"]):
        assert isinstance(three.run(*words).json, dict), words
        assert three.run(*words, as_json=False).out


def test_usage(rig):
    for words in ([], ["nonsense"], ["probe"], ["plan", "--force", "x"], ["plan", "--nonsense"], ["request", "them"],
                  ["request", "them", "--common", "192.0.2.11"], ["accept", "them"], ["delete"], ["hold"], ["template", "x"],
                  ["watch", "--interval", "0"], ["locations", "them", "--type", "x"], ["register", "them", "http://x/"]):
        rig.run(*words, want=64)
    for words in (["probe", "nobody"], ["sessions", "nobody"], ["request", "nobody", "--common"], ["locations", "nobody"]):
        assert "nobody" in rig.run(*words, want=1).err
    assert rig.run("help", as_json=False).out


def test_problems_of_the_configuration(rig):
    rig.options["asn"] = "x"
    rig.servers["two"] = {"url": "ftp://x/"}
    rig.configure()
    run = rig.run("check", want=1).json
    assert run["ok"] is False and len(run["problems"]) >= 2
    assert all("provision.conf:" in p["where"] for p in run["problems"])
    rig.run("plan", want=1)


def test_audit_log(three, server):
    assert {e["event"] for e in three.audit()} >= {"request", "asked", "step", "apply"}
    runs = {e["run"] for e in three.audit()}
    assert len(runs) == 2
    applied = three.audit("apply")[0]
    assert len(applied["plan"]) == 64
    steps = three.audit("step")
    assert {s["neighbor"] for s in steps} == THREE
    assert all(s["plan"] == applied["plan"] for s in steps)
    sizes = (three.state_folder / "audit.jsonl").stat().st_size
    three.run("plan")
    assert (three.state_folder / "audit.jsonl").stat().st_size == sizes, "plan writes nothing"
    assert server.tokens()["issued"] >= 1


def test_terminal(three):
    """At 80 columns no line is longer."""
    for words in (["status"], ["sessions"], ["plan"], ["locations", "them"], ["help"]):
        run = three.run(*words, as_json=False, env={**os.environ, "COLUMNS": "80"})
        assert all(len(line) <= 80 for line in run.out.splitlines()), run.out
