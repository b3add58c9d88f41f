# SPDX-License-Identifier: Apache-2.0
"""botls-provision's targets on real daemons: what a file of sessions does to BIRD, FRR and botlsd.

r1 is ours, r2 and r3 are peers at the same exchange; target_tool (target_tool.c) does what an apply does.
"""

import json
import os
import re

import pytest

from harness.bird import Bird
from harness.botlsd import BOTLSCTL, BOTLSD, BUILD, Botlsd, how_to_build
from harness.frr import Frr
from harness.peering import Peering
from harness.wait import SLOW, hold_for, wait_until

TOOL_NAME = "tests/netns/target_tool"
TOOL = BUILD / TOOL_NAME
OURS, R2, R3 = "192.0.2.1", "192.0.2.2", "192.0.2.3"
OURS6, R2_6 = "2001:db8:0:2::1", "2001:db8:0:2::2"
OUR_NET, OUR_NET6 = "10.1.0.0/24", "2001:db8:a::/48"
NETS = {R2: "10.2.0.0/24", R3: "10.3.0.0/24", R2_6: "2001:db8:b::/48"}
GSHUT = "(65535,0)"


def mapping(neighbor, remote_as, daemon, **more):
    v6 = ":" in neighbor
    return {"neighbor": neighbor, "local": OURS6 if v6 else OURS, "family": 6 if v6 else 4, "ipv4": not v6, "ipv6": v6,
            "name": f"as{remote_as}_" + re.sub(r"\W", "_", neighbor), "remote_as": remote_as, "local_as": 64501,
            "server": "ix", "session_id": "1", "description": f"AS{remote_as} Example Net, pdb:ix:42", "mode": "required",
            "daemon": daemon, "max_prefix": 100, "import": "peers_in", "export": "peers_out", "role": "peer", **more}


class Failed(Exception):
    def __init__(self, answer):
        super().__init__(answer.get("error"))
        self.text = answer.get("error", "")
        self.code = answer.get("code")
        self.step = answer.get("step")


class Target:
    """A daemon that is told of sessions through a file. Subclasses start it."""

    kind = ""

    def __init__(self, router):
        self.router = router
        self.folder = router.subfolder("provision", "root")
        self.file = self.folder / "botls-provision.conf"
        self.scene = self.folder / "scene.json"
        self.sessions = {}
        self.env = None
        self.daemon_settings = {"name": self.kind, "kind": self.kind, "file": str(self.file)}

    def want(self, neighbor, remote_as, phase="active", **more):
        self.sessions[neighbor] = {"phase": phase, "mapping": mapping(neighbor, remote_as, self.kind, **more)}

    def phase(self, neighbor, phase):
        self.sessions[neighbor]["phase"] = phase

    def tool(self, command):
        self.scene.write_text(json.dumps({"asn": 64501, "daemons": [self.daemon_settings],
                                          "sessions": list(self.sessions.values())}))
        result = self.router.ns.run(TOOL, self.scene, command, self.kind, check=False, timeout=120 * SLOW, env=self.env)
        assert result.returncode in (0, 1), result.stdout + result.stderr
        answer = json.loads(result.stdout)
        if result.returncode:
            raise Failed(answer)
        return answer

    def apply(self):
        return self.tool("apply")

    def observed(self):
        answer = self.tool("observe")
        assert answer["running"], answer
        return answer["neighbors"]

    def wait_established(self, *neighbors):
        for neighbor in neighbors:
            wait_until(lambda: self.observed()[neighbor]["established"], 60, f"{self.kind} has {neighbor} established")

    def since(self, neighbor):
        return self.daemon.session(neighbor).since

    def has(self, neighbor):
        return self.daemon.session(neighbor).state != "absent"


class BirdTarget(Target):
    kind = "bird"
    functions = ["function peers_in() { bgp_local_pref = 200; return bgp_path.len < 10; }",
                 "function peers_out() { return source = RTS_STATIC; }", "function all_out() { return true; }"]

    def __init__(self, router, own=(), include=True):
        super().__init__(router)
        self.file.touch()
        self.daemon = Bird(router, own, [OUR_NET, OUR_NET6],
                           source=self.functions + ([f'include "{self.file}";'] if include else []))
        self.daemon_settings.update(config=str(self.daemon.config_path), socket=str(self.daemon.control))
        self.daemon.start()

    def local_pref(self, neighbor):
        """Of the neighbor's route."""
        routes = self.daemon.route_attributes(self.sessions[neighbor]["mapping"]["name"])
        return routes[NETS[neighbor]]["local_pref"]

    def bad_template(self):
        return "{{#sessions}}\nprotocol bgp {{name}} {\n\tno such option;\n}\n{{/sessions}}\n"


class FrrTarget(Target):
    kind = "frr"

    def __init__(self, router, own=()):
        super().__init__(router)
        self.daemon = Frr(router, own, [OUR_NET, OUR_NET6])
        self.daemon_settings.update(socket=str(self.daemon.folder))
        self.start()

    def start(self):
        self.daemon.start()
        # FRR's order of things: ours first, then what a neighbor set
        self.daemon.configure("route-map peers_in permit 10", "set local-preference 200", "exit",
                              "bgp as-path access-list own permit ^$", "route-map peers_out permit 10", "match as-path own", "exit",
                              "route-map all_out permit 10", "exit")

    def running(self):
        return self.daemon.vtysh("show running-config")

    def local_pref(self, neighbor):
        family = "ipv6" if ":" in neighbor else "ipv4"
        return str(json.loads(self.daemon.vtysh(f"show bgp {family} unicast {NETS[neighbor]} json"))["paths"][0]["locPrf"])

    def bad_template(self):
        return ("{{#sessions}}\nrouter bgp {{asn}}\n neighbor {{neighbor}} remote-as {{remote_as}}\n"
                " neighbor {{neighbor}} description {{marker}} x\n neighbor {{neighbor}} pasword s3cret-word\n{{/sessions}}\n")


@pytest.fixture(params=[BirdTarget, FrrTarget], ids=["bird", "frr"])
def kind(request):
    return request.param


class Exchange:
    """r1 with the target; r2 and r3 with BIRD, each with a route, and r1 as a neighbor in both families."""

    def __init__(self, lab, kind, peers=2, **how):
        routers = lab.exchange(peers + 1)
        self.peers = {}
        for router, address in zip(routers[1:], (R2, R3)):
            v6 = address.replace("192.0.2.", "2001:db8:0:2::")
            daemon = Bird(router, [Peering(OURS, 64501, local=address, **how), Peering(OURS6, 64501, local=v6, **how)],
                          [n for a, n in NETS.items() if a in (address, v6)])
            self.peers[address] = self.peers[v6] = daemon.start()
        self.target = kind(routers[0])

    def attributes(self, neighbor):
        """What this peer knows of our route."""
        own, name = (OUR_NET6, "p2") if ":" in neighbor else (OUR_NET, "p1")
        return self.peers[neighbor].route_attributes(name).get(own)

    def wait_routes(self, *neighbors):
        for neighbor in neighbors:
            family = "ipv6" if ":" in neighbor else "ipv4"
            self.target.daemon.wait_routes([NETS[neighbor]], family=family)
            wait_until(lambda: self.attributes(neighbor) is not None, 30, f"{neighbor} has our route")


pytestmark = [pytest.mark.clear, pytest.mark.skipif(not TOOL.exists(), reason=how_to_build(TOOL_NAME))]


def test_a_new_session_does_not_disturb_another_one(lab, kind):
    ix = Exchange(lab, kind)
    target = ix.target
    target.want(R2, 64502)
    target.apply()
    target.wait_established(R2)
    ix.wait_routes(R2)
    seen = target.observed()[R2]
    assert seen["ours"] and not seen["shut"] and seen["remote_as"] == 64502
    since = target.since(R2)
    target.want(R3, 64503)
    target.want(R2_6, 64502)
    target.apply()
    target.wait_established(R3, R2_6)
    ix.wait_routes(R3, R2_6)
    assert target.since(R2) == since and target.observed()[R2]["established"]
    # what FRR does not tell is not in the file: a second time there is nothing to do
    target.apply()
    hold_for(lambda: target.since(R2) == since, 1, "the session goes on")


def test_draining_shutting_and_removing(lab, kind):
    ix = Exchange(lab, kind)
    target = ix.target
    target.want(R2, 64502)
    target.want(R3, 64503)
    target.apply()
    target.wait_established(R2, R3)
    ix.wait_routes(R2, R3)
    wait_until(lambda: target.local_pref(R2) == "200", 10, "the operator's own policy holds")
    since, other = target.since(R2), target.since(R3)
    assert GSHUT not in ix.attributes(R2).get("community", "")

    target.phase(R2, "draining")
    target.apply()
    wait_until(lambda: GSHUT in ix.attributes(R2).get("community", ""), 20, "r2 sees GRACEFUL_SHUTDOWN")
    wait_until(lambda: target.local_pref(R2) == "0", 20, "r2's route is the last choice")
    assert GSHUT not in ix.attributes(R3).get("community", "")
    assert target.since(R2) == since, "draining must not end the session"

    target.phase(R2, "active")
    target.apply()
    wait_until(lambda: GSHUT not in ix.attributes(R2).get("community", ""), 20, "r2 is wanted again")
    wait_until(lambda: target.local_pref(R2) == "200", 20, "r2's route is a choice again")
    assert target.since(R2) == since

    target.phase(R2, "shut")
    target.apply()
    wait_until(lambda: target.observed()[R2]["shut"], 20, "r2 is shut down")
    ix.peers[R2].wait_down(OURS)
    wait_until(lambda: "This BGP session is being removed" in ix.peers[R2].log_text(), 10, "r2 is told why")
    assert target.observed()[R2]["ours"]

    target.phase(R2, "active")
    target.apply()
    target.wait_established(R2)

    target.phase(R2, "gone")
    target.apply()
    wait_until(lambda: not target.has(R2), 20, "r2 is gone")
    ix.peers[R2].wait_down(OURS)
    del target.sessions[R2]
    target.apply()
    assert target.since(R3) == other and target.observed()[R3]["established"]


def test_without_functions_nothing_passes(lab, kind):
    ix = Exchange(lab, kind, peers=1)
    target = ix.target
    target.want(R2, 64502)
    for direction in ("import", "export"):
        del target.sessions[R2]["mapping"][direction]
    target.apply()
    target.wait_established(R2)
    hold_for(lambda: ix.attributes(R2) is None and not target.daemon.routes(), 2, "no route passes")


def test_a_session_that_only_collects(lab, kind):
    ix = Exchange(lab, kind)
    target = ix.target
    target.want(R2, 64502, monitoring=True)
    target.want(R3, 64503, export="all_out", role="provider")  # a peer would not get it anyway (RFC 9234)
    target.apply()
    target.wait_established(R2, R3)
    target.daemon.wait_routes([NETS[R2], NETS[R3]])
    ix.wait_routes(R3)
    hold_for(lambda: ix.attributes(R2) is None and NETS[R2] not in ix.peers[R3].routes(), 2, "r1 tells nobody")
    target.want(R2, 64502)
    target.apply()
    ix.peers[R3].wait_routes([NETS[R2]])
    wait_until(lambda: ix.attributes(R2) is not None, 30, "now it is a session like any other")


def test_a_password_for_the_daemons(lab, kind):
    ix = Exchange(lab, kind, peers=1, password="s3cret#!/word")
    target = ix.target
    target.want(R2, 64502, password="s3cret#!/word")
    target.apply()
    target.wait_established(R2)
    assert target.file.stat().st_mode & 0o777 == 0o640
    assert target.file.group() == target.kind
    del target.sessions[R2]["mapping"]["password"]
    target.apply()
    wait_until(lambda: not target.observed()[R2]["established"], 30, "without the password there is no session")


def test_too_many_prefixes_are_not_a_decision_of_ours(lab, kind):
    ix = Exchange(lab, kind, peers=1)
    ix.peers[R2].networks += [f"10.2.{i}.0/24" for i in range(1, 5)]
    ix.peers[R2].configure()
    target = ix.target
    target.want(R2, 64502, max_prefix=3)
    target.apply()
    states = {"bird": "Down: over limit", "frr": "Idle (PfxCt)"}
    wait_until(lambda: target.observed()[R2]["state"] == states[target.kind], 30, "the limit holds")
    assert not target.observed()[R2]["shut"]


def test_a_bad_template_is_refused(lab, kind):
    ix = Exchange(lab, kind, peers=1)
    target = ix.target
    target.want(R2, 64502)
    target.apply()
    target.wait_established(R2)
    text, since = target.file.read_text(), target.since(R2)
    template = target.folder / "bad.tmpl"
    template.write_text(target.bad_template())
    target.daemon_settings["template"] = str(template)
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "check" and refused.value.code == "EINVAL"
    words = {"bird": f"{target.file}:3:2 syntax error", "frr": f"line 5 of {target.file}, 'neighbor 192.0.2.2 pasword ...': Unknown command"}
    assert words[target.kind] in refused.value.text
    assert "s3cret" not in refused.value.text
    assert target.file.read_text() == text
    hold_for(lambda: target.since(R2) == since, 1, "the session goes on")


def test_a_template_must_keep_what_sessions_are_known_by(lab, kind):
    target = kind(lab.exchange(1)[0])
    target.want(R2, 64502)
    template = target.folder / "own.tmpl"
    template.write_text("router bgp 64501\n neighbor 192.0.2.2 remote-as 64502\n" if target.kind == "frr" else "# nothing\n")
    target.daemon_settings["template"] = str(template)
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "render"
    assert {"bird": "no line begins with 'protocol bgp as64502_192_0_2_2'",
            "frr": "neighbor 192.0.2.2 gets no description in router bgp 64501 that begins with 'botls-provision:'"}[
                target.kind] in refused.value.text


def test_after_a_restart_of_the_daemon(lab, kind):
    """BIRD's configuration includes our file; FRR's knows nothing of it, and a load brings all back."""
    ix = Exchange(lab, kind)
    target = ix.target
    target.want(R2, 64502)
    target.want(R3, 64503, phase="draining")
    target.apply()
    target.wait_established(R2, R3)
    target.daemon.stop()
    wait_until(lambda: not target.tool("observe")["running"], 10, "it is seen that the daemon is gone")
    with pytest.raises(Failed) as refused:
        target.tool("load")
    assert refused.value.code == "ENOTCONN"
    if target.kind == "frr":
        target.start()
        assert target.observed() == {}
        target.apply()
    else:
        target.daemon.start()
    target.wait_established(R2, R3)
    ix.wait_routes(R2, R3)
    wait_until(lambda: GSHUT in ix.attributes(R3).get("community", ""), 20, "r3 still drains")


def test_other_peoples_files_stay(lab, kind):
    target = kind(lab.exchange(1)[0])
    target.want(R2, 64502)
    target.file.write_text("# of the operator\n")
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "read" and refused.value.code == "EEXIST"
    assert target.file.read_text() == "# of the operator\n"


# ---- BIRD alone

def test_bird_must_include_the_file(lab):
    target = BirdTarget(lab.exchange(1)[0], include=False)
    target.want(R2, 64502)
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "check"
    assert f'{target.daemon.config_path} does not include {target.file}: add the line  include "{target.file}";' in refused.value.text


@pytest.mark.parametrize("line", ['include "{folder}/*.conf";', 'include "../provision/botls-provision.conf";'])
def test_bird_may_include_it_in_any_way(lab, line):
    target = BirdTarget(lab.exchange(1)[0], include=False)
    target.daemon.settings["source"].append(line.format(folder=target.folder))
    target.daemon.configure()
    target.want(R2, 64502)
    target.apply()
    assert target.observed()[R2]["ours"]


def test_bird_at_the_socket_must_be_the_one_that_is_configured(lab):
    target = BirdTarget(lab.exchange(1)[0])
    other = target.folder / "other.conf"
    other.write_text(target.daemon.config_path.read_text())
    target.daemon_settings["config"] = str(other)
    target.want(R2, 64502)
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "load"
    assert f"the BIRD at this socket reads {target.daemon.config_path}, not {other}" in refused.value.text
    assert R2 not in target.observed()


def test_bird_names_a_function_that_is_not_there(lab):
    target = BirdTarget(lab.exchange(1)[0])
    target.apply()
    target.want(R2, 64502, **{"import": "nosuch"})
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "check" and f"{target.file}:" in refused.value.text
    assert "nosuch" not in target.file.read_text()


def test_bird_functions_may_end_by_themselves(lab):
    """accept and reject in a function end the filter: graceful shutdown holds all the same."""
    functions = ["function peers_in() { if bgp_path.len < 10 then accept; reject; }",
                 "function peers_out() { if source = RTS_STATIC then accept; reject; }"]
    BirdTarget.functions, saved = functions, BirdTarget.functions
    try:
        ix = Exchange(lab, BirdTarget, peers=1)
    finally:
        BirdTarget.functions = saved
    target = ix.target
    target.want(R2, 64502, phase="draining")
    target.apply()
    target.wait_established(R2)
    wait_until(lambda: GSHUT in (ix.attributes(R2) or {}).get("community", ""), 20, "r2 sees GRACEFUL_SHUTDOWN")
    wait_until(lambda: target.local_pref(R2) == "0", 20, "r2's route is the last choice")


def test_bird_own_protocols_stay_as_they_are(lab):
    a, b, c = lab.exchange(3)
    own = Bird(c, [Peering(OURS, 64501, local=R3)], [NETS[R3]]).start()
    target = BirdTarget(a, [Peering(R3, 64503, local=OURS)])
    target.daemon.wait_established(R3)
    since = target.since(R3)
    target.want(R2, 64502)
    target.apply()
    seen = target.observed()
    assert not seen[R3]["ours"] and seen[R2]["ours"]
    target.phase(R2, "gone")
    target.apply()
    hold_for(lambda: target.since(R3) == since and own.session(OURS).is_up, 1, "the operator's session goes on")


# ---- FRR alone

def test_frr_own_configuration_stays_as_it_is(lab):
    a, b, c = lab.exchange(3)
    Bird(c, [Peering(OURS, 64501, local=R3)], [NETS[R3]]).start()
    target = FrrTarget(a, [Peering(R3, 64503, local=OURS)])
    target.daemon.wait_established(R3)
    before, since = target.running(), target.since(R3)
    target.want(R2, 64502, phase="draining", password="s3cret")
    target.want(R2_6, 64502)
    target.apply()
    assert "botls_drain" in target.running()
    assert not target.observed()[R3]["ours"]
    assert target.observed()[R2]["ours"] and target.observed()[R2_6]["ours"]
    assert " neighbor 192.0.2.2 password s3cret\n" in target.running()
    # the operator's own word on a neighbor of ours stays as long as the neighbor does
    target.daemon.configure("router bgp 64501", "neighbor 192.0.2.2 timers 7 21")
    target.phase(R2, "active")
    target.apply()
    running = target.running()
    assert " neighbor 192.0.2.2 timers 7 21\n" in running and "botls_drain" not in running
    target.sessions.clear()
    target.apply()
    assert target.running() == before
    assert target.since(R3) == since


def test_frr_neighbors_of_the_operator_are_not_taken(lab):
    target = FrrTarget(lab.exchange(1)[0], [Peering(R2, 64502, local=OURS)])
    before = target.running()
    target.want(R2, 64502)
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "load" and refused.value.code == "EEXIST"
    assert "FRR has neighbor 192.0.2.2 already" in refused.value.text
    assert target.running() == before


def test_frr_needs_the_route_maps_that_are_named(lab):
    target = FrrTarget(lab.exchange(1)[0])
    for phase in ("active", "draining"):
        target.want(R2, 64502, phase, export="nosuch")
        with pytest.raises(Failed) as refused:
            target.apply()
        assert refused.value.code == "ENOENT" and "FRR has no route-map nosuch" in refused.value.text
    assert R2 not in target.running()


def test_frr_must_run_our_as(lab):
    target = FrrTarget(lab.exchange(1)[0])
    target.daemon.configure("no router bgp 64501")
    target.want(R2, 64502)
    with pytest.raises(Failed, match="FRR has no 'router bgp 64501': configure it there first"):
        target.apply()
    target.daemon.configure("router bgp 64999")
    with pytest.raises(Failed, match="FRR has 'router bgp 64999', and our AS is 64501"):
        target.apply()


def test_frr_refuses_a_command_only_when_it_runs(lab):
    """vtysh -C knows the words, not what they mean: then what was done goes back."""
    target = FrrTarget(lab.exchange(1)[0])
    target.want(R2, 64502)
    target.apply()
    before = target.running()
    template = target.folder / "own.tmpl"
    template.write_text("router bgp {{asn}}\n neighbor 192.0.2.9 password s3cret-word\n{{#sessions}}\n"
                        " neighbor {{neighbor}} remote-as {{remote_as}}\n neighbor {{neighbor}} description {{marker}} x\n"
                        "{{/sessions}}\n")
    target.daemon_settings["template"] = str(template)
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "load"
    assert "'neighbor 192.0.2.9 password ...': Specify remote-as or peer-group commands first" in refused.value.text
    assert "s3cret" not in refused.value.text
    assert target.running() == before


@pytest.mark.parametrize("default", ["bgp default ipv4-unicast", "no bgp default ipv4-unicast"])
def test_frr_a_second_time_nothing_is_said(lab, default):
    """What is wanted is told from what runs in FRR's own words, its defaults included."""
    target = FrrTarget(lab.exchange(1)[0])
    target.daemon.configure("router bgp 64501", default)
    target.want(R2, 64502, "draining", password="x")
    target.want(R3, 64503, "shut", role="rs-client", rs_client=True)
    target.want(R2_6, 64502, monitoring=True)
    target.want("192.0.2.4", 64504)
    log, vtysh = target.folder / "said", target.folder / "vtysh"
    vtysh.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec vtysh "$@"\n')
    vtysh.chmod(0o755)
    target.env = {**os.environ, "VTYSH": str(vtysh)}
    target.apply()
    assert "/dev/stdin" in log.read_text()
    log.unlink()
    target.apply()
    assert "show running-config" in log.read_text() and "/dev/stdin" not in log.read_text()


def test_frr_changes_what_is_there(lab):
    target = FrrTarget(lab.exchange(1)[0])
    target.want(R2, 64502, password="one", role="peer")
    target.apply()
    target.want(R2, 64502, password="two", role="rs-client", rs_client=True, max_prefix=7)
    target.apply()
    running = target.running()
    for line in ("neighbor 192.0.2.2 password two", "neighbor 192.0.2.2 local-role rs-client",
                 "neighbor 192.0.2.2 maximum-prefix 7"):
        assert line in running
    assert "enforce-first-as" not in running and "password one" not in running
    # not known what was there before: what the built-in template makes is put right
    target.daemon.configure("router bgp 64501", "neighbor 192.0.2.2 shutdown message by hand")
    target.tool("load")
    assert "shutdown" not in target.running()


# ---- botlsd

class ShimTarget(Target):
    kind = "botlsd"

    def __init__(self, router, shim):
        super().__init__(router)
        self.shim = shim
        (shim.folder / "neighbors.d").mkdir()
        self.file = shim.folder / "neighbors.d" / "botls-provision.conf"

    def tool(self, command):
        self.scene.write_text(json.dumps({
            "asn": 64501, "sessions": list(self.sessions.values()),
            "shim": {"config": str(self.shim.config_path), "file": str(self.file), "socket": str(self.shim.socket)}}))
        result = self.router.ns.run(TOOL, self.scene, command, "botlsd", check=False,
                                    env={**os.environ, "BOTLSD": str(BOTLSD), "BOTLSCTL": str(BOTLSCTL)})
        assert result.returncode in (0, 1), result.stdout + result.stderr
        answer = json.loads(result.stdout)
        if result.returncode:
            raise Failed(answer)
        return answer


@pytest.mark.skipif(not BOTLSD.exists(), reason=how_to_build("botlsd"))
def test_botlsd(lab, pki):
    a, b = lab.pair()
    shim_a = Botlsd(a, {}, pki.router(a))
    shim_b = Botlsd(b, {OURS: {}, OURS6: {}}, pki.router(b)).start()
    target = ShimTarget(a, shim_a)
    assert not target.tool("observe")["running"]
    shim_a.start()
    bird_b = Bird(b, [Peering(OURS, 64501, local=R2)], [NETS[R2]]).start()
    Bird(a, [Peering(R2, 64502, local=OURS)], [OUR_NET]).start()
    target.want(R2, 64502)
    target.apply()
    assert target.file.stat().st_mode & 0o777 == 0o600
    target.wait_established(R2)
    bird_b.wait_established(OURS)
    seen = target.observed()[R2]
    assert seen["ours"] and seen["mode"] == "required" and seen["state"] == "up" and seen["remote_as"] == 64502
    sessions = shim_a.session_ids(R2)
    target.want(R2_6, 64502, ttl_security=1, dns_names=["a.example"], md5="s3cret", port=8180)
    target.apply()
    assert shim_a.session_ids(R2) == sessions
    assert target.observed()[R2_6]["ours"]

    text = target.file.read_text()
    target.want(R2_6, 64502, certificate="/nosuch.pem", key="/nosuch.key")
    with pytest.raises(Failed) as refused:
        target.apply()
    assert refused.value.step == "check" and f"{target.file}:" in refused.value.text
    assert target.file.read_text() == text
    del target.sessions[R2_6]
    target.apply()
    assert R2_6 not in target.observed() and shim_a.session_ids(R2) == sessions

    target.file = target.folder / "elsewhere.conf"
    with pytest.raises(Failed, match="botlsd does not read"):
        target.apply()
    del b, shim_b
