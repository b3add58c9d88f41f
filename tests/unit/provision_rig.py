# SPDX-License-Identifier: Apache-2.0
"""botls-provision against the Peering API test server, without a router: botlsd -n is the real one, what would be the running
botlsd is a small program that has loaded what the file says."""
import copy
import functools
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "netns")]

from harness.botlsd import BOTLSD  # noqa: E402
from harness.provision import Provision  # noqa: E402
from peering_api import Server, misbehaviours  # noqa: E402

US, THEM = 64500, 64501
OURS4, OURS6 = "192.0.2.2", "2001:db8::2"
IX = "pdb:ix:31"
SECRET = "s3cret-of-the-client"
THREE = {"192.0.2.11", "192.0.2.12", "2001:db8::11"}
SLOW = {"seconds": 6}  # slower than it needs to be for a time-out of two seconds
SERVER = {
    "asn": THEM, "profile": {"preset": "draft", "request_id": "both"}, "idle_seconds": 5.0,
    "trap_listen": "127.0.0.1:0", "peeringdb_listen": "127.0.0.1:0",
    "auth": "bearer", "clients": {"us": {"secret": SECRET, "asns": [US], "scope": "peering-api"}},
    "botls": {"port": 8179, "pins": ["sha256/" + "A" * 43 + "="]},
    "locations": [{"id": IX, "type": "public", "prefixes": ["192.0.2.0/24", "2001:db8::/64"]},
                  {"id": "pdb:fac:17", "type": "private"}],
    "peeringdb": {
        "net": {"data": [{"id": 1, "asn": THEM, "name": "Them", "info_prefixes4": 100, "info_prefixes6": 50},
                         {"id": 2, "asn": US, "name": "Us", "info_prefixes4": 10, "info_prefixes6": 5}]},
        "netixlan": {"data": [
            {"id": 11, "net_id": 1, "ix_id": 31, "ixlan_id": 31, "asn": THEM, "ipaddr4": "192.0.2.11", "ipaddr6": "2001:db8::11",
             "operational": True, "status": "ok"},
            {"id": 12, "net_id": 1, "ix_id": 31, "ixlan_id": 31, "asn": THEM, "ipaddr4": "192.0.2.12", "ipaddr6": None,
             "operational": True, "status": "ok"},
            {"id": 13, "net_id": 2, "ix_id": 31, "ixlan_id": 31, "asn": US, "ipaddr4": OURS4, "ipaddr6": OURS6,
             "operational": True, "status": "ok"}]},
        "ixlan": {"data": [{"id": 31, "ix_id": 31, "status": "ok"}]},
        "ixpfx": {"data": [{"id": 5, "ixlan_id": 31, "protocol": "IPv4", "prefix": "192.0.2.0/24", "status": "ok"},
                           {"id": 6, "ixlan_id": 31, "protocol": "IPv6", "prefix": "2001:db8::/64", "status": "ok"}]},
    },
}
# What would be the running botlsd and BIRD: they know what was in our file when they were told to load it.
RUNNING = '''#!/usr/bin/python3 -SE
import json, re, shutil, sys
file, loaded, state = "{file}", "{file}.loaded", "{state}"
words = sys.argv[1:]
if "reload" in words or "configure" in words:
    try:
        shutil.copyfile(file, loaded)
    except FileNotFoundError:
        open(loaded, "w").close()
try:
    text = open(loaded).read()
except FileNotFoundError:
    text = ""
'''
BOTLSCTL = RUNNING + '''
if "reload" in words:
    print(json.dumps({{"ok": True, "applied": True}}))
else:
    print(json.dumps({{"ok": True, "neighbors": [
        {{"name": name, "mode": re.search(r"mode = ([a-z]+)", block).group(1), "state": state,
         "bgp": "established" if state == "up" else "idle"}}
        for name, block in re.findall(r'^neighbor "(.*?)" {{(.*?)^}}', text, re.M | re.S)]}}))
'''
BIRDC = RUNNING + '''
print("0001 BIRD 2.0.12 ready.")
if "configure check" in words:
    print("0020 Configuration OK")
elif "configure" in words:
    print("0003 Reconfigured")
elif any(w.startswith(("disable", "enable")) for w in words):
    print("0000 ")
else:
    for name, block in re.findall(r"^protocol bgp (.*?) {{(.*?)^}}", text, re.M | re.S):
        down = "disabled yes;" in block
        bgp = "Down" if down else "Established" if state == "up" else "Active"
        print(f"1002-{{name}} BGP --- {{'down' if down else 'up'}} 13:40:01.000 {{bgp}}")
        neighbor, asn = re.search(r"neighbor (.*?) as (.*?);", block).groups()
        print(f"1006-  BGP state:          {{bgp}}\\n    Neighbor address: {{neighbor}}\\n    Neighbor AS:      {{asn}}")
    print("0000 ")
'''
BIRD_CONFIG = '''router id 192.0.2.2;
protocol device {{ }}
function from_peers() {{ return true; }}
function to_peers() {{ return false; }}
include "{file}";
'''


@functools.lru_cache(maxsize=1)
def _certificate():
    """Ours as a router: r.pem, r.key."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=r", "-addext", f"subjectAltName=IP:{OURS4}", "-keyout", f"{folder}/r.key",
                        "-out", f"{folder}/r.pem"], check=True, capture_output=True)
        return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir()}


class Rig(Provision):
    """A folder with a configuration and three programs; change the options and call configure()."""

    def __init__(self, folder, server, state="up"):
        super().__init__(folder)
        self.server = server
        self.neighbors_d = folder / "neighbors.d"
        self.file = self.neighbors_d / "botls-provision.conf"
        self.neighbors_d.mkdir()
        for name, data in _certificate().items():
            (folder / name).write_bytes(data)
        self.bird_file = folder / "bird-peers.conf"
        (folder / "bird.conf").write_text(BIRD_CONFIG.format(file=folder / "bird-peers*.conf"))
        (folder / "botlsd.conf").write_text(f'user = nobody\ncertificate = "{folder}/r.pem"\nkey = "{folder}/r.key"\nca = "{folder}/r.pem"\n')
        self.running(state)
        self.options.update({
            "asn": US, "addresses": [OURS4, OURS6], "peeringdb": server.peeringdb_url, "peeringdb-ca": server.ca,
            "peeringdb-max-age": 0, "shim-config": folder / "botlsd.conf", "shim-file": self.file,
            "botlsd": BOTLSD, "botlsctl": folder / "botlsctl", "birdc": folder / "birdc", "drain-time": 600, "verify-timeout": 5})
        self.them = {
            "url": server.api_url, "asn": THEM, "https-ca": server.ca, "auth": "client-credentials", "token-url": server.oauth.token_url,
            "client-id": "us", "client-secret": SECRET, "timeout": 5, "retries": 1}
        self.peer = {"mode": "required", "import": "from_peers", "export": "to_peers"}
        self.servers["them"] = self.them
        self.daemons["bird"] = {"kind": "bird", "file": self.bird_file, "config": folder / "bird.conf", "group": "root"}
        self.peers[THEM] = self.peer
        self.configure()

    def running(self, state):
        """Which state the sessions have from now on: up, idle; None: neither botlsd nor BIRD runs."""
        for name, text, file in (("botlsctl", BOTLSCTL, self.file), ("birdc", BIRDC, self.bird_file)):
            program = self.folder / name
            if state is None:
                text = f"#!/bin/sh\necho {name}: nothing runs >&2\nexit 3\n"
            else:
                text = text.format(file=file, state=state)
            program.write_text(text)
            program.chmod(0o755)

    def later(self, seconds):
        """As if that much time had passed since the last run."""
        path = self.state_folder / "state.json"
        state = self.saved()
        for session in state["owned"]:
            for name in ("since", "created", "established"):
                if session.get(name):
                    session[name] -= seconds
        path.write_text(json.dumps(state))

    def without_daemon(self):
        self.daemons.clear()
        self.peer.update({"import": None, "export": None})
        self.configure()

    def run(self, *words, **options):
        result = super().run(*words, **options)
        assert SECRET not in result.out + result.err and "Bearer " not in result.out + result.err
        return result

    def text(self):
        return self.file.read_text() if self.file.exists() else ""

    def configured(self):
        return {line.split('"')[1] for line in self.text().splitlines() if line.startswith("neighbor ")}

    def assert_private(self):
        """Nobody else may read what holds a secret, and no secret is in the audit log."""
        for path in [self.file, *self.state_folder.rglob("*")]:
            mode = path.stat().st_mode
            assert not mode & 0o077, f"{path} has mode {stat.S_IMODE(mode):o}"
        assert SECRET not in (self.state_folder / "audit.jsonl").read_text()


@pytest.fixture(scope="session")
def shared_server():
    with Server(**copy.deepcopy(SERVER)) as server:
        yield server
        assert not server.failures()


@pytest.fixture
def server(shared_server):
    shared_server.reset()
    yield shared_server
    shared_server.clear_injections()


@pytest.fixture
def rig(tmp_path, server):
    return Rig(tmp_path, server)


def names(*groups):
    return [m.name for m in misbehaviours.CATALOGUE.values() if m.group in groups]


def with_times(name):
    """Waits of the server that are longer than our time-out, and not longer than the test."""
    defaults = misbehaviours.CATALOGUE[name].defaults
    return {n: v for n, v in SLOW.items() if n in defaults and defaults[n] > 6}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, shared_server):
    """Three sessions asked for, approved, configured: made once, put back before each test."""
    shared_server.reset()
    rig = Rig(tmp_path_factory.mktemp("three"), shared_server)
    rig.run("request", "them", "--common")
    rig.run("apply")
    assert rig.configured() == THREE
    rig.them.update({"timeout": 2, "retries": 0})
    rig.configure()
    return rig, Snapshot(rig.folder), list(shared_server.state.sessions.values())


@pytest.fixture(scope="module")
def prepared_empty(tmp_path_factory, shared_server):
    """Nothing asked for yet."""
    shared_server.reset()
    rig = Rig(tmp_path_factory.mktemp("empty"), shared_server)
    rig.them.update({"timeout": 2, "retries": 0})
    rig.configure()
    return rig, Snapshot(rig.folder), []


def _as_prepared(prepared, server):
    rig, snapshot, sessions = prepared
    server.reset()
    for session in copy.deepcopy(sessions):
        server.state.sessions[session.id] = session
    shutil.rmtree(rig.state_folder, ignore_errors=True)
    for path in (rig.file, rig.bird_file):
        for left in path.parent.glob(path.name + "*"):
            left.unlink()
    snapshot.restore()
    yield rig
    server.clear_injections()


@pytest.fixture
def three(prepared, shared_server):
    yield from _as_prepared(prepared, shared_server)


@pytest.fixture
def empty(prepared_empty, shared_server):
    yield from _as_prepared(prepared_empty, shared_server)


class Snapshot:
    """The files of a folder, with their modes."""

    def __init__(self, folder):
        self.files = {p: (p.read_bytes(), p.stat().st_mode) for p in folder.rglob("*") if p.is_file()}

    def restore(self):
        before = os.umask(0o077)
        for path, (data, mode) in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(mode & 0o7777)
        os.umask(before)


def assert_printable(run):
    for text in (run.out, run.err):
        bad = re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text.replace("\r\033[K", ""))
        assert not bad, f"{bad}: {text!r}"
