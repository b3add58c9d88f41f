# SPDX-License-Identifier: Apache-2.0
"""A misbehaving answer to a request for sessions is not taken for an approval, and the request is not sent twice."""
import pytest

from provision_rig import assert_printable, empty, names, prepared_empty, server, shared_server, with_times  # noqa: F401


@pytest.mark.parametrize("name", names("body", "HTTP", "session", "status", "redirect"))
def test_answer_to_a_request(empty, shared_server, name):
    """What cannot be understood is not taken for an approval, and is not asked for twice."""
    rig, server = empty, shared_server
    server.inject(name, path="/sessions", method="POST", count=None, **with_times(name))
    run = rig.run("request", "them", "192.0.2.11", want=[0, 1, 3])
    assert_printable(run)
    posts = server.requests(method="POST", path="/sessions")
    assert len(posts) == (2 if name.startswith("unauthorized") else 1), "after 401 once more, with a new token"
    assert not server.requests(listener="trap")
    rig.assert_private() if rig.file.exists() else None
    saved = [a for a in rig.saved()["asked"] if a["record"]["receiver"].get("ip") == "192.0.2.11"]
    assert saved, "it is forgotten that this was asked for"
    # A wrong answer never becomes a neighbor by itself: the listing decides, and it says nothing odd now.
    server.clear_injections()
    rig.run("apply", want=[0, 3])
    assert rig.configured() <= {"192.0.2.11"}
