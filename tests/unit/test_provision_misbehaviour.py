# SPDX-License-Identifier: Apache-2.0
"""No misbehaviour of a server takes a session away, hangs us, or puts into a file what was not approved.

Each of the catalogue (tests/peering_api) is tried in the places where it hurts: the listing for a run of apply over three
configured sessions, the token, PeeringDB; test_provision_answers.py has the answer to a request.
"""
import shutil
import time

import pytest

from provision_rig import (THREE, assert_printable, names, prepared, rig, server, shared_server,  # noqa: F401
                           three, with_times)
from peering_api import misbehaviours

# What the server says in so many words is done: the sessions begin to go.
SAYS_SO = {"status-contradicts"}


def assert_kept(rig, run, before):
    if run.out.strip() and run.status != 1:
        assert not {"drain", "remove", "tell", "forget"} & set(run.actions.values()), run.actions
    assert rig.configured() >= THREE
    assert rig.text() == before, "the file was changed"
    rig.assert_private()
    assert_printable(run)


@pytest.mark.parametrize("name", names("body", "TLS", "connection", "HTTP", "session", "paging", "status", "redirect"))
def test_listing(three, shared_server, name):
    server = shared_server
    before = three.text()
    server.inject(name, path="/sessions*", method="GET", count=None, **with_times(name))
    began = time.monotonic()
    run = three.run("apply", want=[0, 1, 3])
    assert time.monotonic() - began < 45
    if name in SAYS_SO:
        assert set(run.actions.values()) == {"drain"}
        return
    assert_kept(three, run, before)
    assert not server.requests(listener="trap"), "a redirect was followed"


def test_well_again(three, shared_server):
    """After all of that the next good answer is as good as ever."""
    server = shared_server
    server.inject("json-truncated", path="/sessions*", count=None)
    three.run("apply", want=3)
    server.clear_injections()
    run = three.run("apply")
    assert run.json["plan"]["changes"] == 0


@pytest.mark.parametrize("name", names("token"))
def test_token(three, shared_server, name):
    server = shared_server
    before = three.text()
    for cached in (three.state_folder / "tokens").iterdir():
        cached.unlink()
    server.inject(name, listener="api", path="*token*", count=None, **with_times(name))
    run = three.run("apply", want=[0, 1, 3])
    assert_kept(three, run, before)
    three.assert_private()


@pytest.mark.parametrize("name", names("metadata"))
def test_metadata(three, shared_server, name):
    server = shared_server
    before = three.text()
    options = dict(three.them)
    three.them.update({"token-url": None, "issuer": server.oauth.issuer})
    three.configure()
    three.them.clear()
    three.them.update(options)
    for cached in (three.state_folder / "tokens").iterdir():
        cached.unlink()
    server.inject(name, path="*well-known*", count=None, **with_times(name))
    run = three.run("apply", want=3)
    assert_kept(three, run, before)
    assert run.json["servers"][0]["failure"]
    # An issuer may name an endpoint on another host (RFC 8414 section 2); its answer is no token all the same.
    assert name == "metadata-foreign" or not server.requests(listener="trap")


@pytest.mark.parametrize("name", names("peeringdb"))
def test_registry(three, shared_server, name):
    """What PeeringDB says wrongly, or not at all, takes no session away and lets no new one in unchecked."""
    server = shared_server
    before = three.text()
    server.inject(name, listener="peeringdb", count=None, **with_times(name))
    run = three.run("apply", want=[0, 1, 3])
    if run.out.strip() and run.status != 1:
        assert not {"drain", "remove"} & set(run.actions.values()), run.actions
    assert three.configured() == THREE
    if name in ("pdb-empty", "pdb-no-data", "pdb-throttled", "pdb-error", "pdb-meta-error"):
        assert three.text() == before
    assert_printable(run)


@pytest.mark.parametrize("name", ["pdb-empty", "pdb-error", "pdb-throttled", "pdb-ip-foreign", "pdb-ip-bad", "pdb-asn-other"])
def test_registry_and_new_sessions(rig, server, name):
    rig.run("request", "them", "--common")
    shutil.rmtree(rig.state_folder / "peeringdb")  # answers of the last days would do
    server.inject(name, listener="peeringdb", count=None)
    rig.run("apply", want=[0, 1, 3])
    assert not {"192.0.2.11", "192.0.2.12"} & rig.configured()


def test_every_misbehaviour_is_tried():
    """The catalogue has no group that is forgotten here."""
    groups = {m.group for m in misbehaviours.CATALOGUE.values()}
    assert groups == {"body", "TLS", "connection", "HTTP", "session", "paging", "status", "redirect", "token", "metadata", "peeringdb"}
    assert len(misbehaviours.CATALOGUE) >= 25

